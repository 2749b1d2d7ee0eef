//! Waiting: order, bypass, skipping, leaving, circles.

use maasl_core::lease::command::Acquire;
use maasl_core::lease::{Command, Counter, LeaseKind, Outcome};

use crate::bench::*;

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    let (b, place) = table.queued(&ask("b", &[want("x")]));
    assert_eq!(place, 0);
    let (c, place) = table.queued(&ask("c", &[want("x")]));
    assert_eq!((place, c > b), (1, true));
    assert_eq!(table.released("a", &["x"]), ["b"]);
    assert_eq!(
        table.queued(&ask("d", &[want("x")])).1,
        2,
        "a newcomer overtook"
    );
    assert_eq!(table.queued(&ask("c", &[want("x")])), (c, 1), "c overtook");
    table.granted(&ask("b", &[want("x")]));
    assert_eq!(table.released("b", &["x"]), ["c"]);
    table.granted(&ask("c", &[want("x")]));
    assert_eq!(table.snapshot().tickets.len(), 1);
}

#[test]
fn readers_in_front_are_woken_together() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    for name in ["b", "c"] {
        table.queued(&ask(name, &[shared("x")]));
    }
    table.queued(&ask("d", &[want("x")]));
    assert_eq!(table.released("a", &["x"]), ["b", "c"]);
}

#[test]
fn the_answer_of_a_wait_says_when_to_look_again() {
    let mut table = Table::new();
    let held = Acquire {
        lock_delay_ms: 70,
        ..ask("a", &[want("x")])
    };
    table.granted(&held);
    table.now_ms = 100;
    let Outcome::Queued {
        blockers,
        retry_in_ms,
        ..
    } = table.acquire(&ask("b", &[want("x")]))
    else {
        panic!("not queued");
    };
    assert_eq!(retry_in_ms, TTL_MS + 70 - 100);
    assert_eq!(
        (blockers[0].held_ms, blockers[0].expires_in_ms),
        (100, TTL_MS - 100)
    );
}

#[test]
fn interactive_passes_a_batch_waiter_three_times_and_no_more() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("y")]));
    table.queued(&batch("b", &[want("x"), want("y")]));
    for n in 0..3 {
        let name = format!("i{n}");
        table.granted(&ask(&name, &[want("x")]));
        table.released(&name, &["x"]);
    }
    assert_eq!(table.snapshot().tickets[0].bypassed, 3);
    table.queued(&ask("i3", &[want("x")]));
    let (_, place) = table.queued(&batch("b2", &[want("x")]));
    assert_eq!(place, 2);
}

#[test]
fn batch_passes_nobody() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("y")]));
    table.queued(&ask("i", &[want("x"), want("y")]));
    table.queued(&batch("b", &[want("x")]));
    table.queued(&batch("b2", &[want("x")]));
}

#[test]
fn a_lapsed_waiter_is_skipped_at_its_deadline() {
    let mut table = Table::new();
    table.granted(&Acquire {
        ttl_ms: 9_000,
        ..ask("a", &[want("y")])
    });
    table.queued(&Acquire {
        wait_ms: 50,
        ..ask("b", &[want("x"), want("y")])
    });
    table.now_ms = 49;
    table.queued(&ask("c", &[want("x")]));
    table.now_ms = 50;
    table.granted(&ask("c", &[want("x")]));
    assert!(
        table.snapshot().tickets.is_empty(),
        "nobody is left in the queue"
    );
}

#[test]
fn a_dead_waiter_is_skipped_by_whoever_knows_and_swept_with_a_wake() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("y")]));
    table.queued(&ask("b", &[want("x"), want("y")]));
    table.queued(&ask("c", &[want("x")]));
    table.queued(&ask("d", &[want("x")]));
    let knows = Acquire {
        dead: [session("b")].into(),
        ..ask("e", &[want("y")])
    };
    assert_eq!(table.queued(&knows).1, 0);
    assert_eq!(
        table.sweep("b"),
        ["c", "e"],
        "those behind the dead are told"
    );
    table.granted(&ask("c", &[want("x")]));
}

#[test]
fn closing_a_session_takes_its_waiters_out_and_wakes_those_behind() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("y")]));
    table.queued(&ask("b", &[want("x"), want("y")]));
    table.queued(&ask("c", &[want("x")]));
    assert_eq!(table.done(&Command::CloseSession(session("b"))), ["c"]);
}

#[test]
fn cancelling_wakes_those_behind_and_twice_does_nothing() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("y")]));
    let (b, _) = table.queued(&ask("b", &[want("x"), want("y")]));
    table.queued(&ask("c", &[want("x")]));
    table.queued(&ask("d", &[want("x")]));
    assert_eq!(table.done(&Command::Cancel(b)), ["c"]);
    assert!(table.done(&Command::Cancel(b)).is_empty());
}

#[test]
fn a_cancel_that_comes_after_the_grant_leaves_the_grant() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    let (no, _) = table.queued(&ask("b", &[want("x")]));
    table.released("a", &["x"]);
    let held = table.granted(&Acquire {
        ticket: Some(no),
        ..ask("b", &[want("x")])
    });
    assert!(table.done(&Command::Cancel(no)).is_empty());
    let verified = table.send(&Command::Verify(held.id));
    assert!(matches!(verified, Outcome::Held { .. }), "{verified:?}");
}

#[test]
fn a_request_sent_twice_stands_once_in_the_queue() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    let first = table.queued(&ask("b", &[want("x")]));
    assert_eq!(table.queued(&ask("b", &[want("x")])), first);
    table.released("a", &["x"]);
    table.granted(&ask("b", &[want("x")]));
    assert!(table.snapshot().tickets.is_empty());
}

#[test]
fn a_waiter_whose_time_is_up_leaves_and_wakes_those_behind() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("y")]));
    table.queued(&ask("b", &[want("x"), want("y")]));
    table.queued(&ask("c", &[want("x")]));
    let last = Acquire {
        wait_ms: 0,
        ..ask("b", &[want("x"), want("y")])
    };
    let Outcome::Busy { wake, place: 0, .. } = table.acquire(&last) else {
        panic!("not busy");
    };
    assert_eq!(names(&wake), ["c"]);
    table.granted(&ask("c", &[want("x")]));
}

#[test]
fn the_queue_has_a_published_limit() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    let limited = |name: &str| Acquire {
        max_waiters: 1,
        ..ask(name, &[want("x")])
    };
    table.queued(&limited("b"));
    let expected = Outcome::LimitReached {
        limit: "max_waiters".into(),
        value: 1,
    };
    assert_eq!(table.acquire(&limited("c")), expected);
    table.queued(&limited("b"));
}

#[test]
fn a_circle_of_two_is_refused_and_named() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    table.granted(&ask("b", &[want("y")]));
    table.queued(&Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("y")])
    });
    let closing = Acquire {
        lease: lease("b2"),
        ..ask("b", &[want("x")])
    };
    let Outcome::Deadlock { circle, .. } = table.acquire(&closing) else {
        panic!("not refused");
    };
    assert_eq!(circle, [owner("b"), owner("a")]);
    assert_eq!(table.count(Counter::DeadlocksRefused), 1);
    assert_eq!(table.snapshot().tickets.len(), 1);
    let now = Acquire {
        wait_ms: 0,
        ..closing
    };
    assert!(
        matches!(table.acquire(&now), Outcome::Busy { .. }),
        "it would not wait"
    );
}

#[test]
fn a_circle_of_three_is_found_through_places_in_the_queue() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    table.granted(&Acquire {
        kind: LeaseKind::Call,
        ..ask("other", &[want("y"), want("z")])
    });
    // b waits for x (held by a) and stands in front for y; c stands behind b.
    table.queued(&ask("b", &[want("x"), want("y")]));
    table.granted(&ask("c", &[want("k")]));
    table.queued(&Acquire {
        lease: lease("c2"),
        ..ask("c", &[want("y")])
    });
    let closing = Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("k")])
    };
    let Outcome::Deadlock { circle, .. } = table.acquire(&closing) else {
        panic!("not refused");
    };
    assert_eq!(circle, [owner("a"), owner("c"), owner("b")]);
}

#[test]
fn waiting_for_oneself_alone_is_no_circle() {
    let mut table = Table::new();
    table.granted(&ask("a", &[want("x")]));
    table.queued(&Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("x")])
    });
}

#[test]
fn a_lease_of_one_call_is_not_followed() {
    let mut table = Table::new();
    table.granted(&Acquire {
        kind: LeaseKind::Call,
        ..ask("a", &[want("x")])
    });
    table.granted(&ask("b", &[want("y")]));
    table.queued(&Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("y")])
    });
    table.queued(&Acquire {
        lease: lease("b2"),
        ..ask("b", &[want("x")])
    });
}

#[test]
fn a_grant_that_closes_a_circle_wakes_those_in_it() {
    let mut table = Table::new();
    table.granted(&ask("z", &[want("x")]));
    table.granted(&ask("b", &[want("y")]));
    table.queued(&ask("a", &[want("x")]));
    table.queued(&Acquire {
        lease: lease("b2"),
        ..ask("b", &[want("x")])
    });
    // a also waits for y, which b holds; b waits behind a for x.
    let second = Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("y")])
    };
    table.queued(&second);
    table.released("z", &["x"]);
    let (_, woken) = table.granted_and_woken(&ask("a", &[want("x")]));
    assert_eq!(woken, ["b"]);
    let look = Acquire {
        lease: lease("b2"),
        ..ask("b", &[want("x")])
    };
    assert!(matches!(table.acquire(&look), Outcome::Deadlock { .. }));
}

#[test]
fn who_passes_a_waiter_does_not_wait_for_it() {
    let mut table = Table::new();
    table.granted(&Acquire {
        kind: LeaseKind::Call,
        ..ask("z", &[want("y")])
    });
    table.granted(&ask("a", &[want("x")]));
    table.queued(&batch("r", &[want("x"), want("y")]));
    // a passes r and waits for z alone.
    table.queued(&Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("y")])
    });
    let look = table.acquire(&batch("r", &[want("x"), want("y")]));
    assert!(matches!(look, Outcome::Queued { .. }), "{look:?}");
}

#[test]
fn a_lock_delay_waits_for_nobody() {
    let mut table = Table::new();
    table.granted(&Acquire {
        lock_delay_ms: 70,
        ttl_ms: 1_000,
        ..ask("a", &[want("x")])
    });
    table.granted(&Acquire {
        ttl_ms: 100_000,
        ..ask("b", &[want("y")])
    });
    table.queued(&Acquire {
        lease: lease("a2"),
        ..ask("a", &[want("y")])
    });
    table.now_ms = 1_010;
    let asked = table.acquire(&Acquire {
        lease: lease("b2"),
        ..ask("b", &[want("x")])
    });
    assert!(matches!(asked, Outcome::Queued { .. }), "{asked:?}");
}

#[test]
fn a_batch_waiter_that_may_not_be_passed_any_more_wakes_whom_it_holds_up() {
    let mut table = Table::new();
    table.granted(&ask("s", &[want("k")]));
    table.granted(&Acquire {
        kind: LeaseKind::Call,
        ..ask("z", &[want("x/1")])
    });
    table.queued(&batch("b", &[want("k"), deep("x")]));
    // s passes b, but must wait for z.
    table.queued(&Acquire {
        lease: lease("s2"),
        ..ask("s", &[want("x/1")])
    });
    for n in 0..2 {
        assert_eq!(
            table
                .granted_and_woken(&ask(&format!("i{n}"), &[want("x/2")]))
                .1,
            [""; 0]
        );
        table.released(&format!("i{n}"), &["x/2"]);
    }
    let (_, woken) = table.granted_and_woken(&ask("i2", &[want("x/2")]));
    assert_eq!(woken, ["s"]);
    let look = Acquire {
        lease: lease("s2"),
        ..ask("s", &[want("x/1")])
    };
    assert!(matches!(table.acquire(&look), Outcome::Deadlock { .. }));
}
