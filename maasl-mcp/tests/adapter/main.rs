//! The MCP adapter against a scripted backend, over an in-memory connection.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod backend;
mod calls;
mod connection;
mod samples;
mod schema;
mod session;
mod surface;
