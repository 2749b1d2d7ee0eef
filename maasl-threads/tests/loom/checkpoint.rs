//! Asking a thread for checkpoints.

use loom::sync::Arc;
use loom::thread;
use maasl_threads::checkpoint::{Asked, Checkpoint, Lengths};
use maasl_threads::sync::planted;

use crate::explore::Search;

const DUE: u32 = 4;
const LONG: u32 = 32;

fn asked() -> Arc<Asked> {
    Arc::new(Asked::new(Lengths {
        due_pages: DUE,
        long_pages: LONG,
    }))
}

fn commit(asked: &Arc<Asked>, log_pages: u32) -> thread::JoinHandle<()> {
    let asked = Arc::clone(asked);
    thread::spawn(move || asked.committed(log_pages))
}

/// The second is due whether or not the first was seen.
fn two_commits() {
    let asked = asked();
    let commits = [2 * DUE, LONG].map(|log_pages| commit(&asked, log_pages));
    while asked.next().expect("nobody has ended it") != Checkpoint::Long {}
    for commit in commits {
        commit.join().unwrap();
    }
}

#[test]
fn a_long_checkpoint_is_not_forgotten_for_a_short_one() {
    Search::Interrupted(3).of(200, two_commits);
}

#[test]
fn a_lost_wake_up_of_the_checkpointing_thread_is_found() {
    Search::Whole.finds(
        "checkpoint::a_lost_wake_up_of_the_checkpointing_thread_is_found",
        "deadlock",
        || {
            planted::LOSES_NOTIFICATIONS.set(true);
            two_commits();
        },
    );
}

#[test]
fn the_end_is_told_whatever_was_asked_before() {
    Search::Whole.of(20, || {
        let asked = asked();
        let serves = Arc::clone(&asked);
        let served = thread::spawn(move || {
            let mut served = 0;
            while serves.next().is_some() {
                served += 1;
            }
            served
        });
        asked.committed(DUE);
        asked.committed(LONG);
        asked.end();
        assert!(served.join().unwrap() <= 2, "each is made once");
    });
}
