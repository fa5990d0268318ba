//! A line an instruction: words, text, what it reads, what it does. `one_line/*.txt` has some for every row that has
//! semantics and that QEMU's user mode can be asked about; no QEMU is needed to run them.
//!
//! `3.0 7c642a14 add r3,r4,r5 : r4=1 r5=2 -> r3=3`: the level of the processor (`3.0be` in big-endian mode); registers that are not zero before; all that is
//! different behind it. `m40=..` are 16 bytes of memory, 0x40 from the beginning of a sandbox that holds a pattern before;
//! `end=` tells of a branch that was taken (`pad1` and so on are places to land on) or of an interrupt, by the signal that
//! Linux makes of it.
//!
//! `AILERON_ONE_LINE=write cargo test --release -p engine --test one_line` makes the files again (`write-big` only those of
//! big-endian mode): QEMU's answers, where they and
//! ours are the same without an excuse; `*_big.txt` has rows that access memory in big-endian mode. A line that `cargo xtask diff`
//! prints for a difference, or that is written by hand for a bug, stands in `one_line/found.txt`, which stays.

#[allow(dead_code, reason = "the other test has more of it in use")]
mod qemu_user;

use isa::Op;
use qemu_user::generate::{self, Place, Shape, shape};
use qemu_user::lines::{LEVELS, changes, ending, line, parse, plain, words};
use qemu_user::record::Order;
use qemu_user::rng::Rng;
use qemu_user::run_engine::{Machine, translator};
use qemu_user::{compare, fit, guest, run_qemu};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Lines of a row at most, and tests that they are taken from.
const LINES: usize = 4;
const ATTEMPTS: u64 = 32;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/one_line")
}

/// Runs the lines of a file. What is wrong, a text each, and the rows that there are.
fn run(name: &str, rows: &mut BTreeSet<Op>, wrong: &mut Vec<String>) -> usize {
    let path = folder().join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let guests = [guest::Guest::new(Order::Little), guest::Guest::new(Order::Big)];
    let mut count = 0;
    for (n, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let place = format!("{name}:{}", n + 1);
        let Some((test, texts, effects)) = parse(line) else {
            wrong.push(format!("{place}: cannot be read: {line}"));
            continue;
        };
        count += 1;
        let guest = guests.iter().find(|guest| guest.order == test.order).expect("one of each order");
        rows.insert(test.op);
        for (at, (raw, text)) in test.body.iter().zip(&texts).enumerate() {
            let found = words(*raw, &test, at);
            if found != *text {
                wrong.push(format!("{place}: {raw:08x} is {found}, expected {text}"));
            }
        }
        let mut count = None;
        for how in ["interpreted", "translated"] {
            let mut machine =
                Machine::new(guest, test.level, std::slice::from_ref(&test), (how == "translated").then(translator));
            // Translated in one go, branches or not: what the interpreter executed.
            let (got, executed) = machine.run_counted(&test, count);
            count = Some(executed);
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

/// Makes the files anew; in big-endian mode for rows that have to do with memory, two lines each at most.
fn write(little: bool) {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    if little {
        lines_of(Order::Little, "", LINES, &mut files);
    }
    lines_of(Order::Big, "_big", LINES / 2, &mut files);
    std::fs::create_dir_all(folder()).unwrap();
    for (name, text) in files {
        std::fs::write(folder().join(name), text).unwrap();
    }
}

fn lines_of(order: Order, suffix: &str, most: usize, files: &mut BTreeMap<String, String>) {
    let guest = guest::Guest::new(order);
    for &op in Op::ALL {
        let row = op.row();
        if !row.implemented || fit::skipped(op).is_some() || order == Order::Big && shape(row) == Shape::None {
            continue;
        }
        let Some((_, level)) = LEVELS.into_iter().find(|(_, level)| row.at(*level)) else { continue };
        let mut machine_lines = BTreeMap::new();
        for n in 0..ATTEMPTS {
            if machine_lines.len() == most {
                break;
            }
            let mut test = generate::test(op, level, order, Place(0), &mut Rng::of(7, row.name, n));
            if test.sets_tar || fit::decided(&test).is_some() {
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
        let file = files.entry(format!("{:?}{suffix}.txt", row.chapter)).or_default();
        machine_lines.values().for_each(|(line, _)| *file += &format!("{line}\n"));
    }
}

#[test]
fn every_line_holds() {
    match std::env::var("AILERON_ONE_LINE").as_deref() {
        Ok("write") => write(true),
        Ok("write-big") => write(false),
        _ => {}
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
