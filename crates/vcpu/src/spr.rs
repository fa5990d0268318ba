//! Special purpose registers by number: `mtspr` and `mfspr` (Power ISA 3.0B, Book III, 4.4.4).
//!
//! Privileged access to a number that is not there is a no-op, reported once; from problem state it
//! is a program interrupt: illegal, or privileged for the numbers that name privileged registers.

use crate::{R, Vcpu};
use cpu::bits::{fscr, mmcr0, msr, srr1};
use cpu::spr::*;
use isa::IsaLevel;

/// Bits of MMCR0 that problem state has by [`UMMCR0`].
const UMMCR0_MASK: u64 = mmcr0::FC | mmcr0::PMAE | mmcr0::PMAO;
/// Bits of MMCR2 that problem state has by [`UMMCR2`]: FCnP0 and FCnP1 of six counters, nine bits each (10.4.6).
const UMMCR2_MASK: u64 = {
    let mut mask = 0;
    let mut n = 0;
    while n < 6 {
        mask |= (1 << 62 | 1 << 60) >> (9 * n);
        n += 1;
    }
    mask
};
/// Bits of FSCR that a partition may set, by level.
const FSCR_V2_07: u64 = fscr::TAR | fscr::EBB | fscr::DSCR;
/// Numbers kept free for registers to come: in either state nothing happens (Power ISA 3.1B, Book III, 5.4.4).
const RESERVED_NO_OPS: std::ops::RangeInclusive<u32> = 808..=811;
/// PSSCR bits that privileged non-hypervisor state may write.
const PSSCR_PRIV_MASK: u64 = 0x03FF;
/// BESCR bits in the high word that BESCRS/BESCRR reach through their upper forms.
const UPPER_SHIFT: u32 = 32;
/// PPR\[PRI\].
pub const PPR_PRI: u64 = 0x001C_0000_0000_0000;

impl Vcpu {
    fn problem(&self) -> bool {
        self.state.msr & msr::PR != 0
    }

    fn undefined_spr<T: Default>(&mut self, n: u32, write: bool) -> R<T> {
        if RESERVED_NO_OPS.contains(&n) {
            return Ok(T::default());
        }
        if self.problem() {
            return self.raise_program(if is_privileged(n) { srr1::PROGRAM_PRIVILEGED } else { srr1::PROGRAM_ILLEGAL });
        }
        // SPR 0 both ways and 4, 5, 6 on reads are reserved even for privileged state.
        if n == 0 || (!write && matches!(n, 4..=6)) {
            return self.raise_program(srr1::PROGRAM_ILLEGAL);
        }
        self.observer.unimplemented_spr(n, write, self.cia);
        Ok(T::default())
    }

    fn need(&mut self, bit: u64, ic: u64) -> R {
        if self.problem() && self.state.spr.fscr & bit == 0 {
            return self.raise_facility(ic);
        }
        Ok(())
    }

    /// Problem state's right to the performance monitor: MMCR0\[PMCC\] 0b00 lets it read, 0b01 not at
    /// all, the others read and write.
    fn need_pmu(&mut self, write: bool) -> R {
        if self.problem() {
            match self.state.spr.mmcr[0] >> mmcr0::PMCC_SHIFT & 3 {
                1 => return self.raise_facility(fscr::ic::PM),
                0 if write => return self.raise_program(srr1::PROGRAM_ILLEGAL),
                _ => {}
            }
        }
        Ok(())
    }

    /// `mfspr`. `cia` and `ahead` are settled. 0 for a number that is not there, where reading it is a no-op.
    ///
    /// # Errors
    /// Program or facility unavailable interrupt.
    pub fn read_spr(&mut self, n: u32) -> R<u64> {
        self.read_spr_or(n, 0)
    }

    /// [`Vcpu::read_spr`], but `kept` (what the target register holds) for a number that is not there.
    ///
    /// # Errors
    /// Program or facility unavailable interrupt.
    pub fn read_spr_or(&mut self, n: u32, kept: u64) -> R<u64> {
        if self.problem() && is_privileged(n) {
            return self.raise_program(srr1::PROGRAM_PRIVILEGED);
        }
        let v30 = self.level() >= IsaLevel::V3_0;
        let v31 = self.level() >= IsaLevel::V3_1;
        let s = &self.state;
        let r = &s.spr;
        Ok(match n {
            XER => s.xer(),
            LR => s.lr,
            CTR => s.ctr,
            UDSCR => {
                self.need(fscr::DSCR, fscr::ic::DSCR)?;
                self.state.spr.dscr
            }
            DSCR => r.dscr,
            UAMR | AMR => r.amr,
            IAMR => r.iamr,
            UAMOR => r.uamor,
            DSISR => u64::from(r.dsisr),
            DAR => r.dar,
            DEC => self.decrementer() as u64,
            SRR0 => r.srr0,
            SRR1 => r.srr1,
            CFAR => self.cfar(),
            PIDR => u64::from(r.pid),
            TFHAR..=TEXASRU => return self.raise_facility(fscr::ic::TM),
            // 152 is for writing alone (5.4.4).
            UCTRL => u64::from(r.ctrl),
            TIDR if v30 && !v31 => u64::from(r.tidr),
            FSCR => r.fscr,
            PSPB => u64::from(r.pspb),
            DPDES => self.dpdes(),
            VRSAVE => u64::from(r.vrsave),
            USPRG3 | SPRG3 => r.sprg[3],
            TB => self.time_base(),
            TBU => self.time_base() >> 32,
            SPRG0 | SPRG1 | SPRG2 => r.sprg[(n - SPRG0) as usize],
            PVR => u64::from(self.model.pvr),
            VTB => self.time_base(),
            // Written by the hypervisor alone, who does not let it count.
            IC => 0,
            PURR | SPURR => self.purr(),
            TIR => self.tir(),
            HASHKEYR if v31 => r.hashkeyr,
            UDEXCR | DEXCR if v31 => r.dexcr,
            TAR => {
                self.need(fscr::TAR, fscr::ic::TAR)?;
                self.state.spr.tar
            }
            BESCRS..=BESCR => {
                self.need(fscr::EBB, fscr::ic::EBB)?;
                let r = &self.state.spr;
                match n {
                    EBBHR => r.ebbhr,
                    EBBRR => r.ebbrr,
                    BESCRSU | BESCRRU => r.bescr >> UPPER_SHIFT,
                    _ => r.bescr,
                }
            }
            PSSCR_PRIV if v30 => r.psscr,
            PPR => r.ppr,
            PPR32 => r.ppr >> UPPER_SHIFT,
            PIR => u64::from(s.pir),
            TRIG0..=TRIG2 => 0,
            736..=738 | 752..=754 | 768..=782 | 784..=798 => {
                self.need_pmu(false)?;
                match self.pmu_register(n) {
                    Some(v) => v & self.pmu_mask(n),
                    None => return self.undefined_spr(n, false).map(|()| kept),
                }
            }
            _ => return self.undefined_spr(n, false).map(|()| kept),
        })
    }

    /// Bits of a performance monitor register that the present state has by this number.
    fn pmu_mask(&self, n: u32) -> u64 {
        match n {
            UMMCR0 if self.problem() => UMMCR0_MASK,
            UMMCR2 if self.problem() => UMMCR2_MASK,
            _ => u64::MAX,
        }
    }

    /// The value of a performance monitor register, problem-state and privileged numbers alike.
    fn pmu_register(&self, n: u32) -> Option<u64> {
        let r = &self.state.spr;
        let v31 = self.level() >= IsaLevel::V3_1;
        Some(match n {
            USIER2 | SIER2 if v31 => r.sier[1],
            USIER3 | SIER3 if v31 => r.sier[2],
            UMMCR3 | MMCR3 if v31 => r.mmcr[3],
            USIER | SIER => r.sier[0],
            UMMCR2 | MMCR2 => r.mmcr[2],
            UMMCRA | MMCRA => r.mmcra,
            UPMC1..=UPMC6 => u64::from(r.pmc[(n - UPMC1) as usize]),
            PMC1..=PMC6 => u64::from(r.pmc[(n - PMC1) as usize]),
            UMMCR0 | MMCR0 => r.mmcr[0],
            UMMCR1 | MMCR1 => r.mmcr[1],
            USIAR | SIAR => r.siar,
            USDAR | SDAR => r.sdar,
            _ => return None,
        })
    }

    /// `mtspr`. `cia` and `ahead` are settled.
    ///
    /// # Errors
    /// Program or facility unavailable interrupt; nothing was written.
    pub fn write_spr(&mut self, n: u32, value: u64) -> R {
        if self.problem() && is_privileged(n) {
            return self.raise_program(srr1::PROGRAM_PRIVILEGED);
        }
        let v30 = self.level() >= IsaLevel::V3_0;
        let v31 = self.level() >= IsaLevel::V3_1;
        let word = value as u32;
        match n {
            XER => self.state.set_xer(value),
            LR => self.state.lr = value,
            CTR => self.state.ctr = value,
            UDSCR => {
                self.need(fscr::DSCR, fscr::ic::DSCR)?;
                self.state.spr.dscr = value;
            }
            DSCR => self.state.spr.dscr = value,
            UAMR | AMR => {
                // Problem state reaches the bits that UAMOR lets it; by either number privileged state reaches all.
                let mask = if self.problem() { self.state.spr.uamor } else { u64::MAX };
                self.state.spr.amr = self.state.spr.amr & !mask | value & mask;
                self.keys_changed();
            }
            IAMR => {
                self.state.spr.iamr = value & 0x5555_5555_5555_5555;
                self.keys_changed();
            }
            UAMOR => self.state.spr.uamor = value,
            DSISR => self.state.spr.dsisr = word,
            DAR => self.state.spr.dar = value,
            DEC => self.set_decrementer(value),
            SRR0 => self.state.spr.srr0 = value,
            SRR1 => self.state.spr.srr1 = value,
            CFAR => self.state.cfar = value,
            PIDR => self.set_pid(word),
            TFHAR..=TEXASRU => return self.raise_facility(fscr::ic::TM),
            CTRL => self.state.spr.ctrl = word & 1 | self.state.spr.ctrl & !1,
            TIDR if v30 && !v31 => self.state.spr.tidr = word & 0xFFFF,
            FSCR => {
                let mut mask = FSCR_V2_07 | 0xFF << fscr::IC_SHIFT;
                if v30 {
                    mask |= fscr::SCV;
                }
                if v31 {
                    mask |= fscr::PREFIX;
                }
                self.state.spr.fscr = value & mask;
                self.refresh_context();
            }
            PSPB => self.state.spr.pspb = word,
            VRSAVE => self.state.spr.vrsave = word,
            SPRG0..=SPRG3 => self.state.spr.sprg[(n - SPRG0) as usize] = value,
            HASHKEYR if v31 => self.state.spr.hashkeyr = value,
            DEXCR if v31 => self.state.spr.dexcr = value,
            TAR => {
                self.need(fscr::TAR, fscr::ic::TAR)?;
                self.state.spr.tar = value;
            }
            BESCRS..=BESCR => {
                self.need(fscr::EBB, fscr::ic::EBB)?;
                let r = &mut self.state.spr;
                match n {
                    EBBHR => r.ebbhr = value,
                    EBBRR => r.ebbrr = value,
                    BESCRS => r.bescr |= value,
                    BESCRSU => r.bescr |= value << UPPER_SHIFT,
                    BESCRR => r.bescr &= !value,
                    BESCRRU => r.bescr &= !(value << UPPER_SHIFT),
                    _ => r.bescr = value,
                }
            }
            PSSCR_PRIV if v30 => {
                self.state.spr.psscr = self.state.spr.psscr & !PSSCR_PRIV_MASK | value & PSSCR_PRIV_MASK;
            }
            PPR => self.state.spr.ppr = value & PPR_PRI,
            PPR32 => self.state.spr.ppr = value << UPPER_SHIFT & PPR_PRI,
            // Triggers for trace hardware: written on each kernel exit, and nothing happens.
            TRIG0..=TRIG2 => {}
            736..=738 | 752..=754 | 768..=782 | 784..=798 => {
                self.need_pmu(true)?;
                let mask = self.pmu_mask(n);
                let r = &mut self.state.spr;
                match n {
                    SIER2 if v31 => r.sier[1] = value,
                    SIER3 if v31 => r.sier[2] = value,
                    MMCR3 if v31 => r.mmcr[3] = value,
                    SIER => r.sier[0] = value,
                    UMMCR2 | MMCR2 => r.mmcr[2] = r.mmcr[2] & !mask | value & mask,
                    UMMCRA | MMCRA => r.mmcra = value,
                    UPMC1..=UPMC6 => r.pmc[(n - UPMC1) as usize] = word,
                    PMC1..=PMC6 => r.pmc[(n - PMC1) as usize] = word,
                    UMMCR0 | MMCR0 => r.mmcr[0] = (r.mmcr[0] & !mask | value & mask) & 0xFFFF_FFFF,
                    MMCR1 => r.mmcr[1] = value,
                    SIAR => r.siar = value,
                    SDAR => r.sdar = value,
                    _ => return self.undefined_spr(n, true),
                }
            }
            _ => return self.undefined_spr(n, true),
        }
        Ok(())
    }
}
