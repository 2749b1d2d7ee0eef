//! The fenced commit: intent, swap, finish.
//!
//! Owns: the steps between taking the latches and dropping them. Promises: no
//! swap happens unless the store has just confirmed, under the latches, that the
//! lease's token is still the newest; a swap that displaced anything else than
//! the expected content is taken back and both contents are kept; a set, and what
//! it changes in a database with it, is whole or not there at all. Leaves to others: what happens to a commit whose process
//! dies inside it (`settle`), which goes by the same items.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire;
use super::call::{Cx, mixed_up};
use super::change::{class_of, counts_of};
use super::database::{Guarded, forget_before_wall_ms};
use super::io::{DOCUMENT, Done, Effect, Swapped};
use super::plan::Planned;
use super::right::{Right, not_covered};
use super::settle;
use crate::database::Seal;
use crate::id::{ContentHash, OpId};
use crate::lease::command::{FinishCommit, ItemEnd};
use crate::lease::row::{CommitDatabase, CommitPatch};
use crate::lease::{
    Command, CommitIntent, CommitItem, Count, Counter, Lease, Outcome, RequestKey, Wake,
};
use crate::mutant::{Mutant, is_active};
use crate::refusal::{Refusal, Stale, StaleReason};
use crate::reply::Receipt;
use crate::resource::ResourceKey;

/// How often the end of a commit waits for the store's gate.
const GATE_TRIES: u32 = 3;

/// How often an outside writer's newest save is put back before what is there is
/// left: each time, it has saved again within microseconds.
const RETURNS_MAX: u32 = 5;

/// A planned file whose new content is staged.
pub(super) struct Staged {
    pub(super) planned: Planned,
    pub(super) key: ResourceKey,
    pub(super) stage: String,
}

impl Staged {
    fn item(&self) -> CommitItem {
        let new = self.planned.new.as_ref();
        CommitItem {
            path: self.planned.path.clone(),
            key: self.key.clone(),
            op: self.planned.op.clone(),
            stage: self.stage.clone(),
            old: self.planned.old,
            new: new.map(|content| content.hash),
            size_bytes: new.map_or(0, |content| content.bytes.len() as u64),
        }
    }
}

/// What is to be committed, and under what.
pub(super) struct Commit<'a> {
    pub(super) right: &'a Right,
    pub(super) request: Option<&'a RequestKey>,
    pub(super) files: Vec<Staged>,
    /// The latches the caller holds.
    pub(super) latches: Vec<ResourceKey>,
    pub(super) receipt: Receipt,
    pub(super) database: Option<Open<'a>>,
    pub(super) patch: Option<Box<CommitPatch>>,
}

/// A transaction of a database that has done its work and is open.
#[derive(Clone, Copy)]
pub(super) struct Open<'a> {
    pub(super) guarded: &'a Guarded<'a>,
    /// When it began, in milliseconds since 1970.
    pub(super) wall_ms: u64,
}

/// How a commit ended.
pub(super) enum Committed {
    /// It took effect.
    Receipt(Receipt),
    /// It was not begun: the same request took effect before.
    Earlier(Receipt),
    /// It was not begun: a dead process left a commit open under the same lease,
    /// whose latches are not held here.
    Blocked,
    /// It met a foreign change and was undone.
    Refused(Box<Refusal>),
}

/// The latches of a commit: those of the lease it relies on and of the files.
pub(super) fn latch_keys(lease: &Lease, files: &[Staged]) -> Vec<ResourceKey> {
    let files = files.iter().map(|file| &file.key);
    let keys: BTreeSet<&ResourceKey> = lease.keys().chain(files).collect();
    keys.into_iter().cloned().collect()
}

/// Commits. From the moment `begun` is set, staged names may hold displaced bytes
/// and belong to the open intent.
pub(super) async fn commit(
    cx: &Cx,
    asked: Commit<'_>,
    begun: &mut bool,
) -> Result<(Committed, Vec<Wake>), Refusal> {
    let database = asked.database;
    let intent = asked.intent(cx);
    if let (Some(open), true) = (database, is_active(Mutant::DatabaseBeforeIntent)) {
        seal(cx, &intent, open).await?;
    }
    let early = if is_active(Mutant::IntentAfterSwap) {
        Some(swap_all(cx, &intent).await?)
    } else {
        None
    };
    match begin(cx, &intent).await {
        Ok(None) => *begun = true,
        Ok(Some(instead)) => return Ok((instead, Vec::new())),
        Err(refusal) => {
            // A store that failed may have begun it: then it needs what is staged.
            *begun = matches!(refusal, Refusal::Internal { .. });
            return Err(refusal);
        }
    }
    let met = match early {
        Some(met) => met,
        None => swap_all(cx, &intent).await?,
    };
    if let Some(obstacle) = met {
        return undo(cx, &intent, obstacle).await;
    }
    if let (Some(open), false) = (database, is_active(Mutant::DatabaseBeforeIntent))
        && let Some(refusal) = seal(cx, &intent, open).await?
    {
        return undo(cx, &intent, Obstacle::Database(refusal)).await;
    }
    take_effect(cx, &intent).await
}

impl Commit<'_> {
    fn intent(self, cx: &Cx) -> CommitIntent {
        let database = self.database.map(|open| CommitDatabase {
            path: open.guarded.path(),
            key: open.guarded.key.clone(),
        });
        CommitIntent {
            op: OpId::new(cx.seed.entropy.derive("commit", cx.now().as_ns())),
            lease: self.right.lease.id.clone(),
            token: self.right.lease.token,
            owner: cx.owner(),
            latches: self.latches,
            items: self.files.iter().map(Staged::item).collect(),
            receipt: self.receipt,
            request: self.request.cloned(),
            release: self.right.own,
            turned_back: false,
            database,
            patch: self.patch,
        }
    }
}

/// Commits the part in a database, and with it everything; why not, if not.
async fn seal(cx: &Cx, intent: &CommitIntent, open: Open<'_>) -> Result<Option<Refusal>, Refusal> {
    let seal = Seal {
        token: intent.token,
        answered: None,
        part_of: Some(intent.op.clone()).filter(|_| !is_active(Mutant::PartNotRecorded)),
        wall_ms: open.wall_ms,
        forget_before_wall_ms: forget_before_wall_ms(cx, open.wall_ms),
    };
    let sealed = match open.guarded.still_passes().await {
        Ok(()) => open.guarded.commit(seal).await,
        Err(refusal) => Err(refusal),
    };
    let Err(refusal) = sealed else {
        return Ok(None);
    };
    if is_active(Mutant::FailedDatabaseIgnored) {
        return Ok(None);
    }
    // What failed may have been committed all the same.
    let committed = is_committed(cx, intent).await?;
    Ok((!committed).then_some(refusal))
}

/// Whether the part of a commit that is in a database is there.
pub(super) async fn is_committed(cx: &Cx, intent: &CommitIntent) -> Result<bool, Refusal> {
    let Some(part) = &intent.database else {
        return Ok(true);
    };
    let effect = Effect::DbOutcome {
        path: part.path.clone(),
        op: intent.op.clone(),
    };
    match cx.effect(effect).await? {
        Done::DbOutcome(committed) => Ok(committed),
        other => mixed_up(&other),
    }
}

/// Passes the commit point, or says what happens instead.
async fn begin(cx: &Cx, intent: &CommitIntent) -> Result<Option<Committed>, Refusal> {
    let resources: Vec<String> = intent.latches.iter().map(ToString::to_string).collect();
    let usable = {
        let mut shared = cx.seed.shared.borrow_mut();
        let now = cx.now();
        shared
            .held(&intent.lease)
            .is_none_or(|held| now < held.usable_until)
    };
    if !usable {
        return Err(lost_by_own_clock(cx, intent, &resources).await?);
    }
    loop {
        match cx.store(Command::BeginCommit(intent.clone())).await? {
            Outcome::Begun => return Ok(None),
            Outcome::Answered(receipt) => return Ok(Some(Committed::Earlier(receipt))),
            Outcome::NeedRecovery(open) => settle::settle_all(cx, &open).await?,
            Outcome::NeedLatches { .. } => return Ok(Some(Committed::Blocked)),
            Outcome::KeyMismatch => return Err(acquire::key_mismatch(intent.request.as_ref())),
            Outcome::NotCovered { key } => return Err(not_covered(&key)),
            Outcome::Lost { ended, expired } => {
                return Err(acquire::lost(&resources, ended, expired.as_ref()));
            }
            other => mixed_up(&other),
        }
    }
}

/// The holder's own clock says that the lease may be over. Asking tells who has
/// it now, if anybody.
async fn lost_by_own_clock(
    cx: &Cx,
    intent: &CommitIntent,
    resources: &[String],
) -> Result<Refusal, Refusal> {
    match cx.store(Command::Verify(intent.lease.clone())).await? {
        Outcome::Lost { ended, expired } => Ok(acquire::lost(resources, ended, expired.as_ref())),
        Outcome::Held { lease, .. } => Ok(acquire::lost(resources, None, Some(&lease))),
        other => mixed_up(&other),
    }
}

/// Why a commit that was begun is taken back.
enum Obstacle {
    Foreign(Foreign),
    /// The file at this place among the items may not be changed, which only the
    /// attempt tells for certain.
    Barred(usize, Refusal),
    /// Its part in a database could not be committed.
    Database(Refusal),
}

/// A foreign change met at a swap: at which item, and what was found.
struct Foreign {
    index: usize,
    found: Option<ContentHash>,
    /// Whether the swap took effect all the same and must be taken back.
    swapped: bool,
}

async fn swap_all(cx: &Cx, intent: &CommitIntent) -> Result<Option<Obstacle>, Refusal> {
    for (index, item) in intent.items.iter().enumerate() {
        let swapped = match cx.swap(Effect::Swap(item.clone())).await {
            Err(refusal @ Refusal::Path(_)) if !is_active(Mutant::ForbiddenLeftOpen) => {
                return Ok(Some(Obstacle::Barred(index, refusal)));
            }
            swapped => swapped?,
        };
        let (found, swapped) = match swapped {
            Swapped::Displaced(found)
                if is_active(Mutant::SwapConflictNotTakenBack) || found == item.old =>
            {
                continue;
            }
            Swapped::Displaced(found) => (found, true),
            Swapped::Occupied(found) => (found, false),
            Swapped::Vanished => (None, false),
        };
        return Ok(Some(Obstacle::Foreign(Foreign {
            index,
            found,
            swapped,
        })));
    }
    Ok(None)
}

/// Makes a commit whose swaps all met what they expected durable and known.
async fn take_effect(cx: &Cx, intent: &CommitIntent) -> Result<(Committed, Vec<Wake>), Refusal> {
    keep_displaced(cx, &intent.items).await?;
    sync_names(cx, &intent.items).await?;
    let finish = FinishCommit {
        op: intent.op.clone(),
        exceptions: BTreeMap::new(),
        recovered_by: None,
        counts: counts_of(&intent.receipt, &intent.owner.agent),
    };
    let (receipt, wake) = finish_own(cx, finish).await?;
    Ok((Committed::Receipt(receipt), wake))
}

/// Moves what was displaced into the history.
pub(super) async fn keep_displaced(cx: &Cx, items: &[CommitItem]) -> Result<(), Refusal> {
    for item in items {
        if let Some(content) = item.old {
            let stage = item.stage.clone();
            if is_active(Mutant::DisplacedDropped) {
                cx.perform(Effect::Discard(Vec::from([stage]))).await?;
                continue;
            }
            cx.perform(Effect::Keep { stage, content }).await?;
        }
    }
    Ok(())
}

pub(super) async fn sync_names(cx: &Cx, items: &[CommitItem]) -> Result<(), Refusal> {
    let paths: Vec<String> = items.iter().map(|item| item.path.clone()).collect();
    if paths.is_empty() || is_active(Mutant::NamesNotSynced) {
        return Ok(());
    }
    cx.perform(Effect::SyncNames(paths)).await
}

/// Puts a command that ends a commit to the store. What is begun can no longer be
/// refused, so a busy gate is tried again.
async fn insist(cx: &Cx, command: Command) -> Result<Outcome, Refusal> {
    for _ in 1..GATE_TRIES {
        match cx.store(command.clone()).await {
            Err(Refusal::ResourceBusy(_)) => {}
            answered => return answered,
        }
    }
    cx.store(command).await
}

/// Ends a commit; nothing where the store knows of none like it.
pub(super) async fn finished(
    cx: &Cx,
    finish: FinishCommit,
) -> Result<Option<(Receipt, Vec<Wake>)>, Refusal> {
    match insist(cx, Command::FinishCommit(finish)).await? {
        Outcome::Finished { receipt, wake } => Ok(Some((receipt, wake))),
        Outcome::UnknownOp(_) => Ok(None),
        other => mixed_up(&other),
    }
}

/// Ends a commit of this call, which nobody else has ended: its latches are held.
async fn finish_own(cx: &Cx, finish: FinishCommit) -> Result<(Receipt, Vec<Wake>), Refusal> {
    finished(cx, finish).await?.ok_or_else(|| {
        Refusal::internal(
            "the store was replaced during the commit; read the file to see what it holds",
        )
    })
}

/// Takes back every swap, newest first, and keeps this call's content beside the
/// outside one.
async fn undo(
    cx: &Cx,
    intent: &CommitIntent,
    obstacle: Obstacle,
) -> Result<(Committed, Vec<Wake>), Refusal> {
    turn_back(cx, intent).await?;
    let mut exceptions: BTreeMap<String, ItemEnd> = BTreeMap::new();
    let mut kept = true;
    for (index, item) in intent.items.iter().enumerate().rev() {
        let foreign = obstacle.at(index);
        let conflicting = foreign.is_some();
        let displaced = foreign.map_or(item.old, |foreign| foreign.found);
        let mut end = foreign.map_or(ItemEnd::Undone, |foreign| conflict(foreign.found));
        if obstacle.is_swapped(index) && !stays_for_a_bug(&obstacle, item) {
            if let Some(later) = swap_back(cx, item, displaced, conflicting).await? {
                end = later;
                kept &= !conflicting;
            }
        } else {
            keep_staged(cx, item, conflicting).await?;
        }
        exceptions.insert(item.path.clone(), end);
    }
    sync_names(cx, &intent.items).await?;
    let finish = FinishCommit {
        op: intent.op.clone(),
        exceptions,
        recovered_by: None,
        counts: obstacle.counts(intent),
    };
    let (receipt, wake) = finish_own(cx, finish).await?;
    let refusal = match obstacle {
        Obstacle::Foreign(foreign) => {
            met_outside(&intent.items[foreign.index], &foreign, kept, &receipt)
        }
        Obstacle::Barred(_, refusal) | Obstacle::Database(refusal) => refusal,
    };
    Ok((Committed::Refused(Box::new(refusal)), wake))
}

impl Obstacle {
    /// The foreign change, if it was met at this item.
    fn at(&self, index: usize) -> Option<&Foreign> {
        match self {
            Self::Foreign(foreign) if foreign.index == index => Some(foreign),
            Self::Foreign(_) | Self::Barred(..) | Self::Database(_) => None,
        }
    }

    /// Whether this item has to be swapped back.
    fn is_swapped(&self, index: usize) -> bool {
        match self {
            Self::Foreign(foreign) if foreign.index == index => foreign.swapped,
            Self::Foreign(foreign) => index < foreign.index && !is_active(Mutant::SetNotTakenBack),
            Self::Barred(barred, _) => index < *barred,
            Self::Database(_) => true,
        }
    }

    fn counts(&self, intent: &CommitIntent) -> Vec<Count> {
        match self {
            Self::Foreign(_) => {
                let (class, agent) = (class_of(&intent.receipt), &intent.owner.agent);
                [Count::one(Counter::SwapConflicts, class, agent)].into()
            }
            Self::Barred(..) | Self::Database(_) => Vec::new(),
        }
    }
}

/// A planted bug: the documents of a transaction are left without its rows.
fn stays_for_a_bug(obstacle: &Obstacle, item: &CommitItem) -> bool {
    let without_rows = matches!(obstacle, Obstacle::Database(_));
    without_rows && item.op == DOCUMENT && is_active(Mutant::DocumentWithoutRows)
}

/// From here on recovery goes back, not forward.
pub(super) async fn turn_back(cx: &Cx, intent: &CommitIntent) -> Result<(), Refusal> {
    insist(cx, Command::TurnBack(intent.op.clone())).await?;
    Ok(())
}

pub(super) fn conflict(found: Option<ContentHash>) -> ItemEnd {
    ItemEnd::Conflict {
        found: found.filter(ContentHash::is_content),
        outside_stands: true,
    }
}

/// Takes one swap back and empties the staged name, which holds what the swap
/// had displaced. If what comes out of the file is not this commit's content, an
/// outside writer has saved since: its newest save goes back into the file, and
/// what is left under the staged name is kept. How the item ended then is
/// returned.
pub(super) async fn swap_back(
    cx: &Cx,
    item: &CommitItem,
    displaced: Option<ContentHash>,
    conflicting: bool,
) -> Result<Option<ItemEnd>, Refusal> {
    let found = match cx.swap(Effect::SwapBack(item.clone())).await? {
        Swapped::Displaced(out) if out == item.new => {
            keep_staged(cx, item, conflicting).await?;
            return Ok(None);
        }
        Swapped::Displaced(newest) => put_newest_back(cx, item, newest, displaced).await?,
        // A new file is gone, as it was before.
        Swapped::Vanished if displaced.is_none() => return Ok(None),
        Swapped::Vanished => None,
        Swapped::Occupied(found) => found,
    };
    let left = cx.hash_staged(&item.stage).await?;
    settle::keep_any(cx, &item.stage, left).await?;
    Ok(Some(conflict(found)))
}

/// Puts what an outside writer saved last back into its file, which holds
/// `earlier` now. An outside writer may save again meanwhile; then that is the
/// newest. Returns what the file holds in the end.
async fn put_newest_back(
    cx: &Cx,
    item: &CommitItem,
    mut newest: Option<ContentHash>,
    mut earlier: Option<ContentHash>,
) -> Result<Option<ContentHash>, Refusal> {
    for _ in 0..RETURNS_MAX {
        match cx.swap(Effect::Swap(item.clone())).await? {
            Swapped::Displaced(out) if out == earlier => return Ok(newest),
            Swapped::Displaced(out) => (earlier, newest) = (newest, out),
            Swapped::Vanished => return Ok(None),
            Swapped::Occupied(found) => return Ok(found),
        }
    }
    Ok(earlier)
}

/// Empties a staged name: into the history if it is this commit's side of a
/// conflict, away otherwise.
async fn keep_staged(cx: &Cx, item: &CommitItem, conflicting: bool) -> Result<(), Refusal> {
    let stage = item.stage.clone();
    match item.new.filter(|_| conflicting) {
        Some(content) => settle::keep_for_good(cx, stage, content).await,
        None => cx.perform(Effect::Discard(Vec::from([stage]))).await,
    }
}

fn met_outside(item: &CommitItem, foreign: &Foreign, kept: bool, receipt: &Receipt) -> Refusal {
    let Receipt::Changed { files, .. } = receipt else {
        return Refusal::internal("a commit of files was answered as a lease");
    };
    let version = files
        .iter()
        .find(|file| file.path == item.path)
        .map(|file| file.version);
    Refusal::StaleVersion(Box::new(Stale {
        path: item.path.clone(),
        reason: StaleReason::SwapConflict,
        expected: item.old,
        current: foreign.found.filter(ContentHash::is_content),
        kept_version: item.new.filter(|_| kept).and(version),
        ..Stale::default()
    }))
}
