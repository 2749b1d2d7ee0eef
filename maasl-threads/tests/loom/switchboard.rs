//! Calls of real coordinators, driven by several threads.

use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use maasl_core::coordinator::io::{Request, Response};
use maasl_core::refusal::Refusal;
use maasl_threads::sync::{Notify, planted};

use crate::explore::Search;
use crate::process::{Bugs, World, granted, pass, reserve};

/// Bob waits for what Ann gives back. Time stands still: only the ring can help.
fn hand_over(bugs: Bugs) {
    let world = Arc::new(World::new(bugs));
    let lease = granted(&world.call(&world.ann, reserve())).expect("it is free");
    let bobs = Arc::clone(&world);
    let bob = thread::spawn(move || bobs.call(&bobs.bob, reserve()));
    world.call(&world.ann, Request::Release(lease));
    assert!(granted(&bob.join().unwrap()).is_some());
    assert_eq!(world.holders(), ["bob"]);
    let believed = [&world.ann, &world.bob].map(World::believed);
    assert_eq!(believed, [0, 1], "who holds it, and who believes so");
}

#[test]
fn a_released_lease_reaches_its_waiter_while_time_stands_still() {
    Search::Whole.of(500, || hand_over(Bugs::default()));
}

#[test]
fn a_lost_wake_up_of_a_call_is_found() {
    Search::Interrupted(2).finds(
        "switchboard::a_lost_wake_up_of_a_call_is_found",
        "deadlock",
        || {
            planted::FORGETS_PERMITS.set(true);
            hand_over(Bugs::default());
        },
    );
}

#[test]
fn a_ring_that_is_lost_before_its_call_sleeps_is_found() {
    Search::Interrupted(2).finds(
        "switchboard::a_ring_that_is_lost_before_its_call_sleeps_is_found",
        "deadlock",
        || {
            hand_over(Bugs {
                forgets_early_rings: true,
            });
        },
    );
}

/// What a thread that drives a call needs at least, in words: what a call may have to
/// keep lies on the stack several times while it is put together.
const STACK_WORDS: usize = 64 * 1024;

fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    let thread = thread::Builder::new().stack_size(STACK_WORDS);
    thread.spawn(body).unwrap()
}

/// Bob waits, and is cancelled in the same instant in which Ann gives back.
fn cancel_as_it_is_granted(bob: fn(&World, &Notify) -> Option<Response>) {
    let world = Arc::new(World::new(Bugs::default()));
    let anns = Arc::clone(&world);
    let ann = spawn(move || granted(&anns.call(&anns.ann, reserve())));
    let lease = ann.join().unwrap().expect("it is free");
    let cancel = Arc::new(Notify::new());
    let (anns, bobs, heard) = (Arc::clone(&world), Arc::clone(&world), Arc::clone(&cancel));
    let bob = spawn(move || bob(&bobs, &heard));
    let ann = spawn(move || anns.call(&anns.ann, Request::Release(lease)));
    cancel.notify_one();
    ann.join().unwrap();
    let told = bob.join().unwrap();
    let holders = world.holders();
    match told {
        Some(response) if granted(&response).is_some() => assert_eq!(holders, ["bob"]),
        told => {
            let refused = told.is_none_or(|told| told.result == Err(Refusal::Cancelled));
            assert!(refused, "neither granted nor cancelled");
            assert_eq!(holders, [""; 0], "a lease that nobody knows of");
        }
    }
    let believed = [&world.ann, &world.bob].map(World::believed);
    assert_eq!(believed, [0, holders.len()], "who believes to hold it");
}

#[test]
fn a_wait_that_is_cancelled_as_it_is_granted_leaves_no_lease() {
    Search::Interrupted(3).of(500, || {
        cancel_as_it_is_granted(|world, cancel| {
            let (id, line) = world.start(&world.bob, reserve());
            let perform = |output| world.perform(&world.bob, output);
            let driven = world.bob.drive(id, &line, cancel.notified(), perform);
            Some(block_on(driven))
        });
    });
}

/// Nothing of such a call waits, so that its cancelling has to be heard between steps.
#[test]
fn a_call_that_never_waits_hears_that_it_is_cancelled() {
    Search::Whole.of(1, || {
        let world = World::new(Bugs::default());
        let (id, line) = world.start(&world.bob, reserve());
        let perform = |output| world.perform(&world.bob, output);
        let told = block_on(world.bob.drive(id, &line, ready(()), perform));
        assert_eq!(told.result, Err(Refusal::Cancelled));
        assert_eq!(world.holders(), [""; 0]);
        assert_eq!(World::believed(&world.bob), 0);
    });
}

/// The caller stops listening; the call is driven on without it, as cancelled.
#[test]
fn a_call_whose_caller_goes_away_is_brought_to_its_end() {
    Search::Interrupted(3).of(500, || {
        cancel_as_it_is_granted(|world, gone| {
            let (id, line) = world.start(&world.bob, reserve());
            let perform = |output| world.perform(&world.bob, output);
            let driven = world.bob.drive(id, &line, pending(), perform);
            if let Some(response) = block_on(unless(gone.notified(), driven)) {
                return Some(response);
            }
            let perform = |output| world.perform(&world.bob, output);
            let rest = world.bob.drive(id, &line, ready(()), perform);
            let told = block_on(rest);
            assert_eq!(world.bob.calls().len(), 0, "the call is over");
            Some(told)
        });
    });
}

#[test]
fn a_call_that_is_dropped_half_way_is_found() {
    Search::Interrupted(2).finds(
        "switchboard::a_call_that_is_dropped_half_way_is_found",
        "a call is left",
        || {
            cancel_as_it_is_granted(|world, gone| {
                let (id, line) = world.start(&world.bob, reserve());
                let perform = |output| world.perform(&world.bob, output);
                let driven = world.bob.drive(id, &line, pending(), perform);
                block_on(unless(gone.notified(), driven))
            });
        },
    );
}

/// What `job` comes to, unless `end` comes first.
async fn unless<T>(end: impl Future<Output = ()>, job: impl Future<Output = T>) -> Option<T> {
    let (mut end, mut job) = (pin!(end), pin!(job));
    poll_fn(|cx| {
        if end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        job.as_mut().poll(cx).map(Some)
    })
    .await
}

/// Nobody rings Bob, and Ann keeps her lease. A thread keeps time, which passes
/// whenever it sleeps.
fn look_again() {
    let world = Arc::new(World::new(Bugs::default()));
    granted(&world.call(&world.ann, reserve())).expect("it is free");
    let over = Arc::new(Notify::new());
    let (keeps, ended) = (Arc::clone(&world), Arc::clone(&over));
    let keeper = thread::spawn(move || {
        let keep = async {
            loop {
                keeps.bob.keep_time(|at| ready(pass(at))).await;
            }
        };
        let _: Option<()> = block_on(unless(ended.notified(), keep));
    });
    let told = world.call(&world.bob, reserve());
    over.notify_one();
    keeper.join().unwrap();
    assert!(matches!(told.result, Err(Refusal::ResourceBusy(_))));
    assert_eq!(world.holders(), ["ann"]);
}

#[test]
fn a_waiter_whom_nobody_rings_is_told_within_its_limit() {
    Search::Interrupted(2).of(500, look_again);
}

#[test]
fn a_deadline_that_its_sleeper_misses_is_found() {
    Search::Interrupted(2).finds(
        "switchboard::a_deadline_that_its_sleeper_misses_is_found",
        "deadlock",
        || {
            planted::FORGETS_PERMITS.set(true);
            look_again();
        },
    );
}
