//! Guests under load that are saved, and go on in another process.

use std::fs;
use std::process::Command;

use anyhow::{Result, ensure};

use super::{GUEST, Plan, options};
use crate::emulator::Boot;
use crate::live::{Live, nothing_lost};
use crate::{paths, run};

/// One way from one process to another.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    cpus: u32,
    /// The word on the kernel's command line that makes it translate otherwise.
    hash: bool,
    controller: &'static str,
    from: &'static str,
    to: &'static str,
    /// Done every day.
    pub daily: bool,
}

/// All ways.
#[rustfmt::skip]
pub const ROWS: [Row; 6] = [
    Row { cpus: 1, hash: false, controller: "xive", from: "jit", to: "jit", daily: false },
    Row { cpus: 2, hash: true, controller: "xics", from: "jit", to: "interp", daily: true },
    Row { cpus: 1, hash: true, controller: "xive", from: "interp", to: "jit", daily: false },
    Row { cpus: 2, hash: false, controller: "xive", from: "interp", to: "jit", daily: true },
    Row { cpus: 1, hash: false, controller: "xics", from: "jit", to: "interp", daily: false },
    Row { cpus: 2, hash: true, controller: "xive", from: "jit", to: "jit", daily: false },
];

impl Row {
    /// `saved-2-hash-xics-jit-interp` and so on.
    pub fn name(&self) -> String {
        let mmu = if self.hash { "hash" } else { "radix" };
        format!("saved-{}-{mmu}-{}-{}-{}", self.cpus, self.controller, self.from, self.to)
    }

    fn boot(&self, plan: &Plan, accelerator: &str) -> Result<Boot> {
        let mut boot = plan.boot("")?;
        boot.cpus = self.cpus;
        boot.machine = vec![format!("ic-mode={}", self.controller)];
        boot.append = if self.hash { vec!["disable_radix".to_owned()] } else { Vec::new() };
        boot.execution = options(["-accel", accelerator, "-code-cache", "none"]);
        Ok(boot)
    }

    /// Boots, computes, is saved, computes elsewhere.
    pub fn run(&self, plan: &Plan) -> Result<String> {
        plan.guest(GUEST)?;
        let file = paths::checks().join(format!("{}.snap", self.name()));
        let first = Live::under_load(&self.boot(plan, self.from)?, &self.name())?;
        first.order("stop")?;
        first.order(&format!("savevm {}", file.display()))?;
        let first = first.quit()?;

        let place = file.display().to_string();
        let mut boot = self.boot(plan, self.to)?;
        boot.options = vec!["-migrate-check".into(), place.clone()];
        let said = run::capture(&mut boot.command())?;
        ensure!(said.contains("can go on here"), "-migrate-check: {said}");
        let other = Boot { memory: "2G", ..boot.clone() };
        let refused = Command::new(other.emulator.program()).args(other.command().get_args()).output()?;
        let words = String::from_utf8_lossy(&refused.stdout).into_owned();
        ensure!(refused.status.code() == Some(1) && words.contains("-m: the partition has 1G"), "-m 2G: {words}");

        boot.options = vec!["-loadvm".into(), place];
        let mut second = Live::start(&boot, &self.name())?;
        second.wait_for_sums(10 * u64::from(self.cpus))?;
        let second = second.quit()?;
        for ended in [&first, &second] {
            ensure!(ended.status.success(), "{}: {}", ended.status, ended.stderr);
        }
        let count = nothing_lost(&format!("{}{}", first.console, second.console), self.cpus)?;
        fs::remove_file(file)?;
        Ok(format!("{count} checksums, none lost"))
    }
}
