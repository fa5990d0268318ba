//! Quadword arithmetic: extended sums, multiplication by ten, division.

use super::{helpers_ab, helpers_abc, vsr_helper};
use crate::{Fields, R, Sem};

/// `a + b + carry`, and whether it carries.
#[inline(always)]
fn add(a: u128, b: u128, carry: bool) -> (u128, bool) {
    let (sum, first) = a.overflowing_add(b);
    let (sum, second) = sum.overflowing_add(u128::from(carry));
    (sum, first | second)
}

/// `10 a + digit`: the low quadword, and what goes beyond it.
fn times_ten(a: u128, digit: u128) -> (u128, u128) {
    let low = (a & u128::from(u64::MAX)) * 10 + digit;
    let high = (a >> 64) * 10 + (low >> 64);
    (high << 64 | low & u128::from(u64::MAX), high >> 64)
}

helpers_ab! {
    vaddcuq: |a, b| u128::from(add(a, b, false).1);
    vsubcuq: |a, b| u128::from(a >= b);
    vmul10euq: |a, b| times_ten(a, b & 15).0;
    vmul10ecuq: |a, b| times_ten(a, b & 15).1;
}

helpers_abc! {
    vaddeuqm: |a, b, c, _sat| add(a, b, c & 1 != 0).0;
    vaddecuq: |a, b, c, _sat| u128::from(add(a, b, c & 1 != 0).1);
    vsubeuqm: |a, b, c, _sat| add(a, !b, c & 1 != 0).0;
    vsubecuq: |a, b, c, _sat| u128::from(add(a, !b, c & 1 != 0).1);
}

/// `vmul10uq`
pub fn vmul10uq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| times_ten(a, 0).0);
    super::call(s, helper, i.vrt(), 0, i.vra(), 0)
}

/// `vmul10cuq`
pub fn vmul10cuq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| times_ten(a, 0).1);
    super::call(s, helper, i.vrt(), 0, i.vra(), 0)
}

/// The quotient of `a || 0` by `b`, by shifting and subtracting, or 0 where it is no quadword.
fn divide_extended(a: u128, b: u128) -> u128 {
    if a >= b {
        return 0;
    }
    let (mut rest, mut quotient) = (a, 0u128);
    for _ in 0..128 {
        let carry = rest >> 127 != 0;
        rest <<= 1;
        quotient <<= 1;
        if carry || rest >= b {
            rest = rest.wrapping_sub(b);
            quotient |= 1;
        }
    }
    quotient
}

// What is undefined is 0, as with smaller elements.
helpers_ab! {
    vdivuq: |a, b| a.checked_div(b).unwrap_or(0);
    vdivsq: |a, b| (a as i128).checked_div(b as i128).unwrap_or(0) as u128;
    vmoduq: |a, b| a.checked_rem(b).unwrap_or(0);
    vmodsq: |a, b| (a as i128).checked_rem(b as i128).unwrap_or(0) as u128;
    vdiveuq: |a, b| divide_extended(a, b);
    vdivesq: |a, b| {
        let quotient = divide_extended((a as i128).unsigned_abs(), (b as i128).unsigned_abs());
        match (a ^ b) >> 127 != 0 {
            true if quotient <= 1 << 127 => quotient.wrapping_neg(),
            false if quotient < 1 << 127 => quotient,
            _ => 0,
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_carry_and_ten_multiplies() {
        assert_eq!(add(u128::MAX, 0, true), (0, true));
        assert_eq!(add(u128::MAX, u128::MAX, true), (u128::MAX, true));
        assert_eq!(add(5, !5, false), (u128::MAX, false));
        assert_eq!(times_ten(u128::MAX, 9), (u128::MAX, 9));
        assert_eq!(times_ten(1 << 127, 3), (3, 5));
    }

    #[test]
    fn extended_division() {
        assert_eq!(divide_extended(1, 2), 1 << 127);
        assert_eq!(divide_extended(2, 3), u128::MAX / 3 * 2);
        assert_eq!((divide_extended(5, 3), divide_extended(5, 0)), (0, 0), "too many bits");
        assert_eq!(divide_extended(u128::MAX - 1, u128::MAX), u128::MAX - 1);
    }
}
