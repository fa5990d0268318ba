//! Chapter `vmx`.
