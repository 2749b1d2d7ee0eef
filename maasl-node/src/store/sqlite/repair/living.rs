//! Keeping out of the way of processes that live.
//!
//! Owns: finding them, and holding the database against those that come. Promises:
//! a process that has shown its life, or that has the database open, is found.
//! Leaves to others: what is done while nobody is there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, fcntl_lock};
use rustix::io::Errno;

use super::super::store::DATABASE;
use super::RepairError;
use crate::platform;
use crate::state_dir::StateDir;
use crate::store::StoreError;

/// Refuses if any process of this root lives.
pub(super) fn refuse(state: &StateDir) -> Result<(), RepairError> {
    let dir = state.path().join("live");
    let (count, pids) = living(&dir).map_err(|error| StoreError::io(&dir, error))?;
    if count > 0 {
        return Err(RepairError::Living { count, pids });
    }
    Ok(())
}

fn living(dir: &Path) -> io::Result<(usize, Vec<u32>)> {
    let (mut count, mut pids) = (0, Vec::new());
    for entry in fs::read_dir(dir)? {
        let file = match open(&entry?.path(), false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            // A link or a socket: whoever made it is none of ours.
            Err(error) if is_odd(&error) => continue,
            Err(error) => return Err(error),
        };
        if !platform::try_lock_shared(file.as_fd())? {
            count += 1;
            pids.extend(platform::locker_of(file.as_fd()));
        }
    }
    Ok((count, pids))
}

fn is_odd(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::LOOP | Errno::NXIO))
}

/// Takes the lock that keeps every connection to the database out, until the file
/// is dropped; nothing where there is no database. A POSIX lock belongs to a process
/// and goes with any descriptor of the file that it closes: nobody here may open the
/// database again meanwhile, or close a copy of this descriptor.
pub(super) fn hold_database(dir: &Path) -> Result<Option<File>, RepairError> {
    let path = dir.join(DATABASE);
    let file = match open(&path, true) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io(&path, error).into()),
    };
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::AGAIN | Errno::ACCESS) => Err(RepairError::InUse(path)),
        Err(error) => Err(StoreError::io(&path, error).into()),
    }
}

fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits());
    OpenOptions::new()
        .read(true)
        .write(write)
        .custom_flags(flags.expect("flags of the system's own width"))
        .open(path)
}
