//! Runs tests in Aileron: all registers are set from outside, the instructions run, all registers are read. What one
//! instruction does wrong cannot hide what another does.

use super::generate::Test;
use super::guest::{Guest, LOW, LOW_BYTES, PADS, RECORDS, SLOTS, Slot, pad_address};
use super::record::{Ending, Order, RECORD_BYTES, Snapshot};
use cpu::bits::{fscr, lpcr, msr, srr1, xer};
use cpu::{CpuModel, Delivery, Interrupt, State};
use engine::{Engine, EngineExit};
use isa::IsaLevel;
use jit::store::{Options, Translator};
use memory::Memory;
use memory::mail::pending;
use std::sync::Arc;
use timing::Clock;
use vcpu::reservation::Reservation;
use vcpu::{Observer, Vcpu};

/// Stops the vCPU when it takes an interrupt.
struct StopAtInterrupt(Arc<Memory>);

impl Observer for StopAtInterrupt {
    fn interrupt(&self, vcpu: usize, _: &Interrupt, _: u64, _: &Delivery) {
        self.0.hub().mailbox(vcpu).raise(pending::STOP);
    }
}

/// Signal numbers and codes of Linux.
const SIGILL: u64 = 4;
const SIGTRAP: u64 = 5;
const SIGBUS: u64 = 7;
const SIGFPE: u64 = 8;
const SIGSEGV: u64 = 11;
/// `si_code` of a privileged instruction.
pub const ILL_PRVOPC: u64 = 5;

/// What an instruction of a stream finds.
pub struct Found {
    /// Its address.
    pub nia: u64,
    /// Registers and memory.
    pub before: Snapshot,
    reservation: Reservation,
    vrsave: u32,
}

/// The machine that tests of one level run on.
pub struct Machine {
    engine: Engine,
    memory: Arc<Memory>,
    level: IsaLevel,
    order: Order,
}

fn model(level: IsaLevel) -> &'static CpuModel {
    cpu::model::MODELS.into_iter().find(|m| m.level == level).expect("there is a model of each level")
}

/// A translator that works at once, on the vCPU's thread.
pub fn translator() -> Arc<Translator> {
    let options = Options { background: false, ..Options::default() };
    Arc::new(Translator::new(&options).expect("the host can translate"))
}

/// No stream takes so many steps.
const MOST_STEPS: u64 = 1000;

/// TAR as a test begins: what r31 holds, or what the runtime branches with.
fn tar(test: &Test) -> u64 {
    if test.sets_tar { test.before.gpr[31] } else { test.place.entry() }
}

impl Machine {
    /// A machine with the slots of all tests, which run in problem state with relocation off. With a translator, all code
    /// is translated before it runs.
    pub fn new(guest: &Guest, level: IsaLevel, tests: &[Test], translator: Option<Arc<Translator>>) -> Machine {
        let bytes = (RECORDS + RECORD_BYTES * (tests.len() as u64 + 1)).next_multiple_of(0x10_0000);
        let memory = Arc::new(Memory::new(bytes, 1).expect("the host has memory"));
        let write = |at, bytes: &[u8]| memory.write(at, bytes).expect("inside of RAM");
        let bodies: Vec<Vec<u32>> = tests.iter().map(Test::words).collect();
        let slots: Vec<Slot<'_>> =
            tests.iter().zip(&bodies).map(|(t, body)| Slot { body, sets_tar: t.sets_tar }).collect();
        write(SLOTS, &guest.slots(&slots));
        write(LOW, &guest.low());
        let clock = Arc::new(Clock::virtual_time(0));
        let vcpu = Vcpu::new(0, model(level), memory.clone(), clock, Arc::new(StopAtInterrupt(memory.clone())));
        let engine = match translator {
            Some(t) => Engine::with_translator(vcpu, t, 1),
            None => Engine::new(vcpu),
        };
        Machine { engine, memory, level, order: guest.order }
    }

    /// Runs one test.
    pub fn run(&mut self, test: &Test) -> (Snapshot, Ending) {
        self.run_counted(test, None).0
    }

    /// Runs one test: so many instructions, or else all that it has; one after the other, until it is at its end, if it
    /// branches. How many they were.
    pub fn run_counted(&mut self, test: &Test, count: Option<u64>) -> ((Snapshot, Ending), u64) {
        self.begin(test);
        let before = self.engine.retired();
        let exit = match count.or((!test.branches()).then_some(test.count())) {
            Some(count) => self.engine.run(count),
            None => {
                let end = test.address(test.body.len());
                let mut exit = EngineExit::Budget;
                for _ in 0..MOST_STEPS {
                    exit = self.engine.run(1);
                    if exit != EngineExit::Budget || self.engine.vcpu().state.nia == end {
                        break;
                    }
                }
                exit
            }
        };
        let count = self.engine.retired() - before;
        let ending = self.ending(test, exit);
        ((self.snapshot(test), ending), count)
    }

    /// What each instruction that a test executes finds.
    pub fn trace(&mut self, test: &Test) -> Vec<Found> {
        self.begin(test);
        let end = test.address(test.body.len());
        let mut all = Vec::new();
        while (all.len() as u64) < MOST_STEPS && self.engine.vcpu().state.nia != end {
            let before = self.snapshot(test);
            let v = self.engine.vcpu();
            let (nia, vrsave) = (v.state.nia, v.state.spr.vrsave);
            all.push(Found { nia, before, reservation: v.reservation, vrsave });
            let exit = self.engine.run(1);
            if exit != EngineExit::Budget || self.engine.vcpu().mailbox().pending() & pending::STOP != 0 {
                break;
            }
        }
        self.engine.vcpu().mailbox().lower(pending::STOP);
        all
    }

    /// Does each instruction of a trace, run alone, the last first, do what it did in the test?
    pub fn composes(&mut self, test: &Test, trace: &[Found], after: &Snapshot) -> bool {
        let results = trace.iter().skip(1).map(|next| &next.before).chain([after]);
        let steps: Vec<_> = trace.iter().zip(results).collect();
        steps.into_iter().rev().all(|(found, after)| {
            self.begin(&Test { before: found.before.clone(), ..test.clone() });
            let v = self.engine.vcpu();
            (v.state.nia, v.state.spr.vrsave) = (found.nia, found.vrsave);
            // Of the test, not of what r31 holds by now.
            v.state.spr.tar = tar(test);
            v.reservation = found.reservation;
            self.engine.run(1);
            self.engine.vcpu().mailbox().lower(pending::STOP);
            self.snapshot(test) == *after
        })
    }

    /// Registers and memory as they are before a test.
    fn begin(&mut self, test: &Test) {
        assert_eq!((test.level, test.order), (self.level, self.order));
        let little = self.order == Order::Little;
        let sandbox = test.place.sandbox();
        self.memory.write(sandbox, &test.before.sandbox).expect("inside of RAM");
        let b = &test.before;
        let v = self.engine.vcpu();
        let mut s = State {
            gpr: b.gpr,
            vsr: b.vsr,
            ctr: b.ctr,
            lr: b.lr,
            fpscr: b.fpscr,
            vscr: b.vscr as u32,
            nia: test.start(),
            lpcr: v.state.lpcr & !lpcr::ILE | if little { lpcr::ILE } else { 0 },
            ..State::default()
        };
        s.set_cr(b.cr as u32);
        s.set_xer(b.xer);
        s.spr.fscr = fscr::TAR | fscr::EBB | fscr::DSCR | fscr::PREFIX;
        s.spr.tar = tar(test);
        v.state = s;
        v.reservation = Default::default();
        let order = if little { msr::LE } else { 0 };
        v.set_msr(order | msr::SF | msr::FP | msr::VEC | msr::VSX | msr::PR | msr::ME | msr::FE0 | msr::FE1);
    }

    /// How a run ended.
    fn ending(&mut self, test: &Test, exit: EngineExit) -> Ending {
        let v = self.engine.vcpu();
        let s = &v.state;
        let interrupted = v.mailbox().pending() & pending::STOP != 0;
        let ending = match exit {
            _ if interrupted => signal(s),
            EngineExit::Budget => {
                let pad = (0..PADS).find(|p| pad_address(test.place.slot(), test.slot_words(), *p) == s.nia);
                pad.map_or(Ending::Elsewhere(s.nia), Ending::Pad)
            }
            EngineExit::Stopped | EngineExit::Hypercall => Ending::Elsewhere(s.nia),
        };
        v.mailbox().lower(pending::STOP);
        ending
    }

    /// Registers and memory.
    fn snapshot(&mut self, test: &Test) -> Snapshot {
        let s = &self.engine.vcpu().state;
        let mut after = Snapshot {
            gpr: s.gpr,
            vsr: s.vsr,
            cr: u64::from(s.cr()),
            // Before 3.0 nothing of the guest sees OV32 and CA32, whatever was written.
            xer: s.xer() & if self.level >= IsaLevel::V3_0 { u64::MAX } else { !(xer::OV32 | xer::CA32) },
            ctr: s.ctr,
            lr: s.lr,
            fpscr: s.fpscr,
            vscr: u64::from(s.vscr),
            sandbox: test.before.sandbox,
        };
        self.memory.read(test.place.sandbox(), &mut after.sandbox).expect("inside of RAM");
        after
    }

    /// Makes low memory, where tests with RA = 0 leave what they store, that of another machine, which ran other tests.
    pub fn set_low(&mut self, other: &Machine) {
        self.memory.write(LOW, &other.low()).expect("inside of RAM");
    }

    /// Low memory.
    pub fn low(&self) -> Vec<u8> {
        let mut low = vec![0; LOW_BYTES as usize];
        self.memory.read(LOW, &mut low).expect("inside of RAM");
        low
    }
}

/// The signal that Linux makes of the interrupt that was taken.
fn signal(s: &State) -> Ending {
    let cause = s.spr.srr1;
    let (number, code) = match s.nia {
        0x700 if cause & srr1::PROGRAM_TRAP != 0 => (SIGTRAP, 1),
        0x700 if cause & srr1::PROGRAM_FP != 0 => (SIGFPE, 0),
        0x700 if cause & srr1::PROGRAM_PRIVILEGED != 0 => (SIGILL, ILL_PRVOPC),
        0x700 | 0xF60 => (SIGILL, 1),
        0x600 => (SIGBUS, 1),
        0x200 => (SIGBUS, 2),
        0x300 | 0x400 => (SIGSEGV, 1),
        vector => return Ending::Elsewhere(vector),
    };
    Ending::Signal { number, code, nip: s.spr.srr0 }
}
