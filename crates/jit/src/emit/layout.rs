//! Where generated code finds what, as offsets from the vCPU.

use core::mem::offset_of;
use cpu::state::Sprs;
use cpu::{State, spr};
use cranelift_codegen::ir::{
    Type,
    types::{I32, I64},
};
use memory::tlb::{Anchor, Tlb};
use sem::XerBit;
use vcpu::Vcpu;
use vcpu::spr::PPR_PRI;
use vcpu::translated::{Guess, Translated};
pub(super) const fn state(offset: usize) -> i32 {
    (offset_of!(Vcpu, state) + offset) as i32
}
/// Offset of general register `n`.
pub const fn gpr_offset(n: usize) -> i32 {
    state(offset_of!(State, gpr) + 8 * n)
}
/// Offset of CTR.
pub const CTR: i32 = state(offset_of!(State, ctr));
/// Offset of NIA.
pub const NIA: i32 = state(offset_of!(State, nia));
/// Offset of CFAR.
pub const CFAR: i32 = state(offset_of!(State, cfar));
/// Offset of where the last branch that was taken stood in the page.
pub const BRANCHED: i32 = translated(offset_of!(Translated, branched));
pub(super) const LR: i32 = state(offset_of!(State, lr));
pub(super) const TAR: i32 = state(offset_of!(State, spr) + offset_of!(Sprs, tar));
pub(super) const CRF: i32 = state(offset_of!(State, crf));
pub(super) const fn translated(offset: usize) -> i32 {
    (offset_of!(Vcpu, translated) + offset) as i32
}
/// Offset of the page's effective address.
pub const PAGE: i32 = translated(offset_of!(Translated, page));
pub(super) const ADDEND: i32 = translated(offset_of!(Translated, addend));
pub(super) const EA: i32 = translated(offset_of!(Translated, ea));
pub(super) const DEFERRED: usize = offset_of!(Translated, deferred);
pub(super) const FPSCR: i32 = state(offset_of!(State, fpscr));
pub(super) const ACCESS: i32 = translated(offset_of!(Translated, access));
pub(super) const BOUNCE: i32 = translated(offset_of!(Translated, bounce));
const GUESSES: usize = offset_of!(Translated, guesses);
/// Offset of the page of guess `n`.
pub const fn guessed_page(n: usize) -> i32 {
    translated(GUESSES + n * size_of::<Guess>() + offset_of!(Guess, page))
}
/// Offset of the addend of guess `n`.
pub(super) const fn guessed_addend(n: usize) -> i32 {
    translated(GUESSES + n * size_of::<Guess>() + offset_of!(Guess, addend))
}
/// Offset of the page at hand, in problem state or above.
pub(super) const fn anchor(privileged: bool) -> i32 {
    (offset_of!(Vcpu, tlb) + offset_of!(Tlb, anchors) + privileged as usize * size_of::<Anchor>()) as i32
}
pub(super) const HELPERS: i32 = translated(offset_of!(Translated, helpers));
pub(super) const COMPARED_AT: usize = offset_of!(Translated, compared);
pub(super) const BUDGET: i32 = offset_of!(Vcpu, budget) as i32;
pub(super) const CIA: i32 = offset_of!(Vcpu, cia) as i32;
pub(super) const AHEAD: i32 = offset_of!(Vcpu, ahead) as i32;
pub(super) const MSR: i32 = state(offset_of!(State, msr));
pub(super) const PENDING_MASK: i32 = offset_of!(Vcpu, pending_mask) as i32;
pub(super) const UNACKNOWLEDGED: i32 = offset_of!(Vcpu, unacknowledged) as i32;
pub(super) const RESERVED: i32 = offset_of!(Vcpu, reservation) as i32;
pub(super) const RESULT: i32 = offset_of!(Vcpu, result) as i32;

pub(super) fn xer_offset(b: XerBit) -> i32 {
    state(match b {
        XerBit::So => offset_of!(State, so),
        XerBit::Ov => offset_of!(State, ov),
        XerBit::Ov32 => offset_of!(State, ov32),
        XerBit::Ca => offset_of!(State, ca),
        XerBit::Ca32 => offset_of!(State, ca32),
    })
}

pub(super) const XER_BITS: [XerBit; 5] = [XerBit::So, XerBit::Ov, XerBit::Ov32, XerBit::Ca, XerBit::Ca32];

pub(super) fn vsr_offset(n: usize) -> i32 {
    state(offset_of!(State, vsr) + 16 * n)
}

/// Place and type of special purpose register `n`, if privileged code reads and writes it as a plain field.
pub fn plain_spr(n: u32) -> Option<(i32, Type)> {
    const fn at(offset: usize) -> i32 {
        state(offset_of!(State, spr) + offset)
    }
    Some(match n {
        spr::SRR0 => (at(offset_of!(Sprs, srr0)), I64),
        spr::SRR1 => (at(offset_of!(Sprs, srr1)), I64),
        spr::DAR => (at(offset_of!(Sprs, dar)), I64),
        spr::DSISR => (at(offset_of!(Sprs, dsisr)), I32),
        spr::SPRG0..=spr::SPRG3 => (at(offset_of!(Sprs, sprg)) + 8 * (n - spr::SPRG0) as i32, I64),
        spr::DSCR => (at(offset_of!(Sprs, dscr)), I64),
        _ => return None,
    })
}

/// Place, type and bits that exist of special purpose register `n`, if privileged code writes it as such a field, or not
/// at all (no bits).
pub fn plain_to_write(n: u32) -> Option<(i32, Type, u64)> {
    const SPRS: usize = offset_of!(State, spr);
    Some(match n {
        spr::PPR => (state(SPRS + offset_of!(Sprs, ppr)), I64, PPR_PRI),
        spr::VRSAVE => (state(SPRS + offset_of!(Sprs, vrsave)), I32, u64::MAX),
        spr::TRIG0..=spr::TRIG2 => (0, I64, 0),
        _ => return plain_spr(n).map(|(at, ty)| (at, ty, u64::MAX)),
    })
}

/// Likewise, if it is read so.
pub fn plain_to_read(n: u32) -> Option<(i32, Type)> {
    const SPRS: usize = offset_of!(State, spr);
    Some(match n {
        spr::AMR => (state(SPRS + offset_of!(Sprs, amr)), I64),
        spr::IAMR => (state(SPRS + offset_of!(Sprs, iamr)), I64),
        spr::PPR => (state(SPRS + offset_of!(Sprs, ppr)), I64),
        spr::FSCR => (state(SPRS + offset_of!(Sprs, fscr)), I64),
        spr::PIDR => (state(SPRS + offset_of!(Sprs, pid)), I32),
        _ => return plain_spr(n),
    })
}
