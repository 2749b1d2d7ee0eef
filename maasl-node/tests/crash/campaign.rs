//! One script from its recording to the verdict.
//!
//! Owns: the folders in which states are built, and what is kept of one that is
//! wrong. Promises: every state is judged, also after one that is wrong. Leaves to
//! others: what is right (`judge`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tempfile::TempDir;

use super::child::program;
use super::cuts::{self, Cuts, Progress, State};
use super::disk::{Disk, Op};
use super::judge::{self, Seen, Told};
use super::recording::Recording;
use super::script::{self, Script};
use super::strace;

/// How many wrong states are kept.
const KEPT_MAX: usize = 3;

/// How many states there are to one that is opened a second time.
const TWICE_EVERY: usize = 4;

const STATE: &str = "MAASL_CRASH_STATE";

/// A recorded script.
pub(crate) struct Recorded {
    pub(crate) script: Script,
    pub(crate) disk: Disk,
    pub(crate) told: Told,
}

/// What became of the states of a recording.
pub(crate) struct Verdict {
    pub(crate) wrong: Vec<String>,
    pub(crate) worlds: Vec<usize>,
    pub(crate) displaced_gone: usize,
}

/// Records a script, judges all its states, and expects at least so many, none of
/// them wrong, and each world to be among what they come to.
pub(crate) fn survives(name: &str, states_min: usize) {
    let since = Instant::now();
    let recorded = record(name);
    let cuts = cuts::enumerate(&recorded.disk, cuts::bound());
    let verdict = judge_all(&recorded, &cuts);
    tell(name, &recorded, &cuts, &verdict, since);
    assert!(
        verdict.wrong.is_empty(),
        "{} of {} states are wrong; {}",
        verdict.wrong.len(),
        cuts.states.len(),
        verdict.wrong[0]
    );
    assert!(
        cuts.states.len() >= states_min,
        "only {} states",
        cuts.states.len()
    );
    assert!(
        verdict.worlds.iter().all(|count| *count > 0),
        "a world that nothing led to: {:?}",
        verdict.worlds
    );
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what this test is asked for"
)]
fn tell(name: &str, recorded: &Recorded, cuts: &Cuts, verdict: &Verdict, since: Instant) {
    println!(
        "{name}: {} operations, {} cuts ({} with all sets), {} sets tried, {} states, worlds {:?}, \
         {} displaced contents gone, {} wrong, {:.1} s",
        recorded.disk.ops.len(),
        cuts.instants,
        cuts.exhausted,
        cuts.tried,
        cuts.states.len(),
        verdict.worlds,
        verdict.displaced_gone,
        verdict.wrong.len(),
        since.elapsed().as_secs_f64(),
    );
}

/// Runs a script under the recorder.
pub(crate) fn record(name: &str) -> Recorded {
    let script = script::named(name);
    let (dir, root) = scratch();
    script.lay(&root);
    if !script.before.is_empty() || !script.from_start {
        let prepared = program("prepare", &root, name).output().unwrap();
        assert!(
            prepared.status.success(),
            "{}",
            String::from_utf8_lossy(&prepared.stdout)
        );
    }
    let disk = record_program("run", &root, name);
    drop(dir);
    let told = told(&disk);
    assert_eq!(told.len(), script.steps.len(), "every step is answered");
    Recorded { script, disk, told }
}

/// Runs this program in a role on `root`, and records it.
pub(crate) fn record_program(role: &str, root: &Path, name: &str) -> Disk {
    let recording = Recording::begin(root);
    let logs = tempfile::tempdir().unwrap();
    let log = strace::trace(&mut program(role, root, name), &logs.path().join("log"));
    recording.finish(&strace::events(&log), root)
}

fn told(disk: &Disk) -> Told {
    let said = disk.ops.iter().filter_map(|op| match op {
        Op::Mark(said) => said.strip_prefix("answered "),
        _ => None,
    });
    said.map(|said| {
        let (no, receipt) = said.split_once(' ').expect("a number and what was told");
        (no.parse().unwrap(), receipt.to_owned())
    })
    .collect()
}

/// Judges what a program could leave that asked the same, less some syncs, and
/// expects a state that is wrong. Only states that the program itself cannot leave
/// are tried, up to the first that is wrong, and of sets only the plainest.
pub(crate) fn is_reported(name: &str, what: &str, is_left_out: impl Fn(&str) -> bool) {
    let mut recorded = record(name);
    let sound = cuts::enumerate(&recorded.disk, 0);
    let (planted, left_out) = recorded.disk.without_syncs(is_left_out);
    assert!(left_out > 0, "nothing syncs {what}");
    let cuts = cuts::enumerate(&planted, 0).beyond(&sound);
    recorded.disk = planted;
    let mut judged = cuts
        .states
        .iter()
        .map(|state| judge_one(&recorded, state, false));
    let tried = judged.by_ref().take_while(Result::is_ok).count();
    let of = cuts.states.len();
    assert!(
        tried < of,
        "{name} without syncs of {what}: none of {of} states is wrong"
    );
    told_of_plant(name, what, left_out, tried, of);
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are what this test is asked for"
)]
fn told_of_plant(name: &str, what: &str, left_out: usize, tried: usize, of: usize) {
    println!("{name} without {left_out} syncs of {what}: wrong after {tried} of {of} states");
}

pub(crate) fn judge_all(recorded: &Recorded, cuts: &Cuts) -> Verdict {
    let mut verdict = Verdict {
        wrong: Vec::new(),
        worlds: vec![0; recorded.script.worlds.len()],
        displaced_gone: 0,
    };
    for (no, state) in cuts.states.iter().enumerate() {
        match judge_one(recorded, state, no % TWICE_EVERY == 0) {
            Ok(seen) => {
                verdict.worlds[seen.world] += 1;
                verdict.displaced_gone += seen.displaced_gone;
            }
            Err(why) => {
                let why = explained(recorded, state, &why);
                if verdict.wrong.len() < KEPT_MAX {
                    keep(recorded, state, verdict.wrong.len(), &why);
                }
                verdict.wrong.push(why);
            }
        }
    }
    verdict
}

pub(crate) fn judge_one(recorded: &Recorded, state: &State, twice: bool) -> Result<Seen, String> {
    let (dir, root) = scratch();
    cuts::build(&recorded.disk, &state.tree, &root);
    let seen = guarded(
        &recorded.script,
        &root,
        state.progress,
        &recorded.told,
        twice,
    );
    drop(dir);
    seen
}

/// A node that panics on a state is a verdict too.
fn guarded(
    script: &Script,
    root: &Path,
    progress: Progress,
    told: &Told,
    twice: bool,
) -> Result<Seen, String> {
    let judged = AssertUnwindSafe(|| judge::judge(script, root, progress, told, twice));
    catch_unwind(judged).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    })
}

/// Why a state is wrong, when the power went, and what was lost of what was asked.
fn explained(recorded: &Recorded, state: &State, why: &str) -> String {
    let ops = recorded.disk.ops[..state.cut].iter().enumerate();
    let ops = ops.map(|(no, op)| {
        let lost = op.is_change() && !state.survivors.ops.contains(&no);
        format!(
            "{}{no} {}\n",
            if lost { "LOST " } else { "     " },
            shown(op)
        )
    });
    format!(
        "{}: {why}\nthe power went before operation {}; of the last survivor, {:?}\n{}",
        recorded.script.name,
        state.cut,
        state.survivors.of_last,
        ops.collect::<String>()
    )
}

fn shown(op: &Op) -> String {
    match op {
        Op::Write { inode, at, bytes } => format!("write {} bytes at {at} of {inode}", bytes.len()),
        other => {
            let text = format!("{other:?}");
            text.chars().take(200).collect()
        }
    }
}

/// Builds a wrong state once more, where it stays.
fn keep(recorded: &Recorded, state: &State, no: usize, why: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash");
    let folder = folder.join(format!("{}-{no}", recorded.script.name));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("state")).unwrap();
    cuts::build(&recorded.disk, &state.tree, &folder.join("state"));
    std::fs::write(folder.join("why"), why).unwrap();
    let Progress { asked, answered } = state.progress;
    let facts = (recorded.script.name, asked, answered, &recorded.told);
    std::fs::write(folder.join("facts"), serde_json::to_string(&facts).unwrap()).unwrap();
}

/// Judges a copy of the state that the environment names, if it names one.
pub(crate) fn judge_again() {
    let Some(folder) = std::env::var_os(STATE) else {
        return;
    };
    let folder = PathBuf::from(folder);
    let facts = std::fs::read_to_string(folder.join("facts")).unwrap();
    let (name, asked, answered, told): (String, usize, usize, Told) =
        serde_json::from_str(&facts).unwrap();
    let (dir, root) = scratch();
    let disk = Recording::begin(&folder.join("state")).finish(&[], &folder.join("state"));
    let all = disk.tree(&cuts::everything(&disk));
    cuts::build(&disk, &all, &root);
    let judged = guarded(
        &script::named(&name),
        &root,
        Progress { asked, answered },
        &told,
        true,
    );
    drop(dir);
    judged.unwrap();
}

/// An empty folder, in memory where that can be had: what is tried here is what is
/// left after a power cut, and no disk needs to be waited for.
pub(crate) fn scratch() -> (TempDir, PathBuf) {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let dir = dir.unwrap();
    let root = dir.path().canonicalize().unwrap();
    (dir, root)
}
