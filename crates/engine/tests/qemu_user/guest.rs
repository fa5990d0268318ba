//! The program that runs the tests: a static ELF file, of either byte order, with a runtime of a few hundred instructions that
//! loads all registers from a record, jumps to the test's slot, and writes all registers back.
//!
//! No register is lost to the runtime: TAR brings the way into the slot, and holds r31 on the way out of it.

use super::record::{Order, RECORD_BYTES, SIGNALLED, at};
use std::collections::HashMap;

/// Memory below 32 KiB, which displacements reach without a base register.
pub const LOW: u64 = 0x1000;
/// Bytes from [`LOW`] on.
pub const LOW_BYTES: u64 = 0x7000;
/// A landing pad that an absolute conditional branch reaches.
pub const LOW_PAD: u64 = 0x7F00;
/// The runtime.
const RUNTIME: u64 = 0x0100_0000;
/// The slots of the tests; all lie where an absolute branch reaches them.
pub const SLOTS: u64 = 0x0101_0000;
/// Bytes of a slot.
pub const SLOT_BYTES: u64 = 256;
/// Where a slot is entered.
pub const ENTRY: u64 = 8;
/// Address of the current record, then the runtime's other variables.
const VARS: u64 = 0x0300_0000;
/// Seconds that a batch may take: it takes one.
const MOST_SECONDS: u64 = 100;
/// Doubleword that clears the reservation.
const SCRATCH: u64 = 64;
const SIGALTSTACK: u64 = 128;
const SIGACTION: u64 = 192;
const SIGNAL_STACK: u64 = VARS + 0x1_0000;
const SIGNAL_STACK_BYTES: u64 = 0x4_0000;
/// The records.
pub const RECORDS: u64 = 0x0400_0000;
/// Landing pads: the next instruction, forward, backward, low memory.
pub const PADS: u64 = 4;

// From the Linux ABI of ppc64: where a signal handler finds the interrupted registers.
const UCONTEXT_GPR: u64 = 232;
const SIGINFO_CODE: u64 = 8;
const SIGNALS: [u64; 5] = [4, 5, 7, 8, 11];

/// Lines of assembly with labels, put together.
#[derive(Default)]
struct Program {
    lines: Vec<String>,
    labels: HashMap<String, u64>,
}

impl Program {
    fn here(&self) -> u64 {
        RUNTIME + 4 * self.lines.len() as u64
    }
    fn label(&mut self, name: &str) {
        self.labels.insert(name.into(), self.here());
    }
    fn line(&mut self, text: impl Into<String>) {
        self.lines.push(text.into());
    }
    /// Loads an address below 2^31.
    fn address(&mut self, reg: u32, address: u64) {
        self.line(format!("addis r{reg},0,{}", address >> 16));
        self.line(format!("ori r{reg},r{reg},{}", address & 0xFFFF));
    }
    fn system_call(&mut self, number: u64) {
        self.line(format!("addi r0,0,{number}"));
        self.line("sc 0");
    }
    fn words(&self) -> Vec<u32> {
        let resolve = |text: &str| match text.split_once('@') {
            Some((before, label)) => format!("{before}0x{:x}", self.labels[label]),
            None => text.to_string(),
        };
        self.lines.iter().enumerate().map(|(n, text)| word(&resolve(text), RUNTIME + 4 * n as u64)).collect()
    }
}

/// Assembles one line.
fn word(text: &str, address: u64) -> u32 {
    match isa::assemble_at(text, address) {
        Ok(w) => w as u32,
        Err(e) => panic!("the test's own code does not assemble: {text}: {e}"),
    }
}

fn runtime() -> (Vec<u32>, HashMap<String, u64>) {
    let mut p = Program::default();
    // What hangs ends with SIGALRM.
    p.line(format!("addi r3,0,{MOST_SECONDS}"));
    p.system_call(27);
    // A signal is a result: note it and go on with the next test.
    p.address(3, VARS + SIGALTSTACK);
    p.line("addi r4,0,0");
    p.system_call(185);
    for signal in SIGNALS {
        p.line(format!("addi r3,0,{signal}"));
        p.address(4, VARS + SIGACTION);
        p.line("addi r5,0,0");
        p.line("addi r6,0,8");
        p.system_call(173);
    }
    p.address(31, RECORDS);

    p.label("next");
    p.address(30, VARS);
    p.line("std r31,0(r30)");
    p.line(format!("ld r0,{}(r31)", at::ENTRY));
    p.line("cmpi cr0,1,r0,0");
    p.line("bc 12,2,@finish");
    p.line("mtspr 815,r0");
    p.line(format!("addi r30,r30,{SCRATCH}"));
    p.line("stdcx. r0,0,r30");
    // What QEMU has beside FPSCR of earlier exceptions is forgotten by this.
    p.line("mffs f0");
    p.line(format!("lfd f0,{}(r31)", at::FPSCR));
    p.line("mtfsf 255,f0,1,0");
    p.line(format!("addi r30,r31,{}", at::VSCR));
    p.line("lxvd2x vs32,0,r30");
    p.line("mtvscr v0");
    // VRSAVE is 0 before each test.
    p.line("addi r0,0,0");
    p.line("mtspr 256,r0");
    for n in 0..64 {
        p.line(format!("addi r30,r31,{}", at::VSR + 16 * n));
        p.line(format!("lxvd2x vs{n},0,r30"));
    }
    for (at, to) in [(at::CR, "mtcrf 255,r0"), (at::XER, "mtspr 1,r0"), (at::CTR, "mtspr 9,r0"), (at::LR, "mtspr 8,r0")]
    {
        p.line(format!("ld r0,{at}(r31)"));
        p.line(to);
    }
    for n in 0..32 {
        p.line(format!("ld r{n},{}(r31)", at::GPR + 8 * n));
    }
    p.line("bctar 20,0,0");

    for pad in 0..PADS {
        p.label(&format!("store{pad}"));
        p.line(format!("addis r31,0,{}", VARS >> 16));
        p.line("ld r31,0(r31)");
        p.line("std r0,0(r31)");
        p.line(format!("addi r0,0,{pad}"));
        p.line("b @store");
    }
    p.label("store");
    p.line(format!("std r0,{}(r31)", at::PAD));
    for n in 1..31 {
        p.line(format!("std r{n},{}(r31)", at::GPR + 8 * n));
    }
    p.line("mfspr r0,815");
    p.line(format!("std r0,{}(r31)", at::GPR + 8 * 31));
    for (from, at) in [("mfcr r0", at::CR), ("mfspr r0,1", at::XER), ("mfspr r0,9", at::CTR), ("mfspr r0,8", at::LR)] {
        p.line(from);
        p.line(format!("std r0,{at}(r31)"));
    }
    let store_vectors = |p: &mut Program| {
        for n in 0..64 {
            p.line(format!("addi r30,r31,{}", at::VSR + 16 * n));
            p.line(format!("stxvd2x vs{n},0,r30"));
        }
        p.line("mfvscr v0");
        p.line(format!("addi r30,r31,{}", at::VSCR));
        p.line("stxvd2x vs32,0,r30");
    };
    store_vectors(&mut p);
    p.line("mffs f0");
    p.line(format!("stfd f0,{}(r31)", at::FPSCR));
    p.label("advance");
    p.line(format!("addi r31,r31,{RECORD_BYTES}"));
    p.line("b @next");

    p.label("handler");
    p.line(format!("addis r31,0,{}", VARS >> 16));
    p.line("ld r31,0(r31)");
    p.line(format!("std r3,{}(r31)", at::SIGNAL));
    p.line(format!("lwz r6,{SIGINFO_CODE}(r4)"));
    p.line(format!("std r6,{}(r31)", at::CODE));
    let saved = |p: &mut Program, n: u64, to: u64| {
        p.line(format!("ld r6,{}(r5)", UCONTEXT_GPR + 8 * n));
        p.line(format!("std r6,{to}(r31)"));
    };
    for n in 0..32 {
        saved(&mut p, n, at::GPR + 8 * n);
    }
    for (n, to) in [(32, at::NIP), (35, at::CTR), (36, at::LR), (37, at::XER), (38, at::CR), (48 + 32, at::FPSCR)] {
        saved(&mut p, n, to);
    }
    p.line(format!("addi r6,0,{SIGNALLED}"));
    p.line(format!("std r6,{}(r31)", at::PAD));
    store_vectors(&mut p);
    p.line("b @advance");

    p.label("finish");
    // write(1, records, ..) in as many pieces as it takes, then low memory.
    for (n, (address, end)) in [(RECORDS, None), (LOW, Some(LOW + LOW_BYTES))].into_iter().enumerate() {
        p.address(14, address);
        match end {
            None => p.line("or r15,r31,r31"),
            Some(end) => p.address(15, end),
        }
        p.label(&format!("more{n}"));
        p.line("addi r3,0,1");
        p.line("or r4,r14,r14");
        p.line("subf r5,r14,r15");
        p.system_call(4);
        p.line("bc 12,3,@fail");
        p.line("add r14,r14,r3");
        p.line("cmpl cr0,1,r14,r15");
        p.line(format!("bc 12,0,@more{n}"));
    }
    p.line("addi r3,0,0");
    p.system_call(234);
    p.label("fail");
    p.line("addi r3,0,1");
    p.system_call(234);
    (p.words(), p.labels)
}

/// Where a test's instructions are to be put.
pub struct Slot<'a> {
    /// The instructions.
    pub body: &'a [u32],
    /// TAR holds what r31 holds when they run.
    pub sets_tar: bool,
}

/// Address of slot `n`.
pub const fn slot_address(n: usize) -> u64 {
    SLOTS + SLOT_BYTES * n as u64
}

/// Address of a landing pad of a slot whose body has `words` instructions, TAR's included.
pub const fn pad_address(slot: u64, words: u64, pad: u64) -> u64 {
    match pad {
        0 => slot + ENTRY + 4 * words,
        1 => slot + ENTRY + 4 * words + 8,
        2 => slot,
        _ => LOW_PAD,
    }
}

/// The runtime, put together once.
pub struct Guest {
    /// Of instructions and data.
    pub order: Order,
    runtime: Vec<u32>,
    labels: HashMap<String, u64>,
}

impl Guest {
    /// Assembles the runtime.
    pub fn new(order: Order) -> Guest {
        let (runtime, labels) = runtime();
        assert!(4 * (runtime.len() as u64) < SLOTS - RUNTIME);
        Guest { order, runtime, labels }
    }

    /// The two instructions of a landing pad.
    fn pad(&self, address: u64, pad: u64) -> [u32; 2] {
        let target = self.labels[&format!("store{pad}")];
        [word("mtspr 815,r31", address), word(&format!("b 0x{target:x}"), address + 4)]
    }

    /// The code of all slots.
    pub fn slots(&self, tests: &[Slot<'_>]) -> Vec<u8> {
        let mut code = Vec::with_capacity(tests.len() * SLOT_BYTES as usize);
        for (n, test) in tests.iter().enumerate() {
            let slot = slot_address(n);
            let mut body = test.body.to_vec();
            if test.sets_tar {
                body.insert(0, word("mtspr 815,r31", slot));
            }
            let mut words = [0u32; SLOT_BYTES as usize / 4];
            let mut put = |address: u64, what: &[u32]| {
                let at = ((address - slot) / 4) as usize;
                words[at..at + what.len()].copy_from_slice(what);
            };
            put(slot + ENTRY, &body);
            for pad in 0..3 {
                let address = pad_address(slot, body.len() as u64, pad);
                put(address, &self.pad(address, pad));
            }
            code.extend(self.order.words(&words));
        }
        code
    }

    /// Low memory with its landing pad; the rest is a pattern.
    pub fn low(&self) -> Vec<u8> {
        let mut low: Vec<u8> = (0..LOW_BYTES).map(|n| (n * 7 + (n >> 8) * 31) as u8).collect();
        let at = (LOW_PAD - LOW) as usize;
        low[at..at + 8].copy_from_slice(&self.order.words(&self.pad(LOW_PAD, 3)));
        low
    }

    /// The ELF file.
    pub fn elf(&self, slots: &[u8], records: &[u8]) -> Vec<u8> {
        let order = self.order;
        let mut code = order.words(&self.runtime);
        code.resize((SLOTS - RUNTIME) as usize, 0);
        code.extend_from_slice(slots);
        let mut vars = vec![0u8; 0x1000];
        let mut put = |at: u64, v: u64| vars[at as usize..at as usize + 8].copy_from_slice(&order.doubleword(v));
        put(SIGALTSTACK, SIGNAL_STACK);
        put(SIGALTSTACK + 16, SIGNAL_STACK_BYTES);
        put(SIGACTION, self.labels["handler"]);
        // SA_SIGINFO, SA_ONSTACK, SA_NODEFER.
        put(SIGACTION + 8, 0x4 | 0x0800_0000 | 0x4000_0000);
        let low = self.low();
        // Behind the last record stands one whose entry is 0.
        let records_in_memory = records.len() as u64 + RECORD_BYTES;
        let (rwx, rx, rw) = (7u32, 5u32, 6u32);
        let segments: [(u64, &[u8], u64, u32); 4] = [
            (LOW, &low, LOW_BYTES, rwx),
            (RUNTIME, &code, code.len() as u64, rx),
            (VARS, &vars, SIGNAL_STACK - VARS + SIGNAL_STACK_BYTES, rw),
            (RECORDS, records, records_in_memory, rw),
        ];
        let mut elf = Vec::new();
        // Header: 64 bits, byte order, ELF version 2 ABI (a handler's address is no descriptor's), ET_EXEC, EM_PPC64.
        let data = if order == Order::Little { 1 } else { 2 };
        elf.extend_from_slice(&[0x7F, b'E', b'L', b'F', 2, data, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        elf.extend_from_slice(&order.halfword(2));
        elf.extend_from_slice(&order.halfword(21));
        elf.extend_from_slice(&order.word(1));
        for v in [RUNTIME, 64, 0u64] {
            elf.extend_from_slice(&order.doubleword(v));
        }
        elf.extend_from_slice(&order.word(2));
        for v in [64u16, 56, segments.len() as u16, 0, 0, 0] {
            elf.extend_from_slice(&order.halfword(v));
        }
        let mut offset = 0x1_0000u64;
        for (address, bytes, memory, flags) in &segments {
            elf.extend_from_slice(&order.words(&[1, *flags]));
            // Offset and address agree modulo 64 KiB.
            let at = offset + (address & 0xFFFF);
            for v in [at, *address, *address, bytes.len() as u64, *memory, 0x1_0000] {
                elf.extend_from_slice(&order.doubleword(v));
            }
            offset = (at + bytes.len() as u64).next_multiple_of(0x1_0000);
        }
        let mut offset = 0x1_0000u64;
        for (address, bytes, ..) in &segments {
            let at = offset + (address & 0xFFFF);
            elf.resize(at as usize, 0);
            elf.extend_from_slice(bytes);
            offset = (at + bytes.len() as u64).next_multiple_of(0x1_0000);
        }
        elf
    }
}
