//! Reading a file.
//!
//! Owns: what may be asked of a file, the part of it that the asker is given, and
//! what it has then seen. Promises: reading never waits for a lease, but finishes or
//! undoes what a dead process left open on the file first; content counts as seen
//! only where the asker is given what it asked for. Leaves to others: reading bytes
//! (the node), and how they are shown (the adapter).

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::call::Cx;
use super::change::inspect;
use super::io::FileRead;
use super::settle;
use crate::id::ContentHash;
use crate::lease::outcome::Inspected;
use crate::refusal::{MAX_READ_BYTES, Refusal};

/// What is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadWanted {
    /// The file, as the caller names it.
    pub path: String,
    /// The first line to be given, counted from 1; the whole file where neither line
    /// is named.
    pub start_line: Option<u64>,
    /// The last line, included; one beyond the last is the last.
    pub end_line: Option<u64>,
    /// Most bytes that the caller can be given.
    pub max_bytes: Option<u64>,
}

/// What of a file its reader is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part<'c> {
    /// The bytes.
    pub bytes: &'c [u8],
    /// Which lines they are, where lines were asked for.
    pub lines: Option<Lines>,
}

/// Some lines of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lines {
    /// The first, counted from 1.
    pub start: u64,
    /// The last.
    pub end: u64,
    /// How many the whole file has.
    pub total: u64,
}

impl From<String> for ReadWanted {
    fn from(path: String) -> Self {
        Self {
            path,
            ..Self::default()
        }
    }
}

impl From<&str> for ReadWanted {
    fn from(path: &str) -> Self {
        Self::from(String::from(path))
    }
}

impl ReadWanted {
    /// The part of `content` that is asked for, or why it cannot be given.
    pub fn part<'c>(&self, content: &'c [u8]) -> Result<Part<'c>, Refusal> {
        let part = if self.start_line.is_some() || self.end_line.is_some() {
            cut(content, self.start_line, self.end_line)?
        } else {
            Part {
                bytes: content,
                lines: None,
            }
        };
        let max = self.max_bytes.unwrap_or(u64::MAX);
        if part.bytes.len() as u64 > max {
            let limit = MAX_READ_BYTES.into();
            return Err(Refusal::LimitReached { limit, value: max });
        }
        Ok(part)
    }
}

/// Cuts the lines `start` to `end`, each with its break.
fn cut(content: &[u8], start: Option<u64>, end: Option<u64>) -> Result<Part<'_>, Refusal> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let total = lines.len() as u64;
    let start = start.unwrap_or(1);
    if start == 0 {
        return Err(Refusal::invalid("start_line", "is counted from 1"));
    }
    if start > total.max(1) {
        let message = format!("is {start}, but the file has {total} lines");
        return Err(Refusal::invalid("start_line", message));
    }
    let end = end.unwrap_or(total);
    if end < start && total > 0 {
        let message = format!("is {end}, before start_line {start}");
        return Err(Refusal::invalid("end_line", message));
    }
    let end = end.min(total);
    let size = |to: u64| -> usize {
        let count = usize::try_from(to).unwrap_or(usize::MAX);
        lines.iter().take(count).map(|line| line.len()).sum()
    };
    Ok(Part {
        bytes: &content[size(start - 1)..size(end)],
        lines: Some(Lines { start, end, total }),
    })
}

/// Reads one file and remembers that the agent has seen it.
pub(super) async fn read(cx: &Cx, wanted: ReadWanted) -> Result<FileRead, Refusal> {
    let path = cx.locate_one(wanted.path.clone()).await?;
    let inspected = settled(cx, &path).await?;
    let Some(content) = cx.read(&path).await? else {
        cx.seed.shared.borrow_mut().unsee(&cx.seed.agent, &path);
        let message = format!("{path} does not exist");
        return Err(Refusal::invalid("path", message));
    };
    wanted.part(&content)?;
    let sha256 = ContentHash::of(&content);
    let mut shared = cx.seed.shared.borrow_mut();
    shared.see(&cx.seed.agent, &path, sha256);
    let version = inspected
        .version
        .filter(|version| version.content == Some(sha256));
    Ok(FileRead {
        path,
        content,
        sha256,
        version: version.map(|version| version.number),
        held_by: inspected.holders.into_iter().next(),
    })
}

/// What is known of a file, once nothing is left open on it by the dead.
async fn settled(cx: &Cx, path: &str) -> Result<Inspected, Refusal> {
    let mut inspected = inspect(cx, path).await?;
    let open = core::mem::take(&mut inspected.intents);
    if open.is_empty() {
        return Ok(inspected);
    }
    match settle::settle_if_dead(cx, open).await {
        Ok(0) => Ok(inspected),
        Ok(_) => inspect(cx, path).await,
        // Somebody else is inside its latches: observe mode waits for nobody.
        Err(refusal) => cx.unless_observed(refusal).map(|()| inspected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(start_line: Option<u64>, end_line: Option<u64>) -> ReadWanted {
        ReadWanted {
            start_line,
            end_line,
            ..ReadWanted::from("f")
        }
    }

    #[test]
    fn lines_are_counted_from_one_and_keep_their_breaks() {
        let text = b"a\r\nb\nc";
        let given = asked(Some(2), Some(9)).part(text).unwrap();
        let (start, end, total) = (2, 3, 3);
        assert_eq!(given.bytes, b"b\nc");
        assert_eq!(given.lines, Some(Lines { start, end, total }));
        assert_eq!(asked(None, Some(1)).part(text).unwrap().bytes, b"a\r\n");
        assert_eq!(asked(None, None).part(text).unwrap().lines, None);
        let empty = asked(Some(1), None).part(b"").unwrap().lines;
        assert_eq!(empty.unwrap().total, 0);
        for (start, end, field) in [
            (Some(0), None, "start_line"),
            (Some(4), None, "start_line"),
            (Some(2), Some(1), "end_line"),
            (None, Some(0), "end_line"),
        ] {
            let refused = asked(start, end).part(text).unwrap_err();
            let Refusal::InvalidRequest { field: named, .. } = refused else {
                panic!("{refused:?}");
            };
            assert_eq!(named, field);
        }
    }

    #[test]
    fn what_is_given_is_bounded_and_not_what_it_is_cut_from() {
        let limited = |end_line| ReadWanted {
            max_bytes: Some(2),
            ..asked(None, end_line)
        };
        assert_eq!(limited(Some(1)).part(b"a\nb").unwrap().bytes, b"a\n");
        let refused = limited(None).part(b"a\nb").unwrap_err();
        assert!(matches!(refused, Refusal::LimitReached { value: 2, .. }));
        assert!(refused.hint().contains("start_line"), "{}", refused.hint());
    }
}
