//! Vector operations in the host's own vector instructions. [`crate::vec_value`] says what they mean; here is
//! only what SSE2, which every x86-64 host has, does in a few instructions.

use crate::{Lane, VecOp};
use std::arch::x86_64::*;

#[inline(always)]
#[allow(unsafe_code)]
fn host(v: u128) -> __m128i {
    // SAFETY: both are 16 bytes in which every pattern is valid, least significant byte first.
    unsafe { std::mem::transmute(v) }
}

#[inline(always)]
#[allow(unsafe_code)]
fn value(v: __m128i) -> u128 {
    // SAFETY: as in `host`.
    unsafe { std::mem::transmute(v) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn equal(lane: Lane, a: __m128i, b: __m128i) -> Option<__m128i> {
    Some(match lane {
        Lane::B => _mm_cmpeq_epi8(a, b),
        Lane::H => _mm_cmpeq_epi16(a, b),
        Lane::W => _mm_cmpeq_epi32(a, b),
        Lane::D => {
            // Both words must be equal: each with its neighbour.
            let words = _mm_cmpeq_epi32(a, b);
            _mm_and_si128(words, _mm_shuffle_epi32::<0b10_11_00_01>(words))
        }
        Lane::Q => return None,
    })
}

#[inline]
#[target_feature(enable = "sse2")]
fn greater(lane: Lane, a: __m128i, b: __m128i) -> Option<__m128i> {
    Some(match lane {
        Lane::B => _mm_cmpgt_epi8(a, b),
        Lane::H => _mm_cmpgt_epi16(a, b),
        Lane::W => _mm_cmpgt_epi32(a, b),
        Lane::D | Lane::Q => return None,
    })
}

/// Unsigned order is signed order with the sign bits inverted.
#[inline]
#[target_feature(enable = "sse2")]
fn greater_unsigned(lane: Lane, a: __m128i, b: __m128i) -> Option<__m128i> {
    let sign = match lane {
        Lane::B => _mm_set1_epi8(i8::MIN),
        Lane::H => _mm_set1_epi16(i16::MIN),
        _ => _mm_set1_epi32(i32::MIN),
    };
    greater(lane, _mm_xor_si128(a, sign), _mm_xor_si128(b, sign))
}

/// `a` where the mask is ones, else `b`.
#[inline]
#[target_feature(enable = "sse2")]
fn choose(mask: __m128i, a: __m128i, b: __m128i) -> __m128i {
    _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b))
}

/// The value of `op` if the host has it. It folds to one arm where `op` is a constant.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn vec_op_host(op: VecOp, a: u128, b: u128) -> Option<u128> {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { vec_op_sse2(op, a, b) }
}

#[inline]
#[target_feature(enable = "sse2")]
fn vec_op_sse2(op: VecOp, a: u128, b: u128) -> Option<u128> {
    let (a, b) = (host(a), host(b));
    let ones = _mm_set1_epi8(-1);
    let zero = _mm_setzero_si128();
    let v = match op {
        VecOp::And => _mm_and_si128(a, b),
        VecOp::Or => _mm_or_si128(a, b),
        VecOp::Xor => _mm_xor_si128(a, b),
        VecOp::Andc => _mm_andnot_si128(b, a),
        VecOp::Orc => _mm_or_si128(a, _mm_xor_si128(b, ones)),
        VecOp::Nor => _mm_xor_si128(_mm_or_si128(a, b), ones),
        VecOp::Nand => _mm_xor_si128(_mm_and_si128(a, b), ones),
        VecOp::Eqv => _mm_xor_si128(_mm_xor_si128(a, b), ones),
        VecOp::Add(Lane::B) => _mm_add_epi8(a, b),
        VecOp::Add(Lane::H) => _mm_add_epi16(a, b),
        VecOp::Add(Lane::W) => _mm_add_epi32(a, b),
        VecOp::Add(Lane::D) => _mm_add_epi64(a, b),
        VecOp::Sub(Lane::B) => _mm_sub_epi8(a, b),
        VecOp::Sub(Lane::H) => _mm_sub_epi16(a, b),
        VecOp::Sub(Lane::W) => _mm_sub_epi32(a, b),
        VecOp::Sub(Lane::D) => _mm_sub_epi64(a, b),
        VecOp::MaxUnsigned(Lane::B) => _mm_max_epu8(a, b),
        VecOp::MinUnsigned(Lane::B) => _mm_min_epu8(a, b),
        VecOp::MaxSigned(Lane::H) => _mm_max_epi16(a, b),
        VecOp::MinSigned(Lane::H) => _mm_min_epi16(a, b),
        VecOp::MaxSigned(lane) => choose(greater(lane, a, b)?, a, b),
        VecOp::MinSigned(lane) => choose(greater(lane, a, b)?, b, a),
        VecOp::MaxUnsigned(lane) => choose(greater_unsigned(lane, a, b)?, a, b),
        VecOp::MinUnsigned(lane) => choose(greater_unsigned(lane, a, b)?, b, a),
        VecOp::AverageUnsigned(Lane::B) => _mm_avg_epu8(a, b),
        VecOp::AverageUnsigned(Lane::H) => _mm_avg_epu16(a, b),
        VecOp::AbsoluteDifference(Lane::B) => _mm_or_si128(_mm_subs_epu8(a, b), _mm_subs_epu8(b, a)),
        VecOp::AbsoluteDifference(Lane::H) => _mm_or_si128(_mm_subs_epu16(a, b), _mm_subs_epu16(b, a)),
        VecOp::Equal(lane) => equal(lane, a, b)?,
        VecOp::NotEqual(lane) => _mm_xor_si128(equal(lane, a, b)?, ones),
        VecOp::NotEqualOrZero(lane) => {
            // Equal, and not zero, is what is left out.
            let left_out = _mm_andnot_si128(equal(lane, a, zero)?, equal(lane, a, b)?);
            _mm_xor_si128(left_out, ones)
        }
        VecOp::GreaterSigned(lane) => greater(lane, a, b)?,
        VecOp::GreaterUnsigned(lane) => greater_unsigned(lane, a, b)?,
        VecOp::MergeHigh(Lane::B) => _mm_unpackhi_epi8(b, a),
        VecOp::MergeHigh(Lane::H) => _mm_unpackhi_epi16(b, a),
        VecOp::MergeHigh(Lane::W) => _mm_unpackhi_epi32(b, a),
        VecOp::MergeHigh(Lane::D) => _mm_unpackhi_epi64(b, a),
        VecOp::MergeLow(Lane::B) => _mm_unpacklo_epi8(b, a),
        VecOp::MergeLow(Lane::H) => _mm_unpacklo_epi16(b, a),
        VecOp::MergeLow(Lane::W) => _mm_unpacklo_epi32(b, a),
        VecOp::MergeLow(Lane::D) => _mm_unpacklo_epi64(b, a),
        VecOp::PackModulo(Lane::H) => {
            let low = _mm_set1_epi16(0xFF);
            _mm_packus_epi16(_mm_and_si128(b, low), _mm_and_si128(a, low))
        }
        VecOp::PackModulo(Lane::W) => {
            // Sign-extended, so that the signed saturation of the host changes nothing.
            let narrow = |v| _mm_srai_epi32::<16>(_mm_slli_epi32::<16>(v));
            _mm_packs_epi32(narrow(b), narrow(a))
        }
        VecOp::PackModulo(Lane::D) => {
            let (a, b) = (_mm_castsi128_ps(a), _mm_castsi128_ps(b));
            _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(b, a))
        }
        VecOp::Ones(Lane::B) => {
            let in_two = _mm_sub_epi8(a, _mm_and_si128(_mm_srli_epi16::<1>(a), _mm_set1_epi8(0x55)));
            let mask = _mm_set1_epi8(0x33);
            let in_four = _mm_add_epi8(_mm_and_si128(in_two, mask), _mm_and_si128(_mm_srli_epi16::<2>(in_two), mask));
            _mm_and_si128(_mm_add_epi8(in_four, _mm_srli_epi16::<4>(in_four)), _mm_set1_epi8(0x0F))
        }
        _ => return None,
    };
    Some(value(v))
}

/// The permute of [`crate::vec_value::permute_value`] in two byte shuffles, if the host has them.
#[inline]
#[allow(unsafe_code)]
pub(crate) fn permute_host(a: u128, b: u128, c: u128) -> Option<u128> {
    if is_x86_feature_detected!("ssse3") {
        // SAFETY: the host has SSSE3.
        Some(unsafe { permute_ssse3(a, b, c) })
    } else {
        None
    }
}

#[inline]
#[target_feature(enable = "ssse3")]
fn permute_ssse3(a: u128, b: u128, c: u128) -> u128 {
    // The manual's byte n is the host's byte 15 - n.
    let n = _mm_and_si128(_mm_xor_si128(host(c), _mm_set1_epi8(15)), _mm_set1_epi8(31));
    // A number with its top bit set gives zero: 16 and up for `a`, below 16 for `b`.
    let from_a = _mm_shuffle_epi8(host(a), _mm_add_epi8(n, _mm_set1_epi8(0x70)));
    let from_b = _mm_shuffle_epi8(host(b), _mm_sub_epi8(n, _mm_set1_epi8(16)));
    value(_mm_or_si128(from_a, from_b))
}
