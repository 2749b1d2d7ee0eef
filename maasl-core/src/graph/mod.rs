//! Graphs that many authors change at once, without asking each other.
//!
//! Owns: what a patch of a graph is, what a set of patches makes of a graph, and
//! what is told where authors disagree. Promises: the graph, the conflict log and
//! the digest are functions of the set of patches alone, byte for byte: their
//! order, repetition and batching do not matter, so sets can be joined in any way
//! [Shapiro et al., 2011]; every operation of a patch is visible, or overwritten
//! by somebody who had seen it, or named in the conflict log with the reason.
//! Leaves to others: keeping patches, sending them, and reading the clock.
//!
//! What a patch asks for is about *registers*: whether a node is there, whether
//! an edge is there, and the value of each property of a node.
//!
//! - An operation is *overwritten* by another one on the same register whose
//!   author had seen it. What the clocks said does not matter for this. The
//!   removal of a node also overwrites what its author had seen of the node's
//!   properties and edges, so that a node that is added again begins anew.
//! - Operations of which neither author had seen the other are *concurrent*. An
//!   addition beats a concurrent removal, and a value a concurrent clearing. Among
//!   different values the last in the order of stamp, actor, patch and place shows
//!   (`patches`); the others are conflicts.
//! - The removal of a node has no effect at all if it is concurrent with an update
//!   of the node: adding it, setting a property of it, or adding an edge at it.
//!   It is then a conflict.
//! - Properties and edges of a node that is not there wait for it. They are in the
//!   log until it comes.

pub mod changes;
pub mod checkpoint;
mod codec;
mod compact;
mod compare;
pub mod conflict;
mod digest;
pub mod foresee;
pub mod journal;
mod key;
pub mod llmc;
mod node;
pub mod patch;
pub mod patches;
pub mod query;
mod register;
mod resolve;
pub mod seen;
mod slots;
pub mod stamp;
pub mod state;
mod take;
mod texts;
mod tree;
pub mod value;

/// A small number as a place in memory.
fn at(number: u32) -> usize {
    usize::try_from(number).expect("a place in memory has at least 32 bits")
}

/// A place in memory as a small number.
fn number(place: usize) -> u32 {
    u32::try_from(place).expect("memory ends before four thousand million things are in it")
}
