//! One process that acquires and releases.
//!
//! Owns: measures 2 and 5. Promises: what is compared takes turns one by one.
//! Leaves to others: processes that want the same (`contention`).

use std::path::Path;
use std::time::Instant;

use maasl_benches::lease::{Pair, hold_others, must_grant, must_release, sqlite_store};
use maasl_node::store::{MemoryStore, Store};
use rusqlite::{Connection, params};

use crate::local::{self, Local};
use crate::report::{Figure, Row, Target};
use crate::times::Times;
use crate::{Bench, Result, output};

const FEW: u64 = 10;
const MANY: u64 = 100_000;
/// Turns of a cheap operation for each turn of a dear one.
const TURNS_PER_ROUND: u64 = 20;
const WARM_UP: u64 = 500;

/// Measure 2: nobody else wants it.
pub(crate) fn uncontended(bench: &Bench) -> Result<Vec<Row>> {
    let turns = bench.rounds as u64 * TURNS_PER_ROUND;
    let (root, bare_root, node_root) = (bench.dir()?, bench.dir()?, bench.dir()?);
    let sqlite = sqlite_store(root.path());
    let bare = Bare::open(bare_root.path())?;
    let memory = MemoryStore::new();
    let node = Local::open(node_root.path())?;
    let [mut in_sqlite, mut in_bare, mut in_memory] = [Times::new(), Times::new(), Times::new()];
    for n in 0..WARM_UP + turns {
        let pair = Pair::new(n);
        let took = [
            timed(|| pair.run(&sqlite)),
            timed(|| bare.pair(n).expect("the bare table works")),
            timed(|| pair.run(&memory)),
        ];
        if n >= WARM_UP {
            for (times, took) in [&mut in_sqlite, &mut in_bare, &mut in_memory]
                .into_iter()
                .zip(took)
            {
                times.add(took);
            }
        }
    }
    let on_node = pairs_on_node(&node, turns)?;
    node.close()?;
    let store = Figure::us(in_sqlite.p50_us());
    Ok(vec![
        Row::new(
            "2 acquire + release, SQLite store, p50",
            store,
            Target::AtMost(60.0),
        )
        .beside("bare upsert + delete", Figure::us(in_bare.p50_us()))
        .note(format!("{}; peer {}", in_sqlite.spread(), in_bare.spread())),
        Row::new(
            "2 acquire + release, memory store, p50",
            Figure::us(in_memory.p50_us()),
            Target::AtMost(2.0),
        )
        .note(in_memory.spread()),
        Row::new(
            "2 Reserve + Release by Node::call, p50",
            Figure::us(on_node.p50_us()),
            Target::Nothing,
        )
        .beside("the store alone", store)
        .note(on_node.spread()),
    ])
}

fn timed(work: impl FnOnce()) -> std::time::Duration {
    let since = Instant::now();
    work();
    since.elapsed()
}

fn pairs_on_node(node: &Local, turns: u64) -> Result<Times> {
    node.run(move |node| async move {
        let mut times = Times::new();
        for n in 0..WARM_UP + turns {
            let path = format!("file_{}.rs", n % 1000);
            let since = Instant::now();
            let lease = local::acquire(&node, &path).await;
            local::release(&node, lease).await;
            if n >= WARM_UP {
                times.add(since.elapsed());
            }
        }
        times
    })
}

/// Measure 5: others hold other things.
pub(crate) fn unrelated(bench: &Bench) -> Result<Vec<Row>> {
    let turns = bench.rounds as u64 * TURNS_PER_ROUND;
    let (few_root, many_root) = (bench.dir()?, bench.dir()?);
    let (few, many) = (
        sqlite_store(few_root.path()),
        sqlite_store(many_root.path()),
    );
    hold_others(&few, 0..FEW);
    output::progress("   taking 100,000 leases");
    hold_others(&many, 0..MANY);
    let (sqlite_few, sqlite_many) = acquires_in_turn(&few, &many, turns);
    let (few, many) = (MemoryStore::new(), MemoryStore::new());
    hold_others(&few, 0..FEW);
    hold_others(&many, 0..MANY);
    let (memory_few, memory_many) = acquires_in_turn(&few, &many, turns);
    let row = |name: &str, few: &Times, many: &Times, target| {
        Row::new(
            format!("5 acquire, 100,000 unrelated leases, {name}, p50"),
            Figure::us(many.p50_us()),
            target,
        )
        .beside("10 unrelated", Figure::us(few.p50_us()))
        .note(format!("{}; with 10 {}", many.spread(), few.spread()))
    };
    Ok(vec![
        row(
            "SQLite store",
            &sqlite_few,
            &sqlite_many,
            Target::RatioAtMost(1.3),
        ),
        row(
            "memory store",
            &memory_few,
            &memory_many,
            Target::RatioAtMost(1.3),
        ),
    ])
}

fn acquires_in_turn(few: &dyn Store, many: &dyn Store, turns: u64) -> (Times, Times) {
    let [mut of_few, mut of_many] = [Times::new(), Times::new()];
    for n in 0..WARM_UP + turns {
        for (store, times) in [(few, &mut of_few), (many, &mut of_many)] {
            let pair = Pair::new(n);
            let since = Instant::now();
            must_grant(store, &pair.acquire);
            let took = since.elapsed();
            must_release(store, &pair.release);
            if n >= WARM_UP {
                times.add(took);
            }
        }
    }
    (of_few, of_many)
}

/// What a lock table costs without any rule: one row in, one row out.
struct Bare {
    db: Connection,
}

impl Bare {
    fn open(dir: &Path) -> Result<Self> {
        let db = Connection::open(dir.join("bare.db"))?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
             CREATE TABLE lock (key TEXT PRIMARY KEY, holder TEXT, token INTEGER, until INTEGER)
             WITHOUT ROWID;",
        )?;
        Ok(Self { db })
    }

    fn pair(&self, n: u64) -> rusqlite::Result<()> {
        let key = format!("code:src/module_{}/file.rs", n % 1000);
        let token = n.cast_signed();
        let mut upsert = self.db.prepare_cached(
            "INSERT INTO lock VALUES (?1, 'agent', ?2, ?3) ON CONFLICT (key) DO UPDATE
             SET holder = excluded.holder, token = excluded.token, until = excluded.until",
        )?;
        upsert.execute(params![key, token, token + 30_000])?;
        let mut delete = self
            .db
            .prepare_cached("DELETE FROM lock WHERE key = ?1 AND token = ?2")?;
        delete.execute(params![key, token])?;
        Ok(())
    }
}
