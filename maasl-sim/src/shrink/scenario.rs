//! A plan as a scenario.
//!
//! Owns: finding a scenario that leaves nothing open and comes to what the plan
//! does. Promises: what it gives was drawn again and shows the same. Leaves to
//! others: plans that no scenario comes to, as with clocks that differ; they stay
//! plans.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::Target;
use crate::draw;
use crate::plan::{Manner, Plan};
use crate::scenario;

/// Seeds that are tried where something is still open.
const SEEDS: u64 = 32;

/// A scenario, and the seed with which it shows what the plan shows. `tell` makes
/// its story, in its own names.
pub(super) fn scenario_of(
    plan: &Plan,
    target: &Target,
    tell: impl Fn(&Plan) -> String,
) -> Option<(String, u64)> {
    let parsed = |text: &str| scenario::parse("the shrunk scenario", text).ok();
    let silent = parsed(&Telling::of(plan).text(plan, "Nothing is told yet.\n")?)?;
    let drawn = |seed: u64| (seed, draw::plan(&silent, seed));
    let mut drawn = (0..SEEDS).map(drawn);
    let (seed, shows) = drawn.find(|(_, plan)| target.is_met_by(plan))?;
    let text = Telling::of(plan).text(plan, &tell(&shows))?;
    parsed(&text).map(|_| (text, seed))
}

/// The names that scenarios have, by those of a plan.
struct Telling {
    processes: BTreeMap<String, String>,
    agents: BTreeMap<String, String>,
    paths: BTreeMap<String, String>,
    agents_per_process: usize,
    free: usize,
}

impl Telling {
    fn of(plan: &Plan) -> Self {
        let named = plan.processes.iter().enumerate();
        let processes: BTreeMap<String, String> = named
            .map(|(no, process)| (process.name.clone(), format!("p{no}")))
            .collect();
        let mut served: BTreeMap<&str, usize> = BTreeMap::new();
        let agents = plan.agents.iter().map(|agent| {
            let count = served.entry(&agent.process).or_default();
            *count += 1;
            let name = format!("{}-a{}", processes[&agent.process], *count - 1);
            (agent.name.clone(), name)
        });
        let agents = agents.collect();
        let mut telling = Self {
            agents_per_process: served.into_values().max().unwrap_or(1),
            processes,
            agents,
            paths: BTreeMap::new(),
            free: 0,
        };
        for (no, file) in plan.files.iter().enumerate() {
            let name = format!("d0/f{no}.txt");
            telling.paths.insert(file.path.clone(), name);
            if let Some((folder, _)) = file.path.rsplit_once('/') {
                telling.paths.insert(folder.to_owned(), "d0".to_owned());
            }
        }
        telling
    }

    fn text(&mut self, plan: &Plan, story: &str) -> Option<String> {
        let scripts = self.scripts(plan)?;
        let faults = self.faults(plan)?;
        let mut text = String::new();
        writeln!(text, "schema_version = 1").ok()?;
        writeln!(
            text,
            "name = {:?}",
            format!("{}-shrunk", slug(&plan.scenario))
        )
        .ok()?;
        writeln!(text, "story = \"\"\"\n{story}\"\"\"").ok()?;
        writeln!(text, "promises = {}\n", inline(&plan.promises)?).ok()?;
        text += &self.topology(plan)?;
        let (quiet, settle) = (plan.quiet_from_ms, plan.settle_ms);
        writeln!(
            text,
            "[workload]\nquiet_calls = 0\nquiet_from_ms = {quiet}\nsettle_ms = {settle}"
        )
        .ok()?;
        writeln!(text, "events_max = {}\n", plan.events_max).ok()?;
        let settings = toml::to_string(&plan.settings).ok()?;
        if !settings.is_empty() {
            writeln!(text, "[settings]\n{settings}").ok()?;
        }
        text += &timing(plan)?;
        Some(text + &scripts + &faults)
    }

    fn topology(&self, plan: &Plan) -> Option<String> {
        let mut text = String::from("[topology]\n");
        let (processes, files) = (plan.processes.len(), plan.files.len());
        writeln!(text, "processes = {processes}").ok()?;
        writeln!(text, "agents_per_process = {}", self.agents_per_process).ok()?;
        writeln!(text, "files = {files}\nfree_names = {}", self.free).ok()?;
        let ahead: Vec<u64> = plan
            .processes
            .iter()
            .map(|one| one.clock_ahead_us)
            .collect();
        let drift: Vec<i32> = plan.processes.iter().map(|one| one.drift_ppm).collect();
        let start: Vec<u64> = plan.processes.iter().map(|one| one.start_at_ms).collect();
        writeln!(text, "clock_ahead_us = {}", range(&ahead)?).ok()?;
        writeln!(text, "drift_ppm = {}", range(&drift)?).ok()?;
        writeln!(text, "start_at_ms = {}\n", range(&start)?).ok()?;
        Some(text)
    }

    fn scripts(&mut self, plan: &Plan) -> Option<String> {
        let mut text = String::new();
        for agent in &plan.agents {
            writeln!(text, "[[script]]\nagent = {:?}", self.agents[&agent.name]).ok()?;
            if agent.manner != Manner::default() {
                writeln!(text, "manner = {}", inline(&agent.manner)?).ok()?;
            }
            writeln!(text, "calls = [").ok()?;
            for call in &agent.calls {
                writeln!(text, "    {},", self.renamed(call)?).ok()?;
            }
            writeln!(text, "]\n").ok()?;
        }
        Some(text)
    }

    fn faults(&mut self, plan: &Plan) -> Option<String> {
        let mut text = String::new();
        for (no, fault) in plan.faults.iter().enumerate() {
            let (when, what) = (self.renamed(&fault.when)?, self.renamed(&fault.what)?);
            writeln!(text, "[[faults]]\nname = \"fault {}\"", no + 1).ok()?;
            writeln!(text, "when = {when}\nwhat = {what}\n").ok()?;
        }
        Some(text)
    }

    /// A part of a plan with the names that scenarios have.
    fn renamed(&mut self, part: &impl serde::Serialize) -> Option<String> {
        let mut form = serde_json::to_value(part).ok()?;
        self.rename(&mut form, "");
        inline(&form)
    }

    fn rename(&mut self, form: &mut Value, key: &str) {
        match form {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.rename(value, key);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item, key)),
            Value::String(name) => match key {
                "process" => {
                    if let Some(known) = self.processes.get(name) {
                        name.clone_from(known);
                    }
                }
                "path" | "paths" | "to" => *name = self.path(name),
                _ => {}
            },
            _ => {}
        }
    }

    /// Names that no file has at the start are free ones, in order.
    fn path(&mut self, path: &str) -> String {
        if let Some(known) = self.paths.get(path) {
            return known.clone();
        }
        let name = format!("d0/new{}.txt", self.free);
        self.free += 1;
        self.paths.insert(path.to_owned(), name.clone());
        name
    }
}

fn timing(plan: &Plan) -> Option<String> {
    let timing = &plan.timing;
    let mut text = String::from("[timing]\n");
    for (name, table) in timing.tables() {
        writeln!(text, "{name} = {}", range(table)?).ok()?;
    }
    if timing.remote_store {
        writeln!(text, "remote_store = true").ok()?;
        writeln!(text, "store_timeout_ms = {}", timing.store_timeout_ms).ok()?;
    }
    text.push('\n');
    Some(text)
}

/// One value where all are alike, else all between the least and the greatest.
fn range<N: Ord + std::fmt::Display>(values: &[N]) -> Option<String> {
    let (least, most) = (values.iter().min()?, values.iter().max()?);
    Some(if least == most {
        least.to_string()
    } else {
        format!("{{ from = {least}, to = {most} }}")
    })
}

fn inline(value: &impl serde::Serialize) -> Option<String> {
    Some(toml::Value::try_from(value).ok()?.to_string())
}

/// Letters and digits, with a dash between words.
fn slug(name: &str) -> String {
    let words = name.split(|one: char| !one.is_ascii_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}
