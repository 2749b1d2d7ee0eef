//! Recovery: commits that somebody else left open.
//!
//! Owns: what becomes of an open intent whose process died. Promises: a commit
//! that passed its commit point is rolled forward, one that was being undone is
//! undone, one with a part in a database goes the way of that part, and where a file holds anything else than the two contents the intent
//! names, it is left alone and both contents are kept; doing it twice, or dying
//! in the middle of it, changes nothing. Leaves to others: knowing that the
//! process is dead and holding the latches (the caller does).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use super::acquire;
use super::call::{Cx, mixed_up};
use super::commit::{
    conflict, finished, is_committed, keep_displaced, swap_back, sync_names, turn_back,
};
use super::io::{Effect, Event, Swapped};
use crate::id::{ContentHash, OpId, SessionId, Token};
use crate::lease::command::{FinishCommit, ItemEnd};
use crate::lease::{Command, CommitIntent, CommitItem, Outcome};
use crate::mutant::{Mutant, is_active};
use crate::path::{PathReason, PathRefusal};
use crate::refusal::Refusal;
use crate::resource::ResourceKey;

/// Settles open commits; the caller holds their latches.
pub(super) async fn settle_all(cx: &Cx, intents: &[CommitIntent]) -> Result<(), Refusal> {
    for intent in intents {
        settle(cx, intent).await?;
    }
    Ok(())
}

/// Settles every open commit of a dead process; the number settled.
pub(super) async fn settle_dead(cx: &Cx) -> Result<u64, Refusal> {
    settle_if_dead(cx, open_commits(cx).await?).await
}

/// Settles what this process left open under a token, where the latches held
/// here, those of `keys`, are enough for it.
pub(super) async fn settle_under(
    cx: &Cx,
    token: Token,
    keys: &[ResourceKey],
) -> Result<(), Refusal> {
    let open = open_commits(cx).await?.into_iter().filter(|intent| {
        intent.token == token
            && intent.owner.session == cx.seed.session
            && intent.latches.iter().all(|key| keys.contains(key))
    });
    let open: Vec<CommitIntent> = open.collect();
    settle_all(cx, &open).await
}

/// Settles those of `intents` whose process is dead; how many of them are no longer
/// open.
pub(super) async fn settle_if_dead(cx: &Cx, intents: Vec<CommitIntent>) -> Result<u64, Refusal> {
    let others = intents.iter().map(|intent| &intent.owner.session);
    let sessions: BTreeSet<SessionId> = others
        .filter(|session| **session != cx.seed.session)
        .cloned()
        .collect();
    let dead = cx.probe(sessions).await?;
    let mut settled = 0;
    for intent in intents {
        if !dead.contains(&intent.owner.session) {
            continue;
        }
        settle_latched(cx, &intent).await?;
        settled += 1;
    }
    Ok(settled)
}

/// Settles what calls of this process left open, as it ends: what they staged ends
/// with it.
pub(super) async fn settle_own(cx: &Cx) -> Result<(), Refusal> {
    for intent in open_commits(cx).await? {
        if intent.needs_files_of(&cx.seed.session) {
            settle_latched(cx, &intent).await?;
        }
    }
    Ok(())
}

async fn settle_latched(cx: &Cx, intent: &CommitIntent) -> Result<(), Refusal> {
    let started = cx.now();
    let latches = &intent.latches;
    if let Err(process) = cx.latch(latches.clone()).await? {
        return Err(acquire::latch_busy(cx, latches, process, started, 0));
    }
    let result = if is_active(Mutant::RecoveryActsOnOldLook) {
        settle(cx, intent).await
    } else {
        settle_if_open(cx, &intent.op).await
    };
    cx.unlatch().await?;
    result
}

/// Settles a commit as it stands under its latches. Whoever held them before may
/// have settled it and changed its files since, or its author may have begun to
/// undo it and died.
async fn settle_if_open(cx: &Cx, op: &OpId) -> Result<(), Refusal> {
    let open = open_commits(cx).await?;
    match open.iter().find(|intent| intent.op == *op) {
        Some(intent) => settle(cx, intent).await,
        None => Ok(()),
    }
}

/// Every commit that is open now.
pub(super) async fn open_commits(cx: &Cx) -> Result<Vec<CommitIntent>, Refusal> {
    match cx.store(Command::Snapshot).await? {
        Outcome::Snapshot(snapshot) => Ok(snapshot.intents),
        other => mixed_up(&other),
    }
}

async fn settle(cx: &Cx, intent: &CommitIntent) -> Result<(), Refusal> {
    let mut exceptions = BTreeMap::new();
    let back = goes_back(cx, intent).await?;
    for item in &intent.items {
        let end = settle_item(cx, item, back).await?;
        if let Some(end) = end.map(|end| told(intent, item, back, end)) {
            exceptions.insert(item.path.clone(), end);
        }
    }
    sync_names(cx, &intent.items).await?;
    let finish = FinishCommit {
        op: intent.op.clone(),
        exceptions,
        recovered_by: Some(cx.owner()),
        counts: Vec::new(),
    };
    // Whoever settled it first has finished it. One that cannot be finished is still
    // open: whoever needs it ended must not ask for that over and over.
    let Some((_, wake)) = finished(cx, finish).await? else {
        return Ok(());
    };
    cx.ring(wake).await;
    cx.event(Event::Recovered {
        agent: intent.owner.agent.clone(),
        token: intent.token,
    });
    Ok(())
}

/// Whether a commit is undone: it was being undone already, or its part in a
/// database was not committed, which its process would have done last.
async fn goes_back(cx: &Cx, intent: &CommitIntent) -> Result<bool, Refusal> {
    if intent.turned_back || is_active(Mutant::RecoveryRollsBack) {
        return Ok(true);
    }
    if is_active(Mutant::RecoveryAsksNoDatabase) || is_committed(cx, intent).await? {
        return Ok(false);
    }
    turn_back(cx, intent).await?;
    Ok(true)
}

/// How an item ended, as the end of its commit tells it. Where rows or a patch go
/// forward nothing is undone any more: a file that holds its old content was given
/// it back by somebody outside.
fn told(intent: &CommitIntent, item: &CommitItem, back: bool, end: ItemEnd) -> ItemEnd {
    let undone = end == ItemEnd::Undone;
    if undone && !back && intent.goes_beyond_files() {
        return conflict(item.old);
    }
    end
}

/// Settles one file. Where an outside writer has made something else of its name
/// (a folder, a link), that is left alone, so that one odd file cannot keep a
/// commit open for ever.
async fn settle_item(
    cx: &Cx,
    item: &CommitItem,
    turned_back: bool,
) -> Result<Option<ItemEnd>, Refusal> {
    let settled = match settle_named(cx, item, turned_back).await {
        // An exchange in steps that was cut short leaves the file with a second
        // name, which goes when somebody asks what is staged.
        Err(Refusal::Path(refusal)) if is_linked(&refusal) => {
            cx.hash_staged(&item.stage).await?;
            settle_named(cx, item, turned_back).await
        }
        settled => settled,
    };
    match settled {
        // That may end, and until then the set would be torn. Whoever comes across it
        // has named another path.
        Err(Refusal::Path(refusal)) if is_unwritable(&refusal) => {
            return Err(Refusal::internal(alloc::format!(
                "a commit that was left open cannot be settled: {refusal}"
            )));
        }
        Err(Refusal::Path(_)) => {}
        settled => return settled,
    }
    let staged = cx.hash_staged(&item.stage).await?;
    keep_any(cx, &item.stage, staged).await?;
    Ok(Some(ItemEnd::Conflict {
        found: None,
        outside_stands: true,
    }))
}

/// Settles one file whose path may be used.
async fn settle_named(
    cx: &Cx,
    item: &CommitItem,
    turned_back: bool,
) -> Result<Option<ItemEnd>, Refusal> {
    if turned_back {
        backward(cx, item).await
    } else {
        forward(cx, item).await
    }
}

fn is_linked(refusal: &PathRefusal) -> bool {
    matches!(refusal.reason, PathReason::HardLinked { .. })
}

fn is_unwritable(refusal: &PathRefusal) -> bool {
    matches!(refusal.reason, PathReason::Unwritable { .. })
}

/// Brings one file to its new content. Returns what went otherwise.
async fn forward(cx: &Cx, item: &CommitItem) -> Result<Option<ItemEnd>, Refusal> {
    let held = cx.hash(&item.path).await?;
    let staged = cx.hash_staged(&item.stage).await?;
    if held == item.new && (held != item.old) {
        return after_swap(cx, item, staged).await;
    }
    if held == item.old && staged == item.new {
        let found = match cx.swap(Effect::Swap(item.clone())).await? {
            Swapped::Displaced(displaced) => return after_swap(cx, item, displaced).await,
            // An outside writer struck since the look: nothing was swapped.
            Swapped::Vanished => None,
            Swapped::Occupied(found) => found,
        };
        keep_any(cx, &item.stage, staged).await?;
        return Ok(Some(conflict(found)));
    }
    keep_any(cx, &item.stage, staged).await?;
    Ok(Some(if held == item.old {
        // The staged content did not survive: nothing of this file happened.
        ItemEnd::Undone
    } else {
        conflict(held)
    }))
}

/// The file holds the new content; the staged name holds what it displaced, or
/// nothing where that was kept already or there was nothing to displace.
async fn after_swap(
    cx: &Cx,
    item: &CommitItem,
    displaced: Option<ContentHash>,
) -> Result<Option<ItemEnd>, Refusal> {
    match displaced {
        None => Ok(None),
        Some(content) if item.old == Some(content) => {
            keep_displaced(cx, core::slice::from_ref(item)).await?;
            Ok(None)
        }
        Some(_) => {
            keep_any(cx, &item.stage, displaced).await?;
            Ok(Some(ItemEnd::Conflict {
                found: displaced.filter(ContentHash::is_content),
                outside_stands: false,
            }))
        }
    }
}

/// Brings one file back to its old content, or to the outside content that the
/// commit had met there.
async fn backward(cx: &Cx, item: &CommitItem) -> Result<Option<ItemEnd>, Refusal> {
    let held = cx.hash(&item.path).await?;
    let staged = cx.hash_staged(&item.stage).await?;
    let displaced = staged != item.new && (staged == item.old || staged.is_some());
    if held == item.new && held != item.old && displaced {
        let foreign = staged != item.old;
        let later = swap_back(cx, item, staged, foreign).await?;
        let end = if foreign {
            conflict(staged)
        } else {
            ItemEnd::Undone
        };
        return Ok(Some(later.unwrap_or(end)));
    }
    keep_any(cx, &item.stage, staged).await?;
    Ok(Some(if held == item.old || is_gone(cx, item).await? {
        ItemEnd::Undone
    } else {
        conflict(held)
    }))
}

/// Whether the new content of a file is nowhere any more: it was taken back before,
/// and whatever the file holds came after that.
async fn is_gone(cx: &Cx, item: &CommitItem) -> Result<bool, Refusal> {
    match item.new {
        Some(new) => Ok(cx.object(new).await?.is_none()),
        None => Ok(false),
    }
}

/// Keeps whatever a staged name holds: bytes are never thrown away on doubt.
pub(super) async fn keep_any(
    cx: &Cx,
    stage: &str,
    content: Option<ContentHash>,
) -> Result<(), Refusal> {
    match content {
        Some(content) => keep_for_good(cx, stage.into(), content).await,
        None => Ok(()),
    }
}

/// Moves staged content into the history, where a power cut will not take it:
/// it is one side of a conflict, and its author is told where it is.
pub(super) async fn keep_for_good(
    cx: &Cx,
    stage: String,
    content: ContentHash,
) -> Result<(), Refusal> {
    cx.perform(Effect::Keep { stage, content }).await?;
    cx.perform(Effect::SyncKept(content)).await
}
