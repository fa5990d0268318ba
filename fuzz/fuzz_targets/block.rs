//! Any instructions, interpreted and translated.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engine::fuzzing::block(data));
