//! Every implemented instruction of problem state, compared with QEMU's user mode on random operands, in both byte orders.
//!
//! `AILERON_SEED` makes other tests (the default is fixed), `AILERON_DIFF_PER_ROW` more or fewer of them a row,
//! `AILERON_DIFF_ONLY` only those of rows whose names begin so, `AILERON_DIFF_STREAMS` more or fewer streams of each level
//! and kind. Of the tests of a row `AILERON_DIFF_TRANSLATED` run translated, too, and so do
//! `AILERON_DIFF_TRANSLATED_STREAMS` streams of a batch. What is not run or not compared in full is listed, with the reason,
//! in `qemu_user/known.rs`, and printed. `cargo xtask diff` runs all of it, by the million.

mod qemu_user;

use isa::{IsaLevel, Op};
use qemu_user::generate::{self, Place, Test};
use qemu_user::record::{Ending, Order, Snapshot};
use qemu_user::rng::Rng;
use qemu_user::run_engine::{Machine, translator};
use qemu_user::{compare, guest, known, run_qemu};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Registers, memory and ending.
type Outcome = (Snapshot, Ending);

/// Tests of a row.
const PER_ROW: u64 = 64;
/// Streams for each level.
const STREAMS: u64 = 2_000;
/// Tests of a row, and streams of a level, that run translated as well: they take as long as their compilation does.
const TRANSLATED: u64 = 3;
const TRANSLATED_STREAMS: u64 = 200;
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

/// What makes tests of the other byte order other tests.
fn apart(order: Order) -> u64 {
    (order as u64) << 48
}

#[derive(Default)]
struct Tally {
    tests: usize,
    executed: usize,
    decided: BTreeSet<Op>,
    signals: usize,
    excused: BTreeMap<&'static str, BTreeMap<&'static str, usize>>,
    compared: BTreeSet<Op>,
    failures: BTreeMap<Op, Vec<String>>,
    /// Streams that differ, and whether translated.
    streams: Vec<(Test, bool)>,
    /// Tests of each row that ran translated.
    translated: BTreeMap<Op, u64>,
    /// Regions that were made for them.
    regions: u64,
}

impl Tally {
    /// Compares one test.
    fn judge(&mut self, test: &Test, want: &Outcome, got: &mut Outcome, excuse: bool, how: &str) {
        self.tests += 1;
        if excuse {
            for why in known::excuses(test, want, got) {
                *self.excused.entry(why).or_default().entry(test.op.row().name).or_default() += 1;
            }
        }
        self.compared.insert(test.op);
        self.signals += usize::from(matches!(want.1, Ending::Signal { .. }));
        let differences = compare::differences(test, want, got);
        if differences.is_empty() {
            return;
        }
        if !excuse && test.body.len() > 1 && self.streams.len() < SHOWN {
            self.streams.push((test.clone(), how == "translated"));
        }
        let mut text = format!("{how}, {:?} {:#x}:", test.level, test.start());
        for raw in &test.body {
            let shown = isa::decode(*raw, test.level).map_or("?".into(), |i| isa::disassemble(i, test.start()));
            let _ = write!(text, " {raw:08x} {shown};");
        }
        let _ = write!(text, "\n      with {}", compare::inputs(test));
        for d in &differences {
            let _ = write!(text, "\n      {d}");
        }
        self.failures.entry(test.op).or_default().push(text);
    }

    fn print_failures(&self) {
        for (op, failures) in &self.failures {
            println!("{op}: {} differ", failures.len());
            for text in failures.iter().take(SHOWN) {
                println!("    {text}");
            }
        }
    }

    fn assert_no_failures(&self, version: &str) {
        let table: Vec<String> = self.failures.iter().map(|(op, f)| format!("{op} {}", f.len())).collect();
        assert!(table.is_empty(), "{} rows differ from {version}: {}", table.len(), table.join(", "));
    }
}

/// Runs tests under QEMU and here, and compares. Of the tests of a row so many run `translated`, too.
fn run_batch(
    guest: &guest::Guest,
    level: IsaLevel,
    tests: &[Test],
    tally: &mut Tally,
    excuse: bool,
    translated: impl Fn(&mut Tally, usize, &Test) -> bool,
) {
    if tests.is_empty() {
        return;
    }
    let want = run_qemu::run(guest, level, tests).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = Machine::new(guest, level, tests, None);
    let translator = translator();
    let mut other = Machine::new(guest, level, tests, Some(translator.clone()));
    for (n, (test, want)) in tests.iter().zip(want.results).enumerate() {
        let (mut got, count) = machine.run_counted(test, (!test.branches()).then_some(test.body.len() as u64));
        tally.executed += count as usize;
        tally.judge(test, &want, &mut got, excuse, "interpreted");
        if translated(tally, n, test) {
            let (mut got, _) = other.run_counted(test, Some(count));
            tally.judge(test, &want, &mut got, excuse, "translated");
        }
    }
    tally.regions += translator.stats().compiled;
    let low = machine.low();
    for (n, (w, g)) in want.low.chunks(16).zip(low.chunks(16)).enumerate() {
        let address = guest::LOW + 16 * n as u64;
        if w != g {
            println!("low memory at {address:#x}: expected {w:02x?}, got {g:02x?}");
        }
    }
    assert!(want.low == low, "low memory differs");
}

/// The shortest stream that still differs: without one instruction after the other.
fn shortest(guest: &guest::Guest, test: &Test, translated: bool) -> (Test, Vec<String>) {
    let mut found = (test.clone(), Vec::new());
    loop {
        let tests = generate::with_one_less(&found.0);
        let want = run_qemu::run(guest, test.level, &tests).unwrap_or_else(|e| panic!("{e}"));
        let mut machine = Machine::new(guest, test.level, &tests, None);
        let mut other = Machine::new(guest, test.level, &tests, translated.then(translator));
        let shorter = tests.iter().zip(want.results).find_map(|(test, want)| {
            let (got, count) = machine.run_counted(test, (!test.branches()).then_some(test.body.len() as u64));
            let got = if translated { other.run_counted(test, Some(count)).0 } else { got };
            let differences = compare::differences(test, &want, &got);
            (!differences.is_empty()).then(|| (test.clone(), differences))
        });
        match shorter {
            Some(shorter) => found = shorter,
            None => return found,
        }
    }
}

/// Runs tests of which the manual says how they end.
fn run_decided(guest: &guest::Guest, level: IsaLevel, tests: &[Test], tally: &mut Tally) {
    for (how, translator) in [("interpreted", None), ("translated", Some(translator()))] {
        let mut machine = Machine::new(guest, level, tests, translator);
        for test in tests {
            if let Some(want) = known::decided(test) {
                let mut got = machine.run(test);
                tally.judge(test, &want, &mut got, false, how);
                tally.decided.insert(test.op);
            }
        }
    }
}

fn every_row_agrees(order: Order) {
    let version = run_qemu::version(order).unwrap_or_else(|e| panic!("{e}"));
    let seed = number("AILERON_SEED", 1);
    let per_row = number("AILERON_DIFF_PER_ROW", PER_ROW).max(1);
    let only = std::env::var("AILERON_DIFF_ONLY").unwrap_or_default();
    let most = number("AILERON_DIFF_TRANSLATED", TRANSLATED);
    let few = |tally: &mut Tally, _: usize, test: &Test| {
        let count = tally.translated.entry(test.op).or_default();
        *count += 1;
        *count <= most
    };
    println!("oracle: {version}; AILERON_SEED={seed} AILERON_DIFF_PER_ROW={per_row}");
    let guest = guest::Guest::new(order);
    let mut tally = Tally::default();
    let mut skipped: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let (mut implemented, mut rows) = (0, 0);
    for level in IsaLevel::ALL {
        let (mut tests, mut decided): (Vec<Test>, Vec<Test>) = Default::default();
        for &op in Op::ALL {
            let row = op.row();
            if !row.name.starts_with(&only) {
                continue;
            }
            let first = level == IsaLevel::ALL[0];
            rows += usize::from(first);
            implemented += usize::from(first && row.implemented);
            let why = if row.implemented { known::skipped(op) } else { Some("no semantics yet") };
            if let Some(why) = why {
                if first {
                    skipped.entry(why).or_default().push(row.name);
                }
                continue;
            }
            let share = shares(op, per_row).into_iter().find(|s| s.0 == level).map_or(0, |s| s.1);
            for n in 0..share {
                let mut r = Rng::of(seed, row.name, n << 2 | level as u64 | apart(order));
                let test = generate::test(op, level, order, Place(tests.len()), &mut r);
                if known::decided(&test).is_some() {
                    decided.push(generate::test(op, level, order, Place(decided.len()), &mut r));
                    continue;
                }
                tests.push(test);
                if tests.len() == BATCH {
                    run_batch(&guest, level, &tests, &mut tally, true, few);
                    tests.clear();
                }
            }
        }
        run_batch(&guest, level, &tests, &mut tally, true, few);
        run_decided(&guest, level, &decided, &mut tally);
    }
    for (why, names) in &skipped {
        println!("not run, {} rows: {why}: {}", names.len(), names.join(" "));
    }
    for (why, names) in &tally.excused {
        let names: Vec<String> = names.iter().map(|(n, count)| format!("{n} ({count})")).collect();
        println!("not compared in full: {why}: {}", names.join(" "));
    }
    tally.print_failures();
    println!(
        "{} rows compared ({} with the manual) of {implemented} implemented of {rows} in the table; {} tests, {} of them \
         ended in a signal",
        tally.compared.len(),
        tally.decided.len(),
        tally.tests,
        tally.signals
    );
    if let Ok(path) = std::env::var("AILERON_DIFF_REPORT") {
        // For `cargo xtask coverage`.
        let names: String = tally.compared.iter().map(|op| format!("{}\n", op.row().name)).collect();
        std::fs::write(&path, names).unwrap_or_else(|e| panic!("AILERON_DIFF_REPORT={path}: {e}"));
    }
    assert!(most == 0 || !only.is_empty() || tally.regions > 1000, "only {} regions were translated", tally.regions);
    tally.assert_no_failures(&version);
}

#[test]
fn every_row_agrees_with_qemu_user() {
    every_row_agrees(Order::Little);
}

#[test]
fn every_row_agrees_with_qemu_user_in_big_endian_mode() {
    every_row_agrees(Order::Big);
}

fn streams_agree(order: Order) {
    let version = run_qemu::version(order).unwrap_or_else(|e| panic!("{e}"));
    let seed = number("AILERON_SEED", 1);
    let streams = number("AILERON_DIFF_STREAMS", STREAMS);
    println!("oracle: {version}; AILERON_SEED={seed} AILERON_DIFF_STREAMS={streams}");
    let most = number("AILERON_DIFF_TRANSLATED_STREAMS", TRANSLATED_STREAMS) as usize;
    let few = |_: &mut Tally, n: usize, _: &Test| n < most;
    let guest = guest::Guest::new(order);
    let mut tally = Tally::default();
    type Fits = fn(Op) -> bool;
    let kinds: [(&str, Fits, bool); 2] =
        [("stream", known::fit_for_streams, false), ("floats", known::fit_for_float_streams, true)];
    let mut rows = BTreeSet::new();
    for (name, fits, floats) in kinds {
        let ops: Vec<Op> = Op::ALL.iter().copied().filter(|op| fits(*op)).collect();
        for level in IsaLevel::ALL {
            for first in (0..streams).step_by(BATCH) {
                let count = (streams - first).min(BATCH as u64);
                let tests: Vec<Test> = (0..count)
                    .map(|n| {
                        let mut r = Rng::of(seed, name, (first + n) << 2 | level as u64 | apart(order));
                        generate::stream(&ops, floats, level, order, Place(n as usize), &mut r)
                    })
                    .collect();
                run_batch(&guest, level, &tests, &mut tally, false, few);
            }
        }
        rows.extend(ops);
    }
    for (test, translated) in std::mem::take(&mut tally.streams) {
        let (test, differences) = shortest(&guest, &test, translated);
        let lines: Vec<String> = test
            .body
            .iter()
            .map(|raw| isa::decode(*raw, test.level).map_or("?".into(), |i| isa::disassemble(i, test.start())))
            .collect();
        let how = if translated { "translated" } else { "interpreted" };
        println!("shortest, {how}, {:?}: {}", test.level, lines.join("; "));
        println!("    words {:08x?}, with {}", test.body, compare::inputs(&test));
        differences.iter().for_each(|d| println!("    {d}"));
    }
    tally.print_failures();
    println!(
        "{} streams of {} rows, {} instructions, {} regions translated",
        tally.tests,
        rows.len(),
        tally.executed,
        tally.regions
    );
    assert!(most == 0 || tally.regions > 0, "nothing was translated");
    tally.assert_no_failures(&version);
}

#[test]
fn streams_agree_with_qemu_user() {
    streams_agree(Order::Little);
}

#[test]
fn streams_agree_with_qemu_user_in_big_endian_mode() {
    streams_agree(Order::Big);
}
