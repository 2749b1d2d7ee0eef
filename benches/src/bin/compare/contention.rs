//! Five processes that want the same.
//!
//! Owns: measure 3: starting workers, merging their turns, judging them.
//! Promises: MAASL and its peers take turns, a run each; turns that overlap are
//! an error, not a figure. Leaves to others: the loop of a worker (`worker`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::report::{Figure, Row, Target};
use crate::times::Times;
use crate::worker::{Kind, Turn};
use crate::{Bench, Result, output, redis};

const PROCESSES: usize = 5;
const HOLD_US: u64 = 1_000;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let redis = redis::Server::start()?;
    let mut rows = no_hold(bench, redis.as_ref())?;
    rows.extend(short_hold(bench, redis.as_ref())?);
    Ok(rows)
}

fn no_hold(bench: &Bench, redis: Option<&redis::Server>) -> Result<Vec<Row>> {
    let seen = all_kinds(bench, redis, 0)?;
    let ours = &seen.ours;
    let row = |name: &str, figure, target| {
        Row::new(format!("3 five processes, no hold: {name}"), figure, target)
    };
    let per_second = |tally: &Tally, count: u64| Figure::per_second(tally.per_second(count));
    let beside = |row: Row, count: fn(&Tally) -> u64| match &seen.redis {
        Some(peer) => row.beside("Redis", per_second(peer, count(peer))),
        None => row.alone("redis-server is not installed"),
    };
    let changes = row(
        "changes of holder",
        per_second(ours, ours.changes),
        Target::RatioAtLeast(1.0),
    );
    let turns = row(
        "turns, changed or not",
        per_second(ours, ours.turns),
        Target::RatioAtLeast(1.0),
    );
    let mut rows = vec![
        beside(changes, |tally| tally.changes).note(seen.words(|tally| tally.gap.spread())),
        beside(turns, |tally| tally.turns)
            .note(seen.words(|tally| format!("{:.0} turns/s", tally.per_second(tally.turns)))),
    ];
    let acquire = row(
        "acquire p99",
        Figure::us(ours.wait.p99_us()),
        Target::AtMost(2_000.0),
    );
    rows.push(seen.beside_redis(acquire, |tally| Figure::us(tally.wait.p99_us())));
    let share = row(
        "least share of turns",
        Figure::percent(ours.least_share),
        Target::AtLeast(17.0),
    );
    rows.push(seen.beside_redis(share, |tally| Figure::percent(tally.least_share)));
    let gap = row(
        "hand-over, release begun to granted elsewhere, p50",
        Figure::us(ours.gap.p50_us()),
        Target::Nothing,
    );
    rows.push(seen.beside_redis(gap, |tally| Figure::us(tally.gap.p50_us())));
    Ok(rows)
}

fn short_hold(bench: &Bench, redis: Option<&redis::Server>) -> Result<Vec<Row>> {
    let seen = all_kinds(bench, redis, HOLD_US)?;
    let ours = &seen.ours;
    let how = if bench.spin { "spun" } else { "slept" };
    let row = |name: &str, figure, target| {
        Row::new(
            format!("3 five processes, 1 ms hold ({how}): {name}"),
            figure,
            target,
        )
    };
    let longest = row(
        "longest wait",
        Figure::us(ours.wait.max_us()),
        Target::AtMost(15_000.0),
    )
    .note(seen.words(|tally| tally.wait.spread()));
    let share = row(
        "least share of turns",
        Figure::percent(ours.least_share),
        Target::AtLeast(19.0),
    )
    .note(seen.words(|tally| {
        format!(
            "{:.0} turns/s, least share {:.1} %",
            tally.per_second(tally.turns),
            tally.least_share
        )
    }));
    let gap = row(
        "hand-over, release begun to granted elsewhere, p50",
        Figure::us(ours.gap.p50_us()),
        Target::Nothing,
    )
    .note(seen.words(|tally| tally.gap.spread()));
    Ok(vec![
        seen.beside_redis(longest, |tally| Figure::us(tally.wait.max_us())),
        seen.beside_redis(share, |tally| Figure::percent(tally.least_share)),
        seen.beside_redis(gap, |tally| Figure::us(tally.gap.p50_us())),
    ])
}

/// MAASL and its peers under one load.
struct Seen {
    ours: Tally,
    redis: Option<Tally>,
    flock: Tally,
}

impl Seen {
    fn beside_redis(&self, row: Row, figure: impl Fn(&Tally) -> Figure) -> Row {
        match &self.redis {
            Some(peer) => row.beside("Redis", figure(peer)),
            None => row.alone("redis-server is not installed"),
        }
    }

    /// The same words about each.
    fn words(&self, words: impl Fn(&Tally) -> String) -> String {
        let redis = self.redis.as_ref().map_or("none".into(), &words);
        format!(
            "ours {}; Redis {redis}; flock {}",
            words(&self.ours),
            words(&self.flock)
        )
    }
}

fn all_kinds(bench: &Bench, redis: Option<&redis::Server>, hold_us: u64) -> Result<Seen> {
    let (root, dir) = (bench.dir()?, bench.dir()?);
    let file = dir.path().join("lock");
    std::fs::write(&file, "")?;
    let mut seen = Seen {
        ours: Tally::new(),
        redis: redis.map(|_| Tally::new()),
        flock: Tally::new(),
    };
    for _ in 0..bench.runs {
        seen.ours
            .add(&run(bench, Kind::Maasl, root.path(), hold_us)?)?;
        if let (Some(server), Some(tally)) = (redis, &mut seen.redis) {
            tally.add(&run(bench, Kind::Redis, &server.socket(), hold_us)?)?;
        }
        seen.flock.add(&run(bench, Kind::Flock, &file, hold_us)?)?;
    }
    Ok(seen)
}

/// One run of five processes; the turns of each.
fn run(bench: &Bench, kind: Kind, place: &Path, hold_us: u64) -> Result<Vec<Vec<Turn>>> {
    output::progress(&format!("   {kind:?}, hold {hold_us} us"));
    let mut workers = Vec::new();
    for _ in 0..PROCESSES {
        workers.push(Worker::start(bench, kind, place, hold_us)?);
    }
    for worker in &mut workers {
        worker.wait_ready()?;
    }
    for worker in &mut workers {
        worker.stdin.write_all(b"\n")?;
    }
    workers.into_iter().map(Worker::turns).collect()
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Worker {
    fn start(bench: &Bench, kind: Kind, place: &Path, hold_us: u64) -> Result<Self> {
        let kind = format!("{kind:?}").to_lowercase();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", &kind]).arg(place);
        for (name, value) in [
            ("--ms", bench.run_ms),
            ("--hold-us", hold_us),
            ("--poll-us", bench.poll_us),
        ] {
            command.arg(name).arg(value.to_string());
        }
        if bench.spin {
            command.arg("--spin");
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().ok_or("no pipe to the worker")?;
        let stdout = child.stdout.take().ok_or("no pipe from the worker")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn wait_ready(&mut self) -> Result<()> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        if line == "ready\n" {
            return Ok(());
        }
        Err(format!("a worker did not start: {line:?}").into())
    }

    fn turns(mut self) -> Result<Vec<Turn>> {
        let mut turns = Vec::new();
        for line in self.stdout.lines() {
            let line = line?;
            let numbers: Vec<u64> = line
                .split(' ')
                .map(str::parse)
                .collect::<std::result::Result<_, _>>()?;
            let [asked, granted, released] = numbers[..] else {
                return Err(format!("not a turn: {line:?}").into());
            };
            turns.push(Turn {
                granted,
                asked,
                released,
            });
        }
        let status = self.child.wait()?;
        if status.success() {
            return Ok(turns);
        }
        Err(format!("a worker failed: {status}").into())
    }
}

/// What the turns of several runs come to.
struct Tally {
    turns: u64,
    /// Turns of another process than the one before.
    changes: u64,
    seconds: f64,
    wait: Times,
    /// From the begin of a release until another process has it.
    gap: Times,
    /// The least of any process in any run, in percent.
    least_share: f64,
}

impl Tally {
    fn new() -> Self {
        Self {
            turns: 0,
            changes: 0,
            seconds: 0.0,
            wait: Times::new(),
            gap: Times::new(),
            least_share: 100.0,
        }
    }

    fn add(&mut self, by_process: &[Vec<Turn>]) -> Result<()> {
        let mut all: Vec<(Turn, usize)> = Vec::new();
        for (process, turns) in by_process.iter().enumerate() {
            all.extend(turns.iter().map(|turn| (*turn, process)));
        }
        all.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (all.first(), all.last()) else {
            return Err("nobody had a turn".into());
        };
        self.seconds += Duration::from_nanos(last.released - first.granted).as_secs_f64();
        for (turn, _) in &all {
            self.wait
                .add(Duration::from_nanos(turn.granted - turn.asked));
        }
        for pair in all.windows(2) {
            let [(before, process), (after, next)] = pair else {
                continue;
            };
            if after.granted < before.released {
                return Err("two held it at once".into());
            }
            if process != next {
                self.changes += 1;
                self.gap
                    .add(Duration::from_nanos(after.granted - before.released));
            }
        }
        let least = by_process.iter().map(Vec::len).min().unwrap_or(0);
        self.turns += all.len() as u64;
        self.least_share = self.least_share.min(percent(least, all.len()));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a few million turns at most")]
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few million turns at most")]
fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(asked: u64, granted: u64, released: u64) -> Turn {
        Turn {
            granted,
            asked,
            released,
        }
    }

    #[test]
    fn a_change_of_holder_is_a_turn_of_another_process() {
        let mut tally = Tally::new();
        let turns = [vec![turn(0, 1, 2), turn(2, 3, 4)], vec![turn(0, 5, 6)]];
        tally.add(&turns).unwrap();
        assert_eq!((tally.turns, tally.changes), (3, 1));
        assert!((tally.least_share - 100.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn two_holders_at_once_are_no_figure() {
        let turns = [vec![turn(0, 1, 5)], vec![turn(0, 4, 6)]];
        assert!(Tally::new().add(&turns).is_err());
    }
}
