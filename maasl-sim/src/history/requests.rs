//! Requests of a history, with what they were answered.
//!
//! Owns: which sendings and answers belong together, and what can be told from
//! them alone: that a key was answered one way, and that nobody was refused what
//! had been done. Promises: a refusal is held against nobody where it may be the
//! answer to an earlier sending. Leaves to others: leases and files (`judge`).

use std::collections::BTreeMap;

use super::judge::SETTLED;
use super::{Changed, Entry, Event};
use crate::checks::Breach;
use crate::promise::Promise;

/// An agent and its request; requests under one key are one, of no agent.
type Name<'a> = (&'a str, &'a str);

/// A request from its first sending to its first answer.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) from_ns: u64,
    pub(super) may_change: bool,
    pub(super) paths: Vec<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) answers: Vec<Answer<'a>>,
    /// How often it was sent.
    pub(super) sent: u32,
    pub(super) refused: bool,
    /// When it was known to be over, whatever it had done.
    pub(super) settled_ns: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) at_ns: u64,
    pub(super) token: Option<u64>,
    pub(super) changes: &'a [Changed],
}

impl<'a> Asked<'a> {
    /// The answers that tell of effects. Without a key every copy of a request
    /// that reaches a process has one of its own.
    pub(super) fn effects(&self) -> Vec<&Answer<'a>> {
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

/// The requests of a history.
#[derive(Debug, Default)]
pub(super) struct Requests<'a> {
    by_name: BTreeMap<Name<'a>, Asked<'a>>,
    /// What each agent's request is called here.
    named: BTreeMap<Name<'a>, Name<'a>>,
    /// Sendings of each agent's request that are not answered yet.
    open: BTreeMap<Name<'a>, u32>,
    /// How many of them, at least, were sent when the request had been answered.
    late: BTreeMap<Name<'a>, u32>,
    /// What was told that cannot be right.
    pub(super) breaches: Vec<Breach>,
    /// What cannot be judged, in words.
    pub(super) undecided: Vec<String>,
}

impl<'a> Requests<'a> {
    /// The requests of a history in order of time.
    pub(super) fn of(history: &'a [Entry]) -> Self {
        let mut requests = Self::default();
        for entry in history {
            requests.note(entry);
        }
        requests.breaches.extend(answers_agree(&requests.by_name));
        requests
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Asked<'a>> {
        self.by_name.values()
    }

    fn note(&mut self, entry: &'a Entry) {
        let at_ns = entry.at_ns;
        match &entry.event {
            Event::Invoke { agent, request, .. } => self.sent((agent, request), entry),
            Event::Ok {
                agent,
                request,
                token,
                changes,
                ..
            } => {
                let answer = Answer {
                    at_ns,
                    token: *token,
                    changes,
                };
                self.answered((agent, request), |asked| asked.answers.push(answer));
            }
            Event::Refused {
                agent,
                request,
                code,
            } => {
                self.judge_refusal((agent, request), code);
                let settled_ns = (code == SETTLED).then_some(at_ns);
                self.answered((agent, request), |asked| {
                    asked.refused = true;
                    asked.settled_ns = settled_ns.or(asked.settled_ns);
                });
            }
            Event::Unknown { agent, request } => self.answered((agent, request), |_| ()),
            // The store has forgotten what was answered.
            Event::Restored => self.late.clear(),
            _ => {}
        }
    }

    fn sent(&mut self, of: Name<'a>, entry: &'a Entry) {
        let Event::Invoke {
            operation,
            key,
            paths,
            ..
        } = &entry.event
        else {
            return;
        };
        let name = key.as_ref().map_or(of, |key| ("", key.as_str()));
        self.named.insert(of, name);
        let asked = self.by_name.entry(name).or_insert_with(|| Asked {
            from_ns: entry.at_ns,
            may_change: may_change(operation),
            paths: paths.iter().map(|named| named.path.as_str()).collect(),
            key: key.as_deref(),
            answers: Vec::new(),
            sent: 0,
            refused: false,
            settled_ns: None,
        });
        asked.sent += 1;
        *self.open.entry(of).or_default() += 1;
        // A lease is renewed anew each time, whatever the key.
        if key.is_some() && !asked.answers.is_empty() && operation != "renew" {
            *self.late.entry(of).or_default() += 1;
        }
    }

    fn answered(&mut self, of: Name<'a>, note: impl FnOnce(&mut Asked<'a>)) {
        let name = self.named.get(&of);
        let Some(asked) = name.and_then(|name| self.by_name.get_mut(name)) else {
            let (agent, request) = of;
            let message = format!("request {request} of {agent} was answered and never sent");
            self.undecided.push(message);
            return;
        };
        note(asked);
        if let Some(open) = self.open.get_mut(&of) {
            *open = open.saturating_sub(1);
        }
        // It may be the answer to a late one, so one of these less is certain.
        if let Some(late) = self.late.get_mut(&of) {
            *late = late.saturating_sub(1);
        }
    }

    /// What has been done is not refused to whoever asks after that. Where some
    /// sending from before is open, the refusal may be its.
    fn judge_refusal(&mut self, of: Name<'a>, code: &str) {
        let leaves_open = matches!(
            code,
            "internal" | "cancelled" | "resource_busy" | "db_busy" | SETTLED
        );
        let late = self.late.get(&of).copied().unwrap_or_default();
        let open = self.open.get(&of).copied().unwrap_or_default();
        if late == 0 || late < open || leaves_open {
            return;
        }
        let key = self.named.get(&of).map_or("", |(_, key)| key);
        let message = format!("{key} was refused as {code} after it had been answered");
        let breach = Breach::new(Promise::I6, "refused-after-answer", message);
        self.breaches.push(breach);
    }
}

/// Whether a request may have changed the files it names.
fn may_change(operation: &str) -> bool {
    matches!(
        operation,
        "write" | "edit" | "move" | "delete" | "refactor" | "restore" | "docgen" | "transaction"
    )
}

fn answers_agree(requests: &BTreeMap<Name<'_>, Asked<'_>>) -> Vec<Breach> {
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
