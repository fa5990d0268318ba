//! Where things lie: the workspace, what is fetched, what the checks leave behind.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace").to_owned()
}

/// What is fetched or made for guests.
pub fn guests() -> PathBuf {
    root().join("target/guests")
}

/// Tools that CI unpacks when it may not install them.
pub fn tools() -> PathBuf {
    root().join("target/tools")
}

/// Consoles, trees and logs of the last run of the checks.
pub fn checks() -> PathBuf {
    root().join("target/checks")
}

/// What QEMU answered to rows of the boot matrix.
pub fn matrix() -> PathBuf {
    root().join("target/matrix")
}

/// Programs, results and pictures of `perf`.
pub fn perf() -> PathBuf {
    root().join("target/perf")
}

/// The release build of Aileron, where cargo puts it.
pub fn aileron() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    root().join(target).join("release/aileron")
}

/// Makes a directory and those above it.
pub fn make_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the directory {}", path.display()))
}
