//! Any radix tables, accesses and `tlbie`: the TLB compared with a walk.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vcpu::fuzzing::mmu(data));
