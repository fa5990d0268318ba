//! Who listens to what happens in a vCPU: `-d int`, `-d unimp` and their like. Called on rare events
//! only; engines test the `wants_` methods once.

use cpu::{Delivery, Interrupt};

/// Listener. Every method has an empty default.
pub trait Observer: Send + Sync {
    /// An interrupt is taken. `old_msr` is the MSR before it.
    fn interrupt(&self, _vcpu: usize, _interrupt: &Interrupt, _old_msr: u64, _delivery: &Delivery) {}
    /// Whether [`Observer::interrupt`] is to be called; engines may take interrupts without a word otherwise.
    fn wants_interrupts(&self) -> bool {
        true
    }
    /// An instruction without semantics was executed as illegal.
    fn unimplemented_instruction(&self, _mnemonic: &str, _word: u64, _cia: u64) {}
    /// A special purpose register that is not there was accessed by privileged code, as a no-op.
    fn unimplemented_spr(&self, _number: u32, _write: bool, _cia: u64) {}
    /// Whether [`Observer::block`] is to be called.
    fn wants_blocks(&self) -> bool {
        false
    }
    /// A block was decoded: effective address, real address, and its instruction words.
    fn block(&self, _ea: u64, _real: u64, _words: &[u64]) {}
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;
impl Observer for Silent {
    fn wants_interrupts(&self) -> bool {
        false
    }
}
