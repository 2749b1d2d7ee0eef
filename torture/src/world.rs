//! What all threads of a run share.
//!
//! Owns: the servers that live, the epoch of the state, what was broken, and what
//! was counted. Promises: a breach that was reported is never forgotten. Leaves
//! to others: everything that happens (`agent`, `commander`, `nemesis`).

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use maasl_client::{Gone, Launch, Process, Server};

use crate::ground::Ground;
use crate::journal::now_ns;
use crate::ledger::Ledger;

/// Nothing takes longer than this unless it hangs; the nemesis stops servers for
/// a part of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What all threads share.
#[derive(Debug)]
pub(crate) struct World {
    /// The programs that servers are started from, in turn.
    pub(crate) programs: Vec<PathBuf>,
    pub(crate) ground: Ground,
    pub(crate) seed: u64,
    /// Whether the state is never deleted nor put back.
    pub(crate) leave_state: bool,
    /// Rows of the database.
    pub(crate) rows: Mutex<Ledger>,
    /// Nodes of the graph, since the state was last lost.
    pub(crate) nodes: Mutex<Ledger>,
    servers: Mutex<BTreeMap<String, Process>>,
    epoch: AtomicU64,
    turns: RwLock<()>,
    is_over: AtomicBool,
    /// When each began and was over.
    upheavals: Mutex<Vec<(u64, u64)>>,
    broken: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<(String, String), u64>>,
}

impl World {
    pub(crate) fn new(
        programs: Vec<PathBuf>,
        ground: Ground,
        seed: u64,
        leave_state: bool,
    ) -> Self {
        Self {
            programs,
            ground,
            seed,
            leave_state,
            rows: Mutex::default(),
            nodes: Mutex::default(),
            servers: Mutex::default(),
            epoch: AtomicU64::new(0),
            turns: RwLock::new(()),
            is_over: AtomicBool::new(false),
            upheavals: Mutex::default(),
            broken: Mutex::default(),
            counts: Mutex::default(),
        }
    }

    /// Whether no more is to be begun.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// Ends the work.
    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    /// How often the state was lost or put back, twice over: an odd number while
    /// it happens. What spans a change of it may have come to anything.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Loses the state, in whatever way.
    pub(crate) fn lose_state(&self, lose: impl FnOnce() -> bool) -> bool {
        self.upheaval(|| {
            self.epoch.fetch_add(1, Ordering::SeqCst);
            let lost = lose();
            *locked(&self.nodes) = Ledger::default();
            self.epoch.fetch_add(1, Ordering::SeqCst);
            lost
        })
    }

    /// Does something that may end leases of anybody.
    pub(crate) fn upheaval<T>(&self, act: impl FnOnce() -> T) -> T {
        let began_ns = now_ns();
        let done = act();
        locked(&self.upheavals).push((began_ns, now_ns()));
        done
    }

    /// When leases of anybody may have ended: from when to when.
    pub(crate) fn upheavals(&self) -> Vec<(u64, u64)> {
        locked(&self.upheavals).clone()
    }

    /// Held by whoever asks for something, until it is answered.
    pub(crate) fn turn(&self) -> RwLockReadGuard<'_, ()> {
        self.turns.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by whoever needs that nobody asks for anything.
    pub(crate) fn quiet(&self) -> RwLockWriteGuard<'_, ()> {
        self.turns.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports what must not be.
    pub(crate) fn report(&self, breach: impl Into<String>) {
        locked(&self.broken).push(breach.into());
    }

    /// What was reported.
    pub(crate) fn broken(&self) -> Vec<String> {
        locked(&self.broken).clone()
    }

    /// Counts something under a heading.
    pub(crate) fn count(&self, heading: &str, what: &str) {
        let key = (heading.to_owned(), what.to_owned());
        *locked(&self.counts).entry(key).or_default() += 1;
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> BTreeMap<(String, String), u64> {
        locked(&self.counts).clone()
    }

    /// Starts a server for an agent, as often as the disk makes that necessary.
    pub(crate) fn start(&self, agent: &str, number: usize) -> Option<Server> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let program = &self.programs[number % self.programs.len()];
            let log = self.ground.logs().join(format!("{agent}.log"));
            let log = File::options().create(true).append(true).open(log);
            let launch = Launch::new(program, &self.ground.root(), agent)
                .log(log.expect("logs are on a disk that nobody attacks"));
            let why = match Server::start(launch, PATIENCE) {
                Ok(Ok(server)) => {
                    self.count("process", "started");
                    locked(&self.servers).insert(agent.to_owned(), server.process().clone());
                    return Some(server);
                }
                Ok(Err(Gone::Ended(status))) => format!("it ended with {status}"),
                Ok(Err(gone)) => gone.to_string(),
                Err(error) => error.to_string(),
            };
            self.count("process", "would not start");
            if Instant::now() >= deadline {
                self.report(format!("no server for {agent} starts any more: {why}"));
                return None;
            }
            std::thread::sleep(Duration::from_millis(50)); // tidy: the disk may be full for a while
        }
    }

    /// The processes of all servers that were started last.
    pub(crate) fn processes(&self) -> Vec<(String, Process)> {
        let servers = locked(&self.servers);
        let each = servers.iter();
        each.map(|(agent, process)| (agent.clone(), process.clone()))
            .collect()
    }
}

/// The content of a lock. A thread that panicked is reported when it is joined.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
