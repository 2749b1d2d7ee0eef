//! What files held when, as an outsider notes it.
//!
//! Owns: the contents of every file in their order. Promises: knows of a file what
//! the disk showed after each thing that happened to it. Leaves to others: what
//! the contents are worth.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::ContentHash;

use crate::observe::{Ground, Observation};

/// An instant: how many things had happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instant(u64);

/// Contents by file.
#[derive(Debug, Default)]
pub(super) struct Held {
    now: Instant,
    files: BTreeMap<String, Vec<(Instant, Option<ContentHash>)>>,
}

impl Held {
    /// Begins with the files that are there.
    pub(super) fn of(ground: &Ground<'_>) -> Self {
        let mut held = Self::default();
        held.learn_all(ground);
        held
    }

    /// Takes note of what happened.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) {
        self.now.0 += 1;
        match seen {
            Observation::Swapped { item, now, .. } => self.learn(&item.path, *now),
            Observation::Outside { path, after, .. } => self.learn(path, *after),
            Observation::Rotted { path, after, .. } => self.learn(path, Some(*after)),
            Observation::PowerCut => self.learn_all(ground),
            _ => {}
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// What a file has held since an instant, the content at that instant
    /// included.
    pub(super) fn since(&self, path: &str, from: Instant) -> Vec<Option<ContentHash>> {
        let Some(contents) = self.files.get(path) else {
            return vec![None];
        };
        let later = contents.partition_point(|(at, _)| *at <= from);
        let first = contents[..later].last().and_then(|(_, one)| *one);
        let later = contents[later..].iter().map(|(_, content)| *content);
        [first].into_iter().chain(later).collect()
    }

    fn learn_all(&mut self, ground: &Ground<'_>) {
        let known = self.files.keys().cloned();
        let there = ground.disk.files().map(|(path, _)| path.to_owned());
        let paths: BTreeSet<String> = known.chain(there).collect();
        for path in paths {
            self.learn(&path, ground.disk.hash(&path));
        }
    }

    fn learn(&mut self, path: &str, content: Option<ContentHash>) {
        let contents = self.files.entry(path.to_owned()).or_default();
        contents.push((self.now, content));
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Scene, hash};
    use super::super::{Breach, Judge};
    use super::*;

    impl Judge for Held {
        fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
            Held::observe(self, seen, ground);
            Ok(())
        }
    }

    #[test]
    fn a_file_is_known_from_an_instant_on() {
        let mut scene = Scene::new(&[]);
        let mut held = Held::default();
        scene.outside(&mut held, "f", Some("one")).unwrap();
        let first = held.now();
        scene.outside(&mut held, "f", Some("two")).unwrap();
        let second = held.now();
        scene.outside(&mut held, "f", None).unwrap();
        let (one, two) = (Some(hash("one")), Some(hash("two")));
        assert_eq!(held.since("f", Instant::default()), [None, one, two, None]);
        assert_eq!(held.since("f", first), [one, two, None]);
        assert_eq!(held.since("f", second), [two, None]);
        assert_eq!(held.since("other", first), [None]);
    }
}
