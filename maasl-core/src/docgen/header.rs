//! The header of a document: the hash of the source it was made from.
//!
//! Owns: both forms of the header, reading and writing. Promises: what was
//! written is read back, and text without a whole header has none: a word that
//! only begins like one is somebody's own text. Leaves to others: what follows
//! from it (`gate`).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::id::ContentHash;
use crate::policy::Named;

/// Some editors write this first character.
const BYTE_ORDER_MARK: &str = "\u{feff}";
/// How both forms begin, the mark of a comment aside.
const LABEL: &str = "SHA256:";
const COMMENT_OPENS: &str = "<!--";
const COMMENT_CLOSES: &str = "-->";

/// How the header of a document is written. Both forms are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderForm {
    /// `<!-- SHA256: … -->`: not seen where the document is shown.
    #[default]
    Comment,
    /// `SHA256: …`: the first line of the text.
    Plain,
}

impl Named for HeaderForm {
    const ALL: &'static [Self] = &[Self::Comment, Self::Plain];

    fn name(self) -> &'static str {
        match self {
            Self::Comment => "comment",
            Self::Plain => "plain",
        }
    }
}

impl HeaderForm {
    /// The header of a document made from `source`, without a line break.
    #[must_use]
    pub fn line(self, source: ContentHash) -> String {
        match self {
            Self::Comment => format!("{COMMENT_OPENS} {LABEL} {source} {COMMENT_CLOSES}"),
            Self::Plain => format!("{LABEL} {source}"),
        }
    }

    /// A document: the header, an empty line and `body`, which ends in a line
    /// break.
    #[must_use]
    pub fn document(self, source: ContentHash, body: &str) -> Vec<u8> {
        let body = body.trim_start_matches(['\r', '\n']);
        let ending = if body.ends_with('\n') { "" } else { "\n" };
        format!("{}\n\n{body}{ending}", self.line(source)).into_bytes()
    }
}

/// The source a document says it was made from; nothing if it says nothing.
#[must_use]
pub fn read(document: &[u8]) -> Option<ContentHash> {
    // A document need not be UTF-8 behind its header.
    let start = &document[..document.len().min(HEAD_BYTES_MAX)];
    let text = match core::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) => core::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default(),
    };
    split(text).map(|(source, _)| source)
}

/// Parts a text into the source its header names and what follows the header.
#[must_use]
pub fn split(text: &str) -> Option<(ContentHash, &str)> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let text = text.trim_start_matches(['\r', '\n']);
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    Some((source_in(line.trim())?, rest))
}

/// Empty lines, the header and its line break are within this; it bounds how
/// much of a large document is looked at.
pub const HEAD_BYTES_MAX: usize = 1024;

fn source_in(line: &str) -> Option<ContentHash> {
    let comment = line.strip_prefix(COMMENT_OPENS);
    let inside = match comment {
        Some(rest) => rest.strip_suffix(COMMENT_CLOSES)?.trim(),
        None => line,
    };
    ContentHash::parse(inside.strip_prefix(LABEL)?.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash() -> ContentHash {
        ContentHash::of(b"source")
    }

    #[test]
    fn both_forms_are_read_however_they_are_spaced() {
        let hash = hash();
        let upper = format!("{hash}").to_uppercase();
        for header in [
            format!("<!-- SHA256: {hash} -->"),
            format!("<!--SHA256:{hash}-->"),
            format!("SHA256: {hash}"),
            format!("SHA256:{upper}"),
            format!("\u{feff}SHA256: {hash}"),
            format!("\n\r\n  <!-- SHA256: {upper} -->  "),
        ] {
            for after in ["", "\n", "\r\n# Title\r\n", "\ntext"] {
                let document = format!("{header}{after}");
                assert_eq!(read(document.as_bytes()), Some(hash), "{document:?}");
            }
        }
    }

    #[test]
    fn what_only_looks_like_a_header_is_none() {
        let hash = hash();
        let short = &format!("{hash}")[1..];
        for document in [
            String::new(),
            format!("# Title\nSHA256: {hash}\n"),
            format!("SHA256: {short}\n"),
            format!("SHA256: {hash}0\n"),
            format!("sha256: {hash}\n"),
            format!("SHA256: {hash} -->\n"),
            format!("<!-- SHA256: {hash}\n-->\n"),
            format!("<!-- SHA256: {hash} --> and more\n"),
            "SHA256: TO BE FILLED IN\n".into(),
        ] {
            assert_eq!(read(document.as_bytes()), None, "{document:?}");
        }
        assert_eq!(read(b"\xff\xfe"), None);
    }

    #[test]
    fn a_written_document_is_read_back_and_its_body_is_whole() {
        for form in HeaderForm::ALL {
            for (body, written) in [
                ("# A\ntext", "# A\ntext\n"),
                ("\r\n\nA\r\n", "A\r\n"),
                ("é", "é\n"),
            ] {
                let document = form.document(hash(), body);
                assert_eq!(read(&document), Some(hash()));
                let text = core::str::from_utf8(&document).expect("text");
                let (_, rest) = split(text).expect("a header");
                assert_eq!(rest.trim_start_matches('\n'), written);
            }
        }
    }

    #[test]
    fn the_header_is_read_although_what_follows_is_not_text() {
        let document = [HeaderForm::Plain.line(hash()).as_bytes(), b"\n\xff\x00"].concat();
        assert_eq!(read(&document), Some(hash()));
    }
}
