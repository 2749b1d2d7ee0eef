//! What the turns of several processes come to.
//!
//! Owns: merging the turns of runs, and counting and timing them. Promises: turns
//! that overlap are an error, not a figure. Leaves to others: where turns come
//! from (`crew`), what is aimed at.

use std::time::Duration;

use crate::Result;
use crate::times::Times;
use crate::worker::Turn;

/// The turns of several runs.
pub(crate) struct Tally {
    pub(crate) turns: u64,
    /// Turns of another process than the one before.
    pub(crate) changes: u64,
    seconds: f64,
    pub(crate) wait: Times,
    /// From the begin of a release until another process has it.
    pub(crate) gap: Times,
    /// The least of any process in any run, in percent.
    pub(crate) least_share: f64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            turns: 0,
            changes: 0,
            seconds: 0.0,
            wait: Times::new(),
            gap: Times::new(),
            least_share: 100.0,
        }
    }

    /// Adds a run, by process.
    pub(crate) fn add(&mut self, by_process: &[Vec<Turn>]) -> Result<()> {
        let mut all: Vec<(Turn, usize)> = Vec::new();
        for (process, turns) in by_process.iter().enumerate() {
            all.extend(turns.iter().map(|turn| (*turn, process)));
        }
        all.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (all.first(), all.last()) else {
            return Err("nobody had a turn".into());
        };
        self.seconds += Duration::from_nanos(last.released - first.granted).as_secs_f64();
        for (turn, _) in &all {
            self.wait
                .add(Duration::from_nanos(turn.granted - turn.asked));
        }
        for pair in all.windows(2) {
            let [(before, process), (after, next)] = pair else {
                continue;
            };
            if after.granted < before.released {
                return Err("two held it at once".into());
            }
            if process != next {
                self.changes += 1;
                self.gap
                    .add(Duration::from_nanos(after.granted - before.released));
            }
        }
        let least = by_process.iter().map(Vec::len).min().unwrap_or(0);
        self.turns += all.len() as u64;
        self.least_share = self.least_share.min(percent(least, all.len()));
        Ok(())
    }

    /// So many of what was counted, in each second of all runs.
    #[expect(clippy::cast_precision_loss, reason = "a few million turns at most")]
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few million turns at most")]
fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(asked: u64, granted: u64, released: u64) -> Turn {
        Turn {
            granted,
            asked,
            released,
        }
    }

    #[test]
    fn a_change_of_holder_is_a_turn_of_another_process() {
        let mut tally = Tally::new();
        let turns = [vec![turn(0, 1, 2), turn(2, 3, 4)], vec![turn(0, 5, 6)]];
        tally.add(&turns).unwrap();
        assert_eq!((tally.turns, tally.changes), (3, 1));
        assert!((tally.least_share - 100.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn two_holders_at_once_are_no_figure() {
        let turns = [vec![turn(0, 1, 5)], vec![turn(0, 4, 6)]];
        assert!(Tally::new().add(&turns).is_err());
    }
}
