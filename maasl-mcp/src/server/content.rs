//! Bytes of files inside JSON.
//!
//! Owns: the two encodings and the cutting of lines. Promises: bytes come back as
//! they went in, byte order marks and line breaks included. Leaves to others:
//! whose bytes these are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error::ErrorBody;

/// How bytes are written as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Encoding {
    #[default]
    #[serde(rename = "utf-8")]
    Utf8,
    #[serde(rename = "base64")]
    Base64,
}

/// The bytes that `text` stands for.
pub(crate) fn decode(
    field: &str,
    text: String,
    encoding: Encoding,
) -> Result<Vec<u8>, Box<ErrorBody>> {
    match encoding {
        Encoding::Utf8 => Ok(text.into_bytes()),
        Encoding::Base64 => STANDARD
            .decode(text)
            .map_err(|error| ErrorBody::invalid(field, format!("is not base64: {error}"))),
    }
}

/// Text for `bytes`: themselves if they are UTF-8.
pub(crate) fn encode(bytes: &[u8]) -> (String, Encoding) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), Encoding::Utf8),
        Err(_) => (STANDARD.encode(bytes), Encoding::Base64),
    }
}

/// Some lines of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lines<'b> {
    pub(crate) bytes: &'b [u8],
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) total: u64,
}

/// Cuts the lines `start` to `end`, both counted from 1 and included; an end
/// beyond the last line is the last line.
pub(crate) fn cut(
    bytes: &[u8],
    start: Option<u64>,
    end: Option<u64>,
) -> Result<Lines<'_>, Box<ErrorBody>> {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let total = lines.len() as u64;
    let start = start.unwrap_or(1);
    if start == 0 {
        return Err(ErrorBody::invalid("start_line", "is counted from 1"));
    }
    if start > total.max(1) {
        let message = format!("is {start}, but the file has {total} lines");
        return Err(ErrorBody::invalid("start_line", message));
    }
    let end = end.unwrap_or(total);
    if end < start && total > 0 {
        let message = format!("is {end}, before start_line {start}");
        return Err(ErrorBody::invalid("end_line", message));
    }
    let end = end.min(total);
    let size = |to: u64| -> usize {
        let count = usize::try_from(to).unwrap_or(usize::MAX);
        lines.iter().take(count).map(|line| line.len()).sum()
    };
    Ok(Lines {
        bytes: &bytes[size(start - 1)..size(end)],
        start,
        end,
        total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_went() {
        for bytes in [&b"\xEF\xBB\xBFa\r\nb"[..], b"\xFF\x00", b""] {
            let (text, encoding) = encode(bytes);
            assert_eq!(decode("content", text, encoding).unwrap(), bytes);
        }
        assert_eq!(encode(b"\xFF").1, Encoding::Base64);
        assert!(decode("content", "*".to_owned(), Encoding::Base64).is_err());
    }

    #[test]
    fn lines_are_counted_from_one_and_keep_their_breaks() {
        let text = b"a\r\nb\nc";
        let lines = cut(text, Some(2), Some(9)).unwrap();
        assert_eq!((lines.bytes, lines.end, lines.total), (&b"b\nc"[..], 3, 3));
        assert_eq!(cut(text, None, Some(1)).unwrap().bytes, b"a\r\n");
        assert_eq!(cut(b"", None, None).unwrap().total, 0);
        for (start, end, field) in [
            (Some(0), None, "start_line"),
            (Some(4), None, "start_line"),
            (Some(2), Some(1), "end_line"),
            (None, Some(0), "end_line"),
        ] {
            let refused = cut(text, start, end).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(field));
        }
    }
}
