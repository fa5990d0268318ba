//! Chapter 7, the floating-point part: VSX scalar, vector and quad-precision arithmetic, conversions, compares, tests
//! and the instructions that take numbers apart.

use crate::float::{self, Regs, arithmetic_rows, float_rows, scalar_value, vector_rows};
use crate::fp::integer;
use crate::{Fallible, Fields, R, Sem, Vcpu, VecOp, fallible};
use arith::fp::{self, BFloat, Control, Double, Float, Half, Integer, MulAdd, Outcome, Quad, Rounding, Single};
use arith::fpscr::{Flags, Status, fpscr_apply};

/// Word 0 of a doubleword.
fn upper(doubleword: u64) -> u32 {
    (doubleword >> 32) as u32
}

/// Results of a word are given in both words of the doubleword.
fn both_words(word: u32) -> u64 {
    u64::from(word) << 32 | u64::from(word)
}

fn word(outcome: Outcome<u128>) -> Outcome<u32> {
    outcome.map(|v| v as u32)
}

/// A word in both words.
pub(crate) fn words(outcome: Outcome<u128>) -> Outcome<u64> {
    word(outcome).map(both_words)
}

fn signed(v: u64) -> i128 {
    i128::from(v as i64)
}

fn to_integer<F: Float>(v: F::Bits, to: Integer) -> Outcome<u128> {
    fp::to_integer::<F>(v, to, Rounding::Zero)
}

fn integral<F: Float>(v: F::Bits, rounding: Rounding) -> Outcome<F::Bits> {
    fp::without_inexact(fp::round_to_integral::<F>(v, rounding))
}

/// Whether the relation of A and B is one of `accepted`. A test for equality alone lets quiet NaNs pass.
fn mask<F: Float>(a: F::Bits, b: F::Bits, k: Control, accepted: u8) -> Outcome<bool> {
    let (relation, flags) = match accepted {
        fp::EQUAL => fp::compare_unordered::<F>(a, b),
        _ => fp::compare_ordered::<F>(a, b, k.ve),
    };
    Outcome { value: relation & accepted != 0, flags, fprf: 0 }
}

fn all_ones(is_true: bool) -> u64 {
    if is_true { !0 } else { 0 }
}

// --- scalar and vector arithmetic ---

arithmetic_rows! {
    xsadddp: vsr Add Double a b b;
    xssubdp: vsr Sub Double a b b;
    xsmuldp: vsr Mul Double a b b;
    xsdivdp: vsr Div Double a b b;
    xssqrtdp: vsr Sqrt Double b b b;
    xsmaddadp: vsr Madd Double a b c;
    xsmaddmdp: vsr Madd Double a c b;
    xsmsubadp: vsr Msub Double a b c;
    xsmsubmdp: vsr Msub Double a c b;
    xsnmaddadp: vsr Nmadd Double a b c;
    xsnmaddmdp: vsr Nmadd Double a c b;
    xsnmsubadp: vsr Nmsub Double a b c;
    xsnmsubmdp: vsr Nmsub Double a c b;
    xsaddsp: vsr Add Single a b b;
    xssubsp: vsr Sub Single a b b;
    xsmulsp: vsr Mul Single a b b;
    xsdivsp: vsr Div Single a b b;
    xssqrtsp: vsr Sqrt Single b b b;
    xsmaddasp: vsr Madd Single a b c;
    xsmaddmsp: vsr Madd Single a c b;
    xsmsubasp: vsr Msub Single a b c;
    xsmsubmsp: vsr Msub Single a c b;
    xsnmaddasp: vsr Nmadd Single a b c;
    xsnmaddmsp: vsr Nmadd Single a c b;
    xsnmsubasp: vsr Nmsub Single a b c;
    xsnmsubmsp: vsr Nmsub Single a c b;
    xsrsp: vsr Round Single b b b;
    xscvsxddp: vsr OfInteger Double b b b;
    xscvsxdsp: vsr OfInteger Single b b b;
    xscvdpsxds: vsr ToDoubleword Double b b b;
    xscvdpsxws: vsr ToWords Double b b b;
}

vector_rows! {
    xvadddp: Add Double a b b;
    xvsubdp: Sub Double a b b;
    xvmuldp: Mul Double a b b;
    xvdivdp: Div Double a b b;
    xvsqrtdp: Sqrt Double b b b;
    xvmaddadp: Madd Double a b c;
    xvmaddmdp: Madd Double a c b;
    xvmsubadp: Msub Double a b c;
    xvmsubmdp: Msub Double a c b;
    xvnmaddadp: Nmadd Double a b c;
    xvnmaddmdp: Nmadd Double a c b;
    xvnmsubadp: Nmsub Double a b c;
    xvnmsubmdp: Nmsub Double a c b;
    xvaddsp: Add Single a b b;
    xvsubsp: Sub Single a b b;
    xvmulsp: Mul Single a b b;
    xvdivsp: Div Single a b b;
    xvsqrtsp: Sqrt Single b b b;
    xvmaddasp: Madd Single a b c;
    xvmaddmsp: Madd Single a c b;
    xvmsubasp: Msub Single a b c;
    xvmsubmsp: Msub Single a c b;
    xvnmaddasp: Nmadd Single a b c;
    xvnmaddmsp: Nmadd Single a c b;
    xvnmsubasp: Nmsub Single a b c;
    xvnmsubmsp: Nmsub Single a c b;
}

float_rows! {
    // xs..dp
    xsredp: vsr, scalar, |_, b, _, k| fp::reciprocal_estimate::<Double>(b, k);
    xsrsqrtedp: vsr, scalar, |_, b, _, k| fp::reciprocal_sqrt_estimate::<Double>(b, k);
    // xs..sp
    xsresp: vsr, scalar, |_, b, _, k| fp::reciprocal_estimate::<Double>(b, k.single());
    xsrsqrtesp: vsr, scalar, |_, b, _, k| fp::reciprocal_sqrt_estimate::<Double>(b, k.single());
    // xv..dp
    xvredp: vsr, vector_dp, |_, b, _, k| fp::reciprocal_estimate::<Double>(b, k);
    xvrsqrtedp: vsr, vector_dp, |_, b, _, k| fp::reciprocal_sqrt_estimate::<Double>(b, k);
    // xv..sp
    xvresp: vsr, vector_sp, |_, b, _, k| fp::reciprocal_estimate::<Single>(b, k);
    xvrsqrtesp: vsr, vector_sp, |_, b, _, k| fp::reciprocal_sqrt_estimate::<Single>(b, k);
    // xs..dp: extremes and rounding to an integral value
    xsmaxdp: vsr, scalar_quiet, |a, b, _, _| fp::maximum::<Double>(a, b);
    xsmindp: vsr, scalar_quiet, |a, b, _, _| fp::minimum::<Double>(a, b);
    xsrdpi: vsr, scalar, |_, b, _, _| integral::<Double>(b, Rounding::NearestAway);
    xsrdpiz: vsr, scalar, |_, b, _, _| integral::<Double>(b, Rounding::Zero);
    xsrdpip: vsr, scalar, |_, b, _, _| integral::<Double>(b, Rounding::Up);
    xsrdpim: vsr, scalar, |_, b, _, _| integral::<Double>(b, Rounding::Down);
    xsrdpic: vsr, scalar, |_, b, _, k| fp::round_to_integral::<Double>(b, k.rounding);
    // xv..dp: extremes and rounding to an integral value
    xvmaxdp: vsr, vector_dp, |a, b, _, _| fp::maximum::<Double>(a, b);
    xvmindp: vsr, vector_dp, |a, b, _, _| fp::minimum::<Double>(a, b);
    xvrdpi: vsr, vector_dp, |_, b, _, _| integral::<Double>(b, Rounding::NearestAway);
    xvrdpiz: vsr, vector_dp, |_, b, _, _| integral::<Double>(b, Rounding::Zero);
    xvrdpip: vsr, vector_dp, |_, b, _, _| integral::<Double>(b, Rounding::Up);
    xvrdpim: vsr, vector_dp, |_, b, _, _| integral::<Double>(b, Rounding::Down);
    xvrdpic: vsr, vector_dp, |_, b, _, k| fp::round_to_integral::<Double>(b, k.rounding);
    // xv..sp: extremes and rounding to an integral value
    xvmaxsp: vsr, vector_sp, |a, b, _, _| fp::maximum::<Single>(a, b);
    xvminsp: vsr, vector_sp, |a, b, _, _| fp::minimum::<Single>(a, b);
    xvrspi: vsr, vector_sp, |_, b, _, _| integral::<Single>(b, Rounding::NearestAway);
    xvrspiz: vsr, vector_sp, |_, b, _, _| integral::<Single>(b, Rounding::Zero);
    xvrspip: vsr, vector_sp, |_, b, _, _| integral::<Single>(b, Rounding::Up);
    xvrspim: vsr, vector_sp, |_, b, _, _| integral::<Single>(b, Rounding::Down);
    xvrspic: vsr, vector_sp, |_, b, _, k| fp::round_to_integral::<Single>(b, k.rounding);
    xsmaxcdp: vsr, scalar_quiet, |a, b, _, _| fp::maximum_c::<Double>(a, b);
    xsmaxjdp: vsr, scalar_quiet, |a, b, _, _| fp::maximum_j::<Double>(a, b);
    xsmincdp: vsr, scalar_quiet, |a, b, _, _| fp::minimum_c::<Double>(a, b);
    xsminjdp: vsr, scalar_quiet, |a, b, _, _| fp::minimum_j::<Double>(a, b);
}

// --- conversions and masks ---

float_rows! {
    // Between formats.
    xscvdpsp: vsr, scalar, |_, b, _, k| fp::convert::<Double, Single>(b, k).map(both_words);
    xscvspdp: vsr, scalar, |_, b, _, k| fp::convert::<Single, Double>(upper(b), k);
    xscvhpdp: vsr, scalar, |_, b, _, k| fp::convert::<Half, Double>(b as u16, k);
    xscvdphp: vsr, scalar, |_, b, _, k| fp::convert::<Double, Half>(b, k).map(u64::from);
    xvcvdpsp: vsr, vector_dp, |_, b, _, k| fp::convert::<Double, Single>(b, k).map(both_words);
    xvcvspdp: vsr, vector_dp, |_, b, _, k| fp::convert::<Single, Double>(upper(b), k);
    xvcvhpsp: vsr, vector_sp, |_, b, _, k| fp::convert::<Half, Single>(b as u16, k);
    xvcvsphp: vsr, vector_sp, |_, b, _, k| fp::convert::<Single, Half>(b, k).map(u32::from);
    xvcvspbf16: vsr, vector_sp, |_, b, _, k| fp::convert::<Single, BFloat>(b, k).map(u32::from);
    // To integers, toward zero.
    xvcvdpsxds: vsr, vector_dp, |_, b, _, _| integer(to_integer::<Double>(b, Integer::I64));
    xvcvdpsxws: vsr, vector_dp, |_, b, _, _| word(to_integer::<Double>(b, Integer::I32)).map(both_words);
    xvcvspsxds: vsr, vector_dp, |_, b, _, _| integer(to_integer::<Single>(upper(b), Integer::I64));
    xvcvspsxws: vsr, vector_sp, |_, b, _, _| word(to_integer::<Single>(b, Integer::I32));
    xscvdpuxds: vsr, scalar_to_integer, |_, b, _, _| integer(to_integer::<Double>(b, Integer::U64));
    xscvdpuxws: vsr, scalar_to_integer, |_, b, _, _| words(to_integer::<Double>(b, Integer::U32));
    xvcvdpuxds: vsr, vector_dp, |_, b, _, _| integer(to_integer::<Double>(b, Integer::U64));
    xvcvdpuxws: vsr, vector_dp, |_, b, _, _| words(to_integer::<Double>(b, Integer::U32));
    xvcvspuxds: vsr, vector_dp, |_, b, _, _| integer(to_integer::<Single>(upper(b), Integer::U64));
    xvcvspuxws: vsr, vector_sp, |_, b, _, _| word(to_integer::<Single>(b, Integer::U32));
    // From integers.
    xvcvsxddp: vsr, vector_dp, |_, b, _, k| fp::from_signed::<Double>(signed(b), k);
    xvcvsxdsp: vsr, vector_dp, |_, b, _, k| fp::from_signed::<Single>(signed(b), k).map(both_words);
    xvcvsxwdp: vsr, vector_dp, |_, b, _, k| fp::from_signed::<Double>(i128::from(upper(b) as i32), k);
    xvcvsxwsp: vsr, vector_sp, |_, b, _, k| fp::from_signed::<Single>(i128::from(b as i32), k);
    xscvuxddp: vsr, scalar, |_, b, _, k| fp::from_unsigned::<Double>(u128::from(b), k);
    xscvuxdsp: vsr, scalar, |_, b, _, k| fp::from_unsigned::<Double>(u128::from(b), k.single());
    xvcvuxddp: vsr, vector_dp, |_, b, _, k| fp::from_unsigned::<Double>(u128::from(b), k);
    xvcvuxdsp: vsr, vector_dp, |_, b, _, k| fp::from_unsigned::<Single>(u128::from(b), k).map(both_words);
    xvcvuxwdp: vsr, vector_dp, |_, b, _, k| fp::from_unsigned::<Double>(u128::from(upper(b)), k);
    xvcvuxwsp: vsr, vector_sp, |_, b, _, k| fp::from_unsigned::<Single>(u128::from(b), k);
    // Compares that make a mask.
    xscmpeqdp: vsr, scalar_quiet, |a, b, _, k| mask::<Double>(a, b, k, fp::EQUAL).map(all_ones);
    xscmpgtdp: vsr, scalar_quiet, |a, b, _, k| mask::<Double>(a, b, k, fp::GREATER).map(all_ones);
    xscmpgedp: vsr, scalar_quiet, |a, b, _, k| mask::<Double>(a, b, k, fp::GREATER | fp::EQUAL).map(all_ones);
}

/// `xscvspdpn`: no exception, a signalling NaN stays one.
pub fn xscvspdpn<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, n, zero) = (s.vsr_hi(i.xb()), s.long(32), s.long(0));
    let single = s.shr(b, n);
    let v = s.double_from_single(single);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// `xscvdpspn`: no exception, a signalling NaN stays one.
pub fn xscvdpspn<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, n, zero) = (s.vsr_hi(i.xb()), s.long(32), s.long(0));
    let single = s.single_from_double(b);
    let upper = s.shl(single, n);
    let v = s.or(upper, single);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// `xvcvbf16spn`: a bfloat16 is the upper half of a single.
pub fn xvcvbf16spn<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, n) = (s.vsr(i.xb()), s.vec_const(0x0000_0010_0000_0010_0000_0010_0000_0010));
    let v = s.vec_op(VecOp::ShiftLeft(crate::Lane::W), b, n);
    s.set_vsr(i.xt(), v);
    Ok(())
}

// --- quad precision ---

fn class(outcome: Outcome<u128>) -> (Outcome<u128>, Status) {
    (outcome, Status::Class(outcome.fprf))
}

fn rounding(outcome: Outcome<u128>) -> (Outcome<u128>, Status) {
    (outcome, Status::Rounding)
}

fn exceptions(outcome: Outcome<u128>) -> (Outcome<u128>, Status) {
    (outcome, Status::Exceptions)
}

fn quad_ones(is_true: bool) -> u128 {
    if is_true { !0 } else { 0 }
}

/// An integer in doubleword 0.
fn doubleword(v: u128) -> u128 {
    v << 64
}

/// Rows that round to odd if RO=1: `name: |a, b, t, k| outcome and status;`.
macro_rules! odd_rows {
    ($($name:ident: |$a:pat_param, $b:pat_param, $t:pat_param, $k:ident| $f:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, odd: u64, _: u64) -> bool {
                float::quad(vcpu, regs, |$a, $b, $t, k| {
                    let $k = if odd != 0 { k.rounded(Rounding::Odd) } else { k };
                    $f
                })
            }
            float::call(s, helper, Regs::vr(i), u64::from(i.ro())).map(drop)
        }
    )*};
}

odd_rows! {
    xsaddqp: |a, b, _, k| class(fp::add::<Quad>(a, b, k));
    xssubqp: |a, b, _, k| class(fp::sub::<Quad>(a, b, k));
    xsmulqp: |a, b, _, k| class(fp::mul::<Quad>(a, b, k));
    xsdivqp: |a, b, _, k| class(fp::div::<Quad>(a, b, k));
    xssqrtqp: |_, b, _, k| class(fp::sqrt::<Quad>(b, k));
    xsmaddqp: |a, b, t, k| class(fp::mul_add::<Quad>(MulAdd::Madd, a, b, t, k));
    xsmsubqp: |a, b, t, k| class(fp::mul_add::<Quad>(MulAdd::Msub, a, b, t, k));
    xsnmaddqp: |a, b, t, k| class(fp::mul_add::<Quad>(MulAdd::Nmadd, a, b, t, k));
    xsnmsubqp: |a, b, t, k| class(fp::mul_add::<Quad>(MulAdd::Nmsub, a, b, t, k));
    xscvqpdp: |_, b, _, k| class(fp::convert::<Quad, Double>(b, k).map(scalar_value));
}

float_rows! {
    xscvdpqp: vr, quad, |_, b, _, k| class(fp::convert::<Double, Quad>((b >> 64) as u64, k));
    xscvsdqp: vr, quad, |_, b, _, k| class(fp::from_signed::<Quad>((b as i128) >> 64, k));
    xscvudqp: vr, quad, |_, b, _, k| class(fp::from_unsigned::<Quad>(b >> 64, k));
    xscvsqqp: vr, quad, |_, b, _, k| class(fp::from_signed::<Quad>(b as i128, k));
    xscvuqqp: vr, quad, |_, b, _, k| class(fp::from_unsigned::<Quad>(b, k));
    xscvqpsdz: vr, quad, |_, b, _, _| rounding(to_integer::<Quad>(b, Integer::I64).map(doubleword));
    xscvqpudz: vr, quad, |_, b, _, _| rounding(to_integer::<Quad>(b, Integer::U64).map(doubleword));
    xscvqpswz: vr, quad, |_, b, _, _| rounding(to_integer::<Quad>(b, Integer::I32).map(doubleword));
    xscvqpuwz: vr, quad, |_, b, _, _| rounding(to_integer::<Quad>(b, Integer::U32).map(doubleword));
    xscvqpsqz: vr, quad, |_, b, _, _| rounding(to_integer::<Quad>(b, Integer::I128));
    xscvqpuqz: vr, quad, |_, b, _, _| rounding(to_integer::<Quad>(b, Integer::U128));
    xsmaxcqp: vr, quad, |a, b, _, _| exceptions(fp::maximum_c::<Quad>(a, b));
    xsmincqp: vr, quad, |a, b, _, _| exceptions(fp::minimum_c::<Quad>(a, b));
    xscmpeqqp: vr, quad, |a, b, _, k| exceptions(mask::<Quad>(a, b, k, fp::EQUAL).map(quad_ones));
    xscmpgtqp: vr, quad, |a, b, _, k| exceptions(mask::<Quad>(a, b, k, fp::GREATER).map(quad_ones));
    xscmpgeqp: vr, quad, |a, b, _, k| exceptions(mask::<Quad>(a, b, k, fp::GREATER | fp::EQUAL).map(quad_ones));
}

/// The rounding mode that R and RMC name: R in bit 0 of `selection`, RMC above. Reserved pairs round to nearest even.
fn selected(selection: u64, k: Control) -> Rounding {
    match (selection & 1, selection >> 1 & 3) {
        (0, 0) => Rounding::NearestAway,
        (0, 3) => k.rounding,
        (0, _) => Rounding::NearestEven,
        (_, rmc) => Rounding::from_rn(rmc),
    }
}

/// `xsrqpi`, `xsrqpix`: R, RMC, EX.
pub fn xsrqpi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, selection: u64, _: u64) -> bool {
        float::quad(vcpu, regs, |_, b, _, k| {
            let outcome = fp::round_to_integral::<Quad>(b, selected(selection, k));
            class(if selection & 8 != 0 { outcome } else { fp::without_inexact(outcome) })
        })
    }
    let selection = u64::from(i.r15()) | u64::from(i.rmc()) << 1 | u64::from(i.ex()) << 3;
    float::call(s, helper, Regs::vr(i), selection).map(drop)
}

/// `xsrqpxp`
pub fn xsrqpxp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, selection: u64, _: u64) -> bool {
        float::quad(vcpu, regs, |_, b, _, k| class(fp::round_to_extended(b, k.rounded(selected(selection, k)))))
    }
    let selection = u64::from(i.r15()) | u64::from(i.rmc()) << 1;
    float::call(s, helper, Regs::vr(i), selection).map(drop)
}

// --- signs ---

const SIGN_64: u64 = 1 << 63;
const SIGN_128: u128 = 1 << 127;

/// `xsabsdp`
pub fn xsabsdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, mask, zero) = (s.vsr_hi(i.xb()), s.long(!SIGN_64), s.long(0));
    let v = s.and(b, mask);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// `xsnabsdp`
pub fn xsnabsdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, sign, zero) = (s.vsr_hi(i.xb()), s.long(SIGN_64), s.long(0));
    let v = s.or(b, sign);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// `xsnegdp`
pub fn xsnegdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, sign, zero) = (s.vsr_hi(i.xb()), s.long(SIGN_64), s.long(0));
    let v = s.xor(b, sign);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// `xscpsgndp`
pub fn xscpsgndp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (a, b, sign, mask) = (s.vsr_hi(i.xa()), s.vsr_hi(i.xb()), s.long(SIGN_64), s.long(!SIGN_64));
    let (a, b, zero) = (s.and(a, sign), s.and(b, mask), s.long(0));
    let v = s.or(a, b);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// Combines B with the sign bits of its elements.
fn signs<S: Sem>(s: &mut S, t: usize, b: usize, op: VecOp, signs: u128) -> R {
    let (b, signs) = (s.vsr(b), s.vec_const(signs));
    let v = s.vec_op(op, b, signs);
    s.set_vsr(t, v);
    Ok(())
}

fn copy_signs<S: Sem>(s: &mut S, t: usize, a: usize, b: usize, signs: u128) -> R {
    let (a, b, signs) = (s.vsr(a), s.vsr(b), s.vec_const(signs));
    let (a, b) = (s.vec_op(VecOp::And, a, signs), s.vec_op(VecOp::Andc, b, signs));
    let v = s.vec_op(VecOp::Or, a, b);
    s.set_vsr(t, v);
    Ok(())
}

const SIGNS_DP: u128 = SIGN_128 | SIGN_64 as u128;
const SIGNS_SP: u128 = SIGNS_DP | SIGNS_DP >> 32;

macro_rules! sign_rows {
    ($($name:ident $op:ident $signs:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            signs(s, i.xt(), i.xb(), VecOp::$op, $signs)
        }
    )*};
}

sign_rows! {
    xvabsdp Andc SIGNS_DP;
    xvnabsdp Or SIGNS_DP;
    xvnegdp Xor SIGNS_DP;
    xvabssp Andc SIGNS_SP;
    xvnabssp Or SIGNS_SP;
    xvnegsp Xor SIGNS_SP;
}

/// `xvcpsgndp`
pub fn xvcpsgndp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    copy_signs(s, i.xt(), i.xa(), i.xb(), SIGNS_DP)
}

/// `xvcpsgnsp`
pub fn xvcpsgnsp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    copy_signs(s, i.xt(), i.xa(), i.xb(), SIGNS_SP)
}

/// `xscpsgnqp`
pub fn xscpsgnqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    copy_signs(s, 32 + i.vrt(), 32 + i.vra(), 32 + i.vrb(), SIGN_128)
}

/// `xsabsqp`
pub fn xsabsqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    signs(s, 32 + i.vrt(), 32 + i.vrb(), VecOp::Andc, SIGN_128)
}

/// `xsnabsqp`
pub fn xsnabsqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    signs(s, 32 + i.vrt(), 32 + i.vrb(), VecOp::Or, SIGN_128)
}

/// `xsnegqp`
pub fn xsnegqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    signs(s, 32 + i.vrt(), 32 + i.vrb(), VecOp::Xor, SIGN_128)
}

// --- compares to a CR field ---

/// `xscmpudp`
pub fn xscmpudp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    crate::fp::compare(s, Regs::vsr(i), i.bf(), false)
}

/// `xscmpodp`
pub fn xscmpodp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    crate::fp::compare(s, Regs::vsr(i), i.bf(), true)
}

/// Defines compares whose result goes to CR field BF and FPCC: `name: registers, |a, b, ve| (relation, flags);`, with
/// A and B whole VSRs.
macro_rules! compare_rows {
    ($($name:ident: $regs:ident, |$a:ident, $b:ident, $ve:pat_param| $f:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, bf: u64, _: u64) -> bool {
                fallible(vcpu, |vcpu| {
                    let regs = Regs::of(regs);
                    let ($a, $b, $ve) = (vcpu.state.vsr[regs.a], vcpu.state.vsr[regs.b], float::invalid_enabled(vcpu));
                    let (relation, flags) = $f;
                    float::finish_compare(vcpu, bf, relation, flags)
                })
            }
            let relation = float::call(s, helper, Regs::$regs(i), i.bf() as u64)?;
            s.set_cr_field(i.bf(), relation);
            Ok(())
        }
    )*};
}

compare_rows! {
    xscmpexpdp: vsr, |a, b, _| (fp::compare_exponents::<Double>((a >> 64) as u64, (b >> 64) as u64), Flags::NONE);
    xscmpuqp: vr, |a, b, _| fp::compare_unordered::<Quad>(a, b);
    xscmpoqp: vr, |a, b, ve| fp::compare_ordered::<Quad>(a, b, ve);
    xscmpexpqp: vr, |a, b, _| (fp::compare_exponents::<Quad>(a, b), Flags::NONE);
}

// --- vector compares ---

/// Compares element by element, `accepted` relations giving all ones. Returns CR6: all true, all false.
fn compare_elements(vcpu: &mut Vcpu, regs: u64, accepted: u64, bits: u32) -> bool {
    fallible(vcpu, |vcpu| {
        let regs = Regs::of(regs);
        let (a, b) = (vcpu.state.vsr[regs.a], vcpu.state.vsr[regs.b]);
        let k = Control::from_fpscr(vcpu.state.fpscr);
        let ones = u128::MAX >> (128 - bits);
        let (mut flags, mut value) = (Flags::NONE, 0);
        for shift in (0..128).step_by(bits as usize) {
            let (a, b) = ((a >> shift) as u64, (b >> shift) as u64);
            let outcome = match bits {
                32 => mask::<Single>(a as u32, b as u32, k, accepted as u8),
                _ => mask::<Double>(a, b, k, accepted as u8),
            };
            flags |= outcome.flags;
            if outcome.value {
                value |= ones << shift;
            }
        }
        float::finish(vcpu, regs, flags, Status::Exceptions, value)?;
        Ok(match value {
            u128::MAX => 0b1000,
            0 => 0b0010,
            _ => 0,
        })
    })
}

extern "C" fn compare_words(vcpu: &mut Vcpu, regs: u64, accepted: u64, _: u64) -> bool {
    compare_elements(vcpu, regs, accepted, 32)
}

extern "C" fn compare_doublewords(vcpu: &mut Vcpu, regs: u64, accepted: u64, _: u64) -> bool {
    compare_elements(vcpu, regs, accepted, 64)
}

/// Whether elements are singles, and the helper.
const WORDS: (bool, Fallible) = (true, compare_words);
const DOUBLEWORDS: (bool, Fallible) = (false, compare_doublewords);

macro_rules! vector_compares {
    ($($name:ident $helper:ident $accepted:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            let regs = Regs::vsr(i);
            let (single, helper) = $helper;
            let what = float::Elements { single, t: regs.t, x: regs.a, y: regs.b, relations: $accepted };
            let cr6 = s.compare_elements(what, helper, regs.pack())?;
            if i.rc_vc() {
                s.set_cr_field(6, cr6);
            }
            Ok(())
        }
    )*};
}

vector_compares! {
    xvcmpeqsp WORDS fp::EQUAL;
    xvcmpgtsp WORDS fp::GREATER;
    xvcmpgesp WORDS fp::GREATER | fp::EQUAL;
    xvcmpeqdp DOUBLEWORDS fp::EQUAL;
    xvcmpgtdp DOUBLEWORDS fp::GREATER;
    xvcmpgedp DOUBLEWORDS fp::GREATER | fp::EQUAL;
}

// --- tests for software divide and square root ---

/// `xstdivdp`
pub fn xstdivdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (a, b, zero) = (s.vsr_hi(i.xa()), s.vsr_hi(i.xb()), s.long(0));
    let v = s.call(crate::fp::test_divide, a, b, zero);
    s.set_cr_field(i.bf(), v);
    Ok(())
}

/// `xstsqrtdp`
pub fn xstsqrtdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, zero) = (s.vsr_hi(i.xb()), s.long(0));
    let v = s.call(crate::fp::test_sqrt, b, zero, zero);
    s.set_cr_field(i.bf(), v);
    Ok(())
}

/// Defines tests that any element can fail: `name: element type, |a, b| field;`.
macro_rules! test_rows {
    ($($name:ident: $element:ty, |$a:pat_param, $b:ident| $f:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, _: u64, _: u64) -> u64 {
                let regs = Regs::of(regs);
                let (a, b) = (vcpu.state.vsr[regs.a], vcpu.state.vsr[regs.b]);
                let shifts = (0..128).step_by(<$element>::BITS as usize);
                let fields = shifts.map(|shift| {
                    let ($a, $b) = ((a >> shift) as $element, (b >> shift) as $element);
                    $f
                });
                u64::from(fields.fold(0, |all, field| all | field))
            }
            let v = float::call_infallible(s, helper, Regs::vsr(i));
            s.set_cr_field(i.bf(), v);
            Ok(())
        }
    )*};
}

test_rows! {
    xvtdivdp: u64, |a, b| fp::test_divide::<Double>(a, b);
    xvtdivsp: u32, |a, b| fp::test_divide::<Single>(a, b);
    xvtsqrtdp: u64, |_, b| fp::test_sqrt::<Double>(b);
    xvtsqrtsp: u32, |_, b| fp::test_sqrt::<Single>(b);
}

// --- data classes ---

/// CR field and FPCC: sign, 0, match, and whether single format cannot hold the value.
fn class_field(vcpu: &mut Vcpu, negative: bool, matches: bool, not_single: bool) -> u64 {
    let field = u8::from(negative) << 3 | u8::from(matches) << 1 | u8::from(not_single);
    float::settle(vcpu);
    vcpu.state.fpscr = fpscr_apply(vcpu.state.fpscr, Flags::NONE, Status::Compare(field)).fpscr;
    u64::from(field)
}

extern "C" fn class_double(vcpu: &mut Vcpu, b: u64, dcmx: u64, _: u64) -> u64 {
    class_field(vcpu, b >> 63 != 0, fp::test_data_class::<Double>(b, dcmx as u32), false)
}

/// The class as a single in double format: below single's normal range a number is denormal.
extern "C" fn class_single(vcpu: &mut Vcpu, b: u64, dcmx: u64, _: u64) -> u64 {
    const FIRST_NORMAL: u32 = 0x381;
    let dcmx = dcmx as u32;
    let exponent = fp::biased_exponent::<Double>(b);
    let denormal_mask = if b >> 63 != 0 { 1 } else { 2 };
    let denormal = exponent > 0 && exponent < FIRST_NORMAL && dcmx & denormal_mask != 0;
    let not_single = fp::double_from_single(fp::single_from_double(b)) != b;
    class_field(vcpu, b >> 63 != 0, denormal || fp::test_data_class::<Double>(b, dcmx), not_single)
}

extern "C" fn class_quad(vcpu: &mut Vcpu, b: u64, dcmx: u64, _: u64) -> u64 {
    let b = vcpu.state.vsr[(b & 63) as usize];
    class_field(vcpu, b >> 127 != 0, fp::test_data_class::<Quad>(b, dcmx as u32), false)
}

fn scalar_class<S: Sem, I: Fields>(s: &mut S, i: I, helper: crate::Helper, b: S::Long) -> R {
    let (dcmx, zero) = (s.long(u64::from(i.dcmx_s())), s.long(0));
    let field = s.call(helper, b, dcmx, zero);
    s.set_cr_field(i.bf(), field);
    Ok(())
}

/// `xststdcdp`
pub fn xststdcdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let b = s.vsr_hi(i.xb());
    scalar_class(s, i, class_double, b)
}

/// `xststdcsp`
pub fn xststdcsp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let b = s.vsr_hi(i.xb());
    scalar_class(s, i, class_single, b)
}

/// `xststdcqp`
pub fn xststdcqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let b = s.long(32 + i.vrb() as u64);
    scalar_class(s, i, class_quad, b)
}

// --- elements taken apart and put together ---

/// Defines vector forms that touch no FPSCR: `name: element type, |a, b, immediate| element;`.
macro_rules! plain_rows {
    ($($name:ident: $element:ty, |$a:pat_param, $b:ident, $immediate:pat_param| $f:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, immediate: u64, _: u64) -> bool {
                let regs = Regs::of(regs);
                let (a, b) = (vcpu.state.vsr[regs.a], vcpu.state.vsr[regs.b]);
                let mut value = 0;
                for shift in (0..128).step_by(<$element>::BITS as usize) {
                    let ($a, $b, $immediate) = ((a >> shift) as $element, (b >> shift) as $element, immediate as u32);
                    let element: $element = $f;
                    value |= u128::from(element) << shift;
                }
                vcpu.state.vsr[regs.t] = value;
                true
            }
            float::call(s, helper, Regs::vsr(i), u64::from(i.dcmx())).map(drop)
        }
    )*};
}

plain_rows! {
    xvtstdcdp: u64, |_, b, dcmx| if fp::test_data_class::<Double>(b, dcmx) { !0 } else { 0 };
    xvtstdcsp: u32, |_, b, dcmx| if fp::test_data_class::<Single>(b, dcmx) { !0 } else { 0 };
    xvxexpdp: u64, |_, b, _| u64::from(fp::biased_exponent::<Double>(b));
    xvxexpsp: u32, |_, b, _| fp::biased_exponent::<Single>(b);
    xvxsigdp: u64, |_, b, _| fp::significand::<Double>(b) as u64;
    xvxsigsp: u32, |_, b, _| fp::significand::<Single>(b) as u32;
    xviexpdp: u64, |a, b, _| a & !(0x7ff << 52) | (b & 0x7ff) << 52;
    xviexpsp: u32, |a, b, _| a & !(0xff << 23) | (b & 0xff) << 23;
}

/// `xsxexpdp`
pub fn xsxexpdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, n, mask) = (s.vsr_hi(i.xb()), s.long(52), s.long(0x7ff));
    let v = s.shr(b, n);
    let v = s.and(v, mask);
    s.set_gpr(i.rt(), v);
    Ok(())
}

extern "C" fn significand(_: &mut Vcpu, b: u64, _: u64, _: u64) -> u64 {
    fp::significand::<Double>(b) as u64
}

/// `xsxsigdp`
pub fn xsxsigdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, zero) = (s.vsr_hi(i.xb()), s.long(0));
    let v = s.call(significand, b, zero, zero);
    s.set_gpr(i.rt(), v);
    Ok(())
}

/// `xsiexpdp`: significand and sign of RA, exponent of RB.
pub fn xsiexpdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (a, b) = (s.gpr(i.ra()), s.gpr(i.rb()));
    let (keep, low, n, zero) = (s.long(!(0x7ff << 52)), s.long(0x7ff), s.long(52), s.long(0));
    let (a, b) = (s.and(a, keep), s.and(b, low));
    let b = s.shl(b, n);
    let v = s.or(a, b);
    s.set_vsr_pair(i.xt(), v, zero);
    Ok(())
}

/// `xsxexpqp`
pub fn xsxexpqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, n, mask, zero) = (s.vsr_hi(32 + i.vrb()), s.long(48), s.long(0x7fff), s.long(0));
    let v = s.shr(b, n);
    let v = s.and(v, mask);
    s.set_vsr_pair(32 + i.vrt(), v, zero);
    Ok(())
}

/// `xsxsigqp`
pub fn xsxsigqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, _: u64, _: u64) -> bool {
        let regs = Regs::of(regs);
        vcpu.state.vsr[regs.t] = fp::significand::<Quad>(vcpu.state.vsr[regs.b]);
        true
    }
    float::call(s, helper, Regs::vr(i), 0).map(drop)
}

/// `xsiexpqp`: significand and sign of VRA, exponent in the lowest bits of doubleword 0 of VRB.
pub fn xsiexpqp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let a = s.vsr(32 + i.vra());
    let (a_hi, a_lo) = s.vec_halves(a);
    let (b, keep, low, n) = (s.vsr_hi(32 + i.vrb()), s.long(!(0x7fff << 48)), s.long(0x7fff), s.long(48));
    let (a_hi, b) = (s.and(a_hi, keep), s.and(b, low));
    let b = s.shl(b, n);
    let hi = s.or(a_hi, b);
    s.set_vsr_pair(32 + i.vrt(), hi, a_lo);
    Ok(())
}
