//! `docgen_file`.
//!
//! Owns: the tool's arguments and results. Promises: an agent that is asked for
//! the content gets with the question all that it needs to answer. Leaves to
//! others: whether a document has to be made (the core).

use maasl_core::coordinator::io::{DocumentWanted, NeedsContent, Reply, Request};
use maasl_core::id::Token;
use maasl_core::reply::{FileChanged, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::arguments::{GUARDED, hash};
use crate::server::backend::Backend;
use crate::server::content::{Encoding, encode};
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::tools::{Effect, Spec};

/// The tool.
pub(crate) struct DocgenFile;

/// A document to be made, or asked about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// The source file to document, relative to the root.
    path: String,
    /// The document as Markdown, without a SHA256 header. Leave it out to ask
    /// whether there is anything to write.
    content: Option<String>,
    /// The `sha256` that came with `needs_content`; needed with `content`.
    source_sha256: Option<String>,
    /// Hash of an existing document without a SHA256 header that may be
    /// replaced: somebody wrote it by hand.
    replace_sha256: Option<String>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// `generated`: the document was written. `noop`: it was made from this
    /// source already. `needs_content`: write it, and call again with `content`
    /// and `source_sha256`.
    status: &'static str,
    /// The source, relative to the root.
    source_path: String,
    /// The document, relative to the root.
    doc_path: String,
    /// Hash of the source, which the document's header names.
    sha256: String,
    /// The source, if you are to write its document.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// How `source` is written: `utf-8`, or `base64` for bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<Encoding>,
    /// Hash of the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    document_sha256: Option<String>,
    /// Hash of the document that was replaced; it is kept, see `file_history`.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_sha256: Option<String>,
    /// The number of the document's new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// The token the document was written under.
    #[serde(skip_serializing_if = "Option::is_none")]
    fencing_token: Option<u64>,
    /// How long the call waited for its turn.
    waited_ms: u64,
}

impl Spec for DocgenFile {
    const NAME: &'static str = "docgen_file";
    const TITLE: &'static str = "Document a source file";
    const DOC: &'static str = "Makes the document of a source file, once for each content of the \
        source. Call it with `path` alone: if it answers `needs_content`, write the document for \
        the source that comes with it and call again.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        match arguments.wanted("") {
            Ok(wanted) => cx.call(Request::Document(wanted)).await.and_then(body),
            Err(error) => error.into(),
        }
    }
}

impl Arguments {
    /// What is asked for; `at` is where these arguments stand among others, with a
    /// dot at its end.
    pub(crate) fn wanted(self, at: &str) -> Result<DocumentWanted, Box<ErrorBody>> {
        let field = |name| format!("{at}{name}");
        Ok(DocumentWanted {
            path: self.path,
            content: self.content.map(String::into_bytes),
            made_from: hash(&field("source_sha256"), self.source_sha256.as_deref())?,
            replaces: hash(&field("replace_sha256"), self.replace_sha256.as_deref())?,
        })
    }
}

fn body(reply: Reply) -> Result<Body, Box<ErrorBody>> {
    match reply {
        Reply::NeedsContent(needs) => Ok(needs_content(needs)),
        Reply::Receipt(Receipt::Fresh {
            source,
            document,
            source_sha256,
            sha256,
            waited_ms,
        }) => Ok(Body {
            status: "noop",
            source_path: source,
            doc_path: document,
            sha256: source_sha256.to_string(),
            document_sha256: Some(sha256.to_string()),
            waited_ms,
            ..Body::default()
        }),
        Reply::Receipt(Receipt::Changed {
            mut files,
            token,
            waited_ms,
            ..
        }) if files.len() == 1 => generated(files.remove(0), token, waited_ms),
        other => Err(mixed_up(&other)),
    }
}

fn needs_content(needs: NeedsContent) -> Body {
    let (source, encoding) = encode(&needs.content);
    Body {
        status: "needs_content",
        source_path: needs.source,
        doc_path: needs.document,
        sha256: needs.source_sha256.to_string(),
        source: Some(source),
        encoding: Some(encoding),
        ..Body::default()
    }
}

fn generated(file: FileChanged, token: Token, waited_ms: u64) -> Result<Body, Box<ErrorBody>> {
    let Some(made) = file.document else {
        return Err(mixed_up(&Reply::Preview(vec![file])));
    };
    Ok(Body {
        status: "generated",
        source_path: made.source,
        doc_path: file.path,
        sha256: made.source_sha256.to_string(),
        document_sha256: file.sha256.map(String::from),
        previous_sha256: file.previous_sha256.map(String::from),
        version: Some(file.version),
        fencing_token: Some(token.number()),
        waited_ms,
        ..Body::default()
    })
}
