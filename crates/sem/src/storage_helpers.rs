//! Helpers of the storage rows: strings, return address protection, copy and paste.

use crate::helpers::data_storage;
use crate::{R, Vcpu, fallible};
use cpu::bits::{msr, srr1};
use memory::radix::Access;

/// Bytes of `lswx` and `stswx`: XER bits 57:63.
pub extern "C" fn string_length(v: &mut Vcpu, _: u64, _: u64, _: u64) -> u64 {
    v.state.xer_count.into()
}

/// Makes sure that a string of `bytes` at `ea` can be loaded, or stored if `store`.
pub extern "C" fn probe_string(v: &mut Vcpu, ea: u64, bytes: u64, store: u64) -> bool {
    let access = if store != 0 { Access::Store } else { Access::Load };
    fallible(v, |v| v.probe(ea, bytes, access).map(|()| 0))
}

/// The first `left` bytes at `ea`, four at most, left-justified in a word: what one register of a string holds.
pub extern "C" fn load_string_part(v: &mut Vcpu, ea: u64, left: u64, _: u64) -> bool {
    fallible(v, |v| {
        let mut bytes = [0; 4];
        v.read_guest(ea, &mut bytes[..left.min(4) as usize])?;
        Ok(u32::from_be_bytes(bytes).into())
    })
}

/// Stores the first `left` bytes, four at most, of the word in `value`.
pub extern "C" fn store_string_part(v: &mut Vcpu, ea: u64, left: u64, value: u64) -> bool {
    let bytes = (value as u32).to_be_bytes();
    fallible(v, |v| v.write_guest(ea, &bytes[..left.min(4) as usize]).map(|()| 0))
}

/// `dcbz`: the block at `ea`, which is aligned, becomes zero.
pub extern "C" fn zero_block(v: &mut Vcpu, ea: u64, bytes: u64, _: u64) -> bool {
    fallible(v, |v| v.zero_block(ea, bytes).map(|()| 0))
}

// --- hash (Power ISA 3.1B, Book I, 3.3.18; Book III, 9) ---

/// DEXCR aspect 5: hashst and hashchk are enabled.
const NPHIE: u32 = 5;
/// DEXCR aspect 6: hashstp and hashchkp are enabled.
const PHIE: u32 = 6;

/// Whether an aspect is on: bits 0:31 of DEXCR say so for privileged state, bits 32:63 for problem state.
fn aspect(v: &Vcpu, number: u32) -> bool {
    let first = if v.state.msr & msr::PR != 0 { 32 } else { 0 };
    v.state.spr.dexcr >> (63 - first - number) & 1 != 0
}

/// Rounds of SIMON with words of 16 and a key of 64 bits.
const ROUNDS: usize = 32;
/// SIMON's constant sequence z0, the first element in the most significant bit.
const Z0: u64 = 0xFA25_61CD_F44A_C398;

/// The manual's SIMON-like function of 32 bits: SIMON 32/64, but that `lane` rotates the round keys within each
/// group of four, and that the halves change places on the way in and out.
fn simon_like(x: u32, key: u64, lane: usize) -> u32 {
    let mut k = [0u16; ROUNDS];
    for (n, word) in k.iter_mut().take(4).enumerate() {
        *word = (key >> (48 - 16 * n)) as u16;
    }
    for n in 4..ROUNDS {
        let t = k[n - 1].rotate_right(3) ^ k[n - 3];
        let z = (Z0 >> (63 - (n - 4)) & 1) as u16;
        k[n] = !3 ^ z ^ k[n - 4] ^ t ^ t.rotate_right(1);
    }
    let (mut left, mut right) = (x as u16, (x >> 16) as u16);
    for n in 0..ROUNDS {
        let f = left.rotate_left(1) & left.rotate_left(8) ^ left.rotate_left(2);
        (left, right) = (right ^ f ^ k[n & !3 | (n + lane) & 3], left);
    }
    u32::from(right) << 16 | u32::from(left)
}

/// The digest of the manual: bytes of `b` from the low end and of `a` from the high end in turn, four words of
/// which are hashed, each in its lane.
fn digest(a: u64, b: u64, key: u64) -> u64 {
    let (a, b) = (a.to_be_bytes(), b.to_le_bytes());
    let mut mixed = [0u8; 16];
    for n in 0..8 {
        mixed[2 * n] = b[n];
        mixed[2 * n + 1] = a[n];
    }
    let lane = |n: usize| {
        let word = std::array::from_fn(|k| mixed[4 * n + k]);
        u64::from(simon_like(u32::from_be_bytes(word), key, n))
    };
    (lane(0) << 32 | lane(1)) ^ (lane(2) << 32 | lane(3))
}

fn store_hash(v: &mut Vcpu, ea: u64, a: u64, b: u64, privileged: bool) -> R<u64> {
    let (number, key) = keys(v, privileged);
    if aspect(v, number) {
        v.store(ea, 8, digest(a, b, key))?;
    }
    Ok(0)
}

fn check_hash(v: &mut Vcpu, ea: u64, a: u64, b: u64, privileged: bool) -> R<u64> {
    let (number, key) = keys(v, privileged);
    if aspect(v, number) && v.load(ea, 8)? != digest(a, b, key) {
        return v.raise_program(srr1::PROGRAM_TRAP);
    }
    Ok(0)
}

fn keys(v: &Vcpu, privileged: bool) -> (u32, u64) {
    if privileged { (PHIE, v.state.spr.hashpkeyr) } else { (NPHIE, v.state.spr.hashkeyr) }
}

/// `hashst`: stores the hash of `a` and `b` at `ea`.
pub extern "C" fn hashst(v: &mut Vcpu, ea: u64, a: u64, b: u64) -> bool {
    fallible(v, |v| store_hash(v, ea, a, b, false))
}
/// `hashchk`: traps if the hash at `ea` is not that of `a` and `b`.
pub extern "C" fn hashchk(v: &mut Vcpu, ea: u64, a: u64, b: u64) -> bool {
    fallible(v, |v| check_hash(v, ea, a, b, false))
}
/// `hashstp`.
pub extern "C" fn hashstp(v: &mut Vcpu, ea: u64, a: u64, b: u64) -> bool {
    fallible(v, |v| store_hash(v, ea, a, b, true))
}
/// `hashchkp`.
pub extern "C" fn hashchkp(v: &mut Vcpu, ea: u64, a: u64, b: u64) -> bool {
    fallible(v, |v| check_hash(v, ea, a, b, true))
}

// --- copy and paste ---

/// DSISR: storage that a copy or paste. cannot have (bit 60).
const BAD_COPY_PASTE: u64 = 0x8;

/// `copy`: the block must be aligned and loadable.
pub extern "C" fn copy_block(v: &mut Vcpu, ea: u64, bytes: u64, _: u64) -> bool {
    fallible(v, |v| {
        v.check_aligned(ea, bytes as u32)?;
        v.probe(ea, bytes, Access::Load).map(|()| 0)
    })
}

/// `paste.`: no storage of the machine takes it.
pub extern "C" fn paste_block(v: &mut Vcpu, ea: u64, bytes: u64, _: u64) -> bool {
    fallible(v, |v| {
        v.check_aligned(ea, bytes as u32)?;
        v.probe(ea, bytes, Access::Store).map(|()| 0)
    }) && data_storage(v, ea, BAD_COPY_PASTE | u64::from(cpu::bits::dsisr::STORE), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lane_is_simon_with_its_halves_swapped() {
        // The test vector of SIMON 32/64: plain text 6565 6877, cipher text c69b e9bb.
        assert_eq!(simon_like(0x6877_6565, 0x0100_0908_1110_1918, 0), 0xE9BB_C69B);
        assert_ne!(simon_like(0x6877_6565, 0x0100_0908_1110_1918, 1), 0xE9BB_C69B);
    }
}
