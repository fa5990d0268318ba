//! Chapter `storage`.
