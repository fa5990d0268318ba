//! What becomes one region: instructions of one page that lead to each other by direct branches, as blocks.

use crate::blob::{Key, PAGE};
use crate::effects::{self, Destination, Effects};
use isa::{Insn, IsaLevel, Op};
use sem::admit::admit;
use std::collections::{BTreeMap, BTreeSet};
use vcpu::context::mode;

/// Guest instructions that a region has at most.
const MOST: usize = 320;

/// Code that is to be translated: a page as it was when the region was asked for.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it is translated for.
    pub key: Key,
    /// Architecture level of the CPU model.
    pub processor: IsaLevel,
    /// The page.
    pub bytes: Box<[u8; PAGE]>,
    /// Instructions that were run already, a bit a word: the others are left to the interpreter.
    pub warm: [u64; PAGE / 4 / 64],
    /// Places that regions begin at already, a bit a word: code that leads there is linked to them.
    pub known: [u64; PAGE / 4 / 64],
}

/// Whether the bit for the instruction at `offset` is set.
pub fn has_word(set: &[u64; PAGE / 4 / 64], offset: u16) -> bool {
    set[usize::from(offset) / 256] >> (offset / 4 % 64) & 1 != 0
}

/// Sets the bit for the instruction at `offset`.
pub fn add_word(set: &mut [u64; PAGE / 4 / 64], offset: u16) {
    set[usize::from(offset) / 256] |= 1 << (offset / 4 % 64);
}

/// One instruction.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Offset in the page.
    pub offset: u16,
    /// Bytes.
    pub len: u16,
    /// The instruction.
    pub insn: Insn,
    /// What it does.
    pub effects: Effects,
    /// Of a branch within its block: as many instructions behind it are skipped if it is taken. They are simple, and
    /// become selections.
    pub skips: u8,
}

impl Place {
    /// Whether it does nothing but compute general registers.
    fn is_simple(&self) -> bool {
        let e = &self.effects;
        let computes = Effects { gpr_written: e.gpr_written, gpr_read: e.gpr_read, ..Effects::default() };
        let seen = Effects { cr_read: 0, xer_read: 0, lr_read: false, ctr_read: false, ..*e };
        seen == computes
    }

    /// Offset of what stands behind it; [`PAGE`] behind the last word.
    pub fn next(&self) -> u16 {
        self.offset + self.len
    }

    /// Where in the page it branches to, if it does so directly.
    pub fn target(&self) -> Option<u16> {
        match self.effects.branch?.to {
            Destination::Relative(d) => {
                let to = i64::from(self.offset) + d;
                (0..PAGE as i64).contains(&to).then_some(to as u16)
            }
            _ => None,
        }
    }
}

/// How a block ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By its last instruction, a branch.
    Branch,
    /// By its last instruction, which leaves for a helper or an interrupt.
    Context,
    /// It goes on at this offset of the page.
    Falls(u16),
    /// What stands at this offset is the interpreter's to run.
    Refused(u16),
}

/// Instructions with one way in.
#[derive(Debug, Clone)]
pub struct Block {
    /// The instructions.
    pub places: Vec<Place>,
    /// How it ends.
    pub end: End,
    /// Number of ways that lead to it within the region.
    pub ways_in: u32,
}

/// A region: its blocks by their offset in the page.
#[derive(Debug, Clone, Default)]
pub struct Region {
    /// The blocks.
    pub blocks: BTreeMap<u16, Block>,
    /// Where it is entered.
    pub head: u16,
    /// Blocks behind calls of code of the region: `blr` may come back to them.
    pub returns: Vec<u16>,
    /// Instructions in all.
    pub instructions: u32,
}

/// What stands at a place of the page.
enum Found {
    Instruction(Place),
    Refused,
}

impl Source {
    fn word(&self, offset: u16) -> u32 {
        let at = usize::from(offset);
        let bytes: [u8; 4] = std::array::from_fn(|n| self.bytes[at + n]);
        if self.key.mode & mode::LE != 0 { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }

    /// Last level whose facilities the code sees.
    pub fn level(&self) -> IsaLevel {
        mode::level(self.key.mode, self.processor)
    }

    fn find(&self, offset: u16) -> Found {
        let word = self.word(offset);
        let (mut raw, mut len) = (u64::from(word), 4);
        let prefixed = isa::is_prefix(word) && self.level() >= IsaLevel::V3_1;
        if prefixed {
            if offset & 63 == 60 {
                return Found::Refused;
            }
            raw = raw << 32 | u64::from(self.word(offset + 4));
            len = 8;
        }
        match admit(raw, prefixed, self.key.mode, self.processor) {
            // Their number of accesses is known at run time only.
            Ok(insn) if matches!(insn.op, Op::lswx | Op::stswx) => Found::Refused,
            Ok(insn) => {
                let effects = effects::of(insn, self.key.mode, self.level());
                Found::Instruction(Place { offset, len, insn, effects, skips: 0 })
            }
            Err(_) => Found::Refused,
        }
    }
}

/// Whether code goes on behind the instruction within the block.
fn goes_on(place: &Place) -> bool {
    place.effects.branch.is_none() && !place.effects.context
}

/// The region that begins at the key's offset; `None` if the interpreter must run what stands there.
pub fn find(source: &Source) -> Option<Region> {
    let mut places = BTreeMap::new();
    let mut heads = BTreeSet::from([source.key.offset]);
    let mut work = vec![source.key.offset];
    let mut returns = BTreeSet::new();
    let follow = |offset: u16| {
        usize::from(offset) < PAGE
            && offset.is_multiple_of(4)
            && has_word(&source.warm, offset)
            && (!has_word(&source.known, offset) || offset == source.key.offset)
    };
    while let Some(mut at) = work.pop() {
        while usize::from(at) < PAGE && places.len() < MOST && !places.contains_key(&at) {
            let Found::Instruction(place) = source.find(at) else { break };
            places.insert(at, place);
            if let Some(to) = place.target()
                && follow(to)
            {
                heads.insert(to);
                work.push(to);
            }
            let conditional = place.effects.branch.is_some_and(|b| b.conditional);
            let calls = place.effects.lr_written && place.target().is_some_and(follow);
            if (conditional || calls) && follow(place.next()) {
                heads.insert(place.next());
                // Depth first along the line; what is branched to comes later.
                work.push(place.next());
                if calls {
                    returns.insert(place.next());
                }
            }
            if !goes_on(&place) {
                break;
            }
            at = place.next();
            if !follow(at) {
                break;
            }
        }
    }
    let mut region = Region { head: source.key.offset, ..Region::default() };
    let mut at_head: Vec<u16> = heads.iter().copied().filter(|h| places.contains_key(h)).collect();
    at_head.sort_unstable();
    for head in at_head {
        let mut block = Block { places: Vec::new(), end: End::Refused(head), ways_in: 0 };
        let mut at = head;
        while let Some(place) = places.get(&at) {
            if at != head && heads.contains(&at) {
                break;
            }
            block.places.push(*place);
            at = place.next();
            block.end = if place.effects.branch.is_some() {
                End::Branch
            } else if !goes_on(place) {
                End::Context
            } else {
                End::Falls(at)
            };
            if !goes_on(place) {
                break;
            }
        }
        // Behind the last instruction that could be had stands one that the interpreter has to run, or a page's end.
        if let End::Falls(next) = block.end
            && usize::from(next) < PAGE
            && !places.contains_key(&next)
            && matches!(source.find(next), Found::Refused)
        {
            block.end = End::Refused(next);
        }
        region.instructions += block.places.len() as u32;
        region.blocks.insert(head, block);
    }
    if region.blocks.get(&source.key.offset).is_none_or(|b| b.places.is_empty()) {
        return None;
    }
    let mut ways: BTreeMap<u16, u32> = BTreeMap::new();
    for block in region.blocks.values() {
        for to in block.successors().into_iter().flatten() {
            *ways.entry(to).or_default() += 1;
        }
    }
    region.returns = returns.into_iter().filter(|at| region.blocks.contains_key(at)).collect();
    for to in &region.returns {
        *ways.entry(*to).or_default() += 1;
    }
    for (to, n) in ways {
        if let Some(block) = region.blocks.get_mut(&to) {
            block.ways_in = n;
        }
    }
    region.convert(source.key.offset);
    Some(region)
}

impl Block {
    /// If it ends by a conditional branch a few instructions forward: where that goes, and what stands behind it.
    fn branches_around(&self) -> Option<(u16, u16)> {
        let last = self.places.last().filter(|_| self.end == End::Branch && self.places.len() <= MOST_MERGED)?;
        let e = &last.effects;
        let plain = e.branch.is_some_and(|b| b.conditional) && !e.lr_written && !e.ctr_written && !e.can_stop();
        let to = last.target().filter(|_| plain)?;
        (to > last.next() && usize::from(to - last.next()) <= 4 * MOST_SKIPPED).then_some((to, last.next()))
    }

    /// Where in the page it may go on.
    pub fn successors(&self) -> [Option<u16>; 2] {
        let last = self.places.last();
        match self.end {
            End::Falls(next) => [Some(next), None],
            End::Branch => {
                let conditional = last.is_some_and(|p| p.effects.branch.is_some_and(|b| b.conditional));
                [last.and_then(Place::target), last.map(Place::next).filter(|_| conditional)]
            }
            _ => [None, None],
        }
    }
}

/// Instructions that are computed in vain rather than branched around.
const MOST_SKIPPED: usize = 3;
/// Instructions of a block that branches around a few are not merged beyond.
const MOST_MERGED: usize = 96;

impl Region {
    /// Makes selections of short branches forward, and one block of what stands around them: processors guess wrong what
    /// depends on data.
    fn convert(&mut self, head: u16) {
        let starts: Vec<u16> = self.blocks.keys().copied().collect();
        for start in starts {
            while self.convert_end(start, head) {}
        }
    }

    fn convert_end(&mut self, start: u16, head: u16) -> bool {
        let Some((to, next)) = self.blocks.get(&start).and_then(Block::branches_around) else { return false };
        let simple = |f: &Block| {
            let few = f.places.len() <= MOST_SKIPPED && f.places.iter().all(Place::is_simple);
            few && f.ways_in == 1 && f.end == End::Falls(to)
        };
        if next == head || next == start || !self.blocks.get(&next).is_some_and(simple) {
            return false;
        }
        let Some(skipped) = self.blocks.remove(&next) else { return false };
        if let Some(behind) = self.blocks.get_mut(&to) {
            behind.ways_in -= 1;
        }
        let behind = (to != head && to != start)
            .then(|| self.blocks.get(&to).filter(|b| b.ways_in == 1 && b.places.len() <= MOST_MERGED).cloned())
            .flatten();
        let Some(block) = self.blocks.get_mut(&start) else { return false };
        if let Some(branch) = block.places.last_mut() {
            branch.skips = skipped.places.len() as u8;
        }
        block.places.extend(skipped.places);
        block.end = End::Falls(to);
        if let Some(behind) = behind {
            block.places.extend(behind.places);
            block.end = behind.end;
            self.blocks.remove(&to);
        }
        true
    }

    /// Runs of bytes that the region was made from: (offset, length), sorted, disjoint.
    pub fn spans(&self) -> Vec<(u16, u16)> {
        let mut places: Vec<&Place> = self.blocks.values().flat_map(|b| &b.places).collect();
        places.sort_unstable_by_key(|p| p.offset);
        let mut spans: Vec<(u16, u16)> = Vec::new();
        for place in places {
            match spans.last_mut() {
                Some((start, len)) if *start + *len >= place.offset => {
                    *len = (*len).max(place.next() - *start);
                }
                _ => spans.push((place.offset, place.len)),
            }
        }
        spans
    }
}
