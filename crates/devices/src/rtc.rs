//! The real-time clock: the partition's clock, and how far the guest has set it off.

use crate::lock;
use platform::papr::{RtasStatus, token::*};
use platform::{Clock, HcallContext, PaprDevice, RtasCall, RtasFunction};
use snapshot::{FieldError, Io, Section, SectionId};
use std::sync::Mutex;

const NS_PER_S: i128 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

/// The real-time clock.
#[derive(Debug, Default)]
pub struct Rtc {
    /// The guest's time less the partition's clock.
    offset_ns: Mutex<i128>,
}

impl Rtc {
    /// A clock that shows the partition's.
    pub fn new() -> Rtc {
        Rtc::default()
    }

    /// The guest's time less the partition's clock, in nanoseconds.
    pub fn offset_ns(&self) -> i128 {
        *lock(&self.offset_ns)
    }

    fn now_ns(&self, clock: &dyn Clock) -> i128 {
        clock.wall_clock().as_nanos() as i128 + self.offset_ns()
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar. The year is counted from March, so that the leap day is last.
fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}

/// The other way round: year, month, day.
fn date_from_days(days: i64) -> (i64, i64, i64) {
    const DAYS_PER_400_YEARS: i64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let january_or_february = month >= 10;
    let month = if january_or_february { month - 9 } else { month + 3 };
    (400 * era + year + i64::from(january_or_february), month, day_of_month)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days_from_date(next_year, next_month, 1) - days_from_date(year, month, 1)
}

impl Section for Rtc {
    fn id(&self) -> SectionId {
        SectionId::new("rtc")
    }

    fn fields(&self, io: &mut Io<'_>) -> Result<(), FieldError> {
        // Some ten thousand years: what a guest can set, and no sum of which overflows.
        const MOST_NS: u128 = 1 << 69;
        let Rtc { offset_ns } = self;
        let mut offset_ns = lock(offset_ns);
        io.i128("the offset in ns", &mut offset_ns)?;
        io.require("the offset in ns", *offset_ns, offset_ns.unsigned_abs() < MOST_NS, "less than 2^69")
    }
}

impl PaprDevice for Rtc {
    fn sections(&self) -> Vec<&dyn Section> {
        vec![self]
    }

    fn rtas_functions(&self) -> &[RtasFunction] {
        const RTAS: [RtasFunction; 2] = [
            RtasFunction::new(GET_TIME_OF_DAY, "get-time-of-day", 0, 8),
            RtasFunction::new(SET_TIME_OF_DAY, "set-time-of-day", 7, 1),
        ];
        &RTAS
    }

    /// Year, month, day, hour, minute, second, nanosecond: as outputs or as arguments.
    fn rtas(&self, token: u32, context: &mut HcallContext<'_>, call: &mut RtasCall<'_>) -> RtasStatus {
        if token == GET_TIME_OF_DAY {
            let now_ns = self.now_ns(context.clock);
            let (seconds, ns) = ((now_ns.div_euclid(NS_PER_S)) as i64, now_ns.rem_euclid(NS_PER_S) as u32);
            let (days, second) = (seconds.div_euclid(S_PER_DAY), seconds.rem_euclid(S_PER_DAY) as u32);
            let (year, month, day) = date_from_days(days);
            let fields = [year as u32, month as u32, day as u32, second / 3600, second / 60 % 60, second % 60, ns];
            call.results.copy_from_slice(&fields);
            return RtasStatus::SUCCESS;
        }
        let &[year, month, day, hour, minute, second, ns] = call.args else { return RtasStatus::PARAMETER_ERROR };
        let date_exists = (1..=9999).contains(&year)
            && (1..=12).contains(&month)
            && day >= 1
            && i64::from(day) <= days_in_month(year.into(), month.into());
        if !date_exists || hour > 23 || minute > 59 || second > 59 || i128::from(ns) >= NS_PER_S {
            return RtasStatus::PARAMETER_ERROR;
        }
        let days = days_from_date(year.into(), month.into(), day.into());
        let seconds = days * S_PER_DAY + i64::from(hour * 3600 + minute * 60 + second);
        let wanted_ns = i128::from(seconds) * NS_PER_S + i128::from(ns);
        *lock(&self.offset_ns) = wanted_ns - context.clock.wall_clock().as_nanos() as i128;
        RtasStatus::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use platform::mock::MockWorld;
    use std::sync::atomic::Ordering::SeqCst;

    fn get(rtc: &Rtc, world: &MockWorld) -> [u32; 7] {
        let mut vcpu = world.partition.vcpu(0);
        let mut results = [0; 7];
        let mut call = RtasCall { args: &[], results: &mut results };
        assert_eq!(rtc.rtas(GET_TIME_OF_DAY, &mut world.context(&mut vcpu), &mut call), RtasStatus::SUCCESS);
        results
    }

    fn set(rtc: &Rtc, world: &MockWorld, args: [u32; 7]) -> i32 {
        let mut vcpu = world.partition.vcpu(0);
        rtc.rtas(SET_TIME_OF_DAY, &mut world.context(&mut vcpu), &mut RtasCall { args: &args, results: &mut [] }).0
    }

    #[test]
    fn known_moments() {
        let (rtc, world) = (Rtc::new(), MockWorld::new(1, 16));
        for (seconds, moment) in [
            (0, [1970, 1, 1, 0, 0, 0, 0]),
            (951_782_400, [2000, 2, 29, 0, 0, 0, 0]),
            (1_709_251_199, [2024, 2, 29, 23, 59, 59, 0]),
            (4_107_542_399, [2100, 2, 28, 23, 59, 59, 0]),
            (4_107_542_400, [2100, 3, 1, 0, 0, 0, 0]),
        ] {
            world.clock.wall_clock_s.store(seconds, SeqCst);
            assert_eq!(get(&rtc, &world), moment);
        }
    }

    #[test]
    fn setting_keeps_an_offset() {
        let (rtc, world) = (Rtc::new(), MockWorld::new(1, 16));
        world.clock.wall_clock_s.store(1000, SeqCst);
        assert_eq!(set(&rtc, &world, [1999, 12, 31, 23, 59, 59, 5]), 0);
        world.clock.wall_clock_s.store(1001, SeqCst);
        assert_eq!(get(&rtc, &world), [2000, 1, 1, 0, 0, 0, 5]);
        assert_eq!(set(&rtc, &world, [1, 1, 1, 0, 0, 0, 0]), 0);
        assert_eq!(get(&rtc, &world), [1, 1, 1, 0, 0, 0, 0]);
        assert!(rtc.offset_ns() < 0);
        for wild in [
            [0, 1, 1, 0, 0, 0, 0],
            [2024, 0, 1, 0, 0, 0, 0],
            [2024, 13, 1, 0, 0, 0, 0],
            [2023, 2, 29, 0, 0, 0, 0],
            [2024, 2, 0, 0, 0, 0, 0],
            [2024, 2, 1, 24, 0, 0, 0],
            [2024, 2, 1, 0, 60, 0, 0],
            [2024, 2, 1, 0, 0, 60, 0],
            [2024, 2, 1, 0, 0, 0, 1_000_000_000],
            [u32::MAX; 7],
        ] {
            assert_eq!(set(&rtc, &world, wild), -3, "{wild:?}");
        }
    }

    #[test]
    fn dates_and_days_are_inverse() {
        for days in (-800_000..3_000_000).step_by(37).chain(-3..3) {
            let (year, month, day) = date_from_days(days);
            assert_eq!(days_from_date(year, month, day), days);
            assert!((1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day));
        }
    }
}
