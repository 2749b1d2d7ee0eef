//! How the documents of a repository stand to their sources.
//!
//! Owns: the look at all of them, and what is remembered of it. Promises: an
//! answer is that of a look at every content, as long as the file system shows
//! every change; it changes no file of the user. Leaves to others: what the
//! answer means (the core), and telling it (`maasl-mcp`).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;

use maasl_core::docgen::{Checked, DocgenSettings, Stamp};
use maasl_core::id::ContentHash;
use maasl_core::path::PathRefusal;
use maasl_core::refusal::Refusal;
use rustix::fs::FileType;

use super::look::{Listing, Look, Looker, Way, stamp_at};
use super::manifest::{Manifest, ManifestFile, Source};
use super::sources::{Patterns, walk};
use crate::root::Root;

/// Files that say which others are no sources.
const PATTERN_FILE: &str = ".gitignore";
/// The same, for one working copy.
const EXCLUDE_FILE: &str = ".git/info/exclude";

/// What a file that is not there looks like.
const ABSENT: Stamp = Stamp {
    size: 0,
    modified_ns: 0,
    changed_ns: 0,
    inode: 0,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A path cannot be used.
    #[error(transparent)]
    Path(#[from] PathRefusal),
    /// A path names nothing that can have a document.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The system failed.
    #[error("documents: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for CheckError {
    /// A path that is refused comes through the functions of the system as theirs.
    fn from(error: io::Error) -> Self {
        match error.downcast::<PathRefusal>() {
            Ok(refusal) => Self::Path(refusal),
            Err(error) => Self::Io(error),
        }
    }
}

/// Checks the documents of a repository that has a state directory.
pub struct Check<'a> {
    /// The repository.
    pub root: &'a Root,
    /// How documents are made.
    pub settings: &'a DocgenSettings,
    /// The longest source that is read, in bytes.
    pub max_bytes: u64,
}

impl Check<'_> {
    /// Every source there is, in the order of their paths.
    pub fn all(&self) -> Result<Vec<Checked>, CheckError> {
        let file = ManifestFile::open(self.root.dir())?;
        let tick_ns = file.tick_ns()?;
        let known = file.load(fingerprint(self.settings))?;
        let stands = known.as_ref().is_some_and(|known| self.stands(known));
        let mut manifest = match known {
            Some(known) if stands => known,
            known => self.walk(known, tick_ns)?,
        };
        let listing = Listing::of(self.root.dir(), &self.settings.root)?;
        let looker = Looker {
            listing: Some(&listing),
            ..self.looker(tick_ns)
        };
        let (looks, learnt) = looker.all(&mut manifest.sources);
        if learnt || !stands {
            file.save(&manifest)?;
        }
        let looked = manifest.sources.into_iter().zip(looks);
        Ok(looked
            .filter_map(|(source, look)| checked(source.path, look))
            .collect())
    }

    /// The sources that these paths name, each once: files, and folders for all
    /// that is in them.
    pub fn some(&self, paths: &[String]) -> Result<Vec<Checked>, CheckError> {
        let mut found = BTreeMap::new();
        let mut everything = None;
        for (at, path) in paths.iter().enumerate() {
            let path = self.root.relative(path)?.as_str().to_owned();
            match self.kind(&path)? {
                Some(FileType::RegularFile) => {
                    self.settings.layout.document(&self.settings.root, &path)?;
                    found.extend(self.one(path));
                }
                Some(FileType::Directory) => {
                    let all = match &mut everything {
                        Some(all) => all,
                        none => none.insert(self.all()?),
                    };
                    let inside = format!("{path}/");
                    let inside = all.iter().filter(|one| one.source.starts_with(&inside));
                    found.extend(inside.map(|one| (one.source.clone(), one.clone())));
                }
                _ => {
                    let field = format!("paths[{at}]");
                    let message = format!("{path} is no file and no folder");
                    return Err(Refusal::invalid(&field, message).into());
                }
            }
        }
        Ok(found.into_values().collect())
    }

    fn kind(&self, path: &str) -> io::Result<Option<FileType>> {
        let found = Way::new(self.root).stamp(path)?;
        Ok(found.map(|(_, kind)| kind))
    }

    fn one(&self, path: String) -> Option<(String, Checked)> {
        let mut source = Source::unknown(path.clone());
        // Nothing is remembered of it, so the time does not matter.
        let looker = self.looker(0);
        let look = looker.one(&mut source, &mut looker.desk());
        Some((path.clone(), checked(path, look)?))
    }

    fn looker(&self, tick_ns: i64) -> Looker<'_> {
        Looker {
            root: self.root,
            settings: self.settings,
            max_bytes: self.max_bytes,
            tick_ns,
            listing: None,
        }
    }

    /// Whether no file can have come or gone, nor become a source or ceased to be.
    fn stands(&self, known: &Manifest) -> bool {
        let mut way = Way::new(self.root);
        known.tree.iter().all(|(path, then)| {
            let now = if path == EXCLUDE_FILE {
                exclude(self.root.dir())
            } else {
                way.stamp(path)
            };
            let now = now.unwrap_or_default();
            *then == Some(now.map_or(ABSENT, |(stamp, _)| stamp))
        })
    }

    /// Looks for the sources there are, and takes over what is believed of them.
    fn walk(&self, known: Option<Manifest>, tick_ns: i64) -> Result<Manifest, CheckError> {
        let patterns = Patterns::parse(&self.settings.sources).map_err(io::Error::other)?;
        let walked = walk(self.root.path(), &self.settings.root, &patterns);
        let sources = known.map(|known| known.sources).unwrap_or_default();
        let sources = sources
            .into_iter()
            .map(|source| (source.path.clone(), source));
        let mut believed: BTreeMap<String, Source> = sources.collect();
        let sources = walked.sources.into_iter().map(|path| {
            let known = believed.remove(&path);
            known.unwrap_or_else(|| Source::unknown(path))
        });
        Ok(Manifest {
            settings: fingerprint(self.settings),
            sources: sources.collect(),
            tree: tree(self.root, walked.folders, tick_ns)?,
        })
    }
}

/// What folders and files of patterns look like. Of one that cannot be looked at
/// nothing is believed.
fn tree(
    root: &Root,
    folders: Vec<String>,
    tick_ns: i64,
) -> io::Result<Vec<(String, Option<Stamp>)>> {
    let mut tree = Vec::with_capacity(folders.len() + 8);
    let mut patterns = Vec::new();
    let mut way = Way::new(root);
    let believed = |found: Option<(Stamp, FileType)>| {
        let stamp = found.map(|(stamp, _)| stamp);
        stamp.filter(|stamp| stamp.is_settled(tick_ns))
    };
    for folder in folders {
        patterns.push(match folder.as_str() {
            "" => PATTERN_FILE.to_owned(),
            folder => format!("{folder}/{PATTERN_FILE}"),
        });
        let found = way.stamp(&folder).unwrap_or_default();
        tree.push((folder, believed(found)));
    }
    for path in patterns {
        match way.stamp(&path) {
            // One that comes later shows in its folder.
            Ok(None) => {}
            found => tree.push((path, believed(found.unwrap_or_default()))),
        }
    }
    let exclude = exclude(root.dir())?.map_or(ABSENT, |(stamp, _)| stamp);
    let settled = Some(exclude).filter(|stamp| stamp.is_settled(tick_ns));
    tree.push((EXCLUDE_FILE.to_owned(), settled));
    Ok(tree)
}

/// What the patterns of one working copy look like. They are looked at by way of
/// links and of other mounts, as version control does that follows them: a `.git`
/// may be either, and nobody is told anything of what is there.
fn exclude(root: BorrowedFd<'_>) -> io::Result<Option<(Stamp, FileType)>> {
    stamp_at(root, EXCLUDE_FILE)
}

fn checked(source: String, look: Look) -> Option<Checked> {
    let state = match look {
        Look::Known(freshness) => Ok(freshness),
        Look::Unreadable(message) => Err(message),
        Look::Gone => return None,
    };
    Some(Checked { source, state })
}

/// What of the settings decides what is remembered.
fn fingerprint(settings: &DocgenSettings) -> ContentHash {
    let DocgenSettings {
        layout,
        root,
        sources,
        ..
    } = settings;
    ContentHash::of(format!("{layout:?}\n{root:?}\n{sources:?}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state_dir::StateDir;
    use maasl_core::docgen::{Belief, Freshness, HeaderForm, Layout};
    use maasl_core::path::PathReason;
    use std::fs;
    use std::path::Path;
    use std::time::{Duration, Instant};

    struct Place {
        dir: tempfile::TempDir,
        root: Root,
        settings: DocgenSettings,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            StateDir::open(dir.path()).unwrap();
            Self {
                root: Root::open(dir.path()).unwrap(),
                dir,
                settings: DocgenSettings::default(),
            }
        }

        fn path(&self) -> &Path {
            self.dir.path()
        }

        fn put(&self, path: &str, text: &str) {
            let path = self.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        /// A source, and the document of this content of it.
        fn documented(&self, path: &str, content: &str, made_from: &str) {
            self.put(path, content);
            let place = self.settings.layout.place(&self.settings.root, path);
            let made_from = ContentHash::of(made_from.as_bytes());
            let document = HeaderForm::Plain.document(made_from, "text");
            self.put(&place, std::str::from_utf8(&document).unwrap());
        }

        fn check(&self) -> Check<'_> {
            Check {
                root: &self.root,
                settings: &self.settings,
                max_bytes: 1 << 20,
            }
        }

        fn all(&self) -> Vec<(String, Freshness)> {
            told(self.check().all().unwrap())
        }

        fn manifest(&self) -> (ManifestFile, Manifest) {
            let file = ManifestFile::open(self.root.dir()).unwrap();
            let manifest = file.load(fingerprint(&self.settings)).unwrap();
            (file, manifest.expect("a check leaves one"))
        }

        /// Checks until everything that was found can be believed.
        fn settle(&self) {
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                self.all();
                let (_, manifest) = self.manifest();
                let tree = manifest.tree.iter().all(|(_, stamp)| stamp.is_some());
                let sources = manifest.sources.iter();
                if tree
                    && sources
                        .map(|source| source.content)
                        .all(|known| known.is_some())
                {
                    return;
                }
                assert!(Instant::now() < deadline, "{manifest:?}");
                std::thread::yield_now();
            }
        }
    }

    fn told(checked: Vec<Checked>) -> Vec<(String, Freshness)> {
        let told = checked.into_iter();
        told.map(|one| (one.source, one.state.unwrap())).collect()
    }

    fn expected(states: &[(&str, Freshness)]) -> Vec<(String, Freshness)> {
        let states = states.iter();
        states
            .map(|(path, state)| ((*path).to_owned(), *state))
            .collect()
    }

    #[test]
    fn every_kind_is_told_and_again_from_memory() {
        let place = Place::new();
        place.documented("fresh.py", "one", "one");
        place.documented("deep/stale.py", "two", "one");
        place.put("missing.py", "");
        place.put("own.py", "");
        place.put("DOCS/REPODOCS/own.py.md", "by hand");
        place.put("other/flat.py", "x");
        let elsewhere = HeaderForm::Comment.document(ContentHash::of(b"x"), "theirs");
        let elsewhere = String::from_utf8(elsewhere).unwrap();
        place.put("DOCS/REPODOCS/other_flat.py.md", &elsewhere);
        let states = expected(&[
            ("deep/stale.py", Freshness::Stale),
            ("fresh.py", Freshness::Fresh),
            ("missing.py", Freshness::Missing),
            ("other/flat.py", Freshness::Fresh),
            ("own.py", Freshness::Unmarked),
        ]);
        assert_eq!(place.all(), states);
        place.settle();
        assert_eq!(place.all(), states);
    }

    #[test]
    fn what_is_unchanged_is_not_read_again_and_what_is_changed_is() {
        let place = Place::new();
        place.documented("a.py", "one", "one");
        place.settle();
        let (file, mut manifest) = place.manifest();
        // A lie that only a reading of the file would find out.
        let belief = manifest.sources[0].content.unwrap();
        manifest.sources[0].content = Some(Belief {
            found: ContentHash::of(b"a lie"),
            ..belief
        });
        file.save(&manifest).unwrap();
        assert_eq!(place.all(), expected(&[("a.py", Freshness::Stale)]));
        place.put("a.py", "one");
        assert_eq!(place.all(), expected(&[("a.py", Freshness::Fresh)]));
    }

    /// Changes of the same length follow each other much faster than the clock of
    /// the file system ticks.
    #[test]
    fn changes_within_one_tick_are_seen() {
        let place = Place::new();
        place.documented("a.py", "one", "one");
        for _ in 0..300 {
            place.put("a.py", "two");
            assert_eq!(place.all(), expected(&[("a.py", Freshness::Stale)]));
            place.put("a.py", "one");
            assert_eq!(place.all(), expected(&[("a.py", Freshness::Fresh)]));
        }
        let document = place.path().join("DOCS/REPODOCS/a.py.md");
        let fresh = fs::read(&document).unwrap();
        let stale = HeaderForm::Plain.document(ContentHash::of(b"two"), "text");
        for _ in 0..300 {
            fs::write(&document, &stale).unwrap();
            assert_eq!(place.all(), expected(&[("a.py", Freshness::Stale)]));
            fs::write(&document, &fresh).unwrap();
            assert_eq!(place.all(), expected(&[("a.py", Freshness::Fresh)]));
        }
    }

    #[test]
    fn sources_that_come_and_go_are_noticed() {
        let place = Place::new();
        place.put("deep/a.py", "");
        place.settle();
        let sources = || -> Vec<String> {
            place.settle();
            place.all().into_iter().map(|(source, _)| source).collect()
        };
        place.put("deep/b.py", "");
        assert_eq!(sources(), ["deep/a.py", "deep/b.py"]);
        place.put(".git/info/exclude", "b.py\n");
        assert_eq!(sources(), ["deep/a.py"]);
        place.put(".git/info/exclude", "\n");
        place.put("deep/.gitignore", "a.py\n");
        assert_eq!(sources(), ["deep/b.py"]);
        place.put("deep/.gitignore", "b.py\n");
        assert_eq!(sources(), ["deep/a.py"]);
        fs::remove_file(place.path().join("deep/a.py")).unwrap();
        assert!(sources().is_empty());
    }

    #[test]
    fn other_settings_are_another_question() {
        let mut place = Place::new();
        place.documented("a/b.py", "one", "one");
        place.put("c.rs", "");
        place.settle();
        place.settings.sources = vec!["*.py".into()];
        assert_eq!(place.all(), expected(&[("a/b.py", Freshness::Fresh)]));
        place.settings.root = "docs".into();
        assert_eq!(place.all(), expected(&[("a/b.py", Freshness::Missing)]));
        place.settings.root = "DOCS/REPODOCS".into();
        place.settings.layout = Layout::Flat;
        assert_eq!(place.all(), expected(&[("a/b.py", Freshness::Fresh)]));
    }

    #[test]
    fn paths_name_files_and_folders() {
        let place = Place::new();
        place.documented("a/b.py", "one", "one");
        place.put("a/c.txt", "");
        place.put("d.py", "");
        let some = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            place.check().some(&paths)
        };
        let named = told(some(&["a/c.txt", "a", "./a/b.py"]).unwrap());
        let states = expected(&[
            ("a/b.py", Freshness::Fresh),
            ("a/c.txt", Freshness::Missing),
        ]);
        assert_eq!(named, states, "a file that is named is a source");
        for wrong in ["none.py", "../x", "DOCS/REPODOCS/a/b.py.md"] {
            let refused = some(&[wrong]).unwrap_err();
            assert!(!matches!(refused, CheckError::Io(_)), "{wrong}: {refused}");
        }
    }

    #[test]
    fn links_do_not_lead_out_of_the_root() {
        let place = Place::new();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("s.py"), "theirs").unwrap();
        std::os::unix::fs::symlink(outside.path(), place.path().join("link")).unwrap();
        // Whether it is there makes no difference.
        for path in ["link/s.py", "link/none.py"] {
            let refused = place.check().some(&[path.to_owned()]).unwrap_err();
            let CheckError::Path(refusal) = &refused else {
                panic!("{path}: {refused}");
            };
            assert_eq!(refusal.path, path);
            assert_eq!(refusal.reason, PathReason::Symlink);
        }
        assert!(place.all().is_empty());
        place.put("a.py", "one");
        fs::create_dir(place.path().join("DOCS")).unwrap();
        let documents = place.path().join("DOCS/REPODOCS");
        std::os::unix::fs::symlink(outside.path(), documents).unwrap();
        let refused = place.check().all().unwrap_err();
        assert!(matches!(refused, CheckError::Path(_)), "{refused}");
    }

    #[test]
    fn documents_behind_a_link_are_not_read() {
        let place = Place::new();
        place.documented("deep/a.py", "one", "one");
        let real = place.path().join("DOCS/REPODOCS/deep");
        fs::rename(&real, place.path().join("moved")).unwrap();
        std::os::unix::fs::symlink("../../moved", real).unwrap();
        let checked = place.check().all().unwrap();
        let told = checked[0].state.as_ref().unwrap_err();
        assert!(told.contains("symbolic link"), "{told}");
    }

    #[test]
    fn a_source_that_is_too_long_is_told_and_the_others_too() {
        let place = Place::new();
        place.put("a.py", "");
        place.put("long.py", &"x".repeat((1 << 20) + 1));
        let checked = place.check().all().unwrap();
        assert_eq!(checked[0].state, Ok(Freshness::Missing));
        assert!(checked[1].state.as_ref().unwrap_err().contains("bytes"));
    }
}
