//! Pure arithmetic of hard instructions, with every flag: numbers in, numbers and flags out.

pub mod bcd;
pub mod crypto;
pub mod fp;
pub mod fpscr;
pub mod mma;
pub mod vmx_estimate;
