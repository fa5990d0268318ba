//! Builds the programs of `guest-programs` for the guest and for the host, and the initrd that has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cpio::Archive;
use crate::guests::Fetched;
use crate::paths;
use crate::run;

/// The compilers, and the Debian packages that they and their libraries come from.
pub const TOOLS: &[(&str, &str)] =
    &[(GUEST_COMPILER, GUEST_PACKAGES), (HOST_COMPILER, "gcc libc6-dev"), ("qemu-system-ppc64", "qemu-system-ppc")];
/// The guest's compiler.
pub const GUEST_COMPILER: &str = "powerpc64le-linux-gnu-gcc";
/// The guest's compiler, and the packages that it and its library come from.
pub const GUEST_TOOLS: &[(&str, &str)] = &[(GUEST_COMPILER, GUEST_PACKAGES)];
const GUEST_PACKAGES: &str = "gcc-powerpc64le-linux-gnu libc6-dev-ppc64el-cross";
/// The host's compiler.
pub const HOST_COMPILER: &str = "cc";
/// For both compilers: what a distribution builds with, and nothing that needs a library of the guest.
pub const FLAGS: &[&str] = &["-std=gnu11", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror"];
/// Sources that are a program each; `off` only for the guest.
const PROGRAMS: &[&str] = &["integer", "floating", "system", "scaling", "off"];

/// What was built.
#[derive(Debug)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Compiles everything.
    pub fn build() -> Result<Self> {
        let directory = paths::perf().join("programs");
        paths::make_directory(&directory.join("guest"))?;
        paths::make_directory(&directory.join("host"))?;
        for name in PROGRAMS {
            compile(GUEST_COMPILER, TOOLS, FLAGS, name, &directory.join("guest").join(name))?;
            if *name != "off" {
                compile(HOST_COMPILER, TOOLS, FLAGS, name, &directory.join("host").join(name))?;
            }
        }
        Ok(Self { directory })
    }

    /// A program for the host.
    pub fn host(&self, name: &str) -> PathBuf {
        self.directory.join("host").join(name)
    }

    /// QEMU's plugin that counts instructions, for a version of its interface.
    pub fn counter(&self, version: u32) -> Result<PathBuf> {
        let plugin = self.directory.join("libcount.so");
        let flags = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror"];
        let version = format!("-DPLUGIN_VERSION={version}");
        let flags: Vec<&str> = flags.into_iter().chain([version.as_str()]).collect();
        compile(HOST_COMPILER, TOOLS, &flags, "count", &plugin)?;
        Ok(plugin)
    }

    /// The guest with the programs added to its initrd: the kernel unpacks archives that follow each other
    /// (Linux `Documentation/driver-api/early-userspace/buffer-format.rst`).
    pub fn in_guest(&self, guest: &Fetched) -> Result<Fetched> {
        let mut archive = Archive::new();
        archive.file("tests/perf", 0o755, include_bytes!("../../guest/perf"));
        for name in PROGRAMS {
            archive.file(&format!("perf/{name}"), 0o755, &read(&self.directory.join("guest").join(name))?);
        }
        let mut bytes = read(&guest.initrd)?;
        bytes.extend(archive.finish());
        let initrd = paths::perf().join("initrd.cpio");
        fs::write(&initrd, bytes).with_context(|| format!("cannot write {}", initrd.display()))?;
        Ok(Fetched { initrd, ..guest.clone() })
    }
}

/// Reads a file.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Where the source of a program is.
pub fn source(name: &str) -> PathBuf {
    paths::root().join("xtask/guest-programs").join(format!("{name}.c"))
}

/// Compiles a source of `guest-programs`; `tools` says where the compiler is from.
pub fn compile(compiler: &str, tools: &[(&str, &str)], flags: &[&str], name: &str, program: &Path) -> Result<()> {
    let source = source(name);
    let mut command = Command::new(compiler);
    command.args(flags).arg("-o").arg(program).arg(&source);
    run::capture(&mut command).with_context(|| {
        let packages = tools.iter().find(|(tool, _)| *tool == compiler).map_or("", |(_, packages)| packages);
        format!("cannot build {} (the compiler and its static C library are Debian's {packages})", program.display())
    })?;
    Ok(())
}
