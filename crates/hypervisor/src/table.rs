//! The hypercall table and the RTAS table: opcode or token, name, handler.

use crate::calls::{self, tce::TceRegistry, vpa::Vpas};
use crate::capability::{Capabilities, HostProfile, IsaLevel};
use crate::fwnmi::Fwnmi;
use crate::rtas;
use crate::watchdog::Watchdogs;
use platform::papr::{HcallStatus, RtasStatus};
use platform::{Hcall, HcallArgs, HcallContext, PaprDevice, RtasCall, RtasFunction};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// What a partition's hypervisor is to be.
#[derive(Debug, Clone)]
pub struct Config {
    /// Capabilities.
    pub capabilities: Capabilities,
    /// The largest number of vCPUs that the partition can come to have.
    pub max_vcpus: usize,
    /// Real address at which the RTAS stub lies (`linux,rtas-base`) unless the guest moves it; its area has
    /// [`crate::rtas_size_bytes`] bytes.
    pub rtas_base_ra: u64,
    /// UUID of the partition, when it has one.
    pub uuid: Option<[u8; 16]>,
}

/// Why the tables could not be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableError {
    /// Two handlers for one hypercall.
    #[error("hypercall {opcode:#x} has two handlers, {first} and {second}: an opcode is handled once")]
    DoubleHcall {
        /// Opcode.
        opcode: u64,
        /// Name in the first row.
        first: &'static str,
        /// Name in the second row.
        second: &'static str,
    },
    /// Two handlers for one RTAS token.
    #[error("RTAS token {token:#x} has two handlers, {first} and {second}: a token is handled once")]
    DoubleRtas {
        /// Token.
        token: u32,
        /// Name in the first row.
        first: &'static str,
        /// Name in the second row.
        second: &'static str,
    },
}

/// Hears of calls, for `-d hcall` and `-d unimp`. Called on the vCPU's thread.
pub trait Observer: Send + Sync {
    /// A hypercall came back. `name` is `None` when there is no such call.
    fn hcall(&self, vcpu: usize, opcode: u64, name: Option<&'static str>, args: &HcallArgs, status: HcallStatus) {
        let _ = (vcpu, opcode, name, args, status);
    }

    /// An RTAS call came back.
    fn rtas(&self, vcpu: usize, name: &'static str, args: &[u32], status: RtasStatus, results: &[u32]) {
        let _ = (vcpu, name, args, status, results);
    }

    /// Something is not implemented. Each such thing is told once.
    fn unimplemented(&self, what: &str) {
        let _ = what;
    }
}

type CoreHcallHandler = fn(&Hypervisor, &mut HcallContext<'_>, &HcallArgs) -> HcallStatus;
type CoreRtasHandler = fn(&Hypervisor, &mut HcallContext<'_>, &mut RtasCall<'_>) -> RtasStatus;

/// A hypercall that the hypervisor handles itself.
pub(crate) struct CoreHcall {
    pub row: Hcall,
    pub handler: CoreHcallHandler,
}

/// An RTAS function that the hypervisor handles itself.
pub(crate) struct CoreRtas {
    pub row: RtasFunction,
    pub handler: CoreRtasHandler,
}

pub(crate) enum Handler<Core> {
    Core(Core),
    Device(Arc<dyn PaprDevice>),
}

pub(crate) struct HcallEntry {
    row: Hcall,
    handler: Handler<CoreHcallHandler>,
}

pub(crate) struct RtasEntry {
    row: RtasFunction,
    handler: Handler<CoreRtasHandler>,
}

/// How many different unimplemented things are told of; a guest can think of any number.
const REPORTS_MAX: usize = 1000;

/// The hypervisor of one partition. Shared by its vCPU threads; there is no lock around calls.
pub struct Hypervisor {
    pub(crate) config: Config,
    pub(crate) host: HostProfile,
    pub(crate) vpas: Vpas,
    pub(crate) fwnmi: Mutex<Fwnmi>,
    pub(crate) tce: TceRegistry,
    pub(crate) watchdogs: Watchdogs,
    /// Held while `H_JOIN` looks at the other vCPUs, so that the last two cannot both join.
    pub(crate) join: Mutex<()>,
    /// log2 of the size of the hash table that was prepared.
    pub(crate) prepared_hpt: Mutex<Option<u32>>,
    /// Where RTAS lies.
    pub(crate) rtas_base_ra: AtomicU64,
    /// Level of the architecture that the guest sees.
    pub(crate) level: Mutex<IsaLevel>,
    /// Associativity domains of each vCPU, by its index.
    pub(crate) home_nodes: Mutex<Vec<Vec<u32>>>,
    pub(crate) hcalls: Vec<HcallEntry>,
    pub(crate) rtas: Vec<RtasEntry>,
    pub(crate) devices: Vec<Arc<dyn PaprDevice>>,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) reported: Mutex<BTreeSet<String>>,
}

/// A lock whose holder cannot leave half-done state behind: a panic elsewhere does not matter to it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hypervisor {
    /// A hypervisor with its own calls and those of `devices`.
    ///
    /// # Errors
    /// [`TableError`] when two handle the same call.
    pub fn new(config: Config, devices: Vec<Arc<dyn PaprDevice>>) -> Result<Hypervisor, TableError> {
        let mut hcalls: BTreeMap<u64, HcallEntry> = BTreeMap::new();
        let mut enter_hcall = |row: Hcall, handler| match hcalls.insert(row.opcode, HcallEntry { row, handler }) {
            Some(first) => Err(TableError::DoubleHcall { opcode: row.opcode, first: first.row.name, second: row.name }),
            None => Ok(()),
        };
        let mut functions: BTreeMap<u32, RtasEntry> = BTreeMap::new();
        let mut enter_rtas = |row: RtasFunction, handler| match functions.insert(row.token, RtasEntry { row, handler })
        {
            Some(first) => Err(TableError::DoubleRtas { token: row.token, first: first.row.name, second: row.name }),
            None => Ok(()),
        };
        for call in calls::rows(&config.capabilities) {
            enter_hcall(call.row, Handler::Core(call.handler))?;
        }
        for call in rtas::rows(&config.capabilities) {
            enter_rtas(call.row, Handler::Core(call.handler))?;
        }
        for device in &devices {
            for row in device.hcalls() {
                enter_hcall(*row, Handler::Device(device.clone()))?;
            }
            for row in device.rtas_functions() {
                enter_rtas(*row, Handler::Device(device.clone()))?;
            }
        }
        Ok(Hypervisor {
            vpas: Vpas::new(config.max_vcpus),
            fwnmi: Mutex::new(Fwnmi::default()),
            tce: TceRegistry::default(),
            watchdogs: Watchdogs::default(),
            join: Mutex::new(()),
            prepared_hpt: Mutex::default(),
            rtas_base_ra: AtomicU64::new(config.rtas_base_ra),
            level: Mutex::new(config.capabilities.basis().effective()),
            home_nodes: Mutex::default(),
            hcalls: hcalls.into_values().collect(),
            rtas: functions.into_values().collect(),
            devices,
            host: HostProfile::default(),
            observer: None,
            reported: Mutex::default(),
            config,
        })
    }

    /// Takes the calls away that a string of `ibm,hypertas-functions` announces, and with them the string.
    pub fn withhold(&mut self, hypertas: &str) {
        self.hcalls.retain(|entry| entry.row.hypertas != Some(hypertas));
    }

    /// Who hears of calls.
    pub fn set_observer(&mut self, observer: Arc<dyn Observer>) {
        self.observer = Some(observer);
    }

    /// The host that is imitated, instead of none.
    pub fn set_host(&mut self, host: HostProfile) {
        self.host = host;
    }

    /// The host that is imitated.
    pub fn host(&self) -> HostProfile {
        self.host
    }

    /// Capabilities of the machine.
    pub fn capabilities(&self) -> &Capabilities {
        &self.config.capabilities
    }

    /// Level of the architecture that the guest sees: that of processor and `max-cpu-compat`, or what was negotiated.
    pub fn level(&self) -> IsaLevel {
        *lock(&self.level)
    }

    /// The guest has negotiated this level. It lasts until the next reset.
    pub fn set_level(&self, level: IsaLevel) {
        *lock(&self.level) = level;
    }

    /// Associativity domains of vCPU `index`, the widest first and the vCPU's server number last.
    pub(crate) fn home_node(&self, index: usize) -> Option<Vec<u32>> {
        lock(&self.home_nodes).get(index).cloned()
    }

    /// What the tree tells of each vCPU's domains now, by its index.
    pub fn set_home_nodes(&self, domains: Vec<Vec<u32>>) {
        *lock(&self.home_nodes) = domains;
    }

    /// Real address of the RTAS area.
    pub fn rtas_base_ra(&self) -> u64 {
        self.rtas_base_ra.load(SeqCst)
    }

    /// The guest has put RTAS there (`instantiate-rtas`). It lasts until the next reset.
    pub fn set_rtas_base_ra(&self, ra: u64) {
        self.rtas_base_ra.store(ra, SeqCst);
    }

    /// The largest number of vCPUs that the partition can come to have.
    pub fn max_vcpus(&self) -> usize {
        self.config.max_vcpus
    }

    /// The hypercalls that exist, by opcode.
    pub fn hcalls(&self) -> impl Iterator<Item = &Hcall> {
        self.hcalls.iter().map(|entry| &entry.row)
    }

    /// The RTAS functions that exist, by token: the properties of `/rtas`.
    pub fn rtas_functions(&self) -> impl Iterator<Item = &RtasFunction> {
        self.rtas.iter().map(|entry| &entry.row)
    }

    /// `ibm,hypertas-functions`: the strings whose calls exist, each once.
    pub fn hypertas_functions(&self) -> Vec<&'static str> {
        let mut strings = Vec::new();
        for hypertas in self.hcalls.iter().filter_map(|entry| entry.row.hypertas) {
            if !strings.contains(&hypertas) {
                strings.push(hypertas);
            }
        }
        strings
    }

    /// Handles the hypercall that the calling vCPU has in r3 and up, and puts the return code into r3.
    ///
    /// What the handler asked of the vCPU (to cede, join, stop or yield) the board does afterwards.
    pub fn hcall(&self, context: &mut HcallContext<'_>) -> HcallStatus {
        let opcode = context.vcpu.gpr(3);
        let args: HcallArgs = std::array::from_fn(|number| context.vcpu.gpr(4 + number));
        let entry = self.hcalls.binary_search_by_key(&opcode, |entry| entry.row.opcode).ok();
        let entry = entry.map(|index| &self.hcalls[index]);
        let status = match entry {
            _ if context.vcpu.problem_state() => HcallStatus::H_PRIVILEGE,
            Some(entry) => match &entry.handler {
                Handler::Core(handler) => handler(self, context, &args),
                Handler::Device(device) => device.hcall(opcode, context, &args),
            },
            None => {
                self.report_unimplemented(|| format!("hypercall {opcode:#x}"));
                HcallStatus::H_FUNCTION
            }
        };
        context.vcpu.set_gpr(3, status.0 as u64);
        if let Some(observer) = &self.observer {
            observer.hcall(context.vcpu.index(), opcode, entry.map(|entry| entry.row.name), &args, status);
        }
        status
    }

    /// Handles an RTAS call whose argument block has been read. `None` when there is no such function.
    pub(crate) fn call_rtas(
        &self,
        token: u32,
        context: &mut HcallContext<'_>,
        call: &mut RtasCall<'_>,
        nret: usize,
    ) -> Option<RtasStatus> {
        let entry = self.rtas.binary_search_by_key(&token, |entry| entry.row.token).ok();
        let Some(entry) = entry.map(|index| &self.rtas[index]) else {
            self.report_unimplemented(|| format!("RTAS token {token:#x}"));
            return None;
        };
        let row = &entry.row;
        let shape_fits = (row.nargs_min..=row.nargs_max).contains(&call.args.len()) && nret == row.nret;
        let status = match &entry.handler {
            _ if !shape_fits => RtasStatus::PARAMETER_ERROR,
            Handler::Core(handler) => handler(self, context, call),
            Handler::Device(device) => device.rtas(token, context, call),
        };
        if let Some(observer) = &self.observer {
            observer.rtas(context.vcpu.index(), row.name, call.args, status, call.results);
        }
        Some(status)
    }

    /// Tells once that something is not implemented.
    pub(crate) fn report_unimplemented(&self, what: impl FnOnce() -> String) {
        let what = what();
        let mut reported = lock(&self.reported);
        if reported.len() < REPORTS_MAX && !reported.contains(&what) {
            tracing::warn!(target: "unimp", "unimplemented {what}");
            if let Some(observer) = &self.observer {
                observer.unimplemented(&what);
            }
            reported.insert(what);
        }
    }

    /// Back to the state after power-on: for a reset of the machine, while no vCPU runs.
    pub fn reset(&self) {
        self.vpas.reset();
        *lock(&self.fwnmi) = Fwnmi::default();
        *lock(&self.prepared_hpt) = None;
        self.watchdogs.reset();
        self.rtas_base_ra.store(self.config.rtas_base_ra, SeqCst);
        *lock(&self.level) = self.config.capabilities.basis().effective();
        for device in &self.devices {
            device.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::HPT_RESIZE;
    use crate::calls::test_support::Rig;
    use platform::papr::opcode::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_calls_are_told_once() {
        struct Counter(Mutex<Vec<String>>);
        impl Observer for Counter {
            fn unimplemented(&self, what: &str) {
                lock(&self.0).push(what.into());
            }
        }
        let mut rig = Rig::new("power9", &[]);
        let counter = Arc::new(Counter(Mutex::default()));
        rig.hypervisor.set_observer(counter.clone());
        for opcode in [0x7c, 0x7c, 0xf080, 0x7d, u64::MAX, 0x7c] {
            assert_eq!(rig.call(opcode, &[]), HcallStatus::H_FUNCTION);
        }
        let told = lock(&counter.0).clone();
        // 0xf080 is a call that stock kernels try: known not to be there, and not worth a word.
        assert_eq!(told, ["hypercall 0x7c", "hypercall 0x7d", "hypercall 0xffffffffffffffff"]);
        for opcode in 0x10_0000..0x10_0000 + 2 * REPORTS_MAX as u64 {
            rig.call(opcode, &[]);
        }
        assert_eq!(lock(&counter.0).len(), REPORTS_MAX);
    }

    #[test]
    fn problem_state_may_not_call() {
        let rig = Rig::new("power9", &[]);
        for opcode in rig.hypervisor.hcalls().map(|row| row.opcode).chain([0x7c]) {
            let mut vcpu = rig.world.partition.vcpu(0);
            vcpu.problem_state = true;
            vcpu.gpr[3] = opcode;
            assert_eq!(rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu)), HcallStatus::H_PRIVILEGE);
            assert_eq!(vcpu.gpr[3], -3i64 as u64);
        }
        assert!(!rig.world.partition.vcpu(0).external_interrupts_enabled);
    }

    #[test]
    fn strings_announce_what_exists() {
        let rig = Rig::new("power9", &[]);
        let strings = rig.hypervisor.hypertas_functions();
        for string in [
            "hcall-splpar",
            "hcall-set-mode",
            "hcall-join",
            "hcall-vphn",
            "hcall-pft",
            "hcall-bulk",
            "hcall-hpt-resize",
        ] {
            assert_eq!(strings.iter().filter(|&&known| known == string).count(), 1, "{string}");
        }
        for string in ["hcall-rpt-invalidate", "hcall-interrupt", "hcall-term"] {
            assert!(!strings.contains(&string), "{string}");
        }
        let rig = Rig::new("power9", &[("rpt-invalidate", "on")]);
        assert!(rig.hypervisor.hypertas_functions().contains(&"hcall-rpt-invalidate"));
    }

    #[test]
    fn what_is_withheld_is_not_there() {
        let mut rig = Rig::new("power9", &[]);
        assert_eq!(rig.call(H_RESIZE_HPT_PREPARE, &[0, 18]).0, 0);
        rig.hypervisor.withhold(HPT_RESIZE);
        assert!(!rig.hypervisor.hypertas_functions().contains(&HPT_RESIZE));
        for opcode in [H_RESIZE_HPT_PREPARE, H_RESIZE_HPT_COMMIT] {
            assert_eq!(rig.call(opcode, &[0, 18]), HcallStatus::H_FUNCTION);
        }
        assert_eq!(rig.call(H_READ, &[0, 0]).0, 0, "others stay");
    }

    #[test]
    fn a_call_is_handled_once() {
        struct Intruder;
        impl PaprDevice for Intruder {
            fn sections(&self) -> Vec<&dyn snapshot::Section> {
                Vec::new()
            }
            fn hcalls(&self) -> &[Hcall] {
                &[Hcall { opcode: H_CEDE, name: "intruder", hypertas: None }]
            }
        }
        let config = Rig::new("power9", &[]).hypervisor.config;
        let error = Hypervisor::new(config, vec![Arc::new(Intruder)]).err();
        assert_eq!(error, Some(TableError::DoubleHcall { opcode: H_CEDE, first: "H_CEDE", second: "intruder" }));
    }

    /// Values that mean something somewhere, near ones, and any.
    fn argument() -> impl Strategy<Value = u64> {
        prop_oneof![
            0..16u64,
            (0..64u32).prop_map(|shift| 1 << shift),
            (0..64u32).prop_map(|shift| (1u64 << shift).wrapping_sub(1)),
            0..0x10_1000u64,
            (0..0x101u64).prop_map(|page| page << 12),
            (1..8u64).prop_map(|function| function << 45),
            any::<u64>(),
            (0..16u64).prop_map(|distance| u64::MAX - distance),
        ]
    }

    fn call() -> impl Strategy<Value = (usize, prop::sample::Index, Option<u64>, [u64; 9])> {
        (
            0..4usize,
            any::<prop::sample::Index>(),
            prop::option::weighted(0.05, argument()),
            prop::array::uniform9(argument()),
        )
    }

    proptest! {
        #[test]
        fn any_sequence_of_calls_gets_answers(
            calls in prop::collection::vec(call(), 1..200),
            fill in any::<u8>(),
            block in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let rig = Rig::new("power10", &[("rpt-invalidate", "on"), ("ail-modes", "0+3")]);
            let memory = &rig.world.memory as &dyn platform::GuestMemory;
            memory.fill(0, memory.size_bytes(), fill).unwrap();
            memory.write(0x1000, &block).unwrap();
            let opcodes: Vec<u64> = rig.hypervisor.hcalls().map(|row| row.opcode).collect();
            let tokens: Vec<u32> = rig.hypervisor.rtas_functions().map(|row| row.token).collect();
            for (index, which, wild_opcode, args) in calls {
                let opcode = wild_opcode.unwrap_or_else(|| *which.get(&opcodes));
                if opcode == H_RTAS {
                    // Make it likely that a function is reached.
                    let token = *which.get(&tokens);
                    memory.write_be_u32(args[0] & 0xf_fffc, token).ok();
                    memory.write_be_u32((args[0] & 0xf_fffc) + 4, args[1] as u32 % 8).ok();
                    memory.write_be_u32((args[0] & 0xf_fffc) + 8, args[2] as u32 % 4).ok();
                }
                let mut vcpu = rig.world.partition.vcpu(index);
                vcpu.gpr[3] = opcode;
                vcpu.gpr[4..13].copy_from_slice(&args);
                let status = rig.hypervisor.hcall(&mut rig.world.context(&mut vcpu));
                prop_assert_eq!(vcpu.gpr[3], status.0 as u64);
                prop_assert!(status.name().is_some(), "{:#x} answered {}", opcode, status.0);
                if !opcodes.contains(&opcode) {
                    prop_assert_eq!(status, HcallStatus::H_FUNCTION);
                }
                rig.hypervisor.on_cede(index, memory);
                rig.hypervisor.on_dispatch(index, memory, &crate::DispatchInfo::default());
                rig.world.partition.set_run_state(index, platform::RunState::Running);
            }
        }
    }
}
