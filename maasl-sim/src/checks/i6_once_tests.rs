//! Tests of the judge of I6.

use maasl_core::id::ContentHash;
use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::outcome::Change;
use maasl_core::lease::{CommitIntent, Lease, RequestKey};

use super::*;
use crate::checks::scene::{
    CALL, P, Scene, asking, at, edit, finish, intent, item, lease, receipt, site, token,
};

fn request() -> RequestKey {
    RequestKey {
        key: "k".into(),
        fingerprint: ContentHash::of(b"edit"),
    }
}

fn asked() -> (Scene, Once) {
    let (scene, mut judge) = (Scene::new(&[]), Once::default());
    scene
        .ask(&mut judge, 1, &edit("a"), Some("k"), &[])
        .unwrap();
    (scene, judge)
}

fn done(scene: &Scene, judge: &mut Once, end: FinishCommit) -> Result<(), Breach> {
    let intent = CommitIntent {
        request: Some(request()),
        ..intent(&[item("a", None, Some("x"))])
    };
    scene.begin(judge, &intent)?;
    scene.finish(judge, end, &intent.receipt)
}

fn granted(scene: &Scene, judge: &mut Once, lease: &Lease) -> Result<(), Breach> {
    let mut asking = asking(lease);
    asking.request = Some(request());
    let outcome = Outcome::Granted {
        lease: lease.clone(),
        taken_over: Vec::new(),
        wake: Vec::new(),
    };
    scene.store(judge, 0, &Command::Acquire(asking), &outcome)
}

#[test]
fn one_effect_and_the_same_answer_twice_are_right() {
    let (scene, mut judge) = asked();
    done(&scene, &mut judge, finish()).unwrap();
    let receipt = receipt(&[item("a", None, Some("x"))], 1);
    scene.answer(&mut judge, 1, &receipt).unwrap();
    scene.answer(&mut judge, 1, &receipt).unwrap();
}

#[test]
fn a_second_effect_is_one_too_many_unless_the_first_was_undone_or_forgotten() {
    let undone = FinishCommit {
        exceptions: BTreeMap::from([("a".into(), ItemEnd::Undone)]),
        ..finish()
    };
    let (scene, mut judge) = asked();
    done(&scene, &mut judge, undone).unwrap();
    done(&scene, &mut judge, finish()).unwrap();
    let judged = done(&scene, &mut judge, finish());
    assert_eq!(site(judged), Some("two-effects"));

    let (scene, mut judge) = asked();
    done(&scene, &mut judge, finish()).unwrap();
    scene.show(&mut judge, &Observation::Restored).unwrap();
    done(&scene, &mut judge, finish()).unwrap();
}

#[test]
fn a_second_grant_is_one_too_many() {
    let (scene, mut judge) = asked();
    granted(&scene, &mut judge, &lease(1, "a")).unwrap();
    granted(&scene, &mut judge, &lease(1, "a")).unwrap();
    let judged = granted(&scene, &mut judge, &lease(2, "a"));
    assert_eq!(site(judged), Some("two-grants"));
}

#[test]
fn another_answer_breaks_it() {
    let (scene, mut judge) = asked();
    let first = receipt(&[item("a", None, Some("x"))], 1);
    let second = receipt(&[item("a", None, Some("y"))], 1);
    scene.answer(&mut judge, 1, &first).unwrap();
    let judged = scene.answer(&mut judge, 1, &second);
    assert_eq!(site(judged), Some("two-answers"));
}

#[test]
fn an_answer_tells_what_was_done() {
    let (scene, mut judge) = asked();
    done(&scene, &mut judge, finish()).unwrap();
    let other = Receipt::Changed {
        files: Vec::new(),
        token: token(9),
        waited_ms: 0,
        beyond: maasl_core::reply::Beyond::default(),
    };
    let judged = scene.answer(&mut judge, 1, &other);
    assert_eq!(site(judged), Some("answer-differs-from-effect"));
}

#[test]
fn a_key_is_not_mistaken_for_another_request() {
    let (scene, mut judge) = asked();
    let refusal = Refusal::IdempotencyMismatch { key: "k".into() };
    let judged = scene.answered(&mut judge, 1, Err(refusal));
    assert_eq!(site(judged), Some("mismatch"));
}

/// A command of the first call, in its `n`th step.
fn spoke(scene: &Scene, judge: &mut Once, n: u64) {
    let seen = Observation::Transacted {
        process: P,
        step: Some(StepId {
            call: CALL,
            step: n,
        }),
        command: &Command::Recall(request()),
        outcome: &Outcome::NotAnswered,
        clock: maasl_core::lease::StoreClock {
            now: at(0),
            wall_ms: 0,
        },
    };
    scene.show(judge, &seen).unwrap();
}

fn stale() -> Refusal {
    Refusal::StaleVersion(Box::default())
}

#[test]
fn a_refusal_after_the_effect_is_found() {
    let (scene, mut judge) = asked();
    spoke(&scene, &mut judge, 1);
    done(&scene, &mut judge, finish()).unwrap();
    spoke(&scene, &mut judge, 2);
    let judged = scene.decided(&mut judge, Err(stale()));
    assert_eq!(site(judged), Some("refused-after-effect"));
}

#[test]
fn a_refusal_that_was_decided_before_the_effect_is_right() {
    let (scene, mut judge) = asked();
    spoke(&scene, &mut judge, 2);
    done(&scene, &mut judge, finish()).unwrap();
    // The first step is delivered again.
    spoke(&scene, &mut judge, 1);
    scene.decided(&mut judge, Err(stale())).unwrap();
}

#[test]
fn whoever_leaves_it_open_is_not_mistaken() {
    for refusal in [
        Refusal::internal("unknown"),
        Refusal::Cancelled,
        Refusal::ResourceBusy(Box::default()),
    ] {
        let (scene, mut judge) = asked();
        done(&scene, &mut judge, finish()).unwrap();
        spoke(&scene, &mut judge, 1);
        scene.decided(&mut judge, Err(refusal)).unwrap();
    }
}

#[test]
fn a_refusal_after_a_grant_or_after_rows_is_found() {
    let (scene, mut judge) = asked();
    granted(&scene, &mut judge, &lease(1, "a")).unwrap();
    spoke(&scene, &mut judge, 1);
    let judged = scene.decided(&mut judge, Err(stale()));
    assert_eq!(site(judged), Some("refused-after-effect"));

    let (scene, mut judge) = asked();
    let seal = maasl_core::database::Seal {
        token: token(1),
        answered: Some(maasl_core::lease::Answered {
            request: request(),
            receipt: receipt(&[], 1),
            wall_ms: 0,
        }),
        part_of: None,
        wall_ms: 0,
        forget_before_wall_ms: 0,
    };
    let committed = Observation::DatabaseCommitted {
        process: P,
        call: CALL,
        db: "rag",
        seal: &seal,
        rows: &[],
    };
    scene.show(&mut judge, &committed).unwrap();
    spoke(&scene, &mut judge, 1);
    let judged = scene.decided(&mut judge, Err(stale()));
    assert_eq!(site(judged), Some("refused-after-effect"));
}

#[test]
fn an_end_that_went_with_the_power_is_made_again() {
    let (mut scene, mut judge) = asked();
    let open = CommitIntent {
        request: Some(request()),
        ..intent(&[item("a", None, Some("x"))])
    };
    done(&scene, &mut judge, finish()).unwrap();
    scene.rows.apply(Change::PutIntent(Box::new(open.clone())));
    scene.show(&mut judge, &Observation::PowerCut).unwrap();
    spoke(&scene, &mut judge, 1);
    scene.decided(&mut judge, Err(stale())).unwrap();
    scene.finish(&mut judge, finish(), &open.receipt).unwrap();
    spoke(&scene, &mut judge, 1);
    let judged = scene.decided(&mut judge, Err(stale()));
    assert_eq!(site(judged), Some("refused-after-effect"));
}
