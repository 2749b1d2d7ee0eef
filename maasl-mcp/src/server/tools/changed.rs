//! What changing tools answer.
//!
//! Owns: the fields that describe a changed file. Promises: every tool that
//! changes files calls the same thing by the same name. Leaves to others: which
//! of them a tool shows first.

use maasl_core::coordinator::io::Reply;
use maasl_core::reply::{FileChanged, Receipt, SwapConflict};
use schemars::JsonSchema;
use serde::Serialize;

use crate::server::context::mixed_up;
use crate::server::error::ErrorBody;

/// One changed file.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FileBody {
    /// Path relative to the root.
    pub(crate) path: String,
    /// `write`, `edit`, `move`, `delete` or `restore`.
    pub(crate) op: String,
    /// Where a moved file came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<String>,
    /// Bytes of the new content.
    pub(crate) bytes_written: u64,
    /// Hash of the new content; null if the file was removed.
    pub(crate) sha256: Option<String>,
    /// Hash of what was replaced; null for a new file.
    pub(crate) previous_sha256: Option<String>,
    /// The number of the new version; null if nothing was changed.
    pub(crate) version: Option<u64>,
    /// Whether it was merged with a change you had not seen.
    pub(crate) merged: bool,
    /// Whether the edits were applied to content you had not seen.
    pub(crate) rebased: bool,
    /// How many places were edited.
    pub(crate) replacements: u32,
    /// What changed, as a unified diff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) diff: Option<String>,
    /// A foreign change met while writing; both contents are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) conflict: Option<OutsideBody>,
}

/// A foreign change met while writing.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OutsideBody {
    /// Hash of the outside content; null if the file was removed.
    pub(crate) found_sha256: Option<String>,
    /// Whether the file now holds the outside content.
    pub(crate) outside_stands: bool,
}

/// One changed file and the grant it was changed under.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OneBody {
    #[serde(flatten)]
    pub(crate) file: FileBody,
    /// The token the change was made under; null for a dry run.
    pub(crate) fencing_token: Option<u64>,
    /// How long the call waited.
    pub(crate) waited_ms: u64,
}

/// Several changed files and the grant they were changed under.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ManyBody {
    /// What became of each file, in the order asked.
    pub(crate) files: Vec<FileBody>,
    /// The token all of them were changed under; null for a dry run.
    pub(crate) fencing_token: Option<u64>,
    /// How long the call waited.
    pub(crate) waited_ms: u64,
}

impl From<FileChanged> for FileBody {
    fn from(file: FileChanged) -> Self {
        Self {
            path: file.path,
            op: file.op,
            source: file.source,
            bytes_written: file.bytes_written,
            sha256: file.sha256.map(String::from),
            previous_sha256: file.previous_sha256.map(String::from),
            version: Some(file.version).filter(|version| *version > 0),
            merged: file.merged,
            rebased: file.rebased,
            replacements: file.replacements,
            diff: file.diff,
            conflict: file.conflict.map(OutsideBody::from),
        }
    }
}

impl From<SwapConflict> for OutsideBody {
    fn from(conflict: SwapConflict) -> Self {
        Self {
            found_sha256: conflict.found.map(String::from),
            outside_stands: conflict.outside_stands,
        }
    }
}

/// The files of an answer to a change or a preview.
pub(crate) fn many(reply: Reply) -> Result<ManyBody, Box<ErrorBody>> {
    let (files, token, waited_ms) = match reply {
        Reply::Receipt(Receipt::Changed {
            files,
            token,
            waited_ms,
            ..
        }) => (files, Some(token), waited_ms),
        Reply::Preview(files) => (files, None, 0),
        other => return Err(mixed_up(&other)),
    };
    Ok(ManyBody {
        files: files.into_iter().map(FileBody::from).collect(),
        fencing_token: token.map(maasl_core::id::Token::number),
        waited_ms,
    })
}

/// The one file of an answer to a change or a preview.
pub(crate) fn one(reply: Reply) -> Result<OneBody, Box<ErrorBody>> {
    let asked = format!("{reply:?}");
    let many = many(reply)?;
    let mut files = many.files.into_iter();
    match (files.next(), files.next()) {
        (Some(file), None) => Ok(OneBody {
            file,
            fencing_token: many.fencing_token,
            waited_ms: many.waited_ms,
        }),
        _ => Err(Box::new(
            maasl_core::refusal::Refusal::internal(format!("not one file: {asked}")).into(),
        )),
    }
}
