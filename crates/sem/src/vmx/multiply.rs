//! Products, multiply-add and multiply-sum, sums across, and division of words and doublewords.

use super::{helpers_ab, helpers_ab_sat, helpers_abc, vsr_helper};
use crate::vec_value::{Element, Wide};
use crate::{Fields, R, Sem};

helpers_ab! {
    vmuleub: |a, b| u16::products(a, b, false, u16::wrapping_mul);
    vmuleuh: |a, b| u32::products(a, b, false, u32::wrapping_mul);
    vmuleuw: |a, b| u64::products(a, b, false, u64::wrapping_mul);
    vmuleud: |a, b| u128::products(a, b, false, u128::wrapping_mul);
    vmulesb: |a, b| i16::products(a, b, false, i16::wrapping_mul);
    vmulesh: |a, b| i32::products(a, b, false, i32::wrapping_mul);
    vmulesw: |a, b| i64::products(a, b, false, i64::wrapping_mul);
    vmulesd: |a, b| i128::products(a, b, false, i128::wrapping_mul);
    vmuloub: |a, b| u16::products(a, b, true, u16::wrapping_mul);
    vmulouh: |a, b| u32::products(a, b, true, u32::wrapping_mul);
    vmulouw: |a, b| u64::products(a, b, true, u64::wrapping_mul);
    vmuloud: |a, b| u128::products(a, b, true, u128::wrapping_mul);
    vmulosb: |a, b| i16::products(a, b, true, i16::wrapping_mul);
    vmulosh: |a, b| i32::products(a, b, true, i32::wrapping_mul);
    vmulosw: |a, b| i64::products(a, b, true, i64::wrapping_mul);
    vmulosd: |a, b| i128::products(a, b, true, i128::wrapping_mul);
    vmulhuw: |a, b| u32::zip(a, b, |a, b| ((u64::from(a) * u64::from(b)) >> 32) as u32);
    vmulhud: |a, b| u64::zip(a, b, |a, b| ((u128::from(a) * u128::from(b)) >> 64) as u64);
    vmulhsw: |a, b| i32::zip(a, b, |a, b| ((i64::from(a) * i64::from(b)) >> 32) as i32);
    vmulhsd: |a, b| i64::zip(a, b, |a, b| ((i128::from(a) * i128::from(b)) >> 64) as i64);
}

// --- multiply-add, multiply-sum ---

fn to_i16(x: i32, sat: &mut bool) -> i16 {
    let y = x.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
    *sat |= x != y;
    y as i16
}

fn to_i32(x: i64, sat: &mut bool) -> i32 {
    let y = x.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
    *sat |= x != y;
    y as i32
}

fn to_u32(x: u64, sat: &mut bool) -> u32 {
    let y = x.min(u64::from(u32::MAX));
    *sat |= x != y;
    y as u32
}

/// The bytes of a word, zero-extended; below, its other parts.
fn bytes_of(word: u32) -> [u32; 4] {
    word.to_be_bytes().map(u32::from)
}

fn signed_bytes_of(word: u32) -> [i32; 4] {
    word.to_be_bytes().map(|x| i32::from(x as i8))
}

fn halves_of(word: u32) -> [u64; 2] {
    [u64::from(word >> 16), u64::from(word & 0xFFFF)]
}

fn signed_halves_of(word: u32) -> [i64; 2] {
    [i64::from((word >> 16) as i16), i64::from(word as i16)]
}

/// Sum of unsigned products of halfwords.
fn half_products(a: u32, b: u32) -> u64 {
    let (a, b) = (halves_of(a), halves_of(b));
    a[0] * b[0] + a[1] * b[1]
}

/// Sum of signed products of halfwords.
fn signed_half_products(a: u32, b: u32) -> i64 {
    let (a, b) = (signed_halves_of(a), signed_halves_of(b));
    a[0] * b[0] + a[1] * b[1]
}

/// Sum of the two unsigned products of doublewords and `c`, and how often it carries out of 128 bits.
fn doubleword_products(a: u128, b: u128, c: u128) -> (u128, u128) {
    let product = |n| u128::from(u64::element(a, n)) * u128::from(u64::element(b, n));
    let (sum, first) = product(0).overflowing_add(product(1));
    let (sum, second) = sum.overflowing_add(c);
    (sum, u128::from(first) + u128::from(second))
}

helpers_abc! {
    vmhaddshs: |a, b, c, sat| {
        i16::zip3(a, b, c, |a, b, c| to_i16(((i32::from(a) * i32::from(b)) >> 15) + i32::from(c), sat))
    };
    vmhraddshs: |a, b, c, sat| {
        i16::zip3(a, b, c, |a, b, c| to_i16(((i32::from(a) * i32::from(b) + 0x4000) >> 15) + i32::from(c), sat))
    };
    vmladduhm: |a, b, c, _sat| u16::zip3(a, b, c, |a, b, c| a.wrapping_mul(b).wrapping_add(c));
    vmsumubm: |a, b, c, _sat| u32::zip3(a, b, c, |a, b, c| {
        bytes_of(a).iter().zip(bytes_of(b)).fold(c, |sum, (a, b)| sum.wrapping_add(a * b))
    });
    vmsummbm: |a, b, c, _sat| u32::zip3(a, b, c, |a, b, c| {
        signed_bytes_of(a).iter().zip(bytes_of(b)).fold(c, |sum, (a, b)| sum.wrapping_add((a * b as i32) as u32))
    });
    vmsumuhm: |a, b, c, _sat| u32::zip3(a, b, c, |a, b, c| (half_products(a, b) as u32).wrapping_add(c));
    vmsumuhs: |a, b, c, sat| u32::zip3(a, b, c, |a, b, c| to_u32(half_products(a, b) + u64::from(c), sat));
    vmsumshm: |a, b, c, _sat| u32::zip3(a, b, c, |a, b, c| (signed_half_products(a, b) as u32).wrapping_add(c));
    vmsumshs: |a, b, c, sat| u32::zip3(a, b, c, |a, b, c| {
        to_i32(signed_half_products(a, b) + i64::from(c as i32), sat) as u32
    });
    vmsumudm: |a, b, c, _sat| doubleword_products(a, b, c).0;
    vmsumcud: |a, b, c, _sat| doubleword_products(a, b, c).1;
}

// --- sums across ---

fn word(v: u128, n: usize) -> i64 {
    i64::from(i32::element(v, n))
}

helpers_ab_sat! {
    vsumsws: |a, b, sat| {
        let sum = (0..4).fold(word(b, 3), |sum, n| sum + word(a, n));
        to_i32(sum, sat).at(3)
    };
    vsum2sws: |a, b, sat| {
        let first = to_i32(word(a, 0) + word(a, 1) + word(b, 1), sat);
        let second = to_i32(word(a, 2) + word(a, 3) + word(b, 3), sat);
        first.at(1) | second.at(3)
    };
    vsum4sbs: |a, b, sat| u32::zip(a, b, |a, b| {
        to_i32(i64::from(signed_bytes_of(a).iter().sum::<i32>()) + i64::from(b as i32), sat) as u32
    });
    vsum4shs: |a, b, sat| u32::zip(a, b, |a, b| {
        to_i32(signed_halves_of(a).iter().sum::<i64>() + i64::from(b as i32), sat) as u32
    });
    vsum4ubs: |a, b, sat| u32::zip(a, b, |a, b| {
        to_u32(u64::from(bytes_of(a).iter().sum::<u32>()) + u64::from(b), sat)
    });
}

// --- division: where the manual leaves the result undefined it is 0, as POWER9 and POWER10 have it, and NumPy counts on ---

/// `(a << bits) / b`
fn extended_unsigned(a: u64, b: u64, bits: u32) -> u64 {
    // As with no divisor at all, the quotient has too many bits.
    if a >= b { 0 } else { ((u128::from(a) << bits) / u128::from(b)) as u64 }
}

fn extended_signed(a: i64, b: i64, bits: u32) -> i64 {
    let quotient = (i128::from(a) << bits).checked_div(i128::from(b)).unwrap_or(0);
    let fits = quotient >> (bits - 1) == 0 || quotient >> (bits - 1) == -1;
    if fits { quotient as i64 } else { 0 }
}

helpers_ab! {
    vdivuw: |a, b| u32::zip(a, b, |a, b| a.checked_div(b).unwrap_or(0));
    vdivud: |a, b| u64::zip(a, b, |a, b| a.checked_div(b).unwrap_or(0));
    vdivsw: |a, b| i32::zip(a, b, |a, b| a.checked_div(b).unwrap_or(0));
    vdivsd: |a, b| i64::zip(a, b, |a, b| a.checked_div(b).unwrap_or(0));
    vmoduw: |a, b| u32::zip(a, b, |a, b| a.checked_rem(b).unwrap_or(0));
    vmodud: |a, b| u64::zip(a, b, |a, b| a.checked_rem(b).unwrap_or(0));
    vmodsw: |a, b| i32::zip(a, b, |a, b| a.checked_rem(b).unwrap_or(0));
    vmodsd: |a, b| i64::zip(a, b, |a, b| a.checked_rem(b).unwrap_or(0));
    vdiveuw: |a, b| u32::zip(a, b, |a, b| extended_unsigned(u64::from(a), u64::from(b), 32) as u32);
    vdiveud: |a, b| u64::zip(a, b, |a, b| extended_unsigned(a, b, 64));
    vdivesw: |a, b| i32::zip(a, b, |a, b| extended_signed(i64::from(a), i64::from(b), 32) as i32);
    vdivesd: |a, b| i64::zip(a, b, |a, b| extended_signed(a, b, 64));
}
