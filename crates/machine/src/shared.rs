//! What all threads of a machine share: the vCPUs as others see them, the process table, the end of the run.
//!
//! Nothing here is held while guest code runs. Each vCPU has a *slot*; what is asked of it (start, prod, system reset)
//! is left there under the slot's lock, and its mailbox wakes it.

use crate::topology::Topology;
use cpu::CpuModel;
use memory::Memory;
use memory::mail::pending;
use platform::{ExternalInterruptLines, Partition, ProcessTable, RunState, Shutdown, StartError, StartRequest};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A lock whose holder leaves no half-done state behind: a panic elsewhere does not matter to it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The guest switched itself off.
    PowerOff,
    /// The guest asked for a reboot, and the machine was told not to.
    Reboot,
    /// The guest's kernel gave up.
    GuestPanicked {
        /// What it said.
        message: String,
    },
    /// Every vCPU is stopped: no interrupt and no other vCPU can ever start one.
    AllStopped,
    /// Somebody outside ended it, for this reason.
    Quit(String),
}

/// What a slot's lock guards.
#[derive(Debug)]
pub(crate) struct SlotState {
    pub run: RunState,
    /// Left by `start-cpu`.
    pub start: Option<StartRequest>,
    /// Left by `H_PROD`.
    pub prodded: bool,
    /// A system reset is to be taken.
    pub system_reset: bool,
}

impl SlotState {
    const STOPPED: SlotState = SlotState { run: RunState::Stopped, start: None, prodded: false, system_reset: false };
}

/// A vCPU as others see it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub state: Mutex<SlotState>,
    /// Level of the external-interrupt input. The lock orders it with the bit in the mailbox.
    line: Mutex<bool>,
}

/// What all threads of a machine share.
#[derive(Debug)]
pub struct Shared {
    pub(crate) memory: Arc<Memory>,
    pub(crate) slots: Box<[Slot]>,
    process_table: Mutex<ProcessTable>,
    /// LPCR as every started vCPU has it: written before the vCPUs are told, so that one that starts meanwhile either
    /// reads the new value or finds the message.
    lpcr: AtomicU64,
    lpcr_reset: u64,
    /// Held while one vCPU changes LPCR or process table of all: two changes at once would otherwise reach the vCPUs in
    /// different orders, and leave them different. Only [`Calling`](crate::calling::Calling) takes it.
    pub(crate) changing_all: Mutex<()>,
    /// Why the run is to end, the first reason; a reboot too.
    ending: Mutex<Option<Ending>>,
    /// Whether there is one: looked at after each hypercall.
    is_ending: AtomicBool,
    /// Counts what may have made a vCPU runnable, for the one thread that runs all of them.
    activity: Mutex<u64>,
    active: Condvar,
    topology: Topology,
    rest: Mutex<Rest>,
    rest_changed: Condvar,
    /// [`Rest::wanted`], looked at by vCPUs that were called out.
    is_paused: AtomicBool,
    ignore_guest_panic: bool,
}

/// vCPUs that stand still for somebody outside.
#[derive(Debug, Default)]
struct Rest {
    wanted: bool,
    /// Threads of vCPUs that do.
    threads: usize,
}

/// How long [`Shared::pause`] waits for threads that execute something long.
const PAUSE_WAIT: Duration = Duration::from_secs(2);

/// Why vCPUs are to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The guest wants to boot again.
    Reboot,
    /// It is over.
    End(End),
}

impl Shared {
    /// Stopped vCPUs of `model`.
    pub(crate) fn new(
        memory: Arc<Memory>,
        model: &CpuModel,
        topology: Topology,
        large_decrementer: bool,
        ignore_guest_panic: bool,
    ) -> Shared {
        let slot = |_| Slot { state: Mutex::new(SlotState::STOPPED), line: Mutex::new(false) };
        // The decrementer is as wide as the tree says, on every vCPU, restarted ones too.
        let lpcr_reset = if large_decrementer { model.lpcr_reset } else { model.lpcr_reset & !cpu::bits::lpcr::LD };
        Shared {
            memory,
            slots: (0..topology.vcpus).map(slot).collect(),
            process_table: Mutex::default(),
            lpcr: AtomicU64::new(lpcr_reset),
            lpcr_reset,
            changing_all: Mutex::new(()),
            ending: Mutex::new(None),
            is_ending: AtomicBool::new(false),
            activity: Mutex::new(0),
            active: Condvar::new(),
            topology,
            rest: Mutex::default(),
            rest_changed: Condvar::new(),
            is_paused: AtomicBool::new(false),
            ignore_guest_panic,
        }
    }

    /// Back to the state after power-on. No vCPU runs.
    pub(crate) fn reset(&self) {
        for slot in &self.slots {
            *lock(&slot.state) = SlotState::STOPPED;
        }
        *lock(&self.process_table) = ProcessTable::default();
        self.lpcr.store(self.lpcr_reset, SeqCst);
        let mut ending = lock(&self.ending);
        if matches!(*ending, Some(Ending::End(_))) {
            // The host's order to end came during the reboot: the next run ends at once.
            return;
        }
        *ending = None;
        self.is_ending.store(false, SeqCst);
        for index in 0..self.slots.len() {
            self.memory.hub().mailbox(index).lower(pending::STOP);
        }
    }

    /// The run is to end, or to start again. The first reason counts, but an end counts more than a reboot: the
    /// order of the host to quit must not get lost in the guest's.
    pub(crate) fn end(&self, ending: Ending) {
        {
            let mut now = lock(&self.ending);
            if !matches!(*now, Some(Ending::End(_))) {
                *now = Some(ending);
            }
        }
        self.is_ending.store(true, SeqCst);
        // With the lock held: who looked before waits by now.
        drop(lock(&self.rest));
        self.rest_changed.notify_all();
        for index in 0..self.slots.len() {
            self.memory.hub().mailbox(index).raise(pending::STOP);
        }
        self.note_activity();
    }

    /// The threads of all vCPUs, `threads` of them, are to rest until [`Shared::resume`]. Returns when they do.
    pub(crate) fn pause(&self, threads: usize) {
        lock(&self.rest).wanted = true;
        self.is_paused.store(true, SeqCst);
        for index in 0..self.slots.len() {
            self.memory.hub().mailbox(index).raise(pending::STOP);
        }
        self.note_activity();
        let busy = |rest: &mut Rest| rest.wanted && rest.threads < threads && !self.is_ending();
        drop(self.rest_changed.wait_timeout_while(lock(&self.rest), PAUSE_WAIT, busy));
    }

    /// They go on.
    pub(crate) fn resume(&self) {
        self.is_paused.store(false, SeqCst);
        lock(&self.rest).wanted = false;
        self.rest_changed.notify_all();
    }

    /// Whether [`Shared::rest`] waits.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_paused.load(SeqCst)
    }

    /// The thread of a vCPU, quiet, rests while that is wanted and the run does not end.
    pub(crate) fn rest(&self) {
        let mut rest = lock(&self.rest);
        rest.threads += 1;
        self.rest_changed.notify_all();
        let wanted = |rest: &mut Rest| rest.wanted && !self.is_ending();
        rest = self.rest_changed.wait_while(rest, wanted).unwrap_or_else(PoisonError::into_inner);
        rest.threads -= 1;
    }

    /// Why the run is to end.
    pub(crate) fn ending(&self) -> Option<Ending> {
        lock(&self.ending).clone()
    }

    /// Whether the run is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.is_ending.load(SeqCst)
    }

    /// LPCR that a vCPU starts with.
    pub(crate) fn lpcr(&self) -> u64 {
        self.lpcr.load(SeqCst)
    }

    /// Changes what [`Shared::lpcr`] says.
    pub(crate) fn update_lpcr(&self, mask: u64, value: u64) {
        // The closure always gives a value.
        let _ = self.lpcr.fetch_update(SeqCst, SeqCst, |lpcr| Some(lpcr & !mask | value & mask));
    }

    /// Changes what [`Partition::process_table`] says.
    pub(crate) fn set_process_table(&self, table: ProcessTable) {
        *lock(&self.process_table) = table;
    }

    /// Does what `reset` does to a vCPU, then brings the external-interrupt bit in line with its input again: `reset`
    /// lowers the bit, and the interrupt controller tells of changes only.
    pub(crate) fn with_line<R>(&self, index: usize, reset: impl FnOnce() -> R) -> R {
        let level = lock(&self.slots[index].line);
        let result = reset();
        if *level {
            self.memory.hub().mailbox(index).raise(pending::EXTERNAL);
        }
        result
    }

    fn wake(&self, index: usize, bits: u32) {
        self.memory.hub().mailbox(index).raise(bits);
        self.note_activity();
    }

    /// Wakes the thread that waits in [`Shared::wait_for_activity`].
    fn note_activity(&self) {
        *lock(&self.activity) += 1;
        self.active.notify_all();
    }

    /// How often something happened so far.
    pub(crate) fn activity(&self) -> u64 {
        *lock(&self.activity)
    }

    /// Sleeps until something has happened since [`Shared::activity`] gave `seen`.
    pub(crate) fn wait_for_activity(&self, seen: u64) {
        drop(self.active.wait_while(lock(&self.activity), |count| *count == seen));
    }

    /// Whether no vCPU runs, sleeps or is about to start.
    pub(crate) fn all_stopped(&self) -> bool {
        self.slots.iter().all(|slot| lock(&slot.state).run == RunState::Stopped)
    }
}

impl ExternalInterruptLines for Shared {
    fn set_external_interrupt(&self, index: usize, asserted: bool) {
        let Some(slot) = self.slots.get(index) else { return };
        let mut level = lock(&slot.line);
        *level = asserted;
        if asserted {
            self.wake(index, pending::EXTERNAL);
        } else {
            self.memory.hub().mailbox(index).lower(pending::EXTERNAL);
        }
    }
}

impl Partition for Shared {
    fn vcpu_count(&self) -> usize {
        self.slots.len()
    }

    fn server_of_vcpu(&self, index: usize) -> Option<u32> {
        (index < self.slots.len()).then(|| self.topology.server_of(index))
    }

    fn vcpu_of_server(&self, server: u32) -> Option<usize> {
        self.topology.vcpu_of(server)
    }

    fn run_state(&self, index: usize) -> Option<RunState> {
        self.slots.get(index).map(|slot| lock(&slot.state).run)
    }

    fn start(&self, index: usize, request: StartRequest) -> Result<(), StartError> {
        let slot = self.slots.get(index).ok_or(StartError::NoSuchVcpu { index, count: self.slots.len() })?;
        let mut state = lock(&slot.state);
        if state.run != RunState::Stopped {
            return Err(StartError::NotStopped { index, state: state.run });
        }
        state.run = RunState::Running;
        state.start = Some(request);
        drop(state);
        self.wake(index, pending::PROD);
        Ok(())
    }

    fn prod(&self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        let mut state = lock(&slot.state);
        if state.run != RunState::Stopped {
            state.prodded = true;
            if matches!(state.run, RunState::Ceded | RunState::Joined) {
                state.run = RunState::Running;
            }
            drop(state);
            self.wake(index, pending::PROD);
        }
    }

    fn system_reset(&self, index: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        let mut state = lock(&slot.state);
        if state.run != RunState::Stopped {
            state.system_reset = true;
            drop(state);
            // Not the mailbox's own bit for it: the hypervisor chooses where the guest takes it (FWNMI).
            self.wake(index, pending::STOP);
        }
    }

    fn process_table(&self) -> ProcessTable {
        *lock(&self.process_table)
    }

    fn request_shutdown(&self, shutdown: Shutdown) {
        match shutdown {
            Shutdown::GuestPanicked { message } if self.ignore_guest_panic => {
                let said = if message.is_empty() { String::new() } else { format!(" ({message})") };
                tracing::warn!("the guest panicked{said}; it goes on, as it was asked for");
            }
            Shutdown::PowerOff => self.end(Ending::End(End::PowerOff)),
            Shutdown::Reboot => self.end(Ending::Reboot),
            Shutdown::GuestPanicked { message } => self.end(Ending::End(End::GuestPanicked { message })),
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.memory.len()
    }

    fn max_vcpus(&self) -> usize {
        self.topology.max_vcpus
    }
}
