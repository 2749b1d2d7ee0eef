//! Staged contents: new bytes on their way in, displaced bytes on their way out.
//!
//! Owns: `.maasl/stage/<session>/`. Promises: what is staged is on the disk before
//! it is swapped in (unless durability is off), carries the permissions and
//! attributes of the file it replaces, and never appears in the user's tree under
//! a name of its own. Leaves to others: swapping (`files`), and what becomes of
//! the staged files of a dead process that has open commits (the core's recovery).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use maasl_core::id::{ContentHash, SessionId};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use crate::platform;
use crate::root::{Located, State};

/// New files get the usual permissions, less what the umask takes.
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);

/// The staging folders of one repository.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    dir: OwnedFd,
    durable: bool,
}

/// A staged name: the folder of a session, open, and a name in it.
#[derive(Debug)]
pub struct StagedName {
    /// The folder.
    pub dir: OwnedFd,
    /// The name in it.
    pub name: String,
}

impl Stage {
    /// The folders in `path`, which `dir` is open on.
    #[must_use]
    pub fn new(path: PathBuf, dir: OwnedFd, durable: bool) -> Self {
        Self { path, dir, durable }
    }

    /// Makes the folder of a session, unless it is there already.
    pub fn open_session(&self, session: &SessionId) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.dir, session.as_str(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Finds a staged name of any session.
    pub fn find(&self, stage: &str) -> io::Result<StagedName> {
        let (session, name) = stage
            .split_once('/')
            .ok_or_else(|| io::Error::other("a staged name has a session and a name"))?;
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.dir, session, flags, Mode::empty())?;
        Ok(StagedName {
            dir,
            name: name.to_owned(),
        })
    }

    /// Writes new content under a new name. `like` is the file whose permissions
    /// it gets; `target` is where it will go.
    pub fn put(
        &self,
        stage: &str,
        content: &[u8],
        like: Option<&Located>,
        target: Option<&Located>,
    ) -> io::Result<()> {
        let staged = self.find(stage)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(
            &staged.dir,
            &*staged.name,
            flags,
            NEW_FILE,
        )?);
        file.write_all(content)?;
        match like.map(|located| &located.state) {
            Some(State::Present(present)) => {
                let uncopied = platform::copy_metadata(&present.file, &file)?;
                if !uncopied.is_empty() {
                    tracing::warn!(?uncopied, "not every attribute could be carried over");
                }
            }
            Some(State::Absent) | None => inherit_group(&file, target)?,
        }
        if self.durable {
            platform::sync_file(file.as_fd())?;
        }
        Ok(())
    }

    /// The hash of staged content; nothing where nothing is staged.
    pub fn hash(&self, stage: &str) -> io::Result<Option<ContentHash>> {
        let staged = match self.find(stage) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&staged.dir, &*staged.name, flags, Mode::empty()) {
            Ok(file) => {
                let mut bytes = Vec::new();
                io::Read::read_to_end(&mut File::from(file), &mut bytes)?;
                Ok(Some(ContentHash::of(&bytes)))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes staged content.
    pub fn discard(&self, stage: &str) -> io::Result<()> {
        let staged = self.find(stage)?;
        match rustix::fs::unlinkat(&staged.dir, &*staged.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The path of a staged name, for moving it into the history.
    #[must_use]
    pub fn path(&self, stage: &str) -> PathBuf {
        self.path.join(stage)
    }

    /// Every session with a folder here.
    pub fn sessions(&self) -> io::Result<BTreeSet<SessionId>> {
        let folders = std::fs::read_dir(&self.path)?;
        folders
            .map(|folder| Ok(SessionId::new(folder?.file_name().to_string_lossy())))
            .collect()
    }

    /// Removes the folder of a session and all that is in it.
    pub fn remove_session(&self, session: &SessionId) -> io::Result<()> {
        match std::fs::remove_dir_all(self.path.join(session.as_str())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// In a folder that passes on its group, a new file gets that group, though it
/// was made elsewhere.
fn inherit_group(file: &File, target: Option<&Located>) -> io::Result<()> {
    let Some(target) = target else { return Ok(()) };
    let parent = rustix::fs::fstat(&target.parent)?;
    if Mode::from_raw_mode(parent.st_mode).contains(Mode::SGID) {
        let group = rustix::fs::Gid::from_raw(parent.st_gid);
        rustix::fs::fchown(file, None, Some(group))?;
    }
    Ok(())
}
