//! Graphs: changing them together, and looking at them.
//!
//! Owns: the order of a patch. Check, number, foresee, append. Promises: a patch is
//! appended whole or not at all, once under one idempotency key, without a lease
//! and without waiting for anybody; what its answer tells is what it does to the
//! graph as of the patches before it; whoever is told of a graph is told what is on
//! the disk. Leaves to others: what patches amount to (`crate::graph`), files and
//! checkpoints, which take the lease (`file`, `keep`).
//!
//! A number that is drawn and not used stays a gap in what everybody has seen from
//! then on, and it cannot be given back: nobody knows whether a patch under it is
//! still on its way. So it is drawn last, when only a death, a failure, or an end of
//! the lease or a copy of the call in the same instant can keep the patch from being
//! appended.

mod file;
mod keep;
pub(super) mod known;
mod part;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use self::known::damaged;
use super::acquire;
use super::call::{Cx, mixed_up};
use super::change;
use super::io::{Call, Event, Reply};
use super::right;
use crate::graph::changes::{Changes, Field, Invalid, InvalidReason, Part};
use crate::graph::conflict::Conflict;
use crate::graph::journal::Cursor;
use crate::graph::patch::{Checked, Header, Patch};
use crate::graph::query::{Answer, Question};
use crate::graph::seen::{Dot, Seen};
use crate::graph::state::Merged;
use crate::id::{ActorId, ContentHash, LeaseId};
use crate::lease::command::{AppendPatch, DrawDot, ReadGraph};
use crate::lease::row::CommitPatch;
use crate::lease::{Command, Counter, Outcome};
use crate::path::fold;
use crate::policy::MERGE_META;
use crate::refusal::Refusal;
use crate::reply::{GraphChanged, Receipt};
use crate::resource::{ResourceKey, Want};

pub(super) use self::file::{export, import};
pub(super) use self::keep::compact;
pub(super) use self::part::{Made as MadePatch, Part as PatchPart};

/// The graph that is meant where none is named.
pub const MAIN: &str = "main";
/// Longest name of a graph, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// Conflicts told in the answer to a patch; all are in the log.
const CONFLICTS_TOLD_MAX: usize = 100;
/// How often an answer is made anew because others appended meanwhile. After that
/// it tells what the patch does to the graph as it was a moment before.
const ATTEMPTS_MAX: u32 = 16;
/// A name as long as those of stores, in the place of one that is still to be drawn.
const SOME_STORE: &str = "some-store-x";

/// A patch, as it is asked for.
#[derive(Clone, Debug)]
pub struct GraphPatch {
    /// Which graph.
    pub graph: String,
    /// What to change.
    pub changes: Changes,
    /// What its author has seen; what the agent last saw where not given.
    pub seen: Option<Seen>,
}

/// A look at a graph.
#[derive(Clone, Debug)]
pub struct GraphQuery {
    /// Which graph.
    pub graph: String,
    /// What of it.
    pub question: Question,
    /// Most conflicts in the answer.
    pub conflicts_max: usize,
}

/// A graph and a file.
#[derive(Clone, Debug)]
pub struct GraphFile {
    /// Which graph.
    pub graph: String,
    /// Which file; that of the graph where not given.
    pub path: Option<String>,
}

/// Part of a graph, and where the whole stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphView {
    /// Nodes and edges.
    pub answer: Answer,
    /// The first conflicts of the log.
    pub conflicts: Vec<Conflict>,
    /// How many there are.
    pub conflicts_total: u64,
    /// The hash of the whole graph and its log.
    pub digest: ContentHash,
    /// What the agent has now seen.
    pub seen: Seen,
    /// How many patches the graph is made of.
    pub patches: u64,
}

/// What a file brought into a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphImported {
    /// The file.
    pub path: String,
    /// In how many patches.
    pub patches: u64,
    /// What shows differently.
    pub effect: Merged,
    /// Entries of the file that have no id or no ends.
    pub skipped: u64,
}

/// What came of making checkpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GraphsCompacted {
    /// So many graphs have a new one.
    pub kept: u64,
    /// The graphs of which none could be made, and why.
    pub failed: Vec<(String, Refusal)>,
}

/// Changes a graph.
pub(super) async fn patch(cx: &Cx, call: &Call, asked: GraphPatch) -> Result<Receipt, Refusal> {
    if let Some(earlier) = change::recall(cx, call.request.as_ref()).await? {
        told_again(cx, &earlier);
        return Ok(earlier);
    }
    let result = checked_patch(cx, call, asked).await;
    let result = change::unless_answered(cx, call.request.as_ref(), result).await;
    if let Ok(receipt) = &result {
        told_again(cx, receipt);
    } else {
        let failed = cx.count(Counter::GuardedFailed, MERGE_META);
        let _ = cx.store(Command::Tally([failed].into())).await;
    }
    result
}

async fn checked_patch(cx: &Cx, call: &Call, asked: GraphPatch) -> Result<Receipt, Refusal> {
    let graph = &asked.graph;
    check_name(graph)?;
    let checked = check(cx, &asked.changes)?;
    catch_up(cx, graph, false).await?;
    let seen = seen_by(cx, graph, asked.seen).await?;
    append(cx, call, graph, checked, seen).await
}

/// Answers a question about a graph.
pub(super) async fn query(cx: &Cx, asked: GraphQuery) -> Result<Reply, Refusal> {
    check_name(&asked.graph)?;
    catch_up(cx, &asked.graph, true).await?;
    forget_former(cx, &asked.graph, true).await?;
    let mut shared = cx.seed.shared.borrow_mut();
    let view = shared.graphs.view(&asked.graph, |graph| GraphView {
        answer: graph.ask(&asked.question),
        conflicts: graph.log(asked.conflicts_max),
        conflicts_total: graph.conflicts(),
        digest: graph.digest(),
        seen: graph.seen().clone(),
        patches: u64::try_from(graph.patches()).unwrap_or(u64::MAX),
    });
    let seen = view.seen.clone();
    shared.graphs.see(&cx.seed.agent, &asked.graph, &seen);
    Ok(Reply::Graph(Box::new(view)))
}

/// Changes that may be made here.
fn check(cx: &Cx, changes: &Changes) -> Result<Checked, Refusal> {
    let value = cx.config().limits.max_graph_operations;
    if u64::try_from(changes.operations()).unwrap_or(u64::MAX) > value {
        let limit = "max_graph_operations".into();
        return Err(Refusal::LimitReached { limit, value });
    }
    Checked::of(changes).map_err(refused)
}

/// What the author of a patch has seen: what it says, else what the agent last saw
/// here, else nothing.
async fn seen_by(cx: &Cx, graph: &str, said: Option<Seen>) -> Result<Seen, Refusal> {
    match said {
        Some(seen) if is_here(cx, graph, &seen) => Ok(seen),
        Some(_) => Err(Refusal::InvalidRequest {
            field: "seen".into(),
            message: "names patches that this graph does not have".into(),
            hint: Some("look at it again with graph_query and pass the `seen` from there".into()),
        }),
        None => {
            forget_former(cx, graph, false).await?;
            let shared = cx.seed.shared.borrow();
            let seen = shared.graphs.seen(&cx.seed.agent, graph);
            Ok(seen.unwrap_or_default())
        }
    }
}

/// Whether the graph as it is known has all of these patches.
fn is_here(cx: &Cx, graph: &str, seen: &Seen) -> bool {
    let shared = cx.seed.shared.borrow();
    let graphs = &shared.graphs;
    graphs.view(graph, |graph| graph.seen().includes(seen))
}

/// Forgets what the agent has seen of a graph where that is no longer there: it is of
/// a state directory that was deleted or replaced, and nothing could be added to it.
/// The graph is read on for this, `durable` as in [`catch_up`].
async fn forget_former(cx: &Cx, graph: &str, durable: bool) -> Result<(), Refusal> {
    let agent = &cx.seed.agent;
    let seen = |cx: &Cx| cx.seed.shared.borrow().graphs.seen(agent, graph);
    if seen(cx).is_none_or(|seen| is_here(cx, graph, &seen)) {
        return Ok(());
    }
    // Another call of the agent may have appended since this one has read.
    catch_up(cx, graph, durable).await?;
    if seen(cx).is_some_and(|seen| !is_here(cx, graph, &seen)) {
        cx.seed.shared.borrow_mut().graphs.unsee(agent, graph);
    }
    Ok(())
}

/// Appends a patch of these changes; the answer to its author.
async fn append(
    cx: &Cx,
    call: &Call,
    graph: &str,
    checked: Checked,
    seen: Seen,
) -> Result<Receipt, Refusal> {
    cx.still_wanted()?;
    check_whole(&checked, &seen)?;
    let mut lease = presented(cx, call, graph).await?;
    let patch = seal(cx, graph, checked, seen).await?;
    let part = CommitPatch::of(graph, &patch);
    for attempt in 1.. {
        catch_up(cx, graph, false).await?;
        let (changed, after) = foresee(cx, graph, &patch);
        let receipt = Receipt::Patched(Box::new(changed.clone()));
        let command = AppendPatch {
            after: (attempt < ATTEMPTS_MAX).then_some(after),
            lease: lease.clone(),
            ..command(cx, call, &part, receipt.clone())
        };
        match cx.store(Command::AppendPatch(Box::new(command))).await? {
            Outcome::Appended { end, .. } => {
                let place = (after, end);
                cx.seed
                    .shared
                    .borrow_mut()
                    .graphs
                    .follow(graph, place, &patch);
                appended(cx, &changed);
                return Ok(receipt);
            }
            Outcome::JournalMoved(_) => {}
            Outcome::Answered(earlier) => return Ok(earlier),
            Outcome::KeyMismatch => return Err(acquire::key_mismatch(call.request.as_ref())),
            Outcome::NotCovered { key } => return Err(right::not_covered(&key)),
            Outcome::Lost { ended, expired } => {
                let names = [graph_key(cx, graph).to_string()];
                cx.unless_observed(acquire::lost(&names, ended, expired.as_ref()))?;
                lease = None;
            }
            other => return mixed_up(&other),
        }
    }
    unreachable!("the last attempt follows any patch")
}

/// The lease that the call presents, if it may be relied on.
async fn presented(cx: &Cx, call: &Call, graph: &str) -> Result<Option<LeaseId>, Refusal> {
    let Some(lease) = &call.lease else {
        return Ok(None);
    };
    let want = Want::exclusive(graph_key(cx, graph), MERGE_META);
    match right::present(cx, lease, &[want]).await {
        Ok(_) => Ok(Some(lease.clone())),
        Err(refusal) => cx.unless_observed(refusal).map(|()| None),
    }
}

/// Refuses changes that make no patch with what their author has seen, whatever number
/// is drawn for it.
fn check_whole(checked: &Checked, seen: &Seen) -> Result<(), Refusal> {
    let dot = Dot {
        actor: ActorId::new(SOME_STORE),
        counter: u64::MAX,
    };
    let header = header(dot, seen.clone(), 0)?;
    checked.fit(&header).map_err(refused)
}

/// Makes the patch, under a number of its own.
async fn seal(cx: &Cx, graph: &str, checked: Checked, seen: Seen) -> Result<Patch, Refusal> {
    let (dot, wall_ms) = draw(cx, graph).await?;
    Patch::of(header(dot, seen, wall_ms)?, checked).map_err(refused)
}

fn header(dot: Dot, seen: Seen, wall_ms: u64) -> Result<Header, Refusal> {
    let header = Header::new(dot, seen, wall_ms);
    header.ok_or_else(|| Refusal::internal("the stamps of this graph are used up"))
}

async fn draw(cx: &Cx, graph: &str) -> Result<(Dot, u64), Refusal> {
    let draw = DrawDot {
        graph: graph.into(),
        max_graphs: cx.config().limits.max_graphs,
    };
    match cx.store(Command::DrawDot(draw)).await? {
        Outcome::DotDrawn { dot, wall_ms } => Ok((dot, wall_ms)),
        Outcome::LimitReached { limit, value } => Err(Refusal::LimitReached { limit, value }),
        other => mixed_up(&other),
    }
}

/// What a patch does that follows what is known here, and how far that is.
fn foresee(cx: &Cx, graph: &str, patch: &Patch) -> (GraphChanged, Cursor) {
    let shared = cx.seed.shared.borrow();
    let foreseen = shared.graphs.view(graph, |graph| graph.foresee(patch));
    let header = patch.header();
    let mut seen = header.seen.clone();
    seen.insert(&header.dot, header.stamp);
    let mut conflicts = foreseen.conflicts;
    let conflicts_total = u64::try_from(conflicts.len()).unwrap_or(u64::MAX);
    conflicts.truncate(CONFLICTS_TOLD_MAX);
    let changed = GraphChanged {
        graph: graph.into(),
        patch: patch.id(),
        effect: foreseen.effect,
        conflicts,
        conflicts_total,
        seen,
    };
    (changed, shared.graphs.cursor(graph))
}

fn command(cx: &Cx, call: &Call, part: &CommitPatch, receipt: Receipt) -> AppendPatch {
    let counts = [Counter::GuardedOk, Counter::GraphMerged];
    AppendPatch {
        part: part.clone(),
        after: None,
        lease: call.lease.clone(),
        key: graph_key(cx, &part.graph),
        request: call.request.clone(),
        receipt,
        counts: counts.map(|counter| cx.count(counter, MERGE_META)).into(),
    }
}

/// A patch is in the journal: its author has seen it.
pub(super) fn appended(cx: &Cx, changed: &GraphChanged) {
    let agent = &cx.seed.agent;
    let mut shared = cx.seed.shared.borrow_mut();
    shared.graphs.see(agent, &changed.graph, &changed.seen);
    drop(shared);
    cx.event(Event::GraphMerged {
        agent: agent.clone(),
        graph: changed.graph.clone(),
        patch: changed.patch,
        conflicts: changed.conflicts_total,
    });
}

/// An answer that was given before tells its agent once more what it has seen, perhaps
/// through another server.
pub(super) fn told_again(cx: &Cx, receipt: &Receipt) {
    let changed = match receipt {
        Receipt::Patched(changed) => Some(changed),
        Receipt::Changed { beyond, .. } => beyond.graph.as_ref(),
        _ => None,
    };
    if let Some(changed) = changed {
        let mut shared = cx.seed.shared.borrow_mut();
        shared
            .graphs
            .see(&cx.seed.agent, &changed.graph, &changed.seen);
    }
}

/// Reads the journal of a graph to its end. `durable` where somebody will be told
/// of it.
async fn catch_up(cx: &Cx, graph: &str, durable: bool) -> Result<(), Refusal> {
    loop {
        let after = cx.seed.shared.borrow().graphs.cursor(graph);
        let read = ReadGraph {
            graph: graph.into(),
            after,
            durable,
        };
        let part = match cx.store(Command::ReadGraph(read)).await? {
            Outcome::Journal(part) => part,
            other => return mixed_up(&other),
        };
        let mut shared = cx.seed.shared.borrow_mut();
        // Another call of this process may have read on meanwhile.
        if shared.graphs.cursor(graph) != after {
            continue;
        }
        shared
            .graphs
            .take(graph, &part)
            .map_err(|what| damaged(graph, what))?;
        if part.reaches(after) == part.end {
            return Ok(());
        }
        if !part.is_news() && !part.anew {
            return Err(damaged(graph, "its last patches are missing"));
        }
    }
}

/// The resource key of a graph.
pub(super) fn graph_key(cx: &Cx, graph: &str) -> ResourceKey {
    let policy = cx.config().policies.get(MERGE_META);
    let prefix = policy.map_or("graph", |policy| policy.key_prefix.as_str());
    ResourceKey::new(prefix, &fold(graph))
}

/// Refuses what cannot be the name of a graph.
fn check_name(graph: &str) -> Result<(), Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if graph.is_empty() || graph.len() > NAME_BYTES_MAX || !graph.bytes().all(fits) {
        let message = format!(
            "{graph:?} cannot be the name of a graph: 1 to {NAME_BYTES_MAX} letters, digits, `-`, \
             `_` and `.`"
        );
        return Err(Refusal::invalid("graph", message));
    }
    Ok(())
}

/// Why a patch is none, as its author is told.
fn refused(fault: Invalid) -> Refusal {
    let Invalid {
        field,
        index,
        reason,
    } = fault;
    let limit = match &reason {
        InvalidReason::TooLarge { what, max, .. } => match what {
            Part::Operations => Some(("max_graph_operations", *max)),
            Part::Bytes => Some(("bytes of a patch", *max)),
            Part::Gaps => Some(("gaps in what was seen", *max)),
            Part::Id | Part::Name | Part::Value | Part::Depth => None,
        },
        _ => None,
    };
    if let Some((limit, value)) = limit {
        let limit = limit.into();
        return Refusal::LimitReached { limit, value };
    }
    let field = match field {
        Field::Patch => "nodes_to_add".into(),
        Field::Seen => "seen".into(),
        list => format!("{list}[{index}]"),
    };
    Refusal::InvalidRequest {
        field,
        message: reason.to_string(),
        hint: matches!(
            reason,
            InvalidReason::Empty {
                what: Part::Operations
            }
        )
        .then(|| "say what is to be added, set, cleared or removed".into()),
    }
}
