//! Tests of the judge of databases.

use maasl_core::database::Seal;
use maasl_core::id::Token;
use maasl_core::lease::Lease;
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::time::Timestamp;

use super::super::scene::{CALL, P, Scene, lease, token as token_of};
use super::*;

const DB: &str = "rag";

fn key() -> ResourceKey {
    ResourceKey::new("db", DB)
}

fn lease_of(token: u64) -> Lease {
    Lease {
        wants: [Want::exclusive(key(), "CRIT_DB")].into(),
        kind: LeaseKind::Call,
        ..lease(token, "f")
    }
}

fn latched(scene: &Scene, judge: &mut Databases) {
    let keys = [key()];
    let seen = Observation::Latched {
        process: P,
        call: CALL,
        keys: &keys,
    };
    scene.show(judge, &seen).unwrap();
}

fn commit(scene: &Scene, judge: &mut Databases, token: u64, rows: &[String]) -> Result<(), Breach> {
    let seal = Seal {
        token: token_of(token),
        answered: None,
        part_of: None,
        wall_ms: 0,
        forget_before_wall_ms: 0,
    };
    let seen = Observation::DatabaseCommitted {
        process: P,
        call: CALL,
        db: DB,
        seal: &seal,
        rows,
    };
    scene.show(judge, &seen)
}

fn ask(scene: &Scene, judge: &mut Databases, key: Option<&str>) {
    let action = Action::DbWrite {
        db: DB.into(),
        rows: 1,
    };
    scene.ask(judge, 1, &action, key, &[]).unwrap();
}

fn site(result: Result<(), Breach>) -> &'static str {
    let breach = result.unwrap_err();
    assert_eq!(breach.promise, Promise::I11);
    breach.site
}

fn scene() -> (Scene, Databases) {
    (Scene::new(&[]), Databases::default())
}

/// Token 1 is granted for the database, and its holder inside the latch.
fn granted() -> (Scene, Databases) {
    let (mut scene, mut judge) = scene();
    scene.grant(&mut judge, 0, &lease_of(1)).unwrap();
    latched(&scene, &mut judge);
    (scene, judge)
}

#[test]
fn commits_in_the_order_of_tokens_under_their_latch_are_right() {
    let (mut scene, mut judge) = scene();
    for token in [1, 2, 3] {
        scene.grant(&mut judge, 0, &lease_of(token)).unwrap();
        latched(&scene, &mut judge);
        commit(&scene, &mut judge, token, &[]).unwrap();
    }
}

#[test]
fn a_commit_outside_its_latch_is_reported() {
    let (mut scene, mut judge) = scene();
    scene.grant(&mut judge, 0, &lease_of(1)).unwrap();
    let result = commit(&scene, &mut judge, 1, &[]);
    assert_eq!(site(result), "commit-without-latch");
}

#[test]
fn a_commit_after_a_newer_grant_is_reported() {
    let (mut scene, mut judge) = scene();
    scene.grant(&mut judge, 0, &lease_of(1)).unwrap();
    scene.grant(&mut judge, 0, &lease_of(2)).unwrap();
    latched(&scene, &mut judge);
    assert_eq!(site(commit(&scene, &mut judge, 1, &[])), "stale-commit");
}

#[test]
fn a_commit_below_an_earlier_one_is_reported() {
    let (scene, mut judge) = scene();
    latched(&scene, &mut judge);
    assert_eq!(site(commit(&scene, &mut judge, 2, &[])), "not-covered");
    assert_eq!(site(commit(&scene, &mut judge, 1, &[])), "out-of-order");
}

#[test]
fn two_writers_that_meet_are_reported() {
    let (scene, mut judge) = scene();
    let met = scene.show(&mut judge, &Observation::DatabaseMet { db: DB });
    assert_eq!(site(met), "two-writers");
}

#[test]
fn work_that_outlived_its_lease_must_not_be_committed() {
    let (mut scene, mut judge) = scene();
    let lease = lease_of(1);
    scene.grant(&mut judge, 0, &lease).unwrap();
    latched(&scene, &mut judge);
    let worked = |now: Timestamp| Observation::DatabaseWorked {
        process: P,
        call: CALL,
        db: DB,
        now,
    };
    scene.show(&mut judge, &worked(Timestamp::ZERO)).unwrap();
    commit(&scene, &mut judge, 1, &[]).unwrap();
    scene.show(&mut judge, &worked(lease.expires_at)).unwrap();
    let result = commit(&scene, &mut judge, 1, &[]);
    assert_eq!(site(result), "commit-after-expiry");
}

#[test]
fn a_row_that_is_written_twice_under_one_key_is_reported() {
    let (scene, mut judge) = granted();
    let rows = [row_of("ann", RequestNo(1), 0)];
    ask(&scene, &mut judge, None);
    commit(&scene, &mut judge, 1, &rows).unwrap();
    commit(&scene, &mut judge, 1, &rows).unwrap();
    let (scene, mut judge) = granted();
    ask(&scene, &mut judge, Some("k"));
    commit(&scene, &mut judge, 1, &rows).unwrap();
    let result = commit(&scene, &mut judge, 1, &rows);
    assert_eq!(site(result), "written-twice");
}

#[test]
fn a_row_that_was_acknowledged_must_be_there() {
    let (scene, mut judge) = granted();
    ask(&scene, &mut judge, None);
    let written = Receipt::Written {
        db: DB.into(),
        rows_affected: 1,
        last_insert_rowid: None,
        token: Token::from_number(1),
        waited_ms: 0,
    };
    let result = scene.answer(&mut judge, 1, &written);
    assert_eq!(site(result), "acknowledged-and-not-there");
    commit(&scene, &mut judge, 1, &[row_of("ann", RequestNo(1), 0)]).unwrap();
    scene.answer(&mut judge, 1, &written).unwrap();
}

#[test]
fn what_comes_out_of_a_log_needs_no_latch_and_counts_as_written() {
    let (mut scene, mut judge) = scene();
    scene.grant(&mut judge, 0, &lease_of(1)).unwrap();
    scene.grant(&mut judge, 0, &lease_of(2)).unwrap();
    ask(&scene, &mut judge, Some("k"));
    let rows = [row_of("ann", RequestNo(1), 0)];
    let seal = Seal {
        token: token_of(1),
        answered: None,
        part_of: None,
        wall_ms: 0,
        forget_before_wall_ms: 0,
    };
    let came_back = Observation::DatabaseCameBack {
        db: DB,
        seal: &seal,
        rows: &rows,
    };
    scene.show(&mut judge, &came_back).unwrap();
    latched(&scene, &mut judge);
    let again = commit(&scene, &mut judge, 2, &rows);
    assert_eq!(site(again), "written-twice");
}

#[test]
fn a_commit_under_a_lease_on_something_else_is_reported() {
    let (mut scene, mut judge) = scene();
    scene.grant(&mut judge, 0, &lease(1, "f")).unwrap();
    latched(&scene, &mut judge);
    assert_eq!(site(commit(&scene, &mut judge, 1, &[])), "not-covered");
    let shared = Lease {
        wants: [Want {
            mode: maasl_core::resource::Mode::Shared,
            ..Want::exclusive(key(), "CRIT_DB")
        }]
        .into(),
        ..lease(2, "f")
    };
    scene.grant(&mut judge, 0, &shared).unwrap();
    assert_eq!(site(commit(&scene, &mut judge, 2, &[])), "not-covered");
}

#[test]
fn whoever_is_refused_has_written_nothing() {
    let told = |rows: &[String], refusal: Refusal| {
        let (scene, mut judge) = granted();
        commit(&scene, &mut judge, 1, rows).unwrap();
        scene.decided(&mut judge, Err(refusal))
    };
    let rows = [row_of("ann", RequestNo(1), 0)];
    let lost = || Refusal::LeaseLost(Box::default());
    assert_eq!(site(told(&rows, lost())), "refused-and-written");
    told(&[], lost()).unwrap();
    told(&rows, Refusal::internal("unknown")).unwrap();
}
