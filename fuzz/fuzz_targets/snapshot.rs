//! Any saved partition and any stream of a migration, under an allocator that watches.
#![no_main]

#[path = "../../crates/machine/tests/machine/allocation.rs"]
mod allocation;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    machine::fuzzing::snapshot(data, &|work| allocation::largest(work).1);
});
