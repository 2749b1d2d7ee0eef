//! What statements may not do to the server that runs them: bring code of their own,
//! overflow its stack, or keep its other calls waiting.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{prepared, row, rows, sql};
use crate::facts::until;
use crate::harness::Server;
use crate::observe::leased;

/// Writes nothing and does not end.
const ENDLESS: &str = "INSERT INTO t \
     WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) \
     SELECT 'x', n FROM c WHERE n < 0";

/// One statement with parameters.
fn with(statement: &str, params: Value) -> Value {
    json!({ "db": "main", "statements": [{ "sql": statement, "params": params }] })
}

#[test]
fn no_statement_gives_or_learns_an_address() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    let address = json!({ "base64": "QUFBQUFBQUE=" });
    for (statement, params) in [
        (
            "INSERT INTO t (who) SELECT fts3_tokenizer('simple', ?1)",
            json!([address]),
        ),
        (
            "INSERT INTO t (who) SELECT hex(FTS3_Tokenizer(?1))",
            json!(["simple"]),
        ),
        (
            "DELETE FROM t WHERE \"fts3_tokenizer\"('simple', :a) IS NULL",
            json!({ "a": address }),
        ),
    ] {
        let error = server.refused("db_write", with(statement, params), "invalid_request");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("code"), "{statement}: {message}");
    }
    let table = "CREATE VIRTUAL TABLE x USING fts3 (a, tokenize=porter)";
    server.ok("db_write", sql(&[table, "INSERT INTO x VALUES ('leases')"]));
    let found = "INSERT INTO t SELECT a, 1 FROM x WHERE x MATCH 'lease'";
    server.ok("db_write", sql(&[found]));
    assert_eq!(rows(dir.path()), [("leases".to_owned(), 1)]);
    server.close();
}

#[test]
fn no_pattern_overflows_the_stack() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    let text = "a".repeat(30_000);
    for (operator, part) in [("LIKE", "%a"), ("GLOB", "*a")] {
        let statement = format!("INSERT INTO t (n) SELECT ?1 {operator} ?2");
        let long = json!([text, part.repeat(24_999)]);
        let error = server.refused("db_write", with(&statement, long), "invalid_request");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("too complex"), "{message}");
        let write = with(&statement, json!([text, part.repeat(500)]));
        server.ok("db_write", write);
    }
    server.close();
}

/// Each trigger sets off the next, and is prepared inside the one before.
#[test]
fn no_chain_of_triggers_overflows_the_stack() {
    let dir = prepared("[maasl.limits]\nmax_statements = 10000\n");
    let mut server = Server::start(dir.path(), "a");
    let deep = format!("new.n{}", " + 1".repeat(900));
    let tables = (0..=600).map(|at| format!("CREATE TABLE c{at} (n)"));
    let triggers = (0..600).map(|at| {
        let next = at + 1;
        format!(
            "CREATE TRIGGER g{at} AFTER INSERT ON c{at} \
             BEGIN INSERT INTO c{next} VALUES ({deep}); END"
        )
    });
    let made: Vec<String> = tables.chain(triggers).collect();
    let made: Vec<&str> = made.iter().map(String::as_str).collect();
    server.ok("db_write", sql(&made));
    let set_off = sql(&["INSERT INTO c0 VALUES (1)"]);
    let error = server.refused("db_write", set_off, "invalid_request");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("too deep"), "{message}");
    server.ok("db_write", sql(&["INSERT INTO c101 VALUES (1)"]));
    server.close();
}

#[test]
fn a_long_statement_leaves_other_calls_alone_and_ends_when_it_is_cancelled() {
    // So long that nothing but cancelling ends it.
    let dir = prepared("[maasl.limits]\nstatement_ms = 3600000\n");
    let (mut server, mut other) = (
        Server::start(dir.path(), "a"),
        Server::start(dir.path(), "b"),
    );
    let id = server.send("db_write", sql(&[ENDLESS]));
    until("it is under way", || !leased(&mut other).is_empty());
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(1) {
        let held = server.ok("llmc_locks", json!({}));
        assert_eq!(held["count"], 1, "it is still under way: {held}");
    }
    server.notify("notifications/cancelled", &json!({ "requestId": id }));
    until("the lease is returned", || leased(&mut other).is_empty());
    server.ok("db_write", row("x", 1));
    assert_eq!(rows(dir.path()), [("x".to_owned(), 1)]);
    server.close();
}

#[test]
fn a_server_whose_client_goes_ends_its_statements() {
    let dir = prepared("[maasl.limits]\nstatement_ms = 3600000\n");
    let (mut server, mut other) = (
        Server::start(dir.path(), "a"),
        Server::start(dir.path(), "b"),
    );
    server.send("db_write", sql(&[ENDLESS]));
    until("it is under way", || !leased(&mut other).is_empty());
    server.close();
    assert!(leased(&mut other).is_empty());
    other.ok("db_write", row("x", 1));
}
