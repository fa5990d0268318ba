//! How vCPUs are grouped into cores and sockets, and their numbers.
//!
//! vCPUs have an *index*, from 0 without gaps, and an *interrupt server number* by which the guest names them
//! (`ibm,ppc-interrupt-server#s`): the first thread of each core has a multiple of `vsmt`. Memory nodes, interrupt
//! controllers and hypercalls know servers; everything inside the machine knows indices.

use crate::board::VCPUS_MAX;
use hypervisor::capability::IsaLevel;
use std::ops::Range;
use thiserror::Error;

/// Most threads of a core: what POWER8 and later have, or let a partition believe that they have.
const THREADS_MAX: usize = 8;
/// Server numbers are below this: from here on the numbers are those of devices' interrupt sources.
const SERVERS_MAX: usize = 0x1000;

/// How vCPUs are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topology {
    /// Number of vCPUs.
    pub vcpus: usize,
    /// The number told to the guest as the largest that there can be; at least `vcpus`.
    pub max_vcpus: usize,
    /// Cores of a socket.
    pub cores: usize,
    /// Threads of a core.
    pub threads: usize,
    /// From the server number of a core's first thread to the next core's.
    pub vsmt: usize,
}

/// What does not go together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TopologyError {
    /// No vCPU, too many, or fewer possible than there are.
    #[error("{vcpus} vCPUs (at most {max_vcpus} later): a machine has 1 to {VCPUS_MAX}")]
    Vcpus {
        /// Asked for.
        vcpus: usize,
        /// Largest number asked for.
        max_vcpus: usize,
    },
    /// Threads before POWER8.
    #[error("{threads} threads a core: only POWER8 and later have threads here, and max-cpu-compat hides them")]
    NoThreads {
        /// Asked for.
        threads: usize,
    },
    /// More threads than any processor has.
    #[error("{0} threads a core: a pseries machine cannot have more than {THREADS_MAX}")]
    ManyThreads(usize),
    /// Not 1, 2, 4 or 8.
    #[error("Cannot support {0} threads/core on a pseries machine because it must be a power of 2")]
    OddThreads(usize),
    /// Threads of a core would have the numbers of the next one's.
    #[error("Cannot support VSMT mode {vsmt} because it must be >= threads/core ({threads})")]
    Vsmt {
        /// Asked for.
        vsmt: usize,
        /// Threads of a core.
        threads: usize,
    },
    /// A core that is not whole.
    #[error("{name} ({vcpus}) must be multiple of threads ({threads})")]
    PartOfACore {
        /// `smp_cpus` or `max_cpus`.
        name: &'static str,
        /// How many.
        vcpus: usize,
        /// Threads of a core.
        threads: usize,
    },
    /// Numbers beyond those that there are.
    #[error(
        "vsmt={vsmt} with {cores} cores: interrupt server numbers would reach {last}, and they end at {}; use a smaller vsmt",
        SERVERS_MAX - 1
    )]
    Servers {
        /// Asked for.
        vsmt: usize,
        /// Number of cores.
        cores: usize,
        /// The largest number.
        last: usize,
    },
}

impl Topology {
    /// `vcpus` cores of one thread each, in one socket.
    pub const fn cores(vcpus: usize) -> Topology {
        Topology { vcpus, max_vcpus: vcpus, cores: vcpus, threads: 1, vsmt: 1 }
    }

    /// Looks whether a processor that shows itself as one of `level` can be grouped so.
    ///
    /// # Errors
    /// [`TopologyError`].
    pub fn check(&self, level: IsaLevel) -> Result<(), TopologyError> {
        let &Topology { vcpus, max_vcpus, threads, vsmt, .. } = self;
        if vcpus == 0 || max_vcpus < vcpus || max_vcpus > VCPUS_MAX {
            return Err(TopologyError::Vcpus { vcpus, max_vcpus });
        }
        if threads > 1 && level < IsaLevel::V2_07 {
            return Err(TopologyError::NoThreads { threads });
        }
        if threads > THREADS_MAX {
            return Err(TopologyError::ManyThreads(threads));
        }
        if !threads.is_power_of_two() {
            return Err(TopologyError::OddThreads(threads));
        }
        if vsmt < threads {
            return Err(TopologyError::Vsmt { vsmt, threads });
        }
        for (name, vcpus) in [("smp_cpus", vcpus), ("max_cpus", max_vcpus)] {
            if vcpus % threads != 0 {
                return Err(TopologyError::PartOfACore { name, vcpus, threads });
            }
        }
        let cores = max_vcpus / threads;
        let last = vsmt.saturating_mul(cores - 1).saturating_add(threads - 1);
        if last >= SERVERS_MAX {
            return Err(TopologyError::Servers { vsmt, cores, last });
        }
        Ok(())
    }

    /// Interrupt server number of vCPU `index`.
    pub fn server_of(&self, index: usize) -> u32 {
        (index / self.threads * self.vsmt + index % self.threads) as u32
    }

    /// The vCPU with interrupt server number `server`, if there is one.
    pub fn vcpu_of(&self, server: u32) -> Option<usize> {
        let (core, thread) = (server as usize / self.vsmt, server as usize % self.vsmt);
        let index = core * self.threads + thread;
        (thread < self.threads && index < self.vcpus).then_some(index)
    }

    /// Interrupt server numbers by index.
    pub fn servers(&self) -> Vec<u32> {
        (0..self.vcpus).map(|index| self.server_of(index)).collect()
    }

    /// All server numbers that there can come to be are below this.
    pub fn server_limit(&self) -> usize {
        self.max_vcpus / self.threads * self.vsmt
    }

    /// The vCPUs of each core.
    pub fn each_core(&self) -> impl Iterator<Item = Range<usize>> {
        let threads = self.threads;
        (0..self.vcpus / threads).map(move |core| core * threads..(core + 1) * threads)
    }

    /// Number of the socket of vCPU `index`.
    pub fn socket_of(&self, index: usize) -> usize {
        index / (self.cores * self.threads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMT4: Topology = Topology { vcpus: 8, max_vcpus: 16, cores: 2, threads: 4, vsmt: 8 };

    #[test]
    fn numbers_there_and_back() {
        assert_eq!(SMT4.servers(), [0, 1, 2, 3, 8, 9, 10, 11]);
        for (index, server) in SMT4.servers().into_iter().enumerate() {
            assert_eq!(SMT4.vcpu_of(server), Some(index));
        }
        assert!([4, 7, 12, 16, 17, u32::MAX].into_iter().all(|server| SMT4.vcpu_of(server).is_none()));
        assert_eq!((SMT4.server_limit(), SMT4.socket_of(7), SMT4.socket_of(8)), (32, 0, 1));
        assert_eq!(SMT4.each_core().collect::<Vec<_>>(), [0..4, 4..8]);
        assert_eq!(Topology::cores(3).servers(), [0, 1, 2]);
    }

    #[test]
    fn what_does_not_go_together() {
        let with = |change: &dyn Fn(&mut Topology)| {
            let mut topology = SMT4;
            change(&mut topology);
            topology.check(IsaLevel::V3_0)
        };
        assert_eq!(with(&|_| ()), Ok(()));
        assert_eq!(with(&|t| t.vsmt = 1024), Ok(()));
        assert!(with(&|t| t.vsmt = 2048).is_err());
        let said = |change: &dyn Fn(&mut Topology)| with(change).unwrap_err().to_string();
        assert!(said(&|t| t.threads = 3).contains("must be a power of 2"));
        assert!(said(&|t| t.threads = 0).contains("must be a power of 2"));
        assert!(said(&|t| t.threads = 16).contains("more than 8"));
        assert!(said(&|t| t.vsmt = 2).contains("Cannot support VSMT mode 2 because it must be >= threads/core (4)"));
        assert!(said(&|t| t.vcpus = 6).contains("smp_cpus (6) must be multiple of threads (4)"));
        assert!(said(&|t| t.max_vcpus = 14).contains("max_cpus (14) must be multiple"));
        assert!(said(&|t| t.vsmt = usize::MAX).contains("smaller vsmt"));
        assert!(said(&|t| t.vcpus = 0).contains("1 to 256") && said(&|t| t.max_vcpus = 4).contains("4 later"));
        assert_eq!(SMT4.check(IsaLevel::V2_06), Err(TopologyError::NoThreads { threads: 4 }));
        assert_eq!(Topology::cores(VCPUS_MAX).check(IsaLevel::V2_06), Ok(()));
    }
}
