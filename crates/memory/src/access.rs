//! Primitives on guest memory. Rust has no unaligned atomics, and other vCPUs may touch the same
//! bytes at any time: each access is therefore one x86-64 instruction in inline assembly, whose
//! behaviour under a race is the processor's and not the compiler's to choose. Aligned accesses are
//! single-copy atomic, as Power ISA 3.1B, Book II, 1.4 asks; an unaligned one within a cache line is
//! too. All values are in host order; guest byte order is the caller's.
#![allow(unsafe_code)] // raw host pointers into guest RAM: this module is their one user

use core::arch::asm;

macro_rules! load {
    ($name:ident, $ty:ty, $ins:literal) => {
        /// Loads, zero-extended to 64 bits.
        ///
        /// # Safety
        /// `p` must point to guest RAM with room for the access.
        #[inline(always)]
        pub unsafe fn $name(p: *const u8) -> u64 {
            let v: u64;
            // SAFETY: the caller's promise; the instruction reads memory and writes one register.
            unsafe { asm!($ins, out(reg) v, in(reg) p, options(nostack, preserves_flags, readonly)) };
            v
        }
    };
}
load!(load_u8, u8, "movzx {0:e}, byte ptr [{1}]");
load!(load_u16, u16, "movzx {0:e}, word ptr [{1}]");
load!(load_u32, u32, "mov {0:e}, dword ptr [{1}]");
load!(load_u64, u64, "mov {0}, qword ptr [{1}]");

macro_rules! store {
    ($name:ident, $ins:literal, $class:ident) => {
        /// Stores the low part of `v`.
        ///
        /// # Safety
        /// `p` must point to guest RAM with room for the access.
        #[inline(always)]
        pub unsafe fn $name(p: *mut u8, v: u64) {
            // SAFETY: the caller's promise; the instruction writes memory only.
            unsafe { asm!($ins, in(reg) p, in($class) v, options(nostack, preserves_flags)) };
        }
    };
}
store!(store_u16, "mov word ptr [{0}], {1:x}", reg);
store!(store_u32, "mov dword ptr [{0}], {1:e}", reg);
store!(store_u64, "mov qword ptr [{0}], {1}", reg);

/// Stores one byte.
///
/// # Safety
/// `p` must point to guest RAM.
#[inline(always)]
pub unsafe fn store_u8(p: *mut u8, v: u64) {
    // SAFETY: the caller's promise; the instruction writes memory only.
    unsafe { asm!("mov byte ptr [{0}], {1}", in(reg) p, in(reg_byte) v as u8, options(nostack, preserves_flags)) };
}

/// Loads 16 bytes, in host order.
///
/// # Safety
/// `p` must point to guest RAM with room for the access.
#[inline(always)]
pub unsafe fn load_u128(p: *const u8) -> u128 {
    let v: core::arch::x86_64::__m128i;
    // SAFETY: the caller's promise.
    unsafe {
        asm!("movdqu {0}, xmmword ptr [{1}]", out(xmm_reg) v, in(reg) p, options(nostack, preserves_flags, readonly));
        core::mem::transmute(v)
    }
}

/// Stores 16 bytes, in host order.
///
/// # Safety
/// `p` must point to guest RAM with room for the access.
#[inline(always)]
pub unsafe fn store_u128(p: *mut u8, v: u128) {
    // SAFETY: the caller's promise; the transmute is between types of one size and no invalid values.
    unsafe {
        let v: core::arch::x86_64::__m128i = core::mem::transmute(v);
        asm!("movdqu xmmword ptr [{0}], {1}", in(reg) p, in(xmm_reg) v, options(nostack, preserves_flags));
    }
}

/// Compare and exchange of `size` (1, 2, 4, 8) bytes: if the memory holds `old`, stores `new`.
/// Returns what the memory held. A full fence.
///
/// # Safety
/// `p` must point to guest RAM with room for the access.
#[inline(always)]
pub unsafe fn compare_exchange(p: *mut u8, size: u32, old: u64, new: u64) -> u64 {
    let was: u64;
    // SAFETY: the caller's promise.
    unsafe {
        match size {
            1 => {
                let b: u8;
                asm!("lock cmpxchg byte ptr [{0}], {1}", in(reg) p, in(reg_byte) new as u8, inout("al") old as u8 => b, options(nostack));
                was = u64::from(b);
            }
            2 => {
                let b: u16;
                asm!("lock cmpxchg word ptr [{0}], {1:x}", in(reg) p, in(reg) new as u16, inout("ax") old as u16 => b, options(nostack));
                was = u64::from(b);
            }
            4 => {
                let b: u32;
                asm!("lock cmpxchg dword ptr [{0}], {1:e}", in(reg) p, in(reg) new as u32, inout("eax") old as u32 => b, options(nostack));
                was = u64::from(b);
            }
            _ => {
                debug_assert_eq!(size, 8);
                asm!("lock cmpxchg qword ptr [{0}], {1}", in(reg) p, in(reg) new, inout("rax") old => was, options(nostack));
            }
        }
    }
    was
}

/// Compare and exchange of 16 aligned bytes. Returns what the memory held. A full fence.
///
/// # Safety
/// `p` must point to guest RAM with room for the access and be 16-byte aligned; the host must have
/// `cmpxchg16b` (every x86-64-v2 host does).
#[inline]
pub unsafe fn compare_exchange_u128(p: *mut u8, old: u128, new: u128) -> u128 {
    let (mut lo, mut hi) = (old as u64, (old >> 64) as u64);
    // SAFETY: the caller's promise. rbx is reserved by the compiler, hence the exchange around it.
    unsafe {
        asm!(
            "xchg {nl}, rbx",
            "lock cmpxchg16b xmmword ptr [{p}]",
            "mov rbx, {nl}",
            p = in(reg) p,
            nl = inout(reg) new as u64 => _,
            in("rcx") (new >> 64) as u64,
            inout("rax") lo,
            inout("rdx") hi,
            options(nostack)
        );
    }
    u128::from(hi) << 64 | u128::from(lo)
}

/// Reads guest bytes in address order. Two, four, eight and sixteen are one access, and so atomic where they are aligned.
///
/// # Safety
/// `from` must have room for `to.len()` bytes of guest RAM.
#[inline]
pub unsafe fn read_bytes(from: *const u8, to: &mut [u8]) {
    // SAFETY: the caller's promise. Other vCPUs may write meanwhile: the bytes are plain data, and for the sizes that
    // have no access of their own any mixture of old and new is acceptable.
    unsafe {
        match to.len() {
            2 => to.copy_from_slice(&(load_u16(from) as u16).to_le_bytes()),
            4 => to.copy_from_slice(&(load_u32(from) as u32).to_le_bytes()),
            8 => to.copy_from_slice(&load_u64(from).to_le_bytes()),
            16 => to.copy_from_slice(&load_u128(from).to_le_bytes()),
            len => core::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), len),
        }
    }
}

/// Writes guest bytes in address order. Two, four, eight and sixteen are one access, and so atomic where they are aligned.
///
/// # Safety
/// `to` must have room for `from.len()` bytes of guest RAM.
#[inline]
pub unsafe fn write_bytes(to: *mut u8, from: &[u8]) {
    // SAFETY: as for `read_bytes`.
    unsafe {
        match *from {
            [a, b] => store_u16(to, u64::from(u16::from_le_bytes([a, b]))),
            [a, b, c, d] => store_u32(to, u64::from(u32::from_le_bytes([a, b, c, d]))),
            _ => match (<[u8; 8]>::try_from(from), <[u8; 16]>::try_from(from)) {
                (Ok(bytes), _) => store_u64(to, u64::from_le_bytes(bytes)),
                (_, Ok(bytes)) => store_u128(to, u128::from_le_bytes(bytes)),
                _ => core::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len()),
            },
        }
    }
}

/// `hwsync`: orders earlier stores before later loads. 2 ns where `mfence` costs 16.
#[inline(always)]
pub fn full_fence() {
    // SAFETY: touches a word of red-zone-free stack below nothing that is in use; no value changes.
    unsafe { asm!("lock or dword ptr [rsp], 0") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_at_every_offset() {
        let mut buf = [0u8; 64];
        let p = buf.as_mut_ptr();
        for off in 0..16 {
            // SAFETY: 16 + 16 bytes stay inside the buffer.
            unsafe {
                let q = p.add(off);
                store_u128(q, 0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100);
                assert_eq!(load_u8(q), 0);
                assert_eq!(load_u16(q), 0x0100);
                assert_eq!(load_u32(q), 0x0302_0100);
                assert_eq!(load_u64(q), 0x0706_0504_0302_0100);
                store_u8(q, 0xFF);
                store_u16(q.add(2), 0xAABB);
                assert_eq!(load_u32(q), 0xAABB_01FF);
                store_u32(q, 0x1122_3344);
                store_u64(q.add(8), 0x99);
                assert_eq!(load_u128(q), 0x99 << 64 | 0x0706_0504_1122_3344);
            }
        }
    }

    #[test]
    fn exchanges_succeed_only_on_equal() {
        #[repr(align(16))]
        struct A([u8; 16]);
        let mut a = A([0; 16]);
        let p = a.0.as_mut_ptr();
        // SAFETY: the buffer is 16 bytes, aligned to 16.
        unsafe {
            for size in [1, 2, 4, 8] {
                store_u64(p, 5);
                assert_eq!(compare_exchange(p, size, 4, 9), 5);
                assert_eq!(compare_exchange(p, size, 5, 9), 5);
                assert_eq!(load_u64(p), 9);
            }
            store_u128(p, 7 << 64 | 1);
            assert_eq!(compare_exchange_u128(p, 1, 3), 7 << 64 | 1);
            assert_eq!(compare_exchange_u128(p, 7 << 64 | 1, 3 << 64 | 2), 7 << 64 | 1);
            assert_eq!(load_u128(p), 3 << 64 | 2);
        }
        full_fence();
    }

    #[test]
    fn bytes_of_any_number_go_there_and_back() {
        let mut memory = [0u8; 40];
        let source: Vec<u8> = (1..=40).collect();
        for len in 0..=33 {
            let mut back = vec![0; len];
            // SAFETY: at most 33 of 40 bytes.
            unsafe {
                write_bytes(memory.as_mut_ptr(), &source[..len]);
                read_bytes(memory.as_ptr(), &mut back);
            }
            assert_eq!(back, source[..len]);
        }
    }
}
