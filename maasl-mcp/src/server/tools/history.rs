//! `file_history` and `file_restore`.
//!
//! Owns: the tools' arguments and what a version looks like. Promises: newest
//! first. Leaves to others: what is kept, and putting it back.

use maasl_core::coordinator::io::{FileOp, Request};
use maasl_core::lease::Version;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changed::{OneBody, one};
use super::{Effect, Spec};
use crate::server::arguments::{GUARDED, NOTHING, hash};
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::time::rfc3339;

/// Versions listed if the caller does not say how many.
const VERSIONS: u32 = 20;
/// Most versions in one answer.
const VERSIONS_MAX: u32 = 1_000;

/// `file_history`.
pub(crate) struct FileHistory;
/// `file_restore`.
pub(crate) struct FileRestore;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryArguments {
    /// The file, relative to the root; it need not exist any more.
    path: String,
    /// How many versions, newest first. Default: 20; at most 1000.
    limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestoreArguments {
    /// The file, relative to the root.
    path: String,
    /// The number of the version to put back, from `file_history`.
    version: u64,
    /// Hash of the content this replaces; what you last read if not given.
    base_sha256: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct HistoryBody {
    /// Path relative to the root.
    path: String,
    /// The versions, newest first.
    versions: Vec<VersionBody>,
}

/// One version of a file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct VersionBody {
    /// Its number, from 1.
    version: u64,
    /// Hash of the content; null where the file was removed.
    sha256: Option<String>,
    /// Who made it; `outside` for a change that went past MAASL.
    agent: String,
    /// The fencing token it was made under; 0 for `outside`.
    token: u64,
    /// When it was recorded, RFC 3339.
    time: String,
    /// What was done.
    op: String,
    /// Bytes of the content; null where that is not known, for a change that went past
    /// MAASL.
    size: Option<u64>,
    /// Whether the content is kept, so that `file_restore` can bring it back.
    kept: bool,
    /// Whether it is the newest version.
    current: bool,
}

impl VersionBody {
    fn new(version: Version, is_kept: bool, is_current: bool) -> Self {
        let size = version.known_size_bytes();
        Self {
            version: version.number,
            sha256: version.content.map(String::from),
            agent: version.agent.to_string(),
            token: version.token.number(),
            time: rfc3339(version.wall_ms),
            op: version.op,
            size,
            kept: is_kept,
            current: is_current,
        }
    }
}

impl Spec for FileHistory {
    const NAME: &'static str = "file_history";
    const TITLE: &'static str = "History of a file";
    const DOC: &'static str = "Lists the versions of a file, newest first: who changed it, when, \
        and whether the content can be restored.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = HistoryArguments;
    type Body = HistoryBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: HistoryArguments) -> Told<HistoryBody> {
        let limit = arguments.limit.unwrap_or(VERSIONS);
        if limit == 0 || limit > VERSIONS_MAX {
            let message = format!("is 1 to {VERSIONS_MAX}");
            return ErrorBody::invalid("limit", message).into();
        }
        let body = cx.ask(move |backend| {
            let (path, versions) = backend.history(&arguments.path, limit)?;
            let is_kept = |version: &Version| {
                let content = version.content.as_ref();
                content.is_some_and(|content| backend.is_kept(content))
            };
            let versions = versions.into_iter().enumerate();
            let versions = versions.map(|(at, version)| {
                let is_kept = is_kept(&version);
                VersionBody::new(version, is_kept, at == 0)
            });
            Ok(HistoryBody {
                path,
                versions: versions.collect(),
            })
        });
        body.await.into()
    }
}

impl Spec for FileRestore {
    const NAME: &'static str = "file_restore";
    const TITLE: &'static str = "Restore a file";
    const DOC: &'static str = "Puts an earlier version of a file back, as a new version, if the \
        file is still what you last read.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = RestoreArguments;
    type Body = OneBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: RestoreArguments) -> Told<OneBody> {
        let base = match hash("base_sha256", arguments.base_sha256.as_deref()) {
            Ok(base) => base,
            Err(error) => return error.into(),
        };
        let op = FileOp::Restore {
            path: arguments.path,
            version: arguments.version,
            base,
        };
        cx.call(Request::Change(vec![op])).await.and_then(one)
    }
}
