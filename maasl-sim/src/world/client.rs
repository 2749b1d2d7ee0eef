//! An agent: what it knows and what it is about.
//!
//! Owns: an agent's memory, its place in its calls and the contents it writes.
//! Promises: no two contents of a run are equal; in every file each agent has a
//! line of its own, and its number only rises with what the agent wrote. Leaves
//! to others: sending and receiving (`agents`).
//!
//! The lines make a lost write visible to anybody: a file whose line of an agent
//! holds less than the agent was told it holds has lost something.

mod transact;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::graph::{GraphQuery, MAIN};
use maasl_core::coordinator::io::{
    DocumentWanted, FileOp, OnStale, Request, Reservation, ResourceWanted,
};
use maasl_core::database::{Parameters, Statement, Work};
use maasl_core::graph::changes::{Changes, Edge, Node};
use maasl_core::graph::query::Question;
use maasl_core::graph::value::Value;
use maasl_core::id::{ContentHash, LeaseId};
use maasl_core::path::fold;
use maasl_core::policy::CRIT_CODE;
use maasl_core::resource::{Extent, Mode, ResourceKey, Scope};
use maasl_core::text::edit::Edit;

use self::transact::graph_patch;
use crate::checks::{row_of, text_of};
use crate::observe::{ProcessNo, RequestNo};
use crate::plan::{self, Action, Call, GraphChange, GraphEdit, Plan, Together};

/// What an agent has seen of a file.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) hash: ContentHash,
    pub(super) bytes: Arc<[u8]>,
}

/// A request that has no answer yet.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) request: RequestNo,
    pub(super) attempt: u32,
    pub(super) body: Request,
    pub(super) key: Option<String>,
    /// The contents it is based on.
    pub(super) bases: Vec<(String, ContentHash)>,
    /// The contents it leaves, where its agent knows them beforehand.
    pub(super) leaves: Vec<(String, Vec<u8>)>,
    /// A read that comes before the call itself.
    pub(super) reading: Option<String>,
}

/// A source whose document the agent is to write.
#[derive(Clone, Debug)]
pub(super) struct Material {
    pub(super) path: String,
    pub(super) hash: ContentHash,
    pub(super) content: Arc<[u8]>,
}

/// An agent.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) name: String,
    pub(super) process: ProcessNo,
    pub(super) manner: plan::Manner,
    calls: VecDeque<Call>,
    pub(super) seen: BTreeMap<String, Seen>,
    pub(super) reservation: Option<LeaseId>,
    pub(super) material: Option<Material>,
    pub(super) outstanding: Option<Outstanding>,
    /// When its patience ends, in nanoseconds.
    pub(super) patient_until_ns: u64,
    /// Whether an event will look after that: one is enough for all requests.
    pub(super) patience_armed: bool,
    /// How often the call at hand was tried.
    pub(super) tried: u32,
    count: u64,
}

impl Client {
    pub(super) fn new(plan: &Plan, agent: &plan::Agent) -> Self {
        let mut processes = plan.processes.iter();
        let process = processes.position(|process| process.name == agent.process);
        let process = process.expect("a validated plan names only processes it has");
        let hoards = agent.manner == plan::Manner::Hoarding;
        let calls = agent.calls.iter();
        let calls = calls.filter(|call| !hoards || call.action != Action::Release);
        Self {
            name: agent.name.clone(),
            process: ProcessNo(u16::try_from(process).expect("a plan has few processes")),
            manner: agent.manner,
            calls: calls.cloned().collect(),
            seen: BTreeMap::new(),
            reservation: None,
            material: None,
            outstanding: None,
            patient_until_ns: 0,
            patience_armed: false,
            tried: 0,
            count: 0,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.calls.is_empty() && self.outstanding.is_none()
    }

    /// The call at hand.
    pub(super) fn call(&self) -> Option<&Call> {
        self.calls.front()
    }

    /// How many calls are left, the one at hand included.
    pub(super) fn calls_left(&self) -> usize {
        self.calls.len()
    }

    pub(super) fn next_call(&mut self) {
        self.calls.pop_front();
        self.material = None;
        self.tried = 0;
    }

    /// The file that must be read before the call at hand can be made.
    pub(super) fn to_read(&self, action: &Action) -> Option<String> {
        let unseen = |path: &&String| !self.seen.contains_key(*path);
        match action {
            Action::Write {
                path,
                from_memory: blind,
                ..
            }
            | Action::Move { path, blind, .. } => (!blind).then_some(path).filter(unseen).cloned(),
            Action::Edit { path } | Action::Delete { path } => Some(path).filter(unseen).cloned(),
            Action::Refactor { paths } => paths.iter().find(unseen).cloned(),
            Action::Transact(parts) => {
                let mut named = parts.paths.iter().chain(&parts.documents);
                named.find(unseen).cloned()
            }
            _ => None,
        }
    }

    /// What the call at hand asks for; nothing where there is nothing to ask.
    pub(super) fn body(&mut self, action: &Action, request: RequestNo) -> Option<Request> {
        Some(match action {
            Action::Read { path } => Request::Read(path.clone().into()),
            Action::Write { path, merge, .. } => Request::Change(vec![self.write(path, *merge)]),
            Action::Create { path } => {
                self.count += 1;
                Request::Change(vec![FileOp::Write {
                    path: path.clone(),
                    content: format!("{} {}\n", self.name, self.count).into_bytes(),
                    base: None,
                    on_stale: OnStale::Refuse,
                }])
            }
            Action::Edit { path } => {
                self.count += 1;
                Request::Change(vec![self.edit(path)])
            }
            Action::Refactor { paths } => {
                self.count += 1;
                Request::Change(paths.iter().map(|path| self.edit(path)).collect())
            }
            Action::Move { path, to, blind } => Request::Change(vec![FileOp::Move {
                source: path.clone(),
                destination: to.clone(),
                base: self.base(path).filter(|_| !blind),
            }]),
            Action::Delete { path } => Request::Change(vec![FileOp::Delete {
                path: path.clone(),
                base: self.base(path),
            }]),
            Action::Restore { path } => Request::Change(vec![FileOp::Restore {
                path: path.clone(),
                version: 1,
                base: self.base(path),
            }]),
            Action::DbWrite { db, rows } => Request::Database(self.add_rows(db, *rows, request)),
            Action::Transact(parts) => Request::Transact(self.transaction(parts, request)),
            Action::Docgen { path } => Request::Document(self.document(path, request)),
            Action::GraphPatch(edit) => Request::Patch(graph_patch(*edit, request)),
            Action::GraphQuery => Request::Query(GraphQuery {
                graph: MAIN.into(),
                question: Question {
                    node: None,
                    depth: 0,
                    nodes_max: usize::MAX,
                    edges_max: usize::MAX,
                },
                conflicts_max: usize::MAX,
            }),
            Action::GraphCompact => Request::CompactGraphs(Some(MAIN.into())),
            Action::Reserve {
                paths,
                subtree,
                shared,
                ttl_ms,
                keep,
            } => Request::Reserve(Reservation {
                resources: wanted(paths, *subtree, *shared),
                ttl_ms: *ttl_ms,
                purpose: None,
                keep: *keep,
            }),
            Action::Renew => Request::Renew(self.reservation.clone()?),
            Action::Release => Request::Release(self.reservation.clone()?),
            Action::Revoke { path } => Request::Revoke {
                target: Extent {
                    key: ResourceKey::new("code", &fold(path)),
                    scope: Scope::Exact,
                },
                reason: "the plan says so".into(),
            },
            Action::Recover => Request::Recover,
        })
    }

    /// The contents a request is based on.
    pub(super) fn bases(&self, action: &Action) -> Vec<(String, ContentHash)> {
        let of = |path: &String| Some((path.clone(), self.base(path)?));
        match action {
            Action::Write { path, .. }
            | Action::Edit { path }
            | Action::Move {
                path, blind: false, ..
            }
            | Action::Delete { path }
            | Action::Restore { path } => of(path).into_iter().collect(),
            Action::Refactor { paths } | Action::Transact(Together { paths, .. }) => {
                paths.iter().filter_map(of).collect()
            }
            _ => Vec::new(),
        }
    }

    fn add_rows(&self, db: &str, rows: u32, request: RequestNo) -> DatabaseWrite {
        let rows = (0..rows).map(|row| Statement {
            sql: row_of(&self.name, request, row),
            parameters: Parameters::Positional(Vec::new()),
        });
        DatabaseWrite {
            db: db.into(),
            work: Work::Statements(rows.collect()),
        }
    }

    fn base(&self, path: &str) -> Option<ContentHash> {
        self.seen.get(path).map(|seen| seen.hash)
    }

    fn text(&self, path: &str) -> String {
        let seen = self.seen.get(path);
        seen.map_or(String::new(), |seen| {
            String::from_utf8_lossy(&seen.bytes).into_owned()
        })
    }

    fn write(&mut self, path: &str, merge: bool) -> FileOp {
        self.count += 1;
        let content = with_line(&self.text(path), &self.name, self.count);
        FileOp::Write {
            path: path.into(),
            content: content.into_bytes(),
            base: self.base(path),
            on_stale: if merge {
                OnStale::Merge
            } else {
                OnStale::Refuse
            },
        }
    }

    /// Asks for a document; offers its text where the agent was given the source.
    fn document(&self, path: &str, request: RequestNo) -> DocumentWanted {
        let material = self.material.as_ref().filter(|one| one.path == path);
        let author = format!("{} {}", self.name, request.0);
        let text = |one: &Material| text_of(path, &one.content, &author).into_bytes();
        DocumentWanted {
            path: path.into(),
            content: material.map(text),
            made_from: material.map(|one| one.hash),
            replaces: None,
        }
    }

    /// Counts the agent's own line up; a write where it has none yet.
    fn edit(&self, path: &str) -> FileOp {
        let text = self.text(path);
        let Some(line) = own_line(&text, &self.name) else {
            return FileOp::Write {
                path: path.into(),
                content: with_line(&text, &self.name, self.count).into_bytes(),
                base: self.base(path),
                on_stale: OnStale::Merge,
            };
        };
        FileOp::Edit {
            path: path.into(),
            edits: vec![Edit {
                old_text: format!("{line}\n"),
                new_text: format!("{} {}\n", self.name, self.count),
                expected_replacements: 1,
            }],
            base: None,
        }
    }
}

/// The changes of a patch. No two requests set one value.
fn graph_changes(edit: GraphEdit, request: RequestNo) -> Changes {
    let (node, other) = (edit.node, edit.other);
    let id = |n: u32| format!("n{n}");
    let key = || "by".to_owned();
    let value = || BTreeMap::from([(key(), Value::Text(request.0.to_string()))]);
    let edge = || Edge {
        source: id(node),
        relation: "uses".into(),
        target: id(other),
    };
    let nothing = Changes::default();
    match edit.change {
        GraphChange::Add => Changes {
            nodes_to_add: vec![Node {
                id: id(node),
                properties: value(),
            }],
            ..nothing
        },
        GraphChange::Set => Changes {
            properties_to_set: [(id(node), value())].into(),
            ..nothing
        },
        GraphChange::Clear => Changes {
            properties_to_clear: [(id(node), vec![key()])].into(),
            ..nothing
        },
        GraphChange::Link => Changes {
            edges_to_add: vec![edge()],
            ..nothing
        },
        GraphChange::Unlink => Changes {
            edges_to_remove: vec![edge()],
            ..nothing
        },
        GraphChange::Remove => Changes {
            nodes_to_remove: vec![id(node)],
            ..nothing
        },
    }
}

fn wanted(paths: &[String], subtree: bool, shared: bool) -> Vec<ResourceWanted> {
    let wanted = paths.iter().map(|path| ResourceWanted {
        id: path.clone(),
        class: CRIT_CODE.into(),
        scope: if subtree {
            Scope::Subtree
        } else {
            Scope::Exact
        },
        mode: if shared {
            Mode::Shared
        } else {
            Mode::Exclusive
        },
    });
    wanted.collect()
}

/// The line of `agent`, without its end.
pub(super) fn own_line<'t>(text: &'t str, agent: &str) -> Option<&'t str> {
    text.lines().find(|line| {
        let rest = line.strip_prefix(agent);
        rest.is_some_and(|rest| rest.starts_with(' '))
    })
}

/// The text with the line of `agent` saying `count`. Lines of different agents
/// have one between them that nobody changes, so that their changes merge.
fn with_line(text: &str, agent: &str, count: u64) -> String {
    let new = format!("{agent} {count}");
    let Some(old) = own_line(text, agent) else {
        let between = if text.is_empty() { "" } else { "-\n" };
        return format!("{text}{between}{new}\n");
    };
    let lines = text.split_inclusive('\n').map(|line| {
        if line.trim_end_matches('\n') == old {
            format!("{new}\n")
        } else {
            line.to_owned()
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_counts_its_own_line_and_leaves_the_others() {
        let text = "ann 1\n-\nanna 7\n-\nbob 2\n";
        assert_eq!(with_line(text, "ann", 9), "ann 9\n-\nanna 7\n-\nbob 2\n");
        assert_eq!(with_line(text, "cat", 3), format!("{text}-\ncat 3\n"));
        assert_eq!(with_line("", "cat", 3), "cat 3\n");
    }
}
