//! What the stubs call.

use memory::radix::Access;
use sem::Fallible;
use vcpu::context::PENDING_ALWAYS;
use vcpu::raised::Raised;
use vcpu::{Exit, Vcpu};

/// [`context`]: back to the engine.
const LEAVE: u32 = 0;
/// [`context`]: on to NIA.
pub const GO_ON: u32 = 1;
/// [`context`]: the helper stopped.
const STOPPED: u32 = 2;

/// How an access is described in one number: size in bytes, store, offset of the instruction in its page, and how many
/// instructions of its block were counted but are not retired, itself included. `anchor`: its page is to be at hand
/// ([`memory::tlb::Anchor`]) for the next one of the kind.
pub const fn access(size: u32, store: bool, offset: u16, ahead: u32, anchor: bool) -> u32 {
    assert!(size < 1 << 7 && offset < 1 << 12 && offset & 3 == 0 && ahead < 1 << 12, "no region has such an access");
    let anchor = if anchor { ANCHOR } else { 0 };
    size | (store as u32) << 7 | anchor | (offset as u32) << 8 | ahead << 20
}

/// The bit of an access that says that its page is to be at hand: below the offset of an instruction.
pub const ANCHOR: u32 = 1 << 8;

/// Settles which instruction it is that this [`access`] belongs to.
fn go_to(v: &mut Vcpu, access: u32) {
    v.cia = v.translated.page + u64::from(access >> 8 & 0xFFC);
    v.ahead = i64::from(access >> 20);
}

/// The memory access beside the TLB that [`vcpu::translated::Translated`] describes, of the data in `bounce` if it is a
/// store. Settles where it is to be made: in RAM, or in a place that holds the data (or takes what was stored already).
/// False: an interrupt.
pub extern "C" fn slow(v: &mut Vcpu) -> bool {
    let (ea, access) = (v.translated.ea, v.translated.access);
    let (size, store) = (access & 0x7F, access >> 7 & 1 != 0);
    go_to(v, access);
    let Ok(host) = v.slow_access(ea, size, store) else { return false };
    v.ahead = 0;
    v.translated.addend = (host as u64).wrapping_sub(ea);
    true
}

/// Floating-point instruction whose common case generated code does in line: the helper at `Translated::addend` does it, with
/// what stands in place of an access's address, and the first bounced doubleword. False: an interrupt.
#[allow(unsafe_code)]
pub extern "C" fn arithmetic(v: &mut Vcpu) -> bool {
    let (tag, operand) = (v.translated.ea, v.translated.bounce[0]);
    go_to(v, v.translated.access);
    // SAFETY: `Emit::uncommon` stored the address of a helper there, just before.
    let helper = unsafe { core::mem::transmute::<usize, Fallible>(v.translated.addend as usize) };
    if !helper(v, tag, operand, 0) {
        return false;
    }
    v.ahead = 0;
    true
}

/// The code for the instruction at `ea`, which the jump cache does not know the way to; 0: the engine has to find it.
pub extern "C" fn find_way(v: &mut Vcpu, ea: u64) -> u64 {
    v.find_way(ea).unwrap_or(0)
}

/// Makes the condition register canonical.
pub extern "C" fn settle(v: &mut Vcpu) {
    v.settle_cr();
}

/// Runs a helper that changes NIA or MSR. Returns what comes next: [`LEAVE`], [`GO_ON`] or [`STOPPED`].
pub extern "C" fn context(v: &mut Vcpu, a: u64, b: u64, c: u64, helper: Fallible) -> u32 {
    v.settle_cr();
    v.settle_cfar();
    if !helper(v, a, b, c) {
        return STOPPED;
    }
    v.ahead = 0;
    // The budget, and what calls away, are looked at where it goes on.
    if v.code_events.is_empty() { GO_ON } else { LEAVE }
}

/// A helper or an access stopped. True if the interrupt in [`Vcpu::raised`] is to be taken; the vCPU leaves otherwise.
pub extern "C" fn stopped(v: &mut Vcpu) -> bool {
    if v.exit == Exit::Hypercall {
        // An instruction that was retired.
        v.ahead = 0;
        return false;
    }
    if v.exit == Exit::Alone {
        // The interpreter runs it.
        v.budget += std::mem::take(&mut v.ahead);
        v.state.nia = v.cia;
        return false;
    }
    v.exit = Exit::Next;
    // What comes behind the instruction that stopped was not retired, nor was it.
    v.budget += std::mem::take(&mut v.ahead);
    take(v)
}

/// Something calls the vCPU away at the head of a block, where it may still retire instructions. True if that is an
/// interrupt, in [`Vcpu::raised`] now; the vCPU leaves otherwise.
pub extern "C" fn called_away(v: &mut Vcpu) -> bool {
    // The engine's: mail may take away the code that runs, and whoever stops the vCPU wants its thread.
    if v.mailbox().pending() & PENDING_ALWAYS != 0 {
        return false;
    }
    let Some(interrupt) = v.next_interrupt() else { return false };
    v.raised = Raised::from(&interrupt);
    take(v)
}

/// Counts the interrupt in [`Vcpu::raised`], as one instruction. True if generated code may go on behind it; else it is
/// taken here.
fn take(v: &mut Vcpu) -> bool {
    v.budget -= 1;
    v.translated.interrupts += 1;
    let goes_on = v.code_events.is_empty();
    if !goes_on {
        v.take_raised();
    }
    goes_on
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
