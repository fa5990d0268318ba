//! The run loop of the interpreter: from block to block until something calls the vCPU away.

use crate::blocks::{BlockId, Blocks, NONE, OPERATION_BYTES, Operation};
use crate::decode::decode_block;
use crate::handlers;
use vcpu::{Cursor, Exit, Link, NOT_ALONE, Vcpu};

/// Why [`Interpreter::run`] came back. NIA and all registers are settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// The budget is used up.
    Budget,
    /// A bit of [`memory::mail::pending`] that matters now is set.
    CalledAway,
    /// [`Vcpu::exit`] is not `Next`: an interrupt to take, or a hypercall.
    Exit,
    /// There is translated code for NIA.
    Translated {
        /// Where it is entered.
        code: u64,
        /// Number of the real page that it was made from.
        page: u64,
    },
    /// [`Vcpu::code_events`] wait to be acted upon.
    CodeEvents,
    /// The block at NIA has run often: its real address. It is reported once, unless [`Interpreter::run_again`].
    Hot(u64),
    /// The block at NIA was decoded just now: its real address. Reported if blocks can become hot.
    New(u64),
}

/// Bytes around a block that are likely to become one region with it.
const NEAR: u64 = 1024;

/// Counters for `--stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Look-ups that the jump cache could not answer.
    pub lookups: u64,
    /// Blocks decoded.
    pub decoded: u64,
}

/// The interpreter of one vCPU: its decoded code.
#[derive(Debug, Default)]
pub struct Interpreter {
    blocks: Blocks,
    /// Operations of the block decoded last.
    decoded: Vec<Operation>,
    lookups: u64,
    threshold: u32,
}

impl Interpreter {
    /// Counters.
    pub fn stats(&self) -> Stats {
        Stats { lookups: self.lookups, decoded: self.blocks.decoded }
    }

    /// Forgets all decoded code.
    pub fn clear(&mut self) {
        self.blocks.clear();
    }

    /// From now on a block that has run `times` times is reported as hot; 0: never.
    pub fn report_hot(&mut self, times: u32) {
        self.threshold = times;
    }

    /// Says where translated code for the block decoded at `real` for `mode` is entered.
    pub fn translated(&mut self, real: u64, mode: u32, code: u64) {
        let id = self.blocks.find(real, mode);
        if id != NONE {
            self.blocks.get_mut(id).code = code;
        }
    }

    /// The block at NIA, decoded at `real` for `mode`, which was reported just now, is reported as hot again when it has run
    /// `times` times more.
    pub fn run_again(&mut self, real: u64, mode: u32, times: u32) {
        let id = self.blocks.find(real, mode);
        if id != NONE {
            let block = self.blocks.get_mut(id);
            block.report_after(times, 1);
            block.warm = true;
        }
    }

    /// The block at `real` is about to be translated for `mode`: feeds the stretches of its page that ran at least `times`
    /// times to `f` (offset in bytes, and length in instructions). Blocks near it that ran less than `again` times, and are
    /// likely to be part of the same region, are not reported before they have run so many times more.
    pub fn warm(&mut self, real: u64, mode: u32, times: u32, again: u32, mut f: impl FnMut(u16, u16)) {
        self.blocks.change_page(real >> memory::PAGE_SHIFT, mode, |b| {
            b.warm |= !b.is_new && b.ran() >= times;
            if b.warm {
                f((b.real & memory::PAGE_OFFSET) as u16, b.len as u16);
            }
            if b.heat != 0 && !b.is_new && b.real.abs_diff(real) < NEAR && b.ran() < again {
                b.report_after(again, 0);
            }
        });
    }

    /// Acts on what the vCPU noted about code. Must be called before [`Interpreter::run`] whenever
    /// [`Vcpu::code_events`] is not empty.
    pub fn act_on_events(&mut self, v: &mut Vcpu) {
        for event in v.code_events.drain(..) {
            self.blocks.act_on(event);
        }
    }

    /// The block at NIA, decoded if need be; why not, otherwise. `itself`: even if there is translated code for it.
    fn find(&mut self, v: &mut Vcpu, itself: bool) -> Result<BlockId, Leave> {
        let ea = v.state.nia;
        let known = self.blocks.jump(v, ea);
        if known != NONE {
            return Ok(known);
        }
        self.lookups += 1;
        let real = v.fetch_address(ea).map_err(|_| Leave::Exit)?;
        // Sooner found than the block.
        if !itself && let Some(code) = v.translated.code_at(real, v.mode) {
            return Err(Leave::Translated { code, page: real >> memory::PAGE_SHIFT });
        }
        let mut id = self.blocks.find(real, v.mode);
        if id == NONE {
            let mut block = decode_block(v, ea, real, &mut self.decoded).map_err(|_| Leave::Exit)?;
            // First it is reported as new, then as hot.
            block.is_new = block.traced.is_none() && self.threshold != 0;
            block.heat = u32::from(block.is_new);
            id = self.blocks.insert(block, &self.decoded);
        }
        self.blocks.remember(v, ea, id);
        Ok(id)
    }

    /// Runs guest code from NIA until something else has to be done. `itself`: the first block is run here even if there is
    /// translated code for it.
    pub fn run(&mut self, v: &mut Vcpu, mut itself: bool) -> Leave {
        v.exit = Exit::Next;
        'look_up: loop {
            if v.budget <= 0 {
                return Leave::Budget;
            }
            if v.called_away() {
                return Leave::CalledAway;
            }
            if !v.code_events.is_empty() {
                return Leave::CodeEvents;
            }
            if self.blocks.is_full() {
                self.blocks.clear();
            }
            // The instruction that wanted to run alone is here, or something came in between.
            let mut alone = v.alone_at == v.state.nia;
            v.alone_at = if alone { v.alone_at } else { NOT_ALONE };
            let mut id = match self.find(v, itself || alone) {
                Ok(id) => id,
                Err(leave) => return leave,
            };
            loop {
                let block = self.blocks.get_mut(id);
                if !itself && !alone {
                    if block.code != 0 {
                        return Leave::Translated { code: block.code, page: block.real >> memory::PAGE_SHIFT };
                    }
                    if block.heat != 0 {
                        block.heat -= 1;
                        if block.heat == 0 {
                            return if std::mem::take(&mut block.is_new) {
                                block.report_after(self.threshold, 0);
                                Leave::New(block.real)
                            } else {
                                Leave::Hot(block.real)
                            };
                        }
                    }
                }
                itself = false;
                let (len, traced) = (block.len, block.traced);
                let mut operations = self.blocks.operations(self.blocks.get(id));
                let cut: Vec<Operation>;
                v.cursor = Cursor { operations: 0, ea: v.state.nia, len };
                v.budget -= len;
                if v.budget < 0 || alone {
                    // Only so many instructions are left: run just these.
                    let rest = v.budget + len;
                    let left = if alone { 1 } else { rest };
                    let stop = Operation::new(handlers::cut, 0);
                    cut = operations.iter().copied().take(left as usize).chain([stop]).collect();
                    operations = &cut;
                    v.cursor.len = left;
                    v.budget = rest - left;
                }
                v.cursor.operations = operations.as_ptr() as usize;
                let msr_before = v.state.msr;
                let last = (operations[0].handler)(v, &operations[0]);
                let last = (std::ptr::from_ref(last) as usize - operations.as_ptr() as usize) / OPERATION_BYTES;
                if std::mem::take(&mut alone) {
                    v.alone_at = NOT_ALONE;
                }
                match v.exit {
                    // What comes behind a branch that was taken was not retired.
                    Exit::Next => v.budget += (v.cursor.len - 1 - last as i64).max(0),
                    Exit::Hypercall => {
                        v.ahead = 0;
                        return Leave::Exit;
                    }
                    Exit::Interrupt(_) => {
                        // What comes behind the instruction that stopped was not retired, nor was it.
                        v.budget += v.ahead;
                        v.ahead = 0;
                        return Leave::Exit;
                    }
                    Exit::Alone => {
                        v.budget += v.ahead;
                        v.ahead = 0;
                        v.state.nia = v.cia;
                        v.exit = Exit::Next;
                        continue 'look_up;
                    }
                }
                v.ahead = 0;
                if let Some(branch) = traced
                    && let Some(interrupt) =
                        v.trace_interrupt(v.cursor.ea.wrapping_add(4 * (v.cursor.len as u64 - 1)), msr_before, branch)
                {
                    v.exit = Exit::Interrupt(interrupt);
                    return Leave::Exit;
                }
                if v.called_away() || v.budget <= 0 {
                    continue 'look_up;
                }
                if v.link == Link::Operation {
                    let next = operations[last].extra;
                    if next != 0 {
                        id = next - 1;
                        continue;
                    }
                    let from = v.cursor.ea;
                    let next = match self.find(v, false) {
                        Ok(id) => id,
                        Err(leave) => return leave,
                    };
                    // Within a page the translation that holds for one block holds for the other.
                    if from >> 12 == v.state.nia >> 12 && traced.is_none() {
                        self.blocks.operation_mut(id, last).extra = next + 1;
                    }
                    // Decoding may have served mail that drops code: look up again then.
                    if !v.code_events.is_empty() {
                        continue 'look_up;
                    }
                    id = next;
                    continue;
                }
                if !v.code_events.is_empty() {
                    continue 'look_up;
                }
                let next = self.blocks.jump(v, v.state.nia);
                if next == NONE {
                    continue 'look_up;
                }
                id = next;
            }
        }
    }
}
