//! `graph_patch`.
//!
//! Owns: the tool's arguments and results. Promises: a wrong value is named by list
//! and entry. Leaves to others: the rules for ids, names and sizes.

use std::collections::BTreeMap;

use maasl_core::coordinator::graph::{GraphPatch, MAIN};
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::graph::changes::{Changes, Edge};
use maasl_core::graph::seen::Seen;
use maasl_core::reply::{GraphChanged, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::body::{ConflictBody, EdgeBody, NodeBody, properties};
use crate::server::arguments::GUARDED;
use crate::server::backend::Backend;
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::tools::{Effect, Spec};

/// The tool.
pub(crate) struct Patch;

/// Changes of a graph.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Which graph; it begins with its first patch. Default: `main`.
    graph: Option<String>,
    /// Nodes that are to be there, with properties to set. Adding one that is there
    /// sets its properties and changes nothing else.
    nodes_to_add: Option<Vec<NodeBody>>,
    /// Edges that are to be there. Their nodes may come later.
    edges_to_add: Option<Vec<EdgeBody>>,
    /// Properties to set: for each node, values by name.
    properties_to_set: Option<BTreeMap<String, BTreeMap<String, Json>>>,
    /// Properties to clear: for each node, names.
    properties_to_clear: Option<BTreeMap<String, Vec<String>>>,
    /// Ids of nodes that are to go, with their edges.
    nodes_to_remove: Option<Vec<String>>,
    /// Edges that are to go.
    edges_to_remove: Option<Vec<EdgeBody>>,
    /// What you know of the graph: the `seen` of the `graph_query` or `graph_patch`
    /// that this patch builds on. Default: what you last saw here.
    seen: Option<String>,
}

/// What they did.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// The identity of the patch: the hash of what it says.
    patch_id: String,
    /// Nodes of the patch that show now and did not; the counts are of what the
    /// patch names.
    nodes_added: u64,
    /// Nodes that showed and do not.
    nodes_removed: u64,
    /// Edges that show now and did not.
    edges_added: u64,
    /// Edges that showed and do not.
    edges_removed: u64,
    /// Properties that show another value.
    properties_updated: u64,
    /// Properties that show none any more.
    properties_cleared: u64,
    /// Where the patch and others disagree, the first 100: nothing is lost, and
    /// setting what you want once you have seen both settles it.
    conflicts: Vec<ConflictBody>,
    /// How many such conflicts there are.
    conflicts_total: u64,
    /// What you have now seen of the graph.
    seen: String,
}

impl Spec for Patch {
    const NAME: &'static str = "graph_patch";
    const TITLE: &'static str = "Change the knowledge graph";
    const DOC: &'static str = "Changes a knowledge graph of this repository: nodes, edges and \
        properties, all of the patch or nothing. Waits for nobody: patches of several agents \
        are merged, the order does not matter, and where they disagree both sides are kept and \
        named as a conflict.";
    const EFFECT: Effect = Effect::Replaces;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        match arguments.into_patch("") {
            Ok(patch) => cx.call(Request::Patch(patch)).await.and_then(patched),
            Err(error) => error.into(),
        }
    }
}

impl Arguments {
    /// What is asked for; `at` is where these arguments stand among others, with a
    /// dot at its end.
    pub(crate) fn into_patch(self, at: &str) -> Result<GraphPatch, Box<ErrorBody>> {
        let nodes = self.nodes_to_add.unwrap_or_default().into_iter();
        let nodes = nodes
            .enumerate()
            .map(|(index, node)| node.into_node(&format!("{at}nodes_to_add[{index}]")));
        let set = self.properties_to_set.unwrap_or_default().into_iter();
        let set = set.map(|(node, values)| {
            let values = properties(&format!("{at}properties_to_set.{node}"), values)?;
            Ok((node, values))
        });
        let changes = Changes {
            nodes_to_add: nodes.collect::<Result<_, _>>()?,
            edges_to_add: edges(self.edges_to_add),
            properties_to_set: set.collect::<Result<_, Box<ErrorBody>>>()?,
            properties_to_clear: self.properties_to_clear.unwrap_or_default(),
            nodes_to_remove: self.nodes_to_remove.unwrap_or_default(),
            edges_to_remove: edges(self.edges_to_remove),
        };
        let seen = self.seen.map(|text| text.parse::<Seen>()).transpose();
        Ok(GraphPatch {
            graph: self.graph.unwrap_or_else(|| MAIN.to_owned()),
            changes,
            seen: seen
                .map_err(|fault| ErrorBody::invalid(&format!("{at}seen"), fault.to_string()))?,
        })
    }
}

fn edges(edges: Option<Vec<EdgeBody>>) -> Vec<Edge> {
    let edges = edges.unwrap_or_default().into_iter();
    edges.map(Edge::from).collect()
}

fn patched(reply: Reply) -> Result<Body, Box<ErrorBody>> {
    match reply {
        Reply::Receipt(Receipt::Patched(changed)) => Ok((*changed).into()),
        other => Err(mixed_up(&other)),
    }
}

impl From<GraphChanged> for Body {
    fn from(changed: GraphChanged) -> Self {
        let effect = changed.effect;
        Self {
            patch_id: changed.patch.to_string(),
            nodes_added: effect.nodes_added,
            nodes_removed: effect.nodes_removed,
            edges_added: effect.edges_added,
            edges_removed: effect.edges_removed,
            properties_updated: effect.properties_updated,
            properties_cleared: effect.properties_cleared,
            conflicts: changed
                .conflicts
                .into_iter()
                .map(ConflictBody::from)
                .collect(),
            conflicts_total: changed.conflicts_total,
            seen: changed.seen.to_string(),
        }
    }
}
