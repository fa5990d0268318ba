//! The common case on the host's floating point: round to nearest even, a result well inside the normal range.
//!
//! The host's result is the correctly rounded one. Whether it is exact, and whether its magnitude grew, is the sign of
//! the rounding error, which error-free transformations give exactly (Knuth's sum, products and quotients by fused
//! multiply-add, Boldo and Muller's error of a fused multiply-add). Nothing here overflows or underflows, since the
//! ranges below keep every intermediate value inside the format. Whatever does not fit goes the exact way.

use super::{Flags, Outcome, fprf_normal, fpscr};
use std::ops::RangeInclusive;

/// Operations with a fast form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fast {
    /// `a + b`
    Add,
    /// `a * b`
    Mul,
    /// `a / b`
    Div,
    /// Square root of `a`.
    Sqrt,
    /// `a * b + c`
    MulAdd,
}

/// Biased exponents between which nothing overflows or underflows on the way to the sign of an error: an error term has at most
/// twice the precision below the result.
pub const SAFE_DOUBLE: RangeInclusive<u64> = 128..=2000;
/// The same in single format.
pub const SAFE_SINGLE: RangeInclusive<u32> = 64..=240;

macro_rules! fast {
    ($name:ident, $float:ty, $bits:ty, $fraction_bits:expr, $exponent_mask:expr, $safe:expr) => {
        /// The outcome in the current format, or `None` if it has to be computed the exact way.
        #[inline]
        pub fn $name(op: Fast, a: $bits, b: $bits, c: $bits) -> Option<Outcome<$bits>> {
            let safe = |x: $float| $safe.contains(&((x.to_bits() >> $fraction_bits) & $exponent_mask));
            let (a, b, c) = (<$float>::from_bits(a), <$float>::from_bits(b), <$float>::from_bits(c));
            let two_sum = |x: $float, y: $float, sum: $float| {
                let y_part = sum - x;
                (x - (sum - y_part)) + (y - y_part)
            };
            let result = match op {
                Fast::Add => a + b,
                Fast::Mul => a * b,
                Fast::Div => a / b,
                Fast::Sqrt => a.sqrt(),
                Fast::MulAdd => a.mul_add(b, c),
            };
            if !safe(result) {
                return None;
            }
            // A value with the sign of (exact - result), zero if the result is exact.
            let error = match op {
                Fast::Add => two_sum(a, b, result),
                Fast::Mul => a.mul_add(b, -result),
                Fast::Div if safe(a) => (-result).mul_add(b, a) * if b < 0.0 { -1.0 } else { 1.0 },
                Fast::Sqrt if safe(a) => (-result).mul_add(result, a),
                Fast::MulAdd => {
                    let product = a * b;
                    if !safe(product) {
                        return None;
                    }
                    let product_error = a.mul_add(b, -product);
                    let low = c + product_error;
                    let low_error = two_sum(c, product_error, low);
                    let high = product + low;
                    let high_error = two_sum(product, low, high);
                    ((high - result) + high_error) + low_error
                }
                Fast::Div | Fast::Sqrt => return None,
            };
            let negative = result < 0.0;
            let mut flags = 0;
            if error != 0.0 {
                flags = fpscr::XX | fpscr::FI;
                if (error < 0.0) != negative {
                    flags |= fpscr::FR;
                }
            }
            Some(Outcome { value: result.to_bits(), flags: Flags(flags), fprf: fprf_normal(negative) })
        }
    };
}

fast!(double, f64, u64, 52, 0x7ff, SAFE_DOUBLE);
fast!(single, f32, u32, 23, 0xff, SAFE_SINGLE);
