//! The translator: `Sem` on Cranelift values, and everything about generated code.

mod ahead;
pub mod arena;
pub mod blob;
mod builder;
pub mod cache;
pub mod compile;
pub mod deliver;
pub mod dispatch;
pub mod effects;
pub mod emit;
mod finish;
pub mod hooks;
pub mod listing;
pub mod loops;
pub mod perf;
pub mod region;
pub mod store;
pub mod stubs;
pub mod vector;
