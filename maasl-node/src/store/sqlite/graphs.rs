//! The journals of graphs in SQLite.
//!
//! Owns: how questions about graphs are put to SQLite, and how their changes are
//! written. Promises: a patch is found by its graph and place; the sizes of what
//! follows a place are added up without reading the patches. Leaves to others:
//! the transaction around them, and what may be done to a journal (the core).

use maasl_core::graph::journal::{Bytes, Entry, Journal, fitting};
use maasl_core::graph::patch::PatchId;
use maasl_core::lease::{Query, Rows};
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::changes::{body, run};
use super::rows::bodies;
use crate::store::StoreError;

/// Answers a question about graphs.
pub(super) fn load(db: &Connection, query: &Query) -> Result<Rows, StoreError> {
    Ok(match query {
        Query::Journal(graph) => {
            let sql = "SELECT body FROM graph WHERE name = ?1";
            Rows::Journals(bodies(db, sql, [graph])?)
        }
        Query::AllJournals => {
            Rows::Journals(bodies(db, "SELECT body FROM graph ORDER BY name", [])?)
        }
        Query::PatchAt { graph, place } => Rows::PatchAt(patch_at(db, graph, *place)?),
        Query::Entries { graph, after } => Rows::Entries(entries(db, graph, *after)?),
        Query::BytesAfter { graph, after } => Rows::Bytes(bytes_after(db, graph, *after)?),
        Query::Checkpoint(graph) => Rows::Checkpoint(checkpoint(db, graph)?),
        other => panic!("no question about graphs: {other:?}"),
    })
}

/// Writes what is known about a graph.
pub(super) fn put_journal(db: &Connection, journal: &Journal) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO graph (name, body) VALUES (?1, ?2)";
    run(db, sql, (&journal.graph, body(journal)))
}

/// Adds a patch.
pub(super) fn put_entry(db: &Connection, graph: &str, entry: &Entry) -> Result<(), StoreError> {
    let sql = "INSERT INTO graph_patch (graph, place, size, patch, bytes)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let bytes = &entry.bytes;
    let row = (
        graph,
        entry.place,
        bytes.count(),
        &entry.patch.as_bytes()[..],
        bytes.as_slice(),
    );
    run(db, sql, row)
}

/// Puts a checkpoint in the place of the patches it stands for.
pub(super) fn put_checkpoint(
    db: &Connection,
    graph: &str,
    through: u64,
    bytes: &Bytes,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM graph_patch WHERE graph = ?1 AND place <= ?2";
    run(db, sql, (graph, through))?;
    let sql = "INSERT INTO graph_checkpoint (graph, bytes) VALUES (?1, ?2)
               ON CONFLICT (graph) DO UPDATE SET bytes = excluded.bytes";
    run(db, sql, (graph, bytes.as_slice()))
}

fn patch_at(db: &Connection, graph: &str, place: u64) -> Result<Option<PatchId>, StoreError> {
    let sql = "SELECT patch FROM graph_patch WHERE graph = ?1 AND place = ?2";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query((graph, place))?;
    rows.next()?.map(|row| patch(row, 0)).transpose()
}

fn entries(db: &Connection, graph: &str, after: u64) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT place, patch, bytes FROM graph_patch
               WHERE graph = ?1 AND place > ?2 ORDER BY place";
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query((graph, after))?;
    fitting(std::iter::from_fn(|| match rows.next() {
        Ok(row) => row.map(entry),
        Err(error) => Some(Err(error.into())),
    }))
}

fn entry(row: &Row<'_>) -> Result<Entry, StoreError> {
    Ok(Entry {
        place: row.get(0)?,
        patch: patch(row, 1)?,
        bytes: blob(row, 2)?.into(),
    })
}

fn bytes_after(db: &Connection, graph: &str, after: u64) -> Result<u64, StoreError> {
    let sql = "SELECT coalesce(sum(size), 0) FROM graph_patch WHERE graph = ?1 AND place > ?2";
    let mut select = db.prepare_cached(sql)?;
    Ok(select.query_row((graph, after), |row| row.get(0))?)
}

fn checkpoint(db: &Connection, graph: &str) -> Result<Option<Bytes>, StoreError> {
    let sql = "SELECT bytes FROM graph_checkpoint WHERE graph = ?1";
    let mut select = db.prepare_cached(sql)?;
    let found = select.query_row([graph], |row| row.get::<_, Vec<u8>>(0));
    Ok(found.optional()?.map(Bytes::from))
}

fn patch(row: &Row<'_>, column: usize) -> Result<PatchId, StoreError> {
    PatchId::from_bytes(blob(row, column)?).ok_or_else(|| corrupt("the identity of a patch"))
}

fn blob<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row [u8], StoreError> {
    let value = row.get_ref(column)?;
    value.as_blob().map_err(|_| corrupt("bytes"))
}

fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt {
        what: format!("a row of a graph has not {what}"),
    }
}
