//! Plausible answers about graphs.

use maasl_core::coordinator::graph::{GraphPatch, GraphView};
use maasl_core::graph::changes::{Edge, Node};
use maasl_core::graph::conflict::{Conflict, Contested, Reason};
use maasl_core::graph::patch::{Header, Patch, PatchId};
use maasl_core::graph::patches::Origin;
use maasl_core::graph::query::Answer;
use maasl_core::graph::seen::{Dot, Seen};
use maasl_core::graph::state::Merged;
use maasl_core::graph::value::Value;
use maasl_core::id::{ActorId, ContentHash};
use maasl_core::reply::GraphChanged;

use super::WALL_MS;

fn dot() -> Dot {
    Dot {
        actor: ActorId::new("5702e"),
        counter: 1,
    }
}

/// The patch that is asked for, as it would be kept.
pub(crate) fn patched(asked: &GraphPatch) -> GraphChanged {
    let header = Header::new(dot(), Seen::nothing(), WALL_MS).expect("a stamp");
    let patch = Patch::seal(header, &asked.changes).expect("good changes");
    GraphChanged {
        graph: asked.graph.clone(),
        patch: patch.id(),
        effect: Merged {
            nodes_added: 1,
            properties_updated: 3,
            ..Merged::default()
        },
        conflicts: conflicts(patch.id()),
        conflicts_total: 4,
        seen: seen(),
    }
}

/// A small graph with a conflict of every kind.
pub(crate) fn view() -> GraphView {
    let node = Node {
        id: "a".to_owned(),
        properties: [("kind".to_owned(), Value::text("function"))].into(),
    };
    GraphView {
        answer: Answer {
            nodes: vec![node],
            edges: vec![edge()],
            is_cut: false,
        },
        conflicts: conflicts(PatchId::from_bytes(&[7; 32]).expect("32 bytes")),
        conflicts_total: 4,
        digest: ContentHash::of(b"graph"),
        seen: seen(),
        patches: 1,
    }
}

fn seen() -> Seen {
    let mut seen = Seen::nothing();
    let header = Header::new(dot(), Seen::nothing(), WALL_MS).expect("a stamp");
    seen.insert(&dot(), header.stamp);
    seen
}

fn edge() -> Edge {
    Edge {
        source: "a".to_owned(),
        relation: "calls".to_owned(),
        target: "b".to_owned(),
    }
}

fn conflicts(patch: PatchId) -> Vec<Conflict> {
    let origin = Origin {
        patch,
        index: 1,
        actor: dot().actor,
        stamp: Header::new(dot(), Seen::nothing(), WALL_MS)
            .expect("a stamp")
            .stamp,
    };
    let conflict = |about, reason| Conflict {
        about,
        reason,
        loser: origin.clone(),
        lost: None,
        winner: None,
        won: None,
    };
    let node = || "a".to_owned();
    let nodes = vec!["b".to_owned()];
    vec![
        conflict(Contested::Node { node: node() }, Reason::Updated),
        Conflict {
            lost: Some(Value::Null),
            winner: Some(origin.clone()),
            won: Some(Value::text("function")),
            ..conflict(
                Contested::Property {
                    node: node(),
                    key: "kind".to_owned(),
                },
                Reason::OtherValue,
            )
        },
        conflict(Contested::Edge(edge()), Reason::NoNode { nodes }),
        conflict(Contested::Dot(dot()), Reason::SharedDot),
    ]
}
