//! `maasl stats`

mod chart;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maasl_core::lease::Counter;
use maasl_core::lease::counter::{HOUR_MS, wait_bucket_limit_us, wait_bucket_named};
use maasl_node::state_dir;
use maasl_node::store::Counters;
use maasl_node::store::sqlite::View;
use serde_json::Value;

use super::{Failure, output};
use crate::server::{stats_hour, stats_json};

/// How many hours a sparkline shows, the current one last.
const HOURS_SHOWN: u64 = 48;

/// What is drawn by the hour: a name, and the counters it adds up.
const DRAWN: [(&str, &[Counter]); 3] = [
    (
        "guarded calls",
        &[Counter::GuardedOk, Counter::GuardedFailed],
    ),
    (
        "stomps prevented",
        &[Counter::StaleRefused, Counter::Merged, Counter::Rebased],
    ),
    ("waits in vain", &[Counter::TimedOut]),
];

/// Arguments of `maasl stats`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One JSON object instead of tables and charts.
    #[arg(long)]
    json: bool,
    /// Only what was counted since then: an instant (RFC 3339) or how long ago
    /// (`2h`); whole hours, a week at most.
    #[arg(long, value_name = "WHEN", value_parser = stats_hour)]
    since: Option<u64>,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let counters = match View::open(&root.join(state_dir::NAME))? {
        Some(view) => view.counters()?,
        None => BTreeMap::new(),
    };
    let shown = stats_json(&counters, arguments.since);
    if arguments.json {
        output::json(&shown);
        return Ok(ExitCode::SUCCESS);
    }
    output::line(&by_class(&shown));
    if let Some(agents) = by_agent(&shown) {
        output::line(&format!("\n{agents}"));
    }
    if output::is_terminal() {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        let hour = since_1970.unwrap_or_default().as_secs() * 1_000 / HOUR_MS;
        output::line(&charts(&counters, hour));
    }
    Ok(ExitCode::SUCCESS)
}

/// One row per counter, the headline first, with a column per class.
fn by_class(shown: &Value) -> String {
    let classes = shown["classes"].as_object();
    let classes: Vec<(&String, &Value)> = classes.into_iter().flatten().collect();
    let mut header = vec!["counted", "all"];
    header.extend(classes.iter().map(|(class, _)| {
        if class.is_empty() {
            "-"
        } else {
            class.as_str()
        }
    }));
    let mut table = output::table(&header);
    for name in names(shown) {
        let mut row = vec![name.clone(), cell(&shown[&name])];
        row.extend(classes.iter().map(|(_, counts)| cell(&counts[&name])));
        table.add_row(row);
    }
    table.to_string()
}

fn names(shown: &Value) -> Vec<String> {
    let headline = "stomps_prevented";
    let elsewhere = ["classes", "agents", "uptime_seconds", "since", headline];
    let members = shown.as_object().into_iter().flatten();
    let rest = members
        .map(|(name, _)| name.as_str())
        .filter(|name| !elsewhere.contains(name));
    std::iter::once(headline)
        .chain(rest)
        .map(str::to_owned)
        .collect()
}

/// One row per agent; nothing where none was counted.
fn by_agent(shown: &Value) -> Option<String> {
    let agents = shown["agents"].as_object()?;
    let (_, first) = agents.iter().next()?;
    let columns: Vec<&str> = first.as_object()?.keys().map(String::as_str).collect();
    let header: Vec<&str> = std::iter::once("agent")
        .chain(columns.iter().copied())
        .collect();
    let mut table = output::table(&header);
    for (agent, counts) in agents {
        let mut row = vec![output::plain(agent)];
        row.extend(columns.iter().map(|name| cell(&counts[name])));
        table.add_row(row);
    }
    Some(table.to_string())
}

/// A number, or the numbers of a group side by side.
fn cell(value: &Value) -> String {
    match value {
        Value::Object(group) => {
            let parts = group
                .iter()
                .map(|(name, value)| format!("{name} {}", cell(value)));
            parts.collect::<Vec<_>>().join(", ")
        }
        Value::Null => String::new(),
        Value::Number(number) if number.is_f64() => {
            format!("{:.2}", number.as_f64().unwrap_or(0.0))
        }
        other => other.to_string(),
    }
}

/// What came when, up to this hour, and how long grants were waited for.
fn charts(counters: &Counters, hour: u64) -> String {
    let first = (hour + 1).saturating_sub(HOURS_SHOWN);
    let lines = DRAWN.map(|(name, counted)| {
        let counts = by_hour(counters, counted);
        let values = (first..=hour).map(|hour| counts.get(&hour).copied().unwrap_or(0));
        let values: Vec<u64> = values.collect();
        let most = values.iter().max().copied().unwrap_or(0);
        let line = chart::sparkline(&values);
        format!("  {name:<16}  {line}  at most {most}\n")
    });
    let waits = match waits(counters) {
        none if none.is_empty() => String::new(),
        some => format!(
            "\ngrants, by how long they were waited for\n{}",
            chart::bars(&some)
        ),
    };
    format!(
        "\nby the hour, the last {HOURS_SHOWN}\n{}{waits}",
        lines.concat()
    )
}

/// What these counters add up to in each hour.
fn by_hour(counters: &Counters, counted: &[Counter]) -> BTreeMap<u64, u64> {
    let names: Vec<String> = counted.iter().map(|counter| counter.name()).collect();
    let mut counts = BTreeMap::new();
    for (row, value) in counters.iter().filter(|(row, _)| names.contains(&row.name)) {
        *counts.entry(row.hour).or_default() += value;
    }
    counts
}

/// Grants by the power of ten below which their waits lie, without gaps.
fn waits(counters: &Counters) -> Vec<(String, u64)> {
    let mut found: BTreeMap<u32, u64> = BTreeMap::new();
    for (row, value) in counters {
        let Some(bucket) = wait_bucket_named(&row.name) else {
            continue;
        };
        let limit_us = wait_bucket_limit_us(bucket);
        let power = limit_us.checked_ilog10().map_or(0, |power| power + 1);
        *found.entry(power.max(3)).or_default() += value;
    }
    let (Some(first), Some(last)) = (found.keys().next(), found.keys().next_back()) else {
        return Vec::new();
    };
    let named = |power: u32| {
        let limit = Duration::from_micros(10_u64.saturating_pow(power));
        (
            format!("< {limit:?}"),
            found.get(&power).copied().unwrap_or(0),
        )
    };
    (*first..=*last).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_core::lease::counter::wait_bucket;
    use maasl_node::store::CounterRow;

    fn counters(rows: &[(u64, Counter, u64)]) -> Counters {
        let rows = rows.iter().map(|(hour, counter, value)| {
            let row = CounterRow {
                hour: *hour,
                agent: "a".into(),
                name: counter.name(),
                class: "CRIT_CODE".into(),
            };
            (row, *value)
        });
        rows.collect()
    }

    #[test]
    fn charts_show_when_and_how_long() {
        let drawn = charts(
            &counters(&[
                (100, Counter::GuardedOk, 4),
                (101, Counter::GuardedFailed, 8),
                (101, Counter::Merged, 1),
                (52, Counter::GuardedOk, 1_000),
                (101, Counter::Wait(wait_bucket(0)), 48),
                (101, Counter::Wait(wait_bucket(50_000)), 24),
            ]),
            101,
        );
        assert!(drawn.contains("▄█  at most 8"), "{drawn}");
        assert!(drawn.contains("stomps prevented"), "{drawn}");
        let full = "█".repeat(24);
        let half = "█".repeat(12);
        let waits = format!("  < 1ms    {full} 48\n  < 10ms   0\n  < 100ms  {half} 24\n");
        assert!(drawn.contains(&waits), "{drawn}");
        assert!(!charts(&counters(&[]), 5).contains("waited"));
    }

    #[test]
    fn agents_have_a_row_each() {
        let shown = stats_json(&counters(&[(1, Counter::Acquired, 3)]), None);
        let table = by_agent(&shown).unwrap();
        assert!(
            table
                .lines()
                .any(|line| line.trim().starts_with('a') && line.contains('3'))
        );
        assert_eq!(by_agent(&stats_json(&counters(&[]), None)), None);
    }
}
