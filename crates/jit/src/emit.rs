//! [`Emit`]: the [`Sem`] trait on Cranelift values.
//!
//! Guest registers are written through: the state in memory is current wherever anybody could look at it (an access that
//! may fault, a helper, the end of a block), and values are kept beside it so that code does not read it back. Condition
//! register fields stay the operands of their comparison ([`vcpu::translated::COMPARED`]).

use crate::region::Place;
use crate::stubs::{number, stub_offset};
use crate::{hooks, vector};
use core::mem::offset_of;
use cpu::bits::{msr, xer};
use cpu::state::Sprs;
use cpu::{State, spr};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{
    AliasRegion, BlockArg, FuncRef, InstBuilder, MemFlagsData, SigRef, Type, Value,
    types::{I8, I8X16, I16, I32, I64},
};
use cranelift_frontend::{FunctionBuilder, Variable};
use isa::IsaLevel;
use memory::tlb::{OFFSET_MASK, OFFSET_SHIFT, TlbEntry};
use sem::atomic_helpers;
use sem::system::XER_PARTS;
use sem::system_helpers as system;
use sem::{Fallible, Fence, Helper, Lane, Reg, ReturnFrom, Sem, Target, VecOp, Width, XerBit};
use std::collections::HashMap;
use vcpu::context::{PENDING_ALWAYS, PENDING_WITH_EE, mode};
use vcpu::reservation::Reservation;
use vcpu::spr::PPR_PRI;
use vcpu::translated::{COMPARED, COMPARED_UNSIGNED, Compared, NOT_BRANCHED, Translated};
use vcpu::{R, Stop, Vcpu};

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
            vsr: HashMap::new(),
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
    /// Of the CPU model.
    pub level: IsaLevel,
    /// Whether vectors are used at all: the host's registers for them have to be kept, then.
    pub vectors: bool,
    /// The vCPU's address.
    pub vcpu: Value,
    /// General registers that go around loops, as variables; the others are read from the state where a block begins.
    pub gpr: [Option<Variable>; 32],
    /// The count register, if it goes around a loop.
    pub ctr: Option<Variable>,
    /// Instructions that may still be retired.
    pub budget: Variable,
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
    /// Signatures of what is called.
    pub signatures: Signatures,
}

/// Signatures of what is called.
#[derive(Debug, Clone, Copy)]
pub struct Signatures {
    /// (vCPU, a, b, c) -> u64.
    pub helper: SigRef,
    /// (vCPU, a, b, c, helper).
    pub fallible: SigRef,
    /// (address, description, budget), keeps all registers.
    pub slow: SigRef,
    /// (), keeps all registers.
    pub settle: SigRef,
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

/// Place and type of special purpose register `n`, if privileged code reads and writes it as a plain field.
pub fn plain_spr(n: u32) -> Option<(i32, Type)> {
    const fn at(offset: usize) -> i32 {
        state(offset_of!(State, spr) + offset)
    }
    Some(match n {
        spr::SRR0 => (at(offset_of!(Sprs, srr0)), I64),
        spr::SRR1 => (at(offset_of!(Sprs, srr1)), I64),
        spr::DAR => (at(offset_of!(Sprs, dar)), I64),
        spr::DSISR => (at(offset_of!(Sprs, dsisr)), I32),
        spr::SPRG0..=spr::SPRG3 => (at(offset_of!(Sprs, sprg)) + 8 * (n - spr::SPRG0) as i32, I64),
        spr::DSCR => (at(offset_of!(Sprs, dscr)), I64),
        _ => return None,
    })
}

/// Place, type and bits that exist of special purpose register `n`, if privileged code writes it as such a field, or not
/// at all (no bits).
pub fn plain_to_write(n: u32) -> Option<(i32, Type, u64)> {
    const SPRS: usize = offset_of!(State, spr);
    Some(match n {
        spr::PPR => (state(SPRS + offset_of!(Sprs, ppr)), I64, PPR_PRI),
        spr::VRSAVE => (state(SPRS + offset_of!(Sprs, vrsave)), I32, u64::MAX),
        spr::TRIG0..=spr::TRIG2 => (0, I64, 0),
        _ => return plain_spr(n).map(|(at, ty)| (at, ty, u64::MAX)),
    })
}

/// Likewise, if it is read so.
pub fn plain_to_read(n: u32) -> Option<(i32, Type)> {
    const SPRS: usize = offset_of!(State, spr);
    Some(match n {
        spr::AMR => (state(SPRS + offset_of!(Sprs, amr)), I64),
        spr::IAMR => (state(SPRS + offset_of!(Sprs, iamr)), I64),
        spr::PPR => (state(SPRS + offset_of!(Sprs, ppr)), I64),
        spr::FSCR => (state(SPRS + offset_of!(Sprs, fscr)), I64),
        spr::PIDR => (state(SPRS + offset_of!(Sprs, pid)), I32),
        _ => return plain_spr(n),
    })
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
    /// The instruction branches.
    pub jump: Option<Jump>,
    /// The instruction leaves the region for a helper or a stub.
    pub context: Option<Context>,
    /// It cannot be translated after all.
    pub refused: bool,
}

const fn state(offset: usize) -> i32 {
    (offset_of!(Vcpu, state) + offset) as i32
}
/// Offset of general register `n`.
pub const fn gpr_offset(n: usize) -> i32 {
    state(offset_of!(State, gpr) + 8 * n)
}
/// Offset of CTR.
pub const CTR: i32 = state(offset_of!(State, ctr));
/// Offset of NIA.
pub const NIA: i32 = state(offset_of!(State, nia));
const CFAR: i32 = state(offset_of!(State, cfar));
/// Offset of where the last branch that was taken stood in the page.
pub const BRANCHED: i32 = translated(offset_of!(Translated, branched));
const LR: i32 = state(offset_of!(State, lr));
const TAR: i32 = state(offset_of!(State, spr) + offset_of!(Sprs, tar));
const CRF: i32 = state(offset_of!(State, crf));
const fn translated(offset: usize) -> i32 {
    (offset_of!(Vcpu, translated) + offset) as i32
}
/// Offset of the page's effective address.
pub const PAGE: i32 = translated(offset_of!(Translated, page));
const HOST: i32 = translated(offset_of!(Translated, host));
const BOUNCE: i32 = translated(offset_of!(Translated, bounce));
const HELPERS: i32 = translated(offset_of!(Translated, helpers));
const DATA_TLB: i32 = translated(offset_of!(Translated, data_tlb));
const COMPARED_AT: usize = offset_of!(Translated, compared);
const BUDGET: i32 = offset_of!(Vcpu, budget) as i32;
const CIA: i32 = offset_of!(Vcpu, cia) as i32;
const AHEAD: i32 = offset_of!(Vcpu, ahead) as i32;
const MSR: i32 = state(offset_of!(State, msr));
const PENDING_MASK: i32 = offset_of!(Vcpu, pending_mask) as i32;
const RESERVED: i32 = offset_of!(Vcpu, reservation) as i32;
const RESULT: i32 = offset_of!(Vcpu, result) as i32;

fn xer_offset(b: XerBit) -> i32 {
    state(match b {
        XerBit::So => offset_of!(State, so),
        XerBit::Ov => offset_of!(State, ov),
        XerBit::Ov32 => offset_of!(State, ov32),
        XerBit::Ca => offset_of!(State, ca),
        XerBit::Ca32 => offset_of!(State, ca32),
    })
}

const XER_BITS: [XerBit; 5] = [XerBit::So, XerBit::Ov, XerBit::Ov32, XerBit::Ca, XerBit::Ca32];

fn vsr_offset(n: usize) -> i32 {
    state(offset_of!(State, vsr) + 16 * n)
}

macro_rules! folded {
    ($name:ident, $value:ident, |$x:ident, $y:ident| $fold:expr $(, $neutral:expr)?) => {
        fn $name(&mut self, a: Long, b: Long) -> Long {
            match (a, b) {
                (Long::K($x), Long::K($y)) => return Long::K($fold),
                $( (v, Long::K(n)) | (Long::K(n), v) if n == $neutral => return v, )?
                _ => {}
            }
            let (a, b) = (self.value(a), self.value(b));
            Long::V(self.b.ins().$value(a, b))
        }
    };
}

impl<'a, 'f> Emit<'a, 'f> {
    /// A translator with nothing known but what `local` says.
    pub fn new(b: &'a mut FunctionBuilder<'f>, env: &'a Env, local: Local) -> Self {
        Emit { b, env, local, at: At::default(), ahead: None, jump: None, context: None, refused: false }
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
        let page = self.load_state(I64, PAGE);
        let offset = self.k(offset as i64);
        self.b.ins().iadd(page, offset)
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

    // --- the state in memory ---

    /// Stores what is not stored yet: the state in memory is current then.
    pub fn flush(&mut self) {
        while self.local.dirty != 0 {
            let n = self.local.dirty.trailing_zeros() as usize;
            self.local.dirty &= self.local.dirty - 1;
            if let Some(v) = self.local.gpr[n] {
                let v = self.value(v);
                self.store_state(v, gpr_offset(n));
            }
        }
        if std::mem::take(&mut self.local.ctr_dirty)
            && let Some(v) = self.local.ctr
        {
            let v = self.value(v);
            self.store_state(v, CTR);
        }
        if std::mem::take(&mut self.local.lr_dirty)
            && let Some(lr) = self.local.lr
        {
            let v = self.value(lr);
            self.store_state(v, LR);
        }
        for b in XER_BITS {
            if std::mem::take(&mut self.local.xer_dirty[b as usize])
                && let Some(v) = self.local.xer[b as usize]
            {
                let v = self.truth(v);
                self.store_state(v, xer_offset(b));
            }
        }
        for n in 0..8 {
            match self.local.cr[n] {
                Cr::Compare { signed, a, b, stored: false } => {
                    let at = COMPARED_AT + n * size_of::<Compared>();
                    let (va, vb) = (self.value(a), self.value(b));
                    self.store_state(va, translated(at + offset_of!(Compared, a)));
                    self.store_state(vb, translated(at + offset_of!(Compared, b)));
                    let tag = COMPARED | if signed { 0 } else { COMPARED_UNSIGNED };
                    let tag = self.b.ins().iconst(I8, i64::from(tag));
                    self.store_state(tag, CRF + n as i32);
                    self.local.cr[n] = Cr::Compare { signed, a, b, stored: true };
                }
                Cr::Field { v, stored: false } => {
                    let byte = self.b.ins().ireduce(I8, v);
                    self.store_state(byte, CRF + n as i32);
                    self.local.cr[n] = Cr::Field { v, stored: true };
                }
                _ => {}
            }
        }
    }

    /// A helper may have changed everything but general registers, LR and CTR.
    fn forget(&mut self) {
        self.local.cr = [Cr::Unknown; 8];
        self.local.xer = [None; 5];
        self.local.vsr.clear();
        self.local.pages.clear();
    }

    /// Makes a field of the state's condition register canonical that nobody knows better. One byte is looked at: a wider
    /// read would wait for the byte that was written just before.
    fn settle_field(&mut self, n: usize) {
        let field = self.b.ins().uload8(I64, self.env.state, self.env.vcpu, CRF + n as i32);
        let mask = self.k(COMPARED.into());
        let kept = self.b.ins().band(field, mask);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        let settled = self.b.append_block_param(on, I64);
        self.b.set_cold_block(cold);
        self.b.ins().brif(kept, cold, &[], on, &[BlockArg::Value(field)]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        // What is made there is not known behind it.
        let (constants, so) = (self.local.constants.clone(), self.local.xer[XerBit::So as usize]);
        let field = self.made_canonical(n, field);
        let byte = self.b.ins().ireduce(I8, field);
        self.store_state(byte, CRF + n as i32);
        self.local.constants = constants;
        self.local.xer[XerBit::So as usize] = so;
        self.b.ins().jump(on, &[BlockArg::Value(field)]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        self.local.cr[n] = Cr::Field { v: settled, stored: true };
    }

    /// The four bits of a field that the state keeps as operands, with tag `tag`.
    fn made_canonical(&mut self, n: usize, tag: Value) -> Value {
        let at = COMPARED_AT + n * size_of::<Compared>();
        let a = self.load_state(I64, translated(at + offset_of!(Compared, a)));
        let b = self.load_state(I64, translated(at + offset_of!(Compared, b)));
        let unsigned = self.k(COMPARED_UNSIGNED.into());
        let unsigned = self.b.ins().band(tag, unsigned);
        // Unsigned order is signed order with the sign bits turned.
        let to_sign = self.k(i64::from(63 - COMPARED_UNSIGNED.trailing_zeros() as i32));
        let turn = self.b.ins().ishl(unsigned, to_sign);
        let (a, b) = (self.b.ins().bxor(a, turn), self.b.ins().bxor(b, turn));
        let v = self.condition(true, Long::V(a), Long::V(b));
        self.value(v)
    }

    /// A field as a comparison sets it.
    fn condition(&mut self, signed: bool, a: Long, b: Long) -> Long {
        let less = if signed { self.lts(a, b) } else { self.ltu(a, b) };
        let greater = if signed { self.lts(b, a) } else { self.ltu(b, a) };
        let rest = self.select(greater, Long::K(4), Long::K(2));
        let v = self.select(less, Long::K(8), rest);
        let so = self.xer(XerBit::So);
        let so = self.one_if(so);
        self.or(v, so)
    }

    fn call_settle(&mut self) {
        let stub = self.stub(if self.env.vectors { number::SETTLE_VECTORS } else { number::SETTLE });
        self.b.ins().call_indirect(self.env.signatures.settle, stub, &[]);
    }

    /// The four bits of a field, as I64.
    fn field(&mut self, n: usize) -> Value {
        if matches!(self.local.cr[n], Cr::Unknown) {
            self.settle_field(n);
        }
        match self.local.cr[n] {
            Cr::Field { v, .. } => v,
            Cr::Compare { signed, a, b, .. } => {
                let v = self.condition(signed, a, b);
                self.value(v)
            }
            Cr::Unknown => unreachable!("the field was settled"),
        }
    }

    // --- accesses ---

    fn slow_call(&mut self, ea: Value, size: u32, store: bool) -> Value {
        let access = hooks::access(size, store, self.at.offset, self.at.ahead);
        let access = self.b.ins().iconst(I64, access);
        let budget = self.b.use_var(self.env.budget);
        let stub = self.stub(if self.env.vectors { number::SLOW_VECTORS } else { number::SLOW });
        self.b.ins().call_indirect(self.env.signatures.slow, stub, &[ea, access, budget]);
        self.load_state(I64, HOST)
    }

    /// Which of the two context ids an access is likely to have: quadrant 3 in privileged state.
    fn quadrant(&self) -> usize {
        usize::from(!self.has(mode::PR) && self.has(mode::DR))
    }

    /// The TLB entry that an access to `first` would use, the tag that it has for bytes up to `last` to be there, and the
    /// tag that it should have.
    fn tlb_entry(&mut self, first: Value, last: Value, store: bool) -> (Value, Value, Value) {
        let q = 8 * self.quadrant() as i32;
        // Read where they are used, as operands of instructions: kept in registers they would cost more.
        let (shift, mask, page) = (self.k(OFFSET_SHIFT.into()), self.k(OFFSET_MASK as i64), self.k(-4096));
        let offset = self.b.ins().ushr(first, shift);
        let offset = self.b.ins().band(offset, mask);
        let mix = self.load_state(I64, offset_of!(Vcpu, data_mix) as i32 + q);
        let offset = self.b.ins().bxor(offset, mix);
        let entries = self.load_state(I64, DATA_TLB);
        let entry = self.b.ins().iadd(offset, entries);
        let want = self.b.ins().band(last, page);
        let context = self.load_state(I64, offset_of!(Vcpu, data_context) as i32 + q);
        let want = self.b.ins().bor(want, context);
        let tag_at = if store { offset_of!(TlbEntry, write) } else { offset_of!(TlbEntry, read) };
        let tag = self.b.ins().load(I64, self.env.tlb, entry, tag_at as i32);
        (entry, tag, want)
    }

    /// Looks `first` up in the TLB, for bytes up to `last`. Returns whether they are there, and the addend.
    fn look_up(&mut self, first: Value, last: Value, store: bool) -> (Value, Value) {
        let (entry, tag, want) = self.tlb_entry(first, last, store);
        let hit = self.b.ins().icmp(IntCC::Equal, want, tag);
        let addend = self.b.ins().load(I64, self.env.tlb, entry, offset_of!(TlbEntry, addend) as i32);
        (hit, addend)
    }

    /// Where an aligned access would be made in line: its host and real address, and a value that is zero if it may.
    fn atomic_place(&mut self, ea: Value, width: Width, store: bool) -> (Value, Value, Value) {
        let (entry, tag, want) = self.tlb_entry(ea, ea, store);
        let wrong = self.b.ins().bxor(tag, want);
        let low = self.k(i64::from(width.bytes()) - 1);
        let misaligned = self.b.ins().band(ea, low);
        let wrong = self.b.ins().bor(wrong, misaligned);
        let addend = self.b.ins().load(I64, self.env.tlb, entry, offset_of!(TlbEntry, addend) as i32);
        let host = self.b.ins().iadd(ea, addend);
        let page = self.b.ins().load(I64, self.env.tlb, entry, offset_of!(TlbEntry, real) as i32);
        let mask = self.k(0xFFF);
        let offset = self.b.ins().band(ea, mask);
        let real = self.b.ins().bor(page, offset);
        (host, real, wrong)
    }

    /// `fast` where `wrong` is zero, else the helper, out of the line. Neither touches registers.
    fn atomic(
        &mut self,
        wrong: Value,
        (helper, operands): (Fallible, [Long; 3]),
        fast: impl FnOnce(&mut Self) -> Value,
    ) -> Long {
        let (cold, hot, on) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        let result = self.b.append_block_param(on, I64);
        self.b.set_cold_block(cold);
        self.b.ins().brif(wrong, cold, &[], hot, &[]);
        self.b.seal_block(cold);
        self.b.seal_block(hot);
        // Constants made in either are not known behind it.
        let constants = self.local.constants.clone();
        self.b.switch_to_block(cold);
        let [a, b, c] = operands;
        let v = self.fallible_call(helper, a, b, c);
        let v = self.value(v);
        self.b.ins().jump(on, &[BlockArg::Value(v)]);
        self.local.constants.clone_from(&constants);
        self.b.switch_to_block(hot);
        let v = fast(self);
        self.b.ins().jump(on, &[BlockArg::Value(v)]);
        self.local.constants = constants;
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        Long::V(result)
    }

    /// The known page in which an access lies, looked up if more accesses over the same base follow.
    fn page_of(&mut self, base: Value, low: i64, size: u32, store: bool) -> Option<Value> {
        let high = low + i64::from(size);
        let found =
            self.local.pages.iter().find(|p| p.base == base && p.low <= low && high <= p.high && (p.store || !store));
        if let Some(page) = found {
            return Some(page.addend);
        }
        let ahead = self.ahead.take()?;
        // `ahead` counts from the register, which is the base plus this.
        let register = low - ahead.at;
        let (from, to) = (register + ahead.low, register + ahead.high);
        let (first, last) = (self.sum(base, from), self.sum(base, to - 1));
        let (hit, addend) = self.look_up(first, last, ahead.store || store);
        let none = self.k(0);
        let addend = self.b.ins().select(hit, addend, none);
        self.local.pages.push(Page { base, low: from, high: to, store: ahead.store || store, addend });
        Some(addend)
    }

    /// Host address of an access. `data`: what a store stores, for the slow path.
    fn host(&mut self, ea: Long, size: u32, data: Option<Value>) -> Value {
        self.flush();
        let ea = self.value(ea);
        let store = data.is_some();
        let (base, displacement) = self.local.sums.get(&ea).copied().unwrap_or((ea, 0));
        let known = if self.has(mode::SF) { self.page_of(base, displacement, size, store) } else { None };
        let (found, addend) = match known {
            Some(addend) => (addend, addend),
            None => {
                let last = if size == 1 { ea } else { self.sum(base, displacement + i64::from(size) - 1) };
                self.look_up(ea, last, store)
            }
        };
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        let host = self.b.append_block_param(on, I64);
        self.b.set_cold_block(cold);
        let direct = self.b.ins().iadd(ea, addend);
        self.b.ins().brif(found, on, &[BlockArg::Value(direct)], cold, &[]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        if let Some(data) = data {
            self.store_state(data, BOUNCE);
        }
        let slow = self.slow_call(ea, size, store);
        self.b.ins().jump(on, &[BlockArg::Value(slow)]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        host
    }

    /// What `bswap` left of a value of `width` at the high end.
    fn down(&mut self, v: Value, width: Width) -> Value {
        let n = self.k(i64::from(64 - width.bits()));
        self.b.ins().ushr(v, n)
    }

    fn swapped(&self) -> bool {
        !self.has(mode::LE)
    }

    // --- helpers ---

    /// Makes `cia`, `ahead` and the budget true for who looks at them.
    fn settle_place(&mut self) {
        let cia = self.address(u64::from(self.at.offset));
        self.store_state(cia, CIA);
        let ahead = self.k(i64::from(self.at.ahead));
        self.store_state(ahead, AHEAD);
        let budget = self.b.use_var(self.env.budget);
        self.store_state(budget, BUDGET);
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

    /// Leaves for what calls the vCPU away under `mask` (I32), if anything does, before the next instruction. The state in
    /// memory is current then.
    fn poll(&mut self, mask: Value) {
        self.flush();
        self.b.ins().sequence_point();
        let word = self.load_fixed(vcpu::PENDING_OFFSET as i32);
        let pending = self.b.ins().load(I32, self.env.mail, word, 0);
        let calls = self.b.ins().band(pending, mask);
        let (out, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(out);
        self.b.ins().brif(calls, out, &[], on, &[]);
        self.b.seal_block(out);
        self.b.switch_to_block(out);
        let page = self.load_state(I64, PAGE);
        let nia = self.b.ins().iadd_imm_s(page, i64::from(self.at.next()));
        self.store_state(nia, NIA);
        // What follows in the block was counted.
        let budget = self.b.use_var(self.env.budget);
        let budget = self.b.ins().iadd_imm_s(budget, i64::from(self.at.ahead) - 1);
        self.b.ins().return_call(self.env.called_away, &[budget]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
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
        // What was skipped was counted.
        let back = self.select(skip.taken, Long::K(skip.skips as u64), Long::K(0));
        let back = self.value(back);
        let budget = self.b.use_var(self.env.budget);
        let budget = self.b.ins().iadd(budget, back);
        self.b.def_var(self.env.budget, budget);
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

impl Sem for Emit<'_, '_> {
    type Bool = Bool;
    type Long = Long;
    type Vec = Value;

    fn mode_64(&self) -> bool {
        self.has(mode::SF)
    }
    fn problem_state(&self) -> bool {
        self.has(mode::PR)
    }
    fn little_endian(&self) -> bool {
        self.has(mode::LE)
    }
    fn level(&self) -> IsaLevel {
        self.env.level
    }

    fn long(&mut self, v: u64) -> Long {
        Long::K(v)
    }
    fn add(&mut self, a: Long, b: Long) -> Long {
        match (a, b) {
            (Long::K(x), Long::K(y)) => Long::K(x.wrapping_add(y)),
            (v, Long::K(0)) | (Long::K(0), v) => v,
            (Long::V(v), Long::K(k)) | (Long::K(k), Long::V(v)) => {
                let (base, was) = self.local.sums.get(&v).copied().unwrap_or((v, 0));
                let sum = was.wrapping_add(k as i64);
                // From the base, so that chains of sums do not wait for each other.
                let (base, sum) = if i32::try_from(sum).is_ok() { (base, sum) } else { (v, k as i64) };
                Long::V(self.sum(base, sum))
            }
            (Long::V(a), Long::V(b)) => Long::V(self.b.ins().iadd(a, b)),
        }
    }
    folded!(sub, isub, |x, y| x.wrapping_sub(y));
    folded!(mul, imul, |x, y| x.wrapping_mul(y), 1);
    folded!(mulhu, umulhi, |x, y| ((u128::from(x) * u128::from(y)) >> 64) as u64);
    folded!(mulhs, smulhi, |x, y| ((i128::from(x as i64) * i128::from(y as i64)) >> 64) as u64);
    fn divu(&mut self, a: Long, b: Long) -> Long {
        self.divide(a, b, false, false)
    }
    fn divs(&mut self, a: Long, b: Long) -> Long {
        self.divide(a, b, true, false)
    }
    fn remu(&mut self, a: Long, b: Long) -> Long {
        self.divide(a, b, false, true)
    }
    fn rems(&mut self, a: Long, b: Long) -> Long {
        self.divide(a, b, true, true)
    }
    folded!(and, band, |x, y| x & y, u64::MAX);
    folded!(or, bor, |x, y| x | y, 0);
    folded!(xor, bxor, |x, y| x ^ y, 0);
    fn not(&mut self, a: Long) -> Long {
        match a {
            Long::K(k) => Long::K(!k),
            Long::V(v) => Long::V(self.b.ins().bnot(v)),
        }
    }
    folded!(shl, ishl, |x, y| x.wrapping_shl(y as u32));
    folded!(shr, ushr, |x, y| x.wrapping_shr(y as u32));
    folded!(sar, sshr, |x, y| (x as i64).wrapping_shr(y as u32) as u64);
    folded!(rotl, rotl, |x, y| x.rotate_left(y as u32 & 63));
    fn rotl32(&mut self, a: Long, n: Long) -> Long {
        if let (Long::K(x), Long::K(n)) = (a, n) {
            return Long::K(u64::from((x as u32).rotate_left(n as u32 & 31)));
        }
        let a = self.value(a);
        let low = self.b.ins().ireduce(I32, a);
        let turned = match n {
            Long::K(n) if n & 31 == 0 => low,
            Long::K(n) => {
                let n = self.k((n & 31) as i64);
                self.b.ins().rotl(low, n)
            }
            Long::V(n) => {
                let n = self.b.ins().ireduce(I32, n);
                self.b.ins().rotl(low, n)
            }
        };
        Long::V(self.b.ins().uextend(I64, turned))
    }
    fn clz(&mut self, a: Long) -> Long {
        let a = self.value(a);
        Long::V(self.b.ins().clz(a))
    }
    fn ctz(&mut self, a: Long) -> Long {
        let a = self.value(a);
        Long::V(self.b.ins().ctz(a))
    }
    fn popcnt(&mut self, a: Long) -> Long {
        let a = self.value(a);
        Long::V(self.b.ins().popcnt(a))
    }
    fn bswap(&mut self, a: Long) -> Long {
        let a = self.value(a);
        Long::V(self.b.ins().bswap(a))
    }
    fn zext(&mut self, a: Long, bits: u32) -> Long {
        match a {
            Long::K(k) => Long::K(k << (64 - bits) >> (64 - bits)),
            Long::V(v) => {
                let low = self.b.ins().ireduce(Self::int_of(bits), v);
                Long::V(self.b.ins().uextend(I64, low))
            }
        }
    }
    fn sext(&mut self, a: Long, bits: u32) -> Long {
        match a {
            Long::K(k) => Long::K(((k << (64 - bits)) as i64 >> (64 - bits)) as u64),
            Long::V(v) => {
                let low = self.b.ins().ireduce(Self::int_of(bits), v);
                Long::V(self.b.ins().sextend(I64, low))
            }
        }
    }

    fn bool(&mut self, b: bool) -> Bool {
        Bool::K(b)
    }
    fn eq(&mut self, a: Long, b: Long) -> Bool {
        match (a, b) {
            (Long::K(a), Long::K(b)) => Bool::K(a == b),
            _ => self.compare(IntCC::Equal, a, b),
        }
    }
    fn ltu(&mut self, a: Long, b: Long) -> Bool {
        match (a, b) {
            (Long::K(a), Long::K(b)) => Bool::K(a < b),
            _ => self.compare(IntCC::UnsignedLessThan, a, b),
        }
    }
    fn lts(&mut self, a: Long, b: Long) -> Bool {
        match (a, b) {
            (Long::K(a), Long::K(b)) => Bool::K((a as i64) < b as i64),
            _ => self.compare(IntCC::SignedLessThan, a, b),
        }
    }
    fn both(&mut self, a: Bool, b: Bool) -> Bool {
        match (a, b) {
            (Bool::K(false), _) | (_, Bool::K(false)) => Bool::K(false),
            (Bool::K(true), x) | (x, Bool::K(true)) => x,
            (a, b) => {
                let (a, b) = (self.truth(a), self.truth(b));
                Bool::V(self.b.ins().band(a, b))
            }
        }
    }
    fn either(&mut self, a: Bool, b: Bool) -> Bool {
        match (a, b) {
            (Bool::K(true), _) | (_, Bool::K(true)) => Bool::K(true),
            (Bool::K(false), x) | (x, Bool::K(false)) => x,
            (a, b) => {
                let (a, b) = (self.truth(a), self.truth(b));
                Bool::V(self.b.ins().bor(a, b))
            }
        }
    }
    fn differ(&mut self, a: Bool, b: Bool) -> Bool {
        match (a, b) {
            (Bool::K(a), Bool::K(b)) => Bool::K(a != b),
            (Bool::K(false), x) | (x, Bool::K(false)) => x,
            (Bool::K(true), x) | (x, Bool::K(true)) => self.is_not(x),
            (a, b) => {
                let (a, b) = (self.truth(a), self.truth(b));
                Bool::V(self.b.ins().bxor(a, b))
            }
        }
    }
    fn is_not(&mut self, a: Bool) -> Bool {
        match a {
            Bool::K(k) => Bool::K(!k),
            Bool::Compare(cc, a, b) => Bool::Compare(cc.complement(), a, b),
            Bool::V(v) => {
                let one = self.b.ins().iconst(I8, 1);
                Bool::V(self.b.ins().bxor(v, one))
            }
        }
    }
    fn select(&mut self, c: Bool, a: Long, b: Long) -> Long {
        match c {
            Bool::K(true) => a,
            Bool::K(false) => b,
            c => {
                let (a, b) = (self.value(a), self.value(b));
                let c = self.truth(c);
                Long::V(self.b.ins().select(c, a, b))
            }
        }
    }
    fn one_if(&mut self, b: Bool) -> Long {
        match b {
            Bool::K(k) => Long::K(k.into()),
            v => {
                let v = self.truth(v);
                Long::V(self.b.ins().uextend(I64, v))
            }
        }
    }
    fn if_(&mut self, _: Bool, _: impl FnOnce(&mut Self) -> R) -> R {
        // Only the string instructions need it: the interpreter runs them.
        self.refused = true;
        Ok(())
    }

    fn gpr(&mut self, n: usize) -> Long {
        if let Some(v) = self.local.gpr[n] {
            return v;
        }
        let v = Long::V(match self.env.gpr[n] {
            Some(var) => self.b.use_var(var),
            None => self.load_state(I64, gpr_offset(n)),
        });
        self.local.gpr[n] = Some(v);
        v
    }
    fn set_gpr(&mut self, n: usize, v: Long) {
        self.local.gpr[n] = Some(v);
        self.local.dirty |= 1 << n;
        if let Some(var) = self.env.gpr[n] {
            let v = self.value(v);
            self.b.def_var(var, v);
        }
    }
    fn reg(&mut self, r: Reg) -> Long {
        match r {
            Reg::Lr => match self.local.lr {
                Some(v) => v,
                None => {
                    let v = Long::V(self.load_state(I64, LR));
                    self.local.lr = Some(v);
                    v
                }
            },
            Reg::Ctr => {
                if let Some(v) = self.local.ctr {
                    return v;
                }
                let v = Long::V(match self.env.ctr {
                    Some(var) => self.b.use_var(var),
                    None => self.load_state(I64, CTR),
                });
                self.local.ctr = Some(v);
                v
            }
            Reg::Tar => Long::V(self.load_state(I64, TAR)),
        }
    }
    fn set_reg(&mut self, r: Reg, v: Long) {
        match r {
            Reg::Lr => {
                self.local.lr = Some(v);
                self.local.lr_dirty = true;
            }
            Reg::Ctr => {
                self.local.ctr = Some(v);
                self.local.ctr_dirty = true;
                if let Some(var) = self.env.ctr {
                    let v = self.value(v);
                    self.b.def_var(var, v);
                }
            }
            Reg::Tar => {
                let v = self.value(v);
                self.store_state(v, TAR);
            }
        }
    }
    fn xer(&mut self, b: XerBit) -> Bool {
        if let Some(v) = self.local.xer[b as usize] {
            return v;
        }
        let v = Bool::V(self.load_state(I8, xer_offset(b)));
        self.local.xer[b as usize] = Some(v);
        v
    }
    fn set_xer(&mut self, b: XerBit, v: Bool) {
        if b == XerBit::So {
            // Fields that are kept as operands take their summary overflow bit when they are settled.
            for n in 0..8 {
                if matches!(self.local.cr[n], Cr::Compare { .. }) {
                    let v = self.field(n);
                    self.local.cr[n] = Cr::Field { v, stored: false };
                }
            }
            self.flush();
            if self.local.cr.iter().any(|c| matches!(c, Cr::Unknown)) {
                self.call_settle();
            }
        }
        self.local.xer[b as usize] = Some(v);
        self.local.xer_dirty[b as usize] = true;
    }
    fn cr_bit(&mut self, n: usize) -> Bool {
        if let Cr::Compare { signed, a, b, .. } = self.local.cr[n >> 2] {
            return match (n & 3, signed) {
                (0, true) => self.lts(a, b),
                (0, false) => self.ltu(a, b),
                (1, true) => self.lts(b, a),
                (1, false) => self.ltu(b, a),
                (2, _) => self.eq(a, b),
                _ => self.xer(XerBit::So),
            };
        }
        let field = self.field(n >> 2);
        let (mask, zero) = (self.k(8 >> (n & 3)), self.k(0));
        let bit = self.b.ins().band(field, mask);
        Bool::Compare(IntCC::NotEqual, bit, zero)
    }
    fn set_cr_bit(&mut self, n: usize, v: Bool) {
        let field = self.field(n >> 2);
        let mask = self.k(!(8i64 >> (n & 3)));
        let rest = self.b.ins().band(field, mask);
        let bit = self.one_if(v);
        let bit = self.shl(bit, Long::K(3 - (n as u64 & 3)));
        let bit = self.value(bit);
        let v = self.b.ins().bor(rest, bit);
        self.local.cr[n >> 2] = Cr::Field { v, stored: false };
    }
    fn cr_field(&mut self, n: usize) -> Long {
        Long::V(self.field(n))
    }
    fn set_cr_field(&mut self, n: usize, v: Long) {
        let v = self.and(v, Long::K(15));
        let v = self.value(v);
        self.local.cr[n] = Cr::Field { v, stored: false };
    }
    fn compare_signed(&mut self, n: usize, a: Long, b: Long) {
        self.local.cr[n] = Cr::Compare { signed: true, a, b, stored: false };
    }
    fn compare_unsigned(&mut self, n: usize, a: Long, b: Long) {
        self.local.cr[n] = Cr::Compare { signed: false, a, b, stored: false };
    }
    fn vsr(&mut self, n: usize) -> Value {
        if let Some(v) = self.local.vsr.get(&n) {
            return *v;
        }
        let v = self.load_state(I8X16, vsr_offset(n));
        self.local.vsr.insert(n, v);
        v
    }
    fn set_vsr(&mut self, n: usize, v: Value) {
        self.store_state(v, vsr_offset(n));
        self.local.vsr.insert(n, v);
    }
    fn vsr_hi(&mut self, n: usize) -> Long {
        match self.local.vsr.get(&n).copied() {
            Some(v) => Long::V(vector::vec_high(self.b, v)),
            None => Long::V(self.load_state(I64, vsr_offset(n) + 8)),
        }
    }
    fn set_vsr_pair(&mut self, n: usize, hi: Long, lo: Long) {
        let (hi, lo) = (self.value(hi), self.value(lo));
        self.store_state(lo, vsr_offset(n));
        self.store_state(hi, vsr_offset(n) + 8);
        self.local.vsr.remove(&n);
    }
    fn vec_halves(&mut self, v: Value) -> (Long, Long) {
        let (hi, lo) = vector::vec_halves(self.b, v);
        (Long::V(hi), Long::V(lo))
    }
    fn vec_from_halves(&mut self, hi: Long, lo: Long) -> Value {
        let (hi, lo) = (self.value(hi), self.value(lo));
        vector::vec_from_halves(self.b, hi, lo)
    }
    fn vec_const(&mut self, v: u128) -> Value {
        vector::vec_const(self.b, v)
    }
    fn vec_op(&mut self, op: VecOp, a: Value, b: Value) -> Value {
        match vector::vec_op(self.b, op, a, b) {
            Some(v) => v,
            None => {
                self.refused = true;
                a
            }
        }
    }
    fn vec_select(&mut self, a: Value, b: Value, c: Value) -> Value {
        vector::vec_select(self.b, a, b, c)
    }
    fn vec_permute(&mut self, t: usize, a: usize, b: usize, c: usize) {
        let (a, b, c) = (self.vsr(a), self.vsr(b), self.vsr(c));
        let v = vector::vec_permute(self.b, a, b, c);
        self.set_vsr(t, v);
    }

    fn load(&mut self, ea: Long, width: Width) -> R<Long> {
        let host = self.host(ea, width.bytes(), None);
        let flags = self.env.guest;
        let ins = self.b.ins();
        let v = match width {
            Width::Byte => ins.uload8(I64, flags, host, 0),
            Width::Half => ins.uload16(I64, flags, host, 0),
            Width::Word => ins.uload32(flags, host, 0),
            Width::Double => ins.load(I64, flags, host, 0),
        };
        if !self.swapped() || width == Width::Byte {
            return Ok(Long::V(v));
        }
        let v = self.b.ins().bswap(v);
        Ok(Long::V(match width {
            Width::Double => v,
            _ => self.down(v, width),
        }))
    }
    fn store(&mut self, ea: Long, width: Width, v: Long) -> R {
        let mut v = self.value(v);
        if self.swapped() && width != Width::Byte {
            v = self.b.ins().bswap(v);
            if width != Width::Double {
                v = self.down(v, width);
            }
        }
        let host = self.host(ea, width.bytes(), Some(v));
        let flags = self.env.guest;
        let ins = self.b.ins();
        match width {
            Width::Byte => ins.istore8(flags, v, host, 0),
            Width::Half => ins.istore16(flags, v, host, 0),
            Width::Word => ins.istore32(flags, v, host, 0),
            Width::Double => ins.store(flags, v, host, 0),
        };
        Ok(())
    }
    fn load_quad(&mut self, ea: Long) -> R<Value> {
        let host = self.host(ea, 16, None);
        let v = self.b.ins().load(I8X16, self.env.guest, host, 0);
        Ok(if self.swapped() { self.vec_op(VecOp::ReverseBytes(Lane::Q), v, v) } else { v })
    }
    fn store_quad(&mut self, ea: Long, v: Value) -> R {
        let v = if self.swapped() { self.vec_op(VecOp::ReverseBytes(Lane::Q), v, v) } else { v };
        let host = self.host(ea, 16, Some(v));
        self.b.ins().store(self.env.guest, v, host, 0);
        Ok(())
    }
    fn probe(&mut self, ea: Long, bytes: u64, store: bool) -> R {
        if bytes == 0 {
            return Ok(());
        }
        if bytes <= 16 && !store {
            self.host(ea, bytes as u32, None);
            return Ok(());
        }
        self.flush();
        self.fallible_call(hooks::probe, ea, Long::K(bytes), Long::K(store.into()));
        Ok(())
    }
    fn load_and_reserve(&mut self, ea: Long, width: Width) -> R<Long> {
        let bytes = Long::K(width.bytes().into());
        let helper: (Fallible, _) = (atomic_helpers::load_and_reserve, [ea, bytes, bytes]);
        if self.swapped() || width.bytes() < 4 {
            return self.try_call(helper.0, ea, bytes, bytes);
        }
        self.flush();
        let address = self.value(ea);
        let (host, real, wrong) = self.atomic_place(address, width, false);
        Ok(self.atomic(wrong, helper, |s| {
            let v = match width {
                Width::Word => s.b.ins().uload32(s.env.guest, host, 0),
                _ => s.b.ins().load(I64, s.env.guest, host, 0),
            };
            let (held, size) = (s.b.ins().iconst(I8, 1), s.b.ins().iconst(I32, i64::from(width.bytes())));
            let zero = s.k(0);
            s.store_state(held, RESERVED + offset_of!(Reservation, held) as i32);
            s.store_state(size, RESERVED + offset_of!(Reservation, size) as i32);
            s.store_state(real, RESERVED + offset_of!(Reservation, real) as i32);
            s.store_state(v, RESERVED + offset_of!(Reservation, value) as i32);
            s.store_state(zero, RESERVED + offset_of!(Reservation, value) as i32 + 8);
            v
        }))
    }
    fn store_conditional(&mut self, ea: Long, width: Width, v: Long) -> R<Long> {
        let bytes = Long::K(width.bytes().into());
        let helper: (Fallible, _) = (atomic_helpers::store_conditional, [ea, v, bytes]);
        if self.swapped() || width.bytes() < 4 {
            return self.try_call(helper.0, ea, v, bytes);
        }
        self.flush();
        let address = self.value(ea);
        let (host, real, wrong) = self.atomic_place(address, width, true);
        let held =
            self.b.ins().uload8(I64, self.env.state, self.env.vcpu, RESERVED + offset_of!(Reservation, held) as i32);
        let one = self.k(1);
        let none = self.b.ins().bxor(held, one);
        let wrong = self.b.ins().bor(wrong, none);
        let at = RESERVED + offset_of!(Reservation, size) as i32;
        let size = self.b.ins().uload32(self.env.state, self.env.vcpu, at);
        let own = self.k(i64::from(width.bytes()));
        let other = self.b.ins().bxor(size, own);
        let wrong = self.b.ins().bor(wrong, other);
        let reserved = self.load_state(I64, RESERVED + offset_of!(Reservation, real) as i32);
        let other = self.b.ins().bxor(reserved, real);
        let wrong = self.b.ins().bor(wrong, other);
        let new = self.value(v);
        Ok(self.atomic(wrong, helper, |s| {
            let gone = s.b.ins().iconst(I8, 0);
            s.store_state(gone, RESERVED + offset_of!(Reservation, held) as i32);
            let ty = if width == Width::Word { I32 } else { I64 };
            let old = s.load_state(ty, RESERVED + offset_of!(Reservation, value) as i32);
            let new = if width == Width::Word { s.b.ins().ireduce(I32, new) } else { new };
            let was = s.b.ins().atomic_cas(s.env.guest, host, old, new);
            let stored = s.b.ins().icmp(IntCC::Equal, was, old);
            s.b.ins().uextend(I64, stored)
        }))
    }
    fn fence(&mut self, f: Fence) {
        match f {
            Fence::Full => {
                // A locked operation on the stack's line is the cheapest full barrier of the host.
                let zero = self.b.ins().iconst(I32, 0);
                let bounce = self.k(BOUNCE.into());
                let at = self.b.ins().iadd(self.env.vcpu, bounce);
                self.b.ins().atomic_rmw(I32, self.env.state, cranelift_codegen::ir::AtomicRmwOp::Add, at, zero);
                self.b.ins().sequence_point();
            }
            Fence::Light => {
                self.b.ins().sequence_point();
            }
        }
    }

    fn cia(&mut self) -> Long {
        Long::V(self.address(u64::from(self.at.offset)))
    }
    fn branch(&mut self, target: Target<Long>) {
        self.jump = Some(Jump { condition: None, target });
    }
    fn branch_if(&mut self, c: Bool, target: Target<Long>) {
        self.jump = match c {
            Bool::K(false) => None,
            Bool::K(true) => Some(Jump { condition: None, target }),
            c => Some(Jump { condition: Some(c), target }),
        };
    }
    fn program_if(&mut self, c: Bool, cause: u64) -> R {
        let c = match c {
            Bool::K(false) => return Ok(()),
            Bool::K(true) => return self.program(cause),
            c => c,
        };
        self.flush();
        let c = self.truth(c);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        self.b.ins().brif(c, cold, &[], on, &[]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        // Constants made there are not known behind it.
        let constants = self.local.constants.clone();
        self.fallible_call(hooks::program, Long::K(cause), Long::K(0), Long::K(0));
        self.local.constants = constants;
        self.b.ins().jump(on, &[]);
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        Ok(())
    }
    fn program(&mut self, cause: u64) -> R {
        self.context = Some(Context::Helper(hooks::program, [Long::K(cause), Long::K(0), Long::K(0)]));
        Err(Stop)
    }

    fn call(&mut self, f: Helper, a: Long, b: Long, c: Long) -> Long {
        self.flush();
        let r = self.plain_call(f, a, b, c);
        self.forget();
        Long::V(r)
    }
    fn call_vsr(&mut self, f: Helper, tag: u64, b: Long, c: Long) {
        self.plain_call(f, Long::K(tag), b, c);
        self.local.vsr.remove(&(tag as usize & 63));
    }
    fn try_call(&mut self, f: Fallible, a: Long, b: Long, c: Long) -> R<Long> {
        self.flush();
        let r = self.fallible_call(f, a, b, c);
        self.forget();
        Ok(r)
    }
    fn try_call_vsr(&mut self, f: Fallible, tag: u64, b: Long, c: Long) -> R<Long> {
        self.flush();
        let r = self.fallible_call(f, Long::K(tag), b, c);
        self.local.vsr.remove(&(tag as usize & 63));
        Ok(r)
    }
    fn context_call(&mut self, f: Fallible, a: Long, b: Long, c: Long) -> R {
        self.context = Some(Context::Helper(f, [a, b, c]));
        Ok(())
    }

    fn system_call(&mut self, lev: u32) -> R {
        match system::system_call_cause(self.env.level, lev.into()) {
            Some(cause) => {
                let next = self.next_address();
                self.leave_by(number::SYSTEM_CALL, next, Long::K(cause))
            }
            None => self.context_call(system::system_call, Long::K(lev.into()), Long::K(0), Long::K(0)),
        }
    }
    fn system_call_vectored(&mut self, level: u32) -> R {
        let next = self.next_address();
        self.leave_by(number::SYSTEM_CALL_VECTORED, next, Long::K(level.into()))
    }
    fn return_from(&mut self, what: ReturnFrom) -> R {
        let stub = match what {
            ReturnFrom::Interrupt => number::RFID,
            ReturnFrom::SystemCallVectored => number::RFSCV,
        };
        let cia = self.cia();
        self.leave_by(stub, cia, Long::K(0))
    }
    fn set_msr(&mut self, value: Long, mask: u64) -> R {
        if mask != system::MTMSR_L1 {
            let next = self.next_address();
            let next = self.value(next);
            self.store_state(next, NIA);
            return self.leave_by(number::SET_MSR, value, Long::K(mask));
        }
        // Neither the mode nor a context depends on it.
        let old = Long::V(self.load_state(I64, MSR));
        let others = self.and(old, Long::K(!mask));
        let these = self.and(value, Long::K(mask));
        let new = self.or(others, these);
        let new = self.value(new);
        self.store_state(new, MSR);
        let (with, without) = (Long::K(PENDING_WITH_EE.into()), Long::K(PENDING_ALWAYS.into()));
        let enabled = self.and(value, Long::K(msr::EE));
        let enabled = self.nonzero(enabled);
        let pending = self.select(enabled, with, without);
        let pending = self.value(pending);
        let pending = self.b.ins().ireduce(I32, pending);
        self.store_state(pending, PENDING_MASK);
        if !matches!(enabled, Bool::K(false)) {
            self.poll(pending);
        }
        Ok(())
    }
    fn read_spr(&mut self, n: u32, old: Long) -> R<Long> {
        if n == spr::CFAR && !self.problem_state() {
            let branched = self.b.ins().sload32(self.env.state, self.env.vcpu, BRANCHED);
            let zero = self.k(0);
            let stands = self.b.ins().icmp(IntCC::SignedLessThan, branched, zero);
            let cfar = self.load_state(I64, CFAR);
            let page = self.load_state(I64, PAGE);
            let branch = self.b.ins().iadd(page, branched);
            return Ok(Long::V(self.b.ins().select(stands, cfar, branch)));
        }
        match plain_to_read(n).filter(|_| !self.problem_state()) {
            Some((at, I32)) => Ok(Long::V(self.b.ins().uload32(self.env.state, self.env.vcpu, at))),
            Some((at, ty)) => Ok(Long::V(self.load_state(ty, at))),
            None => self.try_call(system::read_spr, Long::K(n.into()), old, old),
        }
    }
    fn write_spr(&mut self, n: u32, v: Long) -> R {
        if n == spr::XER {
            for (bit, mask) in XER_PARTS {
                let part = self.and(v, Long::K(mask));
                let part = self.nonzero(part);
                self.set_xer(bit, part);
            }
            let count = self.and(v, Long::K(xer::COUNT));
            let count = self.value(count);
            let count = self.b.ins().ireduce(I8, count);
            self.store_state(count, state(offset_of!(State, xer_count)));
            return Ok(());
        }
        if n == spr::CFAR && !self.problem_state() {
            let v = self.value(v);
            self.store_state(v, CFAR);
            let none = self.b.ins().iconst(I32, i64::from(NOT_BRANCHED));
            self.store_state(none, BRANCHED);
            return Ok(());
        }
        match plain_to_write(n).filter(|_| !self.problem_state()) {
            Some((.., 0)) => Ok(()),
            Some((at, ty, bits)) => {
                let v = self.and(v, Long::K(bits));
                let v = self.value(v);
                let v = if ty == I64 { v } else { self.b.ins().ireduce(ty, v) };
                self.store_state(v, at);
                Ok(())
            }
            None if n == spr::AMR && !self.problem_state() => {
                let next = self.next_address();
                self.leave_by(number::SET_AMR, v, next)
            }
            None => self.context_call(system::write_spr, Long::K(n.into()), v, v),
        }
    }
    fn synchronize(&mut self) {
        // Code that was changed is dropped by mail.
        let mask = self.load_state(I32, PENDING_MASK);
        self.poll(mask);
    }
}
