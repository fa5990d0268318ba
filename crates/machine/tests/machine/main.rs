//! Whole machines with guests of a few instructions.

mod board;
mod guest;
mod lockstep;
