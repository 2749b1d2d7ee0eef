//! The look at all documents of a repository: what it says is what `docgen_file`
//! would do, in every process.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::databases::{MAIN, row, rows, sql};
use crate::harness::{Server, repository};
use crate::observe::{sha256, tree};

const SOURCES: [&str; 4] = ["a.py", "deep/b.py", "deep/c.py", "own.py"];

fn place(source: &str) -> String {
    format!("DOCS/REPODOCS/{source}.md")
}

/// A repository with a document of each kind.
fn of_every_kind() -> tempfile::TempDir {
    let dir = repository("");
    let put = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for source in SOURCES {
        put(source, source);
    }
    put(&place("a.py"), &format!("SHA256: {}\n", sha256("a.py")));
    put(
        &place("deep/b.py"),
        &format!("<!-- SHA256: {} -->\n", sha256("old")),
    );
    put(&place("own.py"), "# By hand\n");
    put("notes.txt", "no source");
    put(".gitignore", "ignored/\n");
    put("ignored/d.py", "");
    dir
}

fn lists(checked: &Value) -> [&Value; 4] {
    ["fresh", "stale", "missing", "unmarked"].map(|name| &checked[name])
}

#[test]
fn a_check_says_what_would_be_done() {
    let dir = of_every_kind();
    let before = tree(dir.path());
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    for server in [&mut a, &mut b] {
        let checked = server.ok("docgen_check", json!({}));
        let expected = [
            json!(["a.py"]),
            json!(["deep/b.py"]),
            json!(["deep/c.py"]),
            json!(["own.py"]),
        ];
        assert_eq!(lists(&checked), expected.each_ref());
        assert_eq!(checked["counts"]["fresh"], 1);
        assert_eq!(checked["truncated"], false);
    }
    assert_eq!(tree(dir.path()), before, "it changes nothing");
    let asked = |server: &mut Server, path| server.call("docgen_file", json!({ "path": path }));
    assert_eq!(asked(&mut a, "a.py")["status"], "noop");
    for path in ["deep/b.py", "deep/c.py"] {
        assert_eq!(asked(&mut a, path)["status"], "needs_content");
    }
    assert_eq!(asked(&mut a, "own.py")["error"]["code"], "docgen_unmarked");
    for path in ["deep/b.py", "deep/c.py"] {
        let answer = json!({ "path": path, "content": "# x", "source_sha256": sha256(path) });
        a.ok("docgen_file", answer);
    }
    let checked = b.ok("docgen_check", json!({ "paths": ["deep"] }));
    assert_eq!(lists(&checked)[0], &json!(["deep/b.py", "deep/c.py"]));
    let cut = b.ok("docgen_check", json!({ "limit": 2 }));
    assert_eq!(cut["fresh"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&cut["counts"]["fresh"], &cut["truncated"]),
        (&json!(3), &json!(true))
    );
}

#[test]
fn what_a_check_remembers_can_be_lost_or_damaged() {
    let dir = of_every_kind();
    let manifest = dir.path().join(".maasl/docgen-manifest");
    let mut a = Server::start(dir.path(), "a");
    let first = a.ok("docgen_check", json!({}));
    for harm in [&b""[..], b"maaslD01", &[0xff; 4096]] {
        std::fs::write(&manifest, harm).unwrap();
        assert_eq!(a.ok("docgen_check", json!({})), first);
    }
    std::fs::remove_file(&manifest).unwrap();
    assert_eq!(a.ok("docgen_check", json!({})), first);
}

#[test]
fn checks_of_many_processes_beside_a_writer_are_right() {
    let dir = of_every_kind();
    let mut writer = Server::start(dir.path(), "w");
    let mut checkers = ["a", "b", "c"].map(|name| Server::start(dir.path(), name));
    writer.ok("read_file", json!({ "path": "deep/c.py" }));
    for n in 0..15 {
        // Contents of one length, written within few ticks of the clock.
        let text = format!("{n:04}");
        writer.ok(
            "write_file",
            json!({ "path": "deep/c.py", "content": text }),
        );
        let ids = checkers
            .each_mut()
            .map(|server| server.send("docgen_check", json!({})));
        let answer =
            json!({ "path": "deep/c.py", "content": "# c", "source_sha256": sha256(&text) });
        writer.ok("docgen_file", answer);
        for (server, id) in checkers.iter_mut().zip(ids) {
            server.result(id);
            let checked = server.ok("docgen_check", json!({}));
            assert_eq!(checked["fresh"], json!(["a.py", "deep/c.py"]), "round {n}");
        }
    }
}

#[test]
fn paths_that_name_no_source_are_refused() {
    let dir = of_every_kind();
    let mut a = Server::start(dir.path(), "a");
    for path in ["no/such/file", "../outside", &place("a.py")] {
        a.refused(
            "docgen_check",
            json!({ "paths": [path] }),
            "invalid_request",
        );
    }
    a.refused("docgen_check", json!({ "paths": [] }), "invalid_request");
}

#[test]
fn a_check_tells_nothing_of_what_is_behind_a_link() {
    let dir = of_every_kind();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("s.py"), "theirs").unwrap();
    std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
    let mut a = Server::start(dir.path(), "a");
    for path in ["link/s.py", "link/none.py"] {
        let answer = a.call("docgen_check", json!({ "paths": [path] }));
        assert_eq!(answer["error"]["reason"], "symlink", "{path}: {answer}");
    }
    a.close();
}

/// Closing any descriptor of a database drops this process's locks on it: another
/// program then takes itself for its last user, and removes its log.
#[test]
fn a_check_opens_no_database() {
    let dir = repository(&format!("[maasl.docgen]\nsources = [\"*.db\"]\n{MAIN}"));
    let mut server = Server::start(dir.path(), "a");
    server.ok("db_write", sql(&["CREATE TABLE t (who TEXT, n INTEGER)"]));
    server.ok("db_write", row("x", 1));
    let mut rag = sql(&["CREATE TABLE t (who TEXT, n INTEGER)"]);
    rag["db"] = json!("rag");
    server.ok("db_write", rag);
    for database in ["main.db", ".llmc/index_v2.db"] {
        let files = ["", "-wal", "-shm"].map(|end| format!("{database}{end}"));
        for file in &files {
            assert!(dir.path().join(file).exists(), "{file}");
        }
        let checked = server.ok("docgen_check", json!({ "paths": files }));
        assert_eq!(checked["counts"]["unreadable"], 3, "{checked}");
        for file in &files {
            let why = checked["unreadable"][file].as_str().unwrap();
            assert!(why.contains("SQLite database"), "{file}: {why}");
        }
        let all = server.ok("docgen_check", json!({}));
        assert!(all["unreadable"]["main.db"].is_string(), "{all}");
        let log = dir.path().join(&files[1]);
        let outside = Connection::open(dir.path().join(database)).unwrap();
        let count = outside.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, u64>(0));
        count.unwrap();
        drop(outside);
        assert!(log.exists(), "{database} is open in the server");
    }
    server.ok("db_write", row("y", 2));
    let expected = [("x".to_owned(), 1), ("y".to_owned(), 2)];
    assert_eq!(rows(dir.path()), expected);
    server.close();
    assert_eq!(rows(dir.path()), expected);
}

/// What another process has open is not opened either, nor a document in its place.
#[test]
fn a_database_in_the_place_of_a_document_is_told() {
    let dir = of_every_kind();
    let document = dir.path().join(place("a.py"));
    std::fs::remove_file(&document).unwrap();
    let outside = Connection::open(&document).unwrap();
    outside
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n)")
        .unwrap();
    let mut server = Server::start(dir.path(), "a");
    let checked = server.ok("docgen_check", json!({}));
    let why = checked["unreadable"]["a.py"].as_str().unwrap();
    assert!(why.contains("SQLite database"), "{checked}");
    server.close();
}
