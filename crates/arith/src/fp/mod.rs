//! Binary floating point as PowerPC does it (Power ISA v3.1, chapters 4 and 7): every operation is computed exactly,
//! rounded once, and reports every FPSCR bit.
//!
//! Values are bit patterns: `u16`, `u32`, `u64` or `u128`. The type parameter ([`Half`], [`BFloat`], [`Single`],
//! [`Double`], [`Quad`]) names the format. Single-precision arithmetic on values kept in double format (`fadds`,
//! `xsaddsp`, ..) is the double operation with [`Control::single`] set: it rounds once, to single.

mod compare;
mod convert;
mod estimate;
pub mod fast;
mod ops;
mod round;
mod wide;

pub use compare::*;
pub use convert::*;
pub use estimate::*;
pub use fast::Fast;
pub use ops::*;
use wide::{U256, Wide};

use crate::fpscr::{self, Flags};

/// How a result that is not exact is rounded. The first four are FPSCR\[RN\].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    #[default]
    NearestEven,
    /// Toward zero.
    Zero,
    /// Toward plus infinity.
    Up,
    /// Toward minus infinity.
    Down,
    /// To nearest, ties away from zero (`frin`, `xsrdpi`, ..).
    NearestAway,
    /// To odd: the last bit remembers that the result is not exact (`xsaddqpo`, ..).
    Odd,
}

impl Rounding {
    /// The mode that the two bits FPSCR\[RN\] name.
    pub fn from_rn(rn: u64) -> Rounding {
        match rn & 3 {
            0 => Rounding::NearestEven,
            1 => Rounding::Zero,
            2 => Rounding::Up,
            _ => Rounding::Down,
        }
    }
}

/// What an operation needs to know of the FPSCR and of its instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// Rounding mode.
    pub rounding: Rounding,
    /// FPSCR\[OE\]: an overflowing result is delivered with its exponent reduced.
    pub oe: bool,
    /// FPSCR\[UE\]: a tiny result is delivered with its exponent raised.
    pub ue: bool,
    /// FPSCR\[VE\]: a signalling NaN in an ordered compare raises VXSNAN alone.
    pub ve: bool,
    /// Round to single precision and range, whatever the format of the target.
    pub single: bool,
}

impl Control {
    /// Rounding mode and enables as FPSCR has them.
    pub fn from_fpscr(value: u64) -> Control {
        Control {
            rounding: Rounding::from_rn(value & fpscr::RN),
            oe: value & fpscr::OE != 0,
            ue: value & fpscr::UE != 0,
            ve: value & fpscr::VE != 0,
            single: false,
        }
    }

    /// The same, rounding to single precision.
    pub fn single(self) -> Control {
        Control { single: true, ..self }
    }

    /// The same with another rounding mode.
    pub fn rounded(self, rounding: Rounding) -> Control {
        Control { rounding, ..self }
    }
}

/// A result, what it raised, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome<T> {
    /// The value that is written when no exception forbids it.
    pub value: T,
    /// Exceptions, FR and FI.
    pub flags: Flags,
    /// Class and sign for FPSCR\[FPRF\] (C, FL, FG, FE, FU).
    pub fprf: u8,
}

impl<T> Outcome<T> {
    /// The same outcome with its value mapped.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome { value: f(self.value), flags: self.flags, fprf: self.fprf }
    }
}

/// A binary interchange format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// Width of the exponent field in bits.
    pub exponent_bits: u32,
    /// Width of the fraction field in bits.
    pub fraction_bits: u32,
}

impl Format {
    /// Precision: the fraction and the implied bit.
    const fn precision(self) -> u32 {
        self.fraction_bits + 1
    }

    /// Largest biased exponent: infinities and NaNs.
    const fn exponent_max(self) -> i32 {
        (1 << self.exponent_bits) - 1
    }

    const fn bias(self) -> i32 {
        (1 << (self.exponent_bits - 1)) - 1
    }

    /// Exponent of the smallest normal number.
    const fn emin(self) -> i32 {
        1 - self.bias()
    }

    /// Exponent of the largest finite number.
    const fn emax(self) -> i32 {
        self.bias()
    }

    /// What enabled overflow and underflow exceptions take from and add to the exponent: 192, 1536, 24576.
    const fn adjust(self) -> i32 {
        3 << (self.exponent_bits - 2)
    }

    const fn sign_mask(self) -> u128 {
        1 << (self.exponent_bits + self.fraction_bits)
    }

    const fn fraction_mask(self) -> u128 {
        (1 << self.fraction_bits) - 1
    }

    const fn quiet_bit(self) -> u128 {
        1 << (self.fraction_bits - 1)
    }

    const fn infinity(self, sign: bool) -> u128 {
        (self.exponent_max() as u128) << self.fraction_bits | self.zero(sign)
    }

    const fn zero(self, sign: bool) -> u128 {
        if sign { self.sign_mask() } else { 0 }
    }

    /// The NaN that invalid operations give: positive, quiet, no payload.
    const fn default_nan(self) -> u128 {
        self.infinity(false) | self.quiet_bit()
    }
}

/// A format as a type.
pub trait Float: Copy {
    /// Its bit pattern.
    type Bits: Copy + PartialEq + std::fmt::Debug;
    /// Wide enough for the product of two significands, with bits to spare.
    #[doc(hidden)]
    type Wide: Wide;
    /// Its parameters.
    const FORMAT: Format;
    /// Pattern to integer.
    fn widen(bits: Self::Bits) -> u128;
    /// Integer to pattern.
    fn narrow(bits: u128) -> Self::Bits;
    /// The operation on the host's floating point, to nearest even, where that gives every flag too.
    #[doc(hidden)]
    fn fast(_: Fast, _: Self::Bits, _: Self::Bits, _: Self::Bits) -> Option<Outcome<Self::Bits>> {
        None
    }
}

macro_rules! formats {
    ($(
        $(#[$doc:meta])* $name:ident, $bits:ty, $wide:ty, $exponent_bits:expr, $fraction_bits:expr $(, $fast:path)?;
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;
        impl Float for $name {
            type Bits = $bits;
            type Wide = $wide;
            const FORMAT: Format = Format { exponent_bits: $exponent_bits, fraction_bits: $fraction_bits };
            fn widen(bits: $bits) -> u128 {
                u128::from(bits)
            }
            fn narrow(bits: u128) -> $bits {
                bits as $bits
            }
            $(
                #[inline]
                fn fast(op: Fast, a: $bits, b: $bits, c: $bits) -> Option<Outcome<$bits>> {
                    $fast(op, a, b, c)
                }
            )?
        }
    )*};
}

formats! {
    /// Half precision, in `u16`.
    Half, u16, u128, 5, 10;
    /// bfloat16, in `u16`.
    BFloat, u16, u128, 8, 7;
    /// Single precision, in `u32`.
    Single, u32, u128, 8, 23, fast::single;
    /// Double precision, in `u64`.
    Double, u64, u128, 11, 52, fast::double;
    /// Quad precision, in `u128`.
    Quad, u128, U256, 15, 112;
}

/// A number or a NaN, taken apart.
#[derive(Clone, Copy, Debug)]
enum Unpacked {
    Zero {
        sign: bool,
    },
    /// `significand * 2^(exponent - (precision - 1))`, the highest bit of the significand at `precision - 1`.
    Finite {
        sign: bool,
        exponent: i32,
        significand: u128,
    },
    Infinity {
        sign: bool,
    },
    /// The pattern as it is.
    Nan {
        bits: u128,
        signalling: bool,
    },
}

impl Unpacked {
    fn new<F: Float>(bits: F::Bits) -> Unpacked {
        Unpacked::from_bits(F::widen(bits), F::FORMAT)
    }

    fn from_bits(bits: u128, format: Format) -> Unpacked {
        let sign = bits & format.sign_mask() != 0;
        let biased = ((bits >> format.fraction_bits) & format.exponent_max() as u128) as i32;
        let fraction = bits & format.fraction_mask();
        if biased == format.exponent_max() {
            return match fraction {
                0 => Unpacked::Infinity { sign },
                _ => Unpacked::Nan { bits, signalling: fraction & format.quiet_bit() == 0 },
            };
        }
        match (biased, fraction) {
            (0, 0) => Unpacked::Zero { sign },
            (0, _) => {
                let shift = fraction.leading_zeros() - (128 - format.precision());
                Unpacked::Finite { sign, exponent: format.emin() - shift as i32, significand: fraction << shift }
            }
            _ => Unpacked::Finite {
                sign,
                exponent: biased - format.bias(),
                significand: fraction | 1 << format.fraction_bits,
            },
        }
    }

    fn sign(self, format: Format) -> bool {
        match self {
            Unpacked::Zero { sign } | Unpacked::Infinity { sign } | Unpacked::Finite { sign, .. } => sign,
            Unpacked::Nan { bits, .. } => bits & format.sign_mask() != 0,
        }
    }

    fn is_nan(self) -> bool {
        matches!(self, Unpacked::Nan { .. })
    }

    fn is_signalling(self) -> bool {
        matches!(self, Unpacked::Nan { signalling: true, .. })
    }
}

/// FPRF of a quiet NaN.
pub const FPRF_QNAN: u8 = 0b10001;

const fn fprf_signed(sign: bool, plus: u8, minus: u8) -> u8 {
    if sign { minus } else { plus }
}

const fn fprf_infinity(sign: bool) -> u8 {
    fprf_signed(sign, 0b00101, 0b01001)
}

const fn fprf_zero(sign: bool) -> u8 {
    fprf_signed(sign, 0b00010, 0b10010)
}

const fn fprf_normal(sign: bool) -> u8 {
    fprf_signed(sign, 0b00100, 0b01000)
}

const fn fprf_denormal(sign: bool) -> u8 {
    fprf_signed(sign, 0b10100, 0b11000)
}

/// FPRF of a bit pattern.
pub fn class<F: Float>(bits: F::Bits) -> u8 {
    let format = F::FORMAT;
    match Unpacked::new::<F>(bits) {
        Unpacked::Zero { sign } => fprf_zero(sign),
        Unpacked::Infinity { sign } => fprf_infinity(sign),
        Unpacked::Nan { .. } => FPRF_QNAN,
        Unpacked::Finite { sign, exponent, .. } if exponent < format.emin() => fprf_denormal(sign),
        Unpacked::Finite { sign, .. } => fprf_normal(sign),
    }
}

/// The outcome of an invalid operation: the default NaN.
fn invalid<F: Float>(flags: u64) -> Outcome<F::Bits> {
    Outcome { value: F::narrow(F::FORMAT.default_nan()), flags: Flags(flags), fprf: FPRF_QNAN }
}

/// The first NaN among the operands, quieted; VXSNAN if any of them signals. `None` if none is a NaN.
fn propagate<F: Float>(operands: &[Unpacked], control: Control) -> Option<Outcome<F::Bits>> {
    let nan = operands.iter().find_map(|operand| match operand {
        Unpacked::Nan { bits, .. } => Some(*bits),
        _ => None,
    })?;
    let signals = operands.iter().any(|operand| operand.is_signalling());
    Some(Outcome {
        value: F::narrow(quiet(nan, F::FORMAT, control)),
        flags: Flags(if signals { fpscr::VXSNAN } else { 0 }),
        fprf: FPRF_QNAN,
    })
}

/// Quiets a NaN; a result of single precision keeps only the payload that fits.
fn quiet(nan: u128, format: Format, control: Control) -> u128 {
    let keep = match control.single && format.fraction_bits > Single::FORMAT.fraction_bits {
        true => !((1 << (format.fraction_bits - Single::FORMAT.fraction_bits)) - 1),
        false => !0,
    };
    nan & keep | format.quiet_bit()
}

fn zero<F: Float>(sign: bool) -> Outcome<F::Bits> {
    Outcome { value: F::narrow(F::FORMAT.zero(sign)), flags: Flags::NONE, fprf: fprf_zero(sign) }
}

fn infinity<F: Float>(sign: bool, flags: u64) -> Outcome<F::Bits> {
    Outcome { value: F::narrow(F::FORMAT.infinity(sign)), flags: Flags(flags), fprf: fprf_infinity(sign) }
}

#[cfg(test)]
mod tests;
