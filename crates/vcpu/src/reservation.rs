//! Reservations of `lbarx` .. `lqarx` and their store-conditionals (Power ISA 3.0B, Book II, 1.7.4).
//!
//! A reservation is a real address, a size and the value that was read. A store-conditional is a
//! compare-and-swap against that value: it succeeds across threads exactly when memory still holds
//! it. What that cannot see is a location that left the value and came back to it (ABA) between the
//! two; see `docs/architecture.md`, "Memory order and reservations".

use crate::{R, Vcpu};
use memory::access;
use memory::radix::Access;

/// The reservation of one vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reservation {
    /// Whether there is one.
    pub held: bool,
    /// Real address.
    pub real: u64,
    /// Bytes.
    pub size: u32,
    /// What was read, in host order.
    pub value: u128,
}

impl Vcpu {
    /// `larx`: loads `size` (1, 2, 4, 8, 16) bytes and reserves. Zero-extended, in guest order.
    ///
    /// # Errors
    /// Alignment interrupt, or that of a load.
    #[allow(unsafe_code)]
    pub fn load_and_reserve(&mut self, ea: u64, size: u32) -> R<u128> {
        self.reservation.held = false;
        self.check_aligned(ea, size)?;
        let (host, real) = self.data_address(ea, u64::from(size), Access::Load)?;
        // SAFETY: data_address returns a pointer with room for `size` aligned bytes of RAM.
        let value = unsafe {
            match size {
                1 => u128::from(access::load_u8(host)),
                2 => u128::from(access::load_u16(host)),
                4 => u128::from(access::load_u32(host)),
                8 => u128::from(access::load_u64(host)),
                // An exchange of zero for zero is the one atomic read of 16 bytes that every host has.
                _ => access::compare_exchange_u128(host, 0, 0),
            }
        };
        self.reservation = Reservation { held: true, real, size, value };
        Ok(self.guest_order(value, size))
    }

    /// `stcx.`: stores if the reservation is for this address and memory still holds its value. Says
    /// whether it stored. Clears the reservation.
    ///
    /// # Errors
    /// Alignment interrupt, or that of a store; the reservation is gone then too.
    #[allow(unsafe_code)]
    pub fn store_conditional(&mut self, ea: u64, size: u32, value: u128) -> R<bool> {
        let reservation = std::mem::take(&mut self.reservation);
        self.check_aligned(ea, size)?;
        let (host, real) = self.data_address(ea, u64::from(size), Access::Store)?;
        if !reservation.held || reservation.real != real || reservation.size != size {
            return Ok(false);
        }
        let new = self.guest_order(value, size);
        // SAFETY: data_address returns a pointer with room for `size` aligned bytes of RAM.
        let was = unsafe {
            match size {
                16 => access::compare_exchange_u128(host, reservation.value, new),
                _ => u128::from(access::compare_exchange(host, size, reservation.value as u64, new as u64)),
            }
        };
        let stored = was == reservation.value;
        if stored {
            self.memory.note_store(real >> memory::PAGE_SHIFT);
        }
        Ok(stored)
    }

    /// Replaces `size` (4 or 8) aligned bytes atomically by `f` of them, in guest order. Returns the
    /// old value.
    ///
    /// # Errors
    /// Alignment interrupt, or that of a store.
    #[allow(unsafe_code)]
    pub fn atomic_update(&mut self, ea: u64, size: u32, f: impl Fn(u64) -> u64) -> R<u64> {
        self.check_aligned(ea, size)?;
        let (host, real) = self.data_address(ea, u64::from(size), Access::Store)?;
        loop {
            // SAFETY: data_address returns a pointer with room for `size` aligned bytes of RAM.
            let raw = unsafe { if size == 4 { access::load_u32(host) } else { access::load_u64(host) } };
            let old = self.guest_order(u128::from(raw), size) as u64;
            let new = self.guest_order(u128::from(f(old)), size) as u64;
            // SAFETY: as above.
            if unsafe { access::compare_exchange(host, size, raw, new) } == raw {
                self.memory.note_store(real >> memory::PAGE_SHIFT);
                return Ok(old);
            }
        }
    }
}
