//! Real server processes on real files: what the kernel, SQLite and the protocol
//! make of the promises when processes are killed, stopped and raced.
//!
//! One binary, one module per behaviour; `harness` starts and drives servers.

#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed; the harness is part of the tests; figures are printed"
)]

mod borders;
mod commands;
mod configuration;
mod databases;
mod databases_killed;
mod databases_stopped;
mod deadlock;
mod docgen;
mod docgen_check;
mod docgen_killed;
mod events;
mod facts;
mod fairness;
mod full_disk;
mod generator;
mod graph;
mod guarded;
mod half_exchanged;
mod harness;
mod increments;
mod killed;
mod llmc;
mod observe;
mod observing;
mod outside;
mod outside_race;
mod paths;
mod repairing;
mod restart;
mod smoke;
mod stale_writer;
mod starting;
mod swapped_directory;
mod time_namespaces;
mod transactions;
mod unread;
