//! Boots on each host to imitate, with each set of modes and each translation: what the guest comes to have, and which
//! machines do not start.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{HWCAP2_SCV, Mmu, Plan, count_interrupts, ended_well, expect, hexadecimal, options, spent};
use crate::emulator::Boot;
use crate::{paths, run};

/// A host, with what is to come of it.
pub struct Host {
    /// `-accel jit,host=`.
    pub name: &'static str,
    /// Sets that start.
    sets: &'static [&'static str],
    /// Whether guests may translate by radix trees, and by hash tables.
    pub radix: bool,
    pub hash: bool,
    /// What `H_SET_MODE` answers to mode 3 where the machine does not offer it.
    refusal: i32,
}

const fn host(name: &'static str, sets: &'static [&'static str], radix: bool, hash: bool, refusal: i32) -> Host {
    Host { name, sets, radix, hash, refusal }
}

/// Every set of modes.
pub const SETS: [&str; 4] = ["0", "0+3", "0+2", "0+2+3"];

/// Every host.
#[rustfmt::skip]
pub const HOSTS: [Host; 10] = [
    host("jit", &SETS, true, true, -256),
    host("kvm-hv", &["0", "0+3"], true, true, -256),
    host("kvm-hv-power7", &["0"], false, true, -256),
    host("kvm-hv-power9-dd2.1", &["0"], true, true, -256),
    host("kvm-hv-nested", &["0", "0+3"], true, false, -256),
    host("kvm-hv-nested,above-ail-3=off", &["0"], true, false, -256),
    host("kvm-pr", &["0"], false, true, -319),
    host("kvm-hv-pre-cap", &["0", "0+3"], true, true, -256),
    host("kvm-hv-power7-pre-cap", &["0"], false, true, -256),
    host("kvm-pr-pre-cap", &["0"], false, true, -319),
];

/// What is booted every day: host, set, translation.
pub const DAILY: [(&str, &str, Mmu); 3] =
    [("kvm-hv", "0+3", Mmu::Radix), ("kvm-hv-power9-dd2.1", "0", Mmu::Radix), ("kvm-pr", "0", Mmu::Hash)];

impl Host {
    fn named(name: &str) -> Result<&'static Host> {
        HOSTS.iter().find(|host| host.name == name).with_context(|| format!("no host {name:?} in the table of hosts"))
    }

    /// The modes that it honours for guests with radix translation, or with hash translation.
    pub fn honours(&self, radix: bool) -> &'static [u8] {
        match self.name {
            "jit" => &[0, 2, 3],
            "kvm-hv" | "kvm-hv-pre-cap" | "kvm-hv-nested" => &[0, 3],
            // Its fault is one of radix translation.
            "kvm-hv-power9-dd2.1" if !radix => &[0, 3],
            _ => &[0],
        }
    }

    /// Whether a machine starts on it.
    pub fn starts(&self, set: &str, mmu: Mmu) -> bool {
        self.sets.contains(&set) && if mmu == Mmu::Radix { self.radix } else { self.hash }
    }

    fn boot(&self, plan: &Plan, set: &str, mmu: Mmu) -> Result<Boot> {
        let mut boot = plan.boot("hwcap,dmesg-ail,boot")?;
        let spelled = if mmu == Mmu::Radix { "mmu=radix" } else { "mmu=hash" };
        boot.machine = vec![format!("cap-ail-modes={set}"), spelled.to_owned()];
        boot.execution = options(["-accel", &format!("jit,host={}", self.name), "-code-cache", "none"]);
        Ok(boot)
    }
}

/// What the guest came to have.
pub struct Seen {
    hwcap2: u64,
    dmesg: String,
    scv: usize,
    spent: String,
}

/// Boots, and holds what the guest says against the table.
pub fn boots(plan: &Plan, name: &str, set: &str, mmu: Mmu) -> Result<Seen> {
    let host = Host::named(name)?;
    let mut boot = host.boot(plan, set, mmu)?;
    let label = format!("host-{}-{set}-{mmu:?}", name.replace(',', "-"));
    let log = paths::checks().join(format!("{label}.int"));
    paths::make_directory(&paths::checks())?;
    boot.options = vec!["-d".to_owned(), "int".to_owned(), "-D".to_owned(), log.display().to_string()];
    let outcome = boot.run(&label)?;
    ended_well(&outcome)?;
    let (all, scv) = count_interrupts(&log)?;
    fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
    expect(&outcome, "mmu", &format!("{mmu:?}"))?;
    let hwcap2 = hexadecimal(&outcome, "hwcap2")?;
    let dmesg = outcome.value("dmesg-ail")?;
    let has_3 = set.contains('3');
    let refused = format!("Unable to enable relocation on exceptions: {}", host.refusal);
    let wanted = if has_3 { "none" } else { refused.as_str() };
    ensure!(
        (hwcap2 & HWCAP2_SCV != 0, scv > 0, dmesg.as_str()) == (has_3, has_3, wanted),
        "AT_HWCAP2 {hwcap2:#x}, {scv} scv of {all} interrupts, the kernel says {dmesg:?}; expected {wanted:?}, and scv \
         {}; {}",
        if has_3 { "offered and used" } else { "neither offered nor used" },
        outcome.command
    );
    Ok(Seen { hwcap2, dmesg, scv, spent: spent(&outcome) })
}

/// [`boots`], in a line.
pub fn check(plan: &Plan, name: &str, set: &str, mmu: Mmu) -> Result<String> {
    let Seen { hwcap2, dmesg, scv, spent } = boots(plan, name, set, mmu)?;
    Ok(format!("AT_HWCAP2 {hwcap2:#x}, {scv} scv, kernel: {dmesg}, {spent}"))
}

/// A machine that asks for more than its host has: ends with the options that would start.
fn does_not_start(plan: &Plan, host: &Host, set: &str, mmu: Mmu) -> Result<String> {
    let mut command: Command = host.boot(plan, set, mmu)?.command();
    let output = command.output().with_context(|| format!("cannot run {}", run::spelled(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && said.contains("has not what this machine asks for"),
        "expected a machine that does not start, found {} and {said:?}; {}",
        output.status,
        run::spelled(&command)
    );
    let lines: Vec<&str> = said.lines().filter_map(|line| line.split_once("-M pseries,")).map(|(_, l)| l).collect();
    if lines.is_empty() {
        bail!("the error tells no line that would start: {said:?}; {}", run::spelled(&command));
    }
    Ok(lines.iter().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(" or "))
}

/// Every host, set and translation.
pub fn table(plan: &Plan) -> Result<String> {
    let mut text = String::from(
        "| host | cap-ail-modes | MMU | AT_HWCAP2 | the kernel says | scv |\n|---|---|---|---|---|---:|\n",
    );
    let (mut boots_done, mut refusals) = (0, 0);
    for host in &HOSTS {
        for set in SETS {
            for mmu in [Mmu::Radix, Mmu::Hash] {
                let head = format!("| {} | {set} | {mmu:?} |", host.name);
                let line = if host.starts(set, mmu) {
                    boots_done += 1;
                    let seen = boots(plan, host.name, set, mmu)?;
                    let says = if seen.dmesg == "none" { "nothing" } else { &seen.dmesg };
                    format!("{head} {:#x} | {says} | {} |", seen.hwcap2, seen.scv)
                } else {
                    refusals += 1;
                    format!("{head} does not start | would with {} | |", does_not_start(plan, host, set, mmu)?)
                };
                println!("{line}");
                writeln!(text, "{line}")?;
            }
        }
    }
    writeln!(text, "\n{boots_done} boots, {refusals} machines that do not start.")?;
    Ok(text)
}
