//! A writer of a database that is stopped or killed at a step.
//!
//! Stopped beyond its lease, its transaction is committed before somebody else's
//! or never; killed, it is there whole or not at all, and asked again it happens
//! once.

use serde_json::json;

use crate::databases::{prepared, row, rows};
use crate::harness::Server;

/// Leases run out and latches are given up soon.
const HASTY: &str = "[maasl.resource.CRIT_DB]\nlease_ttl_sec = 0.3\n\
    [maasl.limits]\nlatch_wait_ms = 100\n";

/// The steps of a write, in order.
const STEPS: [&str; 8] = [
    "acquire",
    "latch",
    "db_begin",
    "db_execute",
    "db_fence",
    "db_commit",
    "unlatch",
    "release",
];

#[test]
fn a_write_stopped_at_any_step_is_before_the_next_or_refused() {
    for (step, side) in points() {
        let when = format!("{side} {step}");
        let dir = prepared(HASTY);
        let fault = format!("stop@{side}:{step}");
        let mut a = Server::with_env(dir.path(), "a", &[("MAASL_FAULT", &fault)]);
        let mut b = Server::start(dir.path(), "b");
        let id = a.send("db_write", row("a", 1));
        a.wait_stopped();
        // Beyond the lease: whoever can write now has a newer token.
        let mut write = row("b", 1);
        write["max_wait_ms"] = json!(1_500);
        let by_b = b.call("db_write", write);
        a.go_on();
        let by_a = a.result(id);
        let told = [("a", &by_a), ("b", &by_b)];
        let told = told.iter().filter(|(_, answer)| answer["ok"] == true);
        let told: Vec<_> = told.map(|(who, _)| ((*who).to_owned(), 1)).collect();
        assert_eq!(rows(dir.path()), told, "{when}: {by_a} {by_b}");
        let first = |answer: &serde_json::Value| answer["fencing_token"].as_u64();
        if by_a["ok"] == true && by_b["ok"] == true {
            assert!(first(&by_a) < first(&by_b), "{when}: {by_a} {by_b}");
        }
        if by_a["ok"] != true {
            let code = &by_a["error"]["code"];
            assert!(code == "lease_lost" || code == "db_busy", "{when}: {by_a}");
        }
    }
}

#[test]
fn a_write_killed_at_any_step_is_whole_or_not_there() {
    for (step, side) in points() {
        let when = format!("{side} {step}");
        let dir = prepared("");
        let fault = format!("kill@{side}:{step}");
        let mut a = Server::with_env(dir.path(), "a", &[("MAASL_FAULT", &fault)]);
        a.send("db_write", row("a", 1));
        a.wait_dead();
        let committed = rows(dir.path()).len();
        let after = STEPS.iter().position(|one| *one == step) >= Some(5);
        let point = (step, side) == ("db_commit", "before");
        assert_eq!(committed, usize::from(after && !point), "{when}");
        let mut b = Server::start(dir.path(), "b");
        b.ok("db_write", row("a", 1));
        b.ok("db_write", row("b", 1));
        let expected = [("a".to_owned(), 1), ("b".to_owned(), 1)];
        assert_eq!(rows(dir.path()), expected, "{when}");
    }
}

fn points() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sides = ["before", "after"];
    let all = STEPS
        .iter()
        .flat_map(move |step| sides.map(|side| (*step, side)));
    // The lease is returned under its latch: `latch` and `unlatch` come twice.
    all.filter(|point| *point != ("acquire", "before"))
}
