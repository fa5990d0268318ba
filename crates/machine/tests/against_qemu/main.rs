//! Privileged state against `qemu-system-ppc64` (calibrated with 7.2): programs in place of firmware or kernel, whose answers lie in
//! RAM.
//!
//! `cargo test -p machine --test against_qemu -- --ignored`; `cargo xtask diff --system` runs [`system`] with counts of its own.

mod ail;
mod bare;
#[allow(dead_code)]
#[path = "../machine/guest.rs"]
mod guest;
#[allow(dead_code)]
#[path = "../../../engine/tests/qemu_user/rng.rs"]
mod rng;
mod system;
