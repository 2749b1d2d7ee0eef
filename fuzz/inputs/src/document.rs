//! Documents, their headers, and the decision whether one has to be made.
//!
//! Owns: a document and an offered content as arbitrary bytes. Promises: what is
//! written names its source and is not written twice. Leaves to others: files.

use maasl_core::docgen::gate::{Gate, Known, Offer, gate};
use maasl_core::docgen::header::{self, HeaderForm};
use maasl_core::id::ContentHash;
use maasl_core::policy::Named as _;
use maasl_core::refusal::Refusal;

use crate::pieces::pieces;

/// Tries a document, a content and a source, one piece each.
pub fn run(bytes: &[u8]) {
    let mut pieces = pieces(bytes);
    let mut next = || pieces.next().unwrap_or_default();
    let (document, content, source) = (next(), next(), next());
    let source = ContentHash::of(source);
    let named = header::read(document);
    if let Some(named) = named {
        assert!(document.len() >= 64, "{named} takes 64 digits");
    }
    for form in HeaderForm::ALL {
        written_is_read(*form, source, content);
        decided(*form, document, named, content, source);
    }
}

fn written_is_read(form: HeaderForm, source: ContentHash, content: &[u8]) {
    let Ok(body) = std::str::from_utf8(content) else {
        return;
    };
    let document = form.document(source, body);
    assert_eq!(header::read(&document), Some(source));
    assert!(document.ends_with(b"\n"));
}

fn decided(
    form: HeaderForm,
    document: &[u8],
    named: Option<ContentHash>,
    content: &[u8],
    source: ContentHash,
) {
    let known = |document| Known {
        source_path: "a.py",
        source: Some(source),
        document_path: "docs/a.py.md",
        document: Some(document),
    };
    let offer = Offer {
        content: Some(content),
        made_from: Some(source),
        replaces: None,
    };
    match gate(known(document), offer, form) {
        Ok(Gate::Fresh) => assert_eq!(named, Some(source)),
        Ok(Gate::NeedsContent) => panic!("content was offered"),
        Ok(Gate::Write(written)) => {
            assert!(named.is_some(), "somebody's own document was replaced");
            assert_eq!(header::read(&written), Some(source));
            assert!(written.len() <= content.len() + header::HEAD_BYTES_MAX);
            let again = gate(known(&written), offer, form);
            assert_eq!(again, Ok(Gate::Fresh), "it would be written for ever");
        }
        Err(Refusal::Unmarked(_)) => assert_eq!(named, None),
        Err(Refusal::InvalidRequest { field, .. }) => assert_eq!(field, "content"),
        Err(other) => panic!("{other}"),
    }
}
