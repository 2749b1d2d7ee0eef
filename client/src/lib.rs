//! A client of real MAASL servers, for what tests and attacks them.
//!
//! Owns: starting `maasl serve`, speaking MCP with it over its pipes (`server`),
//! and the signals to its process (`process`). Promises: only processes started
//! here are signalled, and none that was waited for; every wait has a limit; a
//! server that dies is told as such and is no panic. Leaves to others: what is
//! asked, and what is to be expected of an answer.
//!
//! Blocking, and free of the product's own code: a client that shared code with
//! the server would agree with its mistakes.

mod process;
mod server;

pub use process::Process;
pub use server::{Gone, Launch, Server};
