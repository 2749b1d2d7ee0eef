//! Judging histories recorded elsewhere.
//!
//! Owns: what can be told from a history alone: that tokens rise, that the
//! leases of each resource and the changes of each file can have happened one at
//! a time, and that a key was answered one way. Promises: what a history leaves
//! open (requests without an answer, contents from before it) is never held
//! against it; a search without an end is undecided. Leaves to others: reading
//! (`read`) and the searches (`linear`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::ContentHash;

use super::{Changed, Covered, Entry, Event};
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
    let requests = requests(history);
    judged.breaches.extend(answers_agree(&requests));
    for (resource, ops) in leases(history, &requests) {
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
    judged
}

struct Place<'a> {
    promise: Promise,
    site: &'static str,
    of: &'a str,
}

impl Judged {
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

/// A request from its first sending to its first answer.
#[derive(Debug)]
struct Asked<'a> {
    from_ns: u64,
    is_change: bool,
    paths: Vec<&'a str>,
    key: Option<&'a str>,
    answers: Vec<Answer<'a>>,
    /// How often it was sent.
    sent: u32,
    refused: bool,
    /// When it was known to be over, whatever it had done.
    settled_ns: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer<'a> {
    at_ns: u64,
    token: Option<u64>,
    changes: &'a [Changed],
}

impl<'a> Asked<'a> {
    /// The answers that tell of effects. Without a key every copy of a request
    /// that reaches a process has one of its own.
    fn effects(&self) -> Vec<&Answer<'a>> {
        let mut effects: Vec<&Answer<'_>> = Vec::new();
        for answer in &self.answers {
            let told = effects.iter().any(|one| one.says_the_same(answer));
            if effects.is_empty() || (self.key.is_none() && !told) {
                effects.push(answer);
            }
        }
        effects
    }
}

impl Answer<'_> {
    fn says_the_same(&self, other: &Self) -> bool {
        self.token == other.token && self.changes == other.changes
    }
}

/// The requests by agent and name. Requests under one key are one.
fn requests(history: &[Entry]) -> BTreeMap<(&str, &str), Asked<'_>> {
    let mut requests: BTreeMap<(&str, &str), Asked<'_>> = BTreeMap::new();
    let mut named: BTreeMap<(&str, &str), (&str, &str)> = BTreeMap::new();
    for entry in history {
        match &entry.event {
            Event::Invoke {
                agent,
                request,
                operation,
                key,
                paths,
            } => {
                let name = match key {
                    Some(key) => ("", key.as_str()),
                    None => (agent.as_str(), request.as_str()),
                };
                named.insert((agent, request), name);
                let asked = requests.entry(name).or_insert_with(|| Asked {
                    from_ns: entry.at_ns,
                    is_change: is_change(operation),
                    paths: paths.iter().map(|named| named.path.as_str()).collect(),
                    key: key.as_deref(),
                    answers: Vec::new(),
                    sent: 0,
                    refused: false,
                    settled_ns: None,
                });
                asked.sent += 1;
            }
            Event::Ok {
                agent,
                request,
                token,
                changes,
                ..
            } => {
                let name = named.get(&(agent.as_str(), request.as_str()));
                if let Some(asked) = name.and_then(|name| requests.get_mut(name)) {
                    asked.answers.push(Answer {
                        at_ns: entry.at_ns,
                        token: *token,
                        changes,
                    });
                }
            }
            Event::Refused {
                agent,
                request,
                code,
            } => {
                let name = named.get(&(agent.as_str(), request.as_str()));
                if let Some(asked) = name.and_then(|name| requests.get_mut(name)) {
                    asked.refused = true;
                    if code == SETTLED {
                        asked.settled_ns = Some(entry.at_ns);
                    }
                }
            }
            _ => {}
        }
    }
    requests
}

fn is_change(operation: &str) -> bool {
    matches!(
        operation,
        "write" | "edit" | "move" | "delete" | "refactor" | "restore" | "docgen"
    )
}

fn answers_agree(requests: &BTreeMap<(&str, &str), Asked<'_>>) -> Vec<Breach> {
    let keyed = requests
        .values()
        .filter_map(|asked| Some((asked.key?, asked)));
    let differing = keyed.filter(|(_, asked)| {
        let first = asked.answers.first();
        first.is_some_and(|first| asked.answers.iter().any(|one| !one.says_the_same(first)))
    });
    let breaches = differing.map(|(key, _)| {
        let message = format!("{key} was answered in two ways");
        Breach::new(Promise::I6, "two-answers", message)
    });
    breaches.collect()
}

/// What happened to each resource. A subtree counts for every resource of the
/// history below it.
fn leases(
    history: &[Entry],
    requests: &BTreeMap<(&str, &str), Asked<'_>>,
) -> BTreeMap<String, Vec<Timed<LeaseOp>>> {
    let grants: BTreeMap<u64, &[Covered]> = history
        .iter()
        .filter_map(|entry| match &entry.event {
            Event::Grant { token, wants, .. } => Some((*token, wants.as_slice())),
            _ => None,
        })
        .collect();
    let keys: BTreeSet<&str> = grants
        .values()
        .flat_map(|wants| wants.iter().map(|want| want.key.as_str()))
        .collect();
    let mut resources = BTreeMap::new();
    let mut add = |token: u64, op: &dyn Fn(bool) -> LeaseOp, from_ns, to_ns| {
        let wants = grants.get(&token).copied().unwrap_or_default();
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
    for asked in requests.values().filter(|asked| asked.is_change) {
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
fn files(
    history: &[Entry],
    requests: &BTreeMap<(&str, &str), Asked<'_>>,
) -> BTreeMap<String, Vec<Timed<FileOp>>> {
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
    for asked in requests.values().filter(|asked| asked.is_change) {
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
