//! Any tree, written and read.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| machine::fuzzing::device_tree(data));
