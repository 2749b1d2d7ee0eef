//! The long run: servers that stay alive, on one root that grows old.
//!
//! Owns: the order of things: work in equal parts, a sample after each, the old
//! root against a new one now and then, and at the end what is left when everybody
//! rests. Promises: samples are taken while nobody asks for anything; what was
//! measured is in the file of samples before it is judged; everything that was
//! started has ended when it returns. Leaves to others: the work (`load`), looking
//! (`gauge`), comparing (`probe`), judging (`verdict`) and telling (`show`).
//!
//! Nobody is attacked here, except that every other visitor is killed with a lease
//! in its hand: what the dead leave must level off as well.

mod gauge;
mod latency;
mod load;
mod place;
mod probe;
mod show;
mod verdict;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use self::gauge::Figures;
use self::load::{Notes, Quota, Worker};
use self::place::{Limits, Place};
use self::probe::Probe;
use self::show::{Ending, Log};
use self::verdict::{Judged, Sample};
use crate::Failure;

/// What a visitor does before it goes.
const VISIT_TURNS: u64 = 10;

/// How long everybody rests at the end, at most: housekeeping comes once a minute.
const REST: Duration = Duration::from_secs(90);

/// How a long run is made.
#[derive(Debug, clap::Args)]
pub(crate) struct Endure {
    /// The `maasl` program
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// How many calls are made
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    operations: u64,
    /// What decides the calls
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How many agents work, each with a server that stays alive
    #[arg(long, value_name = "K", default_value_t = 4)]
    agents: usize,
    /// How many samples are taken
    #[arg(long, value_name = "N", default_value_t = 100)]
    points: u64,
    /// How many rounds of the same calls the old root and a new one get at the
    /// start and at the end; a fifth of it, nine times between
    #[arg(long, value_name = "N", default_value_t = 300)]
    rounds: u64,
    /// How many patches of the graph are made, beside those of the comparison
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    patches: u64,
    #[command(flatten)]
    limits: Limits,
    /// Where samples go, as JSON lines
    #[arg(long, value_name = "FILE", default_value = "endure.jsonl")]
    samples: PathBuf,
    /// An empty directory to work in, which is left as it is
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Makes the run, and says what came of it.
pub(crate) fn endure(asked: &Endure) -> Result<ExitCode, Failure> {
    let temporary = std::env::temp_dir().join(format!("maasl-endure-{}", std::process::id()));
    let base = asked.keep.clone().unwrap_or(temporary);
    let place = Place::make(&base, &asked.program, &asked.limits)?;
    let quota = Quota::with_patches(asked.patches);
    let mut workers = Vec::new();
    for number in 0..asked.agents.max(1) {
        let name = format!("a{number}");
        let server = place.start(&name)?;
        workers.push(Worker::new(&quota, asked.seed, &name, server));
    }
    let mut run = Run {
        asked,
        base: &base,
        place: &place,
        quota: &quota,
        workers,
        began: Instant::now(),
        samples: Vec::new(),
        probes: Vec::new(),
        refused: BTreeMap::new(),
        broken: Vec::new(),
        log: Log::create(&asked.samples)?,
    };
    run.work()?;
    run.rest()?;
    let broken = run.end()?;
    if asked.keep.is_none() {
        place.remove();
        let _ = std::fs::remove_dir_all(&base);
    }
    Ok(ExitCode::from(u8::from(broken)))
}

/// A run, as far as it has come.
struct Run<'a> {
    asked: &'a Endure,
    base: &'a Path,
    place: &'a Place,
    quota: &'a Quota,
    workers: Vec<Worker<'a>>,
    began: Instant,
    samples: Vec<Sample>,
    probes: Vec<Probe>,
    refused: BTreeMap<String, u64>,
    broken: Vec<String>,
    log: Log,
}

impl Run<'_> {
    /// All the calls, part by part.
    fn work(&mut self) -> Result<(), Failure> {
        let (points, all) = (self.asked.points.max(1), self.asked.operations);
        self.probe(self.asked.rounds)?;
        for point in 1..=points {
            self.part(point, all * point / points)?;
            if point == points {
                self.probe(self.asked.rounds)?;
            } else if points >= 20 && point % (points / 10) == 0 {
                self.probe(self.asked.rounds / 5)?;
            }
        }
        Ok(())
    }

    /// Works until so many calls were made, and looks at what that left.
    fn part(&mut self, point: u64, through: u64) -> Result<(), Failure> {
        self.quota.allow(through);
        let (place, quota, seed) = (self.place, self.quota, self.asked.seed);
        let mut notes = thread::scope(|scope| {
            let agents = self.workers.iter_mut();
            let mut threads: Vec<_> = agents
                .map(|worker| {
                    scope.spawn(move || {
                        worker.work()?;
                        Ok::<_, Failure>(worker.take_notes())
                    })
                })
                .collect();
            threads.push(scope.spawn(move || visit(place, quota, seed, point)));
            let mut notes = Notes::default();
            for thread in threads {
                notes.add(thread.join().unwrap_or_else(|panic| resume_unwind(panic))?);
            }
            Ok::<_, Failure>(notes)
        })?;
        for (what, count) in &notes.refused {
            *self.refused.entry(what.clone()).or_default() += count;
        }
        self.broken.append(&mut notes.broken);
        let sample = self.look()?;
        self.log.sample(&sample, &notes)?;
        show::progress(&sample, self.asked.operations);
        self.samples.push(sample);
        Ok(())
    }

    /// Compares the old root with a new one.
    fn probe(&mut self, rounds: u64) -> Result<(), Failure> {
        let operations = self.quota.made();
        let aged = &mut self.workers[0].server;
        let places = (self.base, &*self.asked.program);
        let probe = Probe::take(aged, places, &self.asked.limits, operations, rounds)?;
        self.log.note(&probe.to_json())?;
        self.probes.push(probe);
        Ok(())
    }

    fn look(&self) -> Result<Sample, Failure> {
        let mut figures = Figures::new();
        for (number, worker) in self.workers.iter().enumerate() {
            gauge::process(
                &format!("a{number}"),
                worker.server.process().id(),
                &mut figures,
            );
        }
        let root = self.place.root();
        let state = root.join(".maasl");
        gauge::folder("", root, &mut figures)?;
        gauge::folder(".maasl/", &state, &mut figures)?;
        gauge::folder("standard error of ", self.place.logs(), &mut figures)?;
        for kind in ["bytes", "files"] {
            let whole = figures.remove(&format!("{kind}/.maasl"));
            figures.insert(format!("{kind}/.maasl as a whole"), whole.unwrap_or(0));
        }
        gauge::rows(&state.join("maasl.db"), |_| true, &mut figures)?;
        let ours = |table: &str| table.starts_with("maasl_");
        gauge::rows(&root.join("data/main.db"), ours, &mut figures)?;
        gauge::rows(&root.join(".llmc/index_v2.db"), ours, &mut figures)?;
        gauge::limited(&state.join("maasl.db"), &mut figures)?;
        Ok(Sample {
            operations: self.quota.made(),
            seconds: self.began.elapsed().as_secs_f64(),
            figures,
        })
    }

    /// Waits until servers have kept house, and reports what they leave.
    fn rest(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + REST;
        let max_bytes = self.asked.limits.max_mib << 20;
        let of = |sample: &Sample, name: &str| sample.figures.get(name).copied().unwrap_or(0);
        loop {
            let sample = self.look()?;
            let sessions = of(&sample, "rows/maasl.db session");
            let kept_bytes = of(&sample, "bytes/.maasl/objects");
            let alive = self.workers.len() as u64;
            if sessions <= alive && kept_bytes <= max_bytes {
                return self.log.sample(&sample, &Notes::default());
            }
            if Instant::now() >= deadline {
                self.log.sample(&sample, &Notes::default())?;
                self.broken.push(format!(
                    "at rest there are {sessions} sessions of {alive}, and {kept_bytes} bytes are kept"
                ));
                return Ok(());
            }
            thread::sleep(Duration::from_secs(1)); // tidy: nothing tells that a server has kept house
        }
    }

    /// Ends the servers, judges and tells; whether anything is broken.
    fn end(self) -> Result<bool, Failure> {
        let mut broken = self.broken;
        for worker in self.workers {
            place::close(worker.server)?;
        }
        let figures = verdict::of_figures(&self.samples, &self.asked.limits);
        let latency = verdict::of_latency(&self.probes);
        for verdict in &figures {
            if let Judged::Broken(why) = &verdict.judged {
                broken.push(format!("{} does not level off: {why}", verdict.name));
            }
        }
        for (name, _, _, judged) in &latency {
            if let Judged::Broken(why) = judged {
                broken.push(format!("latency, {name}: {why}"));
            }
        }
        show::ending(&Ending {
            samples: &self.samples,
            probes: &self.probes,
            figures: &figures,
            latency: &latency,
            refused: &self.refused.into_iter().collect::<Vec<_>>(),
            broken: &broken,
            log: &self.asked.samples,
            repeat: &repeat(self.asked),
        });
        Ok(!broken.is_empty())
    }
}

/// A server that comes, does a little and goes: every other one by being killed.
fn visit(place: &Place, quota: &Quota, seed: u64, point: u64) -> Result<Notes, Failure> {
    let server = place.start("visitor")?;
    let mut visitor = Worker::new(quota, seed.wrapping_add(point), "visitor", server);
    visitor.visit(VISIT_TURNS)?;
    let notes = visitor.take_notes();
    if point.is_multiple_of(2) {
        place::close(visitor.server)?;
    } else {
        // Dropping a server kills it.
        drop(visitor);
    }
    Ok(notes)
}

fn repeat(asked: &Endure) -> String {
    let Endure {
        operations,
        seed,
        agents,
        ..
    } = asked;
    format!("cargo xtask endure --operations {operations} --seed {seed} --agents {agents}")
}
