//! Debian's programs with known answers in a stock guest: `cargo xtask boot --selftest`. The user space is that of Debian
//! packages, unpacked behind the initrd's busybox; `guest/selftest/` has the programs' questions and answers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::checks::{ended_well, options};
use crate::ci;
use crate::cpio::Archive;
use crate::emulator::{Boot, Emulator, Outcome};
use crate::guests::{self, Fetched, Fetcher};
use crate::paths;
use crate::perf::programs::read;
use crate::run;
use crate::tally::Tally;

/// The suite that the user space is from.
const SUITE: &str = "trixie";
/// What the selftest runs; apt adds what these need.
const PACKAGES: &[&str] = &[
    "openssl",
    "python3",
    "libpython3.13-testsuite",
    "gzip",
    "xz-utils",
    "zstd",
    "sqlite3",
    "perl",
    "mawk",
    "gawk",
    "bc",
    "python3-numpy",
    "libopenblas0-serial",
    "python3-pytest",
];
/// Parts of the packages that no program of these reads; the guest would have them in its RAM.
const LEFT_OUT: &[&str] =
    &["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo"];
/// A directory that is left out wherever it is.
const LEFT_OUT_ANYWHERE: &[&str] = &["gconv", "__pycache__"];

/// The programs, each a script of `guest/selftest/`.
const PROGRAMS: &[(&str, &str)] = &[
    ("openssl", include_str!("../guest/selftest/openssl")),
    ("python", include_str!("../guest/selftest/python")),
    ("compress", include_str!("../guest/selftest/compress")),
    ("sqlite", include_str!("../guest/selftest/sqlite")),
    ("perl", include_str!("../guest/selftest/perl")),
    ("awk", include_str!("../guest/selftest/awk")),
    ("numpy", include_str!("../guest/selftest/numpy")),
];

/// How the selftest is run.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Run Debian's programs with known answers in the guest, and say which of them were right.
    #[arg(long)]
    pub selftest: bool,
    /// Run them on QEMU too, and compare every line that they print.
    #[arg(long, requires = "selftest")]
    compare: bool,
    /// Only these programs, with commas: openssl, python, compress, sqlite, perl, awk, numpy.
    #[arg(long, requires = "selftest", value_delimiter = ',', value_name = "NAMES")]
    only: Vec<String>,
    /// Only these of Python's tests, with commas.
    #[arg(long, requires = "selftest", value_name = "NAMES")]
    python: Option<String>,
    /// The processor.
    #[arg(long, requires = "selftest", default_value = "power9", value_parser = ["power8", "power9", "power10"])]
    cpu: String,
    /// Minutes after which a guest is ended.
    #[arg(long, requires = "selftest", default_value_t = 60)]
    minutes: u64,
}

/// Runs the programs under each way of execution, `accel` or the JIT and the interpreter.
pub fn run(o: &Options, guest: &str, accel: Option<&str>, mirror: Option<&str>) -> Result<()> {
    let names: Vec<&str> = PROGRAMS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = o.only.iter().find(|only| !names.contains(&only.as_str())) {
        bail!("--only {unknown}: there is no such program; there are {}", names.join(", "));
    }
    ci::build_aileron()?;
    let guest = with_programs(&guests::ready(guest, mirror)?, mirror)?;
    let wanted: Vec<&str> =
        names.into_iter().filter(|name| o.only.is_empty() || o.only.iter().any(|only| only == name)).collect();
    let mut tally = Tally::new();
    let mut reference = None;
    if o.compare {
        reference = o.boot(Emulator::Qemu, &guest, "qemu", &wanted, &mut tally)?;
    }
    for way in accel.map_or(vec!["jit", "interp"], |accel| vec![accel]) {
        let Some(outcome) = o.boot(Emulator::Aileron, &guest, way, &wanted, &mut tally)? else { continue };
        if o.compare {
            for program in &wanted {
                tally.check(&format!("{way} as QEMU: {program}"), || {
                    let qemu = reference.as_ref().context("QEMU did not end well")?;
                    same(&found(qemu, program), &found(&outcome, program))
                });
            }
        }
    }
    tally.finish()
}

impl Options {
    /// Boots the guest and has each program's verdict counted; nothing if the guest did not come to its end.
    fn boot(
        &self,
        emulator: Emulator,
        guest: &Fetched,
        way: &str,
        wanted: &[&str],
        tally: &mut Tally,
    ) -> Result<Option<Outcome>> {
        let cpu = ["power8", "power9", "power10"].into_iter().find(|cpu| *cpu == self.cpu).expect("clap checked it");
        let mut boot = Boot { cpu, memory: "2G", ..Boot::of(emulator, guest, "selftest") };
        boot.append.push(format!("aileron.selftest={}", wanted.join(",")));
        boot.append.extend(self.python.as_ref().map(|names| format!("aileron.selftest-python={names}")));
        boot.execution = options(["-accel", way, "-code-cache", "none"]);
        boot.timeout = Duration::from_secs(60 * self.minutes);
        let outcome = boot.run(&format!("selftest-{way}"))?;
        let whole = tally.check(&format!("{way}: the guest"), || {
            ended_well(&outcome)?;
            Ok(format!("{:.0} s", outcome.spent.wall.as_secs_f64()))
        });
        for program in wanted {
            tally.check(&format!("{way}: {program}"), || judge(&outcome, program));
        }
        Ok(whole.then_some(outcome))
    }
}

/// What the guest says of a program; what the program had to complain of is on the console.
fn judge(outcome: &Outcome, program: &str) -> Result<String> {
    let verdict = outcome.value(&format!("selftest-{program}"))?;
    let found = found(outcome, program);
    ensure!(verdict == "ok", "{verdict}; {}", complaints(&outcome.text(), program));
    let answers = found.last().and_then(|last| last.strip_prefix("answers ")).context("it said no count of answers")?;
    let answers: u32 = answers.parse().context("the count of answers")?;
    ensure!(answers > 0, "it compared nothing");
    Ok(format!("{answers} answers, {} s", outcome.value(&format!("selftest-{program}-seconds"))?))
}

/// The lines that a program printed.
fn found(outcome: &Outcome, program: &str) -> Vec<String> {
    let start = format!("AILERON-FOUND {program}: ");
    outcome.text().lines().filter_map(|line| Some(line.strip_prefix(start.as_str())?.to_owned())).collect()
}

/// What stands on the console between what a program found and the verdict.
fn complaints(console: &str, program: &str) -> String {
    let found = format!("AILERON-FOUND {program}: ");
    let verdict = format!("AILERON-TEST selftest-{program}-seconds: ");
    let lines: Vec<&str> = console.lines().collect();
    let from = lines.iter().rposition(|line| line.starts_with(&found)).map_or(0, |at| at + 1);
    let to = lines.iter().rposition(|line| line.starts_with(&verdict)).unwrap_or(lines.len());
    lines.get(from..to).unwrap_or_default().join("\n")
}

/// Whether two emulators' programs printed the same.
fn same(expected: &[String], found: &[String]) -> Result<String> {
    ensure!(!expected.is_empty(), "QEMU's program printed nothing");
    for (at, line) in expected.iter().enumerate() {
        let here = found.get(at).map_or("nothing", String::as_str);
        ensure!(here == line, "line {}: QEMU has {line:?}, this has {here:?}", at + 1);
    }
    ensure!(found.len() == expected.len(), "{} lines, and {} on QEMU", found.len(), expected.len());
    Ok(format!("{} lines", found.len()))
}

/// The guest with user space and programs behind its initrd.
fn with_programs(guest: &Fetched, mirror: Option<&str>) -> Result<Fetched> {
    let mut bytes = read(&guest.initrd)?;
    bytes.extend(read(&userland(mirror)?)?);
    let mut archive = Archive::new();
    archive.file("selftest/lib.sh", 0o644, include_bytes!("../guest/selftest/lib.sh"));
    for (name, script) in PROGRAMS {
        archive.file(&format!("selftest/{name}"), 0o755, script.as_bytes());
    }
    bytes.extend(archive.finish());
    paths::make_directory(&paths::checks())?;
    let initrd = paths::checks().join("selftest.cpio");
    fs::write(&initrd, bytes).with_context(|| format!("cannot write {}", initrd.display()))?;
    Ok(Fetched { initrd, ..guest.clone() })
}

/// An archive with what the packages have, fetched if it is not there or is of other packages.
fn userland(mirror: Option<&str>) -> Result<PathBuf> {
    let directory = paths::guests().join("selftest");
    let _lock = guests::lock(&directory)?;
    let (path, list) = (directory.join("userland.cpio"), directory.join("packages"));
    let wanted = PACKAGES.join(" ");
    if path.exists() && fs::read_to_string(&list).is_ok_and(|list| list.lines().next() == Some(wanted.as_str())) {
        return Ok(path);
    }
    let shared = guests::lock(&paths::guests())?;
    let apt = Fetcher::new(mirror).suite(SUITE)?;
    let debs = guests::with_spinner("selftest: downloading packages", || {
        apt.download_with_dependencies(PACKAGES, &directory.join("debs"))
    })?;
    drop(shared);
    let root = directory.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    for deb in &debs {
        run::capture(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&root))?;
    }
    let mut archive = Archive::new();
    archive.symlink("lib", "usr/lib");
    archive.symlink("lib64", "usr/lib64");
    pack(&mut archive, &root, "")?;
    let bytes = archive.finish();
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    let names: Vec<String> =
        debs.iter().filter_map(|deb| Some(deb.file_name()?.to_string_lossy().into_owned())).collect();
    guests::write(&list, &format!("{wanted}\n{}\n", names.join("\n")))?;
    fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))?;
    Ok(path)
}

/// Where a path of a package is in the guest, whose `/usr/bin`, `/sbin` and `/usr/sbin` are links to `/bin`.
fn place(path: &str) -> String {
    for old in ["usr/bin", "usr/sbin", "sbin"] {
        if let Some(rest) = path.strip_prefix(old).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            return format!("bin{rest}");
        }
    }
    path.to_owned()
}

/// Adds what is below a directory of the unpacked packages, in order of names.
fn pack(archive: &mut Archive, root: &Path, below: &str) -> Result<()> {
    let directory = root.join(below);
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut names: Vec<String> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<_>>()?;
    names.sort();
    for name in names {
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        if LEFT_OUT.contains(&path.as_str()) || LEFT_OUT_ANYWHERE.contains(&name.as_str()) {
            continue;
        }
        let file = root.join(&path);
        let data = fs::symlink_metadata(&file).with_context(|| format!("cannot look at {}", file.display()))?;
        let place = place(&path);
        if data.is_dir() {
            archive.directory(&place);
            pack(archive, root, &path)?;
        } else if data.is_symlink() {
            let target = fs::read_link(&file).with_context(|| format!("cannot read {}", file.display()))?;
            archive.symlink(&place, &target.to_string_lossy());
        } else {
            archive.file(&place, data.permissions().mode() & 0o777, &read(&file)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn every_program_is_a_script() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/guest/selftest");
        let on_disk = fs::read_dir(directory).unwrap().count();
        assert_eq!(on_disk, PROGRAMS.len() + 1, "lib.sh, and a script for each program");
        for (name, script) in PROGRAMS {
            assert!(script.starts_with("#!/bin/sh\n") && script.ends_with("finish\n"), "{name}");
        }
    }

    #[test]
    fn a_difference_is_found_wherever_it_is() {
        assert!(same(&lines("a 1\nb 2"), &lines("a 1\nb 2")).is_ok());
        let message = same(&lines("a 1\nb 2"), &lines("a 1\nb 3")).unwrap_err().to_string();
        assert!(message.contains("line 2") && message.contains("b 3"), "{message}");
        assert!(same(&lines("a 1"), &lines("a 1\nb 2")).is_err());
        assert!(same(&lines("a 1\nb 2"), &lines("a 1")).is_err());
        assert!(same(&[], &[]).is_err());
    }

    #[test]
    fn what_went_wrong_stands_between_the_lines_found_and_the_verdict() {
        let console = "AILERON-FOUND awk: x 1\nAILERON-FOUND awk: answers 1\nx: expected 2, found 1\n\
                       AILERON-TEST selftest-awk-seconds: 1\nAILERON-TEST selftest-awk: failed, status 1\n";
        assert_eq!(complaints(console, "awk"), "x: expected 2, found 1");
        assert_eq!(complaints("", "awk"), "");
    }

    #[test]
    fn programs_come_where_the_path_leads() {
        assert_eq!(place("usr/bin/openssl"), "bin/openssl");
        assert_eq!(place("usr/sbin"), "bin");
        assert_eq!(place("usr/binfmt"), "usr/binfmt");
        assert_eq!(place("usr/lib/ssl"), "usr/lib/ssl");
    }
}
