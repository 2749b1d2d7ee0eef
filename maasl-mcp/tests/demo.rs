//! `maasl demo`, the main job in one command: short, but with real servers.

use std::process::Command;

use serde_json::Value;

#[test]
fn the_demo_loses_nothing_and_leaves_nothing() {
    let here = tempfile::tempdir().unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_maasl"))
        .arg("--root")
        .arg(here.path())
        .args(["demo", "--agents", "3", "--seconds", "4", "--json"])
        .env("TMPDIR", scratch.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{output:?}");
    let verdict: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(verdict["ok"], true);
    let total = &verdict["guarded"]["total"];
    assert!(total["acknowledged"].as_u64() > Some(0), "{total}");
    assert_eq!(total["lost"], 0);
    assert!(verdict["faults"]["killed"].as_u64() > Some(0));
    assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}
