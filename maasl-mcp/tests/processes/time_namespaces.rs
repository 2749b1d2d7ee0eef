//! Processes whose clocks are days apart: servers in time namespaces of their own
//! share one state with those of the machine.

use serde_json::{Value, json};

use crate::facts::{maasl, row_of};
use crate::harness::{Server, repository};

/// A server in a namespace whose clocks are off by so many seconds.
///
/// Making one takes the rights of root, as the tests of full disks do.
fn apart(seconds: i64, root: &std::path::Path, agent: &str) -> Server {
    let (boottime, monotonic) = (seconds.to_string(), (seconds / 2).to_string());
    let offsets = ["--boottime", &boottime, "--monotonic", &monotonic];
    let wrapper = [&["unshare", "--time"], &offsets[..]].concat();
    Server::through(&wrapper, root, agent)
}

fn want() -> Value {
    json!({ "resources": [{ "id": "x" }], "ttl_sec": 300, "max_wait_ms": 0 })
}

/// A lease of `holder` is seen by `other` to last as long as it does.
fn lasts_as_long_for(holder: &mut Server, other: &mut Server) {
    let lease = holder.ok("lease_acquire", want());
    let shown = other.ok("llmc_locks", json!({}));
    let row = row_of(&shown, "code:x").unwrap();
    let left_sec = row["ttl_remaining_sec"].as_f64().unwrap();
    assert!((200.0..=300.0).contains(&left_sec), "{row}");
    other.refused("lease_acquire", want(), "resource_busy");
    let lease = json!({ "lease": lease["lease"] });
    holder.ok("lease_renew", lease.clone());
    holder.ok("lease_release", lease);
}

#[test]
fn a_lease_lasts_as_long_for_servers_of_every_time_namespace() {
    let dir = repository("");
    let mut here = Server::start(dir.path(), "here");
    for seconds in [400_000, -2_000, 3] {
        let mut there = apart(seconds, dir.path(), "there");
        lasts_as_long_for(&mut here, &mut there);
        lasts_as_long_for(&mut there, &mut here);
        there.close();
    }
}

#[test]
fn who_comes_from_another_time_namespace_ends_no_lease() {
    let dir = repository("");
    let mut holder = Server::start(dir.path(), "a");
    let lease = holder.ok("lease_acquire", want());
    apart(400_000, dir.path(), "b").close();
    Server::start(dir.path(), "c").close();
    holder.ok("lease_renew", json!({ "lease": lease["lease"] }));
    let token = |answer: &Value| answer["fencing_token"].as_u64().unwrap();
    let next = holder.ok("lease_acquire", json!({ "resources": [{ "id": "y" }] }));
    let generation = |answer: &Value| token(answer) >> 37;
    assert_eq!(generation(&next), generation(&lease), "no boot is counted");
}

#[test]
fn whose_clock_cannot_be_told_is_not_let_in_beside_the_living() {
    let dir = repository("");
    let mut holder = Server::start(dir.path(), "a");
    let lease = holder.ok("lease_acquire", want());
    let run = |boot: &str| {
        let mut command = maasl(dir.path(), &[]);
        command.args(["run", "--resource", "y", "--", "true"]);
        command.env("MAASL_BOOT", boot).output().unwrap()
    };
    let refused = run("another clock");
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success(), "{said}");
    let named = format!("process {} (serve)", holder.pid());
    assert!(said.contains(&named), "{said}");
    holder.ok("lease_renew", json!({ "lease": lease["lease"] }));
    holder.close();
    let later = run("another boot");
    assert!(later.status.success(), "{later:?}");
}
