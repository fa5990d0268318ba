//! Atomic memory operations, load and reserve, store conditional, barriers (Power ISA 3.1B, Book II, 4.5 and 4.6).
#![allow(missing_docs)] // a function a row: the table names it, the manual says what it does

use crate::atomic_helpers as helper;
use crate::helpers::semantics;
use crate::{Fence, Fields, R, Sem, Width, XerBit};
use cpu::bits::srr1;
use isa::IsaLevel;

/// EA of the X forms.
#[inline(always)]
fn indexed<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    let base = s.ra_or_zero(i);
    let index = s.gpr(i.rb());
    s.ea(base, index)
}

/// `lbarx` .. `ldarx`.
#[inline(always)]
fn reserves<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = indexed(s, i);
    let v = s.load_and_reserve(ea, width)?;
    s.set_gpr(i.rt(), v);
    Ok(())
}

/// CR0 = 0, 0, stored, SO.
#[inline(always)]
fn record_store<S: Sem>(s: &mut S, stored: S::Long) {
    let one = s.long(1);
    let eq = s.shl(stored, one);
    let so = s.xer(XerBit::So);
    let so = s.one_if(so);
    let field = s.or(eq, so);
    s.set_cr_field(0, field);
}

/// `stbcx.` .. `stdcx.`.
#[inline(always)]
fn stores_conditionally<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = indexed(s, i);
    let v = s.gpr(i.rs());
    let stored = s.store_conditional(ea, width, v)?;
    record_store(s, stored);
    Ok(())
}

/// `lwat` and `ldat`: the operands are the registers after RT, 0 coming after 31.
#[inline(always)]
fn fetches<S: Sem, I: Fields>(s: &mut S, i: I, bytes: u32) -> R {
    let ea = ra_address(s, i);
    let first = s.gpr((i.rt() + 1) % 32);
    let second = s.gpr((i.rt() + 2) % 32);
    let old = s.try_call(helper::fetch(i.fc(), bytes), ea, first, second)?;
    s.set_gpr(i.rt(), old);
    Ok(())
}

/// EA = (RA|0).
#[inline(always)]
fn ra_address<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    let base = s.ra_or_zero(i);
    let zero = s.long(0);
    s.ea(base, zero)
}

/// `stwat` and `stdat`.
#[inline(always)]
fn stores_atomically<S: Sem, I: Fields>(s: &mut S, i: I, bytes: u32) -> R {
    let ea = ra_address(s, i);
    let v = s.gpr(i.rs());
    s.try_call(helper::update(i.fc(), bytes), ea, v, v)?;
    Ok(())
}

semantics! {
    lbarx(s, i) { reserves(s, i, Width::Byte) }
    lharx(s, i) { reserves(s, i, Width::Half) }
    lwarx(s, i) { reserves(s, i, Width::Word) }
    ldarx(s, i) { reserves(s, i, Width::Double) }
    lqarx(s, i) {
        let t = i.rtp();
        if t & 1 != 0 {
            return s.program(srr1::PROGRAM_ILLEGAL);
        }
        let ea = indexed(s, i);
        let high = s.try_call(helper::load_quad_and_reserve, ea, ea, ea)?;
        let low = s.call(helper::reserved_low_half, ea, ea, ea);
        s.set_gpr(t, high);
        s.set_gpr(t + 1, low);
        Ok(())
    }
    stbcx_(s, i) { stores_conditionally(s, i, Width::Byte) }
    sthcx_(s, i) { stores_conditionally(s, i, Width::Half) }
    stwcx_(s, i) { stores_conditionally(s, i, Width::Word) }
    stdcx_(s, i) { stores_conditionally(s, i, Width::Double) }
    stqcx_(s, i) {
        let r = i.rsp();
        if r & 1 != 0 {
            return s.program(srr1::PROGRAM_ILLEGAL);
        }
        let ea = indexed(s, i);
        let (high, low) = (s.gpr(r), s.gpr(r + 1));
        let stored = s.try_call(helper::store_quad_conditional, ea, high, low)?;
        record_store(s, stored);
        Ok(())
    }
    lwat(s, i) { fetches(s, i, 4) }
    ldat(s, i) { fetches(s, i, 8) }
    stwat(s, i) { stores_atomically(s, i, 4) }
    stdat(s, i) { stores_atomically(s, i, 8) }
    sync(s, i) {
        let l = if s.level() >= IsaLevel::V3_1 { i.l3() } else { i.l3() & 3 };
        match l {
            // lwsync, and plwsync of 3.1.
            1 | 5 => s.fence(Fence::Light),
            2 => {
                // ptesync: translations that this vCPU invalidated are gone everywhere when it completes.
                s.fence(Fence::Full);
                s.wait_for_invalidations()?;
            }
            _ => s.fence(Fence::Full),
        }
        Ok(())
    }
    eieio(s, _i) {
        s.fence(Fence::Light);
        Ok(())
    }
    isync(s, _i) {
        s.synchronize();
        Ok(())
    }
}
