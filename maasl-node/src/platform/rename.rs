//! Renames that never destroy what they did not expect.
//!
//! Owns: exchanging two names and placing a new one, and the weaker stand-ins.
//! Promises: each call is one atomic rename, except [`place_by_link`], which
//! says so; names are single components. Leaves to others: looking at what
//! came out of an exchange, syncing directories, and the decision to go on in
//! a weaker mode.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, unlinkat};
use rustix::io::Errno;

/// What [`swap`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an unsupported exchange has changed nothing"]
pub enum SwapMode {
    /// The two names were exchanged in one step.
    Exchanged,
    /// The file system cannot; nothing has changed. [`replace`] is the weaker mode.
    Unsupported,
}

/// What [`place`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an unsupported placement has changed nothing"]
pub enum PlaceMode {
    /// The name was new and now is taken.
    Placed,
    /// The file system cannot; nothing has changed. [`place_by_link`] is the weaker mode.
    Unsupported,
}

/// Exchanges two existing names. Fails as `NotFound` if either is missing.
pub fn swap(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
) -> io::Result<SwapMode> {
    let flags = RenameFlags::EXCHANGE;
    let done = flagged(from_dir, from_name, to_dir, to_name, flags)?;
    Ok(if done {
        SwapMode::Exchanged
    } else {
        SwapMode::Unsupported
    })
}

/// Gives a file a new name that must be free. Fails as `AlreadyExists` if not.
pub fn place(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
) -> io::Result<PlaceMode> {
    let flags = RenameFlags::NOREPLACE;
    let done = flagged(from_dir, from_name, to_dir, to_name, flags)?;
    Ok(if done {
        PlaceMode::Placed
    } else {
        PlaceMode::Unsupported
    })
}

/// The weaker mode of [`swap`]: a plain rename. What stood under `to_name` is
/// gone unless the caller has kept it.
pub fn replace(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
) -> io::Result<()> {
    single(from_name)?;
    single(to_name)?;
    Ok(renameat(from_dir, from_name, to_dir, to_name)?)
}

/// The weaker mode of [`place`]: links the new name, then unlinks the old one.
///
/// Never replaces anything; fails as `AlreadyExists` if the name is taken.
/// Whoever looks (or dies) between the two steps sees a file with two names.
pub fn place_by_link(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
) -> io::Result<()> {
    single(from_name)?;
    single(to_name)?;
    linkat(from_dir, from_name, to_dir, to_name, AtFlags::empty())?;
    Ok(unlinkat(from_dir, from_name, AtFlags::empty())?)
}

/// `false` where the system or the file system does not know the flag.
fn flagged(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
    flags: RenameFlags,
) -> io::Result<bool> {
    single(from_name)?;
    single(to_name)?;
    match renameat_with(from_dir, from_name, to_dir, to_name, flags) {
        Ok(()) => Ok(true),
        Err(errno) if is_unsupported(errno) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// `EINVAL` has another meaning, a directory moved into itself, which cannot
/// happen to the regular files that are renamed here.
fn is_unsupported(errno: Errno) -> bool {
    [Errno::INVAL, Errno::NOSYS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&errno)
}

fn single(name: &str) -> io::Result<()> {
    if matches!(name, "" | "." | "..") || name.contains('/') {
        let message = format!("{name:?} is not the name of a directory entry");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::os::fd::AsFd;

    #[test]
    fn swap_exchanges_and_needs_both() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        fs::write(temp.path().join("a"), "A").unwrap();
        let missing = swap(dir.as_fd(), "a", dir.as_fd(), "b").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        fs::write(temp.path().join("b"), "B").unwrap();
        let mode = swap(dir.as_fd(), "a", dir.as_fd(), "b").unwrap();
        assert_eq!(mode, SwapMode::Exchanged);
        assert_eq!(fs::read(temp.path().join("a")).unwrap(), b"B");
        assert_eq!(fs::read(temp.path().join("b")).unwrap(), b"A");
    }

    #[test]
    fn placing_never_replaces() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        for name in ["new", "other", "taken"] {
            fs::write(temp.path().join(name), name).unwrap();
        }
        let taken = place(dir.as_fd(), "new", dir.as_fd(), "taken").unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        let taken = place_by_link(dir.as_fd(), "new", dir.as_fd(), "taken").unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(temp.path().join("taken")).unwrap(), b"taken");
        let mode = place(dir.as_fd(), "new", dir.as_fd(), "free").unwrap();
        assert_eq!(mode, PlaceMode::Placed);
        place_by_link(dir.as_fd(), "other", dir.as_fd(), "linked").unwrap();
        assert_eq!(fs::read(temp.path().join("free")).unwrap(), b"new");
        assert_eq!(fs::read(temp.path().join("linked")).unwrap(), b"other");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 3);
    }

    #[test]
    fn replace_is_a_plain_rename() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        fs::write(temp.path().join("a"), "A").unwrap();
        fs::write(temp.path().join("b"), "B").unwrap();
        replace(dir.as_fd(), "a", dir.as_fd(), "b").unwrap();
        assert_eq!(fs::read(temp.path().join("b")).unwrap(), b"A");
        assert!(!temp.path().join("a").exists());
    }

    #[test]
    fn names_are_single_components() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        for name in ["", ".", "..", "a/b", "/a", "a/"] {
            let refused = swap(dir.as_fd(), name, dir.as_fd(), "x").unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name:?}");
            let refused = place(dir.as_fd(), "x", dir.as_fd(), name).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{name:?}");
        }
    }
}
