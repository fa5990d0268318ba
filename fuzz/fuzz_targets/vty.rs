//! Any calls on terminals, on consoles that take as much as they like.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| devices::fuzzing::vty(data));
