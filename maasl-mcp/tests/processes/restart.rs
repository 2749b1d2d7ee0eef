//! What survives when every server has gone, and when the state directory is
//! deleted, or put back from an older copy.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::shown_json;
use crate::harness::{Server, repository};
use crate::outside::holds;

fn write(content: &str) -> Value {
    json!({ "path": "f", "content": content })
}

fn token_of(answer: &Value) -> u64 {
    answer["fencing_token"].as_u64().unwrap()
}

/// Starts a server, takes a lease and ends; its token.
fn one_token(dir: &TempDir) -> u64 {
    let mut server = Server::start(dir.path(), "a");
    let want = json!({ "resources": [{ "id": "x" }] });
    let token = token_of(&server.ok("lease_acquire", want));
    server.close();
    token
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy_all(&source, &target);
        } else if kind.is_file() {
            std::fs::copy(&source, &target).unwrap();
        }
    }
}

fn database_files(state: &Path) -> Vec<std::path::PathBuf> {
    ["maasl.db", "maasl.db-wal", "maasl.db-shm"]
        .map(|name| state.join(name))
        .into()
}

/// As a tool does that makes a working copy anew and keeps what is ignored.
#[test]
fn a_root_that_is_replaced_around_its_state_directory_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let (root, old) = (dir.path().join("repo"), dir.path().join("repo.old"));
    std::fs::create_dir(&root).unwrap();
    let mut a = Server::start(&root, "a");
    let want = json!({ "resources": [{ "id": "g" }] });
    let lease = a.ok("lease_acquire", want)["lease"].clone();
    std::fs::rename(&root, &old).unwrap();
    std::fs::create_dir(&root).unwrap();
    std::fs::rename(old.join(".maasl"), root.join(".maasl")).unwrap();
    let into_g = json!({ "path": "g", "content": "new\n", "lease": lease });
    a.ok("write_file", into_g);
    assert_eq!(std::fs::read_to_string(root.join("g")).unwrap(), "new\n");
    assert!(!old.join("g").exists(), "written where nobody looks");
    a.close();
}

#[test]
fn tokens_rise_over_good_ends_and_bad_ones() {
    let dir = repository("");
    let mut last = 0;
    for round in 0..3 {
        for end in [Server::close, |mut server: Server| server.kill()] {
            let mut server = Server::start(dir.path(), "a");
            let want = json!({ "resources": [{ "id": format!("x{round}") }] });
            let token = token_of(&server.ok("lease_acquire", want.clone()));
            assert!(token > last, "{token} after {last}");
            last = token;
            end(server);
        }
    }
}

#[test]
fn tokens_never_go_back_when_an_older_database_is_put_back() {
    let dir = repository("");
    one_token(&dir);
    let state = dir.path().join(".maasl");
    let copy = tempfile::tempdir().unwrap();
    copy_all(&state, copy.path());
    let newest = (0..3).map(|_| one_token(&dir)).max().unwrap();
    for file in database_files(&state) {
        let _ = std::fs::remove_file(file);
    }
    std::fs::copy(copy.path().join("maasl.db"), state.join("maasl.db")).unwrap();
    assert!(one_token(&dir) > newest);
}

#[test]
fn tokens_never_go_back_when_all_of_an_older_state_is_put_back() {
    let dir = repository("");
    one_token(&dir);
    let state = dir.path().join(".maasl");
    let copy = tempfile::tempdir().unwrap();
    copy_all(&state, copy.path());
    let newest = (0..3).map(|_| one_token(&dir)).max().unwrap();
    std::fs::remove_dir_all(&state).unwrap();
    copy_all(copy.path(), &state);
    assert!(one_token(&dir) > newest);
}

#[test]
fn tokens_never_go_back_when_the_database_or_everything_is_deleted() {
    let dir = repository("");
    let state = dir.path().join(".maasl");
    let mut last = one_token(&dir);
    for file in database_files(&state) {
        let _ = std::fs::remove_file(file);
    }
    let token = one_token(&dir);
    assert!(token > last, "the floor counts: {token} after {last}");
    last = token;
    std::fs::remove_dir_all(&state).unwrap();
    let token = one_token(&dir);
    assert!(token > last, "the clock counts: {token} after {last}");
}

#[test]
fn deleting_the_state_loses_history_and_no_work() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    a.ok("write_file", write("one\n"));
    a.ok("write_file", write("two\n"));
    a.close();
    std::fs::remove_dir_all(dir.path().join(".maasl")).unwrap();
    let mut a = Server::start(dir.path(), "a");
    assert_eq!(holds(&dir, "f").unwrap(), "two\n");
    let history = a.ok("file_history", json!({ "path": "f" }));
    assert_eq!(history["versions"], json!([]));
    // Nobody has seen anything: the file must be read before it is replaced.
    a.refused("write_file", write("three\n"), "stale_version");
    a.ok("read_file", json!({ "path": "f" }));
    a.ok("write_file", write("three\n"));
    let history = a.ok("file_history", json!({ "path": "f" }));
    let agents = agents_of(&history);
    assert_eq!(agents, ["a", "outside"], "{history}");
    a.close();
}

fn agents_of(history: &Value) -> Vec<&str> {
    let versions = history["versions"].as_array().unwrap();
    let agents = versions
        .iter()
        .map(|version| version["agent"].as_str().unwrap());
    agents.collect()
}

#[test]
fn a_restart_asks_for_a_new_look_and_shows_who_was_there() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    a.ok("write_file", write("one\n"));
    a.close();
    std::fs::write(dir.path().join("f"), "outside\n").unwrap();
    let mut b = Server::start(dir.path(), "b");
    let stale = b.refused("write_file", write("two\n"), "stale_version");
    assert_eq!(stale["reason"], "never_read");
    assert!(stale["changed_by"].is_null(), "a did not write this");
    let read = b.ok("read_file", json!({ "path": "f" }));
    assert!(read["version"].is_null(), "not a version yet: {read}");
    b.ok("write_file", write("two\n"));
    b.close();
    std::fs::remove_file(dir.path().join("f")).unwrap();
    let mut c = Server::start(dir.path(), "c");
    c.ok("write_file", write("three\n"));
    let history = c.ok("file_history", json!({ "path": "f" }));
    let expected = ["c", "outside", "b", "outside", "a"];
    assert_eq!(agents_of(&history), expected, "{history}");
    let removed = &history["versions"][1];
    assert!(removed["sha256"].is_null(), "{removed}");
    assert_eq!(removed["token"], 0);
    c.ok("file_restore", json!({ "path": "f", "version": 2 }));
    assert_eq!(holds(&dir, "f").unwrap(), "outside\n");
    c.close();
    let shown = shown_json(dir.path(), &["history", "f"]);
    assert_eq!(agents_of(&shown)[1..], expected);
}

#[test]
fn a_request_sent_again_after_a_restart_gets_the_same_receipt() {
    let dir = repository("");
    let mut request = write("one\n");
    request["idempotency_key"] = "k1".into();
    let mut a = Server::start(dir.path(), "a");
    let first = a.ok("write_file", request.clone());
    a.ok("write_file", write("two\n"));
    a.close();
    let mut a = Server::start(dir.path(), "a");
    assert_eq!(a.ok("write_file", request.clone()), first);
    assert_eq!(holds(&dir, "f").unwrap(), "two\n", "one effect");
    request["content"] = "other\n".into();
    a.refused("write_file", request, "idempotency_mismatch");
    a.close();
}

#[test]
fn a_request_whose_answer_was_lost_gets_the_one_answer_there_is() {
    let dir = repository("");
    let mut request = write("one\n");
    request["idempotency_key"] = "k1".into();
    for point in ["kill@after:begin_commit", "kill@after:finish_commit"] {
        let _ = std::fs::remove_file(dir.path().join("f"));
        request["idempotency_key"] = point.into();
        let mut a = Server::with_env(dir.path(), "a", &[("MAASL_FAULT", point)]);
        a.send("write_file", request.clone());
        a.wait_dead();
        let mut a = Server::start(dir.path(), "a");
        let again = a.ok("write_file", request.clone());
        assert_eq!(a.ok("write_file", request.clone()), again, "{point}");
        assert_eq!(holds(&dir, "f").unwrap(), "one\n", "{point}");
        let history = a.ok("file_history", json!({ "path": "f", "limit": 1 }));
        let newest = &history["versions"][0];
        assert_eq!(newest["token"], again["fencing_token"], "{point}: once");
        a.close();
    }
}

#[test]
fn leases_and_waits_of_a_former_life_are_over() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let want = json!({ "resources": [{ "id": "f" }] });
    let lease = a.ok("lease_acquire", want.clone())["lease"].clone();
    a.kill();
    let mut a = Server::start(dir.path(), "a");
    // The lease is the right, not the process: it still stands until taken over.
    let mut under = write("one\n");
    under["lease"] = lease.clone();
    a.ok("write_file", under.clone());
    let mut b = Server::start(dir.path(), "b");
    b.ok("lease_acquire", want);
    under["content"] = "two\n".into();
    let lost = a.refused("write_file", under, "lease_lost");
    assert_eq!(lost["lost_lease"]["by"], "b", "{lost}");
    assert_eq!(holds(&dir, "f").unwrap(), "one\n");
}

#[test]
fn a_server_goes_on_when_the_state_is_deleted_under_it() {
    let dir = repository("");
    let state = dir.path().join(".maasl");
    let [mut a, mut b] = ["a", "b"].map(|name| Server::start(dir.path(), name));
    a.ok("write_file", write("one\n"));
    let want = json!({ "resources": [{ "id": "f" }] });
    let granted = a.ok("lease_acquire", want.clone());
    for round in 1..3 {
        std::fs::remove_dir_all(&state).unwrap();
        // The lease is gone with the store that knew it, and its holder is told.
        let mut under = write("late\n");
        under["lease"] = granted["lease"].clone();
        a.refused("write_file", under, "lease_lost");
        // Both meet again in the new store, where exclusion holds.
        let newer = b.ok("lease_acquire", want.clone());
        assert!(token_of(&newer) > token_of(&granted), "tokens rise");
        let mut second = write("two\n");
        second["max_wait_ms"] = 0.into();
        let busy = a.refused("write_file", second, "resource_busy");
        assert_eq!(busy["holder"]["agent"], "b", "{round}: {busy}");
        // Hand-over works: the doorbells hang again.
        let waits = a.send("write_file", write(&format!("{round}\n")));
        crate::facts::await_waiters(&mut b, "code:f", 1);
        b.ok("lease_release", json!({ "lease": newer["lease"] }));
        assert_eq!(a.result(waits)["ok"], true, "{round}");
        assert_eq!(holds(&dir, "f").unwrap(), format!("{round}\n"));
    }
    // A third process finds the others there.
    let stale = a.ok("lease_acquire", want.clone());
    let mut c = Server::start(dir.path(), "c");
    let mut now = want;
    now["max_wait_ms"] = 0.into();
    c.refused("lease_acquire", now.clone(), "resource_busy");
    a.kill();
    let taken = c.ok("lease_acquire", json!({ "resources": [{ "id": "f" }] }));
    assert!(token_of(&taken) > token_of(&stale));
    for server in [b, c] {
        server.close();
    }
}

#[test]
fn a_server_goes_on_when_only_the_database_is_deleted_under_it() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    a.ok("write_file", write("one\n"));
    let state = dir.path().join(".maasl");
    for file in database_files(&state) {
        let _ = std::fs::remove_file(file);
    }
    let locks = a.ok("llmc_locks", json!({}));
    assert_eq!(locks["count"], 0);
    a.ok("write_file", write("two\n"));
    let want = json!({ "resources": [{ "id": "f" }] });
    let held = a.ok("lease_acquire", want.clone());
    // It is still known to be alive.
    let mut b = Server::start(dir.path(), "b");
    let busy = b.refused("lease_acquire", want, "resource_busy");
    assert_eq!(busy["holder"]["token"], held["fencing_token"]);
    a.close();
    b.close();
}

#[test]
fn a_call_under_way_when_the_state_is_deleted_is_refused_and_changes_nothing() {
    let dir = repository("");
    std::fs::write(dir.path().join("f"), "old\n").unwrap();
    let point = [("MAASL_FAULT", "stop@before:begin_commit")];
    let mut a = Server::with_env(dir.path(), "a", &point);
    a.ok("read_file", json!({ "path": "f" }));
    let id = a.send("write_file", write("mine\n"));
    a.wait_stopped();
    std::fs::remove_dir_all(dir.path().join(".maasl")).unwrap();
    let mut b = Server::start(dir.path(), "b");
    b.ok("read_file", json!({ "path": "f" }));
    b.ok("write_file", write("b\n"));
    a.go_on();
    let refused = a.result(id);
    assert_eq!(refused["ok"], false, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("ask again"), "{message}");
    assert_eq!(holds(&dir, "f").unwrap(), "b\n");
    a.refused("write_file", write("mine\n"), "stale_version");
    a.close();
    b.close();
}

#[test]
fn who_was_found_dead_and_came_back_keeps_its_leases() {
    let dir = repository("");
    let state = dir.path().join(".maasl");
    let mut a = Server::start(dir.path(), "a");
    let want = json!({ "resources": [{ "id": "f" }] });
    let lease = a.ok("lease_acquire", want.clone())["lease"].clone();
    let copy = tempfile::tempdir().unwrap();
    copy_all(&state, copy.path());
    std::fs::remove_dir_all(&state).unwrap();
    copy_all(copy.path(), &state);
    // Nobody has the copied liveness file locked yet, and who looks now is stopped
    // before it acts on what it found.
    let mut b = Server::with_env(dir.path(), "b", &[("MAASL_FAULT", "stop@after:probe")]);
    let mut soon = want;
    soon["max_wait_ms"] = 1_000.into();
    let waits = b.send("lease_acquire", soon);
    b.wait_stopped();
    a.ok("lease_renew", json!({ "lease": lease }));
    b.go_on();
    let busy = b.result(waits);
    assert_eq!(busy["error"]["code"], "resource_busy", "{busy}");
    assert_eq!(busy["error"]["holder"]["agent"], "a", "{busy}");
    let mut under = write("mine\n");
    under["lease"] = lease;
    a.ok("write_file", under);
    a.close();
    b.close();
}

#[test]
fn a_commit_open_in_a_state_that_is_put_back_stands_in_nobodys_way() {
    let dir = repository("");
    std::fs::write(dir.path().join("f"), "old\n").unwrap();
    let state = dir.path().join(".maasl");
    let point = [("MAASL_FAULT", "stop@before:swap")];
    let mut a = Server::with_env(dir.path(), "a", &point);
    a.ok("read_file", json!({ "path": "f" }));
    let id = a.send("write_file", write("one\n"));
    a.wait_stopped();
    let copy = tempfile::tempdir().unwrap();
    copy_all(&state, copy.path());
    a.go_on();
    assert_eq!(a.result(id)["ok"], true);
    std::fs::remove_dir_all(&state).unwrap();
    copy_all(copy.path(), &state);
    a.ok("read_file", json!({ "path": "f" }));
    a.ok("write_file", write("two\n"));
    assert_eq!(holds(&dir, "f").unwrap(), "two\n");
    a.close();
}

#[test]
fn a_server_goes_on_when_all_but_the_database_is_deleted_under_it() {
    let dir = repository("");
    let [mut a, mut b] = ["a", "b"].map(|name| Server::start(dir.path(), name));
    let want = json!({ "resources": [{ "id": "f" }] });
    for folder in ["live", "latch", "bell", "stage", "objects"] {
        std::fs::remove_dir_all(dir.path().join(".maasl").join(folder)).unwrap();
        // Both meet again, and neither is taken for dead.
        let lease = a.ok("lease_acquire", want.clone())["lease"].clone();
        let mut now = want.clone();
        now["max_wait_ms"] = 300.into();
        let busy = b.refused("lease_acquire", now.clone(), "resource_busy");
        assert_eq!(busy["holder"]["agent"], "a", "{folder}: {busy}");
        let mut under = write(&format!("{folder}\n"));
        under["lease"] = lease.clone();
        a.ok("write_file", under);
        a.ok("lease_release", json!({ "lease": lease }));
        let lease = b.ok("lease_acquire", want.clone())["lease"].clone();
        a.refused("lease_acquire", now, "resource_busy");
        b.ok("lease_release", json!({ "lease": lease }));
    }
    a.close();
    b.close();
}

#[test]
fn a_server_whose_liveness_file_is_deleted_is_not_dead() {
    let dir = repository("");
    let [mut a, mut b] = ["a", "b"].map(|name| Server::start(dir.path(), name));
    for entry in std::fs::read_dir(dir.path().join(".maasl/live")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let want = json!({ "resources": [{ "id": "f" }], "max_wait_ms": 300 });
    a.ok("lease_acquire", want.clone());
    let busy = b.refused("lease_acquire", want, "resource_busy");
    assert_eq!(busy["holder"]["agent"], "a", "{busy}");
    a.close();
    b.close();
}
