//! What happens in a world, as its judges see it.
//!
//! Owns: the vocabulary between a world and its checkers. Promises: everything
//! that a promise speaks of is observed, in the order in which it happens, from
//! outside the code under test. Leaves to others: judging (`checks`).

use std::collections::BTreeSet;

use maasl_core::coordinator::io::{CallId, Response, StepId, Swapped};
use maasl_core::database::Seal;
use maasl_core::id::{ContentHash, SessionId};
use maasl_core::lease::{Command, CommitIntent, CommitItem, MemoryRows, Outcome, StoreClock};
use maasl_core::resource::ResourceKey;
use maasl_core::time::Timestamp;

use crate::plan::Action;
use crate::world::disk::Disk;

/// A server process, by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessNo(pub u16);

/// An agent, by its place in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentNo(pub u16);

/// One request of an agent: the same number is the same request, sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestNo(pub u64);

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A process started.
    Started {
        /// Which.
        process: ProcessNo,
        /// Its session.
        session: &'a SessionId,
    },
    /// A process died.
    Died {
        /// Which.
        process: ProcessNo,
        /// Its session.
        session: &'a SessionId,
    },
    /// A process begins to settle what the dead left open.
    KeepsHouse {
        /// Which.
        process: ProcessNo,
        /// The dead it knows of.
        dead: &'a BTreeSet<SessionId>,
    },
    /// A process stands still from now on, or goes on.
    Paused {
        /// Which.
        process: ProcessNo,
        /// Whether it stands still.
        paused: bool,
    },
    /// A command was executed.
    Transacted {
        /// For which process.
        process: ProcessNo,
        /// In which step of a call, where it was one's.
        step: Option<StepId>,
        /// The command.
        command: &'a Command,
        /// What the store answered.
        outcome: &'a Outcome,
        /// What the store's clock said.
        clock: StoreClock,
    },
    /// A process sends a commit to the store: it believes in its lease.
    Relied {
        /// Which.
        process: ProcessNo,
        /// The commit.
        intent: &'a CommitIntent,
        /// What the store's clock says at that instant.
        clock: StoreClock,
    },
    /// A call took latches.
    Latched {
        /// Of which process.
        process: ProcessNo,
        /// Which call.
        call: CallId,
        /// Whose keys.
        keys: &'a [ResourceKey],
    },
    /// A call dropped its latches.
    Unlatched {
        /// Of which process.
        process: ProcessNo,
        /// Which call.
        call: CallId,
    },
    /// A swap was tried on a file.
    Swapped {
        /// By which process.
        process: ProcessNo,
        /// In which call.
        call: CallId,
        /// What was to change.
        item: &'a CommitItem,
        /// Whether it was a change taken back.
        back: bool,
        /// What it met.
        swapped: Swapped,
        /// What the file holds now.
        now: Option<ContentHash>,
    },
    /// A swap was tried on a file that the system lets nobody change.
    Barred {
        /// By which process.
        process: ProcessNo,
        /// In which call.
        call: CallId,
        /// What was to change.
        item: &'a CommitItem,
        /// Whether it was a change to be taken back.
        back: bool,
    },
    /// A guarded transaction began while another was open.
    DatabaseMet {
        /// In which database.
        db: &'a str,
    },
    /// The work of a guarded transaction is done.
    DatabaseWorked {
        /// By which process.
        process: ProcessNo,
        /// In which call.
        call: CallId,
        /// In which database.
        db: &'a str,
        /// What the store's clock says at that instant.
        now: Timestamp,
    },
    /// A guarded transaction was committed.
    DatabaseCommitted {
        /// By which process.
        process: ProcessNo,
        /// In which call.
        call: CallId,
        /// Which database.
        db: &'a str,
        /// What was committed with the work.
        seal: &'a Seal,
        /// The rows that were added.
        rows: &'a [String],
    },
    /// A commit that nobody had seen came out of a database's log, after everybody
    /// had died.
    DatabaseCameBack {
        /// Which database.
        db: &'a str,
        /// What was committed with the work.
        seal: &'a Seal,
        /// The rows that were added.
        rows: &'a [String],
    },
    /// A guarded transaction was given up.
    DatabaseRolledBack {
        /// By which process.
        process: ProcessNo,
        /// In which call.
        call: CallId,
        /// Whether an earlier answer was found in it.
        answered: bool,
    },
    /// Somebody outside changed a file.
    Outside {
        /// Which.
        path: &'a str,
        /// What was there.
        before: Option<ContentHash>,
        /// What is there now.
        after: Option<ContentHash>,
    },
    /// A bit of a file changed by itself.
    Rotted {
        /// Which.
        path: &'a str,
        /// What was there.
        before: ContentHash,
        /// What is there now.
        after: ContentHash,
    },
    /// Less was staged than was said to be.
    Shortened {
        /// Under which staged name.
        stage: &'a str,
        /// What is there.
        after: ContentHash,
    },
    /// The machine lost power; the disk is as it will be found.
    PowerCut,
    /// The state directory was put back as it had been.
    Restored,
    /// An agent sent a request.
    Asked(&'a Asked<'a>),
    /// A process has decided what to answer; the answer may never arrive.
    Decided {
        /// Which process.
        process: ProcessNo,
        /// In which call.
        call: CallId,
        /// About which request.
        request: RequestNo,
        /// The answer.
        response: &'a Response,
    },
    /// An agent got an answer.
    Answered {
        /// Which agent.
        agent: AgentNo,
        /// To which request.
        request: RequestNo,
        /// The answer.
        response: &'a Response,
    },
    /// An agent stopped waiting for an answer.
    GaveUp {
        /// Which agent.
        agent: AgentNo,
        /// Which request.
        request: RequestNo,
    },
    /// Nothing goes wrong any more.
    Quiet,
    /// The run is over.
    Ended {
        /// Whether everything had come to its end before the time was up.
        finished: bool,
    },
}

/// A request as it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which agent.
    pub agent: AgentNo,
    /// Which request.
    pub request: RequestNo,
    /// Which sending of it, counted from 1.
    pub attempt: u32,
    /// To which process.
    pub process: ProcessNo,
    /// What the agent means.
    pub action: &'a Action,
    /// The idempotency key, where it has one.
    pub key: Option<&'a str>,
    /// The content the request is based on, by path.
    pub bases: &'a [(String, ContentHash)],
    /// The longest wait that the call may take by its own limits.
    pub wait_ms: u64,
}

/// Whoever looks on without judging. A world without one pays nothing for it.
pub trait Observer {
    /// Something happened after the first `records` records.
    fn observe(&mut self, records: u64, seen: &Observation<'_>, ground: &Ground<'_>);
}

/// What the world is like when something happens.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Nanoseconds from the start.
    pub now_ns: u64,
    /// The store's rows as they are committed.
    pub rows: &'a MemoryRows,
    /// The disk.
    pub disk: &'a Disk,
    /// The names of the processes.
    pub processes: &'a [String],
    /// The names of the agents.
    pub agents: &'a [String],
}
