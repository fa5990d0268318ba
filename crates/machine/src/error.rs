//! What can be wrong with a machine.

use crate::board::{CONSOLES_MAX, RAM_OVERCOMMIT};
use crate::difference::Difference;
use crate::fdt::TreeError;
use crate::layout::LayoutError;
use crate::loader::LoadError;
use crate::numa::NumaError;
use crate::saved::SavedError;
use crate::topology::TopologyError;
use devices::InterruptError;
use hypervisor::TableError;
use hypervisor::capability::HostRefusal;
use memory::RamError;
use thiserror::Error;

/// Why a machine could not be built or run.
#[derive(Debug, Error)]
pub enum MachineError {
    /// The processor has no radix translation.
    #[error("mmu=radix with -cpu {0}: it translates by hash tables only; use mmu=hash, or power9 or power10")]
    NoRadix(&'static str),
    /// The partition would have to look like a processor without radix translation.
    #[error("mmu=radix with max-cpu-compat below power9: such a guest translates by hash tables; use mmu=hash")]
    NoRadixByCompat,
    /// XIVE alone, for a processor that has none.
    #[error(
        "ic-mode=xive: a processor below POWER9, or one that looks like it, has no XIVE; use ic-mode=xics or ic-mode=dual"
    )]
    NoXive,
    /// vCPUs and how they are grouped.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// NUMA nodes.
    #[error("-numa: {0}")]
    Numa(#[from] NumaError),
    /// More than the host has that is imitated.
    #[error(transparent)]
    Host(#[from] HostRefusal),
    /// Number of terminals.
    #[error("{0} serial ports: a machine has at most {CONSOLES_MAX}")]
    Consoles(usize),
    /// Guest RAM.
    #[error(transparent)]
    Ram(#[from] RamError),
    /// A saved partition.
    #[error(transparent)]
    Saved(#[from] SavedError),
    /// The translator.
    #[error(transparent)]
    Translator(#[from] jit::store::TranslatorError),
    /// More RAM than makes sense on this host.
    #[error(
        "guest RAM of {ram_bytes:#x} bytes ({} GiB): this host has {} GiB of memory and swap, and guest RAM can be at \
         most {RAM_OVERCOMMIT} times that; use a smaller -m",
        *.ram_bytes >> 30, *.host_bytes >> 30
    )]
    AbsurdRam {
        /// Size asked for.
        ram_bytes: u64,
        /// Memory and swap of the host.
        host_bytes: u64,
    },
    /// Kernel or initrd.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// They do not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The tree is larger than the room that was kept for it.
    #[error("the device tree has {found} bytes, and there is room for {room}; use a shorter -append")]
    TreeSize {
        /// Its size.
        found: u64,
        /// The room.
        room: u64,
    },
    /// Interrupt controller.
    #[error(transparent)]
    Xics(#[from] InterruptError),
    /// Hypercall and RTAS tables.
    #[error(transparent)]
    Tables(#[from] TableError),
    /// Lockstep of more than one vCPU.
    #[error("-accel lockstep with {0} vCPUs: it compares machines of one vCPU each; use -smp 1")]
    LockstepVcpus(usize),
    /// Lockstep in real time.
    #[error(
        "-accel lockstep under the real clock: two machines never see the same time; use the virtual clock (-icount 0)"
    )]
    LockstepRealClock,
    /// The two machines of a lockstep are not the same: a bug of this program.
    #[error(transparent)]
    Differ(#[from] Box<Difference>),
    /// A bug of this program: the rest of the machine was stopped.
    #[error("the thread of vCPU {0} panicked, see above; this is a bug of the emulator")]
    VcpuPanicked(usize),
}
