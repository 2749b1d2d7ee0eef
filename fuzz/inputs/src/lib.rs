//! Arbitrary bytes at every way into MAASL.
//!
//! Owns: one function for each kind of input, and the list of them. Promises: each
//! takes any bytes, does a bounded amount of work, leaves nothing behind, and
//! panics if and only if something that was promised of that input is not so.
//! Leaves to others: where bytes come from: libFuzzer (`fuzz_targets/`), or the
//! corpus and its mutations (`tests/replay.rs`).
//!
//! "It does not panic" is the least that is asked. Where there is a printer, what
//! was read is printed and read again; where there is a refusal, it is a typed one
//! of bounded size; where there is a disk, what lies outside the root is as it was.

pub mod config;
pub mod document;
pub mod edits;
pub mod graph_file;
pub mod graph_patch;
pub mod history;
pub mod mutation;
pub mod path;
pub mod pieces;
pub mod protocol;
pub mod scenario;
pub mod scratch;
pub mod server;
pub mod state;
pub mod tools;
pub mod trace;

/// A way in.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Tries these bytes.
    pub run: fn(&[u8]),
    /// How many mutations of each file of the corpus are tried in a replay: fewer
    /// where each takes long.
    pub mutations: u32,
}

/// All ways in.
pub const TARGETS: &[Target] = &[
    target("config", config::run, 40),
    target("document", document::run, 100),
    target("edits", edits::run, 100),
    target("graph_file", graph_file::run, 40),
    target("graph_patch", graph_patch::run, 40),
    target("history", history::run, 40),
    target("path", path::run, 40),
    target("protocol", protocol::run, 4),
    target("scenario", scenario::run, 10),
    target("state", state::run, 1),
    target("tools", tools::run, 1),
    target("trace", trace::run, 10),
];

const fn target(name: &'static str, run: fn(&[u8]), mutations: u32) -> Target {
    Target {
        name,
        run,
        mutations,
    }
}
