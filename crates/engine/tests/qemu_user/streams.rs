//! Streams: random instructions, one after the other, with branches, loops, reservations and accesses to the sandbox; and what
//! is made of a stream that differs.

use super::fit;
use super::generate::{
    Aim, LOAD_CODES, Link, NOP, NOPS, Place, RESERVING, SPRS, STORE_CODES, Shape, Test, natural_alignment, registers,
    shape,
};
use super::record::Order;
use super::rng::Rng;
use super::run_engine::Found;
use isa::{Field, Insn, IsaLevel, Op, Row, random_word};

/// Instructions of a stream.
pub const STREAM: usize = 16;

/// Registers that hold addresses through a stream, and are written by nothing else: the base, an offset; what update forms
/// move, and by how much.
const BASE: usize = 1;
const OFFSET: usize = 2;
const MOVING: usize = 3;
const STEP: usize = 4;
/// Where the base is in the sandbox: accesses reach 128 bytes below it, and 200 above.
const MIDDLE: u64 = 256;

/// What instructions a stream is made of.
pub struct Kind {
    /// Name, from which the random numbers follow.
    pub name: &'static str,
    /// Rows, of any level.
    pub ops: Vec<Op>,
    /// FR, FI and FPRF are not compared ([`super::known`]).
    pub floats: bool,
    /// What this QEMU is known to do otherwise is excused.
    pub excused: bool,
}

impl Kind {
    /// The rows of a level.
    pub fn at(&self, level: IsaLevel) -> Vec<Op> {
        self.ops.iter().copied().filter(|op| op.row().at(level)).collect()
    }
}

/// What a stream is made with.
struct Maker<'a> {
    r: &'a mut Rng,
    ops: &'a [Op],
    body: Vec<u64>,
    links: Vec<(usize, Link)>,
    aim: Option<(Aim, usize)>,
    /// It goes around: nothing may write CTR, nor move an address.
    loops: bool,
    /// It has string accesses: nothing may write the length in XER.
    strings: bool,
    /// The only load that reserves, if a store asks for it: of another size it is not said whether that one stores (Book II 4.6.2).
    load: Option<Op>,
    /// The offset, that decides which accesses are aligned.
    offset: u64,
    /// Bytes of slot before the body.
    before: u64,
}

/// A stream of rows of a level. A third of them branch forward, of those a third go around in a loop, and half of the others
/// branch to LR, CTR or TAR.
pub fn stream(kind: &Kind, ops: &[Op], level: IsaLevel, order: Order, place: Place, r: &mut Rng) -> Test {
    let mut before = registers(r, r.clone().pick(ops).row(), level);
    let offset = if r.one_in(2) { 16 * r.below(4) } else { r.below(64) };
    for n in [BASE, MOVING] {
        before.gpr[n] = place.sandbox() + MIDDLE;
    }
    (before.gpr[OFFSET], before.gpr[STEP]) = (offset, r.below(9));
    if kind.floats {
        // No enabled exception.
        before.fpscr = r.below(4);
    }
    let branches = r.one_in(3);
    let loops = branches && r.one_in(3);
    let aim = (branches && !loops && r.one_in(2))
        .then(|| (r.pick(&[Aim::Lr, Aim::Ctr, Aim::Tar]), STREAM / 2 + r.below(STREAM as u64 / 2) as usize));
    let strings = r.one_in(4);
    if strings {
        before.xer = before.xer & !127 | r.below(25);
    }
    let sets_tar = matches!(aim, Some((Aim::Tar, _)));
    let start = place.entry() - place.slot() + 4 * u64::from(sets_tar);
    let (body, links) = Default::default();
    let pair = RESERVING.iter().find(|(load, store)| {
        let aligned = offset % natural_alignment(*load) == 0;
        ops.contains(load) && ops.contains(store) && aligned && r.one_in(2)
    });
    let load = pair.map(|(load, _)| *load);
    let mut m = Maker { load, r, ops, body, links, aim, loops, strings, offset, before: start };
    while m.body.len() < STREAM {
        if branches && m.r.one_in(6) {
            m.branch();
        } else if let Some(pair) = pair.filter(|_| m.r.one_in(12)) {
            m.reservation(*pair);
        } else {
            m.instruction(|_| true);
        }
    }
    if loops {
        before.ctr = 1 + m.r.below(5);
        let last = m.body.len() - 1;
        m.links.retain(|(n, _)| *n != last);
        m.body[last] = encoded(Op::bc, &[(Field::BO, 16)]);
        m.links.push((last, Link::Branch(m.r.below(last as u64) as usize)));
    }
    let Maker { body, links, aim, .. } = m;
    let last = isa::decode(body[body.len() - 1], level).map_or(Op::ori, |insn| insn.op);
    let mut test = Test::of(last, level, order, place, body, before);
    (test.sets_tar, test.stream, test.floats) = (sets_tar, true, kind.floats);
    (test.excused, test.links, test.aim) = (kind.excused, links, aim);
    test.bases = vec![BASE, MOVING];
    test.link(place);
    test
}

fn encoded(op: Op, fields: &[(Field, i64)]) -> u64 {
    isa::encode(op, fields).unwrap_or_else(|e| panic!("{e}"))
}

fn set(row: &Row, raw: &mut u64, field: Field, value: i64) {
    match row.set(*raw, field, value) {
        Ok(new) => *raw = new,
        Err(e) => panic!("{e}"),
    }
}

impl Maker<'_> {
    fn push(&mut self, raw: u64) {
        let words: u64 = self.body.iter().map(|raw| 1 + u64::from(raw >> 32 != 0)).sum();
        if raw >> 32 != 0 && (self.before + 4 * words) & 63 == 60 {
            // A prefixed instruction does not lie across 64 bytes.
            self.body.push(NOP);
        }
        self.body.push(raw);
    }

    /// A branch over a few instructions, or to what a register holds.
    fn branch(&mut self) {
        let here = self.body.len();
        let aims_at = |register| matches!(self.aim, Some((aim, _)) if aim == register);
        // What counts would disturb a loop, and what links an address in LR.
        let counts = !self.loops && !aims_at(Aim::Ctr);
        let lk = i64::from(!aims_at(Aim::Lr) && self.r.one_in(4));
        let conditions: &[i64] = if counts { &[0, 2, 4, 8, 10, 12, 16, 18, 20] } else { &[4, 12, 20] };
        let (bo, bi) = (self.r.pick(conditions), self.r.below(32) as i64);
        match self.aim {
            Some((aim, to)) if here < to && self.r.one_in(2) => {
                let op = match aim {
                    Aim::Lr => Op::bclr,
                    Aim::Ctr => Op::bcctr,
                    Aim::Tar => Op::bctar,
                };
                self.push(encoded(op, &[(Field::BO, bo), (Field::BI, bi), (Field::LK, lk)]));
            }
            _ => {
                self.links.push((here, Link::Branch(here + 2 + self.r.below(3) as usize)));
                let conditional = [(Field::BO, bo), (Field::BI, bi), (Field::LK, lk)];
                let raw = match self.r.one_in(6) {
                    true => encoded(Op::b, &[(Field::LK, lk)]),
                    false => encoded(Op::bc, &conditional),
                };
                self.push(raw);
            }
        }
    }

    /// A load that reserves, up to two instructions that do not, and the store that asks for it: other registers, at one address.
    fn reservation(&mut self, (load, store): (Op, Op)) {
        let pair = |this: &mut Self, op: Op| {
            let target = [Field::RT, Field::RTp, Field::RS, Field::RSp].into_iter().find(|f| op.row().has(*f));
            let n = 6 + 2 * this.r.below(12) as i64;
            let fields = [(target.unwrap_or(Field::RT), n), (Field::RA, BASE as i64), (Field::RB, OFFSET as i64)];
            this.push(encoded(op, &fields));
        };
        pair(self, load);
        for _ in 0..self.r.below(3) {
            self.instruction(|op| !RESERVING.iter().any(|(load, store)| [*load, *store].contains(&op)));
        }
        pair(self, store);
    }

    /// Any instruction, of those that are wanted; one that does nothing if it finds none.
    fn instruction(&mut self, wanted: impl Fn(Op) -> bool) {
        for _ in 0..64 {
            let op = self.r.pick(self.ops);
            let reserves = RESERVING.iter().any(|(load, _)| *load == op && self.load.is_some_and(|load| load != op));
            // Whether this processor's own dcbz loses its reservation is not said (Book II 1.7.3.1).
            let reserves = reserves || op == Op::dcbz && self.load.is_some();
            let asks = RESERVING.iter().any(|(_, store)| *store == op);
            if op.row().ends == isa::Ends::Branch || !wanted(op) || reserves || asks {
                continue;
            }
            if let Some((raw, link)) = self.of(op) {
                self.push(raw);
                self.links.extend(link.map(|link| (self.body.len() - 1, link)));
                return;
            }
        }
        self.push(NOP);
    }

    /// The row with operands that a stream may have, if these random ones can be made such.
    fn of(&mut self, op: Op) -> Option<(u64, Option<Link>)> {
        let row = op.row();
        let mut raw = random_word(op, || self.r.next());
        if fit::is_rare(op) && !self.r.one_in(8) {
            return None;
        }
        let mut link = None;
        let updates =
            row.name.ends_with('u') && row.has(Field::D) || row.name.contains("ux") || matches!(op, Op::ldu | Op::stdu);
        let shape = shape(row);
        if updates && shape != Shape::None {
            if self.loops {
                return None;
            }
            set(row, &mut raw, Field::RA, MOVING as i64);
            match shape {
                Shape::Displacement(field) => set(row, &mut raw, field, (self.r.below(5) as i64 - 2) * 4),
                _ => set(row, &mut raw, Field::RB, STEP as i64),
            }
        } else {
            match shape {
                Shape::None => {}
                Shape::Base => set(row, &mut raw, Field::RA, BASE as i64),
                Shape::Length => {
                    set(row, &mut raw, Field::RA, BASE as i64);
                    if row.get(Field::RB, raw) <= STEP as i64 {
                        return None;
                    }
                }
                Shape::Displacement(field) => {
                    let displacement = (self.r.below(16) as i64 - 8) * 16;
                    if field == Field::D34 && row.get(Field::R, raw) != 0 {
                        link = Some(Link::Sandbox(MIDDLE as i64 + displacement));
                    } else {
                        set(row, &mut raw, Field::RA, BASE as i64);
                        set(row, &mut raw, field, displacement);
                    }
                }
                Shape::Indexed => {
                    let natural = natural_alignment(op);
                    if !self.offset.is_multiple_of(natural.min(16)) {
                        return None;
                    }
                    set(row, &mut raw, Field::RA, BASE as i64);
                    set(row, &mut raw, Field::RB, OFFSET as i64);
                }
            }
        }
        match op {
            Op::mtspr | Op::mfspr => {
                let spr = self.r.pick(&SPRS);
                let aims_at = |register| matches!(self.aim, Some((aim, _)) if aim == register);
                let kept = match spr {
                    1 => self.strings,
                    8 => aims_at(Aim::Lr),
                    9 => self.loops || aims_at(Aim::Ctr),
                    _ => spr == 815,
                };
                if op == Op::mtspr && kept {
                    return None;
                }
                set(row, &mut raw, Field::SPR, spr);
            }
            Op::lswx | Op::stswx if !self.strings => return None,
            Op::lwat | Op::ldat => set(row, &mut raw, Field::FC, self.r.pick(&LOAD_CODES)),
            Op::stwat | Op::stdat => set(row, &mut raw, Field::FC, self.r.pick(&STORE_CODES)),
            _ => {}
        }
        let insn = Insn { op, raw };
        let good = isa::valid_form(insn) && fit::form(insn) && !written(insn).iter().any(|n| (BASE..=STEP).contains(n));
        (good && (updates || !self.writes_base(insn, shape))).then_some((raw, link))
    }

    /// A fixed-point result may be in RA, too.
    fn writes_base(&self, insn: Insn, shape: Shape) -> bool {
        let row = insn.op.row();
        shape == Shape::None && row.has(Field::RA) && (BASE..=STEP).contains(&(insn.get(Field::RA) as usize))
    }
}

/// The general registers that it may write, those of RA excepted.
fn written(insn: Insn) -> Vec<usize> {
    let row = insn.op.row();
    let get = |f| if row.has(f) { insn.get(f) as usize } else { 0 };
    let count = match insn.op {
        Op::lmw => 32 - get(Field::RT),
        Op::lswi => (if get(Field::NB) == 0 { 32 } else { get(Field::NB) }).div_ceil(4),
        // As many as the length that is in XER can be here.
        Op::lswx => 6,
        _ => 1,
    };
    let mut all: Vec<usize> = Vec::new();
    if row.has(Field::RT) {
        all.extend((0..count).map(|n| (get(Field::RT) + n) & 31));
    }
    if row.has(Field::RTp) {
        all.extend([get(Field::RTp), get(Field::RTp) + 1]);
    }
    all
}

/// The stream with one instruction less, for each that is there, each at a place of its own.
pub fn with_one_less(test: &Test) -> Vec<Test> {
    let nothing = |raw: u64| raw == NOP || raw == NOPS;
    let there = (0..test.body.len()).filter(|n| !nothing(test.body[*n]));
    let mut all: Vec<Test> = there
        .map(|n| {
            let mut less = test.clone();
            less.links.retain(|(at, _)| *at != n);
            less.body[n] = if less.body[n] >> 32 == 0 { NOP } else { NOPS };
            less
        })
        .collect();
    if test.body.iter().any(|raw| nothing(*raw)) && test.body.len() > 1 {
        // Where instructions are in the dense one.
        let at: Vec<usize> =
            (0..=test.body.len()).map(|n| test.body[..n].iter().filter(|r| !nothing(**r)).count()).collect();
        let mut dense = test.clone();
        dense.body.retain(|raw| !nothing(*raw));
        let moved = |n: usize| at[n.min(test.body.len())];
        for (n, link) in &mut dense.links {
            *n = moved(*n);
            if let Link::Branch(to) = link {
                *to = moved(*to);
            }
        }
        dense.aim = dense.aim.map(|(aim, to)| (aim, moved(to)));
        if !dense.body.is_empty() {
            all.push(dense);
        }
    }
    for t in &mut all {
        let last = isa::decode(t.body[t.body.len() - 1], t.level);
        t.op = last.map_or(t.op, |insn| insn.op);
    }
    all.retain(|t| !t.crosses());
    for (n, t) in all.iter_mut().enumerate() {
        let from = std::mem::replace(&mut t.place, Place(n));
        t.link(from);
    }
    all
}

/// Each instruction that a stream executed, as a test of its own with the registers and memory that it found; places are
/// numbered from `first` on. A branch is none: it has nothing to excuse.
pub fn steps(stream: &Test, trace: &[Found], first: usize) -> Vec<Test> {
    let numbers = 0..stream.body.len();
    let mut all = Vec::new();
    for Found { nia, before, .. } in trace {
        let Some(n) = numbers.clone().find(|n| stream.address(*n) == *nia) else { continue };
        let raw = stream.body[n];
        let Some(insn) = isa::decode(raw, stream.level).filter(|_| raw != NOP && raw != NOPS) else { continue };
        if matches!(insn.op, Op::b | Op::bc | Op::bclr | Op::bcctr | Op::bctar) {
            continue;
        }
        let place = Place(first + all.len());
        let mut test = Test::of(insn.op, stream.level, stream.order, place, vec![raw], before.clone());
        test.links = stream.links.iter().filter(|(at, _)| *at == n).map(|(_, link)| (0, *link)).collect();
        test.bases = stream.bases.clone();
        test.link(stream.place);
        all.push(test);
    }
    all
}
