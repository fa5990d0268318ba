//! One kernel after the other in the same partition: kexec, a crash kernel after a panic, and after a system reset from the
//! monitor.

use std::fs;

use anyhow::{Context as _, Result, ensure};

use super::{GUEST, HWCAP2_SCV, Mmu, Plan, ended_well, expect, hexadecimal, is_guest_with, spent};
use crate::ci;
use crate::cpio::Archive;
use crate::emulator::{Action, Boot};
use crate::guests::Fetched;
use crate::paths;
use crate::perf::programs::{self, read};

const FLAGS: &[&str] = &["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-static", "-Wall", "-Wextra", "-Werror"];
/// Memory of the crash kernel.
const CRASH_KERNEL: &str = "crashkernel=256M";

/// What starts the second kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// `reboot(2)`.
    Now,
    /// The first kernel panics.
    Crash,
    /// `nmi` in the monitor.
    Nmi,
}

/// A row: how, translation, `ic-mode`, vCPUs; done every day or not.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    how: How,
    mmu: Mmu,
    controller: &'static str,
    cpus: u32,
    /// Done every day.
    pub daily: bool,
}

const fn row(how: How, mmu: Mmu, controller: &'static str, cpus: u32, daily: bool) -> Row {
    Row { how, mmu, controller, cpus, daily }
}

/// All of them.
pub const ROWS: [Row; 8] = [
    row(How::Now, Mmu::Radix, "xive", 2, false),
    row(How::Now, Mmu::Radix, "xics", 1, false),
    row(How::Now, Mmu::Hash, "xive", 1, false),
    row(How::Now, Mmu::Hash, "xics", 2, true),
    row(How::Crash, Mmu::Radix, "xive", 2, false),
    row(How::Crash, Mmu::Hash, "xics", 1, false),
    row(How::Nmi, Mmu::Radix, "xive", 1, true),
    row(How::Nmi, Mmu::Radix, "xics", 2, false),
];

impl Row {
    /// Its name.
    pub fn name(self) -> String {
        format!("kexec-{:?}-{:?}-{}-{}", self.how, self.mmu, self.controller, self.cpus).to_lowercase()
    }

    /// Boots both kernels.
    pub fn run(self, plan: &Plan) -> Result<String> {
        let guest = with_second_kernel(&plan.guest(GUEST)?)?;
        let mut boot = Boot { cpus: self.cpus, ..plan.boot_of(&guest, "kexec") };
        boot.machine.push(format!("ic-mode={}", self.controller));
        boot.append.push(format!("aileron.kexec={:?}", self.how).to_lowercase());
        if self.how != How::Now {
            boot.append.push(CRASH_KERNEL.to_owned());
        }
        if self.mmu == Mmu::Hash {
            boot.append.push("disable_radix".to_owned());
        }
        if self.how == How::Nmi {
            boot.serial = "mon:stdio";
            boot.dialogue = vec![("AILERON-TEST loaded: 1", Action::Send("\u{1}cnmi\n"))];
        }
        let outcome = boot.run(&self.name())?;
        ended_well(&outcome)?;
        expect(&outcome, "second", "yes")?;
        // The second kernel has what the first had: relocation-on interrupts, switched off between the two, too.
        is_guest_with(&outcome, &guest, boot.cpu, self.mmu)?;
        let hwcap2 = hexadecimal(&outcome, "hwcap2")?;
        ensure!(hwcap2 & HWCAP2_SCV != 0, "AT_HWCAP2 is {hwcap2:#x}, expected {HWCAP2_SCV:#x} in it");
        expect(&outcome, "dmesg-ail", "none")?;
        if self.how == How::Now {
            expect(&outcome, "online", if self.cpus == 1 { "0" } else { "0-1" })?;
        }
        Ok(spent(&outcome))
    }
}

/// The guest with a second kernel, what starts it, and an initrd for it, in its initrd.
fn with_second_kernel(guest: &Fetched) -> Result<Fetched> {
    ci::need(programs::GUEST_TOOLS)?;
    let directory = paths::checks();
    paths::make_directory(&directory)?;
    let program = directory.join("kexec");
    programs::compile(programs::GUEST_COMPILER, programs::GUEST_TOOLS, FLAGS, "kexec", &program)?;
    let mut test = Archive::new();
    test.file("tests/kexec", 0o755, include_bytes!("../../guest/kexec"));
    let mut initrd = read(&guest.initrd)?;
    initrd.extend(test.finish());
    let mut second = Archive::new();
    second.directory("kexec");
    second.file("kexec/kexec", 0o755, &read(&program)?);
    second.file("kexec/vmlinux", 0o644, &read(&guest.kernel)?);
    second.file("kexec/initrd", 0o644, &initrd);
    initrd.extend(second.finish());
    let path = directory.join("kexec.cpio");
    fs::write(&path, initrd).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Fetched { initrd: path, ..guest.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_names_of_their_own() {
        let names = ROWS.map(Row::name);
        assert_eq!(names[0], "kexec-now-radix-xive-2");
        assert!(names.iter().all(|name| names.iter().filter(|other| other == &name).count() == 1));
    }
}
