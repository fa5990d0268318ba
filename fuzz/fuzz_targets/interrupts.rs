//! Any hypercalls, loads, stores and device interrupts, on either interrupt controller.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| devices::fuzzing::interrupts(data));
