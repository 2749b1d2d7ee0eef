//! Describing pieces of source in the retrieval database.
//!
//! Owns: which descriptions still fit what they describe. Promises: what is
//! written names the content it was made from; a piece whose content is another
//! by now is left out and named. Leaves to others: the write (`database`). The
//! source may change before the description is committed: its hash tells.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::call::Cx;
use super::database::{self, DatabaseWrite};
use super::facts;
use super::io::Call;
use crate::database::{Enrichment, RAG, Work};
use crate::id::ContentHash;
use crate::refusal::Refusal;
use crate::reply::{Receipt, SkipReason, SkippedSpan};

/// A piece of source and what somebody says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The file, as the caller names it.
    pub path: String,
    /// The first line, counted from 1.
    pub start_line: u64,
    /// The last line, included.
    pub end_line: u64,
    /// What the lines are about.
    pub summary: String,
    /// Words to find them by.
    pub tags: Vec<String>,
    /// Hash of the lines that are described; whatever is there now if not given.
    pub sha256: Option<ContentHash>,
}

/// Longest description of a piece of source, in bytes.
pub const SUMMARY_BYTES_MAX: usize = 16 * 1024;
/// Most tags of a piece of source.
pub const TAGS_MAX: usize = 100;
/// Longest tag, in bytes.
pub const TAG_BYTES_MAX: usize = 256;

/// Describes pieces of source, all that still fit or none.
pub(super) async fn enrich(cx: &Cx, call: &Call, spans: Vec<Span>) -> Result<Receipt, Refusal> {
    check(cx, &spans)?;
    let asked: Vec<String> = spans.iter().map(|span| span.path.clone()).collect();
    let paths = cx.locate(asked).await?;
    let mut files: BTreeMap<String, Option<Arc<[u8]>>> = BTreeMap::new();
    let mut room = facts::Room::of(cx);
    let (mut fitting, mut skipped) = (Vec::new(), Vec::new());
    for (span, path) in spans.into_iter().zip(paths) {
        if !files.contains_key(&path) {
            let content = cx.read(&path).await?;
            room.take(content.as_deref())?;
            files.insert(path.clone(), content);
        }
        let content = files.get(&path).and_then(Option::as_deref);
        match fit(&span, content) {
            Ok(sha256) => fitting.push(Enrichment {
                path,
                start_line: span.start_line,
                end_line: span.end_line,
                sha256,
                summary: span.summary,
                tags: span.tags,
                agent: cx.seed.agent.clone(),
            }),
            Err((reason, current)) => skipped.push(SkippedSpan {
                path,
                start_line: span.start_line,
                end_line: span.end_line,
                reason,
                current,
            }),
        }
    }
    let write = DatabaseWrite {
        db: RAG.into(),
        work: Work::Enrich(fitting),
    };
    database::run(cx, call, &write, skipped).await
}

fn check(cx: &Cx, spans: &[Span]) -> Result<(), Refusal> {
    if spans.is_empty() {
        return Err(Refusal::invalid("spans", "names no piece of source"));
    }
    let value = cx.config().limits.max_spans;
    if spans.len() as u64 > value {
        let limit = "max_spans".into();
        return Err(Refusal::LimitReached { limit, value });
    }
    let faults = spans.iter().enumerate();
    let mut faults = faults.filter_map(|(at, span)| Some((at, fault(span)?)));
    match faults.next() {
        None => Ok(()),
        Some((at, (part, message))) => {
            let field = alloc::format!("spans[{at}].{part}");
            Err(Refusal::invalid(&field, message))
        }
    }
}

/// What is wrong with a description, and with which part of it.
fn fault(span: &Span) -> Option<(&'static str, String)> {
    if span.start_line == 0 || span.end_line < span.start_line {
        let message = "lines are counted from 1, and the last is not before the first";
        return Some(("end_line", message.into()));
    }
    let long = |what: &str, found: usize, max: usize| {
        (found > max).then(|| alloc::format!("has {found} {what}; at most {max}"))
    };
    let summary = long("bytes", span.summary.len(), SUMMARY_BYTES_MAX);
    let tags = || long("tags", span.tags.len(), TAGS_MAX);
    let longest = span.tags.iter().map(String::len).max().unwrap_or(0);
    let tag = || long("bytes in one tag", longest, TAG_BYTES_MAX);
    let summary = summary.map(|message| ("summary", message));
    summary.or_else(|| tags().or_else(tag).map(|message| ("tags", message)))
}

/// The hash of the lines, or why they are not what is described.
fn fit(
    span: &Span,
    content: Option<&[u8]>,
) -> Result<ContentHash, (SkipReason, Option<ContentHash>)> {
    let Some(content) = content else {
        return Err((SkipReason::Missing, None));
    };
    let Some(lines) = lines(content, span.start_line, span.end_line) else {
        return Err((SkipReason::OutOfRange, None));
    };
    let current = ContentHash::of(lines);
    if span.sha256.is_some_and(|described| described != current) {
        return Err((SkipReason::Changed, Some(current)));
    }
    Ok(current)
}

/// The bytes from the start of one line to the end of another, its line break
/// included; nothing where there are not so many.
#[must_use]
pub fn lines(content: &[u8], start_line: u64, end_line: u64) -> Option<&[u8]> {
    let mut from = None;
    let (mut line, mut at) = (1, 0);
    while at < content.len() {
        if line == start_line {
            from = Some(at);
        }
        let rest = &content[at..];
        let length = rest.iter().position(|byte| *byte == b'\n');
        at += length.map_or(rest.len(), |length| length + 1);
        if line == end_line {
            return from.map(|from| &content[from..at]);
        }
        line += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(summary: usize, tags: usize, tag: usize) -> Option<&'static str> {
        let span = Span {
            path: "a".into(),
            start_line: 1,
            end_line: 1,
            summary: "x".repeat(summary),
            tags: alloc::vec!["x".repeat(tag); tags],
            sha256: None,
        };
        fault(&span).map(|(part, _)| part)
    }

    #[test]
    fn descriptions_are_bounded() {
        assert_eq!(described(SUMMARY_BYTES_MAX, TAGS_MAX, TAG_BYTES_MAX), None);
        assert_eq!(described(SUMMARY_BYTES_MAX + 1, 0, 0), Some("summary"));
        assert_eq!(described(0, TAGS_MAX + 1, 0), Some("tags"));
        assert_eq!(described(0, 1, TAG_BYTES_MAX + 1), Some("tags"));
    }

    #[test]
    fn lines_are_cut_with_their_breaks() {
        let content = b"one\ntwo\r\n\nfour";
        let cut = |start, end| lines(content, start, end);
        assert_eq!(cut(1, 1), Some(&b"one\n"[..]));
        assert_eq!(cut(2, 3), Some(&b"two\r\n\n"[..]));
        assert_eq!(cut(1, 4), Some(&content[..]));
        assert_eq!(cut(4, 4), Some(&b"four"[..]));
        assert_eq!(cut(4, 5), None);
        assert_eq!(cut(5, 5), None);
        assert_eq!(lines(b"", 1, 1), None);
    }
}
