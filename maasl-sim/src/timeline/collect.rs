//! Collecting a timeline from a run.
//!
//! Owns: which record belongs to which lane. Promises: the plan is run once, as
//! any run of it. Leaves to others: leases (`spans`) and words (`names`).

use std::collections::BTreeMap;

use maasl_core::path::fold;
use maasl_core::resource::ResourceKey;

use super::spans::Spans;
use super::{Band, Instant, Look, Mark, Sign, Step, Timeline};
use crate::names::Names;
use crate::observe::{Ground, Observation, Observer};
use crate::plan::{Action, Fault, FaultKind, Plan, Together};
use crate::record::{Kind, Record};
use crate::trace::Verdict;
use crate::world::World;

impl Timeline {
    /// Runs a plan and takes note of everything.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let mut watcher = Watcher {
            names: Names::without_requests(plan),
            asked: BTreeMap::new(),
            marks: Vec::new(),
        };
        let mut world = World::new(plan, true).observed_by(&mut watcher);
        let mut spans = Spans::default();
        let mut before = 0;
        while world.advance() {
            spans.look(&world, before);
            before = world.records().len();
        }
        let end = Instant {
            step: before,
            ns: world.now_ns(),
        };
        let finished = world.finish();
        spans.close(end);
        let verdict = Verdict::of(&finished);
        let marks = std::mem::take(&mut watcher.marks);
        let mut timeline = Self {
            title: format!("{}, seed {}", plan.scenario, plan.seed),
            verdict: verdict.words(),
            broken: verdict.promise.is_some(),
            processes: plan.processes.iter().map(|one| one.name.clone()).collect(),
            resources: Vec::new(),
            steps: watcher.steps(plan, &finished.kept, &mut spans),
            faults: bands(plan, &finished.kept, end),
            marks: Vec::new(),
            first_error: None,
            grants: spans.grants.clone(),
            beliefs: spans.beliefs.clone(),
            silences: spans.silences.clone(),
        };
        for (key, mark) in marks {
            let resource = spans.resource(&key);
            timeline.marks.push(Mark { resource, ..mark });
        }
        timeline.mark_refusals();
        timeline.resources = spans.resources;
        let last = timeline.steps.len().checked_sub(1);
        timeline.first_error = if timeline.broken {
            last
        } else {
            timeline.first_refusal()
        };
        timeline
    }

    /// The first stale write that was refused, or else the first refusal.
    fn first_refusal(&self) -> Option<usize> {
        let first = |look| self.steps.iter().position(|step| step.look == look);
        first(Look::Stale).or_else(|| first(Look::Refused))
    }

    fn mark_refusals(&mut self) {
        for (at, step) in self.steps.iter().enumerate() {
            let sign = match step.look {
                Look::Stale => Sign::Stale,
                Look::Refused => Sign::Refused,
                _ => continue,
            };
            let marks = step.resources.iter().map(|resource| Mark {
                resource: *resource,
                at: Instant {
                    step: at,
                    ns: step.at_ns,
                },
                sign,
                text: format!("{} {}", step.who, step.what),
            });
            self.marks.extend(marks);
        }
    }
}

/// Takes note of what records do not say.
struct Watcher {
    names: Names,
    /// The resources of each request.
    asked: BTreeMap<u64, Vec<String>>,
    marks: Vec<(String, Mark)>,
}

impl Observer for Watcher {
    fn observe(&mut self, records: u64, seen: &Observation<'_>, ground: &Ground<'_>) {
        self.names.observe(records, seen, ground);
        let mut mark = |key: &str, sign, text: String| {
            let at = Instant {
                step: usize::try_from(records).expect("records that were kept"),
                ns: ground.now_ns,
            };
            let resource = 0;
            let mark = Mark {
                resource,
                at,
                sign,
                text,
            };
            self.marks.push((key.to_owned(), mark));
        };
        match seen {
            Observation::Asked(asked) => {
                let keys = paths(asked.action).into_iter().map(key).collect();
                self.asked.insert(asked.request.0, keys);
            }
            Observation::Swapped { item, back, .. } => {
                let sign = if *back { Sign::Back } else { Sign::Change };
                let back = if *back { " taken back" } else { "" };
                mark(
                    item.key.as_str(),
                    sign,
                    format!("{} {}{back}", item.op, item.path),
                );
            }
            Observation::Outside { path, .. } => {
                let text = format!("{path} changed from outside");
                mark(&key(path), Sign::Outside, text);
            }
            Observation::Rotted { path, .. } => {
                let text = format!("a bit of {path} flipped");
                mark(&key(path), Sign::Outside, text);
            }
            _ => {}
        }
    }
}

impl Watcher {
    fn steps(&self, plan: &Plan, kept: &[Record], spans: &mut Spans) -> Vec<Step> {
        // The request that each call of a process was made for.
        let mut calls: BTreeMap<(u16, u64), u64> = BTreeMap::new();
        let mut steps = Vec::with_capacity(kept.len());
        for record in kept {
            let request = match record.kind {
                Kind::Request => {
                    calls.insert((record.who, record.call), record.detail);
                    Some(record.detail)
                }
                Kind::Turn | Kind::Answer => Some(record.detail),
                Kind::Started => {
                    calls.retain(|(who, _), _| *who != record.who);
                    None
                }
                _ => calls.get(&(record.who, record.call)).copied(),
            };
            let keys = request.and_then(|request| self.asked.get(&request));
            let resources = keys.into_iter().flatten().map(|key| spans.resource(key));
            let entry = record.into();
            steps.push(Step {
                at_ns: record.at_ns,
                process: process_of(plan, record),
                who: self.names.who(&entry).to_owned(),
                what: self.names.what(&entry),
                look: look_of(record),
                resources: resources.collect(),
            });
        }
        steps
    }
}

fn look_of(record: &Record) -> Look {
    match record.kind {
        Kind::Answer if record.label == "ok" => Look::Agent,
        Kind::Answer if ["stale_version", "lease_lost"].contains(&record.label) => Look::Stale,
        Kind::Answer => Look::Refused,
        Kind::Turn | Kind::Request => Look::Agent,
        Kind::Command => Look::Store,
        Kind::Effect if record.detail == u64::MAX => Look::Fault,
        Kind::Effect => Look::Effect,
        Kind::CommandFault | Kind::Fault => Look::Fault,
        Kind::Started | Kind::Died | Kind::Paused | Kind::Timer | Kind::Bell | Kind::Quiet => {
            Look::Life
        }
    }
}

/// The process a record belongs to: for an agent, the one that serves it.
fn process_of(plan: &Plan, record: &Record) -> Option<usize> {
    let who = usize::from(record.who);
    match record.kind {
        Kind::Fault => {
            let fault = plan.faults.get(usize::try_from(record.detail).ok()?)?;
            place(plan, fault.what.process()?)
        }
        Kind::Quiet => None,
        Kind::Answer | Kind::Turn => place(plan, &plan.agents.get(who)?.process),
        _ => Some(who),
    }
}

fn place(plan: &Plan, process: &str) -> Option<usize> {
    plan.processes.iter().position(|one| one.name == process)
}

fn bands(plan: &Plan, kept: &[Record], end: Instant) -> Vec<Band> {
    let struck = kept.iter().enumerate();
    let struck = struck.filter(|(_, record)| record.kind == Kind::Fault);
    let bands = struck.filter_map(|(at, record)| {
        let fault = plan.faults.get(usize::try_from(record.detail).ok()?)?;
        let until_ns = record.at_ns.saturating_add(lasts_ns(fault)).min(end.ns);
        let steps = kept.partition_point(|record| record.at_ns <= until_ns);
        Some(Band {
            name: fault.to_string(),
            process: fault.what.process().and_then(|name| place(plan, name)),
            store: is_of_store(&fault.what),
            from: Instant {
                step: at,
                ns: record.at_ns,
            },
            to: Instant {
                step: steps.max(at + 1),
                ns: until_ns,
            },
        })
    });
    bands.collect()
}

/// How long a fault lasts: every field that says so has one of these names.
fn lasts_ns(fault: &Fault) -> u64 {
    let form = serde_json::to_value(&fault.what).unwrap_or_default();
    let lasts = ["for_ms", "restart_after_ms"];
    let mut lasts = lasts.iter().filter_map(|name| form[*name].as_u64());
    lasts.next().unwrap_or(0).saturating_mul(1_000_000)
}

fn is_of_store(fault: &FaultKind) -> bool {
    matches!(
        fault,
        FaultKind::StoreBusy { .. }
            | FaultKind::StoreSlow { .. }
            | FaultKind::StoreFull { .. }
            | FaultKind::StoreFails { .. }
            | FaultKind::StoreClockStep { .. }
            | FaultKind::StoreRestored { .. }
    )
}

fn key(path: &str) -> String {
    ResourceKey::new("code", &fold(path)).as_str().to_owned()
}

fn paths(action: &Action) -> Vec<&str> {
    match action {
        Action::Read { path }
        | Action::Write { path, .. }
        | Action::Edit { path }
        | Action::Create { path }
        | Action::Delete { path }
        | Action::Restore { path }
        | Action::Docgen { path }
        | Action::Revoke { path } => vec![path],
        Action::Move { path, to, .. } => vec![path, to],
        Action::Refactor { paths }
        | Action::Transact(Together { paths, .. })
        | Action::Reserve { paths, .. } => paths.iter().map(String::as_str).collect(),
        Action::DbWrite { .. }
        | Action::GraphPatch(_)
        | Action::GraphQuery
        | Action::GraphCompact
        | Action::Renew
        | Action::Release
        | Action::Recover => Vec::new(),
    }
}
