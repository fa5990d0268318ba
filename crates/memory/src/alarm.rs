//! When vCPUs are to look at the clock. Code that counts no instructions does not come back by itself to see that a
//! decrementer has expired: a thread of its own, under the real clock, tells it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// No time.
const NEVER: u64 = u64::MAX;

/// Times at which vCPUs are to look.
#[derive(Debug)]
pub struct Alarm {
    /// Time base, by vCPU.
    due: Box<[AtomicU64]>,
    /// What the thread waits for: who sets an earlier time wakes it. 0 without a thread.
    next: AtomicU64,
    closing: Mutex<bool>,
    changed: Condvar,
}

impl Alarm {
    /// For so many vCPUs.
    pub(crate) fn new(vcpus: usize) -> Alarm {
        Alarm {
            due: (0..vcpus).map(|_| AtomicU64::new(NEVER)).collect(),
            next: AtomicU64::new(0),
            closing: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// vCPU `index` is to look when the time base is `at`, instead of the time that was set last.
    ///
    /// # Panics
    /// If there is no such vCPU.
    pub fn set(&self, index: usize, at: u64) {
        self.due[index].store(at, SeqCst);
        // The thread stores what it is to wait for and then looks at what is due, in the same order: one of both sees the
        // other. It does so under the lock, which it gives up only to wait.
        if at < self.next.load(SeqCst) {
            drop(self.lock());
            self.changed.notify_all();
        }
    }

    /// Calls `tell` for each vCPU whose time has come, until [`Alarm::end`].
    pub(crate) fn ring(&self, timebase: &dyn Fn() -> u64, wait_for: &dyn Fn(u64) -> Duration, tell: &dyn Fn(usize)) {
        let mut closing = self.lock();
        while !*closing {
            let now = timebase();
            for (index, due) in self.due.iter().enumerate() {
                let at = due.load(SeqCst);
                if at <= now && due.compare_exchange(at, NEVER, SeqCst, SeqCst).is_ok() {
                    tell(index);
                }
            }
            let first = || self.due.iter().map(|due| due.load(SeqCst)).min().unwrap_or(NEVER);
            let next = first();
            self.next.store(next, SeqCst);
            if first() < next {
                continue;
            }
            closing = if next == NEVER {
                self.changed.wait(closing).unwrap_or_else(PoisonError::into_inner)
            } else {
                self.changed.wait_timeout(closing, wait_for(next)).unwrap_or_else(PoisonError::into_inner).0
            };
        }
        *closing = false;
        self.next.store(0, SeqCst);
    }

    /// Ends [`Hub::ring`](crate::mail::Hub::ring), now or as soon as it begins.
    pub fn end(&self) {
        *self.lock() = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc;

    /// A clock that the test moves. Times in ticks of 1 ms of the host, of which none is long.
    #[test]
    fn each_is_told_when_its_time_has_come() {
        let alarm = Alarm::new(3);
        let now = AtomicU64::new(10);
        let over = AtomicBool::new(false);
        let (told, hears) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let told = told;
                alarm.ring(&|| now.load(SeqCst), &|_| Duration::from_millis(1), &|index| told.send(index).unwrap());
                over.store(true, SeqCst);
            });
            alarm.set(1, 20);
            alarm.set(2, 5);
            assert_eq!(hears.recv(), Ok(2), "its time was over when it was set");
            now.store(19, SeqCst);
            assert!(hears.recv_timeout(Duration::from_millis(20)).is_err());
            now.store(20, SeqCst);
            assert_eq!(hears.recv(), Ok(1));
            // Nothing is due: it sleeps, and is woken by what is set.
            alarm.set(0, 21);
            now.store(25, SeqCst);
            assert_eq!(hears.recv(), Ok(0));
            // Another time instead of the first.
            alarm.set(0, 30);
            alarm.set(0, 40);
            now.store(35, SeqCst);
            assert!(hears.recv_timeout(Duration::from_millis(20)).is_err());
            now.store(40, SeqCst);
            assert_eq!(hears.recv(), Ok(0));
            assert!(!over.load(SeqCst));
            alarm.end();
        });
        assert!(over.load(SeqCst) && hears.try_recv().is_err());
    }

    #[test]
    fn it_ends_before_it_begins() {
        let alarm = Alarm::new(1);
        alarm.end();
        alarm.ring(&|| 0, &|_| Duration::ZERO, &|_| ());
        alarm.set(0, 1);
    }
}
