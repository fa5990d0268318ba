//! A line an instruction: words, text, what it reads, what it does. `one_line/*.txt` has some for every row that has
//! semantics and that QEMU's user mode can be asked about; no QEMU is needed to run them.
//!
//! `3.0 7c642a14 add r3,r4,r5 : r4=1 r5=2 -> r3=3`: the level of the processor; registers that are not zero before; all that is
//! different behind it. `m40=..` are 16 bytes of memory, 0x40 from the beginning of a sandbox that holds a pattern before;
//! `end=` tells of a branch that was taken (`pad1` and so on are places to land on) or of an interrupt, by the signal that
//! Linux makes of it.
//!
//! `AILERON_ONE_LINE=write cargo test --release -p engine --test one_line` makes the files again: QEMU's answers, where they and
//! ours are the same without an excuse. A line that is written by hand for a bug stands in `one_line/found.txt`, which stays.

#[allow(dead_code, reason = "the other test has more of it in use")]
mod qemu_user;

use isa::{Insn, IsaLevel, Kind, Op};
use qemu_user::generate::{self, Place, Test};
use qemu_user::record::{Ending, Order, Snapshot};
use qemu_user::rng::Rng;
use qemu_user::run_engine::{Machine, translator};
use qemu_user::{compare, guest, known, run_qemu};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::PathBuf;

/// Lines of a row at most, and tests that they are taken from.
const LINES: usize = 4;
const ATTEMPTS: u64 = 32;

const LEVELS: [(&str, IsaLevel); 3] = [("2.07", IsaLevel::V2_07), ("3.0", IsaLevel::V3_0), ("3.1", IsaLevel::V3_1)];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/one_line")
}

/// Everything zero, and a pattern in memory.
fn nothing() -> Snapshot {
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
fn changes(from: &Snapshot, to: &Snapshot) -> Vec<String> {
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
fn set(s: &mut Snapshot, change: &str) -> Option<()> {
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

fn ending(ending: Ending) -> Option<String> {
    match ending {
        Ending::Pad(0) => None,
        Ending::Pad(n) => Some(format!("end=pad{n}")),
        Ending::Signal { number, .. } => Some(format!("end=signal{number}")),
        Ending::Elsewhere(nia) => Some(format!("end={nia:x}")),
    }
}

fn line(test: &Test, after: &(Snapshot, Ending)) -> String {
    let level = LEVELS.iter().find(|(_, level)| *level == test.level).map_or("?", |(name, _)| name);
    let mut text = format!("{level} ");
    for raw in &test.body {
        let _ = write!(text, "{raw:08x} {}; ", words(*raw, test));
    }
    text.truncate(text.len() - 2);
    let mut effects = changes(&test.before, &after.0);
    effects.extend(ending(after.1));
    let effects = if effects.is_empty() { "nothing".to_owned() } else { effects.join(" ") };
    let inputs = changes(&nothing(), &test.before).join(" ");
    format!("{text} : {inputs} -> {effects}").replace("  ", " ")
}

fn words(raw: u64, test: &Test) -> String {
    isa::decode(raw, test.level).map_or("?".into(), |insn| isa::disassemble(insn, test.start()))
}

/// A line as a test, with what is to be there behind it.
fn parse(text: &str) -> Option<(Test, Vec<String>, Vec<String>)> {
    let (code, rest) = text.split_once(" : ")?;
    let (inputs, effects) = rest.split_once("-> ")?;
    let (level, code) = code.split_once(' ')?;
    let level = LEVELS.iter().find(|(name, _)| *name == level)?.1;
    let (mut body, mut texts) = (Vec::new(), Vec::new());
    for one in code.split("; ") {
        let (raw, text) = one.split_once(' ')?;
        body.push(u64::from_str_radix(raw, 16).ok()?);
        texts.push(text.to_owned());
    }
    let op = isa::decode(*body.last()?, level)?.op;
    let mut before = nothing();
    for input in inputs.split_whitespace() {
        set(&mut before, input)?;
    }
    let test = Test { op, level, order: Order::Little, place: Place(0), body, sets_tar: false, before, floats: false };
    Some((test, texts, effects.split_whitespace().map(str::to_owned).collect()))
}

/// Runs the lines of a file. What is wrong, a text each, and the rows that there are.
fn run(name: &str, rows: &mut BTreeSet<Op>, wrong: &mut Vec<String>) -> usize {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let guest = guest::Guest::new(Order::Little);
    let mut count = 0;
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let place = format!("{name}:{}", n + 1);
        let Some((test, texts, effects)) = parse(line) else {
            wrong.push(format!("{place}: cannot be read: {line}"));
            continue;
        };
        count += 1;
        rows.insert(test.op);
        for (raw, text) in test.body.iter().zip(&texts) {
            let found = words(*raw, &test);
            if found != *text {
                wrong.push(format!("{place}: {raw:08x} is {found}, expected {text}"));
            }
        }
        for how in ["interpreted", "translated"] {
            let mut machine =
                Machine::new(&guest, test.level, std::slice::from_ref(&test), (how == "translated").then(translator));
            let got = machine.run(&test);
            let mut found = changes(&test.before, &got.0);
            found.extend(ending(got.1));
            if found.is_empty() {
                found.push("nothing".to_owned());
            }
            if found != effects {
                wrong.push(format!("{place}, {how}: expected {}, got {}: {line}", effects.join(" "), found.join(" ")));
            }
        }
    }
    count
}

/// Only what the instruction's fields name is not zero.
fn plain(test: &mut Test) {
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

/// Makes the files anew.
fn write() {
    let guest = guest::Guest::new(Order::Little);
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for &op in Op::ALL {
        let row = op.row();
        if !row.implemented || known::skipped(op).is_some() {
            continue;
        }
        let Some((_, level)) = LEVELS.into_iter().find(|(_, level)| row.at(*level)) else { continue };
        let mut machine_lines = BTreeMap::new();
        for n in 0..ATTEMPTS {
            if machine_lines.len() == LINES {
                break;
            }
            let mut test = generate::test(op, level, Order::Little, Place(0), &mut Rng::of(7, row.name, n));
            if test.sets_tar || known::decided(&test).is_some() {
                continue;
            }
            plain(&mut test);
            let want = run_qemu::run(&guest, level, std::slice::from_ref(&test)).unwrap_or_else(|e| panic!("{e}"));
            let want = want.results[0].clone();
            let got = Machine::new(&guest, level, std::slice::from_ref(&test), None).run(&test);
            let same = compare::differences(&test, &want, &got).is_empty();
            // One of each kind of effect first.
            let kind: Vec<String> = changes(&test.before, &got.0)
                .iter()
                .map(|c| c.split('=').next().unwrap_or_default().trim_end_matches(char::is_numeric).to_owned())
                .chain(ending(got.1))
                .collect();
            if same && (n >= ATTEMPTS / 2 || !machine_lines.values().any(|(_, k)| *k == kind)) {
                machine_lines.insert(n, (line(&test, &got), kind));
            }
        }
        let file = files.entry(format!("{:?}.txt", row.chapter)).or_default();
        machine_lines.values().for_each(|(line, _)| *file += &format!("{line}\n"));
    }
    std::fs::create_dir_all(folder()).unwrap();
    for (name, text) in files {
        std::fs::write(folder().join(name), text).unwrap();
    }
}

#[test]
fn every_line_holds() {
    if std::env::var("AILERON_ONE_LINE").is_ok_and(|what| what == "write") {
        write();
    }
    let (mut rows, mut wrong, mut lines) = (BTreeSet::new(), Vec::new(), 0);
    let mut names: Vec<String> =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in &names {
        lines += run(name, &mut rows, &mut wrong);
    }
    let implemented = Op::ALL.iter().filter(|op| op.row().implemented);
    let without: Vec<&str> = implemented.clone().filter(|op| !rows.contains(op)).map(|op| op.row().name).collect();
    println!("{lines} lines of {} rows; {} without: {}", rows.len(), without.len(), without.join(" "));
    wrong.iter().take(20).for_each(|text| println!("{text}"));
    assert!(wrong.is_empty(), "{} lines are wrong", wrong.len());
    assert!(rows.len() > 1000, "only {} rows have lines", rows.len());
}

#[test]
fn what_a_line_says_is_looked_at() {
    let good = "3.0 7c642a14 add r3,r4,r5 : r4=1 r5=2 -> r3=3";
    let (test, texts, effects) = parse(good).expect("it can be read");
    assert_eq!((texts.as_slice(), effects.as_slice()), (&["add r3,r4,r5".to_owned()][..], &["r3=3".to_owned()][..]));
    assert_eq!((test.before.gpr[4], test.before.gpr[5]), (1, 2));
    for bad in ["", "3.0 7c642a14 add : r4", "9 7c642a14 add r3,r4,r5 : -> r3=3", "3.0 7c642a14 add : r40=1 -> r3=3"] {
        assert!(parse(bad).is_none(), "{bad}");
    }
}
