//! Any RTAS calls, with argument blocks anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hypervisor::fuzzing::rtas(data));
