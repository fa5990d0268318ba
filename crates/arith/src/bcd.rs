//! Packed, zoned and national decimal integers (Power ISA v3.1, 6.17 "Decimal Integer Instructions").
//!
//! A packed decimal is a `u128`: 31 digits, and the sign code in the lowest four bits. Each function gives the
//! vector and the four bits of CR field 6 (LT, GT, EQ, SO from high to low, so that 0b1000 means "less than zero").
//! Where the ISA leaves the vector undefined (an invalid operand), it is all ones.

/// CR6 of a result below zero.
pub const LT: u8 = 0b1000;
/// CR6 of a result above zero.
pub const GT: u8 = 0b0100;
/// CR6 of a zero result.
pub const EQ: u8 = 0b0010;
/// CR6: overflow together with one of the others, invalid operand alone.
pub const SO: u8 = 0b0001;

/// Result vector and CR field 6.
pub type Bcd = (u128, u8);

const INVALID: Bcd = (u128::MAX, SO);
const PLUS: u128 = 0xc;
const PLUS_ALTERNATE: u128 = 0xf;
const MINUS: u128 = 0xd;
/// 10^31: what 31 digits cannot hold.
const LIMIT: u128 = 10u128.pow(31);

/// Digits (shifted down by the sign) and whether the sign is minus; `None` for an invalid encoding.
fn unpack(src: u128) -> Option<(u128, bool)> {
    let negative = match src & 0xf {
        0xa | 0xc | 0xe | 0xf => false,
        0xb | 0xd => true,
        _ => return None,
    };
    valid_digits(src >> 4).then_some((src >> 4, negative))
}

/// No nibble is above 9: adding 6 to each makes no nibble carry.
fn valid_digits(digits: u128) -> bool {
    let eights = digits & 0x8888_8888_8888_8888_8888_8888_8888_8888;
    let fours_or_twos = (digits & 0x4444_4444_4444_4444_4444_4444_4444_4444) << 1
        | (digits & 0x2222_2222_2222_2222_2222_2222_2222_2222) << 2;
    eights & fours_or_twos == 0
}

fn sign_code(negative: bool, ps: bool) -> u128 {
    match (negative, ps) {
        (true, _) => MINUS,
        (false, false) => PLUS,
        (false, true) => PLUS_ALTERNATE,
    }
}

fn compare_zero(digits: u128, negative: bool) -> u8 {
    match (digits == 0, negative) {
        (true, _) => EQ,
        (false, true) => LT,
        (false, false) => GT,
    }
}

fn overflow(flag: bool) -> u8 {
    if flag { SO } else { 0 }
}

/// The value of up to 32 decimal digits.
fn to_binary(digits: u128) -> u128 {
    (0..32).rev().fold(0, |value, i| value * 10 + ((digits >> (4 * i)) & 0xf))
}

/// The lowest 32 decimal digits of a value.
fn to_digits(mut value: u128) -> u128 {
    let mut digits = 0;
    for i in 0..32 {
        digits |= (value % 10) << (4 * i);
        value /= 10;
    }
    digits
}

fn sum(a: u128, b: u128, negate_b: bool, ps: bool) -> Bcd {
    let (Some((a, a_negative)), Some((b, b_negative))) = (unpack(a), unpack(b)) else { return INVALID };
    let signed = |digits, negative| if negative { -(to_binary(digits) as i128) } else { to_binary(digits) as i128 };
    let total = signed(a, a_negative) + signed(b, b_negative ^ negate_b);
    let magnitude = total.unsigned_abs();
    // A zero result is always positive; the digits that do not fit are dropped.
    let negative = total < 0;
    let digits = to_digits(magnitude % LIMIT);
    (digits << 4 | sign_code(negative, ps), compare_zero(magnitude, negative) | overflow(magnitude >= LIMIT))
}

/// `bcdadd.`
pub fn bcdadd(a: u128, b: u128, ps: bool) -> Bcd {
    sum(a, b, false, ps)
}

/// `bcdsub.`
pub fn bcdsub(a: u128, b: u128, ps: bool) -> Bcd {
    sum(a, b, true, ps)
}

/// `bcdcfn.`: from national decimal, seven UTF-16 digits and a sign.
pub fn bcdcfn(b: u128, ps: bool) -> Bcd {
    let negative = match b & 0xffff {
        0x002b => false,
        0x002d => true,
        _ => return INVALID,
    };
    let mut digits = 0;
    for i in (1..8).rev() {
        let code = (b >> (16 * i)) & 0xffff;
        if !(0x30..=0x39).contains(&code) {
            return INVALID;
        }
        digits = digits << 4 | (code & 0xf);
    }
    (digits << 4 | sign_code(negative, ps), compare_zero(digits, negative))
}

/// `bcdctn.`: to national decimal; more than seven digits overflow.
pub fn bcdctn(b: u128) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    let mut out = if negative { 0x002d } else { 0x002b };
    for i in 0..7 {
        out |= (0x30 | (digits >> (4 * i)) & 0xf) << (16 * (i + 1));
    }
    (out, compare_zero(digits, negative) | overflow(digits >> 28 != 0))
}

/// `bcdcfz.`: from zoned decimal, sixteen digits; `ps` picks the zone 0xF with EBCDIC-like signs over 0x3 with ASCII
/// ones.
pub fn bcdcfz(b: u128, ps: bool) -> Bcd {
    let zone = if ps { 0xf } else { 0x3 };
    let sign = (b >> 4) & 0xf;
    let negative = match ps {
        false => sign & 0x4 != 0,
        true if sign < 0xa => return INVALID,
        true => sign == 0xb || sign == 0xd,
    };
    let mut digits = 0;
    for i in (0..16).rev() {
        let byte = (b >> (8 * i)) & 0xff;
        if byte & 0xf > 9 || (i != 0 && byte >> 4 != zone) {
            return INVALID;
        }
        digits = digits << 4 | (byte & 0xf);
    }
    (digits << 4 | sign_code(negative, false), compare_zero(digits, negative))
}

/// `bcdctz.`: to zoned decimal; more than sixteen digits overflow.
pub fn bcdctz(b: u128, ps: bool) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    let zone: u128 = if ps { 0xf } else { 0x3 };
    let mut out = 0;
    for i in 0..16 {
        let upper = match (i, ps, negative) {
            (0, false, false) => 0x3,
            (0, false, true) => 0x7,
            (0, true, false) => 0xc,
            (0, true, true) => 0xd,
            _ => zone,
        };
        out |= (upper << 4 | (digits >> (4 * i)) & 0xf) << (8 * i);
    }
    (out, compare_zero(digits, negative) | overflow(digits >> 64 != 0))
}

/// `bcdcfsq.`: from a signed quadword; a magnitude of more than 31 digits overflows.
pub fn bcdcfsq(b: u128, ps: bool) -> Bcd {
    let value = b as i128;
    let magnitude = value.unsigned_abs();
    let digits = to_digits(magnitude % LIMIT);
    (digits << 4 | sign_code(value < 0, ps), compare_zero(magnitude, value < 0) | overflow(magnitude >= LIMIT))
}

/// `bcdctsq.`: to a signed quadword.
pub fn bcdctsq(b: u128) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    let value = to_binary(digits);
    (if negative { value.wrapping_neg() } else { value }, compare_zero(digits, negative))
}

/// `bcdcpsgn.`: the digits of `a` with the sign code of `b`.
pub fn bcdcpsgn(a: u128, b: u128) -> Bcd {
    let (Some((digits, _)), Some((_, negative))) = (unpack(a), unpack(b)) else { return INVALID };
    (digits << 4 | (b & 0xf), compare_zero(digits, negative))
}

/// `bcdsetsgn.`: the same number with the preferred sign code.
pub fn bcdsetsgn(b: u128, ps: bool) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    (digits << 4 | sign_code(negative, ps), compare_zero(digits, negative))
}

/// Count of digits in byte element 7 of `a`; above zero shifts left.
fn shift_count(a: u128) -> i32 {
    i32::from((a >> 64) as i8)
}

/// Shifts `digits` (of which `width` fit) by `count` digits: result, last digit shifted out to the right, overflow.
fn shift(digits: u128, width: u32, count: i32) -> (u128, u128, bool) {
    let distance = count.unsigned_abs();
    let mask = u128::MAX >> (128 - 4 * width);
    if count >= 0 {
        if distance >= width {
            return (0, 0, digits != 0);
        }
        let lost = distance != 0 && digits >> (4 * (width - distance)) != 0;
        ((digits << (4 * distance)) & mask, 0, lost)
    } else {
        let last = digits.checked_shr(4 * (distance - 1)).unwrap_or(0) & 0xf;
        (digits.checked_shr(4 * distance).unwrap_or(0), last, false)
    }
}

/// `bcds.`: shift by the signed count of digits in byte element 7 of `a`.
pub fn bcds(a: u128, b: u128, ps: bool) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    let (out, _, lost) = shift(digits, 31, shift_count(a));
    (out << 4 | sign_code(negative, ps), compare_zero(out, negative) | overflow(lost))
}

/// `bcdus.`: unsigned shift of 32 digits.
pub fn bcdus(a: u128, b: u128) -> Bcd {
    if !valid_digits(b) {
        return INVALID;
    }
    let (out, _, lost) = shift(b, 32, shift_count(a));
    (out, compare_zero(out, false) | overflow(lost))
}

/// `bcdsr.`: shift, and round half up what goes out on the right.
pub fn bcdsr(a: u128, b: u128, ps: bool) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    let (mut out, last, lost) = shift(digits, 31, shift_count(a));
    if last >= 5 {
        // Only after a shift to the right, so the sum has at most 31 digits.
        out = to_digits(to_binary(out) + 1);
    }
    (out << 4 | sign_code(negative, ps), compare_zero(out, negative) | overflow(lost))
}

/// `bcdtrunc.`: keep as many digits as halfword element 3 of `a` says.
pub fn bcdtrunc(a: u128, b: u128, ps: bool) -> Bcd {
    let Some((digits, negative)) = unpack(b) else { return INVALID };
    let (out, lost) = truncate(digits, 31, a);
    (out << 4 | sign_code(negative, ps), compare_zero(out, negative) | overflow(lost))
}

/// `bcdutrunc.`: the same for 32 unsigned digits.
pub fn bcdutrunc(a: u128, b: u128) -> Bcd {
    if !valid_digits(b) {
        return INVALID;
    }
    let (out, lost) = truncate(b, 32, a);
    (out, compare_zero(out, false) | overflow(lost))
}

fn truncate(digits: u128, width: u32, a: u128) -> (u128, bool) {
    let length = u32::from((a >> 64) as u16);
    if length >= width {
        return (digits, false);
    }
    let out = digits & ((1 << (4 * length)) - 1);
    (out, out != digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(value: i128) -> u128 {
        to_digits(value.unsigned_abs()) << 4 | sign_code(value < 0, false)
    }

    #[test]
    fn sums() {
        assert_eq!(bcdadd(0x12c, 0x34d, false), (0x22d, LT));
        assert_eq!(bcdadd(0x1c, 0x1d, true), (0xf, EQ));
        assert_eq!(bcdadd(0xd, 0xd, false), (0xc, EQ));
        assert_eq!(bcdsub(0x5a, 0x7b, false), (0x12c, GT));
        assert_eq!(bcdadd(0xac, 0x1c, false), INVALID);
        assert_eq!(bcdadd(0x19, 0x1c, false), INVALID);
        let nines = packed(LIMIT as i128 - 1);
        assert_eq!(bcdadd(nines, 0x1c, false), (0xc, GT | SO));
        assert_eq!(bcdsub(packed(1 - LIMIT as i128), 0x1c, false), (0xd, LT | SO));
    }

    #[test]
    fn national_and_zoned() {
        assert_eq!(bcdcfn(0x0030_0031_0032_0033_0034_0035_0036_002d, false), (0x0123456d, LT));
        assert_eq!(bcdctn(0x0123456d), (0x0030_0031_0032_0033_0034_0035_0036_002d, LT));
        assert_eq!(bcdctn(0x90000000c).1, GT | SO);
        assert_eq!(bcdcfn(0x2d, false), INVALID);
        let zoned = 0x30303030_30303030_30303031_32333475;
        assert_eq!(bcdcfz(zoned, false), (0x12345d, LT));
        assert_eq!(bcdctz(0x12345d, false), (zoned, LT));
        assert_eq!(bcdcfz(0xf0f0f0f0_f0f0f0f0_f0f0f0f0_f0f0f0f0, true), (0xc, EQ));
        assert_eq!(bcdcfz(zoned, true), INVALID);
    }

    #[test]
    fn shifts_and_truncation() {
        let count = |n: i8| u128::from(n as u8) << 64;
        assert_eq!(bcds(count(2), 0x12d, true), (0x1200d, LT));
        assert_eq!(bcds(count(-1), 0x12c, true), (0x1f, GT));
        assert_eq!(bcds(count(31), 0x12c, false), (0xc, EQ | SO));
        assert_eq!(bcds(count(-128), 0x12c, false), (0xc, EQ));
        assert_eq!(bcdsr(count(-1), 0x995c, false), (0x100c, GT));
        assert_eq!(bcdsr(count(-31), ((u128::MAX / 0xf * 9) & !0xf) | 0xc, false), (0x1c, GT));
        assert_eq!(bcdsr(count(-32), ((u128::MAX / 0xf * 9) & !0xf) | 0xc, false), (0xc, EQ));
        assert_eq!(bcdus(count(31), 0x12), (2 << 124, GT | SO));
        assert_eq!(bcdtrunc(2 << 64, 0x1234d, false), (0x34d, LT | SO));
        assert_eq!(bcdtrunc(31 << 64, 0x1234d, false), (0x1234d, LT));
        assert_eq!(bcdutrunc(0, 0x1234), (0, EQ | SO));
        assert_eq!(bcdcpsgn(0x12c, 0xb), (0x12b, LT));
        assert_eq!(bcdsetsgn(0x12e, true), (0x12f, GT));
    }

    proptest! {
        #[test]
        fn quadword_round_trip(value in -(LIMIT as i128 - 1)..LIMIT as i128) {
            let (decimal, cr) = bcdcfsq(value as u128, false);
            prop_assert_eq!(decimal, packed(value));
            prop_assert_eq!(bcdctsq(decimal), (value as u128, cr));
        }

        #[test]
        fn sums_are_integer_sums(a in -(LIMIT as i128 - 1)..LIMIT as i128, b in -(LIMIT as i128 - 1)..LIMIT as i128) {
            let (out, cr) = bcdadd(packed(a), packed(b), false);
            let total = a + b;
            prop_assert_eq!(cr & SO != 0, total.unsigned_abs() >= LIMIT);
            prop_assert_eq!(out >> 4, to_digits(total.unsigned_abs() % LIMIT));
            prop_assert_eq!(bcdsub(packed(a), packed(b), true), bcdadd(packed(a), packed(-b), true));
        }
    }
}
