//! Threads of cores, and NUMA nodes, as the kernel sees them.

use anyhow::{Result, ensure};

use super::{Plan, VOF, ended_well, number_of, same_where_both_tell, spent, works_together_in};
use crate::device_tree;
use crate::emulator::{Boot, Emulator};

/// Four vCPUs in cores of several threads, which ring for each other. QEMU before 8.2 has no threads.
pub fn threads(plan: &Plan, guest: &str, line: &str, mmu: &str) -> Result<String> {
    let mut boot = Boot { cpus: 4, ..plan.boot_of(&plan.guest(guest)?, "boot,topology,smp,hotplug,interrupts") };
    boot.machine.push(format!("mmu={mmu}"));
    boot.options = vec!["-smp".to_owned(), line.to_owned()];
    let outcome = boot.run(&format!("smt-{line}-{mmu}-{guest}"))?;
    works_together_in(&boot, &outcome, "XIVE")?;
    let text = outcome.text();
    let siblings = if line.ends_with("threads=4") { "0-3" } else { "2-3" };
    let told = device_tree::topology(&text);
    let wanted = format!("cpu/cpu2/topology/thread_siblings_list {siblings}");
    ensure!(told.contains(&wanted.as_str()), "the guest does not say `{wanted}`; {}", outcome.command);
    let doorbells = number_of(&outcome.value("doorbells")?)?;
    ensure!(doorbells > 0, "threads of a core rang for nobody; {}", outcome.command);
    Ok(format!("{doorbells} doorbells, {}", spent(&outcome)))
}

/// Two nodes: the tree and what the kernel makes of it are the same as under QEMU with the same line.
pub fn nodes_as_qemu(plan: &Plan, machine: &str) -> Result<String> {
    let mut boot = Boot { cpus: 4, memory: "1280M", ..plan.boot("topology,device-tree")? };
    boot.machine.push(VOF.to_owned());
    boot.machine.push(format!("type={machine}"));
    // Sockets are said: old machines of QEMU would rather have four of them.
    let line = "-smp 4,sockets=1,cores=4 -object memory-backend-ram,id=a,size=768M \
                -object memory-backend-ram,id=b,size=512M -numa node,cpus=0-1,memdev=a \
                -numa node,cpus=2-3,memdev=b -numa dist,src=0,dst=1,val=40";
    boot.options = line.split_whitespace().map(str::to_owned).collect();
    let ours = boot.run(&format!("numa-{machine}-aileron"))?;
    let theirs = Boot { emulator: Emulator::Qemu, ..boot }.run(&format!("numa-{machine}-qemu"))?;
    ended_well(&ours)?;
    ended_well(&theirs)?;
    let (ours, theirs) = (ours.text(), theirs.text());
    let (told, expected) = (device_tree::topology(&ours), device_tree::topology(&theirs));
    ensure!(told.len() > 40 && told == expected, "the kernel makes different nodes of it:\n{told:#?}\n{expected:#?}");
    ensure!(told.contains(&"node/node1/distance 40 10"), "node 1 is not 40 away: {told:#?}");
    let (ours, theirs) = (device_tree::printed(&ours), device_tree::printed(&theirs));
    let count = same_where_both_tell(&ours, &theirs)?;
    Ok(format!("{} lines of sysfs, {count} properties that both have", told.len()))
}
