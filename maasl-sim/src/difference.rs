//! What two traces have not in common.
//!
//! Owns: the first record in which they differ, and how each agent fared in
//! either. Promises: a record is compared as it reads, so that traces of
//! different plans can be compared. Leaves to others: one trace and its own plan
//! (`replay`).

use std::collections::BTreeMap;

use crate::names::Names;
use crate::record::Kind;
use crate::trace::Trace;

/// How many records are shown that led to a difference.
const LED_THERE: usize = 12;

/// Two traces side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The first record that differs; nothing where all are the same.
    pub first: Option<First>,
    /// What came of either, where it differs.
    pub verdicts: Option<[String; 2]>,
    /// Agents that fared differently, by name.
    pub agents: BTreeMap<String, [Fared; 2]>,
}

/// The first record that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// Its place, counted from 0.
    pub index: usize,
    /// What either has there; nothing where it ends.
    pub lines: [Option<String>; 2],
    /// What both have before it, oldest first.
    pub led_there: Vec<String>,
}

/// How an agent fared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fared {
    /// How often it was told what.
    pub told: BTreeMap<String, u64>,
    /// When it was told for the last time, nanoseconds from the start.
    pub last_ns: u64,
}

/// Compares two traces.
#[must_use]
pub fn compare(one: &Trace, two: &Trace) -> Compared {
    let names = [Names::of(&one.plan), Names::of(&two.plan)];
    let words = [one.verdict.words(), two.verdict.words()];
    Compared {
        first: first(one, two, &names),
        verdicts: (words[0] != words[1]).then_some(words),
        agents: agents(one, two, &names),
    }
}

impl Compared {
    /// Whether there is no difference at all.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.first.is_none() && self.verdicts.is_none()
    }
}

fn first(one: &Trace, two: &Trace, names: &[Names; 2]) -> Option<First> {
    let line = |which: usize, index| {
        let entry = [one, two][which].entry(index)?;
        Some(names[which].line(&entry))
    };
    let longest = one.len().max(two.len());
    let index = (0..longest).find(|index| line(0, *index) != line(1, *index))?;
    let from = index.saturating_sub(LED_THERE);
    Some(First {
        index,
        lines: [line(0, index), line(1, index)],
        led_there: (from..index).filter_map(|index| line(0, index)).collect(),
    })
}

fn agents(one: &Trace, two: &Trace, names: &[Names; 2]) -> BTreeMap<String, [Fared; 2]> {
    let mut agents: BTreeMap<String, [Fared; 2]> = BTreeMap::new();
    for (which, trace) in [one, two].into_iter().enumerate() {
        let answers = trace.entries().filter(|entry| entry.kind == Kind::Answer);
        for answer in answers {
            let agent = names[which].who(&answer).to_owned();
            let fared = &mut agents.entry(agent).or_default()[which];
            *fared.told.entry(answer.label.to_owned()).or_default() += 1;
            fared.last_ns = answer.at_ns;
        }
    }
    agents.retain(|_, [one, two]| one.told != two.told);
    agents
}
