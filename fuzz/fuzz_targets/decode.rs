//! Any word: decoding never panics, and encoding what was decoded gives the word back outside of the
//! bits that the row ignores.
#![no_main]

use isa::{IsaLevel, decode, disassemble};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: [u8; 9]| {
    let word = u64::from_be_bytes(bytes[..8].try_into().unwrap());
    let level = [IsaLevel::V2_07, IsaLevel::V3_0, IsaLevel::V3_1][usize::from(bytes[8] % 3)];
    for raw in [word, word & 0xFFFF_FFFF] {
        if let Some(insn) = decode(raw, level) {
            let row = insn.op.row();
            assert_eq!(raw & row.pattern.mask, row.pattern.value, "{}", row.name);
            let text = disassemble(insn, 0x1000);
            assert!(!text.is_empty(), "{}", row.name);
        }
    }
});
