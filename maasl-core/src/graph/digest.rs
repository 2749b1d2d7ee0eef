//! The digest: one hash of the graph and the conflict log.
//!
//! Owns: which bytes are hashed of a register, and which registers are hashed
//! again. Promises: equal graphs and logs have equal digests, whatever the patches
//! were merged in; different ones do not, as far as SHA-256 can promise that; a
//! change costs what it touches. Leaves to others: joining hashes (`tree`), what
//! shows and who lost (`resolve`).
//!
//! The hash of a leaf is that of its registers that show or conflict, in the order
//! of key and name. Texts go in by their own hashes, which are made once: a leaf
//! then needs no text, and no text is hashed for each edge it is part of.

use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use sha2::{Digest as _, Sha256};

use super::codec::Writer;
use super::number;
use super::patches::Place;
use super::register::{ABSENT, About, PRESENT};
use super::resolve::{Loss, Why};
use super::state::Graph;
use super::tree::{BLOCKS, Hash, block_of, leaf_of};

/// With so many registers to hash it is worth while to sort all there are.
const MANY: usize = 10_000;

/// A register on its way into the hash of its leaf.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    register: u32,
}

impl Graph {
    /// Brings the digest up to date after `changed` registers were looked at.
    pub(super) fn refresh_digest(&mut self, changed: usize) {
        self.tree.learn(&self.texts, &self.registers);
        if changed > MANY && changed * 2 > self.registers.len() {
            self.hash_all();
        } else {
            self.hash_touched();
        }
        let shared = self.shared_bytes();
        self.tree.join(&shared);
    }

    fn hash_touched(&mut self) {
        let mut writer = Writer::default();
        let (mut registers, mut entries) = (Vec::new(), Vec::new());
        for block in self.tree.touched_blocks() {
            self.tree.touched_registers(block, &mut registers);
            entries.clear();
            entries.extend(registers.iter().filter_map(|n| self.entry(*n)));
            self.hash_block(block, &mut entries, &mut writer);
        }
    }

    /// The same for all leaves. The registers are brought together by block in one
    /// go, since to go along each leaf would wait for memory at every step.
    fn hash_all(&mut self) {
        let mut writer = Writer::default();
        self.tree.touch_all();
        let (mut entries, starts) = self.entries_by_block();
        for block in 0..BLOCKS {
            let entries = &mut entries[starts[block]..starts[block + 1]];
            self.hash_block(number(block), entries, &mut writer);
        }
    }

    /// All entries, those of a block side by side, and where each block begins.
    fn entries_by_block(&self) -> (Vec<Entry>, Vec<usize>) {
        let all = || (0..number(self.registers.len())).filter_map(|n| self.entry(n));
        let mut starts = vec![0; BLOCKS + 2];
        for entry in all() {
            starts[block_of(entry.key) + 2] += 1;
        }
        for block in 2..starts.len() {
            starts[block] += starts[block - 1];
        }
        let mut entries = vec![Entry::default(); starts[BLOCKS + 1]];
        for entry in all() {
            let next = &mut starts[block_of(entry.key) + 1];
            entries[*next] = entry;
            *next += 1;
        }
        (entries, starts)
    }

    /// A register, if there is anything to hash of it.
    fn entry(&self, n: u32) -> Option<Entry> {
        let register = self.registers.get(n);
        let key = register.key;
        let is_told = register.shown != ABSENT || register.conflicts > 0;
        is_told.then_some(Entry { key, register: n })
    }

    /// Hashes the touched leaves of a block, which have these entries.
    fn hash_block(&mut self, block: u32, entries: &mut [Entry], writer: &mut Writer) {
        self.look_ahead(entries);
        entries.sort_unstable_by(|a, b| {
            let names = || self.order_names(a.register, b.register);
            a.key.cmp(&b.key).then_with(names)
        });
        self.tree.empty_touched(block);
        for leaf in entries.chunk_by(|a, b| leaf_of(a.key) == leaf_of(b.key)) {
            let hash = self.hash_leaf(leaf, writer);
            self.tree.set_leaf(leaf[0].key, hash);
        }
    }

    /// Has the memory ready that hashing these entries needs.
    fn look_ahead(&self, entries: &[Entry]) {
        for entry in entries {
            core::hint::black_box(self.registers.get(entry.register).key);
        }
        for entry in entries {
            let subject = self.registers.get(entry.register).subject;
            for node in [subject.node, subject.other] {
                core::hint::black_box(self.tree.text(self.nodes.id(node))[0]);
            }
        }
    }

    fn hash_leaf(&self, entries: &[Entry], writer: &mut Writer) -> Hash {
        writer.clear();
        for entry in entries {
            self.write_register(entry.register, writer);
        }
        Sha256::digest(writer.as_slice()).into()
    }

    fn order_names(&self, one: u32, other: u32) -> Ordering {
        self.name_of(one).cmp(&self.name_of(other))
    }

    /// The texts that name a register.
    pub(super) fn name_of(&self, register: u32) -> (About, [&str; 3]) {
        let subject = self.registers.get(register).subject;
        let id = |node: u32| self.texts.text(self.nodes.id(node));
        let names = match subject.about {
            About::Node => [id(subject.node), "", ""],
            About::Property => [id(subject.node), self.texts.text(subject.name), ""],
            About::Edge => [
                id(subject.node),
                self.texts.text(subject.name),
                id(subject.other),
            ],
        };
        (subject.about, names)
    }

    fn write_register(&self, n: u32, writer: &mut Writer) {
        let register = self.registers.get(n);
        let subject = register.subject;
        writer.u8(subject.about as u8);
        self.write_text(self.nodes.id(subject.node), writer);
        if subject.about != About::Node {
            self.write_text(subject.name, writer);
        }
        if subject.about == About::Edge {
            self.write_text(self.nodes.id(subject.other), writer);
        }
        self.write_value(register.shown, writer);
        writer.u32(register.conflicts);
        if register.conflicts > 0 {
            for loss in self.losses(n) {
                self.write_loss(&loss, n, writer);
            }
        }
    }

    /// Writes the hash of a text for it.
    fn write_text(&self, n: u32, writer: &mut Writer) {
        writer.bytes(self.tree.text(n));
    }

    fn write_loss(&self, loss: &Loss, register: u32, writer: &mut Writer) {
        writer.u8(loss.why as u8);
        self.write_place(loss.loser, writer);
        self.write_value(loss.lost, writer);
        writer.u8(u8::from(loss.winner.is_some()));
        if let Some(winner) = loss.winner {
            self.write_place(winner, writer);
            self.write_value(loss.won, writer);
        }
        if loss.why == Why::NoNode {
            let missing = self.missing(register);
            writer.u8(u8::from(missing.len() > 1));
            for node in missing {
                writer.text(node);
            }
        }
    }

    fn write_place(&self, place: Place, writer: &mut Writer) {
        writer.bytes(self.patches.id(place.patch).as_bytes());
        writer.u32(place.index);
    }

    fn write_value(&self, value: u32, writer: &mut Writer) {
        match value {
            ABSENT => writer.u8(0),
            PRESENT => writer.u8(1),
            text => {
                writer.u8(2);
                self.write_text(text, writer);
            }
        }
    }

    /// The patches that share a dot with another.
    fn shared_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        for (dot, patches) in self.patches.shared() {
            writer.text(dot.actor.as_str());
            writer.u64(dot.counter);
            for patch in patches {
                writer.bytes(self.patches.id(patch).as_bytes());
            }
        }
        writer.finish()
    }
}
