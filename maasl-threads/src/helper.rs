//! A thread that sleeps in a kernel's queue for others.
//!
//! Owns: the hand-over between whoever wants a kernel lock and the thread that
//! waits for it in their place, since a wait in the kernel has no deadline.
//! Promises: the lock is handed to somebody who still wants it, or dropped at
//! once; a wait ends by its deadline; the thread ends after its helper, as soon
//! as the kernel lets it. Leaves to others: that one caller asks at a time, and
//! what the lock protects.

use std::io;

use crate::sync::{Arc, Condvar, Instant, Mutex, thread};

/// A lock whose wait cannot be ended from outside.
pub trait KernelLock: Send + Sync + 'static {
    /// Sleeps until the lock is ours.
    fn lock(&self) -> io::Result<()>;

    /// Lets it go.
    fn unlock(&self);
}

/// The thread, as those who ask it see it.
pub struct Helper<L> {
    lock: Arc<L>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// What the helper is doing, and for whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing is asked of it.
    #[default]
    Resting,
    /// Somebody waits for the lock.
    Wanted,
    /// It still sleeps in the queue, but nobody waits any more. The next one to
    /// ask inherits the place.
    Abandoned,
    /// The lock is held for whoever wanted it.
    Handed,
    /// Nobody will ask any more.
    Ending,
}

impl<L: KernelLock> Helper<L> {
    /// Starts the thread under this name, on a lock of its own.
    pub fn start(name: &str, lock: L) -> io::Result<Self> {
        let (lock, shared) = (Arc::new(lock), Arc::new(Shared::default()));
        let (own_lock, own_shared) = (Arc::clone(&lock), Arc::clone(&shared));
        thread::Builder::new()
            .name(name.into())
            .spawn(move || own_shared.serve(&*own_lock))?;
        Ok(Self { lock, shared })
    }

    /// Waits until the lock is ours; nothing if it was not by the deadline.
    #[must_use]
    pub fn wait(&self, deadline: Instant) -> Option<Handed<'_, L>> {
        let mut state = self.shared.state.lock();
        *state = State::Wanted;
        self.shared.changed.notify_all();
        while *state == State::Wanted {
            let waited = self.shared.changed.wait_until(&mut state, deadline);
            if waited.timed_out() && *state == State::Wanted {
                *state = State::Abandoned;
                return None;
            }
        }
        (*state == State::Handed).then_some(Handed { helper: self })
    }
}

impl<L> Drop for Helper<L> {
    /// The thread may sleep in the kernel, which nothing can end; it goes as
    /// soon as it wakes.
    fn drop(&mut self) {
        *self.shared.state.lock() = State::Ending;
        self.shared.changed.notify_all();
    }
}

/// The lock is ours until this goes.
pub struct Handed<'helper, L: KernelLock> {
    helper: &'helper Helper<L>,
}

impl<L: KernelLock> Drop for Handed<'_, L> {
    fn drop(&mut self) {
        self.helper.lock.unlock();
        *self.helper.shared.state.lock() = State::Resting;
    }
}

impl Shared {
    fn serve(&self, lock: &impl KernelLock) {
        while self.is_wanted() {
            let locked = lock.lock();
            let mut state = self.state.lock();
            let (wanted, ending) = (*state == State::Wanted, *state == State::Ending);
            match locked {
                Ok(()) if wanted => *state = State::Handed,
                Ok(()) => lock.unlock(),
                Err(error) => tracing::error!(%error, "a kernel lock cannot be waited for"),
            }
            if *state != State::Handed && !ending {
                *state = State::Resting;
            }
            self.changed.notify_all();
        }
    }

    /// Sleeps until the lock is wanted; false when nobody will ask any more.
    fn is_wanted(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            match *state {
                State::Wanted => return true,
                State::Ending => return false,
                State::Resting | State::Abandoned | State::Handed => self.changed.wait(&mut state),
            }
        }
    }
}
