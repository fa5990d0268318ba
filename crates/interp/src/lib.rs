//! `Sem` on values: pre-decoded blocks, the cold tier and the oracle.
//!
//! A block is a straight run of instructions of one 4K page, decoded once for one mode (what of MSR and
//! FSCR code depends on) and run from a table of handlers, one call an instruction. Decoded code is
//! keyed by real address and mode: one copy serves every process and every effective address.

mod blocks;
mod decode;
mod exec;
mod handlers;
mod pool;
mod run;

pub use blocks::{Block, Operation};
pub use exec::Exec;
pub use run::{Interpreter, Leave, Stats};
