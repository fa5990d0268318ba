//! Counts of ones and zeros lane by lane.

use super::{Lower, Shift, lane_bits, type_of, vec_from_halves, vec_halves};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I128};
use cranelift_codegen::ir::{InstBuilder, Value};
use sem::Lane;

impl Lower<'_, '_> {
    /// `f` of both doublewords.
    fn each_half(&mut self, v: Value, f: impl Fn(&mut Self, Value) -> Value) -> Value {
        let (high, low) = vec_halves(self.b, v);
        let (high, low) = (f(self, high), f(self, low));
        vec_from_halves(self.b, high, low)
    }

    pub(super) fn ones(&mut self, lane: Lane, x: Value) -> Value {
        match lane {
            Lane::B => self.b.ins().popcnt(x),
            Lane::H => {
                let n = self.b.ins().popcnt(x);
                let (low, high) = (self.b.ins().uwiden_low(n), self.b.ins().uwiden_high(n));
                self.b.ins().iadd_pairwise(low, high)
            }
            Lane::W => {
                let n = self.ones(Lane::H, x);
                let (low, high) = (self.b.ins().swiden_low(n), self.b.ins().swiden_high(n));
                self.b.ins().iadd_pairwise(low, high)
            }
            Lane::D => self.each_half(x, |l, v| l.b.ins().popcnt(v)),
            Lane::Q => {
                let x = self.cast(I128, x);
                self.b.ins().popcnt(x)
            }
        }
    }

    pub(super) fn trailing_zeros(&mut self, lane: Lane, x: Value) -> Value {
        match lane {
            Lane::D => self.each_half(x, |l, v| l.b.ins().ctz(v)),
            Lane::Q => {
                let x = self.cast(I128, x);
                self.b.ins().ctz(x)
            }
            _ => {
                // The ones of what is below the last one.
                let x = self.cast(type_of(lane), x);
                let minus_one = self.splat(lane, u128::MAX);
                let less = self.b.ins().iadd(x, minus_one);
                let below = self.b.ins().band_not(less, x);
                let below = self.bytes(below);
                self.ones(lane, below)
            }
        }
    }

    pub(super) fn leading_zeros(&mut self, lane: Lane, x: Value) -> Value {
        match lane {
            Lane::B => {
                // By the upper nibble, and by the lower one with four zeros before it: the lesser counts.
                let (of_upper, of_lower) = (
                    self.constant(I8X16, 0x0000_0000_0000_0000_0101_0101_0202_0308),
                    self.constant(I8X16, 0x0404_0404_0404_0404_0505_0505_0606_0708),
                );
                let nibble = self.splat(lane, 15);
                let lower = self.b.ins().band(x, nibble);
                let upper = self.shifted(Lane::H, x, Shift::Right, 4);
                let upper = self.bytes(upper);
                let upper = self.b.ins().band(upper, nibble);
                let upper = self.b.ins().x86_pshufb(of_upper, upper);
                let lower = self.b.ins().x86_pshufb(of_lower, lower);
                self.b.ins().umin(upper, lower)
            }
            Lane::H | Lane::W => {
                // Of the halves: the upper one's, and the lower one's too if the upper is all zeros.
                let (half, width) =
                    if lane == Lane::H { (Lane::B, lane_bits(Lane::B)) } else { (Lane::H, lane_bits(Lane::H)) };
                let n = self.leading_zeros(half, x);
                let n = self.cast(type_of(lane), n);
                let upper = self.shifted(lane, n, Shift::Right, width);
                let (all, below) = (self.splat(lane, u128::from(width)), self.splat(lane, (1 << width) - 1));
                let lower = self.b.ins().band(n, below);
                let upper_is_zero = self.b.ins().icmp(IntCC::Equal, upper, all);
                let lower = self.b.ins().band(lower, upper_is_zero);
                self.b.ins().iadd(upper, lower)
            }
            Lane::D => self.each_half(x, |l, v| l.b.ins().clz(v)),
            Lane::Q => {
                let x = self.cast(I128, x);
                self.b.ins().clz(x)
            }
        }
    }
}
