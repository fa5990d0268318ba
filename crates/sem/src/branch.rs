//! Chapter `branch`.
