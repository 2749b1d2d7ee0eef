//! Plausible rows, answers and refusals.
//!
//! Owns: one of everything that the core can say. Promises: always the same.
//! Leaves to others: when it is said.

use std::sync::Arc;

use maasl_core::coordinator::io::{
    Call, DocumentWanted, FileOp, FileRead, NeedsContent, Reply, Request,
};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::docgen::{
    Checked, DocgenRecord, DocgenStale, DocgenStatus, Freshness, GeneratorFailure, GeneratorFault,
    Made, Unmarked,
};
use maasl_core::id::{AgentId, ContentHash, LeaseId, Owner, SessionId, TicketNo, Token};
use maasl_core::lease::outcome::Snapshot;
use maasl_core::lease::{Blocker, EndedLease, Lease, LeaseEnd, LeaseKind, Meta, Ticket};
use maasl_core::path::{PathReason, PathRefusal};
use maasl_core::policy::Urgency;
use maasl_core::refusal::{
    Busy, ChangedBy, DbBusy, LostLease, Process, Refusal, Stale, StaleReason,
};
use maasl_core::reply::{
    Beyond, DatabaseChanged, FileChanged, FreshDocument, Receipt, SkipReason, SkippedSpan,
};
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::text::edit::{EditReason, EditRefusal};
use maasl_core::text::hunk::{Excerpt, Hunk};
use maasl_core::text::merge::ConflictHunk;
use maasl_core::time::Timestamp;

pub(crate) mod graph;

/// When everything happened: the middle of 2026.
pub(crate) const WALL_MS: u64 = 1_782_000_000_000;

fn owner(agent: &str) -> Owner {
    Owner {
        session: SessionId::new("5e55"),
        agent: AgentId::new(agent),
    }
}

pub(crate) fn blocker() -> Blocker {
    Blocker {
        key: ResourceKey::new("code", "a.txt"),
        owner: owner("alice"),
        token: Some(Token::from_number(41)),
        since_wall_ms: WALL_MS,
        held_ms: 20,
        expires_in_ms: 900,
        purpose: Some("renaming".into()),
    }
}

pub(crate) fn snapshot() -> Snapshot {
    let file = Want::exclusive(ResourceKey::new("code", "a.txt"), "CRIT_CODE");
    let db = Want::exclusive(ResourceKey::new("db", "main"), "CRIT_DB");
    let lease = Lease {
        id: LeaseId::default(),
        token: Token::from_number(41),
        owner: owner("alice"),
        wants: [file.clone(), db].into(),
        kind: LeaseKind::Reservation,
        granted_at: Timestamp::ZERO.plus_ms(1_000),
        granted_wall_ms: WALL_MS - 4_000,
        expires_at: Timestamp::ZERO.plus_ms(6_500),
        ttl_ms: 5_500,
        lock_delay_ms: 0,
        purpose: Some("renaming".into()),
    };
    let ticket = Ticket {
        no: TicketNo(1),
        lease: LeaseId::default(),
        owner: owner("bob"),
        wants: [file].into(),
        urgency: Urgency::Interactive,
        since: Timestamp::ZERO,
        deadline: Timestamp::NEVER,
        bypassed: 0,
    };
    let meta = Meta {
        store: "".into(),
        generation: 0,
        next_sequence: 42,
        reserved_through: Token::from_number(99),
        next_ticket: 2,
        boot: "".into(),
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
        Request::Read(wanted) => Reply::Read(read(&wanted.path)),
        Request::Change(ops) => Reply::Receipt(Receipt::Changed {
            files: ops.iter().map(|op| changed(op, 7)).collect(),
            token,
            waited_ms: 3,
            beyond: Beyond::default(),
        }),
        Request::Transact(asked) => transacted(asked),
        Request::Database(write) => Reply::Receipt(Receipt::Written {
            db: write.db.clone(),
            rows_affected: 2,
            last_insert_rowid: Some(9),
            token,
            waited_ms: 1,
        }),
        Request::Enrich(spans) => Reply::Receipt(Receipt::Enriched {
            enriched: spans.len() as u64,
            skipped: vec![SkippedSpan {
                path: "b.txt".to_owned(),
                start_line: 1,
                end_line: 2,
                reason: SkipReason::Changed,
                current: Some(ContentHash::of(b"now")),
            }],
            token,
            waited_ms: 0,
        }),
        Request::Preview(ops) => Reply::Preview(ops.iter().map(|op| changed(op, 0)).collect()),
        Request::Document(asked) => document(asked),
        Request::Patch(asked) => Reply::Receipt(Receipt::Patched(Box::new(graph::patched(asked)))),
        Request::Query(_) => Reply::Graph(Box::new(graph::view())),
        Request::ExportGraph(_) | Request::ImportGraph(_) | Request::CompactGraphs(_) => {
            panic!("no tool asks for it")
        }
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
        Request::Release(_) => Reply::Released { held_ms: 12 },
        Request::ReleaseAll => Reply::Ended { is_settled: true },
        Request::Revoke { .. } => Reply::Revoked(Vec::new()),
        Request::Recover => Reply::Recovered(0),
        Request::Bury(dead) => Reply::Buried(dead.clone()),
    }
}

/// One operation on a document of every kind.
pub(crate) fn docgen_records() -> Vec<DocgenRecord> {
    let record = |status, error: Option<&str>| DocgenRecord {
        status,
        source: "a.py".to_owned(),
        document: "DOCS/REPODOCS/a.py.md".to_owned(),
        hash: error.is_none().then(|| ContentHash::of(b"source")),
        duration_ms: 4,
        error: error.map(str::to_owned),
        owner: owner("alice"),
        wall_ms: WALL_MS,
    };
    vec![
        record(DocgenStatus::Error, Some("a.py has changed")),
        record(DocgenStatus::Noop, None),
        record(DocgenStatus::Generated, None),
    ]
}

/// One source of every kind.
pub(crate) fn checked() -> Vec<Checked> {
    let states = [
        ("fresh.py", Ok(Freshness::Fresh)),
        ("missing.py", Ok(Freshness::Missing)),
        ("own.py", Ok(Freshness::Unmarked)),
        ("secret.py", Err("permission denied".to_owned())),
        ("stale.py", Ok(Freshness::Stale)),
        ("stale2.py", Ok(Freshness::Stale)),
    ];
    let checked = states.map(|(source, state)| Checked {
        source: source.to_owned(),
        state,
    });
    checked.into()
}

/// Asks for the content where there is none; `fresh` is fresh.
fn document(asked: &DocumentWanted) -> Reply {
    let source = ContentHash::of(b"source");
    let place = format!("DOCS/REPODOCS/{}.md", asked.path);
    match &asked.content {
        _ if asked.path == "fresh" => Reply::Receipt(Receipt::Fresh {
            source: asked.path.clone(),
            document: place,
            source_sha256: source,
            sha256: ContentHash::of(b"document"),
            waited_ms: 1,
        }),
        None => Reply::NeedsContent(NeedsContent {
            source: asked.path.clone(),
            source_sha256: source,
            content: Arc::from(&b"source"[..]),
            document: place,
        }),
        Some(content) => Reply::Receipt(Receipt::Changed {
            files: vec![FileChanged {
                path: place,
                op: "docgen".to_owned(),
                sha256: Some(ContentHash::of(content)),
                version: 1,
                document: Some(Made {
                    source: asked.path.clone(),
                    source_sha256: source,
                    duration_ms: 4,
                }),
                ..FileChanged::default()
            }],
            token: Token::from_number(42),
            waited_ms: 3,
            beyond: Beyond::default(),
        }),
    }
}

/// Of documents, `fresh` is left as it is.
fn transacted(asked: &TransactionWanted) -> Reply {
    let mut files: Vec<FileChanged> = asked.files.iter().map(|op| changed(op, 7)).collect();
    let mut fresh = Vec::new();
    for wanted in &asked.documents {
        match document(wanted) {
            Reply::Receipt(Receipt::Changed { files: made, .. }) => files.extend(made),
            Reply::Receipt(Receipt::Fresh {
                source,
                document,
                source_sha256,
                sha256,
                ..
            }) => fresh.push(FreshDocument {
                source,
                document,
                source_sha256,
                sha256,
            }),
            other => panic!("no part of a transaction: {other:?}"),
        }
    }
    let graph = asked.graph.as_ref();
    let graph = graph.map(|patch| Box::new(graph::patched(patch)));
    let database = asked.database.as_ref().map(|write| DatabaseChanged {
        db: write.db.clone(),
        rows_affected: 1,
        last_insert_rowid: Some(3),
    });
    Reply::Receipt(Receipt::Changed {
        files,
        token: Token::from_number(42),
        waited_ms: 3,
        beyond: Beyond {
            database,
            fresh,
            graph,
        },
    })
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
        | FileOp::Restore { path, .. }
        | FileOp::Document { path, .. }
        | FileOp::Graph { path, .. } => (path, None),
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
        Refusal::DbBusy(Box::new(DbBusy {
            db: "rag".to_owned(),
            busy: busy(),
            foreign: false,
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
        Refusal::DocgenStale(Box::new(DocgenStale {
            path: "a.py".to_owned(),
            expected: Some(ContentHash::of(b"old")),
            current: Some(ContentHash::of(b"new")),
        })),
        Refusal::Unmarked(Box::new(Unmarked {
            path: "DOCS/REPODOCS/a.py.md".to_owned(),
            current: ContentHash::of(b"own"),
            named: None,
        })),
        Refusal::Generator(Box::new(GeneratorFailure {
            fault: GeneratorFault::TimedOut { allowed_ms: 100 },
            stderr: "reading\n".to_owned(),
        })),
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
