//! Makes the one initrd that serves every boot: busybox, an init, and the test scripts.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cpio::Archive;

/// What init and the test scripts call; an applet that is missing is noticed here and not in a guest.
const NEEDED_APPLETS: &[&str] = &[
    "cat",
    "cttyhack",
    "cut",
    "dd",
    "dmesg",
    "find",
    "grep",
    "halt",
    "head",
    "md5sum",
    "mkfifo",
    "mount",
    "nproc",
    "od",
    "poweroff",
    "printf",
    "reboot",
    "sed",
    "seq",
    "setsid",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "taskset",
    "tr",
    "uname",
];

/// The test scripts, by the name that `aileron.test=` takes.
const TESTS: &[(&str, &str)] = &[
    ("all", include_str!("../guest/tests/all")),
    ("boot", include_str!("../guest/tests/boot")),
    ("device-tree", include_str!("../guest/tests/device-tree")),
    ("dmesg-ail", include_str!("../guest/tests/dmesg-ail")),
    ("hotplug", include_str!("../guest/tests/hotplug")),
    ("hwcap", include_str!("../guest/tests/hwcap")),
    ("idle", include_str!("../guest/tests/idle")),
    ("interrupts", include_str!("../guest/tests/interrupts")),
    ("reboot", include_str!("../guest/tests/reboot")),
    ("selftest", include_str!("../guest/tests/selftest")),
    ("smp", include_str!("../guest/tests/smp")),
    ("topology", include_str!("../guest/tests/topology")),
];

/// Writes `initrd.cpio` into `directory` and gives its path; a file that is already right is left alone.
pub fn make(directory: &Path, busybox: &Path) -> Result<PathBuf> {
    let program = fs::read(busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let applets = applets(&program).with_context(|| format!("in {}", busybox.display()))?;
    for needed in NEEDED_APPLETS {
        ensure!(
            applets.iter().any(|applet| applet == needed),
            "busybox at {} has no applet {needed}, which the initrd needs",
            busybox.display()
        );
    }
    let mut archive = Archive::new();
    for path in ["dev", "proc", "sys", "root", "tmp", "bin", "tests"] {
        archive.directory(path);
    }
    for (path, target) in [("sbin", "bin"), ("usr/bin", "../bin"), ("usr/sbin", "../bin")] {
        archive.symlink(path, target);
    }
    // The kernel opens the console before init can mount devtmpfs.
    archive.character_device("dev/console", 0o600, 5, 1);
    archive.character_device("dev/null", 0o666, 1, 3);
    archive.file("bin/busybox", 0o755, &program);
    for applet in applets.iter().filter(|applet| *applet != "busybox") {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    archive.file("init", 0o755, include_bytes!("../guest/init"));
    archive.file("tests/lib.sh", 0o644, include_bytes!("../guest/lib.sh"));
    archive.file("tests/answers", 0o644, answers()?.as_bytes());
    for (name, script) in TESTS {
        archive.file(&format!("tests/{name}"), 0o755, script.as_bytes());
    }
    let bytes = archive.finish();
    let path = directory.join("initrd.cpio");
    if fs::read(&path).is_ok_and(|old| old == bytes) {
        return Ok(path);
    }
    let fresh = directory.join("initrd.cpio.new");
    fs::write(&fresh, &bytes).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The names of the applets, read from the table of NUL-terminated, sorted names inside the program
/// (busybox `libbb/appletlib.c` searches it by bisection), so that no ppc64 code has to run.
fn applets(program: &[u8]) -> Result<Vec<String>> {
    const START: &[u8] = b"[\0[[\0";
    let names = program
        .windows(START.len())
        .enumerate()
        .filter(|(_, window)| *window == START)
        .map(|(at, _)| sorted_names(&program[at..]))
        .max_by_key(Vec::len)
        .context("no table of applets (expected it to start with `[` and `[[`)")?;
    ensure!(names.len() > 50, "the table of applets ends after {} names: {names:?}", names.len());
    Ok(names)
}

/// The names up to where their order or their spelling ends.
fn sorted_names(table: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in table.split(|&byte| byte == 0) {
        let plain = !name.is_empty()
            && name.len() < 32
            && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"[_-.+".contains(byte));
        let name = String::from_utf8_lossy(name).into_owned();
        if !plain || names.last().is_some_and(|last| *last >= name) {
            break;
        }
        names.push(name);
    }
    names
}

/// The right checksums, a line each: worker, data, program, sum. The data are those of `checksum` in
/// `guest/lib.sh`; the host's own tools compute the sums.
fn answers() -> Result<String> {
    let mut lines = String::new();
    for worker in 1..=4usize {
        let sequence: String = (worker..=60000).step_by(3).map(|number| format!("{number}\n")).collect();
        let zeros = vec![0; 64 * 1024 * 8 * worker];
        for (data, bytes) in [("seq", sequence.as_bytes()), ("zero", &zeros[..])] {
            for program in ["sha256sum", "md5sum"] {
                lines.push_str(&format!("{worker} {data} {program} {}\n", host_sum(program, bytes)?));
            }
        }
    }
    Ok(lines)
}

/// What `program` prints for `data` first, such as its checksum.
pub fn host_sum(program: &str, data: &[u8]) -> Result<String> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {program} (Debian package coreutils)"))?;
    child.stdin.take().expect("piped").write_all(data).with_context(|| format!("cannot feed {program}"))?;
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.split_whitespace().next() {
        Some(sum) if output.status.success() => Ok(sum.to_owned()),
        _ => bail!("{program} failed: {}, printed {text:?}", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applets_are_read_up_to_the_end_of_the_sorted_run() {
        let mut program = b"\x7fELF....\0[\0[[\0".to_vec();
        for number in 0..60 {
            program.extend_from_slice(format!("a{number:02}\0").as_bytes());
        }
        program.extend_from_slice(b"zcat\0Usage: a thing\0");
        let names = applets(&program).unwrap();
        assert_eq!(names.len(), 63);
        assert_eq!(names[0], "[");
        assert_eq!(names[62], "zcat");
    }

    #[test]
    fn a_program_without_applets_is_refused() {
        let message = format!("{:#}", applets(b"\x7fELF").unwrap_err());
        assert!(message.contains("no table of applets"), "{message}");
        let message = format!("{:#}", applets(b"\0[\0[[\0ash\0\0").unwrap_err());
        assert!(message.contains("ends after 3 names"), "{message}");
    }

    #[test]
    fn known_checksums() {
        assert_eq!(host_sum("md5sum", b"").unwrap(), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(answers().unwrap().lines().count(), 16);
    }

    #[test]
    fn every_test_script_is_in_the_initrd() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/guest/tests");
        let mut on_disk: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        on_disk.sort();
        assert_eq!(on_disk, TESTS.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }
}
