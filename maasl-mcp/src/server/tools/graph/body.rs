//! Nodes, edges and conflicts in JSON.
//!
//! Owns: how these look in arguments and results. Promises: what is shown can be
//! passed back as it is. Leaves to others: what they mean.

use std::collections::BTreeMap;

use maasl_core::graph::changes::{Edge, Node};
use maasl_core::graph::conflict::{Conflict, Contested, Reason};
use maasl_core::graph::patches::Origin;
use maasl_core::graph::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::server::error::ErrorBody;
use crate::server::time::rfc3339;

/// A node: its id, and beside it its properties.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub(crate) struct NodeBody {
    /// The id of the node.
    pub(super) id: String,
    /// Every other key is a property of the node.
    #[serde(flatten)]
    pub(super) properties: BTreeMap<String, Json>,
}

/// An edge.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeBody {
    /// The id of the node it leads from.
    #[serde(alias = "src", alias = "from")]
    source: String,
    /// What kind of edge it is.
    #[serde(rename = "type", alias = "relation", alias = "edge")]
    relation: String,
    /// The id of the node it leads to.
    #[serde(alias = "dst", alias = "to")]
    target: String,
}

/// An operation that does not show although nobody overwrote it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ConflictBody {
    /// What it is about.
    about: AboutWord,
    /// The node, where it is about one or a property of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    /// The property.
    #[serde(skip_serializing_if = "Option::is_none")]
    property: Option<String>,
    /// The edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    edge: Option<EdgeBody>,
    reason: ReasonWord,
    /// The nodes that are not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// The operation that does not show.
    loser: OriginBody,
    /// The value it set.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost_value: Option<Json>,
    /// The operation that shows instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    winner: Option<OriginBody>,
    /// The value that shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    won_value: Option<Json>,
}

/// What a conflict is about.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AboutWord {
    /// Whether a node is there.
    Node,
    /// The value of a property.
    Property,
    /// Whether an edge is there.
    Edge,
    /// Two patches that have one name.
    Patch,
}

/// Why an operation does not show.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReasonWord {
    /// Another value was set by somebody who did not know of it, and is later.
    OtherValue,
    /// It takes away what somebody updated who did not know of it.
    Updated,
    /// Nodes that it needs are not there yet.
    NoNode,
    /// A copy of a store used one name for two patches.
    SharedDot,
}

/// Where an operation came from.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OriginBody {
    patch_id: String,
    /// Its place in the patch, from 0.
    index: u32,
    /// The store it was made in.
    store: String,
    /// When, RFC 3339.
    time: String,
}

impl NodeBody {
    /// The node; `field` names it where a value cannot be used.
    pub(super) fn into_node(self, field: &str) -> Result<Node, Box<ErrorBody>> {
        Ok(Node {
            id: self.id,
            properties: properties(field, self.properties)?,
        })
    }
}

/// The values of properties.
pub(super) fn properties(
    field: &str,
    values: BTreeMap<String, Json>,
) -> Result<BTreeMap<String, Value>, Box<ErrorBody>> {
    let value = |(key, json): (String, Json)| {
        let value = Value::parse(&json.to_string())
            .map_err(|fault| ErrorBody::invalid(&format!("{field}.{key}"), fault.to_string()))?;
        Ok((key, value))
    };
    values.into_iter().map(value).collect()
}

/// The value as JSON. A graph keeps numbers as they were written; one that no
/// double can hold (`1e400`, which a file may bring in) is shown as text.
fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Integer(number) => Json::from(*number),
        Value::Decimal(number) => {
            let text = number.as_str();
            serde_json::from_str(text).unwrap_or_else(|_| Json::from(text))
        }
        Value::Text(text) => Json::from(text.as_str()),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), json(value)));
            Json::Object(fields.collect())
        }
    }
}

impl From<Node> for NodeBody {
    fn from(node: Node) -> Self {
        let properties = node.properties.iter();
        Self {
            id: node.id,
            properties: properties
                .map(|(key, value)| (key.clone(), json(value)))
                .collect(),
        }
    }
}

impl From<Edge> for EdgeBody {
    fn from(edge: Edge) -> Self {
        Self {
            source: edge.source,
            relation: edge.relation,
            target: edge.target,
        }
    }
}

impl From<EdgeBody> for Edge {
    fn from(edge: EdgeBody) -> Self {
        Self {
            source: edge.source,
            relation: edge.relation,
            target: edge.target,
        }
    }
}

impl From<Origin> for OriginBody {
    fn from(origin: Origin) -> Self {
        Self {
            patch_id: origin.patch.to_string(),
            index: origin.index,
            store: origin.actor.as_str().to_owned(),
            time: rfc3339(origin.stamp.ms()),
        }
    }
}

impl From<Conflict> for ConflictBody {
    fn from(conflict: Conflict) -> Self {
        let (about, node, property, edge) = match conflict.about {
            Contested::Node { node } => (AboutWord::Node, Some(node), None, None),
            Contested::Property { node, key } => (AboutWord::Property, Some(node), Some(key), None),
            Contested::Edge(edge) => (AboutWord::Edge, None, None, Some(edge.into())),
            Contested::Dot(_) => (AboutWord::Patch, None, None, None),
        };
        let (reason, missing) = match conflict.reason {
            Reason::OtherValue => (ReasonWord::OtherValue, Vec::new()),
            Reason::Updated => (ReasonWord::Updated, Vec::new()),
            Reason::NoNode { nodes } => (ReasonWord::NoNode, nodes),
            Reason::SharedDot => (ReasonWord::SharedDot, Vec::new()),
        };
        Self {
            about,
            node,
            property,
            edge,
            reason,
            missing,
            loser: conflict.loser.into(),
            lost_value: conflict.lost.as_ref().map(json),
            winner: conflict.winner.map(OriginBody::from),
            won_value: conflict.won.as_ref().map(json),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_that_no_double_holds_is_shown_as_text() {
        let shown = |text: &str| json(&Value::parse(text).unwrap());
        let list = "[1e400, -7, 0.5, null, true, {\"a\": \"b\"}]";
        let expected = json!(["1e400", -7, 0.5, null, true, {"a": "b"}]);
        assert_eq!(shown(list), expected);
    }
}
