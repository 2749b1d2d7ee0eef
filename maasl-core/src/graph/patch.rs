//! Patches: changes with their author, what the author had seen, and an identity.
//!
//! Owns: the form in which changes are kept, sent and merged. Promises: a patch
//! is valid as a whole or is none; it never changes; two patches are the same if
//! and only if their bytes are, and their id is the hash of these. Leaves to
//! others: where patches are kept, and what they make of a graph (`state`).

pub(super) mod form;
mod operation;
mod seal;

use core::fmt;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::changes::{Changes, Field, Invalid, InvalidReason, NAME_BYTES_MAX, Part};
use super::seen::{Dot, RUNS_MAX, Seen};
use super::stamp::Stamp;
use super::texts::Texts;
use super::value::Value;
use crate::id::ContentHash;
use crate::mutant::{Mutant, is_active};

pub use self::operation::Operation;
pub(super) use self::operation::{Kind, Packed};

/// The identity of a patch: the SHA-256 of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PatchId(ContentHash);

impl PatchId {
    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The identity with these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; 32]>::try_from(bytes).ok()?;
        Some(Self(ContentHash::from_bytes(bytes)))
    }

    pub(super) const fn of_hash(hash: ContentHash) -> Self {
        Self(hash)
    }

    /// Reads 64 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        ContentHash::parse(text).map(Self)
    }
}

impl fmt::Display for PatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who made a patch, when, and knowing what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The name of the patch.
    pub dot: Dot,
    /// The time of the patch, after everything in `seen`.
    pub stamp: Stamp,
    /// What its author had seen, exactly.
    pub seen: Seen,
}

impl Header {
    /// The header of a patch made when the clock reads `wall_ms`; none if the
    /// stamps are used up ([`Stamp::after`]).
    #[must_use]
    pub fn new(dot: Dot, seen: Seen, wall_ms: u64) -> Option<Self> {
        let after = if is_active(Mutant::GraphStampByWallClock) {
            Stamp::ZERO
        } else {
            seen.newest()
        };
        let stamp = Stamp::after(after, wall_ms)?;
        Some(Self { dot, stamp, seen })
    }

    pub(super) fn check(&self) -> Result<(), Invalid> {
        let refuse = |field, reason| {
            Err(Invalid {
                field,
                index: 0,
                reason,
            })
        };
        if let Err(reason) = Part::Name.check(self.dot.actor.as_str(), NAME_BYTES_MAX) {
            return refuse(Field::Actor, reason);
        }
        if self.dot.counter == 0 {
            return refuse(Field::Counter, InvalidReason::OutOfOrder);
        }
        if self.stamp <= self.seen.newest() && !is_active(Mutant::GraphStampByWallClock) {
            return refuse(Field::Stamp, InvalidReason::OutOfOrder);
        }
        if self.seen.contains(&self.dot) {
            return refuse(Field::Seen, InvalidReason::OutOfOrder);
        }
        let runs = self.seen.runs().map(|(_, runs)| runs.len()).sum();
        Part::Gaps
            .within(runs, RUNS_MAX)
            .or_else(|reason| refuse(Field::Seen, reason))
    }
}

/// Changes that were accepted.
#[derive(Clone, Debug)]
pub struct Patch {
    id: PatchId,
    header: Header,
    pub(super) texts: Texts,
    pub(super) operations: Vec<Packed>,
}

/// Changes that are valid, without a header yet.
#[derive(Clone, Debug)]
pub struct Checked {
    texts: Texts,
    operations: Vec<Packed>,
}

impl Checked {
    /// Checks changes.
    pub fn of(changes: &Changes) -> Result<Self, Invalid> {
        let (texts, operations) = seal::pack(changes)?;
        Ok(Self { texts, operations })
    }

    /// Refuses a header with which they would make no patch, without making it.
    pub fn fit(&self, header: &Header) -> Result<(), Invalid> {
        header.check()?;
        form::check_size(form::size(header, &self.texts, &self.operations))
    }
}

impl Patch {
    /// Makes a patch of changes, if they and the header are valid.
    pub fn seal(header: Header, changes: &Changes) -> Result<Self, Invalid> {
        Self::of(header, Checked::of(changes)?)
    }

    /// Makes a patch of changes that were checked before, if the header is valid.
    pub fn of(header: Header, checked: Checked) -> Result<Self, Invalid> {
        header.check()?;
        Self::with(header, checked.texts, checked.operations)
    }

    /// Reads a patch from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Invalid> {
        form::read(bytes)
    }

    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        form::write(&self.header, &self.texts, &self.operations)
    }

    /// The identity of the patch.
    #[must_use]
    pub const fn id(&self) -> PatchId {
        self.id
    }

    /// Who made it, when, and knowing what.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Its operations, in order: removals first.
    #[must_use]
    pub fn operations(&self) -> impl ExactSizeIterator<Item = Operation<'_>> {
        self.operations
            .iter()
            .map(|packed| Operation::of(*packed, &self.texts))
    }

    fn with(header: Header, texts: Texts, operations: Vec<Packed>) -> Result<Self, Invalid> {
        let bytes = form::write(&header, &texts, &operations);
        form::check_size(bytes.len())?;
        Ok(Self {
            id: PatchId(ContentHash::of(&bytes)),
            header,
            texts,
            operations,
        })
    }
}

impl PartialEq for Patch {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Patch {}

/// A value whose text is known to be one.
pub(super) fn value_of(text: &str) -> Value {
    Value::parse(text).expect("the text was written by a value or checked when it was read")
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;
    use alloc::vec;

    use super::super::changes::{Edge, ID_BYTES_MAX, Node, OPERATIONS_MAX, VALUE_BYTES_MAX};
    use super::*;
    use crate::id::ActorId;

    fn header() -> Header {
        let dot = Dot {
            actor: ActorId::new("a"),
            counter: 1,
        };
        Header::new(dot, Seen::nothing(), 1_000).unwrap()
    }

    fn node(id: &str, properties: &[(&str, &str)]) -> Node {
        let value = |(key, text): &(&str, &str)| (String::from(*key), Value::parse(text).unwrap());
        Node {
            id: id.into(),
            properties: properties.iter().map(value).collect(),
        }
    }

    fn edge(source: &str, relation: &str, target: &str) -> Edge {
        Edge {
            source: source.into(),
            relation: relation.into(),
            target: target.into(),
        }
    }

    fn refused(changes: &Changes) -> (Field, u32, InvalidReason) {
        let fault = Patch::seal(header(), changes).unwrap_err();
        (fault.field, fault.index, fault.reason)
    }

    #[test]
    fn a_patch_has_its_operations_once_and_removals_first() {
        let changes = Changes {
            nodes_to_add: vec![node("n", &[("kind", "\"fn\"")]), node("n", &[])],
            edges_to_add: vec![edge("n", "calls", "m"), edge("n", "calls", "m")],
            nodes_to_remove: vec!["n".into()],
            ..Changes::default()
        };
        let patch = Patch::seal(header(), &changes).unwrap();
        let operations: Vec<_> = patch.operations().collect();
        let expected = [
            Operation::RemoveNode { node: "n" },
            Operation::AddNode { node: "n" },
            Operation::SetProperty {
                node: "n",
                key: "kind",
                value: "\"fn\"",
            },
            Operation::AddEdge {
                source: "n",
                relation: "calls",
                target: "m",
            },
        ];
        assert_eq!(operations, expected);
    }

    #[test]
    fn a_patch_reads_what_it_writes_and_nothing_else() {
        let changes = Changes {
            nodes_to_add: vec![node("n", &[("a", "[1,{\"b\":null}]")])],
            ..Changes::default()
        };
        let patch = Patch::seal(header(), &changes).unwrap();
        let bytes = patch.to_bytes();
        let read = Patch::from_bytes(&bytes).unwrap();
        assert_eq!((read.id(), read.to_bytes()), (patch.id(), bytes.clone()));
        for end in 0..bytes.len() {
            assert!(Patch::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
        for place in 0..bytes.len() {
            let mut other = bytes.clone();
            other[place] ^= 1;
            if let Ok(other_patch) = Patch::from_bytes(&other) {
                assert_eq!(other_patch.to_bytes(), other, "changed at {place}");
                assert_ne!(other_patch.id(), patch.id());
            }
        }
    }

    #[test]
    fn whether_a_header_fits_is_known_before_there_is_a_patch() {
        let changes = Changes {
            nodes_to_add: vec![node("n", &[("a", "[1,{\"b\":null}]")])],
            edges_to_add: vec![edge("n", "calls", "m")],
            nodes_to_remove: vec!["old".into()],
            ..Changes::default()
        };
        let checked = Checked::of(&changes).unwrap();
        let mut header = header();
        assert_eq!(checked.fit(&header), Ok(()));
        let size = form::size(&header, &checked.texts, &checked.operations);
        let patch = Patch::of(header.clone(), checked.clone()).unwrap();
        assert_eq!(size, patch.to_bytes().len());
        for gap in 1..=RUNS_MAX as u64 + 1 {
            let actor = ActorId::new("b");
            let counter = 2 * gap;
            header.seen.insert(&Dot { actor, counter }, Stamp::ZERO);
        }
        let refused = checked.fit(&header).unwrap_err();
        assert_eq!(Patch::of(header, checked).unwrap_err(), refused);
        assert_eq!(refused.field, Field::Seen);
    }

    #[test]
    fn an_empty_patch_and_empty_names_are_refused() {
        let empty = |what| InvalidReason::Empty { what };
        assert_eq!(
            refused(&Changes::default()),
            (Field::Patch, 0, empty(Part::Operations))
        );
        let changes = Changes {
            nodes_to_add: vec![node("n", &[]), node("", &[])],
            ..Changes::default()
        };
        assert_eq!(refused(&changes), (Field::NodesToAdd, 1, empty(Part::Id)));
        let changes = Changes {
            edges_to_remove: vec![edge("a", "", "b")],
            ..Changes::default()
        };
        assert_eq!(
            refused(&changes),
            (Field::EdgesToRemove, 0, empty(Part::Name))
        );
    }

    #[test]
    fn what_is_over_a_limit_is_refused_by_name() {
        let long = "x".repeat(ID_BYTES_MAX + 1);
        let changes = Changes {
            nodes_to_remove: vec!["n".into(), long],
            ..Changes::default()
        };
        let (field, index, reason) = refused(&changes);
        assert_eq!((field, index), (Field::NodesToRemove, 1));
        assert!(matches!(
            reason,
            InvalidReason::TooLarge { what: Part::Id, .. }
        ));

        let big = format!("\"{}\"", "x".repeat(VALUE_BYTES_MAX));
        let changes = Changes {
            nodes_to_add: vec![node("n", &[("a", &big)])],
            ..Changes::default()
        };
        assert!(matches!(
            refused(&changes).2,
            InvalidReason::TooLarge {
                what: Part::Value,
                ..
            }
        ));

        let many = (0..=OPERATIONS_MAX).map(|n| format!("{n}")).collect();
        let changes = Changes {
            nodes_to_remove: many,
            ..Changes::default()
        };
        assert!(matches!(
            refused(&changes).2,
            InvalidReason::TooLarge {
                what: Part::Operations,
                ..
            }
        ));
    }

    #[test]
    fn a_property_has_one_value_in_a_patch() {
        let set = |text: &str| {
            let value = [(String::from("k"), Value::parse(text).unwrap())];
            [(String::from("n"), value.into_iter().collect())].into()
        };
        let mut changes = Changes {
            nodes_to_add: vec![node("n", &[("k", "1")])],
            properties_to_set: set("1"),
            ..Changes::default()
        };
        let patch = Patch::seal(header(), &changes).unwrap();
        assert_eq!(patch.operations().len(), 2);
        changes.properties_to_set = set("2");
        assert_eq!(
            refused(&changes),
            (
                Field::PropertiesToSet,
                0,
                InvalidReason::Contradiction {
                    node: "n".into(),
                    key: "k".into()
                }
            )
        );
    }

    #[test]
    fn no_property_is_called_id() {
        let changes = Changes {
            nodes_to_add: vec![node("n", &[("id", "1")])],
            ..Changes::default()
        };
        let node = String::from("n");
        let reserved = InvalidReason::Reserved { node };
        assert_eq!(refused(&changes), (Field::NodesToAdd, 0, reserved));
    }

    #[test]
    fn a_header_must_fit_what_was_seen() {
        let changes = Changes {
            nodes_to_remove: vec!["n".into()],
            ..Changes::default()
        };
        let field = |header| Patch::seal(header, &changes).unwrap_err().field;
        let mut zero = header();
        zero.dot.counter = 0;
        assert_eq!(field(zero), Field::Counter);
        let mut own = header();
        own.seen.insert(&own.dot.clone(), Stamp::ZERO);
        assert_eq!(field(own), Field::Seen);
        let mut early = header();
        let other = Dot {
            actor: ActorId::new("b"),
            counter: 1,
        };
        early.seen.insert(&other, early.stamp);
        assert_eq!(field(early), Field::Stamp);
        let mut nameless = header();
        nameless.dot.actor = ActorId::new("");
        assert_eq!(field(nameless), Field::Actor);
    }
}
