//! Brute force, for small histories.
//!
//! Owns: trying every order of every choice of the unanswered operations.
//! Promises: nothing clever. Leaves to others: speed.

use super::{Model, Timed};

/// Whether some order of the history is allowed.
pub(super) fn brute<M: Model>(model: &M, history: &[Timed<M::Op>]) -> bool {
    extend(model, history, &model.start(), 0)
}

fn extend<M: Model>(model: &M, history: &[Timed<M::Op>], state: &M::State, done: u32) -> bool {
    let is_left = |at: &usize| done >> at & 1 == 0;
    let left: Vec<usize> = (0..history.len()).filter(is_left).collect();
    if left.iter().all(|at| history[*at].to_ns.is_none()) {
        return true;
    }
    left.iter().any(|at| {
        let from_ns = history[*at].from_ns;
        let mut ended = left.iter().filter_map(|other| history[*other].to_ns);
        let too_early = ended.any(|to_ns| to_ns < from_ns);
        let after = model.step(state, &history[*at].op);
        !too_early && after.is_some_and(|after| extend(model, history, &after, done | 1 << at))
    })
}

/// Numbers that look drawn: `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
