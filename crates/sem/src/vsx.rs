//! Book I chapter 7: the vector-scalar facility, all but its floating-point arithmetic: loads, stores, moves
//! between register files, logic, permutes and splats.

pub use crate::vsx_fp::*;

use crate::Lane::{D, H, Q, W};
use crate::vec_value::{Element, permute_value};
use crate::vmx::{extracted, inserted, splat, vsr_helper};
use crate::{Fallible, Fields, Helper, Lane, R, Sem, Vcpu, VecOp, Width, fallible};
use cpu::bits::srr1;

// --- addresses ---

/// `(RA|0) + RB`
fn ea_x<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    let base = s.ra_or_zero(i);
    let b = s.gpr(i.rb());
    s.ea(base, b)
}

/// `(RA|0) + displacement`
fn ea_d<S: Sem, I: Fields>(s: &mut S, i: I, displacement: i64) -> S::Long {
    let base = s.ra_or_zero(i);
    let d = s.long(displacement as u64);
    s.ea(base, d)
}

/// `(RA|0)`
fn ea_a<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    ea_d(s, i, 0)
}

// --- scalars: doubleword 0, the other becomes zero ---

fn set_scalar<S: Sem>(s: &mut S, t: usize, v: S::Long) {
    let zero = s.long(0);
    s.set_vsr_pair(t, v, zero);
}

/// `lxsd`
pub fn lxsd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.ds());
    let v = s.load(ea, Width::Double)?;
    set_scalar(s, 32 + i.vrt(), v);
    Ok(())
}

/// `lxssp`
pub fn lxssp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.ds());
    let v = s.load(ea, Width::Word)?;
    let v = s.double_from_single(v);
    set_scalar(s, 32 + i.vrt(), v);
    Ok(())
}

/// `stxsd`
pub fn stxsd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.ds());
    let v = s.vsr_hi(32 + i.vrs());
    s.store(ea, Width::Double, v)
}

/// `stxssp`
pub fn stxssp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.ds());
    let v = s.vsr_hi(32 + i.vrs());
    let v = s.single_from_double(v);
    s.store(ea, Width::Word, v)
}

fn load_scalar<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = ea_x(s, i);
    let v = s.load(ea, width)?;
    set_scalar(s, i.xt(), v);
    Ok(())
}

fn store_scalar<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = ea_x(s, i);
    let v = s.vsr_hi(i.xs());
    s.store(ea, width, v)
}

/// `lxsdx`
pub fn lxsdx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_scalar(s, i, Width::Double)
}

/// `lxsiwzx`
pub fn lxsiwzx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_scalar(s, i, Width::Word)
}

/// `lxsihzx`
pub fn lxsihzx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_scalar(s, i, Width::Half)
}

/// `lxsibzx`
pub fn lxsibzx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_scalar(s, i, Width::Byte)
}

/// `lxsiwax`
pub fn lxsiwax<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    let v = s.load(ea, Width::Word)?;
    let v = s.sext(v, 32);
    set_scalar(s, i.xt(), v);
    Ok(())
}

/// `lxsspx`
pub fn lxsspx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    let v = s.load(ea, Width::Word)?;
    let v = s.double_from_single(v);
    set_scalar(s, i.xt(), v);
    Ok(())
}

/// `stxsdx`
pub fn stxsdx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_scalar(s, i, Width::Double)
}

/// `stxsiwx`
pub fn stxsiwx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_scalar(s, i, Width::Word)
}

/// `stxsihx`
pub fn stxsihx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_scalar(s, i, Width::Half)
}

/// `stxsibx`
pub fn stxsibx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_scalar(s, i, Width::Byte)
}

/// `stxsspx`
pub fn stxsspx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    let v = s.vsr_hi(i.xs());
    let v = s.single_from_double(v);
    s.store(ea, Width::Word, v)
}

// --- quadwords in guest byte order ---

fn load_to<S: Sem>(s: &mut S, t: usize, ea: S::Long) -> R {
    let v = s.load_quad(ea)?;
    s.set_vsr(t, v);
    Ok(())
}

fn store_from<S: Sem>(s: &mut S, n: usize, ea: S::Long) -> R {
    let v = s.vsr(n);
    s.store_quad(ea, v)
}

/// `lxv`
pub fn lxv<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.dq());
    load_to(s, i.xt_dq(), ea)
}

/// `stxv`
pub fn stxv<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.dq());
    store_from(s, i.xs_dq(), ea)
}

/// `lxvx`
pub fn lxvx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    load_to(s, i.xt(), ea)
}

/// `stxvx`
pub fn stxvx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    store_from(s, i.xs(), ea)
}

/// Loads VSRs `t` and `t + 1`, a 32-byte value in guest order: in little-endian order the second register is in
/// front. Also what the prefixed form does.
pub(crate) fn load_pair<S: Sem>(s: &mut S, t: usize, ea: S::Long) -> R {
    let sixteen = s.long(16);
    let behind = s.ea(ea, sixteen);
    let first = s.load_quad(ea)?;
    let second = s.load_quad(behind)?;
    let (hi, lo) = if s.little_endian() { (second, first) } else { (first, second) };
    s.set_vsr(t, hi);
    s.set_vsr(t + 1, lo);
    Ok(())
}

/// Stores VSRs `n` and `n + 1`: see [`load_pair`].
pub(crate) fn store_pair<S: Sem>(s: &mut S, n: usize, ea: S::Long) -> R {
    let sixteen = s.long(16);
    let behind = s.ea(ea, sixteen);
    let (hi, lo) = (s.vsr(n), s.vsr(n + 1));
    let (first, second) = if s.little_endian() { (lo, hi) } else { (hi, lo) };
    s.probe(ea, 16, true)?;
    s.probe(behind, 16, true)?;
    s.store_quad(ea, first)?;
    s.store_quad(behind, second)
}

/// `lxvp`
pub fn lxvp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.dq());
    load_pair(s, i.xtp(), ea)
}

/// `lxvpx`
pub fn lxvpx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    load_pair(s, i.xtp(), ea)
}

/// `stxvp`
pub fn stxvp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_d(s, i, i.dq());
    store_pair(s, i.xsp(), ea)
}

/// `stxvpx`
pub fn stxvpx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    store_pair(s, i.xsp(), ea)
}

// --- vectors of elements: the elements go up with the address in either byte order, the bytes of an element in
//     guest order ---

/// Between a quadword in guest order and elements that go up with the address.
fn by_address<S: Sem>(s: &mut S, v: S::Vec, lane: Option<Lane>) -> S::Vec {
    if !s.little_endian() {
        return v;
    }
    match lane {
        // Elements are bytes: all of them in reverse.
        None => s.vec_op(VecOp::ReverseBytes(Q), v, v),
        Some(D) => {
            let (hi, lo) = s.vec_halves(v);
            s.vec_from_halves(lo, hi)
        }
        Some(lane) => {
            let v = s.vec_op(VecOp::ReverseBytes(Q), v, v);
            s.vec_op(VecOp::ReverseBytes(lane), v, v)
        }
    }
}

fn load_elements<S: Sem, I: Fields>(s: &mut S, i: I, lane: Option<Lane>) -> R {
    let ea = ea_x(s, i);
    let v = s.load_quad(ea)?;
    let v = by_address(s, v, lane);
    s.set_vsr(i.xt(), v);
    Ok(())
}

fn store_elements<S: Sem, I: Fields>(s: &mut S, i: I, lane: Option<Lane>) -> R {
    let ea = ea_x(s, i);
    let v = s.vsr(i.xs());
    let v = by_address(s, v, lane);
    s.store_quad(ea, v)
}

/// `lxvd2x`
pub fn lxvd2x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_elements(s, i, Some(D))
}

/// `lxvw4x`
pub fn lxvw4x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_elements(s, i, Some(W))
}

/// `lxvh8x`
pub fn lxvh8x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_elements(s, i, Some(H))
}

/// `lxvb16x`
pub fn lxvb16x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_elements(s, i, None)
}

/// `stxvd2x`
pub fn stxvd2x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_elements(s, i, Some(D))
}

/// `stxvw4x`
pub fn stxvw4x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_elements(s, i, Some(W))
}

/// `stxvh8x`
pub fn stxvh8x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_elements(s, i, Some(H))
}

/// `stxvb16x`
pub fn stxvb16x<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_elements(s, i, None)
}

/// `lxvdsx`
pub fn lxvdsx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    let v = s.load(ea, Width::Double)?;
    s.set_vsr_pair(i.xt(), v, v);
    Ok(())
}

/// The low word of `v` in all four.
fn set_words<S: Sem>(s: &mut S, t: usize, v: S::Long) {
    let v = s.zext(v, 32);
    let both = s.long(0x1_0000_0001);
    let v = s.mul(v, both);
    s.set_vsr_pair(t, v, v);
}

/// `lxvwsx`
pub fn lxvwsx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = ea_x(s, i);
    let v = s.load(ea, Width::Word)?;
    set_words(s, i.xt(), v);
    Ok(())
}

fn load_right<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = ea_x(s, i);
    let v = s.load(ea, width)?;
    let zero = s.long(0);
    s.set_vsr_pair(i.xt(), zero, v);
    Ok(())
}

fn store_right<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = ea_x(s, i);
    let v = s.vsr(i.xs());
    let (_, v) = s.vec_halves(v);
    s.store(ea, width, v)
}

/// `lxvrbx`
pub fn lxvrbx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_right(s, i, Width::Byte)
}

/// `lxvrhx`
pub fn lxvrhx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_right(s, i, Width::Half)
}

/// `lxvrwx`
pub fn lxvrwx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_right(s, i, Width::Word)
}

/// `lxvrdx`
pub fn lxvrdx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_right(s, i, Width::Double)
}

/// `stxvrbx`
pub fn stxvrbx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_right(s, i, Width::Byte)
}

/// `stxvrhx`
pub fn stxvrhx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_right(s, i, Width::Half)
}

/// `stxvrwx`
pub fn stxvrwx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_right(s, i, Width::Word)
}

/// `stxvrdx`
pub fn stxvrdx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_right(s, i, Width::Double)
}

// --- with a length ---

/// Bytes that the top byte of RB asks for, at most a vector.
fn length(rb: u64) -> usize {
    ((rb >> 56) as usize).min(16)
}

/// `lxvl` (`left` unset): a value of so many bytes in guest order; `lxvll`: bytes from the left in either order.
fn load_length(vcpu: &mut Vcpu, t: u64, ea: u64, rb: u64, left: bool) -> R<u64> {
    let length = length(rb);
    let mut bytes = [0u8; 16];
    vcpu.read_guest(ea, &mut bytes[..length])?;
    let by_value = vcpu.little_endian() && !left;
    vcpu.state.vsr[(t & 63) as usize] = if by_value { u128::from_le_bytes(bytes) } else { u128::from_be_bytes(bytes) };
    Ok(0)
}

fn store_length(vcpu: &mut Vcpu, n: u64, ea: u64, rb: u64, left: bool) -> R<u64> {
    let v = vcpu.state.vsr[(n & 63) as usize];
    let bytes = if vcpu.little_endian() && !left { v.to_le_bytes() } else { v.to_be_bytes() };
    vcpu.write_guest(ea, &bytes[..length(rb)])?;
    Ok(0)
}

macro_rules! with_length {
    ($($name:ident: $reg:ident, $f:ident, $left:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, n: u64, ea: u64, rb: u64) -> bool {
                fallible(vcpu, |vcpu| $f(vcpu, n, ea, rb, $left))
            }
            call_with_length(s, i, i.$reg(), helper)
        }
    )* };
}

fn call_with_length<S: Sem, I: Fields>(s: &mut S, i: I, n: usize, f: Fallible) -> R {
    let ea = ea_a(s, i);
    let n = s.long(n as u64);
    let rb = s.gpr(i.rb());
    s.try_call(f, n, ea, rb)?;
    Ok(())
}

with_length! {
    lxvl: xt, load_length, false;
    lxvll: xt, load_length, true;
    stxvl: xs, store_length, false;
    stxvll: xs, store_length, true;
}

/// `lxvkq`: a quad-precision constant by its number.
pub fn lxvkq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    // 1.0 to 7.0, infinity and the default quiet NaN; numbers 16 and up are the negative ones and minus zero.
    const UPPER: [u16; 4] = [0x3FFF, 0x4000, 0x7FFF, 0x8000];
    let quad = |exponent: u16, fraction: u16| u128::from(exponent) << 112 | u128::from(fraction) << 96;
    let positive = |n: u32| match n {
        1 => Some(quad(UPPER[0], 0)),
        2 => Some(quad(UPPER[1], 0)),
        3 => Some(quad(0x4000, 0x8000)),
        4 => Some(quad(0x4001, 0)),
        5 => Some(quad(0x4001, 0x4000)),
        6 => Some(quad(0x4001, 0x8000)),
        7 => Some(quad(0x4001, 0xC000)),
        8 => Some(quad(UPPER[2], 0)),
        _ => None,
    };
    let value = match i.uim_kq() {
        9 => Some(quad(0x7FFF, 0x8000)),
        16 => Some(quad(UPPER[3], 0)),
        n @ 17..=24 => positive(n - 16).map(|v| v | 1 << 127),
        n => positive(n),
    };
    let Some(value) = value else { return s.program(srr1::PROGRAM_ILLEGAL) };
    let v = s.vec_const(value);
    s.set_vsr(i.xt(), v);
    Ok(())
}

// --- moves between register files ---

/// `mfvsrd`
pub fn mfvsrd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.vsr_hi(i.xs());
    s.set_gpr(i.ra(), v);
    Ok(())
}

/// `mfvsrld`
pub fn mfvsrld<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.vsr(i.xs());
    let (_, v) = s.vec_halves(v);
    s.set_gpr(i.ra(), v);
    Ok(())
}

/// `mfvsrwz`
pub fn mfvsrwz<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.vsr_hi(i.xs());
    let v = s.zext(v, 32);
    s.set_gpr(i.ra(), v);
    Ok(())
}

/// `mtvsrd`
pub fn mtvsrd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.gpr(i.ra());
    set_scalar(s, i.xt(), v);
    Ok(())
}

/// `mtvsrwa`
pub fn mtvsrwa<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.gpr(i.ra());
    let v = s.sext(v, 32);
    set_scalar(s, i.xt(), v);
    Ok(())
}

/// `mtvsrwz`
pub fn mtvsrwz<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.gpr(i.ra());
    let v = s.zext(v, 32);
    set_scalar(s, i.xt(), v);
    Ok(())
}

/// `mtvsrws`
pub fn mtvsrws<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.gpr(i.ra());
    set_words(s, i.xt(), v);
    Ok(())
}

/// `mtvsrdd`
pub fn mtvsrdd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let hi = s.ra_or_zero(i);
    let lo = s.gpr(i.rb());
    s.set_vsr_pair(i.xt(), hi, lo);
    Ok(())
}

// --- logic, merges ---

macro_rules! vec_ops {
    ($($name:ident: $op:expr;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            op_ab(s, i, $op)
        }
    )* };
}

#[inline(always)]
fn op_ab<S: Sem, I: Fields>(s: &mut S, i: I, op: VecOp) -> R {
    let a = s.vsr(i.xa());
    let b = s.vsr(i.xb());
    let v = s.vec_op(op, a, b);
    s.set_vsr(i.xt(), v);
    Ok(())
}

vec_ops! {
    xxland: VecOp::And;
    xxlandc: VecOp::Andc;
    xxlor: VecOp::Or;
    xxlxor: VecOp::Xor;
    xxlnor: VecOp::Nor;
    xxlorc: VecOp::Orc;
    xxlnand: VecOp::Nand;
    xxleqv: VecOp::Eqv;
    xxmrghw: VecOp::MergeHigh(W);
    xxmrglw: VecOp::MergeLow(W);
}

/// `xxsel`
pub fn xxsel<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let [a, b, c] = [i.xa(), i.xb(), i.xc()].map(|n| s.vsr(n));
    let v = s.vec_select(a, b, c);
    s.set_vsr(i.xt(), v);
    Ok(())
}

/// `xxpermdi`
pub fn xxpermdi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let (a, b) = (s.vsr(i.xa()), s.vsr(i.xb()));
    let ((ah, al), (bh, bl)) = (s.vec_halves(a), s.vec_halves(b));
    let hi = if i.dm() & 2 == 0 { ah } else { al };
    let lo = if i.dm() & 1 == 0 { bh } else { bl };
    s.set_vsr_pair(i.xt(), hi, lo);
    Ok(())
}

/// `xxsldwi`
pub fn xxsldwi<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    op_ab(s, i, VecOp::Bytes(4 * i.shw() as u8))
}

/// `xxspltw`
pub fn xxspltw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    splat(s, i.xt(), i.xb(), W, i.uim2() as u8);
    Ok(())
}

/// `xxspltib`
pub fn xxspltib<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.vec_const((i.imm8() as u8).splat());
    s.set_vsr(i.xt(), v);
    Ok(())
}

fn reverse<S: Sem, I: Fields>(s: &mut S, i: I, lane: Lane) -> R {
    let b = s.vsr(i.xb());
    let v = s.vec_op(VecOp::ReverseBytes(lane), b, b);
    s.set_vsr(i.xt(), v);
    Ok(())
}

/// `xxbrh`
pub fn xxbrh<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    reverse(s, i, H)
}

/// `xxbrw`
pub fn xxbrw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    reverse(s, i, W)
}

/// `xxbrd`
pub fn xxbrd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    reverse(s, i, D)
}

/// `xxbrq`
pub fn xxbrq<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    reverse(s, i, Q)
}

/// `xxperm`: from XA and XT.
pub fn xxperm<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    s.vec_permute(i.xt(), i.xa(), i.xt(), i.xb());
    Ok(())
}

#[inline(always)]
fn call<S: Sem>(s: &mut S, f: Helper, t: usize, imm: u64, a: usize, b: usize) -> R {
    let (a, b) = (s.long(a as u64), s.long(b as u64));
    s.call_vsr(f, t as u64 | imm << 8, a, b);
    Ok(())
}

/// `xxpermr`: bytes numbered from the right.
pub fn xxpermr<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| permute_value(a, old, !b));
    call(s, helper, i.xt(), 0, i.xa(), i.xb())
}

/// `xxextractuw`
pub fn xxextractuw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, at, old, b, c| extracted(b, at, 4));
    call(s, helper, i.xt(), i.uim4().into(), i.xb(), 0)
}

/// `xxinsertw`
pub fn xxinsertw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, at, old, b, c| inserted(old, (b >> 64) as u64, at & 15, 4));
    call(s, helper, i.xt(), i.uim4().into(), i.xb(), 0)
}

/// `xvtlsbb`: LT if the last bit of every byte is one, EQ if of none.
pub fn xvtlsbb<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let b = s.vsr(i.xb());
    let (hi, lo) = s.vec_halves(b);
    let (ones, zero) = (s.long(0x0101_0101_0101_0101), s.long(0));
    let (all, any) = (s.and(hi, lo), s.or(hi, lo));
    let (all, any) = (s.and(all, ones), s.and(any, ones));
    let (all, none) = (s.eq(all, ones), s.eq(any, zero));
    let (lt, eq) = (s.long(0b1000), s.long(0b0010));
    let field = s.select(none, eq, zero);
    let field = s.select(all, lt, field);
    s.set_cr_field(i.bf(), field);
    Ok(())
}

// --- permute controls from masks ---

/// A permute control for the elements of `bytes` bytes whose sign bit is one: `expand` puts the elements that lie
/// together where the mask has ones, otherwise those are put together at the left. `little` numbers bytes from the right.
fn permute_control(mask: u128, bytes: u32, expand: bool, little: bool) -> u128 {
    let count = (16 / bytes) as usize;
    let width = bytes as usize;
    let mut out = [0u8; 16];
    // Elements go from the left, or, in the little-endian forms, from the right.
    let element = |n: usize| if little { count - 1 - n } else { n };
    let byte = |n: usize, k: usize| if little { element(n) * width + (width - 1 - k) } else { n * width + k };
    let chosen = |n: usize| mask >> (127 - 8 * width * element(n)) & 1 != 0;
    let mut next = 0;
    for n in 0..count {
        let control = |n: usize, k: usize| (n * width + k) as u8;
        for k in 0..width {
            if expand {
                // What the mask leaves out comes from the second operand's same place.
                out[byte(n, k)] = if chosen(n) { control(next, k) } else { 0x10 | control(n, k) };
            } else if chosen(n) {
                out[byte(next, k)] = control(n, k);
            }
        }
        next += usize::from(chosen(n));
    }
    u128::from_be_bytes(out)
}

macro_rules! permute_controls {
    ($($name:ident: $bytes:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            vsr_helper!(helper, |vcpu, mode, old, b, c| permute_control(b, $bytes, mode & 1 == 0, mode & 2 != 0));
            if i.imm5() > 3 {
                return s.program(srr1::PROGRAM_ILLEGAL);
            }
            call(s, helper, i.xt(), i.imm5().into(), 32 + i.vrb(), 0)
        }
    )* };
}

permute_controls! {
    xxgenpcvbm: 1;
    xxgenpcvhm: 2;
    xxgenpcvwm: 4;
    xxgenpcvdm: 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_top_byte() {
        assert_eq!([0, 1 << 56, 16 << 56, 17 << 56, u64::MAX, 5].map(length), [0, 1, 16, 16, 16, 0]);
    }

    #[test]
    fn permute_controls_expand_and_compress() {
        let mask = 0xFF00_FF00 << 96;
        assert_eq!(permute_control(mask, 1, true, false) >> 96, 0x0011_0113);
        assert_eq!(permute_control(mask, 1, false, false) >> 96, 0x0002_0000);
        let expanded = permute_control(u128::from(u32::MAX) << 32, 4, true, false);
        assert_eq!(expanded, 0x1011_1213_1415_1617_0001_0203_1C1D_1E1F);
    }
}
