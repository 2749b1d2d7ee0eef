//! The copy of a repository that agents work on.
//!
//! Owns: which files are copied, which of them are edited, and the demonstration's
//! own files. Promises: the original is only read; both halves start from the same
//! bytes; the copy is bounded in files and bytes. Leaves to others: what happens
//! to the copy.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::account::Snapshot;
use super::markup::{Language, page};

/// The owner of the region that all agents edit.
pub(super) const EVERYONE: &str = "everyone";
/// The shared counter.
pub(super) const COUNTER: &str = "maasl-demo/counter.txt";
/// Files that everyone renames.
pub(super) const BATONS: &str = "maasl-demo/batons";
/// Files that their owners rename.
pub(super) const SCRATCH: &str = "maasl-demo/scratch";

const FILES_MAX: usize = 2_000;
const FILE_BYTES_MAX: u64 = 1 << 20;
const TOTAL_BYTES_MAX: u64 = 64 << 20;
/// Files longer than this are copied, but not edited.
const SOURCE_BYTES_MAX: usize = 48 << 10;
/// How many files are edited.
const SOURCES: usize = 6;
/// Folders that are never copied.
const SKIPPED: [&str; 4] = [".git", "target", "node_modules", ".maasl"];

/// What agents do their work on.
#[derive(Debug)]
pub(super) struct Plan {
    /// The files that are edited.
    pub(super) sources: Vec<Source>,
    /// How many batons there are.
    pub(super) batons: usize,
}

/// A file that is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) path: String,
    pub(super) language: Language,
}

/// The files of a copy, in memory, and the plan for them.
#[derive(Debug)]
pub(super) struct Workspace {
    files: BTreeMap<String, Vec<u8>>,
    pub(super) plan: Plan,
}

/// The file that only this agent writes.
pub(super) fn own_file(agent: &str) -> String {
    format!("maasl-demo/own/{agent}.txt")
}

impl Workspace {
    /// Copies a repository and adds what the demonstration needs.
    pub(super) fn of(repository: &Path, agents: &[String]) -> std::io::Result<Self> {
        let names = match tracked(repository) {
            Some(names) => names,
            None => found(repository)?,
        };
        let mut files = load(repository, names);
        let mut owners = vec![EVERYONE.to_owned()];
        owners.extend_from_slice(agents);
        let sources = plant(&mut files, &owners);
        let batons = (agents.len() / 2).max(2);
        furnish(&mut files, agents, batons);
        let plan = Plan { sources, batons };
        Ok(Self { files, plan })
    }

    /// How many files it has.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Writes it to a folder.
    pub(super) fn write(&self, root: &Path) -> std::io::Result<()> {
        for (name, content) in &self.files {
            let path = root.join(name);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(path, content)?;
        }
        Ok(())
    }
}

impl Plan {
    /// Reads back everything that can bear marks.
    pub(super) fn snapshot(&self, root: &Path) -> std::io::Result<Snapshot> {
        let mut names: Vec<String> = found(&root.join("maasl-demo"))?
            .into_iter()
            .map(|name| format!("maasl-demo/{name}"))
            .collect();
        names.extend(self.sources.iter().map(|source| source.path.clone()));
        let files = load(root, names).into_iter();
        Ok(files
            .map(|(name, content)| (name, String::from_utf8_lossy(&content).into_owned()))
            .collect())
    }

    /// The edited files that are no longer sound, and why.
    pub(super) fn broken(&self, root: &Path) -> Vec<String> {
        let fault = |source: &Source| {
            let fault = match std::fs::read(root.join(&source.path)) {
                Ok(content) => source.language.fault(&content)?,
                Err(error) => error.to_string(),
            };
            Some(format!("{}: {fault}", source.path))
        };
        self.sources.iter().filter_map(fault).collect()
    }
}

/// What git tracks, if git is there and knows the folder.
fn tracked(root: &Path) -> Option<Vec<String>> {
    let mut command = Command::new("git");
    command.args(["ls-files", "-z"]).current_dir(root);
    let output = command
        .stderr(Stdio::null())
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names: Vec<String> = names
        .split('\0')
        .filter(|name| !name.is_empty() && !is_skipped(name))
        .map(str::to_owned)
        .collect();
    (output.status.success() && !names.is_empty()).then_some(names)
}

/// Every file below, without links.
fn found(root: &Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            };
            let kind = entry.file_type()?;
            if kind.is_dir() && !is_skipped(&path) {
                folders.push(path);
            } else if kind.is_file() {
                names.push(path);
            }
        }
        if names.len() > FILES_MAX * 2 {
            break;
        }
    }
    names.sort();
    Ok(names)
}

fn is_skipped(path: &str) -> bool {
    path.split('/').any(|part| SKIPPED.contains(&part))
        || matches!(path, "maasl.toml" | "llmc.toml")
}

/// Reads plain files up to the limits, smaller folders first as they come.
fn load(root: &Path, names: Vec<String>) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut total = 0;
    for name in names {
        let path = root.join(&name);
        let Ok(meta) = path.symlink_metadata() else {
            continue;
        };
        if !meta.is_file() || meta.len() > FILE_BYTES_MAX || total + meta.len() > TOTAL_BYTES_MAX {
            continue;
        }
        let Ok(content) = std::fs::read(&path) else {
            continue;
        };
        total += meta.len();
        files.insert(name, content);
        if files.len() == FILES_MAX {
            break;
        }
    }
    files
}

/// Chooses files to edit, as many languages as there are, and plants anchors.
fn plant(files: &mut BTreeMap<String, Vec<u8>>, owners: &[String]) -> Vec<Source> {
    let mut candidates: BTreeMap<Language, Vec<(String, String)>> = BTreeMap::new();
    for (path, content) in files.iter() {
        let Some(language) = Language::of(path) else {
            continue;
        };
        let of_language = candidates.entry(language).or_default();
        if content.len() > SOURCE_BYTES_MAX || of_language.len() >= SOURCES {
            continue;
        }
        let text = std::str::from_utf8(content).ok();
        if let Some(planted) = text.and_then(|text| language.plant(text, owners)) {
            of_language.push((path.clone(), planted));
        }
    }
    generate(&mut candidates, owners);
    let mut sources = Vec::new();
    for round in 0..SOURCES {
        for (language, candidates) in &candidates {
            if let Some((path, planted)) = candidates.get(round)
                && sources.len() < SOURCES
            {
                files.insert(path.clone(), planted.clone().into_bytes());
                let (path, language) = (path.clone(), *language);
                sources.push(Source { path, language });
            }
        }
    }
    sources
}

/// Makes up files where the repository has too few.
fn generate(candidates: &mut BTreeMap<Language, Vec<(String, String)>>, owners: &[String]) {
    let mut missing = SOURCES.saturating_sub(candidates.values().map(Vec::len).sum());
    for number in 0..missing.min(2) {
        let text = "{\n  \"generated\": true,\n  \"by\": \"maasl demo\"\n}\n";
        let path = format!("maasl-demo/generated_{number}.json");
        missing -= usize::from(add(candidates, Language::Json, path, text, owners));
    }
    for number in 0..missing {
        let functions = (0..8).map(|at| format!("\nfn part_{at}() -> u32 {{\n    {at}\n}}\n"));
        let text = format!(
            "//! Generated by `maasl demo`.\n{}",
            functions.collect::<String>()
        );
        let path = format!("maasl-demo/generated_{number}.rs");
        add(candidates, Language::Rust, path, &text, owners);
    }
}

fn add(
    candidates: &mut BTreeMap<Language, Vec<(String, String)>>,
    language: Language,
    path: String,
    text: &str,
    owners: &[String],
) -> bool {
    let planted = language.plant(text, owners);
    let added = planted.is_some();
    let of_language = candidates.entry(language).or_default();
    of_language.extend(planted.map(|planted| (path, planted)));
    added
}

/// Adds the demonstration's own files, and a configuration with short leases.
fn furnish(files: &mut BTreeMap<String, Vec<u8>>, agents: &[String], batons: usize) {
    let mut add = |path: String, text: String| files.insert(path, text.into_bytes());
    add("maasl.toml".to_owned(), CONFIGURATION.to_owned());
    add(COUNTER.to_owned(), page("count: 0", "nobody"));
    for baton in 0..batons {
        add(
            format!("{BATONS}/baton-{baton}.start.txt"),
            "passed on\n".to_owned(),
        );
    }
    for agent in agents {
        add(own_file(agent), page("own", "nobody"));
        add(
            format!("{SCRATCH}/{agent}.start.txt"),
            format!("of {agent}\n"),
        );
    }
}

/// Short leases, so that frozen servers are taken over while people watch.
const CONFIGURATION: &str = "[maasl.resource.CRIT_CODE]\nlease_ttl_sec = 2\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_folder_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let agents = ["agent-1".to_owned(), "agent-2".to_owned()];
        let workspace = Workspace::of(dir.path(), &agents).unwrap();
        assert_eq!(workspace.plan.sources.len(), SOURCES);
        let copy = tempfile::tempdir().unwrap();
        workspace.write(copy.path()).unwrap();
        assert_eq!(workspace.plan.broken(copy.path()), Vec::<String>::new());
        let snapshot = workspace.plan.snapshot(copy.path()).unwrap();
        assert!(snapshot.contains_key(COUNTER));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn sources_are_of_several_languages() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("target")).unwrap();
        for name in [
            "a.rs",
            "b.rs",
            "c.rs",
            "d.rs",
            "e.rs",
            "f.rs",
            "target/g.rs",
        ] {
            std::fs::write(dir.path().join(name), "//! Doc.\n\nfn a() {}\n").unwrap();
        }
        std::fs::write(dir.path().join("x.toml"), "a = 1\n").unwrap();
        std::fs::write(dir.path().join("broken.json"), "{\n").unwrap();
        let workspace = Workspace::of(dir.path(), &["agent-1".to_owned()]).unwrap();
        let paths: Vec<&str> = workspace
            .plan
            .sources
            .iter()
            .map(|s| s.path.as_str())
            .collect();
        assert_eq!(paths, ["a.rs", "x.toml", "b.rs", "c.rs", "d.rs", "e.rs"]);
        assert!(!workspace.files.contains_key("target/g.rs"));
    }
}
