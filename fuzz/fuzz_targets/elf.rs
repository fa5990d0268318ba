//! Any file as a kernel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| machine::fuzzing::elf(data));
