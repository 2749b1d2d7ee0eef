//! Tests of the judge of I5.

use maasl_core::coordinator::io::Response;
use maasl_core::id::AgentId;
use maasl_core::lease::command::FinishCommit;
use maasl_core::lease::outcome::Change;
use maasl_core::lease::{MemoryRows, Version};
use maasl_core::refusal::Stale;

use super::*;
use crate::checks::scene::{ANN, Scene, finish, hash, intent, item, plan, receipt, site, token};
use crate::observe::RequestNo;
use crate::plan::{Fault, When};

fn begun(files: &[(&str, &str)]) -> (Scene, Durable) {
    let scene = Scene::new(files);
    let mut judge = Durable::default();
    scene.show(&mut judge, &Observation::PowerCut).unwrap();
    (scene, judge)
}

fn version(path: &str, number: u64, content: &str) -> Change {
    Change::PutVersion(Version {
        path: path.into(),
        number,
        content: Some(hash(content)),
        token: token(1),
        agent: AgentId::new("ann"),
        op: "write".into(),
        wall_ms: 0,
        size_bytes: 0,
    })
}

/// Stages `two` for every item.
fn staged(scene: &mut Scene, items: &[CommitItem]) {
    for item in items {
        let bytes = b"two".as_slice().into();
        scene.disk.stage(&item.stage, bytes, true);
    }
}

/// `ann` makes `two` of `one`, is told so, and the displaced content is kept.
fn acknowledged() -> (Scene, Durable) {
    let (scene, mut judge, receipt) = changed();
    scene.answer(&mut judge, 1, &receipt).unwrap();
    (scene, judge)
}

/// The same, and she is not told yet.
fn changed() -> (Scene, Durable, Receipt) {
    let (mut scene, mut judge) = begun(&[("a", "one")]);
    let item = item("a", Some("one"), Some("two"));
    let items = core::slice::from_ref(&item);
    staged(&mut scene, items);
    scene.begin(&mut judge, &intent(items)).unwrap();
    scene.swap(&mut judge, &item, None).unwrap();
    scene.disk.keep(&item.stage, hash("one"));
    scene.rows.apply(version("a", 1, "two"));
    let receipt = receipt(items, 1);
    scene.finish(&mut judge, finish(), &receipt).unwrap();
    (scene, judge, receipt)
}

fn cut(scene: &Scene, judge: &mut Durable) -> Option<&'static str> {
    site(scene.show(judge, &Observation::PowerCut))
}

fn end(scene: &Scene, judge: &mut Durable) -> Option<&'static str> {
    site(scene.show(judge, &Observation::Ended { finished: false }))
}

#[test]
fn an_acknowledged_content_may_be_followed_and_not_undone() {
    let (mut scene, mut judge) = acknowledged();
    assert_eq!(cut(&scene, &mut judge), None);
    scene.outside(&mut judge, "a", Some("three")).unwrap();
    assert_eq!(cut(&scene, &mut judge), None);
    scene.disk.outside("a", Some(b"one".as_slice().into()));
    assert_eq!(cut(&scene, &mut judge), Some("acknowledged-lost"));
}

#[test]
fn what_nobody_put_there_is_torn() {
    let (mut scene, mut judge) = acknowledged();
    scene.disk.outside("a", Some(b"tw".as_slice().into()));
    assert_eq!(cut(&scene, &mut judge), Some("torn"));
    let (mut scene, mut judge) = acknowledged();
    scene.disk.outside("b", Some(b"x".as_slice().into()));
    assert_eq!(cut(&scene, &mut judge), Some("torn"));
}

#[test]
fn what_was_not_acknowledged_may_be_gone() {
    let (mut scene, mut judge) = begun(&[("a", "one")]);
    let item = item("a", Some("one"), Some("two"));
    scene.swap(&mut judge, &item, Some("two")).unwrap();
    scene.disk.outside("a", Some(b"one".as_slice().into()));
    assert_eq!(cut(&scene, &mut judge), None);
}

#[test]
fn an_acknowledged_version_stays_known() {
    let (mut scene, mut judge) = acknowledged();
    scene.rows = MemoryRows::default();
    assert_eq!(cut(&scene, &mut judge), Some("version-lost"));
    let (mut scene, mut judge) = acknowledged();
    scene.rows = MemoryRows::default();
    scene.show(&mut judge, &Observation::Restored).unwrap();
    assert_eq!(cut(&scene, &mut judge), None);
}

#[test]
fn displaced_contents_are_kept() {
    let never_kept = || Scene::new(&[("a", "two")]).disk;
    let (mut scene, mut judge) = acknowledged();
    scene.disk = never_kept();
    assert_eq!(end(&scene, &mut judge), Some("kept-lost"));
    let (mut scene, mut judge) = acknowledged();
    scene.disk = never_kept();
    assert_eq!(cut(&scene, &mut judge), None, "a power cut may take it");
    assert_eq!(end(&scene, &mut judge), None);
    let (mut scene, mut judge) = acknowledged();
    assert_eq!(cut(&scene, &mut judge), None);
    scene.disk = never_kept();
    assert_eq!(end(&scene, &mut judge), Some("kept-lost"));
}

#[test]
fn what_a_power_cut_took_before_the_answer_was_not_promised() {
    let told_after_a_cut = |lost: bool| {
        let (mut scene, mut judge, receipt) = changed();
        let kept = std::mem::replace(&mut scene.disk, Scene::new(&[("a", "two")]).disk);
        if !lost {
            scene.disk = kept;
        }
        assert_eq!(cut(&scene, &mut judge), None);
        scene.answer(&mut judge, 1, &receipt).unwrap();
        scene.disk = Scene::new(&[("a", "two")]).disk;
        end(&scene, &mut judge)
    };
    assert_eq!(told_after_a_cut(true), None);
    assert_eq!(told_after_a_cut(false), Some("kept-lost"));
}

#[test]
fn what_a_conflict_promised_to_keep_survives_a_power_cut() {
    let (mut scene, mut judge) = acknowledged();
    let stale = Stale {
        path: "a".into(),
        kept_version: Some(1),
        ..Stale::default()
    };
    let seen = Observation::Answered {
        agent: ANN,
        request: RequestNo(2),
        response: &Response {
            result: Err(Refusal::StaleVersion(Box::new(stale))),
            lost: Vec::new(),
            observed: Vec::new(),
        },
    };
    scene.show(&mut judge, &seen).unwrap();
    assert_eq!(cut(&scene, &mut judge), None);
    scene.disk.outside("a", None);
    judge.files.clear();
    assert_eq!(cut(&scene, &mut judge), Some("kept-lost"));
}

#[test]
fn a_set_is_whole_or_absent() {
    let items = [
        item("a", Some("one"), Some("two")),
        item("b", Some("one"), Some("two")),
    ];
    let half = |swaps: usize, end: FinishCommit, outside: bool| {
        let (mut scene, mut judge) = begun(&[("a", "one"), ("b", "one")]);
        staged(&mut scene, &items);
        scene.begin(&mut judge, &intent(&items)).unwrap();
        for item in &items[..swaps] {
            scene.swap(&mut judge, item, None).unwrap();
        }
        if outside {
            scene.outside(&mut judge, "b", Some("one")).unwrap();
        }
        site(scene.finish(&mut judge, end, &receipt(&items, 1)))
    };
    assert_eq!(half(2, finish(), false), None);
    assert_eq!(half(1, finish(), false), Some("half-set"));
    assert_eq!(half(1, finish(), true), None);
    let undone = FinishCommit {
        exceptions: BTreeMap::from([("a".into(), ItemEnd::Undone), ("b".into(), ItemEnd::Undone)]),
        ..finish()
    };
    assert_eq!(half(0, undone.clone(), false), None);
    assert_eq!(half(1, undone, false), Some("half-set"));
}

#[test]
fn of_a_set_only_what_is_short_is_excused() {
    let items = ["a", "b", "c"].map(|path| item(path, Some("one"), Some("two")));
    let ends = |swaps: &[usize]| {
        let (mut scene, mut judge) = begun(&[("a", "one"), ("b", "one"), ("c", "one")]);
        for (item, content) in items.iter().zip(["two", "two", "t"]) {
            scene
                .disk
                .stage(&item.stage, content.as_bytes().into(), true);
        }
        let seen = Observation::Shortened {
            stage: &items[2].stage,
            after: hash("t"),
        };
        scene.show(&mut judge, &seen).unwrap();
        scene.begin(&mut judge, &intent(&items)).unwrap();
        for at in swaps {
            scene.swap(&mut judge, &items[*at], None).unwrap();
        }
        let receipt = receipt(&items, 1);
        let ended = site(scene.finish(&mut judge, finish(), &receipt));
        (scene, judge, receipt, ended)
    };
    assert_eq!(ends(&[0, 2]).3, Some("half-set"));
    assert_eq!(ends(&[0, 1]).3, None);
    let (mut scene, mut judge, receipt, ended) = ends(&[0, 1, 2]);
    assert_eq!(ended, None);
    scene.answer(&mut judge, 1, &receipt).unwrap();
    scene.disk.outside("c", Some(b"one".as_slice().into()));
    assert_eq!(end(&scene, &mut judge), Some("acknowledged-lost"));
}

#[test]
fn nothing_is_begun_that_is_not_staged() {
    let begins = |owner_dies: bool| {
        let (scene, mut judge) = begun(&[("a", "one")]);
        if owner_dies {
            scene.died(&mut judge, "p-1").unwrap();
        }
        let item = item("a", Some("one"), Some("two"));
        site(scene.begin(&mut judge, &intent(core::slice::from_ref(&item))))
    };
    assert_eq!(begins(false), Some("not-staged"));
    assert_eq!(begins(true), None);
}

/// A commit is left open by the dead; then somebody keeps house, or not.
fn left_open(mut judge: Durable, quiet: bool, keeps_house: bool) -> Option<&'static str> {
    let mut scene = Scene::new(&[("a", "one")]);
    let item = item("a", Some("one"), Some("two"));
    let intent = intent(core::slice::from_ref(&item));
    scene
        .rows
        .apply(Change::PutIntent(Box::new(intent.clone())));
    staged(&mut scene, &intent.items);
    scene.begin(&mut judge, &intent).unwrap();
    scene.died(&mut judge, "p-1").unwrap();
    if quiet {
        scene.show(&mut judge, &Observation::Quiet).unwrap();
    }
    if keeps_house {
        let seen = Observation::KeepsHouse {
            process: ProcessNo(1),
            dead: &[SessionId::new("p-1")].into(),
        };
        scene.show(&mut judge, &seen).unwrap();
    }
    site(scene.show(&mut judge, &Observation::Ended { finished: true }))
}

#[test]
fn the_commits_of_the_dead_are_settled_once_somebody_keeps_house() {
    assert_eq!(left_open(Durable::default(), true, true), Some("unsettled"));
    assert_eq!(left_open(Durable::default(), true, false), None);
    assert_eq!(left_open(Durable::default(), false, true), None);
}

#[test]
fn where_nothing_hinders_it_they_are_settled_in_the_middle_of_faults_too() {
    let plan = plan();
    assert_eq!(
        left_open(Durable::of(&plan), false, true),
        Some("unsettled")
    );
    let mut hindered = plan;
    hindered.faults = vec![Fault {
        when: When::At { at_ms: 0 },
        what: FaultKind::DiskFull { for_ms: 1 },
    }];
    assert_eq!(left_open(Durable::of(&hindered), false, true), None);
}

#[test]
fn of_a_set_that_met_an_outside_save_the_rest_is_durable() {
    let items = [
        item("a", Some("one"), Some("two")),
        item("b", Some("one"), Some("two")),
    ];
    let met = ItemEnd::Conflict {
        found: Some(hash("three")),
        outside_stands: true,
    };
    let end = FinishCommit {
        exceptions: BTreeMap::from([("b".into(), met)]),
        ..finish()
    };
    let falls_back = |path: &str| {
        let (mut scene, mut judge) = begun(&[("a", "one"), ("b", "one")]);
        staged(&mut scene, &items);
        scene.begin(&mut judge, &intent(&items)).unwrap();
        scene.swap(&mut judge, &items[0], None).unwrap();
        scene.outside(&mut judge, "b", Some("three")).unwrap();
        let receipt = receipt(&items, 1);
        scene.finish(&mut judge, end.clone(), &receipt).unwrap();
        scene.answer(&mut judge, 1, &receipt).unwrap();
        scene.disk.outside(path, Some(b"one"[..].into()));
        site(scene.show(&mut judge, &Observation::Ended { finished: false }))
    };
    assert_eq!(falls_back("a"), Some("acknowledged-lost"));
    assert_eq!(falls_back("b"), None, "what it holds is somebody else's");
}

#[test]
fn a_commit_goes_back_only_if_that_was_decided() {
    let back = |decided: bool| {
        let (mut scene, mut judge) = begun(&[("a", "one")]);
        let item = item("a", Some("one"), Some("two"));
        let intent = intent(core::slice::from_ref(&item));
        staged(&mut scene, &intent.items);
        scene.begin(&mut judge, &intent).unwrap();
        scene.swap(&mut judge, &item, None).unwrap();
        if decided {
            let done = Outcome::Done { wake: Vec::new() };
            let turn = Command::TurnBack(intent.op.clone());
            scene.store(&mut judge, 0, &turn, &done).unwrap();
        }
        let swapped = scene.disk.swap_back(&item);
        let seen = Observation::Swapped {
            process: crate::checks::scene::P,
            call: maasl_core::coordinator::io::CallId(1),
            item: &item,
            back: true,
            swapped,
            now: scene.disk.hash("a"),
        };
        site(scene.show(&mut judge, &seen))
    };
    assert_eq!(back(true), None);
    assert_eq!(back(false), Some("taken-back"));
}

#[test]
fn what_is_said_to_be_undone_is() {
    let items = [
        item("a", Some("one"), Some("two")),
        item("b", Some("one"), Some("two")),
    ];
    let met = ItemEnd::Conflict {
        found: Some(hash("three")),
        outside_stands: true,
    };
    let end = FinishCommit {
        exceptions: BTreeMap::from([("a".into(), ItemEnd::Undone), ("b".into(), met)]),
        ..finish()
    };
    let ends = |swaps: usize| {
        let (mut scene, mut judge) = begun(&[("a", "one"), ("b", "one")]);
        staged(&mut scene, &items);
        scene.begin(&mut judge, &intent(&items)).unwrap();
        for item in &items[..swaps] {
            scene.swap(&mut judge, item, None).unwrap();
        }
        site(scene.finish(&mut judge, end.clone(), &receipt(&items, 1)))
    };
    assert_eq!(ends(0), None);
    assert_eq!(ends(1), Some("undone-stands"));
}

#[test]
fn a_set_whose_intent_a_power_cut_took_is_whole_or_absent() {
    let items = [
        item("a", Some("one"), Some("two")),
        item("b", Some("one"), Some("two")),
    ];
    let left = |swaps: usize, known: bool| {
        let (mut scene, mut judge) = begun(&[("a", "one"), ("b", "one")]);
        staged(&mut scene, &items);
        let intent = intent(&items);
        if known {
            scene
                .rows
                .apply(Change::PutIntent(Box::new(intent.clone())));
        }
        scene.begin(&mut judge, &intent).unwrap();
        for item in &items[..swaps] {
            scene.swap(&mut judge, item, None).unwrap();
        }
        cut(&scene, &mut judge)
    };
    assert_eq!(left(1, true), None, "somebody will settle it");
    assert_eq!(left(1, false), Some("half-set"));
    assert_eq!(left(0, false), None);
    assert_eq!(left(2, false), None);
}
