//! What may lie in the state directory.
//!
//! Owns: which names there are ours and of which kind each is, finding those that
//! are not so, and the sessions that others are named for. Promises: nothing is opened
//! or followed, only looked at. Leaves to others: refusing them where they are used,
//! moving them away (`repair`), and what is in the files.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use maasl_core::id::SessionId;
use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};

use super::StateDir;

/// Plain files that have one place.
const FILES: [&str; 8] = [
    ".gitignore",
    "docgen-manifest",
    "floor",
    "gate",
    "maasl.db",
    "maasl.db-journal",
    "maasl.db-shm",
    "maasl.db-wal",
];

/// An entry that is not what its name says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Odd {
    /// Where it is.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The sessions that the entries of this kind in a folder are named for. What is of
/// another kind was not made by any of them, and neither was a name that is no text.
pub(crate) fn sessions(folder: BorrowedFd<'_>, kind: FileType) -> io::Result<BTreeSet<SessionId>> {
    let mut sessions = BTreeSet::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().to_str() else {
            continue;
        };
        if !matches!(name, "." | "..") && kind_of(folder, &entry) == kind {
            sessions.insert(SessionId::new(name));
        }
    }
    Ok(sessions)
}

/// A name that is one of an entry and no way to somewhere else. Names of sessions and of
/// what they staged come out of the store too, which somebody else may have made.
pub(crate) fn plain(name: &str) -> io::Result<&str> {
    if name.is_empty() || name == "." || name == ".." || name.contains('/') {
        let message = format!("{name:?} is not the name of an entry");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(name)
}

/// Some file systems do not tell it with the name.
fn kind_of(folder: BorrowedFd<'_>, entry: &DirEntry) -> FileType {
    match entry.file_type() {
        FileType::Unknown => {
            let found = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW);
            found.map_or(FileType::Unknown, |found| {
                FileType::from_raw_mode(found.st_mode)
            })
        }
        known => known,
    }
}

/// Every entry that would be refused where it is used, or that nobody uses.
pub fn odd(state: &StateDir) -> io::Result<Vec<Odd>> {
    let mut found = Vec::new();
    let mut note = |path: PathBuf, reason: Option<&'static str>| {
        found.extend(reason.map(|reason| Odd { path, reason }));
    };
    for name in FILES {
        let path = state.path().join(name);
        match fs::symlink_metadata(&path) {
            Ok(meta) => note(path, wrong_file(&meta)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    for (folder, wrong) in [
        ("latch", wrong_latch as fn(&Path, &Metadata) -> _),
        ("live", |_, meta| wrong_file(meta)),
        ("bell", wrong_bell),
        ("stage", wrong_folder),
        ("objects", wrong_folder),
    ] {
        for entry in fs::read_dir(state.path().join(folder))? {
            let path = entry?.path();
            match fs::symlink_metadata(&path) {
                Ok(meta) => note(path.clone(), wrong(&path, &meta)),
                // Its owner has removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn wrong_file(meta: &Metadata) -> Option<&'static str> {
    if meta.is_symlink() {
        Some("is a symbolic link")
    } else if !meta.is_file() {
        Some("is not a plain file")
    } else if meta.nlink() > 1 {
        Some("has a second name")
    } else {
        foreign(meta)
    }
}

fn wrong_latch(path: &Path, meta: &Metadata) -> Option<&'static str> {
    let name = path.file_name().and_then(|name| name.to_str());
    let number = name.filter(|name| name.len() == 3).map(str::parse::<u8>);
    if matches!(number, Some(Ok(_))) {
        wrong_file(meta)
    } else {
        Some("is no latch; nobody uses it")
    }
}

fn wrong_bell(_: &Path, meta: &Metadata) -> Option<&'static str> {
    if meta.file_type().is_fifo() {
        foreign(meta)
    } else {
        Some("is no named pipe")
    }
}

fn wrong_folder(_: &Path, meta: &Metadata) -> Option<&'static str> {
    if meta.is_dir() {
        foreign(meta)
    } else {
        Some("is no folder")
    }
}

fn foreign(meta: &Metadata) -> Option<&'static str> {
    let ours = rustix::process::geteuid().as_raw();
    (meta.uid() != ours).then_some("belongs to another user")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use rustix::fs::{CWD, Mode, mknodat};

    #[test]
    fn sessions_are_those_whose_entry_is_of_the_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), "").unwrap();
        fs::write(path("b"), "").unwrap();
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        fs::create_dir(path("c")).unwrap();
        mknodat(CWD, path("d"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        symlink("a", path("e")).unwrap();
        let folder = File::open(dir.path()).unwrap();
        for (kind, expected) in [
            (FileType::RegularFile, &["a", "b"][..]),
            (FileType::Directory, &["c"][..]),
            (FileType::Fifo, &["d"][..]),
        ] {
            let found = sessions(folder.as_fd(), kind).unwrap();
            let found: Vec<&str> = found.iter().map(SessionId::as_str).collect();
            assert_eq!(found, expected, "{kind:?}");
        }
    }
}
