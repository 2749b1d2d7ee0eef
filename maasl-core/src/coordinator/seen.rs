//! What an agent has seen once its change took effect.
//!
//! Owns: which of the contents that a change leaves its author knows. Promises: what
//! was known before stays known through edits and moves of one call, under the last
//! name; a merge, and an edit or a move of content that its author had not read,
//! holds lines it has not seen, and does not count: a later whole write from memory
//! would destroy them. Leaves to others: remembering it (`shared`).

use alloc::collections::BTreeMap;

use super::io::GRAPH;
use super::shared::Shared;
use crate::id::{AgentId, ContentHash};
use crate::mutant::{Mutant, is_active};
use crate::reply::FileChanged;

/// Remembers what `agent` has seen of these files, in the order in which one call of
/// its own changed them.
pub(super) fn follow(shared: &mut Shared, agent: &AgentId, files: &[FileChanged]) {
    // What earlier changes of the call have made of the files so far.
    let mut made: BTreeMap<&str, Option<ContentHash>> = BTreeMap::new();
    for file in files {
        let before = made.get(file.path.as_str()).copied();
        let before = before.unwrap_or(file.previous_sha256);
        let blind = match &file.source {
            Some(source) => {
                shared.seen(agent, source) != file.sha256 && !is_active(Mutant::MoveCountsAsSeen)
            }
            None => file.op == "edit" && shared.seen(agent, &file.path) != before,
        };
        if let Some(source) = &file.source {
            shared.unsee(agent, source);
            made.insert(source, None);
        }
        made.insert(&file.path, file.sha256);
        match file.sha256 {
            // A header was added to it, or it was not the agent who wrote it.
            _ if file.document.is_some() || file.op == GRAPH => {}
            Some(_) if file.merged || file.rebased || blind => {}
            Some(hash) => shared.see(agent, &file.path, hash),
            None => shared.unsee(agent, &file.path),
        }
    }
}
