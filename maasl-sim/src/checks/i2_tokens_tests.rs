//! Tests of the judge of I2.

use super::*;
use crate::checks::scene::{Scene, lease, site};

#[test]
fn rising_tokens_and_repeated_answers_are_right() {
    let (scene, mut judge) = (Scene::new(&[]), Tokens::default());
    for number in [1, 2, 2, 1, 7] {
        scene.granted(&mut judge, 0, &lease(number, "a")).unwrap();
    }
}

#[test]
fn a_token_of_two_leases_was_issued_twice() {
    let (scene, mut judge) = (Scene::new(&[]), Tokens::default());
    scene.granted(&mut judge, 0, &lease(1, "a")).unwrap();
    let mut other = lease(1, "a");
    other.id = LeaseId::new("another");
    assert_eq!(
        site(scene.granted(&mut judge, 0, &other)),
        Some("token-twice")
    );
}

#[test]
fn a_lower_token_after_a_higher_one_fell() {
    let (scene, mut judge) = (Scene::new(&[]), Tokens::default());
    scene.granted(&mut judge, 0, &lease(5, "a")).unwrap();
    let judged = scene.granted(&mut judge, 0, &lease(4, "a"));
    assert_eq!(site(judged), Some("token-fell"));
}
