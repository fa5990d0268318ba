//! Loads and stores of vectors and of single elements, and the permute controls for unaligned ones.

use super::vr;
use crate::{Fields, R, Sem, Vcpu, Width};

/// `(RA|0) + RB`
fn ea<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    let base = s.ra_or_zero(i);
    let b = s.gpr(i.rb());
    s.ea(base, b)
}

/// The same, its low bits cleared as the element's size asks.
fn aligned_ea<S: Sem, I: Fields>(s: &mut S, i: I, size: u64) -> S::Long {
    let ea = ea(s, i);
    let mask = s.long(!(size - 1));
    s.and(ea, mask)
}

/// `lvx`
pub fn lvx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = aligned_ea(s, i, 16);
    let v = s.load_quad(ea)?;
    s.set_vsr(vr(i.vrt()), v);
    Ok(())
}

/// `lvxl`: its hint does nothing here.
pub fn lvxl<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    lvx(s, i)
}

/// `stvx`
pub fn stvx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = aligned_ea(s, i, 16);
    let v = s.vsr(vr(i.vrs()));
    s.store_quad(ea, v)
}

/// `stvxl`: its hint does nothing here.
pub fn stvxl<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    stvx(s, i)
}

/// Bits below the element that `ea` picks: elements go by address in guest order.
fn place(ea: u64, bytes: u32, little_endian: bool) -> u32 {
    let at = (ea & 15) as u32;
    8 * if little_endian { at } else { 16 - bytes - at }
}

/// What the tag of the element helpers holds: VSR, bytes of the element, byte order.
fn element_tag<S: Sem>(s: &mut S, n: usize, width: Width) -> u64 {
    vr(n) as u64 | u64::from(width.bytes()) << 8 | u64::from(s.little_endian()) << 12
}

extern "C" fn insert_element(vcpu: &mut Vcpu, tag: u64, value: u64, ea: u64) -> u64 {
    let bytes = (tag >> 8 & 15) as u32;
    let at = place(ea, bytes, tag & 0x1000 != 0);
    let mask = (1u128 << (8 * bytes)) - 1;
    let t = &mut vcpu.state.vsr[(tag & 63) as usize];
    *t = *t & !(mask << at) | (u128::from(value) & mask) << at;
    0
}

extern "C" fn extract_element(vcpu: &mut Vcpu, tag: u64, ea: u64, _: u64) -> u64 {
    let bytes = (tag >> 8 & 15) as u32;
    (vcpu.state.vsr[(tag & 63) as usize] >> place(ea, bytes, tag & 0x1000 != 0)) as u64
}

/// The other elements, which the manual leaves undefined, keep their values.
fn load_element<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = aligned_ea(s, i, width.bytes().into());
    let value = s.load(ea, width)?;
    let tag = element_tag(s, i.vrt(), width);
    s.call_vsr(insert_element, tag, value, ea);
    Ok(())
}

fn store_element<S: Sem, I: Fields>(s: &mut S, i: I, width: Width) -> R {
    let ea = aligned_ea(s, i, width.bytes().into());
    let tag = element_tag(s, i.vrs(), width);
    let tag = s.long(tag);
    let value = s.call(extract_element, tag, ea, ea);
    s.store(ea, width, value)
}

/// `lvebx`
pub fn lvebx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_element(s, i, Width::Byte)
}

/// `lvehx`
pub fn lvehx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_element(s, i, Width::Half)
}

/// `lvewx`
pub fn lvewx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    load_element(s, i, Width::Word)
}

/// `stvebx`
pub fn stvebx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_element(s, i, Width::Byte)
}

/// `stvehx`
pub fn stvehx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_element(s, i, Width::Half)
}

/// `stvewx`
pub fn stvewx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    store_element(s, i, Width::Word)
}

/// The low four bits of the address in every byte. No sum or difference below carries from byte to byte.
fn offset_bytes<S: Sem, I: Fields>(s: &mut S, i: I) -> S::Long {
    let ea = ea(s, i);
    let fifteen = s.long(15);
    let offset = s.and(ea, fifteen);
    let ones = s.long(0x0101_0101_0101_0101);
    s.mul(offset, ones)
}

/// `lvsl`: bytes `n`, `n + 1`, .. `n + 15`, whatever the byte order.
pub fn lvsl<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let offset = offset_bytes(s, i);
    let (hi, lo) = (s.long(0x0001_0203_0405_0607), s.long(0x0809_0A0B_0C0D_0E0F));
    let (hi, lo) = (s.add(hi, offset), s.add(lo, offset));
    s.set_vsr_pair(vr(i.vrt()), hi, lo);
    Ok(())
}

/// `lvsr`: bytes `16 - n`, .. `31 - n`, whatever the byte order.
pub fn lvsr<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let offset = offset_bytes(s, i);
    let (hi, lo) = (s.long(0x1011_1213_1415_1617), s.long(0x1819_1A1B_1C1D_1E1F));
    let (hi, lo) = (s.sub(hi, offset), s.sub(lo, offset));
    s.set_vsr_pair(vr(i.vrt()), hi, lo);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn elements_go_by_address() {
        assert_eq!((place(0, 1, false), place(15, 1, false)), (120, 0));
        assert_eq!((place(0, 1, true), place(15, 1, true)), (0, 120));
        assert_eq!((place(0x1004, 4, false), place(0x1004, 4, true)), (64, 32));
    }
}
