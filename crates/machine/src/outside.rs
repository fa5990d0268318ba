//! Guest memory, clock, entropy and consoles as hypercalls and devices see them.

use crate::shared::Shared;
use memory::Memory;
use platform::{Access, Clock, Console, Entropy, GuestMemory, InputNotifier, MemoryError, check_range};
use std::sync::Arc;
use std::time::Duration;

/// Guest RAM. Writes go through the check for decoded code.
#[derive(Debug, Clone)]
pub(crate) struct Ram(pub Arc<Memory>);

impl Ram {
    fn refusal(&self, access: Access, ra: u64, len_bytes: u64) -> MemoryError {
        MemoryError::OutOfRange { access, ra, len_bytes, ram_end: self.0.len() }
    }
}

impl GuestMemory for Ram {
    fn size_bytes(&self) -> u64 {
        self.0.len()
    }

    fn read(&self, ra: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        check_range(self.0.len(), Access::Read, ra, buffer.len() as u64)?;
        self.0.read(ra, buffer).map_err(|_| self.refusal(Access::Read, ra, buffer.len() as u64))
    }

    fn write(&self, ra: u64, data: &[u8]) -> Result<(), MemoryError> {
        check_range(self.0.len(), Access::Write, ra, data.len() as u64)?;
        self.0.write(ra, data).map_err(|_| self.refusal(Access::Write, ra, data.len() as u64))
    }
}

/// The machine's clock.
#[derive(Debug, Clone)]
pub(crate) struct Time(pub Arc<timing::Clock>);

impl Clock for Time {
    fn timebase(&self) -> u64 {
        self.0.ticks()
    }

    fn wall_clock(&self) -> Duration {
        Duration::from_nanos(self.0.wall_ns())
    }
}

/// Random bytes of the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut rest = buffer;
        while !rest.is_empty() {
            match rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty()) {
                Ok(count) => rest = &mut rest[count..],
                Err(rustix::io::Errno::INTR) => {}
                // No Linux that this runs on is without it; guests mix it with what they have.
                Err(error) => {
                    tracing::warn!("the host gives no random bytes: {error}");
                    return;
                }
            }
        }
    }
}

/// How long a console that is full is left alone.
const FULL: Duration = Duration::from_millis(1);

/// A console under the virtual clock: a guest that was told to try again when the host is slow would see the host's time.
/// So the guest waits instead, until the run ends.
pub(crate) struct Patient {
    pub console: Arc<dyn Console>,
    pub shared: Arc<Shared>,
}

impl Console for Patient {
    fn read(&self, buffer: &mut [u8]) -> usize {
        self.console.read(buffer)
    }

    fn write(&self, data: &[u8]) -> usize {
        let mut count = self.console.write(data);
        while count < data.len() && !self.shared.is_ending() {
            std::thread::sleep(FULL);
            count += self.console.write(&data[count..]);
        }
        data.len()
    }

    fn set_input_notifier(&self, notifier: InputNotifier) {
        self.console.set_input_notifier(notifier);
    }

    fn flush(&self) {
        self.console.flush();
    }
}

/// A console whose input is told only while the machine does not stand still.
pub(crate) struct Gate {
    pub console: Arc<dyn Console>,
    pub shared: Arc<Shared>,
}

impl Console for Gate {
    fn read(&self, buffer: &mut [u8]) -> usize {
        self.console.read(buffer)
    }

    fn write(&self, data: &[u8]) -> usize {
        self.console.write(data)
    }

    fn set_input_notifier(&self, notifier: InputNotifier) {
        let shared = self.shared.clone();
        self.console.set_input_notifier(Arc::new(move || shared.input(&notifier)));
    }

    fn flush(&self) {
        self.console.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::{End, Ending};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    /// Takes three bytes of every other write.
    #[derive(Default)]
    struct Slow(AtomicUsize);

    impl Console for Slow {
        fn read(&self, _: &mut [u8]) -> usize {
            0
        }

        fn write(&self, data: &[u8]) -> usize {
            if self.0.fetch_add(1, SeqCst).is_multiple_of(2) { 0 } else { data.len().min(3) }
        }

        fn set_input_notifier(&self, _: InputNotifier) {}
    }

    #[test]
    fn a_slow_host_is_not_seen_under_the_virtual_clock() {
        let memory = Arc::new(Memory::new(1 << 20, 1).unwrap());
        let shared =
            Arc::new(Shared::new(memory, &cpu::model::POWER9, crate::topology::Topology::cores(1), true, false));
        let slow = Arc::new(Slow::default());
        let patient = Patient { console: slow.clone(), shared: shared.clone() };
        assert_eq!(patient.write(b"0123456789"), 10);
        assert_eq!(slow.0.load(SeqCst), 8);
        // Nobody waits for a console after the end.
        shared.end(Ending::End(End::PowerOff));
        assert_eq!(patient.write(b"0123456789"), 10);
        assert_eq!(slow.0.load(SeqCst), 9);
    }
}
