//! Any vectors for `ibm,client-architecture-support`, on any platform.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| machine::fuzzing::architecture(data));
