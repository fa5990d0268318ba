//! Any file as a kernel: mostly ELF headers of their form with wild fields. What the fuzz target `elf` runs.

use crate::content::Content;
use crate::loader::{ElfError, Endianness, Kernel};
use platform::mock::Input;

/// Sizes of the header and of a program header (System V ABI, ELF-64).
const HEADER_BYTES: usize = 64;
const PROGRAM_BYTES: usize = 56;

fn number(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        small @ 0..=159 => u64::from(small) * 8,
        160..=199 => u64::from(input.half()),
        200..=219 => 0xC000_0000_0000_0000 | u64::from(input.word()),
        220..=239 => u64::MAX - u64::from(input.byte()),
        _ => input.doubleword(),
    }
}

/// A file, and its byte order.
fn file(input: &mut Input<'_>) -> Vec<u8> {
    let little = !input.one_in(3);
    let mut bytes = Vec::new();
    let mut put = |value: u64, size: usize| match little {
        true => bytes.extend(&value.to_le_bytes()[..size]),
        false => bytes.extend(&value.to_be_bytes()[8 - size..]),
    };
    let count = u64::from(input.byte() % 6);
    let ident: [u8; 16] = [0x7f, b'E', b'L', b'F', 2, if little { 1 } else { 2 }, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    ident.iter().for_each(|byte| put((*byte).into(), 1));
    put(input.pick(&[2, 2, 2, 3, 3, 1, 4, 0xFFFF]), 2);
    put(input.pick(&[21, 21, 21, 21, 21, 21, 20, 62]), 2);
    put(1, 4);
    put(number(input), 8);
    put(if input.one_in(8) { number(input) } else { HEADER_BYTES as u64 }, 8);
    put(0, 8);
    put(0, 4);
    put(HEADER_BYTES as u64, 2);
    put(if input.one_in(16) { number(input) } else { PROGRAM_BYTES as u64 }, 2);
    put(if input.one_in(16) { number(input) } else { count }, 2);
    (0..3).for_each(|_| put(0, 2));
    for _ in 0..count {
        put(if input.one_in(4) { u64::from(input.word()) } else { 1 }, 4);
        put(7, 4);
        for _ in 0..6 {
            put(number(input), 8);
        }
    }
    let mut bytes: Vec<u8> = bytes;
    let rest = usize::from(input.half() % 2048);
    bytes.extend(input.bytes(rest));
    // Some bytes of it changed, or its end missing.
    for _ in 0..input.byte() % 4 {
        let at = usize::from(input.half()) % bytes.len();
        bytes[at] = input.byte();
    }
    if input.one_in(8) {
        bytes.truncate(usize::from(input.half()) % bytes.len());
    }
    bytes
}

/// Reads a kernel from what `data` says.
///
/// # Panics
/// If what is to be loaded is not in the file, or lies outside of the memory that the kernel says it needs.
pub fn elf(data: &[u8]) {
    let mut input = Input::new(data);
    let bytes = if input.one_in(8) { input.bytes(data.len()) } else { file(&mut input) };
    let kernel = match Kernel::from_bytes(&bytes) {
        Ok(kernel) => kernel,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(matches!(error, ElfError::Empty), bytes.is_empty());
            return;
        }
    };
    assert!(bytes.starts_with(b"\x7fELF\x02"));
    let little = kernel.endianness == Endianness::Little;
    assert_eq!(bytes[5], if little { 1 } else { 2 });
    // Read a second time, from the program headers' words alone.
    let word = |at: usize, size: usize| -> u64 {
        let part = &bytes[at..at + size];
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if little { part.iter().rev().fold(0, join) } else { part.iter().fold(0, join) }
    };
    assert_eq!(word(18, 2), 21);
    let (entry, table, count) = (word(24, 8), word(32, 8) as usize, word(56, 2) as usize);
    // More than 0xFFFE program headers are counted elsewhere; no input is that long.
    let headers = (0..count).map(|n| table + n * PROGRAM_BYTES);
    let loads: Vec<[u64; 5]> = headers
        .filter(|at| word(*at, 4) == 1)
        .map(|at| [8, 16, 24, 32, 40].map(|field| word(at + field, 8)))
        .filter(|load| load[4] > 0)
        .collect();
    let lowest = loads.iter().map(|load| load[2]).min().expect("a kernel has a segment");
    assert_eq!(kernel.segments.len(), loads.len());
    for (segment, [offset, _, physical, in_file, in_memory]) in kernel.segments.iter().zip(&loads) {
        assert_eq!(segment.offset, physical - lowest);
        assert!(segment.offset + in_memory <= kernel.memory_bytes);
        let Content::Bytes(content) = &segment.content else { panic!("{:?} of a file in memory", segment.content) };
        assert_eq!(content[..], bytes[*offset as usize..][..*in_file as usize]);
    }
    let holds = |[_, virtual_, physical, _, in_memory]: &[u64; 5]| {
        let inside = |base: &u64| entry.checked_sub(*base).is_some_and(|at| at < *in_memory);
        inside(virtual_) || inside(physical)
    };
    assert!(loads.iter().any(holds) && kernel.entry_offset < kernel.memory_bytes, "entry {entry:#x} of {loads:x?}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::some_bytes;

    #[test]
    fn whatever_is_loaded_is_in_the_file() {
        for seed in 0..4000 {
            elf(&some_bytes(seed, 600));
        }
    }
}
