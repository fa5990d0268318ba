//! Random privileged programs: MSR, interrupts, special purpose registers, radix trees.

mod case;
mod generate;
mod harness;
mod known;

use crate::bare::{Ran, here, on_qemu, version};
use crate::rng::Rng;
use case::{Case, Item, PATCHES, patch_name};
use cpu::CpuModel;
use harness::{LOG_NAMES, RECORD_WORDS, RECORDS, SPRS, at};
use isa::Op;
use machine::AcceleratorKind;
use std::collections::{BTreeMap, BTreeSet};

type Record = [u64; RECORD_WORDS];

fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")),
        Err(_) => default,
    }
}

/// Name of a record's word.
fn name(n: usize) -> String {
    match n {
        0..=31 => format!("r{n}"),
        at::CR => "CR".into(),
        at::XER => "XER".into(),
        at::LR => "LR".into(),
        at::CTR => "CTR".into(),
        at::INTERRUPTS => "interrupts".into(),
        _ if n >= at::LOG => {
            let (nth, word) = ((n - at::LOG) / at::LOG_WORDS, (n - at::LOG) % at::LOG_WORDS);
            format!("interrupt {nth} {}", LOG_NAMES.get(word).unwrap_or(&"?"))
        }
        _ if n >= at::MEMORY => format!("memory at {:#x}", harness::ranges().get(n - at::MEMORY).unwrap_or(&0)),
        _ if n >= at::PATCHES => patch_name(n - at::PATCHES),
        _ => SPRS.get(n - at::SPRS).map_or("?".into(), |(_, name)| (*name).into()),
    }
}

/// The interrupts of a record.
fn interrupts(record: &Record) -> impl Iterator<Item = &[u64]> {
    let count = (record[at::INTERRUPTS] as usize).min(harness::LOGGED);
    record[at::LOG..].chunks(at::LOG_WORDS).take(count)
}

fn differences(want: &Record, got: &Record) -> Vec<String> {
    // In the order of time.
    let kept = |r: &Record| at::LOG + at::LOG_WORDS * (r[at::INTERRUPTS] as usize).min(harness::LOGGED);
    (at::LOG..kept(want).max(kept(got)))
        .chain(0..at::SPRS + SPRS.len())
        .chain(at::PATCHES..at::PATCHES + PATCHES.len())
        .chain(at::MEMORY..at::LOG)
        .filter(|n| want[*n] != got[*n])
        .map(|n| format!("{}: QEMU {:#x}, here {:#x}", name(n), want[n], got[n]))
        .collect()
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// What differs without an excuse, and the excuses.
fn judge(case: &Case, want: &Record, got: &mut Record) -> (Vec<String>, Vec<&'static str>) {
    let mut why = known::normalise(case, want, got);
    let all = differences(want, got);
    if all.is_empty() {
        return (all, why);
    }
    match known::excuse(case, want, got) {
        Some(excuse) => {
            why.push(excuse);
            (Vec::new(), why)
        }
        None => (all, why),
    }
}

struct Bench {
    /// As QEMU calls it.
    cpu: &'static str,
    model: &'static CpuModel,
    little: bool,
}

impl Bench {
    fn qemu(&self, cases: &[Case], rounds: u64) -> Result<Vec<Record>, String> {
        let image = harness::image(cases, self.little, rounds);
        let bytes = on_qemu(self.cpu, &image, RECORDS, cases.len() * RECORD_WORDS * 8)?;
        Ok(harness::records(&bytes, self.little))
    }

    fn here(&self, cases: &[Case], kind: AcceleratorKind, rounds: u64) -> (Vec<Record>, Ran) {
        let image = harness::image(cases, self.little, rounds);
        let ran =
            here(self.model, &image, kind, RECORDS, cases.len() * RECORD_WORDS * 8).unwrap_or_else(|e| panic!("{e}"));
        (harness::records(&ran.answers, self.little), ran)
    }

    /// The shortest case that still differs.
    fn shortest(&self, case: &Case, kind: AcceleratorKind, rounds: u64) -> (Case, Vec<String>) {
        let alike = |all: &[String]| all.first().map(|d| without_digits(d.split(':').next().unwrap_or_default()));
        let mut first = None;
        let mut found = (case.clone(), Vec::new());
        loop {
            let cases = if found.1.is_empty() { vec![found.0.clone()] } else { found.0.with_less() };
            // With less it may never end, or end QEMU.
            let Ok(want) = self.qemu(&cases, rounds) else { return found };
            let (got, _) = self.here(&cases, kind, rounds);
            let next = cases.into_iter().zip(want.iter().zip(got)).find_map(|(case, (want, mut got))| {
                let (differences, _) = judge(&case, want, &mut got);
                // The same difference, and not another one that lies behind it.
                let same = first.is_none() || alike(&differences) == first;
                (!differences.is_empty() && same).then_some((case, differences))
            });
            match next {
                Some(next) => {
                    first = alike(&next.1);
                    found = next;
                }
                None => return found,
            }
        }
    }
}

#[derive(Default)]
struct Tally {
    cases: u64,
    instructions: u64,
    retired: u64,
    vectors: BTreeMap<u64, u64>,
    storage: BTreeMap<(u64, u64), u64>,
    states: BTreeMap<&'static str, u64>,
    sprs: BTreeMap<(u32, bool), u64>,
}

impl Tally {
    fn count(&mut self, case: &Case, record: &Record) {
        self.cases += 1;
        let start = interrupts(record).last().map_or(0, |i| i[1] & 0xFF);
        self.instructions += start / 4;
        for (_, item) in case.items_before(start) {
            match item {
                Item::Return { vectored, .. } => {
                    *self.states.entry(if *vectored { "rfscv" } else { "rfid" }).or_default() += 1
                }
                Item::Words(words) => {
                    for word in words {
                        let Some(insn) = isa::decode(u64::from(*word), case.level) else { continue };
                        match insn.op {
                            Op::mtmsr => *self.states.entry("mtmsr").or_default() += 1,
                            Op::mtmsrd => *self.states.entry("mtmsrd").or_default() += 1,
                            Op::mtspr | Op::mfspr => {
                                *self.sprs.entry((known::spr_of(*word), insn.op == Op::mtspr)).or_default() += 1;
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
        for i in interrupts(record) {
            let vector = match i[0] {
                v @ 0x3000..0x4000 => v & !0xFFF,
                0x1_7000.. => 0x3000,
                v => v & 0xFFF,
            };
            *self.vectors.entry(vector).or_default() += 1;
            match vector {
                0x300 => *self.storage.entry((vector, i[5])).or_default() += 1,
                0x400 => *self.storage.entry((vector, i[2] & harness::CAUSES)).or_default() += 1,
                _ => {}
            }
        }
    }

    fn print(&self) {
        let list =
            |map: &BTreeMap<u64, u64>| map.iter().map(|(k, v)| format!("{k:#x} {v}")).collect::<Vec<_>>().join(", ");
        println!(
            "{} cases, {} instructions of them, {} with the program around them",
            self.cases, self.instructions, self.retired
        );
        println!("interrupts by vector: {}", list(&self.vectors));
        println!("changes of MSR: {:?}", self.states);
        let rows = |write: bool| self.sprs.keys().filter(|(_, w)| *w == write).count();
        println!(
            "special purpose registers: {} read, {} written, {} accesses",
            rows(false),
            rows(true),
            self.sprs.values().sum::<u64>()
        );
        let storage: Vec<String> = self
            .storage
            .iter()
            .map(|((vector, cause), n)| format!("{} {cause:#x}: {n}", if *vector == 0x300 { "DSISR" } else { "SRR1" }))
            .collect();
        println!("storage interrupts by cause: {}", storage.join(", "));
    }
}

/// Compares batches, and keeps what was.
struct Comparison {
    tally: Tally,
    excused: BTreeMap<&'static str, u64>,
    differing: u64,
    /// Differences by kind.
    kinds: BTreeMap<String, u64>,
    shown: u64,
    regions: u64,
}

impl Comparison {
    /// Cases that agree without an excuse.
    fn run(&mut self, bench: &Bench, cases: &[Case], kind: AcceleratorKind, what: &str) -> Vec<bool> {
        let rounds = if kind == AcceleratorKind::Interp { 1 } else { ROUNDS };
        let mut agreed = Vec::new();
        for cases in cases.chunks(harness::MOST) {
            let want = bench.qemu(cases, rounds).unwrap_or_else(|e| panic!("{e}"));
            let (got, ran) = bench.here(cases, kind, rounds);
            self.tally.retired += ran.instructions;
            self.regions += ran.regions;
            for (case, (want, mut got)) in cases.iter().zip(want.iter().zip(got)) {
                self.tally.count(case, want);
                let (mut all, mut why) = judge(case, want, &mut got);
                if what == "register"
                    && !all.is_empty()
                    && let Some(word) = case.word_at(0)
                    && let Some(known) = known::excuse_register(known::spr_of(word), want, &got)
                {
                    why.push(known);
                    all.clear();
                }
                agreed.push(all.is_empty() && why.is_empty());
                for why in why {
                    *self.excused.entry(why).or_default() += 1;
                }
                if all.is_empty() {
                    continue;
                }
                self.differing += 1;
                // The same difference is shown once: what was found, at which instruction, or in which register.
                let at =
                    if what.starts_with("stream") { interrupts(want).next().map_or(0, |i| i[1] & 0xFF) } else { 0 };
                let word = case.word_at(at).unwrap_or_default();
                let op = isa::decode(u64::from(word), case.level).map(|i| i.op);
                let name = without_digits(all[0].split(':').next().unwrap_or_default());
                let key = format!("{what} {op:?} {name}");
                let count = self.kinds.entry(key).or_default();
                *count += 1;
                if *count == 1 && self.shown < number("AILERON_DIFF_SHOWN", 8) {
                    self.shown += 1;
                    let (short, found) = bench.shortest(case, kind, rounds);
                    let (short, found) = if found.is_empty() { (case.clone(), all) } else { (short, found) };
                    println!("{what}, {} ILE={}: {}", bench.cpu, u8::from(bench.little), short.text());
                    found.iter().take(8).for_each(|d| println!("      {d}"));
                }
            }
        }
        agreed
    }
}

/// Rounds of each case where it is translated: at first it is interpreted.
const ROUNDS: u64 = 3;
/// Tests of a row.
const PER_ROW: u64 = 12;

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn privileged_programs_agree_with_qemu() {
    let seed = number("AILERON_SEED", 1);
    let count = number("AILERON_DIFF_CASES", 2_000);
    let translated = number("AILERON_DIFF_TRANSLATED_CASES", count / 40);
    let per_row = number("AILERON_DIFF_PER_ROW", PER_ROW);
    let order = std::env::var("AILERON_DIFF_ORDER").unwrap_or_else(|_| "both".into());
    println!("oracle: {}; AILERON_SEED={seed} AILERON_DIFF_CASES={count}", version());
    let mut all = Comparison {
        tally: Tally::default(),
        excused: BTreeMap::new(),
        differing: 0,
        kinds: BTreeMap::new(),
        shown: 0,
        regions: 0,
    };
    let kinds: Vec<(&str, bool)> = [("power9", false), ("power10", false), ("power9", true), ("power10", true)]
        .into_iter()
        .filter(|(_, little)| order == "both" || (order == "little") == *little)
        .collect();
    let share = |count: u64| count.div_ceil(kinds.len() as u64);
    let mut compared = BTreeSet::new();
    for (which, (cpu, little)) in kinds.iter().enumerate() {
        let bench = Bench { cpu, model: CpuModel::by_name(cpu).unwrap(), little: *little };
        let mut rows = generate::Rows::new(bench.model.level);
        // Each row alone, each register alone; then streams of all that QEMU does not otherwise.
        let ops: Vec<Op> = rows.all().flat_map(|op| vec![op; per_row as usize]).collect();
        let of_row = |(n, op): (usize, &Op)| rows.alone(*op, &mut Rng::of(seed, "row", (n as u64) << 2 | which as u64));
        let cases: Vec<Case> = ops.iter().enumerate().map(of_row).collect();
        all.run(&bench, &cases, AcceleratorKind::Interp, "row");
        compared.extend(ops);
        let sprs: Vec<(u32, bool, bool)> =
            known::sprs().flat_map(|(n, write)| [(n, write, false), (n, write, true)]).collect();
        let cases: Vec<Case> = sprs
            .iter()
            .map(|(n, write, problem)| {
                let number = u64::from(*n) << 4 | u64::from(*write) << 3 | u64::from(*problem) << 2 | which as u64;
                rows.spr_alone(*n, *write, *problem, &mut Rng::of(seed, "spr", number))
            })
            .collect();
        let agreed = all.run(&bench, &cases, AcceleratorKind::Interp, "register");
        let excused_sprs: BTreeSet<(u32, bool)> =
            sprs.iter().zip(agreed).filter(|(_, agreed)| !agreed).map(|((n, write, _), _)| (*n, *write)).collect();
        rows.keep(
            |op| !known::only_alone(op),
            |n, write| !excused_sprs.contains(&(n, write)) && known::register(n).is_none(),
        );
        let stream = |n: u64| generate::case(&rows, &mut Rng::of(seed, "system", n << 2 | which as u64));
        for first in (0..share(count)).step_by(harness::MOST) {
            let cases: Vec<Case> = (first..share(count).min(first + harness::MOST as u64)).map(stream).collect();
            all.run(&bench, &cases, AcceleratorKind::Interp, "stream");
        }
        if translated > 0 {
            let cases: Vec<Case> = (0..share(translated)).map(stream).collect();
            all.run(&bench, &cases, AcceleratorKind::Lockstep, "stream, translated");
        }
    }
    all.tally.print();
    println!("{} rows alone, {} regions translated", compared.len(), all.regions);
    println!("QEMU is not followed:");
    all.excused.iter().for_each(|(why, tests)| println!("    {tests:>6} tests: {why}"));
    known::MISSING.iter().for_each(|(op, why)| println!("    not run: {op}: {why}"));
    all.kinds.iter().for_each(|(kind, count)| println!("DIFFERS {kind}: {count}"));
    assert!(translated == 0 || all.regions > 0, "nothing was translated");
    assert_eq!(all.differing, 0, "cases differ from {}", version());
}
