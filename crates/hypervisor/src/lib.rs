//! PAPR: one hypercall table, RTAS, and the machine capabilities with ail-modes among them.
pub mod capability;
