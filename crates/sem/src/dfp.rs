//! Chapter `dfp`.
