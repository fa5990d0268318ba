//! Book I chapter 4: binary floating point in the FPRs, which are doublewords 0 of VSRs 0 to 31.

use crate::float::{self, Regs, arithmetic_rows, float_rows};
use crate::{Fallible, Fields, R, Sem, Vcpu, Width, fallible};
use arith::fp::{self, Double, Integer, Outcome, Rounding};
use arith::fpscr;
use cpu::bits::srr1;

// --- 4.6.2, 4.6.3: loads and stores ---

const SIGN: u64 = 1 << 63;

/// Single format in storage to double format in a register.
pub extern "C" fn double_from_single(_: &mut Vcpu, word: u64, _: u64, _: u64) -> u64 {
    fp::double_from_single(word as u32)
}

/// Double format in a register to single format in storage.
pub extern "C" fn single_word(_: &mut Vcpu, double: u64, _: u64, _: u64) -> u64 {
    fp::single_from_double(double).into()
}

/// As [`single_word`], in [`Vcpu::result`]; never fails.
pub extern "C" fn single_from_double(vcpu: &mut Vcpu, double: u64, _: u64, _: u64) -> bool {
    fallible(vcpu, |_| Ok(fp::single_from_double(double).into()))
}

fn set_fpr<S: Sem>(s: &mut S, n: usize, v: S::Long) {
    let zero = s.long(0);
    s.set_vsr_pair(n, v, zero);
}

#[derive(Clone, Copy)]
enum As {
    Single,
    Double,
    /// Integer word, sign-extended.
    WordAlgebraic,
    WordZero,
}

fn load<S: Sem>(s: &mut S, t: usize, ea: S::Long, what: As) -> R {
    let width = if matches!(what, As::Double) { Width::Double } else { Width::Word };
    let v = s.load(ea, width)?;
    let v = match what {
        As::Single => s.double_from_single(v),
        As::WordAlgebraic => s.sext(v, 32),
        As::Double | As::WordZero => v,
    };
    set_fpr(s, t, v);
    Ok(())
}

fn store<S: Sem>(s: &mut S, n: usize, ea: S::Long, what: As) -> R {
    let v = s.vsr_hi(n);
    match what {
        As::Double => s.store(ea, Width::Double, v),
        As::Single => {
            let v = s.single_from_double(v);
            s.store(ea, Width::Word, v)
        }
        As::WordAlgebraic | As::WordZero => s.store(ea, Width::Word, v),
    }
}

fn ea_d<S: Sem, I: Fields>(s: &mut S, i: I, displacement: i64) -> S::Long {
    let base = s.ra_or_zero(i);
    let displacement = s.long(displacement as u64);
    s.ea(base, displacement)
}

fn ea_x<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    let base = s.ra_or_zero(i);
    let index = s.gpr(i.rb());
    s.ea(base, index)
}

/// The address of an update form: RA is not (RA|0), and receives the sum.
fn ea_update<S: Sem, I: Fields>(s: &mut S, i: I, offset: S::Long) -> S::Long {
    let base = s.gpr(i.ra());
    s.ea(base, offset)
}

macro_rules! accesses {
    ($($name:ident $move:ident $reg:ident $what:ident $form:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            accesses!(@$form s, i, ea);
            $move(s, i.$reg(), ea, As::$what)?;
            accesses!(@update $form s, i, ea);
            Ok(())
        }
    )*};
    (@d $s:ident, $i:ident, $ea:ident) => { let $ea = ea_d($s, $i, $i.d()); };
    (@x $s:ident, $i:ident, $ea:ident) => { let $ea = ea_x($s, $i); };
    (@du $s:ident, $i:ident, $ea:ident) => {
        let offset = $s.long($i.d() as u64);
        let $ea = ea_update($s, $i, offset);
    };
    (@ux $s:ident, $i:ident, $ea:ident) => {
        let offset = $s.gpr($i.rb());
        let $ea = ea_update($s, $i, offset);
    };
    (@update d $s:ident, $i:ident, $ea:ident) => {};
    (@update x $s:ident, $i:ident, $ea:ident) => {};
    (@update $form:ident $s:ident, $i:ident, $ea:ident) => { $s.set_gpr($i.ra(), $ea); };
}

accesses! {
    lfs load frt Single d;
    lfsu load frt Single du;
    lfsx load frt Single x;
    lfsux load frt Single ux;
    lfd load frt Double d;
    lfdu load frt Double du;
    lfdx load frt Double x;
    lfdux load frt Double ux;
    lfiwax load frt WordAlgebraic x;
    lfiwzx load frt WordZero x;
    stfs store frs Single d;
    stfsu store frs Single du;
    stfsx store frs Single x;
    stfsux store frs Single ux;
    stfd store frs Double d;
    stfdu store frs Double du;
    stfdx store frs Double x;
    stfdux store frs Double ux;
    stfiwx store frs WordZero x;
}

/// Address of the second half of a pair.
fn second_half<S: Sem>(s: &mut S, ea: S::Long) -> S::Long {
    let eight = s.long(8);
    s.ea(ea, eight)
}

/// Halves of a pair, in the order of their addresses or of their registers: in storage it is an operand of sixteen bytes, so that the
/// odd register comes first in little-endian order.
fn halves<S: Sem, T>(s: &S, (first, second): (T, T)) -> (T, T) {
    if s.little_endian() { (second, first) } else { (first, second) }
}

fn load_pair<S: Sem>(s: &mut S, t: usize, ea: S::Long) -> R {
    // The lower address first: DAR tells of it where neither half may be read.
    let next = second_half(s, ea);
    let loaded = (s.load(ea, Width::Double)?, s.load(next, Width::Double)?);
    let (even, odd) = halves(s, loaded);
    set_fpr(s, t & !1, even);
    set_fpr(s, t | 1, odd);
    Ok(())
}

fn store_pair<S: Sem>(s: &mut S, n: usize, ea: S::Long) -> R {
    s.probe(ea, 16, true)?;
    let next = second_half(s, ea);
    let registers = (s.vsr_hi(n & !1), s.vsr_hi(n | 1));
    let (first, second) = halves(s, registers);
    s.store(ea, Width::Double, first)?;
    s.store(next, Width::Double, second)
}

/// `lfdp`
pub fn lfdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.ds());
    load_pair(s, i.frtp(), ea)
}

/// `lfdpx`
pub fn lfdpx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    load_pair(s, i.frtp(), ea)
}

/// `stfdp`
pub fn stfdp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.ds());
    store_pair(s, i.frsp(), ea)
}

/// `stfdpx`
pub fn stfdpx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    store_pair(s, i.frsp(), ea)
}

// --- 4.6.4, 4.6.5: moves, which look at no number ---

/// FPSCR as it is.
extern "C" fn read_fpscr(vcpu: &mut Vcpu, _: u64, _: u64, _: u64) -> u64 {
    float::settle(vcpu);
    vcpu.state.fpscr
}

fn record<S: Sem, I: Fields>(s: &mut S, i: I) {
    if i.rc() {
        let zero = s.long(0);
        let fpscr = s.call(read_fpscr, zero, zero, zero);
        let shift = s.long(28);
        let fields = s.shr(fpscr, shift);
        s.set_cr_field(1, fields);
    }
}

macro_rules! moves {
    ($($name:ident |$s:ident, $a:ident, $b:ident, $c:ident| $body:expr;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>($s: &mut S, i: I) -> R {
            let ($a, $b, $c) = (i.fra(), i.frb(), i.frc());
            let _ = ($a, $b, $c);
            let v = $body;
            set_fpr($s, i.frt(), v);
            record($s, i);
            Ok(())
        }
    )*};
}

fn with_sign<S: Sem>(s: &mut S, magnitude: usize, sign: S::Long) -> S::Long {
    let (bit, mask) = (s.long(SIGN), s.long(!SIGN));
    let magnitude = s.vsr_hi(magnitude);
    let (sign, magnitude) = (s.and(sign, bit), s.and(magnitude, mask));
    s.or(sign, magnitude)
}

moves! {
    fmr |s, _a, b, _c| s.vsr_hi(b);
    fneg |s, _a, b, _c| {
        let (v, sign) = (s.vsr_hi(b), s.long(SIGN));
        s.xor(v, sign)
    };
    fabs |s, _a, b, _c| {
        let (v, mask) = (s.vsr_hi(b), s.long(!SIGN));
        s.and(v, mask)
    };
    fnabs |s, _a, b, _c| {
        let (v, sign) = (s.vsr_hi(b), s.long(SIGN));
        s.or(v, sign)
    };
    fcpsgn |s, a, b, _c| {
        let sign = s.vsr_hi(a);
        with_sign(s, b, sign)
    };
    fsel |s, a, b, c| {
        // A >= 0, -0 included: no NaN, and positive or zero.
        let (a, b, c) = (s.vsr_hi(a), s.vsr_hi(b), s.vsr_hi(c));
        let (one, zero) = (s.long(1), s.long(0));
        let magnitude = s.shl(a, one);
        let infinity = s.long(0x7ff << 53);
        let nan = s.ltu(infinity, magnitude);
        let (negative, is_zero) = (s.lts(a, zero), s.eq(magnitude, zero));
        let positive = s.is_not(negative);
        let not_below = s.either(positive, is_zero);
        let number = s.is_not(nan);
        let chosen = s.both(number, not_below);
        s.select(chosen, c, b)
    };
    fmrgew |s, a, b, _c| {
        let (a, b) = (s.vsr_hi(a), s.vsr_hi(b));
        let (mask, n) = (s.long(0xffff_ffff << 32), s.long(32));
        let (upper, lower) = (s.and(a, mask), s.shr(b, n));
        s.or(upper, lower)
    };
    fmrgow |s, a, b, _c| {
        let (a, b) = (s.vsr_hi(a), s.vsr_hi(b));
        let n = s.long(32);
        let (upper, lower) = (s.shl(a, n), s.zext(b, 32));
        s.or(upper, lower)
    };
}

// --- 4.6.6, 4.6.7: arithmetic, rounding and conversion ---

/// An integer result in a doubleword.
pub(crate) fn integer(outcome: Outcome<u128>) -> Outcome<u64> {
    outcome.map(|v| v as u64)
}

/// `fctiw` and its kin. The ISA leaves the upper word undefined: here it extends the number, and is 0 for a NaN.
pub(crate) fn word_integer(b: u64, to: Integer, rounding: Rounding) -> Outcome<u64> {
    let outcome = integer(fp::to_integer::<Double>(b, to, rounding));
    if fp::is_nan::<Double>(b) { outcome.map(|v| v & 0xffff_ffff) } else { outcome }
}

arithmetic_rows! {
    fadd: fpr Add Double a b b;
    fadds: fpr Add Single a b b;
    fsub: fpr Sub Double a b b;
    fsubs: fpr Sub Single a b b;
    fmul: fpr Mul Double a c c;
    fmuls: fpr Mul Single a c c;
    fdiv: fpr Div Double a b b;
    fdivs: fpr Div Single a b b;
    fsqrt: fpr Sqrt Double b b b;
    fsqrts: fpr Sqrt Single b b b;
    fmadd: fpr Madd Double a c b;
    fmsub: fpr Msub Double a c b;
    fnmadd: fpr Nmadd Double a c b;
    fnmsub: fpr Nmsub Double a c b;
    fmadds: fpr Madd Single a c b;
    fmsubs: fpr Msub Single a c b;
    fnmadds: fpr Nmadd Single a c b;
    fnmsubs: fpr Nmsub Single a c b;
    frsp: fpr Round Single b b b;
    fcfid: fpr OfInteger Double b b b;
    fcfids: fpr OfInteger Single b b b;
    fctidz: fpr ToDoubleword Double b b b;
    fctiwz: fpr ToWord Double b b b;
}

float_rows! {
    fre: fpr, scalar, |_, b, _, k| fp::reciprocal_estimate::<Double>(b, k);
    fres: fpr, scalar, |_, b, _, k| fp::reciprocal_estimate::<Double>(b, k.single());
    frsqrte: fpr, scalar, |_, b, _, k| fp::reciprocal_sqrt_estimate::<Double>(b, k);
    frsqrtes: fpr, scalar, |_, b, _, k| fp::reciprocal_sqrt_estimate::<Double>(b, k.single());
    frin: fpr, scalar, |_, b, _, _| fp::without_inexact(fp::round_to_integral::<Double>(b, Rounding::NearestAway));
    friz: fpr, scalar, |_, b, _, _| fp::without_inexact(fp::round_to_integral::<Double>(b, Rounding::Zero));
    frip: fpr, scalar, |_, b, _, _| fp::without_inexact(fp::round_to_integral::<Double>(b, Rounding::Up));
    frim: fpr, scalar, |_, b, _, _| fp::without_inexact(fp::round_to_integral::<Double>(b, Rounding::Down));
    fcfidu: fpr, scalar, |_, b, _, k| fp::from_unsigned::<Double>(u128::from(b), k);
    fcfidus: fpr, scalar, |_, b, _, k| fp::from_unsigned::<Double>(u128::from(b), k.single());
    fctiw: fpr, scalar_to_integer, |_, b, _, k| word_integer(b, Integer::I32, k.rounding);
    fctiwu: fpr, scalar_to_integer, |_, b, _, k| word_integer(b, Integer::U32, k.rounding);
    fctiwuz: fpr, scalar_to_integer, |_, b, _, _| word_integer(b, Integer::U32, Rounding::Zero);
    fctid: fpr, scalar_to_integer, |_, b, _, k| integer(fp::to_integer::<Double>(b, Integer::I64, k.rounding));
    fctidu: fpr, scalar_to_integer, |_, b, _, k| integer(fp::to_integer::<Double>(b, Integer::U64, k.rounding));
    fctiduz: fpr, scalar_to_integer, |_, b, _, _| integer(fp::to_integer::<Double>(b, Integer::U64, Rounding::Zero));
}

// --- 4.6.8: compares and tests ---

extern "C" fn compare_unordered(vcpu: &mut Vcpu, regs: u64, bf: u64, _: u64) -> bool {
    fallible(vcpu, |vcpu| {
        let regs = Regs::of(regs);
        let (relation, flags) = fp::compare_unordered::<Double>(float::high(vcpu, regs.a), float::high(vcpu, regs.b));
        float::finish_compare(vcpu, bf, relation, flags)
    })
}

extern "C" fn compare_ordered(vcpu: &mut Vcpu, regs: u64, bf: u64, _: u64) -> bool {
    fallible(vcpu, |vcpu| {
        let (regs, ve) = (Regs::of(regs), float::invalid_enabled(vcpu));
        let (a, b) = (float::high(vcpu, regs.a), float::high(vcpu, regs.b));
        let (relation, flags) = fp::compare_ordered::<Double>(a, b, ve);
        float::finish_compare(vcpu, bf, relation, flags)
    })
}

/// Compares doublewords 0 of the registers and sets CR field `bf`.
pub(crate) fn compare<S: Sem>(s: &mut S, regs: Regs, bf: usize, ordered: bool) -> R {
    let helper: Fallible = if ordered { compare_ordered } else { compare_unordered };
    let relation = s.compare_doubles(regs.a, regs.b, helper, regs.pack(), bf as u64)?;
    s.set_cr_field(bf, relation);
    Ok(())
}

/// `fcmpu`
pub fn fcmpu<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    compare(s, Regs::fpr(i), i.bf(), false)
}

/// `fcmpo`
pub fn fcmpo<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    compare(s, Regs::fpr(i), i.bf(), true)
}

pub(crate) extern "C" fn test_divide(_: &mut Vcpu, a: u64, b: u64, _: u64) -> u64 {
    u64::from(fp::test_divide::<Double>(a, b))
}

pub(crate) extern "C" fn test_sqrt(_: &mut Vcpu, b: u64, _: u64, _: u64) -> u64 {
    u64::from(fp::test_sqrt::<Double>(b))
}

/// `ftdiv`
pub fn ftdiv<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (a, b, zero) = (s.vsr_hi(i.fra()), s.vsr_hi(i.frb()), s.long(0));
    let v = s.call(test_divide, a, b, zero);
    s.set_cr_field(i.bf(), v);
    Ok(())
}

/// `ftsqrt`
pub fn ftsqrt<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, zero) = (s.vsr_hi(i.frb()), s.long(0));
    let v = s.call(test_sqrt, b, zero, zero);
    s.set_cr_field(i.bf(), v);
    Ok(())
}

// --- 4.6.9: the status and control register ---

/// What `mffscrn` and its kin return: the control bits.
const CONTROL: u64 = fpscr::DRN | fpscr::ENABLES | fpscr::NI | fpscr::RN;

/// Returns the FPSCR and clears the bits of `clear`, then sets those of `set`.
extern "C" fn exchange_fpscr(vcpu: &mut Vcpu, clear: u64, set: u64, _: u64) -> u64 {
    float::settle(vcpu);
    let old = vcpu.state.fpscr;
    vcpu.state.fpscr = fpscr::with_summaries(old & !clear | set & fpscr::IMPLEMENTED);
    old
}

fn move_from_fpscr<S: Sem>(s: &mut S, t: usize, mask: u64, clear: u64, set: S::Long) {
    let (clear, zero, mask) = (s.long(clear), s.long(0), s.long(mask));
    let old = s.call(exchange_fpscr, clear, set, zero);
    let old = s.and(old, mask);
    set_fpr(s, t, old);
}

/// `mffs`
pub fn mffs<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let zero = s.long(0);
    let v = s.call(read_fpscr, zero, zero, zero);
    set_fpr(s, i.frt(), v);
    record(s, i);
    Ok(())
}

/// `mffsce`: and clear the exception enables.
pub fn mffsce<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let zero = s.long(0);
    move_from_fpscr(s, i.frt(), !0, fpscr::ENABLES, zero);
    Ok(())
}

/// `mffscdrn`: control bits, and DRN from FRB.
pub fn mffscdrn<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, mask) = (s.vsr_hi(i.frb()), s.long(fpscr::DRN));
    let set = s.and(b, mask);
    move_from_fpscr(s, i.frt(), CONTROL, fpscr::DRN, set);
    Ok(())
}

/// `mffscdrni`: control bits, and DRN from the instruction.
pub fn mffscdrni<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let set = s.long(u64::from(i.drm()) << 32);
    move_from_fpscr(s, i.frt(), CONTROL, fpscr::DRN, set);
    Ok(())
}

/// `mffscrn`: control bits, and RN from FRB.
pub fn mffscrn<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (b, mask) = (s.vsr_hi(i.frb()), s.long(fpscr::RN));
    let set = s.and(b, mask);
    move_from_fpscr(s, i.frt(), CONTROL, fpscr::RN, set);
    Ok(())
}

/// `mffscrni`: control bits, and RN from the instruction.
pub fn mffscrni<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let set = s.long(u64::from(i.rm()));
    move_from_fpscr(s, i.frt(), CONTROL, fpscr::RN, set);
    Ok(())
}

/// `mffsl`: control bits, FR, FI and FPRF.
pub fn mffsl<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let zero = s.long(0);
    move_from_fpscr(s, i.frt(), CONTROL | fpscr::FR | fpscr::FI | fpscr::FPRF, 0, zero);
    Ok(())
}

/// `mcrfs`: moves a field to the CR and clears its exception bits.
pub fn mcrfs<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let shift = 28 - 4 * i.bfa_fpscr() as u64;
    let (clear, zero, shift_by) = (s.long((0xf << shift) & (fpscr::FX | fpscr::EXCEPTIONS)), s.long(0), s.long(shift));
    let old = s.call(exchange_fpscr, clear, zero, zero);
    let field = s.shr(old, shift_by);
    s.set_cr_field(i.bf(), field);
    Ok(())
}

/// Writes the bits of `mask`; the summaries follow from the others. An exception that is enabled then interrupts.
fn write_fpscr(vcpu: &mut Vcpu, mask: u64, value: u64, rc: bool) -> R<u64> {
    float::settle(vcpu);
    let mask = mask & fpscr::IMPLEMENTED;
    vcpu.state.fpscr = fpscr::with_summaries(vcpu.state.fpscr & !mask | value & mask);
    let cr1 = float::cr1(vcpu.state.fpscr);
    if vcpu.state.fpscr & fpscr::FEX != 0 && float::interrupts(vcpu) {
        if rc {
            vcpu.state.crf[1] = cr1 as u8;
        }
        return vcpu.raise_program(srr1::PROGRAM_FP);
    }
    Ok(cr1)
}

/// Mask, value, Rc.
extern "C" fn move_to_fpscr(vcpu: &mut Vcpu, mask: u64, value: u64, rc: u64) -> bool {
    fallible(vcpu, |vcpu| write_fpscr(vcpu, mask, value, rc != 0))
}

/// Sets an exception or other bit by name: a new exception sets FX.
extern "C" fn set_fpscr_bit(vcpu: &mut Vcpu, bit: u64, _: u64, rc: u64) -> bool {
    fallible(vcpu, |vcpu| {
        float::settle(vcpu);
        let new_exception = bit & fpscr::EXCEPTIONS & !vcpu.state.fpscr != 0;
        let bits = bit | if new_exception { fpscr::FX } else { 0 };
        write_fpscr(vcpu, bits, bits, rc != 0)
    })
}

fn to_fpscr<S: Sem, I: Fields>(s: &mut S, i: I, helper: Fallible, mask: u64, value: S::Long) -> R {
    let (mask, rc) = (s.long(mask), s.long(u64::from(i.rc())));
    let cr1 = s.try_call(helper, mask, value, rc)?;
    if i.rc() {
        s.set_cr_field(1, cr1);
    }
    Ok(())
}

/// `mtfsfi`
pub fn mtfsfi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let shift = 28 - 4 * i.bf_fpscr() as u64 + if i.w() { 32 } else { 0 };
    let value = s.long(u64::from(i.u()) << shift);
    to_fpscr(s, i, move_to_fpscr, 0xf << shift, value)
}

/// `mtfsf`
pub fn mtfsf<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let fields = (0..8).filter(|n| i.flm() >> n & 1 != 0).fold(0u64, |mask, n| mask | 0xf << (4 * n));
    let mask = match (i.l6(), i.w()) {
        (true, _) => !0,
        (false, false) => fields,
        (false, true) => fields << 32,
    };
    let value = s.vsr_hi(i.frb());
    to_fpscr(s, i, move_to_fpscr, mask, value)
}

/// `mtfsb0`: bits FEX and VX cannot be cleared by themselves.
pub fn mtfsb0<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let value = s.long(0);
    to_fpscr(s, i, move_to_fpscr, 1 << (31 - i.bt_fpscr()), value)
}

/// `mtfsb1`: bits FEX and VX cannot be set by themselves.
pub fn mtfsb1<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let value = s.long(0);
    to_fpscr(s, i, set_fpscr_bit, 1 << (31 - i.bt_fpscr()), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn vcpu(fpscr: u64) -> Vcpu {
        let memory = Arc::new(memory::Memory::new(1 << 16, 1).unwrap());
        let clock = Arc::new(timing::Clock::virtual_time(0));
        let mut vcpu = Vcpu::new(0, &cpu::model::POWER9, memory, clock, Arc::new(vcpu::Silent));
        vcpu.state.fpscr = fpscr;
        vcpu
    }

    #[test]
    fn summaries_cannot_be_written() {
        let mut v = vcpu(0);
        assert!(move_to_fpscr(&mut v, !0, !0, 0));
        assert_eq!(v.state.fpscr, fpscr::IMPLEMENTED);
        assert!(move_to_fpscr(&mut v, fpscr::FEX | fpscr::VX, 0, 0));
        assert_eq!(v.state.fpscr, fpscr::IMPLEMENTED);
        assert!(move_to_fpscr(&mut v, fpscr::VX_ALL, 0, 0));
        assert_eq!(v.state.fpscr & (fpscr::VX | fpscr::FEX), fpscr::FEX);
    }

    #[test]
    fn only_a_new_exception_sets_fx() {
        let mut v = vcpu(fpscr::XX);
        assert!(set_fpscr_bit(&mut v, fpscr::XX, 0, 0));
        assert!(set_fpscr_bit(&mut v, fpscr::NI, 0, 0));
        assert_eq!(v.state.fpscr & fpscr::FX, 0);
        assert!(set_fpscr_bit(&mut v, fpscr::UX, 0, 0));
        assert_eq!(v.state.fpscr, fpscr::FX | fpscr::XX | fpscr::UX | fpscr::NI);
    }

    #[test]
    fn clearing_the_enables_clears_fex() {
        let mut v = vcpu(fpscr::with_summaries(fpscr::OX | fpscr::OE));
        assert_eq!(exchange_fpscr(&mut v, fpscr::ENABLES, 0, 0), fpscr::OX | fpscr::OE | fpscr::FEX);
        assert_eq!(v.state.fpscr, fpscr::OX);
    }

    #[test]
    fn setting_an_enabled_exception_interrupts() {
        let mut v = vcpu(fpscr::ZE);
        v.state.msr = cpu::bits::msr::FE0;
        assert!(!set_fpscr_bit(&mut v, fpscr::ZX, 0, 1));
        assert_eq!((v.state.fpscr >> 28, v.state.crf[1]), (0b1100, 0b1100));
    }
}
