//! Clocks that are wrong.
//!
//! Owns: what a clock reads at an instant of the world, and when it will read a
//! given time. Promises: integers throughout; a clock that stands still never
//! comes to a later time. Leaves to others: whose clock it is.

use maasl_core::time::Timestamp;

/// Parts in a million.
const MILLION: i128 = 1_000_000;

/// A clock with its own origin and rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    /// When it was set last, in nanoseconds of the world.
    set_at_ns: u64,
    /// What it read then.
    read_ns: u64,
    /// How much faster than the world it runs.
    ppm: i32,
    frozen: bool,
}

impl Clock {
    pub(crate) fn new(ahead_ns: u64, ppm: i32) -> Self {
        Self {
            set_at_ns: 0,
            read_ns: ahead_ns,
            ppm,
            frozen: false,
        }
    }

    /// What it reads.
    pub(crate) fn read(&self, world_ns: u64) -> Timestamp {
        let passed = world_ns.saturating_sub(self.set_at_ns);
        if self.frozen {
            return Timestamp::from_ns(self.read_ns);
        }
        if self.ppm == 0 {
            return Timestamp::from_ns(self.read_ns + passed);
        }
        let local = i128::from(passed) * self.rate() / MILLION;
        let local = u64::try_from(local).expect("the rate is above zero");
        Timestamp::from_ns(self.read_ns + local)
    }

    /// The first instant of the world at which it reads `time` or later.
    pub(crate) fn instant_of(&self, time: Timestamp, world_ns: u64) -> Option<u64> {
        if self.read(world_ns) >= time {
            return Some(world_ns);
        }
        if self.frozen || time == Timestamp::NEVER {
            return None;
        }
        let local = i128::from(time.as_ns() - self.read_ns);
        let passed = (local * MILLION).div_ceil_by(self.rate());
        u64::try_from(passed).ok()?.checked_add(self.set_at_ns)
    }

    /// Jumps.
    pub(crate) fn step(&mut self, by_ms: i64, world_ns: u64) {
        self.settle(world_ns);
        self.read_ns = self.read_ns.saturating_add_signed(by_ms * 1_000_000);
    }

    /// Counts from `read_ns` on, as after a boot; its rate is the machine's.
    pub(crate) fn begin_again(&mut self, read_ns: u64, world_ns: u64) {
        self.read_ns = read_ns;
        self.set_at_ns = world_ns;
    }

    /// Runs at another rate from now on.
    pub(crate) fn drift(&mut self, ppm: i32, world_ns: u64) {
        self.settle(world_ns);
        self.ppm = ppm.max(-999_999);
    }

    /// Stands still, or goes on.
    pub(crate) fn freeze(&mut self, frozen: bool, world_ns: u64) {
        self.settle(world_ns);
        self.frozen = frozen;
    }

    fn settle(&mut self, world_ns: u64) {
        self.read_ns = self.read(world_ns).as_ns();
        self.set_at_ns = world_ns;
    }

    fn rate(&self) -> i128 {
        MILLION + i128::from(self.ppm)
    }
}

trait DivCeil {
    fn div_ceil_by(self, by: Self) -> Self;
}

impl DivCeil for i128 {
    /// Both are positive here; `i128::div_ceil` is not stable yet.
    fn div_ceil_by(self, by: Self) -> Self {
        (self + by - 1) / by
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn a_drifting_clock_reads_a_time_first_at_the_instant_it_names() {
        for ppm in [-500_000, -20_000, -1, 0, 1, 9_999, 500_000] {
            let mut clock = Clock::new(77, 0);
            clock.drift(ppm, 5);
            for ahead in [1, 999, 1_000_003, 7 * SECOND_NS + 1] {
                let time = Timestamp::from_ns(clock.read(9).as_ns() + ahead);
                let instant = clock.instant_of(time, 9).unwrap();
                assert!(clock.read(instant) >= time, "{ppm} {ahead}");
                assert!(clock.read(instant - 1) < time, "{ppm} {ahead}");
            }
        }
    }

    #[test]
    fn a_frozen_clock_comes_to_nothing_later() {
        let mut clock = Clock::new(0, 0);
        clock.freeze(true, SECOND_NS);
        assert_eq!(clock.read(9 * SECOND_NS).as_ns(), SECOND_NS);
        let later = Timestamp::from_ns(SECOND_NS + 1);
        assert_eq!(clock.instant_of(later, 9 * SECOND_NS), None);
        clock.freeze(false, 9 * SECOND_NS);
        assert_eq!(
            clock.instant_of(later, 9 * SECOND_NS),
            Some(9 * SECOND_NS + 1)
        );
    }

    #[test]
    fn a_boot_begins_the_count_again_and_keeps_the_rate() {
        let mut clock = Clock::new(77 * SECOND_NS, 500_000);
        clock.begin_again(SECOND_NS, 9 * SECOND_NS);
        assert_eq!(clock.read(9 * SECOND_NS).as_ns(), SECOND_NS);
        assert_eq!(clock.read(11 * SECOND_NS).as_ns(), 4 * SECOND_NS);
    }

    #[test]
    fn a_step_backward_stops_at_zero() {
        let mut clock = Clock::new(0, 0);
        clock.step(-5_000, SECOND_NS);
        assert_eq!(clock.read(SECOND_NS).as_ns(), 0);
    }
}
