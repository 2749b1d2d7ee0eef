//! I10: a document is made once for each content of its source, and says which.
//!
//! Owns: what documents were made from, what their sources held meanwhile, and
//! what was answered. Promises: a document is judged at its point of commit and at
//! its swap, an answer when its agent gets it, the count when a commit ends.
//! Leaves to others: documents as files (I1, I4, I5).
//!
//! A source may change between the last look at it and the swap; so the source is
//! to have held what the document names at some instant while the maker was
//! inside the latch.

use std::collections::BTreeMap;

use maasl_core::coordinator::io::{CallId, Reply, Response, Swapped};
use maasl_core::docgen::DocgenStale;
use maasl_core::id::{ContentHash, OpId};
use maasl_core::lease::command::FinishCommit;
use maasl_core::lease::{Command, CommitIntent, CommitItem, Counter, Outcome};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, FreshDocument, Receipt};
use maasl_core::resource::ResourceKey;

use super::contents::Contents;
use super::documents::{Document, header_of};
use super::ends::Ends;
use super::held::{Held, Instant};
use super::{Breach, Judge};
use crate::observe::{Ground, Observation, ProcessNo, RequestNo};
use crate::plan::Action;
use crate::promise::Promise;

/// What commits call the making of a document.
const MAKING: &str = "docgen";

/// The judge. It looks on from the first request for a document.
#[derive(Debug, Default)]
pub(super) struct Documents(Option<Made>);

#[derive(Debug)]
struct Made {
    held: Held,
    contents: Contents,
    ends: Ends,
    /// Since when which call of which process is inside the latches of what.
    inside: BTreeMap<(ProcessNo, CallId), (Instant, Vec<ResourceKey>)>,
    /// Requests for documents, and when each was sent first.
    asked: BTreeMap<RequestNo, Instant>,
    /// The source of each document.
    of: BTreeMap<String, String>,
    /// Which request was told that it had which version made.
    told: BTreeMap<(String, u64), RequestNo>,
    /// How many documents each commit was to make. A power cut, or an old copy of
    /// the store, may bring any of them back.
    begun: BTreeMap<OpId, u64>,
    counted: u64,
    /// Whether an old copy of the store was put back: its versions come again.
    restored: bool,
    /// Whether the device kept less than it was given.
    short: bool,
}

impl Judge for Documents {
    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        let asks = matches!(seen, Observation::Asked(asked) if asks_for_documents(asked.action));
        if self.0.is_none() && asks {
            self.0 = Some(Made::of(ground));
        }
        match &mut self.0 {
            Some(made) => made.observe(seen, ground),
            None => Ok(()),
        }
    }
}

impl Made {
    fn of(ground: &Ground<'_>) -> Self {
        Self {
            held: Held::of(ground),
            contents: Contents::default(),
            ends: Ends::default(),
            inside: BTreeMap::new(),
            asked: BTreeMap::new(),
            of: BTreeMap::new(),
            told: BTreeMap::new(),
            begun: BTreeMap::new(),
            counted: count(ground),
            restored: false,
            short: false,
        }
    }

    fn observe(&mut self, seen: &Observation<'_>, ground: &Ground<'_>) -> Result<(), Breach> {
        self.held.observe(seen, ground);
        self.contents.observe(seen, ground);
        self.ends.observe(seen, ground);
        match seen {
            Observation::Asked(asked) if asks_for_documents(asked.action) => {
                let first = self.asked.entry(asked.request);
                first.or_insert(self.held.now());
            }
            Observation::Latched {
                process,
                call,
                keys,
            } => {
                let since = (self.held.now(), keys.to_vec());
                self.inside.insert((*process, *call), since);
            }
            Observation::Unlatched { process, call } => {
                self.inside.remove(&(*process, *call));
            }
            Observation::Died { process, .. } => {
                self.inside.retain(|(inside, _), _| inside != process);
            }
            Observation::Transacted {
                process,
                command,
                outcome,
                ..
            } => return self.judge_command(*process, command, outcome, ground),
            Observation::Swapped {
                item,
                back: false,
                swapped: Swapped::Displaced(displaced),
                ..
            } => return self.judge_swap(item, *displaced),
            Observation::Answered {
                request, response, ..
            } => return self.judge_answer(*request, response),
            Observation::Shortened { .. } => self.short = true,
            Observation::PowerCut => self.counted = count(ground),
            Observation::Restored => {
                self.counted = count(ground);
                self.restored = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn judge_command(
        &mut self,
        process: ProcessNo,
        command: &Command,
        outcome: &Outcome,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        let mut made = 0;
        match (command, outcome) {
            (Command::BeginCommit(intent), Outcome::Begun) => {
                self.judge_intent(process, intent, ground)?;
            }
            (Command::FinishCommit(finish), Outcome::Finished { .. }) => {
                made = self.made_by(finish);
            }
            _ => {}
        }
        let counted = count(ground);
        let expected = core::mem::replace(&mut self.counted, counted) + made;
        if counted == expected {
            return Ok(());
        }
        let message = format!("{counted} documents are counted where {expected} were made");
        Err(breach("miscounted", message))
    }

    /// How many documents the end of a commit leaves.
    fn made_by(&self, finish: &FinishCommit) -> u64 {
        let documents = self.begun.get(&finish.op).copied();
        let stand = self.ends.stands(finish);
        documents.filter(|_| stand).unwrap_or_default()
    }

    /// A document is at the point where it will come to stand.
    fn judge_intent(
        &mut self,
        process: ProcessNo,
        intent: &CommitIntent,
        ground: &Ground<'_>,
    ) -> Result<(), Breach> {
        let documents = intent.items.iter().filter(|item| item.op == MAKING);
        for item in documents.clone() {
            let staged = ground.disk.read_staged(&item.stage);
            let staged = staged.filter(|bytes| Some(ContentHash::of(bytes)) == item.new);
            let text = staged.as_deref().map(String::from_utf8_lossy);
            if let Some(text) = text {
                self.judge_text(process, intent, item, &text)?;
            }
        }
        let documents = documents.count() as u64;
        if documents > 0 {
            self.begun.insert(intent.op.clone(), documents);
        }
        Ok(())
    }

    fn judge_text(
        &mut self,
        process: ProcessNo,
        intent: &CommitIntent,
        item: &CommitItem,
        text: &str,
    ) -> Result<(), Breach> {
        let path = &item.path;
        let Some(said) = Document::read(text) else {
            let message = format!("{path} has no header, or is about nothing");
            return Err(breach("no-document", message));
        };
        if said.header != said.from {
            let message = format!(
                "{path} was made from {} and its header says {}",
                said.from, said.header
            );
            return Err(breach("header-lies", message));
        }
        let mut inside = self.inside.iter();
        let inside = inside.find(|((of, _), (_, keys))| *of == process && keys.contains(&item.key));
        if let Some((_, (since, _))) = inside {
            let held = self.held.since(said.source, *since);
            // A source may become that in the same commit.
            let along = intent.items.iter().filter(|one| one.path == said.source);
            let held = held.into_iter().chain(along.map(|one| one.new));
            let mut held = held.flatten();
            if !held.any(|content| content.to_string() == said.header) {
                let message = format!("{path} is about what {} no longer held", said.source);
                return Err(breach("stale-document", message));
            }
        }
        self.claim(path, said.source)
    }

    /// A document belongs to one source.
    fn claim(&mut self, document: &str, source: &str) -> Result<(), Breach> {
        let owner = self.of.entry(document.to_owned());
        let owner = owner.or_insert_with(|| source.to_owned());
        if owner == source {
            return Ok(());
        }
        let message = format!("{document} is the document of {owner} and of {source}");
        Err(breach("shared-document", message))
    }

    fn judge_swap(&self, item: &CommitItem, displaced: Option<ContentHash>) -> Result<(), Breach> {
        // What somebody outside put there is put back.
        if item.op != MAKING || displaced != item.old {
            return Ok(());
        }
        let made_from = |content: Option<ContentHash>| self.header(content?);
        match (made_from(displaced), made_from(item.new)) {
            (Some(before), Some(after)) if before == after => {
                let message = format!("{} was made from {after} and made again", item.path);
                Err(breach("made-twice", message))
            }
            _ => Ok(()),
        }
    }

    /// The source that a content names in its header.
    fn header(&self, content: ContentHash) -> Option<&str> {
        header_of(self.contents.text(content)?.lines().next()?)
    }

    fn judge_answer(&mut self, request: RequestNo, response: &Response) -> Result<(), Breach> {
        let Some(since) = self.asked.get(&request).copied() else {
            return Ok(());
        };
        match &response.result {
            Ok(Reply::Receipt(Receipt::Changed { files, beyond, .. })) => {
                let mut files = files.iter();
                files.try_for_each(|file| self.judge_made(request, file))?;
                let mut fresh = beyond.fresh.iter();
                fresh.try_for_each(|left| self.judge_fresh(since, left))
            }
            Ok(Reply::Receipt(Receipt::Fresh {
                source,
                document,
                source_sha256,
                sha256,
                ..
            })) => {
                let left = FreshDocument {
                    source: source.clone(),
                    document: document.clone(),
                    source_sha256: *source_sha256,
                    sha256: *sha256,
                };
                self.judge_fresh(since, &left)
            }
            Err(Refusal::DocgenStale(stale)) => self.judge_refusal(since, stale),
            _ => Ok(()),
        }
    }

    /// A document that is said to have been made already.
    fn judge_fresh(&mut self, since: Instant, left: &FreshDocument) -> Result<(), Breach> {
        let (source, document) = (&left.source, &left.document);
        let stood = |path: &str, content: ContentHash| {
            self.held.since(path, since).contains(&Some(content))
        };
        let is_true = stood(source, left.source_sha256)
            && stood(document, left.sha256)
            && self.names(left.sha256, left.source_sha256);
        if is_true {
            return self.claim(document, source);
        }
        let message = format!("{document} is said to be what {source} came to, and was not");
        Err(breach("untrue-noop", message))
    }

    /// Whether a content names this source in its header, as far as it is known.
    fn names(&self, content: ContentHash, source: ContentHash) -> bool {
        self.header(content)
            .is_none_or(|header| header == source.to_string())
    }

    fn judge_made(&mut self, request: RequestNo, file: &FileChanged) -> Result<(), Breach> {
        let (Some(made), Some(content)) = (&file.document, file.sha256) else {
            return Ok(());
        };
        let document = &file.path;
        let stood = self.contents.text(content).and_then(Document::read);
        match stood {
            Some(said)
                if said.source == made.source && said.from == made.source_sha256.to_string() => {}
            None if self.short => {}
            _ => {
                let message = format!(
                    "{document} is said to be made from {} of {}, and never was",
                    made.source_sha256, made.source
                );
                return Err(breach("untrue-answer", message));
            }
        }
        let version = (document.clone(), file.version);
        let first = *self.told.entry(version).or_insert(request);
        if first != request && !self.restored {
            let message = format!(
                "version {} of {document} is said to be made by two",
                file.version
            );
            return Err(breach("made-by-two", message));
        }
        Ok(())
    }

    fn judge_refusal(&self, since: Instant, stale: &DocgenStale) -> Result<(), Breach> {
        let held = self.held.since(&stale.path, since);
        if held.iter().any(|content| *content != stale.expected) {
            return Ok(());
        }
        let message = format!("{} has not moved, and is said to have", stale.path);
        Err(breach("untrue-refusal", message))
    }
}

fn asks_for_documents(action: &Action) -> bool {
    match action {
        Action::Docgen { .. } => true,
        Action::Transact(parts) => !parts.documents.is_empty(),
        _ => false,
    }
}

/// How many documents the store says were made.
fn count(ground: &Ground<'_>) -> u64 {
    let counters = ground.rows.counters().iter();
    let made = counters.filter(|(key, _)| key.counter == Counter::DocgenGenerated);
    made.map(|(_, count)| count).sum()
}

fn breach(site: &'static str, message: String) -> Breach {
    Breach::new(Promise::I10, site, message)
}

#[cfg(test)]
#[path = "i10_documents_tests.rs"]
mod tests;
