//! What a row of the table says, and the reading of its bit pattern at compile time.

use crate::fields::{Field, Kind, Piece, pieces_of_name};
use crate::{Chapter, Op};

/// Level of the Power ISA, in order. Everything older counts as 2.07.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(non_camel_case_types)]
pub enum IsaLevel {
    /// 2.07: POWER8.
    V2_07,
    /// 3.0B: POWER9.
    V3_0,
    /// 3.1: Power10.
    V3_1,
}

impl IsaLevel {
    /// Every level, oldest first.
    pub const ALL: [IsaLevel; 3] = [IsaLevel::V2_07, IsaLevel::V3_0, IsaLevel::V3_1];
}

/// The instructions that code sees: those of a processor, without the ones that came after the level that its
/// Processor Compatibility Register leaves it (Power ISA 3.1, Book III, 2.5). What a later level took away does not come
/// back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible {
    /// Level of the processor.
    pub processor: IsaLevel,
    /// Last level whose instructions are there.
    pub level: IsaLevel,
}

impl From<IsaLevel> for Visible {
    /// Everything that a processor of `level` has.
    fn from(level: IsaLevel) -> Visible {
        Visible { processor: level, level }
    }
}

/// What must be enabled for the instruction to execute, beyond privilege. Which interrupt its absence causes follows
/// from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Facility {
    /// Nothing.
    None,
    /// `MSR[FP]`, else Floating-Point Unavailable.
    Fp,
    /// `MSR[VEC]`, else Vector Unavailable.
    Vec,
    /// `MSR[VSX]`, else VSX Unavailable.
    Vsx,
    /// `MSR[VSX]` for VSRs 0-31 of the target or source, `MSR[VEC]` for 32-63: `lxv`, `stxvx`, `mtvsrdd`, .. of 3.0.
    /// [`crate::Insn::facility`] answers which.
    VsxOrVec,
    /// `MSR[FP]` for VSRs 0-31, `MSR[VEC]` for 32-63: the moves between general and VSX registers of 2.07.
    /// [`crate::Insn::facility`] answers which.
    FpOrVec,
    /// Decimal floating point: `MSR[FP]`, else Floating-Point Unavailable.
    Dfp,
    /// `MSR[TM]`, else TM Unavailable.
    Tm,
    /// Matrix-multiply assist: `MSR[VSX]`, and `HFSCR[MMA]`.
    Mma,
    /// `FSCR[TAR]`.
    Tar,
    /// `FSCR[SCV]`.
    Scv,
    /// `FSCR[EBB]`.
    Ebb,
    /// `HFSCR[BHRB]`.
    Bhrb,
    /// `HFSCR[MSGP]`: messages between the threads of a partition.
    Msgp,
}

/// Who may execute the instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// Any state.
    User,
    /// Privileged: a Program interrupt of type Privileged Instruction in problem state.
    Privileged,
    /// Hypervisor: never legal for a partition.
    Hyper,
}

/// Does the instruction end a straight run of code?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ends {
    /// No.
    No,
    /// It may set NIA.
    Branch,
    /// It may change MSR, translation or other context, or stop the thread.
    Context,
}

/// Most pieces that a pattern may have.
const MAX_PIECES: usize = 14;

/// A bit pattern, read.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// Constant bits.
    pub mask: u64,
    /// Their value.
    pub value: u64,
    /// Reserved bits, which processors ignore.
    pub ignored: u64,
    pieces: [Piece; MAX_PIECES],
    count: u8,
}

impl Pattern {
    /// The pieces of all fields, from left to right.
    pub const fn pieces(&self) -> &[Piece] {
        self.pieces.split_at(self.count as usize).0
    }
}

/// Reads a bit pattern in the words of the manual: constants `value:width`, reserved bits `/` or `/:n`, and names of
/// the field table, which must stand where the table says. `prefix_bits` is 0 for a plain word and 32 for a prefixed
/// instruction, whose pattern has 64 bits.
pub(crate) const fn parse(text: &str, prefix_bits: u32) -> Pattern {
    let s = text.as_bytes();
    let total = 32 + prefix_bits;
    let none = Piece { field: Field::RT, lsb: 0, width: 0, place: 0 };
    let mut p = Pattern { mask: 0, value: 0, ignored: 0, pieces: [none; MAX_PIECES], count: 0 };
    let mut bit = 0; // bits read so far
    let mut i = 0;
    while i < s.len() {
        if s[i] == b' ' {
            i += 1;
            continue;
        }
        let start = i;
        while i < s.len() && s[i] != b' ' && s[i] != b':' {
            i += 1;
        }
        let word = s.split_at(i).0.split_at(start).1;
        let mut width = 0;
        let sized = i < s.len() && s[i] == b':';
        if sized {
            i += 1;
            let (w, end) = number(s, i);
            assert!(end > i && w > 0, "a width must follow the colon");
            width = w as u32;
            i = end;
        }
        if word.len() == 1 && word[0] == b'/' {
            if !sized {
                width = 1;
            }
            assert!(bit + width <= total, "the pattern has too many bits");
            p.ignored |= ((1 << width) - 1) << (total - bit - width);
            bit += width;
        } else if word[0] >= b'0' && word[0] <= b'9' {
            assert!(sized, "a constant needs a width");
            let (value, end) = number(word, 0);
            assert!(end == word.len(), "a constant is a decimal number");
            assert!(value < 1 << width, "a constant is larger than its width");
            assert!(bit + width <= total, "the pattern has too many bits");
            p.mask |= ((1 << width) - 1) << (total - bit - width);
            p.value |= value << (total - bit - width);
            bit += width;
        } else {
            assert!(!sized, "a field takes its width from the field table");
            let pieces = match pieces_of_name(word) {
                Some(pieces) => pieces,
                None => panic!("the field table does not have this name"),
            };
            let mut n = 0;
            while n < pieces.len() {
                let piece = pieces[n];
                assert!(piece.lsb as u32 + piece.width as u32 + bit == total, "a field is not at its place");
                bit += piece.width as u32;
                p.pieces[p.count as usize] = piece;
                p.count += 1;
                n += 1;
            }
        }
    }
    assert!(bit == total, "the pattern does not have as many bits as the instruction");
    p
}

/// The decimal number at `i`, and where it ends.
const fn number(s: &[u8], mut i: usize) -> (u64, usize) {
    let mut n = 0;
    while i < s.len() && s[i] >= b'0' && s[i] <= b'9' {
        n = n * 10 + (s[i] - b'0') as u64;
        i += 1;
    }
    (n, i)
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The instruction.
    pub op: Op,
    /// Base mnemonic, as the name of the row: `addic_` is `addic.`.
    pub name: &'static str,
    /// Chapter, which is also the module of its semantics.
    pub chapter: Chapter,
    /// Does its semantics exist?
    pub implemented: bool,
    /// Bit pattern, read.
    pub pattern: Pattern,
    /// Template of its assembly.
    pub asm: &'static str,
    /// First level that has it.
    pub since: IsaLevel,
    /// Last level that has it.
    pub until: IsaLevel,
    /// What must be enabled.
    pub facility: Facility,
    /// Who may execute it.
    pub privilege: Privilege,
    /// Does it end a straight run?
    pub ends: Ends,
    /// Two words long, and `FSCR[PREFIX]` must be enabled.
    pub prefixed: bool,
}

impl Row {
    /// Is the instruction part of this level?
    pub fn at(&self, level: IsaLevel) -> bool {
        self.is_in(level.into())
    }

    /// Is it among these instructions?
    pub fn is_in(&self, visible: Visible) -> bool {
        self.since <= visible.processor.min(visible.level) && visible.processor <= self.until
    }

    /// The fields that it has, each once, in the order of their first bits.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        let pieces = self.pattern.pieces();
        pieces.iter().enumerate().filter(|(i, p)| pieces[..*i].iter().all(|q| q.field != p.field)).map(|(_, p)| p.field)
    }

    /// The field of this name, if the row has it. Names are those of [`Field`], letter case as in the manual.
    pub fn field(&self, name: &str) -> Option<Field> {
        self.fields().find(|f| f.name() == name)
    }

    /// Does the row have the field?
    pub fn has(&self, field: Field) -> bool {
        self.pattern.pieces().iter().any(|p| p.field == field)
    }

    /// The value of a field in `raw`; 0 if the row does not have it.
    pub fn get(&self, field: Field, raw: u64) -> i64 {
        let (mut bits, mut top) = (0, 0);
        for p in self.pattern.pieces().iter().filter(|p| p.field == field) {
            bits |= p.extract(raw);
            top = top.max(p.width + p.place);
        }
        match field.kind() {
            Kind::HashOffset => bits as i64 - 512,
            Kind::Sint if top > 0 => ((bits << (64 - top)) as i64) >> (64 - top),
            _ => bits as i64,
        }
    }
}
