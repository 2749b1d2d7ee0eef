//! The sources of a repository.
//!
//! Owns: which files count, by the patterns of the configuration and what version
//! control ignores. Promises: no document, nothing of `.git`, `.maasl` or `.llmc`,
//! nothing behind a symbolic link and nothing on another mount is a source.
//! Leaves to others: what is in them (`look`).

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use ignore::{DirEntry, WalkBuilder, WalkState};
use maasl_core::docgen::layout::is_document;
use maasl_core::path::RelPath;
use parking_lot::Mutex;

/// Folders of tools, of which nothing is a source.
const TOOLS: [&str; 3] = [".git", ".maasl", ".llmc"];
/// Threads that walk.
const THREADS: usize = 2;

/// The patterns of the files that count.
pub(crate) struct Patterns {
    matcher: Gitignore,
}

impl Patterns {
    /// Reads patterns; says which cannot be read.
    pub(crate) fn parse(patterns: &[String]) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new("");
        for pattern in patterns {
            // A folder stands for all that is in it.
            let inside = if pattern.ends_with('/') { "**" } else { "" };
            let added = builder.add_line(None, &format!("{pattern}{inside}"));
            added.map_err(|error| format!("has the pattern {pattern:?}: {error}"))?;
        }
        let matcher = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { matcher })
    }

    /// Whether a file counts: the last pattern that matches decides.
    pub(crate) fn take(&self, path: &str) -> bool {
        self.matcher.matched(path, false).is_ignore()
    }
}

/// What a walk has found, each in the order of its paths.
#[derive(Debug, Default)]
pub(crate) struct Walked {
    /// The folders that were looked into; the root is the empty path.
    pub(crate) folders: Vec<String>,
    /// The sources.
    pub(crate) sources: Vec<String>,
}

/// Walks the repository at `root`, whose documents are below `documents`. A
/// folder that cannot be read has no sources.
pub(crate) fn walk(root: &Path, documents: &str, patterns: &Patterns) -> Walked {
    let found = Mutex::new(Walked::default());
    walker(root, documents).build_parallel().run(|| {
        Box::new(|entry| {
            match entry {
                Ok(entry) => note(root, &entry, patterns, &found),
                Err(error) => tracing::warn!(%error, "not looked into for sources"),
            }
            WalkState::Continue
        })
    });
    let mut walked = found.into_inner();
    walked.folders.sort_unstable();
    walked.sources.sort_unstable();
    walked
}

fn walker(root: &Path, documents: &str) -> WalkBuilder {
    let (top, documents) = (root.to_owned(), documents.to_owned());
    let mut builder = WalkBuilder::new(root);
    builder
        .hidden(false)
        .ignore(false)
        .git_global(false)
        .parents(false)
        .require_git(false)
        .same_file_system(true)
        .threads(THREADS)
        .filter_entry(move |entry| {
            let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
            !is_folder || entry.depth() == 0 || is_looked_into(&top, entry, &documents)
        });
    builder
}

fn is_looked_into(root: &Path, entry: &DirEntry, documents: &str) -> bool {
    let name = entry.file_name();
    !TOOLS.iter().any(|tool| name == *tool)
        && relative(root, entry).is_some_and(|path| !is_document(documents, path))
}

fn note(root: &Path, entry: &DirEntry, patterns: &Patterns, found: &Mutex<Walked>) {
    let Some((kind, path)) = entry.file_type().zip(relative(root, entry)) else {
        return;
    };
    if kind.is_dir() {
        found.lock().folders.push(path.to_owned());
    } else if kind.is_file() && patterns.take(path) && RelPath::parse(path).is_ok() {
        found.lock().sources.push(path.to_owned());
    }
}

/// The path of an entry; nothing where no caller could name it.
fn relative<'e>(root: &Path, entry: &'e DirEntry) -> Option<&'e str> {
    entry.path().strip_prefix(root).ok()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maasl_core::docgen::DocgenSettings;
    use std::fs;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn patterns(patterns: &[&str]) -> Patterns {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        Patterns::parse(&patterns).unwrap()
    }

    #[test]
    fn by_default_program_text_is_a_source() {
        let default = Patterns::parse(&DocgenSettings::default().sources).unwrap();
        for source in ["a.py", "src/b.rs", "x/y/z.tsx", "lib.h", ".github/run.sh"] {
            assert!(default.take(source), "{source}");
        }
        for other in ["a.md", "a.txt", "Makefile", "py", "a.py.bak", "a.json"] {
            assert!(!default.take(other), "{other}");
        }
    }

    #[test]
    fn the_last_pattern_that_matches_decides() {
        let some = patterns(&["*.py", "!tests/", "tests/keep.py", "/top.sh"]);
        for source in ["a.py", "b/c.py", "tests/keep.py", "top.sh"] {
            assert!(some.take(source), "{source}");
        }
        for other in ["tests/a.py", "tests/x/a.py", "b/top.sh", "a.rs"] {
            assert!(!some.take(other), "{other}");
        }
        let wrong = Patterns::parse(&["{a".to_owned()]).err().unwrap();
        assert!(wrong.contains("{a"), "{wrong}");
    }

    #[test]
    fn a_walk_finds_sources_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for path in ["a.py", "src/b.py", "src/deep/c.py", ".hidden/d.py", "x.txt"] {
            put(root, path, "");
        }
        for path in [
            ".git/h.py",
            ".maasl/s.py",
            ".llmc/t.py",
            "DOCS/REPODOCS/a.py",
        ] {
            put(root, path, "");
        }
        put(root, ".gitignore", "built/\n*.gen.py\n");
        put(root, "src/.gitignore", "/local.py\n");
        put(root, ".git/info/exclude", "excluded.py\n");
        for path in ["built/e.py", "f.gen.py", "src/local.py", "excluded.py"] {
            put(root, path, "");
        }
        std::os::unix::fs::symlink("a.py", root.join("link.py")).unwrap();
        std::os::unix::fs::symlink("src", root.join("linked")).unwrap();
        let walked = walk(root, "DOCS/REPODOCS", &patterns(&["*.py"]));
        let expected = [".hidden/d.py", "a.py", "src/b.py", "src/deep/c.py"];
        assert_eq!(walked.sources, expected);
        let folders = ["", ".hidden", "DOCS", "src", "src/deep"];
        assert_eq!(walked.folders, folders);
    }
}
