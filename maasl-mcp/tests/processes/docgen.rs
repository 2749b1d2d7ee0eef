//! Documents over real processes: one for each content of a source, however many
//! ask for it.

use serde_json::{Value, json};

use crate::harness::{Server, repository};
use crate::observe::{history, sha256, staged, tree};

const SOURCE: &str = "def f():\n    return 1\n";

/// The document of a source, as it is written by default.
fn document(source: &str, body: &str) -> String {
    format!("<!-- SHA256: {} -->\n\n{body}\n", sha256(source))
}

fn put(dir: &tempfile::TempDir, path: &str, content: &str) {
    let path = dir.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn text(dir: &tempfile::TempDir, path: &str) -> String {
    std::fs::read_to_string(dir.path().join(path)).unwrap()
}

/// How often operations on documents were generated, noop and error.
fn counted(server: &mut Server) -> [u64; 3] {
    let stats = server.ok("llmc_stomp_stats", json!({}));
    ["generated", "noop", "error"].map(|name| stats["docgen_operations"][name].as_u64().unwrap())
}

#[test]
fn an_agent_that_is_asked_for_content_writes_the_document_once() {
    let dir = repository("");
    put(&dir, "src/a.py", SOURCE);
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    let asked = a.ok("docgen_file", json!({ "path": "src/a.py" }));
    assert_eq!(asked["status"], "needs_content");
    assert_eq!(asked["source"], SOURCE);
    assert_eq!(asked["sha256"], sha256(SOURCE));
    let answer = json!({ "path": "src/a.py", "content": "# a", "source_sha256": asked["sha256"] });
    let made = a.ok("docgen_file", answer.clone());
    assert_eq!(made["status"], "generated");
    assert_eq!(made["doc_path"], "DOCS/REPODOCS/src/a.py.md");
    assert_eq!(
        text(&dir, "DOCS/REPODOCS/src/a.py.md"),
        document(SOURCE, "# a")
    );
    for server in [&mut a, &mut b] {
        assert_eq!(server.ok("docgen_file", answer.clone())["status"], "noop");
    }
    put(&dir, "src/a.py", "moved\n");
    let stale = b.refused("docgen_file", answer, "docgen_stale");
    assert_eq!(stale["path"], "src/a.py");
    assert_eq!(stale["expected_sha256"], sha256(SOURCE));
    assert_eq!(stale["current_sha256"], sha256("moved\n"));
    assert_eq!(
        text(&dir, "DOCS/REPODOCS/src/a.py.md"),
        document(SOURCE, "# a")
    );
    assert_eq!(counted(&mut b), [1, 2, 1]);
    assert_eq!(staged(dir.path()).1, 0);
}

#[test]
fn five_processes_that_ask_at_once_make_one_document() {
    let dir = repository("");
    put(&dir, "a.py", SOURCE);
    let names = ["a", "b", "c", "d", "e"];
    let mut servers = names.map(|name| Server::start(dir.path(), name));
    let calls: Vec<u64> = servers
        .iter_mut()
        .zip(names)
        .map(|(server, name)| {
            let content = format!("# by {name}");
            let asked = json!({
                "path": "a.py", "content": content, "source_sha256": sha256(SOURCE),
                "max_wait_ms": 30_000,
            });
            server.send("docgen_file", asked)
        })
        .collect();
    let results = servers.iter_mut().zip(calls);
    let results: Vec<Value> = results.map(|(server, id)| server.result(id)).collect();
    let mut writers = results.iter().zip(names);
    let of = |status: &str| {
        let with = results.iter().filter(|result| result["status"] == status);
        with.count()
    };
    assert_eq!((of("generated"), of("noop")), (1, 4), "{results:?}");
    let (_, writer) = writers
        .find(|(result, _)| result["status"] == "generated")
        .unwrap();
    let expected = document(SOURCE, &format!("# by {writer}"));
    assert_eq!(text(&dir, "DOCS/REPODOCS/a.py.md"), expected);
    let versions = history(&mut servers[0], "DOCS/REPODOCS/a.py.md");
    assert_eq!((versions.len(), &*versions[0].agent), (1, writer));
    assert_eq!(counted(&mut servers[0]), [1, 4, 0]);
}

#[test]
fn a_document_that_somebody_wrote_by_hand_is_kept() {
    let dir = repository("");
    put(&dir, "a.py", SOURCE);
    put(&dir, "DOCS/REPODOCS/a.py.md", "# By hand\n");
    let before = tree(dir.path());
    let mut a = Server::start(dir.path(), "a");
    let mut answer = json!({ "path": "a.py", "content": "# a", "source_sha256": sha256(SOURCE) });
    let refused = a.refused("docgen_file", answer.clone(), "docgen_unmarked");
    assert_eq!(refused["path"], "DOCS/REPODOCS/a.py.md");
    assert_eq!(tree(dir.path()), before);
    answer["replace_sha256"] = refused["current_sha256"].clone();
    let made = a.ok("docgen_file", answer);
    assert_eq!(made["previous_sha256"], sha256("# By hand\n"));
    let restored = json!({ "path": "DOCS/REPODOCS/a.py.md", "version": 1,
                           "base_sha256": made["document_sha256"] });
    a.ok("file_restore", restored);
    assert_eq!(tree(dir.path()), before, "what was displaced is kept");
}

#[test]
fn a_tool_that_holds_the_lock_of_the_other_tools_is_waited_for() {
    let dir = repository("");
    put(&dir, "a.py", SOURCE);
    put(&dir, ".llmc/docgen.lock", "");
    let lock = std::fs::File::open(dir.path().join(".llmc/docgen.lock")).unwrap();
    lock.lock().unwrap();
    let mut a = Server::start(dir.path(), "a");
    let answer = json!({ "path": "a.py", "content": "# a", "source_sha256": sha256(SOURCE),
                         "max_wait_ms": 60 });
    let busy = a.refused("docgen_file", answer.clone(), "resource_busy");
    assert_eq!(busy["resource"], ".llmc/docgen.lock");
    assert!(busy["waited_ms"].as_u64() >= Some(60), "{busy}");
    let mut patient = answer;
    patient["max_wait_ms"] = 30_000.into();
    let id = a.send("docgen_file", patient);
    lock.unlock().unwrap();
    assert_eq!(a.result(id)["status"], "generated");
    // It is free again, for those who have the file open.
    assert!(lock.try_lock().is_ok());
}

#[test]
fn the_lock_of_the_other_tools_is_not_made_through_a_link() {
    let dir = repository("");
    put(&dir, "a.py", SOURCE);
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join(".llmc")).unwrap();
    let mut a = Server::start(dir.path(), "a");
    let answer = json!({ "path": "a.py", "content": "# a", "source_sha256": sha256(SOURCE) });
    let refused = a.call("docgen_file", answer);
    assert!(refused.to_string().contains("symbolic link"), "{refused}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    a.close();
}

#[test]
fn the_log_of_operations_is_one_for_all_processes_and_survives_them() {
    let dir = repository("");
    put(&dir, "a.py", SOURCE);
    let answer = json!({ "path": "a.py", "content": "# a", "source_sha256": sha256(SOURCE) });
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    a.ok("docgen_file", answer.clone());
    b.ok("docgen_file", answer);
    let other = json!({ "path": "a.py", "content": "# a", "source_sha256": sha256("else") });
    put(&dir, "a.py", "moved\n");
    b.refused("docgen_file", other, "docgen_stale");
    let seen = a.ok("llmc_docgen_status", json!({}));
    a.kill();
    b.close();
    let mut c = Server::start(dir.path(), "c");
    let listed = c.ok("llmc.docgen_status", json!({ "limit": 2 }));
    assert_eq!((&seen["count"], &listed["count"]), (&json!(3), &json!(2)));
    let lines = seen["operations"].as_array().unwrap();
    let line = |n: usize| ["status", "agent_id", "source_file"].map(|name| &lines[n][name]);
    assert_eq!(line(0), ["error", "b", "a.py"]);
    assert_eq!(line(1), ["noop", "b", "a.py"]);
    assert_eq!(line(2), ["generated", "a", "a.py"]);
    assert_eq!(lines[2]["hash"], sha256(SOURCE));
    assert_eq!(lines[2]["doc_path"], "DOCS/REPODOCS/a.py.md");
    assert!(lines[0]["error"].as_str().unwrap().contains("changed"));
    assert_eq!(listed["operations"].as_array().unwrap()[..], lines[..2]);
}
