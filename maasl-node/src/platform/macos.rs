//! macOS. Compiles; has not been run by the project yet.
//!
//! Owns: what only macOS has: full syncs, the boot session, local mount flags.
//! Promises: the interface of the parent module, weaker where its table says
//! so. Leaves to others: everything that is the same on every Unix.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::process::Command;

use maasl_core::docgen::Stamp;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, StatFs, fcntl_fullfsync, fstatfs, fsync, statat};
use rustix::io::{Errno, retry_on_intr};
use rustix::time::{ClockId, clock_gettime};

use super::walk::walk_beneath;
use super::{Examined, FileMeta, ProcessState};

/// How [`walk_beneath`] opens a directory on the way. There is no `O_PATH`, so
/// the directory must be readable.
pub(super) const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NONBLOCK);

/// Mode bits that [`super::copy_metadata`] copies.
pub(super) const MODE_COPIED: u32 = 0o1777;

/// `MNT_LOCAL` of `sys/mount.h`.
const MNT_LOCAL: u32 = 0x1000;

/// Identifies this boot: the kernel's boot session. macOS has no time namespaces.
///
/// Asks the `sysctl` program, since the call itself is out of reach of safe code.
pub fn boot_identity() -> io::Result<String> {
    let asked = Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.bootsessionuuid"])
        .output()?;
    let answer = String::from_utf8_lossy(&asked.stdout);
    if !asked.status.success() || answer.trim().is_empty() {
        return Err(io::Error::other(
            "sysctl does not know kern.bootsessionuuid",
        ));
    }
    Ok(answer.trim().to_owned())
}

/// Nanoseconds of `CLOCK_MONOTONIC`, which on macOS counts through sleep (the
/// one that stops is `CLOCK_UPTIME_RAW`); its resolution is a microsecond.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |n: i64| u64::try_from(n).expect("time since boot is not negative");
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}

/// Opens `rel` beneath `root`, following no symlink and entering no mount.
///
/// Errors: as of [`walk_beneath`], which is the only way here.
pub fn open_beneath(
    root: BorrowedFd<'_>,
    rel: &str,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    walk_beneath(root, rel, flags, mode)
}

/// A symlink itself cannot be opened the way `O_PATH` does.
pub(super) fn wants_symlink(_flags: OFlags) -> bool {
    false
}

/// Looks at the entry `name` of `dir` without opening or following it.
pub fn examine(dir: BorrowedFd<'_>, name: &str) -> io::Result<Examined> {
    let stat = retry_on_intr(|| statat(dir, name, AtFlags::SYMLINK_NOFOLLOW))?;
    let meta = meta_of_stat(&stat);
    let mount = meta.dev;
    Ok(Examined { meta, mount })
}

/// The facts in the system's own record.
pub(super) fn meta_of_stat(stat: &Stat) -> FileMeta {
    FileMeta {
        dev: u64::from(stat.st_dev.cast_unsigned()),
        ino: stat.st_ino,
        mode: u32::from(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        nlink: u64::from(stat.st_nlink),
    }
}

/// What a file looks like in the system's own record.
#[must_use]
pub fn stamp_of_stat(stat: &Stat) -> Stamp {
    let ns = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    Stamp {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified_ns: ns(stat.st_mtime, stat.st_mtime_nsec),
        changed_ns: ns(stat.st_ctime, stat.st_ctime_nsec),
        inode: stat.st_ino,
    }
}

/// A number for the file system that `fd` is on; macOS has no bind mounts.
pub fn mount_of(fd: BorrowedFd<'_>) -> io::Result<u64> {
    Ok(FileMeta::of(fd)?.dev)
}

/// Makes the content of a file durable, through the cache of the drive; where
/// the file system does not know how, as far as the drive.
pub fn sync_file(fd: BorrowedFd<'_>) -> io::Result<()> {
    match retry_on_intr(|| fcntl_fullfsync(fd)) {
        Ok(()) => Ok(()),
        Err(errno) if [Errno::NOTSUP, Errno::INVAL, Errno::NOTTY].contains(&errno) => {
            Ok(retry_on_intr(|| fsync(fd))?)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Makes the entries of a directory durable. The directory must be open for
/// reading.
pub fn sync_dir(fd: BorrowedFd<'_>) -> io::Result<()> {
    sync_file(fd)
}

/// The name of the network file system that `fd` is on, if it is on one.
/// macFUSE volumes count as what they say they are, local or not.
pub fn network_fs_name(fd: BorrowedFd<'_>) -> io::Result<Option<String>> {
    let statfs = fstatfs(fd)?;
    let local = statfs.f_flags & MNT_LOCAL != 0;
    Ok((!local).then(|| type_name(&statfs)))
}

/// The name of the file system that `fd` is on, such as `apfs`.
pub fn fs_name(fd: BorrowedFd<'_>) -> io::Result<String> {
    Ok(type_name(&fstatfs(fd)?))
}

fn type_name(statfs: &StatFs) -> String {
    let bytes = statfs.f_fstypename.iter().map(|c| c.cast_unsigned());
    let bytes: Vec<u8> = bytes.take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Always `None`: macOS tells about other processes only through calls that
/// are out of reach of safe code.
#[must_use]
pub fn process_state(_pid: u32) -> Option<ProcessState> {
    None
}

/// Always `None`: macOS has no table of locks that can be read.
#[must_use]
pub fn locker_of(_file: BorrowedFd<'_>) -> Option<u32> {
    None
}

/// All but the quarantine mark, which belongs to what was downloaded.
pub(super) fn is_copied_xattr(name: &str) -> bool {
    name != "com.apple.quarantine"
}
