//! Leases to measure with.
//!
//! Owns: commands for one lease, and stores that hold others. Promises: a lease
//! is on a path of its own unless asked otherwise. Leaves to others: what to time.

use std::ops::Range;
use std::path::Path;

use maasl_core::id::{AgentId, LeaseId, Owner, SessionId};
use maasl_core::lease::command::{Acquire, Release};
use maasl_core::lease::{Command, Outcome};
use maasl_core::resource::{ResourceKey, Want};
use maasl_node::state_dir::StateDir;
use maasl_node::store::{OpenOptions, SqliteStore, Store};

/// Long enough that nothing expires under measurement: an hour.
const TTL_MS: u64 = 3_600_000;
/// Paths that are acquired in turn.
const PATHS: u64 = 1_000;

/// One acquire and its release, ready to be sent.
#[derive(Debug)]
pub struct Pair {
    /// Takes the lease.
    pub acquire: Command,
    /// Returns it.
    pub release: Command,
}

impl Pair {
    /// The `n`-th lease on one of a thousand paths.
    #[must_use]
    pub fn new(n: u64) -> Self {
        let id = format!("{n:032x}");
        let path = format!("src/module_{}/file.rs", n % PATHS);
        Self {
            acquire: acquire(&id, &path),
            release: release(&id, &path),
        }
    }

    /// Sends both.
    ///
    /// # Panics
    /// If the store does not grant and release.
    pub fn run(&self, store: &dyn Store) {
        must_grant(store, &self.acquire);
        must_release(store, &self.release);
    }
}

/// Sends an acquire that must be granted.
///
/// # Panics
/// If it is not.
pub fn must_grant(store: &dyn Store, acquire: &Command) {
    let outcome = store.transact(acquire).expect("the store works");
    assert!(matches!(outcome, Outcome::Granted { .. }), "{outcome:?}");
}

/// Sends a release of what is held.
///
/// # Panics
/// If it was not held.
pub fn must_release(store: &dyn Store, release: &Command) {
    let outcome = store.transact(release).expect("the store works");
    assert!(matches!(outcome, Outcome::Released { .. }), "{outcome:?}");
}

/// Grants leases on paths that no [`Pair`] asks for.
///
/// # Panics
/// If one is not granted.
pub fn hold_others(store: &dyn Store, which: Range<u64>) {
    for n in which {
        let acquire = acquire(&format!("held-{n}"), &format!("other/{n:06}/file"));
        must_grant(store, &acquire);
    }
}

/// A new SQLite store below `root`.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn sqlite_store(root: &Path) -> SqliteStore {
    let dir = StateDir::open(root).expect("a new directory can be made");
    SqliteStore::open(&dir, OpenOptions::new("boot")).expect("a new store opens")
}

fn acquire(id: &str, path: &str) -> Command {
    let owner = Owner {
        session: SessionId::new("0123456789abcdef"),
        agent: AgentId::new("agent"),
    };
    let wants = [Want::exclusive(ResourceKey::new("code", path), "CRIT_CODE")];
    Command::Acquire(Acquire {
        purpose: Some("write_file".into()),
        ..Acquire::at_once(LeaseId::new(id), owner, wants.into(), TTL_MS)
    })
}

fn release(id: &str, path: &str) -> Command {
    Command::Release(Release {
        lease: LeaseId::new(id),
        latched: [ResourceKey::new("code", path)].into(),
        counts: Vec::new(),
        request: None,
    })
}
