//! What each instruction does, once, in the words of the Power ISA, generic over [`Sem`].
//!
//! A row of the instruction table named `add` in chapter `fixed` has its semantics in
//! `sem::fixed::add`: `pub fn add<S: Sem, I: Fields>(s: &mut S, i: I) -> R`. Fields of the
//! instruction are plain integers, so `if i.rc() { .. }` is ordinary Rust. What is known only when the
//! instruction runs (registers, memory) is a value of the engine, and a branch on it goes through the
//! trait: there is no way to turn a value into a Rust integer, so an engine cannot cheat.
//!
//! Rules
//! - **Precise**: every access of an instruction, both pages of a crossing one included, succeeds (or
//!   is probed) before any register is written. `?` on the first failing one leaves the instruction.
//! - Facility and privilege checks that the table can decide (MSR\[FP,VEC,VSX,PR\], FSCR) are made when
//!   code is decoded: a semantics runs only if its instruction may. Checks that need a register's
//!   number or content (SPRs) are made here.
//! - What an engine can do well inline is a method of the trait. The rest is a *helper*: an
//!   `extern "C" fn(&mut Vcpu, u64, u64, u64)`, which the interpreter calls and generated code calls too.

pub mod admit;
pub mod atomic;
pub mod atomic_helpers;
pub mod branch;
pub mod dfp;
pub mod fixed;
pub mod fixed_helpers;
pub mod float;
pub mod fp;
pub mod helpers;
pub mod mma;
pub mod prefixed;
pub mod slb;
pub mod storage;
pub mod storage_helpers;
pub mod system;
pub mod system_helpers;
pub mod tm;
mod vec_host;
pub mod vec_value;
pub mod vmx;
pub mod vsx;
pub mod vsx_fp;
mod vsx_select;

pub use isa::Fields;
pub use vcpu::{R, Stop, Vcpu};

/// A helper that cannot fail: three operands, one result.
pub type Helper = extern "C" fn(&mut Vcpu, u64, u64, u64) -> u64;

/// A helper that can raise an interrupt: true on success, with the result in [`Vcpu::result`]; false
/// with [`Vcpu::exit`] set. `cia` and `ahead` are settled before it is called.
pub type Fallible = extern "C" fn(&mut Vcpu, u64, u64, u64) -> bool;

/// Turns a `fn(&mut Vcpu, ..) -> R<u64>` body into what a [`Fallible`] returns.
pub fn fallible(vcpu: &mut Vcpu, body: impl FnOnce(&mut Vcpu) -> R<u64>) -> bool {
    match body(vcpu) {
        Ok(result) => {
            vcpu.result = result;
            true
        }
        Err(Stop) => false,
    }
}

/// Width of a memory access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Width {
    /// 1 byte.
    Byte = 1,
    /// 2 bytes.
    Half = 2,
    /// 4 bytes.
    Word = 4,
    /// 8 bytes.
    Double = 8,
}

impl Width {
    /// Bytes.
    pub const fn bytes(self) -> u32 {
        self as u32
    }
    /// Bits.
    pub const fn bits(self) -> u32 {
        8 * self as u32
    }
}

/// Registers that hold a 64-bit value and are read and written as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reg {
    /// Link register.
    Lr,
    /// Count register.
    Ctr,
    /// Target address register.
    Tar,
}

/// One-bit parts of XER.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the manual's names
pub enum XerBit {
    So,
    Ov,
    Ov32,
    Ca,
    Ca32,
}

/// What a return from an interrupt takes NIA and MSR from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReturnFrom {
    /// SRR0 and SRR1: `rfid`.
    Interrupt,
    /// LR and CTR: `rfscv`.
    SystemCallVectored,
}

/// Where a branch goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<L> {
    /// `cia` plus a displacement.
    Relative(i64),
    /// A constant effective address (AA=1).
    Absolute(u64),
    /// A value; its two low bits are already zero.
    Indirect(L),
}

/// Strength of a memory barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// `hwsync`, `ptesync`: everything before everything after. `ptesync` waits for invalidations through a helper.
    Full,
    /// `lwsync`, `eieio`, `isync`: an ordering point for the compiler; the host orders the rest.
    Light,
}

/// Lane width of a vector operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Lane {
    B,
    H,
    W,
    D,
    Q,
}

/// Vector operations on two operands, lane by lane, modulo unless named otherwise. Lanes and elements are
/// numbered as in the manual, 0 being the most significant. [`vec_value::vec_op_value`] is their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum VecOp {
    And,
    Or,
    Xor,
    Andc,
    Orc,
    Nor,
    Nand,
    Eqv,
    Add(Lane),
    Sub(Lane),
    Mul(Lane),
    MinSigned(Lane),
    MinUnsigned(Lane),
    MaxSigned(Lane),
    MaxUnsigned(Lane),
    /// All ones where equal.
    Equal(Lane),
    /// All ones where not equal.
    NotEqual(Lane),
    /// All ones where not equal, or where either is zero.
    NotEqualOrZero(Lane),
    /// All ones where the first is greater, signed.
    GreaterSigned(Lane),
    /// All ones where the first is greater, unsigned.
    GreaterUnsigned(Lane),
    /// Shift counts are the second operand's lanes, modulo the lane width.
    ShiftLeft(Lane),
    ShiftRight(Lane),
    ShiftRightAlgebraic(Lane),
    RotateLeft(Lane),
    /// Average, rounded up.
    AverageSigned(Lane),
    AverageUnsigned(Lane),
    /// Unsigned.
    AbsoluteDifference(Lane),
    /// The upper half's lanes of the first and second operand in turn.
    MergeHigh(Lane),
    /// The lower half's lanes of the first and second operand in turn.
    MergeLow(Lane),
    /// The lower halves of the lanes (`H`, `W`, `D` or `Q`) of the first, then of the second operand.
    PackModulo(Lane),
    /// Zeros before the first one of each lane. The second operand does not matter, here and below.
    LeadingZeros(Lane),
    /// Zeros after the last one of each lane.
    TrailingZeros(Lane),
    /// Ones in each lane.
    Ones(Lane),
    /// The bytes of each lane in reverse order.
    ReverseBytes(Lane),
    /// The lane of this number in every lane.
    Splat(Lane, u8),
    /// 16 bytes from this byte (0..=15) of the two operands put together.
    Bytes(u8),
}

/// An engine, as a semantics sees it. All integer arithmetic is modulo 2^64 on [`Sem::Long`].
///
/// Bit numbering of methods that take a number of a CR bit or field is the manual's.
pub trait Sem: Sized {
    /// A truth value.
    type Bool: Copy;
    /// A 64-bit integer.
    type Long: Copy;
    /// A 128-bit vector-scalar register value, host order: the manual's bit 0 is the most significant.
    type Vec: Copy;

    // --- the block's constants ---

    /// MSR\[SF\].
    fn mode_64(&self) -> bool;
    /// MSR\[PR\].
    fn problem_state(&self) -> bool;
    /// MSR\[LE\].
    fn little_endian(&self) -> bool;
    /// Last level whose facilities the code sees.
    fn level(&self) -> isa::IsaLevel;

    // --- constants and arithmetic ---

    /// A constant.
    fn long(&mut self, v: u64) -> Self::Long;
    /// `a + b`.
    fn add(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// `a - b`.
    fn sub(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Low half of the product.
    fn mul(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// High half of the unsigned product.
    fn mulhu(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// High half of the signed product.
    fn mulhs(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Unsigned quotient; 0 if `b` is 0.
    fn divu(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Signed quotient; 0 if `b` is 0 or the quotient overflows.
    fn divs(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Unsigned remainder; 0 if `b` is 0.
    fn remu(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Signed remainder; 0 if `b` is 0 or the quotient overflows.
    fn rems(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Bitwise and.
    fn and(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Bitwise or.
    fn or(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Bitwise exclusive or.
    fn xor(&mut self, a: Self::Long, b: Self::Long) -> Self::Long;
    /// Bitwise complement.
    fn not(&mut self, a: Self::Long) -> Self::Long;
    /// Shift left; the count is taken modulo 64.
    fn shl(&mut self, a: Self::Long, n: Self::Long) -> Self::Long;
    /// Shift right; the count is taken modulo 64.
    fn shr(&mut self, a: Self::Long, n: Self::Long) -> Self::Long;
    /// Shift right algebraic; the count is taken modulo 64.
    fn sar(&mut self, a: Self::Long, n: Self::Long) -> Self::Long;
    /// Rotate left; the count is taken modulo 64.
    fn rotl(&mut self, a: Self::Long, n: Self::Long) -> Self::Long;
    /// Rotates the low word left by the count modulo 32; the result is zero-extended.
    fn rotl32(&mut self, a: Self::Long, n: Self::Long) -> Self::Long;
    /// Leading zeros; 64 for 0.
    fn clz(&mut self, a: Self::Long) -> Self::Long;
    /// Trailing zeros; 64 for 0.
    fn ctz(&mut self, a: Self::Long) -> Self::Long;
    /// Ones.
    fn popcnt(&mut self, a: Self::Long) -> Self::Long;
    /// Reverses the eight bytes.
    fn bswap(&mut self, a: Self::Long) -> Self::Long;
    /// Keeps the low `bits` (8, 16, 32), zero-extended.
    fn zext(&mut self, a: Self::Long, bits: u32) -> Self::Long;
    /// Keeps the low `bits` (8, 16, 32), sign-extended.
    fn sext(&mut self, a: Self::Long, bits: u32) -> Self::Long;

    // --- truth ---

    /// A constant.
    fn bool(&mut self, b: bool) -> Self::Bool;
    /// `a == b`.
    fn eq(&mut self, a: Self::Long, b: Self::Long) -> Self::Bool;
    /// `a < b`, unsigned.
    fn ltu(&mut self, a: Self::Long, b: Self::Long) -> Self::Bool;
    /// `a < b`, signed.
    fn lts(&mut self, a: Self::Long, b: Self::Long) -> Self::Bool;
    /// Both.
    fn both(&mut self, a: Self::Bool, b: Self::Bool) -> Self::Bool;
    /// Either, or both.
    fn either(&mut self, a: Self::Bool, b: Self::Bool) -> Self::Bool;
    /// Exactly one.
    fn differ(&mut self, a: Self::Bool, b: Self::Bool) -> Self::Bool;
    /// Negation.
    fn is_not(&mut self, a: Self::Bool) -> Self::Bool;
    /// `c ? a : b`; both are evaluated.
    fn select(&mut self, c: Self::Bool, a: Self::Long, b: Self::Long) -> Self::Long;
    /// 1 or 0.
    fn one_if(&mut self, b: Self::Bool) -> Self::Long;
    /// `a != 0`.
    fn nonzero(&mut self, a: Self::Long) -> Self::Bool {
        let zero = self.long(0);
        let z = self.eq(a, zero);
        self.is_not(z)
    }
    /// Runs `then` if `c` is true.
    fn if_(&mut self, c: Self::Bool, then: impl FnOnce(&mut Self) -> R) -> R;

    // --- registers ---

    /// General purpose register `n`.
    fn gpr(&mut self, n: usize) -> Self::Long;
    /// Sets general purpose register `n`.
    fn set_gpr(&mut self, n: usize, v: Self::Long);
    /// A whole register.
    fn reg(&mut self, r: Reg) -> Self::Long;
    /// Sets a whole register.
    fn set_reg(&mut self, r: Reg, v: Self::Long);
    /// A bit of XER.
    fn xer(&mut self, b: XerBit) -> Self::Bool;
    /// Sets a bit of XER.
    fn set_xer(&mut self, b: XerBit, v: Self::Bool);
    /// Condition register bit `n` (0..=31).
    fn cr_bit(&mut self, n: usize) -> Self::Bool;
    /// Sets condition register bit `n`.
    fn set_cr_bit(&mut self, n: usize, v: Self::Bool);
    /// Condition register field `n` as LT=8 GT=4 EQ=2 SO=1.
    fn cr_field(&mut self, n: usize) -> Self::Long;
    /// Sets condition register field `n` to the low four bits of `v`.
    fn set_cr_field(&mut self, n: usize, v: Self::Long);
    /// Condition register field `n` = LT, GT or EQ of a signed comparison, and XER\[SO\].
    fn compare_signed(&mut self, n: usize, a: Self::Long, b: Self::Long);
    /// Condition register field `n` = LT, GT or EQ of an unsigned comparison, and XER\[SO\].
    fn compare_unsigned(&mut self, n: usize, a: Self::Long, b: Self::Long);
    /// Vector-scalar register `n` (VRs are 32..=63).
    fn vsr(&mut self, n: usize) -> Self::Vec;
    /// Sets vector-scalar register `n`.
    fn set_vsr(&mut self, n: usize, v: Self::Vec);
    /// Doubleword 0 (upper half) of VSR `n`: FPR `n` for n below 32.
    fn vsr_hi(&mut self, n: usize) -> Self::Long;
    /// Sets VSR `n` to doublewords `hi`, `lo`.
    fn set_vsr_pair(&mut self, n: usize, hi: Self::Long, lo: Self::Long);
    /// Both doublewords of a vector, upper first.
    fn vec_halves(&mut self, v: Self::Vec) -> (Self::Long, Self::Long);
    /// A vector of two doublewords, upper first.
    fn vec_from_halves(&mut self, hi: Self::Long, lo: Self::Long) -> Self::Vec;
    /// A constant vector.
    fn vec_const(&mut self, v: u128) -> Self::Vec;
    /// A lane-wise operation.
    fn vec_op(&mut self, op: VecOp, a: Self::Vec, b: Self::Vec) -> Self::Vec;
    /// `(a & !c) | (b & c)`.
    fn vec_select(&mut self, a: Self::Vec, b: Self::Vec, c: Self::Vec) -> Self::Vec {
        let a = self.vec_op(VecOp::Andc, a, c);
        let b = self.vec_op(VecOp::And, b, c);
        self.vec_op(VecOp::Or, a, b)
    }
    /// VSR `t` = the bytes of VSRs `a`, `b` put together that the low five bits of each byte of VSR `c` number.
    fn vec_permute(&mut self, t: usize, a: usize, b: usize, c: usize) {
        let (b, c) = (self.long(b as u64), self.long(c as u64));
        self.call_vsr(vmx::permute, t as u64 | (a as u64) << 8, b, c);
    }

    // --- memory ---

    /// Loads, zero-extended, in guest byte order. The address is already wrapped ([`Sem::ea`]).
    ///
    /// # Errors
    /// The access's interrupt.
    fn load(&mut self, ea: Self::Long, width: Width) -> R<Self::Long>;
    /// Stores the low part of `v` in guest byte order.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    fn store(&mut self, ea: Self::Long, width: Width, v: Self::Long) -> R;
    /// Loads a quadword in guest byte order: in big-endian order byte 0 of storage becomes the most
    /// significant byte, in little-endian order the least significant.
    ///
    /// # Errors
    /// The access's interrupt.
    fn load_quad(&mut self, ea: Self::Long) -> R<Self::Vec>;
    /// Stores a quadword in guest byte order.
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    fn store_quad(&mut self, ea: Self::Long, v: Self::Vec) -> R;
    /// Makes sure that `bytes` from `ea` can be loaded (or stored): for instructions of several accesses.
    ///
    /// # Errors
    /// The access's interrupt.
    fn probe(&mut self, ea: Self::Long, bytes: u64, store: bool) -> R;
    /// Writes zeros to the `bytes` at `ea`, which is a multiple of them (`dcbz`).
    ///
    /// # Errors
    /// The access's interrupt; nothing was stored.
    fn zero_block(&mut self, ea: Self::Long, bytes: u64) -> R {
        let n = self.long(bytes);
        self.try_call(storage_helpers::zero_block, ea, n, n).map(|_| ())
    }
    /// Loads, and reserves the address (`lbarx` .. `ldarx`).
    ///
    /// # Errors
    /// The access's interrupt.
    fn load_and_reserve(&mut self, ea: Self::Long, width: Width) -> R<Self::Long> {
        let bytes = self.long(width.bytes().into());
        self.try_call(atomic_helpers::load_and_reserve, ea, bytes, bytes)
    }
    /// Stores if the reservation holds, and clears it (`stbcx.` .. `stdcx.`). 1 if it stored, else 0.
    ///
    /// # Errors
    /// The access's interrupt.
    fn store_conditional(&mut self, ea: Self::Long, width: Width, v: Self::Long) -> R<Self::Long> {
        let bytes = self.long(width.bytes().into());
        self.try_call(atomic_helpers::store_conditional, ea, v, bytes)
    }
    /// A memory barrier.
    fn fence(&mut self, f: Fence);

    // --- control ---

    /// Address of this instruction.
    fn cia(&mut self) -> Self::Long;
    /// Goes to `target`.
    fn branch(&mut self, target: Target<Self::Long>);
    /// Goes to `target` if `c`, else to the next instruction.
    fn branch_if(&mut self, c: Self::Bool, target: Target<Self::Long>);
    /// Leaves the instruction with a program interrupt for `cause` ([`cpu::bits::srr1`]) if `c`.
    ///
    /// # Errors
    /// [`Stop`] if it does.
    fn program_if(&mut self, c: Self::Bool, cause: u64) -> R;
    /// Leaves the instruction with a program interrupt.
    ///
    /// # Errors
    /// Always [`Stop`].
    fn program(&mut self, cause: u64) -> R;

    // --- helpers ---

    /// Calls a helper that cannot fail.
    fn call(&mut self, f: Helper, a: Self::Long, b: Self::Long, c: Self::Long) -> Self::Long;
    /// Calls a helper that reads VSRs and VSCR, and writes VSR number `tag & 63` and VSCR, nothing else. Its first
    /// argument is `tag`, of which the higher bits are its own. The result is dropped.
    fn call_vsr(&mut self, f: Helper, tag: u64, b: Self::Long, c: Self::Long) {
        let tag = self.long(tag);
        self.call(f, tag, b, c);
    }
    /// Calls a helper that can raise an interrupt. Settles `cia` and the count first.
    ///
    /// # Errors
    /// [`Stop`] if it did.
    fn try_call(&mut self, f: Fallible, a: Self::Long, b: Self::Long, c: Self::Long) -> R<Self::Long>;
    /// As [`Sem::try_call`], for a helper that reads VSRs and FPSCR, and writes VSR number `tag & 63` and FPSCR,
    /// nothing else (if it raises an interrupt, it may have written a CR field too). Its first argument is `tag`, of
    /// which the higher bits are its own.
    ///
    /// # Errors
    /// [`Stop`] if it raised an interrupt.
    fn try_call_vsr(&mut self, f: Fallible, tag: u64, b: Self::Long, c: Self::Long) -> R<Self::Long> {
        let tag = self.long(tag);
        self.try_call(f, tag, b, c)
    }
    /// A word in single format, in double format (Book I, 4.6.2).
    fn double_from_single(&mut self, word: Self::Long) -> Self::Long {
        let zero = self.long(0);
        self.call(fp::double_from_single, word, zero, zero)
    }
    /// A value in double format as a word in single format (Book I, 4.6.3).
    fn single_from_double(&mut self, v: Self::Long) -> Self::Long {
        let zero = self.long(0);
        self.call(fp::single_word, v, zero, zero)
    }
    /// Scalar floating-point arithmetic: `f` does it, called as by [`Sem::try_call_vsr`].
    ///
    /// # Errors
    /// [`Stop`] if it raised an interrupt.
    fn arithmetic(&mut self, what: float::Arithmetic, f: Fallible, tag: u64) -> R {
        let _ = what;
        let zero = self.long(0);
        self.try_call_vsr(f, tag, zero, zero).map(|_| ())
    }
    /// The same on each element of three VSRs.
    ///
    /// # Errors
    /// [`Stop`] if it raised an interrupt.
    fn vector_arithmetic(&mut self, what: float::Arithmetic, f: Fallible, tag: u64) -> R {
        let _ = what;
        let zero = self.long(0);
        self.try_call_vsr(f, tag, zero, zero).map(|_| ())
    }
    /// Compares VSRs x and y element by element, ones in VSR t where one of the relations is: `f` does it, called as by
    /// [`Sem::try_call_vsr`], with the relations. Returns CR field 6: all ones, all zeros.
    ///
    /// # Errors
    /// [`Stop`] if it raised an interrupt.
    fn compare_elements(&mut self, what: float::Elements, f: Fallible, tag: u64) -> R<Self::Long> {
        let (relations, zero) = (self.long(u64::from(what.relations)), self.long(0));
        self.try_call_vsr(f, tag, relations, zero)
    }
    /// An outer product: `f` does it, called with its [`mma::OuterProduct::registers`] and [`mma::OuterProduct::masks`]. It reads
    /// and writes the VSRs that those name, VSCR and FPSCR, nothing else.
    ///
    /// # Errors
    /// [`Stop`] if it raised an interrupt.
    fn outer_product(&mut self, what: mma::OuterProduct, f: Fallible) -> R {
        let (registers, masks, zero) = (self.long(what.registers()), self.long(what.masks()), self.long(0));
        self.try_call(f, registers, masks, zero).map(|_| ())
    }
    /// Compares doublewords 0 of VSRs x and y: `f` does it, called as by [`Sem::try_call_vsr`], also with the CR field's number,
    /// which it only uses where it interrupts. Returns the relation, one of the four bits of a field.
    ///
    /// # Errors
    /// [`Stop`] if it raised an interrupt.
    fn compare_doubles(&mut self, x: usize, y: usize, f: Fallible, tag: u64, field: u64) -> R<Self::Long> {
        let _ = (x, y);
        let (field, zero) = (self.long(field), self.long(0));
        self.try_call_vsr(f, tag, field, zero)
    }
    /// As [`Sem::try_call`], for a helper that changes NIA or MSR itself (`rfid`, `mtmsrd`, `sc`, ..):
    /// `state.nia` is the next instruction when it is called, and where the engine goes on is what
    /// it left there. Only for rows that end a block.
    ///
    /// # Errors
    /// [`Stop`] if the helper raised an interrupt.
    fn context_call(&mut self, f: Fallible, a: Self::Long, b: Self::Long, c: Self::Long) -> R;

    // --- interrupts, machine state ---
    // What an engine does not do better is left to helpers. Only for rows that end a block.

    /// `sc`.
    ///
    /// # Errors
    /// [`Stop`], if the engine takes the interrupt elsewhere, or it is a hypercall.
    fn system_call(&mut self, lev: u32) -> R {
        let lev = self.long(lev.into());
        self.context_call(system_helpers::system_call, lev, lev, lev)
    }
    /// `scv`.
    ///
    /// # Errors
    /// [`Stop`], if the engine takes the interrupt elsewhere.
    fn system_call_vectored(&mut self, level: u32) -> R {
        let level = self.long(level.into());
        self.context_call(system_helpers::system_call_vectored, level, level, level)
    }
    /// `rfid` or `rfscv`.
    ///
    /// # Errors
    /// None so far.
    fn return_from(&mut self, what: ReturnFrom) -> R {
        let helper = match what {
            ReturnFrom::Interrupt => system_helpers::rfid,
            ReturnFrom::SystemCallVectored => system_helpers::rfscv,
        };
        let zero = self.long(0);
        self.context_call(helper, zero, zero, zero)
    }
    /// Sets the bits of MSR under `mask`, within what the model has; an interrupt that is let in comes before the next
    /// instruction.
    ///
    /// # Errors
    /// None so far.
    fn set_msr(&mut self, value: Self::Long, mask: u64) -> R {
        let mask = self.long(mask);
        self.context_call(system_helpers::set_msr, value, mask, mask)
    }
    /// Special purpose register `n`, or `old` if there is none and reading it is no interrupt.
    ///
    /// # Errors
    /// [`Stop`] with a program or facility unavailable interrupt.
    fn read_spr(&mut self, n: u32, old: Self::Long) -> R<Self::Long> {
        let n = self.long(n.into());
        self.try_call(system_helpers::read_spr, n, old, old)
    }
    /// Sets special purpose register `n`.
    ///
    /// # Errors
    /// As [`Sem::read_spr`].
    fn write_spr(&mut self, n: u32, v: Self::Long) -> R {
        let n = self.long(n.into());
        self.context_call(system_helpers::write_spr, n, v, v)
    }
    /// Waits until the other vCPUs have seen the invalidations that this one posted (`ptesync`).
    ///
    /// # Errors
    /// None that the instruction has: an engine may leave the instruction to another one.
    fn wait_for_invalidations(&mut self) -> R {
        let zero = self.long(0);
        self.try_call(atomic_helpers::wait_for_invalidations, zero, zero, zero).map(|_| ())
    }
    /// `isync`: what was done before holds for what is fetched from here on.
    fn synchronize(&mut self) {
        self.fence(Fence::Light);
    }

    // --- derived ---

    /// (RA|0): register `ra`, or 0 if the field is 0; CIA for a prefixed form with R=1.
    fn ra_or_zero<I: Fields>(&mut self, i: I) -> Self::Long {
        if i.cia_relative() {
            return self.cia();
        }
        if i.ra_is_0() { self.long(0) } else { self.gpr(i.ra()) }
    }
    /// `base + displacement`, wrapped to 32 bits outside of 64-bit mode.
    fn ea(&mut self, base: Self::Long, displacement: Self::Long) -> Self::Long {
        let ea = self.add(base, displacement);
        if self.mode_64() { ea } else { self.zext(ea, 32) }
    }
    /// CR0 from a result, as Rc=1 asks (the low word outside of 64-bit mode).
    fn record(&mut self, result: Self::Long) {
        let zero = self.long(0);
        let v = if self.mode_64() { result } else { self.sext(result, 32) };
        self.compare_signed(0, v, zero);
    }
    /// Sets OV and OV32, and SO if `ov`.
    fn set_overflow(&mut self, ov: Self::Bool, ov32: Self::Bool) {
        self.set_xer(XerBit::Ov, ov);
        if self.level() >= isa::IsaLevel::V3_0 {
            self.set_xer(XerBit::Ov32, ov32);
        }
        let so = self.xer(XerBit::So);
        let so = self.either(so, ov);
        self.set_xer(XerBit::So, so);
    }
}
