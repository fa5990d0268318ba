//! Makes tests: an instruction (or a few) with all registers and memory before it. [`super::streams`] makes longer ones.

use super::guest::{self, ENTRY, LOW, LOW_PAD, pad_address, slot_address};
use super::record::{Order, RECORD_BYTES, SANDBOX_BYTES, Snapshot, at};
use super::rng::{Flavour, PLAIN, Rng, integer, vector};
use isa::{Chapter, Field, Insn, IsaLevel, Kind, Op, Row, random_word};

/// Where a test stands in its batch, from which its addresses follow.
#[derive(Clone, Copy, Debug)]
pub struct Place(pub usize);

impl Place {
    /// Address of the slot.
    pub fn slot(self) -> u64 {
        slot_address(self.0)
    }
    /// Address of the first instruction.
    pub fn entry(self) -> u64 {
        self.slot() + ENTRY
    }
    /// Address of the record.
    pub fn record(self) -> u64 {
        guest::RECORDS + RECORD_BYTES * self.0 as u64
    }
    /// Address of the sandbox.
    pub fn sandbox(self) -> u64 {
        self.record() + at::SANDBOX
    }
}

/// An operand of an instruction that depends on where the test stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A relative branch to an instruction of the body, by its number, or to the end.
    Branch(usize),
    /// An address relative to the instruction: bytes from the beginning of the sandbox.
    Sandbox(i64),
}

/// A register that holds the address of an instruction of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    Lr,
    Ctr,
    Tar,
}

/// One test.
#[derive(Clone, Debug)]
pub struct Test {
    /// The row that it is about.
    pub op: Op,
    /// Level of the model that it runs on.
    pub level: IsaLevel,
    /// Byte order that it runs in.
    pub order: Order,
    /// Where it stands.
    pub place: Place,
    /// Its instructions: word, or prefix and suffix.
    pub body: Vec<u64>,
    /// TAR holds what r31 holds.
    pub sets_tar: bool,
    /// Registers and sandbox before.
    pub before: Snapshot,
    /// It is a stream, not the test of a row.
    pub stream: bool,
    /// A difference may be what this QEMU is known to do otherwise ([`super::known`]).
    pub excused: bool,
    /// Of FPSCR only what QEMU computes as the manual says is compared: FR, FI and FPRF are not ([`super::known`]).
    pub floats: bool,
    /// Instructions, by number, with an operand that depends on the place.
    pub links: Vec<(usize, Link)>,
    /// A register that depends on the place.
    pub aim: Option<(Aim, usize)>,
    /// General registers that hold addresses in the sandbox.
    pub bases: Vec<usize>,
}

/// Words of an instruction.
fn length(raw: u64) -> u64 {
    1 + u64::from(raw >> 32 != 0)
}

impl Test {
    /// One instruction, or a few, that depend on no place.
    pub fn of(op: Op, level: IsaLevel, order: Order, place: Place, body: Vec<u64>, before: Snapshot) -> Test {
        let (links, bases) = Default::default();
        let (sets_tar, stream, floats) = Default::default();
        let excused = true;
        Test { op, level, order, place, body, sets_tar, before, stream, excused, floats, links, aim: None, bases }
    }

    /// The instructions as words.
    pub fn words(&self) -> Vec<u32> {
        self.body
            .iter()
            .flat_map(|raw| if raw >> 32 == 0 { vec![*raw as u32] } else { vec![(raw >> 32) as u32, *raw as u32] })
            .collect()
    }

    /// Address of an instruction of the body, by its number, or of its end.
    pub fn address(&self, n: usize) -> u64 {
        self.start() + 4 * self.body[..n].iter().map(|raw| length(*raw)).sum::<u64>()
    }

    /// Does a prefixed instruction lie across 64 bytes, which is an Alignment interrupt (Book I 1.6)?
    pub fn crosses(&self) -> bool {
        (0..self.body.len()).any(|n| length(self.body[n]) == 2 && self.address(n) & 63 == 60)
    }

    /// Makes true what depends on the place, which was `from` before.
    pub fn link(&mut self, from: Place) {
        let moved = self.place.sandbox().wrapping_sub(from.sandbox());
        for n in &self.bases {
            self.before.gpr[*n] = self.before.gpr[*n].wrapping_add(moved);
        }
        if let Some((aim, n)) = self.aim {
            let address = self.address(n.min(self.body.len()));
            match aim {
                Aim::Lr => self.before.lr = address,
                Aim::Ctr => self.before.ctr = address,
                Aim::Tar => self.before.gpr[31] = address,
            }
        }
        for (n, link) in self.links.clone() {
            let Some(insn) = isa::decode(self.body[n], self.level) else { continue };
            let at = self.address(n) as i64;
            let (field, value) = match link {
                Link::Branch(to) => {
                    let field = if insn.op == Op::b { Field::LI } else { Field::BD };
                    (field, self.address(to.min(self.body.len())) as i64 - at)
                }
                Link::Sandbox(offset) => (Field::D34, self.place.sandbox() as i64 + offset - at),
            };
            match insn.op.row().set(insn.raw, field, value) {
                Ok(raw) => self.body[n] = raw,
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// Instructions that it executes, unless it branches or is interrupted.
    pub fn count(&self) -> u64 {
        self.body.iter().map(|raw| if *raw == NOPS { 2 } else { 1 }).sum()
    }

    /// Words in the slot, TAR's included.
    pub fn slot_words(&self) -> u64 {
        self.words().len() as u64 + u64::from(self.sets_tar)
    }

    /// Address of the first instruction of the body.
    pub fn start(&self) -> u64 {
        self.place.entry() + 4 * u64::from(self.sets_tar)
    }

    /// Whether it is a stream with branches, so that it does not execute as many instructions as it has.
    pub fn branches(&self) -> bool {
        let branch = |op| matches!(op, Op::b | Op::bc | Op::bclr | Op::bcctr | Op::bctar);
        self.body.len() > 1 && self.body.iter().any(|raw| isa::decode(*raw, self.level).is_some_and(|i| branch(i.op)))
    }

    /// The last instruction: the one of the row.
    pub fn insn(&self) -> Insn {
        Insn { op: self.op, raw: self.body[self.body.len() - 1] }
    }
}

/// What does nothing.
pub const NOP: u64 = 0x6000_0000;
/// As long as a prefixed instruction.
pub const NOPS: u64 = NOP << 32 | NOP;

/// How a row computes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// It has none.
    None,
    /// RA and a displacement.
    Displacement(Field),
    /// RA and RB.
    Indexed,
    /// RA alone.
    Base,
    /// RA alone, and RB's first byte is a length.
    Length,
}

/// How a row computes its address.
pub fn shape(row: &Row) -> Shape {
    if let Some(field) = [Field::D, Field::DS, Field::DQ, Field::D34, Field::HASHD]
        .into_iter()
        .find(|f| row.has(*f) && row.has(Field::RA))
    {
        return Shape::Displacement(field);
    }
    let memory = match row.chapter {
        Chapter::storage | Chapter::atomic => true,
        Chapter::fp | Chapter::vmx | Chapter::vsx => row.name.starts_with('l') || row.name.starts_with("st"),
        _ => false,
    };
    if !memory || !row.has(Field::RA) {
        return Shape::None;
    }
    if matches!(row.op, Op::lxvl | Op::lxvll | Op::stxvl | Op::stxvll) {
        Shape::Length
    } else if row.has(Field::RB) {
        Shape::Indexed
    } else {
        Shape::Base
    }
}

/// The alignment without which an access is another thing.
pub fn natural_alignment(op: Op) -> u64 {
    match op {
        Op::lbarx | Op::stbcx_ => 1,
        Op::lharx | Op::sthcx_ => 2,
        Op::lwarx | Op::stwcx_ => 4,
        Op::ldarx | Op::stdcx_ => 8,
        Op::lqarx | Op::stqcx_ | Op::lq | Op::stq | Op::plq | Op::pstq => 16,
        Op::lwat | Op::ldat | Op::stwat | Op::stdat => 32,
        Op::hashst | Op::hashchk | Op::hashstp | Op::hashchkp => 8,
        _ => 1,
    }
}

/// The flavours that registers have in tests of a row.
fn flavours(row: &Row) -> &'static [Flavour] {
    use Flavour::*;
    let n = row.name;
    let ends = |s: &str| n.strip_suffix('_').unwrap_or(n).ends_with(s);
    match row.chapter {
        Chapter::fp => &[F64, F64, F64OfF32, I64],
        Chapter::vmx if n.starts_with("bcd") || n.contains("10") || n.contains("bcd") => &[Bcd, Bcd, Bcd, I128, I64],
        Chapter::vmx if ends("fp") || n.contains("cfs") || n.contains("cfu") || n.starts_with("vct") => {
            &[F32, F32, F32, I32]
        }
        Chapter::vmx if ends("q") => &[I128, I128, I64, Bits],
        Chapter::vmx if n.contains("perm") => &[Control, Bits, I8],
        Chapter::vsx | Chapter::prefixed | Chapter::mma
            if n.contains("bf16") || n.contains("f16") || n.contains("hp") =>
        {
            &[F16, F32, F64]
        }
        Chapter::vsx if n.contains("qp") => &[F128, F128, F64, I64, I128],
        // Before "dp", for conversions have both.
        Chapter::vsx if n.contains("cv") => &[F64, F32, F64OfF32, I64, I32],
        Chapter::vsx if ends("dp") || n.contains("dp") => &[F64],
        Chapter::vsx if n.starts_with("xs") && n.contains("sp") => &[F64OfF32, F64, F32],
        Chapter::vsx if n.contains("sp") && !n.contains("splt") => &[F32],
        Chapter::vsx if n.contains("perm") => &[Control, Bits, I8],
        Chapter::mma => &[F32, F64, Bits],
        _ => PLAIN,
    }
}

/// All registers and the sandbox, at random.
pub fn registers(r: &mut Rng, row: &Row, level: IsaLevel) -> Snapshot {
    let mut gpr: [u64; 32] = std::array::from_fn(|_| integer(r, 64));
    // Equal operands matter to compares.
    for _ in 0..4 {
        let (a, b) = (r.below(32) as usize, r.below(32) as usize);
        gpr[a] = gpr[b];
    }
    let flavours = flavours(row);
    let own = r.pick(flavours);
    let mut vsr: [u128; 64] = std::array::from_fn(|_| {
        let flavour = match r.below(8) {
            0 => r.pick(PLAIN),
            1 => r.pick(flavours),
            _ => own,
        };
        vector(r, flavour)
    });
    for _ in 0..8 {
        let (a, b) = (r.below(64) as usize, r.below(64) as usize);
        vsr[a] = vsr[b];
    }
    let xer = (r.next() & 0xE000_0000) | if level >= IsaLevel::V3_0 { r.next() & 0x000C_0000 } else { 0 };
    let mut sandbox = [0; SANDBOX_BYTES];
    let flavour = if row.chapter == Chapter::atomic { Flavour::I32 } else { own };
    for chunk in sandbox.chunks_mut(16) {
        chunk.copy_from_slice(&vector(r, flavour).to_le_bytes());
    }
    Snapshot {
        gpr,
        vsr,
        cr: u64::from(r.next() as u32),
        xer: xer | r.below(128),
        ctr: integer(r, 64),
        lr: integer(r, 64),
        fpscr: fpscr(r),
        vscr: r.pick(&[0, 0, 0, 1, 1 << 16]),
        sandbox,
    }
}

/// A floating-point status whose summaries are right and that has no enabled exception.
fn fpscr(r: &mut Rng) -> u64 {
    const VX: u64 = 0x01F8_0700;
    const OTHERS: u64 = 0x1E00_0000;
    let mut v = r.below(4) | (0x1F_0000_0000 & (r.below(8) << 32));
    if r.one_in(2) {
        return v;
    }
    v |= r.next() & 0x0007_F000;
    if r.one_in(2) {
        v |= r.next() & r.next() & VX;
    }
    if r.one_in(2) {
        v |= r.next() & OTHERS;
    }
    if v & VX != 0 {
        v |= 1 << 29;
    }
    if v & (VX | OTHERS) != 0 || r.one_in(4) {
        v |= 1 << 31;
    }
    if r.one_in(4) {
        // Enables of exceptions that have not happened: VE, OE, UE, ZE, XE and their status bits.
        for (enable, status) in [(7, 29), (6, 28), (5, 27), (4, 26), (3, 25)] {
            if v >> status & 1 == 0 && r.one_in(2) {
                v |= 1 << enable;
            }
        }
    }
    v
}

/// Function codes that loads and stores of an AMO have.
pub const LOAD_CODES: [i64; 13] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 24, 25, 28];
pub const STORE_CODES: [i64; 9] = [0, 1, 2, 3, 4, 5, 6, 7, 24];

/// Special purpose registers that problem state may use and that hold what was written.
pub const SPRS: [i64; 5] = [1, 8, 9, 256, 815];

/// The load that makes the reservation of a store conditional.
fn reserving(op: Op) -> Option<Op> {
    RESERVING.into_iter().find(|(_, store)| *store == op).map(|(load, _)| load)
}

/// Loads that reserve, and the stores that ask for it.
pub const RESERVING: [(Op, Op); 5] = [
    (Op::lbarx, Op::stbcx_),
    (Op::lharx, Op::sthcx_),
    (Op::lwarx, Op::stwcx_),
    (Op::ldarx, Op::stdcx_),
    (Op::lqarx, Op::stqcx_),
];

/// A test of a row.
pub fn test(op: Op, level: IsaLevel, order: Order, place: Place, r: &mut Rng) -> Test {
    let row = op.row();
    let mut before = registers(r, row, level);
    let mut raw = random_word(op, || r.next());
    let mut body = Vec::new();
    let mut sets_tar = false;
    let set = |raw: &mut u64, field: Field, value: i64| match row.set(*raw, field, value) {
        Ok(new) => *raw = new,
        Err(e) => panic!("{e}"),
    };
    let has = |f| row.has(f);
    // Operands that are one register matter; so do those that share with the target.
    if r.one_in(8) {
        let regs: Vec<Field> = row.fields().filter(|f| matches!(f.kind(), Kind::Vr | Kind::Vsr | Kind::Fpr)).collect();
        if regs.len() > 1 {
            let (a, b) = (r.pick(&regs), r.pick(&regs));
            let value = row.get(b, raw);
            if let Ok(new) = row.set(raw, a, value)
                && isa::valid_form(Insn { op, raw: new })
            {
                raw = new;
            }
        }
    }
    let mut bases = Vec::new();
    match shape(row) {
        Shape::None => {}
        shape => {
            let ea = effective_address(r, op, place);
            bases.extend(address(r, row, shape, &mut raw, &mut before, ea, place));
        }
    }
    match op {
        Op::b | Op::bc | Op::bclr | Op::bcctr | Op::bctar => {
            // Counts that end here or nearly so.
            before.ctr = r.pick(&[0, 1, 2, u64::MAX, 1 << 32, integer(&mut r.clone(), 64)]);
            sets_tar = op == Op::bctar;
            let slot = place.slot();
            let words = 1 + u64::from(sets_tar);
            let absolute = has(Field::AA) && raw & 2 != 0;
            let pad = if op == Op::bc && absolute { 3 } else { 1 + r.below(2) };
            let target = pad_address(slot, words, pad);
            let distance = (target as i64) - if absolute { 0 } else { place.entry() as i64 };
            let anywhere = target | r.below(4);
            match op {
                Op::b => set(&mut raw, Field::LI, distance),
                Op::bc => set(&mut raw, Field::BD, distance),
                Op::bclr => before.lr = anywhere,
                Op::bcctr => before.ctr = anywhere,
                _ => before.gpr[31] = anywhere,
            }
        }
        Op::mfspr | Op::mtspr => {
            let spr = r.pick(&SPRS);
            // TAR is the runtime's way out: it cannot be written here.
            let spr = if op == Op::mtspr && spr == 815 { 9 } else { spr };
            sets_tar = spr == 815;
            set(&mut raw, Field::SPR, spr);
        }
        Op::lwat | Op::ldat => set(&mut raw, Field::FC, r.pick(&LOAD_CODES)),
        Op::stwat | Op::stdat => set(&mut raw, Field::FC, r.pick(&STORE_CODES)),
        Op::xxgenpcvbm | Op::xxgenpcvhm | Op::xxgenpcvwm | Op::xxgenpcvdm if !r.one_in(8) => {
            set(&mut raw, Field::IMM5, r.clone().below(4) as i64);
        }
        // Shift counts and selections are small.
        _ => {
            if has(Field::RB) && shape(row) == Shape::None && r.one_in(3) {
                before.gpr[row.get(Field::RB, raw) as usize] = r.below(130);
            }
        }
    }
    // A store conditional mostly has a reservation.
    let load = reserving(op);
    if let Some(load) = load
        && !r.one_in(4)
    {
        let (ra, rb) = (row.get(Field::RA, raw), row.get(Field::RB, raw));
        let target = if load == Op::lqarx { Field::RTp } else { Field::RT };
        let free = (2..30).step_by(2).find(|n| ![ra, ra - 1, rb, rb - 1].contains(n)).unwrap_or(2);
        match isa::encode(load, &[(target, free), (Field::RA, ra), (Field::RB, rb)]) {
            Ok(word) => body.push(word),
            Err(e) => panic!("{e}"),
        }
    }
    body.push(raw);
    Test { sets_tar, bases, ..Test::of(op, level, order, place, body, before) }
}

/// An address in the sandbox that leaves room for the longest access.
fn effective_address(r: &mut Rng, op: Op, place: Place) -> u64 {
    let base = place.sandbox() + 128;
    let natural = natural_alignment(op);
    // If a page ends in the sandbox, accesses across the end are the interesting ones.
    let boundary = (base + 32).next_multiple_of(4096);
    if natural == 1 && boundary < base + 256 && r.one_in(2) {
        return boundary - 1 - r.below(17);
    }
    let align = match r.below(4) {
        0 => 1,
        1 => 4,
        _ => 16,
    };
    base + r.below(256) / align.max(natural) * align.max(natural)
}

/// Puts an effective address into displacement and registers. The register that would have to be another at another place, if
/// there is such.
fn address(
    r: &mut Rng,
    row: &Row,
    shape: Shape,
    raw: &mut u64,
    before: &mut Snapshot,
    ea: u64,
    place: Place,
) -> Option<usize> {
    let ra = row.get(Field::RA, *raw) as usize;
    let rb = row.get(Field::RB, *raw) as usize;
    match shape {
        Shape::None => None,
        Shape::Displacement(field) => {
            let unit = match field {
                Field::DS => 4,
                Field::DQ => 16,
                Field::HASHD => 8,
                _ => 1,
            };
            let fit = |v: u64| v / unit * unit;
            let displacement = if field == Field::D34 && row.get(Field::R, *raw) != 0 {
                Some(ea.wrapping_sub(place.entry()))
            } else if field == Field::D34 && ra == 0 {
                Some(ea)
            } else if ra == 0 && row.asm.contains("(RA0)") {
                // Only low memory can be reached. A place of its own for each test.
                Some(fit(LOW + 0x100 + place.0 as u64 * 192 % (LOW_PAD - LOW - 0x300)))
            } else {
                None
            };
            match displacement {
                Some(d) => match row.set(*raw, field, d as i64) {
                    Ok(new) => {
                        *raw = new;
                        return None;
                    }
                    Err(e) => panic!("{e}"),
                },
                None => before.gpr[ra] = ea.wrapping_sub(row.get(field, *raw) as u64),
            }
            Some(ra)
        }
        Shape::Indexed if ra == 0 && row.asm.contains("RA0") => {
            before.gpr[rb] = ea;
            Some(rb)
        }
        Shape::Indexed if ra == rb => {
            let half = (ea / 2) & !15;
            before.gpr[ra] = half;
            None
        }
        Shape::Indexed => {
            before.gpr[ra] = integer(r, 64);
            before.gpr[rb] = ea.wrapping_sub(before.gpr[ra]);
            Some(rb)
        }
        Shape::Base | Shape::Length => {
            // RA = 0 would be address 0.
            let (mut ra, mut fields) = (ra, *raw);
            while ra == 0 || (shape == Shape::Length && ra == rb) || !isa::valid_form(Insn { op: row.op, raw: fields })
            {
                ra = 1 + r.below(31) as usize;
                fields = match row.set(*raw, Field::RA, ra as i64) {
                    Ok(new) => new,
                    Err(e) => panic!("{e}"),
                };
            }
            *raw = fields;
            before.gpr[ra] = ea;
            if shape == Shape::Length {
                let length = r.pick(&[0, 1, 2, 3, 4, 7, 8, 9, 12, 15, 16, 17, 127, 128, 255]);
                before.gpr[rb] = length << 56 | integer(r, 56);
            } else if row.has(Field::FC) {
                // Decrement bounded looks below, increment above.
                before.gpr[ra] = ea + 16;
            }
            Some(ra)
        }
    }
}
