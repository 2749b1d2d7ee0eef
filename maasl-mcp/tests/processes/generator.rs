//! Documents that a configured command writes: it is run once, held to bounds,
//! and nothing of what it does wrong reaches a file.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::until;
use crate::harness::{Server, repository};
use crate::observe::{leased, sha256, staged, tree};

const SOURCE: &str = "def f():\n    return 1\n";
const DOCUMENT: &str = "DOCS/REPODOCS/a.py.md";

/// A repository with one source, and this shell script as its generator.
fn with_generator(script: &str, more: &str) -> TempDir {
    let config = format!(
        "[maasl.docgen]\ncommand = [\"sh\", \"-c\", {}]\n{more}\n",
        json!(script)
    );
    let dir = repository(&config);
    std::fs::write(dir.path().join("a.py"), SOURCE).unwrap();
    dir
}

fn asked() -> Value {
    json!({ "path": "a.py", "max_wait_ms": 30_000 })
}

fn counted(server: &mut Server) -> [u64; 3] {
    let stats = server.ok("llmc_stomp_stats", json!({}));
    ["generated", "noop", "error"].map(|name| stats["docgen_operations"][name].as_u64().unwrap())
}

/// Whether a process whose number stands in this file runs.
fn runs(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn five_processes_that_ask_at_once_run_the_generator_once() {
    let dir = with_generator("cat >/dev/null; echo run >> runs; echo '# a'", "");
    let mut servers = ["a", "b", "c", "d", "e"].map(|name| Server::start(dir.path(), name));
    let calls: Vec<u64> = servers
        .iter_mut()
        .map(|server| server.send("docgen_file", asked()))
        .collect();
    let results = servers.iter_mut().zip(calls);
    let results: Vec<Value> = results.map(|(server, id)| server.result(id)).collect();
    let of = |status| {
        let with = results.iter().filter(|result| result["status"] == status);
        with.count()
    };
    assert_eq!((of("generated"), of("noop")), (1, 4), "{results:?}");
    let files = tree(dir.path());
    assert_eq!(files["runs"], "run\n");
    let header = format!("<!-- SHA256: {} -->", sha256(SOURCE));
    assert_eq!(files[DOCUMENT], format!("{header}\n\n# a\n"));
    assert_eq!(counted(&mut servers[0]), [1, 4, 0]);
}

#[test]
fn a_source_that_changes_during_generation_leaves_no_document() {
    let script = "cat >/dev/null; echo moved > a.py; echo '# a'";
    let dir = with_generator(script, "");
    let mut a = Server::start(dir.path(), "a");
    let stale = a.refused("docgen_file", asked(), "docgen_stale");
    assert_eq!(stale["expected_sha256"], sha256(SOURCE));
    assert_eq!(stale["current_sha256"], sha256("moved\n"));
    assert!(!dir.path().join(DOCUMENT).exists());
    let made = a.ok("docgen_file", asked());
    assert_eq!(made["sha256"], sha256("moved\n"));
    assert_eq!(counted(&mut a), [1, 0, 1]);
}

#[test]
fn a_generator_that_hangs_is_killed_with_its_children() {
    let script = "sleep 600 & echo $! > child; sleep 600";
    let dir = with_generator(script, "timeout_sec = 0.5");
    let mut a = Server::start(dir.path(), "a");
    let since = Instant::now();
    let failed = a.refused("docgen_file", asked(), "docgen_failed");
    assert_eq!(failed["reason"], "timed_out");
    assert!(since.elapsed() < Duration::from_secs(20));
    let child = dir.path().join("child");
    until("the child is killed", || !runs(&child));
    assert!(!dir.path().join(DOCUMENT).exists());
    assert!(leased(&mut a).is_empty());
}

#[test]
fn a_generator_that_leaves_children_is_rid_of_them() {
    let script = "cat >/dev/null; sleep 600 & echo $! > child; echo '# a'";
    let dir = with_generator(script, "");
    let mut a = Server::start(dir.path(), "a");
    let since = Instant::now();
    a.ok("docgen_file", asked());
    assert!(since.elapsed() < Duration::from_secs(20));
    let child = dir.path().join("child");
    until("the child is killed", || !runs(&child));
}

#[test]
fn a_generator_that_floods_or_fails_is_told_and_writes_nothing() {
    for (script, reason, said) in [
        ("yes", "too_much_output", "2048 bytes"),
        (
            "cat >/dev/null; echo broken >&2; exit 3",
            "exited",
            "broken",
        ),
        (
            "cat >/dev/null; echo NO-OP: too small",
            "declined",
            "too small",
        ),
        ("cat >/dev/null", "unusable", "is empty"),
        ("cat >/dev/null; printf '\\377'", "unusable", "UTF-8"),
    ] {
        let dir = with_generator(script, "max_output_bytes = 2048");
        let before = tree(dir.path());
        let mut a = Server::start(dir.path(), "a");
        let failed = a.refused("docgen_file", asked(), "docgen_failed");
        assert_eq!(failed["reason"], reason, "{failed}");
        assert!(
            failed["message"].as_str().unwrap().contains(said),
            "{failed}"
        );
        assert_eq!(tree(dir.path()), before);
        assert_eq!(staged(dir.path()).1, 0);
        assert_eq!(counted(&mut a), [0, 0, 1]);
    }
}

#[test]
fn who_cancels_has_the_generator_killed() {
    let script = "echo $$ > child; cat >/dev/null; sleep 600";
    let dir = with_generator(script, "");
    let mut a = Server::start(dir.path(), "a");
    let id = a.send("docgen_file", asked());
    let child = dir.path().join("child");
    let is_written = || std::fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n'));
    until("the generator runs", is_written);
    a.notify("notifications/cancelled", &json!({ "requestId": id }));
    until("the generator is killed", || !runs(&child));
    until("the lease is returned", || leased(&mut a).is_empty());
    assert!(!dir.path().join(DOCUMENT).exists());
}

/// Nobody kills it once its server is gone; and what the server still has to do must
/// not keep it from a good end.
#[test]
fn a_server_that_ends_kills_its_generator_first() {
    let script = "echo $$ > child; cat >/dev/null; sleep 600";
    for _ in 0..5 {
        let dir = with_generator(script, "");
        let mut a = Server::start(dir.path(), "a");
        a.send("docgen_file", asked());
        let child = dir.path().join("child");
        let is_written = || std::fs::read_to_string(&child).is_ok_and(|pid| pid.ends_with('\n'));
        until("the generator runs", is_written);
        a.close();
        assert!(!runs(&child));
        assert!(!dir.path().join(DOCUMENT).exists());
        let mut b = Server::start(dir.path(), "b");
        assert!(leased(&mut b).is_empty());
    }
}

#[test]
fn a_server_killed_during_generation_leaves_nothing_and_the_next_goes_on() {
    // The first run ends with the directory.
    let script = "cat >/dev/null; if mkdir once; then touch begun; \
                  while test -e begun; do sleep 0.05; done; fi; echo '# a'";
    let dir = with_generator(script, "");
    let mut a = Server::start(dir.path(), "a");
    a.send("docgen_file", asked());
    let begun = dir.path().join("begun");
    until("the generator runs", || begun.exists());
    a.kill();
    assert!(!dir.path().join(DOCUMENT).exists());
    let mut b = Server::start(dir.path(), "b");
    assert_eq!(b.ok("docgen_file", asked())["status"], "generated");
    assert_eq!(counted(&mut b), [1, 0, 0]);
    assert_eq!(staged(dir.path()).1, 0);
}

#[test]
fn a_long_generation_keeps_its_lease_and_leaves_other_calls_alone() {
    let script = "cat >/dev/null; while ! test -e go; do sleep 0.05; done; echo '# a'";
    let class = "[maasl.resource.IDEMP_DOCS]\nlease_ttl_sec = 1";
    let dir = with_generator(script, class);
    let mut a = Server::start(dir.path(), "a");
    let mut b = Server::start(dir.path(), "b");
    let id = a.send("docgen_file", asked());
    until("the lease is held", || !leased(&mut b).is_empty());
    // Two terms of the lease, while the same server does other work.
    let since = Instant::now();
    while since.elapsed() < Duration::from_millis(2_500) {
        a.ok("read_file", json!({ "path": "a.py" }));
    }
    let busy = json!({ "path": "a.py", "max_wait_ms": 10 });
    b.refused("docgen_file", busy, "resource_busy");
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert_eq!(a.result(id)["status"], "generated");
}

/// As LLMC is set up: its table, its script, its header.
#[test]
fn a_repository_of_llmc_is_documented_as_before() {
    use std::os::unix::fs::PermissionsExt as _;

    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| std::fs::write(dir.path().join(path), text).unwrap();
    put(
        "llmc.toml",
        "[docs.docgen]\nenabled = true\nbackend = \"shell\"\noutput_dir = \"docs/gen\"\n\
         [docs.docgen.shell]\nscript = \"make.sh\"\nargs = [\"# by\"]\ntimeout_seconds = 30\n",
    );
    put("a.py", SOURCE);
    // It writes the header itself, from what it is told.
    let script = "#!/bin/sh\nhash=$(sed 's/.*\"file_sha256\":\"\\([0-9a-f]*\\)\".*/\\1/')\n\
                  printf 'SHA256: %s\\n\\n%s LLMC\\n' \"$hash\" \"$1\"\n";
    put("make.sh", script);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path().join("make.sh"), mode).unwrap();
    let mut a = Server::start(dir.path(), "a");
    let made = a.ok("docgen_file", asked());
    assert_eq!(made["doc_path"], "docs/gen/a.py.md");
    let written = std::fs::read_to_string(dir.path().join("docs/gen/a.py.md")).unwrap();
    assert_eq!(
        written,
        format!("SHA256: {}\n\n# by LLMC\n", sha256(SOURCE))
    );
    assert_eq!(a.ok("docgen_file", asked())["status"], "noop");
}
