//! Saved partitions on their way from each kind of host, set of modes and mode in use to each kind of host and set: what is
//! to come of it follows from the rules as they stand here, not from what the machine says.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::hosts::{HOSTS, Host, SETS};
use super::{Mmu, Plan, count_interrupts, options};
use crate::emulator::Boot;
use crate::guests::Fetched;
use crate::live::{Live, goes_on, nothing_lost};
use crate::perf::programs::{self, GUEST_COMPILER, GUEST_TOOLS};
use crate::{paths, run};

/// Sums that a guest prints behind its way.
const SUMS: u64 = 6;
/// For programs without a kernel: nothing of the C library, no register beyond the general ones.
const FLAGS: &[&str] = &[
    "-std=gnu11",
    "-O2",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-mcpu=power8",
    "-msoft-float",
    "-mno-vsx",
    "-mno-altivec",
    "-fno-pic",
    "-no-pie",
    "-Wl,-Ttext-segment=0x100000,--build-id=none",
    "-Wall",
    "-Wextra",
    "-Werror",
];

/// Who uses what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guest {
    /// Debian's 6.12: mode 3 if the machine offers it, else 0.
    Linux,
    /// A program that asks for this mode, or for none, in real mode.
    Program(Option<u8>),
}

/// Where a partition comes from.
#[derive(Clone, Copy)]
pub struct Source {
    host: &'static Host,
    set: &'static str,
    mmu: Mmu,
    guest: Guest,
}

/// What is to become of it somewhere.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// What does not fit, as the refusal calls it; nothing: it goes on.
    reasons: BTreeSet<&'static str>,
    /// The set that this machine could be started with instead.
    helps_here: bool,
}

fn modes(set: &str) -> BTreeSet<u8> {
    set.split('+').filter_map(|mode| mode.parse().ok()).collect()
}

impl Source {
    fn name(&self) -> String {
        let guest = match self.guest {
            Guest::Linux => "linux".to_owned(),
            Guest::Program(mode) => format!("mode-{}", mode.unwrap_or(0)),
        };
        format!("migration-{}-{}-{:?}-{guest}", self.host.name, self.set, self.mmu)
            .to_lowercase()
            .replace([',', '='], "-")
    }

    fn in_use(&self) -> u8 {
        match self.guest {
            Guest::Linux if modes(self.set).contains(&3) => 3,
            Guest::Linux => 0,
            Guest::Program(mode) => mode.unwrap_or(0),
        }
    }

    /// Whether its guest translates by a radix tree; what never translated has the hash table that partitions begin with.
    fn uses_radix(&self) -> bool {
        self.mmu == Mmu::Radix && self.guest == Guest::Linux
    }

    /// The rules: inclusion of sets; the mode in use is offered, and honoured for the translation in use; the host has that
    /// translation, and starts such a machine at all.
    fn verdict(&self, host: &Host, set: &str) -> Verdict {
        let mut reasons = BTreeSet::new();
        if !host.starts(set, self.mmu) {
            reasons.insert("-machine");
        }
        let included = modes(self.set).is_subset(&modes(set));
        if !included {
            reasons.insert("cap-ail-modes");
        }
        let translates = if self.uses_radix() { host.radix } else { host.hash };
        if !translates {
            reasons.insert("translation");
        }
        let offered = modes(set).contains(&self.in_use());
        if !offered || translates && !host.honours(self.uses_radix()).contains(&self.in_use()) {
            reasons.insert("LPCR[AIL]");
        }
        Verdict { reasons, helps_here: !included && host.starts(self.set, self.mmu) }
    }

    fn boot(&self, plan: &Plan, kernel: Option<&Path>, host: &Host, set: &str) -> Result<Boot> {
        let mut boot = plan.boot("")?;
        boot.append.clear();
        boot.memory = "512M";
        if let Some(kernel) = kernel {
            boot.guest = Fetched { kernel: kernel.to_owned(), ..boot.guest };
        }
        let mmu = if self.mmu == Mmu::Radix { "mmu=radix" } else { "mmu=hash" };
        boot.machine = vec![format!("cap-ail-modes={set}"), mmu.to_owned()];
        boot.execution = options(["-accel", &format!("jit,host={}", host.name), "-code-cache", "none"]);
        Ok(boot)
    }

    fn start(&self, boot: &Boot) -> Result<Live> {
        if self.guest == Guest::Linux {
            return Live::under_load(boot, &self.name());
        }
        let mut live = Live::start(boot, &self.name())?;
        live.wait_for("a count", |console| counts(console).len() > 2)?;
        Ok(live)
    }

    /// Every machine that its partition could go to.
    fn ways(&self) -> impl Iterator<Item = (&'static Host, &'static str)> {
        HOSTS.iter().flat_map(|host| SETS.into_iter().map(move |set| (host, set)))
    }
}

/// What a program without a kernel has counted.
fn counts(console: &str) -> Vec<u64> {
    let line = |line: &str| u64::from_str_radix(line.strip_prefix('#').filter(|n| n.len() == 7)?, 16).ok();
    console.lines().filter_map(line).collect()
}

/// All that can be saved: Linux wherever it starts, programs that use another mode than Linux would.
pub fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    for host in &HOSTS {
        for set in SETS {
            for mmu in [Mmu::Radix, Mmu::Hash].into_iter().filter(|mmu| host.starts(set, *mmu)) {
                let mut add = |guest| all.push(Source { host, set, mmu, guest });
                add(Guest::Linux);
                // A host without hash tables has nothing for a partition that has not translated yet.
                if mmu == Mmu::Hash && set.contains('3') {
                    add(Guest::Program(None));
                }
                if mmu == Mmu::Hash && set.contains('2') {
                    add(Guest::Program(Some(2)));
                }
            }
        }
    }
    all
}

/// How many of each there were.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count {
    sources: usize,
    refused: usize,
    went_on: usize,
    scv: usize,
}

/// Saves a partition, takes it wherever `wanted` says, and sees that the source goes on.
fn from(plan: &Plan, source: &Source, wanted: impl Fn(&Host, &str) -> bool, count: &mut Count) -> Result<Vec<String>> {
    let directory = paths::checks();
    paths::make_directory(&directory)?;
    let kernel = match source.guest {
        Guest::Linux => None,
        Guest::Program(mode) => {
            let program = directory.join(format!("{}.elf", source.name()));
            let mode = mode.map(|mode| format!("-DMODE={mode}"));
            let flags: Vec<&str> = FLAGS.iter().copied().chain(mode.as_deref()).collect();
            programs::compile(GUEST_COMPILER, GUEST_TOOLS, &flags, "ail-mode", &program)?;
            Some(program)
        }
    };
    let kernel = kernel.as_deref();
    let file = directory.join(format!("{}.snap", source.name()));
    let mut live = source.start(&source.boot(plan, kernel, source.host, source.set)?)?;
    live.order(&format!("savevm {}", file.display()))?;
    count.sources += 1;
    let mut lines = Vec::new();
    for (host, set) in source.ways().filter(|(host, set)| wanted(host, set)) {
        let to = source.boot(plan, kernel, host, set)?;
        let verdict = source.verdict(host, set);
        let way = || format!("{} to {} with {set}", source.name(), host.name);
        refuses_as_expected(source, &to, &file, &verdict, set).with_context(way)?;
        let come = if verdict.reasons.is_empty() {
            count.went_on += 1;
            let scv = arrives(source, &to, &file).with_context(way)?;
            count.scv += scv;
            if scv > 0 { format!("goes on, {scv} scv") } else { "goes on".to_owned() }
        } else {
            count.refused += 1;
            format!("refused: {}", verdict.reasons.into_iter().collect::<Vec<_>>().join(", "))
        };
        lines.push(format!("{} | {set} | {come}", host.name));
    }
    // Whatever became of its copies, it goes on.
    if source.guest == Guest::Linux {
        live.wait_for_sums(SUMS)?;
    } else {
        let before = counts(&live.console()).len();
        live.wait_for("another count", |console| counts(console).len() > before + 2)?;
    }
    let ended = live.quit()?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    match source.guest {
        Guest::Linux => drop(nothing_lost(&ended.console, 1)?),
        Guest::Program(_) => in_order(&counts(&ended.console), Some(1))?,
    }
    fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
    Ok(lines)
}

fn in_order(counts: &[u64], first: Option<u64>) -> Result<()> {
    ensure!(
        first.is_none_or(|first| counts.first() == Some(&first)) && counts.windows(2).all(|two| two[1] == two[0] + 1),
        "not all numbers are there: {counts:?}"
    );
    Ok(())
}

/// `-migrate-check`, and `-loadvm` where it must not start, say what the rules say.
fn refuses_as_expected(source: &Source, to: &Boot, file: &Path, verdict: &Verdict, set: &str) -> Result<()> {
    let place = file.display().to_string();
    for option in ["-migrate-check", "-loadvm"] {
        let mut boot = to.clone();
        boot.options = vec![option.to_owned(), place.clone()];
        if option == "-loadvm" && verdict.reasons.is_empty() {
            continue;
        }
        let mut command: Command = boot.command();
        let output = command.output().with_context(|| format!("cannot run {}", run::spelled(&command)))?;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let told = || format!("{option} said {said:?}; {}", run::spelled(&command));
        let code = if verdict.reasons.is_empty() { 0 } else { 1 };
        ensure!(output.status.code() == Some(code), "expected exit status {code}, found {}; {}", output.status, told());
        if option == "-loadvm" && verdict.reasons.contains("-machine") {
            ensure!(said.contains("has not what this machine asks for"), "{}", told());
            continue;
        }
        let found: BTreeSet<&str> = said
            .lines()
            .filter_map(|line| line.strip_prefix("  ")?.split_once(": ").map(|(what, _)| what))
            .filter(|what| !what.starts_with("modes of"))
            .collect();
        ensure!(found == verdict.reasons, "expected {:?}, found {found:?}; {}", verdict.reasons, told());
        let [there, here] = [source.set, set].map(|set| match set {
            "0" => "0",
            "0+2" => "0 and 2",
            "0+3" => "0 and 3",
            _ => "0, 2 and 3",
        });
        let sets = format!("({there} there, {here} here)");
        ensure!(said.contains(&sets) == verdict.reasons.contains("cap-ail-modes"), "{sets}: {}", told());
        let help = format!("start this machine with -M pseries,cap-ail-modes={}", source.set);
        ensure!(said.contains(&help) == verdict.helps_here, "{help}: {}", told());
    }
    Ok(())
}

/// Goes on there, without losing anything. How many `scv` it executed.
fn arrives(source: &Source, to: &Boot, file: &Path) -> Result<usize> {
    let log: PathBuf = paths::checks().join(format!("{}.int", source.name()));
    let mut boot = to.clone();
    let place = file.display().to_string();
    boot.options = ["-loadvm", &place, "-d", "int", "-D", &log.display().to_string()].map(str::to_owned).to_vec();
    let mut live = Live::start(&boot, &format!("{}-to", source.name()))?;
    if source.guest == Guest::Linux {
        live.wait_for_sums(SUMS)?;
    } else {
        live.wait_for("counts", |console| counts(console).len() > 3)?;
    }
    let ended = live.quit()?;
    ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
    let (_, scv) = count_interrupts(&log)?;
    fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
    match source.guest {
        Guest::Linux => {
            goes_on(&ended.console, 1)?;
            ensure!((scv > 0) == (source.in_use() == 3), "{scv} scv with mode {} in use", source.in_use());
        }
        Guest::Program(_) => in_order(&counts(&ended.console), None)?,
    }
    Ok(scv)
}

/// A few of the ways, for every day: Linux in mode 3 from this emulator.
pub fn some(plan: &Plan) -> Result<String> {
    let Some(source) = sources()
        .into_iter()
        .find(|s| (s.host.name, s.set, s.mmu, s.guest) == ("jit", "0+3", Mmu::Radix, Guest::Linux))
    else {
        bail!("no such source in the table of hosts");
    };
    let mut count = Count::default();
    let wanted = |host: &Host, set: &str| {
        [("jit", "0"), ("jit", "0+2+3"), ("kvm-hv", "0+3"), ("kvm-pr", "0"), ("kvm-hv-power9-dd2.1", "0+3")]
            .contains(&(host.name, set))
    };
    from(plan, &source, wanted, &mut count)?;
    ensure!((count.went_on, count.refused) == (2, 3), "expected two that go on and three refusals: {count:?}");
    Ok(format!("{} went on with {} scv, {} refused, the source went on", count.went_on, count.scv, count.refused))
}

/// All of them, as a table; prints what is done.
pub fn table(plan: &Plan, only: Option<&str>) -> Result<String> {
    let mut text =
        String::from("| from | set | MMU | in use | goes on in | refused by |\n|---|---|---|---|---|---:|\n");
    let mut count = Count::default();
    for source in sources().iter().filter(|source| only.is_none_or(|only| source.name().contains(only))) {
        let before = count;
        let lines = from(plan, source, |_, _| true, &mut count)?;
        let well: Vec<String> = lines
            .iter()
            .filter_map(|line| line.split_once(" | goes on"))
            .map(|(to, _)| to.replace(" | ", " "))
            .collect();
        let who = if source.guest == Guest::Linux { "Linux" } else { "program" };
        let line = format!(
            "| {} | {} | {:?} | {} ({who}) | {} | {} |",
            source.host.name,
            source.set,
            source.mmu,
            source.in_use(),
            well.join("; "),
            count.refused - before.refused
        );
        println!("{line}");
        lines.iter().for_each(|line| println!("    {line}"));
        writeln!(text, "{line}")?;
    }
    writeln!(
        text,
        "\n{} saved partitions, {} ways: {} went on, with {} `scv` executed behind them, {} were refused; every source went on.",
        count.sources,
        count.went_on + count.refused,
        count.went_on,
        count.scv,
        count.refused
    )?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_inclusion() {
        let source = |set, guest| Source { host: &HOSTS[0], set, mmu: Mmu::Hash, guest };
        let reasons = |s: &Source, host: &str, set: &str| {
            let host = HOSTS.iter().find(|h| h.name == host).unwrap();
            s.verdict(host, set).reasons.into_iter().collect::<Vec<_>>().join(" ")
        };
        let linux = source("0+3", Guest::Linux);
        assert_eq!(reasons(&linux, "jit", "0+3"), "");
        assert_eq!(reasons(&linux, "jit", "0+2+3"), "");
        // As many modes, but not the same.
        assert_eq!(reasons(&linux, "jit", "0+2"), "LPCR[AIL] cap-ail-modes");
        assert_eq!(reasons(&source("0+3", Guest::Program(None)), "jit", "0+2"), "cap-ail-modes");
        assert_eq!(reasons(&source("0", Guest::Linux), "kvm-pr", "0"), "");
        assert_eq!(reasons(&source("0+2", Guest::Program(Some(2))), "kvm-hv", "0+2"), "-machine LPCR[AIL]");
        assert_eq!(reasons(&linux, "kvm-hv-nested", "0+3"), "-machine translation");
        assert_eq!(counts("#0000001\n#000000a\n#00000\nx #0000002\n"), [1, 10]);
        assert!(in_order(&[1, 2, 4], None).is_err() && in_order(&[2, 3], Some(1)).is_err());
    }
}
