//! Integers wide enough for an exact product: 128 bits serve formats up to double, 256 bits quad.

/// An unsigned integer of 128 or 256 bits.
pub trait Wide: Copy + Ord + std::fmt::Debug {
    /// Width.
    const BITS: u32;
    /// 0.
    const ZERO: Self;
    /// Widens.
    fn from_u128(x: u128) -> Self;
    /// The lowest 128 bits.
    fn low(self) -> u128;
    /// Exact if the product fits.
    fn product(a: u128, b: u128) -> Self;
    /// Sum; the caller leaves room for the carry.
    fn plus(self, other: Self) -> Self;
    /// Difference of a larger and a smaller.
    fn minus(self, other: Self) -> Self;
    /// Shift left by less than the width.
    fn shl(self, count: u32) -> Self;
    /// Shift right; by the width or more gives 0.
    fn shr(self, count: u32) -> Self;
    /// Number of leading zero bits.
    fn leading_zeros(self) -> u32;
    /// Sets the lowest bit.
    fn with_sticky(self, sticky: bool) -> Self;

    /// Integer square root, of at most 127 bits.
    fn sqrt(self) -> u128;

    /// Shift right; bits that fall out are remembered in the lowest bit.
    fn shr_sticky(self, count: u32) -> Self {
        if count == 0 {
            return self;
        }
        let out = self.shr(count);
        let lost = self != Self::ZERO && (count >= Self::BITS || out.shl(count) != self);
        out.with_sticky(lost)
    }
}

impl Wide for u128 {
    const BITS: u32 = 128;
    const ZERO: u128 = 0;
    fn from_u128(x: u128) -> u128 {
        x
    }
    fn low(self) -> u128 {
        self
    }
    fn product(a: u128, b: u128) -> u128 {
        a.wrapping_mul(b)
    }
    fn plus(self, other: u128) -> u128 {
        self.wrapping_add(other)
    }
    fn minus(self, other: u128) -> u128 {
        self.wrapping_sub(other)
    }
    fn shl(self, count: u32) -> u128 {
        self << count
    }
    fn shr(self, count: u32) -> u128 {
        self.checked_shr(count).unwrap_or(0)
    }
    fn leading_zeros(self) -> u32 {
        u128::leading_zeros(self)
    }
    fn with_sticky(self, sticky: bool) -> u128 {
        self | u128::from(sticky)
    }
    fn sqrt(self) -> u128 {
        self.isqrt()
    }
}

/// 256 bits, high part first so that the derived order is the numeric one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct U256 {
    high: u128,
    low: u128,
}

impl Wide for U256 {
    const BITS: u32 = 256;
    const ZERO: U256 = U256 { high: 0, low: 0 };
    fn from_u128(low: u128) -> U256 {
        U256 { high: 0, low }
    }
    fn low(self) -> u128 {
        self.low
    }
    fn product(a: u128, b: u128) -> U256 {
        const MASK: u128 = u64::MAX as u128;
        let (a1, a0, b1, b0) = (a >> 64, a & MASK, b >> 64, b & MASK);
        let bottom = a0 * b0;
        let (cross, other_cross) = (a0 * b1, a1 * b0);
        let middle = (bottom >> 64) + (cross & MASK) + (other_cross & MASK);
        let high = a1 * b1 + (cross >> 64) + (other_cross >> 64) + (middle >> 64);
        U256 { high, low: middle << 64 | bottom & MASK }
    }
    fn plus(self, other: U256) -> U256 {
        let (low, carry) = self.low.overflowing_add(other.low);
        U256 { high: self.high.wrapping_add(other.high).wrapping_add(u128::from(carry)), low }
    }
    fn minus(self, other: U256) -> U256 {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        U256 { high: self.high.wrapping_sub(other.high).wrapping_sub(u128::from(borrow)), low }
    }
    fn shl(self, count: u32) -> U256 {
        match count {
            0 => self,
            1..128 => U256 { high: self.high << count | self.low >> (128 - count), low: self.low << count },
            _ => U256 { high: self.low << (count - 128), low: 0 },
        }
    }
    fn shr(self, count: u32) -> U256 {
        match count {
            0 => self,
            1..128 => U256 { high: self.high >> count, low: self.low >> count | self.high << (128 - count) },
            128..256 => U256 { high: 0, low: self.high >> (count - 128) },
            _ => Self::ZERO,
        }
    }
    fn leading_zeros(self) -> u32 {
        if self.high != 0 { self.high.leading_zeros() } else { 128 + self.low.leading_zeros() }
    }
    fn with_sticky(self, sticky: bool) -> U256 {
        U256 { low: self.low | u128::from(sticky), ..self }
    }
    fn sqrt(self) -> u128 {
        let mut root = 0u128;
        let mut bit = 1u128 << ((Self::BITS - 1).saturating_sub(self.leading_zeros()) / 2);
        while bit != 0 {
            let trial = root | bit;
            if Self::product(trial, trial) <= self {
                root = trial;
            }
            bit >>= 1;
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn product_distributes(a: u128, b: u128, count in 0u32..300) {
            // (a - 1) * b + b = a * b, and shifting back and forth loses only what sticky remembers.
            let product = U256::product(a, b);
            if a > 0 {
                prop_assert_eq!(U256::product(a - 1, b).plus(U256::from_u128(b)), product);
                prop_assert_eq!(product.minus(U256::from_u128(b)), U256::product(a - 1, b));
            }
            prop_assert_eq!(product.low(), a.wrapping_mul(b));
            let shifted = product.shr(count);
            if count < 256 {
                prop_assert!(shifted.shl(count) <= product);
                prop_assert!(product.minus(shifted.shl(count)) < U256::from_u128(1).shl(count));
            } else {
                prop_assert_eq!(shifted, U256::ZERO);
            }
        }
    }
}
