//! The file: sections, then RAM as one region that a restored machine maps, so that no page is read before it is used.

use super::SavedError;
use memory::{Memory, PAGE_SIZE};
use snapshot::{FORMAT_BYTES, FieldError, Header, Io};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// RAM begins at a multiple of this in the file.
pub const RAM_ALIGN_BYTES: u64 = 1 << 16;
/// RAM is checked, and shown, in pieces of this size.
pub const RAM_CHUNK_BYTES: u64 = 1 << 21;
/// Pages that are written at once.
const RUN_PAGES: usize = 256;

/// Where RAM begins in a file with so many bytes of sections.
pub fn ram_offset(state_bytes: u64) -> u64 {
    state_bytes.next_multiple_of(RAM_ALIGN_BYTES)
}

/// Which parts of RAM are not zero, with their checksums: XXH3 of address and content of each page that is not zero.
#[derive(Debug)]
pub struct RamChunks {
    ram_bytes: u64,
    chunks: Vec<[u64; 2]>,
}

impl RamChunks {
    /// Nothing yet.
    pub fn of_size(ram_bytes: u64) -> RamChunks {
        RamChunks { ram_bytes, chunks: Vec::new() }
    }

    /// Those of `memory`, and the addresses of all pages that are not zero.
    pub fn of(memory: &Memory) -> (RamChunks, Vec<u64>) {
        let mut pages = Vec::new();
        let mut sums = Sums::default();
        memory.for_each_used_page(|address, page| {
            pages.push(address);
            sums.add(address, page);
        });
        (RamChunks { ram_bytes: memory.len(), chunks: sums.finish() }, pages)
    }

    /// Saves or loads them.
    ///
    /// # Errors
    /// Parts that are not in RAM or not in order.
    pub fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let RamChunks { ram_bytes, chunks } = self;
        io.fixed("the size of RAM", *ram_bytes)?;
        let count = ram_bytes.div_ceil(RAM_CHUNK_BYTES);
        io.list("parts of RAM", chunks, count, |io, [index, sum]| {
            io.u64("the number of a part", index)?;
            io.u64("the checksum of a part", sum)?;
            io.require("the number of a part", *index, *index < count, format_args!("a number below {count}"))
        })?;
        let ordered = chunks.is_sorted_by(|a, b| a[0] < b[0]);
        io.require("the order of parts", "another one", ordered, "ascending")
    }

    /// The parts, neighbours together.
    pub fn ranges(&self) -> Vec<Range<u64>> {
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for [index, _] in &self.chunks {
            let start = index * RAM_CHUNK_BYTES;
            let end = (start + RAM_CHUNK_BYTES).min(self.ram_bytes);
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ => ranges.push(start..end),
            }
        }
        ranges
    }

    /// Reads RAM from byte `at` of the file on, and compares it with its checksums.
    ///
    /// # Errors
    /// [`SavedError::DamagedRam`], and what the host says.
    pub fn verify(&self, path: &Path, file: &File, at: u64) -> Result<(), SavedError> {
        let mut buffer = vec![0; RAM_CHUNK_BYTES as usize];
        for &[index, expected] in &self.chunks {
            let start = index * RAM_CHUNK_BYTES;
            let bytes = &mut buffer[..(self.ram_bytes - start).min(RAM_CHUNK_BYTES) as usize];
            file.read_exact_at(bytes, at + start).map_err(io_error("reading RAM from", path))?;
            let mut sums = Sums::default();
            for (address, page) in (start..).step_by(PAGE_SIZE as usize).zip(bytes.chunks(PAGE_SIZE as usize)) {
                if page.iter().any(|byte| *byte != 0) {
                    sums.add(address, page);
                }
            }
            let found = sums.finish().first().map_or(0, |chunk| chunk[1]);
            if found != expected {
                return Err(SavedError::DamagedRam { path: path.into(), address: start, found, expected });
            }
        }
        Ok(())
    }
}

/// Checksums in the making.
#[derive(Default)]
struct Sums {
    done: Vec<[u64; 2]>,
    current: Option<(u64, Box<Xxh3>)>,
}

impl Sums {
    fn add(&mut self, address: u64, page: &[u8]) {
        let index = address / RAM_CHUNK_BYTES;
        if self.current.as_ref().is_none_or(|(current, _)| *current != index) {
            self.close();
        }
        let (_, hash) = self.current.get_or_insert_with(|| (index, Box::new(Xxh3::new())));
        hash.update(&address.to_le_bytes());
        hash.update(page);
    }

    fn close(&mut self) {
        self.done.extend(self.current.take().map(|(index, hash)| [index, hash.digest()]));
    }

    fn finish(mut self) -> Vec<[u64; 2]> {
        self.close();
        self.done
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> SavedError {
    move |source| SavedError::Io { what, path: path.into(), source }
}

/// Opens a snapshot, and reads its sections.
///
/// # Errors
/// What the host says, and a file that is none.
pub fn open(path: &Path) -> Result<(File, Vec<u8>), SavedError> {
    let mut file = File::open(path).map_err(io_error("opening", path))?;
    let content = |source| SavedError::Content { path: path.into(), source };
    let error = |source: std::io::Error| io_error("reading", path)(source);
    let left = file.metadata().map_err(error)?.len();
    let mut state = Vec::new();
    (&mut file).take(FORMAT_BYTES as u64).read_to_end(&mut state).map_err(error)?;
    let header = Header::parse(&state).map_err(content)?;
    if header.state_bytes > left {
        let what = "the sections".into();
        return Err(content(snapshot::SnapshotError::Truncated { what, wanted: header.state_bytes, left }));
    }
    let more = header.state_bytes.saturating_sub(FORMAT_BYTES as u64);
    (&mut file).take(more).read_to_end(&mut state).map_err(error)?;
    Ok((file, state))
}

/// Writes a snapshot: `state`, and the pages of `memory` that are not zero. Whoever has the old file open keeps it.
///
/// # Errors
/// What the host says.
pub fn write(path: &Path, state: &[u8], memory: &Memory, pages: &[u64]) -> Result<(), SavedError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = write_new(&new, state, memory, pages).and_then(|()| std::fs::rename(&new, path));
    written.map_err(|source| {
        // It is of no use to anybody; what went wrong is more important than what goes wrong now.
        let _ = std::fs::remove_file(&new);
        SavedError::Io { what: "saving to", path: path.into(), source }
    })
}

fn write_new(path: &Path, state: &[u8], memory: &Memory, pages: &[u64]) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let at = ram_offset(state.len() as u64);
    file.set_len(at + memory.len())?;
    file.write_all_at(state, 0)?;
    let mut buffer = vec![0; RUN_PAGES * PAGE_SIZE as usize];
    let mut rest = pages;
    while let Some(first) = rest.first().copied() {
        let follows = |(n, page): &(usize, &u64)| **page == first + *n as u64 * PAGE_SIZE;
        let count = rest.iter().enumerate().take(RUN_PAGES).take_while(follows).count();
        let run = &mut buffer[..count * PAGE_SIZE as usize];
        memory.read(first, run).map_err(std::io::Error::other)?;
        file.write_all_at(run, at + first)?;
        rest = &rest[count..];
    }
    file.sync_all()
}
