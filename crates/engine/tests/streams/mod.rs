//! Random streams of instructions for machines that are compared with each other.

pub mod bench;
pub mod generate;
#[path = "../qemu_user/rng.rs"]
pub mod rng;
