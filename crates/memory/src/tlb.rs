//! The software TLB of one vCPU: direct-mapped, tagged with context ids, so that neither a change of
//! PID nor one of MSR\[PR,DR\] or AMR flushes or misses anything.
//!
//! A tag is the effective page address with the context id in its twelve low bits. A context id is
//! `base(PID) + kind`; the kinds are what can change the meaning of an access within a process:
//! problem state, privileged state under each value of AMR's key 0, instruction fetch under each
//! value of IAMR's key 0. Quadrant 3 always uses PID 0's ids with an AMR of zero: pages there are
//! privileged, which key 0 does not touch (an exception is walked each time and never cached).

use crate::mail::Invalidation;
use crate::{PAGE_OFFSET, PAGE_SHIFT};
use std::collections::HashMap;

/// Entries of the data TLB.
pub const DATA_ENTRIES: usize = 4096;
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
const FIRST_BASE: u64 = kind::COUNT;
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
    data: Box<[TlbEntry; DATA_ENTRIES]>,
    fetch: Box<[FetchEntry; FETCH_ENTRIES]>,
    bases: HashMap<u32, u64>,
    next_base: u64,
    /// Counters.
    pub stats: TlbStats,
}

/// log2 of the bytes of an entry.
const ENTRY_SHIFT: u32 = size_of::<TlbEntry>().trailing_zeros();

/// From an effective address, shifted right by [`OFFSET_SHIFT`], the bits that are the offset of its entry in bytes,
/// before the context's share.
pub const OFFSET_MASK: u64 = (DATA_ENTRIES as u64 - 1) << ENTRY_SHIFT;
/// See [`OFFSET_MASK`].
pub const OFFSET_SHIFT: u32 = PAGE_SHIFT - ENTRY_SHIFT;

/// Spreads context ids over the data TLB, so that processes do not evict each other: what is to be combined by exclusive
/// or with the offset of an entry in bytes.
#[inline(always)]
pub const fn mix(context: u64) -> u64 {
    (spread(context) << ENTRY_SHIFT) & OFFSET_MASK
}

const fn spread(context: u64) -> u64 {
    (context >> 3).wrapping_mul(0x25) ^ (context & 7).wrapping_mul(0x200)
}

#[inline(always)]
const fn index(page: u64, context: u64) -> usize {
    (page ^ spread(context)) as usize
}

impl Default for Tlb {
    fn default() -> Self {
        Tlb {
            data: Box::new([EMPTY; DATA_ENTRIES]),
            fetch: Box::new([FetchEntry { tag: INVALID, real: 0 }; FETCH_ENTRIES]),
            bases: HashMap::new(),
            next_base: FIRST_BASE,
            stats: TlbStats::default(),
        }
    }
}

impl Tlb {
    /// Address of the data entries, for generated code: [`DATA_ENTRIES`] of [`TlbEntry`].
    pub fn data_entries(&self) -> *const TlbEntry {
        self.data.as_ptr()
    }

    /// The first context id of a process. May have to start the ids over, which empties the TLB:
    /// the return value says so, and the caller then asks again for every id that it holds.
    pub fn base(&mut self, pid: u32) -> (u64, bool) {
        if let Some(base) = self.bases.get(&pid) {
            return (*base, false);
        }
        let restarted = self.next_base >= LAST_BASE;
        if restarted {
            self.flush_all();
        }
        let base = self.next_base;
        self.next_base += kind::COUNT;
        self.bases.insert(pid, base);
        (base, restarted)
    }

    /// The first context id of a process that has one.
    pub fn base_if_known(&self, pid: u32) -> Option<u64> {
        self.bases.get(&pid).copied()
    }

    /// The data entry that an access to `ea` in `context` would use.
    #[inline(always)]
    pub fn entry(&self, ea: u64, context: u64) -> &TlbEntry {
        self.entry_mixed(ea, mix(context))
    }

    /// As [`Tlb::entry`], with [`mix`] of the context at hand.
    #[inline(always)]
    pub fn entry_mixed(&self, ea: u64, mixed: u64) -> &TlbEntry {
        &self.data[(((ea >> OFFSET_SHIFT) ^ mixed) & OFFSET_MASK) as usize >> ENTRY_SHIFT]
    }

    /// Enters a translation. `addend` is host page minus effective page.
    pub fn fill(&mut self, ea: u64, context: u64, read: bool, write: bool, addend: u64, real: u64) {
        self.stats.fills += 1;
        let tag = ea & !PAGE_OFFSET | context;
        let index = index(ea >> PAGE_SHIFT, context) & (DATA_ENTRIES - 1);
        self.data[index] = TlbEntry {
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
        let e = &self.fetch[index(ea >> PAGE_SHIFT, context) & (FETCH_ENTRIES - 1)];
        (e.tag == ea & !PAGE_OFFSET | context).then_some(e.real)
    }

    /// Enters a translation of instruction fetches.
    pub fn fill_fetch(&mut self, ea: u64, context: u64, real: u64) {
        self.stats.fills += 1;
        let index = index(ea >> PAGE_SHIFT, context) & (FETCH_ENTRIES - 1);
        self.fetch[index] = FetchEntry { tag: ea & !PAGE_OFFSET | context, real: real & !PAGE_OFFSET };
    }

    /// Empties both TLBs and forgets all context ids.
    pub fn flush_all(&mut self) {
        self.data.fill(EMPTY);
        self.fetch.fill(FetchEntry { tag: INVALID, real: 0 });
        self.bases.clear();
        self.next_base = FIRST_BASE;
    }

    /// Carries out an invalidation. True if context ids changed: the caller asks again for every id
    /// that it holds.
    pub fn invalidate(&mut self, what: Invalidation) -> bool {
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
                    let index = index(page, base + k);
                    let e = &mut self.data[index & (DATA_ENTRIES - 1)];
                    if matches(e.read) || matches(e.write) {
                        *e = EMPTY;
                    }
                    let f = &mut self.fetch[index & (FETCH_ENTRIES - 1)];
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

    /// Withdraws write access to a real page, which from now on holds decoded code.
    pub fn withdraw_writes(&mut self, page: u64) {
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
    fn withdrawn_pages_stay_readable() {
        let mut tlb = Tlb::default();
        tlb.fill(0x5000, REAL, true, true, 0, 0x9000);
        tlb.withdraw_writes(9);
        assert_eq!((tlb.entry(0x5000, REAL).read, tlb.entry(0x5000, REAL).write), (0x5000, INVALID));
    }
}
