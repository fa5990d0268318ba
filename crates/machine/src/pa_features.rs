//! `ibm,pa-features`: what the processor of the partition can do, a byte (seldom a few bits of one) a facility.
//!
//! Layout: LoPAPR, "ibm,pa-features": length, type 0, then the attribute bytes. The guest takes a byte that is not there
//! for zero, so that each level of the architecture has a length of its own.

use hypervisor::capability::{Cap, Capabilities, IsaLevel};

/// One attribute byte.
struct Attribute {
    byte: usize,
    value: u8,
    /// First level that has it.
    since: IsaLevel,
    /// The capability that it follows, if any.
    cap: Option<Cap>,
}

const fn since_2_06(byte: usize, value: u8) -> Attribute {
    Attribute { byte, value, since: IsaLevel::V2_06, cap: None }
}
const fn since_2_07(byte: usize, value: u8) -> Attribute {
    Attribute { byte, value, since: IsaLevel::V2_07, cap: None }
}
const fn since_3_0(byte: usize, value: u8) -> Attribute {
    Attribute { byte, value, since: IsaLevel::V3_0, cap: None }
}
const fn since_3_1(byte: usize, value: u8) -> Attribute {
    Attribute { byte, value, since: IsaLevel::V3_1, cap: None }
}

/// Not in here, and so not told to the guest: strong access ordering (byte 1, 0x40 with its page attribute),
/// transactional memory (byte 22) and `copy`/`paste.` (byte 38).
const ATTRIBUTES: [Attribute; 32] = [
    // MMU, floating point, SLB, run latch, DABR, no-execute.
    since_2_06(0, 0xf6),
    // fri[nzpm], DABRX, SPRG3 readable, SLB page sizes and the rest of ISA 2.06.
    since_2_06(1, 0x3f),
    since_2_06(2, 0xc7),
    // Load/store data stream controls.
    since_2_06(3, 0xc0),
    // Little-endian, CFAR, event-based, lq/stq.
    since_2_06(5, 0xf0),
    since_2_07(6, 0x80),
    // VMX.
    since_2_07(16, 0x80),
    // VSX.
    Attribute { byte: 18, value: 0x80, since: IsaLevel::V2_07, cap: Some(Cap::Vsx) },
    // VMX crypto and the rest of ISA 2.07's categories.
    since_2_07(20, 0x80),
    // External decrementer.
    since_3_0(24, 0x80),
    // 64-bit facilities.
    since_3_0(26, 0x80),
    // Performance monitor.
    since_3_0(28, 0x80),
    // Memory management, radix included (40).
    since_3_0(32, 0x80),
    // Event-based branches.
    since_3_0(34, 0xc0),
    since_3_0(40, 0x80),
    since_3_0(42, 0x80),
    // pc-relative addpcis and target address register.
    since_3_0(44, 0x80),
    // System call vectored.
    since_3_0(46, 0x80),
    // Vector instructions of ISA 3.0.
    since_3_0(48, 0x80),
    // Binary floating point of 128 bits.
    since_3_0(50, 0x80),
    // String instructions.
    since_3_0(52, 0x80),
    // Decimal floating point.
    Attribute { byte: 54, value: 0x80, since: IsaLevel::V3_0, cap: Some(Cap::Dfp) },
    // Decimal integers.
    since_3_0(56, 0x80),
    // Secure hashes.
    since_3_0(58, 0x80),
    // Atomics in memory.
    since_3_0(60, 0x80),
    // Random numbers.
    since_3_0(62, 0x80),
    // Second watchpoint.
    Attribute { byte: 64, value: 0x80, since: IsaLevel::V3_1, cap: Some(Cap::Dawr1) },
    // Dynamic execution control.
    since_3_1(68, 0xce),
    // hashst and hashchk.
    since_3_1(72, 0x80),
    // Lengths: a byte of zero at the end of each level.
    since_2_07(23, 0),
    since_3_0(65, 0),
    since_3_1(73, 0),
];

/// Where in the property radix translation is told of, behind length and type.
pub const PA_FEATURES_RADIX: usize = 2 + 40;

/// The property for a guest that sees `level`.
pub fn pa_features(level: IsaLevel, capabilities: &Capabilities) -> Vec<u8> {
    let have = |attribute: &&Attribute| attribute.since <= level;
    let length = ATTRIBUTES.iter().filter(have).map(|attribute| attribute.byte + 1).max().unwrap_or(0);
    let mut bytes = vec![0; 2 + length];
    bytes[0] = length as u8;
    for attribute in ATTRIBUTES.iter().filter(have) {
        if attribute.cap.is_none_or(|cap| capabilities.is_on(cap)) {
            bytes[2 + attribute.byte] |= attribute.value;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypervisor::capability::{CapBasis, resolve};

    fn cells(level: IsaLevel, options: &[(&str, &str)]) -> Vec<u32> {
        let (capabilities, _) = resolve(options, CapBasis { cpu: level, compat: None }).unwrap();
        pa_features(level, &capabilities)
            .chunks(4)
            .map(|cell| cell.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)))
            .collect()
    }

    /// As the trees of running partitions have it.
    #[test]
    fn as_verified_trees_have_it() {
        let power9 = [
            0x4200_f63f,
            0xc7c0_00f0,
            0x8000_0000,
            0x00,
            0x8000,
            0x8000_8000,
            0x8000,
            0x8000_8000,
            0x8000,
            0xc000_0000,
            0x8000,
            0x8000_8000,
            0x8000_8000,
            0x8000_8000,
            0x8000_8000,
            0x8000_8000,
            0x8000_0000,
        ];
        assert_eq!(cells(IsaLevel::V3_0, &[]), power9);
        let mut power10 = power9.to_vec();
        power10[0] = 0x4a00_f63f;
        power10[16] = 0x8000_8000;
        power10.extend([0xce00, 0x8000]);
        assert_eq!(cells(IsaLevel::V3_1, &[]), power10);
    }

    #[test]
    fn what_is_switched_off_is_not_told() {
        let all = pa_features(IsaLevel::V3_1, &resolve(&[], basis()).unwrap().0);
        let less = pa_features(
            IsaLevel::V3_1,
            &resolve(&[("vsx", "off"), ("dfp", "off"), ("dawr1", "off")], basis()).unwrap().0,
        );
        let differing: Vec<usize> = (0..all.len()).filter(|&at| all[at] != less[at]).collect();
        assert_eq!(differing, [2 + 18, 2 + 54, 2 + 64]);
    }

    fn basis() -> CapBasis {
        CapBasis { cpu: IsaLevel::V3_1, compat: None }
    }
}
