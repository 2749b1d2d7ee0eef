//! What was found in a repository once, so that the next look is short.
//!
//! Owns: the file of it and its form. Promises: a file that is cut, damaged, of
//! another version or made under other settings is none, and costs a look at
//! everything. Leaves to others: whether what it says still holds (the core).
//!
//! It is written in place: a reader that comes in between finds that the sum is
//! wrong. Losing it loses time only.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;

use maasl_core::docgen::{Belief, Marked, Stamp};
use maasl_core::id::ContentHash;
use rustix::fs::{
    Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, fstat, futimens, openat,
};

use crate::platform;

/// Where it is, relative to the root.
const PATH: &str = ".maasl/docgen-manifest";
/// What it begins with; the last digits are the version of its form.
const MAGIC: &[u8; 8] = b"maaslD01";
/// The longest that is read, so that a damaged one cannot take all memory.
const BYTES_MAX: u64 = 1 << 30;

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The settings it was made under.
    pub(crate) settings: ContentHash,
    /// What decides which files there are: folders, and files of patterns. One of
    /// which nothing can be believed has to be looked at again.
    pub(crate) tree: Vec<(String, Option<Stamp>)>,
    /// The sources, in the order of their paths.
    pub(crate) sources: Vec<Source>,
}

/// A source and what is believed of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) content: Option<Belief<ContentHash>>,
    pub(crate) document: Option<Belief<Marked>>,
}

impl Source {
    /// A source of which nothing is known.
    pub(crate) fn unknown(path: String) -> Self {
        Self {
            path,
            content: None,
            document: None,
        }
    }
}

/// The manifest's file, open.
pub(crate) struct ManifestFile {
    file: File,
}

impl ManifestFile {
    /// Opens it, making it where there is none.
    pub(crate) fn open(root: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(root, PATH, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(Self { file: file.into() })
    }

    /// The file system's own time: whatever is changed from now on gets a time that
    /// is not before it.
    pub(crate) fn tick_ns(&self) -> io::Result<i64> {
        let none = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
        let touched = Timestamps {
            last_access: none(UTIME_OMIT),
            last_modification: none(UTIME_NOW),
        };
        futimens(&self.file, &touched)?;
        Ok(platform::stamp_of_stat(&fstat(self.file.as_fd())?).modified_ns)
    }

    /// What it says; nothing where it says nothing that can be used.
    pub(crate) fn load(&self, settings: ContentHash) -> io::Result<Option<Manifest>> {
        let mut bytes = Vec::new();
        (&self.file).take(BYTES_MAX).read_to_end(&mut bytes)?;
        let manifest = decode(&bytes);
        Ok(manifest.filter(|manifest| manifest.settings == settings))
    }

    /// Writes it anew.
    pub(crate) fn save(&self, manifest: &Manifest) -> io::Result<()> {
        let bytes = encode(manifest);
        self.file.write_all_at(&bytes, 0)?;
        self.file.set_len(bytes.len() as u64)
    }
}

fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + manifest.sources.len() * 192);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(manifest.settings.as_bytes());
    put_count(&mut out, manifest.tree.len());
    for (path, stamp) in &manifest.tree {
        put_text(&mut out, path);
        put_option(&mut out, *stamp, put_stamp);
    }
    put_count(&mut out, manifest.sources.len());
    for source in &manifest.sources {
        put_text(&mut out, &source.path);
        put_option(&mut out, source.content, |out, belief| {
            put_stamp(out, belief.stamp);
            out.extend_from_slice(belief.found.as_bytes());
        });
        put_option(&mut out, source.document, |out, belief| {
            put_stamp(out, belief.stamp);
            let made_from = match belief.found {
                Marked::From(source) => Some(source),
                Marked::Unmarked | Marked::Absent => None,
            };
            put_option(out, made_from, |out, source| {
                out.extend_from_slice(source.as_bytes());
            });
        });
    }
    let sum = sum(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("fewer entries than would fit into memory");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("a path has at most 4096 bytes");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_stamp(out: &mut Vec<u8>, stamp: Stamp) {
    out.extend_from_slice(&stamp.size.to_le_bytes());
    out.extend_from_slice(&stamp.modified_ns.to_le_bytes());
    out.extend_from_slice(&stamp.changed_ns.to_le_bytes());
    out.extend_from_slice(&stamp.inode.to_le_bytes());
}

fn decode(bytes: &[u8]) -> Option<Manifest> {
    let (body, trailer) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
    if sum(body).to_le_bytes() != trailer {
        return None;
    }
    let mut rest = Bytes(body);
    let manifest = rest.manifest().ok()?;
    rest.0.is_empty().then_some(manifest)
}

/// What was read is no manifest.
struct Damaged;

/// What is still to be read.
struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn manifest(&mut self) -> Result<Manifest, Damaged> {
        if self.array::<8>()? != *MAGIC {
            return Err(Damaged);
        }
        let settings = self.hash()?;
        let tree = self.list(|rest| {
            let path = rest.text()?;
            Ok((path, rest.option(Self::stamp)?))
        })?;
        let sources = self.list(Self::source)?;
        Ok(Manifest {
            settings,
            tree,
            sources,
        })
    }

    fn source(&mut self) -> Result<Source, Damaged> {
        Ok(Source {
            path: self.text()?,
            content: self.option(|rest| {
                let (stamp, found) = (rest.stamp()?, rest.hash()?);
                Ok(Belief { stamp, found })
            })?,
            document: self.option(|rest| {
                let (stamp, made_from) = (rest.stamp()?, rest.option(Self::hash)?);
                let found = made_from.map_or(Marked::Unmarked, Marked::From);
                Ok(Belief { stamp, found })
            })?,
        })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Damaged)?;
        self.0 = rest;
        Ok(*array)
    }

    fn text(&mut self) -> Result<String, Damaged> {
        let length = u16::from_le_bytes(self.array()?).into();
        let (text, rest) = self.0.split_at_checked(length).ok_or(Damaged)?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| Damaged)?;
        Ok(text.to_owned())
    }

    fn hash(&mut self) -> Result<ContentHash, Damaged> {
        Ok(ContentHash::from_bytes(self.array()?))
    }

    fn stamp(&mut self) -> Result<Stamp, Damaged> {
        Ok(Stamp {
            size: u64::from_le_bytes(self.array()?),
            modified_ns: i64::from_le_bytes(self.array()?),
            changed_ns: i64::from_le_bytes(self.array()?),
            inode: u64::from_le_bytes(self.array()?),
        })
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Damaged>,
    ) -> Result<Option<T>, Damaged> {
        match self.array()? {
            [0] => Ok(None),
            [1] => read(self).map(Some),
            [_] => Err(Damaged),
        }
    }

    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Damaged>,
    ) -> Result<Vec<T>, Damaged> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        // No entry is shorter than three bytes.
        let mut list = Vec::with_capacity(count.min(self.0.len() / 3));
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }
}

/// Tells whole files from cut and mixed ones; not meant against anybody's will.
fn sum(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut sum = bytes.len() as u64;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
        sum = (sum.rotate_left(23) ^ word).wrapping_mul(FACTOR);
    }
    for byte in words.remainder() {
        sum = (sum.rotate_left(23) ^ u64::from(*byte)).wrapping_mul(FACTOR);
    }
    sum ^ (sum >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(inode: u64) -> Stamp {
        Stamp {
            size: 3,
            modified_ns: -1,
            changed_ns: i64::MAX,
            inode,
        }
    }

    fn manifest() -> Manifest {
        let found = ContentHash::of(b"x");
        let source = |path: &str, document| Source {
            path: path.into(),
            content: Some(Belief {
                stamp: stamp(1),
                found,
            }),
            document,
        };
        let marked = |found| {
            Some(Belief {
                stamp: stamp(2),
                found,
            })
        };
        Manifest {
            settings: found,
            tree: vec![(String::new(), Some(stamp(7))), ("é".into(), None)],
            sources: vec![
                source("a.py", marked(Marked::From(found))),
                source("b.py", marked(Marked::Unmarked)),
                source("c.py", None),
                Source::unknown("d.py".into()),
            ],
        }
    }

    fn opened() -> (tempfile::TempDir, ManifestFile) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".maasl")).unwrap();
        let root = File::open(dir.path()).unwrap();
        let file = ManifestFile::open(root.as_fd()).unwrap();
        (dir, file)
    }

    #[test]
    fn what_was_saved_is_loaded_also_over_a_longer_one() {
        let (dir, file) = opened();
        let root = File::open(dir.path()).unwrap();
        let long = manifest();
        let short = Manifest {
            sources: Vec::new(),
            ..manifest()
        };
        for saved in [&long, &short, &long] {
            file.save(saved).unwrap();
            let again = ManifestFile::open(root.as_fd()).unwrap();
            let loaded = again.load(saved.settings).unwrap();
            assert_eq!(loaded.as_ref(), Some(saved));
        }
        let other = ContentHash::of(b"other settings");
        let again = ManifestFile::open(root.as_fd()).unwrap();
        assert_eq!(again.load(other).unwrap(), None);
    }

    #[test]
    fn one_that_is_cut_or_damaged_is_none() {
        let bytes = encode(&manifest());
        assert_eq!(decode(&bytes), Some(manifest()));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "cut at {length}");
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "damaged at {at}");
        }
        assert_eq!(decode(&[bytes.as_slice(), &bytes].concat()), None);
    }

    #[test]
    fn what_is_changed_after_a_tick_is_not_older_than_it() {
        let (dir, file) = opened();
        let root = File::open(dir.path()).unwrap();
        for n in 0..50 {
            let tick_ns = file.tick_ns().unwrap();
            std::fs::write(dir.path().join("f"), n.to_string()).unwrap();
            let stat = rustix::fs::statat(&root, "f", rustix::fs::AtFlags::empty()).unwrap();
            let stamp = platform::stamp_of_stat(&stat);
            assert!(!stamp.is_settled(tick_ns), "{stamp:?} at {tick_ns}");
        }
    }
}
