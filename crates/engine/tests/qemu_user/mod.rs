//! Instructions compared with `qemu-ppc64le` and `qemu-ppc64`, the user-mode emulators of Debian's package `qemu-user`.

pub mod compare;
pub mod fit;
pub mod generate;
pub mod guest;
pub mod judge;
pub mod known;
pub mod lines;
pub mod record;
pub mod rng;
pub mod run_engine;
pub mod run_qemu;
pub mod shorter;
pub mod streams;
