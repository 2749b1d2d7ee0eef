//! How commits end, as an outsider notes it.
//!
//! Owns: which commits go beyond files, and which were turned back. Promises: goes
//! by what the store was told, and after a loss by what it has left. Leaves to
//! others: what follows from an end.

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::OpId;
use maasl_core::lease::command::{FinishCommit, ItemEnd};
use maasl_core::lease::{Command, CommitIntent, Outcome};

use crate::observe::{Ground, Observation};

/// What is known of commits beside their files.
#[derive(Debug, Default)]
pub(super) struct Ends {
    beyond: BTreeSet<OpId>,
    /// How many files each changes.
    files: BTreeMap<OpId, usize>,
    turned: BTreeSet<OpId>,
}

impl Ends {
    /// Takes note of what happened.
    pub(super) fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) {
        match seen {
            Observation::Transacted {
                command: Command::BeginCommit(intent),
                outcome: Outcome::Begun,
                ..
            } => self.note_begun(intent),
            Observation::Transacted {
                command: Command::TurnBack(op),
                outcome: Outcome::Done { .. },
                ..
            } => {
                self.turned.insert(op.clone());
            }
            Observation::PowerCut | Observation::Restored => {
                self.turned.clear();
                for intent in ground.rows.intents() {
                    self.note_begun(intent);
                }
            }
            _ => {}
        }
    }

    /// Whether what a commit was to change stands. What somebody outside has made
    /// of a file came after it, as long as something else of it stands; beside
    /// rows or a patch something always does.
    pub(super) fn stands(&self, finish: &FinishCommit) -> bool {
        if self.turned.contains(&finish.op) {
            return false;
        }
        let mut outside = 0;
        for end in finish.exceptions.values() {
            match end {
                ItemEnd::Undone if !self.beyond.contains(&finish.op) => return false,
                ItemEnd::Conflict { outside_stands, .. } => outside += usize::from(*outside_stands),
                ItemEnd::Undone => {}
            }
        }
        let files = self.files.get(&finish.op).copied().unwrap_or_default();
        outside == 0 || outside < files || self.beyond.contains(&finish.op)
    }

    fn note_begun(&mut self, intent: &CommitIntent) {
        self.files.insert(intent.op.clone(), intent.items.len());
        if intent.database.is_some() || intent.patch.is_some() {
            self.beyond.insert(intent.op.clone());
        }
        if intent.turned_back {
            self.turned.insert(intent.op.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use maasl_core::lease::row::CommitDatabase;
    use maasl_core::resource::ResourceKey;

    use super::super::scene::{Scene, finish, intent, item};
    use super::super::{Breach, Judge};
    use super::*;

    impl Judge for Ends {
        fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
            Ends::observe(self, seen, ground);
            Ok(())
        }
    }

    const OUTSIDE: ItemEnd = ItemEnd::Conflict {
        found: None,
        outside_stands: true,
    };

    fn ended(end: ItemEnd) -> FinishCommit {
        FinishCommit {
            exceptions: [("f".into(), end)].into(),
            ..finish()
        }
    }

    #[test]
    fn files_stand_as_long_as_one_of_them_does() {
        let (scene, mut ends) = (Scene::new(&[]), Ends::default());
        let set = [("f", "old", "new"), ("g", "old", "new")];
        let set = set.map(|(path, old, new)| item(path, Some(old), Some(new)));
        scene.begin(&mut ends, &intent(&set)).unwrap();
        assert!(ends.stands(&ended(OUTSIDE)));
        assert!(!ends.stands(&ended(ItemEnd::Undone)));
        let files = intent(&set[..1]);
        scene.begin(&mut ends, &files).unwrap();
        assert!(ends.stands(&finish()));
        assert!(!ends.stands(&ended(OUTSIDE)));
        assert!(!ends.stands(&ended(ItemEnd::Undone)));
    }

    #[test]
    fn what_goes_beyond_files_stands_unless_it_was_turned_back() {
        let (scene, mut ends) = (Scene::new(&[]), Ends::default());
        let whole = CommitIntent {
            database: Some(CommitDatabase {
                path: "rag".into(),
                key: ResourceKey::new("db", "rag"),
            }),
            ..intent(&[item("f", Some("old"), Some("new"))])
        };
        scene.begin(&mut ends, &whole).unwrap();
        assert!(ends.stands(&ended(OUTSIDE)));
        let done = Outcome::Done { wake: Vec::new() };
        let back = Command::TurnBack(whole.op);
        scene.store(&mut ends, 0, &back, &done).unwrap();
        assert!(!ends.stands(&ended(OUTSIDE)));
        assert!(!ends.stands(&finish()));
    }
}
