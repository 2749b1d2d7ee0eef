//! The house rules that no other tool checks.
//!
//! Owns: module headers, file length, banned idioms in tests, and documents
//! that nothing links to. Promises: each fault is one line that begins with
//! `path:line` and says what to do instead. Leaves to others: layout (rustfmt)
//! and everything clippy can see.

use crate::files::{self, TextFile};
use crate::steps::{Outcome, Step};
use crate::workspace::Workspace;

pub(crate) const TIDY: Step = Step {
    name: "tidy",
    run: tidy,
};

/// The longest a source file may be.
const LINES_MAX: usize = 600;

/// Files that are longer, each with the length it may not pass. A ratchet: an
/// entry is only ever lowered, and goes when its file is back under the limit.
const RATCHET: &[(&str, usize)] = &[];

/// What a test may not contain, and why.
const BANNED_IN_TESTS: &[(&str, &str)] = &[
    ("todo!", "finish the test or leave it out"),
    ("#[ignore", "a test that never runs proves nothing"),
    (
        "thread::sleep",
        "wait for the event itself, with a deadline",
    ),
];

/// Allows a banned idiom on its own line, if a reason follows.
const MARKER: &str = "// tidy: ";

fn tidy(workspace: &Workspace) -> Outcome {
    match faults(workspace) {
        Ok(faults) => Outcome::from_faults("headers, length, tests, docs", &faults),
        Err(error) => Outcome::Failed(error),
    }
}

fn faults(workspace: &Workspace) -> Result<Vec<String>, String> {
    let root = workspace.root();
    let mut sources = Vec::new();
    for folder in files::crate_folders(root)? {
        for path in files::below(root, &folder, ".rs")? {
            sources.push(files::read(root, path)?);
        }
    }
    let mut entrances = Vec::new();
    for name in ["README.md", "ARCHITECTURE.md"] {
        if root.join(name).exists() {
            entrances.push(files::read(root, name.to_owned())?);
        }
    }
    let mut faults: Vec<_> = sources
        .iter()
        .flat_map(|file| source_faults(file, RATCHET))
        .collect();
    faults.extend(ratchet_leftovers(&sources, RATCHET));
    faults.extend(unlinked(&files::below(root, "docs", "")?, &entrances));
    Ok(faults)
}

fn source_faults(file: &TextFile, ratchet: &[(&str, usize)]) -> Vec<String> {
    let mut faults = Vec::new();
    if !file.text.starts_with("//!") {
        faults.push(format!(
            "{}:1: no `//!` header: say what the module owns",
            file.path
        ));
    }
    faults.extend(length_fault(file, ratchet));
    if is_test(&file.path) {
        faults.extend(banned_idioms(file));
    }
    faults
}

fn length_fault(file: &TextFile, ratchet: &[(&str, usize)]) -> Option<String> {
    let TextFile { path, text } = file;
    let lines = text.lines().count();
    let entry = ratchet.iter().find(|(name, _)| name == path);
    let lines_max = entry.map_or(LINES_MAX, |(_, lines_max)| *lines_max);
    if lines > lines_max {
        return Some(format!(
            "{path}:{lines}: more than {lines_max} lines: find the second noun"
        ));
    }
    let slack = entry.is_some() && lines < lines_max;
    slack.then(|| format!("{path}:{lines}: shorter than its ratchet: lower {lines_max} to {lines}"))
}

/// Ratchet entries that allow nothing any more.
fn ratchet_leftovers(sources: &[TextFile], ratchet: &[(&str, usize)]) -> Vec<String> {
    let needed = |name: &str| {
        let file = sources.iter().find(|file| file.path == name);
        file.is_some_and(|file| file.text.lines().count() > LINES_MAX)
    };
    let spent = ratchet.iter().filter(|(name, _)| !needed(name));
    spent
        .map(|(name, _)| format!("{name}:1: take it off the ratchet"))
        .collect()
}

fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "tests.rs")
}

fn banned_idioms(file: &TextFile) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or(line);
        for (idiom, advice) in BANNED_IN_TESTS {
            if code.contains(idiom) && !is_excused(line) {
                faults.push(format!("{}:{}: `{idiom}`: {advice}", file.path, index + 1));
            }
        }
    }
    faults
}

fn is_excused(line: &str) -> bool {
    line.split_once(MARKER)
        .is_some_and(|(_, reason)| !reason.trim().is_empty())
}

/// Documents that no entrance links to by their path.
fn unlinked(documents: &[String], entrances: &[TextFile]) -> Vec<String> {
    let linked = |path: &str| {
        let targets = [")", "#"].map(|end| format!("]({path}{end}"));
        let reaches = |page: &TextFile| targets.iter().any(|target| page.text.contains(target));
        entrances.iter().any(reaches)
    };
    let lost = documents.iter().filter(|path| !linked(path));
    lost.map(|path| format!("{path}:1: link it from README.md or ARCHITECTURE.md"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> TextFile {
        TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn long_file(lines: usize) -> TextFile {
        file("a/src/long.rs", &"//! Long.\n".repeat(lines))
    }

    #[test]
    fn a_source_file_begins_with_a_header() {
        assert!(source_faults(&file("a/src/lib.rs", "//! Owns a.\n"), &[]).is_empty());
        let faults = source_faults(&file("a/src/lib.rs", "// Owns a.\n"), &[]);
        assert!(
            faults[0].starts_with("a/src/lib.rs:1: no `//!` header"),
            "{faults:?}"
        );
    }

    #[test]
    fn the_longest_allowed_file_is_allowed() {
        assert_eq!(length_fault(&long_file(LINES_MAX), &[]), None);
        assert!(length_fault(&long_file(LINES_MAX + 1), &[]).is_some());
    }

    #[test]
    fn the_ratchet_only_tightens() {
        let ratchet = &[("a/src/long.rs", 700)];
        assert_eq!(length_fault(&long_file(700), ratchet), None);
        assert!(length_fault(&long_file(701), ratchet).is_some());
        let slack = length_fault(&long_file(699), ratchet).unwrap();
        assert!(slack.ends_with("lower 700 to 699"), "{slack}");
    }

    #[test]
    fn a_spent_ratchet_entry_is_a_fault() {
        let ratchet = &[("a/src/long.rs", 700)];
        assert!(ratchet_leftovers(&[long_file(700)], ratchet).is_empty());
        assert_eq!(ratchet_leftovers(&[long_file(LINES_MAX)], ratchet).len(), 1);
        assert_eq!(ratchet_leftovers(&[], ratchet).len(), 1);
    }

    #[test]
    fn tests_may_not_sleep_or_be_ignored() {
        let text = "//! T.\nstd::thread::sleep(t);\n#[ignore = \"slow\"]\n";
        let faults = source_faults(&file("a/tests/t.rs", text), &[]);
        assert_eq!(faults.len(), 2);
        assert!(
            faults[0].starts_with("a/tests/t.rs:2: `thread::sleep`"),
            "{faults:?}"
        );
        assert!(source_faults(&file("a/src/t.rs", text), &[]).is_empty());
    }

    #[test]
    fn an_excuse_needs_a_reason() {
        let excused = "thread::sleep(t); // tidy: the kernel's clock is what is tested\n";
        assert!(banned_idioms(&file("a/tests/t.rs", excused)).is_empty());
        let empty = "thread::sleep(t); // tidy: \n";
        assert_eq!(banned_idioms(&file("a/tests/t.rs", empty)).len(), 1);
    }

    #[test]
    fn a_comment_may_name_what_is_banned() {
        assert!(banned_idioms(&file("a/tests/t.rs", "// no thread::sleep here\n")).is_empty());
    }

    #[test]
    fn a_document_is_linked_by_its_path() {
        let docs = ["docs/a.md".to_owned(), "docs/b.md".to_owned()];
        let readme = file("README.md", "See [a](docs/a.md) and docs/b.md.");
        let faults = unlinked(&docs, &[readme]);
        assert_eq!(
            faults,
            ["docs/b.md:1: link it from README.md or ARCHITECTURE.md"]
        );
        let readme = file("README.md", "[a](docs/a.md#part) [b](docs/b.md)");
        assert!(unlinked(&docs, &[readme]).is_empty());
    }
}
