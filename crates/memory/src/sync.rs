//! The host's locks, atomics and threads, under a name that `concurrency/` gives to those of a scheduler that tries
//! interleavings.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic};

/// Waits a little for another thread, and longer from the 64th time on.
pub(crate) fn pause(times: u32) {
    if times < 64 { std::hint::spin_loop() } else { std::thread::yield_now() }
}
