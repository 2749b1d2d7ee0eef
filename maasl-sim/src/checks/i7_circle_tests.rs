//! Tests of the judge of circles.

use maasl_core::id::TicketNo;
use maasl_core::lease::Lease;
use maasl_core::lease::outcome::Change;

use super::*;
use crate::checks::scene::{Scene, asking, lease, owner, site, ticket};

/// Ann holds `a` and waits for `b`, bob holds `b` and waits for what is given;
/// looked at now and `later_ms` later.
fn looks(bob_wants: &str, kind: LeaseKind, later_ms: u64) -> Option<&'static str> {
    let (mut scene, mut judge) = (Scene::new(&[]), Circle::default());
    for (number, path, agent) in [(1, "a", "ann"), (2, "b", "bob")] {
        scene.rows.apply(Change::PutLease(Lease {
            kind,
            owner: owner(agent, "p-1"),
            ..lease(number, path)
        }));
    }
    for (no, path, agent) in [(1, "b", "ann"), (2, bob_wants, "bob")] {
        scene.rows.apply(Change::PutTicket(Ticket {
            owner: owner(agent, "p-1"),
            ..ticket(no, path, Urgency::Interactive)
        }));
    }
    scene.show(&mut judge, &Observation::Quiet).unwrap();
    let asked = Command::Acquire(asking(&lease(3, "b")));
    let queued = Outcome::Queued {
        ticket: TicketNo(1),
        place: 0,
        blockers: Vec::new(),
        retry_in_ms: 1,
    };
    scene.store(&mut judge, 1, &asked, &queued).unwrap();
    scene.now_ns = later_ms * 1_000_000;
    site(scene.store(&mut judge, 2, &asked, &queued))
}

#[test]
fn a_circle_is_found_soon_or_reported() {
    let kind = LeaseKind::Reservation;
    assert_eq!(looks("a", kind, 1_001), Some("circle"));
    assert_eq!(looks("a", kind, 1_000), None);
}

#[test]
fn a_row_of_waiters_and_calls_that_wait_for_nothing_are_no_circle() {
    assert_eq!(looks("c", LeaseKind::Reservation, 1_001), None);
    assert_eq!(looks("a", LeaseKind::Call, 1_001), None);
}
