//! Every implemented instruction of problem state, compared with QEMU's user mode on random operands, in both byte orders.
//!
//! `AILERON_SEED` makes other tests (the default is fixed), `AILERON_DIFF_PER_ROW` more or fewer of them a row,
//! `AILERON_DIFF_ONLY` only those of rows whose names begin so, `AILERON_DIFF_FACILITY` only those of a chapter or facility of
//! the table, `AILERON_DIFF_STREAMS` more or fewer streams of a byte order. Of the tests of a row on a level
//! `AILERON_DIFF_TRANSLATED` run translated, too, and so do `AILERON_DIFF_TRANSLATED_STREAMS` streams of each kind and level.
//! `AILERON_DIFF_JOBS` is the number of threads of a test. What is not run or not compared in full is listed, with the reason, in
//! `qemu_user/fit.rs` and `qemu_user/known.rs`, and printed. `cargo xtask diff` runs all of it, by the million.

mod qemu_user;

use isa::{IsaLevel, Op};
use qemu_user::generate::{self, Place, Test};
use qemu_user::judge::{self, BATCH, How, Tally, Work};
use qemu_user::record::Order;
use qemu_user::rng::Rng;
use qemu_user::run_engine::{Machine, translator};
use qemu_user::streams::{self, Kind};
use qemu_user::{fit, guest, run_qemu};
use std::collections::{BTreeMap, BTreeSet};

/// Tests of a row.
const PER_ROW: u64 = 64;
/// Streams of a byte order.
const STREAMS: u64 = 18_000;
/// Tests of a row on a level, and streams of a kind and level, that run translated as well: they take as long as their
/// compilation does.
const TRANSLATED: u64 = 3;
const TRANSLATED_STREAMS: u64 = 150;

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// Is it a row of the chapter or facility that is asked for?
fn wanted(op: Op) -> bool {
    let asked = std::env::var("AILERON_DIFF_FACILITY").unwrap_or_default().to_lowercase();
    let row = op.row();
    let is = |name: String| name.to_lowercase() == asked;
    asked.is_empty() || is(format!("{:?}", row.chapter)) || is(format!("{:?}", row.facility))
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

/// Runs tests of which the manual says how they end.
fn run_decided(guest: &guest::Guest, level: IsaLevel, tests: &[Test], tally: &mut Tally) {
    for (how, translator) in [(How::Interpreted, None), (How::Translated, Some(translator()))] {
        let mut machine = Machine::new(guest, level, tests, translator);
        for test in tests {
            if let Some(want) = fit::decided(test) {
                let mut got = machine.run(test);
                tally.judge(test, &want, &mut got, how);
                tally.decided.insert(test.op);
            }
        }
    }
}

/// Prints rows that something is the reason for.
fn print_reasons<'a>(what: &str, reasons: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    reasons.for_each(|(why, name)| names.entry(why).or_default().push(name));
    for (why, names) in names {
        println!("{what}, {} rows: {why}: {}", names.len(), names.join(" "));
    }
}

fn print_excuses(tally: &Tally) {
    for (why, names) in &tally.excused {
        let names: Vec<String> = names.iter().map(|(n, count)| format!("{n} ({count})")).collect();
        println!("not compared in full: {why}: {}", names.join(" "));
    }
}

fn every_row_agrees(order: Order) {
    let version = run_qemu::version(order).unwrap_or_else(|e| panic!("{e}"));
    let seed = number("AILERON_SEED", 1);
    let per_row = number("AILERON_DIFF_PER_ROW", PER_ROW).max(1);
    let only = std::env::var("AILERON_DIFF_ONLY").unwrap_or_default();
    let most = number("AILERON_DIFF_TRANSLATED", TRANSLATED);
    println!("oracle: {version}; AILERON_SEED={seed} AILERON_DIFF_PER_ROW={per_row}");
    let guest = guest::Guest::new(order);
    let rows: Vec<Op> = Op::ALL.iter().copied().filter(|op| op.row().name.starts_with(&only) && wanted(*op)).collect();
    let skipped = |op: Op| if op.row().implemented { fit::skipped(op) } else { Some("no semantics yet") };
    print_reasons("not run", rows.iter().filter_map(|op| Some((skipped(*op)?, op.row().name))));
    let work = IsaLevel::ALL.into_iter().flat_map(|level| {
        let ops: Vec<Op> = rows.iter().copied().filter(|op| skipped(*op).is_none()).collect();
        let chunks: Vec<Vec<Op>> = ops.chunks((BATCH as u64 / per_row).max(1) as usize).map(<[Op]>::to_vec).collect();
        chunks.into_iter().map(move |ops| (level, ops))
    });
    let mut tally = judge::on_threads(number("AILERON_DIFF_JOBS", 1), work, |(level, ops), tally| {
        let new = || Work { level, tests: Vec::new(), translated: Vec::new() };
        let (mut work, mut decided) = (new(), Vec::new());
        for op in ops {
            let share = shares(op, per_row).into_iter().find(|s| s.0 == level).map_or(0, |s| s.1);
            for n in 0..share {
                let mut r = Rng::of(seed, op.row().name, n << 2 | level as u64 | apart(order));
                let test = generate::test(op, level, order, Place(work.tests.len()), &mut r);
                if fit::decided(&test).is_some() {
                    decided.push(generate::test(op, level, order, Place(decided.len()), &mut r));
                    continue;
                }
                work.tests.push(test);
                work.translated.push(n < most);
                if work.tests.len() == BATCH {
                    judge::rows(&guest, &work, tally);
                    work = new();
                }
            }
        }
        if !work.tests.is_empty() {
            judge::rows(&guest, &work, tally);
        }
        run_decided(&guest, level, &decided, tally);
    });
    print_excuses(&tally);
    tally.print_failures(&guest);
    println!(
        "{} rows compared ({} with the manual) of {} implemented of {} in the table; {} tests, {} of them ended in a signal",
        tally.compared.len(),
        tally.decided.len(),
        rows.iter().filter(|op| op.row().implemented).count(),
        rows.len(),
        tally.tests,
        tally.signals
    );
    if let Ok(path) = std::env::var("AILERON_DIFF_REPORT") {
        // For `cargo xtask coverage`.
        let mut names: String = tally.compared.iter().map(|op| format!("{}\n", op.row().name)).collect();
        let why = rows.iter().filter_map(|op| Some((op, fit::skipped(*op)?)));
        why.for_each(|(op, why)| names += &format!("{}\t{why}\n", op.row().name));
        std::fs::write(&path, names).unwrap_or_else(|e| panic!("AILERON_DIFF_REPORT={path}: {e}"));
    }
    assert!(most == 0 || rows.len() < Op::ALL.len() || tally.regions > 1000, "only {} regions", tally.regions);
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

/// The kinds of streams: those of which nothing is excused, with FPSCR in full; floating-point arithmetic, without FR, FI and
/// FPRF; and of everything.
fn kinds(order: Order) -> Vec<Kind> {
    let fit = |op: &Op| wanted(*op) && fit::left_out(*op, order).is_none();
    let of = |which: fn(Op) -> bool| Op::ALL.iter().copied().filter(fit).filter(|op| which(*op)).collect();
    vec![
        Kind { name: "exact", ops: of(fit::exact), floats: false, excused: false },
        Kind { name: "floats", ops: of(fit::floats), floats: true, excused: false },
        Kind { name: "all", ops: of(|_| true), floats: true, excused: true },
    ]
}

fn streams_agree(order: Order) {
    let version = run_qemu::version(order).unwrap_or_else(|e| panic!("{e}"));
    let seed = number("AILERON_SEED", 1);
    let streams = number("AILERON_DIFF_STREAMS", STREAMS);
    println!("oracle: {version}; AILERON_SEED={seed} AILERON_DIFF_STREAMS={streams}");
    let most = number("AILERON_DIFF_TRANSLATED_STREAMS", TRANSLATED_STREAMS);
    let guest = guest::Guest::new(order);
    let left_out = |op: &Op| Some((fit::left_out(*op, order)?, op.row().name));
    print_reasons("not in streams", Op::ALL.iter().filter(|op| wanted(**op)).filter_map(left_out));
    let kinds = kinds(order);
    let (mut replayed, mut rows) = (Vec::new(), BTreeSet::<Op>::new());
    let mut tally = Tally::default();
    let there = |kind: &Kind| IsaLevel::ALL.into_iter().filter(|level| !kind.at(*level).is_empty()).count() as u64;
    let each = streams.div_ceil(kinds.iter().map(there).sum::<u64>().max(1));
    for kind in &kinds {
        let levels = IsaLevel::ALL.into_iter().filter(|level| !kind.at(*level).is_empty());
        let work = levels.flat_map(|level| (0..each).step_by(BATCH).map(move |first| (level, first)));
        let of_kind = judge::on_threads(number("AILERON_DIFF_JOBS", 1), work, |(level, first), tally| {
            let ops = kind.at(level);
            let numbers = first..(first + BATCH as u64).min(each);
            let test = |n: u64| {
                let mut r = Rng::of(seed, kind.name, n << 2 | level as u64 | apart(order));
                streams::stream(kind, &ops, level, order, Place((n - first) as usize), &mut r)
            };
            let tests = numbers.clone().map(test).collect();
            judge::many(&guest, &Work { level, tests, translated: numbers.map(|n| n < most).collect() }, tally);
        });
        if of_kind.tests > 0 {
            replayed.push(format!(
                "{} of {} of {} rows ({})",
                of_kind.replayed,
                of_kind.tests,
                kind.ops.len(),
                kind.name
            ));
        }
        rows.extend(&kind.ops);
        tally.add(of_kind);
    }
    print_excuses(&tally);
    tally.print_failures(&guest);
    println!("streams looked at an instruction at a time: {}", replayed.join(", "));
    println!(
        "{} streams of {} rows, {} instructions, {} regions translated; {} ended in a signal",
        tally.tests,
        rows.len(),
        tally.executed,
        tally.regions,
        tally.signals
    );
    assert!(tally.tests > 0, "no row that stands in streams is of this facility");
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
