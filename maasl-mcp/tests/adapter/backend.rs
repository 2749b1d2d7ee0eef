//! A backend that answers by a script.
//!
//! Owns: plausible answers, one refusal of each kind, and waits that end when a
//! test says so. Promises: every call is recorded. Leaves to others: what is
//! right.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use maasl_core::config::Config;
use maasl_core::coordinator::io::{
    Call, CallId, Event, FileOp, FileRead, Reply, Request, Response,
};
use maasl_core::id::{AgentId, ContentHash, Entropy, LeaseId, Owner, SessionId, TicketNo, Token};
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{
    Blocker, EndedLease, Lease, LeaseEnd, LeaseKind, Meta, StoreClock, Ticket, Version,
};
use maasl_core::path::{PathReason, PathRefusal};
use maasl_core::policy::Urgency;
use maasl_core::refusal::{Busy, ChangedBy, LostLease, Process, Refusal, Stale, StaleReason};
use maasl_core::reply::{FileChanged, Receipt};
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::text::edit::{EditReason, EditRefusal};
use maasl_core::text::hunk::{Excerpt, Hunk};
use maasl_core::text::merge::ConflictHunk;
use maasl_core::time::Timestamp;
use maasl_mcp::server::{Backend, OnWait};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// When everything happened: the middle of 2026.
const WALL_MS: u64 = 1_782_000_000_000;

/// What a call does.
pub(crate) enum Step {
    /// Answers at once.
    Answer(Response),
    /// Answers after a moment, and is cancelled meanwhile if anybody asks.
    Slow(Reply),
    /// Waits some times, then answers.
    Wait { times: u32, then: Response },
    /// Waits until it is cancelled.
    Forever,
}

pub(crate) struct Scripted {
    config: Config,
    session: SessionId,
    script: Box<dyn Fn(&Call) -> Step + Send + Sync>,
    calls: Mutex<Vec<Call>>,
    waiting: watch::Sender<u32>,
    cancelled: watch::Sender<u32>,
}

impl Scripted {
    pub(crate) fn new(script: impl Fn(&Call) -> Step + Send + Sync + 'static) -> Self {
        let mut config = Config::default();
        config.limits.max_read_bytes = 1_024;
        Self {
            config,
            session: SessionId::new("session-of-the-test"),
            script: Box::new(script),
            calls: Mutex::default(),
            waiting: watch::Sender::new(0),
            cancelled: watch::Sender::new(0),
        }
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    pub(crate) fn cancelled(&self) -> u32 {
        *self.cancelled.borrow()
    }

    pub(crate) async fn until_waiting(&self, count: u32) {
        until(&self.waiting, count).await;
    }

    pub(crate) async fn until_cancelled(&self, count: u32) {
        until(&self.cancelled, count).await;
    }

    fn wait(&self, on_wait: Option<&OnWait>, round: u32) {
        if let Some(on_wait) = on_wait {
            on_wait(&Event::Waiting {
                call: CallId(1),
                blockers: vec![blocker()],
                place: 1,
                waited_ms: u64::from(round) * 10,
                allowed_ms: 500,
            });
        }
        self.waiting.send_modify(|count| *count += 1);
    }
}

async fn until(counter: &watch::Sender<u32>, count: u32) {
    let mut seen = counter.subscribe();
    let reached = seen.wait_for(|now| *now >= count);
    let reached = tokio::time::timeout(Duration::from_secs(10), reached).await;
    reached.expect("in time").expect("the counter is there");
}

impl Backend for Scripted {
    fn config(&self) -> &Config {
        &self.config
    }

    fn session(&self) -> &SessionId {
        &self.session
    }

    async fn call(
        &self,
        call: Call,
        cancel: CancellationToken,
        on_wait: Option<OnWait>,
    ) -> Response {
        self.calls.lock().unwrap().push(call.clone());
        if matches!(call.request_body, Request::ReleaseAll) {
            return done(Reply::Released { held_ms: 0 });
        }
        match (self.script)(&call) {
            Step::Answer(response) => response,
            Step::Slow(reply) => {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(100)) => done(reply),
                    () = cancel.cancelled() => self.give_up(),
                }
            }
            Step::Wait { times, then } => {
                for round in 0..times {
                    self.wait(on_wait.as_ref(), round);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                then
            }
            Step::Forever => {
                self.wait(on_wait.as_ref(), 0);
                cancel.cancelled().await;
                self.give_up()
            }
        }
    }

    fn history(&self, path: &str, limit: u32) -> Result<(String, Vec<Version>), Refusal> {
        let version = |number| Version {
            path: path.to_owned(),
            number,
            content: (number != 2).then(|| ContentHash::of(b"x")),
            token: Token::from_number(number),
            agent: AgentId::new("alice"),
            op: "write".to_owned(),
            wall_ms: WALL_MS,
            size_bytes: 1,
        };
        let versions = [3, 2, 1].into_iter().take(limit as usize).map(version);
        Ok((path.to_owned(), versions.collect()))
    }

    fn is_kept(&self, _: &ContentHash) -> bool {
        true
    }

    fn snapshot(&self) -> Result<(Snapshot, StoreClock), Refusal> {
        let clock = StoreClock {
            now: Timestamp::ZERO.plus_ms(5_000),
            wall_ms: WALL_MS,
        };
        Ok((snapshot(), clock))
    }

    fn counters(&self) -> Result<BTreeMap<(String, String), u64>, Refusal> {
        let entry = |name: &str| ((name.to_owned(), "CRIT_CODE".to_owned()), 2);
        Ok(BTreeMap::from(
            ["acquired", "merged", "wait_040"].map(entry),
        ))
    }

    fn entropy(&self) -> Entropy {
        Entropy::new([7; 32])
    }
}

impl Scripted {
    fn give_up(&self) -> Response {
        self.cancelled.send_modify(|count| *count += 1);
        Response {
            result: Err(Refusal::Cancelled),
            lost: Vec::new(),
        }
    }
}

fn done(reply: Reply) -> Response {
    Response {
        result: Ok(reply),
        lost: Vec::new(),
    }
}

fn owner(agent: &str) -> Owner {
    Owner {
        session: SessionId::new("5e55"),
        agent: AgentId::new(agent),
    }
}

fn blocker() -> Blocker {
    Blocker {
        key: ResourceKey::new("code", "a.txt"),
        owner: owner("alice"),
        token: Some(Token::from_number(41)),
        since_wall_ms: WALL_MS,
        held_ms: 20,
        expires_in_ms: 900,
        purpose: Some("renaming".to_owned()),
    }
}

fn snapshot() -> Snapshot {
    let file = Want::exclusive(ResourceKey::new("code", "a.txt"), "CRIT_CODE");
    let db = Want::exclusive(ResourceKey::new("db", "main"), "CRIT_DB");
    let lease = Lease {
        id: LeaseId::default(),
        token: Token::from_number(41),
        owner: owner("alice"),
        wants: vec![file.clone(), db],
        kind: LeaseKind::Reservation,
        granted_at: Timestamp::ZERO.plus_ms(1_000),
        granted_wall_ms: WALL_MS - 4_000,
        expires_at: Timestamp::ZERO.plus_ms(6_500),
        ttl_ms: 5_500,
        lock_delay_ms: 0,
        purpose: Some("renaming".to_owned()),
    };
    let ticket = Ticket {
        no: TicketNo(1),
        lease: LeaseId::default(),
        owner: owner("bob"),
        wants: vec![file],
        urgency: Urgency::Interactive,
        since: Timestamp::ZERO,
        deadline: Timestamp::NEVER,
        bypassed: 0,
    };
    let meta = Meta {
        store: String::new(),
        generation: 0,
        next_sequence: 42,
        reserved_through: Token::from_number(99),
        next_ticket: 2,
        boot: String::new(),
    };
    Snapshot {
        meta,
        leases: vec![lease],
        tickets: vec![ticket],
        intents: Vec::new(),
        sessions: Vec::new(),
    }
}

/// A plausible answer to any call.
pub(crate) fn reply_to(call: &Call) -> Reply {
    let token = Token::from_number(42);
    match &call.request_body {
        Request::Read(path) => Reply::Read(read(path)),
        Request::Change(ops) => Reply::Receipt(Receipt::Changed {
            files: ops.iter().map(|op| changed(op, 7)).collect(),
            token,
            waited_ms: 3,
        }),
        Request::Preview(ops) => Reply::Preview(ops.iter().map(|op| changed(op, 0)).collect()),
        Request::Reserve(asked) => Reply::Receipt(Receipt::Leased {
            lease: LeaseId::new("0123"),
            token,
            wants: asked
                .resources
                .iter()
                .map(|resource| {
                    Want::exclusive(ResourceKey::new("code", &resource.id), &resource.class)
                })
                .collect(),
            ttl_ms: asked.ttl_ms.unwrap_or(30_000),
            waited_ms: 0,
        }),
        Request::Renew(_) => Reply::Renewed {
            expires_in_ms: 30_000,
        },
        Request::Release(_) | Request::ReleaseAll => Reply::Released { held_ms: 12 },
        Request::Revoke { .. } => Reply::Revoked(Vec::new()),
        Request::Recover => Reply::Recovered(0),
    }
}

fn read(path: &str) -> FileRead {
    let content: Arc<[u8]> = match path {
        "bytes" => Arc::from(&b"\xFF\x00"[..]),
        "large" => Arc::from("line\n".repeat(1_000).into_bytes()),
        _ => Arc::from("\u{feff}one\r\ntwo\nthree".as_bytes()),
    };
    FileRead {
        path: path.to_owned(),
        sha256: ContentHash::of(&content),
        content,
        version: Some(4),
        held_by: Some(blocker()),
    }
}

fn changed(op: &FileOp, version: u64) -> FileChanged {
    let (path, source) = match op {
        FileOp::Write { path, .. }
        | FileOp::Edit { path, .. }
        | FileOp::Delete { path, .. }
        | FileOp::Restore { path, .. } => (path, None),
        FileOp::Move {
            source,
            destination,
            ..
        } => (destination, Some(source.clone())),
    };
    let is_gone = matches!(op, FileOp::Delete { .. });
    FileChanged {
        path: path.clone(),
        op: op.name().to_owned(),
        source,
        bytes_written: 1,
        sha256: (!is_gone).then(|| ContentHash::of(b"x")),
        version,
        replacements: 1,
        diff: Some("@@".to_owned()),
        ..FileChanged::default()
    }
}

fn excerpt(text: &str) -> Excerpt {
    Excerpt {
        line: 3,
        text: text.to_owned(),
        lines_omitted: 0,
    }
}

fn hunk() -> Hunk {
    Hunk {
        expected: excerpt("old\n"),
        actual: excerpt("new\n"),
    }
}

/// One refusal of every kind.
pub(crate) fn refusals() -> Vec<Refusal> {
    let edit = |reason| Refusal::Edit {
        path: "a.txt".to_owned(),
        refusal: EditRefusal { index: 1, reason },
    };
    vec![
        Refusal::ResourceBusy(Box::new(busy())),
        Refusal::ResourceBusy(Box::new(Busy {
            process: Some(Process {
                pid: 7,
                stopped: true,
                command: Some("maasl serve".to_owned()),
            }),
            ..busy()
        })),
        Refusal::StaleVersion(Box::new(stale())),
        Refusal::LeaseLost(Box::new(lost())),
        Refusal::Deadlock {
            circle: vec![owner("me"), owner("alice")],
        },
        Refusal::LimitReached {
            limit: "max_changes".to_owned(),
            value: 9,
        },
        Refusal::invalid("path", "does not exist"),
        Refusal::Path(PathRefusal::new("../x", PathReason::Traversal)),
        edit(EditReason::NotFound {
            nearest: Some(hunk()),
        }),
        edit(EditReason::Ambiguous {
            found: 2,
            expected: 1,
            lines: vec![3, 9],
        }),
        edit(EditReason::NoChange),
        Refusal::IdempotencyMismatch {
            key: "k".to_owned(),
        },
        Refusal::Cancelled,
        Refusal::internal("the disk is full"),
    ]
}

fn busy() -> Busy {
    Busy {
        resource: "code:a.txt".to_owned(),
        blockers: vec![blocker()],
        place: 1,
        waited_ms: 500,
        allowed_ms: 500,
        process: None,
        own: false,
    }
}

fn stale() -> Stale {
    Stale {
        path: "a.txt".to_owned(),
        reason: StaleReason::Conflicting,
        expected: Some(ContentHash::of(b"old")),
        current: Some(ContentHash::of(b"new")),
        changed_by: Some(ChangedBy {
            agent: AgentId::new("alice"),
            version: 8,
            wall_ms: WALL_MS,
        }),
        hunk: Some(hunk()),
        conflicts: vec![ConflictHunk {
            base: excerpt("a\n"),
            ours: excerpt("b\n"),
            theirs: excerpt("c\n"),
        }],
        excerpt: Some(excerpt("new\n")),
        kept_version: Some(9),
    }
}

fn lost() -> LostLease {
    LostLease {
        resources: vec!["code:a.txt".to_owned()],
        token: Some(Token::from_number(40)),
        ended: Some(EndedLease {
            id: LeaseId::new("0123"),
            token: Token::from_number(40),
            owner: owner("me"),
            end: LeaseEnd::TakenOver {
                by: owner("alice"),
                token: Token::from_number(41),
            },
            ended_wall_ms: WALL_MS,
        }),
        expired: false,
    }
}
