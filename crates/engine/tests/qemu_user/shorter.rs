//! A difference, as short as it can be made.

use super::generate::{Place, Test};
use super::judge::{How, Outcome, replay};
use super::record::Snapshot;
use super::run_engine::{Machine, translator};
use super::{compare, guest, known, lines, run_qemu, streams};

/// What differs, and what it had to be.
type Difference = (Vec<String>, Outcome);

/// The differences of tests that nothing excuses.
fn differ(guest: &guest::Guest, tests: &[Test], how: How) -> Vec<Option<Difference>> {
    let Some(level) = tests.first().map(|test| test.level) else { return Vec::new() };
    let want = run_qemu::run(guest, level, tests).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = Machine::new(guest, level, tests, None);
    let mut other = Machine::new(guest, level, tests, (how == How::Translated).then(translator));
    tests
        .iter()
        .zip(want.results)
        .map(|(test, want)| {
            let (mut got, count) = machine.run_counted(test, None);
            let (differences, want) = match how {
                How::Translated => {
                    let theirs = other.run_counted(test, Some(count)).0;
                    (compare::all(test, &got, &theirs), got)
                }
                How::Interpreted => {
                    if !test.stream {
                        known::excuses(test, &want, &mut got);
                    }
                    let mut differences = compare::differences(test, &want, &got);
                    if test.stream && test.excused && !differences.is_empty() {
                        let replay = &replay(guest, &mut machine, &[test])[0];
                        if replay.wrong.is_none() && replay.composes {
                            differences.clear();
                        }
                    }
                    (differences, compare::with_our_status(test, want, &got))
                }
            };
            (!differences.is_empty()).then_some((differences, want))
        })
        .collect()
}

/// The shortest stream that still differs: without one instruction after the other.
fn shortest(guest: &guest::Guest, test: &Test, how: How) -> (Test, Vec<String>) {
    let mut found = (test.clone(), Vec::new());
    while found.0.stream {
        let tests = streams::with_one_less(&found.0);
        let shorter = differ(guest, &tests, how);
        match tests.into_iter().zip(shorter).find_map(|(test, difference)| Some((test, difference?.0))) {
            Some(shorter) => found = shorter,
            None => break,
        }
    }
    found
}

/// The line that says it, if one does.
fn one_line(guest: &guest::Guest, test: &Test, how: How) -> Option<String> {
    let mut test = test.clone();
    let from = std::mem::replace(&mut test.place, Place(0));
    test.link(from);
    let mut plain = test.clone();
    lines::plain(&mut plain);
    // With its memory.
    let with_memory =
        Test { before: Snapshot { sandbox: test.before.sandbox, ..plain.before.clone() }, ..plain.clone() };
    [plain, with_memory, test].into_iter().find_map(|test| {
        let (_, want) = differ(guest, std::slice::from_ref(&test), how).pop()??;
        let line = lines::line(&test, &want);
        let read =
            lines::parse(&line).is_some_and(|(read, ..)| read.words() == test.words() && read.before == test.before);
        read.then_some(line)
    })
}

/// Prints it.
pub fn print(guest: &guest::Guest, test: &Test, how: How) {
    let (test, differences) = shortest(guest, test, how);
    let texts: Vec<String> = test.body.iter().enumerate().map(|(n, raw)| lines::words(*raw, &test, n)).collect();
    println!("shortest, {how:?}, {:?} {:?}: {}", test.level, test.order, texts.join("; "));
    differences.iter().for_each(|d| println!("    {d}"));
    match one_line(guest, &test, how) {
        Some(line) => println!("for crates/engine/tests/one_line/found.txt:\n{line}"),
        None => println!("    no line says it: it depends on the addresses, or on what ran before"),
    }
}
