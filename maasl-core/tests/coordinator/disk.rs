//! A file system in memory, with the semantics the node's swaps have.
//!
//! Owns: files, staged names and the history's objects. Promises: a content
//! that somebody put in a file is owed from then on, until an outside writer
//! destroys it; [`Disk::assert_nothing_lost`] says which are missing. Leaves to
//! others: who may do what when (`world`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::coordinator::io::Swapped;
use maasl_core::id::ContentHash;
use maasl_core::lease::CommitItem;

/// Everything on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) stages: BTreeMap<String, Vec<u8>>,
    pub(crate) objects: BTreeMap<ContentHash, Vec<u8>>,
    owed: BTreeSet<ContentHash>,
}

impl Disk {
    /// Somebody who ignores MAASL writes a file, or removes it.
    pub(crate) fn outside(&mut self, path: &str, content: Option<&str>) {
        if let Some(destroyed) = self.files.remove(path) {
            self.owed.remove(&ContentHash::of(&destroyed));
        }
        if let Some(content) = content {
            self.owed.insert(ContentHash::of(content.as_bytes()));
            self.files.insert(path.into(), content.into());
        }
    }

    /// A content was acknowledged: it is owed like one from outside.
    pub(crate) fn owe(&mut self, hash: ContentHash) {
        self.owed.insert(hash);
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        let bytes = self.files.get(path)?;
        Some(std::str::from_utf8(bytes).unwrap())
    }

    pub(crate) fn hash(&self, path: &str) -> Option<ContentHash> {
        self.files.get(path).map(|bytes| ContentHash::of(bytes))
    }

    pub(crate) fn hash_staged(&self, stage: &str) -> Option<ContentHash> {
        self.stages.get(stage).map(|bytes| ContentHash::of(bytes))
    }

    /// Whether a file or the history holds `content`.
    pub(crate) fn has(&self, content: &str) -> bool {
        self.has_hash(ContentHash::of(content.as_bytes()))
    }

    fn has_hash(&self, hash: ContentHash) -> bool {
        let mut files = self.files.values();
        self.objects.contains_key(&hash) || files.any(|bytes| ContentHash::of(bytes) == hash)
    }

    pub(crate) fn assert_nothing_lost(&self, when: &str) {
        let mut owed = self.owed.iter();
        let lost = owed.find(|hash| !self.has_hash(**hash));
        assert!(lost.is_none(), "{when}: {lost:?} is lost in {self:#?}");
    }

    /// Moves a staged name into the history.
    pub(crate) fn keep(&mut self, stage: &str, content: ContentHash) {
        let bytes = self.stages.remove(stage);
        let bytes = bytes.unwrap_or_else(|| panic!("{stage} is kept and holds nothing"));
        assert_eq!(ContentHash::of(&bytes), content, "{stage} is misnamed");
        self.objects.insert(content, bytes);
    }

    pub(crate) fn swap(&mut self, item: &CommitItem) -> Swapped {
        match (item.old.is_some(), item.new.is_some()) {
            (true, true) => self.exchange(item),
            (false, true) => self.place(item),
            (true, false) => self.remove(item),
            (false, false) => panic!("a change from nothing to nothing: {item:?}"),
        }
    }

    pub(crate) fn swap_back(&mut self, item: &CommitItem) -> Swapped {
        match (item.old.is_some(), item.new.is_some()) {
            (true, true) => self.exchange(item),
            (false, true) => self.remove(item),
            (true, false) => self.place(item),
            (false, false) => panic!("a change from nothing to nothing: {item:?}"),
        }
    }

    fn exchange(&mut self, item: &CommitItem) -> Swapped {
        let Some(out) = self.files.remove(&item.path) else {
            return Swapped::Vanished;
        };
        let new = self.take_stage(&item.stage);
        self.files.insert(item.path.clone(), new);
        self.put_stage(&item.stage, out)
    }

    fn place(&mut self, item: &CommitItem) -> Swapped {
        if let Some(hash) = self.hash(&item.path) {
            return Swapped::Occupied(Some(hash));
        }
        let new = self.take_stage(&item.stage);
        self.files.insert(item.path.clone(), new);
        Swapped::Displaced(None)
    }

    fn remove(&mut self, item: &CommitItem) -> Swapped {
        match self.files.remove(&item.path) {
            Some(out) => self.put_stage(&item.stage, out),
            None => Swapped::Vanished,
        }
    }

    fn take_stage(&mut self, stage: &str) -> Vec<u8> {
        let staged = self.stages.remove(stage);
        staged.unwrap_or_else(|| panic!("{stage} is swapped and holds nothing"))
    }

    fn put_stage(&mut self, stage: &str, bytes: Vec<u8>) -> Swapped {
        let hash = ContentHash::of(&bytes);
        let before = self.stages.insert(stage.into(), bytes);
        assert_eq!(before, None, "{stage} is overwritten");
        Swapped::Displaced(Some(hash))
    }
}
