//! The events of servers: one line of JSON each, in a file that all share.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::facts::{maasl, run};
use crate::harness::{Server, repository};
use crate::observe::sha256;

const CONFIG: &str = "[maasl]\nevents = \"events.jsonl\"\n";

fn events(root: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(root.join("events.jsonl")).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn counts(events: &[Value]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts
            .entry(event["message"].as_str().unwrap())
            .or_default() += 1;
    }
    counts
}

#[test]
fn what_happens_is_told_in_a_line_of_its_own() {
    let dir = repository(CONFIG);
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    let text = |first: &str, last: &str| format!("{first}\n2\n3\n4\n5\n{last}\n");
    a.ok(
        "write_file",
        json!({ "path": "f", "content": text("1", "6") }),
    );
    b.ok("read_file", json!({ "path": "f" }));
    let base = sha256(&text("1", "6"));
    a.ok(
        "write_file",
        json!({ "path": "f", "content": text("one", "6") }),
    );
    let stale = json!({ "path": "f", "content": text("uno", "6"), "base_sha256": base });
    b.refused("write_file", stale, "stale_version");
    let merge = json!({ "path": "f", "content": text("1", "six"), "base_sha256": base,
                        "on_stale": "merge" });
    b.ok("write_file", merge);
    let edits = json!([{ "old_text": "3", "new_text": "three" }]);
    b.ok("edit_file", json!({ "path": "f", "edits": edits }));
    let held = a.ok("lease_acquire", json!({ "resources": [{ "id": "g" }] }));
    let busy = json!({ "path": "g", "content": "x", "max_wait_ms": 0 });
    b.refused("write_file", busy, "resource_busy");
    a.ok("lease_release", json!({ "lease": held["lease"] }));
    let table = json!({ "db": "rag", "statements": [{ "sql": "CREATE TABLE t (x)" }] });
    a.ok("db_write", table);
    a.ok("graph_patch", json!({ "nodes_to_add": [{ "id": "n" }] }));
    a.ok(
        "docgen_file",
        json!({ "path": "f", "content": "# f",
        "source_sha256": sha256(&std::fs::read_to_string(dir.path().join("f")).unwrap()) }),
    );
    let all = events(dir.path());
    let counts = counts(&all);
    for (name, least) in [
        ("lock_acquired", 6),
        ("lock_released", 6),
        ("stale_refused", 1),
        ("merged", 1),
        ("lock_timeout", 1),
        ("db_write", 1),
        ("graph_merge", 1),
        ("docgen", 1),
    ] {
        assert!(counts.get(name) >= Some(&least), "{name} in {counts:?}");
    }
    for event in &all {
        assert_eq!(event["target"], "maasl::event", "{event}");
        assert!(event["agent"].is_string() && event["timestamp"].is_string());
    }
    let stale = all.iter().find(|one| one["message"] == "stale_refused");
    let stale = stale.unwrap();
    assert_eq!(
        (&stale["agent"], &stale["subject"]),
        (&json!("b"), &json!("f"))
    );
}

#[test]
fn events_go_through_no_link() {
    let dir = repository(CONFIG);
    std::fs::write(dir.path().join("own"), "mine\n").unwrap();
    std::os::unix::fs::symlink("own", dir.path().join("events.jsonl")).unwrap();
    let (code, _, error) = run(maasl(dir.path(), &["serve"]));
    assert_eq!(code, 3, "{error}");
    assert!(error.contains("events"), "{error}");
    assert_eq!(
        std::fs::read_to_string(dir.path().join("own")).unwrap(),
        "mine\n"
    );
}

/// The configuration comes with the repository, and whoever clones it starts a server.
#[test]
fn the_repository_names_no_place_for_events_but_a_path_beneath_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let outside = dir.path().join("outside.log");
    for place in [
        "../outside.log",
        outside.to_str().unwrap(),
        "a/../../outside.log",
        "./events.jsonl",
        ".maasl/floor",
        ".maasl/events",
        ".MAASL/floor",
        ".git/config",
    ] {
        let config = format!("[maasl]\nevents = {place:?}\n");
        std::fs::write(root.join("maasl.toml"), config).unwrap();
        let (code, _, error) = run(maasl(&root, &["serve"]));
        assert_eq!(code, 2, "{place}: {error}");
        assert!(error.contains("events"), "{place}: {error}");
    }
    assert!(!outside.exists());
    assert!(!root.join(".maasl").exists());
}

#[test]
fn events_go_to_a_plain_file_alone() {
    let dir = repository(CONFIG);
    let events = dir.path().join("events.jsonl");
    let refused = |what: &str| {
        let (code, _, error) = run(maasl(dir.path(), &["serve"]));
        assert_eq!(code, 3, "{what}: {error}");
        assert!(error.contains("events"), "{what}: {error}");
    };
    // Nobody reads it: opening it would wait for ever.
    mknodat(CWD, &events, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    refused("a pipe");
    std::fs::remove_file(&events).unwrap();
    std::fs::write(dir.path().join("own"), "mine\n").unwrap();
    std::fs::hard_link(dir.path().join("own"), &events).unwrap();
    refused("a file with another name");
    std::fs::remove_file(&events).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = "[maasl]\nevents = \"logs/events.jsonl\"\n";
    std::fs::write(dir.path().join("maasl.toml"), config).unwrap();
    std::os::unix::fs::symlink(folder.path(), dir.path().join("logs")).unwrap();
    refused("a folder that is a link");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let own = std::fs::read_to_string(dir.path().join("own")).unwrap();
    assert_eq!(own, "mine\n");
}
