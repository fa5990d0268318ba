//! The flattened device tree: as after client-architecture-support, so that a kernel entered without firmware finds
//! all that was negotiated.
//!
//! Only what exists is announced: RTAS tokens and hypercall strings come from the hypervisor's tables, and there are no
//! properties of PCI, of persistent memory and of dynamic reconfiguration (`ibm,drc-*`).

pub use crate::fdt_writer::TreeError;
use crate::fdt_writer::{FdtWriter, Node, Result};
use crate::negotiation::{Agreed, Platform};
use crate::numa::{Affinity, Numa, NumaError, counted};
use crate::pa_features::{PA_FEATURES_RADIX, pa_features};
use crate::topology::Topology;
use devices::{Controller, PRIORITY_MAX, QUEUE_SHIFT, TIMA_OS_PAGE, TIMA_PAGE_BYTES, TIMA_USER_PAGE};
use hypervisor::capability::{Cap, Capabilities, IsaLevel};
use hypervisor::{Hypervisor, RTAS_ERROR_LOG_MAX_BYTES, rtas_size_bytes};
use memory::hpt::{PageSizes, shift_for};
use std::ops::Range;

/// A virtual I/O device with a node of its own below `/vdevice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VioNode {
    /// Unit address.
    pub reg: u32,
    /// Its interrupt source.
    pub xisr: u32,
}

/// What the tree tells of, and what stays as it is from boot to boot.
#[derive(Debug, Clone)]
pub struct Description {
    /// What can be negotiated.
    pub platform: Platform,
    /// Page sizes of the hash table.
    pub page_sizes: PageSizes,
    /// vCPUs, and how they are grouped.
    pub topology: Topology,
    /// Size of RAM.
    pub ram_bytes: u64,
    /// Which memory and which cores belong together.
    pub numa: Numa,
    /// The kernel's command line.
    pub append: String,
    /// Where the initrd lies.
    pub initrd: Option<Range<u64>>,
    /// Virtual terminals; the first is the console.
    pub vtys: Vec<VioNode>,
    /// Non-volatile memory and its size in bytes.
    pub nvram: Option<(VioNode, u32)>,
    /// UUID of the partition.
    pub uuid: Option<[u8; 16]>,
    /// Name of the partition.
    pub name: Option<String>,
    /// Further strings of the root node, such as `host-serial`.
    pub root_strings: Vec<(&'static str, String)>,
}

impl Description {
    /// Whether the guest can be told of the nodes in the form that was agreed on.
    ///
    /// # Errors
    /// [`NumaError`].
    pub fn check_affinity(&self, agreed: &Agreed) -> std::result::Result<(), NumaError> {
        self.numa.check(agreed.affinity(), self.topology.vcpus)
    }

    /// Domains of each vCPU, for `H_HOME_NODE_ASSOCIATIVITY`.
    pub fn home_nodes(&self, agreed: &Agreed) -> Vec<Vec<u32>> {
        let domains = |index| self.numa.vcpu_domains(agreed.affinity(), index, self.topology.server_of(index));
        (0..self.topology.vcpus).map(domains).collect()
    }
}

/// What the tree is made from.
pub struct Tree<'a> {
    /// The machine.
    pub board: &'a Description,
    /// RTAS functions, hypercall strings, capabilities.
    pub hypervisor: &'a Hypervisor,
    /// What machine and guest agreed on.
    pub agreed: &'a Agreed,
    /// Where RTAS lies; `None`: the guest will say.
    pub rtas: Option<Range<u64>>,
    /// Seed of the kernel's random numbers.
    pub rng_seed: [u8; 32],
}

/// Phandle of the interrupt controller.
const PHANDLE_INTERRUPTS: u32 = 0x1111;
/// First of the other phandles.
const PHANDLE_FIRST: u32 = 0x1112;
/// Frequency of the processor, as told; nothing depends on it.
const CLOCK_HZ: u32 = 1_000_000_000;
/// Interrupt sources of events (LoPAPR, "Event Sources"): environment and power, hot plug.
const XISR_EPOW: u32 = 0x1000;
const XISR_HOT_PLUG: u32 = 0x1001;
/// Smallest granule in which memory would be added, told in `ibm,lrdr-capacity`.
const MEMORY_BLOCK_BYTES: u32 = 256 << 20;

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

fn low(value: u64) -> u32 {
    value as u32
}

/// A UUID in its usual spelling.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::new();
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

impl Tree<'_> {
    /// The tree as a blob.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn build(&self) -> Result<Vec<u8>> {
        self.write()?.finish()
    }

    /// The tree as nodes, the root first. The same machine has the same nodes with the same phandles whatever is agreed on.
    pub(crate) fn nodes(&self) -> Result<Vec<Node>> {
        Ok(self.write()?.into_nodes())
    }

    fn write(&self) -> Result<FdtWriter> {
        let board = self.board;
        let mut fdt = FdtWriter::default();
        let taken = [self.rtas.clone(), board.initrd.clone()];
        for range in taken.into_iter().flatten().filter(|range| !range.is_empty()) {
            fdt.reserve(range.start, range.end - range.start);
        }
        fdt.node("", |fdt| {
            self.root(fdt)?;
            fdt.node("chosen", |fdt| self.chosen(fdt))?;
            fdt.node("rtas", |fdt| self.rtas(fdt))?;
            fdt.node("event-sources", event_sources)?;
            fdt.node("cpus", |fdt| self.cpus(fdt))?;
            fdt.node("vdevice", |fdt| self.vdevice(fdt))?;
            for (node, start, bytes) in board.numa.memory() {
                fdt.node(&format!("memory@{start:x}"), |fdt| {
                    fdt.string("device_type", "memory")?;
                    fdt.cells("reg", &[high(start), low(start), high(bytes), low(bytes)]);
                    fdt.cells("ibm,associativity", &board.numa.memory_associativity(self.affinity(), node));
                    Ok(())
                })?;
            }
            self.interrupt_controller(fdt)
        })?;
        // A client interface gives every node a number; what it ends with and a tree without it are the same.
        fdt.number_nodes(PHANDLE_FIRST);
        Ok(fdt)
    }

    fn interrupt_controller(&self, fdt: &mut FdtWriter) -> Result {
        let common = |fdt: &mut FdtWriter| {
            fdt.empty("interrupt-controller");
            fdt.cell("#interrupt-cells", 2);
            fdt.cell("linux,phandle", PHANDLE_INTERRUPTS);
            fdt.cell("phandle", PHANDLE_INTERRUPTS);
        };
        match self.agreed.controller {
            Controller::Xics => fdt.node("interrupt-controller", |fdt| {
                fdt.string("device_type", "PowerPC-External-Interrupt-Presentation")?;
                fdt.string("compatible", "IBM,ppc-xicp")?;
                fdt.cells("ibm,interrupt-server-ranges", &[0, self.board.topology.server_limit() as u32]);
                common(fdt);
                Ok(())
            }),
            Controller::Xive => fdt.node(&format!("interrupt-controller@{TIMA_USER_PAGE:x}"), |fdt| {
                fdt.string("device_type", "power-ivpe")?;
                fdt.string("compatible", "ibm,power-ivpe")?;
                let page = |page: u64| [high(page), low(page), high(TIMA_PAGE_BYTES), low(TIMA_PAGE_BYTES)];
                fdt.cells("reg", &[page(TIMA_USER_PAGE), page(TIMA_OS_PAGE)].concat());
                fdt.cell("ibm,xive-eq-sizes", QUEUE_SHIFT);
                // Sources of inter-processor interrupts.
                fdt.cells("ibm,xive-lisn-ranges", &[0, self.board.topology.server_limit() as u32]);
                common(fdt);
                Ok(())
            }),
        }
    }

    fn capabilities(&self) -> &Capabilities {
        self.hypervisor.capabilities()
    }

    fn level(&self) -> IsaLevel {
        self.agreed.level
    }

    fn affinity(&self) -> Affinity {
        self.agreed.affinity()
    }

    /// Whether the guest could translate by radix trees.
    fn has_radix(&self) -> bool {
        self.board.platform.model.radix && self.level() >= IsaLevel::V3_0
    }

    /// `ibm,segment-page-sizes`: for each segment its base page shift, SLB encoding and number of actual sizes, and for each
    /// of these its shift and encoding.
    fn segment_page_sizes(&self) -> Vec<u32> {
        let encodings: Vec<_> = self.board.page_sizes.encodings().collect();
        let segments = encodings.chunk_by(|a, b| a.base == b.base).flat_map(|sizes| {
            let head = [sizes[0].base, sizes[0].llp as u32, sizes.len() as u32];
            head.into_iter().chain(sizes.iter().flat_map(|size| [size.actual, size.lp as u32]))
        });
        segments.collect()
    }

    fn root(&self, fdt: &mut FdtWriter) -> Result {
        // Linux looks for these three to know that it is a partition, and which.
        fdt.string("device_type", "chrp")?;
        fdt.string("model", "IBM pSeries (emulated by qemu)")?;
        fdt.string("compatible", "qemu,pseries")?;
        fdt.cell("#address-cells", 2);
        fdt.cell("#size-cells", 2);
        fdt.string("vm,uuid", &uuid_text(&self.board.uuid.unwrap_or_default()))?;
        if let Some(uuid) = &self.board.uuid {
            fdt.string("system-id", &uuid_text(uuid))?;
        }
        if let Some(name) = &self.board.name {
            fdt.string("ibm,partition-name", name)?;
        }
        if self.agreed.controller == Controller::Xive {
            // First priority that is the hypervisor's, and how many there are.
            let first = u32::from(PRIORITY_MAX);
            fdt.cells("ibm,plat-res-int-priorities", &[first, u32::from(u8::MAX) - first]);
        }
        for (name, value) in &self.board.root_strings {
            fdt.string(name, value)?;
        }
        Ok(())
    }

    fn chosen(&self, fdt: &mut FdtWriter) -> Result {
        fdt.string("bootargs", &self.board.append)?;
        if let Some(initrd) = &self.board.initrd {
            // Two cells each: as Linux writes them where it asks a client interface.
            fdt.cells("linux,initrd-start", &[high(initrd.start), low(initrd.start)]);
            fdt.cells("linux,initrd-end", &[high(initrd.end), low(initrd.end)]);
        }
        fdt.bytes("rng-seed", &self.rng_seed);
        if let Some(vty) = self.board.vtys.first() {
            let path = format!("/vdevice/vty@{:x}", vty.reg);
            fdt.string("stdout-path", &path)?;
            fdt.string("linux,stdout-path", &path)?;
        }
        fdt.cell("linux,pci-probe-only", 0);
        fdt.bytes("ibm,architecture-vec-5", &self.agreed.vector_5);
        fdt.bytes("ibm,arch-vec-5-platform-support", &self.board.platform.support());
        Ok(())
    }

    fn rtas(&self, fdt: &mut FdtWriter) -> Result {
        if let Some(rtas) = &self.rtas {
            fdt.cell("linux,rtas-base", low(rtas.start));
            fdt.cell("linux,rtas-entry", low(rtas.start));
        }
        fdt.cell("rtas-size", rtas_size_bytes(self.board.topology.max_vcpus) as u32);
        fdt.cell("rtas-error-log-max", RTAS_ERROR_LOG_MAX_BYTES as u32);
        fdt.cell("rtas-event-scan-rate", 1);
        for function in self.hypervisor.rtas_functions() {
            fdt.cell(function.name, function.token);
        }
        // Without it a guest that panics spins for ever instead of calling ibm,os-term.
        fdt.empty("ibm,extended-os-term");
        let strings = self.hypervisor.hypertas_functions();
        fdt.strings("ibm,hypertas-functions", &strings)?;
        if self.hypervisor.hcalls().any(|row| row.opcode == platform::papr::opcode::H_LOGICAL_MEMOP) {
            fdt.string("qemu,hypertas-functions", "hcall-memop1")?;
        }
        // Highest address of memory that could be added, granule, and how many cores there can be.
        let ram = self.board.ram_bytes;
        let cores = self.board.topology.max_vcpus / self.board.topology.threads;
        fdt.cells("ibm,lrdr-capacity", &[high(ram), low(ram), 0, MEMORY_BLOCK_BYTES, cores as u32]);
        let (points, domains) = self.board.numa.reference_points(self.affinity());
        fdt.cells("ibm,max-associativity-domains", &domains);
        fdt.cells("ibm,associativity-reference-points", &points);
        if self.affinity() == Affinity::Form2 {
            let (nodes, distances) = self.board.numa.distance_tables();
            fdt.cells("ibm,numa-lookup-index-table", &nodes);
            fdt.bytes("ibm,numa-distance-table", &distances);
        }
        Ok(())
    }

    fn cpus(&self, fdt: &mut FdtWriter) -> Result {
        fdt.cell("#address-cells", 1);
        fdt.cell("#size-cells", 0);
        for core in self.board.topology.each_core() {
            let server = self.board.topology.server_of(core.start);
            let name = format!("{}@{server:x}", self.board.platform.model.device_tree_name);
            fdt.node(&name, |fdt| self.core(fdt, core))?;
        }
        Ok(())
    }

    /// A core; its threads are `vcpus`.
    fn core(&self, fdt: &mut FdtWriter, vcpus: Range<usize>) -> Result {
        let capabilities = self.capabilities();
        let topology = &self.board.topology;
        fdt.string("device_type", "cpu")?;
        fdt.cell("reg", topology.server_of(vcpus.start));
        fdt.string("status", "okay")?;
        fdt.cell("cpu-version", self.agreed.pvr);
        if self.board.numa.count() > 1 {
            let server = topology.server_of(vcpus.start);
            let domains = self.board.numa.vcpu_domains(self.affinity(), vcpus.start, server);
            fdt.cells("ibm,associativity", &counted(domains));
        }
        fdt.cell("ibm,chip-id", topology.socket_of(vcpus.start) as u32);
        let servers: Vec<u32> = vcpus.map(|index| topology.server_of(index)).collect();
        // Global queues: one, number 0.
        let queues: Vec<u32> = servers.iter().flat_map(|server| [*server, 0]).collect();
        fdt.cells("ibm,ppc-interrupt-server#s", &servers);
        fdt.cells("ibm,ppc-interrupt-gserver#s", &queues);
        fdt.cell("timebase-frequency", platform::TIMEBASE_HZ as u32);
        fdt.cell("clock-frequency", CLOCK_HZ);
        for cache in ["d", "i"] {
            fdt.cell(&format!("{cache}-cache-block-size"), 128);
            fdt.cell(&format!("{cache}-cache-line-size"), 128);
            fdt.cell(&format!("{cache}-cache-size"), 32 << 10);
        }
        fdt.empty("64-bit");
        fdt.cell("slb-size", 32);
        fdt.cell("ibm,slb-size", 32);
        fdt.cell("ibm,purr", 1);
        fdt.cell("ibm,spurr", 1);
        // 1: VMX, 2: VSX too.
        fdt.cell("ibm,vmx", if capabilities.is_on(Cap::Vsx) { 2 } else { 1 });
        if capabilities.is_on(Cap::Dfp) {
            fdt.cell("ibm,dfp", 1);
        }
        if capabilities.is_on(Cap::LargeDecr) {
            fdt.cell("ibm,dec-bits", self.board.platform.model.decrementer_bits);
        }
        // Base-2 logarithms of the segment sizes, 256M and 1T, and none.
        fdt.cells("ibm,processor-segment-sizes", &[28, 40, u32::MAX, u32::MAX]);
        fdt.cells("ibm,segment-page-sizes", &self.segment_page_sizes());
        fdt.cells("ibm,pft-size", &[0, shift_for(self.board.ram_bytes)]);
        let mut features = pa_features(self.level(), capabilities);
        if !self.agreed.isa_3
            && let Some(radix) = features.get_mut(PA_FEATURES_RADIX)
        {
            *radix = 0;
        }
        fdt.bytes("ibm,pa-features", &features);
        fdt.bytes("ibm,pi-features", &[1, 0, 0]);
        if self.has_radix() {
            // AP encoding in the top three bits, base-2 logarithm of the page size below: 4K, 64K, 2M, 1G.
            fdt.cells("ibm,processor-radix-AP-encodings", &[12, 5 << 29 | 16, 1 << 29 | 21, 2 << 29 | 30]);
        }
        Ok(())
    }

    fn vdevice(&self, fdt: &mut FdtWriter) -> Result {
        fdt.string("device_type", "vdevice")?;
        fdt.string("compatible", "IBM,vdevice")?;
        fdt.cell("#address-cells", 1);
        fdt.cell("#size-cells", 0);
        fdt.cell("#interrupt-cells", 2);
        fdt.empty("interrupt-controller");
        for vty in &self.board.vtys {
            fdt.node(&format!("vty@{:x}", vty.reg), |fdt| vio(fdt, vty, "serial", "hvterm1"))?;
        }
        if let Some((nvram, size_bytes)) = &self.board.nvram {
            fdt.node(&format!("nvram@{:x}", nvram.reg), |fdt| {
                fdt.cell("#bytes", *size_bytes);
                vio(fdt, nvram, "nvram", "qemu,spapr-nvram")
            })?;
        }
        Ok(())
    }
}

fn vio(fdt: &mut FdtWriter, node: &VioNode, device_type: &str, compatible: &str) -> Result {
    fdt.string("device_type", device_type)?;
    fdt.string("compatible", compatible)?;
    fdt.cell("reg", node.reg);
    // Source and sense: 0 is edge.
    fdt.cells("interrupts", &[node.xisr, 0]);
    Ok(())
}

fn event_sources(fdt: &mut FdtWriter) -> Result {
    fdt.empty("interrupt-controller");
    fdt.cell("#interrupt-cells", 2);
    fdt.cells("interrupt-ranges", &[XISR_EPOW, 1, XISR_HOT_PLUG, 1]);
    for (name, xisr) in [("epow-events", XISR_EPOW), ("hot-plug-events", XISR_HOT_PLUG)] {
        fdt.node(name, |fdt| {
            fdt.cells("interrupts", &[xisr, 0]);
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mmu::Mmu;
    use crate::numa::NumaOption;
    use cpu::CpuModel;
    use cpu::model::{POWER8, POWER9, POWER10};
    use devices::{InterruptMode, Interrupts, NVRAM_BYTES, Nvram, Rtc, VioBus, Vty};
    use hypervisor::capability::{CapBasis, CapOption, resolve};
    use platform::PaprDevice;
    use std::collections::BTreeSet;
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::sync::Arc;

    struct NoLines;

    impl platform::ExternalInterruptLines for NoLines {
        fn set_external_interrupt(&self, _: usize, _: bool) {}
    }

    /// A machine and what was agreed on, for a test to change.
    struct Wanted {
        board: Description,
        agreed: Agreed,
        rtas: Option<Range<u64>>,
    }

    fn with_tree<R>(
        model: &'static CpuModel,
        vcpus: usize,
        options: &[CapOption<'_>],
        change: impl FnOnce(&mut Wanted),
        then: impl FnOnce(&Tree<'_>) -> R,
    ) -> R {
        let basis = CapBasis { cpu: model.level.into(), compat: None };
        let capabilities = resolve(options, basis).unwrap().0;
        let servers: Vec<u32> = (0..vcpus as u32).collect();
        let memory = Arc::new(crate::outside::Ram(Arc::new(memory::Memory::new(1 << 20, vcpus).unwrap())));
        let (mode, first) = (InterruptMode::Dual, Controller::Xics);
        let interrupts = Interrupts::new(mode, first, &servers, vcpus, memory, Arc::new(NoLines)).unwrap();
        let interrupts = Arc::new(interrupts);
        let vty = Vty::new(0x7100_0000, 0x1100, Arc::new(devices::console::NullConsole), interrupts.clone());
        let devices: Vec<Arc<dyn PaprDevice>> =
            vec![interrupts, Arc::new(VioBus::new(vec![vty])), Arc::new(Rtc::new()), Arc::new(Nvram::in_memory())];
        let config = hypervisor::Config { capabilities, max_vcpus: vcpus, rtas_base_ra: 0x1fff_0000, uuid: None };
        let hypervisor = Hypervisor::new(config, devices).unwrap();
        let platform =
            Platform { model, compat: None, mmu_only: None, interrupt_mode: InterruptMode::Xics, form2: true };
        let board = Description {
            platform,
            page_sizes: PageSizes::up_to(16),
            topology: Topology::cores(vcpus),
            ram_bytes: 1 << 30,
            numa: Numa::one(&Topology::cores(vcpus), 1 << 30),
            append: "console=hvc0 cryptomgr.notests".into(),
            initrd: Some(0x2c9_0000..0x2dd_40b3),
            vtys: vec![VioNode { reg: 0x7100_0000, xisr: 0x1100 }],
            nvram: Some((VioNode { reg: 0x7100_0001, xisr: 0x1101 }, NVRAM_BYTES as u32)),
            uuid: None,
            name: None,
            root_strings: Vec::new(),
        };
        let mut wanted =
            Wanted { board, agreed: platform.expected(Mmu::Radix, first), rtas: Some(0x1fff_0000..0x1fff_083c) };
        change(&mut wanted);
        let Wanted { board, agreed, rtas } = &wanted;
        then(&Tree { board, agreed, rtas: rtas.clone(), hypervisor: &hypervisor, rng_seed: [7; 32] })
    }

    fn blob(
        model: &'static CpuModel,
        vcpus: usize,
        options: &[CapOption<'_>],
        change: impl FnOnce(&mut Wanted),
    ) -> Vec<u8> {
        with_tree(model, vcpus, options, change, |tree| tree.build().unwrap())
    }

    /// The tree as source. Needs `dtc` (Debian package device-tree-compiler).
    fn source(blob: &[u8]) -> String {
        let mut dtc = Command::new("dtc")
            .args(["-I", "dtb", "-O", "dts", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dtc (Debian package device-tree-compiler)");
        dtc.stdin.take().unwrap().write_all(blob).unwrap();
        let output = dtc.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && !said.contains("ERROR"), "{said}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every property as `node/name` with its value.
    fn properties(source: &str) -> Vec<(String, String)> {
        let mut path = Vec::new();
        let mut found = Vec::new();
        for line in source.lines().map(str::trim) {
            if let Some(name) = line.strip_suffix(" {") {
                path.push(name.trim_start_matches('/').to_string());
            } else if line == "};" {
                path.pop();
            } else if let Some(property) = line.strip_suffix(';').filter(|_| !path.is_empty()) {
                let (name, value) = property.split_once(" = ").unwrap_or((property, ""));
                found.push((format!("{}/{name}", path.join("/")), value.to_string()));
            }
        }
        found
    }

    #[test]
    fn dtc_takes_the_tree_and_it_says_what_is_wanted() {
        let text = source(&blob(&POWER9, 2, &[], |_| ()));
        let properties = properties(&text);
        let value = |name: &str| {
            let found = properties.iter().find(|(known, _)| known == name);
            found.unwrap_or_else(|| panic!("no {name} in\n{text}")).1.as_str()
        };
        for (name, wanted) in [
            ("/device_type", "\"chrp\""),
            ("/chosen/bootargs", "\"console=hvc0 cryptomgr.notests\""),
            ("/chosen/stdout-path", "\"/vdevice/vty@71000000\""),
            ("/chosen/linux,initrd-end", "<0x00 0x2dd40b3>"),
            (
                "/chosen/ibm,architecture-vec-5",
                "[19 00 20 00 00 a0 05 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 80 00 40 00 40]",
            ),
            ("/rtas/linux,rtas-entry", "<0x1fff0000>"),
            ("/rtas/rtas-size", "<0x83c>"),
            ("/rtas/start-cpu", "<0x2006>"),
            ("/rtas/ibm,lrdr-capacity", "<0x00 0x40000000 0x00 0x10000000 0x02>"),
            ("/cpus/PowerPC,POWER9@1/ibm,ppc-interrupt-server#s", "<0x01>"),
            ("/cpus/PowerPC,POWER9@0/cpu-version", "<0xf000005>"),
            ("/cpus/PowerPC,POWER9@0/timebase-frequency", "<0x1e848000>"),
            ("/cpus/PowerPC,POWER9@0/ibm,processor-radix-AP-encodings", "<0x0c 0xa0000010 0x20000015 0x4000001e>"),
            ("/cpus/PowerPC,POWER9@0/ibm,dec-bits", "<0x38>"),
            ("/cpus/PowerPC,POWER9@0/ibm,pft-size", "<0x00 0x17>"),
            ("/memory@0/reg", "<0x00 0x00 0x00 0x40000000>"),
            ("/interrupt-controller/ibm,interrupt-server-ranges", "<0x00 0x02>"),
            ("/vdevice/nvram@71000001/#bytes", "<0x10000>"),
        ] {
            assert_eq!(value(name), wanted, "{name}");
        }
        let reserved = [
            "/memreserve/\t0x000000001fff0000 0x000000000000083c",
            "/memreserve/\t0x0000000002c90000 0x00000000001440b3",
        ];
        for reserved in reserved {
            assert!(text.contains(reserved), "{reserved} in\n{text}");
        }
    }

    /// What a booted partition's tree has, and what is left out of ours on purpose.
    #[test]
    fn the_properties_are_those_of_a_partition_that_boots() {
        let text = source(&blob(&POWER9, 1, &[], |_| ()));
        let ours: BTreeSet<String> = properties(&text).into_iter().map(|(name, _)| name).collect();
        for name in [
            "/#address-cells",
            "/#size-cells",
            "/compatible",
            "/model",
            "/vm,uuid",
            "/chosen/rng-seed",
            "/chosen/linux,pci-probe-only",
            "/chosen/linux,stdout-path",
            "/chosen/linux,initrd-start",
            "/chosen/ibm,arch-vec-5-platform-support",
            "/rtas/ibm,hypertas-functions",
            "/rtas/ibm,extended-os-term",
            "/rtas/rtas-error-log-max",
            "/rtas/rtas-event-scan-rate",
            "/rtas/linux,rtas-base",
            "/rtas/ibm,max-associativity-domains",
            "/rtas/ibm,associativity-reference-points",
            "/rtas/qemu,hypertas-functions",
            // Without these a guest has one CPU, or no device interrupts, or never ends.
            "/rtas/query-cpu-stopped-state",
            "/rtas/stop-self",
            "/rtas/ibm,get-xive",
            "/rtas/ibm,set-xive",
            "/rtas/ibm,int-on",
            "/rtas/ibm,int-off",
            "/rtas/power-off",
            "/rtas/system-reboot",
            "/rtas/ibm,os-term",
            "/rtas/get-time-of-day",
            "/rtas/nvram-fetch",
            "/rtas/display-character",
            "/rtas/event-scan",
            "/event-sources/interrupt-controller",
            "/event-sources/interrupt-ranges",
            "/event-sources/epow-events/interrupts",
            "/event-sources/hot-plug-events/interrupts",
            "/cpus/PowerPC,POWER9@0/ibm,pa-features",
            "/cpus/PowerPC,POWER9@0/64-bit",
            "/cpus/PowerPC,POWER9@0/ibm,vmx",
            "/cpus/PowerPC,POWER9@0/ibm,dfp",
            "/cpus/PowerPC,POWER9@0/ibm,purr",
            "/cpus/PowerPC,POWER9@0/slb-size",
            "/cpus/PowerPC,POWER9@0/ibm,segment-page-sizes",
            "/cpus/PowerPC,POWER9@0/ibm,processor-segment-sizes",
            "/cpus/PowerPC,POWER9@0/d-cache-block-size",
            "/cpus/PowerPC,POWER9@0/i-cache-line-size",
            "/vdevice/vty@71000000/interrupts",
            "/vdevice/vty@71000000/compatible",
            "/vdevice/interrupt-controller",
            "/memory@0/ibm,associativity",
            "/interrupt-controller/phandle",
            "/interrupt-controller/linux,phandle",
        ] {
            assert!(ours.contains(name), "{name} is not in\n{text}");
        }
        for name in &ours {
            assert!(!name.contains("drc") && !name.contains("pci@"), "{name}");
        }
    }

    #[test]
    fn processors_and_capabilities_show() {
        let text = source(&blob(&POWER10, 1, &[("large-decr", "off"), ("vsx", "off"), ("dfp", "off")], |_| ()));
        assert!(text.contains("PowerPC,POWER10@0") && text.contains("cpu-version = <0xf000006>"), "{text}");
        assert!(text.contains("ibm,vmx = <0x01>") && !text.contains("ibm,dec-bits") && !text.contains("ibm,dfp"));
        let text = source(&blob(&POWER9, 1, &[("rpt-invalidate", "on")], |tree| {
            tree.board.vtys = Vec::new();
            tree.board.nvram = None;
            tree.board.initrd = None;
            tree.board.uuid = Some([0x12; 16]);
            tree.board.name = Some("lpar".into());
            tree.board.ram_bytes = 5 << 32;
            tree.board.numa = Numa::one(&Topology::cores(1), 5 << 32);
        }));
        assert!(text.contains("hcall-rpt-invalidate") && !text.contains("stdout-path") && !text.contains("vty@"));
        assert!(text.contains("system-id = \"12121212-1212-1212-1212-121212121212\""));
        assert!(text.contains("ibm,partition-name = \"lpar\"") && text.contains("reg = <0x00 0x00 0x04 0x00>"));
    }

    /// As QEMU's trees have it for a kernel with `disable_radix` (but for the interrupt controller), and with larger pages.
    #[test]
    fn hash_translation_shows() {
        let hash = |model, page_sizes| {
            source(&blob(model, 1, &[], |tree| {
                tree.agreed = tree.board.platform.expected(Mmu::Hash, Controller::Xics);
                tree.board.page_sizes = page_sizes;
            }))
        };
        let text = hash(&POWER9, PageSizes::up_to(16));
        for line in [
            "ibm,architecture-vec-5 = [15 00 20 00 00 a0 05 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 80];",
            "ibm,arch-vec-5-platform-support = <0x170018c0 0x19001a40>;",
            "ibm,segment-page-sizes = <0x0c 0x00 0x01 0x0c 0x00 0x10 0x110 0x01 0x10 0x01>;",
            "ibm,processor-segment-sizes = <0x1c 0x28 0xffffffff 0xffffffff>;",
            "ibm,slb-size = <0x20>;",
            "ibm,pft-size = <0x00 0x17>;",
            "ibm,processor-radix-AP-encodings",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        let text = hash(&POWER8, PageSizes::up_to(34));
        let sizes = "0x0c 0x00 0x02 0x0c 0x00 0x18 0x38 0x10 0x110 0x02 0x10 0x01 0x18 0x08 \
             0x18 0x100 0x01 0x18 0x00 0x22 0x120 0x01 0x22 0x03";
        assert!(text.contains(&format!("ibm,segment-page-sizes = <{sizes}>;")), "{text}");
        assert!(text.contains("cpu-version = <0xf000004>") && !text.contains("radix-AP-encodings"), "{text}");
        assert!(text.contains("platform-support = <0x17001800 0x19001a40>"), "{text}");
    }

    /// As in the tree that QEMU's machine has after a negotiation, `-M pseries,ic-mode=xive -smp 2`.
    #[test]
    fn xive_is_told_as_qemu_tells_it() {
        let xive = |mode| {
            let tree = |tree: &mut Wanted| {
                tree.board.platform.interrupt_mode = mode;
                tree.agreed = tree.board.platform.expected(Mmu::Radix, Controller::Xive);
            };
            source(&blob(&POWER9, 2, &[], tree))
        };
        let text = xive(InterruptMode::Dual);
        let found = properties(&text);
        for (name, wanted) in [
            ("/ibm,plat-res-int-priorities", "<0x07 0xf8>"),
            ("/interrupt-controller@60302031b0000/device_type", "\"power-ivpe\""),
            ("/interrupt-controller@60302031b0000/compatible", "\"ibm,power-ivpe\""),
            (
                "/interrupt-controller@60302031b0000/reg",
                "<0x60302 0x31b0000 0x00 0x10000 0x60302 0x31a0000 0x00 0x10000>",
            ),
            ("/interrupt-controller@60302031b0000/ibm,xive-eq-sizes", "<0x10>"),
            ("/interrupt-controller@60302031b0000/ibm,xive-lisn-ranges", "<0x00 0x02>"),
            ("/interrupt-controller@60302031b0000/#interrupt-cells", "<0x02>"),
            ("/interrupt-controller@60302031b0000/phandle", "<0x1111>"),
            ("/interrupt-controller@60302031b0000/interrupt-controller", ""),
            (
                "/chosen/ibm,architecture-vec-5",
                "[19 00 20 00 00 a0 05 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 80 40 40 00 40]",
            ),
            ("/chosen/ibm,arch-vec-5-platform-support", "<0x178018c0 0x19001a40>"),
        ] {
            assert!(found.contains(&(name.into(), wanted.into())), "{name} = {wanted} in\n{text}");
        }
        assert!(!text.contains("PowerPC-External-Interrupt-Presentation"));
        let text = xive(InterruptMode::Xive);
        assert!(text.contains("ibm,arch-vec-5-platform-support = <0x174018c0 0x19001a40>"), "{text}");
    }

    #[test]
    fn many_vcpus_have_a_tree() {
        for vcpus in [17, 256] {
            let text = source(&blob(&POWER9, vcpus, &[], |_| ()));
            assert!(text.contains(&format!("PowerPC,POWER9@{:x} {{", vcpus - 1)));
            assert!(text.contains(&format!("ibm,interrupt-server-ranges = <0x00 {:#04x}>", vcpus)));
        }
    }

    /// As QEMU 10 tells of `-smp 8,threads=2,sockets=2 -M vsmt=4`.
    #[test]
    fn threads_are_told_of_with_their_core() {
        let topology = Topology { vcpus: 8, max_vcpus: 16, cores: 2, threads: 2, vsmt: 4 };
        let text = source(&blob(&POWER9, 8, &[], |tree| tree.board.topology = topology));
        let found = properties(&text);
        for (name, wanted) in [
            ("/cpus/PowerPC,POWER9@0/ibm,ppc-interrupt-server#s", "<0x00 0x01>"),
            ("/cpus/PowerPC,POWER9@c/reg", "<0x0c>"),
            ("/cpus/PowerPC,POWER9@c/ibm,ppc-interrupt-server#s", "<0x0c 0x0d>"),
            ("/cpus/PowerPC,POWER9@c/ibm,ppc-interrupt-gserver#s", "<0x0c 0x00 0x0d 0x00>"),
            ("/cpus/PowerPC,POWER9@4/ibm,chip-id", "<0x00>"),
            ("/cpus/PowerPC,POWER9@8/ibm,chip-id", "<0x01>"),
            ("/rtas/ibm,lrdr-capacity", "<0x00 0x40000000 0x00 0x10000000 0x08>"),
            ("/interrupt-controller/ibm,interrupt-server-ranges", "<0x00 0x20>"),
        ] {
            assert!(found.contains(&(name.into(), wanted.into())), "{name} = {wanted} in\n{text}");
        }
        assert_eq!(text.matches("PowerPC,POWER9@").count(), 4);
    }

    /// As QEMU tells of two nodes with two vCPUs each and 768 and 512 MiB, in both forms.
    #[test]
    fn nodes_are_told_of_in_the_form_that_was_agreed_on() {
        let node = |vcpus, ram_bytes| NumaOption::Node { id: None, vcpus: vec![vcpus], ram_bytes };
        let options =
            [node(0..=1, 3 << 28), node(2..=3, 2 << 28), NumaOption::Distance { from: 0, to: 1, distance: 40 }];
        let tell = |form2| {
            properties(&source(&blob(&POWER9, 4, &[], |tree| {
                tree.board.numa = Numa::new(&options, &Topology::cores(4), 5 << 28).unwrap().0;
                tree.agreed = Platform { form2, ..tree.board.platform }.expected(Mmu::Radix, Controller::Xics);
            })))
        };
        let form1: &[_] = &[
            ("/rtas/ibm,associativity-reference-points", "<0x04 0x03 0x02 0x01>"),
            ("/rtas/ibm,max-associativity-domains", "<0x04 0x02 0x02 0x02 0x02>"),
            ("/memory@0/ibm,associativity", "<0x04 0x00 0x00 0x00 0x00>"),
            ("/memory@40000000/ibm,associativity", "<0x04 0x00 0x00 0x01 0x01>"),
            ("/cpus/PowerPC,POWER9@3/ibm,associativity", "<0x05 0x00 0x00 0x01 0x01 0x03>"),
        ];
        let form2: &[_] = &[
            ("/rtas/ibm,associativity-reference-points", "<0x01>"),
            ("/rtas/ibm,max-associativity-domains", "<0x01 0x02>"),
            ("/rtas/ibm,numa-lookup-index-table", "<0x02 0x00 0x01>"),
            ("/rtas/ibm,numa-distance-table", "<0x04 0xa28280a>"),
            ("/memory@20000000/reg", "<0x00 0x20000000 0x00 0x10000000>"),
            ("/memory@30000000/ibm,associativity", "<0x01 0x01>"),
            ("/cpus/PowerPC,POWER9@3/ibm,associativity", "<0x02 0x01 0x03>"),
        ];
        for (form, wanted) in [(false, form1), (true, form2)] {
            let found = tell(form);
            for (name, value) in wanted {
                assert!(found.contains(&(name.to_string(), value.to_string())), "{name} = {value} in {found:?}");
            }
            assert_eq!(found.iter().any(|(name, _)| name.contains("numa-")), form);
        }
    }

    #[test]
    fn strings_that_the_format_cannot_hold() {
        let broken = |tree: &mut Wanted| tree.board.append = "a\0b".into();
        assert!(with_tree(&POWER9, 1, &[], broken, |tree| tree.build().is_err()));
    }

    #[test]
    fn nodes_keep_their_numbers_whatever_is_agreed_on() {
        let numbers = |agreed: fn(&Platform) -> Agreed, rtas: Option<Range<u64>>| {
            let change = |tree: &mut Wanted| (tree.agreed, tree.rtas) = (agreed(&tree.board.platform), rtas);
            let nodes = with_tree(&POWER9, 2, &[], change, |tree| tree.nodes().unwrap());
            nodes.iter().map(|node| node.property("phandle").unwrap().to_vec()).collect::<Vec<_>>()
        };
        let direct = numbers(|platform| platform.expected(Mmu::Radix, Controller::Xive), Some(0..1));
        assert_eq!(direct, numbers(Platform::nothing_yet, None));
        assert_eq!(direct, numbers(|platform| platform.expected(Mmu::Hash, Controller::Xics), None));
        assert_eq!(direct.iter().collect::<BTreeSet<_>>().len(), direct.len());
    }

    /// Before the guest has said anything: the processor itself. A guest without ISA 3.0 hears nothing of radix trees.
    #[test]
    fn before_and_after_a_negotiation() {
        let text = source(&blob(&POWER9, 1, &[], |tree| {
            (tree.agreed, tree.rtas) = (tree.board.platform.nothing_yet(), None);
        }));
        assert!(text.contains("cpu-version = <0x4e1202>") && !text.contains("linux,rtas-base"), "{text}");
        assert!(text.contains("ibm,architecture-vec-5 = <0x00>") || text.contains("vec-5 = [00 00]"), "{text}");
        let features = |isa_3| {
            let nodes = |tree: &Tree<'_>| tree.nodes().unwrap();
            let nodes = with_tree(&POWER9, 1, &[], |tree| tree.agreed.isa_3 = isa_3, nodes);
            nodes.iter().find_map(|node| node.property("ibm,pa-features")).unwrap()[PA_FEATURES_RADIX]
        };
        assert_eq!((features(true), features(false)), (0x80, 0));
    }
}
