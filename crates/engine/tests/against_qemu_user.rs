//! Every implemented instruction of problem state, compared with QEMU's user mode on random operands.
//!
//! `AILERON_SEED` makes other tests (the default is fixed), `AILERON_DIFF_PER_ROW` more or fewer of them a row,
//! `AILERON_DIFF_ONLY` only those of rows whose names begin so. What is not run or not compared in full is listed, with
//! the reason, in `qemu_user/known.rs`, and printed.

mod qemu_user;

use isa::{IsaLevel, Op};
use qemu_user::generate::{self, Place, Test};
use qemu_user::record::Ending;
use qemu_user::rng::Rng;
use qemu_user::run_engine::Machine;
use qemu_user::{compare, guest, known, run_qemu};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Tests of a row.
const PER_ROW: u64 = 64;
/// Tests of a batch: bounds memory.
const BATCH: usize = 16_384;
/// Differences of a row that are printed in full.
const SHOWN: usize = 3;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// The levels that tests of a row run on, and how many of `count` each gets: most on the first.
fn shares(op: Op, count: u64) -> Vec<(IsaLevel, u64)> {
    let row = op.row();
    let mut levels: Vec<IsaLevel> =
        [IsaLevel::V3_0, IsaLevel::V3_1, IsaLevel::V2_07].into_iter().filter(|l| row.at(*l)).collect();
    levels.truncate(3);
    let rest = levels.len() as u64 - 1;
    let small = (count / 8).max(1);
    levels
        .iter()
        .enumerate()
        .map(|(n, l)| (*l, if n == 0 { count.saturating_sub(small * rest).max(1) } else { small }))
        .collect()
}

#[derive(Default)]
struct Tally {
    tests: usize,
    signals: usize,
    excused: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    compared: BTreeSet<Op>,
    failures: BTreeMap<Op, Vec<String>>,
}

fn run_batch(guest: &guest::Guest, level: IsaLevel, tests: &[Test], tally: &mut Tally) {
    let want = run_qemu::run(guest, level, tests).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = Machine::new(guest, level, tests);
    for (test, want) in tests.iter().zip(want.results) {
        let mut got = machine.run(test);
        tally.tests += 1;
        let name = test.op.row().name;
        for why in known::excuses(test, &want, &mut got) {
            *tally.excused.entry(why).or_default().entry(name).or_default() += 1;
        }
        tally.compared.insert(test.op);
        tally.signals += usize::from(matches!(want.1, Ending::Signal { .. }));
        let differences = compare::differences(test, &want, &got);
        if differences.is_empty() {
            continue;
        }
        let mut text = format!("{:?} {:#x}:", level, test.start());
        for raw in &test.body {
            let shown = isa::decode(*raw, level).map_or("?".into(), |i| isa::disassemble(i, test.start()));
            let _ = write!(text, " {raw:08x} {shown};");
        }
        let _ = write!(text, "\n      with {}", compare::inputs(test));
        for d in &differences {
            let _ = write!(text, "\n      {d}");
        }
        tally.failures.entry(test.op).or_default().push(text);
    }
    let low = machine.low();
    for (n, (w, g)) in want.low.chunks(16).zip(low.chunks(16)).enumerate() {
        let address = guest::LOW + 16 * n as u64;
        if w != g {
            println!("low memory at {address:#x}: expected {w:02x?}, got {g:02x?}");
        }
    }
    assert!(want.low == low, "low memory differs");
}

#[test]
fn every_row_agrees_with_qemu_user() {
    let version = run_qemu::version().unwrap_or_else(|e| panic!("{e}"));
    let seed = number("AILERON_SEED", 1);
    let per_row = number("AILERON_DIFF_PER_ROW", PER_ROW).max(1);
    let only = std::env::var("AILERON_DIFF_ONLY").unwrap_or_default();
    println!("oracle: {version}; AILERON_SEED={seed} AILERON_DIFF_PER_ROW={per_row}");
    let guest = guest::Guest::new();
    let mut tally = Tally::default();
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut implemented, mut rows) = (0, 0);
    for level in IsaLevel::ALL {
        let mut tests: Vec<Test> = Vec::new();
        for &op in Op::ALL {
            let row = op.row();
            if !row.name.starts_with(&only) {
                continue;
            }
            let first = level == IsaLevel::ALL[0];
            rows += usize::from(first);
            implemented += usize::from(first && row.implemented);
            let why = if row.implemented { known::skipped(op) } else { Some("has no semantics yet") };
            if let Some(why) = why {
                if first {
                    skipped.entry(why).or_default().push(row.name);
                }
                continue;
            }
            let share = shares(op, per_row).into_iter().find(|s| s.0 == level).map_or(0, |s| s.1);
            for n in 0..share {
                let mut r = Rng::of(seed, row.name, n << 2 | level as u64);
                tests.push(generate::test(op, level, Place(tests.len()), &mut r));
                if tests.len() == BATCH {
                    run_batch(&guest, level, &tests, &mut tally);
                    tests.clear();
                }
            }
        }
        run_batch(&guest, level, &tests, &mut tally);
    }
    for (why, names) in &skipped {
        println!("not run, {} rows: {why}: {}", names.len(), names.join(" "));
    }
    for (why, names) in &tally.excused {
        let names: Vec<String> = names.iter().map(|(n, count)| format!("{n} ({count})")).collect();
        println!("not compared in full: {why}: {}", names.join(" "));
    }
    for (op, failures) in &tally.failures {
        println!("{op}: {} differ", failures.len());
        for text in failures.iter().take(SHOWN) {
            println!("    {text}");
        }
    }
    println!(
        "{} rows compared of {implemented} implemented of {rows} in the table; {} tests, {} of them ended in a signal",
        tally.compared.len(),
        tally.tests,
        tally.signals
    );
    let table: Vec<String> = tally.failures.iter().map(|(op, f)| format!("{op} {}", f.len())).collect();
    assert!(table.is_empty(), "{} rows differ from {version}: {}", table.len(), table.join(", "));
}
