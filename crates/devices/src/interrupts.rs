//! The interrupt controller of a partition as board and devices see it: XICS, XIVE, or both, of which one is in use.

use crate::{Xics, Xive};
use platform::papr::opcode::{H_INT_GET_SOURCE_INFO, H_INT_RESET};
use platform::papr::{HcallStatus, RtasStatus};
use platform::{
    ExternalInterruptLines, GuestMemory, Hcall, HcallArgs, HcallContext, InterruptController, Mmio, PaprDevice,
    RtasCall, RtasFunction,
};
use snapshot::{FieldError, Io, Section, SectionId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use thiserror::Error;

/// First source number of the devices of a `pseries` machine.
pub const FIRST_SOURCE: u32 = 0x1000;
/// Number of source numbers of devices.
pub const SOURCES: u32 = 0x1000;

/// Whether a source has a level or sends messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// Presented until it is deasserted: again after each EOI.
    Level,
    /// Presented once for each pulse (several pulses before it is presented are one).
    Message,
}

/// Which controllers a machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InterruptMode {
    /// XICS.
    Xics,
    /// XIVE.
    Xive,
    /// Both: what the guest wants is used.
    #[default]
    Dual,
}

/// The controller in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Controller {
    /// XICS, which PAPR calls legacy mode.
    Xics,
    /// XIVE in exploitation mode.
    Xive,
}

/// Why an interrupt controller could not be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InterruptError {
    /// Two vCPUs with one number.
    #[error("interrupt server {0} is given twice: each vCPU needs a number of its own")]
    DoubleServer(u32),
    /// A source where no sources are.
    #[error("interrupt source {xisr:#x} is outside of {first:#x} to {last:#x}")]
    NoSuchSource {
        /// Number asked for.
        xisr: u32,
        /// First number.
        first: u32,
        /// Last number.
        last: u32,
    },
}

/// Interrupt server numbers of the vCPUs, by their index.
#[derive(Debug, Clone)]
pub(crate) struct Servers(Vec<u32>);

impl Servers {
    /// # Errors
    /// When a number occurs twice.
    pub fn new(numbers: &[u32]) -> Result<Servers, InterruptError> {
        match (1..numbers.len()).find(|&index| numbers[..index].contains(&numbers[index])) {
            Some(double) => Err(InterruptError::DoubleServer(numbers[double])),
            None => Ok(Servers(numbers.to_vec())),
        }
    }

    /// The numbers, by index.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    /// Index of the vCPU with `number`.
    pub fn index_of(&self, number: u64) -> Option<usize> {
        // Numbers are mostly indices.
        let matches = |known: &u32| u64::from(*known) == number;
        let guess = usize::try_from(number).ok()?;
        if self.0.get(guess).is_some_and(matches) {
            return Some(guess);
        }
        self.0.iter().position(matches)
    }

    /// Number of vCPU `index`, or of the first.
    pub fn number_of(&self, index: usize) -> u32 {
        self.0.get(index).or(self.0.first()).copied().unwrap_or(0)
    }
}

/// Looks at a device's source number.
///
/// # Errors
/// When the number is outside of those of this machine.
pub(crate) fn check_source(xisr: u32) -> Result<(), InterruptError> {
    let (first, last) = (FIRST_SOURCE, FIRST_SOURCE + SOURCES - 1);
    if (first..=last).contains(&xisr) { Ok(()) } else { Err(InterruptError::NoSuchSource { xisr, first, last }) }
}

/// The interrupt controllers of a partition. Calls to the one that is not in use are answered as QEMU answers them.
pub struct Interrupts {
    xics: Option<Xics>,
    xive: Option<Xive>,
    /// In use at power-on.
    first: Controller,
    /// XIVE is in use now.
    exploitation: AtomicBool,
    hcalls: Vec<Hcall>,
}

impl Interrupts {
    /// The controllers of `mode`, for vCPUs with the interrupt server numbers `servers`, of which `max_servers` can come to
    /// exist. `first` is in use at power-on; what a `mode` of one controller has is in use in any case.
    ///
    /// # Errors
    /// When a server number occurs twice.
    pub fn new(
        mode: InterruptMode,
        first: Controller,
        servers: &[u32],
        max_servers: usize,
        memory: Arc<dyn GuestMemory>,
        lines: Arc<dyn ExternalInterruptLines>,
    ) -> Result<Interrupts, InterruptError> {
        let first = match mode {
            InterruptMode::Xics => Controller::Xics,
            InterruptMode::Xive => Controller::Xive,
            InterruptMode::Dual => first,
        };
        let xics = if mode == InterruptMode::Xive { None } else { Some(Xics::new(servers, lines.clone())?) };
        let xive =
            if mode == InterruptMode::Xics { None } else { Some(Xive::new(servers, max_servers, memory, lines)?) };
        let rows = |device: Option<&dyn PaprDevice>| device.map_or(Vec::new(), |device| device.hcalls().to_vec());
        let mut hcalls = rows(xics.as_ref().map(|xics| xics as _));
        hcalls.extend(rows(xive.as_ref().map(|xive| xive as _)));
        Ok(Interrupts { xics, xive, first, exploitation: AtomicBool::new(first == Controller::Xive), hcalls })
    }

    /// Makes source `xisr` of a device exist, off.
    ///
    /// # Errors
    /// When the number is outside of those of this machine.
    pub fn add_source(&mut self, xisr: u32, kind: SourceKind) -> Result<(), InterruptError> {
        if let Some(xics) = &mut self.xics {
            xics.add_source(xisr, kind)?;
        }
        if let Some(xive) = &mut self.xive {
            xive.add_source(xisr, kind)?;
        }
        Ok(())
    }

    /// The controller in use.
    pub fn active(&self) -> Controller {
        if self.exploitation.load(SeqCst) { Controller::Xive } else { Controller::Xics }
    }

    /// Puts `controller` in use until the next reset, if there is one; both are as after power-on if that changes
    /// anything. For a negotiation: one vCPU runs. Whether it is in use now.
    pub fn select(&self, controller: Controller) -> bool {
        if self.active() == controller {
            return true;
        }
        let there = match controller {
            Controller::Xics => self.xics.is_some(),
            Controller::Xive => self.xive.is_some(),
        };
        if there {
            self.reset();
            self.exploitation.store(controller == Controller::Xive, SeqCst);
        }
        there
    }

    /// State of the controller in use, for people.
    pub fn describe(&self) -> String {
        match (self.active(), &self.xics, &self.xive) {
            (Controller::Xics, Some(xics), _) => xics.describe(),
            (Controller::Xive, _, Some(xive)) => xive.describe(),
            _ => String::new(),
        }
    }

    fn active_xive(&self) -> Option<&Xive> {
        self.xive.as_ref().filter(|_| self.active() == Controller::Xive)
    }

    fn active_xics(&self) -> Option<&Xics> {
        self.xics.as_ref().filter(|_| self.active() == Controller::Xics)
    }
}

impl InterruptController for Interrupts {
    fn set_level(&self, xisr: u32, asserted: bool) {
        // Both know the level: whoever is not in use presents nothing, for all its sources are off.
        if let Some(xics) = &self.xics {
            xics.set_level(xisr, asserted);
        }
        if let Some(xive) = &self.xive {
            xive.set_level(xisr, asserted);
        }
    }

    fn pulse(&self, xisr: u32) {
        if let Some(xive) = self.active_xive() {
            xive.pulse(xisr);
        } else if let Some(xics) = self.active_xics() {
            xics.pulse(xisr);
        }
    }
}

impl Section for Interrupts {
    fn id(&self) -> SectionId {
        SectionId::new("interrupts")
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Interrupts { xics, xive, first: _, exploitation, hcalls: _ } = self;
        let mut on = exploitation.load(SeqCst);
        io.bool("whether XIVE is in use", &mut on)?;
        let there = if on { xive.is_some() } else { xics.is_some() };
        io.require("the controller in use", if on { "XIVE" } else { "XICS" }, there, "one that this machine has")?;
        exploitation.store(on, SeqCst);
        Ok(())
    }
}

impl PaprDevice for Interrupts {
    fn sections(&self) -> Vec<&dyn Section> {
        let xics = self.xics.iter().flat_map(|xics| xics.sections());
        let xive = self.xive.iter().flat_map(|xive| xive.sections());
        [self as &dyn Section].into_iter().chain(xics).chain(xive).collect()
    }

    fn hcalls(&self) -> &[Hcall] {
        &self.hcalls
    }

    fn hcall(&self, opcode: u64, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
        let of_xive = (H_INT_GET_SOURCE_INFO..=H_INT_RESET).contains(&opcode);
        match (of_xive, self.active_xive(), self.active_xics()) {
            (true, Some(xive), _) => xive.hcall(opcode, context, args),
            (true, None, _) => HcallStatus::H_FUNCTION,
            (false, _, Some(xics)) => xics.hcall(opcode, context, args),
            (false, _, None) => HcallStatus::H_HARDWARE,
        }
    }

    fn rtas_functions(&self) -> &[RtasFunction] {
        self.xics.as_ref().map_or(&[], |xics| xics.rtas_functions())
    }

    fn rtas(&self, token: u32, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
        self.active_xics().map_or(RtasStatus::HARDWARE_ERROR, |xics| xics.rtas(token, context, call))
    }

    fn reset(&self) {
        self.exploitation.store(self.first == Controller::Xive, SeqCst);
        if let Some(xics) = &self.xics {
            xics.reset();
        }
        if let Some(xive) = &self.xive {
            xive.reset();
        }
    }
}

impl Mmio for Interrupts {
    fn answers(&self, ra: u64, size: u64) -> bool {
        self.active_xive().is_some_and(|xive| xive.answers(ra, size))
    }

    fn load(&self, vcpu: usize, ra: u64, size: u32) -> u64 {
        self.active_xive().map_or(u64::MAX, |xive| xive.load(vcpu, ra, size))
    }

    fn store(&self, vcpu: usize, ra: u64, size: u32, value: u64) {
        if let Some(xive) = self.active_xive() {
            xive.store(vcpu, ra, size, value);
        }
    }
}

#[cfg(test)]
mod tests;
