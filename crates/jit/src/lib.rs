//! `Sem` on Cranelift values. The room is empty but for its hook table until the translator is built:
//! what generated code will call is stated here, so that the rooms above stay as they are then.

pub mod arena;
pub mod blob;
pub mod deliver;
pub mod dispatch;
pub mod effects;
pub mod vector;

/// What generated code calls in the engine, by address.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hooks {
    /// Where a region goes when it leaves: the dispatcher.
    pub leave: usize,
    /// A load that the inline TLB look-up did not hit.
    pub load_slow: usize,
    /// A store that the inline TLB look-up did not hit.
    pub store_slow: usize,
}
