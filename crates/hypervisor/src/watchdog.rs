//! The partition's watchdogs: `H_WATCHDOG` (PAPR, platform watchdog timers).

use crate::Hypervisor;
use crate::table::lock;
use platform::papr::HcallStatus;
use platform::{HcallArgs, HcallContext, Partition, Shutdown};
use snapshot::{FieldError, Io};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How many there are, numbered from 1.
const WATCHDOGS: usize = 4;
/// Shortest timeout.
const TIMEOUT_MS_MIN: u64 = 1;
/// Ticks of the time base in a millisecond.
const TICKS_PER_MS: u64 = 512_000;

/// Flags: bits 0 to 46 are reserved.
const RESERVED: u64 = !0 << 17;
/// When it expires, the others go on.
const LEAVE_OTHERS: u64 = 1 << 16;
/// Bits 48 to 55: what to do; 56 to 63: what it does when it expires.
const OPERATION_SHIFT: u32 = 8;
const BYTE: u64 = 0xff;
const START: u64 = 1;
const STOP: u64 = 2;
const QUERY: u64 = 3;
const QUERY_MIGRATION: u64 = 4;
/// `watchdogNumber` of [`STOP`]: all.
const ALL: u64 = u64::MAX;
/// Answer to [`QUERY_MIGRATION`]: it need not be stopped before.
const MAY_RUN: u64 = 2;

/// What happens when nobody starts it again in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Action {
    #[default]
    PowerOff,
    Restart,
    /// A system reset of every vCPU: the guest dumps itself and restarts.
    Dump,
}

#[derive(Debug, Clone, Copy, Default)]
struct Watchdog {
    /// Time base.
    deadline: u64,
    action: Action,
    leave_others: bool,
}

#[derive(Debug, Default)]
struct State {
    running: [Option<Watchdog>; WATCHDOGS],
    /// [`Hypervisor::watch`] is to return.
    closing: bool,
}

impl State {
    fn deadline(&self) -> Option<u64> {
        self.running.iter().flatten().map(|watchdog| watchdog.deadline).min()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Watchdogs {
    state: Mutex<State>,
    changed: Condvar,
}

impl Watchdogs {
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut lock(&self.state));
        self.changed.notify_all();
        result
    }

    /// All are stopped.
    pub(crate) fn reset(&self) {
        self.change(|state| state.running = Default::default());
    }
}

impl Watchdogs {
    /// Saves or loads those that run.
    ///
    /// # Errors
    /// What cannot be.
    pub(crate) fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        const ACTIONS: [Action; 3] = [Action::PowerOff, Action::Restart, Action::Dump];
        let Watchdogs { state, changed: _ } = self;
        let mut state = lock(state);
        let State { running, closing: _ } = &mut *state;
        for watchdog in running {
            io.option("a watchdog", watchdog, |io, Watchdog { deadline, action, leave_others }| {
                io.u64("the deadline of a watchdog", deadline)?;
                io.one_of("what a watchdog does", action, &ACTIONS)?;
                io.bool("whether a watchdog leaves the others", leave_others)
            })?;
        }
        Ok(())
    }
}

/// Place of watchdog `number`.
fn place(number: u64) -> Option<usize> {
    usize::try_from(number).ok().filter(|number| (1..=WATCHDOGS).contains(number)).map(|number| number - 1)
}

/// Flags, number, timeout in milliseconds.
pub(crate) fn hcall(hypervisor: &Hypervisor, context: &mut HcallContext<'_>, args: &HcallArgs) -> HcallStatus {
    let &[flags, number, timeout_ms, ..] = args;
    if flags & RESERVED != 0 {
        return HcallStatus::H_PARAMETER;
    }
    let watchdogs = &hypervisor.watchdogs;
    match flags >> OPERATION_SHIFT & BYTE {
        START => {
            let Some(at) = place(number) else { return HcallStatus::H_P2 };
            if timeout_ms < TIMEOUT_MS_MIN {
                return HcallStatus::H_P3;
            }
            let action = match flags & BYTE {
                1 => Action::PowerOff,
                2 => Action::Restart,
                3 => Action::Dump,
                _ => return HcallStatus::H_PARAMETER,
            };
            let deadline = context.clock.timebase().saturating_add(timeout_ms.saturating_mul(TICKS_PER_MS));
            let leave_others = flags & LEAVE_OTHERS != 0;
            watchdogs.change(|state| state.running[at] = Some(Watchdog { deadline, action, leave_others }));
            HcallStatus::H_SUCCESS
        }
        STOP => {
            let which = match place(number) {
                _ if number == ALL => 0..WATCHDOGS,
                Some(at) => at..at + 1,
                None => return HcallStatus::H_P2,
            };
            let ran = |state: &mut State| state.running[which].iter_mut().filter_map(Option::take).count() != 0;
            if watchdogs.change(ran) { HcallStatus::H_SUCCESS } else { HcallStatus::H_NOOP }
        }
        QUERY => {
            context.vcpu.set_gpr(4, TIMEOUT_MS_MIN << 48 | (WATCHDOGS as u64) << 32);
            HcallStatus::H_SUCCESS
        }
        QUERY_MIGRATION => {
            if place(number).is_none() {
                return HcallStatus::H_P2;
            }
            context.vcpu.set_gpr(4, MAY_RUN);
            HcallStatus::H_SUCCESS
        }
        _ => HcallStatus::H_PARAMETER,
    }
}

impl Hypervisor {
    /// Time base at which the next watchdog expires.
    pub fn watchdog_deadline(&self) -> Option<u64> {
        lock(&self.watchdogs.state).deadline()
    }

    /// Does what the watchdogs do that have expired by `timebase`.
    pub fn expire_watchdogs(&self, timebase: u64, partition: &dyn Partition) {
        let expired = |state: &mut State| {
            let at = state.running.iter().position(|w| w.is_some_and(|w| w.deadline <= timebase))?;
            let watchdog = state.running[at].take()?;
            if !watchdog.leave_others {
                state.running = Default::default();
            }
            Some((at + 1, watchdog.action))
        };
        loop {
            // Not with the lock held: what follows may be anything.
            let Some((number, action)) = expired(&mut lock(&self.watchdogs.state)) else { return };
            tracing::warn!("the guest's watchdog {number} has expired: {action:?}");
            match action {
                Action::PowerOff => partition.request_shutdown(Shutdown::PowerOff),
                Action::Restart => partition.request_shutdown(Shutdown::Reboot),
                Action::Dump => (0..partition.vcpu_count()).for_each(|index| partition.system_reset(index)),
            }
        }
    }

    /// Lets watchdogs expire until [`Hypervisor::end_watch`], for a thread of its own. `timebase`: now; `wait_for`: how
    /// long until then, on the host.
    pub fn watch(&self, timebase: &dyn Fn() -> u64, wait_for: &dyn Fn(u64) -> Duration, partition: &dyn Partition) {
        let watchdogs = &self.watchdogs;
        let mut state = lock(&watchdogs.state);
        while !state.closing {
            state = match state.deadline() {
                Some(deadline) if deadline <= timebase() => {
                    drop(state);
                    self.expire_watchdogs(timebase(), partition);
                    lock(&watchdogs.state)
                }
                Some(deadline) => {
                    let waited = watchdogs.changed.wait_timeout(state, wait_for(deadline));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => watchdogs.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.closing = false;
    }

    /// Ends [`Hypervisor::watch`], now or as soon as it begins.
    pub fn end_watch(&self) {
        self.watchdogs.change(|state| state.closing = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::test_support::Rig;
    use platform::RunState;
    use platform::papr::opcode::H_WATCHDOG;
    use std::sync::atomic::Ordering::SeqCst;

    const START_RESTART: u64 = START << OPERATION_SHIFT | 2;
    const STOP_IT: u64 = STOP << OPERATION_SHIFT;

    fn shutdown(rig: &Rig) -> Option<Shutdown> {
        rig.world.partition.shutdown.lock().unwrap().clone()
    }

    #[test]
    fn arguments() {
        let rig = Rig::new("power9", &[]);
        let call = |args: &[u64]| rig.call(H_WATCHDOG, args);
        for bit in 17..64 {
            assert_eq!(call(&[START_RESTART | 1 << bit, 1, 1000]), HcallStatus::H_PARAMETER, "{bit}");
        }
        for operation in (0..=255).filter(|operation| !(START..=QUERY_MIGRATION).contains(operation)) {
            assert_eq!(call(&[operation << OPERATION_SHIFT | 1, 1, 1000]), HcallStatus::H_PARAMETER, "{operation}");
        }
        for number in [0, 5, 1 << 32 | 1, u64::MAX - 1] {
            assert_eq!(call(&[START_RESTART, number, 1000]), HcallStatus::H_P2, "{number:#x}");
            assert_eq!(call(&[STOP_IT, number]), HcallStatus::H_P2, "{number:#x}");
            assert_eq!(call(&[QUERY_MIGRATION << OPERATION_SHIFT, number]), HcallStatus::H_P2, "{number:#x}");
        }
        assert_eq!(call(&[START_RESTART, u64::MAX, 1000]), HcallStatus::H_P2);
        assert_eq!(call(&[START_RESTART, 1, 0]), HcallStatus::H_P3);
        for action in [0, 4, 255] {
            assert_eq!(call(&[START << OPERATION_SHIFT | action, 1, 1000]), HcallStatus::H_PARAMETER, "{action}");
        }
        assert_eq!(rig.hypervisor.watchdog_deadline(), None);
        let (status, registers) = rig.call_registers(H_WATCHDOG, &[QUERY << OPERATION_SHIFT]);
        assert_eq!((status.0, registers[4]), (0, 0x0001_0004_0000_0000));
        let (status, registers) = rig.call_registers(H_WATCHDOG, &[QUERY_MIGRATION << OPERATION_SHIFT, 4]);
        assert_eq!((status.0, registers[4]), (0, 2));
        assert!(rig.hypervisor.hypertas_functions().contains(&"hcall-watchdog"));
    }

    #[test]
    fn started_again_it_does_not_expire() {
        let rig = Rig::new("power9", &[]);
        let partition = &rig.world.partition;
        assert_eq!(rig.call(H_WATCHDOG, &[STOP_IT, 1]), HcallStatus::H_NOOP);
        assert_eq!(rig.call(H_WATCHDOG, &[START_RESTART, 1, 10]).0, 0);
        assert_eq!(rig.hypervisor.watchdog_deadline(), Some(10 * TICKS_PER_MS));
        rig.world.clock.timebase.store(9 * TICKS_PER_MS, SeqCst);
        rig.hypervisor.expire_watchdogs(9 * TICKS_PER_MS, partition);
        assert_eq!(rig.call(H_WATCHDOG, &[START_RESTART, 1, 10]).0, 0);
        rig.hypervisor.expire_watchdogs(18 * TICKS_PER_MS, partition);
        assert_eq!(shutdown(&rig), None);
        assert_eq!(rig.call(H_WATCHDOG, &[STOP_IT, 1]).0, 0);
        rig.hypervisor.expire_watchdogs(u64::MAX, partition);
        assert_eq!(shutdown(&rig), None);
        assert_eq!(rig.call(H_WATCHDOG, &[START_RESTART, 4, u64::MAX]).0, 0);
        assert_eq!(rig.call(H_WATCHDOG, &[STOP_IT, ALL]).0, 0);
        assert_eq!(rig.call(H_WATCHDOG, &[START_RESTART, 4, 1]).0, 0);
        rig.hypervisor.reset();
        assert_eq!(rig.hypervisor.watchdog_deadline(), None);
    }

    #[test]
    fn expired_it_acts_and_stops_the_others_unless_told_not_to() {
        for (flags, left) in [(0, None), (LEAVE_OTHERS, Some(20 * TICKS_PER_MS))] {
            let rig = Rig::new("power9", &[]);
            rig.world.partition.set_run_state(1, RunState::Ceded);
            assert_eq!(rig.call(H_WATCHDOG, &[START << OPERATION_SHIFT | 1, 1, 20]).0, 0);
            assert_eq!(rig.call(H_WATCHDOG, &[START << OPERATION_SHIFT | 3 | flags, 2, 10]).0, 0);
            rig.hypervisor.expire_watchdogs(10 * TICKS_PER_MS, &rig.world.partition);
            assert_eq!([0, 1, 2].map(|index| rig.world.partition.system_resets(index)), [1, 1, 0]);
            assert_eq!(rig.hypervisor.watchdog_deadline(), left);
            rig.hypervisor.expire_watchdogs(20 * TICKS_PER_MS, &rig.world.partition);
            assert_eq!(shutdown(&rig), left.map(|_| Shutdown::PowerOff));
        }
    }

    #[test]
    fn the_thread_that_watches_hears_of_starts_and_of_the_end() {
        let rig = Rig::new("power9", &[]);
        let now = || rig.world.clock.timebase.load(SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| rig.hypervisor.watch(&now, &|_| Duration::from_millis(1), &rig.world.partition));
            assert_eq!(rig.call(H_WATCHDOG, &[START_RESTART, 3, 10]).0, 0);
            rig.world.clock.timebase.store(10 * TICKS_PER_MS, SeqCst);
            while shutdown(&rig).is_none() {
                std::thread::yield_now();
            }
            rig.hypervisor.end_watch();
        });
        assert_eq!(shutdown(&rig), Some(Shutdown::Reboot));
    }
}
