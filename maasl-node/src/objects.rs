//! The history's contents, by their hash.
//!
//! Owns: `.maasl/objects/`. Promises: what is kept is given back only if it still
//! has its hash; age and size are bounded. Leaves to others: which version had
//! which content (the store).

use std::fs::{File, Permissions};
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use maasl_core::config::HistoryLimits;
use maasl_core::id::ContentHash;

use crate::platform;

/// Owner may read; nobody may change a content that is named by its hash.
const READ_ONLY: u32 = 0o400;
const SECONDS_PER_DAY: u64 = 24 * 60 * 60;

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
        let object = self.path(content);
        // Over an object of the same name: the same bytes, unless that one was
        // damaged, and then these are the better ones.
        match std::fs::rename(file, &object) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !file.exists() {
                    // Kept by this commit's first try.
                    return Ok(());
                }
                let parent = object
                    .parent()
                    .expect("an object lies in a folder of its own");
                std::fs::create_dir_all(parent)?;
                std::fs::rename(file, &object)?;
            }
            Err(error) => return Err(error),
        }
        std::fs::set_permissions(&object, Permissions::from_mode(READ_ONLY))
    }

    /// Brings kept content to the disk, with its name; nothing is done where it is
    /// not kept.
    pub fn sync(&self, content: &ContentHash) -> io::Result<()> {
        let object = self.path(content);
        match File::open(&object) {
            Ok(file) => platform::sync_file(file.as_fd())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        for folder in object.ancestors().skip(1).take(2) {
            platform::sync_dir(File::open(folder)?.as_fd())?;
        }
        Ok(())
    }

    /// The kept content with this hash; nothing where it is not kept, or no
    /// longer what it was (an editor may still have had the file open).
    pub fn load(&self, content: &ContentHash) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.path(content)) {
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
    /// small enough. Age counts from the day a content was displaced.
    pub fn prune(&self, limits: &HistoryLimits) -> io::Result<Pruned> {
        let mut kept = self.list()?;
        kept.sort();
        let mut total_bytes: u64 = kept.iter().map(|object| object.bytes).sum();
        let max_age = Duration::from_secs(limits.max_age_days * SECONDS_PER_DAY);
        let oldest = SystemTime::now()
            .checked_sub(max_age)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let mut pruned = Pruned::default();
        for object in kept {
            if object.since >= oldest && total_bytes <= limits.max_bytes {
                break;
            }
            std::fs::remove_file(&object.path)?;
            total_bytes -= object.bytes;
            pruned.objects += 1;
            pruned.bytes += object.bytes;
        }
        Ok(pruned)
    }

    fn list(&self) -> io::Result<Vec<Kept>> {
        let mut kept = Vec::new();
        for folder in std::fs::read_dir(&self.dir)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for object in std::fs::read_dir(folder.path())? {
                let object = object?;
                let meta = object.metadata()?;
                let since_epoch = Duration::from_secs(meta.ctime().try_into().unwrap_or(0));
                kept.push(Kept {
                    since: SystemTime::UNIX_EPOCH + since_epoch,
                    path: object.path(),
                    bytes: meta.len(),
                });
            }
        }
        Ok(kept)
    }

    fn path(&self, content: &ContentHash) -> PathBuf {
        let name = content.to_string();
        let (folder, rest) = name.split_at(2);
        self.dir.join(folder).join(rest)
    }
}

/// What a pruning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// How many contents.
    pub objects: u64,
    /// Their size.
    pub bytes: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    since: SystemTime,
    path: PathBuf,
    bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(dir: &tempfile::TempDir, objects: &Objects, bytes: &[u8]) -> ContentHash {
        let file = dir.path().join("staged");
        std::fs::write(&file, bytes).unwrap();
        let hash = ContentHash::of(bytes);
        objects.keep(&file, &hash).unwrap();
        assert!(!file.exists());
        hash
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
        assert_eq!(objects.list().unwrap().len(), 4);
    }
}
