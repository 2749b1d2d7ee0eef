//! A store with a clock that stands still until told otherwise, and short ways
//! to ask it for things.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use maasl_core::id::{AgentId, ContentHash, LeaseId, OpId, Owner, SessionId, TicketNo};
use maasl_core::lease::command::{Acquire, FinishCommit, Release};
use maasl_core::lease::{
    Command, CommitIntent, CommitItem, Lease, Outcome, RequestKey, Session, StoreClock,
};
use maasl_core::reply::{Beyond, FileChanged, Receipt};
use maasl_core::resource::{Extent, Mode, ResourceKey, Scope, Want};
use maasl_core::time::Timestamp;
use maasl_node::state_dir::StateDir;
use maasl_node::store::{Clock, MemoryStore, OpenOptions, SqliteStore, Store};
use tempfile::TempDir;

/// The boot every bench begins under.
pub(crate) const BOOT: &str = "memory";

pub(crate) const TTL_MS: u64 = 30_000;

/// A store under test.
pub(crate) struct Bench {
    pub(crate) store: Box<dyn Store>,
    pub(crate) time: Time,
    _root: Option<TempDir>,
}

/// A clock that is moved by hand.
#[derive(Clone)]
pub(crate) struct Time {
    ms: Arc<AtomicU64>,
}

impl Time {
    /// Some time in 2026, so that wall time looks like itself.
    pub(crate) fn new() -> Self {
        Self {
            ms: Arc::new(AtomicU64::new(1_790_000_000_000)),
        }
    }

    pub(crate) fn clock(&self) -> Clock {
        let ms = Arc::clone(&self.ms);
        Arc::new(move || {
            let ms = ms.load(Ordering::SeqCst);
            StoreClock {
                now: Timestamp::from_ns(ms * 1_000_000),
                wall_ms: ms,
            }
        })
    }

    pub(crate) fn pass_ms(&self, ms: u64) {
        self.ms.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn wall_ms(&self) -> u64 {
        self.ms.load(Ordering::SeqCst)
    }
}

impl Bench {
    pub(crate) fn memory() -> Self {
        let time = Time::new();
        Self {
            store: Box::new(MemoryStore::with_clock(time.clock())),
            time,
            _root: None,
        }
    }

    pub(crate) fn sqlite() -> Self {
        let time = Time::new();
        let root = tempfile::tempdir().unwrap();
        let mut options = options();
        options.clock = time.clock();
        Self {
            store: Box::new(open(root.path(), options)),
            time,
            _root: Some(root),
        }
    }

    pub(crate) fn run(&self, command: Command) -> Outcome {
        self.store.transact(&command).unwrap()
    }

    /// Asks for an exclusive lease and expects it.
    pub(crate) fn take(&self, ask: Acquire) -> Lease {
        granted(self.run(Command::Acquire(ask)))
    }

    /// Asks to wait and expects a ticket.
    pub(crate) fn queue(&self, ask: Acquire) -> (TicketNo, u32) {
        let waiting = Acquire {
            wait_ms: 10_000,
            ..ask
        };
        match self.run(Command::Acquire(waiting)) {
            Outcome::Queued { ticket, place, .. } => (ticket, place),
            other => panic!("not queued: {other:?}"),
        }
    }

    /// Asks without waiting and expects a refusal.
    pub(crate) fn refuse(&self, ask: Acquire) {
        let outcome = self.run(Command::Acquire(ask));
        assert!(matches!(outcome, Outcome::Busy { .. }), "{outcome:?}");
    }

    /// Returns a lease under its latches.
    pub(crate) fn give(&self, lease: &Lease) -> Outcome {
        self.run(release(lease, lease.keys().cloned().collect()))
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        let counters = self.store.counters().unwrap();
        let of_name = counters.iter().filter(|(counter, _)| counter.name == name);
        of_name.map(|(_, value)| value).sum()
    }
}

pub(crate) fn options() -> OpenOptions {
    OpenOptions::new(BOOT)
}

pub(crate) fn open(root: &Path, options: OpenOptions) -> SqliteStore {
    try_open(root, options).unwrap()
}

pub(crate) fn try_open(
    root: &Path,
    options: OpenOptions,
) -> Result<SqliteStore, maasl_node::store::StoreError> {
    SqliteStore::open(&StateDir::open(root).unwrap(), options)
}

pub(crate) fn granted(outcome: Outcome) -> Lease {
    match outcome {
        Outcome::Granted { lease, .. } => lease,
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) fn key(path: &str) -> ResourceKey {
    ResourceKey::new("code", path)
}

pub(crate) fn owner(name: &str) -> Owner {
    Owner {
        session: SessionId::new(format!("session-{name}")),
        agent: AgentId::new(name),
    }
}

pub(crate) fn session(name: &str) -> Session {
    Session {
        id: owner(name).session,
        pid: std::process::id(),
        role: "test".into(),
        started_wall_ms: 0,
    }
}

/// A request of `name` for exactly `path`; the lease id is derived from both.
pub(crate) fn ask(name: &str, path: &str) -> Acquire {
    ask_for(name, vec![want(path, Scope::Exact, Mode::Exclusive)])
}

pub(crate) fn want(path: &str, scope: Scope, mode: Mode) -> Want {
    Want {
        extent: extent(path, scope),
        mode,
        class: "CRIT_CODE".into(),
    }
}

pub(crate) fn extent(path: &str, scope: Scope) -> Extent {
    Extent {
        key: key(path),
        scope,
    }
}

pub(crate) fn ask_for(name: &str, wants: Vec<Want>) -> Acquire {
    let keys: Vec<_> = wants.iter().map(|want| want.extent.key.as_str()).collect();
    let lease = LeaseId::new(format!("{name}-{}", keys.join("+")));
    Acquire::at_once(lease, owner(name), wants.into(), TTL_MS)
}

pub(crate) fn release(lease: &Lease, latched: BTreeSet<ResourceKey>) -> Command {
    Command::Release(Release {
        lease: lease.id.clone(),
        latched,
        counts: Vec::new(),
        request: None,
    })
}

pub(crate) fn request(key: &str) -> RequestKey {
    RequestKey {
        key: key.into(),
        fingerprint: ContentHash::of(key.as_bytes()),
    }
}

/// A commit of new contents of these paths under `lease`, which it ends.
pub(crate) fn intent(lease: &Lease, op: &str, paths: &[&str], content: &str) -> CommitIntent {
    let content = ContentHash::of(content.as_bytes());
    let item = |path: &&str| CommitItem {
        path: (*path).into(),
        key: key(path),
        op: "write".into(),
        stage: format!(".{op}"),
        old: None,
        new: Some(content),
        size_bytes: 3,
    };
    let file = |path: &&str| FileChanged {
        path: (*path).into(),
        op: "write".into(),
        sha256: Some(content),
        ..FileChanged::default()
    };
    let latches: BTreeSet<_> = lease
        .keys()
        .cloned()
        .chain(paths.iter().map(|p| key(p)))
        .collect();
    CommitIntent {
        op: OpId::new(op),
        lease: lease.id.clone(),
        token: lease.token,
        owner: lease.owner.clone(),
        latches: latches.into_iter().collect(),
        items: paths.iter().map(item).collect(),
        receipt: Receipt::Changed {
            files: paths.iter().map(file).collect(),
            token: lease.token,
            waited_ms: 0,
            beyond: Beyond::default(),
        },
        request: None,
        release: true,
        turned_back: false,
        database: None,
        patch: None,
    }
}

pub(crate) fn finish(op: &str) -> Command {
    Command::FinishCommit(FinishCommit {
        op: OpId::new(op),
        exceptions: BTreeMap::new(),
        recovered_by: None,
        counts: Vec::new(),
    })
}

/// Asks, commits new content of `path` and returns the lease.
pub(crate) fn write(bench: &Bench, op: &str, path: &str, content: &str) -> Outcome {
    let lease = bench.take(Acquire {
        lease: LeaseId::new(op),
        ..ask("writer", path)
    });
    let begun = bench.run(Command::BeginCommit(intent(&lease, op, &[path], content)));
    assert_eq!(begun, Outcome::Begun);
    bench.run(finish(op))
}
