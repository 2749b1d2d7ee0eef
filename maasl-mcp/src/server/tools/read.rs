//! `read_file`.
//!
//! Owns: the tool's arguments and result. Promises: the bytes of the file as they
//! are, or refused where they are too many. Leaves to others: what the agent has
//! now seen.

use maasl_core::coordinator::io::{FileRead, Reply, Request};
use maasl_core::refusal::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Spec};
use crate::server::arguments::AGENT;
use crate::server::backend::Backend;
use crate::server::content::{Encoding, cut, encode};
use crate::server::context::{Cx, mixed_up};
use crate::server::details::HolderBody;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// The tool.
pub(crate) struct ReadFile;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The file, relative to the root.
    path: String,
    /// First line to return, from 1; the whole file if neither line is given.
    start_line: Option<u64>,
    /// Last line to return, included.
    end_line: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// Path relative to the root.
    path: String,
    /// The content, or the lines asked for.
    content: String,
    /// How `content` is written: `base64` if it is not UTF-8.
    encoding: Encoding,
    /// Hash of the whole file; pass it as `base_sha256`.
    sha256: String,
    /// The version of this content; null where it is not known.
    version: Option<u64>,
    /// Bytes of the whole file.
    size: u64,
    /// First line returned, if lines were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    start_line: Option<u64>,
    /// Last line returned.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_line: Option<u64>,
    /// Lines of the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_lines: Option<u64>,
    /// Who holds a lease on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_by: Option<HolderBody>,
}

impl Spec for ReadFile {
    const NAME: &'static str = "read_file";
    const TITLE: &'static str = "Read a file";
    const DOC: &'static str = "Reads a file, whole or some lines, and remembers that you have \
        seen this content: a later write or edit is accepted if the file is still the same.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = AGENT;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        let limit = cx.backend.config().limits.max_read_bytes;
        let Arguments {
            path,
            start_line,
            end_line,
        } = arguments;
        let told = cx.call(Request::Read(path)).await;
        told.and_then(|reply| match reply {
            Reply::Read(read) => body(&read, (start_line, end_line), limit),
            other => Err(mixed_up(&other)),
        })
    }
}

fn body(
    read: &FileRead,
    (start, end): (Option<u64>, Option<u64>),
    limit: u64,
) -> Result<Body, Box<ErrorBody>> {
    let lines = (start.is_some() || end.is_some())
        .then(|| cut(&read.content, start, end))
        .transpose()?;
    let bytes = lines.as_ref().map_or(&*read.content, |lines| lines.bytes);
    if bytes.len() as u64 > limit {
        return Err(too_large(read.content.len(), limit));
    }
    let (content, encoding) = encode(bytes);
    Ok(Body {
        path: read.path.clone(),
        content,
        encoding,
        sha256: read.sha256.to_string(),
        version: read.version,
        size: read.content.len() as u64,
        start_line: lines.as_ref().map(|lines| lines.start),
        end_line: lines.as_ref().map(|lines| lines.end),
        total_lines: lines.as_ref().map(|lines| lines.total),
        held_by: read.held_by.as_ref().map(HolderBody::from),
    })
}

fn too_large(size: usize, limit: u64) -> Box<ErrorBody> {
    let refusal = Refusal::LimitReached {
        limit: "max_read_bytes".to_owned(),
        value: limit,
    };
    let hint = format!("the file has {size} bytes: read it in parts, by start_line and end_line");
    Box::new(ErrorBody::from(refusal)).with_hint(hint)
}
