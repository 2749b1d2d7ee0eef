//! The floor under the tokens, whatever a power cut takes of the store.
//!
//! Owns: a program that opens a store, is granted a token and removes the database,
//! several times; judging what is left of it. Promises: nothing but the floor says
//! which tokens were issued: the wall clock stands still at its beginning, and the
//! state is opened with its database and without. Leaves to others: the rest of
//! I2, which every other script is judged for.

use std::path::Path;
use std::sync::Arc;

use maasl_core::id::{AgentId, LeaseId, Owner, SessionId};
use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, Outcome, StoreClock};
use maasl_core::policy::CRIT_CODE;
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::time::Timestamp;
use maasl_node::state_dir::StateDir;
use maasl_node::store::{OpenOptions, SqliteStore, Store};

use super::campaign::{record_program, scratch};
use super::cuts::{self, Cuts};
use super::disk::{Disk, Op};

pub(crate) const SCRIPT: &str = "floor";

const ROUNDS: u64 = 3;
const DATABASE: [&str; 3] = ["maasl.db", "maasl.db-wal", "maasl.db-shm"];

/// Judges at least so many states.
pub(crate) fn survives(states_min: usize) {
    let disk = record();
    let cuts = cuts::enumerate(&disk, cuts::bound());
    let wrong = first_wrong(&disk, &cuts);
    assert!(wrong.is_none(), "{wrong:?}");
    assert!(
        cuts.states.len() >= states_min,
        "only {}",
        cuts.states.len()
    );
    tell(&format!("{} states", cuts.states.len()));
}

/// Expects tokens to go back where the floor is not synced.
pub(crate) fn is_reported() {
    let disk = record();
    let (planted, left_out) = disk.without_syncs(|path| path == ".maasl/floor");
    assert!(left_out > 0, "nothing syncs the floor");
    let sound = cuts::enumerate(&disk, 0);
    let cuts = cuts::enumerate(&planted, 0).beyond(&sound);
    let wrong = first_wrong(&planted, &cuts);
    tell(&format!("without {left_out} syncs, {wrong:?}"));
    assert!(
        wrong.is_some(),
        "none of {} states is wrong",
        cuts.states.len()
    );
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what this test is asked for"
)]
fn tell(what: &str) {
    println!("floor: {what}");
}

fn record() -> Disk {
    let (_dir, root) = scratch();
    record_program("floor", &root, SCRIPT)
}

/// The program: tokens are said as soon as they are issued.
pub(crate) fn run(root: &Path, say: impl Fn(&str)) {
    say("begin");
    for round in 0..ROUNDS {
        let store = open(root, "one");
        say(&format!("asked {round}"));
        say(&format!("answered {round} {}", token(&store, round)));
        drop(store);
        for name in DATABASE {
            let _ = std::fs::remove_file(root.join(".maasl").join(name));
        }
    }
}

fn first_wrong(disk: &Disk, cuts: &Cuts) -> Option<String> {
    for state in &cuts.states {
        let issued = issued(disk, state.progress.answered);
        for keep in [true, false] {
            let (_dir, root) = scratch();
            cuts::build(disk, &state.tree, &root);
            if !keep {
                for name in DATABASE {
                    let _ = std::fs::remove_file(root.join(".maasl").join(name));
                }
            }
            let next = token(&open(&root, "another"), ROUNDS);
            if Some(next) <= issued {
                return Some(format!(
                    "token {next} after {issued:?}, the power cut before {} and the database {}",
                    state.cut,
                    if keep { "kept" } else { "removed" }
                ));
            }
        }
    }
    None
}

/// The highest token that was said up to there.
fn issued(disk: &Disk, answered: usize) -> Option<u64> {
    let said = disk.ops.iter().filter_map(|op| match op {
        Op::Mark(said) => said.strip_prefix("answered ")?.split_once(' '),
        _ => None,
    });
    said.take(answered)
        .map(|(_, token)| token.parse().unwrap())
        .max()
}

fn open(root: &Path, boot: &str) -> SqliteStore {
    let mut options = OpenOptions::new(boot);
    options.clock = Arc::new(|| StoreClock {
        now: Timestamp::from_ns(1),
        wall_ms: 0,
    });
    SqliteStore::open(&StateDir::open(root).unwrap(), options).unwrap()
}

fn token(store: &SqliteStore, round: u64) -> u64 {
    let key = ResourceKey::new("code", &round.to_string());
    let owner = Owner {
        session: SessionId::new("session"),
        agent: AgentId::new("a"),
    };
    let lease = LeaseId::new(format!("lease {round}"));
    let wants = [Want::exclusive(key, CRIT_CODE)].into();
    let ask = Acquire::at_once(lease, owner, wants, 30_000);
    match store.transact(&Command::Acquire(ask)).unwrap() {
        Outcome::Granted { lease, .. } => lease.token.number(),
        other => panic!("not granted: {other:?}"),
    }
}
