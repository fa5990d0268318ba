//! How an entry of the hash table is written, and which pages it can map (Power ISA 2.07B, Book III-S, 5.7.7).

use cpu::slb::{LLP, SHIFT_1T, SlbEntry};

/// First doubleword of an entry.
pub mod v {
    /// Segment size, as in the SLB.
    pub const B: u64 = cpu::slb::B;
    /// Virtual page number, without its low 23 bits of virtual address.
    pub const AVPN: u64 = 0x3FFF_FFFF_FFFF_FF80;
    /// For software: the entry stays when the table is resized.
    pub const BOLTED: u64 = 0x10;
    /// For the hypervisor: somebody changes the entry.
    pub const LOCK: u64 = 0x40;
    /// Bits that are the hypervisor's: a guest neither sets nor sees them.
    pub const HYPERVISOR: u64 = 0x60;
    /// The page is larger than 4K.
    pub const L: u64 = 0x4;
    /// Found by the secondary hash.
    pub const H: u64 = 0x2;
    /// Valid.
    pub const V: u64 = 0x1;
}

/// Second doubleword of an entry.
pub mod r {
    /// Page protection, its high bit.
    pub const PP0: u64 = 0x8000_0000_0000_0000;
    /// Virtual page class key, high bits.
    pub const KEY_HIGH: u64 = 0x3000_0000_0000_0000;
    /// Real page number, and in its low bits the page size.
    pub const RPN: u64 = 0x0FFF_FFFF_FFFF_F000;
    /// Virtual page class key, low bits.
    pub const KEY_LOW: u64 = 0xE00;
    /// Reference.
    pub const R: u64 = 0x100;
    /// Change.
    pub const C: u64 = 0x80;
    /// Storage control.
    pub const WIMG: u64 = 0x78;
    /// Write through.
    pub const W: u64 = 0x40;
    /// Caching inhibited.
    pub const I: u64 = 0x20;
    /// Memory coherence.
    pub const M: u64 = 0x10;
    /// Guarded.
    pub const G: u64 = 0x8;
    /// No instruction is fetched from the page.
    pub const N: u64 = 0x4;
    /// Page protection, its low bits.
    pub const PP: u64 = 0x3;

    /// The virtual page class key.
    pub const fn key(r: u64) -> u32 {
        ((r & KEY_HIGH) >> 57 | (r & KEY_LOW) >> 9) as u32
    }
}

/// The AVPN leaves out this many bits of the virtual address.
pub(super) const AVPN_OMITS: u32 = 23;

/// A page size that a segment may have pages of, and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// log2 of the segment's base page size.
    pub base: u32,
    /// L and LP of the SLB entry.
    pub llp: u64,
    /// log2 of the page's actual size.
    pub actual: u32,
    /// LP of the table's entry: the low bits of its RPN.
    pub lp: u64,
}

const fn encoding(base: u32, llp: u64, actual: u32, lp: u64) -> Encoding {
    Encoding { base, llp, actual, lp }
}

/// All page sizes of the modelled CPUs. An entry of the table tells by itself which of them it is.
pub const ENCODINGS: [Encoding; 7] = [
    encoding(12, 0, 12, 0),
    encoding(12, 0, 16, 7),
    encoding(12, 0, 24, 0x38),
    encoding(16, 0x110, 16, 1),
    encoding(16, 0x110, 24, 8),
    encoding(24, 0x100, 24, 0),
    encoding(34, 0x120, 34, 3),
];

/// Which of [`ENCODINGS`] a partition may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes(u8);

impl PageSizes {
    /// All that the CPUs have.
    pub const ALL: PageSizes = PageSizes(0x7F);

    /// Those up to `1 << max` bytes that a partition gets under every hypervisor: in a segment whose base page is
    /// smaller, 16M pages only.
    pub fn up_to(max: u32) -> PageSizes {
        let has = |e: &Encoding| e.actual <= max && (e.actual == e.base || e.actual == 24);
        let bits = ENCODINGS.iter().enumerate().map(|(n, e)| u8::from(has(e)) << n);
        PageSizes(bits.fold(0, |all, bit| all | bit))
    }

    /// The page sizes, those of one segment size together.
    pub fn encodings(self) -> impl Iterator<Item = Encoding> {
        ENCODINGS.into_iter().enumerate().filter(move |(n, _)| self.0 >> n & 1 != 0).map(|(_, e)| e)
    }

    /// log2 of the base page size of a segment, if it may have it.
    pub fn base_of(self, entry: &SlbEntry) -> Option<u32> {
        self.encodings().find(|e| e.llp == entry.vsid & LLP && e.actual == e.base).map(|e| e.base)
    }

    /// The page size of an entry of the table.
    pub fn of_entry(self, v: u64, r: u64) -> Option<Encoding> {
        if v & v::L == 0 {
            return Some(ENCODINGS[0]);
        }
        self.encodings().find(|e| e.actual != 12 && r & r::RPN & ((1 << e.actual) - 1) == e.lp << 12)
    }
}

/// A virtual page: what an entry maps, and what is forgotten with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VirtualPage {
    /// Virtual segment id.
    pub segment: u64,
    /// log2 of the segment's size in bytes.
    pub segment_shift: u32,
    /// Offset in the segment.
    pub offset: u64,
    /// log2 of the page's size in bytes: the base page size, since each base page has an entry of its own.
    pub shift: u32,
}

impl VirtualPage {
    pub(super) fn new(entry: &SlbEntry, ea: u64, shift: u32) -> Self {
        let segment_shift = entry.shift();
        let offset = ea & ((1 << segment_shift) - 1) & !((1 << shift) - 1);
        VirtualPage { segment: entry.segment(), segment_shift, offset, shift }
    }

    /// What the group is found by: its low bits for the primary, and of the complement for the secondary one.
    pub(super) fn hash(&self) -> u64 {
        let high = if self.segment_shift == SHIFT_1T { self.segment << 25 } else { 0 };
        self.segment ^ high ^ self.offset >> self.shift
    }

    /// B, AVPN and V of its entry.
    pub(super) fn tag(&self) -> u64 {
        let b = if self.segment_shift == SHIFT_1T { cpu::slb::B_1T } else { 0 };
        let page = u128::from(self.segment) << self.segment_shift | u128::from(self.offset);
        b | ((page >> AVPN_OMITS << 7) as u64 & v::AVPN) | v::V
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu::slb::VALID;

    #[test]
    fn page_sizes_follow_the_maximum() {
        let list = |max| PageSizes::up_to(max).encodings().map(|e| (e.base, e.actual)).collect::<Vec<_>>();
        assert_eq!(list(12), [(12, 12)]);
        assert_eq!(list(16), [(12, 12), (16, 16)]);
        assert_eq!(list(24), [(12, 12), (12, 24), (16, 16), (16, 24), (24, 24)]);
        assert_eq!(list(34), [(12, 12), (12, 24), (16, 16), (16, 24), (24, 24), (34, 34)]);
        let sixteen_m = SlbEntry { esid: VALID, vsid: 0x100 };
        assert_eq!(PageSizes::up_to(16).base_of(&sixteen_m), None);
        assert_eq!(PageSizes::up_to(24).base_of(&sixteen_m), Some(24));
        assert_eq!(PageSizes::ALL.base_of(&SlbEntry { esid: VALID, vsid: 0x130 }), None);
    }
}
