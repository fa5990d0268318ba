//! The blocks of a region that come again: what is kept in variables around them, and what innermost loops keep out of
//! the state altogether until they are left.

use crate::region::{Place, Region};
use isa::{Any, Fields};
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use std::collections::{BTreeMap, BTreeSet};

/// Stores in cold paths that an innermost loop may cost at most: each of its accesses stores on its slow path what the
/// loop keeps.
const MOST_COLD_STORES: u32 = 192;

/// Pages that an innermost loop remembers at most.
const MOST_GUESSES: usize = 6;

/// Registers: general ones, bit n = register n, and the count register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Registers {
    /// General registers.
    pub gpr: u32,
    /// The count register.
    pub ctr: bool,
}

impl Registers {
    fn with(self, other: Registers) -> Self {
        Registers { gpr: self.gpr | other.gpr, ctr: self.ctr | other.ctr }
    }
    fn and(self, other: Registers) -> Self {
        Registers { gpr: self.gpr & other.gpr, ctr: self.ctr & other.ctr }
    }
}

/// The registers of an access's address: accesses of a loop that have them in common are likely to stay in one page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stream {
    /// RA, or [`NO_REGISTER`].
    pub ra: u8,
    /// RB of indexed forms, or [`NO_REGISTER`].
    pub rb: u8,
}

/// No register.
const NO_REGISTER: u8 = 32;

/// The register whose accesses mostly stay in one page for long: in problem state the stack pointer, in privileged state where
/// Linux has what belongs to the processor. A kernel's stack is used deeper and shallower by turns.
const fn anchored_register(privileged: bool) -> u8 {
    if privileged { 13 } else { 1 }
}

impl Stream {
    /// Whether the access goes by the register that has a page at hand ([`memory::tlb::Anchor`]).
    pub fn is_anchored(self, privileged: bool) -> bool {
        self.ra == anchored_register(privileged) && self.rb == NO_REGISTER
    }

    fn registers(self) -> u32 {
        [self.ra, self.rb].into_iter().filter(|r| *r != NO_REGISTER).fold(0, |set, r| set | 1 << r)
    }
}

/// An innermost loop: no loop within.
#[derive(Debug, Default)]
pub struct Loop {
    /// What may differ from the state in memory where a block begins.
    dirty: BTreeMap<u16, Registers>,
    /// Accesses whose addresses do not depend on what the loop loads.
    pub streams: BTreeSet<Stream>,
}

/// Blocks that lead to each other.
#[derive(Debug, Clone, Copy, Default)]
struct Cycle {
    kept: Registers,
}

/// Cycles and innermost loops of a region.
#[derive(Debug, Default)]
pub struct Loops {
    cycles: Vec<Cycle>,
    cycle_of: BTreeMap<u16, usize>,
    loops: Vec<Loop>,
    loop_of: BTreeMap<u16, usize>,
}

/// The registers of an access's address, if the instruction is one.
pub fn stream(place: &Place) -> Option<Stream> {
    if !place.effects.memory || place.len != 4 {
        return None;
    }
    let i = Any(place.insn.raw);
    let indexed = place.insn.raw >> 26 == 31;
    let ra = if i.ra() == 0 { NO_REGISTER } else { i.ra() as u8 };
    Some(Stream { ra, rb: if indexed { i.rb() as u8 } else { NO_REGISTER } })
}

impl Loops {
    /// Finds them.
    pub fn find(region: &Region) -> Self {
        let mut graph = DiGraphMap::<u16, ()>::new();
        for (&from, block) in &region.blocks {
            for to in block.successors().into_iter().flatten().filter(|to| region.blocks.contains_key(to)) {
                graph.add_edge(from, to, ());
            }
        }
        let mut found = Loops::default();
        for cycle in cycles(&graph) {
            let mut kept = found.innermost(region, &graph, &cycle);
            kept = kept.with(read(region, &cycle).and(written(region, &cycle)));
            cycle.iter().for_each(|at| {
                found.cycle_of.insert(*at, found.cycles.len());
            });
            found.cycles.push(Cycle { kept });
        }
        found
    }

    /// Finds the innermost loops of a cycle. Returns what they want kept in variables.
    fn innermost(&mut self, region: &Region, graph: &DiGraphMap<u16, ()>, cycle: &BTreeSet<u16>) -> Registers {
        // Where the region is entered says nothing about the loops: it depends on what ran often first. A cycle that is
        // entered nowhere else has its head where compilers mostly put it, before the rest.
        let outside = |at: &u16| graph.neighbors_directed(*at, petgraph::Incoming).any(|from| !cycle.contains(&from));
        let entered = cycle.iter().copied().find(|at| outside(at));
        let Some(head) = entered.or_else(|| cycle.first().copied()) else { return Registers::default() };
        let mut within = DiGraphMap::<u16, ()>::new();
        for (from, to, ()) in graph.all_edges() {
            if cycle.contains(&from) && cycle.contains(&to) && from != head && to != head {
                within.add_edge(from, to, ());
            }
        }
        let inner = cycles(&within);
        if !inner.is_empty() {
            return inner.iter().fold(Registers::default(), |kept, c| {
                // Ways from the rest of the cycle are ways in.
                kept.with(self.innermost(region, graph, c))
            });
        }
        let (read, written) = (read(region, cycle), written(region, cycle));
        let places = || cycle.iter().flat_map(|at| &region.blocks[at].places);
        let accesses = places().filter(|p| p.effects.memory).count() as u32;
        if accesses * written.gpr.count_ones() > MOST_COLD_STORES {
            return Registers::default();
        }
        let mut found = Loop { dirty: dirty(region, graph, cycle), streams: BTreeSet::new() };
        // Helpers may change what the TLB holds.
        if !places().any(|p| p.effects.calls || p.effects.fallible) {
            found.streams = streams(places());
        }
        cycle.iter().for_each(|at| {
            self.loop_of.insert(*at, self.loops.len());
        });
        self.loops.push(found);
        read.with(written)
    }

    /// Whether two blocks are in the same cycle.
    pub fn same_cycle(&self, a: u16, b: u16) -> bool {
        self.cycle_of.get(&a).is_some_and(|c| self.cycle_of.get(&b) == Some(c))
    }

    /// What is kept in variables in the block: they hold what the registers hold wherever it may look at them.
    pub fn kept(&self, block: u16) -> Registers {
        self.cycle_of.get(&block).map_or(Registers::default(), |c| self.cycles[*c].kept)
    }

    /// Whether the block comes again.
    pub fn comes_again(&self, block: u16) -> bool {
        self.cycle_of.contains_key(&block)
    }

    /// The innermost loop of a block, by number.
    pub fn innermost_of(&self, block: u16) -> Option<(usize, &Loop)> {
        self.loop_of.get(&block).map(|n| (*n, &self.loops[*n]))
    }

    /// What may differ from the state in memory where the block begins.
    pub fn dirty(&self, block: u16) -> Registers {
        self.innermost_of(block).and_then(|(_, l)| l.dirty.get(&block).copied()).unwrap_or_default()
    }
}

/// Strongly connected components with more than one way around.
fn cycles(graph: &DiGraphMap<u16, ()>) -> Vec<BTreeSet<u16>> {
    let again = |c: &Vec<u16>| c.len() > 1 || graph.contains_edge(c[0], c[0]);
    tarjan_scc(graph).into_iter().filter(again).map(BTreeSet::from_iter).collect()
}

fn read(region: &Region, blocks: &BTreeSet<u16>) -> Registers {
    let places = blocks.iter().flat_map(|at| &region.blocks[at].places);
    places.fold(Registers::default(), |set, p| set.with(Registers { gpr: p.effects.gpr_read, ctr: p.effects.ctr_read }))
}

fn written(region: &Region, blocks: &BTreeSet<u16>) -> Registers {
    let places = blocks.iter().flat_map(|at| &region.blocks[at].places);
    places.fold(Registers::default(), |set, p| {
        set.with(Registers { gpr: p.effects.gpr_written, ctr: p.effects.ctr_written })
    })
}

/// What may have been written since the loop was entered, where each block begins.
fn dirty(region: &Region, graph: &DiGraphMap<u16, ()>, cycle: &BTreeSet<u16>) -> BTreeMap<u16, Registers> {
    let mut begin: BTreeMap<u16, Registers> = cycle.iter().map(|at| (*at, Registers::default())).collect();
    let mut work: Vec<u16> = cycle.iter().copied().collect();
    while let Some(at) = work.pop() {
        let end = begin[&at].with(written(region, &BTreeSet::from([at])));
        for to in graph.neighbors(at) {
            if let Some(known) = begin.get_mut(&to)
                && known.with(end) != *known
            {
                *known = known.with(end);
                work.push(to);
            }
        }
    }
    begin
}

/// Accesses whose address does not depend on what is loaded: they go along memory, or stay.
fn streams<'p>(places: impl Iterator<Item = &'p Place> + Clone) -> BTreeSet<Stream> {
    let mut loaded = 0;
    loop {
        let before = loaded;
        for p in places.clone() {
            let e = &p.effects;
            match stream(p) {
                Some(s) => {
                    // An updated base is a sum, and no better than what is added. A store to its own base counts as a load.
                    let updated = if s.ra != NO_REGISTER && i64::from(s.ra) != Any(p.insn.raw).rt() as i64 {
                        1 << s.ra
                    } else {
                        0
                    };
                    loaded |= e.gpr_written & !updated;
                    if s.registers() & loaded != 0 {
                        loaded |= e.gpr_written;
                    }
                }
                None if e.gpr_read & loaded != 0 => loaded |= e.gpr_written,
                None => {}
            }
        }
        if loaded == before {
            break;
        }
    }
    let known = |s: &Stream| s.registers() != 0 && s.registers() & loaded == 0;
    let all: BTreeSet<Stream> = places.filter_map(stream).filter(known).collect();
    all.into_iter().take(MOST_GUESSES).collect()
}
