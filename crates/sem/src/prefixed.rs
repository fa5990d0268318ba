//! Chapter `prefixed`.
