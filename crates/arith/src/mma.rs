//! Outer products of the Matrix-Multiply Assist (Power ISA v3.1, Book I 7.6.1.11): a column of elements of A times a row of
//! elements of B, into or onto an accumulator of 512 bits.
//!
//! Results of floating point are those of disabled exceptions, whatever FPSCR enables, and always written; what they raise is
//! returned, and FR, FI and FPRF are nobody's.

use crate::fp::{self, Control, Double, Float, MulAdd, Outcome, Single};
use crate::fpscr::Flags;

/// Four rows of 128 bits: four words each, or two doublewords; element 0 is leftmost.
pub type Accumulator = [u128; 4];

/// What an outer product computes; bit 0, the leftmost, is for number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masks {
    /// XMSK, 4 bits: rows. Those that are not computed become zeros.
    pub rows: u32,
    /// YMSK, as many bits as a row has elements: columns. As with rows.
    pub columns: u32,
    /// PMSK, as many bits as an element is a sum of products: products. Those that are not computed count as zeros.
    pub products: u32,
}

impl Masks {
    /// Everything, for elements that are sums of 8 products or fewer.
    pub const ALL: Masks = Masks { rows: 0xF, columns: 0xF, products: 0xFF };
}

/// Bit `n` of the low `width` ones.
fn bit(mask: u32, width: u32, n: u32) -> bool {
    mask >> (width - 1 - n) & 1 != 0
}

/// Element `n` of `bits` bits.
fn element(v: u128, bits: u32, n: u32) -> u64 {
    (v << (bits * n) >> (128 - bits)) as u64
}

/// Replaces each element of `bits` bits by `f` of its row, its column and what it is; zero where a mask says so.
fn update(acc: &mut Accumulator, bits: u32, masks: Masks, mut f: impl FnMut(u32, u32, u64) -> u64) {
    let columns = 128 / bits;
    for (i, row) in (0..).zip(acc) {
        let elements = (0..columns).map(|j| match bit(masks.rows, 4, i) && bit(masks.columns, columns, j) {
            true => f(i, j, element(*row, bits, j)),
            false => 0,
        });
        *row = elements.fold(0, |row, new| row << bits | u128::from(new));
    }
}

/// Which integers, and what becomes of their sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Integers {
    /// Bits of an element of A and B, 4, 8 or 16: as many of them as fill a word are multiplied in pairs and summed.
    pub bits: u32,
    /// Elements of B have no sign; those of A always have.
    pub unsigned: bool,
    /// Added to the accumulator.
    pub accumulate: bool,
    /// Saturated as signed words, else cut.
    pub saturate: bool,
}

/// `xvi4ger8`, `xvi8ger4`, `xvi16ger2` and their kin. Whether a sum saturated.
pub fn integers(acc: &mut Accumulator, (a, b): (u128, u128), masks: Masks, what: Integers) -> bool {
    let mut saturated = false;
    let count = 32 / what.bits;
    update(acc, 32, masks, |i, j, old| {
        let (x, y) = (element(a, 32, i) as u32, element(b, 32, j) as u32);
        let signed = |w: u32, n: u32| i64::from((w << (what.bits * n)) as i32 >> (32 - what.bits));
        let unsigned = |w: u32, n: u32| i64::from((w << (what.bits * n)) >> (32 - what.bits));
        let product = |n| signed(x, n) * if what.unsigned { unsigned(y, n) } else { signed(y, n) };
        let products: i64 = (0..count).filter(|n| bit(masks.products, count, *n)).map(product).sum();
        let sum = products + if what.accumulate { i64::from(old as i32) } else { 0 };
        let clamped = sum.clamp(i32::MIN.into(), i32::MAX.into());
        saturated |= what.saturate && clamped != sum;
        u64::from(if what.saturate { clamped } else { sum } as u32)
    });
    saturated
}

/// What becomes of a product `p` and the accumulator's element `z`: the suffix of the mnemonic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// p
    Plain,
    /// p + z
    Pp,
    /// p - z
    Pn,
    /// -p + z
    Np,
    /// -p - z
    Nn,
}

/// The product of two elements and what becomes of it, rounded once. Negation comes after rounding.
fn multiply<F: Float>(form: Form, x: F::Bits, y: F::Bits, z: F::Bits, k: Control) -> Outcome<F::Bits> {
    let and = match form {
        Form::Plain => return fp::mul::<F>(x, y, k),
        Form::Pp => MulAdd::Madd,
        Form::Pn => MulAdd::Msub,
        Form::Np => MulAdd::Nmsub,
        Form::Nn => MulAdd::Nmadd,
    };
    fp::mul_add::<F>(and, x, y, z, k)
}

/// `k` with every exception disabled.
fn default_results(k: Control) -> Control {
    Control { oe: false, ue: false, ve: false, ..k }
}

/// `xvf32ger` and its kin: elements are singles.
pub fn singles(acc: &mut Accumulator, (a, b): (u128, u128), masks: Masks, form: Form, k: Control) -> Flags {
    let (mut flags, k) = (Flags::NONE, default_results(k));
    update(acc, 32, masks, |i, j, old| {
        let [x, y, z] = [element(a, 32, i), element(b, 32, j), old].map(|v| v as u32);
        let outcome = multiply::<Single>(form, x, y, z, k);
        flags |= outcome.flags;
        outcome.value.into()
    });
    flags
}

/// `xvf64ger` and its kin: elements are doubles, four of them in the two quadwords of A.
pub fn doubles(acc: &mut Accumulator, (a, b): ([u128; 2], u128), masks: Masks, form: Form, k: Control) -> Flags {
    let (mut flags, k) = (Flags::NONE, default_results(k));
    update(acc, 64, masks, |i, j, old| {
        let x = element(a[i as usize / 2], 64, i % 2);
        let outcome = multiply::<Double>(form, x, element(b, 64, j), old, k);
        flags |= outcome.flags;
        outcome.value
    });
    flags
}

/// `xvf16ger2`, `xvbf16ger2` and their kin: elements of A and B are pairs in format `F`, those of the accumulator singles. The
/// sum of two products is rounded, and what it makes with the accumulator is rounded again.
pub fn pairs<F: Float<Bits = u16>>(
    acc: &mut Accumulator,
    (a, b): (u128, u128),
    masks: Masks,
    form: Form,
    k: Control,
) -> Flags {
    let (mut flags, k) = (Flags::NONE, default_results(k));
    update(acc, 32, masks, |i, j, old| {
        let mut note = |flag| flags |= flag;
        // Exact, in double format.
        let mut operand = |v: u128, n: u32, product: u32| {
            let outcome = match bit(masks.products, 2, product) {
                true => fp::convert::<F, Double>(element(v, 16, 2 * n + product) as u16, k),
                false => return 0,
            };
            note(outcome.flags);
            outcome.value
        };
        let [x0, y0, x1, y1] = [operand(a, i, 0), operand(b, j, 0), operand(a, i, 1), operand(b, j, 1)];
        let first = fp::mul::<Double>(x0, y0, k);
        let sum = fp::mul_add::<Double>(MulAdd::Madd, x1, y1, first.value, k.single());
        flags |= first.flags | sum.flags;
        let sum = fp::convert::<Double, Single>(sum.value, k).value;
        let old = old as u32;
        let outcome = match form {
            Form::Plain => return sum.into(),
            Form::Pp => fp::add::<Single>(sum, old, k),
            Form::Pn => fp::sub::<Single>(sum, old, k),
            Form::Np => fp::add::<Single>(negated(sum), old, k),
            Form::Nn => fp::sub::<Single>(negated(sum), old, k),
        };
        flags |= outcome.flags;
        outcome.value.into()
    });
    flags
}

/// A NaN stays what it is.
fn negated(single: u32) -> u32 {
    if fp::is_nan::<Single>(single) { single } else { single ^ 1 << 31 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fpscr::{OE, OX, VE, VXIMZ, VXISI, XX};

    fn words(w: [u32; 4]) -> u128 {
        w.into_iter().fold(0, |v, w| v << 32 | u128::from(w))
    }

    fn floats(w: [f32; 4]) -> u128 {
        words(w.map(f32::to_bits))
    }

    const BYTES: Integers = Integers { bits: 8, unsigned: true, accumulate: true, saturate: false };

    #[test]
    fn signed_bytes_times_unsigned_ones() {
        let mut acc = [words([1, 2, 3, 4]); 4];
        let (a, b) = (words([0xFF01_0000, 0x7F, 0, 0x0202_0202]), words([0xFF03_0000, 0xFF, 0, 0x0101_0101]));
        assert!(!integers(&mut acc, (a, b), Masks::ALL, BYTES));
        let row = |w: [i32; 4]| words(w.map(|w| w as u32));
        assert_eq!(acc[0], row([-255 + 3 + 1, 2, 3, 4]), "-1 x 255 + 1 x 3, ..; -1 x 1 + 1 x 1");
        assert_eq!(acc[1], row([1, 2 + 127 * 255, 3, 4 + 127]));
        assert_eq!(acc[2], row([1, 2, 3, 4]));
        assert_eq!(acc[3], row([1 + 2 * 258, 2 + 2 * 255, 3, 4 + 8]));
    }

    #[test]
    fn masks_choose_rows_columns_and_products() {
        let mut acc = [u128::MAX; 4];
        let what = Integers { bits: 4, unsigned: false, accumulate: false, saturate: false };
        let masks = Masks { rows: 0b0110, columns: 0b1001, products: 0b1000_0001 };
        let v = words([0x1234_5678; 4]);
        assert!(!integers(&mut acc, (v, v), masks, what));
        // 1 x 1 and -8 x -8.
        assert_eq!(acc, [0, words([65, 0, 0, 65]), words([65, 0, 0, 65]), 0]);
    }

    #[test]
    fn sums_saturate_or_are_cut() {
        let what = Integers { bits: 16, unsigned: false, accumulate: false, saturate: true };
        let v = words([0x8000_8000; 4]);
        let mut acc = [0; 4];
        assert!(integers(&mut acc, (v, v), Masks::ALL, what));
        assert_eq!(acc, [words([0x7FFF_FFFF; 4]); 4]);
        assert!(!integers(&mut acc, (v, v), Masks::ALL, Integers { saturate: false, ..what }));
        assert_eq!(acc, [words([0x8000_0000; 4]); 4]);
    }

    #[test]
    fn every_form_of_singles_and_doubles() {
        let k = Control::default();
        for (form, want) in [(Form::Plain, 6.0), (Form::Pp, 7.0), (Form::Pn, 5.0), (Form::Np, -5.0), (Form::Nn, -7.0)] {
            let mut acc = [floats([1.0; 4]); 4];
            assert_eq!(singles(&mut acc, (floats([2.0; 4]), floats([3.0; 4])), Masks::ALL, form, k), Flags::NONE);
            assert_eq!(acc, [floats([want as f32; 4]); 4], "{form:?}");
            let both = |v: f64| u128::from(v.to_bits()) << 64 | u128::from(v.to_bits());
            let mut acc = [both(1.0); 4];
            let masks = Masks { columns: 3, ..Masks::ALL };
            assert_eq!(doubles(&mut acc, ([both(2.0); 2], both(3.0)), masks, form, k), Flags::NONE);
            assert_eq!(acc, [both(want); 4], "{form:?}");
        }
    }

    #[test]
    fn a_pair_of_products_is_rounded_once_and_its_sum_again() {
        // 2^16 in bfloat16, squared, and 1 x 1: 2^32 + 1 is 2^32 in single precision.
        let (a, b) = (words([0x4780_3F80; 4]), words([0x4780_3F80; 4]));
        let mut acc = [floats([-4_294_967_296.0; 4]); 4];
        let flags = pairs::<fp::BFloat>(&mut acc, (a, b), Masks::ALL, Form::Pp, Control::default());
        assert!(flags.any(XX));
        assert_eq!(acc, [0; 4]);
        let masks = Masks { products: 0b01, ..Masks::ALL };
        assert_eq!(pairs::<fp::BFloat>(&mut acc, (a, b), masks, Form::Nn, Control::default()), Flags::NONE);
        assert_eq!(acc, [floats([-1.0; 4]); 4]);
    }

    #[test]
    fn results_are_those_of_disabled_exceptions() {
        let k = Control::from_fpscr(OE | VE);
        let mut acc = [0; 4];
        let large = floats([f32::MAX, f32::INFINITY, 0.0, 1.0]);
        let flags = singles(&mut acc, (large, large), Masks::ALL, Form::Plain, k);
        assert!(flags.any(OX) && flags.any(VXIMZ) && !flags.any(VXISI));
        let row = acc.map(|row| element(row, 32, 0) as u32);
        assert_eq!(row, [f32::INFINITY.to_bits(), f32::INFINITY.to_bits(), 0, f32::MAX.to_bits()]);
        assert_eq!(element(acc[1], 32, 2), 0x7FC0_0000);
    }
}
