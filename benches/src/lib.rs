//! What the benchmarks of MAASL share.
//!
//! Owns: leases, stores and graphs to measure with, and the ping workload on the
//! queue of MAASL's simulator. Promises: what it makes is the same for every
//! measure, so that their figures can be set side by side. Leaves to others:
//! timing (`benches/` by Criterion, `src/bin/compare` against peers in the same
//! run).

pub mod graph;
pub mod lease;
pub mod ping;
