//! What all threads of a machine share: the vCPUs as others see them, the process table, the end of the run.
//!
//! Nothing here is held while guest code runs. Each vCPU has a *slot*; what is asked of it (start, prod, system reset)
//! is left there under the slot's lock, and its mailbox wakes it.

use crate::board::Machine;
use crate::migration::Migration;
use crate::topology::Topology;
use cpu::CpuModel;
use memory::Memory;
use memory::mail::pending;
use platform::{
    ExternalInterruptLines, InputNotifier, Partition, ProcessTable, RunState, Shutdown, StartError, StartRequest,
};
use snapshot::{FieldError, Io, Section, SectionId};
use std::collections::VecDeque;
use std::fmt;
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
    /// Whether the machine wants its vCPUs back, for a rest or an order: looked at by vCPUs that were called out.
    is_called: AtomicBool,
    ignore_guest_panic: bool,
    pub(crate) migration: Migration,
    inputs: Mutex<Inputs>,
}

/// Input that consoles tell of: what comes while the machine stands still is told when it goes on, since it changes RAM and
/// devices.
#[derive(Default)]
struct Inputs {
    open: bool,
    held: Vec<InputNotifier>,
}

impl fmt::Debug for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "open: {}, held: {}", self.open, self.held.len())
    }
}

/// What is to be done while no vCPU executes anything, by the machine's own thread.
pub(crate) type Order = Box<dyn FnOnce(&mut Machine) + Send>;

/// vCPUs that stand still for somebody outside.
#[derive(Default)]
struct Rest {
    wanted: bool,
    /// They do.
    stands: bool,
    /// What is to be done then, wanted or not.
    orders: VecDeque<Order>,
    /// Under the virtual clock: orders for a time in nanoseconds.
    due: Vec<(u64, Order)>,
    /// There will be no further run: nobody would take an order.
    closed: bool,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rest { wanted, stands, orders, due, closed } = self;
        let counts = (orders.len(), due.len());
        write!(f, "wanted: {wanted}, stands: {stands}, orders: {counts:?}, closed: {closed}")
    }
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
            is_called: AtomicBool::new(false),
            ignore_guest_panic,
            migration: Migration::default(),
            inputs: Mutex::default(),
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

    /// Calls all vCPUs out of their engines. Under the virtual clock nobody is called out of a turn: they come back behind a
    /// round, so that a run with a rest is the run without.
    fn call(&self, is_virtual: bool) {
        self.is_called.store(true, SeqCst);
        self.rest_changed.notify_all();
        if !is_virtual {
            (0..self.slots.len()).for_each(|index| self.memory.hub().mailbox(index).raise(pending::STOP));
        }
        self.note_activity();
    }

    /// All vCPUs are to rest until [`Shared::resume`].
    pub(crate) fn call_rest(&self, is_virtual: bool) {
        lock(&self.rest).wanted = true;
        self.call(is_virtual);
    }

    /// Waits until they do, or have been busy with something long for a while.
    pub(crate) fn wait_for_rest(&self) {
        let busy = |rest: &mut Rest| rest.wanted && !rest.stands && !rest.closed && !self.is_ending();
        drop(self.rest_changed.wait_timeout_while(lock(&self.rest), PAUSE_WAIT, busy));
    }

    /// They go on.
    pub(crate) fn resume(&self) {
        self.resume_unless(|| false);
    }

    /// They go on, unless this is so when nobody can change it.
    pub(crate) fn resume_unless(&self, stays: impl FnOnce() -> bool) {
        let mut rest = lock(&self.rest);
        rest.wanted &= stays();
        drop(rest);
        self.rest_changed.notify_all();
    }

    /// Whether all vCPUs are to rest.
    pub(crate) fn is_paused(&self) -> bool {
        lock(&self.rest).wanted
    }

    /// Whether vCPUs are to come out of their engines, and out of [`Runner::run`](crate::run::Runner::run).
    pub(crate) fn is_called(&self) -> bool {
        self.is_called.load(SeqCst)
    }

    /// The machine is to do this as soon as no vCPU executes anything. It is dropped if there will be no such time.
    pub(crate) fn order(&self, order: Order, is_virtual: bool) {
        let mut rest = lock(&self.rest);
        if !rest.closed {
            rest.orders.push_back(order);
            drop(rest);
            self.call(is_virtual);
        }
    }

    /// As [`Shared::order`], under the virtual clock, behind the first round that ends at `ns` or later.
    pub(crate) fn order_at(&self, ns: u64, order: Order) {
        lock(&self.rest).due.push((ns, order));
    }

    /// The time of the first order that is for a time.
    pub(crate) fn first_due_ns(&self) -> Option<u64> {
        lock(&self.rest).due.iter().map(|(ns, _)| *ns).min()
    }

    /// Gives the orders whose time has come.
    pub(crate) fn order_due(&self, now_ns: u64) {
        let mut rest = lock(&self.rest);
        while let Some(place) = rest.due.iter().position(|(ns, _)| *ns <= now_ns) {
            let (_, order) = rest.due.remove(place);
            rest.orders.push_back(order);
            self.is_called.store(true, SeqCst);
        }
    }

    /// No vCPU runs: waits for the next order. `None`: the vCPUs go on, or the run ends.
    pub(crate) fn next_order(&self) -> Option<Order> {
        let mut rest = lock(&self.rest);
        rest.stands = true;
        self.rest_changed.notify_all();
        loop {
            if self.is_ending() || rest.orders.is_empty() && !rest.wanted {
                break;
            }
            if let Some(order) = rest.orders.pop_front() {
                return Some(order);
            }
            rest = self.rest_changed.wait(rest).unwrap_or_else(PoisonError::into_inner);
        }
        rest.stands = false;
        // What is still wanted when a run ends is wanted of the next one.
        self.is_called.store(rest.wanted || !rest.orders.is_empty(), SeqCst);
        for (index, slot) in self.slots.iter().enumerate() {
            let state = lock(&slot.state);
            if !state.system_reset && !self.is_ending() {
                self.memory.hub().mailbox(index).lower(pending::STOP);
            }
        }
        // An end that came meanwhile has raised its bits behind these.
        if self.is_ending() {
            (0..self.slots.len()).for_each(|index| self.memory.hub().mailbox(index).raise(pending::STOP));
        }
        None
    }

    /// A console has input: told at once, or when the machine goes on.
    pub(crate) fn input(&self, notifier: &InputNotifier) {
        let mut inputs = lock(&self.inputs);
        if inputs.open {
            notifier();
        } else if !inputs.held.iter().any(|held| Arc::ptr_eq(held, notifier)) {
            inputs.held.push(notifier.clone());
        }
    }

    /// Whether input is told at once. Behind a `false` nobody is telling any more.
    pub(crate) fn open_inputs(&self, open: bool) {
        let mut inputs = lock(&self.inputs);
        inputs.open = open;
        if open {
            inputs.held.drain(..).for_each(|notifier| notifier());
        }
    }

    /// There will be no further run. Orders that nobody took are dropped.
    pub(crate) fn close(&self) {
        let mut rest = lock(&self.rest);
        rest.closed = true;
        let left = (std::mem::take(&mut rest.orders), std::mem::take(&mut rest.due));
        drop(rest);
        drop(left);
        self.rest_changed.notify_all();
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

/// Section of [`Shared`].
pub(crate) const PARTITION: SectionId = SectionId::new("partition");

/// How all vCPUs translate: the beginning of its section, which can be read alone.
#[derive(Debug, Default)]
pub(crate) struct TranslationOfAll {
    pub table: ProcessTable,
    /// LPCR of vCPUs that start.
    pub lpcr: u64,
}

impl TranslationOfAll {
    /// Saves or loads it.
    ///
    /// # Errors
    /// What cannot be.
    pub fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let TranslationOfAll { table: ProcessTable { radix, base_ra, size_shift, registered }, lpcr } = self;
        io.bool("whether trees are radix trees", radix)?;
        io.u64("the place of the process table", base_ra)?;
        io.u8("the size of the process table", size_shift)?;
        io.bool("whether there is a process table", registered)?;
        io.u64("LPCR of vCPUs that start", lpcr)
    }
}

impl Section for Shared {
    fn id(&self) -> SectionId {
        PARTITION
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        const STATES: [RunState; 4] = [RunState::Stopped, RunState::Running, RunState::Ceded, RunState::Joined];
        let Shared {
            memory,
            slots,
            process_table,
            lpcr,
            // Of the machine, or of this run of it.
            lpcr_reset: _,
            changing_all: _,
            ending: _,
            is_ending: _,
            activity: _,
            active: _,
            topology: _,
            rest: _,
            rest_changed: _,
            is_called: _,
            ignore_guest_panic: _,
            migration: _,
            // They wait in the console, and are told when the machine goes on.
            inputs: _,
        } = self;
        let mut translation = TranslationOfAll { table: *lock(process_table), lpcr: lpcr.load(SeqCst) };
        translation.fields(io)?;
        *lock(process_table) = translation.table;
        lpcr.store(translation.lpcr, SeqCst);
        io.fixed("the number of vCPUs", slots.len() as u64)?;
        // The level of a line is the interrupt controller's.
        for (index, Slot { state, line: _ }) in slots.iter().enumerate() {
            let mut state = lock(state);
            let SlotState { run, start, prodded, system_reset } = &mut *state;
            io.one_of("the state of a vCPU", run, &STATES)?;
            let mut request = start.map(|StartRequest { entry, r3, from }| (entry, r3, from));
            io.option("a start", &mut request, |io, (entry, r3, from)| {
                io.u64("the entry of a start", entry)?;
                io.u64("r3 of a start", r3)?;
                io.index("who starts", from, slots.len())
            })?;
            *start = request.map(|(entry, r3, from)| StartRequest { entry, r3, from });
            io.bool("a prod", prodded)?;
            io.bool("a system reset", system_reset)?;
            if io.is_load() {
                let bits = [(start.is_some() || *prodded, pending::PROD), (*system_reset, pending::STOP)];
                let bits = bits.into_iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit);
                memory.hub().mailbox(index).lower(pending::PROD | pending::STOP);
                memory.hub().mailbox(index).raise(bits);
            }
        }
        Ok(())
    }
}
