//! `llmc_docgen_status`.
//!
//! Owns: how a line of the log of operations on documents is shown. Promises:
//! newest first, over all processes and restarts. Leaves to others: the log.

use maasl_core::docgen::DocgenRecord;
use maasl_core::docgen::record::RECORDS_MAX;
use maasl_core::lease::StoreClock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::arguments::NOTHING;
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::time::rfc3339;
use crate::server::tools::{Effect, Spec};

/// Lines shown if the caller does not say how many.
const LINES: u32 = 10;

/// The tool.
pub(crate) struct DocgenStatus;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// How many operations, newest first. Default: 10; at most 1000.
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// How many operations are listed.
    count: u64,
    /// The operations, newest first.
    operations: Vec<OperationBody>,
    /// How many operations are remembered.
    buffer_size: u32,
    /// When this was so, RFC 3339.
    timestamp: String,
}

/// One call of `docgen_file` that was over.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OperationBody {
    /// `generated`, `noop` or `error`.
    status: &'static str,
    /// The source, relative to the root.
    source_file: String,
    /// The document, relative to the root.
    doc_path: String,
    /// Hash of the source; null for an error.
    hash: Option<String>,
    duration_ms: u64,
    /// Why it was refused or failed; null if it was not.
    error: Option<String>,
    agent_id: String,
    session_id: String,
    /// When it was over, RFC 3339.
    timestamp: String,
}

impl From<DocgenRecord> for OperationBody {
    fn from(record: DocgenRecord) -> Self {
        Self {
            status: record.status.name(),
            source_file: record.source,
            doc_path: record.document,
            hash: record.hash.map(String::from),
            duration_ms: record.duration_ms,
            error: record.error,
            agent_id: record.owner.agent.to_string(),
            session_id: record.owner.session.to_string(),
            timestamp: rfc3339(record.wall_ms),
        }
    }
}

impl Spec for DocgenStatus {
    const NAME: &'static str = "llmc_docgen_status";
    const TITLE: &'static str = "Show what was documented";
    const DOC: &'static str = "Lists the last operations on documents, by all agents: what was \
        generated, what was up to date, what failed and why.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        let limit = arguments.limit.unwrap_or(LINES);
        if limit == 0 || limit > RECORDS_MAX {
            return ErrorBody::invalid("limit", format!("is 1 to {RECORDS_MAX}")).into();
        }
        let log = cx.ask(move |backend| backend.docgen_log(limit)).await;
        log.map(|(log, clock)| body(log, clock)).into()
    }
}

fn body(log: Vec<DocgenRecord>, clock: StoreClock) -> Body {
    Body {
        count: log.len() as u64,
        operations: log.into_iter().map(OperationBody::from).collect(),
        buffer_size: RECORDS_MAX,
        timestamp: rfc3339(clock.wall_ms),
    }
}
