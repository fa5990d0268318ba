//! Guest RAM by real address, as PAPR and devices see it.

use std::sync::Arc;
use thiserror::Error;

/// What was tried on guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Bytes were to be read.
    Read,
    /// Bytes were to be written.
    Write,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Access::Read => "read",
            Access::Write => "write",
        })
    }
}

/// Why an access to guest memory was refused. Nothing was read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MemoryError {
    /// Part of the range lies outside of guest RAM.
    #[error(
        "{access} of {len_bytes} bytes at real address {ra:#x}: guest RAM ends at {ram_end:#x}; \
         the whole range has to lie below that"
    )]
    OutOfRange {
        /// Read or write.
        access: Access,
        /// First real address of the access.
        ra: u64,
        /// Length of the access.
        len_bytes: u64,
        /// First real address that is not RAM.
        ram_end: u64,
    },
}

/// Tests that `[ra, ra + len_bytes)` lies in RAM of `ram_bytes` bytes that starts at real address 0, without overflow.
///
/// An empty range is in RAM when its start is at most one past the end.
pub fn check_range(ram_bytes: u64, access: Access, ra: u64, len_bytes: u64) -> Result<(), MemoryError> {
    match ra.checked_add(len_bytes) {
        Some(end) if end <= ram_bytes => Ok(()),
        _ => Err(MemoryError::OutOfRange { access, ra, len_bytes, ram_end: ram_bytes }),
    }
}

/// Bytes moved at a time by the provided methods that have no buffer of the caller's.
const CHUNK_BYTES: usize = 4096;

/// Guest RAM by real address, from 0 to [`size_bytes`](GuestMemory::size_bytes).
///
/// Every write of a hypercall, of RTAS or of a device goes through here, so that whoever tracks code and dirty pages
/// hears of it. An aligned access of 2, 4 or 8 bytes is a single access, as other vCPUs see it. `memory` objects are
/// given out per vCPU thread where the implementation needs to serve that vCPU's mailbox while it waits.
pub trait GuestMemory: Send + Sync {
    /// Size of RAM: the first real address that is not RAM.
    fn size_bytes(&self) -> u64;

    /// Fills `buffer` from RAM. On an error `buffer` is unchanged.
    fn read(&self, ra: u64, buffer: &mut [u8]) -> Result<(), MemoryError>;

    /// Writes `data` to RAM. On an error nothing is written.
    fn write(&self, ra: u64, data: &[u8]) -> Result<(), MemoryError>;

    /// Sets `len_bytes` bytes to `byte`. On an error nothing is written.
    fn fill(&self, ra: u64, len_bytes: u64, byte: u8) -> Result<(), MemoryError> {
        check_range(self.size_bytes(), Access::Write, ra, len_bytes)?;
        let chunk = [byte; CHUNK_BYTES];
        let mut done = 0;
        while done < len_bytes {
            let step = (len_bytes - done).min(CHUNK_BYTES as u64);
            self.write(ra + done, &chunk[..step as usize])?;
            done += step;
        }
        Ok(())
    }

    /// Copies `len_bytes` bytes from `from_ra` to `to_ra`; the two ranges may overlap. On an error nothing is written.
    fn copy(&self, from_ra: u64, to_ra: u64, len_bytes: u64) -> Result<(), MemoryError> {
        check_range(self.size_bytes(), Access::Read, from_ra, len_bytes)?;
        check_range(self.size_bytes(), Access::Write, to_ra, len_bytes)?;
        let backwards = from_ra < to_ra;
        let mut chunk = [0; CHUNK_BYTES];
        let mut done = 0;
        while done < len_bytes {
            let step = (len_bytes - done).min(CHUNK_BYTES as u64);
            let offset = if backwards { len_bytes - done - step } else { done };
            let bytes = &mut chunk[..step as usize];
            self.read(from_ra + offset, bytes)?;
            self.write(to_ra + offset, bytes)?;
            done += step;
        }
        Ok(())
    }

    /// One byte.
    fn read_u8(&self, ra: u64) -> Result<u8, MemoryError> {
        let mut bytes = [0; 1];
        self.read(ra, &mut bytes)?;
        Ok(bytes[0])
    }

    /// A big-endian halfword.
    fn read_be_u16(&self, ra: u64) -> Result<u16, MemoryError> {
        let mut bytes = [0; 2];
        self.read(ra, &mut bytes)?;
        Ok(u16::from_be_bytes(bytes))
    }

    /// A big-endian word.
    fn read_be_u32(&self, ra: u64) -> Result<u32, MemoryError> {
        let mut bytes = [0; 4];
        self.read(ra, &mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A big-endian doubleword.
    fn read_be_u64(&self, ra: u64) -> Result<u64, MemoryError> {
        let mut bytes = [0; 8];
        self.read(ra, &mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// One byte.
    fn write_u8(&self, ra: u64, value: u8) -> Result<(), MemoryError> {
        self.write(ra, &[value])
    }

    /// A big-endian halfword.
    fn write_be_u16(&self, ra: u64, value: u16) -> Result<(), MemoryError> {
        self.write(ra, &value.to_be_bytes())
    }

    /// A big-endian word.
    fn write_be_u32(&self, ra: u64, value: u32) -> Result<(), MemoryError> {
        self.write(ra, &value.to_be_bytes())
    }

    /// A big-endian doubleword.
    fn write_be_u64(&self, ra: u64, value: u64) -> Result<(), MemoryError> {
        self.write(ra, &value.to_be_bytes())
    }
}

impl<M: GuestMemory + ?Sized> GuestMemory for Arc<M> {
    fn size_bytes(&self) -> u64 {
        (**self).size_bytes()
    }

    fn read(&self, ra: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        (**self).read(ra, buffer)
    }

    fn write(&self, ra: u64, data: &[u8]) -> Result<(), MemoryError> {
        (**self).write(ra, data)
    }
}
