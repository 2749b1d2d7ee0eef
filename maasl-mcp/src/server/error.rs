//! Refusals as agents read them.
//!
//! Owns: the `error` object of the envelope and its details. Promises: whatever a
//! refusal carries reaches the caller, under names that never change. Leaves to
//! others: whether to refuse (the core), the text of message and hint (the refusal
//! itself), and the parts that details are made of (`details`).

use maasl_core::path::PathRefusal;
use maasl_core::refusal::{Busy, DbBusy, Refusal, Stale};
use maasl_core::text::edit::{EditReason, EditRefusal};
use schemars::JsonSchema;
use serde::Serialize;

use super::details::{
    AgentBody, ChangedByBody, ConflictBody, EditBody, ExcerptBody, HolderBody, HunkBody, LostBody,
    ProcessBody,
};

/// Why a call was refused, with what the caller needs next.
#[derive(Debug, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct ErrorBody {
    /// Stable code: `resource_busy`, `stale_version`, `lease_lost`, `deadlock`,
    /// `limit_reached`, `invalid_request`, `idempotency_mismatch`, `cancelled`,
    /// `db_busy`, `docgen_stale`, `docgen_unmarked`, `docgen_failed` or
    /// `internal`.
    pub(crate) code: String,
    /// What happened.
    pub(crate) message: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// The contested resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    /// The database, by its name in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) db: Option<String>,
    /// Whether a program that does not go through MAASL has the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) foreign_writer: Option<bool>,
    /// Who has it, or waits in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<HolderBody>,
    /// How many waited in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<u32>,
    /// How long the call waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waited_ms: Option<u64>,
    /// How long it was allowed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_ms: Option<u64>,
    /// The process inside a commit that kept the call waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) process: Option<ProcessBody>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    /// Why exactly, as a stable word: how the content is stale, what is wrong
    /// with the path or the edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The content the caller had seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_sha256: Option<String>,
    /// The content now; absent where the file is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) current_sha256: Option<String>,
    /// Who made the current version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) changed_by: Option<ChangedByBody>,
    /// The first place where what was expected and what is there differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hunk: Option<HunkBody>,
    /// The places that both sides changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conflicts: Option<Vec<ConflictBody>>,
    /// The start of the current content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) excerpt: Option<ExcerptBody>,
    /// The version under which the caller's own content is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kept_version: Option<u64>,
    /// The edit that does not apply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) edit: Option<EditBody>,
    /// The lease that is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lost_lease: Option<LostBody>,
    /// Who waits for whom; the caller comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) circle: Option<Vec<AgentBody>>,
    /// The limit that was reached, by its name in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<String>,
    /// Its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<u64>,
    /// The argument that cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
    /// The idempotency key that was used for another request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) idempotency_key: Option<String>,
    /// Finds the failure in the log of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) correlation_id: Option<String>,
}

impl ErrorBody {
    /// An argument that cannot be used.
    pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Box<Self> {
        Box::new(Self::from(Refusal::invalid(field, message)))
    }

    /// The same refusal with another hint.
    pub(crate) fn with_hint(mut self: Box<Self>, hint: impl Into<String>) -> Box<Self> {
        self.hint = Some(hint.into());
        self
    }

    fn busy(self, busy: Busy) -> Self {
        Self {
            resource: Some(busy.resource),
            holder: busy.blockers.first().map(HolderBody::from),
            place: Some(busy.place),
            waited_ms: Some(busy.waited_ms),
            allowed_ms: Some(busy.allowed_ms),
            process: busy.process.map(ProcessBody::from),
            ..self
        }
    }

    fn busy_database(self, busy: DbBusy) -> Self {
        Self {
            db: Some(busy.db),
            foreign_writer: Some(busy.foreign),
            ..self.busy(busy.busy)
        }
    }

    fn stale(self, stale: Stale) -> Self {
        let conflicts = stale.conflicts.into_iter().map(ConflictBody::from);
        let conflicts: Vec<ConflictBody> = conflicts.collect();
        Self {
            path: Some(stale.path),
            reason: serde_json::to_value(stale.reason)
                .ok()
                .and_then(|word| word.as_str().map(str::to_owned)),
            expected_sha256: stale.expected.map(String::from),
            current_sha256: stale.current.map(String::from),
            changed_by: stale.changed_by.map(ChangedByBody::from),
            hunk: stale.hunk.map(HunkBody::from),
            conflicts: Some(conflicts).filter(|conflicts| !conflicts.is_empty()),
            excerpt: stale.excerpt.map(ExcerptBody::from),
            kept_version: stale.kept_version,
            ..self
        }
    }

    fn bad_path(self, refusal: PathRefusal) -> Self {
        Self {
            reason: Some(refusal.reason.code().to_owned()),
            path: Some(refusal.path),
            ..self
        }
    }

    fn bad_edit(self, path: String, refusal: EditRefusal) -> Self {
        let mut edit = EditBody {
            index: refusal.index,
            ..EditBody::default()
        };
        let mut hunk = None;
        let reason = match refusal.reason {
            EditReason::NotFound { nearest } => {
                hunk = nearest.map(HunkBody::from);
                "not_found"
            }
            EditReason::Ambiguous {
                found,
                expected,
                lines,
            } => {
                edit.found = Some(found.into());
                edit.expected = Some(expected.into());
                edit.lines = Some(lines);
                "ambiguous"
            }
            EditReason::EmptyOldText => "empty_old_text",
            EditReason::NoChange => "no_change",
            EditReason::TooLarge { found, max, .. } => {
                edit.found = Some(found);
                edit.expected = Some(max);
                "too_large"
            }
        };
        Self {
            field: Some(format!("edits[{}]", edit.index)),
            path: Some(path),
            reason: Some(reason.to_owned()),
            edit: Some(edit),
            hunk,
            ..self
        }
    }
}

/// Longest text that repeats what a caller sent, in bytes: a mistake of megabytes
/// is not sent back.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The text, or the beginning of it.
fn short(mut text: String) -> String {
    if text.len() > TEXT_BYTES_MAX {
        let ends = (0..=TEXT_BYTES_MAX).rev();
        let end = ends.into_iter().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

impl From<Refusal> for ErrorBody {
    fn from(refusal: Refusal) -> Self {
        let mut body = Self::whole(refusal);
        body.message = short(body.message);
        body.hint = body.hint.map(short);
        body.field = body.field.map(short);
        body.db = body.db.map(short);
        body.resource = body.resource.map(short);
        body
    }
}

impl ErrorBody {
    /// All that a refusal says, however much that is.
    fn whole(refusal: Refusal) -> Self {
        let body = Self {
            code: refusal.code().to_owned(),
            message: refusal.to_string(),
            hint: Some(refusal.hint()).filter(|hint| !hint.is_empty()),
            ..Self::default()
        };
        match refusal {
            Refusal::ResourceBusy(busy) => body.busy(*busy),
            Refusal::DbBusy(busy) => body.busy_database(*busy),
            Refusal::StaleVersion(stale) => body.stale(*stale),
            Refusal::LeaseLost(lost) => Self {
                lost_lease: Some(LostBody::from(*lost)),
                ..body
            },
            Refusal::Deadlock { circle } => {
                let agents = circle.into_iter().map(|owner| AgentBody {
                    agent: owner.agent.to_string(),
                    session: owner.session.to_string(),
                });
                Self {
                    circle: Some(agents.collect()),
                    ..body
                }
            }
            Refusal::LimitReached { limit, value } => Self {
                limit: Some(limit),
                value: Some(value),
                ..body
            },
            Refusal::InvalidRequest { field, .. } => Self {
                field: Some(field),
                ..body
            },
            Refusal::Path(refusal) => body.bad_path(refusal),
            Refusal::Edit { path, refusal } => body.bad_edit(path, refusal),
            Refusal::IdempotencyMismatch { key } => Self {
                idempotency_key: Some(key),
                ..body
            },
            Refusal::DocgenStale(stale) => Self {
                path: Some(stale.path),
                expected_sha256: stale.expected.map(String::from),
                current_sha256: stale.current.map(String::from),
                ..body
            },
            Refusal::Unmarked(unmarked) => Self {
                path: Some(unmarked.path),
                expected_sha256: unmarked.named.map(String::from),
                current_sha256: Some(unmarked.current.to_string()),
                ..body
            },
            Refusal::Generator(failure) => Self {
                reason: Some(failure.fault.reason().to_owned()),
                ..body
            },
            Refusal::Cancelled | Refusal::Internal { .. } => body,
        }
    }
}
