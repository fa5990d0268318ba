//! Regions of a few lines.

use isa::IsaLevel;
use jit::blob::{Key, PAGE};
use jit::region::{Source, add_word};
use vcpu::context::mode;

/// Where the code stands in its page.
pub const AT: u16 = 0x400;
/// 64-bit, little-endian, relocated, privileged.
pub const LITTLE: u32 = mode::SF | mode::LE | mode::IR | mode::DR;

/// A region of these lines.
pub fn source(lines: &str, mode: u32, exact: bool) -> Source {
    let mut s = Source {
        key: Key { offset: AT, mode, counts: exact },
        processor: IsaLevel::V3_0,
        bytes: Box::new([0; PAGE]),
        warm: [0; 16],
        known: [0; 16],
    };
    let mut at = AT;
    for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let word = isa::assemble_at(line, at.into()).unwrap_or_else(|e| panic!("{line}: {e}")) as u32;
        let bytes = if mode & mode::LE != 0 { word.to_le_bytes() } else { word.to_be_bytes() };
        s.bytes[usize::from(at)..][..4].copy_from_slice(&bytes);
        add_word(&mut s.warm, at);
        at += 4;
    }
    s
}
