//! Single-precision arithmetic of VMX (Power ISA v3.1, 6.10 "Vector Floating-Point Instructions"): always to nearest,
//! never an exception, and with VSCR\[NJ\] denormal operands and results are zeros of the same sign.
//!
//! The estimates come closer than the architected bounds: reciprocal and reciprocal square root as in
//! [`crate::fp::reciprocal_estimate`], powers and logarithms within two units in the last place. They use only
//! operations that IEEE 754 defines, so every host gives the same bits.

use crate::fp::{self, Control, Double, Integer, MulAdd, Outcome, Rounding, Single};

const SIGN: u32 = 0x8000_0000;
const INFINITY: u32 = 0x7f80_0000;
const QNAN: u32 = 0x7fc0_0000;

/// Applies `f` to the four words, element 0 first.
fn each(f: impl Fn(u32) -> u32) -> u128 {
    (0..4).fold(0, |out, i| out << 32 | u128::from(f(i)))
}

fn word(v: u128, i: u32) -> u32 {
    (v >> (96 - 32 * i)) as u32
}

/// A denormal is a zero in non-Java mode.
fn flush(x: u32, nj: bool) -> u32 {
    if nj && x & INFINITY == 0 { x & SIGN } else { x }
}

/// A result that is tiny is a zero in non-Java mode, and tiny is what it is before it is rounded (6.6.2, Underflow Exception):
/// one that rounds up to the least normal number is a zero, too.
fn result(outcome: Outcome<u32>, nj: bool) -> u32 {
    if nj && outcome.flags.any(crate::fpscr::UX) { outcome.value & SIGN } else { flush(outcome.value, nj) }
}

fn unary(b: u128, nj: bool, f: impl Fn(u32) -> u32) -> u128 {
    each(|i| flush(f(flush(word(b, i), nj)), nj))
}

fn binary(a: u128, b: u128, nj: bool, f: impl Fn(u32, u32) -> Outcome<u32>) -> u128 {
    each(|i| result(f(flush(word(a, i), nj), flush(word(b, i), nj)), nj))
}

/// `vaddfp`
pub fn vaddfp(a: u128, b: u128, nj: bool) -> u128 {
    binary(a, b, nj, |a, b| fp::add::<Single>(a, b, Control::default()))
}

/// `vsubfp`
pub fn vsubfp(a: u128, b: u128, nj: bool) -> u128 {
    binary(a, b, nj, |a, b| fp::sub::<Single>(a, b, Control::default()))
}

fn mul_add(form: MulAdd, a: u128, c: u128, b: u128, nj: bool) -> u128 {
    each(|i| {
        let [a, c, b] = [a, c, b].map(|v| flush(word(v, i), nj));
        result(fp::mul_add::<Single>(form, a, c, b, Control::default()), nj)
    })
}

/// `vmaddfp`: A x C + B.
pub fn vmaddfp(a: u128, c: u128, b: u128, nj: bool) -> u128 {
    mul_add(MulAdd::Madd, a, c, b, nj)
}

/// `vnmsubfp`: -(A x C - B).
pub fn vnmsubfp(a: u128, c: u128, b: u128, nj: bool) -> u128 {
    mul_add(MulAdd::Nmsub, a, c, b, nj)
}

/// `vmaxfp`: a NaN operand gives a quiet NaN, A's first.
pub fn vmaxfp(a: u128, b: u128, nj: bool) -> u128 {
    extreme(a, b, nj, fp::maximum::<Single>)
}

/// `vminfp`: a NaN operand gives a quiet NaN, A's first.
pub fn vminfp(a: u128, b: u128, nj: bool) -> u128 {
    extreme(a, b, nj, fp::minimum::<Single>)
}

fn extreme(a: u128, b: u128, nj: bool, f: fn(u32, u32) -> Outcome<u32>) -> u128 {
    binary(a, b, nj, |a, b| match fp::is_nan::<Single>(a) || fp::is_nan::<Single>(b) {
        // The sum of a NaN and anything is that NaN, quieted.
        true => fp::add::<Single>(a, b, Control::default()),
        false => f(a, b),
    })
}

/// `vrfin`, `vrfiz`, `vrfip`, `vrfim`: the caller names the mode of the mnemonic (n: to nearest even).
pub fn vrfi(b: u128, rounding: Rounding, nj: bool) -> u128 {
    unary(b, nj, |b| fp::round_to_integral::<Single>(b, rounding).value)
}

/// Order of two vectors' elements, as the masks that `vcmpeqfp`, `vcmpgefp` and `vcmpgtfp` give.
pub fn vcmpfp(a: u128, b: u128, nj: bool, accept: impl Fn(std::cmp::Ordering) -> bool) -> u128 {
    each(|i| {
        let order = fp::order::<Single>(flush(word(a, i), nj), flush(word(b, i), nj));
        if order.is_some_and(&accept) { u32::MAX } else { 0 }
    })
}

/// `vcmpbfp`: bit 0 of an element is set unless A <= B, bit 1 unless A >= -B.
pub fn vcmpbfp(a: u128, b: u128, nj: bool) -> u128 {
    use std::cmp::Ordering::{Greater, Less};
    each(|i| {
        let (a, b) = (flush(word(a, i), nj), flush(word(b, i), nj));
        let above = fp::order::<Single>(a, b).is_none_or(|order| order == Greater);
        let below = fp::order::<Single>(a, b ^ SIGN).is_none_or(|order| order == Less);
        u32::from(above) << 31 | u32::from(below) << 30
    })
}

/// `vctsxs`, `vctuxs`: to integer toward zero after multiplying by 2^`uim`; saturates, a NaN gives 0.
/// The second result is VSCR\[SAT\].
pub fn vctxs(b: u128, uim: u32, to: Integer, nj: bool) -> (u128, bool) {
    let mut saturated = false;
    let mut out = 0u128;
    for i in 0..4 {
        let b = flush(word(b, i), nj);
        // In double format the scaled value is exact.
        let scaled = fp::mul::<Double>(fp::double_from_single(b), u64::from(1023 + uim) << 52, Control::default());
        let integer = fp::to_integer::<Double>(scaled.value, to, Rounding::Zero);
        let nan = fp::is_nan::<Single>(b);
        saturated |= integer.flags.any(crate::fpscr::VXCVI) && !nan;
        out = out << 32 | if nan { 0 } else { integer.value & 0xffff_ffff };
    }
    (out, saturated)
}

/// `vcfsx`, `vcfux`: from integer to nearest, divided by 2^`uim`.
pub fn vcfx(b: u128, uim: u32, signed: bool) -> u128 {
    each(|i| {
        let integer = word(b, i);
        let value = if signed { i128::from(integer as i32) } else { i128::from(integer) };
        // Rounded once; dividing by a power of two is exact, since the result cannot be denormal.
        let rounded = fp::from_signed::<Single>(value, Control::default()).value;
        if rounded == 0 { 0 } else { rounded - (uim << 23) }
    })
}

/// `vrefp`: 1/B.
pub fn vrefp(b: u128, nj: bool) -> u128 {
    unary(b, nj, |b| fp::reciprocal_estimate::<Single>(b, Control::default()).value)
}

/// `vrsqrtefp`: 1/sqrt(B).
pub fn vrsqrtefp(b: u128, nj: bool) -> u128 {
    unary(b, nj, |b| fp::reciprocal_sqrt_estimate::<Single>(b, Control::default()).value)
}

/// `vexptefp`: 2^B.
pub fn vexptefp(b: u128, nj: bool) -> u128 {
    unary(b, nj, |b| match b {
        _ if fp::is_nan::<Single>(b) => b | 0x0040_0000,
        _ => exp2(f32::from_bits(b)).to_bits(),
    })
}

/// `vlogefp`: the logarithm of B to the base 2.
pub fn vlogefp(b: u128, nj: bool) -> u128 {
    unary(b, nj, |b| match b {
        _ if fp::is_nan::<Single>(b) => b | 0x0040_0000,
        0 | SIGN => SIGN | INFINITY,
        INFINITY => INFINITY,
        _ if b & SIGN != 0 => QNAN,
        _ => log2(f32::from_bits(b)).to_bits(),
    })
}

/// 2^x = 2^n x e^(f ln 2) with |f| <= 1/2; the series to the 11th power leaves less than 2^-40.
fn exp2(x: f32) -> f32 {
    let x = f64::from(x).clamp(-200.0, 200.0);
    let whole = (x + 0.5).floor();
    let y = (x - whole) * std::f64::consts::LN_2;
    let sum = (1..=11).rev().fold(1.0, |sum, i| 1.0 + sum * y / f64::from(i));
    let scale = f64::from_bits(((1023 + whole as i64) as u64) << 52);
    (sum * scale) as f32
}

/// log2(m 2^e) = e + 2 atanh((m - 1)/(m + 1)) / ln 2 with m between sqrt(1/2) and sqrt(2).
fn log2(x: f32) -> f32 {
    let bits = f64::from(x).to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits(bits & 0xf_ffff_ffff_ffff | 1023 << 52);
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        exponent += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let series = (0..12).rev().fold(0.0, |sum, i| sum * (s * s) + 1.0 / f64::from(2 * i + 1));
    (f64::from(exponent) + 2.0 * s * series * std::f64::consts::LOG2_E) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splat(x: f32) -> u128 {
        each(|_| x.to_bits())
    }

    fn first(v: u128) -> f32 {
        f32::from_bits(word(v, 0))
    }

    #[test]
    fn powers_and_logarithms() {
        for i in -4000..4000 {
            let x = i as f32 * 0.037;
            let close = |ours: f32, exact: f64| {
                let error = (f64::from(ours) - exact).abs();
                error <= exact.abs() * 2f64.powi(-22) + 1e-45
            };
            let (e, l) = (first(vexptefp(splat(x), false)), first(vlogefp(splat(x.abs() + 1e-3), false)));
            if x < 128.0 {
                assert!(close(e, f64::from(x).exp2()), "2^{x} = {e}");
            }
            assert!(close(l, f64::from(x.abs() + 1e-3).log2()), "log2 {x} = {l}");
        }
        assert_eq!(first(vexptefp(splat(f32::NEG_INFINITY), false)), 0.0);
        assert_eq!(first(vexptefp(splat(f32::INFINITY), false)), f32::INFINITY);
        assert_eq!(first(vexptefp(splat(10.0), false)), 1024.0);
        assert_eq!(first(vexptefp(splat(-149.0), false)).to_bits(), 1);
        assert_eq!(first(vlogefp(splat(f32::from_bits(1)), false)), -149.0);
        assert_eq!(first(vlogefp(splat(f32::from_bits(1)), true)), f32::NEG_INFINITY);
        assert_eq!(first(vlogefp(splat(-1.0), false)).to_bits(), QNAN);
    }

    #[test]
    fn estimates() {
        assert_eq!(first(vrefp(splat(4.0), false)), 0.25);
        assert_eq!(first(vrefp(splat(-0.0), false)), f32::NEG_INFINITY);
        assert_eq!(first(vrsqrtefp(splat(4.0), false)), 0.5);
        assert_eq!(first(vrsqrtefp(splat(-0.0), false)), f32::NEG_INFINITY);
        assert_eq!(first(vrsqrtefp(splat(-4.0), false)).to_bits(), QNAN);
    }

    #[test]
    fn non_java_mode_flushes() {
        let denormal = f32::from_bits(0x8000_0001);
        assert_eq!(word(vaddfp(splat(denormal), splat(-0.0), true), 3), SIGN);
        assert_eq!(word(vaddfp(splat(denormal), splat(-0.0), false), 3), 0x8000_0001);
        let product = vmaddfp(splat(1e-30), splat(1e-10), splat(0.0), true);
        assert_eq!(product, 0);
    }

    #[test]
    fn compares_and_conversions() {
        assert_eq!(vcmpbfp(splat(1.0), splat(2.0), false), 0);
        assert_eq!(word(vcmpbfp(splat(-3.0), splat(2.0), false), 1), 0x4000_0000);
        assert_eq!(word(vcmpbfp(splat(f32::NAN), splat(2.0), false), 1), 0xc000_0000);
        assert_eq!(word(vcmpbfp(splat(1.0), splat(-2.0), false), 1), 0xc000_0000);
        assert_eq!(vctxs(splat(1.75), 2, Integer::I32, false), (each(|_| 7), false));
        assert_eq!(vctxs(splat(-1.0), 2, Integer::U32, false), (0, true));
        assert_eq!(vctxs(splat(f32::NAN), 2, Integer::I32, false), (0, false));
        assert_eq!(vctxs(splat(3e9), 0, Integer::I32, false), (each(|_| 0x7fff_ffff), true));
        assert_eq!(vcfx(each(|_| -7i32 as u32), 2, true), splat(-1.75));
        assert_eq!(vcfx(each(|_| u32::MAX), 31, false), splat(2.0));
        assert_eq!(word(vmaxfp(splat(f32::from_bits(0x7f80_0001)), splat(1.0), false), 0), 0x7fc0_0001);
    }
}
