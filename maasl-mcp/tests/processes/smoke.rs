//! Two servers, one file.

use serde_json::json;

use crate::harness::{Server, repository};

#[test]
fn what_one_server_writes_the_other_must_read_before_replacing_it() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    a.ok("write_file", json!({ "path": "f", "content": "one\n" }));
    let stale = b.refused(
        "write_file",
        json!({ "path": "f", "content": "two\n" }),
        "stale_version",
    );
    assert_eq!(stale["changed_by"]["agent"], "a");
    assert_eq!(
        b.ok("read_file", json!({ "path": "f" }))["content"],
        "one\n"
    );
    b.ok("write_file", json!({ "path": "f", "content": "two\n" }));
    assert_eq!(std::fs::read(dir.path().join("f")).unwrap(), b"two\n");
    a.close();
    b.close();
}

#[test]
fn a_stopped_server_is_seen_and_a_dead_one_is_replaced() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    a.ok("lease_acquire", json!({ "resources": [{ "id": "f" }] }));
    a.stop();
    let busy = b.refused(
        "write_file",
        json!({ "path": "f", "content": "x" }),
        "resource_busy",
    );
    assert_eq!(busy["holder"]["agent"], "a");
    a.go_on();
    a.kill();
    b.ok("write_file", json!({ "path": "f", "content": "x" }));
}
