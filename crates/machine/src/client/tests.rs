//! The interface as a client calls it: arrays of cells in its memory.

use super::*;
use crate::fdt::VioNode;
use crate::mmu::Mmu;
use crate::negotiation::Platform;
use crate::negotiation::tests::{P9, linux};
use crate::numa::Numa;
use crate::topology::Topology;
use devices::{Controller, InterruptMode, Vty};
use hypervisor::capability::{CapBasis, IsaLevel, resolve};
use memory::hpt::PageSizes;
use platform::mock::{MockConsole, MockPartition, MockWorld};
use platform::{RunState, Shutdown};
use proptest::prelude::*;

const RAM_BYTES: u64 = 0x20_0000;
/// The client's own memory: array, strings, buffers.
const ARRAY: u64 = 0x10_0000;
const STRINGS: u64 = 0x11_0000;
const BUFFER: u32 = 0x12_0000;
const VECTORS: u32 = 0x13_0000;

struct Rig {
    world: MockWorld,
    console: Arc<MockConsole>,
    interrupts: Arc<Interrupts>,
    hypervisor: Arc<Hypervisor>,
    client: Arc<ClientInterface>,
}

/// An argument: a cell, or a string of which the cell is the address.
enum Arg<'a> {
    Cell(u32),
    Text(&'a str),
}
use Arg::{Cell, Text};

impl Rig {
    fn new(platform: Platform) -> Rig {
        let world = MockWorld::new(2, RAM_BYTES as usize);
        let console = Arc::new(MockConsole::default());
        let lines = Arc::new(MockPartition::new(2));
        let first = platform.nothing_yet().controller;
        let ram = world.memory.clone();
        let interrupts = Interrupts::new(platform.interrupt_mode, first, &[0, 1], 2, ram, lines).unwrap();
        let interrupts = Arc::new(interrupts);
        let vty = Vty::new(0x7100_0000, 0x1100, console.clone(), interrupts.clone());
        let bus = Arc::new(VioBus::new(vec![vty]));
        let board = Arc::new(Description {
            platform,
            page_sizes: PageSizes::up_to(16),
            topology: Topology::cores(2),
            numa: Numa::one(&Topology::cores(2), RAM_BYTES),
            ram_bytes: RAM_BYTES,
            append: "quiet".into(),
            initrd: Some(0x8_0000..0x8_4321),
            vtys: vec![VioNode { reg: 0x7100_0000, xisr: 0x1100 }],
            nvram: None,
            uuid: None,
            name: None,
            root_strings: Vec::new(),
        });
        let client = Arc::new(ClientInterface::new(board, 0x4_0000..0x7_0000, interrupts.clone(), bus.clone()));
        let basis = CapBasis { cpu: platform.model.level.into(), compat: platform.compat };
        let config = hypervisor::Config {
            capabilities: resolve(&[], basis).unwrap().0,
            max_vcpus: 2,
            rtas_base_ra: 0x1_0000,
            uuid: None,
        };
        let devices: Vec<Arc<dyn PaprDevice>> = vec![interrupts.clone(), bus, client.clone()];
        let hypervisor = Arc::new(Hypervisor::new(config, devices).unwrap());
        client.attach(&hypervisor);
        client.power_on([7; 32]).unwrap();
        Rig { world, console, interrupts, hypervisor, client }
    }

    fn hcall(&self, array: u64) -> i64 {
        let mut vcpu = self.world.partition.vcpu(0);
        (vcpu.gpr[3], vcpu.gpr[4]) = (H_VOF_CLIENT, array);
        self.hypervisor.hcall(&mut self.world.context(&mut vcpu)).0
    }

    /// r3 and the results.
    fn call(&self, service: &str, args: &[Arg<'_>], results: usize) -> (i64, Vec<u32>) {
        let memory = &self.world.memory;
        let mut strings = STRINGS;
        let mut text = |text: &str| {
            let at = strings;
            memory.write(at, &[text.as_bytes(), &[0]].concat()).unwrap();
            strings += text.len() as u64 + 1;
            at as u32
        };
        let mut cells = vec![text(service), args.len() as u32, results as u32];
        cells.extend(args.iter().map(|arg| match arg {
            Cell(cell) => *cell,
            Text(string) => text(string),
        }));
        cells.resize(cells.len() + results, 0x5555_5555);
        for (index, cell) in cells.iter().enumerate() {
            memory.write_be_u32(ARRAY + 4 * index as u64, *cell).unwrap();
        }
        let r3 = self.hcall(ARRAY);
        let at = |index| memory.read_be_u32(ARRAY + 4 * (3 + args.len() + index) as u64).unwrap();
        (r3, (0..results).map(at).collect())
    }

    /// The only result of a call that is served.
    fn get(&self, service: &str, args: &[Arg<'_>]) -> i32 {
        let (r3, results) = self.call(service, args, 1);
        assert_eq!(r3, 0, "{service}");
        results[0] as i32
    }

    fn find(&self, path: &str) -> u32 {
        self.get("finddevice", &[Text(path)]) as u32
    }

    fn buffer(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.world.memory.read(BUFFER.into(), &mut bytes).unwrap();
        bytes
    }

    fn value(&self, path: &str, name: &str) -> Option<Vec<u8>> {
        let args = [Cell(self.find(path)), Text(name), Cell(BUFFER), Cell(0x1000)];
        let length = self.get("getprop", &args);
        (length >= 0).then(|| self.buffer(length as usize))
    }

    /// What method and call say.
    fn architecture(&self, vectors: &[u8]) -> (i32, i32) {
        self.world.memory.write(VECTORS.into(), vectors).unwrap();
        self.architecture_at(VECTORS)
    }

    fn architecture_at(&self, vectors: u32) -> (i32, i32) {
        let root = self.get("open", &[Text("/")]) as u32;
        let method = "ibm,client-architecture-support";
        let (r3, results) = self.call("call-method", &[Text(method), Cell(root), Cell(vectors)], 2);
        self.call("close", &[Cell(root)], 0);
        assert_eq!(r3, 0);
        (results[0] as i32, results[1] as i32)
    }

    /// What the tree leads a client to, as Linux walks it: path, property, value.
    fn walk(&self) -> Vec<(String, String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut todo = vec![self.get("peer", &[Cell(0)]) as u32];
        while let Some(node) = todo.pop() {
            let length = self.get("package-to-path", &[Cell(node), Cell(BUFFER), Cell(0x100)]);
            let path = String::from_utf8(self.buffer(length as usize)).unwrap();
            assert_eq!(self.find(&path), node);
            let mut name = String::new();
            while self.get("nextprop", &[Cell(node), Text(&name), Cell(BUFFER)]) == 1 {
                name = string(&*self.world.memory, BUFFER, 64).unwrap();
                let length = self.get("getproplen", &[Cell(node), Text(&name)]);
                assert_eq!(self.get("getprop", &[Cell(node), Text(&name), Cell(BUFFER), Cell(0x1000)]), length);
                found.push((path.clone(), name.clone(), self.buffer(length as usize)));
            }
            let mut child = self.get("child", &[Cell(node)]) as u32;
            while child != 0 {
                assert_eq!(self.get("parent", &[Cell(child)]) as u32, node);
                todo.push(child);
                child = self.get("peer", &[Cell(child)]) as u32;
            }
        }
        found.sort();
        found
    }
}

fn be(value: u32) -> Option<Vec<u8>> {
    Some(value.to_be_bytes().to_vec())
}

/// As Linux goes about it; in the end its tree is the one that a kernel that is entered directly finds.
#[test]
fn negotiation_ends_in_the_direct_tree() {
    let wishes = [
        (0x40, Controller::Xive, 0x40, Mmu::Radix),
        (0, Controller::Xics, 0x40, Mmu::Radix),
        (0, Controller::Xics, 0, Mmu::Hash),
    ];
    for (interrupts, controller, byte, mmu) in wishes {
        let rig = Rig::new(P9);
        assert_eq!(rig.value("/cpus/PowerPC,POWER9@0", "cpu-version"), be(0x004e_1202));
        assert_eq!(rig.value("/chosen", "ibm,architecture-vec-5"), Some(vec![0, 0]));
        assert_eq!(rig.interrupts.active(), Controller::Xics);
        let (chosen, stdout) = (rig.find("/chosen"), rig.value("/chosen", "stdout"));
        assert_eq!(rig.architecture(&linux(interrupts, byte)), (0, 0));
        assert_eq!((rig.find("/chosen"), rig.value("/chosen", "stdout")), (chosen, stdout));
        assert_eq!((rig.interrupts.active(), rig.hypervisor.level()), (controller, IsaLevel::V3_0));

        let board = rig.client.board.clone();
        let direct = Tree {
            board: &board,
            hypervisor: &rig.hypervisor,
            agreed: &P9.expected(mmu, controller),
            rtas: Some(0x1_0000..0x1_1000),
            rng_seed: [7; 32],
        };
        // The memory reservations are what the kernel itself writes down.
        let direct = LiveTree::new(direct.nodes().unwrap());
        let mut expected = Vec::new();
        for node in direct.nodes() {
            let phandle = u32::from_be_bytes(node.property("phandle").unwrap().try_into().unwrap());
            let path = direct.path(phandle).unwrap();
            expected.extend(node.properties.iter().map(|(name, value)| (path.clone(), name.clone(), value.clone())));
        }
        expected.retain(|(path, name, _)| !(path == "/rtas" && name.starts_with("linux,rtas-")));
        expected.sort();
        let mut found = rig.walk();
        found.retain(|(_, name, _)| name != "stdout" && name != "available");
        assert_eq!(found, expected);
        // As a blob it is what was walked through.
        assert!(rig.client.blob().len() > 0x1000);
    }
}

#[test]
fn power_on_begins_anew() {
    let rig = Rig::new(P9);
    rig.architecture(&linux(0x40, 0x40));
    rig.call("quiesce", &[], 0);
    rig.get("claim", &[Cell(0x1_0000), Cell(0x1000), Cell(0)]);
    assert_eq!(rig.architecture(&linux(0x40, 0x40)), (0, HcallStatus::H_NOT_AVAILABLE.0 as i32));
    rig.hypervisor.reset();
    rig.client.power_on([8; 32]).unwrap();
    assert_eq!((rig.interrupts.active(), rig.hypervisor.rtas_base_ra()), (Controller::Xics, 0x1_0000));
    assert_eq!(rig.value("/chosen", "ibm,architecture-vec-5"), Some(vec![0, 0]));
    assert_eq!(rig.value("/chosen", "rng-seed"), Some(vec![8; 32]));
    assert_eq!(rig.get("claim", &[Cell(0x1_0000), Cell(0x1000), Cell(0)]), 0x1_0000);
    assert_eq!(rig.architecture(&linux(0, 0x40)), (0, 0));
}

#[test]
fn what_cannot_be_agreed_on_changes_nothing() {
    let rig = Rig::new(Platform { interrupt_mode: InterruptMode::Xics, ..P9 });
    let before = rig.walk();
    let parameter = HcallStatus::H_PARAMETER.0 as i32;
    assert_eq!(rig.architecture(&linux(0x40, 0x40)), (0, parameter));
    assert_eq!(rig.architecture(&linux(0, 0x80)), (0, parameter));
    for vectors in [RAM_BYTES as u32, RAM_BYTES as u32 - 9, u32::MAX, u32::MAX - 7] {
        assert_eq!(rig.architecture_at(vectors), (0, parameter), "{vectors:#x}");
    }
    rig.world.partition.set_run_state(1, RunState::Ceded);
    assert_eq!(rig.architecture(&linux(0, 0x40)), (0, -9005));
    assert_eq!(before, rig.walk());
    rig.world.partition.set_run_state(1, RunState::Stopped);
    assert_eq!(rig.architecture(&linux(0, 0x40)), (0, 0));
}

#[test]
fn what_the_client_sets_stays() {
    let rig = Rig::new(P9);
    let chosen = rig.find("/chosen");
    rig.world.memory.write(BUFFER.into(), b"text\0").unwrap();
    let set = |node, name: &str, length| rig.get("setprop", &[Cell(node), Text(name), Cell(BUFFER), Cell(length)]);
    assert_eq!((set(chosen, "bootargs", 5), set(chosen, "new", 2)), (5, 2));
    assert_eq!((set(chosen, "phandle", 4), set(chosen, "name", 4), set(chosen, "", 1)), (-1, -1, -1));
    assert_eq!((set(chosen, "big", 0x1_0001), set(0x9999, "new", 2)), (-1, -1));
    assert_eq!(rig.get("setprop", &[Cell(chosen), Text("new"), Cell(RAM_BYTES as u32 - 1), Cell(2)]), -1);
    rig.architecture(&linux(0x40, 0x40));
    assert_eq!(rig.value("/chosen", "bootargs").unwrap(), b"text\0");
    assert_eq!(rig.value("/chosen", "new").unwrap(), b"te");
    let many = (0..40).filter(|index| set(chosen, &format!("p{index}"), 0x1_0000) > 0).count();
    assert_eq!(many, 15, "there is an end to it");
}

#[test]
fn instances_and_the_console() {
    let rig = Rig::new(P9);
    let stdout = u32::from_be_bytes(rig.value("/chosen", "stdout").unwrap().try_into().unwrap());
    let vty = rig.find("/vdevice/vty@71000000");
    assert_eq!(rig.get("instance-to-package", &[Cell(stdout)]) as u32, vty);
    let length = rig.get("instance-to-path", &[Cell(stdout), Cell(BUFFER), Cell(0x100)]);
    assert_eq!(rig.buffer(length as usize + 1), b"/vdevice/vty@71000000\0");
    assert_eq!(rig.get("package-to-path", &[Cell(vty), Cell(BUFFER), Cell(3)]), 21);

    rig.world.memory.write(BUFFER.into(), b"Preparing to boot").unwrap();
    assert_eq!(rig.get("write", &[Cell(stdout), Cell(BUFFER), Cell(9)]), 9);
    assert_eq!(rig.console.take_output(), b"Preparing");
    assert_eq!(rig.get("write", &[Cell(stdout), Cell(BUFFER), Cell(u32::MAX)]), 4096, "as much as goes at a time");
    assert_eq!(rig.get("read", &[Cell(stdout), Cell(BUFFER), Cell(8)]), -2);
    rig.console.type_in(b"yes");
    assert_eq!(rig.get("read", &[Cell(stdout), Cell(BUFFER), Cell(8)]), 3);
    assert_eq!(rig.buffer(3), b"yes");
    let root = rig.get("open", &[Text("/")]) as u32;
    for (ihandle, address) in [(root, BUFFER), (0, BUFFER), (u32::MAX, BUFFER), (stdout, RAM_BYTES as u32 - 1)] {
        assert_eq!(rig.get("write", &[Cell(ihandle), Cell(address), Cell(9)]), -1);
        assert_eq!(rig.get("read", &[Cell(ihandle), Cell(address), Cell(9)]), -1);
    }
    assert_eq!(rig.call("close", &[Cell(root)], 0).0, 0);
    assert_eq!(rig.get("instance-to-package", &[Cell(root)]), -1);
    assert_eq!(rig.get("open", &[Text("/nowhere")]), 0);
    let opened = (0..2000).filter(|_| rig.get("open", &[Text("/")]) != 0).count();
    assert_eq!(opened, INSTANCES_MAX - 1);
}

#[test]
fn memory() {
    let rig = Rig::new(P9);
    let claim = |at, size, align| rig.get("claim", &[Cell(at), Cell(size), Cell(align)]);
    for (at, size) in [(0, 1), (0xffff, 1), (0x4_0000, 1), (0x8_4320, 1), (RAM_BYTES as u32, 1), (0x1_0000, 0)] {
        assert_eq!(claim(at, size, 0), -1, "{at:#x}");
    }
    assert_eq!((claim(0x1_0000, 0x1000, 0), claim(0x1_0800, 0x100, 0)), (0x1_0000, -1));
    assert_eq!(claim(0, 0x100, 0x1_0000), 0x9_0000, "above kernel and initrd");
    assert_eq!(claim(0, u32::MAX, 1), -1);
    assert_eq!(rig.call("release", &[Cell(0x1_0000), Cell(0x1000)], 0).0, 0);
    let available: Vec<u64> = rig
        .value("/memory@0", "available")
        .unwrap()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|bytes| u64::from_be_bytes(*bytes))
        .collect();
    let gaps = [0x1_0000, 0x3_0000, 0x7_0000, 0x1_0000, 0x8_4321, 0xbcdf, 0x9_0100, RAM_BYTES - 0x9_0100];
    assert_eq!(available, gaps);
}

#[test]
fn rtas_lies_where_the_client_wants_it() {
    let rig = Rig::new(P9);
    let rtas = rig.get("open", &[Text("/rtas")]) as u32;
    let instantiate = |base| rig.call("call-method", &[Text("instantiate-rtas"), Cell(rtas), Cell(base)], 2).1;
    for base in [0, 0x15_0002, RAM_BYTES as u32 - 20, u32::MAX - 3] {
        assert_eq!(instantiate(base)[0], FAILED, "{base:#x}");
    }
    assert_eq!(instantiate(0x15_0000), [0, 0x15_0000]);
    assert_eq!(rig.hypervisor.rtas_base_ra(), 0x15_0000);
    let mut stub = [0; 20];
    rig.world.memory.read(0x15_0000, &mut stub).unwrap();
    assert_eq!(stub, hypervisor::RTAS_STUB);
    let method = |name| rig.call("call-method", &[Text(name), Cell(rtas), Cell(0)], 2).1[0];
    assert_eq!((method("ibm,client-architecture-support"), method("selftest")), (FAILED, FAILED));
}

#[test]
fn ends_and_the_rest() {
    let rig = Rig::new(P9);
    assert_eq!((rig.get("test", &[Text("claim")]), rig.get("test", &[Text("interpret")])), (0, -1));
    assert_eq!(rig.call("milliseconds", &[], 1).0, 0);
    rig.call("boot", &[Text("disk")], 0);
    rig.call("exit", &[], 0);
    assert_eq!(*lock(&rig.world.partition.shutdown), Some(Shutdown::Reboot), "the first counts");
}

#[test]
fn bad_arrays() {
    let rig = Rig::new(P9);
    for array in [RAM_BYTES, RAM_BYTES - 11, u64::from(u32::MAX), u64::MAX] {
        assert_eq!(rig.hcall(array), -1, "{array:#x}");
    }
    let memory = &rig.world.memory;
    for (args, results) in [(33, 0), (0, 33), (32, 1), (u32::MAX, u32::MAX), (0x8000_0000, 0x8000_0000)] {
        for (index, cell) in [STRINGS as u32, args, results].into_iter().enumerate() {
            memory.write_be_u32(ARRAY + 4 * index as u64, cell).unwrap();
        }
        assert_eq!(rig.hcall(ARRAY), -1);
    }
    // No such service, and services of another shape; the first result says so too.
    for (service, args, results) in
        [("", 0, 1), ("finddevices", 1, 1), ("finddevice", 2, 1), ("finddevice", 1, 2), ("call-method", 1, 1)]
    {
        let args: Vec<_> = (0..args).map(|_| Cell(0)).collect();
        let (r3, found) = rig.call(service, &args, results);
        assert_eq!((r3, found[0]), (-1, FAILED), "{service}");
    }
    // A name without end, and one that leads out of RAM.
    memory.write(BUFFER.into(), &[b'a'; 2000]).unwrap();
    for address in [BUFFER, RAM_BYTES as u32, u32::MAX] {
        assert_eq!(rig.get("finddevice", &[Cell(address)]), -1);
        assert_eq!(rig.get("getproplen", &[Cell(rig.find("/")), Cell(address)]), -1);
    }
    assert_eq!(rig.get("getprop", &[Cell(rig.find("/")), Text("model"), Cell(RAM_BYTES as u32), Cell(100)]), -1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any cells to any service: an answer, and a tree that can still be walked through.
    #[test]
    fn any_cells_get_an_answer(
        calls in prop::collection::vec(
            (any::<prop::sample::Index>(), prop::collection::vec((0..6u8, any::<u32>()), 0..5), 0..3usize),
            1..60,
        ),
    ) {
        let rig = Rig::new(P9);
        rig.world.memory.write(VECTORS.into(), &linux(0x40, 0x40)).unwrap();
        let names = ["peer", "child", "parent", "instance-to-package", "getproplen", "getprop", "nextprop", "setprop",
            "finddevice", "instance-to-path", "package-to-path", "call-method", "open", "close", "read", "write",
            "claim", "release", "test", "interpret"];
        for (which, args, results) in calls {
            let args: Vec<_> = args.iter().map(|(kind, cell)| match kind {
                0 => Cell(*cell),
                1 => Cell(cell % 64),
                2 => Cell(0x1112 + cell % 16),
                3 => Cell(BUFFER + cell % 0x2_0000),
                4 => Text(["/", "/rtas", "/chosen", "name", "reg", "ibm,client-architecture-support"][*cell as usize % 6]),
                _ => Cell(RAM_BYTES as u32 - cell % 64),
            }).collect();
            let (r3, _) = rig.call(names[which.index(names.len())], &args, results);
            prop_assert!(r3 == 0 || r3 == -1);
        }
        // Whatever was set lies in the way of nobody.
        let mut todo = vec![rig.get("peer", &[Cell(0)]) as u32];
        let mut count = 0;
        while let Some(node) = todo.pop() {
            count += 1;
            let child = rig.get("child", &[Cell(node)]) as u32;
            let peer = if node == rig.find("/") { 0 } else { rig.get("peer", &[Cell(node)]) as u32 };
            todo.extend([child, peer].into_iter().filter(|next| *next != 0));
        }
        prop_assert_eq!(count, 13);
    }
}
