//! Every kind of fault acts.
//!
//! Owns: that a run with a fault differs from the run without it, beyond the
//! record of the fault itself. Leaves to others: whether what it does is right.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::collections::BTreeSet;

use maasl_sim::draw;
use maasl_sim::plan::Plan;
use maasl_sim::record::{Kind, Record};
use maasl_sim::scenario::{self, Scenario};
use maasl_sim::world::World;

const SEEDS: u64 = 20;

/// Two processes that want the same things, with a store that is reached by
/// messages if `remote`.
fn base(remote: bool) -> String {
    format!(
        r#"
schema_version = 1
name = "ablation"
story = "A fault, or none."

[topology]
processes = 2
agents_per_process = 2
files = 2
start_at_ms = {{ from = 0, to = 1_500 }}

[workload]
quiet_from_ms = 10_000
calls_per_agent = 8
think_us = {{ from = 0, to = 150_000 }}
under_lease_permille = 300
batch_permille = 500
patience_ms = 2_000
mix = {{ read = 2, write = 3, edit = 4, refactor = 1, reserve = 2, renew = 2, release = 1 }}
reservations = {{ keep_permille = 500 }}

[settings]
lease_ttl_ms = 1_500

[timing]
remote_store = {remote}
"#
    )
}

/// Each kind of fault, and where messages are meant each route.
const FAULTS: [&str; 33] = [
    r#"kind = "kill", process = "p0", restart_after_ms = 300"#,
    r#"kind = "power_cut", commits_kept = 1, names_kept = 5, bytes_kept = 3, restart_after_ms = 90"#,
    r#"kind = "pause", process = "p0", for_ms = 2_000"#,
    r#"kind = "suspend", for_ms = 2_000"#,
    r#"kind = "clock_step", process = "p0", by_ms = 5_000"#,
    r#"kind = "clock_drift", process = "p0", ppm = 400_000"#,
    r#"kind = "clock_freeze", process = "p0", for_ms = 4_000"#,
    r#"kind = "store_clock_step", by_ms = 5_000"#,
    r#"kind = "wall_clock_step", by_ms = 600_000"#,
    r#"kind = "delay", process = "p0", route = "request", nth = 1, by_ms = 700"#,
    r#"kind = "drop", process = "p0", route = "request", nth = 1"#,
    r#"kind = "drop", process = "p0", route = "response", nth = 1"#,
    r#"kind = "drop", process = "any", route = "bell", nth = 1"#,
    r#"kind = "duplicate", process = "p0", route = "request", nth = 1, after_ms = 40"#,
    r#"kind = "partition", process = "p0", route = "response", for_ms = 900"#,
    r#"kind = "hold", process = "p0", route = "request", for_ms = 900"#,
    r#"kind = "store_busy", for_ms = 800"#,
    r#"kind = "store_slow", by_us = 40_000, for_ms = 800"#,
    r#"kind = "store_fails", process = "p0", step = "acquire", nth = 1, executed = false"#,
    r#"kind = "store_fails", process = "p0", step = "acquire", nth = 1, executed = true"#,
    r#"kind = "store_full", for_ms = 800"#,
    r#"kind = "effect_fails", process = "p0", step = "sync_names", nth = 1, executed = false"#,
    r#"kind = "effect_fails", process = "p0", step = "stage", nth = 1, executed = true"#,
    r#"kind = "disk_full", for_ms = 800"#,
    r#"kind = "forbidden", path = "d0", for_ms = 800"#,
    r#"kind = "short_write", process = "p0", nth = 1, bytes = 3"#,
    r#"kind = "bit_flip", path = "d0/f0.txt", bit = 9"#,
    r#"kind = "outside_write", path = "d0/f0.txt", content = "by hand""#,
    r#"kind = "outside_delete", path = "d0/f0.txt""#,
    r#"kind = "store_restored", commits_back = 9, with_floor = true"#,
    // The last three need a store of its own.
    r#"kind = "delay", process = "p0", route = "command", nth = 1, by_ms = 700"#,
    r#"kind = "drop", process = "p0", route = "outcome", nth = 1"#,
    r#"kind = "duplicate", process = "p0", route = "command", nth = 1, after_ms = 40"#,
];

/// Faults from here on strike messages to and from a store of its own.
const REMOTE_FROM: usize = 30;

fn read(text: &str) -> Scenario {
    scenario::parse("ablation", text).unwrap_or_else(|error| panic!("{error}"))
}

/// What happened, but for the note that a fault struck.
fn happened(plan: &Plan) -> Vec<Record> {
    let mut kept = World::new(plan, true).run().kept;
    kept.retain(|record| record.kind != Kind::Fault);
    kept
}

#[test]
fn every_kind_of_fault_changes_what_happens() {
    for (index, fault) in FAULTS.iter().enumerate() {
        let base = base(index >= REMOTE_FROM);
        let without = read(&base);
        let when = "when = { at_ms = { from = 30, to = 400 } }";
        let with = read(&format!(
            "{base}\n[[faults]]\n{when}\nwhat = {{ {fault} }}\n"
        ));
        let differs = (0..SEEDS).any(|seed| {
            let (with, without) = (draw::plan(&with, seed), draw::plan(&without, seed));
            assert_eq!(with.faults.len(), 1);
            let mut ablated = with.clone();
            ablated.faults.clear();
            assert_eq!(ablated, without, "a fault moved other draws");
            happened(&with) != happened(&without)
        });
        assert!(differs, "{fault} changes nothing");
    }
}

#[test]
fn no_kind_of_fault_is_left_out() {
    let schema = scenario::schema();
    let kinds = schema["$defs"]["Loose_FaultKind"]["oneOf"]
        .as_array()
        .unwrap();
    let kinds = kinds
        .iter()
        .map(|one| one["properties"]["kind"]["const"].as_str().unwrap());
    let tried: BTreeSet<&str> = FAULTS
        .iter()
        .map(|fault| fault.split('"').nth(1).unwrap())
        .collect();
    assert_eq!(tried, kinds.collect());
}

/// What a power cut leaves of content that was not synced decides how a commit ends
/// whose file was not swapped yet.
#[test]
fn how_much_of_a_content_survives_changes_what_happens() {
    let fault = |bytes: u32| {
        format!(
            "{}\n[[faults]]\n\
             when = {{ process = \"p0\", step = \"begin_commit\", nth = 2, side = \"after\" }}\n\
             what = {{ kind = \"power_cut\", commits_kept = 9, names_kept = 9223372036854775807, \
             bytes_kept = {bytes}, restart_after_ms = 90 }}\n",
            base(false)
        )
    };
    let [nothing, all] = [0, 4_000_000].map(|bytes| read(&fault(bytes)));
    let differs = (0..SEEDS)
        .any(|seed| happened(&draw::plan(&nothing, seed)) != happened(&draw::plan(&all, seed)));
    assert!(differs, "content is never lost");
}

/// A fault at a named step strikes on each of its sides.
#[test]
fn a_fault_at_a_step_changes_what_happens() {
    for side in ["before", "inside", "after"] {
        let base = base(false);
        let when = format!(
            r#"when = {{ process = "p0", step = "begin_commit", nth = 2, side = "{side}" }}"#
        );
        let what = r#"what = { kind = "pause", process = "p0", for_ms = 3_000 }"#;
        let with = read(&format!("{base}\n[[faults]]\n{when}\n{what}\n"));
        let without = read(&base);
        let differs = (0..SEEDS).any(|seed| {
            happened(&draw::plan(&with, seed)) != happened(&draw::plan(&without, seed))
        });
        assert!(differs, "nothing happens {side} the step");
    }
}

/// Taking one fault out leaves the draws of the others as they were.
#[test]
fn faults_are_drawn_apart() {
    let text = |faults: &[&str]| {
        let faults = faults.iter().map(|name| {
            format!(
                "[[faults]]\nname = {name:?}\ncount = {{ from = 1, to = 4 }}\n\
                 when = {{ at_ms = {{ from = 0, to = 9_000 }} }}\n\
                 what = {{ kind = \"pause\", process = \"any\", for_ms = {{ from = 1, to = 900 }} }}\n"
            )
        });
        format!("{}\n{}", base(false), faults.collect::<String>())
    };
    let all = read(&text(&["one", "two", "three"]));
    let fewer = read(&text(&["three", "one"]));
    for seed in 0..SEEDS {
        let all = draw::plan(&all, seed).faults;
        let fewer = draw::plan(&fewer, seed).faults;
        assert!(all.len() > fewer.len());
        assert!(fewer.iter().all(|fault| all.contains(fault)));
    }
}
