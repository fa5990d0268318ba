//! The software TLB of one vCPU: direct-mapped, tagged with context ids, so that neither a change of
//! PID nor one of MSR\[PR,DR\] or AMR flushes or misses anything.
//!
//! A tag is the effective page address with the context id in its twelve low bits. A context id is
//! `base(PID) + kind`; the kinds are what can change the meaning of an access within a process:
//! problem state, privileged state under each value of AMR's key 0, instruction fetch under each
//! value of IAMR's key 0. Quadrant 3 always uses PID 0's ids; its loads and stores with an AMR of zero: pages there are
//! privileged, which key 0 does not touch (an exception is walked each time and never cached).
//!
//! With hash translation there is no process id. Ids are given per [`Space`]: the segments of one half of the effective
//! addresses as the SLB has them, and AMR and IAMR. A process that runs again finds its translations again.

use crate::hpt::VirtualPage;
use crate::mail::Invalidation;
use crate::{PAGE_OFFSET, PAGE_SHIFT};
use cpu::State;
use cpu::slb::SlbEntry;
use std::collections::HashMap;

/// Entries of the data TLB that an access in one context may use.
pub const DATA_ENTRIES: usize = 4096;
/// Contexts begin at different entries, below this one.
const SPREAD: usize = 1024;
/// Entries of the instruction TLB.
pub const FETCH_ENTRIES: usize = 1024;
/// A tag that no access has.
pub const INVALID: u64 = u64::MAX;

/// Kinds of access within a process, the low three bits of a context id.
pub mod kind {
    /// Problem state, loads, stores and fetches.
    pub const USER: u64 = 0;
    /// Privileged loads and stores; plus AMR bits 0:1.
    pub const PRIVILEGED: u64 = 1;
    /// Privileged fetches; plus IAMR bit 1.
    pub const PRIVILEGED_FETCH: u64 = 5;
    /// Ids per process.
    pub const COUNT: u64 = 8;
}

/// Context id of accesses with translation off.
pub const REAL: u64 = 0;
/// First context id of a half whose segments changed and that nobody looked up since: no entry has it.
pub const UNRESOLVED: u64 = kind::COUNT;
const FIRST_BASE: u64 = 2 * kind::COUNT;
const LAST_BASE: u64 = 0xFF0;

/// One data TLB entry. `repr(C)`: generated code reads it.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TlbEntry {
    /// Tag for loads, or [`INVALID`].
    pub read: u64,
    /// Tag for stores, or [`INVALID`].
    pub write: u64,
    /// Host address = EA + this, wrapping.
    pub addend: u64,
    /// Real address of the page.
    pub real: u64,
}

/// One instruction TLB entry.
#[derive(Debug, Clone, Copy)]
pub struct FetchEntry {
    /// Tag, or [`INVALID`].
    pub tag: u64,
    /// Real address of the page.
    pub real: u64,
}

const EMPTY: TlbEntry = TlbEntry { read: INVALID, write: INVALID, addend: 0, real: 0 };

/// Longest runs of bytes that are looked for in a page that is at hand: for each there is a limit of its own. What is aligned
/// and alone always fits.
pub const ANCHOR_SPANS: [u64; 7] = [8, 16, 32, 64, 128, 256, 512];

/// First offset in a page at which a run of [`ANCHOR_SPANS`] does not lie in it.
pub const ANCHOR_LIMITS: [u64; 7] = {
    let mut limits = ANCHOR_SPANS;
    let mut n = 0;
    while n < limits.len() {
        limits[n] = 4097 - ANCHOR_SPANS[n];
        n += 1;
    }
    limits
};

/// A page at hand for accesses by one register, the stack pointer for example: it may be read and written in the context
/// that its half of the addresses has. `repr(C)`: generated code reads and fills it.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub struct Anchor {
    /// Effective address.
    pub page: u64,
    /// Host address = EA + this, wrapping.
    pub addend: u64,
    /// [`ANCHOR_LIMITS`], or zeros if there is none.
    pub limits: [u64; 7],
}

/// Places for [`Anchor`]s: of quadrant 0 in problem state, and of quadrant 3 in privileged state.
pub const ANCHORS: usize = 2;

/// Counters for `--stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TlbStats {
    /// Entries filled after a walk.
    pub fills: u64,
    /// Invalidations served, by page.
    pub pages: u64,
    /// Invalidations served, by process or of everything.
    pub processes: u64,
}

/// Data and instruction TLB, and the context ids.
#[derive(Debug)]
pub struct Tlb {
    data: Box<[TlbEntry; DATA_ENTRIES + SPREAD]>,
    fetch: Box<[FetchEntry; FETCH_ENTRIES]>,
    bases: HashMap<u32, u64>,
    spaces: HashMap<Space, u64>,
    /// Where virtual segments (id, log2 of size) are: context base and first effective address.
    segments: HashMap<(u64, u32), Vec<(u64, u64)>>,
    next_base: u64,
    /// Pages at hand. Whatever takes an entry away, or changes what contexts the vCPU is in otherwise than by MSR, empties
    /// them.
    pub anchors: [Anchor; ANCHORS],
    /// Counters.
    pub stats: TlbStats,
}

/// All that translation by hash table depends on, but the table, for one half of the effective addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Space {
    amr: u64,
    iamr: u64,
    /// In order.
    segments: Vec<SlbEntry>,
}

impl Space {
    /// That of the addresses whose bit 0 is `half`.
    pub fn of(state: &State, half: usize) -> Self {
        let mut segments: Vec<SlbEntry> =
            state.slb.iter().filter(|e| e.is_valid() && (e.esid >> 63) as usize == half).copied().collect();
        segments.sort_unstable();
        Space { amr: state.spr.amr, iamr: state.spr.iamr, segments }
    }

    /// Whether it is `other` with more segments.
    fn extends(&self, other: &Space) -> bool {
        self.amr == other.amr
            && self.iamr == other.iamr
            && other.segments.iter().all(|segment| self.segments.binary_search(segment).is_ok())
            // Segments that overlap are a program's mistake, but no translation of the smaller space may be wrong then.
            && self.segments.windows(2).all(|pair| pair[1].first_ea() >> pair[0].shift() != pair[0].first_ea() >> pair[0].shift())
    }
}

/// log2 of the bytes of an entry.
const ENTRY_SHIFT: u32 = size_of::<TlbEntry>().trailing_zeros();

/// From an effective address, shifted right by [`OFFSET_SHIFT`], the bits that are the offset of its entry in bytes from
/// where its context's entries begin ([`Tlb::entries_of`]).
pub const OFFSET_MASK: u64 = (DATA_ENTRIES as u64 - 1) << ENTRY_SHIFT;
/// See [`OFFSET_MASK`].
pub const OFFSET_SHIFT: u32 = PAGE_SHIFT - ENTRY_SHIFT;

/// Spreads context ids over the data TLB, so that processes do not evict each other.
#[inline(always)]
const fn spread(context: u64) -> usize {
    ((context >> 3).wrapping_mul(0x25) ^ (context & 7).wrapping_mul(0x80)) as usize & (SPREAD - 1)
}

#[inline(always)]
const fn data_index(page: u64, context: u64) -> usize {
    (page as usize & (DATA_ENTRIES - 1)) + spread(context)
}

#[inline(always)]
const fn fetch_index(page: u64, context: u64) -> usize {
    (page as usize ^ spread(context)) & (FETCH_ENTRIES - 1)
}

impl Default for Tlb {
    fn default() -> Self {
        Tlb {
            data: Box::new([EMPTY; DATA_ENTRIES + SPREAD]),
            fetch: Box::new([FetchEntry { tag: INVALID, real: 0 }; FETCH_ENTRIES]),
            bases: HashMap::new(),
            spaces: HashMap::new(),
            segments: HashMap::new(),
            next_base: FIRST_BASE,
            anchors: [Anchor::default(); ANCHORS],
            stats: TlbStats::default(),
        }
    }
}

impl Tlb {
    /// Host address of the entries that accesses in `context` use: [`DATA_ENTRIES`] of [`TlbEntry`]. It holds as long as the
    /// TLB lives.
    pub fn entries_of(&self, context: u64) -> u64 {
        self.data[spread(context)..].as_ptr() as u64
    }

    /// The first context id of a process. May have to start the ids over, which empties the TLB:
    /// the return value says so, and the caller then asks again for every id that it holds.
    pub fn base(&mut self, pid: u32) -> (u64, bool) {
        if let Some(base) = self.bases.get(&pid) {
            return (*base, false);
        }
        let (base, restarted) = self.new_base();
        self.bases.insert(pid, base);
        (base, restarted)
    }

    fn new_base(&mut self) -> (u64, bool) {
        let restarted = self.next_base >= LAST_BASE;
        if restarted {
            self.flush_all();
        }
        let base = self.next_base;
        self.next_base += kind::COUNT;
        (base, restarted)
    }

    /// The first context id of a space. If it is `last` with more segments, it takes over that one's ids and entries.
    /// May have to start the ids over, as [`Tlb::base`].
    pub fn space(&mut self, space: &Space, last: Option<&Space>) -> (u64, bool) {
        if let Some(base) = self.spaces.get(space) {
            return (*base, false);
        }
        let grown = last.filter(|last| space.extends(last)).and_then(|last| Some((last, self.spaces.remove(last)?)));
        let ((base, restarted), known) = match grown {
            Some((last, base)) => ((base, false), &last.segments[..]),
            None => (self.new_base(), &[][..]),
        };
        for segment in space.segments.iter().filter(|segment| !known.contains(segment)) {
            let place = (base, segment.first_ea());
            self.segments.entry((segment.segment(), segment.shift())).or_default().push(place);
        }
        self.spaces.insert(space.clone(), base);
        (base, restarted)
    }

    /// Where a virtual page is: context base and effective address, once for each space that has its segment.
    pub fn places_of(&self, page: &VirtualPage) -> impl Iterator<Item = (u64, u64)> {
        let places = self.segments.get(&(page.segment, page.segment_shift)).map_or(&[][..], |places| places);
        places.iter().map(|(base, first)| (*base, first | page.offset))
    }

    /// The first context id of a process that has one.
    pub fn base_if_known(&self, pid: u32) -> Option<u64> {
        self.bases.get(&pid).copied()
    }

    /// The data entry that an access to `ea` in `context` would use.
    #[inline(always)]
    pub fn entry(&self, ea: u64, context: u64) -> &TlbEntry {
        &self.data[data_index(ea >> PAGE_SHIFT, context)]
    }

    /// As [`Tlb::entry`], with [`Tlb::entries_of`] of the context at hand.
    #[inline(always)]
    pub fn entry_at(&self, ea: u64, entries: u64) -> &TlbEntry {
        let begin = entries.wrapping_sub(self.data.as_ptr() as u64);
        &self.data[(begin.wrapping_add(ea >> OFFSET_SHIFT & OFFSET_MASK) >> ENTRY_SHIFT) as usize]
    }

    /// Enters a translation. `addend` is host page minus effective page.
    pub fn fill(&mut self, ea: u64, context: u64, read: bool, write: bool, addend: u64, real: u64) {
        self.stats.fills += 1;
        let tag = ea & !PAGE_OFFSET | context;
        self.data[data_index(ea >> PAGE_SHIFT, context)] = TlbEntry {
            read: if read { tag } else { INVALID },
            // A page that may be written but not read is not entered for stores: a check of the write tag stands for both.
            write: if write && read { tag } else { INVALID },
            addend,
            real: real & !PAGE_OFFSET,
        };
    }

    /// Real page address of an instruction fetch, if cached.
    #[inline(always)]
    pub fn fetch(&self, ea: u64, context: u64) -> Option<u64> {
        let e = &self.fetch[fetch_index(ea >> PAGE_SHIFT, context)];
        (e.tag == ea & !PAGE_OFFSET | context).then_some(e.real)
    }

    /// Enters a translation of instruction fetches.
    pub fn fill_fetch(&mut self, ea: u64, context: u64, real: u64) {
        self.stats.fills += 1;
        self.fetch[fetch_index(ea >> PAGE_SHIFT, context)] =
            FetchEntry { tag: ea & !PAGE_OFFSET | context, real: real & !PAGE_OFFSET };
    }

    /// No page is at hand any more.
    pub fn forget_anchors(&mut self) {
        self.anchors = [Anchor::default(); ANCHORS];
    }

    /// Empties both TLBs and forgets all context ids.
    pub fn flush_all(&mut self) {
        self.forget_anchors();
        self.data.fill(EMPTY);
        self.fetch.fill(FetchEntry { tag: INVALID, real: 0 });
        self.bases.clear();
        self.spaces.clear();
        self.segments.clear();
        self.next_base = FIRST_BASE;
    }

    /// Carries out an invalidation. True if context ids changed: the caller asks again for every id
    /// that it holds.
    pub fn invalidate(&mut self, what: Invalidation) -> bool {
        self.forget_anchors();
        match what {
            Invalidation::All => {
                self.stats.processes += 1;
                self.flush_all();
                true
            }
            Invalidation::Process { pid } => {
                // Retiring the ids is enough: no access will ever carry them until all start over.
                self.stats.processes += 1;
                self.bases.remove(&pid).is_some()
            }
            Invalidation::Page { pid, ea, shift } => {
                self.stats.pages += 1;
                if let Some(base) = self.bases.get(&pid).copied() {
                    self.invalidate_page(base, ea, shift);
                }
                false
            }
            Invalidation::Virtual(page) => {
                self.stats.pages += 1;
                let key = (page.segment, page.segment_shift);
                // Taken out and put back: nothing in here changes it.
                let places = self.segments.get_mut(&key).map(std::mem::take).unwrap_or_default();
                places.iter().for_each(|(base, first)| self.invalidate_page(*base, first | page.offset, page.shift));
                if let Some(entry) = self.segments.get_mut(&key) {
                    *entry = places;
                }
                false
            }
        }
    }

    fn invalidate_page(&mut self, base: u64, ea: u64, shift: u32) {
        let mask = !0u64 << shift.clamp(PAGE_SHIFT, 63);
        let first = ea & mask;
        let matches = |tag: u64| tag != INVALID && tag & mask & !PAGE_OFFSET == first && tag & PAGE_OFFSET & !7 == base;
        if shift <= 16 {
            for n in 0..1u64 << (shift.max(PAGE_SHIFT) - PAGE_SHIFT) {
                let page = (first >> PAGE_SHIFT) + n;
                for k in 0..kind::COUNT {
                    let e = &mut self.data[data_index(page, base + k)];
                    if matches(e.read) || matches(e.write) {
                        *e = EMPTY;
                    }
                    let f = &mut self.fetch[fetch_index(page, base + k)];
                    if matches(f.tag) {
                        f.tag = INVALID;
                    }
                }
            }
        } else {
            self.data.iter_mut().filter(|e| matches(e.read) || matches(e.write)).for_each(|e| *e = EMPTY);
            self.fetch.iter_mut().filter(|f| matches(f.tag)).for_each(|f| f.tag = INVALID);
        }
    }

    /// Withdraws write access to all pages.
    pub fn withdraw_all_writes(&mut self) {
        self.forget_anchors();
        self.data.iter_mut().for_each(|e| e.write = INVALID);
    }

    /// Withdraws write access to a real page, which from now on holds decoded code.
    pub fn withdraw_writes(&mut self, page: u64) {
        self.forget_anchors();
        let real = page << PAGE_SHIFT;
        self.data.iter_mut().filter(|e| e.real == real).for_each(|e| e.write = INVALID);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_other_contexts_do_not_answer() {
        let mut tlb = Tlb::default();
        let (a, _) = tlb.base(1);
        let (b, _) = tlb.base(2);
        assert_ne!(a, b);
        tlb.fill(0x1000, a, true, false, 5, 0x7000);
        assert_eq!(tlb.entry(0x1000, a).read, 0x1000 | a);
        assert_eq!(tlb.entry(0x1000, a).write, INVALID);
        assert_ne!(tlb.entry(0x1000, b).read, 0x1000 | b);
        assert_eq!(tlb.base(1), (a, false));
    }

    #[test]
    fn invalidation_hits_what_it_names() {
        for (shift, near, far) in [(12, 0x1000, 0x2000), (16, 0xF000, 0x1_0000), (21, 0x1F_F000, 0x20_0000)] {
            let mut tlb = Tlb::default();
            let (a, _) = tlb.base(1);
            for ea in [near, far] {
                tlb.fill(ea, a, true, true, 0, 0);
                tlb.fill_fetch(ea, a + 5, 0);
            }
            let ea = near & !((1 << shift) - 1);
            assert!(!tlb.invalidate(Invalidation::Page { pid: 2, ea, shift }));
            assert_eq!(tlb.entry(near, a).read, near | a, "another pid's entry stays");
            assert!(!tlb.invalidate(Invalidation::Page { pid: 1, ea, shift }));
            assert_eq!((tlb.entry(near, a).read, tlb.entry(near, a).write), (INVALID, INVALID));
            assert_eq!(tlb.fetch(near, a + 5), None);
            assert_eq!(tlb.entry(far, a).read, far | a);
            assert_eq!(tlb.fetch(far, a + 5), Some(0));
        }
    }

    #[test]
    fn a_process_invalidation_retires_its_ids() {
        let mut tlb = Tlb::default();
        let (a, _) = tlb.base(1);
        assert!(tlb.invalidate(Invalidation::Process { pid: 1 }));
        assert_ne!(tlb.base(1).0, a);
    }

    #[test]
    fn ids_start_over_with_an_empty_tlb() {
        let mut tlb = Tlb::default();
        let (a, _) = tlb.base(0);
        tlb.fill(0x1000, a, true, true, 0, 0);
        let restarted = (1..1000).filter(|pid| tlb.base(*pid).1).count();
        assert_eq!(restarted, 1);
        assert_eq!(tlb.entry(0x1000, a).read, INVALID);
    }

    #[test]
    fn spaces_come_back_grow_and_forget_virtual_pages() {
        let entry = |first: u64, segment: u64| SlbEntry { esid: first | cpu::slb::VALID, vsid: segment << 12 };
        let space = |entries: &[SlbEntry]| {
            let mut state = State::default();
            state.slb[..entries.len()].copy_from_slice(entries);
            Space::of(&state, 0)
        };
        let (a, b) = (entry(0x1000_0000, 7), entry(0x2000_0000, 8));
        let mut tlb = Tlb::default();
        let (one, _) = tlb.space(&space(&[a]), None);
        assert!(one > UNRESOLVED);
        tlb.fill(0x1000_3000, one, true, true, 0, 0);
        // It grows, and keeps its entries; the smaller one is another from then on, whose pages nobody has.
        let (both, _) = tlb.space(&space(&[b, a]), Some(&space(&[a])));
        assert_eq!(both, one);
        let (small, _) = tlb.space(&space(&[a]), Some(&space(&[b, a])));
        assert_ne!(small, one, "an address of the second segment must not be found");
        assert_eq!(tlb.space(&space(&[a, b]), None).0, one, "the order of the slots does not matter");
        assert_eq!(Space::of(&State::default(), 1), space(&[]), "the other half has its own");
        tlb.fill(0x1000_3000, small, true, true, 0, 0);
        tlb.fill(0x1000_4000, one, true, true, 0, 0);
        let page = VirtualPage { segment: 7, segment_shift: 28, offset: 0x3000, shift: 12 };
        let mut places: Vec<_> = tlb.places_of(&page).collect();
        places.sort_unstable();
        assert_eq!(places, [(one, 0x1000_3000), (small, 0x1000_3000)]);
        assert!(!tlb.invalidate(Invalidation::Virtual(VirtualPage { segment: 9, ..page })));
        assert_eq!(tlb.entry(0x1000_3000, one).read, 0x1000_3000 | one);
        assert!(!tlb.invalidate(Invalidation::Virtual(page)));
        assert_eq!(tlb.entry(0x1000_3000, one).read, INVALID);
        assert_eq!(tlb.entry(0x1000_3000, small).read, INVALID);
        assert_eq!(tlb.entry(0x1000_4000, one).read, 0x1000_4000 | one);
        assert_eq!(tlb.places_of(&page).count(), 2, "they are known still");
        tlb.flush_all();
        assert_eq!(tlb.places_of(&page).count(), 0);
    }

    #[test]
    fn no_page_is_at_hand_behind_whatever_takes_entries_away() {
        let anchor = Anchor { page: 0x1000, addend: 7, limits: ANCHOR_LIMITS };
        let page = VirtualPage { segment: 7, segment_shift: 28, offset: 0x3000, shift: 12 };
        let what = [
            Invalidation::All,
            Invalidation::Process { pid: 3 },
            Invalidation::Page { pid: 3, ea: 0x1000, shift: 12 },
            Invalidation::Virtual(page),
        ];
        let withdraw: &dyn Fn(&mut Tlb) = &|t| t.withdraw_writes(9);
        let invalidate = what.map(|w| move |t: &mut Tlb| _ = t.invalidate(w));
        for forget in invalidate.iter().map(|f| f as &dyn Fn(&mut Tlb)).chain([withdraw]) {
            let mut tlb = Tlb { anchors: [anchor; ANCHORS], ..Tlb::default() };
            forget(&mut tlb);
            assert!(tlb.anchors.iter().all(|a| a.limits == [0; 7]));
        }
    }

    #[test]
    fn withdrawn_pages_stay_readable() {
        let mut tlb = Tlb::default();
        tlb.fill(0x5000, REAL, true, true, 0, 0x9000);
        tlb.withdraw_writes(9);
        assert_eq!((tlb.entry(0x5000, REAL).read, tlb.entry(0x5000, REAL).write), (0x5000, INVALID));
    }
}
