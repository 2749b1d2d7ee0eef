//! How long calls took.
//!
//! Owns: one histogram for each tool, in microseconds. Promises: a percentile is
//! off by less than one in a thousand. Leaves to others: timing.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Significant digits of every time.
const DIGITS: u8 = 3;

/// Histograms by tool.
#[derive(Clone, Debug, Default)]
pub(super) struct Latencies(BTreeMap<&'static str, Histogram<u64>>);

impl Latencies {
    /// Adds a call.
    pub(super) fn record(&mut self, tool: &'static str, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let histogram = self.0.entry(tool).or_insert_with(empty);
        histogram.record(us.max(1)).expect("it grows as needed");
    }

    /// Adds those of another.
    pub(super) fn add(&mut self, other: &Self) {
        for (tool, times) in &other.0 {
            let histogram = self.0.entry(tool).or_insert_with(empty);
            histogram.add(times).expect("it grows as needed");
        }
    }

    /// The tools that were called.
    pub(super) fn tools(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The time below which this share of the calls of a tool stayed, in µs.
    pub(super) fn quantile(&self, tool: &str, share: f64) -> Option<u64> {
        let times = self.0.get(tool)?;
        Some(times.value_at_quantile(share))
    }

    /// For a file: count, percentiles and maximum by tool, in µs.
    pub(super) fn to_json(&self) -> Value {
        let each = self.0.iter().map(|(tool, times)| {
            let of = |share| times.value_at_quantile(share);
            let figures = json!({
                "count": times.len(), "p50": of(0.5), "p95": of(0.95), "p99": of(0.99),
                "max": times.max(),
            });
            ((*tool).to_owned(), figures)
        });
        Value::Object(each.collect())
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new(DIGITS).expect("three digits are allowed")
}
