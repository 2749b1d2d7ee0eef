//! Changes across resource classes, all or nothing.
//!
//! Owns: what one call changes in files, documents, a database and a graph together. One
//! lease over everything, one token, one commit. Promises: if any part is
//! refused, nothing has happened; whoever dies when, everything has happened or
//! nothing. Leaves to others: the parts themselves (`change`, `docgen`,
//! `database`), the commit (`commit`) and its recovery (`settle`).

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::call::Cx;
use super::change::{self, Changes};
use super::database::{self, DatabaseWrite, Guarded};
use super::docgen::lock;
use super::docgen::{Part, Work};
use super::facts;
use super::graph::{self, GraphPatch, PatchPart};
use super::io::{Call, DocumentWanted, Effect, FileOp};
use super::right::{self, Right};
use crate::docgen::DocgenStatus;
use crate::policy::{CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META};
use crate::refusal::Refusal;
use crate::reply::{FreshDocument, Receipt};
use crate::resource::Want;

/// The part in a database, in the names of fields.
pub(super) const DATABASE: &str = "database";

/// What is changed together.
#[derive(Clone, Debug, Default)]
pub struct TransactionWanted {
    /// Files.
    pub files: Vec<FileOp>,
    /// A database. It is one at most: two cannot be committed at one instant.
    pub database: Option<DatabaseWrite>,
    /// Documents, each with its content.
    pub documents: Vec<DocumentWanted>,
    /// A patch of a graph.
    pub graph: Option<GraphPatch>,
}

/// Changes what is asked for, all or nothing.
pub(super) async fn transact(
    cx: &Cx,
    call: &Call,
    asked: TransactionWanted,
) -> Result<Receipt, Refusal> {
    if let Some(earlier) = change::recall(cx, call.request.as_ref()).await? {
        graph::told_again(cx, &earlier);
        return Ok(earlier);
    }
    let result = transacted(cx, call, asked).await;
    let result = change::unless_answered(cx, call.request.as_ref(), result).await;
    if let Ok(receipt) = &result {
        graph::told_again(cx, receipt);
    }
    result
}

async fn transacted(cx: &Cx, call: &Call, asked: TransactionWanted) -> Result<Receipt, Refusal> {
    check(cx, &asked)?;
    let files = facts::located(cx, asked.files).await?;
    let mut documents = Vec::new();
    for (at, wanted) in asked.documents.into_iter().enumerate() {
        let found = Work::find(cx, call, wanted).await;
        documents.push(found.map_err(|refusal| refusal.within(&document(at)))?);
    }
    let patch = match asked.graph {
        Some(asked) => {
            let prepared = PatchPart::prepare(cx, asked).await;
            Some(prepared.map_err(|refusal| refusal.within("graph"))?)
        }
        None => None,
    };
    let transaction = Transaction {
        cx,
        patch,
        call,
        files,
        database: asked.database,
        documents,
        budget: database::budget(cx, call),
    };
    let right = right::for_call(cx, call, transaction.needs()).await?;
    transaction.under(&right).await
}

fn check(cx: &Cx, asked: &TransactionWanted) -> Result<(), Refusal> {
    let is_empty = asked.files.is_empty()
        && asked.documents.is_empty()
        && asked.database.is_none()
        && asked.graph.is_none();
    if is_empty {
        return Err(Refusal::invalid("changes", "names nothing to change"));
    }
    let value = cx.config().limits.max_changes;
    if asked.documents.len() as u64 > value {
        let limit = "max_changes".to_string();
        return Err(Refusal::LimitReached { limit, value });
    }
    match &asked.database {
        Some(database) => database::check(cx, database).map_err(|refusal| refusal.within(DATABASE)),
        None => Ok(()),
    }
}

fn document(at: usize) -> String {
    format!("documents[{at}]")
}

struct Transaction<'a> {
    cx: &'a Cx,
    call: &'a Call,
    files: Vec<FileOp>,
    database: Option<DatabaseWrite>,
    documents: Vec<Work<'a>>,
    patch: Option<PatchPart>,
    budget: database::Budget,
}

impl Transaction<'_> {
    /// One lease over everything. It lasts as long as that of the slowest part. A
    /// patch needs none, but by itself it takes that of its graph: nothing else
    /// would keep two copies of one request apart.
    fn needs(&self) -> right::Needs {
        let files = facts::paths(&self.files).into_iter();
        let files = files.map(|path| Want::exclusive(change::file_key(self.cx, &path), CRIT_CODE));
        let database = self.database.iter().map(|database| {
            let key = database::database_key(self.cx, &database.db);
            Want::exclusive(key, CRIT_DB)
        });
        let documents = self.documents.iter().flat_map(Work::wants);
        let mut wants: Vec<Want> = files.chain(database).chain(documents).collect();
        if let (true, Some(patch)) = (wants.is_empty(), &self.patch) {
            wants.push(Want::exclusive(patch.key(self.cx), MERGE_META));
        }
        right::Needs {
            wants,
            class: self.class(),
            purpose: "transaction",
        }
    }

    fn class(&self) -> &'static str {
        if !self.documents.is_empty() {
            IDEMP_DOCS
        } else if self.database.is_some() {
            CRIT_DB
        } else if self.files.is_empty() {
            MERGE_META
        } else {
            CRIT_CODE
        }
    }

    async fn under(&self, right: &Right) -> Result<Receipt, Refusal> {
        if self.documents.is_empty() {
            return self.locked(right).await;
        }
        if let Err(refusal) = lock::enter(self.cx, self.call, self.budget.started).await {
            return Err(change::give_up(self.cx, right, refusal, self.class()).await);
        }
        let result = self.locked(right).await;
        // What is held is dropped with the call in any case.
        let _ = self.cx.perform(Effect::DocgenUnlock).await;
        result
    }

    async fn locked(&self, right: &Right) -> Result<Receipt, Refusal> {
        let (ops, fresh) = match self.parts().await {
            Ok(parts) => parts,
            Err(refusal) => {
                return Err(change::give_up(self.cx, right, refusal, self.class()).await);
            }
        };
        let guarded = self.database.as_ref().map(|asked| Guarded {
            cx: self.cx,
            asked,
            right,
            key: database::database_key(self.cx, &asked.db),
            budget: self.budget,
        });
        let changes = Changes {
            request: self.call.request.as_ref(),
            ops: &ops,
            database: guarded.as_ref(),
            fresh: &fresh,
            patch: self.patch.as_ref(),
        };
        let receipt = change::under(self.cx, changes, right).await?;
        self.tell(&receipt);
        Ok(receipt)
    }

    /// The files that change, those of documents last, and the documents that are
    /// made already.
    async fn parts(&self) -> Result<(Vec<FileOp>, Vec<FreshDocument>), Refusal> {
        let mut ops = self.files.clone();
        let mut fresh = Vec::new();
        if self.documents.is_empty() {
            return Ok((ops, fresh));
        }
        let changed = facts::planned(self.cx, &self.files).await?.files;
        for (at, work) in self.documents.iter().enumerate() {
            let part = work.part(&changed).await;
            match part.map_err(|refusal| refusal.within(&document(at)))? {
                Part::Write(op) => ops.push(op),
                Part::Fresh(left) => fresh.push(left),
            }
        }
        Ok((ops, fresh))
    }

    fn tell(&self, receipt: &Receipt) {
        let Receipt::Changed { beyond, .. } = receipt else {
            return;
        };
        if let Some(changed) = &beyond.graph {
            graph::appended(self.cx, changed);
        }
        for work in &self.documents {
            let is_fresh = beyond.fresh.iter().any(|left| work.is_of(&left.source));
            work.tell(if is_fresh {
                DocgenStatus::Noop
            } else {
                DocgenStatus::Generated
            });
        }
    }
}
