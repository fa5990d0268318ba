//! AES rounds, SHA-2 sigma functions and polynomial multiply-sums (Power ISA v3.1, 6.12 "Vector Cryptography").
//!
//! A vector is a `u128` whose most significant byte is byte element 0, as the ISA numbers it.

/// Multiplies two elements of GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197, 4.2).
const fn gf_mul(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = (a << 1) ^ if a & 0x80 != 0 { 0x1b } else { 0 };
        b >>= 1;
    }
    product
}

/// The S-box of FIPS 197, 5.1.1: the multiplicative inverse followed by an affine map.
const SBOX: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut x = 0;
    while x < 256 {
        // x^254 is the inverse, and maps 0 to 0.
        let (mut inverse, mut power, mut n) = (1u8, x as u8, 254);
        while n != 0 {
            if n & 1 != 0 {
                inverse = gf_mul(inverse, power);
            }
            power = gf_mul(power, power);
            n >>= 1;
        }
        let i = inverse;
        table[x] = i ^ i.rotate_left(1) ^ i.rotate_left(2) ^ i.rotate_left(3) ^ i.rotate_left(4) ^ 0x63;
        x += 1;
    }
    table
};

const INV_SBOX: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut x = 0;
    while x < 256 {
        table[SBOX[x] as usize] = x as u8;
        x += 1;
    }
    table
};

/// Row 0 of SBOX followed by MixColumns: byte `x` of row 0 contributes this big-endian column.
const ENCRYPT: [u32; 256] = column_table(&SBOX, [2, 1, 1, 3], true);
/// Column of InvMixColumns for a byte of row 0.
const INV_MIX: [u32; 256] = column_table(&SBOX, [14, 9, 13, 11], false);

const fn column_table(sbox: &[u8; 256], coefficients: [u8; 4], substitute: bool) -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut x = 0;
    while x < 256 {
        let byte = if substitute { sbox[x] } else { x as u8 };
        let mut row = 0;
        while row < 4 {
            table[x] = (table[x] << 8) | gf_mul(byte, coefficients[row]) as u32;
            row += 1;
        }
        x += 1;
    }
    table
}

fn map_bytes(state: u128, table: &[u8; 256]) -> u128 {
    u128::from_be_bytes(state.to_be_bytes().map(|byte| table[usize::from(byte)]))
}

/// `vsbox`: SubBytes.
pub fn vsbox(state: u128) -> u128 {
    map_bytes(state, &SBOX)
}

/// ShiftRows moves the byte in row r, column c to column c - r.
fn shift_rows(state: u128) -> [u8; 16] {
    let s = state.to_be_bytes();
    std::array::from_fn(|i| s[(i + 4 * (i % 4)) % 16])
}

fn inv_shift_rows(state: u128) -> u128 {
    let s = state.to_be_bytes();
    u128::from_be_bytes(std::array::from_fn(|i| s[(i + 16 - 4 * (i % 4)) % 16]))
}

/// Sums the four columns that `table` gives for each column's bytes.
fn mix(state: [u8; 16], table: &[u32; 256]) -> u128 {
    let mut out = 0u128;
    for column in state.chunks_exact(4) {
        let mixed = (0..4).fold(0, |sum, row| sum ^ table[usize::from(column[row])].rotate_right(8 * row as u32));
        out = (out << 32) | u128::from(mixed);
    }
    out
}

/// `vcipher`: one round of AES encryption.
pub fn vcipher(state: u128, round_key: u128) -> u128 {
    mix(shift_rows(state), &ENCRYPT) ^ round_key
}

/// `vcipherlast`: the last round of AES encryption, without MixColumns.
pub fn vcipherlast(state: u128, round_key: u128) -> u128 {
    vsbox(u128::from_be_bytes(shift_rows(state))) ^ round_key
}

/// `vncipher`: one round of AES decryption; the round key is added before InvMixColumns.
pub fn vncipher(state: u128, round_key: u128) -> u128 {
    let keyed = map_bytes(inv_shift_rows(state), &INV_SBOX) ^ round_key;
    mix(keyed.to_be_bytes(), &INV_MIX)
}

/// `vncipherlast`: the last round of AES decryption, without InvMixColumns.
pub fn vncipherlast(state: u128, round_key: u128) -> u128 {
    map_bytes(inv_shift_rows(state), &INV_SBOX) ^ round_key
}

/// `vshasigmaw`: `st` picks the upper-case functions of FIPS 180, bit `i` of the 4-bit `six` picks 1 for word `i`.
pub fn vshasigmaw(src: u128, st: bool, six: u32) -> u128 {
    let mut out = 0u128;
    for i in 0..4 {
        let x = (src >> (96 - 32 * i)) as u32;
        let y = match (st, (six >> (3 - i)) & 1 != 0) {
            (false, false) => x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3),
            (false, true) => x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10),
            (true, false) => x.rotate_right(2) ^ x.rotate_right(13) ^ x.rotate_right(22),
            (true, true) => x.rotate_right(6) ^ x.rotate_right(11) ^ x.rotate_right(25),
        };
        out = (out << 32) | u128::from(y);
    }
    out
}

/// `vshasigmad`: as [`vshasigmaw`] for doublewords; bits 0 and 2 of the 4-bit `six` are for doublewords 0 and 1.
pub fn vshasigmad(src: u128, st: bool, six: u32) -> u128 {
    let mut out = 0u128;
    for i in 0..2 {
        let x = (src >> (64 - 64 * i)) as u64;
        let y = match (st, (six >> (3 - 2 * i)) & 1 != 0) {
            (false, false) => x.rotate_right(1) ^ x.rotate_right(8) ^ (x >> 7),
            (false, true) => x.rotate_right(19) ^ x.rotate_right(61) ^ (x >> 6),
            (true, false) => x.rotate_right(28) ^ x.rotate_right(34) ^ x.rotate_right(39),
            (true, true) => x.rotate_right(14) ^ x.rotate_right(18) ^ x.rotate_right(41),
        };
        out = (out << 64) | u128::from(y);
    }
    out
}

/// Carry-less product of two 64-bit polynomials.
fn clmul(a: u64, b: u64) -> u128 {
    let mut product = 0;
    let mut rest = b;
    while rest != 0 {
        product ^= u128::from(a) << rest.trailing_zeros();
        rest &= rest - 1;
    }
    product
}

/// Multiplies each pair of elements as polynomials and sums the products of each even/odd pair.
fn vpmsum(a: u128, b: u128, width_bits: u32) -> u128 {
    let mask = u128::MAX >> (128 - width_bits);
    let mut out = 0u128;
    let mut at = 0;
    while at < 128 {
        let product = |shift: u32| clmul(((a >> shift) & mask) as u64, ((b >> shift) & mask) as u64);
        out |= (product(at) ^ product(at + width_bits)) << at;
        at += 2 * width_bits;
    }
    out
}

/// `vpmsumb`.
pub fn vpmsumb(a: u128, b: u128) -> u128 {
    vpmsum(a, b, 8)
}

/// `vpmsumh`.
pub fn vpmsumh(a: u128, b: u128) -> u128 {
    vpmsum(a, b, 16)
}

/// `vpmsumw`.
pub fn vpmsumw(a: u128, b: u128) -> u128 {
    vpmsum(a, b, 32)
}

/// `vpmsumd`.
pub fn vpmsumd(a: u128, b: u128) -> u128 {
    vpmsum(a, b, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 197, appendix B: key 2b7e.., input 3243...
    #[test]
    fn fips_197_appendix_b() {
        let mut keys = vec![0x2b7e1516_28aed2a6_abf71588_09cf4f3cu128];
        let mut rcon = 1u8;
        for _ in 0..10 {
            let last = *keys.last().unwrap();
            let w3 = last as u32;
            let word = w3.rotate_left(8).to_be_bytes().map(|byte| SBOX[usize::from(byte)]);
            let mut w = u32::from_be_bytes(word) ^ (u32::from(rcon) << 24);
            let mut key = 0u128;
            for i in 0..4 {
                w ^= (last >> (96 - 32 * i)) as u32;
                key = (key << 32) | u128::from(w);
            }
            keys.push(key);
            rcon = gf_mul(rcon, 2);
        }
        assert_eq!(keys[10], 0xd014f9a8_c9ee2589_e13f0cc8_b6630ca6);
        let plain = 0x3243f6a8_885a308d_313198a2_e0370734u128;
        let mut state = plain ^ keys[0];
        for key in &keys[1..10] {
            state = vcipher(state, *key);
        }
        let cipher = vcipherlast(state, keys[10]);
        assert_eq!(cipher, 0x3925841d_02dc09fb_dc118597_196a0b32);
        // The straightforward inverse cipher: the key goes in before InvMixColumns, as vncipher has it.
        let mut state = cipher ^ keys[10];
        for key in keys[1..10].iter().rev() {
            state = vncipher(state, *key);
        }
        assert_eq!(vncipherlast(state, keys[0]), plain);
    }

    #[test]
    fn sigma_picks_by_element() {
        let x = 0x80000000_80000000_80000000_80000000u128;
        let s0 = 0x80000000u32.rotate_right(7) ^ 0x80000000u32.rotate_right(18) ^ (0x80000000u32 >> 3);
        let s1 = 0x80000000u32.rotate_right(17) ^ 0x80000000u32.rotate_right(19) ^ (0x80000000u32 >> 10);
        let r = vshasigmaw(x, false, 0b1000);
        assert_eq!((r >> 96) as u32, s1);
        assert_eq!(r as u32, s0);
        let d = vshasigmad(1u128 << 64 | 1, true, 0b1000);
        assert_eq!((d >> 64) as u64, 1u64.rotate_right(14) ^ 1u64.rotate_right(18) ^ 1u64.rotate_right(41));
        assert_eq!(d as u64, 1u64.rotate_right(28) ^ 1u64.rotate_right(34) ^ 1u64.rotate_right(39));
    }

    #[test]
    fn polynomial_sums() {
        assert_eq!(vpmsumd(3u128 << 64 | 7, 3u128 << 64 | 5), 0b101 ^ 0b11011);
        assert_eq!(vpmsumb(u128::MAX, u128::MAX), 0);
        assert_eq!(vpmsumb(0xff, 0xff), 0x5555);
        assert_eq!(vpmsumw(0x8000_0000, 2), 1 << 32);
        assert_eq!(vpmsumh(0x8000_0000, 0x0002_0000), 1 << 16);
    }
}
