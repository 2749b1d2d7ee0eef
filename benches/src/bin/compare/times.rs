//! Many durations.
//!
//! Owns: collecting them and asking for percentiles. Promises: percentiles are
//! true to a thousandth. Leaves to others: what was timed.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Longer ones are counted as this: a minute.
const LONGEST_NS: u64 = 60_000_000_000;

/// Durations of one kind.
pub(crate) struct Times {
    histogram: Histogram<u64>,
}

impl Times {
    pub(crate) fn new() -> Self {
        Self {
            histogram: Histogram::new_with_bounds(1, LONGEST_NS, 3)
                .expect("three digits of a minute are allowed"),
        }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(ns);
    }

    /// Times `work` and adds that.
    pub(crate) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let since = Instant::now();
        let done = work();
        self.add(since.elapsed());
        done
    }

    /// The duration that this share of them does not exceed, in microseconds.
    pub(crate) fn us(&self, share: f64) -> f64 {
        micros(self.histogram.value_at_quantile(share))
    }

    pub(crate) fn p50_us(&self) -> f64 {
        self.us(0.5)
    }

    pub(crate) fn p99_us(&self) -> f64 {
        self.us(0.99)
    }

    pub(crate) fn max_us(&self) -> f64 {
        micros(self.histogram.max())
    }

    /// The whole picture in a few words.
    pub(crate) fn spread(&self) -> String {
        format!(
            "p90 {:.0} p99 {:.0} max {:.0} us, {} times",
            self.us(0.9),
            self.p99_us(),
            self.max_us(),
            self.histogram.len()
        )
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "durations, not counts of years in ns"
)]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_what_was_added() {
        let mut times = Times::new();
        for us in 1..=1_000 {
            times.add(Duration::from_micros(us));
        }
        times.add(Duration::from_secs(3_600));
        assert!((times.p50_us() - 500.0).abs() < 2.0, "{}", times.p50_us());
        assert!((times.p99_us() - 991.0).abs() < 2.0, "{}", times.p99_us());
        assert!(times.max_us() >= 60e6);
    }
}
