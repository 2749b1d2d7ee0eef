//! What a caller's work may not leave in the schema.
//!
//! Owns: what of the schema bears a name of the guard's, and its comparison with what
//! is there after the work. Promises: work that brings such a name in or takes one away
//! by renaming, or ties its rows to rows of the guard's, is told so before it is
//! committed. Leaves to others: what one statement may do (`rules`), which SQLite does
//! not tell the new name of a table or the other end of a foreign key.

use maasl_core::database::BadStatement;
use rusqlite::{Connection, OptionalExtension};

/// What is called, or belongs to a table that is called, as the guard's tables are.
const LISTED: &str = "
    SELECT type, name, tbl_name FROM main.sqlite_schema
    WHERE name LIKE 'maasl\\_%' ESCAPE '\\' OR tbl_name LIKE 'maasl\\_%' ESCAPE '\\'";

/// A table whose rows refer to rows of the guard's.
const TIED: &str = "
    SELECT s.name, f.\"table\" FROM main.sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f
    WHERE s.type = 'table' AND f.\"table\" LIKE 'maasl\\_%' ESCAPE '\\' LIMIT 1";

/// What of the schema bears a name of the guard's.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// SQLite's own count of changes of the schema.
    version: i64,
    reserved: Vec<Object>,
}

/// Something that the schema lists.
#[derive(Debug, PartialEq, Eq)]
struct Object {
    kind: String,
    name: String,
    table: String,
}

impl Names {
    /// The names as they are in the transaction that is open.
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let mut read = db.prepare_cached(LISTED)?;
        let reserved = read.query_map([], |row| {
            Ok(Object {
                kind: row.get(0)?,
                name: row.get(1)?,
                table: row.get(2)?,
            })
        })?;
        Ok(Self {
            version: version(db)?,
            reserved: reserved.collect::<Result<_, _>>()?,
        })
    }

    /// Whether something is called so.
    pub(super) fn has(&self, name: &str) -> bool {
        self.reserved.iter().any(|one| one.name == name)
    }

    /// What is wrong with the schema as it is after the work, if anything is.
    pub(super) fn complaint(&self, db: &Connection) -> rusqlite::Result<Option<BadStatement>> {
        if version(db)? == self.version {
            return Ok(None);
        }
        let after = Self::read(db)?;
        let made = after.first_beside(self).map(|one| ("makes", one));
        let gone = self.first_beside(&after).map(|one| ("takes away", one));
        if let Some((does, one)) = made.or(gone) {
            let message = format!(
                "{does} the {} {} of the table {}, a name that is MAASL's own",
                one.kind, one.name, one.table
            );
            return Ok(Some(bad(
                message,
                "names that begin with maasl_ are reserved",
            )));
        }
        let tied = tied(db)?.map(|(child, parent)| {
            let message = format!(
                "the table {child} has a foreign key onto {parent}, which is MAASL's own: \
                 its rows could not be removed any more"
            );
            bad(message, "refer to a table of your own")
        });
        Ok(tied)
    }

    /// The first that `other` does not have.
    fn first_beside(&self, other: &Self) -> Option<&Object> {
        self.reserved
            .iter()
            .find(|one| !other.reserved.contains(one))
    }
}

fn version(db: &Connection) -> rusqlite::Result<i64> {
    db.prepare_cached("PRAGMA main.schema_version")?
        .query_row([], |row| row.get(0))
}

fn tied(db: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    db.prepare_cached(TIED)?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// What is wrong with all of the work, and not with one statement of it.
fn bad(message: String, hint: &str) -> BadStatement {
    BadStatement {
        index: None,
        message,
        hint: Some(hint.to_owned()),
    }
}
