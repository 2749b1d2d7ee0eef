//! The helper that sleeps in a kernel's queue.

use std::io;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use maasl_threads::helper::{Helper, KernelLock};
use maasl_threads::sync::{Instant, planted};

use crate::explore::Search;

/// A kernel lock, and a place where only its holder may be.
#[derive(Default)]
struct Kernel {
    holder: Mutex<Option<u8>>,
    freed: Condvar,
    inside: Mutex<u32>,
}

impl Kernel {
    fn lock(&self, id: u8) {
        let mut holder = self.holder.lock().unwrap();
        while holder.is_some() {
            holder = self.freed.wait(holder).unwrap();
        }
        *holder = Some(id);
    }

    fn unlock(&self, id: u8) {
        let holder = self.holder.lock().unwrap().take();
        assert_eq!(holder, Some(id), "only its holder unlocks it");
        self.freed.notify_all();
    }

    /// Fails if another is there.
    fn work(&self) {
        let mut inside = self.inside.try_lock().expect("two are inside");
        *inside += 1;
    }
}

/// An open file of one process.
struct Open(Arc<Kernel>, u8);

impl KernelLock for Open {
    fn lock(&self) -> io::Result<()> {
        self.0.lock(self.1);
        Ok(())
    }

    fn unlock(&self) {
        self.0.unlock(self.1);
    }
}

/// The process that stands in the lock at first.
const FIRST: u8 = 0;

fn taken() -> Arc<Kernel> {
    let kernel = Arc::new(Kernel::default());
    kernel.lock(FIRST);
    kernel
}

fn helper(kernel: &Arc<Kernel>, id: u8) -> Helper<Open> {
    Helper::start("helper", Open(Arc::clone(kernel), id)).unwrap()
}

fn hand_over() {
    let kernel = taken();
    let helper = helper(&kernel, 1);
    let first = Arc::clone(&kernel);
    let leaves = thread::spawn(move || {
        first.work();
        first.unlock(FIRST);
    });
    let handed = helper.wait(Instant::NEVER).expect("it comes free");
    kernel.work();
    drop(handed);
    leaves.join().unwrap();
}

#[test]
fn a_lock_that_comes_free_is_handed_to_who_waits() {
    Search::Interrupted(3).of(500, hand_over);
}

#[test]
fn a_lost_wake_up_of_the_helper_is_found() {
    Search::Whole.finds(
        "helper::a_lost_wake_up_of_the_helper_is_found",
        "deadlock",
        || {
            planted::LOSES_NOTIFICATIONS.set(true);
            hand_over();
        },
    );
}

#[test]
fn one_is_inside_at_a_time() {
    Search::Interrupted(2).of(500, || {
        let kernel = Arc::new(Kernel::default());
        let (own, others) = (helper(&kernel, 1), Arc::clone(&kernel));
        let other = thread::spawn(move || {
            let helper = helper(&others, 2);
            let _handed = helper.wait(Instant::NEVER).expect("it comes free");
            others.work();
        });
        let handed = own.wait(Instant::NEVER).expect("it comes free");
        kernel.work();
        drop(handed);
        other.join().unwrap();
    });
}

#[test]
fn a_wait_that_ended_in_vain_leaves_the_lock_free() {
    Search::Interrupted(3).of(500, || {
        let kernel = taken();
        let helper = helper(&kernel, 1);
        let first = Arc::clone(&kernel);
        let leaves = thread::spawn(move || first.unlock(FIRST));
        if let Some(handed) = helper.wait(Instant::at(1)) {
            kernel.work();
            drop(handed);
        }
        kernel.lock(FIRST);
        kernel.work();
        kernel.unlock(FIRST);
        leaves.join().unwrap();
    });
}

#[test]
fn who_asks_after_a_wait_in_vain_is_served() {
    Search::Interrupted(3).of(500, || {
        let kernel = taken();
        let helper = helper(&kernel, 1);
        let first = Arc::clone(&kernel);
        let leaves = thread::spawn(move || {
            first.work();
            first.unlock(FIRST);
        });
        drop(helper.wait(Instant::at(1)));
        let handed = helper.wait(Instant::NEVER).expect("it comes free");
        kernel.work();
        drop(handed);
        leaves.join().unwrap();
    });
}

/// Loom reports a thread that never ends as a deadlock.
#[test]
fn the_thread_ends_after_its_helper() {
    Search::Interrupted(3).of(300, || {
        let kernel = taken();
        let helper = helper(&kernel, 1);
        assert!(helper.wait(Instant::at(1)).is_none(), "it is taken");
        let first = Arc::clone(&kernel);
        let leaves = thread::spawn(move || first.unlock(FIRST));
        drop(helper);
        leaves.join().unwrap();
    });
}
