//! Running a trace again.
//!
//! Owns: finding the first record in which a run differs from its trace.
//! Promises: nothing is drawn: there is no generator here, and the world is made
//! of the plan in the trace alone; the run stops at the first difference. Leaves
//! to others: two traces of different plans (`difference`).

use crate::names::Names;
use crate::plan::Plan;
use crate::trace::{Entry, Trace, Verdict};
use crate::world::World;
use crate::world::state::State;

/// How many records are shown that led to a difference.
const LED_THERE: usize = 12;

/// How a replay went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// Every record was the same, and so was the verdict.
    Same(Verdict),
    /// A record was not.
    Differs(Difference),
    /// All records were the same, but what came of them was not.
    OtherVerdict {
        /// What the trace says.
        expected: Verdict,
        /// What came now.
        actual: Verdict,
    },
}

/// The first record that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its place, counted from 0.
    pub index: usize,
    /// What the trace has there; nothing where it ends.
    pub expected: Option<String>,
    /// What happened; nothing where the run ended.
    pub actual: Option<String>,
    /// The records before, oldest first.
    pub led_there: Vec<String>,
}

/// Runs the plan of a trace again and compares.
#[must_use]
pub fn replay(trace: &Trace) -> Replayed {
    let mut world = World::new(&trace.plan, true);
    let mut same = 0;
    loop {
        let goes_on = world.advance();
        let records = world.records();
        for record in &records[same..] {
            if trace.entry(same) != Some(record.into()) {
                return Replayed::Differs(difference(trace, same, Some(record.into())));
            }
            same += 1;
        }
        if !goes_on {
            break;
        }
    }
    if same < trace.len() {
        return Replayed::Differs(difference(trace, same, None));
    }
    let (expected, actual) = (trace.verdict.clone(), Verdict::of(&world.finish()));
    if expected == actual {
        Replayed::Same(actual)
    } else {
        Replayed::OtherVerdict { expected, actual }
    }
}

/// The state of a plan's world once it made `records` records. An event may make
/// several; the state is the one after the event of the last of them.
#[must_use]
pub fn state_after(plan: &Plan, records: usize) -> State {
    let mut world = World::new(plan, true);
    while world.records().len() < records && world.advance() {}
    world.state()
}

fn difference(trace: &Trace, index: usize, actual: Option<Entry<'_>>) -> Difference {
    let names = Names::of(&trace.plan);
    let from = index.saturating_sub(LED_THERE);
    let before = trace.entries().skip(from).take(index - from);
    Difference {
        index,
        expected: trace.entry(index).map(|entry| names.line(&entry)),
        actual: actual.map(|entry| names.line(&entry)),
        led_there: before.map(|entry| names.line(&entry)).collect(),
    }
}
