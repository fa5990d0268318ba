//! The program as a person or a script runs it.

mod bad_input;
mod guest;
mod terminal;
