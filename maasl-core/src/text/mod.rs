//! Texts: editing, merging and comparing the contents of files.
//!
//! Owns: what an edit, a three-way merge and a difference mean. Contents are
//! bytes and never assumed to be UTF-8, so CRLF, a byte order mark, Latin-1 and
//! a missing final newline survive untouched wherever nobody asked for a change.
//! Promises: pure functions of their arguments; time and memory bounded by the
//! named limits, on any input; a refusal says what the agent needs to try again
//! and nothing is half applied. A line that either side added is in a clean
//! merge, or the merge is not clean.
//! Leaves to others: whose bytes are current, hashes, leases, and the disk.

mod breaks;
pub mod diff;
pub mod edit;
pub mod hunk;
mod lines;
pub mod merge;
mod nearest;
mod search;

/// Largest content that is edited or merged, in bytes.
pub const CONTENT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A count for a report: saturates rather than wraps.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
