//! The `maasl` command line as a process: what it prints, and how it ends.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use maasl_core::id::SessionId;
use maasl_core::lease::Session;
use maasl_node::platform;
use maasl_node::state_dir::StateDir;
use maasl_node::store::{OpenOptions, SqliteStore};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::{Value, json};

use crate::facts::{maasl, row_of, run, shown, shown_json};
use crate::harness::{Server, repository};
use crate::outside::holds;

/// Runs `maasl`; exit code and both outputs.
fn ended(dir: &tempfile::TempDir, arguments: &[&str]) -> (i32, String, String) {
    run(maasl(dir.path(), arguments))
}

#[test]
fn a_fresh_directory_has_nothing_to_show() {
    let dir = tempfile::tempdir().unwrap();
    assert!(shown(dir.path(), &["locks"]).contains("nothing is held"));
    let locks = shown_json(dir.path(), &["locks"]);
    assert_eq!(locks["count"], 0);
    assert!(locks["timestamp"].is_string(), "{locks}");
    assert_eq!(shown_json(dir.path(), &["stats"])["lock_acquisitions"], 0);
    let history = shown_json(dir.path(), &["history", "f"]);
    assert_eq!(history["versions"], json!([]));
    // Looking makes nothing.
    assert!(!dir.path().join(".maasl").exists());
}

#[test]
fn locks_stats_and_history_show_what_servers_do() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    a.ok("write_file", json!({ "path": "f", "content": "one\n" }));
    let want = json!({ "resources": [{ "id": "f" }], "intent": "tidying up" });
    let granted = a.ok("lease_acquire", want);
    let locks = shown_json(dir.path(), &["locks"]);
    let row = row_of(&locks, "code:f").unwrap();
    assert_eq!(row["holder_agent_id"], "a");
    assert_eq!(row["fencing_token"], granted["fencing_token"]);
    assert_eq!(row["intent"], "tidying up");
    let text = locks.to_string();
    assert!(!text.contains(granted["lease"].as_str().unwrap()), "{text}");
    assert!(shown(dir.path(), &["locks"]).contains("tidying up"));
    let of_b = shown_json(dir.path(), &["locks", "--agent", "b"]);
    assert_eq!(of_b["count"], 0);
    let stats = shown_json(dir.path(), &["stats"]);
    assert_eq!(stats["lock_acquisitions"], 2, "{stats}");
    assert_eq!(stats["agents"]["a"]["lock_acquisitions"], 2, "{stats}");
    let since = |when| shown_json(dir.path(), &["stats", "--since", when]);
    assert_eq!(since("1h")["lock_acquisitions"], 2);
    assert_eq!(since("2999-01-01T00:00:00Z")["lock_acquisitions"], 0);
    assert!(shown(dir.path(), &["stats"]).contains("stomps_prevented"));
    let history = shown_json(dir.path(), &["history", "f"]);
    assert_eq!(history["versions"][0]["agent"], "a");
    assert!(shown(dir.path(), &["history", "f"]).contains("write"));
    a.close();
}

#[test]
fn restore_brings_a_version_back() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    for content in ["one\n", "two\n"] {
        a.ok("write_file", json!({ "path": "f", "content": content }));
    }
    let out = shown(dir.path(), &["restore", "f", "--version", "1"]);
    assert!(out.contains("version 1 restored as version 3"), "{out}");
    assert_eq!(holds(&dir, "f").unwrap(), "one\n");
    let (code, _, err) = ended(&dir, &["restore", "f", "--version", "9"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("version 9") && err.contains("hint:"), "{err}");
    // The agent has not seen it and must look.
    let write = json!({ "path": "f", "content": "three\n" });
    let stale = a.refused("write_file", write, "stale_version");
    assert_eq!(stale["changed_by"]["agent"], "maasl-restore");
    a.close();
}

#[test]
fn revoking_ends_a_lease_and_its_holder_is_told_why() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let want = json!({ "resources": [{ "id": "f" }] });
    let lease = a.ok("lease_acquire", want)["lease"].clone();
    let reason = ["--reason", "stuck since noon"];
    let out = shown(dir.path(), &["revoke", "f", reason[0], reason[1]]);
    assert!(out.contains("revoked from a"), "{out}");
    let write = json!({ "path": "f", "content": "late\n", "lease": lease });
    let lost = a.refused("write_file", write, "lease_lost");
    assert_eq!(lost["lost_lease"]["end"], "revoked", "{lost}");
    assert_eq!(lost["lost_lease"]["reason"], "stuck since noon", "{lost}");
    assert_eq!(lost["lost_lease"]["by"], "maasl-revoke", "{lost}");
    assert_eq!(holds(&dir, "f"), None);
    let out = shown(dir.path(), &["revoke", "code:f", reason[0], reason[1]]);
    assert!(out.contains("nobody held"), "{out}");
    for without in [&["revoke", "f"][..], &["revoke", "f", "--reason", " "]] {
        assert_eq!(ended(&dir, without).0, 2, "a reason is required");
    }
    a.close();
}

#[test]
fn a_folder_is_revoked_under_every_spelling() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let root = dir.path().to_str().unwrap().to_owned();
    let revoke = |named: &str, more: &[&str]| {
        let command = ["revoke", named, "--reason", "test"];
        shown(dir.path(), &[&command[..], more].concat())
    };
    for (held, named, more) in [
        ("src", "src/", &[][..]),
        ("src", "src//", &["--subtree"]),
        ("src", &format!("{root}/src/"), &[]),
        ("src", ".", &["--subtree"]),
        ("src", "./", &["--subtree"]),
        ("src", &root, &["--subtree"]),
        (".", ".", &[]),
        (".", &format!("{root}/"), &[]),
    ] {
        let want = json!({ "resources": [{ "id": held, "scope": "subtree" }] });
        a.ok("lease_acquire", want);
        let out = revoke(named, more);
        assert!(out.contains("revoked from a"), "{named}: {out}");
    }
    // A variable that is not set names nothing, and not everything.
    let everything = ["revoke", "", "--subtree", "--reason", "test"];
    for named in [&everything[..], &["revoke", "/", "--reason", "test"]] {
        assert_eq!(ended(&dir, named).0, 1, "{named:?}");
    }
    a.close();
}

#[test]
fn a_folder_is_leased_under_every_spelling() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let root = dir.path().to_str().unwrap().to_owned();
    let want = |id: &str| json!({ "resources": [{ "id": id, "scope": "subtree" }] });
    for (id, key) in [
        ("src/", "code:src"),
        (&format!("{root}/src//"), "code:src"),
        (".", "code:"),
        ("./", "code:"),
        (&root, "code:"),
        (&format!("{root}/"), "code:"),
    ] {
        let granted = a.ok("lease_acquire", want(id));
        assert_eq!(granted["resources"][0]["resource_key"], key, "{id}");
        a.ok("lease_release", json!({ "lease": granted["lease"] }));
    }
    for outside in ["/", "//", "/etc/", "../"] {
        a.refused("lease_acquire", want(outside), "invalid_request");
    }
    let exact = json!({ "resources": [{ "id": "f/" }] });
    let refused = a.refused("lease_acquire", exact, "invalid_request");
    assert_eq!(refused["reason"], "trailing_slash");
    a.close();
}

/// `maasl run` of a shell script, holding `f`.
fn run_script(dir: &tempfile::TempDir, script: &str) -> std::process::Command {
    let mut command = maasl(dir.path(), &["run", "--resource", "f"]);
    command.args(["--", "sh", "-c", script]);
    command.current_dir(dir.path());
    command
}

#[test]
fn run_passes_token_lease_and_exit_code() {
    let dir = repository("");
    let script = "echo $MAASL_FENCING_TOKEN $MAASL_LEASE; exit 7";
    let (code, out, err) = run(run_script(&dir, script));
    assert_eq!(code, 7, "{err}");
    let (token, lease) = out.trim().split_once(' ').unwrap();
    assert!(token.parse::<u64>().unwrap() > 0);
    assert!(lease.len() >= 16, "{lease}");
    let (code, _, _) = run(run_script(&dir, "kill -TERM $$"));
    assert_eq!(code, 128 + 15, "as shells say it");
    assert_eq!(run(run_script(&dir, "true")).0, 0);
    let (code, _, err) = ended(&dir, &["run", "--resource", "f"]);
    assert_eq!(code, 2, "no command: {err}");
    let mut missing = maasl(dir.path(), &["run", "--resource", "f"]);
    missing.args(["--", "/no/such/program"]);
    assert_eq!(run(missing).0, 2);
    assert_eq!(shown_json(dir.path(), &["locks"])["count"], 0);
}

/// Whether whoever runs the tests has a signal ignored, as `nohup` and shells without
/// jobs do; then so has everything they start.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bit = 1_u64 << (signal.as_raw() - 1);
    ignored.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() & bit != 0)
}

/// Runs a script under a lease and sends `maasl` a signal once the script is ready. No
/// terminal of whoever runs the tests interrupts it.
fn signalled(dir: &tempfile::TempDir, script: &str, signal: Signal) -> Option<i32> {
    let mut command = run_script(dir, script);
    command.process_group(0);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut ready = String::new();
    out.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait().unwrap().code()
}

#[test]
fn run_passes_on_what_asks_it_to_end_and_returns_the_lease() {
    let dir = repository("");
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::INT, "INT"),
    ] {
        if is_ignored(signal) {
            continue;
        }
        let ended = signalled(&dir, "echo ready; exec sleep 600", signal);
        assert_eq!(
            ended,
            Some(128 + signal.as_raw()),
            "{name}: as shells say it"
        );
        let script = format!(
            "trap 'kill $!; wait $!; printf {name} > f; exit 9' {name}; sleep 600 & echo ready; wait"
        );
        assert_eq!(signalled(&dir, &script, signal), Some(9), "{name}");
        assert_eq!(holds(&dir, "f").unwrap(), name);
        assert_eq!(shown_json(dir.path(), &["locks"])["count"], 0, "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn run_leaves_a_signal_ignored_that_it_was_started_to_ignore() {
    let dir = repository("");
    let inner = run_script(&dir, "grep SigIgn /proc/self/status");
    let mut outer = std::process::Command::new("sh");
    outer.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    outer.arg(inner.get_program()).args(inner.get_args());
    let (code, out, err) = run(outer);
    assert_eq!(code, 0, "{err}");
    let mask = out.trim().strip_prefix("SigIgn:").unwrap().trim();
    assert_eq!(u64::from_str_radix(mask, 16).unwrap() & 1, 1, "{out}");
}

#[test]
fn run_holds_the_lease_while_its_command_runs() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut child = run_script(&dir, "echo ready; read line; printf done > f")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let write = json!({ "path": "f", "content": "mine\n", "max_wait_ms": 0 });
    let busy = a.refused("write_file", write, "resource_busy");
    assert_eq!(busy["holder"]["agent"], "maasl-run", "{busy}");
    let intent = busy["holder"]["intent"].as_str().unwrap();
    assert!(intent.starts_with("sh -c"), "{intent}");
    // A second command is refused, and says so.
    let mut second = maasl(dir.path(), &["run", "--resource", "f"]);
    second.args(["--max-wait-ms", "0", "--", "true"]);
    let (code, _, err) = run(second);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("held by maasl-run"), "{err}");
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(child.wait().unwrap().success());
    // It is free at once, and what the command wrote must be read first.
    let write = json!({ "path": "f", "content": "mine\n", "max_wait_ms": 0 });
    a.refused("write_file", write.clone(), "stale_version");
    a.ok("read_file", json!({ "path": "f" }));
    a.ok("write_file", write);
    a.close();
}

#[test]
fn a_command_may_use_its_lease_through_a_server() {
    let dir = repository("");
    let mut a = Server::start(dir.path(), "a");
    let mut child = run_script(&dir, "echo $MAASL_LEASE; read line")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lease = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut lease).unwrap();
    let write = json!({ "path": "f", "content": "x", "lease": lease.trim() });
    a.ok("write_file", write.clone());
    drop(child.stdin.take());
    assert!(!child.wait().unwrap().success(), "its input ended");
    a.refused("write_file", write, "lease_lost");
    a.close();
}

#[test]
fn init_prepares_the_folder_and_a_client_and_is_harmless_twice() {
    let dir = tempfile::tempdir().unwrap();
    let out = shown(dir.path(), &["init"]);
    assert!(out.contains("ignored by git"), "{out}");
    assert_eq!(holds(&dir, ".maasl/.gitignore").unwrap(), "*\n");
    for (client, file) in [
        ("claude-code", ".mcp.json"),
        ("codex", ".codex/config.toml"),
        ("cursor", ".cursor/mcp.json"),
        ("gemini", ".gemini/settings.json"),
        ("vscode", ".vscode/mcp.json"),
        ("opencode", "opencode.json"),
    ] {
        let init = ["init", "--client", client];
        let printed = shown(dir.path(), &[&init[..], &["--print"]].concat());
        assert_eq!(holds(&dir, file), None, "{client}: only shown");
        assert!(shown(dir.path(), &init).contains("wrote"), "{client}");
        let written = holds(&dir, file).unwrap();
        assert_eq!(printed.trim_end(), written.trim_end(), "{client}");
        assert!(shown(dir.path(), &init).contains("already"), "{client}");
        assert_eq!(holds(&dir, file).unwrap(), written, "{client}: twice");
    }
    // An entry that somebody has changed is theirs.
    let changed = r#"{"mcpServers":{"maasl":{"command":"maasl","env":{"A":"b"}}}}"#;
    std::fs::write(dir.path().join(".mcp.json"), changed).unwrap();
    let out = shown(dir.path(), &["init", "--client", "claude-code"]);
    assert!(out.contains("already"), "{out}");
    assert_eq!(holds(&dir, ".mcp.json").unwrap(), changed);
    // What is not understood is left alone.
    let inline = "mcp_servers = { other = { command = \"x\" } }\n";
    std::fs::write(dir.path().join(".codex/config.toml"), inline).unwrap();
    let (code, _, err) = ended(&dir, &["init", "--client", "codex"]);
    assert_eq!(code, 2);
    assert!(err.contains("by hand"), "{err}");
    assert_eq!(holds(&dir, ".codex/config.toml").unwrap(), inline);
    std::fs::write(dir.path().join(".mcp.json"), "[1]").unwrap();
    let (code, _, err) = ended(&dir, &["init", "--client", "claude-code"]);
    assert_eq!(code, 2);
    assert!(err.contains("by hand"), "{err}");
    assert_eq!(holds(&dir, ".mcp.json").unwrap(), "[1]");
}

#[test]
fn init_shows_the_snippet_for_a_file_that_is_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(".mcp.json");
    std::fs::write(&file, b"{\"a\": \"\xff\"}").unwrap();
    let (code, _, err) = ended(&dir, &["init", "--client", "claude-code"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("UTF-8") && err.contains("mcpServers"), "{err}");
    assert_eq!(std::fs::read(&file).unwrap(), b"{\"a\": \"\xff\"}");
}

fn check<'v>(report: &'v Value, name: &str) -> &'v Value {
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == name).unwrap()
}

#[test]
fn doctor_is_content_with_a_fresh_directory() {
    let dir = tempfile::tempdir().unwrap();
    let report = shown_json(dir.path(), &["doctor"]);
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(check(&report, "store")["found"], "none yet");
    assert!(shown(dir.path(), &["doctor"]).contains("atomic renames"));
}

#[test]
fn doctor_names_a_stopped_server_and_what_to_do() {
    let dir = repository("");
    let a = Server::start(dir.path(), "a");
    a.stop();
    let (code, out, _) = ended(&dir, &["doctor", "--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["ok"], false);
    let stopped = check(&report, "stopped process");
    let found = stopped["found"].as_str().unwrap();
    assert!(found.contains(&a.pid().to_string()), "{found}");
    assert!(stopped["advice"].as_str().unwrap().contains("kill -CONT"));
    a.go_on();
    assert_eq!(shown_json(dir.path(), &["doctor"])["ok"], true);
    a.close();
}

#[test]
fn doctor_takes_no_stranger_for_a_dead_server_whose_number_it_has() {
    let dir = repository("");
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let pid = Pid::from_child(&stranger);
    kill_process(pid, Signal::STOP).unwrap();
    waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
    let mut options = OpenOptions::new(platform::boot_identity().unwrap());
    options.session = Some(Session {
        id: SessionId::new("dead"),
        pid: stranger.id(),
        role: "serve".into(),
        started_wall_ms: 0,
    });
    let state = StateDir::open(dir.path()).unwrap();
    drop(SqliteStore::open(&state, options).unwrap());
    let (code, out, err) = ended(&dir, &["doctor", "--json"]);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert_eq!(code, 0, "{out}{err}");
    assert!(!out.contains("stopped process"), "{out}");
}

#[test]
fn doctor_counts_what_the_dead_left() {
    let dir = repository("");
    let point = [("MAASL_FAULT", "kill@after:begin_commit")];
    let mut a = Server::with_env(dir.path(), "a", &point);
    a.send("write_file", json!({ "path": "f", "content": "one\n" }));
    a.wait_dead();
    let report = shown_json(dir.path(), &["doctor"]);
    assert_eq!(
        check(&report, "open commits of dead processes")["found"],
        "1"
    );
    assert_eq!(check(&report, "leases of dead processes")["found"], "1");
    // Any access to the file settles the commit.
    let mut b = Server::start(dir.path(), "b");
    let read = b.ok("read_file", json!({ "path": "f" }));
    assert_eq!(read["content"], "one\n");
    let report = shown_json(dir.path(), &["doctor"]);
    let open = check(&report, "open commits of dead processes");
    assert_eq!(open["found"], "none");
    b.close();
}

#[test]
fn wrong_usage_is_2_and_refusals_are_1() {
    let dir = repository("");
    let nowhere = dir.path().join("nowhere");
    for command in ["locks", "serve", "doctor", "init"] {
        let (code, out, err) = run(maasl(&nowhere, &[command]));
        assert_eq!((code, &*out), (2, ""), "{command}: {err}");
        assert!(err.contains("nowhere"), "{command}: {err}");
        assert!(!nowhere.exists(), "{command} made it");
    }
    for wrong in [
        &["nonsense"][..],
        &["locks", "--nonsense"],
        &["history"],
        &["history", "f", "--limit", "0"],
    ] {
        assert_eq!(ended(&dir, wrong).0, 2, "{wrong:?}");
    }
    for refused in [
        &["history", "../f"][..],
        &["restore", "../f", "--version", "1"],
        &["restore", "f", "--version", "1"],
        &["revoke", "../f", "--reason", "test"],
    ] {
        let (code, _, err) = ended(&dir, refused);
        assert_eq!(code, 1, "{refused:?}: {err}");
        assert!(err.starts_with("maasl: "), "{refused:?}: {err}");
    }
}

#[test]
fn what_is_broken_inside_is_3() {
    let dir = repository("");
    std::fs::create_dir(dir.path().join(".maasl")).unwrap();
    std::fs::write(dir.path().join(".maasl/maasl.db"), "no database").unwrap();
    for command in [["locks", "--json"], ["stats", "--json"]] {
        let (code, out, err) = ended(&dir, &command);
        assert_eq!((code, &*out), (3, ""), "{command:?}: {err}");
    }
    assert_eq!(ended(&dir, &["serve"]).0, 3);
    assert_eq!(ended(&dir, &["doctor"]).0, 1);
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_shown_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = maasl(dir.path(), &["locks", "--json"]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    command.stderr(Stdio::piped());
    let failed = command.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(failed.status.code(), Some(3));
    let told = String::from_utf8(failed.stderr).unwrap();
    assert!(told.contains("standard output"), "{told}");
}
