//! Drawing a plan from a scenario.
//!
//! Owns: every choice between a scenario and its plan. Promises: the same
//! scenario and seed give the same plan; each choice has a stream named after
//! what it is for, so taking a fault, a call or an agent out leaves all others as
//! they were. Leaves to others: running the plan (`world`).

pub(crate) mod names;
mod value;
mod workload;

pub(crate) use self::workload::{manner_weights, mix_weights};

use self::names::Names;
use self::value::draw_value;
use crate::plan::{Agent, File, PLAN_VERSION, Plan, Process, Timing};
use crate::rng::Stream;
use crate::scenario::{Fault, Number, Range, Scenario};

/// Entries of a table of times. A table takes the place of draws while the plan
/// runs; it is long enough for two messages in a row to differ.
const TABLE: usize = 64;

/// The plan of a scenario under a seed.
#[must_use]
pub fn plan(scenario: &Scenario, seed: u64) -> Plan {
    let names = Names::draw(&scenario.topology, seed);
    Plan {
        plan_version: PLAN_VERSION,
        scenario: scenario.name.clone(),
        seed,
        quiet_from_ms: quiet_from_ms(scenario, seed),
        settle_ms: scenario.workload.settle_ms,
        events_max: scenario.workload.events_max,
        promises: scenario.promises.clone(),
        settings: scenario.settings.clone(),
        timing: timing(scenario, seed),
        files: files(&names),
        processes: processes(scenario, &names, seed),
        agents: agents(scenario, &names, seed),
        faults: faults(scenario, &names, seed),
    }
}

fn quiet_from_ms(scenario: &Scenario, seed: u64) -> u64 {
    one(scenario.workload.quiet_from_ms, seed, "quiet_from_ms")
}

/// A number that has a stream for itself.
fn one<N: Number>(range: Range<N>, seed: u64, name: &str) -> N {
    range.draw(&mut Stream::of(seed, &["one", name]))
}

fn timing(scenario: &Scenario, seed: u64) -> Timing {
    let timing = &scenario.timing;
    let table = |range: Range<u64>, name: &str| {
        let mut stream = Stream::of(seed, &["timing", name]);
        let length = if range.from == range.to { 1 } else { TABLE };
        (0..length).map(|_| range.draw(&mut stream)).collect()
    };
    Timing {
        client_us: table(timing.client_us, "client_us"),
        store_us: table(timing.store_us, "store_us"),
        transaction_us: table(timing.transaction_us, "transaction_us"),
        effect_us: table(timing.effect_us, "effect_us"),
        sync_us: table(timing.sync_us, "sync_us"),
        bell_us: table(timing.bell_us, "bell_us"),
        remote_store: timing.remote_store,
        store_timeout_ms: one(timing.store_timeout_ms, seed, "store_timeout_ms"),
    }
}

/// Every file has a line for every agent, with a line between that nobody
/// changes, so that changes of different agents merge.
fn files(names: &Names) -> Vec<File> {
    let lines: Vec<String> = names
        .agents
        .iter()
        .map(|agent| format!("{agent} 0\n"))
        .collect();
    let content = lines.join("-\n");
    let paths = names.files.iter();
    let files = paths.map(|path| File {
        path: path.clone(),
        content: content.clone(),
    });
    files.collect()
}

fn processes(scenario: &Scenario, names: &Names, seed: u64) -> Vec<Process> {
    let topology = &scenario.topology;
    let processes = names.processes.iter().map(|name| {
        let mut clock = Stream::of(seed, &["clock", name]);
        Process {
            name: name.clone(),
            clock_ahead_us: topology.clock_ahead_us.draw(&mut clock),
            drift_ppm: topology.drift_ppm.draw(&mut clock),
            start_at_ms: topology
                .start_at_ms
                .draw(&mut Stream::of(seed, &["start", name])),
        }
    });
    processes.collect()
}

fn agents(scenario: &Scenario, names: &Names, seed: u64) -> Vec<Agent> {
    let quiet_ms = quiet_from_ms(scenario, seed);
    let agents = names.agents.iter().map(|name| {
        let script = scenario.script.iter().find(|script| script.agent == *name);
        let manner = script.and_then(|script| script.manner);
        let calls = script.and_then(|script| script.calls.as_ref());
        let mut calls = match calls {
            Some(calls) => workload::told(calls, names, seed, name),
            None => workload::drawn(scenario, names, seed, name),
        };
        calls.extend(workload::in_quiet(scenario, names, (seed, quiet_ms), name));
        Agent {
            name: name.clone(),
            process: Names::process_of(name).into(),
            manner: manner.unwrap_or_else(|| workload::manner(scenario, seed, name)),
            calls,
        }
    });
    agents.collect()
}

fn faults(scenario: &Scenario, names: &Names, seed: u64) -> Vec<crate::plan::Fault> {
    let copies = scenario.faults.iter().flat_map(|fault| {
        let label = fault.label();
        let mut there = Stream::of(seed, &["fault", label]);
        let is_there = fault.probability_permille.draw(&mut there);
        let count = fault.count.draw(&mut there);
        let count = if is_there { count } else { 0 };
        (0..count).map(move |copy| draw_fault(fault, names, seed, copy))
    });
    copies.collect()
}

fn draw_fault(fault: &Fault, names: &Names, seed: u64, copy: u32) -> crate::plan::Fault {
    let copy = copy.to_string();
    let name = ["fault", fault.label(), &copy];
    crate::plan::Fault {
        when: draw_value(&fault.when, names, seed, &name),
        what: draw_value(&fault.what, names, seed, &name),
    }
}
