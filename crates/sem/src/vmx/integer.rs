//! Lane-wise integer arithmetic, logic, compares, minima, maxima, shifts and rotates.

use super::{helpers_ab, helpers_ab_sat, helpers_b, helpers_tab, record_mask, vec_ops, vec_ops_b, vr, vsr_helper};
use crate::Lane::{B, D, H, Q, W};
use crate::vec_value::{Element, vec_op_value};
use crate::{Fields, Lane, R, Sem, VecOp};

vec_ops! {
    vand: VecOp::And;
    vandc: VecOp::Andc;
    vorc: VecOp::Orc;
    vnor: VecOp::Nor;
    vnand: VecOp::Nand;
    veqv: VecOp::Eqv;
    vxor: VecOp::Xor;
    vor: VecOp::Or;
    vaddubm: VecOp::Add(B);
    vadduhm: VecOp::Add(H);
    vadduwm: VecOp::Add(W);
    vaddudm: VecOp::Add(D);
    vadduqm: VecOp::Add(Q);
    vsububm: VecOp::Sub(B);
    vsubuhm: VecOp::Sub(H);
    vsubuwm: VecOp::Sub(W);
    vsubudm: VecOp::Sub(D);
    vsubuqm: VecOp::Sub(Q);
    vmaxub: VecOp::MaxUnsigned(B);
    vmaxuh: VecOp::MaxUnsigned(H);
    vmaxuw: VecOp::MaxUnsigned(W);
    vmaxud: VecOp::MaxUnsigned(D);
    vmaxsb: VecOp::MaxSigned(B);
    vmaxsh: VecOp::MaxSigned(H);
    vmaxsw: VecOp::MaxSigned(W);
    vmaxsd: VecOp::MaxSigned(D);
    vminub: VecOp::MinUnsigned(B);
    vminuh: VecOp::MinUnsigned(H);
    vminuw: VecOp::MinUnsigned(W);
    vminud: VecOp::MinUnsigned(D);
    vminsb: VecOp::MinSigned(B);
    vminsh: VecOp::MinSigned(H);
    vminsw: VecOp::MinSigned(W);
    vminsd: VecOp::MinSigned(D);
    vavgub: VecOp::AverageUnsigned(B);
    vavguh: VecOp::AverageUnsigned(H);
    vavguw: VecOp::AverageUnsigned(W);
    vavgsb: VecOp::AverageSigned(B);
    vavgsh: VecOp::AverageSigned(H);
    vavgsw: VecOp::AverageSigned(W);
    vabsdub: VecOp::AbsoluteDifference(B);
    vabsduh: VecOp::AbsoluteDifference(H);
    vabsduw: VecOp::AbsoluteDifference(W);
    vrlb: VecOp::RotateLeft(B);
    vrlh: VecOp::RotateLeft(H);
    vrlw: VecOp::RotateLeft(W);
    vrld: VecOp::RotateLeft(D);
    vslb: VecOp::ShiftLeft(B);
    vslh: VecOp::ShiftLeft(H);
    vslw: VecOp::ShiftLeft(W);
    vsld: VecOp::ShiftLeft(D);
    vsrb: VecOp::ShiftRight(B);
    vsrh: VecOp::ShiftRight(H);
    vsrw: VecOp::ShiftRight(W);
    vsrd: VecOp::ShiftRight(D);
    vsrab: VecOp::ShiftRightAlgebraic(B);
    vsrah: VecOp::ShiftRightAlgebraic(H);
    vsraw: VecOp::ShiftRightAlgebraic(W);
    vsrad: VecOp::ShiftRightAlgebraic(D);
    vmuluwm: VecOp::Mul(W);
    vmulld: VecOp::Mul(D);
}

vec_ops_b! {
    vclzb: VecOp::LeadingZeros(B);
    vclzh: VecOp::LeadingZeros(H);
    vclzw: VecOp::LeadingZeros(W);
    vclzd: VecOp::LeadingZeros(D);
    vctzb: VecOp::TrailingZeros(B);
    vctzh: VecOp::TrailingZeros(H);
    vctzw: VecOp::TrailingZeros(W);
    vctzd: VecOp::TrailingZeros(D);
    vpopcntb: VecOp::Ones(B);
    vpopcnth: VecOp::Ones(H);
    vpopcntw: VecOp::Ones(W);
    vpopcntd: VecOp::Ones(D);
}

// --- quadword shifts and rotates: the count stands in the low bits of VRB's doubleword 0 ---

fn quad_shift<S: Sem, I: Fields>(s: &mut S, i: I, op: VecOp) -> R {
    let a = s.vsr(vr(i.vra()));
    let count = s.vsr_hi(vr(i.vrb()));
    let count = s.vec_from_halves(count, count);
    let v = s.vec_op(op, a, count);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

/// `vrlq`
pub fn vrlq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    quad_shift(s, i, VecOp::RotateLeft(Q))
}

/// `vslq`
pub fn vslq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    quad_shift(s, i, VecOp::ShiftLeft(Q))
}

/// `vsrq`
pub fn vsrq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    quad_shift(s, i, VecOp::ShiftRight(Q))
}

/// `vsraq`
pub fn vsraq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    quad_shift(s, i, VecOp::ShiftRightAlgebraic(Q))
}

// --- negation and sign extension ---

/// `vnegw`
pub fn vnegw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    negate(s, i, W)
}

/// `vnegd`
pub fn vnegd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    negate(s, i, D)
}

fn negate<S: Sem, I: Fields>(s: &mut S, i: I, lane: Lane) -> R {
    let zero = s.vec_const(0);
    let b = s.vsr(vr(i.vrb()));
    let v = s.vec_op(VecOp::Sub(lane), zero, b);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

/// Extends the low bits of each lane: up by the rest of the lane, and down again with the sign.
fn extend<S: Sem, I: Fields>(s: &mut S, i: I, lane: Lane, up: u128) -> R {
    let count = s.vec_const(up);
    let b = s.vsr(vr(i.vrb()));
    let v = s.vec_op(VecOp::ShiftLeft(lane), b, count);
    let v = s.vec_op(VecOp::ShiftRightAlgebraic(lane), v, count);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

const fn words(n: u32) -> u128 {
    n as u128 * 0x0000_0001_0000_0001_0000_0001_0000_0001
}

const fn doublewords(n: u64) -> u128 {
    n as u128 * 0x0000_0000_0000_0001_0000_0000_0000_0001
}

/// `vextsb2w`
pub fn vextsb2w<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extend(s, i, W, words(24))
}

/// `vextsh2w`
pub fn vextsh2w<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extend(s, i, W, words(16))
}

/// `vextsb2d`
pub fn vextsb2d<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extend(s, i, D, doublewords(56))
}

/// `vextsh2d`
pub fn vextsh2d<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extend(s, i, D, doublewords(48))
}

/// `vextsw2d`
pub fn vextsw2d<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extend(s, i, D, doublewords(32))
}

/// `vextsd2q`
pub fn vextsd2q<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extend(s, i, Q, 64)
}

// --- compares ---

macro_rules! compares {
    ($($name:ident: $op:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            compare(s, i, $op)
        }
    )* };
}

#[inline(always)]
fn compare<S: Sem, I: Fields>(s: &mut S, i: I, op: VecOp) -> R {
    let a = s.vsr(vr(i.vra()));
    let b = s.vsr(vr(i.vrb()));
    let v = s.vec_op(op, a, b);
    s.set_vsr(vr(i.vrt()), v);
    if i.rc_vc() {
        record_mask(s, v);
    }
    Ok(())
}

compares! {
    vcmpequb: VecOp::Equal(B);
    vcmpequh: VecOp::Equal(H);
    vcmpequw: VecOp::Equal(W);
    vcmpequd: VecOp::Equal(D);
    vcmpequq: VecOp::Equal(Q);
    vcmpneb: VecOp::NotEqual(B);
    vcmpneh: VecOp::NotEqual(H);
    vcmpnew: VecOp::NotEqual(W);
    vcmpnezb: VecOp::NotEqualOrZero(B);
    vcmpnezh: VecOp::NotEqualOrZero(H);
    vcmpnezw: VecOp::NotEqualOrZero(W);
    vcmpgtub: VecOp::GreaterUnsigned(B);
    vcmpgtuh: VecOp::GreaterUnsigned(H);
    vcmpgtuw: VecOp::GreaterUnsigned(W);
    vcmpgtud: VecOp::GreaterUnsigned(D);
    vcmpgtuq: VecOp::GreaterUnsigned(Q);
    vcmpgtsb: VecOp::GreaterSigned(B);
    vcmpgtsh: VecOp::GreaterSigned(H);
    vcmpgtsw: VecOp::GreaterSigned(W);
    vcmpgtsd: VecOp::GreaterSigned(D);
    vcmpgtsq: VecOp::GreaterSigned(Q);
}

/// CR field BF of a quadword comparison, in which the upper halves decide unless they are equal.
fn compare_quad<S: Sem, I: Fields>(s: &mut S, i: I, signed: bool) -> R {
    let a = s.vsr(vr(i.vra()));
    let b = s.vsr(vr(i.vrb()));
    let ((ah, al), (bh, bl)) = (s.vec_halves(a), s.vec_halves(b));
    let (less, greater) = if signed { (s.lts(ah, bh), s.lts(bh, ah)) } else { (s.ltu(ah, bh), s.ltu(bh, ah)) };
    let (low_less, low_greater) = (s.ltu(al, bl), s.ltu(bl, al));
    let (lt, gt, eq) = (s.long(0b1000), s.long(0b0100), s.long(0b0010));
    let field = s.select(low_greater, gt, eq);
    let field = s.select(low_less, lt, field);
    let field = s.select(greater, gt, field);
    let field = s.select(less, lt, field);
    s.set_cr_field(i.bf(), field);
    Ok(())
}

/// `vcmpuq`
pub fn vcmpuq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    compare_quad(s, i, false)
}

/// `vcmpsq`
pub fn vcmpsq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    compare_quad(s, i, true)
}

// --- saturating sums and differences, carries ---

/// Lane-wise `wrapped` and `saturated`; they differ where something saturated.
fn saturating(wrapped: u128, saturated: u128, sat: &mut bool) -> u128 {
    *sat |= wrapped != saturated;
    saturated
}

macro_rules! saturating_rows {
    ($($name:ident: $t:ty, $saturating:ident, $op:expr;)*) => {
        helpers_ab_sat! { $(
            $name: |a, b, sat| saturating(vec_op_value($op, a, b), <$t>::zip(a, b, <$t>::$saturating), sat);
        )* }
    };
}

saturating_rows! {
    vaddubs: u8, saturating_add, VecOp::Add(B);
    vadduhs: u16, saturating_add, VecOp::Add(H);
    vadduws: u32, saturating_add, VecOp::Add(W);
    vaddsbs: i8, saturating_add, VecOp::Add(B);
    vaddshs: i16, saturating_add, VecOp::Add(H);
    vaddsws: i32, saturating_add, VecOp::Add(W);
    vsububs: u8, saturating_sub, VecOp::Sub(B);
    vsubuhs: u16, saturating_sub, VecOp::Sub(H);
    vsubuws: u32, saturating_sub, VecOp::Sub(W);
    vsubsbs: i8, saturating_sub, VecOp::Sub(B);
    vsubshs: i16, saturating_sub, VecOp::Sub(H);
    vsubsws: i32, saturating_sub, VecOp::Sub(W);
}

helpers_ab! {
    vaddcuw: |a, b| u32::zip(a, b, |a, b| u32::from(a.checked_add(b).is_none()));
    vsubcuw: |a, b| u32::zip(a, b, |a, b| u32::from(a >= b));
}

// --- rotates under a mask ---

/// MASK(mb, me) of the manual in 32 bits: ones from bit `mb` to bit `me`, around the end if `mb` is larger.
fn mask32(mb: u32, me: u32) -> u32 {
    let (from, to) = (u32::MAX >> mb, u32::MAX << (31 - me));
    if mb <= me { from & to } else { from | to }
}

/// As [`mask32`] in 64 bits.
fn mask64(mb: u32, me: u32) -> u64 {
    let (from, to) = (u64::MAX >> mb, u64::MAX << (63 - me));
    if mb <= me { from & to } else { from | to }
}

/// As [`mask32`] in 128 bits.
fn mask128(mb: u32, me: u32) -> u128 {
    let (from, to) = (u128::MAX >> mb, u128::MAX << (127 - me));
    if mb <= me { from & to } else { from | to }
}

/// Rotated operand and mask as a word of VRB (mb, me and count a byte each) asks.
fn rotate32(a: u32, b: u32) -> (u32, u32) {
    (a.rotate_left(b & 31), mask32(b >> 16 & 31, b >> 8 & 31))
}

fn rotate64(a: u64, b: u64) -> (u64, u64) {
    (a.rotate_left(b as u32 & 63), mask64((b >> 16) as u32 & 63, (b >> 8) as u32 & 63))
}

fn rotate128(a: u128, b: u128) -> (u128, u128) {
    let b = (b >> 64) as u32;
    (a.rotate_left(b & 127), mask128(b >> 16 & 127, b >> 8 & 127))
}

helpers_ab! {
    vrlwnm: |a, b| u32::zip(a, b, |a, b| { let (r, m) = rotate32(a, b); r & m });
    vrldnm: |a, b| u64::zip(a, b, |a, b| { let (r, m) = rotate64(a, b); r & m });
    vrlqnm: |a, b| { let (r, m) = rotate128(a, b); r & m };
}

helpers_tab! {
    vrlwmi: |t, a, b| u32::zip3(t, a, b, |t, a, b| { let (r, m) = rotate32(a, b); r & m | t & !m });
    vrldmi: |t, a, b| u64::zip3(t, a, b, |t, a, b| { let (r, m) = rotate64(a, b); r & m | t & !m });
    vrlqmi: |t, a, b| { let (r, m) = rotate128(a, b); r & m | t & !m };
}

// --- parity ---

helpers_b! {
    vprtybw: |b| u32::map(b, |x| (x & 0x0101_0101).count_ones() & 1);
    vprtybd: |b| u64::map(b, |x| u64::from((x & 0x0101_0101_0101_0101).count_ones() & 1));
    vprtybq: |b| u128::from((b & u8::splat(1)).count_ones() & 1);
}
