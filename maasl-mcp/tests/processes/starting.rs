//! Servers that stop or die while they start, and those that keep others from it.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{maasl, until};
use crate::harness::{Server, repository};

/// Where sessions leave something.
const FOLDERS: [&str; 3] = ["live", "bell", "stage"];

/// A server that is to stop or die before it can be greeted; its input stays open.
struct Starting(Child);

impl Starting {
    fn with(dir: &TempDir, fault: &str) -> Self {
        let mut serve = maasl(dir.path(), &["serve"]);
        serve.env("MAASL_FAULT", fault);
        serve.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(serve.spawn().unwrap())
    }

    fn wait_stopped(&self) {
        let changed = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.0)), changed).unwrap();
        assert!(status.is_some_and(|status| status.stopped()), "it ended");
    }

    fn go_on(&self) {
        kill_process(Pid::from_child(&self.0), Signal::CONT).unwrap();
    }

    fn killed_itself(&mut self) {
        let status = self.0.wait().unwrap();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
    }

    /// Ends its input and waits for its good end.
    fn close(&mut self) {
        drop(self.0.stdin.take());
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Starting {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn state(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(".maasl").join(name)
}

/// The sessions that have left something in a folder.
fn sessions(dir: &TempDir, folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(state(dir, folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Whether the process of a session lives, by its file.
fn lives(dir: &TempDir, session: &str) -> bool {
    let Ok(file) = File::open(state(dir, "live").join(session)) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Runs a command that is to end by itself, and fails where it does not: exit code,
/// standard output, standard error.
fn in_time(mut command: Command) -> (Option<i32>, String, String) {
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    until("it ends by itself", || child.try_wait().unwrap().is_some());
    let Output {
        status,
        stdout,
        stderr,
    } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn who_is_taken_for_dead_before_it_lives_starts_all_the_same() {
    let dir = repository("");
    let mut newborn = Starting::with(&dir, "stop@before:lock_life");
    newborn.wait_stopped();
    let born = sessions(&dir, "live");
    assert_eq!(born.len(), 1);
    let mut other = Server::start(dir.path(), "other");
    until("its file is removed", || {
        sessions(&dir, "live").is_disjoint(&born)
    });
    newborn.go_on();
    until("it lives", || {
        born.iter().all(|session| lives(&dir, session))
    });
    // Whoever starts next looks for the dead, and does not find it among them.
    until("it has started", || {
        sessions(&dir, "stage").is_superset(&born)
    });
    let next = Server::start(dir.path(), "next");
    other.ok("llmc_locks", json!({}));
    next.close();
    assert!(born.iter().all(|session| lives(&dir, session)));
    newborn.close();
    assert!(sessions(&dir, "live").is_disjoint(&born));
    other.close();
}

#[test]
fn what_a_death_at_the_start_leaves_is_removed_by_the_next() {
    let dir = repository("");
    for step in ["lock_life", "open_stage"] {
        Starting::with(&dir, &format!("kill@before:{step}")).killed_itself();
        let left = sessions(&dir, "live");
        assert_eq!(left.len(), 1, "{step}");
        let next = Server::start(dir.path(), "next");
        until("only what lives is there", || {
            FOLDERS.iter().all(|folder| {
                let found = sessions(&dir, folder);
                found.len() == 1 && found.is_disjoint(&left)
            })
        });
        next.close();
        for folder in FOLDERS {
            assert_eq!(sessions(&dir, folder), BTreeSet::new(), "{step}: {folder}");
        }
    }
}

#[test]
fn who_is_stopped_with_the_floor_keeps_nobody_waiting_for_ever_and_is_named() {
    let dir = repository("");
    let point = [("MAASL_FAULT", "stop@before:raise_floor")];
    let mut a = Server::with_env(dir.path(), "a", &point);
    let id = a.send("lease_acquire", json!({ "resources": [{ "id": "f" }] }));
    a.wait_stopped();
    let pid = a.pid().to_string();
    let command = |arguments: &[&str]| in_time(maasl(dir.path(), arguments));
    let (served, examined) = std::thread::scope(|scope| {
        let served = scope.spawn(|| command(&["serve"]));
        let examined = command(&["doctor", "--json"]);
        (served.join().unwrap(), examined)
    });
    let (code, _, err) = served;
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains(&pid) && err.contains("kill -CONT"), "{err}");
    let (code, out, err) = examined;
    assert_eq!(code, Some(1), "{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    for name in ["store", "stopped process"] {
        let mut checks = report["checks"].as_array().unwrap().iter();
        let check = checks.find(|check| check["check"] == name).unwrap();
        let found = check["found"].as_str().unwrap();
        assert!(found.contains(&pid), "{name}: {found}");
    }
    a.go_on();
    assert_eq!(a.result(id)["ok"], true);
    a.close();
    Server::start(dir.path(), "b").close();
}
