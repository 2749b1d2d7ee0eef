//! Facts outside the process under test, and commands run beside it.
//!
//! Owns: waiting for a fact with a deadline, the state of a key in `llmc_locks`,
//! and running `maasl` commands to their end. Leaves to others: servers
//! (`harness`) and what is expected.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Server};

/// How long to leave a fact alone before looking at it again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Waits until `fact` holds; how long that took.
pub(crate) fn until(what: &str, mut fact: impl FnMut() -> bool) -> Duration {
    let since = Instant::now();
    while !fact() {
        assert!(since.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::sleep(LOOK_AGAIN); // tidy: a look now and then, with a deadline
    }
    since.elapsed()
}

/// The number of requests waiting for `key`; nothing where nobody holds it.
pub(crate) fn waiters(watcher: &mut Server, key: &str) -> Option<u64> {
    let shown = watcher.ok("llmc_locks", json!({}));
    let row = row_of(&shown, key)?;
    row["waiters"].as_u64()
}

/// Waits until exactly so many requests wait for `key`.
pub(crate) fn await_waiters(watcher: &mut Server, key: &str, count: u64) -> Duration {
    until(&format!("{count} waiters for {key}"), || {
        waiters(watcher, key) == Some(count)
    })
}

/// The row of `key` in what `llmc_locks` or `maasl locks --json` show.
pub(crate) fn row_of<'v>(shown: &'v Value, key: &str) -> Option<&'v Value> {
    let rows = shown["locks"].as_array().unwrap();
    rows.iter().find(|row| row["resource_key"] == key)
}

/// A `maasl` command on `root`, to be adjusted and run.
pub(crate) fn maasl(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maasl"));
    command.args(arguments).arg("--root").arg(root);
    // A configured name must not leak in from whoever runs the tests.
    for name in [
        "MAASL_AGENT",
        "LLMC_TE_AGENT_ID",
        "TE_AGENT_ID",
        "CLAUDE_CODE_SESSION_ID",
        "MAASL_LEASE",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) fn run(mut command: Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        status.code().expect("not ended by a signal"),
        text(stdout),
        text(stderr),
    )
}

/// Runs `maasl` with these arguments, which must succeed; its standard output.
pub(crate) fn shown(root: &Path, arguments: &[&str]) -> String {
    let (code, out, err) = run(maasl(root, arguments));
    assert_eq!(code, 0, "{arguments:?}: {err}");
    out
}

/// Runs `maasl` with `--json`; the one object it prints.
pub(crate) fn shown_json(root: &Path, arguments: &[&str]) -> Value {
    let arguments = [arguments, &["--json"]].concat();
    let value: Value = serde_json::from_str(&shown(root, &arguments)).unwrap();
    assert!(value.is_object(), "{value}");
    value
}

/// The `p`th percentile of some times, in milliseconds.
pub(crate) fn percentile_ms(times: &mut [Duration], p: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * p / 100].as_secs_f64() * 1000.0
}
