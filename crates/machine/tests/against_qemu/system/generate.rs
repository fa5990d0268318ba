//! Makes cases.

use super::case::{ALL_OF_IT, Case, Item, OTHER_PID, PATCHES, TABLES, ea, msr};
use super::harness::{LOWER, PID, SANDBOX, SLOT, TREE, directory, leaf, root};
use super::known;
use crate::rng::{Rng, integer};
use isa::{Chapter, Field, Insn, IsaLevel, Op, Privilege, encode, random_word, valid_form};

/// Registers that hold effective addresses of process 1, addresses that are good without translation too, values of MSR, nothing.
/// [`ALL_OF_IT`] and [`TABLES`] are for stores to tables and `tlbie`. All others are of any value; loads and moves go to [`FREE`].
const ADDRESSES: std::ops::Range<u64> = 16..21;
const REAL: std::ops::Range<u64> = 21..24;
const STATES: std::ops::Range<u64> = 24..29;
const ENTRIES: [u64; 2] = [13, 14];
const ZERO: usize = 15;
const FREE: u64 = 9;

/// Words of a case's items, at most: the slot has two more.
const WORDS: usize = SLOT as usize / 4 - 2;

/// A state that says little: what of MSR the next instruction finds.
#[derive(Clone, Copy)]
struct State {
    msr: u64,
}

impl State {
    fn problem(self) -> bool {
        self.msr & msr::PR != 0
    }

    fn set(&mut self, value: u64) {
        self.msr = value;
        if self.problem() {
            self.msr |= msr::EE | msr::IR | msr::DR;
        }
    }
}

fn some_msr(r: &mut Rng) -> u64 {
    let mut value = msr::ME | msr::RI;
    if !r.one_in(8) {
        value |= msr::SF;
    }
    if r.one_in(3) {
        value |= msr::PR;
    }
    match r.below(8) {
        0 => value |= msr::IR,
        1 => value |= msr::DR,
        2 | 3 => {}
        _ => value |= msr::IR | msr::DR,
    }
    for bit in [msr::EE, msr::FP, msr::VEC, msr::VSX, msr::FE0, msr::FE1, msr::LE] {
        if r.one_in(3) {
            value |= bit;
        }
    }
    if r.one_in(12) {
        value |= r.pick(&[msr::SE, msr::BE]);
    }
    if r.one_in(8) {
        value &= !msr::RI;
    }
    if r.one_in(8) {
        // Bits that a partition has not, or that are reserved; those of transactions stay 0.
        value |= 1 << r.pick(&[60, 59, 58, 40, 31, 30, 29, 28, 27, 26, 24, 22, 20, 18, 17, 16, 7, 6, 3, 2]);
    }
    value
}

/// Access authority and the rest of a leaf.
fn leaf_bits(r: &mut Rng) -> u64 {
    let mut bits = r.below(16);
    if !r.one_in(4) {
        bits |= 6;
    }
    if r.one_in(12) {
        bits |= r.pick(&[0x10, 0x20, 0x30]);
    }
    if !r.one_in(3) {
        bits |= 0x100;
    }
    if !r.one_in(3) {
        bits |= 0x80;
    }
    bits
}

/// What stands in a table: mostly what belongs there, `real` with other bits.
fn entry(r: &mut Rng, good: u64, is_leaf: bool) -> u64 {
    match r.below(12) {
        0 => 0,
        1 => good & !(1 << 63),
        2 => good ^ 1 << 62,
        3 if !is_leaf => good & !0x1F | r.below(32),
        4 if is_leaf => good | 1 << r.pick(&[57, 58, 59, 60, 61]),
        5 | 6 if is_leaf => good,
        _ if is_leaf => good & !0x1BF | leaf_bits(r),
        _ => good,
    }
}

fn patches(r: &mut Rng, case: &mut Case) {
    let tables: Vec<u64> = vec![LOWER + 0x2000, LOWER + 0x3000];
    for (n, (_, good)) in PATCHES.iter().enumerate() {
        case.patches[n] = match n {
            1..=9 | 11 | 12 | 14 | 18 => entry(r, *good, true),
            13 | 19 => match r.below(4) {
                0 => 0,
                // Pages that are not aligned to their size, directories at the wrong place or of the wrong size.
                1 => leaf(SANDBOX + 0x1000 * r.below(8), 0x187),
                2 => directory(r.pick(&tables), r.pick(&[5, 9])),
                _ => directory(r.pick(&tables) + 8 * r.below(512), r.below(32)),
            },
            16 if r.one_in(6) => entry(r, *good, true),
            17 => match r.below(4) {
                0 => 0,
                1 => root(TREE) ^ 1 << r.below(5),
                2 => root(TREE) ^ 1 << r.pick(&[5, 6, 7, 61, 62]),
                _ => *good,
            },
            0 | 10 | 15 if r.one_in(4) => entry(r, *good, false),
            _ => *good,
        };
    }
}

/// Beginning or end of a page, or across its end.
fn within(r: &mut Rng, size: u64) -> u64 {
    match r.below(4) {
        0 => 8 * r.below(6),
        1 => r.below(40),
        2 => size - 48 + 8 * r.below(6),
        _ => size - r.below(24),
    }
}

fn address(r: &mut Rng) -> u64 {
    let outside =
        [ea::HUGE, ea::SECOND, 1 << 52, 1 << 62, 2 << 62, ea::KERNEL | 1 << 40, ea::KERNEL | 1 << 56, 1 << 48];
    match r.below(24) {
        0 => r.pick(&outside) + SANDBOX + within(r, 0x1000),
        1 | 2 => ea::LARGE + within(r, 0x20_0000),
        3 | 4 => ea::MIDDLE + 0x1_0000 * r.below(2) + within(r, 0x1_0000),
        5 => ea::BAD + 0x1_0000 * r.below(32) + within(r, 0x1000),
        6 => ea::WORSE + 0x1000 * r.below(512) + within(r, 0x1000),
        7 => ea::HUGE + SANDBOX + 0x1000 * r.below(8) + within(r, 0x1000),
        8 => ea::SECOND + ea::SMALL + 0x1000 * r.below(8) + within(r, 0x1000),
        9 => real(r),
        _ => ea::SMALL + 0x1000 * r.below(8) + within(r, 0x1000),
    }
}

/// Good with and without translation, if the process may.
fn real(r: &mut Rng) -> u64 {
    let at = SANDBOX + 0x1000 * r.below(8);
    // Not beyond the last page.
    let at = at + within(r, 0x1000).min(0xF90 + r.below(0x68));
    if r.one_in(3) { at } else { at | ea::KERNEL }
}

fn word(op: Op, fields: &[(Field, i64)]) -> u32 {
    encode(op, fields).unwrap_or_else(|e| panic!("{e}")) as u32
}

fn text(lines: &str) -> Item {
    Item::Words(lines.lines().map(|l| isa::assemble(l).unwrap_or_else(|e| panic!("{l}: {e}")) as u32).collect())
}

/// Rows that cases of a level are made of.
pub struct Rows {
    level: IsaLevel,
    storage: Vec<Op>,
    system: Vec<Op>,
    facility: Vec<Op>,
    plain: Vec<Op>,
    /// Special purpose registers, and whether written.
    sprs: Vec<(u32, bool)>,
}

impl Rows {
    pub fn new(level: IsaLevel) -> Rows {
        let of = |fits: &dyn Fn(Op) -> bool| {
            let all = Op::ALL.iter().copied();
            all.filter(|op| op.row().at(level) && !op.row().prefixed && op.row().implemented && fits(*op)).collect()
        };
        let storage = |op: Op| {
            matches!(op.row().chapter, Chapter::storage | Chapter::atomic)
                && op.row().has(Field::RA)
                && known::fit_storage(op)
        };
        Rows {
            level,
            storage: of(&storage),
            system: of(&|op| {
                let row = op.row();
                (matches!(row.chapter, Chapter::system | Chapter::tm) || row.privilege != Privilege::User)
                    && known::fit_system(op)
            }),
            facility: of(&known::fit_facility),
            plain: of(&|op| {
                matches!(op, Op::add | Op::addi | Op::or | Op::xor | Op::rldicl | Op::extsw | Op::cmp | Op::cmpl)
            }),
            sprs: known::sprs().collect(),
        }
    }

    /// All rows that have cases of their own.
    pub fn all(&self) -> impl Iterator<Item = Op> {
        [&self.storage, &self.system, &self.facility].into_iter().flatten().copied()
    }

    /// Leaves for streams what needed no excuse.
    pub fn keep(&mut self, op: impl Fn(Op) -> bool, spr: impl Fn(u32, bool) -> bool) {
        for rows in [&mut self.storage, &mut self.system, &mut self.facility] {
            rows.retain(|o| op(*o));
        }
        self.sprs.retain(|(n, write)| spr(*n, *write));
    }

    /// A case of one instruction.
    pub fn alone(&self, op: Op, r: &mut Rng) -> Case {
        let mut case = registers(self.level, r);
        let word = if self.storage.contains(&op) {
            self.access(op, State { msr: case.msr }, r)
        } else {
            let word = self.free(op, r);
            if matches!(op, Op::mtmsr | Op::mtmsrd) {
                let from = STATES.start + r.below(STATES.end - STATES.start);
                if r.one_in(4) {
                    case.gpr[from as usize] &= !msr::ME;
                }
                op.row().set(u64::from(word), Field::RS, from as i64).unwrap_or(u64::from(word)) as u32
            } else {
                word
            }
        };
        // What a hash is checked against is stored before, mostly.
        let stored = match op {
            Op::hashchk => Some(Op::hashst),
            Op::hashchkp => Some(Op::hashstp),
            _ => None,
        };
        let stored = stored.filter(|_| !r.one_in(4)).map(|store| {
            let get = |field| op.row().get(field, u64::from(word));
            self::word(store, &[Field::RA, Field::RB, Field::HASHD].map(|field| (field, get(field))))
        });
        case.items = vec![Item::Words(stored.into_iter().chain([word]).collect())];
        case
    }

    /// A special purpose register is read, or written and read.
    pub fn spr_alone(&self, spr: u32, write: bool, problem: bool, r: &mut Rng) -> Case {
        let mut case = Case::plain(self.level);
        if problem {
            case.msr |= msr::PR | msr::EE | msr::IR | msr::DR;
        }
        // What is written is told from 0 and 1, which many registers hold that nobody can write.
        (case.gpr[3], case.gpr[4]) = (if r.one_in(2) { integer(r, 64) | 2 } else { r.next() | 2 }, r.next() | 1);
        // PID, AMR and the like do not forbid the code.
        let read = format!("mfspr r4,{spr}");
        case.items = vec![text(&if write { format!("mtspr {spr},r3\n{read}") } else { read })];
        case
    }

    /// A word whose results go to registers that hold nothing of use, and whose operands are any.
    fn free(&self, op: Op, r: &mut Rng) -> u32 {
        let row = op.row();
        let mut raw = random_word(op, || r.next());
        for field in [Field::RT, Field::RA] {
            if row.has(field) && (field == Field::RT || row.chapter == Chapter::fixed && !row.has(Field::RT)) {
                raw = row.set(raw, field, r.below(FREE) as i64).unwrap_or(raw);
            }
        }
        raw as u32
    }

    fn any_access(&self, state: State, r: &mut Rng) -> u32 {
        self.access(r.pick(&self.storage), state, r)
    }

    fn access(&self, op: Op, state: State, r: &mut Rng) -> u32 {
        let row = op.row();
        for tries in 0.. {
            let mut raw = random_word(op, || r.next());
            let base = if state.msr & msr::DR == 0 { REAL } else { ADDRESSES.start..REAL.end };
            let base = base.start + r.below(base.end - base.start);
            raw = row.set(raw, Field::RA, base as i64).unwrap_or(raw);
            for field in [Field::D, Field::DS, Field::DQ] {
                if row.has(field) {
                    raw = row.set(raw, field, r.pick(&[0, 0, 16, 0])).unwrap_or(raw);
                }
            }
            if row.has(Field::HASHD) {
                // Within what is the same again for the next case.
                raw = row.set(raw, Field::HASHD, -8 * (1 + r.below(2) as i64)).unwrap_or(raw);
            }
            if row.has(Field::RB) && !row.has(Field::HASHD) {
                raw = row.set(raw, Field::RB, ZERO as i64).unwrap_or(raw);
            }
            if row.has(Field::RT) {
                // A load of several has all behind it, too.
                let to = if op == Op::lmw { 29 + r.below(3) } else { r.below(FREE) };
                raw = row.set(raw, Field::RT, to as i64).unwrap_or(raw);
            }
            // Some have few valid forms, or none with these registers.
            if valid_form(Insn { op, raw }) || tries == 100 {
                return raw as u32;
            }
        }
        unreachable!("it ends at the hundredth")
    }

    fn item(&self, state: &mut State, gpr: &[u64; 32], r: &mut Rng) -> Item {
        let one = |word: u32| Item::Words(vec![word]);
        match r.below(32) {
            0..=6 => one(self.any_access(*state, r)),
            7..=9 => {
                let from = STATES.start + r.below(STATES.end - STATES.start);
                let value = gpr[from as usize];
                let op = r.pick(&[Op::mtmsr, Op::mtmsrd, Op::mtmsrd]);
                let l = i64::from(r.one_in(3));
                if !state.problem() {
                    match (op, l) {
                        (_, 1) => state.msr = state.msr & !0x8002 | value & 0x8002,
                        (Op::mtmsr, _) => state.set(state.msr & !0xFFFF_FFFF | value & 0xFFFF_FFFF),
                        _ => state.set(value),
                    }
                }
                one(word(op, &[(Field::RS, from as i64), (Field::L15, l)]))
            }
            10..=12 => {
                let value = some_msr(r);
                let vectored = self.level >= IsaLevel::V3_0 && r.one_in(4);
                if state.problem() {
                    // It does not go through, and what is behind it must not have another order of bytes.
                    return one(word(if vectored { Op::rfscv } else { Op::rfid }, &[]));
                }
                state.set(value);
                Item::Return { msr: value, vectored }
            }
            13 => {
                let fits = |(spr, _): &&(u32, _)| state.msr & msr::IR == 0 || !known::of_fetches(*spr);
                let all: Vec<_> = known::WRITTEN.iter().filter(fits).collect();
                let (spr, values) = *r.pick(&all);
                let value = r.pick(values);
                let part = |n: u32| value >> (48 - 16 * n) & 0xFFFF;
                text(&format!(
                    "lis r3,{}\nori r3,r3,{}\nrldicr r3,r3,32,31\noris r3,r3,{}\nori r3,r3,{}\nmtspr {spr},r3\nisync",
                    part(0) as u16 as i16,
                    part(1),
                    part(2),
                    part(3)
                ))
            }
            14..=17 => {
                let (spr, write) = known::some_spr(&self.sprs, r);
                let register = r.below(FREE);
                let text = if write { format!("mtspr {spr},r{register}") } else { format!("mfspr r{register},{spr}") };
                one(isa::assemble(&text).unwrap_or_else(|e| panic!("{text}: {e}")) as u32)
            }
            18..=21 => {
                let op = r.pick(&self.system);
                one(self.free(op, r))
            }
            22 => {
                let op = r.pick(&self.facility);
                one(self.free(op, r))
            }
            23 => {
                let to = (Field::TO, r.below(32) as i64);
                one(r.pick(&[
                    word(Op::tw, &[to, (Field::RA, 3), (Field::RB, 4)]),
                    word(Op::td, &[to, (Field::RA, 3), (Field::RB, 4)]),
                    word(Op::twi, &[to, (Field::RA, 3), (Field::SI, -1)]),
                    word(Op::tdi, &[to, (Field::RA, 3), (Field::SI, -1)]),
                    0x7FE0_0008,
                ]))
            }
            24 | 25 => one(if self.level >= IsaLevel::V3_0 && r.one_in(2) {
                word(Op::scv, &[(Field::LEV, r.below(128) as i64)])
            } else {
                word(Op::sc, &[(Field::LEV, 0)])
            }),
            26 => one(loop {
                let any = r.next() as u32;
                let any = any & 0x03FF_FFFF | r.pick(&[31, 31, 31, 0, 5, 9, 22]) << 26;
                if known::fit_illegal(any) && isa::decode(u64::from(any), self.level).is_none() {
                    break any;
                }
            }),
            // The decrementer's interrupt comes when it may.
            27 => text("li r3,2\nmtmsrd r3,1\nlis r3,-1\nmtspr 22,r3\nori r3,r3,0x8002\nmtmsrd r3,1"),
            // A table is changed, the TLB told, and the page used.
            28..=30 => {
                let page = r.below(8);
                let from = r.pick(&ENTRIES);
                let told = match r.below(3) {
                    0 => format!("tlbie r{ALL_OF_IT},r3,2,1,1\nsync 0,0\ntlbsync\nsync 2,0"),
                    1 => format!("tlbie r{ALL_OF_IT},r3,0,1,1\nsync 0,0\ntlbsync\nsync 2,0"),
                    _ => format!("tlbiel r{ALL_OF_IT},r3,0,1,1\nsync 2,0\nisync"),
                };
                let access = self.any_access(*state, r);
                let Item::Words(mut words) = text(&format!(
                    "std r{from},{}(r{TABLES})\nmfspr r3,48\nrldicr r3,r3,32,31\n{told}",
                    0x2000 + 8 * page
                )) else {
                    unreachable!("text is words")
                };
                words.push(access);
                Item::Words(words)
            }
            _ => one(self.free(r.pick(&self.plain), r)),
        }
    }
}

/// A case without instructions.
fn registers(level: IsaLevel, r: &mut Rng) -> Case {
    let mut case = Case::plain(level);
    case.msr = some_msr(r);
    if case.msr & msr::PR != 0 {
        case.msr |= msr::EE | msr::IR | msr::DR;
    }
    case.mode = r.pick(&[0, 3]);
    (case.cr, case.xer) = (r.next() as u32, r.next() & 0xE000_0000);
    (case.lr, case.ctr) = (integer(r, 64), integer(r, 64));
    let plain = case.gpr;
    case.gpr = std::array::from_fn(|_| integer(r, 64));
    for n in [ALL_OF_IT, TABLES, ZERO] {
        case.gpr[n] = plain[n];
    }
    for n in ADDRESSES {
        case.gpr[n as usize] = address(r);
    }
    for n in REAL {
        case.gpr[n as usize] = real(r);
    }
    for n in STATES {
        case.gpr[n as usize] = some_msr(r);
    }
    // In the order of bytes in which the store finds it, mostly.
    let little = case.msr & msr::LE != 0;
    for n in ENTRIES {
        let value = leaf(SANDBOX + 0x1000 * r.below(8), leaf_bits(r));
        case.gpr[n as usize] = if little { value.swap_bytes() } else { value };
    }
    let keys = |r: &mut Rng| if r.one_in(3) { r.below(4) << 62 } else { 0 };
    case.sprs[0] = if r.one_in(2) { u64::MAX } else { r.next() } & known::FSCR;
    case.sprs[1] = keys(r);
    case.sprs[2] = keys(r) & 1 << 62;
    case.sprs[3] = if r.one_in(2) { u64::MAX } else { 0 };
    case.sprs[4] = match r.below(16) {
        0 => OTHER_PID,
        1 => r.pick(&[0, 3, 4095, 4096, 1 << 19]),
        _ => PID,
    };
    case.sprs[6] = integer(r, 64);
    case.sprs[7] = integer(r, 64);
    case.sprs[8] = integer(r, 64);
    case.sprs[9] = integer(r, 32);
    patches(r, &mut case);
    case
}

/// A case of any kind.
pub fn case(rows: &Rows, r: &mut Rng) -> Case {
    let mut case = registers(rows.level, r);
    let count = 1 + r.below(10);
    let mut state = State { msr: case.msr };
    for _ in 0..count {
        let item = rows.item(&mut state, &case.gpr, r);
        case.items.push(item);
        if case.len() > WORDS {
            case.items.pop();
            break;
        }
    }
    case
}
