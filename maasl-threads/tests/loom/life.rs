//! The lock that says that a process lives.

use std::convert::Infallible;

use loom::sync::{Arc, Mutex};
use loom::thread;
use maasl_threads::life::{LifeFile, hold};
use maasl_threads::sync::Instant;

use crate::explore::Search;

/// The kernel's lock of one file.
#[derive(Default)]
struct Flock(Mutex<Held>);

#[derive(Default)]
struct Held {
    exclusive: bool,
    shared: u32,
}

impl Flock {
    /// A look takes a shared lock, and lets it go in a step of its own.
    fn is_dead(&self) -> bool {
        let mut held = self.0.lock().unwrap();
        if held.exclusive {
            return false;
        }
        held.shared += 1;
        drop(held);
        self.0.lock().unwrap().shared -= 1;
        true
    }
}

impl LifeFile for Flock {
    type Error = Infallible;

    fn try_exclusive(&self) -> Result<bool, Infallible> {
        let mut held = self.0.lock().unwrap();
        if held.exclusive || held.shared > 0 {
            return Ok(false);
        }
        held.exclusive = true;
        Ok(true)
    }
}

/// A file that was put back is looked at while its process takes the lock.
fn looked_at(hold: impl FnOnce(&Flock)) {
    let file = Arc::new(Flock::default());
    let others = Arc::clone(&file);
    let other = thread::spawn(move || others.is_dead());
    hold(&file);
    assert!(!file.is_dead(), "found dead while it lives");
    other.join().unwrap();
    assert!(!file.is_dead(), "found dead while it lives");
}

#[test]
fn a_process_that_holds_its_lock_is_not_found_dead() {
    Search::Whole.of(4, || {
        looked_at(|file| assert_eq!(hold(file, false, Instant::NEVER), Ok(true)));
    });
}

#[test]
fn a_lock_that_is_tried_only_once_is_found() {
    Search::Whole.finds(
        "life::a_lock_that_is_tried_only_once_is_found",
        "found dead while it lives",
        || {
            looked_at(|file| {
                let _ = file.try_exclusive();
            })
        },
    );
}
