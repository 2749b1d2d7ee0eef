//! The one way into the lease table.
//!
//! Owns: dispatch of commands, and the loop that loads a read set until a
//! decision is complete. Promises: `decide` is pure. Leaves to others: the rules
//! themselves, one file per group of commands.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::command::{Command, Inspect, Remember};
use super::outcome::{Change, Decision, Inspected, Outcome, Snapshot};
use super::query::{Need, Query, RowSet, Rows};
use super::row::{Answered, RequestKey};
use super::{acquire, commit, document, ending, journal, open, watch};
use crate::id::{LeaseId, TicketNo};
use crate::lease::counter::{Count, HOUR_MS};
use crate::time::Timestamp;

/// The two readings a store takes when its transaction begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreClock {
    /// The store's own clock; the only judge of expiry.
    pub now: Timestamp,
    /// Wall clock, milliseconds since 1970; shown to people, never compared
    /// except to forget old answers and to order concurrent patches of a graph.
    pub wall_ms: u64,
}

impl StoreClock {
    /// The change that counts `count` now.
    pub(super) fn add(self, count: Count) -> Change {
        let hour = self.wall_ms / HOUR_MS;
        Change::Add { count, hour }
    }

    /// The changes that count all of these now.
    pub(super) fn add_all(self, counts: &[Count]) -> impl Iterator<Item = Change> {
        counts.iter().cloned().map(move |count| self.add(count))
    }
}

/// Decides `command` from the rows loaded so far.
pub fn decide(rows: &RowSet, command: &Command, clock: StoreClock) -> Result<Decision, Need> {
    match command {
        Command::Open(arguments) => open::open(rows, arguments, clock),
        Command::CloseSession(session) => open::close(rows, session, clock),
        Command::Reserve(through) => open::reserve(rows, *through),
        Command::Acquire(arguments) => acquire::acquire(rows, arguments, clock),
        Command::Watch(arguments) => watch::watch(rows, arguments, clock),
        Command::Cancel(ticket) => cancel(rows, *ticket, clock),
        Command::Renew(lease) => ending::renew(rows, lease, clock),
        Command::Release(arguments) => ending::release(rows, arguments, clock),
        Command::Expire(lease) => ending::expire(rows, lease, clock),
        Command::Verify(lease) => verify(rows, lease, clock),
        Command::BeginCommit(intent) => commit::begin(rows, intent, clock),
        Command::TurnBack(op) => commit::turn_back(rows, op),
        Command::FinishCommit(arguments) => commit::finish(rows, arguments, clock),
        Command::Revoke(arguments) => ending::revoke(rows, arguments, clock),
        Command::Sweep(arguments) => open::sweep(rows, arguments, clock),
        Command::Inspect(arguments) => inspect(rows, arguments, clock),
        Command::Recall(request) => recall(rows, request),
        Command::Remember(arguments) => remember(rows, arguments, clock),
        Command::Tally(counts) => Ok(tally(counts, clock)),
        Command::NoteDocument(arguments) => document::note(rows, arguments, clock),
        Command::ReadGraph(arguments) => journal::read(rows, arguments, clock),
        Command::DrawDot(arguments) => journal::draw(rows, arguments, clock),
        Command::AppendPatch(arguments) => journal::append(rows, arguments, clock),
        Command::KeepCheckpoint(arguments) => journal::keep(rows, arguments, clock),
        Command::ListGraphs => journal::list(rows),
        Command::Snapshot => snapshot(rows),
    }
}

/// Runs `command` with rows fetched on demand by `load`, as a store does inside
/// its transaction.
pub fn transact<E>(
    command: &Command,
    clock: StoreClock,
    mut load: impl FnMut(&Query) -> Result<Rows, E>,
) -> Result<Decision, E> {
    let first = foreseen(command);
    let mut rows = RowSet::with_capacity(first.len() + 2);
    let mut fetch = |rows: &mut RowSet, query: Query| {
        let answer = load(&query)?;
        rows.insert(query, answer);
        Ok(())
    };
    for query in first {
        fetch(&mut rows, query)?;
    }
    for query in foreseen_next(command, &rows) {
        fetch(&mut rows, query)?;
    }
    loop {
        match decide(&rows, command, clock) {
            Ok(decision) => return Ok(decision),
            Err(Need(query)) => fetch(&mut rows, query)?,
        }
    }
}

/// What the usual course of the frequent commands asks for. Loading it at once
/// saves deciding anew for each; loading too much costs a look-up.
fn foreseen(command: &Command) -> Vec<Query> {
    match command {
        Command::Acquire(asked) if asked.request.is_none() => {
            let lease = &asked.lease;
            let mut queries = Vec::with_capacity(3 + 2 * asked.wants.len());
            queries.extend([Query::Lease(lease.clone()), Query::Ended(lease.clone())]);
            for want in asked.wants.iter() {
                queries.push(Query::LeasesOverlapping(want.extent.clone()));
                queries.push(Query::TicketsOverlapping(want.extent.clone()));
            }
            queries.push(Query::Meta);
            queries
        }
        Command::Release(asked) => [Query::Lease(asked.lease.clone())].into(),
        Command::BeginCommit(intent) if intent.request.is_none() => [
            Query::Intent(intent.op.clone()),
            Query::Lease(intent.lease.clone()),
            Query::IntentsOf(intent.token),
        ]
        .into(),
        Command::FinishCommit(asked) => [Query::Intent(asked.op.clone())].into(),
        _ => Vec::new(),
    }
}

/// What it asks for next, where that follows from the row it begins with.
fn foreseen_next(command: &Command, rows: &RowSet) -> Vec<Query> {
    match command {
        Command::Release(asked) => {
            let Ok(Some(lease)) = rows.lease(&asked.lease) else {
                return Vec::new();
            };
            let extents = lease.wants.iter().map(|want| want.extent.clone());
            let waiters = extents.map(Query::TicketsOverlapping);
            [Query::IntentsOf(lease.token)]
                .into_iter()
                .chain(waiters)
                .collect()
        }
        Command::FinishCommit(asked) => {
            let Ok(Some(intent)) = rows.intent(&asked.op) else {
                return Vec::new();
            };
            let paths = intent.items.iter().map(|item| item.path.clone());
            let versions = paths.map(Query::Version);
            [Query::Lease(intent.lease.clone())]
                .into_iter()
                .chain(versions)
                .collect()
        }
        _ => Vec::new(),
    }
}

fn cancel(rows: &RowSet, no: TicketNo, clock: StoreClock) -> Result<Decision, Need> {
    let Some(ticket) = rows.ticket(no)? else {
        return Ok(Decision::unchanged(Outcome::Done { wake: Vec::new() }));
    };
    let wake = ending::waiters_to_wake(rows, &*ticket.wants, &[no], clock.now, |_| false)?;
    Ok(Decision {
        outcome: Outcome::Done { wake },
        changes: [Change::DeleteTicket(no)].into(),
    })
}

fn verify(rows: &RowSet, id: &LeaseId, clock: StoreClock) -> Result<Decision, Need> {
    let outcome = match rows.lease(id)? {
        Some(lease) if !lease.is_expired(clock.now) => Outcome::Held {
            lease: lease.clone(),
            expires_in_ms: lease.expires_at.ms_since(clock.now),
        },
        Some(lease) => Outcome::Lost {
            ended: None,
            expired: Some(lease.clone()),
        },
        None => Outcome::Lost {
            ended: rows.ended(id)?.cloned(),
            expired: None,
        },
    };
    Ok(Decision::unchanged(outcome))
}

fn inspect(rows: &RowSet, arguments: &Inspect, clock: StoreClock) -> Result<Decision, Need> {
    let extent = &arguments.extent;
    let holders = rows
        .leases(Query::LeasesOverlapping(extent.clone()))?
        .iter()
        .filter(|lease| !lease.is_expired(clock.now))
        .map(|lease| acquire::holder(lease, &extent.key, clock.now))
        .collect();
    let waiters = rows
        .tickets(Query::TicketsOverlapping(extent.clone()))?
        .iter()
        .filter(|ticket| !ticket.is_lapsed(clock.now))
        .count();
    let intents = rows
        .intents(Query::AllIntents)?
        .iter()
        .filter(|intent| intent.changes(extent))
        .cloned()
        .collect();
    let version = match &arguments.path {
        Some(path) => rows.version(path)?.cloned(),
        None => None,
    };
    Ok(Decision::unchanged(Outcome::Inspected(Inspected {
        holders,
        waiters: u32::try_from(waiters).unwrap_or(u32::MAX),
        intents,
        version,
    })))
}

/// What to answer a request that was answered before, if it was.
pub(super) fn earlier_answer(answered: Option<&Answered>, request: &RequestKey) -> Option<Outcome> {
    let answered = answered?;
    if answered.request.fingerprint == request.fingerprint {
        Some(Outcome::Answered(answered.receipt.clone()))
    } else {
        Some(Outcome::KeyMismatch)
    }
}

fn recall(rows: &RowSet, request: &RequestKey) -> Result<Decision, Need> {
    if let Some(known) = earlier_answer(rows.answered(&request.key)?, request) {
        return Ok(Decision::unchanged(known));
    }
    let open = rows.intents(Query::AllIntents)?.iter();
    let open = open.filter(|intent| {
        let under = intent.request.as_ref();
        under.is_some_and(|under| under.key == request.key)
    });
    let open: Vec<_> = open.cloned().collect();
    Ok(Decision::unchanged(if open.is_empty() {
        Outcome::NotAnswered
    } else {
        Outcome::NeedRecovery(open)
    }))
}

/// The answer under the key is the first that was given.
pub(super) fn remember(
    rows: &RowSet,
    asked: &Remember,
    clock: StoreClock,
) -> Result<Decision, Need> {
    let request = &asked.request;
    if let Some(known) = earlier_answer(rows.answered(&request.key)?, request) {
        return Ok(Decision::unchanged(known));
    }
    let answered = Answered {
        request: request.clone(),
        receipt: asked.receipt.clone(),
        wall_ms: clock.wall_ms,
    };
    Ok(Decision {
        outcome: Outcome::Answered(asked.receipt.clone()),
        changes: [Change::PutAnswered(Box::new(answered))].into(),
    })
}

fn tally(counts: &[Count], clock: StoreClock) -> Decision {
    Decision {
        outcome: Outcome::Done { wake: Vec::new() },
        changes: clock.add_all(counts).collect(),
    }
}

fn snapshot(rows: &RowSet) -> Result<Decision, Need> {
    let mut leases = rows.leases(Query::AllLeases)?.clone();
    for lease in &mut leases {
        lease.id = LeaseId::default();
    }
    let mut tickets = rows.tickets(Query::AllTickets)?.clone();
    for ticket in &mut tickets {
        ticket.lease = LeaseId::default();
    }
    let mut intents = rows.intents(Query::AllIntents)?.clone();
    for intent in &mut intents {
        intent.lease = LeaseId::default();
    }
    Ok(Decision::unchanged(Outcome::Snapshot(Snapshot {
        meta: rows.meta()?.clone(),
        leases,
        tickets,
        intents,
        sessions: rows.sessions(Query::AllSessions)?.clone(),
    })))
}
