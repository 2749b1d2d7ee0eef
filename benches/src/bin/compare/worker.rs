//! One of several processes that want the same.
//!
//! Owns: the loop of acquire, hold, release, for MAASL and for each peer, and that
//! of writing rows. Promises: says "ready", waits for a line, runs for the given
//! time and prints its turns, timed by a clock that all processes share. Leaves to
//! others: starting processes (`crew`), counting turns (`tally`).

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum as _;
use rusqlite::Connection;
use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, clock_gettime};

use crate::local::{self, Local};
use crate::{Result, output, redis};

/// The one thing wanted.
const PATH: &str = "hot.rs";

/// A row as each writer adds it.
const INSERT: &str = "INSERT INTO row VALUES (?1, ?2, 'a row of a few words')";

/// Longer than anybody is made to wait.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// What the processes contend for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A lease of a node.
    Maasl,
    /// A key in Redis.
    Redis,
    /// A lock of the kernel on one file.
    Flock,
    /// A database that a node guards, for one row at a time.
    GuardedRows,
    /// A database that nobody guards.
    PlainRows,
}

impl Kind {
    /// As it is written among the arguments.
    pub(crate) fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// What a worker is told.
#[derive(clap::Args)]
pub(crate) struct Orders {
    /// What to contend for.
    pub(crate) kind: Kind,
    /// The repository, the socket, the file or the database.
    pub(crate) place: PathBuf,
    #[arg(long)]
    pub(crate) ms: u64,
    #[arg(long)]
    pub(crate) hold_us: u64,
    /// Hold by computing instead of sleeping.
    #[arg(long)]
    pub(crate) spin: bool,
    /// How long to sleep before asking again, for those who poll.
    #[arg(long)]
    pub(crate) poll_us: u64,
}

/// One turn: nanoseconds of the machine's monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    pub(crate) granted: u64,
    pub(crate) asked: u64,
    /// When it began to release. A row that is written is granted and released
    /// when it is acknowledged.
    pub(crate) released: u64,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.asked, self.granted, self.released)
    }
}

impl FromStr for Turn {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<u64> = text
            .split(' ')
            .map(str::parse)
            .collect::<std::result::Result<_, _>>()?;
        let [asked, granted, released] = numbers[..] else {
            return Err(format!("not a turn: {text:?}").into());
        };
        Ok(Self {
            granted,
            asked,
            released,
        })
    }
}

pub(crate) fn run(orders: Orders) -> Result<()> {
    let turns = match orders.kind {
        Kind::Maasl => lease(orders)?,
        Kind::Redis => {
            let mut lock = redis::Lock::connect(&orders.place)?;
            let pause = Duration::from_micros(orders.poll_us);
            in_loop(&orders, |step| match step {
                Step::Acquire => {
                    while !lock.try_acquire()? {
                        std::thread::sleep(pause);
                    }
                    Ok(())
                }
                Step::Release => lock.release(),
            })?
        }
        Kind::Flock => {
            let file = File::open(&orders.place)?;
            in_loop(&orders, |step| match step {
                Step::Acquire => Ok(flock(&file, FlockOperation::LockExclusive)?),
                Step::Release => Ok(flock(&file, FlockOperation::Unlock)?),
            })?
        }
        Kind::GuardedRows => guarded_rows(&orders)?,
        Kind::PlainRows => {
            let mut rows = PlainRows::open(&orders.place)?;
            in_loop(&orders, |step| match step {
                Step::Acquire => Ok(rows.insert()?),
                Step::Release => Ok(()),
            })?
        }
    };
    for turn in turns {
        output::figures(&turn.to_string());
    }
    Ok(())
}

enum Step {
    Acquire,
    Release,
}

fn in_loop(orders: &Orders, mut step: impl FnMut(Step) -> Result<()>) -> Result<Vec<Turn>> {
    let until = start(orders)?;
    let mut turns = Vec::new();
    loop {
        let asked = now();
        if asked >= until {
            return Ok(turns);
        }
        step(Step::Acquire)?;
        let granted = now();
        hold(orders);
        let released = now();
        step(Step::Release)?;
        turns.push(Turn {
            granted,
            asked,
            released,
        });
    }
}

fn lease(orders: Orders) -> Result<Vec<Turn>> {
    let node = Local::open(&orders.place)?;
    let until = start(&orders)?;
    let turns = node.run(move |node| async move {
        let mut turns = Vec::new();
        loop {
            let asked = now();
            if asked >= until {
                return turns;
            }
            let lease = local::acquire(&node, PATH).await;
            let granted = now();
            hold(&orders);
            let released = now();
            local::release(&node, lease).await;
            turns.push(Turn {
                granted,
                asked,
                released,
            });
        }
    })?;
    node.close()?;
    Ok(turns)
}

fn guarded_rows(orders: &Orders) -> Result<Vec<Turn>> {
    let node = Local::open(&orders.place)?;
    let until = start(orders)?;
    let writer = i64::from(std::process::id());
    let turns = node.run(move |node| async move {
        let mut turns = Vec::new();
        for n in 0.. {
            let asked = now();
            if asked >= until {
                break;
            }
            local::insert(&node, INSERT, [writer, n]).await;
            let written = now();
            turns.push(Turn {
                granted: written,
                asked,
                released: written,
            });
        }
        turns
    })?;
    node.close()?;
    Ok(turns)
}

/// Waits for the others; when to end.
fn start(orders: &Orders) -> Result<u64> {
    output::figures("ready");
    std::io::stdin().read_exact(&mut [0])?;
    Ok(now() + orders.ms * 1_000_000)
}

fn hold(orders: &Orders) {
    if orders.hold_us == 0 {
        return;
    }
    if orders.spin {
        let until = now() + orders.hold_us * 1000;
        while now() < until {
            std::hint::spin_loop();
        }
    } else {
        std::thread::sleep(Duration::from_micros(orders.hold_us));
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// A writer as SQLite's documentation has it.
struct PlainRows {
    db: Connection,
    n: i64,
}

impl PlainRows {
    fn open(place: &Path) -> Result<Self> {
        let db = Connection::open(place)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        db.execute_batch("PRAGMA synchronous = FULL")?;
        Ok(Self { db, n: 0 })
    }

    fn insert(&mut self) -> rusqlite::Result<()> {
        self.n += 1;
        self.db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut insert = self.db.prepare_cached(INSERT)?;
        insert.execute([i64::from(std::process::id()), self.n])?;
        self.db.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}
