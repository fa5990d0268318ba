//! Helpers of the atomic rows.

use crate::helpers::data_storage;
use crate::{Fallible, R, Vcpu, fallible};
use cpu::{Interrupt, Vector};
use memory::radix::Access;

/// `lbarx` .. `ldarx`: loads `bytes` at `ea` and reserves them.
pub extern "C" fn load_and_reserve(v: &mut Vcpu, ea: u64, bytes: u64, _: u64) -> bool {
    fallible(v, |v| v.load_and_reserve(ea, bytes as u32).map(|value| value as u64))
}

/// `lqarx`: loads 16 bytes at `ea`, reserves them, and returns the upper half.
pub extern "C" fn load_quad_and_reserve(v: &mut Vcpu, ea: u64, _: u64, _: u64) -> bool {
    fallible(v, |v| v.load_and_reserve(ea, 16).map(|value| (value >> 64) as u64))
}

/// The lower half of the quadword that [`load_quad_and_reserve`] loaded.
pub extern "C" fn reserved_low_half(v: &mut Vcpu, _: u64, _: u64, _: u64) -> u64 {
    v.guest_order(v.reservation.value, 16) as u64
}

/// `stbcx.` .. `stdcx.`: 1 if it stored.
pub extern "C" fn store_conditional(v: &mut Vcpu, ea: u64, value: u64, bytes: u64) -> bool {
    fallible(v, |v| v.store_conditional(ea, bytes as u32, value.into()).map(u64::from))
}

/// `stqcx.`: 1 if it stored.
pub extern "C" fn store_quad_conditional(v: &mut Vcpu, ea: u64, high: u64, low: u64) -> bool {
    fallible(v, |v| v.store_conditional(ea, 16, u128::from(high) << 64 | u128::from(low)).map(u64::from))
}

/// `ptesync`, `tlbsync`: waits until the other vCPUs have seen the invalidations that this one posted.
pub extern "C" fn wait_for_invalidations(v: &mut Vcpu, _: u64, _: u64, _: u64) -> bool {
    if v.unacknowledged {
        v.wait_for_translations();
    }
    v.result = 0;
    true
}

/// Function codes of `lwat` and `ldat` (Power ISA 3.1B, Book II, 4.5.1).
mod fc {
    pub const COMPARE_AND_SWAP_NOT_EQUAL: u32 = 16;
    pub const INCREMENT_BOUNDED: u32 = 24;
    pub const INCREMENT_EQUAL: u32 = 25;
    pub const DECREMENT_BOUNDED: u32 = 28;
    /// Of `stwat` and `stdat`.
    pub const STORE_TWIN: u32 = 24;
}

/// DSISR: a function code that does not exist (bit 61).
const BAD_FUNCTION_CODE: u64 = 0x4;

/// `bytes` (4 or 8) at the low end of `v`, sign-extended.
const fn signed(v: u64, bytes: u32) -> i64 {
    if bytes == 4 { v as i32 as i64 } else { v as i64 }
}

/// What codes 0 to 8 make of the old value and the operand; both are zero-extended, the result is cut by the store.
const fn combined(fc: u32, bytes: u32, old: u64, operand: u64) -> u64 {
    let keeps_old = match fc {
        0 => return old.wrapping_add(operand),
        1 => return old ^ operand,
        2 => return old | operand,
        3 => return old & operand,
        4 => old > operand,
        5 => signed(old, bytes) > signed(operand, bytes),
        6 => old < operand,
        7 => signed(old, bytes) < signed(operand, bytes),
        // 8: swap.
        _ => false,
    };
    if keeps_old { old } else { operand }
}

/// The low `bytes` of `v`.
const fn cut(v: u64, bytes: u32) -> u64 {
    if bytes == 4 { v as u32 as u64 } else { v }
}

/// Two operands beside each other must be aligned and lie in one block of 32 bytes, so also in one page.
fn check_pair(v: &mut Vcpu, ea: u64, beside: u64, bytes: u32) -> R {
    v.check_aligned(ea, bytes)?;
    if (ea ^ beside) & !31 != 0 {
        return v.raise(Interrupt::new(Vector::Alignment, v.cia).with_dar(ea));
    }
    Ok(())
}

fn fetch_body(v: &mut Vcpu, fc: u32, bytes: u32, ea: u64, first: u64, second: u64) -> R<u64> {
    let (first, second) = (cut(first, bytes), cut(second, bytes));
    let step: u64 = match fc {
        fc::COMPARE_AND_SWAP_NOT_EQUAL => {
            return v.atomic_update(ea, bytes, |old| if old != first { second } else { old });
        }
        fc::INCREMENT_BOUNDED | fc::INCREMENT_EQUAL => 1,
        fc::DECREMENT_BOUNDED => u64::MAX,
        _ => return v.atomic_update(ea, bytes, |old| combined(fc, bytes, old, first)),
    };
    // A second value beside the first bounds the step. It is read before the first changes, not with it: as if
    // whoever moves the bound came later.
    let size = u64::from(bytes);
    let beside = if fc == fc::DECREMENT_BOUNDED { ea.wrapping_sub(size) } else { ea.wrapping_add(size) };
    check_pair(v, ea, beside, bytes)?;
    let bound = v.load(beside, bytes)?;
    let steps = |old: u64| (old == bound) == (fc == fc::INCREMENT_EQUAL);
    let old = v.atomic_update(ea, bytes, |old| if steps(old) { old.wrapping_add(step) } else { old })?;
    Ok(if steps(old) { old } else { 1 << (8 * bytes - 1) })
}

extern "C" fn fetch_as<const FC: u32, const BYTES: u32>(v: &mut Vcpu, ea: u64, first: u64, second: u64) -> bool {
    fallible(v, |v| fetch_body(v, FC, BYTES, ea, first, second))
}

fn update_body(v: &mut Vcpu, fc: u32, bytes: u32, ea: u64, operand: u64) -> R<u64> {
    let operand = cut(operand, bytes);
    if fc != fc::STORE_TWIN {
        return v.atomic_update(ea, bytes, |old| combined(fc, bytes, old, operand)).map(|_| 0);
    }
    let beside = ea.wrapping_add(u64::from(bytes));
    check_pair(v, ea, beside, bytes)?;
    v.probe(ea, u64::from(2 * bytes), Access::Store)?;
    if v.load(ea, bytes)? == v.load(beside, bytes)? {
        v.store(ea, bytes, operand)?;
        v.store(beside, bytes, operand)?;
    }
    Ok(0)
}

extern "C" fn update_as<const FC: u32, const BYTES: u32>(v: &mut Vcpu, ea: u64, operand: u64, _: u64) -> bool {
    fallible(v, |v| update_body(v, FC, BYTES, ea, operand))
}

extern "C" fn bad_function_code(v: &mut Vcpu, ea: u64, _: u64, _: u64) -> bool {
    data_storage(v, ea, BAD_FUNCTION_CODE, 0)
}

macro_rules! by_code {
    ($f:ident, $fc:expr, $bytes:expr, $($code:literal)*) => {
        match ($fc, $bytes) {
            $( ($code, 4) => $f::<$code, 4>, ($code, _) => $f::<$code, 8>, )*
            _ => bad_function_code,
        }
    };
}

/// The helper of `lwat` (`bytes` = 4) or `ldat` (8) with this function code: operands are EA and the two registers
/// after RT, the result is RT.
#[inline(always)]
pub fn fetch(fc: u32, bytes: u32) -> Fallible {
    by_code!(fetch_as, fc, bytes, 0 1 2 3 4 5 6 7 8 16 24 25 28)
}

/// The helper of `stwat` or `stdat` with this function code: operands are EA and (RS).
#[inline(always)]
pub fn update(fc: u32, bytes: u32) -> Fallible {
    by_code!(update_as, fc, bytes, 0 1 2 3 4 5 6 7 24)
}
