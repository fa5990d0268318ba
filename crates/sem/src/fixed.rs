//! Fixed-point arithmetic, logic, rotates, shifts, compares, traps and moves of the condition register
//! (Power ISA 3.1B, Book I, chapter 3).
//!
//! Results that the manual leaves undefined: the upper half of a word multiply-high or divide is zero, a quotient
//! that does not exist is zero (for `divw` and its kin: whatever the 64-bit quotient gives).
#![allow(missing_docs)] // a function a row: the table names it, the manual says what it does

use crate::fixed_helpers as helper;
use crate::helpers::{mask, ones, semantics};
use crate::{Fields, R, Sem, XerBit};
use cpu::bits::srr1;
use isa::IsaLevel;

// --- results ---

/// RT = `v`, and CR0 if Rc=1.
#[inline(always)]
fn to_rt<S: Sem, I: Fields>(s: &mut S, i: I, v: S::Long) -> R {
    s.set_gpr(i.rt(), v);
    if i.rc() {
        s.record(v);
    }
    Ok(())
}

/// RA = `v`, and CR0 if Rc=1.
#[inline(always)]
fn to_ra<S: Sem, I: Fields>(s: &mut S, i: I, v: S::Long) -> R {
    s.set_gpr(i.ra(), v);
    if i.rc() {
        s.record(v);
    }
    Ok(())
}

/// RA = `v`, for rows without Rc.
#[inline(always)]
fn only_ra<S: Sem, I: Fields>(s: &mut S, i: I, v: S::Long) -> R {
    s.set_gpr(i.ra(), v);
    Ok(())
}

/// RT = `v`, for rows without Rc.
#[inline(always)]
fn only_rt<S: Sem, I: Fields>(s: &mut S, i: I, v: S::Long) -> R {
    s.set_gpr(i.rt(), v);
    Ok(())
}

/// Whether bit `n` from the low end is one.
#[inline(always)]
fn low_bit<S: Sem>(s: &mut S, v: S::Long, n: u32) -> S::Bool {
    let bit = s.long(1 << n);
    let v = s.and(v, bit);
    s.nonzero(v)
}

/// CA and, where it exists, CA32, which is the same for shifts.
#[inline(always)]
fn set_carry<S: Sem>(s: &mut S, ca: S::Bool) {
    s.set_xer(XerBit::Ca, ca);
    if s.level() >= IsaLevel::V3_0 {
        s.set_xer(XerBit::Ca32, ca);
    }
}

// --- addition ---

/// What is carried into a sum.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CarryIn {
    Zero,
    One,
    Ca,
}

/// OV of the sum `r` of `a`, `b` and a carry: both have the sign that `r` has not.
#[inline(always)]
fn sum_overflow<S: Sem>(s: &mut S, a: S::Long, b: S::Long, r: S::Long) {
    let x = s.xor(a, r);
    let y = s.xor(b, r);
    let both = s.and(x, y);
    let ov32 = low_bit(s, both, 31);
    let ov = if s.mode_64() { low_bit(s, both, 63) } else { ov32 };
    s.set_overflow(ov, ov32);
}

/// The carry out of the low word of a sum: what came into bit 32 from the right.
#[inline(always)]
fn carry_of_word<S: Sem>(s: &mut S, a: S::Long, b: S::Long, r: S::Long) -> S::Bool {
    let x = s.xor(a, b);
    let x = s.xor(x, r);
    low_bit(s, x, 32)
}

/// `a + b + carry in`, with carry out and the carry of the low word; those that nobody asks for are not there.
#[inline(always)]
fn sum<S: Sem>(s: &mut S, a: S::Long, b: S::Long, carry: CarryIn) -> S::Long {
    let t = s.add(a, b);
    match carry {
        CarryIn::Zero => t,
        CarryIn::One => {
            let one = s.long(1);
            s.add(t, one)
        }
        CarryIn::Ca => {
            let ca = s.xer(XerBit::Ca);
            let ca = s.one_if(ca);
            s.add(t, ca)
        }
    }
}

/// The carry out of all 64 bits of the sum `r` of `a`, `b` and `carry`.
#[inline(always)]
fn carry_of_double<S: Sem>(s: &mut S, a: S::Long, b: S::Long, r: S::Long, carry: CarryIn) -> S::Bool {
    match carry {
        CarryIn::Zero => s.ltu(r, a),
        // a + b + 1 carries exactly if b is not below the complement of a.
        CarryIn::One => {
            let na = s.not(a);
            let less = s.ltu(b, na);
            s.is_not(less)
        }
        CarryIn::Ca => {
            let either = s.or(a, b);
            let both = s.and(a, b);
            let no_sum = s.not(r);
            let passed = s.and(either, no_sum);
            let out = s.or(both, passed);
            let zero = s.long(0);
            s.lts(out, zero)
        }
    }
}

/// Sets CA and CA32 of a sum. To be called before CA changes.
#[inline(always)]
fn sum_carry<S: Sem>(s: &mut S, a: S::Long, b: S::Long, r: S::Long, carry: CarryIn) {
    let modern = s.level() >= IsaLevel::V3_0;
    if s.mode_64() {
        let ca = carry_of_double(s, a, b, r, carry);
        s.set_xer(XerBit::Ca, ca);
        if modern {
            let ca32 = carry_of_word(s, a, b, r);
            s.set_xer(XerBit::Ca32, ca32);
        }
    } else {
        let ca = carry_of_word(s, a, b, r);
        set_carry(s, ca);
    }
}

/// Every row that adds: RT = a + b + carry in; CA if `sets_ca`; OV and CR0 by OE and Rc.
#[inline(always)]
fn adds<S: Sem, I: Fields>(s: &mut S, i: I, a: S::Long, b: S::Long, carry: CarryIn, sets_ca: bool) -> R {
    let r = sum(s, a, b, carry);
    if sets_ca {
        sum_carry(s, a, b, r, carry);
    }
    if i.oe() {
        sum_overflow(s, a, b, r);
    }
    to_rt(s, i, r)
}

/// [`adds`] of (RA) and (RB).
#[inline(always)]
fn adds_ab<S: Sem, I: Fields>(s: &mut S, i: I, carry: CarryIn, sets_ca: bool) -> R {
    let a = s.gpr(i.ra());
    let b = s.gpr(i.rb());
    adds(s, i, a, b, carry, sets_ca)
}

/// [`adds`] of the complement of (RA) and (RB): subtract from.
#[inline(always)]
fn subtracts<S: Sem, I: Fields>(s: &mut S, i: I, carry: CarryIn, sets_ca: bool) -> R {
    let a = s.gpr(i.ra());
    let a = s.not(a);
    let b = s.gpr(i.rb());
    adds(s, i, a, b, carry, sets_ca)
}

/// [`adds`] of (RA), or its complement, and a constant, with CA in and out.
#[inline(always)]
fn adds_constant<S: Sem, I: Fields>(s: &mut S, i: I, complement: bool, b: u64) -> R {
    let a = s.gpr(i.ra());
    let a = if complement { s.not(a) } else { a };
    let b = s.long(b);
    adds(s, i, a, b, CarryIn::Ca, true)
}

/// `addic` and `addic.`: the immediate forms have neither OE nor Rc.
#[inline(always)]
fn add_immediate_carrying<S: Sem, I: Fields>(s: &mut S, i: I, complement: bool) -> S::Long {
    let a = s.gpr(i.ra());
    let (a, carry) = if complement { (s.not(a), CarryIn::One) } else { (a, CarryIn::Zero) };
    let b = s.long(i.si() as u64);
    let r = sum(s, a, b, carry);
    sum_carry(s, a, b, r, carry);
    s.set_gpr(i.rt(), r);
    r
}

semantics! {
    addi(s, i) {
        let a = s.ra_or_zero(i);
        let b = s.long(i.si() as u64);
        let r = s.add(a, b);
        only_rt(s, i, r)
    }
    addis(s, i) {
        let a = s.ra_or_zero(i);
        let b = s.long((i.si() << 16) as u64);
        let r = s.add(a, b);
        only_rt(s, i, r)
    }
    addpcis(s, i) {
        let cia = s.cia();
        let d = s.long((4 + (i.dx() << 16)) as u64);
        let r = s.add(cia, d);
        only_rt(s, i, r)
    }
    addic(s, i) { add_immediate_carrying(s, i, false); Ok(()) }
    addic_(s, i) {
        let r = add_immediate_carrying(s, i, false);
        s.record(r);
        Ok(())
    }
    subfic(s, i) { add_immediate_carrying(s, i, true); Ok(()) }
    add(s, i) { adds_ab(s, i, CarryIn::Zero, false) }
    addc(s, i) { adds_ab(s, i, CarryIn::Zero, true) }
    adde(s, i) { adds_ab(s, i, CarryIn::Ca, true) }
    addme(s, i) { adds_constant(s, i, false, u64::MAX) }
    addze(s, i) { adds_constant(s, i, false, 0) }
    subf(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let r = s.sub(b, a);
        if i.oe() {
            let na = s.not(a);
            sum_overflow(s, na, b, r);
        }
        to_rt(s, i, r)
    }
    subfc(s, i) { subtracts(s, i, CarryIn::One, true) }
    subfe(s, i) { subtracts(s, i, CarryIn::Ca, true) }
    subfme(s, i) { adds_constant(s, i, true, u64::MAX) }
    subfze(s, i) { adds_constant(s, i, true, 0) }
    neg(s, i) {
        let a = s.gpr(i.ra());
        let zero = s.long(0);
        let r = s.sub(zero, a);
        if i.oe() {
            let na = s.not(a);
            sum_overflow(s, na, zero, r);
        }
        to_rt(s, i, r)
    }
    // CY=0 is the one that exists: OV is carry in and out, and SO stays.
    addex(s, i) {
        if i.cy() != 0 {
            return s.program(srr1::PROGRAM_ILLEGAL);
        }
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let t = s.add(a, b);
        let ov = s.xer(XerBit::Ov);
        let ov = s.one_if(ov);
        let r = s.add(t, ov);
        let ov32 = carry_of_word(s, a, b, r);
        let ov = if s.mode_64() { carry_of_double(s, a, b, r, CarryIn::Ca) } else { ov32 };
        s.set_xer(XerBit::Ov, ov);
        s.set_xer(XerBit::Ov32, ov32);
        only_rt(s, i, r)
    }
    addg6s(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let r = s.call(helper::addg6s, a, b, b);
        only_rt(s, i, r)
    }
}

// --- multiplication ---

/// The product of two words; `signed` says how they extend.
#[inline(always)]
fn word_product<S: Sem, I: Fields>(s: &mut S, i: I, signed: bool) -> S::Long {
    let a = word(s, i.ra(), signed);
    let b = word(s, i.rb(), signed);
    s.mul(a, b)
}

/// The low word of a register, extended.
#[inline(always)]
fn word<S: Sem>(s: &mut S, n: usize, signed: bool) -> S::Long {
    let v = s.gpr(n);
    if signed { s.sext(v, 32) } else { s.zext(v, 32) }
}

/// The upper word of a product, zero-extended.
#[inline(always)]
fn upper_word<S: Sem>(s: &mut S, v: S::Long) -> S::Long {
    let n = s.long(32);
    s.shr(v, n)
}

/// The low (false) or high half of (RA)*(RB) + (RC), 128 bits wide.
#[inline(always)]
fn multiply_add_high<S: Sem, I: Fields>(s: &mut S, i: I, signed: bool) -> R {
    let (a, b, c) = (s.gpr(i.ra()), s.gpr(i.rb()), s.gpr(i.rc_reg()));
    let low = s.mul(a, b);
    let sum = s.add(low, c);
    let carry = s.ltu(sum, low);
    let carry = s.one_if(carry);
    let mut high = if signed { s.mulhs(a, b) } else { s.mulhu(a, b) };
    if signed {
        let n = s.long(63);
        let sign = s.sar(c, n);
        high = s.add(high, sign);
    }
    let r = s.add(high, carry);
    only_rt(s, i, r)
}

semantics! {
    mulli(s, i) {
        let a = s.gpr(i.ra());
        let b = s.long(i.si() as u64);
        let r = s.mul(a, b);
        only_rt(s, i, r)
    }
    mullw(s, i) {
        let r = word_product(s, i, true);
        if i.oe() {
            let fits = s.sext(r, 32);
            let fits = s.eq(fits, r);
            let ov = s.is_not(fits);
            s.set_overflow(ov, ov);
        }
        to_rt(s, i, r)
    }
    mulld(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let r = s.mul(a, b);
        if i.oe() {
            let high = s.mulhs(a, b);
            let n = s.long(63);
            let sign = s.sar(r, n);
            let fits = s.eq(high, sign);
            let ov = s.is_not(fits);
            s.set_overflow(ov, ov);
        }
        to_rt(s, i, r)
    }
    mulhw(s, i) {
        let p = word_product(s, i, true);
        let r = upper_word(s, p);
        to_rt(s, i, r)
    }
    mulhwu(s, i) {
        let p = word_product(s, i, false);
        let r = upper_word(s, p);
        to_rt(s, i, r)
    }
    mulhd(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let r = s.mulhs(a, b);
        to_rt(s, i, r)
    }
    mulhdu(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let r = s.mulhu(a, b);
        to_rt(s, i, r)
    }
    maddhd(s, i) { multiply_add_high(s, i, true) }
    maddhdu(s, i) { multiply_add_high(s, i, false) }
    maddld(s, i) {
        let (a, b, c) = (s.gpr(i.ra()), s.gpr(i.rb()), s.gpr(i.rc_reg()));
        let p = s.mul(a, b);
        let r = s.add(p, c);
        only_rt(s, i, r)
    }
}

// --- division ---

/// Whether `b` is zero or, signed, `a` is `lowest` and `b` is -1.
#[inline(always)]
fn no_quotient<S: Sem>(s: &mut S, a: S::Long, b: S::Long, signed: bool, lowest: u64) -> S::Bool {
    let zero = s.long(0);
    let by_zero = s.eq(b, zero);
    if !signed {
        return by_zero;
    }
    let lowest = s.long(lowest);
    let minus_one = s.long(u64::MAX);
    let a_lowest = s.eq(a, lowest);
    let b_minus_one = s.eq(b, minus_one);
    let overflow = s.both(a_lowest, b_minus_one);
    s.either(by_zero, overflow)
}

const LOWEST_WORD: u64 = i32::MIN as i64 as u64;
const LOWEST_DOUBLE: u64 = i64::MIN as u64;

/// `divw`, `divwu`, `divd`, `divdu`.
#[inline(always)]
fn divides<S: Sem, I: Fields>(s: &mut S, i: I, double: bool, signed: bool) -> R {
    let (a, b) =
        if double { (s.gpr(i.ra()), s.gpr(i.rb())) } else { (word(s, i.ra(), signed), word(s, i.rb(), signed)) };
    let q = if signed { s.divs(a, b) } else { s.divu(a, b) };
    let q = if double || !signed { q } else { s.zext(q, 32) };
    if i.oe() {
        let ov = no_quotient(s, a, b, signed, if double { LOWEST_DOUBLE } else { LOWEST_WORD });
        s.set_overflow(ov, ov);
    }
    to_rt(s, i, q)
}

/// `divwe` and `divweu`: the dividend is the low word of RA and 32 zeros.
#[inline(always)]
fn divides_word_extended<S: Sem, I: Fields>(s: &mut S, i: I, signed: bool) -> R {
    let a = s.gpr(i.ra());
    let n = s.long(32);
    let a = s.shl(a, n);
    let b = word(s, i.rb(), signed);
    let q = if signed { s.divs(a, b) } else { s.divu(a, b) };
    let none = no_quotient(s, a, b, signed, LOWEST_DOUBLE);
    let kept = if signed { s.sext(q, 32) } else { s.zext(q, 32) };
    let fits = s.eq(kept, q);
    let large = s.is_not(fits);
    let ov = s.either(none, large);
    let zero = s.long(0);
    let r = s.select(ov, zero, kept);
    if i.oe() {
        s.set_overflow(ov, ov);
    }
    to_rt(s, i, r)
}

/// `divde` and `divdeu`: the dividend is RA and 64 zeros.
#[inline(always)]
fn divides_double_extended<S: Sem, I: Fields>(s: &mut S, i: I, signed: bool) -> R {
    let a = s.gpr(i.ra());
    let b = s.gpr(i.rb());
    let signed_as_long = s.long(u64::from(signed));
    let r = s.call(helper::divide_extended, a, b, signed_as_long);
    if i.oe() {
        let ov = s.call(helper::divide_extended_overflows, a, b, signed_as_long);
        let ov = s.nonzero(ov);
        s.set_overflow(ov, ov);
    }
    to_rt(s, i, r)
}

/// `modsw`, `moduw`, `modsd`, `modud`.
#[inline(always)]
fn remainder<S: Sem, I: Fields>(s: &mut S, i: I, double: bool, signed: bool) -> R {
    let (a, b) =
        if double { (s.gpr(i.ra()), s.gpr(i.rb())) } else { (word(s, i.ra(), signed), word(s, i.rb(), signed)) };
    let r = if signed { s.rems(a, b) } else { s.remu(a, b) };
    only_rt(s, i, r)
}

semantics! {
    divw(s, i) { divides(s, i, false, true) }
    divwu(s, i) { divides(s, i, false, false) }
    divd(s, i) { divides(s, i, true, true) }
    divdu(s, i) { divides(s, i, true, false) }
    divwe(s, i) { divides_word_extended(s, i, true) }
    divweu(s, i) { divides_word_extended(s, i, false) }
    divde(s, i) { divides_double_extended(s, i, true) }
    divdeu(s, i) { divides_double_extended(s, i, false) }
    modsw(s, i) { remainder(s, i, false, true) }
    moduw(s, i) { remainder(s, i, false, false) }
    modsd(s, i) { remainder(s, i, true, true) }
    modud(s, i) { remainder(s, i, true, false) }
    // L=3 is reserved and answers as a generator that failed.
    darn(s, i) {
        let l = s.long(i.l14().into());
        let r = s.call(helper::darn, l, l, l);
        only_rt(s, i, r)
    }
}

// --- comparison, traps, selection ---

/// The operands of a compare: whole, or their low words.
#[inline(always)]
fn compared<S: Sem>(s: &mut S, double: bool, signed: bool, v: S::Long) -> S::Long {
    if double {
        v
    } else if signed {
        s.sext(v, 32)
    } else {
        s.zext(v, 32)
    }
}

/// Takes a trap if one of the conditions that TO names holds between `a` and `b`.
#[inline(always)]
fn traps<S: Sem>(s: &mut S, to: u32, a: S::Long, b: S::Long) -> R {
    if to == 31 {
        return s.program(srr1::PROGRAM_TRAP);
    }
    let mut any = s.bool(false);
    if to & 16 != 0 {
        let c = s.lts(a, b);
        any = s.either(any, c);
    }
    if to & 8 != 0 {
        let c = s.lts(b, a);
        any = s.either(any, c);
    }
    if to & 4 != 0 {
        let c = s.eq(a, b);
        any = s.either(any, c);
    }
    // Sign extension keeps the unsigned order of words.
    if to & 2 != 0 {
        let c = s.ltu(a, b);
        any = s.either(any, c);
    }
    if to & 1 != 0 {
        let c = s.ltu(b, a);
        any = s.either(any, c);
    }
    s.program_if(any, srr1::PROGRAM_TRAP)
}

/// CR field BF = 0, `found`, 0, 0.
#[inline(always)]
fn found<S: Sem, I: Fields>(s: &mut S, i: I, found: S::Bool) -> R {
    let bit = s.one_if(found);
    let two = s.long(2);
    let field = s.shl(bit, two);
    s.set_cr_field(i.bf(), field);
    Ok(())
}

/// Whether `low <= v <= high` for the byte `v`, the bounds being bytes of RB counted from the low end.
#[inline(always)]
fn in_range<S: Sem>(s: &mut S, v: S::Long, bounds: S::Long, low: u32) -> S::Bool {
    let n = s.long(u64::from(8 * low));
    let lower = s.shr(bounds, n);
    let lower = s.zext(lower, 8);
    let n = s.long(u64::from(8 * low + 8));
    let upper = s.shr(bounds, n);
    let upper = s.zext(upper, 8);
    let below = s.ltu(v, lower);
    let above = s.ltu(upper, v);
    let out = s.either(below, above);
    s.is_not(out)
}

const LOW_BITS_OF_BYTES: u64 = 0x0101_0101_0101_0101;
const LOW_SEVEN_OF_BYTES: u64 = 0x7F7F_7F7F_7F7F_7F7F;

/// 1 in each byte in which `a` and `b` are equal, 0 in the others.
#[inline(always)]
fn equal_bytes<S: Sem>(s: &mut S, a: S::Long, b: S::Long) -> S::Long {
    let differ = s.xor(a, b);
    let seven = s.long(LOW_SEVEN_OF_BYTES);
    let low = s.and(differ, seven);
    // The top bit of a byte becomes 1 if one of its low seven is.
    let carried = s.add(low, seven);
    let any = s.or(carried, differ);
    let n = s.long(7);
    let any = s.shr(any, n);
    let ones = s.long(LOW_BITS_OF_BYTES);
    let any = s.and(any, ones);
    s.xor(any, ones)
}

/// RT from CR bit BI: `one` if it is `wanted`, else 0.
#[inline(always)]
fn set_by_condition<S: Sem, I: Fields>(s: &mut S, i: I, wanted: bool, one: u64) -> R {
    let bit = s.cr_bit(i.bi() as usize);
    let one = s.long(one);
    let zero = s.long(0);
    let r = if wanted { s.select(bit, one, zero) } else { s.select(bit, zero, one) };
    only_rt(s, i, r)
}

semantics! {
    cmp(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let a = compared(s, i.l(), true, a);
        let b = compared(s, i.l(), true, b);
        s.compare_signed(i.bf(), a, b);
        Ok(())
    }
    cmpi(s, i) {
        let a = s.gpr(i.ra());
        let a = compared(s, i.l(), true, a);
        let b = s.long(i.si() as u64);
        s.compare_signed(i.bf(), a, b);
        Ok(())
    }
    cmpl(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        let a = compared(s, i.l(), false, a);
        let b = compared(s, i.l(), false, b);
        s.compare_unsigned(i.bf(), a, b);
        Ok(())
    }
    cmpli(s, i) {
        let a = s.gpr(i.ra());
        let a = compared(s, i.l(), false, a);
        let b = s.long(i.ui());
        s.compare_unsigned(i.bf(), a, b);
        Ok(())
    }
    cmprb(s, i) {
        let v = s.gpr(i.ra());
        let v = s.zext(v, 8);
        let bounds = s.gpr(i.rb());
        let mut inside = in_range(s, v, bounds, 0);
        if i.l() {
            let second = in_range(s, v, bounds, 2);
            inside = s.either(inside, second);
        }
        found(s, i, inside)
    }
    cmpeqb(s, i) {
        let v = s.gpr(i.ra());
        let v = s.zext(v, 8);
        let every = s.long(LOW_BITS_OF_BYTES);
        let v = s.mul(v, every);
        let b = s.gpr(i.rb());
        let equal = equal_bytes(s, v, b);
        let any = s.nonzero(equal);
        found(s, i, any)
    }
    cmpb(s, i) {
        let a = s.gpr(i.rs());
        let b = s.gpr(i.rb());
        let equal = equal_bytes(s, a, b);
        let byte = s.long(0xFF);
        let r = s.mul(equal, byte);
        only_ra(s, i, r)
    }
    tw(s, i) {
        let a = word(s, i.ra(), true);
        let b = word(s, i.rb(), true);
        traps(s, i.to(), a, b)
    }
    twi(s, i) {
        let a = word(s, i.ra(), true);
        let b = s.long(i.si() as u64);
        traps(s, i.to(), a, b)
    }
    td(s, i) {
        let a = s.gpr(i.ra());
        let b = s.gpr(i.rb());
        traps(s, i.to(), a, b)
    }
    tdi(s, i) {
        let a = s.gpr(i.ra());
        let b = s.long(i.si() as u64);
        traps(s, i.to(), a, b)
    }
    isel(s, i) {
        let c = s.cr_bit(i.bc() as usize);
        let a = s.ra_or_zero(i);
        let b = s.gpr(i.rb());
        let r = s.select(c, a, b);
        only_rt(s, i, r)
    }
    setb(s, i) {
        let field = s.cr_field(i.bfa());
        let less = low_bit(s, field, 3);
        let greater = low_bit(s, field, 2);
        let greater = s.one_if(greater);
        let minus_one = s.long(u64::MAX);
        let r = s.select(less, minus_one, greater);
        only_rt(s, i, r)
    }
    setbc(s, i) { set_by_condition(s, i, true, 1) }
    setbcr(s, i) { set_by_condition(s, i, false, 1) }
    setnbc(s, i) { set_by_condition(s, i, true, u64::MAX) }
    setnbcr(s, i) { set_by_condition(s, i, false, u64::MAX) }
}

// --- logic ---

/// The logical operations: RA = f((RS), second operand).
macro_rules! logic {
    ($( $name:ident($s:ident, $i:ident, $a:ident, $b:ident = $second:expr) $result:expr, $finish:ident; )*) => {
        semantics! { $(
            $name($s, $i) {
                let $a = $s.gpr($i.rs());
                let $b = $second;
                let result = $result;
                $finish($s, $i, result)
            }
        )* }
    };
}

/// RA = `v` and CR0, for rows whose dot is always there.
#[inline(always)]
fn recorded_ra<S: Sem, I: Fields>(s: &mut S, i: I, v: S::Long) -> R {
    s.set_gpr(i.ra(), v);
    s.record(v);
    Ok(())
}

logic! {
    ori(s, i, a, b = s.long(i.ui())) s.or(a, b), only_ra;
    oris(s, i, a, b = s.long(i.ui() << 16)) s.or(a, b), only_ra;
    xori(s, i, a, b = s.long(i.ui())) s.xor(a, b), only_ra;
    xoris(s, i, a, b = s.long(i.ui() << 16)) s.xor(a, b), only_ra;
    andi_(s, i, a, b = s.long(i.ui())) s.and(a, b), recorded_ra;
    andis_(s, i, a, b = s.long(i.ui() << 16)) s.and(a, b), recorded_ra;
    and(s, i, a, b = s.gpr(i.rb())) s.and(a, b), to_ra;
    andc(s, i, a, b = s.gpr(i.rb())) { let nb = s.not(b); s.and(a, nb) }, to_ra;
    nand(s, i, a, b = s.gpr(i.rb())) { let r = s.and(a, b); s.not(r) }, to_ra;
    nor(s, i, a, b = s.gpr(i.rb())) { let r = s.or(a, b); s.not(r) }, to_ra;
    or(s, i, a, b = s.gpr(i.rb())) s.or(a, b), to_ra;
    orc(s, i, a, b = s.gpr(i.rb())) { let nb = s.not(b); s.or(a, nb) }, to_ra;
    xor(s, i, a, b = s.gpr(i.rb())) s.xor(a, b), to_ra;
    eqv(s, i, a, b = s.gpr(i.rb())) { let r = s.xor(a, b); s.not(r) }, to_ra;
    bpermd(s, i, a, b = s.gpr(i.rb())) s.call(helper::bpermd, a, b, b), only_ra;
    cfuged(s, i, a, b = s.gpr(i.rb())) s.call(helper::cfuged, a, b, b), only_ra;
    cntlzdm(s, i, a, b = s.gpr(i.rb())) s.call(helper::cntlzdm, a, b, b), only_ra;
    cnttzdm(s, i, a, b = s.gpr(i.rb())) s.call(helper::cnttzdm, a, b, b), only_ra;
    pdepd(s, i, a, b = s.gpr(i.rb())) s.call(helper::pdepd, a, b, b), only_ra;
    pextd(s, i, a, b = s.gpr(i.rb())) s.call(helper::pextd, a, b, b), only_ra;
}

/// The operations on RS alone: RA = f((RS)).
macro_rules! unary {
    ($( $name:ident($s:ident, $a:ident) $result:expr, $finish:ident; )*) => {
        semantics! { $(
            $name($s, i) {
                let $a = $s.gpr(i.rs());
                let result = $result;
                $finish($s, i, result)
            }
        )* }
    };
}

/// Both words of `a` put through `f`.
#[inline(always)]
fn by_words<S: Sem>(s: &mut S, a: S::Long, f: impl Fn(&mut S, S::Long) -> S::Long) -> S::Long {
    let low = s.zext(a, 32);
    let low = f(s, low);
    let n = s.long(32);
    let high = s.shr(a, n);
    let high = f(s, high);
    let high = s.shl(high, n);
    s.or(high, low)
}

/// Parity of the low bits of the bytes.
#[inline(always)]
fn parity<S: Sem>(s: &mut S, a: S::Long) -> S::Long {
    let bits = s.long(LOW_BITS_OF_BYTES);
    let a = s.and(a, bits);
    let n = s.popcnt(a);
    let one = s.long(1);
    s.and(n, one)
}

/// Ones of each byte, by adding ever wider groups.
#[inline(always)]
fn ones_of_bytes<S: Sem>(s: &mut S, a: S::Long) -> S::Long {
    let mut v = a;
    for (shift, mask) in [(1, 0x5555_5555_5555_5555), (2, 0x3333_3333_3333_3333), (4, 0x0F0F_0F0F_0F0F_0F0F)] {
        let n = s.long(shift);
        let mask = s.long(mask);
        let upper = s.shr(v, n);
        let upper = s.and(upper, mask);
        let lower = s.and(v, mask);
        v = s.add(upper, lower);
    }
    v
}

unary! {
    extsb(s, a) s.sext(a, 8), to_ra;
    extsh(s, a) s.sext(a, 16), to_ra;
    extsw(s, a) s.sext(a, 32), to_ra;
    cntlzw(s, a) { let a = s.zext(a, 32); let n = s.clz(a); let half = s.long(32); s.sub(n, half) }, to_ra;
    cntlzd(s, a) s.clz(a), to_ra;
    cnttzw(s, a) { let end = s.long(1 << 32); let a = s.or(a, end); s.ctz(a) }, to_ra;
    cnttzd(s, a) s.ctz(a), to_ra;
    popcntb(s, a) ones_of_bytes(s, a), only_ra;
    popcntw(s, a) by_words(s, a, |s, w| s.popcnt(w)), only_ra;
    popcntd(s, a) s.popcnt(a), only_ra;
    prtyw(s, a) by_words(s, a, parity), only_ra;
    prtyd(s, a) parity(s, a), only_ra;
    brd(s, a) s.bswap(a), only_ra;
    brw(s, a) { let r = s.bswap(a); let n = s.long(32); s.rotl(r, n) }, only_ra;
    brh(s, a) {
        let mask = s.long(0x00FF_00FF_00FF_00FF);
        let n = s.long(8);
        let high = s.shr(a, n);
        let high = s.and(high, mask);
        let low = s.and(a, mask);
        let low = s.shl(low, n);
        s.or(high, low)
    }, only_ra;
    cdtbcd(s, a) s.call(helper::cdtbcd, a, a, a), only_ra;
    cbcdtd(s, a) s.call(helper::cbcdtd, a, a, a), only_ra;
}

// --- rotates ---

/// The low word in both halves, rotated left by `n` and masked from bit `mb` to `me` of the low word.
#[inline(always)]
fn rotate_word<S: Sem>(s: &mut S, v: S::Long, n: S::Long, mb: u32, me: u32) -> S::Long {
    let mut r = s.rotl32(v, n);
    // Only a mask that goes around the end keeps anything of the upper half.
    if mb > me {
        let half = s.long(32);
        let upper = s.shl(r, half);
        r = s.or(r, upper);
    }
    let m = s.long(mask(mb + 32, me + 32));
    s.and(r, m)
}

/// `inserted` under the mask, what is in RA elsewhere.
#[inline(always)]
fn insert<S: Sem, I: Fields>(s: &mut S, i: I, inserted: S::Long, mask: u64) -> R {
    let old = s.gpr(i.ra());
    let keep = s.long(!mask);
    let kept = s.and(old, keep);
    let r = s.or(kept, inserted);
    to_ra(s, i, r)
}

/// RA = (RS) rotated left by `n` and masked.
#[inline(always)]
fn rotate_double<S: Sem, I: Fields>(s: &mut S, i: I, n: S::Long, mask: u64) -> R {
    let v = s.gpr(i.rs());
    let r = s.rotl(v, n);
    let m = s.long(mask);
    let r = s.and(r, m);
    to_ra(s, i, r)
}

semantics! {
    rlwimi(s, i) {
        let v = s.gpr(i.rs());
        let n = s.long(i.sh().into());
        let r = rotate_word(s, v, n, i.mb(), i.me());
        insert(s, i, r, mask(i.mb() + 32, i.me() + 32))
    }
    rlwinm(s, i) {
        let v = s.gpr(i.rs());
        let n = s.long(i.sh().into());
        let r = rotate_word(s, v, n, i.mb(), i.me());
        to_ra(s, i, r)
    }
    rlwnm(s, i) {
        let v = s.gpr(i.rs());
        let n = s.gpr(i.rb());
        let r = rotate_word(s, v, n, i.mb(), i.me());
        to_ra(s, i, r)
    }
    rldicl(s, i) {
        let n = s.long(i.sh6().into());
        rotate_double(s, i, n, mask(i.mb6(), 63))
    }
    rldicr(s, i) {
        let n = s.long(i.sh6().into());
        rotate_double(s, i, n, mask(0, i.me6()))
    }
    rldic(s, i) {
        let n = s.long(i.sh6().into());
        rotate_double(s, i, n, mask(i.mb6(), 63 - i.sh6()))
    }
    rldimi(s, i) {
        let v = s.gpr(i.rs());
        let n = s.long(i.sh6().into());
        let m = mask(i.mb6(), 63 - i.sh6());
        let r = s.rotl(v, n);
        let under = s.long(m);
        let r = s.and(r, under);
        insert(s, i, r, m)
    }
    rldcl(s, i) {
        let n = s.gpr(i.rb());
        rotate_double(s, i, n, mask(i.mb6(), 63))
    }
    rldcr(s, i) {
        let n = s.gpr(i.rb());
        rotate_double(s, i, n, mask(0, i.me6()))
    }
}

// --- shifts ---

/// 0 if bit 6 from the low end of the count is one: a shift of a doubleword by 64 or more.
#[inline(always)]
fn unless_64_or_more<S: Sem>(s: &mut S, count: S::Long, v: S::Long) -> S::Long {
    let large = low_bit(s, count, 6);
    let zero = s.long(0);
    s.select(large, zero, v)
}

/// The shift right algebraic of `v` by `n` (both at most 63), and CA: negative, and a one was shifted out, which
/// are the bits of `out`.
#[inline(always)]
fn algebraic<S: Sem, I: Fields>(s: &mut S, i: I, v: S::Long, n: S::Long, out: S::Long) -> R {
    let r = s.sar(v, n);
    let zero = s.long(0);
    let negative = s.lts(v, zero);
    let lost = s.and(v, out);
    let lost = s.nonzero(lost);
    let ca = s.both(negative, lost);
    set_carry(s, ca);
    to_ra(s, i, r)
}

semantics! {
    slw(s, i) {
        let v = s.gpr(i.rs());
        let n = s.gpr(i.rb());
        let v = s.zext(v, 32);
        let r = s.shl(v, n);
        let r = s.zext(r, 32);
        to_ra(s, i, r)
    }
    srw(s, i) {
        let v = s.gpr(i.rs());
        let n = s.gpr(i.rb());
        let v = s.zext(v, 32);
        let r = s.shr(v, n);
        to_ra(s, i, r)
    }
    sld(s, i) {
        let v = s.gpr(i.rs());
        let n = s.gpr(i.rb());
        let r = s.shl(v, n);
        let r = unless_64_or_more(s, n, r);
        to_ra(s, i, r)
    }
    srd(s, i) {
        let v = s.gpr(i.rs());
        let n = s.gpr(i.rb());
        let r = s.shr(v, n);
        let r = unless_64_or_more(s, n, r);
        to_ra(s, i, r)
    }
    sraw(s, i) {
        // A word, sign-extended: counts of 32 to 63 leave its sign and lose all of it.
        let v = word(s, i.rs(), true);
        let n = s.gpr(i.rb());
        let one = s.long(1);
        let out = s.shl(one, n);
        let out = s.sub(out, one);
        algebraic(s, i, v, n, out)
    }
    srawi(s, i) {
        let v = word(s, i.rs(), true);
        let n = s.long(i.sh().into());
        let out = s.long(ones(i.sh()));
        algebraic(s, i, v, n, out)
    }
    srad(s, i) {
        let v = s.gpr(i.rs());
        let n = s.gpr(i.rb());
        let large = low_bit(s, n, 6);
        let one = s.long(1);
        let out = s.shl(one, n);
        let out = s.sub(out, one);
        let all = s.long(u64::MAX);
        let out = s.select(large, all, out);
        let most = s.long(63);
        let n = s.select(large, most, n);
        algebraic(s, i, v, n, out)
    }
    sradi(s, i) {
        let v = s.gpr(i.rs());
        let n = s.long(i.sh6().into());
        let out = s.long(ones(i.sh6()));
        algebraic(s, i, v, n, out)
    }
    extswsli(s, i) {
        let v = word(s, i.rs(), true);
        let n = s.long(i.sh6().into());
        let r = s.shl(v, n);
        to_ra(s, i, r)
    }
}

// --- moves of the condition register ---

/// CR fields that FXM names = those of (RS).
#[inline(always)]
fn move_to_cr<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.gpr(i.rs());
    for n in 0..8 {
        if i.fxm() & 0x80 >> n != 0 {
            let shift = s.long(28 - 4 * n as u64);
            let field = s.shr(v, shift);
            s.set_cr_field(n, field);
        }
    }
    Ok(())
}

/// CR field `n` at its place in the register.
#[inline(always)]
fn placed_field<S: Sem>(s: &mut S, n: usize) -> S::Long {
    let field = s.cr_field(n);
    let shift = s.long(28 - 4 * n as u64);
    s.shl(field, shift)
}

semantics! {
    mfcr(s, i) {
        let mut r = s.long(0);
        for n in 0..8 {
            let field = placed_field(s, n);
            r = s.or(r, field);
        }
        only_rt(s, i, r)
    }
    // The other fields are undefined in RT: zero here. So is all of it where FXM has not exactly one bit.
    mfocrf(s, i) {
        let fxm = i.fxm();
        let r = if fxm.count_ones() == 1 { placed_field(s, fxm.leading_zeros() as usize - 24) } else { s.long(0) };
        only_rt(s, i, r)
    }
    mtcrf(s, i) { move_to_cr(s, i) }
    mtocrf(s, i) { move_to_cr(s, i) }
    mcrxrx(s, i) {
        let mut field = s.long(0);
        let one = s.long(1);
        for bit in [XerBit::Ov, XerBit::Ov32, XerBit::Ca, XerBit::Ca32] {
            let b = s.xer(bit);
            let b = s.one_if(b);
            field = s.shl(field, one);
            field = s.or(field, b);
        }
        s.set_cr_field(i.bf(), field);
        Ok(())
    }
    reserved_nop_530(_s, _i) { Ok(()) }
    reserved_nop_562(_s, _i) { Ok(()) }
    reserved_nop_594(_s, _i) { Ok(()) }
    reserved_nop_626(_s, _i) { Ok(()) }
    reserved_nop_658(_s, _i) { Ok(()) }
    reserved_nop_690(_s, _i) { Ok(()) }
    reserved_nop_722(_s, _i) { Ok(()) }
    reserved_nop_754(_s, _i) { Ok(()) }
}
