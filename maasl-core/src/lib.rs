//! The decisions of the Multi-Agent Anti-Stomp Layer.
//!
//! Owns: who may, who must wait, what is stale, what wins. Promises: no clock,
//! file, socket, thread or random state is reachable from here; time and
//! entropy are arguments. Leaves to others: storing rows, touching files, and
//! telling anybody (`maasl-node`, `maasl-mcp`, `maasl-sim`).
#![no_std]

extern crate alloc;

pub mod config;
pub mod coordinator;
pub mod database;
pub mod docgen;
pub mod graph;
pub mod id;
pub mod lease;
pub mod mutant;
pub mod observed;
pub mod path;
pub mod policy;
pub mod refusal;
pub mod reply;
pub mod resource;
pub mod text;
pub mod time;
