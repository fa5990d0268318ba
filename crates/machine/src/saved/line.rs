//! What of a machine's command line a saved partition depends on, and what to do where it differs.

use crate::board::Config;
use crate::error::MachineError;
use crate::mmu::Mmu;
use crate::topology::Topology;
use cpu::CpuModel;
use devices::InterruptMode;
use hypervisor::capability::{CapBasis, CapError, IsaLevel};
use snapshot::{FieldError, Io, SectionId};
use std::fmt;

/// Longest name of a machine or processor.
const NAME_BYTES_MAX: u64 = 64;
/// Longest description of nodes.
const NUMA_BYTES_MAX: u64 = 1 << 16;
const MACHINE: &str = "pseries";

/// What of a machine's command line a saved partition depends on, but for its capabilities.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MachineLine {
    /// Type of the machine.
    pub machine: String,
    /// Processor.
    pub cpu: String,
    /// `max-cpu-compat`.
    pub compat: Option<String>,
    /// Size of RAM in bytes.
    pub ram_bytes: u64,
    /// vCPUs and how they are grouped, as `-smp` says it.
    pub smp: String,
    /// `vsmt`.
    pub vsmt: u64,
    /// Nodes of memory and cores.
    pub numa: String,
    /// FORM2 affinity is offered.
    pub form2: bool,
    /// `ic-mode`.
    pub interrupts: InterruptMode,
    /// `mmu`, if it was given.
    pub mmu: Option<Mmu>,
    /// `resize-hpt=disabled`.
    pub fixed_hash_table: bool,
    /// `x-vof`.
    pub client_interface: bool,
    /// Virtual terminals.
    pub terminals: u64,
}

/// One reason why a saved partition cannot go on in a machine, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What does not fit, as the command line calls it.
    pub what: String,
    /// How it is in the saved partition, and how it is here.
    pub differs: String,
    /// What would help.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.what, self.differs, self.remedy)
    }
}

impl Refusal {
    fn new(what: &str, saved: &str, here: &str, option: &str) -> Refusal {
        Refusal {
            what: what.into(),
            differs: format!("the partition has {saved}, this machine {here}"),
            remedy: format!("start this machine with {option}, or the source, at its next boot, as this one"),
        }
    }

    /// A capability, or a value of one, that is not known.
    pub(super) fn unknown_capability(error: &CapError) -> Refusal {
        Refusal {
            what: "capabilities".into(),
            differs: error.to_string(),
            remedy: "use a program that knows it".into(),
        }
    }

    /// There is no machine that could take it.
    pub(super) fn no_machine(error: &MachineError) -> Refusal {
        let differs = format!("this machine does not start: {error}");
        Refusal { what: "-machine".into(), differs, remedy: "start another one".into() }
    }

    pub(super) fn missing_capability(name: &str) -> Refusal {
        Refusal {
            what: format!("cap-{name}"),
            differs: "the snapshot does not say what the partition has".into(),
            remedy: "save it with a program that knows this capability".into(),
        }
    }
}

fn or_none(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}

fn size(bytes: u64) -> String {
    match bytes.trailing_zeros() {
        30.. => format!("{}G", bytes >> 30),
        20.. => format!("{}M", bytes >> 20),
        _ => format!("{}K", bytes >> 10),
    }
}

fn smp(topology: &Topology) -> String {
    let Topology { vcpus, max_vcpus, cores, threads, vsmt: _ } = topology;
    format!("{vcpus},maxcpus={max_vcpus},cores={cores},threads={threads}")
}

fn mode(mode: InterruptMode) -> &'static str {
    match mode {
        InterruptMode::Xics => "xics",
        InterruptMode::Xive => "xive",
        InterruptMode::Dual => "dual",
    }
}

fn mmu(mmu: Option<Mmu>) -> &'static str {
    match mmu {
        None => "what the guest wants",
        Some(Mmu::Radix) => "radix",
        Some(Mmu::Hash) => "hash",
    }
}

impl MachineLine {
    /// Its section.
    pub(super) const ID: SectionId = SectionId::new("machine");

    /// That of a machine.
    pub fn of(config: &Config) -> MachineLine {
        let compat = config.capabilities.basis().compat;
        let named = |level| IsaLevel::COMPAT_NAMES.iter().find(|row| row.1 == level).map(|row| row.0.to_owned());
        MachineLine {
            machine: MACHINE.into(),
            cpu: config.model.name.into(),
            compat: compat.and_then(named),
            ram_bytes: config.ram_bytes,
            smp: smp(&config.topology),
            vsmt: config.topology.vsmt as u64,
            numa: config.numa.to_string(),
            form2: config.form2,
            interrupts: config.interrupt_mode,
            mmu: config.mmu,
            fixed_hash_table: config.fixed_hash_table,
            client_interface: config.client_interface,
            terminals: config.consoles.len() as u64,
        }
    }

    /// Saves or loads it.
    ///
    /// # Errors
    /// What cannot be.
    pub(super) fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let MachineLine {
            machine,
            cpu,
            compat,
            ram_bytes,
            smp,
            vsmt,
            numa,
            form2,
            interrupts,
            mmu,
            fixed_hash_table,
            client_interface,
            terminals,
        } = self;
        io.text("the type of the machine", machine, NAME_BYTES_MAX)?;
        io.text("the processor", cpu, NAME_BYTES_MAX)?;
        io.option("max-cpu-compat", compat, |io, name| io.text("max-cpu-compat", name, NAME_BYTES_MAX))?;
        io.u64("the size of RAM", ram_bytes)?;
        // The parts of RAM are counted by it.
        io.require("the size of RAM", *ram_bytes, *ram_bytes <= 1 << 46, "at most 2^46")?;
        io.text("-smp", smp, NAME_BYTES_MAX)?;
        io.u64("vsmt", vsmt)?;
        io.text("nodes", numa, NUMA_BYTES_MAX)?;
        io.bool("FORM2 affinity", form2)?;
        io.one_of("ic-mode", interrupts, &[InterruptMode::Xics, InterruptMode::Xive, InterruptMode::Dual])?;
        io.one_of("mmu", mmu, &[None, Some(Mmu::Radix), Some(Mmu::Hash)])?;
        io.bool("resize-hpt=disabled", fixed_hash_table)?;
        io.bool("x-vof", client_interface)?;
        io.u64("the number of terminals", terminals)
    }

    /// What the defaults of its capabilities depended on.
    pub(super) fn basis(&self) -> Result<CapBasis, Refusal> {
        let unknown = |what: &str, name: &str| Refusal {
            what: what.into(),
            differs: format!("the partition has '{name}', which this program does not know"),
            remedy: "use a program that knows it".into(),
        };
        let model = CpuModel::by_name(&self.cpu).map_err(|_| unknown("-cpu", &self.cpu))?;
        let level =
            |name: &String| IsaLevel::by_compat_name(name).ok_or_else(|| unknown("-machine max-cpu-compat", name));
        Ok(CapBasis { cpu: model.level.into(), compat: self.compat.as_ref().map(level).transpose()? })
    }

    /// Everything that keeps a partition of this line from going on in a machine of line `here`.
    pub(super) fn refusals(&self, here: &MachineLine) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let mut compare = |what: &str, fits: bool, saved: &str, found: &str, option: String| {
            if !fits {
                refusals.push(Refusal::new(what, saved, found, &option));
            }
        };
        // Named one by one: what is added has to be compared here.
        let MachineLine {
            machine,
            cpu,
            compat,
            ram_bytes,
            smp,
            vsmt,
            numa,
            form2,
            interrupts,
            mmu: saved_mmu,
            fixed_hash_table,
            client_interface,
            terminals,
        } = self;
        let numbers = |a: u64, b: u64| (a == b, a.to_string(), b.to_string());
        compare("-machine", *machine == here.machine, machine, &here.machine, format!("-machine {machine}"));
        compare("-cpu", *cpu == here.cpu, cpu, &here.cpu, format!("-cpu {cpu}"));
        let (saved, found) = (or_none(compat.as_deref()), or_none(here.compat.as_deref()));
        let option =
            compat.as_ref().map_or("no max-cpu-compat".into(), |name| format!("-machine max-cpu-compat={name}"));
        compare("-machine max-cpu-compat", saved == found, saved, found, option);
        let option = format!("-m {}", size(*ram_bytes));
        compare("-m", *ram_bytes == here.ram_bytes, &size(*ram_bytes), &size(here.ram_bytes), option);
        compare("-smp", *smp == here.smp, smp, &here.smp, format!("-smp {smp}"));
        let (fits, saved, found) = numbers(*vsmt, here.vsmt);
        compare("-machine vsmt", fits, &saved, &found, format!("-machine vsmt={saved}"));
        compare("-numa", *numa == here.numa, numa, &here.numa, "the same -numa options".into());
        let forms = |form2: bool| if form2 { "FORM1 and FORM2 affinity" } else { "FORM1 affinity only" };
        let (saved, found) = (forms(*form2), forms(here.form2));
        compare("-machine pseries", *form2 == here.form2, saved, found, "the same version of the machine".into());
        let (saved, found) = (mode(*interrupts), mode(here.interrupts));
        compare("-machine ic-mode", saved == found, saved, found, format!("-machine ic-mode={saved}"));
        let fits = here.mmu.is_none() || *saved_mmu == here.mmu;
        let option = saved_mmu.map_or("no mmu option".into(), |_| format!("-machine mmu={}", mmu(*saved_mmu)));
        compare("-machine mmu", fits, mmu(*saved_mmu), mmu(here.mmu), option);
        let resize = |fixed: bool| if fixed { "disabled" } else { "enabled" };
        let (saved, found) = (resize(*fixed_hash_table), resize(here.fixed_hash_table));
        compare("-machine resize-hpt", saved == found, saved, found, format!("-machine resize-hpt={saved}"));
        let switch = |on: bool| if on { "on" } else { "off" };
        let (saved, found) = (switch(*client_interface), switch(here.client_interface));
        compare("-machine x-vof", saved == found, saved, found, format!("-machine x-vof={saved}"));
        let (fits, saved, found) = numbers(*terminals, here.terminals);
        compare("-serial", fits, &saved, &found, format!("{saved} of them"));
        refusals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> MachineLine {
        MachineLine {
            machine: MACHINE.into(),
            cpu: "power9".into(),
            ram_bytes: 1 << 30,
            smp: "2,maxcpus=2,cores=2,threads=1".into(),
            terminals: 1,
            ..MachineLine::default()
        }
    }

    #[test]
    fn what_differs_is_named_with_what_helps() {
        assert!(line().refusals(&line()).is_empty());
        let here = MachineLine {
            cpu: "power10".into(),
            ram_bytes: 512 << 20,
            smp: "1,maxcpus=1,cores=1,threads=1".into(),
            interrupts: InterruptMode::Xics,
            mmu: Some(Mmu::Hash),
            compat: Some("power9".into()),
            ..line()
        };
        let words: Vec<_> = line().refusals(&here).iter().map(ToString::to_string).collect();
        for (word, expected) in words.iter().zip([
            "-cpu: the partition has power9, this machine power10; start this machine with -cpu power9",
            "-machine max-cpu-compat: the partition has none, this machine power9",
            "-m: the partition has 1G, this machine 512M; start this machine with -m 1G",
            "-smp: the partition has 2,maxcpus=2,cores=2,threads=1, this machine 1,maxcpus=1,cores=1,threads=1; start this machine with -smp 2,maxcpus=2,cores=2,threads=1",
            "-machine ic-mode: the partition has dual, this machine xics",
            "-machine mmu: the partition has what the guest wants, this machine hash",
        ]) {
            assert!(word.starts_with(expected), "{word}");
        }
        assert_eq!(words.len(), 6);
    }

    #[test]
    fn a_line_comes_back() {
        let mut io = Io::save(1);
        line().fields(&mut io).unwrap();
        let mut back = MachineLine::default();
        back.fields(&mut Io::load(1, &io.written())).unwrap();
        assert_eq!(back, line());
    }
}
