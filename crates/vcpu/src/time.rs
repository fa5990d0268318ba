//! Time base and decrementer of a vCPU (Power ISA 3.0B, Book III, chapter 6).
//!
//! Under the virtual clock, time is the count of retired instructions: the clock holds it at the
//! start of a slice, and within the slice the vCPU adds what it has retired.

use crate::Vcpu;
use cpu::bits::lpcr;
use memory::mail::pending;
use std::time::Duration;
use timing::{VIRTUAL_NS_PER_INSTRUCTION, ns_to_ticks};

/// A stretch of instructions between two looks at the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Budget at its start.
    budget: i64,
}

impl Vcpu {
    /// Starts a slice of at most `instructions`, which are the new budget.
    pub fn begin_slice(&mut self, instructions: i64) {
        self.budget = instructions;
        self.ahead = 0;
        self.slice = Slice { budget: instructions };
    }

    /// Instructions retired in this slice so far. True at block boundaries and wherever `ahead` is
    /// settled.
    pub fn retired_in_slice(&self) -> u64 {
        (self.slice.budget - self.budget - self.ahead).max(0) as u64
    }

    /// Ends the slice: moves the virtual clock on. Returns what was retired.
    pub fn end_slice(&mut self) -> u64 {
        let retired = self.retired_in_slice();
        self.clock.advance_ns(retired * VIRTUAL_NS_PER_INSTRUCTION);
        self.begin_slice(0);
        retired
    }

    /// The time base, in ticks of 512 MHz.
    pub fn time_base(&self) -> u64 {
        if self.clock.is_virtual() {
            ns_to_ticks(self.clock.ns() + self.retired_in_slice() * VIRTUAL_NS_PER_INSTRUCTION)
        } else {
            self.clock.ticks()
        }
    }

    fn decrementer_bits(&self) -> u32 {
        if self.state.lpcr & lpcr::LD != 0 { self.model.decrementer_bits } else { 32 }
    }

    /// The decrementer, sign-extended from its width.
    pub fn decrementer(&self) -> i64 {
        let shift = 64 - self.decrementer_bits();
        (self.decrementer_expires.wrapping_sub(self.time_base()).wrapping_sub(1) << shift) as i64 >> shift
    }

    /// Writes the decrementer.
    pub fn set_decrementer(&mut self, value: u64) {
        let shift = 64 - self.decrementer_bits();
        let value = (value << shift) as i64 >> shift;
        self.decrementer_expires = self.time_base().wrapping_add(value as u64).wrapping_add(1);
        self.refresh_decrementer();
        if self.clock.is_virtual() {
            self.limit_slice();
        }
    }

    /// Under the real clock: this vCPU is to look when the decrementer's sign changes, wherever it is then.
    fn arm(&self, decrementer: i64) {
        if !self.clock.is_virtual() {
            let lowest = -1 << (self.decrementer_bits() - 1);
            // Below zero, or behind the lowest value: the highest one comes next.
            let ticks = if decrementer < 0 { decrementer - lowest } else { decrementer };
            self.memory.hub().alarm().set(self.index, self.clock.ticks().saturating_add(ticks as u64 + 1));
        }
    }

    /// What [`pending::LOOK`] asks for.
    pub fn look(&mut self) {
        self.mailbox().lower(pending::LOOK);
        self.refresh_decrementer();
    }

    /// Sets or clears the decrementer's interrupt: it is a level, pending while the decrementer is
    /// negative.
    pub fn refresh_decrementer(&mut self) {
        let decrementer = self.decrementer();
        self.arm(decrementer);
        let negative = decrementer < 0;
        if negative != (self.mailbox().pending() & pending::DECREMENTER != 0) {
            if negative {
                self.mailbox().raise(pending::DECREMENTER);
            } else {
                self.mailbox().lower(pending::DECREMENTER);
            }
        }
    }

    /// Ticks until the decrementer goes below zero; `None` if it is there.
    pub fn ticks_to_decrementer(&self) -> Option<u64> {
        u64::try_from(self.decrementer()).ok().map(|d| d + 1)
    }

    /// How long a thread that waits for nothing else may sleep until the decrementer goes below zero: not at all if it is
    /// there, perhaps since the caller last looked.
    pub fn time_to_decrementer(&self) -> Duration {
        Duration::from_nanos(timing::ticks_to_ns(self.ticks_to_decrementer().unwrap_or(0)))
    }

    /// Under the virtual clock: shortens the slice so that it ends where the decrementer goes below
    /// zero.
    pub fn limit_slice(&mut self) {
        let Some(ticks) = self.ticks_to_decrementer() else { return };
        // What the slice still has, the current instruction included, against what time allows.
        let left = self.budget + self.ahead;
        // Exact, so that it does not matter where slices begin.
        let now = self.clock.ns() + self.retired_in_slice() * VIRTUAL_NS_PER_INSTRUCTION;
        let allowed = timing::ns_until(now, ticks).div_ceil(VIRTUAL_NS_PER_INSTRUCTION);
        let allowed = i64::try_from(allowed).unwrap_or(i64::MAX).max(1);
        if allowed < left {
            self.slice.budget -= left - allowed;
            self.budget -= left - allowed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;
    use memory::Memory;
    use std::sync::Arc;
    use timing::Clock;

    /// The decrementer may expire between a look at its level and the question how long to sleep: the answer must then not
    /// be "until something else happens".
    #[test]
    fn who_asks_late_does_not_sleep() {
        let memory = Arc::new(Memory::new(1 << 20, 1).unwrap());
        let clock = Arc::new(Clock::real(Some(0)));
        let mut v = Vcpu::new(0, &cpu::model::POWER9, memory, clock, Arc::new(Silent));
        v.set_decrementer(512_000_000 - 1);
        let left = v.time_to_decrementer();
        assert!(left <= Duration::from_secs(1) && left > Duration::from_millis(500), "{left:?}");
        for expired in [u64::MAX, 0xF000_0000] {
            v.set_lpcr(v.state.lpcr & !lpcr::LD);
            v.set_decrementer(expired);
            assert_ne!(v.mailbox().pending() & pending::DECREMENTER, 0);
            assert_eq!((v.ticks_to_decrementer(), v.time_to_decrementer()), (None, Duration::ZERO));
        }
        // As it happens: positive at the first look, expired at the second.
        v.set_decrementer(512_000 * 50);
        assert_eq!(v.mailbox().pending() & pending::DECREMENTER, 0);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(v.time_to_decrementer(), Duration::ZERO);
    }
}
