//! Waiting in line: first come, first served; the dead, the cancelled and the
//! departed are out of the way at once; hand-over needs no looking.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{await_waiters, maasl, percentile_ms, row_of, run, shown_json, until, waiters};
use crate::harness::{Server, repository};

const KEY: &str = "code:f";

/// A reservation of `f` that waits for it.
fn waiting() -> Value {
    json!({ "resources": [{ "id": "f" }], "max_wait_ms": 60_000 })
}

/// A directory, a holder of `f`, and somebody who looks at the queue.
struct Line {
    dir: TempDir,
    holder: Server,
    lease: String,
    watcher: Server,
}

impl Line {
    fn new() -> Self {
        let dir = repository("");
        let mut holder = Server::start(dir.path(), "holder");
        let lease = lease_of(&holder.ok("lease_acquire", waiting()));
        let watcher = Server::start(dir.path(), "watcher");
        Self {
            dir,
            holder,
            lease,
            watcher,
        }
    }

    /// Starts a server that waits as the `nth` in line; its call.
    fn join(&mut self, agent: &str, nth: u64) -> (Server, u64) {
        let mut server = Server::start(self.dir.path(), agent);
        let id = server.send("lease_acquire", waiting());
        await_waiters(&mut self.watcher, KEY, nth);
        (server, id)
    }

    fn release(&mut self) {
        release(&mut self.holder, &self.lease);
    }
}

fn lease_of(granted: &Value) -> String {
    granted["lease"].as_str().unwrap().to_owned()
}

fn release(server: &mut Server, lease: &str) {
    server.ok("lease_release", json!({ "lease": lease }));
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let mut line = Line::new();
    let names = ["w1", "w2", "w3", "w4", "w5"];
    let line_up = names.iter().zip(1..);
    let mut queue: Vec<_> = line_up.map(|(name, nth)| line.join(name, nth)).collect();
    line.release();
    let mut last_token = 0;
    for (position, (server, id)) in queue.iter_mut().enumerate() {
        let granted = server.result(*id);
        assert_eq!(granted["ok"], true, "{granted}");
        let token = granted["fencing_token"].as_u64().unwrap();
        assert!(token > last_token, "tokens rise along the line");
        last_token = token;
        // While this one holds it, everybody behind still waits.
        let behind = (names.len() - position - 1) as u64;
        assert_eq!(waiters(&mut line.watcher, KEY), Some(behind));
        release(server, &lease_of(&granted));
    }
}

#[test]
fn a_newcomer_does_not_overtake() {
    let mut line = Line::new();
    let (mut first, id) = line.join("first", 1);
    // Frozen before its turn, the first in line is still the first.
    first.stop();
    line.release();
    let newcomer = json!({ "resources": [{ "id": "f" }], "max_wait_ms": 0 });
    let busy = line
        .holder
        .refused("lease_acquire", newcomer, "resource_busy");
    assert_eq!(busy["holder"]["agent"], "first", "{busy}");
    assert!(busy["holder"]["token"].is_null(), "it waits: {busy}");
    first.go_on();
    assert_eq!(first.result(id)["ok"], true);
}

#[test]
fn dead_waiters_are_skipped_at_once() {
    let mut line = Line::new();
    let mut dead: Vec<_> = (1..=3)
        .map(|n| line.join(&format!("dead{n}"), n).0)
        .collect();
    let (mut last, id) = line.join("last", 4);
    dead.iter_mut().for_each(Server::kill);
    let since = Instant::now();
    line.release();
    let granted = last.result(id);
    assert_eq!(granted["ok"], true, "{granted}");
    eprintln!("past three dead waiters in {:?}", since.elapsed());
    // Not by their deadlines of a minute.
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_dead_holder_is_replaced_at_once() {
    let mut line = Line::new();
    let (mut next, id) = line.join("next", 1);
    let since = Instant::now();
    line.holder.kill();
    let granted = next.result(id);
    assert_eq!(granted["ok"], true, "{granted}");
    eprintln!("in the place of a dead holder in {:?}", since.elapsed());
    // Not by the end of its lease of 30 seconds.
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn cancelling_frees_the_place_in_line() {
    let mut line = Line::new();
    let (mut waiter, id) = line.join("waiter", 1);
    let (mut behind, behind_id) = line.join("behind", 2);
    let since = Instant::now();
    waiter.notify("notifications/cancelled", &json!({ "requestId": id }));
    await_waiters(&mut line.watcher, KEY, 1);
    report("cancelled", since.elapsed());
    // The connection works on, and the one behind is next.
    waiter.ok("llmc_locks", json!({}));
    line.release();
    assert_eq!(behind.result(behind_id)["ok"], true);
    waiter.close();
}

#[test]
fn the_end_of_input_frees_the_place_in_line() {
    let mut line = Line::new();
    let (mut waiter, _) = line.join("waiter", 1);
    let (mut behind, behind_id) = line.join("behind", 2);
    let since = Instant::now();
    waiter.end_input();
    await_waiters(&mut line.watcher, KEY, 1);
    report("input ended", since.elapsed());
    waiter.wait_dead();
    line.release();
    assert_eq!(behind.result(behind_id)["ok"], true);
}

#[test]
fn the_end_of_input_frees_what_was_held() {
    let mut line = Line::new();
    let (mut waiter, id) = line.join("waiter", 1);
    let since = Instant::now();
    line.holder.end_input();
    let granted = waiter.result(id);
    report("holder's input ended, next granted", since.elapsed());
    assert_eq!(granted["ok"], true, "{granted}");
    line.holder.wait_dead();
}

/// The time includes the watcher's own looks, of about a millisecond each.
#[allow(clippy::print_stderr, reason = "a measured figure, for people")]
fn report(what: &str, elapsed: Duration) {
    eprintln!("{what}: the fact showed after {elapsed:?}");
    assert!(elapsed < Duration::from_secs(2), "{what}: {elapsed:?}");
}

#[test]
fn a_waiter_that_may_not_wait_longer_leaves_the_line() {
    let mut line = Line::new();
    let short = json!({ "resources": [{ "id": "f" }], "max_wait_ms": 50 });
    let mut hasty = Server::start(line.dir.path(), "hasty");
    let busy = hasty.refused("lease_acquire", short, "resource_busy");
    assert_eq!(busy["allowed_ms"], 50, "{busy}");
    assert!(busy["waited_ms"].as_u64().unwrap() >= 50, "{busy}");
    assert_eq!(busy["holder"]["agent"], "holder", "{busy}");
    assert_eq!(waiters(&mut line.watcher, KEY), Some(0));
    let shown = shown_json(line.dir.path(), &["locks"]);
    assert_eq!(row_of(&shown, KEY).unwrap()["waiters"], 0);
}

#[test]
fn a_command_in_line_is_shown_and_leaves_it_when_killed() {
    let mut line = Line::new();
    let mut command = maasl(line.dir.path(), &["run", "--resource", "f"]);
    command.args(["--max-wait-ms", "60000", "--", "true"]);
    let mut child = command.spawn().unwrap();
    until("the command waits", || {
        let shown = shown_json(line.dir.path(), &["locks"]);
        row_of(&shown, KEY).unwrap()["waiters"] == 1
    });
    child.kill().unwrap();
    child.wait().unwrap();
    line.release();
    // Whoever released could not ring the dead one, and took it out of the line.
    let at_once = ["run", "--resource", "f", "--max-wait-ms", "0"];
    let mut command = maasl(line.dir.path(), &at_once);
    command.args(["--", "true"]);
    let (code, _, err) = run(command);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn a_waiter_is_told_of_its_progress_if_it_asked() {
    let mut line = Line::new();
    let mut waiter = Server::start(line.dir.path(), "waiter");
    let params = json!({
        "name": "lease_acquire",
        "arguments": waiting(),
        "_meta": { "progressToken": "p7" },
    });
    let id = waiter.request("tools/call", &params);
    await_waiters(&mut line.watcher, KEY, 1);
    // A second state is reported when the waiter looks again.
    until("two notifications", || {
        let answer = waiter.result_within(id, Duration::from_millis(20));
        assert!(answer.is_none(), "it still waits");
        waiter.notifications().len() >= 2
    });
    line.release();
    assert_eq!(waiter.result(id)["ok"], true);
    let mut last = -1.0;
    for told in waiter.notifications() {
        assert_eq!(told["method"], "notifications/progress", "{told}");
        let params = &told["params"];
        assert_eq!(params["progressToken"], "p7", "{told}");
        assert!(params["message"].as_str().unwrap().contains("holder"));
        let progress = params["progress"].as_f64().unwrap();
        assert!(progress > last, "progress rises: {told}");
        assert!(params["total"].as_f64().unwrap() >= progress, "{told}");
        last = progress;
    }
    // Who does not ask is told nothing.
    assert!(line.holder.notifications().is_empty());
}

/// A waiter looks by itself every 100 ms. If hand-over relied on that, half of
/// the hand-overs would take more than 50 ms.
#[test]
fn hand_over_between_processes_does_not_wait_for_a_look() {
    const HAND_OVERS: usize = 200;
    let mut line = Line::new();
    let mut other = Server::start(line.dir.path(), "other");
    let mut times = Vec::new();
    let mut lease = line.lease.clone();
    for n in 0..HAND_OVERS {
        let (from, to) = if n % 2 == 0 {
            (&mut line.holder, &mut other)
        } else {
            (&mut other, &mut line.holder)
        };
        let id = to.send("lease_acquire", waiting());
        await_waiters(&mut line.watcher, KEY, 1);
        let since = Instant::now();
        let released = from.send("lease_release", json!({ "lease": lease }));
        let granted = to.result(id);
        times.push(since.elapsed());
        assert_eq!(from.result(released)["ok"], true);
        lease = lease_of(&granted);
    }
    let [p50, p90, p99] = [50, 90, 99].map(|p| percentile_ms(&mut times, p));
    eprintln!("{HAND_OVERS} hand-overs: p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms");
    assert!(p50 < 50.0, "p50 {p50:.1} ms");
}
