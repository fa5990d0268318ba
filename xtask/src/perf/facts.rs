//! What a measurement was made on.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::emulator::Emulator;
use crate::paths;
use crate::run;

/// Version of the plugin interface: 1 up to QEMU 8, and what later ones still take.
pub fn plugin_version(qemu: &str) -> u32 {
    let major = qemu.split_whitespace().find_map(|word| word.split_once('.')?.0.parse::<u32>().ok());
    if major.is_some_and(|major| major < 9) { 1 } else { 2 }
}

/// QEMU's name and version.
pub fn qemu_version() -> Result<String> {
    let text = run::capture(Command::new(Emulator::Qemu.program()).arg("--version"))?;
    Ok(text.lines().next().unwrap_or_default().replace("QEMU emulator version", "QEMU"))
}

/// Now, in UTC, as `2026-01-31 12:00:00`.
pub fn date() -> Result<String> {
    Ok(run::capture(Command::new("date").args(["-u", "+%Y-%m-%d %H:%M:%S"]))?.trim().to_owned())
}

/// What is checked out, where git is there to tell.
pub fn commit() -> String {
    let git = |words: &[&str]| run::capture(Command::new("git").args(words).current_dir(paths::root()));
    let Ok(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown".to_owned() };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_ok_and(|text| !text.is_empty());
    format!("{}{}", commit.trim(), if changed { "+" } else { "" })
}

/// The host's processor, and how many of them.
pub fn host() -> Result<String> {
    let text = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let values = |key: &str| -> Vec<&str> {
        text.lines().filter_map(|line| Some(line.strip_prefix(key)?.split_once(':')?.1.trim())).collect()
    };
    let models = values("model name");
    Ok(format!("{}, {} CPUs", models.first().copied().unwrap_or("unknown processor"), models.len()))
}

/// Load average of the last minute.
pub fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    let first = text.split(' ').next().unwrap_or_default();
    first.parse().with_context(|| format!("/proc/loadavg begins with {first:?}, expected a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_plugin_interface() {
        assert_eq!(plugin_version("QEMU 7.2.22 (Debian 1:7.2+dfsg-7)"), 1);
        assert_eq!(plugin_version("QEMU 10.0.2"), 2);
    }
}
