//! Helpers of the fixed-point rows: what takes more than a few host instructions.

use crate::Vcpu;
use crate::helpers::{ones, pure_helpers};

/// The dividend and divisor of `divde` and `divdeu`, and their quotient, if it fits in 64 bits.
fn extended_quotient(a: u64, b: u64, signed: bool) -> Option<u64> {
    if signed {
        let quotient = (i128::from(a as i64) << 64).checked_div(i128::from(b as i64))?;
        i64::try_from(quotient).ok().map(|q| q as u64)
    } else {
        let quotient = (u128::from(a) << 64).checked_div(u128::from(b))?;
        u64::try_from(quotient).ok()
    }
}

/// The bits of `v` under the ones of `mask`, gathered at the low end.
fn gather(v: u64, mask: u64) -> u64 {
    let (mut r, mut left, mut to) = (0, mask, 0);
    while left != 0 {
        let bit = left.trailing_zeros();
        r |= (v >> bit & 1) << to;
        to += 1;
        left &= left - 1;
    }
    r
}

/// A declet (10 bits, densely packed decimal) as three BCD digits. All 1024 mean something.
fn declet_to_bcd(d: u64) -> u64 {
    let bit = |n: u32| d >> (9 - n) & 1; // as the manual counts them: p q r s t u v w x y are 0 to 9
    let small = |n: u32| bit(n) << 2 | bit(n + 1) << 1 | bit(n + 2); // three bits from n on
    let (r, u, y) = (bit(2), bit(5), bit(9));
    let (a, b, c) = (small(0), small(3), small(7));
    let pq = bit(0) << 1 | bit(1);
    let st = bit(3) << 1 | bit(4);
    let (first, second, third) = match (bit(6), bit(7) << 1 | bit(8)) {
        (0, _) => (a, b, c),
        (_, 0) => (a, b, 8 | y),
        (_, 1) => (a, 8 | u, st << 1 | y),
        (_, 2) => (8 | r, b, pq << 1 | y),
        _ => match st {
            0 => (8 | r, 8 | u, pq << 1 | y),
            1 => (8 | r, pq << 1 | u, 8 | y),
            2 => (a, 8 | u, 8 | y),
            _ => (8 | r, 8 | u, 8 | y),
        },
    };
    first << 8 | second << 4 | third
}

/// Three BCD digits as a declet. A digit above 9 is taken by the formulas of the manual (Book I, 5.2), like a valid
/// one with the same high bit.
fn bcd_to_declet(bcd: u64) -> u64 {
    let digit = |n: u32| bcd >> (8 - 4 * n) & 0xF;
    let (first, second, third) = (digit(0), digit(1), digit(2));
    let (f, s, t) = (first & 7, second & 7, third & 7);
    let (f0, s0, t0) = (first & 1, second & 1, third & 1);
    // The two middle bits of a small digit, where they move to.
    let middle = |d: u64| d >> 1 & 3;
    match (first >> 3, second >> 3, third >> 3) {
        (0, 0, 0) => f << 7 | s << 4 | t,
        (0, 0, _) => f << 7 | s << 4 | 0b1000 | t0,
        (0, _, 0) => f << 7 | middle(t) << 5 | s0 << 4 | 0b1010 | t0,
        (_, 0, 0) => middle(t) << 8 | f0 << 7 | s << 4 | 0b1100 | t0,
        (_, _, 0) => middle(t) << 8 | f0 << 7 | s0 << 4 | 0b1110 | t0,
        (_, 0, _) => middle(s) << 8 | f0 << 7 | 0b01 << 5 | s0 << 4 | 0b1110 | t0,
        (0, _, _) => f << 7 | 0b10 << 5 | s0 << 4 | 0b1110 | t0,
        _ => f0 << 7 | 0b11 << 5 | s0 << 4 | 0b1110 | t0,
    }
}

pure_helpers! {
    /// `divde` (`signed` = 1) and `divdeu`: the quotient, 0 if there is none.
    divide_extended(a, b, signed) { extended_quotient(a, b, signed != 0).unwrap_or(0) }
    /// Whether they overflow.
    divide_extended_overflows(a, b, signed) { extended_quotient(a, b, signed != 0).is_none().into() }
    /// `addg6s`: 6 in each digit whose sum does not carry, 0 in the others.
    addg6s(a, b, _c) {
        let wide = u128::from(a) + u128::from(b);
        let carries = (wide ^ u128::from(a) ^ u128::from(b)) >> 4;
        let none = !(carries as u64) & 0x1111_1111_1111_1111;
        none * 6
    }
    /// `bpermd`: bit 56+n of the result is the bit of `b` that byte n of `a` names, 0 if it names none.
    bpermd(a, b, _c) {
        a.to_be_bytes().iter().fold(0, |r, &index| {
            r << 1 | if index < 64 { b >> (63 - index) & 1 } else { 0 }
        })
    }
    /// `cfuged`: bits of `a` under zeros of the mask to the left, those under ones to the right.
    cfuged(a, mask, _c) {
        let right = gather(a, mask);
        let count = mask.count_ones();
        if count == 64 { right } else { gather(a, !mask) << count | right }
    }
    /// `pextd`.
    pextd(a, mask, _c) { gather(a, mask) }
    /// `pdepd`: the low bits of `a`, from the right, to the ones of the mask.
    pdepd(a, mask, _c) {
        let (mut r, mut left, mut from) = (0, mask, a);
        while left != 0 {
            r |= (from & 1) << left.trailing_zeros();
            from >>= 1;
            left &= left - 1;
        }
        r
    }
    /// `cntlzdm`: zeros before the first one, among the bits under the mask.
    cntlzdm(a, mask, _c) {
        let under = a & mask;
        let before = if under == 0 { mask } else { mask & !ones(64 - under.leading_zeros()) };
        before.count_ones().into()
    }
    /// `cnttzdm`: the same from the right.
    cnttzdm(a, mask, _c) {
        let under = a & mask;
        (mask & ones(under.trailing_zeros())).count_ones().into()
    }
    /// `cdtbcd`: two declets of each word to BCD digits.
    cdtbcd(a, _b, _c) {
        let word = |w: u64| declet_to_bcd(w >> 10 & 0x3FF) << 12 | declet_to_bcd(w & 0x3FF);
        word(a >> 32) << 32 | word(a)
    }
    /// `cbcdtd`: six BCD digits of each word to declets.
    cbcdtd(a, _b, _c) {
        let word = |w: u64| bcd_to_declet(w >> 12 & 0xFFF) << 10 | bcd_to_declet(w & 0xFFF);
        word(a >> 32) << 32 | word(a)
    }
}

/// `darn`: L=0 gives 32 random bits, 1 and 2 give 64, 3 the mark of an error. The guest seeds its own generator
/// from it: statistically sound and reproducible, not a secret.
pub extern "C" fn darn(v: &mut Vcpu, l: u64, _: u64, _: u64) -> u64 {
    let mut x = v.random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    v.random = x;
    let r = x.wrapping_mul(0x2545_F491_4F6C_DD1D);
    match l {
        0 => r >> 32,
        1 | 2 => r,
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_three_digits_survives_its_declet() {
        for n in 0..1000u64 {
            let bcd = ((n / 100) << 8) | ((n / 10 % 10) << 4) | (n % 10);
            assert_eq!(declet_to_bcd(bcd_to_declet(bcd)), bcd, "{n}");
        }
        // Table of the manual's appendix: 005, 009, 055, 079, 099, 555, 999.
        for (bcd, declet) in
            [(0x005, 5), (0x009, 9), (0x055, 0x55), (0x079, 0x79), (0x080, 0xA), (0x099, 0x5F), (0x999, 0xFF)]
        {
            assert_eq!(bcd_to_declet(bcd), declet, "{bcd:x}");
        }
    }

    #[test]
    fn gathering_and_scattering() {
        assert_eq!(gather(0xABCD, 0xF0F0), 0xAC);
        assert_eq!(extended_quotient(1, 2, false), Some(1 << 63));
        assert_eq!(extended_quotient(2, 2, false), None);
        assert_eq!(extended_quotient(u64::MAX, 2, true), Some(1 << 63));
        assert_eq!(extended_quotient(1, 2, true), None);
        assert_eq!(extended_quotient(1, 0, true), None);
        assert_eq!(extended_quotient(i64::MIN as u64, u64::MAX, true), None);
    }
}
