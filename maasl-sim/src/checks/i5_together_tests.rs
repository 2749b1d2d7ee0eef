//! Tests of the judge of transactions.

use maasl_core::coordinator::graph::MAIN;
use maasl_core::graph::changes::{Changes, Node};
use maasl_core::graph::journal::Journal;
use maasl_core::graph::patch::{Header, Patch};
use maasl_core::graph::seen::Seen;
use maasl_core::graph::stamp::Stamp;
use maasl_core::id::ActorId;
use maasl_core::lease::outcome::Change;
use maasl_core::lease::row::{CommitDatabase, CommitPatch};
use maasl_core::resource::ResourceKey;

use super::super::scene::{CALL, P, Scene, finish, intent, item, site};
use super::*;
use crate::observe::RequestNo;

const DB: &str = "rag";

/// A scene in which `ann` has asked for a transaction of one row.
fn asked() -> (Scene, Together) {
    let (scene, mut judge) = (Scene::new(&[]), Together::default());
    let action = Action::Transact(crate::plan::Together {
        paths: vec!["f".into()],
        db: DB.into(),
        rows: 1,
        documents: Vec::new(),
        patch: None,
    });
    scene.ask(&mut judge, 1, &action, None, &[]).unwrap();
    (scene, judge)
}

fn with_part() -> CommitIntent {
    CommitIntent {
        database: Some(CommitDatabase {
            path: DB.into(),
            key: ResourceKey::new("db", DB),
        }),
        ..intent(&[item("f", Some("old"), Some("new"))])
    }
}

fn begin(scene: &Scene, judge: &mut Together) {
    scene.begin(judge, &with_part()).unwrap();
}

/// The same with a patch.
fn with_patch() -> CommitIntent {
    CommitIntent {
        patch: Some(Box::new(part())),
        ..with_part()
    }
}

fn part() -> CommitPatch {
    let header = Header {
        dot: Dot {
            actor: ActorId::new("s"),
            counter: 1,
        },
        stamp: Stamp::after(Stamp::ZERO, 1).unwrap(),
        seen: Seen::nothing(),
    };
    let changes = Changes {
        nodes_to_add: vec![Node {
            id: "n".into(),
            properties: BTreeMap::new(),
        }],
        ..Changes::default()
    };
    CommitPatch::of(MAIN, &Patch::seal(header, &changes).unwrap())
}

/// The patch is in the journal.
fn append(scene: &mut Scene) {
    let mut journal = Journal::new(MAIN);
    journal.have.insert(&part().dot, part().stamp);
    scene.rows.apply(Change::PutJournal(Box::new(journal)));
}

fn turn_back(scene: &Scene, judge: &mut Together) {
    let command = Command::TurnBack(with_part().op);
    let done = Outcome::Done { wake: Vec::new() };
    scene.store(judge, 0, &command, &done).unwrap();
}

fn end(scene: &Scene, judge: &mut Together, end: Option<ItemEnd>) -> Result<(), Breach> {
    let mut finish = finish();
    finish.exceptions.extend(end.map(|end| ("f".into(), end)));
    let finished = Outcome::Finished {
        receipt: with_part().receipt,
        wake: Vec::new(),
    };
    scene.store(judge, 0, &Command::FinishCommit(finish), &finished)
}

fn commit(scene: &Scene, judge: &mut Together) -> Result<(), Breach> {
    let seal = Seal {
        token: with_part().token,
        answered: None,
        part_of: None,
        wall_ms: 0,
        forget_before_wall_ms: 0,
    };
    let rows = [row_of("ann", RequestNo(1), 0)];
    let seen = Observation::DatabaseCommitted {
        process: P,
        call: CALL,
        db: DB,
        seal: &seal,
        rows: &rows,
    };
    scene.show(judge, &seen)
}

#[test]
fn both_or_neither_is_right() {
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    commit(&scene, &mut judge).unwrap();
    end(&scene, &mut judge, None).unwrap();
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    turn_back(&scene, &mut judge);
    end(&scene, &mut judge, Some(ItemEnd::Undone)).unwrap();
}

#[test]
fn one_without_the_other_is_half() {
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    let judged = end(&scene, &mut judge, None);
    assert_eq!(site(judged), Some("half-of-a-transaction"));
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    commit(&scene, &mut judge).unwrap();
    turn_back(&scene, &mut judge);
    let judged = end(&scene, &mut judge, Some(ItemEnd::Undone));
    assert_eq!(site(judged), Some("half-of-a-transaction"));
}

#[test]
fn rows_come_inside_their_commit() {
    let (scene, mut judge) = asked();
    let judged = commit(&scene, &mut judge);
    assert_eq!(site(judged), Some("committed-before-intent"));
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    turn_back(&scene, &mut judge);
    let judged = commit(&scene, &mut judge);
    assert_eq!(site(judged), Some("committed-while-undone"));
}

#[test]
fn an_intent_of_committed_rows_outlives_the_power() {
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    commit(&scene, &mut judge).unwrap();
    let judged = scene.show(&mut judge, &Observation::PowerCut);
    assert_eq!(site(judged), Some("intent-lost"));
}

#[test]
fn nothing_is_owed_over_an_old_copy_of_the_store() {
    let (scene, mut judge) = asked();
    scene.show(&mut judge, &Observation::Restored).unwrap();
    commit(&scene, &mut judge).unwrap();
}

#[test]
fn a_patch_stands_with_the_rest_or_not_at_all() {
    for (appended, undone, right) in [
        (true, false, true),
        (false, false, false),
        (false, true, true),
        (true, true, false),
    ] {
        let (mut scene, mut judge) = asked();
        scene.begin(&mut judge, &with_patch()).unwrap();
        if undone {
            turn_back(&scene, &mut judge);
        } else {
            commit(&scene, &mut judge).unwrap();
        }
        if appended {
            append(&mut scene);
        }
        let judged = end(&scene, &mut judge, undone.then_some(ItemEnd::Undone));
        let expected = (!right).then_some("half-of-a-transaction");
        assert_eq!(site(judged), expected, "{appended} {undone}");
    }
}

#[test]
fn a_patch_that_comes_with_the_intent_is_too_early() {
    let (mut scene, mut judge) = asked();
    append(&mut scene);
    let judged = scene.begin(&mut judge, &with_patch());
    assert_eq!(site(judged), Some("patch-before-its-end"));
}

#[test]
fn a_file_that_stays_without_the_rows_is_half() {
    let (_, mut judge) = asked();
    let mut scene = Scene::new(&[("f", "old")]);
    begin(&scene, &mut judge);
    let file = item("f", Some("old"), Some("new"));
    scene.swap(&mut judge, &file, Some("new")).unwrap();
    turn_back(&scene, &mut judge);
    let judged = end(&scene, &mut judge, Some(ItemEnd::Undone));
    assert_eq!(site(judged), Some("half-of-a-transaction"));
}

#[test]
fn a_file_that_met_somebody_outside_is_no_part_of_it() {
    let met = ItemEnd::Conflict {
        found: None,
        outside_stands: true,
    };
    let (mut scene, mut judge) = asked();
    scene.begin(&mut judge, &with_patch()).unwrap();
    commit(&scene, &mut judge).unwrap();
    let outside = Some("by hand");
    scene.outside(&mut judge, "f", outside).unwrap();
    append(&mut scene);
    end(&scene, &mut judge, Some(met)).unwrap();
}

#[test]
fn rows_that_come_out_of_a_log_belong_to_an_open_commit() {
    let came_back = |scene: &Scene, judge: &mut Together| {
        let seal = Seal {
            token: with_part().token,
            answered: None,
            part_of: None,
            wall_ms: 0,
            forget_before_wall_ms: 0,
        };
        let rows = [row_of("ann", RequestNo(1), 0)];
        let seen = Observation::DatabaseCameBack {
            db: DB,
            seal: &seal,
            rows: &rows,
        };
        site(scene.show(judge, &seen))
    };
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    assert_eq!(came_back(&scene, &mut judge), None);
    end(&scene, &mut judge, None).unwrap();
    let (scene, mut judge) = asked();
    begin(&scene, &mut judge);
    turn_back(&scene, &mut judge);
    end(&scene, &mut judge, Some(ItemEnd::Undone)).unwrap();
    assert_eq!(came_back(&scene, &mut judge), Some("came-back"));
}
