//! Random numbers, and values that instructions find difficult.

/// SplitMix64: small, and a seed is a stream.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream of a seed, a name and a number: a test can be made again without those before it.
    pub fn of(seed: u64, name: &str, number: u64) -> Rng {
        let mut r = Rng(seed);
        for b in name.bytes() {
            r.0 = r.next() ^ u64::from(b);
        }
        r.0 = r.next() ^ number;
        r
    }

    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// 128 random bits.
    pub fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}

/// What a vector register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Doublewords of double precision.
    F64,
    /// Doublewords of double precision that single precision can express.
    F64OfF32,
    /// Words of single precision.
    F32,
    /// Quad precision.
    F128,
    /// Half precision and bfloat16.
    F16,
    /// Bytes.
    I8,
    /// Halfwords.
    I16,
    /// Words.
    I32,
    /// Doublewords.
    I64,
    /// A quadword.
    I128,
    /// Decimal digits and a sign.
    Bcd,
    /// Bytes below 32, as permute takes them.
    Control,
    /// Any bits.
    Bits,
}

/// Flavours that are of use anywhere.
pub const PLAIN: &[Flavour] =
    &[Flavour::I8, Flavour::I16, Flavour::I32, Flavour::I64, Flavour::I128, Flavour::Control, Flavour::Bits];

/// An integer of `bits` bits, often an awkward one.
pub fn integer(r: &mut Rng, bits: u32) -> u64 {
    let mask = u64::MAX >> (64 - bits);
    let v = match r.below(16) {
        0 => 0,
        1 => 1,
        2 => u64::MAX,
        3 => 1 << (bits - 1),
        4 => (1 << (bits - 1)) - 1,
        5 => 1 << r.below(bits.into()),
        6 => (1u64 << r.below(bits.into())).wrapping_sub(1),
        7 => !(1u64 << r.below(bits.into())).wrapping_sub(1),
        8 | 9 => r.below(64),
        10 => (r.below(64) as i64 - 32) as u64,
        11 if bits == 64 => r.next() as i32 as i64 as u64,
        12 if bits == 64 => u64::from(r.next() as u32),
        13 if bits == 64 => r.pick(&[
            0x8000_0000,
            0x7FFF_FFFF,
            0xFFFF_FFFF,
            0x1_0000_0000,
            0xFFFF_FFFF_8000_0000,
            0x0123_4567_89AB_CDEF,
        ]),
        _ => r.next(),
    };
    v & mask
}

/// A floating-point number of `exponent` exponent bits and `fraction` fraction bits.
fn float(r: &mut Rng, exponent: u32, fraction: u32) -> u128 {
    let top = (1u128 << exponent) - 1;
    let bias = top >> 1;
    let ones = (1u128 << fraction) - 1;
    let quiet = 1u128 << (fraction - 1);
    let sparse = |r: &mut Rng| match r.below(8) {
        0 => 0,
        1 => ones,
        2 => 1,
        3 => ones - 1,
        4 => 1u128 << r.below(fraction.into()),
        5 => ones & !((1u128 << r.below(fraction.into())) - 1),
        _ => r.wide() & ones,
    };
    let f = sparse(r);
    let (e, f) = match r.below(24) {
        0 => (0, 0),
        1 => (top, 0),
        2 => (top, f | quiet),
        3 => (top, f & !quiet | 1),
        4 => (0, f),
        5 => (1, f),
        6 => (top - 1, f),
        7 => (top - 1 - u128::from(r.below(3)), ones),
        8 => (bias, 0),
        // About where integers of 16, 32, 64 and 128 bits end.
        9 | 10 => ((bias + u128::from(r.pick(&[14u32, 15, 16, 30, 31, 32, 62, 63, 64, 126, 127]))).min(top - 1), f),
        11 => (bias + u128::from(r.below(u64::from(fraction) + 3)).min(bias - 1), f),
        // Products and quotients that end near the smallest normal number.
        12 => ((bias >> 1) + u128::from(r.below(8)), f),
        13 => ((bias + (bias >> 1)).saturating_sub(u128::from(r.below(8))), f),
        14 => (u128::from(r.below(u64::from(fraction) + 4)).min(top - 1), f),
        15 => (r.wide() & top, f),
        _ => (bias - 3 + u128::from(r.below(6)), f),
    };
    let sign = u128::from(r.below(2)) << (exponent + fraction);
    sign | e << fraction | f
}

fn f64_of_f32(r: &mut Rng) -> u64 {
    let bits = float(r, 8, 23) as u32;
    let (sign, e, f) = (u64::from(bits >> 31) << 63, u64::from(bits >> 23 & 0xFF), u64::from(bits & 0x7F_FFFF));
    match e {
        0xFF => sign | 0x7FF << 52 | f << 29,
        0 if f == 0 => sign,
        // A denormal single is a normal double.
        0 => sign | ((f as f64) * 2f64.powi(-149)).to_bits(),
        _ => sign | (e + 896) << 52 | f << 29,
    }
}

/// A packed decimal: mostly valid digits with a sign code, sometimes not.
fn bcd(r: &mut Rng) -> u128 {
    let digits = r.pick(&[31, 31, 30, 16, 15, 8, 4, 1, 0]);
    let mut v = 0;
    for n in 0..31 {
        let d = if n < 31 - digits { 0 } else { r.pick(&[0, 9, r.clone().below(10)]) };
        r.next();
        v = v << 4 | u128::from(d);
    }
    let sign = r.pick(&[0xC, 0xD, 0xF, 0xA, 0xB, 0xE, 0xC, 0xD]);
    v = v << 4 | sign;
    if r.one_in(8) {
        let at = 4 * r.below(32);
        v = v & !(0xF << at) | u128::from(r.below(16)) << at;
    }
    // Zoned and national decimals look like this.
    match r.below(8) {
        0 => (0..16).fold(0, |z, n| {
            z << 8 | if n == 15 { 0x30 | r.pick(&[0x40, 0x00]) } else { 0x30 } | u128::from(r.below(10))
        }),
        1 => (0..7).fold(0, |z, _| z << 16 | 0x30 | u128::from(r.below(10))) << 16 | r.pick(&[0x2B, 0x2D]),
        _ => v,
    }
}

/// A vector register's content.
pub fn vector(r: &mut Rng, flavour: Flavour) -> u128 {
    let lanes = |r: &mut Rng, bits: u32, one: &mut dyn FnMut(&mut Rng) -> u64| {
        let same = r.one_in(6).then(|| one(r));
        (0..128 / bits).fold(0u128, |v, _| v << (bits % 128) | u128::from(same.unwrap_or_else(|| one(r))))
    };
    match flavour {
        Flavour::F64 => lanes(r, 64, &mut |r| float(r, 11, 52) as u64),
        Flavour::F64OfF32 => lanes(r, 64, &mut f64_of_f32),
        Flavour::F32 => lanes(r, 32, &mut |r| float(r, 8, 23) as u64),
        Flavour::F128 => float(r, 15, 112),
        Flavour::F16 => {
            let brain = r.one_in(2);
            lanes(r, 16, &mut |r| if brain { float(r, 8, 7) } else { float(r, 5, 10) } as u64)
        }
        Flavour::I8 => lanes(r, 8, &mut |r| integer(r, 8)),
        Flavour::I16 => lanes(r, 16, &mut |r| integer(r, 16)),
        Flavour::I32 => lanes(r, 32, &mut |r| integer(r, 32)),
        Flavour::I64 => lanes(r, 64, &mut |r| integer(r, 64)),
        Flavour::I128 => match r.below(8) {
            0 => 0,
            1 => 1,
            2 => u128::MAX,
            3 => 1 << 127,
            4 => (1 << 127) - 1,
            5 => u128::from(r.next()),
            6 => 1 << r.below(128),
            _ => r.wide(),
        },
        Flavour::Bcd => bcd(r),
        Flavour::Control => lanes(r, 8, &mut |r| r.below(32)),
        Flavour::Bits => r.wide(),
    }
}
