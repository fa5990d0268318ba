//! A load on all processors of a guest, for as long as asked for, with each translation and each interrupt controller:
//! `guest-programs/load.c` knows every answer, and counts what is wrong and what never came.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::checks::{Mmu, ended_well, expect, options};
use crate::ci;
use crate::cpio::Archive;
use crate::emulator::{Boot, Emulator, Outcome};
use crate::guests::{self, Fetched};
use crate::paths;
use crate::perf::programs::{self, FLAGS, read};
use crate::tally::Tally;

/// Longer than the load, for boot and end on a busy host.
const SPARE: Duration = Duration::from_secs(240);

/// One translation with one controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// How the guest translates.
    pub mmu: Mmu,
    /// `ic-mode`.
    pub controller: &'static str,
}

/// Each with each.
pub const ROWS: [Row; 4] = [
    Row { mmu: Mmu::Radix, controller: "xive" },
    Row { mmu: Mmu::Hash, controller: "xive" },
    Row { mmu: Mmu::Radix, controller: "xics" },
    Row { mmu: Mmu::Hash, controller: "xics" },
];

/// How `cargo xtask load` is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Minutes of each row.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// The guest; `guest list` names them.
    #[arg(long, default_value = "debian-6.12")]
    guest: String,
    /// Processors.
    #[arg(long, default_value_t = 4)]
    cpus: u32,
    /// Only rows with this in their name: mmu-controller.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// All rows at once, on processors that the guests then fight for.
    #[arg(long)]
    at_once: bool,
}

/// Runs the rows.
pub fn run(o: &Options, mirror: Option<&str>) -> Result<()> {
    ensure!((1..=1440).contains(&o.minutes), "--minutes {}: expected 1 to 1440", o.minutes);
    ensure!((1..=64).contains(&o.cpus), "--cpus {}: expected 1 to 64", o.cpus);
    ci::build_aileron()?;
    let guest = guests::ready(&o.guest, mirror)?;
    let rows: Vec<Row> =
        ROWS.into_iter().filter(|row| o.only.as_ref().is_none_or(|only| row.name().contains(only.as_str()))).collect();
    ensure!(!rows.is_empty(), "no row has {:?} in its name; there are: {}", o.only, ROWS.map(|r| r.name()).join(", "));
    let mut tally = Tally::new();
    let one = |row: &Row| row.run(&guest, o.cpus, 60 * o.minutes);
    if o.at_once {
        // The initrd is made once, not by each.
        with_load(&guest)?;
        let facts: Vec<Result<String>> = thread::scope(|scope| {
            let running: Vec<_> = rows.iter().map(|row| scope.spawn(|| one(row))).collect();
            running.into_iter().map(|t| t.join().expect("a row does not panic")).collect()
        });
        for (row, fact) in rows.iter().zip(facts) {
            tally.check(&row.name(), || fact);
        }
    } else {
        for row in &rows {
            tally.check(&row.name(), || one(row));
        }
    }
    tally.finish()
}

impl Row {
    /// `radix-xive` and so on.
    pub fn name(&self) -> String {
        format!("{:?}-{}", self.mmu, self.controller).to_lowercase()
    }

    /// Boots the guest, has it under load for so many seconds, and hears that nothing was wrong or lost.
    pub fn run(&self, guest: &Fetched, cpus: u32, seconds: u64) -> Result<String> {
        let guest = with_load(guest)?;
        let mut boot = Boot { cpus, ..Boot::of(Emulator::Aileron, &guest, "load,boot") };
        boot.execution = options(["-accel", "jit", "-code-cache", "none"]);
        boot.machine.push(format!("ic-mode={}", self.controller));
        boot.append.push(format!("aileron.load={seconds}"));
        if self.mmu == Mmu::Hash {
            boot.append.push("disable_radix".to_owned());
        }
        boot.timeout = Duration::from_secs(seconds) + SPARE;
        let outcome = boot.run(&format!("load-{}", self.name()))?;
        self.judge(&outcome, cpus)
    }

    fn judge(&self, outcome: &Outcome, cpus: u32) -> Result<String> {
        ended_well(outcome)?;
        expect(outcome, "mmu", &format!("{:?}", self.mmu))?;
        expect(outcome, "cpus", &cpus.to_string())?;
        for count in ["load-wrong", "load-lost", "complaints"] {
            expect(outcome, count, "0")?;
        }
        let mut done = Vec::new();
        for count in ["faults", "children", "signals", "sleeps"] {
            let number: u64 = outcome.value(&format!("load-{count}"))?.parse().context("a count of the load")?;
            ensure!(number > 0, "the load did no {count}; command: {}", outcome.command);
            done.push(format!("{number} {count}"));
        }
        Ok(format!("{}, {:.0} s", done.join(", "), outcome.spent.wall.as_secs_f64()))
    }
}

/// The guest with the load in its initrd.
fn with_load(guest: &Fetched) -> Result<Fetched> {
    ci::need(programs::GUEST_TOOLS)?;
    let directory = paths::checks();
    paths::make_directory(&directory)?;
    let program = directory.join("load");
    let initrd = directory.join("load.cpio");
    if !program.exists() || !initrd.exists() || is_older(&initrd, &[&guest.initrd, &programs::source("load")])? {
        programs::compile(programs::GUEST_COMPILER, programs::GUEST_TOOLS, FLAGS, "load", &program)?;
        let mut archive = Archive::new();
        archive.directory("load");
        archive.file("tests/load", 0o755, include_bytes!("../guest/load"));
        archive.file("load/load", 0o755, &read(&program)?);
        let mut bytes = read(&guest.initrd)?;
        bytes.extend(archive.finish());
        fs::write(&initrd, bytes).with_context(|| format!("cannot write {}", initrd.display()))?;
    }
    Ok(Fetched { initrd, ..guest.clone() })
}

fn is_older(made: &std::path::Path, from: &[&std::path::Path]) -> Result<bool> {
    let time = |path: &std::path::Path| {
        fs::metadata(path).and_then(|m| m.modified()).with_context(|| format!("cannot look at {}", path.display()))
    };
    let made = time(made)?;
    from.iter().try_fold(false, |older, path| Ok(older || time(path)? > made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own() {
        assert_eq!(ROWS.map(|row| row.name()), ["radix-xive", "hash-xive", "radix-xics", "hash-xics"]);
    }
}
