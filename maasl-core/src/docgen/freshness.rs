//! How a document stands to its source, for who only looks.
//!
//! Owns: the words for it. Promises: what is called fresh would be left alone by
//! the gate. Leaves to others: looking (`maasl-node`).

use alloc::string::String;

use crate::id::ContentHash;

/// What the document of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// It was made from the source as it is.
    Fresh,
    /// It was made from another content.
    Stale,
    /// There is none.
    Missing,
    /// It has no header: somebody's own.
    Unmarked,
}

/// A source, and how its document stands to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The source, relative to the root.
    pub source: String,
    /// How its document stands to it, or why that cannot be told.
    pub state: Result<Freshness, String>,
}

/// What is known of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// There is none.
    Absent,
    /// It has no header.
    Unmarked,
    /// Its header names this source.
    From(ContentHash),
}

impl Marked {
    /// What the start of a document says.
    #[must_use]
    pub fn of(start: &[u8]) -> Self {
        super::header::read(start).map_or(Self::Unmarked, Self::From)
    }

    /// How the document stands to a source of this content.
    #[must_use]
    pub fn against(self, source: ContentHash) -> Freshness {
        match self {
            Self::Absent => Freshness::Missing,
            Self::Unmarked => Freshness::Unmarked,
            Self::From(made_from) if made_from == source => Freshness::Fresh,
            Self::From(_) => Freshness::Stale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docgen::{Gate, HeaderForm, Known, Offer, gate};

    /// The gate and the look agree on what need not be made.
    #[test]
    fn what_is_fresh_is_what_the_gate_leaves_alone() {
        let source = ContentHash::of(b"source");
        let plain = HeaderForm::Plain;
        let documents = [
            plain.document(source, "text"),
            plain.document(ContentHash::of(b"other"), "text"),
            b"by hand".to_vec(),
        ];
        let expected = [Freshness::Fresh, Freshness::Stale, Freshness::Unmarked];
        for (document, expected) in documents.iter().zip(expected) {
            let known = Known {
                source_path: "a",
                source: Some(source),
                document_path: "a.md",
                document: Some(document),
            };
            let left = gate(known, Offer::default(), plain) == Ok(Gate::Fresh);
            let looked = Marked::of(document).against(source);
            assert_eq!(looked, expected);
            assert_eq!(looked == Freshness::Fresh, left);
        }
        assert_eq!(Marked::Absent.against(source), Freshness::Missing);
    }
}
