//! A table with a clock in hand, and short words for commands.
//!
//! Owns: arrangements that tests share. Promises: a refusal that changes more
//! than counters and the queue fails the test that met it. Leaves to others:
//! what to expect.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{AgentId, ContentHash, LeaseId, OpId, Owner, SessionId, TicketNo, Token};
use maasl_core::lease::command::{Acquire, FinishCommit, ItemEnd, Open, Release, Revoke, Sweep};
use maasl_core::lease::{
    Command, CommitIntent, CommitItem, Counter, Lease, LeaseKind, MemoryRows, Outcome, RequestKey,
    StoreClock, Wake,
};
use maasl_core::policy::Urgency;
use maasl_core::reply::{Beyond, FileChanged, Receipt};
use maasl_core::resource::{Extent, Mode, ResourceKey, Scope, Want, canonical};
use maasl_core::time::Timestamp;

pub(crate) const TTL_MS: u64 = 1000;

pub(crate) struct Table {
    pub(crate) rows: MemoryRows,
    pub(crate) now_ms: u64,
}

pub(crate) fn key(path: &str) -> ResourceKey {
    ResourceKey::new("code", path)
}

pub(crate) fn keys(paths: &[&str]) -> BTreeSet<ResourceKey> {
    paths.iter().map(|path| key(path)).collect()
}

pub(crate) fn want(path: &str) -> Want {
    Want::exclusive(key(path), "CRIT_CODE")
}

pub(crate) fn shared(path: &str) -> Want {
    Want {
        mode: Mode::Shared,
        ..want(path)
    }
}

pub(crate) fn deep(path: &str) -> Want {
    Want {
        extent: extent(path, Scope::Subtree),
        ..want(path)
    }
}

pub(crate) fn extent(path: &str, scope: Scope) -> Extent {
    Extent {
        key: key(path),
        scope,
    }
}

/// An agent alone in a process of the same name.
pub(crate) fn owner(name: &str) -> Owner {
    Owner {
        session: SessionId::new(name),
        agent: AgentId::new(name),
    }
}

pub(crate) fn session(name: &str) -> SessionId {
    SessionId::new(name)
}

pub(crate) fn lease(id: &str) -> LeaseId {
    LeaseId::new(id)
}

/// A reservation that waits a second; its lease is named after the agent.
pub(crate) fn ask(agent: &str, wants: &[Want]) -> Acquire {
    let wants = canonical(wants.to_vec()).into();
    Acquire {
        kind: LeaseKind::Reservation,
        wait_ms: 10_000,
        max_waiters: 10,
        ..Acquire::at_once(lease(agent), owner(agent), wants, TTL_MS)
    }
}

pub(crate) fn batch(agent: &str, wants: &[Want]) -> Acquire {
    Acquire {
        urgency: Urgency::Batch,
        ..ask(agent, wants)
    }
}

pub(crate) fn request(key: &str, asked: &str) -> RequestKey {
    RequestKey {
        key: key.into(),
        fingerprint: hash(asked),
    }
}

pub(crate) fn hash(text: &str) -> ContentHash {
    ContentHash::of(text.as_bytes())
}

/// A commit that makes `path` say `new`, under the latches of the lease.
pub(crate) fn commit(
    op: &str,
    under: &Lease,
    path: &str,
    old: Option<&str>,
    new: &str,
) -> CommitIntent {
    let mut latches: BTreeSet<ResourceKey> = under.keys().cloned().collect();
    latches.insert(key(path));
    CommitIntent {
        op: OpId::new(op),
        lease: under.id.clone(),
        token: under.token,
        owner: under.owner.clone(),
        latches: latches.into_iter().collect(),
        items: vec![CommitItem {
            path: path.into(),
            key: key(path),
            op: "write".into(),
            stage: format!(".{op}"),
            old: old.map(hash),
            new: Some(hash(new)),
            size_bytes: new.len() as u64,
        }],
        receipt: Receipt::Changed {
            files: vec![FileChanged {
                path: path.into(),
                ..FileChanged::default()
            }],
            token: under.token,
            waited_ms: 0,
            beyond: Beyond::default(),
        },
        request: None,
        release: false,
        turned_back: false,
        database: None,
        patch: None,
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut table = Self {
            rows: MemoryRows::default(),
            now_ms: 0,
        };
        table.open("boot", Token::default());
        table.send(&Command::Reserve(Token::new(1, 1_000).expect("small")));
        table
    }

    pub(crate) fn open(&mut self, boot: &str, floor: Token) -> maasl_core::lease::Meta {
        let opened = self.send(&Command::Open(Open {
            store: "store".into(),
            boot: boot.into(),
            floor,
            first_sequence: 1,
            session: None,
        }));
        let Outcome::Opened(meta) = opened else {
            panic!("{opened:?}");
        };
        meta
    }

    pub(crate) fn send(&mut self, command: &Command) -> Outcome {
        let before = self.rows.clone();
        let now = Timestamp::ZERO.plus_ms(self.now_ms);
        let wall_ms = 1_000_000 + self.now_ms;
        let outcome = self.rows.transact(command, StoreClock { now, wall_ms });
        let refused = matches!(
            outcome,
            Outcome::Busy { .. }
                | Outcome::Deadlock { .. }
                | Outcome::LimitReached { .. }
                | Outcome::NeedLatches { .. }
                | Outcome::NeedRecovery(_)
                | Outcome::NeedReserve(_)
                | Outcome::NotCovered { .. }
                | Outcome::UnknownOp(_)
                | Outcome::Answered(_)
                | Outcome::KeyMismatch
                | Outcome::NotAnswered
        );
        if refused || command.is_read_only() {
            assert_eq!(Lasting::of(&before), Lasting::of(&self.rows), "{outcome:?}");
        }
        outcome
    }

    pub(crate) fn acquire(&mut self, asked: &Acquire) -> Outcome {
        self.send(&Command::Acquire(asked.clone()))
    }

    pub(crate) fn granted(&mut self, asked: &Acquire) -> Lease {
        self.granted_and_woken(asked).0
    }

    pub(crate) fn granted_and_woken(&mut self, asked: &Acquire) -> (Lease, Vec<String>) {
        match self.acquire(asked) {
            Outcome::Granted { lease, wake, .. } => (lease, names(&wake)),
            other => panic!("not granted: {other:?}"),
        }
    }

    /// Queues the request; returns its number and its place.
    pub(crate) fn queued(&mut self, asked: &Acquire) -> (TicketNo, u32) {
        match self.acquire(asked) {
            Outcome::Queued { ticket, place, .. } => (ticket, place),
            other => panic!("not queued: {other:?}"),
        }
    }

    pub(crate) fn release(&mut self, id: &str, latched: &[&str]) -> Outcome {
        self.send(&Command::Release(Release {
            lease: lease(id),
            latched: keys(latched),
            counts: Vec::new(),
            request: None,
        }))
    }

    pub(crate) fn released(&mut self, id: &str, latched: &[&str]) -> Vec<String> {
        match self.release(id, latched) {
            Outcome::Released { wake, .. } => names(&wake),
            other => panic!("not released: {other:?}"),
        }
    }

    pub(crate) fn done(&mut self, command: &Command) -> Vec<String> {
        match self.send(command) {
            Outcome::Done { wake } => names(&wake),
            other => panic!("not done: {other:?}"),
        }
    }

    pub(crate) fn sweep(&mut self, dead: &str) -> Vec<String> {
        let dead = [session(dead)].into();
        self.done(&Command::Sweep(Sweep { dead }))
    }

    pub(crate) fn renew(&mut self, id: &str) -> Outcome {
        self.send(&Command::Renew(lease(id)))
    }

    pub(crate) fn begin(&mut self, intent: &CommitIntent) -> Outcome {
        self.send(&Command::BeginCommit(intent.clone()))
    }

    pub(crate) fn finish(&mut self, op: &str, exceptions: BTreeMap<String, ItemEnd>) -> Outcome {
        self.send(&Command::FinishCommit(FinishCommit {
            op: OpId::new(op),
            exceptions,
            recovered_by: None,
            counts: Vec::new(),
        }))
    }

    pub(crate) fn revoke(&mut self, target: Extent, latched: &[&str]) -> Outcome {
        self.send(&Command::Revoke(Revoke {
            target,
            by: AgentId::new("boss"),
            reason: "stuck".into(),
            latched: keys(latched),
        }))
    }

    pub(crate) fn snapshot(&mut self) -> maasl_core::lease::outcome::Snapshot {
        match self.send(&Command::Snapshot) {
            Outcome::Snapshot(snapshot) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn count(&self, counter: Counter) -> u64 {
        let all = self.rows.counters().iter();
        all.filter(|(key, _)| key.counter == counter)
            .map(|(_, n)| n)
            .sum()
    }
}

pub(crate) fn names(wake: &[Wake]) -> Vec<String> {
    wake.iter().map(|wake| wake.session.to_string()).collect()
}

/// The rows that no refusal may change.
#[derive(Debug, PartialEq)]
struct Lasting(Vec<maasl_core::lease::Rows>);

impl Lasting {
    fn of(rows: &MemoryRows) -> Self {
        use maasl_core::lease::Query;
        let mut all = vec![Query::AllLeases, Query::AllIntents, Query::AllSessions];
        for name in ["a", "b", "c", "x", "y", "z", "k"] {
            all.push(Query::Ended(lease(name)));
            all.push(Query::Version(name.into()));
            all.push(Query::Answered(name.into()));
        }
        Self(all.iter().map(|query| rows.load(query)).collect())
    }
}
