//! Asking a thread for checkpoints.
//!
//! Owns: what is asked of the thread that moves commits from the log into the
//! database, and at which length of the log it is asked next. Promises: the
//! thread sleeps until it is asked; a long checkpoint that was asked for is not
//! forgotten for a short one; the end is told once it is idle. Leaves to others:
//! making checkpoints.

use crate::sync::{AtomicU32, Condvar, Mutex, Ordering};

/// At which lengths of the log something is done, in pages.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    /// A checkpoint is due.
    pub due_pages: u32,
    /// The log has to be emptied.
    pub long_pages: u32,
}

/// What is asked of the thread.
#[derive(Debug)]
pub struct Asked {
    lengths: Lengths,
    /// Pages in the log at which the next checkpoint is asked for.
    due_pages: AtomicU32,
    what: Mutex<What>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct What {
    checkpoint: Option<Checkpoint>,
    end: bool,
}

/// A checkpoint that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkpoint {
    /// Copy what can be copied.
    Short,
    /// Empty the log.
    Long,
}

impl Asked {
    /// Nothing is asked yet.
    #[must_use]
    pub fn new(lengths: Lengths) -> Self {
        Self {
            lengths,
            due_pages: AtomicU32::new(lengths.due_pages),
            what: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// To be called with the length of the log after a commit.
    pub fn committed(&self, log_pages: u32) {
        let Lengths {
            due_pages,
            long_pages,
        } = self.lengths;
        let due = self.due_pages.load(Ordering::Relaxed);
        if log_pages < due {
            if log_pages < due_pages && due != due_pages {
                self.due_pages.store(due_pages, Ordering::Relaxed);
            }
            return;
        }
        // Under steady load each is in vain until the last, so they are few.
        let due = log_pages + log_pages.min(long_pages);
        self.due_pages.store(due, Ordering::Relaxed);
        self.ask(if log_pages < long_pages {
            Checkpoint::Short
        } else {
            Checkpoint::Long
        });
    }

    /// Whoever asked for less has that, too.
    fn ask(&self, checkpoint: Checkpoint) {
        let mut what = self.what.lock();
        what.checkpoint = what.checkpoint.max(Some(checkpoint));
        drop(what);
        self.changed.notify_one();
    }

    /// Has the thread end; what was not begun is left out.
    pub fn end(&self) {
        self.what.lock().end = true;
        self.changed.notify_one();
    }

    /// Sleeps until a checkpoint is asked for; nothing at the end.
    pub fn next(&self) -> Option<Checkpoint> {
        let mut what = self.what.lock();
        loop {
            if what.end {
                return None;
            }
            if let Some(checkpoint) = what.checkpoint.take() {
                return Some(checkpoint);
            }
            self.changed.wait(&mut what);
        }
    }
}
