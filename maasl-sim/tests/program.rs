//! The commands, run as a program.

use std::path::Path;
use std::process::{Command, Output};

fn program(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maasl-sim"));
    let output = command.current_dir(folder).args(arguments).output();
    output.expect("the program that was just built")
}

/// What it says, where it ends with this exit code.
fn says(folder: &Path, code: i32, arguments: &[&str]) -> String {
    let output = program(folder, arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "{arguments:?}: {said}{complaint}"
    );
    said + &complaint
}

#[test]
fn a_run_is_kept_repeated_compared_cut_down_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = include_str!("plans/contended.toml");
    std::fs::write(folder.join("a.toml"), plan).unwrap();
    let other = plan.replace("think_us = 50\n", "think_us = 90\n");
    std::fs::write(folder.join("b.toml"), other).unwrap();
    says(folder, 0, &["run", "a.toml", "--trace", "a.trace"]);
    says(folder, 0, &["run", "b.toml", "--trace", "b.trace"]);

    let replayed = says(folder, 0, &["replay", "a.trace"]);
    assert!(replayed.contains("all as in the trace"), "{replayed}");
    let state = says(folder, 0, &["replay", "a.trace", "--until", "25"]);
    assert!(
        state.contains("ann through east-1 for code:a.txt"),
        "{state}"
    );

    says(folder, 0, &["diff", "a.trace", "a.trace"]);
    let shrunk = says(
        folder,
        0,
        &["shrink", "a.trace", "--answer", "stale_version"],
    );
    assert!(shrunk.contains("12 events cut down to 2"), "{shrunk}");
    says(folder, 0, &["run", "a.min.toml"]);
    let story = std::fs::read_to_string(folder.join("a.min.toml")).unwrap();
    assert!(
        story.starts_with("# contended, seed 7: some agent is told"),
        "{story}"
    );
    says(folder, 0, &["replay", "a.min.trace"]);
    let differs = says(folder, 1, &["diff", "a.trace", "a.min.trace"]);
    assert!(differs.contains("ann was told"), "{differs}");
    let test = std::fs::read_to_string(folder.join("a.min.rs")).unwrap();
    assert!(test.contains("crate::holds(PLAN)"), "{test}");

    let text = says(
        folder,
        0,
        &["timeline", "a.trace", "-o", "a.html", "--text"],
    );
    assert!(text.contains("store grants code:a.txt to bob"), "{text}");
    let page = std::fs::read_to_string(folder.join("a.html")).unwrap();
    assert!(page.starts_with("<!doctype html>"));
}

#[test]
fn wrong_use_and_wrong_files_have_their_own_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = include_str!("plans/contended.toml");
    std::fs::write(folder.join("a.toml"), plan).unwrap();
    let said = says(folder, 65, &["replay", "a.toml"]);
    assert!(said.contains("a.toml: this is no trace"), "{said}");
    let said = says(folder, 64, &["shrink", "a.toml"]);
    assert!(said.contains("nothing to cut down"), "{said}");
    says(folder, 64, &["timeline", "a.trace"]);
    says(folder, 65, &["timeline", "a.trace", "--text"]);
    says(folder, 0, &["run", "a.toml", "--trace", "a.trace"]);
    let mut bytes = std::fs::read(folder.join("a.trace")).unwrap();
    bytes.truncate(bytes.len() - 1);
    std::fs::write(folder.join("a.trace"), bytes).unwrap();
    let said = says(folder, 65, &["replay", "a.trace"]);
    assert!(said.contains("the trace ends inside the verdict"), "{said}");
}

#[test]
fn a_run_that_does_not_come_to_its_end_is_undecided() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let plan = include_str!("plans/contended.toml");
    let cut_off = |line: &str| match line.split_once(" = ") {
        Some(("events_max", _)) => "events_max = 20\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let plan: String = plan.lines().map(cut_off).collect();
    std::fs::write(folder.join("a.toml"), plan).unwrap();
    let said = says(folder, 2, &["run", "a.toml", "--trace", "a.trace"]);
    assert!(said.contains("undecided: time was up"), "{said}");
    says(folder, 2, &["replay", "a.trace"]);
    let said = says(folder, 64, &["shrink", "a.toml"]);
    assert!(!said.contains("all promises hold"), "{said}");
    let said = says(folder, 1, &["campaign", "a.toml", "--seeds", "0..1"]);
    assert!(said.contains("`maasl-sim run a.toml`"), "{said}");
}
