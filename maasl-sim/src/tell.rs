//! A scenario in plain words.
//!
//! Owns: the words for what a scenario says. Promises: everything that may go
//! wrong is told, and everything that is promised. Leaves to others: drawing it.

use std::fmt::Write as _;

use serde_json::Value;

use crate::scenario::{Expect, Fault, Number, Range, Scenario, Verdict, schema};

/// The scenario in plain words.
#[must_use]
pub fn tell(scenario: &Scenario) -> String {
    let mut text = format!("{}\n\n{}\n", scenario.name, scenario.story.trim_end());
    // Writing to a String cannot fail.
    let _ = who(scenario, &mut text);
    let _ = what_may_go_wrong(&scenario.faults, &mut text);
    let _ = what_is_promised(scenario, &mut text);
    text
}

fn who(scenario: &Scenario, text: &mut String) -> std::fmt::Result {
    if let Some(source) = &scenario.source {
        writeln!(text, "After: {source}")?;
    }
    let topology = &scenario.topology;
    writeln!(
        text,
        "\nWho takes part: processes: {}; agents of each: {}; files: {}; calls of each agent: {}.",
        range(topology.processes),
        range(topology.agents_per_process),
        range(topology.files),
        range(scenario.workload.calls_per_agent),
    )?;
    for script in &scenario.script {
        let calls = script.calls.as_ref().map(Vec::len);
        let calls = calls.map_or("drawn calls".into(), |calls| {
            format!("{calls} calls of its own")
        });
        writeln!(text, "  {} makes {calls}.", script.agent)?;
    }
    Ok(())
}

fn what_may_go_wrong(faults: &[Fault], text: &mut String) -> std::fmt::Result {
    writeln!(text, "\nWhat may go wrong:")?;
    if faults.is_empty() {
        return writeln!(text, "  nothing but that agents meet each other.");
    }
    let schema = schema();
    for fault in faults {
        let kind = fault.what.text("kind").unwrap_or_default();
        writeln!(text, "  - {}", words_of(&schema, kind))?;
        write!(text, "    {}", fault.label())?;
        let chance = fault.probability_permille.0;
        if chance < 1_000 {
            write!(text, ", in {chance} of 1,000 runs")?;
        }
        if fault.count != Range::fixed(1) {
            write!(text, ", {} times", range(fault.count))?;
        }
        writeln!(
            text,
            ": {}; {}.",
            fields(&fault.when.value),
            fields(&fault.what.value)
        )?;
    }
    Ok(())
}

fn what_is_promised(scenario: &Scenario, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\nWhat is promised:")?;
    for promise in &scenario.promises {
        writeln!(text, "  {promise}: {}.", promise.words())?;
    }
    let Expect {
        verdict,
        sometimes,
        successful_calls_min,
    } = &scenario.expect;
    writeln!(text, "\nWhat must come of it:")?;
    match verdict {
        Verdict::Held => writeln!(text, "  all of that holds, whatever the seed.")?,
        Verdict::Broken(promise) => writeln!(text, "  {promise} is broken, whatever the seed.")?,
    }
    if *successful_calls_min > 0 {
        writeln!(text, "  at least {successful_calls_min} calls succeed.")?;
    }
    if !sometimes.is_empty() {
        writeln!(text, "  some seed meets each of: {}.", sometimes.join(", "))?;
    }
    Ok(())
}

fn range<N: Number>(range: Range<N>) -> String {
    let (from, to) = (range.from.wide(), range.to.wide());
    if from == to {
        from.to_string()
    } else {
        format!("{from} to {to}")
    }
}

/// What the types say about a kind of fault.
fn words_of<'s>(schema: &'s Value, kind: &str) -> &'s str {
    let kinds = schema["$defs"]["Loose_FaultKind"]["oneOf"].as_array();
    let mut kinds = kinds.into_iter().flatten();
    let of = kinds.find(|one| one["properties"]["kind"]["const"] == kind);
    of.and_then(|one| one["description"].as_str())
        .unwrap_or_default()
}

fn fields(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    let fields = fields.filter(|(name, _)| *name != "kind");
    let fields = fields.map(|(name, value)| format!("{} {}", name.replace('_', " "), loose(value)));
    fields.collect::<Vec<_>>().join(", ")
}

fn loose(value: &Value) -> String {
    if let (Some(from), Some(to)) = (value.get("from"), value.get("to")) {
        return format!("{from} to {to}");
    }
    if let Some(choices) = value.get("one_of").and_then(Value::as_array) {
        let choices: Vec<String> = choices.iter().map(loose).collect();
        return choices.join(" or ");
    }
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        other => other.to_string(),
    }
}
