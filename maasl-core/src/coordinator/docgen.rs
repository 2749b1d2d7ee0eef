//! Making the document of a source.
//!
//! Owns: the order of it. Lease, hash the source, gate, generate, hash the source
//! again, commit. Promises: everything that the gate decides by is read under the
//! lease on all documents; a refused call has written nothing; what was made from
//! a source that has moved since is not made visible. Leaves to others: what the
//! gate decides (`docgen::gate`), the commit (`change`), running a generator (the
//! node).

mod elsewhere;
pub(super) mod lock;
mod part;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::acquire;
use super::call::{Cx, mixed_up};
use super::change;
use super::io::{Call, DocumentWanted, Effect, Event, FileOp, GeneratorRun, NeedsContent, Reply};
use super::right::{self, Right};
use crate::docgen::{
    DocgenRecord, DocgenStatus, Gate, GeneratorFailure, GeneratorFault, Known, Made, Offer, gate,
};
use crate::id::ContentHash;
use crate::lease::command::{NoteDocument, Remember};
use crate::lease::{Command, Counter, Outcome};
use crate::mutant::{Mutant, is_active};
use crate::path::fold;
use crate::policy::{CRIT_CODE, IDEMP_DOCS};
use crate::refusal::{MAX_READ_BYTES, Refusal};
use crate::reply::Receipt;
use crate::resource::{ResourceKey, Want};
use crate::time::Timestamp;

pub(super) use self::part::Part;

/// The documents of a repository are one resource, under this name: a store has
/// one repository.
const REPOSITORY: &str = "repo";

/// Makes a document, or says why there is nothing to do or who has to write it.
pub(super) async fn document(
    cx: &Cx,
    call: &Call,
    asked: DocumentWanted,
) -> Result<Reply, Refusal> {
    if let Some(earlier) = change::recall(cx, call.request.as_ref()).await? {
        return Ok(Reply::Receipt(earlier));
    }
    let work = Work::find(cx, call, asked).await?;
    let result = match work.run().await {
        Err(refusal) => {
            let request = call.request.as_ref();
            let earlier = change::unless_answered(cx, request, Err(refusal)).await;
            earlier.map(Reply::Receipt)
        }
        done => done,
    };
    if let Err(refusal) = &result
        && *refusal != Refusal::Cancelled
    {
        work.note_error(refusal).await;
    }
    result
}

/// One request for a document.
pub(super) struct Work<'a> {
    cx: &'a Cx,
    call: &'a Call,
    asked: DocumentWanted,
    source: String,
    document: String,
    started: Timestamp,
}

/// What both files hold, as read under the lease.
struct Found {
    source: Arc<[u8]>,
    hash: ContentHash,
    document: Option<Arc<[u8]>>,
}

impl Found {
    fn base(&self) -> Option<ContentHash> {
        self.document.as_deref().map(ContentHash::of)
    }
}

/// What is to be done under the lease.
enum Next {
    Fresh(Receipt),
    Ask(NeedsContent),
    Write(FileOp),
}

impl<'a> Work<'a> {
    /// Finds the source and the place of its document.
    pub(super) async fn find(
        cx: &'a Cx,
        call: &'a Call,
        asked: DocumentWanted,
    ) -> Result<Self, Refusal> {
        let started = cx.now();
        let settings = &cx.config().docgen;
        let source = cx.locate_one(asked.path.clone()).await?;
        let document = settings.layout.document(&settings.root, &source)?;
        let document = cx.locate_one(document).await?;
        Ok(Self {
            cx,
            call,
            asked,
            source,
            document,
            started,
        })
    }

    async fn run(&self) -> Result<Reply, Refusal> {
        let early = if is_active(Mutant::DocgenGateBeforeLease) {
            Some(self.look().await?)
        } else {
            None
        };
        let right = self.right().await?;
        if let Err(refusal) = lock::enter(self.cx, self.call, self.started).await {
            return Err(change::give_up(self.cx, &right, refusal, IDEMP_DOCS).await);
        }
        let result = self.locked(&right, early).await;
        // What is held is dropped with the call in any case.
        let _ = self.cx.perform(Effect::DocgenUnlock).await;
        result
    }

    async fn locked(&self, right: &Right, early: Option<Found>) -> Result<Reply, Refusal> {
        match self.next(right, early).await {
            Ok(Next::Write(op)) => self.write(right, op).await.map(Reply::Receipt),
            Ok(Next::Fresh(receipt)) => self.fresh(right, receipt).await.map(Reply::Receipt),
            Ok(Next::Ask(needs)) => {
                self.end_well(right).await;
                Ok(Reply::NeedsContent(needs))
            }
            Err(refusal) => Err(change::give_up(self.cx, right, refusal, IDEMP_DOCS).await),
        }
    }

    /// What has to be leased: all documents, and the file of this one, so that
    /// nobody writes it past the gate.
    pub(super) fn wants(&self) -> [Want; 2] {
        let file = change::file_key(self.cx, &self.document);
        [
            Want::exclusive(repository_key(self.cx), IDEMP_DOCS),
            Want::exclusive(file, CRIT_CODE),
        ]
    }

    async fn right(&self) -> Result<Right, Refusal> {
        let asks = right::Needs {
            wants: self.wants().into(),
            class: IDEMP_DOCS,
            purpose: "docgen",
        };
        right::for_call(self.cx, self.call, asks).await
    }

    /// Reads both files, asks the gate, and generates if that is what it takes.
    async fn next(&self, right: &Right, early: Option<Found>) -> Result<Next, Refusal> {
        self.cx.still_wanted()?;
        let found = self.look().await?;
        let gated = early.as_ref().unwrap_or(&found);
        if found.document.is_none()
            && let Some(place) = elsewhere::fresh(self.cx, &self.source, found.hash).await?
        {
            return Ok(Next::Fresh(Receipt::Fresh {
                source: self.source.clone(),
                document: place.path,
                source_sha256: found.hash,
                sha256: place.content,
                waited_ms: right.waited_ms,
            }));
        }
        let offer = Offer {
            content: self.asked.content.as_deref(),
            made_from: self.asked.made_from,
            replaces: self.asked.replaces,
        };
        match self.gate(Some(gated.hash), gated.document.as_deref(), offer)? {
            Gate::Fresh => Ok(self.is_fresh(&found, right)),
            Gate::Write(content) => Ok(Next::Write(self.op(found.base(), found.hash, content))),
            Gate::NeedsContent if self.cx.config().docgen.command.is_empty() => {
                self.ask_for_content(found).map(Next::Ask)
            }
            Gate::NeedsContent => self.generate(&found, right).await,
        }
    }

    async fn look(&self) -> Result<Found, Refusal> {
        let Some(source) = self.cx.read(&self.source).await? else {
            let message = format!("{} does not exist", self.source);
            return Err(Refusal::invalid("path", message));
        };
        Ok(Found {
            hash: ContentHash::of(&source),
            source,
            document: self.cx.read(&self.document).await?,
        })
    }

    /// Asks the gate. In observe mode what it refuses is written all the same.
    fn gate(
        &self,
        source: Option<ContentHash>,
        document: Option<&[u8]>,
        offer: Offer<'_>,
    ) -> Result<Gate, Refusal> {
        let known = Known {
            source_path: &self.source,
            source,
            document_path: &self.document,
            document,
        };
        let form = self.cx.config().docgen.header;
        gate(known, offer, form).or_else(|refusal| {
            self.cx.unless_observed(refusal)?;
            let unopposed = Offer {
                made_from: offer.made_from.and(known.source),
                replaces: known.document.map(ContentHash::of),
                ..offer
            };
            gate(known, unopposed, form)
        })
    }

    /// Runs the generator. What it made is let through the gate like anybody
    /// else's content, with the source as it is by then.
    async fn generate(&self, found: &Found, right: &Right) -> Result<Next, Refusal> {
        if core::str::from_utf8(&found.source).is_err() {
            let message = format!("{} is not UTF-8 text", self.source);
            return Err(Refusal::invalid("path", message));
        }
        let run = GeneratorRun {
            source: self.source.clone(),
            source_sha256: found.hash,
            content: found.source.clone(),
            document: self.document.clone(),
            existing: found.document.clone(),
        };
        let made = self.cx.generate(run).await?;
        self.cx.still_wanted()?;
        let made = made.map_err(|failure| Refusal::Generator(Box::new(failure)))?;
        if let Some(fault) = GeneratorFault::declined(&made) {
            return Err(at_fault(fault));
        }
        let source = self.cx.hash(&self.source).await?;
        let offer = Offer {
            content: Some(&made),
            made_from: Some(found.hash),
            replaces: self.asked.replaces,
        };
        let document = found.document.as_deref();
        match self.gate(source, document, offer).map_err(unusable)? {
            Gate::Fresh => Ok(self.is_fresh(found, right)),
            Gate::Write(content) => Ok(Next::Write(self.op(found.base(), found.hash, content))),
            Gate::NeedsContent => panic!("content was offered to the gate"),
        }
    }

    fn op(&self, base: Option<ContentHash>, made_from: ContentHash, content: Vec<u8>) -> FileOp {
        FileOp::Document {
            path: self.document.clone(),
            content,
            base,
            made: Made {
                source: self.source.clone(),
                source_sha256: made_from,
                duration_ms: self.took_ms(),
            },
        }
    }

    fn is_fresh(&self, found: &Found, right: &Right) -> Next {
        let document = found.document.as_deref().unwrap_or_default();
        let made_from = crate::docgen::header::read(document).unwrap_or(found.hash);
        Next::Fresh(Receipt::Fresh {
            source: self.source.clone(),
            document: self.document.clone(),
            source_sha256: made_from,
            sha256: ContentHash::of(document),
            waited_ms: right.waited_ms,
        })
    }

    /// Hands the source out: its reader has then seen it.
    fn ask_for_content(&self, found: Found) -> Result<NeedsContent, Refusal> {
        let max = self.cx.config().limits.max_read_bytes;
        if found.source.len() as u64 > max {
            let limit = MAX_READ_BYTES.to_string();
            return Err(Refusal::LimitReached { limit, value: max });
        }
        let mut shared = self.cx.seed.shared.borrow_mut();
        shared.see(&self.cx.seed.agent, &self.source, found.hash);
        Ok(NeedsContent {
            source: self.source.clone(),
            source_sha256: found.hash,
            content: found.source,
            document: self.document.clone(),
        })
    }

    async fn write(&self, right: &Right, op: FileOp) -> Result<Receipt, Refusal> {
        let ops = [op];
        let asked = change::Changes::of_files(self.call.request.as_ref(), &ops);
        let receipt = change::under(self.cx, asked, right).await?;
        self.tell(DocgenStatus::Generated);
        Ok(receipt)
    }

    /// Counts and records that there was nothing to do. A copy of the request
    /// may have been answered meanwhile; then that is the answer.
    async fn fresh(&self, right: &Right, receipt: Receipt) -> Result<Receipt, Refusal> {
        let remember = self.call.request.clone().map(|request| Remember {
            request,
            receipt: receipt.clone(),
        });
        let hash = match &receipt {
            Receipt::Fresh { source_sha256, .. } => Some(*source_sha256),
            _ => None,
        };
        let record = self.record(DocgenStatus::Noop, hash, None);
        let noted = Command::NoteDocument(NoteDocument { record, remember });
        let noted = self.cx.store(noted).await;
        self.end_well(right).await;
        match noted? {
            Outcome::Done { .. } => self.tell(DocgenStatus::Noop),
            Outcome::Answered(first) => {
                self.tell(DocgenStatus::Noop);
                return Ok(first);
            }
            Outcome::KeyMismatch => {
                return Err(acquire::key_mismatch(self.call.request.as_ref()));
            }
            other => mixed_up(&other),
        }
        Ok(receipt)
    }

    /// Returns the lease of a call that has written nothing and succeeded.
    async fn end_well(&self, right: &Right) {
        let counts = Vec::from([self.cx.count(Counter::GuardedOk, IDEMP_DOCS)]);
        if right.own {
            acquire::give_back(self.cx, &right.lease.id, counts).await;
        } else {
            let _ = self.cx.store(Command::Tally(counts)).await;
        }
    }

    /// Records a refusal. What cannot be recorded is still refused.
    async fn note_error(&self, refusal: &Refusal) {
        let error = Some(refusal.to_string());
        let record = self.record(DocgenStatus::Error, None, error);
        let remember = None;
        let note = Command::NoteDocument(NoteDocument { record, remember });
        let _ = self.cx.store(note).await;
        self.tell(DocgenStatus::Error);
    }

    fn record(
        &self,
        status: DocgenStatus,
        hash: Option<ContentHash>,
        error: Option<String>,
    ) -> DocgenRecord {
        DocgenRecord {
            status,
            source: self.source.clone(),
            document: self.document.clone(),
            hash,
            duration_ms: self.took_ms(),
            error,
            owner: self.cx.owner(),
            wall_ms: 0,
        }
    }

    /// Whether this is its source.
    pub(super) fn is_of(&self, source: &str) -> bool {
        self.source == source
    }

    pub(super) fn tell(&self, status: DocgenStatus) {
        self.cx.event(Event::Docgen {
            agent: self.cx.seed.agent.clone(),
            status,
            source: self.source.clone(),
            duration_ms: self.took_ms(),
        });
    }

    fn took_ms(&self) -> u64 {
        self.cx.now().ms_since(self.started)
    }
}

/// The resource key of all documents.
fn repository_key(cx: &Cx) -> ResourceKey {
    let policy = cx.config().policies.get(IDEMP_DOCS);
    let prefix = policy.map_or("docgen", |policy| policy.key_prefix.as_str());
    ResourceKey::new(prefix, &fold(REPOSITORY))
}

/// What is wrong with a generator's content is the generator's fault.
fn unusable(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::InvalidRequest { message, .. } => at_fault(GeneratorFault::Unusable { message }),
        other => other,
    }
}

/// A generator that ended well and wrote no document.
fn at_fault(fault: GeneratorFault) -> Refusal {
    Refusal::Generator(Box::new(GeneratorFailure {
        fault,
        stderr: String::new(),
    }))
}
