//! Shifts and rotates lane by lane. The host shifts all lanes by one count only; here they are multiplications by powers
//! of two, and of the wider lanes scalar.

use super::{Lower, Shift, lane_bits, type_of, vec_from_halves, vec_halves};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{F32X4, I8X16, I16X8, I32X4, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};
use sem::Lane;

impl Lower<'_, '_> {
    /// Lane by lane, counts modulo the width.
    pub(super) fn shift(&mut self, lane: Lane, how: Shift, x: Value, n: Value) -> Value {
        let t = type_of(lane);
        match lane {
            Lane::Q => {
                let (x, n) = (self.cast(t, x), self.cast(I64X2, n));
                let n = self.b.ins().extractlane(n, 0);
                self.shift_by(how, x, n)
            }
            Lane::D => {
                let (xh, xl) = vec_halves(self.b, x);
                let (nh, nl) = vec_halves(self.b, n);
                let (h, l) = (self.shift_by(how, xh, nh), self.shift_by(how, xl, nl));
                vec_from_halves(self.b, h, l)
            }
            _ if how == Shift::Left => {
                let (x, m) = (self.cast(t, x), self.powers(lane, n, false));
                self.product(lane, x, m)
            }
            _ if how == Shift::Rotate => self.rotate(lane, x, n),
            _ if how == Shift::Right => self.shift_right(lane, x, n),
            _ => {
                // What shifts in is the sign: so it does for the complement of negative lanes.
                let zero = self.constant(I8X16, 0);
                let sign = self.compare(lane, IntCC::SignedLessThan, x, zero);
                let x = self.b.ins().bxor(x, sign);
                let v = self.shift_right(lane, x, n);
                let v = self.bytes(v);
                self.b.ins().bxor(v, sign)
            }
        }
    }

    /// `x` shifted by the scalar `n`, modulo the width.
    pub(super) fn shift_by(&mut self, how: Shift, x: Value, n: Value) -> Value {
        match how {
            Shift::Left => self.b.ins().ishl(x, n),
            Shift::Right => self.b.ins().ushr(x, n),
            Shift::Algebraic => self.b.ins().sshr(x, n),
            Shift::Rotate => self.b.ins().rotl(x, n),
        }
    }

    /// Two to the power of each lane (modulo the width), or of the width minus one minus it (`reversed`).
    fn powers(&mut self, lane: Lane, n: Value, reversed: bool) -> Value {
        let t = type_of(lane);
        let n = self.cast(t, n);
        let mask = self.splat(lane, u128::from(lane_bits(lane) - 1));
        let n = if reversed { self.b.ins().band_not(mask, n) } else { self.b.ins().band(n, mask) };
        if lane == Lane::W {
            // The exponent of a single; 2^31 converts to the host's answer to overflow, which is the same bits.
            let one = self.splat(lane, 0x3F80_0000);
            let exponent = self.shifted(lane, n, Shift::Left, 23);
            let single = self.b.ins().iadd(exponent, one);
            let single = self.cast(F32X4, single);
            return self.b.ins().x86_cvtt2dq(I32X4, single);
        }
        // Bytes by number: a power below 256, and zeros behind.
        let table = self.constant(I8X16, 0x8040_2010_0804_0201);
        if lane == Lane::B {
            return self.b.ins().x86_pshufb(table, n);
        }
        // The lower byte has the powers up to 2^7, the upper the others: numbers 8 less. A negative one gives zero.
        let upper = self.splat(Lane::H, 0xF800);
        let twice = self.shifted(Lane::H, n, Shift::Left, 8);
        let numbers = self.b.ins().bor(n, twice);
        let numbers = self.b.ins().iadd(numbers, upper);
        let numbers = self.bytes(numbers);
        let v = self.b.ins().x86_pshufb(table, numbers);
        self.cast(I16X8, v)
    }

    /// Bytes in halfwords: the even ones, and the odd ones, each with zeros above.
    fn split_bytes(&mut self, v: Value) -> (Value, Value) {
        let below = self.splat(Lane::H, 0xFF);
        let v = self.cast(I16X8, v);
        (self.b.ins().band(v, below), self.shifted(Lane::H, v, Shift::Right, 8))
    }

    /// Products of twice the width: of the even and odd bytes, or of the lower and upper halves of wider lanes.
    fn wide_products(&mut self, lane: Lane, x: Value, m: Value) -> (Value, Value) {
        if lane == Lane::B {
            let ((xe, xo), (me, mo)) = (self.split_bytes(x), self.split_bytes(m));
            return (self.b.ins().imul(xe, me), self.b.ins().imul(xo, mo));
        }
        let x = self.cast(type_of(lane), x);
        let (xl, ml) = (self.b.ins().uwiden_low(x), self.b.ins().uwiden_low(m));
        let (xh, mh) = (self.b.ins().uwiden_high(x), self.b.ins().uwiden_high(m));
        (self.b.ins().imul(xl, ml), self.b.ins().imul(xh, mh))
    }

    fn shift_right(&mut self, lane: Lane, x: Value, n: Value) -> Value {
        let m = self.powers(lane, n, true);
        let (low, high) = self.wide_products(lane, x, m);
        match lane {
            Lane::B => {
                let above = self.splat(Lane::H, 0xFF00);
                let even = self.shifted(Lane::H, low, Shift::Right, 7);
                let odd = self.shifted(Lane::H, high, Shift::Left, 1);
                let odd = self.b.ins().band(odd, above);
                self.b.ins().bor(even, odd)
            }
            Lane::H => {
                let low = self.shifted(Lane::W, low, Shift::Right, 15);
                let high = self.shifted(Lane::W, high, Shift::Right, 15);
                self.b.ins().unarrow(low, high)
            }
            _ => {
                let low = self.shifted(Lane::D, low, Shift::Right, 31);
                let high = self.shifted(Lane::D, high, Shift::Right, 31);
                self.shuffled_words(low, high, [0, 2, 4, 6])
            }
        }
    }

    /// The lower half of each wide product, or'ed to its upper half.
    fn rotate(&mut self, lane: Lane, x: Value, n: Value) -> Value {
        let m = self.powers(lane, n, false);
        let (low, high) = self.wide_products(lane, x, m);
        match lane {
            Lane::B => {
                let below = self.splat(Lane::H, 0xFF);
                let even = self.shifted(Lane::H, low, Shift::Right, 8);
                let even = self.b.ins().bor(even, low);
                let odd = self.shifted(Lane::H, high, Shift::Left, 8);
                let odd = self.b.ins().bor(odd, high);
                self.b.ins().bitselect(below, even, odd)
            }
            Lane::H => {
                let x = self.cast(I16X8, x);
                let kept = self.b.ins().imul(x, m);
                let low = self.shifted(Lane::W, low, Shift::Right, 16);
                let high = self.shifted(Lane::W, high, Shift::Right, 16);
                let around = self.b.ins().unarrow(low, high);
                self.b.ins().bor(kept, around)
            }
            _ => {
                let kept = self.shuffled_words(low, high, [0, 2, 4, 6]);
                let around = self.shuffled_words(low, high, [1, 3, 5, 7]);
                self.b.ins().bor(kept, around)
            }
        }
    }
}
