//! The names of steps, as faults speak of them.
//!
//! Owns: the two lists. Promises: a name outside them never strikes anything.
//! Leaves to others: what the steps do (`maasl-core`).

/// Commands to the store.
pub const COMMANDS: [&str; 24] = [
    "open",
    "close_session",
    "reserve",
    "acquire",
    "cancel",
    "renew",
    "release",
    "verify",
    "begin_commit",
    "turn_back",
    "finish_commit",
    "revoke",
    "sweep",
    "inspect",
    "recall",
    "remember",
    "tally",
    "expire",
    "read_graph",
    "draw_dot",
    "append_patch",
    "keep_checkpoint",
    "list_graphs",
    "snapshot",
];

/// Effects on files, databases, latches and other processes.
pub const EFFECTS: [&str; 24] = [
    "locate",
    "read",
    "hash",
    "load_object",
    "load_version",
    "stage",
    "sync_staged",
    "discard",
    "latch",
    "unlatch",
    "swap",
    "swap_back",
    "hash_staged",
    "sync_names",
    "keep",
    "sync_kept",
    "db_begin",
    "db_execute",
    "db_fence",
    "db_commit",
    "db_rollback",
    "db_outcome",
    "probe",
    "ring",
];
