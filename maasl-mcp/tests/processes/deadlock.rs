//! Circles of holders and waiters: refused at once, and whom it concerns is
//! named. Waiting for oneself is no circle but busy.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{await_waiters, until};
use crate::harness::{PATIENCE, Server, repository};

fn want(id: &str) -> Value {
    json!({ "resources": [{ "id": id }], "max_wait_ms": 60_000 })
}

fn lease_of(granted: &Value) -> String {
    assert_eq!(granted["ok"], true, "{granted}");
    granted["lease"].as_str().unwrap().to_owned()
}

/// Servers for agents `a`, `b`, …, each holding the file of its own name.
fn holders<const N: usize>() -> (TempDir, [(Server, String); N]) {
    let dir = repository("");
    let names = ["a", "b", "c"];
    let servers = std::array::from_fn(|at| {
        let mut server = Server::start(dir.path(), names[at]);
        let lease = lease_of(&server.ok("lease_acquire", want(names[at])));
        (server, lease)
    });
    (dir, servers)
}

/// Asks for what closes the circle; the agents the refusal names.
fn circle_of(server: &mut Server, id: &str) -> Vec<String> {
    let since = Instant::now();
    let refused = server.refused("lease_acquire", want(id), "deadlock");
    assert!(
        since.elapsed() < PATIENCE / 2,
        "at once, not at the end of the wait"
    );
    assert!(refused["hint"].as_str().unwrap().contains("release"));
    let circle = refused["circle"].as_array().unwrap();
    let agents = circle
        .iter()
        .map(|agent| agent["agent"].as_str().unwrap().to_owned());
    agents.collect()
}

#[test]
fn two_that_want_each_others_lease() {
    let (_dir, [(mut a, _), (mut b, b_lease)]) = holders();
    let id = a.send("lease_acquire", want("b"));
    await_waiters(&mut b, "code:b", 1);
    assert_eq!(circle_of(&mut b, "a"), ["b", "a"]);
    // The refused one keeps what it holds, and the survivor gets it afterwards.
    b.ok("lease_renew", json!({ "lease": b_lease }));
    b.ok("lease_release", json!({ "lease": b_lease }));
    lease_of(&a.result(id));
    a.close();
    b.close();
}

#[test]
fn three_in_a_circle() {
    let (_dir, [(mut a, a_lease), (mut b, b_lease), (mut c, c_lease)]) = holders();
    let a_waits = a.send("lease_acquire", want("b"));
    await_waiters(&mut c, "code:b", 1);
    let b_waits = b.send("lease_acquire", want("c"));
    await_waiters(&mut c, "code:c", 1);
    assert_eq!(circle_of(&mut c, "a"), ["c", "a", "b"]);
    c.ok("lease_release", json!({ "lease": c_lease }));
    let got = lease_of(&b.result(b_waits));
    for lease in [got, b_lease] {
        b.ok("lease_release", json!({ "lease": lease }));
    }
    lease_of(&a.result(a_waits));
    a.ok("lease_release", json!({ "lease": a_lease }));
    lease_of(&c.ok("lease_acquire", want("a")));
}

#[test]
fn a_write_that_would_close_a_circle_is_refused_too() {
    let (dir, [(mut a, _), (mut b, b_lease)]) = holders();
    let write = json!({ "path": "b", "content": "a\n", "max_wait_ms": 60_000 });
    let id = a.send("write_file", write);
    await_waiters(&mut b, "code:b", 1);
    let write = json!({ "path": "a", "content": "b\n", "max_wait_ms": 60_000 });
    b.refused("write_file", write, "deadlock");
    assert!(!dir.path().join("a").exists());
    b.ok("lease_release", json!({ "lease": b_lease }));
    assert_eq!(a.result(id)["ok"], true);
    assert_eq!(std::fs::read(dir.path().join("b")).unwrap(), b"a\n");
}

#[test]
fn all_at_once_cannot_deadlock() {
    let dir = repository("");
    let mut servers = ["a", "b"].map(|name| Server::start(dir.path(), name));
    for _ in 0..20 {
        let orders = [["x", "y"], ["y", "x"]];
        let ids: Vec<u64> = servers
            .iter_mut()
            .zip(orders)
            .map(|(server, [one, other])| {
                let resources = json!([{ "id": one }, { "id": other }]);
                let asked = json!({ "resources": resources, "max_wait_ms": 60_000 });
                server.send("lease_acquire", asked)
            })
            .collect();
        // Whoever was granted first is not known: its release serves the other.
        let mut open: Vec<_> = servers.iter_mut().zip(ids).collect();
        let mut first = None;
        until("one of them has it", || {
            first = open.iter_mut().position(|(server, id)| {
                let granted = server.result_within(*id, Duration::from_millis(5));
                granted.is_some_and(|granted| {
                    let lease = lease_of(&granted);
                    server.ok("lease_release", json!({ "lease": lease }));
                    true
                })
            });
            first.is_some()
        });
        let other = first.map_or(0, |first| 1 - first);
        let (server, id) = &mut open[other];
        let lease = lease_of(&server.result(*id));
        server.ok("lease_release", json!({ "lease": lease }));
    }
}

#[test]
fn presenting_the_lease_is_no_second_request() {
    let (dir, [(mut a, lease)]) = holders();
    let write = json!({ "path": "a", "content": "one\n", "lease": lease });
    let written = a.ok("write_file", write);
    assert_eq!(written["waited_ms"], 0);
    let edits = json!([{ "old_text": "one", "new_text": "two" }]);
    let edited = a.ok(
        "edit_file",
        json!({ "path": "a", "edits": edits, "lease": lease }),
    );
    assert_eq!(edited["fencing_token"], written["fencing_token"]);
    // It reaches no further than what it was granted for.
    let elsewhere = json!({ "path": "z", "content": "", "lease": lease });
    let refused = a.refused("write_file", elsewhere, "invalid_request");
    assert_eq!(refused["field"], "lease");
    assert_eq!(std::fs::read(dir.path().join("a")).unwrap(), b"two\n");
    a.ok("lease_release", json!({ "lease": lease }));
    a.close();
}

#[test]
fn subagents_that_look_alike_are_busy_to_each_other() {
    let (_dir, [(mut a, lease)]) = holders();
    let again = json!({ "resources": [{ "id": "a" }], "max_wait_ms": 0 });
    let busy = a.refused("lease_acquire", again, "resource_busy");
    assert_eq!(busy["holder"]["agent"], "a");
    let hint = busy["hint"].as_str().unwrap();
    assert!(hint.contains("pass its lease id"), "{hint}");
    // A wait for oneself is no circle: the other subagent may release.
    let waits = a.send("lease_acquire", want("a"));
    let write = json!({ "path": "a", "content": "", "max_wait_ms": 0 });
    a.refused("write_file", write, "resource_busy");
    await_waiters(&mut a, "code:a", 1);
    a.ok("lease_release", json!({ "lease": lease }));
    lease_of(&a.result(waits));
    a.close();
}

#[test]
fn two_subagents_that_want_each_others_file_are_not_called_a_deadlock() {
    let (_dir, [(mut a, a_lease)]) = holders();
    let b_lease = lease_of(&a.ok("lease_acquire", want("b")));
    let first = a.send("lease_acquire", want("b"));
    await_waiters(&mut a, "code:b", 1);
    let short = json!({ "resources": [{ "id": "a" }], "max_wait_ms": 100 });
    a.refused("lease_acquire", short, "resource_busy");
    a.ok("lease_release", json!({ "lease": b_lease }));
    lease_of(&a.result(first));
    a.ok("lease_release", json!({ "lease": a_lease }));
    a.close();
}
