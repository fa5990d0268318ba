//! The registers: what is known of them, and what the state in memory must hold.

use super::layout::*;
use super::*;
use crate::stubs::number;
use core::mem::offset_of;
use cranelift_codegen::ir::{
    BlockArg, InstBuilder, Value,
    types::{I8, I64},
};
use sem::{Reg, Sem, XerBit};
use vcpu::translated::{COMPARED, COMPARED_UNSIGNED, Compared};
impl Emit<'_, '_> {
    /// Stores what is not stored yet: the state in memory is current then.
    pub fn flush(&mut self) {
        self.flush_registers();
        self.flush_others();
    }

    /// Whether [`Emit::flush`] would store anything.
    pub(super) fn is_dirty(&self) -> bool {
        let local = &self.local;
        let compared = |c: &Cr| matches!(c, Cr::Compare { stored: false, .. } | Cr::Field { stored: false, .. });
        local.dirty != 0
            || local.ctr_dirty
            || local.lr_dirty
            || local.xer_dirty.contains(&true)
            || local.cr.iter().any(compared)
            || local.deferred.is_dirty()
    }

    /// Stores the general registers and CTR.
    pub fn flush_registers(&mut self) {
        while self.local.dirty != 0 {
            let n = self.local.dirty.trailing_zeros() as usize;
            self.local.dirty &= self.local.dirty - 1;
            let v = self.gpr(n);
            let v = self.value(v);
            self.store_state(v, gpr_offset(n));
        }
        if std::mem::take(&mut self.local.ctr_dirty) {
            let v = self.reg(Reg::Ctr);
            let v = self.value(v);
            self.store_state(v, CTR);
        }
    }

    /// Stores LR, XER and CR, and what FPSCR is to hear of.
    pub fn flush_others(&mut self) {
        self.flush_deferred();
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

    /// What may be kept in variables and differ from the state where a block begins.
    pub fn set_dirty(&mut self, dirty: Registers) {
        self.local.dirty = dirty.gpr;
        self.local.ctr_dirty = dirty.ctr;
    }

    /// Translates what is beside the line: nothing that is made there is known behind it.
    pub(super) fn aside<T>(&mut self, f: impl FnOnce(&mut Self) -> T) -> T {
        let known = self.local.clone();
        let r = f(self);
        self.local = known;
        r
    }

    /// VSR `n` is another now.
    pub(super) fn forget_vsr(&mut self, n: usize) {
        self.local.vsr.remove(&n);
        self.local.high.remove(&n);
        self.local.double.remove(&n);
    }

    /// A helper may have changed everything but general registers, LR and CTR.
    pub(super) fn forget(&mut self) {
        self.local.cr = [Cr::Unknown; 8];
        self.local.xer = [None; 5];
        self.local.vsr.clear();
        self.local.high.clear();
        self.local.double.clear();
        self.local.deferred = float::Deferred::default();
        self.local.other_fpscr = None;
        self.local.pages.clear();
    }

    /// Makes a field of the state's condition register canonical that nobody knows better. One byte is looked at: a wider
    /// read would wait for the byte that was written just before.
    pub(super) fn settle_field(&mut self, n: usize) {
        let field = self.b.ins().uload8(I64, self.env.state, self.env.vcpu, CRF + n as i32);
        let mask = self.k(COMPARED.into());
        let kept = self.b.ins().band(field, mask);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        let settled = self.b.append_block_param(on, I64);
        self.b.set_cold_block(cold);
        self.b.ins().brif(kept, cold, &[], on, &[BlockArg::Value(field)]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        self.aside(|s| {
            let field = s.made_canonical(n, field);
            let byte = s.b.ins().ireduce(I8, field);
            s.store_state(byte, CRF + n as i32);
            s.b.ins().jump(on, &[BlockArg::Value(field)]);
        });
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        self.local.cr[n] = Cr::Field { v: settled, stored: true };
    }

    /// The four bits of a field that the state keeps as operands, with tag `tag`.
    pub(super) fn made_canonical(&mut self, n: usize, tag: Value) -> Value {
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
    pub(super) fn condition(&mut self, signed: bool, a: Long, b: Long) -> Long {
        let less = if signed { self.lts(a, b) } else { self.ltu(a, b) };
        let greater = if signed { self.lts(b, a) } else { self.ltu(b, a) };
        let rest = self.select(greater, Long::K(4), Long::K(2));
        let v = self.select(less, Long::K(8), rest);
        let so = self.xer(XerBit::So);
        let so = self.one_if(so);
        self.or(v, so)
    }

    pub(super) fn call_settle(&mut self) {
        let stub = self.stub(if self.env.vectors { number::SETTLE_VECTORS } else { number::SETTLE });
        self.b.ins().call_indirect(self.env.signatures.kept, stub, &[]);
    }

    /// The four bits of a field, as I64.
    pub(super) fn field(&mut self, n: usize) -> Value {
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
}
