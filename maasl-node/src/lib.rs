//! The IO half of the Multi-Agent Anti-Stomp Layer.
//!
//! Owns: clocks, stores, latches, files, doorbells, and the driver that runs the
//! core. Promises: it decides nothing; what the core asks for is done, or said to
//! have failed. Leaves to others: who may (`maasl-core`), who asks (`maasl-mcp`).

pub mod config_file;
pub mod platform;
pub mod root;
