//! The tables of a store, and what their rows should be.
//!
//! Owns: how each table is read in either direction, and whether a row can be read
//! as what it should be. Promises: what is found sound here is what servers can
//! work with; looking changes nothing. Leaves to others: pages and indexes
//! (`health`), and what becomes of rows that are not sound (`salvage`).

use maasl_core::docgen::DocgenRecord;
use maasl_core::graph::checkpoint::Checkpoint;
use maasl_core::graph::journal::Journal;
use maasl_core::graph::patch::Patch;
use maasl_core::id::Token;
use maasl_core::lease::{
    Answered, CommitIntent, EndedLease, Lease, Meta, Session, Ticket, Version,
};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};
use serde::de::DeserializeOwned;

use super::super::connection::Transaction;
use super::super::schema::{self, META_HOUR};
use super::super::{rows, view};
use crate::store::StoreError;

/// A table, how its rows are read in either direction, and what they should be.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// What is read of it; no row has nothing in any of them.
    pub(super) columns: &'static str,
    /// From its beginning on.
    pub(super) up: &'static str,
    /// From its end on.
    pub(super) down: &'static str,
    judge: fn(&[Value]) -> bool,
}

impl Table {
    /// SQL that reads its rows in this order.
    pub(super) fn select(&self, order: &str) -> String {
        let (columns, name) = (self.columns, self.name);
        format!("SELECT {columns} FROM {name} ORDER BY {order}")
    }

    /// Whether a row that was read is what it should be.
    pub(super) fn is_sound(&self, row: &[Value]) -> bool {
        !row.contains(&Value::Null) && (self.judge)(row)
    }
}

/// The tables whose rows are worth something when no process lives.
pub(super) static CARRIED: [Table; 10] = [
    Table {
        name: "version",
        columns: "path, number, body",
        up: "path, number",
        down: "path DESC, number DESC",
        judge: |row| has_token::<Version>(row, |version| version.token),
    },
    by_key("ended", "id", "id, wall_ms, body", "id DESC", |row| {
        has_token::<EndedLease>(row, |ended| ended.token)
    }),
    by_key(
        "answered",
        "key",
        "key, wall_ms, body",
        "key DESC",
        is_row::<Answered>,
    ),
    by_key("intent", "op", "op, token, body", "op DESC", |row| {
        has_token::<CommitIntent>(row, |intent| intent.token)
    }),
    by_key("lease", "id", "id, body", "id DESC", |row| {
        has_token::<Lease>(row, |lease| lease.token)
    }),
    by_key(
        "docgen",
        "no",
        "no, body",
        "no DESC",
        is_row::<DocgenRecord>,
    ),
    Table {
        name: "counter",
        columns: "hour, name, class, agent, value",
        up: "hour DESC, name, class, agent",
        down: "hour, name DESC, class DESC, agent DESC",
        judge: is_counter,
    },
    by_key(
        "graph",
        "name",
        "name, body",
        "name DESC",
        is_row::<Journal>,
    ),
    by_key(
        "graph_patch",
        "no",
        "no, graph, place, size, patch, bytes",
        "no DESC",
        is_patch,
    ),
    by_key(
        "graph_checkpoint",
        "no",
        "no, graph, bytes",
        "no DESC",
        is_checkpoint,
    ),
];

/// The tables of those who live.
static OF_THE_LIVING: [Table; 2] = [
    by_key("session", "id", "id, body", "id DESC", is_row::<Session>),
    by_key(
        "ticket",
        "no",
        "no, session, agent, body",
        "no DESC",
        is_row::<Ticket>,
    ),
];

const fn by_key(
    name: &'static str,
    up: &'static str,
    columns: &'static str,
    down: &'static str,
    judge: fn(&[Value]) -> bool,
) -> Table {
    Table {
        name,
        columns,
        up,
        down,
        judge,
    }
}

/// Refuses a store that servers cannot work with although its pages are sound: with
/// rows that cannot be read, without the row about itself, with graphs that are not
/// whole.
pub(super) fn check(db: &Connection) -> Result<(), StoreError> {
    let copy = up_to_date(db)?;
    let db = copy.as_ref().unwrap_or(db);
    let transaction = Transaction::read(db)?;
    let mut known = 0;
    let mut unreadable = Vec::new();
    for table in CARRIED.iter().chain(&OF_THE_LIVING) {
        let look = Look::at(db, table)?;
        known += look.rows;
        unreadable.extend(look.unreadable(table));
    }
    refuse("rows that cannot be read", &unreadable)?;
    if known > 0 && rows::meta(db)?.is_none() {
        return Err(rows::no_meta());
    }
    refuse("graphs that are not whole", &graphs_not_whole(db)?)?;
    transaction.commit()
}

fn refuse(what: &str, found: &[String]) -> Result<(), StoreError> {
    if found.is_empty() {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        what: format!("{what}: {}", found.join(", ")),
    })
}

/// A copy in the layout that this program reads, where the store has an earlier
/// one.
pub(super) fn up_to_date(db: &Connection) -> Result<Option<Connection>, StoreError> {
    if !schema::is_older(db)? {
        return Ok(None);
    }
    match view::copy_up_to_date(db) {
        Ok(copy) => Ok(Some(copy)),
        // Its tables are not those of the layout that it names.
        Err(StoreError::Sqlite(error)) if !is_trouble(&error) => Err(StoreError::Corrupt {
            what: format!("it cannot be brought up to date: {error}"),
        }),
        Err(error) => Err(error),
    }
}

/// Whether an error says nothing about what is in the database.
fn is_trouble(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::OutOfMemory | ErrorCode::SystemIoFailure)
    )
}

/// What a table was found to hold.
struct Look {
    rows: u64,
    unsound: u64,
    to_its_end: bool,
}

impl Look {
    fn at(db: &Connection, table: &Table) -> Result<Self, StoreError> {
        let (mut rows, mut unsound) = (0, 0);
        let to_its_end = read(db, &table.select(table.up), &mut |row| {
            rows += 1;
            unsound += u64::from(!table.is_sound(&row));
            Ok(())
        })?;
        Ok(Self {
            rows,
            unsound,
            to_its_end,
        })
    }

    fn unreadable(&self, table: &Table) -> Option<String> {
        match (self.to_its_end, self.unsound) {
            (true, 0) => None,
            (true, unsound) => Some(format!("{unsound} of {}", table.name)),
            (false, _) => Some(format!("some of {}", table.name)),
        }
    }
}

/// Reads rows up to the damage; whether there was none.
pub(super) fn read(
    db: &Connection,
    sql: &str,
    each: &mut dyn FnMut(Vec<Value>) -> Result<(), StoreError>,
) -> Result<bool, StoreError> {
    let Ok(mut select) = db.prepare(sql) else {
        return Ok(false);
    };
    let columns = select.column_count();
    let Ok(mut rows) = select.query([]) else {
        return Ok(false);
    };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let values = (0..columns).map(|column| row.get::<_, Value>(column));
        match values.collect::<Result<Vec<_>, _>>() {
            Ok(values) => each(values)?,
            // Text that is none.
            Err(_) => each(Vec::new())?,
        }
    }
}

/// The graphs of which something is missing.
pub(super) fn graphs_not_whole(db: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT name FROM graph UNION SELECT graph FROM graph_patch
               UNION SELECT graph FROM graph_checkpoint";
    let names: Vec<String> = db
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut not_whole = Vec::new();
    for name in names {
        if !is_whole(db, &name)? {
            not_whole.push(name);
        }
    }
    Ok(not_whole)
}

fn is_whole(db: &Connection, name: &str) -> Result<bool, StoreError> {
    let found: Vec<Journal> = rows::bodies(db, "SELECT body FROM graph WHERE name = ?1", [name])?;
    let Some(journal) = found.first() else {
        return Ok(false);
    };
    let (kept, end) = (journal.kept.place, journal.end.place);
    // No patch has a place that SQLite has no integer for.
    let (Ok(kept), Ok(end)) = (i64::try_from(kept), i64::try_from(end)) else {
        return Ok(false);
    };
    let sql = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM graph_patch
               WHERE graph = ?1 AND place > ?2 AND place <= ?3";
    let places = (name, kept, end);
    let patches: (u64, u64) = db.query_row(sql, places, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM graph_checkpoint WHERE graph = ?1";
    let checkpoint_bytes: u64 = db.query_row(sql, [name], |row| row.get(0))?;
    Ok(patches == (journal.entries(), journal.bytes)
        && checkpoint_bytes == journal.checkpoint_bytes)
}

/// What the last column of a row says.
pub(super) fn body<T: DeserializeOwned>(row: &[Value]) -> Option<T> {
    match row.last() {
        Some(Value::Text(text)) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn is_row<T: DeserializeOwned>(row: &[Value]) -> bool {
    body::<T>(row).is_some()
}

/// Whether a row can be read, and its token is one: a number beyond them could be
/// stored nowhere, and would take all that are left from the store.
fn has_token<T: DeserializeOwned>(row: &[Value], token: fn(&T) -> Token) -> bool {
    body::<T>(row).is_some_and(|row| is_token(token(&row)))
}

fn is_token(token: Token) -> bool {
    token.generation() <= Token::GENERATION_MAX
}

fn is_counter(row: &[Value]) -> bool {
    match row {
        [Value::Integer(META_HOUR), Value::Text(name), ..] => name.is_empty() && is_meta(row),
        [Value::Integer(0..), .., Value::Integer(0..)] => true,
        _ => false,
    }
}

fn is_meta(row: &[Value]) -> bool {
    body::<Meta>(row).is_some_and(|meta| {
        // Used up means one beyond the last.
        let is_sequence = meta.next_sequence <= Token::SEQUENCE_MAX + 1;
        let is_generation = meta.generation <= Token::GENERATION_MAX;
        is_generation && is_sequence && is_token(meta.reserved_through)
    })
}

/// A patch is known by the hash of its bytes, and those can be read again.
fn is_patch(row: &[Value]) -> bool {
    let [
        ..,
        Value::Integer(size),
        Value::Blob(id),
        Value::Blob(bytes),
    ] = row
    else {
        return false;
    };
    let patch = Patch::from_bytes(bytes);
    i64::try_from(bytes.len()) == Ok(*size)
        && patch.is_ok_and(|patch| patch.id().as_bytes()[..] == id[..])
}

fn is_checkpoint(row: &[Value]) -> bool {
    match row {
        [.., Value::Blob(bytes)] => Checkpoint::from_bytes(bytes).is_ok(),
        _ => false,
    }
}
