//! The read set of a decision.
//!
//! Owns: the questions a decision may ask a store, and the answers it was given.
//! Promises: a decision sees only what was loaded; asking for anything else ends
//! it with [`Need`], the store loads that and the decision runs again from the
//! start, which is safe because it is pure. Leaves to others: answering (a store).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::graph::journal::{Bytes, Entry, Journal};
use crate::graph::patch::PatchId;
use crate::id::{LeaseId, OpId, Owner, TicketNo, Token};
use crate::lease::row::{
    Answered, CommitIntent, EndedLease, Lease, Meta, Session, Ticket, Version,
};
use crate::resource::Extent;

/// A question to the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query {
    /// The row about the store itself.
    Meta,
    /// The lease with this id.
    Lease(LeaseId),
    /// Every lease, for snapshots and for a change of boot.
    AllLeases,
    /// Leases one of whose wants overlaps the extent.
    LeasesOverlapping(Extent),
    /// Reservations of this owner.
    LeasesOf(Owner),
    /// What is remembered of an ended lease.
    Ended(LeaseId),
    /// The ticket with this number.
    Ticket(TicketNo),
    /// Every ticket.
    AllTickets,
    /// Tickets one of whose wants overlaps the extent.
    TicketsOverlapping(Extent),
    /// Tickets of this owner.
    TicketsOf(Owner),
    /// The open intent of this attempt.
    Intent(OpId),
    /// Open intents made under this token.
    IntentsOf(Token),
    /// Every open intent.
    AllIntents,
    /// The newest version of a path.
    Version(String),
    /// The answer remembered under an idempotency key.
    Answered(String),
    /// Every session row.
    AllSessions,
    /// What is known about a graph.
    Journal(String),
    /// What is known about every graph, by name.
    AllJournals,
    /// The patch at a place of a journal.
    PatchAt {
        /// Of which graph.
        graph: String,
        /// The place.
        place: u64,
    },
    /// The patches after a place of a journal, as many as fit into one part.
    Entries {
        /// Of which graph.
        graph: String,
        /// The place.
        after: u64,
    },
    /// How many bytes the patches after a place of a journal have.
    BytesAfter {
        /// Of which graph.
        graph: String,
        /// The place.
        after: u64,
    },
    /// The checkpoint of a graph.
    Checkpoint(String),
}

/// The answer to a [`Query`]; the variant follows from the question. Large rows
/// are boxed: a read set holds many answers, and few of them are large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rows {
    /// To [`Query::Meta`].
    Meta(Option<Meta>),
    /// To the questions for leases.
    Leases(Vec<Lease>),
    /// To [`Query::Ended`].
    Ended(Option<Box<EndedLease>>),
    /// To the questions for tickets, by number.
    Tickets(Vec<Ticket>),
    /// To the questions for intents.
    Intents(Vec<CommitIntent>),
    /// To [`Query::Version`].
    Version(Option<Box<Version>>),
    /// To [`Query::Answered`].
    Answered(Option<Box<Answered>>),
    /// To [`Query::AllSessions`].
    Sessions(Vec<Session>),
    /// To the questions about graphs.
    Journals(Vec<Journal>),
    /// To [`Query::PatchAt`].
    PatchAt(Option<PatchId>),
    /// To [`Query::Entries`].
    Entries(Vec<Entry>),
    /// To [`Query::BytesAfter`].
    Bytes(u64),
    /// To [`Query::Checkpoint`].
    Checkpoint(Option<Bytes>),
}

/// A decision asked for rows that were not loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need(pub Query);

/// The rows loaded so far for one decision.
#[derive(Clone, Debug, Default)]
pub struct RowSet {
    /// By query. Most decisions ask a handful, which one small allocation holds.
    loaded: Vec<(Query, Rows)>,
}

macro_rules! accessor {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $ty:ty) => {
        $(#[$doc])*
        pub(super) fn $name(&self, query: Query) -> Result<&$ty, Need> {
            match self.answer_to(&query) {
                Some(Rows::$variant(rows)) => Ok(rows),
                Some(other) => panic!("the store answered {query:?} with {other:?}"),
                None => Err(Need(query)),
            }
        }
    };
}

impl RowSet {
    /// An empty set with room for this many answers.
    #[must_use]
    pub fn with_capacity(answers: usize) -> Self {
        Self {
            loaded: Vec::with_capacity(answers),
        }
    }

    /// Adds the answer to `query`.
    pub fn insert(&mut self, query: Query, rows: Rows) {
        match self.place_of(&query) {
            Ok(at) => self.loaded[at].1 = rows,
            Err(at) => self.loaded.insert(at, (query, rows)),
        }
    }

    accessor!(leases, Leases, Vec<Lease>);
    accessor!(tickets, Tickets, Vec<Ticket>);
    accessor!(intents, Intents, Vec<CommitIntent>);
    accessor!(version_row, Version, Option<Box<Version>>);
    accessor!(answered_row, Answered, Option<Box<Answered>>);
    accessor!(ended_row, Ended, Option<Box<EndedLease>>);
    accessor!(meta_row, Meta, Option<Meta>);
    accessor!(sessions, Sessions, Vec<Session>);
    accessor!(journals, Journals, Vec<Journal>);
    accessor!(patch_at, PatchAt, Option<PatchId>);
    accessor!(entries, Entries, Vec<Entry>);
    accessor!(bytes, Bytes, u64);
    accessor!(checkpoint, Checkpoint, Option<Bytes>);

    pub(super) fn meta(&self) -> Result<&Meta, Need> {
        let meta = self.meta_row(Query::Meta)?;
        Ok(meta
            .as_ref()
            .expect("a store is opened before it is used; opening writes its meta row"))
    }

    pub(super) fn lease(&self, id: &LeaseId) -> Result<Option<&Lease>, Need> {
        Ok(self.leases(Query::Lease(id.clone()))?.first())
    }

    pub(super) fn ended(&self, id: &LeaseId) -> Result<Option<&EndedLease>, Need> {
        Ok(self.ended_row(Query::Ended(id.clone()))?.as_deref())
    }

    pub(super) fn ticket(&self, no: TicketNo) -> Result<Option<&Ticket>, Need> {
        Ok(self.tickets(Query::Ticket(no))?.first())
    }

    pub(super) fn intent(&self, op: &OpId) -> Result<Option<&CommitIntent>, Need> {
        Ok(self.intents(Query::Intent(op.clone()))?.first())
    }

    pub(super) fn answered(&self, key: &str) -> Result<Option<&Answered>, Need> {
        Ok(self.answered_row(Query::Answered(key.into()))?.as_deref())
    }

    pub(super) fn journal(&self, graph: &str) -> Result<Option<&Journal>, Need> {
        Ok(self.journals(Query::Journal(graph.into()))?.first())
    }

    pub(super) fn version(&self, path: &str) -> Result<Option<&Version>, Need> {
        Ok(self.version_row(Query::Version(path.into()))?.as_deref())
    }

    fn answer_to(&self, query: &Query) -> Option<&Rows> {
        let at = self.place_of(query).ok()?;
        Some(&self.loaded[at].1)
    }

    /// Where the answer to `query` is, or where it would be put.
    fn place_of(&self, query: &Query) -> Result<usize, usize> {
        self.loaded.binary_search_by(|(known, _)| known.cmp(query))
    }
}
