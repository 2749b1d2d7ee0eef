//! Rows that are forgotten with time.
//!
//! Owns: finding the answers and the ends of leases that are older than a wall
//! time, and removing them. Promises: whoever looks or removes does so in small
//! steps, so that nobody waits longer for a large table than for a small one; a row
//! that was written anew meanwhile stays, and so do revocations, which are the
//! audit. Leaves to others: the transactions, and how old is old enough.
//!
//! The tables have no index by age: every grant and every answer would pay for it,
//! and what is old is looked for once an hour.

use rusqlite::Connection;

use crate::store::StoreError;

/// Rows that one step looks at.
const STEP_ROWS: usize = 1_000;

/// A table whose rows are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Aged {
    /// Answers under idempotency keys.
    Answers,
    /// Leases that have ended.
    Ends,
}

/// What a step has found.
pub(super) struct Found {
    /// The keys of rows that are old.
    pub(super) old: Vec<String>,
    /// Where the next step goes on; nothing where there is nothing more.
    pub(super) last: Option<String>,
}

impl Aged {
    /// All such tables.
    pub(super) const ALL: [Self; 2] = [Self::Answers, Self::Ends];

    /// Looks at the next rows after a key, for those older than `wall_ms`.
    pub(super) fn look(
        self,
        db: &Connection,
        after: &str,
        wall_ms: i64,
    ) -> Result<Found, StoreError> {
        let mut look = db.prepare_cached(self.looking())?;
        let mut rows = look.query((after, wall_ms, STEP_ROWS))?;
        let mut found = Found {
            old: Vec::new(),
            last: None,
        };
        let mut seen = 0;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if row.get(1)? {
                found.old.push(key.clone());
            }
            seen += 1;
            if seen == STEP_ROWS {
                found.last = Some(key);
            }
        }
        Ok(found)
    }

    /// Removes those of these rows that are still older than `wall_ms`.
    pub(super) fn remove(
        self,
        db: &Connection,
        old: &[String],
        wall_ms: i64,
    ) -> Result<(), StoreError> {
        let mut remove = db.prepare_cached(self.removing())?;
        for key in old {
            remove.execute((key, wall_ms))?;
        }
        Ok(())
    }

    fn looking(self) -> &'static str {
        match self {
            Self::Answers => {
                "SELECT key, wall_ms < ?2 FROM answered WHERE key > ?1 ORDER BY key LIMIT ?3"
            }
            Self::Ends => {
                "SELECT id, wall_ms < ?2 AND json_extract(body, '$.end.revoked') IS NULL
                 FROM ended WHERE id > ?1 ORDER BY id LIMIT ?3"
            }
        }
    }

    fn removing(self) -> &'static str {
        match self {
            Self::Answers => "DELETE FROM answered WHERE key = ?1 AND wall_ms < ?2",
            Self::Ends => "DELETE FROM ended WHERE id = ?1 AND wall_ms < ?2",
        }
    }
}
