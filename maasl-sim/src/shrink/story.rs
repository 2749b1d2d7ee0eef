//! What is left of a failure, for people and for tests.
//!
//! Owns: the plan with its story, the scenario, the trace and the regression test.
//! Promises: all of them show the same. Leaves to others: where they are put (`cli`).

use std::fmt::Write as _;

use super::Target;
use super::scenario::scenario_of;
use crate::plan::Plan;
use crate::trace::{Trace, TraceError};
use crate::world::World;

/// A failure, told in four ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The plan, with the story at its top.
    pub plan_text: String,
    /// A scenario that comes to the same, and the seed with which it does; where
    /// one was found.
    pub scenario: Option<(String, u64)>,
    /// The run.
    pub trace: Trace,
    /// A file for `maasl-sim/tests/regressions/`.
    pub test: String,
}

impl Story {
    /// Tells the run of a plan that shows `target`.
    pub fn of(plan: &Plan, target: &Target) -> Result<Self, TraceError> {
        let trace = Trace::of(plan, &World::new(plan, true).run())?;
        let told = lines(plan, target);
        let plan_text = format!("{}\n{}", prefixed("# ", &told), trace.plan_text);
        let test = test(&told, &plan_text);
        let scenario = scenario_of(plan, target, |plan| prefixed("", &lines(plan, target)));
        Ok(Self {
            plan_text,
            scenario,
            trace,
            test,
        })
    }
}

/// What happens in a plan, in sentences.
fn lines(plan: &Plan, target: &Target) -> Vec<String> {
    let mut lines = vec![format!("{}, seed {}: {target}.", plan.scenario, plan.seed)];
    for agent in &plan.agents {
        let calls: Vec<String> = agent
            .calls
            .iter()
            .map(|one| one.action.to_string())
            .collect();
        let calls = match calls.as_slice() {
            [] => "does nothing".to_owned(),
            calls => format!("means to {}", calls.join("; then ")),
        };
        lines.push(format!(
            "{}, served by {}, {calls}.",
            agent.name, agent.process
        ));
    }
    lines.extend(plan.faults.iter().map(|fault| format!("Fault: {fault}.")));
    lines
}

fn prefixed(prefix: &str, lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        writeln!(text, "{prefix}{line}").expect("a string takes any text");
    }
    text
}

fn test(told: &[String], plan_text: &str) -> String {
    let told = prefixed("// ", told);
    // As many hashes as no content of a plan has behind a quotation mark.
    let hashes = (1..).map(|count| "#".repeat(count));
    let mut hashes = hashes.skip_while(|hashes| plan_text.contains(&format!("\"{hashes}")));
    let hashes = hashes.next().expect("some number of hashes is not there");
    format!(
        "//! A plan that was cut down, kept so that what it showed stays mended.
//!
//! Owns: the plan below. Promises: the promises that it names hold in its run.
//! Leaves to others: running it (`main.rs`).

{told}
#[test]
fn the_promises_hold() {{
    crate::holds(PLAN);
}}

const PLAN: &str = r{hashes}\"
{plan_text}\"{hashes};
"
    )
}
