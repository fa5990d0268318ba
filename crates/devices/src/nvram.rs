//! The partition's non-volatile memory, in memory or in a file.

use crate::lock;
use platform::papr::{RtasStatus, token::*};
use platform::{HcallContext, PaprDevice, RtasCall, RtasFunction};
use snapshot::{FieldError, Io, Section, SectionId};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use thiserror::Error;

/// Size of a `pseries` machine's NVRAM (`#bytes`).
pub const NVRAM_BYTES: usize = 0x1_0000;

/// Why a file cannot be the NVRAM.
#[derive(Debug, Error)]
pub enum NvramError {
    /// It cannot be opened, read or written.
    #[error("NVRAM file {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "NVRAM file {} has {found} bytes, not {NVRAM_BYTES}: give a file of that size, or an empty or new one to be formatted",
        path.display()
    )]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
    },
}

#[derive(Debug)]
struct State {
    bytes: Vec<u8>,
    file: Option<(PathBuf, File)>,
}

/// NVRAM. Writes reach the file, if there is one, before the guest's call returns.
#[derive(Debug)]
pub struct Nvram(Mutex<State>);

impl Nvram {
    /// Formatted, and forgotten at the end.
    pub fn in_memory() -> Nvram {
        Nvram(Mutex::new(State { bytes: formatted(), file: None }))
    }

    /// Kept in the file at `path`, which is made and formatted if it is not there or empty.
    ///
    /// # Errors
    /// When the file cannot be used, or has another size than NVRAM.
    pub fn open(path: &Path) -> Result<Nvram, NvramError> {
        let error = |source| NvramError::Io { path: path.into(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        if !metadata.is_file() || (metadata.len() != 0 && metadata.len() != NVRAM_BYTES as u64) {
            return Err(NvramError::WrongSize { path: path.into(), found: metadata.len() });
        }
        let mut bytes = formatted();
        if metadata.len() == 0 {
            file.write_all_at(&bytes, 0).map_err(error)?;
        } else {
            file.read_exact_at(&mut bytes, 0).map_err(error)?;
        }
        Ok(Nvram(Mutex::new(State { bytes, file: Some((path.into(), file)) })))
    }

    /// The same content, forgotten at the end: for a second machine beside this one.
    pub fn copy_in_memory(&self) -> Nvram {
        Nvram(Mutex::new(State { bytes: self.bytes(), file: None }))
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        lock(&self.0).bytes.clone()
    }
}

/// Empty NVRAM as firmware leaves it: one partition, free space (CHRP, "NVRAM partitions": signature, checksum, length in
/// blocks of 16 bytes, twelve bytes of name).
fn formatted() -> Vec<u8> {
    const SIGNATURE_FREE: u8 = 0x7f;
    let mut bytes = vec![0; NVRAM_BYTES];
    bytes[0] = SIGNATURE_FREE;
    bytes[2..4].copy_from_slice(&((NVRAM_BYTES / 16) as u16).to_be_bytes());
    bytes[4..16].fill(0x77);
    // One's complement sum of the header, the carry added back in.
    bytes[1] = bytes[..16].iter().fold(0u8, |sum, &byte| {
        let (sum, carry) = sum.overflowing_add(byte);
        sum + u8::from(carry)
    });
    bytes
}

impl Section for Nvram {
    fn id(&self) -> SectionId {
        SectionId::new("nvram")
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let mut state = lock(&self.0);
        let State { bytes, file } = &mut *state;
        io.bytes("the content", bytes)?;
        // The file holds what the guest knows to be there.
        match file {
            Some((path, file)) if io.is_load() => file
                .write_all_at(bytes, 0)
                .map_err(|error| FieldError::NotNow(format!("NVRAM file {}: {error}", path.display()))),
            _ => Ok(()),
        }
    }
}

impl PaprDevice for Nvram {
    fn rtas_functions(&self) -> &[RtasFunction] {
        const RTAS: [RtasFunction; 2] =
            [RtasFunction::new(NVRAM_FETCH, "nvram-fetch", 3, 2), RtasFunction::new(NVRAM_STORE, "nvram-store", 3, 2)];
        &RTAS
    }

    fn sections(&self) -> Vec<&dyn Section> {
        vec![self]
    }

    /// Offset, buffer, length; outputs the number of bytes moved.
    fn rtas(&self, token: u32, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
        let &[offset, buffer_ra, len_bytes] = call.args else { return RtasStatus::PARAMETER_ERROR };
        if token == NVRAM_FETCH {
            call.results[0] = 0;
        }
        let (offset, buffer_ra) = (offset as usize, u64::from(buffer_ra));
        let end = offset.checked_add(len_bytes as usize).filter(|&end| end <= NVRAM_BYTES);
        let Some(end) = end else { return RtasStatus::PARAMETER_ERROR };
        let mut state = lock(&self.0);
        if token == NVRAM_FETCH {
            if context.memory.write(buffer_ra, &state.bytes[offset..end]).is_err() {
                return RtasStatus::PARAMETER_ERROR;
            }
        } else {
            let mut data = vec![0; end - offset];
            if context.memory.read(buffer_ra, &mut data).is_err() {
                return RtasStatus::PARAMETER_ERROR;
            }
            if let Some((path, file)) = &state.file
                && let Err(error) = file.write_all_at(&data, offset as u64)
            {
                tracing::error!("NVRAM file {}: {error}", path.display());
                return RtasStatus::HARDWARE_ERROR;
            }
            state.bytes[offset..end].copy_from_slice(&data);
        }
        call.results[0] = len_bytes;
        RtasStatus::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::GuestMemory;
    use platform::mock::MockWorld;

    fn call(nvram: &Nvram, world: &MockWorld, token: u32, args: [u32; 3]) -> (i32, u32) {
        let mut vcpu = world.partition.vcpu(0);
        let mut results = [0];
        let mut call = RtasCall { args: &args, results: &mut results };
        let status = nvram.rtas(token, &mut world.context(&mut vcpu), &mut call);
        (status.0, results[0])
    }

    #[test]
    fn bytes_stay() {
        let (nvram, world) = (Nvram::in_memory(), MockWorld::new(1, 0x2_0000));
        world.memory.write(0x100, b"hello").unwrap();
        assert_eq!(call(&nvram, &world, NVRAM_STORE, [0xfffb, 0x100, 5]), (0, 5));
        assert_eq!(call(&nvram, &world, NVRAM_FETCH, [0xfffc, 0x200, 4]), (0, 4));
        assert_eq!(world.memory.read_be_u32(0x200).unwrap(), u32::from_be_bytes(*b"ello"));
        assert_eq!(call(&nvram, &world, NVRAM_FETCH, [0, 0x1_0000, 0x1_0000]), (0, 0x1_0000));
        assert_eq!(world.memory.read_u8(0x1_0000).unwrap(), 0x7f);
        for args in
            [[0xfffc, 0, 5], [u32::MAX, 0, 1], [1, 0, u32::MAX], [0, u32::MAX, 4], [0, 0x1_fffe, 4], [0x1_0001, 0, 0]]
        {
            assert_eq!(call(&nvram, &world, NVRAM_STORE, args), (-3, 0), "{args:x?}");
            assert_eq!(call(&nvram, &world, NVRAM_FETCH, args), (-3, 0), "{args:x?}");
        }
    }

    #[test]
    fn the_empty_partition_has_a_good_checksum() {
        // 0x7f + 0x10 + 0x00 + 12 * 0x77 = 0x623; 0x23 + 0x06 = 0x29.
        assert_eq!(formatted()[..5], [0x7f, 0x29, 0x10, 0x00, 0x77]);
    }

    #[test]
    fn a_file_keeps_it() {
        let path = std::env::temp_dir().join(format!("aileron-nvram-test-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let world = MockWorld::new(1, 0x1000);
        world.memory.write(0, b"kept").unwrap();
        assert_eq!(call(&Nvram::open(&path).unwrap(), &world, NVRAM_STORE, [64, 0, 4]), (0, 4));
        assert_eq!(Nvram::open(&path).unwrap().bytes()[64..68], *b"kept");
        std::fs::write(&path, b"short").unwrap();
        assert!(Nvram::open(&path).unwrap_err().to_string().contains("has 5 bytes"));
        std::fs::remove_file(&path).unwrap();
        let missing = path.join("below/a/file");
        assert!(Nvram::open(&missing).unwrap_err().to_string().contains("below"));
        assert!(Nvram::open(Path::new("/dev/null")).is_err());
    }
}
