//! The leases of one resource, one at a time.
//!
//! Owns: what a resource allows by itself, and the fast path for exclusive
//! leases. Promises: the fast path says nothing that the general search would
//! not say. Leaves to others: which resources are the same (`history`).
//!
//! The fast path needs no search because tokens fix the order: grants stand in
//! the order of their tokens, and between a grant and its end stand the writes
//! under it. Each of them is placed as early as it can be, which leaves the most
//! room to those after it (after Gibbons and Korach, 1997, where values that are
//! written once do the same).

use std::collections::BTreeMap;

use super::{Model, Timed, Verdict, search};

/// What happens to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseOp {
    /// A lease was granted.
    Grant {
        /// Its token.
        token: u64,
        /// Beside others like it.
        shared: bool,
    },
    /// Something was changed under a lease.
    Write {
        /// Its token.
        token: u64,
    },
    /// A lease ended: returned, run out and replaced, or revoked.
    End {
        /// Its token.
        token: u64,
    },
}

impl LeaseOp {
    /// The token it is about.
    #[must_use]
    pub fn token(self) -> u64 {
        match self {
            Self::Grant { token, .. } | Self::Write { token } | Self::End { token } => token,
        }
    }
}

/// A resource.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource;

/// Who holds a resource, and the newest token there was.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Holders {
    newest: u64,
    shared: bool,
    tokens: Vec<u64>,
}

impl Model for Resource {
    type State = Holders;
    type Op = LeaseOp;

    fn start(&self) -> Holders {
        Holders::default()
    }

    fn step(&self, state: &Holders, op: &LeaseOp) -> Option<Holders> {
        match *op {
            LeaseOp::Grant { token, shared } => {
                let free = state.tokens.is_empty() || (shared && state.shared);
                (free && token > state.newest).then(|| {
                    let mut tokens = state.tokens.clone();
                    tokens.push(token);
                    Holders {
                        newest: token,
                        shared,
                        tokens,
                    }
                })
            }
            LeaseOp::Write { token } => state.tokens.contains(&token).then(|| state.clone()),
            LeaseOp::End { token } => state.tokens.contains(&token).then(|| {
                let mut after = state.clone();
                after.tokens.retain(|one| *one != token);
                after
            }),
        }
    }
}

/// Judges the history of one resource, in at most `budget` steps of search.
#[must_use]
pub fn judge(history: &[Timed<LeaseOp>], budget: u64) -> Verdict {
    by_tokens(history).unwrap_or_else(|| search(&Resource, history, budget))
}

/// What happened under one token.
#[derive(Debug, Default)]
struct Tenure {
    grant: Option<usize>,
    writes: Vec<usize>,
    end: Option<usize>,
}

/// The fast path; nothing where it does not apply.
#[must_use]
pub fn by_tokens(history: &[Timed<LeaseOp>]) -> Option<Verdict> {
    let mut tenures: BTreeMap<u64, Tenure> = BTreeMap::new();
    for (at, timed) in history.iter().enumerate() {
        let tenure = tenures.entry(timed.op.token()).or_default();
        let place = match timed.op {
            LeaseOp::Grant { shared: true, .. } => return None,
            LeaseOp::Write { .. } => {
                // Without an answer it may be taken not to have happened.
                tenure.writes.extend(timed.to_ns.is_some().then_some(at));
                continue;
            }
            LeaseOp::Grant { .. } => &mut tenure.grant,
            LeaseOp::End { .. } => &mut tenure.end,
        };
        if place.replace(at).is_some() {
            return None;
        }
    }
    let answered = |at: &usize| history[*at].to_ns.is_some();
    tenures.retain(|_, tenure| {
        tenure.grant.is_some_and(|at| answered(&at))
            || !tenure.writes.is_empty()
            || tenure.end.is_some_and(|at| answered(&at))
    });
    Some(placed(history, &tenures))
}

/// Places every operation as early as it can be.
fn placed(history: &[Timed<LeaseOp>], tenures: &BTreeMap<u64, Tenure>) -> Verdict {
    let mut now_ns = 0;
    let last = tenures.keys().next_back().copied();
    for (token, tenure) in tenures {
        let Some(grant) = tenure.grant else {
            let first = tenure.writes.first().copied().or(tenure.end);
            return Verdict::Broken {
                at: first.expect("a tenure is of at least one operation"),
            };
        };
        let Some(from_ns) = place(history, grant, now_ns) else {
            return Verdict::Broken { at: grant };
        };
        now_ns = from_ns;
        for write in &tenure.writes {
            let Some(at_ns) = place(history, *write, from_ns) else {
                return Verdict::Broken { at: *write };
            };
            now_ns = now_ns.max(at_ns);
        }
        match tenure.end {
            Some(end) if history[end].to_ns.is_some() || Some(*token) != last => {
                let Some(at_ns) = place(history, end, now_ns) else {
                    return Verdict::Broken { at: end };
                };
                now_ns = at_ns;
            }
            None if Some(*token) != last => return Verdict::Broken { at: grant },
            _ => {}
        }
    }
    Verdict::Linearizable
}

/// The first instant from `now_ns` on at which an operation can have happened.
fn place(history: &[Timed<LeaseOp>], at: usize, now_ns: u64) -> Option<u64> {
    let timed = &history[at];
    let at_ns = now_ns.max(timed.from_ns);
    timed
        .to_ns
        .is_none_or(|to_ns| at_ns <= to_ns)
        .then_some(at_ns)
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
