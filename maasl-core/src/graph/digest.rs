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
use super::register::{ABSENT, About, NONE, PRESENT};
use super::resolve::{Loss, Why};
use super::state::Graph;
use super::texts::Texts;
use super::{at, number};
use crate::id::ContentHash;

const DOMAIN: &[u8] = b"maasl graph 1\n";
const WIDTH: usize = 256;

type Hash = [u8; 32];

/// The hashes of texts, leaves, groups and the whole.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// None until a register falls into it.
    groups: Vec<Option<Box<Group>>>,
    /// The next register in the same leaf, by register.
    next: Vec<u32>,
    /// The hashes of texts, by their numbers.
    texts: Vec<Hash>,
    whole: ContentHash,
}

#[derive(Clone, Debug)]
struct Group {
    /// The first register of each leaf.
    first: [u32; WIDTH],
    /// Leaves to hash again, a bit for each.
    touched: [u64; WIDTH / 64],
    /// None for what has nothing to hash.
    leaves: [Option<Hash>; WIDTH],
    hash: Option<Hash>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            groups: vec![None; WIDTH],
            next: Vec::new(),
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

    /// Puts the next register into its leaf.
    pub(super) fn link(&mut self, key: u64) {
        let [group, leaf] = place_of(key);
        let group = self.groups[group].get_or_insert_with(Group::boxed);
        let next = core::mem::replace(&mut group.first[leaf], number(self.next.len()));
        self.next.push(next);
    }

    /// Has the leaf of a register hashed again at the next refresh.
    pub(super) fn touch(&mut self, key: u64) {
        let [group, leaf] = place_of(key);
        if let Some(group) = &mut self.groups[group] {
            group.touched[leaf / 64] |= 1 << (leaf % 64);
        }
    }

    /// Makes room for `more` registers.
    pub(super) fn reserve(&mut self, more: usize) {
        self.next.reserve(more);
    }

    fn learn(&mut self, texts: &Texts) {
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
        let touched = self.groups[group].as_ref().map(|group| group.touched);
        let is_touched = move |leaf: &usize| {
            touched.is_some_and(|touched| touched[leaf / 64] >> (leaf % 64) & 1 == 1)
        };
        (0..WIDTH).filter(is_touched)
    }

    /// Takes down the hashes of leaves of a group.
    fn set_leaves(&mut self, group: usize, hashes: &[(usize, Option<Hash>)]) {
        let Some(group) = &mut self.groups[group] else {
            return;
        };
        if hashes.is_empty() {
            return;
        }
        for (leaf, hash) in hashes {
            group.leaves[*leaf] = *hash;
        }
        group.touched = [0; WIDTH / 64];
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
            touched: [0; WIDTH / 64],
            leaves: [None; WIDTH],
            hash: None,
        })
    }
}

impl Graph {
    /// Brings the digest up to date.
    pub(super) fn refresh_digest(&mut self) {
        self.tree.learn(&self.texts);
        let mut scratch = Scratch::default();
        let mut hashes = Vec::with_capacity(WIDTH);
        for group in 0..WIDTH {
            hashes.clear();
            for leaf in self.tree.touched(group) {
                hashes.push((leaf, self.hash_leaf(group, leaf, &mut scratch)));
            }
            self.tree.set_leaves(group, &hashes);
        }
        let shared = self.shared_bytes();
        self.tree.set_whole(&shared);
    }

    fn hash_leaf(&self, group: usize, leaf: usize, scratch: &mut Scratch) -> Option<Hash> {
        let Scratch { registers, writer } = scratch;
        registers.clear();
        writer.clear();
        for n in self.tree.registers(group, leaf) {
            let register = self.registers.get(n);
            if register.shown != ABSENT || register.conflicts > 0 {
                registers.push((register.key, n));
            }
        }
        if registers.is_empty() {
            return None;
        }
        registers.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.order_names(a.1, b.1)));
        for (_, register) in registers.iter() {
            self.write_register(*register, writer);
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

/// What hashing a leaf needs, kept from one to the next.
#[derive(Default)]
struct Scratch {
    registers: Vec<(u64, u32)>,
    writer: Writer,
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
