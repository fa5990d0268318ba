//! Tiny kernels, made of a few instructions.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the test kernels are linked to, and entered.
pub const BASE: u64 = 0x40_0000;
/// Offset in bytes of the power-off call's arguments in a test kernel.
pub const POWER_OFF_ARGS: u64 = 0x800;
/// e_machine of 64-bit PowerPC.
pub const PPC64: u16 = 21;

/// A file below the test's own directory.
pub fn file(name: &str, content: &[u8]) -> String {
    let path = directory().join(name);
    fs::write(&path, content).unwrap();
    text(&path)
}

/// Where the files of these tests lie.
pub fn directory() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program");
    fs::create_dir_all(&path).unwrap();
    path
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// What an ELF file says of itself.
pub struct Elf {
    pub class: u8,
    pub machine: u16,
    pub kind: u16,
    pub memory_bytes: u64,
}

/// What the emulator takes.
pub const GOOD: Elf = Elf { class: 2, machine: PPC64, kind: 2, memory_bytes: 0x1000 };

/// A little-endian ELF file with one segment at [`BASE`] (System V gABI, chapters 4 and 5).
pub fn elf(elf: &Elf, code: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', elf.class, 1, 1, 0];
    bytes.resize(16, 0);
    for half in [elf.kind, elf.machine] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1u32.to_le_bytes());
    for double in [BASE, 64, 0] {
        bytes.extend(double.to_le_bytes());
    }
    bytes.extend(2u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    for word in [1u32, 7] {
        bytes.extend(word.to_le_bytes());
    }
    for double in [0x1000, BASE, BASE, 0x1000, elf.memory_bytes, 0x1000] {
        bytes.extend(double.to_le_bytes());
    }
    bytes.resize(0x1000, 0);
    bytes.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    bytes.resize(0x1000 + POWER_OFF_ARGS as usize, 0);
    // RTAS power-off: token, two arguments, one result; always big-endian.
    bytes.extend([0x2003u32, 2, 1, u32::MAX, u32::MAX].iter().flat_map(|word| word.to_be_bytes()));
    bytes.resize(0x2000, 0);
    bytes
}

/// Instructions that put `value` into a register: lis, ori, sldi, oris, ori.
pub fn load(register: u32, value: u64) -> [u32; 5] {
    let part = |shift: u32| (value >> shift) as u32 & 0xffff;
    let both = (register << 21) | (register << 16);
    [
        0x3c00_0000 | (register << 21) | part(48),
        0x6000_0000 | both | part(32),
        0x7800_07c6 | both,
        0x6400_0000 | both | part(16),
        0x6000_0000 | both | part(0),
    ]
}

/// `sc 1` with r3 and up.
pub fn hypercall(registers: &[u64]) -> Vec<u32> {
    let mut code: Vec<u32> = registers.iter().zip(3..).flat_map(|(&value, register)| load(register, value)).collect();
    code.push(0x4400_0022);
    code
}

/// H_RTAS (0xf000) with power-off's arguments.
pub fn power_off() -> Vec<u32> {
    hypercall(&[0xf000, BASE + POWER_OFF_ARGS])
}
