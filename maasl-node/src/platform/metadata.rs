//! What a file is, and how to make another one alike.
//!
//! Owns: [`FileMeta`], the plain facts of an open file; copying permission
//! bits, owner, group, extended attributes and access lists. Promises: what
//! could not be copied is reported. Leaves to others: contents and times.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use maasl_core::path::FileKind;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, fstat};
use rustix::io::Errno;

use super::system::{MODE_COPIED, is_copied_xattr, meta_of_stat};

/// The type bits of a mode, and the two types that the core has no word for.
const TYPE_MASK: u32 = 0o170_000;
const TYPE_REGULAR: u32 = 0o100_000;
const TYPE_SYMLINK: u32 = 0o120_000;

/// Longest list or value of extended attributes that is copied, in bytes.
const XATTR_BYTES_MAX: usize = 1 << 24;

/// The facts of a file that decide whether it may be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileMeta {
    /// Device number of its file system.
    pub dev: u64,
    /// Number of the file on that device.
    pub ino: u64,
    /// Type and permission bits.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// How many names it has.
    pub nlink: u64,
}

impl FileMeta {
    /// Asks about an open file, also one opened only as a path.
    pub fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(meta_of_stat(&fstat(fd)?))
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_regular(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_REGULAR
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.mode & TYPE_MASK == TYPE_SYMLINK
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.kind() == FileKind::Directory
    }

    /// What it is, if neither a regular file nor a symlink.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        match self.mode & TYPE_MASK {
            0o040_000 => FileKind::Directory,
            0o010_000 => FileKind::Fifo,
            0o140_000 => FileKind::Socket,
            0o020_000 => FileKind::CharDevice,
            0o060_000 => FileKind::BlockDevice,
            _ => FileKind::Unknown,
        }
    }
}

/// What [`copy_metadata`] was not allowed to copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uncopied {
    /// The owner differs.
    pub owner: bool,
    /// The group differs.
    pub group: bool,
    /// Names of the extended attributes that were refused.
    pub xattrs: Vec<String>,
}

impl Uncopied {
    /// Whether everything was copied.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Gives `to` the permission bits, owner, group, user attributes and access
/// list of `from`, as far as the process may.
///
/// The set-user and set-group bits and security labels are left behind, as the
/// kernel itself strips or renews them when content changes. Owner, group and
/// attributes that are refused are reported; other failures are errors.
pub fn copy_metadata(from: &File, to: &File) -> io::Result<Uncopied> {
    let source = from.metadata()?;
    let mut uncopied = copy_owner(&source, to)?;
    uncopied.xattrs = copy_xattrs(from, to)?;
    // Last, because a change of owner and an access list both move these bits.
    to.set_permissions(Permissions::from_mode(source.mode() & MODE_COPIED))?;
    Ok(uncopied)
}

fn copy_owner(source: &Metadata, to: &File) -> io::Result<Uncopied> {
    let current = to.metadata()?;
    if (current.uid(), current.gid()) == (source.uid(), source.gid()) {
        return Ok(Uncopied::default());
    }
    // Refused to all but root where the owner differs; the group may still do.
    if fchown(to, Some(source.uid()), Some(source.gid())).is_err() {
        let _ = fchown(to, None, Some(source.gid()));
    }
    let reached = to.metadata()?;
    Ok(Uncopied {
        owner: reached.uid() != source.uid(),
        group: reached.gid() != source.gid(),
        xattrs: Vec::new(),
    })
}

/// Returns the names that were refused. An access list that `to` inherited
/// from its directory and `from` does not have is removed.
fn copy_xattrs(from: &File, to: &File) -> io::Result<Vec<String>> {
    let wanted = xattr_names(from)?;
    let mut refused = Vec::new();
    for name in &wanted {
        let value = filled(|buffer| fgetxattr(from, name.as_str(), buffer))?;
        match fsetxattr(to, name.as_str(), &value, XattrFlags::empty()) {
            Ok(()) => {}
            Err(errno) if is_refused(errno) => refused.push(name.clone()),
            Err(errno) => return Err(errno.into()),
        }
    }
    for name in xattr_names(to)?.iter().filter(|n| !wanted.contains(n)) {
        match fremovexattr(to, name.as_str()) {
            Ok(()) => {}
            Err(errno) if is_refused(errno) => refused.push(name.clone()),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(refused)
}

fn xattr_names(file: &File) -> io::Result<Vec<String>> {
    let list = match filled(|buffer| flistxattr(file, buffer)) {
        Ok(list) => list,
        Err(errno) if is_refused(errno) => return Ok(Vec::new()),
        Err(errno) => return Err(errno.into()),
    };
    let names = list.split(|byte| *byte == 0);
    let names = names.filter_map(|name| str::from_utf8(name).ok());
    Ok(names
        .filter(|name| is_copied_xattr(name))
        .map(str::to_owned)
        .collect())
}

fn is_refused(errno: Errno) -> bool {
    [Errno::PERM, Errno::ACCESS, Errno::NOTSUP, Errno::OPNOTSUPP].contains(&errno)
}

/// Calls with a growing buffer until what there is fits.
fn filled(mut call: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; 1024];
    loop {
        match call(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < XATTR_BYTES_MAX => {
                buffer.resize(buffer.len() * 4, 0);
            }
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn bits_and_user_attributes_are_copied() {
        let dir = tempfile::tempdir().unwrap();
        let from = File::create(dir.path().join("from")).unwrap();
        let to = File::create(dir.path().join("to")).unwrap();
        from.set_permissions(Permissions::from_mode(0o4751))
            .unwrap();
        let long = vec![7; 3000];
        let set = |file: &File, name: &str, value: &[u8]| {
            fsetxattr(file, name, value, XattrFlags::empty())
        };
        let supported = set(&from, "user.long", &long).is_ok();
        if supported {
            set(&from, "user.empty", b"").unwrap();
            set(&to, "user.stale", b"x").unwrap();
        } else {
            eprintln!("NOT CHECKED: this file system has no user attributes");
        }
        assert!(copy_metadata(&from, &to).unwrap().is_empty());
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o751);
        if supported {
            let mut names = xattr_names(&to).unwrap();
            names.sort();
            assert_eq!(names, ["user.empty", "user.long"]);
            let copied = filled(|buffer| fgetxattr(&to, "user.long", buffer)).unwrap();
            assert_eq!(copied, long);
        }
    }

    #[test]
    fn an_access_list_is_copied_and_an_inherited_one_removed() {
        // version 2: owner rw-, user 12345 r--, group r--, mask r--, other ---
        let acl = [
            2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 57, 48, 0, 0, 4, 0, 4, 0, 255,
            255, 255, 255, 16, 0, 4, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
        ];
        let name = "system.posix_acl_access";
        let dir = tempfile::tempdir().unwrap();
        let from = File::create(dir.path().join("from")).unwrap();
        if fsetxattr(&from, name, &acl, XattrFlags::empty()).is_err() {
            eprintln!("NOT CHECKED: this file system has no access lists");
            return;
        }
        let to = File::create(dir.path().join("to")).unwrap();
        assert!(copy_metadata(&from, &to).unwrap().is_empty());
        assert_eq!(filled(|b| fgetxattr(&to, name, b)).unwrap(), acl);
        let modes = [&from, &to].map(|f| f.metadata().unwrap().mode() & 0o7777);
        assert_eq!(modes, [0o640, 0o640]);
        let plain = File::create(dir.path().join("plain")).unwrap();
        plain
            .set_permissions(Permissions::from_mode(0o604))
            .unwrap();
        assert!(copy_metadata(&plain, &to).unwrap().is_empty());
        assert_eq!(xattr_names(&to).unwrap(), Vec::<String>::new());
        assert_eq!(to.metadata().unwrap().mode() & 0o7777, 0o604);
    }

    #[test]
    fn owner_and_group_follow_or_are_reported() {
        let dir = tempfile::tempdir().unwrap();
        let from = File::create(dir.path().join("from")).unwrap();
        let to = File::create(dir.path().join("to")).unwrap();
        if fchown(&from, Some(12345), Some(12345)).is_err() {
            eprintln!("NOT CHECKED: only root can give files away");
            return;
        }
        assert!(copy_metadata(&from, &to).unwrap().is_empty());
        let metadata = to.metadata().unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 12345));
    }

    #[test]
    fn kinds_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let of = |file: &File| FileMeta::of(file.as_fd()).unwrap();
        let regular = of(&File::create(dir.path().join("f")).unwrap());
        assert!(regular.is_regular() && !regular.is_dir() && regular.nlink == 1);
        assert!(of(&File::open(dir.path()).unwrap()).is_dir());
        let null = of(&File::open("/dev/null").unwrap());
        assert_eq!(null.kind(), FileKind::CharDevice);
    }
}
