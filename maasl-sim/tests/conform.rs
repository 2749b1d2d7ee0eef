//! The simulated node and real servers are asked the same.
//!
//! Owns: that they answer alike in every scenario, and the list of what cannot be
//! compared. Leaves to others: asking and comparing (`maasl_sim::conform`).

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use maasl_sim::conform::{self, Compared};
use maasl_sim::draw;
use maasl_sim::plan::Plan;
use maasl_sim::scenario;

/// The real program, which a build of the workspace puts beside this one's.
fn program() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_maasl-sim")).with_file_name("maasl");
    assert!(
        program.is_file(),
        "{} is not there: build the whole workspace",
        program.display()
    );
    program
}

fn scenarios() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "toml")
    });
    paths.sort();
    paths
}

fn plan_of(path: &Path, seed: u64) -> Plan {
    let text = std::fs::read_to_string(path).unwrap();
    let scenario = scenario::parse(&path.display().to_string(), &text).unwrap();
    draw::plan(&scenario, seed)
}

fn compared(plan: &Plan) -> Result<Compared, String> {
    let compared = conform::conform(&conform::one_by_one(plan), &program());
    let compared = compared.map_err(|error| error.to_string())?;
    match compared.difference {
        Some(difference) => Err(difference.to_string()),
        None => Ok(compared),
    }
}

/// What of which scenario real servers cannot be made to do, in any of the seeds
/// that are looked at. Of these scenarios only the calls are compared.
const CALLS_ONLY: &str = "
bit-flip: bit_flip, bit_flip inside of a call
boot-change: power_cut, power_cut inside of a call
break-glass: pause, pause inside of a call
clock-jumps-under-holder: clock_step, clock_step inside of a call, pause inside of a call
commit-comes-back: kill inside of a call, power_cut, power_cut inside of a call
db-five-agents: drop, pause, power_cut
db-writer-killed: kill inside of a call
db-writer-paused: pause inside of a call
delayed-packet: delay
disk-full: disk_full
docgen-five-agents: disk_full, drop, pause, power_cut
docgen-race: drop
docgen-source-moves: outside_write inside of a call
docgen-writer-killed: kill inside of a call, pause inside of a call
drift-just-inside: clock_drift, pause inside of a call
drift-just-outside: clock_drift, pause inside of a call
duplicate-storm: duplicate
five-agents: drop, pause
forbidden-folder: forbidden
frozen-clock: clock_freeze, clock_freeze inside of a call, pause inside of a call
grantor-clock-jumps: store_clock_step, store_clock_step inside of a call
graph-edge-before-node: kill inside of a call
graph-five-agents: drop, pause, power_cut
graph-patches-cross: drop, duplicate, pause inside of a call, wall_clock_step
held-messages: hold
housekeeping: kill inside of a call, pause inside of a call, store_fails
lock-delay: kill inside of a call
lost-reply: drop
moved-back: kill inside of a call, pause inside of a call
old-store-and-floor-put-back: store_restored
old-store-put-back: store_restored
one-way-partition: partition
outside-editor: outside_write inside of a call
pause-after-check: pause inside of a call
paused-inside-gate: pause inside of a call
paused-inside-latch: pause inside of a call
paused-while-renewing: pause inside of a call
power-cut: power_cut, power_cut inside of a call
refactor-killed: kill inside of a call
slow-store: store_slow
store-busy: store_busy
store-fails: store_fails
store-full: store_full
suspended-laptop: suspend, suspend inside of a call
swarm: clock_drift, clock_freeze, clock_step, delay, disk_full, drop, duplicate, effect_fails, hold, partition, pause, power_cut, store_busy, store_clock_step, store_full, store_slow, suspend, wall_clock_step
sync-fails: effect_fails
torn-write: short_write
transaction-database-fails: effect_fails
transaction-graph-power-cut: power_cut inside of a call
transaction-killed: kill inside of a call
transaction-of-everything: kill inside of a call
transaction-outlives-lease: pause inside of a call
transaction-outside-editor: kill inside of a call, outside_write inside of a call
transaction-power-cut: power_cut inside of a call
transaction-repeated: drop, kill inside of a call
wall-clock-set: wall_clock_step
";

/// Seeds in which faults are looked for.
const SEEDS: u64 = 20;

/// The kinds of faults of a scenario that are in the way.
fn in_the_way(path: &Path) -> BTreeSet<String> {
    let plans = (0..SEEDS).map(|seed| plan_of(path, seed));
    let obstacles = plans.flat_map(|plan| conform::obstacles(&plan));
    let named = obstacles.map(|one| match one.step {
        Some(_) => format!("{} inside of a call", one.kind),
        None => one.kind,
    });
    named.collect()
}

/// Whether the list above has no fault of it.
fn is_whole(path: &Path) -> bool {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let mut listed = CALLS_ONLY.lines().filter_map(|line| line.split(':').next());
    listed.all(|one| one != name)
}

/// Compares plans; what was told to how many calls of which tool.
fn all_conform(plans: impl Iterator<Item = Plan>) -> BTreeMap<(String, String), u64> {
    let mut wrong = Vec::new();
    let mut told = BTreeMap::new();
    for plan in plans {
        match compared(&plan) {
            Ok(compared) => {
                for (what, times) in compared.told {
                    *told.entry(what).or_default() += times;
                }
            }
            Err(message) => wrong.push(format!("{} seed {}: {message}", plan.scenario, plan.seed)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    told
}

#[test]
fn the_scenarios_that_do_not_conform_as_a_whole_are_known() {
    let found = scenarios().into_iter().filter_map(|path| {
        let kinds = Vec::from_iter(in_the_way(&path)).join(", ");
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (!kinds.is_empty()).then(|| format!("{name}: {kinds}\n"))
    });
    assert_eq!(found.collect::<String>(), CALLS_ONLY.trim_start());
}

#[test]
fn scenarios_without_impossible_faults_conform() {
    let whole = scenarios().into_iter().filter(|path| is_whole(path));
    let told = all_conform(whole.flat_map(|path| [0, 1].map(|seed| plan_of(&path, seed))));
    let calls: u64 = told.values().sum();
    assert!(calls > 1_000, "only {calls} calls: {told:?}");
}

#[test]
fn the_calls_of_all_other_scenarios_conform() {
    let others = scenarios().into_iter().filter(|path| !is_whole(path));
    let told = all_conform(others.map(|path| plan_of(&path, 0)));
    let tools: BTreeSet<&str> = told.keys().map(|(tool, _)| tool.as_str()).collect();
    let missing: Vec<&str> = TOOLS
        .into_iter()
        .filter(|one| !tools.contains(one))
        .collect();
    assert!(
        missing.is_empty(),
        "nothing asked for {missing:?}: {told:?}"
    );
    let codes: BTreeSet<&str> = told.keys().map(|(_, how)| how.as_str()).collect();
    let missing: Vec<&str> = CODES
        .into_iter()
        .filter(|one| !codes.contains(one))
        .collect();
    assert!(missing.is_empty(), "nothing answered {missing:?}: {told:?}");
}

/// What must have been asked of, so that the comparison says something.
const TOOLS: [&str; 17] = [
    "read_file",
    "write_file",
    "edit_file",
    "refactor_file",
    "move_file",
    "delete_file",
    "file_restore",
    "db_write",
    "transaction",
    "docgen_file",
    "graph_patch",
    "graph_query",
    "lease_acquire",
    "lease_renew",
    "lease_release",
    "revoke",
    "graph",
];

/// What must have been answered.
const CODES: [&str; 5] = [
    "ok",
    "resource_busy",
    "stale_version",
    "lease_lost",
    "invalid_request",
];

/// A server one field of whose answers is wrong.
fn wrong_program(folder: &Path) -> PathBuf {
    let wrong = folder.join("maasl");
    let script = format!(
        "#!/bin/sh\n'{}' \"$@\" | sed -u 's/\"replacements\":1/\"replacements\":2/g'\n",
        program().display()
    );
    std::fs::write(&wrong, script).unwrap();
    std::fs::set_permissions(&wrong, std::fs::Permissions::from_mode(0o755)).unwrap();
    wrong
}

fn said_of(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maasl-sim"));
    let output = command
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"))
        .arg("conform")
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code(), said)
}

#[test]
fn a_server_that_does_not_conform_in_one_field_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = wrong_program(folder.path());
    let wrong = wrong.to_str().unwrap();
    let (code, said) = said_of(&["reference.toml", "--program", wrong]);
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "edit_file",
        "\"replacements\":1",
        "\"replacements\":2",
        "repeat: maasl-sim conform reference.toml --seed 0",
    ] {
        assert!(said.contains(part), "no {part} in {said}");
    }
}

#[test]
fn a_scenario_that_cannot_conform_as_a_whole_is_refused_with_the_reasons() {
    let (code, said) = said_of(&["power-cut.toml"]);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("faults[0]: power_cut"), "{said}");
    assert!(said.contains("--calls-only"), "{said}");
    let (code, said) = said_of(&["power-cut.toml", "--calls-only"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("calls answered alike"), "{said}");
}
