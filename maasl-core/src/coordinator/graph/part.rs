//! A patch of a graph as a part of a transaction.
//!
//! Owns: making it beforehand, and what its answer says. Promises: it is appended
//! by the end of the commit that it is a part of, or never; it asks for no lease,
//! since the order of patches decides nothing. Leaves to others: everything else
//! about patches (`graph`), and the commit.

use super::{GraphPatch, catch_up, check, check_name, foresee, graph_key, seal, seen_by};
use crate::coordinator::call::Cx;
use crate::graph::patch::Patch;
use crate::lease::row::CommitPatch;
use crate::refusal::Refusal;
use crate::reply::GraphChanged;
use crate::resource::ResourceKey;

/// A patch that is made and not appended.
pub(in crate::coordinator) struct Part {
    patch: Patch,
    row: CommitPatch,
}

impl Part {
    pub(in crate::coordinator) async fn prepare(
        cx: &Cx,
        asked: GraphPatch,
    ) -> Result<Self, Refusal> {
        let graph = asked.graph;
        check_name(&graph)?;
        let checked = check(cx, &asked.changes)?;
        catch_up(cx, &graph, false).await?;
        let seen = seen_by(cx, &graph, asked.seen).await?;
        let patch = seal(cx, &graph, checked, seen).await?;
        let row = CommitPatch::of(&graph, &patch);
        Ok(Self { patch, row })
    }

    /// What it does to the graph as that is now.
    pub(in crate::coordinator) async fn foreseen(&self, cx: &Cx) -> Result<GraphChanged, Refusal> {
        catch_up(cx, &self.row.graph, false).await?;
        let (changed, _) = foresee(cx, &self.row.graph, &self.patch);
        Ok(changed)
    }

    /// The key of its graph.
    pub(in crate::coordinator) fn key(&self, cx: &Cx) -> ResourceKey {
        graph_key(cx, &self.row.graph)
    }

    /// What the intent remembers.
    pub(in crate::coordinator) fn row(&self) -> CommitPatch {
        self.row.clone()
    }
}
