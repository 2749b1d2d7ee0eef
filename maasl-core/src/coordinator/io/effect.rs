//! What the node is asked to do, and what came of it.
//!
//! Owns: effects and their answers. Promises: effects are so fine that a crash or
//! a pause can fall between any two of them; each has one shape of answer. Leaves
//! to others: executing them (the node), and when (the calls of the coordinator).

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::database::{BadStatement, Begun, Seal, Work, Written};
use crate::docgen::GeneratorFailure;
use crate::id::{ContentHash, OpId, SessionId, Token};
use crate::lease::row::CommitItem;
use crate::lease::{Version, Wake};
use crate::path::PathRefusal;
use crate::refusal::Process;
use crate::resource::ResourceKey;

/// What the node is asked to do; each may be the last thing a process does.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Turn paths as callers write them into paths relative to the root.
    Locate(Vec<String>),
    /// Read a file whole.
    Read(String),
    /// Hash a file's content.
    Hash(String),
    /// Fetch kept content from the history.
    LoadObject(ContentHash),
    /// Look up one version of a file.
    LoadVersion {
        /// The file.
        path: String,
        /// Its number.
        number: u64,
    },
    /// Write new content beside the tree, with the permissions and attributes of
    /// `like`, and begin to bring it to the disk.
    Stage {
        /// The name to stage under.
        name: String,
        /// The file whose permissions it gets; the one it replaces, or the
        /// source of a move.
        like: String,
        /// The file it will be placed at.
        target: String,
        /// The content.
        content: Arc<[u8]>,
        /// Whether it must be on the disk before this is answered. Otherwise it
        /// need be there only before a swap makes it visible.
        at_once: bool,
    },
    /// Bring the names of staged contents to the disk.
    SyncStaged(Vec<String>),
    /// Remove staged content that will not be used.
    Discard(Vec<String>),
    /// Take the latches of these keys, all, within the configured time.
    Latch(Vec<ResourceKey>),
    /// Drop every latch this call holds.
    Unlatch,
    /// Make one change visible, once its new bytes are on the disk. They leave the
    /// staged name, and what they displace takes it.
    Swap(CommitItem),
    /// Take a change back: what the staged name holds returns to the file, and
    /// what the file holds takes the staged name.
    SwapBack(CommitItem),
    /// Hash staged content.
    HashStaged(String),
    /// Bring the names of these files to the disk.
    SyncNames(Vec<String>),
    /// Move staged content into the history; what has no content goes where its
    /// owner finds it.
    Keep {
        /// The staged name.
        stage: String,
        /// Its hash.
        content: ContentHash,
    },
    /// Bring content in the history to the disk, with its name.
    SyncKept(ContentHash),
    /// Open a database for writing, look at its fence and for an earlier answer.
    DbBegin {
        /// Which, by its name in the configuration.
        db: String,
        /// The idempotency key of the request.
        request: Option<String>,
        /// How long to wait for a writer that goes past MAASL.
        wait_ms: u64,
    },
    /// Do the work of the transaction that this call has begun.
    DbExecute(Work),
    /// Look at the fence again, inside the transaction.
    DbFence,
    /// Raise the fence, remember the answer, and commit.
    DbCommit(Seal),
    /// Give the transaction up.
    DbRollback,
    /// Find out whether a database has the part of a commit that belongs to it.
    DbOutcome {
        /// Where the database lies, relative to the root.
        path: String,
        /// The commit.
        op: OpId,
    },
    /// Find out which of these processes are dead.
    Probe(BTreeSet<SessionId>),
    /// Ring these waiters.
    Ring(Vec<Wake>),
    /// Run the generator of documents.
    Generate(GeneratorRun),
    /// Find the files whose document any tool may have given this flat name; two
    /// are enough.
    FindSources(String),
    /// Take the lock that other tools take while they make documents, without
    /// waiting.
    DocgenLock,
    /// Drop it.
    DocgenUnlock,
}

/// What a generator is told.
#[derive(Clone, Debug)]
pub struct GeneratorRun {
    /// The source, relative to the root.
    pub source: String,
    /// Its hash.
    pub source_sha256: ContentHash,
    /// Its content, which is UTF-8.
    pub content: Arc<[u8]>,
    /// Where the document will be.
    pub document: String,
    /// What is there now.
    pub existing: Option<Arc<[u8]>>,
}

impl Effect {
    /// Its name in fault points, plans and traces.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Locate(_) => "locate",
            Self::Read(_) => "read",
            Self::Hash(_) => "hash",
            Self::LoadObject(_) => "load_object",
            Self::LoadVersion { .. } => "load_version",
            Self::Stage { .. } => "stage",
            Self::SyncStaged(_) => "sync_staged",
            Self::Discard(_) => "discard",
            Self::Latch(_) => "latch",
            Self::Unlatch => "unlatch",
            Self::Swap(_) => "swap",
            Self::SwapBack(_) => "swap_back",
            Self::HashStaged(_) => "hash_staged",
            Self::SyncNames(_) => "sync_names",
            Self::Keep { .. } => "keep",
            Self::SyncKept(_) => "sync_kept",
            Self::DbBegin { .. } => "db_begin",
            Self::DbExecute(_) => "db_execute",
            Self::DbFence => "db_fence",
            Self::DbCommit(_) => "db_commit",
            Self::DbRollback => "db_rollback",
            Self::DbOutcome { .. } => "db_outcome",
            Self::Probe(_) => "probe",
            Self::Ring(_) => "ring",
            Self::Generate(_) => "generate",
            Self::FindSources(_) => "find_sources",
            Self::DocgenLock => "docgen_lock",
            Self::DocgenUnlock => "docgen_unlock",
        }
    }
}

/// What came of an effect.
#[derive(Clone, Debug)]
pub enum Done {
    /// To [`Effect::Locate`].
    Located(Vec<String>),
    /// To [`Effect::Read`]: nothing where there is no such file.
    Content(Option<Arc<[u8]>>),
    /// To [`Effect::Hash`] and [`Effect::HashStaged`]: nothing where nothing is.
    /// What is staged and has no content is [`ContentHash::ODD`].
    Hashed(Option<ContentHash>),
    /// To [`Effect::LoadObject`]: nothing where it is not kept.
    Object(Option<Arc<[u8]>>),
    /// To [`Effect::LoadVersion`].
    Version(Option<Version>),
    /// To effects that simply succeed.
    Ok,
    /// To [`Effect::Latch`] that did not come in time.
    LatchBusy(Option<Process>),
    /// To [`Effect::DbBegin`].
    DbBegun(Begun),
    /// To [`Effect::DbBegin`]: a writer that goes past MAASL has the database.
    DbLocked,
    /// To [`Effect::DbExecute`].
    DbExecuted(Written),
    /// To [`Effect::DbExecute`] that cannot be carried out.
    DbRefused(BadStatement),
    /// To [`Effect::DbFence`].
    DbFence(Token),
    /// To [`Effect::DbOutcome`].
    DbOutcome(bool),
    /// To [`Effect::Swap`] and [`Effect::SwapBack`].
    Swapped(Swapped),
    /// To [`Effect::Probe`] and [`Effect::Ring`]: those found dead.
    Dead(BTreeSet<SessionId>),
    /// To [`Effect::FindSources`].
    Sources(Vec<String>),
    /// To [`Effect::DocgenLock`]: whether it was taken, or is not needed here.
    DocgenLock(bool),
    /// To [`Effect::Generate`].
    Generated(Result<Arc<[u8]>, GeneratorFailure>),
    /// The path cannot be used.
    Refused(PathRefusal),
    /// The machine underneath failed.
    Failed(String),
}

/// What a swap met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swapped {
    /// It took effect; this is the content it displaced. A folder, a link or a file
    /// that may not be read is [`ContentHash::ODD`].
    Displaced(Option<ContentHash>),
    /// Nothing happened: the file was expected and is gone.
    Vanished,
    /// Nothing happened: no file was expected and there is one.
    Occupied(Option<ContentHash>),
}
