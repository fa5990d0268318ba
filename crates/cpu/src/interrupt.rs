//! Interrupt delivery: which registers an interrupt writes, and where the handler stands.
//!
//! [`deliver`] is the only statement of it. The interpreter calls it; stubs that compute the same in
//! generated code are held against it by a test. AIL rules: Power ISA 3.1B, Book III, 2.2 (LPCR) and
//! 7.5; new MSR: 7.5, figure 66.

use crate::bits::{lpcr, msr, srr1};
use crate::model::CpuModel;
use isa::IsaLevel;

/// Kinds of interrupt, by their vector at AIL 0. `Scv` stands for the 128 system call vectored
/// levels from 0x17000 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[allow(missing_docs)] // the names are the manual's
pub enum Vector {
    SystemReset = 0x100,
    MachineCheck = 0x200,
    DataStorage = 0x300,
    DataSegment = 0x380,
    InstructionStorage = 0x400,
    InstructionSegment = 0x480,
    External = 0x500,
    Alignment = 0x600,
    Program = 0x700,
    FpUnavailable = 0x800,
    Decrementer = 0x900,
    DirectedPrivilegedDoorbell = 0xA00,
    SystemCall = 0xC00,
    Trace = 0xD00,
    PerformanceMonitor = 0xF00,
    VectorUnavailable = 0xF20,
    VsxUnavailable = 0xF40,
    FacilityUnavailable = 0xF60,
    SystemCallVectored = 0x3000,
    HypervisorDecrementer = 0x980,
    HypervisorDataStorage = 0xE00,
    HypervisorInstructionStorage = 0xE20,
    HypervisorEmulationAssist = 0xE40,
    HypervisorMaintenance = 0xE60,
    DirectedHypervisorDoorbell = 0xE80,
    HypervisorVirtualization = 0xEA0,
    HypervisorFacilityUnavailable = 0xF80,
}

impl Vector {
    /// Every kind that a partition's vCPU takes, in order of its address.
    pub const ALL: [Vector; 19] = [
        Vector::SystemReset,
        Vector::MachineCheck,
        Vector::DataStorage,
        Vector::DataSegment,
        Vector::InstructionStorage,
        Vector::InstructionSegment,
        Vector::External,
        Vector::Alignment,
        Vector::Program,
        Vector::FpUnavailable,
        Vector::Decrementer,
        Vector::DirectedPrivilegedDoorbell,
        Vector::SystemCall,
        Vector::Trace,
        Vector::PerformanceMonitor,
        Vector::VectorUnavailable,
        Vector::VsxUnavailable,
        Vector::FacilityUnavailable,
        Vector::SystemCallVectored,
    ];

    /// The kinds that set MSR\[HV\] and save in HSRR0 and HSRR1: a partition never takes one.
    pub const HYPERVISOR: [Vector; 8] = [
        Vector::HypervisorDecrementer,
        Vector::HypervisorDataStorage,
        Vector::HypervisorInstructionStorage,
        Vector::HypervisorEmulationAssist,
        Vector::HypervisorMaintenance,
        Vector::DirectedHypervisorDoorbell,
        Vector::HypervisorVirtualization,
        Vector::HypervisorFacilityUnavailable,
    ];

    /// Name as the manual writes it, in lower case with hyphens: what `-d int` prints.
    pub fn name(self) -> &'static str {
        match self {
            Vector::SystemReset => "system-reset",
            Vector::MachineCheck => "machine-check",
            Vector::DataStorage => "data-storage",
            Vector::DataSegment => "data-segment",
            Vector::InstructionStorage => "instruction-storage",
            Vector::InstructionSegment => "instruction-segment",
            Vector::External => "external",
            Vector::Alignment => "alignment",
            Vector::Program => "program",
            Vector::FpUnavailable => "fp-unavailable",
            Vector::Decrementer => "decrementer",
            Vector::DirectedPrivilegedDoorbell => "directed-privileged-doorbell",
            Vector::SystemCall => "sc",
            Vector::Trace => "trace",
            Vector::PerformanceMonitor => "performance-monitor",
            Vector::VectorUnavailable => "vector-unavailable",
            Vector::VsxUnavailable => "vsx-unavailable",
            Vector::FacilityUnavailable => "facility-unavailable",
            Vector::SystemCallVectored => "scv",
            Vector::HypervisorDecrementer => "hypervisor-decrementer",
            Vector::HypervisorDataStorage => "hypervisor-data-storage",
            Vector::HypervisorInstructionStorage => "hypervisor-instruction-storage",
            Vector::HypervisorEmulationAssist => "hypervisor-emulation-assist",
            Vector::HypervisorMaintenance => "hypervisor-maintenance",
            Vector::DirectedHypervisorDoorbell => "directed-hypervisor-doorbell",
            Vector::HypervisorVirtualization => "hypervisor-virtualization",
            Vector::HypervisorFacilityUnavailable => "hypervisor-facility-unavailable",
        }
    }

    /// System reset, machine check and hypervisor maintenance are never relocated.
    const fn takes_ail(self) -> bool {
        !matches!(self, Vector::SystemReset | Vector::MachineCheck | Vector::HypervisorMaintenance)
    }

    /// Whether the interrupt goes to the hypervisor: sets MSR\[HV\], saves in HSRR0 and HSRR1.
    pub const fn is_hypervisor(self) -> bool {
        matches!(
            self,
            Vector::HypervisorDecrementer
                | Vector::HypervisorDataStorage
                | Vector::HypervisorInstructionStorage
                | Vector::HypervisorEmulationAssist
                | Vector::HypervisorMaintenance
                | Vector::DirectedHypervisorDoorbell
                | Vector::HypervisorVirtualization
                | Vector::HypervisorFacilityUnavailable
        )
    }
}

/// Effective address translation mode of one interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ail {
    /// Translation off, vectors at their real addresses.
    Zero = 0,
    /// Translation on, vectors at +0x18000.
    Two = 2,
    /// Translation on, vectors at +0xC000_0000_0000_4000.
    Three = 3,
}

/// Offset of the vectors with AIL 2.
pub const AIL2_OFFSET: u64 = 0x1_8000;
/// Offset of the vectors with AIL 3.
pub const AIL3_OFFSET: u64 = 0xC000_0000_0000_4000;
/// First system call vectored handler with AIL 0 and 2.
pub const SCV_BASE: u64 = 0x1_7000;
/// First system call vectored handler with AIL 3.
pub const SCV_BASE_AIL3: u64 = 0xC000_0000_0000_3000;
/// Bytes from the handler of one system call vectored level to the next.
pub const SCV_STRIDE: u64 = 0x20;
/// Bits of a system call vectored level.
pub const SCV_LEVELS: u8 = 0x7F;

/// The AIL that applies to an interrupt taken with MSR\[HV\] = 0, given LPCR and the MSR before the interrupt.
pub fn effective_ail(model: &CpuModel, lpcr: u64, old_msr: u64, vector: Vector) -> Ail {
    if !vector.takes_ail() {
        return Ail::Zero;
    }
    if vector.is_hypervisor() {
        // Since ISA 3.1 LPCR[HAIL] alone decides, whatever translates; before, a hypervisor that translates by radix
        // trees has its partition's mode, one that does not has none.
        if model.level >= IsaLevel::V3_1 {
            return if lpcr & lpcr::HAIL != 0 { Ail::Three } else { Ail::Zero };
        }
        if lpcr & model.lpcr_mask & lpcr::HR == 0 {
            return Ail::Zero;
        }
    }
    let translating = old_msr & (msr::IR | msr::DR) == msr::IR | msr::DR;
    if !translating {
        return Ail::Zero;
    }
    match (lpcr & model.lpcr_mask & lpcr::AIL) >> lpcr::AIL_SHIFT {
        3 => Ail::Three,
        // Mode 2 went away with ISA 3.1; 1 is reserved everywhere and acts as 0.
        2 if model.level < IsaLevel::V3_1 => Ail::Two,
        _ => Ail::Zero,
    }
}

/// One interrupt about to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupt {
    /// Which one.
    pub vector: Vector,
    /// Address to save: of the instruction that caused it, or of the next one for system calls,
    /// trace and asynchronous interrupts.
    pub return_address: u64,
    /// Cause bits for SRR1 (see [`crate::bits::srr1`]).
    pub srr1: u64,
    /// New DAR, for the kinds that set it.
    pub dar: Option<u64>,
    /// New DSISR, for the kinds that set it.
    pub dsisr: Option<u32>,
    /// New FSCR\[IC\], for facility unavailable.
    pub fscr_ic: Option<u64>,
    /// `scv` level, 0..=127.
    pub level: u8,
}

impl Interrupt {
    /// An interrupt with nothing but a kind and an address.
    pub const fn new(vector: Vector, return_address: u64) -> Self {
        Interrupt { vector, return_address, srr1: 0, dar: None, dsisr: None, fscr_ic: None, level: 0 }
    }
    /// With cause bits for SRR1.
    pub const fn with_srr1(mut self, bits: u64) -> Self {
        self.srr1 = bits;
        self
    }
    /// With DAR.
    pub const fn with_dar(mut self, dar: u64) -> Self {
        self.dar = Some(dar);
        self
    }
    /// With DSISR.
    pub const fn with_dsisr(mut self, dsisr: u32) -> Self {
        self.dsisr = Some(dsisr);
        self
    }
}

/// Where the return address and the old MSR are saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Save {
    /// SRR0 and SRR1.
    Srr {
        /// New SRR0.
        srr0: u64,
        /// New SRR1.
        srr1: u64,
    },
    /// LR and CTR (`scv`); SRR0 and SRR1 stay untouched.
    LrCtr {
        /// New LR.
        lr: u64,
        /// New CTR.
        ctr: u64,
    },
    /// HSRR0 and HSRR1, the hypervisor's: a partition's state has none, and SRR0 and SRR1 stay untouched.
    Hsrr {
        /// New HSRR0.
        hsrr0: u64,
        /// New HSRR1.
        hsrr1: u64,
    },
}

/// Every register that the interrupt writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Address of the handler.
    pub nia: u64,
    /// New MSR.
    pub msr: u64,
    /// Return address and old MSR.
    pub save: Save,
    /// DAR, if written.
    pub dar: Option<u64>,
    /// DSISR, if written.
    pub dsisr: Option<u32>,
    /// FSCR\[IC\], if written.
    pub fscr_ic: Option<u64>,
}

/// MSR of a handler: what stays, what the interrupt sets.
pub fn handler_msr(model: &CpuModel, lpcr: u64, old_msr: u64, vector: Vector, ail: Ail) -> u64 {
    let kept = match vector {
        // scv leaves EE and RI as they were. A machine check comes to a partition from its hypervisor, which leaves ME set: the
        // partition could never set it again (4.3.1).
        Vector::SystemCallVectored => msr::ME | msr::HV | msr::EE | msr::RI,
        _ if vector.is_hypervisor() => msr::ME | msr::RI,
        _ => msr::ME | msr::HV,
    };
    let mut new = old_msr & kept | msr::SF;
    if vector.is_hypervisor() {
        // Its byte order is HID0[HILE], which no model here has: big-endian, as after a reset.
        new |= msr::HV;
    } else if lpcr & model.lpcr_mask & lpcr::ILE != 0 {
        new |= msr::LE;
    }
    if ail != Ail::Zero {
        new |= msr::IR | msr::DR;
    }
    new
}

/// Address of the handler.
pub fn handler_address(vector: Vector, level: u8, ail: Ail) -> u64 {
    if vector == Vector::SystemCallVectored {
        let base = if ail == Ail::Three { SCV_BASE_AIL3 } else { SCV_BASE };
        return base + u64::from(level & SCV_LEVELS) * SCV_STRIDE;
    }
    let offset = match ail {
        Ail::Zero => 0,
        Ail::Two => AIL2_OFFSET,
        Ail::Three => AIL3_OFFSET,
    };
    offset + vector as u64
}

/// What `interrupt` does to a vCPU of `model` with this LPCR and MSR.
pub fn deliver(model: &CpuModel, lpcr: u64, old_msr: u64, interrupt: &Interrupt) -> Delivery {
    let vector = interrupt.vector;
    let ail = effective_ail(model, lpcr, old_msr, vector);
    let (address, saved) = (interrupt.return_address, old_msr & !srr1::CLEARED);
    let save = match vector {
        Vector::SystemCallVectored => Save::LrCtr { lr: address, ctr: saved },
        _ if vector.is_hypervisor() => Save::Hsrr { hsrr0: address, hsrr1: saved | interrupt.srr1 },
        _ => Save::Srr { srr0: address, srr1: saved | interrupt.srr1 },
    };
    Delivery {
        nia: handler_address(vector, interrupt.level, ail),
        msr: handler_msr(model, lpcr, old_msr, vector, ail),
        save,
        dar: interrupt.dar,
        dsisr: interrupt.dsisr,
        fscr_ic: interrupt.fscr_ic,
    }
}

impl Delivery {
    /// Writes the registers of `state`.
    pub fn apply(&self, state: &mut crate::State) {
        state.nia = self.nia;
        state.msr = self.msr;
        match self.save {
            Save::Srr { srr0, srr1 } => (state.spr.srr0, state.spr.srr1) = (srr0, srr1),
            Save::LrCtr { lr, ctr } => (state.lr, state.ctr) = (lr, ctr),
            Save::Hsrr { .. } => {}
        }
        if let Some(dar) = self.dar {
            state.spr.dar = dar;
        }
        if let Some(dsisr) = self.dsisr {
            state.spr.dsisr = dsisr;
        }
        if let Some(ic) = self.fscr_ic {
            let shift = crate::bits::fscr::IC_SHIFT;
            state.spr.fscr = state.spr.fscr & !(0xFF << shift) | ic << shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MODELS, POWER8, POWER9, POWER10};

    const ON: u64 = msr::SF | msr::ME | msr::RI | msr::IR | msr::DR | msr::LE;

    fn lpcr(ail: u64) -> u64 {
        lpcr::ILE | ail << lpcr::AIL_SHIFT
    }

    #[test]
    fn ail_table_of_the_manual() {
        // (model, LPCR[AIL], IR, DR) -> effective mode; Power ISA 3.1B, Book III, 2.2: interrupts that leave MSR[HV] alone.
        for model in MODELS {
            for ail in 0..4 {
                for translation in [0, msr::IR, msr::DR, msr::IR | msr::DR] {
                    let expected = match (model.pvr, ail, translation == msr::IR | msr::DR) {
                        (_, _, false) | (_, 0 | 1, _) => Ail::Zero,
                        (_, 3, true) => Ail::Three,
                        (0x80_1200, 2, true) => Ail::Zero,
                        (_, 2, true) => Ail::Two,
                        _ => unreachable!(),
                    };
                    let got = effective_ail(model, lpcr(ail), translation, Vector::DataStorage);
                    assert_eq!(got, expected, "{} AIL={ail} translation={translation:#x}", model.name);
                }
            }
        }
    }

    #[test]
    fn every_vector_lands_where_the_manual_says() {
        for vector in Vector::ALL {
            for (model, ail, offset) in [(&POWER9, 0, 0), (&POWER8, 2, AIL2_OFFSET), (&POWER10, 3, AIL3_OFFSET)] {
                let d = deliver(model, lpcr(ail), ON, &Interrupt::new(vector, 0x1234));
                let fixed = matches!(vector, Vector::SystemReset | Vector::MachineCheck);
                let expected = match vector {
                    Vector::SystemCallVectored if ail == 3 => 0xC000_0000_0000_3000,
                    Vector::SystemCallVectored => 0x17000,
                    v if fixed => v as u64,
                    v => v as u64 | offset,
                };
                assert_eq!(d.nia, expected, "{vector:?} AIL={ail}");
                let on = d.msr & (msr::IR | msr::DR) != 0;
                assert_eq!(on, ail != 0 && !fixed, "{vector:?} AIL={ail}");
            }
        }
    }

    #[test]
    fn scv_saves_in_lr_and_ctr_and_keeps_ee() {
        let mut state = crate::State { msr: ON | msr::EE | msr::PR, ..Default::default() };
        (state.spr.srr0, state.spr.srr1) = (11, 22);
        let i = Interrupt { level: 127, ..Interrupt::new(Vector::SystemCallVectored, 0x1004) };
        deliver(&POWER9, lpcr(3), state.msr, &i).apply(&mut state);
        assert_eq!(state.nia, 0xC000_0000_0000_3FE0);
        assert_eq!((state.lr, state.ctr), (0x1004, ON | msr::EE | msr::PR));
        assert_eq!((state.spr.srr0, state.spr.srr1), (11, 22));
        assert_eq!(state.msr, ON | msr::EE);
    }

    #[test]
    fn srr1_has_causes_and_no_stale_bits() {
        let i = Interrupt::new(Vector::Program, 0x10).with_srr1(srr1::PROGRAM_TRAP);
        let d = deliver(&POWER9, lpcr(0), ON | msr::FP | 0x783F_0000, &i);
        assert_eq!(d.save, Save::Srr { srr0: 0x10, srr1: ON | msr::FP | srr1::PROGRAM_TRAP });
        assert_eq!(d.msr, msr::SF | msr::ME | msr::LE);
    }

    #[test]
    fn byte_order_follows_ile_not_the_interrupted_program() {
        let d = deliver(&POWER9, 0, ON, &Interrupt::new(Vector::SystemCall, 0));
        assert_eq!(d.msr & msr::LE, 0);
    }

    #[test]
    fn facility_unavailable_sets_the_cause_field_only() {
        let mut state = crate::State { msr: ON, ..Default::default() };
        state.spr.fscr = 0xFF00_0000_0000_1100;
        let i = Interrupt { fscr_ic: Some(12), ..Interrupt::new(Vector::FacilityUnavailable, 0) };
        deliver(&POWER9, 0, ON, &i).apply(&mut state);
        assert_eq!(state.spr.fscr, 0x0C00_0000_0000_1100);
    }
}
