//! Linearizability: can a history have come from one thing at a time?
//!
//! Owns: the question and its answers. Promises: a history is *linearizable*
//! only if there is an order of its operations that a sequential thing would
//! allow, in which no operation stands before one that had ended when it began;
//! a search whose budget runs out is *undecided*, never a pass. Leaves to
//! others: what is judged (`lease`, `register`), and where histories come from
//! (`history`).

pub mod lease;
pub mod register;
mod search;
#[cfg(test)]
mod tests_brute;

pub use self::search::search;

use core::fmt::Debug;

/// A sequential thing.
pub trait Model {
    /// What it is like between two operations.
    type State: Clone + Ord + Debug;
    /// An operation with what it returned.
    type Op: Debug;

    /// What it is like at first.
    fn start(&self) -> Self::State;

    /// What it is like after the operation; nothing if it could not have
    /// returned that.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;
}

/// An operation and when it was under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed<O> {
    /// When it was asked for.
    pub from_ns: u64,
    /// When it was answered; nothing if it never was. Then it may have happened
    /// at any later time, or not at all.
    pub to_ns: Option<u64>,
    /// What it was.
    pub op: O,
}

/// What is known of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none.
    Broken {
        /// The operation, by its place in the history, before whose end no order
        /// could be found.
        at: usize,
    },
    /// The budget ran out.
    Undecided,
}
