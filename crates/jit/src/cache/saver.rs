//! Writes the cache file: what it held, and what this run compiled. A file appears as a whole or not at all.

use std::collections::{HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Cache, CacheError, ENTRY_HEAD_BYTES, FILE_MAX_BYTES, HEADER_BYTES, checksum, header_of};
use crate::blob::{Blob, BlobError, Guest, Key};

/// Collects what a run compiles and writes the file.
#[derive(Debug)]
pub struct Saver {
    cache: Arc<Cache>,
    limit_bytes: u64,
    fresh: Mutex<Fresh>,
}

#[derive(Debug, Default)]
struct Fresh {
    /// Oldest first.
    entries: VecDeque<((Key, u64), Vec<u8>)>,
    /// What the entries are for.
    seen: HashSet<(Key, u64)>,
    /// Bytes of the entries.
    bytes: u64,
    /// Added since it was saved.
    unsaved: bool,
}

impl Saver {
    /// Adds to what `cache` was read from. The file, and the memory for what is added, keep below `limit_bytes`: the
    /// oldest goes first, where an entry is as old as its last use.
    pub fn new(cache: Arc<Cache>, limit_bytes: u64) -> Saver {
        Saver { cache, limit_bytes: limit_bytes.min(FILE_MAX_BYTES), fresh: Mutex::default() }
    }

    /// What it adds to.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Adds a region that was compiled from guest bytes ([`Blob::guest`] of the page as it was then). Whether it is new.
    pub fn add(&self, blob: &Blob, guest: Guest) -> Result<bool, BlobError> {
        blob.check()?;
        let what = (blob.key, guest.hash);
        if self.cache.holds(blob.key, guest) {
            return Ok(false);
        }
        let mut entry = vec![0; ENTRY_HEAD_BYTES];
        blob.write(&mut entry);
        let count = entry.len() as u32 - 12;
        entry[8..12].copy_from_slice(&count.to_le_bytes());
        entry[12..20].copy_from_slice(&guest.hash.to_le_bytes());
        entry[20..24].copy_from_slice(&guest.word);
        let sum = checksum(&self.cache.identity, &entry[8..]);
        entry[..8].copy_from_slice(&sum.to_le_bytes());

        let fresh = &mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        if HEADER_BYTES as u64 + entry.len() as u64 > self.limit_bytes || !fresh.seen.insert(what) {
            return Ok(false);
        }
        fresh.bytes += entry.len() as u64;
        fresh.entries.push_back((what, entry));
        fresh.unsaved = true;
        while HEADER_BYTES as u64 + fresh.bytes > self.limit_bytes
            && let Some((what, entry)) = fresh.entries.pop_front()
        {
            fresh.bytes -= entry.len() as u64;
            fresh.seen.remove(&what);
        }
        Ok(true)
    }

    /// Regions added.
    pub fn added(&self) -> usize {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }

    /// Writes the file if there is anything new, or if it is damaged or too large. What fails gets one warning.
    pub fn save(&self) {
        if let Err(error) = self.try_save() {
            tracing::warn!("{error}; what was compiled is not kept");
        }
    }

    /// Writes the file if there is anything new, or if it is damaged or too large. Whether it did.
    pub fn try_save(&self) -> Result<bool, CacheError> {
        let fresh = &mut *self.fresh.lock().unwrap_or_else(PoisonError::into_inner);
        let cache = &*self.cache;
        // One that is not ours to replace had its warning.
        let worse = cache.damaged || cache.data.len() as u64 > self.limit_bytes;
        if !cache.may_replace || !(fresh.unsaved || worse) {
            return Ok(false);
        }
        let used = |was: bool| cache.entries.iter().filter(move |e| e.used.load(Ordering::Relaxed) == was);
        let mut all: Vec<&[u8]> = used(false).chain(used(true)).map(|e| cache.raw(e)).collect();
        all.extend(fresh.entries.iter().map(|(_, entry)| &entry[..]));
        let mut bytes = HEADER_BYTES as u64;
        let kept = all.iter().rev().take_while(|e| {
            bytes += e.len() as u64;
            bytes <= self.limit_bytes
        });
        let first = all.len() - kept.count();

        let (temporary, file) = create_beside(&cache.path).map_err(CacheError::host(&cache.path, "saving"))?;
        let written = write_all(file, &header_of(&cache.identity), &all[first..])
            .and_then(|()| std::fs::rename(&temporary, &cache.path));
        if let Err(error) = written {
            // It is of no use; that it may stay is no worse.
            let _ = std::fs::remove_file(&temporary);
            return Err(CacheError::host(&cache.path, "saving")(error));
        }
        fresh.unsaved = false;
        Ok(true)
    }
}

fn write_all(file: File, header: &[u8], entries: &[&[u8]]) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, file);
    out.write_all(header)?;
    entries.iter().try_for_each(|e| out.write_all(e))?;
    out.flush()
}

/// A new file in the folder of `path`, for this user alone.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::IsADirectory))?;
    loop {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let temporary = path.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary) {
            // A run with this number was killed.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|file| (temporary, file)),
        }
    }
}
