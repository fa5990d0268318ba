//! The prefixed instructions of VSX that choose bit by bit, element by element or byte by byte among three registers.

use crate::vec_value::{Element, permute_value};
use crate::vmx::vsr_helper;
use crate::{Fields, Helper, Lane, R, Sem, VecOp};

/// Elements of XB where those of XC have their sign bit set, else of XA.
fn blend<S: Sem, I: Fields>(s: &mut S, i: I, lane: Lane) -> R {
    let [a, b, c] = [i.xa(), i.xb(), i.xc()].map(|n| s.vsr(n));
    let zero = s.vec_const(0);
    let mask = s.vec_op(VecOp::GreaterSigned(lane), zero, c);
    let v = s.vec_select(a, b, mask);
    s.set_vsr(i.xt(), v);
    Ok(())
}

/// `xxblendvb`
pub fn xxblendvb<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    blend(s, i, Lane::B)
}

/// `xxblendvh`
pub fn xxblendvh<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    blend(s, i, Lane::H)
}

/// `xxblendvw`
pub fn xxblendvw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    blend(s, i, Lane::W)
}

/// `xxblendvd`
pub fn xxblendvd<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    blend(s, i, Lane::D)
}

/// Calls a helper on XA and XB with `imm` and XC's number behind the target's in the tag.
fn call<S: Sem, I: Fields>(s: &mut S, i: I, f: Helper, imm: u32) -> R {
    let (a, b) = (s.long(i.xa() as u64), s.long(i.xb() as u64));
    s.call_vsr(f, i.xt() as u64 | (i.xc() as u64) << 8 | u64::from(imm) << 16, a, b);
    Ok(())
}

/// A permute of which only the bytes whose number has `section` in its three high bits count; the others are zero.
fn permute_section(a: u128, b: u128, c: u128, section: u8) -> u128 {
    let counts = u8::map(c, |n| if n >> 5 == section { 0xFF } else { 0 });
    permute_value(a, b, c) & counts
}

/// The function of three bits whose results are the bits of `table`, that of 000 being the leftmost.
fn evaluate(a: u128, b: u128, c: u128, table: u32) -> u128 {
    let of = |v: u128, bit: u32| if bit != 0 { v } else { !v };
    (0..8).filter(|n| table >> (7 - n) & 1 != 0).fold(0, |out, n| out | of(a, n & 4) & of(b, n & 2) & of(c, n & 1))
}

/// `xxpermx`
pub fn xxpermx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| {
        permute_section(a, b, vcpu.state.vsr[(imm & 63) as usize], (imm >> 8 & 7) as u8)
    });
    call(s, i, helper, i.uim_x())
}

/// `xxeval`
pub fn xxeval<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| {
        evaluate(a, b, vcpu.state.vsr[(imm & 63) as usize], imm >> 8 & 0xFF)
    });
    call(s, i, helper, i.imm8_x())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_tables() {
        let (a, b, c) = (0xF0, 0xCC, 0xAA);
        for (table, value) in [(0b0000_0001, a & b & c), (0b0111_1111, a | b | c), (0b0110_1001, a ^ b ^ c), (0, 0)] {
            assert_eq!(evaluate(a, b, c, table) & 0xFF, value, "{table:#b}");
        }
    }

    #[test]
    fn only_one_section_counts() {
        let a = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff;
        assert_eq!(permute_section(a, !a, 0x2141_3120 << 96, 1) >> 96, 0x1100_ee00);
        assert_eq!(permute_section(a, !a, 0x4F2F_4F6F << 96, 2) >> 96, 0xff00_ff00);
    }
}
