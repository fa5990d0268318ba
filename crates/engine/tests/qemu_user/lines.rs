//! A test as a line of text, and back: `crates/engine/tests/one_line` has some, and a difference is printed as one.

use super::generate::{NOP, NOPS, Place, Test};
use super::record::{Ending, Order, Snapshot};
use isa::{Insn, IsaLevel, Kind};
use std::fmt::Write;

pub const LEVELS: [(&str, IsaLevel); 3] = [("2.07", IsaLevel::V2_07), ("3.0", IsaLevel::V3_0), ("3.1", IsaLevel::V3_1)];

/// Everything zero, and a pattern in memory.
pub fn nothing() -> Snapshot {
    Snapshot {
        gpr: [0; 32],
        vsr: [0; 64],
        cr: 0,
        xer: 0,
        ctr: 0,
        lr: 0,
        fpscr: 0,
        vscr: 0,
        sandbox: std::array::from_fn(|n| (n * 37 + 11) as u8),
    }
}

/// Registers that differ, as `name=value`.
pub fn changes(from: &Snapshot, to: &Snapshot) -> Vec<String> {
    let mut out = Vec::new();
    for n in 0..32 {
        if from.gpr[n] != to.gpr[n] {
            out.push(format!("r{n}={:x}", to.gpr[n]));
        }
    }
    for n in 0..64 {
        if from.vsr[n] != to.vsr[n] {
            out.push(format!("vs{n}={:x}", to.vsr[n]));
        }
    }
    for ((name, from), (_, to)) in others(from).into_iter().zip(others(to)) {
        if from != to {
            out.push(format!("{name}={to:x}"));
        }
    }
    for (n, (from, to)) in from.sandbox.chunks(16).zip(to.sandbox.chunks(16)).enumerate() {
        if from != to {
            let bytes: String = to.iter().map(|b| format!("{b:02x}")).collect();
            out.push(format!("m{:x}={bytes}", 16 * n));
        }
    }
    out
}

fn others(s: &Snapshot) -> [(&'static str, u64); 6] {
    [("cr", s.cr), ("xer", s.xer), ("ctr", s.ctr), ("lr", s.lr), ("fpscr", s.fpscr), ("vscr", s.vscr)]
}

/// Makes `name=value` true; `None` if there is no such name or value.
pub fn set(s: &mut Snapshot, change: &str) -> Option<()> {
    let (name, value) = change.split_once('=')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    if let Some(at) = name.strip_prefix('m').and_then(|at| usize::from_str_radix(at, 16).ok()) {
        let chunk = s.sandbox.get_mut(at..at + 16).filter(|_| value.len() == 32)?;
        for (n, byte) in chunk.iter_mut().enumerate() {
            *byte = u8::from_str_radix(value.get(2 * n..2 * n + 2)?, 16).ok()?;
        }
        return Some(());
    }
    let other = match name {
        "cr" => &mut s.cr,
        "xer" => &mut s.xer,
        "ctr" => &mut s.ctr,
        "lr" => &mut s.lr,
        "fpscr" => &mut s.fpscr,
        "vscr" => &mut s.vscr,
        _ => {
            if let Some(n) = name.strip_prefix("vs") {
                *s.vsr.get_mut(n.parse::<usize>().ok()?)? = u128::from_str_radix(value, 16).ok()?;
            } else {
                *s.gpr.get_mut(name.strip_prefix('r')?.parse::<usize>().ok()?)? = number(value)?;
            }
            return Some(());
        }
    };
    *other = number(value)?;
    Some(())
}

pub fn ending(ending: Ending) -> Option<String> {
    match ending {
        Ending::Pad(0) => None,
        Ending::Pad(n) => Some(format!("end=pad{n}")),
        Ending::Signal { number, .. } => Some(format!("end=signal{number}")),
        Ending::Elsewhere(nia) => Some(format!("end={nia:x}")),
    }
}

/// The test as a line: what was before, and what has to be after.
pub fn line(test: &Test, after: &(Snapshot, Ending)) -> String {
    let level = LEVELS.iter().find(|(_, level)| *level == test.level).map_or("?", |(name, _)| name);
    let order = if test.order == Order::Big { "be" } else { "" };
    let mut text = format!("{level}{order} ");
    for (n, raw) in test.body.iter().enumerate() {
        if *raw == NOPS {
            let _ = write!(text, "{NOP:08x} {}; ", words(NOP, test, n));
        }
        let raw = if *raw == NOPS { NOP } else { *raw };
        let _ = write!(text, "{raw:08x} {}; ", words(raw, test, n));
    }
    text.truncate(text.len() - 2);
    let mut effects = changes(&test.before, &after.0);
    effects.extend(ending(after.1));
    let effects = if effects.is_empty() { "nothing".to_owned() } else { effects.join(" ") };
    let mut inputs = changes(&nothing(), &test.before);
    inputs.extend(test.sets_tar.then(|| TAR.to_owned()));
    format!("{text} : {} -> {effects}", inputs.join(" ")).replace("  ", " ")
}

/// TAR holds what r31 holds.
const TAR: &str = "tar=r31";

/// Text of an instruction of a test.
pub fn words(raw: u64, test: &Test, n: usize) -> String {
    isa::decode(raw, test.level).map_or("?".into(), |insn| isa::disassemble(insn, test.address(n)))
}

/// Level and byte order, as they stand at the beginning of a line.
fn processor(text: &str) -> Option<(IsaLevel, Order)> {
    let (name, order) = text.strip_suffix("be").map_or((text, Order::Little), |name| (name, Order::Big));
    Some((LEVELS.iter().find(|(level, _)| *level == name)?.1, order))
}

/// A line as a test, with what is to be there behind it.
pub fn parse(text: &str) -> Option<(Test, Vec<String>, Vec<String>)> {
    let (code, rest) = text.split_once(" : ")?;
    let (inputs, effects) = rest.split_once("-> ")?;
    let (level, code) = code.split_once(' ')?;
    let (level, order) = processor(level)?;
    let (mut body, mut texts) = (Vec::new(), Vec::new());
    for one in code.split("; ") {
        let (raw, text) = one.split_once(' ')?;
        body.push(u64::from_str_radix(raw, 16).ok()?);
        texts.push(text.to_owned());
    }
    let op = isa::decode(*body.last()?, level)?.op;
    let mut before = nothing();
    let mut sets_tar = false;
    for input in inputs.split_whitespace() {
        match input {
            TAR => sets_tar = true,
            _ => set(&mut before, input)?,
        }
    }
    let test = Test { sets_tar, ..Test::of(op, level, order, Place(0), body, before) };
    Some((test, texts, effects.split_whitespace().map(str::to_owned).collect()))
}

/// Only what the instruction's fields name is not zero.
pub fn plain(test: &mut Test) {
    let all = std::mem::replace(&mut test.before, nothing());
    let b = &mut test.before;
    (b.cr, b.xer, b.ctr, b.lr) = (all.cr, all.xer, all.ctr, all.lr);
    (b.fpscr, b.vscr) = (all.fpscr & 3, all.vscr);
    for raw in &test.body {
        let Some(Insn { op, raw }) = isa::decode(*raw, test.level) else { continue };
        for field in op.row().fields() {
            let n = op.row().get(field, raw) as usize;
            let (gprs, vsrs): (&[usize], &[usize]) = match field.kind() {
                Kind::Gpr => (&[n], &[]),
                Kind::GprPair => (&[n, n + 1], &[]),
                Kind::Fpr => (&[], &[n]),
                Kind::FprPair => (&[], &[n, n + 1]),
                Kind::Vr => (&[], &[n + 32]),
                Kind::Vsr => (&[], &[n, n + 1]),
                _ => (&[], &[]),
            };
            gprs.iter().for_each(|n| b.gpr[n & 31] = all.gpr[n & 31]);
            vsrs.iter().for_each(|n| b.vsr[n & 63] = all.vsr[n & 63]);
        }
    }
}
