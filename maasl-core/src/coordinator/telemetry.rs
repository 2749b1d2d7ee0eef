//! What calls came to, for whoever keeps events.
//!
//! Owns: the events that follow from an answer, and the end of leases. Promises:
//! nothing is decided by an event, and none is needed for correctness; counters
//! are kept elsewhere, in the store. Leaves to others: where events go (the node).

use alloc::string::{String, ToString};

use super::call::Cx;
use super::io::{Event, Reply};
use super::shared::Held;
use crate::id::{LeaseId, Token};
use crate::refusal::Refusal;
use crate::reply::Receipt;

impl Cx {
    /// Forgets a lease that was returned.
    pub(super) fn let_go(&self, id: &LeaseId) -> Option<Held> {
        let held = self.seed.shared.borrow_mut().drop_lease(id)?;
        self.event(Event::LockReleased {
            agent: self.seed.agent.clone(),
            keys: held.lease.keys().cloned().collect(),
            token: held.lease.token,
        });
        Some(held)
    }

    /// Tells what became of a call.
    pub(super) fn tell(&self, result: &Result<Reply, Refusal>) {
        match result {
            Ok(Reply::Receipt(receipt)) => self.tell_receipt(receipt),
            Ok(_) => {}
            Err(refusal) => self.tell_refusal(refusal),
        }
    }

    fn tell_receipt(&self, receipt: &Receipt) {
        match receipt {
            Receipt::Changed {
                files,
                token,
                beyond,
                ..
            } => {
                for file in files {
                    if file.merged {
                        self.tell_one("merged", &file.path, Some(*token));
                    }
                    if file.rebased {
                        self.tell_one("rebased", &file.path, Some(*token));
                    }
                }
                if let Some(database) = &beyond.database {
                    self.tell_one("db_write", &database.db, Some(*token));
                }
            }
            Receipt::Written { db, token, .. } => self.tell_one("db_write", db, Some(*token)),
            Receipt::Enriched { token, .. } => {
                self.tell_one("db_write", crate::database::RAG, Some(*token));
            }
            _ => {}
        }
    }

    fn tell_refusal(&self, refusal: &Refusal) {
        match refusal {
            Refusal::ResourceBusy(busy) => self.tell_one("lock_timeout", &busy.resource, None),
            Refusal::DbBusy(busy) => self.tell_one("lock_timeout", &busy.busy.resource, None),
            Refusal::StaleVersion(stale) => self.tell_one("stale_refused", &stale.path, None),
            Refusal::DocgenStale(stale) => self.tell_one("stale_refused", &stale.path, None),
            Refusal::Deadlock { circle } => {
                let next = circle.get(1).map(|owner| owner.agent.to_string());
                self.tell_one("deadlock_refused", &next.unwrap_or_default(), None);
            }
            Refusal::LeaseLost(lost) => {
                let resources: String = lost.resources.join(" ");
                self.tell_one("fence_rejected", &resources, lost.token);
                if lost.expired {
                    self.tell_one("lease_expired", &resources, lost.token);
                }
            }
            _ => {}
        }
    }

    fn tell_one(&self, what: &'static str, subject: &str, token: Option<Token>) {
        self.event(Event::Told {
            agent: self.seed.agent.clone(),
            what,
            subject: subject.to_string(),
            token,
        });
    }
}
