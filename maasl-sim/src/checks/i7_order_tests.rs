//! Tests of the judge of the queue's order.

use maasl_core::lease::outcome::Change;

use super::*;
use crate::checks::scene::{Scene, asking, lease_at, site, ticket};

fn with(tickets: &[Ticket]) -> (Scene, Order) {
    let mut scene = Scene::new(&[]);
    for ticket in tickets {
        scene.rows.apply(Change::PutTicket(ticket.clone()));
    }
    (scene, Order::default())
}

fn grants(waiter: &Ticket, at_ms: u64, path: &str, times: u64) -> Option<&'static str> {
    let (scene, mut judge) = with(core::slice::from_ref(waiter));
    let mut judged = (1..=times).map(|no| {
        let lease = lease_at(no, path, at_ms);
        site(scene.granted(&mut judge, at_ms, &lease))
    });
    judged.find_map(|site| site)
}

#[test]
fn a_newcomer_passes_no_live_waiter_for_the_same() {
    let waiter = ticket(1, "a", Urgency::Interactive);
    assert_eq!(grants(&waiter, 1, "a", 1), Some("overtaken"));
    assert_eq!(grants(&waiter, 1, "b", 1), None);
    assert_eq!(grants(&waiter, 500, "a", 1), None, "it has lapsed");
}

#[test]
fn interactive_passes_batch_three_times() {
    let waiter = ticket(1, "a", Urgency::Batch);
    assert_eq!(grants(&waiter, 1, "a", 3), None);
    assert_eq!(grants(&waiter, 1, "a", 4), Some("overtaken"));
}

#[test]
fn the_dead_are_passed() {
    let (scene, mut judge) = with(&[ticket(1, "a", Urgency::Interactive)]);
    scene.died(&mut judge, "p-1").unwrap();
    scene.granted(&mut judge, 1, &lease_at(1, "a", 1)).unwrap();
}

#[test]
fn the_first_in_the_queue_passes_nobody_and_the_second_does() {
    let served = |place: u64| {
        let (scene, mut judge) = with(&[ticket(2, "a", Urgency::Interactive)]);
        let lease = lease_at(1, "a", 1);
        let queued = Outcome::Queued {
            ticket: TicketNo(place),
            place: 0,
            blockers: Vec::new(),
            retry_in_ms: 1,
        };
        let asked = Command::Acquire(asking(&lease));
        scene.store(&mut judge, 0, &asked, &queued).unwrap();
        site(scene.granted(&mut judge, 1, &lease))
    };
    assert_eq!(served(1), None);
    assert_eq!(served(3), Some("overtaken"));
}
