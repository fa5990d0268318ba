//! Any file as a code cache.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| jit::cache::fuzzing::cache(data));
