//! Taking interrupts, and choosing which pending one comes first.

use crate::raised::Raised;
use crate::{Exit, R, Stop, Vcpu};
use cpu::bits::{msr, srr1};
use cpu::interrupt::{deliver, effective_ail, handler_address, handler_msr};
use cpu::{CpuModel, Interrupt, Vector};
use memory::mail::pending;

/// Handler of one interrupt, as LPCR stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Handler {
    /// Its address; of level 0 for `scv`.
    pub address: u64,
    /// MSR bits that stay as they were.
    pub kept: u64,
    /// MSR bits that become 1; the others become 0.
    pub set: u64,
}

/// What [`cpu::interrupt`] says of every interrupt as LPCR stands, for generated code: new MSR is
/// `old & kept | set`.
#[derive(Debug)]
#[repr(C)]
pub struct Handlers {
    /// The LPCR that the rest holds for, or [`NO_LPCR`].
    pub lpcr: u64,
    /// Handlers by [`crate::raised::number`]: if MSR\[IR,DR\] are not both 1, and if they are.
    pub rows: [[Handler; Vector::ALL.len()]; 2],
}

/// No LPCR: generated code asks [`Vcpu::take_interrupt`] at each interrupt.
pub const NO_LPCR: u64 = u64::MAX;

impl Default for Handlers {
    fn default() -> Self {
        Handlers { lpcr: NO_LPCR, rows: [[Handler::default(); Vector::ALL.len()]; 2] }
    }
}

impl Handler {
    /// Of `vector`, under this LPCR and with translation as in `msr`.
    fn of(model: &CpuModel, lpcr: u64, msr: u64, vector: Vector) -> Self {
        let ail = effective_ail(model, lpcr, msr, vector);
        Handler {
            address: handler_address(vector, 0, ail),
            kept: handler_msr(model, lpcr, u64::MAX, vector, ail) & model.msr_mask,
            set: handler_msr(model, lpcr, 0, vector, ail) & model.msr_mask,
        }
    }
}

/// What becomes of a machine check of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineCheck {
    /// The interrupt at 0x200.
    Vector,
    /// The interrupt, but the guest goes on at `nia` with `r3`.
    Entry {
        /// First instruction.
        nia: u64,
        /// What r3 holds there.
        r3: u64,
    },
    /// It cannot be taken yet: the instruction is executed again.
    Later,
}

/// Who decides where the guest takes machine checks (PAPR's `ibm,nmi-register`).
pub trait Firmware: Send + Sync {
    /// Machine check `interrupt` of vCPU `index`, with its r3.
    fn machine_check(&self, index: usize, r3: u64, interrupt: &Interrupt) -> MachineCheck;
}

impl Vcpu {
    /// Takes `interrupt`: writes every register that it writes, and all that follows.
    pub fn take_interrupt(&mut self, interrupt: &Interrupt) {
        let firmware = self.firmware.clone().filter(|_| interrupt.vector == Vector::MachineCheck);
        let answer = firmware.map(|f| f.machine_check(self.index, self.state.gpr[3], interrupt));
        if answer == Some(MachineCheck::Later) {
            self.state.nia = interrupt.return_address;
            return;
        }
        self.apply_interrupt(interrupt);
        if let Some(MachineCheck::Entry { nia, r3 }) = answer {
            (self.state.nia, self.state.gpr[3]) = (nia, r3);
        }
    }

    /// Writes every register that `interrupt` writes, and all that follows.
    fn apply_interrupt(&mut self, interrupt: &Interrupt) {
        let old_msr = self.state.msr;
        let delivery = deliver(self.model, self.state.lpcr, old_msr, interrupt);
        self.observer.interrupt(self.index, interrupt, old_msr, &delivery);
        delivery.apply(&mut self.state);
        self.set_msr(self.state.msr);
    }

    /// [`Vcpu::take_interrupt`] of [`Vcpu::raised`]. Whoever keeps to [`Vcpu::handlers`] calls it when they hold for
    /// another LPCR; from then on they hold for this one, unless somebody listens to interrupts.
    pub fn take_raised(&mut self) {
        if !self.observer.wants_interrupts() {
            self.refresh_handlers();
        }
        self.take_interrupt(&Interrupt::from(&self.raised));
    }

    /// Brings [`Vcpu::handlers`] in line with LPCR.
    fn refresh_handlers(&mut self) {
        let (model, lpcr) = (self.model, self.state.lpcr);
        let row = |msr: u64| Vector::ALL.map(|vector| Handler::of(model, lpcr, msr, vector));
        self.handlers = Handlers { lpcr, rows: [row(0), row(msr::IR | msr::DR)] };
    }

    /// Leaves the instruction with an interrupt.
    ///
    /// # Errors
    /// Always [`Stop`], for use with `?` and `return`.
    pub fn raise<T>(&mut self, interrupt: Interrupt) -> R<T> {
        self.raised = Raised::from(&interrupt);
        self.exit = Exit::Interrupt(interrupt);
        Err(Stop)
    }

    /// Leaves the instruction with a machine check. It is taken by [`Vcpu::take_interrupt`] whatever engine runs, since
    /// [`Vcpu::firmware`] has a say.
    ///
    /// # Errors
    /// Always [`Stop`].
    pub(crate) fn raise_machine_check<T>(&mut self, interrupt: Interrupt) -> R<T> {
        self.handlers.lpcr = NO_LPCR;
        self.raise(interrupt)
    }

    /// Leaves the current instruction with a program interrupt.
    ///
    /// # Errors
    /// Always [`Stop`].
    pub fn raise_program<T>(&mut self, cause: u64) -> R<T> {
        self.raise(Interrupt::new(Vector::Program, self.cia).with_srr1(cause))
    }

    /// Leaves the current instruction with a facility unavailable interrupt.
    ///
    /// # Errors
    /// Always [`Stop`].
    pub fn raise_facility<T>(&mut self, ic: u64) -> R<T> {
        self.raise(Interrupt { fscr_ic: Some(ic), ..Interrupt::new(Vector::FacilityUnavailable, self.cia) })
    }

    /// The pending asynchronous interrupt that comes next as MSR stands, if any; consumes those that
    /// are not levels. Order: Power ISA 3.0B, Book III, 6.9.
    pub fn next_interrupt(&mut self) -> Option<Interrupt> {
        let now = self.mailbox().pending();
        let nia = self.state.nia;
        if now & pending::SYSTEM_RESET != 0 {
            self.mailbox().lower(pending::SYSTEM_RESET);
            return Some(Interrupt::new(Vector::SystemReset, nia));
        }
        if self.state.msr & msr::EE == 0 {
            return None;
        }
        if now & pending::EXTERNAL != 0 {
            return Some(Interrupt::new(Vector::External, nia));
        }
        if now & pending::DECREMENTER != 0 {
            return Some(Interrupt::new(Vector::Decrementer, nia));
        }
        if now & pending::DOORBELL != 0 {
            self.mailbox().lower(pending::DOORBELL);
            return Some(Interrupt::new(Vector::DirectedPrivilegedDoorbell, nia));
        }
        None
    }

    /// The interrupt that traces the instruction at `cia`, completed just now, if MSR\[SE\], MSR\[BE\] or
    /// CIABR asks for it. `state.nia` is where it would go on.
    pub fn trace_interrupt(&self, cia: u64, msr_before: u64, branch: bool) -> Option<Interrupt> {
        let by_msr = msr_before & msr::SE != 0 || (branch && msr_before & msr::BE != 0);
        let ciabr = self.state.spr.ciabr;
        // CIABR[PRIV]: 1 problem state, 2 privileged state.
        let state_matches = ciabr & 3 == if msr_before & msr::PR != 0 { 1 } else { 2 };
        let by_ciabr = state_matches && ciabr & !3 == cia;
        if !by_msr && !by_ciabr {
            return None;
        }
        let cause = srr1::TRACE | if by_ciabr { srr1::TRACE_CIABR } else { 0 };
        Some(Interrupt::new(Vector::Trace, self.state.nia).with_srr1(cause))
    }
}
