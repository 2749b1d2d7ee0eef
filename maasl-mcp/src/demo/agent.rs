//! One agent: what it does all day.
//!
//! Owns: the choice of its next effect, retries, thinking times, and the journal.
//! Promises: the same workload whichever hands it has; every effect it is told is
//! done is in the journal, with a mark nothing else has. Leaves to others: access
//! to files (`hands`) and judging the result (`account`).

mod effects;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::hands::{Answer, Change, Hands, Hurry, Read};
use super::journal::{Effect, Entry, Log, Outcome};
use super::random::Random;
use super::workspace::Plan;

/// An agent and its hands.
pub(super) struct Agent<H> {
    pub(super) name: String,
    pub(super) hands: H,
    pub(super) plan: Arc<Plan>,
    pub(super) random: Random,
    /// Acknowledged effects of all agents, for the progress bar.
    pub(super) progress: Arc<AtomicU64>,
    log: Log,
    sequence: u64,
    /// The marks of its own file, acknowledged ones, oldest first.
    own: Vec<String>,
    until: Instant,
}

/// How often a refused change is tried again.
const TRIES: u32 = 8;

/// One of the things an agent does.
#[derive(Clone, Copy, Debug)]
enum Task {
    EditOwnRegion,
    EditSameRegion,
    Rewrite,
    Count,
    Refactor,
    RenameOwn,
    RenameShared,
    Sign,
    WriteOwn,
    RestoreOwn,
    Careful,
    Look,
}

/// How often each thing is done, relative to the others.
const TASKS: [(Task, u64); 12] = [
    (Task::EditOwnRegion, 16),
    (Task::EditSameRegion, 14),
    (Task::Rewrite, 22),
    (Task::Count, 16),
    (Task::Refactor, 10),
    (Task::RenameOwn, 5),
    (Task::RenameShared, 6),
    (Task::Sign, 6),
    (Task::WriteOwn, 6),
    (Task::RestoreOwn, 4),
    (Task::Careful, 14),
    (Task::Look, 5),
];

/// Whether a refused change may succeed when tried again.
fn is_passing(code: &str) -> bool {
    let passing = ["stale_version", "resource_busy", "lease_lost", "deadlock"];
    passing.iter().any(|start| code.starts_with(start))
}

impl<H: Hands> Agent<H> {
    pub(super) fn new(
        name: String,
        hands: H,
        plan: Arc<Plan>,
        random: Random,
        progress: Arc<AtomicU64>,
    ) -> Self {
        Self {
            name,
            hands,
            plan,
            random,
            progress,
            log: Log::new(),
            sequence: 0,
            own: Vec::new(),
            until: Instant::now(),
        }
    }

    /// Works until then, and says what it did.
    pub(super) async fn work(mut self, until: Instant) -> Log {
        self.until = until;
        while Instant::now() < until {
            let task = self.choose();
            self.perform(task).await;
            self.think(2, 12).await;
        }
        self.log.servers_started = self.hands.finish().await;
        self.log
    }

    fn choose(&mut self) -> Task {
        let total = TASKS.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(total);
        for (task, weight) in TASKS {
            if drawn < weight {
                return task;
            }
            drawn -= weight;
        }
        Task::Look
    }

    async fn perform(&mut self, task: Task) {
        match task {
            Task::EditOwnRegion => self.edit_region(true).await,
            Task::EditSameRegion => self.edit_region(false).await,
            Task::Rewrite => self.rewrite().await,
            Task::Count => self.count().await,
            Task::Refactor => self.refactor().await,
            Task::RenameOwn => self.rename(false).await,
            Task::RenameShared => self.rename(true).await,
            Task::Sign => self.sign().await,
            Task::WriteOwn => self.write_own().await,
            Task::RestoreOwn => self.restore_own().await,
            Task::Careful => self.edit_carefully().await,
            Task::Look => self.look().await,
        }
    }

    /// A mark that nothing else has.
    fn mark(&mut self) -> String {
        self.sequence += 1;
        format!("{} #{}", self.name, self.sequence)
    }

    /// What passes between seeing a file and changing it: here some milliseconds,
    /// with real agents many seconds.
    async fn ponder(&mut self) {
        self.think(10, 50).await;
    }

    async fn think(&mut self, from_ms: u64, to_ms: u64) {
        let pause = self.random.millis(from_ms, to_ms);
        tokio::time::sleep(pause).await;
    }

    fn enter(&mut self, effect: Effect, outcome: Outcome) {
        if outcome == Outcome::Acknowledged {
            self.progress.fetch_add(1, Ordering::Relaxed);
        }
        self.log.entries.push(Entry { effect, outcome });
    }

    /// Whether another attempt makes sense; an interrupted agent goes home.
    fn has_time(&self) -> bool {
        Instant::now() < self.until
    }

    async fn read(&mut self, path: &str) -> Option<Read> {
        let (start, quiet) = (Instant::now(), self.hands.disturbances());
        let read = self.hands.read(path).await;
        self.time(start, quiet);
        read
    }

    /// One attempt. `None` if it was refused but may succeed later.
    async fn attempt(
        &mut self,
        change: &Change,
        hurry: Hurry,
        lease: Option<&str>,
    ) -> Option<Outcome> {
        let (start, quiet) = (Instant::now(), self.hands.disturbances());
        let answer = self.hands.change(change, hurry, lease).await;
        if hurry == Hurry::Interactive {
            self.time(start, quiet);
        }
        match answer {
            Answer::Done { rebased, merged } => {
                self.log.rebased += u64::from(rebased);
                self.log.merged += u64::from(merged);
                Some(Outcome::Acknowledged)
            }
            Answer::Unknown => Some(Outcome::Unknown),
            Answer::Refused(code) => {
                let passing = is_passing(&code);
                self.refused(code);
                (!passing).then_some(Outcome::Refused)
            }
        }
    }

    fn refused(&mut self, code: String) {
        *self.log.refusals.entry(code).or_default() += 1;
    }

    /// The same change until it is done or final.
    async fn insist(&mut self, change: &Change, hurry: Hurry) -> Outcome {
        for _ in 0..TRIES {
            if let Some(outcome) = self.attempt(change, hurry, None).await {
                return outcome;
            }
            if !self.has_time() {
                break;
            }
            self.think(5, 25).await;
        }
        Outcome::Refused
    }

    fn time(&mut self, start: Instant, quiet: u64) {
        let now = self.hands.disturbances();
        // An odd number is a freeze that lasts.
        if now != quiet || now % 2 == 1 {
            self.log.calls_frozen += 1;
            return;
        }
        let elapsed = micros(start.elapsed());
        self.log.waits.saturating_record(elapsed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
