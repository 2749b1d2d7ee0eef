//! Servers that die inside an exchange.
//!
//! Fault points stop a server before the exchange; how far it came is made by hand
//! once it is dead. The exchange in steps, where a file system has no other, is left
//! as it can be between any two of them.

use std::fs;
use std::path::PathBuf;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{PATIENCE, Server, repository};
use crate::observe::{history, sha256, staged, tree};

/// A server that died with its commit begun and its content staged.
struct Left {
    dir: TempDir,
    /// What was staged for `f`.
    stage: PathBuf,
}

impl Left {
    fn new() -> Self {
        let dir = repository("");
        fs::write(dir.path().join("f"), "old\n").unwrap();
        let fault = [("MAASL_FAULT", "kill@before:swap")];
        let mut victim = Server::with_env(dir.path(), "victim", &fault);
        let write = json!({ "path": "f", "content": "new\n", "base_sha256": sha256("old\n") });
        let id = victim.send("write_file", write);
        assert_eq!(victim.result_within(id, PATIENCE), None);
        victim.wait_dead();
        let staged = tree(&dir.path().join(".maasl/stage"));
        let names: Vec<&String> = staged.keys().collect();
        let [name] = names[..] else {
            panic!("one content is staged: {staged:?}");
        };
        let stage = dir.path().join(".maasl/stage").join(name);
        Self { dir, stage }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("f")
    }

    /// The second name of a displaced file, until it has the staged one.
    fn aside(&self) -> PathBuf {
        let name = self.stage.file_name().unwrap().to_str().unwrap();
        self.stage.with_file_name(format!("{name}.out"))
    }

    /// The next to read finds the new content, and nothing staged any more.
    fn is_settled(&self) -> Server {
        let mut heir = Server::start(self.dir.path(), "heir");
        let read = heir.ok("read_file", json!({ "path": "f" }));
        assert_eq!(read["content"], "new\n");
        assert_eq!(staged(self.dir.path()).1, 0, "something is left staged");
        heir
    }

    /// The commit took effect, and what it displaced can be had back.
    fn went_as_intended(&self) {
        let mut heir = self.is_settled();
        let versions = history(&mut heir, "f");
        let agents: Vec<&str> = versions.iter().map(|v| v.agent.as_str()).collect();
        assert_eq!(agents, ["outside", "victim"]);
        heir.ok("file_restore", json!({ "path": "f", "version": 1 }));
        assert_eq!(fs::read(self.file()).unwrap(), b"old\n");
        heir.close();
    }
}

#[test]
fn a_file_with_a_second_name_of_ours_is_brought_forward() {
    let left = Left::new();
    fs::hard_link(left.file(), left.aside()).unwrap();
    left.went_as_intended();
}

#[test]
fn what_was_displaced_and_has_no_staged_name_yet_is_kept() {
    let left = Left::new();
    fs::hard_link(left.file(), left.aside()).unwrap();
    fs::rename(&left.stage, left.file()).unwrap();
    left.went_as_intended();
}

#[test]
fn a_folder_that_was_displaced_is_put_aside_whole() {
    let left = Left::new();
    fs::remove_file(left.file()).unwrap();
    fs::create_dir(left.file()).unwrap();
    fs::write(left.file().join("inner"), "inner\n").unwrap();
    let (file, exchange) = (left.file(), RenameFlags::EXCHANGE);
    renameat_with(CWD, &left.stage, CWD, &file, exchange).unwrap();
    left.is_settled().close();
    let aside = tree(&left.dir.path().join(".maasl/quarantine"));
    let found: Vec<(&str, &str)> = aside
        .iter()
        .map(|(path, content)| (path.rsplit('/').next().unwrap(), content.as_str()))
        .collect();
    assert_eq!(found, [("inner", "inner\n")]);
}
