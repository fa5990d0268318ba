//! Where machine code lives: one piece of shared memory, mapped twice. Code is written through one mapping and runs in
//! the other, so that no address is ever writable and executable.
//!
//! The arena is a ring of segments. Code is placed in the current one from bottom to top; when all are full the owner
//! has the oldest evicted as a whole. Whether a thread still runs there only the owner knows.
//!
//! All accesses are atomic words: threads may patch, read and run code at the same time. x86-64 keeps instruction
//! fetches coherent with stores by physical address, and sees an aligned 8-byte store as a whole.

use std::io;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mprotect, mremap, munmap,
};
use thiserror::Error;

use crate::blob::CODE_ALIGN;

/// Segments of an arena.
pub const SEGMENTS: usize = 8;
/// Least bytes of an arena.
pub const ARENA_MIN_BYTES: usize = 1 << 20;
/// Most bytes of an arena: every `rel32` reaches all of it.
pub const ARENA_MAX_BYTES: usize = 1 << 30;
/// Code is written from bottom to top; each time that it has passed so many bytes, the writable mapping lets go of them.
const WRITTEN_BYTES: usize = 1 << 20;
/// What gaps between places hold: `int3`.
const TRAP: u8 = 0xCC;

/// Why there is no arena, or no change to it.
#[derive(Debug, Error)]
pub enum ArenaError {
    /// Too small or too large.
    #[error("a code arena of {bytes} bytes was asked for: it must have {ARENA_MIN_BYTES} to {ARENA_MAX_BYTES}")]
    Size {
        /// What was asked for.
        bytes: usize,
    },
    /// The host refused.
    #[error("the host gives no memory for {bytes} bytes of translated code ({what}): {source}")]
    Host {
        /// What was asked for.
        bytes: usize,
        /// The step that failed.
        what: &'static str,
        /// What the host said.
        source: io::Error,
    },
    /// Code that does not fit where it shall go.
    #[error("{found} bytes of code do not fit a place of {expected}")]
    Fit {
        /// Bytes of the place.
        expected: usize,
        /// Bytes of the code.
        found: usize,
    },
    /// The place was evicted since.
    #[error("the place of this code was evicted: allocate again")]
    Evicted,
    /// A jump that cannot be patched.
    #[error("the jump at {rel32:#x} cannot lead to {target:#x}: {why}")]
    Patch {
        /// Executable address of its `rel32`.
        rel32: u64,
        /// Where it should lead.
        target: u64,
        /// What is wrong.
        why: &'static str,
    },
}

/// A place for code that [`Arena::allocate`] gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    offset: usize,
    len: usize,
    segment: usize,
    /// Evictions of the segment before.
    generation: u64,
}

impl Placed {
    /// Bytes asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none were.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// How an arena is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that it can hold.
    pub capacity_bytes: usize,
    /// Bytes that are taken now, gaps of alignment included.
    pub used_bytes: usize,
    /// The most that were ever taken: about what the host has given memory for.
    pub peak_bytes: usize,
    /// Places given.
    pub placed: u64,
    /// Segments evicted.
    pub evicted: u64,
    /// Bytes evicted.
    pub evicted_bytes: u64,
}

#[derive(Default)]
struct State {
    /// Bytes taken of each segment.
    used: [usize; SEGMENTS],
    /// Times each segment was evicted.
    generation: [u64; SEGMENTS],
    /// The segment that is being filled. Those in use are this one and a run of the ring right before it.
    current: usize,
    usage: Usage,
}

/// Executable memory. Shared by the threads that compile, install and run.
pub struct Arena {
    write: Mapping,
    exec: Mapping,
    segment_bytes: usize,
    state: Mutex<State>,
}

/// Memory that is shared with other mappings of it. Not a memory file, though it is the same to the kernel: `perf` looks
/// into its map of names only for memory that has no file.
struct Mapping {
    /// An address, exposed.
    start: usize,
    bytes: usize,
}

impl Mapping {
    /// New memory, readable and writable.
    fn new(bytes: usize) -> rustix::io::Result<Mapping> {
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        #[allow(unsafe_code)]
        // SAFETY: a new mapping, where the kernel likes.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, flags)? };
        Ok(Mapping { start: start.expose_provenance(), bytes })
    }

    /// The same memory a second time, readable and executable.
    fn executable(&self) -> rustix::io::Result<Mapping> {
        let start = std::ptr::with_exposed_provenance_mut(self.start);
        #[allow(unsafe_code)]
        // SAFETY: an old size of 0 leaves the old mapping alone and makes another one of the same memory.
        let start = unsafe { mremap(start, 0, self.bytes, MremapFlags::MAYMOVE)? };
        let mapping = Mapping { start: start.expose_provenance(), bytes: self.bytes };
        #[allow(unsafe_code)]
        // SAFETY: nobody uses the new mapping yet.
        unsafe {
            mprotect(start, self.bytes, MprotectFlags::READ | MprotectFlags::EXEC)?;
        }
        Ok(mapping)
    }

    /// Lets go of the pages of a range here, though not of what they hold: the host counts memory once for each mapping
    /// that has it. The next access has them back.
    fn let_go(&self, range: Range<usize>) {
        debug_assert!(range.start.is_multiple_of(4096) && range.start <= range.end && range.end <= self.bytes);
        let start = std::ptr::with_exposed_provenance_mut(self.start + range.start);
        #[allow(unsafe_code)]
        // SAFETY: within the mapping; shared memory keeps what it holds. Should it fail, nothing is lost.
        let _ = unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) };
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[allow(unsafe_code)]
        // SAFETY: nobody has a reference into it. That nobody runs there is what whoever runs there promised.
        let _ = unsafe { munmap(std::ptr::with_exposed_provenance_mut(self.start), self.bytes) };
    }
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena").field("range", &self.range()).field("usage", &self.usage()).finish()
    }
}

impl Arena {
    /// An arena of `bytes`, rounded up to whole pages a segment. The host gives memory as it is used.
    pub fn new(bytes: usize) -> Result<Arena, ArenaError> {
        if !(ARENA_MIN_BYTES..=ARENA_MAX_BYTES).contains(&bytes) {
            return Err(ArenaError::Size { bytes });
        }
        let segment_bytes = bytes.div_ceil(SEGMENTS).next_multiple_of(4096);
        let total = segment_bytes * SEGMENTS;
        let failed = |what| move |e: rustix::io::Errno| ArenaError::Host { bytes: total, what, source: e.into() };
        let write = Mapping::new(total).map_err(failed("memory"))?;
        let exec = write.executable().map_err(failed("executable mapping"))?;
        Ok(Arena { write, exec, segment_bytes, state: Mutex::default() })
    }

    /// Most bytes that [`Arena::allocate`] can ever give at once.
    pub fn segment_bytes(&self) -> usize {
        self.segment_bytes
    }

    /// All executable addresses.
    pub fn range(&self) -> Range<u64> {
        let start = self.exec.start as u64;
        start..start + self.bytes() as u64
    }

    fn bytes(&self) -> usize {
        self.segment_bytes * SEGMENTS
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that could panic runs under the lock.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A place for `len` bytes at a multiple of [`CODE_ALIGN`]. `None`: all segments are full, one has to be evicted;
    /// or `len` is more than [`Arena::segment_bytes`], and no eviction will help.
    pub fn allocate(&self, len: usize) -> Option<Placed> {
        if len > self.segment_bytes {
            return None;
        }
        let taken = len.max(1).next_multiple_of(CODE_ALIGN);
        let s = &mut *self.state();
        if s.used[s.current] + taken > self.segment_bytes {
            let next = (s.current + 1) % SEGMENTS;
            if s.used[next] != 0 {
                return None;
            }
            s.current = next;
        }
        let segment = s.current;
        let offset = segment * self.segment_bytes + s.used[segment];
        let (was, is) = (s.used[segment] / WRITTEN_BYTES, (s.used[segment] + taken) / WRITTEN_BYTES);
        if was != is {
            let bottom = segment * self.segment_bytes;
            self.write.let_go(bottom + was * WRITTEN_BYTES..bottom + is * WRITTEN_BYTES);
        }
        s.used[segment] += taken;
        s.usage.placed += 1;
        s.usage.used_bytes += taken;
        s.usage.peak_bytes = s.usage.peak_bytes.max(s.usage.used_bytes);
        Some(Placed { offset, len, segment, generation: s.generation[segment] })
    }

    /// The executable addresses that [`Arena::evict_oldest`] would free (none if all are empty). Once
    /// [`Arena::allocate`] found no room they stay the same until then.
    pub fn oldest(&self) -> Range<u64> {
        self.oldest_of(&self.state()).map_or(self.range().start..self.range().start, |(_, range)| range)
    }

    /// The segment that was filled first, and its executable addresses.
    fn oldest_of(&self, s: &State) -> Option<(usize, Range<u64>)> {
        let segment = (1..=SEGMENTS).map(|n| (s.current + n) % SEGMENTS).find(|&n| s.used[n] != 0)?;
        let start = self.range().start + (segment * self.segment_bytes) as u64;
        Some((segment, start..start + self.segment_bytes as u64))
    }

    /// Frees the segment that was filled first and returns its executable addresses (none if all are empty): what lies
    /// there is gone. The caller has made sure that no thread runs there, will return there or has a jump into it.
    pub fn evict_oldest(&self) -> Range<u64> {
        let s = &mut *self.state();
        let Some((segment, range)) = self.oldest_of(s) else { return self.range().start..self.range().start };
        let bytes = std::mem::take(&mut s.used[segment]);
        s.generation[segment] += 1;
        s.usage.used_bytes -= bytes;
        s.usage.evicted += 1;
        s.usage.evicted_bytes += bytes as u64;
        if cfg!(debug_assertions) {
            // Whoever still comes here shall be found out.
            let offset = segment * self.segment_bytes;
            (offset..offset + bytes).step_by(8).for_each(|at| self.store(at, [TRAP; 8]));
        }
        range
    }

    /// Puts code into its place. Nobody may run there before.
    pub fn write(&self, placed: &Placed, code: &[u8]) -> Result<(), ArenaError> {
        if code.len() > placed.len {
            return Err(ArenaError::Fit { expected: placed.len, found: code.len() });
        }
        // Held while writing: no eviction in between.
        let s = self.state();
        if s.generation[placed.segment] != placed.generation {
            return Err(ArenaError::Evicted);
        }
        let end = placed.offset + placed.len.max(1).next_multiple_of(CODE_ALIGN);
        let (words, tail) = code.as_chunks::<8>();
        let mut last = [TRAP; 8];
        last[..tail.len()].copy_from_slice(tail);
        let all = words.iter().copied().chain([last]).chain(std::iter::repeat([TRAP; 8]));
        (placed.offset..end).step_by(8).zip(all).for_each(|(at, word)| self.store(at, word));
        Ok(())
    }

    /// Where code runs that was written to `placed`.
    pub fn exec_address(&self, placed: &Placed) -> u64 {
        self.range().start + placed.offset as u64
    }

    /// A copy of the bytes at executable addresses, as they are now; `None` if they leave the arena.
    pub fn read(&self, exec_address: u64, len: usize) -> Option<Vec<u8>> {
        let from = self.offset_of(exec_address, len)?;
        let words =
            (from & !7..from + len).step_by(8).flat_map(|at| self.word(at).load(Ordering::Relaxed).to_le_bytes());
        Some(words.skip(from & 7).take(len).collect())
    }

    /// Makes the jump whose `rel32` lies at executable address `rel32` lead to `target` (any address that it reaches),
    /// by one aligned 8-byte compare-and-swap: whoever runs there meanwhile jumps to the old or to the new target.
    pub fn patch_rel32(&self, rel32: u64, target: u64) -> Result<(), ArenaError> {
        let failed = |why| ArenaError::Patch { rel32, target, why };
        let at = self.offset_of(rel32, 4).ok_or_else(|| failed("it is not in the arena"))?;
        if at % 8 > 4 {
            return Err(failed("it crosses an 8-byte boundary"));
        }
        let distance = i32::try_from(target.wrapping_sub(rel32 + 4) as i64).map_err(|_| failed("it is too far"))?;
        let shift = at % 8 * 8;
        let change = |was| Some(was & !(0xFFFF_FFFF << shift) | u64::from(distance as u32) << shift);
        // Release: whoever sees the jump sees the code that it leads to. It never fails: the closure has an answer.
        let _ = self.word(at & !7).fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
        Ok(())
    }

    /// How it is used.
    pub fn usage(&self) -> Usage {
        Usage { capacity_bytes: self.bytes(), ..self.state().usage }
    }

    /// Offset of `len` bytes at an executable address, all of which are in the arena.
    fn offset_of(&self, exec_address: u64, len: usize) -> Option<usize> {
        let offset = usize::try_from(exec_address.checked_sub(self.range().start)?).ok()?;
        (offset.checked_add(len)? <= self.bytes()).then_some(offset)
    }

    /// The aligned word at `offset`, writable.
    fn word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset < self.bytes());
        #[allow(unsafe_code)]
        // SAFETY: aligned, within the mapping that lives as long as `self`, and accessed by atomic words only.
        unsafe {
            AtomicU64::from_ptr(std::ptr::with_exposed_provenance_mut(self.write.start + offset))
        }
    }

    fn store(&self, offset: usize, word: [u8; 8]) {
        self.word(offset).store(u64::from_le_bytes(word), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `mov eax, value; ret`
    fn returns(value: u8) -> Vec<u8> {
        vec![0xB8, value, 0, 0, 0, 0xC3]
    }

    fn place(arena: &Arena, code: &[u8]) -> u64 {
        let placed = arena.allocate(code.len()).unwrap();
        arena.write(&placed, code).unwrap();
        arena.exec_address(&placed)
    }

    fn run(address: u64) -> u32 {
        #[allow(unsafe_code)]
        // SAFETY: the tests put a function without arguments there.
        unsafe {
            std::mem::transmute::<u64, extern "sysv64" fn() -> u32>(address)()
        }
    }

    /// Three `nop` and a jump whose `rel32` is aligned.
    const JUMP: [u8; 8] = [0x90, 0x90, 0x90, 0xE9, 0, 0, 0, 0];

    #[test]
    fn code_runs_and_is_patched() {
        let arena = Arena::new(ARENA_MIN_BYTES).unwrap();
        let (one, two) = (place(&arena, &returns(1)), place(&arena, &returns(2)));
        assert_eq!((run(one), run(two)), (1, 2));
        assert_eq!(arena.read(two, 6).unwrap(), returns(2));
        assert_eq!(arena.read(two + 1, 15).unwrap()[3..], [&[0, 0xC3][..], &[TRAP; 10]].concat());
        let jump = place(&arena, &JUMP);
        assert_eq!(jump % CODE_ALIGN as u64, 0);
        for target in [one, two, one] {
            arena.patch_rel32(jump + 4, target).unwrap();
            assert_eq!(run(jump), if target == one { 1 } else { 2 });
        }
        for wrong in [jump + 5, jump + 7, 0, 16, u64::MAX - 1, arena.range().end - 3] {
            assert!(matches!(arena.patch_rel32(wrong, one), Err(ArenaError::Patch { .. })), "{wrong:#x}");
        }
        assert!(matches!(arena.patch_rel32(jump + 4, jump ^ 1 << 40), Err(ArenaError::Patch { .. })), "too far");
        assert_eq!(run(jump), 1, "as it was");
        assert_eq!(arena.read(arena.range().end - 1, 2), None);
        assert_eq!(arena.read(u64::MAX, usize::MAX), None);
    }

    #[test]
    fn patched_by_many_while_it_runs() {
        let arena = Arena::new(ARENA_MIN_BYTES).unwrap();
        let targets = [place(&arena, &returns(1)), place(&arena, &returns(2))];
        // Two offsets that share a word, as data: no two jumps are that close.
        let at = place(&arena, &[0; 16]);
        let jump = place(&arena, &JUMP);
        arena.patch_rel32(jump + 4, targets[0]).unwrap();
        std::thread::scope(|s| {
            for half in 0..2u64 {
                let arena = &arena;
                s.spawn(move || {
                    for n in 0..20_000usize {
                        arena.patch_rel32(at + 4 * half, targets[n % 2]).unwrap();
                        arena.patch_rel32(jump + 4, targets[n % 2]).unwrap();
                    }
                });
            }
            for _ in 0..20_000 {
                assert!(matches!(run(jump), 1 | 2));
            }
        });
        // Neither thread lost what the other wrote beside it.
        for half in 0..2 {
            let rel = arena.read(at + 4 * half, 4).unwrap();
            let rel = i32::from_le_bytes(rel.try_into().unwrap());
            assert_eq!((at + 4 * half + 4).wrapping_add_signed(rel.into()), targets[1]);
        }
    }

    #[test]
    fn no_address_is_writable_and_executable() {
        let arena = Arena::new(ARENA_MIN_BYTES).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let permissions = |address: u64| {
            let line = maps.lines().find(|line| {
                let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
                (u64::from_str_radix(from, 16).unwrap()..u64::from_str_radix(to, 16).unwrap()).contains(&address)
            });
            let line = line.unwrap();
            assert!(line.contains("/dev/zero"), "not what perf looks names up for: {line}");
            line.split(' ').nth(1).unwrap().to_owned()
        };
        assert_eq!(permissions(arena.range().start), "r-xs");
        assert_eq!(permissions(arena.range().end - 1), "r-xs");
        assert_eq!(permissions(arena.write.start as u64), "rw-s");
        assert!(!maps.lines().any(|line| line.split(' ').nth(1).unwrap().starts_with("rwx")), "{maps}");
    }

    #[test]
    fn memory_counts_once() {
        let arena = Arena::new(64 << 20).unwrap();
        let placed: Vec<_> = (0..6000u32).map(|n| (n, arena.allocate(1000).unwrap())).collect();
        for (n, placed) in &placed {
            arena.write(placed, &n.to_le_bytes().repeat(250)).unwrap();
        }
        // The same again, as it comes in use: written when the next is not allocated yet.
        let before = resident_kb(arena.write.start as u64);
        for n in 6000..12000u32 {
            let placed = arena.allocate(1000).unwrap();
            arena.write(&placed, &n.to_le_bytes().repeat(250)).unwrap();
        }
        let grown = resident_kb(arena.write.start as u64) - before;
        assert!(grown <= 3 << 10, "{grown} KiB for 6 MiB of code");
        for (n, placed) in &placed {
            assert_eq!(arena.read(arena.exec_address(placed), 1000).unwrap(), n.to_le_bytes().repeat(250));
        }
    }

    /// What the host counts for the mapping that starts at an address.
    fn resident_kb(start: u64) -> i64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mapping = &maps[maps.find(&format!("{start:x}-")).unwrap()..];
        let line = mapping.lines().find(|l| l.starts_with("Rss:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn segments_are_evicted_in_order() {
        let arena = Arena::new(ARENA_MIN_BYTES).unwrap();
        let start = arena.range().start;
        let segment = arena.segment_bytes() as u64;
        assert!(arena.evict_oldest().is_empty(), "nothing to free");
        let half = arena.segment_bytes() / 2;
        let places: Vec<_> = (0..2 * SEGMENTS).map(|_| arena.allocate(half).unwrap()).collect();
        assert!(arena.allocate(1).is_none(), "full");
        assert_eq!(arena.usage().used_bytes, ARENA_MIN_BYTES);
        // Twice round the ring.
        for n in 0..2 * SEGMENTS as u64 {
            let at = start + n % SEGMENTS as u64 * segment;
            assert_eq!(arena.evict_oldest(), at..at + segment);
            let again = arena.allocate(half).unwrap();
            assert_eq!(arena.exec_address(&again), at);
            arena.allocate(half).unwrap();
            assert!(arena.allocate(1).is_none());
            arena.write(&again, &returns(n as u8)).unwrap();
            assert_eq!(run(at), n as u32);
        }
        assert!(matches!(arena.write(&places[0], &[1]), Err(ArenaError::Evicted)));
        // All at once: the current one is the last.
        for n in 0..SEGMENTS {
            assert_eq!(arena.evict_oldest().start, start + n as u64 * segment);
        }
        assert!(arena.evict_oldest().is_empty());
        let usage = arena.usage();
        assert_eq!((usage.used_bytes, usage.evicted), (0, 3 * SEGMENTS as u64));
        assert_eq!(usage.peak_bytes, ARENA_MIN_BYTES);
        assert!(arena.allocate(half).is_some());
    }

    #[test]
    fn sizes_are_checked() {
        for bytes in [0, ARENA_MIN_BYTES - 1, ARENA_MAX_BYTES + 1, usize::MAX] {
            assert!(matches!(Arena::new(bytes), Err(ArenaError::Size { .. })), "{bytes}");
        }
        let arena = Arena::new(ARENA_MIN_BYTES + 1).unwrap();
        assert!(arena.usage().capacity_bytes > ARENA_MIN_BYTES);
        for too_many in [arena.segment_bytes() + 1, usize::MAX] {
            assert!(arena.allocate(too_many).is_none());
        }
        assert!(arena.allocate(arena.segment_bytes()).is_some());
        let placed = arena.allocate(0).unwrap();
        assert!(placed.is_empty() && arena.allocate(1).is_some_and(|p| p.offset == placed.offset + CODE_ALIGN));
        assert!(matches!(arena.write(&placed, &[0]), Err(ArenaError::Fit { expected: 0, found: 1 })));
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&arena);
    }
}
