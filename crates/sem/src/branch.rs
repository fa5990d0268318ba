//! Branches and the logic of condition register bits (Power ISA 3.1B, Book I, chapter 2).
#![allow(missing_docs)] // a function a row: the table names it, the manual says what it does

use crate::helpers::semantics;
use crate::{Fields, R, Reg, Sem, Target};

/// BO bits, from the left: the condition does not matter; the value it must have; CTR stays; the CTR that branches
/// is zero. The fifth is a hint.
mod bo {
    pub const ANY_CONDITION: u32 = 16;
    pub const CONDITION: u32 = 8;
    pub const KEEP_CTR: u32 = 4;
    pub const CTR_ZERO: u32 = 2;
}

/// LR = address of the next instruction.
#[inline(always)]
fn link<S: Sem>(s: &mut S) {
    let cia = s.cia();
    let four = s.long(4);
    let next = s.ea(cia, four);
    s.set_reg(Reg::Lr, next);
}

/// A target in a register: the two low bits are ignored, and the upper half outside of 64-bit mode.
#[inline(always)]
fn indirect<S: Sem>(s: &mut S, value: S::Long) -> Target<S::Long> {
    let mask = s.long(if s.mode_64() { !3 } else { 0xFFFF_FFFC });
    Target::Indirect(s.and(value, mask))
}

/// A target in the instruction.
#[inline(always)]
fn direct<S: Sem>(s: &S, absolute: bool, displacement: i64) -> Target<S::Long> {
    if !absolute {
        Target::Relative(displacement)
    } else if s.mode_64() {
        Target::Absolute(displacement as u64)
    } else {
        Target::Absolute(displacement as u64 & 0xFFFF_FFFF)
    }
}

/// Whether CTR says to branch. Outside of 64-bit mode its low word decides.
#[inline(always)]
fn ctr_condition<S: Sem>(s: &mut S, bo: u32, ctr: S::Long) -> S::Bool {
    let tested = if s.mode_64() { ctr } else { s.zext(ctr, 32) };
    let zero = s.long(0);
    let is_zero = s.eq(tested, zero);
    if bo & bo::CTR_ZERO != 0 { is_zero } else { s.is_not(is_zero) }
}

/// Whether the CR bit says to branch.
#[inline(always)]
fn cr_condition<S: Sem>(s: &mut S, bo: u32, bi: u32) -> S::Bool {
    let bit = s.cr_bit(bi as usize);
    if bo & bo::CONDITION != 0 { bit } else { s.is_not(bit) }
}

/// The conditional branches but `bcctr`.
#[inline(always)]
fn conditional<S: Sem, I: Fields>(s: &mut S, i: I, target: Target<S::Long>) -> R {
    let bo = i.bo();
    if i.lk() {
        link(s);
    }
    let by_ctr = bo & bo::KEEP_CTR == 0;
    let by_cr = bo & bo::ANY_CONDITION == 0;
    if !by_ctr && !by_cr {
        s.branch(target);
        return Ok(());
    }
    let taken = if by_ctr {
        let ctr = s.reg(Reg::Ctr);
        let one = s.long(1);
        let ctr = s.sub(ctr, one);
        s.set_reg(Reg::Ctr, ctr);
        let counted = ctr_condition(s, bo, ctr);
        if by_cr {
            let condition = cr_condition(s, bo, i.bi());
            s.both(counted, condition)
        } else {
            counted
        }
    } else {
        cr_condition(s, bo, i.bi())
    };
    s.branch_if(taken, target);
    Ok(())
}

semantics! {
    b(s, i) {
        if i.lk() {
            link(s);
        }
        let target = direct(s, i.aa(), i.li());
        s.branch(target);
        Ok(())
    }
    bc(s, i) {
        let target = direct(s, i.aa(), i.bd());
        conditional(s, i, target)
    }
    bclr(s, i) {
        // The old LR, before LK=1 writes it.
        let to = s.reg(Reg::Lr);
        let target = indirect(s, to);
        conditional(s, i, target)
    }
    bctar(s, i) {
        let to = s.reg(Reg::Tar);
        let target = indirect(s, to);
        conditional(s, i, target)
    }
    bcctr(s, i) {
        let bo = i.bo();
        let ctr = s.reg(Reg::Ctr);
        let target = indirect(s, ctr);
        if bo & bo::KEEP_CTR != 0 {
            return conditional(s, i, target);
        }
        // An invalid form in which the processors test CTR first and then decrement it. Linux runs
        // `bcctr 2,0,0` with CTR = 0x7fff to flush a cache, and expects not to branch.
        if i.lk() {
            link(s);
        }
        let counted = ctr_condition(s, bo, ctr);
        let one = s.long(1);
        let less = s.sub(ctr, one);
        let new = s.select(counted, less, ctr);
        s.set_reg(Reg::Ctr, new);
        let taken = if bo & bo::ANY_CONDITION == 0 {
            let condition = cr_condition(s, bo, i.bi());
            s.both(counted, condition)
        } else {
            counted
        };
        s.branch_if(taken, target);
        Ok(())
    }
    mcrf(s, i) {
        let field = s.cr_field(i.bfa());
        s.set_cr_field(i.bf(), field);
        Ok(())
    }
}

/// The logical operations on CR bits: from both bits to the result.
macro_rules! cr_logic {
    ($( $name:ident($s:ident, $a:ident, $b:ident) $result:expr; )*) => { semantics! { $(
        $name($s, i) {
            let $a = $s.cr_bit(i.ba() as usize);
            let $b = $s.cr_bit(i.bb() as usize);
            let result = $result;
            $s.set_cr_bit(i.bt() as usize, result);
            Ok(())
        }
    )* } };
}

cr_logic! {
    crand(s, a, b) s.both(a, b);
    crandc(s, a, b) { let nb = s.is_not(b); s.both(a, nb) };
    creqv(s, a, b) { let d = s.differ(a, b); s.is_not(d) };
    crnand(s, a, b) { let both = s.both(a, b); s.is_not(both) };
    crnor(s, a, b) { let either = s.either(a, b); s.is_not(either) };
    cror(s, a, b) s.either(a, b);
    crorc(s, a, b) { let nb = s.is_not(b); s.either(a, nb) };
    crxor(s, a, b) s.differ(a, b);
}
