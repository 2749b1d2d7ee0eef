//! The IO half of the Multi-Agent Anti-Stomp Layer.
//!
//! Owns: clocks, stores, latches, files, doorbells, and the driver that runs the
//! core. Promises: it decides nothing; what the core asks for is done, or said to
//! have failed. Leaves to others: who may (`maasl-core`), who asks (`maasl-mcp`).

pub mod bell;
pub mod config_file;
pub mod database;
pub mod docgen;
mod exchange;
pub mod fault;
pub mod files;
pub mod latch;
pub mod live;
pub mod node;
pub mod objects;
pub mod platform;
pub mod root;
pub mod stage;
pub mod state_dir;
pub mod store;
