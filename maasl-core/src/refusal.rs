//! Expected "no"s, as data.
//!
//! Owns: what a refused caller is told, and the stable code of each refusal.
//! Promises: a refused call has changed nothing of the caller's resources, and
//! the refusal carries what the caller needs next. Leaves to others: bad
//! arguments that never reached the core, and turning refusals into text for a
//! particular client (the adapter).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::docgen::{DocgenStale, GeneratorFailure, Unmarked};
use crate::id::{AgentId, ContentHash, Owner, Token};
use crate::lease::{Blocker, EndedLease};
use crate::path::PathRefusal;
use crate::text::edit::EditRefusal;
use crate::text::hunk::{Excerpt, Hunk};
use crate::text::merge::ConflictHunk;

/// The limit of what one read returns, by its name in the configuration.
pub(crate) const MAX_READ_BYTES: &str = "max_read_bytes";

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Somebody else has the resource.
    #[error("{0}")]
    ResourceBusy(Box<Busy>),
    /// Somebody else has the database.
    #[error("{0}")]
    DbBusy(Box<DbBusy>),
    /// The content is not what the caller had seen.
    #[error("{0}")]
    StaleVersion(Box<Stale>),
    /// The lease the call relies on is over.
    #[error("{0}")]
    LeaseLost(Box<LostLease>),
    /// Waiting would close a circle.
    #[error("waiting would close a circle: {}", circle_words(.circle))]
    Deadlock {
        /// Each waits for the next, and the last for the first; the caller
        /// comes first.
        circle: Vec<Owner>,
    },
    /// A published limit is reached.
    #[error("{limit} is at most {value}")]
    LimitReached {
        /// Which, by its name in the configuration.
        limit: String,
        /// Its value.
        value: u64,
    },
    /// An argument cannot be used.
    #[error("{field}: {message}")]
    InvalidRequest {
        /// The argument.
        field: String,
        /// What is wrong with it.
        message: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// A path cannot be used.
    #[error("{0}")]
    Path(PathRefusal),
    /// Edits do not apply to the content.
    #[error("edits[{}] of {path}: {}", .refusal.index, .refusal.reason)]
    Edit {
        /// The file.
        path: String,
        /// Which edit, and why.
        refusal: EditRefusal,
    },
    /// The idempotency key was used for another request.
    #[error("idempotency key {key:?} was used for a different request")]
    IdempotencyMismatch {
        /// The key.
        key: String,
    },
    /// The source of a document is not the one its content was made from.
    #[error("{0}")]
    DocgenStale(Box<DocgenStale>),
    /// A document is somebody's own work.
    #[error("{0}")]
    Unmarked(Box<Unmarked>),
    /// The generator of documents failed.
    #[error("{0}")]
    Generator(Box<GeneratorFailure>),
    /// The caller cancelled.
    #[error("cancelled by the caller")]
    Cancelled,
    /// The machine underneath failed.
    #[error("{message}")]
    Internal {
        /// How.
        message: String,
    },
}

impl Refusal {
    /// The stable code of the refusal.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ResourceBusy(_) => "resource_busy",
            Self::DbBusy(_) => "db_busy",
            Self::StaleVersion(_) => "stale_version",
            Self::LeaseLost(_) => "lease_lost",
            Self::Deadlock { .. } => "deadlock",
            Self::LimitReached { .. } => "limit_reached",
            Self::InvalidRequest { .. } | Self::Path(_) | Self::Edit { .. } => "invalid_request",
            Self::IdempotencyMismatch { .. } => "idempotency_mismatch",
            Self::DocgenStale(_) => "docgen_stale",
            Self::Unmarked(_) => "docgen_unmarked",
            Self::Generator(_) => "docgen_failed",
            Self::Cancelled => "cancelled",
            Self::Internal { .. } => "internal",
        }
    }

    /// What the caller should do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::ResourceBusy(busy) => busy.hint(),
            Self::DbBusy(busy) => busy.hint(),
            Self::StaleVersion(stale) => stale.hint(),
            Self::LeaseLost(_) => "acquire a new lease and read again before writing".into(),
            Self::Deadlock { .. } => {
                "release what you hold, then acquire everything in one lease_acquire".into()
            }
            Self::LimitReached { limit, .. } if limit == MAX_READ_BYTES => {
                "read the file in parts, by start_line and end_line".into()
            }
            Self::LimitReached { .. } => "ask for less at once, or raise the limit".into(),
            Self::InvalidRequest { hint, .. } => hint.clone().unwrap_or_default(),
            Self::Path(path) => path.hint.clone().unwrap_or_default(),
            Self::Edit { .. } => "read the file and copy old_text from it exactly".into(),
            Self::IdempotencyMismatch { .. } => "use a new key for a new request".into(),
            Self::DocgenStale(stale) => stale.hint(),
            Self::Unmarked(unmarked) => unmarked.hint(),
            Self::Generator(_) => "write the document yourself and pass it as `content`, or see \
                                   what the generator's command does"
                .into(),
            Self::Cancelled => "nothing was changed".into(),
            Self::Internal { .. } => "run `maasl doctor`".into(),
        }
    }

    /// An argument that cannot be used, without advice.
    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::InvalidRequest {
            field: field.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// The refusal of one part of what was asked for: a field is named as it stands
    /// in the whole.
    #[must_use]
    pub fn within(self, part: &str) -> Self {
        match self {
            Self::InvalidRequest {
                field,
                message,
                hint,
            } => Self::InvalidRequest {
                field: format!("{part}.{field}"),
                message,
                hint,
            },
            other => other,
        }
    }

    /// A failure of the machine underneath.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::Internal {
            message: message.into(),
        }
    }
}

fn circle_words(circle: &[Owner]) -> String {
    let names: Vec<&str> = circle.iter().map(|owner| owner.agent.as_str()).collect();
    format!(
        "{} -> {}",
        names.join(" -> "),
        names.first().copied().unwrap_or("")
    )
}

/// A process that stands inside a latch or the write gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its process id.
    pub pid: u32,
    /// Whether it is stopped, so that waiting will not help.
    pub stopped: bool,
    /// What it runs, where that can be told.
    pub command: Option<String>,
}

/// The resource is held by somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// The contested resource.
    pub resource: String,
    /// Who has it or waits in front, holders first.
    pub blockers: Vec<Blocker>,
    /// How many waited in front.
    pub place: u32,
    /// How long the call waited.
    pub waited_ms: u64,
    /// How long it was allowed to.
    pub allowed_ms: u64,
    /// The process inside the latch, where that is what kept the call waiting.
    pub process: Option<Process>,
    /// Whether the holder looks like the caller itself.
    pub own: bool,
}

impl Busy {
    fn hint(&self) -> String {
        if let Some(process) = &self.process {
            let state = if process.stopped { "stopped" } else { "busy" };
            return format!(
                "process {} is {state} inside a commit; continue or end it, then retry",
                process.pid
            );
        }
        if self.own {
            return "you hold it: pass its lease id as `lease`".into();
        }
        match self
            .blockers
            .iter()
            .map(|blocker| blocker.expires_in_ms)
            .min()
        {
            Some(ms) => format!("retry in up to {ms} ms, or work on something else meanwhile"),
            None => "retry".into(),
        }
    }
}

impl core::fmt::Display for Busy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} is ", self.resource)?;
        match (&self.process, self.blockers.first()) {
            (Some(process), _) => write!(
                f,
                "inside a commit of {}process {}",
                if process.stopped { "the stopped " } else { "" },
                process.pid
            )?,
            (None, Some(holder)) if holder.token.is_some() => {
                write!(f, "held by {}", holder.owner.agent)?;
            }
            (None, Some(waiter)) => write!(f, "awaited by {} first", waiter.owner.agent)?,
            (None, None) => f.write_str("busy")?,
        }
        write!(f, "; waited {} of {} ms", self.waited_ms, self.allowed_ms)
    }
}

/// The database is in use by somebody else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DbBusy {
    /// Which, by its name in the configuration.
    pub db: String,
    /// Who has it, as far as is known, and how long the call waited.
    pub busy: Busy,
    /// Whether the writer goes past MAASL: it has SQLite's own lock and no
    /// lease, so nothing more is known of it.
    pub foreign: bool,
}

impl DbBusy {
    fn hint(&self) -> String {
        if self.foreign {
            return "a program that does not go through MAASL is at the database; \
                    retry, or find and end it"
                .into();
        }
        self.busy.hint()
    }
}

impl core::fmt::Display for DbBusy {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { db, busy, foreign } = self;
        if *foreign {
            let (waited, allowed) = (busy.waited_ms, busy.allowed_ms);
            return write!(
                f,
                "database {db} is locked outside MAASL; waited {waited} of {allowed} ms"
            );
        }
        write!(f, "database {db}: {busy}")
    }
}

/// How the content differs from what the caller had seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaleReason {
    /// The caller never read the file and it exists.
    #[default]
    NeverRead,
    /// It was changed since.
    Changed,
    /// It was removed since.
    Vanished,
    /// It was changed since, and both changes touch the same lines.
    Conflicting,
    /// It was changed since, and the version the caller had seen is not kept.
    BaseUnknown,
    /// Somebody outside MAASL wrote it during the swap; both contents exist.
    SwapConflict,
    /// It changes faster than the call can follow.
    Unsteady,
}

impl StaleReason {
    fn words(self) -> &'static str {
        match self {
            Self::NeverRead => "exists and you have not read it",
            Self::Changed => "was changed since you read it",
            Self::Vanished => "was removed since you read it",
            Self::Conflicting => "was changed since, in the same lines",
            Self::BaseUnknown => "was changed since, and the version you read is not kept",
            Self::SwapConflict => "was written from outside during the commit",
            Self::Unsteady => "keeps changing from outside",
        }
    }
}

/// The content is not what the caller had seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// The file.
    pub path: String,
    /// Why.
    pub reason: StaleReason,
    /// The hash the caller had seen.
    pub expected: Option<ContentHash>,
    /// The hash now; nothing where the file is gone.
    pub current: Option<ContentHash>,
    /// The newest version known, its author and time, where it is the current.
    pub changed_by: Option<ChangedBy>,
    /// The first place where both differ.
    pub hunk: Option<Hunk>,
    /// The places both changed, where a merge was tried.
    pub conflicts: Vec<ConflictHunk>,
    /// The start of the current content, so that one call saves a read.
    pub excerpt: Option<Excerpt>,
    /// The version under which the caller's own content is kept.
    pub kept_version: Option<u64>,
}

impl Stale {
    fn hint(&self) -> String {
        let path = &self.path;
        match self.reason {
            StaleReason::NeverRead => format!("read_file {path} first, then write"),
            StaleReason::Changed => {
                format!("read_file {path} again, or write with on_stale=\"merge\"")
            }
            StaleReason::Vanished => {
                format!("read_file {path} to see that it is gone, then write to create it")
            }
            StaleReason::SwapConflict if self.kept_version.is_some() => format!(
                "the outside content stands; yours is kept: file_restore {path} brings it back"
            ),
            StaleReason::Conflicting
            | StaleReason::BaseUnknown
            | StaleReason::Unsteady
            | StaleReason::SwapConflict => {
                format!("read_file {path} and redo the change on what it holds now")
            }
        }
    }
}

impl core::fmt::Display for Stale {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", self.path, self.reason.words())?;
        if let Some(by) = &self.changed_by {
            write!(f, " (by {}, version {})", by.agent, by.version)?;
        }
        Ok(())
    }
}

/// Who made the version that is current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedBy {
    /// The agent.
    pub agent: AgentId,
    /// The version number.
    pub version: u64,
    /// When; milliseconds since 1970.
    pub wall_ms: u64,
}

/// A lease that is over, told to its holder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostLease {
    /// What it was for.
    pub resources: Vec<String>,
    /// Its token.
    pub token: Option<Token>,
    /// How it ended, where that is known.
    pub ended: Option<EndedLease>,
    /// Whether it only ran out, and nobody has taken it since.
    pub expired: bool,
}

impl core::fmt::Display for LostLease {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        use crate::lease::LeaseEnd;
        f.write_str("the lease is gone: ")?;
        match self.ended.as_ref().map(|ended| &ended.end) {
            Some(LeaseEnd::TakenOver { by, token }) => {
                write!(
                    f,
                    "it ran out and {} took over with token {token}",
                    by.agent
                )
            }
            Some(LeaseEnd::Revoked { by, reason }) => write!(f, "revoked by {by}: {reason}"),
            Some(LeaseEnd::Released) => f.write_str("it was released"),
            Some(LeaseEnd::Expired) => f.write_str("it ran out"),
            None if self.expired => f.write_str("it ran out; nobody has taken over"),
            None => f.write_str("nothing is known of it"),
        }
    }
}
