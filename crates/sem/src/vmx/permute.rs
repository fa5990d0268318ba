//! Moves within vectors: merges, splats, packs and unpacks, permutes, shifts of the whole vector, extracts and inserts.

use super::{helpers_ab, helpers_ab_sat, helpers_abc, helpers_b, op_b, vec_ops, vr, vsr_helper};
use crate::Lane::{B, D, H, W};
use crate::vec_value::{Element, Wide, permute_value};
use crate::{Fields, Lane, R, Sem, Vcpu, VecOp};

vec_ops! {
    vmrghb: VecOp::MergeHigh(B);
    vmrghh: VecOp::MergeHigh(H);
    vmrghw: VecOp::MergeHigh(W);
    vmrglb: VecOp::MergeLow(B);
    vmrglh: VecOp::MergeLow(H);
    vmrglw: VecOp::MergeLow(W);
    vpkuhum: VecOp::PackModulo(H);
    vpkuwum: VecOp::PackModulo(W);
    vpkudum: VecOp::PackModulo(D);
}

const EVEN_WORDS: u128 = 0xFFFF_FFFF_0000_0000_FFFF_FFFF_0000_0000;

helpers_ab! {
    vmrgew: |a, b| a & EVEN_WORDS | (b & EVEN_WORDS) >> 32;
    vmrgow: |a, b| (a & !EVEN_WORDS) << 32 | b & !EVEN_WORDS;
}

// --- splats ---

/// `vspltb`
pub fn vspltb<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    op_b(s, i, VecOp::Splat(B, i.uim4() as u8))
}

/// `vsplth`
pub fn vsplth<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    op_b(s, i, VecOp::Splat(H, i.uim3() as u8))
}

/// `vspltw`
pub fn vspltw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    op_b(s, i, VecOp::Splat(W, i.uim2() as u8))
}

fn set_const<S: Sem, I: Fields>(s: &mut S, i: I, v: u128) -> R {
    let v = s.vec_const(v);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

/// `vspltisb`
pub fn vspltisb<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    set_const(s, i, (i.sim() as i8).splat())
}

/// `vspltish`
pub fn vspltish<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    set_const(s, i, (i.sim() as i16).splat())
}

/// `vspltisw`
pub fn vspltisw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    set_const(s, i, (i.sim() as i32).splat())
}

// --- saturating packs, pixels, unpacks ---

/// `x` within `low..=high`.
fn clamp<T: Ord + Copy>(x: T, low: T, high: T, sat: &mut bool) -> T {
    let y = x.clamp(low, high);
    *sat |= x != y;
    y
}

helpers_ab_sat! {
    vpkuhus: |a, b, sat| u16::pack(a, b, |x| clamp(x, 0, 0xFF, sat).into());
    vpkuwus: |a, b, sat| u32::pack(a, b, |x| clamp(x, 0, 0xFFFF, sat).into());
    vpkudus: |a, b, sat| u64::pack(a, b, |x| clamp(x, 0, 0xFFFF_FFFF, sat));
    vpkshus: |a, b, sat| i16::pack(a, b, |x| clamp(x, 0, 0xFF, sat) as u64);
    vpkswus: |a, b, sat| i32::pack(a, b, |x| clamp(x, 0, 0xFFFF, sat) as u64);
    vpksdus: |a, b, sat| i64::pack(a, b, |x| clamp(x, 0, 0xFFFF_FFFF, sat) as u64);
    vpkshss: |a, b, sat| i16::pack(a, b, |x| clamp(x, i8::MIN.into(), i8::MAX.into(), sat) as u64);
    vpkswss: |a, b, sat| i32::pack(a, b, |x| clamp(x, i16::MIN.into(), i16::MAX.into(), sat) as u64);
    vpksdss: |a, b, sat| i64::pack(a, b, |x| clamp(x, i32::MIN.into(), i32::MAX.into(), sat) as u64);
}

/// A 1:5:5:5 pixel as a word: the first bit sign-extended, the others zero-extended to a byte each.
fn pixel_to_word(p: u32) -> u32 {
    let first = if p & 0x8000 != 0 { 0xFF00_0000 } else { 0 };
    first | (p >> 10 & 31) << 16 | (p >> 5 & 31) << 8 | p & 31
}

helpers_ab! {
    vpkpx: |a, b| u32::pack(a, b, |x| u64::from(x >> 9 & 0x8000 | x >> 9 & 0x7C00 | x >> 6 & 0x3E0 | x >> 3 & 0x1F));
}

helpers_b! {
    vupkhsb: |b| i16::unpack(b, true);
    vupkhsh: |b| i32::unpack(b, true);
    vupkhsw: |b| i64::unpack(b, true);
    vupklsb: |b| i16::unpack(b, false);
    vupklsh: |b| i32::unpack(b, false);
    vupklsw: |b| i64::unpack(b, false);
    vupkhpx: |b| u32::map(u32::unpack(b, true), pixel_to_word);
    vupklpx: |b| u32::map(u32::unpack(b, false), pixel_to_word);
}

// --- permutes ---

/// Helper of [`Sem::vec_permute`]: the target and A in the tag, B, C.
pub extern "C" fn permute(vcpu: &mut Vcpu, tag: u64, b: u64, c: u64) -> u64 {
    let v = &mut vcpu.state.vsr;
    v[(tag & 63) as usize] = permute_value(v[(tag >> 8 & 63) as usize], v[(b & 63) as usize], v[(c & 63) as usize]);
    0
}

/// `vperm`
pub fn vperm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    s.vec_permute(vr(i.vrt()), vr(i.vra()), vr(i.vrb()), vr(i.vrc()));
    Ok(())
}

/// `vsel`
pub fn vsel<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let [a, b, c] = [i.vra(), i.vrb(), i.vrc()].map(|n| s.vsr(vr(n)));
    let v = s.vec_select(a, b, c);
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

helpers_abc! {
    vpermr: |a, b, c, _sat| permute_value(a, b, !c);
    vpermxor: |a, b, c, _sat| {
        let (a, b) = (a.to_be_bytes(), b.to_be_bytes());
        u8::map(c, |n| a[usize::from(n >> 4)] ^ b[usize::from(n & 15)])
    };
}

// --- shifts of the whole vector ---

/// `vsldoi`
pub fn vsldoi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    super::op_ab(s, i, VecOp::Bytes(i.shb() as u8))
}

/// `vsldbi`
pub fn vsldbi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, n, old, a, b| a << (n & 7) | (b >> 1) >> (127 - (n & 7)));
    super::call(s, helper, i.vrt(), i.shv().into(), i.vra(), i.vrb())
}

/// `vsrdbi`
pub fn vsrdbi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, n, old, a, b| b >> (n & 7) | (a << 1) << (127 - (n & 7)));
    super::call(s, helper, i.vrt(), i.shv().into(), i.vra(), i.vrb())
}

helpers_ab! {
    vsl: |a, b| a << (b & 7);
    vsr: |a, b| a >> (b & 7);
    vslo: |a, b| a << (b & 0x78);
    vsro: |a, b| a >> (b & 0x78);
    vslv: |a, b| {
        // Each byte with the one behind it, shifted by its own count.
        let next = a << 8;
        u8::zip3(a, next, b, |x, y, n| (u16::from_be_bytes([x, y]) << (n & 7) >> 8) as u8)
    };
    vsrv: |a, b| {
        let before = a >> 8;
        u8::zip3(before, a, b, |x, y, n| (u16::from_be_bytes([x, y]) >> (n & 7)) as u8)
    };
}

// --- extracts to a general register, by a register's byte number ---

/// `bytes` bytes of VR `n` from byte `at`, counted from the left or the right end.
#[inline(always)]
fn element_at(v: u128, at: u64, bytes: u32, right: bool) -> u64 {
    let at = 8 * (at & 15) as u32;
    let v = if right { v >> at } else { v << at >> (128 - 8 * bytes) };
    v as u64 & (u64::MAX >> (64 - 8 * bytes))
}

macro_rules! extract_rows {
    ($($name:ident: $bytes:literal, $right:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, at: u64, b: u64, _: u64) -> u64 {
                element_at(vcpu.state.vsr[(b & 63) as usize], at, $bytes, $right)
            }
            let at = s.gpr(i.ra());
            let b = s.long(vr(i.vrb()) as u64);
            let v = s.call(helper, at, b, b);
            s.set_gpr(i.rt(), v);
            Ok(())
        }
    )* };
}

extract_rows! {
    vextublx: 1, false;
    vextuhlx: 2, false;
    vextuwlx: 4, false;
    vextubrx: 1, true;
    vextuhrx: 2, true;
    vextuwrx: 4, true;
}

// --- extracts and inserts by an immediate byte number ---

/// The `bytes` bytes of `v` from byte `at`, zero-extended, in doubleword 0. Bytes beyond the end (undefined) are zero.
#[inline(always)]
pub(crate) fn extracted(v: u128, at: u32, bytes: u32) -> u128 {
    (v << (8 * (at & 15)) >> (128 - 8 * bytes)) << 64
}

/// `old` with `value`, of `bytes` bytes, from byte `at` on. One that would pass the end (undefined) changes nothing.
#[inline(always)]
pub(crate) fn inserted(old: u128, value: u64, at: u32, bytes: u32) -> u128 {
    if at + bytes > 16 {
        return old;
    }
    let low = 128 - 8 * (at + bytes);
    let mask = u128::from(u64::MAX >> (64 - 8 * bytes)) << low;
    old & !mask | u128::from(value) << low & mask
}

macro_rules! immediate_rows {
    ($($extract:ident, $insert:ident: $bytes:literal;)*) => { $(
        #[doc = concat!("`", stringify!($extract), "`")]
        pub fn $extract<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, at, old, b, c| extracted(b, at, $bytes));
            super::call(s, helper, i.vrt(), i.uim4().into(), i.vrb(), 0)
        }

        #[doc = concat!("`", stringify!($insert), "`")]
        pub fn $insert<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, at, old, b, c| inserted(old, (b >> 64) as u64, at & 15, $bytes));
            super::call(s, helper, i.vrt(), i.uim4().into(), i.vrb(), 0)
        }
    )* };
}

immediate_rows! {
    vextractub, vinsertb: 1;
    vextractuh, vinserth: 2;
    vextractuw, vinsertw: 4;
    vextractd, vinsertd: 8;
}

// --- 3.1: extracts from two vectors and inserts, by a register's byte number ---

macro_rules! extract_double_rows {
    ($($name:ident: $bytes:literal, $right:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, tag: u64, b: u64, at: u64) -> u64 {
                let v = &mut vcpu.state.vsr;
                let at = (at & 31) as u32;
                let at = if $right { (32u32 - $bytes).checked_sub(at) } else { Some(at) };
                let (a, b) = (v[(tag >> 8 & 63) as usize], v[(b & 63) as usize]);
                // From byte `at` on of both; what lies beyond their end (undefined) is zero.
                let value = match at {
                    Some(at @ 0..=15) => extracted(if at == 0 { a } else { a << (8 * at) | b >> (128 - 8 * at) }, 0, $bytes),
                    Some(at) => extracted(b, at - 16, $bytes),
                    None => 0,
                };
                v[(tag & 63) as usize] = value;
                0
            }
            let b = s.long(vr(i.vrb()) as u64);
            let at = s.gpr(i.rc_reg());
            s.call_vsr(helper, vr(i.vrt()) as u64 | (vr(i.vra()) as u64) << 8, b, at);
            Ok(())
        }
    )* };
}

extract_double_rows! {
    vextdubvlx: 1, false;
    vextduhvlx: 2, false;
    vextduwvlx: 4, false;
    vextddvlx: 8, false;
    vextdubvrx: 1, true;
    vextduhvrx: 2, true;
    vextduwvrx: 4, true;
    vextddvrx: 8, true;
}

/// Inserts a value of `bytes` bytes: VSR in the low byte of the tag, above it how many bytes, and a flag for "from the right".
extern "C" fn insert(vcpu: &mut Vcpu, tag: u64, at: u64, value: u64) -> u64 {
    let bytes = (tag >> 8 & 15) as u32;
    let at = (at & 15) as u32;
    let at = if tag & 0x1000 == 0 { Some(at) } else { (16 - bytes).checked_sub(at) };
    let t = &mut vcpu.state.vsr[(tag & 63) as usize];
    if let Some(at) = at {
        *t = inserted(*t, value, at, bytes);
    }
    0
}

#[inline(always)]
fn call_insert<S: Sem>(s: &mut S, t: usize, bytes: u64, right: bool, at: S::Long, value: S::Long) -> R {
    s.call_vsr(insert, vr(t) as u64 | bytes << 8 | u64::from(right) << 12, at, value);
    Ok(())
}

macro_rules! insert_rows {
    ($($from_vector:ident, $from_register:ident: $bytes:literal, $right:literal;)*) => { $(
        #[doc = concat!("`", stringify!($from_vector), "`")]
        pub fn $from_vector<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            let at = s.gpr(i.ra());
            let value = s.vsr_hi(vr(i.vrb()));
            call_insert(s, i.vrt(), $bytes, $right, at, value)
        }

        insert_rows! { @register $from_register: $bytes, $right }
    )* };
    (@register $name:ident: $bytes:literal, $right:literal) => {
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            let at = s.gpr(i.ra());
            let value = s.gpr(i.rb());
            call_insert(s, i.vrt(), $bytes, $right, at, value)
        }
    };
}

insert_rows! {
    vinsbvlx, vinsblx: 1, false;
    vinshvlx, vinshlx: 2, false;
    vinswvlx, vinswlx: 4, false;
    vinsbvrx, vinsbrx: 1, true;
    vinshvrx, vinshrx: 2, true;
    vinswvrx, vinswrx: 4, true;
}

insert_rows! { @register vinsdlx: 8, false }
insert_rows! { @register vinsdrx: 8, true }

/// `vinsw`
pub fn vinsw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (at, value) = (s.long(i.uim4().into()), s.gpr(i.rb()));
    call_insert(s, i.vrt(), 4, false, at, value)
}

/// `vinsd`
pub fn vinsd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (at, value) = (s.long(i.uim4().into()), s.gpr(i.rb()));
    call_insert(s, i.vrt(), 8, false, at, value)
}

/// A splat of a lane known when the code is decoded: shared with VSX.
pub(crate) fn splat<S: Sem>(s: &mut S, t: usize, b: usize, lane: Lane, n: u8) {
    let b = s.vsr(b);
    let v = s.vec_op(VecOp::Splat(lane, n), b, b);
    s.set_vsr(t, v);
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u128 = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;

    #[test]
    fn bytes_by_number() {
        assert_eq!(element_at(A, 3, 1, false), 0x33);
        assert_eq!(element_at(A, 3, 1, true), 0xcc);
        assert_eq!(element_at(A, 12, 4, false), 0xccdd_eeff);
        assert_eq!(element_at(A, 12, 4, true), 0x0011_2233);
        assert_eq!(extracted(A, 8, 8), 0x8899_aabb_ccdd_eeff << 64);
        assert_eq!(inserted(A, 0xabcd, 14, 2), A >> 16 << 16 | 0xabcd);
        assert_eq!(inserted(A, 0xabcd, 15, 2), A);
        assert_eq!(inserted(A, u64::MAX, 0, 8), A | u128::MAX << 64);
    }

    #[test]
    fn pixels() {
        assert_eq!(pixel_to_word(0xFFFF), 0xFF1F_1F1F);
        assert_eq!(pixel_to_word(0x0421), 0x0001_0101);
    }
}
