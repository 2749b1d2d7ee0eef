//! Whether a statement inserted a row.
//!
//! Owns: watching for the insertion of one row id. Promises: constant memory, however
//! many rows a statement writes. Leaves to others: which id to watch for (`statement`).

use rusqlite::hooks::Action;

/// The insertion of a row with a certain id. SQLite keeps the id of the last insertion
/// and changes it with the next; only where the new id is the same as the old one does
/// the number alone not say whether there was a next.
#[derive(Debug, Default)]
pub(super) struct Insertion {
    awaited: i64,
    has_come: bool,
}

impl Insertion {
    /// Watches for this row id from here on.
    pub(super) fn await_row(&mut self, id: i64) {
        *self = Self {
            awaited: id,
            has_come: false,
        };
    }

    /// Takes note of one change of one row.
    pub(super) fn note(&mut self, action: Action, id: i64) {
        self.has_come |= action == Action::SQLITE_INSERT && id == self.awaited;
    }

    /// Whether a row with the id was inserted since it is watched for.
    pub(super) fn has_come(&self) -> bool {
        self.has_come
    }
}
