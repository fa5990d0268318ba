//! Chapter `mma`: the matrix-multiply assist (Power ISA v3.1, Book I 7.6.1.11), and in [`masked`] its prefixed forms.
//!
//! Accumulator `n` is VSRs `4 n` to `4 n + 3`, which the Power ISA allows: moving one to the other does nothing.

use crate::float::{interrupts, settle};
use crate::{Fallible, Fields, R, Sem, Vcpu, fallible, vmx};
use arith::fp::{BFloat, Control, Float, Half};
use arith::fpscr::{Flags, Status, fpscr_apply};
use arith::mma::{self, Accumulator, Form, Integers, Masks};
use cpu::bits::srr1;

/// `xxmfacc`: the VSRs have it.
pub fn xxmfacc<S: Sem, I: Fields>(_: &mut S, _: I) -> R {
    Ok(())
}

/// `xxmtacc`: the VSRs have it.
pub fn xxmtacc<S: Sem, I: Fields>(_: &mut S, _: I) -> R {
    Ok(())
}

/// `xxsetaccz`
pub fn xxsetaccz<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    for row in 0..4 {
        let zero = s.vec_const(0);
        s.set_vsr(4 * i.at() + row, zero);
    }
    Ok(())
}

/// Calls a helper with the accumulator and the VSRs of A and B, and the masks.
fn outer<S: Sem, I: Fields>(s: &mut S, i: I, a: usize, masks: Masks, helper: Fallible) -> R {
    let registers = s.long(i.at() as u64 | (a as u64) << 8 | (i.xb() as u64) << 16);
    let masks = s.long(u64::from(masks.rows | masks.columns << 8 | masks.products << 16));
    let zero = s.long(0);
    s.try_call(helper, registers, masks, zero)?;
    Ok(())
}

/// Body of a helper: the accumulator becomes what `f` makes of it, of VSR A and the next, and of VSR B.
fn with(
    vcpu: &mut Vcpu,
    registers: u64,
    masks: u64,
    f: impl FnOnce(&mut Vcpu, &mut Accumulator, [u128; 2], u128, Masks) -> R<u64>,
) -> bool {
    fallible(vcpu, |vcpu| {
        let first = 4 * (registers & 7) as usize;
        let vsr = |n: u64| vcpu.state.vsr[(n & 63) as usize];
        let (a, b) = ([vsr(registers >> 8), vsr((registers >> 8) + 1)], vsr(registers >> 16));
        let field = |shift: u32| (masks >> shift) as u32 & 0xFF;
        let masks = Masks { rows: field(0), columns: field(8), products: field(16) };
        let mut acc: Accumulator = std::array::from_fn(|row| vcpu.state.vsr[first + row]);
        let result = f(vcpu, &mut acc, a, b, masks);
        vcpu.state.vsr[first..first + 4].copy_from_slice(&acc);
        result
    })
}

/// Body of a helper of integers.
fn integers(vcpu: &mut Vcpu, registers: u64, masks: u64, what: Integers) -> bool {
    with(vcpu, registers, masks, |vcpu, acc, [a, _], b, masks| {
        let saturated = mma::integers(acc, (a, b), masks, what);
        vmx::note_saturation(vcpu, saturated);
        Ok(0)
    })
}

/// Body of a helper of floating point. The accumulator is written also where an enabled exception interrupts.
fn floats(
    vcpu: &mut Vcpu,
    registers: u64,
    masks: u64,
    f: impl FnOnce(&mut Accumulator, [u128; 2], u128, Masks, Control) -> Flags,
) -> bool {
    with(vcpu, registers, masks, |vcpu, acc, a, b, masks| {
        let flags = f(acc, a, b, masks, Control::from_fpscr(vcpu.state.fpscr));
        settle(vcpu);
        let applied = fpscr_apply(vcpu.state.fpscr, flags, Status::Exceptions);
        vcpu.state.fpscr = applied.fpscr;
        match applied.exception_enabled && interrupts(vcpu) {
            true => vcpu.raise_program(srr1::PROGRAM_FP),
            false => Ok(0),
        }
    })
}

fn pair<F: Float<Bits = u16>>(vcpu: &mut Vcpu, registers: u64, masks: u64, form: Form) -> bool {
    floats(vcpu, registers, masks, |acc, [a, _], b, masks, k| mma::pairs::<F>(acc, (a, b), masks, form, k))
}

fn single(vcpu: &mut Vcpu, registers: u64, masks: u64, form: Form) -> bool {
    floats(vcpu, registers, masks, |acc, [a, _], b, masks, k| mma::singles(acc, (a, b), masks, form, k))
}

fn double(vcpu: &mut Vcpu, registers: u64, masks: u64, form: Form) -> bool {
    floats(vcpu, registers, masks, |acc, a, b, masks, k| mma::doubles(acc, (a, b), masks, form, k))
}

/// Defines a row, its masked form and their helper: `row masked: A, columns, products; body, what;`.
macro_rules! outer_products {
    ($($name:ident $masked:ident: $a:ident $columns:tt $products:tt; |$vcpu:ident, $registers:ident, $masks:ident| $body:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
                outer(s, i, i.$a(), Masks::ALL, helper::$name)
            }
        )*

        /// The prefixed forms.
        pub mod masked {
            use super::{Fields, Masks, R, Sem, helper, outer};
            $(
                #[doc = concat!("`", stringify!($masked), "`")]
                pub fn $masked<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
                    let masks = Masks {
                        rows: i.xmsk(),
                        columns: outer_products!(@mask i $columns),
                        products: outer_products!(@mask i $products),
                    };
                    outer(s, i, i.$a(), masks, helper::$name)
                }
            )*
        }

        mod helper {
            use super::*;
            $(
                pub extern "C" fn $name($vcpu: &mut Vcpu, $registers: u64, $masks: u64, _: u64) -> bool {
                    $body
                }
            )*
        }
    };
    (@mask $i:ident _) => { Masks::ALL.products };
    (@mask $i:ident $field:ident) => { $i.$field() };
}

/// Integers of so many bits.
const fn of(bits: u32) -> Integers {
    Integers { bits, unsigned: bits == 8, accumulate: false, saturate: false }
}

/// Accumulated.
const fn pp(bits: u32) -> Integers {
    Integers { accumulate: true, ..of(bits) }
}

outer_products! {
    xvi4ger8 pmxvi4ger8: xa ymsk pmsk8; |vcpu, registers, masks| integers(vcpu, registers, masks, of(4));
    xvi4ger8pp pmxvi4ger8pp: xa ymsk pmsk8; |vcpu, registers, masks| integers(vcpu, registers, masks, pp(4));
    xvi8ger4 pmxvi8ger4: xa ymsk pmsk4; |vcpu, registers, masks| integers(vcpu, registers, masks, of(8));
    xvi8ger4pp pmxvi8ger4pp: xa ymsk pmsk4; |vcpu, registers, masks| integers(vcpu, registers, masks, pp(8));
    xvi8ger4spp pmxvi8ger4spp: xa ymsk pmsk4; |vcpu, registers, masks| integers(vcpu, registers, masks, Integers { saturate: true, ..pp(8) });
    xvi16ger2 pmxvi16ger2: xa ymsk pmsk2; |vcpu, registers, masks| integers(vcpu, registers, masks, of(16));
    xvi16ger2pp pmxvi16ger2pp: xa ymsk pmsk2; |vcpu, registers, masks| integers(vcpu, registers, masks, pp(16));
    xvi16ger2s pmxvi16ger2s: xa ymsk pmsk2; |vcpu, registers, masks| integers(vcpu, registers, masks, Integers { saturate: true, ..of(16) });
    xvi16ger2spp pmxvi16ger2spp: xa ymsk pmsk2; |vcpu, registers, masks| integers(vcpu, registers, masks, Integers { saturate: true, ..pp(16) });
    xvbf16ger2 pmxvbf16ger2: xa ymsk pmsk2; |vcpu, registers, masks| pair::<BFloat>(vcpu, registers, masks, Form::Plain);
    xvbf16ger2pp pmxvbf16ger2pp: xa ymsk pmsk2; |vcpu, registers, masks| pair::<BFloat>(vcpu, registers, masks, Form::Pp);
    xvbf16ger2pn pmxvbf16ger2pn: xa ymsk pmsk2; |vcpu, registers, masks| pair::<BFloat>(vcpu, registers, masks, Form::Pn);
    xvbf16ger2np pmxvbf16ger2np: xa ymsk pmsk2; |vcpu, registers, masks| pair::<BFloat>(vcpu, registers, masks, Form::Np);
    xvbf16ger2nn pmxvbf16ger2nn: xa ymsk pmsk2; |vcpu, registers, masks| pair::<BFloat>(vcpu, registers, masks, Form::Nn);
    xvf16ger2 pmxvf16ger2: xa ymsk pmsk2; |vcpu, registers, masks| pair::<Half>(vcpu, registers, masks, Form::Plain);
    xvf16ger2pp pmxvf16ger2pp: xa ymsk pmsk2; |vcpu, registers, masks| pair::<Half>(vcpu, registers, masks, Form::Pp);
    xvf16ger2pn pmxvf16ger2pn: xa ymsk pmsk2; |vcpu, registers, masks| pair::<Half>(vcpu, registers, masks, Form::Pn);
    xvf16ger2np pmxvf16ger2np: xa ymsk pmsk2; |vcpu, registers, masks| pair::<Half>(vcpu, registers, masks, Form::Np);
    xvf16ger2nn pmxvf16ger2nn: xa ymsk pmsk2; |vcpu, registers, masks| pair::<Half>(vcpu, registers, masks, Form::Nn);
    xvf32ger pmxvf32ger: xa ymsk _; |vcpu, registers, masks| single(vcpu, registers, masks, Form::Plain);
    xvf32gerpp pmxvf32gerpp: xa ymsk _; |vcpu, registers, masks| single(vcpu, registers, masks, Form::Pp);
    xvf32gerpn pmxvf32gerpn: xa ymsk _; |vcpu, registers, masks| single(vcpu, registers, masks, Form::Pn);
    xvf32gernp pmxvf32gernp: xa ymsk _; |vcpu, registers, masks| single(vcpu, registers, masks, Form::Np);
    xvf32gernn pmxvf32gernn: xa ymsk _; |vcpu, registers, masks| single(vcpu, registers, masks, Form::Nn);
    xvf64ger pmxvf64ger: xap ymsk2 _; |vcpu, registers, masks| double(vcpu, registers, masks, Form::Plain);
    xvf64gerpp pmxvf64gerpp: xap ymsk2 _; |vcpu, registers, masks| double(vcpu, registers, masks, Form::Pp);
    xvf64gerpn pmxvf64gerpn: xap ymsk2 _; |vcpu, registers, masks| double(vcpu, registers, masks, Form::Pn);
    xvf64gernp pmxvf64gernp: xap ymsk2 _; |vcpu, registers, masks| double(vcpu, registers, masks, Form::Np);
    xvf64gernn pmxvf64gernn: xap ymsk2 _; |vcpu, registers, masks| double(vcpu, registers, masks, Form::Nn);
}
