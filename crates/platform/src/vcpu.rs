//! Control of vCPUs: what a hypercall may ask of the vCPU that called, and of the others.

use ::memory::HashTable;
use ::memory::hpt::VirtualPage;
use std::sync::Arc;
use thiserror::Error;

/// What a vCPU does, as PAPR sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Not started, or stopped by RTAS `stop-self`: only `start-cpu` ends this.
    Stopped,
    /// Executes guest code.
    Running,
    /// Asleep in `H_CEDE`, or in `H_CONFER` to itself: an interrupt that its MSR enables, or `H_PROD`, ends this.
    Ceded,
    /// Asleep in `H_JOIN`, with MSR[EE]=0: `H_PROD` (or a system reset) ends this.
    Joined,
}

/// How a partition comes to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shutdown {
    /// RTAS `power-off`.
    PowerOff,
    /// RTAS `system-reboot`.
    Reboot,
    /// RTAS `ibm,os-term`: the guest's kernel gave up, and this is what it said.
    GuestPanicked {
        /// The message that the guest passed, control characters replaced.
        message: String,
    },
}

/// The partition's process table, as `H_REGISTER_PROC_TBL` left it.
///
/// A partition starts as `ProcessTable { radix: false, base_ra: 0, size_shift: 0, .. }`, and so again after each reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessTable {
    /// The partition translates by radix trees (the GR bit of the partition table entry).
    pub radix: bool,
    /// Real address of the table; 0 and `registered == false` when there is none.
    pub base_ra: u64,
    /// The table has `1 << (size_shift + 12)` bytes (PRTS).
    pub size_shift: u8,
    /// A table is registered.
    pub registered: bool,
}

/// What `start-cpu` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartRequest {
    /// First instruction, a real address.
    pub entry: u64,
    /// What r3 holds there.
    pub r3: u64,
    /// Index of the vCPU that calls `start-cpu`: LPCR[AIL], LPCR[ILE], UPRT, HR, GTSE and the timebase offset are its.
    pub from: usize,
}

/// Why a vCPU was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StartError {
    /// There is no such vCPU.
    #[error("vCPU {index} cannot be started: the partition has {count} vCPUs")]
    NoSuchVcpu {
        /// Index asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// It runs already, or sleeps in a hypercall.
    #[error("vCPU {index} cannot be started: it is {state:?}, not Stopped")]
    NotStopped {
        /// Index asked for.
        index: usize,
        /// What it does.
        state: RunState,
    },
}

/// Whose translations `H_RPT_INVALIDATE` drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidateScope {
    /// Those of one process.
    Process {
        /// Its PID (process-table index).
        pid: u32,
    },
    /// Those of every process of the partition.
    All,
}

/// Radix page sizes, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageSizes {
    /// 4 KiB.
    pub size_4k: bool,
    /// 64 KiB.
    pub size_64k: bool,
    /// 2 MiB.
    pub size_2m: bool,
    /// 1 GiB.
    pub size_1g: bool,
}

impl PageSizes {
    /// Every size.
    pub const ALL: PageSizes = PageSizes { size_4k: true, size_64k: true, size_2m: true, size_1g: true };
}

/// An invalidation of cached translations on every vCPU of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TlbInvalidate {
    /// Whose.
    pub scope: InvalidateScope,
    /// Leaf translations.
    pub tlb: bool,
    /// The page-walk cache.
    pub page_walk_cache: bool,
    /// Cached process-table entries.
    pub process_table: bool,
    /// Sizes of the leaves meant.
    pub page_sizes: PageSizes,
    /// First effective address meant.
    pub start_ea: u64,
    /// Last effective address meant (inclusive: the range may end with the address space).
    pub last_ea: u64,
}

/// The vCPU that executes the hypercall: its state is the handler's until the handler returns.
///
/// Operations on all vCPUs stand here and not in [`Partition`], because who waits for the others has to serve its own
/// mailbox meanwhile.
pub trait CallingVcpu {
    /// Its index, from 0.
    fn index(&self) -> usize;

    /// General register `number` (0 to 31).
    fn gpr(&self, number: usize) -> u64;

    /// Writes general register `number` (0 to 31). Results of a hypercall go to r4 and up; r3 is written by the table
    /// from the handler's return code.
    fn set_gpr(&mut self, number: usize, value: u64);

    /// MSR[PR]: problem state.
    fn problem_state(&self) -> bool;

    /// MSR[EE].
    fn external_interrupts_enabled(&self) -> bool;

    /// Sets MSR[EE].
    fn set_external_interrupts_enabled(&mut self, enabled: bool);

    /// Whether an interrupt is pending that MSR as it stands would let in.
    fn interrupt_pending(&self) -> bool;

    /// Takes what `H_PROD` left for this vCPU: true once for any number of prods.
    fn take_prod(&mut self) -> bool;

    /// Notes that the vCPU sleeps in state `Ceded` once the handler has returned, until an interrupt that MSR enables
    /// or a prod (which the board consumes then). The board acts; this returns at once.
    fn cede(&mut self);

    /// As [`cede`](CallingVcpu::cede), in state `Joined`. The state is visible in [`Partition::run_state`] at once.
    fn join(&mut self);

    /// Notes that the vCPU is to be stopped (state `Stopped`) once the handler has returned.
    fn stop_self(&mut self);

    /// Notes that the vCPU gives its host time away once the handler has returned: to vCPU `target`, or to any.
    fn yield_to(&mut self, target: Option<usize>);

    /// Sets `(lpcr & !mask) | (value & mask)` on every vCPU, running or not, and returns when each has it: none
    /// translates or takes an interrupt by the old value afterwards.
    fn update_lpcr_all(&mut self, mask: u64, value: u64);

    /// Replaces the process table, and drops everything that any vCPU cached from the old one, before it returns.
    fn set_process_table(&mut self, table: ProcessTable);

    /// Drops cached translations on every vCPU before it returns.
    fn invalidate_translations(&mut self, request: &TlbInvalidate);

    /// The partition's hash table, as this vCPU has it at hand.
    fn hash_table(&self) -> Arc<HashTable>;

    /// Gives every vCPU another hash table, with no translation left of the old one, before it returns.
    fn set_hash_table(&mut self, table: HashTable);

    /// Tells `users` ([`user`](::memory::hpt::user)) to forget a virtual page of the hash table.
    /// [`wait_for_translations`](CallingVcpu::wait_for_translations) waits.
    fn forget_virtual_page(&mut self, users: u32, page: VirtualPage);

    /// Returns when every vCPU has acted on what it was told, and has finished what it was doing then: nobody still uses
    /// what was forgotten.
    fn wait_for_translations(&mut self);

    /// Called again and again while another vCPU's hypercall is in the way: does what that one may be waiting for.
    fn relax(&mut self);

    /// PCR of this vCPU: what problem state does not see.
    fn set_pcr(&mut self, value: u64);

    /// CIABR of this vCPU.
    fn set_ciabr(&mut self, value: u64);

    /// DAWR`number` and DAWRX`number` of this vCPU (0 or 1).
    fn set_dawr(&mut self, number: usize, dawr: u64, dawrx: u64);

    /// SPRG0 of this vCPU.
    fn set_sprg0(&mut self, value: u64);
}

/// The partition as every thread sees it.
pub trait Partition: Send + Sync {
    /// Number of vCPUs; indices run from 0.
    fn vcpu_count(&self) -> usize;

    /// Interrupt server number of vCPU `index` (`ibm,ppc-interrupt-server#s`).
    fn server_of_vcpu(&self, index: usize) -> Option<u32>;

    /// The vCPU with interrupt server number `server`.
    fn vcpu_of_server(&self, server: u32) -> Option<usize>;

    /// What vCPU `index` does; `None` when there is none.
    fn run_state(&self, index: usize) -> Option<RunState>;

    /// Starts vCPU `index`, which has to be `Stopped`. Of two callers at the same time one succeeds.
    fn start(&self, index: usize, request: StartRequest) -> Result<(), StartError>;

    /// `H_PROD`: leaves a prod for vCPU `index` and wakes it from `Ceded` and `Joined`. No effect on a stopped vCPU
    /// or an index that is not there.
    fn prod(&self, index: usize);

    /// Delivers a system reset interrupt to vCPU `index`, unless it is `Stopped`.
    fn system_reset(&self, index: usize);

    /// The process table as it stands.
    fn process_table(&self) -> ProcessTable;

    /// Asks the board to end or restart the partition. Returns at once; the caller's vCPU executes nothing further
    /// once its handler has returned. The first request wins.
    fn request_shutdown(&self, shutdown: Shutdown);

    /// Size of the guest's memory that may be assigned to it, for system parameters.
    fn memory_bytes(&self) -> u64;

    /// The largest number of vCPUs that the partition can come to have.
    fn max_vcpus(&self) -> usize {
        self.vcpu_count()
    }
}
