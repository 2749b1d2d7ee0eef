//! Staged contents: new bytes on their way in, displaced bytes on their way out.
//!
//! Owns: `.maasl/stage/<session>/`. Promises: what [`Stage::on_disk`] was asked
//! about and is still there is on the disk (unless durability is off), carries the
//! permissions and attributes of the file it replaces, and never appears in the
//! user's tree under a name of its own. Leaves to others: asking before a swap, and
//! swapping (`files`); what becomes of the staged files of a dead process that has
//! open commits (the core's recovery).
//!
//! A content that need not be on the disk at once is synced by a thread of the
//! runtime, while the call goes on to its latches and its intent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};

use maasl_core::id::{ContentHash, SessionId};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::platform;
use crate::root::{Located, State};
use crate::state_dir::entries;

/// New files get the usual permissions, less what the umask takes.
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);

/// The staging folders of one repository.
#[derive(Debug)]
pub struct Stage {
    path: PathBuf,
    dir: OwnedFd,
    durable: bool,
    /// The session of this process, and its folder.
    own: OnceLock<(SessionId, Arc<OwnedFd>)>,
    syncs: Mutex<BTreeMap<String, Sync>>,
}

/// How far a content that this process staged is on its way to the disk.
#[derive(Debug)]
enum Sync {
    Done,
    UnderWay(Receiver<io::Result<()>>),
}

/// A staged name: the folder of a session, open, and a name in it.
#[derive(Debug)]
pub struct StagedName {
    /// The folder.
    pub dir: Arc<OwnedFd>,
    /// The name in it.
    pub name: String,
}

impl Stage {
    /// The folders in `path`, which `dir` is open on.
    #[must_use]
    pub fn new(path: PathBuf, dir: OwnedFd, durable: bool) -> Self {
        Self {
            path,
            dir,
            durable,
            own: OnceLock::new(),
            syncs: Mutex::default(),
        }
    }

    /// Makes the folder of this process's session, unless it is there already,
    /// and keeps it open.
    pub fn open_session(&self, session: &SessionId) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.dir, session.as_str(), Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let dir = self.open_folder(session.as_str())?;
        if self.durable {
            platform::sync_dir(self.dir.as_fd())?;
        }
        self.own.get_or_init(|| (session.clone(), Arc::new(dir)));
        Ok(())
    }

    fn open_folder(&self, session: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.dir, session, flags, Mode::empty());
        Ok(opened?)
    }

    /// The folder of a session: this process's own is open already.
    fn folder(&self, session: &str) -> io::Result<Arc<OwnedFd>> {
        match self.own.get() {
            Some((own, dir)) if own.as_str() == session => Ok(Arc::clone(dir)),
            _ => self.open_folder(session).map(Arc::new),
        }
    }

    /// Finds a staged name of any session.
    pub fn find(&self, stage: &str) -> io::Result<StagedName> {
        let (session, name) = parts(stage)?;
        let dir = self.folder(session)?;
        Ok(StagedName {
            dir,
            name: name.to_owned(),
        })
    }

    /// Writes new content under a new name. `like` is the file whose permissions
    /// it gets; `target` is where it will go. Unless it must be on the disk
    /// `at_once`, it is on its way there.
    pub fn put(
        &self,
        stage: &str,
        content: &[u8],
        like: Option<&Located>,
        target: Option<&Located>,
        at_once: bool,
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
            let sync = begin_sync(file, at_once)?;
            self.syncs.lock().insert(stage.to_owned(), sync);
        }
        Ok(())
    }

    /// Waits until staged content is on the disk; what somebody else has staged
    /// is brought there. Content whose sync failed is removed, so that recovery
    /// does not find it: the kernel may report success the next time, though it
    /// has dropped the bytes. That of a set was on the disk before its intent.
    pub fn on_disk(&self, stage: &str) -> io::Result<()> {
        if !self.durable {
            return Ok(());
        }
        let known = self.syncs.lock().remove(stage);
        let end = match known {
            Some(Sync::Done) => return Ok(()),
            Some(Sync::UnderWay(end)) => end,
            None => return self.sync_found(stage),
        };
        let lost = || io::Error::other("a sync did not come to its end");
        let synced = end.recv().map_err(|_| lost()).flatten();
        if synced.is_err() {
            self.discard(stage)?;
        }
        synced
    }

    /// Brings these names to the disk.
    pub fn sync_names(&self, stages: &[String]) -> io::Result<()> {
        if !self.durable {
            return Ok(());
        }
        let folder = |stage: &String| stage.split_once('/').map(|(session, _)| session.to_owned());
        let sessions: BTreeSet<String> = stages.iter().filter_map(folder).collect();
        for session in sessions {
            platform::sync_dir(self.folder(&session)?.as_fd())?;
        }
        Ok(())
    }

    fn sync_found(&self, stage: &str) -> io::Result<()> {
        match self.open(stage)? {
            Some(file) => platform::sync_file(file.as_fd()),
            None => Ok(()),
        }
    }

    /// The hash of staged content; nothing where nothing is staged.
    pub fn hash(&self, stage: &str) -> io::Result<Option<ContentHash>> {
        self.open(stage)?.map(hash_of).transpose()
    }

    fn open(&self, stage: &str) -> io::Result<Option<File>> {
        match self.find(stage) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            staged => staged?.open(),
        }
    }

    /// Removes staged content.
    pub fn discard(&self, stage: &str) -> io::Result<()> {
        self.syncs.lock().remove(stage);
        let staged = self.find(stage)?;
        match rustix::fs::unlinkat(&staged.dir, &*staged.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The path of a staged name, for moving it into the history.
    pub fn path(&self, stage: &str) -> io::Result<PathBuf> {
        let (session, name) = parts(stage)?;
        Ok(self.path.join(session).join(name))
    }

    /// Every session with a folder here.
    pub fn sessions(&self) -> io::Result<BTreeSet<SessionId>> {
        entries::sessions(self.dir.as_fd(), FileType::Directory)
    }

    /// Removes the folder of a session and all that is in it.
    pub fn remove_session(&self, session: &SessionId) -> io::Result<()> {
        let name = entries::plain(session.as_str())?;
        match std::fs::remove_dir_all(self.path.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl StagedName {
    /// The hash of what is staged here; nothing where nothing is.
    pub fn hash(&self) -> io::Result<Option<ContentHash>> {
        self.open()?.map(hash_of).transpose()
    }

    fn open(&self) -> io::Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, &*self.name, flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The session and the name in its folder.
fn parts(stage: &str) -> io::Result<(&str, &str)> {
    let (session, name) = stage
        .split_once('/')
        .ok_or_else(|| io::Error::other("a staged name has a session and a name"))?;
    Ok((entries::plain(session)?, entries::plain(name)?))
}

fn hash_of(mut file: File) -> io::Result<ContentHash> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut file, &mut bytes)?;
    Ok(ContentHash::of(&bytes))
}

/// Syncs a file: at once, or on another thread. Without a runtime there is none.
fn begin_sync(file: File, at_once: bool) -> io::Result<Sync> {
    let elsewhere = tokio::runtime::Handle::try_current();
    let (false, Ok(elsewhere)) = (at_once, elsewhere) else {
        platform::sync_file(file.as_fd())?;
        return Ok(Sync::Done);
    };
    let (ended, end) = sync_channel(1);
    elsewhere.spawn_blocking(move || {
        // Nobody waits for the sync of a content that was discarded.
        let _ = ended.send(platform::sync_file(file.as_fd()));
    });
    Ok(Sync::UnderWay(end))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(durable: bool) -> (tempfile::TempDir, Stage) {
        let dir = tempfile::tempdir().unwrap();
        let open = File::open(dir.path()).unwrap();
        let stage = Stage::new(dir.path().into(), open.into(), durable);
        stage.open_session(&SessionId::new("s")).unwrap();
        (dir, stage)
    }

    #[test]
    fn content_is_brought_to_the_disk_meanwhile_or_at_once() {
        let (_dir, stage) = stage(true);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let _inside = runtime.enter();
        stage.put("s/a", b"a", None, None, false).unwrap();
        stage.put("s/b", b"b", None, None, true).unwrap();
        let is_under_way = |name| match stage.syncs.lock().get(name) {
            Some(Sync::UnderWay(_)) => true,
            Some(Sync::Done) => false,
            None => panic!("{name} is not known"),
        };
        assert!(is_under_way("s/a") && !is_under_way("s/b"));
        for (name, content) in [("s/a", b"a"), ("s/b", b"b")] {
            stage.on_disk(name).unwrap();
            assert_eq!(stage.hash(name).unwrap(), Some(ContentHash::of(content)));
        }
        assert!(stage.syncs.lock().is_empty());
        stage.on_disk("s/a").unwrap();
        stage.on_disk("s/missing").unwrap();
        stage.on_disk("gone/x").unwrap();
    }

    #[test]
    fn content_that_did_not_reach_the_disk_is_not_found_again() {
        let (_dir, stage) = stage(true);
        stage.put("s/a", b"a", None, None, true).unwrap();
        let (ended, end) = sync_channel(1);
        ended.send(Err(Errno::IO.into())).unwrap();
        stage.syncs.lock().insert("s/a".into(), Sync::UnderWay(end));
        let failed = stage.on_disk("s/a").unwrap_err();
        assert_eq!(Errno::from_io_error(&failed), Some(Errno::IO));
        assert_eq!(stage.hash("s/a").unwrap(), None);
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_followed() {
        let (dir, stage) = stage(true);
        std::fs::write(dir.path().join("file"), "mine").unwrap();
        for name in ["s/../file", "../file", "s/..", "/file", "s//file", "file"] {
            stage.put(name, b"x", None, None, true).unwrap_err();
            stage.hash(name).unwrap_err();
            stage.discard(name).unwrap_err();
            stage.path(name).unwrap_err();
        }
        for name in ["..", ".", "", "s/../.."] {
            stage.remove_session(&SessionId::new(name)).unwrap_err();
        }
        let content = std::fs::read_to_string(dir.path().join("file")).unwrap();
        assert_eq!(content, "mine");
    }

    #[test]
    fn discarded_content_is_forgotten() {
        let (_dir, stage) = stage(true);
        stage.put("s/a", b"a", None, None, false).unwrap();
        stage.discard("s/a").unwrap();
        assert!(stage.syncs.lock().is_empty());
    }
}
