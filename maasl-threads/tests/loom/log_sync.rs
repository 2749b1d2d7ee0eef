//! Syncing one log from several threads.

use std::io;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use maasl_threads::log_sync::{Log, LogSync};
use maasl_threads::sync::{AtomicBool, Instant, Ordering, planted};

use crate::explore::Search;

/// A log on a disk.
#[derive(Default)]
struct Disk {
    pages: Mutex<Pages>,
    synced: Condvar,
}

#[derive(Default)]
struct Pages {
    /// Commits in the log.
    written: u32,
    /// Commits of which pages were dropped by a write that failed.
    dropped: u32,
    /// Commits that survive a power cut.
    durable: u32,
    /// Whether the next write fails.
    fails: bool,
}

#[derive(Clone, Default)]
struct File(Arc<Disk>);

impl File {
    fn failing() -> Self {
        let file = Self::default();
        file.0.pages.lock().unwrap().fails = true;
        file
    }

    /// Commits; the number of the commit.
    fn commit(&self) -> u32 {
        let mut pages = self.0.pages.lock().unwrap();
        pages.written += 1;
        pages.written
    }

    fn is_durable(&self, commit: u32) -> bool {
        self.0.pages.lock().unwrap().durable >= commit
    }

    fn wait_until_durable(&self, commit: u32) {
        let mut pages = self.0.pages.lock().unwrap();
        while pages.durable < commit {
            pages = self.0.synced.wait(pages).unwrap();
        }
    }
}

impl Log for File {
    /// As Linux does it: what is written when it begins is what it brings to the
    /// disk; pages that could not be written count as clean afterwards, and the
    /// failure is told once.
    fn sync_data(&self) -> io::Result<()> {
        let begun = self.0.pages.lock().unwrap().written;
        let mut pages = self.0.pages.lock().unwrap();
        if std::mem::take(&mut pages.fails) {
            pages.dropped = begun;
            return Err(io::Error::other("the disk failed"));
        }
        if begun > pages.dropped {
            pages.durable = pages.durable.max(begun);
        }
        self.0.synced.notify_all();
        Ok(())
    }
}

fn start(file: &File) -> Arc<LogSync<File>> {
    Arc::new(LogSync::start("log", file.clone()).unwrap())
}

#[test]
fn a_sync_covers_every_commit_before_it() {
    Search::Interrupted(3).of(500, || {
        let file = File::default();
        let log = start(&file);
        let (others_file, others_log) = (file.clone(), Arc::clone(&log));
        let other = thread::spawn(move || {
            let commit = others_file.commit();
            others_log.sync().unwrap();
            assert!(others_file.is_durable(commit), "told too early");
        });
        let commit = file.commit();
        log.sync().unwrap();
        assert!(file.is_durable(commit), "told too early");
        other.join().unwrap();
    });
}

#[test]
fn after_a_failure_nobody_is_told_that_all_is_well() {
    Search::Interrupted(3).of(500, || {
        let file = File::failing();
        let log = start(&file);
        let (others_file, others_log) = (file.clone(), Arc::clone(&log));
        let sync = |file: &File, log: &LogSync<File>| {
            let commit = file.commit();
            let told = log.sync();
            assert!(
                told.is_err() || file.is_durable(commit),
                "told that all is well"
            );
        };
        let other = thread::spawn(move || sync(&others_file, &others_log));
        sync(&file, &log);
        other.join().unwrap();
        assert!(log.sync().is_err(), "one failure is final");
    });
}

/// Every caller syncs for itself, and looks whether a sync has failed before.
struct SideBySide {
    file: File,
    failed: AtomicBool,
}

impl SideBySide {
    fn sync(&self) -> io::Result<()> {
        if self.failed.load(Ordering::Acquire) {
            return Err(io::Error::other("failed before"));
        }
        self.file.sync_data().inspect_err(|_| {
            self.failed.store(true, Ordering::Release);
        })
    }
}

#[test]
fn a_failure_that_only_one_of_two_syncs_is_told_is_found() {
    Search::Whole.finds(
        "log_sync::a_failure_that_only_one_of_two_syncs_is_told_is_found",
        "told that all is well",
        || {
            let file = File::failing();
            let log = Arc::new(SideBySide {
                file: file.clone(),
                failed: AtomicBool::new(false),
            });
            let sync = |log: &SideBySide| {
                let commit = log.file.commit();
                let told = log.sync();
                assert!(
                    told.is_err() || log.file.is_durable(commit),
                    "told that all is well"
                );
            };
            let others = Arc::clone(&log);
            let other = thread::spawn(move || sync(&others));
            sync(&log);
            other.join().unwrap();
        },
    );
}

fn sync_soon() {
    let file = File::default();
    let log = start(&file);
    let commit = file.commit();
    log.sync_soon(Instant::at(1));
    file.wait_until_durable(commit);
    let commit = file.commit();
    log.sync_soon(Instant::at(2));
    file.wait_until_durable(commit);
}

#[test]
fn what_is_owed_is_synced_though_nobody_asks_again() {
    Search::Whole.of(50, sync_soon);
}

#[test]
fn a_lost_wake_up_of_the_syncing_thread_is_found() {
    Search::Whole.finds(
        "log_sync::a_lost_wake_up_of_the_syncing_thread_is_found",
        "deadlock",
        || {
            planted::LOSES_NOTIFICATIONS.set(true);
            sync_soon();
        },
    );
}

#[test]
fn what_is_owed_at_the_end_is_synced_and_the_thread_ends() {
    Search::Interrupted(3).of(100, || {
        let file = File::default();
        let log = start(&file);
        let (others_file, others_log) = (file.clone(), Arc::clone(&log));
        let other = thread::spawn(move || {
            others_file.commit();
            others_log.sync_soon(Instant::NEVER);
        });
        file.commit();
        log.sync().unwrap();
        other.join().unwrap();
        drop(log);
        assert!(file.is_durable(2), "the end came first");
    });
}
