//! What an agent asks for in one transaction.
//!
//! Owns: its parts and the texts of its documents. Promises: a text is made from
//! the content that its source will have when the transaction takes effect, as
//! far as its author can know; whoever cannot be sure of that content names it.
//! Leaves to others: the lines of files (`client`).

use maasl_core::coordinator::graph::{GraphPatch, MAIN};
use maasl_core::coordinator::io::{DocumentWanted, FileOp, OnStale};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::graph::seen::Seen;

use super::{Client, graph_changes, with_line};
use crate::checks::text_of;
use crate::observe::RequestNo;
use crate::plan::{GraphEdit, Together};

impl Client {
    pub(super) fn transaction(
        &mut self,
        parts: &Together,
        request: RequestNo,
    ) -> TransactionWanted {
        self.count += 1;
        let files = parts.paths.iter().map(|path| {
            if parts.documents.contains(path) {
                self.line(path)
            } else {
                self.edit(path)
            }
        });
        let documents = parts.documents.iter().map(|path| {
            let changes = parts.paths.contains(path);
            self.document_along(path, changes, request)
        });
        TransactionWanted {
            files: files.collect(),
            database: (parts.rows > 0).then(|| self.add_rows(&parts.db, parts.rows, request)),
            documents: documents.collect(),
            graph: parts.patch.map(|edit| graph_patch(edit, request)),
        }
    }

    /// The file with the agent's line counted up, and refused where it is no
    /// longer what the agent has seen: what it becomes is known beforehand.
    fn line(&self, path: &str) -> FileOp {
        FileOp::Write {
            path: path.into(),
            content: self.with_own_line(path).into_bytes(),
            base: self.base(path),
            on_stale: OnStale::Refuse,
        }
    }

    /// A document of what its source becomes, or of what it was when the agent
    /// read it.
    fn document_along(&self, path: &str, changes: bool, request: RequestNo) -> DocumentWanted {
        let author = format!("{} {}", self.name, request.0);
        let source = if changes {
            self.with_own_line(path).into_bytes()
        } else {
            let seen = self.seen.get(path);
            seen.map_or(Vec::new(), |seen| seen.bytes.to_vec())
        };
        DocumentWanted {
            path: path.into(),
            content: Some(text_of(path, &source, &author).into_bytes()),
            made_from: self.base(path).filter(|_| !changes),
            replaces: None,
        }
    }

    fn with_own_line(&self, path: &str) -> String {
        with_line(&self.text(path), &self.name, self.count)
    }
}

pub(super) fn graph_patch(edit: GraphEdit, request: RequestNo) -> GraphPatch {
    GraphPatch {
        graph: MAIN.into(),
        changes: graph_changes(edit, request),
        seen: edit.blind.then(Seen::nothing),
    }
}
