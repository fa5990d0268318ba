//! Floating-point arithmetic, scalar and vector, and scalar comparisons on the host's registers.
//!
//! In line is what raises nothing but XX, while FPSCR\[XX\] is 1 already, no exception is enabled, and results are rounded to
//! nearest: the host rounds alike, and of FPSCR only FR, FI and FPRF change. Those are the last instruction's alone. It is kept
//! with its operands ([`vcpu::translated::Deferred`]), and whoever looks at FPSCR has it evaluated. Everything else is the helper's.

use super::layout::*;
use super::*;
use crate::hooks;
use arith::fp::fast::{SAFE_DOUBLE, SAFE_SINGLE};
use arith::{fp, fpscr};
use core::mem::offset_of;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{
    BlockArg, Endianness, InstBuilder, Value,
    types::{F32, F32X4, F64, F64X2, I8X16, I32, I32X4, I64, I64X2},
};
use sem::float::{Arithmetic, Elements, Operation};
use sem::mma::OuterProduct;
use vcpu::translated::Deferred as Kept;

/// What FPSCR is to hear of, and what of it the state does not have yet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deferred {
    /// [`Arithmetic::code`] and operands.
    operation: Option<(u32, [Value; 3])>,
    /// Behind it: FPCC of a comparison, as I64.
    fpcc: Option<Value>,
    /// Behind it: what a conversion to an integer leaves, as I64.
    rounded: Option<Value>,
}

impl Deferred {
    pub(super) fn is_dirty(&self) -> bool {
        self.operation.is_some() || self.fpcc.is_some() || self.rounded.is_some()
    }
}

/// Arithmetic whose result may be exact.
struct Exact {
    operation: Operation,
    /// Operands and result in the format that it is made in.
    operands: [Value; 3],
    result: Value,
    /// Not zero if it is out of the ordinary for another reason.
    rest: Option<Value>,
}

const fn deferred(offset: usize) -> i32 {
    translated(DEFERRED + offset)
}

/// The bits of a format below its sign, the place of its exponent, and the exponents of results that raise nothing but XX: a
/// number below is tiny before it is rounded, or may be.
const DOUBLE: (i64, i64) = (i64::MAX, 52);
const SINGLE: (i64, i64) = (i32::MAX as i64, 23);
const LEAST_EXPONENT: i64 = 2;
/// Elements of a vector are numbered from its low end.
const LITTLE: MemFlagsData = MemFlagsData::new().with_endianness(Endianness::Little);

impl Emit<'_, '_> {
    /// Stores what FPSCR is to hear of.
    pub(super) fn flush_deferred(&mut self) {
        let d = std::mem::take(&mut self.local.deferred);
        if let Some((what, operands)) = d.operation {
            for (n, v) in operands.into_iter().enumerate() {
                self.store_state(v, deferred(offset_of!(Kept, operands) + 8 * n));
            }
            let what = self.b.ins().iconst(I32, i64::from(what));
            self.store_state(what, deferred(offset_of!(Kept, what)));
        }
        for (v, at) in [(d.fpcc, offset_of!(Kept, fpcc)), (d.rounded, offset_of!(Kept, rounded))] {
            // What stands there is older than the operation.
            let v = v.or_else(|| d.operation.map(|_| self.k(0)));
            if let Some(v) = v {
                let v = self.b.ins().ireduce(I32, v);
                self.store_state(v, deferred(at));
            }
        }
    }

    /// Doubleword 0 of VSR `n`.
    pub(super) fn high(&mut self, n: usize) -> Value {
        if let Some(v) = self.local.high.get(&n) {
            return *v;
        }
        let v = if let Some(v) = self.local.double.get(&n).copied() {
            self.b.ins().bitcast(I64, MemFlagsData::new(), v)
        } else if let Some(v) = self.local.vsr.get(&n).copied() {
            crate::vector::vec_high(self.b, v)
        } else {
            self.load_state(I64, vsr_offset(n) + 8)
        };
        self.local.high.insert(n, v);
        v
    }

    /// The same in double format.
    fn double(&mut self, n: usize) -> Value {
        if let Some(v) = self.local.double.get(&n) {
            return *v;
        }
        let known = self.local.high.contains_key(&n) || self.local.vsr.contains_key(&n);
        let v = if known {
            let v = self.high(n);
            match self.local.moved.get(&v) {
                Some(double) => *double,
                None => self.b.ins().bitcast(F64, MemFlagsData::new(), v),
            }
        } else {
            self.load_state(F64, vsr_offset(n) + 8)
        };
        self.local.double.insert(n, v);
        v
    }

    /// Goes on in a cold block where `uncommon`, with the helper, which writes its register and FPSCR in the state. In the line
    /// does `write` instead. Returns what comes of either: the value that `read` finds behind the helper, or `value`.
    fn uncommon<const N: usize>(
        &mut self,
        uncommon: Value,
        exact: Option<Exact>,
        (f, tag, operand): (Fallible, Long, u64),
        values: [Value; N],
        write: impl FnOnce(&mut Self),
        read: impl FnOnce(&mut Self) -> [Value; N],
    ) -> [Value; N] {
        let (cold, line, on) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        let results = values.map(|value| {
            let ty = self.b.func.dfg.value_type(value);
            self.b.append_block_param(on, ty)
        });
        self.b.ins().brif(uncommon, cold, &[], line, &[]);
        self.b.switch_to_block(line);
        self.aside(write);
        self.b.ins().jump(on, &values.map(BlockArg::Value));
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        self.aside(|s| {
            if let Some(exact) = exact {
                let inexact = s.inexact(exact);
                let help = s.b.create_block();
                s.b.set_cold_block(help);
                s.b.ins().brif(inexact, help, &[], line, &[]);
                s.b.seal_block(help);
                s.b.switch_to_block(help);
            }
            s.b.seal_block(line);
            s.flush();
            let helper = s.helper(f as usize);
            s.store_state(helper, ADDEND);
            for (v, at) in [(tag, EA), (Long::K(operand), BOUNCE)] {
                let v = s.value(v);
                s.store_state(v, at);
            }
            let place = hooks::access(0, false, s.at.offset, s.at.ahead, false);
            let place = s.b.ins().iconst(I32, i64::from(place));
            s.store_state(place, ACCESS);
            s.settle_budget();
            let stub = s.stub(number::ARITHMETIC);
            s.b.ins().call_indirect(s.env.signatures.kept, stub, &[]);
            let values = read(s);
            s.b.ins().jump(on, &values.map(BlockArg::Value));
        });
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        results
    }

    /// Not zero unless a result raises nothing at all, so that XX may be 0, too.
    fn inexact(&mut self, exact: Exact) -> Value {
        let Exact { operation, operands: [a, b, c], result, rest } = exact;
        let fpscr = self.load_state(I32, FPSCR);
        let mask = self.b.ins().iconst(I32, (fpscr::RN | fpscr::ENABLES) as i64);
        let fpscr = self.b.ins().band(fpscr, mask);
        let zero = self.b.ins().iconst(I32, 0);
        let mut not = self.b.ins().icmp(IntCC::NotEqual, fpscr, zero);
        let mut or = |s: &mut Self, v: Value| not = s.b.ins().bor(not, v);
        if let Some(rest) = rest {
            or(self, rest);
        }
        let error = match operation {
            Operation::OfInteger => {
                // So many bits are in a fraction.
                let bits = if self.b.func.dfg.value_type(result) == F32 { 24 } else { 53 };
                let [half, all] = [1 << bits, 2 << bits].map(|k| self.k(k));
                let v = self.b.ins().bitcast(I64, MemFlagsData::new(), a);
                let above = self.b.ins().iadd(v, half);
                let many = self.b.ins().icmp(IntCC::UnsignedGreaterThan, above, all);
                or(self, many);
                return not;
            }
            Operation::ToDoubleword | Operation::ToWord | Operation::ToWords => {
                let v = self.b.ins().fcvt_to_sint_sat(I64, a);
                let back = self.b.ins().fcvt_from_sint(F64, v);
                self.b.ins().fsub(a, back)
            }
            Operation::Round => {
                let back = self.b.ins().fpromote(F64, result);
                self.b.ins().fsub(a, back)
            }
            Operation::Add => self.error_of_sum(a, b, result),
            Operation::Sub => {
                let b = self.b.ins().fneg(b);
                self.error_of_sum(a, b, result)
            }
            Operation::Mul => {
                let less = self.b.ins().fneg(result);
                self.b.ins().fma(a, b, less)
            }
            _ => {
                // An exact product that the sum with it is exact for, too; more is not looked for.
                let product = self.b.ins().fmul(a, b);
                let less = self.b.ins().fneg(product);
                let error = self.b.ins().fma(a, b, less);
                let c = match operation {
                    Operation::Msub | Operation::Nmsub => self.b.ins().fneg(c),
                    _ => c,
                };
                let unsafe_product = self.unsafe_for_errors(product, false);
                or(self, unsafe_product);
                let zero = self.zero_like(error);
                let error = self.b.ins().fcmp(FloatCC::NotEqual, error, zero);
                or(self, error);
                self.error_of_sum(product, c, result)
            }
        };
        if !matches!(operation, Operation::ToDoubleword | Operation::ToWord | Operation::ToWords | Operation::Round) {
            let sum = matches!(operation, Operation::Add | Operation::Sub);
            let out = self.unsafe_for_errors(result, sum);
            or(self, out);
        }
        let zero = self.zero_like(error);
        let error = self.b.ins().fcmp(FloatCC::NotEqual, error, zero);
        or(self, error);
        not
    }

    fn zero_like(&mut self, v: Value) -> Value {
        if self.b.func.dfg.value_type(v) == F32 { self.b.ins().f32const(0.0) } else { self.b.ins().f64const(0.0) }
    }

    /// Rounding error of a sum (Knuth).
    fn error_of_sum(&mut self, x: Value, y: Value, sum: Value) -> Value {
        let ins = |s: &mut Self, a, b| s.b.ins().fsub(a, b);
        let of_y = ins(self, sum, x);
        let of_x = ins(self, sum, of_y);
        let (x, y) = (ins(self, x, of_x), ins(self, y, of_y));
        self.b.ins().fadd(x, y)
    }

    /// Not zero unless errors can be computed of a number of this size; a sum may be zero.
    fn unsafe_for_errors(&mut self, v: Value, sum: bool) -> Value {
        let (least, largest) = if self.b.func.dfg.value_type(v) == F32 {
            (i64::from(*SAFE_SINGLE.start()), i64::from(*SAFE_SINGLE.end()))
        } else {
            (*SAFE_DOUBLE.start() as i64, *SAFE_DOUBLE.end() as i64)
        };
        self.beside(v, least, largest, sum)
    }

    /// `value` in single precision, and not zero where that is another (a NaN may lose bits of its payload all the same).
    fn in_single(&mut self, value: Value) -> (Value, Option<Value>) {
        let single = self.b.ins().fdemote(F32, value);
        if self.local.single.contains(&value) {
            return (single, None);
        }
        let back = self.b.ins().fpromote(F64, single);
        (single, Some(self.b.ins().fcmp(FloatCC::NotEqual, back, value)))
    }

    /// Not zero if the result may raise something besides XX. A sum that is zero is exact.
    fn out_of_range(&mut self, result: Value, sum: bool) -> Value {
        let (below_sign, place) = if self.b.func.dfg.value_type(result) == F32 { SINGLE } else { DOUBLE };
        self.beside(result, LEAST_EXPONENT, (below_sign >> place) - 1, sum)
    }

    /// Not zero unless the exponent is one of those, or the number zero and `zero` may be.
    fn beside(&mut self, result: Value, least: i64, largest: i64, zero: bool) -> Value {
        let single = self.b.func.dfg.value_type(result) == F32;
        let ((below_sign, place), ty) = if single { (SINGLE, I32) } else { (DOUBLE, I64) };
        let (least, count) = (least << place, (largest + 1 - least) << place);
        let bits = self.b.ins().bitcast(ty, MemFlagsData::new(), result);
        let constant = |s: &mut Self, v: i64| if single { s.b.ins().iconst(I32, v) } else { s.k(v) };
        let (mask, least) = (constant(self, below_sign), constant(self, least));
        let magnitude = self.b.ins().band(bits, mask);
        let above = self.b.ins().isub(magnitude, least);
        let count = constant(self, count);
        let out = self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, above, count);
        if !zero {
            return out;
        }
        let zero = constant(self, 0);
        let not_zero = self.b.ins().icmp(IntCC::NotEqual, magnitude, zero);
        self.b.ins().band(out, not_zero)
    }

    /// Not zero if a number's magnitude is 2 to the power of `n`, or larger, or if it is none.
    fn beyond(&mut self, v: Value, n: i64) -> Value {
        let bits = self.b.ins().bitcast(I64, MemFlagsData::new(), v);
        let (mask, limit) = (self.k(DOUBLE.0), self.k((1023 + n) << DOUBLE.1));
        let magnitude = self.b.ins().band(bits, mask);
        self.b.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, magnitude, limit)
    }

    /// A word in single format, in double format. The host makes NaNs quiet: those are put together.
    pub(super) fn widened(&mut self, word: Long) -> Long {
        let word = self.value(word);
        let single = self.b.ins().ireduce(I32, word);
        let single = self.b.ins().bitcast(F32, MemFlagsData::new(), single);
        let double = self.b.ins().fpromote(F64, single);
        let (cold, on) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(cold);
        let result = self.b.append_block_param(on, F64);
        let nan = self.b.ins().fcmp(FloatCC::Unordered, single, single);
        self.b.ins().brif(nan, cold, &[], on, &[BlockArg::Value(double)]);
        self.b.seal_block(cold);
        self.b.switch_to_block(cold);
        self.aside(|s| {
            let [sign, fraction, exponent] = [1 << 31, (1 << 23) - 1, 0x7FF << 52].map(|k| s.k(k));
            let (sign, fraction) = (s.b.ins().band(word, sign), s.b.ins().band(word, fraction));
            let [to_sign, to_fraction] = [32, 29].map(|k| s.k(k));
            let (sign, fraction) = (s.b.ins().ishl(sign, to_sign), s.b.ins().ishl(fraction, to_fraction));
            let v = s.b.ins().bor(sign, fraction);
            let v = s.b.ins().bor(v, exponent);
            let v = s.b.ins().bitcast(F64, MemFlagsData::new(), v);
            s.b.ins().jump(on, &[BlockArg::Value(v)]);
        });
        self.b.seal_block(on);
        self.b.switch_to_block(on);
        self.local.single.insert(result);
        let v = self.b.ins().bitcast(I64, MemFlagsData::new(), result);
        self.local.moved.insert(v, result);
        Long::V(v)
    }

    /// A value in double format as a word in single format. Those with exponents of single format, and zeros, lose bits in the
    /// middle.
    pub(super) fn narrowed(&mut self, v: Long) -> Long {
        let v = self.value(v);
        let [mask, one, limit] = [DOUBLE.0, 1, (897 << DOUBLE.1) - 1].map(|k| self.k(k));
        let magnitude = self.b.ins().band(v, mask);
        let below = self.b.ins().isub(magnitude, one);
        let small = self.b.ins().icmp(IntCC::UnsignedLessThan, below, limit);
        let [top, rest, thirty_two, twenty_nine] = [0xC000_0000, 0x3FFF_FFFF, 32, 29].map(|k| self.k(k));
        let (high, low) = (self.b.ins().ushr(v, thirty_two), self.b.ins().ushr(v, twenty_nine));
        let (high, low) = (self.b.ins().band(high, top), self.b.ins().band(low, rest));
        let word = self.b.ins().bor(high, low);
        let f: Fallible = sem::fp::single_from_double;
        let [word] = self.uncommon(small, None, (f, Long::V(v), 0), [word], |_| (), |s| [s.load_state(I64, RESULT)]);
        Long::V(word)
    }

    /// Not zero unless FPSCR was as the line wants it, where somebody asked first: arithmetic sets XX, and changes nothing else of
    /// what is asked for.
    fn other_fpscr(&mut self) -> Value {
        if let Some(other) = self.local.other_fpscr {
            return other;
        }
        let fpscr = self.load_state(I32, FPSCR);
        let mask = self.b.ins().iconst(I32, (fpscr::RN | fpscr::ENABLES | fpscr::XX) as i64);
        let fpscr = self.b.ins().band(fpscr, mask);
        let wanted = self.b.ins().iconst(I32, fpscr::XX as i64);
        let other = self.b.ins().icmp(IntCC::NotEqual, fpscr, wanted);
        self.local.other_fpscr = Some(other);
        other
    }

    /// Scalar arithmetic, or vector arithmetic with `vector`. Without a host that multiplies and adds with one rounding, the helper's.
    pub(super) fn float(&mut self, vector: bool, what: Arithmetic, f: Fallible, tag: u64) -> R {
        match (self.env.fma, vector) {
            (false, _) => {
                let zero = Long::K(0);
                self.try_call_vsr(f, tag, zero, zero).map(|_| ())
            }
            (true, false) => self.float_scalar(what, f, tag),
            (true, true) => self.float_vector(what, f, tag),
        }
    }

    /// The host's operation on numbers, or vectors of them; what [`Emit::negated`] does is left.
    fn before_negation(&mut self, operation: Operation, [a, b, c]: [Value; 3]) -> Value {
        let ins = self.b.ins();
        match operation {
            Operation::Add => ins.fadd(a, b),
            Operation::Sub => ins.fsub(a, b),
            Operation::Mul => ins.fmul(a, b),
            Operation::Div => ins.fdiv(a, b),
            Operation::Sqrt => ins.sqrt(a),
            Operation::Madd | Operation::Nmadd => ins.fma(a, b, c),
            Operation::Msub | Operation::Nmsub => {
                let c = ins.fneg(c);
                self.b.ins().fma(a, b, c)
            }
            _ => unreachable!("{operation:?} changes the format"),
        }
    }

    fn negated(&mut self, operation: Operation, result: Value) -> Value {
        match operation {
            Operation::Nmadd | Operation::Nmsub => self.b.ins().fneg(result),
            _ => result,
        }
    }

    fn float_scalar(&mut self, what: Arithmetic, f: Fallible, tag: u64) -> R {
        let (x, y, z) = (self.double(what.x), self.double(what.y), self.double(what.z));
        let (mut a, mut b, mut c) = (x, y, z);
        let mut rest = None;
        let mut or = |s: &mut Self, v: Option<Value>| {
            rest = match (rest, v) {
                (Some(a), Some(b)) => Some(s.b.ins().bor(a, b)),
                (a, b) => a.or(b),
            };
        };
        let operands = match what.operation {
            Operation::Sqrt => 1,
            Operation::Add | Operation::Sub | Operation::Mul | Operation::Div => 2,
            Operation::Madd | Operation::Msub | Operation::Nmadd | Operation::Nmsub => 3,
            // They are of another format.
            _ => 0,
        };
        if what.single {
            for operand in [&mut a, &mut b, &mut c].into_iter().take(operands) {
                let (single, other) = self.in_single(*operand);
                *operand = single;
                or(self, other);
            }
        }
        let result = match what.operation {
            Operation::Round => self.b.ins().fdemote(F32, a),
            Operation::OfInteger => {
                let v = self.high(what.x);
                self.b.ins().fcvt_from_sint(if what.single { F32 } else { F64 }, v)
            }
            Operation::ToDoubleword | Operation::ToWord | Operation::ToWords => a,
            operation => self.before_negation(operation, [a, b, c]),
        };
        let out = match what.operation {
            Operation::OfInteger => None,
            Operation::ToDoubleword => Some(self.beyond(result, 63)),
            Operation::ToWord | Operation::ToWords => Some(self.beyond(result, 31)),
            operation => Some(self.out_of_range(result, matches!(operation, Operation::Add | Operation::Sub))),
        };
        or(self, out);
        let other = self.other_fpscr();
        let uncommon = rest.map_or(other, |rest| self.b.ins().bor(other, rest));
        let exact = match what.operation {
            Operation::Div | Operation::Sqrt => None,
            operation => Some(Exact { operation, operands: [a, b, c], result, rest }),
        };
        let mut result = self.negated(what.operation, result);
        if what.single {
            result = self.b.ins().fpromote(F64, result);
        }
        let mut rounded = None;
        if let Operation::ToDoubleword | Operation::ToWord | Operation::ToWords = what.operation {
            let mut v = self.b.ins().fcvt_to_sint_sat(I64, result);
            let back = self.b.ins().fcvt_from_sint(F64, v);
            let inexact = self.b.ins().fcmp(FloatCC::NotEqual, back, result);
            let [one, two] = [1, 2].map(|k| self.k(k));
            rounded = Some(self.b.ins().select(inexact, two, one));
            if what.operation == Operation::ToWords {
                let n = self.k(32);
                let (upper, lower) = (self.b.ins().ishl(v, n), self.b.ins().ireduce(I32, v));
                let lower = self.b.ins().uextend(I64, lower);
                v = self.b.ins().bor(upper, lower);
            }
            result = self.b.ins().bitcast(F64, MemFlagsData::new(), v);
        }
        let t = what.t;
        let write = |s: &mut Self| {
            let zero = s.k(0);
            s.store_state(zero, vsr_offset(t));
            s.store_state(result, vsr_offset(t) + 8);
        };
        // An enabled exception may leave all of the register as it was.
        let helper = (f, Long::K(tag), 0);
        let read = |s: &mut Self| s.load_state(F64, vsr_offset(t) + 8);
        let result = match rounded {
            None => {
                let operation = Some((what.code(), [x, y, z]));
                let [result] = self.uncommon(uncommon, exact, helper, [result], write, |s| [read(s)]);
                self.local.deferred = Deferred { operation, ..Deferred::default() };
                result
            }
            Some(rounded) => {
                let [result, rounded] = self.uncommon(uncommon, exact, helper, [result, rounded], write, |s| {
                    let result = read(s);
                    let fpscr = s.b.ins().uload32(s.env.state, s.env.vcpu, FPSCR);
                    let [one, fi] = [1, fpscr::FI.trailing_zeros().into()].map(|k| s.k(k));
                    let fi = s.b.ins().ushr(fpscr, fi);
                    let fi = s.b.ins().band(fi, one);
                    [result, s.b.ins().iadd(fi, one)]
                });
                self.local.deferred.rounded = Some(rounded);
                result
            }
        };
        self.forget_vsr(t);
        self.local.double.insert(t, result);
        if what.single {
            self.local.single.insert(result);
        }
        Ok(())
    }

    /// VSR `n` as a vector of floats.
    fn floats(&mut self, n: usize, single: bool) -> Value {
        let v = self.vsr(n);
        self.b.ins().bitcast(if single { F32X4 } else { F64X2 }, LITTLE, v)
    }

    /// Not zero if an element of a vector may raise something besides XX. A sum that is zero is exact.
    fn elements_out_of_range(&mut self, result: Value, single: bool, sum: bool) -> Value {
        let (integers, (below_sign, place)) = if single { (I32X4, SINGLE) } else { (I64X2, DOUBLE) };
        // As signed numbers: those below the least are negative.
        let bits = self.b.ins().bitcast(integers, LITTLE, result);
        let count = ((below_sign >> place) - LEAST_EXPONENT) << place;
        let [mask, least, last] = [below_sign, LEAST_EXPONENT << place, count - 1].map(|k| {
            let k = k as u64;
            let lanes = if single { k << 32 | k } else { k };
            let v = crate::vector::vec_const(self.b, u128::from(lanes) << 64 | u128::from(lanes));
            self.b.ins().bitcast(integers, LITTLE, v)
        });
        let magnitude = self.b.ins().band(bits, mask);
        let above = self.b.ins().isub(magnitude, least);
        let beyond = self.b.ins().icmp(IntCC::SignedGreaterThan, above, last);
        let zero = crate::vector::vec_const(self.b, 0);
        let zero = self.b.ins().bitcast(integers, LITTLE, zero);
        let mut tiny = self.b.ins().icmp(IntCC::SignedLessThan, above, zero);
        if sum {
            // A sum that is zero is exact.
            let exact = self.b.ins().icmp(IntCC::Equal, magnitude, zero);
            tiny = self.b.ins().band_not(tiny, exact);
        }
        self.b.ins().bor(beyond, tiny)
    }

    /// Vector arithmetic: of FPSCR it changes exception bits alone, so that nothing has to be kept.
    fn float_vector(&mut self, what: Arithmetic, f: Fallible, tag: u64) -> R {
        let other = self.other_fpscr();
        let operands = [what.x, what.y, what.z].map(|n| self.floats(n, what.single));
        let result = self.before_negation(what.operation, operands);
        let sum = matches!(what.operation, Operation::Add | Operation::Sub);
        let out = self.elements_out_of_range(result, what.single, sum);
        let out = self.b.ins().vany_true(out);
        let uncommon = self.b.ins().bor(other, out);
        let result = self.negated(what.operation, result);
        let result = self.b.ins().bitcast(I8X16, LITTLE, result);
        let at = vsr_offset(what.t);
        let helper = (f, Long::K(tag), 0);
        let write = |s: &mut Self| s.store_state(result, at);
        let [result] = self.uncommon(uncommon, None, helper, [result], write, |s| [s.load_state(I8X16, at)]);
        self.forget_vsr(what.t);
        self.local.vsr.insert(what.t, result);
        Ok(())
    }

    /// An outer product, the helper's: of registers it touches the VSRs alone that are named.
    pub(super) fn outer(&mut self, what: OuterProduct, f: Fallible) -> R {
        self.flush();
        self.fallible_call(f, Long::K(what.registers()), Long::K(what.masks()), Long::K(0));
        self.local.deferred = Deferred::default();
        (what.acc..what.acc + 4).for_each(|n| self.forget_vsr(n));
        Ok(())
    }

    /// A comparison of elements; one with a NaN is the helper's.
    pub(super) fn float_elements(&mut self, what: Elements, f: Fallible, tag: u64) -> R<Long> {
        let [a, b] = [what.x, what.y].map(|n| self.floats(n, what.single));
        let relation = match what.relations {
            fp::EQUAL => FloatCC::Equal,
            fp::GREATER => FloatCC::GreaterThan,
            _ => FloatCC::GreaterThanOrEqual,
        };
        let unordered = self.b.ins().fcmp(FloatCC::Unordered, a, b);
        let unordered = self.b.ins().vany_true(unordered);
        let mask = self.b.ins().fcmp(relation, a, b);
        let mask = self.b.ins().bitcast(I8X16, LITTLE, mask);
        let (all, any) = (self.b.ins().vall_true(mask), self.b.ins().vany_true(mask));
        let [lt, eq, neither] = [8, 2, 0].map(|field| self.k(field));
        let field = self.b.ins().select(any, neither, eq);
        let field = self.b.ins().select(all, lt, field);
        let at = vsr_offset(what.t);
        let helper = (f, Long::K(tag), u64::from(what.relations));
        let write = |s: &mut Self| s.store_state(mask, at);
        let read = |s: &mut Self| [s.load_state(I8X16, at), s.load_state(I64, RESULT)];
        let [mask, field] = self.uncommon(unordered, None, helper, [mask, field], write, read);
        self.forget_vsr(what.t);
        self.local.vsr.insert(what.t, mask);
        Ok(Long::V(field))
    }

    pub(super) fn float_compare(&mut self, x: usize, y: usize, f: Fallible, tag: u64, field: u64) -> R<Long> {
        let (a, b) = (self.double(x), self.double(y));
        let unordered = self.b.ins().fcmp(FloatCC::Unordered, a, b);
        let less = self.b.ins().fcmp(FloatCC::LessThan, a, b);
        let greater = self.b.ins().fcmp(FloatCC::GreaterThan, a, b);
        let [lt, gt, eq] = [8, 4, 2].map(|relation| self.k(relation));
        let relation = self.b.ins().select(greater, gt, eq);
        let relation = self.b.ins().select(less, lt, relation);
        let helper = (f, Long::K(tag), field);
        let [relation] = self.uncommon(unordered, None, helper, [relation], |_| (), |s| [s.load_state(I64, RESULT)]);
        self.local.deferred.fpcc = Some(relation);
        Ok(Long::V(relation))
    }
}
