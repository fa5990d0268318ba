//! What follows from MSR, PIDR, AMR and the debug registers: context ids, the mode of decoded code,
//! and which interrupts may come in. One function keeps it all true: [`Vcpu::refresh_context`].

use crate::Vcpu;
use cpu::bits::{dawrx, fscr, msr};
use memory::mail::pending;
use memory::tlb::{REAL, kind, mix};

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
}

impl Vcpu {
    /// Sets MSR, within what the model has, and all that follows from it.
    pub fn set_msr(&mut self, value: u64) {
        self.state.msr = value & self.model.msr_mask;
        self.refresh_context();
    }

    /// Sets PIDR.
    pub fn set_pid(&mut self, pid: u32) {
        self.state.spr.pid = pid;
        self.reload_bases();
    }

    /// Asks the TLB again for the context ids of the current process and of process 0.
    pub fn reload_bases(&mut self) {
        let pid = self.state.spr.pid;
        let (zero, _) = self.tlb.base(0);
        let (own, restarted) = self.tlb.base(pid);
        // Ids that started over while asking for the second invalidate the first.
        let zero = if restarted { self.tlb.base(0).0 } else { zero };
        self.bases = [own, zero];
        self.refresh_context();
    }

    /// Brings everything in line with MSR, FSCR, AMR, IAMR and the debug registers.
    pub fn refresh_context(&mut self) {
        let s = &self.state;
        let msr = s.msr;
        let problem = msr & msr::PR != 0;
        let user_quadrant = |privileged_kind: u64| if problem { kind::USER } else { privileged_kind };
        self.data_context = if msr & msr::DR == 0 {
            [REAL; 2]
        } else {
            // AMR bits 0:1; quadrant 3 as with AMR = 0 (see memory::tlb).
            let key = s.spr.amr >> 62;
            [self.bases[0] + user_quadrant(kind::PRIVILEGED + key), self.bases[1] + user_quadrant(kind::PRIVILEGED)]
        };
        self.data_mix = self.data_context.map(mix);
        self.fetch_context = if msr & msr::IR == 0 {
            [REAL; 2]
        } else {
            let key = s.spr.iamr >> 62 & 1;
            [
                self.bases[0] + user_quadrant(kind::PRIVILEGED_FETCH + key),
                self.bases[1] + user_quadrant(kind::PRIVILEGED_FETCH),
            ]
        };
        let bit = |on: bool, m: u32| if on { m } else { 0 };
        let has = |m: u64| msr & m != 0;
        let fscr = |m: u64| s.spr.fscr & m != 0;
        self.mode = bit(has(msr::LE), mode::LE)
            | bit(has(msr::SF), mode::SF)
            | bit(problem, mode::PR)
            | bit(has(msr::IR), mode::IR)
            | bit(has(msr::DR), mode::DR)
            | bit(has(msr::FP), mode::FP)
            | bit(has(msr::VEC), mode::VEC)
            | bit(has(msr::VSX), mode::VSX)
            | bit(has(msr::SE) || s.spr.ciabr & 3 != 0, mode::STEP)
            | bit(has(msr::BE), mode::BRANCH_TRACE)
            | bit(!problem || fscr(fscr::TAR), mode::TAR)
            | bit(fscr(fscr::SCV), mode::SCV)
            | bit(!problem || fscr(fscr::PREFIX), mode::PREFIX);
        self.translated.jump_key = self.fetch_context.map(|c| c << 32 | u64::from(self.mode));
        let gated = if has(msr::EE) { pending::MASKED_BY_EE } else { 0 };
        self.pending_mask = pending::MAIL | pending::SYSTEM_RESET | pending::STOP | gated;
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
