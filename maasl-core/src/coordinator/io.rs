//! What goes into a coordinator and what comes out.
//!
//! Owns: the vocabulary between the decisions of one process and the node that
//! executes them. Promises: every step that goes out is named, and its answer
//! names the same step. Leaves to others: executing them.

mod effect;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::coordinator::database::DatabaseWrite;
use crate::coordinator::enrich::Span;
use crate::coordinator::graph::{
    GraphFile, GraphImported, GraphPatch, GraphQuery, GraphView, GraphsCompacted,
};
use crate::coordinator::read::ReadWanted;
use crate::coordinator::transaction::TransactionWanted;
use crate::docgen::{DocgenStatus, Made};
use crate::graph::patch::PatchId;
use crate::id::{AgentId, ContentHash, Entropy, LeaseId, SessionId, TicketNo, Token};
use crate::lease::row::Target;
use crate::lease::{Blocker, Command, Outcome, RequestKey};
use crate::observed::Observed;
use crate::policy::Urgency;
use crate::refusal::{LostLease, Process, Refusal};
use crate::reply::{FileChanged, Receipt};
use crate::resource::{Mode, ResourceKey, Scope};
use crate::text::edit::Edit;

pub use self::effect::{Done, Effect, GeneratorRun, Swapped};

/// The node's name for one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// One step of one call: the answer must name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    /// The call.
    pub call: CallId,
    /// Counted from 1 within the call.
    pub step: u64,
}

/// What happens to a coordinator.
#[derive(Clone, Debug)]
pub enum Input {
    /// A caller asks for something.
    Call(CallId, Call),
    /// The caller no longer wants the answer.
    Cancel(CallId),
    /// A command was answered by the store, or could not be.
    Stored(StepId, Result<Outcome, StoreFault>),
    /// An effect was executed.
    Done(StepId, Done),
    /// Somebody rang for this ticket.
    Woken(TicketNo),
}

/// What a coordinator wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Put a command to the store.
    Store(StepId, Command),
    /// Execute an effect.
    Do(StepId, Effect),
    /// Answer the caller; the call is over.
    Reply(CallId, Response),
    /// Something observers may want to know; never needed for correctness.
    Event(Event),
}

/// Why the store did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreFault {
    /// The write gate did not come free in time.
    Busy {
        /// The process inside it, where that can be told.
        process: Option<Process>,
        /// How long the command waited.
        waited_ms: u64,
    },
    /// The store failed; the command may or may not have taken effect.
    Failed(String),
}

/// A guarded call.
#[derive(Clone, Debug)]
pub struct Call {
    /// On whose behalf.
    pub agent: AgentId,
    /// Interactive or batch.
    pub urgency: Urgency,
    /// The longest wait the caller accepts; the class decides where not given.
    pub max_wait_ms: Option<u64>,
    /// The caller's name for this attempt.
    pub request: Option<RequestKey>,
    /// A lease to work under.
    pub lease: Option<LeaseId>,
    /// What to do.
    pub request_body: Request,
    /// Where the identifiers of this call come from.
    pub entropy: Entropy,
}

/// What a call asks for.
#[derive(Clone, Debug)]
pub enum Request {
    /// Read one file.
    Read(ReadWanted),
    /// Change files, all or nothing.
    Change(Vec<FileOp>),
    /// Write a database, all or nothing.
    Database(DatabaseWrite),
    /// Change files, documents, a database and a graph, all or nothing.
    Transact(TransactionWanted),
    /// Describe pieces of source in the retrieval database.
    Enrich(Vec<Span>),
    /// Show what changes would do.
    Preview(Vec<FileOp>),
    /// Change a graph.
    Patch(GraphPatch),
    /// Look at a graph.
    Query(GraphQuery),
    /// Write a graph to a file.
    ExportGraph(GraphFile),
    /// Bring what a file says into a graph.
    ImportGraph(GraphFile),
    /// Put checkpoints in the place of what many patches of graphs say; of one
    /// graph at once, or of all that have grown.
    CompactGraphs(Option<String>),
    /// Make the document of a source, unless it is made already.
    Document(DocumentWanted),
    /// Hold resources across calls.
    Reserve(Reservation),
    /// Extend a lease.
    Renew(LeaseId),
    /// Return a lease.
    Release(LeaseId),
    /// Take leases away from their holders.
    Revoke {
        /// From what.
        target: Target,
        /// Why.
        reason: String,
    },
    /// Finish or undo what dead processes left open.
    Recover,
    /// Recover, and forget these sessions, which are known to be dead.
    Bury(BTreeSet<SessionId>),
    /// Return everything this process holds, as it ends.
    ReleaseAll,
}

/// Arguments of a reservation.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The resources, as the caller names them.
    pub resources: Vec<ResourceWanted>,
    /// For how long without renewal; the class decides where not given.
    pub ttl_ms: Option<u64>,
    /// What for.
    pub purpose: Option<String>,
    /// Whether the coordinator renews it until it is released.
    pub keep: bool,
}

/// Arguments of a request for a document.
#[derive(Clone, Debug)]
pub struct DocumentWanted {
    /// The source.
    pub path: String,
    /// What the document is to say; nothing where the generator is to say it, or
    /// the caller when asked.
    pub content: Option<Vec<u8>>,
    /// The hash of the source that the content was made from.
    pub made_from: Option<ContentHash>,
    /// The hash of a document without a header that may be replaced.
    pub replaces: Option<ContentHash>,
}

/// One resource of a reservation.
#[derive(Clone, Debug)]
pub struct ResourceWanted {
    /// A path, or a name in the class.
    pub id: String,
    /// The resource class.
    pub class: String,
    /// Itself, or all below it too.
    pub scope: Scope,
    /// Shared or exclusive.
    pub mode: Mode,
}

/// What to do about a write whose author had seen older content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStale {
    /// Refuse it.
    #[default]
    Refuse,
    /// Merge both changes if they are independent; refuse otherwise.
    Merge,
}

/// One change of one file.
#[derive(Clone, Debug)]
pub enum FileOp {
    /// Put this content.
    Write {
        /// Which file.
        path: String,
        /// The whole content.
        content: Vec<u8>,
        /// The content it replaces.
        base: Option<ContentHash>,
        /// What if that is not there.
        on_stale: OnStale,
    },
    /// Replace pieces of the content.
    Edit {
        /// Which file.
        path: String,
        /// The pieces.
        edits: Vec<Edit>,
        /// The content the edits were made for.
        base: Option<ContentHash>,
    },
    /// Give it another name.
    Move {
        /// The old name.
        source: String,
        /// The new name; nothing may exist there.
        destination: String,
        /// The content that is moved.
        base: Option<ContentHash>,
    },
    /// Remove it.
    Delete {
        /// Which file.
        path: String,
        /// The content that is removed.
        base: Option<ContentHash>,
    },
    /// Put an earlier version.
    Restore {
        /// Which file.
        path: String,
        /// Which version.
        version: u64,
        /// The content it replaces.
        base: Option<ContentHash>,
    },
    /// Put a document, while its source is still the one it was made from.
    Document {
        /// Which file.
        path: String,
        /// The whole content.
        content: Vec<u8>,
        /// What the file holds; nothing where there must be none.
        base: Option<ContentHash>,
        /// What it was made from.
        made: Made,
    },
    /// Put a graph.
    Graph {
        /// Which file.
        path: String,
        /// The whole content.
        content: Vec<u8>,
        /// What the file holds; nothing where there must be none.
        base: Option<ContentHash>,
        /// How many entries of the file are left as they are.
        carried_over: u64,
    },
}

/// The word for putting a graph into a file.
pub const GRAPH: &str = "graph";

/// What the making of a document is called in commits and answers.
pub const DOCUMENT: &str = "docgen";

impl FileOp {
    /// The word for it in answers and histories.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Edit { .. } => "edit",
            Self::Move { .. } => "move",
            Self::Delete { .. } => "delete",
            Self::Restore { .. } => "restore",
            Self::Document { .. } => DOCUMENT,
            Self::Graph { .. } => GRAPH,
        }
    }
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What the caller asked for, or why not.
    pub result: Result<Reply, Refusal>,
    /// Leases of this agent that were found lost since its last call.
    pub lost: Vec<LostLease>,
    /// What enforce mode would have done to the call, in observe mode.
    pub observed: Vec<Observed>,
}

/// What a call asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A change or a grant.
    Receipt(Receipt),
    /// A file.
    Read(FileRead),
    /// What changes would do.
    Preview(Vec<FileChanged>),
    /// A lease was extended.
    Renewed {
        /// Until it expires.
        expires_in_ms: u64,
    },
    /// A lease was returned.
    Released {
        /// How long it was held.
        held_ms: u64,
    },
    /// Leases were taken away from these agents.
    Revoked(Vec<AgentId>),
    /// So many commits of dead processes were settled.
    Recovered(u64),
    /// These sessions are forgotten: no open commit needs their files.
    Buried(BTreeSet<SessionId>),
    /// What this process held was returned, as far as that was possible.
    Ended {
        /// Whether no open commit needs its files, and none will.
        is_settled: bool,
    },
    /// Part of a graph.
    Graph(Box<GraphView>),
    /// What a file brought into a graph.
    Imported(GraphImported),
    /// Checkpoints of graphs were made, where that could be.
    Compacted(GraphsCompacted),
    /// The caller has to write the document.
    NeedsContent(NeedsContent),
}

/// A source whose document has to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedsContent {
    /// The source, relative to the root.
    pub source: String,
    /// Its hash, to be passed back.
    pub source_sha256: ContentHash,
    /// Its content.
    pub content: Arc<[u8]>,
    /// Where the document will be.
    pub document: String,
}

/// A file as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// Path relative to the root.
    pub path: String,
    /// The whole content.
    pub content: Arc<[u8]>,
    /// Its hash.
    pub sha256: ContentHash,
    /// The newest version known, if the content is that version's.
    pub version: Option<u64>,
    /// Who holds a lease on it.
    pub held_by: Option<Blocker>,
}

/// Something worth a log line or a progress notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call waits.
    Waiting {
        /// Which.
        call: CallId,
        /// What for, holders first.
        blockers: Vec<Blocker>,
        /// How many wait in front.
        place: u32,
        /// How long it has waited.
        waited_ms: u64,
        /// How long it may.
        allowed_ms: u64,
    },
    /// A lease was granted.
    LockAcquired {
        /// To whom.
        agent: AgentId,
        /// For what.
        keys: Vec<ResourceKey>,
        /// Under which token.
        token: Token,
        /// After how long.
        waited_ms: u64,
        /// How many expired or dead leases were ended for it.
        taken_over: u64,
    },
    /// A lease was returned.
    LockReleased {
        /// By whom.
        agent: AgentId,
        /// What it was for.
        keys: Vec<ResourceKey>,
        /// Its token.
        token: Token,
    },
    /// Something that follows from an answer.
    Told {
        /// For whom.
        agent: AgentId,
        /// What: `merged`, `stale_refused`, …
        what: &'static str,
        /// Of which file, database or resource; of a circle, the next in it.
        subject: String,
        /// Under which token.
        token: Option<Token>,
    },
    /// A lease was extended while calls use it.
    LockRenewed {
        /// Whose.
        agent: AgentId,
        /// Its token.
        token: Token,
    },
    /// An operation on a document ended.
    Docgen {
        /// For whom.
        agent: AgentId,
        /// How.
        status: DocgenStatus,
        /// The source.
        source: String,
        /// After how long.
        duration_ms: u64,
    },
    /// Observe mode let something pass.
    Observed {
        /// Whose.
        agent: AgentId,
        /// `would_block` or `would_refuse`.
        what: &'static str,
        /// The stable code of the refusal.
        code: &'static str,
    },
    /// A graph was patched.
    GraphMerged {
        /// By whom.
        agent: AgentId,
        /// Which graph.
        graph: String,
        /// The patch.
        patch: PatchId,
        /// How many conflicts it is part of.
        conflicts: u64,
    },
    /// A call was refused.
    Refused {
        /// Whose.
        agent: AgentId,
        /// The stable code.
        code: &'static str,
    },
    /// A commit of a dead process was settled.
    Recovered {
        /// Whose.
        agent: AgentId,
        /// Under which token.
        token: Token,
    },
}
