//! Syncing a log, at once or soon, from several threads.
//!
//! Owns: who syncs, and for whom. Promises: when [`LogSync::sync`] returns,
//! everything committed before the call is on the disk, by a sync that began
//! after it; a while after [`LogSync::sync_soon`] it is, too; one failure is
//! final for all. Leaves to others: the log, and which commits need which.
//!
//! One sync runs at a time, and whoever comes meanwhile shares the next. Side by
//! side they would share the open file as well, and the kernel reports a failed
//! write to the first sync that asks and to no other [Rebello, 2020]: one caller
//! would hear of a failure, and another that all is well.

use std::io;

use crate::sync::{Arc, Condvar, Instant, Mutex, thread};

/// What is synced.
pub trait Log: Send + Sync + 'static {
    /// Brings everything written so far to the disk.
    fn sync_data(&self) -> io::Result<()>;
}

/// Why a sync cannot be relied on.
#[derive(Debug)]
pub enum SyncFault {
    /// It failed.
    Now(io::Error),
    /// One failed before it, and what that one dropped may be missing.
    Earlier,
}

/// A log and the thread that syncs it soon.
pub struct LogSync<L> {
    shared: Arc<Shared<L>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Shared<L> {
    log: L,
    state: Mutex<State>,
    /// Something is owed, or the end has come.
    owed: Condvar,
    /// A sync has ended.
    synced: Condvar,
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is about something else"
)]
struct State {
    /// When the thread syncs, unless somebody does before.
    due: Option<Instant>,
    /// Whether the thread sleeps until it is rung.
    idle: bool,
    ending: bool,
    /// Syncs begun.
    begun: u64,
    /// Whether the last of them is under way.
    running: bool,
    failed: bool,
}

impl<L: Log> LogSync<L> {
    /// Starts the thread under this name.
    pub fn start(name: &str, log: L) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            log,
            state: Mutex::default(),
            owed: Condvar::new(),
            synced: Condvar::new(),
        });
        let served = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name(name.into())
            .spawn(move || served.serve())?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Waits until the disk has everything committed so far. After a failure the
    /// kernel may report success for pages it has dropped, so one failure is
    /// final.
    pub fn sync(&self) -> Result<(), SyncFault> {
        self.shared.sync()
    }

    /// Has everything committed so far synced at `due`, or before.
    pub fn sync_soon(&self, due: Instant) {
        let mut state = self.shared.state.lock();
        state.due.get_or_insert(due);
        if state.idle {
            self.shared.owed.notify_one();
        }
    }

    /// Whether something is committed that no sync has begun for.
    #[must_use]
    pub fn is_owed(&self) -> bool {
        self.shared.state.lock().due.is_some()
    }
}

impl<L> Drop for LogSync<L> {
    /// What is owed is synced first.
    fn drop(&mut self) {
        self.shared.state.lock().ending = true;
        self.shared.owed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs the log panicked");
        }
    }
}

impl<L: Log> Shared<L> {
    fn sync(&self) -> Result<(), SyncFault> {
        let mut state = self.state.lock();
        // One that is under way may have begun before the caller's commit.
        let needed = state.begun + 1;
        while state.running && state.begun <= needed {
            self.synced.wait(&mut state);
        }
        if state.failed {
            return Err(SyncFault::Earlier);
        }
        if state.begun >= needed {
            return Ok(());
        }
        state.begun += 1;
        state.running = true;
        state.due = None;
        drop(state);
        let synced = self.log.sync_data();
        let mut state = self.state.lock();
        state.running = false;
        state.failed |= synced.is_err();
        drop(state);
        self.synced.notify_all();
        synced.map_err(SyncFault::Now)
    }

    fn serve(&self) {
        while self.is_due() {
            if let Err(error) = self.sync() {
                tracing::error!(?error, "the log of the store could not be synced");
            }
        }
    }

    /// Sleeps until a sync is due; false when none is and none will be.
    fn is_due(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            match state.due {
                Some(due) if state.ending || due <= Instant::now() => {
                    state.due = None;
                    return true;
                }
                Some(due) => {
                    self.owed.wait_until(&mut state, due);
                }
                None if state.ending => return false,
                None => {
                    state.idle = true;
                    self.owed.wait(&mut state);
                    state.idle = false;
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::{AtomicU32, Ordering};
    use std::time::Duration;

    #[derive(Default)]
    struct Counted {
        syncs: AtomicU32,
    }

    impl Log for Arc<Counted> {
        fn sync_data(&self) -> io::Result<()> {
            self.syncs.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    }

    fn log() -> (Arc<Counted>, LogSync<Arc<Counted>>) {
        let log = Arc::new(Counted::default());
        (
            Arc::clone(&log),
            LogSync::start("log", log).expect("threads can be had"),
        )
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(10)
    }

    #[test]
    fn what_is_owed_is_synced_without_being_asked_again() {
        let (counted, log) = log();
        for round in 1..=3 {
            log.sync_soon(soon());
            let deadline = Instant::now() + Duration::from_secs(10);
            while counted.syncs.load(Ordering::SeqCst) < round {
                assert!(Instant::now() < deadline, "nobody syncs");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn a_sync_pays_what_is_owed() {
        let (_, log) = log();
        log.sync_soon(Instant::now() + Duration::from_secs(3_600));
        assert!(log.is_owed());
        log.sync().unwrap();
        assert!(!log.is_owed());
    }

    #[test]
    fn what_is_owed_at_the_end_is_synced() {
        let (counted, log) = log();
        log.sync_soon(Instant::now() + Duration::from_secs(3_600));
        drop(log);
        assert_eq!(counted.syncs.load(Ordering::SeqCst), 1);
    }
}
