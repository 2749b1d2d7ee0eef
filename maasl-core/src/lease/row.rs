//! The rows of a store, as plain data.
//!
//! Owns: what is remembered about leases, waiters, commits and versions.
//! Promises: rows say everything a decision needs; nothing is implied by who
//! stored them; copies of a lease or ticket share its texts and wants, since a
//! decision makes many. Leaves to others: how a store lays them out.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::graph::journal::Bytes;
use crate::graph::patch::{Patch, PatchId};
use crate::graph::seen::Dot;
use crate::graph::stamp::Stamp;
use crate::id::{AgentId, ContentHash, LeaseId, OpId, Owner, SessionId, TicketNo, Token};
use crate::mutant::{Mutant, is_active};
use crate::policy::Urgency;
use crate::reply::Receipt;
use crate::resource::{Extent, ResourceKey, Scope, Want};
use crate::time::Timestamp;

/// The one row about the store itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Made once, when the store was.
    pub store: Arc<str>,
    /// Rises when the store is opened under another boot identity.
    pub generation: u64,
    /// The sequence the next token gets.
    pub next_sequence: u64,
    /// Tokens up to this one are covered by the floor file.
    pub reserved_through: Token,
    /// The number the next ticket gets.
    pub next_ticket: u64,
    /// The boot whose clock the timestamps in this store were read from.
    pub boot: Arc<str>,
}

/// One run of a server process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Its process id, for people and for `doctor`.
    pub pid: u32,
    /// What it is: `serve`, `run`, …
    pub role: String,
    /// Wall-clock start, milliseconds since 1970.
    pub started_wall_ms: u64,
}

/// Why a lease was asked for, which decides who may wait for it in a circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseKind {
    /// Taken by one call for its own duration; its holder waits for nothing.
    Call,
    /// Held by an agent across calls.
    Reservation,
}

/// A grant: a time-bounded right to a set of resources, under one token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Authorises its use.
    pub id: LeaseId,
    /// Newer than every token before it.
    pub token: Token,
    /// Who asked.
    pub owner: Owner,
    /// What was granted, in canonical order.
    pub wants: Arc<[Want]>,
    /// For a call or across calls.
    pub kind: LeaseKind,
    /// When, by the store's clock.
    pub granted_at: Timestamp,
    /// When, for people; milliseconds since 1970.
    pub granted_wall_ms: u64,
    /// When it stops to protect, by the store's clock.
    pub expires_at: Timestamp,
    /// What a renewal adds.
    pub ttl_ms: u64,
    /// How long it stays closed to others after an unclean end.
    pub lock_delay_ms: u64,
    /// What the holder says it is doing.
    pub purpose: Option<Arc<str>>,
}

impl Lease {
    /// Whether the grant is over by time.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at && !(is_active(Mutant::ExpiryOneLate) && now == self.expires_at)
    }

    /// When another may take it over, if nobody renews or ends it first.
    #[must_use]
    pub fn claimable_at(&self) -> Timestamp {
        if is_active(Mutant::LockDelayIgnored) {
            return self.expires_at;
        }
        self.expires_at.plus_ms(self.lock_delay_ms)
    }

    /// The keys whose latches stand for this grant.
    pub fn keys(&self) -> impl Iterator<Item = &ResourceKey> + Clone {
        self.wants.iter().map(|want| &want.extent.key)
    }

    /// Whether everything `want` asks for was granted with it.
    #[must_use]
    pub fn covers(&self, want: &Want) -> bool {
        self.wants.iter().any(|have| have.covers(want))
    }

    /// Whether it allows an exclusive change of `key`.
    #[must_use]
    pub fn allows_change_of(&self, key: &ResourceKey) -> bool {
        self.wants.iter().any(|want| want.allows_change_of(key))
    }
}

/// How a lease ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeaseEnd {
    /// Its holder returned it.
    Released,
    /// It ran out before its holder returned it; nobody had needed it.
    Expired,
    /// It ran out and somebody else needed the resource.
    TakenOver {
        /// Who.
        by: Owner,
        /// Under which token.
        token: Token,
    },
    /// It was taken away by decision.
    Revoked {
        /// By whom.
        by: AgentId,
        /// And why.
        reason: String,
    },
}

/// What is remembered of a lease that is over, so that its holder can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedLease {
    /// Which lease.
    pub id: LeaseId,
    /// Its token.
    pub token: Token,
    /// Who held it.
    pub owner: Owner,
    /// How it ended.
    pub end: LeaseEnd,
    /// When, for people; milliseconds since 1970.
    pub ended_wall_ms: u64,
}

/// A waiter: a request in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its place.
    pub no: TicketNo,
    /// The lease it will get.
    pub lease: LeaseId,
    /// Who waits.
    pub owner: Owner,
    /// For what, in canonical order.
    pub wants: Arc<[Want]>,
    /// Interactive or batch.
    pub urgency: Urgency,
    /// Since when, by the store's clock.
    pub since: Timestamp,
    /// When it stops waiting, by the store's clock.
    pub deadline: Timestamp,
    /// How many interactive requests went past it.
    pub bypassed: u32,
}

impl Ticket {
    /// Whether it stopped waiting by time.
    #[must_use]
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        now >= self.deadline
    }
}

/// One file of a commit: what it was and what it becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitItem {
    /// Path relative to the root.
    pub path: String,
    /// Its resource key.
    pub key: ResourceKey,
    /// What was done: `write`, `edit`, `move`, `delete`, `restore`, `docgen`.
    pub op: String,
    /// The staged name: holds the new bytes before the swap and the displaced
    /// ones after it.
    pub stage: String,
    /// The content that is replaced; nothing for a new file.
    pub old: Option<ContentHash>,
    /// The content that replaces it; nothing for a removal.
    pub new: Option<ContentHash>,
    /// Size of the new content.
    pub size_bytes: u64,
}

/// A commit that has passed its commit point and is not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitIntent {
    /// Which attempt.
    pub op: OpId,
    /// Under which lease.
    pub lease: LeaseId,
    /// And token.
    pub token: Token,
    /// For whom.
    pub owner: Owner,
    /// The latches it was made under: those of the lease and of the files.
    pub latches: Vec<ResourceKey>,
    /// The changes, in the order they are swapped.
    pub items: Vec<CommitItem>,
    /// The answer to give, but for version numbers.
    pub receipt: Receipt,
    /// Under which idempotency key the answer is remembered.
    pub request: Option<RequestKey>,
    /// Whether the lease ends with the commit.
    pub release: bool,
    /// Whether it is being undone: recovery then goes back, not forward.
    pub turned_back: bool,
    /// Its part in a database. Whether that was committed decides for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<CommitDatabase>,
    /// The patch of a graph that is appended when it takes effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Box<CommitPatch>>,
}

/// A patch on its way into the journal of a graph, by itself or as a part of a
/// commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitPatch {
    /// Which graph.
    pub graph: String,
    /// The identity of the patch.
    pub patch: PatchId,
    /// The name of the patch, drawn for it.
    pub dot: Dot,
    /// Its time.
    pub stamp: Stamp,
    /// Its canonical form.
    pub bytes: Bytes,
}

impl CommitPatch {
    /// A patch on its way into the journal of `graph`.
    #[must_use]
    pub fn of(graph: &str, patch: &Patch) -> Self {
        let header = patch.header();
        Self {
            graph: graph.into(),
            patch: patch.id(),
            dot: header.dot.clone(),
            stamp: header.stamp,
            bytes: patch.to_bytes().into(),
        }
    }
}

/// The part of a commit that is in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitDatabase {
    /// Where the database lies, relative to the root: its name may have another
    /// meaning by the time somebody asks.
    pub path: String,
    /// Its resource key.
    pub key: ResourceKey,
}

impl CommitIntent {
    /// The keys of what it changes.
    pub fn keys(&self) -> impl Iterator<Item = &ResourceKey> {
        let files = self.items.iter().map(|item| &item.key);
        files.chain(self.database.iter().map(|part| &part.key))
    }

    /// Whether rows or a patch take effect with its files.
    #[must_use]
    pub fn goes_beyond_files(&self) -> bool {
        self.database.is_some() || self.patch.is_some()
    }

    /// Whether it needs what this session has staged. It may be another's: a process
    /// that opens a copy of its state anew leaves there what it had begun to nobody.
    #[must_use]
    pub fn needs_files_of(&self, session: &SessionId) -> bool {
        let stages = self.items.iter().map(|item| &item.stage);
        let mut folders = stages.filter_map(|stage| stage.split_once('/'));
        self.owner.session == *session || folders.any(|(folder, _)| folder == session.as_str())
    }

    /// Whether it changes what is at this place.
    #[must_use]
    pub fn changes(&self, extent: &Extent) -> bool {
        let mut places = self.keys().map(|key| Extent {
            key: key.clone(),
            scope: Scope::Exact,
        });
        places.any(|own| own.overlaps(extent))
    }
}

/// A caller's name for one attempt, and the hash of what it asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestKey {
    /// The idempotency key.
    pub key: String,
    /// SHA-256 over tool and arguments.
    pub fingerprint: ContentHash,
}

/// What a request with an idempotency key was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The request.
    pub request: RequestKey,
    /// The answer.
    pub receipt: Receipt,
    /// When, for people and for the window; milliseconds since 1970.
    pub wall_ms: u64,
}

/// One version in the history of a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Path relative to the root.
    pub path: String,
    /// 1 for the first version known.
    pub number: u64,
    /// Its content; nothing where the file was removed.
    pub content: Option<ContentHash>,
    /// The token it was written under; zero for what came from outside.
    pub token: Token,
    /// Who wrote it; `outside` for a change that went past MAASL.
    pub agent: AgentId,
    /// What was done.
    pub op: String,
    /// When it was recorded; milliseconds since 1970.
    pub wall_ms: u64,
    /// Size of the content in bytes, zero where unknown; see
    /// [`Version::known_size_bytes`].
    pub size_bytes: u64,
}

impl Version {
    /// Size of the content, where it is known. What came from outside was read for its
    /// hash alone, and its size is not among what commits tell the store.
    #[must_use]
    pub fn known_size_bytes(&self) -> Option<u64> {
        let is_outside = self.token == Token::default();
        (!is_outside || self.size_bytes > 0).then_some(self.size_bytes)
    }
}

/// The agent named for changes that went past MAASL.
pub const OUTSIDE: &str = "outside";

/// The place a revocation is aimed at.
pub type Target = Extent;
