//! Whether an instruction may run at all, as far as the mode of decoded code decides it: what an engine asks when it
//! decodes, before it runs a row.

use cpu::bits::{fscr, srr1};
use cpu::{Interrupt, Vector};
use isa::{Facility, Insn, IsaLevel, Privilege, Visible};
use vcpu::context::mode;
use vcpu::{R, Stop, Vcpu};

/// Why an instruction does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not an instruction of the level, or the hypervisor's.
    Illegal,
    /// Privileged, in problem state.
    Privileged,
    /// Its semantics are not there yet: illegal, and reported.
    Unimplemented,
    /// A prefix in the last word before a 64-byte boundary (Power ISA 3.1, Book I, 1.6).
    PrefixCrosses,
    /// MSR\[FP\], MSR\[VEC\] or MSR\[VSX\] is off.
    Unavailable(Vector),
    /// A facility of FSCR is off, with its cause.
    Facility(u64),
}

/// The instruction in `raw`, if it may run in `mode` ([`vcpu::context::mode`]) on a processor of `level`.
/// What PCR hides is illegal whatever else is off, since the instruction is not there.
///
/// # Errors
/// Why not.
pub fn admit(raw: u64, prefixed: bool, bits: u32, level: IsaLevel) -> Result<Insn, Refusal> {
    let visible = Visible { processor: level, level: mode::level(bits, level) };
    let insn = isa::decode(raw, visible).ok_or(Refusal::Illegal)?;
    let row = insn.op.row();
    let has = |m| bits & m != 0;
    match row.privilege {
        Privilege::Hyper => return Err(if has(mode::PR) { Refusal::Privileged } else { Refusal::Illegal }),
        Privilege::Privileged if has(mode::PR) => return Err(Refusal::Privileged),
        _ => {}
    }
    if !row.implemented {
        return Err(Refusal::Unimplemented);
    }
    if prefixed && !has(mode::PREFIX) {
        return Err(Refusal::Facility(fscr::ic::PREFIX));
    }
    match insn.facility() {
        Facility::Fp | Facility::Dfp if !has(mode::FP) => Err(Refusal::Unavailable(Vector::FpUnavailable)),
        Facility::Vec if !has(mode::VEC) => Err(Refusal::Unavailable(Vector::VectorUnavailable)),
        Facility::Vsx | Facility::Mma if !has(mode::VSX) => Err(Refusal::Unavailable(Vector::VsxUnavailable)),
        Facility::Tar if !has(mode::TAR) => Err(Refusal::Facility(fscr::ic::TAR)),
        Facility::Scv if !has(mode::SCV) => Err(Refusal::Facility(fscr::ic::SCV)),
        // MSR[TM] cannot be set: no model here has transactional memory.
        Facility::Tm => Err(Refusal::Facility(fscr::ic::TM)),
        _ => Ok(insn),
    }
}

impl Refusal {
    /// Raises the interrupt of a refused instruction. `cia` is settled.
    ///
    /// # Errors
    /// Always [`Stop`].
    pub fn raise(self, v: &mut Vcpu, raw: u64) -> R {
        match self {
            Refusal::Illegal => v.raise_program(srr1::PROGRAM_ILLEGAL),
            Refusal::Privileged => v.raise_program(srr1::PROGRAM_PRIVILEGED),
            Refusal::Unimplemented => {
                let name = isa::decode(raw, v.model.level).map_or("?", |i| i.op.row().name);
                v.observer.clone().unimplemented_instruction(name, raw, v.cia);
                v.raise_program(srr1::PROGRAM_ILLEGAL)
            }
            Refusal::PrefixCrosses => {
                let cause = Interrupt::new(Vector::Alignment, v.cia).with_srr1(srr1::PREFIXED).with_dar(v.cia);
                v.raise(cause)
            }
            Refusal::Unavailable(vector) => v.raise(Interrupt::new(vector, v.cia)),
            Refusal::Facility(cause) => v.raise_facility(cause),
        }
        .map_err(|Stop| Stop)
    }
}
