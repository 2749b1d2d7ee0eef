//! The history of a simulated run.
//!
//! Owns: telling a world's observations in the form of histories. Promises: what
//! a real process could not know (who swapped what when) is left out. Leaves to
//! others: the file.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::{Reply, Response, Swapped};
use maasl_core::docgen::Layout;
use maasl_core::docgen::settings::ROOT;
use maasl_core::id::{ContentHash, LeaseId, Token};
use maasl_core::lease::{Command, Lease, Outcome};
use maasl_core::policy::Named as _;
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, Receipt};
use maasl_core::resource::{Mode, Scope};

use super::{Changed, Covered, Ending, Entry, Event, HISTORY_VERSION, Named};
use crate::observe::{AgentNo, Asked, Ground, Observation, ProcessNo, RequestNo};
use crate::plan::Action;

/// The history of one run, as it grows.
#[derive(Debug, Default)]
pub struct Simulated {
    entries: Vec<Entry>,
    standing: BTreeSet<Token>,
    newest: Token,
    asked_at: BTreeMap<RequestNo, ProcessNo>,
}

impl Simulated {
    /// Takes note of what happened.
    pub fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) {
        let process = |process: &ProcessNo| ground.processes[usize::from(process.0)].clone();
        match seen {
            Observation::Started { process: of, .. } => {
                self.add(ground, process(of), Event::Started);
            }
            Observation::Died { process: of, .. } => {
                self.add(ground, process(of), Event::Killed);
            }
            Observation::PowerCut => {
                self.add(ground, String::new(), Event::PowerCut);
                self.end_missing(ground, "", Ending::Expired);
            }
            Observation::Restored => {
                self.add(ground, String::new(), Event::Restored);
                self.end_missing(ground, "", Ending::Expired);
            }
            Observation::Outside { path, after, .. } => {
                let event = Event::Outside {
                    path: (*path).into(),
                    since_ns: None,
                    new: *after,
                };
                self.add(ground, String::new(), event);
            }
            Observation::Rotted { path, after, .. } => {
                let event = Event::Outside {
                    path: (*path).into(),
                    since_ns: None,
                    new: Some(*after),
                };
                self.add(ground, String::new(), event);
            }
            // The device kept less than it was given: what stands is nobody's.
            Observation::Swapped {
                item,
                back: false,
                swapped: Swapped::Displaced(_),
                now,
                ..
            } if *now != item.new => {
                let event = Event::Outside {
                    path: item.path.clone(),
                    since_ns: None,
                    new: *now,
                };
                self.add(ground, String::new(), event);
            }
            Observation::Transacted {
                process: of,
                command,
                outcome,
                ..
            } => self.note_command(process(of), command, outcome, ground),
            Observation::Asked(asked) => self.note_asked(asked, process(&asked.process), ground),
            Observation::Answered {
                agent,
                request,
                response,
            } => {
                let process = self.asked_at.get(request).map(process).unwrap_or_default();
                let event = answered(name(*agent, ground), *request, response);
                self.add(ground, process, event);
            }
            Observation::GaveUp { agent, request } => {
                let event = Event::Unknown {
                    agent: name(*agent, ground),
                    request: request.0.to_string(),
                };
                self.add(ground, String::new(), event);
            }
            _ => {}
        }
    }

    /// The history, in order.
    #[must_use]
    pub fn finish(self) -> Vec<Entry> {
        let first = Entry {
            at_ns: 0,
            process: String::new(),
            event: Event::History {
                version: HISTORY_VERSION,
            },
        };
        let mut entries = vec![first];
        entries.extend(self.entries);
        entries
    }

    fn add(&mut self, ground: &Ground<'_>, process: String, event: Event) {
        self.entries.push(Entry {
            at_ns: ground.now_ns,
            process,
            event,
        });
    }

    fn note_asked(&mut self, asked: &Asked<'_>, process: String, ground: &Ground<'_>) {
        self.asked_at.insert(asked.request, asked.process);
        let event = Event::Invoke {
            agent: name(asked.agent, ground),
            request: asked.request.0.to_string(),
            operation: operation(asked.action).into(),
            key: asked.key.map(Into::into),
            paths: named(asked),
        };
        self.add(ground, process, event);
    }

    fn note_command(
        &mut self,
        process: String,
        command: &Command,
        outcome: &Outcome,
        ground: &Ground<'_>,
    ) {
        let how = match command {
            Command::Acquire(_) => Ending::Expired,
            Command::Revoke(_) => Ending::Revoked,
            Command::Release(_) | Command::FinishCommit(_) => Ending::Released,
            _ => return,
        };
        self.end_missing(ground, &process, how);
        if let Outcome::Granted { lease, .. } = outcome
            && lease.token > self.newest
        {
            self.newest = lease.token;
            self.standing.insert(lease.token);
            self.add(ground, process, granted(lease));
        }
    }

    /// Ends the leases whose rows are gone.
    fn end_missing(&mut self, ground: &Ground<'_>, process: &str, how: Ending) {
        if self.standing.is_empty() {
            return;
        }
        let there: BTreeSet<Token> = ground.rows.leases().map(|lease| lease.token).collect();
        for token in self.standing.difference(&there) {
            self.entries.push(Entry {
                at_ns: ground.now_ns,
                process: process.into(),
                event: Event::End {
                    token: token.number(),
                    since_ns: None,
                    how,
                },
            });
        }
        self.standing.retain(|token| there.contains(token));
    }
}

fn name(agent: AgentNo, ground: &Ground<'_>) -> String {
    ground.agents[usize::from(agent.0)].clone()
}

/// Knowing the id of a lease is the right to it, so only its hash is written.
fn hidden(lease: &LeaseId) -> ContentHash {
    ContentHash::of(lease.as_str().as_bytes())
}

fn granted(lease: &Lease) -> Event {
    let wants = lease.wants.iter().map(|want| Covered {
        key: want.extent.key.as_str().into(),
        subtree: want.extent.scope == Scope::Subtree,
        shared: want.mode == Mode::Shared,
    });
    Event::Grant {
        token: lease.token.number(),
        lease: hidden(&lease.id),
        since_ns: None,
        wants: wants.collect(),
    }
}

fn answered(agent: String, request: RequestNo, response: &Response) -> Event {
    let request = request.0.to_string();
    let ok = |token: Option<Token>, lease: Option<&LeaseId>, changes| Event::Ok {
        agent: agent.clone(),
        request: request.clone(),
        token: token.map(Token::number),
        lease: lease.map(hidden),
        changes,
    };
    match &response.result {
        Ok(Reply::Receipt(Receipt::Changed { files, token, .. })) => {
            ok(Some(*token), None, files.iter().flat_map(changed).collect())
        }
        Ok(Reply::Receipt(Receipt::Leased { lease, token, .. })) => {
            ok(Some(*token), Some(lease), Vec::new())
        }
        Ok(_) => ok(None, None, Vec::new()),
        // Whether it took effect is not known to whoever is told this.
        Err(Refusal::Internal { .. }) => Event::Unknown { agent, request },
        Err(refusal) => Event::Refused {
            agent,
            request,
            code: refusal.code().into(),
        },
    }
}

fn changed(file: &FileChanged) -> Vec<Changed> {
    if file.source.is_none() && file.sha256 == file.previous_sha256 {
        return Vec::new();
    }
    let to = Changed {
        path: file.path.clone(),
        base: file.previous_sha256,
        new: file.sha256,
    };
    let from = file.source.as_ref().map(|source| Changed {
        path: source.clone(),
        base: file.sha256,
        new: None,
    });
    from.into_iter().chain([to]).collect()
}

fn operation(action: &Action) -> &'static str {
    match action {
        Action::Read { .. } => "read",
        Action::Write { .. } | Action::Create { .. } => "write",
        Action::Edit { .. } => "edit",
        Action::Move { .. } => "move",
        Action::Delete { .. } => "delete",
        Action::Refactor { .. } => "refactor",
        Action::Restore { .. } => "restore",
        Action::DbWrite { .. } => "db_write",
        Action::Docgen { .. } => "docgen",
        Action::GraphPatch(_) => "graph_patch",
        Action::GraphQuery => "graph_query",
        Action::GraphCompact => "graph_compact",
        Action::Transact(_) => "transaction",
        Action::Reserve { .. } => "acquire",
        Action::Renew => "renew",
        Action::Release => "release",
        Action::Revoke { .. } => "revoke",
        Action::Recover => "recover",
    }
}

/// Where the document of a file may lie; which place is used the settings say.
fn places(path: &str) -> impl Iterator<Item = String> {
    Layout::ALL.iter().map(|layout| layout.place(ROOT, path))
}

fn named(asked: &Asked<'_>) -> Vec<Named> {
    let mut paths: Vec<String> = match asked.action {
        Action::Write { path, .. }
        | Action::Create { path }
        | Action::Edit { path }
        | Action::Delete { path }
        | Action::Restore { path } => vec![path.clone()],
        Action::Move { path, to, .. } => vec![path.clone(), to.clone()],
        Action::Refactor { paths } => paths.clone(),
        Action::Transact(parts) => {
            let documents = parts.documents.iter().flat_map(|path| places(path));
            parts.paths.iter().cloned().chain(documents).collect()
        }
        Action::Docgen { path } => places(path).collect(),
        _ => Vec::new(),
    };
    paths.dedup();
    let base = |path: &String| {
        let mut bases = asked.bases.iter();
        bases.find(|(of, _)| of == path).map(|(_, base)| *base)
    };
    let named = paths.into_iter().map(|path| Named {
        base: base(&path),
        path,
    });
    named.collect()
}
