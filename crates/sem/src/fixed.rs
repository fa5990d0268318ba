//! Chapter `fixed`.
