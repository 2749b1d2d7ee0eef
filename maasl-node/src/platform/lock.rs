//! Whole-file kernel locks.
//!
//! Owns: `flock`. Promises: a lock belongs to the open file, so it dies with
//! the last descriptor of it, at the latest with the process; closing another
//! descriptor of the same file does not drop it (which is why `fcntl` process
//! locks are not used here). Leaves to others: deadlines, and who holds what.
//! A shared lock is never turned into an exclusive one: `flock` does that by
//! letting go first.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

/// Takes the exclusive lock if it is free; says whether it did.
pub fn try_lock_exclusive(fd: BorrowedFd<'_>) -> io::Result<bool> {
    try_lock(fd, FlockOperation::NonBlockingLockExclusive)
}

/// Takes a shared lock if no exclusive one is held; says whether it did.
pub fn try_lock_shared(fd: BorrowedFd<'_>) -> io::Result<bool> {
    try_lock(fd, FlockOperation::NonBlockingLockShared)
}

/// Drops the lock of this open file, if it has one.
pub fn unlock(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| flock(fd, FlockOperation::Unlock))?)
}

fn try_lock(fd: BorrowedFd<'_>, operation: FlockOperation) -> io::Result<bool> {
    match retry_on_intr(|| flock(fd, operation)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
