//! Any hypercalls on the hash table, compared with a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hypervisor::fuzzing::hpt(data));
