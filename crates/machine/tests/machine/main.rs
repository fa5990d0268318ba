//! Whole machines with guests of a few instructions.

mod allocation;
mod board;
mod exploitation;
mod guest;
mod lockstep;
mod machine_check;
mod saved;
#[path = "../../src/fuzzing/sections.rs"]
mod sections;
mod set_mode;
