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
use maasl_sim::rng::Stream;

use crate::clocks;
use crate::ground::{Ground, Loss};
use crate::journal::now_ns;
use crate::ledger::{Graph, Ledger, Places};
use crate::means::{Fault, Means};
use crate::told::refusal_of_version;

/// Nothing takes longer than this unless it hangs; the nemesis stops servers for
/// a part of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What all threads share.
#[derive(Debug)]
pub(crate) struct World {
    /// The programs that servers are started from, in turn: first those of this
    /// source, then others.
    pub(crate) programs: Vec<PathBuf>,
    /// How many are of this source.
    pub(crate) own: usize,
    pub(crate) ground: Ground,
    pub(crate) means: Means,
    pub(crate) seed: u64,
    /// Whether the state is never deleted nor put back.
    pub(crate) leave_state: bool,
    /// Rows of the database.
    pub(crate) rows: Mutex<Ledger>,
    /// What pieces of source were described as.
    pub(crate) spans: Mutex<Places>,
    /// The graph, since the state was last lost.
    pub(crate) graph: Mutex<Graph>,
    servers: Mutex<BTreeMap<String, Process>>,
    /// How many processes of each name were given a clock.
    clocks: Mutex<BTreeMap<String, u64>>,
    epoch: AtomicU64,
    turns: RwLock<()>,
    /// Who has a turn, and since when.
    under_way: Mutex<BTreeMap<String, u64>>,
    /// When the state was last lost, and when it was last copied.
    lost_ns: AtomicU64,
    copied_ns: AtomicU64,
    is_over: AtomicBool,
    /// When each began and was over.
    upheavals: Mutex<Vec<(u64, u64)>>,
    broken: Mutex<Vec<String>>,
    counts: Mutex<BTreeMap<(String, String), u64>>,
}

impl World {
    pub(crate) fn new(
        programs: Vec<PathBuf>,
        own: usize,
        (ground, means): (Ground, Means),
        seed: u64,
        leave_state: bool,
    ) -> Self {
        Self {
            programs,
            own,
            ground,
            means,
            seed,
            leave_state,
            rows: Mutex::default(),
            spans: Mutex::default(),
            graph: Mutex::default(),
            servers: Mutex::default(),
            clocks: Mutex::default(),
            epoch: AtomicU64::new(0),
            turns: RwLock::new(()),
            under_way: Mutex::default(),
            lost_ns: AtomicU64::new(0),
            copied_ns: AtomicU64::new(0),
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

    /// Whether the state is still the one of this epoch. While it is being lost it is
    /// nobody's.
    pub(crate) fn stands_since(&self, epoch: u64) -> bool {
        epoch.is_multiple_of(2) && epoch == self.epoch()
    }

    /// Loses the state, in whatever way.
    pub(crate) fn lose_state(&self, lose: impl FnOnce() -> Loss) -> Loss {
        self.upheaval(|| {
            self.epoch.fetch_add(1, Ordering::SeqCst);
            let lost = lose();
            if lost != Loss::None {
                *locked(&self.graph) = Graph::default();
            }
            self.lost_ns.store(now_ns(), Ordering::SeqCst);
            self.epoch.fetch_add(1, Ordering::SeqCst);
            lost
        })
    }

    /// When the state was last lost.
    pub(crate) fn lost_ns(&self) -> u64 {
        self.lost_ns.load(Ordering::SeqCst)
    }

    /// The state was copied, with all that was open in it.
    pub(crate) fn note_copy(&self) {
        self.copied_ns.store(now_ns(), Ordering::SeqCst);
    }

    /// When the state was last copied.
    pub(crate) fn copied_ns(&self) -> u64 {
        self.copied_ns.load(Ordering::SeqCst)
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
    pub(crate) fn turn(&self, name: &str) -> Turn<'_> {
        let guard = self.turns.read().unwrap_or_else(PoisonError::into_inner);
        locked(&self.under_way).insert(name.to_owned(), now_ns());
        Turn {
            world: self,
            name: name.to_owned(),
            _guard: guard,
        }
    }

    /// When the longest turn under way of anybody else began; the end of time if
    /// there is none.
    pub(crate) fn others_since(&self, name: &str) -> u64 {
        let under_way = locked(&self.under_way);
        let others = under_way.iter().filter(|(who, _)| *who != name);
        others
            .map(|(_, since_ns)| *since_ns)
            .min()
            .unwrap_or(u64::MAX)
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
        self.add(heading, what, 1);
    }

    /// Counts something that happened so many times.
    pub(crate) fn add(&self, heading: &str, what: &str, times: u64) {
        let key = (heading.to_owned(), what.to_owned());
        *locked(&self.counts).entry(key).or_default() += times;
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> BTreeMap<(String, String), u64> {
        locked(&self.counts).clone()
    }

    /// What the next process of this name, of this program, is started through: a
    /// clock of its own, or nothing. Programs of another source may not know how to
    /// live with one.
    pub(crate) fn clock(&self, name: &str, program: usize) -> Vec<String> {
        if program >= self.own || !self.means.allow(Fault::Clocks) {
            return Vec::new();
        }
        let number = {
            let mut clocks = locked(&self.clocks);
            let number = clocks.entry(name.to_owned()).or_default();
            *number += 1;
            *number
        };
        let stream = ["clock", name, &number.to_string()];
        let through = clocks::drawn(&mut Stream::of(self.seed, &stream));
        let whose = if through.is_empty() {
            "the machine's"
        } else {
            "another"
        };
        self.count("clock", whose);
        through
    }

    /// Starts a server for an agent, as often as the disk makes that necessary. A
    /// program that cannot work with the store is given up for the first one.
    pub(crate) fn start(&self, agent: &str, number: usize) -> Option<Server> {
        let deadline = Instant::now() + PATIENCE;
        let mut program = number % self.programs.len();
        loop {
            let why = match self.try_start(agent, program) {
                Ok(server) => return Some(server),
                Err(why) => why,
            };
            if let Some(refusal) = refusal_of_version(&why).filter(|_| program > 0) {
                self.count("version", &format!("program {}: {refusal}", program + 1));
                program = 0;
                continue;
            }
            self.count("process", "would not start");
            if Instant::now() >= deadline {
                self.report(format!("no server for {agent} starts any more: {why}"));
                return None;
            }
            std::thread::sleep(Duration::from_millis(50)); // tidy: the disk may be full for a while
        }
    }

    /// Why it did not start, with all that it said.
    fn try_start(&self, agent: &str, program: usize) -> Result<Server, String> {
        let log = self.ground.logs().join(format!("{agent}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let file = file.expect("logs are on a disk that nobody attacks");
        let before = file.metadata().map_or(0, |log| log.len());
        let through = self.clock(agent, program);
        let through: Vec<&str> = through.iter().map(String::as_str).collect();
        let launch = Launch::new(&self.programs[program], &self.ground.root(), agent);
        let why = match Server::start(launch.through(&through).log(file), PATIENCE) {
            Ok(Ok(server)) => {
                self.count("process", &format!("started, program {}", program + 1));
                locked(&self.servers).insert(agent.to_owned(), server.process().clone());
                return Ok(server);
            }
            Ok(Err(Gone::Ended(status))) => format!("it ended with {status}"),
            Ok(Err(gone)) => gone.to_string(),
            Err(error) => error.to_string(),
        };
        let said = std::fs::read(&log).unwrap_or_default();
        let skipped = usize::try_from(before)
            .unwrap_or(usize::MAX)
            .min(said.len());
        Err(format!(
            "{why}: {}",
            String::from_utf8_lossy(&said[skipped..])
        ))
    }

    /// The processes of all servers that were started last.
    pub(crate) fn processes(&self) -> Vec<(String, Process)> {
        let servers = locked(&self.servers);
        let each = servers.iter();
        each.map(|(agent, process)| (agent.clone(), process.clone()))
            .collect()
    }
}

/// Somebody's turn, which is over when this goes.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    world: &'a World,
    name: String,
    _guard: RwLockReadGuard<'a, ()>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        locked(&self.world.under_way).remove(&self.name);
    }
}

/// The content of a lock. A thread that panicked is reported when it is joined.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
