//! The store of one process.
//!
//! Owns: [`MemoryStore`], the rows of `maasl_core::lease::MemoryRows` behind one
//! mutex. Promises: the contract of [`Store`], except that nothing outlives the
//! process. Leaves to others: the rules.

use maasl_core::docgen::DocgenRecord;
use maasl_core::id::Token;
use maasl_core::lease::command::Open;
use maasl_core::lease::{Command, MemoryRows, Meta, Outcome, Query, Rows, Version};
use parking_lot::Mutex;

use super::{Clock, CounterRow, Counters, Store, StoreError, clock};

/// A store in memory.
pub struct MemoryStore {
    rows: Mutex<MemoryRows>,
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
        let mut rows = MemoryRows::default();
        let open = Command::Open(Open {
            store: "memory".into(),
            boot: "memory".into(),
            floor: Token::default(),
            first_sequence: 1,
            session: None,
        });
        rows.transact(&open, clock());
        Self {
            rows: Mutex::new(rows),
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
        let mut rows = self.rows.lock();
        let clock = (self.clock)();
        let outcome = rows.transact(command, clock);
        let Outcome::NeedReserve(token) = outcome else {
            return Ok(outcome);
        };
        // Nothing can bring back an older copy of this store, so it needs no
        // floor: the whole generation is covered at once.
        let all = Token::new(token.generation(), Token::SEQUENCE_MAX);
        let all = all.expect("the generation of a token that was made");
        rows.transact(&Command::Reserve(all), clock);
        Ok(rows.transact(command, clock))
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
