//! Segment look-aside buffer (Power ISA 3.0B, Book III, 5.7.8): its entries, in the form in which `slbmte` takes them.

use std::fmt;

/// Entries, on every modelled CPU.
pub const SLB_ENTRIES: usize = 32;

/// RB of `slbmte`: effective segment id; the low bits of a 1T segment's do not matter.
pub const ESID: u64 = 0xFFFF_FFFF_F000_0000;
/// RB: the entry is valid.
pub const VALID: u64 = 0x0800_0000;
/// RB: number of the entry.
pub const INDEX: u64 = 0xFFF;
/// RS: segment size B: 0 is 256M, 1 is 1T.
pub const B: u64 = 0xC000_0000_0000_0000;
/// RS: B of a 1T segment.
pub const B_1T: u64 = 0x4000_0000_0000_0000;
/// Position of B.
pub const B_SHIFT: u32 = 62;
/// RS: virtual segment id, in its place for 256M segments.
pub const VSID: u64 = 0x3FFF_FFFF_FFFF_F000;
/// RS: key of privileged state.
pub const KS: u64 = 0x800;
/// RS: key of problem state.
pub const KP: u64 = 0x400;
/// RS: no instruction is fetched from the segment.
pub const N: u64 = 0x200;
/// RS: L and LP, the base page size.
pub const LLP: u64 = 0x130;
/// RS: class.
pub const C: u64 = 0x80;

/// log2 of the bytes of a segment.
pub const SHIFT_256M: u32 = 28;
/// log2 of the bytes of a large segment.
pub const SHIFT_1T: u32 = 40;

/// An entry. All zero if it is not valid.
#[derive(Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
#[repr(C)]
pub struct SlbEntry {
    /// [`ESID`] and [`VALID`].
    pub esid: u64,
    /// What RS of `slbmte` held.
    pub vsid: u64,
}

impl SlbEntry {
    /// Whether it is valid.
    pub const fn is_valid(&self) -> bool {
        self.esid & VALID != 0
    }

    /// log2 of the bytes of its segment.
    pub const fn shift(&self) -> u32 {
        if self.vsid & B == B_1T { SHIFT_1T } else { SHIFT_256M }
    }

    /// First effective address of its segment.
    pub const fn first_ea(&self) -> u64 {
        self.esid >> self.shift() << self.shift()
    }

    /// Virtual segment id, as a number.
    pub const fn segment(&self) -> u64 {
        (self.vsid & VSID) >> (self.shift() - 16)
    }

    /// Whether it is valid and translates `ea`.
    pub const fn holds(&self, ea: u64) -> bool {
        self.is_valid() && (self.esid ^ ea) >> self.shift() == 0
    }
}

// As one value: 32 entries are lines of a report already.
impl fmt::Debug for SlbEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#018x} {:#018x}", self.esid, self.vsid)
    }
}

/// The entry that translates `ea`. Of several, which is a program's mistake, one that depends on what they hold and not on
/// where they stand.
pub fn look_up(slb: &[SlbEntry; SLB_ENTRIES], ea: u64) -> Option<&SlbEntry> {
    slb.iter().filter(|entry| entry.holds(ea)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_both_sizes() {
        let mut slb = [SlbEntry::default(); SLB_ENTRIES];
        slb[3] = SlbEntry { esid: 0x1000_0000 | VALID, vsid: 0x1234 << 12 };
        slb[31] = SlbEntry { esid: 0xC000_0123_F000_0000 | VALID, vsid: B_1T | 0x5678 << 24 };
        let found = |ea| look_up(&slb, ea).map(|e| (e.segment(), e.first_ea()));
        assert_eq!(found(0x1FFF_FFFF), Some((0x1234, 0x1000_0000)));
        assert_eq!(found(0x2000_0000), None);
        assert_eq!(found(0xC000_01FF_FFFF_FFFF), Some((0x5678, 0xC000_0100_0000_0000)));
        assert_eq!(found(0xC000_0200_0000_0000), None);
        assert_eq!(found(0), None, "entries that are not valid translate nothing");
    }
}
