//! The parts that refusals, and some results, are made of.
//!
//! Owns: holders, excerpts, lost leases and the like as JSON. Promises: every part
//! has one form, wherever it is shown. Leaves to others: which parts a refusal has
//! (`error`).

use maasl_core::id::Token;
use maasl_core::lease::{Blocker, LeaseEnd};
use maasl_core::observed::Observed;
use maasl_core::refusal::{ChangedBy, LostLease, Process, Refusal};
use maasl_core::text::hunk::{Excerpt, Hunk};
use maasl_core::text::merge::ConflictHunk;
use schemars::JsonSchema;
use serde::Serialize;

use super::time::rfc3339;

/// An agent in a circle.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct AgentBody {
    pub(crate) agent: String,
    pub(crate) session: String,
}

/// Who holds a resource or waits for it.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct HolderBody {
    pub(crate) agent: String,
    pub(crate) session: String,
    /// Fencing token of the lease; absent for a waiter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<u64>,
    /// Since when, RFC 3339; absent for a waiter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<String>,
    /// How long it has held or waited.
    pub(crate) held_ms: u64,
    /// When the lease ends unless renewed, or when the waiter gives up.
    pub(crate) expires_in_ms: u64,
    /// What it says it is doing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) intent: Option<String>,
}

/// A process inside a commit.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ProcessBody {
    pub(crate) pid: u32,
    /// Whether it is stopped, so that waiting does not help.
    pub(crate) stopped: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) command: Option<String>,
}

/// Who made a version.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ChangedByBody {
    pub(crate) agent: String,
    pub(crate) version: u64,
    /// When, RFC 3339.
    pub(crate) at: String,
}

/// A few lines of a text.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ExcerptBody {
    /// Number of the first line, from 1.
    pub(crate) line: u32,
    pub(crate) text: String,
    pub(crate) lines_omitted: u32,
}

/// Two texts where they part.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct HunkBody {
    pub(crate) expected: ExcerptBody,
    pub(crate) actual: ExcerptBody,
}

/// A place that both sides changed.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ConflictBody {
    pub(crate) base: ExcerptBody,
    pub(crate) ours: ExcerptBody,
    pub(crate) theirs: ExcerptBody,
}

/// An edit that does not apply.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct EditBody {
    /// Its place in `edits`, from 0.
    pub(crate) index: u32,
    /// How often `old_text` occurs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) found: Option<u64>,
    /// How often it should, or how much of it is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<u64>,
    /// The lines on which it starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lines: Option<Vec<u32>>,
}

/// A lease that is over, told to its holder.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct LostBody {
    /// What it was for.
    pub(crate) resources: Vec<String>,
    /// Its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fencing_token: Option<u64>,
    /// `released`, `expired`, `taken_over`, `revoked` or `unknown`.
    pub(crate) end: String,
    /// Who took it over or away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// The token of whoever took it over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) by_token: Option<u64>,
    /// Why it was taken away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// When, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<String>,
    /// All of this in words.
    pub(crate) message: String,
}

impl From<&Blocker> for HolderBody {
    fn from(blocker: &Blocker) -> Self {
        Self {
            agent: blocker.owner.agent.to_string(),
            session: blocker.owner.session.to_string(),
            token: blocker.token.map(Token::number),
            since: (blocker.since_wall_ms > 0).then(|| rfc3339(blocker.since_wall_ms)),
            held_ms: blocker.held_ms,
            expires_in_ms: blocker.expires_in_ms,
            intent: blocker.purpose.as_deref().map(String::from),
        }
    }
}

impl From<Process> for ProcessBody {
    fn from(process: Process) -> Self {
        Self {
            pid: process.pid,
            stopped: process.stopped,
            command: process.command,
        }
    }
}

impl From<ChangedBy> for ChangedByBody {
    fn from(by: ChangedBy) -> Self {
        Self {
            agent: by.agent.to_string(),
            version: by.version,
            at: rfc3339(by.wall_ms),
        }
    }
}

impl From<Excerpt> for ExcerptBody {
    fn from(excerpt: Excerpt) -> Self {
        Self {
            line: excerpt.line,
            text: excerpt.text,
            lines_omitted: excerpt.lines_omitted,
        }
    }
}

impl From<Hunk> for HunkBody {
    fn from(hunk: Hunk) -> Self {
        Self {
            expected: hunk.expected.into(),
            actual: hunk.actual.into(),
        }
    }
}

impl From<ConflictHunk> for ConflictBody {
    fn from(hunk: ConflictHunk) -> Self {
        Self {
            base: hunk.base.into(),
            ours: hunk.ours.into(),
            theirs: hunk.theirs.into(),
        }
    }
}

/// What enforce mode would have done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ObservedBody {
    /// The code of the refusal, or the one that the wait could have ended with.
    code: &'static str,
    /// What was in the way.
    message: String,
    /// What enforce mode would have told you to do.
    hint: String,
}

impl From<Observed> for ObservedBody {
    fn from(observed: Observed) -> Self {
        let code = observed.code();
        let refusal = match observed {
            Observed::WouldBlock(busy) => Refusal::ResourceBusy(busy),
            Observed::WouldRefuse(refusal) => *refusal,
        };
        Self {
            code,
            message: refusal.to_string(),
            hint: refusal.hint(),
        }
    }
}

impl From<LostLease> for LostBody {
    fn from(lost: LostLease) -> Self {
        let message = lost.to_string();
        let (mut by, mut by_token, mut reason) = (None, None, None);
        let ended = lost.ended.as_ref();
        let end = match ended.map(|ended| &ended.end) {
            Some(LeaseEnd::Released) => "released",
            Some(LeaseEnd::TakenOver { by: owner, token }) => {
                by = Some(owner.agent.to_string());
                by_token = Some(token.number());
                "taken_over"
            }
            Some(LeaseEnd::Revoked {
                by: agent,
                reason: why,
            }) => {
                by = Some(agent.to_string());
                reason = Some(why.clone());
                "revoked"
            }
            Some(LeaseEnd::Expired) => "expired",
            None if lost.expired => "expired",
            None => "unknown",
        };
        Self {
            resources: lost.resources,
            fencing_token: lost.token.map(Token::number),
            end: end.to_owned(),
            by,
            by_token,
            reason,
            at: ended.map(|ended| rfc3339(ended.ended_wall_ms)),
            message,
        }
    }
}
