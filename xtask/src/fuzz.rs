//! The fuzz targets of `fuzz/`, through cargo-fuzz.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::paths;
use crate::run;

/// Targets that need the crate `machine`, which is a feature: Cranelift comes with it.
const OF_MACHINE: &[&str] = &["architecture"];

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
    targets()?.iter().for_each(|name| println!("{name}"));
    Ok(())
}

/// Runs a target for so many seconds; what it finds is below `fuzz/artifacts`.
pub fn run(name: &str, seconds: u64) -> Result<()> {
    let targets = targets()?;
    ensure!(targets.iter().any(|target| target == name), "no fuzz target {name:?}; there are {}", targets.join(", "));
    if run::capture(Command::new("cargo").args(["+nightly", "fuzz", "--version"])).is_err() {
        bail!(
            "cargo-fuzz with a nightly toolchain is missing: rustup toolchain install nightly; cargo install cargo-fuzz"
        );
    }
    let mut command = Command::new("cargo");
    command.current_dir(paths::root()).args(["+nightly", "fuzz", "run", "--sanitizer", "none"]);
    if OF_MACHINE.contains(&name) {
        command.args(["--features", "machine"]);
    }
    command.args([name, "--", "-max_len=4096"]).arg(format!("-max_total_time={seconds}"));
    run::run(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_the_fuzz_workspace() {
        let manifest = fs::read_to_string(paths::root().join("fuzz/Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() >= 4, "{targets:?}");
        for target in &targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
        let wants_machine = manifest.matches("required-features = [\"machine\"]").count();
        assert_eq!(wants_machine, OF_MACHINE.len());
        assert!(OF_MACHINE.iter().all(|name| targets.iter().any(|target| target == name)));
    }
}
