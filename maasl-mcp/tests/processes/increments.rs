//! Many servers counting in one file.
//!
//! The content follows from the counter alone and ends in a checksum of the rest,
//! so a torn read, a lost increment and one that happened twice all show.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Server, repository};
use crate::observe::{history, sha256};

const FILE: &str = "counter";
const SERVERS: usize = 8;
const INCREMENTS_EACH: usize = 50;
/// More than a page, so that a write in place could be seen half done.
const PADDING_LINES: usize = 100;
/// How often each server is killed.
const KILLS_EACH: usize = 2;
/// How often each server is stopped.
const STOPS_EACH: usize = 1;
const SHORT_TTL: &str = "[maasl.resource.CRIT_CODE]\nlease_ttl_sec = 0.3\n";
/// Longer than a lease of `SHORT_TTL`.
const STOPPED_FOR: Duration = Duration::from_millis(450);
/// Faults fall at most this long after a call was sent: by then most calls are
/// inside a commit, or wait for one.
const FAULT_WITHIN_US: u64 = 8_000;
/// Between two looks of those who only read.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// A refused writer thinks at most this long; if all eight came back at once,
/// seven would be too late again.
const THINK_WITHIN_US: u64 = 150_000;

#[test]
fn whole_writes_lose_no_increment() {
    count_together(Way::Write, Fault::None, "");
}

#[test]
fn edits_lose_no_increment() {
    count_together(Way::Edit, Fault::None, "");
}

#[test]
fn killed_servers_lose_no_whole_write() {
    count_together(Way::Write, Fault::Kill, "");
}

#[test]
fn killed_servers_lose_no_edit() {
    count_together(Way::Edit, Fault::Kill, "");
}

#[test]
fn servers_stopped_beyond_their_lease_lose_no_whole_write() {
    count_together(Way::Write, Fault::Stop, SHORT_TTL);
}

#[test]
fn servers_stopped_beyond_their_lease_lose_no_edit() {
    count_together(Way::Edit, Fault::Stop, SHORT_TTL);
}

/// How the counter is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Write,
    Edit,
}

/// What happens to servers meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Kill,
    Stop,
}

impl Fault {
    fn times(self) -> usize {
        match self {
            Self::None => 0,
            Self::Kill => KILLS_EACH,
            Self::Stop => STOPS_EACH,
        }
    }
}

fn body(value: u64) -> String {
    format!("count {value}\n{}", "padding\n".repeat(PADDING_LINES))
}

fn checksum(value: u64) -> String {
    format!("sum {}\n", sha256(&body(value)))
}

fn content(value: u64) -> String {
    body(value) + &checksum(value)
}

/// The counter in a content, which must be whole.
fn value_of(found: &str) -> u64 {
    let first = found.lines().next().expect("the file is never empty");
    let value = first.strip_prefix("count ").unwrap().parse().unwrap();
    assert_eq!(found, content(value), "a torn read");
    value
}

fn count_together(way: Way, fault: Fault, config: &str) {
    let dir = repository(config);
    let root = dir.path();
    let mut witness = Server::start(root, "witness");
    let first = json!({ "path": FILE, "content": content(0) });
    witness.ok("write_file", first);
    let done = AtomicBool::new(false);
    let runs: Vec<Run> = std::thread::scope(|scope| {
        scope.spawn(|| watch(&done, || std::fs::read_to_string(root.join(FILE)).unwrap()));
        scope.spawn(|| watch(&done, || read(&mut witness)));
        let started = (0..SERVERS).map(|n| {
            let run = move || Worker::new(root, n, way, fault).run();
            std::thread::Builder::new()
                .spawn_scoped(scope, run)
                .unwrap()
        });
        let started: Vec<_> = started.collect();
        let ended: Vec<_> = started
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect();
        // The watchers end however the workers did.
        done.store(true, Ordering::Relaxed);
        ended.into_iter().map(Result::unwrap).collect()
    });
    verify(root, &mut witness, runs);
}

/// Reads over and over: whole contents only, and never an older one.
fn watch(done: &AtomicBool, mut look: impl FnMut() -> String) {
    let mut newest = 0;
    while !done.load(Ordering::Relaxed) {
        let value = value_of(&look());
        assert!(value >= newest, "{value} after {newest}");
        newest = value;
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

fn read(server: &mut Server) -> String {
    let read = server.ok("read_file", json!({ "path": FILE }));
    read["content"].as_str().unwrap().to_owned()
}

/// An increment that its writer was told of.
#[derive(Debug)]
struct Acknowledged {
    value: u64,
    token: u64,
    agent: String,
}

/// What one worker knows at its end.
#[derive(Debug, Default)]
struct Run {
    acknowledged: Vec<Acknowledged>,
    /// What it was about to write when its server was killed.
    in_doubt: Vec<u64>,
    faults: usize,
}

struct Worker<'a> {
    root: &'a Path,
    agent: String,
    way: Way,
    fault: Fault,
    server: Server,
    dice: Dice,
    run: Run,
}

impl<'a> Worker<'a> {
    fn new(root: &'a Path, number: usize, way: Way, fault: Fault) -> Self {
        let agent = format!("worker-{number}");
        Self {
            root,
            server: Server::start(root, &agent),
            agent,
            way,
            fault,
            dice: Dice(number as u64),
            run: Run::default(),
        }
    }

    fn run(mut self) -> Run {
        while self.run.acknowledged.len() < INCREMENTS_EACH {
            self.attempt();
        }
        assert_eq!(self.run.faults, self.fault.times(), "every fault happened");
        self.server.close();
        self.run
    }

    /// One increment, or a refusal.
    fn attempt(&mut self) {
        let next = value_of(&read(&mut self.server)) + 1;
        let (tool, arguments) = request(self.way, next);
        let id = self.server.send(tool, arguments);
        let answer = match self.fault {
            _ if !self.fault_is_due() => Some(self.server.result(id)),
            Fault::None => unreachable!("none is never due"),
            Fault::Kill => self.kill_during(id),
            Fault::Stop => Some(self.stop_during(id)),
        };
        match answer {
            Some(answer) => self.note(next, &answer),
            None => self.run.in_doubt.push(next),
        }
    }

    /// Spreads the faults over the run.
    fn fault_is_due(&self) -> bool {
        let times = self.fault.times();
        let due_at = (self.run.faults + 1) * INCREMENTS_EACH / (times + 1);
        self.run.faults < times && self.run.acknowledged.len() >= due_at
    }

    fn some_time(&mut self, within_us: u64) -> Duration {
        Duration::from_micros(self.dice.below(within_us))
    }

    /// The answer, if the server gave one before it was killed.
    fn kill_during(&mut self, id: u64) -> Option<Value> {
        let delay = self.some_time(FAULT_WITHIN_US);
        let early = self.server.result_within(id, delay);
        self.server.kill();
        self.run.faults += 1;
        let answer = early.or_else(|| self.server.result_within(id, PATIENCE));
        self.server = Server::start(self.root, &self.agent);
        answer
    }

    /// Stops the server for longer than its lease lasts.
    fn stop_during(&mut self, id: u64) -> Value {
        let delay = self.some_time(FAULT_WITHIN_US);
        if let Some(early) = self.server.result_within(id, delay) {
            return early;
        }
        self.server.stop();
        self.run.faults += 1;
        std::thread::sleep(STOPPED_FOR); // tidy: the fault itself, a stop longer than the lease
        self.server.go_on();
        self.server.result(id)
    }

    fn note(&mut self, value: u64, answer: &Value) {
        if answer["ok"] == true {
            self.run.acknowledged.push(Acknowledged {
                value,
                token: answer["fencing_token"].as_u64().unwrap(),
                agent: self.agent.clone(),
            });
        } else {
            self.must_be_expected(answer);
            std::thread::sleep(self.some_time(THINK_WITHIN_US)); // tidy: the workload: a refused agent thinks first
        }
    }

    /// Whoever is too late is told so; where processes are stopped, leases run
    /// out and latches stay taken too.
    fn must_be_expected(&self, answer: &Value) {
        let error = &answer["error"];
        let expected = match error["code"].as_str().unwrap() {
            "stale_version" => true,
            "invalid_request" => self.way == Way::Edit && error["reason"] == "not_found",
            "lease_lost" => self.fault == Fault::Stop,
            "resource_busy" => self.fault == Fault::Stop && error["process"].is_object(),
            _ => false,
        };
        assert!(expected, "{answer}");
    }
}

fn request(way: Way, next: u64) -> (&'static str, Value) {
    let last = next - 1;
    let edits = json!([
        { "old_text": format!("count {last}\n"), "new_text": format!("count {next}\n") },
        { "old_text": checksum(last), "new_text": checksum(next) },
    ]);
    let (tool, mut arguments) = match way {
        Way::Write => {
            let base = sha256(&content(last));
            let write = json!({ "path": FILE, "content": content(next), "base_sha256": base });
            ("write_file", write)
        }
        Way::Edit => ("edit_file", json!({ "path": FILE, "edits": edits })),
    };
    arguments["mode"] = "batch".into();
    arguments["max_wait_ms"] = 60_000.into();
    (tool, arguments)
}

fn verify(root: &Path, witness: &mut Server, runs: Vec<Run>) {
    let doubted: Vec<u64> = runs.iter().flat_map(|run| run.in_doubt.clone()).collect();
    let mut acknowledged: Vec<Acknowledged> =
        runs.into_iter().flat_map(|run| run.acknowledged).collect();
    assert_eq!(acknowledged.len(), SERVERS * INCREMENTS_EACH);
    acknowledged.sort_by_key(|ack| ack.value);
    for pair in acknowledged.windows(2) {
        assert!(pair[0].value < pair[1].value, "twice: {pair:?}");
        assert!(pair[0].token < pair[1].token, "out of order: {pair:?}");
    }
    let last = value_of(&std::fs::read_to_string(root.join(FILE)).unwrap());
    assert!(acknowledged.iter().all(|ack| ack.value <= last), "lost");
    let mut told = acknowledged.iter().map(|ack| ack.value).peekable();
    for value in 1..=last {
        if told.next_if_eq(&value).is_none() {
            assert!(doubted.contains(&value), "nobody wrote {value}");
        }
    }
    let unacknowledged = usize::try_from(last).unwrap() - acknowledged.len();
    assert!(unacknowledged <= doubted.len());
    history_agrees(witness, last, &acknowledged);
}

/// The history holds every value once, in order, with rising tokens, and every
/// displaced content; it agrees with what the writers were told.
fn history_agrees(witness: &mut Server, last: u64, acknowledged: &[Acknowledged]) {
    let versions = history(witness, FILE);
    let expected: Vec<_> = (0..=last)
        .map(|value| Some(sha256(&content(value))))
        .collect();
    let found: Vec<_> = versions
        .iter()
        .map(|version| version.sha256.clone())
        .collect();
    assert_eq!(found, expected);
    assert!(
        versions
            .windows(2)
            .all(|pair| pair[0].token < pair[1].token)
    );
    let displaced = &versions[..versions.len() - 1];
    assert!(displaced.iter().all(|version| version.kept));
    for told in acknowledged {
        let version = &versions[usize::try_from(told.value).unwrap()];
        assert_eq!((version.token, &version.agent), (told.token, &told.agent));
    }
}

/// `SplitMix64`: the same faults for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}
