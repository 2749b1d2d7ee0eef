//! What may lie in the state directory.
//!
//! Owns: which names there are ours and of which kind each is, and finding those
//! that are not so. Promises: nothing is opened or followed, only looked at. Leaves
//! to others: refusing them where they are used, moving them away (`repair`), and
//! what is in the files.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

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
