//! Writers that go past MAASL: what they write between an agent's read and write
//! is never overwritten unseen.
//!
//! The race with the swap itself is in `outside_race`.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, repository};

/// How somebody outside puts content into a file.
pub(crate) type Save = fn(&Path, &str);

/// The two ways: in place, and as editors do.
pub(crate) const SAVES: [(&str, Save); 2] = [("in place", in_place), ("by rename", by_rename)];

fn in_place(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
}

fn by_rename(path: &Path, content: &str) {
    let beside = path.with_extension("swp");
    std::fs::write(&beside, content).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

pub(crate) fn holds(dir: &TempDir, path: &str) -> Option<String> {
    std::fs::read_to_string(dir.path().join(path)).ok()
}

fn agent_that_has_read(content: &str) -> (TempDir, Server) {
    let dir = repository("");
    std::fs::write(dir.path().join("f"), content).unwrap();
    let mut a = Server::start(dir.path(), "a");
    a.ok("read_file", json!({ "path": "f" }));
    (dir, a)
}

fn write(content: &str) -> Value {
    json!({ "path": "f", "content": content })
}

#[test]
fn a_write_over_outside_content_is_refused_until_it_was_read() {
    for (way, save) in SAVES {
        let (dir, mut a) = agent_that_has_read("old\n");
        save(&dir.path().join("f"), "outside\n");
        let stale = a.refused("write_file", write("mine\n"), "stale_version");
        assert_eq!(stale["reason"], "changed", "{way}: {stale}");
        assert!(
            stale["hint"].as_str().unwrap().contains("read_file"),
            "{way}"
        );
        // A refusal shows nothing of the content, so asking again is refused too.
        a.refused("write_file", write("mine\n"), "stale_version");
        assert_eq!(holds(&dir, "f").unwrap(), "outside\n", "{way}");
        let read = a.ok("read_file", json!({ "path": "f" }));
        assert_eq!(read["sha256"], stale["current_sha256"], "{way}");
        a.ok("write_file", write("mine\n"));
        assert_eq!(holds(&dir, "f").unwrap(), "mine\n", "{way}");
        a.close();
    }
}

#[test]
fn the_displaced_outside_content_is_kept_under_the_name_outside() {
    let (dir, mut a) = agent_that_has_read("old\n");
    a.ok("write_file", write("mine\n"));
    by_rename(&dir.path().join("f"), "outside\n");
    a.ok("read_file", json!({ "path": "f" }));
    a.ok("write_file", write("mine again\n"));
    let history = a.ok("file_history", json!({ "path": "f" }));
    let seen: Vec<(&str, bool)> = history["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| {
            (
                version["agent"].as_str().unwrap(),
                version["kept"].as_bool().unwrap(),
            )
        })
        .collect();
    // Newest first. What MAASL displaces is kept; the newest is in the file, and
    // what the outsider overwrote of a's is gone, as without MAASL.
    let expected = [
        ("a", false),
        ("outside", true),
        ("a", false),
        ("outside", true),
    ];
    assert_eq!(seen, expected, "{history}");
    // Of what came from outside nobody has counted the bytes.
    let sizes = [0_usize, 1].map(|at| &history["versions"][at]["size"]);
    assert_eq!(sizes, [&json!(11), &json!(null)], "{history}");
    a.ok("file_restore", json!({ "path": "f", "version": 3 }));
    assert_eq!(holds(&dir, "f").unwrap(), "outside\n");
    a.close();
}

#[test]
fn what_was_kept_stays_when_the_same_content_is_displaced_from_under_a_writer() {
    let (dir, mut a) = agent_that_has_read("A\n");
    a.ok("write_file", write("B\n"));
    a.ok("write_file", write("A\n"));
    let path = dir.path().join("f");
    let mut open = std::fs::File::options().write(true).open(path).unwrap();
    a.ok("write_file", write("C\n"));
    open.write_all(b"X\n").unwrap();
    for version in [1, 3] {
        a.ok("read_file", json!({ "path": "f" }));
        a.ok("file_restore", json!({ "path": "f", "version": version }));
        assert_eq!(holds(&dir, "f").unwrap(), "A\n", "version {version}");
        a.ok("read_file", json!({ "path": "f" }));
        a.ok("write_file", write(&format!("after {version}\n")));
    }
    a.close();
}

#[test]
fn independent_changes_merge_when_the_base_is_in_the_history() {
    for (way, save) in SAVES {
        let (dir, mut a) = agent_that_has_read("1\n2\n3\n4\n5\n");
        // The base gets into the history when another agent displaces it.
        let mut b = Server::start(dir.path(), "b");
        b.ok("read_file", json!({ "path": "f" }));
        b.ok("write_file", write("1\n2\n3\n4\n5\nb\n"));
        save(&dir.path().join("f"), "1\n2\n3\n4\noutside\nb\n");
        let mut mine = write("mine\n2\n3\n4\n5\n");
        mine["on_stale"] = "merge".into();
        let merged = a.ok("write_file", mine);
        assert_eq!(merged["merged"], true, "{way}");
        let all = "mine\n2\n3\n4\noutside\nb\n";
        assert_eq!(holds(&dir, "f").unwrap(), all, "{way}");
        // A merge holds lines its author has not seen.
        a.refused("write_file", write("from memory\n"), "stale_version");
        a.close();
        b.close();
    }
}

#[test]
fn merging_is_refused_where_lines_conflict_or_the_base_is_unknown() {
    let (dir, mut a) = agent_that_has_read("1\n2\n3\n");
    let mut mine = write("mine\n2\n3\n");
    mine["on_stale"] = "merge".into();
    by_rename(&dir.path().join("f"), "1\n2\noutside\n");
    let unknown = a.refused("write_file", mine.clone(), "stale_version");
    assert_eq!(unknown["reason"], "base_unknown");

    let mut b = Server::start(dir.path(), "b");
    a.ok("read_file", json!({ "path": "f" }));
    b.ok("read_file", json!({ "path": "f" }));
    b.ok("write_file", write("1\n2\nb\n"));
    by_rename(&dir.path().join("f"), "outside\n2\nb\n");
    let conflicting = a.refused("write_file", mine, "stale_version");
    assert_eq!(conflicting["reason"], "conflicting");
    let conflict = &conflicting["conflicts"][0];
    assert_eq!(conflict["ours"]["text"], "mine\n", "{conflicting}");
    assert_eq!(conflict["theirs"]["text"], "outside\n", "{conflicting}");
    assert_eq!(holds(&dir, "f").unwrap(), "outside\n2\nb\n");
    a.close();
    b.close();
}

#[test]
fn an_edit_is_rebased_on_outside_content_or_refused() {
    let edit = json!({
        "path": "f",
        "edits": [{ "old_text": "two", "new_text": "TWO" }],
    });
    for (way, save) in SAVES {
        let (dir, mut a) = agent_that_has_read("one\ntwo\n");
        save(&dir.path().join("f"), "outside\ntwo\n");
        let rebased = a.ok("edit_file", edit.clone());
        assert_eq!(rebased["rebased"], true, "{way}");
        assert_eq!(holds(&dir, "f").unwrap(), "outside\nTWO\n", "{way}");
        a.ok("read_file", json!({ "path": "f" }));
        save(&dir.path().join("f"), "outside\nzwei\n");
        let edit = json!({
            "path": "f",
            "edits": [{ "old_text": "TWO", "new_text": "2" }],
        });
        let stale = a.refused("edit_file", edit, "stale_version");
        assert_eq!(stale["reason"], "conflicting", "{way}: {stale}");
        assert_eq!(holds(&dir, "f").unwrap(), "outside\nzwei\n", "{way}");
        a.close();
    }
}

#[test]
fn a_file_deleted_outside_is_stale_and_stays_deleted() {
    let (dir, mut a) = agent_that_has_read("old\n");
    std::fs::remove_file(dir.path().join("f")).unwrap();
    let edit = json!({
        "path": "f",
        "edits": [{ "old_text": "old", "new_text": "new" }],
    });
    for (tool, arguments) in [
        ("write_file", write("mine\n")),
        ("edit_file", edit),
        ("delete_file", json!({ "path": "f" })),
        ("move_file", json!({ "source": "f", "destination": "g" })),
    ] {
        let stale = a.refused(tool, arguments, "stale_version");
        assert_eq!(stale["reason"], "vanished", "{tool}: {stale}");
        assert_eq!(holds(&dir, "f"), None, "{tool}");
    }
    // Having looked, the agent may create it.
    a.refused("read_file", json!({ "path": "f" }), "invalid_request");
    a.ok("write_file", write("mine\n"));
    assert_eq!(holds(&dir, "f").unwrap(), "mine\n");
    a.close();
}

#[test]
fn a_file_created_outside_at_a_new_path_is_not_replaced_unread() {
    for (way, save) in SAVES {
        let dir = repository("");
        let mut a = Server::start(dir.path(), "a");
        a.refused("read_file", json!({ "path": "f" }), "invalid_request");
        save(&dir.path().join("f"), "outside\n");
        let stale = a.refused("write_file", write("mine\n"), "stale_version");
        assert_eq!(stale["reason"], "never_read", "{way}");
        std::fs::write(dir.path().join("g"), "mine\n").unwrap();
        let onto = json!({ "source": "g", "destination": "f" });
        a.refused("move_file", onto, "invalid_request");
        assert_eq!(holds(&dir, "f").unwrap(), "outside\n", "{way}");
        a.close();
    }
}

#[test]
fn a_set_with_one_stale_file_changes_none() {
    let dir = repository("");
    for name in ["x", "y", "z"] {
        std::fs::write(dir.path().join(name), "old\n").unwrap();
    }
    let mut a = Server::start(dir.path(), "a");
    let mut changes = Vec::new();
    for name in ["x", "y", "z"] {
        a.ok("read_file", json!({ "path": name }));
        changes.push(json!({ "op": "write", "path": name, "content": "mine\n" }));
    }
    by_rename(&dir.path().join("y"), "outside\n");
    let stale = a.refused(
        "refactor_file",
        json!({ "changes": changes }),
        "stale_version",
    );
    assert_eq!(stale["path"], "y");
    let all: Vec<_> = ["x", "y", "z"]
        .map(|name| holds(&dir, name).unwrap())
        .into();
    assert_eq!(all, ["old\n", "outside\n", "old\n"]);
    a.close();
}
