//! The program itself: what it is started as by itself, a short run of the long
//! kind, and wrong usage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::process::{Command, Stdio};

fn section(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maasl-torture"));
    command.arg("section").arg(folder).arg("here");
    command
}

#[test]
fn whoever_is_not_alone_in_a_section_says_so() {
    let folder = std::env::temp_dir().join(format!("maasl-section-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    assert_eq!(section(&folder).status().unwrap().code(), Some(0));
    std::fs::write(folder.join("here"), "").unwrap();
    assert_eq!(section(&folder).status().unwrap().code(), Some(77));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_run_without_a_program_is_wrong_usage() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maasl-torture"));
    let status = command.stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(2));
}

/// A run of some hundred calls, in a folder of its own; what it said, and how it
/// ended.
fn endure(name: &str, more: &[&str]) -> (String, Option<i32>) {
    let program = Path::new(env!("CARGO_BIN_EXE_maasl-torture")).with_file_name("maasl");
    assert!(program.exists(), "maasl is built with the workspace");
    let folder = std::env::temp_dir().join(format!("maasl-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let samples = folder.join("samples.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_maasl-torture"))
        .args(["endure", "--agents", "2", "--points", "8", "--rounds", "2"])
        .arg("--program")
        .arg(program)
        .arg("--samples")
        .arg(&samples)
        .arg("--keep")
        .arg(folder.join("work"))
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let noted = std::fs::read_to_string(&samples).unwrap_or_default();
    let samples = noted
        .lines()
        .filter(|line| line.contains("\"kind\":\"sample\""));
    assert_eq!(
        samples.count(),
        9,
        "one for each part, and one at rest: {said}"
    );
    std::fs::remove_dir_all(folder).unwrap();
    (said, output.status.code())
}

#[test]
fn a_short_run_measures_everything_and_breaks_no_limit() {
    // Two rounds say nothing of latency: the ratio is shown, and not asserted.
    let (said, _) = endure("endure", &["--operations", "600", "--max-versions", "3"]);
    for figure in [
        "memory_kib/most of a server",
        "descriptors/most of a server",
        "bytes/.maasl/objects",
        "rows/maasl.db version",
        "limited/versions of one file",
        "latency, median",
    ] {
        assert!(said.contains(figure), "{figure}: {said}");
    }
    let broken: Vec<&str> = said
        .lines()
        .filter(|line| line.starts_with("BROKEN"))
        .collect();
    let of_latency = |line: &&str| line.starts_with("BROKEN: latency");
    assert!(broken.iter().all(of_latency), "{broken:?}");
}
