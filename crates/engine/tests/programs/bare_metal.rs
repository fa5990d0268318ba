//! RAM, programs, page tables and vCPUs without a machine around them: for tests of the engine, and its benches.

use cpu::CpuModel;
use cpu::bits::{lpcr, msr};
use jit::store::{Options, Translator};
use memory::Memory;
use std::sync::Arc;
use timing::Clock;
use vcpu::{Observer, Vcpu};

/// Where programs stand.
pub const CODE: u64 = 0x1_0000;
/// Where page tables stand.
pub const TABLES: u64 = 0x10_0000;
/// MSR of a program that runs privileged and untranslated.
pub const ON: u64 = msr::SF | msr::ME | msr::RI | msr::LE;

/// What vCPUs are made on.
pub struct Bare {
    pub memory: Arc<Memory>,
    pub clock: Arc<Clock>,
    pub model: &'static CpuModel,
}

impl Bare {
    pub fn new(model: &'static CpuModel, vcpus: usize, clock: Clock) -> Self {
        Bare { memory: Arc::new(Memory::new(0x80_0000, vcpus).unwrap()), clock: Arc::new(clock), model }
    }

    /// Puts a program (one instruction a line) at `at`, little-endian. Returns the address behind it.
    pub fn program(&self, at: u64, text: &str) -> u64 {
        let mut at = at;
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let word = isa::assemble_at(line, at).unwrap_or_else(|e| panic!("{line}: {e}"));
            self.memory.write(at, &(word as u32).to_le_bytes()).unwrap();
            at += 4;
        }
        at
    }

    /// A vCPU at [`CODE`], privileged and untranslated, that others wait for.
    pub fn vcpu(&self, index: usize, observer: Arc<dyn Observer>) -> Vcpu {
        let mut v = Vcpu::new(index, self.model, self.memory.clone(), self.clock.clone(), observer);
        self.memory.hub().mailbox(index).set_quiet(false);
        v.state.nia = CODE;
        v.set_lpcr(v.state.lpcr | lpcr::ILE);
        v.set_msr(ON);
        v
    }

    /// Radix tables: the first 2M of RAM, 4K pages mapped one to one, in quadrant 0 of processes 1 and 2
    /// (for problem state) and in quadrant 3 (privileged).
    pub fn radix(&self, v: &mut Vcpu) {
        const VALID: u64 = 1 << 63;
        const LEAF: u64 = 1 << 62;
        let put = |at: u64, v: u64| self.memory.write(at, &v.to_be_bytes()).unwrap();
        let root = |r: u64| 0x4000_0000_0000_0000 | 0xA0 | r | 13;
        put(TABLES, root(TABLES + 0x1_0000));
        for pid in 1..=2 {
            put(TABLES + pid * 16, root(TABLES + 0x2_0000));
        }
        for (at, next, privileged) in [(0x1_0000, 0x3_0000, 8), (0x2_0000, 0x4_0000, 0)] {
            put(TABLES + at, VALID | (TABLES + next) | 9);
            put(TABLES + next, VALID | (TABLES + next + 0x1000) | 9);
            put(TABLES + next + 0x1000, VALID | (TABLES + next + 0x2000) | 9);
            for page in 0..512u64 {
                put(TABLES + next + 0x2000 + page * 8, VALID | LEAF | page << 12 | 7 | privileged);
            }
        }
        v.process_table = memory::radix::ProcessTable { base: TABLES, size_bytes: 0x1000 };
        v.set_lpcr(v.state.lpcr | lpcr::HR | lpcr::UPRT | lpcr::GTSE);
        v.set_pid(1);
    }
}

/// A translator that compiles on the thread that asks.
pub fn at_once() -> Translator {
    Translator::new(&Options { background: false, cache_bytes: 8 << 20, ..Options::default() }).unwrap()
}

/// Quadrant 3 address of a real address.
pub fn k(real: u64) -> u64 {
    0xC000_0000_0000_0000 | real
}
