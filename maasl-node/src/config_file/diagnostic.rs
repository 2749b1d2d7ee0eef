//! What is wrong with a configuration file, shown as a compiler would.
//!
//! Owns: turning a byte span into line, column and underlined text, and "did
//! you mean". Promises: the place shown is the one that the person has to
//! change, on one line, however odd the text. Leaves to others: finding out
//! that something is wrong.

use std::fmt;
use std::ops::Range;

/// The text of one configuration file and the name that people know it by.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    name: &'t str,
    text: &'t str,
}

impl<'t> Source<'t> {
    /// `text` is what spans count in, hence without a byte order mark.
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        Self { name, text }
    }

    /// The text that spans count in.
    pub(super) fn text(self) -> &'t str {
        self.text
    }

    /// What the file says at `span`; empty if there is no such place.
    pub(super) fn snippet(self, span: &Range<usize>) -> &'t str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Says `message` about the bytes at `span`.
    pub(super) fn diagnose(self, span: &Range<usize>, message: impl Into<String>) -> Diagnostic {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end).max(start);
        let line_start = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[line_start..].lines().next().unwrap_or_default();
        let line_end = line_start + line.len();
        let width = self.text[start..end.min(line_end).max(start)]
            .chars()
            .count();
        Diagnostic {
            file: self.name.to_owned(),
            line: self.text[..start].matches('\n').count() + 1,
            column: self.text[line_start..start].chars().count() + 1,
            width: width.max(1),
            line_text: line.to_owned(),
            message: one_line(&message.into()),
            help: None,
        }
    }

    /// The nearest place at or before `at` where a character starts.
    fn boundary(self, at: usize) -> usize {
        let mut candidates = (0..=at.min(self.text.len())).rev();
        let found = candidates.find(|&place| self.text.is_char_boundary(place));
        found.unwrap_or(0)
    }
}

/// One thing that is wrong with a configuration file, and where.
///
/// Its `Display` is several lines long, without a final line break and without
/// a leading "error:", which is for the caller to add:
///
/// ```text
/// unknown key `lease_ttl` in `[maasl.resource.CRIT_CODE]`
///  --> maasl.toml:7:1
///   |
/// 7 | lease_ttl = 30
///   | ^^^^^^^^^
///   = help: did you mean `lease_ttl_sec`?
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    file: String,
    line: usize,
    column: usize,
    width: usize,
    line_text: String,
    message: String,
    help: Option<String>,
}

impl Diagnostic {
    /// Line of the place to change, counted from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column of the place to change, in characters, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// Text of that line.
    #[must_use]
    pub fn line_text(&self) -> &str {
        &self.line_text
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The same, with this advice unless it already has some.
    pub(super) fn or_help(mut self, help: Option<String>) -> Self {
        self.help = self.help.or(help);
        self
    }
}

impl std::error::Error for Diagnostic {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(out, "{}", self.message)?;
        let (file, line, column) = (&self.file, self.line, self.column);
        writeln!(out, "{gutter}--> {file}:{line}:{column}")?;
        writeln!(out, "{gutter} |")?;
        writeln!(out, "{number} | {}", printable(&self.line_text))?;
        let before = self.line_text.chars().take(self.column - 1);
        // Tabs stay tabs, so that the marks stand under what they mark.
        let indent: String = before.map(|c| if c == '\t' { c } else { ' ' }).collect();
        write!(out, "{gutter} | {indent}{}", "^".repeat(self.width))?;
        if let Some(help) = &self.help {
            write!(out, "\n{gutter} = help: {help}")?;
        }
        Ok(())
    }
}

/// A message with control characters spelt out, so that no key or word from the
/// file can break the line or reach the terminal.
fn one_line(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for c in message.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A line with its control characters replaced one by one, to keep columns.
fn printable(line: &str) -> String {
    let harmless = |c: char| c == '\t' || !c.is_control();
    line.chars()
        .map(|c| {
            if harmless(c) {
                c
            } else {
                char::REPLACEMENT_CHARACTER
            }
        })
        .collect()
}

/// Longest word that is compared with what was probably meant, in bytes.
const WORD_BYTES_MAX: usize = 200;

/// The candidate that somebody who wrote `word` most likely meant, if any is
/// near enough: at most a third of its letters differ.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    // The distance takes memory for every pair of letters.
    let word = (word.len() <= WORD_BYTES_MAX).then(|| word.to_lowercase())?;
    candidates
        .into_iter()
        .map(|known| {
            let distance = strsim::damerau_levenshtein(&word, &known.to_lowercase());
            (distance, known)
        })
        .filter(|(distance, known)| distance * 3 <= known.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// "did you mean" for what [`nearest`] found.
pub(super) fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(word, candidates).map(|known| format!("did you mean `{known}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, word: &str) -> Diagnostic {
        let start = text.find(word).expect("the word is there");
        Source::new("x.toml", text).diagnose(&(start..start + word.len()), "wrong")
    }

    #[test]
    fn a_diagnostic_reads_like_that_of_a_compiler() {
        let shown = at("a = 1\n\n\tbé = twoo\r\n", "twoo").or_help(Some("try `two`".into()));
        assert_eq!(
            shown.to_string(),
            "wrong\n --> x.toml:3:7\n  |\n3 | \tbé = twoo\n  | \t     ^^^^\n  = help: try `two`"
        );
    }

    #[test]
    fn columns_count_characters_and_widths_end_with_the_line() {
        let found = at("é = \"ü\" # x\nnext", "\"ü\" # x\nnext");
        assert_eq!((found.line(), found.column(), found.width), (1, 5, 7));
        assert_eq!(found.line_text(), "é = \"ü\" # x");
    }

    #[test]
    fn places_that_do_not_exist_are_shown_at_the_nearest_one() {
        let source = Source::new("x.toml", "é");
        assert_eq!(source.diagnose(&(1..1), "inside").column(), 1);
        let past = source.diagnose(&(99..120), "past the end");
        assert_eq!((past.line(), past.column()), (1, 2));
        assert_eq!(
            Source::new("x.toml", "").diagnose(&(0..0), "empty").line(),
            1
        );
        let backwards = Range { start: 2, end: 0 };
        assert_eq!(source.diagnose(&backwards, "backwards").width, 1);
        assert_eq!(source.snippet(&(0..1)), "", "half a character");
    }

    #[test]
    fn nothing_from_the_file_reaches_the_terminal_as_a_command() {
        let source = Source::new("x.toml", "a = \"\u{1b}[2J\"");
        let shown = source.diagnose(&(4..5), "bad `\u{1b}[2J\n`");
        assert_eq!(shown.message(), "bad `\\u{1b}[2J\\n`");
        assert!(!shown.to_string().contains('\u{1b}'));
        assert!(shown.to_string().contains("a = \"\u{fffd}[2J\""));
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let known = ["lease_ttl_sec", "lock_delay_ms", "mode"];
        assert_eq!(nearest("lease_ttl_ms", known), Some("lease_ttl_sec"));
        assert_eq!(nearest("LOCK_DELAY_MS", known), Some("lock_delay_ms"));
        assert_eq!(nearest("moed", known), Some("mode"));
        assert_eq!(nearest("colour", known), None);
    }
}
