//! Book I chapter 6: the vector facility (VMX), and the instructions of 3.0 and 3.1 that are coded among its.
//!
//! VR `n` is VSR `32 + n`. What engines can do well in line is said with [`VecOp`]; the rest are values
//! computed by plain functions, which the macros below wrap in helpers that take register numbers.

mod bits;
mod crypto;
mod float;
mod integer;
mod memory;
mod multiply;
mod permute;
mod quad;

pub use bits::*;
pub use crypto::*;
pub use float::*;
pub use integer::*;
pub use memory::*;
pub use multiply::*;
pub use permute::*;
pub use quad::*;

use crate::{Fields, R, Sem, Vcpu, VecOp};

/// VSCR\[NJ\]: denormals are zeros.
const NJ: u32 = 1 << 16;
/// VSCR\[SAT\]: something saturated, sticky.
const SAT: u32 = 1;

/// VSR number of a VR.
const fn vr(n: usize) -> usize {
    32 + n
}

/// `VRT = op(VRA, VRB)`
#[inline(always)]
fn op_ab<S: Sem, I: Fields>(s: &mut S, i: I, op: VecOp) -> R {
    let a = s.vsr(vr(i.vra()));
    let b = s.vsr(vr(i.vrb()));
    let v = s.vec_op(op, a, b);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

/// `VRT = op(VRB)`
#[inline(always)]
fn op_b<S: Sem, I: Fields>(s: &mut S, i: I, op: VecOp) -> R {
    let b = s.vsr(vr(i.vrb()));
    let v = s.vec_op(op, b, b);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

/// Rows that are one [`VecOp`] on VRA and VRB.
macro_rules! vec_ops {
    ($($name:ident: $op:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            crate::vmx::op_ab(s, i, $op)
        }
    )* };
}

/// Rows that are one [`VecOp`] on VRB.
macro_rules! vec_ops_b {
    ($($name:ident: $op:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            crate::vmx::op_b(s, i, $op)
        }
    )* };
}

/// A helper whose arguments are VSR numbers, `tag` holding the target's and, above it, an immediate.
macro_rules! vsr_helper {
    ($name:ident, |$vcpu:ident, $imm:ident, $old:ident, $b:ident, $c:ident| $value:expr) => {
        extern "C" fn $name($vcpu: &mut crate::Vcpu, tag: u64, b: u64, c: u64) -> u64 {
            let t = (tag & 63) as usize;
            #[allow(unused_variables)]
            let $imm = (tag >> 8) as u32;
            #[allow(unused_variables)]
            let ($old, $b, $c) =
                ($vcpu.state.vsr[t], $vcpu.state.vsr[(b & 63) as usize], $vcpu.state.vsr[(c & 63) as usize]);
            let value = $value;
            $vcpu.state.vsr[t] = value;
            0
        }
    };
}

/// Rows that are a function of VRA and VRB, in a helper.
macro_rules! helpers_ab {
    ($($name:ident: |$a:ident, $b:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| { let ($a, $b): (u128, u128) = (a, b); $f });
            crate::vmx::call(s, helper, i.vrt(), 0, i.vra(), i.vrb())
        }
    )* };
}

/// Rows that are a function of VRA and VRB which may saturate: it sets the third operand if so.
macro_rules! helpers_ab_sat {
    ($($name:ident: |$a:ident, $b:ident, $sat:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| {
                let ($a, $b): (u128, u128) = (a, b);
                let mut saturated = false;
                let value = { let $sat = &mut saturated; $f };
                crate::vmx::note_saturation(vcpu, saturated);
                value
            });
            crate::vmx::call(s, helper, i.vrt(), 0, i.vra(), i.vrb())
        }
    )* };
}

/// Rows that are a function of VRT's old value, VRA and VRB.
macro_rules! helpers_tab {
    ($($name:ident: |$t:ident, $a:ident, $b:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| { let ($t, $a, $b): (u128, u128, u128) = (old, a, b); $f });
            crate::vmx::call(s, helper, i.vrt(), 0, i.vra(), i.vrb())
        }
    )* };
}

/// Rows that are a function of VRB.
macro_rules! helpers_b {
    ($($name:ident: |$b:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| { let $b: u128 = a; $f });
            crate::vmx::call(s, helper, i.vrt(), 0, i.vrb(), 0)
        }
    )* };
}

/// Rows that are a function of VRA, VRB and VRC, which may saturate: it sets the fourth operand if so.
macro_rules! helpers_abc {
    ($($name:ident: |$a:ident, $b:ident, $c:ident, $sat:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| {
                let ($a, $b): (u128, u128) = (a, b);
                let $c: u128 = vcpu.state.vsr[(imm & 63) as usize];
                #[allow(unused_mut)]
                let mut saturated = false;
                let value = { #[allow(unused_variables)] let $sat = &mut saturated; $f };
                crate::vmx::note_saturation(vcpu, saturated);
                value
            });
            crate::vmx::call(s, helper, i.vrt(), crate::vmx::vr(i.vrc()) as u64, i.vra(), i.vrb())
        }
    )* };
}

pub(crate) use {helpers_ab, helpers_ab_sat, helpers_abc, helpers_b, helpers_tab, vec_ops, vec_ops_b, vsr_helper};

/// Calls a [`vsr_helper`] on VRs.
#[inline(always)]
fn call<S: Sem>(s: &mut S, f: crate::Helper, t: usize, imm: u64, a: usize, b: usize) -> R {
    let (a, b) = (s.long(vr(a) as u64), s.long(vr(b) as u64));
    s.call_vsr(f, vr(t) as u64 | imm << 8, a, b);
    Ok(())
}

/// Sets VSCR\[SAT\] if something saturated.
#[inline(always)]
pub(crate) fn note_saturation(vcpu: &mut Vcpu, saturated: bool) {
    if saturated {
        vcpu.state.vscr |= SAT;
    }
}

/// Sets CR field 6 from the mask that a vector compare gave: all true, none true.
fn record_mask<S: Sem>(s: &mut S, mask: S::Vec) {
    let (hi, lo) = s.vec_halves(mask);
    let all = s.and(hi, lo);
    let any = s.or(hi, lo);
    let (ones, zero) = (s.long(u64::MAX), s.long(0));
    let all = s.eq(all, ones);
    let none = s.eq(any, zero);
    let (lt, eq) = (s.long(0b1000), s.long(0b0010));
    let eq = s.select(none, eq, zero);
    let field = s.select(all, lt, eq);
    s.set_cr_field(6, field);
}

/// `mfvscr`
pub fn mfvscr<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, b, c| u128::from(vcpu.state.vscr));
    call(s, helper, i.vrt(), 0, 0, 0)
}

/// `mtvscr`: only NJ and SAT exist.
pub fn mtvscr<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extern "C" fn helper(vcpu: &mut Vcpu, b: u64, _: u64, _: u64) -> u64 {
        vcpu.state.vscr = vcpu.state.vsr[(b & 63) as usize] as u32 & (NJ | SAT);
        0
    }
    let b = s.long(vr(i.vrb()) as u64);
    s.call(helper, b, b, b);
    Ok(())
}
