//! Everything a person runs: `cargo xtask guest|boot|test|matrix|big-endian|fuzz|load|coverage|diff|ail|migrations|ci|perf`.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, anyhow};
use clap::{Parser, Subcommand};

mod apt;
mod big_endian;
mod checks;
mod ci;
mod coverage;
mod cpio;
mod device_tree;
mod diff;
mod direct;
mod emulator;
mod fuzz;
mod guests;
mod initrd;
mod live;
mod load;
mod migrate;
mod paths;
mod perf;
mod run;
mod selftest;
mod sources;
mod tally;

use checks::Plan;
use emulator::Emulator;

/// Guest images, boots, tests and measurements of Aileron.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    /// Debian mirror to use instead of the one in the machine's apt sources.
    #[arg(long, global = true, value_name = "URI")]
    mirror: Option<String>,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Stock Debian kernels and the initrd.
    #[command(subcommand)]
    Guest(GuestTask),
    /// Boots a guest to a shell on this terminal (Ctrl-A x ends it), or has it test itself.
    Boot {
        /// The guest; `guest list` names them.
        #[arg(long, default_value = "debian-6.12")]
        guest: String,
        /// Passed on as -accel.
        #[arg(long)]
        accel: Option<String>,
        /// The emulator.
        #[arg(long, value_enum, default_value_t = Emulator::Aileron)]
        emulator: Emulator,
        #[command(flatten)]
        selftest: selftest::Options,
        /// Options for the emulator; they replace the defaults. What -append says is added to the console's name.
        #[arg(last = true)]
        options: Vec<String>,
    },
    /// Formatting, lints, tests, and the boot checks.
    Test {
        /// The emulator under test; with qemu only the checks that it can do.
        #[arg(long, value_enum, default_value_t = Emulator::Aileron)]
        emulator: Emulator,
        /// Leave formatting, lints and unit tests out.
        #[arg(long)]
        boots_only: bool,
        /// Only the boot checks with this in their name.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Also what takes too long for CI: 2 and 4 vCPUs, and lockstep, with every kernel.
        #[arg(long)]
        thorough: bool,
    },
    /// Builds a big-endian guest, a kernel from Debian's source and programs of 64 and 32 bits, and boots it: both engines
    /// and both at once, every processor, radix and hash, compared with QEMU.
    BigEndian {
        /// Only the boots with this in their name.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Build, and boot nothing.
        #[arg(long, conflicts_with = "only")]
        build_only: bool,
    },
    /// Has guests under load, with each translation and each interrupt controller: right answers, nothing lost.
    Load(load::Options),
    /// Moves a guest under load from one process to another, over TCP; with --kills cuts the connection, or kills the
    /// destination, at random moments, and looks that never two copies run.
    Migrate(migrate::Options),
    /// What the instruction table has: rows, those with semantics, and those that were compared with QEMU's user mode, by
    /// chapter and facility. Makes the comparison first.
    Coverage,
    /// Boots every row of the matrix of processors, translations, interrupt controllers, CPUs and kernels, translated and
    /// interpreted, and compares what the guests say with QEMU's.
    Matrix {
        /// Only the rows with this in their name.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Write the table into this page, between its markers.
        #[arg(long, value_name = "PAGE", num_args = 0..=1, default_missing_value = "docs/boot.md")]
        write: Option<PathBuf>,
    },
    /// The fuzz targets.
    #[command(subcommand)]
    Fuzz(FuzzTask),
    /// Compares instructions by the million with QEMU's user mode: each row of the table on random operands, and random
    /// streams with loads, stores and branches, of which a difference is made as short as it can be.
    Diff(diff::Options),
    /// What CI runs: installs the tools, then does everything; prints the time of each step.
    Ci,
    /// Boots on every host to imitate with every set of AIL modes, and prints what comes of it.
    Ail {
        /// Write docs/ail.md's tables.
        #[arg(long)]
        write: bool,
    },
    /// Saves partitions on every host to imitate, with every set of AIL modes and every mode in use, and takes each to every
    /// host and set: goes on there, or is refused for the reasons that the rules give.
    Migrations {
        /// Only the sources with this in their name.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Write docs/snapshots.md's table.
        #[arg(long, conflicts_with = "only")]
        write: bool,
    },
    /// Measures Aileron beside QEMU and the host: boots, integer and system kernels, two vCPUs.
    #[command(args_conflicts_with_subcommands = true)]
    Perf {
        #[command(flatten)]
        suite: perf::suite::Options,
        #[command(subcommand)]
        task: Option<PerfTask>,
    },
}

#[derive(Debug, Subcommand)]
enum GuestTask {
    /// Fetches guests (all when none is named) through a private apt; what is there stays.
    Fetch {
        /// Names as `guest list` prints them.
        names: Vec<String>,
        /// All of them, which is also what no name means.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Look for newer versions of what is there.
        #[arg(long)]
        refresh: bool,
    },
    /// Shows every guest and what is there of it.
    List,
}

#[derive(Debug, Subcommand)]
enum FuzzTask {
    /// Names the targets.
    List,
    /// Runs a target (cargo-fuzz, with a nightly toolchain).
    Run {
        /// The target.
        name: String,
        /// For how long.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// Makes a failing input smaller, or a corpus.
    Min {
        /// The target.
        name: String,
        /// The input that fails; without it the corpus is made smaller.
        input: Option<PathBuf>,
    },
    /// Says how many edges corpus and seeds of a target reach.
    Cover {
        /// The target.
        name: String,
    },
    /// Builds the targets as OSS-Fuzz would, without a container, and starts each.
    OssFuzzCheck,
}

#[derive(Debug, Subcommand)]
enum PerfTask {
    /// Boots guests on Aileron and QEMU and prints a table.
    Boot {
        /// Guests; all when none is named.
        names: Vec<String>,
        /// Only this CPU model instead of POWER9 and POWER10.
        #[arg(long, value_parser = ["power9", "power10"])]
        cpu: Option<String>,
        /// Write the table into this page, between its markers.
        #[arg(long, value_name = "PAGE", num_args = 0..=1, default_missing_value = "docs/boot.md")]
        write: Option<PathBuf>,
        /// Measure only QEMU.
        #[arg(long)]
        qemu_only: bool,
    },
}

fn main() -> ExitCode {
    match run_task() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_task() -> Result<()> {
    let Arguments { mirror, task } = Arguments::parse();
    let mirror_uri = mirror.as_deref();
    match task {
        Task::Guest(GuestTask::List) => guests::list(),
        Task::Guest(GuestTask::Fetch { names, all: _, refresh }) => guests::fetch(&names, refresh, mirror_uri),
        Task::Boot { guest, accel, emulator: _, selftest, options: _ } if selftest.selftest => {
            selftest::run(&selftest, &guest, accel.as_deref(), mirror_uri)
        }
        Task::Boot { guest, accel, emulator, selftest: _, options } => {
            boot(&guest, accel.as_deref(), emulator, &options, mirror_uri)
        }
        Task::Test { emulator, boots_only, only, thorough } => {
            ci::test(&Plan { emulator, only, thorough, mirror }, boots_only)
        }
        Task::BigEndian { only, build_only } => big_endian::run(only.as_deref(), build_only, mirror_uri),
        Task::Load(options) => load::run(&options, mirror_uri),
        Task::Migrate(options) => migrate::run(&options, mirror_uri),
        Task::Coverage => coverage::run(),
        Task::Matrix { only, write } => {
            let page = write.map(|page| paths::root().join(page));
            ci::matrix(&Plan { emulator: Emulator::Aileron, only, thorough: false, mirror }, page.as_deref())
        }
        Task::Fuzz(FuzzTask::List) => fuzz::list(),
        Task::Fuzz(FuzzTask::Run { name, seconds }) => fuzz::run(&name, seconds),
        Task::Fuzz(FuzzTask::Min { name, input }) => fuzz::min(&name, input.as_deref()),
        Task::Fuzz(FuzzTask::Cover { name }) => fuzz::cover(&name),
        Task::Fuzz(FuzzTask::OssFuzzCheck) => fuzz::oss_fuzz_check(),
        Task::Ci => ci::ci(&Plan { emulator: Emulator::Aileron, only: None, thorough: false, mirror }),
        Task::Ail { write } => ail(&Plan { emulator: Emulator::Aileron, only: None, thorough: false, mirror }, write),
        Task::Diff(options) => diff::run(&options),
        Task::Migrations { only, write } => {
            ci::build_aileron()?;
            let plan = Plan { emulator: Emulator::Aileron, only: None, thorough: false, mirror };
            let table = checks::migrations::table(&plan, only.as_deref())?;
            if write {
                perf::page_with(&paths::root().join("docs/snapshots.md"), "migrations table", &table)?;
            }
            Ok(())
        }
        Task::Perf { suite, task: None } => perf::suite::run(&suite, mirror_uri),
        Task::Perf { task: Some(PerfTask::Boot { names, cpu, write, qemu_only }), .. } => {
            let models: Vec<&'static str> = ["power9", "power10"]
                .into_iter()
                .filter(|model| cpu.as_deref().is_none_or(|cpu| cpu == *model))
                .collect();
            if !qemu_only {
                ci::build_aileron()?;
            }
            let page = write.map(|page| paths::root().join(page));
            perf::boot(&names, &models, page.as_deref(), qemu_only, mirror_uri)
        }
    }
}

/// The tables of docs/ail.md: what the emulator goes by, and what guests come to have.
fn ail(plan: &Plan, write: bool) -> Result<()> {
    ci::build_aileron()?;
    let mut tables = vec![("hosts table".to_owned(), checks::hosts::table(plan)?)];
    for cpu in ["power8", "power9", "power10"] {
        let mut command = Command::new(paths::aileron());
        command.args(["ail", "-cpu", cpu, "-modes", "all", "-markdown"]);
        tables.push((format!("{cpu} table"), run::capture(&mut command)?));
    }
    if write {
        let path = paths::root().join("docs/ail.md");
        let mut page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for (name, table) in &tables {
            page = perf::replaced(&page, name, table)?;
        }
        std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Becomes the emulator, so that terminal, signals and exit status are its own.
fn boot(name: &str, accel: Option<&str>, emulator: Emulator, options: &[String], mirror: Option<&str>) -> Result<()> {
    let guest = guests::ready(name, mirror)?;
    if emulator == Emulator::Aileron {
        ci::build_aileron()?;
    }
    let mut command = Command::new(emulator.program());
    let machine = if emulator == Emulator::Qemu { "pseries,x-vof=on" } else { "pseries" };
    let kernel = guest.kernel.to_string_lossy().into_owned();
    let initrd = guest.initrd.to_string_lossy().into_owned();
    for (option, spellings, value) in [
        ("-M", &["-M", "-machine", "--machine"][..], machine),
        ("-cpu", &["-cpu", "--cpu"], "power9"),
        ("-m", &["-m", "--m"], "1G"),
        ("-kernel", &["-kernel", "--kernel"], kernel.as_str()),
        ("-initrd", &["-initrd", "--initrd"], initrd.as_str()),
    ] {
        if !options.iter().any(|given| spellings.contains(&given.as_str())) {
            command.args([option, value]);
        }
    }
    let (append, rest) = without_append(options)?;
    command.arg("-nographic").args(["-append", &format!("console=hvc0{append}")]);
    if emulator == Emulator::Qemu {
        command.arg("-nodefaults").args(["-serial", "mon:stdio"]);
    }
    if let Some(accel) = accel {
        command.args(["-accel", accel]);
    }
    command.args(rest);
    eprintln!("{}", run::spelled(&command));
    // Only returns when it failed.
    Err(anyhow!(command.exec()).context(format!("cannot run {}", run::spelled(&command))))
}

/// Takes the values of -append out of the options: each with a blank before it, and the rest.
fn without_append(options: &[String]) -> Result<(String, Vec<&String>)> {
    let (mut append, mut rest) = (String::new(), Vec::new());
    let mut words = options.iter();
    while let Some(word) = words.next() {
        if word == "-append" || word == "--append" {
            let value = words.next().ok_or_else(|| anyhow!("{word} needs a value: the kernel's command line"))?;
            append.push(' ');
            append.push_str(value);
        } else {
            rest.push(word);
        }
    }
    Ok((append, rest))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn append_is_collected() {
        let options: Vec<String> = ["-smp", "2", "-append", "quiet x=1", "-d", "int"].map(str::to_owned).to_vec();
        let (append, rest) = without_append(&options).unwrap();
        assert_eq!(append, " quiet x=1");
        assert_eq!(rest, ["-smp", "2", "-d", "int"]);
        assert!(without_append(&options[..3]).is_err());
    }
}
