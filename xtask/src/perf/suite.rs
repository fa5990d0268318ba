//! The side-by-side suite: the same boots and the same programs on Aileron and QEMU in turn, and on the host.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::ci;
use crate::emulator::{Boot, Emulator, Outcome};
use crate::guests::{self, Fetched};
use crate::paths;
use crate::perf::nice::Niceness;
use crate::perf::programs::{self, Programs};
use crate::perf::restore::Saved;
use crate::perf::results::{self, Sample};
use crate::perf::rows::{
    BOOT_COLD_CPU, BOOT_COLD_WALL, BOOT_MEMORY, BOOT_RETIRED, BOOT_WARM_CPU, BOOT_WARM_WALL, Group, HASH_COLD_CPU,
    HASH_COLD_WALL, RESTORE, ROWS, SCALING, Side, Values,
};
use crate::perf::saved::Run;
use crate::perf::{facts, page_with, plot, report, retired};
use crate::run;

/// The page that `--write` writes into, and its picture.
const PAGE: &str = "docs/performance.md";
const PICTURE: &str = "docs/performance.svg";

/// What the suite is asked to do.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Only rows with this in their name, or a group: boot, hash, integer, floating, system, scaling, restore. May be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How often everything is measured; the table has the medians.
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Write table and picture into docs/performance.md and docs/performance.svg.
    #[arg(long)]
    write: bool,
    /// Passed on to Aileron as -accel.
    #[arg(long, value_name = "NAME")]
    accel: Option<String>,
    /// Measure neither QEMU nor the host.
    #[arg(long, conflicts_with = "write")]
    aileron_only: bool,
    /// The guest; `guest list` names them.
    #[arg(long, default_value = "debian-6.12")]
    guest: String,
    /// Measure with another niceness of process and session, on a host that has other things to do; below 0 needs root.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    nice: Option<i32>,
}

impl Options {
    fn wants(&self, row: &str, group: Group) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == group.name() || row.contains(only.as_str()))
    }

    fn wants_some_of(&self, group: Group) -> bool {
        ROWS.iter().any(|row| row.group == group && self.wants(row.name, group))
    }
}

/// Measures, prints the table, and saves the run.
pub fn run(options: &Options, mirror: Option<&str>) -> Result<()> {
    let rows: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    for only in &options.only {
        ensure!(
            ROWS.iter().any(|row| row.group.name() == only || row.name.contains(only.as_str())),
            "no row has {only:?} in its name; there are the groups boot, hash, integer, floating, system, scaling, restore, and the rows {}",
            rows.join("; ")
        );
    }
    ci::need(programs::TOOLS)?;
    ci::build_aileron()?;
    let programs = Programs::build()?;
    let guest = guests::ready(&options.guest, mirror)?;
    let guest = programs.in_guest(&guest)?;
    let help = run::capture(Command::new(paths::aileron()).arg("--help"))?;
    let mut suite = Suite {
        options,
        programs,
        guest,
        has_code_cache: names_option(&help, "code-cache"),
        has_warm_boots: false,
        values: Values::default(),
        answers: BTreeMap::new(),
        began: Instant::now(),
    };
    // After the builds: all that is started from here inherits it.
    let _niceness = options.nice.map(Niceness::set).transpose()?;
    let (date, load_before) = (facts::date()?, facts::load()?);
    let measured = suite.measure();
    if suite.values.is_empty() {
        return measured.and_then(|()| bail!("nothing was measured"));
    }
    let run = Run {
        format: Run::FORMAT,
        date,
        guest: format!("{} ({})", suite.guest.name, suite.guest.release),
        accel: options.accel.clone().unwrap_or_else(|| "default".to_owned()),
        commit: facts::commit(),
        qemu: facts::qemu_version()?,
        host: facts::host()?,
        load: [load_before, facts::load()?],
        runs: options.runs,
        values: suite.values,
    };
    if measured.is_err() {
        // Worth reading, but not worth keeping.
        println!("\nWhat was measured before it failed:\n\n{}", report::table(&run));
    }
    measured?;
    conclude(&run, options.write)
}

/// Prints, saves, compares.
fn conclude(run: &Run, write: bool) -> Result<()> {
    let table = report::table(run);
    println!("\n{table}");
    let directory = paths::perf();
    let (dates, worse) = run.compared_with(&run.earlier(&directory));
    if dates.is_empty() {
        println!("No earlier run to compare with.");
    } else {
        let dates: Vec<String> = dates.into_iter().collect();
        println!("Compared with {}:", dates.join(", "));
        if worse.is_empty() {
            println!("  nothing became slower by more than 10%");
        }
        worse.iter().for_each(|line| println!("  slower: {line}"));
    }
    let saved = run.save(&directory)?;
    let picture = saved.with_extension("svg");
    write_file(&picture, &plot::svg(run))?;
    println!("saved as {} and {}", saved.display(), picture.display());
    if write {
        page_with(&paths::root().join(PAGE), "performance table", &table)?;
        write_file(&paths::root().join(PICTURE), &plot::svg(run))?;
        println!("written into {PAGE} and {PICTURE}");
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

struct Suite<'a> {
    options: &'a Options,
    programs: Programs,
    guest: Fetched,
    /// Aileron knows the option -code-cache.
    has_code_cache: bool,
    /// And has written such a file.
    has_warm_boots: bool,
    values: Values,
    /// Operations and checksum of each kernel, and where they were seen first.
    answers: BTreeMap<String, (u64, u64, String)>,
    began: Instant,
}

impl Suite<'_> {
    fn measure(&mut self) -> Result<()> {
        let cache = paths::perf().join("code.cache");
        let boots = self.options.wants_some_of(Group::Boot);
        if boots && !self.has_code_cache {
            self.say("no rows of warm boots: this Aileron has no -code-cache");
        }
        if boots && self.has_code_cache {
            self.has_warm_boots = self.fill(&cache)?;
        }
        if boots {
            self.count_under_aileron()?;
        }
        if boots && !self.options.aileron_only {
            self.count_under_qemu();
        }
        let restores = self.options.wants_some_of(Group::Restore);
        let mut saved = Vec::new();
        for emulator in self.emulators(1).into_iter().filter(|_| restores) {
            let mut boot = self.prepared(emulator);
            boot.options.retain(|option| option != "-stats");
            saved.push((emulator, Saved::make(&boot)?));
        }
        for number in 1..=self.options.runs {
            let run = format!("run {number} of {}", self.options.runs);
            for emulator in self.emulators(number) {
                if boots {
                    self.cold_boot(emulator, &run)?;
                }
                if boots && self.has_warm_boots {
                    self.warm_boot(emulator, &run, &cache)?;
                }
                if self.options.wants_some_of(Group::Hash) {
                    self.hash_boot(emulator, &run)?;
                }
                for (_, saved) in saved.iter().filter(|(whose, _)| *whose == emulator) {
                    let ms = saved.restore()?;
                    self.say(&format!("{run}, restore, {emulator:?}: {ms:.1} ms"));
                    self.values.add(RESTORE, side(emulator), ms);
                }
                self.kernels(emulator, &run)?;
                self.scaling(emulator, &run)?;
            }
            if !self.options.aileron_only {
                self.natively(&run)?;
            }
        }
        Ok(())
    }

    /// In turn, and in each run another one first.
    fn emulators(&self, run: u32) -> Vec<Emulator> {
        match (self.options.aileron_only, run % 2) {
            (true, _) => vec![Emulator::Aileron],
            (false, 1) => vec![Emulator::Aileron, Emulator::Qemu],
            (false, _) => vec![Emulator::Qemu, Emulator::Aileron],
        }
    }

    /// Progress, beside the output.
    fn say(&self, what: &str) {
        eprintln!("[{:>6.1} s] {what}", self.began.elapsed().as_secs_f64());
    }

    /// A boot of the guest as it is measured, before what is measured is added.
    fn prepared(&self, emulator: Emulator) -> Boot {
        let mut boot = Boot::of(emulator, &self.guest, "perf");
        boot.append.push("cryptomgr.notests".to_owned());
        if let Some(accel) = self.options.accel.as_ref().filter(|_| emulator == Emulator::Aileron) {
            boot.options.extend(["-accel".to_owned(), accel.clone()]);
        }
        boot
    }

    fn finished(&self, boot: &Boot, what: &str) -> Result<Outcome> {
        let name = format!("perf-{:?}-{what}", boot.emulator).to_lowercase().replace([' ', ','], "-");
        let outcome = boot.run(&name)?;
        let end = outcome.value("end").unwrap_or_else(|_| "nothing".to_owned());
        if outcome.timed_out || !outcome.status.success() || end != "ok" {
            let text = outcome.text();
            let lines: Vec<&str> = text.trim_end().lines().collect();
            let ended =
                if outcome.timed_out { "ended after the timeout".to_owned() } else { outcome.status.to_string() };
            bail!(
                "{what} on {:?} failed and is not measured: expected the guest's end to be \"ok\", found {end:?}; {ended}\n\
                 last lines of the console:\n{}\nlast words of the emulator:\n{}\ncommand: {}",
                boot.emulator,
                lines[lines.len().saturating_sub(12)..].join("\n"),
                outcome.stderr.trim_end(),
                outcome.command
            );
        }
        Ok(outcome)
    }

    /// A boot whose process 1 powers off at once.
    fn boot(&self, emulator: Emulator, what: &str, options: &[String]) -> Result<Outcome> {
        self.boot_with(emulator, what, options, None)
    }

    /// The same, with this on the kernel's command line too.
    fn boot_with(&self, emulator: Emulator, what: &str, options: &[String], word: Option<&str>) -> Result<Outcome> {
        let mut boot = self.prepared(emulator);
        boot.append.push("rdinit=/perf/off".to_owned());
        boot.append.extend(word.map(str::to_owned));
        boot.options.extend_from_slice(options);
        let outcome = self.finished(&boot, what)?;
        let (wall, cpu) = (outcome.spent.wall.as_secs_f64(), outcome.spent.cpu.as_secs_f64());
        self.say(&format!("{what}, {emulator:?}: {wall:.2} s, CPU {cpu:.2} s"));
        Ok(outcome)
    }

    fn cold_boot(&mut self, emulator: Emulator, run: &str) -> Result<()> {
        let side = side(emulator);
        let no_cache = if emulator == Emulator::Aileron { self.without_cache() } else { Vec::new() };
        let outcome = self.boot(emulator, &format!("{run}, boot cold"), &no_cache)?;
        self.values.add(BOOT_COLD_WALL, side, outcome.spent.wall.as_secs_f64());
        self.values.add(BOOT_COLD_CPU, side, outcome.spent.cpu.as_secs_f64());
        self.values.add(BOOT_MEMORY, side, outcome.peak_bytes as f64 / f64::from(1 << 20));
        if emulator == Emulator::Qemu && self.has_warm_boots {
            // QEMU has no cache: its boots are what the warm ones are compared with, too.
            self.values.add(BOOT_WARM_WALL, side, outcome.spent.wall.as_secs_f64());
            self.values.add(BOOT_WARM_CPU, side, outcome.spent.cpu.as_secs_f64());
        }
        Ok(())
    }

    fn hash_boot(&mut self, emulator: Emulator, run: &str) -> Result<()> {
        let no_cache = if emulator == Emulator::Aileron { self.without_cache() } else { Vec::new() };
        let outcome = self.boot_with(emulator, &format!("{run}, boot hash"), &no_cache, Some("disable_radix"))?;
        self.values.add(HASH_COLD_WALL, side(emulator), outcome.spent.wall.as_secs_f64());
        self.values.add(HASH_COLD_CPU, side(emulator), outcome.spent.cpu.as_secs_f64());
        Ok(())
    }

    fn warm_boot(&mut self, emulator: Emulator, run: &str, cache: &Path) -> Result<()> {
        if emulator == Emulator::Aileron {
            let outcome = self.boot(emulator, &format!("{run}, boot warm"), &cache_options(cache))?;
            self.values.add(BOOT_WARM_WALL, Side::Aileron, outcome.spent.wall.as_secs_f64());
            self.values.add(BOOT_WARM_CPU, Side::Aileron, outcome.spent.cpu.as_secs_f64());
        }
        Ok(())
    }

    /// A boot that leaves a translation cache; false where it leaves none, as the interpreter does.
    fn fill(&self, cache: &Path) -> Result<bool> {
        remove_if_there(cache)?;
        self.boot(Emulator::Aileron, "filling the translation cache", &cache_options(cache))?;
        let bytes = fs::metadata(cache).map_or(0, |file| file.len());
        if bytes == 0 {
            self.say(&format!("no rows of warm boots: Aileron left no translation cache in {}", cache.display()));
        } else {
            self.say(&format!("the translation cache has {:.1} MiB", bytes as f64 / f64::from(1 << 20)));
        }
        Ok(bytes > 0)
    }

    /// Every measured run but the warm boots starts without translations of an earlier one.
    fn without_cache(&self) -> Vec<String> {
        if self.has_code_cache { ["-code-cache", "none"].map(str::to_owned).to_vec() } else { Vec::new() }
    }

    /// Aileron counts instructions only where that is asked for, and is slower then: this boot is not timed.
    fn count_under_aileron(&mut self) -> Result<()> {
        let mut options = self.without_cache();
        options.push("-stats".to_owned());
        let counted = retired(&self.boot(Emulator::Aileron, "counting instructions", &options)?)?;
        self.values.add(BOOT_RETIRED, Side::Aileron, counted as f64 / 1e6);
        Ok(())
    }

    /// QEMU does not count instructions by itself, a plugin does. It slows QEMU down, so this boot is not timed.
    fn count_under_qemu(&mut self) {
        let counted = facts::qemu_version().and_then(|version| {
            let plugin = self.programs.counter(facts::plugin_version(&version))?;
            let options = ["-plugin".to_owned(), plugin.display().to_string()];
            retired(&self.boot(Emulator::Qemu, "counting instructions", &options)?)
        });
        match counted {
            Ok(counted) => self.values.add(BOOT_RETIRED, Side::Qemu, counted as f64 / 1e6),
            Err(error) => self.say(&format!("no count of the instructions under QEMU: {error:#}")),
        }
    }

    /// `program:kernel` for each, as the guest's `tests/perf` takes it: each kernel has a process of its own, so that
    /// none inherits another's memory.
    fn wanted_kernels(&self) -> Vec<String> {
        let rows = Group::KERNELS.iter().flat_map(|group| ROWS.iter().filter(move |row| row.group == *group));
        rows.filter(|row| row.unit == "ns" && self.options.wants(row.name, row.group))
            .map(|row| format!("{}:{}", row.group.name(), row.name))
            .collect()
    }

    fn in_guest(&self, emulator: Emulator, cpus: u32, programs: &str, what: &str) -> Result<Vec<Sample>> {
        let mut boot = self.prepared(emulator);
        boot.cpus = cpus;
        boot.timeout = Duration::from_secs(900);
        boot.append.push(format!("aileron.perf={programs}"));
        if emulator == Emulator::Aileron {
            boot.options.extend(self.without_cache());
        }
        let outcome = self.finished(&boot, what)?;
        let (wall, cpu) = (outcome.spent.wall.as_secs_f64(), outcome.spent.cpu.as_secs_f64());
        self.say(&format!("{what}, {emulator:?}: {wall:.1} s, CPU {cpu:.1} s"));
        results::samples(&outcome.text())
    }

    fn kernels(&mut self, emulator: Emulator, run: &str) -> Result<()> {
        let programs = self.wanted_kernels();
        if programs.is_empty() {
            return Ok(());
        }
        let samples = self.in_guest(emulator, 1, &programs.join(","), &format!("{run}, kernels"))?;
        self.take(samples, side(emulator))
    }

    fn scaling(&mut self, emulator: Emulator, run: &str) -> Result<()> {
        if !self.options.wants_some_of(Group::Scaling) {
            return Ok(());
        }
        let samples = self.in_guest(emulator, 2, "scaling:threads", &format!("{run}, two vCPUs"))?;
        self.take_scaling(&samples, side(emulator))
    }

    /// The same programs on the host.
    fn natively(&mut self, run: &str) -> Result<()> {
        let start = Instant::now();
        let output = |suite: &Self, words: &str| {
            let mut words = words.split(':');
            let mut command = Command::new(suite.programs.host(words.next().unwrap_or_default()));
            results::samples(&run::capture(command.args(words))?)
        };
        let mut samples = Vec::new();
        for words in self.wanted_kernels() {
            samples.extend(output(self, &words)?);
        }
        self.take(samples, Side::Native)?;
        if self.options.wants_some_of(Group::Scaling) {
            let samples = output(self, "scaling:processes")?;
            self.take_scaling(&samples, Side::Native)?;
        }
        self.say(&format!("{run}, native: {:.1} s", start.elapsed().as_secs_f64()));
        Ok(())
    }

    fn take(&mut self, samples: Vec<Sample>, side: Side) -> Result<()> {
        let wanted = |name: &str| ROWS.iter().any(|row| row.name == name && self.options.wants(name, row.group));
        let missing: Vec<&str> = ROWS
            .iter()
            .filter(|row| Group::KERNELS.contains(&row.group) && row.unit == "ns" && wanted(row.name))
            .map(|row| row.name)
            // An x86-64 host has no scv.
            .filter(|name| side != Side::Native || *name != "getppid-scv")
            .filter(|name| !samples.iter().any(|sample| sample.name == *name))
            .collect();
        ensure!(missing.is_empty(), "{side:?} printed no line of {}", missing.join(", "));
        for sample in &samples {
            ensure!(wanted(&sample.name), "{side:?} printed a line of {:?}, which is no row", sample.name);
            self.check(sample, side)?;
            self.values.add(&sample.name, side, sample.ns());
        }
        Ok(())
    }

    fn take_scaling(&mut self, samples: &[Sample], side: Side) -> Result<()> {
        let [alone, both] = samples else {
            bail!("{side:?} printed {} lines, expected compute-alone and compute-both", samples.len())
        };
        self.check(alone, side)?;
        self.check(both, side)?;
        self.values.add(SCALING, side, results::scaling(alone, both)?);
        Ok(())
    }

    /// A wrong result is no measurement.
    fn check(&mut self, sample: &Sample, side: Side) -> Result<()> {
        let first = self.answers.entry(sample.name.clone()).or_insert((
            sample.operations,
            sample.checksum,
            format!("{side:?}"),
        ));
        ensure!(
            (first.0, first.1) == (sample.operations, sample.checksum),
            "{} gives {:016x} over {} operations on {side:?}, but {:016x} over {} on {}",
            sample.name,
            sample.checksum,
            sample.operations,
            first.1,
            first.0,
            first.2
        );
        Ok(())
    }
}

fn side(emulator: Emulator) -> Side {
    match emulator {
        Emulator::Aileron => Side::Aileron,
        Emulator::Qemu => Side::Qemu,
    }
}

fn cache_options(cache: &Path) -> Vec<String> {
    vec!["-code-cache".to_owned(), cache.display().to_string()]
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Whether a help text has a line for an option, with one dash or two.
fn names_option(help: &str, option: &str) -> bool {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    lines.flat_map(|line| line.split([' ', ',', '[', '='])).any(|word| word.trim_start_matches('-') == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_in_a_help_text() {
        let help = "  -accel name\n        how\n  -code-cache file\n  -machine, -M pseries[,x]\n  --stats\n";
        for option in ["code-cache", "machine", "M", "accel", "stats"] {
            assert!(names_option(help, option), "{option}");
        }
        assert!(!names_option("  -code-cache-mib n", "code-cache") && !names_option("see -code-cache", "code-cache"));
        assert!(!names_option(help, "code") && !names_option(help, "how"));
    }

    #[test]
    fn rows_are_picked_by_name_and_by_group() {
        let mut options = Options {
            only: Vec::new(),
            runs: 1,
            write: false,
            accel: None,
            aileron_only: false,
            guest: String::new(),
            nice: None,
        };
        assert!(options.wants("fib", Group::Integer) && options.wants_some_of(Group::Boot));
        options.only = vec!["crc32".to_owned(), "boot".to_owned()];
        assert!(options.wants("crc32-bits", Group::Integer) && !options.wants("fib", Group::Integer));
        assert!(options.wants_some_of(Group::Boot) && !options.wants_some_of(Group::System));
    }
}
