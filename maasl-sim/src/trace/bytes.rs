//! A trace as bytes.
//!
//! Owns: the form of the file. Promises: each part ends with a digest over
//! itself and everything before it, so that a reader knows how far a damaged
//! trace can be trusted. Leaves to others: reading it (`reader`).
//!
//! The file: magic; version; length and text of the plan; count, lengths and
//! texts of the labels; digest. Then blocks: count of records, length, records,
//! digest. Then a zero, length and text of the verdict, digest. Numbers are
//! varints. A record is its time since the one before it, and its fields.

use sha2::{Digest as _, Sha256};

use super::{Line, TRACE_VERSION, Trace, TraceError};
use crate::record::varint;

/// How every trace begins.
pub(super) const MAGIC: &[u8] = b"maasl-sim trace\n";

/// Records in a block.
const BLOCK_RECORDS: usize = 512;

/// Bytes of a digest.
pub(super) const DIGEST_BYTES: usize = 32;

impl Trace {
    /// The bytes of its file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TraceError> {
        let verdict = toml::to_string(&self.verdict);
        let verdict = verdict.map_err(|error| TraceError::Unwritable(error.to_string()))?;
        let mut writer = self.head();
        let mut before_ns = 0;
        for block in self.lines.chunks(BLOCK_RECORDS) {
            let mut body = Vec::with_capacity(block.len() * 12);
            for line in block {
                encode(&mut body, line, before_ns);
                before_ns = line.at_ns;
            }
            varint(&mut writer.bytes, block.len() as u64);
            varint(&mut writer.bytes, body.len() as u64);
            writer.bytes.extend_from_slice(&body);
            writer.seal();
        }
        varint(&mut writer.bytes, 0);
        text(&mut writer.bytes, &verdict);
        writer.seal();
        Ok(writer.bytes)
    }

    /// How many bytes of its file come before its records.
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        self.head().bytes.len()
    }

    fn head(&self) -> Writer {
        let mut writer = Writer::default();
        writer.bytes.extend_from_slice(MAGIC);
        varint(&mut writer.bytes, TRACE_VERSION);
        text(&mut writer.bytes, &self.plan_text);
        varint(&mut writer.bytes, self.labels.len() as u64);
        for label in &self.labels {
            text(&mut writer.bytes, label);
        }
        writer.seal();
        writer
    }
}

/// The digest of a part, which goes on from the digest before it.
pub(super) fn digest(before: &[u8; DIGEST_BYTES], part: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha256::new();
    hash.update(before);
    hash.update(part);
    hash.finalize().into()
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    sealed: usize,
    digest: [u8; DIGEST_BYTES],
}

impl Writer {
    fn seal(&mut self) {
        self.digest = digest(&self.digest, &self.bytes[self.sealed..]);
        self.bytes.extend_from_slice(&self.digest);
        self.sealed = self.bytes.len();
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

fn encode(bytes: &mut Vec<u8>, line: &Line, before_ns: u64) {
    varint(bytes, line.at_ns.wrapping_sub(before_ns));
    bytes.push(line.kind as u8);
    varint(bytes, u64::from(line.who));
    varint(bytes, line.label as u64);
    varint(bytes, line.call);
    varint(bytes, line.detail);
}
