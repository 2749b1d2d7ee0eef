//! Reading what can be read of a damaged database.
//!
//! Owns: which rows are carried over into a new one. Promises: a row is carried
//! over only if it can be read as what it should be; a graph only if all of it can.
//! Leaves to others: replacing the file; the floor.
//!
//! | rows | carried over |
//! |---|---|
//! | versions, ends of leases (revocations among them), remembered answers, counters, the log of documents | each that can be read |
//! | open commits, and the leases they were made under | each that can be read: they are settled as usual |
//! | graphs | those whose journal is whole; the patches of another would say something else without those that are gone |
//! | sessions, waiters | none: nobody lives |
//!
//! A tree of pages is read from its beginning up to the damage, and from its end
//! down to it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use maasl_core::docgen::DocgenRecord;
use maasl_core::graph::journal::Journal;
use maasl_core::id::Token;
use maasl_core::lease::row::Answered;
use maasl_core::lease::{Change, CommitIntent, EndedLease, Lease, Meta, Version};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde::de::DeserializeOwned;

use super::super::changes::{self, Seen};
use super::super::connection::{self, PAGE_BYTES, Transaction};
use super::super::schema::{self, META_HOUR};
use super::super::store::DATABASE;
use super::open;
use crate::store::StoreError;

/// What a new database was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Rows carried over, of all tables.
    pub rows: u64,
    /// Tables that could not be read to their end, or held rows that could not be
    /// read.
    pub cut: Vec<&'static str>,
    /// Graphs that are not whole and were left behind.
    pub graphs_left: Vec<String>,
    /// The newest token in what was carried over.
    pub newest: Token,
}

impl fmt::Display for Salvaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} rows were carried over", self.rows)?;
        if !self.cut.is_empty() {
            write!(out, "; rows are missing of: {}", self.cut.join(", "))?;
        }
        if !self.graphs_left.is_empty() {
            let names = self.graphs_left.join(", ");
            write!(out, "; graphs that are not whole were left behind: {names}")?;
        }
        Ok(())
    }
}

/// A table, how its rows are read in either direction, and what they should be.
struct Table {
    name: &'static str,
    columns: &'static str,
    up: &'static str,
    down: &'static str,
    is_sound: fn(&[Value]) -> bool,
}

const TABLES: [Table; 10] = [
    Table {
        name: "version",
        columns: "path, number, body",
        up: "path, number",
        down: "path DESC, number DESC",
        is_sound: last_is::<Version>,
    },
    by_key(
        "ended",
        "id",
        "id, wall_ms, body",
        "id DESC",
        last_is::<EndedLease>,
    ),
    by_key(
        "answered",
        "key",
        "key, wall_ms, body",
        "key DESC",
        last_is::<Answered>,
    ),
    by_key(
        "intent",
        "op",
        "op, token, body",
        "op DESC",
        last_is::<CommitIntent>,
    ),
    by_key("lease", "id", "id, body", "id DESC", last_is::<Lease>),
    by_key(
        "docgen",
        "no",
        "no, body",
        "no DESC",
        last_is::<DocgenRecord>,
    ),
    Table {
        name: "counter",
        columns: "hour, name, class, agent, value",
        up: "hour DESC, name, class, agent",
        down: "hour, name DESC, class DESC, agent DESC",
        is_sound: is_counter,
    },
    by_key(
        "graph",
        "name",
        "name, body",
        "name DESC",
        last_is::<Journal>,
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
        |_| true,
    ),
];

const fn by_key(
    name: &'static str,
    up: &'static str,
    columns: &'static str,
    down: &'static str,
    is_sound: fn(&[Value]) -> bool,
) -> Table {
    Table {
        name,
        columns,
        up,
        down,
        is_sound,
    }
}

/// Makes a new database in `dir` from the damaged one there; where it is, on the
/// disk and closed.
pub(super) fn rebuild(dir: &Path) -> Result<(PathBuf, Salvaged), StoreError> {
    let path = dir.join("new.db");
    let new = connection::open(&path)?;
    super::super::identity::make_private(&path)?;
    connection::configure(&new)?;
    schema::prepare(&new)?;
    let mut salvaged = Salvaged::default();
    match open_damaged(&dir.join(DATABASE)) {
        Some(old) => carry_over(&old, &new, &mut salvaged)?,
        None => salvaged.cut.extend(TABLES.iter().map(|table| table.name)),
    }
    new.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let closed = new.close().map_err(|(_, error)| error);
    closed?;
    let synced = File::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|error| StoreError::io(&path, error))?;
    Ok((path, salvaged))
}

/// Opens what can be opened; where the beginning of the file is overwritten, with
/// a new one.
fn open_damaged(path: &Path) -> Option<Connection> {
    let readable = || {
        let db = open(path).ok()?;
        // Rows that describe other tables may be damaged.
        db.execute_batch("PRAGMA writable_schema = ON").ok()?;
        let count = "SELECT count(*) FROM sqlite_schema";
        db.query_row(count, [], |row| row.get::<_, u32>(0)).ok()?;
        // Fails where it is damaged, and then later tables are lost.
        drop(schema::upgrade_copy(&db));
        Some(db)
    };
    readable().or_else(|| {
        write_header(path).ok()?;
        readable()
    })
}

/// Writes the first 100 bytes of a database, as SQLite's file format describes
/// them: all of them are known but for the list of free pages, which nobody who
/// only reads needs.
fn write_header(path: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let pages = fs::metadata(path)?.len() / u64::from(PAGE_BYTES);
    let pages = u32::try_from(pages).unwrap_or(u32::MAX);
    let page_bytes = u16::try_from(PAGE_BYTES).expect("a page of 2048 bytes");
    let mut header = [0; 100];
    header[..16].copy_from_slice(b"SQLite format 3\0");
    header[16..18].copy_from_slice(&page_bytes.to_be_bytes());
    // Written ahead; nothing reserved; the fixed fractions of payload.
    header[18..24].copy_from_slice(&[2, 2, 0, 64, 32, 32]);
    let mut put = |at: usize, number: u32| {
        header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    };
    put(24, 1); // changes, and below the version that this size is valid for
    put(28, pages);
    put(40, 1); // version of the schema
    put(44, 4); // format of the schema
    put(56, 1); // UTF-8
    put(60, schema::SCHEMA);
    put(68, schema::APPLICATION_ID);
    put(92, 1);
    file.write_all_at(&header, 0)
}

fn carry_over(
    old: &Connection,
    new: &Connection,
    salvaged: &mut Salvaged,
) -> Result<(), StoreError> {
    let transaction = Transaction::write(new)?;
    for table in &TABLES {
        let (rows, whole) = carry_table(old, new, table)?;
        salvaged.rows += rows;
        if !whole {
            salvaged.cut.push(table.name);
        }
    }
    salvaged.graphs_left = drop_graphs_that_are_not_whole(new)?;
    for table in ["version", "ended", "intent", "lease"] {
        let sql = format!("SELECT coalesce(max(json_extract(body, '$.token')), 0) FROM {table}");
        let newest: u64 = new.query_row(&sql, [], |row| row.get(0))?;
        salvaged.newest = salvaged.newest.max(Token::from_number(newest));
    }
    transaction.commit()
}

/// Carries over the rows of a table; how many, and whether these are all.
fn carry_table(
    old: &Connection,
    new: &Connection,
    table: &Table,
) -> Result<(u64, bool), StoreError> {
    let mut carried = 0;
    let mut whole = true;
    for order in [table.up, table.down] {
        let sql = format!(
            "SELECT {} FROM {} ORDER BY {order}",
            table.columns, table.name
        );
        let end = read(old, &sql, &mut |row| {
            if (table.is_sound)(&row) {
                carried += put(new, table, &row)?;
            } else {
                whole = false;
            }
            Ok(())
        })?;
        if end {
            return Ok((carried, whole));
        }
        whole = false;
    }
    Ok((carried, whole))
}

/// Reads rows up to the damage; whether there was none.
fn read(
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

/// Adds a row that is not there yet.
fn put(new: &Connection, table: &Table, row: &[Value]) -> Result<u64, StoreError> {
    if table.name == "lease" {
        let lease: Lease = body(row).expect("it was found to be a lease");
        changes::apply(new, &Change::PutLease(lease), &Seen::default(), u64::MAX)?;
        return Ok(1);
    }
    let places = vec!["?"; row.len()].join(", ");
    let (name, columns) = (table.name, table.columns);
    let sql = format!("INSERT OR IGNORE INTO {name} ({columns}) VALUES ({places})");
    let added = new.prepare_cached(&sql)?.execute(params_from_iter(row))?;
    Ok(added as u64)
}

/// Removes graphs some of whose patches are missing; their names.
fn drop_graphs_that_are_not_whole(new: &Connection) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    let sql = "SELECT name FROM graph UNION SELECT graph FROM graph_patch
               UNION SELECT graph FROM graph_checkpoint";
    let all: Vec<String> = new
        .prepare(sql)?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for name in all {
        if is_whole(new, &name)? {
            continue;
        }
        for sql in [
            "DELETE FROM graph WHERE name = ?1",
            "DELETE FROM graph_patch WHERE graph = ?1",
            "DELETE FROM graph_checkpoint WHERE graph = ?1",
        ] {
            changes::run(new, sql, [&name])?;
        }
        names.push(name);
    }
    Ok(names)
}

fn is_whole(new: &Connection, name: &str) -> Result<bool, StoreError> {
    let found: Vec<Journal> =
        super::super::rows::bodies(new, "SELECT body FROM graph WHERE name = ?1", [name])?;
    let Some(journal) = found.first() else {
        return Ok(false);
    };
    let sql = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM graph_patch
               WHERE graph = ?1 AND place > ?2 AND place <= ?3";
    let places = (name, journal.kept.place, journal.end.place);
    let patches: (u64, u64) = new.query_row(sql, places, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sql = "SELECT coalesce(sum(length(bytes)), 0) FROM graph_checkpoint WHERE graph = ?1";
    let checkpoint_bytes: u64 = new.query_row(sql, [name], |row| row.get(0))?;
    Ok(patches == (journal.entries(), journal.bytes)
        && checkpoint_bytes == journal.checkpoint_bytes)
}

fn body<T: DeserializeOwned>(row: &[Value]) -> Option<T> {
    match row.last() {
        Some(Value::Text(text)) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn last_is<T: DeserializeOwned>(row: &[Value]) -> bool {
    body::<T>(row).is_some()
}

fn is_counter(row: &[Value]) -> bool {
    match row.first() {
        Some(Value::Integer(META_HOUR)) => body::<Meta>(row).is_some(),
        Some(Value::Integer(_)) => matches!(row.last(), Some(Value::Integer(0..))),
        _ => false,
    }
}

/// A patch is known by the hash of its bytes, and those can be read again.
fn is_patch(row: &[Value]) -> bool {
    let [.., Value::Blob(id), Value::Blob(bytes)] = row else {
        return false;
    };
    let patch = maasl_core::graph::patch::Patch::from_bytes(bytes);
    patch.is_ok_and(|patch| patch.id().as_bytes()[..] == id[..])
}
