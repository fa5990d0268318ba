//! Chapter `mma`: the matrix-multiply assist (Power ISA v3.1, Book I 7.6.1.11), and in [`masked`] its prefixed forms.
//!
//! Accumulator `n` is VSRs `4 n` to `4 n + 3`, which the Power ISA allows: moving one to the other does nothing.

use crate::float::{interrupts, settle};
use crate::{Fallible, Fields, R, Sem, Vcpu, fallible, vmx};
use arith::fp::{BFloat, Control, Half};
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

/// What an outer product computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sums of products of integers.
    Integers(Integers),
    /// Sums of two products of `bfloat16`.
    BFloats(Form),
    /// Sums of two products of half precision.
    Halves(Form),
    /// Products of single precision.
    Singles(Form),
    /// Products of double precision.
    Doubles(Form),
}

/// An outer product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OuterProduct {
    /// What is computed.
    pub kind: Kind,
    /// The first VSR of the accumulator's four.
    pub acc: usize,
    /// VSR of A; doubles have another behind it.
    pub a: usize,
    /// VSR of B.
    pub b: usize,
    /// What of it is computed.
    pub masks: Masks,
}

impl OuterProduct {
    /// First operand of the helper: registers.
    pub fn registers(&self) -> u64 {
        self.acc as u64 | (self.a as u64) << 8 | (self.b as u64) << 16
    }

    /// Second operand of the helper: masks.
    pub fn masks(&self) -> u64 {
        u64::from(self.masks.rows | self.masks.columns << 8 | self.masks.products << 16)
    }

    /// How many VSRs A is.
    pub fn of_a(&self) -> usize {
        if matches!(self.kind, Kind::Doubles(_)) { 2 } else { 1 }
    }
}

fn outer<S: Sem, I: Fields>(s: &mut S, i: I, a: usize, masks: Masks, (kind, helper): (Kind, Fallible)) -> R {
    s.outer_product(OuterProduct { kind, acc: 4 * i.at(), a, b: i.xb(), masks }, helper)
}

/// Body of the helpers. The accumulator is written also where an enabled exception interrupts.
fn perform(vcpu: &mut Vcpu, registers: u64, masks: u64, kind: Kind) -> bool {
    fallible(vcpu, |vcpu| {
        let first = (registers & 28) as usize;
        let vsr = |n: u64| vcpu.state.vsr[(n & 63) as usize];
        let (a, next, b) = (vsr(registers >> 8), vsr((registers >> 8) + 1), vsr(registers >> 16));
        let field = |shift: u32| (masks >> shift) as u32 & 0xFF;
        let masks = Masks { rows: field(0), columns: field(8), products: field(16) };
        let mut acc: Accumulator = std::array::from_fn(|row| vcpu.state.vsr[first + row]);
        let k = Control::from_fpscr(vcpu.state.fpscr);
        let flags = match kind {
            Kind::Integers(what) => {
                let saturated = mma::integers(&mut acc, (a, b), masks, what);
                vmx::note_saturation(vcpu, saturated);
                Flags::NONE
            }
            Kind::BFloats(form) => mma::pairs::<BFloat>(&mut acc, (a, b), masks, form, k),
            Kind::Halves(form) => mma::pairs::<Half>(&mut acc, (a, b), masks, form, k),
            Kind::Singles(form) => mma::singles(&mut acc, (a, b), masks, form, k),
            Kind::Doubles(form) => mma::doubles(&mut acc, ([a, next], b), masks, form, k),
        };
        vcpu.state.vsr[first..first + 4].copy_from_slice(&acc);
        if matches!(kind, Kind::Integers(_)) {
            return Ok(0);
        }
        settle(vcpu);
        let applied = fpscr_apply(vcpu.state.fpscr, flags, Status::Exceptions);
        vcpu.state.fpscr = applied.fpscr;
        match applied.exception_enabled && interrupts(vcpu) {
            true => vcpu.raise_program(srr1::PROGRAM_FP),
            false => Ok(0),
        }
    })
}

/// Defines a row, its masked form and their helper: `row masked: A, columns, products; kind;`.
macro_rules! outer_products {
    ($($name:ident $masked:ident: $a:ident $columns:tt $products:tt; $kind:expr;)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`")]
            pub fn $name<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
                outer(s, i, i.$a(), Masks::ALL, helper::$name())
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
                    outer(s, i, i.$a(), masks, helper::$name())
                }
            )*
        }

        mod helper {
            use super::*;
            $(
                pub fn $name() -> (Kind, Fallible) {
                    const KIND: Kind = $kind;
                    extern "C" fn helper(vcpu: &mut Vcpu, registers: u64, masks: u64, _: u64) -> bool {
                        perform(vcpu, registers, masks, KIND)
                    }
                    (KIND, helper)
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

/// Saturated.
const fn saturated(what: Integers) -> Integers {
    Integers { saturate: true, ..what }
}

outer_products! {
    xvi4ger8 pmxvi4ger8: xa ymsk pmsk8; Kind::Integers(of(4));
    xvi4ger8pp pmxvi4ger8pp: xa ymsk pmsk8; Kind::Integers(pp(4));
    xvi8ger4 pmxvi8ger4: xa ymsk pmsk4; Kind::Integers(of(8));
    xvi8ger4pp pmxvi8ger4pp: xa ymsk pmsk4; Kind::Integers(pp(8));
    xvi8ger4spp pmxvi8ger4spp: xa ymsk pmsk4; Kind::Integers(saturated(pp(8)));
    xvi16ger2 pmxvi16ger2: xa ymsk pmsk2; Kind::Integers(of(16));
    xvi16ger2pp pmxvi16ger2pp: xa ymsk pmsk2; Kind::Integers(pp(16));
    xvi16ger2s pmxvi16ger2s: xa ymsk pmsk2; Kind::Integers(saturated(of(16)));
    xvi16ger2spp pmxvi16ger2spp: xa ymsk pmsk2; Kind::Integers(saturated(pp(16)));
    xvbf16ger2 pmxvbf16ger2: xa ymsk pmsk2; Kind::BFloats(Form::Plain);
    xvbf16ger2pp pmxvbf16ger2pp: xa ymsk pmsk2; Kind::BFloats(Form::Pp);
    xvbf16ger2pn pmxvbf16ger2pn: xa ymsk pmsk2; Kind::BFloats(Form::Pn);
    xvbf16ger2np pmxvbf16ger2np: xa ymsk pmsk2; Kind::BFloats(Form::Np);
    xvbf16ger2nn pmxvbf16ger2nn: xa ymsk pmsk2; Kind::BFloats(Form::Nn);
    xvf16ger2 pmxvf16ger2: xa ymsk pmsk2; Kind::Halves(Form::Plain);
    xvf16ger2pp pmxvf16ger2pp: xa ymsk pmsk2; Kind::Halves(Form::Pp);
    xvf16ger2pn pmxvf16ger2pn: xa ymsk pmsk2; Kind::Halves(Form::Pn);
    xvf16ger2np pmxvf16ger2np: xa ymsk pmsk2; Kind::Halves(Form::Np);
    xvf16ger2nn pmxvf16ger2nn: xa ymsk pmsk2; Kind::Halves(Form::Nn);
    xvf32ger pmxvf32ger: xa ymsk _; Kind::Singles(Form::Plain);
    xvf32gerpp pmxvf32gerpp: xa ymsk _; Kind::Singles(Form::Pp);
    xvf32gerpn pmxvf32gerpn: xa ymsk _; Kind::Singles(Form::Pn);
    xvf32gernp pmxvf32gernp: xa ymsk _; Kind::Singles(Form::Np);
    xvf32gernn pmxvf32gernn: xa ymsk _; Kind::Singles(Form::Nn);
    xvf64ger pmxvf64ger: xap ymsk2 _; Kind::Doubles(Form::Plain);
    xvf64gerpp pmxvf64gerpp: xap ymsk2 _; Kind::Doubles(Form::Pp);
    xvf64gerpn pmxvf64gerpn: xap ymsk2 _; Kind::Doubles(Form::Pn);
    xvf64gernp pmxvf64gernp: xap ymsk2 _; Kind::Doubles(Form::Np);
    xvf64gernn pmxvf64gernn: xap ymsk2 _; Kind::Doubles(Form::Nn);
}
