//! Every power cut of a recording.
//!
//! Owns: at which instants the power goes, and which of what was not synced
//! survives. Promises: each state once, whichever cuts and sets lead to it, and all
//! sets where few enough operations are open. Leaves to others: what a state means
//! (`judge`).
//!
//! The power goes before each operation and after the last. Where at most
//! [`bound`] operations are not durable, every legal set of them is tried.
//! Where there are more: all beginnings of their sequence, all of them less each
//! single one, each single one, and each pair that is not of one file, always with
//! what these cannot do without. Where a beginning, or one of all sets, ends with a
//! write, that is tried whole, by its first half, and, if it is behind the end of
//! its file, by its length alone.
//!
//! Two states that differ in what SQLite does not believe of a write-ahead log are
//! one (`log`); of each, one is tried without anything behind the sound part, and
//! one with.
//!
//! What lies in `latch/`, `live/` and `bell/` is held by running processes and read
//! by nobody later. It survives in all states, and where everything else survives
//! it is tried lost as well.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::ContentHash;

use super::disk::{Disk, Extent, Inode, Node, Op, OpNo, Survivors, Tree, Written};
use super::log::sound_bytes;

/// How many operations may be open for all their sets to be tried, and how to say
/// another number.
pub(crate) const BOUND: &str = "MAASL_CRASH_BOUND";
pub(crate) const BOUND_USUAL: usize = 5;

/// The folders of what is held by running processes.
const FLEETING: [&str; 3] = [".maasl/latch", ".maasl/live", ".maasl/bell"];

/// How far the program had come: so many steps asked for, so many answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Progress {
    pub(crate) asked: usize,
    pub(crate) answered: usize,
}

/// A state of the disk after a power cut.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) tree: Tree,
    /// A set that leads to it, and the cut that was tried with it first.
    pub(crate) survivors: Survivors,
    pub(crate) cut: OpNo,
    /// The most that was answered, and the least that was asked for, at any cut that
    /// can leave it.
    pub(crate) progress: Progress,
}

/// All states, and how many sets were tried for them.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    pub(crate) states: Vec<State>,
    pub(crate) tried: usize,
    pub(crate) instants: usize,
    /// At how many cuts all sets were tried.
    pub(crate) exhausted: usize,
    sets: BTreeMap<Survivors, usize>,
    known: BTreeMap<Key, usize>,
    logs: BTreeMap<(Inode, Written), Sound>,
}

/// What tells a state from others.
type Key = (Tree, Vec<Sound>);

/// The part of a log that counts, by its hash, and whether there is more behind.
type Sound = (ContentHash, bool);

/// What this run tries.
pub(crate) fn bound() -> usize {
    match std::env::var(BOUND) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{BOUND} is a number, and not {text}")),
        Err(_) => BOUND_USUAL,
    }
}

/// The states that a power cut can leave, from where the program says `begin` on.
/// With a bound of 0, single operations and pairs are left out.
pub(crate) fn enumerate(disk: &Disk, bound: usize) -> Cuts {
    let singles = bound > 0;
    let begin = disk
        .ops
        .iter()
        .position(|op| matches!(op, Op::Mark(said) if said == "begin"));
    let begin = begin.expect("the program says where it begins");
    let fleeting = fleeting(disk);
    let mut cuts = Cuts::default();
    for cut in begin..=disk.ops.len() {
        let durable = disk.durable(cut);
        let open: Vec<OpNo> = (0..cut)
            .filter(|no| disk.ops[*no].is_change() && !durable.contains(no))
            .filter(|no| !fleeting.contains(no))
            .collect();
        cuts.instants += 1;
        cuts.exhausted += usize::from(open.len() <= bound);
        let at = Cut {
            disk,
            before: cut,
            durable,
            fleeting: &fleeting,
            singles,
        };
        let sets = if open.len() <= bound {
            at.all(&open)
        } else {
            at.some(&open)
        };
        for set in sets {
            cuts.add(&at, &set, open.len() <= bound);
        }
        for length in 0..=open.len() {
            let beginning = open[..length].iter().copied();
            cuts.add(&at, &at.with(beginning, true), true);
        }
        cuts.add(&at, &at.with(open, false), false);
    }
    cuts
}

impl Cuts {
    /// The states that `other` does not have, or has for less.
    pub(crate) fn beyond(mut self, other: &Self) -> Self {
        let keys: BTreeMap<usize, &Key> = self.known.iter().map(|(key, no)| (*no, key)).collect();
        let is_new = |no: &usize| {
            let known = other
                .known
                .get(keys[no])
                .map(|known| other.states[*known].progress);
            known != Some(self.states[*no].progress)
        };
        let new: BTreeSet<usize> = (0..self.states.len()).filter(is_new).collect();
        let states = std::mem::take(&mut self.states).into_iter().enumerate();
        let states = states
            .filter(|(no, _)| new.contains(no))
            .map(|(_, state)| state);
        self.states = states.collect();
        self.known.clear();
        self.sets.clear();
        self
    }

    fn add(&mut self, at: &Cut<'_>, ops: &BTreeSet<OpNo>, torn: bool) {
        let last = ops.last().filter(|no| torn && !at.durable.contains(no));
        let extents: &[Extent] = match last {
            Some(no) if at.disk.extends_its_file(*no, ops) => {
                &[Extent::Whole, Extent::FirstHalf, Extent::LengthAlone]
            }
            Some(no) if matches!(at.disk.ops[*no], Op::Write { .. }) => {
                &[Extent::Whole, Extent::FirstHalf]
            }
            _ => &[Extent::Whole],
        };
        for of_last in extents {
            self.tried += 1;
            let survivors = Survivors {
                ops: ops.clone(),
                of_last: *of_last,
            };
            self.keep(at, survivors);
        }
    }

    fn keep(&mut self, at: &Cut<'_>, survivors: Survivors) {
        let progress = progress(at.disk, at.before);
        let known = match self.sets.get(&survivors) {
            Some(known) => *known,
            None => self.state(at, &survivors, progress),
        };
        self.sets.insert(survivors, known);
        let known = &mut self.states[known].progress;
        known.answered = known.answered.max(progress.answered);
        known.asked = known.asked.min(progress.asked);
    }

    /// The number of the state that they lead to.
    fn state(&mut self, at: &Cut<'_>, survivors: &Survivors, progress: Progress) -> usize {
        let tree = at.disk.tree(survivors);
        let key = self.key(at.disk, &tree);
        let next = self.states.len();
        let known = *self.known.entry(key).or_insert(next);
        if known == next {
            let (survivors, cut) = (survivors.clone(), at.before);
            self.states.push(State {
                tree,
                survivors,
                cut,
                progress,
            });
        }
        known
    }
}

impl Cuts {
    fn key(&mut self, disk: &Disk, tree: &Tree) -> Key {
        let (mut key, mut sound) = (tree.clone(), Vec::new());
        for (path, node) in &mut key {
            if let (true, Node::File(inode, written)) = (path.ends_with("-wal"), node) {
                let log = (*inode, std::mem::take(written));
                let read = |(inode, written): &(Inode, Written)| {
                    let content = disk.content(*inode, written);
                    let counts = sound_bytes(&content);
                    (ContentHash::of(&content[..counts]), counts < content.len())
                };
                let known = self.logs.get(&log).copied();
                let known = known.unwrap_or_else(|| read(&log));
                self.logs.insert(log, known);
                sound.push(known);
            }
        }
        (key, sound)
    }
}

/// One instant at which the power goes.
struct Cut<'a> {
    disk: &'a Disk,
    before: OpNo,
    durable: BTreeSet<OpNo>,
    fleeting: &'a BTreeSet<OpNo>,
    singles: bool,
}

impl Cut<'_> {
    /// Everything durable, these operations, and what they cannot do without.
    fn with(&self, ops: impl IntoIterator<Item = OpNo>, held: bool) -> BTreeSet<OpNo> {
        let held = self.fleeting.iter().filter(|no| held && **no < self.before);
        let all = self.durable.iter().chain(held).copied().chain(ops);
        self.disk.closed(all)
    }

    fn all(&self, open: &[OpNo]) -> Vec<BTreeSet<OpNo>> {
        let sets = 0..1_u64 << open.len();
        let sets = sets.map(|mask| {
            let chosen = open
                .iter()
                .enumerate()
                .filter(|(bit, _)| mask & (1 << bit) != 0);
            let chosen: BTreeSet<OpNo> = chosen.map(|(_, no)| *no).collect();
            let set = self.with(chosen.iter().copied(), true);
            // What needs more than was chosen is another set of them.
            let more = open
                .iter()
                .any(|no| set.contains(no) && !chosen.contains(no));
            (!more).then_some(set)
        });
        sets.flatten().collect()
    }

    fn some(&self, open: &[OpNo]) -> Vec<BTreeSet<OpNo>> {
        let whole = self.with(open.iter().copied(), true);
        let mut sets = Vec::new();
        for (at, no) in open.iter().enumerate() {
            sets.push(self.disk.lacking(&whole, *no));
            if !self.singles {
                continue;
            }
            sets.push(self.with([*no], true));
            let file = self.disk.ops[*no].file();
            let others = open[..at].iter();
            let others =
                others.filter(|other| file.is_none() || self.disk.ops[**other].file() != file);
            sets.extend(others.map(|other| self.with([*no, *other], true)));
        }
        debug_assert!(sets.iter().all(|set| self.disk.is_closed(set)));
        sets
    }
}

/// How far the program had come at a cut.
pub(crate) fn progress(disk: &Disk, cut: OpNo) -> Progress {
    let said = |what: &str| {
        let marks = disk.ops[..cut].iter();
        marks
            .filter(|op| matches!(op, Op::Mark(said) if said.starts_with(what)))
            .count()
    };
    Progress {
        asked: said("asked"),
        answered: said("answered"),
    }
}

/// The operations on names in the folders of what running processes hold.
fn fleeting(disk: &Disk) -> BTreeSet<OpNo> {
    let paths = disk.first_paths();
    let is_fleeting = |op: &Op| match op {
        Op::Make((folder, _), _) | Op::Remove((folder, _), _) => {
            FLEETING.contains(&paths[folder].as_str())
        }
        _ => false,
    };
    let ops = disk.ops.iter().enumerate();
    ops.filter(|(_, op)| is_fleeting(op))
        .map(|(no, _)| no)
        .collect()
}

/// Builds a state in an empty folder.
pub(crate) fn build(disk: &Disk, tree: &Tree, root: &std::path::Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    for (path, node) in tree {
        let path = root.join(path);
        match node {
            Node::Folder => std::fs::create_dir(&path).unwrap(),
            Node::Pipe => mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            Node::File(inode, written) => {
                std::fs::write(&path, disk.content(*inode, written)).unwrap();
            }
        }
    }
}

/// What survives if the power never goes.
pub(crate) fn everything(disk: &Disk) -> Survivors {
    Survivors {
        ops: (0..disk.ops.len())
            .filter(|no| disk.ops[*no].is_change())
            .collect(),
        of_last: Extent::Whole,
    }
}
