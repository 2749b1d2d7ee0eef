//! `maasl-sim check` on histories of real runs, whole and broken.
//!
//! Owns: the exit codes of the command, and that the simulator's own histories
//! hold. Leaves to others: what breaks which promise (`history::judge`).

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PLAN: &str = r#"
plan_version = 1
scenario = "two agents count in one file"
seed = 1
quiet_from_ms = 500
settle_ms = 60000
events_max = 1000000
promises = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8"]

[timing]
client_us = [50, 80]
store_us = [0]
transaction_us = [30, 60]
effect_us = [5, 20]
sync_us = [200]
bell_us = [20]

[[files]]
path = "a"
content = "ann 0\n-\nbob 0\n"

[[processes]]
name = "p"

[[processes]]
name = "q"

[[agents]]
name = "ann"
process = "p"
calls = [
    { action = { do = "edit", path = "a" } },
    { action = { do = "edit", path = "a" }, keyed = true },
    { action = { do = "write", path = "a" } },
]

[[agents]]
name = "bob"
process = "q"
calls = [
    { action = { do = "write", path = "a" } },
    { action = { do = "edit", path = "a" }, keyed = true },
    { action = { do = "edit", path = "a" } },
]

[[faults]]
when = { process = "q", step = "swap", nth = 1, side = "after" }
what = { kind = "kill", process = "q", restart_after_ms = 5 }
"#;

fn sim(arguments: &[&Path]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maasl-sim"));
    let output = command
        .args(arguments)
        .output()
        .expect("the program was built");
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8(told).expect("it prints text");
    (output.status.code().expect("nobody killed it"), told)
}

fn recorded(folder: &TempDir) -> (PathBuf, String) {
    let (plan, history) = (folder.path().join("plan"), folder.path().join("history"));
    std::fs::write(&plan, PLAN).expect("a folder of our own");
    let (code, told) = sim(&["run".as_ref(), &plan, "--history".as_ref(), &history]);
    assert_eq!(code, 0, "{told}");
    let text = std::fs::read_to_string(&history).expect("it was written");
    (history, text)
}

fn check(file: &Path) -> (i32, String) {
    sim(&["check".as_ref(), file])
}

#[test]
fn a_run_without_a_breach_leaves_a_history_without_one() {
    let folder = TempDir::new().unwrap();
    let (file, text) = recorded(&folder);
    let (code, told) = check(&file);
    assert_eq!(code, 0, "{told}");
    for event in ["invoke", "ok", "grant", "end", "started", "killed"] {
        assert!(text.contains(&format!("\"event\":\"{event}\"")), "{event}");
    }
}

#[test]
fn files_of_several_writers_are_one_history_and_may_end_in_half_a_line() {
    let folder = TempDir::new().unwrap();
    let (file, text) = recorded(&folder);
    let of_p = |line: &&str| line.contains("\"process\":\"p\"");
    let (p, others): (Vec<&str>, Vec<&str>) = text.lines().partition(of_p);
    let second = folder.path().join("second");
    let first = text.lines().next().unwrap();
    let of_p = [&[first], &p[..]].concat().join("\n");
    std::fs::write(&file, of_p + "\n{\"at_ns\":77,\"ev").unwrap();
    std::fs::write(&second, others.join("\n")).unwrap();
    let (code, told) = sim(&["check".as_ref(), &file, &second]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn a_lost_update_is_found() {
    let folder = TempDir::new().unwrap();
    let (file, text) = recorded(&folder);
    let changing: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\"base\""))
        .collect();
    let answered: Vec<&&str> = changing
        .iter()
        .filter(|line| line.contains("\"event\":\"ok\""))
        .collect();
    let base = |line: &str| {
        let at = line.find("\"base\":\"").unwrap() + 8;
        line[at..at + 64].to_owned()
    };
    let (first, last) = (base(answered[0]), base(answered[answered.len() - 1]));
    assert_ne!(first, last);
    let last_line = answered[answered.len() - 1];
    let broken = text.replace(*last_line, &last_line.replace(&last, &first));
    std::fs::write(&file, broken).unwrap();
    let (code, told) = check(&file);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("lost-write"), "{told}");
}

#[test]
fn a_token_twice_is_found() {
    let folder = TempDir::new().unwrap();
    let (file, text) = recorded(&folder);
    let grant = text
        .lines()
        .find(|line| line.contains("\"grant\""))
        .unwrap();
    let at = grant.find("\"lease\":\"").unwrap() + 9;
    let another = format!("{}{}{}", &grant[..at], "0".repeat(64), &grant[at + 64..]);
    std::fs::write(&file, format!("{text}{another}\n")).unwrap();
    let (code, told) = check(&file);
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("token-twice"), "{told}");
}

#[test]
fn a_budget_that_runs_out_is_undecided_and_no_history_is_wrong_use() {
    let folder = TempDir::new().unwrap();
    let (file, text) = recorded(&folder);
    let budget: [&Path; 4] = ["check".as_ref(), &file, "--budget".as_ref(), "1".as_ref()];
    let (code, told) = sim(&budget);
    assert_eq!(code, 2, "{told}");
    std::fs::write(&file, format!("not an event\n{text}")).unwrap();
    let (code, told) = check(&file);
    assert_eq!(code, 65, "{told}");
    assert!(told.contains("line 1"), "{told}");
}

#[test]
fn what_does_not_begin_as_a_history_is_not_judged() {
    let folder = TempDir::new().unwrap();
    let (file, text) = recorded(&folder);
    let (first, rest) = text.split_once('\n').unwrap();
    for wrong in ["", rest] {
        std::fs::write(&file, wrong).unwrap();
        let (code, told) = check(&file);
        assert_eq!(code, 65, "{told}");
    }
    std::fs::write(&file, format!("{first}\n")).unwrap();
    let (code, told) = check(&file);
    assert_eq!(code, 2, "nothing happened: {told}");
}
