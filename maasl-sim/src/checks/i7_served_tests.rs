//! Tests of the judge of the time that waits take.

use maasl_core::id::Token;
use maasl_core::lease::Meta;
use maasl_core::lease::outcome::Change;
use maasl_core::policy::Urgency;

use super::*;
use crate::checks::scene::{Scene, at, edit, lease, plan, receipt, site, ticket};

const MINUTE_NS: u64 = 60_000 * NS_PER_MS;

fn quiet() -> (Scene, Served) {
    let (scene, mut judge) = (Scene::new(&[]), Served::of(&plan()));
    scene.show(&mut judge, &Observation::Quiet).unwrap();
    (scene, judge)
}

fn ended(scene: &Scene, judge: &mut Served) -> Option<&'static str> {
    site(scene.show(judge, &Observation::Ended { finished: false }))
}

fn look(scene: &Scene, judge: &mut Served, at_ms: u64) -> Option<&'static str> {
    let command = maasl_core::lease::Command::Snapshot;
    let outcome = maasl_core::lease::Outcome::NotAnswered;
    site(scene.store(judge, at_ms, &command, &outcome))
}

#[test]
fn an_answer_in_time_is_right_and_none_is_not() {
    let (mut scene, mut judge) = quiet();
    scene.ask(&mut judge, 1, &edit("a"), None, &[]).unwrap();
    assert_eq!(ended(&scene, &mut judge), None);
    scene.now_ns = MINUTE_NS;
    assert_eq!(ended(&scene, &mut judge), Some("not-answered"));
    let late = scene.answer(&mut judge, 1, &receipt(&[], 1));
    assert_eq!(site(late), Some("not-answered"));

    let (mut scene, mut judge) = quiet();
    scene.ask(&mut judge, 1, &edit("a"), None, &[]).unwrap();
    scene.answer(&mut judge, 1, &receipt(&[], 1)).unwrap();
    scene.now_ns = MINUTE_NS;
    assert_eq!(ended(&scene, &mut judge), None);
}

#[test]
fn what_was_asked_while_things_went_wrong_may_be_lost() {
    let (mut scene, mut judge) = (Scene::new(&[]), Served::of(&plan()));
    scene.ask(&mut judge, 1, &edit("a"), None, &[]).unwrap();
    scene.show(&mut judge, &Observation::Quiet).unwrap();
    scene.now_ns = MINUTE_NS;
    assert_eq!(ended(&scene, &mut judge), None);
}

#[test]
fn a_waiter_with_nothing_in_front_is_served() {
    let (mut scene, mut judge) = quiet();
    let mut waiter = ticket(1, "a", Urgency::Interactive);
    waiter.deadline = at(600_000);
    scene.rows.apply(Change::PutTicket(waiter));
    assert_eq!(look(&scene, &mut judge, 1), None);
    scene.now_ns = MINUTE_NS;
    assert_eq!(look(&scene, &mut judge, 60_000), Some("head-not-served"));
}

/// Half a second is less than a call may take, and more than a hand-over may.
#[test]
fn a_waiter_that_was_told_busy_at_the_head_is_not_served() {
    for (left_ms, judged) in [(90, None), (400, Some("head-not-served"))] {
        let (mut scene, mut judge) = quiet();
        let waiter = ticket(1, "a", Urgency::Interactive);
        let no = waiter.no;
        scene.rows.apply(Change::PutTicket(waiter));
        assert_eq!(look(&scene, &mut judge, 1), None);
        scene.rows.apply(Change::DeleteTicket(no));
        scene.now_ns = left_ms * NS_PER_MS;
        assert_eq!(look(&scene, &mut judge, left_ms), judged);
    }
}

#[test]
fn a_clock_that_was_set_back_may_look_late() {
    let mut back = plan();
    back.faults.push(crate::plan::Fault {
        when: crate::plan::When::At { at_ms: 1 },
        what: FaultKind::ClockStep {
            process: "p".into(),
            by_ms: -700,
        },
    });
    let more_ns = Served::of(&back).head_slack_ns - Served::of(&plan()).head_slack_ns;
    assert_eq!(more_ns, 700 * NS_PER_MS);
}

/// A lease of the boot before ends with it, whatever its times say.
#[test]
fn a_lease_of_another_boot_is_not_waited_for() {
    let opened = |boot: &str, generation| {
        Outcome::Opened(Meta {
            store: "store".into(),
            generation,
            next_sequence: 1,
            reserved_through: Token::default(),
            next_ticket: 1,
            boot: boot.into(),
        })
    };
    for (boot, judged) in [("one", None), ("two", Some("head-not-served"))] {
        let (mut scene, mut judge) = quiet();
        let command = maasl_core::lease::Command::Snapshot;
        for (name, generation) in [("one", 1), (boot, 2)] {
            let opened = opened(name, generation);
            scene.store(&mut judge, 1, &command, &opened).unwrap();
        }
        let mut old = lease(1, "a");
        old.token = Token::new(1, 7).unwrap();
        old.expires_at = at(4_000_000);
        scene.rows.apply(Change::PutLease(old));
        scene
            .rows
            .apply(Change::PutTicket(ticket(1, "a", Urgency::Interactive)));
        assert_eq!(look(&scene, &mut judge, 2), None);
        scene.now_ns = 400 * NS_PER_MS;
        assert_eq!(look(&scene, &mut judge, 400), judged);
    }
}

#[test]
fn a_waiter_waits_for_a_lease_and_its_lock_delay() {
    let (mut scene, mut judge) = quiet();
    let mut waiter = ticket(1, "a", Urgency::Interactive);
    waiter.deadline = at(600_000);
    scene.rows.apply(Change::PutTicket(waiter));
    let mut long = lease(1, "a");
    long.expires_at = at(60_000);
    long.lock_delay_ms = 60_000;
    scene.rows.apply(Change::PutLease(long));
    assert_eq!(look(&scene, &mut judge, 1), None);
    scene.now_ns = MINUTE_NS;
    assert_eq!(look(&scene, &mut judge, 119_999), None);
    assert_eq!(
        look(&scene, &mut judge, 120_000),
        None,
        "it is free from now on"
    );
    scene.now_ns = 2 * MINUTE_NS;
    assert_eq!(look(&scene, &mut judge, 180_000), Some("head-not-served"));
}

#[test]
fn the_dead_and_the_lapsed_are_not_waited_for() {
    let (mut scene, mut judge) = quiet();
    let mut waiter = ticket(1, "a", Urgency::Interactive);
    waiter.deadline = at(90);
    scene.rows.apply(Change::PutTicket(waiter));
    assert_eq!(look(&scene, &mut judge, 1), None);
    scene.now_ns = MINUTE_NS;
    assert_eq!(look(&scene, &mut judge, 90), None, "it has lapsed");
    scene.died(&mut judge, "p-1").unwrap();
    assert_eq!(look(&scene, &mut judge, 2), None, "it is dead");
}

#[test]
fn a_slow_clock_may_take_its_time() {
    let mut slow = plan();
    slow.processes[0].drift_ppm = -900_000;
    assert_eq!(slowness(&slow), 10_000);
    assert_eq!(slowness(&plan()), 1_000);
    assert_eq!(
        Served::of(&slow).slack_ns,
        10 * Served::of(&plan()).slack_ns
    );
}
