//! The tree of hashes under the digest.
//!
//! Owns: the leaves that registers fall into, and how hashes are joined. Promises:
//! the root depends on the hashes of the leaves and on nothing else; joining after
//! a change costs what it touched; a small graph is cheap. Leaves to others: what
//! is hashed of a leaf (`digest`).
//!
//! There are 131,072 leaves, told by the high bits of keys, so that even a large
//! graph has few registers in a leaf, and eight hashes are joined to one at each
//! level above (at the lowest two, 32 to one over four). With more leaves, a small
//! change of a large graph would be cheaper still, and making the graph dearer.
//! What is empty is not hashed and takes no memory, except that 32 leaves come as
//! one block.

use alloc::vec;
use alloc::vec::Vec;

use sha2::{Digest as _, Sha256};

use super::register::{NONE, Registers};
use super::texts::Texts;
use super::{at, number};
use crate::id::ContentHash;

const DOMAIN: &[u8] = b"maasl graph 1\n";
const FAN: usize = 8;
const LEAVES_PER_BLOCK: usize = 4 * FAN;
/// How many blocks of leaves there are.
pub(super) const BLOCKS: usize = FAN * FAN * FAN * FAN;

/// A SHA-256.
pub(super) type Hash = [u8; 32];
/// Stands for the hash of what is empty. Nothing has this hash.
const NOTHING: Hash = [0; 32];

/// The hashes of texts, leaves, what is above them, and the whole.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    blocks: Vec<Block>,
    /// Where each block is in `blocks`, from 1; 0 until a register falls into it.
    index: Vec<u32>,
    /// Leaves to hash again, a bit for each, by block.
    touched: Vec<u32>,
    /// The blocks that have such leaves.
    touched_blocks: Vec<u32>,
    /// The next register in the same leaf, by register.
    next: Vec<u32>,
    /// The hashes of texts, by their numbers.
    texts: Vec<Hash>,
    /// The hashes of blocks and of the levels above, the lowest first.
    levels: [Vec<Hash>; 4],
    whole: ContentHash,
}

/// Leaves side by side, with the level above them.
#[derive(Clone, Debug)]
struct Block {
    /// The first register of each leaf.
    first: [u32; LEAVES_PER_BLOCK],
    leaves: [Hash; LEAVES_PER_BLOCK],
    joined: [Hash; LEAVES_PER_BLOCK / FAN],
}

impl Default for Tree {
    fn default() -> Self {
        let level = |width| vec![NOTHING; width];
        Self {
            blocks: Vec::new(),
            index: vec![0; BLOCKS],
            touched: vec![0; BLOCKS],
            touched_blocks: Vec::new(),
            next: Vec::new(),
            texts: Vec::new(),
            levels: [BLOCKS, BLOCKS / FAN, BLOCKS / FAN / FAN, FAN].map(level),
            whole: ContentHash::of(DOMAIN),
        }
    }
}

impl Tree {
    /// The hash of the whole, as of the last time hashes were joined.
    pub(super) const fn digest(&self) -> ContentHash {
        self.whole
    }

    /// The hash of a text.
    pub(super) fn text(&self, n: u32) -> &Hash {
        &self.texts[at(n)]
    }

    /// Has the leaf of a register hashed again.
    pub(super) fn touch(&mut self, key: u64) {
        let block = block_of(key);
        let touched = &mut self.touched[block];
        if *touched == 0 {
            self.touched_blocks.push(number(block));
        }
        *touched |= 1 << leaf_of(key);
    }

    /// Has all leaves hashed again.
    pub(super) fn touch_all(&mut self) {
        self.touched.fill(u32::MAX);
        self.touched_blocks = (0..number(BLOCKS)).collect();
    }

    /// The blocks with leaves that are to be hashed again.
    pub(super) fn touched_blocks(&self) -> Vec<u32> {
        self.touched_blocks.clone()
    }

    /// Makes room for `more` registers.
    pub(super) fn reserve(&mut self, more: usize) {
        self.next.reserve(more);
    }

    /// Takes in texts and registers that are new.
    pub(super) fn learn(&mut self, texts: &Texts, registers: &Registers) {
        for n in self.next.len()..registers.len() {
            let key = registers.get(number(n)).key;
            let index = &mut self.index[block_of(key)];
            if *index == 0 {
                self.blocks.push(Block::EMPTY);
                *index = number(self.blocks.len());
            }
            let first = &mut self.blocks[at(*index - 1)].first[leaf_of(key)];
            self.next.push(core::mem::replace(first, number(n)));
        }
        for n in self.texts.len()..texts.len() {
            let text = texts.text(number(n));
            self.texts.push(Sha256::digest(text).into());
        }
    }

    /// Puts the registers of the touched leaves of a block into `all`, in no order.
    /// All leaves are gone along at once, so that memory is waited for once and not
    /// for each.
    pub(super) fn touched_registers(&self, block: u32, all: &mut Vec<u32>) {
        all.clear();
        let touched = self.touched[at(block)];
        let Some(n) = self.index[at(block)].checked_sub(1) else {
            return;
        };
        let firsts = bits(touched).map(|leaf| self.blocks[at(n)].first[leaf]);
        all.extend(firsts.filter(|n| *n != NONE));
        let mut place = 0;
        while let Some(n) = all.get(place) {
            let next = self.next[at(*n)];
            if next != NONE {
                all.push(next);
            }
            place += 1;
        }
    }

    /// Takes the touched leaves of a block for empty, until they are set.
    pub(super) fn empty_touched(&mut self, block: u32) {
        let touched = self.touched[at(block)];
        if let Some(block) = self.block_mut(block) {
            for leaf in bits(touched) {
                block.leaves[leaf] = NOTHING;
            }
        }
    }

    /// Sets the hash of the leaf of a register.
    pub(super) fn set_leaf(&mut self, key: u64, hash: Hash) {
        if let Some(block) = self.block_mut(number(block_of(key))) {
            block.leaves[leaf_of(key)] = hash;
        }
    }

    /// Joins the hashes of all that was touched, and of what comes beside them.
    pub(super) fn join(&mut self, beside: &[u8]) {
        let mut touched = core::mem::take(&mut self.touched_blocks);
        for block in &touched {
            let leaves = core::mem::take(&mut self.touched[at(*block)]);
            if let Some(whole) = self.block_mut(*block).map(|block| block.join(leaves)) {
                self.levels[0][at(*block)] = whole;
            }
        }
        for level in 1..self.levels.len() {
            let (lower, upper) = self.levels.split_at_mut(level);
            for place in &mut touched {
                *place /= number(FAN);
            }
            touched.sort_unstable();
            touched.dedup();
            for place in touched.iter().map(|place| at(*place)) {
                upper[0][place] = joined(&lower[level - 1][place * FAN..][..FAN]);
            }
        }
        let mut whole = Sha256::new_with_prefix(DOMAIN);
        whole.update(joined(&self.levels[3]));
        whole.update(beside);
        self.whole = ContentHash::from_bytes(whole.finalize().into());
    }

    fn block_mut(&mut self, block: u32) -> Option<&mut Block> {
        let n = self.index[at(block)].checked_sub(1)?;
        Some(&mut self.blocks[at(n)])
    }
}

impl Block {
    const EMPTY: Self = Self {
        first: [NONE; LEAVES_PER_BLOCK],
        leaves: [NOTHING; LEAVES_PER_BLOCK],
        joined: [NOTHING; LEAVES_PER_BLOCK / FAN],
    };

    /// Joins the hashes of touched leaves.
    fn join(&mut self, touched: u32) -> Hash {
        for (place, leaves) in self.leaves.chunks(FAN).enumerate() {
            if touched >> (place * FAN) & 0xFF != 0 {
                self.joined[place] = joined(leaves);
            }
        }
        joined(&self.joined)
    }
}

/// The block of the register with this key.
pub(super) fn block_of(key: u64) -> usize {
    small(key >> 52)
}

/// The leaf within its block of the register with this key.
pub(super) fn leaf_of(key: u64) -> usize {
    small(key >> 47 & 31)
}

fn small(number: u64) -> usize {
    usize::try_from(number).expect("it has at most twelve bits")
}

/// The places of the bits that are set.
fn bits(bits: u32) -> impl Iterator<Item = usize> {
    (0..LEAVES_PER_BLOCK).filter(move |place| bits >> place & 1 == 1)
}

/// The hash of some hashes with their places.
fn joined(hashes: &[Hash]) -> Hash {
    let mut digest = Sha256::new();
    let mut is_empty = true;
    for (place, hash) in (0_u8..).zip(hashes) {
        if *hash != NOTHING {
            is_empty = false;
            digest.update([place]);
            digest.update(hash);
        }
    }
    if is_empty {
        return NOTHING;
    }
    digest.finalize().into()
}
