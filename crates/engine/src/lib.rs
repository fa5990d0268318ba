//! The run loop of one vCPU: tiers, interrupts, mail, time.
//!
//! [`Engine::run`] executes guest code until the machine is needed. Interrupts, invalidations from
//! other vCPUs and the decrementer are dealt with here; hypercalls and orders to stop are the
//! machine's.

// The machines of the tests know it by its name.
#[cfg(any(test, feature = "fuzzing"))]
extern crate self as engine;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod translation;

use cpu::Interrupt;
use interp::{Interpreter, Leave};
use jit::store::Translator;
use memory::mail::pending;
use std::fmt;
use std::sync::Arc;
use translation::Translation;
use vcpu::{Exit, Vcpu};

/// Instructions between two looks at the real clock: 20 to 40 microseconds.
const SLICE: i64 = 16_384;

/// Why [`Engine::run`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineExit {
    /// `sc 1`: r3 and up hold the call, NIA is behind it.
    Hypercall,
    /// [`pending::STOP`] is set.
    Stopped,
    /// The instructions asked for have been retired.
    Budget,
}

/// Counters of one vCPU, for `--stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EngineStats {
    /// Instructions retired; an interrupt counts as one. Those in translated code where it counts.
    pub retired: u64,
    /// Of these, in translated code.
    pub translated: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Times that translated code went on behind an interrupt, a return from one, or a change of MSR without the engine.
    pub stayed: u64,
    /// Hypercalls.
    pub hypercalls: u64,
    /// Blocks decoded by the interpreter.
    pub blocks_decoded: u64,
    /// Look-ups of blocks by real address.
    pub block_lookups: u64,
    /// Translations entered into the TLB after a walk.
    pub tlb_fills: u64,
    /// Invalidations of one page.
    pub tlb_page_invalidations: u64,
    /// Invalidations of a process or of everything.
    pub tlb_process_invalidations: u64,
    /// Times that translated code was entered.
    pub entries: u64,
}

impl EngineStats {
    /// Adds another vCPU's counters.
    pub fn add(&mut self, o: &EngineStats) {
        self.retired += o.retired;
        self.translated += o.translated;
        self.interrupts += o.interrupts;
        self.stayed += o.stayed;
        self.hypercalls += o.hypercalls;
        self.blocks_decoded += o.blocks_decoded;
        self.block_lookups += o.block_lookups;
        self.tlb_fills += o.tlb_fills;
        self.tlb_page_invalidations += o.tlb_page_invalidations;
        self.tlb_process_invalidations += o.tlb_process_invalidations;
        self.entries += o.entries;
    }
}

impl fmt::Display for EngineStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "retired instructions: {}", self.retired)?;
        writeln!(f, "of these in translated code: {}", self.translated)?;
        writeln!(f, "interrupts taken: {}", self.interrupts)?;
        writeln!(f, "interrupts and returns without the engine: {}", self.stayed)?;
        writeln!(f, "hypercalls: {}", self.hypercalls)?;
        writeln!(f, "blocks decoded: {}", self.blocks_decoded)?;
        writeln!(f, "block look-ups by real address: {}", self.block_lookups)?;
        writeln!(f, "TLB fills: {}", self.tlb_fills)?;
        writeln!(f, "TLB page invalidations: {}", self.tlb_page_invalidations)?;
        writeln!(f, "TLB process invalidations: {}", self.tlb_process_invalidations)?;
        write!(f, "entries into translated code: {}", self.entries)
    }
}

/// One vCPU with its decoded code. Belongs to one thread at a time.
#[derive(Debug)]
pub struct Engine {
    vcpu: Vcpu,
    interpreter: Interpreter,
    translation: Option<Translation>,
    retired: u64,
    interrupts: u64,
    hypercalls: u64,
}

impl Engine {
    /// An engine around a vCPU.
    pub fn new(vcpu: Vcpu) -> Self {
        Engine {
            vcpu,
            interpreter: Interpreter::default(),
            translation: None,
            retired: 0,
            interrupts: 0,
            hypercalls: 0,
        }
    }

    /// An engine that has blocks translated which ran `threshold` times, and runs the translations.
    pub fn with_translator(vcpu: Vcpu, translator: Arc<Translator>, threshold: u32) -> Self {
        let mut engine = Engine::new(vcpu);
        engine.interpreter.report_hot(threshold.max(1));
        engine.translation = Some(Translation::new(&mut engine.vcpu, translator, threshold.max(1)));
        engine
    }

    /// With `on`, instructions are counted in translated code too under the real clock: [`EngineStats::retired`] is true, and
    /// [`Engine::run`] comes back after about as many as it was asked for.
    pub fn set_counting(&mut self, on: bool) {
        if let Some(t) = &mut self.translation {
            t.counts = on || self.vcpu.clock.is_virtual();
        }
    }

    /// The vCPU.
    pub fn vcpu(&mut self) -> &mut Vcpu {
        &mut self.vcpu
    }

    /// Resets the vCPU and forgets all code.
    pub fn reset(&mut self) {
        self.vcpu.reset();
        self.vcpu.code_events.clear();
        self.interpreter.clear();
        self.vcpu.translated.forget_code();
        if let Some(t) = &self.translation {
            t.clear();
        }
    }

    /// Instructions retired so far.
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// Counters.
    pub fn stats(&self) -> EngineStats {
        let i = self.interpreter.stats();
        EngineStats {
            retired: self.retired,
            translated: self.translation.as_ref().map_or(0, |t| t.retired),
            interrupts: self.interrupts + self.vcpu.translated.interrupts,
            stayed: self.vcpu.translated.stayed,
            hypercalls: self.hypercalls,
            blocks_decoded: i.decoded,
            block_lookups: i.lookups,
            tlb_fills: self.vcpu.tlb.stats.fills,
            tlb_page_invalidations: self.vcpu.tlb.stats.pages,
            tlb_process_invalidations: self.vcpu.tlb.stats.processes,
            entries: self.translation.as_ref().map_or(0, |t| t.entries),
        }
    }

    /// With `on`, [`Engine::run`] comes back whenever translated code was left, and regions are not linked: what was run
    /// since the last time is one region at most.
    pub fn set_pieces(&mut self, on: bool) {
        if let Some(t) = &mut self.translation {
            t.pieces = on;
        }
    }

    /// The translated code that the last [`Engine::run`] ran in pieces: effective address at which it was entered, and its
    /// host code, disassembled. `None`: all was interpreted.
    pub fn last_region(&self) -> Option<(u64, String)> {
        self.translation.as_ref()?.last_region()
    }

    /// Runs guest code: exactly `instructions` of them under the virtual clock, about so many under the
    /// real one, unless it has to come back earlier. What runs in translated code counts under the virtual clock and with
    /// [`Engine::set_counting`] only.
    pub fn run(&mut self, instructions: u64) -> EngineExit {
        let end = self.retired.saturating_add(instructions);
        if let Some(t) = &mut self.translation {
            t.last = None;
        }
        loop {
            let left = i64::try_from(end - self.retired.min(end)).unwrap_or(i64::MAX);
            if left == 0 {
                return EngineExit::Budget;
            }
            if self.vcpu.clock.is_virtual() {
                self.vcpu.begin_slice(left);
                self.vcpu.limit_slice();
            } else {
                self.vcpu.begin_slice(left.min(SLICE));
            }
            let exit = self.slice();
            self.retired += self.vcpu.end_slice();
            self.vcpu.refresh_decrementer();
            if let Some(exit) = exit {
                return exit;
            }
            if self.translation.as_ref().is_some_and(|t| t.pieces) {
                return EngineExit::Budget;
            }
        }
    }

    /// Runs to the end of the slice (`None`), or to what the machine must see.
    fn slice(&mut self) -> Option<EngineExit> {
        let mut itself = false;
        loop {
            if let Some(t) = &mut self.translation {
                t.look_up(&mut self.vcpu, &mut self.interpreter);
            }
            match self.interpreter.run(&mut self.vcpu, std::mem::take(&mut itself)) {
                Leave::Budget => return None,
                Leave::CalledAway => {
                    if self.serve() {
                        return Some(EngineExit::Stopped);
                    }
                }
                Leave::Translated { code, page } => {
                    let Some(t) = &mut self.translation else { continue };
                    // Code that did nothing (its first block is longer than what is left) must not be asked again.
                    itself = !t.enter(&mut self.vcpu, code, page);
                    if self.vcpu.exit == Exit::Hypercall {
                        self.hypercalls += 1;
                        return Some(EngineExit::Hypercall);
                    }
                    if t.pieces && !itself {
                        return None;
                    }
                }
                Leave::CodeEvents => {
                    translation::act_on_events(self.translation.as_ref(), &mut self.vcpu, &mut self.interpreter);
                }
                Leave::Hot(real) => {
                    if let Some(t) = &mut self.translation {
                        t.is_hot(&mut self.vcpu, &mut self.interpreter, real);
                    }
                }
                Leave::New(real) => {
                    if let Some(t) = &self.translation {
                        t.is_new(&self.vcpu, &mut self.interpreter, real);
                    }
                }
                Leave::Exit => match self.vcpu.exit {
                    Exit::Interrupt(interrupt) => self.take(&interrupt),
                    Exit::Hypercall => {
                        self.hypercalls += 1;
                        return Some(EngineExit::Hypercall);
                    }
                    // It goes on at NIA: the interpreter runs the instruction there alone.
                    Exit::Next | Exit::Alone => {}
                },
            }
        }
    }

    /// Acts on what called the vCPU away. True if the machine wants its thread.
    fn serve(&mut self) -> bool {
        let v = &mut self.vcpu;
        let now = v.mailbox().pending();
        if now & pending::MAIL != 0 {
            v.serve_mail();
            if v.memory.hub().is_crowded() && !v.clock.is_virtual() {
                std::thread::yield_now();
            }
        }
        translation::act_on_events(self.translation.as_ref(), v, &mut self.interpreter);
        if now & pending::LOOK != 0 {
            v.look();
        }
        if now & pending::STOP != 0 {
            return true;
        }
        if let Some(interrupt) = v.next_interrupt() {
            self.take(&interrupt);
        }
        false
    }

    /// An interrupt counts as one instruction: a guest whose handlers fault in turn uses up its slice too.
    fn take(&mut self, interrupt: &Interrupt) {
        self.interrupts += 1;
        self.vcpu.budget -= 1;
        self.vcpu.take_interrupt(interrupt);
    }
}
