//! NUMA nodes: which memory and which cores belong together, and how far apart they are.
//!
//! The guest is told by associativity lists in one of two forms (PAPR, "ibm,associativity"): FORM1 groups nodes in four
//! levels of domains, FORM2 has one domain a node and a table of distances. [`crate::negotiation`] chooses.

use crate::topology::Topology;
use std::fmt;
use std::ops::RangeInclusive;
use thiserror::Error;

/// Most nodes.
const NODES_MAX: u64 = 128;
/// Memory of a node is a multiple of this: the granule in which memory is added.
const BLOCK_BYTES: u64 = 256 << 20;
/// Distance of a node to itself, and the smallest of all.
const LOCAL: u8 = 10;
/// Distance of two nodes if nobody says any.
const REMOTE: u8 = 20;
/// Levels of domains in FORM1; the last is the node itself.
const LEVELS: usize = 4;

/// What is said of nodes, one after the other, as `-numa` does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumaOption {
    /// There is a node.
    Node {
        /// Its number; the next one, if it is not said.
        id: Option<u64>,
        /// vCPUs, by their index.
        vcpus: Vec<RangeInclusive<u64>>,
        /// Its memory.
        ram_bytes: u64,
    },
    /// Cores belong to a node.
    Cores {
        /// The node.
        node: u64,
        /// The index of the core's first vCPU; all cores, if it is not said.
        core: Option<u64>,
    },
    /// How far one node is from another.
    Distance {
        /// From this one.
        from: u64,
        /// To this one.
        to: u64,
        /// 10 is here.
        distance: u8,
    },
}

/// What does not go together. The words are QEMU's, as far as they go.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NumaError {
    /// A number beyond all nodes.
    #[error("Max number of NUMA nodes reached: {0} (at most {NODES_MAX})")]
    ManyNodes(u64),
    /// A node twice.
    #[error("Duplicate NUMA nodeid: {0}")]
    DoubleNode(u64),
    /// A node left out.
    #[error("Node ID missing: {0} (nodes are numbered from 0 without gaps)")]
    MissingNode(u64),
    /// A vCPU that is not there.
    #[error("CPU index ({index}) should be smaller than maxcpus ({max_vcpus})")]
    NoVcpu {
        /// The index.
        index: u64,
        /// How many there can be.
        max_vcpus: usize,
    },
    /// A core that is not there.
    #[error("core-id={core}: no match found (cores have the indices of their first CPUs, multiples of {threads})")]
    NoCore {
        /// What was said.
        core: u64,
        /// Threads of a core.
        threads: usize,
    },
    /// Two nodes for a core.
    #[error("CPU is already assigned to node-id: {0} (all threads of a core are in one node)")]
    Assigned(u64),
    /// A core in a node that is not there.
    #[error(
        "Invalid node-id={0}, NUMA node must be defined with -numa node,nodeid=ID before it's used with -numa cpu,node-id=ID"
    )]
    NoNodeForCores(u64),
    /// A distance of nodes that are not there.
    #[error(
        "Source/Destination NUMA node is missing ({from}, {to}). Please use '-numa node' option to declare it first."
    )]
    NoNodeForDistance {
        /// From.
        from: u64,
        /// To.
        to: u64,
    },
    /// Nearer than here.
    #[error("NUMA distance ({0}) is invalid, it shouldn't be less than {LOCAL}.")]
    Near(u8),
    /// A node away from itself.
    #[error("Local distance of node {0} should be {LOCAL}.")]
    NotLocal(u64),
    /// Two nodes without a distance, while others have one.
    #[error(
        "The distance between node {from} and {to} is missing, at least one distance value between each nodes should be \
         provided."
    )]
    NoDistance {
        /// From.
        from: usize,
        /// To.
        to: usize,
    },
    /// There and back differ somewhere, and elsewhere one of them is not said.
    #[error(
        "At least one asymmetrical pair of distances is given, please provide distances for both directions of all node \
         pairs."
    )]
    OneWay,
    /// Memory of all nodes.
    #[error("total memory for NUMA nodes ({nodes:#x}) should equal RAM size ({ram:#x})")]
    Total {
        /// Of the nodes together.
        nodes: u64,
        /// Of the machine.
        ram: u64,
    },
    /// Memory of a node.
    #[error("Node {node} memory size {bytes:#x} is not aligned to 256 MiB")]
    Align {
        /// The node.
        node: usize,
        /// Its memory.
        bytes: u64,
    },
    /// FORM1 has no place for it.
    #[error("Memory-less/cpu-less nodes are not supported with FORM1 NUMA (node {0})")]
    Form1Empty(usize),
    /// FORM1 has one distance for both directions.
    #[error("Asymmetrical NUMA topologies aren't supported in the pSeries machine using FORM1 NUMA")]
    Form1Asymmetrical,
}

/// The nodes of a machine; one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numa {
    /// Bytes of RAM, one node behind the other.
    ram: Vec<u64>,
    /// Node of each core that there can come to be.
    cores: Vec<usize>,
    /// By from and to.
    distances: Vec<Vec<u8>>,
    threads: usize,
}

impl fmt::Display for Numa {
    /// Memory in MiB and cores of each node, and distances where there is more than one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Numa { ram, cores, distances, threads: _ } = self;
        for (node, bytes) in ram.iter().enumerate() {
            let here: Vec<_> = cores.iter().enumerate().filter(|(_, of)| **of == node).map(|(core, _)| core).collect();
            write!(f, "{}node {node} {}M cores {here:?}", if node == 0 { "" } else { ", " }, bytes >> 20)?;
        }
        if ram.len() > 1 { write!(f, ", distances {distances:?}") } else { Ok(()) }
    }
}

/// How the guest is told ([`crate::negotiation::Agreed::affinity`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Affinity {
    /// Four levels of domains.
    Form1,
    /// A domain a node, and distances.
    Form2,
}

/// What options have said so far.
struct Said {
    ram: Vec<Option<u64>>,
    cores: Vec<Option<u64>>,
    /// 0: nothing said.
    distances: Vec<Vec<u8>>,
}

impl Said {
    fn has(&self, node: u64) -> bool {
        usize::try_from(node).is_ok_and(|node| matches!(self.ram.get(node), Some(Some(_))))
    }

    fn assign(&mut self, core: usize, node: u64) -> Result<(), NumaError> {
        match self.cores[core].replace(node) {
            Some(other) if other != node => Err(NumaError::Assigned(other)),
            _ => Ok(()),
        }
    }

    fn take(&mut self, option: &NumaOption, topology: &Topology) -> Result<(), NumaError> {
        let &Topology { threads, max_vcpus, .. } = topology;
        match option {
            NumaOption::Node { id, vcpus, ram_bytes } => {
                let id = id.unwrap_or(self.ram.iter().flatten().count() as u64);
                if id >= NODES_MAX {
                    return Err(NumaError::ManyNodes(id));
                }
                if self.has(id) {
                    return Err(NumaError::DoubleNode(id));
                }
                self.ram[id as usize] = Some(*ram_bytes);
                for range in vcpus {
                    if *range.end() >= max_vcpus as u64 {
                        return Err(NumaError::NoVcpu { index: *range.end(), max_vcpus });
                    }
                    for index in range.clone() {
                        self.assign(index as usize / threads, id)?;
                    }
                }
            }
            &NumaOption::Cores { node, core } => {
                if !self.has(node) {
                    return Err(NumaError::NoNodeForCores(node));
                }
                let Some(core) = core else {
                    return (0..self.cores.len()).try_for_each(|core| self.assign(core, node));
                };
                if core % threads as u64 != 0 || core >= max_vcpus as u64 {
                    return Err(NumaError::NoCore { core, threads });
                }
                self.assign(core as usize / threads, node)?;
            }
            &NumaOption::Distance { from, to, distance } => {
                if !self.has(from) || !self.has(to) {
                    return Err(NumaError::NoNodeForDistance { from, to });
                }
                if distance < LOCAL {
                    return Err(NumaError::Near(distance));
                }
                if from == to && distance != LOCAL {
                    return Err(NumaError::NotLocal(from));
                }
                self.distances[from as usize][to as usize] = distance;
            }
        }
        Ok(())
    }

    /// The distances of `count` nodes, those completed that were not said.
    fn complete_distances(&self, count: usize) -> Result<Vec<Vec<u8>>, NumaError> {
        let said = |from: usize, to: usize| self.distances[from][to];
        let pairs = || (0..count).flat_map(|from| (from + 1..count).map(move |to| (from, to)));
        let any = self.distances.iter().flatten().any(|distance| *distance != 0);
        let differ = pairs().any(|(a, b)| said(a, b) != said(b, a) && said(a, b) != 0 && said(b, a) != 0);
        if let Some((from, to)) = pairs().find(|&(a, b)| any && said(a, b) == 0 && said(b, a) == 0) {
            return Err(NumaError::NoDistance { from, to });
        }
        if differ && pairs().any(|(a, b)| said(a, b) == 0 || said(b, a) == 0) {
            return Err(NumaError::OneWay);
        }
        let distance = |from: usize, to: usize| match (from == to, said(from, to), said(to, from)) {
            (true, ..) => LOCAL,
            (_, 0, 0) => REMOTE,
            (_, 0, back) => back,
            (_, there, _) => there,
        };
        Ok((0..count).map(|from| (0..count).map(|to| distance(from, to)).collect()).collect())
    }
}

impl Numa {
    /// One node with everything.
    pub fn one(topology: &Topology, ram_bytes: u64) -> Numa {
        let &Topology { threads, max_vcpus, .. } = topology;
        // A topology that does not fit is refused elsewhere.
        let cores = max_vcpus / threads.max(1);
        Numa { ram: vec![ram_bytes], cores: vec![0; cores], distances: vec![vec![LOCAL]], threads: threads.max(1) }
    }

    /// What options say of a machine with so much memory. The strings are warnings.
    ///
    /// # Errors
    /// [`NumaError`], and which of the options is wrong, if it is one of them.
    pub fn new(
        options: &[NumaOption],
        topology: &Topology,
        ram_bytes: u64,
    ) -> Result<(Numa, Vec<String>), (Option<usize>, NumaError)> {
        if options.is_empty() {
            return Ok((Numa::one(topology, ram_bytes), Vec::new()));
        }
        let &Topology { threads, max_vcpus, .. } = topology;
        let mut said = Said {
            ram: vec![None; NODES_MAX as usize],
            cores: vec![None; max_vcpus / threads],
            distances: vec![vec![0; NODES_MAX as usize]; NODES_MAX as usize],
        };
        for (index, option) in options.iter().enumerate() {
            said.take(option, topology).map_err(|error| (Some(index), error))?;
        }
        let whole = |error| (None, error);
        let ram: Vec<u64> = said.ram.iter().map_while(|ram| *ram).collect();
        let count = ram.len();
        if said.ram.iter().flatten().count() > count || count == 0 {
            return Err(whole(NumaError::MissingNode(count as u64)));
        }
        let distances = said.complete_distances(count).map_err(whole)?;
        let nodes = ram.iter().fold(0u64, |sum, bytes| sum.saturating_add(*bytes));
        if nodes != ram_bytes {
            return Err(whole(NumaError::Total { nodes, ram: ram_bytes }));
        }
        if let Some(node) = ram.iter().position(|bytes| bytes % BLOCK_BYTES != 0) {
            return Err(whole(NumaError::Align { node, bytes: ram[node] }));
        }
        let (cores, warnings) = place_cores(&said.cores, topology, count);
        Ok((Numa { ram, cores, distances, threads }, warnings))
    }

    /// Number of nodes.
    pub fn count(&self) -> usize {
        self.ram.len()
    }

    /// Node of vCPU `index`.
    pub fn node_of(&self, index: usize) -> usize {
        self.cores.get(index / self.threads).copied().unwrap_or(0)
    }

    /// The part of memory that a guest may use before it can read all of the tree: from address 0, a power of two, and of
    /// the first node that has memory.
    pub fn first_bytes(&self) -> u64 {
        self.ram.iter().find(|bytes| **bytes > 0).map_or(0, |bytes| 1 << bytes.ilog2())
    }

    /// Memory in pieces, each of a power of two and aligned to its size: node, address, size.
    pub fn memory(&self) -> Vec<(usize, u64, u64)> {
        let mut pieces = Vec::new();
        let mut at = 0u64;
        for (node, bytes) in self.ram.iter().enumerate() {
            let end = at + bytes;
            while at < end {
                let largest = 1 << (end - at).ilog2();
                let size = if at == 0 { largest } else { largest.min(1 << at.trailing_zeros()) };
                pieces.push((node, at, size));
                at += size;
            }
        }
        pieces
    }

    /// Whether FORM1 can tell of it.
    ///
    /// # Errors
    /// [`NumaError`].
    pub fn check(&self, affinity: Affinity, vcpus: usize) -> Result<(), NumaError> {
        if affinity == Affinity::Form2 || self.count() == 1 {
            return Ok(());
        }
        let empty = |node: &usize| self.ram[*node] == 0 && !(0..vcpus).any(|index| self.node_of(index) == *node);
        if let Some(node) = (0..self.count()).find(empty) {
            return Err(NumaError::Form1Empty(node));
        }
        let symmetrical = |from: usize| (0..from).all(|to| self.distances[from][to] == self.distances[to][from]);
        if (0..self.count()).all(symmetrical) { Ok(()) } else { Err(NumaError::Form1Asymmetrical) }
    }

    /// Domains of each node, the widest first.
    fn domains(&self, affinity: Affinity) -> Vec<Vec<u32>> {
        let nodes = 0..self.count();
        if affinity == Affinity::Form2 {
            return nodes.map(|node| vec![node as u32]).collect();
        }
        let mut domains: Vec<Vec<u32>> = nodes.clone().map(|node| vec![node as u32; LEVELS]).collect();
        // Nodes that are near share domains down to a level that their distance decides on. What the earlier node shares
        // with others goes on to the later one.
        for from in nodes.clone() {
            for to in from + 1..self.count() {
                let shared = shared_levels(self.distances[from][to]);
                let (before, behind) = domains.split_at_mut(to);
                behind[0][..shared].copy_from_slice(&before[from][..shared]);
            }
        }
        domains
    }

    /// `ibm,associativity` of the memory of `node`.
    pub fn memory_associativity(&self, affinity: Affinity, node: usize) -> Vec<u32> {
        counted(self.domains(affinity)[node].clone())
    }

    /// Domains of vCPU `index`, the last the vCPU itself with its interrupt server number.
    pub fn vcpu_domains(&self, affinity: Affinity, index: usize, server: u32) -> Vec<u32> {
        let mut domains = self.domains(affinity)[self.node_of(index)].clone();
        domains.push(server);
        domains
    }

    /// `ibm,associativity-reference-points` and `ibm,max-associativity-domains`.
    pub fn reference_points(&self, affinity: Affinity) -> (Vec<u32>, Vec<u32>) {
        let count = self.count() as u32;
        match (affinity, count) {
            (Affinity::Form2, _) => (vec![1], vec![1, count]),
            // As QEMU has it for a machine without nodes.
            (Affinity::Form1, 1) => (vec![4, 4, 2], vec![4, 0, 0, 0, 1]),
            (Affinity::Form1, _) => (vec![4, 3, 2, 1], vec![4, count, count, count, count]),
        }
    }

    /// `ibm,numa-lookup-index-table` and `ibm,numa-distance-table`, of FORM2.
    pub fn distance_tables(&self) -> (Vec<u32>, Vec<u8>) {
        let count = self.count() as u32;
        let distances = self.distances.concat();
        let table = (distances.len() as u32).to_be_bytes().into_iter().chain(distances).collect();
        (counted((0..count).collect()), table)
    }
}

/// A list with its length before it.
pub fn counted(list: Vec<u32>) -> Vec<u32> {
    std::iter::once(list.len() as u32).chain(list).collect()
}

/// FORM1: how many of the levels two nodes share. Each level that they do not share doubles the distance that a guest
/// reads out of them: 20, 40, 80, 160.
fn shared_levels(distance: u8) -> usize {
    match distance {
        ..=LOCAL => LEVELS,
        11..=30 => 3,
        31..=60 => 2,
        61..=120 => 1,
        121.. => 0,
    }
}

/// Nodes of the cores. If none was said for any, sockets go to nodes in turn; else those without one belong to node 0.
fn place_cores(said: &[Option<u64>], topology: &Topology, count: usize) -> (Vec<usize>, Vec<String>) {
    if said.iter().all(Option::is_none) {
        let node = |core: usize| core / topology.cores.max(1) % count;
        return ((0..said.len()).map(node).collect(), Vec::new());
    }
    let without: Vec<String> = (0..said.len())
        .filter(|core| said[*core].is_none())
        .map(|core| (core * topology.threads).to_string())
        .collect();
    let mut warnings = Vec::new();
    if !without.is_empty() {
        let list = without.join(", ");
        warnings.push(format!("-numa: CPU(s) not present in any NUMA nodes, they belong to node 0: core-id {list}"));
    }
    (said.iter().map(|node| node.unwrap_or(0) as usize).collect(), warnings)
}

#[cfg(test)]
mod tests;
