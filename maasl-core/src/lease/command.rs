//! What may be asked of the lease table.
//!
//! Owns: the commands and their arguments. Promises: a command is plain data and
//! may be sent again; sending it twice has one effect. Leaves to others: what
//! they do (`decide` and its parts).

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::docgen::DocgenRecord;
use crate::graph::journal::{Bytes, Cursor};
use crate::id::{AgentId, ContentHash, LeaseId, OpId, Owner, SessionId, TicketNo, Token};
use crate::lease::counter::Count;
use crate::lease::row::{CommitIntent, CommitPatch, LeaseKind, RequestKey, Session, Target};
use crate::mutant::{Mutant, is_active};
use crate::policy::Urgency;
use crate::reply::Receipt;
use crate::resource::{ResourceKey, Want};

/// A command to the lease table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Opens the store for a process.
    Open(Open),
    /// Ends a session in good order.
    CloseSession(SessionId),
    /// Records that tokens up to this one are covered by the floor file.
    Reserve(Token),
    /// Asks for a set of resources, all or nothing.
    Acquire(Acquire),
    /// The same in observe mode: grants whatever is in the way, and says what was.
    Watch(Acquire),
    /// Stops waiting.
    Cancel(TicketNo),
    /// Extends a lease by its TTL.
    Renew(LeaseId),
    /// Returns a lease.
    Release(Release),
    /// Lets a lease run out now: its holder is done with it and cannot take the
    /// latches that returning it needs. This ends nothing; it only allows
    /// somebody to take it over, under those latches. No lock-delay follows, as
    /// none follows a release.
    Expire(LeaseId),
    /// Asks whether a lease is still there.
    Verify(LeaseId),
    /// Passes the commit point of a set of changes.
    BeginCommit(CommitIntent),
    /// Decides that a commit under way is undone instead: a foreign change was
    /// found at a swap, and a set is applied whole or not at all.
    TurnBack(OpId),
    /// Ends a commit: versions, answer, release.
    FinishCommit(FinishCommit),
    /// Takes leases away by decision.
    Revoke(Revoke),
    /// Forgets what dead sessions left behind.
    Sweep(Sweep),
    /// Looks at one resource: holder, waiters, open intents, version.
    Inspect(Inspect),
    /// Looks for an answer given earlier under the same idempotency key.
    Recall(RequestKey),
    /// Remembers an answer that changed nothing but must stay the same.
    Remember(Remember),
    /// Adds to counters.
    Tally(Vec<Count>),
    /// Records an operation on a document that wrote nothing, counts it, and
    /// remembers its answer.
    NoteDocument(NoteDocument),
    /// Reads on in the journal of a graph.
    ReadGraph(ReadGraph),
    /// Gives out the next number among the patches of a graph.
    DrawDot(DrawDot),
    /// Appends a patch to the journal of a graph.
    AppendPatch(Box<AppendPatch>),
    /// Puts a checkpoint of a graph in the place of the patches it stands for.
    KeepCheckpoint(KeepCheckpoint),
    /// Lists the graphs there are.
    ListGraphs,
    /// Looks at everything.
    Snapshot,
}

impl Command {
    /// Its name in fault points, plans and traces.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::CloseSession(_) => "close_session",
            Self::Reserve(_) => "reserve",
            Self::Acquire(_) => "acquire",
            Self::Watch(_) => "watch",
            Self::Cancel(_) => "cancel",
            Self::Renew(_) => "renew",
            Self::Release(_) => "release",
            Self::Verify(_) => "verify",
            Self::BeginCommit(_) => "begin_commit",
            Self::TurnBack(_) => "turn_back",
            Self::FinishCommit(_) => "finish_commit",
            Self::Revoke(_) => "revoke",
            Self::Sweep(_) => "sweep",
            Self::Inspect(_) => "inspect",
            Self::Recall(_) => "recall",
            Self::Remember(_) => "remember",
            Self::Tally(_) => "tally",
            Self::NoteDocument(_) => "note_document",
            Self::Expire(_) => "expire",
            Self::ReadGraph(_) => "read_graph",
            Self::DrawDot(_) => "draw_dot",
            Self::AppendPatch(_) => "append_patch",
            Self::KeepCheckpoint(_) => "keep_checkpoint",
            Self::ListGraphs => "list_graphs",
            Self::Snapshot => "snapshot",
        }
    }

    /// The command as the store should take it: of those whom the caller found dead
    /// without the ones that are not, as `is_dead` tells at the time of the
    /// transaction. A session that is dead stays so, unless its process opens the
    /// store anew after the state directory was replaced.
    #[must_use]
    pub fn without_revived(&self, is_dead: impl Fn(&SessionId) -> bool) -> Cow<'_, Self> {
        let (Self::Acquire(Acquire { dead, .. })
        | Self::Watch(Acquire { dead, .. })
        | Self::Sweep(Sweep { dead })) = self
        else {
            return Cow::Borrowed(self);
        };
        if dead.iter().all(&is_dead) {
            return Cow::Borrowed(self);
        }
        let mut command = self.clone();
        if let Self::Acquire(Acquire { dead, .. })
        | Self::Watch(Acquire { dead, .. })
        | Self::Sweep(Sweep { dead }) = &mut command
        {
            dead.retain(is_dead);
        }
        Cow::Owned(command)
    }

    /// Whether the command changes nothing, so that a store may answer it
    /// without its write gate.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        matches!(
            self,
            Self::Verify(_)
                | Self::Inspect(_)
                | Self::Recall(_)
                | Self::ReadGraph(_)
                | Self::ListGraphs
                | Self::Snapshot
        )
    }

    /// When the outcome must be on the disk. A grant need not be: the generation
    /// covers a lost tail of tokens. An intent must be before the first swap: it
    /// names the contents, the versions and the answer of its commit. So the end
    /// of a commit that went as its intent says may follow: a power cut that
    /// takes it leaves the intent, and recovery ends the commit in the same way.
    /// Any other end says more than its intent does, or stands for an intent
    /// whose author may have died before it was synced.
    #[must_use]
    pub fn sync_need(&self) -> SyncNeed {
        match self {
            Self::BeginCommit(_) if is_active(Mutant::IntentNotDurable) => SyncNeed::None,
            Self::FinishCommit(finish)
                if finish.exceptions.is_empty() && finish.recovered_by.is_none() =>
            {
                SyncNeed::Soon
            }
            Self::BeginCommit(_) | Self::TurnBack(_) | Self::FinishCommit(_) | Self::Revoke(_) => {
                SyncNeed::First
            }
            Self::Acquire(asked) | Self::Watch(asked) if asked.request.is_some() => SyncNeed::First,
            Self::AppendPatch(_) if is_active(Mutant::GraphPatchNotDurable) => SyncNeed::None,
            Self::Remember(_) | Self::AppendPatch(_) => SyncNeed::First,
            Self::Release(asked) if asked.request.is_some() => SyncNeed::First,
            Self::NoteDocument(note) if note.remember.is_some() => SyncNeed::First,
            Self::ReadGraph(read) if read.durable => SyncNeed::First,
            Self::Acquire(_)
            | Self::Watch(_)
            | Self::Open(_)
            | Self::CloseSession(_)
            | Self::Reserve(_)
            | Self::Cancel(_)
            | Self::Renew(_)
            | Self::Release(_)
            | Self::Expire(_)
            | Self::Verify(_)
            | Self::Sweep(_)
            | Self::Inspect(_)
            | Self::Recall(_)
            | Self::Tally(_)
            | Self::NoteDocument(_)
            | Self::ReadGraph(_)
            | Self::DrawDot(_)
            | Self::KeepCheckpoint(_)
            | Self::ListGraphs
            | Self::Snapshot => SyncNeed::None,
        }
    }
}

/// When the outcome of a command must be on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncNeed {
    /// Before anybody acts on it.
    First,
    /// Some milliseconds later: it can be made again from what is there.
    Soon,
    /// With whatever is synced next.
    None,
}

/// Arguments of [`Command::Open`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The name a new store gets.
    pub store: String,
    /// The boot whose clock the process reads.
    pub boot: String,
    /// The token floor kept outside the store.
    pub floor: Token,
    /// The first sequence of a store that has none, so that a store made anew
    /// starts above one that was deleted.
    pub first_sequence: u64,
    /// The session to record, if the process will hold leases.
    pub session: Option<Session>,
}

/// Arguments of [`Command::Acquire`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acquire {
    /// The id the lease will have; asking again with the same id is a retry.
    pub lease: LeaseId,
    /// Who asks.
    pub owner: Owner,
    /// For what, in canonical order.
    pub wants: Arc<[Want]>,
    /// For a call or across calls.
    pub kind: LeaseKind,
    /// How long the lease protects without renewal.
    pub ttl_ms: u64,
    /// How long the resource stays closed after an unclean end of this lease.
    pub lock_delay_ms: u64,
    /// What the holder says it is doing.
    pub purpose: Option<Arc<str>>,
    /// Interactive or batch.
    pub urgency: Urgency,
    /// How long to queue from now on; zero refuses at once.
    pub wait_ms: u64,
    /// The ticket of an earlier round of this request.
    pub ticket: Option<TicketNo>,
    /// Sessions the caller found dead. The store looks again
    /// ([`Command::without_revived`]).
    pub dead: BTreeSet<SessionId>,
    /// Keys whose latches the caller holds.
    pub latched: BTreeSet<ResourceKey>,
    /// Under which idempotency key the grant is remembered.
    pub request: Option<RequestKey>,
    /// How long the request has waited so far, in microseconds.
    pub waited_us: u64,
    /// The most tickets that may wait in front of a new one.
    pub max_waiters: u32,
    /// In observe mode: a lease in the way that has run out is let stand too, since
    /// the latches that ending it needs cannot be had.
    #[serde(default)]
    pub beside: bool,
}

impl Acquire {
    /// The plainest request: one call asks for this and is refused at once where it
    /// is not free.
    #[must_use]
    pub fn at_once(lease: LeaseId, owner: Owner, wants: Arc<[Want]>, ttl_ms: u64) -> Self {
        Self {
            lease,
            owner,
            wants,
            kind: LeaseKind::Call,
            ttl_ms,
            lock_delay_ms: 0,
            purpose: None,
            urgency: Urgency::Interactive,
            wait_ms: 0,
            ticket: None,
            dead: BTreeSet::new(),
            latched: BTreeSet::new(),
            request: None,
            waited_us: 0,
            max_waiters: 64,
            beside: false,
        }
    }
}

/// Arguments of [`Command::Release`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Which lease.
    pub lease: LeaseId,
    /// Keys whose latches the caller holds.
    pub latched: BTreeSet<ResourceKey>,
    /// Counters to add to in the same transaction.
    pub counts: Vec<Count>,
    /// Under which idempotency key the answer is remembered, if under one.
    pub request: Option<RequestKey>,
}

/// Arguments of [`Command::FinishCommit`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishCommit {
    /// Which attempt.
    pub op: OpId,
    /// Items that did not simply take effect, by path.
    pub exceptions: BTreeMap<String, ItemEnd>,
    /// Whether somebody else finishes it for a process that died.
    pub recovered_by: Option<Owner>,
    /// Counters to add to in the same transaction.
    pub counts: Vec<Count>,
}

/// How an item of a commit ended, other than by taking effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemEnd {
    /// The file is as it was before the commit.
    Undone,
    /// A foreign change was found. Both contents exist.
    Conflict {
        /// What the outside writer had made of the file; nothing if it removed
        /// it, or made something else than a file of its name.
        found: Option<ContentHash>,
        /// Whether the file now holds the outside content or the commit's.
        outside_stands: bool,
    },
}

/// Arguments of [`Command::Revoke`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoke {
    /// Leases overlapping this are taken away.
    pub target: Target,
    /// Who decided.
    pub by: AgentId,
    /// Why; kept for the audit.
    pub reason: String,
    /// Keys whose latches the caller holds.
    pub latched: BTreeSet<ResourceKey>,
}

/// Arguments of [`Command::Sweep`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// Sessions found dead. The store looks again.
    pub dead: BTreeSet<SessionId>,
}

/// Arguments of [`Command::Remember`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remember {
    /// Under which key, and for what request.
    pub request: RequestKey,
    /// What was answered.
    pub receipt: Receipt,
}

/// Arguments of [`Command::NoteDocument`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteDocument {
    /// The line for the log.
    pub record: DocgenRecord,
    /// The answer to remember.
    pub remember: Option<Remember>,
}

/// Arguments of [`Command::Inspect`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspect {
    /// The resource.
    pub extent: Target,
    /// Its path, where it has one.
    pub path: Option<String>,
}

/// Arguments of [`Command::ReadGraph`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadGraph {
    /// Which graph.
    pub graph: String,
    /// How far the reader has come.
    pub after: Cursor,
    /// Whether all of it is to be on the disk: somebody will be told of it.
    pub durable: bool,
}

/// Arguments of [`Command::DrawDot`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrawDot {
    /// Which graph.
    pub graph: String,
    /// The most graphs that a store may have.
    pub max_graphs: u64,
}

/// Arguments of [`Command::AppendPatch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendPatch {
    /// The patch, and which graph it is for.
    pub part: CommitPatch,
    /// The patch that it is to follow at once, since the answer was made from
    /// all up to that one; nothing where it may follow any.
    pub after: Option<Cursor>,
    /// A lease that the caller relies on.
    pub lease: Option<LeaseId>,
    /// The resource key of the graph.
    pub key: ResourceKey,
    /// Under which idempotency key the answer is remembered.
    pub request: Option<RequestKey>,
    /// The answer.
    pub receipt: Receipt,
    /// Counters to add to in the same transaction.
    pub counts: Vec<Count>,
}

/// Arguments of [`Command::KeepCheckpoint`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepCheckpoint {
    /// Which graph.
    pub graph: String,
    /// The last patch that it stands for.
    pub through: Cursor,
    /// Its bytes.
    pub checkpoint: Bytes,
    /// The lease it is made under.
    pub lease: LeaseId,
    /// The resource key of the graph.
    pub key: ResourceKey,
    /// Counters to add to in the same transaction.
    pub counts: Vec<Count>,
}
