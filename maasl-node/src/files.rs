//! Effects on files.
//!
//! Owns: locating, reading, staging, swapping, syncing, keeping. Promises: every
//! swap reports the content it really displaced; nothing is reached through a
//! symlink; of what is displaced, nothing is thrown away that is not kept already.
//! Leaves to others: the renames (`exchange`), whether a swap may happen, and what a
//! surprising answer means (the core).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::SystemTime;

use maasl_core::coordinator::io::{Done, Swapped};
use maasl_core::id::ContentHash;
use maasl_core::lease::CommitItem;
use maasl_core::path::{PathReason, PathRefusal, RelPath};
use parking_lot::Mutex;

use crate::exchange::{self, exchange, take_away};
use crate::fault::{Side, point};
use crate::objects::Objects;
use crate::platform;
use crate::root::{Located, Root, State};
use crate::stage::{Stage, StagedName};

/// How many folders a process remembers to have brought to the disk by name. Beyond
/// that it begins anew: to do it once more costs time and nothing else.
const NAMED_MAX: usize = 4_096;

/// Everything of one repository that is done to files.
#[derive(Debug)]
pub struct Files {
    root: Root,
    stage: Stage,
    objects: Objects,
    max_file_bytes: u64,
    durable: bool,
    named: Mutex<BTreeSet<Named>>,
}

/// A folder whose name is on the disk, and those of all above it: its path, what it
/// is known by, and when it was made, since a number may be used again.
type Named = (String, u64, u64, Option<SystemTime>);

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
            named: Mutex::default(),
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
        let elsewhere = if like == target {
            None
        } else {
            Some(self.existing_parent(like)?)
        };
        let like = elsewhere.as_ref().unwrap_or(&at_target).as_ref();
        let above;
        let folder = if let Some(located) = &at_target {
            located.parent.as_fd()
        } else {
            // Folders that are made below this one are made like it.
            above = self.root.nearest_above(&RelPath::parse(target)?)?;
            above.as_fd()
        };
        let put = self.stage.put(stage, content, like, Some(folder), at_once);
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
        // First of all: an earlier try may have left the file with a second name,
        // with which it is refused.
        let staged = self.stage.find(&item.stage)?;
        let Some(located) = self.existing_parent(&item.path)? else {
            return Ok(Swapped::Vanished);
        };
        point(Side::Before, "rename");
        match (before, after) {
            (true, true) => Ok(exchange(&located, &staged)?),
            (false, true) => self.bring(&located, &staged, item),
            (true, false) => Ok(take_away(&located, &staged)?),
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
            let path = RelPath::parse(path)?;
            match self.root.parent_of(&path) {
                Ok(folder) => {
                    let folder = File::from(folder);
                    platform::sync_dir(folder.as_fd())?;
                    self.sync_names_above(&path, &folder)?;
                }
                Err(refusal) if refusal.reason == PathReason::MissingParent => {}
                Err(refusal) => return Err(refusal.into()),
            }
        }
        Ok(())
    }

    /// Brings the names of the folder of a file, and of those above it, to the disk:
    /// somebody else may have made them an instant ago. Once for each folder.
    fn sync_names_above(&self, path: &RelPath, folder: &File) -> io::Result<()> {
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        let meta = folder.metadata()?;
        let named = (
            parent.to_owned(),
            meta.dev(),
            meta.ino(),
            meta.created().ok(),
        );
        if self.named.lock().contains(&named) {
            return Ok(());
        }
        self.root.sync_above(path)?;
        let mut all = self.named.lock();
        if all.len() >= NAMED_MAX {
            all.clear();
        }
        all.insert(named);
        Ok(())
    }

    /// Moves staged content into the history. What has no content is put aside.
    pub fn keep(&self, stage: &str, content: &ContentHash) -> Result<(), FileFault> {
        if !content.is_content() {
            return Ok(self.stage.put_aside(stage)?);
        }
        if self.objects.renew(content) {
            return Ok(self.give_up(stage, content)?);
        }
        Ok(self.objects.keep(&self.stage.path(stage)?, content)?)
    }

    /// Gives up a staged file whose content is kept already. Whoever has the file
    /// open may still write to it, so it is never put in the place of what is kept;
    /// and what was written already is not thrown away.
    fn give_up(&self, stage: &str, content: &ContentHash) -> io::Result<()> {
        match self.stage.hash(stage)? {
            None => Ok(()),
            Some(staged) if staged == *content => {
                // The power must not take what is kept and not what is staged.
                self.sync_kept(content)?;
                if self.objects.is_kept(content) {
                    return self.stage.discard(stage);
                }
                // Somebody has pruned it in this instant.
                self.objects.keep(&self.stage.path(stage)?, content)
            }
            Some(_) => self.stage.put_aside(stage),
        }
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
        match exchange::bring(located, staged) {
            Ok(()) => Ok(Swapped::Displaced(None)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(Swapped::Occupied(self.hash(&item.path)?))
            }
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
    use std::path::{Path, PathBuf};

    use maasl_core::id::SessionId;

    use super::*;

    /// The files of a root, with the state directory where it belongs.
    fn files(root: &Path) -> Files {
        let state = root.join(".maasl");
        fs::create_dir_all(state.join("stage")).unwrap();
        let folder = File::open(state.join("stage")).unwrap();
        let stage = Stage::new(state.join("stage"), folder.into(), true);
        stage.open_session(&SessionId::new("s")).unwrap();
        let objects = Objects::new(state.join("objects"));
        Files::new(Root::open(root).unwrap(), stage, objects, 1 << 20, true)
    }

    fn put(files: &Files, stage: &str, path: &str, content: &[u8]) {
        files.put_stage(stage, path, path, content, true).unwrap();
    }

    fn staged(root: &Path, name: &str) -> PathBuf {
        root.join(".maasl/stage/s").join(name)
    }

    #[test]
    fn a_file_in_a_new_folder_gets_the_group_that_is_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).unwrap();
        if let Err(error) = chown(&shared, None, Some(54_321)) {
            eprintln!("NOT CHECKED: groups of other users; chown: {error}");
            return;
        }
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o2770)).unwrap();
        let files = files(dir.path());
        for (stage, path) in [("s/a", "shared/f"), ("s/b", "shared/new/deep/f")] {
            put(&files, stage, path, b"x");
            let name = stage.strip_prefix("s/").unwrap();
            let group = fs::metadata(staged(dir.path(), name)).unwrap().gid();
            assert_eq!(group, 54_321, "{path}");
        }
    }

    #[test]
    fn a_whole_content_is_not_given_up_for_one_that_may_still_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let hash = ContentHash::of(b"content");
        put(&files, "s/a", "f", b"content");
        files.keep("s/a", &hash).unwrap();
        put(&files, "s/b", "f", b"content");
        let path = staged(dir.path(), "b");
        let mut writer = File::options().write(true).open(&path).unwrap();
        files.keep("s/b", &hash).unwrap();
        writer.write_all(b"late").unwrap();
        assert!(!path.exists());
        let kept = files.objects().load(&hash).unwrap();
        assert_eq!(kept.as_deref(), Some(&b"content"[..]));
        files.keep("s/b", &hash).unwrap();
    }

    #[test]
    fn what_was_written_before_it_could_be_kept_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let hash = ContentHash::of(b"content");
        put(&files, "s/a", "f", b"content");
        files.keep("s/a", &hash).unwrap();
        put(&files, "s/b", "f", b"written in the last instant");
        files.keep("s/b", &hash).unwrap();
        assert!(!staged(dir.path(), "b").exists());
        assert_eq!(files.objects().load(&hash).unwrap().unwrap(), b"content");
        let times = fs::read_dir(dir.path().join(".maasl/quarantine")).unwrap();
        let found: Vec<Vec<u8>> = times
            .map(|time| fs::read(time.unwrap().path().join("stage/s/b")).unwrap())
            .collect();
        assert_eq!(found, [b"written in the last instant"]);
    }

    #[test]
    fn a_folder_is_brought_to_the_disk_by_name_once_and_anew_if_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let folder = dir.path().join("a/b");
        let paths = ["a/b/f", "a/b/g", "top", "gone/f"].map(String::from);
        for _ in 0..2 {
            fs::create_dir_all(&folder).unwrap();
            files.sync_names(&paths).unwrap();
            files.sync_names(&paths).unwrap();
            let named = files.named.lock();
            let known: Vec<&str> = named.iter().map(|named| named.0.as_str()).collect();
            assert!(known.iter().all(|path| *path == "a/b"), "{known:?}");
            let meta = fs::metadata(&folder).unwrap();
            let is_named = named.iter().any(|named| named.2 == meta.ino());
            assert!(is_named, "{named:?}");
            drop(named);
            fs::rename(&folder, dir.path().join("aside")).unwrap();
        }
        assert_eq!(files.named.lock().len(), 2);
    }
}
