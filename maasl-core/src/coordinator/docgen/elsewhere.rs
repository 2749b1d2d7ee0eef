//! Documents in other places than their own.
//!
//! Owns: finding one that another tool, or another configuration, has made.
//! Promises: it counts only if it was made from this content of the source and no
//! other file can claim it, so two sources never share a document. Leaves to
//! others: which places there are (`docgen::layout`), and which files (the node).

use alloc::string::String;

use crate::coordinator::call::Cx;
use crate::docgen::header;
use crate::docgen::layout::Elsewhere;
use crate::id::ContentHash;
use crate::mutant::{Mutant, is_active};
use crate::refusal::Refusal;

/// A document that is somewhere else.
pub(super) struct Found {
    pub(super) path: String,
    pub(super) content: ContentHash,
}

/// The document of `source` in another place, if it was made from `made_from`.
pub(super) async fn fresh(
    cx: &Cx,
    source: &str,
    made_from: ContentHash,
) -> Result<Option<Found>, Refusal> {
    let settings = &cx.config().docgen;
    for place in settings.layout.elsewhere(&settings.root, source) {
        // What cannot be read there is nobody's document.
        let Ok(Some(document)) = cx.read(&place.path).await else {
            continue;
        };
        if header::read(&document) == Some(made_from) && is_alone(cx, source, &place).await? {
            return Ok(Some(Found {
                content: ContentHash::of(&document),
                path: place.path,
            }));
        }
    }
    Ok(None)
}

async fn is_alone(cx: &Cx, source: &str, place: &Elsewhere) -> Result<bool, Refusal> {
    let Some(name) = &place.shared_as else {
        return Ok(true);
    };
    if is_active(Mutant::DocgenClaimsIgnored) {
        return Ok(true);
    }
    let claimants = cx.find_sources(name.clone()).await?;
    Ok(claimants.iter().all(|claimant| claimant == source))
}
