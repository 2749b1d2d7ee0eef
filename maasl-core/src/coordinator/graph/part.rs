//! A patch of a graph as a part of a transaction.
//!
//! Owns: checking it beforehand, making it, and what its answer says. Promises: what
//! can be wrong with it is refused before anything else is done; its number is drawn
//! when all other parts are ready, and once however often the commit is tried; it is
//! appended by the end of the commit that it is a part of, or never; it asks for no
//! lease, since the order of patches decides nothing. Leaves to others: everything
//! else about patches (`graph`), and the commit.

use alloc::boxed::Box;
use alloc::string::String;

use super::{
    GraphPatch, catch_up, check, check_name, check_whole, foresee, graph_key, seal, seen_by,
};
use crate::coordinator::call::Cx;
use crate::graph::patch::{Checked, Patch};
use crate::graph::seen::Seen;
use crate::lease::row::CommitPatch;
use crate::refusal::Refusal;
use crate::reply::Receipt;
use crate::resource::ResourceKey;

/// A patch that is checked and not made.
pub(in crate::coordinator) struct Part {
    graph: String,
    checked: Checked,
    seen: Seen,
}

/// A patch that is made and not appended.
pub(in crate::coordinator) struct Made {
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
        check_whole(&checked, &seen)?;
        Ok(Self {
            graph,
            checked,
            seen,
        })
    }

    /// The key of its graph.
    pub(in crate::coordinator) fn key(&self, cx: &Cx) -> ResourceKey {
        graph_key(cx, &self.graph)
    }

    /// Makes it, unless an earlier attempt has, and puts into the answer what it does
    /// to the graph as that is now. What the intent remembers is returned.
    pub(in crate::coordinator) async fn join(
        &self,
        cx: &Cx,
        made: &mut Option<Made>,
        receipt: &mut Receipt,
    ) -> Result<Box<CommitPatch>, Refusal> {
        if made.is_none() {
            *made = Some(self.make(cx).await?);
        }
        let made = made.as_ref().expect("it was made just now or before");
        catch_up(cx, &self.graph, false).await?;
        let (changed, _) = foresee(cx, &self.graph, &made.patch);
        if let Receipt::Changed { beyond, .. } = receipt {
            beyond.graph = Some(Box::new(changed));
        }
        Ok(Box::new(made.row.clone()))
    }

    async fn make(&self, cx: &Cx) -> Result<Made, Refusal> {
        let (checked, seen) = (self.checked.clone(), self.seen.clone());
        let patch = seal(cx, &self.graph, checked, seen).await?;
        let row = CommitPatch::of(&self.graph, &patch);
        Ok(Made { patch, row })
    }
}
