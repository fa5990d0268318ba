//! [`Exec`]: the [`Sem`] trait on values. `Bool` is `bool`, `Long` is `u64`, `Vec` is `u128`.

use crate::blocks::{OPERATION_BYTES, Operation};
use isa::IsaLevel;
use memory::radix::Access;
use sem::{Fallible, Fence, Helper, Reg, Sem, Target, VecOp, Width, XerBit};
use vcpu::context::mode;
use vcpu::{Link, R, Stop, Vcpu};

/// One instruction being executed.
///
/// `LEAF`: the attempt that almost always succeeds, in a little-endian 64-bit block, and which calls nothing, so that
/// the handler saves no registers. Where it would have to (a TLB miss, an interrupt, a helper that can fail), it stops with
/// nothing written, and the handler runs the instruction again without `LEAF`.
#[derive(Debug)]
pub struct Exec<'a, const LEAF: bool = false> {
    /// The vCPU.
    pub v: &'a mut Vcpu,
    /// The operation, inside its block.
    pub op: &'a Operation,
    /// A branch was taken.
    pub taken: bool,
}

/// Compares as `compare_signed` does.
#[inline(always)]
fn condition(less: bool, greater: bool, so: bool) -> u8 {
    (if less {
        8
    } else if greater {
        4
    } else {
        2
    }) | u8::from(so)
}

impl<'a, const LEAF: bool> Exec<'a, LEAF> {
    /// `op` of the block that [`Vcpu::cursor`] names.
    #[inline(always)]
    pub fn new(v: &'a mut Vcpu, op: &'a Operation) -> Self {
        Exec { v, op, taken: false }
    }

    /// Number of the instruction within its block.
    #[inline(always)]
    fn number(&self) -> usize {
        (std::ptr::from_ref(self.op) as usize - self.v.cursor.operations) / OPERATION_BYTES
    }

    #[inline(always)]
    fn address(&self) -> u64 {
        self.wrap(self.v.cursor.ea.wrapping_add(4 * self.number() as u64))
    }

    #[inline(always)]
    fn wrap(&self, ea: u64) -> u64 {
        if LEAF { ea } else { self.v.wrap_ea(ea) }
    }

    /// Makes `cia` and the count true, for whoever looks at them.
    #[inline(always)]
    pub(crate) fn settle(&mut self) {
        let n = self.number();
        self.v.cia = self.v.cursor.ea.wrapping_add(4 * n as u64);
        self.v.ahead = self.v.cursor.len - n as i64;
    }

    #[inline(always)]
    fn take(&mut self, target: Target<u64>) {
        let cia = self.address();
        let nia = match target {
            Target::Relative(d) => {
                self.v.link = Link::Operation;
                cia.wrapping_add(d as u64)
            }
            Target::Absolute(a) => {
                self.v.link = Link::None;
                a
            }
            Target::Indirect(a) => {
                self.v.link = Link::None;
                a
            }
        };
        self.taken = true;
        self.v.state.cfar = cia;
        self.v.state.nia = self.wrap(nia);
    }
}

impl<const LEAF: bool> Sem for Exec<'_, LEAF> {
    type Bool = bool;
    type Long = u64;
    type Vec = u128;

    #[inline(always)]
    fn mode_64(&self) -> bool {
        LEAF || self.v.mode & mode::SF != 0
    }
    #[inline(always)]
    fn problem_state(&self) -> bool {
        self.v.mode & mode::PR != 0
    }
    #[inline(always)]
    fn little_endian(&self) -> bool {
        LEAF || self.v.little_endian()
    }
    #[inline(always)]
    fn level(&self) -> IsaLevel {
        self.v.level()
    }

    #[inline(always)]
    fn long(&mut self, v: u64) -> u64 {
        v
    }
    #[inline(always)]
    fn add(&mut self, a: u64, b: u64) -> u64 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn sub(&mut self, a: u64, b: u64) -> u64 {
        a.wrapping_sub(b)
    }
    #[inline(always)]
    fn mul(&mut self, a: u64, b: u64) -> u64 {
        a.wrapping_mul(b)
    }
    #[inline(always)]
    fn mulhu(&mut self, a: u64, b: u64) -> u64 {
        ((u128::from(a) * u128::from(b)) >> 64) as u64
    }
    #[inline(always)]
    fn mulhs(&mut self, a: u64, b: u64) -> u64 {
        ((i128::from(a as i64) * i128::from(b as i64)) >> 64) as u64
    }
    #[inline(always)]
    fn divu(&mut self, a: u64, b: u64) -> u64 {
        a.checked_div(b).unwrap_or(0)
    }
    #[inline(always)]
    fn divs(&mut self, a: u64, b: u64) -> u64 {
        (a as i64).checked_div(b as i64).unwrap_or(0) as u64
    }
    #[inline(always)]
    fn remu(&mut self, a: u64, b: u64) -> u64 {
        a.checked_rem(b).unwrap_or(0)
    }
    #[inline(always)]
    fn rems(&mut self, a: u64, b: u64) -> u64 {
        (a as i64).checked_rem(b as i64).unwrap_or(0) as u64
    }
    #[inline(always)]
    fn and(&mut self, a: u64, b: u64) -> u64 {
        a & b
    }
    #[inline(always)]
    fn or(&mut self, a: u64, b: u64) -> u64 {
        a | b
    }
    #[inline(always)]
    fn xor(&mut self, a: u64, b: u64) -> u64 {
        a ^ b
    }
    #[inline(always)]
    fn not(&mut self, a: u64) -> u64 {
        !a
    }
    #[inline(always)]
    fn shl(&mut self, a: u64, n: u64) -> u64 {
        a.wrapping_shl(n as u32)
    }
    #[inline(always)]
    fn shr(&mut self, a: u64, n: u64) -> u64 {
        a.wrapping_shr(n as u32)
    }
    #[inline(always)]
    fn sar(&mut self, a: u64, n: u64) -> u64 {
        (a as i64).wrapping_shr(n as u32) as u64
    }
    #[inline(always)]
    fn rotl(&mut self, a: u64, n: u64) -> u64 {
        a.rotate_left(n as u32 & 63)
    }
    #[inline(always)]
    fn rotl32(&mut self, a: u64, n: u64) -> u64 {
        u64::from((a as u32).rotate_left(n as u32 & 31))
    }
    #[inline(always)]
    fn clz(&mut self, a: u64) -> u64 {
        u64::from(a.leading_zeros())
    }
    #[inline(always)]
    fn ctz(&mut self, a: u64) -> u64 {
        u64::from(a.trailing_zeros())
    }
    #[inline(always)]
    fn popcnt(&mut self, a: u64) -> u64 {
        u64::from(a.count_ones())
    }
    #[inline(always)]
    fn bswap(&mut self, a: u64) -> u64 {
        a.swap_bytes()
    }
    #[inline(always)]
    fn zext(&mut self, a: u64, bits: u32) -> u64 {
        a << (64 - bits) >> (64 - bits)
    }
    #[inline(always)]
    fn sext(&mut self, a: u64, bits: u32) -> u64 {
        ((a << (64 - bits)) as i64 >> (64 - bits)) as u64
    }

    #[inline(always)]
    fn bool(&mut self, b: bool) -> bool {
        b
    }
    #[inline(always)]
    fn eq(&mut self, a: u64, b: u64) -> bool {
        a == b
    }
    #[inline(always)]
    fn ltu(&mut self, a: u64, b: u64) -> bool {
        a < b
    }
    #[inline(always)]
    fn lts(&mut self, a: u64, b: u64) -> bool {
        (a as i64) < b as i64
    }
    #[inline(always)]
    fn both(&mut self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn either(&mut self, a: bool, b: bool) -> bool {
        a | b
    }
    #[inline(always)]
    fn differ(&mut self, a: bool, b: bool) -> bool {
        a ^ b
    }
    #[inline(always)]
    fn is_not(&mut self, a: bool) -> bool {
        !a
    }
    #[inline(always)]
    fn select(&mut self, c: bool, a: u64, b: u64) -> u64 {
        if c { a } else { b }
    }
    #[inline(always)]
    fn one_if(&mut self, b: bool) -> u64 {
        u64::from(b)
    }
    #[inline(always)]
    fn if_(&mut self, c: bool, then: impl FnOnce(&mut Self) -> R) -> R {
        if c { then(self) } else { Ok(()) }
    }

    // Register numbers come from fields of five (or six) bits; the mask tells the compiler so.
    #[inline(always)]
    fn gpr(&mut self, n: usize) -> u64 {
        self.v.state.gpr[n & 31]
    }
    #[inline(always)]
    fn set_gpr(&mut self, n: usize, v: u64) {
        self.v.state.gpr[n & 31] = v;
    }
    #[inline(always)]
    fn reg(&mut self, r: Reg) -> u64 {
        match r {
            Reg::Lr => self.v.state.lr,
            Reg::Ctr => self.v.state.ctr,
            Reg::Tar => self.v.state.spr.tar,
        }
    }
    #[inline(always)]
    fn set_reg(&mut self, r: Reg, v: u64) {
        match r {
            Reg::Lr => self.v.state.lr = v,
            Reg::Ctr => self.v.state.ctr = v,
            Reg::Tar => self.v.state.spr.tar = v,
        }
    }
    #[inline(always)]
    fn xer(&mut self, b: XerBit) -> bool {
        let s = &self.v.state;
        match b {
            XerBit::So => s.so,
            XerBit::Ov => s.ov,
            XerBit::Ov32 => s.ov32,
            XerBit::Ca => s.ca,
            XerBit::Ca32 => s.ca32,
        }
    }
    #[inline(always)]
    fn set_xer(&mut self, b: XerBit, v: bool) {
        let s = &mut self.v.state;
        match b {
            XerBit::So => s.so = v,
            XerBit::Ov => s.ov = v,
            XerBit::Ov32 => s.ov32 = v,
            XerBit::Ca => s.ca = v,
            XerBit::Ca32 => s.ca32 = v,
        }
    }
    #[inline(always)]
    fn cr_bit(&mut self, n: usize) -> bool {
        self.v.state.crf[n >> 2 & 7] >> (3 - (n & 3)) & 1 != 0
    }
    #[inline(always)]
    fn set_cr_bit(&mut self, n: usize, v: bool) {
        let field = &mut self.v.state.crf[n >> 2 & 7];
        let shift = 3 - (n & 3);
        *field = *field & !(1 << shift) | u8::from(v) << shift;
    }
    #[inline(always)]
    fn cr_field(&mut self, n: usize) -> u64 {
        u64::from(self.v.state.crf[n & 7])
    }
    #[inline(always)]
    fn set_cr_field(&mut self, n: usize, v: u64) {
        self.v.state.crf[n & 7] = v as u8 & 15;
    }
    #[inline(always)]
    fn compare_signed(&mut self, n: usize, a: u64, b: u64) {
        let (a, b) = (a as i64, b as i64);
        self.v.state.crf[n & 7] = condition(a < b, a > b, self.v.state.so);
    }
    #[inline(always)]
    fn compare_unsigned(&mut self, n: usize, a: u64, b: u64) {
        self.v.state.crf[n & 7] = condition(a < b, a > b, self.v.state.so);
    }
    #[inline(always)]
    fn vsr(&mut self, n: usize) -> u128 {
        self.v.state.vsr[n & 63]
    }
    #[inline(always)]
    fn set_vsr(&mut self, n: usize, v: u128) {
        self.v.state.vsr[n & 63] = v;
    }
    #[inline(always)]
    fn vsr_hi(&mut self, n: usize) -> u64 {
        (self.v.state.vsr[n & 63] >> 64) as u64
    }
    #[inline(always)]
    fn set_vsr_pair(&mut self, n: usize, hi: u64, lo: u64) {
        self.v.state.vsr[n & 63] = u128::from(hi) << 64 | u128::from(lo);
    }
    #[inline(always)]
    fn vec_halves(&mut self, v: u128) -> (u64, u64) {
        ((v >> 64) as u64, v as u64)
    }
    #[inline(always)]
    fn vec_from_halves(&mut self, hi: u64, lo: u64) -> u128 {
        u128::from(hi) << 64 | u128::from(lo)
    }
    #[inline(always)]
    fn vec_const(&mut self, v: u128) -> u128 {
        v
    }
    #[inline(always)]
    fn vec_op(&mut self, op: VecOp, a: u128, b: u128) -> u128 {
        sem::vec_value::vec_op_value(op, a, b)
    }

    #[inline(always)]
    fn load(&mut self, ea: u64, width: Width) -> R<u64> {
        if LEAF {
            return self.v.load_hit_little(ea, width.bytes()).ok_or(Stop);
        }
        match self.v.load_hit(ea, width.bytes()) {
            Some(value) => Ok(value),
            None => {
                self.settle();
                self.v.load_slow(ea, width.bytes())
            }
        }
    }
    #[inline(always)]
    fn store(&mut self, ea: u64, width: Width, v: u64) -> R {
        if LEAF {
            return if self.v.store_hit_little(ea, width.bytes(), v) { Ok(()) } else { Err(Stop) };
        }
        if self.v.store_hit(ea, width.bytes(), v) {
            return Ok(());
        }
        self.settle();
        self.v.store_slow(ea, width.bytes(), v)
    }
    #[inline]
    fn load_quad(&mut self, ea: u64) -> R<u128> {
        if LEAF {
            return Err(Stop);
        }
        self.settle();
        self.v.load_quad(ea)
    }
    #[inline]
    fn store_quad(&mut self, ea: u64, v: u128) -> R {
        if LEAF {
            return Err(Stop);
        }
        self.settle();
        self.v.store_quad(ea, v)
    }
    #[inline]
    fn probe(&mut self, ea: u64, bytes: u64, store: bool) -> R {
        if LEAF {
            return Err(Stop);
        }
        self.settle();
        self.v.probe(ea, bytes, if store { Access::Store } else { Access::Load })
    }
    #[inline(always)]
    fn fence(&mut self, f: Fence) {
        match f {
            Fence::Full => memory::access::full_fence(),
            Fence::Light => std::sync::atomic::compiler_fence(std::sync::atomic::Ordering::SeqCst),
        }
    }

    #[inline(always)]
    fn cia(&mut self) -> u64 {
        self.address()
    }
    #[inline(always)]
    fn branch(&mut self, target: Target<u64>) {
        self.take(target);
    }
    #[inline(always)]
    fn branch_if(&mut self, c: bool, target: Target<u64>) {
        if c {
            self.take(target);
        }
    }
    #[inline(always)]
    fn program_if(&mut self, c: bool, cause: u64) -> R {
        if c { self.program(cause) } else { Ok(()) }
    }
    #[inline(always)]
    fn program(&mut self, cause: u64) -> R {
        if LEAF {
            return Err(Stop);
        }
        self.settle();
        self.v.raise_program(cause)
    }

    #[inline(always)]
    fn call(&mut self, f: Helper, a: u64, b: u64, c: u64) -> u64 {
        f(self.v, a, b, c)
    }
    #[inline(always)]
    fn try_call(&mut self, f: Fallible, a: u64, b: u64, c: u64) -> R<u64> {
        if LEAF {
            return Err(Stop);
        }
        self.settle();
        if f(self.v, a, b, c) { Ok(self.v.result) } else { Err(Stop) }
    }
    #[inline(always)]
    fn context_call(&mut self, f: Fallible, a: u64, b: u64, c: u64) -> R {
        // `nia` was set to the next instruction and `link` to `None` before the row began.
        self.try_call(f, a, b, c).map(|_| ())
    }
}
