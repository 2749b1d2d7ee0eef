//! What must hold between steps.
//!
//! Owns: comparing rows, lost wake-ups, standing circles. Promises: looks only.
//! Leaves to others: what each answer must be (`world`).

use std::collections::BTreeSet;

use maasl_core::id::{OpId, Owner};
use maasl_core::lease::{Command, Outcome};
use maasl_core::time::Timestamp;

use super::World;
use crate::reference::{Ask, Expect, Waiter, Who, clash};
use crate::words::{op_id, owner, wants};

impl World {
    /// Each in a named circle waits for the next.
    pub(super) fn check_circle(&self, ask: &Ask, circle: &[Owner]) {
        assert_eq!(circle[0], owner(ask.who));
        assert!(circle.iter().any(|named| *named != circle[0]));
        for (at, from) in circle.iter().enumerate() {
            let to = &circle[(at + 1) % circle.len()];
            let target = |w: &Who| owner(*w) == *to;
            let no = self.table.own(ask).unwrap_or(u64::MAX);
            let asked = (ask.needs.as_slice(), no, ask.who);
            let waiting = self
                .table
                .waiters
                .iter()
                .map(|w| (w.needs.as_slice(), w.no, w.who));
            let mut edges = waiting
                .chain([asked])
                .filter(|(.., who)| owner(*who) == *from);
            let everybody: BTreeSet<Who> = (self.table.waiters.iter().map(|w| w.who))
                .chain(self.table.grants.iter().map(|g| g.who))
                .filter(target)
                .collect();
            let waits = edges.any(|(needs, no, _)| {
                let mut next = everybody.iter();
                next.any(|b| self.table.waits_for(needs, no, *b))
            });
            assert!(
                waits || from == to,
                "{from:?} does not wait for {to:?}: {ask:?} {circle:?} {:?}",
                self.table
            );
        }
    }

    /// What must hold between any two steps.
    pub(crate) fn check(&mut self) {
        let queue: BTreeSet<u64> = self.table.waiters.iter().map(|w| w.no).collect();
        self.watch.retain(|no, _| queue.contains(no));
        self.check_rows();
        self.check_wakes();
        let (watch, now) = (&self.watch, self.elapsed);
        if let Some(ring) = self
            .table
            .circle(self.latest, |who| !self.dead.contains(&who.0))
        {
            let looks = |no: &u64| watch.get(no).is_some_and(|w| w.rung || w.due <= now);
            assert!(
                ring.iter().any(looks),
                "a circle stands: {ring:?} {:?}",
                self.table
            );
        }
    }

    fn check_rows(&mut self) {
        let Outcome::Snapshot(snapshot) = self.transact(&Command::Snapshot) else {
            panic!("a snapshot is never refused");
        };
        let leases = snapshot.leases.iter().map(|l| {
            let expires = l.expires_at.ms_since(Timestamp::ZERO);
            (l.token.number(), l.owner.clone(), l.wants.clone(), expires)
        });
        let grants = self.table.grants.iter();
        let grants = grants.map(|g| (g.token, owner(g.who), wants(&g.needs).into(), g.expires));
        assert_eq!(leases.collect::<Vec<_>>(), grants.collect::<Vec<_>>());
        let tickets = snapshot
            .tickets
            .iter()
            .map(|t| (t.no.0, t.owner.clone(), t.bypassed));
        let line = |w: &Waiter| (w.no, owner(w.who), w.passed_by);
        let waiters: Vec<_> = self.table.waiters.iter().map(line).collect();
        assert_eq!(tickets.collect::<Vec<_>>(), waiters);
        let intents: BTreeSet<OpId> = snapshot.intents.into_iter().map(|i| i.op).collect();
        assert_eq!(
            intents,
            self.table.open.iter().map(|o| op_id(o.op)).collect()
        );
        for open in &self.table.open {
            let standing = self.table.grants.iter().any(|g| g.token == open.token);
            assert!(standing, "an open commit without its lease: {open:?}");
        }
        for (at, a) in self.table.grants.iter().enumerate() {
            for b in &self.table.grants[at + 1..] {
                assert!(!clash(&a.needs, &b.needs), "I3: {a:?} and {b:?}");
            }
        }
        for waiter in &self.table.waiters {
            assert!(waiter.passed_by <= 3, "overtaken too often: {waiter:?}");
            let got = self.table.grants.iter().any(|g| g.id == waiter.id);
            assert!(!got, "granted and still in the queue: {waiter:?}");
        }
    }

    /// No wake-up is lost: who could be served now has been rung, or its own
    /// timer is due. A clock that is set back may delay it by as much (I8).
    fn check_wakes(&self) {
        if self.table.now < self.latest {
            return;
        }
        for (no, watch) in &self.watch {
            let mut ask = watch.ask.clone();
            ask.dead.clone_from(&self.known);
            let lapsed = !self.table.is_queued(&ask);
            let blocked = matches!(self.table.expect(&ask), Expect::Blocked { .. });
            let looks = watch.rung || watch.due <= self.elapsed;
            let looks = looks || self.table.is_over_by_time(&ask);
            assert!(
                lapsed || blocked || looks,
                "nobody rang {no}, due {}: {:?}",
                watch.due,
                self.table
            );
        }
    }
}
