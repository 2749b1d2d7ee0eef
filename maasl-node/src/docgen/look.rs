//! Looking at files, and reading those about which nothing is known.
//!
//! Owns: the order of it: the stamp first, the content only where no belief holds.
//! Promises: a belief is made only of a file that had not been changed since the
//! tick in which the look began. Leaves to others: which beliefs hold (the core),
//! and remembering them (`manifest`).

mod way;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use maasl_core::docgen::header::HEAD_BYTES_MAX;
use maasl_core::docgen::layout::SUFFIX;
use maasl_core::docgen::{Belief, DocgenSettings, Freshness, Marked};
use maasl_core::id::ContentHash;
use parking_lot::Mutex;
use rustix::fs::Dir;
use rustix::io::Errno;

use super::claims;
use super::manifest::Source;
use crate::root::Root;

pub(crate) use way::{Way, stamp_at};

/// Threads that look; the machine's disk and caches serve two as well as one.
const THREADS: usize = 2;
/// Sources that a thread takes at once.
const SHARE: usize = 64;

/// What is needed to look at any file.
#[derive(Clone, Copy)]
pub(crate) struct Looker<'a> {
    pub(crate) root: &'a Root,
    pub(crate) settings: &'a DocgenSettings,
    /// The longest source, in bytes.
    pub(crate) max_bytes: u64,
    /// The file system's time when the look began.
    pub(crate) tick_ns: i64,
    /// What is in the document root, where that was listed: most sources without a
    /// document are then known to have none.
    pub(crate) listing: Option<&'a Listing>,
}

/// What a thread has before it while it looks at one source after the other.
pub(crate) struct Desk<'a> {
    buffer: Vec<u8>,
    sources: Way<'a>,
    documents: Way<'a>,
}

/// The names in a folder.
pub(crate) struct Listing {
    names: Vec<String>,
    /// Whether one of them may be that of a document.
    has_documents: bool,
}

/// What a look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// How the document stands.
    Known(Freshness),
    /// The source has gone.
    Gone,
    /// It cannot be read.
    Unreadable(String),
}

impl Looker<'_> {
    /// Looks at all sources and renews what is believed of them. What each look came
    /// to, in their order, and whether anything new is believed.
    pub(crate) fn all(self, sources: &mut [Source]) -> (Vec<Look>, bool) {
        let learnt = AtomicBool::new(false);
        let mut looks = vec![Look::Gone; sources.len()];
        let shares = sources.chunks_mut(SHARE).zip(looks.chunks_mut(SHARE));
        let shares = Mutex::new(shares);
        let work = || {
            let mut desk = self.desk();
            loop {
                let share = shares.lock().next();
                let Some((sources, looks)) = share else {
                    return;
                };
                for (source, look) in sources.iter_mut().zip(looks) {
                    let before = (source.content, source.document);
                    *look = self.one(source, &mut desk);
                    if before != (source.content, source.document) {
                        learnt.store(true, Ordering::Relaxed);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..THREADS {
                scope.spawn(work);
            }
            work();
        });
        (looks, learnt.into_inner())
    }

    /// A desk on which nothing lies yet.
    pub(crate) fn desk(&self) -> Desk<'_> {
        Desk {
            buffer: Vec::new(),
            sources: Way::new(self.root),
            documents: Way::new(self.root),
        }
    }

    /// Looks at one source.
    pub(crate) fn one(&self, source: &mut Source, desk: &mut Desk<'_>) -> Look {
        match self.freshness(source, desk) {
            Ok(look) => look,
            Err(error) => {
                source.content = None;
                source.document = None;
                Look::Unreadable(error.to_string())
            }
        }
    }

    fn freshness(&self, source: &mut Source, desk: &mut Desk<'_>) -> io::Result<Look> {
        let Some(content) = self.content(source, desk)? else {
            return Ok(Look::Gone);
        };
        if self.has_none(&source.path) {
            source.document = None;
            return Ok(Look::Known(Freshness::Missing));
        }
        let settings = self.settings;
        let place = settings.layout.place(&settings.root, &source.path);
        let marked = self.marked(&place, &mut source.document, desk)?;
        if marked == Marked::Absent && self.is_elsewhere(&source.path, content, desk)? {
            return Ok(Look::Known(Freshness::Fresh));
        }
        Ok(Look::Known(marked.against(content)))
    }

    fn content(&self, source: &mut Source, desk: &mut Desk<'_>) -> io::Result<Option<ContentHash>> {
        if let Some(belief) = source.content {
            let Some(stamp) = desk.sources.stamp_of_file(&source.path)? else {
                return Ok(None);
            };
            if let Some(believed) = belief.holds_for(&stamp) {
                return Ok(Some(believed));
            }
        }
        let Some((file, stamp)) = desk.sources.open(&source.path)? else {
            return Ok(None);
        };
        if stamp.size > self.max_bytes {
            let max = self.max_bytes;
            return Err(io::Error::other(format!("has more than {max} bytes")));
        }
        read(&file, stamp.size, usize::MAX, &mut desk.buffer)?;
        let found = ContentHash::of(&desk.buffer);
        source.content = Belief::sound(stamp, found, self.tick_ns);
        Ok(Some(found))
    }

    /// What the document at `place` says, from its start.
    fn marked(
        &self,
        place: &str,
        belief: &mut Option<Belief<Marked>>,
        desk: &mut Desk<'_>,
    ) -> io::Result<Marked> {
        let before = belief.take();
        if !self.may_exist(place) {
            return Ok(Marked::Absent);
        }
        if let Some(before) = before {
            let Some(stamp) = desk.documents.stamp_of_file(place)? else {
                return Ok(Marked::Absent);
            };
            if let Some(believed) = before.holds_for(&stamp) {
                *belief = Some(before);
                return Ok(believed);
            }
        }
        let Some((file, stamp)) = desk.documents.open(place)? else {
            return Ok(Marked::Absent);
        };
        read(&file, stamp.size, HEAD_BYTES_MAX, &mut desk.buffer)?;
        let found = Marked::of(&desk.buffer);
        *belief = Belief::sound(stamp, found, self.tick_ns);
        Ok(found)
    }

    /// Whether a source can have no document, wherever tools put them: in a folder
    /// named as its own, or flat.
    fn has_none(&self, source: &str) -> bool {
        let first = source.split('/').next().unwrap_or_default();
        self.listing
            .is_some_and(|listing| !listing.has_documents && !listing.has(first))
    }

    /// Whether there may be anything at a place below the document root.
    fn may_exist(&self, place: &str) -> bool {
        let below = place
            .get(self.settings.root.len() + 1..)
            .unwrap_or_default();
        let first = below.split('/').next().unwrap_or_default();
        self.listing.is_none_or(|listing| listing.has(first))
    }

    /// Whether the source has a document in another place that was made from this
    /// content.
    fn is_elsewhere(
        &self,
        source: &str,
        content: ContentHash,
        desk: &mut Desk<'_>,
    ) -> io::Result<bool> {
        let settings = self.settings;
        for place in settings.layout.elsewhere(&settings.root, source) {
            let marked = self.marked(&place.path, &mut None, desk)?;
            if marked != Marked::From(content) {
                continue;
            }
            let others = match &place.shared_as {
                Some(name) => claims::claimants(self.root.dir(), name)?,
                None => Vec::new(),
            };
            if others.iter().all(|other| other == source) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Listing {
    /// The names in `folder`; none where there is no such folder.
    pub(crate) fn of(root: BorrowedFd<'_>, folder: &str) -> io::Result<Self> {
        let mut names = Vec::new();
        if let Some(opened) = way::open_folder(root, folder, folder)? {
            for entry in Dir::new(opened)? {
                // No path that anybody can name leads to what is not UTF-8.
                let name = entry?.file_name().to_str().ok().map(str::to_owned);
                names.extend(name);
            }
        }
        names.sort_unstable();
        let has_documents = names.iter().any(|name| name.ends_with(SUFFIX));
        Ok(Self {
            names,
            has_documents,
        })
    }

    fn has(&self, name: &str) -> bool {
        let at = self.names.binary_search_by(|one| one.as_str().cmp(name));
        at.is_ok()
    }
}

/// Reads a file, or its first `max` bytes, into `buffer`. `size` is how long it is
/// taken to be.
fn read(file: &OwnedFd, size: u64, max: usize, buffer: &mut Vec<u8>) -> io::Result<()> {
    let expected = usize::try_from(size).unwrap_or(usize::MAX).min(max);
    // Room for one byte more shows at once that the file has not grown.
    buffer.resize(expected.saturating_add(1).min(max), 0);
    let mut length = 0;
    while length < buffer.len() {
        match rustix::io::read(file, &mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        if length == expected {
            break;
        }
        if length == buffer.len() && length < max {
            buffer.resize(length.saturating_mul(2).min(max), 0);
        }
    }
    buffer.truncate(length);
    Ok(())
}
