//! One half of the demonstration: all agents at work, then the reckoning.
//!
//! Owns: starting and ending agents, servers and nemesis of a half. Promises: both
//! halves have the same agents, seeds and duration; no process outlives its half.
//! Leaves to others: what agents do (`agent`) and what is told (`verdict`).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::DemoError;
use super::account::account;
use super::agent::Agent;
use super::client::Client;
use super::hands::{Answer, Change, Edit, Hands, Hurry, Plain};
use super::journal::{Effect, Entry, Log, Outcome};
use super::nemesis::{Faults, torment};
use super::progress::Progress;
use super::random::Random;
use super::server_process::{Launch, Slot};
use super::verdict::{Guard, Half};
use super::workspace::{EVERYONE, Plan};

/// What both halves have in common.
pub(super) struct Setting {
    pub(super) plan: Arc<Plan>,
    pub(super) agents: Vec<String>,
    pub(super) seed: u64,
    pub(super) duration: Duration,
    pub(super) with_progress: bool,
}

/// The stream of the nemesis; agents have the small numbers.
const NEMESIS: u64 = 1 << 32;

/// Kills what is left when a half is given up.
struct Crew(Vec<Arc<Slot>>);

impl Drop for Crew {
    fn drop(&mut self) {
        for slot in &self.0 {
            slot.kill();
        }
    }
}

/// The workload without a guard: one thread pool, no kills, no freezes.
pub(super) async fn unguarded(setting: &Setting, root: &Path) -> Result<Half, DemoError> {
    let hands = setting.agents.iter().map(|_| Plain::new(root)).collect();
    let progress = Progress::new("unguarded", setting);
    let log = work(setting, hands, &progress).await;
    reckon(setting, root, log)
}

/// The workload through MAASL, with servers that are killed and frozen.
pub(super) async fn guarded(
    setting: &Setting,
    launch: Launch,
) -> Result<(Half, Guard, Faults), DemoError> {
    let launch = Arc::new(launch);
    let crew = Crew(setting.agents.iter().map(|_| Arc::default()).collect());
    let mut hands = Vec::new();
    for (agent, slot) in setting.agents.iter().zip(&crew.0) {
        let mut client = Client::new(launch.clone(), agent.clone(), slot.clone());
        client.connect().await.map_err(DemoError::Server)?;
        hands.push(client);
    }
    let until = Instant::now() + setting.duration;
    let random = Random::new(setting.seed, NEMESIS);
    let mut nemesis = JoinSet::new();
    nemesis.spawn(torment(crew.0.clone(), random, until));
    let progress = Progress::new("guarded by MAASL", setting);
    let mut log = work(setting, hands, &progress).await;
    let faults = nemesis.join_next().await.transpose();
    let faults = faults.map_err(DemoError::Task)?.unwrap_or_default();
    let guard = audit(setting, &launch, &mut log).await?;
    Ok((reckon(setting, &launch.root, log)?, guard, faults))
}

async fn work<H: Hands>(setting: &Setting, hands: Vec<H>, progress: &Progress) -> Log {
    let until = Instant::now() + setting.duration;
    let count: Arc<AtomicU64> = Arc::default();
    let mut tasks = JoinSet::new();
    for (number, hands) in hands.into_iter().enumerate() {
        let random = Random::new(setting.seed, number as u64);
        let (name, plan) = (setting.agents[number].clone(), setting.plan.clone());
        let agent = Agent::new(name, hands, plan, random, count.clone());
        tasks.spawn(agent.work(until));
    }
    let mut log = Log::new();
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            _ = tick.tick() => progress.show(count.load(Ordering::Relaxed)),
            done = tasks.join_next() => match done {
                Some(done) => log.absorb(done.expect("agents do not panic and are not aborted")),
                None => break,
            },
        }
    }
    progress.finish();
    log
}

/// Asks a fresh server for the counters, after it has touched every edited file:
/// what a killed server left half done is settled by whoever comes next.
async fn audit(setting: &Setting, launch: &Arc<Launch>, log: &mut Log) -> Result<Guard, DemoError> {
    let crew = Crew(vec![Arc::default()]);
    let mut auditor = Client::new(launch.clone(), "auditor".to_owned(), crew.0[0].clone());
    auditor.connect().await.map_err(DemoError::Server)?;
    for (number, source) in setting.plan.sources.iter().enumerate() {
        let mark = format!("auditor #{number}");
        let anchor = source.language.anchor(EVERYONE);
        let edit = Edit {
            path: source.path.clone(),
            new: format!("{anchor}\n{}", source.language.mark(&mark)),
            old: anchor,
        };
        let answer = auditor
            .change(&Change::Edit(edit), Hurry::Batch, None)
            .await;
        let (path, own_region) = (source.path.clone(), false);
        log.entries.push(Entry {
            effect: Effect::Note {
                path,
                mark,
                own_region,
            },
            outcome: match answer {
                Answer::Done { .. } => Outcome::Acknowledged,
                Answer::Refused(_) => Outcome::Refused,
                Answer::Unknown => Outcome::Unknown,
            },
        });
    }
    let stats = auditor.call("llmc_stomp_stats", json!({})).await;
    auditor.finish().await;
    Ok(Guard::new(stats.unwrap_or(Value::Null)))
}

fn reckon(setting: &Setting, root: &Path, log: Log) -> Result<Half, DemoError> {
    // Beside the copy, for whoever inspects it.
    let lines = log.entries.iter().map(|entry| format!("{entry:?}\n"));
    let journal = root.with_extension("journal");
    std::fs::write(journal, lines.collect::<String>()).map_err(DemoError::Files)?;
    let snapshot = setting.plan.snapshot(root).map_err(DemoError::Files)?;
    let account = account(&log.entries, &snapshot);
    let broken = setting.plan.broken(root);
    Ok(Half::new(&account, log, setting.plan.sources.len(), broken))
}
