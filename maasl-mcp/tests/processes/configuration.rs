//! What `llmc.toml` and `maasl.toml` say is what happens, and what they say
//! wrongly is refused with its line.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::facts::{maasl, run};
use crate::harness::Server;

const CODE: &str = "\
[maasl.resource.CRIT_CODE]
lease_ttl_sec = 7
interactive_max_wait_ms = 40
batch_max_wait_ms = 90
";

fn with_file(name: &str, text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    add(dir.path(), name, text);
    dir
}

fn add(root: &Path, name: &str, text: &str) {
    std::fs::write(root.join(name), text).unwrap();
}

fn want(id: &str, class: &str) -> Value {
    json!({ "resources": [{ "id": id, "class": class }] })
}

/// The lease and the waits that a class really has: TTL, interactive, batch.
fn times_of(a: &mut Server, b: &mut Server, class: &str) -> [u64; 3] {
    let granted = a.ok("lease_acquire", want("x", class));
    let mut allowed = |mode: &str| {
        let mut asked = want("x", class);
        asked["mode"] = mode.into();
        let busy = b.refused("lease_acquire", asked, "resource_busy");
        let [waited, allowed] = ["waited_ms", "allowed_ms"].map(|name| busy[name].as_u64());
        assert!(waited >= allowed, "it did wait: {busy}");
        allowed.unwrap()
    };
    let waits = [allowed("interactive"), allowed("batch")];
    a.ok("lease_release", json!({ "lease": granted["lease"] }));
    let ttl = granted["expires_in_ms"].as_u64().unwrap();
    [ttl, waits[0], waits[1]]
}

fn times_in(dir: &TempDir, class: &str) -> [u64; 3] {
    let [mut a, mut b] = ["a", "b"].map(|name| Server::start(dir.path(), name));
    let times = times_of(&mut a, &mut b, class);
    a.close();
    b.close();
    times
}

#[test]
fn a_class_lasts_and_waits_as_configured() {
    let dir = with_file("llmc.toml", CODE);
    assert_eq!(times_in(&dir, "CRIT_CODE"), [7_000, 40, 90]);
}

#[test]
fn without_a_file_a_class_has_its_published_times() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(times_in(&dir, "CRIT_CODE"), [30_000, 500, 3_000]);
    let mut a = Server::start(dir.path(), "a");
    for (class, ttl) in [
        ("CRIT_DB", 60_000),
        ("MERGE_META", 30_000),
        ("IDEMP_DOCS", 120_000),
    ] {
        let granted = a.ok("lease_acquire", want("x", class));
        assert_eq!(granted["expires_in_ms"], ttl, "{class}");
    }
    a.close();
}

#[test]
fn a_class_of_ones_own_takes_the_defaults_and_its_own_values() {
    let text = "\
[maasl]
default_lease_ttl_sec = 11
default_interactive_max_wait_ms = 30
default_batch_max_wait_ms = 60
[maasl.resource.MINE]
batch_max_wait_ms = 80
";
    let dir = with_file("llmc.toml", text);
    assert_eq!(times_in(&dir, "MINE"), [11_000, 30, 80]);
    // The defaults do not reach a built-in class.
    let mut a = Server::start(dir.path(), "a");
    let granted = a.ok("lease_acquire", want("x", "CRIT_CODE"));
    assert_eq!(granted["expires_in_ms"], 30_000);
    let unknown = a.refused("lease_acquire", want("x", "YOURS"), "invalid_request");
    assert!(unknown["hint"].as_str().unwrap().contains("MINE"));
    a.close();
}

#[test]
fn writes_wait_as_configured_too() {
    let dir = with_file("llmc.toml", CODE);
    let [mut a, mut b] = ["a", "b"].map(|name| Server::start(dir.path(), name));
    a.ok("lease_acquire", want("x", "CRIT_CODE"));
    for (mode, allowed) in [("interactive", 40), ("batch", 90)] {
        let write = json!({ "path": "x", "content": "", "mode": mode });
        let busy = b.refused("write_file", write, "resource_busy");
        assert_eq!(busy["allowed_ms"], allowed, "{mode}: {busy}");
    }
    let write = json!({ "path": "x", "content": "", "max_wait_ms": 10 });
    let busy = b.refused("write_file", write, "resource_busy");
    assert_eq!(busy["allowed_ms"], 10, "the caller decides: {busy}");
}

#[test]
fn limits_are_enforced() {
    let text = "[maasl.limits]\nmax_file_bytes = 1024\nmax_resources_per_lease = 1\n";
    let dir = with_file("llmc.toml", text);
    let mut a = Server::start(dir.path(), "a");
    let write = json!({ "path": "x", "content": "x".repeat(1025) });
    let refused = a.refused("write_file", write, "limit_reached");
    assert_eq!(refused["value"], 1024, "{refused}");
    assert!(!dir.path().join("x").exists());
    let two = json!({ "resources": [{ "id": "x" }, { "id": "y" }] });
    a.refused("lease_acquire", two, "limit_reached");
    a.close();
}

/// Commands that need the configuration end with 2 and show the line.
fn refused(dir: &TempDir, command: &[&str], parts: &[&str]) {
    let (code, out, err) = run(maasl(dir.path(), command));
    assert_eq!(code, 2, "{command:?}: {err}");
    assert_eq!(out, "", "{command:?} says nothing to its client");
    for part in parts {
        assert!(err.contains(part), "{command:?}: no {part:?} in:\n{err}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_what_was_meant() {
    let text = "# mine\n[maasl]\ndefault_lease_ttl_secs = 5\n";
    let dir = with_file("llmc.toml", text);
    let parts = ["llmc.toml:3:1", "default_lease_ttl_sec`"];
    for command in [
        &["serve"][..],
        &["run", "--resource", "x"],
        &["revoke", "x", "--reason", "test"],
        &["restore", "x", "--version", "1"],
    ] {
        let mut command = command.to_vec();
        if command[0] == "run" {
            command.extend(["--", "true"]);
            let mut with_root = maasl(dir.path(), &command[..3]);
            with_root.args(&command[3..]);
            assert_eq!(run(with_root).0, 2, "{command:?}");
            continue;
        }
        refused(&dir, &command, &parts);
    }
    assert!(!dir.path().join(".maasl").exists(), "nothing was begun");
}

#[test]
fn wrong_values_tables_and_syntax_are_refused_with_their_line() {
    for (text, parts) in [
        (
            "[maasl]\ndefault_lease_ttl_sec = \"x\"\n",
            ["llmc.toml:2:25", "string"],
        ),
        (
            "[maasl]\ndefault_lease_ttl_sec = 0\n",
            ["llmc.toml:2", "default_lease_ttl_sec"],
        ),
        (
            "[maasl.resources.CRIT_CODE]\n",
            ["llmc.toml:1", "resource`"],
        ),
        ("[maasl]\nmode = \"observ\"\n", ["llmc.toml:2", "observe"]),
        ("[maasl]\nx = = 1\n", ["llmc.toml:2", ""]),
    ] {
        let dir = with_file("llmc.toml", text);
        refused(&dir, &["serve"], &parts);
    }
}

#[test]
fn commands_that_only_look_do_not_need_the_configuration() {
    let dir = with_file("llmc.toml", "[maasl]\nnonsense = 1\n");
    for command in [["locks", "--json"], ["stats", "--json"]] {
        let (code, out, err) = run(maasl(dir.path(), &command));
        assert_eq!(code, 0, "{command:?}: {err}");
        serde_json::from_str::<Value>(&out).unwrap();
    }
    // `doctor` is where to find out.
    let (code, out, _) = run(maasl(dir.path(), &["doctor"]));
    assert_eq!(code, 1);
    assert!(out.contains("nonsense"), "{out}");
}

#[test]
fn tables_of_others_are_left_alone() {
    let text = format!(
        "theme = \"dark\"\n[enrichment]\nmodel = \"m\"\nmaasl = 1\n\
         [[tools]]\nname = \"t\"\n[tool.maasl]\nnonsense = 1\n{CODE}"
    );
    let dir = with_file("llmc.toml", &text);
    assert_eq!(times_in(&dir, "CRIT_CODE"), [7_000, 40, 90]);
    let after = std::fs::read_to_string(dir.path().join("llmc.toml")).unwrap();
    assert_eq!(after, text);
}

#[test]
fn maasl_toml_wins_over_llmc_toml_whole() {
    let dir = with_file("llmc.toml", CODE);
    let ours = "[maasl.resource.CRIT_CODE]\nlease_ttl_sec = 9\nbatch_max_wait_ms = 70\n";
    add(dir.path(), "maasl.toml", ours);
    // Nothing of the other file shines through.
    assert_eq!(times_in(&dir, "CRIT_CODE"), [9_000, 500, 70]);
    let (code, out, _) = run(maasl(dir.path(), &["doctor"]));
    assert_eq!(code, 0);
    assert!(out.contains("settings that are not read"), "{out}");
}

/// A setting that did nothing would be believed to do something.
#[test]
fn settings_that_this_version_does_not_act_on_are_refused() {
    let dir = with_file("llmc.toml", "[maasl]\nenabled = false\n");
    refused(&dir, &["serve"], &["enabled", "not supported"]);
    let dir = with_file("llmc.toml", "[maasl]\nenabled = true\nmode = \"enforce\"\n");
    Server::start(dir.path(), "a").close();
}
