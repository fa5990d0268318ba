//! From a word to its row.

use crate::{Facility, Field, Fields, IsaLevel, Kind, Op, Visible};
use std::sync::LazyLock;

/// A decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Insn {
    /// Its row.
    pub op: Op,
    /// The word in the low 32 bits; of a prefixed instruction the prefix in the high and the suffix in the low half.
    pub raw: u64,
}

impl Insn {
    /// What must be enabled for it to execute: the row's facility, with those that depend on the register settled.
    /// Never [`Facility::VsxOrVec`] or [`Facility::FpOrVec`].
    pub fn facility(self) -> Facility {
        let row = self.op.row();
        let low = match row.facility {
            Facility::VsxOrVec => Facility::Vsx,
            Facility::FpOrVec => Facility::Fp,
            other => return other,
        };
        // The first VSR that the word names is the target or source; the table test sees that there is one.
        let upper = row.fields().find(|f| f.kind() == Kind::Vsr).is_some_and(|f| row.get(f, self.raw) >= 32);
        if upper { Facility::Vec } else { low }
    }

    /// Length in bytes.
    pub fn bytes(self) -> u64 {
        if self.op.row().prefixed { 8 } else { 4 }
    }

    /// The value of a field.
    pub fn get(self, field: Field) -> i64 {
        self.op.row().get(field, self.raw)
    }
}

impl Fields for Insn {
    #[inline(always)]
    fn raw(self) -> u64 {
        self.raw
    }
}

/// Is the word a prefix (primary opcode 1), so that the instruction is two words long? Only of use at level 3.1:
/// before, the word is an illegal instruction.
#[inline]
pub fn is_prefix(word: u32) -> bool {
    word >> 26 == 1
}

/// A row as the decoder needs it.
#[derive(Clone, Copy)]
struct Candidate {
    mask: u64,
    value: u64,
    op: Op,
}

/// How the words of one primary opcode are told apart: by the bits `(word >> shift) & mask`, added to `base`.
#[derive(Clone, Copy, Default)]
struct Primary {
    shift: u8,
    mask: u16,
    base: u32,
}

/// Tables of the instructions that code sees: primary opcode, then the extended bits, then the few rows that share them.
struct Tables {
    plain: [Primary; 64],
    /// Where the bucket's candidates begin and how many there are.
    buckets: Vec<(u16, u16)>,
    candidates: Vec<Candidate>,
    /// Candidates by primary opcode of the suffix.
    prefixed: [Vec<Candidate>; 64],
}

/// The extended opcode lies in the low bits of the word.
const EXTENDED: u64 = 0x7ff;

impl Tables {
    fn new(visible: Visible) -> Tables {
        let mut t = Tables {
            plain: [Primary::default(); 64],
            buckets: Vec::new(),
            candidates: Vec::new(),
            prefixed: std::array::from_fn(|_| Vec::new()),
        };
        let mut rows: Vec<Candidate> = Op::ALL
            .iter()
            .map(|op| op.row())
            .filter(|r| r.is_in(visible))
            .map(|r| Candidate { mask: r.pattern.mask, value: r.pattern.value, op: r.op })
            .collect();
        // Of rows that both match, the one with more fixed bits is the special case.
        rows.sort_by_key(|c| std::cmp::Reverse(c.mask.count_ones()));
        for primary in 0..64u64 {
            let (wide, mine): (Vec<Candidate>, Vec<Candidate>) = rows
                .iter()
                .filter(|c| c.value >> 26 & 0x3f == primary || c.mask >> 26 & 0x3f != 0x3f)
                .partition(|c| c.mask >> 32 != 0);
            let matching = |c: &Candidate| (primary ^ (c.value >> 26)) & (c.mask >> 26) & 0x3f == 0;
            t.prefixed[primary as usize] = wide.into_iter().filter(matching).collect();
            let mine: Vec<Candidate> = mine.into_iter().filter(matching).collect();
            let bits = mine.iter().fold(0, |all, c| all | c.mask) & EXTENDED;
            let (shift, mask) =
                if bits == 0 { (0, 0) } else { (bits.trailing_zeros(), EXTENDED >> bits.trailing_zeros()) };
            t.plain[primary as usize] = Primary { shift: shift as u8, mask: mask as u16, base: t.buckets.len() as u32 };
            for index in 0..=mask {
                let fixed = mask << shift;
                let start = t.candidates.len();
                t.candidates.extend(mine.iter().filter(|c| (c.value ^ (index << shift)) & c.mask & fixed == 0));
                t.buckets.push((start as u16, (t.candidates.len() - start) as u16));
            }
        }
        t
    }

    #[inline]
    fn plain(&self, raw: u64) -> Option<Insn> {
        let p = self.plain[(raw >> 26) as usize & 0x3f];
        let (start, count) = self.buckets[p.base as usize + ((raw >> p.shift) as usize & p.mask as usize)];
        self.candidates[start as usize..][..count as usize]
            .iter()
            .find(|c| raw & c.mask == c.value)
            .map(|c| Insn { op: c.op, raw })
    }
}

/// By processor, then by the last level that is visible.
static TABLES: [[LazyLock<Tables>; 3]; 3] = {
    use IsaLevel::*;
    macro_rules! row {
        ($processor:ident) => {
            row!($processor, V2_07 V3_0 V3_1)
        };
        ($processor:ident, $($level:ident)*) => {
            [$(LazyLock::new(|| Tables::new(Visible { processor: $processor, level: $level }))),*]
        };
    }
    [row!(V2_07), row!(V3_0), row!(V3_1)]
};

/// Decodes an instruction: a plain word in the low 32 bits, the high half 0; or, where [`is_prefix`] holds of the
/// first word, prefix and suffix. Reserved bits are ignored, as processors do. `None`: illegal for code that sees
/// these.
#[inline]
pub fn decode(raw: u64, visible: impl Into<Visible>) -> Option<Insn> {
    let visible = visible.into();
    let tables = &*TABLES[visible.processor as usize][visible.level as usize];
    if raw >> 32 == 0 {
        return tables.plain(raw);
    }
    let candidates = &tables.prefixed[(raw >> 26) as usize & 0x3f];
    candidates.iter().find(|c| raw & c.mask == c.value).map(|c| Insn { op: c.op, raw })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Any;

    fn op(word: u32) -> Option<Op> {
        decode(word.into(), IsaLevel::V3_1).map(|i| i.op)
    }

    #[test]
    fn known_words() {
        assert_eq!(op(0x7c64_2a14), Some(Op::add));
        assert_eq!(op(0x7c64_2e15), Some(Op::add));
        assert_eq!(op(0x4e80_0020), Some(Op::bclr));
        assert_eq!(op(0x6000_0000), Some(Op::ori));
        assert_eq!(op(0x7c68_02a6), Some(Op::mfspr));
        assert_eq!(Any(0x7c68_02a6).spr(), 8);
        assert_eq!(Any(0x4bff_fffc).li(), -4);
        assert_eq!(op(0), None);
        assert_eq!(decode(0x4c00_0064, IsaLevel::V2_07), None);
    }

    #[test]
    fn a_compatibility_level_hides_and_brings_nothing_back() {
        use IsaLevel::*;
        let decoded = |raw, processor, level| decode(raw, Visible { processor, level }).map(|i| i.op);
        // scv 0
        let scv = |processor, level| decoded(0x4400_0001, processor, level);
        assert_eq!((scv(V3_1, V3_1), scv(V3_1, V3_0), scv(V3_1, V2_07)), (Some(Op::scv), Some(Op::scv), None));
        assert_eq!((scv(V3_0, V3_1), scv(V2_07, V3_1)), (Some(Op::scv), None));
        // paddi r3,r3,1
        let paddi = |level| decoded(0x0600_0000_3863_0001, V3_1, level);
        assert_eq!((paddi(V3_1), paddi(V3_0), paddi(V2_07)), (Some(Op::paddi), None, None));
        // tbegin. went with 3.1, and is no instruction of its compatibility modes; nap went with 3.0.
        assert_eq!((decoded(0x7c00_051d, V3_0, V2_07), decoded(0x7c00_051d, V3_1, V2_07)), (Some(Op::tbegin_), None));
        assert_eq!((decoded(0x4c00_0364, V2_07, V2_07), decoded(0x4c00_0364, V3_0, V2_07)), (Some(Op::nap), None));
        for op in Op::ALL {
            let row = op.row();
            for (processor, level) in IsaLevel::ALL.into_iter().flat_map(|p| IsaLevel::ALL.map(|l| (p, l))) {
                let seen = row.is_in(Visible { processor, level });
                assert_eq!(seen, row.at(processor) && row.since <= level, "{} {processor:?} {level:?}", row.name);
            }
        }
    }
}
