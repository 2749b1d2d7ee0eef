//! The conflict log: operations that do not show though nobody overwrote them.
//!
//! Owns: conflicts as they are told. Promises: the log is in one order whatever
//! the patches were merged in; each entry names the operation, where it came from
//! and why it does not show, with the value that is kept here. Leaves to others:
//! who lost (`resolve`), and what an author does about it: to set the value it
//! wants, once it has seen both.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::changes::Edge;
use super::patch::value_of;
use super::patches::{Origin, Place};
use super::register::{ABSENT, About, PRESENT};
use super::resolve::{Loss, Why};
use super::seen::Dot;
use super::state::Graph;
use super::value::{NotAValue, Value};

/// An operation that does not show, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Kept", try_from = "Kept")]
pub struct Conflict {
    /// What it was about.
    pub about: Contested,
    /// Why it does not show.
    pub reason: Reason,
    /// The operation. Of patches that share a dot, one that is not the last; its
    /// index is then 0.
    pub loser: Origin,
    /// The value it set; none if it set none.
    pub lost: Option<Value>,
    /// The operation that shows instead, if there is one.
    pub winner: Option<Origin>,
    /// The value that shows; none if there is none.
    pub won: Option<Value>,
}

/// A conflict as it is kept in an answer that may be given again. Values are kept as
/// their texts: serde would make nothing of a `null`, and round numbers.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    about: Contested,
    reason: Reason,
    loser: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lost_text: Option<String>,
    winner: Option<Origin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    won_text: Option<String>,
    /// The value itself, as earlier versions kept it.
    #[serde(default, skip_serializing)]
    lost: Option<Value>,
    /// The same.
    #[serde(default, skip_serializing)]
    won: Option<Value>,
}

/// What a conflict is about. The log is in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contested {
    /// Whether a node is there.
    Node {
        /// Its id.
        node: String,
    },
    /// The value of a property.
    Property {
        /// The node.
        node: String,
        /// The property.
        key: String,
    },
    /// Whether an edge is there.
    Edge(Edge),
    /// Two patches that have the same name.
    Dot(Dot),
}

/// Why an operation does not show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody set another value at the same time, and theirs comes later in the
    /// order of stamps.
    OtherValue,
    /// It removes or clears what somebody updated at the same time.
    Updated,
    /// These nodes are not there. It shows as soon as they are.
    NoNode {
        /// Their ids.
        nodes: Vec<String>,
    },
    /// Two patches have one dot, so an author who had seen either is taken to have
    /// seen both, and may have overwritten what nobody told it.
    SharedDot,
}

impl From<Conflict> for Kept {
    fn from(conflict: Conflict) -> Self {
        let text = |value: Option<Value>| value.map(|value| value.to_string());
        Self {
            about: conflict.about,
            reason: conflict.reason,
            loser: conflict.loser,
            lost_text: text(conflict.lost),
            winner: conflict.winner,
            won_text: text(conflict.won),
            lost: None,
            won: None,
        }
    }
}

impl TryFrom<Kept> for Conflict {
    type Error = NotAValue;

    fn try_from(kept: Kept) -> Result<Self, NotAValue> {
        let value = |text: Option<String>, earlier: Option<Value>| match text {
            Some(text) => Value::parse(&text).map(Some),
            None => Ok(earlier),
        };
        Ok(Self {
            about: kept.about,
            reason: kept.reason,
            loser: kept.loser,
            lost: value(kept.lost_text, kept.lost)?,
            winner: kept.winner,
            won: value(kept.won_text, kept.won)?,
        })
    }
}

impl Graph {
    /// How many conflicts there are.
    #[must_use]
    pub fn conflicts(&self) -> u64 {
        self.conflicts + self.patches.shared_patches()
    }

    /// The first conflicts of the log, at most `max`.
    #[must_use]
    pub fn log(&self, max: usize) -> Vec<Conflict> {
        if max == 0 {
            // There may be many to put in order.
            return Vec::new();
        }
        let mut registers: Vec<u32> = self.contested.clone();
        registers.retain(|n| self.registers.get(*n).conflicts > 0);
        registers.sort_unstable_by(|a, b| self.name_of(*a).cmp(&self.name_of(*b)));
        registers
            .into_iter()
            .flat_map(|n| self.conflicts_of(n))
            .chain(self.shared_dots())
            .take(max)
            .collect()
    }

    /// The losses of a register, in order.
    pub(super) fn losses(&self, register: u32) -> Vec<Loss> {
        let mut losses = self.resolve(register).losses;
        let order = |a: &Loss, b: &Loss| {
            let places = || self.patches.order(a.loser, b.loser);
            a.why.cmp(&b.why).then_with(places)
        };
        losses.sort_unstable_by(order);
        losses
    }

    /// The nodes a register needs that are not there.
    pub(super) fn missing(&self, register: u32) -> Vec<&str> {
        let subject = self.registers.get(register).subject;
        let ends = [subject.node, subject.other];
        let needed = match subject.about {
            About::Edge if subject.node != subject.other => &ends[..],
            _ => &ends[..1],
        };
        let missing = needed.iter().filter(|node| !self.nodes.is_visible(**node));
        missing
            .map(|node| self.texts.text(self.nodes.id(*node)))
            .collect()
    }

    /// The conflicts of one register, in the order of the log.
    pub(super) fn conflicts_of(&self, register: u32) -> Vec<Conflict> {
        let conflict = |loss: &Loss| Conflict {
            about: self.contested(register),
            reason: self.reason(loss.why, register),
            loser: self.patches.origin(loss.loser),
            lost: self.value(loss.lost),
            winner: loss.winner.map(|place| self.patches.origin(place)),
            won: self.value(loss.won),
        };
        self.losses(register).iter().map(conflict).collect()
    }

    /// The value of a claim, if it has one.
    pub(super) fn value(&self, value: u32) -> Option<Value> {
        match value {
            ABSENT | PRESENT => None,
            text => Some(value_of(self.texts.text(text))),
        }
    }

    fn reason(&self, why: Why, register: u32) -> Reason {
        match why {
            Why::OtherValue => Reason::OtherValue,
            Why::Updated => Reason::Updated,
            Why::NoNode => Reason::NoNode {
                nodes: self
                    .missing(register)
                    .into_iter()
                    .map(ToString::to_string)
                    .collect(),
            },
        }
    }

    fn contested(&self, register: u32) -> Contested {
        let (about, names) = self.name_of(register);
        let [node, name, other] = names.map(ToString::to_string);
        match about {
            About::Node => Contested::Node { node },
            About::Property => Contested::Property { node, key: name },
            About::Edge => Contested::Edge(Edge {
                source: node,
                relation: name,
                target: other,
            }),
        }
    }

    fn shared_dots(&self) -> impl Iterator<Item = Conflict> {
        let shared = self.patches.shared().into_iter();
        shared.flat_map(|(dot, patches)| {
            let origin = |patch| self.patches.origin(Place { patch, index: 0 });
            let last = patches.first().copied().map(origin);
            let others = patches.into_iter().skip(1);
            others
                .map(|patch| Conflict {
                    about: Contested::Dot(dot.clone()),
                    reason: Reason::SharedDot,
                    loser: origin(patch),
                    lost: None,
                    winner: last.clone(),
                    won: None,
                })
                .collect::<Vec<_>>()
        })
    }
}
