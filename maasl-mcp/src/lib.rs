//! The product half of the Multi-Agent Anti-Stomp Layer: what agents and people
//! use.
//!
//! Owns: the MCP adapter and the command line. Promises: they translate and
//! decide nothing. Leaves to others: who may (`maasl-core`) and doing it
//! (`maasl-node`).

pub mod cli;
pub mod demo;
mod members;
pub mod server;
