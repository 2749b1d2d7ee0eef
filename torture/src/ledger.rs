//! What became of rows and of nodes of the graph.
//!
//! Owns: what agents were told of things that histories do not speak of.
//! Promises: what is found is held against what was told: acknowledged things are
//! there, refused ones are not, and nothing is there that nobody asked for.
//! Leaves to others: finding them (`audit`).

use std::collections::{BTreeMap, BTreeSet};

/// What an agent was told of something it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was done.
    Acknowledged,
    /// It was refused.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// Things of one kind by their names, which nobody uses twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    fates: BTreeMap<String, Fate>,
}

impl Ledger {
    /// Writes down what became of something.
    pub(crate) fn note(&mut self, name: String, fate: Fate) {
        self.fates.insert(name, fate);
    }

    /// Holds what is there against what was told; a sentence for each breach.
    pub(crate) fn judge(&self, kind: &str, found: &[String]) -> Vec<String> {
        let distinct: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        let mut breaches = Vec::new();
        if distinct.len() < found.len() {
            let twice = found.len() - distinct.len();
            breaches.push(format!("{kind}: {twice} are there more than once"));
        }
        for (name, fate) in &self.fates {
            match (fate, distinct.contains(name.as_str())) {
                (Fate::Acknowledged, false) => {
                    breaches.push(format!("{kind} {name} was acknowledged and is not there"));
                }
                (Fate::Refused, true) => {
                    breaches.push(format!("{kind} {name} was refused and is there"));
                }
                _ => {}
            }
        }
        let unasked = distinct
            .iter()
            .filter(|name| !self.fates.contains_key(**name));
        breaches
            .extend(unasked.map(|name| format!("{kind} {name} is there and was never asked for")));
        breaches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_held_against_what_was_told() {
        let mut ledger = Ledger::default();
        for (name, fate) in [
            ("a", Fate::Acknowledged),
            ("b", Fate::Refused),
            ("c", Fate::Unknown),
        ] {
            ledger.note(name.to_owned(), fate);
        }
        let judge = |found: &[&str]| {
            let found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
            ledger.judge("row", &found)
        };
        assert!(judge(&["a"]).is_empty());
        assert!(judge(&["a", "c"]).is_empty());
        assert_eq!(judge(&[]), ["row a was acknowledged and is not there"]);
        assert_eq!(judge(&["a", "b"]), ["row b was refused and is there"]);
        assert_eq!(judge(&["a", "a"]), ["row: 1 are there more than once"]);
        assert_eq!(
            judge(&["a", "d"]),
            ["row d is there and was never asked for"]
        );
    }
}
