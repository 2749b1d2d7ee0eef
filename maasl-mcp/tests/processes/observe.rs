//! What is there to be seen once something has happened.
//!
//! Owns: reading the user's tree, the staging folders, histories and leases.
//! Promises: it changes nothing. Leaves to
//! others: what ought to be there.

use std::collections::BTreeMap;
use std::path::Path;

use maasl_core::id::ContentHash;
use serde_json::{Value, json};

use crate::harness::Server;

/// The hash of a text as tools show it.
pub(crate) fn sha256(text: &str) -> String {
    ContentHash::of(text.as_bytes()).to_string()
}

/// Every file below `dir` and its content, without our own folder.
pub(crate) fn tree(dir: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    collect(dir, "", &mut files);
    files
}

fn collect(dir: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if name == ".maasl" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            let content = std::fs::read_to_string(entry.path()).unwrap();
            files.insert(name, content);
        }
    }
}

/// How many sessions have a staging folder, and how many names are in them.
pub(crate) fn staged(root: &Path) -> (usize, usize) {
    let sessions = std::fs::read_dir(root.join(".maasl/stage")).unwrap();
    let counts = sessions.map(|session| {
        // A session may be swept while it is looked at.
        std::fs::read_dir(session.unwrap().path()).map_or(0, Iterator::count)
    });
    counts.fold((0, 0), |(sessions, names), count| {
        (sessions + 1, names + count)
    })
}

/// One version of a file.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) version: u64,
    pub(crate) sha256: Option<String>,
    pub(crate) agent: String,
    pub(crate) token: u64,
    pub(crate) kept: bool,
}

/// The versions of a file, oldest first.
pub(crate) fn history(server: &mut Server, path: &str) -> Vec<Recorded> {
    let listed = server.ok("file_history", json!({ "path": path, "limit": 1000 }));
    let versions = listed["versions"].as_array().unwrap();
    let recorded = versions.iter().rev().map(|version| Recorded {
        version: version["version"].as_u64().unwrap(),
        sha256: version["sha256"].as_str().map(str::to_owned),
        agent: version["agent"].as_str().unwrap().to_owned(),
        token: version["token"].as_u64().unwrap(),
        kept: version["kept"] == true,
    });
    recorded.collect()
}

/// Everything that is leased.
pub(crate) fn leased(server: &mut Server) -> Vec<Value> {
    let listed = server.ok("llmc_locks", json!({}));
    listed["locks"].as_array().unwrap().clone()
}
