//! Histories for `maasl-sim check`.
//!
//! Owns: history files as arbitrary bytes. Promises: what is read is written and
//! read alike, and judged alike twice, within a budget of steps. Leaves to others:
//! whether a verdict is right.

use maasl_sim::history::judge::judge;
use maasl_sim::history::{HistoryError, lines, merge, parse};

use crate::pieces::pieces;

/// Steps of each search.
const BUDGET: u64 = 2_000;
/// Events that are judged: each resource and each file has a search of its own.
const EVENTS_MAX: usize = 400;

/// Tries bytes as the histories of some processes, one piece each.
pub fn run(bytes: &[u8]) {
    let mut histories = Vec::new();
    for piece in pieces(bytes) {
        let Ok(text) = std::str::from_utf8(piece) else {
            continue;
        };
        match parse(text) {
            Ok(history) => {
                assert_eq!(parse(&lines(&history)).as_ref(), Ok(&history));
                histories.push(history);
            }
            Err(HistoryError::Line { line, .. } | HistoryError::Version { line, .. }) => {
                assert!((1..=text.split('\n').count()).contains(&line));
            }
            Err(HistoryError::Headless) => {}
        }
    }
    let mut history = merge(histories);
    assert!(history.is_sorted_by_key(|entry| entry.at_ns));
    history.truncate(EVENTS_MAX);
    let judged = judge(&history, BUDGET);
    assert_eq!(judged, judge(&history, BUDGET));
    let found = judged.breaches.len() + judged.undecided.len();
    // That nothing happened is one.
    assert!(found <= 1 + 4 * bytes.len(), "{found} faults");
}
