//! Conversions between formats, to and from integers, and to integral values.

use super::round::{Exact, round, round_as, round_significand};
use super::*;

/// Rounds to another format (`frsp`, `xscvdpsp`, `xscvdpqp`, `xvcvhpsp`, ..): quiets NaNs and keeps what fits of their
/// payload. `frsp` is Double to Double with [`Control::single`].
pub fn convert<F: Float, T: Float>(bits: F::Bits, control: Control) -> Outcome<T::Bits> {
    match Unpacked::new::<F>(bits) {
        Unpacked::Zero { sign } => zero::<T>(sign),
        Unpacked::Infinity { sign } => infinity::<T>(sign, 0),
        Unpacked::Nan { bits, signalling } => {
            let (from, to) = (F::FORMAT, T::FORMAT);
            let fraction = bits & from.fraction_mask();
            let fraction = match from.fraction_bits.checked_sub(to.fraction_bits) {
                Some(excess) => fraction >> excess,
                None => fraction << (to.fraction_bits - from.fraction_bits),
            };
            let nan = to.infinity(bits & from.sign_mask() != 0) | fraction;
            Outcome {
                value: T::narrow(quiet(nan, to, control)),
                flags: Flags(if signalling { fpscr::VXSNAN } else { 0 }),
                fprf: FPRF_QNAN,
            }
        }
        Unpacked::Finite { sign, exponent, significand } => {
            let significand = F::Wide::from_u128(significand).shl(F::Wide::BITS - F::FORMAT.precision());
            round::<T, _>(Exact { sign, exponent, significand }, control)
        }
    }
}

/// `xsrqpxp`: rounds a quad to the 64-bit precision of double-extended format, whose exponents are the same.
pub fn round_to_extended(bits: u128, control: Control) -> Outcome<u128> {
    const EXTENDED: Format = Format { exponent_bits: 15, fraction_bits: 63 };
    match Unpacked::new::<Quad>(bits) {
        Unpacked::Finite { sign, exponent, significand } => {
            let significand = U256::from_u128(significand).shl(U256::BITS - Quad::FORMAT.precision());
            let mut outcome = round_as::<Quad, _>(Exact { sign, exponent, significand }, EXTENDED, control);
            // The instruction does not detect underflow.
            outcome.flags.0 &= !fpscr::UX;
            outcome.fprf = class::<Quad>(outcome.value);
            outcome
        }
        Unpacked::Nan { .. } => {
            // The payload has to fit as well.
            let dropped = (1 << (Quad::FORMAT.fraction_bits - EXTENDED.fraction_bits)) - 1;
            round_to_integral::<Quad>(bits, control.rounding).map(|nan| nan & !dropped)
        }
        _ => round_to_integral::<Quad>(bits, control.rounding),
    }
}

/// `lfs` and all other loads of single format into a double-format register (Power ISA v3.1, 4.6.2): exact, and a
/// signalling NaN stays one. Also `xscvspdpn`.
pub fn double_from_single(word: u32) -> u64 {
    let sign = u64::from(word >> 31) << 63;
    let exponent = (word >> 23) & 0xff;
    let fraction = u64::from(word & 0x7f_ffff);
    match (exponent, fraction) {
        (0, 0) => sign,
        (0, _) => {
            let shift = fraction.leading_zeros() - 40;
            sign | u64::from(897 - shift) << 52 | (fraction << (29 + shift)) & 0xf_ffff_ffff_ffff
        }
        (0xff, _) => sign | 0x7ff << 52 | fraction << 29,
        _ => sign | u64::from(exponent + 896) << 52 | fraction << 29,
    }
}

/// `stfs` (Power ISA v3.1, 4.6.3): bits are picked, nothing is rounded and no NaN is quieted.
/// Also `xscvdpspn`. A value that single format cannot hold gives what the bit selection gives.
pub fn single_from_double(double: u64) -> u32 {
    let exponent = ((double >> 52) & 0x7ff) as u32;
    let sign = ((double >> 32) as u32) & 0x8000_0000;
    if exponent > 896 || double << 1 == 0 {
        return ((double >> 32) as u32) & 0xc000_0000 | ((double >> 29) as u32) & 0x3fff_ffff;
    }
    // Denormal in single format; below its range the ISA leaves the result undefined, and it becomes zero.
    let significand = double & 0xf_ffff_ffff_ffff | u64::from(exponent != 0) << 52;
    sign | significand.checked_shr(30 + 896 - exponent).unwrap_or(0) as u32
}

/// An integer type of the conversions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integer {
    /// 8 (never used by itself), 16, 32, 64 or 128.
    pub bits: u32,
    /// Two's complement.
    pub signed: bool,
}

impl Integer {
    /// Signed word.
    pub const I32: Integer = Integer { bits: 32, signed: true };
    /// Unsigned word.
    pub const U32: Integer = Integer { bits: 32, signed: false };
    /// Signed doubleword.
    pub const I64: Integer = Integer { bits: 64, signed: true };
    /// Unsigned doubleword.
    pub const U64: Integer = Integer { bits: 64, signed: false };
    /// Signed quadword.
    pub const I128: Integer = Integer { bits: 128, signed: true };
    /// Unsigned quadword.
    pub const U128: Integer = Integer { bits: 128, signed: false };

    /// Largest magnitude of that sign.
    fn limit(self, negative: bool) -> u128 {
        match (self.signed, negative) {
            (true, true) => 1 << (self.bits - 1),
            (true, false) => (1 << (self.bits - 1)) - 1,
            (false, true) => 0,
            (false, false) => u128::MAX >> (128 - self.bits),
        }
    }
}

/// Converts to an integer: out of range saturates, a NaN gives the most negative value (0 if unsigned); both raise
/// VXCVI. The value is sign-extended to 128 bits if `to` is signed. FPRF is undefined after these instructions.
pub fn to_integer<F: Float>(bits: F::Bits, to: Integer, rounding: Rounding) -> Outcome<u128> {
    let outcome = |value, flags| Outcome { value, flags: Flags(flags), fprf: 0 };
    let signed = |magnitude: u128, sign| if sign { magnitude.wrapping_neg() } else { magnitude };
    match Unpacked::new::<F>(bits) {
        Unpacked::Zero { .. } => outcome(0, 0),
        Unpacked::Nan { signalling, .. } => {
            let flags = fpscr::VXCVI | if signalling { fpscr::VXSNAN } else { 0 };
            outcome(if to.signed { signed(to.limit(true), true) } else { 0 }, flags)
        }
        Unpacked::Infinity { sign } => outcome(signed(to.limit(sign), sign), fpscr::VXCVI),
        Unpacked::Finite { sign, exponent, significand } => {
            let saturated = outcome(signed(to.limit(sign), sign), fpscr::VXCVI);
            if exponent >= 128 {
                return saturated;
            }
            let (magnitude, inexact, up) = integral(sign, exponent, significand, F::FORMAT, rounding);
            if magnitude > to.limit(sign) {
                return saturated;
            }
            let mut flags = 0;
            if inexact {
                flags |= fpscr::XX | fpscr::FI;
            }
            if up {
                flags |= fpscr::FR;
            }
            outcome(signed(magnitude, sign), flags)
        }
    }
}

/// The integral magnitude of a number below 2^128: value, inexact, grown.
fn integral(sign: bool, exponent: i32, significand: u128, format: Format, rounding: Rounding) -> (u128, bool, bool) {
    let scale = exponent - format.fraction_bits as i32;
    if scale >= 0 {
        return (significand << scale, false, false);
    }
    // Integer and fraction side by side in 256 bits.
    let significand = U256::from_u128(significand).shl(128).shr_sticky(scale.unsigned_abs());
    round_significand(significand, 128, rounding, sign)
}

/// Rounds to an integral value in the same format. FR, FI and XX are reported; instructions that do not raise inexact
/// (`frin`, `xsrdpi`, ..) drop them with [`without_inexact`].
pub fn round_to_integral<F: Float>(bits: F::Bits, rounding: Rounding) -> Outcome<F::Bits> {
    let format = F::FORMAT;
    let unpacked = Unpacked::new::<F>(bits);
    match unpacked {
        Unpacked::Finite { sign, exponent, significand } if exponent < format.fraction_bits as i32 => {
            let (magnitude, inexact, up) = integral(sign, exponent, significand, format, rounding);
            let mut outcome = match magnitude {
                0 => zero::<F>(sign),
                // At most as many bits as the precision: exact.
                _ => round::<F, _>(Exact::new(sign, magnitude, 0), Control::default()),
            };
            if inexact {
                outcome.flags |= Flags(fpscr::XX | fpscr::FI);
            }
            if up {
                outcome.flags |= Flags(fpscr::FR);
            }
            outcome
        }
        Unpacked::Nan { .. } => propagate::<F>(&[unpacked], Control::default()).unwrap_or_else(|| invalid::<F>(0)),
        _ => Outcome { value: bits, flags: Flags::NONE, fprf: class::<F>(bits) },
    }
}

/// Drops XX, FI and FR.
pub fn without_inexact<T>(mut outcome: Outcome<T>) -> Outcome<T> {
    outcome.flags.0 &= !(fpscr::XX | fpscr::FI | fpscr::FR);
    outcome
}

/// From a signed integer (`fcfid`, `xscvsxdsp`, `xscvsdqp`, ..).
pub fn from_signed<F: Float>(value: i128, control: Control) -> Outcome<F::Bits> {
    from_magnitude::<F>(value < 0, value.unsigned_abs(), control)
}

/// From an unsigned integer (`fcfidu`, ..).
pub fn from_unsigned<F: Float>(value: u128, control: Control) -> Outcome<F::Bits> {
    from_magnitude::<F>(false, value, control)
}

fn from_magnitude<F: Float>(sign: bool, magnitude: u128, control: Control) -> Outcome<F::Bits> {
    match magnitude {
        0 => zero::<F>(false),
        _ => round::<F, _>(Exact::new(sign, U256::from_u128(magnitude), 0), control),
    }
}
