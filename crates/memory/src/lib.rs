//! Guest RAM, its access primitives, the walkers of radix trees and hash tables, the software TLB, and the one handshake by
//! which vCPUs agree that a translation is gone.
//!
//! # Memory order
//! Guest accesses go through [`access`]: one machine instruction each, aligned or not, which on
//! x86-64 gives PowerPC at least the order that it asks for, except store-load across `sync`, which
//! the engines fence. Atomic accesses are `lock`-prefixed.
//!
//! # Code that changes
//! A 4K page that holds decoded code is marked in [`Memory`]; no vCPU keeps a write entry for it in
//! its TLB, so every store to it takes the slow path and ends in [`Memory::note_store`].

pub mod access;
pub mod alarm;
mod dirty;
pub mod hash;
pub mod hpt;
pub mod mail;
pub mod radix;
pub mod ram;
mod sync;
pub mod tlb;

pub use hpt::HashTable;
pub use mail::{Hub, Mailbox, Message};
pub use ram::{GuestRam, Memory, RamError};
pub use tlb::{Tlb, TlbEntry};

/// Granule of code tracking, TLB entries and dirty tracking: 4 KiB.
pub const PAGE_SHIFT: u32 = 12;
/// Bytes in a granule.
pub const PAGE_SIZE: u64 = 1 << PAGE_SHIFT;
/// Offset within a granule.
pub const PAGE_OFFSET: u64 = PAGE_SIZE - 1;
