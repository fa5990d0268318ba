//! The sources of `memory::mail` and `devices::console::queue` once more, over shuttle's locks, atomics and threads instead
//! of the host's: each of their operations is a place where shuttle may let another thread go on. docs/testing.md.
#![allow(dead_code)]

/// What `crate::sync` is in the crates.
mod sync {
    pub use shuttle::sync::{Condvar, Mutex, MutexGuard, atomic};
    pub use shuttle::thread;
    pub use std::sync::PoisonError;

    /// Somebody else is to go on.
    pub fn pause(_: u32) {
        thread::yield_now();
    }
}

#[path = "../../crates/memory/src/alarm.rs"]
mod alarm;

mod hpt {
    pub use memory::hpt::VirtualPage;
}

fn lock<T>(mutex: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(sync::PoisonError::into_inner)
}

#[path = "../../crates/memory/src/mail.rs"]
pub mod mail;
#[path = "../../crates/devices/src/console/queue.rs"]
pub mod queue;

/// What the writer's thread gets; it waits for something.
pub fn take_output(console: &queue::QueuedConsole) -> Vec<u8> {
    console.take_output()
}
