//! The translator: `Sem` on Cranelift values, and everything about generated code.

pub mod arena;
pub mod blob;
pub mod cache;
pub mod compile;
pub mod deliver;
pub mod dispatch;
pub mod effects;
pub mod emit;
pub mod hooks;
pub mod listing;
pub mod perf;
pub mod region;
pub mod store;
pub mod stubs;
pub mod vector;
