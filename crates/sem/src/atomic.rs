//! Chapter `atomic`.
