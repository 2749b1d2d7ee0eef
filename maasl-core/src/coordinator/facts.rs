//! What a plan is made from.
//!
//! Owns: finding the files that operations name, and reading what a plan of them
//! needs. Promises: nothing is read that no operation names; what is larger than
//! the limits is refused before anything is staged. Leaves to others: the plan
//! itself (`plan`) and carrying it out (`change`).

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::call::Cx;
use super::io::FileOp;
use super::observe;
use super::plan::{Content, Facts, NoPlan, Plan, plan};
use crate::refusal::Refusal;

/// The operations with paths relative to the root.
pub(super) async fn located(cx: &Cx, ops: Vec<FileOp>) -> Result<Vec<FileOp>, Refusal> {
    let limits = &cx.config().limits;
    if ops.len() as u64 > limits.max_changes {
        let limit = "max_changes".to_string();
        return Err(Refusal::LimitReached {
            limit,
            value: limits.max_changes,
        });
    }
    let edits = ops.iter().map(|op| match op {
        FileOp::Edit { edits, .. } => edits.len() as u64,
        _ => 0,
    });
    if edits.max().unwrap_or(0) > limits.max_edits {
        let limit = "max_edits".to_string();
        return Err(Refusal::LimitReached {
            limit,
            value: limits.max_edits,
        });
    }
    let mut ops = ops;
    let asked: Vec<String> = ops
        .iter_mut()
        .flat_map(paths_of)
        .map(|path| path.clone())
        .collect();
    let mut found = cx.locate(asked).await?.into_iter();
    for path in ops.iter_mut().flat_map(paths_of) {
        *path = found
            .next()
            .expect("as many were located as were asked for");
    }
    Ok(ops)
}

/// The files that an operation is about, what it is called by first.
pub(super) fn paths_of(op: &mut FileOp) -> Vec<&mut String> {
    match op {
        FileOp::Write { path, .. }
        | FileOp::Edit { path, .. }
        | FileOp::Delete { path, .. }
        | FileOp::Restore { path, .. }
        | FileOp::Document { path, .. }
        | FileOp::Graph { path, .. } => Vec::from([path]),
        FileOp::Move {
            source,
            destination,
            ..
        } => Vec::from([source, destination]),
    }
}

/// The files that these operations are about.
pub(super) fn paths(ops: &[FileOp]) -> BTreeSet<String> {
    let mut ops = ops.to_vec();
    ops.iter_mut()
        .flat_map(paths_of)
        .map(|path| path.clone())
        .collect()
}

/// Reads every file the operations name and plans, fetching what merges and
/// restores ask for.
pub(super) async fn planned(cx: &Cx, ops: &[FileOp]) -> Result<Plan, Refusal> {
    let mut facts = Facts::default();
    let mut room = Room::of(cx);
    for path in paths(ops) {
        let content = cx.read(&path).await?;
        room.take(content.as_deref())?;
        let content = content.map(Content::of);
        if let Some(seen) = cx.seed.shared.borrow().seen(&cx.seed.agent, &path) {
            facts.seen.insert(path.clone(), seen);
        }
        facts.files.insert(path, content);
    }
    let mut unopposed = None;
    loop {
        match plan(unopposed.as_deref().unwrap_or(ops), &facts) {
            Ok(plan) => return within_limits(cx, plan),
            Err(NoPlan::Refused(refusal)) if unopposed.is_some() => return Err(refusal),
            Err(NoPlan::Refused(refusal)) => {
                cx.unless_observed(refusal)?;
                unopposed = Some(observe::unopposed(ops, &facts));
            }
            Err(NoPlan::NeedsObject(hash)) => {
                let object = cx.object(hash).await?;
                facts.objects.insert(hash, object);
            }
            Err(NoPlan::NeedsVersion(path, number)) => {
                let content = earlier_content(cx, &facts, &path, number).await?;
                facts.versions.insert((path, number), content);
            }
        }
    }
}

/// The files of one call together may have so many times the bytes of the largest
/// one: all of them are in memory at once.
const LARGEST_FILES: u64 = 4;

/// How much more one call may read.
pub(super) struct Room {
    max: u64,
    left: u64,
}

impl Room {
    pub(super) fn of(cx: &Cx) -> Self {
        let max = cx.config().limits.max_file_bytes * LARGEST_FILES;
        Self { max, left: max }
    }

    /// Makes room for a content, if there is any left for it.
    pub(super) fn take(&mut self, content: Option<&[u8]>) -> Result<(), Refusal> {
        let bytes = content.map_or(0, |content| content.len() as u64);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Refusal::LimitReached {
                limit: "four times max_file_bytes, of all files of one call together,".into(),
                value: self.max,
            }),
        }
    }
}

/// The bytes of an earlier version: kept, or still in the file.
async fn earlier_content(
    cx: &Cx,
    facts: &Facts,
    path: &str,
    number: u64,
) -> Result<Option<alloc::sync::Arc<[u8]>>, Refusal> {
    let version = cx.version(path, number).await?;
    let Some(hash) = version.and_then(|version| version.content) else {
        return Ok(None);
    };
    let current = facts.files.get(path).and_then(Option::as_ref);
    if let Some(current) = current.filter(|current| current.hash == hash) {
        return Ok(Some(current.bytes.clone()));
    }
    cx.object(hash).await
}

fn within_limits(cx: &Cx, plan: Plan) -> Result<Plan, Refusal> {
    let max = cx.config().limits.max_file_bytes;
    let sizes = plan.files.iter().filter_map(|file| file.new.as_ref());
    if sizes
        .into_iter()
        .any(|content| content.bytes.len() as u64 > max)
    {
        return Err(Refusal::LimitReached {
            limit: "max_file_bytes".into(),
            value: max,
        });
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_one_call_are_bounded_together() {
        let mut room = Room { max: 7, left: 7 };
        assert_eq!(room.take(Some(b"1234")), Ok(()));
        assert_eq!(room.take(None), Ok(()));
        let refused = room.take(Some(b"5678")).expect_err("eight bytes");
        assert!(matches!(refused, Refusal::LimitReached { value: 7, .. }));
        assert_eq!(room.take(Some(b"567")), Ok(()));
    }
}
