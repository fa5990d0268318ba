//! The rows of the table: what is measured, what it is compared with, and which ratio is wanted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::perf::results::{geometric_mean, median};

/// Who was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// This project.
    Aileron,
    /// `qemu-system-ppc64`.
    Qemu,
    /// The same programs, built for the host and run on it.
    Native,
}

/// What belongs together, and is picked together by `--only`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Boots to init.
    Boot,
    /// The same with hash translation.
    Hash,
    /// `integer.c`.
    Integer,
    /// `floating.c`.
    Floating,
    /// `system.c`.
    System,
    /// `scaling.c`.
    Scaling,
    /// From a saved guest to its first instruction.
    Restore,
}

impl Group {
    /// Those whose rows are kernels of a program.
    pub const KERNELS: [Group; 3] = [Group::Integer, Group::Floating, Group::System];

    /// What `--only` takes; the programs have the same names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Hash => "hash",
            Self::Integer => "integer",
            Self::Floating => "floating",
            Self::System => "system",
            Self::Scaling => "scaling",
            Self::Restore => "restore",
        }
    }
}

/// How a row is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// QEMU's value by Aileron's: above 1, Aileron is better.
    QemuByOwn,
    /// Aileron's value by the host's.
    OwnByNative,
    /// A fact without a ratio.
    Shown,
    /// The geometric mean of the ratios of a group.
    Mean(Group),
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Its name: for kernels the one that the program prints.
    pub name: &'static str,
    /// Unit of its values.
    pub unit: &'static str,
    /// The group.
    pub group: Group,
    /// The ratio.
    pub compare: Compare,
    /// Ratios: at least, and the aim.
    pub wanted: Option<(f64, Option<f64>)>,
}

const fn kernel(name: &'static str, group: Group, wanted: Option<(f64, Option<f64>)>) -> Row {
    Row { name, unit: "ns", group, compare: Compare::QemuByOwn, wanted }
}

const fn hash(name: &'static str, wanted: Option<(f64, Option<f64>)>) -> Row {
    Row { name, unit: "s", group: Group::Hash, compare: Compare::QemuByOwn, wanted }
}

const fn boot(name: &'static str, unit: &'static str, compare: Compare, wanted: Option<(f64, Option<f64>)>) -> Row {
    Row { name, unit, group: Group::Boot, compare, wanted }
}

/// Names of the rows that the suite fills itself.
pub const BOOT_COLD_WALL: &str = "boot cold, wall";
/// CPU time of the same.
pub const BOOT_COLD_CPU: &str = "boot cold, CPU";
/// With the translation cache of an earlier run.
pub const BOOT_WARM_WALL: &str = "boot warm, wall";
/// CPU time of the same.
pub const BOOT_WARM_CPU: &str = "boot warm, CPU";
/// Peak of the emulator's resident memory.
pub const BOOT_MEMORY: &str = "boot cold, memory";
/// Instructions that the guest retired.
pub const BOOT_RETIRED: &str = "boot cold, retired";
/// With hash translation, without a translation cache.
pub const HASH_COLD_WALL: &str = "boot hash cold, wall";
/// CPU time of the same.
pub const HASH_COLD_CPU: &str = "boot hash cold, CPU";
/// Two loops at once.
pub const SCALING: &str = "two vCPUs";

/// From a saved guest to its first instruction.
pub const RESTORE: &str = "restore";

/// Every row, in the table's order.
pub const ROWS: &[Row] = &[
    boot(BOOT_COLD_WALL, "s", Compare::QemuByOwn, Some((2.0, Some(3.0)))),
    boot(BOOT_COLD_CPU, "s", Compare::QemuByOwn, None),
    boot(BOOT_WARM_WALL, "s", Compare::QemuByOwn, Some((4.0, Some(8.0)))),
    boot(BOOT_WARM_CPU, "s", Compare::QemuByOwn, None),
    boot(BOOT_RETIRED, "M", Compare::Shown, None),
    boot(BOOT_MEMORY, "MiB", Compare::QemuByOwn, Some((1.0, None))),
    hash(HASH_COLD_WALL, Some((2.0, Some(3.0)))),
    hash(HASH_COLD_CPU, None),
    kernel("sieve", Group::Integer, None),
    kernel("crc32-bits", Group::Integer, None),
    kernel("crc32-table", Group::Integer, None),
    kernel("qsort", Group::Integer, None),
    kernel("pointer-chase", Group::Integer, None),
    kernel("fib", Group::Integer, None),
    kernel("indirect-calls", Group::Integer, None),
    kernel("memcpy", Group::Integer, None),
    kernel("state-machine", Group::Integer, None),
    Row {
        name: "integer, geomean",
        unit: "",
        group: Group::Integer,
        compare: Compare::Mean(Group::Integer),
        wanted: Some((2.0, Some(2.5))),
    },
    kernel("nbody", Group::Floating, None),
    kernel("matmul", Group::Floating, None),
    kernel("saxpy", Group::Floating, None),
    kernel("saxpy-vectors", Group::Floating, None),
    kernel("mandelbrot", Group::Floating, None),
    kernel("exact", Group::Floating, None),
    Row {
        name: "floating, geomean",
        unit: "",
        group: Group::Floating,
        compare: Compare::Mean(Group::Floating),
        wanted: None,
    },
    kernel("getppid-sc", Group::System, None),
    kernel("getppid-scv", Group::System, Some((3.0, Some(5.0)))),
    kernel("pipe-ping-pong", Group::System, Some((5.0, Some(10.0)))),
    kernel("page-faults", Group::System, Some((2.0, Some(4.0)))),
    kernel("tlb-misses", Group::System, None),
    kernel("fork-exit", Group::System, Some((2.0, Some(4.0)))),
    kernel("mprotect", Group::System, None),
    kernel("atomics", Group::System, None),
    Row {
        name: SCALING,
        unit: "x",
        group: Group::Scaling,
        compare: Compare::OwnByNative,
        wanted: Some((0.9, Some(0.97))),
    },
    Row { name: RESTORE, unit: "ms", group: Group::Restore, compare: Compare::QemuByOwn, wanted: None },
];

/// Measured values, one a run, by row and side.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Values(BTreeMap<String, BTreeMap<Side, Vec<f64>>>);

impl Values {
    /// One more value.
    pub fn add(&mut self, row: &str, side: Side, value: f64) {
        self.0.entry(row.to_owned()).or_default().entry(side).or_default().push(value);
    }

    /// The median of what was measured.
    pub fn median(&self, row: &str, side: Side) -> Option<f64> {
        median(self.0.get(row)?.get(&side)?)
    }

    /// Nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The row's ratio, where both of its sides were measured.
    pub fn ratio(&self, row: &Row) -> Option<f64> {
        let own = self.median(row.name, Side::Aileron);
        match row.compare {
            Compare::QemuByOwn => Some(self.median(row.name, Side::Qemu)? / own?),
            Compare::OwnByNative => Some(own? / self.median(row.name, Side::Native)?),
            Compare::Shown => None,
            Compare::Mean(group) => {
                let ratios: Vec<f64> = members(group).filter_map(|member| self.ratio(member)).collect();
                geometric_mean(&ratios)
            }
        }
    }

    /// How much longer an emulator takes than the host itself.
    pub fn slowdown(&self, row: &Row, side: Side) -> Option<f64> {
        match row.compare {
            Compare::QemuByOwn => Some(self.median(row.name, side)? / self.median(row.name, Side::Native)?),
            Compare::Mean(group) => {
                let ratios: Vec<f64> = members(group).filter_map(|member| self.slowdown(member, side)).collect();
                geometric_mean(&ratios)
            }
            Compare::OwnByNative | Compare::Shown => None,
        }
    }
}

fn members(group: Group) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.group == group && row.compare == Compare::QemuByOwn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> &'static Row {
        ROWS.iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn every_kernel_of_the_sources_has_a_row() {
        let sources = [
            (Group::Integer, include_str!("../../guest-programs/integer.c")),
            (Group::Floating, include_str!("../../guest-programs/floating.c")),
            (Group::System, include_str!("../../guest-programs/system.c")),
        ];
        for (group, source) in sources {
            let table = source.split_once("kernels[] = {").unwrap().1.split_once("};").unwrap().0;
            let in_source: Vec<&str> =
                table.lines().filter_map(|line| Some(line.trim().strip_prefix("{\"")?.split_once('"')?.0)).collect();
            let in_table: Vec<&str> = members(group).map(|row| row.name).collect();
            assert_eq!(in_source, in_table);
        }
    }

    #[test]
    fn ratios_of_medians() {
        let mut values = Values::default();
        for (own, qemu) in [(1.0, 2.0), (100.0, 4.0), (2.0, 6.0)] {
            values.add("fib", Side::Aileron, own);
            values.add("fib", Side::Qemu, qemu);
        }
        assert_eq!(values.ratio(row("fib")), Some(2.0));
        assert_eq!(values.slowdown(row("fib"), Side::Aileron), None);
        values.add("fib", Side::Native, 0.5);
        assert_eq!(values.slowdown(row("fib"), Side::Aileron), Some(4.0));
        // A kernel that was measured on one side only does not count.
        values.add("sieve", Side::Qemu, 1.0);
        assert!((values.ratio(row("integer, geomean")).unwrap() - 2.0).abs() < 1e-12);
        values.add("sieve", Side::Aileron, 2.0);
        assert!((values.ratio(row("integer, geomean")).unwrap() - 1.0).abs() < 1e-12);
        assert_eq!(values.ratio(row(BOOT_RETIRED)), None);
    }

    #[test]
    fn scaling_is_compared_with_the_host() {
        let mut values = Values::default();
        values.add(SCALING, Side::Aileron, 1.8);
        values.add(SCALING, Side::Qemu, 1.0);
        assert_eq!(values.ratio(row(SCALING)), None);
        values.add(SCALING, Side::Native, 2.0);
        assert_eq!(values.ratio(row(SCALING)), Some(0.9));
    }
}
