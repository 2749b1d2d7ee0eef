//! Staged contents: new bytes on their way in, displaced bytes on their way out.
//!
//! Owns: `.maasl/stage/<session>/`. Promises: what [`Stage::on_disk`] was asked
//! about and is still there is on the disk (unless durability is off), carries the
//! permissions and attributes of the file it replaces, and never appears in the
//! user's tree under a name of its own; a displaced folder, link or file that may
//! not be read is neither opened nor removed. Leaves to others: asking before a
//! swap, and swapping (`files`, `exchange`); what becomes of the staged files of a
//! dead process that has open commits (the core's recovery).
//!
//! A content that need not be on the disk at once is synced by a thread of the
//! runtime, while the call goes on to its latches and its intent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, OnceLock};

use maasl_core::id::{ContentHash, SessionId};
use parking_lot::Mutex;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::exchange;
use crate::objects::hash_of;
use crate::platform;
use crate::root::{Located, State};
use crate::state_dir::entries;
use crate::store::clock;

/// New files get the usual permissions, less what the umask takes.
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);

/// Where what cannot be kept is put, beside the staging folders.
const ASIDE: &str = "quarantine";

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

    /// Finds a staged name of any session, and finishes an exchange of it that was
    /// cut short. For those who stage it or hold the latch of its file.
    pub fn find(&self, stage: &str) -> io::Result<StagedName> {
        let staged = self.named(stage)?;
        exchange::finish(&staged)?;
        Ok(staged)
    }

    fn named(&self, stage: &str) -> io::Result<StagedName> {
        let (session, name) = parts(stage)?;
        let dir = self.folder(session)?;
        Ok(StagedName {
            dir,
            name: name.to_owned(),
        })
    }

    /// Writes new content under a new name. `like` is the file whose permissions
    /// it gets; `folder` is where it will go, or the nearest there is above that.
    /// Unless it must be on the disk `at_once`, it is on its way there.
    pub fn put(
        &self,
        stage: &str,
        content: &[u8],
        like: Option<&Located>,
        folder: Option<BorrowedFd<'_>>,
        at_once: bool,
    ) -> io::Result<()> {
        let staged = self.named(stage)?;
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
            Some(State::Absent) | None => inherit_group(&file, folder)?,
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
            Entry::File(file) => platform::sync_file(file.as_fd()),
            // It goes back to where an outside writer had made it.
            Entry::Odd | Entry::Nothing => Ok(()),
        }
    }

    /// As [`StagedName::hash`].
    pub fn hash(&self, stage: &str) -> io::Result<Option<ContentHash>> {
        self.open(stage)?.hash()
    }

    fn open(&self, stage: &str) -> io::Result<Entry> {
        match self.find(stage) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Entry::Nothing),
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

    /// Moves what has no content to be kept to where its owner finds it. It is on
    /// the disk there, and none of it was followed or read.
    pub fn put_aside(&self, stage: &str) -> io::Result<()> {
        let from = self.path(stage)?;
        if let Err(error) = std::fs::symlink_metadata(&from) {
            // Put there by an earlier try.
            let is_gone = error.kind() == io::ErrorKind::NotFound;
            return if is_gone { Ok(()) } else { Err(error) };
        }
        let (session, name) = parts(stage)?;
        let state = self.path.parent().unwrap_or(&self.path);
        let all = state.join(ASIDE);
        // A link there would lead out of the state directory.
        if std::fs::symlink_metadata(&all).is_ok_and(|all| !all.is_dir()) {
            let told = format!("{} is no folder; remove it", all.display());
            return Err(io::Error::other(told));
        }
        let now = all.join(clock::wall_ms().to_string());
        let folder = now.join("stage").join(session);
        let mut private = std::fs::DirBuilder::new();
        private.recursive(true).mode(0o700).create(&folder)?;
        let to = folder.join(name);
        std::fs::rename(&from, &to)?;
        tracing::warn!(to = %to.display(), "what somebody put in the place of a file could not be kept as a content; it was put aside");
        if !self.durable {
            return Ok(());
        }
        for folder in folder.ancestors().take_while(|at| at.starts_with(state)) {
            platform::sync_dir(File::open(folder)?.as_fd())?;
        }
        Ok(())
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
    /// The hash of what is staged here; nothing where nothing is, and
    /// [`ContentHash::ODD`] where it has no content that could be hashed.
    pub fn hash(&self) -> io::Result<Option<ContentHash>> {
        self.open()?.hash()
    }

    /// Looks before it opens: to open a device may do something.
    fn open(&self) -> io::Result<Entry> {
        match rustix::fs::statat(&self.dir, &*self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => {}
            Ok(_) => return Ok(Entry::Odd),
            Err(Errno::NOENT) => return Ok(Entry::Nothing),
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, &*self.name, flags, Mode::empty()) {
            Ok(file) => Ok(Entry::File(File::from(file))),
            Err(Errno::ACCESS | Errno::PERM) => Ok(Entry::Odd),
            Err(Errno::NOENT) => Ok(Entry::Nothing),
            Err(error) => Err(error.into()),
        }
    }
}

/// What there is under a staged name.
#[derive(Debug)]
enum Entry {
    Nothing,
    /// What somebody outside has made in the place of a file, or may keep from being
    /// read.
    Odd,
    File(File),
}

impl Entry {
    fn hash(self) -> io::Result<Option<ContentHash>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Odd => Ok(Some(ContentHash::ODD)),
            Self::File(file) => hash_of(file).map(Some),
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
fn inherit_group(file: &File, folder: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    let folder = rustix::fs::fstat(folder)?;
    if Mode::from_raw_mode(folder.st_mode).contains(Mode::SGID) {
        let group = rustix::fs::Gid::from_raw(folder.st_gid);
        passed_on(rustix::fs::fchown(file, None, Some(group)))?;
    }
    Ok(())
}

/// Whether a group was passed on as far as it can be. The kernel gives a new file any
/// group of its folder; whoever is not in that group cannot give it afterwards.
fn passed_on(changed: Result<(), Errno>) -> io::Result<()> {
    if changed == Err(Errno::PERM) {
        tracing::warn!("the group of the folder could not be passed on to a new file");
        return Ok(());
    }
    Ok(changed?)
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
    fn a_group_that_may_not_be_given_keeps_no_file_from_being_made() {
        passed_on(Ok(())).unwrap();
        passed_on(Err(Errno::PERM)).unwrap();
        passed_on(Err(Errno::IO)).unwrap_err();
    }

    #[test]
    fn what_is_no_file_has_no_content_and_is_not_touched() {
        let (dir, stage) = stage(true);
        let at = |name: &str| dir.path().join("s").join(name);
        std::fs::write(dir.path().join("file"), "mine").unwrap();
        std::os::unix::fs::symlink("../file", at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, mode, 0).unwrap();
        for name in ["s/link", "s/folder", "s/socket", "s/pipe"] {
            assert_eq!(stage.hash(name).unwrap(), Some(ContentHash::ODD), "{name}");
            stage.on_disk(name).unwrap();
        }
        let content = std::fs::read_to_string(dir.path().join("file")).unwrap();
        assert_eq!(content, "mine");
    }

    #[test]
    fn what_is_put_aside_is_there_as_it_was() {
        let state = tempfile::tempdir().unwrap();
        let path = state.path().join("stage");
        std::fs::create_dir_all(path.join("s/folder")).unwrap();
        std::fs::write(path.join("s/folder/inner"), "mine").unwrap();
        let open = File::open(&path).unwrap();
        let stage = Stage::new(path.clone(), open.into(), true);
        for _ in 0..2 {
            stage.put_aside("s/folder").unwrap();
        }
        assert!(!path.join("s/folder").exists());
        let times: Vec<_> = std::fs::read_dir(state.path().join(ASIDE))
            .unwrap()
            .map(|time| time.unwrap().path())
            .collect();
        let [time] = &times[..] else {
            panic!("it was put aside once: {times:?}");
        };
        let inner = time.join("stage/s/folder/inner");
        assert_eq!(std::fs::read_to_string(inner).unwrap(), "mine");
    }

    #[test]
    fn discarded_content_is_forgotten() {
        let (_dir, stage) = stage(true);
        stage.put("s/a", b"a", None, None, false).unwrap();
        stage.discard("s/a").unwrap();
        assert!(stage.syncs.lock().is_empty());
    }
}
