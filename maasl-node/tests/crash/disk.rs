//! A disk, as far as a power cut goes.
//!
//! Owns: what was asked of the disk, in order; which of it is durable at an
//! instant; what a set of operations makes of the tree. Promises: a set that
//! [`Disk::closed`] made can be carried out. Leaves to others: which sets are tried
//! (`cuts`).
//!
//! The model, in the manner of ALICE [Pillai et al., OSDI 2014]:
//!
//! - Only what was synced survives for sure. `fsync` of a file covers the writes
//!   that had returned when it began, and not the file's name; `fsync` of a folder
//!   covers the names in it.
//! - Anything else may survive or not, in any order: writes of one file too. What a
//!   write behind the end leaves out reads as zeros.
//! - Of the last write, the first half may survive alone, or, if it is behind the
//!   end of its file, the length alone, with zeros in the place of the bytes.
//! - A rename, an exchange of names too, is there on both sides or on neither, also
//!   if only one of the two folders was synced. This is what journals give, and
//!   what `ARCHITECTURE.md` asks of the file system under "Durability".
//! - Operations on one name survive in their order. A name needs its folder, and a
//!   folder is removed only when what left it has left it.
//!
//! Permissions, times and extended attributes are not part of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A file, folder or pipe, by number. The root is 0.
pub(crate) type Inode = usize;

/// The number of an operation, in the order in which they returned.
pub(crate) type OpNo = usize;

/// A name in a folder.
pub(crate) type Entry = (Inode, String);

pub(crate) const ROOT: Inode = 0;

/// What an inode is, and what it held before anything was recorded.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    File(Arc<[u8]>),
    Folder(BTreeMap<String, Inode>),
    Pipe,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Make(Entry, Inode),
    Link(Entry, Inode),
    Rename {
        from: Entry,
        to: Entry,
        exchange: bool,
    },
    Remove(Entry, Inode),
    /// A run of writes that continue each other.
    Write {
        inode: Inode,
        at: u64,
        bytes: Vec<u8>,
    },
    Truncate(Inode, u64),
    /// Covers operations below this number.
    Sync(Inode, OpNo),
    /// The program said something.
    Mark(String),
}

/// How much of a write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    Whole,
    FirstHalf,
    LengthAlone,
}

/// Which operations survive, and of the last one how much.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Survivors {
    pub(crate) ops: BTreeSet<OpNo>,
    pub(crate) of_last: Extent,
}

/// What stands at a path: two trees with the same nodes are the same tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    Folder,
    Pipe,
    /// Which file, and what was written to it.
    File(Inode, Written),
}

/// What was written to a file, in order.
pub(crate) type Written = Vec<(OpNo, Extent)>;

pub(crate) type Tree = BTreeMap<String, Node>;

/// Everything that was asked of a disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) inodes: Vec<Kind>,
    pub(crate) ops: Vec<Op>,
    /// What each operation cannot do without.
    needs: Vec<Vec<OpNo>>,
}

impl Op {
    fn entries(&self) -> Vec<&Entry> {
        match self {
            Self::Make(entry, _) | Self::Link(entry, _) | Self::Remove(entry, _) => vec![entry],
            Self::Rename { from, to, .. } => vec![from, to],
            _ => Vec::new(),
        }
    }

    /// The file whose content it changes.
    pub(crate) fn file(&self) -> Option<Inode> {
        match self {
            Self::Write { inode, .. } | Self::Truncate(inode, _) => Some(*inode),
            _ => None,
        }
    }

    /// Whether a power cut decides about it.
    pub(crate) fn is_change(&self) -> bool {
        !matches!(self, Self::Sync(..) | Self::Mark(_))
    }
}

impl Disk {
    pub(crate) fn push(&mut self, op: Op) {
        let needs = self.needs_of(&op);
        self.ops.push(op);
        self.needs.push(needs);
    }

    /// The last operation that touched each of its names; what made the folders
    /// they are in; of a removed folder, everything that happened in it.
    fn needs_of(&self, op: &Op) -> Vec<OpNo> {
        let mut needs = BTreeSet::new();
        for entry in op.entries() {
            let touches = |before: &Op| before.entries().contains(&entry);
            needs.extend(self.ops.iter().rposition(touches));
            let made = |before: &Op| matches!(before, Op::Make(_, inode) if *inode == entry.0);
            needs.extend(self.ops.iter().rposition(made));
        }
        if let Op::Remove(_, inode) = op {
            let inside = |before: &Op| before.entries().iter().any(|entry| entry.0 == *inode);
            let inside = self
                .ops
                .iter()
                .enumerate()
                .filter(|(_, before)| inside(before));
            needs.extend(inside.map(|(no, _)| no));
        }
        needs.into_iter().collect()
    }

    /// The same operations, less the syncs of what bore these names: what a program
    /// would ask that left them out. Also how many those were.
    pub(crate) fn without_syncs(&self, of: impl Fn(&str) -> bool) -> (Self, usize) {
        let paths = self.first_paths();
        let mut disk = self.clone();
        let mut left_out = 0;
        for op in &mut disk.ops {
            if let Op::Sync(inode, _) = op
                && of(&paths[inode])
            {
                *op = Op::Mark("a sync that was left out".into());
                left_out += 1;
            }
        }
        (disk, left_out)
    }

    /// The path that each inode had at first; that of the root is empty.
    pub(crate) fn first_paths(&self) -> BTreeMap<Inode, String> {
        let mut paths = BTreeMap::from([(ROOT, String::new())]);
        let mut open = vec![ROOT];
        while let Some(folder) = open.pop() {
            let Kind::Folder(names) = &self.inodes[folder] else {
                continue;
            };
            for (name, inode) in names {
                paths.insert(*inode, joined(&paths[&folder], name));
                open.push(*inode);
            }
        }
        for op in &self.ops {
            if let Op::Make((folder, name), inode) = op {
                paths.insert(*inode, joined(&paths[folder], name));
            }
        }
        paths
    }

    /// A set with everything that its members cannot do without.
    pub(crate) fn closed(&self, ops: impl IntoIterator<Item = OpNo>) -> BTreeSet<OpNo> {
        let (mut all, mut open) = (BTreeSet::new(), Vec::from_iter(ops));
        while let Some(no) = open.pop() {
            if all.insert(no) {
                open.extend(&self.needs[no]);
            }
        }
        all
    }

    /// A set less one of its members and all that cannot do without it.
    pub(crate) fn lacking(&self, ops: &BTreeSet<OpNo>, missing: OpNo) -> BTreeSet<OpNo> {
        let mut gone = BTreeSet::from([missing]);
        for no in ops.range(missing + 1..) {
            if self.needs[*no].iter().any(|need| gone.contains(need)) {
                gone.insert(*no);
            }
        }
        ops.difference(&gone).copied().collect()
    }

    pub(crate) fn is_closed(&self, ops: &BTreeSet<OpNo>) -> bool {
        let mut needs = ops.iter().flat_map(|no| &self.needs[*no]);
        needs.all(|need| ops.contains(need))
    }

    /// Whether a write is behind the end that its file has by the other operations.
    pub(crate) fn extends_its_file(&self, no: OpNo, others: &BTreeSet<OpNo>) -> bool {
        let end = |op: &Op| match op {
            Op::Write { inode, at, bytes } => Some((*inode, at + bytes.len() as u64)),
            _ => None,
        };
        let Some((file, own)) = end(&self.ops[no]) else {
            return false;
        };
        let Kind::File(initial) = &self.inodes[file] else {
            panic!("inode {file} is no file");
        };
        let before = others.range(..no).filter_map(|no| end(&self.ops[*no]));
        let before = before
            .filter(|(inode, _)| *inode == file)
            .map(|(_, end)| end);
        before.max().unwrap_or(0).max(initial.len() as u64) < own
    }

    /// What survives a power cut before operation `cut` for sure.
    pub(crate) fn durable(&self, cut: OpNo) -> BTreeSet<OpNo> {
        let mut durable = Vec::new();
        for op in &self.ops[..cut] {
            let Op::Sync(synced, covers) = op else {
                continue;
            };
            let covered = self.ops[..*covers].iter().enumerate();
            let covered = covered.filter(|(_, before)| {
                before.file() == Some(*synced)
                    || before.entries().iter().any(|entry| entry.0 == *synced)
            });
            durable.extend(covered.map(|(no, _)| no));
        }
        self.closed(durable)
    }

    /// The tree that these operations make.
    pub(crate) fn tree(&self, survivors: &Survivors) -> Tree {
        let mut folders: BTreeMap<Inode, BTreeMap<String, Inode>> = BTreeMap::new();
        for (inode, kind) in self.inodes.iter().enumerate() {
            if let Kind::Folder(names) = kind {
                folders.insert(inode, names.clone());
            }
        }
        let mut written: BTreeMap<Inode, Written> = BTreeMap::new();
        let last = survivors.ops.last();
        for no in &survivors.ops {
            let op = &self.ops[*no];
            if let Some(inode) = op.file() {
                let extent = if Some(no) == last {
                    survivors.of_last
                } else {
                    Extent::Whole
                };
                written.entry(inode).or_default().push((*no, extent));
            } else {
                change_names(&mut folders, op);
            }
        }
        let mut tree = Tree::new();
        self.list(&folders, &mut written, ROOT, "", &mut tree);
        tree
    }

    fn list(
        &self,
        folders: &BTreeMap<Inode, BTreeMap<String, Inode>>,
        written: &mut BTreeMap<Inode, Written>,
        folder: Inode,
        path: &str,
        tree: &mut Tree,
    ) {
        for (name, inode) in &folders[&folder] {
            let path = joined(path, name);
            let node = match &self.inodes[*inode] {
                Kind::File(_) => {
                    let ops = written.get(inode).cloned().unwrap_or_default();
                    Node::File(*inode, ops)
                }
                Kind::Pipe => Node::Pipe,
                Kind::Folder(_) => {
                    self.list(folders, written, *inode, &path, tree);
                    Node::Folder
                }
            };
            tree.insert(path, node);
        }
    }

    /// The content of a file after these writes.
    pub(crate) fn content(&self, inode: Inode, written: &[(OpNo, Extent)]) -> Vec<u8> {
        let Kind::File(initial) = &self.inodes[inode] else {
            panic!("inode {inode} is no file");
        };
        let mut content = initial.to_vec();
        for (no, extent) in written {
            write(&mut content, &self.ops[*no], *extent);
        }
        content
    }
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// Carries out a write or a truncation.
pub(crate) fn write(content: &mut Vec<u8>, op: &Op, extent: Extent) {
    let length = |bytes: u64| usize::try_from(bytes).expect("files here are small");
    match op {
        Op::Truncate(_, bytes) => content.resize(length(*bytes), 0),
        Op::Write { at, bytes, .. } => {
            let survives = match extent {
                Extent::Whole => bytes.clone(),
                Extent::FirstHalf => bytes[..bytes.len() / 2].to_vec(),
                Extent::LengthAlone => vec![0; bytes.len()],
            };
            let (from, to) = (length(*at), length(*at) + survives.len());
            if content.len() < to {
                content.resize(to, 0);
            }
            content[from..to].copy_from_slice(&survives);
        }
        other => panic!("no change of a file: {other:?}"),
    }
}

/// Carries out an operation on names.
pub(crate) fn change_names(folders: &mut BTreeMap<Inode, BTreeMap<String, Inode>>, op: &Op) {
    let mut put = |entry: &Entry, inode: Option<Inode>| {
        let folder = folders.entry(entry.0).or_default();
        match inode {
            Some(inode) => folder.insert(entry.1.clone(), inode),
            None => folder.remove(&entry.1),
        }
    };
    match op {
        Op::Make(entry, inode) | Op::Link(entry, inode) => drop(put(entry, Some(*inode))),
        Op::Remove(entry, _) => drop(put(entry, None)),
        Op::Rename { from, to, exchange } => {
            let moved = put(from, None);
            assert!(moved.is_some(), "nothing to rename: {op:?}");
            let displaced = put(to, moved);
            if *exchange {
                put(from, displaced);
            }
        }
        Op::Write { .. } | Op::Truncate(..) | Op::Sync(..) | Op::Mark(_) => {}
    }
}
