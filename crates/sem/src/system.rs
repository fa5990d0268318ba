//! System calls, returns from interrupts, machine state, special purpose registers, translation caches, messages
//! (Power ISA 3.1B, Book III, chapters 4, 5, 6 and 11).
//!
//! The branch history is empty.
#![allow(missing_docs)] // a function a row: the table names it, the manual says what it does

use crate::helpers::semantics;
use crate::slb;
use crate::storage::hypervisor_only;
use crate::system_helpers as helper;
use crate::{Fallible, Fields, R, Reg, ReturnFrom, Sem, XerBit};
use cpu::bits::xer;
use cpu::spr;
use isa::IsaLevel;

/// A helper that goes on at NIA, with one operand.
#[inline(always)]
fn context<S: Sem>(s: &mut S, f: Fallible, operand: u64) -> R {
    let operand = s.long(operand);
    s.context_call(f, operand, operand, operand)
}

semantics! {
    sc(s, i) { s.system_call(i.lev()) }
    scv(s, i) { s.system_call_vectored(i.lev()) }
    rfid(s, _i) { s.return_from(ReturnFrom::Interrupt) }
    rfscv(s, _i) { s.return_from(ReturnFrom::SystemCallVectored) }
    rfebb(s, i) { context(s, helper::rfebb, i.s20().into()) }
    // Execution may resume for reasons of the implementation's own: at once.
    wait(_s, _i) { Ok(()) }
}

hypervisor_only! { hrfid stop doze nap sleep rvwinkle msgsnd msgclr msgsync }

// --- machine state ---

/// `mtmsr` and `mtmsrd`; L=1 changes EE and RI alone.
#[inline(always)]
fn sets_msr<S: Sem>(s: &mut S, rs: usize, mask: u64) -> R {
    let v = s.gpr(rs);
    s.set_msr(v, mask)
}

semantics! {
    mfmsr(s, i) {
        let zero = s.long(0);
        let v = s.call(helper::msr, zero, zero, zero);
        s.set_gpr(i.rt(), v);
        Ok(())
    }
    mtmsr(s, i) { sets_msr(s, i.rs(), if i.l15() { helper::MTMSR_L1 } else { helper::MTMSR }) }
    mtmsrd(s, i) { sets_msr(s, i.rs(), if i.l15() { helper::MTMSR_L1 } else { helper::MTMSRD }) }
}

// --- special purpose registers ---

/// The register that the engine keeps, if `n` names one that may be accessed without a look at FSCR.
#[inline(always)]
fn kept<S: Sem>(s: &S, n: u32) -> Option<Reg> {
    match n {
        spr::LR => Some(Reg::Lr),
        spr::CTR => Some(Reg::Ctr),
        spr::TAR if !s.problem_state() => Some(Reg::Tar),
        _ => None,
    }
}

/// Places of the bits of XER that are kept one by one; the last two since 3.0.
pub const XER_PARTS: [(XerBit, u64); 5] = [
    (XerBit::So, xer::SO),
    (XerBit::Ov, xer::OV),
    (XerBit::Ca, xer::CA),
    (XerBit::Ov32, xer::OV32),
    (XerBit::Ca32, xer::CA32),
];

/// XER, from its bits.
#[inline(always)]
fn read_xer<S: Sem>(s: &mut S) -> S::Long {
    let zero = s.long(0);
    // The byte count of the string instructions.
    let mut r = s.call(crate::storage_helpers::string_length, zero, zero, zero);
    let count = if s.level() >= IsaLevel::V3_0 { 5 } else { 3 };
    for (bit, mask) in XER_PARTS.into_iter().take(count) {
        let b = s.xer(bit);
        let mask = s.long(mask);
        let b = s.select(b, mask, zero);
        r = s.or(r, b);
    }
    r
}

/// RT = SPR `n`. A number that is not there leaves RT as it was, where it is not an interrupt.
#[inline(always)]
fn read_spr<S: Sem, I: Fields>(s: &mut S, i: I, n: u32) -> R {
    let v = if let Some(r) = kept(s, n) {
        s.reg(r)
    } else if n == spr::XER {
        read_xer(s)
    } else {
        let old = s.gpr(i.rt());
        s.read_spr(n, old)?
    };
    s.set_gpr(i.rt(), v);
    Ok(())
}

semantics! {
    mfspr(s, i) { read_spr(s, i, i.spr()) }
    mftb(s, i) { read_spr(s, i, i.tbr()) }
    mtspr(s, i) {
        let v = s.gpr(i.rs());
        if let Some(r) = kept(s, i.spr()) {
            s.set_reg(r, v);
            return Ok(());
        }
        s.write_spr(i.spr(), v)
    }
}

// --- translation caches ---

/// `tlbie` and `tlbiel`: (RB), (RS), and the fields of the instruction in one number.
#[inline(always)]
fn invalidates<S: Sem, I: Fields>(s: &mut S, i: I, local: bool) -> R {
    let fields = helper::tlbie_fields(i.ric(), i.prs(), i.r15(), local);
    let (rb, rs) = (s.gpr(i.rb()), s.gpr(i.rs()));
    let fields = s.long(fields);
    s.context_call(helper::tlbie, rb, rs, fields)
}

semantics! {
    tlbie(s, i) { invalidates(s, i, false) }
    tlbiel(s, i) { invalidates(s, i, true) }
    tlbsync(s, _i) { context(s, helper::tlbsync, 0) }
    slbmte(s, i) {
        let (rs, rb) = (s.gpr(i.rs()), s.gpr(i.rb()));
        s.context_call(slb::move_to_entry, rs, rb, rb)
    }
    slbie(s, i) {
        let rb = s.gpr(i.rb());
        s.context_call(slb::invalidate_entry, rb, rb, rb)
    }
    // There are no segment tables, so that other threads have no entries but those that they made themselves.
    slbieg(s, i) {
        let rb = s.gpr(i.rb());
        s.context_call(slb::invalidate_entry, rb, rb, rb)
    }
    slbia(s, i) { context(s, slb::invalidate_all, i.ih().into()) }
    slbiag(s, _i) { context(s, slb::invalidate_all, slb::EVERY_ENTRY) }
    // What slbieg and slbiag did has been seen.
    slbsync(_s, _i) { Ok(()) }
    slbmfee(s, i) {
        let rb = s.gpr(i.rb());
        let v = s.try_call(slb::entry_esid, rb, rb, rb)?;
        s.set_gpr(i.rt(), v);
        Ok(())
    }
    slbmfev(s, i) {
        let rb = s.gpr(i.rb());
        let v = s.try_call(slb::entry_vsid, rb, rb, rb)?;
        s.set_gpr(i.rt(), v);
        Ok(())
    }
    slbfee_(s, i) {
        let rb = s.gpr(i.rb());
        let zero = s.long(0);
        let ea = s.ea(rb, zero);
        let found = s.call(slb::find, ea, ea, ea);
        let v = s.call(slb::found_vsid, ea, ea, ea);
        s.set_gpr(i.rt(), v);
        let so = s.xer(XerBit::So);
        let so = s.one_if(so);
        let field = s.or(found, so);
        s.set_cr_field(0, field);
        Ok(())
    }
}

// --- messages, branch history ---

/// `msgsndp` and `msgclrp`.
#[inline(always)]
fn messages<S: Sem, I: Fields>(s: &mut S, i: I, send: bool) -> R {
    let message = s.gpr(i.rb());
    let send = s.long(send.into());
    s.context_call(helper::message, message, send, send)
}

semantics! {
    msgsndp(s, i) { messages(s, i, true) }
    msgclrp(s, i) { messages(s, i, false) }
    clrbhrb(_s, _i) { Ok(()) }
    mfbhrbe(s, i) {
        let none = s.long(0);
        s.set_gpr(i.rt(), none);
        Ok(())
    }
}
