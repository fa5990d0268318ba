//! AES, SHA-2, polynomial multiply-sum and decimal integers: [`arith`] computes, here they get their operands.

use super::{helpers_ab, vr, vsr_helper};
use crate::{Fields, Helper, R, Sem, Vcpu};
use arith::{bcd, crypto};

helpers_ab! {
    vcipher: |a, b| crypto::vcipher(a, b);
    vcipherlast: |a, b| crypto::vcipherlast(a, b);
    vncipher: |a, b| crypto::vncipher(a, b);
    vncipherlast: |a, b| crypto::vncipherlast(a, b);
    vpmsumb: |a, b| crypto::vpmsumb(a, b);
    vpmsumh: |a, b| crypto::vpmsumh(a, b);
    vpmsumw: |a, b| crypto::vpmsumw(a, b);
    vpmsumd: |a, b| crypto::vpmsumd(a, b);
}

/// `vsbox`
pub fn vsbox<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| crypto::vsbox(a));
    super::call(s, helper, i.vrt(), 0, i.vra(), 0)
}

/// `vshasigmaw`
pub fn vshasigmaw<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| crypto::vshasigmaw(a, imm & 16 != 0, imm & 15));
    super::call(s, helper, i.vrt(), u64::from(i.st()) << 4 | u64::from(i.six()), i.vra(), 0)
}

/// `vshasigmad`
pub fn vshasigmad<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    vsr_helper!(helper, |vcpu, imm, old, a, b| crypto::vshasigmad(a, imm & 16 != 0, imm & 15));
    super::call(s, helper, i.vrt(), u64::from(i.st()) << 4 | u64::from(i.six()), i.vra(), 0)
}

// --- decimal integers: the result goes to VRT, the helper returns CR field 6 ---

fn call_bcd<S: Sem, I: Fields>(s: &mut S, i: I, f: Helper, ps: bool) -> R {
    let tag = s.long(vr(i.vrt()) as u64 | u64::from(ps) << 8);
    let (a, b) = (s.long(vr(i.vra()) as u64), s.long(vr(i.vrb()) as u64));
    let field = s.call(f, tag, a, b);
    s.set_cr_field(6, field);
    Ok(())
}

macro_rules! decimals {
    ($($name:ident: |$a:ident, $b:ident, $ps:ident| $f:expr, $has_ps:literal;)*) => { $(
        #[doc = concat!("`", stringify!($name), "`")]
        pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
            extern "C" fn helper(vcpu: &mut Vcpu, tag: u64, a: u64, b: u64) -> u64 {
                let v = &mut vcpu.state.vsr;
                let ($a, $b, $ps) = (v[(a & 63) as usize], v[(b & 63) as usize], tag & 0x100 != 0);
                let _ = ($a, $ps);
                let (value, field): bcd::Bcd = $f;
                v[(tag & 63) as usize] = value;
                field.into()
            }
            call_bcd(s, i, helper, $has_ps && i.ps())
        }
    )* };
}

decimals! {
    bcdadd_: |a, b, ps| bcd::bcdadd(a, b, ps), true;
    bcdsub_: |a, b, ps| bcd::bcdsub(a, b, ps), true;
    bcdcpsgn_: |a, b, ps| bcd::bcdcpsgn(a, b), false;
    bcdus_: |a, b, ps| bcd::bcdus(a, b), false;
    bcds_: |a, b, ps| bcd::bcds(a, b, ps), true;
    bcdsr_: |a, b, ps| bcd::bcdsr(a, b, ps), true;
    bcdtrunc_: |a, b, ps| bcd::bcdtrunc(a, b, ps), true;
    bcdutrunc_: |a, b, ps| bcd::bcdutrunc(a, b), false;
    bcdctsq_: |a, b, ps| bcd::bcdctsq(b), false;
    bcdcfsq_: |a, b, ps| bcd::bcdcfsq(b, ps), true;
    bcdctz_: |a, b, ps| bcd::bcdctz(b, ps), true;
    bcdcfz_: |a, b, ps| bcd::bcdcfz(b, ps), true;
    bcdctn_: |a, b, ps| bcd::bcdctn(b), false;
    bcdcfn_: |a, b, ps| bcd::bcdcfn(b, ps), true;
    bcdsetsgn_: |a, b, ps| bcd::bcdsetsgn(b, ps), true;
}
