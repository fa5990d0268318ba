//! vty, nvram, rtc, XICS and XIVE; they enter the hypercall table through platform traits.
//!
//! A device knows nothing of the others, of the board or of an engine: it is given the lines it drives and the back-end
//! that it serves. Each has small locks of its own.

pub mod console;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod interrupts;
mod nvram;
mod rtc;
mod sync;
mod vio;
mod xics;
mod xive;

pub use interrupts::{Controller, InterruptError, InterruptMode, Interrupts, SourceKind};
pub use nvram::{NVRAM_BYTES, Nvram, NvramError};
pub use rtc::Rtc;
pub use vio::{VTY_REG_BASE, VioBus, Vty};
pub use xics::Xics;
pub use xive::{PRIORITY_MAX, QUEUE_SHIFT, TIMA_OS_PAGE, TIMA_PAGE_BYTES, TIMA_USER_PAGE, Xive};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A lock whose holder cannot leave half-done state behind: a panic elsewhere does not matter to it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
