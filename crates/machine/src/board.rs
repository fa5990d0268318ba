//! The board: built from a [`Config`], run until the guest or somebody outside ends it.

use crate::accelerator::{Accelerator, AcceleratorKind, Engines, Role};
use crate::client::{self, ClientInterface};
use crate::content::Content;
use crate::error::MachineError;
use crate::fdt::{Description, Tree, VioNode};
use crate::firmware::Firmware;
use crate::handle::{Handle, Target};
use crate::layout::{Layout, Wanted, place};
use crate::loader::{Endianness, Kernel, open_initrd};
use crate::lockstep::{self, Follower};
use crate::mmu::{self, Mmu};
use crate::negotiation::{Agreed, Platform};
use crate::numa::Numa;
use crate::outside::{Gate, Patient, Ram, Time};
use crate::run::{BootRegisters, Panicked, Runner, Turn};
use crate::shared::{End, Ending, Shared, lock};
use crate::topology::Topology;
use cpu::CpuModel;
use devices::{Controller, InterruptMode, Interrupts, NVRAM_BYTES, Nvram, Rtc, SourceKind, VTY_REG_BASE, VioBus, Vty};
use engine::{Engine, EngineStats};
use hypervisor::capability::{Cap, Capabilities, check_host};
use hypervisor::{HPT_RESIZE, Hypervisor, RTAS_STUB, rtas_size_bytes};
use memory::{HashTable, Memory, hpt};
use platform::{Console, Entropy, PaprDevice, Partition as _, StartRequest};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;
use vcpu::Vcpu;
use vcpu::threads::Core;
use xxhash_rust::xxh3::Xxh3;

/// Most vCPUs of a machine; each is a thread of the host.
pub const VCPUS_MAX: usize = 256;
/// Most virtual terminals.
pub const CONSOLES_MAX: usize = 16;

/// Interrupt source of the first virtual I/O device; the unit address tells them apart.
const XISR_VIO: u32 = 0x1100;
/// Sources of events: environment and power, hot plug.
const XISR_EVENTS: [u32; 2] = [0x1000, 0x1001];
/// Room for the tree: for what every machine has, and for each vCPU.
const TREE_BYTES: u64 = 0x8000;
const TREE_BYTES_PER_VCPU: u64 = 0x800;
/// Host memory of which guest RAM can be this many times as large: pages that are never touched cost nothing, but what
/// is kept for each of them does.
pub(crate) const RAM_OVERCOMMIT: u64 = 16;

/// What machine to build.
pub struct Config {
    /// Processor.
    pub model: &'static CpuModel,
    /// Size of RAM in bytes: a multiple of 64 KiB.
    pub ram_bytes: u64,
    /// vCPUs, and how they are grouped.
    pub topology: Topology,
    /// Which memory and which cores belong together.
    pub numa: Numa,
    /// FORM2 affinity is offered to the guest, beside FORM1.
    pub form2: bool,
    /// Capabilities.
    pub capabilities: Capabilities,
    /// How the guest translates; `None`: as processor and kernel's command line let expect.
    pub mmu: Option<Mmu>,
    /// The guest may not resize its hash table.
    pub fixed_hash_table: bool,
    /// Which interrupt controllers there are.
    pub interrupt_mode: InterruptMode,
    /// The kernel is entered with an Open Firmware client interface and negotiates; else with a tree as after that.
    pub client_interface: bool,
    /// Kernel, an ELF file.
    pub kernel: PathBuf,
    /// Where it is loaded.
    pub kernel_address: u64,
    /// Initrd.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub append: String,
    /// Time: real, or virtual, and then all vCPUs take turns on one thread.
    pub clock: timing::Clock,
    /// Random bytes for the guest.
    pub entropy: Arc<dyn Entropy>,
    /// Back-ends of the virtual terminals, the console first.
    pub consoles: Vec<Arc<dyn Console>>,
    /// Content of the NVRAM.
    pub nvram: Nvram,
    /// A guest that asks for a reboot ends the run.
    pub no_reboot: bool,
    /// A guest that panics goes on (it was only told so).
    pub ignore_guest_panic: bool,
    /// UUID of the partition.
    pub uuid: Option<[u8; 16]>,
    /// Name of the partition.
    pub name: Option<String>,
    /// Further strings for the root of the tree, such as `host-serial`.
    pub root_strings: Vec<(&'static str, String)>,
    /// How guest code is executed.
    pub accelerator: Accelerator,
    /// Hears of interrupts and of what is not implemented.
    pub vcpu_observer: Arc<dyn vcpu::Observer>,
    /// Hears of hypercalls.
    pub hcall_observer: Option<Arc<dyn hypervisor::Observer>>,
}

/// A `pseries` machine.
pub struct Machine {
    pub(crate) config: Config,
    kernel: Kernel,
    initrd: Option<Content>,
    layout: Layout,
    /// What the tree tells of.
    board: Arc<Description>,
    /// What a kernel that is entered directly would have agreed on.
    agreed: Agreed,
    pub(crate) client: Option<Arc<ClientInterface>>,
    tree: Vec<u8>,
    pub(crate) runner: Runner,
    engines_maker: Engines,
    /// The machine that runs in lockstep with this one.
    pub(crate) follower: Option<Box<Follower>>,
    interrupts: Arc<Interrupts>,
    rtc: Arc<Rtc>,
    nvram: Arc<Nvram>,
    /// vCPUs as the last run left them.
    pub(crate) engines: Vec<(Engine, Turn)>,
    /// The next run goes on from a saved machine, and not from power-on.
    pub(crate) is_loaded: bool,
    pub(crate) cores: Vec<Arc<Core>>,
    /// Counters of the runs before the last reboot.
    earlier: EngineStats,
}

impl Machine {
    /// Builds a machine: reads kernel and initrd, finds their places, writes the tree.
    ///
    /// # Errors
    /// [`MachineError`] says what does not go together.
    pub fn new(config: Config) -> Result<Machine, MachineError> {
        check(&config)?;
        match config.accelerator.kind {
            AcceleratorKind::Lockstep => lockstep::build(config),
            AcceleratorKind::Interp | AcceleratorKind::Jit => Machine::build(config, Role::Alone),
        }
    }

    /// Builds one machine.
    pub(crate) fn build(mut config: Config, role: Role) -> Result<Machine, MachineError> {
        let kernel = Kernel::from_file(&config.kernel)?;
        let initrd = config.initrd.as_ref().map(|path| open_initrd(path, config.ram_bytes)).transpose()?;
        let layout = place(&Wanted {
            ram_bytes: config.ram_bytes,
            first_bytes: config.numa.first_bytes(),
            kernel_address: config.kernel_address,
            kernel_bytes: kernel.memory_bytes,
            initrd_bytes: initrd.as_ref().map(Content::len),
            rtas_bytes: rtas_size_bytes(config.topology.max_vcpus),
            tree_bytes: tree_room(&config),
        })?;

        let mmu = mmu::decide(&config)?;
        let memory = Arc::new(Memory::new(config.ram_bytes, config.topology.vcpus)?);
        // The configuration keeps everything else; the clock is shared by all from here on.
        let clock = Arc::new(std::mem::replace(&mut config.clock, timing::Clock::virtual_time(0)));
        let shared = Arc::new(Shared::new(
            memory.clone(),
            config.model,
            config.topology,
            config.capabilities.is_on(Cap::LargeDecr),
            config.ignore_guest_panic,
        ));

        let platform = Platform {
            model: config.model,
            compat: config.capabilities.basis().compat,
            mmu_only: config.mmu,
            interrupt_mode: config.interrupt_mode,
            form2: config.form2,
        };
        // Who negotiates begins as if nothing had been said.
        let first =
            if config.client_interface { platform.nothing_yet().controller } else { wanted_controller(&config) };
        let mut interrupts = Interrupts::new(
            config.interrupt_mode,
            first,
            &config.topology.servers(),
            config.topology.server_limit(),
            Arc::new(Ram(memory.clone())),
            shared.clone(),
        )?;
        let node = |index: usize| VioNode { reg: VTY_REG_BASE + index as u32, xisr: XISR_VIO + index as u32 };
        let vtys: Vec<VioNode> = (0..config.consoles.len()).map(node).collect();
        let nvram_node = node(config.consoles.len());
        let vio_sources = vtys.iter().chain([&nvram_node]).map(|node| node.xisr);
        for xisr in XISR_EVENTS.into_iter().chain(vio_sources) {
            interrupts.add_source(xisr, SourceKind::Message)?;
        }
        let interrupts = Arc::new(interrupts);
        let vty = |(console, node): (&Arc<dyn Console>, &VioNode)| {
            Vty::new(node.reg, node.xisr, console.clone(), interrupts.clone())
        };
        for console in &mut config.consoles {
            *console = Arc::new(Gate { console: console.clone(), shared: shared.clone() });
        }
        if clock.is_virtual() {
            for console in &mut config.consoles {
                *console = Arc::new(Patient { console: console.clone(), shared: shared.clone() });
            }
        }
        let bus = Arc::new(VioBus::new(config.consoles.iter().zip(&vtys).map(vty).collect()));
        let rtc = Arc::new(Rtc::new());
        let nvram = Arc::new(std::mem::replace(&mut config.nvram, Nvram::in_memory()));
        let board = Arc::new(Description {
            platform,
            page_sizes: mmu::page_sizes(&config),
            topology: config.topology,
            ram_bytes: config.ram_bytes,
            numa: config.numa.clone(),
            append: config.append.clone(),
            initrd: layout.initrd.clone(),
            vtys,
            nvram: Some((nvram_node, NVRAM_BYTES as u32)),
            uuid: config.uuid,
            name: config.name.clone(),
            root_strings: config.root_strings.clone(),
        });
        let client = config.client_interface.then(|| {
            let (kernel, interrupts) = (layout.kernel.clone(), interrupts.clone());
            Arc::new(ClientInterface::new(board.clone(), kernel, interrupts, bus.clone()))
        });
        let mut devices: Vec<Arc<dyn PaprDevice>> = vec![interrupts.clone(), bus, rtc.clone(), nvram.clone()];
        devices.extend(client.iter().map(|client| client.clone() as _));
        let mut hypervisor = Hypervisor::new(
            hypervisor::Config {
                capabilities: config.capabilities.clone(),
                max_vcpus: config.topology.max_vcpus,
                rtas_base_ra: layout.rtas.start,
                uuid: config.uuid,
            },
            devices,
        )?;
        if config.fixed_hash_table {
            hypervisor.withhold(HPT_RESIZE);
        }
        hypervisor.set_host(config.accelerator.host);
        if let Some(observer) = &config.hcall_observer {
            hypervisor.set_observer(observer.clone());
        }
        let hypervisor = Arc::new(hypervisor);
        if let Some(client) = &client {
            client.attach(&hypervisor);
        }
        let firmware =
            Arc::new(Firmware { hypervisor: hypervisor.clone(), shared: shared.clone(), ram: Ram(memory.clone()) });
        let runner = Runner {
            shared,
            hypervisor,
            ram: Ram(memory),
            mmio: interrupts.clone(),
            firmware,
            time: Time(clock.clone()),
            clock,
            entropy: config.entropy.clone(),
            boot: Mutex::new(None),
            began: OnceLock::new(),
        };
        let agreed = platform.expected(mmu, interrupts.active());
        board.check_affinity(&agreed)?;
        let mut machine = Machine {
            engines_maker: Engines::new(&config.accelerator, config.model, role)?,
            follower: None,
            config,
            kernel,
            initrd,
            layout,
            agreed,
            board,
            client,
            tree: Vec::new(),
            runner,
            interrupts,
            rtc,
            nvram,
            engines: Vec::new(),
            is_loaded: false,
            cores: Vec::new(),
            earlier: EngineStats::default(),
        };
        machine.tree = machine.build_tree()?;
        Ok(machine)
    }

    /// The device tree that the kernel is entered with, or finds at first behind its client interface.
    pub fn device_tree(&self) -> &[u8] {
        &self.tree
    }

    /// Where things lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// To end the run from outside.
    pub fn handle(&self) -> Handle {
        Handle(match &self.follower {
            Some(follower) => Target::Lockstep(follower.outside.clone()),
            None => Target::Machine(self.runner.shared.clone(), self.runner.clock.clone()),
        })
    }

    /// Copies what RAM holds from `real` on; in lockstep, of the machine that shows how it should be.
    ///
    /// # Errors
    /// Beyond the end of RAM.
    pub fn read_ram(&self, real: u64, buf: &mut [u8]) -> Result<(), memory::RamError> {
        self.runner.ram.0.read(real, buf)
    }

    /// Runs the machine, through its reboots, until it ends. Under the virtual clock all vCPUs run on this thread.
    ///
    /// # Errors
    /// [`MachineError::VcpuPanicked`], [`MachineError::Differ`] in lockstep, and what else keeps a guest from booting again.
    pub fn run(&mut self) -> Result<End, MachineError> {
        self.runner.shared.open_inputs(true);
        let end = self.run_to_the_end();
        self.runner.shared.close();
        end
    }

    fn run_to_the_end(&mut self) -> Result<End, MachineError> {
        let mut first = true;
        let end = loop {
            // Asked to end before the first instruction, or between two boots: so be it.
            if let Some(Ending::End(end)) = self.runner.shared.ending() {
                break end;
            }
            if !first {
                self.reset()?;
            }
            if !first || !self.is_loaded {
                self.power_on()?;
            }
            first = false;
            self.run_once()?;
            match self.runner.shared.ending() {
                Some(Ending::End(end)) => break end,
                Some(Ending::Reboot) if self.config.no_reboot => break End::Reboot,
                Some(Ending::Reboot) => {}
                // The vCPUs come back for one of these reasons only.
                None => break End::Quit("the vCPUs came to a stop".into()),
            }
        };
        self.config.consoles.iter().for_each(|console| console.flush());
        Ok(end)
    }

    /// From power-on until the guest or somebody outside ends it or wants another boot.
    fn run_once(&mut self) -> Result<(), MachineError> {
        let mut engines = std::mem::take(&mut self.engines);
        let Some(mut follower) = self.follower.take() else {
            loop {
                engines = self.runner.run(engines).map_err(|Panicked(index)| MachineError::VcpuPanicked(index))?;
                self.engines = engines;
                self.stand();
                if self.runner.shared.is_ending() {
                    return Ok(());
                }
                engines = std::mem::take(&mut self.engines);
            }
        };
        if let (Some(own), Some(others)) = (engines.pop(), follower.machine.engines.pop()) {
            let [own, others] = follower.run(self, [own, others])?;
            self.engines.push(own);
            follower.machine.engines.push(others);
        }
        self.follower = Some(follower);
        Ok(())
    }

    /// No vCPU runs: does what somebody wants done meanwhile, and time stands still.
    fn stand(&mut self) {
        self.runner.clock.pause();
        self.runner.shared.open_inputs(false);
        while let Some(order) = self.runner.shared.next_order() {
            order(self);
        }
        self.runner.clock.resume();
        self.runner.shared.open_inputs(true);
    }

    /// Ends it with its process, to which memory goes back as a whole: to give back each block and page of code that was
    /// decoded or compiled takes longer than to save them.
    pub fn leave(self) {
        if self.engines_maker.finish() && self.follower.is_none() {
            std::mem::forget(self);
        }
    }

    /// Counters of the translator, if there is one; in lockstep it is the follower's.
    pub fn translator_stats(&self) -> Option<jit::store::TranslatorStats> {
        self.engines_maker.stats().or_else(|| self.follower.as_ref()?.machine.translator_stats())
    }

    /// State of the devices, each in a line.
    pub(crate) fn devices(&self) -> [(&'static str, String); 3] {
        let nvram = xxhash_rust::xxh3::xxh3_64(&self.nvram.bytes());
        [
            ("interrupt controller", self.interrupts.describe()),
            ("real-time clock offset", self.rtc.offset_ns().to_string()),
            ("hash of NVRAM", format!("{nvram:#x}")),
        ]
    }

    /// Counters of all vCPUs, from the beginning.
    pub fn stats(&self) -> EngineStats {
        let mut sum = self.earlier;
        self.engines.iter().for_each(|(engine, _)| sum.add(&engine.stats()));
        sum
    }

    /// When the first instruction was about to be executed.
    pub fn began(&self) -> Option<SystemTime> {
        self.runner.began.get().copied()
    }

    /// The clock.
    pub fn clock(&self) -> &timing::Clock {
        &self.runner.clock
    }

    /// XXH3 of the whole state: registers of every vCPU, RAM that is not zero, hash table, devices, time.
    pub fn state_hash(&mut self) -> u64 {
        let mut hash = Xxh3::new();
        for (engine, _) in &mut self.engines {
            let vcpu = engine.vcpu();
            vcpu.state.for_each_word(|word| hash.update(&word.to_le_bytes()));
            hash.update(&vcpu.decrementer().to_le_bytes());
            hash.update(&[vcpu.mailbox().pending() as u8]);
        }
        self.runner.ram.0.for_each_used_page(|address, page| {
            hash.update(&address.to_le_bytes());
            hash.update(page);
        });
        self.runner.ram.0.hash_table().for_each_used(|index, first, second| {
            [index, first, second].iter().for_each(|word| hash.update(&word.to_le_bytes()));
        });
        hash.update(self.interrupts.describe().as_bytes());
        hash.update(&self.rtc.offset_ns().to_le_bytes());
        hash.update(&self.nvram.bytes());
        hash.update(&self.runner.clock.ns().to_le_bytes());
        hash.digest()
    }

    fn build_tree(&self) -> Result<Vec<u8>, MachineError> {
        let mut rng_seed = [0; 32];
        self.runner.entropy.fill(&mut rng_seed);
        let tree = match &self.client {
            Some(client) => client.power_on(rng_seed)?,
            None => {
                self.runner.hypervisor.set_home_nodes(self.board.home_nodes(&self.agreed));
                Tree {
                    board: &self.board,
                    hypervisor: &self.runner.hypervisor,
                    agreed: &self.agreed,
                    rtas: Some(self.layout.rtas.clone()),
                    rng_seed,
                }
                .build()?
            }
        };
        let (found, room) = (tree.len() as u64, self.layout.tree.end - self.layout.tree.start);
        if found > room { Err(MachineError::TreeSize { found, room }) } else { Ok(tree) }
    }

    /// Everything as after power-on, with new random bytes for the guest.
    fn reset(&mut self) -> Result<(), MachineError> {
        for (engine, _) in self.engines.drain(..) {
            self.earlier.add(&engine.stats());
        }
        self.engines_maker.reset();
        self.runner.shared.reset();
        self.runner.hypervisor.reset();
        self.runner.ram.0.clear();
        self.tree = self.build_tree()?;
        // After the leader: it repeats its random bytes.
        self.follower.as_mut().map_or(Ok(()), |follower| follower.machine.reset())
    }

    /// Puts everything in its place, and starts vCPU 0.
    fn power_on(&mut self) -> Result<(), MachineError> {
        let memory = &self.runner.ram.0;
        // A partition starts with a hash table, which it gives up when it registers a process table for radix trees.
        let shift = hpt::shift_for(self.config.ram_bytes);
        memory.set_hash_table(Arc::new(HashTable::new(shift, mmu::page_sizes(&self.config))));
        for segment in &self.kernel.segments {
            segment.content.write(memory, self.config.kernel_address + segment.offset)?;
        }
        if let (Some(initrd), Some(place)) = (&self.initrd, &self.layout.initrd) {
            initrd.write(memory, place.start)?;
        }
        if self.client.is_some() {
            memory.write(client::ENTRY_RA, &client::ENTRY)?;
        } else {
            memory.write(self.layout.tree.start, &self.tree)?;
            memory.write(self.layout.rtas.start, &RTAS_STUB)?;
        }

        self.engines = self.new_engines();
        let entry = self.config.kernel_address + self.kernel.entry_offset;
        let (r3, boot) = self.entered_with();
        *lock(&self.runner.boot) = Some(boot);
        // Nothing else has been asked of vCPU 0 yet, so this cannot fail.
        let _ = self.runner.shared.start(0, StartRequest { entry, r3, from: 0 });
        self.follower.as_mut().map_or(Ok(()), |follower| follower.machine.power_on())
    }

    /// Engines of vCPUs as after power-on.
    pub(crate) fn new_engines(&mut self) -> Vec<(Engine, Turn)> {
        let core_of = |vcpus: Range<usize>| Arc::new(Core::new(vcpus.start, vcpus.len()));
        self.cores = self.config.topology.each_core().map(core_of).collect();
        let cores = self.config.topology.each_core().zip(&self.cores);
        let places = cores.flat_map(|(vcpus, core)| vcpus.map(move |index| (index, core)));
        places.map(|(index, core)| (self.new_engine(index, core.clone()), Turn::Stopped)).collect()
    }

    fn new_engine(&self, index: usize, core: Arc<Core>) -> Engine {
        let memory = &self.runner.ram.0;
        // What was left for a vCPU of an earlier boot is not for this one.
        let (_, number) = memory.hub().mailbox(index).take();
        memory.hub().mailbox(index).mark_served(number);
        let new = || {
            let (clock, observer) = (self.runner.clock.clone(), self.config.vcpu_observer.clone());
            Vcpu::new(index, self.config.model, memory.clone(), clock, observer)
        };
        let mut vcpu = self.runner.shared.with_line(index, new);
        vcpu.join_core(core);
        vcpu.random = self.runner.entropy.next_u64();
        vcpu.mmio = Some(self.runner.mmio.clone());
        vcpu.firmware = Some(self.runner.firmware.clone());
        self.engines_maker.engine(vcpu)
    }
}

impl Machine {
    /// What the kernel finds in r3, and in other registers.
    fn entered_with(&self) -> (u64, BootRegisters) {
        if self.client.is_some() {
            // As Open Firmware: big-endian, a stack, where the initrd lies and how large it is.
            let initrd = self.layout.initrd.clone().unwrap_or(0..0);
            let boot = BootRegisters {
                r1: client::STACK_RA,
                r4: initrd.end - initrd.start,
                r5: client::ENTRY_RA,
                little_endian: false,
            };
            return (initrd.start, boot);
        }
        let little_endian = self.kernel.endianness == Endianness::Little;
        (self.layout.tree.start, BootRegisters { r1: 0, r4: self.config.kernel_address, r5: 0, little_endian })
    }
}

/// Whether the processor, as the guest sees it, has XIVE.
fn has_xive(config: &Config) -> bool {
    use hypervisor::capability::IsaLevel;
    [config.model.level.into(), config.capabilities.basis().effective()].iter().all(|level| *level >= IsaLevel::V3_0)
}

/// The controller that a negotiation of a machine with both would have ended with: what Linux wants.
fn wanted_controller(config: &Config) -> Controller {
    // Linux looks for the words, wherever they stand.
    if has_xive(config) && !config.append.contains("xive=off") { Controller::Xive } else { Controller::Xics }
}

pub(crate) fn check(config: &Config) -> Result<(), MachineError> {
    if config.interrupt_mode == InterruptMode::Xive && !has_xive(config) {
        return Err(MachineError::NoXive);
    }
    config.topology.check(config.capabilities.basis().effective())?;
    if config.consoles.len() > CONSOLES_MAX {
        return Err(MachineError::Consoles(config.consoles.len()));
    }
    check_capabilities(config, &config.capabilities)?;
    if let Some(host_bytes) = host_memory_bytes()
        && config.ram_bytes / RAM_OVERCOMMIT > host_bytes
    {
        return Err(MachineError::AbsurdRam { ram_bytes: config.ram_bytes, host_bytes });
    }
    Ok(())
}

/// Whether the machine's host has what these capabilities ask for.
pub(crate) fn check_capabilities(config: &Config, capabilities: &Capabilities) -> Result<(), MachineError> {
    Ok(check_host(&config.accelerator.host, capabilities, mmu::wanted(config)?, mmu::possible(config))?)
}

/// Memory and swap of the host, in bytes (proc(5), `/proc/meminfo`).
fn host_memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok())
    };
    Some((kib("MemTotal:")? + kib("SwapTotal:").unwrap_or(0)) << 10)
}

fn tree_room(config: &Config) -> u64 {
    let strings: usize = config.root_strings.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    let name = config.name.as_ref().map_or(0, String::len);
    TREE_BYTES + TREE_BYTES_PER_VCPU * config.topology.vcpus as u64 + (config.append.len() + strings + name) as u64
}
