//! Time, entropy and interrupt lines.

use std::sync::Mutex;
use std::time::Duration;

/// Frequency of the timebase.
pub const TIMEBASE_HZ: u64 = 512_000_000;

/// The partition's time. Real, or virtual (a function of retired instructions).
pub trait Clock: Send + Sync {
    /// The timebase, in ticks of [`TIMEBASE_HZ`]; the same on every vCPU, never running backwards.
    fn timebase(&self) -> u64;

    /// Time since 1970-01-01 00:00 UTC, as the partition's real-time clock would have it if nobody had set it.
    fn wall_clock(&self) -> Duration;
}

/// Random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `buffer`.
    fn fill(&self, buffer: &mut [u8]);

    /// A random doubleword.
    fn next_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// Where in its stream it is, if the stream is one that can be repeated.
    fn position(&self) -> Option<u64> {
        None
    }

    /// Goes on from there, if its stream is one that can be repeated.
    fn go_on_from(&self, position: u64) {
        let _ = position;
    }
}

/// Entropy that is the same for the same seed (SplitMix64), for runs that are to be repeatable. Not for secrets.
#[derive(Debug)]
pub struct SeededEntropy {
    state: Mutex<u64>,
}

impl SeededEntropy {
    /// The stream that belongs to `seed`.
    pub fn new(seed: u64) -> SeededEntropy {
        SeededEntropy { state: Mutex::new(seed) }
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in buffer.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = *state;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^= word >> 31;
            chunk.copy_from_slice(&word.to_be_bytes()[..chunk.len()]);
        }
    }

    fn position(&self) -> Option<u64> {
        Some(*self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn go_on_from(&self, position: u64) {
        *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = position;
    }
}

/// The external-interrupt inputs of the vCPUs: where the interrupt controller's presentation layer ends.
pub trait ExternalInterruptLines: Send + Sync {
    /// Sets the level of the external-interrupt input of vCPU `index`, and wakes it when that lets it run on. May be
    /// called from any thread, with locks of the interrupt controller held: it must not call back into it.
    fn set_external_interrupt(&self, index: usize, asserted: bool);
}

/// Registers of devices in the partition's real address space. A vCPU's accesses come here on its own thread, aligned, of
/// 1, 2, 4 or 8 bytes; a value's most significant byte is the one at the lowest address.
pub trait Mmio: Send + Sync {
    /// Whether a device answers at all of `size` bytes from real address `ra` on.
    fn answers(&self, ra: u64, size: u64) -> bool;

    /// A load by vCPU `vcpu`, of bytes that are answered.
    fn load(&self, vcpu: usize, ra: u64, size: u32) -> u64;

    /// A store of the low `size` bytes of `value` by vCPU `vcpu`, to bytes that are answered.
    fn store(&self, vcpu: usize, ra: u64, size: u32, value: u64);
}

/// Interrupt sources, by XISR number, as devices drive them.
pub trait InterruptController: Send + Sync {
    /// Sets the level of a level-sensitive source. A number without source is ignored.
    fn set_level(&self, xisr: u32, asserted: bool);

    /// Signals a message (edge) source once. A number without source is ignored.
    fn pulse(&self, xisr: u32);
}
