//! Tests of the judge of what holders believe.

use maasl_core::lease::StoreClock;

use super::*;
use crate::checks::scene::{self, P, Scene, at, intent, item, lease, site};
use crate::plan::{Fault, When};

fn sends(plan: &Plan, at_ms: u64) -> Option<&'static str> {
    let (scene, mut judge) = (Scene::new(&[]), Belief::of(plan));
    scene.granted(&mut judge, 0, &lease(1, "a")).unwrap();
    let seen = Observation::Relied {
        process: P,
        intent: &intent(&[item("a", None, Some("one"))]),
        clock: StoreClock {
            now: at(at_ms),
            wall_ms: at_ms,
        },
    };
    site(scene.show(&mut judge, &seen))
}

#[test]
fn a_holder_relies_on_its_lease_while_it_lasts() {
    let plan = scene::plan();
    assert_eq!(sends(&plan, 99), None);
    assert_eq!(sends(&plan, 100), Some("believed-too-long"));
}

#[test]
fn a_holder_whose_clock_steps_or_drifts_too_far_may_be_wrong() {
    let with = |what| Plan {
        faults: vec![Fault {
            when: When::At { at_ms: 1 },
            what,
        }],
        ..scene::plan()
    };
    let process: String = "p".into();
    let drifts = |ppm| {
        let process = process.clone();
        with(FaultKind::ClockDrift { process, ppm })
    };
    assert_eq!(sends(&drifts(-10_000), 100), Some("believed-too-long"));
    assert_eq!(sends(&drifts(-10_001), 100), None);
    assert_eq!(
        sends(&with(FaultKind::StoreClockStep { by_ms: 5 }), 100),
        None
    );
}
