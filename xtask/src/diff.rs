//! Instructions by the million, compared with QEMU's user mode: every row of the table, and random streams.

use std::process::Command;

use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::{ci, paths, run};

/// Instructions of a stream, levels of the architecture, and kinds of streams (`crates/engine/tests/qemu_user`).
const A_STREAM: u64 = 16;
const LEVELS: u64 = 3;
const KINDS: u64 = 2;

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
}

impl Options {
    /// What CI compares: another million for each commit.
    pub fn of_commit() -> Self {
        Options { instructions: 1_000_000, rows: 0, seed: "commit".into(), engine: Engine::Both, order: Order::Both }
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
    let orders: &[(&str, Order)] = &[("", Order::Little), ("_in_big_endian_mode", Order::Big)];
    let wanted = |order: Order| options.order == Order::Both || options.order == order;
    let count = orders.iter().filter(|(_, order)| wanted(*order)).count() as u64;
    let streams = options.instructions.div_ceil(A_STREAM * LEVELS * KINDS * count);
    let translated = match options.engine {
        Engine::Interp => 0,
        Engine::Jit => u64::MAX >> 1,
        Engine::Both => 200,
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
    command.args(["--nocapture"]);
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
    ] {
        command.env(name, value.to_string());
    }
    run::run(&mut command)
}
