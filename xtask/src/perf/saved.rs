//! What a run of the suite leaves for the next one to be compared with, as JSON in `target/perf`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::paths;
use crate::perf::rows::{Compare, ROWS, Side, Values};

/// A row that got worse by more than this part of what it was is told.
const TOLERANCE: f64 = 0.10;
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

    /// The newest saved run of the same kind that shares a row with this one. A file that cannot be read is told
    /// and passed over.
    pub fn previous(&self, directory: &Path) -> Option<Self> {
        let mut paths: Vec<PathBuf> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("run-")))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        paths.sort();
        paths.iter().rev().find_map(|path| match read(path) {
            Ok(run) => run.is_comparable(self).then_some(run),
            Err(error) => {
                eprintln!("not compared with {}: {error:#}", path.display());
                None
            }
        })
    }

    fn is_comparable(&self, other: &Self) -> bool {
        let both = |name| [self, other].iter().all(|run| run.values.median(name, Side::Aileron).is_some());
        self.format == other.format
            && self.accel == other.accel
            && self.guest == other.guest
            && self.host == other.host
            && ROWS.iter().any(|row| both(row.name))
    }

    /// What became worse, a line each. QEMU's change tells a busy host from a slower Aileron.
    pub fn worse_than(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for row in ROWS.iter().filter(|row| row.compare != Compare::Shown) {
            let change = |side| {
                let (old, new) = (before.values.median(row.name, side)?, self.values.median(row.name, side)?);
                // Of a scaling more is better, of everything else less.
                let factor = if row.compare == Compare::OwnByNative { old / new } else { new / old };
                Some((old, new, factor - 1.0))
            };
            let Some((old, new, worse)) = change(Side::Aileron) else { continue };
            if worse > TOLERANCE {
                let beside = match change(Side::Qemu) {
                    Some((.., qemu)) => format!("; QEMU's changed by {:+.0}%", qemu * 100.0),
                    None => String::new(),
                };
                let unit = row.unit;
                lines.push(format!("{}: {old:.3} {unit} to {new:.3} {unit}, {:+.0}%{beside}", row.name, worse * 100.0));
            }
        }
        lines
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
        let before = run("2026-01-01 00:00:00", 1.0, 2.0);
        assert!(run("2026-01-02 00:00:00", 1.09, 1.9).worse_than(&before).is_empty());
        assert!(run("2026-01-02 00:00:00", 0.5, 3.0).worse_than(&before).is_empty());
        let lines = run("2026-01-02 00:00:00", 1.5, 1.0).worse_than(&before);
        assert_eq!(lines[0], "fib: 1.000 ns to 1.500 ns, +50%; QEMU's changed by +0%");
        assert!(lines[1].starts_with("two vCPUs: 2.000 x to 1.000 x, +100%"), "{lines:?}");
    }

    #[test]
    fn the_newest_run_of_the_same_kind_is_found() {
        let directory = paths::perf().join(format!("test-{}", std::process::id()));
        let now = run("2026-01-09 00:00:00", 1.0, 1.0);
        assert_eq!(now.previous(&directory), None);
        let old = run("2026-01-01 00:00:00", 1.0, 2.0);
        let newer = run("2026-01-02 10:30:00", 3.0, 2.0);
        let other = Run { accel: "interp".to_owned(), ..run("2026-01-03 00:00:00", 9.0, 9.0) };
        for run in [&newer, &old, &other] {
            run.save(&directory).unwrap();
        }
        fs::write(directory.join("run-2026-01-04-000000.json"), "{\"format\": 1").unwrap();
        assert_eq!(now.previous(&directory), Some(newer));
        fs::remove_dir_all(&directory).unwrap();
    }
}
