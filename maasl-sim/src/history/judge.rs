//! Judging histories recorded elsewhere.
//!
//! Owns: what can be told from a history alone: that tokens rise, that whatever
//! was changed belongs to the lease it was changed under, and that the leases of
//! each resource and the changes of each file can have happened one at a time.
//! Promises: what a history leaves open (requests without an answer, contents from
//! before it) is never held against it; a search without an end is undecided, and
//! so is what cannot be judged for want of a grant or a sending. Leaves to others:
//! reading (`read`), which answers belong to which request (`requests`) and the
//! searches (`linear`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::ContentHash;

use super::requests::{Asked, Requests};
use super::{Covered, Entry, Event};
use crate::checks::Breach;
use crate::linear::lease::{self, LeaseOp};
use crate::linear::register::{self, FileOp};
use crate::linear::{Timed, Verdict};
use crate::promise::Promise;

/// The code of a refusal that says only that a request is over: whatever it left, it
/// left before.
pub const SETTLED: &str = "settled";

/// What a history comes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What was broken.
    pub breaches: Vec<Breach>,
    /// What could not be decided, in words.
    pub undecided: Vec<String>,
    /// How many operations were judged.
    pub operations: usize,
}

/// Judges a history in order of time; each search takes at most `budget` steps.
#[must_use]
pub fn judge(history: &[Entry], budget: u64) -> Judged {
    let mut judged = Judged::default();
    judged.breaches.extend(tokens_rise(history));
    let mut requests = Requests::of(history);
    judged.breaches.append(&mut requests.breaches);
    judged.undecided.append(&mut requests.undecided);
    let grants = grants(history);
    judged.cover(&requests, &grants);
    for (resource, ops) in leases(history, &requests, &grants) {
        judged.operations += ops.len();
        let place = Place {
            promise: Promise::I1,
            site: "not-linearizable",
            of: &resource,
        };
        judged.note(&place, lease::judge(&ops, budget), &ops);
    }
    for (path, ops) in files(history, &requests) {
        judged.operations += ops.len();
        let place = Place {
            promise: Promise::I4,
            site: "lost-write",
            of: &path,
        };
        judged.note(&place, register::judge(&ops, budget), &ops);
    }
    if judged.operations == 0 {
        judged.undecided.push("there is nothing to judge".into());
    }
    judged
}

struct Place<'a> {
    promise: Promise,
    site: &'static str,
    of: &'a str,
}

impl Judged {
    /// Whatever was changed under a token belongs to its lease, and to it alone.
    fn cover(&mut self, requests: &Requests<'_>, grants: &Grants<'_>) {
        for answer in requests.iter().flat_map(Asked::effects) {
            let Some(token) = answer.token else { continue };
            let wants = grants.get(&token);
            for path in answer.changes.iter().map(|change| &change.path) {
                let of = format!("{path} was changed under token {token}, ");
                let Some(wants) = wants else {
                    let message = format!("{of}which nobody was granted");
                    self.undecided.push(message);
                    continue;
                };
                match allows(wants, path) {
                    Some(true) => {}
                    Some(false) => {
                        let message = format!("{of}which is not for it");
                        let breach = Breach::new(Promise::I1, "not-covered", message);
                        self.breaches.push(breach);
                    }
                    None => {
                        let message = format!("{of}and its key cannot be told from its path");
                        self.undecided.push(message);
                    }
                }
            }
        }
    }

    fn note<O: core::fmt::Debug>(&mut self, place: &Place<'_>, verdict: Verdict, ops: &[Timed<O>]) {
        let of = place.of;
        match verdict {
            Verdict::Linearizable => {}
            Verdict::Undecided => self.undecided.push(format!(
                "{of}: the budget ran out over {} operations",
                ops.len()
            )),
            Verdict::Broken { at } => {
                let op = &ops[at];
                let message = format!(
                    "{of}: in no order can {:?} have happened between {} and {} ns",
                    op.op,
                    op.from_ns,
                    op.to_ns.map_or("the end".into(), |to_ns| to_ns.to_string())
                );
                self.breaches
                    .push(Breach::new(place.promise, place.site, message));
            }
        }
    }
}

/// Grants that were over before another began have lower tokens, and no two
/// leases have the same.
fn tokens_rise(history: &[Entry]) -> Vec<Breach> {
    let mut issued: BTreeMap<u64, ContentHash> = BTreeMap::new();
    let mut known: Vec<(u64, u64)> = Vec::new();
    let mut breaches = Vec::new();
    for entry in history {
        let Event::Grant {
            token,
            lease,
            since_ns,
            ..
        } = &entry.event
        else {
            continue;
        };
        match issued.insert(*token, *lease) {
            Some(before) if before == *lease => continue,
            Some(_) => {
                let message = format!("token {token} was issued twice");
                breaches.push(Breach::new(Promise::I2, "token-twice", message));
                continue;
            }
            None => {}
        }
        let from_ns = since_ns.unwrap_or(entry.at_ns);
        let over = known.partition_point(|(at_ns, _)| *at_ns < from_ns);
        let newest = over.checked_sub(1).map(|at| known[at].1);
        if let Some(newest) = newest.filter(|newest| newest > token) {
            let message = format!("token {token} was issued after {newest}");
            breaches.push(Breach::new(Promise::I2, "token-fell", message));
        }
        // Entries come by time, so this stays in order; each has the newest so far.
        let newest = known
            .last()
            .map_or(*token, |(_, newest)| *newest.max(token));
        known.push((entry.at_ns, newest));
    }
    breaches
}

type Grants<'a> = BTreeMap<u64, Vec<&'a Covered>>;

/// What each token was granted for, by all that was told of it.
fn grants(history: &[Entry]) -> Grants<'_> {
    let mut grants = Grants::new();
    for entry in history {
        if let Event::Grant { token, wants, .. } = &entry.event {
            grants.entry(*token).or_default().extend(wants);
        }
    }
    grants
}

/// Whether a lease on these allows a change of the file; nothing where that cannot
/// be told.
fn allows(wants: &[&Covered], path: &str) -> Option<bool> {
    let exclusive = |key: &str| {
        let mut wants = wants.iter().filter(|want| !want.shared);
        wants.any(|want| covers(want, key))
    };
    if exclusive(&format!("code:{path}")) {
        return Some(true);
    }
    // Aliases of a path share a key; of plain names the aliases are known.
    let mut components = path.split('/');
    let plain = |component: &str| !component.is_empty() && !component.ends_with(['.', ' ']);
    let is_plain = path.is_ascii() && components.all(plain);
    is_plain.then(|| exclusive(&format!("code:{}", path.to_ascii_lowercase())))
}

/// What happened to each resource. A subtree counts for every resource of the
/// history below it.
fn leases(
    history: &[Entry],
    requests: &Requests<'_>,
    grants: &Grants<'_>,
) -> BTreeMap<String, Vec<Timed<LeaseOp>>> {
    let keys: BTreeSet<&str> = grants
        .values()
        .flat_map(|wants| wants.iter().map(|want| want.key.as_str()))
        .collect();
    let mut resources = BTreeMap::new();
    let mut add = |token: u64, op: &dyn Fn(bool) -> LeaseOp, from_ns, to_ns| {
        let wants = grants.get(&token).map_or(&[][..], Vec::as_slice);
        for key in &keys {
            let Some(want) = wants.iter().find(|want| covers(want, key)) else {
                continue;
            };
            let ops: &mut Vec<Timed<LeaseOp>> = resources.entry((*key).to_owned()).or_default();
            let op = op(want.shared);
            // The same grant told twice is one.
            if ops.iter().rev().take(8).all(|one| one.op != op)
                || matches!(op, LeaseOp::Write { .. })
            {
                ops.push(Timed { from_ns, to_ns, op });
            }
        }
    };
    for entry in history {
        match &entry.event {
            Event::Grant {
                token, since_ns, ..
            } => {
                let grant = |shared| LeaseOp::Grant {
                    token: *token,
                    shared,
                };
                let from_ns = since_ns.unwrap_or(entry.at_ns);
                add(*token, &grant, from_ns, Some(entry.at_ns));
            }
            Event::End {
                token, since_ns, ..
            } => {
                let end = |_| LeaseOp::End { token: *token };
                let from_ns = since_ns.unwrap_or(entry.at_ns);
                add(*token, &end, from_ns, Some(entry.at_ns));
            }
            _ => {}
        }
    }
    for asked in requests.iter() {
        for answer in asked.effects() {
            if let Some(token) = answer.token
                && !answer.changes.is_empty()
            {
                let write = |_| LeaseOp::Write { token };
                add(token, &write, asked.from_ns, Some(answer.at_ns));
            }
        }
    }
    resources
}

fn covers(want: &Covered, key: &str) -> bool {
    let folder = want.key.as_str();
    let below = || {
        let rest = key.strip_prefix(folder);
        rest.is_some_and(|rest| folder.ends_with(':') || rest.starts_with('/'))
    };
    folder == key || (want.subtree && below())
}

/// What happened to each file.
fn files(history: &[Entry], requests: &Requests<'_>) -> BTreeMap<String, Vec<Timed<FileOp>>> {
    let mut contents = Contents::default();
    let mut files: BTreeMap<String, Vec<Timed<FileOp>>> = BTreeMap::new();
    let mut add = |path: &str, timed| files.entry(path.to_owned()).or_default().push(timed);
    for entry in history {
        if let Event::Outside {
            path,
            since_ns,
            new,
        } = &entry.event
        {
            let op = FileOp::Put {
                new: contents.number(*new),
            };
            let (from_ns, to_ns) = (since_ns.unwrap_or(entry.at_ns), Some(entry.at_ns));
            add(path, Timed { from_ns, to_ns, op });
        }
    }
    for asked in requests.iter() {
        let from_ns = asked.from_ns;
        for answer in asked.effects() {
            for change in answer.changes {
                let op = FileOp::Change {
                    base: contents.number(change.base),
                    new: contents.number(change.new),
                };
                let to_ns = Some(answer.at_ns);
                add(&change.path, Timed { from_ns, to_ns, op });
            }
        }
        match asked.answers.first() {
            Some(_) => {}
            // A refusal speaks of one sending: an earlier one may have taken effect
            // without a record, where power was lost in the middle of it.
            None if !asked.may_change => {}
            None if asked.refused && asked.sent == 1 && asked.settled_ns.is_none() => {}
            None => {
                for path in &asked.paths {
                    let (to_ns, op) = (asked.settled_ns, FileOp::Blur);
                    add(path, Timed { from_ns, to_ns, op });
                }
            }
        }
    }
    files
}

/// Numbers for contents; no file at all has one too.
#[derive(Debug, Default)]
struct Contents {
    numbers: BTreeMap<Option<ContentHash>, u64>,
}

impl Contents {
    fn number(&mut self, content: Option<ContentHash>) -> u64 {
        let next = self.numbers.len() as u64;
        *self.numbers.entry(content).or_insert(next)
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
