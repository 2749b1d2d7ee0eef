//! Histories: what agents asked for and were told, and what became of leases.
//!
//! Owns: the form of histories, which simulated and real processes write alike
//! (`docs/history-format.md`). Promises: one event a line; what a writer that died
//! left half written is dropped, and nothing else is. Leaves to others: writing
//! them (`simulated`) and judging them (`judge`).

pub mod judge;
mod read;
mod requests;
pub mod simulated;

use maasl_core::id::ContentHash;
use serde::{Deserialize, Serialize};

pub use self::read::{HistoryError, merge, parse};

/// The form of histories this program reads and writes.
pub const HISTORY_VERSION: u32 = 1;

/// One line of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, in nanoseconds of one clock that all writers share.
    pub at_ns: u64,
    /// The process that it happened in or to; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub process: String,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line of a file.
    History {
        /// [`HISTORY_VERSION`].
        version: u32,
    },
    /// A process started.
    Started,
    /// A process died or was killed.
    Killed,
    /// The machine lost power.
    PowerCut,
    /// The state directory was put back as it had been.
    Restored,
    /// A request was sent, for the first time or again.
    Invoke {
        /// By whom.
        agent: String,
        /// Which; the same for every sending of it.
        request: String,
        /// What it is: `write`, `edit`, `acquire`, …
        operation: String,
        /// Its idempotency key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// The files it names, each with the content it is based on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        paths: Vec<Named>,
    },
    /// A request was answered.
    Ok {
        /// Whose.
        agent: String,
        /// Which.
        request: String,
        /// The token of its lease, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<u64>,
        /// The hash of the lease's id, where the answer has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lease: Option<ContentHash>,
        /// What it changed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<Changed>,
    },
    /// A request was refused: it changed nothing.
    Refused {
        /// Whose.
        agent: String,
        /// Which.
        request: String,
        /// The stable code of the refusal.
        code: String,
    },
    /// Nobody knows what became of a request.
    Unknown {
        /// Whose.
        agent: String,
        /// Which.
        request: String,
    },
    /// A lease was granted.
    Grant {
        /// Its token.
        token: u64,
        /// The hash of its id.
        lease: ContentHash,
        /// When the granting began; `at_ns` is when it was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_ns: Option<u64>,
        /// What it covers.
        wants: Vec<Covered>,
    },
    /// A lease ended.
    End {
        /// Its token.
        token: u64,
        /// When the ending began; `at_ns` is when it was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_ns: Option<u64>,
        /// How.
        how: Ending,
    },
    /// Somebody changed a file who knows nothing of MAASL.
    Outside {
        /// Which.
        path: String,
        /// When the change began; `at_ns` is when it was over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since_ns: Option<u64>,
        /// What it holds since.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        new: Option<ContentHash>,
    },
}

/// A file that a request names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Relative to the root.
    pub path: String,
    /// The content its author had seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
}

/// A file that a request changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Changed {
    /// Relative to the root.
    pub path: String,
    /// What was replaced; nothing for a new file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<ContentHash>,
    /// What replaced it; nothing for a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<ContentHash>,
}

/// A resource of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// Its key.
    pub key: String,
    /// With everything below it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub subtree: bool,
    /// Beside others.
    #[serde(default, skip_serializing_if = "is_false")]
    pub shared: bool,
}

/// How a lease ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its holder returned it.
    Released,
    /// It ran out, or its holder died.
    Expired,
    /// It was taken away.
    Revoked,
}

/// The lines of a history.
#[must_use]
pub fn lines(history: &[Entry]) -> String {
    let mut text = String::new();
    for entry in history {
        let line = serde_json::to_string(entry).expect("an event has only named fields");
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks with a reference"
)]
fn is_false(value: &bool) -> bool {
    !*value
}
