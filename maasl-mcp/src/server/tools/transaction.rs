//! `transaction`.
//!
//! Owns: the tool's arguments and results. Promises: every part is written as in
//! the tool for it alone, and a refusal names the part. Leaves to others: making
//! all of it happen or nothing (the core).

use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::reply::{Beyond, DatabaseChanged, FileChanged, FreshDocument, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::changed::FileBody;
use super::refactor::{Change, ops};
use super::{Effect, Spec, db_write, docs, graph};
use crate::server::arguments::GUARDED;
use crate::server::backend::Backend;
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

/// The tool.
pub(crate) struct Transaction;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Changes of files, as for `refactor_file`.
    #[schemars(with = "Option<Vec<Change>>")]
    changes: Option<Vec<Value>>,
    /// Statements on one database, as for `db_write`.
    database: Option<db_write::Arguments>,
    /// Documents with their content, as for `docgen_file`. `source_sha256` may be
    /// left out for a source that is among `changes`: the document is then for
    /// what the source becomes.
    documents: Option<Vec<docs::DocumentArgument>>,
    /// A patch of a graph, as for `graph_patch`; `graph` in it names which.
    graph: Option<graph::PatchArgument>,
}

/// What was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// What became of each file, in the order asked.
    files: Vec<FileBody>,
    /// What became of the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<DatabaseBody>,
    /// What became of each document.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    documents: Vec<DocumentBody>,
    /// What became of the graph, as of what was known right before.
    #[serde(skip_serializing_if = "Option::is_none")]
    graph: Option<graph::PatchBody>,
    /// The token all of it was done under.
    fencing_token: u64,
    /// How long the call waited.
    waited_ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DatabaseBody {
    /// Its name.
    db: String,
    /// Rows inserted, updated or deleted.
    rows_affected: u64,
    /// The row id of the last insertion, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_rowid: Option<i64>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct DocumentBody {
    /// `generated`, or `noop` if it was made from this source already.
    status: &'static str,
    /// The source, relative to the root.
    source_path: String,
    /// The document, relative to the root.
    doc_path: String,
    /// Hash of the source, which the document's header names.
    sha256: String,
    /// Hash of the document.
    document_sha256: Option<String>,
    /// The number of the document's new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

impl Spec for Transaction {
    const NAME: &'static str = "transaction";
    const TITLE: &'static str = "Change files, a database, documents and a graph at once";
    const DOC: &'static str = "Makes changes of files, statements on one database, documents and a \
        patch of a graph take effect together, all or nothing: if any part is refused or anybody crashes, nothing \
        of it has happened.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        match arguments.wanted() {
            Ok(wanted) => cx.call(Request::Transact(wanted)).await.and_then(body),
            Err(error) => error.into(),
        }
    }
}

impl Arguments {
    fn wanted(self) -> Result<TransactionWanted, Box<ErrorBody>> {
        let database = self.database.map(|write| write.into_write("database."));
        let documents = self.documents.unwrap_or_default();
        let documents = documents.into_iter().enumerate();
        let documents = documents.map(|(at, one)| one.wanted(&format!("documents[{at}].")));
        Ok(TransactionWanted {
            files: ops(self.changes.unwrap_or_default())?,
            database: database.transpose()?,
            documents: documents.collect::<Result<_, _>>()?,
            graph: self
                .graph
                .map(|patch| patch.into_patch("graph."))
                .transpose()?,
        })
    }
}

fn body(reply: Reply) -> Result<Body, Box<ErrorBody>> {
    let Reply::Receipt(Receipt::Changed {
        files,
        token,
        waited_ms,
        beyond,
    }) = reply
    else {
        return Err(mixed_up(&reply));
    };
    let (made, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.document.is_some());
    let Beyond {
        database,
        fresh,
        graph,
    } = beyond;
    let made = made.into_iter().filter_map(generated);
    let fresh = fresh.into_iter().map(noop);
    Ok(Body {
        files: files.into_iter().map(FileBody::from).collect(),
        database: database.map(DatabaseBody::from),
        documents: made.chain(fresh).collect(),
        graph: graph.map(|changed| (*changed).into()),
        fencing_token: token.number(),
        waited_ms,
    })
}

fn generated(file: FileChanged) -> Option<DocumentBody> {
    let made = file.document?;
    Some(DocumentBody {
        status: "generated",
        source_path: made.source,
        doc_path: file.path,
        sha256: made.source_sha256.to_string(),
        document_sha256: file.sha256.map(String::from),
        version: Some(file.version).filter(|version| *version > 0),
    })
}

fn noop(left: FreshDocument) -> DocumentBody {
    DocumentBody {
        status: "noop",
        source_path: left.source,
        doc_path: left.document,
        sha256: left.source_sha256.to_string(),
        document_sha256: Some(left.sha256.to_string()),
        version: None,
    }
}

impl From<DatabaseChanged> for DatabaseBody {
    fn from(changed: DatabaseChanged) -> Self {
        Self {
            db: changed.db,
            rows_affected: changed.rows_affected,
            last_insert_rowid: changed.last_insert_rowid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::arguments::parse;
    use serde_json::json;

    #[test]
    fn every_part_may_be_null() {
        let nothing =
            json!({ "changes": null, "database": null, "documents": null, "graph": null });
        let wanted = parse::<Arguments>("", nothing).unwrap().wanted().unwrap();
        assert!(wanted.files.is_empty() && wanted.documents.is_empty());
        assert!(wanted.database.is_none() && wanted.graph.is_none());
    }
}
