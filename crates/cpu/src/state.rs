//! The one canonical form of a vCPU's architected state: what interpreter, hypercalls, debugger,
//! snapshot, lockstep and state hash see.
//!
//! `repr(C)`: generated code addresses fields by offset. A VSR is a host-order `u128` whatever
//! MSR\[LE\] says: its most significant bit is the manual's bit 0. Byte order is a matter of loads
//! and stores. FPR n is the upper half of VSR n, VR n is VSR 32+n.

use crate::bits::xer;
use crate::slb::{SLB_ENTRIES, SlbEntry};

/// Special purpose registers that hold a plain value; those with a life of their own (time base,
/// decrementer, CR, XER) are elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
#[allow(missing_docs)] // the field names are the manual's
pub struct Sprs {
    pub srr0: u64,
    pub srr1: u64,
    pub sprg: [u64; 4],
    pub dar: u64,
    pub dsisr: u32,
    pub pid: u32,
    pub amr: u64,
    pub iamr: u64,
    pub uamor: u64,
    pub fscr: u64,
    pub dscr: u64,
    pub tar: u64,
    pub ppr: u64,
    pub ctrl: u32,
    pub vrsave: u32,
    pub pspb: u32,
    pub tidr: u32,
    pub ciabr: u64,
    pub dawr: [u64; 2],
    pub dawrx: [u64; 2],
    pub bescr: u64,
    pub ebbhr: u64,
    pub ebbrr: u64,
    pub mmcr: [u64; 4],
    pub mmcra: u64,
    pub pmc: [u32; 6],
    pub siar: u64,
    pub sdar: u64,
    pub sier: [u64; 3],
    pub psscr: u64,
    pub dexcr: u64,
    pub hashkeyr: u64,
    pub hashpkeyr: u64,
}

/// Architected registers of one vCPU.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct State {
    /// General purpose registers.
    pub gpr: [u64; 32],
    /// Next instruction address. Settled at every exit of an engine.
    pub nia: u64,
    /// Link register.
    pub lr: u64,
    /// Count register.
    pub ctr: u64,
    /// Come-from address register.
    pub cfar: u64,
    /// Machine state register.
    pub msr: u64,
    /// Logical partitioning control register; the partition cannot touch it, the machine does.
    pub lpcr: u64,
    /// Processor compatibility register; the machine's, as LPCR.
    pub pcr: u64,
    /// The eight condition register fields, field 0 first, each LT=8 GT=4 EQ=2 SO=1.
    pub crf: [u8; 8],
    /// XER\[SO\].
    pub so: bool,
    /// XER\[OV\].
    pub ov: bool,
    /// XER\[OV32\].
    pub ov32: bool,
    /// XER\[CA\].
    pub ca: bool,
    /// XER\[CA32\].
    pub ca32: bool,
    /// XER bits 57:63: byte count of the string instructions.
    pub xer_count: u8,
    /// Vector-scalar registers, host order.
    pub vsr: [u128; 64],
    /// Floating-point status and control register.
    pub fpscr: u64,
    /// Vector status and control register.
    pub vscr: u32,
    /// Processor id (PIR): the index of the vCPU.
    pub pir: u32,
    /// The plain special purpose registers.
    pub spr: Sprs,
    /// Segment look-aside buffer.
    pub slb: [SlbEntry; SLB_ENTRIES],
}

impl Default for State {
    fn default() -> Self {
        State {
            gpr: [0; 32],
            nia: 0,
            lr: 0,
            ctr: 0,
            cfar: 0,
            msr: 0,
            lpcr: 0,
            pcr: 0,
            crf: [0; 8],
            so: false,
            ov: false,
            ov32: false,
            ca: false,
            ca32: false,
            xer_count: 0,
            vsr: [0; 64],
            fpscr: 0,
            vscr: 0,
            pir: 0,
            spr: Sprs::default(),
            slb: [SlbEntry::default(); SLB_ENTRIES],
        }
    }
}

impl State {
    /// The condition register as the manual's 32-bit value.
    pub fn cr(&self) -> u32 {
        self.crf.iter().fold(0, |cr, f| cr << 4 | u32::from(*f))
    }

    /// Sets all of the condition register.
    pub fn set_cr(&mut self, cr: u32) {
        for (n, field) in self.crf.iter_mut().enumerate() {
            *field = (cr >> (28 - 4 * n) & 0xF) as u8;
        }
    }

    /// XER as the manual's 64-bit value.
    pub fn xer(&self) -> u64 {
        let bit = |on, mask| if on { mask } else { 0 };
        bit(self.so, xer::SO)
            | bit(self.ov, xer::OV)
            | bit(self.ca, xer::CA)
            | bit(self.ov32, xer::OV32)
            | bit(self.ca32, xer::CA32)
            | u64::from(self.xer_count)
    }

    /// Sets XER; bits that do not exist are dropped.
    pub fn set_xer(&mut self, value: u64) {
        self.so = value & xer::SO != 0;
        self.ov = value & xer::OV != 0;
        self.ca = value & xer::CA != 0;
        self.ov32 = value & xer::OV32 != 0;
        self.ca32 = value & xer::CA32 != 0;
        self.xer_count = (value & xer::COUNT) as u8;
    }

    /// Floating-point register `n`: the upper half of VSR `n`.
    pub fn fpr(&self, n: usize) -> u64 {
        (self.vsr[n] >> 64) as u64
    }

    /// Sets floating-point register `n`; the lower half of the VSR becomes zero, as processors do
    /// (the manual leaves it undefined).
    pub fn set_fpr(&mut self, n: usize, value: u64) {
        self.vsr[n] = u128::from(value) << 64;
    }

    /// Every architected bit in a fixed order and byte order: what a state hash is taken of.
    pub fn for_each_word(&self, mut f: impl FnMut(u64)) {
        self.gpr.iter().for_each(|v| f(*v));
        for v in [self.nia, self.lr, self.ctr, self.cfar, self.msr, self.lpcr, u64::from(self.cr()), self.xer()] {
            f(v);
        }
        for v in self.vsr {
            f((v >> 64) as u64);
            f(v as u64);
        }
        f(self.fpscr);
        f(u64::from(self.vscr) << 32 | u64::from(self.pir));
        f(self.pcr);
        let s = &self.spr;
        let plain = [
            s.srr0,
            s.srr1,
            s.sprg[0],
            s.sprg[1],
            s.sprg[2],
            s.sprg[3],
            s.dar,
            u64::from(s.dsisr),
            u64::from(s.pid),
            s.amr,
            s.iamr,
            s.uamor,
            s.fscr,
            s.dscr,
            s.tar,
            s.ppr,
            u64::from(s.ctrl),
            u64::from(s.vrsave),
            u64::from(s.pspb),
            u64::from(s.tidr),
            s.ciabr,
            s.dawr[0],
            s.dawr[1],
            s.dawrx[0],
            s.dawrx[1],
            s.bescr,
            s.ebbhr,
            s.ebbrr,
            s.mmcr[0],
            s.mmcr[1],
            s.mmcr[2],
            s.mmcr[3],
            s.mmcra,
            s.siar,
            s.sdar,
            s.sier[0],
            s.sier[1],
            s.sier[2],
            s.psscr,
            s.dexcr,
            s.hashkeyr,
            s.hashpkeyr,
        ];
        plain.into_iter().for_each(&mut f);
        s.pmc.iter().for_each(|v| f(u64::from(*v)));
        self.slb.iter().flat_map(|entry| [entry.esid, entry.vsid]).for_each(f);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cr_and_xer_round_trip() {
        let mut s = State::default();
        s.set_cr(0x1234_5678);
        assert_eq!((s.crf[0], s.crf[7], s.cr()), (1, 8, 0x1234_5678));
        s.set_xer(u64::MAX);
        assert_eq!(s.xer(), 0xE00C_007F);
    }

    #[test]
    fn fpr_is_the_upper_half() {
        let mut s = State::default();
        s.vsr[3] = 7;
        s.set_fpr(3, 0x3FF0_0000_0000_0000);
        assert_eq!((s.fpr(3), s.vsr[3]), (0x3FF0_0000_0000_0000, 0x3FF0_0000_0000_0000u128 << 64));
    }
}
