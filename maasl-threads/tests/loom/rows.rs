//! The rows of a store in memory.

use std::collections::BTreeSet;

use loom::sync::{Arc, Mutex};
use loom::thread;
use maasl_core::id::{AgentId, LeaseId, Owner, SessionId};
use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, LeaseKind, MemoryRows, Outcome, StoreClock};
use maasl_core::policy::CRIT_CODE;
use maasl_core::resource::{Extent, Mode, ResourceKey, Scope, Want};
use maasl_core::time::Timestamp;
use maasl_threads::rows::SharedRows;

use crate::explore::Search;

fn clock() -> StoreClock {
    StoreClock {
        now: Timestamp::from_ns(1),
        wall_ms: 1,
    }
}

/// `agent` asks for a file, and does not wait.
fn acquire(agent: &str, path: &str) -> Command {
    let want = Want {
        extent: Extent {
            key: ResourceKey::new("code", path),
            scope: Scope::Exact,
        },
        mode: Mode::Exclusive,
        class: CRIT_CODE.into(),
    };
    let owner = Owner {
        session: SessionId::new(agent),
        agent: AgentId::new(agent),
    };
    Command::Acquire(Acquire {
        kind: LeaseKind::Reservation,
        ..Acquire::at_once(LeaseId::new(agent), owner, [want].into(), 1_000)
    })
}

fn is_granted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Granted { .. })
}

#[test]
fn of_two_who_ask_at_once_one_is_granted() {
    Search::Whole.of(2, || {
        let rows = Arc::new(SharedRows::open(clock()));
        let others = Arc::clone(&rows);
        let other = thread::spawn(move || others.transact(&acquire("bob", "f"), clock));
        let own = rows.transact(&acquire("ann", "f"), clock);
        let other = other.join().unwrap();
        assert!(is_granted(&own) != is_granted(&other), "two holders");
        assert_eq!(rows.lock().leases().count(), 1);
    });
}

#[test]
fn no_two_leases_have_one_token() {
    Search::Whole.of(2, || {
        let rows = Arc::new(SharedRows::open(clock()));
        let others = Arc::clone(&rows);
        let other = thread::spawn(move || others.transact(&acquire("bob", "f"), clock));
        let own = rows.transact(&acquire("ann", "g"), clock);
        assert!(is_granted(&own) && is_granted(&other.join().unwrap()));
        let rows = rows.lock();
        let tokens: BTreeSet<_> = rows.leases().map(|lease| lease.token).collect();
        assert_eq!(tokens.len(), 2);
    });
}

/// Decides on a copy of the rows and puts it in their place.
fn on_a_copy(rows: &Mutex<MemoryRows>, command: &Command) -> Outcome {
    let mut copy = rows.lock().unwrap().clone();
    let outcome = copy.transact(command, clock());
    *rows.lock().unwrap() = copy;
    outcome
}

#[test]
fn a_decision_outside_of_the_mutex_is_found() {
    Search::Whole.finds(
        "rows::a_decision_outside_of_the_mutex_is_found",
        "two holders",
        || {
            let opened = SharedRows::open(clock());
            // Reserves tokens, so that the next command is decided at once.
            opened.transact(&acquire("zoe", "z"), clock);
            let rows = Arc::new(Mutex::new(opened.lock().clone()));
            let others = Arc::clone(&rows);
            let other = thread::spawn(move || on_a_copy(&others, &acquire("bob", "f")));
            let own = on_a_copy(&rows, &acquire("ann", "f"));
            let other = other.join().unwrap();
            assert!(is_granted(&own) != is_granted(&other), "two holders");
        },
    );
}
