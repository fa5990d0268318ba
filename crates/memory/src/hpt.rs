//! The hash table of a partition that translates by one: its entries, who uses them, and where an address is looked for
//! (Power ISA 2.07B, Book III-S, 5.7.7; LoPAPR, 14.5.4.1).
//!
//! The table is the hypervisor's: the guest reaches it by hypercalls alone. An entry is two doublewords in the host's
//! order. There is no lock but one bit of each entry, [`v::LOCK`], which keeps hypercalls on one entry apart. Walkers do
//! not look at it: who changes an entry tells the vCPUs that use it ([`HashTable::take_users`]), and waits, before it
//! relies on nobody using the old one.

mod entry;

pub use entry::{ENCODINGS, Encoding, PageSizes, VirtualPage, r, v};

use cpu::slb::{SHIFT_1T, SHIFT_256M, SlbEntry};
use entry::AVPN_OMITS;
use snapshot::{FieldError, Io};
use std::sync::atomic::{
    AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst,
};

/// Entries of a group.
pub const GROUP: u64 = 8;
/// log2 of the smallest table in bytes.
pub const SHIFT_MIN: u32 = 18;
/// log2 of the largest one.
pub const SHIFT_MAX: u32 = 46;

/// log2 of the size in bytes of a table for `ram_bytes` of RAM: 1/128 of it, a power of two.
pub fn shift_for(ram_bytes: u64) -> u32 {
    ram_bytes.checked_next_power_of_two().map_or(64, u64::trailing_zeros).saturating_sub(7).clamp(SHIFT_MIN, SHIFT_MAX)
}

/// An entry that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub index: u64,
    /// Its first doubleword, without the hypervisor's bits.
    pub v: u64,
    /// Its second doubleword.
    pub r: u64,
    /// log2 of the page's actual size in bytes.
    pub actual: u32,
}

/// The table.
pub struct HashTable {
    words: Box<[AtomicU64]>,
    /// For each entry, which vCPUs may have it in their TLB: bit n is for numbers n modulo 32.
    users: Box<[AtomicU32]>,
    shift: u32,
    sizes: PageSizes,
}

impl std::fmt::Debug for HashTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HashTable").field("shift", &self.shift).finish_non_exhaustive()
    }
}

/// `count` zeros, for which the host gives memory when they are used.
#[allow(unsafe_code)]
fn words(count: usize) -> Box<[AtomicU64]> {
    let words = Box::into_raw(vec![0u64; count].into_boxed_slice());
    // SAFETY: the allocation is a box of `u64`, and `AtomicU64` has the same layout.
    unsafe { Box::from_raw(words as *mut [AtomicU64]) }
}

/// As [`words`].
#[allow(unsafe_code)]
fn half_words(count: usize) -> Box<[AtomicU32]> {
    let words = Box::into_raw(vec![0u32; count].into_boxed_slice());
    // SAFETY: the allocation is a box of `u32`, and `AtomicU32` has the same layout.
    unsafe { Box::from_raw(words as *mut [AtomicU32]) }
}

/// The bit of a vCPU in [`HashTable::take_users`].
pub const fn user(vcpu: usize) -> u32 {
    1 << (vcpu % 32)
}

impl HashTable {
    /// An empty table of `1 << shift` bytes.
    pub fn new(shift: u32, sizes: PageSizes) -> Self {
        let shift = shift.clamp(SHIFT_MIN, SHIFT_MAX);
        HashTable { words: words(1 << (shift - 3)), users: half_words(1 << (shift - 4)), shift, sizes }
    }

    /// No entries: of a partition that translates by radix trees.
    pub fn none(sizes: PageSizes) -> Self {
        HashTable { words: Box::default(), users: Box::default(), shift: 0, sizes }
    }

    /// log2 of its size in bytes; 0 if there is none.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Page sizes that may be used.
    pub fn sizes(&self) -> PageSizes {
        self.sizes
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        self.words.len() as u64 / 2
    }

    fn group_mask(&self) -> u64 {
        (self.entries() / GROUP).wrapping_sub(1)
    }

    #[inline]
    fn word(&self, index: u64, second: usize) -> &AtomicU64 {
        &self.words[index as usize * 2 + second]
    }

    /// Both doublewords of entry `index`, without the hypervisor's bits.
    ///
    /// # Panics
    /// Here and below: if there is no such entry.
    pub fn read(&self, index: u64) -> (u64, u64) {
        let v = self.word(index, 0).load(Acquire);
        (v & !v::HYPERVISOR, self.word(index, 1).load(Acquire))
    }

    /// Locks entry `index`, and returns its first doubleword. `relax` is called while somebody else has it.
    pub fn lock(&self, index: u64, mut relax: impl FnMut()) -> u64 {
        loop {
            match self.try_lock_any(index) {
                Some(v) => return v,
                None => relax(),
            }
        }
    }

    /// Locks entry `index` if it is free: not valid, and not locked.
    pub fn try_lock_free(&self, index: u64) -> bool {
        self.try_lock(index, |v| v & v::V == 0).is_some()
    }

    /// Locks entry `index` if nobody has locked it, and returns its first doubleword.
    pub fn try_lock_any(&self, index: u64) -> Option<u64> {
        self.try_lock(index, |_| true)
    }

    fn try_lock(&self, index: u64, wanted: impl Fn(u64) -> bool) -> Option<u64> {
        let word = self.word(index, 0);
        let now = word.load(Relaxed);
        (now & v::LOCK == 0 && wanted(now) && word.compare_exchange(now, now | v::LOCK, SeqCst, Relaxed).is_ok())
            .then_some(now)
    }

    /// Unlocks entry `index`, whose first doubleword is `v` from now on.
    pub fn unlock(&self, index: u64, v: u64) {
        self.word(index, 0).store(v & !v::HYPERVISOR, Release);
    }

    /// Makes entry `index`, which the caller has locked, invalid; it stays locked.
    pub fn withdraw(&self, index: u64) {
        self.word(index, 0).store(v::LOCK, SeqCst);
    }

    /// Second doubleword of entry `index`.
    pub fn second(&self, index: u64) -> u64 {
        self.word(index, 1).load(Acquire)
    }

    /// Sets it, of an entry that is locked and not valid.
    pub fn set_second(&self, index: u64, r: u64) {
        self.word(index, 1).store(r, Release);
    }

    /// Replaces the bits under `mask` of the second doubleword, of an entry that is locked. Returns the old one.
    pub fn update_second(&self, index: u64, mask: u64, value: u64) -> u64 {
        let word = self.word(index, 1);
        let mut old = word.load(Relaxed);
        loop {
            match word.compare_exchange_weak(old, old & !mask | value & mask, SeqCst, Relaxed) {
                Ok(_) => return old,
                Err(now) => old = now,
            }
        }
    }

    /// Sets reference and change bits of an entry as a walker found it. False if it is not so any more.
    pub fn note_use(&self, found: &Found, bits: u64) -> bool {
        found.r & bits == bits
            || self.word(found.index, 1).compare_exchange(found.r, found.r | bits, SeqCst, Relaxed).is_ok()
    }

    /// Says that vCPU `vcpu` is about to enter what it found into its TLB. False if it is not so any more.
    pub fn note_user(&self, found: &Found, vcpu: usize) -> bool {
        let users = &self.users[found.index as usize];
        if users.load(SeqCst) & user(vcpu) != 0 {
            return true;
        }
        // Whoever changes the entry changes it first and then looks here: either it finds the bit, or this its change.
        users.fetch_or(user(vcpu), SeqCst);
        let (v, r) = (self.word(found.index, 0).load(SeqCst), self.word(found.index, 1).load(SeqCst));
        v & !v::HYPERVISOR == found.v && (r ^ found.r) & !(r::R | r::C) == 0
    }

    /// The vCPUs that may use entry `index` as it was before the caller changed it ([`user`]); from now on it is nobody's.
    pub fn take_users(&self, index: u64) -> u32 {
        let users = &self.users[index as usize];
        if users.load(SeqCst) == 0 { 0 } else { users.swap(0, SeqCst) }
    }

    /// Looks for the page of `ea`, in the segment of `entry`.
    pub fn look_up(&self, entry: &SlbEntry, ea: u64) -> Option<Found> {
        let base = self.sizes.base_of(entry)?;
        if self.words.is_empty() {
            return None;
        }
        let page = VirtualPage::new(entry, ea, base);
        let (hash, tag) = (page.hash(), page.tag());
        self.look_in_group(hash, base, tag).or_else(|| self.look_in_group(!hash, base, tag | v::H))
    }

    fn look_in_group(&self, hash: u64, base: u32, tag: u64) -> Option<Found> {
        let first = (hash & self.group_mask()) * GROUP;
        (first..first + GROUP).find_map(|index| {
            // B, AVPN, H and V.
            let compared = v::B | v::AVPN | v::H | v::V;
            let now = self.word(index, 0).load(Acquire);
            if now & compared != tag {
                return None;
            }
            let r = self.word(index, 1).load(Acquire);
            // An entry of another base page size is another page's, though it may look like this one.
            let size = self.sizes.of_entry(now, r).filter(|size| size.base == base)?;
            let same = self.word(index, 0).load(Acquire) & compared == tag;
            same.then_some(Found { index, v: now & !v::HYPERVISOR, r, actual: size.actual })
        })
    }

    /// The page that entry `index` maps, were it `v` and `r`: the table's index holds what the AVPN leaves out. `None` if
    /// its page or segment size is none.
    pub fn page_of(&self, index: u64, v: u64, r: u64) -> Option<VirtualPage> {
        let shift = self.sizes.of_entry(v, r)?.base;
        let segment_shift = match v & v::B {
            0 => SHIFT_256M,
            cpu::slb::B_1T => SHIFT_1T,
            _ => return None,
        };
        let group = index / GROUP;
        let group = if v & v::H != 0 { !group } else { group };
        let page = (v & v::AVPN) >> 7;
        let (segment, high) = (page >> (segment_shift - AVPN_OMITS), page << AVPN_OMITS & ((1 << segment_shift) - 1));
        let mut found = VirtualPage { segment, segment_shift, offset: high >> shift << shift, shift };
        if shift < AVPN_OMITS {
            // What the hash would be without the missing bits tells them.
            let missing = (1u64 << (AVPN_OMITS - shift)) - 1;
            found.offset &= !((1 << AVPN_OMITS) - 1);
            found.offset |= ((found.hash() ^ group) & missing & self.group_mask()) << shift;
        }
        Some(found)
    }

    /// Copies the bolted entries to `new`, at the places where they belong there. False if two want the same one.
    pub fn rehash_into(&self, new: &HashTable) -> bool {
        for index in 0..self.entries() {
            let (v, r) = self.read(index);
            if v & (v::V | v::BOLTED) != v::V | v::BOLTED {
                continue;
            }
            let Some(page) = self.page_of(index, v, r) else { continue };
            let hash = if v & v::H != 0 { !page.hash() } else { page.hash() };
            let to = (hash & new.group_mask()) * GROUP + index % GROUP;
            if new.read(to).0 & v::V != 0 {
                return false;
            }
            new.set_second(to, r);
            new.unlock(to, v);
        }
        true
    }

    /// Feeds every entry that is not zero, with its number, to `f`: what a state hash is taken of.
    pub fn for_each_used(&self, mut f: impl FnMut(u64, u64, u64)) {
        for index in 0..self.entries() {
            let (v, r) = self.read(index);
            if v != 0 || r != 0 {
                f(index, v, r);
            }
        }
    }

    /// Saves the table: its size, and the entries that are not zero.
    ///
    /// # Errors
    /// None.
    pub fn save(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let HashTable { words: _, users: _, shift, sizes: _ } = self;
        let mut used = Vec::new();
        self.for_each_used(|index, first, second| used.push([index, first, second]));
        io.u32("the size", &mut shift.clone())?;
        io.list("entries", &mut used, self.entries(), |io, words| io.u64s("an entry", words))
    }

    /// A table that was saved, with pages of these sizes. What its entries lead to is looked at where they are used, as for
    /// those of a guest.
    ///
    /// # Errors
    /// A size that a partition with `ram_bytes` of RAM cannot have, entries that are not there.
    pub fn load(io: &mut Io<'_>, ram_bytes: u64, sizes: PageSizes) -> Result<HashTable, FieldError> {
        let mut shift = 0;
        io.u32("the size", &mut shift)?;
        let most = shift_for(ram_bytes) + 1;
        let fits = shift == 0 || (SHIFT_MIN..=most).contains(&shift);
        io.require("the size", shift, fits, format_args!("0, or 2^{SHIFT_MIN} to 2^{most} bytes"))?;
        let table = if shift == 0 { HashTable::none(sizes) } else { HashTable::new(shift, sizes) };
        let mut used: Vec<[u64; 3]> = Vec::new();
        io.list("entries", &mut used, table.entries(), |io, words| io.u64s("an entry", words))?;
        for [index, first, second] in used {
            let count = table.entries();
            io.require("the number of an entry", index, index < count, format_args!("a number below {count}"))?;
            table.word(index, 0).store(first & !v::HYPERVISOR, Relaxed);
            table.word(index, 1).store(second, Relaxed);
        }
        Ok(table)
    }

    /// Number of the first entry in which this table and `other` differ; 0 if their sizes do.
    pub fn first_difference(&self, other: &HashTable) -> Option<u64> {
        if self.shift != other.shift {
            return Some(0);
        }
        (0..self.entries()).find(|&index| self.read(index) != other.read(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu::slb::{B_1T, VALID};

    #[test]
    fn a_saved_table_comes_back() {
        let table = HashTable::new(20, PageSizes::ALL);
        table.word(5, 0).store(0x1234 << 12 | v::V, Relaxed);
        table.word(5, 1).store(0x7010, Relaxed);
        table.word(0x7FFF, 1).store(1, Relaxed);
        let mut io = Io::save(1);
        table.save(&mut io).unwrap();
        let bytes = io.written();
        let back = HashTable::load(&mut Io::load(1, &bytes), 64 << 20, PageSizes::ALL).unwrap();
        assert_eq!((back.shift(), back.first_difference(&table)), (20, None));
        assert!(HashTable::load(&mut Io::load(1, &bytes), 1 << 20, PageSizes::ALL).is_err(), "too large for the RAM");
        let mut wild = bytes.clone();
        wild[12..20].fill(0xFF);
        assert!(HashTable::load(&mut Io::load(1, &wild), 64 << 20, PageSizes::ALL).is_err(), "no such entry");
        for cut in 0..bytes.len() {
            assert!(HashTable::load(&mut Io::load(1, &bytes[..cut]), 64 << 20, PageSizes::ALL).is_err(), "{cut}");
        }
    }

    #[test]
    fn sizes_of_tables() {
        for (ram, shift) in [
            (0, 18),
            (256 << 20, 21),
            (512 << 20, 22),
            (1 << 30, 23),
            ((1 << 30) + 1, 24),
            (1 << 60, 46),
            (u64::MAX, 46),
        ] {
            assert_eq!(shift_for(ram), shift, "{ram:#x}");
        }
    }

    /// Whatever a table holds, the entry that maps a page says which page it is.
    #[test]
    fn an_entry_tells_its_page() {
        let table = HashTable::new(19, PageSizes::ALL);
        for e in ENCODINGS {
            for (b, segment) in [(0, 0x1_2345_6789u64), (B_1T, 0x12_3456), (0, 0), (B_1T, 0x3F_FFFF_FFFF)] {
                let mut entry = SlbEntry { esid: VALID, vsid: b | e.llp };
                entry.vsid |= segment << (entry.shift() - 16);
                if e.base > entry.shift() {
                    continue;
                }
                for ea in [0u64, 0xFFF_FFFF, 0x123_4567, 0x80_0000, 0x7F_F000] {
                    let page = VirtualPage::new(&entry, ea, e.base);
                    for secondary in [false, true] {
                        let hash = if secondary { !page.hash() } else { page.hash() };
                        let index = (hash & table.group_mask()) * GROUP + 5;
                        let v = page.tag() | if secondary { v::H } else { 0 } | if e.actual > 12 { v::L } else { 0 };
                        let r = 0x7_0000_0000_0000 | e.lp << 12;
                        assert_eq!(table.page_of(index, v, r), Some(page), "{e:?} {entry:?} {ea:#x}");
                        assert!(table.try_lock_free(index));
                        table.set_second(index, r);
                        table.unlock(index, v);
                        let found = table.look_up(&entry, ea).unwrap();
                        assert_eq!((found.index, found.actual), (index, e.actual));
                        table.lock(index, || ());
                        table.unlock(index, 0);
                    }
                }
            }
        }
    }

    #[test]
    fn a_resized_table_finds_its_bolted_entries() {
        let old = HashTable::new(18, PageSizes::up_to(16));
        let entry = SlbEntry { esid: VALID, vsid: B_1T | 0x1234_5678 << 24 };
        let mut eas = Vec::new();
        for n in 0..500u64 {
            let ea = n * 0x1_2345_7000;
            let page = VirtualPage::new(&entry, ea, 12);
            let first = (page.hash() & old.group_mask()) * GROUP;
            let Some(index) = (first..first + GROUP).find(|&i| old.try_lock_free(i)) else { continue };
            old.set_second(index, n << 12);
            old.unlock(index, page.tag() | if n % 2 == 0 { v::BOLTED } else { 0 });
            eas.push((ea, n));
        }
        for shift in [19, 22] {
            let new = HashTable::new(shift, PageSizes::up_to(16));
            assert!(old.rehash_into(&new));
            for &(ea, n) in &eas {
                let found = new.look_up(&entry, ea).map(|f| f.r);
                assert_eq!(found, (n % 2 == 0).then_some(n << 12), "{ea:#x}");
            }
        }
    }

    #[test]
    fn users_of_an_entry() {
        let table = HashTable::new(18, PageSizes::up_to(16));
        let entry = SlbEntry { esid: VALID, vsid: 0 };
        table.set_second(0, 0x7010);
        table.unlock(0, v::V);
        let found = table.look_up(&entry, 0).unwrap();
        assert!(table.note_user(&found, 1) && table.note_user(&found, 33) && table.note_user(&found, 5));
        assert_eq!((table.take_users(0), table.take_users(0)), (1 << 1 | 1 << 5, 0));
        table.update_second(0, r::R, r::R);
        assert!(table.note_user(&found, 1), "that it was used changes nothing");
        table.take_users(0);
        table.update_second(0, r::PP, 3);
        assert!(!table.note_user(&found, 1), "its protection does");
        table.lock(0, || ());
        table.take_users(0);
        let found = table.look_up(&entry, 0).unwrap();
        assert!(table.note_user(&found, 1), "a lock does not");
        table.withdraw(0);
        table.take_users(0);
        assert!(!table.note_user(&found, 1));
    }

    #[test]
    fn locks_keep_two_apart() {
        let table = HashTable::new(18, PageSizes::up_to(16));
        assert!(table.try_lock_free(3) && !table.try_lock_free(3));
        table.unlock(3, v::V | v::HYPERVISOR);
        assert_eq!(table.read(3).0, v::V);
        assert!(!table.try_lock_free(3), "it is valid");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        let v = table.lock(3, std::thread::yield_now);
                        table.set_second(3, table.second(3) + 1);
                        table.unlock(3, v);
                    }
                });
            }
        });
        assert_eq!(table.read(3), (v::V, 4000));
        assert_eq!(HashTable::none(PageSizes::ALL).look_up(&SlbEntry { esid: VALID, vsid: 0 }, 0), None);
    }
}
