//! Vector operations in Cranelift's values. [`sem::vec_value::vec_op_value`] says what they mean.
//!
//! A VSR is a value of type `I8X16`, loaded least significant byte first, so that the manual's element 0 is the host's
//! highest lane. What is written here expects the host to have [`REQUIRED`]; where it has AVX and more, Cranelift
//! itself chooses better instructions.

mod count;
mod shift;

use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::types::{I8X16, I16X8, I32, I32X4, I64, I64X2, I128};
use cranelift_codegen::ir::{ConstantData, Endianness, InstBuilder, MemFlagsData, Type, Value};
use cranelift_codegen::isa::TargetIsa;
use cranelift_frontend::FunctionBuilder;
use sem::{Lane, VecOp};

/// Features of the host, as Cranelift names them, that the operations here are made of.
pub const REQUIRED: [&str; 3] = ["has_ssse3", "has_sse41", "has_sse42"];

/// The first of [`REQUIRED`] that `isa` lacks.
pub fn missing_feature(isa: &dyn TargetIsa) -> Option<&'static str> {
    let flags = isa.isa_flags();
    REQUIRED.into_iter().find(|name| !flags.iter().any(|f| f.name == *name && f.as_bool() == Some(true)))
}

/// `op` of `x` and `y`, all of type `I8X16`. `None` if there is no such operation (nothing is narrower than a byte that
/// [`VecOp::PackModulo`] could pack it to).
pub fn vec_op(b: &mut FunctionBuilder, op: VecOp, x: Value, y: Value) -> Option<Value> {
    Lower { b }.op(op, x, y)
}

/// `(x & !c) | (y & c)`, bit by bit.
pub fn vec_select(b: &mut FunctionBuilder, x: Value, y: Value, c: Value) -> Value {
    b.ins().bitselect(c, y, x)
}

/// Byte n is the byte of `x || y` that the low five bits of byte n of `c` number.
pub fn vec_permute(b: &mut FunctionBuilder, x: Value, y: Value, c: Value) -> Value {
    let mut l = Lower { b };
    // The manual's byte n is the host's byte 15 - n; a number's fifth bit chooses the operand.
    let low = l.splat(Lane::B, 15);
    let n = l.b.ins().band_not(low, c);
    let from_x = l.b.ins().x86_pshufb(x, n);
    let from_y = l.b.ins().x86_pshufb(y, n);
    let fifth_on_top = l.shifted(Lane::H, c, Shift::Left, 3);
    let second = l.bytes(fifth_on_top);
    l.b.ins().blendv(second, from_y, from_x)
}

/// A constant.
pub fn vec_const(b: &mut FunctionBuilder, v: u128) -> Value {
    Lower { b }.constant(I8X16, v)
}

/// Both doublewords, the upper first.
pub fn vec_halves(b: &mut FunctionBuilder, v: Value) -> (Value, Value) {
    let l = Lower { b }.cast(I64X2, v);
    (b.ins().extractlane(l, 1), b.ins().extractlane(l, 0))
}

/// Doubleword 0, the upper one.
pub fn vec_high(b: &mut FunctionBuilder, v: Value) -> Value {
    let v = Lower { b }.cast(I64X2, v);
    b.ins().extractlane(v, 1)
}

/// A vector of two doublewords, the upper first.
pub fn vec_from_halves(b: &mut FunctionBuilder, high: Value, low: Value) -> Value {
    let v = b.ins().scalar_to_vector(I64X2, low);
    let v = b.ins().insertlane(v, high, 1);
    Lower { b }.bytes(v)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shift {
    Left,
    Right,
    Algebraic,
    Rotate,
}

fn type_of(lane: Lane) -> Type {
    match lane {
        Lane::B => I8X16,
        Lane::H => I16X8,
        Lane::W => I32X4,
        Lane::D => I64X2,
        Lane::Q => I128,
    }
}

fn lane_bits(lane: Lane) -> u32 {
    8 << lane as u32
}

fn lane_bytes(lane: Lane) -> u8 {
    1 << lane as u8
}

/// `n` in every lane.
fn repeated(lane: Lane, n: u128) -> u128 {
    let bits = lane_bits(lane);
    (0..128 / bits).fold(0, |v, i| v | (n & u128::MAX >> (128 - bits)) << (i * bits))
}

struct Lower<'l, 'f> {
    b: &'l mut FunctionBuilder<'f>,
}

impl Lower<'_, '_> {
    /// The same bits as another type.
    fn cast(&mut self, t: Type, v: Value) -> Value {
        if self.b.func.dfg.value_type(v) == t {
            return v;
        }
        self.b.ins().bitcast(t, MemFlagsData::new().with_endianness(Endianness::Little), v)
    }

    fn bytes(&mut self, v: Value) -> Value {
        self.cast(I8X16, v)
    }

    fn constant(&mut self, t: Type, v: u128) -> Value {
        let data = self.b.func.dfg.constants.insert(ConstantData::from(&v.to_le_bytes()[..]));
        if t == I128 {
            let v = self.b.ins().vconst(I8X16, data);
            return self.cast(I128, v);
        }
        self.b.ins().vconst(t, data)
    }

    /// `n` in every lane.
    fn splat(&mut self, lane: Lane, n: u128) -> Value {
        self.constant(type_of(lane), repeated(lane, n))
    }

    fn sign_bits(&mut self, lane: Lane) -> Value {
        self.splat(lane, 1 << (lane_bits(lane) - 1))
    }

    /// Bytes of `x`, numbered from 0, and of `y`, from 16, least significant first.
    fn shuffled(&mut self, x: Value, y: Value, numbers: impl Fn(u8) -> u8) -> Value {
        let (x, y) = (self.bytes(x), self.bytes(y));
        let mask: Vec<u8> = (0..16).map(numbers).collect();
        let mask = self.b.func.dfg.immediates.push(ConstantData::from(&mask[..]));
        self.b.ins().shuffle(x, y, mask)
    }

    /// Words of `x` and `y`, numbered as in [`Lower::shuffled`].
    fn shuffled_words(&mut self, x: Value, y: Value, words: [u8; 4]) -> Value {
        self.shuffled(x, y, |i| 4 * words[usize::from(i / 4)] + i % 4)
    }

    /// Every lane shifted by the same constant.
    fn shifted(&mut self, lane: Lane, v: Value, how: Shift, n: u32) -> Value {
        let v = self.cast(type_of(lane), v);
        let n = self.b.ins().iconst(I32, i64::from(n));
        self.shift_by(how, v, n)
    }

    fn op(&mut self, op: VecOp, x: Value, y: Value) -> Option<Value> {
        use VecOp::*;
        let lanes = |l: &mut Self, lane| (l.cast(type_of(lane), x), l.cast(type_of(lane), y));
        let v = match op {
            And => self.b.ins().band(x, y),
            Or => self.b.ins().bor(x, y),
            Xor => self.b.ins().bxor(x, y),
            Andc => self.b.ins().band_not(x, y),
            Orc => self.b.ins().bor_not(x, y),
            Nor => {
                let v = self.b.ins().bor(x, y);
                self.b.ins().bnot(v)
            }
            Nand => {
                let v = self.b.ins().band(x, y);
                self.b.ins().bnot(v)
            }
            Eqv => {
                let v = self.b.ins().bxor(x, y);
                self.b.ins().bnot(v)
            }
            Add(lane) => {
                let (x, y) = lanes(self, lane);
                self.b.ins().iadd(x, y)
            }
            Sub(lane) => {
                let (x, y) = lanes(self, lane);
                self.b.ins().isub(x, y)
            }
            Mul(lane) => {
                let (x, y) = lanes(self, lane);
                self.product(lane, x, y)
            }
            MinSigned(lane) => self.extreme(lane, IntCC::SignedLessThan, x, y),
            MinUnsigned(lane) => self.extreme(lane, IntCC::UnsignedLessThan, x, y),
            MaxSigned(lane) => self.extreme(lane, IntCC::SignedGreaterThan, x, y),
            MaxUnsigned(lane) => self.extreme(lane, IntCC::UnsignedGreaterThan, x, y),
            Equal(lane) => self.compare(lane, IntCC::Equal, x, y),
            NotEqual(lane) => self.compare(lane, IntCC::NotEqual, x, y),
            NotEqualOrZero(lane) => {
                let zero = self.constant(I8X16, 0);
                let equal = self.compare(lane, IntCC::Equal, x, y);
                let is_zero = self.compare(lane, IntCC::Equal, x, zero);
                let left_out = self.b.ins().band_not(equal, is_zero);
                self.b.ins().bnot(left_out)
            }
            GreaterSigned(lane) => self.compare(lane, IntCC::SignedGreaterThan, x, y),
            GreaterUnsigned(lane) => self.compare(lane, IntCC::UnsignedGreaterThan, x, y),
            ShiftLeft(lane) => self.shift(lane, Shift::Left, x, y),
            ShiftRight(lane) => self.shift(lane, Shift::Right, x, y),
            ShiftRightAlgebraic(lane) => self.shift(lane, Shift::Algebraic, x, y),
            RotateLeft(lane) => self.shift(lane, Shift::Rotate, x, y),
            AverageSigned(lane) => self.average(lane, Shift::Algebraic, x, y),
            AverageUnsigned(lane) => self.average(lane, Shift::Right, x, y),
            AbsoluteDifference(lane) => {
                let most = self.extreme(lane, IntCC::UnsignedGreaterThan, x, y);
                let least = self.extreme(lane, IntCC::UnsignedLessThan, x, y);
                let (most, least) = (self.cast(type_of(lane), most), self.cast(type_of(lane), least));
                self.b.ins().isub(most, least)
            }
            // From the least significant lane on, the second operand's comes first.
            MergeHigh(lane) => self.merge(lane, y, x, 8),
            MergeLow(lane) => self.merge(lane, y, x, 0),
            PackModulo(lane) => self.pack(lane, x, y)?,
            LeadingZeros(lane) => self.leading_zeros(lane, x),
            TrailingZeros(lane) => self.trailing_zeros(lane, x),
            Ones(lane) => self.ones(lane, x),
            ReverseBytes(lane) => self.shuffled(x, x, |i| i ^ (lane_bytes(lane) - 1)),
            Splat(lane, n) => {
                let bytes = lane_bytes(lane);
                let first = 16 - bytes - n.wrapping_mul(bytes) % 16;
                self.shuffled(x, x, |i| first + i % bytes)
            }
            Bytes(n) => match n & 15 {
                0 => x,
                n => self.shuffled(y, x, |i| 16 - n + i),
            },
        };
        Some(self.bytes(v))
    }

    /// All ones where `cc` holds.
    fn compare(&mut self, lane: Lane, cc: IntCC, x: Value, y: Value) -> Value {
        if lane != Lane::Q {
            let (x, y) = (self.cast(type_of(lane), x), self.cast(type_of(lane), y));
            let v = self.b.ins().icmp(cc, x, y);
            return self.bytes(v);
        }
        if matches!(cc, IntCC::Equal | IntCC::NotEqual) {
            let halves = self.compare(Lane::D, IntCC::Equal, x, y);
            let swapped = self.shuffled_words(halves, halves, [2, 3, 0, 1]);
            let both = self.b.ins().band(halves, swapped);
            return if cc == IntCC::Equal { both } else { self.b.ins().bnot(both) };
        }
        let (x, y) = (self.cast(I128, x), self.cast(I128, y));
        let c = self.b.ins().icmp(cc, x, y);
        let c = self.b.ins().bmask(I64, c);
        let v = self.b.ins().splat(I64X2, c);
        self.bytes(v)
    }

    /// `x` where `cc` holds, else `y`.
    fn extreme(&mut self, lane: Lane, cc: IntCC, x: Value, y: Value) -> Value {
        if matches!(lane, Lane::D | Lane::Q) {
            let c = self.compare(lane, cc, x, y);
            // Comparisons are made of whole bytes, so that the top bit of each tells.
            return self.b.ins().blendv(c, x, y);
        }
        let (x, y) = (self.cast(type_of(lane), x), self.cast(type_of(lane), y));
        match cc {
            IntCC::SignedLessThan => self.b.ins().smin(x, y),
            IntCC::UnsignedLessThan => self.b.ins().umin(x, y),
            IntCC::SignedGreaterThan => self.b.ins().smax(x, y),
            _ => self.b.ins().umax(x, y),
        }
    }

    /// The average, rounded up; `how` the lanes shift right.
    fn average(&mut self, lane: Lane, how: Shift, x: Value, y: Value) -> Value {
        let (mut x, mut y) = (self.cast(type_of(lane), x), self.cast(type_of(lane), y));
        if matches!(lane, Lane::B | Lane::H) {
            if how == Shift::Right {
                return self.b.ins().avg_round(x, y);
            }
            // Signed order is unsigned order with the sign bits inverted, and so is the way between the two.
            let sign = self.sign_bits(lane);
            (x, y) = (self.b.ins().bxor(x, sign), self.b.ins().bxor(y, sign));
            let v = self.b.ins().avg_round(x, y);
            return self.b.ins().bxor(v, sign);
        }
        let either = self.b.ins().bor(x, y);
        let one = self.b.ins().bxor(x, y);
        let half = self.shifted(lane, one, how, 1);
        self.b.ins().isub(either, half)
    }

    /// Lanes of the upper (`first` = 8) or lower (0) halves of `x` and `y` in turn, from the least significant on.
    fn merge(&mut self, lane: Lane, x: Value, y: Value, first: u8) -> Value {
        if lane == Lane::Q {
            return if first == 0 { x } else { y };
        }
        let bytes = lane_bytes(lane);
        self.shuffled(x, y, |i| first + i / (2 * bytes) * bytes + i % bytes + 16 * (i / bytes % 2))
    }

    fn pack(&mut self, lane: Lane, x: Value, y: Value) -> Option<Value> {
        Some(match lane {
            Lane::B => return None,
            Lane::H | Lane::W => {
                // Zero-extended, so that the saturation of the host changes nothing.
                let low = self.splat(lane, (1 << (lane_bits(lane) / 2)) - 1);
                let (x, y) = (self.cast(type_of(lane), x), self.cast(type_of(lane), y));
                let (x, y) = (self.b.ins().band(x, low), self.b.ins().band(y, low));
                self.b.ins().unarrow(y, x)
            }
            Lane::D => self.shuffled_words(y, x, [0, 2, 4, 6]),
            Lane::Q => self.shuffled_words(y, x, [0, 1, 4, 5]),
        })
    }

    /// The low halves of the products of lanes. Operands have the lane's type.
    fn product(&mut self, lane: Lane, x: Value, y: Value) -> Value {
        if lane != Lane::B {
            return self.b.ins().imul(x, y);
        }
        // Even bytes below, odd ones above, in halfwords.
        let (x, y) = (self.cast(I16X8, x), self.cast(I16X8, y));
        let (below, above) = (self.splat(Lane::H, 0xFF), self.splat(Lane::H, 0xFF00));
        let even = self.b.ins().imul(x, y);
        let even = self.b.ins().band(even, below);
        let x_odd = self.shifted(Lane::H, x, Shift::Right, 8);
        let y_odd = self.b.ins().band(y, above);
        let odd = self.b.ins().imul(x_odd, y_odd);
        self.b.ins().bor(even, odd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cranelift_codegen::control::ControlPlane;
    use cranelift_codegen::ir::{AbiParam, Signature, UserFuncName};
    use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
    use cranelift_codegen::settings::{self, Configurable, Flags};
    use cranelift_codegen::{Context, ir::Function};
    use cranelift_frontend::FunctionBuilderContext;
    use memmap2::{Mmap, MmapMut};
    use sem::vec_value::{permute_value, select_value, vec_op_value};

    /// This host with all that it has, and with nothing but what is required.
    fn hosts() -> [OwnedTargetIsa; 2] {
        let flags = || {
            let mut f = settings::builder();
            f.set("opt_level", "speed").unwrap();
            Flags::new(f)
        };
        let mut least = cranelift_codegen::isa::lookup_by_name("x86_64").unwrap();
        least.enable("has_sse3").unwrap();
        REQUIRED.iter().for_each(|f| least.enable(f).unwrap());
        [cranelift_native::builder().unwrap().finish(flags()).unwrap(), least.finish(flags()).unwrap()]
    }

    /// Code of `body`: three vectors to one.
    struct Code(Mmap);

    impl Code {
        fn new(isa: &OwnedTargetIsa, body: impl FnOnce(&mut FunctionBuilder, [Value; 3]) -> Value) -> Code {
            let mut signature = Signature::new(CallConv::SystemV);
            signature.params = vec![AbiParam::new(I64); 2];
            let mut context = Context::for_function(Function::with_name_signature(UserFuncName::default(), signature));
            let mut pool = FunctionBuilderContext::new();
            let mut b = FunctionBuilder::new(&mut context.func, &mut pool);
            let block = b.create_block();
            b.append_block_params_for_function_params(block);
            b.switch_to_block(block);
            b.seal_all_blocks();
            let (from, to) = (b.block_params(block)[0], b.block_params(block)[1]);
            let flags = MemFlagsData::new();
            let operands = [0, 16, 32].map(|at| b.ins().load(I8X16, flags, from, at));
            let v = body(&mut b, operands);
            assert_eq!(b.func.dfg.value_type(v), I8X16);
            b.ins().store(flags, v, to, 0);
            b.ins().return_(&[]);
            b.finalize(isa.frontend_config());
            let code = context.compile(&**isa, &mut ControlPlane::default()).unwrap();
            assert!(code.buffer.relocs().is_empty(), "nothing is called");
            let bytes = code.code_buffer();
            let mut map = MmapMut::map_anon(bytes.len()).unwrap();
            map[..bytes.len()].copy_from_slice(bytes);
            Code(map.make_exec().unwrap())
        }

        #[allow(unsafe_code)]
        fn run(&self, operands: [u128; 3]) -> u128 {
            let mut result = 0;
            // SAFETY: the map holds a whole function of this signature, which reads and writes these alone.
            unsafe {
                let f: extern "C" fn(*const u128, *mut u128) = std::mem::transmute(self.0.as_ptr());
                f(operands.as_ptr(), &mut result);
            }
            result
        }
    }

    fn random(x: &mut u64) -> u64 {
        *x ^= *x << 13;
        *x ^= *x >> 7;
        *x ^= *x << 17;
        *x
    }

    /// Vectors of anything, and of lanes at the ends of their ranges, small, alike and zero.
    fn operands() -> Vec<[u128; 3]> {
        let mut x = 0x9E37_79B9_7F4A_7C15;
        let mut all = Vec::new();
        for round in 0..4000 {
            let lane = [Lane::B, Lane::H, Lane::W, Lane::D, Lane::Q][round % 5];
            let bits = lane_bits(lane);
            let mut vector = |kind: u64| {
                (0..128 / bits).fold(0u128, |v, _| {
                    let any = u128::from(random(&mut x)) << 64 | u128::from(random(&mut x));
                    let n = match (kind, random(&mut x) % 8) {
                        (0, _) => any,
                        (_, 0) => 0,
                        (_, 1) => u128::MAX,
                        (_, 2) => 1 << (bits - 1),
                        (_, 3) => (1 << (bits - 1)) - 1,
                        (_, 4) => any % u128::from(bits),
                        (_, 5) => 1 << (any as u32 % bits),
                        (_, 6) => any & u128::MAX >> (128 - bits) >> ((any >> 64) as u32 % bits),
                        _ => any,
                    };
                    v << (bits % 128) | n & u128::MAX >> (128 - bits)
                })
            };
            let (a, b, c) = (vector(round as u64 / 5 % 3), vector(round as u64 / 15 % 3), vector(0));
            all.push([a, if round % 11 == 0 { a } else { b }, c]);
        }
        all
    }

    fn operations() -> Vec<VecOp> {
        use VecOp::*;
        let with_lane: [fn(Lane) -> VecOp; 28] = [
            Add,
            Sub,
            Mul,
            MinSigned,
            MinUnsigned,
            MaxSigned,
            MaxUnsigned,
            Equal,
            NotEqual,
            NotEqualOrZero,
            GreaterSigned,
            GreaterUnsigned,
            ShiftLeft,
            ShiftRight,
            ShiftRightAlgebraic,
            RotateLeft,
            AverageSigned,
            AverageUnsigned,
            AbsoluteDifference,
            MergeHigh,
            MergeLow,
            PackModulo,
            LeadingZeros,
            TrailingZeros,
            Ones,
            ReverseBytes,
            |lane| Splat(lane, 0),
            |lane| Splat(lane, 1),
        ];
        let lanes = [Lane::B, Lane::H, Lane::W, Lane::D, Lane::Q];
        let mut all = vec![And, Or, Xor, Andc, Orc, Nor, Nand, Eqv];
        all.extend(with_lane.iter().flat_map(|op| lanes.map(op)));
        all.extend(lanes.iter().flat_map(|&lane| (2..16).map(move |n| Splat(lane, n))));
        all.extend((0..18).map(Bytes));
        all
    }

    #[test]
    fn operations_have_their_values() {
        let operands = operands();
        for isa in hosts() {
            for op in operations() {
                if op == VecOp::PackModulo(Lane::B) {
                    continue;
                }
                let code = Code::new(&isa, |b, [x, y, _]| vec_op(b, op, x, y).unwrap_or_else(|| panic!("no {op:?}")));
                for v in &operands {
                    let (found, expected) = (code.run(*v), vec_op_value(op, v[0], v[1]));
                    assert_eq!(found, expected, "{op:?} of {:#034x}, {:#034x}: {found:#x} {expected:#x}", v[0], v[1]);
                }
            }
        }
    }

    #[test]
    fn the_others_have_their_values() {
        for isa in hosts() {
            let select = Code::new(&isa, |b, [x, y, z]| vec_select(b, x, y, z));
            let permute = Code::new(&isa, |b, [x, y, z]| vec_permute(b, x, y, z));
            let constant = 0x0123_4567_89AB_CDEF_0011_2233_4455_6677;
            let fixed = Code::new(&isa, |b, _| vec_const(b, constant));
            let turned = Code::new(&isa, |b, [x, ..]| {
                let (high, low) = vec_halves(b, x);
                vec_from_halves(b, low, high)
            });
            let high = Code::new(&isa, |b, [x, y, _]| {
                let (x, y) = (vec_high(b, x), vec_high(b, y));
                vec_from_halves(b, x, y)
            });
            for [x, y, z] in operands() {
                let v = [x, y, z];
                assert_eq!(select.run(v), select_value(x, y, z));
                assert_eq!(permute.run(v), permute_value(x, y, z), "{v:x?}");
                assert_eq!(fixed.run(v), constant);
                assert_eq!(turned.run(v), x.rotate_left(64));
                assert_eq!(high.run(v), x >> 64 << 64 | y >> 64);
            }
        }
    }

    #[test]
    fn what_a_host_lacks_is_named() {
        let [host, least] = hosts();
        assert_eq!((missing_feature(&*host), missing_feature(&*least)), (None, None));
        let mut old = cranelift_codegen::isa::lookup_by_name("x86_64").unwrap();
        ["has_sse3", "has_ssse3", "has_sse41"].iter().for_each(|f| old.enable(f).unwrap());
        let old = old.finish(Flags::new(settings::builder())).unwrap();
        assert_eq!(missing_feature(&*old), Some("has_sse42"));
    }
}
