//! What is left of sessions that have ended, and who removes it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use maasl_core::id::SessionId;
use maasl_core::lease::Session;
use maasl_node::live::Liveness;
use maasl_node::node::{Node, NodeOptions};
use maasl_node::platform;
use maasl_node::state_dir::StateDir;
use maasl_node::store::{OpenOptions, SqliteStore};
use rustix::fs::{CWD, FileType, Mode, mknodat};

/// Nothing here takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where sessions leave something.
const FOLDERS: [&str; 3] = ["live", "bell", "stage"];

fn open(root: &Path) -> Arc<Node> {
    let options = NodeOptions {
        role: "test".into(),
    };
    Node::open(root, &options).unwrap()
}

/// What is in a folder of the state directory.
fn names(root: &Path, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root.join(".maasl").join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The sessions that the store knows.
fn recorded(node: &Arc<Node>) -> Vec<SessionId> {
    let (snapshot, _) = node.snapshot().unwrap();
    let sessions = snapshot.sessions.into_iter();
    sessions.map(|session| session.id).collect()
}

/// A session that the store knows and that has no process.
fn record(root: &Path, session: &str) {
    let state = StateDir::open(root).unwrap();
    let mut options = OpenOptions::new(platform::boot_identity().unwrap());
    options.session = Some(Session {
        id: SessionId::new(session),
        pid: std::process::id(),
        role: "test".into(),
        started_wall_ms: 0,
    });
    drop(SqliteStore::open(&state, options).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_dead_session_left_is_found_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    let state = dir.path().join(".maasl");
    // Whoever starts makes these in this order, and they are removed the other way
    // round: each is what a death in between may leave.
    fs::write(state.join("live/born"), "").unwrap();
    fs::write(state.join("live/hung"), "").unwrap();
    for bell in ["bell/hung", "bell/alone"] {
        mknodat(CWD, state.join(bell), FileType::Fifo, Mode::RWXU, 0).unwrap();
    }
    fs::create_dir(state.join("stage/staged")).unwrap();
    fs::write(state.join("stage/staged/x"), "content").unwrap();
    node.clean_up().await;
    for folder in FOLDERS {
        let own = [node.session().to_string()];
        assert_eq!(names(dir.path(), folder), own, "{folder}");
    }
    node.close().await;
    for folder in FOLDERS {
        assert_eq!(names(dir.path(), folder), Vec::<String>::new(), "{folder}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lives_or_is_no_session_of_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (node, other) = (open(dir.path()), open(dir.path()));
    fs::create_dir(dir.path().join(".maasl/live/folder")).unwrap();
    fs::write(dir.path().join(".maasl/bell/file"), "").unwrap();
    node.clean_up().await;
    for session in [node.session(), other.session()] {
        for folder in FOLDERS {
            let names = names(dir.path(), folder);
            assert!(names.contains(&session.to_string()), "{folder}: {names:?}");
        }
        assert!(recorded(&node).contains(session));
    }
    assert!(names(dir.path(), "live").contains(&"folder".to_owned()));
    assert!(names(dir.path(), "bell").contains(&"file".to_owned()));
    node.close().await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_only_the_store_knows_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    record(dir.path(), "gone");
    let node = open(dir.path());
    node.clean_up().await;
    assert_eq!(recorded(&node), [node.session().clone()]);
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_the_store_that_leads_elsewhere_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("src");
    for name in ["../../src", folder.to_str().unwrap()] {
        record(dir.path(), name);
    }
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("main.rs"), "mine").unwrap();
    let node = open(dir.path());
    node.clean_up().await;
    let content = fs::read_to_string(folder.join("main.rs")).unwrap();
    assert_eq!(content, "mine");
    node.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_could_not_close_its_session_leaves_it_to_be_found() {
    let dir = tempfile::tempdir().unwrap();
    let limits = "[maasl.limits]\ngate_wait_ms = 20\n";
    fs::write(dir.path().join("maasl.toml"), limits).unwrap();
    let first = open(dir.path());
    first.clean_up().await;
    let session = first.session().clone();
    let gate = File::open(dir.path().join(".maasl/gate")).unwrap();
    gate.lock().unwrap();
    first.close().await;
    drop((gate, first));
    for folder in FOLDERS {
        let left = [session.to_string()];
        assert_eq!(names(dir.path(), folder), left, "{folder}");
    }
    let live = File::open(dir.path().join(".maasl/live")).unwrap();
    let live = Liveness::new(live.into());
    // Its own tasks end by themselves.
    let ended = async {
        while !live.is_dead(&session).unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    let second = open(dir.path());
    second.clean_up().await;
    assert_eq!(recorded(&second), [second.session().clone()]);
    for folder in FOLDERS {
        let own = [second.session().to_string()];
        assert_eq!(names(dir.path(), folder), own, "{folder}");
    }
    second.close().await;
}
