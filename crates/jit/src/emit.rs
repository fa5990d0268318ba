//! [`Emit`]: the [`Sem`] trait on Cranelift values.
//!
//! The state in memory is current wherever anybody could look at it: a helper, the cold path of an access or a poll, a way
//! out. Values are kept beside it so that code does not read it back; outside of innermost loops general registers are
//! stored as soon as an access could fault. Condition register fields stay the operands of their comparison
//! ([`vcpu::translated::COMPARED`]).

use crate::loops::Registers;
use crate::region::Place;
use crate::stubs::{number, stub_offset};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{
    AliasRegion, FuncRef, InstBuilder, MemFlagsData, SigRef, Type, Value,
    types::{I8, I16, I32, I64},
};
use cranelift_frontend::{FunctionBuilder, Variable};
use isa::IsaLevel;
use sem::{Fallible, Helper, Sem, Target};
use std::collections::{HashMap, HashSet};
use vcpu::R;
use vcpu::context::mode;

mod access;
mod atomic;
mod float;
mod layout;
mod semantics;
mod state;
mod system;

use layout::*;
pub use layout::{BRANCHED, CFAR, CTR, NIA, PAGE, gpr_offset, guessed_page, plain_to_read, plain_to_write};

/// A 64-bit value, constant as far as the translator knows.
#[derive(Debug, Clone, Copy)]
pub enum Long {
    /// A constant.
    K(u64),
    /// A value of type I64.
    V(Value),
}

/// A truth value.
#[derive(Debug, Clone, Copy)]
pub enum Bool {
    /// A constant.
    K(bool),
    /// A value of type I8, 0 or 1.
    V(Value),
    /// A comparison that nobody has made yet.
    Compare(IntCC, Value, Value),
}

/// What is known of a condition register field.
#[derive(Debug, Clone, Copy)]
enum Cr {
    /// It is in the state, perhaps as operands.
    Unknown,
    /// The comparison that set it.
    Compare { signed: bool, a: Long, b: Long, stored: bool },
    /// Its four bits.
    Field { v: Value, stored: bool },
}

/// The budget of code that counts nothing: interrupts, of which each takes one off it, do not use it up.
pub const UNCOUNTED: i64 = 1 << 30;

/// What is known of registers beside the state in memory, within a run of code with one way in.
#[derive(Debug, Clone)]
pub struct Local {
    /// General registers.
    gpr: [Option<Long>; 32],
    /// General registers that are not stored yet.
    dirty: u32,
    ctr: Option<Long>,
    ctr_dirty: bool,
    lr: Option<Long>,
    lr_dirty: bool,
    cr: [Cr; 8],
    xer: [Option<Bool>; 5],
    xer_dirty: [bool; 5],
    vsr: HashMap<usize, Value>,
    /// Doublewords 0 of VSRs, as I64 and as F64.
    high: HashMap<usize, Value>,
    double: HashMap<usize, Value>,
    /// Values in double format that single format has, too, or NaNs.
    single: HashSet<Value>,
    /// Values of type I64 that were moved from the host's floating-point registers, and what they were there.
    moved: HashMap<Value, Value>,
    /// Whether FPSCR is another than floating-point arithmetic in line wants.
    other_fpscr: Option<Value>,
    /// What FPSCR is to hear of.
    deferred: float::Deferred,
    /// The page that the region stands in.
    page: Option<Value>,
    /// Pages that accesses over one base were found to lie in.
    pages: Vec<Page>,
    /// Sums of a value and a constant, by their value.
    sums: HashMap<Value, (Value, i64)>,
    /// Constants of type I64.
    constants: HashMap<i64, Value>,
}

/// Accesses over one base value from `low` to below `high` go to one page.
#[derive(Debug, Clone, Copy)]
struct Page {
    base: Value,
    low: i64,
    high: i64,
    store: bool,
    /// Host address minus effective address, or 0 if the page was not found.
    addend: Value,
}

impl Default for Local {
    fn default() -> Self {
        Local {
            gpr: [None; 32],
            dirty: 0,
            ctr: None,
            ctr_dirty: false,
            lr: None,
            lr_dirty: false,
            cr: [Cr::Unknown; 8],
            xer: [None; 5],
            xer_dirty: [false; 5],
            high: HashMap::new(),
            double: HashMap::new(),
            single: HashSet::new(),
            moved: HashMap::new(),
            other_fpscr: None,
            deferred: float::Deferred::default(),
            vsr: HashMap::new(),
            page: None,
            pages: Vec::new(),
            sums: HashMap::new(),
            constants: HashMap::new(),
        }
    }
}

/// What holds for a whole region.
#[derive(Debug)]
pub struct Env {
    /// [`vcpu::context::mode`].
    pub mode: u32,
    /// Last level whose facilities the code sees.
    pub level: IsaLevel,
    /// Whether vectors are used at all: the host's registers for them have to be kept, then.
    pub vectors: bool,
    /// The vCPU's address.
    pub vcpu: Value,
    /// Variables of general registers, for [`Emit::kept`].
    pub gpr: [Variable; 32],
    /// The variable of the count register.
    pub ctr: Variable,
    /// The host has fused multiply-add.
    pub fma: bool,
    /// Instructions that may still be retired.
    pub budget: Variable,
    /// Whether instructions are counted.
    pub counts: bool,
    /// What generated code and helpers both access.
    pub state: MemFlagsData,
    /// What does not change while the region runs.
    pub fixed: MemFlagsData,
    /// TLB entries.
    pub tlb: MemFlagsData,
    /// Guest storage.
    pub guest: MemFlagsData,
    /// The mailbox.
    pub mail: MemFlagsData,
    /// The stub for what calls the vCPU away.
    pub called_away: FuncRef,
    /// The stub that leaves for the engine.
    pub leave: FuncRef,
    /// Signatures of what is called.
    pub signatures: Signatures,
}

impl Env {
    /// The budget, for whoever goes on.
    pub fn budget(&self, b: &mut FunctionBuilder<'_>) -> Value {
        if self.counts { b.use_var(self.budget) } else { b.ins().iconst(I64, UNCOUNTED) }
    }
}

/// Signatures of what is called.
#[derive(Debug, Clone, Copy)]
pub struct Signatures {
    /// (vCPU, a, b, c) -> u64.
    pub helper: SigRef,
    /// (vCPU, a, b, c, helper).
    pub fallible: SigRef,
    /// (), keeps all registers.
    pub kept: SigRef,
}

/// Alias regions of a function: state, TLB, guest storage, mailbox.
pub fn flags(region: AliasRegion) -> MemFlagsData {
    MemFlagsData::new().with_notrap().with_alias_region(Some(region))
}

/// Where the instruction being translated stands.
#[derive(Debug, Clone, Copy, Default)]
pub struct At {
    /// Its offset in the page.
    pub offset: u16,
    /// Its length in bytes.
    pub len: u16,
    /// Instructions of its block from it on.
    pub ahead: u32,
}

impl At {
    /// Offset of the next instruction.
    pub fn next(&self) -> u16 {
        self.offset + self.len
    }
}

/// Where an access most likely goes.
#[derive(Debug, Clone, Copy)]
pub enum Guess {
    /// To the page of the last time around its loop: a place in [`vcpu::translated::Translated::guesses`].
    Loop(usize),
    /// To the page at hand: see [`memory::tlb::Anchor`].
    Anchor,
}

/// What accesses over one register lie ahead: found by looking at the instructions that follow.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    /// Displacement of the access itself.
    pub at: i64,
    /// Displacements from the current value of the register, from the lowest byte to behind the highest.
    pub low: i64,
    /// See `low`.
    pub high: i64,
    /// Whether there is a store among them.
    pub store: bool,
}

/// A branch that is taken around a few instructions, which are computed all the same.
#[derive(Debug)]
pub struct Skip {
    taken: Bool,
    /// Registers that they write, as they were before.
    before: Vec<(usize, Long)>,
    /// Instructions that are still to come.
    pub left: usize,
    skips: usize,
}

/// How an instruction leaves the line.
#[derive(Debug, Clone, Copy)]
pub struct Jump {
    /// Under which condition; `None`: always.
    pub condition: Option<Bool>,
    /// Where to.
    pub target: Target<Long>,
}

/// How an instruction that changes NIA or MSR leaves the region.
#[derive(Debug, Clone, Copy)]
pub enum Context {
    /// For a helper, with its operands.
    Helper(Fallible, [Long; 3]),
    /// For a stub, with what it gets beside the budget.
    Stub(usize, [Long; 2]),
}

/// A translator at one instruction.
#[allow(missing_debug_implementations)] // neither has the builder one
pub struct Emit<'a, 'f> {
    /// Where code goes.
    pub b: &'a mut FunctionBuilder<'f>,
    /// The region.
    pub env: &'a Env,
    /// What is known here.
    pub local: Local,
    /// The instruction.
    pub at: At,
    /// Accesses ahead over the register that the instruction bases its access on.
    pub ahead: Option<Ahead>,
    /// Registers that the region's variables hold here.
    pub kept: Registers,
    /// In an innermost loop: what it writes stays out of the state until something looks at that, or the loop is left.
    pub defers: bool,
    /// Where the instruction's loads and stores most likely go.
    pub guesses: [Option<Guess>; 2],
    /// The instruction branches.
    pub jump: Option<Jump>,
    /// The instruction leaves the region for a helper or a stub.
    pub context: Option<Context>,
    /// It cannot be translated after all.
    pub refused: bool,
}

impl<'a, 'f> Emit<'a, 'f> {
    /// A translator with nothing known but what `local` says.
    pub fn new(b: &'a mut FunctionBuilder<'f>, env: &'a Env, local: Local) -> Self {
        Emit {
            b,
            env,
            local,
            at: At::default(),
            ahead: None,
            kept: Registers::default(),
            defers: false,
            guesses: [None; 2],
            jump: None,
            context: None,
            refused: false,
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.env.mode & bit != 0
    }

    /// A constant.
    fn k(&mut self, k: i64) -> Value {
        if let Some(v) = self.local.constants.get(&k) {
            return *v;
        }
        let v = self.b.ins().iconst(I64, k);
        self.local.constants.insert(k, v);
        v
    }

    /// The value, as one of Cranelift's.
    pub fn value(&mut self, v: Long) -> Value {
        match v {
            Long::K(k) => self.k(k as i64),
            Long::V(v) => v,
        }
    }

    /// The truth value, as one of Cranelift's (I8).
    pub fn truth(&mut self, v: Bool) -> Value {
        match v {
            Bool::K(k) => self.b.ins().iconst(I8, i64::from(k)),
            Bool::V(v) => v,
            Bool::Compare(cc, a, b) => self.b.ins().icmp(cc, a, b),
        }
    }

    fn load_state(&mut self, ty: Type, offset: i32) -> Value {
        self.b.ins().load(ty, self.env.state, self.env.vcpu, offset)
    }

    /// Stores to the state.
    pub fn store_state(&mut self, v: Value, offset: i32) {
        self.b.ins().store(self.env.state, v, self.env.vcpu, offset);
    }

    fn load_fixed(&mut self, offset: i32) -> Value {
        self.b.ins().load(I64, self.env.fixed, self.env.vcpu, offset)
    }

    /// Effective address of a place in the page.
    pub fn address(&mut self, offset: u64) -> Value {
        let page = match self.local.page {
            Some(page) => page,
            None => {
                let page = self.load_fixed(PAGE);
                self.local.page = Some(page);
                page
            }
        };
        let address = self.sum(page, offset as i64);
        if self.has(mode::SF) || (offset as usize) < crate::blob::PAGE {
            return address;
        }
        // Outside of the page it may have wrapped.
        let low = self.b.ins().ireduce(I32, address);
        self.b.ins().uextend(I64, low)
    }

    /// Takes instructions off the budget, or gives them back.
    pub fn count(&mut self, retired: i64) {
        if !self.env.counts {
            return;
        }
        let budget = self.b.use_var(self.env.budget);
        let (base, was) = self.local.sums.get(&budget).copied().unwrap_or((budget, 0));
        let left = self.sum(base, was - retired);
        self.b.def_var(self.env.budget, left);
    }

    fn stub(&mut self, n: usize) -> Value {
        self.load_fixed(stub_offset(n))
    }

    fn helper(&mut self, address: usize) -> Value {
        let base = self.load_fixed(HELPERS);
        let distance = (address as u64).wrapping_sub(crate::stubs::helper_base());
        let distance = self.k(distance as i64);
        self.b.ins().iadd(base, distance)
    }

    // --- helpers ---

    /// Makes `cia`, `ahead` and the budget true for who looks at them.
    fn settle_place(&mut self) {
        let cia = self.address(u64::from(self.at.offset));
        self.store_state(cia, CIA);
        let ahead = self.k(i64::from(self.at.ahead));
        self.store_state(ahead, AHEAD);
        self.settle_budget();
    }

    /// Makes the budget true for who looks at it.
    fn settle_budget(&mut self) {
        if self.env.counts {
            let budget = self.b.use_var(self.env.budget);
            self.store_state(budget, BUDGET);
        }
    }

    /// Readies the state for a helper that is to go on at `next` if it changes nothing. Returns the helper's address.
    pub fn leave_for(&mut self, helper: Fallible, next: u16) -> Value {
        let nia = self.address(u64::from(next));
        self.store_state(nia, NIA);
        self.settle_place();
        self.helper(helper as usize)
    }

    fn operands(&mut self, a: Long, b: Long, c: Long) -> [Value; 4] {
        [self.env.vcpu, self.value(a), self.value(b), self.value(c)]
    }

    fn plain_call(&mut self, f: Helper, a: Long, b: Long, c: Long) -> Value {
        let args = self.operands(a, b, c);
        let callee = self.helper(f as usize);
        let call = self.b.ins().call_indirect(self.env.signatures.helper, callee, &args);
        self.b.inst_results(call)[0]
    }

    fn fallible_call(&mut self, f: Fallible, a: Long, b: Long, c: Long) -> Long {
        self.settle_place();
        let [v, a, b, c] = self.operands(a, b, c);
        let f = self.helper(f as usize);
        let callee = self.stub(number::TRY);
        self.b.ins().call_indirect(self.env.signatures.fallible, callee, &[v, a, b, c, f]);
        Long::V(self.load_state(I64, RESULT))
    }

    /// Leaves if something calls the vCPU away, to go on at `to` later; instructions that are not retired are given back.
    pub fn poll(&mut self, to: u16, back: i64) {
        if !self.defers {
            self.flush_registers();
        }
        self.b.ins().sequence_point();
        let word = self.load_fixed(vcpu::PENDING_OFFSET as i32);
        let pending = self.b.ins().load(I32, self.env.mail, word, 0);
        let (calls, out, on) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(calls);
        self.b.set_cold_block(out);
        self.b.ins().brif(pending, calls, &[], on, &[]);
        self.b.seal_block(calls);
        // Something is pending; whether it matters now is seldom asked.
        self.b.switch_to_block(calls);
        let mask = self.load_state(I32, PENDING_MASK);
        let matters = self.b.ins().band(pending, mask);
        self.b.ins().brif(matters, out, &[], on, &[]);
        self.b.seal_block(out);
        self.b.seal_block(on);
        self.b.switch_to_block(out);
        self.called_away(to, back);
        self.b.switch_to_block(on);
    }

    /// Polls behind the instruction.
    fn poll_behind(&mut self) {
        // What follows in the block was counted.
        self.poll(self.at.next(), i64::from(self.at.ahead) - 1);
    }

    /// Leaves for what calls the vCPU away, or since the budget is used up.
    fn called_away(&mut self, to: u16, back: i64) {
        self.aside(|s| {
            s.flush();
            let nia = s.address(u64::from(to));
            s.store_state(nia, NIA);
            let mut budget = s.env.budget(s.b);
            if back != 0 && s.env.counts {
                budget = s.b.ins().iadd_imm_s(budget, back);
            }
            s.b.ins().return_call(s.env.called_away, &[budget]);
        });
    }

    /// Leaves the instruction to the interpreter if the vCPU has to wait for others: it serves messages meanwhile, and one of
    /// them may take away the code that runs.
    fn leave_if_unacknowledged(&mut self) {
        if !self.defers {
            self.flush_registers();
        }
        let waits = self.b.ins().uload8(I32, self.env.state, self.env.vcpu, UNACKNOWLEDGED);
        let (out, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(out);
        self.b.ins().brif(waits, out, &[], on, &[]);
        self.b.seal_block(out);
        self.b.seal_block(on);
        self.b.switch_to_block(out);
        self.aside(|s| {
            s.flush();
            let nia = s.address(u64::from(s.at.offset));
            s.store_state(nia, NIA);
            // The instruction, and what follows in the block, was counted.
            let mut budget = s.env.budget(s.b);
            if s.env.counts {
                budget = s.b.ins().iadd_imm_s(budget, i64::from(s.at.ahead));
            }
            s.b.ins().return_call(s.env.leave, &[budget]);
        });
        self.b.switch_to_block(on);
    }

    /// Leaves if the budget is used up, or something calls the vCPU away, to go on at `to` later.
    pub fn poll_budget(&mut self, to: u16) {
        if !self.env.counts {
            return self.poll(to, 0);
        }
        let (out, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(out);
        let budget = self.b.use_var(self.env.budget);
        let used_up = self.b.ins().icmp_imm_s(IntCC::SignedLessThan, budget, 0);
        self.b.ins().brif(used_up, out, &[], on, &[]);
        self.b.seal_block(out);
        self.b.seal_block(on);
        self.b.switch_to_block(out);
        self.called_away(to, 0);
        self.b.switch_to_block(on);
        self.poll(to, 0);
    }

    /// Leaves for a stub that goes on elsewhere.
    fn leave_by(&mut self, stub: usize, a: Long, b: Long) -> R {
        self.context = Some(Context::Stub(stub, [a, b]));
        Ok(())
    }

    /// Address of the next instruction.
    fn next_address(&mut self) -> Long {
        Long::V(self.address(u64::from(self.at.next())))
    }

    fn compare(&mut self, cc: IntCC, a: Long, b: Long) -> Bool {
        // A constant stands on the right.
        let (cc, a, b) = if matches!(a, Long::K(_)) { (cc.swap_args(), b, a) } else { (cc, a, b) };
        let (a, b) = (self.value(a), self.value(b));
        Bool::Compare(cc, a, b)
    }

    /// `base + k`, remembered as such.
    fn sum(&mut self, base: Value, k: i64) -> Value {
        if k == 0 {
            return base;
        }
        let constant = self.k(k);
        let r = self.b.ins().iadd(base, constant);
        self.local.sums.insert(r, (base, k));
        r
    }

    /// The branch that was translated just now, first of `places`, skips what follows it if it is taken: what that writes
    /// is selected by [`Emit::end_skip`].
    pub fn begin_skip(&mut self, places: &[Place]) -> Option<Skip> {
        let branch = places.first()?;
        let skips = usize::from(branch.skips);
        // Never taken: nothing is skipped.
        let jump = self.jump.take()?;
        let condition = jump.condition.unwrap_or(Bool::K(true));
        let taken = Bool::V(self.truth(condition));
        let written = places[1..=skips].iter().fold(0, |set, p| set | p.effects.gpr_written);
        let before = (0..32).filter(|n| written >> n & 1 != 0).map(|n| (n, self.gpr(n))).collect();
        let here = self.b.ins().iconst(I32, i64::from(branch.offset));
        let was = self.load_state(I32, BRANCHED);
        let c = self.truth(taken);
        let branched = self.b.ins().select(c, here, was);
        self.store_state(branched, BRANCHED);
        Some(Skip { taken, before, left: skips, skips })
    }

    /// Behind what is skipped if a branch is taken.
    pub fn end_skip(&mut self, skip: &Skip) {
        for (n, old) in &skip.before {
            let new = self.gpr(*n);
            let v = self.select(skip.taken, *old, new);
            self.set_gpr(*n, v);
        }
        if !self.env.counts {
            return;
        }
        // What was skipped was counted.
        let back = self.select(skip.taken, Long::K(skip.skips as u64), Long::K(0));
        let back = self.value(back);
        let budget = self.b.use_var(self.env.budget);
        let budget = self.b.ins().iadd(budget, back);
        self.b.def_var(self.env.budget, budget);
    }

    /// Conjunction or disjunction, whose neutral constant is `neutral`. `mr` is one, of a register and itself.
    fn and_or(
        &mut self,
        a: Long,
        b: Long,
        neutral: u64,
        fold: impl Fn(u64, u64) -> u64,
        emit: impl Fn(&mut Self, Value, Value) -> Value,
    ) -> Long {
        match (a, b) {
            (Long::K(x), Long::K(y)) => Long::K(fold(x, y)),
            (v, Long::K(n)) | (Long::K(n), v) if n == neutral => v,
            (Long::V(x), Long::V(y)) if x == y => a,
            _ => {
                let (a, b) = (self.value(a), self.value(b));
                Long::V(emit(self, a, b))
            }
        }
    }

    fn int_of(bits: u32) -> Type {
        match bits {
            8 => I8,
            16 => I16,
            _ => I32,
        }
    }

    fn divide(&mut self, a: Long, b: Long, signed: bool, remainder: bool) -> Long {
        let (zero, one) = (Long::K(0), Long::K(1));
        let by_zero = self.eq(b, zero);
        let bad = if signed {
            let least = self.eq(a, Long::K(1 << 63));
            let minus = self.eq(b, Long::K(u64::MAX));
            let over = self.both(least, minus);
            self.either(by_zero, over)
        } else {
            by_zero
        };
        let safe = self.select(bad, one, b);
        let (x, y) = (self.value(a), self.value(safe));
        let v = match (signed, remainder) {
            (false, false) => self.b.ins().udiv(x, y),
            (false, true) => self.b.ins().urem(x, y),
            (true, false) => self.b.ins().sdiv(x, y),
            (true, true) => self.b.ins().srem(x, y),
        };
        self.select(bad, zero, Long::V(v))
    }
}
