//! `write_file`.
//!
//! Owns: the tool's arguments. Promises: the bytes given, and no others. Leaves to
//! others: whether they may replace what is there.

use maasl_core::coordinator::io::{FileOp, OnStale, Request};
use schemars::JsonSchema;
use serde::Deserialize;

use super::changed::{OneBody, one};
use super::{Effect, Spec};
use crate::server::arguments::{GUARDED, hash};
use crate::server::backend::Backend;
use crate::server::content::{Encoding, decode};
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// The tool.
pub(crate) struct WriteFile;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The file, relative to the root; it is created if there is none.
    path: String,
    /// The whole new content.
    content: String,
    /// How `content` is written: `utf-8` (default), or `base64` for bytes.
    encoding: Option<Encoding>,
    /// Hash of the content this replaces; what you last read if not given.
    base_sha256: Option<String>,
    /// If somebody changed the file since: `refuse` (default), or `merge` both
    /// changes if they touch different lines.
    on_stale: Option<StaleArgument>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StaleArgument {
    Refuse,
    Merge,
}

impl Arguments {
    /// The change asked for; `at` is where in the arguments it was, with a dot.
    pub(crate) fn into_op(self, at: &str) -> Result<FileOp, Box<ErrorBody>> {
        let field = |name: &str| format!("{at}{name}");
        let encoding = self.encoding.unwrap_or_default();
        Ok(FileOp::Write {
            path: self.path,
            content: decode(&field("content"), self.content, encoding)?,
            base: hash(&field("base_sha256"), self.base_sha256.as_deref())?,
            on_stale: match self.on_stale {
                None | Some(StaleArgument::Refuse) => OnStale::Refuse,
                Some(StaleArgument::Merge) => OnStale::Merge,
            },
        })
    }
}

impl Spec for WriteFile {
    const NAME: &'static str = "write_file";
    const TITLE: &'static str = "Write a file";
    const DOC: &'static str = "Creates a file or replaces its whole content, if it is still what \
        you last read. For a small change of a large file use edit_file.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = OneBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<OneBody> {
        match arguments.into_op("") {
            Ok(op) => cx.call(Request::Change(vec![op])).await.and_then(one),
            Err(error) => error.into(),
        }
    }
}
