//! The changes of a decision, written.
//!
//! Owns: how each [`Change`] is put to SQLite. Promises: a set of keys is in the
//! key table exactly as long as its lease or ticket stands. Leaves to others:
//! the transaction around them.

use std::collections::BTreeMap;

use maasl_core::docgen::DocgenRecord;
use maasl_core::docgen::record::RECORDS_MAX;
use maasl_core::id::{LeaseId, TicketNo, Token};
use maasl_core::lease::{Change, Count, Lease, LeaseKind, Meta, Rows, Ticket, Version};
use maasl_core::resource::{ResourceKey, Scope, Want};
use rusqlite::{Connection, Params, ToSql};
use serde::Serialize;

use super::schema::META_HOUR;
use super::{graphs, rows};
use crate::store::StoreError;

/// Versions are dropped when this part of those that are kept is too many.
const VERSIONS_LATER: u64 = 16;
/// Or this many.
const VERSIONS_STEP_MAX: u64 = 64;
/// Most versions that are dropped with one new one.
const VERSIONS_DROPPED_MAX: u64 = 1_000;

/// The leases and tickets a decision has looked at, by token and by number. The
/// table of leases has no index by token, which would cost every grant a page;
/// and a row that was read need not be read again to learn its keys. A decision
/// ends only what it has seen, so these are enough.
#[derive(Default)]
pub(super) struct Seen {
    leases: BTreeMap<Token, Keyed>,
    tickets: BTreeMap<TicketNo, Vec<ResourceKey>>,
}

/// How a lease is found: its id and its keys.
type Keyed = (LeaseId, Vec<ResourceKey>);

impl Seen {
    /// Remembers the leases and tickets in an answer.
    pub(super) fn note(&mut self, rows: &Rows) {
        match rows {
            Rows::Leases(leases) => {
                let keyed = |lease: &Lease| (lease.token, keyed(lease));
                self.leases.extend(leases.iter().map(keyed));
            }
            Rows::Tickets(tickets) => {
                let keyed = |ticket: &Ticket| (ticket.no, keys(ticket));
                self.tickets.extend(tickets.iter().map(keyed));
            }
            _ => {}
        }
    }

    fn keys_of_lease(&self, db: &Connection, token: Token) -> Result<Option<Keyed>, StoreError> {
        if let Some(found) = self.leases.get(&token) {
            return Ok(Some(found.clone()));
        }
        Ok(rows::lease_of(db, token)?.as_ref().map(keyed))
    }

    fn keys_of_ticket(
        &self,
        db: &Connection,
        no: TicketNo,
    ) -> Result<Option<Vec<ResourceKey>>, StoreError> {
        if let Some(found) = self.tickets.get(&no) {
            return Ok(Some(found.clone()));
        }
        Ok(rows::ticket(db, no)?.as_ref().map(keys))
    }
}

fn keyed(lease: &Lease) -> Keyed {
    (lease.id.clone(), lease.keys().cloned().collect())
}

fn keys(ticket: &Ticket) -> Vec<ResourceKey> {
    let keys = ticket.wants.iter().map(|want| &want.extent.key);
    keys.cloned().collect()
}

/// Writes `change`, which was decided after looking at `seen`; of each path at most
/// `max_versions` stay, see [`put_version`].
pub(super) fn apply(
    db: &Connection,
    change: &Change,
    seen: &Seen,
    max_versions: u64,
) -> Result<(), StoreError> {
    match change {
        Change::PutMeta(meta) => put_meta(db, meta),
        Change::PutSession(session) => {
            let sql = "INSERT OR REPLACE INTO session (id, body) VALUES (?1, ?2)";
            run(db, sql, (session.id.as_str(), body(session)))
        }
        Change::DeleteSession(id) => run(db, "DELETE FROM session WHERE id = ?1", [id.as_str()]),
        Change::PutLease(lease) => put_lease(db, lease),
        Change::DeleteLease(token) => delete_lease(db, *token, seen),
        Change::PutEnded(ended) => {
            let sql = "INSERT OR REPLACE INTO ended (id, wall_ms, body) VALUES (?1, ?2, ?3)";
            run(
                db,
                sql,
                (ended.id.as_str(), ended.ended_wall_ms, body(ended)),
            )
        }
        Change::PutTicket(ticket) => put_ticket(db, ticket),
        Change::DeleteTicket(no) => delete_ticket(db, *no, seen),
        Change::PutIntent(intent) => {
            let sql = "INSERT OR REPLACE INTO intent (op, token, body) VALUES (?1, ?2, ?3)";
            run(
                db,
                sql,
                (intent.op.as_str(), intent.token.number(), body(intent)),
            )
        }
        Change::DeleteIntent(op) => run(db, "DELETE FROM intent WHERE op = ?1", [op.as_str()]),
        Change::PutVersion(version) => put_version(db, version, max_versions),
        Change::PutAnswered(answered) => {
            let sql = "INSERT OR REPLACE INTO answered (key, wall_ms, body) VALUES (?1, ?2, ?3)";
            run(
                db,
                sql,
                (&answered.request.key, answered.wall_ms, body(answered)),
            )
        }
        Change::Add { count, hour } => add(db, count, *hour),
        Change::PutDocgen(record) => put_docgen(db, record),
        Change::PutJournal(journal) => graphs::put_journal(db, journal),
        Change::PutEntry { graph, entry } => graphs::put_entry(db, graph, entry),
        Change::PutCheckpoint {
            graph,
            through,
            bytes,
        } => graphs::put_checkpoint(db, graph, *through, bytes),
    }
}

/// SQL that adds rows to the counters. SQLite would turn a sum that is too large
/// into a real number.
macro_rules! adding {
    ($rows:literal) => {
        concat!(
            "INSERT INTO counter (hour, name, class, agent, value) ",
            $rows,
            " ON CONFLICT (hour, name, class, agent) DO UPDATE SET value =
                  iif(value > 9223372036854775807 - excluded.value,
                      9223372036854775807, value + excluded.value)"
        )
    };
}

/// Adds up what was counted before this hour, whenever it was and for whom.
pub(super) fn fold_counters_before(db: &Connection, hour: u64) -> Result<(), StoreError> {
    let sql = adding!(
        "SELECT 0, name, class, '', sum(value) FROM counter
         WHERE hour > 0 AND hour < ?1 GROUP BY name, class"
    );
    run(db, sql, [hour])?;
    let sql = "DELETE FROM counter WHERE hour > 0 AND hour < ?1";
    run(db, sql, [hour])
}

/// Runs a statement.
pub(super) fn run(db: &Connection, sql: &str, parameters: impl Params) -> Result<(), StoreError> {
    db.prepare_cached(sql)?.execute(parameters)?;
    Ok(())
}

/// The body of a row.
pub(super) fn body(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("rows are plain data with text keys")
}

fn put_meta(db: &Connection, meta: &Meta) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO counter (hour, name, class, agent, value)
               VALUES (?1, '', '', '', ?2)";
    run(db, sql, (META_HOUR, body(meta)))
}

fn put_lease(db: &Connection, lease: &Lease) -> Result<(), StoreError> {
    let sql = "INSERT INTO lease (id, token, session, agent, body) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (id) DO UPDATE SET body = excluded.body";
    let owner = (lease.kind == LeaseKind::Reservation).then_some(&lease.owner);
    let row = (
        lease.id.as_str(),
        lease.token.number(),
        owner.map(|owner| owner.session.as_str()),
        owner.map(|owner| owner.agent.as_str()),
        body(lease),
    );
    run(db, sql, row)?;
    let sql = "INSERT OR IGNORE INTO lease_key (key, row, subtree) VALUES (?1, ?2, ?3)";
    put_keys(db, sql, &lease.wants, lease.id.as_str())
}

fn delete_lease(db: &Connection, token: Token, seen: &Seen) -> Result<(), StoreError> {
    let Some((id, keys)) = seen.keys_of_lease(db, token)? else {
        return Ok(());
    };
    run(db, "DELETE FROM lease WHERE id = ?1", [id.as_str()])?;
    let sql = "DELETE FROM lease_key WHERE key = ?1 AND row = ?2";
    for key in &keys {
        run(db, sql, (key.as_str(), id.as_str()))?;
    }
    Ok(())
}

fn put_ticket(db: &Connection, ticket: &Ticket) -> Result<(), StoreError> {
    let sql = "INSERT INTO ticket (no, session, agent, body) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (no) DO UPDATE SET body = excluded.body";
    let owner = &ticket.owner;
    let row = (
        ticket.no.0,
        owner.session.as_str(),
        owner.agent.as_str(),
        body(ticket),
    );
    run(db, sql, row)?;
    let sql = "INSERT OR IGNORE INTO ticket_key (key, row, subtree) VALUES (?1, ?2, ?3)";
    put_keys(db, sql, &ticket.wants, ticket.no.0)
}

fn delete_ticket(db: &Connection, no: TicketNo, seen: &Seen) -> Result<(), StoreError> {
    let Some(keys) = seen.keys_of_ticket(db, no)? else {
        return Ok(());
    };
    run(db, "DELETE FROM ticket WHERE no = ?1", [no.0])?;
    let sql = "DELETE FROM ticket_key WHERE key = ?1 AND row = ?2";
    for key in &keys {
        run(db, sql, (key.as_str(), no.0))?;
    }
    Ok(())
}

fn put_keys(db: &Connection, sql: &str, wants: &[Want], row: impl ToSql) -> Result<(), StoreError> {
    for want in wants {
        let subtree = want.extent.scope == Scope::Subtree;
        run(db, sql, (want.extent.key.as_str(), &row, subtree))?;
    }
    Ok(())
}

/// Adds a version, and drops those that are too many: several at once, since the
/// oldest lie on other pages than the newest, and not very many, since everybody
/// waits meanwhile and a store of before has a long list.
fn put_version(db: &Connection, version: &Version, max_versions: u64) -> Result<(), StoreError> {
    let sql = "INSERT INTO version (path, number, body) VALUES (?1, ?2, ?3)";
    run(db, sql, (&version.path, version.number, body(version)))?;
    let step = (max_versions / VERSIONS_LATER).clamp(1, VERSIONS_STEP_MAX);
    if version.number <= max_versions || !version.number.is_multiple_of(step) {
        return Ok(());
    }
    let sql = "DELETE FROM version WHERE path = ?1 AND number <= ?2 AND number <
               (SELECT min(number) + ?3 FROM version WHERE path = ?1)";
    let too_old = version.number - max_versions;
    run(db, sql, (&version.path, too_old, VERSIONS_DROPPED_MAX))
}

/// Adds a line to the log, and drops those that are too many.
fn put_docgen(db: &Connection, record: &DocgenRecord) -> Result<(), StoreError> {
    run(db, "INSERT INTO docgen (body) VALUES (?1)", [body(record)])?;
    let sql = "DELETE FROM docgen WHERE no <= (SELECT max(no) FROM docgen) - ?1";
    run(db, sql, [RECORDS_MAX])
}

fn add(db: &Connection, count: &Count, hour: u64) -> Result<(), StoreError> {
    let sql = adding!("VALUES (?1, ?2, ?3, ?4, ?5)");
    let by = i64::try_from(count.by).unwrap_or(i64::MAX);
    let (name, agent) = (count.counter.name(), count.agent.as_str());
    run(db, sql, (hour, name, &count.class, agent, by))
}
