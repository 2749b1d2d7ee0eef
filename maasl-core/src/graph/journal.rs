//! The journal of a graph: its patches, in the order in which they were appended.
//!
//! Owns: what a store keeps of a graph, as plain data, and how a reader says how
//! far it has come. Promises: a place in a journal is never given to two patches;
//! a reader that names a place and the patch it found there cannot mistake one
//! journal for another, or for an older copy of it. Leaves to others: what may be
//! done to a journal (`lease::journal`), and what patches amount to (`state`).
//!
//! The order of a journal decides nothing: a graph is what its set of patches
//! says. It is there so that a reader can go on from where it was.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::patch::PatchId;
use super::seen::Seen;

/// Most bytes of patches in one part of a journal, unless its first alone has
/// more.
pub const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most patches in one part of a journal.
pub const PART_ENTRIES_MAX: usize = 1_000;

/// How far a reader has come. The default is before the first patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor {
    /// The place of the last patch read, counted from 1.
    pub place: u64,
    /// The patch found there.
    pub patch: Option<PatchId>,
}

/// What a store knows about a graph, beside its patches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The name of the graph.
    pub graph: String,
    /// The number that the next patch made here gets.
    pub next_counter: u64,
    /// The last patch.
    pub end: Cursor,
    /// The last patch that the checkpoint stands for; the entries up to it are
    /// gone.
    pub kept: Cursor,
    /// All patches, those that the checkpoint stands for too.
    pub have: Seen,
    /// Bytes of the patches after the checkpoint.
    pub bytes: u64,
    /// Bytes of the checkpoint.
    pub checkpoint_bytes: u64,
}

/// A patch in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place, counted from 1.
    pub place: u64,
    /// Its identity.
    pub patch: PatchId,
    /// Its canonical form.
    pub bytes: Bytes,
}

/// What a journal holds beyond where a reader stood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Whether the reader has to begin anew: it stood in another journal, or
    /// where the entries are gone.
    pub anew: bool,
    /// What stands for all patches up to a place.
    pub checkpoint: Option<(Cursor, Bytes)>,
    /// The patches that come next, as many as fit.
    pub entries: Vec<Entry>,
    /// The last patch of the journal.
    pub end: Cursor,
    /// The store's wall clock, milliseconds since 1970.
    pub wall_ms: u64,
}

/// Bytes that are long and the same wherever they are held.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(Arc<[u8]>);

impl Journal {
    /// The journal of a graph that nobody patched.
    #[must_use]
    pub fn new(graph: &str) -> Self {
        Self {
            graph: graph.into(),
            next_counter: 1,
            ..Self::default()
        }
    }

    /// Whether anything was ever appended to it.
    #[must_use]
    pub const fn has_patches(&self) -> bool {
        self.end.place > 0
    }

    /// How many patches come after the checkpoint.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.end.place.saturating_sub(self.kept.place)
    }
}

impl Part {
    /// How far a reader has come who has read this part, having stood at `from`.
    #[must_use]
    pub fn reaches(&self, from: Cursor) -> Cursor {
        let from = if self.anew { Cursor::default() } else { from };
        let checkpoint = self.checkpoint.as_ref().map(|(through, _)| *through);
        let last = self.entries.last().map(|entry| Cursor {
            place: entry.place,
            patch: Some(entry.patch),
        });
        last.or(checkpoint).unwrap_or(from)
    }

    /// Whether it tells a reader anything new.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        self.checkpoint.is_some() || !self.entries.is_empty()
    }
}

/// Takes entries for as long as they fit into one part, and at least one.
pub fn fitting<E>(entries: impl Iterator<Item = Result<Entry, E>>) -> Result<Vec<Entry>, E> {
    let mut taken: Vec<Entry> = Vec::new();
    let mut bytes = 0;
    for entry in entries.take(PART_ENTRIES_MAX) {
        let entry = entry?;
        bytes += entry.bytes.as_slice().len();
        if !taken.is_empty() && bytes > PART_BYTES_MAX {
            break;
        }
        taken.push(entry);
    }
    Ok(taken)
}

impl Bytes {
    /// The bytes themselves.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::id::ContentHash;

    fn entry(place: u64, size: usize) -> Entry {
        Entry {
            place,
            patch: PatchId::of_hash(ContentHash::of(&place.to_be_bytes())),
            bytes: vec![0; size].into(),
        }
    }

    fn taken(sizes: &[usize]) -> usize {
        let entries = (1..).zip(sizes).map(|(place, size)| entry(place, *size));
        fitting(entries.map(Ok::<_, ()>)).unwrap().len()
    }

    #[test]
    fn a_part_is_bounded_and_never_empty_where_there_is_more() {
        assert_eq!(taken(&[]), 0);
        assert_eq!(taken(&[1; 1_001]), PART_ENTRIES_MAX);
        assert_eq!(taken(&[PART_BYTES_MAX + 1, 1]), 1);
        assert_eq!(taken(&[PART_BYTES_MAX, 1]), 1);
        assert_eq!(taken(&[PART_BYTES_MAX - 1, 1, 1]), 2);
    }

    #[test]
    fn a_part_reaches_its_last_entry_or_its_checkpoint_or_nothing() {
        let from = Cursor {
            place: 7,
            patch: None,
        };
        let mut part = Part::default();
        assert_eq!((part.reaches(from), part.is_news()), (from, false));
        part.anew = true;
        assert_eq!(part.reaches(from), Cursor::default());
        part.checkpoint = Some((from, Bytes::default()));
        assert_eq!(
            (part.reaches(Cursor::default()), part.is_news()),
            (from, true)
        );
        part.entries = vec![entry(8, 1)];
        assert_eq!(part.reaches(from).place, 8);
    }
}
