//! Guarded changes of files: from the request to the point of commit.
//!
//! Owns: the order of a change. Lease, read, plan, stage, latch, compare, commit.
//! Promises: a refused change has changed nothing and left nothing staged; a plan
//! is committed only if, under the latch, every file still holds what the plan was
//! made for. Leaves to others: getting the lease (`acquire`), what the content
//! becomes (`plan`), making it visible (`commit`).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire;
use super::call::{Cx, mixed_up};
use super::commit::{self, Commit, Committed, Open, Staged};
use super::database::Guarded;
use super::facts::{located, paths, planned};
use super::graph::{MadePatch, PatchPart};
use super::io::{Call, Effect, FileOp, GRAPH};
use super::plan::Plan;
use super::right::{self, Right};
use super::seen;
use super::settle;
use super::transaction::DATABASE;
use crate::docgen::DocgenStale;
use crate::id::AgentId;
use crate::lease::command::Inspect;
use crate::lease::outcome::Inspected;
use crate::lease::{Command, Count, Counter, Outcome, RequestKey, Wake};
use crate::mutant::{Mutant, is_active};
use crate::path::fold;
use crate::policy::{CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META};
use crate::refusal::{ChangedBy, Refusal, Stale, StaleReason};
use crate::reply::{Beyond, DatabaseChanged, FileChanged, FreshDocument, Receipt};
use crate::resource::{Extent, ResourceKey, Scope, Want};

/// How often a plan is made anew because an outside writer changed a file
/// between reading it and latching it.
const ATTEMPTS_MAX: u32 = 5;

/// Changes files, all or nothing.
pub(super) async fn change(cx: &Cx, call: &Call, ops: Vec<FileOp>) -> Result<Receipt, Refusal> {
    if let Some(earlier) = recall(cx, call.request.as_ref()).await? {
        return Ok(earlier);
    }
    let result = changed(cx, call, ops).await;
    unless_answered(cx, call.request.as_ref(), result).await
}

async fn changed(cx: &Cx, call: &Call, ops: Vec<FileOp>) -> Result<Receipt, Refusal> {
    let ops = located(cx, ops).await?;
    let wants = paths(&ops).into_iter();
    let wants = wants.map(|path| Want::exclusive(file_key(cx, &path), CRIT_CODE));
    let asks = right::Needs {
        wants: wants.collect(),
        class: CRIT_CODE,
        purpose: ops.first().map_or("change", FileOp::name),
    };
    let right = right::for_call(cx, call, asks).await?;
    let asked = Changes::of_files(call.request.as_ref(), &ops);
    under(cx, asked, &right).await
}

/// What takes effect together.
pub(super) struct Changes<'a> {
    pub(super) request: Option<&'a RequestKey>,
    pub(super) ops: &'a [FileOp],
    pub(super) database: Option<&'a Guarded<'a>>,
    /// Documents for which there is nothing to do.
    pub(super) fresh: &'a [FreshDocument],
    pub(super) patch: Option<&'a PatchPart>,
}

impl<'a> Changes<'a> {
    /// Files alone.
    pub(super) fn of_files(request: Option<&'a RequestKey>, ops: &'a [FileOp]) -> Self {
        Self {
            request,
            ops,
            database: None,
            fresh: &[],
            patch: None,
        }
    }
}

/// Changes what was asked for under a lease, and returns the lease if the call
/// took it.
pub(super) async fn under(cx: &Cx, asked: Changes<'_>, right: &Right) -> Result<Receipt, Refusal> {
    let class = class_of_ops(asked.ops);
    let mut change = Change {
        cx,
        asked,
        right,
        staged: Vec::new(),
        patch: None,
    };
    match change.run().await {
        Ok(Committed::Receipt(receipt)) => Ok(receipt),
        Ok(Committed::Earlier(receipt)) => {
            if right.own {
                acquire::give_back(cx, &right.lease.id, Vec::new()).await;
            }
            replayed(cx).await?;
            Ok(receipt)
        }
        Ok(Committed::Blocked) => panic!("a blocked commit is tried again, not answered"),
        Ok(Committed::Refused(refusal)) => Err(met_outside(cx, right, *refusal, class).await),
        Err(refusal) => Err(give_up(cx, right, refusal, class).await),
    }
}

/// What a call comes to: where it is refused, the answer of a copy of the request
/// that took effect while this one was on its way, and so made it look stale or
/// impossible. Every call under a key asks for this last, after it has returned
/// what it had taken.
pub(super) async fn unless_answered(
    cx: &Cx,
    request: Option<&RequestKey>,
    result: Result<Receipt, Refusal>,
) -> Result<Receipt, Refusal> {
    let refusal = match result {
        Err(Refusal::Cancelled) | Ok(_) => return result,
        Err(refusal) => refusal,
    };
    match recall(cx, request).await {
        Ok(Some(earlier)) => Ok(earlier),
        Ok(None) => Err(refusal),
        Err(unknown) => Err(unless_known(refusal, unknown)),
    }
}

/// What to tell whoever was refused where nobody can say if a copy was answered:
/// that, unless the refusal leaves it open too.
fn unless_known(refusal: Refusal, unknown: Refusal) -> Refusal {
    match refusal {
        Refusal::Internal { .. } | Refusal::ResourceBusy(_) | Refusal::DbBusy(_) => refusal,
        _ => unknown,
    }
}

/// Shows what changes would do, without lease or effect.
pub(super) async fn preview(cx: &Cx, ops: Vec<FileOp>) -> Result<Vec<FileChanged>, Refusal> {
    let ops = located(cx, ops).await?;
    Ok(planned(cx, &ops).await?.changes)
}

/// The answer an earlier request with the same key was given.
pub(super) async fn recall(
    cx: &Cx,
    request: Option<&RequestKey>,
) -> Result<Option<Receipt>, Refusal> {
    let Some(request) = request else {
        return Ok(None);
    };
    let mut known = cx.store(Command::Recall(request.clone())).await?;
    if let Outcome::NeedRecovery(open) = &known {
        // The end of a commit may be lost with the power after it was
        // acknowledged; its answer is then made again from its intent.
        settle::settle_if_dead(cx, open.clone()).await?;
        known = cx.store(Command::Recall(request.clone())).await?;
    }
    let earlier = answer_in(known, request)?;
    if earlier.is_some() {
        replayed(cx).await?;
    }
    Ok(earlier)
}

/// What a copy of the request was answered that was done while this one waited for
/// the latches.
async fn answered(cx: &Cx, request: Option<&RequestKey>) -> Result<Option<Receipt>, Refusal> {
    let Some(request) = request else {
        return Ok(None);
    };
    answer_in(cx.store(Command::Recall(request.clone())).await?, request)
}

/// The answer that is known of a request, if one is.
fn answer_in(known: Outcome, request: &RequestKey) -> Result<Option<Receipt>, Refusal> {
    match known {
        // A commit whose process lives has not been answered.
        Outcome::NotAnswered | Outcome::NeedRecovery(_) => Ok(None),
        Outcome::Answered(receipt) => Ok(Some(receipt)),
        Outcome::KeyMismatch => Err(acquire::key_mismatch(Some(request))),
        other => mixed_up(&other),
    }
}

async fn replayed(cx: &Cx) -> Result<(), Refusal> {
    let count = cx.count(Counter::Replayed, CRIT_CODE);
    cx.store(Command::Tally(Vec::from([count]))).await?;
    Ok(())
}

/// The resource key of a file.
pub(super) fn file_key(cx: &Cx, path: &str) -> ResourceKey {
    let policy = cx.config().policies.get(CRIT_CODE);
    let prefix = policy.map_or("code", |policy| policy.key_prefix.as_str());
    ResourceKey::new(prefix, &fold(path))
}

/// The class that counts what these operations come to.
fn class_of_ops(ops: &[FileOp]) -> &'static str {
    let is_document = |op: &FileOp| matches!(op, FileOp::Document { .. });
    let is_graph = |op: &FileOp| matches!(op, FileOp::Graph { .. });
    if ops.iter().any(is_document) {
        IDEMP_DOCS
    } else if ops.iter().any(is_graph) {
        MERGE_META
    } else {
        CRIT_CODE
    }
}

/// The class that counts what a receipt tells.
pub(super) fn class_of(receipt: &Receipt) -> &'static str {
    match receipt {
        Receipt::Changed { files, .. } if files.iter().any(|file| file.document.is_some()) => {
            IDEMP_DOCS
        }
        Receipt::Changed { files, .. } if files.iter().any(|file| file.op == GRAPH) => MERGE_META,
        Receipt::Fresh { .. } => IDEMP_DOCS,
        Receipt::Written { .. } | Receipt::Enriched { .. } => CRIT_DB,
        Receipt::Patched(_) => MERGE_META,
        Receipt::Changed { .. } | Receipt::Leased { .. } | Receipt::Released { .. } => CRIT_CODE,
    }
}

/// Returns what a refused change had taken, and completes the refusal.
pub(super) async fn give_up(
    cx: &Cx,
    right: &Right,
    refusal: Refusal,
    class: &'static str,
) -> Refusal {
    let refusal = explained(cx, refusal).await;
    let mut counts = Vec::from([cx.count(Counter::GuardedFailed, class)]);
    if matches!(refusal, Refusal::StaleVersion(_) | Refusal::DocgenStale(_)) {
        counts.push(cx.count(Counter::StaleRefused, class));
    }
    if right.own {
        acquire::give_back(cx, &right.lease.id, counts).await;
    } else {
        let _ = cx.store(Command::Tally(counts)).await;
    }
    refusal
}

/// A commit that was undone has returned its lease already.
async fn met_outside(cx: &Cx, right: &Right, refusal: Refusal, class: &'static str) -> Refusal {
    if right.own {
        cx.let_go(&right.lease.id);
    }
    let mut counts = Vec::from([cx.count(Counter::GuardedFailed, class)]);
    if matches!(refusal, Refusal::StaleVersion(_)) {
        counts.push(cx.count(Counter::StaleRefused, class));
    }
    let _ = cx.store(Command::Tally(counts)).await;
    refusal
}

/// Adds to a stale refusal who changed the file.
async fn explained(cx: &Cx, refusal: Refusal) -> Refusal {
    let Refusal::StaleVersion(stale) = refusal else {
        return refusal;
    };
    let Ok(inspected) = inspect(cx, &stale.path).await else {
        return Refusal::StaleVersion(stale);
    };
    let version = inspected
        .version
        .filter(|version| version.content == stale.current);
    let changed_by = version.map(|version| ChangedBy {
        agent: version.agent,
        version: version.number,
        wall_ms: version.wall_ms,
    });
    Refusal::StaleVersion(Box::new(Stale {
        changed_by: stale.changed_by.clone().or(changed_by),
        ..*stale
    }))
}

/// The state of one file's key.
pub(super) async fn inspect(cx: &Cx, path: &str) -> Result<Inspected, Refusal> {
    let extent = Extent {
        key: file_key(cx, path),
        scope: Scope::Exact,
    };
    let path = Some(path.to_string());
    match cx.store(Command::Inspect(Inspect { extent, path })).await? {
        Outcome::Inspected(inspected) => Ok(inspected),
        other => mixed_up(&other),
    }
}

/// One change under its lease.
struct Change<'a> {
    cx: &'a Cx,
    asked: Changes<'a>,
    right: &'a Right,
    staged: Vec<String>,
    patch: Option<MadePatch>,
}

impl Change<'_> {
    async fn run(&mut self) -> Result<Committed, Refusal> {
        for attempt in 0..ATTEMPTS_MAX {
            let committed = self.attempt(attempt).await;
            self.discard().await;
            match committed? {
                Some(Committed::Receipt(receipt)) => {
                    return Ok(Committed::Receipt(self.seen(receipt)));
                }
                Some(other) => return Ok(other),
                None => {}
            }
        }
        let path = paths(self.asked.ops).into_iter().next().unwrap_or_default();
        Err(Refusal::StaleVersion(Box::new(Stale {
            path,
            reason: StaleReason::Unsteady,
            ..Stale::default()
        })))
    }

    async fn attempt(&mut self, attempt: u32) -> Result<Option<Committed>, Refusal> {
        self.cx.still_wanted()?;
        let plan = planned(self.cx, self.asked.ops).await?;
        let staged = self.stage(&plan, attempt).await?;
        self.commit(&plan, staged).await
    }

    /// Writes new contents under names of their own. Those of a set are on the
    /// disk, names too, before its intent is, or recovery could make half of it
    /// visible; a single one has time until its swap.
    async fn stage(&mut self, plan: &Plan, attempt: u32) -> Result<Vec<Staged>, Refusal> {
        let session = &self.cx.seed.session;
        let op = self.cx.seed.entropy.derive("op", attempt.into());
        let beyond = self.asked.database.is_some() || self.asked.patch.is_some();
        let is_set = plan.files.len() > 1 || beyond;
        let mut staged = Vec::new();
        for (n, file) in plan.files.iter().enumerate() {
            let stage = alloc::format!("{session}/{op}-{n}");
            if let Some(content) = &file.new {
                self.staged.push(stage.clone());
                let effect = Effect::Stage {
                    name: stage.clone(),
                    like: file.like.clone(),
                    target: file.path.clone(),
                    content: content.bytes.clone(),
                    at_once: is_set,
                };
                self.cx.perform(effect).await?;
            }
            staged.push(Staged {
                planned: file.clone(),
                key: file_key(self.cx, &file.path),
                stage,
            });
        }
        if is_set && !self.staged.is_empty() {
            let names = Effect::SyncStaged(self.staged.clone());
            self.cx.perform(names).await?;
        }
        Ok(staged)
    }

    /// Commits under the latches; nothing if a file no longer holds what the
    /// plan was made for.
    async fn commit(
        &mut self,
        plan: &Plan,
        files: Vec<Staged>,
    ) -> Result<Option<Committed>, Refusal> {
        let cx = self.cx;
        cx.still_wanted()?;
        let keys = commit::latch_keys(&self.right.lease, &files);
        let started = cx.now();
        if !is_active(Mutant::CommitWithoutLatch)
            && let Err(process) = cx.latch(keys.clone()).await?
        {
            cx.unless_observed(acquire::latch_busy(cx, &keys, process, started, 0))?;
        }
        let mut begun = false;
        let result = self.under_latch(plan, files, &keys, &mut begun).await;
        if let Some(database) = self.asked.database
            && !matches!(result, Ok((Some(Committed::Receipt(_)), _)))
        {
            database.roll_back().await;
        }
        if begun {
            // The staged names belong to the intent now, whatever came of it.
            self.staged.clear();
        }
        if begun && result.is_err() && !self.right.own {
            // Nobody else would settle it before the presented lease ends. Where
            // this fails too, that end does.
            let _ = settle::settle_under(cx, self.right.lease.token, &keys).await;
        }
        cx.unlatch().await?;
        let (committed, wake) =
            result.map_err(|refusal| if begun { unfinished(&refusal) } else { refusal })?;
        cx.ring(wake).await;
        if let Some(Committed::Blocked) = committed {
            settle::settle_dead(cx).await?;
            return Ok(None);
        }
        Ok(committed)
    }

    async fn under_latch(
        &mut self,
        plan: &Plan,
        files: Vec<Staged>,
        keys: &[ResourceKey],
        begun: &mut bool,
    ) -> Result<(Option<Committed>, Vec<Wake>), Refusal> {
        if self.asked.patch.is_some()
            && let Some(earlier) = answered(self.cx, self.asked.request).await?
        {
            return Ok((Some(Committed::Earlier(earlier)), Vec::new()));
        }
        for file in &files {
            if self.cx.hash(&file.planned.path).await? != file.planned.old {
                return Ok((None, Vec::new()));
            }
        }
        self.sources_stand(plan).await?;
        let mut receipt = Receipt::Changed {
            files: plan.changes.clone(),
            token: self.right.lease.token,
            waited_ms: self.right.waited_ms,
            beyond: Beyond {
                fresh: self.asked.fresh.to_vec(),
                ..Beyond::default()
            },
        };
        let mut database = None;
        if let Some(guarded) = self.asked.database {
            if !guarded.settle_earlier(keys).await? {
                return Ok((Some(Committed::Blocked), Vec::new()));
            }
            database = Some(open(guarded, &mut receipt).await?);
        }
        let mut patch = None;
        if let Some(part) = self.asked.patch {
            let joined = part.join(self.cx, &mut self.patch, &mut receipt).await;
            patch = Some(joined.map_err(|refusal| refusal.within("graph"))?);
        }
        let commit = Commit {
            right: self.right,
            request: self.asked.request,
            files,
            latches: keys.to_vec(),
            receipt,
            database,
            patch,
        };
        let (committed, wake) = commit::commit(self.cx, commit, begun).await?;
        Ok((Some(committed), wake))
    }

    /// Documents are made visible only while their sources are what they were
    /// made from, or become that together with them.
    async fn sources_stand(&self, plan: &Plan) -> Result<(), Refusal> {
        if is_active(Mutant::DocgenSourceLookedAtOnce) {
            return Ok(());
        }
        for op in self.asked.ops {
            let FileOp::Document { made, .. } = op else {
                continue;
            };
            let mut files = plan.files.iter();
            let current = match files.find(|file| file.path == made.source) {
                Some(file) => file.new.as_ref().map(|content| content.hash),
                None => self.cx.hash(&made.source).await?,
            };
            if current != Some(made.source_sha256) {
                let stale = Refusal::DocgenStale(Box::new(DocgenStale {
                    path: made.source.clone(),
                    expected: Some(made.source_sha256),
                    current,
                }));
                self.cx.unless_observed(stale)?;
            }
        }
        Ok(())
    }

    async fn discard(&mut self) {
        let staged = core::mem::take(&mut self.staged);
        if !staged.is_empty() {
            // What stays is swept with the session's staging folder.
            let _ = self.cx.perform(Effect::Discard(staged)).await;
        }
    }

    /// Remembers what the agent has now seen: what it wrote itself.
    fn seen(&self, receipt: Receipt) -> Receipt {
        if let Receipt::Changed { files, .. } = &receipt {
            let mut shared = self.cx.seed.shared.borrow_mut();
            seen::follow(&mut shared, &self.cx.seed.agent, files);
        }
        if self.right.own {
            self.cx.let_go(&self.right.lease.id);
        }
        receipt
    }
}

/// Begins the part in a database and does its work, all but the commit.
async fn open<'a>(guarded: &'a Guarded<'a>, receipt: &mut Receipt) -> Result<Open<'a>, Refusal> {
    let begun = guarded.begin(None).await?;
    guarded.passes(begun.fence)?;
    let written = guarded.work().await;
    let written = written.map_err(|refusal| refusal.within(DATABASE))?;
    if let Receipt::Changed { beyond, .. } = receipt {
        beyond.database = Some(DatabaseChanged {
            db: guarded.asked.db.clone(),
            rows_affected: written.rows_affected,
            last_insert_rowid: written.last_insert_rowid,
        });
    }
    Ok(Open {
        guarded,
        wall_ms: begun.wall_ms,
    })
}

/// A commit that was begun may yet take effect, so it is not refused: a refused
/// call has changed nothing.
fn unfinished(cause: &Refusal) -> Refusal {
    Refusal::internal(alloc::format!(
        "the commit could not be finished and will be settled ({cause}); read the files to see what they hold"
    ))
}

/// The counters a committed change adds to.
pub(super) fn counts_of(receipt: &Receipt, agent: &AgentId) -> Vec<Count> {
    let mut counts = BTreeMap::from([(Counter::GuardedOk, 1)]);
    if let Receipt::Changed { files, .. } = receipt {
        for file in files {
            *counts.entry(Counter::Merged).or_default() += u64::from(file.merged);
            *counts.entry(Counter::Rebased).or_default() += u64::from(file.rebased);
        }
    }
    let class = class_of(receipt);
    let counts = counts.into_iter().filter(|(_, by)| *by > 0);
    let counts = counts.map(|(counter, by)| Count {
        by,
        ..Count::one(counter, class, agent)
    });
    let (database, graph) = match receipt {
        Receipt::Changed { beyond, .. } => (beyond.database.is_some(), beyond.graph.is_some()),
        _ => (false, false),
    };
    let database = database.then(|| Count::one(Counter::DbWritten, CRIT_DB, agent));
    let graph = graph.then(|| Count::one(Counter::GraphMerged, MERGE_META, agent));
    counts.chain(database).chain(graph).collect()
}
