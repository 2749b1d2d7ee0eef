//! What a document says, as an outsider reads it.
//!
//! Owns: the texts that agents and generators of a world write, and reading them
//! back. Promises: a text names the content it was made from by itself, whatever
//! header it gets; headers are read by the form they have, not by the product's
//! own rules. Leaves to others: what follows from it (`i10_documents`).

use maasl_core::id::ContentHash;

/// The text of a document, from what its author was given.
pub(crate) fn text_of(source: &str, content: &[u8], author: &str) -> String {
    format!(
        "of {source}\nfrom {}\nby {author}\n",
        ContentHash::of(content)
    )
}

/// A document, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document<'t> {
    /// The source that its header names, as it is written there.
    pub(super) header: &'t str,
    /// What its author was given.
    pub(super) source: &'t str,
    pub(super) from: &'t str,
}

impl<'t> Document<'t> {
    /// Nothing where this is no document that a world made.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let mut lines = text.lines();
        let header = header_of(lines.next()?)?;
        let mut field = |name: &str| lines.find_map(|line| line.strip_prefix(name));
        let source = field("of ")?;
        let from = field("from ")?;
        Some(Self {
            header,
            source,
            from,
        })
    }
}

/// The source that a document's first line names.
pub(super) fn header_of(line: &str) -> Option<&str> {
    let inside = match line.strip_prefix("<!-- ") {
        Some(rest) => rest.strip_suffix(" -->")?,
        None => line,
    };
    inside.strip_prefix("SHA256: ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_was_written() {
        let text = text_of("d/f", b"content", "ann 7");
        let hash = ContentHash::of(b"content").to_string();
        for header in ["<!-- SHA256: abc -->", "SHA256: abc"] {
            let document = format!("{header}\n\n{text}");
            let read = Document {
                header: "abc",
                source: "d/f",
                from: &hash,
            };
            assert_eq!(Document::read(&document), Some(read));
        }
        assert_eq!(Document::read(&text), None);
        assert_eq!(Document::read("SHA256: abc\n\nby hand\n"), None);
    }
}
