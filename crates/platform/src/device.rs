//! How calls reach their handlers: the context of a hypercall, and how a device enters the tables.

use crate::papr::{HcallStatus, RtasStatus};
use crate::{CallingVcpu, Clock, Entropy, GuestMemory, Mmio, Partition};
use snapshot::Section;

/// What a handler may touch. Built by the board on the stack of the vCPU thread for each hypercall.
pub struct HcallContext<'a> {
    /// The vCPU that called.
    pub vcpu: &'a mut dyn CallingVcpu,
    /// All of them.
    pub partition: &'a dyn Partition,
    /// Guest RAM.
    pub memory: &'a dyn GuestMemory,
    /// Registers of devices.
    pub mmio: &'a dyn Mmio,
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
    /// Fewest arguments that a call may have. The table refuses any other shape before the handler hears of it.
    pub nargs_min: usize,
    /// Most arguments that a call may have.
    pub nargs_max: usize,
    /// Outputs of a call, the status word counted; 0 for a call that does not return.
    pub nret: usize,
}

impl RtasFunction {
    /// A function with `nargs` arguments and `nret` outputs.
    pub const fn new(token: u32, name: &'static str, nargs: usize, nret: usize) -> RtasFunction {
        RtasFunction { token, name, nargs_min: nargs, nargs_max: nargs, nret }
    }
}

/// One call of RTAS: arguments in, results out, as many as the function's row says.
#[derive(Debug)]
pub struct RtasCall<'a> {
    /// The arguments.
    pub args: &'a [u32],
    /// The results after the status word, so `results[0]` is RTAS's second output. At the start they hold what
    /// the guest had there: an output that a handler does not set stays as it was.
    pub results: &'a mut [u32],
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

    /// What it has to be saved of, and loaded again while no vCPU runs. Not provided: who adds a device decides.
    fn sections(&self) -> Vec<&dyn Section>;
}
