//! A file system of which only what was synced survives a power cut.
//!
//! Owns: names, the contents under them, and which of either are on the device.
//! Promises: a change of names happens whole or not at all; what was synced
//! stays; of the rest, the fault says what survives. Leaves to others: who may
//! change what when.
//!
//! The model is stricter than common file systems, after Pillai et al. (2014):
//! without a sync of its names, any subset of the changes may survive in which
//! those of one name keep their order, and content that was not synced may be cut
//! short.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use maasl_core::coordinator::io::Swapped;
use maasl_core::id::ContentHash;
use maasl_core::lease::CommitItem;
use maasl_core::mutant::{Mutant, is_active};

/// A place where content can stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    File(String),
    Stage(String),
    Object(ContentHash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Inode(u64);

/// Content and its hash.
#[derive(Clone, Debug)]
struct Blob {
    bytes: Arc<[u8]>,
    hash: ContentHash,
    synced: bool,
    /// How many names it has; counted only where nothing can be lost.
    links: u32,
}

/// Names that changed together.
type Change = Vec<(Name, Option<Inode>)>;

/// The disk.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    names: BTreeMap<Name, Inode>,
    blobs: BTreeMap<Inode, Blob>,
    next: u64,
    /// What a power cut would leave of the names; nothing where none can come.
    durable: Option<BTreeMap<Name, Inode>>,
    unsynced: Vec<Change>,
}

impl Disk {
    /// An empty disk; `can_lose` if a power cut may come.
    #[must_use]
    pub(crate) fn new(can_lose: bool) -> Self {
        Self {
            durable: can_lose.then(BTreeMap::new),
            ..Self::default()
        }
    }

    /// The content of a file.
    #[must_use]
    pub fn read(&self, path: &str) -> Option<Arc<[u8]>> {
        let blob = self.blob(&Name::File(path.into()))?;
        Some(blob.bytes.clone())
    }

    /// The hash of a file's content.
    #[must_use]
    pub fn hash(&self, path: &str) -> Option<ContentHash> {
        self.blob(&Name::File(path.into())).map(|blob| blob.hash)
    }

    /// The files there are, with their hashes, in order.
    pub fn files(&self) -> impl Iterator<Item = (&str, ContentHash)> {
        self.names.iter().filter_map(|(name, inode)| match name {
            Name::File(path) => Some((path.as_str(), self.blobs[inode].hash)),
            Name::Stage(_) | Name::Object(_) => None,
        })
    }

    /// The staged names there are.
    pub fn stages(&self) -> impl Iterator<Item = &str> {
        self.names.keys().filter_map(|name| match name {
            Name::Stage(stage) => Some(stage.as_str()),
            Name::File(_) | Name::Object(_) => None,
        })
    }

    /// Whether this content stands somewhere: in a file, staged or kept.
    #[must_use]
    pub fn holds(&self, content: ContentHash) -> bool {
        self.names.contains_key(&Name::Object(content))
            || self
                .names
                .values()
                .any(|inode| self.blobs[inode].hash == content)
    }

    pub(crate) fn hash_staged(&self, stage: &str) -> Option<ContentHash> {
        self.blob(&Name::Stage(stage.into())).map(|blob| blob.hash)
    }

    pub(crate) fn read_staged(&self, stage: &str) -> Option<Arc<[u8]>> {
        let blob = self.blob(&Name::Stage(stage.into()))?;
        Some(blob.bytes.clone())
    }

    pub(crate) fn object(&self, content: ContentHash) -> Option<Arc<[u8]>> {
        let blob = self.blob(&Name::Object(content))?;
        (blob.hash == content).then(|| blob.bytes.clone())
    }

    /// Stages content, whose bytes may be `synced`; its name is not.
    pub(crate) fn stage(&mut self, stage: &str, bytes: Arc<[u8]>, synced: bool) {
        let inode = self.put(bytes, synced);
        self.change(vec![(Name::Stage(stage.into()), Some(inode))]);
    }

    pub(crate) fn discard(&mut self, stage: &str) {
        let name = Name::Stage(stage.into());
        if self.names.contains_key(&name) {
            self.change(vec![(name, None)]);
        }
    }

    /// Removes what a session staged.
    pub(crate) fn remove_session(&mut self, session: &str) {
        let of = |stage: &&str| stage.split_once('/').is_some_and(|(of, _)| of == session);
        let stages: Vec<String> = self.stages().filter(of).map(str::to_owned).collect();
        for stage in stages {
            self.discard(&stage);
        }
    }

    pub(crate) fn keep(&mut self, stage: &str, content: ContentHash) {
        let from = Name::Stage(stage.into());
        if let Some(inode) = self.names.get(&from).copied() {
            self.change(vec![(from, None), (Name::Object(content), Some(inode))]);
        }
    }

    /// Does what the node's swap does: brings new content to the device, whoever
    /// staged it, then exchanges, places or takes away.
    pub(crate) fn swap(&mut self, item: &CommitItem) -> Swapped {
        if item.new.is_some() && !is_active(Mutant::SwapBeforeSync) {
            self.sync_content(&Name::Stage(item.stage.clone()));
        }
        self.exchange(item, item.old.is_some(), item.new.is_some())
    }

    pub(crate) fn swap_back(&mut self, item: &CommitItem) -> Swapped {
        self.exchange(item, item.new.is_some(), item.old.is_some())
    }

    fn exchange(&mut self, item: &CommitItem, before: bool, after: bool) -> Swapped {
        let file = Name::File(item.path.clone());
        let stage = Name::Stage(item.stage.clone());
        let (at_file, at_stage) = (self.at(&file), self.at(&stage));
        match (before, after) {
            (true, true) => match (at_file, at_stage) {
                (Some(old), Some(new)) => {
                    let displaced = self.blobs[&old].hash;
                    self.change(vec![(file, Some(new)), (stage, Some(old))]);
                    Swapped::Displaced(Some(displaced))
                }
                _ => Swapped::Vanished,
            },
            (false, true) => match (at_file, at_stage) {
                (None, Some(new)) => {
                    self.change(vec![(file, Some(new)), (stage, None)]);
                    Swapped::Displaced(None)
                }
                (Some(found), _) => Swapped::Occupied(Some(self.blobs[&found].hash)),
                (None, None) => Swapped::Vanished,
            },
            (true, false) => match at_file {
                Some(old) => {
                    let displaced = self.blobs[&old].hash;
                    self.change(vec![(file, None), (stage, Some(old))]);
                    Swapped::Displaced(Some(displaced))
                }
                None => Swapped::Vanished,
            },
            (false, false) => Swapped::Displaced(None),
        }
    }

    /// Brings the changes of these files' names to the device, and with them all
    /// earlier changes of the same names: a journal keeps their order.
    pub(crate) fn sync_names(&mut self, paths: &[String]) {
        self.sync(paths.iter().cloned().map(Name::File).collect());
    }

    pub(crate) fn sync_staged(&mut self, stages: &[String]) {
        self.sync(stages.iter().cloned().map(Name::Stage).collect());
    }

    /// Brings kept content to the device, with its name.
    pub(crate) fn sync_kept(&mut self, content: ContentHash) {
        let name = Name::Object(content);
        self.sync_content(&name);
        self.sync(BTreeSet::from([name]));
    }

    fn sync_content(&mut self, name: &Name) {
        if let Some(inode) = self.at(name)
            && let Some(blob) = self.blobs.get_mut(&inode)
        {
            blob.synced = true;
        }
    }

    fn sync(&mut self, mut names: BTreeSet<Name>) {
        let Some(durable) = &mut self.durable else {
            return;
        };
        let mut kept = Vec::new();
        let mut synced = Vec::new();
        for change in self.unsynced.drain(..).rev() {
            if change.iter().any(|(name, _)| names.contains(name)) {
                names.extend(change.iter().map(|(name, _)| name.clone()));
                synced.push(change);
            } else {
                kept.push(change);
            }
        }
        kept.reverse();
        self.unsynced = kept;
        for change in synced.iter().rev() {
            apply(durable, change);
        }
    }

    /// Somebody outside puts a file there, or removes it, and syncs.
    pub(crate) fn outside(&mut self, path: &str, bytes: Option<Arc<[u8]>>) {
        let inode = bytes.map(|bytes| self.put(bytes, true));
        self.change(vec![(Name::File(path.into()), inode)]);
        self.sync_names(&[path.into()]);
    }

    /// Flips one bit of a file; the hash it had, if it has any bits.
    pub(crate) fn rot(&mut self, path: &str, bit: u64) -> Option<ContentHash> {
        let inode = self.at(&Name::File(path.into()))?;
        let blob = self
            .blobs
            .get_mut(&inode)
            .expect("a name stands for a blob");
        let mut bytes = blob.bytes.to_vec();
        let bits = bytes.len() as u64 * 8;
        if bits == 0 {
            return None;
        }
        let at = usize::try_from(bit % bits / 8).expect("a place in a file in memory");
        bytes[at] ^= 1 << (bit % 8);
        let before = blob.hash;
        blob.hash = ContentHash::of(&bytes);
        blob.bytes = bytes.into();
        Some(before)
    }

    /// Loses what was not synced: of the changes of names, those stay whose bit
    /// in `names_kept` is set, and contents keep their first `bytes_kept` bytes.
    pub(crate) fn cut_power(&mut self, names_kept: u64, bytes_kept: u32) {
        let Some(mut names) = self.durable.take() else {
            panic!("a power cut was not expected: the plan decides that before the start");
        };
        // Changes of one name reach the device in their order, so none survives
        // one before it that is lost.
        let mut lost: BTreeSet<Name> = BTreeSet::new();
        for (index, change) in self.unsynced.drain(..).enumerate() {
            let kept = names_kept >> (index % 64) & 1 == 1;
            if kept && change.iter().all(|(name, _)| !lost.contains(name)) {
                apply(&mut names, &change);
            } else {
                lost.extend(change.into_iter().map(|(name, _)| name));
            }
        }
        self.durable = Some(names.clone());
        self.names = names;
        let kept = bytes_kept as usize;
        for blob in self.blobs.values_mut().filter(|blob| !blob.synced) {
            if blob.bytes.len() > kept {
                blob.bytes = blob.bytes[..kept].into();
                blob.hash = ContentHash::of(&blob.bytes);
            }
            blob.synced = true;
        }
    }

    fn blob(&self, name: &Name) -> Option<&Blob> {
        self.names.get(name).map(|inode| &self.blobs[inode])
    }

    fn at(&self, name: &Name) -> Option<Inode> {
        self.names.get(name).copied()
    }

    fn put(&mut self, bytes: Arc<[u8]>, synced: bool) -> Inode {
        let inode = Inode(self.next);
        self.next += 1;
        let hash = ContentHash::of(&bytes);
        let blob = Blob {
            bytes,
            hash,
            synced,
            links: 0,
        };
        self.blobs.insert(inode, blob);
        inode
    }

    fn change(&mut self, change: Change) {
        if self.durable.is_some() {
            apply(&mut self.names, &change);
            self.unsynced.push(change);
            return;
        }
        // Nothing can come back, so what lost its last name is gone.
        let mut unnamed = Vec::new();
        for (name, inode) in change {
            if let Some(inode) = inode {
                self.links(inode, 1);
            }
            let before = match inode {
                Some(inode) => self.names.insert(name, inode),
                None => self.names.remove(&name),
            };
            unnamed.extend(before.filter(|before| self.links(*before, -1) == 0));
        }
        for inode in unnamed {
            if self.links(inode, 0) == 0 {
                self.blobs.remove(&inode);
            }
        }
    }

    /// Counts the names of a blob; how many it has then.
    fn links(&mut self, inode: Inode, by: i32) -> u32 {
        let blob = self.blobs.get_mut(&inode);
        let blob = blob.expect("a name stands for a blob");
        blob.links = blob.links.saturating_add_signed(by);
        blob.links
    }
}

fn apply(names: &mut BTreeMap<Name, Inode>, change: &Change) {
    for (name, inode) in change {
        match inode {
            Some(inode) => names.insert(name.clone(), *inode),
            None => names.remove(name),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_core::resource::ResourceKey;

    fn bytes(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    fn item(old: Option<&str>, new: Option<&str>) -> CommitItem {
        let hash = |text: &str| ContentHash::of(text.as_bytes());
        CommitItem {
            path: "f".into(),
            key: ResourceKey::new("code", "f"),
            op: "write".into(),
            stage: "s".into(),
            old: old.map(hash),
            new: new.map(hash),
            size_bytes: 0,
        }
    }

    fn with_file(can_lose: bool) -> Disk {
        let mut disk = Disk::new(can_lose);
        disk.outside("f", Some(bytes("old")));
        disk.stage("s", bytes("new"), true);
        disk
    }

    #[test]
    fn an_exchange_keeps_both_contents() {
        for can_lose in [false, true] {
            let mut disk = with_file(can_lose);
            let item = item(Some("old"), Some("new"));
            assert_eq!(disk.swap(&item), Swapped::Displaced(item.old));
            assert_eq!(disk.hash("f"), item.new);
            assert_eq!(disk.hash_staged("s"), item.old);
            assert_eq!(disk.swap_back(&item), Swapped::Displaced(item.new));
            assert_eq!(disk.hash("f"), item.old);
        }
    }

    #[test]
    fn what_lost_its_last_name_is_gone() {
        let mut disk = with_file(false);
        disk.discard("s");
        assert!(!disk.holds(ContentHash::of(b"new")));
        assert_eq!(disk.blobs.len(), 1);
    }

    #[test]
    fn a_power_cut_leaves_the_changes_it_is_told_to_leave() {
        for (kept, file) in [(0, "old"), (0b10, "old"), (0b01, "old"), (0b11, "new")] {
            let mut disk = with_file(true);
            disk.swap(&item(Some("old"), Some("new")));
            disk.cut_power(kept, 0);
            assert_eq!(
                disk.hash("f"),
                Some(ContentHash::of(file.as_bytes())),
                "{kept:b}"
            );
        }
    }

    #[test]
    fn synced_names_survive_a_power_cut() {
        let mut disk = with_file(true);
        disk.swap(&item(Some("old"), Some("new")));
        disk.sync_names(&["f".into()]);
        disk.cut_power(0, 0);
        assert_eq!(disk.hash("f"), Some(ContentHash::of(b"new")));
        assert_eq!(disk.hash_staged("s"), Some(ContentHash::of(b"old")));
    }

    #[test]
    fn a_swap_brings_content_to_the_device_first() {
        let mut disk = with_file(true);
        disk.stage("s", bytes("newer"), false);
        disk.swap(&item(Some("old"), Some("newer")));
        disk.sync_names(&["f".into()]);
        disk.cut_power(0, 2);
        assert_eq!(disk.hash("f"), Some(ContentHash::of(b"newer")));
    }

    #[test]
    fn content_that_was_not_synced_is_cut_short() {
        let mut disk = with_file(true);
        disk.stage("t", bytes("unsynced"), false);
        disk.cut_power(u64::MAX, 2);
        assert_eq!(disk.hash_staged("t"), Some(ContentHash::of(b"un")));
        assert_eq!(disk.hash_staged("s"), Some(ContentHash::of(b"new")));
    }
}
