//! What the lease table answers to every command, case by named case.
//!
//! Owns: the behaviour of the public API of `maasl_core::lease` on single cases.
//! Promises: every outcome is met, and every refusal is checked to have changed
//! nothing but counters and the queue. Leaves to others: sequences nobody chose
//! (`lease_model`) and interleavings around latches (`latch_rule`).

mod bench;
mod commits;
mod endings;
mod grants;
mod queue;
