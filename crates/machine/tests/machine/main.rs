//! Whole machines with guests of a few instructions.

mod board;
mod exploitation;
mod guest;
mod lockstep;
mod machine_check;
mod saved;
