//! Translated code on disk (`--code-cache`): what earlier runs compiled. The file is read into memory once; a region is
//! found by what it was compiled for and the guest bytes that it was made from, and used only if both are as they were.
//!
//! ```text
//! file    magic 8, version u32, 0 u32, identity 16, checksum u64 of what precedes; entries, oldest first
//! entry   checksum u64 of the rest, bytes of the rest after this count u32, hash u64 and first word 4 of the guest
//!         bytes, blob
//! ```
//! All numbers are little-endian, all checksums XXH3. [`Saver`] writes it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;
use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed};

use crate::blob::{Blob, Guest, Key, PAGE, guest_hash_of, key_of, word_at};

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod saver;
pub use saver::Saver;

const MAGIC: [u8; 8] = *b"AILCODE\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 40;
/// Bytes of an entry before its blob.
const ENTRY_HEAD_BYTES: usize = 24;
/// Larger files are not read; with the indices of entries it fits 32 bits.
pub const FILE_MAX_BYTES: u64 = 1 << 30;
/// Name of cache files in the default folder: `MODEL-IDENTITY` and this.
const SUFFIX: &str = ".code";
/// Files of other models and builds that the default folder keeps.
const KEPT_FILES: usize = 12;

/// Why a file is not used, or not written.
#[derive(Debug, Error)]
pub enum CacheError {
    /// The host refused.
    #[error("code cache {}: {what}: {source}", path.display())]
    Host {
        /// The file.
        path: PathBuf,
        /// The step that failed.
        what: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// A file that others could have written, or that is none.
    #[error("code cache {} {why}: remove it or name another file", path.display())]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Something else than a code cache.
    #[error("{} is no code cache: it is left as it is; remove it or name another file", path.display())]
    NotACache {
        /// The file.
        path: PathBuf,
    },
    /// Another build, CPU model or host CPU wrote it.
    #[error("code cache {} was written by another build or for another CPU: it will be replaced", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Damaged in part or as a whole.
    #[error(
        "code cache {} is damaged ({bad_bytes} of {bytes} bytes are not used): what lacks is compiled again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Bytes that are not used.
        bad_bytes: u64,
        /// Bytes of the file.
        bytes: u64,
    },
}

impl CacheError {
    fn host(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> CacheError {
        let path = path.to_owned();
        move |source| CacheError::Host { path, what, source }
    }
}

/// What translated code depends on besides guest bytes: this executable (its code is called at fixed distances), the
/// features of the host CPU, the guest CPU model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity([u8; 16]);

impl Identity {
    /// The identity of the running executable on this host with a guest CPU model. `more`: whatever else the compiler
    /// was told.
    pub fn new(cpu_model: &str, more: &[u8]) -> Result<Identity, CacheError> {
        let exe = Path::new("/proc/self/exe");
        let mut file = File::open(exe).map_err(CacheError::host(exe, "hashing the executable"))?;
        let mut hash = Xxh3::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hash.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(CacheError::host(exe, "hashing the executable")(e)),
            }
        }
        Ok(Identity::of(&[&hash.digest128().to_le_bytes(), &host_features(), cpu_model.as_bytes(), more]))
    }

    fn of(parts: &[&[u8]]) -> Identity {
        let mut hash = Xxh3::with_seed(VERSION.into());
        for part in parts {
            // With its length: parts do not run into each other.
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Identity(hash.digest128().to_le_bytes())
    }

    /// As 16 hexadecimal digits, for names of files.
    fn hex(&self) -> String {
        format!("{:016x}", u128::from_le_bytes(self.0) >> 64)
    }

    fn seed(&self) -> u64 {
        u128::from_le_bytes(self.0) as u64
    }
}

/// Feature words of the host CPU, and which register files its system lets programs use. Neither its stepping nor
/// what differs between its cores (APIC ids) is part of it.
fn host_features() -> Vec<u8> {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    let (one, seven, seven_one, extended) =
        (__cpuid(1), __cpuid_count(7, 0), __cpuid_count(7, 1), __cpuid(0x8000_0001));
    let usable =
        [is_x86_feature_detected!("avx"), is_x86_feature_detected!("avx2"), is_x86_feature_detected!("avx512f")];
    [one.ecx, one.edx, seven.ebx, seven.ecx, seven.edx, seven_one.eax, seven_one.edx, extended.ecx, extended.edx]
        .into_iter()
        .chain(usable.map(u32::from))
        .flat_map(u32::to_le_bytes)
        .collect()
}

/// The file that is used when none is named: in `$XDG_CACHE_HOME/aileron` or `~/.cache/aileron`, one for each CPU model
/// and identity. Makes the folder, for this user alone, and removes the oldest files of other builds beyond a dozen.
/// `None` without a home.
pub fn default_file(cpu_model: &str, identity: &Identity) -> Option<PathBuf> {
    let folder = default_folder(std::env::var_os("XDG_CACHE_HOME"), std::env::var_os("HOME"))?;
    let model: String =
        cpu_model.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    let file = folder.join(format!("{model}-{}{SUFFIX}", identity.hex()));
    // Should this fail, opening or saving says so.
    let _ = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    let _ = prune(&folder, &file);
    Some(file)
}

fn default_folder(xdg: Option<std::ffi::OsString>, home: Option<std::ffi::OsString>) -> Option<PathBuf> {
    // XDG base directory specification: a relative path is to be ignored.
    let absolute = |p: std::ffi::OsString| Some(PathBuf::from(p)).filter(|p| p.is_absolute());
    let base = xdg.and_then(absolute).or_else(|| Some(home.and_then(absolute)?.join(".cache")))?;
    Some(base.join("aileron"))
}

/// Removes all but the [`KEPT_FILES`] newest cache files of a folder, and never `own`.
fn prune(folder: &Path, own: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // What a run left that was killed while saving ends in this as well.
        let ours = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.contains(SUFFIX));
        if ours && path != own && entry.file_type()?.is_file() {
            files.push((entry.metadata()?.modified()?, path));
        }
    }
    files.sort();
    for (_, path) in files.iter().rev().skip(KEPT_FILES) {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

/// What earlier runs compiled.
pub struct Cache {
    path: PathBuf,
    identity: Identity,
    /// What the file held.
    data: Vec<u8>,
    entries: Vec<Entry>,
    /// From [`tag`] to the newest entry with it.
    index: HashMap<u64, u32, BuildHasherDefault<AsIs>>,
    /// The file may be replaced.
    may_replace: bool,
    /// Part of the file is of no use.
    damaged: bool,
}

/// An entry of [`Cache::data`].
struct Entry {
    /// Where it starts.
    at: u32,
    /// Its bytes.
    bytes: u32,
    /// The next older one with the same tag.
    next: u32,
    /// Found in this run.
    used: AtomicBool,
}

/// The end of a chain of entries.
const NO_ENTRY: u32 = u32::MAX;

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("path", &self.path).field("entries", &self.entries.len()).finish()
    }
}

impl Cache {
    /// Reads a file. One that is absent, damaged, of another build or unsafe to use is the same as an empty one; all but
    /// the first get one warning.
    pub fn open(path: &Path, identity: Identity) -> Cache {
        let mut cache = Cache {
            path: path.to_owned(),
            identity,
            data: Vec::new(),
            entries: Vec::new(),
            index: HashMap::default(),
            may_replace: true,
            damaged: false,
        };
        match cache.load() {
            Err(CacheError::Host { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!("{error}");
                cache.damaged = matches!(error, CacheError::Damaged { .. });
                cache.may_replace = cache.damaged || matches!(error, CacheError::Foreign { .. });
            }
            Ok(()) => {}
        }
        cache
    }

    /// Entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether [`Cache::find`] may find something where the instruction at `key.offset` is `word` (its four bytes as they
    /// stand in memory): enough to know in most cases, without the page.
    #[inline]
    pub fn may_hold(&self, key: Key, word: [u8; 4]) -> bool {
        self.index.contains_key(&tag(key, word))
    }

    /// The newest region that was compiled for `key` from the bytes that `page` has now.
    pub fn find(&self, key: Key, page: &[u8; PAGE]) -> Option<Blob> {
        let word = word_at(page, key.offset);
        self.chain(key, word).find_map(|entry| {
            let (guest, bytes) = self.parts(entry);
            if guest.word != word || key_of(bytes) != Ok(key) || guest_hash_of(bytes, page) != Some(guest.hash) {
                return None;
            }
            let blob = Blob::read(bytes).ok()?;
            entry.used.store(true, Ordering::Relaxed);
            Some(blob)
        })
    }

    /// Whether there is one for these guest bytes.
    fn holds(&self, key: Key, guest: Guest) -> bool {
        self.chain(key, guest.word).any(|entry| {
            let (found, bytes) = self.parts(entry);
            found == guest && Blob::read(bytes).is_ok_and(|b| b.key == key)
        })
    }

    fn chain(&self, key: Key, word: [u8; 4]) -> impl Iterator<Item = &Entry> {
        let first = self.index.get(&tag(key, word)).copied().unwrap_or(NO_ENTRY);
        // NO_ENTRY is no index.
        std::iter::successors(self.entries.get(first as usize), |e| self.entries.get(e.next as usize))
    }

    fn raw(&self, entry: &Entry) -> &[u8] {
        &self.data[entry.at as usize..][..entry.bytes as usize]
    }

    fn parts(&self, entry: &Entry) -> (Guest, &[u8]) {
        parts(self.raw(entry))
    }

    fn load(&mut self) -> Result<(), CacheError> {
        self.data = read_own(&self.path)?;
        let bytes = self.data.len() as u64;
        let Some((header, _)) = self.data.split_at_checked(HEADER_BYTES) else {
            // A prefix of a cache, or nothing at all, is a torn cache.
            let common = self.data.len().min(MAGIC.len());
            return Err(if self.data[..common] == MAGIC[..common] {
                CacheError::Damaged { path: self.path.clone(), bad_bytes: bytes, bytes }
            } else {
                CacheError::NotACache { path: self.path.clone() }
            });
        };
        if header[..8] != MAGIC {
            return Err(CacheError::NotACache { path: self.path.clone() });
        }
        if header != header_of(&self.identity) {
            return Err(CacheError::Foreign { path: self.path.clone() });
        }
        let mut at = HEADER_BYTES;
        let mut good = HEADER_BYTES;
        while at < self.data.len() {
            let Some(entry_bytes) = entry_bytes(&self.data[at..]) else { break };
            let entry = &self.data[at..at + entry_bytes];
            if entry[..8] == checksum(&self.identity, &entry[8..]).to_le_bytes() {
                let (guest, blob) = parts(entry);
                if let Ok(key) = key_of(blob) {
                    let n = self.entries.len() as u32;
                    let next = self.index.insert(tag(key, guest.word), n).unwrap_or(NO_ENTRY);
                    // In range: a file has less than 2^32 bytes.
                    let (at, bytes) = (at as u32, entry_bytes as u32);
                    self.entries.push(Entry { at, bytes, next, used: AtomicBool::new(false) });
                    good += entry_bytes;
                }
            }
            at += entry_bytes;
        }
        match bytes - good as u64 {
            0 => Ok(()),
            bad_bytes => Err(CacheError::Damaged { path: self.path.clone(), bad_bytes, bytes }),
        }
    }
}

/// Reads a file that belongs to us and that nobody else can write.
fn read_own(path: &Path) -> Result<Vec<u8>, CacheError> {
    let host = |what| CacheError::host(path, what);
    // Not to wait for whoever writes, should it be a pipe.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file: File = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| host("opening")(e.into()))?.into();
    let found = file.metadata().map_err(host("its owner"))?;
    let euid = rustix::process::geteuid().as_raw();
    let why = if !found.is_file() {
        "is not a regular file".into()
    } else if found.uid() != euid {
        format!("belongs to user {}, not to user {euid} who runs this", found.uid())
    } else if found.mode() & 0o022 != 0 {
        format!("has mode {:o}: others can write it", found.mode() & 0o7777)
    } else if found.len() > FILE_MAX_BYTES {
        format!("has {} bytes, more than {FILE_MAX_BYTES}", found.len())
    } else {
        let mut data = Vec::with_capacity(found.len() as usize);
        file.take(FILE_MAX_BYTES).read_to_end(&mut data).map_err(host("reading"))?;
        return Ok(data);
    };
    Err(CacheError::Unsafe { path: path.to_owned(), why })
}

fn header_of(identity: &Identity) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[16..32].copy_from_slice(&identity.0);
    let sum = xxh3_64(&header[..32]);
    header[32..].copy_from_slice(&sum.to_le_bytes());
    header
}

/// Bytes of the entry that `data` starts with, if it is all there.
fn entry_bytes(data: &[u8]) -> Option<usize> {
    let count = u32::from_le_bytes(*data.get(8..12)?.first_chunk()?) as usize;
    let bytes = 12 + count;
    (bytes >= ENTRY_HEAD_BYTES && bytes <= data.len()).then_some(bytes)
}

fn checksum(identity: &Identity, rest: &[u8]) -> u64 {
    xxh3_64_with_seed(rest, identity.seed())
}

/// The guest bytes and the blob of an entry of at least [`ENTRY_HEAD_BYTES`].
fn parts(entry: &[u8]) -> (Guest, &[u8]) {
    let (head, blob) = entry.split_at(ENTRY_HEAD_BYTES);
    let word = [head[20], head[21], head[22], head[23]];
    let mut hash = [0; 8];
    hash.copy_from_slice(&head[12..20]);
    (Guest { word, hash: u64::from_le_bytes(hash) }, blob)
}

/// What entries are looked up by: what they were compiled for, and their first instruction.
fn tag(key: Key, word: [u8; 4]) -> u64 {
    let what = u64::from(key.mode) << 32 | u64::from(key.offset) << 1 | u64::from(key.counts);
    let product = u128::from(what ^ 0x9E37_79B9_7F4A_7C15)
        * u128::from(u64::from(u32::from_le_bytes(word)) ^ 0xD6E8_FEB8_6659_FD93);
    (product >> 64) as u64 ^ product as u64
}

/// The tags are hashes.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests;
