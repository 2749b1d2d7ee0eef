//! SQLite: real processes on one store, some of them stopped or killed.

use std::fs;
use std::path::Path;

use maasl_core::lease::Command;
use maasl_node::store::{GateHolder, OpenOptions, SqliteStore, Store, StoreError};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::bench::{ask, granted, open, options, owner};
use super::child::Actor;

fn impatient(root: &Path) -> SqliteStore {
    let options = OpenOptions {
        gate_wait_ms: 30,
        ..options()
    };
    open(root, options)
}

fn refused_by(store: &SqliteStore) -> GateHolder {
    match store.transact(&Command::Acquire(ask("a", "x"))) {
        Err(StoreError::Busy {
            holder: Some(holder),
            waited_ms,
        }) => {
            assert!(waited_ms >= 30);
            holder
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_process_in_the_gate_is_named_and_waited_out() {
    let root = tempfile::tempdir().unwrap();
    let store = impatient(root.path());
    let mut actor = Actor::start("stand in the gate", root.path(), "child");
    assert_eq!(actor.says().unwrap(), "inside");
    for _ in 0..2 {
        let holder = refused_by(&store);
        assert_eq!(holder.pid, actor.child.id());
        assert_eq!(holder.session, Some(owner("child").session.to_string()));
        assert!(!holder.stopped);
        assert!(holder.since_ms > 0 && holder.command.is_some());
    }
    store.counters().expect("looking needs no gate");
    actor.end();
    granted(store.transact(&Command::Acquire(ask("a", "x"))).unwrap());
}

#[test]
fn a_stopped_process_in_the_gate_is_said_to_be_stopped() {
    let root = tempfile::tempdir().unwrap();
    let store = impatient(root.path());
    let mut actor = Actor::start("stand in the gate", root.path(), "child");
    assert_eq!(actor.says().unwrap(), "inside");
    let pid = Pid::from_child(&actor.child);
    kill_process(pid, Signal::STOP).unwrap();
    waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    let holder = refused_by(&store);
    assert_eq!((holder.pid, holder.stopped), (actor.child.id(), true));
    kill_process(pid, Signal::KILL).unwrap();
    actor.child.wait().unwrap();
    granted(store.transact(&Command::Acquire(ask("a", "x"))).unwrap());
}

#[test]
fn a_holder_that_left_no_record_is_named_by_the_system() {
    let root = tempfile::tempdir().unwrap();
    let store = impatient(root.path());
    let mut actor = Actor::start("lock the gate file", root.path(), "");
    assert_eq!(actor.says().unwrap(), "inside");
    let holder = refused_by(&store);
    assert_eq!((holder.pid, holder.session), (actor.child.id(), None));
}

#[test]
fn four_processes_exclude_each_other_and_share_one_row_of_tokens() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("number"), "0").unwrap();
    let start = |name: u32| Actor::start("count", root.path(), &name.to_string());
    let mut actors: Vec<Actor> = (0..4).map(start).collect();
    let mut all = Vec::new();
    for actor in &mut actors {
        let own: Vec<u64> = std::iter::from_fn(|| actor.says())
            .map(|token| token.parse().unwrap())
            .collect();
        assert_eq!(own.len(), 100);
        assert!(own.windows(2).all(|pair| pair[0] < pair[1]));
        all.extend(own);
    }
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 400);
    let number = fs::read_to_string(root.path().join("number")).unwrap();
    assert_eq!(number, "400");
}

#[test]
fn killed_writers_leave_a_sound_store() {
    let root = tempfile::tempdir().unwrap();
    let mut newest = 0;
    for round in 0..12_usize {
        let start = |name: &str| Actor::start("write until killed", root.path(), name);
        let mut actors = ["a", "b"].map(|name| start(&format!("{name}{round}")));
        for actor in &mut actors {
            for _ in 0..=(round * 3) {
                let token = actor.says().unwrap().parse().unwrap();
                newest = newest.max(token);
            }
        }
        for actor in &mut actors {
            actor.child.kill().unwrap();
            while let Some(token) = actor.says() {
                newest = newest.max(token.parse().unwrap_or(0));
            }
        }
    }
    let store = open(root.path(), options());
    let lease = granted(store.transact(&Command::Acquire(ask("z", "z"))).unwrap());
    assert!(lease.token.number() > newest);
    drop(store);
    let db = rusqlite::Connection::open(root.path().join(".maasl/maasl.db")).unwrap();
    let found: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(found, "ok");
}
