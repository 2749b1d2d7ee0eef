//! Opening beneath a directory, one component at a time.
//!
//! Owns: the portable equivalent of `openat2` with `RESOLVE_BENEATH`,
//! `NO_SYMLINKS` and `NO_XDEV`. Promises: the same answers; no step follows a
//! symlink or enters another mount; what is opened at last is on the mount of
//! the root. Leaves to others: choosing between this and `openat2`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};

use super::system::{STEP, examine, mount_of};
use crate::platform::FileMeta;

/// Opens `rel` beneath `root` without `openat2`.
///
/// Errors: `ELOOP` for a symlink anywhere, `EXDEV` for a way out (absolute,
/// `..`, another mount), and those of `open`.
pub fn walk_beneath(
    root: BorrowedFd<'_>,
    rel: &str,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    check_beneath(rel)?;
    let mount = mount_of(root)?;
    let names: Vec<&str> = rel.split('/').filter(|c| !matches!(*c, "" | ".")).collect();
    let last_is_name = !matches!(rel.rsplit('/').next(), Some("" | "."));
    let steps = names.len() - usize::from(last_is_name);
    // As in the kernel: a slash after the last name rules out creation before
    // that name is looked up, unless dots follow.
    let last = rel.trim_end_matches('/').rsplit('/').next();
    let slash_after_name = rel.ends_with('/') && last != Some(".");
    let barred = slash_after_name && flags.contains(OFlags::CREATE);
    let mut dir = None;
    for (taken, name) in names[..steps].iter().enumerate() {
        if barred && taken + 1 == steps {
            return Err(Errno::ISDIR.into());
        }
        let at = dir.as_ref().map_or(root, AsFd::as_fd);
        dir = Some(step(at, name, mount)?);
    }
    let at = dir.as_ref().map_or(root, AsFd::as_fd);
    match names[steps..].first() {
        Some(name) => open_last(at, name, flags, mode, mount),
        None => open(at, ".", flags, mode),
    }
}

/// Refuses what leads out by its text alone, alike for every way of opening.
pub(super) fn check_beneath(rel: &str) -> io::Result<()> {
    if rel.is_empty() {
        return Err(Errno::NOENT.into());
    }
    if rel.contains('\0') {
        return Err(Errno::INVAL.into());
    }
    if rel.starts_with('/') || rel.split('/').any(|c| c == "..") {
        return Err(Errno::XDEV.into());
    }
    Ok(())
}

/// Descends into the directory `name`.
fn step(at: BorrowedFd<'_>, name: &str, mount: u64) -> io::Result<OwnedFd> {
    let seen = examine(at, name)?;
    check_step(&seen.meta, seen.mount, mount)?;
    let dir = open(at, name, STEP, Mode::empty())?;
    // The entry may be another one by now; what was opened is what counts.
    check_step(&FileMeta::of(dir.as_fd())?, mount_of(dir.as_fd())?, mount)?;
    Ok(dir)
}

fn check_step(meta: &FileMeta, found: u64, mount: u64) -> io::Result<()> {
    if found != mount {
        return Err(Errno::XDEV.into());
    }
    if meta.is_symlink() {
        return Err(Errno::LOOP.into());
    }
    if !meta.is_dir() {
        return Err(Errno::NOTDIR.into());
    }
    Ok(())
}

fn open_last(
    at: BorrowedFd<'_>,
    name: &str,
    flags: OFlags,
    mode: Mode,
    mount: u64,
) -> io::Result<OwnedFd> {
    // Looked at first, so that nothing on another mount is created or cut short.
    match examine(at, name) {
        Ok(seen) if seen.mount != mount => return Err(Errno::XDEV.into()),
        Ok(seen) if seen.meta.is_symlink() && !may_open_symlink(flags) => {
            return Err(Errno::LOOP.into());
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(_) | Err(_) => {}
    }
    let fd = open(at, name, flags, mode)?;
    if mount_of(fd.as_fd())? != mount {
        return Err(Errno::XDEV.into());
    }
    if FileMeta::of(fd.as_fd())?.is_symlink() && !may_open_symlink(flags) {
        return Err(Errno::LOOP.into());
    }
    Ok(fd)
}

/// Exclusive creation answers `EEXIST` by itself; a descriptor of the link
/// itself is only had by asking for one.
fn may_open_symlink(flags: OFlags) -> bool {
    let exclusive = flags.contains(OFlags::CREATE | OFlags::EXCL);
    exclusive || super::system::wants_symlink(flags)
}

fn open(at: BorrowedFd<'_>, name: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(retry_on_intr(|| openat(at, name, flags, mode))?)
}
