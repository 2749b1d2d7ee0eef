//! `graph_patch` and `graph_query`.
//!
//! Owns: the tools' arguments and results. Promises: values go in and come out as
//! they are in JSON; a conflict is told with both sides. Leaves to others: what a
//! patch does, who wins, and keeping graphs.

mod body;
mod patch;

use maasl_core::coordinator::graph::{GraphQuery, GraphView, MAIN};
use maasl_core::coordinator::io::{Reply, Request};
use maasl_core::graph::query::Question;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::body::{ConflictBody, EdgeBody, NodeBody};
use super::{Effect, Spec};
use crate::server::arguments::AGENT;
use crate::server::backend::Backend;
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;

pub(crate) use self::patch::{Arguments as PatchArgument, Body as PatchBody, Patch};

/// How far around a node, if the caller does not say.
const DEPTH: u32 = 1;
/// Farthest around a node.
const DEPTH_MAX: u32 = 100;
/// Nodes in one answer, if the caller does not say how many.
const NODES: u32 = 500;
/// Most nodes in one answer.
const NODES_MAX: u32 = 100_000;
/// So many times as many edges may be in an answer.
const EDGES_PER_NODE: usize = 4;
/// Most conflicts in one answer.
const CONFLICTS_MAX: usize = 1_000;

/// `graph_query`.
pub(crate) struct Query;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryArguments {
    /// Which graph. Default: `main`.
    graph: Option<String>,
    /// The id of a node to look around. Default: the whole graph.
    node: Option<String>,
    /// How many edges away from the node, in either direction; 0 is the node alone.
    /// Default: 1.
    depth: Option<u32>,
    /// Whether to list the conflicts of the graph too. Default: false.
    conflicts: Option<bool>,
    /// Most nodes in the answer. Default: 500; at most 100000.
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct QueryBody {
    /// Nodes by id; every key but `id` is a property.
    nodes: Vec<NodeBody>,
    /// The edges between these nodes.
    edges: Vec<EdgeBody>,
    /// Whether more belongs to the answer than `limit` lets in.
    is_cut: bool,
    /// What does not show although nobody overwrote it, if it was asked for.
    conflicts: Vec<ConflictBody>,
    /// How many conflicts the graph has.
    conflicts_total: u64,
    /// Equal digests mean equal graphs with equal conflicts.
    digest: String,
    /// How many patches the graph is made of.
    patches: u64,
    /// What you have now seen of the graph: your next patch builds on it. Pass it
    /// on to whoever makes the patch for you.
    seen: String,
}

impl Spec for Query {
    const NAME: &'static str = "graph_query";
    const TITLE: &'static str = "Look at the knowledge graph";
    const DOC: &'static str = "Shows a knowledge graph of this repository, whole or around one \
        node, with its conflicts. Waits for nobody. What you patch after this counts as made \
        knowing it.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = AGENT;
    type Arguments = QueryArguments;
    type Body = QueryBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: QueryArguments) -> Told<QueryBody> {
        match arguments.into_query() {
            Ok(query) => cx.call(Request::Query(query)).await.and_then(shown),
            Err(error) => error.into(),
        }
    }
}

impl QueryArguments {
    fn into_query(self) -> Result<GraphQuery, Box<ErrorBody>> {
        let nodes = self.limit.unwrap_or(NODES);
        if nodes > NODES_MAX {
            let message = format!("is {nodes}; at most {NODES_MAX}");
            return Err(ErrorBody::invalid("limit", message));
        }
        if let Some(depth) = self.depth.filter(|depth| *depth > DEPTH_MAX) {
            let message = format!("is {depth}; at most {DEPTH_MAX}");
            return Err(ErrorBody::invalid("depth", message));
        }
        let wants_conflicts = self.conflicts.unwrap_or(false);
        let query = query(self.graph, self.node, self.depth, nodes, wants_conflicts);
        Ok(query)
    }
}

/// A question about a graph, within the limits of an answer.
pub(crate) fn query(
    graph: Option<String>,
    node: Option<String>,
    depth: Option<u32>,
    nodes: u32,
    wants_conflicts: bool,
) -> GraphQuery {
    let nodes_max = usize::try_from(nodes).unwrap_or(usize::MAX);
    GraphQuery {
        graph: graph.unwrap_or_else(|| MAIN.to_owned()),
        question: Question {
            node,
            depth: depth.unwrap_or(DEPTH).min(DEPTH_MAX),
            nodes_max,
            edges_max: nodes_max.saturating_mul(EDGES_PER_NODE),
        },
        conflicts_max: if wants_conflicts { CONFLICTS_MAX } else { 0 },
    }
}

/// What the tool answers, for the command line.
pub(crate) fn graph_json(view: GraphView) -> serde_json::Value {
    let body = QueryBody::from(view);
    serde_json::to_value(body).expect("the body is made of JSON values, texts and numbers")
}

fn shown(reply: Reply) -> Result<QueryBody, Box<ErrorBody>> {
    match reply {
        Reply::Graph(view) => Ok(QueryBody::from(*view)),
        other => Err(mixed_up(&other)),
    }
}

impl From<GraphView> for QueryBody {
    fn from(view: GraphView) -> Self {
        let answer = view.answer;
        Self {
            nodes: answer.nodes.into_iter().map(NodeBody::from).collect(),
            edges: answer.edges.into_iter().map(EdgeBody::from).collect(),
            is_cut: answer.is_cut,
            conflicts: view.conflicts.into_iter().map(ConflictBody::from).collect(),
            conflicts_total: view.conflicts_total,
            digest: view.digest.to_string(),
            patches: view.patches,
            seen: view.seen.to_string(),
        }
    }
}
