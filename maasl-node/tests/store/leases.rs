//! Contract: granting, waiting, ending.

use std::collections::BTreeSet;

use maasl_core::id::{AgentId, ContentHash, LeaseId};
use maasl_core::lease::command::{Acquire, Inspect, Revoke};
use maasl_core::lease::outcome::Inspected;
use maasl_core::lease::{Command, LeaseEnd, LeaseKind, Outcome, RequestKey};
use maasl_core::policy::Urgency;
use maasl_core::resource::{Mode, Scope};

use super::bench::{Bench, TTL_MS, ask, ask_for, extent, key, owner, release, request, want};

pub(crate) fn a_grant_is_answered_again_to_the_same_id(bench: &Bench) {
    let first = bench.take(ask("a", "x"));
    assert_eq!(bench.take(ask("a", "x")), first);
    assert_eq!(bench.count("acquired"), 1);
}

pub(crate) fn a_conflict_is_refused_and_names_the_holder(bench: &Bench) {
    let held = bench.take(ask("a", "x"));
    bench.time.pass_ms(1_000);
    let outcome = bench.run(Command::Acquire(ask("b", "x")));
    let Outcome::Busy {
        blockers, place: 0, ..
    } = outcome
    else {
        panic!("not refused: {outcome:?}");
    };
    assert_eq!(blockers.len(), 1);
    assert_eq!(blockers[0].owner, owner("a"));
    assert_eq!(blockers[0].token, Some(held.token));
    assert_eq!(blockers[0].held_ms, 1_000);
    assert_eq!(blockers[0].expires_in_ms, TTL_MS - 1_000);
    bench.take(ask("b", "y"));
}

pub(crate) fn waiters_are_served_in_order(bench: &Bench) {
    let held = bench.take(ask("a", "x"));
    let (first, place_first) = bench.queue(ask("b", "x"));
    let (second, place_second) = bench.queue(ask("c", "x"));
    assert!(first < second);
    assert_eq!((place_first, place_second), (0, 1));
    bench.give(&held);
    bench.refuse(ask("d", "x"));
    assert_eq!(bench.queue(with_ticket("c", second)), (second, 1));
    let lease = bench.take(with_ticket("b", first));
    bench.give(&lease);
    bench.take(with_ticket("c", second));
}

fn with_ticket(name: &str, ticket: maasl_core::id::TicketNo) -> Acquire {
    Acquire {
        ticket: Some(ticket),
        ..ask(name, "x")
    }
}

pub(crate) fn interactive_passes_batch_three_times(bench: &Bench) {
    let held = bench.take(ask("a", "x"));
    let batch = Acquire {
        urgency: Urgency::Batch,
        ..ask("b", "x")
    };
    bench.queue(batch);
    bench.give(&held);
    for n in 0..3 {
        let lease = bench.take(Acquire {
            lease: LeaseId::new(format!("pass-{n}")),
            ..ask("c", "x")
        });
        bench.give(&lease);
    }
    bench.refuse(ask("c", "x"));
}

pub(crate) fn a_cancelled_waiter_is_forgotten(bench: &Bench) {
    let held = bench.take(ask("a", "x"));
    let (first, _) = bench.queue(ask("b", "x"));
    let (second, _) = bench.queue(ask("c", "x"));
    let Outcome::Done { wake } = bench.run(Command::Cancel(first)) else {
        panic!("a cancel always succeeds");
    };
    assert_eq!(wake.len(), 1, "whoever was behind looks again");
    bench.give(&held);
    bench.take(with_ticket("c", second));
    bench.run(Command::Cancel(first));
}

pub(crate) fn a_set_is_granted_whole_or_not_at_all(bench: &Bench) {
    let pair = |name: &str| ask_for(name, vec![exact("p"), exact("q")]);
    let held = bench.take(ask("a", "q"));
    bench.refuse(pair("b"));
    let free = bench.take(ask("c", "p"));
    bench.give(&free);
    bench.give(&held);
    let both = bench.take(pair("b"));
    bench.refuse(ask("c", "p"));
    bench.refuse(ask("c", "q"));
    bench.give(&both);
    bench.take(ask("c", "p"));
}

fn exact(path: &str) -> maasl_core::resource::Want {
    want(path, Scope::Exact, Mode::Exclusive)
}

pub(crate) fn an_expired_lease_is_taken_over_under_its_latches(bench: &Bench) {
    let old = bench.take(Acquire {
        lock_delay_ms: 500,
        ..ask("a", "x")
    });
    bench.time.pass_ms(TTL_MS);
    bench.refuse(ask("b", "x"));
    bench.time.pass_ms(500);
    let outcome = bench.run(Command::Acquire(ask("b", "x")));
    assert_eq!(
        outcome,
        Outcome::NeedLatches {
            keys: vec![key("x")]
        }
    );
    let latched = Acquire {
        latched: [key("x")].into(),
        ..ask("b", "x")
    };
    let Outcome::Granted {
        lease, taken_over, ..
    } = bench.run(Command::Acquire(latched))
    else {
        panic!("not taken over");
    };
    assert_eq!(taken_over, [owner("a")]);
    assert!(lease.token > old.token);
    let Outcome::Lost {
        ended: Some(ended), ..
    } = bench.run(Command::Verify(old.id))
    else {
        panic!("the old holder is not told");
    };
    let by = owner("b");
    assert_eq!(
        ended.end,
        LeaseEnd::TakenOver {
            by,
            token: lease.token
        }
    );
    assert_eq!(bench.count("takeovers"), 1);
}

pub(crate) fn renewal_after_expiry_is_refused(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    bench.time.pass_ms(TTL_MS);
    let outcome = bench.run(Command::Renew(lease.id));
    assert!(
        matches!(
            outcome,
            Outcome::Lost {
                expired: Some(_),
                ..
            }
        ),
        "{outcome:?}"
    );
    assert_eq!(bench.count("lost_leases"), 1);
}

pub(crate) fn renewal_extends_and_keeps_the_keys(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    bench.time.pass_ms(TTL_MS - 1);
    let outcome = bench.run(Command::Renew(lease.id.clone()));
    assert!(
        matches!(
            outcome,
            Outcome::Held {
                expires_in_ms: TTL_MS,
                ..
            }
        ),
        "{outcome:?}"
    );
    bench.time.pass_ms(TTL_MS - 1);
    bench.refuse(ask("b", "x"));
    bench.give(&lease);
    bench.take(ask("b", "x"));
}

pub(crate) fn release_wakes_whom_it_may_serve(bench: &Bench) {
    let held = bench.take(ask_for("a", vec![exact("x"), exact("y")]));
    let (for_x, _) = bench.queue(ask("b", "x"));
    bench.queue(ask("c", "x"));
    let (for_y, _) = bench.queue(ask("d", "y"));
    let Outcome::Released { wake, .. } = bench.give(&held) else {
        panic!("not released");
    };
    let woken: Vec<_> = wake.iter().map(|wake| wake.ticket).collect();
    assert_eq!(woken, [for_x, for_y]);
    assert_eq!(wake[0].session, owner("b").session);
}

pub(crate) fn a_lease_ends_only_under_its_latches(bench: &Bench) {
    let lease = bench.take(ask("a", "x"));
    let outcome = bench.run(release(&lease, BTreeSet::new()));
    assert_eq!(
        outcome,
        Outcome::NeedLatches {
            keys: vec![key("x")]
        }
    );
    bench.refuse(ask("b", "x"));
    assert!(matches!(bench.give(&lease), Outcome::Released { .. }));
    assert!(matches!(bench.give(&lease), Outcome::Lost { .. }));
}

pub(crate) fn subtrees_overlap_both_ways(bench: &Bench) {
    let tree =
        |name: &str, path: &str| ask_for(name, vec![want(path, Scope::Subtree, Mode::Exclusive)]);
    let above = bench.take(tree("a", "src"));
    bench.refuse(ask("b", "src/deep/file"));
    bench.refuse(ask("b", "src"));
    bench.refuse(tree("b", ""));
    bench.take(ask("b", "docs/file"));
    bench.give(&above);
    let below = bench.take(ask("b", "src/deep/file"));
    bench.refuse(tree("a", "src"));
    bench.refuse(tree("a", ""));
    bench.take(ask("c", "src"));
    bench.give(&below);
    bench.queue(tree("a", "src"));
    bench.refuse(ask("d", "src/other"));
}

pub(crate) fn names_that_begin_alike_do_not_overlap(bench: &Bench) {
    for path in ["src", "src/%", "src/_"] {
        bench.take(ask_for("a", vec![want(path, Scope::Subtree, Mode::Shared)]));
    }
    for path in ["src-old/a", "src0", "srd", "other/src/a"] {
        bench.take(ask("b", path));
    }
    bench.refuse(ask("b", "src/a"));
}

pub(crate) fn shared_excludes_exclusive_only(bench: &Bench) {
    let shared = |name: &str| ask_for(name, vec![want("x", Scope::Exact, Mode::Shared)]);
    let one = bench.take(shared("a"));
    let two = bench.take(shared("b"));
    bench.refuse(ask("c", "x"));
    bench.give(&one);
    bench.refuse(ask("c", "x"));
    bench.give(&two);
    bench.take(ask("c", "x"));
    bench.refuse(shared("a"));
}

pub(crate) fn a_circle_is_refused(bench: &Bench) {
    let reservation = |name: &str, path: &str| Acquire {
        kind: LeaseKind::Reservation,
        ..ask(name, path)
    };
    bench.take(reservation("a", "x"));
    bench.take(reservation("b", "y"));
    bench.queue(reservation("a", "y"));
    let closing = Acquire {
        wait_ms: 10_000,
        ..reservation("b", "x")
    };
    let outcome = bench.run(Command::Acquire(closing));
    let circle = vec![owner("b"), owner("a")];
    let wake = Vec::new();
    assert_eq!(outcome, Outcome::Deadlock { circle, wake });
}

pub(crate) fn an_idempotent_acquire_has_one_effect(bench: &Bench) {
    let keyed = |lease: &str| Acquire {
        lease: LeaseId::new(lease),
        request: Some(request("key-1")),
        ..ask("a", "x")
    };
    let lease = bench.take(keyed("one"));
    let again = bench.run(Command::Acquire(keyed("two")));
    let recalled = bench.run(Command::Recall(request("key-1")));
    assert!(matches!(again, Outcome::Answered(_)), "{again:?}");
    assert_eq!(again, recalled);
    assert_eq!(bench.count("acquired"), 1);
    let other = RequestKey {
        fingerprint: ContentHash::of(b"something else"),
        ..request("key-1")
    };
    assert_eq!(bench.run(Command::Recall(other)), Outcome::KeyMismatch);
    assert_eq!(
        bench.run(Command::Recall(request("key-2"))),
        Outcome::NotAnswered
    );
    assert!(matches!(
        bench.run(Command::Verify(lease.id)),
        Outcome::Held { .. }
    ));
}

pub(crate) fn revocation_tells_the_holder(bench: &Bench) {
    let held = bench.take(ask("a", "src/x"));
    let kept = bench.take(ask("a", "docs/x"));
    let (waiter, _) = bench.queue(ask("b", "src/x"));
    let revoke = |latched| {
        Command::Revoke(Revoke {
            target: extent("src", Scope::Subtree),
            by: AgentId::new("human"),
            reason: "stuck".into(),
            latched,
        })
    };
    let needed = Outcome::NeedLatches {
        keys: vec![key("src/x")],
    };
    assert_eq!(bench.run(revoke(BTreeSet::new())), needed);
    let outcome = bench.run(revoke([key("src/x")].into()));
    let Outcome::Revoked { leases, wake } = outcome else {
        panic!("not revoked: {outcome:?}");
    };
    assert_eq!(leases.len(), 1);
    assert_eq!(wake[0].ticket, waiter);
    let told = bench.run(Command::Renew(held.id));
    let Outcome::Lost {
        ended: Some(ended), ..
    } = told
    else {
        panic!("not told: {told:?}");
    };
    let (by, reason) = (AgentId::new("human"), "stuck".into());
    assert_eq!(ended.end, LeaseEnd::Revoked { by, reason });
    assert!(matches!(
        bench.run(Command::Verify(kept.id)),
        Outcome::Held { .. }
    ));
}

pub(crate) fn inspection_shows_holder_and_waiters(bench: &Bench) {
    let inspect = Command::Inspect(Inspect {
        extent: extent("x", Scope::Exact),
        path: Some("x".into()),
    });
    let nothing = Outcome::Inspected(Inspected::default());
    assert_eq!(bench.run(inspect.clone()), nothing);
    let held = bench.take(ask("a", "x"));
    bench.queue(ask("b", "x"));
    let Outcome::Inspected(found) = bench.run(inspect.clone()) else {
        panic!("not inspected");
    };
    assert_eq!(found.holders[0].token, Some(held.token));
    assert_eq!((found.waiters, found.version), (1, None));
    bench.time.pass_ms(TTL_MS);
    assert_eq!(bench.run(inspect), nothing, "what has expired is not shown");
}
