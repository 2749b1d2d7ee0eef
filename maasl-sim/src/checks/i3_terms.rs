//! I3 and I1 by what was answered: a lease is somebody's from its grant to its
//! end, and nobody else's; what is changed under it belongs to it.
//!
//! Owns: what every holder was told of its lease, timed by the store's clock.
//! Promises: goes by commands and answers alone, so it also sees a row that went
//! too early. Only a loss makes it look at the rows, once: what they say then is
//! all that anybody can still be told. Leaves to others: what a holder believes
//! by its own clock (I8), and the rows (`i3_exclusion`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{LeaseId, OpId, SessionId, Token};
use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, CommitIntent, Lease, Outcome, Query, Rows};
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge};
use crate::observe::{Ground, Observation};
use crate::promise::Promise;

/// A lease as its holder was told of it.
#[derive(Debug)]
struct Term {
    token: Token,
    session: SessionId,
    granted: Granted,
    ttl_ms: u64,
    lock_delay_ms: u64,
    expires_at: Timestamp,
}

/// An open commit: under which lease, and whether it returns it.
#[derive(Debug)]
struct Open {
    lease: LeaseId,
    release: bool,
}

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Terms {
    by_lease: BTreeMap<LeaseId, Term>,
    open: BTreeMap<OpId, Open>,
    dead: BTreeSet<SessionId>,
    boot: Option<String>,
}

impl Judge for Terms {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Transacted {
                command,
                outcome,
                clock,
                ..
            } => self.transacted(command, outcome, clock.now),
            Observation::Died { session, .. } => {
                self.dead.insert((*session).clone());
                Ok(())
            }
            Observation::PowerCut | Observation::Restored => {
                self.take_over(ground);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Terms {
    fn transacted(
        &mut self,
        command: &Command,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), Breach> {
        if let Command::Acquire(asked) = command {
            self.found_dead(asked, outcome, now)?;
        }
        match (command, outcome) {
            (_, Outcome::Opened(meta)) => self.opened(&meta.boot, now),
            (Command::Acquire(asked), Outcome::Granted { lease, .. }) => {
                return self.granted(asked, lease, now);
            }
            (Command::Renew(id), Outcome::Held { lease, .. }) => {
                let term = self.live(id, now, "renewed-after-its-end", Promise::I3)?;
                term.expires_at = now.plus_ms(term.ttl_ms);
                as_long_as_asked_for(lease, now)?;
            }
            (Command::Expire(id), Outcome::Done { .. }) => {
                // Its holder is done with it: no lock-delay follows. One that has
                // begun stays.
                let live = |term: &&mut Term| now < term.expires_at;
                if let Some(term) = self.by_lease.get_mut(id).filter(live) {
                    term.expires_at = now;
                    term.lock_delay_ms = 0;
                }
            }
            (Command::Release(asked), Outcome::Released { .. }) => {
                self.live(&asked.lease, now, "returned-after-its-end", Promise::I3)?;
                self.by_lease.remove(&asked.lease);
            }
            (Command::Revoke(_), Outcome::Revoked { leases, .. }) => {
                let ended = |term: &Term| leases.iter().any(|one| one.token == term.token);
                self.by_lease.retain(|_, term| !ended(term));
            }
            (Command::BeginCommit(intent), Outcome::Begun) => return self.begun(intent, now),
            (Command::FinishCommit(asked), Outcome::Finished { .. }) => {
                let open = self.open.remove(&asked.op);
                if let Some(open) = open.filter(|open| open.release) {
                    self.by_lease.remove(&open.lease);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The store is another one now, of which only the rows can tell.
    fn take_over(&mut self, ground: &Ground<'_>) {
        let leases = ground.rows.leases();
        let terms = leases.map(|lease| (lease.id.clone(), Term::of(lease, lease.expires_at)));
        self.by_lease = terms.collect();
        let intents = ground.rows.intents();
        let open = intents.map(|intent| (intent.op.clone(), Open::of(intent)));
        self.open = open.collect();
        self.boot = match ground.rows.load(&Query::Meta) {
            Rows::Meta(Some(meta)) => Some(meta.boot.to_string()),
            _ => None,
        };
    }

    /// Times of another boot compare with nothing: its leases have run out.
    fn opened(&mut self, boot: &str, now: Timestamp) {
        if self.boot.as_deref().is_some_and(|known| known != boot) {
            for term in self.by_lease.values_mut() {
                term.expires_at = now;
            }
        }
        self.boot = Some(boot.to_owned());
    }

    /// A lease of the dead is over once it is granted to somebody who knows, or
    /// once its lock-delay began because somebody who knows waits for it; until
    /// then whoever has it may present and renew it.
    fn found_dead(
        &mut self,
        asked: &Acquire,
        outcome: &Outcome,
        now: Timestamp,
    ) -> Result<(), Breach> {
        if let Some(living) = asked.dead.difference(&self.dead).next() {
            let message = format!("{living} was taken for dead and lives");
            return Err(Breach::new(Promise::I3, "living-taken-for-dead", message));
        }
        let granted = matches!(outcome, Outcome::Granted { .. });
        let waits = matches!(outcome, Outcome::Queued { .. } | Outcome::Busy { .. });
        let wanted = Granted::wanted(&asked.wants);
        for term in self.by_lease.values_mut() {
            let over = granted || (waits && term.lock_delay_ms > 0);
            if over && asked.dead.contains(&term.session) && term.granted.excludes(&wanted) {
                term.expires_at = term.expires_at.min(now);
            }
        }
        Ok(())
    }

    fn granted(&mut self, asked: &Acquire, lease: &Lease, now: Timestamp) -> Result<(), Breach> {
        let known = self.by_lease.get(&lease.id);
        if known.is_some_and(|known| known.token == lease.token) {
            return Ok(());
        }
        if known.is_some() {
            let message = format!("one request was granted again as token {}", lease.token);
            return Err(Breach::new(Promise::I3, "granted-twice", message));
        }
        if lease.wants != asked.wants {
            let (got, of) = (lease.wants.len(), asked.wants.len());
            let message = format!("token {} covers {got} of {of} resources", lease.token);
            return Err(Breach::new(Promise::I3, "granted-in-part", message));
        }
        as_long_as_asked_for(lease, now)?;
        let term = Term::of(lease, now.plus_ms(lease.ttl_ms));
        self.ends_only_what_is_over(&term.granted, now)?;
        self.by_lease.insert(lease.id.clone(), term);
        Ok(())
    }

    fn ends_only_what_is_over(&mut self, granted: &Granted, now: Timestamp) -> Result<(), Breach> {
        let others = self.by_lease.values();
        for other in others.filter(|term| term.granted.excludes(granted)) {
            let (new, old) = (granted.token, other.token);
            if now < other.expires_at {
                let message = format!("token {new} was granted while {old} was held");
                return Err(Breach::new(Promise::I3, "granted-while-held", message));
            }
            if now < other.expires_at.plus_ms(other.lock_delay_ms) {
                let message = format!("token {new} was granted in the lock-delay of {old}");
                return Err(Breach::new(Promise::I3, "lock-delay", message));
            }
        }
        self.by_lease
            .retain(|_, term| !term.granted.excludes(granted));
        Ok(())
    }

    fn begun(&mut self, intent: &CommitIntent, now: Timestamp) -> Result<(), Breach> {
        if self.open.contains_key(&intent.op) {
            return Ok(());
        }
        let term = self.live(&intent.lease, now, "commit-after-its-end", Promise::I1)?;
        covers(&term.granted, intent)?;
        self.open.insert(intent.op.clone(), Open::of(intent));
        Ok(())
    }

    /// The term of a lease that must stand.
    fn live(
        &mut self,
        id: &LeaseId,
        now: Timestamp,
        site: &'static str,
        promise: Promise,
    ) -> Result<&mut Term, Breach> {
        match self.by_lease.get_mut(id) {
            Some(term) if now < term.expires_at => Ok(term),
            Some(term) => {
                let message = format!("token {} had expired", term.token);
                Err(Breach::new(promise, site, message))
            }
            None => Err(Breach::new(promise, site, "the lease was over")),
        }
    }
}

impl Term {
    fn of(lease: &Lease, expires_at: Timestamp) -> Self {
        Self {
            token: lease.token,
            session: lease.owner.session.clone(),
            granted: Granted::of(lease),
            ttl_ms: lease.ttl_ms,
            lock_delay_ms: lease.lock_delay_ms,
            expires_at,
        }
    }
}

impl Open {
    fn of(intent: &CommitIntent) -> Self {
        Self {
            lease: intent.lease.clone(),
            release: intent.release,
        }
    }
}

/// Whatever a commit changes belongs to its lease, and to it alone.
fn covers(granted: &Granted, intent: &CommitIntent) -> Result<(), Breach> {
    let files = intent.items.iter().map(|item| key_of(&item.path));
    let database = intent.database.iter();
    let database = database.map(|database| database.key.as_str().to_owned());
    match files.chain(database).find(|key| !granted.allows(key)) {
        None => Ok(()),
        Some(key) => {
            let message = format!("token {} is not for changing {key}", granted.token);
            Err(Breach::new(Promise::I1, "commit-not-covered", message))
        }
    }
}

/// The key of a file of a plan: its path has no other alias than in small letters.
fn key_of(path: &str) -> String {
    format!("code:{}", path.to_ascii_lowercase())
}

fn as_long_as_asked_for(lease: &Lease, now: Timestamp) -> Result<(), Breach> {
    if lease.expires_at > now.plus_ms(lease.ttl_ms) {
        let message = format!("token {} lasts longer than asked for", lease.token);
        return Err(Breach::new(Promise::I3, "lease-too-long", message));
    }
    Ok(())
}

#[cfg(test)]
#[path = "i3_terms_tests.rs"]
mod tests;
