//! What a decision answers and what it changes.
//!
//! Owns: outcomes and row changes. Promises: an outcome that refuses comes with
//! no change but counters and the queue's own rows. Leaves to others: applying
//! the changes in one transaction (a store).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::docgen::DocgenRecord;
use crate::graph::journal::{Bytes, Cursor, Entry, Journal, Part};
use crate::graph::seen::Dot;
use crate::id::{OpId, Owner, SessionId, TicketNo, Token};
use crate::lease::command::{Command, SyncNeed};
use crate::lease::counter::Count;
use crate::lease::row::{
    Answered, CommitIntent, EndedLease, Lease, Meta, Session, Ticket, Version,
};
use crate::mutant::{Mutant, is_active};
use crate::reply::Receipt;
use crate::resource::ResourceKey;

/// A waiter to wake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wake {
    /// The process it waits in.
    pub session: SessionId,
    /// Which of its tickets.
    pub ticket: TicketNo,
}

/// What stands in the way of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// The contested resource.
    pub key: ResourceKey,
    /// Who holds it or waits in front.
    pub owner: Owner,
    /// The token of its lease; nothing for a waiter.
    pub token: Option<Token>,
    /// Since when, for people; milliseconds since 1970; zero for a waiter.
    pub since_wall_ms: u64,
    /// How long it has held or waited.
    pub held_ms: u64,
    /// When the lease ends unless renewed, or when the waiter gives up.
    pub expires_in_ms: u64,
    /// What the holder says it is doing.
    pub purpose: Option<Arc<str>>,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The store is open.
    Opened(Meta),
    /// Nothing more to say.
    Done {
        /// Waiters that may now be served.
        wake: Vec<Wake>,
    },
    /// The floor must cover at least this token before it is issued.
    NeedReserve(Token),
    /// The lease was granted, now or by an earlier sending of the request.
    Granted {
        /// It.
        lease: Lease,
        /// Whose leases were taken over for it.
        taken_over: Vec<Owner>,
        /// Waiters the change of queue may serve.
        wake: Vec<Wake>,
    },
    /// The request waits.
    Queued {
        /// Its ticket.
        ticket: TicketNo,
        /// How many conflicting waiters are in front.
        place: u32,
        /// What it waits for, holders first.
        blockers: Vec<Blocker>,
        /// When looking again is worth it even if nobody rings; nothing where
        /// only a ring can help.
        retry_in_ms: u64,
    },
    /// The request does not wait, or waited long enough.
    Busy {
        /// What is in the way.
        blockers: Vec<Blocker>,
        /// How many conflicting waiters are in front.
        place: u32,
        /// Waiters that its leaving the queue may serve.
        wake: Vec<Wake>,
    },
    /// Waiting would close this circle; the first element is the requester.
    Deadlock {
        /// Each waits for the next, and the last for the first.
        circle: Vec<Owner>,
        /// Waiters that its leaving the queue may serve.
        wake: Vec<Wake>,
    },
    /// The lease is granted beside others that it conflicts with.
    Watched {
        /// The lease.
        lease: Lease,
        /// What would have been waited for.
        blockers: Vec<Blocker>,
    },
    /// A published limit is reached.
    LimitReached {
        /// Which.
        limit: String,
        /// Its value.
        value: u64,
    },
    /// The leases in the way can be ended only under these latches.
    NeedLatches {
        /// Their keys.
        keys: Vec<ResourceKey>,
    },
    /// These commits must be settled first, under the latches already held.
    NeedRecovery(Vec<CommitIntent>),
    /// The lease is gone.
    Lost {
        /// How it ended, where that is still known.
        ended: Option<EndedLease>,
        /// The lease row, where it has expired and nobody took over.
        expired: Option<Lease>,
    },
    /// The lease does not allow this.
    NotCovered {
        /// The key outside it.
        key: ResourceKey,
    },
    /// The lease is there.
    Held {
        /// It.
        lease: Lease,
        /// Until it expires.
        expires_in_ms: u64,
    },
    /// The commit point is passed.
    Begun,
    /// The commit is over.
    Finished {
        /// The answer, version numbers filled in.
        receipt: Receipt,
        /// Waiters that may now be served.
        wake: Vec<Wake>,
    },
    /// Nothing is known of this commit: it was finished before.
    UnknownOp(OpId),
    /// The lease is over and this is what it was.
    Released {
        /// How long it was held.
        held_ms: u64,
        /// Waiters that may now be served.
        wake: Vec<Wake>,
    },
    /// Leases were taken away.
    Revoked {
        /// Those.
        leases: Vec<EndedLease>,
        /// Waiters that may now be served.
        wake: Vec<Wake>,
    },
    /// An earlier request with the same idempotency key was answered so.
    Answered(Receipt),
    /// The idempotency key was used for something else.
    KeyMismatch,
    /// No such request is known.
    NotAnswered,
    /// The state of one resource.
    Inspected(Inspected),
    /// What a journal holds beyond where its reader stood.
    Journal(Box<Part>),
    /// A number for the next patch of a graph.
    DotDrawn {
        /// It, with whom it is of.
        dot: Dot,
        /// The store's wall clock, milliseconds since 1970.
        wall_ms: u64,
    },
    /// The patch is in the journal.
    Appended {
        /// The last patch of the journal.
        end: Cursor,
        /// Whether it was appended now.
        is_new: bool,
    },
    /// The patch was not appended: this is the last patch of the journal, and not
    /// the one that it was to follow.
    JournalMoved(Cursor),
    /// The graphs there are.
    Graphs(Vec<Journal>),
    /// The state of everything.
    Snapshot(Snapshot),
}

impl Outcome {
    /// When this answer to `command` must survive a power cut. An answer given
    /// before may come from a process that died before its sync.
    #[must_use]
    pub fn sync_need(&self, command: &Command) -> SyncNeed {
        match self {
            Self::Answered(_) => SyncNeed::First,
            // Whoever looks at a graph settles nothing first, so a patch that was
            // answered for cannot wait in an open commit.
            Self::Finished { receipt, .. }
                if receipt.patches_a_graph() && !is_active(Mutant::PatchEndNotDurable) =>
            {
                SyncNeed::First
            }
            Self::Queued { .. }
            | Self::Busy { .. }
            | Self::Deadlock { .. }
            | Self::LimitReached { .. }
            | Self::NeedLatches { .. }
            | Self::NeedRecovery(_)
            | Self::NeedReserve(_)
            | Self::Lost { .. }
            | Self::NotCovered { .. }
            | Self::KeyMismatch
            | Self::NotAnswered
            | Self::JournalMoved(_) => SyncNeed::None,
            Self::Opened(_)
            | Self::Done { .. }
            | Self::Granted { .. }
            | Self::Watched { .. }
            | Self::Held { .. }
            | Self::Begun
            | Self::Finished { .. }
            | Self::UnknownOp(_)
            | Self::Released { .. }
            | Self::Revoked { .. }
            | Self::Inspected(_)
            | Self::Journal(_)
            | Self::DotDrawn { .. }
            | Self::Appended { .. }
            | Self::Graphs(_)
            | Self::Snapshot(_) => command.sync_need(),
        }
    }
}

/// The state of one resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspected {
    /// Who holds it.
    pub holders: Vec<Blocker>,
    /// How many wait for it.
    pub waiters: u32,
    /// Open commits that touch it.
    pub intents: Vec<CommitIntent>,
    /// The newest version known.
    pub version: Option<Version>,
}

/// The state of everything that is held, waited for or open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The store itself.
    pub meta: Meta,
    /// Leases by token. Their ids are blanked: knowing one is the right to it.
    pub leases: Vec<Lease>,
    /// Waiters by number.
    pub tickets: Vec<Ticket>,
    /// Open commits.
    pub intents: Vec<CommitIntent>,
    /// Processes.
    pub sessions: Vec<Session>,
}

/// One change of a row. The largest rows are boxed, so that a list of the usual
/// changes is short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// Writes the row about the store.
    PutMeta(Meta),
    /// Writes a session.
    PutSession(Session),
    /// Removes a session.
    DeleteSession(SessionId),
    /// Writes a lease and its keys.
    PutLease(Lease),
    /// Removes a lease and its keys.
    DeleteLease(Token),
    /// Remembers how a lease ended.
    PutEnded(EndedLease),
    /// Writes a ticket and its keys.
    PutTicket(Ticket),
    /// Removes a ticket and its keys.
    DeleteTicket(TicketNo),
    /// Writes an open intent.
    PutIntent(Box<CommitIntent>),
    /// Removes an intent.
    DeleteIntent(OpId),
    /// Adds a version to the history of a path.
    PutVersion(Version),
    /// Remembers an answer.
    PutAnswered(Box<Answered>),
    /// Writes what is known about a graph.
    PutJournal(Box<Journal>),
    /// Adds a patch to the journal of a graph.
    PutEntry {
        /// Which graph.
        graph: String,
        /// The patch.
        entry: Entry,
    },
    /// Writes the checkpoint of a graph and removes the patches it stands for.
    PutCheckpoint {
        /// Which graph.
        graph: String,
        /// The place of the last of them.
        through: u64,
        /// The checkpoint.
        bytes: Bytes,
    },
    /// Adds to a counter.
    Add {
        /// What, and how much.
        count: Count,
        /// In which hour since 1970, by the wall clock.
        hour: u64,
    },
    /// Adds to the log of operations on documents, which is bounded.
    PutDocgen(Box<DocgenRecord>),
}

/// An outcome and the changes that make it true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What to answer.
    pub outcome: Outcome,
    /// What to write, in order.
    pub changes: Vec<Change>,
}

impl Decision {
    /// An outcome that changes nothing.
    #[must_use]
    pub fn unchanged(outcome: Outcome) -> Self {
        Self {
            outcome,
            changes: Vec::new(),
        }
    }
}
