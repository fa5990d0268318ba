//! What the fixed-point, storage, atomic, branch and system chapters share: the macro that declares their rows,
//! and helpers for what no engine has an operation for.

use crate::{R, Vcpu};
use cpu::{Interrupt, Vector};

/// Declares the semantics of rows: `name(s, i) body`, the body's value being an `R`. Each is inlined into the
/// engine's handler, so that what the type of `i` knows decides its branches.
macro_rules! semantics {
    ($( $(#[$meta:meta])* $name:ident($s:ident, $i:ident) $body:block )*) => { $(
        $(#[$meta])*
        #[inline(always)]
        pub fn $name<S: $crate::Sem, I: $crate::Fields>($s: &mut S, $i: I) -> $crate::R $body
    )* };
}
pub(crate) use semantics;

/// Declares helpers that cannot fail: `name(a, b, c) -> u64` of pure numbers.
macro_rules! pure_helpers {
    ($( $(#[$meta:meta])* $name:ident($a:ident, $b:ident, $c:ident) $body:block )*) => { $(
        $(#[$meta])*
        pub extern "C" fn $name(_: &mut $crate::Vcpu, $a: u64, $b: u64, $c: u64) -> u64 $body
    )* };
}
pub(crate) use pure_helpers;

/// `n` ones at the low end; all for 64 and more.
pub const fn ones(n: u32) -> u64 {
    if n >= 64 { u64::MAX } else { (1 << n) - 1 }
}

/// MASK of the manual: ones from bit `first` to bit `last`, around the end if `first > last`. Bits count from the
/// most significant, both below 64. Without a branch: in an interpreter the operands vary.
#[inline(always)]
pub const fn mask(first: u32, last: u32) -> u64 {
    let straight = (u64::MAX >> first) ^ (u64::MAX >> last >> 1);
    straight ^ ((first > last) as u64).wrapping_neg()
}

/// An alignment interrupt for the address in `ea`.
pub extern "C" fn alignment(v: &mut Vcpu, ea: u64, _: u64, _: u64) -> bool {
    let _: R = v.raise(Interrupt::new(Vector::Alignment, v.cia).with_dar(ea));
    false
}

/// A data storage interrupt for the address in `ea` with DSISR `bits`.
pub extern "C" fn data_storage(v: &mut Vcpu, ea: u64, bits: u64, _: u64) -> bool {
    let _: R = v.raise(Interrupt::new(Vector::DataStorage, v.cia).with_dar(ea).with_dsisr(bits as u32));
    false
}
