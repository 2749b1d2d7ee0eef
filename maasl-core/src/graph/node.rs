//! Nodes: what hangs on a node, and the removals of it.
//!
//! Owns: what there is of each node that any patch names, and for each of its
//! removals whether somebody updated the node without knowing. Promises: such a
//! removal has no effect, from then on and for ever, and names the last of those
//! updates. Leaves to others: additions (`register`), and what shows (`resolve`).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::patches::{Patches, Place};
use super::register::NONE;
use super::{at, number};

/// What hangs on a node.
#[derive(Clone, Debug)]
pub(super) struct Hanging {
    /// The first of its properties and of the edges from it.
    pub(super) first_out: u32,
    /// The first of the edges to it.
    pub(super) first_in: u32,
}

/// What is known of a node at a glance.
#[derive(Clone, Copy, Debug, Default)]
struct Glance {
    is_visible: bool,
    has_removals: bool,
}

/// An operation that removes a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removal {
    pub(super) place: Place,
    /// The last update of the node that is concurrent with it: it has no effect.
    pub(super) beaten_by: Option<Place>,
    /// Whether somebody who had seen it added or removed the node.
    pub(super) is_overwritten: bool,
    next: u32,
}

/// An update of a node whose operation was dropped when the graph was compacted:
/// a removal that comes late may still be concurrent with it.
#[derive(Clone, Copy, Debug)]
struct Mark {
    place: Place,
    next: u32,
}

/// All nodes, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Nodes {
    /// The nodes by the texts that are their ids.
    by_id: Vec<u32>,
    /// The texts of their ids.
    ids: Vec<u32>,
    /// The registers of their being there.
    registers: Vec<u32>,
    glances: Vec<Glance>,
    hanging: Vec<Hanging>,
    /// The first removal and the first mark of each node that has any.
    first: BTreeMap<u32, [u32; 2]>,
    removals: Vec<Removal>,
    marks: Vec<Mark>,
}

impl Nodes {
    /// The node that has this text as its id.
    pub(super) fn with_id(&self, id: u32) -> Option<u32> {
        let node = self.by_id.get(at(id)).copied();
        node.filter(|node| *node != NONE)
    }

    /// Takes in a node, under the next number.
    pub(super) fn add(&mut self, id: u32, register: u32) {
        if self.by_id.len() <= at(id) {
            self.by_id.resize(at(id) + 1, NONE);
        }
        self.by_id[at(id)] = number(self.ids.len());
        self.ids.push(id);
        self.registers.push(register);
        self.glances.push(Glance::default());
        self.hanging.push(Hanging {
            first_out: NONE,
            first_in: NONE,
        });
    }

    /// The text of the id of a node.
    pub(super) fn id(&self, node: u32) -> u32 {
        self.ids[at(node)]
    }

    /// The register of a node's being there.
    pub(super) fn register(&self, node: u32) -> u32 {
        self.registers[at(node)]
    }

    /// Whether a node is there.
    pub(super) fn is_visible(&self, node: u32) -> bool {
        self.glances[at(node)].is_visible
    }

    /// Notes whether a node is there.
    pub(super) fn set_visible(&mut self, node: u32, is_visible: bool) {
        self.glances[at(node)].is_visible = is_visible;
    }

    /// What hangs on a node.
    pub(super) fn hanging(&self, node: u32) -> &Hanging {
        &self.hanging[at(node)]
    }

    /// What hangs on a node.
    pub(super) fn hanging_mut(&mut self, node: u32) -> &mut Hanging {
        &mut self.hanging[at(node)]
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// How many removals there are.
    pub(super) fn removals_len(&self) -> usize {
        self.removals.len()
    }

    /// Whether anybody removed it.
    pub(super) fn has_removals(&self, node: u32) -> bool {
        self.glances[at(node)].has_removals
    }

    /// The removals of a node.
    pub(super) fn removals(&self, node: u32) -> impl Iterator<Item = Removal> {
        let [mut link, _] = self.first_of(node);
        core::iter::from_fn(move || {
            let removal = *self.removals.get(at(link))?;
            link = removal.next;
            Some(removal)
        })
    }

    /// The removals of a node that have an effect.
    pub(super) fn effective(&self, node: u32) -> impl Iterator<Item = Place> {
        let removals = self.removals(node);
        removals
            .filter(|removal| removal.beaten_by.is_none())
            .map(|removal| removal.place)
    }

    /// Takes in a removal, with what is known about it already.
    pub(super) fn add_removal(
        &mut self,
        node: u32,
        place: Place,
        beaten_by: Option<Place>,
        is_overwritten: bool,
    ) {
        let link = number(self.removals.len());
        let [first, _] = self.first.entry(node).or_insert([NONE; 2]);
        let next = core::mem::replace(first, link);
        self.glances[at(node)].has_removals = true;
        self.removals.push(Removal {
            place,
            beaten_by,
            is_overwritten,
            next,
        });
    }

    /// Tells the removals of a node of an update of it. Returns whether one that
    /// had an effect has none any more.
    pub(super) fn update(&mut self, node: u32, update: Place, patches: &Patches) -> bool {
        let mut is_news = false;
        self.each_removal(node, |removal| {
            if patches.are_concurrent(removal.place, update) {
                is_news |= removal.beaten_by.is_none();
                removal.beaten_by = Some(last(removal.beaten_by, update, patches));
            }
        });
        is_news
    }

    /// Tells the removals of a node that it was added or removed.
    pub(super) fn overwrite(&mut self, node: u32, by: Place, patches: &Patches) {
        self.each_removal(node, |removal| {
            removal.is_overwritten |= patches.has_seen(by, removal.place);
        });
    }

    /// Keeps in mind that a dropped operation updated a node.
    pub(super) fn mark(&mut self, node: u32, place: Place) {
        let link = number(self.marks.len());
        let [_, first] = self.first.entry(node).or_insert([NONE; 2]);
        let next = core::mem::replace(first, link);
        self.marks.push(Mark { place, next });
    }

    /// The dropped operations that updated a node.
    pub(super) fn marks(&self, node: u32) -> impl Iterator<Item = Place> {
        let [_, mut link] = self.first_of(node);
        core::iter::from_fn(move || {
            let mark = *self.marks.get(at(link))?;
            link = mark.next;
            Some(mark.place)
        })
    }

    fn first_of(&self, node: u32) -> [u32; 2] {
        self.first.get(&node).copied().unwrap_or([NONE; 2])
    }

    fn each_removal(&mut self, node: u32, mut with: impl FnMut(&mut Removal)) {
        let [mut link, _] = self.first_of(node);
        while let Some(removal) = self.removals.get_mut(at(link)) {
            with(removal);
            link = removal.next;
        }
    }
}

/// The later of two operations.
pub(super) fn last(one: Option<Place>, other: Place, patches: &Patches) -> Place {
    one.filter(|one| patches.order(*one, other).is_gt())
        .unwrap_or(other)
}
