//! The product half of the Multi-Agent Anti-Stomp Layer: what agents talk to.
//!
//! Owns: the MCP adapter. Promises: it translates and decides nothing. Leaves to
//! others: who may (`maasl-core`), doing it (`maasl-node`), and the command line
//! (the `maasl` binary).

pub mod server;
