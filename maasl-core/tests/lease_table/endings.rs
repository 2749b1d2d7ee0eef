//! Expiry, takeover, renewal, release, revoke.

use maasl_core::id::AgentId;
use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, Counter, LeaseEnd, LeaseKind, Outcome};
use maasl_core::resource::Scope;

use crate::bench::*;

fn latched(asked: &Acquire, paths: &[&str]) -> Acquire {
    Acquire {
        latched: keys(paths),
        ..asked.clone()
    }
}

fn needed(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::NeedLatches { keys } => keys.iter().map(ToString::to_string).collect(),
        other => panic!("no latches asked for: {other:?}"),
    }
}

#[test]
fn an_expired_holder_is_replaced_under_its_latches() {
    let mut table = Table::new();
    let old = table.granted(&ask("a", &[want("x"), want("y")]));
    let asked = ask("b", &[want("x")]);
    table.now_ms = TTL_MS - 1;
    table.queued(&asked);
    table.now_ms = TTL_MS;
    assert_eq!(needed(&table.acquire(&asked)), ["code:x", "code:y"]);
    assert_eq!(
        needed(&table.acquire(&latched(&asked, &["x"]))),
        ["code:x", "code:y"]
    );
    let outcome = table.acquire(&latched(&asked, &["x", "y"]));
    let Outcome::Granted {
        lease: new,
        taken_over,
        ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(taken_over, [owner("a")]);
    assert!(new.token > old.token);
    assert_eq!(table.count(Counter::Takeovers), 1);
    let Outcome::Lost {
        ended: Some(ended), ..
    } = table.send(&Command::Verify(lease("a")))
    else {
        panic!("not told");
    };
    let end = LeaseEnd::TakenOver {
        by: owner("b"),
        token: new.token,
    };
    assert_eq!((ended.token, ended.end), (old.token, end));
}

#[test]
fn a_takeover_wakes_those_who_waited_for_the_rest() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x"), want("y")]));
    table.queued(&ask("b", &[want("x")]));
    table.queued(&ask("c", &[want("y")]));
    table.queued(&ask("d", &[want("x")]));
    table.now_ms = TTL_MS;
    let asked = latched(&ask("b", &[want("x")]), &["x", "y"]);
    assert_eq!(table.granted_and_woken(&asked).1, ["c"]);
}

#[test]
fn an_open_commit_is_settled_before_its_lease_is_taken_over() {
    let mut table = Table::new();
    let old = table.granted(&ask("a", &[deep("d")]));
    assert_eq!(
        table.begin(&commit("op", &old, "d/x", None, "1")),
        Outcome::Begun
    );
    table.now_ms = TTL_MS;
    let asked = ask("b", &[want("d/y")]);
    assert_eq!(needed(&table.acquire(&asked)), ["code:d", "code:d/x"]);
    let asked = latched(&asked, &["d", "d/x"]);
    let Outcome::NeedRecovery(open) = table.acquire(&asked) else {
        panic!("taken over with a commit open");
    };
    assert_eq!(open.len(), 1);
    table.finish("op", [].into());
    table.granted(&asked);
}

#[test]
fn a_dead_holder_is_replaced_at_once() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    let asked = Acquire {
        dead: [session("a")].into(),
        ..ask("b", &[want("x")])
    };
    assert_eq!(needed(&table.acquire(&asked)), ["code:x"]);
    table.granted(&latched(&asked, &["x"]));
}

#[test]
fn a_sweep_tells_those_who_wait_for_a_dead_holder() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    table.queued(&ask("b", &[want("x")]));
    assert_eq!(table.sweep("a"), ["b"]);
    assert_eq!(
        table.snapshot().leases.len(),
        1,
        "its lease ends by takeover only"
    );
}

#[test]
fn the_lock_delay_follows_expiry_and_death() {
    let mut table = Table::new();
    table.granted(&Acquire {
        lock_delay_ms: 70,
        ..ask("a", &[want("x")])
    });
    table.granted(&Acquire {
        lock_delay_ms: 70,
        ..ask("c", &[want("y")])
    });
    table.now_ms = 200;
    let asked = Acquire {
        dead: [session("a")].into(),
        ..ask("b", &[want("x")])
    };
    table.queued(&asked);
    table.now_ms = 269;
    table.queued(&asked);
    table.now_ms = 270;
    needed(&table.acquire(&asked));
    assert!(
        matches!(table.renew("a"), Outcome::Lost { .. }),
        "a dead holder came back"
    );
    let asked = ask("d", &[want("y")]);
    table.now_ms = TTL_MS + 69;
    table.queued(&asked);
    table.now_ms = TTL_MS + 70;
    needed(&table.acquire(&asked));
}

#[test]
fn no_lock_delay_follows_a_release() {
    let mut table = Table::new();
    table.granted(&Acquire {
        lock_delay_ms: 70,
        ..ask("a", &[want("x")])
    });
    table.released("a", &["x"]);
    table.granted(&ask("b", &[want("x")]));
}

#[test]
fn no_lock_delay_follows_a_holder_that_is_known_to_be_done() {
    let mut table = Table::new();
    let delayed = |name: &str, path: &str| Acquire {
        lock_delay_ms: 70,
        ..ask(name, &[want(path)])
    };
    let done = table.granted(&delayed("a", "x"));
    let late = table.granted(&delayed("c", "y"));
    table.done(&Command::Expire(done.id));
    assert_eq!(
        needed(&table.acquire(&ask("b", &[want("x")]))),
        ["code:x"],
        "it may be taken over at once"
    );
    // One that had run out before is an unclean end, whatever follows.
    table.now_ms = TTL_MS;
    table.done(&Command::Expire(late.id));
    table.queued(&ask("d", &[want("y")]));
}

#[test]
fn a_late_release_is_told_so_and_leaves_the_lock_delay_standing() {
    let mut table = Table::new();
    table.granted(&Acquire {
        lock_delay_ms: 70,
        ..ask("a", &[want("x")])
    });
    table.now_ms = TTL_MS;
    let Outcome::Lost {
        expired: Some(_), ..
    } = table.release("a", &["x"])
    else {
        panic!("released after its end");
    };
    table.queued(&Acquire {
        wait_ms: 10,
        ..ask("b", &[want("x")])
    });
    table.now_ms = TTL_MS + 70;
    assert!(matches!(table.release("a", &["x"]), Outcome::Lost { .. }));
    assert!(table.snapshot().leases.is_empty(), "nobody needs the row");
    table.granted(&ask("c", &[want("x")]));
}

#[test]
fn a_late_release_leaves_its_row_to_those_who_wait() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    table.queued(&ask("b", &[want("x")]));
    table.now_ms = TTL_MS;
    assert!(matches!(table.release("a", &["x"]), Outcome::Lost { .. }));
    assert_eq!(table.snapshot().leases.len(), 1);
}

#[test]
fn renewal_counts_from_now_and_is_refused_after_expiry_though_nobody_took_over() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    table.now_ms = TTL_MS - 1;
    let Outcome::Held {
        lease: renewed,
        expires_in_ms: TTL_MS,
    } = table.renew("a")
    else {
        panic!("not renewed");
    };
    assert_eq!(renewed.expires_at.as_ns(), (2 * TTL_MS - 1) * 1_000_000);
    table.now_ms = 2 * TTL_MS - 2;
    let held = table.send(&Command::Verify(lease("a")));
    assert!(
        matches!(
            held,
            Outcome::Held {
                expires_in_ms: 1,
                ..
            }
        ),
        "{held:?}"
    );
    table.now_ms = 2 * TTL_MS - 1;
    let Outcome::Lost {
        ended: None,
        expired: Some(_),
    } = table.renew("a")
    else {
        panic!("renewed after its end");
    };
    let lost = table.send(&Command::Verify(lease("a")));
    assert!(
        matches!(
            lost,
            Outcome::Lost {
                expired: Some(_),
                ..
            }
        ),
        "{lost:?}"
    );
    assert_eq!(table.count(Counter::LostLeases), 1);
}

#[test]
fn a_release_needs_the_latches_and_no_open_commit() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x"), want("y")]));
    table.begin(&commit("op", &held, "x", None, "1"));
    assert_eq!(needed(&table.release("a", &["x"])), ["code:x", "code:y"]);
    assert!(matches!(
        table.release("a", &["x", "y"]),
        Outcome::NeedRecovery(_)
    ));
    table.finish("op", [].into());
    table.now_ms = 30;
    let released = table.release("a", &["x", "y"]);
    assert!(
        matches!(released, Outcome::Released { held_ms: 30, .. }),
        "{released:?}"
    );
    let again = table.release("a", &["x", "y"]);
    assert!(
        matches!(
            again,
            Outcome::Lost {
                ended: Some(_),
                expired: None
            }
        ),
        "{again:?}"
    );
}

#[test]
fn a_returned_lease_of_one_call_leaves_no_trace() {
    let mut table = Table::new();
    table.granted(&Acquire {
        kind: LeaseKind::Call,
        ..ask("a", &[want("x")])
    });
    table.released("a", &["x"]);
    let gone = table.send(&Command::Verify(lease("a")));
    assert_eq!(
        gone,
        Outcome::Lost {
            ended: None,
            expired: None
        }
    );
}

#[test]
fn revoking_ends_what_overlaps_and_says_by_whom_and_why() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("d/x")]));
    table.granted(&ask("b", &[want("e")]));
    table.queued(&ask("c", &[want("d/x")]));
    let target = || extent("d", Scope::Subtree);
    assert_eq!(needed(&table.revoke(target(), &[])), ["code:d/x"]);
    table.begin(&commit("op", &held, "d/x", None, "1"));
    assert!(matches!(
        table.revoke(target(), &["d/x"]),
        Outcome::NeedRecovery(_)
    ));
    table.finish("op", [].into());
    let Outcome::Revoked { leases, wake } = table.revoke(target(), &["d/x"]) else {
        panic!("not revoked");
    };
    assert_eq!(leases.len(), 1);
    let end = LeaseEnd::Revoked {
        by: AgentId::new("boss"),
        reason: "stuck".into(),
    };
    assert_eq!((leases[0].token, &leases[0].end), (held.token, &end));
    assert_eq!(names(&wake), ["c"]);
    let Outcome::Lost {
        ended: Some(kept), ..
    } = table.renew("a")
    else {
        panic!("not told");
    };
    assert_eq!((kept.end, kept.ended_wall_ms), (end, 1_000_000));
    assert_eq!(
        (table.count(Counter::Revoked), table.snapshot().leases.len()),
        (1, 1)
    );
    let nothing = table.revoke(target(), &[]);
    assert_eq!(
        nothing,
        Outcome::Revoked {
            leases: vec![],
            wake: vec![]
        }
    );
}

#[test]
fn a_lease_left_to_run_out_ends_only_under_its_latches_and_wakes_who_waits() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    let waiting = ask("b", &[want("x")]);
    table.queued(&waiting);
    assert_eq!(table.done(&Command::Expire(held.id.clone())), ["b"]);
    assert_eq!(needed(&table.acquire(&waiting)), ["code:x"]);
    let outcome = table.acquire(&latched(&waiting, &["x"]));
    assert!(matches!(outcome, Outcome::Granted { .. }), "{outcome:?}");
}
