//! The simulator of the Multi-Agent Anti-Stomp Layer.
//!
//! Owns: worlds in which the product's own decision code runs through crashes,
//! pauses, wrong clocks and lost messages, and the judges of what it does there.
//! Promises: a run follows from its plan alone; real processes are started only to
//! be compared with (`conform`). Leaves to others: what they do with real files and
//! databases (`maasl-node`, `maasl-mcp`).

pub mod campaign;
pub mod checks;
pub mod cli;
pub mod conform;
pub mod difference;
pub mod draw;
pub mod history;
pub mod linear;
#[cfg(feature = "mutants")]
pub mod mutants;
pub mod names;
pub mod observe;
pub mod plan;
pub mod points;
pub mod promise;
pub mod record;
pub mod replay;
pub mod rng;
pub mod scenario;
pub mod shrink;
pub mod tell;
pub mod timeline;
pub mod trace;
#[cfg(test)]
mod trial;
pub mod world;
