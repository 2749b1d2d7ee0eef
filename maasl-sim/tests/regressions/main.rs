//! Failures that were found once and must not come back.
//!
//! Owns: running the plans of this folder, one file for each, as `maasl-sim
//! shrink` writes them. Promises: no file of the folder is left out. Leaves to
//! others: what each plan shows (the file itself).

mod stale_write;

use maasl_sim::plan::Plan;
use maasl_sim::world::World;

/// Runs the plan and expects its promises to hold.
fn holds(plan_text: &str) {
    let plan: Plan = toml::from_str(plan_text).expect("a plan of this form");
    plan.validate().expect("a plan that can be run");
    let finished = World::new(&plan, false).run();
    if let Some(breach) = finished.breach {
        panic!("{breach}");
    }
    assert!(finished.ended, "time was up before all was decided");
}

#[test]
fn every_file_of_the_folder_is_run() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions");
    let listed = include_str!("main.rs");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let known = name == "main" || listed.contains(&format!("\nmod {name};\n"));
        assert!(known, "{name} is not listed in main.rs");
    }
}
