//! What all calls of one process know together.
//!
//! Owns: which leases the process holds and until when it may believe so, what
//! each agent has seen of each file, graphs as far as they were read, and losses not
//! yet told. Promises: a lease
//! counts from before its request was first sent, and is no longer used once the
//! store's clock could have expired it, however far both clocks drift within the
//! configured bound. Leaves to others: what is true (the lease table).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::graph::known::Graphs;
use crate::id::{AgentId, ContentHash, LeaseId, TicketNo, Token};
use crate::lease::{Lease, LeaseKind};
use crate::refusal::LostLease;
use crate::time::Timestamp;

/// Parts per million.
const MILLION: u64 = 1_000_000;
/// Files remembered over all agents; the least recently seen is forgotten, which
/// costs its agent one more read.
const SEEN_MAX: usize = 100_000;
/// Rings remembered for calls that do not sleep yet; losing one costs its waiter
/// a look later.
const EARLY_RINGS_MAX: usize = 1_024;

/// A lease as its holder believes in it.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) lease: Lease,
    /// Until when it may be relied on, by the process's own clock.
    pub(super) usable_until: Timestamp,
    /// When to renew it.
    pub(super) renew_at: Timestamp,
    /// Calls that work under it now.
    pub(super) users: u32,
    /// Whether it is renewed even while no call uses it.
    pub(super) keep: bool,
    /// Whether a renewal is under way.
    pub(super) renewing: bool,
}

impl Held {
    /// A lease whose request was first sent at `sent`.
    ///
    /// The holder stops at `ttl * (1 - rho) / (1 + rho)` of its own clock: with
    /// both clocks within `rho` of true time, the store cannot have expired it
    /// earlier (Gray & Cheriton, 1989, state the assumption).
    pub(super) fn new(lease: Lease, sent: Timestamp, drift_ppm: u64, keep: bool) -> Self {
        let mut held = Self {
            lease,
            usable_until: sent,
            renew_at: sent,
            users: 0,
            keep,
            renewing: false,
        };
        held.renewed(sent, drift_ppm);
        held
    }

    /// Counts the lease anew from a renewal sent at `sent`.
    pub(super) fn renewed(&mut self, sent: Timestamp, drift_ppm: u64) {
        let ttl_ms = self.lease.ttl_ms;
        let drift_ppm = drift_ppm.min(MILLION - 1);
        let usable_ms = ttl_ms.saturating_mul(MILLION - drift_ppm) / (MILLION + drift_ppm);
        self.usable_until = sent.plus_ms(usable_ms);
        self.renew_at = sent.plus_ms(ttl_ms / 3);
        self.renewing = false;
    }

    fn wants_renewal(&self) -> bool {
        (self.users > 0 || self.keep) && !self.renewing
    }
}

/// The state shared by the calls of one process.
#[derive(Debug, Default)]
pub(super) struct Shared {
    held: BTreeMap<LeaseId, Held>,
    /// Reservations that are asked for.
    asked_for: BTreeSet<LeaseId>,
    seen: BTreeMap<(AgentId, String), (u64, ContentHash)>,
    /// The same files by when they were seen last.
    seen_order: BTreeMap<u64, (AgentId, String)>,
    seen_count: u64,
    lost: BTreeMap<AgentId, Vec<LostLease>>,
    early_rings: BTreeSet<TicketNo>,
    /// Graphs that were looked at.
    pub(super) graphs: Graphs,
    /// Leases of calls that ended and could not return them.
    stranded: Vec<LeaseId>,
    /// Tickets of calls that ended and could not take them back.
    stranded_tickets: Vec<TicketNo>,
}

impl Shared {
    pub(super) fn hold(&mut self, held: Held) {
        self.held.insert(held.lease.id.clone(), held);
    }

    pub(super) fn held(&mut self, id: &LeaseId) -> Option<&mut Held> {
        self.held.get_mut(id)
    }

    pub(super) fn drop_lease(&mut self, id: &LeaseId) -> Option<Held> {
        self.held.remove(id)
    }

    pub(super) fn all_held(&self) -> Vec<LeaseId> {
        self.held.keys().cloned().collect()
    }

    pub(super) fn believed(&self) -> Vec<(Lease, Timestamp)> {
        let held = self.held.values();
        let held = held.map(|held| (held.lease.clone(), held.usable_until));
        held.collect()
    }

    /// Takes a place for a reservation that is about to be asked for, unless all `max`
    /// are taken: by those that this process holds, as far as it may believe so, and
    /// by those that it asks for.
    pub(super) fn ask_for(&mut self, id: &LeaseId, now: Timestamp, max: u64) -> bool {
        let held = self.held.iter().filter(|(id, held)| {
            let counts = held.lease.kind == LeaseKind::Reservation && now < held.usable_until;
            counts && !self.asked_for.contains(*id)
        });
        let is_free = ((held.count() + self.asked_for.len()) as u64) < max;
        if is_free {
            self.asked_for.insert(id.clone());
        }
        is_free
    }

    /// The request for a reservation is over; a grant counts by itself.
    pub(super) fn asked_for(&mut self, id: &LeaseId) {
        self.asked_for.remove(id);
    }

    /// The next lease to renew, and when.
    pub(super) fn next_renewal(&self) -> Option<(Timestamp, LeaseId)> {
        let due = self.held.values().filter(|held| held.wants_renewal());
        due.map(|held| (held.renew_at, held.lease.id.clone())).min()
    }

    /// Reservations of `agent` that it can no longer rely on.
    pub(super) fn doubtful(&self, agent: &AgentId, now: Timestamp) -> Vec<LeaseId> {
        let held = self.held.values();
        let doubtful = held.filter(|held| {
            held.lease.kind == LeaseKind::Reservation
                && held.lease.owner.agent == *agent
                && now >= held.usable_until
        });
        doubtful.map(|held| held.lease.id.clone()).collect()
    }

    /// Remembers a lease that is to be ended as soon as the store can.
    pub(super) fn strand(&mut self, id: LeaseId) {
        self.stranded.push(id);
    }

    /// Remembers a ticket that is to be taken back as soon as the store can.
    pub(super) fn strand_ticket(&mut self, ticket: TicketNo) {
        self.stranded_tickets.push(ticket);
    }

    pub(super) fn take_stranded(&mut self) -> (Vec<LeaseId>, Vec<TicketNo>) {
        let leases = core::mem::take(&mut self.stranded);
        (leases, core::mem::take(&mut self.stranded_tickets))
    }

    /// Remembers a ring for a ticket nobody sleeps on yet: its call is still being
    /// told that it waits, or is looking for dead holders.
    pub(super) fn ring_early(&mut self, ticket: TicketNo) {
        self.early_rings.insert(ticket);
        if self.early_rings.len() > EARLY_RINGS_MAX {
            // The oldest is of a call that ended long ago.
            self.early_rings.pop_first();
        }
    }

    /// Whether this ticket was rung before its call slept.
    pub(super) fn take_early_ring(&mut self, ticket: TicketNo) -> bool {
        self.early_rings.remove(&ticket)
    }

    /// Remembers a loss until the agent's next call tells it.
    pub(super) fn lose(&mut self, agent: &AgentId, lost: LostLease) {
        self.lost.entry(agent.clone()).or_default().push(lost);
    }

    pub(super) fn take_losses(&mut self, agent: &AgentId) -> Vec<LostLease> {
        self.lost.remove(agent).unwrap_or_default()
    }

    /// Withdraws a loss that the answer itself tells.
    pub(super) fn told(&mut self, agent: &AgentId, token: Token) {
        if let Some(lost) = self.lost.get_mut(agent) {
            lost.retain(|lost| lost.token != Some(token));
        }
    }

    /// What `agent` last saw of `path`.
    pub(super) fn seen(&self, agent: &AgentId, path: &str) -> Option<ContentHash> {
        let key = (agent.clone(), String::from(path));
        self.seen.get(&key).map(|(_, hash)| *hash)
    }

    pub(super) fn see(&mut self, agent: &AgentId, path: &str, hash: ContentHash) {
        let key = (agent.clone(), String::from(path));
        self.seen_count += 1;
        let newest = (self.seen_count, hash);
        if let Some((before, _)) = self.seen.insert(key.clone(), newest) {
            self.seen_order.remove(&before);
        }
        self.seen_order.insert(self.seen_count, key);
        if self.seen.len() > SEEN_MAX
            && let Some((_, oldest)) = self.seen_order.pop_first()
        {
            self.seen.remove(&oldest);
        }
    }

    pub(super) fn unsee(&mut self, agent: &AgentId, path: &str) {
        let key = (agent.clone(), String::from(path));
        if let Some((count, _)) = self.seen.remove(&key) {
            self.seen_order.remove(&count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: usize) -> ContentHash {
        ContentHash::of(&number.to_be_bytes())
    }

    #[test]
    fn a_file_is_remembered_however_often_another_is_seen() {
        let (mut shared, agent) = (Shared::default(), AgentId::new("a"));
        shared.see(&agent, "once", hash(0));
        for number in 0..=2 * SEEN_MAX {
            shared.see(&agent, "often", hash(number));
        }
        assert_eq!(shared.seen(&agent, "once"), Some(hash(0)));
        assert_eq!(shared.seen_order.len(), 2, "memory follows the files");
        shared.unsee(&agent, "once");
        assert_eq!(shared.seen(&agent, "once"), None);
        assert_eq!(shared.seen_order.len(), 1);
    }

    #[test]
    fn the_file_seen_longest_ago_is_forgotten_first() {
        let (mut shared, agent) = (Shared::default(), AgentId::new("a"));
        let path = |number: usize| alloc::format!("f{number}");
        for number in 0..SEEN_MAX {
            shared.see(&agent, &path(number), hash(number));
        }
        shared.see(&agent, &path(0), hash(0));
        shared.see(&agent, "one more", hash(1));
        assert_eq!(shared.seen(&agent, &path(0)), Some(hash(0)));
        assert_eq!(shared.seen(&agent, &path(1)), None);
        assert_eq!(shared.seen(&agent, &path(2)), Some(hash(2)));
        assert_eq!(shared.seen.len(), SEEN_MAX);
    }
}
