//! Effects on files.
//!
//! Owns: locating, reading, staging, swapping, syncing, keeping. Promises: every
//! swap reports the content it really displaced; nothing is reached through a
//! symlink; where the file system cannot exchange names, the weaker way keeps the
//! displaced bytes all the same. Leaves to others: whether a swap may happen, and
//! what a surprising answer means (the core).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use maasl_core::coordinator::io::{Done, Swapped};
use maasl_core::id::ContentHash;
use maasl_core::lease::CommitItem;
use maasl_core::path::{PathReason, PathRefusal, RelPath};

use crate::objects::Objects;
use crate::platform::{self, PlaceMode, SwapMode};
use crate::root::{Located, Root, State};
use crate::stage::{Stage, StagedName};

/// Everything of one repository that is done to files.
#[derive(Debug)]
pub struct Files {
    root: Root,
    stage: Stage,
    objects: Objects,
    max_file_bytes: u64,
    durable: bool,
}

/// Why an effect did not happen.
#[derive(Debug)]
pub enum FileFault {
    /// The path cannot be used.
    Refused(PathRefusal),
    /// The system failed.
    Io(io::Error),
}

impl FileFault {
    /// What may not be changed is told as such: to try again does not help, and no
    /// other file is to wait for it.
    fn of_a_change(self, path: &str) -> Self {
        match self {
            Self::Io(error) if is_forbidden(&error) => {
                let errno = error.to_string();
                Self::Refused(PathRefusal::new(path, PathReason::Unwritable { errno }))
            }
            other => other,
        }
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied};
    // A file system that may only be read may be written again soon: what is begun
    // waits for that.
    matches!(error.kind(), PermissionDenied | CrossesDevices)
}

impl From<PathRefusal> for FileFault {
    fn from(refusal: PathRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for FileFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<FileFault> for Done {
    fn from(fault: FileFault) -> Self {
        match fault {
            FileFault::Refused(refusal) => Self::Refused(refusal),
            FileFault::Io(error) => Self::Failed(error.to_string()),
        }
    }
}

impl Files {
    /// The files of `root`, none of them longer than `max_file_bytes`.
    #[must_use]
    pub fn new(
        root: Root,
        stage: Stage,
        objects: Objects,
        max_file_bytes: u64,
        durable: bool,
    ) -> Self {
        Self {
            root,
            stage,
            objects,
            max_file_bytes,
            durable,
        }
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The history's contents.
    #[must_use]
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The staging folders.
    #[must_use]
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Turns a path as callers write it into one relative to the root.
    pub fn relative(&self, input: &str) -> Result<String, PathRefusal> {
        Ok(self.root.relative(input)?.as_str().to_owned())
    }

    /// Reads a file whole.
    pub fn read(&self, path: &str) -> Result<Option<Arc<[u8]>>, FileFault> {
        let Some(located) = self.existing_parent(path)? else {
            return Ok(None);
        };
        match located.state {
            State::Absent => Ok(None),
            State::Present(ref present) => match located.read(self.max_file_bytes) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                    let limit_bytes = self.max_file_bytes;
                    // One that grew while it was read has more than it had.
                    let bytes = present.meta.size.max(limit_bytes.saturating_add(1));
                    let reason = PathReason::TooLarge { bytes, limit_bytes };
                    Err(PathRefusal::new(path, reason).into())
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// The hash of a file's content.
    pub fn hash(&self, path: &str) -> Result<Option<ContentHash>, FileFault> {
        Ok(self.read(path)?.map(|bytes| ContentHash::of(&bytes)))
    }

    /// Stages new content for `target`, with the permissions of `like`.
    pub fn put_stage(
        &self,
        stage: &str,
        like: &str,
        target: &str,
        content: &[u8],
        at_once: bool,
    ) -> Result<(), FileFault> {
        let at_target = self.existing_parent(target)?;
        let target_place = at_target.as_ref();
        if like == target {
            let put = self
                .stage
                .put(stage, content, target_place, target_place, at_once);
            return Ok(put?);
        }
        let like = self.existing_parent(like)?;
        let put = self
            .stage
            .put(stage, content, like.as_ref(), target_place, at_once);
        Ok(put?)
    }

    /// Makes one change visible, once its new content is on the disk.
    pub fn swap(&self, item: &CommitItem) -> Result<Swapped, FileFault> {
        if item.new.is_some() {
            self.stage.on_disk(&item.stage)?;
        }
        if item.old.is_none() {
            self.root.create_parents(&RelPath::parse(&item.path)?)?;
        }
        let changed = self.change(item, item.old.is_some(), item.new.is_some());
        changed.map_err(|fault| fault.of_a_change(&item.path))
    }

    /// Takes one change back.
    pub fn swap_back(&self, item: &CommitItem) -> Result<Swapped, FileFault> {
        let changed = self.change(item, item.new.is_some(), item.old.is_some());
        changed.map_err(|fault| fault.of_a_change(&item.path))
    }

    /// Changes what stands under the item's path, and what under its staged name.
    fn change(&self, item: &CommitItem, before: bool, after: bool) -> Result<Swapped, FileFault> {
        let Some(located) = self.existing_parent(&item.path)? else {
            return Ok(Swapped::Vanished);
        };
        let staged = self.stage.find(&item.stage)?;
        match (before, after) {
            (true, true) => exchange(&located, &staged),
            (false, true) => self.bring(&located, &staged, item),
            (true, false) => take_away(&located, &staged),
            (false, false) => Ok(Swapped::Displaced(None)),
        }
    }

    /// Brings the names of these files to the disk.
    pub fn sync_names(&self, paths: &[String]) -> Result<(), FileFault> {
        if !self.durable {
            return Ok(());
        }
        let mut folders = BTreeMap::new();
        for path in paths {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            folders.entry(folder).or_insert(path);
        }
        for path in folders.into_values() {
            match self.root.parent_of(&RelPath::parse(path)?) {
                Ok(folder) => platform::sync_dir(folder.as_fd())?,
                Err(refusal) if refusal.reason == PathReason::MissingParent => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Ok(())
    }

    /// Moves staged content into the history.
    pub fn keep(&self, stage: &str, content: &ContentHash) -> Result<(), FileFault> {
        Ok(self.objects.keep(&self.stage.path(stage)?, content)?)
    }

    /// Brings content in the history to the disk, with its name.
    pub fn sync_kept(&self, content: &ContentHash) -> io::Result<()> {
        if self.durable {
            self.objects.sync(content)?;
        }
        Ok(())
    }

    /// The file's place; nothing where its folder does not exist.
    fn existing_parent(&self, path: &str) -> Result<Option<Located>, FileFault> {
        match self.root.locate(&RelPath::parse(path)?) {
            Ok(located) => Ok(Some(located)),
            Err(refusal) if refusal.reason == PathReason::MissingParent => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Puts staged content under a name that must be free.
    fn bring(
        &self,
        located: &Located,
        staged: &StagedName,
        item: &CommitItem,
    ) -> Result<Swapped, FileFault> {
        let (dir, name) = (located.parent.as_fd(), located.name.as_str());
        match place(staged.dir.as_fd(), &staged.name, dir, name) {
            Ok(()) => Ok(Swapped::Displaced(None)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Swapped::Occupied(self.hash(&item.path)?))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Exchanges a file and its staged content.
fn exchange(located: &Located, staged: &StagedName) -> Result<Swapped, FileFault> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    match platform::swap(staged.dir.as_fd(), &staged.name, dir, name) {
        Ok(SwapMode::Exchanged) => {}
        Ok(SwapMode::Unsupported) => return replace(located, staged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Swapped::Vanished),
        Err(error) => return Err(error.into()),
    }
    Ok(Swapped::Displaced(staged.hash()?))
}

/// The weaker exchange, in three steps: the displaced file gets a second
/// name first, so that its bytes survive the rename. What an outside writer
/// puts there between the first two steps is lost; `doctor` says so where a
/// file system lacks the exchange.
fn replace(located: &Located, staged: &StagedName) -> Result<Swapped, FileFault> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    let aside = format!("{}.out", staged.name);
    let flags = rustix::fs::AtFlags::empty();
    match rustix::fs::linkat(dir, name, &staged.dir, &*aside, flags) {
        Ok(()) => {}
        Err(rustix::io::Errno::NOENT) => return Ok(Swapped::Vanished),
        Err(error) => return Err(io::Error::from(error).into()),
    }
    platform::replace(staged.dir.as_fd(), &staged.name, dir, name)?;
    platform::replace(staged.dir.as_fd(), &aside, staged.dir.as_fd(), &staged.name)?;
    Ok(Swapped::Displaced(staged.hash()?))
}

/// Moves the file to the staged name.
fn take_away(located: &Located, staged: &StagedName) -> Result<Swapped, FileFault> {
    let (dir, name) = (located.parent.as_fd(), located.name.as_str());
    match place(dir, name, staged.dir.as_fd(), &staged.name) {
        Ok(()) => Ok(Swapped::Displaced(staged.hash()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Swapped::Vanished),
        Err(error) => Err(error.into()),
    }
}

/// Moves a file to a name that must be free, in the strongest way there is.
fn place(
    from_dir: BorrowedFd<'_>,
    from_name: &str,
    to_dir: BorrowedFd<'_>,
    to_name: &str,
) -> io::Result<()> {
    match platform::place(from_dir, from_name, to_dir, to_name)? {
        PlaceMode::Placed => Ok(()),
        PlaceMode::Unsupported => platform::place_by_link(from_dir, from_name, to_dir, to_name),
    }
}
