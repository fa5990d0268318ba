//! Add, multiply, divide, square root, multiply-add.

use super::round::{Exact, round};
use super::*;

/// Significand as a wide integer with the highest bit at the top.
fn exact<F: Float>(sign: bool, exponent: i32, significand: u128) -> Exact<F::Wide> {
    Exact { sign, exponent, significand: F::Wide::from_u128(significand).shl(F::Wide::BITS - F::FORMAT.precision()) }
}

/// The sign of an exact zero that comes of opposite numbers.
fn zero_sign(control: Control) -> bool {
    control.rounding == Rounding::Down
}

fn sum<F: Float>(a: Exact<F::Wide>, b: Exact<F::Wide>, control: Control) -> Outcome<F::Bits> {
    let (large, small) = if a.exponent >= b.exponent { (a, b) } else { (b, a) };
    let distance = (large.exponent - small.exponent) as u32;
    // One bit of headroom. A product leaves at least 22 bits below it, so nothing but sticky is lost here.
    let x = large.significand.shr_sticky(1);
    let y = small.significand.shr_sticky(1 + distance);
    let scale = large.exponent + 2 - F::Wide::BITS as i32;
    if a.sign == b.sign {
        return round::<F, _>(Exact::new(a.sign, x.plus(y), scale), control);
    }
    match x.cmp(&y) {
        std::cmp::Ordering::Equal => zero::<F>(zero_sign(control)),
        std::cmp::Ordering::Greater => round::<F, _>(Exact::new(large.sign, x.minus(y), scale), control),
        std::cmp::Ordering::Less => round::<F, _>(Exact::new(small.sign, y.minus(x), scale), control),
    }
}

fn add_unpacked<F: Float>(a: Unpacked, b: Unpacked, control: Control) -> Outcome<F::Bits> {
    use Unpacked::*;
    match (a, b) {
        (Infinity { sign }, Infinity { sign: other }) if sign != other => invalid::<F>(fpscr::VXISI),
        (Infinity { sign }, _) | (_, Infinity { sign }) => infinity::<F>(sign, 0),
        (Zero { sign }, Zero { sign: other }) if sign == other => zero::<F>(sign),
        (Zero { .. }, Zero { .. }) => zero::<F>(zero_sign(control)),
        (Finite { sign, exponent, significand }, Zero { .. })
        | (Zero { .. }, Finite { sign, exponent, significand }) => {
            round::<F, _>(exact::<F>(sign, exponent, significand), control)
        }
        (Finite { sign, exponent, significand }, Finite { sign: sign_b, exponent: exponent_b, significand: m }) => {
            sum::<F>(exact::<F>(sign, exponent, significand), exact::<F>(sign_b, exponent_b, m), control)
        }
        (Nan { .. }, _) | (_, Nan { .. }) => invalid::<F>(0),
    }
}

fn negate(operand: Unpacked) -> Unpacked {
    match operand {
        Unpacked::Zero { sign } => Unpacked::Zero { sign: !sign },
        Unpacked::Infinity { sign } => Unpacked::Infinity { sign: !sign },
        Unpacked::Finite { sign, exponent, significand } => Unpacked::Finite { sign: !sign, exponent, significand },
        nan => nan,
    }
}

/// The fast way, if there is one: see [`super::fast`].
#[inline]
fn try_fast<F: Float>(op: Fast, a: F::Bits, b: F::Bits, c: F::Bits, control: Control) -> Option<Outcome<F::Bits>> {
    if control.rounding != Rounding::NearestEven {
        return None;
    }
    if !control.single || F::FORMAT == Single::FORMAT {
        return F::fast(op, a, b, c);
    }
    // Single precision in double format: the operands have to be singles.
    if F::FORMAT != Double::FORMAT {
        return None;
    }
    let narrow = |bits: F::Bits| {
        let wide = f64::from_bits(F::widen(bits) as u64);
        let single = wide as f32;
        (f64::from(single) == wide).then_some(single.to_bits())
    };
    let outcome = Single::fast(op, narrow(a)?, narrow(b)?, narrow(c)?)?;
    Some(outcome.map(|bits| F::narrow(u128::from(f64::from(f32::from_bits(bits)).to_bits()))))
}

fn opposite<F: Float>(bits: F::Bits) -> F::Bits {
    F::narrow(F::widen(bits) ^ F::FORMAT.sign_mask())
}

/// A + B.
pub fn add<F: Float>(a: F::Bits, b: F::Bits, control: Control) -> Outcome<F::Bits> {
    if let Some(outcome) = try_fast::<F>(Fast::Add, a, b, a, control) {
        return outcome;
    }
    let (a, b) = (Unpacked::new::<F>(a), Unpacked::new::<F>(b));
    propagate::<F>(&[a, b], control).unwrap_or_else(|| add_unpacked::<F>(a, b, control))
}

/// A - B.
pub fn sub<F: Float>(a: F::Bits, b: F::Bits, control: Control) -> Outcome<F::Bits> {
    if let Some(outcome) = try_fast::<F>(Fast::Add, a, opposite::<F>(b), a, control) {
        return outcome;
    }
    let (a, b) = (Unpacked::new::<F>(a), Unpacked::new::<F>(b));
    propagate::<F>(&[a, b], control).unwrap_or_else(|| add_unpacked::<F>(a, negate(b), control))
}

fn product<F: Float>(a: (i32, u128), b: (i32, u128), sign: bool) -> Exact<F::Wide> {
    let scale = a.0 + b.0 - 2 * F::FORMAT.fraction_bits as i32;
    Exact::new(sign, F::Wide::product(a.1, b.1), scale)
}

/// A x B.
pub fn mul<F: Float>(a: F::Bits, b: F::Bits, control: Control) -> Outcome<F::Bits> {
    use Unpacked::*;
    if let Some(outcome) = try_fast::<F>(Fast::Mul, a, b, a, control) {
        return outcome;
    }
    let (a, b) = (Unpacked::new::<F>(a), Unpacked::new::<F>(b));
    if let Some(nan) = propagate::<F>(&[a, b], control) {
        return nan;
    }
    let sign = a.sign(F::FORMAT) ^ b.sign(F::FORMAT);
    match (a, b) {
        (Infinity { .. }, Zero { .. }) | (Zero { .. }, Infinity { .. }) => invalid::<F>(fpscr::VXIMZ),
        (Infinity { .. }, _) | (_, Infinity { .. }) => infinity::<F>(sign, 0),
        (Finite { exponent, significand, .. }, Finite { exponent: exponent_b, significand: m, .. }) => {
            round::<F, _>(product::<F>((exponent, significand), (exponent_b, m), sign), control)
        }
        _ => zero::<F>(sign),
    }
}

/// A / B.
pub fn div<F: Float>(a: F::Bits, b: F::Bits, control: Control) -> Outcome<F::Bits> {
    use Unpacked::*;
    if let Some(outcome) = try_fast::<F>(Fast::Div, a, b, a, control) {
        return outcome;
    }
    let (a, b) = (Unpacked::new::<F>(a), Unpacked::new::<F>(b));
    if let Some(nan) = propagate::<F>(&[a, b], control) {
        return nan;
    }
    let sign = a.sign(F::FORMAT) ^ b.sign(F::FORMAT);
    match (a, b) {
        (Infinity { .. }, Infinity { .. }) => invalid::<F>(fpscr::VXIDI),
        (Zero { .. }, Zero { .. }) => invalid::<F>(fpscr::VXZDZ),
        (Infinity { .. }, _) => infinity::<F>(sign, 0),
        (Finite { .. }, Zero { .. }) => infinity::<F>(sign, fpscr::ZX),
        (Finite { exponent, significand, .. }, Finite { exponent: exponent_b, significand: m, .. }) => {
            let (quotient, extra_bits) = quotient(significand, m, F::FORMAT.precision());
            let scale = exponent - exponent_b - extra_bits as i32;
            round::<F, _>(Exact::new(sign, F::Wide::from_u128(quotient), scale), control)
        }
        _ => zero::<F>(sign),
    }
}

/// `a * 2^n / b` with a sticky lowest bit, and `n`; both have `precision` bits.
fn quotient(a: u128, b: u128, precision: u32) -> (u128, u32) {
    let extra_bits = precision + 2;
    if let (Ok(divisor), true) = (u64::try_from(b), precision + extra_bits <= 128) {
        let dividend = a << extra_bits;
        let divisor = u128::from(divisor);
        let quotient = dividend / divisor;
        return (quotient.with_sticky(quotient * divisor != dividend), extra_bits);
    }
    // Quad: one bit a step; the remainder stays below 2b < 2^114.
    let (mut quotient, mut rest) = (a / b, a % b);
    for _ in 0..extra_bits {
        rest <<= 1;
        quotient <<= 1;
        if rest >= b {
            rest -= b;
            quotient |= 1;
        }
    }
    (quotient.with_sticky(rest != 0), extra_bits)
}

/// Square root of B.
pub fn sqrt<F: Float>(b: F::Bits, control: Control) -> Outcome<F::Bits> {
    use Unpacked::*;
    if let Some(outcome) = try_fast::<F>(Fast::Sqrt, b, b, b, control) {
        return outcome;
    }
    let b = Unpacked::new::<F>(b);
    if let Some(nan) = propagate::<F>(&[b], control) {
        return nan;
    }
    match b {
        Zero { sign } => zero::<F>(sign),
        Infinity { sign: false } => infinity::<F>(false, 0),
        Finite { sign: false, exponent, significand } => {
            // value = m * 2^s with s even; the root of m * 2^(2k) has precision + 2 bits at least.
            let mut scale = exponent - F::FORMAT.fraction_bits as i32;
            let mut shift = F::FORMAT.precision() + 4;
            if (scale - shift as i32) & 1 != 0 {
                shift += 1;
            }
            scale -= shift as i32;
            let root = integer_sqrt(F::Wide::from_u128(significand).shl(shift));
            round::<F, _>(Exact::new(false, F::Wide::from_u128(root), scale / 2), control)
        }
        _ => invalid::<F>(fpscr::VXSQRT),
    }
}

/// Integer square root, inexactness remembered in its lowest bit.
fn integer_sqrt<W: Wide>(radicand: W) -> u128 {
    let root = radicand.sqrt();
    // The root has at least two bits below the precision, so its lowest one can carry the sticky.
    root.with_sticky(W::product(root, root) != radicand)
}

/// The four forms of multiply-add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MulAdd {
    /// `A x C + B`
    Madd,
    /// `A x C - B`
    Msub,
    /// `-(A x C + B)`
    Nmadd,
    /// `-(A x C - B)`
    Nmsub,
}

/// Multiply-add with one rounding: `a` times `c`, plus or minus `b`, perhaps negated.
///
/// A NaN operand is taken in the order A, B (the addend), C, and no NaN result is negated.
pub fn mul_add<F: Float>(form: MulAdd, a: F::Bits, c: F::Bits, b: F::Bits, control: Control) -> Outcome<F::Bits> {
    use Unpacked::*;
    let addend = if matches!(form, MulAdd::Msub | MulAdd::Nmsub) { opposite::<F>(b) } else { b };
    if let Some(outcome) = try_fast::<F>(Fast::MulAdd, a, c, addend, control) {
        return if matches!(form, MulAdd::Nmadd | MulAdd::Nmsub) { negated::<F>(outcome) } else { outcome };
    }
    let (a, c, b) = (Unpacked::new::<F>(a), Unpacked::new::<F>(c), Unpacked::new::<F>(b));
    let infinity_times_zero = matches!((a, c), (Infinity { .. }, Zero { .. }) | (Zero { .. }, Infinity { .. }));
    let imz = if infinity_times_zero { fpscr::VXIMZ } else { 0 };
    if let Some(mut nan) = propagate::<F>(&[a, b, c], control) {
        nan.flags |= Flags(imz);
        return nan;
    }
    if infinity_times_zero {
        return invalid::<F>(imz);
    }
    let b = if matches!(form, MulAdd::Msub | MulAdd::Nmsub) { negate(b) } else { b };
    let sign = a.sign(F::FORMAT) ^ c.sign(F::FORMAT);
    // The negation comes after rounding: a directed mode rounds the result as it is before.
    let outcome = match (a, c) {
        (Finite { exponent, significand, .. }, Finite { exponent: exponent_c, significand: m, .. }) => {
            let product = product::<F>((exponent, significand), (exponent_c, m), sign);
            match b {
                Finite { sign, exponent, significand } => {
                    sum::<F>(product, exact::<F>(sign, exponent, significand), control)
                }
                Infinity { sign } => infinity::<F>(sign, 0),
                _ => round::<F, _>(product, control),
            }
        }
        (Infinity { .. }, _) | (_, Infinity { .. }) => add_unpacked::<F>(Infinity { sign }, b, control),
        _ => add_unpacked::<F>(Zero { sign }, b, control),
    };
    match form {
        MulAdd::Nmadd | MulAdd::Nmsub if outcome.fprf != FPRF_QNAN => negated::<F>(outcome),
        _ => outcome,
    }
}

fn negated<F: Float>(outcome: Outcome<F::Bits>) -> Outcome<F::Bits> {
    let value = opposite::<F>(outcome.value);
    // Classes of opposite sign: denormal and zero flip C with FL (or C alone), the others FL with FG.
    let fprf = match outcome.fprf {
        0b00101 => 0b01001,
        0b01001 => 0b00101,
        0b00010 => 0b10010,
        0b10010 => 0b00010,
        0b00100 => 0b01000,
        0b01000 => 0b00100,
        0b10100 => 0b11000,
        0b11000 => 0b10100,
        other => other,
    };
    Outcome { value, flags: outcome.flags, fprf }
}
