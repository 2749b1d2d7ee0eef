//! Observe mode with real servers: nobody waits, nobody is refused, and what
//! enforce mode would have done is told and counted apart.

use serde_json::json;

use crate::harness::{Server, repository};
use crate::observe::{history, sha256};

const OBSERVE: &str = "[maasl]\nmode = \"observe\"\n";

#[test]
fn a_held_file_is_written_and_its_holder_named() {
    let dir = repository(OBSERVE);
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    a.ok("write_file", json!({ "path": "f", "content": "one\n" }));
    a.ok("lease_acquire", json!({ "resources": [{ "id": "f" }] }));
    b.ok("read_file", json!({ "path": "f" }));
    let written = b.ok("write_file", json!({ "path": "f", "content": "two\n" }));
    assert_eq!(written["would_block"][0]["code"], "resource_busy");
    let message = written["would_block"][0]["message"].as_str().unwrap();
    assert!(message.contains('a'), "{message}");
    assert_eq!(written.get("would_refuse"), None);
    let content = std::fs::read_to_string(dir.path().join("f")).unwrap();
    assert_eq!(content, "two\n");
}

#[test]
fn a_stale_write_lands_is_counted_apart_and_can_be_taken_back() {
    let dir = repository(OBSERVE);
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    a.ok("write_file", json!({ "path": "f", "content": "one\n" }));
    let stale = json!({ "path": "f", "content": "two\n", "base_sha256": sha256("zero\n") });
    let written = b.ok("write_file", stale);
    assert_eq!(written["would_refuse"][0]["code"], "stale_version");
    let stats = b.ok("llmc_stomp_stats", json!({}));
    assert_eq!(
        stats["observed"],
        json!({ "would_block": 0, "would_refuse": 1 })
    );
    assert_eq!(stats["stomps_prevented"], 0);
    assert_eq!(
        stats["stomp_guard_calls"],
        json!({ "success": 2, "failed": 0 })
    );
    assert_eq!(history(&mut b, "f").len(), 2);
    b.ok("file_restore", json!({ "path": "f", "version": 1 }));
    let content = std::fs::read_to_string(dir.path().join("f")).unwrap();
    assert_eq!(content, "one\n");
}

#[test]
fn a_database_that_somebody_holds_is_written() {
    let dir = repository(OBSERVE);
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    let held = json!({ "resources": [{ "id": "rag", "class": "CRIT_DB" }] });
    a.ok("lease_acquire", held);
    let written = b.ok(
        "db_write",
        json!({ "db": "rag", "statements": [{ "sql": "CREATE TABLE t (x)" }] }),
    );
    assert_eq!(written["would_block"][0]["code"], "resource_busy");
}
