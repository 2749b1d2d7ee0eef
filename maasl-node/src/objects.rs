//! The history's contents, by their hash.
//!
//! Owns: `.maasl/objects/`, and hashing files. Promises: what is kept is given back
//! only if it still has its hash; age and size are bounded; what is kept anew while
//! others prune stays. Leaves to others: which version had which content (the store).

use std::collections::BinaryHeap;
use std::fs::{DirEntry, File, Metadata};
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use maasl_core::config::HistoryLimits;
use maasl_core::id::{ContentHash, ContentHasher};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::platform;

/// Owner may read; nobody may change a content that is named by its hash.
const READ_ONLY: Mode = Mode::RUSR;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

/// How much of a file is in memory while it is hashed.
const PIECE_BYTES: usize = 64 * 1024;

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

    /// Whether this content is kept, and whole. Its age counts from now then.
    #[must_use]
    pub fn renew(&self, content: &ContentHash) -> bool {
        // What cannot be read or renewed is better replaced.
        self.renewed(content).unwrap_or(false)
    }

    fn renewed(&self, content: &ContentHash) -> io::Result<bool> {
        let (folder, name) = place_of(content);
        let file = self.open(&folder, &name)?;
        if hash_of(&file)? != *content {
            return Ok(false);
        }
        // Who prunes goes by the time of the last change, and this is one.
        rustix::fs::fchmod(&file, READ_ONLY)?;
        // Unless it was pruned while it was read.
        Ok(rustix::fs::fstat(&file)?.st_nlink > 0)
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
        protected(protect(&folder, &name))
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
            let before = pruned;
            for object in survey.oldest.into_sorted_vec() {
                if object.since >= oldest && survey.total_bytes <= limits.max_bytes {
                    return Ok(pruned);
                }
                if object.remove()? {
                    survey.total_bytes -= object.bytes;
                    pruned.objects += 1;
                    pruned.bytes += object.bytes;
                }
            }
            if is_whole || pruned == before {
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
        let hashed = match self.open(folder, name) {
            Ok(file) => hash_of(file),
            // Pruned meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            // A link; it is no content of ours.
            Err(_) => return Ok(false),
        };
        match hashed {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(false),
            hashed => Ok(hashed?.to_string() == format!("{folder}{name}")),
        }
    }

    fn survey(&self) -> io::Result<Survey> {
        let mut survey = Survey::default();
        self.each(|object, meta| {
            // Nobody has kept a folder; `damaged` names it.
            if !meta.is_dir() {
                survey.add(object, meta);
            }
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

/// The hash of what is left to be read, however much that is.
pub(crate) fn hash_of(mut file: impl io::Read) -> io::Result<ContentHash> {
    let mut hasher = ContentHasher::default();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.hash()),
            Ok(length) => hasher.add(&piece[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a content read-only. A link is not followed, and what has another name is
/// somebody's file under that name: its rights stay.
fn protect(folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    if is_file && found.st_nlink == 1 {
        return rustix::fs::chmodat(folder, name, READ_ONLY, AtFlags::empty());
    }
    Ok(())
}

/// Whether a content was made read-only as far as it can be. One that belongs to
/// another user, such as root, may be moved by whoever owns its folder and changed by
/// its owner alone. Nothing is at risk: loading looks at the hash. One that is gone
/// was pruned.
fn protected(changed: Result<(), Errno>) -> io::Result<()> {
    match changed {
        Ok(()) | Err(Errno::PERM | Errno::NOENT) => Ok(()),
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
            state: state_of(meta),
        });
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    since: SystemTime,
    path: PathBuf,
    bytes: u64,
    state: FileState,
}

/// Which file it is, and when it was last changed, moved or renewed.
type FileState = (u64, i64, i64);

fn state_of(meta: &Metadata) -> FileState {
    (meta.ino(), meta.ctime(), meta.ctime_nsec())
}

impl Kept {
    /// Removes it, unless it was kept anew since it was looked at; whether it is
    /// gone. Another server may be at it as well.
    fn remove(&self) -> io::Result<bool> {
        match present(std::fs::symlink_metadata(&self.path))? {
            Some(meta) if state_of(&meta) != self.state => Ok(false),
            Some(_) => present(std::fs::remove_file(&self.path)).map(|_| true),
            None => Ok(true),
        }
    }
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
    fn what_is_kept_and_whole_is_renewed() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let hash = ContentHash::of(b"one");
        assert!(!objects.renew(&hash), "it is not kept");
        kept(&dir, &objects, b"one");
        let state = || state_of(&std::fs::metadata(objects.path(&hash)).unwrap());
        let before = state();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        // The kernel's clock for files ticks every few milliseconds.
        while state() == before {
            assert!(objects.renew(&hash));
            assert!(std::time::Instant::now() < deadline, "its age stays");
        }
        assert_eq!(state().0, before.0, "it is the same file");
        std::fs::set_permissions(objects.path(&hash), Permissions::from_mode(0o600)).unwrap();
        std::fs::write(objects.path(&hash), b"two").unwrap();
        assert!(!objects.renew(&hash), "it is damaged");
    }

    #[test]
    fn what_has_another_name_keeps_its_rights_and_a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("mine"), "mine").unwrap();
        std::fs::set_permissions(at("mine"), Permissions::from_mode(0o644)).unwrap();
        std::fs::hard_link(at("mine"), at("staged")).unwrap();
        objects
            .keep(&at("staged"), &ContentHash::of(b"mine"))
            .unwrap();
        symlink(at("mine"), at("staged")).unwrap();
        objects
            .keep(&at("staged"), &ContentHash::of(b"link"))
            .unwrap();
        let mode = std::fs::metadata(at("mine")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
    }

    #[test]
    fn what_is_kept_anew_while_others_prune_stays() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let anew = kept(&dir, &objects, b"anew");
        let old = kept(&dir, &objects, b"old");
        let survey = objects.survey().unwrap();
        kept(&dir, &objects, b"anew");
        let removed: Vec<bool> = survey
            .oldest
            .into_iter()
            .map(|object| object.remove().unwrap())
            .collect();
        assert_eq!(removed.iter().filter(|removed| **removed).count(), 1);
        assert!(objects.is_kept(&anew) && !objects.is_kept(&old));
    }

    #[test]
    fn a_folder_among_contents_does_not_end_the_pruning() {
        let dir = tempfile::tempdir().unwrap();
        let objects = Objects::new(dir.path().join("objects"));
        let one = kept(&dir, &objects, b"one");
        let folder = objects.path(&one).with_file_name("folder");
        std::fs::create_dir(&folder).unwrap();
        let limits = HistoryLimits {
            max_bytes: 0,
            ..HistoryLimits::default()
        };
        assert_eq!(objects.prune(&limits).unwrap().objects, 1);
        assert!(folder.exists() && !objects.is_kept(&one));
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
