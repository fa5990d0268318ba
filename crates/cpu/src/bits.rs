//! Bit fields of MSR, LPCR, FSCR and the other registers with fields that more than one crate
//! reads. Names are the Power ISA's.

/// Machine State Register (Power ISA 3.1B, Book III, 3.2.1).
pub mod msr {
    /// Sixty-four-bit mode.
    pub const SF: u64 = 1 << 63;
    /// Hypervisor state; never set in a partition.
    pub const HV: u64 = 1 << 60;
    /// VMX available.
    pub const VEC: u64 = 1 << 25;
    /// VSX available.
    pub const VSX: u64 = 1 << 23;
    /// External interrupts (and decrementer, doorbell) enabled.
    pub const EE: u64 = 1 << 15;
    /// Problem state.
    pub const PR: u64 = 1 << 14;
    /// Floating point available.
    pub const FP: u64 = 1 << 13;
    /// Machine check enabled.
    pub const ME: u64 = 1 << 12;
    /// Floating-point exception mode, high bit.
    pub const FE0: u64 = 1 << 11;
    /// Trace each instruction.
    pub const SE: u64 = 1 << 10;
    /// Trace each branch.
    pub const BE: u64 = 1 << 9;
    /// Floating-point exception mode, low bit.
    pub const FE1: u64 = 1 << 8;
    /// Instruction address translation.
    pub const IR: u64 = 1 << 5;
    /// Data address translation.
    pub const DR: u64 = 1 << 4;
    /// Performance monitor mark.
    pub const PMM: u64 = 1 << 2;
    /// Recoverable interrupt.
    pub const RI: u64 = 1 << 1;
    /// Little-endian.
    pub const LE: u64 = 1 << 0;
    /// Trace enable field.
    pub const TE: u64 = SE | BE;
    /// All bits that a partition's MSR can hold on the modelled CPUs (no TM).
    pub const PARTITION: u64 = SF | VEC | VSX | EE | PR | FP | ME | FE0 | SE | BE | FE1 | IR | DR | PMM | RI | LE;
}

/// Logical Partitioning Control Register (Power ISA 3.1B, Book III, 2.2).
pub mod lpcr {
    /// Host AIL (ISA 3.1): interrupts to the hypervisor as with AIL 3.
    pub const HAIL: u64 = 0x0400_0000;
    /// Byte order of interrupts taken by the partition: 1 is little-endian.
    pub const ILE: u64 = 0x0200_0000;
    /// Address Translation Mode on Interrupt, two bits.
    pub const AIL: u64 = 0x0180_0000;
    /// Position of [`AIL`].
    pub const AIL_SHIFT: u32 = 23;
    /// Use the process table.
    pub const UPRT: u64 = 0x0040_0000;
    /// Enhanced virtualization.
    pub const EVIRT: u64 = 0x0020_0000;
    /// Host and partition are radix.
    pub const HR: u64 = 0x0010_0000;
    /// Online.
    pub const ONL: u64 = 0x0004_0000;
    /// Large decrementer.
    pub const LD: u64 = 0x0002_0000;
    /// Power-save exit causes.
    pub const PECE: u64 = 0x0001_F000;
    /// Mediated external request.
    pub const MER: u64 = 0x0000_0800;
    /// The guest may run `tlbie` itself.
    pub const GTSE: u64 = 0x0000_0400;
    /// Hypervisor external interrupts controlled by the hypervisor alone.
    pub const HEIC: u64 = 0x10;
    /// External interrupts go to the partition with SRR0/1.
    pub const LPES0: u64 = 0x8;
    /// Logical partition environment selector, bit 1 (before ISA 2.07).
    pub const LPES1: u64 = 0x4;
    /// Hypervisor virtualization interrupts enabled.
    pub const HVICE: u64 = 0x2;
    /// Hypervisor decrementer interrupts enabled.
    pub const HDICE: u64 = 0x1;
}

/// Facility Status and Control Register (Power ISA 3.1B, Book III, 7.2.11).
pub mod fscr {
    /// Target Address Register available to problem state.
    pub const TAR: u64 = 1 << 8;
    /// Event-based branches.
    pub const EBB: u64 = 1 << 7;
    /// Data stream control register at problem state.
    pub const DSCR: u64 = 1 << 2;
    /// `scv`.
    pub const SCV: u64 = 1 << 12;
    /// Prefixed instructions.
    pub const PREFIX: u64 = 1 << 13;
    /// Position of the interrupt cause field (top byte).
    pub const IC_SHIFT: u32 = 56;

    /// Values of the interrupt cause field.
    pub mod ic {
        /// Floating point.
        pub const FP: u64 = 0;
        /// VMX or VSX.
        pub const VEC: u64 = 1;
        /// DSCR.
        pub const DSCR: u64 = 2;
        /// Performance monitor.
        pub const PM: u64 = 3;
        /// Branch history.
        pub const BHRB: u64 = 4;
        /// Transactional memory.
        pub const TM: u64 = 5;
        /// Event-based branch.
        pub const EBB: u64 = 7;
        /// Target address register.
        pub const TAR: u64 = 8;
        /// `stop`.
        pub const STOP: u64 = 9;
        /// `msgsndp` and its register.
        pub const MSGP: u64 = 10;
        /// `scv`.
        pub const SCV: u64 = 12;
        /// Prefixed instructions.
        pub const PREFIX: u64 = 13;
    }
}

/// MMCR0 (Power ISA 3.1B, Book III, 10.4.4).
pub mod mmcr0 {
    /// Counters are frozen; so it begins.
    pub const FC: u64 = 1 << 31;
    /// Performance monitor alerts are enabled.
    pub const PMAE: u64 = 1 << 26;
    /// A performance monitor alert has occurred.
    pub const PMAO: u64 = 1 << 7;
    /// Position of PMCC: what problem state may do with the performance monitor.
    pub const PMCC_SHIFT: u32 = 18;
}

/// Bits set in SRR1 by an interrupt, beside the old MSR (Power ISA 3.1B, Book III, 7.5).
pub mod srr1 {
    /// Instruction storage: no translation.
    pub const ISI_NO_TRANSLATION: u64 = 0x4000_0000;
    /// Instruction storage: not executable, or guarded.
    pub const ISI_NO_EXECUTE: u64 = 0x1000_0000;
    /// Instruction storage: protection.
    pub const ISI_PROTECTION: u64 = 0x0800_0000;
    /// Instruction storage: virtual page class key (hash).
    pub const ISI_KEY: u64 = 0x0020_0000;
    /// Instruction storage: the process table or radix tree is badly configured.
    pub const ISI_BAD_CONFIG: u64 = 0x0008_0000;
    /// Instruction storage: reference bit could not be set.
    pub const ISI_RC_FAILED: u64 = 0x0004_0000;
    /// Program: floating-point enabled exception.
    pub const PROGRAM_FP: u64 = 0x0010_0000;
    /// Program: illegal instruction.
    pub const PROGRAM_ILLEGAL: u64 = 0x0008_0000;
    /// Program: privileged instruction.
    pub const PROGRAM_PRIVILEGED: u64 = 0x0004_0000;
    /// Program: trap.
    pub const PROGRAM_TRAP: u64 = 0x0002_0000;
    /// Program: SRR0 is behind the instruction that caused it.
    pub const PROGRAM_BEHIND: u64 = 0x0001_0000;
    /// Trace: an instruction completed (always set on these CPUs).
    pub const TRACE: u64 = 0x4000_0000;
    /// Trace: the instruction was a load.
    pub const TRACE_LOAD: u64 = 0x1000_0000;
    /// Trace: the instruction was a store.
    pub const TRACE_STORE: u64 = 0x0800_0000;
    /// Trace: CIABR matched.
    pub const TRACE_CIABR: u64 = 0x0010_0000;
    /// The interrupt was caused by a prefixed instruction (ISA 3.1).
    pub const PREFIXED: u64 = 0x2000_0000;
    /// Machine check: SRR1 cause of an access to an address that no RAM or device answers (load or store).
    pub const MC_LOAD_STORE: u64 = 0x0020_0000;
    /// Machine check: nothing answers where instructions are fetched from, as a POWER9 reports it.
    pub const MC_FETCH: u64 = 0x0808_0000;
    /// Bits of the old MSR that are cleared before causes are ORed in.
    pub const CLEARED: u64 = 0x783F_0000;
}

/// Data Storage Interrupt Status Register.
pub mod dsisr {
    /// No translation.
    pub const NO_TRANSLATION: u32 = 0x4000_0000;
    /// Protection.
    pub const PROTECTION: u32 = 0x0800_0000;
    /// `larx`, `stcx.` and the like of storage that is not cached.
    pub const NOT_CACHED: u32 = 0x0400_0000;
    /// The access was a store.
    pub const STORE: u32 = 0x0200_0000;
    /// A data address watchpoint matched.
    pub const WATCHPOINT: u32 = 0x0040_0000;
    /// Virtual page class key (hash).
    pub const KEY: u32 = 0x0020_0000;
    /// The process table or radix tree is badly configured.
    pub const BAD_CONFIG: u32 = 0x0008_0000;
    /// Reference or change bit could not be set.
    pub const RC_FAILED: u32 = 0x0004_0000;
    /// The process table entry could not be fetched.
    pub const PROCESS_TABLE: u32 = 0x0002_0000;
    /// `copy`, `paste.`, or an atomic on storage that cannot do it.
    pub const UNSUPPORTED: u32 = 0x0080_0000;
}

/// Fixed-point exception register.
pub mod xer {
    /// Summary overflow.
    pub const SO: u64 = 1 << 31;
    /// Overflow.
    pub const OV: u64 = 1 << 30;
    /// Carry.
    pub const CA: u64 = 1 << 29;
    /// Overflow of the low 32 bits (ISA 3.0).
    pub const OV32: u64 = 1 << 19;
    /// Carry of the low 32 bits (ISA 3.0).
    pub const CA32: u64 = 1 << 18;
    /// Byte count of `lswx` and `stswx`.
    pub const COUNT: u64 = 0x7F;
}

/// Data Address Watchpoint Register Extension.
pub mod dawrx {
    /// Match in problem state.
    pub const PRIV_PROBLEM: u64 = 0x1;
    /// Match in privileged non-hypervisor state.
    pub const PRIV_PRIVILEGED: u64 = 0x2;
    /// Match in hypervisor state (refused by H_SET_MODE).
    pub const PRIV_HYPERVISOR: u64 = 0x4;
    /// Watchpoint translation interrupt: ignore the translation bit.
    pub const WTI: u64 = 0x8;
    /// Translation must be on.
    pub const WT: u64 = 0x10;
    /// Match loads.
    pub const DR: u64 = 0x20;
    /// Match stores.
    pub const DW: u64 = 0x40;
    /// Length in doublewords, minus one: position of the field of six bits.
    pub const MRD_SHIFT: u32 = 10;
}

/// Processor Compatibility Register (Power ISA 3.1, Book III, 2.5): what is not there in problem state.
pub mod pcr {
    /// What came with 3.0.
    pub const V2_07: u64 = 1 << 3;
    /// What came with 3.1.
    pub const V3_00: u64 = 1 << 4;
}
