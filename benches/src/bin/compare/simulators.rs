//! How many messages simulators deliver in a second.
//!
//! Owns: the ping workload on MAASL's queue, on turmoil and on madsim, one after
//! the other, and again. Promises: all carry the same workload and are timed by
//! the same code; a simulator that is missing or fails is named in its row.
//! Leaves to others: the workload and the programs of the peers (`maasl-ping`),
//! building these (`cargo xtask bench`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use maasl_benches::ping;
use maasl_ping::rate::Rate;
use maasl_ping::workload::Workload;
use serde_json::Value;

use crate::report::{Figure, Row, Target};
use crate::{Bench, Result};

/// Hosts in the circle: from few to so many that what a simulator spends on each
/// of them shows.
const HOSTS: [u32; 3] = [3, 10, 100];
/// Pings of all hosts together; each is answered.
const PINGS: u32 = 21_000;

const NOTE: &str = "21000 pings and pongs, again and again; ours: the event loop alone";

/// A simulator in a program of its own.
struct Peer<'b> {
    name: &'static str,
    program: Option<&'b PathBuf>,
}

/// The rate of our queue beside each peer's, for each number of hosts.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let peers = [
        Peer {
            name: "turmoil",
            program: bench.ping_turmoil.as_ref(),
        },
        Peer {
            name: "madsim",
            program: bench.ping_madsim.as_ref(),
        },
    ];
    let mut rows = Vec::new();
    for hosts in HOSTS {
        let workload = Workload::new(hosts, PINGS / hosts).ok_or("no such workload")?;
        rows.extend(beside(bench, workload, &peers));
    }
    Ok(rows)
}

fn beside(bench: &Bench, workload: Workload, peers: &[Peer<'_>; 2]) -> Vec<Row> {
    let run = Duration::from_millis(bench.run_ms);
    let mut ours = Rate::default();
    let mut theirs = [Ok(Rate::default()), Ok(Rate::default())];
    for _ in 0..bench.runs {
        ours += Rate::measure(workload, run, ping::carry);
        for (peer, so_far) in peers.iter().zip(&mut theirs) {
            add(so_far, || peer.rate(workload, run));
        }
    }
    let rows = peers.iter().zip(theirs);
    rows.map(|(peer, theirs)| row(workload, ours, peer.name, theirs))
        .collect()
}

/// Adds another run; what failed once is not tried again.
fn add(so_far: &mut Result<Rate>, run: impl FnOnce() -> Result<Rate>) {
    if let Ok(sum) = so_far {
        match run() {
            Ok(rate) => *sum += rate,
            Err(why) => *so_far = Err(why),
        }
    }
}

fn row(workload: Workload, ours: Rate, peer: &str, theirs: Result<Rate>) -> Row {
    let measure = format!("ping among {} hosts, deliveries", workload.host_count());
    let figure = |rate: Rate| Figure::millions_per_second(rate.millions_per_second());
    let row = Row::new(measure, figure(ours), Target::Nothing).note(NOTE);
    match theirs {
        Ok(rate) => row.beside(peer, figure(rate)),
        Err(why) => row.alone(format!("{peer}: {why}")),
    }
}

impl Peer<'_> {
    fn rate(&self, workload: Workload, run: Duration) -> Result<Rate> {
        let program = self.program.ok_or("not built; see `cargo xtask bench`")?;
        rate_of(program, self.name, workload, run)
    }
}

fn rate_of(program: &Path, simulator: &str, workload: Workload, run: Duration) -> Result<Rate> {
    let mut command = Command::new(program);
    command.arg(simulator);
    for number in [workload.host_count(), workload.rounds()] {
        command.arg(number.to_string());
    }
    let done = command.arg(run.as_millis().to_string()).output()?;
    if !done.status.success() {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(format!("{}: {why}", done.status).into());
    }
    read(&done.stdout)
}

/// Reads the line that `Rate` writes.
fn read(line: &[u8]) -> Result<Rate> {
    let value: Value = serde_json::from_slice(line)?;
    let number = |name: &str| value[name].as_u64().ok_or("a rate lacks a number");
    Ok(Rate {
        deliveries: number("deliveries")?,
        took: Duration::from_nanos(number("took_ns")?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_read_as_it_was_written() {
        let rate = Rate {
            deliveries: 12,
            took: Duration::from_nanos(34),
        };
        let read = read(rate.to_string().as_bytes()).expect("it is a rate");
        assert_eq!(read, rate);
    }

    #[test]
    fn a_line_that_is_no_rate_is_refused() {
        assert!(read(b"{}").is_err());
        assert!(read(b"turmoil").is_err());
    }

    #[test]
    fn a_peer_that_failed_once_has_no_figure() {
        let mut so_far = Ok(Rate::default());
        add(&mut so_far, || Err("killed".into()));
        add(&mut so_far, || unreachable!("it is not tried again"));
        assert_eq!(so_far.expect_err("it failed").to_string(), "killed");
    }
}
