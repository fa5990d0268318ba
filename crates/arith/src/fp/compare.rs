//! Compares, minimum and maximum, class tests, the tests for software divide and square root.

use super::*;
use std::cmp::Ordering;

/// The four bits of a comparison, as in a CR field and in FPCC: LT, GT, EQ, UN from high to low.
pub const LESS: u8 = 0b1000;
/// See [`LESS`].
pub const GREATER: u8 = 0b0100;
/// See [`LESS`].
pub const EQUAL: u8 = 0b0010;
/// See [`LESS`].
pub const UNORDERED: u8 = 0b0001;

/// Numeric order; `None` if one is a NaN.
pub fn order<F: Float>(a: F::Bits, b: F::Bits) -> Option<Ordering> {
    let format = F::FORMAT;
    let key = |bits: F::Bits| {
        let bits = F::widen(bits);
        let magnitude = bits & !format.sign_mask();
        if magnitude > format.infinity(false) {
            return None;
        }
        // Magnitudes are at most 127 bits long.
        let magnitude = magnitude as i128;
        Some(if bits & format.sign_mask() != 0 { -magnitude } else { magnitude })
    };
    Some(key(a)?.cmp(&key(b)?))
}

fn relation(order: Option<Ordering>) -> u8 {
    match order {
        Some(Ordering::Less) => LESS,
        Some(Ordering::Greater) => GREATER,
        Some(Ordering::Equal) => EQUAL,
        None => UNORDERED,
    }
}

/// Whether a bit pattern is a NaN.
pub fn is_nan<F: Float>(bits: F::Bits) -> bool {
    Unpacked::new::<F>(bits).is_nan()
}

/// Whether a bit pattern is a signalling NaN.
pub fn is_signalling<F: Float>(bits: F::Bits) -> bool {
    Unpacked::new::<F>(bits).is_signalling()
}

fn vxsnan<F: Float>(a: F::Bits, b: F::Bits) -> Flags {
    Flags(if is_signalling::<F>(a) || is_signalling::<F>(b) { fpscr::VXSNAN } else { 0 })
}

/// `fcmpu`, and the compares for equality: only signalling NaNs raise (VXSNAN).
pub fn compare_unordered<F: Float>(a: F::Bits, b: F::Bits) -> (u8, Flags) {
    (relation(order::<F>(a, b)), vxsnan::<F>(a, b))
}

/// `fcmpo`, and the compares for inequality: a quiet NaN raises VXVC, a signalling one VXSNAN, and VXVC too unless
/// invalid operations are enabled (FPSCR\[VE\]).
pub fn compare_ordered<F: Float>(a: F::Bits, b: F::Bits, ve: bool) -> (u8, Flags) {
    let (relation, mut flags) = compare_unordered::<F>(a, b);
    if relation == UNORDERED && !(ve && flags.any(fpscr::VXSNAN)) {
        flags |= Flags(fpscr::VXVC);
    }
    (relation, flags)
}

/// `xscmpexpdp`, `xscmpexpqp`: compares the biased exponents.
pub fn compare_exponents<F: Float>(a: F::Bits, b: F::Bits) -> u8 {
    if is_nan::<F>(a) || is_nan::<F>(b) {
        return UNORDERED;
    }
    relation(Some(biased_exponent::<F>(a).cmp(&biased_exponent::<F>(b))))
}

/// The exponent field.
pub fn biased_exponent<F: Float>(bits: F::Bits) -> u32 {
    ((F::widen(bits) >> F::FORMAT.fraction_bits) as u32) & F::FORMAT.exponent_max() as u32
}

/// The significand: the fraction, and the implied bit of a normal number (`xsxsigdp`, ..).
pub fn significand<F: Float>(bits: F::Bits) -> u128 {
    let exponent = biased_exponent::<F>(bits) as i32;
    let implied = exponent != 0 && exponent != F::FORMAT.exponent_max();
    F::widen(bits) & F::FORMAT.fraction_mask() | u128::from(implied) << F::FORMAT.fraction_bits
}

fn quieted<F: Float>(bits: F::Bits) -> F::Bits {
    F::narrow(F::widen(bits) | F::FORMAT.quiet_bit())
}

/// `xsmaxdp`, `xvmaxsp`, ..: IEEE 754-2008 maxNum; a number wins over a quiet NaN, +0 is above -0.
pub fn maximum<F: Float>(a: F::Bits, b: F::Bits) -> Outcome<F::Bits> {
    extreme::<F>(a, b, Ordering::Greater)
}

/// `xsmindp`, `xvminsp`, ..: IEEE 754-2008 minNum.
pub fn minimum<F: Float>(a: F::Bits, b: F::Bits) -> Outcome<F::Bits> {
    extreme::<F>(a, b, Ordering::Less)
}

fn extreme<F: Float>(a: F::Bits, b: F::Bits, wanted: Ordering) -> Outcome<F::Bits> {
    let value = match order::<F>(a, b) {
        Some(Ordering::Equal) => pick_zero::<F>(a, b, wanted),
        Some(found) if found == wanted => a,
        Some(_) => b,
        None if is_signalling::<F>(a) => quieted::<F>(a),
        None if is_nan::<F>(a) && is_nan::<F>(b) => a,
        None if is_signalling::<F>(b) => quieted::<F>(b),
        None if is_nan::<F>(a) => b,
        None => a,
    };
    Outcome { value, flags: vxsnan::<F>(a, b), fprf: class::<F>(value) }
}

/// Of two equal numbers the one whose sign makes it the extreme.
fn pick_zero<F: Float>(a: F::Bits, b: F::Bits, wanted: Ordering) -> F::Bits {
    let negative = F::widen(a) & F::FORMAT.sign_mask() != 0;
    if negative == (wanted == Ordering::Less) { a } else { b }
}

/// `xsmaxcdp`, `xsmaxcqp` (as C's `a > b ? a : b`).
pub fn maximum_c<F: Float>(a: F::Bits, b: F::Bits) -> Outcome<F::Bits> {
    extreme_c::<F>(a, b, Ordering::Greater)
}

/// `xsmincdp`, `xsmincqp` (as C's `a < b ? a : b`).
pub fn minimum_c<F: Float>(a: F::Bits, b: F::Bits) -> Outcome<F::Bits> {
    extreme_c::<F>(a, b, Ordering::Less)
}

fn extreme_c<F: Float>(a: F::Bits, b: F::Bits, wanted: Ordering) -> Outcome<F::Bits> {
    let value = if order::<F>(a, b) == Some(wanted) { a } else { b };
    Outcome { value, flags: vxsnan::<F>(a, b), fprf: class::<F>(value) }
}

/// `xsmaxjdp` (as Java's `Math.max`): any NaN wins, the first one, as it is.
pub fn maximum_j<F: Float>(a: F::Bits, b: F::Bits) -> Outcome<F::Bits> {
    extreme_j::<F>(a, b, Ordering::Greater)
}

/// `xsminjdp` (as Java's `Math.min`).
pub fn minimum_j<F: Float>(a: F::Bits, b: F::Bits) -> Outcome<F::Bits> {
    extreme_j::<F>(a, b, Ordering::Less)
}

fn extreme_j<F: Float>(a: F::Bits, b: F::Bits, wanted: Ordering) -> Outcome<F::Bits> {
    let value = match order::<F>(a, b) {
        Some(Ordering::Equal) => pick_zero::<F>(a, b, wanted),
        Some(found) if found == wanted => a,
        Some(_) => b,
        None if is_nan::<F>(a) => a,
        None => b,
    };
    Outcome { value, flags: vxsnan::<F>(a, b), fprf: class::<F>(value) }
}

/// `xststdcdp`, `xvtstdcsp`, ..: whether the value is in one of the classes of `dcmx`: from bit 6 down NaN, +infinity,
/// -infinity, +zero, -zero, +denormal, -denormal.
pub fn test_data_class<F: Float>(bits: F::Bits, dcmx: u32) -> bool {
    let by_sign = |sign: bool, plus: u32| if sign { plus >> 1 } else { plus };
    let class = match Unpacked::new::<F>(bits) {
        Unpacked::Nan { .. } => 0x40,
        Unpacked::Infinity { sign } => by_sign(sign, 0x20),
        Unpacked::Zero { sign } => by_sign(sign, 0x08),
        Unpacked::Finite { sign, exponent, .. } if exponent < F::FORMAT.emin() => by_sign(sign, 0x02),
        Unpacked::Finite { .. } => 0,
    };
    dcmx & class != 0
}

/// `ftdiv`, `xstdivdp`, `xvtdivsp`, ..: the CR field 0b1 || fg || fe || 0b0.
pub fn test_divide<F: Float>(a: F::Bits, b: F::Bits) -> u8 {
    let format = F::FORMAT;
    let (ua, ub) = (Unpacked::new::<F>(a), Unpacked::new::<F>(b));
    let exponent = |bits| biased_exponent::<F>(bits) as i32 - format.bias();
    let (ea, eb) = (exponent(a), exponent(b));
    let denormal_b = matches!(ub, Unpacked::Finite { exponent, .. } if exponent < format.emin());
    let infinite = |u| matches!(u, Unpacked::Infinity { .. });
    let zero = |u| matches!(u, Unpacked::Zero { .. });
    let fg = infinite(ua) || infinite(ub) || zero(ub) || denormal_b;
    let fe = infinite(ua)
        || infinite(ub)
        || ua.is_nan()
        || ub.is_nan()
        || zero(ub)
        || eb <= format.emin()
        || eb >= format.emax() - 2
        || !zero(ua)
            && (ea - eb >= format.emax() || ea - eb <= format.emin() + 1 || ea <= lowest_without_denormal_rest(format));
    0b1000 | u8::from(fg) << 2 | u8::from(fe) << 1
}

/// `ftsqrt`, `xstsqrtdp`, `xvtsqrtsp`, ..: the CR field 0b1 || fg || fe || 0b0.
pub fn test_sqrt<F: Float>(b: F::Bits) -> u8 {
    let format = F::FORMAT;
    let unpacked = Unpacked::new::<F>(b);
    let exponent = biased_exponent::<F>(b) as i32 - format.bias();
    let (fg, fe) = match unpacked {
        Unpacked::Zero { .. } | Unpacked::Infinity { .. } => (true, true),
        Unpacked::Nan { .. } => (false, true),
        Unpacked::Finite { sign, exponent: normalised, .. } => {
            (normalised < format.emin(), sign || exponent <= lowest_without_denormal_rest(format))
        }
    };
    0b1000 | u8::from(fg) << 2 | u8::from(fe) << 1
}

/// -970 for double, -103 for single: at or below it a remainder may be denormal.
fn lowest_without_denormal_rest(format: Format) -> i32 {
    format.emin() + format.fraction_bits as i32
}
