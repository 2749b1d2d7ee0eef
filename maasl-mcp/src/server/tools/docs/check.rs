//! `docgen_check`.
//!
//! Owns: the tool's arguments and how its answer is cut. Promises: the counts are
//! of all sources, however many are listed. Leaves to others: looking (the
//! backend).

use std::collections::BTreeMap;

use maasl_core::docgen::{Checked, Freshness};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::arguments::NOTHING;
use crate::server::backend::Backend;
use crate::server::context::Cx;
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::tools::{Effect, Spec};

/// Sources listed of each kind if the caller does not say how many.
const LISTED: u32 = 200;
/// Most sources listed of each kind.
const LISTED_MAX: u32 = 100_000;

/// Most paths in one question.
const PATHS_MAX: usize = 10_000;

/// The tool.
pub(crate) struct DocgenCheck;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    /// Source files, or folders for all sources in them, relative to the root; the
    /// whole repository if not given.
    paths: Option<Vec<String>>,
    /// How many sources to list of each kind. Default: 200; at most 100000.
    limit: Option<u32>,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct Body {
    /// Sources whose document was made from what they hold now.
    fresh: Vec<String>,
    /// Sources that changed since their document was made.
    stale: Vec<String>,
    /// Sources without a document.
    missing: Vec<String>,
    /// Sources whose document has no SHA256 header: somebody wrote it by hand.
    unmarked: Vec<String>,
    /// Sources that cannot be read, and why.
    unreadable: BTreeMap<String, String>,
    /// How many there are of each kind.
    counts: CountsBody,
    /// Whether `limit` cut a list.
    truncated: bool,
}

/// How many sources are of each kind.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub(crate) struct CountsBody {
    fresh: u64,
    stale: u64,
    missing: u64,
    unmarked: u64,
    unreadable: u64,
}

impl Spec for DocgenCheck {
    const NAME: &'static str = "docgen_check";
    const TITLE: &'static str = "Check which documents are up to date";
    const DOC: &'static str = "Compares sources with their documents and lists those that are \
        fresh, stale or missing. Follow up with docgen_file for what is stale or missing.";
    const EFFECT: Effect = Effect::Reads;
    const COMMON: &'static [&'static str] = NOTHING;
    type Arguments = Arguments;
    type Body = Body;

    async fn run<B: Backend>(cx: Cx<B>, arguments: Arguments) -> Told<Body> {
        let limit = arguments.limit.unwrap_or(LISTED);
        if limit == 0 || limit > LISTED_MAX {
            return ErrorBody::invalid("limit", format!("is 1 to {LISTED_MAX}")).into();
        }
        let named = arguments.paths.as_ref().map_or(0, Vec::len);
        if named > PATHS_MAX {
            let message = format!("names {named} paths; at most {PATHS_MAX}");
            let hint = "name folders, or leave it out to check the whole repository";
            return ErrorBody::invalid("paths", message).with_hint(hint).into();
        }
        if arguments.paths.as_ref().is_some_and(Vec::is_empty) {
            let hint = "leave it out to check the whole repository";
            return ErrorBody::invalid("paths", "names nothing")
                .with_hint(hint)
                .into();
        }
        let checked = cx.ask(move |backend| backend.docgen_check(arguments.paths.as_deref()));
        checked
            .await
            .map(|checked| body(checked, limit as usize))
            .into()
    }
}

fn body(checked: Vec<Checked>, limit: usize) -> Body {
    let mut body = Body::default();
    for Checked { source, state } in checked {
        let counts = &mut body.counts;
        let (list, count) = match state {
            Ok(Freshness::Fresh) => (&mut body.fresh, &mut counts.fresh),
            Ok(Freshness::Stale) => (&mut body.stale, &mut counts.stale),
            Ok(Freshness::Missing) => (&mut body.missing, &mut counts.missing),
            Ok(Freshness::Unmarked) => (&mut body.unmarked, &mut counts.unmarked),
            Err(why) => {
                counts.unreadable += 1;
                if body.unreadable.len() < limit {
                    body.unreadable.insert(source, why);
                } else {
                    body.truncated = true;
                }
                continue;
            }
        };
        *count += 1;
        if list.len() < limit {
            list.push(source);
        } else {
            body.truncated = true;
        }
    }
    body
}
