//! vCPUs at work: a host thread each under the real clock, all in turns on one thread under the virtual clock.
//!
//! A vCPU that does not execute guest code is *quiet* in its mailbox, so that nobody waits for it; it acts on its mail
//! before it executes guest code again. The bit [`pending::STOP`] calls a vCPU out of its engine; why, its slot and
//! [`Shared::ending`] say.

use crate::calling::{After, Calling, walker_table};
use crate::outside::{Ram, Time};
use crate::shared::{End, Ending, Shared, lock};
use cpu::bits::msr;
use cpu::{Interrupt, Vector};
use engine::{Engine, EngineExit};
use hypervisor::{DispatchInfo, Hypervisor};
use memory::mail::pending;
use platform::{Entropy, HcallContext, Mmio, Partition as _, RunState, StartRequest};
use snapshot::{FieldError, Io};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;
use vcpu::Vcpu;

/// Instructions that a vCPU executes in its turn under the virtual clock.
const TURN_INSTRUCTIONS: u64 = 20_000;
/// Instructions asked for at a time under the real clock; the engine itself looks at clock and mailbox all the while.
const RUN_INSTRUCTIONS: u64 = 1 << 40;
/// The interpreter's frames are small, but a debug build's are not.
const STACK_BYTES: usize = 8 << 20;

/// A vCPU's thread panicked; the number is its index.
pub(crate) struct Panicked(pub usize);

/// What vCPU 0 finds at the first instruction, beside what every vCPU that is started finds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BootRegisters {
    /// End of the stack, if it is given one.
    pub r1: u64,
    /// Where the kernel was loaded, or the size of the initrd.
    pub r4: u64,
    /// Entry of Open Firmware's client interface; 0: there is none.
    pub r5: u64,
    /// MSR\[LE\].
    pub little_endian: bool,
}

/// What the vCPUs' threads work with.
pub(crate) struct Runner {
    pub shared: Arc<Shared>,
    pub hypervisor: Arc<Hypervisor>,
    pub clock: Arc<timing::Clock>,
    pub ram: Ram,
    pub mmio: Arc<dyn Mmio>,
    pub firmware: Arc<crate::firmware::Firmware>,
    pub time: Time,
    pub entropy: Arc<dyn Entropy>,
    /// For the first start after power-on.
    pub boot: Mutex<Option<BootRegisters>>,
    /// When a vCPU was about to execute the first instruction.
    pub began: OnceLock<SystemTime>,
}

/// A vCPU asleep in `H_CEDE` or `H_JOIN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sleep {
    /// Bits of the mailbox that wake it.
    wanted: u32,
    /// Timebase at the start.
    since: u64,
}

impl Sleep {
    /// The sleep of a vCPU as its MSR stands.
    fn of(vcpu: &Vcpu, since: u64) -> Sleep {
        // A look at the clock is taken whenever the sleep is looked at.
        let interrupts = vcpu.pending_mask & !(pending::MAIL | pending::LOOK);
        Sleep { wanted: interrupts | pending::PROD | pending::STOP, since }
    }
}

/// Marks a vCPU's thread as ended however it ends: nobody may wait for its mail any more, and after a panic the others
/// must not run on for ever.
struct Leaving<'a> {
    shared: &'a Shared,
    index: usize,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.shared.memory.hub().mailbox(self.index).set_quiet(true);
        if std::thread::panicking() {
            self.shared.end(Ending::End(End::Quit(format!("the thread of vCPU {} panicked", self.index))));
        }
    }
}

impl Runner {
    /// Runs all vCPUs from where they stand until [`Shared::ending`] says why not to, or somebody wants a pause, and gives
    /// them back in their order. They are quiet then, and execute nothing.
    pub fn run(&self, mut engines: Vec<(Engine, Turn)>) -> Result<Vec<(Engine, Turn)>, Panicked> {
        if self.clock.is_virtual() {
            self.run_in_turns(&mut engines);
            return Ok(engines);
        }
        std::thread::scope(|scope| {
            let watch = std::thread::Builder::new().name("watchdog".into());
            if let Err(error) = watch.spawn_scoped(scope, || self.watch()) {
                let reason = format!("the host starts no thread for the watchdogs: {error}");
                self.shared.end(Ending::End(End::Quit(reason)));
            }
            let alarm = std::thread::Builder::new().name("alarm".into());
            if let Err(error) = alarm.spawn_scoped(scope, || self.ring()) {
                let reason = format!("the host starts no thread for the vCPUs' clocks: {error}");
                self.shared.end(Ending::End(End::Quit(reason)));
            }
            let mut threads = Vec::new();
            for (index, (mut engine, mut turn)) in engines.into_iter().enumerate() {
                let builder = std::thread::Builder::new().name(format!("vcpu{index}")).stack_size(STACK_BYTES);
                let work = move || {
                    self.run_thread(index, &mut engine, &mut turn);
                    (engine, turn)
                };
                match builder.spawn_scoped(scope, work) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        let reason = format!("the host starts no thread for vCPU {index}: {error}; use a smaller -smp");
                        self.shared.end(Ending::End(End::Quit(reason)));
                        break;
                    }
                }
            }
            let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>();
            self.hypervisor.end_watch();
            self.shared.memory.hub().alarm().end();
            joined.into_iter().enumerate().map(|(index, engine)| engine.map_err(|_| Panicked(index))).collect()
        })
    }

    /// Lets the guest's watchdogs expire, under the real clock.
    fn watch(&self) {
        let wait_for = |deadline| self.clock.wait_for(deadline).unwrap_or_default();
        self.hypervisor.watch(&|| self.clock.ticks(), &wait_for, &*self.shared);
    }

    /// Tells vCPUs when to look at the clock, under the real one.
    fn ring(&self) {
        let wait_for = |deadline| self.clock.wait_for(deadline).unwrap_or_default();
        self.shared.memory.hub().ring(&|| self.clock.ticks(), &wait_for);
    }

    /// The life of a vCPU's thread, from one pause to the next.
    fn run_thread(&self, index: usize, engine: &mut Engine, turn: &mut Turn) {
        let _leaving = Leaving { shared: &self.shared, index };
        let mailbox = self.shared.memory.hub().mailbox(index);
        if *turn == Turn::Running {
            self.resume(engine.vcpu());
        }
        loop {
            if self.shared.is_ending() || self.shared.is_called() {
                return;
            }
            match turn {
                Turn::Running | Turn::Conferred(_) => {}
                Turn::Asleep(sleep) => {
                    if self.sleep(engine.vcpu(), sleep) {
                        *turn = Turn::Running;
                    }
                    continue;
                }
                Turn::Stopped => match self.take_start(index) {
                    Some(request) => {
                        mailbox.set_quiet(false);
                        self.enter(engine.vcpu(), &request);
                        *turn = Turn::Running;
                    }
                    None => {
                        mailbox.sleep(pending::PROD | pending::STOP, None);
                        self.clear_stop(index);
                        continue;
                    }
                },
            }
            self.began.get_or_init(SystemTime::now);
            match engine.run(RUN_INSTRUCTIONS) {
                EngineExit::Budget => {}
                EngineExit::Stopped => self.called_out(engine.vcpu()),
                EngineExit::Hypercall => match self.hypercall(engine.vcpu()) {
                    After::GoOn => {}
                    // Whose thread the host runs next is the host's to say.
                    After::Yield(_) => {
                        self.deschedule(engine.vcpu());
                        mailbox.set_quiet(true);
                        std::thread::yield_now();
                        self.resume(engine.vcpu());
                        self.schedule(engine.vcpu());
                    }
                    After::Sleep(state) => {
                        if let Some(sleep) = self.begin_sleep(engine.vcpu(), state) {
                            *turn = Turn::Asleep(sleep);
                        }
                    }
                    After::Stop => {
                        self.stop(engine.vcpu());
                        *turn = Turn::Stopped;
                    }
                },
            }
        }
    }

    /// Sleeps the host's thread until something wakes the vCPU, or all are to pause. Whether it is awake.
    fn sleep(&self, vcpu: &mut Vcpu, sleep: &Sleep) -> bool {
        let mailbox = self.shared.memory.hub().mailbox(vcpu.index);
        mailbox.set_quiet(true);
        while !self.is_over(vcpu, sleep) {
            let timeout = (sleep.wanted & pending::DECREMENTER != 0).then(|| vcpu.time_to_decrementer());
            mailbox.sleep(sleep.wanted, timeout);
        }
        if self.shared.is_called() {
            return false;
        }
        self.resume(vcpu);
        self.end_sleep(vcpu, sleep);
        true
    }

    /// All vCPUs in turns, by their index, until the end. A pause is between two rounds: a run that goes on from there is
    /// the run that would have been.
    fn run_in_turns(&self, engines: &mut [(Engine, Turn)]) {
        while !self.shared.is_ending() {
            let seen = self.shared.activity();
            self.shared.order_due(self.clock.ns());
            if self.shared.is_called() {
                return;
            }
            let mut idle = true;
            for first in 0..engines.len() {
                let mut next = Some(first);
                // Whoever is given a turn has it at once; not more of them than there are vCPUs, so that each has its own.
                for _ in 0..=engines.len() {
                    let Some(index) = next.take() else { break };
                    if self.shared.is_ending() {
                        return;
                    }
                    let (engine, turn) = &mut engines[index];
                    if self.make_runnable(engine, turn) {
                        idle = false;
                        self.schedule(engine.vcpu());
                        self.take_turn(engine, turn);
                        next = self.end_turn(engine.vcpu(), turn);
                    }
                }
            }
            if idle && !self.skip_to_deadline(engines.iter_mut()) {
                self.shared.wait_for_activity(seen);
            }
        }
    }

    /// Whether the vCPU has something to execute; it is not quiet then.
    pub fn make_runnable(&self, engine: &mut Engine, turn: &mut Turn) -> bool {
        let vcpu = engine.vcpu();
        self.hypervisor.expire_watchdogs(self.clock.ticks(), &*self.shared);
        let index = vcpu.index;
        match turn {
            Turn::Running | Turn::Conferred(_) => self.resume(vcpu),
            Turn::Asleep(sleep) => {
                if !self.is_over(vcpu, sleep) {
                    return false;
                }
                self.resume(vcpu);
                self.end_sleep(vcpu, sleep);
            }
            Turn::Stopped => {
                let Some(request) = self.take_start(index) else {
                    self.clear_stop(index);
                    return false;
                };
                self.shared.memory.hub().mailbox(index).set_quiet(false);
                self.enter(vcpu, &request);
            }
        }
        *turn = Turn::Running;
        true
    }

    /// A vCPU that could go on waits for its next turn: for those who look at its yield count it is preempted. The vCPU
    /// that it gave its time to, if there is one.
    fn end_turn(&self, vcpu: &mut Vcpu, turn: &mut Turn) -> Option<usize> {
        let next = if let Turn::Conferred(to) = *turn { Some(to) } else { None };
        if matches!(turn, Turn::Running | Turn::Conferred(_)) {
            *turn = Turn::Running;
            self.deschedule(vcpu);
        }
        vcpu.mailbox().set_quiet(true);
        next
    }

    /// Its yield count becomes odd: it is not dispatched, though it could go on. Not where there is nobody to look.
    fn deschedule(&self, vcpu: &Vcpu) {
        if self.shared.vcpu_count() > 1 {
            self.hypervisor.on_preempt(vcpu.index, &self.ram);
        }
    }

    /// Its yield count becomes even.
    fn schedule(&self, vcpu: &Vcpu) {
        if self.shared.vcpu_count() > 1 {
            self.hypervisor.on_resume(vcpu.index, &self.ram);
        }
    }

    fn take_turn(&self, engine: &mut Engine, turn: &mut Turn) {
        self.began.get_or_init(SystemTime::now);
        let mut left = TURN_INSTRUCTIONS;
        while left > 0 && !self.shared.is_ending() {
            let before = engine.retired();
            let exit = engine.run(left);
            // What retires nothing takes from the turn too: no turn is for ever.
            left = left.saturating_sub((engine.retired() - before).max(1));
            if let Some(next) = self.act(engine, exit) {
                *turn = next;
                return;
            }
        }
    }

    /// Does what the engine came back for, under the virtual clock. `Some`: the vCPU's turn is over, and it stands so.
    pub fn act(&self, engine: &mut Engine, exit: EngineExit) -> Option<Turn> {
        match exit {
            EngineExit::Budget => None,
            EngineExit::Stopped => {
                self.called_out(engine.vcpu());
                None
            }
            EngineExit::Hypercall => match self.hypercall(engine.vcpu()) {
                After::GoOn => None,
                After::Yield(None) => Some(Turn::Running),
                After::Yield(Some(to)) => Some(Turn::Conferred(to)),
                After::Sleep(state) => self.begin_sleep(engine.vcpu(), state).map(Turn::Asleep),
                After::Stop => {
                    self.stop(engine.vcpu());
                    Some(Turn::Stopped)
                }
            },
        }
    }

    /// Moves the virtual clock to the first decrementer that wakes a sleeping vCPU, or to the first watchdog that expires, or
    /// without them to the first order that is for a time. False when there is none.
    pub fn skip_to_deadline<'a>(&self, engines: impl IntoIterator<Item = &'a mut (Engine, Turn)>) -> bool {
        let deadline = |(engine, turn): &mut (Engine, Turn)| match turn {
            Turn::Asleep(sleep) if sleep.wanted & pending::DECREMENTER != 0 => engine.vcpu().ticks_to_decrementer(),
            _ => None,
        };
        let watchdog = self.hypervisor.watchdog_deadline().map(|at| at.saturating_sub(self.clock.ticks()));
        let decrementer = engines.into_iter().filter_map(deadline).min();
        let now = self.clock.ns();
        let ns = match decrementer.into_iter().chain(watchdog).min() {
            Some(ticks) => timing::ns_until(now, ticks),
            None => match self.shared.first_due_ns() {
                Some(due) => due.saturating_sub(now),
                None => return false,
            },
        };
        self.clock.advance_ns(ns.max(1));
        true
    }

    /// What `start-cpu` left for a vCPU.
    fn take_start(&self, index: usize) -> Option<StartRequest> {
        let mut state = lock(&self.shared.slots[index].state);
        self.shared.memory.hub().mailbox(index).lower(pending::PROD);
        state.start.take()
    }

    /// Begins to execute: a vCPU that was stopped, not quiet any more.
    fn enter(&self, vcpu: &mut Vcpu, request: &StartRequest) {
        let index = vcpu.index;
        self.shared.with_line(index, || vcpu.reset());
        vcpu.set_lpcr(self.shared.lpcr());
        vcpu.set_pcr(vcpu.model.pcr(self.hypervisor.level().instructions()));
        vcpu.process_table = walker_table(&self.shared.process_table());
        vcpu.state.gpr[3] = request.r3;
        vcpu.state.nia = request.entry;
        // The first vCPU is entered as the kernel's file or Open Firmware says, the others big-endian whatever the caller
        // is (LoPAPR, `start-cpu`).
        let boot = lock(&self.boot).take();
        if let Some(boot) = boot {
            (vcpu.state.gpr[1], vcpu.state.gpr[4], vcpu.state.gpr[5]) = (boot.r1, boot.r4, boot.r5);
        }
        let endian = if boot.is_some_and(|boot| boot.little_endian) { msr::LE } else { 0 };
        vcpu.set_msr(msr::SF | msr::ME | endian);
        vcpu.begin_work();
        // What was changed while it was stopped: the last of it may have come after the looks above.
        vcpu.serve_mail();
    }

    /// Leaves quiet.
    fn resume(&self, vcpu: &mut Vcpu) {
        vcpu.mailbox().set_quiet(false);
        vcpu.serve_mail();
    }

    /// A vCPU stops; when it was the last one, nothing can ever happen again.
    fn stop(&self, vcpu: &mut Vcpu) {
        vcpu.end_work();
        let index = vcpu.index;
        let mailbox = self.shared.memory.hub().mailbox(index);
        mailbox.set_quiet(true);
        let mut state = lock(&self.shared.slots[index].state);
        state.run = RunState::Stopped;
        state.prodded = false;
        state.system_reset = false;
        mailbox.lower(pending::PROD);
        drop(state);
        if self.shared.all_stopped() {
            self.shared.end(Ending::End(End::AllStopped));
        }
    }

    /// `None` when something is there already that the vCPU would wait for.
    fn begin_sleep(&self, vcpu: &mut Vcpu, run: RunState) -> Option<Sleep> {
        let mut state = lock(&self.shared.slots[vcpu.index].state);
        if std::mem::take(&mut state.prodded) {
            vcpu.mailbox().lower(pending::PROD);
            state.run = RunState::Running;
            return None;
        }
        state.run = run;
        drop(state);
        vcpu.end_work();
        self.hypervisor.on_cede(vcpu.index, &self.ram);
        Some(Sleep::of(vcpu, self.clock.ticks()))
    }

    /// Whether what the vCPU waits for is there.
    fn is_over(&self, vcpu: &mut Vcpu, sleep: &Sleep) -> bool {
        vcpu.refresh_decrementer();
        vcpu.mailbox().pending() & sleep.wanted != 0
    }

    fn end_sleep(&self, vcpu: &mut Vcpu, sleep: &Sleep) {
        vcpu.begin_work();
        let mut state = lock(&self.shared.slots[vcpu.index].state);
        state.run = RunState::Running;
        if std::mem::take(&mut state.prodded) {
            vcpu.mailbox().lower(pending::PROD);
        }
        drop(state);
        let timebase = self.clock.ticks();
        let info = DispatchInfo {
            timebase,
            ready_ticks: 0,
            waiting_ticks: timebase.saturating_sub(sleep.since),
            nia: vcpu.state.nia,
            msr: vcpu.state.msr,
        };
        self.hypervisor.on_dispatch(vcpu.index, &self.ram, &info);
    }

    /// [`pending::STOP`]: the run ends, or a system reset is to be taken.
    fn called_out(&self, vcpu: &mut Vcpu) {
        if !self.clear_stop(vcpu.index) {
            return;
        }
        let r3 = vcpu.state.gpr[3];
        vcpu.take_interrupt(&Interrupt::new(Vector::SystemReset, vcpu.state.nia));
        if let Some(entry) = self.hypervisor.fwnmi_system_reset(vcpu.index, r3, &self.ram) {
            vcpu.state.nia = entry.nia;
            vcpu.state.gpr[3] = entry.r3;
        }
    }

    /// Lowers [`pending::STOP`], unless the run ends. Whether a system reset was asked for.
    fn clear_stop(&self, index: usize) -> bool {
        self.shared.memory.hub().mailbox(index).lower(pending::STOP);
        if self.shared.is_ending() {
            // Raised again: it was for this, and stays.
            self.shared.memory.hub().mailbox(index).raise(pending::STOP);
        }
        std::mem::take(&mut lock(&self.shared.slots[index].state).system_reset)
    }

    fn hypercall(&self, vcpu: &mut Vcpu) -> After {
        let mut calling = Calling { vcpu, shared: &self.shared, after: After::GoOn };
        self.hypervisor.hcall(&mut HcallContext {
            vcpu: &mut calling,
            partition: &*self.shared,
            memory: &self.ram,
            mmio: &*self.mmio,
            clock: &self.time,
            entropy: &*self.entropy,
        });
        calling.after
    }
}

/// Where a vCPU stands under the virtual clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Stopped,
    Asleep(Sleep),
    Running,
    /// The same, and it gave the rest of its turn to this vCPU.
    Conferred(usize),
}

impl Turn {
    /// Saves or loads where `vcpu`, which is saved or loaded already, stands.
    ///
    /// # Errors
    /// No such state.
    pub fn fields(&mut self, vcpu: &Vcpu, io: &mut Io<'_>) -> Result<(), FieldError> {
        let (mut state, mut since) = match self {
            Turn::Stopped => (0u8, 0),
            Turn::Asleep(Sleep { wanted: _, since }) => (1, *since),
            // Between two rounds, whoever was given a turn has had it.
            Turn::Running | Turn::Conferred(_) => (2, 0),
        };
        io.u8("what the vCPU does", &mut state)?;
        io.u64("the beginning of its sleep", &mut since)?;
        io.require("what the vCPU does", state, state <= 2, "0, 1 or 2")?;
        *self = match state {
            0 => Turn::Stopped,
            1 => Turn::Asleep(Sleep::of(vcpu, since)),
            _ => Turn::Running,
        };
        Ok(())
    }
}

impl BootRegisters {
    /// Saves or loads all of them.
    ///
    /// # Errors
    /// What cannot be.
    pub fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let BootRegisters { r1, r4, r5, little_endian } = self;
        [("r1", r1), ("r4", r4), ("r5", r5)].into_iter().try_for_each(|(name, value)| io.u64(name, value))?;
        io.bool("byte order", little_endian)
    }
}
