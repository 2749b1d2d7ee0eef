//! In the place of LLMC: what its users have is read and honoured.
//!
//! One table, a row for each thing: its settings, its keys, what its tools answer,
//! its documents, its lock, its database and its environment. A row that does not
//! hold fails with its name.

use std::path::Path;

use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{row_of, run};
use crate::harness::Server;
use crate::observe::sha256;

/// Something that LLMC has, and what shows that we have it too.
type Row = (&'static str, fn());

const ROWS: &[Row] = &[
    ("llmc.toml: [maasl.resource.<CLASS>]", classes_are_tuned),
    (
        "llmc.toml: [maasl.\"resource.<CLASS>\"]",
        classes_are_tuned_under_one_key,
    ),
    ("llmc.toml: [maasl] enabled, mode, default_*", main_keys),
    (
        "llmc.toml: tables of others",
        tables_of_others_are_left_alone,
    ),
    (
        "llmc.toml: [docs.docgen] output_dir",
        documents_have_its_folder,
    ),
    ("llmc.toml: [docs.docgen.shell]", its_script_is_run),
    ("a script's JSON", a_script_is_told_what_it_reads),
    ("a script's SHA256 line", a_script_may_write_the_header),
    ("a script's NO-OP", a_script_may_decline),
    ("times of the four classes", classes_have_its_times),
    ("keys: code, db, graph, docgen", keys_are_written_as_its),
    ("llmc.locks", locks_are_shown_as_its),
    ("llmc.stomp_stats", statistics_are_shown_as_its),
    ("llmc.docgen_status", operations_are_shown_as_its),
    ("headers of documents", both_headers_are_read),
    ("places of documents", both_places_are_read),
    (".llmc/docgen.lock", its_lock_is_taken),
    (".llmc/index_v2.db", its_database_is_left_as_it_is),
    ("LLMC_TE_AGENT_ID, TE_AGENT_ID", agents_are_named_by_it),
];

#[test]
fn what_llmc_has_is_read_and_honoured() {
    let broken = ROWS.iter().filter(|(_, holds)| {
        let held = std::panic::catch_unwind(holds);
        held.is_err()
    });
    let broken: Vec<&str> = broken.map(|(theirs, _)| *theirs).collect();
    assert!(broken.is_empty(), "do not hold: {broken:?}");
}

const SOURCE: &str = "def f():\n    return 1\n";

fn place(llmc_toml: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    put(&dir, "llmc.toml", llmc_toml);
    put(&dir, "pkg/a.py", SOURCE);
    dir
}

fn put(dir: &TempDir, path: &str, content: &str) {
    let path = dir.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn want(id: &str, class: &str) -> Value {
    json!({ "resources": [{ "id": id, "class": class }] })
}

/// Lease, and waits of an interactive and a batch call, in milliseconds.
fn times(root: &Path, class: &str) -> [u64; 3] {
    let [mut a, mut b] = ["a", "b"].map(|name| Server::start(root, name));
    let granted = a.ok("lease_acquire", want("x", class));
    let mut allowed = |mode: &str| {
        let mut asked = want("x", class);
        asked["mode"] = mode.into();
        let busy = b.refused("lease_acquire", asked, "resource_busy");
        busy["allowed_ms"].as_u64().unwrap()
    };
    let [interactive, batch] = ["interactive", "batch"].map(&mut allowed);
    [
        granted["expires_in_ms"].as_u64().unwrap(),
        interactive,
        batch,
    ]
}

fn tuned(header: &str) {
    for class in ["CRIT_CODE", "CRIT_DB", "MERGE_META", "IDEMP_DOCS"] {
        let header = header.replace("CLASS", class);
        let dir = place(&format!(
            "{header}\nlease_ttl_sec = 7\ninteractive_max_wait_ms = 20\nbatch_max_wait_ms = 40\n"
        ));
        assert_eq!(times(dir.path(), class), [7_000, 20, 40], "{class}");
    }
}

fn classes_are_tuned() {
    tuned("[maasl.resource.CLASS]");
}

fn classes_are_tuned_under_one_key() {
    tuned("[maasl.\"resource.CLASS\"]");
}

fn main_keys() {
    let dir = place(
        "[maasl]\nenabled = true\nmode = \"enforce\"\ndefault_lease_ttl_sec = 9\n\
         default_interactive_max_wait_ms = 30\ndefault_batch_max_wait_ms = 50\n\
         [maasl.resource.MINE]\n",
    );
    assert_eq!(times(dir.path(), "MINE"), [9_000, 30, 50]);
}

fn tables_of_others_are_left_alone() {
    let dir = place(
        "[mcp]\nname = \"x\"\n[te]\nhandles_dir = \"/h\"\n[[routing.rules]]\nlease_ttl_sec = \"?\"\n\
         [docs.docgen]\nrequire_rag_fresh = true\n",
    );
    Server::start(dir.path(), "a").close();
}

const SCRIPT: &str = "[docs.docgen]\nenabled = true\nbackend = \"shell\"\n\
    [docs.docgen.shell]\nscript = \"scripts/make.sh\"\nargs = [\"one\"]\ntimeout_seconds = 30\n";

/// What comes of asking for the document of `pkg/a.py`, made by this script.
fn scripted(script: &str) -> (TempDir, Value) {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = place(SCRIPT);
    put(&dir, "scripts/make.sh", &format!("#!/bin/sh\n{script}\n"));
    let script = dir.path().join("scripts/make.sh");
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut a = Server::start(dir.path(), "a");
    let answer = a.call("docgen_file", json!({ "path": "pkg/a.py" }));
    (dir, answer)
}

fn document(dir: &TempDir) -> String {
    let path = dir.path().join("DOCS/REPODOCS/pkg/a.py.md");
    std::fs::read_to_string(path).unwrap_or_default()
}

fn documents_have_its_folder() {
    let dir = place("[docs.docgen]\noutput_dir = \"docs/api\"\n");
    let mut a = Server::start(dir.path(), "a");
    let answer = json!({ "path": "pkg/a.py", "content": "# a", "source_sha256": sha256(SOURCE) });
    let made = a.ok("docgen_file", answer);
    assert_eq!(made["doc_path"], "docs/api/pkg/a.py.md");
    let text = std::fs::read_to_string(dir.path().join("docs/api/pkg/a.py.md")).unwrap();
    let first = text.lines().next();
    assert_eq!(first, Some(&*format!("SHA256: {}", sha256(SOURCE))));
}

fn its_script_is_run() {
    let (dir, made) = scripted("cat >/dev/null; echo \"# made with $1\"");
    assert_eq!(made["status"], "generated", "{made}");
    assert!(document(&dir).ends_with("# made with one\n"));
}

fn a_script_is_told_what_it_reads() {
    let (dir, made) = scripted("echo '```'; cat");
    assert_eq!(made["status"], "generated", "{made}");
    let text = document(&dir);
    let (_, told) = text.split_once("```\n").unwrap();
    let told: Value = serde_json::from_str(told).unwrap();
    assert_eq!(told["relative_path"], "pkg/a.py");
    assert_eq!(told["file_sha256"], sha256(SOURCE));
    assert_eq!(told["source_contents"], SOURCE);
    assert!(told["repo_root"].is_string());
    for nothing in ["existing_doc_contents", "graph_context"] {
        assert!(told.get(nothing).is_some_and(Value::is_null), "{nothing}");
    }
}

fn a_script_may_write_the_header() {
    let header = format!("SHA256: {}", sha256(SOURCE));
    let (dir, made) = scripted(&format!("cat >/dev/null; echo '{header}'; echo '# a'"));
    assert_eq!(made["status"], "generated", "{made}");
    assert_eq!(document(&dir), format!("{header}\n\n# a\n"));
    let other = format!("SHA256: {}", sha256("else"));
    let (dir, refused) = scripted(&format!("cat >/dev/null; echo '{other}'; echo '# a'"));
    assert_eq!(refused["error"]["reason"], "unusable", "{refused}");
    assert_eq!(document(&dir), "");
}

fn a_script_may_decline() {
    let (dir, declined) = scripted("cat >/dev/null; echo 'NO-OP: nothing new'");
    assert_eq!(declined["error"]["code"], "docgen_failed", "{declined}");
    assert_eq!(declined["error"]["reason"], "declined");
    assert_eq!(document(&dir), "");
}

fn classes_have_its_times() {
    let dir = place("");
    for (class, times_of_class) in [
        ("CRIT_CODE", [30_000, 500, 3_000]),
        ("CRIT_DB", [60_000, 1_000, 10_000]),
        ("MERGE_META", [30_000, 500, 5_000]),
        ("IDEMP_DOCS", [120_000, 500, 5_000]),
    ] {
        // Waiting for the limits to pass is what the rows about settings do.
        let mut a = Server::start(dir.path(), "a");
        let granted = a.ok("lease_acquire", want(class, class));
        assert_eq!(granted["expires_in_ms"], times_of_class[0], "{class}");
        let policies = maasl_core::policy::PolicyRegistry::default();
        let policy = policies.get(class).unwrap();
        let waits = [policy.interactive_max_wait_ms, policy.batch_max_wait_ms];
        assert_eq!(waits, times_of_class[1..], "{class}");
    }
}

fn keys_are_written_as_its() {
    let dir = place("");
    let mut a = Server::start(dir.path(), "a");
    for (class, id, key) in [
        ("CRIT_CODE", "pkg/a.py", "code:pkg/a.py"),
        ("CRIT_DB", "rag", "db:rag"),
        ("MERGE_META", "main", "graph:main"),
        ("IDEMP_DOCS", "repo", "docgen:repo"),
    ] {
        a.ok("lease_acquire", want(id, class));
        let shown = a.ok("llmc.locks", json!({}));
        assert!(row_of(&shown, key).is_some(), "{key}: {shown}");
    }
}

/// A field and what it has to be.
type Field<'a> = (&'a str, fn(&Value) -> bool);

/// Fails unless every one of these fields is there and of this kind.
fn has(value: &Value, fields: &[Field]) {
    for (name, is_right) in fields {
        let field = value.get(name);
        assert!(field.is_some_and(is_right), "{name}: {value}");
    }
}

/// The one difference: an instant is text, as everywhere here, where LLMC counts
/// seconds since 1970.
fn is_instant(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.ends_with('Z'))
}

fn locks_are_shown_as_its() {
    let dir = place("");
    let mut a = Server::start(dir.path(), "a");
    a.ok("lease_acquire", want("x", "CRIT_CODE"));
    let shown = a.ok("llmc.locks", json!({}));
    assert_eq!(shown["count"], 1);
    has(&shown, &[("timestamp", is_instant)]);
    let fields: [Field; 7] = [
        ("resource_key", Value::is_string),
        ("holder_agent_id", Value::is_string),
        ("holder_session_id", Value::is_string),
        ("fencing_token", Value::is_u64),
        ("held_duration_ms", Value::is_number),
        ("ttl_remaining_sec", Value::is_number),
        ("is_expired", Value::is_boolean),
    ];
    has(&shown["locks"][0], &fields);
}

fn statistics_are_shown_as_its() {
    let dir = place("");
    let shown = Server::start(dir.path(), "a").ok("llmc.stomp_stats", json!({}));
    let numbers = [
        "lock_acquisitions",
        "lock_timeouts",
        "lock_releases",
        "graph_merges",
    ];
    for name in numbers.into_iter().chain(["uptime_seconds"]) {
        has(&shown, &[(name, Value::is_number)]);
    }
    for (name, parts) in [
        ("db_writes", &["success", "failed"][..]),
        ("docgen_operations", &["generated", "noop", "error"]),
        ("stomp_guard_calls", &["success", "failed"]),
    ] {
        for part in parts {
            has(&shown[name], &[(part, Value::is_u64)]);
        }
    }
}

fn operations_are_shown_as_its() {
    let (dir, _) = scripted("cat >/dev/null; echo '# a'");
    let shown = Server::start(dir.path(), "b").ok("llmc.docgen_status", json!({ "limit": 5 }));
    assert_eq!(shown["count"], 1);
    has(
        &shown,
        &[("buffer_size", Value::is_u64), ("timestamp", is_instant)],
    );
    let fields: [Field; 9] = [
        ("status", |status| status == "generated"),
        ("source_file", |file| file == "pkg/a.py"),
        ("doc_path", Value::is_string),
        ("hash", |hash| *hash == sha256(SOURCE)),
        ("duration_ms", Value::is_u64),
        ("error", Value::is_null),
        ("agent_id", Value::is_string),
        ("session_id", Value::is_string),
        ("timestamp", is_instant),
    ];
    has(&shown["operations"][0], &fields);
}

/// How the document of `pkg/a.py` is taken that LLMC left in this place.
fn found(place_of_document: &str, document: &str, others: &[&str]) -> String {
    let dir = place("");
    put(&dir, place_of_document, document);
    for other in others {
        put(&dir, other, "other\n");
    }
    let mut a = Server::start(dir.path(), "a");
    let answer = a.ok("docgen_file", json!({ "path": "pkg/a.py" }));
    answer["status"].as_str().unwrap().to_owned()
}

fn both_headers_are_read() {
    let (hash, stale) = (sha256(SOURCE), sha256("else"));
    for (header, status) in [
        (format!("SHA256: {hash}"), "noop"),
        (format!("<!-- SHA256: {hash} -->"), "noop"),
        (format!("SHA256: {stale}"), "needs_content"),
        (format!("<!-- SHA256: {stale} -->"), "needs_content"),
    ] {
        let document = format!("{header}\n# a\n");
        let taken = found("DOCS/REPODOCS/pkg/a.py.md", &document, &[]);
        assert_eq!(taken, status, "{header}");
    }
}

fn both_places_are_read() {
    let document = format!("<!-- SHA256: {} -->\n# a\n", sha256(SOURCE));
    let flat = "DOCS/REPODOCS/pkg_a.py.md";
    assert_eq!(found("DOCS/REPODOCS/pkg/a.py.md", &document, &[]), "noop");
    assert_eq!(found(flat, &document, &[]), "noop");
    let shared = found(flat, &document, &["pkg_a.py"]);
    assert_eq!(shared, "needs_content", "another source may claim it");
}

fn its_lock_is_taken() {
    let dir = place("");
    put(&dir, ".llmc/docgen.lock", "");
    let lock = std::fs::File::open(dir.path().join(".llmc/docgen.lock")).unwrap();
    lock.lock().unwrap();
    let mut a = Server::start(dir.path(), "a");
    let asked = json!({ "path": "pkg/a.py", "max_wait_ms": 30 });
    let busy = a.refused("docgen_file", asked.clone(), "resource_busy");
    assert_eq!(busy["resource"], ".llmc/docgen.lock");
    lock.unlock().unwrap();
    assert_eq!(a.ok("docgen_file", asked)["status"], "needs_content");
}

fn its_database_is_left_as_it_is() {
    let dir = place("");
    std::fs::create_dir(dir.path().join(".llmc")).unwrap();
    let path = dir.path().join(".llmc/index_v2.db");
    let theirs = Connection::open(&path).unwrap();
    theirs
        .execute_batch(
            "CREATE TABLE files (id INTEGER PRIMARY KEY, path TEXT, file_hash TEXT);
             INSERT INTO files VALUES (1, 'pkg/a.py', 'x');",
        )
        .unwrap();
    drop(theirs);
    let mut a = Server::start(dir.path(), "a");
    let span = json!({ "path": "pkg/a.py", "start_line": 1, "end_line": 2, "summary": "one" });
    assert_eq!(
        a.ok("rag_enrich", json!({ "spans": [span] }))["enriched"],
        1
    );
    let theirs = Connection::open(&path).unwrap();
    let row = theirs.query_row("SELECT id, path, file_hash FROM files", [], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    let row: (i64, String, String) = row.unwrap();
    assert_eq!(row, (1, "pkg/a.py".into(), "x".into()));
}

fn agents_are_named_by_it() {
    let dir = place("");
    let root = dir.path().to_str().unwrap();
    let locks = [
        env!("CARGO_BIN_EXE_maasl"),
        "locks",
        "--json",
        "--root",
        root,
    ];
    let arguments = [&["run", "--resource", "x", "--"][..], &locks].concat();
    for (set, named) in [
        (&[("TE_AGENT_ID", "te")][..], "te"),
        (
            &[("TE_AGENT_ID", "te"), ("LLMC_TE_AGENT_ID", "llmc")],
            "llmc",
        ),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_maasl"));
        let (first, rest) = arguments.split_first().unwrap();
        command.arg(first).args(["--root", root]).args(rest);
        command.env_remove("MAASL_AGENT").envs(set.iter().copied());
        let (code, out, err) = run(command);
        assert_eq!(code, 0, "{err}");
        let shown: Value = serde_json::from_str(&out).unwrap();
        let held = row_of(&shown, "code:x").unwrap();
        assert_eq!(held["holder_agent_id"], named);
    }
}
