//! Room for the operations of blocks: large pieces of memory, in which blocks stand one behind the other.

use crate::blocks::Operation;
use crate::handlers;
use std::ops::Range;

/// Operations of a piece: 256 KiB.
const PIECE: usize = 1 << 14;
/// What is free is kept by its size in this many operations.
const GRAIN: usize = 4;
/// Most operations of a block.
pub const MOST: usize = 65;

/// Where the operations of a block stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    start: u32,
    len: u32,
}

impl Place {
    fn within(self) -> (usize, Range<usize>) {
        let start = self.start as usize % PIECE;
        (self.start as usize / PIECE, start..start + self.len as usize)
    }
}

/// The operations of all blocks.
#[derive(Debug, Default)]
pub struct Pool {
    /// None is ever moved, or becomes larger.
    pieces: Vec<Box<[Operation]>>,
    /// Where the free part of the last piece begins.
    next: usize,
    /// By size.
    free: [Vec<u32>; MOST.div_ceil(GRAIN) + 1],
}

impl Pool {
    /// Copies the operations of a block, at most [`MOST`], to where they stay.
    pub fn insert(&mut self, operations: &[Operation]) -> Place {
        let class = operations.len().div_ceil(GRAIN);
        let start = self.free[class].pop().unwrap_or_else(|| self.grow(class * GRAIN));
        let place = Place { start, len: operations.len() as u32 };
        self.get_mut(place).copy_from_slice(operations);
        place
    }

    fn grow(&mut self, len: usize) -> u32 {
        if self.pieces.is_empty() || self.next + len > PIECE {
            self.pieces.push(vec![Operation::new(handlers::go_on, 0); PIECE].into_boxed_slice());
            self.next = 0;
        }
        let start = (self.pieces.len() - 1) * PIECE + self.next;
        self.next += len;
        start as u32
    }

    /// The room may be used again.
    pub fn remove(&mut self, place: Place) {
        self.free[(place.len as usize).div_ceil(GRAIN)].push(place.start);
    }

    /// The operations that stand there.
    #[inline(always)]
    pub fn get(&self, place: Place) -> &[Operation] {
        let (piece, range) = place.within();
        &self.pieces[piece][range]
    }

    /// The operations that stand there.
    #[inline(always)]
    pub fn get_mut(&mut self, place: Place) -> &mut [Operation] {
        let (piece, range) = place.within();
        &mut self.pieces[piece][range]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inserted_stands_apart_and_room_is_used_again() {
        let mut pool = Pool::default();
        let block = |n: usize| vec![Operation::new(handlers::go_on, n as u64); 1 + n % MOST];
        let holds = |pool: &Pool, places: &[(usize, Place)]| {
            for (n, place) in places {
                let words: Vec<u32> = pool.get(*place).iter().map(|o| o.word).collect();
                assert_eq!(words, vec![*n as u32; 1 + n % MOST]);
            }
        };
        let mut places: Vec<_> = (0..5000).map(|n| (n, pool.insert(&block(n)))).collect();
        holds(&pool, &places);
        let pieces = pool.pieces.len();
        assert!(pieces > 5);
        // Every third goes, and others of the same sizes come.
        places.iter().step_by(3).for_each(|(_, place)| pool.remove(*place));
        for (n, place) in places.iter_mut().step_by(3) {
            *n += 65 * 5000;
            *place = pool.insert(&block(*n));
        }
        holds(&pool, &places);
        assert_eq!(pool.pieces.len(), pieces, "nothing new was needed");
    }
}
