//! Whether a scenario makes sense.
//!
//! Owns: what the form cannot say: which names exist, which numbers go together.
//! Promises: what passes can be drawn with any seed. Leaves to others: the form
//! (`form`), and whether the story is a good one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::source::{Path, ScenarioError, Source, instead};
use super::steps::{COMMANDS, EFFECTS};
use super::{ANY, SCHEMA_VERSION, Scenario, Verdict};
use crate::draw;
use crate::draw::names::Names;

/// Most agents of a scenario.
const AGENTS_MAX: u64 = 1_000;

/// Most processes, files or folders.
const MANY_MAX: u32 = 100;

/// Most calls of one agent, and most copies of a fault.
const REPEATS_MAX: u32 = 10_000;

type Checked = Result<(), ScenarioError>;

/// Checks what the form leaves open.
pub(super) fn check(scenario: &Scenario, source: &Source<'_>) -> Checked {
    let sense = Sense {
        scenario,
        source,
        names: Names::least(&scenario.topology),
    };
    sense.version()?;
    sense.counts()?;
    sense.weights()?;
    sense.faults()?;
    sense.scripts()?;
    sense.expectation()?;
    // What the plan itself asks for, as settings in range.
    let plan = draw::plan(scenario, 0);
    plan.validate().map_err(|error| {
        let field = error.field.split(['.', '[']).next().unwrap_or_default();
        source.wrong_at(&Path::default().field(field), error.to_string())
    })
}

struct Sense<'a> {
    scenario: &'a Scenario,
    source: &'a Source<'a>,
    names: Names,
}

impl Sense<'_> {
    fn wrong(&self, path: &Path, message: impl Into<String>) -> Checked {
        Err(self.source.wrong_at(path, message))
    }

    fn version(&self) -> Checked {
        let found = self.scenario.schema_version;
        if found == SCHEMA_VERSION {
            return Ok(());
        }
        let message = format!("schema_version is {found}; this program reads {SCHEMA_VERSION}");
        self.wrong(&at("schema_version"), message)
    }

    fn counts(&self) -> Checked {
        let topology = &self.scenario.topology;
        let path = at("topology");
        let many = [
            ("processes", topology.processes, 1),
            ("agents_per_process", topology.agents_per_process, 1),
            ("files", topology.files, 0),
            ("free_names", topology.free_names, 0),
            ("folders", topology.folders, 1),
        ];
        for (name, range, least) in many {
            self.within(&path.field(name), (range.from, range.to), (least, MANY_MAX))?;
        }
        let agents = u64::from(topology.processes.to) * u64::from(topology.agents_per_process.to);
        if agents > AGENTS_MAX {
            let message = format!("{agents} agents are too many; at most {AGENTS_MAX} take part");
            return self.wrong(&path.field("agents_per_process"), message);
        }
        let work = &self.scenario.workload;
        let path = at("workload");
        let repeats = [
            ("calls_per_agent", work.calls_per_agent, 0),
            ("quiet_calls", work.quiet_calls, 0),
            ("attempts", work.attempts, 1),
            ("refactor_files", work.refactor_files, 1),
        ];
        for (name, range, least) in repeats {
            self.within(
                &path.field(name),
                (range.from, range.to),
                (least, REPEATS_MAX),
            )?;
        }
        let held = work.reservations.files;
        let path = path.field("reservations").field("files");
        self.within(&path, (held.from, held.to), (1, MANY_MAX))
    }

    fn within(&self, path: &Path, (from, to): (u32, u32), (least, most): (u32, u32)) -> Checked {
        if from >= least && to <= most {
            return Ok(());
        }
        self.wrong(path, format!("{path} lies between {least} and {most}"))
    }

    fn weights(&self) -> Checked {
        let topology = &self.scenario.topology;
        if draw::manner_weights(topology)
            .iter()
            .all(|(weight, _)| *weight == 0)
        {
            let message = "all weights are 0, so no agent could be drawn";
            return self.wrong(&at("topology").field("manners"), message);
        }
        let work = &self.scenario.workload;
        if work.calls_per_agent.to == 0 {
            return Ok(());
        }
        let path = at("workload");
        let mix = draw::mix_weights(&work.mix);
        if mix.iter().all(|(weight, _)| *weight == 0) {
            let message = "all weights are 0, so no call could be drawn";
            return self.wrong(&path.field("mix"), message);
        }
        if topology.files.from == 0 {
            return self.wrong(
                &at("topology").field("files"),
                "drawn calls need at least one file",
            );
        }
        let names = topology.free_names.from;
        if (work.mix.create > 0 || work.mix.move_ > 0) && names == 0 {
            let message = "creating and moving need free names; set topology.free_names";
            return self.wrong(&path.field("mix"), message);
        }
        Ok(())
    }

    fn faults(&self) -> Checked {
        let mut labels = BTreeMap::new();
        for (index, fault) in self.scenario.faults.iter().enumerate() {
            let path = at("faults").item(index);
            if let Some(first) = labels.insert(fault.label(), index) {
                let message = format!(
                    "faults[{index}] is called {:?} as faults[{first}] is; give it a name of its own",
                    fault.label()
                );
                return self.wrong(&path, message);
            }
            let count = (fault.count.from, fault.count.to);
            self.within(&path.field("count"), count, (0, REPEATS_MAX))?;
            let lists: &[&[&str]] = match fault.what.text("kind") {
                Some("store_fails") => &[&COMMANDS],
                _ => &[&EFFECTS],
            };
            self.part(&fault.what.value, &path.field("what"), lists)?;
            self.part(
                &fault.when.value,
                &path.field("when"),
                &[&COMMANDS, &EFFECTS],
            )?;
        }
        Ok(())
    }

    fn scripts(&self) -> Checked {
        let agents: BTreeSet<&str> = self.names.agents.iter().map(String::as_str).collect();
        let mut told = BTreeSet::new();
        for (index, script) in self.scenario.script.iter().enumerate() {
            let path = at("script").item(index);
            let agent = script.agent.as_str();
            if !agents.contains(agent) {
                let list: Vec<&str> = agents.iter().copied().collect();
                let message = format!("{agent:?} is no agent; {}", instead(agent, &list));
                return self.wrong(&path.field("agent"), message);
            }
            if !told.insert(agent) {
                let message = format!("there are two scripts of {agent}; make them one");
                return self.wrong(&path.field("agent"), message);
            }
            let calls = script.calls.iter().flatten().enumerate();
            for (call, loose) in calls {
                self.part(&loose.value, &path.field("calls").item(call), &[])?;
            }
        }
        Ok(())
    }

    /// Checks the names and times in a part of a plan.
    fn part(&self, value: &Value, path: &Path, steps: &[&[&str]]) -> Checked {
        match value {
            Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
                let inner = path.field(name);
                match name.as_str() {
                    "process" => self.known(value, &inner, &self.names.processes, "process"),
                    "path" | "paths" | "documents" => {
                        self.known(value, &inner, &self.names.paths(), "file")
                    }
                    "step" => {
                        let names = steps.concat();
                        let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
                        self.known(value, &inner, &names, "step")
                    }
                    _ => self.part(value, &inner, steps),
                }
            }),
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(index, item)| self.part(item, &path.item(index), steps))
            }
            _ => Ok(()),
        }
    }

    fn known(&self, value: &Value, path: &Path, names: &[String], what: &str) -> Checked {
        match value {
            Value::String(name) if names.contains(name) => Ok(()),
            Value::String(name) if name == ANY && what != "step" => Ok(()),
            Value::String(name) => {
                let list: Vec<&str> = names.iter().map(String::as_str).collect();
                let message = format!("{name:?} is no {what}; {}", instead(name, &list));
                self.wrong(path, message)
            }
            Value::Array(items) => {
                let mut items = items.iter().enumerate();
                items.try_for_each(|(at, item)| self.known(item, &path.item(at), names, what))
            }
            Value::Object(choice) => {
                let mut inner = choice.iter();
                inner
                    .try_for_each(|(name, value)| self.known(value, &path.field(name), names, what))
            }
            _ => Ok(()),
        }
    }

    fn expectation(&self) -> Checked {
        let promises = &self.scenario.promises;
        if promises.is_empty() {
            return self.wrong(&at("promises"), "nothing would be judged; name a promise");
        }
        if let Verdict::Broken(promise) = self.scenario.expect.verdict
            && !promises.contains(&promise)
        {
            let message = format!("{promise} is expected to break but is not among the promises");
            return self.wrong(&at("expect").field("verdict"), message);
        }
        Ok(())
    }
}

fn at(field: &str) -> Path {
    Path::default().field(field)
}
