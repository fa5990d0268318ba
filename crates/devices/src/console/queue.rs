//! Two bounded queues between vCPU threads and host threads.

use crate::lock;
use crate::sync::{Condvar, Mutex, PoisonError, thread};
use platform::{Console, InputNotifier};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Input that may wait for the guest.
pub const INPUT_BYTES_MAX: usize = 64 << 10;
/// Output that may wait for the host. A guest that is faster is told to try again.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long the writer lets output gather after a write: a guest gives 16 bytes at a time, or one, and a write of the
/// host's for each would cost more than the guest spends on it.
const GATHER: Duration = Duration::from_millis(1);
/// How long [`Console::flush`] waits for a host that does not take its output.
const FLUSH_MAX: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Output {
    queue: Vec<u8>,
    /// The writer has taken bytes that it has not written yet.
    writing: bool,
    /// The writer waits to be told of output.
    waiting: bool,
}

/// A console whose other side is served by host threads.
#[derive(Default)]
pub struct QueuedConsole {
    input: Mutex<VecDeque<u8>>,
    /// The guest took input.
    input_room: Condvar,
    notifier: Mutex<Option<InputNotifier>>,
    output: Mutex<Output>,
    /// There is output.
    output_ready: Condvar,
    /// The writer wrote everything that it took.
    output_written: Condvar,
}

impl std::fmt::Debug for QueuedConsole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (input, output) = (lock(&self.input).len(), lock(&self.output).queue.len());
        write!(f, "QueuedConsole {{ {input} bytes of input, {output} of output wait }}")
    }
}

impl QueuedConsole {
    /// A console with nothing behind it yet.
    pub fn new() -> Arc<QueuedConsole> {
        Arc::new(QueuedConsole::default())
    }

    /// Gives input to the guest; returns how much there was room for. Never waits.
    pub fn push_input(&self, bytes: &[u8]) -> usize {
        let mut queue = lock(&self.input);
        let count = bytes.len().min(INPUT_BYTES_MAX - queue.len());
        queue.extend(&bytes[..count]);
        drop(queue);
        if count != 0 {
            self.notify();
        }
        count
    }

    /// Gives all of `bytes` to the guest, waiting for room.
    pub fn feed(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[self.push_input(bytes)..];
            let queue = lock(&self.input);
            if !bytes.is_empty() {
                let full = |queue: &mut VecDeque<u8>| queue.len() >= INPUT_BYTES_MAX;
                drop(self.input_room.wait_while(queue, full).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    fn notify(&self) {
        let notifier = lock(&self.notifier).clone();
        if let Some(notifier) = notifier {
            notifier();
        }
    }

    /// Starts a thread that writes output to `sink`. When `sink` fails, that is told once and further output is dropped:
    /// a guest must not stop because somebody closed a pipe.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start_writer(self: &Arc<Self>, mut sink: impl Write + Send + 'static) -> io::Result<()> {
        let console = self.clone();
        thread::Builder::new().name("console-out".into()).spawn(move || {
            let mut failed = false;
            loop {
                let bytes = console.take_output();
                if !failed && let Err(error) = sink.write_all(&bytes).and_then(|()| sink.flush()) {
                    tracing::warn!("console output is dropped from here on: {error}");
                    failed = true;
                }
                thread::sleep(GATHER);
            }
        })?;
        Ok(())
    }

    /// Starts a thread that feeds input from `source` until its end.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start_reader(self: &Arc<Self>, mut source: impl Read + Send + 'static) -> io::Result<()> {
        let console = self.clone();
        thread::Builder::new().name("console-in".into()).spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                match source.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) => console.feed(&buffer[..count]),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        tracing::warn!("no console input from here on: {error}");
                        break;
                    }
                }
            }
        })?;
        Ok(())
    }

    /// Waits for output and takes all of it. Whatever was taken before counts as written.
    pub(crate) fn take_output(&self) -> Vec<u8> {
        let mut output = lock(&self.output);
        output.writing = false;
        if output.queue.is_empty() {
            self.output_written.notify_all();
        }
        let nothing = |output: &mut Output| {
            output.waiting = output.queue.is_empty();
            output.waiting
        };
        let mut output = self.output_ready.wait_while(output, nothing).unwrap_or_else(PoisonError::into_inner);
        output.writing = true;
        std::mem::take(&mut output.queue)
    }
}

impl Console for QueuedConsole {
    fn read(&self, buffer: &mut [u8]) -> usize {
        let mut queue = lock(&self.input);
        let count = buffer.len().min(queue.len());
        for (slot, byte) in buffer.iter_mut().zip(queue.drain(..count)) {
            *slot = byte;
        }
        if count != 0 {
            self.input_room.notify_all();
        }
        count
    }

    /// Takes all or nothing, unless `data` could never fit at once.
    fn write(&self, data: &[u8]) -> usize {
        let mut output = lock(&self.output);
        let room = OUTPUT_BYTES_MAX - output.queue.len();
        let count = if data.len() <= room {
            data.len()
        } else if data.len() > OUTPUT_BYTES_MAX {
            room
        } else {
            0
        };
        if count != 0 {
            output.queue.extend(&data[..count]);
            if output.waiting {
                self.output_ready.notify_one();
            }
        }
        count
    }

    fn set_input_notifier(&self, notifier: InputNotifier) {
        *lock(&self.notifier) = Some(notifier);
        if !lock(&self.input).is_empty() {
            self.notify();
        }
    }

    fn flush(&self) {
        let deadline = Instant::now() + FLUSH_MAX;
        let mut output = lock(&self.output);
        while output.writing || !output.queue.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            output = self.output_written.wait_timeout(output, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn input_is_bounded_and_in_order() {
        let console = QueuedConsole::new();
        let told = Arc::new(AtomicUsize::new(0));
        assert_eq!(console.push_input(b"early"), 5);
        let counter = told.clone();
        console.set_input_notifier(Arc::new(move || _ = counter.fetch_add(1, SeqCst)));
        assert_eq!(told.load(SeqCst), 1);
        assert_eq!(console.push_input(&vec![b'x'; 2 * INPUT_BYTES_MAX]), INPUT_BYTES_MAX - 5);
        assert_eq!(console.push_input(b"y"), 0);
        assert_eq!(told.load(SeqCst), 2);
        let mut buffer = [0; 8];
        assert_eq!(console.read(&mut buffer), 8);
        assert_eq!(&buffer, b"earlyxxx");
    }

    #[test]
    fn a_feeder_waits_and_loses_nothing() {
        let console = QueuedConsole::new();
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n ^ n >> 8) as u8).collect();
        console.start_reader(io::Cursor::new(bytes.clone())).unwrap();
        let mut seen: Vec<u8> = vec![];
        let mut buffer = [0; 1000];
        while seen.len() < bytes.len() {
            let count = console.read(&mut buffer);
            seen.extend(&buffer[..count]);
            if count == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(seen, bytes);
    }

    #[test]
    fn output_waits_for_a_slow_host_and_a_dead_one_is_given_up() {
        let console = QueuedConsole::new();
        assert_eq!(console.write(&vec![0; OUTPUT_BYTES_MAX - 8]), OUTPUT_BYTES_MAX - 8);
        assert_eq!(console.write(&[0; 16]), 0);
        assert_eq!(console.write(&[0; 8]), 8);
        struct Dead;
        impl Write for Dead {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        console.start_writer(Dead).unwrap();
        for _ in 0..3 {
            console.flush();
            assert_eq!(console.write(&vec![0; OUTPUT_BYTES_MAX]), OUTPUT_BYTES_MAX);
        }
    }
}
