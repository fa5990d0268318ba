//! Guest memory, clock and entropy as hypercalls and devices see them.

use memory::Memory;
use platform::{Access, Clock, Entropy, GuestMemory, MemoryError, check_range};
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
