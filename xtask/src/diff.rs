//! Instructions by the million, compared with QEMU: every row of the table and random streams with its user mode, and with
//! `--system` privileged programs with its `pseries` machine.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::{ci, paths, run};

/// Instructions of a stream (`crates/engine/tests/qemu_user/streams.rs`).
const A_STREAM: u64 = 16;

/// Which of our engines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Engine {
    /// The interpreter alone.
    Interp,
    /// The interpreter, and each stream translated too: many times slower.
    Jit,
    /// The interpreter, and a few of the streams translated too.
    Both,
}

/// Which byte orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Order {
    Little,
    Big,
    Both,
}

/// What is compared.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Instructions of the streams, in all.
    #[arg(long, default_value_t = 10_000_000)]
    pub instructions: u64,
    /// Tests of each row, beside the streams; 0: none.
    #[arg(long, default_value_t = 64)]
    pub rows: u64,
    /// What makes the tests: a number, or `commit` for one that follows from the commit.
    #[arg(long, default_value = "1")]
    pub seed: String,
    /// The engines that are compared.
    #[arg(long, value_enum, default_value = "both")]
    pub engine: Engine,
    /// The byte orders of the guest.
    #[arg(long, value_enum, default_value = "both")]
    pub order: Order,
    /// Only rows of a chapter or facility of the instruction table, as `cargo xtask coverage` names them: atomic, vmx, prefixed, ..
    #[arg(long, value_name = "NAME")]
    pub facility: Option<String>,
    /// Threads; as many as the host has processors if it is not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    pub jobs: Option<u64>,
    /// Privileged programs on whole machines instead (`qemu-system-ppc64`), whose interrupts have the byte order.
    #[arg(long)]
    pub system: bool,
    /// Programs, with --system.
    #[arg(long, default_value_t = 40_000)]
    pub cases: u64,
}

impl Options {
    /// What CI compares: another million for each commit, and other privileged programs.
    pub fn of_commit() -> Self {
        Options {
            instructions: 1_000_000,
            rows: 0,
            seed: "commit".into(),
            engine: Engine::Both,
            order: Order::Both,
            facility: None,
            jobs: None,
            system: false,
            cases: 20_000,
        }
    }
}

fn seed(text: &str) -> Result<u64> {
    if text != "commit" {
        return text.parse().with_context(|| format!("--seed {text}: expected a number, or 'commit'"));
    }
    let Ok(commit) = run::capture(Command::new("git").current_dir(paths::root()).args(["rev-parse", "HEAD"])) else {
        println!("no commit to make tests from, since this is no checkout: those of seed 1");
        return Ok(1);
    };
    let first = commit.get(..12).with_context(|| format!("git rev-parse HEAD: {commit:?} is no commit"))?;
    u64::from_str_radix(first, 16).with_context(|| format!("{first} is no hexadecimal number"))
}

/// Compares, and prints what was, what was left out and why, and each difference with the shortest stream that has it.
///
/// # Errors
/// A difference; what is missing.
pub fn run(options: &Options) -> Result<()> {
    ci::need_tools()?;
    if options.system {
        return run_system(options);
    }
    let orders: &[(&str, Order)] = &[("", Order::Little), ("_in_big_endian_mode", Order::Big)];
    let wanted = |order: Order| options.order == Order::Both || options.order == order;
    let count = orders.iter().filter(|(_, order)| wanted(*order)).count() as u64;
    let streams = options.instructions.div_ceil(A_STREAM * count);
    let jobs = options.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u64));
    if let Some(name) = &options.facility {
        let groups = isa::coverage().groups;
        let names = groups.iter().flat_map(|g| [format!("{:?}", g.chapter), format!("{:?}", g.facility)]);
        let names: BTreeSet<String> = names.map(|name| name.to_lowercase()).collect();
        let all = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        ensure!(names.contains(&name.to_lowercase()), "--facility {name}: expected one of {all}");
    }
    let translated = match options.engine {
        Engine::Interp => 0,
        Engine::Jit => u64::MAX >> 1,
        Engine::Both => 150,
    };
    let mut command = ci::cargo();
    command.args([
        "test",
        "--release",
        "--quiet",
        "--package",
        "engine",
        "--test",
        "against_qemu_user",
        "--",
        "--exact",
    ]);
    command.args(["--nocapture", "--test-threads", "1"]);
    for (suffix, order) in orders {
        if wanted(*order) {
            command.args((options.rows > 0).then(|| format!("every_row_agrees_with_qemu_user{suffix}")));
            command.arg(format!("streams_agree_with_qemu_user{suffix}"));
        }
    }
    for (name, value) in [
        ("AILERON_SEED", seed(&options.seed)?),
        ("AILERON_DIFF_PER_ROW", options.rows),
        ("AILERON_DIFF_STREAMS", streams),
        ("AILERON_DIFF_TRANSLATED", translated.min(3)),
        ("AILERON_DIFF_TRANSLATED_STREAMS", translated),
        ("AILERON_DIFF_JOBS", jobs),
    ] {
        command.env(name, value.to_string());
    }
    command.envs(options.facility.iter().map(|name| ("AILERON_DIFF_FACILITY", name)));
    run::run(&mut command)
}

fn run_system(options: &Options) -> Result<()> {
    let (translated, order) = (
        match options.engine {
            Engine::Interp => 0,
            Engine::Jit => options.cases,
            Engine::Both => options.cases / 40,
        },
        match options.order {
            Order::Big => "big",
            Order::Little => "little",
            Order::Both => "both",
        },
    );
    let mut command = ci::cargo();
    command.args(["test", "--release", "--quiet", "--package", "machine", "--test", "against_qemu", "--", "--exact"]);
    command.args(["--nocapture", "--ignored", "system::privileged_programs_agree_with_qemu"]);
    command.env("AILERON_SEED", seed(&options.seed)?.to_string()).env("AILERON_DIFF_ORDER", order);
    command.env("AILERON_DIFF_CASES", options.cases.to_string());
    command.env("AILERON_DIFF_TRANSLATED_CASES", translated.to_string());
    run::run(&mut command)
}
