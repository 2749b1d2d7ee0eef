//! The digest: one hash of the graph and the conflict log.
//!
//! Owns: which bytes are hashed, and the tree of hashes that spares most of them.
//! Promises: equal graphs and logs have equal digests, whatever the patches were
//! merged in; different ones do not, as far as SHA-256 can promise that; a change
//! costs what it touches. Leaves to others: what shows and who lost (`resolve`).
//!
//! The registers are spread over 65,536 leaves by the low bits of their keys, so
//! that a leaf has few even in a large graph. The hash of a leaf is that of its
//! registers that show or conflict, in the order of key and name; 256 leaves make
//! a group, and the groups make the digest. What is empty is not hashed, so a
//! small graph is cheap too. Texts go in by their own hashes, which are made once:
//! a leaf then needs no text, and no text is hashed for each edge it is part of.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::cmp::Ordering;

use sha2::{Digest as _, Sha256};

use super::codec::Writer;
use super::patches::Place;
use super::register::{ABSENT, About, NONE, PRESENT, Registers};
use super::resolve::{Loss, Why};
use super::state::Graph;
use super::texts::Texts;
use super::{at, number};
use crate::id::ContentHash;

const DOMAIN: &[u8] = b"maasl graph 1\n";
const WIDTH: usize = 256;
/// Words for a bit for each leaf of a group.
const WORDS: usize = WIDTH / 64;
/// For how many leaves memory is fetched at once.
const AT_ONCE: usize = 16;

type Hash = [u8; 32];

/// The hashes of texts, leaves, groups and the whole.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// None until a register falls into it.
    groups: Vec<Option<Box<Group>>>,
    /// The next register in the same leaf, by register.
    next: Vec<u32>,
    /// Leaves to hash again, a bit for each.
    touched: Vec<u64>,
    /// The hashes of texts, by their numbers.
    texts: Vec<Hash>,
    whole: ContentHash,
}

#[derive(Clone, Debug)]
struct Group {
    /// The first register of each leaf.
    first: [u32; WIDTH],
    /// None for what has nothing to hash.
    leaves: [Option<Hash>; WIDTH],
    hash: Option<Hash>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            groups: vec![None; WIDTH],
            next: Vec::new(),
            touched: vec![0; WIDTH * WORDS],
            texts: Vec::new(),
            whole: ContentHash::of(DOMAIN),
        }
    }
}

impl Tree {
    /// The hash of the whole, as of the last refresh.
    pub(super) const fn digest(&self) -> ContentHash {
        self.whole
    }

    /// Has the leaf of a register hashed again at the next refresh.
    pub(super) fn touch(&mut self, key: u64) {
        let [group, leaf] = place_of(key);
        self.touched[group * WORDS + leaf / 64] |= 1 << (leaf % 64);
    }

    /// Makes room for `more` registers.
    pub(super) fn reserve(&mut self, more: usize) {
        self.next.reserve(more);
    }

    /// Takes in texts and registers that are new.
    fn learn(&mut self, texts: &Texts, registers: &Registers) {
        for n in self.next.len()..registers.len() {
            let [group, leaf] = place_of(registers.get(number(n)).key);
            let group = self.groups[group].get_or_insert_with(Group::boxed);
            let next = core::mem::replace(&mut group.first[leaf], number(n));
            self.next.push(next);
        }
        for n in self.texts.len()..texts.len() {
            let text = texts.text(number(n));
            self.texts.push(Sha256::digest(text).into());
        }
    }

    /// The registers of a leaf.
    fn registers(&self, group: usize, leaf: usize) -> impl Iterator<Item = u32> {
        let group = self.groups[group].as_ref();
        let first = group.map_or(NONE, |group| group.first[leaf]);
        let some = |n: u32| (n != NONE).then_some(n);
        core::iter::successors(some(first), move |n| some(self.next[at(*n)]))
    }

    /// The leaves of a group that are to be hashed again.
    fn touched(&self, group: usize) -> impl Iterator<Item = usize> {
        let touched = &self.touched[group * WORDS..][..WORDS];
        let is_touched = |leaf: &usize| touched[leaf / 64] >> (leaf % 64) & 1 == 1;
        (0..WIDTH).filter(is_touched)
    }

    /// Takes down the hashes of leaves of a group.
    fn set_leaves(&mut self, group: usize, hashes: &[(usize, Option<Hash>)]) {
        self.touched[group * WORDS..][..WORDS].fill(0);
        let Some(group) = self.groups[group].as_mut().filter(|_| !hashes.is_empty()) else {
            return;
        };
        for (leaf, hash) in hashes {
            group.leaves[*leaf] = *hash;
        }
        group.hash = hash_some(b"", group.leaves.iter().map(Option::as_ref), b"");
    }

    fn set_whole(&mut self, after: &[u8]) {
        let groups = self.groups.iter();
        let hashes = groups.map(|group| group.as_ref().and_then(|group| group.hash.as_ref()));
        let whole = hash_some(DOMAIN, hashes, after);
        self.whole = whole.map_or_else(|| ContentHash::of(DOMAIN), ContentHash::from_bytes);
    }
}

impl Group {
    fn boxed() -> Box<Self> {
        Box::new(Self {
            first: [NONE; WIDTH],
            leaves: [None; WIDTH],
            hash: None,
        })
    }
}

impl Graph {
    /// Brings the digest up to date after `changed` registers were looked at.
    pub(super) fn refresh_digest(&mut self, changed: usize) {
        self.tree.learn(&self.texts, &self.registers);
        if changed * 2 > self.registers.len() {
            self.hash_all();
        } else {
            self.hash_touched();
        }
        let shared = self.shared_bytes();
        self.tree.set_whole(&shared);
    }

    /// Hashes the leaves that were touched, each by going along its registers.
    fn hash_touched(&mut self) {
        let mut writer = Writer::default();
        let mut entries = Vec::new();
        let mut leaves: Vec<(usize, usize)> = Vec::new();
        let mut hashes = Vec::with_capacity(WIDTH);
        for group in 0..WIDTH {
            entries.clear();
            leaves.clear();
            hashes.clear();
            for leaf in self.tree.touched(group) {
                let registers = self.tree.registers(group, leaf);
                entries.extend(registers.filter_map(|n| self.entry(n)));
                leaves.push((leaf, entries.len()));
            }
            self.look_ahead(&entries);
            let mut start = 0;
            for (leaf, end) in &leaves {
                let entries = &mut entries[start..*end];
                hashes.push((*leaf, self.hash_leaf(entries, &mut writer)));
                start = *end;
            }
            self.tree.set_leaves(group, &hashes);
        }
    }

    /// Hashes all leaves. The registers are sorted by leaf in one go, since to go
    /// along each leaf would wait for memory at every step.
    fn hash_all(&mut self) {
        let mut writer = Writer::default();
        let (mut entries, starts) = self.entries_by_leaf();
        let mut hashes = Vec::with_capacity(WIDTH);
        for group in 0..WIDTH {
            hashes.clear();
            for leaf in 0..WIDTH {
                let place = group * WIDTH + leaf;
                if leaf % AT_ONCE == 0 {
                    self.look_ahead(&entries[starts[place]..starts[place + AT_ONCE]]);
                }
                let entries = &mut entries[starts[place]..starts[place + 1]];
                hashes.push((leaf, self.hash_leaf(entries, &mut writer)));
            }
            self.tree.set_leaves(group, &hashes);
        }
    }

    /// All entries, those of a leaf side by side, and where each leaf begins.
    fn entries_by_leaf(&self) -> (Vec<Entry>, Vec<usize>) {
        let place = |entry: &Entry| {
            let [group, leaf] = place_of(entry.key);
            group * WIDTH + leaf
        };
        let all = || (0..number(self.registers.len())).filter_map(|n| self.entry(n));
        let mut starts = vec![0; WIDTH * WIDTH + 2];
        for entry in all() {
            starts[place(&entry) + 2] += 1;
        }
        for leaf in 2..starts.len() {
            starts[leaf] += starts[leaf - 1];
        }
        let mut entries = vec![Entry::default(); starts[WIDTH * WIDTH + 1]];
        for entry in all() {
            let next = &mut starts[place(&entry) + 1];
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

    /// Has the memory ready that hashing these entries needs.
    fn look_ahead(&self, entries: &[Entry]) {
        for entry in entries {
            core::hint::black_box(self.registers.get(entry.register).key);
        }
        for entry in entries {
            let subject = self.registers.get(entry.register).subject;
            for node in [subject.node, subject.other] {
                core::hint::black_box(self.tree.texts[at(self.nodes.id(node))][0]);
            }
        }
    }

    fn hash_leaf(&self, entries: &mut [Entry], writer: &mut Writer) -> Option<Hash> {
        if entries.is_empty() {
            return None;
        }
        entries.sort_unstable_by(|a, b| {
            let names = || self.order_names(a.register, b.register);
            a.key.cmp(&b.key).then_with(names)
        });
        writer.clear();
        for entry in entries.iter() {
            self.write_register(entry.register, writer);
        }
        Some(Sha256::digest(writer.as_slice()).into())
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
        writer.bytes(&self.tree.texts[at(n)]);
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

/// A register on its way into the hash of its leaf.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    register: u32,
}

/// The group and the leaf of a key.
fn place_of(key: u64) -> [usize; 2] {
    let [.., group, leaf] = key.to_be_bytes();
    [group, leaf].map(usize::from)
}

/// The hash of hashes with their places, if there is anything to hash.
fn hash_some<'h>(
    before: &[u8],
    hashes: impl Iterator<Item = Option<&'h Hash>>,
    after: &[u8],
) -> Option<Hash> {
    let mut digest = Sha256::new();
    digest.update(before);
    let mut is_empty = after.is_empty();
    for (place, hash) in (0_u8..=u8::MAX).zip(hashes) {
        if let Some(hash) = hash {
            is_empty = false;
            digest.update([place]);
            digest.update(hash);
        }
    }
    digest.update(after);
    (!is_empty).then(|| digest.finalize().into())
}
