//! What the stubs call.

use memory::radix::Access;
use sem::Fallible;
use vcpu::translated::jump_index;
use vcpu::{Exit, Vcpu};

/// How an access is described in one number: size in bytes, store, offset of the instruction in its page, and how many
/// instructions of its block were counted but are not retired, itself included.
pub const fn access(size: u32, store: bool, offset: u16, ahead: u32) -> i64 {
    size as i64 | (store as i64) << 8 | (offset as i64) << 16 | (ahead as i64) << 32
}

/// A memory access beside the TLB, of the data in `bounce` if it is a store. Returns the host address at which the
/// access is to be made: RAM, or a place that holds the data (or takes what was stored already). 0: an interrupt.
pub extern "C" fn slow(v: &mut Vcpu, ea: u64, access: u64, budget: i64) -> u64 {
    let (size, store) = (access as u32 & 0xFF, access >> 8 & 1 != 0);
    v.cia = v.translated.page + (access >> 16 & 0xFFF);
    v.ahead = (access >> 32) as i64;
    v.budget = budget;
    v.slow_access(ea, size, store).map_or(0, |host| host as u64)
}

/// Makes the condition register canonical.
pub extern "C" fn settle(v: &mut Vcpu) {
    v.settle_cr();
}

/// Runs a helper that changes NIA or MSR. Returns the code to go on with, or 0 to leave.
pub extern "C" fn context(v: &mut Vcpu, a: u64, b: u64, c: u64, helper: Fallible) -> u64 {
    v.settle_cr();
    if helper(v, a, b, c) {
        v.ahead = 0;
        return resume(v);
    }
    stopped(v)
}

/// A helper or an access stopped: takes the interrupt. Returns the code to go on with, or 0 to leave.
pub extern "C" fn stopped(v: &mut Vcpu) -> u64 {
    match v.exit {
        Exit::Interrupt(interrupt) => {
            // What comes behind the instruction that stopped was not retired, nor was it; the interrupt counts as one.
            v.budget += v.ahead - 1;
            v.ahead = 0;
            v.exit = Exit::Next;
            v.translated.interrupts += 1;
            v.take_interrupt(&interrupt);
            resume(v)
        }
        // A hypercall is an instruction that was retired.
        _ => {
            v.ahead = 0;
            0
        }
    }
}

/// Code for NIA as the vCPU stands, or 0 if there is none or something else has to be done first.
fn resume(v: &mut Vcpu) -> u64 {
    if !v.code_events.is_empty() || v.budget < 0 || v.called_away() {
        return 0;
    }
    let nia = v.state.nia;
    let jump = v.translated.jumps[jump_index(nia)];
    if jump.ea == nia && jump.key == v.translated.jump_key[(nia >> 63) as usize] {
        v.translated.page = nia & !memory::PAGE_OFFSET;
        return jump.code;
    }
    0
}

/// Probes `bytes` from `ea` for a load, or a store.
pub extern "C" fn probe(v: &mut Vcpu, ea: u64, bytes: u64, store: u64) -> bool {
    let access = if store != 0 { Access::Store } else { Access::Load };
    v.probe(ea, bytes, access).is_ok()
}

/// A program interrupt with this cause.
pub extern "C" fn program(v: &mut Vcpu, cause: u64, _: u64, _: u64) -> bool {
    v.raise_program::<()>(cause).is_ok()
}
