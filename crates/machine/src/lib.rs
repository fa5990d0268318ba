//! The pseries board: memory map, device tree, vCPU threads, reset, power.
//!
//! [`Machine::new`] builds a machine from a [`Config`]; [`Machine::run`] runs it until the guest or a [`Handle`] ends it.

#![warn(missing_docs)]

mod board;
mod calling;
pub mod fdt;
mod fdt_writer;
pub mod layout;
pub mod loader;
mod outside;
mod pa_features;
mod run;
mod shared;

pub use board::{CONSOLES_MAX, Config, Handle, Machine, MachineError, VCPUS_MAX};
pub use outside::HostEntropy;
pub use shared::{End, Shared};
