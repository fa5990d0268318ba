//! Single-precision arithmetic of VMX: to nearest, without exceptions; VSCR\[NJ\] makes zeros of denormals.

use super::{NJ, note_saturation, record_mask, vr, vsr_helper};
use crate::{Fields, R, Sem};
use arith::fp::{Integer, Rounding};
use arith::vmx_estimate as vf;
use std::cmp::Ordering;

macro_rules! floats_ab {
    ($($name:ident: |$a:ident, $b:ident, $nj:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| {
                let ($a, $b, $nj): (u128, u128, bool) = (a, b, vcpu.state.vscr & NJ != 0);
                $f
            });
            super::call(s, helper, i.vrt(), 0, i.vra(), i.vrb())
        }
    )* };
}

floats_ab! {
    vaddfp: |a, b, nj| vf::vaddfp(a, b, nj);
    vsubfp: |a, b, nj| vf::vsubfp(a, b, nj);
    vmaxfp: |a, b, nj| vf::vmaxfp(a, b, nj);
    vminfp: |a, b, nj| vf::vminfp(a, b, nj);
}

macro_rules! floats_b {
    ($($name:ident: |$b:ident, $nj:ident| $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, b, c| {
                let ($b, $nj): (u128, bool) = (b, vcpu.state.vscr & NJ != 0);
                $f
            });
            super::call(s, helper, i.vrt(), 0, i.vrb(), 0)
        }
    )* };
}

floats_b! {
    vrefp: |b, nj| vf::vrefp(b, nj);
    vrsqrtefp: |b, nj| vf::vrsqrtefp(b, nj);
    vexptefp: |b, nj| vf::vexptefp(b, nj);
    vlogefp: |b, nj| vf::vlogefp(b, nj);
    vrfin: |b, nj| vf::vrfi(b, Rounding::NearestEven, nj);
    vrfiz: |b, nj| vf::vrfi(b, Rounding::Zero, nj);
    vrfip: |b, nj| vf::vrfi(b, Rounding::Up, nj);
    vrfim: |b, nj| vf::vrfi(b, Rounding::Down, nj);
}

macro_rules! floats_abc {
    ($($name:ident: $f:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| {
                let f: fn(u128, u128, u128, bool) -> u128 = $f;
                f(a, vcpu.state.vsr[(imm & 63) as usize], b, vcpu.state.vscr & NJ != 0)
            });
            super::call(s, helper, i.vrt(), vr(i.vrc()) as u64, i.vra(), i.vrb())
        }
    )* };
}

floats_abc! {
    vmaddfp: vf::vmaddfp;
    vnmsubfp: vf::vnmsubfp;
}

macro_rules! compares {
    ($($name:ident: |$order:ident| $accept:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, a, b| {
                vf::vcmpfp(a, b, vcpu.state.vscr & NJ != 0, |$order: Ordering| $accept)
            });
            super::call(s, helper, i.vrt(), 0, i.vra(), i.vrb())?;
            if i.rc_vc() {
                let mask = s.vsr(vr(i.vrt()));
                record_mask(s, mask);
            }
            Ok(())
        }
    )* };
}

compares! {
    vcmpeqfp: |order| order == Ordering::Equal;
    vcmpgefp: |order| order != Ordering::Less;
    vcmpgtfp: |order| order == Ordering::Greater;
}

/// `vcmpbfp`: CR6 tells only whether all are within bounds.
pub fn vcmpbfp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| vf::vcmpbfp(a, b, vcpu.state.vscr & NJ != 0));
    super::call(s, helper, i.vrt(), 0, i.vra(), i.vrb())?;
    if i.rc_vc() {
        let v = s.vsr(vr(i.vrt()));
        let (hi, lo) = s.vec_halves(v);
        let any = s.or(hi, lo);
        let (zero, eq) = (s.long(0), s.long(0b0010));
        let within = s.eq(any, zero);
        let field = s.select(within, eq, zero);
        s.set_cr_field(6, field);
    }
    Ok(())
}

/// `vcfsx`
pub fn vcfsx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, b, c| vf::vcfx(b, imm & 31, true));
    super::call(s, helper, i.vrt(), i.uim().into(), i.vrb(), 0)
}

/// `vcfux`
pub fn vcfux<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, b, c| vf::vcfx(b, imm & 31, false));
    super::call(s, helper, i.vrt(), i.uim().into(), i.vrb(), 0)
}

macro_rules! to_integers {
    ($($name:ident: $to:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, imm, old, b, c| {
                let (value, saturated) = vf::vctxs(b, imm & 31, $to, vcpu.state.vscr & NJ != 0);
                note_saturation(vcpu, saturated);
                value
            });
            super::call(s, helper, i.vrt(), i.uim().into(), i.vrb(), 0)
        }
    )* };
}

to_integers! {
    vctsxs: Integer::I32;
    vctuxs: Integer::U32;
}
