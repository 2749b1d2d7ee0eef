//! All rows of a store, in ordered maps.
//!
//! Owns: answering queries and applying changes in memory. Promises: the answer
//! to an overlap query costs by the depth of the key and what is found, not by
//! what is unrelated. Leaves to others: atomicity between threads (the memory
//! store of `maasl-node`) and loss (the simulator).

mod graphs;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Bound;

use self::graphs::Graphs;
use super::counter::CounterKey;
use super::outcome::Change;
use super::query::{Query, Rows};
use super::row::{
    Answered, CommitIntent, EndedLease, Lease, LeaseEnd, LeaseKind, Meta, Session, Ticket, Version,
};
use super::{Command, Outcome, StoreClock, decide};
use crate::docgen::DocgenRecord;
use crate::docgen::record::RECORDS_MAX;
use crate::id::{LeaseId, OpId, Owner, SessionId, TicketNo, Token};
use crate::resource::{Extent, ResourceKey, Scope, Want};

/// The rows of one store.
#[derive(Clone, Debug, Default)]
pub struct MemoryRows {
    meta: Option<Meta>,
    leases: BTreeMap<Token, Lease>,
    lease_ids: BTreeMap<LeaseId, Token>,
    reservations: BTreeMap<Owner, BTreeSet<Token>>,
    lease_keys: KeyIndex<Token>,
    ended: BTreeMap<LeaseId, EndedLease>,
    tickets: BTreeMap<TicketNo, Ticket>,
    ticket_keys: KeyIndex<TicketNo>,
    ticket_owners: BTreeMap<Owner, BTreeSet<TicketNo>>,
    intents: BTreeMap<OpId, CommitIntent>,
    intent_tokens: BTreeMap<Token, BTreeSet<OpId>>,
    versions: BTreeMap<String, Vec<Version>>,
    answered: BTreeMap<String, Answered>,
    sessions: BTreeMap<SessionId, Session>,
    counters: BTreeMap<CounterKey, u64>,
    docgen: VecDeque<DocgenRecord>,
    graphs: Graphs,
}

impl MemoryRows {
    /// Decides `command` on these rows and applies the changes.
    pub fn transact(&mut self, command: &Command, clock: StoreClock) -> Outcome {
        let decided: Result<_, core::convert::Infallible> =
            decide::transact(command, clock, |query| Ok(self.load(query)));
        let Ok(decision) = decided;
        for change in decision.changes {
            self.apply(change);
        }
        decision.outcome
    }

    /// Answers a query.
    #[must_use]
    pub fn load(&self, query: &Query) -> Rows {
        match query {
            Query::Meta => Rows::Meta(self.meta.clone()),
            Query::Lease(id) => Rows::Leases(self.leases_by(self.lease_ids.get(id))),
            Query::AllLeases => Rows::Leases(self.leases.values().cloned().collect()),
            Query::LeasesOverlapping(extent) => {
                Rows::Leases(self.leases_by(&self.lease_keys.overlapping(extent)))
            }
            Query::LeasesOf(owner) => {
                Rows::Leases(self.leases_by(self.reservations.get(owner).into_iter().flatten()))
            }
            Query::Ended(id) => Rows::Ended(self.ended.get(id).cloned().map(Box::new)),
            Query::Ticket(no) => Rows::Tickets(self.tickets_by([no])),
            Query::AllTickets => Rows::Tickets(self.tickets.values().cloned().collect()),
            Query::TicketsOverlapping(extent) => {
                Rows::Tickets(self.tickets_by(&self.ticket_keys.overlapping(extent)))
            }
            Query::TicketsOf(owner) => {
                Rows::Tickets(self.tickets_by(self.ticket_owners.get(owner).into_iter().flatten()))
            }
            Query::Intent(op) => Rows::Intents(self.intents.get(op).cloned().into_iter().collect()),
            Query::IntentsOf(token) => {
                let open = self.intent_tokens.get(token).into_iter().flatten();
                let open = open.filter_map(|op| self.intents.get(op));
                Rows::Intents(open.cloned().collect())
            }
            Query::AllIntents => Rows::Intents(self.intents.values().cloned().collect()),
            Query::Version(path) => Rows::Version(self.history(path).last().cloned().map(Box::new)),
            Query::Answered(key) => Rows::Answered(self.answered.get(key).cloned().map(Box::new)),
            Query::AllSessions => Rows::Sessions(self.sessions.values().cloned().collect()),
            Query::Journal(graph) => Rows::Journals(self.graphs.journal(graph)),
            Query::AllJournals => Rows::Journals(self.graphs.journals()),
            Query::PatchAt { graph, place } => Rows::PatchAt(self.graphs.patch_at(graph, *place)),
            Query::Entries { graph, after } => Rows::Entries(self.graphs.entries(graph, *after)),
            Query::BytesAfter { graph, after } => {
                Rows::Bytes(self.graphs.bytes_after(graph, *after))
            }
            Query::Checkpoint(graph) => Rows::Checkpoint(self.graphs.checkpoint(graph)),
        }
    }

    /// Applies one change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::PutMeta(meta) => self.meta = Some(meta),
            Change::PutSession(session) => {
                self.sessions.insert(session.id.clone(), session);
            }
            Change::DeleteSession(id) => {
                self.sessions.remove(&id);
            }
            Change::PutLease(lease) => self.put_lease(lease),
            Change::DeleteLease(token) => self.delete_lease(token),
            Change::PutEnded(ended) => {
                self.ended.insert(ended.id.clone(), ended);
            }
            Change::PutTicket(ticket) => self.put_ticket(ticket),
            Change::DeleteTicket(no) => self.delete_ticket(no),
            Change::PutIntent(intent) => self.put_intent(*intent),
            Change::DeleteIntent(op) => self.delete_intent(&op),
            Change::PutVersion(version) => {
                self.versions
                    .entry(version.path.clone())
                    .or_default()
                    .push(version);
            }
            Change::PutAnswered(answered) => {
                let key = answered.request.key.clone();
                self.answered.insert(key, *answered);
            }
            Change::Add { count, hour } => {
                let key = CounterKey {
                    hour,
                    counter: count.counter,
                    class: count.class,
                    agent: count.agent,
                };
                let value = self.counters.entry(key).or_default();
                *value = value.saturating_add(count.by);
            }
            Change::PutJournal(journal) => self.graphs.put_journal(*journal),
            Change::PutEntry { graph, entry } => self.graphs.put_entry(graph, entry),
            Change::PutCheckpoint {
                graph,
                through,
                bytes,
            } => self.graphs.put_checkpoint(graph, through, bytes),
            Change::PutDocgen(record) => {
                self.docgen.push_back(*record);
                if self.docgen.len() > RECORDS_MAX as usize {
                    self.docgen.pop_front();
                }
            }
        }
    }

    /// The leases there are, expired ones too, by token.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// The waiters there are, lapsed ones too, by number.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// The open commits.
    pub fn intents(&self) -> impl Iterator<Item = &CommitIntent> {
        self.intents.values()
    }

    /// The versions known of `path`, oldest first.
    #[must_use]
    pub fn history(&self, path: &str) -> &[Version] {
        self.versions.get(path).map_or(&[], Vec::as_slice)
    }

    /// Every counter.
    #[must_use]
    pub fn counters(&self) -> &BTreeMap<CounterKey, u64> {
        &self.counters
    }

    /// The last operations on documents, oldest first.
    #[must_use]
    pub fn docgen_log(&self) -> impl DoubleEndedIterator<Item = &DocgenRecord> {
        self.docgen.iter()
    }

    /// Forgets answers given and ends of leases recorded before this wall time,
    /// in milliseconds since 1970. Revocations stay: they are the audit.
    pub fn forget_answers_before(&mut self, wall_ms: u64) {
        self.answered
            .retain(|_, answered| answered.wall_ms >= wall_ms);
        self.ended.retain(|_, ended| {
            ended.ended_wall_ms >= wall_ms || matches!(ended.end, LeaseEnd::Revoked { .. })
        });
    }

    fn leases_by<'a>(&self, tokens: impl IntoIterator<Item = &'a Token>) -> Vec<Lease> {
        tokens
            .into_iter()
            .filter_map(|token| self.leases.get(token))
            .cloned()
            .collect()
    }

    fn tickets_by<'a>(&self, numbers: impl IntoIterator<Item = &'a TicketNo>) -> Vec<Ticket> {
        numbers
            .into_iter()
            .filter_map(|no| self.tickets.get(no))
            .cloned()
            .collect()
    }

    fn put_lease(&mut self, lease: Lease) {
        self.lease_ids.insert(lease.id.clone(), lease.token);
        if lease.kind == LeaseKind::Reservation {
            self.reservations
                .entry(lease.owner.clone())
                .or_default()
                .insert(lease.token);
        }
        self.lease_keys.insert(&lease.wants, lease.token);
        self.leases.insert(lease.token, lease);
    }

    fn delete_lease(&mut self, token: Token) {
        let Some(lease) = self.leases.remove(&token) else {
            return;
        };
        self.lease_ids.remove(&lease.id);
        remove_from(&mut self.reservations, &lease.owner, &token);
        self.lease_keys.remove(&lease.wants, token);
    }

    fn put_ticket(&mut self, ticket: Ticket) {
        self.ticket_owners
            .entry(ticket.owner.clone())
            .or_default()
            .insert(ticket.no);
        self.ticket_keys.insert(&ticket.wants, ticket.no);
        self.tickets.insert(ticket.no, ticket);
    }

    fn delete_ticket(&mut self, no: TicketNo) {
        let Some(ticket) = self.tickets.remove(&no) else {
            return;
        };
        remove_from(&mut self.ticket_owners, &ticket.owner, &no);
        self.ticket_keys.remove(&ticket.wants, no);
    }

    fn put_intent(&mut self, intent: CommitIntent) {
        self.intent_tokens
            .entry(intent.token)
            .or_default()
            .insert(intent.op.clone());
        self.intents.insert(intent.op.clone(), intent);
    }

    fn delete_intent(&mut self, op: &OpId) {
        if let Some(intent) = self.intents.remove(op) {
            remove_from(&mut self.intent_tokens, &intent.token, op);
        }
    }
}

fn remove_from<K: Ord, V: Ord>(index: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}

/// Rows by the keys they are about. Subtrees stand apart, so that where there is
/// none the ancestors of a key need not be looked at.
#[derive(Clone, Debug)]
struct KeyIndex<R> {
    exact: BTreeMap<ResourceKey, Vec<R>>,
    subtrees: BTreeMap<ResourceKey, Vec<R>>,
}

impl<R> Default for KeyIndex<R> {
    fn default() -> Self {
        Self {
            exact: BTreeMap::new(),
            subtrees: BTreeMap::new(),
        }
    }
}

impl<R: Copy + Ord> KeyIndex<R> {
    fn insert(&mut self, wants: &[Want], row: R) {
        for Want { extent, .. } in wants {
            let rows = self.of(extent.scope).entry(extent.key.clone()).or_default();
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
    }

    fn remove(&mut self, wants: &[Want], row: R) {
        for Want { extent, .. } in wants {
            let index = self.of(extent.scope);
            let Some(rows) = index.get_mut(&extent.key) else {
                continue;
            };
            rows.retain(|other| *other != row);
            if rows.is_empty() {
                index.remove(&extent.key);
            }
        }
    }

    fn of(&mut self, scope: Scope) -> &mut BTreeMap<ResourceKey, Vec<R>> {
        match scope {
            Scope::Exact => &mut self.exact,
            Scope::Subtree => &mut self.subtrees,
        }
    }

    /// The rows that overlap `extent`, each once and in order.
    fn overlapping(&self, extent: &Extent) -> Vec<R> {
        let mut found = Vec::new();
        for index in [&self.exact, &self.subtrees] {
            found.extend(index.get(&extent.key).into_iter().flatten());
            if extent.scope == Scope::Subtree {
                let (low, high) = extent.key.range_below();
                let below = (
                    Bound::Included(low.as_str()),
                    Bound::Excluded(high.as_str()),
                );
                found.extend(index.range::<str, _>(below).flat_map(|(_, rows)| rows));
            }
        }
        if !self.subtrees.is_empty() {
            let above = extent.key.ancestors();
            found.extend(above.filter_map(|key| self.subtrees.get(key)).flatten());
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}
