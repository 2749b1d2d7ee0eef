//! The gate in front of a document.
//!
//! Owns: what becomes of a request for a document, from the hash of its source,
//! what the document holds and what the caller offers. Promises: a document that
//! was made from this source is left alone; what was made from another is never
//! written; a document without a header is somebody's own and is replaced only
//! by who names its content. Leaves to others: reading these facts under the
//! lease, and writing (`coordinator::docgen`).

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

use super::header::{self, HeaderForm};
use super::refusal::{DocgenStale, Unmarked};
use crate::id::ContentHash;
use crate::mutant::{Mutant, is_active};
use crate::refusal::Refusal;

/// What is there, as it was read under the lease.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The source, for refusals.
    pub source_path: &'a str,
    /// Its hash; nothing where it has gone.
    pub source: Option<ContentHash>,
    /// The place of the document.
    pub document_path: &'a str,
    /// What the document holds; nothing where there is none.
    pub document: Option<&'a [u8]>,
}

/// What the caller brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer<'a> {
    /// What the document is to say.
    pub content: Option<&'a [u8]>,
    /// The source that content was made from.
    pub made_from: Option<ContentHash>,
    /// A content without a header that may be replaced.
    pub replaces: Option<ContentHash>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The document was made from this source.
    Fresh,
    /// The document has to be made, and there is no content yet.
    NeedsContent,
    /// These bytes are the document.
    Write(Vec<u8>),
}

/// Decides.
pub fn gate(known: Known<'_>, offer: Offer<'_>, form: HeaderForm) -> Result<Gate, Refusal> {
    let is_fresh = known.source.is_some() && known.document.and_then(header::read) == known.source;
    if is_fresh && !is_active(Mutant::DocgenNoopRewrites) {
        return Ok(Gate::Fresh);
    }
    let source = unmoved(known, offer)?;
    replaceable(known, offer)?;
    let Some(content) = offer.content else {
        return Ok(Gate::NeedsContent);
    };
    if offer.made_from.is_none() {
        return Err(Refusal::InvalidRequest {
            field: "source_sha256".into(),
            message: "is needed with content".into(),
            hint: Some("pass back the hash of the source that the content was made from".into()),
        });
    }
    compose(source, content, form).map(Gate::Write)
}

/// The source, if it is the one the caller worked from.
fn unmoved(known: Known<'_>, offer: Offer<'_>) -> Result<ContentHash, Refusal> {
    match (known.source, offer.made_from) {
        (Some(current), None) => Ok(current),
        (Some(current), Some(made_from))
            if current == made_from || is_active(Mutant::DocgenStaleTextTaken) =>
        {
            Ok(current)
        }
        (current, expected) => Err(Refusal::DocgenStale(Box::new(DocgenStale {
            path: known.source_path.into(),
            expected,
            current,
        }))),
    }
}

fn replaceable(known: Known<'_>, offer: Offer<'_>) -> Result<(), Refusal> {
    let Some(document) = known.document else {
        return Ok(());
    };
    let current = ContentHash::of(document);
    if header::read(document).is_some() || offer.replaces == Some(current) {
        return Ok(());
    }
    Err(Refusal::Unmarked(Box::new(Unmarked {
        path: known.document_path.into(),
        current,
        named: offer.replaces,
    })))
}

/// The document that `content` makes. Content that has a header already is taken
/// without it, if that is the header it would get.
fn compose(source: ContentHash, content: &[u8], form: HeaderForm) -> Result<Vec<u8>, Refusal> {
    let text = core::str::from_utf8(content)
        .map_err(|error| Refusal::invalid("content", format!("is not UTF-8 text: {error}")))?;
    let body = match header::split(text) {
        Some((named, rest)) if named == source => rest,
        Some((named, _)) => {
            return Err(Refusal::InvalidRequest {
                field: "content".into(),
                message: format!("begins with the header of another source, {named}"),
                hint: Some("leave the header out: it is written for you".into()),
            });
        }
        None => text,
    };
    if body.trim().is_empty() {
        return Err(Refusal::invalid("content", "is empty"));
    }
    Ok(form.document(source, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Named as _;

    const SOURCE: &[u8] = b"def f(): pass\n";

    fn hash() -> ContentHash {
        ContentHash::of(SOURCE)
    }

    fn known(document: Option<&[u8]>) -> Known<'_> {
        Known {
            source_path: "a.py",
            source: Some(hash()),
            document_path: "docs/a.py.md",
            document,
        }
    }

    fn offer(content: &[u8]) -> Offer<'_> {
        Offer {
            content: Some(content),
            made_from: Some(hash()),
            replaces: None,
        }
    }

    fn decided(known: Known<'_>, offer: Offer<'_>) -> Result<Gate, Refusal> {
        gate(known, offer, HeaderForm::Comment)
    }

    fn old_document() -> Vec<u8> {
        HeaderForm::Plain.document(ContentHash::of(b"before"), "old")
    }

    #[test]
    fn a_document_made_from_the_source_is_left_alone_whatever_is_offered() {
        for form in HeaderForm::ALL {
            let document = form.document(hash(), "text");
            let stale = Offer {
                made_from: Some(ContentHash::of(b"other")),
                ..offer(b"new")
            };
            for offer in [Offer::default(), offer(b"new"), stale] {
                assert_eq!(decided(known(Some(&document)), offer), Ok(Gate::Fresh));
            }
        }
    }

    #[test]
    fn without_content_it_is_asked_for_and_with_content_it_is_written() {
        let old = old_document();
        for document in [None, Some(&old[..])] {
            let asked = decided(known(document), Offer::default());
            assert_eq!(asked, Ok(Gate::NeedsContent));
            let Ok(Gate::Write(written)) = decided(known(document), offer(b"# A")) else {
                panic!("not written");
            };
            assert_eq!(header::read(&written), Some(hash()));
            let again = decided(known(Some(&written)), offer(b"# A"));
            assert_eq!(again, Ok(Gate::Fresh));
        }
    }

    #[test]
    fn what_was_made_from_another_source_is_not_written() {
        let other = Some(ContentHash::of(b"other"));
        let stale = Offer {
            made_from: other,
            ..offer(b"# A")
        };
        let gone = Known {
            source: None,
            ..known(None)
        };
        for (known, offered) in [(known(None), stale), (gone, offer(b"# A"))] {
            let Err(Refusal::DocgenStale(refused)) = decided(known, offered) else {
                panic!("not refused");
            };
            assert_eq!(
                (refused.expected, refused.current),
                (offered.made_from, known.source)
            );
        }
    }

    #[test]
    fn a_document_of_somebodys_own_is_replaced_only_by_who_names_it() {
        let own: &[u8] = b"# By hand\n";
        let named = |hash| Offer {
            replaces: Some(hash),
            ..offer(b"# A")
        };
        for refused in [
            decided(known(Some(own)), Offer::default()),
            decided(known(Some(own)), offer(b"# A")),
            decided(known(Some(own)), named(ContentHash::of(b"else"))),
        ] {
            let Err(Refusal::Unmarked(unmarked)) = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(unmarked.current, ContentHash::of(own));
        }
        let allowed = decided(known(Some(own)), named(ContentHash::of(own)));
        assert!(matches!(allowed, Ok(Gate::Write(_))), "{allowed:?}");
    }

    #[test]
    fn content_with_its_own_header_gets_no_second_one() {
        let plain = HeaderForm::Plain.document(hash(), "# A");
        let bare = decided(known(None), offer(b"# A"));
        assert_eq!(decided(known(None), offer(&plain)), bare);
        let foreign = HeaderForm::Plain.document(ContentHash::of(b"x"), "# A");
        let refused = decided(known(None), offer(&foreign)).expect_err("another source");
        assert_eq!(refused.code(), "invalid_request");
    }

    #[test]
    fn content_that_says_nothing_or_not_from_what_is_refused() {
        let header = HeaderForm::Plain.line(hash());
        for content in [&b""[..], b" \n", header.as_bytes(), b"\xff"] {
            let refused = decided(known(None), offer(content)).expect_err("no text");
            assert_eq!(refused.code(), "invalid_request", "{content:?}");
        }
        let unsaid = Offer {
            made_from: None,
            ..offer(b"# A")
        };
        assert_eq!(
            decided(known(None), unsaid).expect_err("unsaid").code(),
            "invalid_request"
        );
    }
}
