//! `rag_enrich` and `rag_search`.
//!
//! Owns: the tools' arguments and results. Promises: a description that was left
//! out is named with the reason. Leaves to others: whether it still fits, storing
//! and finding.

use maasl_core::coordinator::enrich::Span;
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::database::FoundSpan;
use maasl_core::reply::{Receipt, SkipReason, SkippedSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Spec};
use crate::server::arguments::{GUARDED, NOTHING, hash};
use crate::server::backend::Backend;
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::time::rfc3339;

/// Matches shown if the caller does not say how many.
const MATCHES: u32 = 10;
/// Most matches in one answer.
const MATCHES_MAX: u32 = 200;

/// Longest query, in bytes.
const QUERY_BYTES_MAX: usize = 1_000;

/// `rag_enrich`.
pub(crate) struct Enrich;
/// `rag_search`.
pub(crate) struct Search;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrichArguments {
    /// The pieces of source and what they are about; all that still fit are
    /// stored, or none.
    spans: Vec<SpanArgument>,
}

/// A piece of source and what it is about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpanArgument {
    /// The file, relative to the root.
    path: String,
    /// The first line, counted from 1.
    start_line: u64,
    /// The last line, included.
    end_line: u64,
    /// What the lines are about.
    summary: String,
    /// Words to find them by.
    tags: Option<Vec<String>>,
    /// SHA-256 of the lines you describe, line breaks included: if the source has
    /// changed since, the span is left out. Default: whatever is there now.
    span_sha256: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EnrichBody {
    /// How many spans were stored.
    enriched: u64,
    /// Those that were left out.
    skipped: Vec<SkippedBody>,
    /// The token it was written under.
    fencing_token: u64,
    /// How long the call waited.
    waited_ms: u64,
}

/// A span that was left out.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SkippedBody {
    path: String,
    start_line: u64,
    end_line: u64,
    reason: ReasonWord,
    /// Hash of the lines now, where they are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_sha256: Option<String>,
}

/// Why a span was left out.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReasonWord {
    /// The lines are no longer what was described.
    Changed,
    /// The file has fewer lines.
    OutOfRange,
    /// There is no such file.
    Missing,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchArguments {
    /// Plain words; every one must occur in path, summary or tags, or begin a
    /// word that does.
    query: String,
    /// How many matches, best first. Default: 10; at most 200.
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SearchBody {
    /// What was found, best first.
    matches: Vec<MatchBody>,
}

/// A span that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MatchBody {
    path: String,
    start_line: u64,
    end_line: u64,
    summary: String,
    tags: Vec<String>,
    /// Whether the lines are still what was described.
    is_current: bool,
    /// Hash of the lines that were described.
    #[serde(skip_serializing_if = "Option::is_none")]
    span_sha256: Option<String>,
    /// Who described them.
    agent: String,
    /// When, RFC 3339.
    time: String,
    /// How well it fits: more is better.
    score: f64,
}

impl Spec for Enrich {
    const NAME: &'static str = "rag_enrich";
    const TITLE: &'static str = "Describe pieces of source";
    const DOC: &'static str = "Stores what pieces of source are about in the retrieval database, \
        so that rag_search finds them. Descriptions of lines that have changed are left out and \
        named.";
    const EFFECT: Effect = Effect::Adds;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = EnrichArguments;
    type Body = EnrichBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: EnrichArguments) -> Told<EnrichBody> {
        let spans = arguments.spans.into_iter().enumerate();
        let spans = spans.map(|(index, one)| one.into_span(index));
        match spans.collect() {
            Ok(spans) => cx.call(Request::Enrich(spans)).await.and_then(enriched),
            Err(error) => Box::<ErrorBody>::into(error),
        }
    }
}

impl Spec for Search {
    const NAME: &'static str = "rag_search";
    const TITLE: &'static str = "Find pieces of source";
    const DOC: &'static str = "Finds pieces of source by what rag_enrich stored about them. Waits \
        for nobody.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = SearchArguments;
    type Body = SearchBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: SearchArguments) -> Told<SearchBody> {
        let limit = arguments.limit.unwrap_or(MATCHES);
        if limit == 0 || limit > MATCHES_MAX {
            return ErrorBody::invalid("limit", format!("is {limit}; it is 1 to {MATCHES_MAX}"))
                .into();
        }
        let length = arguments.query.len();
        if length > QUERY_BYTES_MAX {
            let message = format!("has {length} bytes; at most {QUERY_BYTES_MAX}");
            return ErrorBody::invalid("query", message).into();
        }
        let found = cx.ask(move |backend| backend.find_spans(&arguments.query, limit));
        let found = found.await.map(|found| SearchBody {
            matches: found.into_iter().map(MatchBody::from).collect(),
        });
        found.into()
    }
}

impl SpanArgument {
    fn into_span(self, index: usize) -> Result<Span, Box<ErrorBody>> {
        let field = format!("spans[{index}].span_sha256");
        Ok(Span {
            path: self.path,
            start_line: self.start_line,
            end_line: self.end_line,
            summary: self.summary,
            tags: self.tags.unwrap_or_default(),
            sha256: hash(&field, self.span_sha256.as_deref())?,
        })
    }
}

fn enriched(reply: Reply) -> Result<EnrichBody, Box<ErrorBody>> {
    match reply {
        Reply::Receipt(Receipt::Enriched {
            enriched,
            skipped,
            token,
            waited_ms,
        }) => Ok(EnrichBody {
            enriched,
            skipped: skipped.into_iter().map(SkippedBody::from).collect(),
            fencing_token: token.number(),
            waited_ms,
        }),
        other => Err(mixed_up(&other)),
    }
}

impl From<SkippedSpan> for SkippedBody {
    fn from(span: SkippedSpan) -> Self {
        Self {
            path: span.path,
            start_line: span.start_line,
            end_line: span.end_line,
            reason: match span.reason {
                SkipReason::Changed => ReasonWord::Changed,
                SkipReason::OutOfRange => ReasonWord::OutOfRange,
                SkipReason::Missing => ReasonWord::Missing,
            },
            current_sha256: span.current.map(String::from),
        }
    }
}

impl From<FoundSpan> for MatchBody {
    fn from(span: FoundSpan) -> Self {
        Self {
            path: span.path,
            start_line: span.start_line,
            end_line: span.end_line,
            summary: span.summary,
            tags: span.tags,
            is_current: span.is_current,
            span_sha256: span.sha256.map(String::from),
            agent: span.agent,
            time: rfc3339(span.wall_ms),
            score: span.score,
        }
    }
}
