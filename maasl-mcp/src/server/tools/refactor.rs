//! `refactor_file`.
//!
//! Owns: the tool's arguments. Promises: all changes go to the core as one.
//! Leaves to others: making them whole or not at all.

use maasl_core::coordinator::io::{FileOp, Request};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::changed::{ManyBody, many};
use super::edit::{self, Replacement};
use super::relocate::{self, Gone, Moved};
use super::{Effect, Spec, write};
use crate::server::arguments::{GUARDED, parse};
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// The tool.
pub(crate) struct RefactorFile;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The changes, of one or many files: all are made, or none. Each has an
    /// `op` and the arguments of the tool of that name.
    #[schemars(with = "Vec<Change>")]
    changes: Vec<Value>,
    /// Shows what would change, as `diff`, and changes nothing.
    dry_run: Option<bool>,
}

// Only its schema is used: a tagged enum would not say which field of which
// change is wrong.
/// One change.
#[derive(JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
#[expect(dead_code, reason = "the schema is all that is wanted of it")]
pub(super) enum Change {
    Write(write::Arguments),
    Edit(Edited),
    Move(Moved),
    Delete(Gone),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edited {
    /// The file, relative to the root.
    path: String,
    /// The replacements, each applied to the result of those before it.
    edits: Vec<Replacement>,
    /// Hash of the content the edits were made for; what you last read if not
    /// given.
    base_sha256: Option<String>,
}

impl Spec for RefactorFile {
    const NAME: &'static str = "refactor_file";
    const TITLE: &'static str = "Change several files at once";
    const DOC: &'static str = "Makes several changes of one or many files, all or nothing: whoever \
        writes next finds all of them or none (a reader in the middle may see some).";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = ManyBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<ManyBody> {
        let request = match ops(arguments.changes) {
            Ok(ops) if arguments.dry_run.unwrap_or(false) => Request::Preview(ops),
            Ok(ops) => Request::Change(ops),
            Err(error) => return error.into(),
        };
        cx.call(request).await.and_then(many)
    }
}

/// The operations that these changes name.
pub(super) fn ops(changes: Vec<Value>) -> Result<Vec<FileOp>, Box<ErrorBody>> {
    let changes = changes.into_iter().enumerate();
    changes.map(|(at, change)| op(at, change)).collect()
}

fn op(index: usize, mut change: Value) -> Result<FileOp, Box<ErrorBody>> {
    let at = format!("changes[{index}]");
    let dotted = format!("{at}.");
    let name = change
        .as_object_mut()
        .and_then(|object| object.remove("op"));
    match name.as_ref().and_then(Value::as_str) {
        Some("write") => parse::<write::Arguments>(&at, change)?.into_op(&dotted),
        Some("edit") => {
            let edited: Edited = parse(&at, change)?;
            let base = edited.base_sha256.as_deref();
            edit::op(&dotted, edited.path, edited.edits, base)
        }
        Some("move") => relocate::move_op(&dotted, parse(&at, change)?),
        Some("delete") => relocate::delete_op(&dotted, parse(&at, change)?),
        _ => {
            let message = "is one of `write`, `edit`, `move` and `delete`";
            Err(ErrorBody::invalid(&format!("{at}.op"), message))
        }
    }
}
