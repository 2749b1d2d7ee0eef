//! Whole processes: what idle ones cost, how fast they start, how fast one hands
//! over to another.
//!
//! Owns: measures 4, 6 and 7. Promises: every process started here is gone when
//! its measure is over. Leaves to others: contention of many (`contention`).

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, succeeded};
use crate::report::{Figure, Row, Target};
use crate::times::Times;
use crate::{Bench, Result};

const WATCHED: Duration = Duration::from_secs(3);
/// A new server cleans up before it idles.
const SETTLING: Duration = Duration::from_millis(500);

/// Measure 4.
pub(crate) fn idle(bench: &Bench) -> Result<Vec<Row>> {
    let root = bench.dir()?;
    let mut holder = Client::of_maasl(&bench.maasl, root.path(), "holder")?;
    let mut waiter = Client::of_maasl(&bench.maasl, root.path(), "waiter")?;
    let wanted = json!({ "resources": [{ "id": "file" }], "max_wait_ms": 10_000 });
    let lease = holder.call("lease_acquire", &wanted)?["lease"].clone();
    let id = waiter.send_call("lease_acquire", &wanted)?;
    let waiting = watch(waiter.pid(), holder.pid())?;
    holder.call("lease_release", &json!({ "lease": lease }))?;
    succeeded("lease_acquire", waiter.answer(id)?)?;
    let idling = watch(waiter.pid(), holder.pid())?;
    let row = |name: &str, (ours, other): (f64, f64)| {
        Row::new(
            format!("4 CPU time of a server that {name}"),
            Figure::percent(ours),
            Target::AtMost(1.0),
        )
        .note(format!("the other server meanwhile: {other:.3} %"))
    };
    Ok(vec![
        row("waits for a lease", waiting),
        row("idles", idling),
    ])
}

/// The share of a core that two processes use while nothing happens, in percent.
fn watch(one: u32, other: u32) -> Result<(f64, f64)> {
    std::thread::sleep(SETTLING);
    let since = Instant::now();
    let (one_before, other_before) = (cpu_time(one)?, cpu_time(other)?);
    std::thread::sleep(WATCHED);
    let (one_after, other_after) = (cpu_time(one)?, cpu_time(other)?);
    let wall = since.elapsed().as_secs_f64();
    let share = |before: Duration, after: Duration| {
        after.saturating_sub(before).as_secs_f64() * 100.0 / wall
    };
    Ok((
        share(one_before, one_after),
        share(other_before, other_after),
    ))
}

/// CPU time of all threads, to the nanosecond; `stat` counts in hundredths of a
/// second, too coarse for a hundredth of three seconds.
fn cpu_time(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        let ns = text.split(' ').next().ok_or("an empty schedstat")?;
        total += Duration::from_nanos(ns.parse()?);
    }
    Ok(total)
}

/// Measure 6.
pub(crate) fn startup(bench: &Bench) -> Result<Vec<Row>> {
    let root = bench.dir()?;
    let mut server = Client::of_maasl(&bench.maasl, root.path(), "holder")?;
    for n in 0..5 {
        let resources = json!({ "resources": [{ "id": format!("file_{n}") }] });
        server.call("lease_acquire", &resources)?;
    }
    let [mut ours, mut version, mut peer] = [Times::new(), Times::new(), Times::new()];
    for _ in 0..bench.rounds {
        ours.time(|| run(&bench.maasl, &["locks", "--root"], Some(root.path())))?;
        version.time(|| run(&bench.maasl, &["--version"], None))?;
        peer.time(|| run(Path::new("/bin/true"), &[], None))?;
    }
    let peer_figure = Figure::us(peer.p50_us());
    Ok(vec![
        Row::new(
            "6 maasl locks, start to exit, p50",
            Figure::us(ours.p50_us()),
            Target::AtMost(5_000.0),
        )
        .beside("/bin/true", peer_figure)
        .note(ours.spread()),
        Row::new(
            "6 maasl --version, start to exit, p50",
            Figure::us(version.p50_us()),
            Target::Nothing,
        )
        .beside("/bin/true", peer_figure)
        .note(version.spread()),
    ])
}

fn run(program: &Path, words: &[&str], last: Option<&Path>) -> Result<()> {
    let mut command = Command::new(program);
    command.args(words).args(last).stdout(Stdio::null());
    let status = command.status()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{}: {status}", program.display()).into())
}

/// Measure 7: what a person would see who watches two servers, beside the same
/// number of pipes without anything at their ends.
pub(crate) fn hand_over(bench: &Bench) -> Result<Vec<Row>> {
    let root = bench.dir()?;
    let mut holder = Client::of_maasl(&bench.maasl, root.path(), "holder")?;
    let mut waiter = Client::of_maasl(&bench.maasl, root.path(), "waiter")?;
    let wanted = json!({ "resources": [{ "id": "file" }], "max_wait_ms": 10_000 });
    let (mut ours, mut peer) = (Times::new(), Times::new());
    let mut echo = Echo::start()?;
    for _ in 0..bench.rounds {
        let lease = holder.call("lease_acquire", &wanted)?["lease"].clone();
        let waits = waiter.send_call("lease_acquire", &wanted)?;
        wait_for_waiter(&mut holder)?;
        let since = Instant::now();
        let releases = holder.send_call("lease_release", &json!({ "lease": lease }))?;
        let granted = succeeded("lease_acquire", waiter.answer(waits)?)?;
        ours.add(since.elapsed());
        succeeded("lease_release", holder.answer(releases)?)?;
        waiter.call("lease_release", &json!({ "lease": granted["lease"] }))?;
        peer.time(|| echo.once())?;
    }
    Ok(vec![
        Row::new(
            "7 lease_release sent to A until B's grant is read, p50",
            Figure::us(ours.p50_us()),
            Target::Nothing,
        )
        .beside("echo by cat", Figure::us(peer.p50_us()))
        .note(ours.spread()),
    ])
}

fn wait_for_waiter(holder: &mut Client) -> Result<()> {
    loop {
        let locks = holder.call("llmc_locks", &json!({}))?;
        if locks["locks"][0]["waiters"] == 1 {
            // Queued is not yet asleep.
            std::thread::sleep(Duration::from_millis(1));
            return Ok(());
        }
    }
}

/// A process that says what it is told: two wake-ups.
struct Echo {
    child: std::process::Child,
}

impl Echo {
    fn start() -> Result<Self> {
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self {
            child: cat.spawn()?,
        })
    }

    fn once(&mut self) -> Result<()> {
        let (Some(stdin), Some(stdout)) = (&mut self.child.stdin, &mut self.child.stdout) else {
            return Err("cat has no pipes".into());
        };
        stdin.write_all(b"x")?;
        stdout.read_exact(&mut [0])?;
        Ok(())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended by itself, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
