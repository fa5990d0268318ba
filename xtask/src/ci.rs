//! What has to hold: formatting, lints, tests, and the boots.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::checks::{self, Plan};
use crate::diff;
use crate::emulator::Emulator;
use crate::guests;
use crate::paths;
use crate::perf;
use crate::run;
use crate::tally::Tally;

/// A program that the checks run, and the Debian package that it comes from.
const TOOLS: &[(&str, &str)] = &[
    ("qemu-ppc64le", "qemu-user"),
    ("qemu-ppc64", "qemu-user"),
    ("qemu-system-ppc64", "qemu-system-ppc"),
    ("powerpc64le-linux-gnu-objdump", "binutils-powerpc64le-linux-gnu"),
    ("dtc", "device-tree-compiler"),
    ("cpio", "cpio"),
];

/// Everything: the tools, then what `test` does on Aileron.
pub fn ci(plan: &Plan) -> Result<()> {
    let mut tally = Tally::new();
    tally.step("tools", need_tools);
    sources(&mut tally);
    boots(plan, &mut tally)?;
    // A report, not a limit: a busy host would make a limit fail.
    tally.step("boot time", || {
        perf::boot(&["debian-6.12".to_owned()], &["power9"], None, false, plan.mirror.as_deref())
    });
    tally.finish()
}

/// The workspace's own checks and the boots.
pub fn test(plan: &Plan, boots_only: bool) -> Result<()> {
    use_unpacked_tools();
    let mut tally = Tally::new();
    if !boots_only && plan.only.is_none() {
        sources(&mut tally);
    }
    boots(plan, &mut tally)?;
    tally.finish()
}

/// The boot matrix; its table is written into `page`.
pub fn matrix(plan: &Plan, page: Option<&Path>) -> Result<()> {
    use_unpacked_tools();
    build_aileron()?;
    let mut tally = Tally::new();
    let result = checks::matrix::run_all(plan, &mut tally, page);
    tally.finish()?;
    result
}

fn sources(tally: &mut Tally) {
    tally.step("format", || run::run(cargo().args(["fmt", "--all", "--check"])));
    tally.step("clippy", || {
        run::run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
    });
    tally.step("tests", || {
        if run::capture(cargo().args(["nextest", "--version"])).is_ok() {
            run::run(cargo().args(["nextest", "run", "--workspace", "--no-fail-fast"]))
        } else {
            run::run(cargo().args(["test", "--workspace", "--all-targets", "--no-fail-fast"]))
        }
    });
    // Ignored elsewhere, so that `cargo test` needs no QEMU.
    tally.step("AIL against QEMU", || {
        let test = [
            "test",
            "--release",
            "--package",
            "machine",
            "--test",
            "against_qemu",
            "--quiet",
            "--",
            "--ignored",
            "ail",
        ];
        run::run(cargo().args(test))
    });
    tally.step("hypercalls against QEMU", || {
        run::run(cargo().args(["test", "--package", "devices", "--test", "against_qemu", "--quiet", "--", "--ignored"]))
    });
    tally.step("instructions against QEMU", || diff::run(&diff::Options::of_commit()));
    tally.step("privileged programs against QEMU", || {
        diff::run(&diff::Options { system: true, ..diff::Options::of_commit() })
    });
    tally.step("concurrency", || {
        run::run(cargo().args(["test", "--release", "--quiet", "--manifest-path", "concurrency/Cargo.toml"]))
    });
    tally.step("doc tests", || run::run(cargo().args(["test", "--workspace", "--doc", "--quiet"])));
}

fn boots(plan: &Plan, tally: &mut Tally) -> Result<()> {
    let built = plan.emulator == Emulator::Qemu || tally.step("build aileron", build_aileron);
    // A check fetches what it needs; here a suite that is out of reach is told once, by its name.
    if plan.only.is_none() {
        tally.step("guests", || guests::fetch(&[], false, plan.mirror.as_deref()));
    }
    if built { checks::run_all(plan, tally) } else { Ok(()) }
}

/// Builds the emulator as it is meant to be run.
pub fn build_aileron() -> Result<()> {
    run::run(cargo().args(["build", "--release", "--package", "aileron"]))?;
    let program = paths::aileron();
    ensure!(program.exists(), "cargo built package aileron, but {} is not there", program.display());
    Ok(())
}

/// Cargo, in the project.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(paths::root());
    command
}

/// Makes the programs runnable that the checks need.
pub fn need_tools() -> Result<()> {
    need(TOOLS)
}

/// Makes programs runnable, each given with the packages that it needs (blanks between them): installs as root;
/// without root unpacks below `target/tools`.
pub fn need(tools: &[(&str, &str)]) -> Result<()> {
    use_unpacked_tools();
    let missing: Vec<&str> = tools
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .flat_map(|(_, packages)| packages.split(' '))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("missing: {}", missing.join(", "));
    if rustix::process::geteuid().is_root() {
        run::run(Command::new("apt-get").args(["--quiet", "update"]))?;
        run::run(
            Command::new("apt-get")
                .args(["--quiet", "--yes", "--no-install-recommends", "install"])
                .args(&missing)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )?;
    } else {
        unpack_tools(&missing)?;
    }
    use_unpacked_tools();
    let still: Vec<&str> = tools.iter().map(|(program, _)| *program).filter(|program| !is_on_path(program)).collect();
    ensure!(still.is_empty(), "not on PATH after installing {}: {}", missing.join(", "), still.join(", "));
    Ok(())
}

/// Downloads packages and what they need beyond what is installed, and unpacks them; changes nothing of the machine.
fn unpack_tools(packages: &[&str]) -> Result<()> {
    let directory = paths::tools();
    for part in ["lists/partial", "cache/archives/partial", "root"] {
        paths::make_directory(&directory.join(part))?;
    }
    // The machine's sources and its list of installed packages, but lists and cache of our own.
    let private = [
        format!("Dir::State::lists={}/lists", directory.display()),
        format!("Dir::Cache={}/cache", directory.display()),
        "Dir::State::status=/var/lib/dpkg/status".to_owned(),
        "Debug::NoLocking=1".to_owned(),
    ];
    // In a file, because only there a machine's hooks (some clean its own cache) can be forgotten.
    let clearing = directory.join("apt.conf");
    let hooks = [
        "APT::Update::Pre-Invoke",
        "APT::Update::Post-Invoke",
        "APT::Update::Post-Invoke-Success",
        "DPkg::Post-Invoke",
    ];
    let text: String = hooks.iter().map(|hook| format!("#clear {hook};\n")).collect();
    fs::write(&clearing, text).with_context(|| format!("cannot write {}", clearing.display()))?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command.arg("-c").arg(&clearing).arg("--quiet");
        for option in &private {
            command.args(["-o", option]);
        }
        command
    };
    run::run(apt().arg("update"))?;
    run::run(apt().args(["--yes", "--no-install-recommends", "--download-only", "install"]).args(packages))?;
    let archives = directory.join("cache/archives");
    for entry in fs::read_dir(&archives).with_context(|| format!("cannot read {}", archives.display()))? {
        let deb = entry?.path();
        if deb.extension().is_some_and(|extension| extension == "deb") {
            run::capture(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(directory.join("root")))?;
        }
    }
    Ok(())
}

/// Puts tools that were unpacked before on the search paths of this process and its children.
fn use_unpacked_tools() {
    let root = paths::tools().join("root");
    if root.is_dir() {
        prepend("PATH", &[root.join("usr/bin"), root.join("bin")]);
        let mut libraries = Vec::new();
        for base in [root.join("usr/lib"), root.join("lib")] {
            libraries_below(&base, 3, &mut libraries);
        }
        prepend("LD_LIBRARY_PATH", &libraries);
    }
}

/// Directories that have shared libraries in them, such as `usr/lib/x86_64-linux-gnu/pulseaudio`.
fn libraries_below(directory: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let is_library = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"));
    if paths.iter().any(is_library) {
        found.push(directory.to_owned());
    }
    if depth > 0 {
        paths.iter().filter(|path| path.is_dir()).for_each(|path| libraries_below(path, depth - 1, found));
    }
}

#[allow(unsafe_code)]
fn prepend(variable: &str, directories: &[PathBuf]) {
    let old = env::var_os(variable).unwrap_or_default();
    let all = directories.iter().cloned().chain(env::split_paths(&old).filter(|path| !path.as_os_str().is_empty()));
    let joined: OsString = env::join_paths(all).expect("directories below target have no colon");
    // SAFETY: called from the main thread before any other is started.
    unsafe { env::set_var(variable, joined) };
}

fn is_on_path(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|directory| directory.join(program).is_file())
}
