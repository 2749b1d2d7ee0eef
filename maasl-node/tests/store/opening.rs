//! Contract: tokens, boots, sessions, snapshots.

use maasl_core::id::{LeaseId, Token};
use maasl_core::lease::command::{Acquire, Open, Sweep};
use maasl_core::lease::{Command, Outcome};

use super::bench::{BOOT, Bench, ask, owner, session};

pub(crate) fn tokens_strictly_increase(bench: &Bench) {
    let mut newest = Token::default();
    // Past the end of the first reserved block.
    for n in 0..1_500 {
        let lease = bench.take(Acquire {
            lease: LeaseId::new(format!("lease-{n}")),
            ..ask("a", "x")
        });
        assert!(lease.token > newest);
        newest = lease.token;
        bench.give(&lease);
    }
}

fn boot(name: &str) -> Command {
    Command::Open(Open {
        store: "unused".into(),
        boot: name.into(),
        floor: Token::default(),
        first_sequence: 1,
        session: Some(session("a")),
    })
}

pub(crate) fn a_new_boot_ends_leases_and_raises_the_generation(bench: &Bench) {
    let old = bench.take(ask("a", "x"));
    bench.queue(ask("b", "x"));
    let before = bench.store.meta().unwrap();
    bench.run(boot("another boot"));
    let after = bench.store.meta().unwrap();
    assert_eq!(after.generation, before.generation + 1);
    assert_eq!(after.store, before.store);
    let outcome = bench.run(Command::Renew(old.id.clone()));
    assert!(matches!(outcome, Outcome::Lost { .. }), "{outcome:?}");
    let lease = bench.take(Acquire {
        latched: old.keys().cloned().collect(),
        ..ask("c", "x")
    });
    assert!(lease.token > old.token);
    assert_eq!(lease.token.generation(), after.generation);
}

pub(crate) fn a_reservation_never_goes_down(bench: &Bench) {
    bench.take(ask("a", "x"));
    let reserved = bench.store.meta().unwrap().reserved_through;
    assert!(reserved > Token::default());
    bench.run(Command::Reserve(Token::default()));
    assert_eq!(bench.store.meta().unwrap().reserved_through, reserved);
}

pub(crate) fn sweeping_forgets_the_dead_and_wakes_the_living(bench: &Bench) {
    bench.run(boot_with("b"));
    bench.take(ask("a", "x"));
    bench.queue(ask("b", "x"));
    let (living, _) = bench.queue(ask("c", "x"));
    let dead = Sweep {
        dead: [owner("b").session].into(),
    };
    let Outcome::Done { wake } = bench.run(Command::Sweep(dead)) else {
        panic!("not swept");
    };
    assert_eq!(wake[0].ticket, living);
    let Outcome::Snapshot(snapshot) = bench.run(Command::Snapshot) else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.tickets.len(), 1);
    assert!(
        snapshot
            .sessions
            .iter()
            .all(|left| left.id != owner("b").session)
    );
    assert_eq!(snapshot.leases.len(), 1, "leases end by takeover");
}

/// Records a session without changing anything else.
fn boot_with(name: &str) -> Command {
    let Command::Open(open) = boot(BOOT) else {
        unreachable!("it was made above");
    };
    Command::Open(Open {
        session: Some(session(name)),
        ..open
    })
}

pub(crate) fn closing_a_session_removes_its_tickets(bench: &Bench) {
    bench.take(ask("a", "x"));
    bench.run(boot_with("b"));
    bench.take(ask("a2", "y"));
    bench.queue(ask("b", "y"));
    bench.run(Command::CloseSession(owner("b").session));
    let Outcome::Snapshot(snapshot) = bench.run(Command::Snapshot) else {
        panic!("no snapshot");
    };
    assert!(snapshot.tickets.is_empty() && snapshot.sessions.is_empty());
}

pub(crate) fn a_snapshot_hides_lease_ids(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    bench.queue(ask("b", "x"));
    let Outcome::Snapshot(snapshot) = bench.run(Command::Snapshot) else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.leases[0].token, lease.token);
    assert_eq!(snapshot.leases[0].id, LeaseId::default());
    assert_eq!(snapshot.tickets[0].lease, LeaseId::default());
    assert_eq!(snapshot.meta, bench.store.meta().unwrap());
}
