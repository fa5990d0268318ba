//! How calls reach their handlers: the context of a hypercall, and how a device enters the tables.

use crate::papr::{HcallStatus, RtasStatus};
use crate::{CallingVcpu, Clock, Entropy, GuestMemory, Partition};

/// What a handler may touch. Built by the board on the stack of the vCPU thread for each hypercall.
pub struct HcallContext<'a> {
    /// The vCPU that called.
    pub vcpu: &'a mut dyn CallingVcpu,
    /// All of them.
    pub partition: &'a dyn Partition,
    /// Guest RAM.
    pub memory: &'a dyn GuestMemory,
    /// Time.
    pub clock: &'a dyn Clock,
    /// Random bytes.
    pub entropy: &'a dyn Entropy,
}

/// Arguments of a hypercall: r4 to r12, in this order.
pub type HcallArgs = [u64; 9];

/// A row of the hypercall table: what an implementer offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hcall {
    /// Opcode, in r3.
    pub opcode: u64,
    /// PAPR's name.
    pub name: &'static str,
    /// The string of `ibm,hypertas-functions` that announces it, `None` when none does.
    pub hypertas: Option<&'static str>,
}

/// A row of the RTAS table: what an implementer offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtasFunction {
    /// Token, the property value in `/rtas`.
    pub token: u32,
    /// Name, the property name in `/rtas`.
    pub name: &'static str,
}

/// One call of RTAS: arguments in, results out. Out-of-range accesses are harmless: a guest chooses both counts.
#[derive(Debug)]
pub struct RtasCall<'a> {
    /// The arguments.
    pub args: &'a [u32],
    /// The results after the status word, so `results[0]` is RTAS's second output. Zero at the start.
    pub results: &'a mut [u32],
}

impl RtasCall<'_> {
    /// Whether the guest passed exactly `nargs` arguments and room for exactly `nret` outputs, the status counted.
    /// (A call with `nret` 0 has no status word and is never "exactly" anything but 0.)
    pub fn has_shape(&self, nargs: usize, nret: usize) -> bool {
        self.args.len() == nargs && self.results.len() + 1 == nret
    }

    /// Sets output `1 + number`, when the guest has left room for it.
    pub fn set_result(&mut self, number: usize, value: u32) {
        if let Some(slot) = self.results.get_mut(number) {
            *slot = value;
        }
    }
}

/// A device, or a part of the hypervisor, that handles hypercalls and RTAS calls.
///
/// The tables are built once from the rows of everybody who enters; a call is then one look-up away from `hcall` or
/// `rtas`. A row handled by two is refused when the tables are built.
pub trait PaprDevice: Send + Sync {
    /// The hypercalls that it handles.
    fn hcalls(&self) -> &[Hcall] {
        &[]
    }

    /// Handles `opcode`, one of [`hcalls`](PaprDevice::hcalls). The return value goes to r3.
    fn hcall(&self, opcode: u64, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
        let _ = (opcode, context, args);
        HcallStatus::H_FUNCTION
    }

    /// The RTAS functions that it handles.
    fn rtas_functions(&self) -> &[RtasFunction] {
        &[]
    }

    /// Handles `token`, one of [`rtas_functions`](PaprDevice::rtas_functions). The return value is the status word.
    fn rtas(&self, token: u32, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
        let _ = (token, context, call);
        RtasStatus::PARAMETER_ERROR
    }

    /// Back to the state after power-on, at a reset of the machine.
    fn reset(&self) {}
}
