//! Writers that go past MAASL in the middle of a commit: the server is stopped
//! inside it, the outsider strikes, the server goes on. Both contents survive and
//! the answer says so.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Server, repository};
use crate::outside::{SAVES, holds};

/// Where the server stops: all of these come after its last look at the file.
const POINTS: [&str; 3] = [
    "stop@after:hash",
    "stop@after:begin_commit",
    "stop@before:swap",
];

/// Runs one call of a server that stops at `point`, with `strike` in the gap.
struct Race {
    dir: TempDir,
    a: Server,
}

impl Race {
    /// A directory with these files, and an agent that has read them.
    fn at(point: &str, files: &[&str]) -> Self {
        let dir = repository("");
        for name in files {
            std::fs::write(dir.path().join(name), "old\n").unwrap();
        }
        let mut a = Server::with_env(dir.path(), "a", &[("MAASL_FAULT", point)]);
        for name in files {
            a.ok("read_file", json!({ "path": name }));
        }
        Self { dir, a }
    }

    fn refused(&mut self, tool: &str, arguments: Value, strike: impl FnOnce(&Path)) -> Value {
        let id = self.a.send(tool, arguments);
        self.a.wait_stopped();
        strike(self.dir.path());
        self.a.go_on();
        let result = self.a.result(id);
        assert_eq!(result["error"]["code"], "stale_version", "{result}");
        result["error"].clone()
    }

    fn file(&self, name: &str) -> Option<String> {
        holds(&self.dir, name)
    }

    /// Nothing is held, open or staged any more.
    fn is_tidy(&mut self) {
        let locks = self.a.ok("llmc_locks", json!({}));
        assert_eq!(locks["count"], 0, "{locks}");
        let stage = self.dir.path().join(".maasl/stage");
        for session in std::fs::read_dir(stage).unwrap() {
            let left = std::fs::read_dir(session.unwrap().path()).unwrap().count();
            assert_eq!(left, 0, "something is left staged");
        }
    }
}

fn mine() -> Value {
    json!({ "path": "f", "content": "mine\n" })
}

#[test]
fn a_save_during_the_commit_stands_and_the_agents_content_is_kept() {
    for point in POINTS {
        for (way, save) in SAVES {
            let mut race = Race::at(point, &["f"]);
            let stale = race.refused("write_file", mine(), |root| {
                assert_eq!(std::fs::read(root.join("f")).unwrap(), b"old\n", "{point}");
                save(&root.join("f"), "outside\n");
            });
            assert_eq!(stale["reason"], "swap_conflict", "{point} {way}: {stale}");
            assert_eq!(race.file("f").unwrap(), "outside\n", "{point} {way}");
            race.is_tidy();
            // The agent's content is a version of its own, and comes back.
            let kept = &stale["kept_version"];
            let read = race.a.ok("read_file", json!({ "path": "f" }));
            assert_eq!(read["sha256"], stale["current_sha256"], "{point} {way}");
            let restore = json!({ "path": "f", "version": kept });
            race.a.ok("file_restore", restore);
            assert_eq!(race.file("f").unwrap(), "mine\n", "{point} {way}");
            race.a.close();
        }
    }
}

#[test]
fn the_history_names_both_sides_of_the_conflict() {
    let mut race = Race::at("stop@before:swap", &["f"]);
    race.refused("write_file", mine(), |root| {
        std::fs::write(root.join("f"), "outside\n").unwrap();
    });
    let history = race.a.ok("file_history", json!({ "path": "f" }));
    let agents: Vec<&str> = history["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["agent"].as_str().unwrap())
        .collect();
    assert_eq!(agents, ["outside", "a", "outside"], "{history}");
    race.a.close();
}

#[test]
fn a_file_deleted_during_the_commit_stays_deleted_and_the_content_is_kept() {
    for point in POINTS {
        let mut race = Race::at(point, &["f"]);
        let stale = race.refused("write_file", mine(), |root| {
            std::fs::remove_file(root.join("f")).unwrap();
        });
        assert_eq!(stale["reason"], "swap_conflict", "{point}: {stale}");
        assert!(stale["current_sha256"].is_null(), "{point}: {stale}");
        assert_eq!(race.file("f"), None, "{point}");
        race.is_tidy();
        let gone = json!({ "path": "f" });
        race.a.refused("read_file", gone, "invalid_request");
        let restore = json!({ "path": "f", "version": stale["kept_version"] });
        race.a.ok("file_restore", restore);
        assert_eq!(race.file("f").unwrap(), "mine\n", "{point}");
        race.a.close();
    }
}

/// What it is, and how it is made.
type Oddity = (&'static str, fn(&Path));

/// What somebody outside may make of a name that a file had.
const ODDITIES: [Oddity; 3] = [
    ("a link", |path| symlink("elsewhere", path).unwrap()),
    ("a folder", |path| {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("inner"), "inner\n").unwrap();
    }),
    ("a pipe", |path| {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }),
];

/// Between the last look at a file and its exchange, something else takes its name.
fn odd_at_the_swap(tool: &str, arguments: Value, make: fn(&Path)) -> (Race, Value) {
    let mut race = Race::at("stop@before:rename", &["f"]);
    let stale = race.refused(tool, arguments, |root| {
        std::fs::remove_file(root.join("f")).unwrap();
        make(&root.join("f"));
    });
    assert_eq!(stale["reason"], "swap_conflict", "{stale}");
    assert!(stale["current_sha256"].is_null(), "{stale}");
    race.is_tidy();
    (race, stale)
}

/// It stands where it was made; removes it.
fn stood(race: &Race, what: &str) {
    let path = race.dir.path().join("f");
    let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
    assert!(!kind.is_file(), "{what} is a file");
    if kind.is_dir() {
        assert_eq!(race.file("f/inner").unwrap(), "inner\n");
        std::fs::remove_dir_all(path).unwrap();
    } else {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn what_is_no_file_any_more_stands_and_the_agents_content_is_kept() {
    for (what, make) in ODDITIES {
        let (mut race, stale) = odd_at_the_swap("write_file", mine(), make);
        // Nobody else is held up by it.
        let mut b = Server::start(race.dir.path(), "b");
        b.refused("read_file", json!({ "path": "f" }), "invalid_request");
        b.ok("write_file", json!({ "path": "g", "content": "b\n" }));
        b.close();
        stood(&race, what);
        let gone = json!({ "path": "f" });
        race.a.refused("read_file", gone, "invalid_request");
        let restore = json!({ "path": "f", "version": stale["kept_version"] });
        race.a.ok("file_restore", restore);
        assert_eq!(race.file("f").unwrap(), "mine\n", "{what}");
        race.a.close();
    }
}

#[test]
fn deleting_what_is_no_file_any_more_leaves_it() {
    for (what, make) in ODDITIES {
        let (race, _) = odd_at_the_swap("delete_file", json!({ "path": "f" }), make);
        stood(&race, what);
        race.a.close();
    }
}

#[test]
fn a_file_created_during_the_commit_is_not_replaced() {
    for point in POINTS {
        for (way, save) in SAVES {
            let mut race = Race::at(point, &[]);
            let stale = race.refused("write_file", mine(), |root| {
                save(&root.join("f"), "outside\n");
            });
            assert_eq!(stale["reason"], "swap_conflict", "{point} {way}: {stale}");
            assert_eq!(race.file("f").unwrap(), "outside\n", "{point} {way}");
            race.is_tidy();
            race.a.ok("read_file", json!({ "path": "f" }));
            let restore = json!({ "path": "f", "version": stale["kept_version"] });
            race.a.ok("file_restore", restore);
            assert_eq!(race.file("f").unwrap(), "mine\n", "{point} {way}");
            race.a.close();
        }
    }
}

#[test]
fn deleting_a_file_that_is_saved_meanwhile_leaves_what_was_saved() {
    let mut race = Race::at("stop@before:swap", &["f"]);
    race.refused("delete_file", json!({ "path": "f" }), |root| {
        std::fs::write(root.join("f"), "outside\n").unwrap();
    });
    assert_eq!(race.file("f").unwrap(), "outside\n");
    race.is_tidy();
    race.a.close();
}

#[test]
fn moving_a_file_that_is_saved_meanwhile_moves_nothing() {
    // In the order of the paths: the destination is swapped before the source.
    for (source, destination) in [("f", "e"), ("f", "g")] {
        let mut race = Race::at("stop@before:swap", &["f"]);
        let arguments = json!({ "source": source, "destination": destination });
        race.refused("move_file", arguments, |root| {
            std::fs::write(root.join("f"), "outside\n").unwrap();
        });
        assert_eq!(race.file(source).unwrap(), "outside\n");
        assert_eq!(race.file(destination), None);
        race.is_tidy();
        race.a.close();
    }
}

fn three() -> Value {
    let changes: Vec<Value> = ["x", "y", "z"]
        .iter()
        .map(|name| json!({ "op": "write", "path": name, "content": "mine\n" }))
        .collect();
    json!({ "changes": changes })
}

#[test]
fn one_outside_save_undoes_the_whole_set() {
    for (at, struck) in [(1, "x"), (2, "y"), (3, "z"), (1, "z")] {
        let point = format!("stop@before:swap:{at}");
        let mut race = Race::at(&point, &["x", "y", "z"]);
        let stale = race.refused("refactor_file", three(), |root| {
            std::fs::write(root.join(struck), "outside\n").unwrap();
        });
        assert_eq!(stale["reason"], "swap_conflict", "{point}: {stale}");
        assert_eq!(stale["path"], struck, "{point}: {stale}");
        for name in ["x", "y", "z"] {
            let expected = if name == struck { "outside\n" } else { "old\n" };
            assert_eq!(race.file(name).unwrap(), expected, "{point}: {name}");
        }
        race.is_tidy();
        race.a.ok("read_file", json!({ "path": struck }));
        let restore = json!({ "path": struck, "version": stale["kept_version"] });
        race.a.ok("file_restore", restore);
        assert_eq!(race.file(struck).unwrap(), "mine\n", "{point}");
        race.a.close();
    }
}

/// Strikes at the first file of a set after its swap, and at the second before
/// its own, so that the first must be taken back over what was struck.
fn taken_back_over(first: &Value, strike: impl FnOnce(&Path)) -> Race {
    let mut race = Race::at("stop@before:swap:2", &["x", "y"]);
    let second = json!({ "op": "write", "path": "y", "content": "mine\n" });
    let changes = json!({ "changes": [first, second] });
    let stale = race.refused("refactor_file", changes, |root| {
        std::fs::write(root.join("y"), "outside\n").unwrap();
        strike(root);
    });
    assert_eq!(stale["path"], "y", "{stale}");
    assert_eq!(race.file("y").unwrap(), "outside\n");
    race.is_tidy();
    race
}

/// Whether some version of `path` that is kept has this content.
fn can_be_restored(race: &mut Race, path: &str, content: &str) -> bool {
    let history = race.a.ok("file_history", json!({ "path": path }));
    let kept: Vec<u64> = history["versions"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|version| version["kept"] == true)
        .map(|version| version["version"].as_u64().unwrap())
        .collect();
    kept.into_iter().any(|version| {
        // A path that is not there cannot be read; looking is what counts.
        race.a.call("read_file", json!({ "path": path }));
        let restore = json!({ "path": path, "version": version });
        race.a.ok("file_restore", restore);
        race.file(path).as_deref() == Some(content)
    })
}

#[test]
fn a_save_of_a_file_already_swapped_survives_the_undoing() {
    let write = json!({ "op": "write", "path": "x", "content": "mine\n" });
    for (way, save) in SAVES {
        let mut race = taken_back_over(&write, |root| {
            assert_eq!(std::fs::read(root.join("x")).unwrap(), b"mine\n");
            save(&root.join("x"), "late\n");
        });
        assert_eq!(race.file("x").unwrap(), "late\n", "{way}");
        assert!(can_be_restored(&mut race, "x", "old\n"), "{way}");
        race.a.close();
    }
}

#[test]
fn a_removal_of_a_file_already_swapped_survives_the_undoing() {
    let write = json!({ "op": "write", "path": "x", "content": "mine\n" });
    let mut race = taken_back_over(&write, |root| {
        std::fs::remove_file(root.join("x")).unwrap();
    });
    assert_eq!(race.file("x"), None);
    assert!(can_be_restored(&mut race, "x", "old\n"));
    race.a.close();
}

#[test]
fn a_save_of_a_file_already_made_or_removed_survives_the_undoing() {
    let make = json!({ "op": "write", "path": "new", "content": "mine\n" });
    let race = taken_back_over(&make, |root| {
        std::fs::write(root.join("new"), "late\n").unwrap();
    });
    assert_eq!(race.file("new").unwrap(), "late\n");
    race.a.close();
    let remove = json!({ "op": "delete", "path": "x" });
    let mut race = taken_back_over(&remove, |root| {
        assert!(!root.join("x").exists());
        std::fs::write(root.join("x"), "late\n").unwrap();
    });
    assert_eq!(race.file("x").unwrap(), "late\n");
    assert!(can_be_restored(&mut race, "x", "old\n"));
    race.a.close();
}
