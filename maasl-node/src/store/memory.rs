//! The store of one process.
//!
//! Owns: [`MemoryStore`], shared rows with a clock. Promises: the contract of
//! [`Store`], except that nothing outlives the process. Leaves to others: the
//! rules, and what several threads do at once (`maasl_threads::rows`).

use maasl_core::docgen::DocgenRecord;
use maasl_core::lease::{Command, Meta, Outcome, Query, Rows, Version};
use maasl_threads::rows::SharedRows;

use super::{Clock, CounterRow, Counters, Store, StoreError, clock};

/// A store in memory.
pub struct MemoryStore {
    rows: SharedRows,
    clock: Clock,
}

impl MemoryStore {
    /// An empty store on the clock of this machine.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(clock::system())
    }

    /// An empty store on a clock of the caller's.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self {
            rows: SharedRows::open(clock()),
            clock,
        }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Store for MemoryStore {
    fn transact(&self, command: &Command) -> Result<Outcome, StoreError> {
        Ok(self.rows.transact(command, || (self.clock)()))
    }

    fn meta(&self) -> Result<Meta, StoreError> {
        match self.rows.lock().load(&Query::Meta) {
            Rows::Meta(Some(meta)) => Ok(meta),
            other => Err(StoreError::Corrupt {
                what: format!("no meta row but {other:?}"),
            }),
        }
    }

    fn history(&self, path: &str, limit: u32) -> Result<Vec<Version>, StoreError> {
        let rows = self.rows.lock();
        let newest = rows.history(path).iter().rev();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(newest.take(limit).cloned().collect())
    }

    fn version(&self, path: &str, number: u64) -> Result<Option<Version>, StoreError> {
        let rows = self.rows.lock();
        let mut known = rows.history(path).iter();
        Ok(known.find(|version| version.number == number).cloned())
    }

    fn counters(&self) -> Result<Counters, StoreError> {
        let rows = self.rows.lock();
        let named = rows.counters().iter().map(|(key, value)| {
            let row = CounterRow {
                hour: key.hour,
                agent: key.agent.to_string(),
                name: key.counter.name(),
                class: key.class.to_string(),
            };
            (row, *value)
        });
        Ok(named.collect())
    }

    fn docgen_log(&self, limit: u32) -> Result<Vec<DocgenRecord>, StoreError> {
        let rows = self.rows.lock();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(rows.docgen_log().rev().take(limit).cloned().collect())
    }

    fn forget_answers_before(&self, wall_ms: u64) -> Result<(), StoreError> {
        self.rows.lock().forget_answers_before(wall_ms);
        Ok(())
    }
}
