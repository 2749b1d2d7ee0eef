//! Stores that are upgraded, damaged and mended under real servers.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rusqlite::ErrorCode;
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
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

/// A repair that stopped at a step; one that a failed test leaves is killed.
struct Repair(Child);

impl Repair {
    fn stopped(dir: &TempDir, step: &str) -> Self {
        let mut command = maasl(dir.path(), &["doctor", "--repair"]);
        command.env("MAASL_FAULT", format!("stop@{step}"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let repair = Self(command.spawn().unwrap());
        // Its end is noticed as well, and left for whoever waits for it.
        let either = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&repair.0)), either).unwrap();
        assert!(status.unwrap().stopped(), "{step} was never reached");
        repair
    }

    /// Lets it go on to its end; its exit code.
    fn go_on(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::CONT).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Repair {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this process, which is another one, gets a lock on the database.
fn can_lock(dir: &TempDir) -> bool {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(state(dir, "maasl.db"))
        .unwrap();
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => true,
        Err(Errno::AGAIN | Errno::ACCESS) => false,
        Err(error) => panic!("{error}"),
    }
}

/// What SQLite tells this process when it looks into the database.
fn refusal_of_sqlite(dir: &TempDir) -> Option<ErrorCode> {
    let db = rusqlite::Connection::open(state(dir, "maasl.db")).unwrap();
    db.busy_timeout(Duration::ZERO).unwrap();
    let looked = db.query_row("SELECT count(*) FROM version", [], |_| Ok(()));
    looked.err()?.sqlite_error_code()
}

/// A repository with one change, and with a database whose beginning is gone.
fn damaged() -> TempDir {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    write(&mut a, "one\n");
    a.close();
    sql(&dir, "PRAGMA wal_checkpoint(TRUNCATE)");
    overwrite(&dir, &[0; 64], 0);
    dir
}

#[test]
fn nobody_gets_at_the_database_while_it_is_repaired() {
    for step in ["after:copy_store", "before:replace_store"] {
        let dir = damaged();
        let repair = Repair::stopped(&dir, step);
        assert!(!can_lock(&dir), "{step}");
        let refusal = refusal_of_sqlite(&dir);
        assert_eq!(refusal, Some(ErrorCode::DatabaseBusy), "{step}");
        assert_eq!(repair.go_on(), Some(0), "{step}");
        assert!(can_lock(&dir), "{step}");
        assert_eq!(refusal_of_sqlite(&dir), None, "{step}");
    }
}

#[test]
fn a_repair_that_dies_before_it_replaces_anything_is_done_by_the_next() {
    let dir = damaged();
    let before = fs::read(state(&dir, "maasl.db")).unwrap();
    let mut command = maasl(dir.path(), &["doctor", "--repair"]);
    command.env("MAASL_FAULT", "kill@before:replace_store");
    let ended = command.output().unwrap().status;
    assert_eq!(ended.code(), None, "it was killed");
    assert_eq!(fs::read(state(&dir, "maasl.db")).unwrap(), before);
    assert!(!state(&dir, "quarantine").exists());
    shown(dir.path(), &["doctor", "--repair"]);
    assert!(!state(&dir, "repair").exists());
    let history = shown_json(dir.path(), &["history", "f"]);
    assert_eq!(history["versions"][0]["agent"], "a");
}

#[test]
fn a_row_that_cannot_be_read_costs_that_row() {
    let last_hour = i64::MAX;
    for (harm, versions) in [
        (
            "INSERT INTO session VALUES ('x', '{\"id\":')".to_owned(),
            &[2, 1][..],
        ),
        (
            format!("UPDATE counter SET value = '{{' WHERE hour = {last_hour}"),
            &[2, 1][..],
        ),
        (
            "UPDATE version SET body = substr(body, 2) WHERE number = 1".to_owned(),
            &[2][..],
        ),
    ] {
        let dir = repository("");
        let mut a = Server::start(dir.path(), "a");
        write(&mut a, "one\n");
        let newest = write(&mut a, "two\n")["fencing_token"].as_u64();
        a.close();
        sql(&dir, &harm);
        // A start does not read the history.
        assert_eq!(serve(&dir).0 == 3, versions.len() == 2, "{harm}");
        let (code, out, _) = run(maasl(dir.path(), &["doctor", "--json"]));
        assert_eq!(code, 1, "{harm}: {out}");
        assert!(out.contains("rows that cannot be read"), "{harm}: {out}");
        let report = shown_json(dir.path(), &["doctor", "--repair"]);
        assert_eq!(report["ok"], true, "{harm}: {report}");
        let history = shown_json(dir.path(), &["history", "f"]);
        let history = history["versions"].as_array().unwrap();
        let numbers: Vec<_> = history.iter().map(|version| &version["version"]).collect();
        assert_eq!(numbers, versions, "{harm}");
        let mut b = Server::start(dir.path(), "b");
        b.ok("read_file", json!({ "path": "f" }));
        let token = write(&mut b, "three\n")["fencing_token"].as_u64();
        assert!(token > newest, "{harm}: {token:?} after {newest:?}");
        b.close();
    }
}

#[test]
fn a_graph_with_a_checkpoint_is_sound_and_carried_over() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    for id in ["one", "two"] {
        a.ok("graph_patch", json!({ "nodes_to_add": [{ "id": id }] }));
        // Of the first, a checkpoint is made; of the second, the patch is kept.
        if id == "one" {
            shown_json(dir.path(), &["graph", "compact"]);
        }
    }
    a.close();
    assert_eq!(shown_json(dir.path(), &["doctor"])["ok"], true);
    let before = shown_json(dir.path(), &["graph", "show"]);
    assert_eq!(before["nodes"].as_array().unwrap().len(), 2, "{before}");
    sql(&dir, "PRAGMA wal_checkpoint(TRUNCATE)");
    overwrite(&dir, &[0; 64], 0);
    shown(dir.path(), &["doctor", "--repair"]);
    assert_eq!(shown_json(dir.path(), &["graph", "show"]), before);
}
