//! What follows from MSR, PIDR, AMR and the debug registers: context ids, the mode of decoded code,
//! and which interrupts may come in. One function keeps it all true: [`Vcpu::refresh_context`].

use crate::Vcpu;
use cpu::bits::{dawrx, fscr, lpcr, msr, pcr};
use isa::IsaLevel;
use memory::mail::pending;
use memory::tlb::{REAL, Space, Tlb, UNRESOLVED, kind};

/// Bits of [`Vcpu::mode`]: what decoded code depends on.
pub mod mode {
    /// Little-endian.
    pub const LE: u32 = 1 << 0;
    /// Sixty-four-bit mode.
    pub const SF: u32 = 1 << 1;
    /// Problem state.
    pub const PR: u32 = 1 << 2;
    /// Instruction translation.
    pub const IR: u32 = 1 << 3;
    /// Data translation.
    pub const DR: u32 = 1 << 4;
    /// Floating point available.
    pub const FP: u32 = 1 << 5;
    /// VMX available.
    pub const VEC: u32 = 1 << 6;
    /// VSX available.
    pub const VSX: u32 = 1 << 7;
    /// Each instruction ends in a look at the trace conditions (MSR\[SE\], or CIABR armed).
    pub const STEP: u32 = 1 << 8;
    /// Each branch does (MSR\[BE\]).
    pub const BRANCH_TRACE: u32 = 1 << 9;
    /// FSCR\[TAR\], or not problem state.
    pub const TAR: u32 = 1 << 10;
    /// FSCR\[SCV\].
    pub const SCV: u32 = 1 << 11;
    /// FSCR\[PREFIX\], or not problem state.
    pub const PREFIX: u32 = 1 << 12;
    /// Problem state under PCR\[v2.07\]: what came with 3.0 is not there.
    pub const PCR_V2_07: u32 = 1 << 13;
    /// Problem state under PCR\[v3.00\]: what came with 3.1 is not there.
    pub const PCR_V3_00: u32 = 1 << 14;

    /// Last level whose facilities code of this mode sees on a processor of level `processor`.
    #[inline(always)]
    pub fn level(bits: u32, processor: super::IsaLevel) -> super::IsaLevel {
        if bits & (PCR_V2_07 | PCR_V3_00) == 0 {
            processor
        } else if bits & PCR_V2_07 != 0 {
            super::IsaLevel::V2_07
        } else {
            processor.min(super::IsaLevel::V3_0)
        }
    }
}

/// MSR bits that a context depends on: a key is `msr & MSR_OF_KEY | Contexts::rest`.
pub const MSR_OF_KEY: u64 =
    msr::SF | msr::LE | msr::PR | msr::IR | msr::DR | msr::FP | msr::VEC | msr::VSX | msr::SE | msr::BE;
/// The rest of a key, above the low MSR bits: bases of the current process and of process 0 (without their three zeros).
const KEY_BASE_SHIFTS: [u32; 2] = [26, 35];
const KEY_BASE: u64 = 0x1FF;
/// Place in a key of AMR bits 0:1.
pub const KEY_AMR_SHIFT: u32 = 44;
/// IAMR bit 1.
const KEY_IAMR: u64 = 1 << 46;
const KEY_TAR: u64 = 1 << 47;
const KEY_SCV: u64 = 1 << 48;
const KEY_PREFIX: u64 = 1 << 49;
/// CIABR is armed.
const KEY_CIABR: u64 = 1 << 50;
/// Translation is by hash table.
pub const KEY_HASH: u64 = 1 << 51;
/// Generated code wrote AMR, on which the bases depend with hash translation: in [`Contexts::rest`] until
/// [`Vcpu::enter_known_context`], and in the key of no context. One place above [`KEY_HASH`].
pub const KEY_AMR_WRITTEN: u64 = KEY_HASH << 1;
/// PCR\[v2.07\].
const KEY_PCR_V2_07: u64 = 1 << 53;
/// PCR\[v3.00\].
const KEY_PCR_V3_00: u64 = 1 << 54;
/// [`memory::mail::Mailbox::set_in_real_mode`] was said: in [`Contexts::rest`] until the context changes, and in the key of
/// no context, so that whatever changes it asks [`Vcpu::enter_known_context`].
const KEY_REAL_MODE: u64 = 1 << 55;
/// The lowest place of a key that MSR leaves free.
const _: () = assert!(MSR_OF_KEY & !msr::SF < 1 << KEY_BASE_SHIFTS[0]);

/// Everything that follows from a key, copied to and from the fields of [`Vcpu`] with the same names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Derived {
    /// [`Vcpu::data_context`].
    pub data_context: [u64; 2],
    /// [`Vcpu::data_entries`].
    pub data_entries: [u64; 2],
    /// [`Vcpu::fetch_context`].
    pub fetch_context: [u64; 2],
    /// [`crate::translated::Translated::jump_key`].
    pub jump_key: [u64; 2],
    /// [`Vcpu::mode`].
    pub mode: u32,
}

/// One context that was computed before.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Known {
    /// Its key, or [`NO_KEY`].
    pub key: u64,
    /// What follows from it.
    pub derived: Derived,
}

/// What no key is.
pub const NO_KEY: u64 = u64::MAX;
/// Contexts that are remembered, a power of two.
pub const KNOWN: usize = 16;
/// What spreads keys over the remembered contexts: [`slot`] is the product's top bits.
pub const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// Right shift of the product.
pub const SPREAD_SHIFT: u32 = 64 - KNOWN.ilog2();

/// Contexts that were computed before. A key holds all that a context depends on, so nothing here is ever stale.
#[derive(Debug)]
#[repr(C)]
pub struct Contexts {
    /// The part of the key that is not MSR's, as of the last [`Vcpu::refresh_context`].
    pub rest: u64,
    /// The key that the fields of [`Vcpu`] hold for.
    pub current: u64,
    /// The contexts, each at the [`slot`] of its key.
    pub known: [Known; KNOWN],
}

impl Default for Contexts {
    fn default() -> Self {
        Contexts { rest: 0, current: NO_KEY, known: [Known { key: NO_KEY, derived: Derived::default() }; KNOWN] }
    }
}

/// Place of a key among the remembered contexts.
#[inline(always)]
fn slot(key: u64) -> usize {
    (key.wrapping_mul(SPREAD) >> SPREAD_SHIFT) as usize
}

impl Derived {
    /// What follows from `key`, with this TLB.
    fn of(key: u64, tlb: &Tlb) -> Self {
        let has = |m: u64| key & m != 0;
        let problem = has(msr::PR);
        let bases = KEY_BASE_SHIFTS.map(|shift| (key >> shift & KEY_BASE) * kind::COUNT);
        let user_quadrant = |privileged_kind: u64| if problem { kind::USER } else { privileged_kind };
        let data_context = if has(msr::DR) {
            // Quadrant 3 as with AMR = 0 (see memory::tlb).
            let amr = key >> KEY_AMR_SHIFT & 3;
            [bases[0] + user_quadrant(kind::PRIVILEGED + amr), bases[1] + user_quadrant(kind::PRIVILEGED)]
        } else {
            [REAL; 2]
        };
        let fetch_context = if has(msr::IR) {
            let iamr = u64::from(has(KEY_IAMR));
            bases.map(|base| base + user_quadrant(kind::PRIVILEGED_FETCH + iamr))
        } else {
            [REAL; 2]
        };
        let bit = |on: bool, m: u32| if on { m } else { 0 };
        let mode = bit(has(msr::LE), mode::LE)
            | bit(has(msr::SF), mode::SF)
            | bit(problem, mode::PR)
            | bit(has(msr::IR), mode::IR)
            | bit(has(msr::DR), mode::DR)
            | bit(has(msr::FP), mode::FP)
            | bit(has(msr::VEC), mode::VEC)
            | bit(has(msr::VSX), mode::VSX)
            | bit(has(msr::SE | KEY_CIABR), mode::STEP)
            | bit(has(msr::BE), mode::BRANCH_TRACE)
            | bit(!problem || has(KEY_TAR), mode::TAR)
            | bit(has(KEY_SCV), mode::SCV)
            | bit(!problem || has(KEY_PREFIX), mode::PREFIX)
            | bit(problem && has(KEY_PCR_V2_07), mode::PCR_V2_07)
            | bit(problem && has(KEY_PCR_V3_00), mode::PCR_V3_00);
        Derived {
            data_context,
            data_entries: data_context.map(|c| tlb.entries_of(c)),
            fetch_context,
            jump_key: fetch_context.map(|c| c << 32 | u64::from(mode)),
            mode,
        }
    }
}

/// [`Vcpu::pending_mask`] while MSR\[EE\] is 0.
pub const PENDING_ALWAYS: u32 = pending::MAIL | pending::SYSTEM_RESET | pending::STOP | pending::LOOK;
/// [`Vcpu::pending_mask`] while it is 1.
pub const PENDING_WITH_EE: u32 = PENDING_ALWAYS | pending::MASKED_BY_EE;

impl Vcpu {
    /// Sets MSR, within what the model has, and all that follows from it.
    pub fn set_msr(&mut self, value: u64) {
        self.state.msr = value & self.model.msr_mask;
        let key = self.refresh_key();
        if key != self.contexts.current {
            self.enter_context(key);
        }
    }

    /// Sets PCR: what the machine lets problem state see.
    pub fn set_pcr(&mut self, value: u64) {
        self.state.pcr = value;
        self.refresh_context();
    }

    /// Last level whose facilities are there in the state that the vCPU is in. PCR concerns problem state only (Power ISA
    /// 3.1, Book III, 2.5).
    #[inline(always)]
    pub fn level(&self) -> IsaLevel {
        mode::level(self.mode, self.model.level)
    }

    /// Sets PIDR.
    pub fn set_pid(&mut self, pid: u32) {
        self.state.spr.pid = pid;
        if !self.hashes() {
            self.reload_bases();
        }
    }

    /// Brings everything in line with AMR or IAMR, which were written.
    pub fn keys_changed(&mut self) {
        if self.hashes() {
            self.set_bases([UNRESOLVED; 2]);
        }
        self.refresh_context();
    }

    /// Brings everything in line with the SLB, in which an entry for addresses whose bit 0 is `half` changed.
    pub fn segments_changed(&mut self, half: usize) {
        if self.hashes() && self.bases[half] != UNRESOLVED {
            self.set_base(half, UNRESOLVED);
            self.refresh_context();
        }
    }

    /// Looks up the context ids of the segments in one half of the addresses, if that was not done since they changed.
    /// Nothing was found in the TLB under `context`.
    #[inline]
    pub(crate) fn resolve_space(&mut self, context: u64, half: usize) {
        if context & !(kind::COUNT - 1) == UNRESOLVED {
            self.look_up_space(half);
        }
    }

    #[cold]
    fn look_up_space(&mut self, half: usize) {
        let space = Space::of(&self.state, half);
        let (base, restarted) = self.tlb.space(&space, self.spaces[half].as_ref());
        if restarted {
            self.set_bases([UNRESOLVED; 2]);
            self.forget_jumps();
        }
        self.set_base(half, base);
        self.spaces[half] = Some(space);
        self.refresh_context();
    }

    /// Asks the TLB again for the context ids of the current process and of process 0.
    pub fn reload_bases(&mut self) {
        if self.hashes() {
            self.set_bases([UNRESOLVED; 2]);
            return self.refresh_context();
        }
        let pid = self.state.spr.pid;
        let (zero, for_zero) = self.tlb.base(0);
        let (own, for_own) = self.tlb.base(pid);
        // Ids that started over while asking for the second invalidate the first.
        let zero = if for_own { self.tlb.base(0).0 } else { zero };
        self.set_bases([own, zero]);
        self.refresh_context();
        if for_zero || for_own {
            self.forget_jumps();
        }
    }

    /// The contexts are others from now on: no page of theirs is at hand.
    fn set_bases(&mut self, bases: [u64; 2]) {
        self.bases = bases;
        self.tlb.forget_anchors();
    }

    fn set_base(&mut self, half: usize, base: u64) {
        let mut bases = self.bases;
        bases[half] = base;
        self.set_bases(bases);
    }

    /// Context ids started over: look-ups under them are others' from now on.
    fn forget_jumps(&mut self) {
        self.translated.forget_jumps();
        self.code_events.push(crate::CodeEvent::ForgetAll);
    }

    /// Brings everything in line with MSR, FSCR, AMR, IAMR and the debug registers.
    pub fn refresh_context(&mut self) {
        let key = self.refresh_key();
        self.enter_context(key);
    }

    /// Enters the context of MSR and [`Contexts::rest`], which are in line with everything else: for generated code that
    /// found another key in the context's place.
    pub fn enter_known_context(&mut self) {
        self.leave_real_mode();
        if self.contexts.rest & KEY_AMR_WRITTEN != 0 {
            return self.keys_changed();
        }
        self.enter_context(self.state.msr & MSR_OF_KEY | self.contexts.rest);
    }

    /// The key of the context as the vCPU stands. Brings [`Contexts::rest`] and the mask of pending interrupts in line.
    #[inline]
    fn refresh_key(&mut self) -> u64 {
        self.leave_real_mode();
        let r = &self.state.spr;
        let bit = |on: bool, m: u64| if on { m } else { 0 };
        self.contexts.rest = (self.bases[0] / kind::COUNT) << KEY_BASE_SHIFTS[0]
            | (self.bases[1] / kind::COUNT) << KEY_BASE_SHIFTS[1]
            | r.amr >> 62 << KEY_AMR_SHIFT
            | bit(r.iamr & 1 << 62 != 0, KEY_IAMR)
            | bit(r.fscr & fscr::TAR != 0, KEY_TAR)
            | bit(r.fscr & fscr::SCV != 0, KEY_SCV)
            | bit(r.fscr & fscr::PREFIX != 0, KEY_PREFIX)
            | bit(r.ciabr & 3 != 0, KEY_CIABR)
            | bit(self.state.pcr & pcr::V2_07 != 0, KEY_PCR_V2_07)
            | bit(self.state.pcr & pcr::V3_00 != 0, KEY_PCR_V3_00)
            | bit(self.state.lpcr & lpcr::HR == 0, KEY_HASH);
        self.pending_mask = if self.state.msr & msr::EE != 0 { PENDING_WITH_EE } else { PENDING_ALWAYS };
        self.state.msr & MSR_OF_KEY | self.contexts.rest
    }

    /// Called behind serving mail: says that nobody need wait for this vCPU to forget translations, if it uses none.
    pub(crate) fn note_real_mode(&mut self) {
        if self.state.msr & (msr::IR | msr::DR) == 0 && self.contexts.rest & KEY_REAL_MODE == 0 {
            self.contexts.rest |= KEY_REAL_MODE;
            self.mailbox().set_in_real_mode(true);
        }
    }

    /// Called before the context changes: from now on others wait for this vCPU again. What they posted before it finds
    /// when it polls, which it does before it executes an instruction in the new context.
    #[inline]
    fn leave_real_mode(&mut self) {
        if self.contexts.rest & KEY_REAL_MODE != 0 {
            self.contexts.rest &= !KEY_REAL_MODE;
            self.mailbox().set_in_real_mode(false);
        }
    }

    /// Makes the context of `key` the current one.
    fn enter_context(&mut self, key: u64) {
        let known = &mut self.contexts.known[slot(key)];
        if known.key != key {
            *known = Known { key, derived: Derived::of(key, &self.tlb) };
        }
        let d = &known.derived;
        self.data_context = d.data_context;
        self.data_entries = d.data_entries;
        self.fetch_context = d.fetch_context;
        self.mode = d.mode;
        self.translated.jump_key = d.jump_key;
        self.contexts.current = key;
    }

    /// Whether DAWR `n` is armed for any access.
    pub(crate) fn dawr_armed(&self, n: usize) -> bool {
        self.state.spr.dawrx[n] & (dawrx::DR | dawrx::DW) != 0
    }

    /// Sets a watchpoint. Pages that it touches are kept out of the TLB, so that every access to them
    /// is compared.
    pub fn set_dawr(&mut self, n: usize, dawr: u64, dawrx: u64) {
        let was_armed = self.dawr_armed(n);
        self.state.spr.dawr[n] = dawr;
        self.state.spr.dawrx[n] = dawrx;
        if was_armed || self.dawr_armed(n) {
            self.invalidate(memory::mail::Invalidation::All);
        }
    }

    /// Sets CIABR.
    pub fn set_ciabr(&mut self, value: u64) {
        self.state.spr.ciabr = value;
        self.refresh_context();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpu::model::MODELS;

    #[test]
    fn keys_have_room_for_every_base_and_models_for_their_msr() {
        assert!((0..=0xFFF / kind::COUNT).all(|n| n & KEY_BASE == n));
        let rest = KEY_BASE << KEY_BASE_SHIFTS[0]
            | KEY_BASE << KEY_BASE_SHIFTS[1]
            | 3 << KEY_AMR_SHIFT
            | KEY_IAMR
            | KEY_TAR
            | KEY_SCV
            | KEY_PREFIX
            | KEY_CIABR
            | KEY_HASH
            | KEY_AMR_WRITTEN
            | KEY_PCR_V2_07
            | KEY_PCR_V3_00
            | KEY_REAL_MODE;
        assert_eq!(rest.count_ones(), 18 + 2 + 10);
        assert!(MODELS.iter().all(|m| m.msr_mask & rest == 0));
    }
}
