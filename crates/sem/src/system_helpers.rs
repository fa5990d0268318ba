//! Helpers of the system rows. Those of [`crate::Sem::context_call`] find `state.nia` at the next instruction.

use crate::{R, Vcpu, fallible};
use arith::fpscr;
use cpu::bits::{lpcr, msr, srr1};
use cpu::{Interrupt, Vector};
use isa::IsaLevel;
use memory::mail::Invalidation;
use vcpu::Exit;

// --- system calls and returns ---

/// What the system call interrupt of an `sc` says in SRR1: from 3.1 on its LEV. `None` for LEV=1: that is a hypercall,
/// from any state.
pub fn system_call_cause(level: IsaLevel, lev: u64) -> Option<u64> {
    // Before 3.1 all bits of LEV but the last are reserved.
    let lev = if level >= IsaLevel::V3_1 { lev } else { lev & 1 };
    (lev != 1).then_some((lev & 3) << 20)
}

/// `sc`. For a hypercall the engine stops with [`Exit::Hypercall`] and NIA behind the instruction.
pub extern "C" fn system_call(v: &mut Vcpu, lev: u64, _: u64, _: u64) -> bool {
    let Some(cause) = system_call_cause(v.level(), lev) else {
        v.exit = Exit::Hypercall;
        return false;
    };
    let _: R = v.raise(Interrupt::new(Vector::SystemCall, v.state.nia).with_srr1(cause));
    false
}

/// `scv`.
pub extern "C" fn system_call_vectored(v: &mut Vcpu, level: u64, _: u64, _: u64) -> bool {
    let interrupt = Interrupt { level: level as u8, ..Interrupt::new(Vector::SystemCallVectored, v.state.nia) };
    let _: R = v.raise(interrupt);
    false
}

/// MSR bits that a return from an interrupt in a partition leaves alone: HV, ME, and the places of SRR1's causes.
pub const KEPT_BY_RETURN: u64 = msr::HV | msr::ME | srr1::CLEARED;

/// What problem state has: interrupts and translation on.
pub const PROBLEM_STATE_HAS: u64 = msr::EE | msr::IR | msr::DR;

fn with_problem_state(value: u64) -> u64 {
    if value & msr::PR != 0 { value | PROBLEM_STATE_HAS } else { value }
}

/// MSR\[FE0,FE1\]: a floating-point exception that is enabled in the FPSCR interrupts.
pub const FP_EXCEPTIONS_INTERRUPT: u64 = msr::FE0 | msr::FE1;
/// What SRR1 says of an enabled exception that stood in the FPSCR when MSR\[FE0,FE1\] became not zero.
pub const FP_EXCEPTION_STOOD: u64 = srr1::PROGRAM_FP | srr1::PROGRAM_BEHIND;

/// Sets MSR, and keeps NIA within 32 bits if they are the mode. The program interrupt that an enabled floating-point
/// exception makes of MSR\[FE0,FE1\] (Power ISA 3.1, Book III, 7.5.9) is taken at NIA.
fn go_on_with(v: &mut Vcpu, new_msr: u64, nia: u64) {
    v.set_msr(new_msr);
    v.state.nia = v.wrap_ea(nia);
    if v.state.msr & FP_EXCEPTIONS_INTERRUPT != 0 && v.state.fpscr & fpscr::FEX != 0 {
        v.take_interrupt(&Interrupt::new(Vector::Program, v.state.nia).with_srr1(FP_EXCEPTION_STOOD));
    }
}

fn return_to(v: &mut Vcpu, nia: u64, saved: u64) -> bool {
    v.state.cfar = v.cia;
    let new = with_problem_state(saved & !KEPT_BY_RETURN | v.state.msr & KEPT_BY_RETURN);
    go_on_with(v, new, nia & !3);
    true
}

/// `rfid`.
pub extern "C" fn rfid(v: &mut Vcpu, _: u64, _: u64, _: u64) -> bool {
    let (nia, saved) = (v.state.spr.srr0, v.state.spr.srr1);
    return_to(v, nia, saved)
}

/// `rfscv`.
pub extern "C" fn rfscv(v: &mut Vcpu, _: u64, _: u64, _: u64) -> bool {
    let (nia, saved) = (v.state.lr, v.state.ctr);
    return_to(v, nia, saved)
}

/// BESCR\[GE\]: event-based branches are enabled.
const BESCR_GE: u64 = 1 << 63;

/// `rfebb`.
pub extern "C" fn rfebb(v: &mut Vcpu, enable: u64, _: u64, _: u64) -> bool {
    let r = &mut v.state.spr;
    r.bescr = if enable != 0 { r.bescr | BESCR_GE } else { r.bescr & !BESCR_GE };
    let nia = r.ebbrr & !3;
    v.state.nia = v.wrap_ea(nia);
    true
}

// --- machine state ---

/// What `mtmsrd` with L=0 writes.
pub const MTMSRD: u64 = !(msr::HV | msr::ME | msr::LE);
/// What `mtmsr` with L=0 writes.
pub const MTMSR: u64 = 0xFFFF_FFFF & MTMSRD;
/// What both write with L=1.
pub const MTMSR_L1: u64 = msr::EE | msr::RI;

/// MSR.
pub extern "C" fn msr(v: &mut Vcpu, _: u64, _: u64, _: u64) -> u64 {
    v.state.msr
}

/// Sets the bits of MSR under `mask`.
pub extern "C" fn set_msr(v: &mut Vcpu, value: u64, mask: u64, _: u64) -> bool {
    let new = with_problem_state(v.state.msr & !mask | value & mask);
    let nia = v.state.nia;
    go_on_with(v, new, nia);
    true
}

// --- special purpose registers ---

/// `mfspr` of number `n`; `old` is what RT holds.
pub extern "C" fn read_spr(v: &mut Vcpu, n: u64, old: u64, _: u64) -> bool {
    fallible(v, |v| v.read_spr_or(n as u32, old))
}

/// `mtspr` of number `n`.
pub extern "C" fn write_spr(v: &mut Vcpu, n: u64, value: u64, _: u64) -> bool {
    fallible(v, |v| v.write_spr(n as u32, value).map(|()| 0))
}

// --- translation caches ---

/// RIC: the page walk cache alone.
const RIC_WALK_CACHE: u64 = 1;
/// RIC: a group of pages.
const RIC_GROUP: u64 = 3;

/// The fields of `tlbie` and `tlbiel`, and which of the two it is, for [`tlbie`].
pub const fn tlbie_fields(ric: u32, prs: bool, radix: bool, local: bool) -> u64 {
    ric as u64 | (prs as u64) << 2 | (radix as u64) << 3 | (local as u64) << 4
}

/// `tlbie` and `tlbiel`. Nothing is cached but translations of pages: neither walks nor table entries.
pub extern "C" fn tlbie(v: &mut Vcpu, rb: u64, rs: u64, fields: u64) -> bool {
    let (ric, process_scoped, radix, local) = (fields & 3, fields & 4 != 0, fields & 8 != 0, fields & 16 != 0);
    let allowed = local || may_invalidate_everywhere(v);
    // The hypervisor's own translations, and hash translations of others than this processor.
    if !allowed || radix && !process_scoped || !radix && !local {
        let _: R = v.raise_program(srr1::PROGRAM_PRIVILEGED);
        return false;
    }
    let what = if radix { radix_invalidation(rb, rs, ric, local) } else { Some(Invalidation::All) };
    match what {
        Some(what) if local => v.invalidate(what),
        Some(what) => v.invalidate_everywhere(what),
        None => {}
    }
    true
}

/// Before 3.0 `tlbie` and `tlbsync` are the hypervisor's; since then LPCR\[GTSE\] gives them to the partition.
fn may_invalidate_everywhere(v: &Vcpu) -> bool {
    v.model.level >= IsaLevel::V3_0 && v.state.lpcr & lpcr::GTSE != 0
}

/// What a process-scoped radix form asks for (Power ISA 3.1B, Book III, 6.10.3.2).
fn radix_invalidation(rb: u64, rs: u64, ric: u64, local: bool) -> Option<Invalidation> {
    let pid = (rs >> 32) as u32;
    let is = rb >> 10 & 3;
    if ric == RIC_WALK_CACHE {
        return None;
    }
    // A tlbiel of more than a page goes set by set, and here is one: number 0.
    if local && is != 0 && rb >> 12 & 0xFFF != 0 {
        return None;
    }
    Some(match is {
        0 => {
            let shift = match rb >> 5 & 7 {
                0 => Some(12),
                5 => Some(16),
                1 => Some(21),
                2 => Some(30),
                _ => None,
            };
            match shift {
                Some(shift) if ric != RIC_GROUP => Invalidation::Page { pid, ea: rb & !0xFFF, shift },
                // A reserved size, or several pages: all that could be meant.
                _ => Invalidation::Process { pid },
            }
        }
        1 => Invalidation::Process { pid },
        _ => Invalidation::All,
    })
}

/// `tlbsync`.
pub extern "C" fn tlbsync(v: &mut Vcpu, _: u64, _: u64, _: u64) -> bool {
    if !may_invalidate_everywhere(v) {
        let _: R = v.raise_program(srr1::PROGRAM_PRIVILEGED);
        return false;
    }
    if v.unacknowledged {
        v.wait_for_translations();
    }
    true
}

// --- messages ---

/// Type of a directed privileged doorbell, in RB bits 32:36.
const DIRECTED_PRIVILEGED_DOORBELL: u64 = 5;

/// TIRTAG, the thread that a message is for: RB bits 57:63.
const TIRTAG: u64 = 0x7F;

/// `msgsndp` (`send` = 1): to a thread of the same core. `msgclrp`: clears the message for this thread. HFSCR\[MSGP\] is on
/// for a partition (where it is off, the hypervisor and not the guest gets an interrupt).
pub extern "C" fn message(v: &mut Vcpu, message: u64, send: u64, _: u64) -> bool {
    if message >> 27 & 0x1F == DIRECTED_PRIVILEGED_DOORBELL {
        if send != 0 {
            v.ring(message & TIRTAG);
        } else {
            v.silence();
        }
    }
    true
}

/// TM unavailable: the machine has no transactional memory, so that MSR\[TM\] is never set.
pub extern "C" fn tm_unavailable(v: &mut Vcpu, _: u64, _: u64, _: u64) -> bool {
    let _: R = v.raise_facility(cpu::bits::fscr::ic::TM);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use vcpu::observer::Silent;

    fn vcpu(msr: u64, fpscr: u64) -> Vcpu {
        let memory = Arc::new(memory::Memory::new(1 << 16, 1).unwrap());
        let clock = Arc::new(timing::Clock::virtual_time(0));
        let mut v = Vcpu::new(0, &cpu::model::POWER9, memory, clock, Arc::new(Silent));
        (v.state.fpscr, v.cia, v.state.nia) = (fpscr, 0x1000, 0x1004);
        v.set_msr(msr);
        v
    }

    /// Power ISA 3.1, Book III, 7.5.9.
    #[test]
    fn an_exception_that_stood_interrupts_when_the_modes_become_not_zero() {
        let (enabled, disabled) = (fpscr::with_summaries(fpscr::ZE | fpscr::ZX), fpscr::with_summaries(fpscr::ZX));
        for mode in [msr::FE0, msr::FE1, msr::FE0 | msr::FE1] {
            let new = msr::SF | mode;
            let written = |fpscr| {
                let mut v = vcpu(msr::SF, fpscr);
                assert!(set_msr(&mut v, new, MTMSRD, 0));
                v
            };
            let returned = |fpscr| {
                let mut v = vcpu(msr::SF, fpscr);
                (v.state.spr.srr0, v.state.spr.srr1) = (0x2000, new);
                assert!(rfid(&mut v, 0, 0, 0));
                v
            };
            for (v, behind) in [(written(enabled), 0x1004), (returned(enabled), 0x2000)] {
                assert_eq!(v.state.nia, Vector::Program as u64);
                assert_eq!((v.state.spr.srr0, v.state.spr.srr1), (behind, new | FP_EXCEPTION_STOOD));
                assert_eq!(v.state.msr & FP_EXCEPTIONS_INTERRUPT, 0);
            }
            for (v, behind) in [(written(disabled), 0x1004), (returned(disabled), 0x2000)] {
                assert_eq!((v.state.nia, v.state.msr), (behind, new));
            }
        }
        let mut v = vcpu(msr::SF, enabled_without_modes());
        assert!(set_msr(&mut v, msr::SF | msr::FP, MTMSRD, 0));
        assert_eq!(v.state.nia, 0x1004);
    }

    fn enabled_without_modes() -> u64 {
        fpscr::with_summaries(fpscr::VE | fpscr::VXSNAN)
    }
}
