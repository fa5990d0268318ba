//! The hypercalls that need no device, a file a family.

mod host_mode;
mod hpt;
mod hpt_remove;
pub(crate) mod hpt_resize;
mod info;
mod logical;
mod mode;
mod process_table;
mod schedule;
pub(crate) mod tce;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) mod test_support;
pub(crate) mod vpa;

use crate::capability::{Cap, Capabilities};
use crate::table::CoreHcall;
use platform::Hcall;
use platform::papr::opcode::*;

/// The string of `ibm,hypertas-functions` that announces the calls that resize a hash table.
pub const HPT_RESIZE: &str = "hcall-hpt-resize";

macro_rules! row {
    ($opcode:ident, $hypertas:expr, $handler:path) => {
        CoreHcall { row: Hcall { opcode: $opcode, name: stringify!($opcode), hypertas: $hypertas }, handler: $handler }
    };
}

/// The rows of a machine with `capabilities`: a call that a capability switches off is not in the table.
pub(crate) fn rows(capabilities: &Capabilities) -> Vec<CoreHcall> {
    let mut rows = vec![
        row!(H_ENTER, Some("hcall-pft"), hpt::enter),
        row!(H_READ, Some("hcall-pft"), hpt::read),
        row!(H_PROTECT, Some("hcall-pft"), hpt::protect),
        row!(H_CLEAR_REF, Some("hcall-pft"), hpt::clear_ref),
        row!(H_CLEAR_MOD, Some("hcall-pft"), hpt::clear_mod),
        row!(H_REMOVE, Some("hcall-pft"), hpt_remove::remove),
        row!(H_BULK_REMOVE, Some("hcall-bulk"), hpt_remove::bulk_remove),
        // Not announced: a guest needs the characteristics of block invalidation too, which nobody has told it.
        row!(H_BLOCK_REMOVE, None, hpt_remove::block_remove),
        row!(H_RESIZE_HPT_PREPARE, Some(HPT_RESIZE), hpt_resize::prepare),
        row!(H_RESIZE_HPT_COMMIT, Some(HPT_RESIZE), hpt_resize::commit),
        row!(H_GET_TCE, Some("hcall-tce"), tce::get_tce),
        row!(H_PUT_TCE, Some("hcall-tce"), tce::put_tce),
        row!(H_STUFF_TCE, Some("hcall-multi-tce"), tce::stuff_tce),
        row!(H_PUT_TCE_INDIRECT, Some("hcall-multi-tce"), tce::put_tce_indirect),
        row!(H_SET_SPRG0, Some("hcall-sprg0"), info::set_sprg0),
        row!(H_SET_DABR, Some("hcall-dabr"), info::set_dabr),
        row!(H_SET_XDABR, Some("hcall-dabr"), info::set_dabr),
        row!(H_PAGE_INIT, Some("hcall-copy"), logical::page_init),
        row!(H_LOGICAL_CI_LOAD, Some("hcall-debug"), logical::load),
        row!(H_LOGICAL_CI_STORE, Some("hcall-debug"), logical::store),
        row!(H_LOGICAL_CACHE_LOAD, Some("hcall-debug"), logical::load),
        row!(H_LOGICAL_CACHE_STORE, Some("hcall-debug"), logical::store),
        row!(H_LOGICAL_ICBI, Some("hcall-debug"), logical::cache_op),
        row!(H_LOGICAL_DCBF, Some("hcall-debug"), logical::cache_op),
        row!(H_LOGICAL_MEMOP, None, logical::memop),
        row!(H_REGISTER_VPA, Some("hcall-splpar"), vpa::register_vpa),
        row!(H_CEDE, Some("hcall-splpar"), schedule::cede),
        row!(H_CONFER, Some("hcall-splpar"), schedule::confer),
        row!(H_PROD, Some("hcall-splpar"), schedule::prod),
        row!(H_JOIN, Some("hcall-join"), schedule::join),
        row!(H_SIGNAL_SYS_RESET, None, schedule::signal_sys_reset),
        row!(H_GET_CPU_CHARACTERISTICS, None, info::get_cpu_characteristics),
        row!(H_HOME_NODE_ASSOCIATIVITY, Some("hcall-vphn"), info::home_node_associativity),
        row!(H_RANDOM, Some("hcall-random"), info::random),
        row!(H_SET_MODE, Some("hcall-set-mode"), mode::set_mode),
        row!(H_REGISTER_PROC_TBL, None, process_table::register),
        row!(H_WATCHDOG, Some("hcall-watchdog"), crate::watchdog::hcall),
        row!(H_RTAS, None, crate::rtas::hcall),
        row!(H_PIC, None, info::absent),
        row!(H_QUERY_VAS_CAPABILITIES, None, info::absent),
        row!(H_GET_PERF_COUNTER_INFO, None, info::absent),
    ];
    if capabilities.is_on(Cap::RptInvalidate) {
        rows.push(row!(H_RPT_INVALIDATE, Some("hcall-rpt-invalidate"), process_table::rpt_invalidate));
    }
    rows
}
