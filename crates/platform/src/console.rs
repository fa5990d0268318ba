//! What stands behind a virtual terminal.

use std::sync::Arc;

/// Called, on any thread, when a console has input that was not there before.
pub type InputNotifier = Arc<dyn Fn() + Send + Sync>;

/// A console back-end. Neither call ever blocks the vCPU that makes it.
pub trait Console: Send + Sync {
    /// Takes up to `buffer.len()` bytes of waiting input; returns how many.
    fn read(&self, buffer: &mut [u8]) -> usize;

    /// Takes output: all of `data`, in order, nothing lost as long as somebody can receive it. Returns how many bytes
    /// were taken; fewer than `data.len()` only when the back-end is full, in which case the guest is told to retry.
    fn write(&self, data: &[u8]) -> usize;

    /// Who is to be told when input arrives. Replaces an earlier notifier; is called at once if input waits already.
    fn set_input_notifier(&self, notifier: InputNotifier);

    /// Waits until all the output that was taken is where it belongs, at most a short while. For the end of a run.
    fn flush(&self) {}
}
