//! What holds of a guarded database whatever its schema and its readers do.

use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{MAIN, prepared, row, rows, sql};
use crate::facts::until;
use crate::harness::{Server, repository};

#[test]
fn names_of_the_guards_are_not_reached_by_renaming_or_by_foreign_keys() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    for (statement, part) in [
        ("ALTER TABLE mine RENAME TO maasl_x", "maasl_x"),
        (
            "CREATE TABLE child (id REFERENCES maasl_fence (id))",
            "foreign key",
        ),
        (
            "ALTER TABLE mine ADD COLUMN key REFERENCES MAASL_answer (key)",
            "foreign key",
        ),
    ] {
        let write = sql(&["CREATE TABLE mine (a)", statement]);
        let error = server.refused("db_write", write, "invalid_request");
        assert_eq!(error["field"], "statements", "{statement}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{statement}: {message}");
    }
    let renamed = sql(&["CREATE TABLE mine (a)", "ALTER TABLE mine RENAME TO yours"]);
    server.ok("db_write", renamed);
    server.ok("db_write", row("x", 1));
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
}

#[test]
fn a_foreign_trigger_on_the_guards_tables_does_not_run() {
    let dir = prepared("");
    let db = Connection::open(dir.path().join("main.db")).unwrap();
    db.execute_batch(
        "INSERT INTO t VALUES ('kept', 1);
         CREATE TRIGGER x AFTER UPDATE ON maasl_fence BEGIN DELETE FROM t; END",
    )
    .unwrap();
    let mut server = Server::start(dir.path(), "a");
    let error = server.refused("db_write", row("x", 1), "internal");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("trigger"), "{message}");
    assert_eq!(rows(dir.path()), [("kept".to_owned(), 1)]);
}

#[test]
fn a_reader_of_a_database_with_a_rollback_journal_is_waited_for_and_told() {
    let dir = repository(MAIN);
    let reader = Connection::open(dir.path().join("main.db")).unwrap();
    reader
        .execute_batch("CREATE TABLE t (who TEXT, n INTEGER)")
        .unwrap();
    let read = || {
        reader.execute_batch("BEGIN").unwrap();
        let count = reader.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u64>(0));
        assert_eq!(count.unwrap(), 0);
    };
    let mut server = Server::start(dir.path(), "a");
    read();
    let mut write = row("x", 1);
    write["max_wait_ms"] = json!(300);
    let error = server.refused("db_write", write, "db_busy");
    assert_eq!(error["foreign_writer"], true);
    reader.execute_batch("COMMIT").unwrap();
    read();
    let id = server.send("db_write", row("x", 1));
    // Long enough for the work to be done and the commit to be held up.
    std::thread::sleep(Duration::from_millis(500)); // tidy: earlier, it is not held up
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(server.result(id)["ok"], true);
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
}

#[test]
fn who_no_longer_wants_a_database_does_not_wait_for_it() {
    let dir = prepared("");
    let holder = Connection::open(dir.path().join("main.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (mut server, mut other) = (
        Server::start(dir.path(), "a"),
        Server::start(dir.path(), "b"),
    );
    let mut write = row("x", 1);
    write["max_wait_ms"] = json!(600_000);
    let id = server.send("db_write", write);
    let mut held_until = |held: bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while (other.ok("llmc_locks", json!({}))["count"] == 0) == held {
            assert!(Instant::now() < deadline, "waited for {held}");
        }
    };
    held_until(true);
    server.notify("notifications/cancelled", &json!({ "requestId": id }));
    held_until(false);
    holder.execute_batch("COMMIT").unwrap();
    server.ok("db_write", row("y", 2));
    assert_eq!(rows(dir.path()), [("y".to_owned(), 2)]);
}

#[test]
fn a_write_that_is_cancelled_ends_within_its_statement_and_leaves_nothing() {
    let dir = prepared("[maasl.limits]\nstatement_ms = 3600000\n");
    let watcher = Connection::open(dir.path().join("main.db")).unwrap();
    watcher.busy_timeout(Duration::ZERO).unwrap();
    let (mut server, mut other) = (
        Server::start(dir.path(), "a"),
        Server::start(dir.path(), "b"),
    );
    let mut endless = sql(&[
        "INSERT INTO t VALUES ('x', 1)",
        "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c",
    ]);
    endless["max_wait_ms"] = json!(10_000);
    let id = server.send("db_write", endless);
    until("a write that has begun", || {
        let begun = watcher.execute_batch("BEGIN IMMEDIATE");
        begun.is_err() || watcher.execute_batch("ROLLBACK").is_err()
    });
    server.notify("notifications/cancelled", &json!({ "requestId": id }));
    other.ok("db_write", row("y", 2));
    assert_eq!(rows(dir.path()), [("y".to_owned(), 2)]);
    server.close();
    other.close();
}

#[test]
fn a_deferred_foreign_key_that_is_broken_is_named_and_leaves_nothing() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    server.ok(
        "db_write",
        sql(&[
            "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
            "CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
        ]),
    );
    let broken = sql(&[
        "INSERT INTO child VALUES (1)",
        "INSERT INTO t VALUES ('x', 1)",
    ]);
    let error = server.refused("db_write", broken, "invalid_request");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("refer to rows which are not"), "{message}");
    assert_eq!(rows(dir.path()), []);
    let whole = sql(&[
        "INSERT INTO child VALUES (1)",
        "INSERT INTO parent VALUES (1)",
    ]);
    server.ok("db_write", whole);
}

#[test]
fn the_row_id_is_told_of_rows_that_were_inserted() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    server.ok(
        "db_write",
        sql(&[
            "CREATE TABLE k (id INTEGER PRIMARY KEY, name UNIQUE, n)",
            "CREATE TABLE w (a PRIMARY KEY) WITHOUT ROWID",
        ]),
    );
    let upsert = "INSERT INTO k (name, n) VALUES ('x', 1)
                  ON CONFLICT (name) DO UPDATE SET n = n + 1";
    for (statement, told) in [
        (upsert, json!(1)),
        (upsert, Value::Null),
        ("INSERT INTO w VALUES ('a')", Value::Null),
        ("INSERT OR IGNORE INTO k (name) VALUES ('x')", Value::Null),
        (
            "INSERT OR REPLACE INTO k (id, name) VALUES (1, 'y')",
            json!(1),
        ),
        ("INSERT INTO k (name) VALUES ('z')", json!(2)),
    ] {
        let written = server.ok("db_write", sql(&[statement]));
        assert_eq!(written["last_insert_rowid"], told, "{statement}");
    }
}
