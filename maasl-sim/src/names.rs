//! Records in words.
//!
//! Owns: the names behind the numbers of a record. Promises: a process, an agent,
//! a fault, a request and an outcome are called what the plan and the core call
//! them. Leaves to others: which records to show.

use std::collections::BTreeMap;

use crate::observe::{Ground, Observation, Observer};
use crate::plan::Plan;
use crate::record::Kind;
use crate::trace::Entry;
use crate::world::World;
use crate::world::state::{Instant, token};

/// What the outcomes of commands are called, by the lowest byte of a record's
/// detail.
const OUTCOMES: [&str; 23] = [
    "opened",
    "done",
    "need_reserve",
    "granted",
    "queued",
    "busy",
    "deadlock",
    "limit_reached",
    "need_latches",
    "need_recovery",
    "lost",
    "not_covered",
    "held",
    "begun",
    "finished",
    "unknown_op",
    "released",
    "revoked",
    "answered",
    "key_mismatch",
    "not_answered",
    "inspected",
    "snapshot",
];

/// The names of a plan.
#[derive(Clone, Debug, Default)]
pub struct Names {
    processes: Vec<String>,
    agents: Vec<String>,
    faults: Vec<String>,
    requests: BTreeMap<u64, String>,
}

impl Names {
    /// The names of a plan; its requests are found by running it.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut names = Self::without_requests(plan);
        // The run ends with the world; what is wanted was observed on the way.
        let _ = World::new(plan, false).observed_by(&mut names).run();
        names
    }

    /// The names of a plan; its requests get theirs while it runs.
    #[must_use]
    pub fn without_requests(plan: &Plan) -> Self {
        Self {
            processes: plan.processes.iter().map(|one| one.name.clone()).collect(),
            agents: plan.agents.iter().map(|one| one.name.clone()).collect(),
            faults: plan.faults.iter().map(ToString::to_string).collect(),
            requests: BTreeMap::new(),
        }
    }

    /// What is recorded, without its time and its place.
    #[must_use]
    pub fn what(&self, entry: &Entry<'_>) -> String {
        let label = entry.label;
        match entry.kind {
            Kind::Started => format!("starts, life {}", entry.detail),
            Kind::Died => "dies".to_owned(),
            Kind::Paused if entry.detail == 1 => "stands still".to_owned(),
            Kind::Paused => "goes on".to_owned(),
            Kind::Request => format!("gets the request: {}", self.request(entry.detail)),
            Kind::Answer => format!("is told {label}: {}", self.request(entry.detail)),
            Kind::Command => format!("{label} -> {}", outcome(entry.detail)),
            Kind::CommandFault => format!("{label} -> no answer from the store"),
            Kind::Effect if entry.detail == u64::MAX => format!("{label} -> failed"),
            Kind::Effect => effect(label, entry.detail),
            Kind::Timer => "wakes by its clock".to_owned(),
            Kind::Bell => format!("is rung for ticket {}", entry.detail),
            Kind::Fault => {
                let at = usize::try_from(entry.detail).unwrap_or(usize::MAX);
                let fault = self
                    .faults
                    .get(at)
                    .map_or("not in the plan", String::as_str);
                format!("fault: {fault}")
            }
            Kind::Turn => format!("asks: {}", self.request(entry.detail)),
            Kind::Quiet => "from here on nothing goes wrong".to_owned(),
        }
    }

    /// Who acts: a process, an agent, or the world.
    #[must_use]
    pub fn who(&self, entry: &Entry<'_>) -> &str {
        let names = match entry.kind {
            Kind::Fault | Kind::Quiet => return "world",
            Kind::Answer | Kind::Turn => &self.agents,
            _ => &self.processes,
        };
        names
            .get(usize::from(entry.who))
            .map_or("not in the plan", String::as_str)
    }

    /// The whole record, in a line.
    #[must_use]
    pub fn line(&self, entry: &Entry<'_>) -> String {
        let (who, what) = (self.who(entry), self.what(entry));
        let at = Instant(entry.at_ns).to_string();
        let call = match entry.call {
            0 => String::new(),
            // Calls that a coordinator makes for itself are numbered from there.
            own if own >= 1 << 63 => format!("  (own call {})", own - (1 << 63) + 1),
            call => format!("  (call {call})"),
        };
        format!("{at:>14}  {who:<10} {what}{call}")
    }

    fn request(&self, number: u64) -> String {
        let known = self.requests.get(&number).cloned();
        known.unwrap_or_else(|| format!("request {number}"))
    }
}

impl Observer for Names {
    fn observe(&mut self, _: u64, seen: &Observation<'_>, _: &Ground<'_>) {
        if let Observation::Asked(asked) = seen {
            let agent = self.agents.get(usize::from(asked.agent.0));
            let agent = agent.map_or("", String::as_str);
            let again = match asked.attempt {
                1 => String::new(),
                attempt => format!(", attempt {attempt}"),
            };
            let number = asked.request.0;
            let name = format!("{agent} {} (request {number}{again})", asked.action);
            self.requests.insert(number, name);
        }
    }
}

/// The outcome of a command, and what differs most within its kind.
fn outcome(detail: u64) -> String {
    use maasl_core::id::Token;
    let kind = usize::try_from(detail & 0xff).expect("a byte");
    let Some(name) = OUTCOMES.get(kind) else {
        return "of no known kind".to_owned();
    };
    let more = detail >> 8;
    match *name {
        "granted" => {
            let over = match more & 3 {
                0 => "",
                _ => ", taken over",
            };
            format!(
                "granted, token {}{over}",
                token(Token::from_number(more >> 2))
            )
        }
        "need_reserve" => format!("need_reserve of {}", token(Token::from_number(more))),
        "queued" => format!("queued, ticket {}, place {}", more >> 8, more & 0xff),
        "opened" => format!("opened, generation {more}"),
        "done" | "finished" if more > 0 => format!("{name}, {more} to wake"),
        "busy" => format!("busy, place {more}"),
        "held" => format!("held for {more} ms more"),
        "released" => format!("released after {more} ms"),
        "revoked" => format!("revoked {more}"),
        _ => (*name).to_owned(),
    }
}

fn effect(label: &str, detail: u64) -> String {
    match (label, detail) {
        ("read", 0) => "read -> no such file".to_owned(),
        ("read", bytes) => format!("read -> {} bytes", bytes - 1),
        ("hash" | "hash_staged", 1) => format!("{label} -> nothing there"),
        ("hash" | "hash_staged", detail) => format!("{label} -> {:08x}…", detail >> 32),
        ("swap" | "swap_back", 1) => format!("{label} -> placed, nothing was there"),
        ("swap" | "swap_back", 3) => format!("{label} -> the staged content is gone"),
        ("swap" | "swap_back", met) if met & 0xff == 2 => {
            format!("{label} -> displaced {:08x}…", met >> 32)
        }
        ("swap" | "swap_back", _) => format!("{label} -> something was in the way"),
        ("probe" | "ring", 0) => format!("{label} -> all alive"),
        ("probe" | "ring", dead) => format!("{label} -> {dead} dead"),
        ("load_object" | "load_version", 0) => format!("{label} -> not kept"),
        _ => label.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the core calls the outcomes, as their records come.
    #[derive(Default)]
    struct Outcomes(Vec<(u64, String)>);

    impl Observer for Outcomes {
        fn observe(&mut self, records: u64, seen: &Observation<'_>, _: &Ground<'_>) {
            if let Observation::Transacted { outcome, .. } = seen {
                let debug = format!("{outcome:?}");
                let end = debug.find(|one: char| !one.is_alphanumeric());
                let name = debug[..end.unwrap_or(debug.len())].to_lowercase();
                self.0.push((records, name));
            }
        }
    }

    #[test]
    fn an_outcome_is_called_what_the_core_calls_it() {
        let plan = crate::trial::contended();
        let mut outcomes = Outcomes::default();
        let finished = World::new(&plan, true).observed_by(&mut outcomes).run();
        let mut kinds = std::collections::BTreeSet::new();
        for (records, name) in outcomes.0 {
            let last = usize::try_from(records).unwrap() - 1;
            let record = finished.kept[last];
            if record.kind == Kind::Command {
                let known = OUTCOMES[usize::try_from(record.detail & 0xff).unwrap()];
                assert_eq!(known.replace('_', ""), name);
                kinds.insert(name);
            }
        }
        assert!(kinds.len() >= 6, "too few kinds were met: {kinds:?}");
    }

    #[test]
    fn a_record_is_told_by_names() {
        let plan = crate::trial::contended();
        let names = Names::of(&plan);
        let finished = World::new(&plan, true).run();
        let lines: Vec<String> = finished
            .kept
            .iter()
            .map(|one| names.line(&one.into()))
            .collect();
        let lines = lines.join("\n");
        assert!(lines.contains("ann        asks: ann read a.txt"), "{lines}");
        assert!(lines.contains("east"), "{lines}");
        assert!(lines.contains("fault: pause east"), "{lines}");
        assert!(lines.contains("granted, token "), "{lines}");
    }
}
