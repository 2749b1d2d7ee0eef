//! The tools, one file per family.
//!
//! Owns: what a tool is, and the list of all. Promises: names, arguments and
//! results are those of the published surface. Leaves to others: the steps that
//! all tools share (`invoke`) and every decision (the backend).

mod changed;
mod db_write;
mod docs;
mod edit;
mod graph;
mod history;
mod lease;
mod locks;
mod rag;
mod read;
mod refactor;
mod relocate;
mod stats;
mod transaction;
mod write;

pub(crate) use graph::{graph_json, query as graph_query};
pub(crate) use locks::locks_json;
pub(crate) use stats::{stats_hour, stats_json};

use std::future::Future;
use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::backend::Backend;
use super::context::Cx;
use super::envelope::Told;
use super::handler::Entry;
use super::{invoke, schema};

/// A tool.
pub(crate) trait Spec: 'static {
    /// Its name in the protocol.
    const NAME: &'static str;
    /// Its name for people.
    const TITLE: &'static str;
    /// What it does and when to use it, for models.
    const DOC: &'static str;
    /// What it does to the world.
    const EFFECT: Effect;
    /// The shared arguments it takes, one of the lists in `arguments`.
    const COMMON: &'static [&'static str];
    /// Its own arguments.
    type Arguments: DeserializeOwned + JsonSchema + Send;
    /// Its result.
    type Body: Serialize + JsonSchema + Send;

    /// Does it.
    fn run<B: Backend>(
        cx: Cx<B>,
        arguments: Self::Arguments,
    ) -> impl Future<Output = Told<Self::Body>> + Send;
}

/// What a tool does to the world.
#[derive(Clone, Copy)]
pub(crate) enum Effect {
    /// Nothing.
    Reads,
    /// Changes that take nothing away.
    Adds,
    /// Changes that replace or remove.
    Replaces,
}

/// Every tool, in the order in which they are listed.
pub(crate) fn all<B: Backend>() -> Vec<Entry<B>> {
    vec![
        entry::<B, read::ReadFile>(),
        entry::<B, write::WriteFile>(),
        entry::<B, edit::EditFile>(),
        entry::<B, refactor::RefactorFile>(),
        entry::<B, relocate::MoveFile>(),
        entry::<B, relocate::DeleteFile>(),
        entry::<B, history::FileHistory>(),
        entry::<B, history::FileRestore>(),
        entry::<B, lease::Acquire>(),
        entry::<B, lease::Renew>(),
        entry::<B, lease::Release>(),
        entry::<B, db_write::DbWrite>(),
        entry::<B, rag::Enrich>(),
        entry::<B, rag::Search>(),
        entry::<B, graph::Patch>(),
        entry::<B, graph::Query>(),
        entry::<B, docs::DocgenFile>(),
        entry::<B, docs::DocgenCheck>(),
        entry::<B, transaction::Transaction>(),
        entry::<B, locks::Locks>(),
        entry::<B, stats::Stats>(),
        entry::<B, docs::DocgenStatus>(),
    ]
}

fn entry<B: Backend, T: Spec>() -> Entry<B> {
    let (reads, destructive) = match T::EFFECT {
        Effect::Reads => (true, false),
        Effect::Adds => (false, false),
        Effect::Replaces => (false, true),
    };
    // A change is done again unless an idempotency key says it is the same.
    let annotations = ToolAnnotations::with_title(T::TITLE)
        .read_only(reads)
        .destructive(destructive)
        .idempotent(reads)
        .open_world(false);
    let told = !T::COMMON.is_empty();
    let tool = Tool::new(T::NAME, T::DOC, schema::input::<T::Arguments>(T::COMMON))
        .with_title(T::TITLE)
        .with_raw_output_schema(Arc::new(schema::output::<T::Body>(told)))
        .with_annotations(annotations);
    Entry {
        tool,
        run: invoke::run::<B, T>,
    }
}
