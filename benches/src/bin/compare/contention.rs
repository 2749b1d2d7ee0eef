//! Five processes that want the same.
//!
//! Owns: measure 3. Promises: MAASL and its peers take turns, a run each. Leaves
//! to others: the processes (`crew`), their loop (`worker`), counting (`tally`).

use crate::crew::{Crew, PROCESSES};
use crate::report::{Figure, Row, Target};
use crate::tally::Tally;
use crate::worker::Kind;
use crate::{Bench, Result, redis};

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
    let socket = redis.map(redis::Server::socket);
    let crew = |kind, place| Crew {
        kind,
        place,
        processes: PROCESSES,
        hold_us,
    };
    for _ in 0..bench.runs {
        let ours = crew(Kind::Maasl, root.path()).run(bench)?;
        seen.ours.add(&ours)?;
        if let (Some(socket), Some(tally)) = (&socket, &mut seen.redis) {
            tally.add(&crew(Kind::Redis, socket).run(bench)?)?;
        }
        seen.flock.add(&crew(Kind::Flock, &file).run(bench)?)?;
    }
    Ok(seen)
}
