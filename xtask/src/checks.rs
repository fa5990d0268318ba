//! The boot checks: each is a real boot of a stock kernel, and asserts what the guest itself said.

pub mod hosts;
mod kexec;
mod levels;
pub mod matrix;
pub mod migrations;
mod saved;
mod topology;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::device_tree::{self, Properties};
use crate::direct;
use crate::emulator::{Action, Boot, Emulator, Outcome, watch};
use crate::guests::{self, Fetched};
use crate::load;
use crate::migrate;
use crate::paths;
use crate::run;
use crate::tally::Tally;

/// The guest of all checks that are not about the kernel.
const GUEST: &str = "debian-6.12";
/// The guest that boots with the fewest instructions.
const SHORT_GUEST: &str = "debian-6.1";
/// `PPC_FEATURE2_SCV` of AT_HWCAP2: the kernel has set up `scv` (Linux `Documentation/arch/powerpc/elf_hwcaps.rst`).
pub const HWCAP2_SCV: u64 = 0x0010_0000;
/// What shows that CPUs work together.
const SMP_TESTS: &str = "boot,smp,hotplug,interrupts";
/// Guests and processors that boot with hash translation: each kernel, and each processor.
const HASH: [(&str, &str); 4] =
    [("debian-6.12", "power9"), ("debian-6.1", "power10"), ("debian-6.12-64k", "power8"), ("debian-sid", "power8")];
/// How long a guest is under load.
const LOAD_SECONDS: u64 = 10;
/// The machine serves an Open Firmware client interface.
const VOF: &str = "x-vof=on";
/// The last line of what init says before it starts the shell.
const BANNER_END: &str = "'reboot' starts it again.";

/// What the checks run on.
#[derive(Debug)]
pub struct Plan {
    /// The emulator under test.
    pub emulator: Emulator,
    /// Only the checks whose name contains this.
    pub only: Option<String>,
    /// Also the checks that take too long for every day.
    pub thorough: bool,
    /// A mirror instead of the machine's own.
    pub mirror: Option<String>,
}

impl Plan {
    fn guest(&self, name: &str) -> Result<Fetched> {
        guests::ready(name, self.mirror.as_deref())
    }

    fn boot(&self, test: &str) -> Result<Boot> {
        Ok(self.boot_of(&self.guest(GUEST)?, test))
    }

    /// Translated, and each time from nothing: no check depends on what another one left behind.
    fn boot_of(&self, guest: &Fetched, test: &str) -> Boot {
        let mut boot = Boot::of(self.emulator, guest, test);
        boot.execution = options(["-accel", "jit", "-code-cache", "none"]);
        boot
    }
}

/// Words as options.
pub fn options<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

type Body = Box<dyn Fn(&Plan) -> Result<String>>;

struct Check {
    name: String,
    /// Needs something that QEMU does not have or spells otherwise.
    aileron_only: bool,
    /// Done with [`Plan::thorough`] only.
    thorough: bool,
    body: Body,
}

/// Runs the checks; a failed one does not stop the others.
pub fn run_all(plan: &Plan, tally: &mut Tally) -> Result<()> {
    let wanted = |check: &Check| {
        (plan.thorough || !check.thorough) && plan.only.as_ref().is_none_or(|only| check.name.contains(only.as_str()))
    };
    let all = all_checks();
    ensure!(
        all.iter().any(wanted),
        "no check has {:?} in its name{}; there are: {}",
        plan.only.as_deref().unwrap_or_default(),
        if plan.thorough { "" } else { " and is done without --thorough" },
        all.iter().map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ")
    );
    for check in all.iter().filter(|check| wanted(check)) {
        if check.aileron_only && plan.emulator != Emulator::Aileron {
            println!("      {}: only on Aileron, left out", check.name);
            continue;
        }
        tally.check(&check.name, || (check.body)(plan));
    }
    Ok(())
}

fn all_checks() -> Vec<Check> {
    let mut checks = Vec::new();
    let mut add = |name: &str, aileron_only: bool, body: Body| {
        checks.push(Check { name: name.to_owned(), aileron_only, thorough: false, body })
    };
    for guest in guests::GUESTS {
        for cpu in ["power9", "power10"] {
            add(&format!("boot-{}-{cpu}", guest.name), false, Box::new(move |plan| boots(plan, guest.name, cpu)));
        }
    }
    for (guest, cpu) in HASH {
        add(&format!("hash-{guest}-{cpu}"), false, Box::new(move |plan| hash(plan, guest, cpu, 1)));
    }
    add("hash-smp-2", false, Box::new(|plan| hash(plan, GUEST, "power9", 2)));
    add("hash-lockstep", true, Box::new(|plan| lockstep(plan, SHORT_GUEST, Mmu::Hash)));
    add("shell-reboot-poweroff", false, Box::new(shell));
    add("ail-on", false, Box::new(ail_on));
    add("ail-off", true, Box::new(ail_off));
    for (host, set, mmu) in hosts::DAILY {
        add(&format!("host-{host}"), true, Box::new(move |plan| hosts::check(plan, host, set, mmu)));
    }
    for cpus in [2, 4] {
        add(&format!("smp-{cpus}"), false, Box::new(move |plan| smp(plan, GUEST, cpus)));
    }
    let [(cpu, level), rarely @ ..] = levels::LEVELS;
    add(&format!("level-{cpu}-{level}"), false, Box::new(move |plan| levels::boots(plan, cpu, level)));
    for row in matrix::ROWS.into_iter().filter(|row| row.daily) {
        add(&row.name(), true, Box::new(move |plan| row.translated(plan)));
    }
    add("smt-4", true, Box::new(|plan| topology::threads(plan, GUEST, "4,threads=4", "radix")));
    add("numa", true, Box::new(|plan| topology::nodes_as_qemu(plan, "pseries")));
    for row in kexec::ROWS.into_iter().filter(|row| row.daily) {
        add(&row.name(), false, Box::new(move |plan| row.run(plan)));
    }
    for row in saved::ROWS.into_iter().filter(|row| row.daily) {
        add(&row.name(), true, Box::new(move |plan| row.run(plan)));
    }
    add("migrations", true, Box::new(migrations::some));
    for row in migrate::ROWS.into_iter().filter(|row| row.daily) {
        add(&row.name(), true, Box::new(move |plan| row.run(&plan.guest(GUEST)?)));
    }
    add("xics", false, Box::new(xics));
    // `cargo xtask load` has them all, for longer.
    for row in [load::ROWS[0], load::ROWS[3]] {
        add(&format!("load-{}", row.name()), true, Box::new(move |plan| row.run(&plan.guest(GUEST)?, 4, LOAD_SECONDS)));
    }
    add("xive-off", true, Box::new(xive_off));
    for guest in guests::GUESTS {
        add(&format!("vof-{}", guest.name), false, Box::new(move |plan| vof_boots(plan, guest.name)));
    }
    add("vof-smp", false, Box::new(vof_smp));
    for words in ["", "disable_radix", "xive=off"] {
        let name = if words.is_empty() { "tree-vof".to_owned() } else { format!("tree-vof-{words}") };
        add(&name, true, Box::new(move |plan| trees_of_both_ways(plan, words)));
    }
    add("tree-as-qemu", true, Box::new(tree_as_qemu));
    add("no-reboot", false, Box::new(no_reboot));
    add("panic", true, Box::new(panic));
    add("idle", false, Box::new(idle));
    for cpus in [1, 2] {
        add(&format!("virtual-clock-{cpus}"), true, Box::new(move |plan| virtual_clock(plan, cpus)));
    }
    add("interpreter", true, Box::new(interpreter));
    add("lockstep", true, Box::new(|plan| lockstep(plan, SHORT_GUEST, Mmu::Radix)));
    add("code-cache", true, Box::new(code_cache));
    add("tree-dtc", true, Box::new(tree_passes_dtc));
    add("tree-under-qemu", true, Box::new(tree_boots_under_qemu));
    let mut add_thorough =
        |name: String, aileron_only: bool, body: Body| checks.push(Check { name, aileron_only, thorough: true, body });
    for row in kexec::ROWS.into_iter().filter(|row| !row.daily) {
        add_thorough(row.name(), false, Box::new(move |plan| row.run(plan)));
    }
    for row in saved::ROWS.into_iter().filter(|row| !row.daily) {
        add_thorough(row.name(), true, Box::new(move |plan| row.run(plan)));
    }
    for (cpu, level) in rarely {
        add_thorough(format!("level-{cpu}-{level}"), false, Box::new(move |plan| levels::boots(plan, cpu, level)));
    }
    for guest in guests::GUESTS {
        for cpus in [2, 4].into_iter().filter(|_| guest.name != GUEST) {
            add_thorough(
                format!("smp-{cpus}-{}", guest.name),
                false,
                Box::new(move |plan| smp(plan, guest.name, cpus)),
            );
        }
        for (line, mmu) in [("4,threads=4", "radix"), ("4,threads=2", "hash")] {
            add_thorough(
                format!("smt-{line}-{mmu}-{}", guest.name),
                true,
                Box::new(move |plan| topology::threads(plan, guest.name, line, mmu)),
            );
        }
        if guest.name != SHORT_GUEST {
            add_thorough(
                format!("lockstep-{}", guest.name),
                true,
                Box::new(move |plan| lockstep(plan, guest.name, Mmu::Radix)),
            );
        }
    }
    add_thorough("numa-form1".to_owned(), true, Box::new(|plan| topology::nodes_as_qemu(plan, "pseries-6.1")));
    checks
}

/// A boot that came to its end as the guest wished.
pub fn ended_well(outcome: &Outcome) -> Result<()> {
    let end = outcome.value("end");
    let good = !outcome.timed_out && outcome.status.success() && end.as_ref().is_ok_and(|end| end == "ok");
    if good {
        return Ok(());
    }
    let text = outcome.text();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let ended =
        if outcome.timed_out { "ended from outside after the timeout".to_owned() } else { outcome.status.to_string() };
    let said = end.unwrap_or_else(|_| "nothing".to_owned());
    bail!(
        "expected `AILERON-TEST end: ok` and exit status 0; the guest's end is {said:?}, the emulator's: {ended}\n\
         last lines of the console:\n{}\nlast words of the emulator:\n{}\ncommand: {}",
        lines[lines.len().saturating_sub(12)..].join("\n"),
        outcome
            .stderr
            .trim_end()
            .lines()
            .rev()
            .take(8)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("\n"),
        outcome.command
    )
}

/// The guest said this.
pub fn expect(outcome: &Outcome, name: &str, wanted: &str) -> Result<()> {
    let found = outcome.value(name)?;
    ensure!(found == wanted, "the guest's {name} is {found:?}, expected {wanted:?}; command: {}", outcome.command);
    Ok(())
}

/// A number that the guest said.
pub fn hexadecimal(outcome: &Outcome, name: &str) -> Result<u64> {
    let value = outcome.value(name)?;
    u64::from_str_radix(value.trim_start_matches("0x"), 16)
        .with_context(|| format!("the guest's {name} is no number: {value:?}"))
}

fn spent(outcome: &Outcome) -> String {
    format!("{:.1} s, CPU {:.1} s", outcome.spent.wall.as_secs_f64(), outcome.spent.cpu.as_secs_f64())
}

fn boots(plan: &Plan, guest: &str, cpu: &'static str) -> Result<String> {
    let guest = plan.guest(guest)?;
    let boot = Boot { cpu, ..plan.boot_of(&guest, "boot") };
    let outcome = boot.run(&format!("boot-{}-{cpu}", guest.name))?;
    ended_well(&outcome)?;
    is_guest(&outcome, &guest, cpu)?;
    expect(&outcome, "online", "0")?;
    let unimplemented = outcome.stderr.lines().filter(|line| line.contains("unimplemented")).count();
    let note = if unimplemented == 0 {
        String::new()
    } else {
        format!(", {unimplemented} things unimplemented (see the log)")
    };
    Ok(format!("{}, {}{note}", guest.release, spent(&outcome)))
}

/// How the guest translates, as `/proc/cpuinfo` spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mmu {
    /// Radix trees.
    Radix,
    /// A hash table.
    Hash,
}

/// Each kernel and processor with hash translation: no radix on a POWER8, and elsewhere none on the command line.
fn hash(plan: &Plan, guest: &str, cpu: &'static str, cpus: u32) -> Result<String> {
    let guest = plan.guest(guest)?;
    let mut boot = Boot { cpu, cpus, ..plan.boot_of(&guest, if cpus == 1 { "boot" } else { "boot,smp,hotplug" }) };
    if cpu != "power8" {
        boot.append.push("disable_radix".to_owned());
    }
    let outcome = boot.run(&format!("hash-{}-{cpu}-{cpus}", guest.name))?;
    ended_well(&outcome)?;
    is_guest_with(&outcome, &guest, cpu, Mmu::Hash)?;
    if cpus > 1 {
        expect(&outcome, "cpus", &cpus.to_string())?;
        expect(&outcome, "checksums", "16 of 16 right")?;
        expect(&outcome, "cycled", &(cpus - 1).to_string())?;
    }
    Ok(format!("{}, {}", guest.release, spent(&outcome)))
}

/// [`is_guest_with`] radix translation.
fn is_guest(outcome: &Outcome, guest: &Fetched, cpu: &str) -> Result<()> {
    is_guest_with(outcome, guest, cpu, Mmu::Radix)
}

/// The guest itself says which kernel, processor and page size it has, and that its kernel complained of nothing.
fn is_guest_with(outcome: &Outcome, guest: &Fetched, cpu: &str, mmu: Mmu) -> Result<()> {
    expect(outcome, "kernel", &guest.release)?;
    expect(outcome, "machine", "ppc64le")?;
    expect(outcome, "mmu", &format!("{mmu:?}"))?;
    expect(outcome, "complaints", "0")?;
    let page_bytes = guest.page_bytes;
    let found = hexadecimal(outcome, "page-size")?;
    ensure!(found == page_bytes, "the guest's pages have {found:#x} bytes, expected {page_bytes:#x}");
    let found = outcome.value("cpu")?;
    // "POWER9 (architected), altivec supported"
    let model = found.split([' ', ',']).next().unwrap_or_default();
    ensure!(model == cpu.to_uppercase(), "the guest sees the processor {found:?}, expected {}", cpu.to_uppercase());
    Ok(())
}

/// What a newcomer does: a shell, a command, `reboot`, a shell again, `poweroff`.
fn shell(plan: &Plan) -> Result<String> {
    let mut boot = plan.boot("")?;
    boot.append.clear();
    boot.no_reboot = false;
    boot.dialogue = vec![
        (BANNER_END, Action::Mark),
        ("# ", Action::Send("echo shell-$((40 + 2))\n")),
        ("shell-42", Action::Mark),
        ("# ", Action::Send("reboot\n")),
        (BANNER_END, Action::Mark),
        ("# ", Action::Send("poweroff\n")),
    ];
    let outcome = boot.run("shell")?;
    ensure!(
        !outcome.timed_out,
        "timeout after {} of {} steps of the dialogue; {}",
        outcome.steps,
        boot.dialogue.len(),
        outcome.command
    );
    ensure!(
        outcome.steps == boot.dialogue.len(),
        "ended ({}) after {} of {} steps of the dialogue; {}",
        outcome.status,
        outcome.steps,
        boot.dialogue.len(),
        outcome.command
    );
    ensure!(outcome.status.success(), "poweroff in the shell ended the emulator with {}", outcome.status);
    Ok(spent(&outcome))
}

/// Runs `hwcap` and `dmesg-ail` with every interrupt logged; gives the outcome and (interrupts, `scv` among them).
fn ail(plan: &Plan, name: &str, capability: Option<&str>) -> Result<(Outcome, usize, usize)> {
    let mut boot = plan.boot("hwcap,dmesg-ail")?;
    boot.machine.extend(capability.map(str::to_owned));
    let log = paths::checks().join(format!("{name}.int"));
    paths::make_directory(&paths::checks())?;
    boot.options = vec!["-d".to_owned(), "int".to_owned(), "-D".to_owned(), log.display().to_string()];
    let outcome = boot.run(name)?;
    ended_well(&outcome)?;
    let (all, scv) = count_interrupts(&log)?;
    // Nobody reads it when all is well, and it is long.
    fs::remove_file(&log).with_context(|| format!("cannot remove {}", log.display()))?;
    ensure!(all > 1000, "the log of -d int has {all} lines, expected one for each interrupt of a boot");
    Ok((outcome, all, scv))
}

/// Lines of a `-d int` log, and those that tell of `scv`.
fn count_interrupts(log: &Path) -> Result<(usize, usize)> {
    let bytes = fs::read(log).with_context(|| format!("-d int -D wrote no {}", log.display()))?;
    let text = String::from_utf8_lossy(&bytes);
    Ok((text.lines().count(), text.lines().filter(|line| tells_of_scv(line)).count()))
}

/// The interrupt by Aileron's, QEMU's or the Power ISA's name.
fn tells_of_scv(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    line.contains("system call vectored")
        || line.contains("system-call-vectored")
        || line.contains("syscall_vectored")
        || line.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| word == "scv")
}

fn ail_on(plan: &Plan) -> Result<String> {
    let capability = (plan.emulator == Emulator::Aileron).then_some("cap-ail-modes=0+3");
    let (outcome, all, scv) = ail(plan, "ail-on", capability)?;
    let hwcap2 = hexadecimal(&outcome, "hwcap2")?;
    ensure!(hwcap2 & HWCAP2_SCV != 0, "AT_HWCAP2 is {hwcap2:#x}, expected {HWCAP2_SCV:#x} in it");
    expect(&outcome, "dmesg-ail", "none")?;
    ensure!(scv > 0, "no scv among {all} interrupts, although AT_HWCAP2 offers it");
    Ok(format!("AT_HWCAP2 {hwcap2:#x}, {scv} scv of {all} interrupts"))
}

fn ail_off(plan: &Plan) -> Result<String> {
    let (outcome, all, scv) = ail(plan, "ail-off", Some("cap-ail-modes=0"))?;
    let hwcap2 = hexadecimal(&outcome, "hwcap2")?;
    ensure!(hwcap2 & HWCAP2_SCV == 0, "AT_HWCAP2 is {hwcap2:#x}, expected no {HWCAP2_SCV:#x} in it");
    expect(&outcome, "dmesg-ail", "Unable to enable relocation on exceptions: -256")?;
    ensure!(scv == 0, "{scv} scv among {all} interrupts, although the guest must not use it");
    Ok(format!("AT_HWCAP2 {hwcap2:#x}, no scv among {all} interrupts"))
}

/// With XIVE, which Linux wants where it is offered.
fn smp(plan: &Plan, guest: &str, cpus: u32) -> Result<String> {
    let boot = Boot { cpus, ..plan.boot_of(&plan.guest(guest)?, SMP_TESTS) };
    works_together(&boot, &format!("smp-{cpus}-{guest}"), "XIVE")
}

/// The same with XICS.
fn xics(plan: &Plan) -> Result<String> {
    let boot = Boot { cpus: 4, machine: vec!["ic-mode=xics".to_owned()], ..plan.boot(SMP_TESTS)? };
    works_together(&boot, "xics", "XICS")
}

/// The machine decides as a kernel with this command line would have in a negotiation.
fn xive_off(plan: &Plan) -> Result<String> {
    let mut boot = Boot { cpus: 2, ..plan.boot(SMP_TESTS)? };
    boot.append.push("xive=off".to_owned());
    works_together(&boot, "xive-off", "XICS")
}

fn works_together(boot: &Boot, name: &str, controller: &str) -> Result<String> {
    let outcome = boot.run(name)?;
    let ipis = works_together_in(boot, &outcome, controller)?;
    Ok(format!("{controller}, {ipis} interrupts between processors, {}", spent(&outcome)))
}

/// Interrupts between processors, through the controller or by doorbells.
fn works_together_in(boot: &Boot, outcome: &Outcome, controller: &str) -> Result<u64> {
    let cpus = boot.cpus;
    ended_well(outcome)?;
    expect(outcome, "controller", controller)?;
    expect(outcome, "wake-ups", "2000 of 2000")?;
    let ipis = number_of(&outcome.value("ipis")?)? + number_of(&outcome.value("doorbells")?)?;
    ensure!(ipis > 1000, "{ipis} interrupts between processors, expected more than 1000; {}", outcome.command);
    expect(outcome, "online", &format!("0-{}", cpus - 1))?;
    expect(outcome, "cpus", &cpus.to_string())?;
    expect(outcome, "checksums", "16 of 16 right")?;
    expect(outcome, "cycled", &(cpus - 1).to_string())?;
    expect(outcome, "online-after", &format!("0-{}", cpus - 1))?;
    expect(outcome, "complaints", "0")?;
    Ok(ipis)
}

/// Entered with a client interface, a kernel negotiates what the direct way decides for it.
fn vof_boots(plan: &Plan, guest: &str) -> Result<String> {
    let guest = plan.guest(guest)?;
    let boot = Boot { machine: vec![VOF.to_owned()], ..plan.boot_of(&guest, "boot") };
    let outcome = boot.run(&format!("vof-{}", guest.name))?;
    ended_well(&outcome)?;
    is_guest(&outcome, &guest, boot.cpu)?;
    Ok(format!("{}, {}", guest.release, spent(&outcome)))
}

/// Processors are started through an RTAS that the guest has put where it wanted it.
fn vof_smp(plan: &Plan) -> Result<String> {
    let boot = Boot { cpus: 4, machine: vec![VOF.to_owned()], ..plan.boot(SMP_TESTS)? };
    works_together(&boot, "vof-smp", "XIVE")
}

/// The tree that a guest printed.
fn tree_of(boot: &Boot, name: &str) -> Result<Properties> {
    let outcome = boot.run(name)?;
    ended_well(&outcome)?;
    let found = device_tree::printed(&outcome.text());
    ensure!(found.len() > 100, "the guest printed {} properties of its tree; {}", found.len(), outcome.command);
    Ok(found)
}

/// Whether a negotiation ends where the machine says that it would.
fn trees_of_both_ways(plan: &Plan, words: &str) -> Result<String> {
    let mut boot = Boot { cpus: 2, ..plan.boot("device-tree")? };
    boot.append.extend((!words.is_empty()).then(|| words.to_owned()));
    // Random bytes are the same in both.
    boot.options = ["--seed", "7"].map(str::to_owned).to_vec();
    let direct = tree_of(&boot, &format!("tree-direct{words}"))?;
    boot.machine.push(VOF.to_owned());
    let negotiated = tree_of(&boot, &format!("tree-vof{words}"))?;
    let differences = device_tree::differences(&direct, &negotiated, device_tree::OF_FIRMWARE);
    ensure!(differences.is_empty(), "the trees differ (direct, negotiated):\n{}", differences.join("\n"));
    Ok(format!("{} properties", direct.len()))
}

/// What QEMU's machine and this one both tell of, they tell alike.
fn tree_as_qemu(plan: &Plan) -> Result<String> {
    let boot = Boot { cpus: 2, machine: vec![VOF.to_owned()], ..plan.boot("device-tree")? };
    let ours = tree_of(&boot, "tree-as-qemu-aileron")?;
    let theirs = tree_of(&Boot { emulator: Emulator::Qemu, ..boot }, "tree-as-qemu-qemu")?;
    Ok(format!("{} properties that both have", same_where_both_tell(&ours, &theirs)?))
}

/// How many properties both trees have; those have the same values, but for the known ones.
fn same_where_both_tell(ours: &Properties, theirs: &Properties) -> Result<usize> {
    let both = |tree: &Properties, other: &Properties| -> Properties {
        tree.iter().filter(|(name, _)| other.contains_key(*name)).map(|(a, b)| (a.clone(), b.clone())).collect()
    };
    let (ours, theirs) = (both(ours, theirs), both(theirs, ours));
    let differences = device_tree::differences(&ours, &theirs, device_tree::NOT_AS_QEMU);
    ensure!(differences.is_empty(), "the trees differ (Aileron, QEMU):\n{}", differences.join("\n"));
    Ok(ours.len())
}

fn no_reboot(plan: &Plan) -> Result<String> {
    let outcome = plan.boot("reboot")?.run("no-reboot")?;
    ensure!(!outcome.timed_out, "still running after the timeout: {}", outcome.command);
    expect(&outcome, "reboot", "asked")?;
    let asked = outcome.text().matches("AILERON-TEST reboot: asked").count();
    ensure!(
        asked == 1 && outcome.value("end").is_err(),
        "asked for {asked} reboots, expected the first to end the emulator"
    );
    ensure!(outcome.status.success(), "with -no-reboot the guest's reboot ended the emulator with {}", outcome.status);
    Ok(spent(&outcome))
}

/// A kernel that gives up ends the emulator, which says so and fails.
fn panic(plan: &Plan) -> Result<String> {
    let mut boot = plan.boot("")?;
    boot.append = ["rdinit=/nonexistent", "cryptomgr.notests"].map(str::to_owned).to_vec();
    let outcome = boot.run("panic")?;
    ensure!(!outcome.timed_out, "still running after the timeout: {}", outcome.command);
    ensure!(outcome.text().contains("Kernel panic"), "the kernel did not panic: {}", outcome.command);
    ensure!(
        outcome.status.code() == Some(1) && outcome.stderr.contains("the guest panicked"),
        "expected exit status 1 and an error that tells of the panic; {}\n{}",
        outcome.status,
        outcome.stderr
    );
    Ok(spent(&outcome))
}

/// A guest that sleeps costs the host nothing, and five seconds take five seconds.
fn idle(plan: &Plan) -> Result<String> {
    let mut boot = plan.boot("idle")?;
    // The kernel tests its ciphers in the background for seconds: such a guest is not idle.
    boot.append.push("cryptomgr.notests".to_owned());
    boot.dialogue = vec![("AILERON-TEST idle: begin", Action::Mark), ("AILERON-TEST idle: end", Action::Mark)];
    let outcome = boot.run("idle")?;
    ended_well(&outcome)?;
    let [begin, end] = outcome.marks[..] else { bail!("the guest did not tell begin and end of its sleep") };
    let (wall, cpu) = (end.wall - begin.wall, end.cpu - begin.cpu);
    // Only bounds that a busy host cannot break: it makes walls longer, and CPU time no longer.
    ensure!(wall > Duration::from_millis(4500), "five seconds of the guest took {wall:?}: its clock runs too fast");
    ensure!(cpu < Duration::from_millis(2500), "five idle seconds of the guest cost {cpu:?} of CPU time");
    Ok(format!("five idle seconds cost {:.2} s of CPU time", cpu.as_secs_f64()))
}

/// The interpreter alone boots as well.
fn interpreter(plan: &Plan) -> Result<String> {
    let boot = Boot { execution: options(["-accel", "interp"]), ..plan.boot("boot")? };
    let outcome = boot.run("interpreter")?;
    ended_well(&outcome)?;
    is_guest(&outcome, &boot.guest, boot.cpu)?;
    Ok(format!("{}, {}", boot.guest.release, spent(&outcome)))
}

/// The interpreter and the compiler side by side find no difference.
fn lockstep(plan: &Plan, guest: &str, mmu: Mmu) -> Result<String> {
    let mut boot = plan.boot_of(&plan.guest(guest)?, "boot");
    if mmu == Mmu::Hash {
        boot.append.push("disable_radix".to_owned());
    }
    boot.execution = options(["-accel", "lockstep", "--stats"]);
    boot.append.push("cryptomgr.notests".to_owned());
    let outcome = boot.run(&format!("lockstep-{guest}-{mmu:?}"))?;
    ended_well(&outcome)?;
    is_guest_with(&outcome, &boot.guest, boot.cpu, mmu)?;
    // One that translates nothing finds no difference either.
    let entries = number(&outcome, "entries into translated code")?;
    ensure!(entries > 100_000, "the follower entered translated code {entries} times only; {}", outcome.command);
    let retired = number(&outcome, "retired instructions")?;
    Ok(format!("{}, {retired} instructions, {entries} pieces, {}", boot.guest.release, spent(&outcome)))
}

/// A second boot takes compiled code from the file that the first one left, and says the same.
fn code_cache(plan: &Plan) -> Result<String> {
    let folder = std::env::temp_dir().join(format!("aileron-check-{}", std::process::id()));
    fs::create_dir(&folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let result = two_boots_with(plan, &folder.join("code-cache"));
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove the folder {}", folder.display()))?;
    result
}

fn two_boots_with(plan: &Plan, file: &Path) -> Result<String> {
    let mut boot = plan.boot("boot")?;
    boot.execution = options(["-accel", "jit", "--stats", "-code-cache", &file.display().to_string()]);
    let mut told: Option<Vec<String>> = None;
    let mut counts = Vec::new();
    for run in ["first", "second"] {
        let outcome = boot.run(&format!("code-cache-{run}"))?;
        ended_well(&outcome)?;
        is_guest(&outcome, &boot.guest, boot.cpu)?;
        counts.push((
            number(&outcome, "regions compiled")?,
            number(&outcome, "regions from the cache file")?,
            spent(&outcome),
        ));
        let lines: Vec<String> =
            outcome.text().lines().filter(|line| line.contains("AILERON-TEST")).map(str::to_owned).collect();
        if let Some(told) = &told {
            ensure!(*told == lines, "the first boot says {told:?}, the second {lines:?}");
        }
        told = Some(lines);
        ensure!(fs::metadata(file).is_ok_and(|file| file.len() > 0), "no code cache in {}", file.display());
    }
    let [(made, none, first), (anew, found, second)] = &counts[..] else { bail!("expected two boots") };
    ensure!(*none == 0, "the first boot took {none} regions from a file that was not there");
    ensure!(
        *made > 100 && found > anew && *found > 0,
        "{made} regions compiled in the first boot, {anew} in the second, which took {found} from the file; expected \
         more from the file than compiled anew"
    );
    Ok(format!("{made} regions compiled ({first}), then {anew} and {found} from the file ({second})"))
}

/// The first number of a statistic.
fn number(outcome: &Outcome, name: &str) -> Result<u64> {
    let text = outcome.statistic(name)?;
    number_of(&text).with_context(|| format!("after `{name}:`"))
}

/// The number at the beginning of `text`.
fn number_of(text: &str) -> Result<u64> {
    let digits = text.split(' ').next().unwrap_or_default();
    digits.parse().with_context(|| format!("expected a number, found {text:?}"))
}

/// Under the virtual clock the same command gives the same run, bit for bit, however guest code is executed.
fn virtual_clock(plan: &Plan, cpus: u32) -> Result<String> {
    // Idle too: nobody waits for virtual time, and nothing hangs where no vCPU has anything to do.
    let mut boot = Boot { cpus, ..plan.boot("boot,smp,idle")? };
    boot.options = ["-icount", "shift=0", "--seed", "7", "--state-hash"].map(str::to_owned).to_vec();
    let mut runs = Vec::new();
    for (run, accelerator) in [("first", "jit"), ("second", "jit"), ("interpreted", "interp")] {
        boot.execution = options(["-accel", accelerator, "-code-cache", "none"]);
        let outcome = boot.run(&format!("virtual-clock-{cpus}-{run}"))?;
        ended_well(&outcome)?;
        let hash = outcome.statistic("state hash")?;
        ensure!(!hash.is_empty(), "the state hash is empty");
        runs.push((outcome, hash));
    }
    let [(first, first_hash), others @ ..] = &runs[..] else { bail!("expected three runs") };
    for (other, other_hash) in others {
        if first.console != other.console {
            let (one, two) = (first.text(), other.text());
            let differing = one.lines().zip(two.lines()).enumerate().find(|(_, (one, two))| one != two);
            bail!(
                "two runs print different consoles, first difference (line, first, other): {differing:?}\n{}\n{}",
                first.command,
                other.command
            );
        }
        ensure!(
            first_hash == other_hash,
            "the same console, but state hash {first_hash} and {other_hash}\n{}\n{}",
            first.command,
            other.command
        );
    }
    Ok(format!("state hash {first_hash} twice translated and once interpreted"))
}

/// Has Aileron write the tree that it would enter a guest with.
fn dump_tree(boot: &Boot, name: &str) -> Result<std::path::PathBuf> {
    let tree = paths::checks().join(format!("{name}.dtb"));
    paths::make_directory(&paths::checks())?;
    if tree.exists() {
        fs::remove_file(&tree).with_context(|| format!("cannot remove {}", tree.display()))?;
    }
    let mut dumping = boot.clone();
    dumping.machine.push(format!("dumpdtb={}", tree.display()));
    let outcome = dumping.run(&format!("{name}-dump"))?;
    ensure!(
        outcome.status.success() && !outcome.timed_out && tree.exists(),
        "expected a tree in {} and exit status 0; {}\n{}\ncommand: {}",
        tree.display(),
        outcome.status,
        outcome.stderr,
        outcome.command
    );
    Ok(tree)
}

fn tree_passes_dtc(plan: &Plan) -> Result<String> {
    let boot = Boot { cpus: 2, ..plan.boot("boot")? };
    let tree = dump_tree(&boot, "tree-dtc")?;
    let source = tree.with_extension("dts");
    let mut dtc = Command::new("dtc");
    dtc.args(["-I", "dtb", "-O", "dts", "-o"]).arg(&source).arg(&tree);
    let output = dtc.output().context("cannot run dtc (Debian package device-tree-compiler)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.contains("ERROR"), "`{}`: {}\n{said}", run::spelled(&dtc), output.status);
    let lines =
        fs::read_to_string(&source).with_context(|| format!("dtc wrote no {}", source.display()))?.lines().count();
    Ok(format!("{lines} lines of source, {} warnings", said.lines().filter(|line| line.contains("Warning")).count()))
}

/// With XICS: QEMU lets a guest use XIVE only behind a negotiation, which a kernel that is entered so does not make.
fn tree_boots_under_qemu(plan: &Plan) -> Result<String> {
    let boot = Boot { cpus: 2, machine: vec!["ic-mode=xics".to_owned()], ..plan.boot("boot")? };
    let tree = dump_tree(&boot, "tree-under-qemu")?;
    let command = direct::under_qemu(boot.clone(), &tree, &paths::checks())?;
    let outcome = watch(command, &boot.dialogue, boot.timeout)?;
    outcome.keep("tree-under-qemu")?;
    ended_well(&outcome)?;
    is_guest(&outcome, &boot.guest, boot.cpu)?;
    expect(&outcome, "online", "0-1")?;
    Ok(format!("{} under QEMU, {}", boot.guest.release, spent(&outcome)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_checks_are_unique() {
        let mut names: Vec<String> = all_checks().into_iter().map(|check| check.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn lines_that_tell_of_scv() {
        assert!(tells_of_scv("Raise exception at 00007fff9a0 => SYSCALL_VECTORED (6a)"));
        assert!(tells_of_scv("cpu0 System Call Vectored at 0x1234"));
        assert!(tells_of_scv("cpu 0: scv 0 from 0x1234"));
        assert!(!tells_of_scv("Raise exception at 00007fff9a0 => SYSCALL (08)"));
        assert!(!tells_of_scv("srr0 0xc000000000012345 describe descv"));
    }
}
