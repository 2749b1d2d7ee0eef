//! Granting, sending again, opening, looking.

use maasl_core::id::{AgentId, LeaseId, SessionId, Token};
use maasl_core::lease::command::{Acquire, Inspect, Open, Sweep};
use maasl_core::lease::{Command, Counter, LeaseKind, MemoryRows, Outcome, Session};
use maasl_core::reply::Receipt;
use maasl_core::resource::Scope;

use crate::bench::*;

#[test]
fn a_free_set_is_granted_whole_under_one_token() {
    let mut table = Table::new();
    let first = table.granted(&ask("a", &[want("y"), want("x"), want("y")]));
    assert_eq!(*first.wants, [want("x"), want("y")]);
    let second = table.granted(&ask("b", &[want("z")]));
    assert!(second.token > first.token);
    assert_eq!(table.count(Counter::Acquired), 2);
}

#[test]
fn a_set_of_which_one_is_held_is_refused_whole() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("y")]));
    let asked = Acquire {
        wait_ms: 0,
        ..ask("b", &[want("x"), want("y"), want("z")])
    };
    let Outcome::Busy {
        blockers, place: 0, ..
    } = table.acquire(&asked)
    else {
        panic!("not busy");
    };
    assert_eq!(blockers.len(), 1);
    assert_eq!(
        (&blockers[0].key, &blockers[0].owner),
        (&key("y"), &owner("a"))
    );
    assert_eq!(
        (blockers[0].token, blockers[0].expires_in_ms),
        (Some(held.token), TTL_MS)
    );
    table.granted(&ask("c", &[want("x"), want("z")]));
}

#[test]
fn places_overlap_downwards_only_through_a_subtree() {
    let pairs = [
        (deep("d"), want("d/f"), true),
        (want("d/f"), deep("d"), true),
        (deep(""), want("d/f"), true),
        (deep("d"), want("d-f"), false),
        (want("d"), want("d/f"), false),
        (want("d/f"), want("d"), false),
        (deep("d/f"), want("d"), false),
        (shared("d"), shared("d"), false),
        (shared("d"), want("d"), true),
        (want("d"), shared("d"), true),
    ];
    for (held, asked, conflict) in pairs {
        let mut table = Table::new();
        table.granted(&ask("a", std::slice::from_ref(&held)));
        let outcome = table.acquire(&ask("b", std::slice::from_ref(&asked)));
        let waits = matches!(outcome, Outcome::Queued { .. });
        assert_eq!(waits, conflict, "{held:?} {asked:?}");
    }
}

#[test]
fn asking_again_for_the_same_lease_gives_the_same_grant() {
    let mut table = Table::new();
    let asked = ask("a", &[want("x")]);
    let first = table.granted(&asked);
    assert_eq!(table.granted(&asked), first);
    assert_eq!(table.count(Counter::Acquired), 1);
    table.now_ms = TTL_MS;
    let Outcome::Lost {
        ended: None,
        expired: Some(_),
    } = table.acquire(&asked)
    else {
        panic!("an expired grant was given again");
    };
}

#[test]
fn a_lease_that_is_over_is_not_granted_again() {
    let mut table = Table::new();
    let asked = ask("a", &[want("x")]);
    table.granted(&asked);
    table.released("a", &["x"]);
    let Outcome::Lost {
        ended: Some(_),
        expired: None,
    } = table.acquire(&asked)
    else {
        panic!("granted again");
    };
}

#[test]
fn an_idempotency_key_gives_the_earlier_grant_and_refuses_another_use() {
    let mut table = Table::new();
    let asked = Acquire {
        request: Some(request("k", "x")),
        ..ask("a", &[want("x")])
    };
    let lease_row = table.granted(&asked);
    let again = Acquire {
        lease: lease("a2"),
        ..asked.clone()
    };
    let Outcome::Answered(Receipt::Leased { lease, token, .. }) = table.acquire(&again) else {
        panic!("not answered");
    };
    assert_eq!((lease, token), (lease_row.id, lease_row.token));
    let other = Acquire {
        request: Some(request("k", "y")),
        ..asked
    };
    assert_eq!(table.acquire(&other), Outcome::KeyMismatch);
    let recall = |asked| Command::Recall(request("k", asked));
    assert!(matches!(table.send(&recall("x")), Outcome::Answered(_)));
    assert_eq!(table.send(&recall("y")), Outcome::KeyMismatch);
    table.rows.forget_answers_before(u64::MAX);
    assert_eq!(table.send(&recall("x")), Outcome::NotAnswered);
}

#[test]
fn a_token_above_the_floor_needs_a_reservation_first() {
    let mut table = Table {
        rows: MemoryRows::default(),
        now_ms: 0,
    };
    table.open("boot", Token::default());
    let asked = ask("a", &[want("x")]);
    let Outcome::NeedReserve(token) = table.acquire(&asked) else {
        panic!("granted above the floor");
    };
    table.done(&Command::Reserve(token));
    assert_eq!(table.granted(&asked).token, token);
    let next = Token::from_number(token.number() + 1);
    assert_eq!(
        table.acquire(&ask("b", &[want("y")])),
        Outcome::NeedReserve(next)
    );
    table.done(&Command::Reserve(Token::default()));
    assert_eq!(table.snapshot().meta.reserved_through, token);
}

#[test]
fn a_new_boot_raises_the_generation_and_ends_what_was_timed_by_the_old_clock() {
    let mut table = Table::new();
    table.now_ms = 1_000_000;
    let old = table.granted(&ask("a", &[want("x")]));
    table.queued(&ask("b", &[want("x")]));
    table.now_ms = 5;
    let meta = table.open("other boot", Token::default());
    assert_eq!(meta.generation, old.token.generation() + 1);
    let after = table.snapshot();
    assert_eq!((after.leases.len(), after.tickets.len()), (1, 0));
    assert!(matches!(table.renew("a"), Outcome::Lost { .. }));
    table.done(&Command::Reserve(Token::new(9, 0).unwrap()));
    let new = Acquire {
        latched: keys(&["x"]),
        ..ask("c", &[want("x")])
    };
    assert!(table.granted(&new).token > old.token);
    assert_eq!(
        table.open("other boot", Token::default()).generation,
        meta.generation
    );
}

#[test]
fn a_store_copied_back_continues_above_the_floor() {
    let mut table = Table::new();
    let copy = table.rows.clone();
    let tokens: Vec<Token> = (0..5)
        .map(|n| {
            table
                .granted(&ask(&format!("n{n}"), &[want(&n.to_string())]))
                .token
        })
        .collect();
    table.rows = copy;
    table.open("boot", tokens[4]);
    assert!(table.granted(&ask("b", &[want("x")])).token > tokens[4]);
    table.rows = MemoryRows::default();
    let later = table.open("boot", Token::new(7, 3).unwrap());
    assert_eq!((later.generation, later.next_sequence), (7, 4));
}

#[test]
fn a_store_begins_at_the_first_sequence_it_is_given() {
    let mut table = Table {
        rows: MemoryRows::default(),
        now_ms: 0,
    };
    let outcome = table.send(&Command::Open(Open {
        store: "new".into(),
        boot: "boot".into(),
        floor: Token::default(),
        first_sequence: 77,
        session: None,
    }));
    let Outcome::Opened(meta) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((meta.generation, meta.next_sequence), (1, 77));
    assert_eq!(&*meta.store, "new");
}

#[test]
fn a_snapshot_shows_everything_but_the_right_to_it() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    table.queued(&ask("b", &[want("x")]));
    table.begin(&commit("op", &held, "x", None, "1"));
    let all = table.snapshot();
    assert_eq!(
        (all.leases.len(), all.tickets.len(), all.intents.len()),
        (1, 1, 1)
    );
    assert_eq!(all.leases[0].id, LeaseId::default());
    assert_eq!(all.tickets[0].lease, LeaseId::default());
    assert_eq!(all.intents[0].lease, LeaseId::default());
}

#[test]
fn inspecting_shows_holder_waiters_commits_and_version() {
    let mut table = Table::new();
    let held = table.granted(&ask("a", &[want("x")]));
    table.queued(&ask("b", &[want("x")]));
    table.begin(&commit("1", &held, "x", None, "1"));
    table.finish("1", [].into());
    table.begin(&commit("2", &held, "x", Some("1"), "2"));
    let inspect = Command::Inspect(Inspect {
        extent: extent("", Scope::Subtree),
        path: Some("x".into()),
    });
    let Outcome::Inspected(seen) = table.send(&inspect) else {
        panic!("not inspected");
    };
    assert_eq!(
        (seen.holders.len(), seen.waiters, seen.intents.len()),
        (1, 1, 1)
    );
    assert_eq!(seen.version.map(|version| version.number), Some(1));
    table.now_ms = 20_000;
    let Outcome::Inspected(seen) = table.send(&inspect) else {
        panic!("not inspected");
    };
    assert_eq!((seen.holders.len(), seen.waiters), (0, 0));
}

#[test]
fn counts_add_up() {
    let mut table = Table::new();
    let count = maasl_core::lease::Count::one(Counter::GuardedOk, "CRIT_CODE", &AgentId::new("a"));
    table.done(&Command::Tally(vec![count.clone(), count]));
    assert_eq!(table.count(Counter::GuardedOk), 2);
}

#[test]
fn a_session_that_opens_again_keeps_its_reservations_and_leaves_its_calls_behind() {
    let mut table = Table::new();
    let reserved = table.granted(&ask("a", &[want("x")]));
    let call = table.granted(&Acquire {
        lease: lease("call"),
        kind: LeaseKind::Call,
        ..ask("a", &[want("y")])
    });
    table.granted(&ask("d", &[want("z")]));
    table.begin(&commit("op", &call, "y", None, "1"));
    table.queued(&ask("b", &[want("x")]));
    let own = reserved.owner.session.clone();
    let waits = Acquire {
        owner: reserved.owner.clone(),
        ..ask("c", &[want("z")])
    };
    table.queued(&waits);
    table.send(&Command::Open(Open {
        store: "nobody".into(),
        boot: "boot".into(),
        floor: Token::default(),
        first_sequence: 1,
        session: Some(Session {
            id: own.clone(),
            pid: 1,
            role: "serve".into(),
            started_wall_ms: 0,
        }),
    }));
    let all = table.snapshot();
    let owned = |token| {
        let mut leases = all.leases.iter();
        let lease = leases.find(|lease| lease.token == token).unwrap();
        lease.owner.session.clone()
    };
    assert_eq!(owned(reserved.token), own);
    assert_eq!(owned(call.token), SessionId::new("nobody"));
    assert_eq!(all.intents[0].owner.session, SessionId::new("nobody"));
    assert_eq!(all.intents[0].owner.agent, call.owner.agent);
    let waiting: Vec<_> = all.tickets.iter().map(|ticket| &ticket.owner).collect();
    assert_eq!(waiting, [&owner("b")], "its own waits are over");
}

#[test]
fn of_those_found_dead_the_store_believes_who_still_is() {
    let dead = ["a", "b"].map(session);
    let asked = Command::Acquire(Acquire {
        dead: dead.clone().into(),
        ..ask("c", &[want("x")])
    });
    assert_eq!(*asked.without_revived(|_| true), asked);
    let Command::Acquire(taken) = asked.without_revived(|id| *id == dead[0]).into_owned() else {
        panic!("another command");
    };
    assert_eq!(taken.dead, [dead[0].clone()].into());
    let sweep = Command::Sweep(Sweep { dead: dead.into() });
    let none = Command::Sweep(Sweep::default());
    assert_eq!(*sweep.without_revived(|_| false), none);
}
