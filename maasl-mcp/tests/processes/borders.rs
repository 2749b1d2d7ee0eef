//! The last that fits and the first that does not.
//!
//! A limit that is one off is a limit that nobody wrote down.

use serde_json::json;

use crate::databases::{prepared, sql};
use crate::facts::{maasl, run, shown};
use crate::harness::{Server, repository};

#[test]
fn a_name_of_a_resource_has_a_thousand_bytes() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let named = |bytes| json!({ "resources": [{ "id": "n".repeat(bytes), "class": "CRIT_DB" }] });
    a.ok("lease_acquire", named(1_000));
    let bad = a.refused("lease_acquire", named(1_001), "invalid_request");
    assert_eq!(bad["field"], "resources[0].id", "{bad}");
    a.close();
}

#[test]
fn a_reason_of_a_revocation_has_a_thousand_bytes() {
    let dir = repository("");
    let reason = "r".repeat(1_001);
    let out = shown(dir.path(), &["revoke", "f", "--reason", &reason[1..]]);
    assert!(out.contains("nobody held"), "{out}");
    let (code, _, err) = run(maasl(dir.path(), &["revoke", "f", "--reason", &reason]));
    assert_ne!(code, 0);
    assert!(err.contains("reason") && err.contains("1001"), "{err}");
}

#[test]
fn a_value_in_a_database_has_256_mebibytes() {
    let dir = prepared("");
    let mut a = Server::start(dir.path(), "a");
    let length = |bytes: u64| sql(&[&format!("SELECT length(zeroblob({bytes}))")]);
    a.ok("db_write", length(256 << 20));
    let bad = a.refused("db_write", length((256 << 20) + 1), "invalid_request");
    assert!(
        bad["message"].as_str().unwrap().contains("too big"),
        "{bad}"
    );
    a.close();
}

#[test]
fn what_is_repeated_in_a_message_is_cut() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    // Told back in the message, and small enough to be read as a call.
    let path = format!("{}/f", "d".repeat(200_000));
    let bad = a.call("read_file", json!({ "path": path }));
    assert_eq!(bad["ok"], false);
    let length = bad.to_string().len();
    assert!(length < 20_000, "{length} bytes for one refusal");
    a.close();
}
