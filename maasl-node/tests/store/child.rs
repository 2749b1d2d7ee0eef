//! Other processes: this test program, run again in one of a few roles.
//!
//! [`role`] is a test that does nothing unless the environment gives it a role.
//! A child says what it did in lines that begin with [`SAYS`].

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use maasl_core::id::LeaseId;
use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, Outcome};
use maasl_node::store::{OpenOptions, SqliteStore, Store, clock};

use super::bench::{ask, open, options, release, session};

const ROLE: &str = "MAASL_TEST_ROLE";
const ROOT: &str = "MAASL_TEST_ROOT";
const NAME: &str = "MAASL_TEST_NAME";
const SAYS: &str = "child says ";

/// A process in a role.
pub(crate) struct Actor {
    pub(crate) child: Child,
    lines: BufReader<ChildStdout>,
}

impl Actor {
    pub(crate) fn start(role: &str, root: &Path, name: &str) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Program::new(program)
            .args(["store::child::role", "--exact", "--nocapture"])
            .env(ROLE, role)
            .env(ROOT, root)
            .env(NAME, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next thing it says; nothing when it has ended.
    pub(crate) fn says(&mut self) -> Option<String> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some(at) = line.find(SAYS) {
                return Some(line[at + SAYS.len()..].trim_end().to_owned());
            }
        }
    }

    /// Lets it go on and waits for its end.
    pub(crate) fn end(mut self) {
        drop(self.child.stdin.take());
        let mut rest = Vec::new();
        self.lines.read_to_end(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Actor {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let root = std::env::var_os(ROOT).unwrap();
    let (root, name) = (Path::new(&root), std::env::var(NAME).unwrap());
    match role.as_str() {
        "stand in the gate" => stand_in_the_gate(root, &name),
        "lock the gate file" => lock_the_gate_file(root),
        "count" => count(root, &name),
        "write until killed" => write_until_killed(root, &name),
        other => panic!("no such role: {other}"),
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it from this pipe")]
fn say(what: impl std::fmt::Display) {
    println!("{SAYS}{what}");
}

fn wait_for_parent() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Stops inside a transaction, where the store reads its clock.
fn stand_in_the_gate(root: &Path, name: &str) {
    let armed = Arc::new(AtomicBool::new(false));
    let (seen, system) = (Arc::clone(&armed), clock::system());
    let store = open(
        root,
        OpenOptions {
            session: Some(session(name)),
            clock: Arc::new(move || {
                if seen.load(Ordering::SeqCst) {
                    say("inside");
                    wait_for_parent();
                }
                system()
            }),
            ..options()
        },
    );
    armed.store(true, Ordering::SeqCst);
    store.transact(&Command::Tally(Vec::new())).unwrap();
}

/// Holds the lock without having said so in the file.
fn lock_the_gate_file(root: &Path) {
    let gate = std::fs::File::open(root.join(".maasl/gate")).unwrap();
    gate.lock().unwrap();
    say("inside");
    wait_for_parent();
}

/// Adds one to a number in a file, a hundred times, each time under a lease on
/// the same key, and says the tokens.
fn count(root: &Path, name: &str) {
    let store = open(root, options());
    let number = root.join("number");
    for n in 0..100 {
        let token = with_lease(&store, &format!("{name}-{n}"), "number", || {
            let text = std::fs::read_to_string(&number).unwrap();
            let next = text.parse::<u32>().unwrap() + 1;
            std::fs::write(&number, next.to_string()).unwrap();
        });
        say(token);
    }
}

fn write_until_killed(root: &Path, name: &str) {
    let store = open(root, options());
    for n in 0.. {
        let token = with_lease(&store, &format!("{name}-{n}"), name, || {});
        say(token);
    }
}

fn with_lease(store: &SqliteStore, id: &str, path: &str, work: impl FnOnce()) -> u64 {
    let ask = Command::Acquire(Acquire {
        lease: LeaseId::new(id),
        ..ask("child", path)
    });
    let lease = loop {
        match store.transact(&ask).unwrap() {
            Outcome::Granted { lease, .. } => break lease,
            Outcome::Busy { .. } => std::thread::yield_now(),
            other => panic!("not granted: {other:?}"),
        }
    };
    work();
    let latched = lease.keys().cloned().collect();
    store.transact(&release(&lease, latched)).unwrap();
    lease.token.number()
}
