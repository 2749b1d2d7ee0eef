//! Bytes of files inside JSON.
//!
//! Owns: the two encodings. Promises: bytes come back as they went in, byte order
//! marks and line breaks included. Leaves to others: whose bytes these are, and
//! which of them.

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
}
