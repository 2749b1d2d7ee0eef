//! Counting what survived.
//!
//! Owns: the comparison of what agents were told with what is on the disk.
//! Promises: every acknowledged effect is counted exactly once, as survived, as
//! replaced by its own author, or as lost; what was refused and is there anyway,
//! or there twice, is counted too. Leaves to others: making and reading files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::journal::{Effect, Entry, Outcome};
use super::markup::{marks, open_page};

/// The files at the end, by path.
pub(super) type Snapshot = BTreeMap<String, String>;

/// What became of the effects of one kind, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Effects whose agent was told that they are done.
    pub acknowledged: u64,
    /// Of these, found.
    pub survived: u64,
    /// Of these, replaced by their own author later.
    pub superseded: u64,
    /// Of these, gone.
    pub lost: u64,
    /// Effects of several files, or moves, found in part.
    pub torn: u64,
    /// Effects found although refused, or found twice.
    pub ghosts: u64,
    /// Effects that were given up because they were refused.
    pub refused: u64,
    /// Effects whose server died before it answered.
    pub unknown: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.survived += other.survived;
        self.superseded += other.superseded;
        self.lost += other.lost;
        self.torn += other.torn;
        self.ghosts += other.ghosts;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }

    fn of(outcome: Outcome) -> Self {
        let mut tally = Self::default();
        match outcome {
            Outcome::Acknowledged => tally.acknowledged = 1,
            Outcome::Refused => tally.refused = 1,
            Outcome::Unknown => tally.unknown = 1,
        }
        tally
    }
}

/// The tallies of each kind of effect, and an example of each fault.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) kinds: BTreeMap<&'static str, Tally>,
    /// What was lost, torn or a ghost, one line each, the first of them.
    pub(super) faults: Vec<String>,
}

/// Most faults told one by one.
const FAULTS_MAX: usize = 40;

/// How much of an effect is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Absent,
    Partial,
    Whole,
    Doubled,
}

/// Compares what was tried with what is there.
pub(super) fn account(entries: &[Entry], end: &Snapshot) -> Account {
    let scene = Scene::new(entries, end);
    let mut account = Account::default();
    for entry in entries {
        let Some(presence) = scene.presence(&entry.effect) else {
            continue;
        };
        let tally = judge(entry.outcome, presence);
        account.enter(kind(&entry.effect), tally, || {
            format!("{presence:?}: {entry:?}")
        });
    }
    account.own_files(entries, end);
    account.counters(entries, end);
    account
}

impl Account {
    /// The sum over all kinds.
    pub(super) fn total(&self) -> Tally {
        let mut total = Tally::default();
        for tally in self.kinds.values() {
            total.add(*tally);
        }
        total
    }

    fn enter(&mut self, kind: &'static str, tally: Tally, fault: impl FnOnce() -> String) {
        self.kinds.entry(kind).or_default().add(tally);
        let is_fault = tally.lost + tally.torn + tally.ghosts > 0;
        if is_fault && self.faults.len() < FAULTS_MAX {
            self.faults.push(format!("{kind}: {}", fault()));
        }
    }

    /// Files that one agent writes as a whole: the last acknowledged content counts,
    /// or one that came after it and was not answered.
    fn own_files(&mut self, entries: &[Entry], end: &Snapshot) {
        let mut files: BTreeMap<&str, Vec<(&Entry, &str)>> = BTreeMap::new();
        for entry in entries {
            if let Effect::Own { path, mark, .. } = &entry.effect {
                files.entry(path).or_default().push((entry, mark));
            }
        }
        for (path, history) in files {
            let text = end.get(path).map(String::as_str);
            let found = text.and_then(open_page).map(|(_, mark)| mark);
            let last = history
                .iter()
                .rposition(|(entry, _)| entry.outcome == Outcome::Acknowledged);
            for (at, (entry, mark)) in history.iter().enumerate() {
                let mut tally = Tally::of(entry.outcome);
                match last {
                    Some(last) if at < last => tally.superseded = tally.acknowledged,
                    Some(last) if at == last => {
                        let later = history[at + 1..].iter().any(|(entry, mark)| {
                            entry.outcome == Outcome::Unknown && Some(*mark) == found
                        });
                        let stands = found == Some(*mark);
                        tally.survived = u64::from(stands);
                        tally.superseded = u64::from(!stands && later);
                        tally.lost = u64::from(!stands && !later);
                        tally.torn = u64::from(text.is_some() && found.is_none());
                    }
                    _ => {}
                }
                let fault = || format!("found {found:?}: {entry:?}");
                self.enter(kind(&entry.effect), tally, fault);
            }
        }
    }

    /// Counters: at least what was acknowledged, at most what was not answered more.
    fn counters(&mut self, entries: &[Entry], end: &Snapshot) {
        let mut counters: BTreeMap<&str, Tally> = BTreeMap::new();
        for entry in entries {
            if let Effect::Increment { path } = &entry.effect {
                counters
                    .entry(path)
                    .or_default()
                    .add(Tally::of(entry.outcome));
            }
        }
        for (path, mut tally) in counters {
            let text = end.get(path);
            let value = text.and_then(|text| count_of(text));
            let found = value.unwrap_or(0);
            tally.survived = found.min(tally.acknowledged);
            tally.lost = tally.acknowledged - tally.survived;
            tally.ghosts = found.saturating_sub(tally.acknowledged + tally.unknown);
            tally.torn = u64::from(value.is_none());
            let fault = || format!("{path} is {value:?}: {tally:?}");
            self.enter("counter increments", tally, fault);
        }
    }
}

/// The number on a counter's page, if the page is whole.
pub(super) fn count_of(text: &str) -> Option<u64> {
    open_page(text)?.0.strip_prefix("count: ")?.parse().ok()
}

fn kind(effect: &Effect) -> &'static str {
    match effect {
        Effect::Note {
            own_region: true, ..
        } => "edits of own regions",
        Effect::Note { .. } => "edits of the same region",
        Effect::Set { .. } => "refactorings of 3 files",
        Effect::Sign { .. } => "edits of files being renamed",
        Effect::Move { shared: true, .. } => "renames of shared files",
        Effect::Move { .. } => "renames of own files",
        Effect::Own { restored: true, .. } => "restores of own files",
        Effect::Own { .. } => "rewrites of own files",
        Effect::Increment { .. } => "counter increments",
    }
}

fn judge(outcome: Outcome, presence: Presence) -> Tally {
    let mut tally = Tally::of(outcome);
    tally.torn = u64::from(presence == Presence::Partial);
    tally.ghosts = u64::from(presence == Presence::Doubled);
    match (outcome, presence) {
        (Outcome::Acknowledged, Presence::Whole | Presence::Doubled) => tally.survived = 1,
        (Outcome::Acknowledged, Presence::Absent | Presence::Partial) => tally.lost = 1,
        (Outcome::Refused, Presence::Whole) => tally.ghosts = 1,
        (Outcome::Refused | Outcome::Unknown, _) => {}
    }
    tally
}

/// The end, indexed.
struct Scene<'a> {
    end: &'a Snapshot,
    marks: BTreeMap<&'a str, BTreeMap<&'a str, u32>>,
    /// Moves that were made or may have been, by the name left behind.
    moves: BTreeMap<&'a str, BTreeSet<&'a str>>,
}

impl<'a> Scene<'a> {
    fn new(entries: &'a [Entry], end: &'a Snapshot) -> Self {
        let mut moves: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in entries {
            if let Effect::Move { from, to, .. } = &entry.effect
                && entry.outcome != Outcome::Refused
            {
                moves.entry(from).or_default().insert(to);
            }
        }
        Self {
            end,
            marks: end
                .iter()
                .map(|(path, text)| (path.as_str(), marks(text)))
                .collect(),
            moves,
        }
    }

    /// How often a mark is in a file.
    fn count(&self, path: &str, mark: &str) -> u32 {
        let marks = self.marks.get(path);
        marks
            .and_then(|marks| marks.get(mark))
            .copied()
            .unwrap_or(0)
    }

    /// Nothing for effects that only together say something.
    fn presence(&self, effect: &Effect) -> Option<Presence> {
        match effect {
            Effect::Note { path, mark, .. } => Some(presence(&[self.count(path, mark)])),
            Effect::Set { paths, mark } => {
                let counts: Vec<u32> = paths.iter().map(|path| self.count(path, mark)).collect();
                Some(presence(&counts))
            }
            Effect::Sign { family, mark } => {
                let kin = self.marks.range(family.as_str()..);
                let kin = kin.take_while(|(path, _)| path.starts_with(family.as_str()));
                let count = kin.filter_map(|(_, marks)| marks.get(mark.as_str())).sum();
                Some(presence(&[count]))
            }
            Effect::Move { from, to, .. } => Some(self.moved(from, to)),
            Effect::Own { .. } | Effect::Increment { .. } => None,
        }
    }

    /// Whether the file of this name may have been moved to another than `except`.
    fn went_on(&self, name: &str, except: Option<&str>) -> bool {
        let onward = self.moves.get(name);
        onward.is_some_and(|names| names.iter().any(|to| Some(*to) != except))
    }

    fn moved(&self, from: &str, to: &str) -> Presence {
        let arrived = self.end.contains_key(to) || self.went_on(to, None);
        let stayed = self.end.contains_key(from);
        let elsewhere = self.went_on(from, Some(to));
        match (stayed, arrived) {
            (true, true) => Presence::Partial,
            (false, true) => Presence::Whole,
            (false, false) if !elsewhere => Presence::Partial,
            (_, false) => Presence::Absent,
        }
    }
}

fn presence(counts: &[u32]) -> Presence {
    if counts.iter().any(|count| *count > 1) {
        Presence::Doubled
    } else if counts.iter().all(|count| *count == 1) {
        Presence::Whole
    } else if counts.contains(&1) {
        Presence::Partial
    } else {
        Presence::Absent
    }
}

#[cfg(test)]
mod tests;
