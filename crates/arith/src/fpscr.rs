//! The Floating-Point Status and Control Register, and the one function that updates it after an instruction
//! (Power ISA v3.1, 4.2.2 "Floating-Point Status and Control Register", 4.4 "Floating-Point Exceptions").

use std::ops::{BitOr, BitOrAssign};

/// FPSCR[32] Floating-Point Exception Summary.
pub const FX: u64 = 1 << 31;
/// FPSCR[33] Floating-Point Enabled Exception Summary.
pub const FEX: u64 = 1 << 30;
/// FPSCR[34] Floating-Point Invalid Operation Exception Summary.
pub const VX: u64 = 1 << 29;
/// FPSCR[35] Floating-Point Overflow Exception.
pub const OX: u64 = 1 << 28;
/// FPSCR[36] Floating-Point Underflow Exception.
pub const UX: u64 = 1 << 27;
/// FPSCR[37] Floating-Point Zero Divide Exception.
pub const ZX: u64 = 1 << 26;
/// FPSCR[38] Floating-Point Inexact Exception.
pub const XX: u64 = 1 << 25;
/// FPSCR[39] Invalid Operation Exception (SNaN).
pub const VXSNAN: u64 = 1 << 24;
/// FPSCR[40] Invalid Operation Exception (infinity - infinity).
pub const VXISI: u64 = 1 << 23;
/// FPSCR[41] Invalid Operation Exception (infinity / infinity).
pub const VXIDI: u64 = 1 << 22;
/// FPSCR[42] Invalid Operation Exception (zero / zero).
pub const VXZDZ: u64 = 1 << 21;
/// FPSCR[43] Invalid Operation Exception (infinity x zero).
pub const VXIMZ: u64 = 1 << 20;
/// FPSCR[44] Invalid Operation Exception (invalid compare).
pub const VXVC: u64 = 1 << 19;
/// FPSCR[45] Fraction Rounded.
pub const FR: u64 = 1 << 18;
/// FPSCR[46] Fraction Inexact.
pub const FI: u64 = 1 << 17;
/// FPSCR[47:51] Result Flags: C, then FPCC.
pub const FPRF: u64 = 0x1f << FPRF_SHIFT;
/// Position of the lowest bit of [`FPRF`].
pub const FPRF_SHIFT: u32 = 12;
/// FPSCR[48:51] Condition Code.
pub const FPCC: u64 = 0xf << FPRF_SHIFT;
/// FPSCR[53] Invalid Operation Exception (software request).
pub const VXSOFT: u64 = 1 << 10;
/// FPSCR[54] Invalid Operation Exception (invalid square root).
pub const VXSQRT: u64 = 1 << 9;
/// FPSCR[55] Invalid Operation Exception (invalid integer convert).
pub const VXCVI: u64 = 1 << 8;
/// FPSCR[56] Invalid Operation Exception Enable.
pub const VE: u64 = 1 << 7;
/// FPSCR[57] Overflow Exception Enable.
pub const OE: u64 = 1 << 6;
/// FPSCR[58] Underflow Exception Enable.
pub const UE: u64 = 1 << 5;
/// FPSCR[59] Zero Divide Exception Enable.
pub const ZE: u64 = 1 << 4;
/// FPSCR[60] Inexact Exception Enable.
pub const XE: u64 = 1 << 3;
/// FPSCR[61] Non-IEEE Mode.
pub const NI: u64 = 1 << 2;
/// FPSCR[62:63] Binary Floating-Point Rounding Control.
pub const RN: u64 = 3;
/// FPSCR[29:31] Decimal Rounding Control.
pub const DRN: u64 = 7 << 32;

/// All causes of an Invalid Operation exception.
pub const VX_ALL: u64 = VXSNAN | VXISI | VXIDI | VXZDZ | VXIMZ | VXVC | VXSOFT | VXSQRT | VXCVI;
/// Every exception bit: a change of one of them from 0 to 1 sets FX.
pub const EXCEPTIONS: u64 = OX | UX | ZX | XX | VX_ALL;
/// All enable bits.
pub const ENABLES: u64 = VE | OE | UE | ZE | XE;
/// Every bit that software can read back: the rest is reserved and reads as 0.
pub const IMPLEMENTED: u64 = DRN | 0xffff_ffff & !(1 << 11);

/// What one operation raised: exception bits, FR and FI, at their places in the FPSCR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u64);

impl Flags {
    /// Nothing raised.
    pub const NONE: Flags = Flags(0);

    /// Whether any bit of `mask` is raised.
    pub fn any(self, mask: u64) -> bool {
        self.0 & mask != 0
    }
}

impl BitOr for Flags {
    type Output = Flags;
    fn bitor(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// Which status fields an instruction writes besides the exception bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// FR, FI and FPRF (the five bits C and FPCC): scalar arithmetic.
    Class(u8),
    /// FR and FI; FPRF is left as it is: conversions to an integer, where the ISA leaves FPRF undefined.
    Rounding,
    /// FPCC only: compares.
    Compare(u8),
    /// None: vector forms, and scalar forms which only raise exceptions (minimum, maximum).
    Exceptions,
}

/// What [`fpscr_apply`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The new FPSCR.
    pub fpscr: u64,
    /// Whether the instruction writes its target: not after an enabled Invalid Operation or Zero Divide exception.
    /// (A compare writes its CR field all the same.)
    pub write_target: bool,
    /// Whether the instruction caused an enabled exception: a Program interrupt if MSR[FE0,FE1] is not zero.
    pub exception_enabled: bool,
}

/// Sets the summary bits VX and FEX from the others.
pub fn with_summaries(fpscr: u64) -> u64 {
    let vx = if fpscr & VX_ALL != 0 { VX } else { 0 };
    let fpscr = fpscr & !(VX | FEX) | vx;
    // VX OX UX ZX XX (bits 34:38) line up with VE OE UE ZE XE (bits 56:60).
    let fex = if (fpscr >> 22) & fpscr & ENABLES != 0 { FEX } else { 0 };
    fpscr | fex
}

/// Updates the FPSCR with what an instruction raised: the exception bits, FX, VX, FEX, and what `status` names.
pub fn fpscr_apply(fpscr: u64, flags: Flags, status: Status) -> Applied {
    let raised = flags.0 & EXCEPTIONS;
    let mut new = fpscr | raised;
    if raised & !fpscr != 0 {
        new |= FX;
    }
    let invalid_enabled = flags.any(VX_ALL) && fpscr & VE != 0;
    let zero_divide_enabled = flags.any(ZX) && fpscr & ZE != 0;
    let write_target = !invalid_enabled && !zero_divide_enabled;
    match status {
        Status::Class(fprf) => {
            new = new & !(FR | FI) | flags.0 & (FR | FI);
            if write_target {
                new = new & !FPRF | u64::from(fprf) << FPRF_SHIFT;
            }
        }
        Status::Rounding => new = new & !(FR | FI) | flags.0 & (FR | FI),
        Status::Compare(fpcc) => new = new & !FPCC | u64::from(fpcc) << FPRF_SHIFT,
        Status::Exceptions => {}
    }
    let vx = if flags.any(VX_ALL) { VX } else { 0 };
    let exception_enabled = ((raised | vx) >> 22) & fpscr & ENABLES != 0;
    Applied { fpscr: with_summaries(new), write_target, exception_enabled }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_line_up_with_enables() {
        for (exception, enable) in [(OX, OE), (UX, UE), (ZX, ZE), (XX, XE), (VXSNAN, VE), (VXCVI, VE)] {
            assert_ne!(with_summaries(exception | enable) & FEX, 0);
            assert_eq!(with_summaries(exception | ENABLES & !enable) & FEX, 0);
        }
        assert_ne!(with_summaries(VXSOFT) & VX, 0);
        assert_eq!(with_summaries(VX | FEX), 0);
    }

    #[test]
    fn fx_is_set_by_a_change_only() {
        let first = fpscr_apply(0, Flags(XX | FI), Status::Class(4));
        assert_eq!(first.fpscr, FX | XX | FI | 4 << FPRF_SHIFT);
        let again = fpscr_apply(first.fpscr & !FX, Flags(XX | FI | FR), Status::Class(8));
        assert_eq!(again.fpscr, XX | FI | FR | 8 << FPRF_SHIFT);
        let vector = fpscr_apply(again.fpscr, Flags(OX), Status::Exceptions);
        assert_eq!(vector.fpscr, FX | OX | XX | FI | FR | 8 << FPRF_SHIFT);
    }

    #[test]
    fn enabled_invalid_keeps_target_and_class() {
        let old = VE | FR | FI | 4 << FPRF_SHIFT;
        let applied = fpscr_apply(old, Flags(VXISI), Status::Class(0x11));
        assert_eq!(applied.fpscr, VE | FX | FEX | VX | VXISI | 4 << FPRF_SHIFT);
        assert!(!applied.write_target && applied.exception_enabled);
        // An old exception with its enable does not trap again.
        assert!(!fpscr_apply(applied.fpscr, Flags(XX), Status::Class(4)).exception_enabled);
    }
}
