//! Guest RAM: one mapping, the pages that hold decoded code, and the checked way in for
//! everyone who is not an engine's fast path (devices, hypercalls, RTAS, loaders).

use crate::dirty::Dirty;
use crate::hpt::{HashTable, PageSizes};
use crate::mail::{Hub, Message};
use crate::{PAGE_OFFSET, PAGE_SHIFT, PAGE_SIZE, access};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// A page that is about to hold decoded code: write entries are being withdrawn.
const MARKED: u32 = 1;
/// A page that holds decoded code, and for which no write entry exists.
const CONFIRMED: u32 = 2;
/// The two bits of a page's word that say so; those above count how often its code was dropped.
const STATE: u32 = 3;

/// Less of a file is read by one thread.
const READ_AT_ONCE: usize = 8 << 20;

/// Why guest RAM could not be made or reached.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// A size of zero, or not a multiple of 64 KiB, or more than the host can address.
    #[error("guest RAM of {0} bytes is not possible: it must be a multiple of 64 KiB, above 0 and at most 2^46")]
    Size(u64),
    /// The host refused memory.
    #[error("the host does not give {bytes} bytes for guest RAM: {source}; use a smaller -m")]
    Host {
        /// Bytes asked for.
        bytes: u64,
        /// What the host said.
        source: std::io::Error,
    },
    /// A file whose bytes were to go into RAM.
    #[error("reading a file into guest RAM: {source}")]
    File {
        /// What the host said; [`std::io::ErrorKind::UnexpectedEof`] if it has become shorter.
        source: std::io::Error,
    },
    /// A file whose bytes guest RAM was to show.
    #[error("mapping a file as guest RAM: {source}")]
    Map {
        /// What the host said; [`std::io::ErrorKind::UnexpectedEof`] if it is too short.
        source: std::io::Error,
    },
    /// An access outside of RAM.
    #[error("real address {address:#x} + {len} bytes is outside of the {ram:#x} bytes of guest RAM")]
    OutOfRange {
        /// First byte.
        address: u64,
        /// Length in bytes.
        len: u64,
        /// RAM size in bytes.
        ram: u64,
    },
}

/// The mapping. The only owner of guest RAM; its base never moves.
#[derive(Debug)]
pub struct GuestRam {
    map: memmap2::MmapRaw,
    len: u64,
    /// Parts that show a file's pages where they were not written to.
    from_file: Mutex<Vec<Range<u64>>>,
}

impl GuestRam {
    /// `bytes` of zeroed RAM, a multiple of 64 KiB.
    ///
    /// # Errors
    /// [`RamError::Size`], or [`RamError::Host`].
    pub fn new(bytes: u64) -> Result<Self, RamError> {
        if bytes == 0 || !bytes.is_multiple_of(0x1_0000) || bytes > 1 << 46 {
            return Err(RamError::Size(bytes));
        }
        // Anonymous: hosts seldom have large pages for memory files. What is never touched is not reserved either.
        let map = memmap2::MmapOptions::new().len(bytes as usize).no_reserve_swap().map_anon();
        let map = memmap2::MmapRaw::from(map.map_err(|source| RamError::Host { bytes, source })?);
        // Large pages where the host offers them: a fault for 2 MiB instead of 4 KiB, fewer host TLB misses. Refusal costs
        // nothing.
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(GuestRam { map, len: bytes, from_file: Mutex::default() })
    }

    /// Size in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: RAM has at least 64 KiB.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Host address of real address 0.
    #[inline(always)]
    pub fn base(&self) -> *mut u8 {
        self.map.as_mut_ptr()
    }

    /// Puts other pages in the place of `range`: those of a file from byte `at` on, for this process alone, or zeros.
    #[allow(unsafe_code)]
    fn replace(&self, range: &Range<u64>, file: Option<(&File, u64)>) -> std::io::Result<()> {
        use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous};
        let (flags, access) =
            (MapFlags::PRIVATE | MapFlags::FIXED | MapFlags::NORESERVE, ProtFlags::READ | ProtFlags::WRITE);
        let len = (range.end - range.start) as usize;
        // SAFETY: the range lies within the mapping, which this type alone owns, and no reference into it lives across a call
        // of this type.
        unsafe {
            let to = self.base().add(range.start as usize).cast();
            match file {
                Some((file, at)) => mmap(to, len, access, flags, file, at)?,
                None => mmap_anonymous(to, len, access, flags)?,
            };
        }
        Ok(())
    }

    /// Addresses of all pages that the host has given memory to, in order: all others are zero, and stay without memory as
    /// long as nobody reads them. Of those that show a file's the host does not tell: all of them count.
    fn used_pages(&self) -> impl Iterator<Item = u64> {
        const ENTRY_BYTES: usize = 8;
        // Linux, Documentation/admin-guide/mm/pagemap.rst: present, swapped.
        const USED: u64 = 0b11 << 62;
        let file = File::open("/proc/self/pagemap").ok();
        let host_page = rustix::param::page_size() as u64;
        let (base, len) = (self.base() as u64, self.len);
        let mut entries = vec![0; 512 * ENTRY_BYTES];
        let from_file = self.from_file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let chunk = move |first: u64| {
            let pages = (len.div_ceil(host_page) - first).min(512);
            let bytes = &mut entries[..pages as usize * ENTRY_BYTES];
            let at = (base / host_page + first) * ENTRY_BYTES as u64;
            let known = file.as_ref().is_some_and(|f| f.read_exact_at(bytes, at).is_ok());
            let is_used = |n: usize| {
                let entry: [u8; ENTRY_BYTES] = std::array::from_fn(|i| bytes[n * ENTRY_BYTES + i]);
                // A host that does not tell: then each page is looked at.
                !known
                    || u64::from_ne_bytes(entry) & USED != 0
                    || from_file.iter().any(|range| range.contains(&((first + n as u64) * host_page)))
            };
            (0..pages).filter(|n| is_used(*n as usize)).map(|n| (first + n) * host_page).collect::<Vec<_>>()
        };
        let chunks = (0..len.div_ceil(host_page)).step_by(512);
        chunks.flat_map(chunk).flat_map(move |page| (page..page + host_page).step_by(PAGE_SIZE as usize))
    }
}

/// Guest RAM with code tracking and the vCPUs' mailboxes: what engines and board share.
#[derive(Debug)]
pub struct Memory {
    ram: GuestRam,
    code: Box<[AtomicU32]>,
    pub(crate) dirty: Dirty,
    hub: Hub,
    /// vCPUs have it at hand; this one is for those that start.
    hash_table: Mutex<Arc<HashTable>>,
}

impl Memory {
    /// RAM of `bytes` for a machine of `vcpus`.
    ///
    /// # Errors
    /// See [`GuestRam::new`].
    pub fn new(bytes: u64, vcpus: usize) -> Result<Self, RamError> {
        let ram = GuestRam::new(bytes)?;
        let code = (0..bytes >> PAGE_SHIFT).map(|_| AtomicU32::new(0)).collect();
        let hash_table = Mutex::new(Arc::new(HashTable::none(PageSizes::up_to(16))));
        Ok(Memory { ram, code, dirty: Dirty::new(bytes), hub: Hub::new(vcpus), hash_table })
    }

    /// The vCPUs' mailboxes.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The partition's hash table. It does not change but by [`Memory::set_hash_table`].
    pub fn hash_table(&self) -> Arc<HashTable> {
        self.hash_table.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the partition another hash table. Whoever does so tells the vCPUs ([`Message::HashTable`]).
    pub fn set_hash_table(&self, table: Arc<HashTable>) {
        *self.hash_table.lock().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// RAM size in bytes.
    #[inline(always)]
    pub fn len(&self) -> u64 {
        self.ram.len
    }

    /// Never: RAM has at least 64 KiB.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Host address of real address 0.
    #[inline(always)]
    pub fn base(&self) -> *mut u8 {
        self.ram.base()
    }

    /// Host address of `real`, if `size` bytes from there are RAM.
    #[inline]
    #[allow(unsafe_code)]
    pub fn host(&self, real: u64, size: u64) -> Option<*mut u8> {
        let end = real.checked_add(size)?;
        // SAFETY: real < len, so the pointer stays inside the mapping.
        (end <= self.ram.len).then(|| unsafe { self.ram.base().add(real as usize) })
    }

    fn check(&self, address: u64, len: u64) -> Result<*mut u8, RamError> {
        self.host(address, len).ok_or(RamError::OutOfRange { address, len, ram: self.ram.len })
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// [`RamError::OutOfRange`]; nothing was read.
    #[allow(unsafe_code)]
    pub fn read(&self, real: u64, buf: &mut [u8]) -> Result<(), RamError> {
        let from = self.check(real, buf.len() as u64)?;
        // SAFETY: the range was checked; guest RAM never overlaps `buf`.
        unsafe { access::read_bytes(from, buf) };
        Ok(())
    }

    /// Writes bytes. Decoded code that they replace is dropped everywhere.
    ///
    /// # Errors
    /// [`RamError::OutOfRange`]; nothing was written.
    #[allow(unsafe_code)]
    pub fn write(&self, real: u64, buf: &[u8]) -> Result<(), RamError> {
        let to = self.check(real, buf.len() as u64)?;
        // SAFETY: as for `read`.
        unsafe { access::write_bytes(to, buf) };
        if !buf.is_empty() {
            for page in real >> PAGE_SHIFT..=(real + buf.len() as u64 - 1) >> PAGE_SHIFT {
                self.note_store(page);
            }
        }
        Ok(())
    }

    /// Writes `len` bytes of `file`, from its byte `at` on. No vCPU may run.
    ///
    /// # Errors
    /// [`RamError::OutOfRange`], and nothing was written; [`RamError::File`].
    #[allow(unsafe_code)]
    pub fn write_from_file(&self, real: u64, len: u64, file: &File, at: u64) -> Result<(), RamError> {
        let to = self.check(real, len)?;
        // SAFETY: the range was checked; nobody else touches RAM now, and no reference into it lives across a call of this
        // type.
        let to = unsafe { std::slice::from_raw_parts_mut(to, len as usize) };
        let read = read_by_two(to, file, at);
        if len != 0 {
            (real >> PAGE_SHIFT..=(real + len - 1) >> PAGE_SHIFT).for_each(|page| self.note_store(page));
        }
        read.map_err(|source| RamError::File { source })
    }

    /// Shows the file's bytes from `at` on in the parts `ranges` of RAM, which are in order and of whole pages: byte `at` is
    /// real address 0. What is written stays here, and the file must not change. RAM is as after power-on, and no vCPU runs.
    ///
    /// # Errors
    /// [`RamError::OutOfRange`]; [`RamError::Map`], also of a file that is too short.
    pub fn map_from_file(&self, file: &File, at: u64, ranges: &[Range<u64>]) -> Result<(), RamError> {
        let map = |source| RamError::Map { source };
        let file_bytes = file.metadata().map_err(map)?.len();
        for range in ranges {
            let len = range.end.saturating_sub(range.start);
            self.check(range.start, len)?;
            if at.checked_add(range.end).is_none_or(|end| end > file_bytes) {
                return Err(map(std::io::ErrorKind::UnexpectedEof.into()));
            }
            self.ram.replace(range, Some((file, at + range.start))).map_err(map)?;
            self.ram.from_file.lock().unwrap_or_else(PoisonError::into_inner).push(range.clone());
        }
        Ok(())
    }

    /// Reads a big-endian doubleword with one atomic access if it is aligned.
    #[inline]
    #[allow(unsafe_code)]
    pub fn read_be_u64(&self, real: u64) -> Option<u64> {
        // SAFETY: `host` checked the range.
        self.host(real, 8).map(|p| unsafe { access::load_u64(p) }.swap_bytes())
    }

    /// If the aligned big-endian doubleword at `real` holds `old`, stores `new`; says whether it did.
    #[allow(unsafe_code)]
    pub fn compare_exchange_be_u64(&self, real: u64, old: u64, new: u64) -> bool {
        // SAFETY: `host` checked the range.
        let stored = self.host(real, 8).is_some_and(
            |p| unsafe { access::compare_exchange(p, 8, old.swap_bytes(), new.swap_bytes()) } == old.swap_bytes(),
        );
        if stored {
            self.track(real >> PAGE_SHIFT);
        }
        stored
    }

    /// Whether the real page holds decoded code.
    #[inline]
    pub fn is_code(&self, page: u64) -> bool {
        self.code.get(page as usize).is_some_and(|c| c.load(SeqCst) & STATE != 0)
    }

    /// Says that `from` is about to decode code in the page. Returns true if write entries must be
    /// withdrawn first: the caller withdraws its own, waits with [`Hub::wait_for_all`], calls
    /// [`Memory::confirm_code`], and only then reads the bytes.
    pub fn mark_code(&self, page: u64, from: usize) -> bool {
        let Some(flag) = self.code.get(page as usize) else { return false };
        let was = flag.load(SeqCst);
        if was & STATE == CONFIRMED {
            return false;
        }
        // Another vCPU may be waiting for its withdrawal right now: until it is confirmed, whoever
        // wants to decode withdraws too.
        let _ = flag.compare_exchange(was & !STATE, was & !STATE | MARKED, SeqCst, SeqCst);
        self.hub.broadcast(Some(from), Message::WithdrawWrites { page });
        true
    }

    /// Says that no write entry for the page is left. If somebody wrote meanwhile, the mark is gone, and
    /// a message to drop what is about to be decoded waits in every mailbox.
    pub fn confirm_code(&self, page: u64) {
        if let Some(flag) = self.code.get(page as usize) {
            let was = flag.load(SeqCst);
            if was & STATE == MARKED {
                let _ = flag.compare_exchange(was, was & !STATE | CONFIRMED, SeqCst, SeqCst);
            }
        }
    }

    /// Says that bytes of the page changed: decoded code of it is dropped by every vCPU at its next
    /// block. Cheap when the page holds none and nobody tracks writes.
    #[inline]
    pub fn note_store(&self, page: u64) {
        self.track(page);
        if self.is_code(page) {
            self.drop_code(page);
        }
    }

    /// Which code the page holds, as a number that changes whenever its code is dropped; `None` if nobody may hold code
    /// of it now. Whoever read the page's bytes under one number may use what was made of them under the same number.
    pub fn code_version(&self, page: u64) -> Option<u32> {
        let word = self.code.get(page as usize)?.load(SeqCst);
        (word & STATE == CONFIRMED).then_some(word >> 2)
    }

    #[cold]
    fn drop_code(&self, page: u64) {
        let word = &self.code[page as usize];
        let _ = word.fetch_update(SeqCst, SeqCst, |w| Some((w | STATE).wrapping_add(1)));
        self.hub.broadcast(None, Message::DropCode { page });
    }

    /// All of RAM zero again, as after power-on, with its pages given back to the host. No vCPU may run, and whoever
    /// decoded code of it has to forget it.
    #[allow(unsafe_code)]
    pub fn clear(&self) {
        let from_file = std::mem::take(&mut *self.ram.from_file.lock().unwrap_or_else(PoisonError::into_inner));
        for range in from_file {
            if self.ram.replace(&range, None).is_err() {
                // SAFETY: as below.
                let at = unsafe { self.ram.base().add(range.start as usize) };
                // SAFETY: as below.
                unsafe { std::ptr::write_bytes(at, 0, (range.end - range.start) as usize) };
            }
        }
        // SAFETY: no reference into the mapping lives across a call of this type, and the pages of an anonymous mapping read
        // as zero once they are gone, which is what is wanted.
        if unsafe { self.ram.map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) }.is_err() {
            // SAFETY: the mapping has this length, and nobody else looks at guest RAM now.
            unsafe { std::ptr::write_bytes(self.ram.base(), 0, self.ram.len as usize) };
        }
        self.code.iter().for_each(|w| {
            let _ = w.fetch_update(SeqCst, SeqCst, |w| Some((w | STATE).wrapping_add(1)));
        });
        self.track_all();
    }

    /// Addresses of all pages that may not be zero, in order.
    pub(crate) fn used_pages(&self) -> impl Iterator<Item = u64> {
        self.ram.used_pages()
    }

    /// Feeds every page that is not zero to `f`, in order: what a state hash is taken of.
    pub fn for_each_used_page(&self, mut f: impl FnMut(u64, &[u8; PAGE_SIZE as usize])) {
        let mut buf = [0u8; PAGE_SIZE as usize];
        for address in self.ram.used_pages() {
            self.copy_page(address, &mut buf);
            if buf.iter().any(|b| *b != 0) {
                f(address, &buf);
            }
        }
    }

    /// Address of the first page in which this RAM and `other`, of the same size, differ. No vCPU of either may run.
    pub fn first_different_page(&self, other: &Memory) -> Option<u64> {
        let (mut here, mut there) = ([0u8; PAGE_SIZE as usize], [0u8; PAGE_SIZE as usize]);
        let mut first_of = |used: &GuestRam| {
            used.used_pages().find(|address| {
                self.copy_page(*address, &mut here);
                other.copy_page(*address, &mut there);
                here != there
            })
        };
        // What one never used may be used, and not zero, in the other.
        [first_of(&self.ram), first_of(&other.ram)].into_iter().flatten().min()
    }

    /// A page of RAM, whose address is one of [`GuestRam::used_pages`] here or in RAM of the same size.
    #[allow(unsafe_code)]
    fn copy_page(&self, address: u64, buf: &mut [u8; PAGE_SIZE as usize]) {
        if let Some(from) = self.host(address, PAGE_SIZE) {
            // SAFETY: the page lies inside RAM; both sides are one page long.
            unsafe { std::ptr::copy_nonoverlapping(from, buf.as_mut_ptr(), buf.len()) };
        }
    }
}

/// Fills `to` with the file's bytes from `at` on. Two threads if there is much: most of the time goes into memory that the host
/// has to find and to clear first.
fn read_by_two(to: &mut [u8], file: &File, at: u64) -> std::io::Result<()> {
    let half = if to.len() < READ_AT_ONCE { 0 } else { to.len() / 2 };
    let (first, second) = to.split_at_mut(half);
    let (others, own) = std::thread::scope(|scope| {
        let read = || file.read_exact_at(first, at);
        let other = (half != 0).then(|| std::thread::Builder::new().name("load".into()).spawn_scoped(scope, read));
        let own = file.read_exact_at(second, at.saturating_add(half as u64));
        let others = other.and_then(Result::ok).map(std::thread::ScopedJoinHandle::join);
        (others.and_then(Result::ok), own)
    });
    // Where there is no second thread, one reads all.
    others.unwrap_or_else(|| file.read_exact_at(&mut to[..half], at)).and(own)
}

/// Whether an access of `size` bytes at `address` leaves its 4K page.
#[inline(always)]
pub const fn crosses_page(address: u64, size: u64) -> bool {
    (address & PAGE_OFFSET) + size > PAGE_SIZE
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::pending;

    #[test]
    #[expect(clippy::single_range_in_vec_init, reason = "one part of RAM is meant")]
    fn a_file_shows_where_nobody_wrote() {
        let path = std::env::temp_dir().join(format!("aileron-ram-{}", std::process::id()));
        let mut content = vec![0u8; 0x3_0000];
        content[0x1_0000] = 1;
        content[0x2_0000] = 2;
        std::fs::write(&path, &content).unwrap();
        let file = File::open(&path).unwrap();
        let m = Memory::new(0x4_0000, 1).unwrap();
        // Byte 0x1_0000 of the file is real address 0.
        assert!(m.map_from_file(&file, 0x1_0000, &[0x1_0000..0x3_0000]).is_err(), "the file is too short");
        assert!(m.map_from_file(&file, 0x1_0000, &[0x4_0000..0x5_0000]).is_err(), "outside of RAM");
        m.map_from_file(&file, 0x1_0000, &[0..0x2_0000]).unwrap();
        let byte = |at| {
            let mut b = [0];
            m.read(at, &mut b).unwrap();
            b[0]
        };
        assert_eq!((byte(0), byte(0x1_0000), byte(0x3_0000)), (1, 2, 0));
        m.write(0x1_0000, &[9]).unwrap();
        m.write(0x3_0000, &[8]).unwrap();
        let mut used = Vec::new();
        m.for_each_used_page(|address, page| used.push((address, page[0])));
        assert_eq!(used, [(0, 1), (0x1_0000, 9), (0x3_0000, 8)]);
        assert_eq!(std::fs::read(&path).unwrap(), content, "what is written stays here");
        m.clear();
        m.for_each_used_page(|address, _| panic!("{address:#x} is not zero"));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_large_file_is_read_as_a_whole() {
        let path = std::env::temp_dir().join(format!("aileron-large-{}", std::process::id()));
        let content: Vec<u8> = (0..9_000_001u32).map(|n| (n >> 12) as u8 ^ n as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = File::open(&path).unwrap();
        let m = Memory::new(16 << 20, 1).unwrap();
        let (at, len) = (1, content.len() as u64 - 1);
        m.write_from_file(0x123, len, &file, at).unwrap();
        let mut there = vec![0; 16 << 20];
        m.read(0, &mut there).unwrap();
        assert!(there[0x123..0x123 + len as usize] == content[1..], "it is what the file holds");
        assert!(there[..0x123].iter().chain(&there[0x123 + len as usize..]).all(|b| *b == 0), "and nothing beside it");
        // Too short by its end, by half, and altogether.
        for at in [2, 5_000_000, u64::MAX - 5] {
            let error = m.write_from_file(0, len, &file, at).unwrap_err();
            assert!(matches!(error, RamError::File { .. }), "{error}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn wild_addresses_are_errors() {
        let m = Memory::new(0x1_0000, 1).unwrap();
        for (address, len) in [(0x1_0000, 1), (0xFFFF, 2), (u64::MAX, 1), (u64::MAX - 3, 8)] {
            assert!(m.write(address, &vec![0; len]).is_err(), "{address:#x}");
            assert!(m.host(address, len as u64).is_none());
        }
        m.write(0xFFFF, &[7]).unwrap();
        let mut b = [0];
        m.read(0xFFFF, &mut b).unwrap();
        assert_eq!(b, [7]);
        assert!(matches!(Memory::new(0, 1), Err(RamError::Size(0))));
        assert!(matches!(Memory::new(1 << 60, 1), Err(RamError::Size(_))));
    }

    #[test]
    fn clear_leaves_nothing() {
        let m = Memory::new(0x2_0000, 1).unwrap();
        m.write(0x1_2345, &[1, 2, 3]).unwrap();
        m.mark_code(0x12, 0);
        m.clear();
        m.for_each_used_page(|page, _| panic!("{page:#x} is not zero"));
        assert!(!m.is_code(0x12));
    }

    #[test]
    fn used_pages_and_differences() {
        let (a, b) = (Memory::new(0x100_0000, 1).unwrap(), Memory::new(0x100_0000, 1).unwrap());
        let used = |m: &Memory| {
            let mut pages = Vec::new();
            m.for_each_used_page(|page, bytes| pages.push((page, bytes[0xABC])));
            pages
        };
        assert_eq!((used(&a), a.first_different_page(&b)), (vec![], None));
        for page in [0, 0x12_3000, 0xFF_F000] {
            b.write(page | 0xABC, &[7]).unwrap();
        }
        assert_eq!(used(&b), [(0, 7), (0x12_3000, 7), (0xFF_F000, 7)]);
        assert_eq!((a.first_different_page(&b), b.first_different_page(&a)), (Some(0), Some(0)));
        a.write(0xABC, &[7]).unwrap();
        a.write(0x12_3ABC, &[6]).unwrap();
        assert_eq!(a.first_different_page(&b), Some(0x12_3000));
        a.write(0x12_3ABC, &[7]).unwrap();
        assert_eq!(b.first_different_page(&a), Some(0xFF_F000));
        b.write(0xFF_FABC, &[0]).unwrap();
        assert_eq!(b.first_different_page(&a), None);
    }

    #[test]
    fn a_write_to_code_tells_every_vcpu() {
        let m = Memory::new(0x2_0000, 2).unwrap();
        assert!(m.mark_code(3, 0));
        assert!(m.mark_code(3, 0), "not confirmed yet");
        m.confirm_code(3);
        assert!(!m.mark_code(3, 1), "confirmed");
        assert_eq!(m.hub().mailbox(1).take().0, [Message::WithdrawWrites { page: 3 }; 2]);
        m.write(0x2FFF, &[1, 2]).unwrap();
        for v in 0..2 {
            assert_ne!(m.hub().mailbox(v).pending() & pending::MAIL, 0);
            assert_eq!(m.hub().mailbox(v).take().0, [Message::DropCode { page: 3 }]);
        }
        m.write(0x3000, &[1]).unwrap();
        assert!(m.hub().mailbox(0).take().0.is_empty(), "told once");
    }
}
