//! A disk that is full: clear errors, nothing half done, and work goes on when
//! there is room again.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::databases::{MAIN, row, rows, sql};
use crate::harness::{Server, repository};
use crate::observe::{leased, sha256, staged};

/// A small file system of its own, taken down with its last use.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new(mebibytes: u32) -> Self {
        let dir = repository(MAIN);
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "a small disk can be mounted by root alone: run this test as root"
        );
        std::fs::write(dir.path().join("maasl.toml"), MAIN).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all the room but so much.
    fn fill_but(&self, left_bytes: u64) {
        let mut filler = File::create(self.path().join("filler")).unwrap();
        let block = vec![0_u8; 4096];
        while filler.write_all(&block).is_ok() {}
        let length = filler.metadata().unwrap().len();
        filler.set_len(length - left_bytes).unwrap();
    }

    fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still runs there is ended with its test.
        let _ = Command::new("umount")
            .arg("-l")
            .arg(self.dir.path())
            .status();
    }
}

#[test]
fn a_database_on_a_full_disk_is_written_whole_or_not_at_all() {
    let disk = SmallDisk::new(8);
    let mut server = Server::start(disk.path(), "a");
    server.ok("db_write", sql(&["CREATE TABLE t (who TEXT, n INTEGER)"]));
    server.ok("db_write", row("before", 1));
    // Room for the store, so that it is the database that finds none.
    disk.fill_but(1 << 20);
    let large = json!({ "db": "main", "statements": [
        { "sql": "INSERT INTO t VALUES ('small', 1)" },
        { "sql": "INSERT INTO t VALUES (hex(zeroblob(2000000)), 2)" },
    ]});
    let error = server.refused("db_write", large, "internal");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("full"), "{message}");
    let found = rows(disk.path());
    assert_eq!(found, [("before".to_owned(), 1)]);
    disk.empty();
    disk.fill_but(0);
    let error = server.refused("db_write", row("never", 1), "internal");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("room") || message.contains("full"),
        "{message}"
    );
    disk.empty();
    server.ok("db_write", row("after", 1));
    let found = rows(disk.path());
    assert_eq!(found, [("after".to_owned(), 1), ("before".to_owned(), 1)]);
}

#[test]
fn a_document_on_a_full_disk_is_written_whole_or_not_at_all() {
    let disk = SmallDisk::new(8);
    let source = "def f():\n    return 1\n";
    std::fs::write(disk.path().join("a.py"), source).unwrap();
    let document = disk.path().join("DOCS/REPODOCS/a.py.md");
    let offer = |text: String, source: &str| json!({ "path": "a.py", "content": text, "source_sha256": sha256(source) });
    let mut server = Server::start(disk.path(), "a");
    let made = server.ok("docgen_file", offer("# before".into(), source));
    assert_eq!(made["status"], "generated");
    let before = std::fs::read(&document).unwrap();
    let moved = "def f():\n    return 2\n";
    std::fs::write(disk.path().join("a.py"), moved).unwrap();
    // Room for the store, so that it is the document that finds none.
    disk.fill_but(1 << 20);
    let large = offer("# ".repeat(1 << 20), moved);
    let error = server.refused("docgen_file", large, "internal");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("No space"), "{message}");
    assert_eq!(std::fs::read(&document).unwrap(), before);
    assert_eq!(staged(disk.path()).1, 0, "nothing half done is left");
    assert!(leased(&mut server).is_empty());
    disk.empty();
    disk.fill_but(0);
    server.refused("docgen_file", offer("# never".into(), moved), "internal");
    assert_eq!(std::fs::read(&document).unwrap(), before);
    disk.empty();
    let made = server.ok("docgen_file", offer("# after".into(), moved));
    assert_eq!(made["status"], "generated");
    let after = std::fs::read_to_string(&document).unwrap();
    assert!(after.ends_with("# after\n"), "{after}");
    let stats = server.ok("llmc_stomp_stats", json!({}));
    assert_eq!(stats["docgen_operations"]["generated"], 2, "{stats}");
}

#[test]
fn a_patch_of_a_graph_on_a_full_disk_is_kept_whole_or_not_at_all() {
    let disk = SmallDisk::new(8);
    let mut server = Server::start(disk.path(), "a");
    let node = |id: &str| json!({ "nodes_to_add": [{ "id": id }] });
    server.ok("graph_patch", node("before"));
    disk.fill_but(0);
    let many: Vec<_> = (0..20_000)
        .map(|n| json!({ "id": format!("node {n}"), "text": "x".repeat(50) }))
        .collect();
    let large = json!({ "nodes_to_add": many });
    let error = server.refused("graph_patch", large.clone(), "internal");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("room") || message.contains("full"),
        "{message}"
    );
    let shown = server.ok("graph_query", json!({}));
    assert_eq!(shown["nodes"], json!([{ "id": "before" }]));
    disk.empty();
    let done = server.ok("graph_patch", large);
    assert_eq!(done["nodes_added"], 20_000);
    let mut other = Server::start(disk.path(), "b");
    let shown = other.ok("graph_query", json!({ "limit": 1 }));
    assert_eq!(
        (&shown["patches"], &shown["is_cut"]),
        (&json!(2), &json!(true))
    );
}
