//! The changes of a decision, written.
//!
//! Owns: how each [`Change`] is put to SQLite. Promises: a set of keys is in the
//! key table exactly as long as its lease or ticket stands. Leaves to others:
//! the transaction around them.

use maasl_core::id::{TicketNo, Token};
use maasl_core::lease::{Change, Count, Lease, LeaseKind, Meta, Ticket};
use maasl_core::resource::{Scope, Want};
use rusqlite::{Connection, OptionalExtension as _, Params};
use serde::Serialize;

use super::rows::parse;
use crate::store::StoreError;

/// Writes `change`.
pub(super) fn apply(db: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::PutMeta(meta) => put_meta(db, meta),
        Change::PutSession(session) => {
            let sql = "INSERT OR REPLACE INTO session (id, body) VALUES (?1, ?2)";
            run(db, sql, (session.id.as_str(), body(session)))
        }
        Change::DeleteSession(id) => run(db, "DELETE FROM session WHERE id = ?1", [id.as_str()]),
        Change::PutLease(lease) => put_lease(db, lease),
        Change::DeleteLease(token) => delete_lease(db, *token),
        Change::PutEnded(ended) => {
            let sql = "INSERT OR REPLACE INTO ended (id, wall_ms, body) VALUES (?1, ?2, ?3)";
            run(
                db,
                sql,
                (ended.id.as_str(), ended.ended_wall_ms, body(ended)),
            )
        }
        Change::PutTicket(ticket) => put_ticket(db, ticket),
        Change::DeleteTicket(no) => delete_ticket(db, *no),
        Change::PutIntent(intent) => {
            let sql = "INSERT OR REPLACE INTO intent (op, token, body) VALUES (?1, ?2, ?3)";
            run(
                db,
                sql,
                (intent.op.as_str(), intent.token.number(), body(intent)),
            )
        }
        Change::DeleteIntent(op) => run(db, "DELETE FROM intent WHERE op = ?1", [op.as_str()]),
        Change::PutVersion(version) => {
            let sql = "INSERT INTO version (path, number, body) VALUES (?1, ?2, ?3)";
            run(db, sql, (&version.path, version.number, body(version)))
        }
        Change::PutAnswered(answered) => {
            let sql = "INSERT OR REPLACE INTO answered (key, wall_ms, body) VALUES (?1, ?2, ?3)";
            run(
                db,
                sql,
                (&answered.request.key, answered.wall_ms, body(answered)),
            )
        }
        Change::Add(count) => add(db, count),
    }
}

/// Forgets answers and ends older than `wall_ms`.
pub(super) fn forget_before(db: &Connection, wall_ms: u64) -> Result<(), StoreError> {
    let wall_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    run(db, "DELETE FROM answered WHERE wall_ms < ?1", [wall_ms])?;
    run(db, "DELETE FROM ended WHERE wall_ms < ?1", [wall_ms])
}

fn run(db: &Connection, sql: &str, parameters: impl Params) -> Result<(), StoreError> {
    db.prepare_cached(sql)?.execute(parameters)?;
    Ok(())
}

fn body(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("rows are plain data with text keys")
}

fn put_meta(db: &Connection, meta: &Meta) -> Result<(), StoreError> {
    let sql = "INSERT OR REPLACE INTO meta
               (one, store, generation, next_sequence, reserved_through, next_ticket, boot)
               VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";
    let row = (
        &meta.store,
        meta.generation,
        meta.next_sequence,
        meta.reserved_through.number(),
        meta.next_ticket,
        &meta.boot,
    );
    run(db, sql, row)
}

fn put_lease(db: &Connection, lease: &Lease) -> Result<(), StoreError> {
    let sql = "INSERT INTO lease (token, id, session, agent, body) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (token) DO UPDATE SET body = excluded.body";
    let owner = (lease.kind == LeaseKind::Reservation).then_some(&lease.owner);
    let row = (
        lease.token.number(),
        lease.id.as_str(),
        owner.map(|owner| owner.session.as_str()),
        owner.map(|owner| owner.agent.as_str()),
        body(lease),
    );
    run(db, sql, row)?;
    let sql = "INSERT OR IGNORE INTO lease_key (key, row, subtree) VALUES (?1, ?2, ?3)";
    put_keys(db, sql, &lease.wants, lease.token.number())
}

/// The body says which keys there are; an index over the key table by lease
/// would cost every grant two more pages.
fn delete_lease(db: &Connection, token: Token) -> Result<(), StoreError> {
    let sql = "DELETE FROM lease WHERE token = ?1 RETURNING body";
    let Some(gone) = taken(db, sql, token.number())? else {
        return Ok(());
    };
    let gone: Lease = parse(&gone)?;
    let sql = "DELETE FROM lease_key WHERE key = ?1 AND row = ?2";
    delete_keys(db, sql, &gone.wants, token.number())
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

fn delete_ticket(db: &Connection, no: TicketNo) -> Result<(), StoreError> {
    let sql = "DELETE FROM ticket WHERE no = ?1 RETURNING body";
    let Some(gone) = taken(db, sql, no.0)? else {
        return Ok(());
    };
    let gone: Ticket = parse(&gone)?;
    let sql = "DELETE FROM ticket_key WHERE key = ?1 AND row = ?2";
    delete_keys(db, sql, &gone.wants, no.0)
}

fn taken(db: &Connection, sql: &str, number: u64) -> Result<Option<String>, StoreError> {
    let mut delete = db.prepare_cached(sql)?;
    Ok(delete.query_row([number], |row| row.get(0)).optional()?)
}

fn put_keys(db: &Connection, sql: &str, wants: &[Want], row: u64) -> Result<(), StoreError> {
    for want in wants {
        let subtree = want.extent.scope == Scope::Subtree;
        run(db, sql, (want.extent.key.as_str(), row, subtree))?;
    }
    Ok(())
}

fn delete_keys(db: &Connection, sql: &str, wants: &[Want], row: u64) -> Result<(), StoreError> {
    for want in wants {
        run(db, sql, (want.extent.key.as_str(), row))?;
    }
    Ok(())
}

/// SQLite would turn a sum that is too large into a real number.
fn add(db: &Connection, count: &Count) -> Result<(), StoreError> {
    let sql = "INSERT INTO counter (name, class, value) VALUES (?1, ?2, ?3)
               ON CONFLICT (name, class) DO UPDATE SET value =
                   iif(value > 9223372036854775807 - excluded.value,
                       9223372036854775807, value + excluded.value)";
    let by = i64::try_from(count.by).unwrap_or(i64::MAX);
    run(db, sql, (count.counter.name(), &count.class, by))
}
