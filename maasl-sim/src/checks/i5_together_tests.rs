//! Tests of the judge of transactions.

use maasl_core::lease::CommitIntent;
use maasl_core::lease::row::CommitDatabase;
use maasl_core::resource::ResourceKey;

use super::super::scene::{CALL, P, Scene, finish, intent, item, site};
use super::*;
use crate::observe::RequestNo;

const DB: &str = "rag";

/// A scene in which `ann` has asked for a transaction of one row.
fn asked() -> (Scene, Together) {
    let (scene, mut judge) = (Scene::new(&[]), Together::default());
    let action = Action::Transact {
        paths: vec!["f".into()],
        db: DB.into(),
        rows: 1,
    };
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
    let command = Command::BeginCommit(with_part());
    scene.store(judge, 0, &command, &Outcome::Begun).unwrap();
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
