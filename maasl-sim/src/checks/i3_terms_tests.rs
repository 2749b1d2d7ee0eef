//! Tests of the judge of leases by what was answered.

use maasl_core::lease::command::Release;

use super::*;
use crate::checks::scene::{Scene, asking, intent, item, lease, lease_at, site};

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
    });
    let outcome = Outcome::Released {
        held_ms: at_ms,
        wake: Vec::new(),
    };
    site(scene.store(judge, at_ms, &release, &outcome))
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
