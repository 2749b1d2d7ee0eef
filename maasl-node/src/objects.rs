//! The history's contents, by their hash.
//!
//! Owns: `.maasl/objects/`. Promises: what is kept is given back only if it still
//! has its hash; age and size are bounded. Leaves to others: which version had
//! which content (the store).

use std::collections::BinaryHeap;
use std::fs::{DirEntry, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use maasl_core::config::HistoryLimits;
use maasl_core::id::ContentHash;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;

use crate::platform;

/// Owner may read; nobody may change a content that is named by its hash.
const READ_ONLY: Mode = Mode::RUSR;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// How many contents a pruning has in memory at once. Allocators keep what was once
/// needed, so that a server would grow by all that is kept.
const OLDEST_MAX: usize = 1_024;

/// The contents of one repository.
#[derive(Debug)]
pub struct Objects {
    dir: PathBuf,
}

impl Objects {
    /// The contents in `dir`.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Moves a file whose content has this hash into the history.
    pub fn keep(&self, file: &Path, content: &ContentHash) -> io::Result<()> {
        let (folder, name) = place_of(content);
        let folder = match self.folder(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(self.dir.join(&folder))?;
                self.folder(&folder)?
            }
            found => found?,
        };
        // Over an object of the same name: the same bytes, unless that one was
        // damaged, and then these are the better ones.
        match rustix::fs::renameat(CWD, file, &folder, &*name) {
            Ok(()) => {}
            // Kept by this commit's first try.
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        protected(rustix::fs::chmodat(
            &folder,
            &*name,
            READ_ONLY,
            AtFlags::empty(),
        ))
    }

    /// Brings kept content to the disk, with its name; nothing is done where it is
    /// not kept.
    pub fn sync(&self, content: &ContentHash) -> io::Result<()> {
        let (folder, name) = place_of(content);
        match self.open(&folder, &name) {
            Ok(file) => platform::sync_file(file.as_fd())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        platform::sync_dir(self.folder(&folder)?.as_fd())?;
        platform::sync_dir(File::open(&self.dir)?.as_fd())
    }

    /// The kept content with this hash; nothing where it is not kept, or no
    /// longer what it was (an editor may still have had the file open).
    pub fn load(&self, content: &ContentHash) -> io::Result<Option<Vec<u8>>> {
        let (folder, name) = place_of(content);
        let mut bytes = Vec::new();
        match self.open(&folder, &name) {
            Ok(mut file) => file.read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok((ContentHash::of(&bytes) == *content).then_some(bytes))
    }

    /// Whether a content is kept, without reading it.
    #[must_use]
    pub fn is_kept(&self, content: &ContentHash) -> bool {
        self.path(content).exists()
    }

    /// Removes what is older than allowed, then the oldest until the rest is
    /// small enough. Age counts from the day a content was displaced. However much
    /// is kept, only so many of the oldest are in memory at once.
    pub fn prune(&self, limits: &HistoryLimits) -> io::Result<Pruned> {
        let max_age = Duration::from_secs(limits.max_age_days * SECONDS_PER_DAY);
        let oldest = SystemTime::now()
            .checked_sub(max_age)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let mut pruned = Pruned::default();
        loop {
            let mut survey = self.survey()?;
            let is_whole = survey.oldest.len() < OLDEST_MAX;
            for object in survey.oldest.into_sorted_vec() {
                if object.since >= oldest && survey.total_bytes <= limits.max_bytes {
                    return Ok(pruned);
                }
                // Another server may be at it.
                present(std::fs::remove_file(&object.path))?;
                survey.total_bytes -= object.bytes;
                pruned.objects += 1;
                pruned.bytes += object.bytes;
            }
            if is_whole {
                return Ok(pruned);
            }
        }
    }

    /// Kept contents that no longer have their hash. Reads all of them.
    pub fn damaged(&self) -> io::Result<Vec<PathBuf>> {
        let mut damaged = Vec::new();
        self.each(|object, _| {
            let path = object.path();
            let below = path.strip_prefix(&self.dir).ok();
            let named = below
                .and_then(Path::to_str)
                .and_then(|name| name.split_once('/'));
            let is_whole = match named {
                Some((folder, name)) => self.is_whole(folder, name)?,
                None => false,
            };
            if !is_whole {
                damaged.push(path);
            }
            Ok(())
        })?;
        Ok(damaged)
    }

    /// A folder of contents; never through a link, which a repository may bring.
    fn folder(&self, name: &str) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.dir.join(name), flags, Mode::empty())?)
    }

    fn open(&self, folder: &str, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(self.folder(folder)?, name, flags, Mode::empty())?;
        Ok(File::from(file))
    }

    /// Whether a content has the hash that it is named by, or is no longer there.
    fn is_whole(&self, folder: &str, name: &str) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let read = match self.open(folder, name) {
            Ok(mut file) => file.read_to_end(&mut bytes),
            // Pruned meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            // A link; it is no content of ours.
            Err(_) => return Ok(false),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => return Ok(false),
            read => read?,
        };
        Ok(ContentHash::of(&bytes).to_string() == format!("{folder}{name}"))
    }

    fn survey(&self) -> io::Result<Survey> {
        let mut survey = Survey::default();
        self.each(|object, meta| {
            survey.add(object, meta);
            Ok(())
        })?;
        Ok(survey)
    }

    /// Shows every kept content, in no order.
    fn each(&self, mut show: impl FnMut(&DirEntry, &Metadata) -> io::Result<()>) -> io::Result<()> {
        for folder in std::fs::read_dir(&self.dir)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for object in std::fs::read_dir(folder.path())? {
                let object = object?;
                if let Some(meta) = present(object.metadata())? {
                    show(&object, &meta)?;
                }
            }
        }
        Ok(())
    }

    fn path(&self, content: &ContentHash) -> PathBuf {
        let (folder, name) = place_of(content);
        self.dir.join(folder).join(name)
    }
}

/// Whether a content was made read-only as far as it can be. One that belongs to
/// another user, such as root, may be moved by whoever owns its folder and changed by
/// its owner alone. Nothing is at risk: loading looks at the hash.
fn protected(changed: Result<(), Errno>) -> io::Result<()> {
    match changed {
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What was found, unless it was removed meanwhile.
fn present<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

/// The folder of a content, and its name there.
fn place_of(content: &ContentHash) -> (String, String) {
    let mut folder = content.to_string();
    let name = folder.split_off(2);
    (folder, name)
}

/// What a pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many contents.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
}

/// How much is kept, and the oldest of it.
#[derive(Default)]
struct Survey {
    total_bytes: u64,
    oldest: BinaryHeap<Kept>,
}

impl Survey {
    fn add(&mut self, object: &DirEntry, meta: &Metadata) {
        self.total_bytes += meta.len();
        let since_epoch = Duration::from_secs(meta.ctime().try_into().unwrap_or(0));
        let since = SystemTime::UNIX_EPOCH + since_epoch;
        if self.oldest.len() == OLDEST_MAX {
            if self
                .oldest
                .peek()
                .is_some_and(|newest| newest.since <= since)
            {
                return;
            }
            self.oldest.pop();
        }
        self.oldest.push(Kept {
            since,
            path: object.path(),
            bytes: meta.len(),
        });
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    since: SystemTime,
    path: PathBuf,
    bytes: u64,
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn kept(dir: &tempfile::TempDir, objects: &Objects, bytes: &[u8]) -> ContentHash {
        let file = dir.path().join("staged");
        std::fs::write(&file, bytes).unwrap();
        let hash = ContentHash::of(bytes);
        objects.keep(&file, &hash).unwrap();
        assert!(!file.exists());
        hash
    }

    fn count(objects: &Objects) -> usize {
        let mut count = 0;
        let counted = objects.each(|_, _| {
            count += 1;
            Ok(())
        });
        counted.unwrap();
        count
    }

    #[test]
    fn a_content_is_given_back_by_its_hash_and_kept_once() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let hash = kept(&dir, &objects, b"one");
        assert_eq!(kept(&dir, &objects, b"one"), hash);
        assert_eq!(objects.load(&hash).unwrap().unwrap(), b"one");
        assert_eq!(objects.load(&ContentHash::of(b"two")).unwrap(), None);
    }

    #[test]
    fn a_content_of_another_owner_is_kept() {
        protected(Ok(())).unwrap();
        protected(Err(Errno::PERM)).unwrap();
        protected(Err(Errno::IO)).unwrap_err();
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let hash = kept(&dir, &objects, b"one");
        let meta = std::fs::metadata(objects.path(&hash)).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o400);
    }

    #[test]
    fn a_content_that_changed_is_not_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let hash = kept(&dir, &objects, b"one");
        let path = objects.path(&hash);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, b"two").unwrap();
        assert_eq!(objects.load(&hash).unwrap(), None);
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let kept_one = kept(&dir, &objects, b"one");
        std::fs::rename(objects.path(&kept_one), outside.join("one")).unwrap();
        symlink(outside.join("one"), objects.path(&kept_one)).unwrap();
        objects.load(&kept_one).unwrap_err();
        assert_eq!(objects.damaged().unwrap(), [objects.path(&kept_one)]);
        let two = ContentHash::of(b"two");
        symlink(&outside, objects.path(&two).parent().unwrap()).unwrap();
        let file = dir.path().join("staged");
        std::fs::write(&file, b"two").unwrap();
        objects.keep(&file, &two).unwrap_err();
        assert_eq!(std::fs::read(&file).unwrap(), b"two", "and it is not lost");
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn what_is_damaged_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        kept(&dir, &objects, b"one");
        let two = kept(&dir, &objects, b"two");
        assert_eq!(objects.damaged().unwrap(), Vec::<PathBuf>::new());
        std::fs::set_permissions(objects.path(&two), Permissions::from_mode(0o600)).unwrap();
        std::fs::write(objects.path(&two), b"tw").unwrap();
        assert_eq!(objects.damaged().unwrap(), [objects.path(&two)]);
        let folder = objects.path(&two).with_file_name("folder");
        std::fs::create_dir(&folder).unwrap();
        let mut damaged = objects.damaged().unwrap();
        damaged.sort();
        let mut expected = [objects.path(&two), folder];
        expected.sort();
        assert_eq!(damaged, expected);
    }

    #[test]
    fn servers_that_prune_at_once_do_not_fail() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        for n in 0..400_u16 {
            kept(&dir, &objects, &n.to_be_bytes());
        }
        let limits = HistoryLimits {
            max_bytes: 0,
            ..HistoryLimits::default()
        };
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            let prune = || {
                start.wait();
                objects.prune(&limits)
            };
            let pruning = [(); 4].map(|()| scope.spawn(prune));
            for thread in pruning {
                thread.join().unwrap().unwrap();
            }
        });
        assert_eq!(count(&objects), 0);
    }

    #[test]
    fn pruning_bounds_the_size() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        for n in 0..10_u8 {
            kept(&dir, &objects, &[n; 100]);
        }
        let limits = HistoryLimits {
            max_bytes: 450,
            ..HistoryLimits::default()
        };
        assert_eq!(
            objects.prune(&limits).unwrap(),
            Pruned {
                objects: 6,
                bytes: 600
            }
        );
        assert_eq!(count(&objects), 4);
    }

    #[test]
    fn pruning_goes_on_where_more_is_kept_than_it_looks_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let all = u16::try_from(2 * OLDEST_MAX + 10).unwrap();
        for n in 0..all {
            kept(&dir, &objects, &n.to_be_bytes());
        }
        let limits = HistoryLimits {
            max_bytes: 6,
            ..HistoryLimits::default()
        };
        let pruned = objects.prune(&limits).unwrap();
        assert_eq!(pruned.objects, u64::from(all) - 3);
        assert_eq!(count(&objects), 3);
    }
}
