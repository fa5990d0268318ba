//! Bits and masks: bit permutes, counts that end in general registers, masks to and from registers, strings.

use super::{helpers_ab, helpers_b, vr, vsr_helper};
use crate::vec_value::Element;
use crate::{Fields, Helper, R, Sem, Vcpu};

/// Bit `n` of a vector, 0 beyond it.
fn bit128(v: u128, n: u8) -> u64 {
    if n < 128 { (v >> (127 - n)) as u64 & 1 } else { 0 }
}

/// The 8x8 bits of a doubleword, rows and columns exchanged: in three steps, blocks of 1, 2 and 4 bits.
fn transpose8(x: u64) -> u64 {
    let swap = |x: u64, n: u32, mask: u64| {
        let t = (x ^ x >> n) & mask;
        x ^ t ^ t << n
    };
    let x = swap(x, 7, 0x00AA_00AA_00AA_00AA);
    let x = swap(x, 14, 0x0000_CCCC_0000_CCCC);
    swap(x, 28, 0x0000_0000_F0F0_F0F0)
}

/// Bits of `x` under `mask`, gathered at the right.
fn gather(x: u64, mut mask: u64) -> u64 {
    let (mut out, mut at) = (0, 0);
    while mask != 0 {
        out |= (x >> mask.trailing_zeros() & 1) << at;
        at += 1;
        mask &= mask - 1;
    }
    out
}

/// The rightmost bits of `x`, spread over the ones of `mask`.
fn spread(mut x: u64, mut mask: u64) -> u64 {
    let mut out = 0;
    while mask != 0 {
        out |= (x & 1) << mask.trailing_zeros();
        x >>= 1;
        mask &= mask - 1;
    }
    out
}

/// Bits under the zeros of `mask` to the left, those under its ones to the right.
fn centrifuge(x: u64, mask: u64) -> u64 {
    gather(x, mask) | gather(x, !mask).checked_shl(mask.count_ones()).unwrap_or(0)
}

helpers_ab! {
    vbpermq: |a, b| {
        let bits = b.to_be_bytes().into_iter().fold(0, |bits, n| bits << 1 | bit128(a, n));
        u128::from(bits) << 64
    };
    vbpermd: |a, b| u64::zip(a, b, |a, b| {
        b.to_be_bytes().into_iter().fold(0, |bits, n| bits << 1 | if n < 64 { a >> (63 - n) & 1 } else { 0 })
    });
    vcfuged: |a, b| u64::zip(a, b, centrifuge);
    vpextd: |a, b| u64::zip(a, b, gather);
    vpdepd: |a, b| u64::zip(a, b, spread);
    // Zeros before (behind) the first (last) one among the bits that the mask picks.
    vclzdm: |a, b| u64::zip(a, b, |a, mask| {
        let picked = a & mask;
        let before = if picked == 0 { u64::MAX } else { !(u64::MAX >> picked.leading_zeros()) };
        u64::from((mask & before).count_ones())
    });
    vctzdm: |a, b| u64::zip(a, b, |a, mask| {
        let picked = a & mask;
        let behind = if picked == 0 { u64::MAX } else { (picked & picked.wrapping_neg()) - 1 };
        u64::from((mask & behind).count_ones())
    });
}

helpers_b! {
    vgbbd: |b| u64::map(b, transpose8);
    vexpandbm: |b| i8::map(b, |x| x >> 7);
    vexpandhm: |b| i16::map(b, |x| x >> 15);
    vexpandwm: |b| i32::map(b, |x| x >> 31);
    vexpanddm: |b| i64::map(b, |x| x >> 63);
    vexpandqm: |b| (b as i128 >> 127) as u128;
}

// --- results in a general register ---

macro_rules! to_register {
    ($($name:ident: |$b:ident, $imm:ident| $f:expr, $get:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, b: u64, $imm: u64, _: u64) -> u64 {
                let $b: u128 = vcpu.state.vsr[(b & 63) as usize];
                let _ = $imm;
                $f
            }
            let get: fn(I) -> u64 = $get;
            let v = call_for_register(s, helper, i.vrb(), get(i));
            s.set_gpr(i.rt(), v);
            Ok(())
        }
    )* };
}

fn call_for_register<S: Sem>(s: &mut S, f: Helper, b: usize, imm: u64) -> S::Long {
    let (b, imm) = (s.long(vr(b) as u64), s.long(imm));
    s.call(f, b, imm, imm)
}

const LOW_BITS: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;

/// The sign bits of the elements of `T`, element 0's the most significant.
fn signs<T: Element + Into<i128>>(v: u128) -> u64 {
    (0..T::COUNT).fold(0, |bits, n| bits << 1 | u64::from(T::element(v, n).into() < 0))
}

/// Elements whose sign bit is `mp`, in the leftmost byte as the number of their bytes.
fn count_mask<T: Element + Into<i128>>(v: u128, mp: u64) -> u64 {
    let ones = u64::from(signs::<T>(v).count_ones());
    let count = if mp != 0 { ones } else { T::COUNT as u64 - ones };
    (count * u64::from(T::BITS / 8)) << 56
}

/// Every `n`-th bit of a vector, gathered at the left of a doubleword.
fn every(v: u128, n: u32) -> u64 {
    let (mut out, mut at) = (0, 0);
    while n != 0 && at * n < 128 && at < 64 {
        out |= ((v >> (127 - at * n)) as u64 & 1) << (63 - at);
        at += 1;
    }
    out
}

to_register! {
    vclzlsbb: |b, _imm| u64::from((b & LOW_BITS).leading_zeros() / 8), |_| 0;
    vctzlsbb: |b, _imm| u64::from((b & LOW_BITS).trailing_zeros() / 8), |_| 0;
    vextractbm: |b, _imm| signs::<i8>(b), |_| 0;
    vextracthm: |b, _imm| signs::<i16>(b), |_| 0;
    vextractwm: |b, _imm| signs::<i32>(b), |_| 0;
    vextractdm: |b, _imm| signs::<i64>(b), |_| 0;
    vextractqm: |b, _imm| (b >> 127) as u64, |_| 0;
    vcntmbb: |b, mp| count_mask::<i8>(b, mp), |i| i.mp().into();
    vcntmbh: |b, mp| count_mask::<i16>(b, mp), |i| i.mp().into();
    vcntmbw: |b, mp| count_mask::<i32>(b, mp), |i| i.mp().into();
    vcntmbd: |b, mp| count_mask::<i64>(b, mp), |i| i.mp().into();
    vgnb: |b, n| every(b, n as u32), |i| i.n().into();
}

// --- masks from a general register or an immediate ---

/// Elements that are all ones where `bits` (the rightmost for the last element) has a one.
fn mask_from(bits: u64, element_bits: u32) -> u128 {
    let one = u128::MAX >> (128 - element_bits);
    (0..128 / element_bits).filter(|n| bits >> n & 1 != 0).fold(0, |v, n| v | one << (n * element_bits))
}

extern "C" fn mask_of_register(vcpu: &mut Vcpu, tag: u64, bits: u64, _: u64) -> u64 {
    vcpu.state.vsr[(tag & 63) as usize] = mask_from(bits, 8 << (tag >> 8 & 7).min(4));
    0
}

fn mask_row<S: Sem, I: Fields>(s: &mut S, i: I, log_bytes: u64) -> R {
    let b = s.gpr(i.rb());
    s.call_vsr(mask_of_register, vr(i.vrt()) as u64 | log_bytes << 8, b, b);
    Ok(())
}

/// `mtvsrbm`
pub fn mtvsrbm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    mask_row(s, i, 0)
}

/// `mtvsrhm`
pub fn mtvsrhm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    mask_row(s, i, 1)
}

/// `mtvsrwm`
pub fn mtvsrwm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    mask_row(s, i, 2)
}

/// `mtvsrdm`
pub fn mtvsrdm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    mask_row(s, i, 3)
}

/// `mtvsrqm`
pub fn mtvsrqm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    mask_row(s, i, 4)
}

/// `mtvsrbmi`
pub fn mtvsrbmi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.vec_const(mask_from(i.bm() as u64, 8));
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

// --- strings ---

/// Keeps the elements of `bits` bits before the first zero one, from the left or from the right.
fn isolate(v: u128, bits: u32, right: bool) -> u128 {
    let mask = u128::MAX >> (128 - bits);
    let mut kept = 0;
    for n in 0..128 / bits {
        let at = if right { n * bits } else { 128 - (n + 1) * bits };
        if v >> at & mask == 0 {
            break;
        }
        kept |= v & mask << at;
    }
    kept
}

/// Is an element of `bits` bits zero?
fn has_zero(v: u128, bits: u32) -> bool {
    let mask = u128::MAX >> (128 - bits);
    (0..128 / bits).any(|n| v >> (n * bits) & mask == 0)
}

macro_rules! strings {
    ($($name:ident: $bits:literal, $right:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`: CR6 tells whether there was an end.")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn ends(vcpu: &mut Vcpu, b: u64, _: u64, _: u64) -> u64 {
                if has_zero(vcpu.state.vsr[(b & 63) as usize], $bits) { 0b0010 } else { 0 }
            }
            vsr_helper!(helper, |vcpu, imm, old, b, c| isolate(b, $bits, $right));
            if i.rc_vc() {
                let b = s.long(vr(i.vrb()) as u64);
                let field = s.call(ends, b, b, b);
                s.set_cr_field(6, field);
            }
            super::call(s, helper, i.vrt(), 0, i.vrb(), 0)
        }
    )* };
}

strings! {
    vstribl: 8, false;
    vstribr: 8, true;
    vstrihl: 16, false;
    vstrihr: 16, true;
}

/// `vclrlb`: keeps as many bytes at the right as RB says.
pub fn vclrlb<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extern "C" fn helper(vcpu: &mut Vcpu, tag: u64, a: u64, n: u64) -> u64 {
        let v = &mut vcpu.state.vsr;
        let keep = if n > 15 { u128::MAX } else { (1 << (8 * n)) - 1 };
        v[(tag & 63) as usize] = v[(a & 63) as usize] & keep;
        0
    }
    clear(s, i, helper)
}

/// `vclrrb`: keeps as many bytes at the left as RB says.
pub fn vclrrb<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    extern "C" fn helper(vcpu: &mut Vcpu, tag: u64, a: u64, n: u64) -> u64 {
        let v = &mut vcpu.state.vsr;
        let keep = if n > 15 { u128::MAX } else { !(u128::MAX >> (8 * n)) };
        v[(tag & 63) as usize] = v[(a & 63) as usize] & keep;
        0
    }
    clear(s, i, helper)
}

fn clear<S: Sem, I: Fields>(s: &mut S, i: I, f: Helper) -> R {
    let (a, n) = (s.long(vr(i.vra()) as u64), s.gpr(i.rb()));
    s.call_vsr(f, vr(i.vrt()) as u64, a, n);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_move() {
        assert_eq!(gather(0b1010_1100, 0b1111_0000), 0b1010);
        assert_eq!(spread(0b1010, 0b1111_0000), 0b1010_0000);
        assert_eq!(centrifuge(u64::MAX, 0xFF), u64::MAX);
        assert_eq!(centrifuge(5, u64::MAX), 5);
        assert_eq!(centrifuge(0xF0F0, 0xFF00), 0xF0F0 >> 8 | 0xF0 << 8);
        assert_eq!(every(1 << 127 | 1 << 125, 2), 3 << 62);
        assert_eq!(every(u128::MAX, 3).count_ones(), 43);
        for n in 0..64 {
            // Bit j of byte i is bit i of byte j.
            let (row, column) = (n / 8, n % 8);
            assert_eq!(transpose8(1 << n), 1 << (8 * column + row), "{n}");
        }
    }

    #[test]
    fn masks_and_strings() {
        assert_eq!(mask_from(0b1001, 32), 0xFFFF_FFFF_0000_0000_0000_0000_FFFF_FFFF);
        assert_eq!(signs::<i32>(0x8000_0000_0000_0000_0000_0000_FFFF_FFFF), 0b1001);
        assert_eq!(count_mask::<i32>(1 << 127, 0), 12 << 56);
        let text = u128::from_be_bytes(*b"text\0more text\0!");
        assert_eq!(isolate(text, 8, false), u128::from_be_bytes(*b"text\0\0\0\0\0\0\0\0\0\0\0\0"));
        assert_eq!(isolate(text, 8, true), u128::from(b'!'));
        assert!(has_zero(text, 8) && !has_zero(text, 16));
    }
}
