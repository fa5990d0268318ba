//! The clock: time base and wall clock, real or virtual.
//!
//! Time enters the machine here and nowhere else. Under the real clock the time base follows the
//! host; under the virtual clock it follows the count of retired instructions, so that the same run
//! sees the same times.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Ticks of the time base per second: what the device tree announces.
pub const TIMEBASE_HZ: u64 = 512_000_000;
/// Virtual nanoseconds that one retired instruction takes.
pub const VIRTUAL_NS_PER_INSTRUCTION: u64 = 1;

/// The source of all time of one machine.
#[derive(Debug)]
pub struct Clock {
    kind: Kind,
    /// Wall-clock time at machine start, nanoseconds since 1970.
    start_wall_ns: AtomicU64,
}

#[derive(Debug)]
enum Kind {
    Real {
        start: Instant,
        /// Nanoseconds of the run that this one goes on from.
        before_ns: AtomicU64,
        /// Nanoseconds that the clock stood still.
        stood_still: AtomicU64,
        /// Where it stands still; [`GOES`]: nowhere.
        stands_at: AtomicU64,
    },
    Virtual {
        ns: AtomicU64,
    },
}

/// The clock goes.
const GOES: u64 = u64::MAX;

/// Time base ticks of a span in nanoseconds.
pub const fn ns_to_ticks(ns: u64) -> u64 {
    // 512 ticks a microsecond, without overflow for any span.
    (ns / 125) * 64 + (ns % 125) * 64 / 125
}

/// Nanoseconds until `ticks` have passed, rounded up.
pub const fn ticks_to_ns(ticks: u64) -> u64 {
    if ticks > u64::MAX / 125 * 64 - 64 {
        u64::MAX
    } else {
        (ticks / 64).saturating_mul(125) + ((ticks % 64) * 125).div_ceil(64)
    }
}

/// Nanoseconds from `now_ns` until the time base is `ticks` further. Exact: where in a tick `now_ns` lies counts.
pub const fn ns_until(now_ns: u64, ticks: u64) -> u64 {
    ticks_to_ns(ns_to_ticks(now_ns).saturating_add(ticks)).saturating_sub(now_ns)
}

impl Clock {
    /// A clock that follows the host. `start_wall_ns`: wall-clock time to start from, the host's if
    /// `None`.
    pub fn real(start_wall_ns: Option<u64>) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let kind = Kind::Real {
            start: Instant::now(),
            before_ns: AtomicU64::new(0),
            stood_still: AtomicU64::new(0),
            stands_at: AtomicU64::new(GOES),
        };
        Clock { kind, start_wall_ns: AtomicU64::new(start_wall_ns.unwrap_or(now)) }
    }

    /// A clock that only [`Clock::advance_ns`] moves.
    pub fn virtual_time(start_wall_ns: u64) -> Self {
        Clock { kind: Kind::Virtual { ns: AtomicU64::new(0) }, start_wall_ns: AtomicU64::new(start_wall_ns) }
    }

    /// Whether time is virtual.
    pub fn is_virtual(&self) -> bool {
        matches!(self.kind, Kind::Virtual { .. })
    }

    /// Nanoseconds since the machine started.
    #[inline]
    pub fn ns(&self) -> u64 {
        match &self.kind {
            Kind::Real { start, before_ns, stood_still, stands_at } => match stands_at.load(Acquire) {
                GOES => before_ns
                    .load(Relaxed)
                    .wrapping_add((start.elapsed().as_nanos() as u64).saturating_sub(stood_still.load(Relaxed))),
                ns => ns,
            },
            Kind::Virtual { ns } => ns.load(Relaxed),
        }
    }

    /// The real clock stands still until [`Clock::resume`]. Nothing under the virtual clock.
    pub fn pause(&self) {
        if let Kind::Real { stands_at, .. } = &self.kind {
            stands_at.store(self.ns(), Release);
        }
    }

    /// The real clock goes on from where it stood.
    pub fn resume(&self) {
        if let Kind::Real { start, before_ns, stood_still, stands_at } = &self.kind {
            let ns = stands_at.load(Acquire);
            if ns != GOES {
                stood_still.store(
                    (start.elapsed().as_nanos() as u64).saturating_sub(ns.wrapping_sub(before_ns.load(Relaxed))),
                    Relaxed,
                );
                stands_at.store(GOES, Release);
            }
        }
    }

    /// Moves virtual time on; nothing under the real clock.
    #[inline]
    pub fn advance_ns(&self, by: u64) {
        if let Kind::Virtual { ns } = &self.kind {
            ns.fetch_add(by, Relaxed);
        }
    }

    /// The time base now, in ticks.
    #[inline]
    pub fn ticks(&self) -> u64 {
        ns_to_ticks(self.ns())
    }

    /// Wall-clock time now, nanoseconds since 1970.
    pub fn wall_ns(&self) -> u64 {
        self.start_wall_ns.load(Relaxed).wrapping_add(self.ns())
    }

    /// Goes on from a time of another run: `ns` since its start, which was at `start_wall_ns`. A virtual clock takes over
    /// both. A real one shows the date that it would have shown, and only the span since the start is the other run's. Not
    /// while it stands still.
    pub fn go_on_from(&self, ns: u64, start_wall_ns: u64) {
        match &self.kind {
            Kind::Virtual { ns: now } => {
                now.store(ns, Relaxed);
                self.start_wall_ns.store(start_wall_ns, Relaxed);
            }
            Kind::Real { before_ns, .. } => {
                let further = ns.wrapping_sub(self.ns());
                before_ns.fetch_add(further, Relaxed);
                self.start_wall_ns.fetch_sub(further, Relaxed);
            }
        }
    }

    /// Wall-clock time at the start, nanoseconds since 1970.
    pub fn start_wall_ns(&self) -> u64 {
        self.start_wall_ns.load(Relaxed)
    }

    /// How long the host must wait until the time base reaches `ticks`: zero if it has, `None` under
    /// the virtual clock (nobody waits there).
    pub fn wait_for(&self, ticks: u64) -> Option<Duration> {
        if self.is_virtual() {
            return None;
        }
        Some(Duration::from_nanos(ticks_to_ns(ticks.saturating_sub(self.ticks()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_agree() {
        for (ns, ticks) in [(0, 0), (125, 64), (1_000_000_000, TIMEBASE_HZ), (2, 1), (1, 0)] {
            assert_eq!(ns_to_ticks(ns), ticks);
        }
        for ticks in [0, 1, 63, 64, 65, 512, 1 << 40] {
            assert!(ns_to_ticks(ticks_to_ns(ticks)) >= ticks, "{ticks}");
            assert!(ticks == 0 || ns_to_ticks(ticks_to_ns(ticks) - 2) < ticks, "{ticks}");
        }
        assert!(ticks_to_ns(u64::MAX) > 1 << 62);
        for now in 0..300 {
            for ticks in [1, 2, 63, 64, 1000, u64::MAX] {
                let until = ns_until(now, ticks);
                let reached = |ns| ns_to_ticks(ns) - ns_to_ticks(now) >= ticks;
                assert!(until >= 1 << 62 || (reached(now + until) && !reached(now + until - 1)), "{now} {ticks}");
            }
        }
    }

    #[test]
    fn virtual_time_moves_only_when_told() {
        let c = Clock::virtual_time(5);
        assert_eq!((c.ticks(), c.wall_ns()), (0, 5));
        c.advance_ns(1000);
        assert_eq!((c.ticks(), c.wall_ns()), (512, 1005));
        assert_eq!(c.wait_for(9999), None);
    }

    #[test]
    fn time_goes_on_where_another_run_was() {
        let clock = Clock::virtual_time(5);
        clock.go_on_from(1_000, 7);
        clock.advance_ns(1);
        assert_eq!((clock.ns(), clock.wall_ns(), clock.start_wall_ns()), (1_001, 1_008, 7));
        let clock = Clock::real(Some(1 << 60));
        clock.go_on_from(1 << 50, 7);
        clock.pause();
        clock.resume();
        assert!(clock.ns() >= 1 << 50 && clock.ns() < (1 << 50) + (1 << 40));
        assert!(clock.wall_ns() >= 1 << 60 && clock.wall_ns() < (1 << 60) + (1 << 40));
    }

    #[test]
    fn a_clock_that_stood_still_goes_on_from_there() {
        let c = Clock::real(None);
        for _ in 0..2 {
            c.pause();
            c.pause();
            let ns = c.ns();
            std::thread::sleep(Duration::from_millis(30));
            assert_eq!(c.ns(), ns);
            c.resume();
            c.resume();
            assert!((ns..ns + 20_000_000).contains(&c.ns()));
        }
    }
}
