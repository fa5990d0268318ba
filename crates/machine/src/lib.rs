//! The pseries board: memory map, device tree, vCPU threads, reset, power.
//!
//! [`Machine::new`] builds a machine from a [`Config`]; [`Machine::run`] runs it until the guest or a [`Handle`] ends it.

#![warn(missing_docs)]

// The guests of the tests know it by its name.
#[cfg(any(test, feature = "fuzzing"))]
extern crate self as machine;

mod accelerator;
mod board;
mod calling;
mod client;
mod content;
mod difference;
mod error;
pub mod fdt;
mod fdt_writer;
mod firmware;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod handle;
pub mod layout;
pub mod loader;
mod lockstep;
pub mod migration;
mod mmu;
pub mod negotiation;
pub mod numa;
mod outside;
mod pa_features;
mod run;
pub mod saved;
mod shared;
pub mod topology;
mod twin;

pub use accelerator::{Accelerator, AcceleratorKind, CODE_CACHE_BYTES, CodeCache};
pub use board::{CONSOLES_MAX, Config, Machine, VCPUS_MAX};
pub use content::{Content, Origin};
pub use difference::{Difference, Pair, Piece};
pub use error::MachineError;
pub use handle::{Handle, Unable};
pub use mmu::Mmu;
pub use outside::HostEntropy;
pub use shared::{End, Shared};
pub use topology::Topology;
