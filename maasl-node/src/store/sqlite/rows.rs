//! Answers to the queries of a decision.
//!
//! Owns: how each [`Query`] is put to SQLite. Promises: the answer to an overlap
//! query costs by the depth of the key and what is found, not by what is
//! unrelated; rows come in the order of their numbers. Leaves to others: the
//! transaction around them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use maasl_core::docgen::DocgenRecord;
use maasl_core::id::{TicketNo, Token};
use maasl_core::lease::{Lease, Meta, Query, Rows, Session, Ticket, Version};
use maasl_core::resource::{Extent, Scope};
use rusqlite::{CachedStatement, Connection, Params, Row};
use serde::de::DeserializeOwned;

use super::graphs;
use super::schema::META_HOUR;
use crate::store::{CounterRow, Counters, StoreError};

/// Answers `query`.
pub(super) fn load(db: &Connection, query: &Query) -> Result<Rows, StoreError> {
    Ok(match query {
        Query::Meta => Rows::Meta(meta(db)?),
        Query::Lease(id) => {
            let sql = "SELECT body FROM lease WHERE id = ?1";
            Rows::Leases(bodies(db, sql, [id.as_str()])?)
        }
        Query::AllLeases => Rows::Leases(bodies(db, "SELECT body FROM lease ORDER BY token", [])?),
        Query::LeasesOverlapping(extent) => {
            Rows::Leases(overlapping::<Lease>(db, &LEASES, extent)?)
        }
        Query::LeasesOf(owner) => {
            let sql = "SELECT body FROM lease WHERE session = ?1 AND agent = ?2 ORDER BY token";
            let owner = [owner.session.as_str(), owner.agent.as_str()];
            Rows::Leases(bodies(db, sql, owner)?)
        }
        Query::Ended(id) => {
            let sql = "SELECT body FROM ended WHERE id = ?1";
            Rows::Ended(bodies(db, sql, [id.as_str()])?.pop())
        }
        Query::Ticket(no) => Rows::Tickets(ticket(db, *no)?.into_iter().collect()),
        Query::AllTickets => Rows::Tickets(bodies(db, "SELECT body FROM ticket ORDER BY no", [])?),
        Query::TicketsOverlapping(extent) => {
            Rows::Tickets(overlapping::<Ticket>(db, &TICKETS, extent)?)
        }
        Query::TicketsOf(owner) => {
            let sql = "SELECT body FROM ticket WHERE session = ?1 AND agent = ?2 ORDER BY no";
            let owner = [owner.session.as_str(), owner.agent.as_str()];
            Rows::Tickets(bodies(db, sql, owner)?)
        }
        Query::Intent(op) => {
            let sql = "SELECT body FROM intent WHERE op = ?1";
            Rows::Intents(bodies(db, sql, [op.as_str()])?)
        }
        Query::IntentsOf(token) => {
            let sql = "SELECT body FROM intent WHERE token = ?1 ORDER BY op";
            Rows::Intents(bodies(db, sql, [token.number()])?)
        }
        Query::AllIntents => Rows::Intents(bodies(db, "SELECT body FROM intent ORDER BY op", [])?),
        Query::Version(path) => Rows::Version(history(db, path, 1)?.pop().map(Box::new)),
        Query::Answered(key) => {
            let sql = "SELECT body FROM answered WHERE key = ?1";
            Rows::Answered(bodies(db, sql, [key.as_str()])?.pop())
        }
        Query::AllSessions => Rows::Sessions(sessions(db)?),
        Query::Journal(_)
        | Query::AllJournals
        | Query::PatchAt { .. }
        | Query::Entries { .. }
        | Query::BytesAfter { .. }
        | Query::Checkpoint(_) => graphs::load(db, query)?,
    })
}

/// The row about the store; nothing in a store that was just made.
pub(super) fn meta(db: &Connection) -> Result<Option<Meta>, StoreError> {
    let sql = "SELECT value FROM counter WHERE hour = ?1 AND name = ''";
    Ok(bodies(db, sql, [META_HOUR])?.pop())
}

/// What is wrong with a store that was opened and has no row about itself.
pub(super) fn no_meta() -> StoreError {
    StoreError::Corrupt {
        what: "the row about the store is gone".into(),
    }
}

/// The sessions that opened it and did not close.
pub(super) fn sessions(db: &Connection) -> Result<Vec<Session>, StoreError> {
    bodies(db, "SELECT body FROM session ORDER BY id", [])
}

/// The lease with this token, searched for one by one.
pub(super) fn lease_of(db: &Connection, token: Token) -> Result<Option<Lease>, StoreError> {
    let sql = "SELECT body FROM lease WHERE token = ?1";
    Ok(bodies(db, sql, [token.number()])?.pop())
}

/// The ticket with this number.
pub(super) fn ticket(db: &Connection, no: TicketNo) -> Result<Option<Ticket>, StoreError> {
    let sql = "SELECT body FROM ticket WHERE no = ?1";
    Ok(bodies(db, sql, [no.0])?.pop())
}

/// At most `limit` versions of `path`, newest first.
pub(super) fn history(db: &Connection, path: &str, limit: u32) -> Result<Vec<Version>, StoreError> {
    let sql = "SELECT body FROM version WHERE path = ?1 ORDER BY number DESC LIMIT ?2";
    bodies(db, sql, (path, limit))
}

/// This version of `path`, if it is known.
pub(super) fn version(
    db: &Connection,
    path: &str,
    number: u64,
) -> Result<Option<Version>, StoreError> {
    // No version has a number that SQLite has no integer for.
    let Ok(number) = i64::try_from(number) else {
        return Ok(None);
    };
    let sql = "SELECT body FROM version WHERE path = ?1 AND number = ?2";
    Ok(bodies(db, sql, (path, number))?.pop())
}

/// At most `limit` operations on documents, newest first.
pub(super) fn docgen_log(db: &Connection, limit: u32) -> Result<Vec<DocgenRecord>, StoreError> {
    let sql = "SELECT body FROM docgen ORDER BY no DESC LIMIT ?1";
    bodies(db, sql, [limit])
}

/// Every counter.
pub(super) fn counters(db: &Connection) -> Result<Counters, StoreError> {
    let sql = "SELECT hour, agent, name, class, value FROM counter WHERE name <> ''";
    let mut select = db.prepare_cached(sql)?;
    let read = |row: &Row<'_>| {
        let counter = CounterRow {
            hour: row.get(0)?,
            agent: row.get(1)?,
            name: row.get(2)?,
            class: row.get(3)?,
        };
        Ok((counter, row.get(4)?))
    };
    Ok(select.query_map([], read)?.collect::<Result<_, _>>()?)
}

/// Reads a body.
fn parse<T: DeserializeOwned>(body: &str) -> Result<T, StoreError> {
    serde_json::from_str(body).map_err(|error| StoreError::Corrupt {
        what: format!("a row cannot be read: {error}"),
    })
}

/// The bodies that a look-up finds.
pub(super) fn bodies<T: DeserializeOwned>(
    db: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<T>, StoreError> {
    let mut select = db.prepare_cached(sql)?;
    let mut rows = select.query(parameters)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(parse(text(row, 0)?)?);
    }
    Ok(found)
}

/// The three look-ups that find every overlap.
struct Overlap {
    /// Rows with exactly this key; a row flagged 1 is added where any subtree
    /// is held or waited for, so that without one the ancestors cost nothing.
    here: &'static str,
    /// Subtrees with exactly this key.
    above: &'static str,
    /// Rows whose key is in this range.
    below: &'static str,
}

const LEASES: Overlap = Overlap {
    here: "SELECT 0, token, body FROM lease_key CROSS JOIN lease ON id = row WHERE key = ?1
           UNION ALL
           SELECT 1, 0, '' WHERE EXISTS (SELECT 1 FROM lease_key WHERE subtree = 1)",
    above: "SELECT 0, token, body FROM lease_key CROSS JOIN lease ON id = row
            WHERE key = ?1 AND subtree = 1",
    below: "SELECT 0, token, body FROM lease_key CROSS JOIN lease ON id = row
            WHERE key >= ?1 AND key < ?2",
};

const TICKETS: Overlap = Overlap {
    here: "SELECT 0, no, body FROM ticket_key CROSS JOIN ticket ON no = row WHERE key = ?1
           UNION ALL
           SELECT 1, 0, '' WHERE EXISTS (SELECT 1 FROM ticket_key WHERE subtree = 1)",
    above: "SELECT 0, no, body FROM ticket_key CROSS JOIN ticket ON no = row
            WHERE key = ?1 AND subtree = 1",
    below: "SELECT 0, no, body FROM ticket_key CROSS JOIN ticket ON no = row
            WHERE key >= ?1 AND key < ?2",
};

fn overlapping<T: DeserializeOwned>(
    db: &Connection,
    overlap: &Overlap,
    extent: &Extent,
) -> Result<Vec<T>, StoreError> {
    let mut found = BTreeMap::new();
    let mut here = db.prepare_cached(overlap.here)?;
    let reaching = collect(&mut here, [extent.key.as_str()], &mut found)?;
    if reaching {
        let mut above = db.prepare_cached(overlap.above)?;
        for ancestor in extent.key.ancestors() {
            collect(&mut above, [ancestor], &mut found)?;
        }
    }
    if extent.scope == Scope::Subtree {
        let mut below = db.prepare_cached(overlap.below)?;
        collect(&mut below, extent.key.range_below(), &mut found)?;
    }
    Ok(found.into_values().collect())
}

/// Adds what a look-up finds, by number. Returns whether it found the flag.
fn collect<T: DeserializeOwned>(
    select: &mut CachedStatement<'_>,
    parameters: impl Params,
    found: &mut BTreeMap<u64, T>,
) -> Result<bool, StoreError> {
    let mut rows = select.query(parameters)?;
    let mut flagged = false;
    while let Some(row) = rows.next()? {
        if row.get::<_, bool>(0)? {
            flagged = true;
            continue;
        }
        if let Entry::Vacant(place) = found.entry(row.get(1)?) {
            place.insert(parse(text(row, 2)?)?);
        }
    }
    Ok(flagged)
}

fn text<'row>(row: &'row Row<'_>, column: usize) -> Result<&'row str, StoreError> {
    let value = row.get_ref(column)?;
    value.as_str().map_err(|error| StoreError::Corrupt {
        what: format!("a row is not text: {error}"),
    })
}
