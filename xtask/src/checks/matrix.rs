//! The boot matrix: processors, translations, interrupt controllers, ways of entry, numbers of CPUs and kernels. Each row
//! boots translated and interpreted, and gives the kernel and programs what QEMU gives them with the same command line.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Mmu, Plan, VOF, ended_well, expect, hexadecimal, is_guest_with, options, spent};
use crate::emulator::{Boot, Emulator, Outcome, smp};
use crate::guests::Fetched;
use crate::paths;
use crate::perf::page_with;
use crate::run;
use crate::tally::Tally;

/// One line of the matrix.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    cpu: &'static str,
    mmu: Mmu,
    /// `ic-mode`.
    interrupts: &'static str,
    /// Entered with a client interface, and not directly.
    vof: bool,
    cpus: u32,
    /// Of a core.
    threads: u32,
    guest: &'static str,
    /// Booted translated in every run of the checks.
    pub daily: bool,
}

const fn row(
    cpu: &'static str,
    mmu: Mmu,
    interrupts: &'static str,
    vof: bool,
    cpus: u32,
    guest: &'static str,
    daily: bool,
) -> Row {
    Row { cpu, mmu, interrupts, vof, cpus, threads: 1, guest, daily }
}

impl Row {
    const fn with_threads(self, threads: u32) -> Self {
        Row { threads, ..self }
    }
}

const DIRECT: bool = false;
const NEGOTIATED: bool = true;
const DAILY: bool = true;
const RARELY: bool = false;

use Mmu::{Hash, Radix};

/// The matrix: every value of every column with most of the values of every other one.
pub const ROWS: [Row; 32] = [
    row("power8", Hash, "dual", DIRECT, 1, "debian-6.1", RARELY),
    row("power8", Hash, "xics", NEGOTIATED, 2, "debian-6.12", DAILY),
    row("power8", Hash, "dual", NEGOTIATED, 4, "debian-6.12-64k", RARELY),
    row("power8", Hash, "xics", DIRECT, 4, "debian-sid", RARELY),
    row("power8", Hash, "dual", DIRECT, 2, "debian-6.12", RARELY),
    row("power8", Hash, "dual", NEGOTIATED, 1, "debian-sid", RARELY),
    row("power9", Radix, "dual", DIRECT, 1, "debian-6.12", RARELY),
    row("power9", Radix, "xics", DIRECT, 2, "debian-6.1", DAILY),
    row("power9", Radix, "xive", NEGOTIATED, 4, "debian-6.12", RARELY),
    row("power9", Radix, "dual", NEGOTIATED, 2, "debian-6.12-64k", RARELY),
    row("power9", Radix, "xive", DIRECT, 4, "debian-sid", RARELY),
    row("power9", Radix, "xics", NEGOTIATED, 1, "debian-sid", RARELY),
    row("power9", Radix, "dual", DIRECT, 4, "debian-6.1", RARELY),
    row("power9", Hash, "dual", DIRECT, 1, "debian-6.12", RARELY),
    row("power9", Hash, "xics", NEGOTIATED, 2, "debian-6.12", RARELY),
    row("power9", Hash, "xive", DIRECT, 4, "debian-6.12", DAILY),
    row("power9", Hash, "dual", NEGOTIATED, 4, "debian-6.1", RARELY),
    row("power9", Hash, "xics", DIRECT, 2, "debian-6.12-64k", RARELY),
    row("power9", Hash, "xive", NEGOTIATED, 1, "debian-sid", RARELY),
    row("power10", Radix, "dual", NEGOTIATED, 1, "debian-6.12", RARELY),
    row("power10", Radix, "xive", DIRECT, 2, "debian-6.12-64k", DAILY),
    row("power10", Radix, "xics", DIRECT, 4, "debian-6.12", RARELY),
    row("power10", Radix, "dual", DIRECT, 2, "debian-sid", RARELY),
    row("power10", Radix, "xive", NEGOTIATED, 4, "debian-6.1", DAILY),
    row("power10", Hash, "dual", DIRECT, 2, "debian-6.1", RARELY),
    row("power10", Hash, "xics", NEGOTIATED, 4, "debian-6.12", RARELY),
    row("power10", Hash, "xive", DIRECT, 1, "debian-6.12-64k", RARELY),
    row("power10", Hash, "dual", NEGOTIATED, 2, "debian-sid", DAILY),
    row("power8", Hash, "dual", DIRECT, 4, "debian-6.12", RARELY).with_threads(4),
    row("power9", Radix, "dual", DIRECT, 4, "debian-6.12-64k", RARELY).with_threads(4),
    row("power9", Hash, "xics", NEGOTIATED, 4, "debian-sid", RARELY).with_threads(4),
    row("power10", Radix, "xive", DIRECT, 4, "debian-6.1", RARELY).with_threads(4),
];

/// What a guest says of its machine, and QEMU's has to say too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Answers {
    /// The kernel's feature bits of translation, from its log.
    mmu_features: u64,
    /// AT_HWCAP.
    hwcap: u64,
    /// AT_HWCAP2.
    hwcap2: u64,
    /// `/sys/devices/system/cpu/online`.
    online: String,
    /// Whether it uses XIVE.
    xive: bool,
}

/// QEMU's answers, and what they are the answers to.
#[derive(Debug, Serialize, Deserialize)]
struct Recorded {
    qemu: String,
    command: String,
    kernel: String,
    answers: Answers,
}

impl Row {
    /// Its name as a check.
    pub fn name(&self) -> String {
        let Row { cpu, interrupts, guest, .. } = self;
        let mmu = format!("{:?}", self.mmu).to_lowercase();
        let vof = if self.vof { "-vof" } else { "" };
        format!("matrix-{cpu}-{mmu}-{interrupts}{vof}-{}-{guest}", self.smp().replace(",threads=", "x"))
    }

    fn smp(&self) -> String {
        smp(self.cpus, self.threads)
    }

    /// The line for QEMU, whose machine has a client interface always.
    fn boot(&self, emulator: Emulator, guest: &Fetched) -> Boot {
        let Row { cpu, cpus, .. } = *self;
        // QEMU has had threads of a core since version 10 only; nothing that is compared depends on them.
        let threads = if emulator == Emulator::Qemu { 1 } else { self.threads };
        let mut boot = Boot { cpu, cpus, threads, ..Boot::of(emulator, guest, "boot,hwcap") };
        boot.machine.push(format!("ic-mode={}", self.interrupts));
        boot.append.push("cryptomgr.notests".to_owned());
        // A POWER8 has nothing else.
        if self.mmu == Hash && self.cpu != "power8" {
            boot.append.push("disable_radix".to_owned());
        }
        boot
    }

    /// On Aileron with these options.
    fn ours(&self, guest: &Fetched, execution: Vec<String>) -> Boot {
        let mut boot = Boot { execution, ..self.boot(Emulator::Aileron, guest) };
        boot.machine.extend(self.vof.then(|| VOF.to_owned()));
        boot
    }

    fn online(&self) -> String {
        if self.cpus == 1 { "0".to_owned() } else { format!("0-{}", self.cpus - 1) }
    }

    /// QEMU's answers to this row: as it gave them once, or asked now.
    fn reference(&self, guest: &Fetched) -> Result<Answers> {
        let boot = self.boot(Emulator::Qemu, guest);
        let version = run::capture(std::process::Command::new(Emulator::Qemu.program()).arg("--version"))?;
        let now = (version.lines().next().unwrap_or_default(), run::spelled(&boot.command()), &guest.release);
        let path = paths::matrix().join(format!("{}.json", self.name()));
        if let Some(found) = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Recorded>(&bytes).ok())
            && (found.qemu.as_str(), &found.command, &found.kernel) == (now.0, &now.1, now.2)
        {
            return Ok(found.answers);
        }
        let outcome = boot.run(&format!("{}-qemu", self.name()))?;
        ended_well(&outcome).context("under QEMU")?;
        let answers = answers(&outcome).context("under QEMU")?;
        let recorded =
            Recorded { qemu: now.0.to_owned(), command: now.1, kernel: now.2.clone(), answers: answers.clone() };
        paths::make_directory(&paths::matrix())?;
        let text = serde_json::to_string_pretty(&recorded).context("cannot spell the answers as JSON")?;
        fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(answers)
    }

    /// Boots, and compares.
    fn compare(&self, guest: &Fetched, how: &str, execution: Vec<String>, reference: &Answers) -> Result<Outcome> {
        let outcome = self.ours(guest, execution).run(&format!("{}-{how}", self.name()))?;
        ended_well(&outcome)?;
        is_guest_with(&outcome, guest, self.cpu, self.mmu)?;
        expect(&outcome, "online", &self.online())?;
        let found = answers(&outcome)?;
        ensure!(
            found == *reference,
            "{how}: QEMU's guest says {reference:x?}, this one {found:x?}; command: {}",
            outcome.command
        );
        Ok(outcome)
    }

    /// Translated, against QEMU: what is done every day.
    pub fn translated(&self, plan: &Plan) -> Result<String> {
        let guest = plan.guest(self.guest)?;
        let reference = self.reference(&guest)?;
        let outcome = self.compare(&guest, "translated", translated(), &reference)?;
        Ok(format!("{}, {}", told(&reference), spent(&outcome)))
    }

    /// Translated and interpreted; gives what all of them say.
    fn both(&self, plan: &Plan) -> Result<(Answers, String)> {
        let guest = plan.guest(self.guest)?;
        let reference = self.reference(&guest)?;
        let first = self.compare(&guest, "translated", translated(), &reference)?;
        let second = self.compare(&guest, "interpreted", options(["-accel", "interp"]), &reference)?;
        let fact = format!("{}, {}, interpreted {}", told(&reference), spent(&first), spent(&second));
        Ok((reference, fact))
    }
}

fn translated() -> Vec<String> {
    options(["-accel", "jit", "-code-cache", "none"])
}

fn told(answers: &Answers) -> String {
    let Answers { mmu_features, hwcap, hwcap2, .. } = answers;
    format!("mmu_features {mmu_features:#010x}, AT_HWCAP {hwcap:#010x}, AT_HWCAP2 {hwcap2:#010x}")
}

fn answers(outcome: &Outcome) -> Result<Answers> {
    let text = outcome.text();
    Ok(Answers {
        mmu_features: logged(&text, "mmu_features")?,
        hwcap: hexadecimal(outcome, "hwcap")?,
        hwcap2: hexadecimal(outcome, "hwcap2")?,
        online: outcome.value("online")?,
        xive: text.contains("xive: Interrupt handling initialized"),
    })
}

/// The number of a line `name = 0x...` of the kernel's log.
fn logged(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| {
        let (before, value) = line.split_once(" = 0x")?;
        before.trim_end().ends_with(name).then_some(value.trim())
    });
    let value = value.with_context(|| format!("the kernel logged no `{name} = 0x...`"))?;
    u64::from_str_radix(value, 16).with_context(|| format!("the kernel's {name} is no number: {value:?}"))
}

/// All rows whose name contains what the plan says; a failed one does not stop the others. The table is printed, and
/// written into `page` if every row was done.
pub fn run_all(plan: &Plan, tally: &mut Tally, page: Option<&Path>) -> Result<()> {
    let rows: Vec<&Row> =
        ROWS.iter().filter(|row| plan.only.as_ref().is_none_or(|only| row.name().contains(only.as_str()))).collect();
    ensure!(!rows.is_empty(), "no row has {:?} in its name", plan.only.as_deref().unwrap_or_default());
    let mut table = String::from(
        "| `-cpu` | translation | `ic-mode` | `x-vof` | `-smp` | guest | `mmu_features` | AT_HWCAP | AT_HWCAP2 | interrupts | \
         as QEMU |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let mut failed = 0;
    for row in &rows {
        let mut found = None;
        tally.check(&row.name(), || {
            let (answers, fact) = row.both(plan)?;
            found = Some(answers);
            Ok(fact)
        });
        failed += u32::from(found.is_none());
        table.push_str(&line(row, found.as_ref()));
    }
    println!("\n{table}");
    let Some(page) = page else { return Ok(()) };
    ensure!(rows.len() == ROWS.len() && failed == 0, "not written into {}: not all rows are right", page.display());
    page_with(page, "boot matrix", &table)?;
    println!("written into {}", page.display());
    Ok(())
}

fn line(row: &Row, found: Option<&Answers>) -> String {
    let vof = if row.vof { "on" } else { "off" };
    let said = match found {
        Some(Answers { mmu_features, hwcap, hwcap2, xive, .. }) => {
            let controller = if *xive { "XIVE" } else { "XICS" };
            format!("`{mmu_features:#010x}` | `{hwcap:#010x}` | `{hwcap2:#010x}` | {controller} | yes")
        }
        None => "- | - | - | - | FAILED".to_owned(),
    };
    let Row { cpu, mmu, interrupts, guest, .. } = row;
    format!("| {cpu} | {mmu:?} | {interrupts} | {vof} | {} | {guest} | {said} |\n", row.smp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The columns' values, and that no two rows are the same.
    #[test]
    fn every_value_is_in_the_matrix() {
        let distinct = |value: fn(&Row) -> String| ROWS.iter().map(value).collect::<BTreeSet<_>>();
        assert_eq!(distinct(Row::name).len(), ROWS.len());
        assert_eq!(distinct(|row| row.cpu.to_owned()).len(), 3);
        assert_eq!(distinct(|row| row.interrupts.to_owned()).len(), 3);
        assert_eq!(distinct(|row| row.guest.to_owned()).len(), crate::guests::GUESTS.len());
        assert_eq!(distinct(|row| format!("{:?} {}", row.mmu, row.vof)).len(), 4);
        assert_eq!(distinct(|row| format!("{:?} {}", row.mmu, row.smp())).len(), 8);
        assert!(ROWS.iter().filter(|row| row.daily).count() >= 6);
        assert!(ROWS.iter().all(|row| row.cpu != "power8" || row.mmu == Hash && row.interrupts != "xive"));
    }

    #[test]
    fn numbers_in_the_log() {
        let log = "[    0.000000] mmu_features      = 0xbc006e41\n[ 0.0] firmware_features = 0x00000a9fc45bfc57\n";
        assert_eq!(logged(log, "mmu_features").unwrap(), 0xbc00_6e41);
        assert_eq!(logged(log, "firmware_features").unwrap(), 0xa9f_c45b_fc57);
        assert!(logged(log, "cpu_features").is_err());
        assert!(logged("mmu_features = 0xzz", "mmu_features").is_err());
    }
}
