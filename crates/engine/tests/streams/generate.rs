//! Makes streams: up to 64 instructions that branch among themselves and access a few pages over a few registers.

use super::bench::KERNEL;
use super::rng::{Flavour, PLAIN, Rng, integer, vector};
use cpu::State;
use cpu::bits::msr;
use isa::{Chapter, Field, Insn, IsaLevel, Op, Row, random_word};

/// Where code stands: two pages.
pub const CODE: u64 = 0x1A_5000;
/// Where data stands.
pub const BUFFER: u64 = 0x4_0000;
/// Pages of data.
pub const PAGES: u64 = 4;
/// Relocation.
pub const TRANSLATED: u64 = msr::IR | msr::DR;
/// Instructions of a stream at most.
const MOST: u64 = 64;
/// Registers that hold addresses of data, and one that holds a small offset.
const BASES: [i64; 3] = [1, 3, 4];
const INDEX: i64 = 5;
/// Registers that hold addresses of code.
const TARGETS: [i64; 2] = [12, 13];

/// A stream and what there is before it.
#[derive(Clone)]
pub struct Stream {
    pub level: IsaLevel,
    pub little: bool,
    /// Of LPCR.
    pub ail: u64,
    /// Ticks until the decrementer interrupts.
    pub decrementer: u64,
    /// From [`CODE`].
    pub offset: u64,
    pub words: Vec<u32>,
    /// MSR and registers.
    pub state: State,
    pub data: Vec<u8>,
}

impl Stream {
    /// Its instructions, to be read.
    pub fn listing(&self) -> String {
        let mut text = format!(
            "{:?}, {}-endian, {} bits, AIL {}, decrementer {}, msr {:#x}, xer {:#x} cr {:#x} ctr {:#x} lr {:#x}\n",
            self.level,
            if self.little { "little" } else { "big" },
            if self.state.msr & msr::SF != 0 { 64 } else { 32 },
            self.ail,
            self.decrementer,
            self.state.msr,
            self.state.xer(),
            self.state.cr(),
            self.state.ctr,
            self.state.lr
        );
        for (n, v) in self.state.gpr.iter().enumerate() {
            text += &format!("r{n}={v:#x}{}", if n % 8 == 7 { "\n" } else { " " });
        }
        for (n, w) in self.words.iter().enumerate() {
            let at = self.state.nia - self.state.nia % 4096 + self.offset % 4096 + 4 * n as u64;
            let mut raw = u64::from(*w);
            if isa::is_prefix(*w) && self.level >= IsaLevel::V3_1 {
                raw = raw << 32 | u64::from(self.words.get(n + 1).copied().unwrap_or(0));
            }
            let shown = isa::decode(raw, self.level).map_or("?".into(), |i| isa::disassemble(i, at));
            text += &format!("  {at:#x}: {w:08x} {shown}\n");
        }
        text
    }
}

/// Rows by what they are good for.
pub struct Rows {
    groups: Vec<(u64, Vec<Op>)>,
    sum: u64,
    /// Floating point.
    floats: Vec<Op>,
}

impl Rows {
    /// The rows that may stand in streams.
    pub fn new() -> Rows {
        let fit = |op: &&Op| {
            let row = op.row();
            row.implemented
                && row.privilege == isa::Privilege::User
                && row.chapter != Chapter::tm
                // Time is not compared, nor what the host draws.
                && !matches!(row.op, Op::wait | Op::mftb | Op::sc | Op::scv | Op::darn | Op::rfebb | Op::mfspr | Op::mtspr)
        };
        let all: Vec<Op> = Op::ALL.iter().filter(fit).copied().collect();
        let of = |f: &dyn Fn(&Row) -> bool| -> Vec<Op> { all.iter().filter(|o| f(o.row())).copied().collect() };
        let named = |names: &[&str]| -> Vec<Op> { names.iter().filter_map(|n| Op::from_name(n)).collect() };
        let groups = vec![
            (8, of(&|r| r.chapter == Chapter::fixed && !r.name.starts_with("reserved"))),
            (
                6,
                named(&[
                    "cmp", "cmpl", "cmpi", "cmpli", "cmpb", "cmprb", "cmpeqb", "setb", "isel", "mtcrf", "mtocrf",
                    "mfcr", "mfocrf", "mcrxrx", "andi_", "setbc", "setnbcr",
                ]),
            ),
            (
                4,
                named(&[
                    "addo", "adde", "subfe", "addme", "subfze", "addze", "addic", "addic_", "subfic", "nego", "mulldo",
                    "add", "subf", "mulld", "neg", "sraw", "srad", "sradi",
                ]),
            ),
            (5, of(&|r| r.chapter == Chapter::branch && r.ends == isa::Ends::No)),
            (2, named(&["bc", "bc", "bc", "bc", "bc", "bc", "b", "bclr", "bcctr", "bctar"])),
            (
                8,
                named(&[
                    "lbz", "lbzu", "lhz", "lha", "lhau", "lwz", "lwzu", "lwa", "ld", "ldu", "stb", "stbu", "sth",
                    "sthu", "stw", "stwu", "std", "stdu", "addi",
                ]),
            ),
            (4, of(&|r| r.chapter == Chapter::storage)),
            (2, of(&|r| r.chapter == Chapter::atomic)),
            (3, of(&|r| r.chapter == Chapter::vmx)),
            (3, of(&|r| r.chapter == Chapter::vsx)),
            (2, of(&|r| r.chapter == Chapter::fp)),
            (1, all.clone()),
        ];
        let groups: Vec<(u64, Vec<Op>)> = groups.into_iter().filter(|g| !g.1.is_empty()).collect();
        let sum = groups.iter().map(|g| g.0).sum();
        let floats = |r: &Row| {
            r.chapter == Chapter::fp
                || r.chapter == Chapter::vsx && (r.name.starts_with("xs") || r.name.starts_with("xv"))
        };
        Rows { groups, sum, floats: of(&floats) }
    }

    fn pick(&self, r: &mut Rng, Kind { vectors, floats, .. }: Kind) -> Op {
        if floats && !r.one_in(4) {
            return r.pick(&self.floats);
        }
        loop {
            let mut n = r.below(self.sum);
            let group = self.groups.iter().find(|g| {
                n < g.0 || {
                    n -= g.0;
                    false
                }
            });
            let Some((_, ops)) = group else { continue };
            let op = r.pick(ops);
            if vectors
                || !matches!(op.row().chapter, Chapter::vmx | Chapter::vsx | Chapter::fp | Chapter::mma | Chapter::dfp)
            {
                return op;
            }
        }
    }
}

const FLAVOURS: [Flavour; 6] =
    [Flavour::F64, Flavour::F64OfF32, Flavour::F32, Flavour::F128, Flavour::F16, Flavour::Bcd];

/// A field set, if it can hold the value.
fn set(row: &Row, raw: &mut u64, field: Field, value: i64) {
    if row.has(field)
        && let Ok(new) = row.set(*raw, field, value)
    {
        *raw = new;
    }
}

/// What a stream is like.
#[derive(Clone, Copy)]
struct Kind {
    /// It uses vector and floating-point registers.
    vectors: bool,
    /// Mostly floating point, on ordinary numbers.
    floats: bool,
    /// Interrupts are rare.
    calm: bool,
    little: bool,
}

impl Kind {
    /// Whether a row may stand in a calm stream.
    fn allows(self, row: &Row, r: &mut Rng) -> bool {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|p| row.name.starts_with(p));
        let aligned = starts(&["lb", "lh", "lw", "ld", "lq", "st"]) && row.chapter == Chapter::atomic
            || starts(&["copy", "paste", "lm", "stm", "lsw", "stsw", "hash", "lq", "stq", "plq", "pstq"]);
        let branches = matches!(row.op, Op::b | Op::bclr | Op::bcctr | Op::bctar);
        !matches!(row.op, Op::tw | Op::td | Op::twi | Op::tdi | Op::slbfee_)
            && (!aligned || !self.little || !starts(&["lm", "stm", "lsw", "stsw"]))
            && (!(aligned || branches) || r.one_in(4))
    }
}

/// One instruction at word `at` of `len`.
fn instruction(rows: &Rows, level: IsaLevel, kind: Kind, at: u64, len: u64, r: &mut Rng) -> u64 {
    loop {
        let op = rows.pick(r, kind);
        let row = op.row();
        if !row.at(level) || kind.calm && !kind.allows(row, r) {
            continue;
        }
        let mut raw = random_word(op, || r.next());
        match op {
            Op::b | Op::bc => {
                let to = r.below(len + 1) as i64 - at as i64;
                let field = if op == Op::b { Field::LI } else { Field::BD };
                set(row, &mut raw, Field::AA, 0);
                set(row, &mut raw, field, 4 * to);
                // Loops that count are frequent, endless ones are not.
                if op == Op::bc && to < 0 && r.one_in(2) {
                    set(row, &mut raw, Field::BO, 16);
                }
                if op == Op::b && to <= 0 && !r.one_in(8) {
                    continue;
                }
            }
            _ => {}
        }
        let storage = matches!(row.chapter, Chapter::storage | Chapter::atomic)
            || row.name.starts_with('l')
            || row.name.starts_with("st")
            || row.name.starts_with("pl")
            || row.name.starts_with("pst");
        if storage && row.has(Field::RA) && (kind.calm || !r.one_in(16)) {
            set(row, &mut raw, Field::RA, r.pick(&BASES));
            for field in [Field::D, Field::DS, Field::DQ] {
                let reach = r.pick(&[8i64, 8, 24, 64, 600]);
                let unit = r.pick(&[1, 4, 8, 16]).max(if field == Field::D { 1 } else { 4 });
                let unit = unit.max(if field == Field::DQ { 16 } else { 1 });
                let d = (r.below(2 * reach as u64) as i64 - reach) / unit * unit;
                set(row, &mut raw, field, d);
            }
            if row.has(Field::D34) && row.has(Field::R) {
                set(row, &mut raw, Field::R, 0);
                set(row, &mut raw, Field::D34, r.below(64) as i64 - 32);
            }
            set(row, &mut raw, Field::RB, INDEX);
        }
        if op == Op::addi && r.one_in(2) {
            let base = r.pick(&BASES);
            set(row, &mut raw, Field::RT, base);
            set(row, &mut raw, Field::RA, base);
            set(row, &mut raw, Field::SI, r.below(64) as i64 - 32);
        }
        let kept = [1, 3, 4, 5, 12, 13];
        let written = [Field::RT, Field::RTp].iter().any(|f| row.has(*f) && kept.contains(&row.get(*f, raw)))
            || row.chapter == Chapter::fixed
                && row.has(Field::RA)
                && row.has(Field::RS)
                && kept.contains(&row.get(Field::RA, raw));
        if written && op != Op::addi && !row.name.starts_with("st") && (kind.calm || !r.one_in(16)) {
            continue;
        }
        if isa::valid_form(Insn { op, raw }) || !kind.calm && r.one_in(64) {
            return raw;
        }
    }
}

const RFID: u64 = 0x4C00_0024;
/// What changes MSR or returns: mtmsrd (of EE and RI, of all), mfmsr, rfid, mtspr of SRR1, DEC and AMR; a register is to be
/// put in.
const SYSTEM: [u64; 9] =
    [0x7C01_0164, 0x7C01_0164, 0x7C01_0164, 0x7C00_0164, 0x7C00_00A6, RFID, 0x7C1B_03A6, 0x7C16_03A6, 0x7C1D_03A6];

/// Extended opcodes of loads that reserve and of the stores that belong to them, from one byte to eight.
const RESERVED: [(u64, u64); 4] = [(52, 694), (116, 726), (20, 150), (84, 214)];

/// Loads and reserves, adds, and stores if the reservation is still there: the store is returned.
fn reserved(words: &mut Vec<u32>, r: &mut Rng) -> u64 {
    let (load, store) = r.pick(&RESERVED);
    let (register, base) = (6 + r.below(6), r.pick(&BASES) as u64);
    words.push((31 << 26 | register << 21 | base << 11 | load << 1) as u32);
    words.push((14 << 26 | register << 21 | register << 16 | 1) as u32);
    // Sometimes of another size.
    let store = if r.one_in(8) { r.pick(&RESERVED).1 } else { store };
    31 << 26 | register << 21 | base << 11 | store << 1 | 1
}

/// A stream.
pub fn stream(rows: &Rows, level: IsaLevel, exact: bool, r: &mut Rng) -> Stream {
    let len = 1 + r.below(MOST);
    let little = !r.one_in(4);
    let floats = r.one_in(3);
    let kind = Kind { vectors: floats || r.one_in(2), floats, calm: r.one_in(2), little };
    let mut words = Vec::new();
    while (words.len() as u64) < len {
        let system = exact && r.one_in(24);
        let raw = match r.below(24) {
            _ if system => match r.pick(&SYSTEM) {
                RFID => RFID,
                word => word | r.below(32) << 21,
            },
            // Special purpose registers that problem state has.
            0 => {
                let spr = r.pick(&[1u64, 8, 9, 256, 815, 1, 9]);
                let reg = r.below(32);
                let spr = (spr & 31) << 5 | spr >> 5;
                let code = if r.one_in(2) { 339 } else { 467 };
                if code == 339 && [1, 3, 4, 5, 12, 13].contains(&reg) {
                    continue;
                }
                31 << 26 | reg << 21 | spr << 11 | code << 1
            }
            1 if r.one_in(4) => {
                let reg = r.pick(&TARGETS) as u64;
                let spr = r.pick(&[8u64, 9, 815]);
                31 << 26 | reg << 21 | ((spr & 31) << 5 | spr >> 5) << 11 | 467 << 1
            }
            2 => reserved(&mut words, r),
            _ => instruction(rows, level, kind, words.len() as u64, len, r),
        };
        if raw >> 32 != 0 {
            words.push((raw >> 32) as u32);
        }
        words.push(raw as u32);
    }
    // Sometimes it ends in a loop along the data, page after page.
    let along = r.one_in(3);
    if along {
        let base = r.pick(&BASES) as u64;
        let step = r.pick(&[1i64, 4, 8, 8, 16, -8, 128, 520]);
        words.push((14 << 26 | base << 21 | base << 16 | step as u64 & 0xFFFF) as u32);
        let back = -4 * (r.below(12.min(words.len() as u64)) as i64 + 1);
        words.push((16 << 26 | 16 << 21 | back as u64 & 0xFFFC) as u32);
    }
    // Sometimes a page ends within it.
    let offset = if r.one_in(4) { 0x1000 - 4 * r.below(len + 1).min(64) } else { 4 * r.below(512) };
    // Before 3.0 there are no radix tables.
    let translated = level >= IsaLevel::V3_0 && !r.one_in(4);
    let problem = r.one_in(2);
    // 32-bit mode: only the low half of an address counts.
    let narrow = r.one_in(5);
    let mut bits = msr::ME | msr::RI;
    for (bit, on) in [
        (msr::SF, !narrow),
        (msr::LE, little),
        (TRANSLATED, translated),
        (msr::PR, problem),
        (msr::EE, exact && r.one_in(3)),
        (msr::FP, kind.calm || !r.one_in(16)),
        (msr::VEC, kind.calm || !r.one_in(16)),
        (msr::VSX, kind.calm || !r.one_in(16)),
        (msr::FE0, !kind.calm && r.one_in(2)),
        (msr::FE1, !kind.calm && r.one_in(2)),
    ] {
        bits |= if on { bit } else { 0 };
    }
    let kernel = if translated && !problem && !narrow && r.one_in(2) { KERNEL } else { 0 };
    let code_at = kernel | (CODE + offset);
    let mut s =
        State { msr: bits, nia: code_at, fpscr: fpscr(r), vscr: r.pick(&[0, 0, 1, 1 << 16]), ..State::default() };
    s.gpr = std::array::from_fn(|_| integer(r, 64));
    for base in BASES {
        // Near where pages meet, or anywhere.
        let at = match (kind.calm, r.one_in(2)) {
            (false, true) => r.below(PAGES + 1) << 12,
            (false, false) => r.below(PAGES << 12),
            // The last page is read-only.
            (true, true) => (1 + r.below(PAGES - 2)) << 12,
            (true, false) => 0x400 + r.below(((PAGES - 1) << 12) - 0x800),
        };
        let at = at.wrapping_add(r.below(64)).wrapping_sub(r.below(64));
        let at = if r.one_in(2) { at & !15 } else { at };
        s.gpr[base as usize] =
            (if translated && !problem && !narrow && !r.one_in(3) { KERNEL } else { 0 }) | BUFFER.wrapping_add(at);
    }
    s.gpr[INDEX as usize] = r.pick(&[0, 0, 8, 16, 1, r.clone().below(64), 0u64.wrapping_sub(16)]);
    for target in TARGETS {
        s.gpr[target as usize] = code_at + 4 * r.below(len + 1);
    }
    s.lr = code_at + 4 * r.below(len + 1);
    s.ctr = if r.one_in(4) { code_at + 4 * r.below(len + 1) } else { r.below(if along { 90 } else { 12 }) };
    s.spr.tar = code_at + 4 * r.below(len + 1);
    if narrow && r.one_in(2) {
        let high = r.next() << 32;
        let State { gpr, lr, ctr, spr, .. } = &mut s;
        let addresses = BASES.iter().chain(&TARGETS).map(|n| *n as usize);
        addresses.for_each(|n| gpr[n] |= high);
        [lr, ctr, &mut spr.tar].into_iter().for_each(|address| *address |= high);
    }
    s.set_cr(r.next() as u32);
    s.set_xer(r.next() & if level >= IsaLevel::V3_0 { 0xE00C_007F } else { 0xE000_007F });
    let any = |r: &mut Rng| if r.one_in(2) { r.pick(PLAIN) } else { r.pick(&FLAVOURS) };
    let own = any(r);
    s.vsr = std::array::from_fn(|_| {
        let flavour = if r.one_in(3) { any(r) } else { own };
        vector(r, flavour)
    });
    if floats {
        // As it is in programs: mostly inexact before, nothing enabled, to nearest.
        s.fpscr = match r.below(8) {
            0 => s.fpscr,
            1 | 2 => 0,
            _ => INEXACT,
        };
        let (singles, words) = (r.one_in(2), r.one_in(3));
        for v in &mut s.vsr {
            let mut half = || {
                let word = |r: &mut Rng| u64::from((f64::from_bits(ordinary(r, true)) as f32).to_bits());
                if words { word(r) << 32 | word(r) } else { ordinary(r, singles) }
            };
            let new = u128::from(half()) << 64 | u128::from(half());
            if !r.one_in(8) {
                *v = new;
            }
        }
    }
    let mut data = vec![0; (PAGES << 12) as usize];
    for chunk in data.chunks_mut(8) {
        chunk.copy_from_slice(&integer(r, 64).to_le_bytes());
    }
    // The last one mostly: it is Linux's.
    let ail = r.pick(&[0, 2, 3, 3]);
    let decrementer = if exact { r.below(300) } else { 0x7000_0000 };
    (s.spr.srr0, s.spr.srr1) = (code_at + 4 * r.below(len + 1), bits);
    Stream { level, little, ail, decrementer, offset, words, state: s, data }
}

/// FPSCR\[FX,XX\].
const INEXACT: u64 = 1 << 31 | 1 << 25;

/// A number of middling size, sometimes with few bits; of single precision, or near to it.
fn ordinary(r: &mut Rng, single: bool) -> u64 {
    let exponent = 1023 - 40 + r.below(80);
    let bits = if single && !r.one_in(16) { 23 } else { r.pick(&[52, 52, 52, 24, 3, 0]) };
    let fraction = r.next() & ((1u64 << 52) - 1) & !((1u64 << (52 - bits)) - 1);
    (r.next() & 1) << 63 | exponent << 52 | fraction
}

/// Rounding mode, and sometimes an enabled exception.
fn fpscr(r: &mut Rng) -> u64 {
    r.below(4) | if r.one_in(4) { 1 << (3 + r.below(5)) } else { 0 }
}
