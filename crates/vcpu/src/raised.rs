//! One interrupt in a fixed layout: what generated code fills in and takes.

use cpu::{Interrupt, Vector};

/// Bit of [`Raised::writes`]: DAR is written.
pub const WRITES_DAR: u8 = 1 << 0;
/// Bit of [`Raised::writes`]: DSISR is written.
pub const WRITES_DSISR: u8 = 1 << 1;
/// Bit of [`Raised::writes`]: FSCR\[IC\] is written.
pub const WRITES_IC: u8 = 1 << 2;

/// As [`Interrupt`], with one layout. Generated code stores to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Raised {
    /// Address to save.
    pub return_address: u64,
    /// Cause bits for SRR1.
    pub srr1: u64,
    /// New DAR.
    pub dar: u64,
    /// New FSCR\[IC\].
    pub ic: u64,
    /// New DSISR.
    pub dsisr: u32,
    /// Which one: 16 bits, its vector at AIL 0.
    pub vector: Vector,
    /// Which of DAR, DSISR and FSCR\[IC\] are written.
    pub writes: u8,
    /// `scv` level, 0..=127.
    pub level: u8,
}

impl Default for Raised {
    fn default() -> Self {
        Raised::from(&Interrupt::new(Vector::SystemReset, 0))
    }
}

impl From<&Interrupt> for Raised {
    #[inline]
    fn from(i: &Interrupt) -> Self {
        let bit = |on: bool, m: u8| if on { m } else { 0 };
        Raised {
            return_address: i.return_address,
            srr1: i.srr1,
            dar: i.dar.unwrap_or(0),
            ic: i.fscr_ic.unwrap_or(0),
            dsisr: i.dsisr.unwrap_or(0),
            vector: i.vector,
            writes: bit(i.dar.is_some(), WRITES_DAR)
                | bit(i.dsisr.is_some(), WRITES_DSISR)
                | bit(i.fscr_ic.is_some(), WRITES_IC),
            level: i.level,
        }
    }
}

impl From<&Raised> for Interrupt {
    #[inline]
    fn from(r: &Raised) -> Self {
        Interrupt {
            vector: r.vector,
            return_address: r.return_address,
            srr1: r.srr1,
            dar: (r.writes & WRITES_DAR != 0).then_some(r.dar),
            dsisr: (r.writes & WRITES_DSISR != 0).then_some(r.dsisr),
            fscr_ic: (r.writes & WRITES_IC != 0).then_some(r.ic),
            level: r.level,
        }
    }
}

/// Vectors are this far apart at least: log2.
pub const VECTOR_SHIFT: u32 = 5;

/// Places in [`Vector::ALL`], by vector `>> VECTOR_SHIFT`.
pub static NUMBERS: [u8; (Vector::SystemCallVectored as usize >> VECTOR_SHIFT) + 1] = {
    let mut numbers = [0; (Vector::SystemCallVectored as usize >> VECTOR_SHIFT) + 1];
    let mut n = 0;
    while n < Vector::ALL.len() {
        let place = &mut numbers[Vector::ALL[n] as usize >> VECTOR_SHIFT];
        assert!(*place == 0, "two vectors share a place");
        *place = n as u8;
        n += 1;
    }
    numbers
};

/// Place of `vector` in [`Vector::ALL`].
pub fn number(vector: Vector) -> usize {
    usize::from(NUMBERS[vector as usize >> VECTOR_SHIFT])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupt_goes_round_trip() {
        for vector in Vector::ALL {
            let plain = Interrupt::new(vector, 0x1234_5678_9ABC_DEF0);
            let zeros = Interrupt { dar: Some(0), dsisr: Some(0), fscr_ic: Some(0), ..plain };
            let ones = Interrupt {
                srr1: u64::MAX,
                dar: Some(u64::MAX),
                dsisr: Some(u32::MAX),
                fscr_ic: Some(u64::MAX),
                level: 127,
                ..plain
            };
            let one_each = [
                plain.with_dar(1),
                plain.with_dsisr(2),
                Interrupt { fscr_ic: Some(3), ..plain },
                plain.with_srr1(4),
                Interrupt { level: 5, ..plain },
            ];
            for i in [plain, zeros, ones].into_iter().chain(one_each) {
                assert_eq!(Interrupt::from(&Raised::from(&i)), i);
            }
        }
    }

    #[test]
    fn vectors_have_the_numbers_of_their_places() {
        assert!(Vector::ALL.iter().enumerate().all(|(n, vector)| number(*vector) == n));
    }
}
