//! Host code for people to read.

use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
use std::fmt::Write as _;

/// Disassembles x86-64 code that runs at `address`, a line an instruction: address, bytes, text.
pub fn listing(code: &[u8], address: u64) -> String {
    let mut formatter = IntelFormatter::new();
    let options = formatter.options_mut();
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_rip_relative_addresses(true);
    let mut out = String::new();
    for insn in &mut Decoder::with_ip(64, code, address, DecoderOptions::NONE) {
        let at = (insn.ip() - address) as usize;
        let bytes: String = code[at..at + insn.len()].iter().map(|b| format!("{b:02x}")).collect();
        let mut text = String::new();
        formatter.format(&insn, &mut text);
        let _ = writeln!(out, "{:x}: {bytes:<22} {text}", insn.ip());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_an_instruction() {
        let text = listing(&[0x48, 0x01, 0xF7, 0xE9, 0x02, 0, 0, 0, 0x0F], 0x1000);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("1000: 4801f7 ") && lines[0].ends_with("add rdi,rsi"), "{text}");
        assert!(lines[1].ends_with("jmp 0x100a") || lines[1].contains("100A"), "{text}");
        assert!(lines[2].ends_with("(bad)"), "{text}");
    }
}
