//! The gate: one `flock` around every write transaction.
//!
//! Owns: the file `gate`, never unlinked, and waiting for it. Promises: at most
//! one writer at a time over all processes; the kernel opens the gate when its
//! holder dies; no wait is longer than asked, and one that ends in vain names
//! the holder. Leaves to others: keeping what runs inside to microseconds, and
//! the mutex in front: of one process, one thread asks at a time.
//!
//! SQLite's own waiting is polling with growing pauses, which starves whoever
//! waits longest. Here a waiter first looks again for as long as a holder
//! usually takes, then sleeps in the kernel's queue. That sleep cannot be
//! bounded, so a helper thread (`maasl_threads::helper`) sleeps in our place, on
//! an open file description of its own, and hands the lock over; if nobody wants
//! it any more by then, it unlocks at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use maasl_threads::helper::{Handed, Helper, KernelLock};

use super::holder;
use super::identity::refuse_foreign;
use crate::store::{GateHolder, StoreError};

const NAME: &str = "gate";

/// How long to look again before sleeping: a few transactions, and about what
/// going to sleep and being woken costs.
const SPIN: Duration = Duration::from_micros(120);

/// The gate of one store, as one process sees it.
pub(super) struct Gate {
    path: PathBuf,
    file: File,
    helper: OnceLock<Helper<Queued>>,
    pid: u32,
    session: String,
}

impl Gate {
    /// Opens the gate of the store in `dir`. `session` is told to others.
    pub(super) fn open(dir: &Path, session: &str) -> Result<Self, StoreError> {
        let path = dir.join(NAME);
        refuse_foreign(&path)?;
        let file = open_file(&path)?;
        Ok(Self {
            path,
            file,
            helper: OnceLock::new(),
            pid: std::process::id(),
            session: session.into(),
        })
    }

    /// Waits for the gate until `deadline`; with one that has passed, looks
    /// once.
    pub(super) fn enter(&self, deadline: Instant) -> Result<Inside<'_>, StoreError> {
        let since = Instant::now();
        let inside = if self.looked_in_vain(since, deadline)? {
            self.sleep_until_open(since, deadline)?
        } else {
            Inside::Own(&self.file)
        };
        self.refuse_deleted()?;
        holder::record(&self.file, self.pid, &self.session)
            .map_err(|error| StoreError::io(&self.path, error))?;
        Ok(inside)
    }

    /// Somebody may have deleted the file, or put another in its place; then
    /// others stand in another gate. Asking the open file costs less than
    /// following its path; a directory moved aside is noticed by the database.
    fn refuse_deleted(&self) -> Result<(), StoreError> {
        let found = rustix::fs::fstat(&self.file);
        match found
            .map_err(|error| StoreError::io(&self.path, error))?
            .st_nlink
        {
            0 => Err(StoreError::Replaced {
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    fn looked_in_vain(&self, since: Instant, deadline: Instant) -> Result<bool, StoreError> {
        let until = deadline.min(since + SPIN);
        loop {
            match self.file.try_lock() {
                Ok(()) => return Ok(false),
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return Ok(true),
                Err(TryLockError::WouldBlock) => thread::yield_now(),
                Err(TryLockError::Error(error)) => return Err(StoreError::io(&self.path, error)),
            }
        }
    }

    fn sleep_until_open(
        &self,
        since: Instant,
        deadline: Instant,
    ) -> Result<Inside<'_>, StoreError> {
        if let Some(handed) = self.helper()?.wait(deadline) {
            return Ok(Inside::Handed(handed));
        }
        Err(StoreError::Busy {
            holder: self.holder(),
            waited_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// Who stands in the gate now, as far as can be told.
    pub(super) fn holder(&self) -> Option<GateHolder> {
        holder::look(&self.file)
    }

    fn helper(&self) -> Result<&Helper<Queued>, StoreError> {
        if self.helper.get().is_none() {
            let helper = Helper::start("maasl-gate", Queued(open_file(&self.path)?))
                .map_err(|error| StoreError::io(&self.path, error))?;
            // The mutex in front lets one thread ask at a time; were it not so,
            // the second helper would stop here.
            drop(self.helper.set(helper));
        }
        Ok(self.helper.get().expect("it was set above"))
    }
}

fn open_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| StoreError::io(path, error))
}

/// The caller stands in the gate until this goes.
pub(super) enum Inside<'gate> {
    /// By a lock on the gate's own file.
    Own(&'gate File),
    /// By the lock of the helper, which lets it go.
    Handed(#[expect(dead_code, reason = "it is there to be dropped")] Handed<'gate, Queued>),
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Self::Own(file) = self {
            release(file);
        }
    }
}

/// The gate on an open file description of the helper's own.
pub(super) struct Queued(File);

impl KernelLock for Queued {
    fn lock(&self) -> io::Result<()> {
        lock(&self.0)
    }

    fn unlock(&self) {
        release(&self.0);
    }
}

/// Sleeps until the lock is ours, also over signals.
fn lock(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            locked => return locked,
        }
    }
}

fn release(file: &File) {
    if let Err(error) = file.unlock() {
        tracing::error!(%error, "the store gate did not open");
    }
}
