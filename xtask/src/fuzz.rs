//! The fuzz targets of `fuzz/`, through cargo-fuzz.

use std::fmt;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::paths;
use crate::run;
use crate::tally::Tally;

/// Targets that need the crate `machine` or the translator, which is a feature: Cranelift comes with it.
const OF_MACHINE: &[&str] = &["architecture", "block", "cache", "device_tree", "elf", "options", "snapshot"];
/// The longest input, in bytes.
const INPUT_BYTES_MAX: &str = "-max_len=4096";
/// Longest time of one input in seconds: what takes longer hangs.
const INPUT_SECONDS_MAX: &str = "-timeout=60";
/// Executions of each target in `oss-fuzz-check`: that it starts, and takes its corpus.
const CHECKED_RUNS: u32 = 200;

/// The targets: a file each.
fn targets() -> Result<Vec<String>> {
    let directory = paths::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Prints the targets.
pub fn list() -> Result<()> {
    for name in targets()? {
        println!("{name:<14} {:>3} seeds", files(&seeds(&name))?.len());
    }
    Ok(())
}

/// Inputs that are kept: seeds, and one for each bug that was found.
fn seeds(name: &str) -> PathBuf {
    paths::root().join("fuzz/seeds").join(name)
}

/// What a run collects; not kept in the repository.
fn corpus(name: &str) -> PathBuf {
    paths::root().join("fuzz/corpus").join(name)
}

/// The files of a directory, none where there is none.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    found.retain(|path| path.is_file());
    found.sort();
    Ok(found)
}

/// cargo-fuzz's `verb` on a target.
fn cargo_fuzz(verb: &str, name: &str) -> Result<Command> {
    let targets = targets()?;
    ensure!(targets.iter().any(|target| target == name), "no fuzz target {name:?}; there are {}", targets.join(", "));
    need_cargo_fuzz()?;
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).args(["+nightly", "fuzz", verb]);
    command.env("RUSTC_WRAPPER", paths::root().join("fuzz/rustc.sh"));
    if verb != "coverage" {
        // The profile says which crates keep their debug assertions.
        command.args(["--release", "--sanitizer", "none"]);
    }
    if OF_MACHINE.contains(&name) {
        command.args(["--features", "machine"]);
    }
    command.arg(name);
    Ok(command)
}

fn need_cargo_fuzz() -> Result<()> {
    if run::capture(Command::new("cargo").args(["+nightly", "fuzz", "--version"])).is_err() {
        bail!(
            "cargo-fuzz with a nightly toolchain is missing: rustup toolchain install nightly; cargo install cargo-fuzz"
        );
    }
    Ok(())
}

/// Runs a target for so many seconds, from its corpus and seeds; what it finds is below `fuzz/artifacts`.
pub fn run(name: &str, seconds: u64) -> Result<()> {
    paths::make_directory(&corpus(name))?;
    paths::make_directory(&seeds(name))?;
    let mut command = cargo_fuzz("run", name)?;
    command.arg(corpus(name)).arg(seeds(name)).args(["--", INPUT_BYTES_MAX, INPUT_SECONDS_MAX, "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    println!("{name}: {}", told(&mut command)?);
    Ok(())
}

/// What libFuzzer tells of a run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    executions: u64,
    a_second: u64,
    edges: u64,
    inputs: u64,
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { executions, a_second, edges, inputs } = self;
        write!(f, "{executions} executions, {a_second} a second; {edges} edges, {inputs} inputs kept")
    }
}

impl Told {
    /// Reads a line, such as `#7 DONE   cov: 416 ft: 745 corp: 254/8557b ..` or `stat::average_exec_per_sec:  97`.
    fn note(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            let field = match word {
                "stat::number_of_executed_units:" => &mut self.executions,
                "stat::average_exec_per_sec:" => &mut self.a_second,
                "cov:" => &mut self.edges,
                "corp:" => &mut self.inputs,
                _ => continue,
            };
            let number = words.next().and_then(|word| word.split('/').next()?.parse().ok());
            *field = number.unwrap_or(*field);
        }
    }
}

/// Runs a command that ends in libFuzzer, on this terminal, and gives what that told in the end.
fn told(command: &mut Command) -> Result<Told> {
    let spelled = run::spelled(command);
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot run {spelled}"))?;
    let mut lines = BufReader::new(child.stderr.take().context("its standard error is a pipe")?);
    let (mut told, mut line) = (Told::default(), Vec::new());
    // What a guest's console or a panic says is not always text.
    while lines.read_until(b'\n', &mut line)? != 0 {
        let text = String::from_utf8_lossy(&line);
        eprint!("{text}");
        told.note(&text);
        line.clear();
    }
    let status = child.wait()?;
    ensure!(status.success(), "`{spelled}` failed: {status}");
    Ok(told)
}

/// Makes an input that fails smaller, or without one the corpus.
pub fn min(name: &str, input: Option<&Path>) -> Result<()> {
    match input {
        Some(input) => {
            ensure!(input.is_file(), "{} is no file", input.display());
            run::run(cargo_fuzz("tmin", name)?.arg(input))
        }
        None => {
            ensure!(corpus(name).is_dir(), "{} is not there; `fuzz run {name}` makes it", corpus(name).display());
            run::run(cargo_fuzz("cmin", name)?.arg(corpus(name)))
        }
    }
}

/// Says what corpus and seeds of a target reach: edges and features, after each input has run once.
pub fn cover(name: &str) -> Result<()> {
    let directories: Vec<PathBuf> = [corpus(name), seeds(name)].into_iter().filter(|path| path.is_dir()).collect();
    ensure!(!directories.is_empty(), "{name} has neither corpus nor seeds; `fuzz run {name}` makes a corpus");
    // No new inputs: each that is there is run once, and libFuzzer counts the edges.
    let mut command = cargo_fuzz("run", name)?;
    command.args(&directories).args(["--", INPUT_BYTES_MAX, "-runs=0", "-print_final_stats=1"]);
    let told = told(&mut command)?;
    println!("{name}: {} edges; {} inputs reach them", told.edges, told.inputs);
    Ok(())
}

/// Builds and starts the targets as `fuzz/oss-fuzz/build.sh` does in its container, whose directories are made below
/// `target/oss-fuzz`.
pub fn oss_fuzz_check() -> Result<()> {
    need_cargo_fuzz()?;
    let targets = targets()?;
    let (out, work) = (paths::root().join("target/oss-fuzz/out"), paths::root().join("target/oss-fuzz/work"));
    for directory in [&out, &work] {
        if directory.exists() {
            fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        paths::make_directory(directory)?;
    }
    let mut tally = Tally::new();
    let script = paths::root().join("fuzz/oss-fuzz/build.sh");
    let built = tally.step("build.sh", || {
        run::run(
            Command::new("bash")
                .arg(&script)
                .env("SRC", paths::root().parent().context("the project is in a directory")?)
                .env("AILERON", paths::root())
                .env("OUT", &out)
                .env("WORK", &work)
                .env("CARGO_FUZZ", "cargo +nightly fuzz")
                .env("SANITIZER_ARGUMENT", "none"),
        )
    });
    if built {
        for name in &targets {
            tally.check(name, || starts(name, &out, &work));
        }
    }
    tally.finish()
}

/// A built target runs on its seeds and the dictionary, and a few inputs more.
fn starts(name: &str, out: &Path, work: &Path) -> Result<String> {
    let archive = out.join(format!("{name}_seed_corpus.zip"));
    ensure!(archive.exists(), "build.sh made no {}", archive.display());
    let seeds = work.join(name);
    paths::make_directory(&seeds)?;
    run::capture(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(&seeds))?;
    // Before it runs: it adds what it finds.
    let count = files(&seeds)?.len();
    let mut command = Command::new(out.join(name));
    command.current_dir(work).arg(&seeds).arg(format!("-runs={CHECKED_RUNS}"));
    let dictionary = out.join(format!("{name}.dict"));
    if dictionary.exists() {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    run::capture(&mut command)?;
    Ok(format!("{count} seeds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_fuzz_workspace() {
        let manifest = fs::read_to_string(paths::root().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() >= 13, "{targets:?}");
        for target in &targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
        let wants_machine = manifest.matches("required-features = [\"machine\"]").count();
        assert_eq!(wants_machine, OF_MACHINE.len());
        assert!(OF_MACHINE.iter().all(|name| targets.iter().any(|target| target == name)));
    }

    #[test]
    fn what_libfuzzer_tells() {
        let mut told = Told::default();
        for line in [
            "#0\tREAD units: 7\n",
            "#2\tINITED cov: 40 ft: 41 corp: 1/1b exec/s: 0 rss: 27Mb\n",
            "#89722889\tDONE   cov: 416 ft: 745 corp: 254/8557b lim: 4096 exec/s: 149289 rss: 28Mb\n",
            "stat::number_of_executed_units: 89722889\n",
            "stat::average_exec_per_sec:     149289\n",
        ] {
            told.note(line);
        }
        assert_eq!(told, Told { executions: 89_722_889, a_second: 149_289, edges: 416, inputs: 254 });
    }

    #[test]
    fn every_target_has_seeds_and_a_row_in_the_documentation() {
        let page = fs::read_to_string(paths::root().join("docs/fuzzing.md")).unwrap();
        for target in targets().unwrap() {
            assert!(!files(&seeds(&target)).unwrap().is_empty(), "fuzz/seeds/{target} is empty");
            assert!(page.contains(&format!("| `{target}` |")), "{target}");
        }
    }
}
