//! Chapter `mma`.
