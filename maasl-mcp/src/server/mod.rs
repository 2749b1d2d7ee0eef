//! The MCP server: agents' tool calls in, guarded calls out.
//!
//! Owns: tool names, arguments, results, identity, progress and the end of a
//! connection. Promises: translation only, in both eras of the protocol; a
//! refusal is a tool result that a model can read, never a protocol error; nothing
//! but the protocol is written to standard output. Leaves to others: every
//! decision ([`Backend`]) and the command line.
//!
//! A call goes `handler` -> `invoke` (arguments, identity) -> one of `tools` ->
//! [`Backend::call`] -> `envelope`.

mod arguments;
mod backend;
mod content;
mod context;
mod details;
mod ends;
mod envelope;
mod error;
mod handler;
mod identity;
mod invoke;
mod line_limit;
mod lines;
mod node_backend;
mod progress;
mod schema;
mod stdio;
mod time;
mod tools;

pub use backend::{Backend, OnWait};
pub use ends::EofNotify;
pub use handler::Adapter;
pub use identity::EnvIdentity;
pub use node_backend::NodeBackend;
pub use stdio::{ServeError, serve, serve_stdio};
pub(crate) use time::rfc3339;
pub(crate) use tools::{graph_json, graph_query, locks_json, stats_hour, stats_json};
