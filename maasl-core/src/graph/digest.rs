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
//! small graph is cheap too.

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
use crate::id::ContentHash;

const DOMAIN: &[u8] = b"maasl graph 1\n";
const WIDTH: usize = 256;

type Hash = [u8; 32];

/// The hashes of leaves, groups and the whole.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// None until a register falls into it.
    groups: Vec<Option<Box<Group>>>,
    /// Groups with leaves to hash again.
    touched: Vec<u8>,
    whole: ContentHash,
}

#[derive(Clone, Debug)]
struct Group {
    leaves: [Leaf; WIDTH],
    /// Leaves to hash again.
    touched: Vec<u8>,
    /// None if it has nothing to hash.
    hash: Option<Hash>,
}

#[derive(Clone, Copy, Debug)]
struct Leaf {
    /// The first of its registers.
    first: u32,
    is_touched: bool,
    /// None if it has nothing to hash.
    hash: Option<Hash>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            groups: vec![None; WIDTH],
            touched: Vec::new(),
            whole: ContentHash::of(DOMAIN),
        }
    }
}

impl Tree {
    /// The hash of the whole, as of the last refresh.
    pub(super) const fn digest(&self) -> ContentHash {
        self.whole
    }

    /// Puts a register into its leaf. Returns the one that was first there.
    pub(super) fn link(&mut self, key: u64, register: u32) -> u32 {
        let [group, leaf] = place_of(key);
        let group = self.groups[usize::from(group)].get_or_insert_with(Group::boxed);
        let first = &mut group.leaves[usize::from(leaf)].first;
        core::mem::replace(first, register)
    }

    /// Has the leaf of a register hashed again at the next refresh.
    pub(super) fn touch(&mut self, key: u64) {
        let [group_place, leaf_place] = place_of(key);
        let Some(group) = &mut self.groups[usize::from(group_place)] else {
            return;
        };
        let leaf = &mut group.leaves[usize::from(leaf_place)];
        if core::mem::replace(&mut leaf.is_touched, true) {
            return;
        }
        if group.touched.is_empty() {
            self.touched.push(group_place);
        }
        group.touched.push(leaf_place);
    }
}

impl Group {
    fn boxed() -> Box<Self> {
        let leaf = Leaf {
            first: NONE,
            is_touched: false,
            hash: None,
        };
        Box::new(Self {
            leaves: [leaf; WIDTH],
            touched: Vec::new(),
            hash: None,
        })
    }
}

impl Graph {
    /// Brings the digest up to date.
    pub(super) fn refresh_digest(&mut self) {
        let mut tree = core::mem::take(&mut self.tree);
        let mut scratch = Scratch::default();
        for group_place in core::mem::take(&mut tree.touched) {
            let Some(group) = &mut tree.groups[usize::from(group_place)] else {
                continue;
            };
            for leaf_place in core::mem::take(&mut group.touched) {
                let leaf = &mut group.leaves[usize::from(leaf_place)];
                leaf.is_touched = false;
                leaf.hash = self.hash_leaf(leaf.first, &mut scratch);
            }
            group.hash = hash_some(b"", group.leaves.iter().map(|leaf| leaf.hash.as_ref()), b"");
        }
        let groups = tree.groups.iter();
        let hashes = groups.map(|group| group.as_ref().and_then(|group| group.hash.as_ref()));
        let whole = hash_some(DOMAIN, hashes, &self.shared_bytes());
        tree.whole = whole.map_or_else(|| ContentHash::of(DOMAIN), ContentHash::from_bytes);
        self.tree = tree;
    }

    fn hash_leaf(&self, first: u32, scratch: &mut Scratch) -> Option<Hash> {
        scratch.registers.clear();
        scratch.writer.clear();
        for register in self.chain(first, |register| register.next_in_leaf) {
            let looked_at = self.registers.get(register);
            if looked_at.shown != ABSENT || looked_at.conflicts > 0 {
                scratch.registers.push((looked_at.key, register));
            }
        }
        if scratch.registers.is_empty() {
            return None;
        }
        scratch
            .registers
            .sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.order_names(a.1, b.1)));
        for (_, register) in &scratch.registers {
            self.write_register(*register, &mut scratch.writer);
        }
        Some(Sha256::digest(scratch.writer.as_slice()).into())
    }

    fn order_names(&self, one: u32, other: u32) -> Ordering {
        self.name_of(one).cmp(&self.name_of(other))
    }

    /// The texts that name a register.
    pub(super) fn name_of(&self, register: u32) -> (About, [&str; 3]) {
        let subject = self.registers.get(register).subject;
        let id = |node: u32| self.texts.text(self.nodes.get(node).id);
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
        let (about, names) = self.name_of(n);
        let register = self.registers.get(n);
        writer.u8(about as u8);
        let parts = match about {
            About::Node => 1,
            About::Property => 2,
            About::Edge => 3,
        };
        for name in &names[..parts] {
            writer.text(name);
        }
        self.write_value(register.shown, writer);
        writer.u32(register.conflicts);
        if register.conflicts > 0 {
            for loss in self.losses(n) {
                self.write_loss(&loss, n, writer);
            }
        }
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
                writer.text(self.texts.text(text));
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
fn place_of(key: u64) -> [u8; 2] {
    let [.., group, leaf] = key.to_be_bytes();
    [group, leaf]
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
