//! Loads and stores of general registers, strings, return address protection, cache management, copy and paste
//! (Power ISA 3.1B, Book I, 3.3.2 to 3.3.6 and 3.3.18; Book II, 4.3 and 4.4).
//!
//! Update forms write RA after the access succeeded. Their invalid forms (RA = 0, or RA = RT of a load) use the
//! register RA as base, and RA is written last.
#![allow(missing_docs)] // a function a row: the table names it, the manual says what it does

use crate::helpers::{self, semantics};
use crate::storage_helpers as helper;
use crate::{Fields, R, Sem, Width};
use cpu::bits::srr1;

/// Where an access goes: the effective address of D, DS, DQ forms.
#[inline(always)]
fn displaced<S: Sem, I: Fields>(s: &mut S, i: I, update: bool, d: i64) -> S::Long {
    let base = if update { s.gpr(i.ra()) } else { s.ra_or_zero(i) };
    let d = s.long(d as u64);
    s.ea(base, d)
}

/// Where an access goes: the effective address of X forms.
#[inline(always)]
fn indexed<S: Sem, I: Fields>(s: &mut S, i: I, update: bool) -> S::Long {
    let base = if update { s.gpr(i.ra()) } else { s.ra_or_zero(i) };
    let index = s.gpr(i.rb());
    s.ea(base, index)
}

/// How the loaded value, or the value to store, is changed on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum As {
    /// Zero-extended.
    Plain,
    /// Sign-extended.
    Signed,
    /// Bytes reversed.
    Reversed,
}

/// The low `width` of `v` with its bytes reversed.
#[inline(always)]
fn reversed<S: Sem>(s: &mut S, v: S::Long, width: Width) -> S::Long {
    let r = s.bswap(v);
    if width == Width::Double {
        return r;
    }
    let n = s.long(u64::from(64 - width.bits()));
    s.shr(r, n)
}

/// Every load of one register.
#[inline(always)]
fn loads<S: Sem, I: Fields>(s: &mut S, i: I, ea: S::Long, width: Width, how: As, update: bool) -> R {
    let v = s.load(ea, width)?;
    let v = match how {
        As::Plain => v,
        As::Signed => s.sext(v, width.bits()),
        As::Reversed => reversed(s, v, width),
    };
    s.set_gpr(i.rt(), v);
    if update {
        s.set_gpr(i.ra(), ea);
    }
    Ok(())
}

/// Every store of one register.
#[inline(always)]
fn stores<S: Sem, I: Fields>(s: &mut S, i: I, ea: S::Long, width: Width, how: As, update: bool) -> R {
    let v = s.gpr(i.rs());
    let v = if how == As::Reversed { reversed(s, v, width) } else { v };
    s.store(ea, width, v)?;
    if update {
        s.set_gpr(i.ra(), ea);
    }
    Ok(())
}

/// Rows of one access: loads or stores, their address, width, treatment, and whether RA is updated.
macro_rules! accesses {
    ($( $name:ident $body:ident $field:ident $width:ident $how:ident $update:literal; )*) => { semantics! { $(
        $name(s, i) {
            let ea = accesses!(@ea s, i, $update, $field);
            $body(s, i, ea, Width::$width, As::$how, $update)
        }
    )* } };
    (@ea $s:ident, $i:ident, $update:literal, x) => { indexed($s, $i, $update) };
    (@ea $s:ident, $i:ident, $update:literal, $field:ident) => { displaced($s, $i, $update, $i.$field()) };
}

accesses! {
    lwz loads d Word Plain false;
    lwzu loads d Word Plain true;
    lbz loads d Byte Plain false;
    lbzu loads d Byte Plain true;
    lhz loads d Half Plain false;
    lhzu loads d Half Plain true;
    lha loads d Half Signed false;
    lhau loads d Half Signed true;
    ld loads ds Double Plain false;
    ldu loads ds Double Plain true;
    lwa loads ds Word Signed false;
    stw stores d Word Plain false;
    stwu stores d Word Plain true;
    stb stores d Byte Plain false;
    stbu stores d Byte Plain true;
    sth stores d Half Plain false;
    sthu stores d Half Plain true;
    std stores ds Double Plain false;
    stdu stores ds Double Plain true;
    lwzx loads x Word Plain false;
    lwzux loads x Word Plain true;
    lbzx loads x Byte Plain false;
    lbzux loads x Byte Plain true;
    lhzx loads x Half Plain false;
    lhzux loads x Half Plain true;
    lhax loads x Half Signed false;
    lhaux loads x Half Signed true;
    ldx loads x Double Plain false;
    ldux loads x Double Plain true;
    lwax loads x Word Signed false;
    lwaux loads x Word Signed true;
    stwx stores x Word Plain false;
    stwux stores x Word Plain true;
    stbx stores x Byte Plain false;
    stbux stores x Byte Plain true;
    sthx stores x Half Plain false;
    sthux stores x Half Plain true;
    stdx stores x Double Plain false;
    stdux stores x Double Plain true;
    lhbrx loads x Half Reversed false;
    lwbrx loads x Word Reversed false;
    ldbrx loads x Double Reversed false;
    sthbrx stores x Half Reversed false;
    stwbrx stores x Word Reversed false;
    stdbrx stores x Double Reversed false;
}

// --- quadwords ---

semantics! {
    // The even register is the high doubleword in either byte order: in little-endian storage, that at EA+8. Of the
    // prefixed forms it is the doubleword at EA in either order.
    // Only aligned operands are accessed as one; the others may be, and do not interrupt.
    lq(s, i) {
        let t = i.rtp();
        if t & 1 != 0 {
            return s.program(srr1::PROGRAM_ILLEGAL);
        }
        let ea = displaced(s, i, false, i.dq());
        let v = s.load_quad(ea)?;
        let (high, low) = s.vec_halves(v);
        let swapped = s.little_endian() && i.raw() >> 32 != 0;
        let (even, odd) = if swapped { (low, high) } else { (high, low) };
        s.set_gpr(t, even);
        s.set_gpr(t + 1, odd);
        Ok(())
    }
    stq(s, i) {
        let r = i.rsp();
        if r & 1 != 0 {
            return s.program(srr1::PROGRAM_ILLEGAL);
        }
        let ea = displaced(s, i, false, i.ds());
        let (even, odd) = (s.gpr(r), s.gpr(r + 1));
        let swapped = s.little_endian() && i.raw() >> 32 != 0;
        let v = if swapped { s.vec_from_halves(odd, even) } else { s.vec_from_halves(even, odd) };
        s.store_quad(ea, v)
    }
}

// --- multiple and string ---

/// Multiple and string accesses exist in big-endian order only.
#[inline(always)]
fn big_endian_only<S: Sem>(s: &mut S, ea: S::Long) -> R {
    if s.little_endian() {
        s.try_call(helpers::alignment, ea, ea, ea)?;
    }
    Ok(())
}

/// `ea` and a number of bytes behind it.
#[inline(always)]
fn behind<S: Sem>(s: &mut S, ea: S::Long, bytes: u64) -> S::Long {
    let d = s.long(bytes);
    s.ea(ea, d)
}

/// Bytes of `lswi` and `stswi`.
#[inline(always)]
fn immediate_bytes<I: Fields>(i: I) -> u64 {
    if i.nb() == 0 { 32 } else { i.nb().into() }
}

/// The parts of a string of which the last register holds less than four bytes: (register's number in the string,
/// bytes).
fn parts(bytes: u64) -> impl Iterator<Item = (usize, u64)> {
    (0..bytes.div_ceil(4)).map(move |k| (k as usize, (bytes - 4 * k).min(4)))
}

/// The string instructions with the number of bytes in XER: register by register, as far as the string goes.
fn indexed_string<S: Sem, I: Fields>(s: &mut S, i: I, store: bool) -> R {
    let ea = indexed(s, i, false);
    big_endian_only(s, ea)?;
    let zero = s.long(0);
    let bytes = s.call(helper::string_length, zero, zero, zero);
    // After this no access of the string fails.
    let kind = s.long(u64::from(store));
    s.try_call(helper::probe_string, ea, bytes, kind)?;
    for k in 0..32 {
        let done = s.long(4 * k as u64);
        let more = s.ltu(done, bytes);
        s.if_(more, |s| {
            let left = s.sub(bytes, done);
            let at = behind(s, ea, 4 * k as u64);
            if store {
                let v = s.gpr((i.rs() + k) % 32);
                s.try_call(helper::store_string_part, at, left, v)?;
            } else {
                let v = s.try_call(helper::load_string_part, at, left, left)?;
                s.set_gpr((i.rt() + k) % 32, v);
            }
            Ok(())
        })?;
    }
    Ok(())
}

semantics! {
    lmw(s, i) {
        let ea = displaced(s, i, false, i.d());
        big_endian_only(s, ea)?;
        let mut values = [ea; 32];
        for (n, value) in values.iter_mut().enumerate().skip(i.rt()) {
            let at = behind(s, ea, 4 * (n - i.rt()) as u64);
            *value = s.load(at, Width::Word)?;
        }
        for (n, value) in values.into_iter().enumerate().skip(i.rt()) {
            s.set_gpr(n, value);
        }
        Ok(())
    }
    stmw(s, i) {
        let ea = displaced(s, i, false, i.d());
        big_endian_only(s, ea)?;
        s.probe(ea, 4 * (32 - i.rs()) as u64, true)?;
        for n in i.rs()..32 {
            let at = behind(s, ea, 4 * (n - i.rs()) as u64);
            let v = s.gpr(n);
            s.store(at, Width::Word, v)?;
        }
        Ok(())
    }
    lswi(s, i) {
        let ea = s.ra_or_zero(i);
        let ea = behind(s, ea, 0);
        big_endian_only(s, ea)?;
        let mut values = [ea; 8];
        for (k, bytes) in parts(immediate_bytes(i)) {
            let at = behind(s, ea, 4 * k as u64);
            values[k] = if bytes == 4 {
                s.load(at, Width::Word)?
            } else {
                let n = s.long(bytes);
                s.try_call(helper::load_string_part, at, n, n)?
            };
        }
        for (k, _) in parts(immediate_bytes(i)) {
            s.set_gpr((i.rt() + k) % 32, values[k]);
        }
        Ok(())
    }
    stswi(s, i) {
        let ea = s.ra_or_zero(i);
        let ea = behind(s, ea, 0);
        big_endian_only(s, ea)?;
        s.probe(ea, immediate_bytes(i), true)?;
        for (k, bytes) in parts(immediate_bytes(i)) {
            let at = behind(s, ea, 4 * k as u64);
            let v = s.gpr((i.rs() + k) % 32);
            let n = s.long(bytes);
            s.try_call(helper::store_string_part, at, n, v)?;
        }
        Ok(())
    }
    lswx(s, i) { indexed_string(s, i, false) }
    stswx(s, i) { indexed_string(s, i, true) }
}

// --- cache inhibited: hypervisor only, so that a partition never gets here ---

macro_rules! hypervisor_only {
    ($($name:ident)*) => { semantics! { $( $name(s, _i) { s.program(cpu::bits::srr1::PROGRAM_ILLEGAL) } )* } };
}
pub(crate) use hypervisor_only;

hypervisor_only! { lwzcix lhzcix lbzcix ldcix stwcix sthcix stbcix stdcix }

// --- return address protection ---

/// The hash instructions: `what` says which key, and whether to store or to check.
#[inline(always)]
fn hashes<S: Sem, I: Fields>(s: &mut S, i: I, f: crate::Fallible) -> R {
    if i.ra_is_0() {
        return s.program(srr1::PROGRAM_ILLEGAL);
    }
    let ea = displaced(s, i, true, i.hash_d());
    let a = s.gpr(i.ra());
    let b = s.gpr(i.rb());
    s.try_call(f, ea, a, b)?;
    Ok(())
}

semantics! {
    hashst(s, i) { hashes(s, i, helper::hashst) }
    hashchk(s, i) { hashes(s, i, helper::hashchk) }
    hashstp(s, i) { hashes(s, i, helper::hashstp) }
    hashchkp(s, i) { hashes(s, i, helper::hashchkp) }
}

// --- cache management ---

/// Bytes of a cache block, on every model.
const CACHE_BLOCK: u64 = 128;

/// What is treated as a load of the byte at EA, and does no more: the caches of the host keep themselves coherent,
/// and decoded code is found stale when it is stored to.
#[inline(always)]
fn touches_as_load<S: Sem, I: Fields>(s: &mut S, i: I) -> R {
    let ea = indexed(s, i, false);
    s.probe(ea, 1, false)
}

semantics! {
    dcbz(s, i) {
        let ea = indexed(s, i, false);
        let block = s.long(!(CACHE_BLOCK - 1));
        let ea = s.and(ea, block);
        s.zero_block(ea, CACHE_BLOCK)
    }
    dcbst(s, i) { touches_as_load(s, i) }
    dcbf(s, i) { touches_as_load(s, i) }
    icbi(s, i) { touches_as_load(s, i) }
    // Hints: they never interrupt.
    dcbt(_s, _i) { Ok(()) }
    dcbtst(_s, _i) { Ok(()) }
    icbt(_s, _i) { Ok(()) }
    dst(_s, _i) { Ok(()) }
    dstst(_s, _i) { Ok(()) }
    dss(_s, _i) { Ok(()) }
    // The machine has no accelerator to paste to: a copy reads its block, and any paste. finds storage that does
    // not take it.
    copy(s, i) {
        let ea = indexed(s, i, false);
        let n = s.long(CACHE_BLOCK);
        s.try_call(helper::copy_block, ea, n, n)?;
        Ok(())
    }
    paste_(s, i) {
        let ea = indexed(s, i, false);
        let n = s.long(CACHE_BLOCK);
        s.try_call(helper::paste_block, ea, n, n)?;
        Ok(())
    }
    cpabort(_s, _i) { Ok(()) }
}
