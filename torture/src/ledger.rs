//! What became of rows, nodes, edges and descriptions of source.
//!
//! Owns: what agents were told of things that histories do not speak of.
//! Promises: what is found is held against what was told: acknowledged things are
//! there, or replaced by later ones where one replaces another; refused ones are
//! not, and nothing is there that nobody asked for. Leaves to others: finding
//! them (`audit`).

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
    /// Those asked for again where nobody knew of the first time.
    repeated: BTreeSet<String>,
}

impl Ledger {
    /// Writes down what became of something.
    pub(crate) fn note(&mut self, name: String, fate: Fate) {
        self.fates.insert(name, fate);
    }

    /// It may be there more than once, and nobody is at fault.
    pub(crate) fn may_be_twice(&mut self, name: String) {
        self.repeated.insert(name);
    }

    /// What became of something.
    pub(crate) fn fate(&self, name: &str) -> Option<Fate> {
        self.fates.get(name).copied()
    }

    /// What was acknowledged.
    pub(crate) fn acknowledged(&self) -> impl Iterator<Item = &str> {
        let fates = self.fates.iter();
        let done = fates.filter(|(_, fate)| **fate == Fate::Acknowledged);
        done.map(|(name, _)| name.as_str())
    }

    /// Holds what is there against what was told; a sentence for each breach.
    pub(crate) fn judge(&self, kind: &str, found: &[String]) -> Vec<String> {
        let mut distinct: BTreeSet<&str> = BTreeSet::new();
        let mut twice = 0;
        for name in found {
            let is_first = distinct.insert(name);
            twice += u64::from(!is_first && !self.repeated.contains(name));
        }
        let mut breaches = Vec::new();
        if twice > 0 {
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

/// What a graph should hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Graph {
    pub(crate) nodes: Ledger,
    pub(crate) edges: Ledger,
}

/// Something that replaces whatever is in its place.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    /// Nobody uses it twice.
    pub(crate) name: String,
    /// When it was asked for.
    pub(crate) from_ns: u64,
    /// When it was answered.
    pub(crate) to_ns: u64,
    pub(crate) fate: Fate,
}

/// Places of one kind, and what was put into each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    puts: BTreeMap<String, Vec<Put>>,
}

impl Places {
    /// Writes down what became of something that was put there.
    pub(crate) fn note(&mut self, place: &str, put: Put) {
        self.puts.entry(place.to_owned()).or_default().push(put);
    }

    /// Holds what each place holds against what was told; a sentence for each
    /// breach.
    pub(crate) fn judge(&self, kind: &str, found: &BTreeMap<String, String>) -> Vec<String> {
        let places: BTreeSet<&String> = self.puts.keys().chain(found.keys()).collect();
        let breaches = places.into_iter().filter_map(|place| {
            let puts = self.puts.get(place).map(Vec::as_slice).unwrap_or_default();
            let holds = found.get(place).map(String::as_str);
            let why = wrong(puts, holds)?;
            Some(format!("{kind} {place} holds {holds:?}, which {why}"))
        });
        breaches.collect()
    }
}

/// What is wrong with what a place holds in the end. An acknowledged thing is
/// replaced by one that was asked for after its answer, and not by an earlier one.
fn wrong(puts: &[Put], holds: Option<&str>) -> Option<&'static str> {
    let done = puts.iter().filter(|put| put.fate == Fate::Acknowledged);
    let newest_ns = done.map(|put| put.from_ns).max();
    let Some(holds) = holds else {
        return newest_ns.map(|_| "is nothing, although something was acknowledged");
    };
    let mut same = puts.iter().filter(|put| put.name == holds).peekable();
    if same.peek().is_none() {
        return Some("was never put there");
    }
    let may_stand = |put: &Put| match put.fate {
        Fate::Acknowledged => newest_ns.is_none_or(|newest_ns| put.to_ns >= newest_ns),
        Fate::Unknown => true,
        Fate::Refused => false,
    };
    (!same.any(may_stand)).then_some("was refused, or replaced by what was acknowledged later")
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
        ledger.may_be_twice("c".to_owned());
        let judge = |found: &[&str]| {
            let found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
            ledger.judge("row", &found)
        };
        assert!(judge(&["a"]).is_empty());
        assert!(judge(&["a", "c"]).is_empty());
        assert!(judge(&["a", "c", "c"]).is_empty());
        assert_eq!(judge(&[]), ["row a was acknowledged and is not there"]);
        assert_eq!(judge(&["a", "b"]), ["row b was refused and is there"]);
        assert_eq!(judge(&["a", "a"]), ["row: 1 are there more than once"]);
        assert_eq!(
            judge(&["a", "d"]),
            ["row d is there and was never asked for"]
        );
    }

    #[test]
    fn a_place_holds_what_nothing_acknowledged_later_replaced() {
        let mut places = Places::default();
        for (name, from_ns, to_ns, fate) in [
            ("old", 0, 1, Fate::Acknowledged),
            ("one", 2, 5, Fate::Acknowledged),
            ("two", 4, 6, Fate::Acknowledged),
            ("no", 7, 8, Fate::Refused),
            ("lost", 0, 1, Fate::Unknown),
        ] {
            let name = name.to_owned();
            let put = Put {
                name,
                from_ns,
                to_ns,
                fate,
            };
            places.note("p", put);
        }
        let is_wrong = |holds: Option<&str>| {
            let holds = holds.map(|name| ("p".to_owned(), name.to_owned()));
            let found: BTreeMap<String, String> = holds.into_iter().collect();
            !places.judge("span", &found).is_empty()
        };
        for right in ["one", "two", "lost"] {
            assert!(!is_wrong(Some(right)), "{right}");
        }
        for wrong in [None, Some("old"), Some("no"), Some("nobody's")] {
            assert!(is_wrong(wrong), "{wrong:?}");
        }
    }
}
