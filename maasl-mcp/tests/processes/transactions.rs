//! Transactions across files, a database, documents and a graph: real servers that die or
//! stand still at every step.
//!
//! Whoever comes next finds all of it or nothing, and asked again it happens once.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::databases::{prepared, rows};
use crate::harness::{PATIENCE, Server};
use crate::observe::{leased, sha256, tree};

/// Every kind of step of such a call that leaves anything behind or is under its
/// latches.
const STEPS: [&str; 17] = [
    "acquire",
    "docgen_lock",
    "hash",
    "stage",
    "sync_staged",
    "latch",
    "db_begin",
    "db_execute",
    "begin_commit",
    "swap",
    "db_fence",
    "db_commit",
    "keep",
    "sync_names",
    "finish_commit",
    "unlatch",
    "docgen_unlock",
];

/// Leases run out and latches are given up soon.
const HASTY: &str = "[maasl.resource.IDEMP_DOCS]\nlease_ttl_sec = 0.3\n\
    [maasl.limits]\nlatch_wait_ms = 100\n";

/// Changes one file, removes another, adds a row, and documents what the first
/// becomes.
fn transaction(folder: &str) -> Value {
    let a = json!({ "op": "write", "path": format!("{folder}/a.py"), "content": "new\n",
                    "base_sha256": sha256("old\n") });
    let b = json!({ "op": "delete", "path": format!("{folder}/b"),
                    "base_sha256": sha256("old b\n") });
    json!({
        "changes": [a, b],
        "database": { "db": "main", "statements": [
            { "sql": "INSERT INTO t VALUES (?1, 1)", "params": [folder] },
        ]},
        "documents": [{ "path": format!("{folder}/a.py"), "content": "It says new." }],
        "graph": { "nodes_to_add": [{ "id": folder }] },
        "idempotency_key": folder,
        "max_wait_ms": 5_000,
    })
}

fn prepare(server: &mut Server, folder: &str) {
    for (name, content) in [("a.py", "old\n"), ("b", "old b\n")] {
        let path = format!("{folder}/{name}");
        server.ok("write_file", json!({ "path": path, "content": content }));
    }
}

/// What there is of a folder: its files, its document, its rows.
type State = (BTreeMap<String, String>, Option<String>, usize);

fn state(root: &Path, folder: &str) -> State {
    let document = root.join(format!("DOCS/REPODOCS/{folder}/a.py.md"));
    let rows = rows(root).iter().filter(|(who, _)| who == folder).count();
    let files = tree(&root.join(folder));
    (files, std::fs::read_to_string(document).ok(), rows)
}

fn before() -> State {
    let files = [("a.py", "old\n"), ("b", "old b\n")];
    (owned(&files), None, 0)
}

fn after() -> State {
    let document = format!("<!-- SHA256: {} -->\n\nIt says new.\n", sha256("new\n"));
    (owned(&[("a.py", "new\n")]), Some(document), 1)
}

fn owned(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    let files = files.iter();
    let files = files.map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
    files.collect()
}

/// Whether the graph shows the node of a folder.
fn shows(server: &mut Server, folder: &str) -> bool {
    let shown = server.ok("graph_query", json!({ "node": folder, "depth": 0 }));
    shown["nodes"][0]["id"] == folder
}

/// Reads and leases everything of a folder, which settles what was open.
fn touch_all(heir: &mut Server, folder: &str) {
    let paths = [
        format!("{folder}/a.py"),
        format!("{folder}/b"),
        format!("DOCS/REPODOCS/{folder}/a.py.md"),
    ];
    for path in &paths {
        heir.call("read_file", json!({ "path": path }));
    }
    let files = paths.iter().map(|path| json!({ "id": path }));
    let database = json!({ "id": "main", "class": "CRIT_DB" });
    let resources: Vec<Value> = files.chain([database]).collect();
    let held = heir.ok(
        "lease_acquire",
        json!({ "resources": resources, "max_wait_ms": 5_000 }),
    );
    heir.ok("lease_release", json!({ "lease": held["lease"] }));
}

#[test]
fn everything_takes_effect_under_one_token() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    prepare(&mut server, "f");
    let done = server.ok("transaction", transaction("f"));
    assert_eq!(done["files"][0]["sha256"], sha256("new\n"));
    assert_eq!(done["files"][1]["op"], "delete");
    assert_eq!(done["database"]["rows_affected"], 1);
    assert_eq!(done["documents"][0]["status"], "generated");
    assert_eq!(done["graph"]["nodes_added"], 1);
    assert!(shows(&mut server, "f"));
    assert_eq!(done["documents"][0]["sha256"], sha256("new\n"));
    assert_eq!(state(dir.path(), "f"), after());
    let again = server.ok("transaction", transaction("f"));
    assert_eq!(again["fencing_token"], done["fencing_token"]);
    assert_eq!(state(dir.path(), "f"), after());
    let stats = server.ok("llmc_stomp_stats", json!({}));
    assert_eq!(stats["docgen_operations"]["generated"], 1);
}

#[test]
fn if_one_part_is_refused_nothing_has_happened() {
    let dir = prepared("");
    let mut server = Server::start(dir.path(), "a");
    prepare(&mut server, "f");
    let refused = |server: &mut Server, change: fn(&mut Value), code: &str| {
        let mut asked = transaction("f");
        change(&mut asked);
        let error = server.refused("transaction", asked, code);
        assert_eq!(state(dir.path(), "f"), before(), "{error}");
        assert!(!shows(server, "f"), "{error}");
        error
    };
    let error = refused(
        &mut server,
        |asked| asked["database"]["statements"][0]["sql"] = json!("INSERT INTO nothing VALUES (1)"),
        "invalid_request",
    );
    assert_eq!(error["field"], "database.statements[0]", "{error}");
    refused(
        &mut server,
        |asked| asked["changes"][0]["base_sha256"] = json!(sha256("other")),
        "stale_version",
    );
    refused(
        &mut server,
        |asked| asked["documents"][0]["source_sha256"] = json!(sha256("old\n")),
        "docgen_stale",
    );
}

#[test]
fn a_transaction_killed_at_any_step_is_whole_or_not_there() {
    let dir = prepared("");
    let mut heir = Server::start(dir.path(), "heir");
    let (mut points, mut whole) = (0, 0);
    for step in STEPS {
        for side in ["before", "after"] {
            let mut time = 1;
            while let Some(found) = die(dir.path(), &mut heir, side, step, time) {
                points += 1;
                whole += usize::from(found == after());
                time += 1;
            }
            assert!(time > 1, "{side} {step} was never reached");
        }
    }
    assert!(points > 40 && whole > 10, "{whole} of {points}");
    assert_eq!(leased(&mut heir), Vec::<Value>::new());
}

/// Kills a server at a step; what the next one finds. Nothing if the call does not
/// get that far.
fn die(root: &Path, heir: &mut Server, side: &str, step: &str, time: usize) -> Option<State> {
    let folder = format!("{side}-{step}-{time}");
    prepare(heir, &folder);
    let fault = format!("kill@{side}:{step}:{time}");
    let mut victim = Server::with_env(root, "victim", &[("MAASL_FAULT", &fault)]);
    let id = victim.send("transaction", transaction(&folder));
    if victim.result_within(id, PATIENCE).is_some() {
        victim.close();
        return None;
    }
    victim.wait_dead();
    touch_all(heir, &folder);
    let found = state(root, &folder);
    assert!(found == before() || found == after(), "{fault}: {found:?}");
    assert_eq!(shows(heir, &folder), found == after(), "{fault}");
    let again = heir.ok("transaction", transaction(&folder));
    assert_eq!(state(root, &folder), after(), "{fault}: {again}");
    assert!(shows(heir, &folder), "{fault}");
    Some(found)
}

#[test]
fn a_transaction_stopped_beyond_its_lease_is_whole_or_refused() {
    for (step, side) in [
        ("latch", "before"),
        ("db_execute", "after"),
        ("begin_commit", "before"),
        ("begin_commit", "after"),
        ("swap", "after"),
        ("db_commit", "before"),
        ("db_commit", "after"),
        ("finish_commit", "after"),
    ] {
        let when = format!("{side} {step}");
        let dir = prepared(HASTY);
        let mut b = Server::start(dir.path(), "b");
        prepare(&mut b, "f");
        let fault = format!("stop@{side}:{step}");
        let mut a = Server::with_env(dir.path(), "a", &[("MAASL_FAULT", &fault)]);
        let id = a.send("transaction", transaction("f"));
        a.wait_stopped();
        // Whoever can write the database now has a newer token.
        let row = json!({ "db": "main", "max_wait_ms": 1_500, "statements": [
            { "sql": "INSERT INTO t VALUES ('b', 1)" },
        ]});
        let by_b = b.call("db_write", row);
        a.go_on();
        let by_a = a.result(id);
        let done = by_a["ok"] == true;
        let expected = if done { after() } else { before() };
        assert_eq!(state(dir.path(), "f"), expected, "{when}: {by_a} {by_b}");
        assert_eq!(shows(&mut b, "f"), done, "{when}: {by_a} {by_b}");
        let bs = rows(dir.path())
            .iter()
            .filter(|(who, _)| who == "b")
            .count();
        assert_eq!(bs, usize::from(by_b["ok"] == true), "{when}: {by_a} {by_b}");
    }
}
