//! The command line: QEMU's spelling for what exists.
fn main() {}
