//! Tests of the judge of I3 by the rows.

use maasl_core::lease::outcome::Change;

use super::*;
use crate::checks::scene::{Scene, lease, lease_at, site, token};

#[test]
fn one_holder_after_the_other_is_right() {
    let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
    scene.rows.apply(Change::DeleteLease(token(1)));
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
fn an_answer_given_again_says_nothing_about_the_rows() {
    let (mut scene, mut judge) = (Scene::new(&[]), Exclusion::default());
    scene.grant(&mut judge, 0, &lease(1, "a")).unwrap();
    scene.rows.apply(Change::DeleteLease(token(1)));
    scene.grant(&mut judge, 2, &lease_at(2, "a", 2)).unwrap();
    scene.granted(&mut judge, 3, &lease(1, "a")).unwrap();
}
