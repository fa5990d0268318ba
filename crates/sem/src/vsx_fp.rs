//! Chapter `vsx_fp`.
