//! Reciprocal and reciprocal square root estimates.
//!
//! The ISA bounds the error (one part in 256 or better) and leaves the bits to the implementation. Here the reciprocal
//! is correctly rounded, and the reciprocal square root is the reciprocal of the rounded root.

use super::*;

/// `fre`, `fres`, `xsredp`, `xsresp`, `xvredp`, `xvresp`: 1/B. Inexact is not reported, FR and FI are zero.
pub fn reciprocal_estimate<F: Float>(b: F::Bits, control: Control) -> Outcome<F::Bits> {
    without_inexact(div::<F>(one::<F>(), b, control))
}

/// `frsqrte`, `frsqrtes`, `xsrsqrtedp`, ..: 1/sqrt(B). A zero raises ZX, a negative number VXSQRT.
pub fn reciprocal_sqrt_estimate<F: Float>(b: F::Bits, control: Control) -> Outcome<F::Bits> {
    // The root itself is never rounded to single: only the result is.
    let root = sqrt::<F>(b, Control { single: false, ..control });
    if root.flags.any(fpscr::VX_ALL) {
        let flags = root.flags;
        return Outcome { flags, ..convert::<F, F>(root.value, control) };
    }
    without_inexact(div::<F>(one::<F>(), root.value, control))
}

fn one<F: Float>() -> F::Bits {
    F::narrow((F::FORMAT.bias() as u128) << F::FORMAT.fraction_bits)
}
