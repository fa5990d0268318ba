//! Compares, and counts: QEMU against the interpreter, and that against translated code.

use super::generate::Test;
use super::record::{Ending, Snapshot};
use super::run_engine::{Machine, translator};
use super::{compare, guest, known, lines, run_qemu, shorter, streams};
use isa::{IsaLevel, Op};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Registers, memory and ending.
pub type Outcome = (Snapshot, Ending);

/// Tests of a batch: bounds memory.
pub const BATCH: usize = 8192;
/// Differences of a row that are printed in full, and of all that are made short.
const SHOWN: usize = 3;
/// How often a long comparison says how far it is.
const PROGRESS: Duration = Duration::from_secs(30);

/// Which engine differs: the interpreter from QEMU, or translated code (of a test of a row from QEMU, of a stream from the
/// interpreter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Interpreted,
    Translated,
}

/// Tests of one level, and whether each runs translated, too.
pub struct Work {
    pub level: IsaLevel,
    pub tests: Vec<Test>,
    pub translated: Vec<bool>,
}

/// Reasons, and how often each row needed them.
type Excuses = BTreeMap<&'static str, BTreeMap<&'static str, usize>>;

/// What was compared.
#[derive(Default)]
pub struct Tally {
    pub tests: usize,
    pub executed: usize,
    pub decided: BTreeSet<Op>,
    pub signals: usize,
    pub excused: Excuses,
    pub compared: BTreeSet<Op>,
    /// Streams that differed and were looked at an instruction at a time.
    pub replayed: usize,
    /// Regions that were translated.
    pub regions: u64,
    failures: BTreeMap<Op, Vec<String>>,
    found: Vec<(Test, How)>,
}

impl Tally {
    /// Takes in what another thread compared.
    pub fn add(&mut self, other: Tally) {
        self.tests += other.tests;
        self.executed += other.executed;
        self.signals += other.signals;
        self.regions += other.regions;
        self.replayed += other.replayed;
        self.decided.extend(other.decided);
        self.compared.extend(other.compared);
        for (why, rows) in other.excused {
            let counts = self.excused.entry(why).or_default();
            rows.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += count);
        }
        other.failures.into_iter().for_each(|(op, texts)| self.failures.entry(op).or_default().extend(texts));
        self.found.extend(other.found);
        self.found.truncate(SHOWN);
    }

    fn excuse(&mut self, why: &[&'static str], op: Op) {
        for why in why {
            *self.excused.entry(why).or_default().entry(op.row().name).or_default() += 1;
        }
    }

    fn fail(&mut self, test: &Test, differences: &[String], how: How) {
        if self.found.len() < SHOWN {
            self.found.push((test.clone(), how));
        }
        let mut text = format!("{how:?}, {:?} {:?} {:#x}:", test.level, test.order, test.start());
        for (n, raw) in test.body.iter().enumerate() {
            let _ = write!(text, " {raw:08x} {};", lines::words(*raw, test, n));
        }
        let _ = write!(text, "\n      with {}", compare::inputs(test));
        for d in differences {
            let _ = write!(text, "\n      {d}");
        }
        self.failures.entry(test.op).or_default().push(text);
    }

    /// Compares a test of a row with what it has to be.
    pub fn judge(&mut self, test: &Test, want: &Outcome, got: &mut Outcome, how: How) {
        self.tests += 1;
        self.excuse(&known::excuses(test, want, got), test.op);
        self.compared.insert(test.op);
        self.signals += usize::from(matches!(want.1, Ending::Signal { .. }));
        let differences = compare::differences(test, want, got);
        if !differences.is_empty() {
            self.fail(test, &differences, how);
        }
    }

    /// Prints what differs, some of it as short as it can be made, and as a line for `one_line/found.txt`.
    pub fn print_failures(&mut self, guest: &guest::Guest) {
        for (op, failures) in &self.failures {
            println!("{op}: {} differ", failures.len());
            for text in failures.iter().take(SHOWN) {
                println!("    {text}");
            }
        }
        for (test, how) in std::mem::take(&mut self.found) {
            shorter::print(guest, &test, how);
        }
    }

    /// # Panics
    /// With a difference.
    pub fn assert_no_failures(&self, version: &str) {
        let table: Vec<String> = self.failures.iter().map(|(op, f)| format!("{op} {}", f.len())).collect();
        assert!(table.is_empty(), "{} rows differ from {version}: {}", table.len(), table.join(", "));
    }
}

/// Does all the work on so many threads, and says from time to time how many tests of it were compared.
pub fn on_threads<W: Send>(
    jobs: u64,
    work: impl Iterator<Item = W> + Send,
    one: impl Fn(W, &mut Tally) + Sync,
) -> Tally {
    let work = Mutex::new(work);
    let progress = Mutex::new((0usize, Instant::now()));
    let compared = |count: usize| {
        let mut progress = progress.lock().expect("no thread panics as it tells");
        progress.0 += count;
        if progress.1.elapsed() >= PROGRESS {
            progress.1 = Instant::now();
            eprintln!("{} tests compared so far", progress.0);
        }
    };
    let next = || work.lock().expect("no thread panics as it takes").next();
    std::thread::scope(|scope| {
        let thread = || {
            let mut tally = Tally::default();
            while let Some(w) = next() {
                let before = tally.tests;
                one(w, &mut tally);
                compared(tally.tests - before);
            }
            tally
        };
        let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(thread)).collect();
        let mut all = Tally::default();
        for thread in threads {
            match thread.join() {
                Ok(tally) => all.add(tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    })
}

/// Runs tests of rows under QEMU and here, and compares.
pub fn rows(guest: &guest::Guest, work: &Work, tally: &mut Tally) {
    let Work { level, tests, translated } = work;
    let want = run_qemu::run(guest, *level, tests).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = Machine::new(guest, *level, tests, None);
    let translator = translator();
    let mut other = Machine::new(guest, *level, tests, Some(translator.clone()));
    for ((test, want), translated) in tests.iter().zip(want.results).zip(translated) {
        if *translated {
            other.set_low(&machine);
        }
        let (mut got, count) = machine.run_counted(test, None);
        tally.executed += count as usize;
        tally.judge(test, &want, &mut got, How::Interpreted);
        if *translated {
            let (mut got, _) = other.run_counted(test, Some(count));
            tally.judge(test, &want, &mut got, How::Translated);
        }
    }
    tally.regions += translator.stats().compiled;
    low_memory(&want.low, &machine);
}

fn low_memory(want: &[u8], machine: &Machine) {
    let low = machine.low();
    for (n, (w, g)) in want.chunks(16).zip(low.chunks(16)).enumerate() {
        let address = guest::LOW + 16 * n as u64;
        assert!(w == g, "low memory at {address:#x}: expected {w:02x?}, got {g:02x?}");
    }
}

/// Runs streams under QEMU and here, and compares; those that run translated are held against the interpreter.
pub fn many(guest: &guest::Guest, work: &Work, tally: &mut Tally) {
    let Work { level, tests, translated } = work;
    let want = run_qemu::run(guest, *level, tests).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = Machine::new(guest, *level, tests, None);
    let translator = translator();
    let mut other = Machine::new(guest, *level, tests, Some(translator.clone()));
    let mut differ: Vec<(&Test, Vec<String>)> = Vec::new();
    for ((test, want), translated) in tests.iter().zip(&want.results).zip(translated) {
        let (got, count) = machine.run_counted(test, None);
        tally.tests += 1;
        tally.executed += count as usize;
        tally.signals += usize::from(matches!(want.1, Ending::Signal { .. }));
        let differences = compare::differences(test, want, &got);
        match differences.is_empty() {
            true => {}
            false if test.excused => differ.push((test, differences)),
            false => tally.fail(test, &differences, How::Interpreted),
        }
        if *translated {
            let (theirs, _) = other.run_counted(test, Some(count));
            let differences = compare::all(test, &got, &theirs);
            if !differences.is_empty() {
                tally.fail(test, &differences, How::Translated);
            }
        }
    }
    tally.regions += translator.stats().compiled;
    low_memory(&want.low, &machine);
    tally.replayed += differ.len();
    let streams: Vec<&Test> = differ.iter().map(|(test, _)| *test).collect();
    for ((test, differences), replay) in differ.iter().zip(replay(guest, &mut machine, &streams)) {
        for (why, op) in &replay.excused {
            tally.excuse(&[*why], *op);
        }
        match replay.wrong {
            Some((step, differences)) => tally.fail(&step, &differences, How::Interpreted),
            None if !replay.composes => tally.fail(test, differences, How::Interpreted),
            None if replay.excused.is_empty() => tally.excuse(&[HIDDEN], test.op),
            None => {}
        }
    }
}

/// What a stream may differ by though none of its instructions differs alone, in both engines.
const HIDDEN: &str =
    "exceptions that an earlier instruction left in QEMU, or FPSCR behind xvcmp (4.4, 7.6); last of the stream";

/// A stream, an instruction at a time.
#[derive(Default)]
pub struct Replay {
    /// What was excused, of which rows.
    pub excused: Vec<(&'static str, Op)>,
    /// The first instruction that is wrong alone.
    pub wrong: Option<(Test, Vec<String>)>,
    /// Each instruction does here, alone, what it does in the stream. If none is wrong alone, and no rule was needed, what
    /// differs is a state that QEMU has beside the registers.
    pub composes: bool,
}

/// Has QEMU execute each instruction of streams alone, with the registers and memory that it finds here: what this QEMU does
/// otherwise than the manual says is excused, as in tests of rows. The machine has the streams.
pub fn replay(guest: &guest::Guest, machine: &mut Machine, tests: &[&Test]) -> Vec<Replay> {
    let mut replays: Vec<Replay> = tests.iter().map(|_| Replay::default()).collect();
    let mut next = 0;
    while next < tests.len() {
        let (mut steps, mut of): (Vec<Test>, Vec<usize>) = Default::default();
        while next < tests.len() && steps.len() < BATCH {
            let trace = machine.trace(tests[next]);
            let after = machine.run(tests[next]).0;
            replays[next].composes = machine.composes(tests[next], &trace, &after);
            steps.extend(streams::steps(tests[next], &trace, steps.len()));
            of.resize(steps.len(), next);
            next += 1;
        }
        if steps.is_empty() {
            continue;
        }
        let level = steps[0].level;
        let want = run_qemu::run(guest, level, &steps).unwrap_or_else(|e| panic!("{e}"));
        let mut alone = Machine::new(guest, level, &steps, None);
        for ((step, want), of) in steps.iter().zip(want.results).zip(of) {
            let mut got = alone.run(step);
            let replay = &mut replays[of];
            replay.excused.extend(known::excuses(step, &want, &mut got).into_iter().map(|why| (why, step.op)));
            let differences = compare::differences(step, &want, &got);
            if !differences.is_empty() && replay.wrong.is_none() {
                replay.wrong = Some((step.clone(), differences));
            }
        }
    }
    replays
}
