//! `edit_file`.
//!
//! Owns: the tool's arguments. Promises: edits reach the core in the order given.
//! Leaves to others: finding the places (`maasl_core::text`).

use maasl_core::coordinator::io::{FileOp, Request};
use maasl_core::text::edit::Edit;
use schemars::JsonSchema;
use serde::Deserialize;

use super::changed::{OneBody, one};
use super::{Effect, Spec};
use crate::server::arguments::{GUARDED, hash};
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// The tool.
pub(crate) struct EditFile;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The file, relative to the root.
    path: String,
    /// The replacements, each applied to the result of those before it; all or
    /// none.
    edits: Vec<Replacement>,
    /// Hash of the content the edits were made for; what you last read if not
    /// given.
    base_sha256: Option<String>,
    /// Shows what would change, as `diff`, and changes nothing.
    dry_run: Option<bool>,
}

/// One replacement.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Replacement {
    /// The text to replace, exactly as it stands in the file, with enough lines
    /// around it to occur only where it is meant.
    old_text: String,
    /// The text to put in its place.
    new_text: String,
    /// How often `old_text` occurs; all of them are replaced. Default: 1.
    expected_replacements: Option<u32>,
}

impl From<Replacement> for Edit {
    fn from(replacement: Replacement) -> Self {
        Self {
            old_text: replacement.old_text,
            new_text: replacement.new_text,
            expected_replacements: replacement.expected_replacements.unwrap_or(1),
        }
    }
}

/// An edit of a file; `at` is where in the arguments it was, with a dot.
pub(crate) fn op(
    at: &str,
    path: String,
    edits: Vec<Replacement>,
    base_sha256: Option<&str>,
) -> Result<FileOp, Box<ErrorBody>> {
    Ok(FileOp::Edit {
        path,
        edits: edits.into_iter().map(Edit::from).collect(),
        base: hash(&format!("{at}base_sha256"), base_sha256)?,
    })
}

impl Spec for EditFile {
    const NAME: &'static str = "edit_file";
    const TITLE: &'static str = "Edit a file";
    const DOC: &'static str = "Replaces pieces of a file. If somebody changed other places since \
        you read it, the edits are applied to what is there now (`rebased`).";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = OneBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<OneBody> {
        let base = arguments.base_sha256.as_deref();
        let op = match op("", arguments.path, arguments.edits, base) {
            Ok(op) => vec![op],
            Err(error) => return error.into(),
        };
        let request = if arguments.dry_run.unwrap_or(false) {
            Request::Preview(op)
        } else {
            Request::Change(op)
        };
        cx.call(request).await.and_then(one)
    }
}
