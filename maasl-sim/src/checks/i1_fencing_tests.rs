//! Tests of the judge of I1.

use super::*;
use crate::checks::scene::{CALL, P, Scene, finish, intent, item, lease, lease_at, receipt, site};

fn latched(scene: &Scene, judge: &mut Fencing, keys: &[ResourceKey]) {
    let seen = Observation::Latched {
        process: P,
        call: CALL,
        keys,
    };
    scene.show(judge, &seen).unwrap();
}

/// A commit on `a` is open under token 1, inside its latch.
fn under_way() -> (Scene, Fencing, CommitItem) {
    let mut scene = Scene::new(&[("a", "old\n")]);
    let mut judge = Fencing::default();
    let item = item("a", Some("old\n"), Some("new\n"));
    scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
    latched(&scene, &mut judge, core::slice::from_ref(&item.key));
    scene
        .begin(&mut judge, &intent(core::slice::from_ref(&item)))
        .unwrap();
    (scene, judge, item)
}

#[test]
fn a_swap_under_its_own_newest_grant_and_latch_is_right() {
    let (mut scene, mut judge, item) = under_way();
    scene.swap(&mut judge, &item, Some("new\n")).unwrap();
    let items = core::slice::from_ref(&item);
    scene
        .finish(&mut judge, finish(), &receipt(items, 1))
        .unwrap();
    scene
        .grant(&mut judge, 200, &lease_at(2, "a", 200))
        .unwrap();
}

#[test]
fn a_swap_after_a_newer_grant_is_stale() {
    let (mut scene, mut judge, item) = under_way();
    scene
        .granted(&mut judge, 200, &lease_at(2, "a", 200))
        .unwrap();
    let judged = scene.swap(&mut judge, &item, Some("new\n"));
    assert_eq!(site(judged), Some("stale-swap"));
}

#[test]
fn a_newer_grant_elsewhere_does_not_matter() {
    let (mut scene, mut judge, item) = under_way();
    scene
        .granted(&mut judge, 200, &lease_at(2, "b", 200))
        .unwrap();
    scene.swap(&mut judge, &item, Some("new\n")).unwrap();
}

#[test]
fn a_swap_needs_an_intent() {
    let mut scene = Scene::new(&[("a", "old\n")]);
    let item = item("a", Some("old\n"), Some("new\n"));
    let judged = scene.swap(&mut Fencing::default(), &item, Some("new\n"));
    assert_eq!(site(judged), Some("swap-without-intent"));
}

#[test]
fn a_swap_needs_the_latch_of_its_key_in_its_own_call() {
    let (mut scene, mut judge, item) = under_way();
    let dropped = Observation::Unlatched {
        process: P,
        call: CALL,
    };
    scene.show(&mut judge, &dropped).unwrap();
    let other = crate::checks::scene::key("b");
    latched(&scene, &mut judge, &[other]);
    let judged = scene.swap(&mut judge, &item, Some("new\n"));
    assert_eq!(site(judged), Some("swap-without-latch"));

    let (mut scene, mut judge, item) = under_way();
    scene.died(&mut judge, "p-1").unwrap();
    let judged = scene.swap(&mut judge, &item, Some("new\n"));
    assert_eq!(site(judged), Some("swap-without-latch"));
}

#[test]
fn a_grant_over_an_open_commit_is_wrong() {
    let (mut scene, mut judge, item) = under_way();
    let open = intent(core::slice::from_ref(&item));
    scene
        .rows
        .apply(maasl_core::lease::outcome::Change::PutIntent(Box::new(
            open,
        )));
    let judged = scene.granted(&mut judge, 200, &lease_at(2, "a", 200));
    assert_eq!(site(judged), Some("commit-passed"));
}
