//! One database and many writers: real processes, real SQLite.
//!
//! What is refused has changed nothing; databases of others are not damaged.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Server, repository};

mod held;
mod unruly;

/// A database called `main`.
pub(crate) const MAIN: &str = "[maasl.db.main]\npath = \"main.db\"\n";

/// A repository with a table to write to.
pub(crate) fn prepared(config: &str) -> tempfile::TempDir {
    // With leases as usual: making the table is not what is tested.
    let dir = repository(MAIN);
    let mut server = Server::start(dir.path(), "maker");
    server.ok("db_write", sql(&["CREATE TABLE t (who TEXT, n INTEGER)"]));
    server.close();
    let config = format!("{config}{MAIN}");
    std::fs::write(dir.path().join("maasl.toml"), config).unwrap();
    dir
}

/// A write of these statements.
pub(crate) fn sql(statements: &[&str]) -> Value {
    let statements = statements.iter().map(|sql| json!({ "sql": sql }));
    json!({ "db": "main", "statements": statements.collect::<Vec<_>>() })
}

/// A write of one row under a key of its own.
pub(crate) fn row(who: &str, n: u64) -> Value {
    json!({
        "db": "main",
        "statements": [{ "sql": "INSERT INTO t VALUES (?1, ?2)", "params": [who, n] }],
        "idempotency_key": format!("{who}-{n}"),
        "max_wait_ms": 10_000,
    })
}

/// The rows of the table in `main`, in order.
pub(crate) fn rows(root: &Path) -> Vec<(String, u64)> {
    rows_of(&Connection::open(root.join("main.db")).unwrap())
}

/// The rows of the table in a database, which is sound, in order.
pub(crate) fn rows_of(db: &Connection) -> Vec<(String, u64)> {
    let ok: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(ok, "ok");
    let mut read = db
        .prepare("SELECT who, n FROM t ORDER BY who, n, rowid")
        .unwrap();
    let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn values_of_every_kind_come_back_as_they_were() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    let written = server.ok(
        "db_write",
        json!({ "db": "main", "statements": [
            { "sql": "CREATE TABLE v (a, b, c, d, e)" },
            { "sql": "INSERT INTO v VALUES (?1, ?2, ?3, ?4, ?5)",
              "params": [null, i64::MIN, 0.1, "é", { "base64": "AP8=" }] },
            { "sql": "INSERT INTO v (a) VALUES (:x), (:y)", "params": { ":x": 1, "y": 2 } },
            { "sql": "UPDATE v SET b = 0 WHERE a > 0" },
        ]}),
    );
    assert_eq!(written["rows_affected"], 5);
    assert_eq!(written["last_insert_rowid"], 3);
    assert!(written["fencing_token"].as_u64() > Some(0));
    let db = Connection::open(dir.path().join("main.db")).unwrap();
    let kinds: String = db
        .query_row(
            "SELECT typeof(a) || typeof(b) || typeof(c) || typeof(d) || typeof(e) FROM v",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(kinds, "nullintegerrealtextblob");
    let stats = server.ok("llmc_stomp_stats", json!({}));
    assert_eq!(stats["db_writes"], json!({ "success": 2, "failed": 0 }));
}

#[test]
fn what_a_caller_may_not_do_is_refused_and_changes_nothing() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    for (statement, part) in [
        ("BEGIN", "transaction"),
        ("COMMIT", "transaction"),
        ("END", "transaction"),
        ("ROLLBACK", "transaction"),
        ("SAVEPOINT x", "transaction"),
        ("ATTACH 'other.db' AS other", "another database"),
        ("VACUUM INTO 'copy.db'", ""),
        ("VACUUM", ""),
        ("DETACH main", "another database"),
        ("PRAGMA journal_mode = OFF", "safety"),
        ("PRAGMA synchronous = OFF", "safety"),
        ("PRAGMA writable_schema = ON", "safety"),
        ("PRAGMA foreign_keys = OFF", "safety"),
        ("INSERT INTO t VALUES ('x', 1); DELETE FROM t", "Multiple"),
        ("UPDATE maasl_fence SET token = 0", "MAASL's own"),
        ("DROP TABLE maasl_answer", "MAASL's own"),
        ("DELETE FROM \"MAASL_ANSWER\"", "MAASL's own"),
        (
            "CREATE TRIGGER x AFTER INSERT ON maasl_fence BEGIN SELECT 1; END",
            "MAASL's own",
        ),
        (
            "CREATE TRIGGER x AFTER INSERT ON t BEGIN DELETE FROM maasl_fence; END; INSERT INTO t VALUES ('x', 1)",
            "",
        ),
        ("CREATE INDEX maasl_x ON t (n)", "MAASL's own"),
        (
            "CREATE TRIGGER Maasl_x AFTER INSERT ON t BEGIN SELECT 1; END",
            "MAASL's own",
        ),
        ("CREATE TEMP TABLE t (who, n)", "temporary"),
        ("CREATE TABLE temp.t (who, n)", "temporary"),
        ("CREATE TABLE temp.x AS SELECT 1", "temporary"),
        ("CREATE VIEW temp.x AS SELECT 1", "temporary"),
        ("CREATE INDEX temp.x ON t (n)", ""),
        (
            "CREATE VIRTUAL TABLE temp.t USING fts5 (who, n)",
            "temporary",
        ),
        ("CREATE TEMP VIEW t AS SELECT 1", "temporary"),
        (
            "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
            "temporary",
        ),
        ("SELECT 1 \u{0} FROM nowhere", "NUL"),
        ("SELECT load_extension('x')", ""),
        ("INSERT INTO t VALUES (?1, ?2)", "parameter"),
        ("INSERT INTO nowhere VALUES (1)", "nowhere"),
        ("", ""),
        ("not sql", "syntax"),
    ] {
        // A good statement before it is rolled back with it.
        let write = sql(&["INSERT INTO t VALUES ('good', 1)", statement]);
        let error = server.refused("db_write", write, "invalid_request");
        assert_eq!(error["field"], "statements[1]", "{statement}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(part), "{statement}: {message}");
    }
    assert_eq!(rows(dir.path()), []);
    assert!(!dir.path().join("copy.db").exists());
    let unknown = json!({ "db": "other", "statements": [{ "sql": "SELECT 1" }] });
    let error = server.refused("db_write", unknown, "invalid_request");
    assert!(
        error["hint"].as_str().unwrap().contains("main, rag"),
        "{error}"
    );
    server.ok("db_write", sql(&["INSERT INTO t VALUES ('good', 1)"]));
}

#[test]
fn a_trigger_that_was_there_before_may_not_touch_the_guards_tables() {
    let dir = prepared("");
    let db = Connection::open(dir.path().join("main.db")).unwrap();
    db.execute_batch(
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN UPDATE maasl_fence SET token = 0; END",
    )
    .unwrap();
    let mut server = Server::start(dir.path(), "a");
    let write = sql(&["INSERT INTO t VALUES ('x', 1)"]);
    server.refused("db_write", write, "invalid_request");
    assert_eq!(rows(dir.path()), []);
}

#[test]
fn a_key_gives_the_same_answer_and_one_effect() {
    let dir = prepared("");
    let (mut a, mut b) = (
        Server::start(dir.path(), "a"),
        Server::start(dir.path(), "b"),
    );
    let first = a.ok("db_write", row("x", 1));
    assert_eq!(b.ok("db_write", row("x", 1)), first);
    let other = json!({ "db": "main", "statements": [{ "sql": "DELETE FROM t" }],
        "idempotency_key": "x-1" });
    b.refused("db_write", other, "idempotency_mismatch");
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
}

#[test]
fn a_foreign_writer_is_waited_for_and_then_told_as_such() {
    let dir = prepared("");
    let foreign = Connection::open(dir.path().join("main.db")).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut server = Server::start(dir.path(), "a");
    let mut write = row("x", 1);
    write["max_wait_ms"] = json!(200);
    let error = server.refused("db_write", write, "db_busy");
    assert_eq!(error["foreign_writer"], true, "{error}");
    assert!(error["waited_ms"].as_u64() >= Some(150), "{error}");
    // It is waited for within the budget.
    let id = server.send("db_write", row("x", 1));
    foreign.execute_batch("COMMIT").unwrap();
    assert_eq!(server.result(id)["ok"], true);
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
}

#[test]
fn a_holder_is_named_when_the_budget_is_spent() {
    let dir = prepared("");
    let (mut a, mut b) = (
        Server::start(dir.path(), "a"),
        Server::start(dir.path(), "b"),
    );
    let want = json!({ "resources": [{ "id": "main", "class": "CRIT_DB" }], "intent": "moving" });
    let lease = a.ok("lease_acquire", want);
    let mut write = row("x", 1);
    write["max_wait_ms"] = json!(100);
    let error = b.refused("db_write", write.clone(), "db_busy");
    assert_eq!(error["holder"]["agent"], "a", "{error}");
    assert_eq!(error["db"], "main");
    write["lease"] = lease["lease"].clone();
    a.ok("db_write", write);
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
}

#[test]
fn files_that_are_no_usable_database_are_refused_and_stay_as_they_are() {
    let dir = prepared("");
    let path = dir.path().join("main.db");
    let write = || sql(&["INSERT INTO t VALUES ('x', 1)"]);
    let mut server = Server::start(dir.path(), "a");
    std::fs::remove_file(&path).unwrap();
    for length in [1, 511, 512, 10_000] {
        let text = "x".repeat(length);
        std::fs::write(&path, &text).unwrap();
        let error = server.refused("db_write", write(), "internal");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("no SQLite database"), "{message}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("elsewhere.db", &path).unwrap();
    let error = server.refused("db_write", write(), "invalid_request");
    assert!(error["message"].as_str().unwrap().contains("symbolic link"));
    assert!(!dir.path().join("elsewhere.db").exists());
    std::fs::remove_file(&path).unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign
        .execute_batch("CREATE TABLE maasl_fence (x TEXT); CREATE TABLE maasl_answer (y)")
        .unwrap();
    let error = server.refused("db_write", write(), "internal");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("maasl_fence"), "{message}");
}

#[test]
fn a_database_of_llmc_keeps_its_tables_and_its_journal_mode() {
    let dir = repository("");
    std::fs::create_dir(dir.path().join(".llmc")).unwrap();
    let path = dir.path().join(".llmc/index_v2.db");
    let llmc = Connection::open(&path).unwrap();
    llmc.execute_batch(
        "CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL);
         CREATE TABLE llmc_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
         INSERT INTO files (path) VALUES ('a.py');
         PRAGMA user_version = 8;",
    )
    .unwrap();
    let mut server = Server::start(dir.path(), "a");
    let write = json!({ "db": "rag", "statements": [
        { "sql": "INSERT INTO files (path) VALUES ('b.py')" }] });
    server.ok("db_write", write);
    let count: u64 = llmc
        .query_row("SELECT count(*) FROM files", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, 2);
    let mode: String = llmc
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "delete");
    let version: u32 = llmc
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 8);
    // The file tools leave it alone.
    let read = json!({ "path": ".llmc/index_v2.db" });
    server.refused("read_file", read, "invalid_request");
}

#[test]
fn descriptions_are_found_and_told_apart_from_old_ones() {
    let dir = repository("");
    let source = dir.path().join("a.rs");
    std::fs::write(&source, "fn one() {}\nfn two() {}\n").unwrap();
    let mut server = Server::start(dir.path(), "a");
    let none = server.ok("rag_search", json!({ "query": "anything" }));
    assert_eq!(none["matches"], json!([]));
    let span = |line: u64, summary: &str| {
        json!({ "path": "./a.rs", "start_line": line,
        "end_line": line, "summary": summary, "tags": ["leases", "x"] })
    };
    let mut stale = span(1, "describes something else");
    stale["span_sha256"] = json!("0".repeat(64));
    let spans = json!([span(1, "takes a lease"), span(2, "returns it"), stale]);
    let told = server.ok("rag_enrich", json!({ "spans": spans }));
    assert_eq!(told["enriched"], 2);
    assert_eq!(told["skipped"][0]["reason"], "changed");
    let found = server.ok("rag_search", json!({ "query": "TAK lease" }));
    assert_eq!(found["matches"][0]["path"], "a.rs");
    assert_eq!(found["matches"][0]["is_current"], true);
    assert_eq!(found["matches"].as_array().unwrap().len(), 1, "{found}");
    // Described anew, it is found by the new words alone.
    let again = json!({ "spans": [span(1, "acquires one")] });
    server.ok("rag_enrich", again);
    let old = server.ok("rag_search", json!({ "query": "takes" }));
    assert_eq!(old["matches"], json!([]));
    std::fs::write(&source, "fn uno() {}\nfn two() {}\n").unwrap();
    let both = server.ok("rag_search", json!({ "query": "leases" }));
    let current = both["matches"].as_array().unwrap().iter();
    let current: Vec<_> = current
        .map(|one| (&one["start_line"], &one["is_current"]))
        .collect();
    assert!(current.contains(&(&json!(1), &json!(false))), "{both}");
    assert!(current.contains(&(&json!(2), &json!(true))), "{both}");
}

#[test]
fn statements_that_run_for_too_long_are_ended() {
    let dir = prepared("[maasl.limits]\nstatement_ms = 100\n");
    let mut server = Server::start(dir.path(), "a");
    let endless = "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) \
                   SELECT 'x', n FROM c WHERE n < 0";
    let error = server.refused("db_write", sql(&[endless]), "invalid_request");
    assert!(
        error["hint"].as_str().unwrap().contains("statement_ms"),
        "{error}"
    );
    server.ok("db_write", row("x", 1));
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
}
