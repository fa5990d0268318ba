//! The threads of a core: doorbells between them, and what each has used of the core (Power ISA 3.0B, Book III, 11.3
//! and 6.7).

use crate::Vcpu;
use memory::mail::pending;
use snapshot::{FieldError, Io};
use std::sync::{Arc, Mutex, PoisonError};

/// A tick in the unit that shares are counted in: each number of threads up to 8 divides it.
const SHARES_PER_TICK: u128 = 840;

/// More than any core has worked: sums of such shares do not overflow.
const SHARES_MAX: u128 = 1 << 100;

/// What the threads of a core have in common.
#[derive(Debug)]
pub struct Core {
    /// Index of the vCPU that is thread 0.
    first: usize,
    /// Number of threads, 1 to 8.
    threads: usize,
    used: Mutex<Used>,
}

/// How long the core has worked for each of its threads that work.
#[derive(Debug, Default)]
struct Used {
    /// Threads that work now.
    active: u32,
    /// Time base when their number changed last.
    since: u64,
    /// What a thread would have got that worked all the time until then.
    share: u128,
}

impl Used {
    fn share_at(&self, now: u64) -> u128 {
        // Clocks of two threads may be read in one order and compared in the other.
        let ticks = u128::from(now.saturating_sub(self.since));
        self.share + ticks * SHARES_PER_TICK / u128::from(self.active.max(1))
    }

    fn change(&mut self, now: u64, active: u32) -> u128 {
        self.share = self.share_at(now);
        self.since = self.since.max(now);
        self.active = active;
        self.share
    }
}

impl Core {
    /// A core of `threads` threads (1 to 8), of which vCPU `first` is thread 0. None of them works yet.
    pub fn new(first: usize, threads: usize) -> Core {
        Core { first, threads, used: Mutex::default() }
    }

    /// Index of the vCPU that is thread `tir`.
    fn vcpu_of(&self, tir: u64) -> Option<usize> {
        (tir < self.threads as u64).then(|| self.first + tir as usize)
    }

    fn used<R>(&self, f: impl FnOnce(&mut Used) -> R) -> R {
        f(&mut self.used.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What one thread has used of its core.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Until it stopped last.
    used: u128,
    /// Share of the core when it began; `None`: it does not work.
    began: Option<u128>,
}

impl Core {
    /// Saves or loads what its threads have used of it.
    ///
    /// # Errors
    /// What cannot be.
    pub fn snapshot(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Core { first, threads, used } = self;
        io.fixed("the first thread", *first as u64)?;
        io.fixed("the number of threads", *threads as u64)?;
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        let Used { active, since, share } = &mut *used;
        io.u32("the number of threads that work", active)?;
        io.require(
            "the number of threads that work",
            *active,
            *active <= *threads as u32,
            format_args!("{threads} at most"),
        )?;
        io.u64("the time of the last change", since)?;
        io.u128("the share of a thread", share)?;
        io.require("the share of a thread", *share, *share < SHARES_MAX, "less than 2^100")
    }
}

impl Usage {
    pub(crate) fn fields(&mut self, io: &mut Io<'_>) -> Result<(), FieldError> {
        let Usage { used, began } = self;
        io.u128("what was used of the core", used)?;
        io.require("what was used of the core", *used, *used < SHARES_MAX, "less than 2^100")?;
        io.option("the share at the beginning", began, |io, began| {
            io.u128("the share at the beginning", began)?;
            // No share is smaller later.
            io.require("the share at the beginning", *began, *began < SHARES_MAX, "less than 2^100")
        })
    }
}

impl Vcpu {
    /// Makes it a thread of `core`, at its place.
    pub fn join_core(&mut self, core: Arc<Core>) {
        self.core = core;
        self.usage = Usage::default();
    }

    /// TIR: its number within the core.
    pub fn tir(&self) -> u64 {
        (self.index - self.core.first) as u64
    }

    /// From now on it works: it is dispatched.
    pub fn begin_work(&mut self) {
        if self.usage.began.is_none() {
            let now = self.time_base();
            self.usage.began = Some(self.core.used(|used| used.change(now, used.active + 1)));
        }
    }

    /// From now on it does not work: it is stopped, or has ceded its processor.
    pub fn end_work(&mut self) {
        if let Some(began) = self.usage.began.take() {
            let now = self.time_base();
            self.usage.used +=
                self.core.used(|used| used.change(now, used.active.saturating_sub(1))).saturating_sub(began);
        }
    }

    /// PURR, and SPURR, since nothing runs slower or faster than it should: time base ticks, divided among the threads of
    /// the core that worked at the time.
    pub fn purr(&self) -> u64 {
        let now = self.time_base();
        let current =
            self.usage.began.map_or(0, |began| self.core.used(|used| used.share_at(now)).saturating_sub(began));
        ((self.usage.used + current) / SHARES_PER_TICK) as u64
    }

    /// DPDES: bit 63-t tells whether a doorbell is pending for thread t of the core.
    pub fn dpdes(&self) -> u64 {
        let pending = |tir: usize| {
            let bits = self.memory.hub().mailbox(self.core.first + tir).pending();
            u64::from(bits & pending::DOORBELL != 0) << tir
        };
        (0..self.core.threads).map(pending).sum()
    }

    /// `msgsndp`: a doorbell for thread `tir` of the core, if there is one.
    pub fn ring(&self, tir: u64) {
        if let Some(index) = self.core.vcpu_of(tir) {
            self.memory.hub().mailbox(index).raise(pending::DOORBELL);
        }
    }

    /// `msgclrp`: no doorbell for this thread any more.
    pub fn silence(&self) {
        self.mailbox().lower(pending::DOORBELL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Silent;
    use cpu::model::POWER9;
    use memory::Memory;
    use timing::Clock;

    fn core(first: usize, threads: usize) -> (Vec<Vcpu>, Arc<Clock>) {
        let memory = Arc::new(Memory::new(1 << 16, first + threads).unwrap());
        let clock = Arc::new(Clock::virtual_time(0));
        let core = Arc::new(Core::new(first, threads));
        let thread = |index| {
            let mut vcpu = Vcpu::new(index, &POWER9, memory.clone(), clock.clone(), Arc::new(Silent));
            vcpu.join_core(core.clone());
            vcpu
        };
        ((first..first + threads).map(thread).collect(), clock)
    }

    #[test]
    fn doorbells_stay_in_the_core() {
        let (threads, _) = core(4, 4);
        assert_eq!(threads.iter().map(Vcpu::tir).collect::<Vec<_>>(), [0, 1, 2, 3]);
        for wild in [4, 5, 0x7F, u64::MAX] {
            threads[0].ring(wild);
        }
        assert_eq!(threads[0].dpdes(), 0);
        threads[0].ring(3);
        threads[3].ring(1);
        threads[1].ring(1);
        assert!(threads.iter().all(|thread| thread.dpdes() == 0b1010));
        threads[0].silence();
        threads[3].silence();
        assert_eq!(threads[2].dpdes(), 0b0010);
        let outside = threads[0].memory.hub().mailbox(0).pending();
        assert_eq!(outside & pending::DOORBELL, 0);
    }

    #[test]
    fn threads_share_the_time_of_their_core() {
        let (mut threads, clock) = core(0, 2);
        let pass = |ticks: u64| clock.advance_ns(timing::ns_until(clock.ns(), ticks));
        let purr = |threads: &[Vcpu]| [threads[0].purr(), threads[1].purr()];
        pass(512);
        assert_eq!(purr(&threads), [0, 0]);
        threads[0].begin_work();
        pass(512);
        let alone = purr(&threads);
        assert_eq!(alone, [512, 0]);
        threads[1].begin_work();
        pass(1024);
        assert_eq!(purr(&threads), [512 + 512, 512]);
        threads[0].end_work();
        threads[0].end_work();
        pass(512);
        assert_eq!(purr(&threads), [1024, 1024]);
        threads[0].begin_work();
        threads[0].begin_work();
        pass(512);
        assert_eq!(purr(&threads), [1280, 1280]);
    }
}
