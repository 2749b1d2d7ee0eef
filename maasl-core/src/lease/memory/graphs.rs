//! Journals of graphs in ordered maps.
//!
//! Owns: what a store in memory keeps of graphs. Promises: a patch is found by
//! its place; a checkpoint takes the place of the entries it stands for at once.
//! Leaves to others: what may be done to a journal (`journal`).

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::graph::journal::{Bytes, Entry, Journal, fitting};
use crate::graph::patch::PatchId;

/// The graphs of one store, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Graphs {
    by_name: BTreeMap<String, Graph>,
}

#[derive(Clone, Debug, Default)]
struct Graph {
    journal: Journal,
    entries: BTreeMap<u64, Entry>,
    checkpoint: Option<Bytes>,
}

impl Graphs {
    pub(super) fn journal(&self, graph: &str) -> Vec<Journal> {
        let found = self.by_name.get(graph).into_iter();
        found.map(|graph| graph.journal.clone()).collect()
    }

    pub(super) fn journals(&self) -> Vec<Journal> {
        let graphs = self.by_name.values();
        graphs.map(|graph| graph.journal.clone()).collect()
    }

    pub(super) fn patch_at(&self, graph: &str, place: u64) -> Option<PatchId> {
        let entry = self.by_name.get(graph)?.entries.get(&place);
        entry.map(|entry| entry.patch)
    }

    pub(super) fn entries(&self, graph: &str, after: u64) -> Vec<Entry> {
        let entries = self.after(graph, after).map(Ok::<_, Infallible>);
        let Ok(entries) = fitting(entries);
        entries
    }

    pub(super) fn bytes_after(&self, graph: &str, after: u64) -> u64 {
        self.after(graph, after)
            .map(|entry| entry.bytes.count())
            .sum()
    }

    pub(super) fn checkpoint(&self, graph: &str) -> Option<Bytes> {
        self.by_name.get(graph)?.checkpoint.clone()
    }

    pub(super) fn put_journal(&mut self, journal: Journal) {
        let graph = self.by_name.entry(journal.graph.clone()).or_default();
        graph.journal = journal;
    }

    pub(super) fn put_entry(&mut self, graph: String, entry: Entry) {
        let graph = self.by_name.entry(graph).or_default();
        graph.entries.insert(entry.place, entry);
    }

    pub(super) fn put_checkpoint(&mut self, graph: String, through: u64, bytes: Bytes) {
        let graph = self.by_name.entry(graph).or_default();
        graph.entries = graph.entries.split_off(&(through + 1));
        graph.checkpoint = Some(bytes);
    }

    fn after(&self, graph: &str, after: u64) -> impl Iterator<Item = Entry> {
        let graph = self.by_name.get(graph).into_iter();
        graph.flat_map(move |graph| {
            graph
                .entries
                .range(after + 1..)
                .map(|(_, entry)| entry.clone())
        })
    }
}
