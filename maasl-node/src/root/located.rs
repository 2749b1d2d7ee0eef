//! A file that was found, and what it was found to be.
//!
//! Owns: the checks of the last component of a path. Promises: it is looked at
//! before it is opened, so no pipe is waited for and no device is disturbed;
//! what was opened is checked again, since the entry may have changed hands in
//! between. Leaves to others: the way to the directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use maasl_core::path::{PathReason, RelPath};
use rustix::fs::{Mode, OFlags};

use super::database;
use super::reason_of;
use crate::platform::{Examined, FileMeta, examine, mount_of, open_beneath};

/// How a file is opened: without waiting, and without becoming a terminal.
const CONTENT: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A name in an open directory beneath the root.
#[derive(Debug)]
pub struct Located {
    /// The path it was found under.
    pub rel: RelPath,
    /// The directory that holds it, open for reading.
    pub parent: OwnedFd,
    /// Its name in that directory.
    pub name: String,
    /// What stood there.
    pub state: State,
}

/// What stands under a name.
#[derive(Debug)]
pub enum State {
    /// Nothing.
    Absent,
    /// A regular file with one name.
    Present(Present),
}

/// An open regular file.
#[derive(Debug)]
pub struct Present {
    /// Open for reading only.
    pub file: File,
    /// Its facts, asked of the open file.
    pub meta: FileMeta,
}

impl Located {
    /// Reads the whole file, of at most `limit_bytes` bytes. May be repeated.
    ///
    /// Errors: `NotFound` if the file is absent, `FileTooLarge` if it is, or
    /// grows, longer than the limit, and those of reading.
    pub fn read(&self, limit_bytes: u64) -> io::Result<Vec<u8>> {
        match &self.state {
            State::Absent => Err(io::ErrorKind::NotFound.into()),
            State::Present(present) => present.read(limit_bytes),
        }
    }
}

impl Present {
    fn read(&self, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let too_large = || io::Error::from(io::ErrorKind::FileTooLarge);
        if self.meta.size > limit_bytes {
            return Err(too_large());
        }
        let mut content = Vec::new();
        // One byte more than it had when it was opened, to see whether it grew.
        let expected = usize::try_from(self.meta.size).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; CHUNK_BYTES.min(expected.saturating_add(1))];
        let mut offset = 0;
        loop {
            let length = match self.file.read_at(&mut chunk, offset) {
                Ok(0) => return Ok(content),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            content.extend_from_slice(&chunk[..length]);
            offset += u64::try_from(length).expect("a chunk is shorter than 2^64 bytes");
            if offset > limit_bytes {
                return Err(too_large());
            }
        }
    }
}

/// Looks at `name` in `parent`. `is_held` knows, by device and number, the
/// databases that this process must not open and close.
pub(super) fn look(
    parent: BorrowedFd<'_>,
    name: &str,
    is_held: &dyn Fn(u64, u64) -> bool,
) -> Result<State, PathReason> {
    database::refuse_companion(parent, name, is_held)?;
    let seen = match examine(parent, name) {
        Ok(seen) => seen,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(State::Absent),
        Err(error) => return Err(reason_of(&error)),
    };
    let known =
        || is_held(seen.meta.dev, seen.meta.ino) || database::is_open_somewhere(parent, name);
    let refusal = match check(&seen.meta) {
        Ok(()) => known().then_some(PathReason::Database),
        Err(reason) => Some(reason),
    };
    if let Some(reason) = refusal {
        // On another mount that is the reason, whatever stands there.
        check_mount(parent, &seen)?;
        return Err(reason);
    }
    // Opening refuses what is on another mount by itself.
    match open_content(parent, name) {
        Ok(present) => {
            check(&present.meta)?;
            database::refuse_content(&present.file, name)?;
            Ok(State::Present(present))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Absent),
        Err(error) => Err(reason_of(&error)),
    }
}

/// Opens a file that [`examine`] has shown to be regular.
pub(super) fn open_content(parent: BorrowedFd<'_>, name: &str) -> io::Result<Present> {
    let file = File::from(open_beneath(parent, name, CONTENT, Mode::empty())?);
    let meta = FileMeta::of(file.as_fd())?;
    Ok(Present { file, meta })
}

fn check_mount(parent: BorrowedFd<'_>, seen: &Examined) -> Result<(), PathReason> {
    let mount = mount_of(parent).map_err(|error| reason_of(&error))?;
    if seen.mount == mount {
        return Ok(());
    }
    Err(PathReason::OtherFileSystem)
}

fn check(meta: &FileMeta) -> Result<(), PathReason> {
    if meta.is_symlink() {
        return Err(PathReason::Symlink);
    }
    if !meta.is_regular() {
        return Err(PathReason::NotRegular { kind: meta.kind() });
    }
    if meta.nlink > 1 {
        return Err(PathReason::HardLinked { links: meta.nlink });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::root::Root;
    use std::fs;
    use std::io::ErrorKind;

    #[test]
    fn reading_is_bounded_and_repeatable() {
        let temp = tempfile::tempdir().unwrap();
        let content = vec![b'x'; 200_000];
        fs::write(temp.path().join("f"), &content).unwrap();
        let root = Root::open(temp.path()).unwrap();
        let located = root.locate(&root.relative("f").unwrap()).unwrap();
        for _ in 0..2 {
            assert_eq!(located.read(200_000).unwrap(), content);
        }
        let refused = located.read(199_999).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
        fs::write(temp.path().join("f"), vec![b'y'; 200_001]).unwrap();
        let refused = located.read(200_000).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
        let absent = root.locate(&root.relative("g").unwrap()).unwrap();
        assert_eq!(absent.read(1).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
