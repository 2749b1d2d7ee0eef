//! I11: one guarded writer of a database, in the order of tokens, and nothing of
//! what was given up.
//!
//! Owns: the newest grant and the newest commit of each database, and what every
//! request was to write. Promises: a commit is judged at the instant it becomes
//! visible, an answer when its agent gets it, and a refusal when it is decided.
//! Leaves to others: files (I1, I5), leases as such (I3).

use std::collections::BTreeMap;

use maasl_core::coordinator::io::{CallId, Reply, Response};
use maasl_core::id::Token;
use maasl_core::lease::{Lease, LeaseKind, Outcome};
use maasl_core::reply::Receipt;
use maasl_core::resource::ResourceKey;
use maasl_core::time::Timestamp;

use super::grants::Granted;
use super::{Breach, Judge, leaves_open};
use crate::observe::{Asked, Ground, Observation, ProcessNo, RequestNo};
use crate::plan::{Action, Together};
use crate::promise::Promise;

type Writer = (ProcessNo, CallId);

/// The judge.
#[derive(Debug, Default)]
pub(super) struct Databases {
    grants: Vec<Granted>,
    inside: BTreeMap<Writer, Vec<ResourceKey>>,
    /// Calls whose work was done when their lease was over already.
    outlived: BTreeMap<Writer, Token>,
    /// The newest token that each database was committed under.
    newest: BTreeMap<String, Token>,
    /// How often each row was committed.
    rows: BTreeMap<String, u32>,
    /// What each request is to write, and whether once at most.
    asked: BTreeMap<RequestNo, Request>,
    /// A row that each call has committed, until it is answered.
    committed: BTreeMap<Writer, String>,
    restored: bool,
}

#[derive(Debug)]
struct Request {
    rows: Vec<String>,
    keyed: bool,
}

impl Judge for Databases {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        match seen {
            Observation::Transacted {
                outcome: Outcome::Granted { lease, .. },
                ..
            } => self.note_grant(lease),
            Observation::Latched {
                process,
                call,
                keys,
            } => {
                self.inside.insert((*process, *call), keys.to_vec());
            }
            Observation::Unlatched { process, call } => {
                self.inside.remove(&(*process, *call));
                self.outlived.remove(&(*process, *call));
            }
            Observation::Died { process, .. } => {
                self.inside.retain(|(inside, _), _| inside != process);
                self.outlived.retain(|(inside, _), _| inside != process);
                self.committed.retain(|(inside, _), _| inside != process);
            }
            Observation::Restored => self.restored = true,
            Observation::DatabaseMet { db } => {
                let message = format!("two guarded writers met at {db}");
                return Err(breach("two-writers", message));
            }
            Observation::DatabaseWorked {
                process,
                call,
                db,
                now,
            } => self.note_work((*process, *call), db, *now, ground),
            Observation::DatabaseCommitted {
                process,
                call,
                db,
                seal,
                rows,
            } => {
                self.judge_commit((*process, *call), db, seal.token)?;
                let row = rows.first().cloned();
                self.committed
                    .extend(row.map(|row| ((*process, *call), row)));
                return self.note_rows(rows);
            }
            // Whoever was granted the database since has written nothing, or this
            // would be gone: it stands in the order of tokens.
            Observation::DatabaseCameBack { db, seal, rows } => {
                let newest = self.newest.entry((*db).to_owned()).or_default();
                *newest = seal.token.max(*newest);
                return self.note_rows(rows);
            }
            Observation::Decided {
                process,
                call,
                response,
                ..
            } => {
                let committed = self.committed.remove(&(*process, *call));
                return judge_refusal(committed, response);
            }
            Observation::Asked(asked) => self.note_request(asked, ground),
            Observation::Answered {
                request, response, ..
            } => {
                if let Ok(Reply::Receipt(Receipt::Written { .. } | Receipt::Changed { .. })) =
                    &response.result
                {
                    return self.judge_answer(*request);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Databases {
    fn note_grant(&mut self, lease: &Lease) {
        if self.grants.iter().all(|one| one.token != lease.token) {
            self.grants.push(Granted::of(lease));
        }
    }

    /// Work that ends after its lease has expired must not be committed: the
    /// lease is looked at after it.
    fn note_work(&mut self, by: Writer, db: &str, now: Timestamp, ground: &Ground<'_>) {
        let key = ResourceKey::new("db", db);
        let mut leases = ground.rows.leases();
        let own = leases.find(|lease| lease.allows_change_of(&key));
        let expired = own.filter(|lease| now >= lease.expires_at);
        if let Some(lease) = expired.filter(|lease| lease.kind == LeaseKind::Call) {
            self.outlived.insert(by, lease.token);
        }
    }

    fn judge_commit(&mut self, by: Writer, db: &str, token: Token) -> Result<(), Breach> {
        let key = ResourceKey::new("db", db);
        let latched = self.inside.get(&by);
        if !latched.is_some_and(|keys| keys.contains(&key)) {
            let message = format!("{db} was committed outside its latch");
            return Err(breach("commit-without-latch", message));
        }
        let mut newer = self.grants.iter().filter(|grant| grant.token > token);
        if let Some(grant) = newer.find(|grant| grant.reaches(key.as_str())) {
            let message = format!(
                "{db} was committed under token {token} after {} was granted on it",
                grant.token
            );
            return Err(breach("stale-commit", message));
        }
        if self.outlived.get(&by) == Some(&token) && !self.restored {
            let message = format!("token {token} had expired when its work on {db} was done");
            return Err(breach("commit-after-expiry", message));
        }
        let newest = self.newest.entry(db.to_owned()).or_default();
        if token < *newest {
            let message = format!("{db} was committed under {token} after {newest}");
            return Err(breach("out-of-order", message));
        }
        *newest = token;
        let mut own = self.grants.iter().filter(|grant| grant.token == token);
        if !own.any(|grant| grant.allows(key.as_str())) {
            let message = format!("{db} was committed under token {token}, which is not for it");
            return Err(breach("not-covered", message));
        }
        Ok(())
    }

    fn note_rows(&mut self, rows: &[String]) -> Result<(), Breach> {
        for row in rows {
            *self.rows.entry(row.clone()).or_default() += 1;
        }
        let keyed = self.asked.values().filter(|request| request.keyed);
        let mut twice = keyed.filter(|request| {
            let mut all = request.rows.iter();
            all.any(|row| self.rows.get(row).is_some_and(|count| *count > 1))
        });
        match twice.next() {
            None => Ok(()),
            Some(request) => {
                let message = format!("{:?} was written twice under one key", request.rows);
                Err(breach("written-twice", message))
            }
        }
    }

    fn note_request(&mut self, asked: &Asked<'_>, ground: &Ground<'_>) {
        let (Action::DbWrite { rows, .. } | Action::Transact(Together { rows, .. })) = asked.action
        else {
            return;
        };
        let agent = &ground.agents[usize::from(asked.agent.0)];
        let rows = (0..*rows).map(|row| row_of(agent, asked.request, row));
        let request = Request {
            rows: rows.collect(),
            keyed: asked.key.is_some(),
        };
        self.asked.insert(asked.request, request);
    }

    fn judge_answer(&self, request: RequestNo) -> Result<(), Breach> {
        let Some(asked) = self.asked.get(&request) else {
            return Ok(());
        };
        let missing = asked.rows.iter().find(|row| !self.rows.contains_key(*row));
        match missing {
            None => Ok(()),
            Some(row) => {
                let message = format!("{row} was acknowledged and is not there");
                Err(breach("acknowledged-and-not-there", message))
            }
        }
    }
}

/// Whoever is refused has written nothing.
fn judge_refusal(committed: Option<String>, response: &Response) -> Result<(), Breach> {
    match (committed, &response.result) {
        (Some(row), Err(refusal)) if !leaves_open(refusal) => {
            let code = refusal.code();
            let message = format!("{row} was written, and its writer refused as {code}");
            Err(breach("refused-and-written", message))
        }
        _ => Ok(()),
    }
}

/// The row that a request writes: the same for every sending of it.
pub(crate) fn row_of(agent: &str, request: RequestNo, row: u32) -> String {
    format!("{agent} {} {row}", request.0)
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I11, site, message)
}

#[cfg(test)]
#[path = "i11_database_tests.rs"]
mod tests;
