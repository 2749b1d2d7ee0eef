//! The program itself: what it is started as by itself, and wrong usage.

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
