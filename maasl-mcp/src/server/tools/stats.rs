//! `llmc_stomp_stats`.
//!
//! Owns: which counters are added up for whom: all, a class, an agent, since
//! when. Promises: the totals are the sums over the classes; agents are told
//! apart for as long as the store does. Leaves to others: counting.

mod counts;

use std::collections::BTreeMap;

use maasl_core::lease::Counter;
use maasl_core::lease::counter::HOUR_MS;
use maasl_node::store::{CounterRow, Counters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::counts::{AgentBody, Counts, CountsBody, DocgenBody, OutcomeBody, count};
use super::{Effect, Spec};
use crate::server::arguments::NOTHING;
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::time;

/// The tool.
pub(crate) struct Stats;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Only what was counted since then: an instant (RFC 3339) or how long ago
    /// (`2h`). Counters are kept by the hour for a week.
    since: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Body {
    #[serde(flatten)]
    total: CountsBody,
    db_writes: OutcomeBody,
    /// Patches of knowledge graphs that were merged.
    graph_merges: u64,
    docgen_operations: DocgenBody,
    /// Seconds since this server started; the counters are older.
    uptime_seconds: f64,
    /// The beginning of the first hour that is counted; null: the life of the
    /// store.
    since: Option<String>,
    /// The same counters for each resource class.
    classes: BTreeMap<String, CountsBody>,
    /// What each agent came to within the last week.
    agents: BTreeMap<String, AgentBody>,
}

impl Spec for Stats {
    const NAME: &'static str = "llmc_stomp_stats";
    const TITLE: &'static str = "Show what was prevented";
    const DOC: &'static str = "Counts grants, waits, refusals and prevented overwrites over the \
        life of the store or since a time, in total, per resource class and per agent.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        let since = match arguments.since.as_deref().map(stats_hour).transpose() {
            Ok(since) => since,
            Err(message) => return ErrorBody::invalid("since", message).into(),
        };
        let uptime_seconds = cx.started.elapsed().as_secs_f64();
        let counters = cx.ask(B::counters).await;
        counters
            .map(|counters| body(&counters, since, uptime_seconds))
            .into()
    }
}

/// What the tool answers, for the command line: since an hour, if one is given.
pub(crate) fn stats_json(counters: &Counters, since: Option<u64>) -> serde_json::Value {
    let body = body(counters, since, 0.0);
    serde_json::to_value(body).expect("the body is made of texts and numbers")
}

/// The hour that an argument names, since 1970; or what it may be.
pub(crate) fn stats_hour(since: &str) -> Result<u64, &'static str> {
    let wall_ms = time::wall_ms(since);
    let wall_ms = wall_ms.ok_or("is an instant (2026-11-28T12:00:00Z) or how long ago (2h)")?;
    // Hour 0 is no hour.
    Ok((wall_ms / HOUR_MS).max(1))
}

fn body(counters: &Counters, since: Option<u64>, uptime_seconds: f64) -> Body {
    let mut total = Counts::new();
    let mut classes: BTreeMap<String, Counts> = BTreeMap::new();
    let mut agents: BTreeMap<String, Counts> = BTreeMap::new();
    let counted = counters.iter();
    for (row, value) in counted.filter(|(row, _)| since.is_none_or(|since| row.hour >= since)) {
        let CounterRow {
            name, class, agent, ..
        } = row;
        let of_class = classes.entry(class.clone()).or_default();
        let of_agent = (!agent.is_empty()).then(|| agents.entry(agent.clone()).or_default());
        for group in [&mut total, of_class].into_iter().chain(of_agent) {
            *group.entry(name.clone()).or_default() += value;
        }
    }
    Body {
        total: CountsBody::from(&total),
        db_writes: OutcomeBody {
            success: count(&total, Counter::DbWritten),
            failed: count(&total, Counter::DbFailed),
        },
        graph_merges: count(&total, Counter::GraphMerged),
        docgen_operations: DocgenBody::from(&total),
        uptime_seconds,
        since: since.map(|hour| time::rfc3339(hour.saturating_mul(HOUR_MS))),
        classes: by_name(&classes),
        agents: by_name(&agents),
    }
}

/// The groups as results name their counts.
fn by_name<'a, T: From<&'a Counts>>(groups: &'a BTreeMap<String, Counts>) -> BTreeMap<String, T> {
    let groups = groups.iter();
    groups
        .map(|(name, counts)| (name.clone(), T::from(counts)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(rows: &[(u64, &str, &str, Counter, u64)]) -> Counters {
        let rows = rows.iter().map(|(hour, agent, class, counter, value)| {
            let row = CounterRow {
                hour: *hour,
                agent: (*agent).into(),
                name: counter.name(),
                class: (*class).into(),
            };
            (row, *value)
        });
        rows.collect()
    }

    fn some() -> Counters {
        counters(&[
            (0, "", "CRIT_CODE", Counter::Acquired, 10),
            (7, "a", "CRIT_CODE", Counter::Acquired, 3),
            (8, "b", "CRIT_DB", Counter::Acquired, 4),
            (8, "b", "CRIT_CODE", Counter::StaleRefused, 1),
            (8, "b", "CRIT_CODE", Counter::SwapConflicts, 1),
            (9, "b", "CRIT_CODE", Counter::Merged, 1),
            (9, "b", "CRIT_CODE", Counter::Rebased, 1),
        ])
    }

    #[test]
    fn totals_are_the_sums_over_classes_and_hours() {
        let body = body(&some(), None, 1.5);
        assert_eq!(body.total.lock_acquisitions, 17);
        assert_eq!(body.total.stomps_prevented, 3);
        assert_eq!(body.classes["CRIT_DB"].lock_acquisitions, 4);
        assert_eq!(body.classes["CRIT_CODE"].lock_acquisitions, 13);
        assert_eq!(body.since, None);
    }

    #[test]
    fn agents_are_told_apart_and_old_counts_are_nobodys() {
        let shown = stats_json(&some(), None);
        assert_eq!(shown["agents"]["a"]["lock_acquisitions"], 3);
        assert_eq!(shown["agents"]["b"]["stomps_prevented"], 3);
        assert_eq!(shown["agents"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn only_what_was_counted_since_then_is_shown() {
        let shown = |since| stats_json(&some(), Some(stats_hour(since).unwrap()));
        let some = shown("1970-01-01T08:59:00Z");
        assert_eq!(some["since"], "1970-01-01T08:00:00.000Z");
        assert_eq!(some["lock_acquisitions"], 4);
        assert_eq!(some["agents"].get("a"), None);
        let all = shown("1970-01-01T00:00:00Z");
        assert_eq!(all["lock_acquisitions"], 7, "what has no hour is older");
        assert_eq!(shown("2h")["lock_acquisitions"], 0);
        assert!(stats_hour("yesterday").is_err());
    }
}
