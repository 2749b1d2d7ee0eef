//! The general search for a linearization.
//!
//! Owns: the search of Wing and Gong (1993) with the memory of Lowe (2017):
//! what was tried with the same operations done and the same state after them is
//! not tried again. Promises: looks at no more than its budget of steps. Leaves
//! to others: what an operation does (`Model`).

use std::collections::BTreeSet;

use super::{Model, Timed, Verdict};

/// Looks for a linearization of `history` in at most `budget` steps.
pub fn search<M: Model>(model: &M, history: &[Timed<M::Op>], budget: u64) -> Verdict {
    Search::new(model, history).run(budget)
}

/// A call or a return, in a list from which done operations are taken out.
#[derive(Clone, Copy, Debug)]
struct Entry {
    op: usize,
    is_call: bool,
    previous: usize,
    next: usize,
}

/// The head of the list, which stands for no operation.
const HEAD: usize = 0;

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a [Timed<M::Op>],
    entries: Vec<Entry>,
    /// Where the return of each operation stands; `HEAD` for none.
    returns: Vec<usize>,
    done: Vec<u64>,
    tried: BTreeSet<(Vec<u64>, M::State)>,
    /// Entries of the operations done, with the state before each.
    path: Vec<(usize, M::State)>,
    /// Operations that were answered and are not done.
    answered_left: usize,
    /// How far the search has come, and before whose end it stopped there.
    furthest: (usize, usize),
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a [Timed<M::Op>]) -> Self {
        let mut events: Vec<(u64, bool, usize)> = Vec::with_capacity(2 * history.len());
        for (op, timed) in history.iter().enumerate() {
            events.push((timed.from_ns, false, op));
            events.extend(timed.to_ns.map(|to_ns| (to_ns, true, op)));
        }
        // Within one instant calls come first: nothing says that they did not.
        events.sort_unstable();
        let mut returns = vec![HEAD; history.len()];
        let mut entries = vec![Entry {
            op: usize::MAX,
            is_call: false,
            previous: events.len(),
            next: 1 % (events.len() + 1),
        }];
        for (index, (_, is_return, op)) in events.iter().enumerate() {
            let at = index + 1;
            if *is_return {
                returns[*op] = at;
            }
            entries.push(Entry {
                op: *op,
                is_call: !is_return,
                previous: at - 1,
                next: (at + 1) % (events.len() + 1),
            });
        }
        Self {
            model,
            history,
            entries,
            answered_left: returns.iter().filter(|at| **at != HEAD).count(),
            returns,
            done: vec![0; history.len().div_ceil(64)],
            tried: BTreeSet::new(),
            path: Vec::new(),
            furthest: (0, 0),
        }
    }

    fn run(mut self, budget: u64) -> Verdict {
        let mut state = self.model.start();
        let mut at = self.entries[HEAD].next;
        let mut left = budget;
        while self.answered_left > 0 {
            if left == 0 {
                return Verdict::Undecided;
            }
            left -= 1;
            let entry = self.entries[at];
            if at != HEAD && entry.is_call {
                match self.advance(at, &state) {
                    Some(after) => {
                        state = after;
                        at = self.entries[HEAD].next;
                    }
                    None => at = entry.next,
                }
                continue;
            }
            // An operation ended that could not be done before: go back.
            if at != HEAD && self.path.len() >= self.furthest.0 {
                self.furthest = (self.path.len(), entry.op);
            }
            let Some((undone, before)) = self.path.pop() else {
                return Verdict::Broken {
                    at: self.furthest.1,
                };
            };
            self.put_back(undone);
            state = before;
            at = self.entries[undone].next;
        }
        Verdict::Linearizable
    }

    /// Does an operation next, unless that is impossible or was tried.
    fn advance(&mut self, at: usize, state: &M::State) -> Option<M::State> {
        let op = self.entries[at].op;
        let after = self.model.step(state, &self.history[op].op)?;
        self.done[op / 64] |= 1 << (op % 64);
        if !self.tried.insert((self.done.clone(), after.clone())) {
            self.done[op / 64] &= !(1 << (op % 64));
            return None;
        }
        self.path.push((at, state.clone()));
        self.unlink(at);
        if self.returns[op] != HEAD {
            self.unlink(self.returns[op]);
            self.answered_left -= 1;
        }
        Some(after)
    }

    fn put_back(&mut self, at: usize) {
        let op = self.entries[at].op;
        if self.returns[op] != HEAD {
            self.link(self.returns[op]);
            self.answered_left += 1;
        }
        self.link(at);
        self.done[op / 64] &= !(1 << (op % 64));
    }

    fn unlink(&mut self, at: usize) {
        let Entry { previous, next, .. } = self.entries[at];
        self.entries[previous].next = next;
        self.entries[next].previous = previous;
    }

    fn link(&mut self, at: usize) {
        let Entry { previous, next, .. } = self.entries[at];
        self.entries[previous].next = at;
        self.entries[next].previous = at;
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
