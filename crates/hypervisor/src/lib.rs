//! PAPR: one hypercall table, RTAS, and the machine capabilities with ail-modes among them.
//!
//! The board builds a [`Hypervisor`] from its [`Config`] and the devices that handle calls, and gives it each `sc 1`
//! ([`Hypervisor::hcall`]). The device tree takes its RTAS tokens and `ibm,hypertas-functions` from the same tables, so
//! that only what exists is announced.
//!
//! Nothing in here knows an engine or a board: it can be tested and fuzzed with the stand-ins of `platform::mock`.

mod calls;
pub mod capability;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod fwnmi;
mod nearest;
mod rtas;
mod saved;
mod table;
mod watchdog;

pub use calls::HPT_RESIZE;
pub use calls::tce::TceTable;
pub use calls::vpa::DispatchInfo;
pub use fwnmi::{FwnmiEntry, MachineCheckCause, MachineCheckDelivery};
pub use nearest::nearest;
pub use rtas::{RTAS_ERROR_LOG_MAX_BYTES, RTAS_STUB, call_stub, rtas_size_bytes};
pub use table::{Config, Hypervisor, Observer, TableError};
