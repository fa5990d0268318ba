//! The big-endian guest: a kernel built from Debian's source package with the configuration `guest/big-endian.config`, and
//! one static program as its whole user space, built for 64 and for 32 bits (`guest-programs/big-endian.c`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result, ensure};

use crate::checks::{HWCAP2_SCV, Mmu, ended_well, expect, hexadecimal, options};
use crate::ci;
use crate::cpio::Archive;
use crate::emulator::{Boot, Emulator, Outcome};
use crate::guests::{self, Fetched, Fetcher};
use crate::paths;
use crate::perf::programs::{self, FLAGS, HOST_COMPILER, read};
use crate::run;
use crate::tally::Tally;

/// The suite whose kernel is built, and the package that depends on its newest source.
const SUITE: &str = "trixie";
const SOURCE: &str = "linux-source";
/// The kernel's configuration, beyond what `allnoconfig` gives.
const CONFIGURATION: &str = include_str!("../guest/big-endian.config");
/// Size of the kernel's pages.
const PAGE_BYTES: u64 = 0x1000;
const PREFIX: &str = "powerpc64-linux-gnu-";
const COMPILER_64: &str = "powerpc64-linux-gnu-gcc";
const COMPILER_32: &str = "powerpc-linux-gnu-gcc";
/// Programs, and the packages that they come from.
const TOOLS: &[(&str, &str)] = &[
    (COMPILER_64, "gcc-powerpc64-linux-gnu libc6-dev-ppc64-cross"),
    (COMPILER_32, "gcc-powerpc-linux-gnu libc6-dev-powerpc-cross"),
    (HOST_COMPILER, "gcc libc6-dev"),
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("bc", "bc"),
    ("xz", "xz-utils"),
    ("qemu-system-ppc64", "qemu-system-ppc"),
];

fn directory() -> PathBuf {
    paths::guests().join("big-endian")
}

/// Builds what is not there, and boots it.
pub fn run(only: Option<&str>, build_only: bool, mirror: Option<&str>) -> Result<()> {
    ci::need(TOOLS)?;
    let guest = guest(mirror)?;
    println!("kernel {}: {}", guest.release, guest.kernel.display());
    if build_only {
        return Ok(());
    }
    ci::build_aileron()?;
    let rows: Vec<Row> = rows().into_iter().filter(|row| only.is_none_or(|only| row.name().contains(only))).collect();
    ensure!(!rows.is_empty(), "no boot has {:?} in its name", only.unwrap_or_default());
    let mut tally = Tally::new();
    let mut expected: Vec<((&str, Mmu), Outcome)> = Vec::new();
    let mut table = String::new();
    for row in &rows {
        let kind = (row.cpu, row.mmu);
        if !expected.iter().any(|(known, _)| *known == kind) {
            tally.check(&format!("qemu-{}-{:?}", row.cpu, row.mmu), || {
                let outcome =
                    row.boot(Emulator::Qemu, &guest).run(&format!("big-endian-qemu-{}-{:?}", row.cpu, row.mmu))?;
                ended_well(&outcome)?;
                expected.push((kind, outcome));
                Ok(String::new())
            });
        }
        tally.check(&row.name(), || {
            let outcome = row.boot(Emulator::Aileron, &guest).run(&format!("big-endian-{}", row.name()))?;
            row.judge(&guest, &outcome)?;
            let (_, qemu) = expected.iter().find(|(known, _)| *known == kind).context("QEMU did not boot it")?;
            row.same_as(&outcome, qemu)?;
            table += &format!(
                "| {} | {:?} | {} | {} | {} | {} | {} | {:.1} |\n",
                row.cpu,
                row.mmu,
                row.cpus,
                row.accelerator,
                row.machine.unwrap_or_default(),
                outcome.value("hwcap")?,
                outcome.value("hwcap2")?,
                outcome.spent.wall.as_secs_f64()
            );
            Ok(format!("{:.1} s", outcome.spent.wall.as_secs_f64()))
        });
    }
    println!(
        "\n| CPU | MMU | vCPUs | `-accel` | machine | AT_HWCAP | AT_HWCAP2 | wall s |\n|---|---|---:|---|---|---|---|---:|\n{table}"
    );
    tally.finish()
}

/// One boot.
#[derive(Debug, Clone, Copy)]
struct Row {
    cpu: &'static str,
    mmu: Mmu,
    cpus: u32,
    accelerator: &'static str,
    /// An option of `-M`.
    machine: Option<&'static str>,
}

/// Every processor and translation with both engines and both at once, and on one of them what differs otherwise.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let kinds = [
        ("power8", Mmu::Hash),
        ("power9", Mmu::Radix),
        ("power9", Mmu::Hash),
        ("power10", Mmu::Radix),
        ("power10", Mmu::Hash),
    ];
    for (cpu, mmu) in kinds {
        for (cpus, accelerator) in [(1, "jit"), (2, "jit"), (1, "interp"), (2, "interp"), (1, "lockstep")] {
            rows.push(Row { cpu, mmu, cpus, accelerator, machine: None });
        }
    }
    for machine in ["cap-ail-modes=0+3", "cap-ail-modes=0", "ic-mode=xics", "x-vof=on"] {
        rows.push(Row { cpu: "power9", mmu: Mmu::Radix, cpus: 2, accelerator: "jit", machine: Some(machine) });
    }
    rows
}

impl Row {
    fn name(&self) -> String {
        let machine = self.machine.map_or(String::new(), |machine| format!("-{machine}"));
        format!("{}-{:?}-{}-{}{machine}", self.cpu, self.mmu, self.cpus, self.accelerator).to_lowercase()
    }

    fn boot(&self, emulator: Emulator, guest: &Fetched) -> Boot {
        let mut boot = Boot { cpu: self.cpu, cpus: self.cpus, ..Boot::of(emulator, guest, "") };
        boot.append.clear();
        if self.mmu == Mmu::Hash {
            boot.append.push("disable_radix".to_owned());
        }
        boot.execution = options(["-accel", self.accelerator, "-code-cache", "none"]);
        if emulator == Emulator::Aileron {
            boot.machine.extend(self.machine.map(str::to_owned));
        }
        boot
    }

    /// Whether Linux can have `scv`: QEMU has every mode of AIL.
    fn lacks_scv(&self) -> bool {
        self.machine == Some("cap-ail-modes=0")
    }

    /// What the guest says of itself, and whether everything in it computes what the host computes.
    fn judge(&self, guest: &Fetched, outcome: &Outcome) -> Result<()> {
        ended_well(outcome)?;
        let cpus = self.cpus;
        let scv = hexadecimal(outcome, "hwcap2")? & HWCAP2_SCV != 0;
        for (name, wanted) in [
            ("kernel", guest.release.as_str()),
            ("machine", "ppc64"),
            ("order", "big"),
            ("mmu", &format!("{:?}", self.mmu)),
            ("page-size", &format!("{:#x}", guest.page_bytes)),
            ("cpus", &cpus.to_string()),
            ("scv", if scv { "right" } else { "none" }),
            ("64-bit", "right"),
            ("32-bit", "right"),
            ("everywhere", &format!("{cpus} of {cpus}")),
            ("cycled", &(cpus - 1).to_string()),
            ("complaints", "0"),
        ] {
            expect(outcome, name, wanted)?;
        }
        Ok(())
    }

    /// The facilities that QEMU's guest has on the same line.
    fn same_as(&self, outcome: &Outcome, qemu: &Outcome) -> Result<()> {
        for name in ["cpu", "platform", "base-platform", "hwcap"] {
            expect(outcome, name, &qemu.value(name)?)?;
        }
        let wanted = hexadecimal(qemu, "hwcap2")?;
        let wanted = if self.lacks_scv() { wanted & !HWCAP2_SCV } else { wanted };
        let found = hexadecimal(outcome, "hwcap2")?;
        ensure!(found == wanted, "hwcap2 is {found:#x}, and {wanted:#x} on QEMU; {}", outcome.command);
        Ok(())
    }
}

/// The kernel, built if it is not there or was built with another configuration, and a fresh initrd.
fn guest(mirror: Option<&str>) -> Result<Fetched> {
    let directory = directory();
    let _lock = guests::lock(&directory)?;
    let (kernel, release) = (directory.join("vmlinux"), directory.join("release"));
    let built = directory.join("built.config");
    if !kernel.exists() || !fs::read_to_string(&built).is_ok_and(|old| old == CONFIGURATION) {
        build_kernel(&directory, mirror)?;
        guests::write(&built, CONFIGURATION)?;
    }
    let release = String::from_utf8(read(&release)?)?.trim().to_owned();
    let initrd = initrd(&directory)?;
    Ok(Fetched { name: "big-endian".to_owned(), release, page_bytes: PAGE_BYTES, kernel, initrd })
}

fn build_kernel(directory: &Path, mirror: Option<&str>) -> Result<()> {
    let lock = guests::lock(&paths::guests())?;
    let apt = Fetcher::new(mirror).suite(SUITE)?;
    let names = apt.depends(SOURCE)?;
    let package = names.iter().find(|name| name.starts_with("linux-source-")).context("linux-source has no source")?;
    let deb = guests::with_spinner(&format!("downloading {package}"), || {
        apt.download(package, &paths::guests().join("debs"))
    })?;
    drop(lock);
    let work = guests::unpack(&deb, "./usr/src/*", &directory.join("unpacked"))?;
    let archive = work.join("usr/src").join(format!("{package}.tar.xz"));
    guests::with_spinner(&format!("unpacking {package}"), || {
        run::capture(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(&work))
    })?;
    let (source, out) = (work.join(package), work.join("out"));
    paths::make_directory(&out)?;
    let fragment = work.join("fragment");
    guests::write(&fragment, CONFIGURATION)?;
    let make = || {
        let mut command = Command::new("make");
        command.args(["-s", "ARCH=powerpc"]).arg(format!("CROSS_COMPILE={PREFIX}"));
        command.arg("-C").arg(&source).arg(format!("O={}", out.display()));
        command
    };
    run::capture(make().arg("allnoconfig").env("KCONFIG_ALLCONFIG", &fragment))?;
    let configured = String::from_utf8(read(&out.join(".config"))?)?;
    let missing: Vec<&str> =
        CONFIGURATION.lines().filter(|wanted| !configured.lines().any(|line| line == *wanted)).collect();
    ensure!(missing.is_empty(), "the configuration of {package} did not take {}", missing.join(", "));
    let jobs = available_parallelism().map_or(1, usize::from);
    guests::with_spinner(&format!("building {package} (with {jobs} jobs; minutes of CPU time)"), || {
        run::capture(make().arg(format!("-j{jobs}")).arg("vmlinux"))
    })?;
    let release = String::from_utf8(read(&out.join("include/config/kernel.release"))?)?;
    guests::move_file(&out.join("vmlinux"), &directory.join("vmlinux"))?;
    guests::write(&directory.join("release"), &release)?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

/// The programs and the answers that the host's build of the same source computes.
fn initrd(directory: &Path) -> Result<PathBuf> {
    let mut archive = Archive::new();
    for path in ["dev", "proc", "sys"] {
        archive.directory(path);
    }
    // The kernel opens the console before init can mount anything.
    archive.character_device("dev/console", 0o600, 5, 1);
    for (compiler, names) in [(COMPILER_64, &["init", "check-64"][..]), (COMPILER_32, &["check-32"])] {
        let program = directory.join(names[names.len() - 1]);
        let flags: Vec<&str> = FLAGS.iter().copied().chain(["-s"]).collect();
        programs::compile(compiler, TOOLS, &flags, "big-endian", &program)?;
        for name in names {
            archive.file(name, 0o755, &read(&program)?);
        }
    }
    let program = directory.join("host");
    programs::compile(HOST_COMPILER, TOOLS, FLAGS, "big-endian", &program)?;
    let answers = run::capture(Command::new(&program).arg("compute"))?;
    archive.file("answers", 0o644, answers.as_bytes());
    let path = directory.join("initrd.cpio");
    fs::write(&path, archive.finish()).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_configuration_sets_something() {
        for line in CONFIGURATION.lines() {
            assert!(line.starts_with("CONFIG_") && line.contains('='), "{line}");
        }
    }

    #[test]
    fn boots_have_names_of_their_own() {
        let mut names: Vec<String> = rows().iter().map(Row::name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), count), (29, 29));
    }
}
