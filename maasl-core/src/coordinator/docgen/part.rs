//! A document as a part of a transaction.
//!
//! Owns: what is to be done about it. Promises: the gate decides by the source as
//! it will be when the transaction takes effect; who changes a source and its
//! document together need not know the hash of what the source becomes. Leaves to
//! others: everything else about documents (`docgen`), and the commit.

use alloc::string::String;

use super::{Work, elsewhere};
use crate::coordinator::io::FileOp;
use crate::coordinator::plan::Planned;
use crate::docgen::{Gate, Offer, header};
use crate::id::ContentHash;
use crate::refusal::Refusal;
use crate::reply::FreshDocument;

/// What a transaction does about a document.
pub(in crate::coordinator) enum Part {
    Fresh(FreshDocument),
    Write(FileOp),
}

impl Work<'_> {
    /// Asks the gate. `changed` are the files that change with the document.
    pub(in crate::coordinator) async fn part(&self, changed: &[Planned]) -> Result<Part, Refusal> {
        let mut changed = changed.iter();
        let changed = changed.find(|file| file.path == self.source);
        let source = match changed {
            Some(file) => file.new.as_ref().map(|content| content.hash),
            None => self.cx.hash(&self.source).await?,
        };
        let document = self.cx.read(&self.document).await?;
        if document.is_none()
            && let Some(hash) = source
            && let Some(place) = elsewhere::fresh(self.cx, &self.source, hash).await?
        {
            return Ok(Part::Fresh(self.left(hash, place.path, place.content)));
        }
        let document = document.as_deref();
        let offer = Offer {
            content: self.asked.content.as_deref(),
            made_from: self.asked.made_from.or(changed.and(source)),
            replaces: self.asked.replaces,
        };
        match self.gate(source, document, offer)? {
            Gate::NeedsContent => Err(Refusal::invalid("content", "is needed in a transaction")),
            Gate::Fresh => {
                let document = document.unwrap_or_default();
                let made_from = header::read(document);
                let made_from = made_from.expect("a fresh document has a header");
                let (path, content) = (self.document.clone(), ContentHash::of(document));
                Ok(Part::Fresh(self.left(made_from, path, content)))
            }
            Gate::Write(content) => {
                let made_from = source.expect("the gate writes what has a source");
                let base = document.map(ContentHash::of);
                Ok(Part::Write(self.op(base, made_from, content)))
            }
        }
    }

    fn left(
        &self,
        source_sha256: ContentHash,
        document: String,
        sha256: ContentHash,
    ) -> FreshDocument {
        FreshDocument {
            source: self.source.clone(),
            document,
            source_sha256,
            sha256,
        }
    }
}
