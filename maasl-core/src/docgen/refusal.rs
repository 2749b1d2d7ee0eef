//! Why a document was not made.
//!
//! Owns: the details of such refusals. Promises: a refused call has written
//! nothing, and says what the caller needs to try again. Leaves to others: when
//! they are given (`gate`, `coordinator::docgen`).

use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::ContentHash;

/// The source is not the one the content was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocgenStale {
    /// The source.
    pub path: String,
    /// The hash of what the content was made from; nothing where none was named.
    pub expected: Option<ContentHash>,
    /// The hash now; nothing where the source has gone.
    pub current: Option<ContentHash>,
}

impl DocgenStale {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self.current {
            Some(_) => "call docgen_file without content to get the source as it is now, and \
                        write anew for it"
                .into(),
            None => "there is nothing to document any more".into(),
        }
    }
}

impl fmt::Display for DocgenStale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.current {
            Some(_) => write!(
                f,
                "{} has changed since the content was made from it",
                self.path
            ),
            None => write!(
                f,
                "{} has gone since the content was made from it",
                self.path
            ),
        }
    }
}

/// There is a document without a header: somebody's own work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmarked {
    /// The document.
    pub path: String,
    /// The hash of what it holds.
    pub current: ContentHash,
    /// The content that the caller allowed to replace.
    pub named: Option<ContentHash>,
}

impl Unmarked {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        format!(
            "leave it, or read_file {} and pass its sha256 as `replace_sha256` to have it replaced",
            self.path
        )
    }
}

impl fmt::Display for Unmarked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.named {
            None => write!(f, "{path} has no SHA256 header, so it was not generated"),
            Some(_) => write!(
                f,
                "{path} has no SHA256 header and is not what you have read"
            ),
        }
    }
}

/// How a generator failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum GeneratorFault {
    /// It could not be started.
    NotStarted {
        /// Why.
        message: String,
    },
    /// It took too long and was killed.
    TimedOut {
        /// How long it was given.
        allowed_ms: u64,
    },
    /// It wrote too much and was killed.
    TooMuchOutput {
        /// How much it may write.
        max_bytes: u64,
    },
    /// It ended, and not well.
    Exited {
        /// Its exit code; nothing where a signal ended it.
        code: Option<i32>,
        /// The signal.
        signal: Option<i32>,
    },
    /// Its caller cancelled, and it was killed.
    Cancelled,
    /// It said that there is nothing to be written, as generators of LLMC may.
    Declined {
        /// Its reason, as it gave it.
        message: String,
    },
    /// What it wrote is no document.
    Unusable {
        /// Why.
        message: String,
    },
}

/// How a generator begins that has nothing to write.
const NOTHING_TO_WRITE: &str = "NO-OP:";

impl GeneratorFault {
    /// What a generator came to that wrote this instead of a document; nothing
    /// where it may be one.
    #[must_use]
    pub fn declined(written: &[u8]) -> Option<Self> {
        let text = core::str::from_utf8(written).ok()?;
        let reason = text.trim().strip_prefix(NOTHING_TO_WRITE)?;
        Some(Self::Declined {
            message: reason.trim().into(),
        })
    }

    /// The stable word for it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotStarted { .. } => "not_started",
            Self::TimedOut { .. } => "timed_out",
            Self::TooMuchOutput { .. } => "too_much_output",
            Self::Exited { .. } => "exited",
            Self::Cancelled => "cancelled",
            Self::Declined { .. } => "declined",
            Self::Unusable { .. } => "unusable",
        }
    }
}

impl fmt::Display for GeneratorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted { message } => write!(f, "could not be started: {message}"),
            Self::TimedOut { allowed_ms } => {
                write!(f, "took longer than {allowed_ms} ms and was killed")
            }
            Self::TooMuchOutput { max_bytes } => {
                write!(f, "wrote more than {max_bytes} bytes and was killed")
            }
            Self::Exited {
                code: Some(code), ..
            } => write!(f, "ended with exit code {code}"),
            Self::Exited {
                signal: Some(signal),
                ..
            } => write!(f, "was ended by signal {signal}"),
            Self::Exited { .. } => f.write_str("ended badly"),
            Self::Cancelled => f.write_str("was killed because its caller cancelled"),
            Self::Declined { message } if message.is_empty() => {
                f.write_str("found nothing to write")
            }
            Self::Declined { message } => write!(f, "found nothing to write: {message}"),
            Self::Unusable { message } => write!(f, "wrote no document: {message}"),
        }
    }
}

/// A generator failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeneratorFailure {
    /// How.
    pub fault: GeneratorFault,
    /// The end of what it wrote to its standard error.
    pub stderr: String,
}

impl fmt::Display for GeneratorFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the generator {}", self.fault)?;
        let said = self.stderr.trim();
        if said.is_empty() {
            return Ok(());
        }
        write!(f, "; it said: {said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generator_declines_in_so_many_words_only() {
        for (written, reason) in [
            ("NO-OP: it is up to date\n", Some("it is up to date")),
            ("\n NO-OP:\n", Some("")),
            ("# NO-OP: a title\n", None),
            ("text\nNO-OP: later\n", None),
            ("no-op: small\n", None),
        ] {
            let declined = GeneratorFault::declined(written.as_bytes());
            let expected = reason.map(|reason| GeneratorFault::Declined {
                message: reason.into(),
            });
            assert_eq!(declined, expected, "{written:?}");
        }
        assert_eq!(GeneratorFault::declined(b"NO-OP: \xff"), None);
    }
}
