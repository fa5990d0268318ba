//! Boots at a compatibility level: the kernel sees that processor, and gives programs what it has.

use anyhow::{Result, ensure};

use super::{GUEST, Mmu, Plan, ended_well, hexadecimal, is_guest_with, spent};
use crate::emulator::Boot;

/// Processor, and `max-cpu-compat`; the first is done every day.
pub const LEVELS: [(&str, &str); 6] = [
    ("power10", "power8"),
    ("power8", "power8"),
    ("power9", "power8"),
    ("power9", "power9"),
    ("power10", "power9"),
    ("power10", "power10"),
];

/// AT_HWCAP of every level, and AT_HWCAP2 by level, as under QEMU 7.2 with the same command line.
const HWCAP: u64 = 0xdc00_65c2;
const HWCAP2: [(&str, u64, Mmu); 3] =
    [("power8", 0xbe00_0000, Mmu::Hash), ("power9", 0xbef0_0000, Mmu::Radix), ("power10", 0xbef6_0000, Mmu::Radix)];

/// `-cpu` and `max-cpu-compat`.
pub fn boots(plan: &Plan, cpu: &'static str, level: &'static str) -> Result<String> {
    let guest = plan.guest(GUEST)?;
    let machine = vec![format!("max-cpu-compat={level}")];
    let boot = Boot { cpu, machine, ..plan.boot_of(&guest, "boot,hwcap") };
    let outcome = boot.run(&format!("level-{cpu}-{level}"))?;
    ended_well(&outcome)?;
    let Some((_, hwcap2, mmu)) = HWCAP2.into_iter().find(|(name, ..)| *name == level) else {
        unreachable!("every level of LEVELS is in HWCAP2")
    };
    is_guest_with(&outcome, &guest, level, mmu)?;
    let found = (hexadecimal(&outcome, "hwcap")?, hexadecimal(&outcome, "hwcap2")?);
    ensure!(
        found == (HWCAP, hwcap2),
        "AT_HWCAP and AT_HWCAP2 are {:#x} and {:#x}, expected {HWCAP:#x} and {hwcap2:#x}; {}",
        found.0,
        found.1,
        outcome.command
    );
    Ok(format!("AT_HWCAP2 {hwcap2:#x}, {mmu:?}, {}", spent(&outcome)))
}
