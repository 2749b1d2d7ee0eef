//! Graphs as far as one process has read them.
//!
//! Owns: the graphs in memory with the place in the journal each has come to, and
//! what each agent has seen of them. Promises: both are bounded; a graph that was
//! forgotten is read again; none is shown without a patch that comes before others;
//! what an agent saw and is forgotten only makes its next patch concurrent with it.
//! Leaves to others: reading the journal (`catch_up`).

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;

use crate::graph::checkpoint::Checkpoint;
use crate::graph::journal::{Cursor, Part};
use crate::graph::patch::Patch;
use crate::graph::seen::Seen;
use crate::graph::state::Graph;
use crate::id::AgentId;
use crate::refusal::Refusal;

/// Graphs kept in memory; the one not looked at for longest goes.
const GRAPHS_MAX: usize = 16;
/// Agents and graphs of which it is remembered what was seen.
const SEEN_MAX: usize = 10_000;

/// The graphs a process knows.
#[derive(Debug, Default)]
pub(crate) struct Graphs {
    known: BTreeMap<String, Known>,
    seen: BTreeMap<(String, AgentId), Seen>,
    looks: u64,
    nothing: Graph,
}

#[derive(Debug, Default)]
struct Known {
    graph: Graph,
    cursor: Cursor,
    looked_at: u64,
}

impl Graphs {
    /// How far a graph was read.
    pub(crate) fn cursor(&self, graph: &str) -> Cursor {
        let known = self.known.get(graph);
        known.map(|known| known.cursor).unwrap_or_default()
    }

    /// Looks at a graph.
    pub(crate) fn view<T>(&self, graph: &str, look: impl FnOnce(&Graph) -> T) -> T {
        let known = self.known.get(graph);
        look(known.map_or(&self.nothing, |known| &known.graph))
    }

    /// Takes in what a journal holds beyond where the graph stood. What cannot be
    /// read is named.
    pub(crate) fn take(&mut self, graph: &str, part: &Part) -> Result<(), &'static str> {
        if part.anew {
            self.known.remove(graph);
        }
        self.looks += 1;
        if !part.is_news() {
            if let Some(known) = self.known.get_mut(graph) {
                known.looked_at = self.looks;
            }
            return Ok(());
        }
        let known = self.known.entry(graph.into()).or_default();
        known.looked_at = self.looks;
        let taken = known.take(part);
        if taken.is_err() {
            self.known.remove(graph);
        }
        self.forget_oldest();
        taken
    }

    /// Merges a patch that was appended after what is known; if something else was
    /// read meanwhile, it will be read too.
    pub(crate) fn follow(&mut self, graph: &str, (after, end): (Cursor, Cursor), patch: &Patch) {
        let is_next = end.place == after.place + 1 && end.patch == Some(patch.id());
        if !is_next || self.cursor(graph) != after {
            return;
        }
        self.looks += 1;
        let known = self.known.entry(graph.into()).or_default();
        known.looked_at = self.looks;
        known.graph.merge(core::slice::from_ref(patch));
        known.cursor = end;
        self.forget_oldest();
    }

    /// Forgets in memory what makes no difference.
    pub(crate) fn compact(&mut self, graph: &str) {
        if let Some(known) = self.known.get_mut(graph) {
            known.graph.compact();
        }
    }

    /// What an agent last saw of a graph.
    pub(crate) fn seen(&self, agent: &AgentId, graph: &str) -> Option<Seen> {
        self.seen.get(&(graph.into(), agent.clone())).cloned()
    }

    /// Remembers that an agent has seen this much.
    pub(crate) fn see(&mut self, agent: &AgentId, graph: &str, seen: &Seen) {
        let known = self.seen.entry((graph.into(), agent.clone())).or_default();
        known.join(seen);
        if self.seen.len() > SEEN_MAX {
            self.seen.pop_first();
        }
    }

    /// Forgets what an agent has seen of a graph.
    pub(crate) fn unsee(&mut self, agent: &AgentId, graph: &str) {
        self.seen.remove(&(graph.into(), agent.clone()));
    }

    fn forget_oldest(&mut self) {
        while self.known.len() > GRAPHS_MAX {
            let known = self.known.iter();
            let oldest = known.min_by_key(|(_, known)| known.looked_at);
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                return;
            };
            self.known.remove(&oldest);
        }
    }
}

impl Known {
    fn take(&mut self, part: &Part) -> Result<(), &'static str> {
        let mut place = self.cursor.place;
        if let Some((through, bytes)) = &part.checkpoint {
            let checkpoint = Checkpoint::from_bytes(bytes.as_slice());
            let checkpoint = checkpoint.map_err(|_| "its checkpoint cannot be read")?;
            self.graph.absorb(&checkpoint);
            place = through.place;
        }
        let mut patches = alloc::vec::Vec::with_capacity(part.entries.len());
        for entry in &part.entries {
            if entry.place != place + 1 {
                return Err("a patch is missing");
            }
            place = entry.place;
            let patch = Patch::from_bytes(entry.bytes.as_slice());
            let patch = patch.map_err(|_| "a patch cannot be read")?;
            if patch.id() != entry.patch {
                return Err("a patch is not the one that was appended");
            }
            patches.push(patch);
        }
        self.graph.merge(&patches);
        self.cursor = part.reaches(self.cursor);
        Ok(())
    }
}

/// The refusal of a call that met a journal that cannot be read.
pub(super) fn damaged(graph: &str, what: &str) -> Refusal {
    Refusal::internal(format!("the journal of graph {graph:?} is damaged: {what}"))
}
