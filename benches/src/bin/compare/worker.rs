//! One of several processes that want the same.
//!
//! Owns: the loop of acquire, hold, release, for MAASL and for each peer.
//! Promises: says "ready", waits for a line, runs for the given time and prints
//! its turns, timed by a clock that all processes share. Leaves to others:
//! starting processes and judging turns (`contention`).

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::time::{ClockId, clock_gettime};

use crate::local::{self, Local};
use crate::{Result, output, redis};

/// The one thing wanted.
const PATH: &str = "hot.rs";

/// What the processes contend for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A lease of a node.
    Maasl,
    /// A key in Redis.
    Redis,
    /// A lock of the kernel on one file.
    Flock,
}

/// What a worker is told.
#[derive(clap::Args)]
pub(crate) struct Orders {
    /// What to contend for.
    pub(crate) kind: Kind,
    /// The repository, the socket or the file.
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
    /// When it began to release.
    pub(crate) released: u64,
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
    };
    for turn in turns {
        output::figures(&format!(
            "{} {} {}",
            turn.asked, turn.granted, turn.released
        ));
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
