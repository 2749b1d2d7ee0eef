//! What a set of file operations makes of a set of files.
//!
//! Owns: staleness, edits, merges, and the composition of several operations on
//! one file, as a pure function of the operations, what the files hold and what
//! the agent has seen. Promises: the same inputs give the same plan, so it can be
//! made without the latch and compared under it. Leaves to others: reading,
//! staging and swapping (`commit`).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::io::{DOCUMENT, FileOp, OnStale};
use crate::id::ContentHash;
use crate::mutant::{Mutant, is_active};
use crate::refusal::{Refusal, Stale, StaleReason};
use crate::reply::FileChanged;
use crate::text::hunk::Hunk;
use crate::text::merge::{ConflictHunk, Merge, merge3};
use crate::text::{diff, edit};

/// The longest diff in an answer, in bytes.
const DIFF_BYTES_MAX: usize = 16 * 1024;

/// A file's content with its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Arc<[u8]>,
    pub(super) hash: ContentHash,
}

impl Content {
    pub(super) fn of(bytes: Arc<[u8]>) -> Self {
        let hash = ContentHash::of(&bytes);
        Self { bytes, hash }
    }
}

/// What the planner is given besides the operations.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// What each named file holds.
    pub(super) files: BTreeMap<String, Option<Content>>,
    /// What the agent has seen of each.
    pub(super) seen: BTreeMap<String, ContentHash>,
    /// Kept contents that were asked for: the bases of merges.
    pub(super) objects: BTreeMap<ContentHash, Option<Arc<[u8]>>>,
    /// Earlier versions that were asked for, by file and number.
    pub(super) versions: BTreeMap<(String, u64), Option<Arc<[u8]>>>,
}

/// What becomes of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    pub(super) path: String,
    pub(super) op: String,
    /// The file whose permissions the new content gets.
    pub(super) like: String,
    pub(super) old: Option<ContentHash>,
    pub(super) new: Option<Content>,
}

/// The outcome of planning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The files that change, in the order of their paths.
    pub(super) files: Vec<Planned>,
    /// The answer, one entry for each operation.
    pub(super) changes: Vec<FileChanged>,
}

/// Why there is no plan.
#[derive(Debug)]
pub(super) enum NoPlan {
    /// A kept content is needed.
    NeedsObject(ContentHash),
    /// The content of an earlier version is needed.
    NeedsVersion(String, u64),
    /// The operations cannot be done.
    Refused(Refusal),
}

impl From<Refusal> for NoPlan {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Makes the plan for `ops`.
pub(super) fn plan(ops: &[FileOp], facts: &Facts) -> Result<Plan, NoPlan> {
    let mut planner = Planner {
        facts,
        files: BTreeMap::new(),
    };
    let mut changes = Vec::new();
    for op in ops {
        changes.push(planner.apply(op)?);
    }
    let files = planner
        .files
        .into_iter()
        .filter_map(|(path, file)| file.planned(path));
    let files: Vec<Planned> = files.collect();
    refuse_file_and_folder(&files)?;
    Ok(Plan { files, changes })
}

/// Nothing can be a file and the folder of another file. Found here it is refused;
/// found at the second swap the commit could not be finished.
fn refuse_file_and_folder(files: &[Planned]) -> Result<(), Refusal> {
    let there = files.iter().filter(|file| file.new.is_some());
    let there: BTreeSet<&str> = there.map(|file| file.path.as_str()).collect();
    for path in &there {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        if let Some(folder) = above.into_iter().find(|folder| there.contains(folder)) {
            let message = alloc::format!("{folder} cannot be a file and the folder of {path}");
            return Err(Refusal::invalid("changes", message));
        }
    }
    Ok(())
}

/// The files as the operations so far have made them.
struct Planner<'a> {
    facts: &'a Facts,
    files: BTreeMap<String, Draft>,
}

/// One file on its way.
struct Draft {
    original: Option<ContentHash>,
    now: Option<Content>,
    op: &'static str,
    like: Option<String>,
    /// Whether the caller knows what it holds now: it was made from what the caller
    /// had seen, or is the caller's own.
    known: bool,
}

impl Draft {
    fn planned(self, path: String) -> Option<Planned> {
        let hash = self.now.as_ref().map(|content| content.hash);
        if hash == self.original {
            return None;
        }
        Some(Planned {
            like: self.like.unwrap_or_else(|| path.clone()),
            path,
            op: self.op.to_string(),
            old: self.original,
            new: self.now,
        })
    }
}

impl Planner<'_> {
    fn apply(&mut self, op: &FileOp) -> Result<FileChanged, NoPlan> {
        match op {
            FileOp::Write {
                path,
                content,
                base,
                on_stale,
            } => self.write(path, content, *base, *on_stale),
            FileOp::Edit { path, edits, base } => self.edit(path, edits, *base),
            FileOp::Move {
                source,
                destination,
                base,
            } => self.rename(source, destination, *base),
            FileOp::Delete { path, base } => {
                if self.now(path).is_none() {
                    return Err(self.gone(path, *base).into());
                }
                self.expect(path, *base)?;
                Ok(self.put(path, None, "delete", true))
            }
            FileOp::Restore {
                path,
                version,
                base,
            } => self.restore(path, *version, *base),
            FileOp::Document {
                path,
                content,
                base,
                made,
            } => {
                let changed = self.gated(path, content, *base, DOCUMENT)?;
                Ok(FileChanged {
                    document: Some(made.clone()),
                    ..changed
                })
            }
            FileOp::Graph {
                path,
                content,
                base,
                carried_over,
            } => {
                let changed = self.gated(path, content, *base, "graph")?;
                Ok(FileChanged {
                    carried_over: Some(*carried_over),
                    ..changed
                })
            }
        }
    }

    fn write(
        &mut self,
        path: &str,
        content: &[u8],
        base: Option<ContentHash>,
        on_stale: OnStale,
    ) -> Result<FileChanged, NoPlan> {
        let wanted = Content::of(content.into());
        // Who has seen something else and wants what somebody wrote meanwhile is
        // too late all the same: two that count from one to two make one step.
        let is_blind = base.or_else(|| self.seen(path)).is_none();
        if is_blind && self.now(path).is_some_and(|now| now.hash == wanted.hash) {
            return Ok(self.put(path, Some(wanted), "write", true));
        }
        let Err(stale) = self.expect(path, base) else {
            return Ok(self.put(path, Some(wanted), "write", true));
        };
        let Refusal::StaleVersion(stale) = stale else {
            return Err(stale.into());
        };
        if on_stale == OnStale::Refuse || stale.reason != StaleReason::Changed {
            return Err(self.explained(*stale, &wanted).into());
        }
        let merged = self.merge(path, &stale, &wanted)?;
        let merged = Content::of(merged.into());
        let changed = self.put(path, Some(merged), "write", false);
        Ok(FileChanged {
            merged: true,
            ..changed
        })
    }

    /// Merges a stale write with what came between.
    fn merge(&self, path: &str, stale: &Stale, wanted: &Content) -> Result<Vec<u8>, NoPlan> {
        let base = stale
            .expected
            .expect("a changed file was seen before, or it would be unread");
        let Some(kept) = self.facts.objects.get(&base) else {
            return Err(NoPlan::NeedsObject(base));
        };
        let refuse = |reason, conflicts: Vec<ConflictHunk>| {
            let stale = Stale {
                reason,
                conflicts,
                ..stale.clone()
            };
            NoPlan::Refused(self.explained(stale, wanted))
        };
        let Some(kept) = kept else {
            return Err(refuse(StaleReason::BaseUnknown, Vec::new()));
        };
        let theirs = self
            .now(path)
            .expect("a vanished file is stale for another reason");
        match merge3(kept, &wanted.bytes, &theirs.bytes) {
            Merge::Clean { .. } if is_active(Mutant::MergeTakesOneSide) => {
                Ok(wanted.bytes.to_vec())
            }
            Merge::Clean { bytes } => Ok(bytes),
            Merge::Conflict { hunks, .. } => Err(refuse(StaleReason::Conflicting, hunks)),
            Merge::Binary | Merge::TooLarge => Err(refuse(StaleReason::Conflicting, Vec::new())),
        }
    }

    fn edit(
        &mut self,
        path: &str,
        edits: &[edit::Edit],
        base: Option<ContentHash>,
    ) -> Result<FileChanged, NoPlan> {
        let seen = base.or_else(|| self.seen(path));
        let Some(now) = self.now(path).cloned() else {
            let stale = Stale {
                path: path.into(),
                reason: StaleReason::Vanished,
                expected: seen,
                ..Stale::default()
            };
            return Err(if seen.is_some() {
                Refusal::StaleVersion(Box::new(stale)).into()
            } else {
                Refusal::invalid("path", alloc::format!("{path} does not exist")).into()
            });
        };
        let rebased = !self.files.contains_key(path) && seen.is_some_and(|seen| seen != now.hash);
        match edit::apply(&now.bytes, edits) {
            Ok(edited) => {
                let after = Content::of(edited.bytes.into());
                let diff = diff::unified(&now.bytes, &after.bytes, path, DIFF_BYTES_MAX);
                let known = self.knows(path, base);
                let changed = self.put(path, Some(after), "edit", known);
                Ok(FileChanged {
                    rebased,
                    replacements: edited.replacements,
                    diff: Some(diff),
                    ..changed
                })
            }
            Err(refusal) if rebased => Err(Self::edit_is_stale(path, seen, &now, refusal).into()),
            Err(refusal) => Err(Refusal::Edit {
                path: path.into(),
                refusal,
            }
            .into()),
        }
    }

    /// An edit that does not apply to content its author had not seen: what
    /// differs is what came between.
    fn edit_is_stale(
        path: &str,
        seen: Option<ContentHash>,
        now: &Content,
        refusal: edit::EditRefusal,
    ) -> Refusal {
        let edit::EditReason::NotFound { nearest } = refusal.reason else {
            return Refusal::Edit {
                path: path.into(),
                refusal,
            };
        };
        Refusal::StaleVersion(Box::new(Stale {
            path: path.into(),
            reason: StaleReason::Conflicting,
            expected: seen,
            current: Some(now.hash),
            hunk: nearest,
            ..Stale::default()
        }))
    }

    fn rename(
        &mut self,
        source: &str,
        destination: &str,
        base: Option<ContentHash>,
    ) -> Result<FileChanged, NoPlan> {
        if source == destination {
            return Err(Refusal::invalid("destination", "is the source").into());
        }
        let Some(content) = self.now(source).cloned() else {
            return Err(self.gone(source, base).into());
        };
        let seen = self.seen(source);
        let expected = base.or(seen.filter(|_| !is_active(Mutant::MoveNotCompared)));
        if let Some(expected) = expected.filter(|expected| *expected != content.hash)
            && !self.files.contains_key(source)
        {
            return Err(self.changed(source, Some(expected)).into());
        }
        if self.now(destination).is_some() {
            return Err(Refusal::InvalidRequest {
                field: "destination".into(),
                message: alloc::format!("{destination} exists"),
                hint: Some("delete it first, in the same refactor_file".into()),
            }
            .into());
        }
        let like = self.files.get(source).and_then(|file| file.like.clone());
        let known = self.knows(source, base);
        self.put(source, None, "move", true);
        let changed = self.put(destination, Some(content), "move", known);
        let draft = self.files.get_mut(destination).expect("put just now");
        draft.like = Some(like.unwrap_or_else(|| source.into()));
        Ok(FileChanged {
            source: Some(source.into()),
            ..changed
        })
    }

    fn restore(
        &mut self,
        path: &str,
        version: u64,
        base: Option<ContentHash>,
    ) -> Result<FileChanged, NoPlan> {
        let Some(content) = self.facts.versions.get(&(path.into(), version)) else {
            return Err(NoPlan::NeedsVersion(path.into(), version));
        };
        let Some(content) = content else {
            return Err(Refusal::InvalidRequest {
                field: "version".into(),
                message: alloc::format!("version {version} of {path} is not kept"),
                hint: Some("file_history lists the versions that are".into()),
            }
            .into());
        };
        self.expect(path, base)?;
        let content = Content::of(content.clone());
        Ok(self.put(path, Some(content), "restore", true))
    }

    /// What was made from what the file held; what the agent has seen of it is of
    /// no account.
    fn gated(
        &mut self,
        path: &str,
        content: &[u8],
        base: Option<ContentHash>,
        op: &'static str,
    ) -> Result<FileChanged, NoPlan> {
        let current = self.now(path).map(|now| now.hash);
        if current == base {
            return Ok(self.put(path, Some(Content::of(content.into())), op, true));
        }
        Err(Refusal::StaleVersion(Box::new(Stale {
            path: path.into(),
            reason: StaleReason::Unsteady,
            expected: base,
            current,
            ..Stale::default()
        }))
        .into())
    }

    /// Refuses unless the file holds what the caller had seen; a caller that has
    /// seen nothing may create a file, not replace one. What an earlier operation has
    /// made of it is known to whoever knew what it was made from.
    fn expect(&self, path: &str, base: Option<ContentHash>) -> Result<(), Refusal> {
        let expected = base.or_else(|| self.seen(path));
        match self.files.get(path) {
            Some(file) if file.known => return Ok(()),
            Some(_) => return Err(self.changed(path, expected)),
            None => {}
        }
        match (expected, self.now(path)) {
            (None, None) => Ok(()),
            (Some(expected), Some(now))
                if is_active(Mutant::HashNotChecked) || expected == now.hash =>
            {
                Ok(())
            }
            (Some(_), None) => Err(self.gone(path, base)),
            (_, Some(_)) => Err(self.changed(path, expected)),
        }
    }

    /// Whether the caller knows what the file holds now.
    fn knows(&self, path: &str, base: Option<ContentHash>) -> bool {
        match self.files.get(path) {
            Some(file) => file.known,
            None => base.or_else(|| self.seen(path)) == self.now(path).map(|now| now.hash),
        }
    }

    fn gone(&self, path: &str, base: Option<ContentHash>) -> Refusal {
        match base.or_else(|| self.seen(path)) {
            None => Refusal::invalid("path", alloc::format!("{path} does not exist")),
            expected => Refusal::StaleVersion(Box::new(Stale {
                path: path.into(),
                reason: StaleReason::Vanished,
                expected,
                ..Stale::default()
            })),
        }
    }

    fn changed(&self, path: &str, expected: Option<ContentHash>) -> Refusal {
        let reason = if expected.is_some() {
            StaleReason::Changed
        } else {
            StaleReason::NeverRead
        };
        Refusal::StaleVersion(Box::new(Stale {
            path: path.into(),
            reason,
            expected,
            current: self.now(path).map(|now| now.hash),
            ..Stale::default()
        }))
    }

    /// Adds where the caller's content and the current one part.
    fn explained(&self, stale: Stale, wanted: &Content) -> Refusal {
        let hunk: Option<Hunk> = self
            .now(&stale.path)
            .and_then(|now| diff::first_difference(&wanted.bytes, &now.bytes));
        Refusal::StaleVersion(Box::new(Stale { hunk, ..stale }))
    }

    fn seen(&self, path: &str) -> Option<ContentHash> {
        self.facts.seen.get(path).copied()
    }

    fn now(&self, path: &str) -> Option<&Content> {
        match self.files.get(path) {
            Some(file) => file.now.as_ref(),
            None => self.original(path),
        }
    }

    fn original(&self, path: &str) -> Option<&Content> {
        self.facts
            .files
            .get(path)
            .expect("every named file was read")
            .as_ref()
    }

    fn put(
        &mut self,
        path: &str,
        content: Option<Content>,
        op: &'static str,
        known: bool,
    ) -> FileChanged {
        let original = self.original(path).map(|content| content.hash);
        let changed = FileChanged {
            path: path.into(),
            op: op.into(),
            bytes_written: content
                .as_ref()
                .map_or(0, |content| content.bytes.len() as u64),
            sha256: content.as_ref().map(|content| content.hash),
            previous_sha256: original,
            ..FileChanged::default()
        };
        let like = self.files.remove(path).and_then(|file| file.like);
        let draft = Draft {
            original,
            now: content,
            op,
            like,
            known,
        };
        self.files.insert(path.into(), draft);
        changed
    }
}
