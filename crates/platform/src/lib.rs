//! The small traits between PAPR, devices, engines and machine.
//!
//! `hypervisor` and `devices` speak to the rest of the world only through these; `machine` implements them. Nothing in
//! here knows an engine, and nothing takes a lock around a hypercall: a handler locks what it touches.
//!
//! | trait | who implements it | who calls it |
//! |---|---|---|
//! | [`GuestMemory`] | board | hypercalls, RTAS, devices |
//! | [`CallingVcpu`] | board, one object a vCPU thread | hypercall and RTAS handlers, on that vCPU's thread |
//! | [`Partition`] | board, shared | handlers and the board's own services, on any thread |
//! | [`ExternalInterruptLines`] | board | XICS and XIVE, on any thread |
//! | [`InterruptController`] | XICS, XIVE | devices, on any thread |
//! | [`Mmio`] | XIVE | vCPUs and hypercalls, on that vCPU's thread |
//! | [`Console`] | console back-ends | vty |
//! | [`Clock`], [`Entropy`] | board (real or virtual) | handlers |
//! | [`PaprDevice`] | devices | the hypercall and RTAS tables |

#![warn(missing_docs)]

mod console;
mod device;
mod host;
mod memory;
#[cfg(feature = "mock")]
pub mod mock;
pub mod papr;
mod vcpu;

pub use console::{Console, InputNotifier};
pub use device::{Hcall, HcallArgs, HcallContext, PaprDevice, RtasCall, RtasFunction};
pub use host::{Clock, Entropy, ExternalInterruptLines, InterruptController, Mmio, SeededEntropy, TIMEBASE_HZ};
pub use memory::{Access, GuestMemory, MemoryError, check_range};
pub use vcpu::{
    CallingVcpu, InvalidateScope, PageSizes, Partition, ProcessTable, RunState, Shutdown, StartError, StartRequest,
    TlbInvalidate,
};
