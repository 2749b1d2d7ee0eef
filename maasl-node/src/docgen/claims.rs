//! Which sources may have a flat document.
//!
//! Owns: reading a flat name backwards, over the files that exist. Promises: every
//! file whose document some tool may have given that name is found, or so many
//! that it no longer matters which. Leaves to others: what follows (the core).
//!
//! A flat name may be read in as many ways as it has separators, each of which
//! may be part of a name. Only folders that exist are followed, so few are tried.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use maasl_core::docgen::layout::may_be_named;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// More than one is all that anybody needs to know.
const ENOUGH: usize = 2;

/// The files below `root` that may have the flat document `name`, at most two.
pub(crate) fn claimants(root: BorrowedFd<'_>, name: &str) -> io::Result<Vec<String>> {
    let mut search = Search {
        name,
        found: Vec::new(),
    };
    search.below(root, "", name)?;
    Ok(search.found)
}

struct Search<'n> {
    name: &'n str,
    found: Vec<String>,
}

impl Search<'_> {
    /// Reads `rest` as the path of a file in `folder`, which lies at `path`.
    fn below(&mut self, folder: BorrowedFd<'_>, path: &str, rest: &str) -> io::Result<()> {
        for file in readings(rest) {
            let source = format!("{path}{file}");
            let is_new = !self.found.contains(&source);
            if is_new && may_be_named(&source, self.name) && is_file(folder, &file)? {
                self.found.push(source);
            }
        }
        for (at, _) in rest.match_indices('_').filter(|(at, _)| *at > 0) {
            for inner in readings(&rest[..at]) {
                if self.found.len() >= ENOUGH {
                    return Ok(());
                }
                if let Some(opened) = open_folder(folder, &inner)? {
                    let path = format!("{path}{inner}/");
                    self.below(opened.as_fd(), &path, &rest[at + 1..])?;
                }
            }
        }
        Ok(())
    }
}

/// A component as it stands, and as our own layout would have written it.
fn readings(component: &str) -> Vec<String> {
    let mut readings = vec![component.to_owned()];
    let unescaped = component.replace("~1", "_").replace("~0", "~");
    if unescaped != component {
        readings.push(unescaped);
    }
    readings
}

fn is_file(folder: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile),
        Err(Errno::NOENT | Errno::NAMETOOLONG | Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

fn open_folder(folder: BorrowedFd<'_>, name: &str) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(folder, name, flags, Mode::empty()) {
        Ok(opened) => Ok(Some(opened)),
        Err(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::ACCESS
            | Errno::NAMETOOLONG
            | Errno::INVAL,
        ) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    fn found(files: &[&str], name: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let root = File::open(dir.path()).unwrap();
        let mut found = claimants(root.as_fd(), name).unwrap();
        found.sort();
        found
    }

    #[test]
    fn every_way_to_read_a_name_is_found() {
        assert_eq!(found(&["a/b.py"], "a_b.py"), ["a/b.py"]);
        assert_eq!(found(&["a/b.py", "a_b.py"], "a_b.py"), ["a/b.py", "a_b.py"]);
        assert_eq!(found(&["a/b_c/d.py"], "a_b_c_d.py"), ["a/b_c/d.py"]);
        assert_eq!(
            found(&["a/__init__.py"], "a___init__.py"),
            ["a/__init__.py"]
        );
        assert_eq!(found(&["a/b_c.py"], "a_b~1c.py"), ["a/b_c.py"]);
        assert_eq!(found(&["a~0b"], "a~0b"), ["a~0b"]);
        assert_eq!(found(&["a~b", "a~0b"], "a~0b"), ["a~0b", "a~b"]);
    }

    #[test]
    fn what_has_another_name_or_is_no_file_is_not_found() {
        assert!(found(&["a/b.py"], "a_c.py").is_empty());
        assert!(found(&["a/b.py/x"], "a_b.py").is_empty());
        assert!(found(&["b.py"], "_b.py").is_empty());
        // A mixture that no tool would write.
        assert!(found(&["a_b/c_d"], "a~1b_c_d").is_empty());
    }

    #[test]
    fn a_name_of_many_separators_over_an_empty_folder_is_soon_read() {
        let name = "_".repeat(200);
        assert!(found(&[], &name).is_empty());
        assert!(found(&["a"], &"a_".repeat(120)).is_empty());
    }
}
