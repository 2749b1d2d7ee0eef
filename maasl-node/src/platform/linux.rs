//! Linux.
//!
//! Owns: what only Linux has: `openat2`, boot and mount ids, `/proc`.
//! Promises: the interface of the parent module, at its strongest.
//! Leaves to others: everything that is the same on every Unix.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use maasl_core::docgen::Stamp;
use rustix::fs::{
    AtFlags, Mode, OFlags, ResolveFlags, Stat, Statx, StatxFlags, fstatfs, fsync, makedev, openat,
    openat2, statx,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::time::{ClockId, clock_gettime};

pub use super::locker::locker_of;
use super::time_namespace;
use super::walk::{check_beneath, walk_beneath};
use super::{Examined, FileMeta, ProcessState};

/// How [`walk_beneath`] opens a directory on the way.
pub(super) const STEP: OFlags = OFlags::PATH;

/// Mode bits that [`super::copy_metadata`] copies.
pub(super) const MODE_COPIED: u32 = 0o1777;

/// File systems whose files another host may change, by the magic numbers of
/// `statfs(2)`; folders shared with the host of a virtual machine among them.
const NETWORK: [(u32, &str); 20] = [
    (0x0000_6969, "nfs"),
    (0x0000_517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x00c3_6400, "ceph"),
    (0x5346_414f, "openafs"),
    (0x6b41_4653, "afs"),
    (0x7375_7245, "coda"),
    (0x0000_564c, "ncp"),
    (0x0bd0_0bd0, "lustre"),
    (0x0116_1970, "gfs2"),
    (0x7461_636f, "ocfs2"),
    (0x4750_4653, "gpfs"),
    (0xaad7_aaea, "panfs"),
    (0x2003_0528, "orangefs"),
    (0x1983_0326, "beegfs"),
    (0x786f_4256, "vboxsf"),
    (0xbacb_acbc, "vmhgfs"),
    (0x7c7c_6673, "prl_fs"),
];

/// Identifies this boot and the clock this process goes by: the boot id, `:`, and
/// the number of the clock's time namespace where the kernel has them. Two processes
/// with equal identities read the same [`now_ns`].
pub fn boot_identity() -> io::Result<String> {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let boot_id = boot_id.trim();
    match time_namespace::namespace()? {
        Some(namespace) => Ok(format!("{boot_id}:{namespace}")),
        None => Ok(boot_id.to_owned()),
    }
}

/// Nanoseconds of `CLOCK_BOOTTIME`, as the machine has it: without the offset of
/// the time namespace that this process is in. Counts through suspend, never steps.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let part = |n: i64| u64::try_from(n).expect("time since boot is not negative");
    time_namespace::corrected(part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec))
}

/// Opens `rel` beneath `root`, following no symlink and entering no mount.
///
/// Errors: `ELOOP` for a symlink anywhere, `EXDEV` for a way out (absolute,
/// `..`, another mount), and those of `open`. With `O_PATH | O_NOFOLLOW` a
/// symlink in the last place is opened itself. Always close-on-exec.
pub fn open_beneath(
    root: BorrowedFd<'_>,
    rel: &str,
    flags: OFlags,
    mode: Mode,
) -> io::Result<OwnedFd> {
    check_beneath(rel)?;
    match openat2_beneath(root, rel, flags, mode) {
        Ok(fd) => Ok(fd),
        // Missing, or kept away by a sandbox. Where the permission is missing
        // in earnest, the walk says so again.
        Err(Errno::NOSYS | Errno::PERM) => walk_beneath(root, rel, flags, mode),
        Err(errno) => Err(errno.into()),
    }
}

fn openat2_beneath(
    root: BorrowedFd<'_>,
    rel: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let mut flags = flags | OFlags::CLOEXEC;
    // Without O_PATH it adds nothing, and it hides a symlink behind ENOTDIR.
    if !flags.contains(OFlags::PATH) {
        flags.remove(OFlags::NOFOLLOW);
    }
    // Unlike openat, openat2 refuses a mode that has no use.
    let mode = if flags.contains(OFlags::CREATE) {
        mode
    } else {
        Mode::empty()
    };
    retry_on_intr(|| openat2(root, rel, flags, mode, resolve))
}

/// Whether these flags ask for a descriptor of a symlink itself.
pub(super) fn wants_symlink(flags: OFlags) -> bool {
    flags.contains(OFlags::PATH | OFlags::NOFOLLOW)
}

/// Looks at the entry `name` of `dir` without opening or following it.
pub fn examine(dir: BorrowedFd<'_>, name: &str) -> io::Result<Examined> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    match retry_on_intr(|| statx(dir, name, flags, wanted)) {
        Ok(found) if found.stx_mask & wanted.bits() == wanted.bits() => Ok(examined(&found)),
        Err(Errno::NOENT) => Err(Errno::NOENT.into()),
        // Too old a kernel, a sandbox, or a failure that opening names as well.
        Ok(_) | Err(_) => examine_opened(dir, name),
    }
}

fn examined(found: &Statx) -> Examined {
    Examined {
        meta: FileMeta {
            dev: makedev(found.stx_dev_major, found.stx_dev_minor),
            ino: found.stx_ino,
            mode: found.stx_mode.into(),
            size: found.stx_size,
            nlink: found.stx_nlink.into(),
        },
        mount: found.stx_mnt_id,
    }
}

/// As [`examine`], by a descriptor of the entry itself.
fn examine_opened(dir: BorrowedFd<'_>, name: &str) -> io::Result<Examined> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entry = retry_on_intr(|| openat(dir, name, flags, Mode::empty()))?;
    Ok(Examined {
        meta: FileMeta::of(entry.as_fd())?,
        mount: mount_of(entry.as_fd())?,
    })
}

/// A number for the mount that `fd` is on, to be compared with others of now.
///
/// The device number alone would not see bind mounts, and on overlays would
/// see a border between a directory and its files.
pub fn mount_of(fd: BorrowedFd<'_>) -> io::Result<u64> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT;
    let known = statx(fd, "", flags, StatxFlags::MNT_ID);
    if let Ok(found) = known
        && found.stx_mask & StatxFlags::MNT_ID.bits() != 0
    {
        return Ok(found.stx_mnt_id);
    }
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd()));
    match info.ok().as_deref().and_then(mount_in_fdinfo) {
        Some(id) => Ok(id),
        None => Ok(FileMeta::of(fd)?.dev),
    }
}

fn mount_in_fdinfo(info: &str) -> Option<u64> {
    let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
    id.trim().parse().ok()
}

/// The facts in the system's own record.
#[allow(
    clippy::useless_conversion,
    reason = "the widths of the fields depend on the architecture"
)]
pub(super) fn meta_of_stat(stat: &Stat) -> FileMeta {
    FileMeta {
        dev: stat.st_dev.into(),
        ino: stat.st_ino.into(),
        mode: stat.st_mode.into(),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        nlink: stat.st_nlink.into(),
    }
}

/// What a file looks like in the system's own record.
#[must_use]
pub fn stamp_of_stat(stat: &Stat) -> Stamp {
    let ns = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
    let rest = |rest| i64::try_from(rest).unwrap_or(0);
    Stamp {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified_ns: ns(stat.st_mtime, rest(stat.st_mtime_nsec)),
        changed_ns: ns(stat.st_ctime, rest(stat.st_ctime_nsec)),
        inode: stat.st_ino,
    }
}

/// Makes the content and size of a file durable.
pub fn sync_file(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(retry_on_intr(|| fsync(fd))?)
}

/// Makes the entries of a directory durable. The directory must be open for
/// reading, not only as a path.
pub fn sync_dir(fd: BorrowedFd<'_>) -> io::Result<()> {
    sync_file(fd)
}

/// The name of the network file system that `fd` is on, if it is on one.
/// FUSE is not counted: it may be anything, [`fs_name`] tells what.
pub fn network_fs_name(fd: BorrowedFd<'_>) -> io::Result<Option<String>> {
    let magic = magic_of(fd)?;
    Ok(network_name(magic).map(str::to_owned))
}

/// The name of the file system that `fd` is on, such as `ext4` or
/// `fuse.sshfs`; its magic number where the name cannot be found.
pub fn fs_name(fd: BorrowedFd<'_>) -> io::Result<String> {
    let magic = magic_of(fd)?;
    let mount = mount_of(fd)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let named = mounts
        .lines()
        .find_map(|line| type_in_mountinfo(line, mount));
    let known = named.or_else(|| network_name(magic));
    Ok(known.map_or_else(|| format!("{magic:#010x}"), str::to_owned))
}

fn magic_of(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // The width and sign of the field depend on the architecture.
    let magic = i128::from(fstatfs(fd)?.f_type).rem_euclid(1 << 32);
    Ok(u32::try_from(magic).expect("a remainder below 2^32"))
}

fn network_name(magic: u32) -> Option<&'static str> {
    let known = NETWORK.iter().find(|(number, _)| *number == magic);
    known.map(|(_, name)| *name)
}

/// The type in a line of mountinfo, if the line is of `mount`.
fn type_in_mountinfo(line: &str, mount: u64) -> Option<&str> {
    let (id, rest) = line.split_once(' ')?;
    let (_, described) = rest.split_once(" - ")?;
    let of_mount = id.parse() == Ok(mount);
    of_mount.then(|| described.split(' ').next())?
}

/// The state of a process; `None` if there is none with this number.
#[must_use]
pub fn process_state(pid: u32) -> Option<ProcessState> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&String::from_utf8_lossy(&stat))
}

/// Reads `/proc/<pid>/stat`. The name stands in parentheses and may contain
/// parentheses and spaces itself; only the last `)` ends it.
fn parse_stat(stat: &str) -> Option<ProcessState> {
    let (before, rest) = stat.rsplit_once(')')?;
    let (_, command) = before.split_once('(')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    // The state is field 3 of the line, the start time field 22.
    let start_ticks = fields.nth(22 - 4)?.parse().ok()?;
    Some(ProcessState {
        stopped: matches!(state, "T" | "t"),
        zombie: matches!(state, "Z" | "X" | "x"),
        start_ticks,
        command: command.to_owned(),
    })
}

/// User attributes and the access list. Labels of the security modules belong
/// to the new file, `trusted.` ones to the file system.
pub(super) fn is_copied_xattr(name: &str) -> bool {
    name.starts_with("user.") || name == "system.posix_acl_access"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::process::{Command, id};
    use std::time::{Duration, Instant};

    #[test]
    fn names_in_process_lines_may_contain_anything() {
        let tail = "T 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        for command in ["sh", "a b", ") R 1 (", "((", "", "x) T"] {
            let state = parse_stat(&format!("17 ({command}) {tail}\n")).unwrap();
            assert_eq!(state.command, command);
            assert!(state.stopped && !state.zombie);
            assert_eq!(state.start_ticks, 4242);
        }
        for broken in ["", "17 sh R", "17 (sh", "17 (sh) R 1 2", "17 (sh) R x y"] {
            assert_eq!(parse_stat(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn own_process_is_alive_and_an_unwaited_one_a_zombie() {
        let own = process_state(id()).unwrap();
        assert!(!own.stopped && !own.zombie && own.start_ticks > 0);
        assert_eq!(process_state(u32::MAX), None);
        let mut child = Command::new("true").spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !process_state(child.id()).unwrap().zombie {
            assert!(Instant::now() < deadline, "the child does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert_ne!(process_state(child.id()).map(|s| s.zombie), Some(true));
    }

    #[test]
    fn file_systems_are_named() {
        assert_eq!(network_name(0x6969), Some("nfs"));
        assert_eq!(network_name(0xef53), None);
        let line = "36 35 98:0 /m /mnt rw,noatime master:1 - fuse.sshfs host:/x rw,errors=continue";
        assert_eq!(type_in_mountinfo(line, 36), Some("fuse.sshfs"));
        assert_eq!(type_in_mountinfo(line, 35), None);
        let proc = File::open("/proc/self").unwrap();
        assert_eq!(fs_name(proc.as_fd()).unwrap(), "proc");
    }

    #[test]
    fn both_sources_agree_on_the_mount() {
        for path in ["/", "/proc", "/dev/null", "."] {
            let file = File::open(path).unwrap();
            let info = format!("/proc/self/fdinfo/{}", file.as_raw_fd());
            let id = mount_in_fdinfo(&fs::read_to_string(info).unwrap()).unwrap();
            assert_eq!(mount_of(file.as_fd()).unwrap(), id, "{path}");
        }
    }

    #[test]
    fn both_ways_of_examining_agree() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("file"), "content").unwrap();
        std::fs::hard_link(temp.path().join("file"), temp.path().join("linked")).unwrap();
        std::os::unix::fs::symlink("/dev/null", temp.path().join("link")).unwrap();
        let temp = File::open(temp.path()).unwrap();
        let root = File::open("/").unwrap();
        for (dir, name) in [
            (&temp, "file"),
            (&temp, "link"),
            (&temp, "."),
            (&temp, "none"),
            (&temp, "file/below"),
            (&root, "proc"),
            (&root, "dev/null"),
            (&root, "proc/self"),
        ] {
            let found = examine(dir.as_fd(), name).map_err(|error| error.kind());
            let opened = examine_opened(dir.as_fd(), name).map_err(|error| error.kind());
            assert_eq!(found, opened, "{name}");
        }
    }

    #[test]
    fn examining_does_not_follow_or_block() {
        let temp = tempfile::tempdir().unwrap();
        let dir = File::open(temp.path()).unwrap();
        std::os::unix::fs::symlink("/dev/null", temp.path().join("link")).unwrap();
        assert!(examine(dir.as_fd(), "link").unwrap().meta.is_symlink());
        let missing = examine(dir.as_fd(), "none").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}
