//! Tests of the judge of refusals.

use std::collections::BTreeMap;

use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::{CommitIntent, StoreClock};

use super::*;
use crate::checks::scene::{CALL, P, Scene, at, finish, intent, item, receipt, site};

fn begun() -> (Scene, Refused, CommitIntent) {
    let (scene, mut judge) = (Scene::new(&[]), Refused::default());
    let intent = intent(&[item("a", None, Some("x"))]);
    let seen = Observation::Transacted {
        process: P,
        step: Some(StepId {
            call: CALL,
            step: 1,
        }),
        command: &Command::BeginCommit(intent.clone()),
        outcome: &Outcome::Begun,
        clock: StoreClock {
            now: at(0),
            wall_ms: 0,
        },
    };
    scene.show(&mut judge, &seen).unwrap();
    (scene, judge, intent)
}

fn refused(scene: &Scene, judge: &mut Refused, refusal: Refusal) -> Option<&'static str> {
    site(scene.decided(judge, Err(refusal)))
}

fn busy() -> Refusal {
    Refusal::ResourceBusy(Box::default())
}

fn end(scene: &Scene, judge: &mut Refused, end: FinishCommit) -> Option<&'static str> {
    let receipt = receipt(&[item("a", None, Some("x"))], 1);
    site(scene.finish(judge, end, &receipt))
}

fn undone() -> FinishCommit {
    FinishCommit {
        exceptions: BTreeMap::from([("a".into(), ItemEnd::Undone)]),
        ..finish()
    }
}

#[test]
fn a_call_whose_commit_stands_is_not_refused() {
    let (scene, mut judge, _) = begun();
    assert_eq!(end(&scene, &mut judge, finish()), None);
    assert_eq!(
        refused(&scene, &mut judge, busy()),
        Some("refused-and-done")
    );
}

#[test]
fn what_was_refused_is_not_rolled_forward() {
    let (scene, mut judge, _) = begun();
    assert_eq!(refused(&scene, &mut judge, busy()), None);
    assert_eq!(end(&scene, &mut judge, finish()), Some("refused-and-done"));
}

#[test]
fn what_was_undone_may_be_refused() {
    let (scene, mut judge, _) = begun();
    assert_eq!(end(&scene, &mut judge, undone()), None);
    assert_eq!(refused(&scene, &mut judge, busy()), None);
    let (scene, mut judge, _) = begun();
    assert_eq!(refused(&scene, &mut judge, busy()), None);
    assert_eq!(end(&scene, &mut judge, undone()), None);
}

#[test]
fn whoever_leaves_it_open_may_have_changed_something() {
    for refusal in [Refusal::internal("unknown"), Refusal::Cancelled] {
        let (scene, mut judge, _) = begun();
        assert_eq!(refused(&scene, &mut judge, refusal), None);
        assert_eq!(end(&scene, &mut judge, finish()), None);
    }
}

#[test]
fn what_a_copy_has_done_is_not_held_against_a_call() {
    let (scene, mut judge, intent) = begun();
    let copy = CommitIntent {
        op: OpId::new("copy"),
        ..intent
    };
    scene.begin(&mut judge, &copy).unwrap();
    let done = FinishCommit {
        op: copy.op,
        ..finish()
    };
    assert_eq!(end(&scene, &mut judge, done), None);
    assert_eq!(refused(&scene, &mut judge, busy()), None);
}
