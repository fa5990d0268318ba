//! The same hypercalls, in the same order, on this hypervisor and on QEMU's: every register that comes back is compared.
//!
//! A small program runs on QEMU's `pseries` machine in place of firmware: it makes the calls of a table and prints what
//! r3 to r9 hold after each. Memory contents are compared by calls, too (`H_LOGICAL_CI_LOAD`).
//!
//! Calibrated with QEMU 7.2; what is left out, because the two differ on purpose or by age, is told where it is.
//!
//! `cargo test -p devices --test against_qemu -- --ignored` (needs `qemu-system-ppc64`).

use devices::{Controller, InterruptMode, Interrupts, Nvram, Rtc, SourceKind, VTY_REG_BASE, VioBus, Vty};
use hypervisor::capability::{Cap, CapBasis, CapOption, IsaLevel, Setting, resolve};
use hypervisor::{Config, Hypervisor};
use platform::PaprDevice;
use platform::mock::{MockConsole, MockWorld};
use platform::papr::{opcode::*, token::*};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

const RAM_BYTES: usize = 256 << 20;
/// Where the table of calls lies: a count, then r3 to r12 of each.
const TABLE: u64 = 0x1000_0000 - 0x0400_0000;
/// Where the program puts what came back.
const RESULTS: u64 = 0x0800_0000;
/// Where the argument block of the last call, `power-off`, lies.
const POWER_OFF_BLOCK: u64 = 0x0f00_0000;
/// Memory that calls may work on: the same, all zeros, on both sides.
const ARENA: u64 = 0x0010_0000;
const ARENA_BYTES: u64 = 0x0010_0000;
/// Registers compared: r3 to r9.
const COMPARED: usize = 7;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Call {
    opcode: u64,
    args: [u64; 9],
}

fn call(opcode: u64, args: &[u64]) -> Call {
    let mut all = [0; 9];
    all[..args.len()].copy_from_slice(args);
    Call { opcode, args: all }
}

/// The program, to be placed at 0 and entered at 0x100.
fn program() -> Vec<u8> {
    let high = |register: u32, value: u64| 0x3c00_0000 | register << 21 | (value >> 16) as u32; // lis
    let load = |register: u32, base: u32, offset: u32| 0xe800_0000 | register << 21 | base << 16 | offset; // ld
    let store = |register: u32, base: u32, offset: u32| 0xf800_0000 | register << 21 | base << 16 | offset; // std
    let add = |register: u32, offset: u32| 0x3800_0000 | register << 21 | register << 16 | offset; // addi
    let back = |code: &Vec<u32>, to: usize| ((to as i32 - code.len() as i32) * 4) as u32 & 0xfffc;
    const SC_1: u32 = 0x4400_0022;
    let mut code = vec![high(31, TABLE), high(29, RESULTS), load(30, 31, 0), add(31, 8)];
    code.push(0x7fbc_eb78); // mr r28,r29
    code.push(0x7fc9_03a6); // mtctr r30
    let calls = code.len();
    code.extend((0..10).map(|n| load(3 + n, 31, 8 * n)));
    code.extend([add(31, 80), SC_1]);
    code.extend((0..COMPARED as u32).map(|n| store(3 + n, 29, 8 * n)));
    code.push(add(29, 8 * COMPARED as u32));
    code.push(0x4200_0000 | back(&code, calls)); // bdnz
    code.push(0x1f7e_0000 | COMPARED as u32); // mulli r27,r30,COMPARED
    code.push(0x7f69_03a6); // mtctr r27
    let print = code.len();
    // H_PUT_TERM_CHAR of 8 bytes; again while the terminal is busy (r3 = 1).
    code.extend([0x3860_0058, 0x3880_0000, 0x38a0_0008, load(6, 28, 0), 0x38e0_0000, SC_1, 0x2c23_0001]);
    code.push(0x4182_0000 | back(&code, print)); // beq
    code.push(add(28, 8));
    code.push(0x4200_0000 | back(&code, print)); // bdnz
    code.extend([high(4, POWER_OFF_BLOCK), 0x3c60_0000, 0x6063_f000, SC_1, 0x4800_0000]);
    let mut bytes = vec![0; 0x100];
    bytes.extend(code.iter().flat_map(|word| word.to_be_bytes()));
    bytes
}

/// Where the partition's wishes lie that [`NEGOTIATE`] tells QEMU of.
const WISHES: u64 = 0x0e00_0000;
/// QEMU's private hypercall for `ibm,client-architecture-support`: with XIVE wanted, it switches to XIVE.
const NEGOTIATE: Call = Call { opcode: 0xf002, args: [WISHES, WISHES + 0x1_0000, 0x10_0000, 0, 0, 0, 0, 0, 0] };

/// Processors by mask and version (logical ones of ISA 3.1 and 3.0, and the end), and option vectors 1 to 5, of which the
/// fifth says: XIVE, radix.
fn wishes() -> Vec<u8> {
    let processors: [u32; 6] = [u32::MAX, 0x0f00_0006, u32::MAX, 0x0f00_0005, 0, u32::MAX];
    let mut bytes = processors.map(u32::to_be_bytes).concat();
    bytes.push(4);
    // Each has its length minus one before it, and ignores itself.
    bytes.extend([0, 0x80].repeat(4));
    let mut vector = [0; 26];
    vector[22] = 0x40;
    vector[23] = 0x40;
    vector[25] = 0x40;
    bytes.push(vector.len() as u8 - 1);
    bytes.extend(vector);
    bytes
}

fn on_qemu(
    cpu: &str,
    controller: Controller,
    options: &[CapOption<'_>],
    calls: &[Call],
    folder: &Path,
) -> Vec<[u64; COMPARED]> {
    let calls = &[if controller == Controller::Xive { vec![NEGOTIATE] } else { Vec::new() }, calls.to_vec()].concat();
    let mut table = (calls.len() as u64).to_be_bytes().to_vec();
    for call in calls {
        table.extend(call.opcode.to_be_bytes());
        table.extend(call.args.iter().flat_map(|value| value.to_be_bytes()));
    }
    assert!(table.len() < 0x0300_0000, "the table reaches the block of the last call");
    let power_off: Vec<u8> = [POWER_OFF, 2, 1, 0, 0, 0].iter().flat_map(|word| word.to_be_bytes()).collect();
    let [program_file, table_file, block_file, wishes_file, output] =
        ["program", "table", "block", "wishes", "output"].map(|name| folder.join(name));
    std::fs::write(&wishes_file, wishes()).unwrap();
    std::fs::write(&program_file, program()).unwrap();
    std::fs::write(&table_file, table).unwrap();
    std::fs::write(&block_file, power_off).unwrap();
    let mode = if controller == Controller::Xive { "xive" } else { "xics" };
    let mut machine = format!("pseries,x-vof=on,ic-mode={mode}");
    for (name, value) in options {
        machine += &format!(",cap-{name}={value}");
    }
    let loader = |file: &PathBuf, ra: u64| format!("loader,file={},addr={ra:#x},force-raw=on", file.display());
    let status = Command::new("timeout")
        .args(["60", "qemu-system-ppc64", "-accel", "tcg", "-M", &machine, "-cpu", cpu, "-m", "256M", "-smp", "4"])
        .args(["-nodefaults", "-display", "none", "-no-reboot", "-bios"])
        .arg(&program_file)
        .args(["-serial", &format!("file:{}", output.display())])
        .args(["-device", &loader(&table_file, TABLE), "-device", &loader(&block_file, POWER_OFF_BLOCK)])
        .args(["-device", &loader(&wishes_file, WISHES)])
        .stderr(std::fs::File::create(folder.join("stderr")).unwrap())
        .status()
        .expect("qemu-system-ppc64 runs");
    let told = std::fs::read_to_string(folder.join("stderr")).unwrap();
    assert!(status.success(), "QEMU ended with {status}: {told}");
    let bytes = std::fs::read(&output).unwrap();
    assert_eq!(bytes.len(), calls.len() * COMPARED * 8, "QEMU did not answer every call: {told}");
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_be_bytes(*word)).collect();
    let mut answers = words.as_chunks::<COMPARED>().0.to_vec();
    if controller == Controller::Xive {
        assert_eq!(answers.remove(0)[0], 0, "QEMU does not grant XIVE: {told}");
    }
    answers
}

fn here(cpu: &str, controller: Controller, options: &[CapOption<'_>], calls: &[Call]) -> Vec<[u64; COMPARED]> {
    let mut world = MockWorld::new(4, RAM_BYTES);
    let lines = Arc::new(platform::mock::MockPartition::new(4));
    let mode = if controller == Controller::Xive { InterruptMode::Xive } else { InterruptMode::Xics };
    let interrupts = Interrupts::new(mode, controller, &[0, 1, 2, 3], 4, world.memory.clone(), lines);
    let mut interrupts = interrupts.unwrap();
    for xisr in [0x1000, 0x1001, 0x1100] {
        interrupts.add_source(xisr, SourceKind::Message).unwrap();
    }
    let interrupts = Arc::new(interrupts);
    world.mmio = interrupts.clone();
    let vty = Vty::new(VTY_REG_BASE, 0x1100, Arc::new(MockConsole::default()), interrupts.clone());
    let devices: Vec<Arc<dyn PaprDevice>> =
        vec![interrupts, Arc::new(VioBus::new(vec![vty])), Arc::new(Nvram::in_memory()), Arc::new(Rtc::new())];
    let basis = CapBasis { cpu: IsaLevel::by_compat_name(cpu).unwrap(), compat: None };
    let (capabilities, _) = resolve(options, basis).unwrap();
    if let Setting::PageShift(shift) = capabilities.get(Cap::HptMaxPageSize) {
        world.partition.claim_memory(RAM_BYTES as u64, shift.into());
    }
    let config = Config { capabilities, max_vcpus: 4, rtas_base_ra: 0x0e00_0000, uuid: None };
    let hypervisor = Hypervisor::new(config, devices).unwrap();
    // As the board says it of a machine without nodes.
    hypervisor.set_home_nodes((0..4).map(|server| vec![0, 0, 0, 0, server]).collect());
    // Registers keep what the call before left there, as they do on the other side.
    let mut vcpu = world.partition.vcpu(0);
    calls
        .iter()
        .map(|call| {
            vcpu.gpr[3] = call.opcode;
            vcpu.gpr[4..13].copy_from_slice(&call.args);
            hypervisor.hcall(&mut world.context(&mut vcpu));
            std::array::from_fn(|number| vcpu.gpr[3 + number])
        })
        .collect()
}

/// Clears, in what came back, the bits of an entry's first doubleword that are the hypervisor's own: QEMU shows them.
fn without_marks(mut words: [u64; COMPARED], call: &Call) -> [u64; COMPARED] {
    let firsts: &[usize] = match (call.opcode, words[0]) {
        (H_REMOVE, 0) => &[1],
        (H_READ, 0) if call.args[0] & 1 << 37 != 0 => &[1, 3, 5],
        (H_READ, 0) => &[1],
        _ => &[],
    };
    firsts.iter().for_each(|&n| words[n] &= !0x60);
    words
}

/// Runs `calls` on both sides and tells of every difference.
fn compare(cpu: &str, options: &[CapOption<'_>], name: &str, calls: &[Call]) {
    compare_with(cpu, Controller::Xics, options, name, calls);
}

fn compare_with(cpu: &str, controller: Controller, options: &[CapOption<'_>], name: &str, calls: &[Call]) {
    let folder = std::env::temp_dir().join(format!("aileron-against-qemu-{}-{name}-{cpu}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let theirs = on_qemu(cpu, controller, options, calls, &folder);
    let ours = here(cpu, controller, options, calls);
    std::fs::remove_dir_all(&folder).unwrap();
    let ours: Vec<_> = ours.into_iter().zip(calls).map(|(words, call)| without_marks(words, call)).collect();
    let theirs: Vec<_> = theirs.into_iter().zip(calls).map(|(words, call)| without_marks(words, call)).collect();
    let mut differences = 0;
    for (number, call) in calls.iter().enumerate().filter(|&(number, _)| ours[number] != theirs[number]) {
        differences += 1;
        if differences <= 20 {
            let (ours, theirs) = (&ours[number], &theirs[number]);
            eprintln!("{name} {cpu} call {number} {call:x?}:\n  here {ours:x?}\n  QEMU {theirs:x?}");
        }
    }
    println!("{name} on {cpu}: {} calls compared, {differences} differ", calls.len());
    assert_eq!(differences, 0);
}

/// Numbers that repeat.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of(&mut self, values: &[u64]) -> u64 {
        values[self.below(values.len() as u64) as usize]
    }

    /// A value that a check may look at.
    fn value(&mut self) -> u64 {
        match self.below(5) {
            0 => self.below(8),
            1 => 1 << self.below(64),
            2 => self.next(),
            3 => u64::MAX - self.below(4),
            _ => 0,
        }
    }

    fn arena(&mut self, align: u64) -> u64 {
        ARENA + self.below(ARENA_BYTES / align) * align
    }
}

const SEED: u64 = 0x0a11_e201;
const CPUS: [&str; 2] = ["power9", "power10"];

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn set_mode() {
    for cpu in CPUS {
        for seed in [SEED, SEED + 1] {
            let mut random = Random(seed);
            let mut calls = vec![];
            for _ in 0..3000 {
                // CIABR and DAWR (1, 2 and 5) are newer than QEMU 7.2.
                let resource = if random.below(20) == 0 { random.next() | 64 } else { random.of(&[0, 3, 4, 6]) };
                // Modes 2 and above 3 are left out: that QEMU accepts them, newer ones do not.
                let mflags = if resource == 3 { random.of(&[0, 1, 3]) } else { random.value() };
                calls.push(call(H_SET_MODE, &[mflags, resource, random.value(), random.value()]));
            }
            compare(cpu, &[], "set-mode", &calls);
        }
    }
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn process_table() {
    let mut random = Random(SEED);
    let mut calls = vec![];
    for _ in 0..2000 {
        let known = [0, 1, 0x04, 0x05, 0x14, 0x15, 0x18, 0x1a, 0x1c, 0x1d, 0x20, 0x24, 0x1_0000_001c];
        let flags = random.of(&known);
        let base = random.of(&[0, 0x0400_0000, 0x0400_0800, 1 << 37, 1 << 38, 1 << 60, 1 << 59, 0x0500_0001]);
        let size = random.of(&[0, 4, 0xc, 24, 25, u64::MAX]);
        calls.push(call(H_REGISTER_PROC_TBL, &[flags, base, random.of(&[0, 0, 0, 1, 7, 8, 1 << 40]), size]));
    }
    compare("power9", &[], "process-table", &calls);
}

/// Entries of the table of 256 MiB of RAM.
const HPT_ENTRIES: u64 = (RAM_BYTES as u64 >> 7) / 16;

/// Calls on a few entries of the hash table, good and bad.
///
/// Left out: `H_CLEAR_REF`, `H_CLEAR_MOD` and `H_BLOCK_REMOVE`, which QEMU has not; a page size beyond the largest that
/// may be. What QEMU keeps for itself in the first doubleword is cleared with the AVPN (it marks entries that are to be
/// saved), so that reads and removals of such entries are compared by their second one.
fn hash_table_call(random: &mut Random) -> Call {
    const V: u64 = 1;
    const L: u64 = 4;
    let index = match random.below(12) {
        0 => random.of(&[HPT_ENTRIES, HPT_ENTRIES - 1, HPT_ENTRIES + 7, u64::MAX, 1 << 56, 1 << 63]),
        _ => random.below(24),
    };
    let avpn = random.of(&[0x80, 0x1000, 0x4000_0000_1234_5680, 0x3fff_ffff_ffff_ff80]);
    match random.below(16) {
        0..=5 => {
            let size = random.of(&[0, 0, 0, L]);
            let first = avpn | size | random.of(&[V, V, V, V | 2, V | 0x10, V | 0x78, 0]);
            let page = random.of(&[0x1000, 0x7000, 0x8000, 0x1_1000, 0x0fff_f000, 0x1000_0000, 0x0fff_ffff_ffff_f000]);
            let control = random.of(&[0x10, 0x10, 0x10, 0x00, 0x20, 0x28, 0x30, 0x38, 0x18, 0x50, 0x70]);
            let rest = random.of(&[0, 2, 3, 4, 0xe00, 7 << 60, 0x8000_0000_0000_0000]);
            call(H_ENTER, &[random.of(&[0, 1 << 39, 1 << 39, 1]), index, first, page | control | rest])
        }
        6..=8 => {
            let flags = random.of(&[0, 1 << 31, 1 << 31, 1 << 30, 3 << 30]);
            call(H_REMOVE, &[flags, index, random.of(&[avpn, avpn, avpn, 0, 1, 0x10])])
        }
        9..=10 => call(H_READ, &[random.of(&[0, 1 << 37]), index]),
        11..=12 => {
            let flags = random.of(&[0, 1 << 31]) | random.next() & 0x7fff;
            call(H_PROTECT, &[flags, index, avpn])
        }
        _ => {
            let kinds = [1 << 62, 1 << 62, 1 << 62, 1 << 62, 1 << 62, 3 << 62, 2 << 62, 0];
            let specifiers: Vec<u64> = (0..4)
                .flat_map(|_| {
                    let flags = random.of(&[0, 1 << 56, 2 << 56, 2 << 56, 2 << 56, 3 << 56]);
                    let index = if random.below(30) == 0 { HPT_ENTRIES } else { random.below(24) };
                    let avpn = random.of(&[0x80, 0x1000, 0x4000_0000_1234_5680, 0]);
                    [random.of(&kinds) | flags | index, avpn]
                })
                .collect();
            call(H_BULK_REMOVE, &specifiers)
        }
    }
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn hash_table() {
    let mut random = Random(SEED);
    let mut calls: Vec<Call> = (0..20_000).map(|_| hash_table_call(&mut random)).collect();
    // What the table holds in the end.
    calls.extend((0..24).map(|index| call(H_READ, &[0, index])));
    for cpu in ["power8", "power9", "power10"] {
        compare(cpu, &[], "hash-table", &calls);
        compare(cpu, &[("hpt-max-page-size", "16M")], "hash-table-16M", &calls);
    }
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn resizing_the_hash_table() {
    let mut random = Random(SEED);
    let mut calls = vec![];
    for _ in 0..300 {
        let shift = random.of(&[0, 17, 18, 19, 20, 21, 22, 23, 46, 47, 1 << 31]);
        calls.push(match random.below(3) {
            // Preparing takes time in QEMU: what has to be waited for is not compared.
            0 => call(H_RESIZE_HPT_PREPARE, &[random.of(&[0, 1]), random.of(&[0, 17, 23, 46, 47, 64])]),
            1 => call(H_RESIZE_HPT_COMMIT, &[random.of(&[0, 1]), shift]),
            _ => hash_table_call(&mut random),
        });
    }
    compare("power9", &[], "resize", &calls);
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn virtual_processor_areas() {
    let mut random = Random(SEED);
    let mut calls = vec![];
    for _ in 0..4000 {
        let ra = random.arena(64) + random.of(&[0, 0, 0, 8]);
        let size = random.of(&[0, 7, 8, 47, 48, 480, 639, 640, 1024, 4096, 5000]);
        // The size is a halfword in a VPA, a word elsewhere.
        let function = random.below(9);
        let word = if function == 1 { size << 16 } else { size };
        let ra = if random.below(20) == 0 { 0 } else { ra };
        if ra != 0 {
            calls.push(call(H_LOGICAL_CI_STORE, &[4, ra + 4, word]));
        }
        let server = random.of(&[0, 0, 1, 2, 3, 4, 77]);
        calls.push(call(H_REGISTER_VPA, &[function << 45, server, ra]));
        if ra != 0 {
            calls.push(call(H_LOGICAL_CI_LOAD, &[1, ra + 9]));
            calls.push(call(H_LOGICAL_CI_STORE, &[8, ra + 8, 0]));
        }
        let dispatch = random.below(4);
        // To all (-1) is left out: QEMU gives the processor away before it writes r3, which keeps the opcode.
        calls.push(call(H_CONFER, &[random.of(&[1, 2, 4]), dispatch]));
    }
    compare("power9", &[], "vpa", &calls);
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn memory_by_real_address() {
    let mut random = Random(SEED);
    let mut calls = vec![];
    for _ in 0..4000 {
        let size = random.of(&[1, 2, 4, 8, 8, 8, 0, 3, 16]);
        let load = random.of(&[H_LOGICAL_CI_LOAD, H_LOGICAL_CACHE_LOAD]);
        let store = random.of(&[H_LOGICAL_CI_STORE, H_LOGICAL_CACHE_STORE]);
        calls.push(match random.below(6) {
            0 => call(load, &[size, random.arena(8)]),
            1 | 2 => call(store, &[size, random.arena(8), random.next()]),
            3 => {
                let shift = random.below(5);
                let from_align = 1 << random.below(4);
                let (to, from) = (random.arena(1 << shift.min(3)), random.arena(from_align));
                let near = if random.below(2) == 0 { from.wrapping_add(random.below(64) & !7) } else { to };
                call(H_LOGICAL_MEMOP, &[near, from, shift, random.below(600), random.below(3)])
            }
            4 => {
                let flags = random.of(&[0x8000, 0x4000, 0x4_8000, 0x80_4000, 0x40_8000, 0xc000, 1, 0x10_8000, 0]);
                let align = random.of(&[4096, 4096, 4096, 2048]);
                call(H_PAGE_INIT, &[flags, random.arena(align), random.arena(align)])
            }
            _ => call(random.of(&[H_LOGICAL_ICBI, H_LOGICAL_DCBF]), &[random.arena(8), 64]),
        });
    }
    // What memory holds in the end.
    calls.extend((0..ARENA_BYTES / 64).map(|n| call(H_LOGICAL_CI_LOAD, &[8, ARENA + 64 * n])));
    compare("power9", &[], "memory", &calls);
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn what_the_machine_tells() {
    let mut calls = vec![];
    for server in [0, 3, 4, u64::MAX] {
        calls.extend([0, 1, 2].map(|flags| call(H_HOME_NODE_ASSOCIATIVITY, &[flags, server])));
    }
    calls.push(call(H_GET_CPU_CHARACTERISTICS, &[]));
    calls.push(call(H_SET_SPRG0, &[0x1234]));
    calls.push(call(H_SET_DABR, &[0x1234]));
    calls.push(call(H_SET_XDABR, &[0x1234, 3]));
    calls.extend([0x7c, 0xf080, 2, 0x1_0000, !3].map(|opcode| call(opcode, &[1, 2, 3])));
    for opcode in [H_GET_TCE, H_PUT_TCE, H_STUFF_TCE, H_PUT_TCE_INDIRECT] {
        calls.push(call(opcode, &[0x7fff_0000, 0, ARENA, 1]));
    }
    calls.push(call(H_JOIN, &[]));
    calls.extend([4, 0x77, 1 << 31].map(|server| call(H_PROD, &[server])));
    calls.extend([-3i64, -4, 4, 1 << 31].map(|target| call(H_SIGNAL_SYS_RESET, &[target as u64])));
    calls.extend([1, 0x7100_0001].map(|reg| call(H_PUT_TERM_CHAR, &[reg, 1, 0, 0])));
    calls.push(call(H_PUT_TERM_CHAR, &[VTY_REG_BASE.into(), 17, 0, 0]));
    calls.extend([0, 1, VTY_REG_BASE.into()].map(|reg| call(H_GET_TERM_CHAR, &[reg])));
    let levels = ["broken", "workaround", "fixed"];
    // With fixed-na, QEMU 7.2 ends itself in this call.
    for (number, ibs) in ["broken", "workaround", "fixed-ibs", "fixed-ccd"].into_iter().enumerate() {
        let options = [
            ("cfpc", levels[number % 3]),
            ("sbbc", levels[(number + 1) % 3]),
            ("ibs", ibs),
            ("ccf-assist", if number % 2 == 0 { "off" } else { "on" }),
        ];
        compare("power9", &options, "tells", &calls);
    }
    compare("power10", &[], "tells", &calls);
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn interrupt_presentation() {
    let mut random = Random(SEED);
    let mut calls = vec![];
    for _ in 0..6000 {
        let priority = random.of(&[0, 1, 4, 5, 6, 7, 0xff]);
        calls.push(match random.below(5) {
            0 => call(H_CPPR, &[priority]),
            1 => call(H_IPI, &[random.of(&[0, 0, 0, 1, 3, 4]), priority]),
            // An end that makes CPPR more favoured is left out: QEMU goes on presenting what is not favoured enough.
            2 => call(H_EOI, &[0xff00_0000 | random.of(&[0, 2, 0x1100])]),
            _ => call(H_IPOLL, &[random.of(&[0, 0, 1, 2, 3, 4])]),
        });
        if random.below(4) == 0 {
            // To accept nothing is left out: QEMU sets CPPR to 0xff then, the manual does not say so.
            calls.extend([call(H_IPI, &[0, 0]), call(H_CPPR, &[0xff]), call(H_XIRR, &[]), call(H_IPOLL, &[0])]);
        }
    }
    compare("power9", &[], "presentation", &calls);
}

/// The calls that make one RTAS call and read its outputs.
fn rtas(calls: &mut Vec<Call>, token: u32, args: &[u32], nret: u32) {
    const BLOCK: u64 = ARENA + 0x8_0000;
    let words = [token, args.len() as u32, nret];
    for (at, word) in words.iter().chain(args).copied().chain((0..nret).map(|_| 0xeeee)).enumerate() {
        calls.push(call(H_LOGICAL_CI_STORE, &[4, BLOCK + 4 * at as u64, word.into()]));
    }
    calls.push(call(H_RTAS, &[BLOCK]));
    for at in 0..u64::from(nret) {
        calls.push(call(H_LOGICAL_CI_LOAD, &[4, BLOCK + 4 * (3 + args.len() as u64 + at)]));
    }
}

#[test]
#[ignore = "needs qemu-system-ppc64"]
fn rtas_functions() {
    const BUFFER: u32 = ARENA as u32;
    let mut calls = vec![];
    let all = &mut calls;
    rtas(all, QUERY_CPU_STOPPED_STATE, &[0], 2);
    rtas(all, QUERY_CPU_STOPPED_STATE, &[1], 2);
    rtas(all, QUERY_CPU_STOPPED_STATE, &[4], 2);
    rtas(all, START_CPU, &[0, 0x100, 0], 1);
    rtas(all, START_CPU, &[4, 0x100, 0], 1);
    for parameter in [0, 20, 42, 43, 48] {
        rtas(all, IBM_SET_SYSTEM_PARAMETER, &[parameter, BUFFER], 1);
        for len in [0, 1, 2, 3, 8, 1024] {
            // SPLPAR text: only its length and head are the same by nature.
            rtas(all, IBM_GET_SYSTEM_PARAMETER, &[parameter, BUFFER, len], 1);
            all.push(call(H_LOGICAL_CI_LOAD, &[8, BUFFER.into()]));
        }
    }
    rtas(all, IBM_GET_SYSTEM_PARAMETER, &[20, BUFFER, 1024], 1);
    (0..7).for_each(|word| all.push(call(H_LOGICAL_CI_LOAD, &[8, u64::from(BUFFER) + 8 * word])));
    for (offset, len) in [(0x100, 16), (0xfff0, 16), (0xfff1, 16), (0x1_0000, 1), (u32::MAX, 2), (0x200, 0)] {
        rtas(all, NVRAM_STORE, &[offset, BUFFER, len], 2);
        rtas(all, NVRAM_FETCH, &[offset, BUFFER + 0x1000, len], 2);
        all.push(call(H_LOGICAL_CI_LOAD, &[8, u64::from(BUFFER) + 0x1000]));
    }
    for source in [0x1000, 0x1001, 0x1100, 2, 0x0fff, 0x2000] {
        rtas(all, IBM_GET_XIVE, &[source], 3);
        rtas(all, IBM_SET_XIVE, &[source, 2, 5], 1);
        rtas(all, IBM_GET_XIVE, &[source], 3);
        rtas(all, IBM_INT_OFF, &[source], 1);
        rtas(all, IBM_GET_XIVE, &[source], 3);
        rtas(all, IBM_INT_ON, &[source], 1);
        rtas(all, IBM_GET_XIVE, &[source], 3);
        rtas(all, IBM_SET_XIVE, &[source, 4, 5], 1);
    }
    rtas(all, SET_TIME_OF_DAY, &[2024, 2, 29, 1, 2, 3, 0], 1);
    rtas(all, EVENT_SCAN, &[u32::MAX, 0, BUFFER, 2048], 1);
    rtas(all, CHECK_EXCEPTION, &[0x500, 0x1000, 0x4000_0000, 1, BUFFER, 2048], 1);
    rtas(all, CHECK_EXCEPTION, &[0x500, 0x1000, 0x4000_0000, 1, BUFFER], 1);
    rtas(all, SET_POWER_LEVEL, &[u32::MAX, 100], 2);
    rtas(all, SET_POWER_LEVEL, &[5, 100], 2);
    rtas(all, GET_POWER_LEVEL, &[u32::MAX], 2);
    rtas(all, GET_POWER_LEVEL, &[5], 2);
    rtas(all, GET_SENSOR_STATE, &[1, 0], 2);
    rtas(all, SET_INDICATOR, &[1, 0, 0], 1);
    rtas(all, QUIESCE, &[], 1);
    rtas(all, IBM_NMI_INTERLOCK, &[], 1);
    rtas(all, 0x2fff, &[1], 2);
    rtas(all, QUERY_CPU_STOPPED_STATE, &[0, 0], 2);
    rtas(all, QUERY_CPU_STOPPED_STATE, &[0], 1);
    compare("power9", &[], "rtas", &calls);
}

/// Real address in a source's management page, and in its trigger page.
fn source_page(source: u64, manage: bool, offset: u64) -> u64 {
    0x0006_0100_0000_0000 + (source << 17) + (u64::from(manage) << 16) + offset
}

/// The operating system's page of the thread interrupt context.
const TIMA_OS: u64 = 0x0006_0302_031a_0000;
/// Sources that both sides have: inter-processor interrupts, events, a terminal.
const LISNS: [u64; 7] = [0, 1, 2, 3, 0x1000, 0x1001, 0x1100];
/// Sources that neither has. (QEMU has pages for them all the same.)
const NO_LISNS: [u64; 6] = [4, 0xfff, 0x1102, 0x1fff, 0x2000, 1 << 63];
/// A queue for each vCPU and priority below 7, each of 64 KiB.
const QUEUES: u64 = 0x0400_0000;

fn queue(server: u64, priority: u64) -> u64 {
    QUEUES + (server << 19) + (priority << 16)
}

/// What exploitation mode answers to calls that go wrong somewhere.
#[test]
#[ignore = "needs qemu-system-ppc64"]
fn exploitation_mode_refusals() {
    for cpu in CPUS {
        let mut random = Random(SEED);
        let mut calls = vec![];
        for _ in 0..4000 {
            let flags = random.of(&[0, 0, 0, 0, 1, 2, 3, 4, 1 << 63]);
            let lisn = if random.below(4) == 0 { random.of(&NO_LISNS) } else { random.of(&LISNS) };
            // Numbers of which QEMU compares the low bits only are left out.
            let server = random.of(&[0, 1, 2, 3, 4, 77]);
            let priority = random.of(&[0, 3, 5, 6, 7, 8, 0xfe]);
            calls.push(match random.below(11) {
                0 => call(H_INT_GET_SOURCE_INFO, &[flags, lisn]),
                1 | 2 => {
                    let priority = random.of(&[priority, priority, 0xff]);
                    call(H_INT_SET_SOURCE_CONFIG, &[flags, lisn, server, priority, random.next()])
                }
                3 => call(H_INT_GET_QUEUE_INFO, &[flags | 4, server, priority]),
                4 | 5 => {
                    let ra = random.of(&[queue(0, 0), queue(1, 6), ARENA, ARENA + 0x1000, RAM_BYTES as u64, 1 << 50]);
                    let size = random.of(&[0, 12, 16, 16, 16, 21, 24, 1, 13, 25, 64, 1 << 32]);
                    call(H_INT_SET_QUEUE_CONFIG, &[flags, server, priority, ra, size])
                }
                // With flag 1 QEMU tells the generation in another bit than LoPAPR says.
                6 => call(H_INT_GET_QUEUE_CONFIG, &[flags & !1, server, priority]),
                7 => call(
                    random.of(&[H_INT_SET_OS_REPORTING_LINE, H_INT_GET_OS_REPORTING_LINE]),
                    &[flags, server, ARENA],
                ),
                // A load's value is left out: QEMU gives its bytes in the host's order.
                8 => call(
                    H_INT_ESB,
                    &[flags | 1, lisn, random.of(&[0x800, 0xc00, 0xf00, 0xfff8, 0x4_0000, u64::MAX]), 0],
                ),
                9 => call(H_INT_SYNC, &[flags, lisn]),
                // Without flags it does nothing in QEMU.
                _ => call(H_INT_RESET, &[flags | 4]),
            });
        }
        compare_with(cpu, Controller::Xive, &[], "refusals", &calls);
    }
}

/// An offset of a store to a management page. From 0x800 to 0xc00 is left out: QEMU sends an event there that the state
/// bits do not know of, which no description of a partition's sources has.
fn stored(random: &mut Random) -> u64 {
    let offset = 8 * random.below(384);
    if offset < 0x800 { offset } else { offset + 0x400 }
}

/// Sources are set up, triggered, acknowledged and ended; state bits, rings and queues are looked at all the while.
#[test]
#[ignore = "needs qemu-system-ppc64"]
fn exploitation_mode() {
    for (cpu, seed) in [("power9", SEED), ("power9", SEED + 1), ("power10", SEED + 2)] {
        let mut random = Random(seed);
        let mut calls = vec![];
        for (server, priority) in (0..4).flat_map(|server| (0..7).map(move |priority| (server, priority))) {
            calls.push(call(H_INT_SET_QUEUE_CONFIG, &[1, server, priority, queue(server, priority), 16]));
            calls.push(call(H_INT_GET_QUEUE_INFO, &[0, server, priority]));
            calls.push(call(H_INT_GET_QUEUE_CONFIG, &[0, server, priority]));
        }
        for lisn in LISNS {
            calls.push(call(H_INT_GET_SOURCE_INFO, &[0, lisn]));
            calls.push(call(H_LOGICAL_CI_LOAD, &[8, source_page(lisn, true, 0x800)]));
            calls.push(call(H_INT_SET_SOURCE_CONFIG, &[2, lisn, lisn & 3, 6, 0x100 + lisn]));
            calls.push(call(H_INT_GET_SOURCE_CONFIG, &[0, lisn]));
            calls.push(call(H_LOGICAL_CI_LOAD, &[8, source_page(lisn, true, 0xc00)]));
        }
        for _ in 0..8000 {
            let lisn = random.of(&LISNS);
            let server = random.of(&[0, 0, 0, 1, 3]);
            let priority = random.below(7);
            match random.below(12) {
                0..3 => calls.push(call(H_LOGICAL_CI_STORE, &[8, source_page(lisn, false, 8 * random.below(512)), 0])),
                3 => calls.push(call(H_LOGICAL_CI_STORE, &[8, source_page(lisn, true, stored(&mut random)), 0])),
                4 => calls.push(call(H_LOGICAL_CI_LOAD, &[8, source_page(lisn, true, 8 * random.below(512))])),
                5 => calls.push(call(H_LOGICAL_CI_LOAD, &[8, source_page(lisn, true, random.of(&[0, 0xc00]))])),
                6 => {
                    let flags = random.of(&[0, 0, 2, 2, 2, 1]);
                    calls.push(call(H_INT_SET_SOURCE_CONFIG, &[flags, lisn, server, priority, random.next()]));
                    calls.push(call(H_INT_GET_SOURCE_CONFIG, &[0, lisn]));
                }
                7 => calls.push(call(H_INT_ESB, &[1, lisn, stored(&mut random), 0])),
                8 => calls.push(call(H_LOGICAL_CI_LOAD, &[2, TIMA_OS + 0x810])),
                9 => {
                    // A CPPR that precludes what is presented is left out: QEMU 7.2 goes on presenting it.
                    calls.push(call(H_LOGICAL_CI_LOAD, &[2, TIMA_OS + 0x810]));
                    calls.push(call(H_LOGICAL_CI_STORE, &[1, TIMA_OS + 0x11, random.of(&[7, 8, 0xff])]));
                }
                10 => calls.push(call(H_LOGICAL_CI_STORE, &[1, TIMA_OS + 0x812, random.of(&[0, 3, 6, 7, 8, 0xff])])),
                _ => calls.push(call(H_LOGICAL_CI_LOAD, &[8, queue(server, priority) + 8 * random.below(64)])),
            }
            calls.push(match random.below(3) {
                0 => call(H_LOGICAL_CI_LOAD, &[8, TIMA_OS + 0x10]),
                1 => call(H_LOGICAL_CI_LOAD, &[4, TIMA_OS + random.of(&[0x10, 0x14, 0x50])]),
                _ => call(H_INT_GET_QUEUE_CONFIG, &[0, server, priority]),
            });
        }
        // All that the queues hold in the end.
        for (server, priority) in (0..4).flat_map(|server| (0..7).map(move |priority| (server, priority))) {
            calls.extend((0..256).map(|n| call(H_LOGICAL_CI_LOAD, &[8, queue(server, priority) + 8 * n])));
        }
        compare_with(cpu, Controller::Xive, &[], "exploitation", &calls);
    }
}
