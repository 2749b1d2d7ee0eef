//! `move_file` and `delete_file`.
//!
//! Owns: the tools' arguments. Promises: translation only. Leaves to others:
//! whether the file is still what the agent has seen.

use maasl_core::coordinator::io::{FileOp, Request};
use schemars::JsonSchema;
use serde::Deserialize;

use super::changed::{OneBody, one};
use super::{Effect, Spec};
use crate::server::arguments::{GUARDED, hash};
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// `move_file`.
pub(crate) struct MoveFile;
/// `delete_file`.
pub(crate) struct DeleteFile;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Moved {
    /// The file, relative to the root.
    #[serde(alias = "path")]
    source: String,
    /// Its new path; there must be no file yet.
    destination: String,
    /// Hash of the content that is moved; what you last read if not given.
    base_sha256: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gone {
    /// The file, relative to the root.
    path: String,
    /// Hash of the content that is removed; what you last read if not given.
    base_sha256: Option<String>,
}

/// A move; `at` is where in the arguments it was, with a dot.
pub(crate) fn move_op(at: &str, moved: Moved) -> Result<FileOp, Box<ErrorBody>> {
    Ok(FileOp::Move {
        source: moved.source,
        destination: moved.destination,
        base: hash(&format!("{at}base_sha256"), moved.base_sha256.as_deref())?,
    })
}

/// A removal; `at` is where in the arguments it was, with a dot.
pub(crate) fn delete_op(at: &str, gone: Gone) -> Result<FileOp, Box<ErrorBody>> {
    Ok(FileOp::Delete {
        path: gone.path,
        base: hash(&format!("{at}base_sha256"), gone.base_sha256.as_deref())?,
    })
}

impl Spec for MoveFile {
    const NAME: &'static str = "move_file";
    const TITLE: &'static str = "Move a file";
    const DOC: &'static str = "Gives a file another path, if it is still what you last read and \
        nothing is at the new one.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Moved;
    type Body = OneBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Moved) -> Told<OneBody> {
        change(cx, move_op("", arguments)).await
    }
}

impl Spec for DeleteFile {
    const NAME: &'static str = "delete_file";
    const TITLE: &'static str = "Delete a file";
    const DOC: &'static str = "Removes a file, if it is still what you last read. file_restore \
        brings it back.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Gone;
    type Body = OneBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Gone) -> Told<OneBody> {
        change(cx, delete_op("", arguments)).await
    }
}

async fn change<B: Backend>(cx: Cx<B>, op: Result<FileOp, Box<ErrorBody>>) -> Told<OneBody> {
    match op {
        Ok(op) => cx.call(Request::Change(vec![op])).await.and_then(one),
        Err(error) => error.into(),
    }
}
