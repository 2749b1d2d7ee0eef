//! A writer that is stopped and comes back after somebody else has written.
//!
//! Wherever it was stopped, its write happens once or is refused: never after a
//! newer grant, and never without its bytes or those it displaced being kept.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::until;
use crate::harness::{Server, repository};
use crate::observe::{history, leased, sha256};

const OLD: &str = "first line\nold\n";
const BY_A: &str = "first line\nby a\n";
const BY_B: &str = "by b\nold\n";
/// Leases run out and latches are given up soon.
const HASTY: &str = "[maasl.resource.CRIT_CODE]\nlease_ttl_sec = 0.5\n\
    [maasl.limits]\nlatch_wait_ms = 100\n";
/// More than any lease lasts here.
const LONG_MS: u64 = 30_000;

#[test]
fn a_lease_lost_while_stopped_names_who_took_it_over() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    a.ok("write_file", json!({ "path": "f", "content": OLD }));
    let want = json!({ "resources": [{ "id": "f" }], "ttl_sec": 1 });
    let lease = a.ok("lease_acquire", want);
    a.stop();
    let by_b = b.ok("write_file", write("f", BY_B, OLD));
    let id = a.send("write_file", under(&lease, write("f", BY_A, OLD)));
    a.go_on();
    let answer = a.result(id);
    let lost = &answer["error"]["lost_lease"];
    assert_eq!(answer["error"]["code"], "lease_lost", "{answer}");
    assert_eq!(
        (&lost["end"], &lost["by"]),
        (&"taken_over".into(), &"b".into())
    );
    assert_eq!(lost["fencing_token"], lease["fencing_token"]);
    assert_eq!(lost["by_token"], by_b["fencing_token"]);
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("b took over"), "{message}");
    assert!(by_b["fencing_token"].as_u64() > lease["fencing_token"].as_u64());
    assert_eq!(std::fs::read_to_string(dir.path().join("f")).unwrap(), BY_B);
    assert_eq!(contents(&mut b, "f"), hashes(&[OLD, BY_B]));
}

#[test]
fn a_write_stopped_before_any_step_is_whole_or_refused() {
    stop_at_every_step("before", Way::Write);
}

#[test]
fn a_write_stopped_after_any_step_is_whole_or_refused() {
    stop_at_every_step("after", Way::Write);
}

#[test]
fn an_edit_stopped_before_any_step_is_whole_or_refused() {
    stop_at_every_step("before", Way::Edit);
}

#[test]
fn an_edit_stopped_after_any_step_is_whole_or_refused() {
    stop_at_every_step("after", Way::Edit);
}

/// How the stopped agent changes the file.
#[derive(Clone, Copy, Debug)]
enum Way {
    Write,
    Edit,
}

impl Way {
    fn request(self, path: &str) -> (&'static str, Value) {
        let edits = json!([{ "old_text": "\nold\n", "new_text": "\nby a\n" }]);
        match self {
            Self::Write => ("write_file", write(path, BY_A, OLD)),
            Self::Edit => ("edit_file", json!({ "path": path, "edits": edits })),
        }
    }
}

/// What becomes of the two writes when one is stopped at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// The other takes over; the stopped one is refused.
    TakenOver,
    /// The other meets the latch; the stopped one has run out of time.
    RanOut,
    /// The other meets the latch; the stopped one had passed its commit point.
    Committed,
    /// The stopped one was through with it; the other comes after it.
    Over,
}

/// The steps of a write, and how it ends if stopped before or after each.
const STEPS: [(&str, Ends, Ends); 9] = [
    ("stage", Ends::TakenOver, Ends::TakenOver),
    ("latch", Ends::TakenOver, Ends::RanOut),
    ("hash", Ends::RanOut, Ends::RanOut),
    ("begin_commit", Ends::RanOut, Ends::Committed),
    ("swap", Ends::Committed, Ends::Committed),
    ("keep", Ends::Committed, Ends::Committed),
    ("sync_names", Ends::Committed, Ends::Committed),
    ("finish_commit", Ends::Committed, Ends::Committed),
    ("unlatch", Ends::Committed, Ends::Over),
];

fn stop_at_every_step(side: &str, way: Way) {
    let dir = repository(HASTY);
    let mut b = Server::start(dir.path(), "b");
    for (step, before, after) in STEPS {
        let ends = if side == "before" { before } else { after };
        let path = format!("{step}.txt");
        b.ok("write_file", json!({ "path": path, "content": OLD }));
        let point = format!("stop@{side}:{step}");
        stop_at(&dir, &mut b, &path, &point, way, ends);
    }
}

/// A is stopped at `point` of its change; B writes; A goes on.
fn stop_at(dir: &TempDir, b: &mut Server, path: &str, point: &str, way: Way, ends: Ends) {
    let mut a = Server::with_env(dir.path(), "a", &[("MAASL_FAULT", point)]);
    a.ok("read_file", json!({ "path": path }));
    let (tool, arguments) = way.request(path);
    let id = a.send(tool, arguments);
    a.wait_stopped();
    let found = b.ok("read_file", json!({ "path": path }))["content"].clone();
    let by_b = b.call("write_file", write(path, BY_B, found.as_str().unwrap()));
    a.go_on();
    let by_a = a.result(id);
    let told = format!("{way:?} {point}: a was told {by_a}, b {by_b}");
    answers_fit(&a, &by_a, &by_b, ends, &told);
    let expected: &[&str] = match ends {
        Ends::TakenOver => &[OLD, BY_B],
        Ends::RanOut => &[OLD],
        Ends::Committed => &[OLD, BY_A],
        Ends::Over => &[OLD, BY_A, BY_B],
    };
    assert_eq!(contents(b, path), hashes(expected), "{told}");
    let held = std::fs::read_to_string(dir.path().join(path)).unwrap();
    assert_eq!(Some(&held.as_str()), expected.last(), "{told}");
    nothing_is_left(&mut a, b, path, &told);
}

fn answers_fit(a: &Server, by_a: &Value, by_b: &Value, ends: Ends, told: &str) {
    let b_wrote = matches!(ends, Ends::TakenOver | Ends::Over);
    let a_wrote = matches!(ends, Ends::Committed | Ends::Over);
    assert_eq!(
        (by_a["ok"] == true, by_b["ok"] == true),
        (a_wrote, b_wrote),
        "{told}"
    );
    if !b_wrote {
        let busy = &by_b["error"];
        assert_eq!(busy["code"], "resource_busy", "{told}");
        assert_eq!(busy["process"]["pid"], a.pid(), "{told}");
        assert_eq!(busy["process"]["stopped"], true, "{told}");
    }
    let error = &by_a["error"];
    match ends {
        Ends::TakenOver if error["code"] == "lease_lost" => {
            assert_eq!(error["lost_lease"]["by"], "b", "{told}");
        }
        Ends::TakenOver => {
            assert_eq!(error["code"], "stale_version", "{told}");
            assert_eq!(error["changed_by"]["agent"], "b", "{told}");
        }
        Ends::RanOut => {
            assert_eq!(error["code"], "lease_lost", "{told}");
            assert_eq!(error["lost_lease"]["end"], "expired", "{told}");
        }
        Ends::Committed | Ends::Over => {}
    }
    if a_wrote && b_wrote {
        let token = |answer: &Value| answer["fencing_token"].as_u64().unwrap();
        assert!(token(by_a) < token(by_b), "{told}");
    }
}

/// Neither a latch nor a lease is left, and what was displaced can be put back
/// by whoever was stopped as well as by the other.
fn nothing_is_left(a: &mut Server, b: &mut Server, path: &str, told: &str) {
    // A lease that could not be returned, because returning it needs the latch
    // that was taken, runs out.
    until("nobody renews what was refused", || {
        leased(b).iter().all(|lock| lock["is_expired"] == true)
    });
    for server in [&mut *a, &mut *b] {
        let last = history(server, path).last().unwrap().version;
        server.ok("read_file", json!({ "path": path }));
        let again = json!({ "path": path, "content": format!("after {last}\n") });
        server.ok("write_file", again);
        server.ok("file_restore", json!({ "path": path, "version": 1 }));
        let read = server.ok("read_file", json!({ "path": path }));
        assert_eq!(read["content"], OLD, "{told}");
        let versions = history(server, path);
        let displaced = &versions[..versions.len() - 1];
        assert!(
            displaced.iter().all(|version| version.kept),
            "{told}: {versions:?}"
        );
    }
    assert_eq!(leased(b), Vec::<Value>::new(), "{told}");
}

fn write(path: &str, content: &str, base: &str) -> Value {
    let base = sha256(base);
    json!({
        "path": path, "content": content, "base_sha256": base, "max_wait_ms": LONG_MS,
    })
}

fn under(lease: &Value, mut arguments: Value) -> Value {
    arguments["lease"] = lease["lease"].clone();
    arguments
}

fn contents(server: &mut Server, path: &str) -> Vec<Option<String>> {
    let versions = history(server, path);
    versions.into_iter().map(|version| version.sha256).collect()
}

fn hashes(contents: &[&str]) -> Vec<Option<String>> {
    contents
        .iter()
        .map(|content| Some(sha256(content)))
        .collect()
}
