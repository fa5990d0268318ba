//! Numbers of the special purpose registers, by the manual's names.

macro_rules! sprs {
    ($($name:ident = $n:expr, $doc:literal;)*) => {
        $(#[doc = $doc] pub const $name: u32 = $n;)*
        /// The manual's name of SPR `n`, if this crate knows one.
        pub fn name(n: u32) -> Option<&'static str> {
            match n { $($n => Some(stringify!($name)),)* _ => None }
        }
    };
}

sprs! {
    XER = 1, "Fixed-point exception register.";
    UDSCR = 3, "Data stream control, problem-state access.";
    LR = 8, "Link register.";
    CTR = 9, "Count register.";
    UAMR = 13, "Authority mask, problem-state access.";
    DSCR = 17, "Data stream control.";
    DSISR = 18, "Data storage interrupt status.";
    DAR = 19, "Data address register.";
    DEC = 22, "Decrementer.";
    SRR0 = 26, "Save/restore register 0.";
    SRR1 = 27, "Save/restore register 1.";
    CFAR = 28, "Come-from address.";
    AMR = 29, "Authority mask.";
    PIDR = 48, "Process id.";
    IAMR = 61, "Instruction authority mask.";
    TFHAR = 128, "Transaction failure handler address.";
    TFIAR = 129, "Transaction failure instruction address.";
    TEXASR = 130, "Transaction exception and summary.";
    TEXASRU = 131, "Upper half of TEXASR.";
    UCTRL = 136, "CTRL, problem-state read.";
    TIDR = 144, "Thread id (POWER9).";
    CTRL = 152, "Control register.";
    FSCR = 153, "Facility status and control.";
    UAMOR = 157, "User authority mask override.";
    PSPB = 159, "Problem-state priority boost.";
    DPDES = 176, "Directed privileged doorbell exception state (written by the hypervisor only).";
    DAWR0 = 180, "Data address watchpoint 0 (hypervisor).";
    CIABR = 187, "Completed instruction address breakpoint (hypervisor).";
    VRSAVE = 256, "VMX save.";
    USPRG3 = 259, "SPRG3, problem-state read.";
    TB = 268, "Time base.";
    TBU = 269, "Upper half of the time base.";
    SPRG0 = 272, "Software-use register 0.";
    SPRG1 = 273, "Software-use register 1.";
    SPRG2 = 274, "Software-use register 2.";
    SPRG3 = 275, "Software-use register 3.";
    TBL_WRITE = 284, "Write the lower half of the time base (hypervisor).";
    TBU_WRITE = 285, "Write the upper half of the time base (hypervisor).";
    PVR = 287, "Processor version.";
    PURR = 309, "Processor utilization.";
    SPURR = 308, "Scaled processor utilization.";
    LPCR = 318, "Logical partitioning control (hypervisor).";
    LPIDR = 319, "Logical partition id (hypervisor).";
    TIR = 446, "Thread identification.";
    HASHKEYR = 468, "Key of hashst and hashchk (ISA 3.1).";
    HASHPKEYR = 469, "Key of hashstp and hashchkp (ISA 3.1).";
    PTCR = 464, "Partition table control (hypervisor).";
    USIER2 = 736, "Sampled instruction event register 2, problem-state read.";
    USIER3 = 737, "Sampled instruction event register 3, problem-state read.";
    UMMCR3 = 738, "Monitor mode control 3, problem-state read.";
    SIER2 = 752, "Sampled instruction event register 2.";
    SIER3 = 753, "Sampled instruction event register 3.";
    MMCR3 = 754, "Monitor mode control 3.";
    USIER = 768, "Sampled instruction event register, problem-state read.";
    UMMCR2 = 769, "Monitor mode control 2, problem state.";
    UMMCRA = 770, "Monitor mode control A, problem state.";
    UPMC1 = 771, "Performance counter 1, problem state.";
    UPMC6 = 776, "Performance counter 6, problem state.";
    UMMCR0 = 779, "Monitor mode control 0, problem state.";
    USIAR = 780, "Sampled instruction address, problem-state read.";
    USDAR = 781, "Sampled data address, problem-state read.";
    UMMCR1 = 782, "Monitor mode control 1, problem-state read.";
    SIER = 784, "Sampled instruction event register.";
    MMCR2 = 785, "Monitor mode control 2.";
    MMCRA = 786, "Monitor mode control A.";
    PMC1 = 787, "Performance counter 1.";
    PMC6 = 792, "Performance counter 6.";
    MMCR0 = 795, "Monitor mode control 0.";
    SIAR = 796, "Sampled instruction address.";
    SDAR = 797, "Sampled data address.";
    MMCR1 = 798, "Monitor mode control 1.";
    BESCRS = 800, "Branch event status and control, set.";
    BESCRSU = 801, "Branch event status and control, set upper.";
    BESCRR = 802, "Branch event status and control, reset.";
    BESCRRU = 803, "Branch event status and control, reset upper.";
    EBBHR = 804, "Event-based branch handler.";
    EBBRR = 805, "Event-based branch return.";
    BESCR = 806, "Branch event status and control.";
    UDEXCR = 812, "Dynamic execution control, problem-state read (ISA 3.1).";
    DEXCR = 828, "Dynamic execution control (ISA 3.1).";
    PSSCR_PRIV = 823, "Processor stop status and control, privileged non-hypervisor access.";
    TAR = 815, "Target address register.";
    ASDR = 816, "Access segment descriptor (hypervisor).";
    PSSCR = 855, "Processor stop status and control (hypervisor).";
    IC = 848, "Instruction counter.";
    VTB = 849, "Virtual time base.";
    TRIG0 = 880, "Trigger 0.";
    TRIG1 = 881, "Trigger 1.";
    TRIG2 = 882, "Trigger 2.";
    PPR = 896, "Program priority.";
    PPR32 = 898, "Upper half of the program priority, 32-bit access.";
    PIR = 1023, "Processor id.";
}

/// Whether the number names a register that only privileged state may touch
/// (Power ISA 3.1B, Book III, 5.4.4: the high bit of the low half, `spr[0]`).
pub const fn is_privileged(n: u32) -> bool {
    n & 0x10 != 0
}
