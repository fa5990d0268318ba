//! The one place where a result is rounded and packed (Power ISA v3.1, 4.3.5 and 4.4, 4.6 "Execution Model").

use super::*;

/// A finite number other than zero, exact but for the sticky lowest bit: the highest bit of `significand` is set and
/// worth `2^exponent`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact<W> {
    pub sign: bool,
    pub exponent: i32,
    pub significand: W,
}

impl<W: Wide> Exact<W> {
    /// `integer * 2^scale`; `integer` is not zero.
    pub fn new(sign: bool, integer: W, scale: i32) -> Exact<W> {
        let shift = integer.leading_zeros();
        Exact { sign, exponent: (W::BITS - 1 - shift) as i32 + scale, significand: integer.shl(shift) }
    }
}

/// Decides whether the magnitude `kept` grows by one, from the part `rest` that is dropped.
fn rounds_up<W: Wide>(rounding: Rounding, sign: bool, kept: u128, rest: W, half: W) -> bool {
    let inexact = rest != W::ZERO;
    match rounding {
        Rounding::NearestEven => rest > half || rest == half && kept & 1 != 0,
        Rounding::NearestAway => rest >= half,
        Rounding::Zero => false,
        Rounding::Up => inexact && !sign,
        Rounding::Down => inexact && sign,
        Rounding::Odd => inexact && kept & 1 == 0,
    }
}

/// The highest `precision` bits of `significand`, rounded (so possibly one bit longer): result, inexact, grown.
pub(super) fn round_significand<W: Wide>(
    significand: W,
    precision: u32,
    rounding: Rounding,
    sign: bool,
) -> (u128, bool, bool) {
    let drop = W::BITS - precision;
    let kept = significand.shr(drop);
    let rest = significand.minus(kept.shl(drop));
    let half = W::from_u128(1).shl(drop - 1);
    let kept = kept.low();
    let up = rounds_up(rounding, sign, kept, rest, half);
    (kept + u128::from(up), rest != W::ZERO, up)
}

/// Rounds to the precision that `control` and the target's format ask for, and packs.
pub(super) fn round<F: Float, W: Wide>(exact: Exact<W>, control: Control) -> Outcome<F::Bits> {
    round_as::<F, W>(exact, if control.single { Single::FORMAT } else { F::FORMAT }, control)
}

/// Rounds to `format`, which the target's format contains, and packs.
pub(super) fn round_as<F: Float, W: Wide>(exact: Exact<W>, format: Format, control: Control) -> Outcome<F::Bits> {
    let Exact { sign, mut exponent, mut significand } = exact;
    let mut flags = 0;
    let tiny = exponent < format.emin();
    if tiny {
        if control.ue {
            flags |= fpscr::UX;
            exponent += format.adjust();
        } else {
            // Below the smallest normal number the last place stays where it is.
            significand = significand.shr_sticky((format.emin() - exponent) as u32);
            exponent = format.emin();
        }
    }
    let (mut kept, inexact, up) = round_significand(significand, format.precision(), control.rounding, sign);
    if kept >> format.precision() != 0 {
        kept >>= 1;
        exponent += 1;
    }
    if inexact {
        flags |= fpscr::XX | fpscr::FI;
        if tiny {
            flags |= fpscr::UX;
        }
    }
    if up {
        flags |= fpscr::FR;
    }
    if exponent > format.emax() {
        flags |= fpscr::OX;
        if !control.oe {
            return overflow::<F>(sign, flags, format, control);
        }
        exponent -= format.adjust();
    }
    let fprf = match kept {
        0 => fprf_zero(sign),
        _ if kept >> format.fraction_bits == 0 => fprf_denormal(sign),
        _ => fprf_normal(sign),
    };
    let value = pack(sign, exponent, kept, format, F::FORMAT);
    Outcome { value: F::narrow(value), flags: Flags(flags), fprf }
}

/// A disabled overflow: infinity or the largest number, always inexact.
fn overflow<F: Float>(sign: bool, flags: u64, format: Format, control: Control) -> Outcome<F::Bits> {
    let to_infinity = match control.rounding {
        Rounding::NearestEven | Rounding::NearestAway => true,
        Rounding::Zero | Rounding::Odd => false,
        Rounding::Up => !sign,
        Rounding::Down => sign,
    };
    let flags = flags & !fpscr::FR | fpscr::XX | fpscr::FI;
    if to_infinity {
        // The ISA leaves FR undefined; the magnitude has grown.
        return infinity::<F>(sign, flags | fpscr::FR);
    }
    let largest = (1 << format.precision()) - 1;
    let value = pack(sign, format.emax(), largest, format, F::FORMAT);
    Outcome { value: F::narrow(value), flags: Flags(flags), fprf: fprf_normal(sign) }
}

/// Packs `significand * 2^(exponent - from.fraction_bits)`, which `to` can hold, into `to`.
pub(super) fn pack(sign: bool, exponent: i32, significand: u128, from: Format, to: Format) -> u128 {
    let sign = to.zero(sign);
    if significand == 0 {
        return sign;
    }
    let shift = significand.leading_zeros() - (128 - from.precision());
    let exponent = exponent - shift as i32;
    let normal = significand << shift << (to.fraction_bits - from.fraction_bits);
    if exponent < to.emin() && shift != 0 {
        return sign | normal >> (to.emin() - exponent);
    }
    // An exponent adjusted for an enabled exception may still be out of range, after a conversion or with operands
    // that single cannot hold. The ISA leaves that result undefined: here the exponent wraps around.
    let biased = (exponent + to.bias()) & to.exponent_max();
    sign | (biased as u128) << to.fraction_bits | normal & to.fraction_mask()
}
