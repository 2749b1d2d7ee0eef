//! Opening and closing: sessions, generation, reservation, sweeping.
//!
//! Owns: what changes when a process comes or goes. Promises: the first token
//! after any open is above every token issued before it, whether the machine
//! rebooted, the store was restored from a copy, or lost a tail of commits.
//! Leaves to others: reading the boot identity, keeping the floor file, finding
//! out who is dead.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::command::{Open, Sweep};
use super::decide::StoreClock;
use super::ending::waiters_to_wake;
use super::outcome::{Change, Decision, Outcome};
use super::query::{Need, Query, RowSet};
use super::row::{CommitIntent, Lease, LeaseKind, Meta};
use crate::id::{Owner, SessionId, TicketNo, Token};
use crate::mutant::{Mutant, is_active};
use crate::time::Timestamp;

/// Decides [`super::Command::Open`].
pub(super) fn open(rows: &RowSet, asked: &Open, clock: StoreClock) -> Result<Decision, Need> {
    let known = rows.meta_row(Query::Meta)?;
    let mut meta = known.clone().unwrap_or_else(|| first_meta(asked));
    let mut changes = Vec::new();
    let floor = if is_active(Mutant::FloorIgnored) {
        Token::default()
    } else {
        asked.floor
    };
    meta.generation = meta.generation.max(floor.generation());
    if floor > Token::default() {
        // A store that was copied back has forgotten tokens it issued; all of
        // them are at or below the floor.
        meta.next_sequence = meta.next_sequence.max(floor.sequence() + 1);
    }
    if is_active(Mutant::TokenResetOnRestart) {
        meta.next_sequence = 1;
    }
    if *meta.boot != *asked.boot {
        meta.generation += 1;
        meta.boot = asked.boot.as_str().into();
        if !is_active(Mutant::OldBootCounts) {
            changes.extend(forget_old_clock(rows, clock.now)?);
        }
    } else if let Some(session) = &asked.session {
        changes.extend(leave_behind(rows, &session.id, &asked.store)?);
    }
    changes.push(Change::PutMeta(meta.clone()));
    changes.extend(asked.session.clone().map(Change::PutSession));
    Ok(Decision {
        outcome: Outcome::Opened(meta),
        changes,
    })
}

fn first_meta(asked: &Open) -> Meta {
    Meta {
        store: asked.store.as_str().into(),
        generation: 1,
        next_sequence: asked.first_sequence,
        reserved_through: Token::default(),
        next_ticket: 1,
        boot: asked.boot.as_str().into(),
    }
}

/// Timestamps of another boot compare with nothing: its leases are over, its
/// waiters and processes gone. The lease rows stay, for their open commits.
fn forget_old_clock(rows: &RowSet, now: Timestamp) -> Result<Vec<Change>, Need> {
    let leases = rows.leases(Query::AllLeases)?.iter();
    let over = leases.map(|lease| {
        Change::PutLease(Lease {
            expires_at: now,
            granted_at: now,
            ..lease.clone()
        })
    });
    let tickets = rows.tickets(Query::AllTickets)?.iter();
    let gone = tickets.map(|ticket| Change::DeleteTicket(ticket.no));
    let sessions = rows.sessions(Query::AllSessions)?.iter();
    let closed = sessions.map(|session| Change::DeleteSession(session.id.clone()));
    Ok(over.chain(gone).chain(closed).collect())
}

/// A process opens a state that took the place of its own, and finds there what
/// its own calls had begun when that was copied. None of them goes on here, so what
/// they hold and left open passes to a session that nobody has, which counts as
/// dead; they wait no more. Reservations stay: their agents still mean to use them.
fn leave_behind(rows: &RowSet, own: &SessionId, unused: &str) -> Result<Vec<Change>, Need> {
    let nobody = |owner: &Owner| Owner {
        session: SessionId::new(unused),
        ..owner.clone()
    };
    let leases = rows.leases(Query::AllLeases)?.iter();
    let calls = leases.filter(|lease| lease.kind == LeaseKind::Call && lease.owner.session == *own);
    let calls = calls.map(|lease| {
        Change::PutLease(Lease {
            owner: nobody(&lease.owner),
            ..lease.clone()
        })
    });
    let intents = rows.intents(Query::AllIntents)?.iter();
    let open = intents.filter(|intent| intent.owner.session == *own);
    let open = open.map(|intent| {
        Change::PutIntent(Box::new(CommitIntent {
            owner: nobody(&intent.owner),
            ..intent.clone()
        }))
    });
    let tickets = rows.tickets(Query::AllTickets)?.iter();
    let waits = tickets.filter(|ticket| ticket.owner.session == *own);
    let waits = waits.map(|ticket| Change::DeleteTicket(ticket.no));
    Ok(calls.chain(open).chain(waits).collect())
}

/// Decides [`super::Command::Reserve`]. Another process may have reserved more.
pub(super) fn reserve(rows: &RowSet, through: Token) -> Result<Decision, Need> {
    let meta = rows.meta()?;
    let reserved_through = meta.reserved_through.max(through);
    let changes = [Change::PutMeta(Meta {
        reserved_through,
        ..meta.clone()
    })]
    .into();
    Ok(Decision {
        outcome: Outcome::Done { wake: Vec::new() },
        changes,
    })
}

/// Decides [`super::Command::CloseSession`]: its waiters are gone; its leases end
/// by release before this, or by time after it.
pub(super) fn close(
    rows: &RowSet,
    session: &SessionId,
    clock: StoreClock,
) -> Result<Decision, Need> {
    forget(rows, clock.now, |id| id == session)
}

/// Decides [`super::Command::Sweep`]. Leases of the dead stay: they end by
/// takeover, under their latches, which is why those who wait for them are woken.
pub(super) fn sweep(rows: &RowSet, asked: &Sweep, clock: StoreClock) -> Result<Decision, Need> {
    let seen = !is_active(Mutant::WaiterLostOnCrash);
    forget(rows, clock.now, |id| seen && asked.dead.contains(id))
}

fn forget(
    rows: &RowSet,
    now: Timestamp,
    is_gone: impl Fn(&SessionId) -> bool,
) -> Result<Decision, Need> {
    let tickets = rows.tickets(Query::AllTickets)?.iter();
    let gone: Vec<_> = tickets
        .filter(|ticket| is_gone(&ticket.owner.session) || ticket.is_lapsed(now))
        .collect();
    let numbers: Vec<TicketNo> = gone.iter().map(|ticket| ticket.no).collect();
    let leases = rows.leases(Query::AllLeases)?.iter();
    let orphaned = leases.filter(|lease| is_gone(&lease.owner.session));
    let freed = gone
        .iter()
        .flat_map(|ticket| ticket.wants.iter())
        .chain(orphaned.flat_map(|lease| lease.wants.iter()));
    let wake = waiters_to_wake(rows, freed, &numbers, now, |_| false)?;
    let sessions = rows.sessions(Query::AllSessions)?.iter();
    let closed = sessions.filter(|session| is_gone(&session.id));
    let changes = closed
        .map(|session| Change::DeleteSession(session.id.clone()))
        .chain(numbers.iter().map(|no| Change::DeleteTicket(*no)))
        .collect();
    Ok(Decision {
        outcome: Outcome::Done { wake },
        changes,
    })
}
