//! What the floating-point chapters share: how helpers of binary floating point get their registers, update the
//! FPSCR, write their target and interrupt.
//!
//! A helper gets its register numbers in its first operand ([`Regs`]) and works on [`Vcpu::state`]: it reads its
//! VSRs, writes its target VSR and the FPSCR. What goes to the CR it returns, and the semantics sets the field through
//! [`Sem`], except when it interrupts: then it has written the field itself.

use crate::{Fallible, Fields, Helper, R, Sem, Vcpu, fallible};
use arith::fp::{self, Control, Double, Float, Integer, MulAdd, Outcome, Rounding, Single};
use arith::fpscr::{self, Flags, Status, fpscr_apply};
use cpu::bits::{msr, srr1};

/// VSR numbers of an instruction, and whether it sets CR1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regs {
    /// Target.
    pub t: usize,
    /// First operand.
    pub a: usize,
    /// Second operand.
    pub b: usize,
    /// Third operand; the target itself in VSX multiply-add.
    pub c: usize,
    /// Rc: CR1 becomes FPSCR\[FX,FEX,VX,OX\].
    pub rc: bool,
}

impl Regs {
    /// FRT, FRA, FRB, FRC. A field that the instruction does not have has a value that nobody uses.
    pub fn fpr<I: Fields>(i: I) -> Regs {
        Regs { t: i.frt(), a: i.fra(), b: i.frb(), c: i.frc(), rc: i.rc() }
    }

    /// XT, XA, XB, and XT again.
    pub fn vsr<I: Fields>(i: I) -> Regs {
        let t = i.xt();
        Regs { t, a: i.xa(), b: i.xb(), c: t, rc: false }
    }

    /// VRT, VRA, VRB, and VRT again, as VSRs 32 to 63.
    pub fn vr<I: Fields>(i: I) -> Regs {
        let t = 32 + i.vrt();
        Regs { t, a: 32 + i.vra(), b: 32 + i.vrb(), c: t, rc: false }
    }

    /// The first operand of a helper.
    pub fn pack(self) -> u64 {
        self.t as u64 | (self.a as u64) << 8 | (self.b as u64) << 16 | (self.c as u64) << 24 | u64::from(self.rc) << 32
    }

    /// The registers of a helper's first operand; the masks keep every index inside the register file.
    pub fn of(packed: u64) -> Regs {
        let field = |shift: u32| (packed >> shift & 63) as usize;
        Regs { t: field(0), a: field(8), b: field(16), c: field(24), rc: packed >> 32 & 1 != 0 }
    }
}

/// Calls a helper, and sets CR1 from what it returns if Rc=1.
pub fn run<S: Sem>(s: &mut S, helper: Fallible, regs: Regs) -> R {
    let result = call(s, helper, regs, 0)?;
    if regs.rc {
        s.set_cr_field(1, result);
    }
    Ok(())
}

/// Calls a helper with an immediate operand.
pub fn call<S: Sem>(s: &mut S, helper: Fallible, regs: Regs, immediate: u64) -> R<S::Long> {
    let (immediate, zero) = (s.long(immediate), s.long(0));
    s.try_call_vsr(helper, regs.pack(), immediate, zero)
}

/// The operation of an arithmetic instruction on its operands x, y and z, or on each element of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// x + y
    Add,
    /// x - y
    Sub,
    /// x y
    Mul,
    /// x / y
    Div,
    /// Square root of x.
    Sqrt,
    /// x y + z
    Madd,
    /// x y - z
    Msub,
    /// -(x y + z)
    Nmadd,
    /// -(x y - z)
    Nmsub,
    /// x, rounded to single precision.
    Round,
    /// The integer x.
    OfInteger,
    /// x as an integer doubleword, towards zero.
    ToDoubleword,
    /// x as an integer word, towards zero, as `fctiwz` gives it.
    ToWord,
    /// x as an integer word, towards zero, in both words.
    ToWords,
}

impl Operation {
    /// In the order of their numbers.
    pub const ALL: [Operation; 14] = [
        Operation::Add,
        Operation::Sub,
        Operation::Mul,
        Operation::Div,
        Operation::Sqrt,
        Operation::Madd,
        Operation::Msub,
        Operation::Nmadd,
        Operation::Nmsub,
        Operation::Round,
        Operation::OfInteger,
        Operation::ToDoubleword,
        Operation::ToWord,
        Operation::ToWords,
    ];
}

/// Arithmetic on doublewords 0 of three VSRs, in double format; or on each element of them, of either format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// What is computed.
    pub operation: Operation,
    /// Rounded to single precision, within its range; elements of single format.
    pub single: bool,
    /// VSR of the result.
    pub t: usize,
    /// VSR of x.
    pub x: usize,
    /// VSR of y.
    pub y: usize,
    /// VSR of z.
    pub z: usize,
}

/// A comparison of each element of two VSRs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elements {
    /// Elements of single format, else of double.
    pub single: bool,
    /// VSR of the masks.
    pub t: usize,
    /// VSR of the first operand.
    pub x: usize,
    /// VSR of the second.
    pub y: usize,
    /// Relations that give ones: [`fp::EQUAL`], [`fp::GREATER`] or both.
    pub relations: u8,
}

/// Doublewords 0 of A, B and C, by name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands {
    pub a: u64,
    pub b: u64,
    pub c: u64,
}

/// The outcome of an operation, which every engine's has to be.
pub fn evaluate(operation: Operation, x: u64, y: u64, z: u64, k: Control) -> Outcome<u64> {
    match operation {
        Operation::Round => fp::convert::<Double, Double>(x, k),
        Operation::OfInteger => fp::from_signed::<Double>(i128::from(x as i64), k),
        Operation::ToDoubleword => crate::fp::integer(fp::to_integer::<Double>(x, Integer::I64, Rounding::Zero)),
        Operation::ToWord => crate::fp::word_integer(x, Integer::I32, Rounding::Zero),
        Operation::ToWords => crate::vsx_fp::words(fp::to_integer::<Double>(x, Integer::I32, Rounding::Zero)),
        _ => evaluate_in::<Double>(operation, x, y, z, k).expect("the others are above"),
    }
}

/// The outcome of an operation within a format, if it is one.
fn evaluate_in<F: Float>(
    operation: Operation,
    x: F::Bits,
    y: F::Bits,
    z: F::Bits,
    k: Control,
) -> Option<Outcome<F::Bits>> {
    Some(match operation {
        Operation::Add => fp::add::<F>(x, y, k),
        Operation::Sub => fp::sub::<F>(x, y, k),
        Operation::Mul => fp::mul::<F>(x, y, k),
        Operation::Div => fp::div::<F>(x, y, k),
        Operation::Sqrt => fp::sqrt::<F>(x, k),
        Operation::Madd => fp::mul_add::<F>(MulAdd::Madd, x, y, z, k),
        Operation::Msub => fp::mul_add::<F>(MulAdd::Msub, x, y, z, k),
        Operation::Nmadd => fp::mul_add::<F>(MulAdd::Nmadd, x, y, z, k),
        Operation::Nmsub => fp::mul_add::<F>(MulAdd::Nmsub, x, y, z, k),
        _ => return None,
    })
}

/// What of FPSCR an operation writes besides exceptions.
fn status(operation: Operation, outcome: &Outcome<u64>) -> Status {
    match operation {
        Operation::ToDoubleword | Operation::ToWord | Operation::ToWords => Status::Rounding,
        _ => Status::Class(outcome.fprf),
    }
}

/// Body of the helper of scalar arithmetic, whose operands are among A, B and C.
pub(crate) fn perform(
    vcpu: &mut Vcpu,
    regs: u64,
    (operation, single): (Operation, bool),
    operands: impl Fn(Operands) -> [u64; 3],
) -> bool {
    let f = |a, b, c, k: Control| {
        let [x, y, z] = operands(Operands { a, b, c });
        evaluate(operation, x, y, z, if single { k.single() } else { k })
    };
    scalar_with(vcpu, regs, f, |outcome| (outcome.value, status(operation, outcome)))
}

impl Arithmetic {
    /// As [`vcpu::translated::Deferred`] has it: not 0.
    pub const fn code(self) -> u32 {
        (self.operation as u32 + 1) | (self.single as u32) << SINGLE_SHIFT
    }
}

/// In [`Arithmetic::code`].
const SINGLE_SHIFT: u32 = 8;

/// Has FPSCR hear of what generated code deferred. To be called before any bit of it but the control bits is looked at, or
/// written.
#[inline]
pub fn settle(vcpu: &mut Vcpu) {
    let deferred = &vcpu.translated.deferred;
    if deferred.what | deferred.fpcc | deferred.rounded != 0 {
        settle_deferred(vcpu);
    }
}

#[cold]
fn settle_deferred(vcpu: &mut Vcpu) {
    let deferred = std::mem::take(&mut vcpu.translated.deferred);
    let single = deferred.what >> SINGLE_SHIFT != 0;
    let number = (deferred.what & ((1 << SINGLE_SHIFT) - 1)) as usize;
    if let Some(operation) = number.checked_sub(1).and_then(|n| Operation::ALL.get(n)) {
        let k = if single { control(vcpu).single() } else { control(vcpu) };
        let [x, y, z] = deferred.operands;
        let outcome = evaluate(*operation, x, y, z, k);
        vcpu.state.fpscr = fpscr_apply(vcpu.state.fpscr, outcome.flags, status(*operation, &outcome)).fpscr;
    }
    if deferred.rounded != 0 {
        let flags = Flags(if deferred.rounded > 1 { fpscr::XX | fpscr::FI } else { 0 });
        vcpu.state.fpscr = fpscr_apply(vcpu.state.fpscr, flags, Status::Rounding).fpscr;
    }
    if deferred.fpcc != 0 {
        let status = Status::Compare(deferred.fpcc as u8);
        vcpu.state.fpscr = fpscr_apply(vcpu.state.fpscr, Flags::NONE, status).fpscr;
    }
}

/// Arithmetic that an engine may make itself where nothing is out of the ordinary; else it calls the helper.
pub fn arithmetic<S: Sem>(s: &mut S, what: Arithmetic, helper: Fallible, regs: Regs) -> R {
    // CR1 follows from all of the FPSCR.
    if regs.rc { run(s, helper, regs) } else { s.arithmetic(what, helper, regs.pack()) }
}

/// Calls a helper that raises nothing.
pub fn call_infallible<S: Sem>(s: &mut S, helper: Helper, regs: Regs) -> S::Long {
    let (regs, zero) = (s.long(regs.pack()), s.long(0));
    s.call(helper, regs, zero, zero)
}

/// CR1 as Rc=1 asks: FX, FEX, VX, OX.
pub fn cr1(fpscr: u64) -> u64 {
    fpscr >> 28 & 0xf
}

/// Is an enabled exception to interrupt (MSR\[FE0,FE1\] not both zero)? All modes interrupt precisely.
pub fn interrupts(vcpu: &Vcpu) -> bool {
    vcpu.state.msr & (msr::FE0 | msr::FE1) != 0
}

/// The end of every arithmetic instruction: updates the FPSCR, writes the target unless an enabled exception forbids
/// it, interrupts after an enabled exception. Returns CR1.
pub fn finish(vcpu: &mut Vcpu, regs: Regs, flags: Flags, status: Status, value: u128) -> R<u64> {
    settle(vcpu);
    let applied = fpscr_apply(vcpu.state.fpscr, flags, status);
    vcpu.state.fpscr = applied.fpscr;
    if applied.write_target {
        vcpu.state.vsr[regs.t] = value;
    }
    let cr1 = cr1(applied.fpscr);
    if applied.exception_enabled && interrupts(vcpu) {
        if regs.rc {
            vcpu.state.crf[1] = cr1 as u8;
        }
        return vcpu.raise_program(srr1::PROGRAM_FP);
    }
    Ok(cr1)
}

/// The end of every compare: FPCC and CR field `bf` are written even if the compare interrupts.
pub fn finish_compare(vcpu: &mut Vcpu, bf: u64, relation: u8, flags: Flags) -> R<u64> {
    settle(vcpu);
    let applied = fpscr_apply(vcpu.state.fpscr, flags, Status::Compare(relation));
    vcpu.state.fpscr = applied.fpscr;
    if applied.exception_enabled && interrupts(vcpu) {
        vcpu.state.crf[(bf & 7) as usize] = relation;
        return vcpu.raise_program(srr1::PROGRAM_FP);
    }
    Ok(u64::from(relation))
}

/// Doubleword 0 of a VSR.
pub fn high(vcpu: &Vcpu, n: usize) -> u64 {
    (vcpu.state.vsr[n] >> 64) as u64
}

/// Doubleword 0 is the result, doubleword 1 zero, as all processors do it and 3.1 says.
pub fn scalar_value(value: u64) -> u128 {
    u128::from(value) << 64
}

fn control(vcpu: &Vcpu) -> Control {
    Control::from_fpscr(vcpu.state.fpscr)
}

/// Body of a helper: scalar operation on doublewords 0 of A, B, C that reports class, FR and FI.
pub fn scalar(vcpu: &mut Vcpu, regs: u64, f: impl FnOnce(u64, u64, u64, Control) -> Outcome<u64>) -> bool {
    scalar_with(vcpu, regs, f, |outcome| (outcome.value, Status::Class(outcome.fprf)))
}

/// Body of a helper: as [`scalar`], of an instruction that only raises exceptions.
pub fn scalar_quiet(vcpu: &mut Vcpu, regs: u64, f: impl FnOnce(u64, u64, u64, Control) -> Outcome<u64>) -> bool {
    scalar_with(vcpu, regs, f, |outcome| (outcome.value, Status::Exceptions))
}

/// Body of a helper: a conversion to an integer, of which FPRF learns nothing.
pub fn scalar_to_integer(vcpu: &mut Vcpu, regs: u64, f: impl FnOnce(u64, u64, u64, Control) -> Outcome<u64>) -> bool {
    scalar_with(vcpu, regs, f, |outcome| (outcome.value, Status::Rounding))
}

fn scalar_with(
    vcpu: &mut Vcpu,
    regs: u64,
    f: impl FnOnce(u64, u64, u64, Control) -> Outcome<u64>,
    status: impl FnOnce(&Outcome<u64>) -> (u64, Status),
) -> bool {
    fallible(vcpu, |vcpu| {
        let regs = Regs::of(regs);
        let outcome = f(high(vcpu, regs.a), high(vcpu, regs.b), high(vcpu, regs.c), control(vcpu));
        let (value, status) = status(&outcome);
        finish(vcpu, regs, outcome.flags, status, scalar_value(value))
    })
}

/// Body of a helper: an operation on whole VSRs.
pub fn quad(vcpu: &mut Vcpu, regs: u64, f: impl FnOnce(u128, u128, u128, Control) -> (Outcome<u128>, Status)) -> bool {
    fallible(vcpu, |vcpu| {
        let regs = Regs::of(regs);
        let [a, b, c] = [regs.a, regs.b, regs.c].map(|n| vcpu.state.vsr[n]);
        let (outcome, status) = f(a, b, c, control(vcpu));
        finish(vcpu, regs, outcome.flags, status, outcome.value)
    })
}

/// Body of the helper of vector arithmetic, whose operands are among A, B and C.
pub(crate) fn perform_vector(
    vcpu: &mut Vcpu,
    regs: u64,
    (operation, single): (Operation, bool),
    operands: impl Fn(Operands) -> [u64; 3],
) -> bool {
    let none = "arithmetic within a format";
    vector(vcpu, regs, if single { 32 } else { 64 }, |a, b, c, k| {
        let [x, y, z] = operands(Operands { a, b, c });
        if single {
            let outcome = evaluate_in::<Single>(operation, x as u32, y as u32, z as u32, k);
            outcome.expect(none).map(u64::from)
        } else {
            evaluate_in::<Double>(operation, x, y, z, k).expect(none)
        }
    })
}

/// Body of a helper: an operation on each doubleword; FR, FI and FPRF stay as they are.
pub fn vector_dp(vcpu: &mut Vcpu, regs: u64, f: impl Fn(u64, u64, u64, Control) -> Outcome<u64>) -> bool {
    vector(vcpu, regs, 64, f)
}

/// Body of a helper: an operation on each word.
pub fn vector_sp(vcpu: &mut Vcpu, regs: u64, f: impl Fn(u32, u32, u32, Control) -> Outcome<u32>) -> bool {
    vector(vcpu, regs, 32, |a, b, c, k| f(a as u32, b as u32, c as u32, k).map(u64::from))
}

fn vector(vcpu: &mut Vcpu, regs: u64, bits: u32, f: impl Fn(u64, u64, u64, Control) -> Outcome<u64>) -> bool {
    fallible(vcpu, |vcpu| {
        let regs = Regs::of(regs);
        let [a, b, c] = [regs.a, regs.b, regs.c].map(|n| vcpu.state.vsr[n]);
        let k = control(vcpu);
        let (mut flags, mut value) = (Flags::NONE, 0);
        for shift in (0..128).step_by(bits as usize) {
            let element = |v: u128| (v >> shift) as u64;
            let outcome = f(element(a), element(b), element(c), k);
            flags |= outcome.flags;
            value |= u128::from(outcome.value) << shift;
        }
        finish(vcpu, regs, flags, Status::Exceptions, value)
    })
}

/// FPSCR\[VE\].
pub fn invalid_enabled(vcpu: &Vcpu) -> bool {
    vcpu.state.fpscr & fpscr::VE != 0
}

/// Defines semantics whose helper is a body of this module applied to a closure:
/// `name: registers, body, |a, b, c, k| outcome;`.
macro_rules! float_rows {
    ($(
        $name:ident: $regs:ident, $body:ident, |$a:pat_param, $b:pat_param, $c:pat_param, $k:pat_param| $f:expr;
    )*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, _: u64, _: u64) -> bool {
                float::$body(vcpu, regs, |$a, $b, $c, $k| $f)
            }
            float::run(s, helper, Regs::$regs(i))
        }
    )*};
}
pub(crate) use float_rows;

/// Defines scalar arithmetic: `name: registers operation format x y z;`, the operands among A, B and C.
macro_rules! arithmetic_rows {
    ($($name:ident: $regs:ident $operation:ident $format:ident $x:ident $y:ident $z:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            const SINGLE: bool = arithmetic_rows!(@$format);
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, _: u64, _: u64) -> bool {
                float::perform(vcpu, regs, (float::Operation::$operation, SINGLE), |v| [v.$x, v.$y, v.$z])
            }
            let regs = Regs::$regs(i);
            let (t, x, y, z) = (regs.t, regs.$x, regs.$y, regs.$z);
            let operation = float::Operation::$operation;
            float::arithmetic(s, float::Arithmetic { operation, single: SINGLE, t, x, y, z }, helper, regs)
        }
    )*};
    (@Single) => { true };
    (@Double) => { false };
}
pub(crate) use arithmetic_rows;

/// Defines vector arithmetic: `name: operation format x y z;`, the operands among XA, XB and XT.
macro_rules! vector_rows {
    ($($name:ident: $operation:ident $format:ident $x:ident $y:ident $z:ident;)*) => {$(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            const OPERATION: (float::Operation, bool) =
                (float::Operation::$operation, matches!(stringify!($format).as_bytes(), b"Single"));
            extern "C" fn helper(vcpu: &mut Vcpu, regs: u64, _: u64, _: u64) -> bool {
                float::perform_vector(vcpu, regs, OPERATION, |v| [v.$x, v.$y, v.$z])
            }
            let regs = Regs::vsr(i);
            let (operation, single) = OPERATION;
            let what = float::Arithmetic { operation, single, t: regs.t, x: regs.$x, y: regs.$y, z: regs.$z };
            s.vector_arithmetic(what, helper, regs.pack())
        }
    )*};
}
pub(crate) use vector_rows;

#[cfg(test)]
mod tests {
    use super::*;
    use cpu::{Interrupt, Vector};
    use std::sync::Arc;
    use vcpu::{Exit, Silent};

    const ONE: u64 = 0x3ff << 52;
    const SNAN: u64 = 0x7ff << 52 | 1;
    const OLD: u128 = 0x0123_4567_89ab_cdef_0011_2233_4455_6677;

    fn vcpu(fpscr: u64, msr: u64, a: u64, b: u64) -> Vcpu {
        let memory = Arc::new(memory::Memory::new(1 << 16, 1).unwrap());
        let clock = Arc::new(timing::Clock::virtual_time(0));
        let mut vcpu = Vcpu::new(0, &cpu::model::POWER9, memory, clock, Arc::new(Silent));
        (vcpu.state.fpscr, vcpu.state.msr, vcpu.cia) = (fpscr, msr, 0x1000);
        (vcpu.state.vsr[1], vcpu.state.vsr[2]) = (scalar_value(a), scalar_value(b));
        vcpu.state.vsr[3] = OLD;
        vcpu
    }

    fn add(vcpu: &mut Vcpu) -> bool {
        let regs = Regs { t: 3, a: 1, b: 2, c: 0, rc: true };
        scalar(vcpu, regs.pack(), |a, b, _, k| fp::add::<Double>(a, b, k))
    }

    #[test]
    fn the_result_clears_doubleword_1_and_sets_the_class() {
        let mut vcpu = vcpu(fpscr::FR | fpscr::FI, 0, ONE, ONE);
        assert!(add(&mut vcpu));
        assert_eq!(vcpu.state.vsr[3], scalar_value(2f64.to_bits()));
        assert_eq!((vcpu.state.fpscr, vcpu.result), (4 << fpscr::FPRF_SHIFT, 0));
    }

    #[test]
    fn an_enabled_invalid_operation_keeps_the_target_even_if_it_may_not_interrupt() {
        let mut vcpu = vcpu(fpscr::VE, 0, ONE, SNAN);
        assert!(add(&mut vcpu));
        assert_eq!(vcpu.state.vsr[3], OLD);
        assert_eq!(vcpu.result, 0b1110);
        assert_eq!(vcpu.state.fpscr, fpscr::VE | fpscr::FX | fpscr::FEX | fpscr::VX | fpscr::VXSNAN);
    }

    #[test]
    fn an_enabled_inexact_result_is_written_before_the_interrupt() {
        let mut vcpu = vcpu(fpscr::XE, msr::FE1, ONE, 1);
        vcpu.state.crf[1] = 0;
        assert!(!add(&mut vcpu));
        assert_eq!(vcpu.state.vsr[3], scalar_value(ONE));
        assert_eq!(vcpu.state.crf[1], 0b1100);
        let expected = Interrupt::new(Vector::Program, 0x1000).with_srr1(srr1::PROGRAM_FP);
        assert_eq!(vcpu.exit, Exit::Interrupt(expected));
    }

    #[test]
    fn elements_raise_together_and_leave_the_class() {
        let mut vcpu = vcpu(9 << fpscr::FPRF_SHIFT, 0, SNAN, ONE);
        vcpu.state.vsr[1] |= u128::from(ONE);
        vcpu.state.vsr[2] |= 1;
        let regs = Regs { t: 3, a: 1, b: 2, c: 0, rc: false };
        assert!(vector_dp(&mut vcpu, regs.pack(), |a, b, _, k| fp::add::<Double>(a, b, k)));
        assert_eq!(vcpu.state.vsr[3], u128::from(SNAN | 1 << 51) << 64 | u128::from(ONE));
        let raised = fpscr::FX | fpscr::VX | fpscr::VXSNAN | fpscr::XX;
        assert_eq!(vcpu.state.fpscr, 9 << fpscr::FPRF_SHIFT | raised);
    }

    #[test]
    fn a_compare_that_interrupts_has_set_its_field() {
        let mut vcpu = vcpu(fpscr::VE, msr::FE0, ONE, SNAN);
        let (relation, flags) = fp::compare_ordered::<Double>(ONE, SNAN, invalid_enabled(&vcpu));
        assert!(finish_compare(&mut vcpu, 5, relation, flags).is_err());
        assert_eq!(vcpu.state.crf[5], fp::UNORDERED);
        assert_eq!(vcpu.state.fpscr & (fpscr::FPCC | fpscr::VXVC), 1 << fpscr::FPRF_SHIFT);
    }

    #[test]
    fn registers_of_a_helper_stay_inside_the_file() {
        let regs = Regs { t: 63, a: 31, b: 40, c: 7, rc: true };
        assert_eq!(Regs::of(regs.pack()), regs);
        let any = Regs::of(u64::MAX);
        assert!(any.t < 64 && any.a < 64 && any.b < 64 && any.c < 64);
    }
}
