//! Chapter `fp`.
