//! Which latches stand for which keys, and the order they are taken in.
//!
//! Owns: the size of the pool, the share of each key, and the one order.
//! Promises: nobody waits in a circle, however keys are named; who cannot have
//! all keeps none. Leaves to others: what a latch is (`maasl-node`).

use std::collections::BTreeSet;

use maasl_core::id::ContentHash;
use maasl_core::resource::ResourceKey;

/// Latches in the pool. Two keys share one with probability 1/256; that costs
/// time, never safety.
pub const POOL: usize = 256;

/// The latches of some keys, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shards(BTreeSet<usize>);

impl Shards {
    /// The latches that stand for `keys`.
    #[must_use]
    pub fn of(keys: &[ResourceKey]) -> Self {
        Self(keys.iter().map(shard).collect())
    }

    /// Takes each with `take`, in the one order everybody uses.
    pub fn take<T, E>(self, take: impl FnMut(usize) -> Result<T, E>) -> Result<Vec<T>, E> {
        self.0.into_iter().map(take).collect()
    }
}

fn shard(key: &ResourceKey) -> usize {
    usize::from(ContentHash::of(key.as_str().as_bytes()).as_bytes()[0]) % POOL
}
