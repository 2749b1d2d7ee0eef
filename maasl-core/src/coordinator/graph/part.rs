//! A patch of a graph as a part of a transaction.
//!
//! Owns: making it beforehand, and what its answer says. Promises: it is appended
//! by the end of the commit that it is a part of, or never; it takes no lease,
//! since the order of patches decides nothing. Leaves to others: everything else
//! about patches (`graph`), and the commit.

use alloc::boxed::Box;
use alloc::string::String;

use super::{GraphPatch, catch_up, check, check_name, foresee, seal, seen_by};
use crate::coordinator::call::Cx;
use crate::coordinator::io::Event;
use crate::graph::journal::Bytes;
use crate::graph::patch::Patch;
use crate::lease::row::CommitPatch;
use crate::refusal::Refusal;
use crate::reply::{GraphChanged, Receipt};

/// A patch that is made and not appended.
pub(in crate::coordinator) struct Part {
    graph: String,
    patch: Patch,
    bytes: Bytes,
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
        let seen = seen_by(cx, &graph, asked.seen)?;
        let patch = seal(cx, &graph, checked, seen).await?;
        let bytes = Bytes::from(patch.to_bytes());
        Ok(Self {
            graph,
            patch,
            bytes,
        })
    }

    /// What it does to the graph as that is now.
    pub(in crate::coordinator) async fn foreseen(
        &self,
        cx: &Cx,
    ) -> Result<Box<GraphChanged>, Refusal> {
        catch_up(cx, &self.graph, false).await?;
        let (receipt, _) = foresee(cx, &self.graph, &self.patch);
        let Receipt::Patched {
            graph,
            patch,
            effect,
            conflicts,
            conflicts_total,
            seen,
        } = receipt
        else {
            panic!("what a patch does is told as such");
        };
        Ok(Box::new(GraphChanged {
            graph,
            patch,
            effect,
            conflicts,
            conflicts_total,
            seen,
        }))
    }

    /// What the intent remembers.
    pub(in crate::coordinator) fn row(&self) -> CommitPatch {
        let header = self.patch.header();
        CommitPatch {
            graph: self.graph.clone(),
            patch: self.patch.id(),
            dot: header.dot.clone(),
            stamp: header.stamp,
            bytes: self.bytes.clone(),
        }
    }
}

/// It was appended: its author has seen it.
pub(in crate::coordinator) fn appended(cx: &Cx, changed: &GraphChanged) {
    let agent = &cx.seed.agent;
    let mut shared = cx.seed.shared.borrow_mut();
    shared.graphs.see(agent, &changed.graph, &changed.seen);
    drop(shared);
    cx.event(Event::GraphMerged {
        agent: agent.clone(),
        graph: changed.graph.clone(),
        patch: changed.patch,
        conflicts: changed.conflicts_total,
    });
}
