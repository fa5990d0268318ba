//! Chapter `vsx`.
