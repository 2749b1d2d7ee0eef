//! Tests of the judge of leases by what was answered.

use maasl_core::lease::StoreClock;
use maasl_core::lease::command::Release;
use maasl_core::lease::outcome::Change;
use maasl_core::lease::row::CommitDatabase;
use maasl_core::policy::{CRIT_CODE, CRIT_DB};
use maasl_core::resource::{Mode, ResourceKey, Scope, Want};

use super::*;
use crate::checks::scene::{Scene, asking, at, intent, item, key, lease, lease_at, open, site};

/// A scene in which token 1 was granted on `a` at 0 ms, for 100 ms.
fn held() -> (Scene, Terms) {
    let (scene, mut judge) = (Scene::new(&[]), Terms::default());
    scene.granted(&mut judge, 0, &lease(1, "a")).unwrap();
    (scene, judge)
}

fn returned(scene: &Scene, judge: &mut Terms, at_ms: u64) -> Option<&'static str> {
    let release = Command::Release(Release {
        lease: lease(1, "a").id,
        latched: BTreeSet::new(),
        counts: Vec::new(),
        request: None,
    });
    let outcome = Outcome::Released {
        held_ms: at_ms,
        wake: Vec::new(),
    };
    site(scene.store(judge, at_ms, &release, &outcome))
}

fn renewed(scene: &Scene, judge: &mut Terms, at_ms: u64, lease: &Lease) -> Option<&'static str> {
    let renew = Command::Renew(lease.id.clone());
    let held = Outcome::Held {
        lease: lease.clone(),
        expires_in_ms: lease.ttl_ms,
    };
    site(scene.store(judge, at_ms, &renew, &held))
}

fn clock(at_ms: u64) -> StoreClock {
    StoreClock {
        now: at(at_ms),
        wall_ms: at_ms,
    }
}

/// Opens the store of a scene; with what command, and what came of it.
fn opened(scene: &mut Scene) -> (Command, Outcome) {
    let command = open();
    let outcome = scene.rows.transact(&command, clock(1));
    (command, outcome)
}

#[test]
fn a_resource_goes_on_when_its_lease_is_over_or_returned() {
    let next = |at_ms: u64, returned_at: Option<u64>| {
        let (scene, mut judge) = held();
        if let Some(at_ms) = returned_at {
            assert_eq!(returned(&scene, &mut judge, at_ms), None);
        }
        site(scene.granted(&mut judge, at_ms, &lease_at(2, "a", at_ms)))
    };
    assert_eq!(next(99, None), Some("granted-while-held"));
    assert_eq!(next(100, None), None);
    assert_eq!(next(50, Some(40)), None);
}

#[test]
fn the_lock_delay_counts_from_the_end() {
    let next = |at_ms: u64| {
        let (scene, mut judge) = (Scene::new(&[]), Terms::default());
        let held = Lease {
            lock_delay_ms: 30,
            ..lease(1, "a")
        };
        scene.granted(&mut judge, 0, &held).unwrap();
        site(scene.granted(&mut judge, at_ms, &lease_at(2, "a", at_ms)))
    };
    assert_eq!(next(129), Some("lock-delay"));
    assert_eq!(next(130), None);
}

#[test]
fn no_lock_delay_follows_a_holder_that_is_known_to_be_done() {
    let next = |done_at_ms: u64, at_ms: u64| {
        let (scene, mut judge) = (Scene::new(&[]), Terms::default());
        let held = Lease {
            lock_delay_ms: 30,
            ..lease(1, "a")
        };
        scene.granted(&mut judge, 0, &held).unwrap();
        let expire = Command::Expire(held.id.clone());
        let done = Outcome::Done { wake: Vec::new() };
        let told = scene.store(&mut judge, done_at_ms, &expire, &done);
        assert_eq!(site(told), None);
        site(scene.granted(&mut judge, at_ms, &lease_at(2, "a", at_ms)))
    };
    assert_eq!(next(50, 50), None);
    assert_eq!(next(110, 120), Some("lock-delay"));
}

#[test]
fn a_lease_lasts_no_longer_than_asked_for() {
    let (scene, mut judge) = (Scene::new(&[]), Terms::default());
    let long = Lease {
        expires_at: at(101),
        ..lease(1, "a")
    };
    let judged = site(scene.granted(&mut judge, 0, &long));
    assert_eq!(judged, Some("lease-too-long"));
    let (scene, mut judge) = held();
    let judged = renewed(&scene, &mut judge, 50, &lease_at(1, "a", 51));
    assert_eq!(judged, Some("lease-too-long"));
}

#[test]
fn renewal_is_for_leases_that_have_not_run_out() {
    let at = |at_ms: u64| {
        let (scene, mut judge) = held();
        renewed(&scene, &mut judge, at_ms, &lease_at(1, "a", at_ms))
    };
    assert_eq!(at(99), None);
    assert_eq!(at(100), Some("renewed-after-its-end"));
    let (scene, mut judge) = (Scene::new(&[]), Terms::default());
    let judged = renewed(&scene, &mut judge, 1, &lease(1, "a"));
    assert_eq!(judged, Some("renewed-after-its-end"));
}

#[test]
fn another_boot_ends_what_the_old_clock_timed() {
    let (mut scene, mut judge) = held();
    let first = opened(&mut scene);
    scene.store(&mut judge, 1, &first.0, &first.1).unwrap();
    let early = site(scene.granted(&mut judge, 2, &lease_at(2, "a", 2)));
    assert_eq!(early, Some("granted-while-held"));
    let Command::Open(mut open) = first.0 else {
        panic!("opening a store is what was asked for");
    };
    open.boot = "another".into();
    let open = Command::Open(open);
    let outcome = scene.rows.transact(&open, clock(2));
    scene.store(&mut judge, 2, &open, &outcome).unwrap();
    scene.granted(&mut judge, 3, &lease_at(2, "a", 3)).unwrap();
}

#[test]
fn after_a_loss_the_rows_say_what_stands() {
    let (mut scene, mut judge) = held();
    scene.show(&mut judge, &Observation::Restored).unwrap();
    let judged = returned(&scene, &mut judge, 10);
    assert_eq!(judged, Some("returned-after-its-end"));
    scene.rows.apply(Change::PutLease(lease(1, "a")));
    scene.show(&mut judge, &Observation::Restored).unwrap();
    let judged = site(scene.granted(&mut judge, 10, &lease_at(2, "a", 10)));
    assert_eq!(judged, Some("granted-while-held"));
    assert_eq!(returned(&scene, &mut judge, 10), None);
}

#[test]
fn only_the_dead_are_taken_for_dead() {
    let next = |dies: bool| {
        let (scene, mut judge) = held();
        if dies {
            scene.died(&mut judge, "p-1").unwrap();
        }
        let new = lease_at(2, "a", 10);
        let asked = Acquire {
            dead: BTreeSet::from([SessionId::new("p-1")]),
            ..asking(&new)
        };
        let outcome = Outcome::Granted {
            lease: new,
            taken_over: Vec::new(),
            wake: Vec::new(),
        };
        site(scene.store(&mut judge, 10, &Command::Acquire(asked), &outcome))
    };
    assert_eq!(next(true), None);
    assert_eq!(next(false), Some("living-taken-for-dead"));
}

#[test]
fn a_request_is_granted_once_and_whole() {
    let (scene, mut judge) = held();
    assert_eq!(site(scene.granted(&mut judge, 5, &lease(1, "a"))), None);
    let again = Lease {
        token: lease(2, "a").token,
        ..lease(1, "a")
    };
    let judged = site(scene.granted(&mut judge, 5, &again));
    assert_eq!(judged, Some("granted-twice"));
    let part = lease(3, "b");
    let mut asked = asking(&part);
    asked.wants = [part.wants.to_vec(), lease(1, "c").wants.to_vec()]
        .concat()
        .into();
    let outcome = Outcome::Granted {
        lease: part,
        taken_over: Vec::new(),
        wake: Vec::new(),
    };
    let judged = scene.store(&mut judge, 5, &Command::Acquire(asked), &outcome);
    assert_eq!(site(judged), Some("granted-in-part"));
}

#[test]
fn what_is_over_is_neither_returned_nor_committed_under() {
    let (scene, mut judge) = held();
    let judged = returned(&scene, &mut judge, 100);
    assert_eq!(judged, Some("returned-after-its-end"));
    let begins = |at_ms: u64| {
        let (scene, mut judge) = held();
        let intent = intent(&[item("a", None, Some("one"))]);
        let command = Command::BeginCommit(intent);
        site(scene.store(&mut judge, at_ms, &command, &Outcome::Begun))
    };
    assert_eq!(begins(99), None);
    assert_eq!(begins(100), Some("commit-after-its-end"));
}

#[test]
fn a_commit_changes_only_what_its_lease_is_for() {
    let begins = |wants: &[Want], path: &str| {
        let (scene, mut judge) = (Scene::new(&[]), Terms::default());
        let lease = Lease {
            wants: wants.into(),
            ..lease(1, "a")
        };
        scene.granted(&mut judge, 0, &lease).unwrap();
        let command = Command::BeginCommit(intent(&[item(path, None, Some("one"))]));
        site(scene.store(&mut judge, 1, &command, &Outcome::Begun))
    };
    let exclusive = Want::exclusive(key("d"), CRIT_CODE);
    let shared = Want {
        mode: Mode::Shared,
        ..exclusive.clone()
    };
    let mut below = exclusive.clone();
    below.extent.scope = Scope::Subtree;
    assert_eq!(begins(std::slice::from_ref(&exclusive), "d"), None);
    assert_eq!(begins(std::slice::from_ref(&exclusive), "D"), None);
    assert_eq!(begins(&[below], "d/a"), None);
    assert_eq!(begins(&[exclusive], "d/a"), Some("commit-not-covered"));
    assert_eq!(begins(&[shared], "d"), Some("commit-not-covered"));
}

#[test]
fn rows_are_changed_only_under_a_lease_on_their_database() {
    let begins = |database: &str| {
        let (scene, mut judge) = (Scene::new(&[]), Terms::default());
        let of_database = Want::exclusive(ResourceKey::new("db", "rag"), CRIT_DB);
        let lease = Lease {
            wants: [of_database].into(),
            ..lease(1, "a")
        };
        scene.granted(&mut judge, 0, &lease).unwrap();
        let database = CommitDatabase {
            path: database.into(),
            key: ResourceKey::new("db", database),
        };
        let command = Command::BeginCommit(CommitIntent {
            database: Some(database),
            ..intent(&[])
        });
        site(scene.store(&mut judge, 1, &command, &Outcome::Begun))
    };
    assert_eq!(begins("rag"), None);
    assert_eq!(begins("main"), Some("commit-not-covered"));
}
