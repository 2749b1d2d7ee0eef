//! Reading what can be read of a damaged database.
//!
//! Owns: which rows are carried over into a new one. Promises: a row is carried
//! over only if it can be read as what it should be; a graph only if all of it can;
//! the new one has a row about the store if it has any. Leaves to others: what rows
//! should be (`tables`); replacing the file; the floor.
//!
//! | rows | carried over |
//! |---|---|
//! | versions, ends of leases (revocations among them), remembered answers, counters, the log of documents | each that can be read |
//! | open commits, and the leases they were made under | each that can be read: they are settled as usual |
//! | the row about the store | if it can be read; else one is made that begins a new generation |
//! | graphs | those whose journal is whole; the patches of another would say something else without those that are gone |
//! | sessions, waiters | none: nobody lives |
//!
//! A tree of pages is read from its beginning up to the damage, and from its end
//! down to it.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use maasl_core::id::Token;
use maasl_core::lease::{Change, Lease, Meta};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, params_from_iter};

use super::super::changes::{self, Seen};
use super::super::connection::{self, PAGE_BYTES, Transaction};
use super::super::store::{DATABASE, random_name};
use super::super::{identity, rows, schema};
use super::open;
use super::tables::{self, CARRIED, Table};
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

/// Makes a new database in `dir` from the damaged one there; where it is, on the
/// disk and closed.
pub(super) fn rebuild(dir: &Path) -> Result<(PathBuf, Salvaged), StoreError> {
    let path = dir.join("new.db");
    let new = connection::open(&path)?;
    identity::make_private(&path)?;
    connection::configure(&new)?;
    schema::prepare(&new)?;
    let mut salvaged = Salvaged::default();
    match open_damaged(&dir.join(DATABASE)) {
        Some(old) => carry_over(&old, &new, &mut salvaged)?,
        None => salvaged.cut.extend(CARRIED.iter().map(|table| table.name)),
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
    for table in &CARRIED {
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
    if salvaged.rows > 0 && rows::meta(new)?.is_none() {
        change(new, &Change::PutMeta(meta_after(salvaged.newest)?))?;
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
        let end = tables::read(old, &table.select(order), &mut |row| {
            match put(new, table, &row)? {
                Some(added) => carried += added,
                None => whole = false,
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

/// Adds a sound row that is not there yet; how many these are, and nothing for a
/// row that is not sound.
fn put(new: &Connection, table: &Table, row: &[Value]) -> Result<Option<u64>, StoreError> {
    if !table.is_sound(row) {
        return Ok(None);
    }
    if table.name == "lease" {
        return put_lease(new, row).map(Some);
    }
    let places = vec!["?"; row.len()].join(", ");
    let (name, columns) = (table.name, table.columns);
    let sql = format!("INSERT OR IGNORE INTO {name} ({columns}) VALUES ({places})");
    match new.prepare_cached(&sql)?.execute(params_from_iter(row)) {
        Ok(added) => Ok(Some(added as u64)),
        // A value of a type that its column cannot have.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A lease lies in two tables.
fn put_lease(new: &Connection, row: &[Value]) -> Result<u64, StoreError> {
    let lease: Lease = tables::body(row).expect("it was found to be a lease");
    let sql = "SELECT count(*) FROM lease WHERE id = ?1";
    let known: u64 = new.query_row(sql, [lease.id.as_str()], |row| row.get(0))?;
    change(new, &Change::PutLease(lease))?;
    Ok(1 - known)
}

fn change(new: &Connection, change: &Change) -> Result<(), StoreError> {
    changes::apply(new, change, &Seen::default(), u64::MAX)
}

/// Removes graphs some of whose patches are missing; their names.
fn drop_graphs_that_are_not_whole(new: &Connection) -> Result<Vec<String>, StoreError> {
    let names = tables::graphs_not_whole(new)?;
    for name in &names {
        for sql in [
            "DELETE FROM graph WHERE name = ?1",
            "DELETE FROM graph_patch WHERE graph = ?1",
            "DELETE FROM graph_checkpoint WHERE graph = ?1",
        ] {
            changes::run(new, sql, [name])?;
        }
    }
    Ok(names)
}

/// A row about the store in the place of one that was lost. It names no boot: whoever
/// opens the store comes from another, so leases end, whose times may be of any
/// boot, and tokens go on in a new generation.
fn meta_after(newest: Token) -> Result<Meta, StoreError> {
    Ok(Meta {
        store: random_name()?.into(),
        generation: newest.generation().max(1),
        next_sequence: newest.sequence() + 1,
        reserved_through: newest,
        next_ticket: 1,
        boot: "".into(),
    })
}
