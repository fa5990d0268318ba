//! Architected state of one vCPU, register bit fields, CPU models, and interrupt delivery with
//! *Address Translation Mode on Interrupt* (AIL) as one pure function.
//!
//! Bit numbering: constants are ordinary masks; the manual's bit n (counted from the most
//! significant of 64) is `1 << (63 - n)`.

pub mod ail_table;
pub mod bits;
pub mod interrupt;
pub mod model;
mod saved;
pub mod slb;
pub mod spr;
pub mod state;

pub use interrupt::{Ail, Delivery, Interrupt, Save, Vector};
pub use model::{CpuModel, ModelError};
pub use state::State;
