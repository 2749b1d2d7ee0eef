//! Reading a trace.
//!
//! Owns: turning bytes into a trace. Promises: no bytes make it panic or take
//! more memory than they have; a digest is checked before what it covers is
//! believed. Leaves to others: the form (`bytes`).

use super::bytes::{DIGEST_BYTES, MAGIC, digest};
use super::{Line, Part, TRACE_VERSION, Trace, TraceError, Verdict};
use crate::plan::Plan;
use crate::record::Kind;

impl Trace {
    /// Reads the bytes of a trace file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TraceError> {
        let mut reader = Reader {
            bytes,
            at: 0,
            sealed: 0,
            digest: [0; DIGEST_BYTES],
            part: Part::Head,
        };
        let (plan_text, plan, labels) = reader.head()?;
        let mut lines = Vec::new();
        while reader.block(&mut lines, labels.len())? {}
        let verdict = reader.verdict()?;
        if verdict.records != lines.len() as u64 {
            return Err(reader.malformed("counts other records than there are"));
        }
        Ok(Self {
            plan_text,
            plan,
            verdict,
            labels,
            lines,
        })
    }

    /// Whether these bytes begin as a trace does.
    #[must_use]
    pub fn is_trace(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    sealed: usize,
    digest: [u8; DIGEST_BYTES],
    part: Part,
}

impl Reader<'_> {
    fn head(&mut self) -> Result<(String, Plan, Vec<String>), TraceError> {
        let begin = MAGIC.len().min(self.bytes.len());
        if self.bytes[..begin] != MAGIC[..begin] {
            return Err(TraceError::WrongMagic);
        }
        self.take(MAGIC.len() as u64)?;
        let version = self.number()?;
        if version != TRACE_VERSION {
            return Err(TraceError::OtherVersion(version));
        }
        let plan_text = self.sized()?.to_vec();
        let count = self.number()?;
        let mut labels = Vec::new();
        for _ in 0..count {
            labels.push(self.sized()?.to_vec());
        }
        self.check_seal()?;
        let plan_text = self.utf8(plan_text)?;
        let plan: Plan = toml::from_str(&plan_text).map_err(|error| self.malformed(error))?;
        plan.validate().map_err(|error| self.malformed(error))?;
        let labels = labels.into_iter().map(|label| self.utf8(label));
        let labels = labels.collect::<Result<_, _>>()?;
        Ok((plan_text, plan, labels))
    }

    /// Reads a block; `false` where there are no more.
    fn block(&mut self, lines: &mut Vec<Line>, labels: usize) -> Result<bool, TraceError> {
        self.part = match self.part {
            Part::Block(number) => Part::Block(number + 1),
            _ => Part::Block(1),
        };
        let count = self.number()?;
        if count == 0 {
            return Ok(false);
        }
        let length = self.number()?;
        let start = self.at;
        self.take(length)?;
        let end = self.at;
        self.check_seal()?;
        let mut inside = Reader {
            bytes: &self.bytes[..end],
            at: start,
            ..*self
        };
        for _ in 0..count {
            let before_ns = lines.last().map_or(0, |line| line.at_ns);
            lines.push(inside.line(before_ns, labels)?);
        }
        if inside.at != end {
            return Err(self.malformed("holds more than its records"));
        }
        Ok(true)
    }

    fn line(&mut self, before_ns: u64, labels: usize) -> Result<Line, TraceError> {
        let at_ns = before_ns.wrapping_add(self.number()?);
        let kind = usize::from(self.take(1)?[0]);
        let kind = Kind::ALL.get(kind).copied();
        let kind = kind.ok_or_else(|| self.malformed("has a record of no known kind"))?;
        let who = self.number()?;
        let who = u16::try_from(who).map_err(|error| self.malformed(error))?;
        let label = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if label >= labels {
            return Err(self.malformed("names a label that is not there"));
        }
        Ok(Line {
            at_ns,
            kind,
            who,
            label,
            call: self.number()?,
            detail: self.number()?,
        })
    }

    fn verdict(&mut self) -> Result<Verdict, TraceError> {
        self.part = Part::Verdict;
        let text = self.sized()?.to_vec();
        self.check_seal()?;
        let text = self.utf8(text)?;
        let verdict = toml::from_str(&text).map_err(|error| self.malformed(error))?;
        if self.at != self.bytes.len() {
            self.part = Part::End;
            return Err(self.malformed("something follows the verdict"));
        }
        Ok(verdict)
    }

    fn check_seal(&mut self) -> Result<(), TraceError> {
        let expected = digest(&self.digest, &self.bytes[self.sealed..self.at]);
        if self.take(DIGEST_BYTES as u64)? != expected {
            return Err(TraceError::DigestMismatch(self.part));
        }
        self.digest = expected;
        self.sealed = self.at;
        Ok(())
    }

    fn take(&mut self, length: u64) -> Result<&[u8], TraceError> {
        let left = self.bytes.len() - self.at;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > left {
            return Err(TraceError::Truncated(self.part));
        }
        self.at += length;
        Ok(&self.bytes[self.at - length..self.at])
    }

    /// Bytes with their length before them.
    fn sized(&mut self) -> Result<&[u8], TraceError> {
        let length = self.number()?;
        self.take(length)
    }

    fn number(&mut self) -> Result<u64, TraceError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.malformed("has a number that does not end"))
    }

    fn utf8(&self, bytes: Vec<u8>) -> Result<String, TraceError> {
        String::from_utf8(bytes).map_err(|error| self.malformed(error))
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is made to be said once")]
    fn malformed(&self, why: impl ToString) -> TraceError {
        TraceError::Malformed(self.part, why.to_string())
    }
}
