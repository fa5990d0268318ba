//! Chapter `system`.
