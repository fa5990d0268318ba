//! Chapter `vsx`.

pub use crate::vsx_fp::*;
