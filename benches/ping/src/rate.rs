//! How many messages a simulator delivers in a second.
//!
//! Owns: repeating a workload for long enough, and the line that tells the
//! outcome. Promises: every simulator is timed alike, from an empty world to the
//! last delivery; a run that lost a message has no figure. Leaves to others:
//! setting figures side by side.

use std::fmt;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use crate::workload::Workload;

/// Deliveries, and the real time they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// How many messages were delivered.
    pub deliveries: u64,
    /// How long that took.
    pub took: Duration,
}

impl Rate {
    /// Carries the workload again and again, for as long as asked and at least
    /// once. `carry` begins with an empty world and says how many messages it
    /// delivered.
    ///
    /// # Panics
    /// If these are not as many as there are.
    pub fn measure(
        workload: Workload,
        at_least: Duration,
        mut carry: impl FnMut(Workload) -> u64,
    ) -> Self {
        let since = Instant::now();
        let mut rate = Self::default();
        while rate.deliveries == 0 || rate.took < at_least {
            let delivered = carry(workload);
            assert_eq!(delivered, workload.deliveries(), "messages were lost");
            rate.deliveries += delivered;
            rate.took = since.elapsed();
        }
        rate
    }

    /// Millions of deliveries in a second.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "deliveries of seconds, not of years"
    )]
    pub fn millions_per_second(self) -> f64 {
        self.deliveries as f64 / self.took.as_secs_f64() / 1e6
    }
}

impl AddAssign for Rate {
    fn add_assign(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.took += other.took;
    }
}

/// One line of JSON.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (deliveries, took_ns) = (self.deliveries, self.took.as_nanos());
        write!(f, r#"{{"deliveries":{deliveries},"took_ns":{took_ns}}}"#)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload::new(2, 3).expect("two hosts can ping")
    }

    #[test]
    fn a_workload_is_carried_once_however_little_time_there_is() {
        let mut times = 0;
        let rate = Rate::measure(workload(), Duration::ZERO, |workload| {
            times += 1;
            workload.deliveries()
        });
        assert_eq!((times, rate.deliveries), (1, 12));
    }

    #[test]
    #[should_panic(expected = "messages were lost")]
    fn a_lost_message_leaves_no_figure() {
        Rate::measure(workload(), Duration::ZERO, |_| 11);
    }

    #[test]
    fn rates_add_up_and_are_told_in_one_line() {
        let mut rate = Rate {
            deliveries: 3_000_000,
            took: Duration::from_millis(500),
        };
        rate += rate;
        let line = r#"{"deliveries":6000000,"took_ns":1000000000}"#;
        assert_eq!(rate.to_string(), line);
        assert!((rate.millions_per_second() - 6.0).abs() < 1e-9);
    }
}
