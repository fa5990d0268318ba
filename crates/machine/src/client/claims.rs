//! Memory as `claim` and `release` see it: which ranges are taken.

use std::ops::Range;

/// Ranges that do not touch each other; a client that makes more of them gets no further ones.
const RANGES_MAX: usize = 1024;

/// Ranges of memory that are taken, of what lies below an end.
#[derive(Debug)]
pub(super) struct Claims {
    /// By their start, with a gap between each and the next.
    taken: Vec<Range<u64>>,
    /// First address that is no memory.
    end: u64,
    /// Places are looked for above this first: below lies what a kernel copies itself over.
    floor: u64,
}

impl Claims {
    /// Nothing is taken below `end`.
    pub fn new(end: u64) -> Claims {
        Claims { taken: Vec::new(), end, floor: 0 }
    }

    /// Everything taken so far stays below what [`anywhere`](Claims::anywhere) finds, if there is room.
    pub fn set_floor(&mut self) {
        self.floor = self.taken.last().map_or(0, |last| last.end);
    }

    /// Takes `size` bytes at `start`. False when they are none, not all free or not all memory.
    pub fn at(&mut self, start: u64, size: u64) -> bool {
        let Some(end) = start.checked_add(size).filter(|end| size > 0 && *end <= self.end) else { return false };
        let next = self.taken.partition_point(|range| range.start < start);
        let before = next.checked_sub(1).map(|index| self.taken[index].end);
        let after = self.taken.get(next).map(|range| range.start);
        if before.is_some_and(|before| before > start) || after.is_some_and(|after| after < end) {
            return false;
        }
        match (before == Some(start), after == Some(end)) {
            (true, true) => {
                self.taken[next - 1].end = self.taken[next].end;
                self.taken.remove(next);
            }
            (true, false) => self.taken[next - 1].end = end,
            (false, true) => self.taken[next].start = start,
            (false, false) if self.taken.len() == RANGES_MAX => return false,
            (false, false) => self.taken.insert(next, start..end),
        }
        true
    }

    /// Takes `size` bytes at the lowest multiple of `align` that is free, above the floor if that goes. Zero is no place.
    pub fn anywhere(&mut self, size: u64, align: u64) -> Option<u64> {
        let align = align.checked_next_power_of_two()?;
        let fits = |low: u64| {
            self.free().find_map(|gap| {
                let start = gap.start.max(low).checked_next_multiple_of(align)?;
                (start.checked_add(size)? <= gap.end).then_some(start)
            })
        };
        let start = fits(self.floor.max(1)).or_else(|| fits(1))?;
        self.at(start, size).then_some(start)
    }

    /// Gives `size` bytes at `start` back. False when they were not all taken.
    pub fn release(&mut self, start: u64, size: u64) -> bool {
        let Some(end) = start.checked_add(size).filter(|_| size > 0) else { return false };
        let Some(index) = self.taken.iter().position(|range| range.start <= start && end <= range.end) else {
            return false;
        };
        let range = self.taken[index].clone();
        match (range.start == start, range.end == end) {
            (true, true) => _ = self.taken.remove(index),
            (true, false) => self.taken[index].start = end,
            (false, true) => self.taken[index].end = start,
            (false, false) if self.taken.len() == RANGES_MAX => return false,
            (false, false) => {
                self.taken[index].end = start;
                self.taken.insert(index + 1, end..range.end);
            }
        }
        true
    }

    /// What is free, from low to high.
    pub fn free(&self) -> impl Iterator<Item = Range<u64>> {
        let starts = std::iter::once(0).chain(self.taken.iter().map(|range| range.end));
        let ends = self.taken.iter().map(|range| range.start).chain([self.end]);
        starts.zip(ends).map(|(start, end)| start..end).filter(|gap| !gap.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn places() {
        let mut claims = Claims::new(0x10_0000);
        assert!(claims.at(0, 0x1_0000) && claims.at(0x4_0000, 0x1_0000));
        claims.set_floor();
        assert!(
            !claims.at(0x4_ffff, 1) && !claims.at(0x3_ffff, 2) && !claims.at(0xf_ffff, 2) && !claims.at(0x6_0000, 0)
        );
        assert_eq!(claims.anywhere(0x100, 0x1000), Some(0x5_0000));
        assert_eq!(claims.anywhere(0x100, 0x1800), Some(0x5_2000), "a power of two");
        assert_eq!(claims.anywhere(0xb_0000, 1), None);
        assert_eq!(claims.anywhere(0xa_0000, 1), Some(0x5_2100), "above the floor");
        assert_eq!(claims.anywhere(0x3_0000, 0x1_0000), Some(0x1_0000), "below it where nothing else is left");
        assert_eq!(claims.anywhere(0x3_0000, 0x1_0000), None);
        assert!(!claims.release(0, 0x5_0101) && claims.release(0x2_0000, 0x100) && !claims.release(0x2_0000, 1));
        assert_eq!(claims.anywhere(u64::MAX, u64::MAX), None);
        assert_eq!(claims.anywhere(1, 1 << 63), None);
        let mut claims = Claims::new(0x1000);
        assert_eq!(claims.anywhere(1, 1), Some(1), "0 is no place");
    }

    #[test]
    fn ranges_are_counted() {
        let mut claims = Claims::new(1 << 32);
        let taken = (0..2 * RANGES_MAX as u64).filter(|index| claims.at(index << 13, 0x1000)).count();
        assert_eq!(taken, RANGES_MAX);
        assert!(claims.at(0x1000, 0x1000), "what touches another is no further one");
    }

    proptest! {
        /// Against a map of bytes.
        #[test]
        fn as_bytes(calls in prop::collection::vec((0..3u8, 0..40u64, 0..12u64, 0..9u64), 1..60)) {
            let mut claims = Claims::new(32);
            let mut bytes = [false; 32];
            for (what, start, size, align) in calls {
                let (first, last) = (start as usize, (start + size) as usize);
                let inside = size > 0 && last <= 32;
                match what {
                    0 => {
                        let good = inside && bytes[first..last].iter().all(|taken| !taken);
                        prop_assert_eq!(claims.at(start, size), good);
                        if good {
                            bytes[first..last].fill(true);
                        }
                    }
                    1 => {
                        let good = inside && bytes[first..last].iter().all(|taken| *taken);
                        prop_assert_eq!(claims.release(start, size), good);
                        if good {
                            bytes[first..last].fill(false);
                        }
                    }
                    _ if size > 0 && align > 0 => {
                        if let Some(place) = claims.anywhere(size, align) {
                            let range = place as usize..(place + size) as usize;
                            prop_assert!(place.is_multiple_of(align.next_power_of_two()));
                            prop_assert!(bytes[range.clone()].iter().all(|taken| !taken));
                            bytes[range].fill(true);
                        }
                    }
                    _ => {}
                }
                let free: Vec<usize> = claims.free().flat_map(|gap| gap.start as usize..gap.end as usize).collect();
                prop_assert_eq!(free, (0..32).filter(|&at| !bytes[at]).collect::<Vec<_>>());
            }
        }
    }
}
