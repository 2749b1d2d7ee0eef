//! Servers that die at every step of every change.
//!
//! Whoever comes next finds the change wholly made or not at all: made from the
//! commit point on, the end of `begin_commit`. Nothing of it is left lying about.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::facts::until;
use crate::harness::{PATIENCE, Server, repository};
use crate::observe::{history, leased, sha256, staged, tree};

/// A waiter behind a dead holder is served within this: a look now and then, not
/// a lease that runs out.
const PROMPT: Duration = Duration::from_secs(5);
/// A lease that nobody in a test waits out.
const LONG_TTL_SEC: u64 = 600;

/// Files by name.
type Files = &'static [(&'static str, &'static str)];

/// One kind of change and the steps it takes.
struct Change {
    tool: &'static str,
    /// Its arguments; `$` stands for the folder of the case.
    arguments: fn() -> Value,
    before: Files,
    after: Files,
    /// How often it stages, hashes and swaps, and how often it keeps.
    files: [usize; 4],
}

const CREATE: Change = Change {
    tool: "write_file",
    arguments: || json!({ "path": "$/new/f", "content": "new\n" }),
    before: &[("g", "bystander\n")],
    after: &[("g", "bystander\n"), ("new/f", "new\n")],
    files: [1, 1, 1, 0],
};

const WRITE: Change = Change {
    tool: "write_file",
    arguments: || json!({ "path": "$/f", "content": "new\n", "base_sha256": sha256("old\n") }),
    before: &[("f", "old\n")],
    after: &[("f", "new\n")],
    files: [1, 1, 1, 1],
};

const EDIT: Change = Change {
    tool: "edit_file",
    arguments: || {
        let edits = json!([{ "old_text": "old", "new_text": "new" }]);
        json!({ "path": "$/f", "edits": edits })
    },
    before: &[("f", "one\nold\n")],
    after: &[("f", "one\nnew\n")],
    files: [1, 1, 1, 1],
};

const DELETE: Change = Change {
    tool: "delete_file",
    arguments: || json!({ "path": "$/f", "base_sha256": sha256("old\n") }),
    before: &[("f", "old\n"), ("g", "bystander\n")],
    after: &[("g", "bystander\n")],
    files: [0, 1, 1, 1],
};

const MOVE: Change = Change {
    tool: "move_file",
    arguments: || {
        let base = sha256("old\n");
        json!({ "source": "$/f", "destination": "$/new/g", "base_sha256": base })
    },
    before: &[("f", "old\n")],
    after: &[("new/g", "old\n")],
    files: [1, 2, 2, 1],
};

const REFACTOR_WITH_MOVE: Change = Change {
    tool: "refactor_file",
    arguments: || refactor(&json!({ "op": "move", "source": "$/h", "destination": "$/i" })),
    before: &[("f", "old f\n"), ("g", "old g\n"), ("h", "h\n")],
    after: &[("f", "new f\n"), ("g", "new g\n"), ("i", "h\n")],
    files: [3, 4, 4, 3],
};

const REFACTOR_WITH_DELETE: Change = Change {
    tool: "refactor_file",
    arguments: || refactor(&json!({ "op": "delete", "path": "$/h", "base_sha256": sha256("h\n") })),
    before: &[("f", "old f\n"), ("g", "old g\n"), ("h", "h\n")],
    after: &[("f", "new f\n"), ("g", "new g\n")],
    files: [2, 3, 3, 3],
};

fn refactor(third: &Value) -> Value {
    let base = sha256("old f\n");
    let write = json!({ "op": "write", "path": "$/f", "content": "new f\n", "base_sha256": base });
    let edits = json!([{ "old_text": "old", "new_text": "new" }]);
    let edit = json!({ "op": "edit", "path": "$/g", "edits": edits });
    json!({ "changes": [write, edit, third] })
}

#[test]
fn a_new_file_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&CREATE);
}

#[test]
fn a_write_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&WRITE);
}

#[test]
fn an_edit_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&EDIT);
}

#[test]
fn a_removal_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&DELETE);
}

#[test]
fn a_move_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&MOVE);
}

#[test]
fn a_set_with_a_move_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&REFACTOR_WITH_MOVE);
}

#[test]
fn a_set_with_a_removal_is_whole_or_absent_wherever_its_writer_dies() {
    die_at_every_step(&REFACTOR_WITH_DELETE);
}

/// The steps of the change in order, how often it takes each, and whether it has
/// passed its commit point before it.
fn steps(change: &Change) -> [(&'static str, usize, bool); 9] {
    let [stages, hashes, swaps, keeps] = change.files;
    [
        ("stage", stages, false),
        ("latch", 1, false),
        ("hash", hashes, false),
        ("begin_commit", 1, false),
        ("swap", swaps, true),
        ("keep", keeps, true),
        ("sync_names", 1, true),
        ("finish_commit", 1, true),
        ("unlatch", 1, true),
    ]
}

fn die_at_every_step(change: &Change) {
    let dir = repository("");
    let mut heir = Server::start(dir.path(), "heir");
    for (step, times, committed) in steps(change) {
        for time in 1..=times {
            // The state after a step is that before the next: one is found by
            // reading, the other by taking over the lease.
            let before = format!("before:{step}:{time}");
            Case::new(change, &before).run(&dir, &mut heir, committed, read);
            let after = format!("after:{step}:{time}");
            let committed = committed || step == "begin_commit";
            Case::new(change, &after).run(&dir, &mut heir, committed, take_over);
        }
    }
    heir.close();
    swept_by_the_next(&dir);
}

/// The next server to start removes what the dead have left.
fn swept_by_the_next(dir: &tempfile::TempDir) {
    let mut next = Server::start(dir.path(), "next");
    until("only the living have staging folders", || {
        staged(dir.path()) == (1, 0)
    });
    assert_eq!(leased(&mut next), Vec::<Value>::new());
    next.close();
}

/// A change in a folder of its own, and where its server dies.
struct Case<'a> {
    change: &'a Change,
    point: &'a str,
    folder: String,
}

impl<'a> Case<'a> {
    fn new(change: &'a Change, point: &'a str) -> Self {
        let folder = point.replace(':', "-");
        Self {
            change,
            point,
            folder,
        }
    }

    fn run(
        &self,
        dir: &tempfile::TempDir,
        heir: &mut Server,
        committed: bool,
        access: fn(&mut Server, &str),
    ) {
        for (name, content) in self.change.before {
            let path = self.path(name);
            heir.ok("write_file", json!({ "path": path, "content": content }));
        }
        self.die(dir);
        let expected = if committed {
            self.change.after
        } else {
            self.change.before
        };
        let touched = self.touched();
        access(heir, &self.path(touched[0]));
        let found = tree(&dir.path().join(&self.folder));
        assert_eq!(found, owned(expected), "{}", self.point);
        if committed {
            self.displaced_can_be_restored(heir);
        }
        for name in touched {
            take_over(heir, &self.path(name));
        }
        assert_eq!(leased(heir), Vec::<Value>::new(), "{}", self.point);
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// Has a server make the change, and die of it.
    fn die(&self, dir: &tempfile::TempDir) {
        let fault = format!("kill@{}", self.point);
        let mut victim = Server::with_env(dir.path(), "victim", &[("MAASL_FAULT", &fault)]);
        let arguments = (self.change.arguments)().to_string();
        let arguments = arguments.replace('$', &self.folder);
        let id = victim.send(self.change.tool, serde_json::from_str(&arguments).unwrap());
        let answer = victim.result_within(id, PATIENCE);
        assert_eq!(answer, None, "{} was never reached", self.point);
        victim.wait_dead();
    }

    /// The files that the change makes something else of.
    fn touched(&self) -> Vec<&'static str> {
        let (before, after) = (self.change.before, self.change.after);
        let only = |of: Files, other: Files| {
            let changed = of.iter().filter(move |file| !other.contains(file));
            changed.map(|(name, _)| *name)
        };
        let mut touched: Vec<_> = only(before, after).chain(only(after, before)).collect();
        touched.sort_unstable();
        touched.dedup();
        touched
    }

    fn displaced_can_be_restored(&self, heir: &mut Server) {
        for (name, content) in self.change.before {
            if self.change.after.contains(&(name, content)) {
                continue;
            }
            let path = self.path(name);
            let versions = history(heir, &path);
            let told = format!("{} {path}: {versions:?}", self.point);
            let [old, new] = &versions[..] else {
                panic!("not two versions: {told}");
            };
            assert_eq!(old.sha256, Some(sha256(content)), "{told}");
            assert_eq!(new.agent, "victim", "{told}");
            assert!(old.kept && old.token < new.token, "{told}");
            let _ = heir.call("read_file", json!({ "path": path }));
            let restored = heir.ok("file_restore", json!({ "path": path, "version": 1 }));
            assert_eq!(restored["sha256"], sha256(content), "{told}");
        }
    }
}

fn owned(files: Files) -> BTreeMap<String, String> {
    let owned = files
        .iter()
        .map(|(name, content)| ((*name).to_owned(), (*content).to_owned()));
    owned.collect()
}

/// Reads; the file need not exist.
fn read(server: &mut Server, path: &str) {
    let answer = server.call("read_file", json!({ "path": path }));
    let code = &answer["error"]["code"];
    assert!(
        answer["ok"] == true || code == "invalid_request",
        "{answer}"
    );
}

/// Takes a lease, from whoever has it and is dead, and returns it.
fn take_over(server: &mut Server, path: &str) {
    let want = json!({ "resources": [{ "id": path }], "max_wait_ms": 10_000 });
    let lease = server.ok("lease_acquire", want)["lease"].clone();
    server.ok("lease_release", json!({ "lease": lease }));
}

#[test]
fn recovery_can_die_at_every_step_too() {
    let dir = repository("");
    let mut heir = Server::start(dir.path(), "heir");
    let steps = [
        "latch",
        "hash",
        "hash_staged",
        "swap",
        "keep",
        "sync_names",
        "finish_commit",
    ];
    for step in steps {
        for side in ["before", "after"] {
            let case = Case {
                change: &REFACTOR_WITH_DELETE,
                point: "after:swap:1",
                folder: format!("{side}-{step}"),
            };
            let first = format!("kill@{side}:{step}");
            let mut first = Server::with_env(dir.path(), "first", &[("MAASL_FAULT", &first)]);
            case.run_with(&dir, &mut heir, &mut first);
        }
    }
    heir.close();
    swept_by_the_next(&dir);
}

impl Case<'_> {
    /// As [`Self::run`], with somebody who dies of the recovery in between.
    fn run_with(&self, dir: &tempfile::TempDir, heir: &mut Server, first: &mut Server) {
        for (name, content) in self.change.before {
            let path = self.path(name);
            heir.ok("write_file", json!({ "path": path, "content": content }));
        }
        self.die(dir);
        let id = first.send("read_file", json!({ "path": self.path("f") }));
        let answer = first.result_within(id, PATIENCE);
        assert_eq!(answer, None, "{}: recovery took no such step", self.folder);
        first.wait_dead();
        take_over(heir, &self.path("f"));
        let found = tree(&dir.path().join(&self.folder));
        assert_eq!(found, owned(self.change.after), "{}", self.folder);
        self.displaced_can_be_restored(heir);
    }
}

#[test]
fn the_death_of_a_holder_serves_the_next_waiter_at_once() {
    let dir = repository("");
    let mut holder = Server::start(dir.path(), "holder");
    let mut witness = Server::start(dir.path(), "witness");
    let mut waiters: Vec<Server> = ["gone", "next", "last"]
        .map(|agent| Server::start(dir.path(), agent))
        .into();
    let want = json!({
        "resources": [{ "id": "f" }], "ttl_sec": LONG_TTL_SEC, "max_wait_ms": 60_000,
    });
    let held = holder.ok("lease_acquire", want.clone());
    let mut calls = Vec::new();
    for (ahead, waiter) in waiters.iter_mut().enumerate() {
        calls.push(waiter.send("lease_acquire", want.clone()));
        until("it waits", || {
            leased(&mut witness)[0]["waiters"] == ahead + 1
        });
    }
    // A waiter whose client leaves holds up nobody.
    waiters[0].end_input();
    until("it waits no more", || {
        leased(&mut witness)[0]["waiters"] == 2
    });
    let killed_at = Instant::now();
    holder.kill();
    let next = waiters[1].result(calls[1]);
    assert!(killed_at.elapsed() < PROMPT, "{:?}", killed_at.elapsed());
    assert!(next["fencing_token"].as_u64() > held["fencing_token"].as_u64());
    let write = json!({ "path": "f", "content": "next\n", "lease": next["lease"] });
    waiters[1].ok("write_file", write);
    let killed_at = Instant::now();
    waiters[1].kill();
    let last = waiters[2].result(calls[2]);
    assert!(killed_at.elapsed() < PROMPT, "{:?}", killed_at.elapsed());
    assert!(last["fencing_token"].as_u64() > next["fencing_token"].as_u64());
    let read = waiters[2].ok("read_file", json!({ "path": "f" }));
    assert_eq!(read["content"], "next\n");
}
