//! Prefixed instructions (Power ISA 3.1B, Book I, 1.6.3): loads, stores and `paddi` resolve to the plain form of
//! their suffix; the VSX ones with a 32-bit immediate stand here.
//!
//! R=1 with RA other than 0 is an invalid form; here RA is not looked at then.
#![allow(missing_docs)] // a function a row: the table names it, the manual says what it does

pub use crate::mma::masked::*;
pub use crate::vsx_select::*;
use crate::{Fields, R, Sem, fixed, fp, storage, vsx};
use isa::Prefixed;

macro_rules! resolves {
    ($( $name:ident $chapter:ident $plain:ident; )*) => { $(
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            $chapter::$plain(s, Prefixed(i.raw()))
        }
    )* };
}

resolves! {
    paddi fixed addi;
    plwz storage lwz;
    plbz storage lbz;
    plhz storage lhz;
    plha storage lha;
    plwa storage lwa;
    pld storage ld;
    plq storage lq;
    pstw storage stw;
    pstb storage stb;
    psth storage sth;
    pstd storage std;
    pstq storage stq;
    plfs fp lfs;
    plfd fp lfd;
    pstfs fp stfs;
    pstfd fp stfd;
    plxsd vsx lxsd;
    plxssp vsx lxssp;
    pstxsd vsx stxsd;
    pstxssp vsx stxssp;
    plxv vsx lxv;
    pstxv vsx stxv;
    plxvp vsx lxvp;
    pstxvp vsx stxvp;
}

/// Does nothing.
pub fn pnop<S: Sem, I: Fields>(_: &mut S, _: I) -> R {
    Ok(())
}

/// The immediate in each word.
pub fn xxspltiw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let v = s.vec_const(u128::from(i.imm32()) * 0x0000_0001_0000_0001_0000_0001_0000_0001);
    s.set_vsr(i.xt_8rr(), v);
    Ok(())
}

/// The immediate, a single, as a double in each doubleword.
pub fn xxspltidp<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let single = s.long(i.imm32());
    let double = s.double_from_single(single);
    s.set_vsr_pair(i.xt_8rr(), double, double);
    Ok(())
}

/// The immediate in word IX of each doubleword; the other words stay.
pub fn xxsplti32dx<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let shift = if i.ix() == 0 { 32 } else { 0 };
    let keep = s.long(0xFFFF_FFFF_0000_0000 >> shift);
    let new = s.long(i.imm32() << shift);
    let old = s.vsr(i.xt_8rr());
    let (hi, lo) = s.vec_halves(old);
    let (hi, lo) = (s.and(hi, keep), s.and(lo, keep));
    let (hi, lo) = (s.or(hi, new), s.or(lo, new));
    s.set_vsr_pair(i.xt_8rr(), hi, lo);
    Ok(())
}
