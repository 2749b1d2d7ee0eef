//! `read_file`.
//!
//! Owns: the tool's arguments and result. Promises: the bytes of the file as they
//! are. Leaves to others: which of them were asked for and whether they are too many,
//! and what the agent has now seen (the core).

use maasl_core::coordinator::io::{FileRead, Reply, Request};
use maasl_core::coordinator::read::ReadWanted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Spec};
use crate::server::arguments::AGENT;
use crate::server::backend::Backend;
use crate::server::content::{Encoding, encode};
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
        let Arguments {
            path,
            start_line,
            end_line,
        } = arguments;
        let wanted = ReadWanted {
            path,
            start_line,
            end_line,
            max_bytes: Some(cx.backend.config().limits.max_read_bytes),
        };
        let told = cx.call(Request::Read(wanted.clone())).await;
        told.and_then(|reply| match reply {
            Reply::Read(read) => body(&read, &wanted),
            other => Err(mixed_up(&other)),
        })
    }
}

fn body(read: &FileRead, wanted: &ReadWanted) -> Result<Body, Box<ErrorBody>> {
    let part = wanted.part(&read.content);
    let part = part.map_err(|refusal| Box::new(ErrorBody::from(refusal)))?;
    let (content, encoding) = encode(part.bytes);
    Ok(Body {
        path: read.path.clone(),
        content,
        encoding,
        sha256: read.sha256.to_string(),
        version: read.version,
        size: read.content.len() as u64,
        start_line: part.lines.map(|lines| lines.start),
        end_line: part.lines.map(|lines| lines.end),
        total_lines: part.lines.map(|lines| lines.total),
        held_by: read.held_by.as_ref().map(HolderBody::from),
    })
}
