//! Values of vector operations: [`vec_op_value`] for every [`VecOp`], and the walk over lanes that the
//! rest of the vector instructions are written with.
//!
//! A vector is a host-order `u128`: the manual's element 0 is the most significant one. Where order does
//! not matter, lanes are taken from the least significant end, which compilers turn into plain vector code.

#![allow(clippy::modulo_one)] // the table of element sizes has bytes too

use crate::vec_host::{permute_host, vec_op_host};
use crate::{Lane, VecOp};

/// An integer that a vector is made of.
pub(crate) trait Element: Copy + Sized {
    /// Bits of an element.
    const BITS: u32;
    /// Elements in a vector.
    const COUNT: usize;
    /// The manual's element `n`.
    fn element(v: u128, n: usize) -> Self;
    /// A vector with this in the manual's element `n`, and zero elsewhere.
    fn at(self, n: usize) -> u128;
    /// `f` of each element.
    fn map(a: u128, f: impl FnMut(Self) -> Self) -> u128;
    /// `f` of the elements of two vectors.
    fn zip(a: u128, b: u128, f: impl FnMut(Self, Self) -> Self) -> u128;
    /// `f` of the elements of three vectors.
    fn zip3(a: u128, b: u128, c: u128, f: impl FnMut(Self, Self, Self) -> Self) -> u128;
    /// Elements of the upper (`high`) or lower halves of `a` and `b` in turn.
    fn merge(a: u128, b: u128, high: bool) -> u128;
    /// Every element is `self`.
    fn splat(self) -> u128;
}

macro_rules! elements {
    ($($t:ty, $unsigned:ty, $bytes:literal;)*) => { $(
        impl Element for $t {
            const BITS: u32 = 8 * $bytes;
            const COUNT: usize = 16 / $bytes;

            #[inline(always)]
            fn element(v: u128, n: usize) -> $t {
                (v >> (128 - Self::BITS as usize * (n + 1))) as $t
            }

            #[inline(always)]
            fn at(self, n: usize) -> u128 {
                u128::from(self as $unsigned) << (128 - Self::BITS as usize * (n + 1))
            }

            #[inline(always)]
            fn map(a: u128, mut f: impl FnMut($t) -> $t) -> u128 {
                let a = <$t as Lanes<{ 16 / $bytes }>>::split(a);
                <$t as Lanes<{ 16 / $bytes }>>::join(std::array::from_fn(|n| f(a[n])))
            }

            #[inline(always)]
            fn zip(a: u128, b: u128, mut f: impl FnMut($t, $t) -> $t) -> u128 {
                let (a, b) = (<$t as Lanes<{ 16 / $bytes }>>::split(a), <$t as Lanes<{ 16 / $bytes }>>::split(b));
                <$t as Lanes<{ 16 / $bytes }>>::join(std::array::from_fn(|n| f(a[n], b[n])))
            }

            #[inline(always)]
            fn zip3(a: u128, b: u128, c: u128, mut f: impl FnMut($t, $t, $t) -> $t) -> u128 {
                let [a, b, c] = [a, b, c].map(<$t as Lanes<{ 16 / $bytes }>>::split);
                <$t as Lanes<{ 16 / $bytes }>>::join(std::array::from_fn(|n| f(a[n], b[n], c[n])))
            }

            #[inline(always)]
            fn merge(a: u128, b: u128, high: bool) -> u128 {
                let (a, b) = (<$t as Lanes<{ 16 / $bytes }>>::split(a), <$t as Lanes<{ 16 / $bytes }>>::split(b));
                let first = if high { Self::COUNT / 2 } else { 0 };
                <$t as Lanes<{ 16 / $bytes }>>::join(std::array::from_fn(|n| {
                    let of = if n & 1 != 0 { &a } else { &b };
                    of[first + n / 2]
                }))
            }

            #[inline(always)]
            fn splat(self) -> u128 {
                <$t as Lanes<{ 16 / $bytes }>>::join([self; 16 / $bytes])
            }
        }

        impl Lanes<{ 16 / $bytes }> for $t {
            #[inline(always)]
            fn split(v: u128) -> [$t; 16 / $bytes] {
                let bytes = v.to_le_bytes();
                std::array::from_fn(|n| <$t>::from_le_bytes(std::array::from_fn(|i| bytes[$bytes * n + i])))
            }

            #[inline(always)]
            fn join(lanes: [$t; 16 / $bytes]) -> u128 {
                u128::from_le_bytes(std::array::from_fn(|i| lanes[i / $bytes].to_le_bytes()[i % $bytes]))
            }
        }
    )* };
}

/// A vector as an array, the least significant lane first.
trait Lanes<const N: usize>: Sized {
    fn split(v: u128) -> [Self; N];
    fn join(lanes: [Self; N]) -> u128;
}

elements! {
    u8, u8, 1;
    i8, u8, 1;
    u16, u16, 2;
    i16, u16, 2;
    u32, u32, 4;
    i32, u32, 4;
    u64, u64, 8;
    i64, u64, 8;
    u128, u128, 16;
    i128, u128, 16;
}

/// An element of twice the width of another.
pub(crate) trait Wide: Element {
    /// The narrow one, of the same sign.
    type Half: Element;
    /// `f` of the elements of `a`, then of `b`, narrowed.
    fn pack(a: u128, b: u128, f: impl FnMut(Self) -> u64) -> u128;
    /// The elements of the upper (`high`) or lower half of `v`, extended as their sign asks.
    fn unpack(v: u128, high: bool) -> u128;
    /// `f` of the elements with odd or even numbers, extended as their sign asks.
    fn products(a: u128, b: u128, odd: bool, f: impl Fn(Self, Self) -> Self) -> u128;
}

macro_rules! wides {
    ($($t:ty, $half:ty, $bytes:literal;)*) => { $(
        impl Wide for $t {
            type Half = $half;

            #[inline(always)]
            fn pack(a: u128, b: u128, mut f: impl FnMut($t) -> u64) -> u128 {
                let (a, b) = (<$t as Lanes<{ 16 / $bytes }>>::split(a), <$t as Lanes<{ 16 / $bytes }>>::split(b));
                let count = <$t>::COUNT;
                <$half as Lanes<{ 32 / $bytes }>>::join(std::array::from_fn(|n| {
                    f(if n < count { b[n] } else { a[n - count] }) as $half
                }))
            }

            #[inline(always)]
            fn unpack(v: u128, high: bool) -> u128 {
                let v = <$half as Lanes<{ 32 / $bytes }>>::split(v);
                let first = if high { <$t>::COUNT } else { 0 };
                <$t as Lanes<{ 16 / $bytes }>>::join(std::array::from_fn(|n| <$t>::from(v[first + n])))
            }

            #[inline(always)]
            fn products(a: u128, b: u128, odd: bool, f: impl Fn($t, $t) -> $t) -> u128 {
                let (a, b) = (<$half as Lanes<{ 32 / $bytes }>>::split(a), <$half as Lanes<{ 32 / $bytes }>>::split(b));
                <$t as Lanes<{ 16 / $bytes }>>::join(std::array::from_fn(|n| {
                    let n = 2 * n + usize::from(!odd);
                    f(<$t>::from(a[n]), <$t>::from(b[n]))
                }))
            }
        }
    )* };
}

wides! {
    u16, u8, 2;
    i16, i8, 2;
    u32, u16, 4;
    i32, i16, 4;
    u64, u32, 8;
    i64, i32, 8;
    u128, u64, 16;
    i128, i64, 16;
}

macro_rules! each_unsigned {
    ($lane:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $f:expr) => {
        match $lane {
            Lane::B => u8::zip($a, $b, |$x, $y| $f),
            Lane::H => u16::zip($a, $b, |$x, $y| $f),
            Lane::W => u32::zip($a, $b, |$x, $y| $f),
            Lane::D => u64::zip($a, $b, |$x, $y| $f),
            Lane::Q => u128::zip($a, $b, |$x, $y| $f),
        }
    };
}

macro_rules! each_signed {
    ($lane:expr, $a:expr, $b:expr, |$x:ident, $y:ident| $f:expr) => {
        match $lane {
            Lane::B => i8::zip($a, $b, |$x, $y| $f),
            Lane::H => i16::zip($a, $b, |$x, $y| $f),
            Lane::W => i32::zip($a, $b, |$x, $y| $f),
            Lane::D => i64::zip($a, $b, |$x, $y| $f),
            Lane::Q => i128::zip($a, $b, |$x, $y| $f),
        }
    };
}

/// The value of `op`. It folds to one arm where `op` is a constant.
#[inline(always)]
pub fn vec_op_value(op: VecOp, a: u128, b: u128) -> u128 {
    match vec_op_host(op, a, b) {
        Some(v) => v,
        None => vec_op_lanes(op, a, b),
    }
}

/// One function an operation: small enough to be folded where the lane is a constant.
macro_rules! lane_functions {
    ($($name:ident: $each:ident |$x:ident, $y:ident| $f:expr;)*) => { $(
        #[inline]
        fn $name(lane: Lane, a: u128, b: u128) -> u128 {
            $each!(lane, a, b, |$x, $y| $f)
        }
    )* };
}

lane_functions! {
    add: each_unsigned |x, y| x.wrapping_add(y);
    sub: each_unsigned |x, y| x.wrapping_sub(y);
    mul: each_unsigned |x, y| x.wrapping_mul(y);
    min_signed: each_signed |x, y| x.min(y);
    min_unsigned: each_unsigned |x, y| x.min(y);
    max_signed: each_signed |x, y| x.max(y);
    max_unsigned: each_unsigned |x, y| x.max(y);
    equal: each_unsigned |x, y| if x == y { !0 } else { 0 };
    not_equal: each_unsigned |x, y| if x == y { 0 } else { !0 };
    not_equal_or_zero: each_unsigned |x, y| if (x != y) | (x == 0) | (y == 0) { !0 } else { 0 };
    greater_signed: each_signed |x, y| if x > y { !0 } else { 0 };
    greater_unsigned: each_unsigned |x, y| if x > y { !0 } else { 0 };
    shift_left: each_unsigned |x, y| x.wrapping_shl(y as u32);
    shift_right: each_unsigned |x, y| x.wrapping_shr(y as u32);
    shift_right_algebraic: each_signed |x, y| x.wrapping_shr(y as u32);
    rotate_left: each_unsigned |x, y| x.rotate_left(y as u32);
    // The upper bits of (a + b + 1) / 2 without a wider sum.
    average_signed: each_signed |x, y| (x | y).wrapping_sub((x ^ y) >> 1);
    average_unsigned: each_unsigned |x, y| (x | y).wrapping_sub((x ^ y) >> 1);
    absolute_difference: each_unsigned |x, y| x.abs_diff(y);
    leading_zeros: each_unsigned |x, _y| x.leading_zeros() as _;
    trailing_zeros: each_unsigned |x, _y| x.trailing_zeros() as _;
    ones: each_unsigned |x, _y| x.count_ones() as _;
    reverse_bytes: each_unsigned |x, _y| x.swap_bytes();
}

/// The value of `op`, lane by lane.
#[inline(always)]
fn vec_op_lanes(op: VecOp, a: u128, b: u128) -> u128 {
    match op {
        VecOp::And => a & b,
        VecOp::Or => a | b,
        VecOp::Xor => a ^ b,
        VecOp::Andc => a & !b,
        VecOp::Orc => a | !b,
        VecOp::Nor => !(a | b),
        VecOp::Nand => !(a & b),
        VecOp::Eqv => !(a ^ b),
        VecOp::Add(lane) => add(lane, a, b),
        VecOp::Sub(lane) => sub(lane, a, b),
        VecOp::Mul(lane) => mul(lane, a, b),
        VecOp::MinSigned(lane) => min_signed(lane, a, b),
        VecOp::MinUnsigned(lane) => min_unsigned(lane, a, b),
        VecOp::MaxSigned(lane) => max_signed(lane, a, b),
        VecOp::MaxUnsigned(lane) => max_unsigned(lane, a, b),
        VecOp::Equal(lane) => equal(lane, a, b),
        VecOp::NotEqual(lane) => not_equal(lane, a, b),
        VecOp::NotEqualOrZero(lane) => not_equal_or_zero(lane, a, b),
        VecOp::GreaterSigned(lane) => greater_signed(lane, a, b),
        VecOp::GreaterUnsigned(lane) => greater_unsigned(lane, a, b),
        VecOp::ShiftLeft(lane) => shift_left(lane, a, b),
        VecOp::ShiftRight(lane) => shift_right(lane, a, b),
        VecOp::ShiftRightAlgebraic(lane) => shift_right_algebraic(lane, a, b),
        VecOp::RotateLeft(lane) => rotate_left(lane, a, b),
        VecOp::AverageSigned(lane) => average_signed(lane, a, b),
        VecOp::AverageUnsigned(lane) => average_unsigned(lane, a, b),
        VecOp::AbsoluteDifference(lane) => absolute_difference(lane, a, b),
        VecOp::MergeHigh(lane) => merge(lane, a, b, true),
        VecOp::MergeLow(lane) => merge(lane, a, b, false),
        VecOp::PackModulo(lane) => pack_modulo(lane, a, b),
        VecOp::LeadingZeros(lane) => leading_zeros(lane, a, a),
        VecOp::TrailingZeros(lane) => trailing_zeros(lane, a, a),
        VecOp::Ones(lane) => ones(lane, a, a),
        VecOp::ReverseBytes(lane) => reverse_bytes(lane, a, a),
        VecOp::Splat(lane, n) => splat(lane, n, a),
        VecOp::Bytes(n) => match u32::from(n & 15) {
            0 => a,
            n => a << (8 * n) | b >> (128 - 8 * n),
        },
    }
}

#[inline]
fn pack_modulo(lane: Lane, a: u128, b: u128) -> u128 {
    match lane {
        Lane::B => unreachable!("nothing is narrower than a byte"),
        Lane::H => u16::pack(a, b, u64::from),
        Lane::W => u32::pack(a, b, u64::from),
        Lane::D => u64::pack(a, b, |x| x),
        Lane::Q => u128::pack(a, b, |x| x as u64),
    }
}

#[inline]
fn splat(lane: Lane, n: u8, a: u128) -> u128 {
    let n = usize::from(n);
    match lane {
        Lane::B => u8::element(a, n & 15).splat(),
        Lane::H => u16::element(a, n & 7).splat(),
        Lane::W => u32::element(a, n & 3).splat(),
        Lane::D => u64::element(a, n & 1).splat(),
        Lane::Q => a,
    }
}

#[inline]
fn merge(lane: Lane, a: u128, b: u128, high: bool) -> u128 {
    match lane {
        Lane::B => u8::merge(a, b, high),
        Lane::H => u16::merge(a, b, high),
        Lane::W => u32::merge(a, b, high),
        Lane::D => u64::merge(a, b, high),
        Lane::Q => {
            if high {
                a
            } else {
                b
            }
        }
    }
}

/// `(a & !c) | (b & c)`: the manual's select.
#[inline(always)]
pub fn select_value(a: u128, b: u128, c: u128) -> u128 {
    (a & !c) | (b & c)
}

/// Byte `n` of the result is the byte of `a || b` that the low five bits of byte `n` of `c` number.
#[inline]
pub fn permute_value(a: u128, b: u128, c: u128) -> u128 {
    match permute_host(a, b, c) {
        Some(v) => v,
        None => permute_bytes(a, b, c),
    }
}

fn permute_bytes(a: u128, b: u128, c: u128) -> u128 {
    let mut both = [0u8; 32];
    both[..16].copy_from_slice(&a.to_be_bytes());
    both[16..].copy_from_slice(&b.to_be_bytes());
    u8::map(c, |n| both[usize::from(n & 31)])
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
    const B: u128 = 0x80ff_7f01_0102_0304_8899_0000_ffff_ffff;

    /// The same by shifting elements out one after the other, all arithmetic in 128 bits.
    fn naive(bits: u32, a: u128, b: u128, f: impl Fn(u128, u128) -> u128) -> u128 {
        let mask = u128::MAX >> (128 - bits);
        (0..128 / bits).fold(0, |out, n| {
            let at = n * bits;
            out | (f(a >> at & mask, b >> at & mask) & mask) << at
        })
    }

    fn signed(x: u128, bits: u32) -> i128 {
        ((x << (128 - bits)) as i128) >> (128 - bits)
    }

    #[test]
    fn lane_operations_agree_with_naive_ones() {
        let vectors = [A, B, 0, u128::MAX, 1 << 127, A.rotate_left(37) ^ B, B.rotate_left(71).wrapping_mul(A)];
        for (lane, bits) in [(Lane::B, 8), (Lane::H, 16), (Lane::W, 32), (Lane::D, 64)] {
            for (a, b) in vectors.iter().flat_map(|a| vectors.map(|b| (*a, b))) {
                let yes = |c: bool| if c { u128::MAX } else { 0 };
                let s = |x| signed(x, bits);
                let n = |x: u128| (x % u128::from(bits)) as u32;
                type Reference<'a> = Box<dyn Fn(u128, u128) -> u128 + 'a>;
                let cases: Vec<(VecOp, Reference)> = vec![
                    (VecOp::And, Box::new(|x, y| x & y)),
                    (VecOp::Or, Box::new(|x, y| x | y)),
                    (VecOp::Xor, Box::new(|x, y| x ^ y)),
                    (VecOp::Andc, Box::new(|x, y| x & !y)),
                    (VecOp::Orc, Box::new(|x, y| x | !y)),
                    (VecOp::Nor, Box::new(|x, y| !(x | y))),
                    (VecOp::Nand, Box::new(|x, y| !(x & y))),
                    (VecOp::Eqv, Box::new(|x, y| !(x ^ y))),
                    (VecOp::Add(lane), Box::new(|x, y| x + y)),
                    (VecOp::Sub(lane), Box::new(|x, y| x.wrapping_sub(y))),
                    (VecOp::Mul(lane), Box::new(|x, y| x.wrapping_mul(y))),
                    (VecOp::MinSigned(lane), Box::new(|x, y| s(x).min(s(y)) as u128)),
                    (VecOp::MaxSigned(lane), Box::new(|x, y| s(x).max(s(y)) as u128)),
                    (VecOp::MinUnsigned(lane), Box::new(|x, y| x.min(y))),
                    (VecOp::MaxUnsigned(lane), Box::new(|x, y| x.max(y))),
                    (VecOp::Equal(lane), Box::new(|x, y| yes(x == y))),
                    (VecOp::NotEqual(lane), Box::new(|x, y| yes(x != y))),
                    (VecOp::NotEqualOrZero(lane), Box::new(|x, y| yes(x != y || x == 0 || y == 0))),
                    (VecOp::GreaterSigned(lane), Box::new(|x, y| yes(s(x) > s(y)))),
                    (VecOp::GreaterUnsigned(lane), Box::new(|x, y| yes(x > y))),
                    (VecOp::ShiftLeft(lane), Box::new(|x, y| x << n(y))),
                    (VecOp::ShiftRight(lane), Box::new(|x, y| x >> n(y))),
                    (VecOp::ShiftRightAlgebraic(lane), Box::new(|x, y| (s(x) >> n(y)) as u128)),
                    (VecOp::RotateLeft(lane), Box::new(|x, y| x << n(y) | x >> (bits - n(y)))),
                    (VecOp::AverageSigned(lane), Box::new(|x, y| ((s(x) + s(y) + 1) >> 1) as u128)),
                    (VecOp::AverageUnsigned(lane), Box::new(|x, y| (x + y + 1) >> 1)),
                    (VecOp::AbsoluteDifference(lane), Box::new(|x, y| x.max(y) - x.min(y))),
                    (VecOp::LeadingZeros(lane), Box::new(|x, _| u128::from(x.leading_zeros() - (128 - bits)))),
                    (VecOp::TrailingZeros(lane), Box::new(|x, _| u128::from(x.trailing_zeros().min(bits)))),
                    (VecOp::Ones(lane), Box::new(|x, _| u128::from(x.count_ones()))),
                    (VecOp::ReverseBytes(lane), Box::new(|x, _| x.swap_bytes() >> (128 - bits))),
                ];
                for (op, f) in cases {
                    assert_eq!(vec_op_lanes(op, a, b), naive(bits, a, b, f), "{op:?} {a:032x} {b:032x}");
                    assert_eq!(vec_op_value(op, a, b), vec_op_lanes(op, a, b), "{op:?} {a:032x} {b:032x}");
                }
                for op in [VecOp::MergeHigh(lane), VecOp::MergeLow(lane), VecOp::PackModulo(lane)] {
                    if op != VecOp::PackModulo(Lane::B) {
                        assert_eq!(vec_op_value(op, a, b), vec_op_lanes(op, a, b), "{op:?} {a:032x} {b:032x}");
                    }
                }
                assert_eq!(permute_value(a, b, a ^ b), permute_bytes(a, b, a ^ b), "{a:032x} {b:032x}");
            }
        }
    }

    #[test]
    fn elements_are_numbered_from_the_most_significant() {
        assert_eq!(u8::element(A, 1), 0x11);
        assert_eq!(u16::element(A, 7), 0xeeff);
        assert_eq!(0x11u8.at(1), 0x11 << 112);
        assert_eq!(vec_op_value(VecOp::Splat(Lane::H, 2), A, 0), 0x4455_4455_4455_4455_4455_4455_4455_4455);
        assert_eq!(vec_op_value(VecOp::Bytes(3), A, B), 0x3344_5566_7788_99aa_bbcc_ddee_ff80_ff7f);
        assert_eq!(vec_op_value(VecOp::Bytes(0), A, B), A);
    }

    #[test]
    fn merges_packs_and_products() {
        assert_eq!(vec_op_value(VecOp::MergeHigh(Lane::H), A, B), 0x0011_80ff_2233_7f01_4455_0102_6677_0304);
        assert_eq!(vec_op_value(VecOp::MergeLow(Lane::W), A, B), 0x8899_aabb_8899_0000_ccdd_eeff_ffff_ffff);
        assert_eq!(vec_op_value(VecOp::PackModulo(Lane::H), A, B), 0x1133_5577_99bb_ddff_ff01_0204_9900_ffff);
        assert_eq!(i16::unpack(B, true), 0xff80_ffff_007f_0001_0001_0002_0003_0004);
        assert_eq!(u32::products(A, B, true, |x, y| x * y) >> 96, 0x2233 * 0x7f01);
        assert_eq!(u32::products(A, B, false, |x, y| x * y) >> 96, 0x0011 * 0x80ff);
    }

    #[test]
    fn permute_and_select() {
        let identity = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
        assert_eq!(permute_value(A, B, identity), A);
        assert_eq!(permute_value(A, B, identity | u8::splat(0x10)), B);
        assert_eq!(permute_value(A, B, 0xe1 << 120) >> 120, 0x11);
        assert_eq!(select_value(A, B, u128::MAX << 64), B >> 64 << 64 | A << 64 >> 64);
    }
}
