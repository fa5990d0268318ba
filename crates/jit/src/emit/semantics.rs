//! [`Sem`] for [`Emit`].

use super::layout::*;
use super::*;
use crate::stubs::number;
use crate::{hooks, vector};
use cranelift_codegen::ir::condcodes::{CondCode, IntCC};
use cranelift_codegen::ir::{
    InstBuilder, Value,
    types::{I8, I8X16, I32, I64},
};
use isa::IsaLevel;
use sem::float::{Arithmetic, Elements};
use sem::mma::OuterProduct;
use sem::system_helpers as system;
use sem::{Fallible, Fence, Helper, Lane, Reg, ReturnFrom, Sem, Target, VecOp, Width, XerBit};
use vcpu::context::mode;
use vcpu::{R, Stop};
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
    fn and(&mut self, a: Long, b: Long) -> Long {
        self.and_or(a, b, u64::MAX, |x, y| x & y, |s, a, b| s.b.ins().band(a, b))
    }
    fn or(&mut self, a: Long, b: Long) -> Long {
        self.and_or(a, b, 0, |x, y| x | y, |s, a, b| s.b.ins().bor(a, b))
    }
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
        let v = Long::V(if self.kept.gpr >> n & 1 != 0 {
            self.b.use_var(self.env.gpr[n])
        } else {
            self.load_state(I64, gpr_offset(n))
        });
        self.local.gpr[n] = Some(v);
        v
    }
    fn set_gpr(&mut self, n: usize, v: Long) {
        self.local.gpr[n] = Some(v);
        self.local.dirty |= 1 << n;
        if self.kept.gpr >> n & 1 != 0 {
            let v = self.value(v);
            self.b.def_var(self.env.gpr[n], v);
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
                let v = Long::V(if self.kept.ctr { self.b.use_var(self.env.ctr) } else { self.load_state(I64, CTR) });
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
                if self.kept.ctr {
                    let v = self.value(v);
                    self.b.def_var(self.env.ctr, v);
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
        self.forget_vsr(n);
        self.store_state(v, vsr_offset(n));
        self.local.vsr.insert(n, v);
    }
    fn vsr_hi(&mut self, n: usize) -> Long {
        Long::V(self.high(n))
    }
    fn set_vsr_pair(&mut self, n: usize, hi: Long, lo: Long) {
        let (hi, lo) = (self.value(hi), self.value(lo));
        self.store_state(lo, vsr_offset(n));
        self.store_state(hi, vsr_offset(n) + 8);
        self.forget_vsr(n);
        self.local.high.insert(n, hi);
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
        self.load_value(ea, width)
    }
    fn store(&mut self, ea: Long, width: Width, v: Long) -> R {
        self.store_value(ea, width, v)
    }
    fn load_quad(&mut self, ea: Long) -> R<Value> {
        let (host, at) = self.host(ea, 16, None);
        let v = self.b.ins().load(I8X16, self.env.guest, host, at);
        Ok(if self.swapped() { self.vec_op(VecOp::ReverseBytes(Lane::Q), v, v) } else { v })
    }
    fn store_quad(&mut self, ea: Long, v: Value) -> R {
        let v = if self.swapped() { self.vec_op(VecOp::ReverseBytes(Lane::Q), v, v) } else { v };
        let (host, at) = self.host(ea, 16, Some(v));
        self.b.ins().store(self.env.guest, v, host, at);
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
    fn wait_for_invalidations(&mut self) -> R {
        self.leave_if_unacknowledged();
        Ok(())
    }
    fn zero_block(&mut self, ea: Long, bytes: u64) -> R {
        self.write_zeros(ea, bytes)
    }
    fn load_and_reserve(&mut self, ea: Long, width: Width) -> R<Long> {
        self.load_reserved(ea, width)
    }
    fn store_conditional(&mut self, ea: Long, width: Width, v: Long) -> R<Long> {
        self.store_reserved(ea, width, v)
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
        if !self.defers {
            self.flush_registers();
        }
        let c = self.truth(c);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        self.b.ins().brif(c, cold, &[], on, &[]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        self.aside(|s| {
            s.flush();
            s.fallible_call(hooks::program, Long::K(cause), Long::K(0), Long::K(0));
        });
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
        self.flush_deferred();
        self.plain_call(f, Long::K(tag), b, c);
        self.local.deferred = float::Deferred::default();
        self.forget_vsr(tag as usize & 63);
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
        self.local.deferred = float::Deferred::default();
        self.forget_vsr(tag as usize & 63);
        Ok(r)
    }
    fn double_from_single(&mut self, word: Long) -> Long {
        self.widened(word)
    }
    fn single_from_double(&mut self, v: Long) -> Long {
        self.narrowed(v)
    }
    fn arithmetic(&mut self, what: Arithmetic, f: Fallible, tag: u64) -> R {
        self.float(false, what, f, tag)
    }
    fn vector_arithmetic(&mut self, what: Arithmetic, f: Fallible, tag: u64) -> R {
        self.float(true, what, f, tag)
    }
    fn compare_doubles(&mut self, x: usize, y: usize, f: Fallible, tag: u64, field: u64) -> R<Long> {
        self.float_compare(x, y, f, tag, field)
    }
    fn compare_elements(&mut self, what: Elements, f: Fallible, tag: u64) -> R<Long> {
        self.float_elements(what, f, tag)
    }
    fn outer_product(&mut self, what: OuterProduct, f: Fallible) -> R {
        self.outer(what, f)
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
        self.write_msr(value, mask)
    }
    fn read_spr(&mut self, n: u32, old: Long) -> R<Long> {
        self.special(n, old)
    }
    fn write_spr(&mut self, n: u32, v: Long) -> R {
        self.set_special(n, v)
    }
    fn synchronize(&mut self) {
        // Code that was changed is dropped by mail.
        self.poll_behind();
    }
}
