//! What holds in every order in which threads may take turns.
//!
//! Owns: a model for each noun of the crate, run by loom over the code that
//! ships. Promises: each model says how many orders it tried and fails where they
//! are too few to prove anything; for each noun a bug is planted that loom must
//! find. Leaves to others: what a single thread does (unit tests), and what
//! processes do to each other (`maasl-mcp/tests/processes`).
//!
//! Empty unless built with `--cfg loom`: `cargo xtask loom`.

#![cfg(loom)]

mod checkpoint;
mod explore;
mod helper;
mod life;
mod log_sync;
mod process;
mod replaceable;
mod rows;
mod shards;
mod switchboard;
mod vigil;
