//! What the product waits with, as loom can run it.
//!
//! Owns: the shapes of `parking_lot` and of tokio's `Notify` over loom's types,
//! and a clock that moves only where a wait times out. Promises: a wait that
//! nobody ends is a deadlock, which loom reports; a notification can be lost on
//! purpose ([`planted`]), so that it can be seen that it is reported. Leaves to
//! others: trying the orders (loom).

use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::task::{Poll, Waker};

use loom::sync::atomic::{AtomicU64, Ordering};

/// A mutex in `parking_lot`'s shape: there is no poison.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// The mutex is held until this goes.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Nothing while a condition is waited for.
    held: Option<loom::sync::MutexGuard<'a, T>>,
}

const HELD: &str = "only a wait lets go of it, and takes it again";

impl<T> Mutex<T> {
    /// A mutex around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for it.
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            held: Some(self.0.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect(HELD)
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect(HELD)
    }
}

/// A condition in `parking_lot`'s shape.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

/// How a bounded wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether time ended it.
    #[must_use]
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    /// A condition that nobody waits for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits to be notified.
    #[track_caller]
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect(HELD);
        let again = self.0.wait(held).unwrap_or_else(PoisonError::into_inner);
        guard.held = Some(again);
    }

    /// Waits to be notified or for the time. [`Instant::NEVER`] does not come;
    /// every other instant comes at some point of the wait, and whatever others
    /// do before or after that point is tried.
    #[track_caller]
    pub fn wait_until<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        if deadline == Instant::NEVER {
            self.wait(guard);
            return WaitTimeoutResult(false);
        }
        guard.held = None;
        CLOCK.fetch_max(deadline.0, Ordering::SeqCst);
        guard.held = guard.mutex.lock().held.take();
        WaitTimeoutResult(true)
    }

    /// Ends one wait.
    #[track_caller]
    pub fn notify_one(&self) {
        if !planted::LOSES_NOTIFICATIONS.get() {
            self.0.notify_one();
        }
    }

    /// Ends all waits.
    #[track_caller]
    pub fn notify_all(&self) {
        if !planted::LOSES_NOTIFICATIONS.get() {
            self.0.notify_all();
        }
    }
}

/// A lock of many readers or one writer, in `parking_lot`'s shape.
#[derive(Debug, Default)]
pub struct RwLock<T>(loom::sync::RwLock<T>);

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::RwLock::new(value))
    }

    /// Waits to read.
    #[track_caller]
    pub fn read(&self) -> loom::sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits to write.
    #[track_caller]
    pub fn write(&self) -> loom::sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

loom::lazy_static! {
    /// Starts at 0 in every execution.
    static ref CLOCK: AtomicU64 = AtomicU64::new(0);
}

/// An instant of the models' clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// Does not come within an execution.
    pub const NEVER: Self = Self(u64::MAX);

    /// One that comes; 0 has passed from the beginning.
    #[must_use]
    pub const fn at(n: u64) -> Self {
        Self(n)
    }

    /// How far waits have brought the clock.
    #[must_use]
    pub fn now() -> Self {
        Self(CLOCK.load(Ordering::SeqCst))
    }
}

/// Wakes the one task that waits, in the shape of tokio's `Notify`: a
/// notification that nobody waits for is kept for the next wait.
#[derive(Debug, Default)]
pub struct Notify(Mutex<Permit>);

#[derive(Debug, Default)]
struct Permit {
    is_there: bool,
    waits: Option<Waker>,
}

impl Notify {
    /// Nothing was notified yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends a wait, this one's or the next.
    #[track_caller]
    pub fn notify_one(&self) {
        let mut permit = self.0.lock();
        let waits = permit.waits.take();
        permit.is_there = waits.is_some() || !planted::FORGETS_PERMITS.get();
        drop(permit);
        if let Some(waker) = waits {
            waker.wake();
        }
    }

    /// Waits to be notified.
    pub async fn notified(&self) {
        poll_fn(|cx| {
            let mut permit = self.0.lock();
            if std::mem::take(&mut permit.is_there) {
                return Poll::Ready(());
            }
            permit.waits = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Bugs to be found, planted for the executions of the calling test.
pub mod planted {
    use std::cell::Cell;

    // Loom runs all threads of a model on the thread that checks it.
    std::thread_local! {
        /// No condition is ever notified.
        pub static LOSES_NOTIFICATIONS: Cell<bool> = const { Cell::new(false) };
        /// A notification that no task waits for is not kept.
        pub static FORGETS_PERMITS: Cell<bool> = const { Cell::new(false) };
    }
}
