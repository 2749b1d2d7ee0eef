//! Tests of the judge of I3.

use maasl_core::lease::command::Release;
use maasl_core::lease::outcome::Change;
use std::collections::BTreeSet;

use super::*;
use crate::checks::scene::{Scene, at, lease, lease_at, open, site, token};

fn held(lease: &Lease) -> Outcome {
    Outcome::Held {
        lease: lease.clone(),
        expires_in_ms: lease.ttl_ms,
    }
}

#[test]
fn one_holder_after_the_other_is_right() {
    let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
    scene.rows.apply(Change::DeleteLease(token(1)));
    let release = Command::Release(Release {
        lease: LeaseId::new("lease-1"),
        latched: BTreeSet::new(),
        counts: Vec::new(),
    });
    let released = Outcome::Released {
        held_ms: 1,
        wake: Vec::new(),
    };
    scene.store(&mut judge, 1, &release, &released).unwrap();
    scene.grant(&mut judge, 2, &lease_at(2, "a", 2)).unwrap();
}

#[test]
fn two_rows_for_one_file_are_two_holders() {
    let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
    let judged = scene.grant(&mut judge, 200, &lease_at(2, "a", 200));
    assert_eq!(site(judged), Some("two-holders"));
}

#[test]
fn who_takes_over_waits_for_expiry_lock_delay_or_death() {
    let early = |at_ms, lock_delay_ms, died| {
        let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
        let mut first = lease(1, "a");
        first.lock_delay_ms = lock_delay_ms;
        scene.grant(&mut judge, 0, &first).unwrap();
        scene.rows.apply(Change::DeleteLease(token(1)));
        if died {
            scene.died(&mut judge, "p-1").unwrap();
        }
        site(scene.grant(&mut judge, at_ms, &lease_at(2, "a", at_ms)))
    };
    assert_eq!(early(99, 0, false), Some("taken-early"));
    assert_eq!(early(100, 0, false), None);
    assert_eq!(early(120, 50, false), Some("taken-early"));
    assert_eq!(early(150, 50, false), None);
    assert_eq!(early(10, 0, true), None);
    assert_eq!(early(10, 50, true), Some("taken-early"));
}

#[test]
fn a_lease_lasts_no_longer_than_asked_for() {
    let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    let mut long = lease(1, "a");
    long.expires_at = at(101);
    assert_eq!(
        site(scene.grant(&mut judge, 0, &long)),
        Some("lease-too-long")
    );
}

#[test]
fn renewal_is_for_leases_that_have_not_run_out() {
    let renewed = |at_ms| {
        let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
        scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
        let renew = Command::Renew(LeaseId::new("lease-1"));
        let longer = lease_at(1, "a", at_ms);
        site(scene.store(&mut judge, at_ms, &renew, &held(&longer)))
    };
    assert_eq!(renewed(99), None);
    assert_eq!(renewed(100), Some("renewed-after-expiry"));
    let (scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    let renew = Command::Renew(LeaseId::new("lease-1"));
    let judged = scene.store(&mut judge, 1, &renew, &held(&lease(1, "a")));
    assert_eq!(site(judged), Some("renewed-after-end"));
}

#[test]
fn another_boot_ends_what_the_old_clock_timed() {
    let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
    let command = open();
    let opened = scene.rows.transact(
        &command,
        maasl_core::lease::StoreClock {
            now: at(1),
            wall_ms: 1,
        },
    );
    scene.store(&mut judge, 1, &command, &opened).unwrap();
    scene.rows.apply(Change::DeleteLease(token(1)));
    scene.grant(&mut judge, 2, &lease_at(2, "a", 2)).unwrap();
}
