//! Against `rustc_apfloat` in every rounding mode, against the host's FPU, and special values in every combination.

use super::*;
use crate::fpscr::*;
use proptest::prelude::*;
use rustc_apfloat::{Float as ApFloat, FloatConvert, Round, Status as ApStatus, StatusAnd, ieee};

const ROUNDINGS: [(Rounding, Round); 5] = [
    (Rounding::NearestEven, Round::NearestTiesToEven),
    (Rounding::Zero, Round::TowardZero),
    (Rounding::Up, Round::TowardPositive),
    (Rounding::Down, Round::TowardNegative),
    (Rounding::NearestAway, Round::NearestTiesToAway),
];

/// Patterns at every edge of a format, both signs.
fn specials(format: Format) -> Vec<u128> {
    let f = format.fraction_bits;
    let one = (format.bias() as u128) << f;
    let magnitudes = [
        0,
        1,
        2,
        format.fraction_mask(),
        1 << f,
        1 << f | 1,
        (f as u128 + 3) << f,
        one - 1,
        one,
        one + 1,
        one + (1 << (f - 1)),
        one + (1 << f),
        (one + ((f as u128) << f)) | 1,
        format.infinity(false) - 1,
        format.infinity(false),
        format.default_nan(),
        format.default_nan() | 0x5a,
        format.infinity(false) | 1,
        format.infinity(false) | format.quiet_bit() >> 1,
    ];
    magnitudes.iter().flat_map(|&m| [m, m | format.sign_mask()]).collect()
}

/// Random patterns that meet: exponents close together, few significant bits, or anything.
fn pattern(format: Format) -> impl Strategy<Value = u128> {
    let width = 1 + format.exponent_bits + format.fraction_bits;
    let all = u128::MAX >> (128 - width);
    let special = specials(format);
    let near_one = (any::<u128>(), -3i32..4).prop_map(move |(bits, e)| {
        let fraction = bits & format.fraction_mask();
        (((format.bias() + e) as u128) << format.fraction_bits | fraction) | (bits & format.sign_mask())
    });
    let sparse = (0..width, 0..width, any::<bool>())
        .prop_map(move |(i, j, minus)| ((1u128 << i) | (1 << j) | if minus { all << j } else { 0 }) & all);
    prop_oneof![
        2 => any::<u128>().prop_map(move |bits| bits & all),
        3 => near_one,
        1 => sparse,
        1 => (0..special.len()).prop_map(move |i| special[i]),
    ]
}

fn control(rounding: Rounding) -> Control {
    Control { rounding, ..Control::default() }
}

fn check<T: Float, A: ApFloat>(what: &str, ours: Outcome<T::Bits>, theirs: StatusAnd<A>, rounding: Rounding) {
    let format = T::FORMAT;
    let value = T::widen(ours.value);
    if theirs.value.is_nan() {
        assert!(is_nan::<T>(ours.value), "{what} {rounding:?}: {value:#x} is not a NaN");
    } else {
        assert_eq!(value, theirs.value.to_bits(), "{what} {rounding:?}: {value:#x} for {:#x}", theirs.value.to_bits());
    }
    let flag = |ours_bit: u64, theirs_bit: ApStatus| {
        (
            ours.flags.any(ours_bit),
            theirs.status.contains(theirs_bit),
            format!("{what} {rounding:?} {ours_bit:#x} {ours:x?}"),
        )
    };
    // The reference does not call it overflow when the result is the largest finite number.
    let (ox, theirs_ox, message) = flag(OX, ApStatus::OVERFLOW);
    let largest = value & !format.sign_mask() == format.infinity(false) - 1 && ours.flags.any(XX);
    assert!(ox == theirs_ox || ox && largest, "{message}");
    for (bit, status) in [(XX, ApStatus::INEXACT), (FI, ApStatus::INEXACT)] {
        let (ours, theirs, message) = flag(bit, status);
        assert_eq!(ours, theirs, "{message}");
    }
    // Underflow: the reference looks at the rounded result, PowerPC at the exact one.
    let (ux, theirs_ux, message) = flag(UX, ApStatus::UNDERFLOW);
    let smallest_normal = value & !format.sign_mask() == 1 << format.fraction_bits;
    assert!(ux == theirs_ux || ux && smallest_normal, "{message}");
    let (zx, theirs_zx, message) = flag(ZX, ApStatus::DIV_BY_ZERO);
    assert_eq!(zx, theirs_zx, "{message}");
    if !theirs.value.is_nan() {
        assert!(!ours.flags.any(VX_ALL), "{what}: {ours:?}");
    }
    check_fprf::<T>(what, ours);
}

fn check_fprf<T: Float>(what: &str, ours: Outcome<T::Bits>) {
    assert_eq!(ours.fprf, class::<T>(ours.value), "{what} {ours:?}");
}

/// FR: the magnitude is not the one that truncation gives.
fn check_fr<T: Float>(outcome: Outcome<T::Bits>, truncated: Outcome<T::Bits>) {
    if !outcome.flags.any(OX | VX_ALL) {
        let grown = T::widen(outcome.value) != T::widen(truncated.value);
        assert_eq!(outcome.flags.any(FR), grown, "{outcome:?} {truncated:?}");
    }
}

fn binary_against_apfloat<F: Float, A: ApFloat>(a: u128, b: u128) {
    let (x, y) = (F::narrow(a), F::narrow(b));
    let (p, q) = (A::from_bits(a), A::from_bits(b));
    for (rounding, round) in ROUNDINGS {
        let c = control(rounding);
        let z = control(Rounding::Zero);
        check::<F, A>(&format!("{a:#x} + {b:#x}"), add::<F>(x, y, c), p.add_r(q, round), rounding);
        check::<F, A>(&format!("{a:#x} - {b:#x}"), sub::<F>(x, y, c), p.sub_r(q, round), rounding);
        check::<F, A>(&format!("{a:#x} * {b:#x}"), mul::<F>(x, y, c), p.mul_r(q, round), rounding);
        check::<F, A>(&format!("{a:#x} / {b:#x}"), div::<F>(x, y, c), p.div_r(q, round), rounding);
        if add::<F>(x, y, c).fprf & 0b11111 != 0b00010 && add::<F>(x, y, c).fprf != 0b10010 {
            check_fr::<F>(add::<F>(x, y, c), add::<F>(x, y, z));
        }
        check_fr::<F>(mul::<F>(x, y, c), mul::<F>(x, y, z));
        check_fr::<F>(div::<F>(x, y, c), div::<F>(x, y, z));
        let integral = p.round_to_integral(round);
        let ours = round_to_integral::<F>(x, rounding);
        if p.is_nan() {
            assert!(is_nan::<F>(ours.value));
        } else {
            assert_eq!(F::widen(ours.value), integral.value.to_bits(), "{a:#x} to integral {rounding:?}");
            assert_eq!(ours.flags.any(XX), ours.value != x, "{a:#x} to integral");
        }
        check_fprf::<F>("integral", ours);
    }
    let relation = match p.partial_cmp(&q) {
        Some(std::cmp::Ordering::Less) => LESS,
        Some(std::cmp::Ordering::Greater) => GREATER,
        Some(std::cmp::Ordering::Equal) => EQUAL,
        None => UNORDERED,
    };
    assert_eq!(compare_unordered::<F>(x, y).0, relation);
}

fn ternary_against_apfloat<F: Float, A: ApFloat>(a: u128, c: u128, b: u128) {
    for (rounding, round) in ROUNDINGS {
        let fma = |addend: u128| A::from_bits(a).mul_add_r(A::from_bits(c), A::from_bits(addend), round);
        let ours = |form| mul_add::<F>(form, F::narrow(a), F::narrow(c), F::narrow(b), control(rounding));
        let what = format!("{a:#x} * {c:#x} + {b:#x}");
        check::<F, A>(&what, ours(MulAdd::Madd), fma(b), rounding);
        check::<F, A>(&what, ours(MulAdd::Msub), fma(b ^ F::FORMAT.sign_mask()), rounding);
        let mut negated = fma(b);
        negated.value = -negated.value;
        check::<F, A>(&what, ours(MulAdd::Nmadd), negated, rounding);
        let mut negated = fma(b ^ F::FORMAT.sign_mask());
        negated.value = -negated.value;
        check::<F, A>(&what, ours(MulAdd::Nmsub), negated, rounding);
        let truncated = mul_add::<F>(MulAdd::Madd, F::narrow(a), F::narrow(c), F::narrow(b), control(Rounding::Zero));
        if ours(MulAdd::Madd).fprf & 0xf != 0b0010 {
            check_fr::<F>(ours(MulAdd::Madd), truncated);
        }
    }
}

fn integers_against_apfloat<F: Float, A: ApFloat>(bits: u128) {
    let value = A::from_bits(bits);
    for (rounding, round) in ROUNDINGS {
        for to in [Integer::I32, Integer::U32, Integer::I64, Integer::U64, Integer::I128, Integer::U128] {
            let ours = to_integer::<F>(F::narrow(bits), to, rounding);
            let mut exact = false;
            let (reference, status) = if to.signed {
                let r = value.to_i128_r(to.bits as usize, round, &mut exact);
                (r.value as u128, r.status)
            } else {
                let r = value.to_u128_r(to.bits as usize, round, &mut exact);
                (r.value, r.status)
            };
            let what = format!("{bits:#x} to {to:?} {rounding:?}: {ours:x?}");
            let is_invalid = status.contains(ApStatus::INVALID_OP);
            assert_eq!(ours.flags.any(VXCVI), is_invalid, "{what}");
            assert_eq!(ours.flags.any(XX), status.contains(ApStatus::INEXACT), "{what}");
            if value.is_nan() {
                let expected = if to.signed { (-1i128 << (to.bits - 1)) as u128 } else { 0 };
                assert_eq!(ours.value, expected, "{what}");
            } else {
                assert_eq!(ours.value, reference, "{what}");
            }
        }
    }
}

fn from_integers<F: Float, A: ApFloat>(value: u128) {
    for (rounding, round) in ROUNDINGS {
        let (c, what) = (control(rounding), format!("from {value:#x}"));
        check::<F, A>(&what, from_unsigned::<F>(value, c), A::from_u128_r(value, round), rounding);
        check::<F, A>(&what, from_signed::<F>(value as i128, c), A::from_i128_r(value as i128, round), rounding);
    }
}

fn convert_against_apfloat<F: Float, T: Float, A: FloatConvert<B>, B: ApFloat>(bits: u128) {
    for (rounding, round) in ROUNDINGS {
        let ours = convert::<F, T>(F::narrow(bits), control(rounding));
        let mut loses = false;
        let theirs: StatusAnd<B> = A::from_bits(bits).convert_r(round, &mut loses);
        check::<T, B>(&format!("convert {bits:#x}"), ours, theirs, rounding);
    }
}

macro_rules! against_apfloat {
    ($($module:ident, $ours:ty, $theirs:ty;)*) => {$(
        mod $module {
            use super::*;

            #[test]
            fn special_pairs_and_triples() {
                let specials = specials(<$ours>::FORMAT);
                for &a in &specials {
                    integers_against_apfloat::<$ours, $theirs>(a);
                    for &b in &specials {
                        binary_against_apfloat::<$ours, $theirs>(a, b);
                        for &c in &specials {
                            ternary_against_apfloat::<$ours, $theirs>(a, b, c);
                        }
                    }
                }
            }

            proptest! {
                #![proptest_config(ProptestConfig::with_cases(3000))]
                #[test]
                fn random(
                    a in pattern(<$ours>::FORMAT),
                    b in pattern(<$ours>::FORMAT),
                    c in pattern(<$ours>::FORMAT),
                    integer: u128,
                    shift in 0u32..128,
                ) {
                    binary_against_apfloat::<$ours, $theirs>(a, b);
                    ternary_against_apfloat::<$ours, $theirs>(a, b, c);
                    integers_against_apfloat::<$ours, $theirs>(a);
                    from_integers::<$ours, $theirs>(integer >> shift);
                }
            }
        }
    )*};
}

against_apfloat! {
    single, Single, ieee::Single;
    double, Double, ieee::Double;
    quad, Quad, ieee::Quad;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn conversions(d in pattern(Double::FORMAT), s in pattern(Single::FORMAT), q in pattern(Quad::FORMAT), h: u16) {
        convert_against_apfloat::<Double, Single, ieee::Double, ieee::Single>(d);
        convert_against_apfloat::<Double, Half, ieee::Double, ieee::Half>(d);
        convert_against_apfloat::<Double, Quad, ieee::Double, ieee::Quad>(d);
        convert_against_apfloat::<Single, Double, ieee::Single, ieee::Double>(s);
        convert_against_apfloat::<Single, BFloat, ieee::Single, ieee::BFloat>(s);
        convert_against_apfloat::<Single, Half, ieee::Single, ieee::Half>(s);
        convert_against_apfloat::<Quad, Double, ieee::Quad, ieee::Double>(q);
        convert_against_apfloat::<Half, Single, ieee::Half, ieee::Single>(u128::from(h));
        convert_against_apfloat::<Half, Double, ieee::Half, ieee::Double>(u128::from(h));
    }

    /// The host rounds to nearest; it is the only oracle for square roots.
    #[test]
    fn host(a in pattern(Double::FORMAT), b in pattern(Double::FORMAT), c in pattern(Double::FORMAT)) {
        let (x, y, z) = (a as u64, b as u64, c as u64);
        let (p, q, r) = (f64::from_bits(x), f64::from_bits(y), f64::from_bits(z));
        let same = |ours: Outcome<u64>, theirs: f64| {
            if theirs.is_nan() { is_nan::<Double>(ours.value) } else { ours.value == theirs.to_bits() }
        };
        let control = Control::default();
        prop_assert!(same(add::<Double>(x, y, control), p + q));
        prop_assert!(same(mul::<Double>(x, y, control), p * q));
        prop_assert!(same(div::<Double>(x, y, control), p / q));
        prop_assert!(same(sqrt::<Double>(x, control), p.sqrt()));
        prop_assert!(same(mul_add::<Double>(MulAdd::Madd, x, y, z, control), p.mul_add(q, r)));
        prop_assert!(same(from_signed::<Double>(x as i64 as i128, control), x as i64 as f64));
        prop_assert!(same(from_unsigned::<Double>(x as u128, control), x as f64));
        let truncated = to_integer::<Double>(x, Integer::I64, Rounding::Zero).value as i64;
        prop_assert_eq!(truncated, if p.is_nan() { i64::MIN } else { p as i64 });
        prop_assert_eq!(to_integer::<Double>(x, Integer::U32, Rounding::Zero).value as u32 , p as u32);
        let narrow = convert::<Double, Single>(x, control);
        let narrow_same =
            if p.is_nan() { is_nan::<Single>(narrow.value) } else { narrow.value == (p as f32).to_bits() };
        prop_assert!(narrow_same);
    }

    #[test]
    fn host_single(a in pattern(Single::FORMAT), b in pattern(Single::FORMAT), c in pattern(Single::FORMAT)) {
        let (x, y, z) = (a as u32, b as u32, c as u32);
        let (p, q, r) = (f32::from_bits(x), f32::from_bits(y), f32::from_bits(z));
        let wide = double_from_single;
        // Single results in double format: one rounding, to the same value as the operation in single format.
        let same = |ours: Outcome<u64>, narrow: Outcome<u32>, theirs: f32| {
            let value = single_from_double(ours.value);
            ours.flags == narrow.flags && ours.fprf == narrow.fprf && value == narrow.value
                && wide(value) == ours.value && (theirs.is_nan() || value == theirs.to_bits())
        };
        for (rounding, _) in ROUNDINGS {
            let n = control(rounding);
            let s = n.single();
            let nearest = rounding == Rounding::NearestEven;
            let host = |value: f32| if nearest { value } else { f32::NAN };
            prop_assert!(same(add::<Double>(wide(x), wide(y), s), add::<Single>(x, y, n), host(p + q)));
            prop_assert!(same(mul::<Double>(wide(x), wide(y), s), mul::<Single>(x, y, n), host(p * q)));
            prop_assert!(same(div::<Double>(wide(x), wide(y), s), div::<Single>(x, y, n), host(p / q)));
            prop_assert!(same(sqrt::<Double>(wide(x), s), sqrt::<Single>(x, n), host(p.sqrt())));
            for form in [MulAdd::Madd, MulAdd::Msub, MulAdd::Nmadd, MulAdd::Nmsub] {
                let theirs = if form == MulAdd::Madd { host(p.mul_add(q, r)) } else { f32::NAN };
                prop_assert!(same(
                    mul_add::<Double>(form, wide(x), wide(y), wide(z), s),
                    mul_add::<Single>(form, x, y, z, n),
                    theirs
                ));
            }
        }
    }

    /// The root is the largest number whose square is not above, in truncation; the other modes follow from it.
    #[test]
    fn quad_sqrt(bits in pattern(Quad::FORMAT)) {
        let bits = bits & !Quad::FORMAT.sign_mask();
        let root = sqrt::<Quad>(bits, control(Rounding::Zero));
        if bits != 0 && bits < Quad::FORMAT.infinity(false) {
            let up = sqrt::<Quad>(bits, control(Rounding::Up));
            prop_assert_eq!(up.value - root.value, u128::from(root.flags.any(XX)));
            let square_less = |root: u128, rounding| {
                order::<Quad>(mul_add::<Quad>(MulAdd::Msub, root, root, bits, control(rounding)).value, 0)
            };
            // A directed rounding keeps the sign of what is too small for the format.
            prop_assert_ne!(square_less(root.value, Rounding::Up), Some(std::cmp::Ordering::Greater));
            let exact = square_less(root.value, Rounding::Down) == Some(std::cmp::Ordering::Equal);
            prop_assert_eq!(exact, !root.flags.any(XX));
            prop_assert_eq!(square_less(root.value + 1, Rounding::Up), Some(std::cmp::Ordering::Greater));
        } else {
            let unchanged = is_nan::<Quad>(root.value) || root.value == bits;
            prop_assert!(unchanged);
        }
    }

    /// Rounding to odd, then to a narrower format, is rounding once.
    #[test]
    fn odd_prevents_double_rounding(a in pattern(Quad::FORMAT), b in pattern(Quad::FORMAT)) {
        let odd = mul::<Quad>(a, b, control(Rounding::Odd));
        let truncated = mul::<Quad>(a, b, control(Rounding::Zero));
        if !is_nan::<Quad>(odd.value) && !odd.flags.any(OX) {
            prop_assert_eq!(odd.value, truncated.value | u128::from(truncated.flags.any(XX)));
        }
    }

    /// An enabled overflow or underflow gives the result of the same operation on scaled operands.
    #[test]
    fn enabled_exceptions_adjust_the_exponent(a in pattern(Double::FORMAT), b in pattern(Double::FORMAT)) {
        let (a, b) = (a as u64, b as u64);
        for (rounding, _) in ROUNDINGS {
            let outcome = mul::<Double>(a, b, Control { oe: true, ue: true, ..control(rounding) });
            if outcome.flags.any(OX | UX) {
                let scale = |x: u64| {
                    let (one, shift) = (1023u64 << 52, if biased_exponent::<Double>(x) == 0 { 60 } else { 0 });
                    let normal = mul::<Double>(x, (1023 + shift) << 52, Control::default()).value;
                    (normal & !(0x7ff << 52) | one, i64::from(biased_exponent::<Double>(normal)) - 1023 - shift as i64)
                };
                let ((m, e), (n, f)) = (scale(a), scale(b));
                let reference = mul::<Double>(m, n, control(rounding));
                let adjust = if outcome.flags.any(OX) { -1536 } else { 1536 };
                let expected = reference.value as i64 + ((e + f + adjust) << 52);
                prop_assert_eq!(outcome.value, expected as u64);
                prop_assert_eq!(outcome.flags.0 & !(OX | UX), reference.flags.0);
            }
        }
    }

    #[test]
    fn loads_and_stores_of_single(word: u32, double: u64) {
        prop_assert_eq!(single_from_double(double_from_single(word)), word);
        if !is_nan::<Single>(word) {
            prop_assert_eq!(double_from_single(word), f64::from(f32::from_bits(word)).to_bits());
        }
        // Whatever single can hold is stored without loss.
        let rounded = convert::<Double, Double>(double, Control::default().single());
        if !is_nan::<Double>(double) {
            prop_assert_eq!(f64::from(f32::from_bits(single_from_double(rounded.value))).to_bits(), rounded.value);
        }
    }
}

/// Which invalid operation, which NaN: from the tables of Power ISA v3.1, 4.3.2 and chapter 7.
#[test]
fn invalid_operations() {
    let inf = 0x7ff0_0000_0000_0000u64;
    let minus = 1u64 << 63;
    let one = 1f64.to_bits();
    let qnan = 0x7ff8_0000_0000_0000;
    let c = Control::default();
    let bad = |outcome: Outcome<u64>, flags: u64| {
        assert_eq!((outcome.value, outcome.flags, outcome.fprf), (qnan, Flags(flags), FPRF_QNAN));
    };
    bad(add::<Double>(inf, inf | minus, c), VXISI);
    bad(sub::<Double>(inf, inf, c), VXISI);
    bad(mul::<Double>(inf, minus, c), VXIMZ);
    bad(mul::<Double>(0, inf, c), VXIMZ);
    bad(div::<Double>(inf, inf | minus, c), VXIDI);
    bad(div::<Double>(0, minus, c), VXZDZ);
    bad(sqrt::<Double>(one | minus, c), VXSQRT);
    bad(sqrt::<Double>(inf | minus, c), VXSQRT);
    bad(mul_add::<Double>(MulAdd::Madd, inf, 0, one, c), VXIMZ);
    bad(mul_add::<Double>(MulAdd::Nmsub, inf, one, inf, c), VXISI);
    bad(reciprocal_sqrt_estimate::<Double>(one | minus, c), VXSQRT);
    assert_eq!(sqrt::<Double>(minus, c).value, minus);
    let zero_divide = div::<Double>(one, minus, c);
    assert_eq!((zero_divide.value, zero_divide.flags, zero_divide.fprf), (inf | minus, Flags(ZX), 0b01001));
    assert_eq!(reciprocal_estimate::<Double>(minus, c), zero_divide);
    assert_eq!(reciprocal_sqrt_estimate::<Double>(minus, c), zero_divide);

    // Order A, B, C; quieted; every signalling operand raises; negation leaves the NaN alone.
    let (snan_a, nan_b, snan_c) = (inf | 1, inf | minus | 1 << 51 | 2, inf | 3);
    let nan = |outcome: Outcome<u64>, value: u64, flags: u64| {
        assert_eq!((outcome.value, outcome.flags), (value, Flags(flags)));
    };
    nan(add::<Double>(snan_a, nan_b, c), qnan | 1, VXSNAN);
    nan(add::<Double>(nan_b, snan_a, c), nan_b, VXSNAN);
    nan(mul_add::<Double>(MulAdd::Nmadd, one, snan_c, nan_b, c), nan_b, VXSNAN);
    nan(mul_add::<Double>(MulAdd::Nmadd, one, snan_c, one, c), qnan | 3, VXSNAN);
    nan(mul_add::<Double>(MulAdd::Nmadd, snan_a, snan_c, nan_b, c), qnan | 1, VXSNAN);
    nan(mul_add::<Double>(MulAdd::Madd, inf, 0, nan_b, c), nan_b, VXIMZ);
    nan(mul_add::<Double>(MulAdd::Madd, 0, inf, snan_a, c), qnan | 1, VXIMZ | VXSNAN);
    // Rounding to single drops what does not fit of the payload.
    nan(convert::<Double, Double>(inf | 1 | 1 << 29, c.single()), qnan | 1 << 29, VXSNAN);
    assert_eq!(convert::<Single, Double>(0xff80_0001, c).value, 0xfff8_0000_2000_0000);
}

#[test]
fn exact_zero_takes_its_sign_from_the_mode() {
    for (rounding, _) in ROUNDINGS {
        let zero = if rounding == Rounding::Down { 1u64 << 63 } else { 0 };
        let one = 1f64.to_bits();
        let c = control(rounding);
        assert_eq!(sub::<Double>(one, one, c).value, zero);
        assert_eq!(mul_add::<Double>(MulAdd::Msub, one, one, one, c).value, zero);
        assert_eq!(mul_add::<Double>(MulAdd::Nmsub, one, one, one, c).value, zero ^ 1 << 63);
        assert_eq!(add::<Double>(1 << 63, 1 << 63, c).value, 1 << 63);
    }
}

#[test]
fn compares() {
    let (one, inf) = (1f64.to_bits(), f64::INFINITY.to_bits());
    let (qnan, snan) = (inf | 1 << 51, inf | 1);
    assert_eq!(compare_unordered::<Double>(qnan, one), (UNORDERED, Flags::NONE));
    assert_eq!(compare_unordered::<Double>(one, snan), (UNORDERED, Flags(VXSNAN)));
    assert_eq!(compare_ordered::<Double>(one, qnan, true), (UNORDERED, Flags(VXVC)));
    assert_eq!(compare_ordered::<Double>(snan, qnan, true), (UNORDERED, Flags(VXSNAN)));
    assert_eq!(compare_ordered::<Double>(snan, qnan, false), (UNORDERED, Flags(VXSNAN | VXVC)));
    assert_eq!(compare_ordered::<Double>(0, 1 << 63, false), (EQUAL, Flags::NONE));
    assert_eq!(compare_exponents::<Double>(one | 5, one | 1 << 63), EQUAL);
    assert_eq!(compare_exponents::<Double>(1, one), LESS);
    assert_eq!(compare_exponents::<Double>(qnan, one), UNORDERED);
    let minus_zero = 1u64 << 63;
    for (a, b) in [(0, minus_zero), (minus_zero, 0)] {
        assert_eq!(maximum::<Double>(a, b).value, 0);
        assert_eq!(minimum::<Double>(a, b).value, minus_zero);
        assert_eq!(maximum_j::<Double>(a, b).value, 0);
        assert_eq!(minimum_j::<Double>(a, b).value, minus_zero);
        assert_eq!(maximum_c::<Double>(a, b).value, b);
        assert_eq!(minimum_c::<Double>(a, b).value, b);
    }
    let value = |outcome: Outcome<u64>| (outcome.value, outcome.flags.0);
    assert_eq!(value(maximum::<Double>(qnan, one)), (one, 0));
    assert_eq!(value(maximum::<Double>(one, qnan)), (one, 0));
    assert_eq!(value(maximum::<Double>(one, snan)), (qnan | 1, VXSNAN));
    assert_eq!(value(maximum::<Double>(snan, one)), (qnan | 1, VXSNAN));
    assert_eq!(value(minimum::<Double>(qnan | 2, snan)), (qnan | 2, VXSNAN));
    assert_eq!(value(maximum_c::<Double>(snan, one)), (one, VXSNAN));
    assert_eq!(value(maximum_c::<Double>(one, snan)), (snan, VXSNAN));
    assert_eq!(value(maximum_j::<Double>(snan, one)), (snan, VXSNAN));
    assert_eq!(value(maximum_j::<Double>(one, qnan)), (qnan, 0));
    assert!(test_data_class::<Double>(snan, 0x40) && !test_data_class::<Double>(snan, 0x3f));
    assert!(test_data_class::<Double>(minus_zero, 4) && test_data_class::<Double>(minus_zero | 9, 1));
    assert!(test_data_class::<Double>(inf, 0x20) && !test_data_class::<Double>(one, 0x7f));
}

#[test]
fn software_divide_and_square_root_tests() {
    let d = |x: f64| x.to_bits();
    assert_eq!(test_divide::<Double>(d(1.0), d(1.0)), 0b1000);
    assert_eq!(test_divide::<Double>(d(f64::INFINITY), d(1.0)), 0b1110);
    assert_eq!(test_divide::<Double>(d(f64::NAN), d(1.0)), 0b1010);
    assert_eq!(test_divide::<Double>(d(1.0), d(0.0)), 0b1110);
    assert_eq!(test_divide::<Double>(d(1.0), 5), 0b1110);
    assert_eq!(test_divide::<Double>(d(1.0), d(2f64.powi(1021))), 0b1010);
    assert_eq!(test_divide::<Double>(d(1.0), d(2f64.powi(1020))), 0b1000);
    assert_eq!(test_divide::<Double>(d(2f64.powi(-970)), d(1.0)), 0b1010);
    assert_eq!(test_divide::<Double>(d(2f64.powi(-969)), d(1.0)), 0b1000);
    assert_eq!(test_sqrt::<Double>(d(2f64.powi(-970))), 0b1010);
    assert_eq!(test_sqrt::<Double>(d(2f64.powi(-969))), 0b1000);
    assert_eq!(test_sqrt::<Double>(d(-1.0)), 0b1010);
    assert_eq!(test_sqrt::<Double>(d(-0.0)), 0b1110);
    assert_eq!(test_sqrt::<Double>(7), 0b1110);
    assert_eq!(test_sqrt::<Single>(f32::INFINITY.to_bits()), 0b1110);
    assert_eq!(test_sqrt::<Single>(f32::NAN.to_bits()), 0b1010);
}

#[test]
fn estimates_are_within_the_architected_bound() {
    for i in 1..4000u32 {
        let x = f64::from(i) * 0.37;
        let e = f64::from_bits(reciprocal_estimate::<Double>(x.to_bits(), Control::default()).value);
        assert!((e * x - 1.0).abs() <= 1.0 / 256.0);
        let e = f64::from_bits(reciprocal_sqrt_estimate::<Double>(x.to_bits(), Control::default().single()).value);
        assert!((e * e * x - 1.0).abs() <= 1.0 / 32.0);
        assert_eq!(f64::from(e as f32), e);
    }
}
