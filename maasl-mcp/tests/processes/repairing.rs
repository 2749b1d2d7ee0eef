//! Stores that are upgraded, damaged and mended under real servers.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{maasl, run, shown, shown_json};
use crate::harness::{PATIENCE, Server, repository};
use crate::outside::holds;

fn state(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(".maasl").join(name)
}

fn sql(dir: &TempDir, sql: &str) {
    let db = rusqlite::Connection::open(state(dir, "maasl.db")).unwrap();
    db.busy_timeout(PATIENCE).unwrap();
    db.execute_batch(sql).unwrap();
}

fn write(server: &mut Server, content: &str) -> Value {
    server.ok("write_file", json!({ "path": "f", "content": content }))
}

/// A server that is to fail at its start: exit code and what it said.
fn serve(dir: &TempDir) -> (i32, String) {
    let mut serve: Command = maasl(dir.path(), &["serve"]);
    serve.stdin(Stdio::null());
    let (code, _, err) = run(serve);
    (code, err)
}

/// Writes over a page of the history, which no start reads by itself.
fn damage_history(dir: &TempDir) {
    sql(dir, "PRAGMA wal_checkpoint(TRUNCATE)");
    let db = rusqlite::Connection::open(state(dir, "maasl.db")).unwrap();
    let query = "SELECT rootpage FROM sqlite_schema WHERE name = 'version'";
    let page: u64 = db.query_row(query, [], |row| row.get(0)).unwrap();
    drop(db);
    overwrite(dir, &[0xa5; 512], (page - 1) * 2048 + 8);
}

fn overwrite(dir: &TempDir, bytes: &[u8], at: u64) {
    let file = OpenOptions::new().write(true).open(state(dir, "maasl.db"));
    file.unwrap().write_all_at(bytes, at).unwrap();
}

#[test]
fn a_server_beside_a_newer_one_refuses_and_writes_nothing() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    write(&mut a, "one\n");
    let lease = a.ok("lease_acquire", json!({ "resources": [{ "id": "g" }] }));
    sql(
        &dir,
        "BEGIN IMMEDIATE; ALTER TABLE version RENAME TO version_of_layout_4;
         CREATE TABLE version (path TEXT, number INTEGER, body TEXT, more TEXT);
         PRAGMA user_version = 99; COMMIT;",
    );
    let lease = lease["lease"].clone();
    for (tool, arguments) in [
        ("write_file", json!({ "path": "f", "content": "two\n" })),
        (
            "write_file",
            json!({ "path": "g", "content": "new\n", "lease": lease }),
        ),
        ("delete_file", json!({ "path": "f" })),
        ("lease_acquire", json!({ "resources": [{ "id": "x" }] })),
        ("lease_renew", json!({ "lease": lease })),
        ("lease_release", json!({ "lease": lease })),
    ] {
        let refused = a.refused(tool, arguments, "internal");
        let message = refused["message"].as_str().unwrap();
        assert!(message.contains("a newer maasl"), "{tool}: {message}");
    }
    assert_eq!(holds(&dir, "f").unwrap(), "one\n");
    assert_eq!(holds(&dir, "g"), None);
    let (code, _, err) = run(maasl(dir.path(), &["locks"]));
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("update this program"), "{err}");
    let (code, err) = serve(&dir);
    assert_eq!(code, 3, "{err}");
    // It cannot return its leases, and says so.
    a.end_input();
    a.wait_dead();
    let db = rusqlite::Connection::open(state(&dir, "maasl.db")).unwrap();
    let count = |table: &str| -> u64 {
        let query = format!("SELECT count(*) FROM {table}");
        db.query_row(&query, [], |row| row.get(0)).unwrap()
    };
    assert_eq!((count("version"), count("version_of_layout_4")), (0, 1));
}

#[test]
fn commands_that_look_read_an_older_store_and_leave_it() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    write(&mut a, "one\n");
    a.close();
    sql(
        &dir,
        "DROP TABLE graph; DROP TABLE graph_patch; DROP TABLE graph_checkpoint;
         ALTER TABLE counter RENAME TO later;
         CREATE TABLE counter (name TEXT NOT NULL, class TEXT NOT NULL, value ANY NOT NULL,
             PRIMARY KEY (name, class)) STRICT, WITHOUT ROWID;
         INSERT INTO counter SELECT iif(name = '', 'meta', name), class, value FROM later;
         DROP TABLE later; PRAGMA user_version = 2",
    );
    assert_eq!(shown_json(dir.path(), &["locks"])["count"], 0);
    assert_eq!(shown_json(dir.path(), &["stats"])["lock_acquisitions"], 1);
    let history = shown_json(dir.path(), &["history", "f"]);
    assert_eq!(history["versions"][0]["agent"], "a");
    assert_eq!(shown_json(dir.path(), &["doctor"])["ok"], true);
    let layout = || -> u32 {
        let db = rusqlite::Connection::open(state(&dir, "maasl.db")).unwrap();
        db.pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap()
    };
    assert_eq!(layout(), 2);
    Server::start(dir.path(), "b").close();
    assert_eq!(layout(), 4);
    assert_eq!(
        shown_json(dir.path(), &["history", "f"])["versions"][0]["agent"],
        "a"
    );
}

#[test]
fn a_killed_server_makes_the_next_one_look_and_a_good_end_does_not() {
    for killed in [true, false] {
        let dir = repository("");
        let mut a = Server::start(dir.path(), "a");
        write(&mut a, "one\n");
        if killed {
            a.kill();
        } else {
            a.close();
        }
        damage_history(&dir);
        let (code, err) = serve(&dir);
        if killed {
            assert_eq!(code, 3, "{err}");
            assert!(err.contains("maasl doctor --repair"), "{err}");
            let (code, out, _) = run(maasl(dir.path(), &["doctor"]));
            assert_eq!(code, 1, "{out}");
            shown(dir.path(), &["doctor", "--repair"]);
            let mut b = Server::start(dir.path(), "b");
            b.ok("read_file", json!({ "path": "f" }));
            write(&mut b, "two\n");
            b.close();
        } else {
            assert_eq!(code, 0, "{err}");
        }
    }
}

#[test]
fn a_killed_server_leaves_a_store_that_is_found_sound() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let first = write(&mut a, "one\n");
    a.kill();
    let mut b = Server::start(dir.path(), "b");
    b.ok("read_file", json!({ "path": "f" }));
    let second = write(&mut b, "two\n");
    assert!(second["fencing_token"].as_u64() > first["fencing_token"].as_u64());
    b.close();
}

#[test]
fn doctor_repairs_what_was_written_over_and_tokens_rise() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    write(&mut a, "one\n");
    let newest = write(&mut a, "two\n")["fencing_token"].as_u64();
    a.close();
    sql(&dir, "PRAGMA wal_checkpoint(TRUNCATE)");
    overwrite(&dir, &[0; 64], 0);
    assert_eq!(serve(&dir).0, 3);
    let (code, out, _) = run(maasl(dir.path(), &["doctor", "--json"]));
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    let checks = report["checks"].as_array().unwrap();
    let damage = checks
        .iter()
        .find(|check| check["check"] == "damage")
        .unwrap();
    assert!(
        damage["found"].as_str().unwrap().contains("maasl.db"),
        "{damage}"
    );
    assert!(damage["advice"].as_str().unwrap().contains("--repair"));
    let report = shown_json(dir.path(), &["doctor", "--repair"]);
    assert_eq!(report["ok"], true, "{report}");
    assert!(
        !report["repaired"].as_array().unwrap().is_empty(),
        "{report}"
    );
    let again = shown_json(dir.path(), &["doctor", "--repair"]);
    assert_eq!(again["repaired"], json!([]));
    let history = shown_json(dir.path(), &["history", "f"]);
    assert_eq!(
        history["versions"].as_array().unwrap().len(),
        2,
        "{history}"
    );
    let out = shown(dir.path(), &["restore", "f", "--version", "1"]);
    assert!(out.contains("version 1 restored as version 3"), "{out}");
    let mut b = Server::start(dir.path(), "b");
    b.ok("read_file", json!({ "path": "f" }));
    let token = write(&mut b, "three\n")["fencing_token"].as_u64();
    assert!(token > newest, "{token:?} after {newest:?}");
    b.close();
    let quarantined = fs::read_dir(state(&dir, "quarantine")).unwrap().count();
    assert_eq!(quarantined, 1);
}

#[test]
fn nothing_is_repaired_under_a_running_server() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    write(&mut a, "one\n");
    fs::write(state(&dir, "latch/left-over"), "").unwrap();
    let (code, _, err) = run(maasl(dir.path(), &["doctor", "--repair"]));
    assert_eq!(code, 1, "{err}");
    assert!(err.contains(&a.pid().to_string()), "{err}");
    assert!(state(&dir, "latch/left-over").exists());
    write(&mut a, "two\n");
    a.close();
    shown(dir.path(), &["doctor", "--repair"]);
    assert!(!state(&dir, "latch/left-over").exists());
}
