//! What a run of the suite leaves for the next one to be compared with, as JSON in `target/perf`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::paths;
use crate::perf::rows::{Compare, ROWS, Side, Values};

/// A row that got worse by more than this is told.
const TOLERANCE_PERCENT: f64 = 10.0;
/// Of the file's layout; other layouts are not compared with.
const FORMAT: u32 = 1;

/// A run of the suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Layout of the file.
    pub format: u32,
    /// When it began, in UTC, as `2026-01-31 12:00:00`.
    pub date: String,
    /// The guest with its kernel's release.
    pub guest: String,
    /// What `--accel` said, or `default`.
    pub accel: String,
    /// The commit that was measured; with `+` where the tree had changes.
    pub commit: String,
    /// QEMU's version.
    pub qemu: String,
    /// The host's processor, and how many of them.
    pub host: String,
    /// Load average of a minute before and after.
    pub load: [f64; 2],
    /// How often everything was measured.
    pub runs: u32,
    /// Every value.
    pub values: Values,
}

impl Run {
    /// Layout of the files that are written now.
    pub const FORMAT: u32 = FORMAT;

    /// Writes the run beside the earlier ones.
    pub fn save(&self, directory: &Path) -> Result<PathBuf> {
        paths::make_directory(directory)?;
        let name: String = self.date.chars().map(|c| if c == ' ' { '-' } else { c }).filter(|c| *c != ':').collect();
        let path = directory.join(format!("run-{name}.json"));
        let text = serde_json::to_string_pretty(self).context("cannot spell the run as JSON")?;
        fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// The saved runs of the same kind, newest first. A file that cannot be read is told and passed over.
    pub fn earlier(&self, directory: &Path) -> Vec<Self> {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-")))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        let runs = paths.iter().rev().filter_map(|path| {
            read(path).map_err(|error| eprintln!("not compared with {}: {error:#}", path.display())).ok()
        });
        runs.filter(|run| run.is_comparable(self)).collect()
    }

    fn is_comparable(&self, other: &Self) -> bool {
        self.format == other.format && self.accel == other.accel && self.guest == other.guest && self.host == other.host
    }

    /// Compares each row with the newest of the earlier runs that has it: the dates of those runs, and a line for
    /// each row that became worse. QEMU's change tells a busy host from a slower Aileron.
    pub fn compared_with(&self, earlier: &[Self]) -> (BTreeSet<String>, Vec<String>) {
        let (mut dates, mut lines) = (BTreeSet::new(), Vec::new());
        for row in ROWS.iter().filter(|row| row.compare != Compare::Shown) {
            let Some(new) = self.values.median(row.name, Side::Aileron) else { continue };
            let with_row = earlier.iter().find_map(|run| Some((run, run.values.median(row.name, Side::Aileron)?)));
            let Some((before, old)) = with_row else { continue };
            dates.insert(format!("{} (commit {})", before.date, before.commit));
            // Of a scaling more is better, of everything else less.
            let worse = |old: f64, new: f64| {
                (if row.compare == Compare::OwnByNative { old / new } else { new / old }) * 100.0 - 100.0
            };
            if worse(old, new) > TOLERANCE_PERCENT {
                let qemu = |run: &Self| run.values.median(row.name, Side::Qemu);
                let beside = match (qemu(before), qemu(self)) {
                    (Some(old), Some(new)) => format!("; QEMU's {:+.0}%", worse(old, new)),
                    _ => String::new(),
                };
                let unit = row.unit;
                let worse = worse(old, new);
                lines.push(format!("{}: {old:.3} {unit} to {new:.3} {unit}, {worse:+.0}%{beside}", row.name));
            }
        }
        (dates, lines)
    }
}

fn read(path: &Path) -> Result<Run> {
    let text = fs::read_to_string(path).context("cannot read it")?;
    serde_json::from_str(&text).context("not what a run writes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::perf::rows::SCALING;

    fn run(date: &str, fib: f64, scaling: f64) -> Run {
        let mut values = Values::default();
        values.add("fib", Side::Aileron, fib);
        values.add("fib", Side::Qemu, 2.0);
        values.add(SCALING, Side::Aileron, scaling);
        Run {
            format: FORMAT,
            date: date.to_owned(),
            guest: "debian-6.12".to_owned(),
            accel: "default".to_owned(),
            commit: "0".to_owned(),
            qemu: "7.2".to_owned(),
            host: "a host".to_owned(),
            load: [0.0, 0.5],
            runs: 1,
            values,
        }
    }

    #[test]
    fn what_became_worse() {
        let before = [run("2026-01-01 00:00:00", 1.0, 2.0)];
        let worse = |fib, scaling| run("2026-01-02 00:00:00", fib, scaling).compared_with(&before).1;
        assert!(worse(1.09, 1.9).is_empty());
        assert!(worse(0.5, 3.0).is_empty());
        let lines = worse(1.5, 1.0);
        assert_eq!(lines[0], "fib: 1.000 ns to 1.500 ns, +50%; QEMU's +0%");
        assert_eq!(lines[1], "two vCPUs: 2.000 x to 1.000 x, +100%");
    }

    #[test]
    fn each_row_has_its_newest_run() {
        let mut boots = run("2026-01-03 00:00:00", 1.0, 1.0);
        boots.values = Values::default();
        boots.values.add(SCALING, Side::Aileron, 1.0);
        let older = run("2026-01-01 00:00:00", 1.0, 8.0);
        let (dates, lines) = run("2026-01-04 00:00:00", 2.0, 1.0).compared_with(&[boots, older]);
        assert_eq!(
            dates.into_iter().collect::<Vec<_>>(),
            ["2026-01-01 00:00:00 (commit 0)", "2026-01-03 00:00:00 (commit 0)"]
        );
        assert_eq!(lines, ["fib: 1.000 ns to 2.000 ns, +100%; QEMU's +0%"]);
    }

    #[test]
    fn runs_of_the_same_kind_are_found() {
        let directory = paths::perf().join(format!("test-{}", std::process::id()));
        let now = run("2026-01-09 00:00:00", 1.0, 1.0);
        assert_eq!(now.earlier(&directory), []);
        let old = run("2026-01-01 00:00:00", 1.0, 2.0);
        let newer = run("2026-01-02 10:30:00", 3.0, 2.0);
        let other = Run { accel: "interp".to_owned(), ..run("2026-01-03 00:00:00", 9.0, 9.0) };
        for run in [&newer, &old, &other] {
            run.save(&directory).unwrap();
        }
        fs::write(directory.join("run-2026-01-04-000000.json"), "{\"format\": 1").unwrap();
        assert_eq!(now.earlier(&directory), [newer, old]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
