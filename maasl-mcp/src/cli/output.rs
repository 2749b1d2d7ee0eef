//! Standard output and standard error: the only place that prints.
//!
//! Owns: writing what commands have made. Promises: a closed pipe ends the
//! program quietly, and an output that takes nothing ends it as what is broken inside;
//! what is in a table or a message does nothing to the terminal. Leaves to others: what
//! is written.

use std::fmt::{self, Display, Formatter};
use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// The exit code where what was made cannot be shown.
const UNSHOWN: i32 = 3;

/// Writes text and a line end to standard output.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => {}
        // Whoever was reading has seen enough.
        Err(failed) if failed.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(failed) => {
            error(&format!("standard output: {failed}"));
            std::process::exit(UNSHOWN);
        }
    }
}

/// Writes one JSON object to standard output.
pub(super) fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}

/// Writes a message to standard error.
pub(super) fn error(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "maasl: {}", plain_lines(text));
}

/// A text as a person may see it. Names and intents are of agents' making: what in
/// them would steer a terminal, or turn the order of the letters, is spelt out.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        let turns = matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || turns {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// As [`plain`], for a text that may have several lines.
fn plain_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    lines.join("\n")
}

/// Whether a person is looking.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// An aligned table without borders.
pub(super) struct Table(comfy_table::Table);

/// A table with these columns.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header.iter().map(|name| plain(name)));
    if !is_terminal() {
        table.force_no_tty();
    }
    Table(table)
}

impl Table {
    /// Adds a row at the end. A cell may have several lines; what is of agents' making
    /// and has one only goes through [`plain`] first.
    pub(super) fn add_row<C: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = C>) {
        let cells = cells.into_iter().map(|cell| plain_lines(cell.as_ref()));
        self.0.add_row(cells);
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_spelt_out() {
        for (text, seen) in [
            ("plain, größer, 界", "plain, größer, 界"),
            ("\u{1b}[2Jgone\u{7}", "\\u{1b}[2Jgone\\u{7}"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("one\r\ntwo\t", "one\\r\\ntwo\\t"),
            ("abc\u{202e}fed\u{2069}", "abc\\u{202e}fed\\u{2069}"),
        ] {
            assert_eq!(plain(text), seen);
        }
    }

    #[test]
    fn a_table_does_nothing_to_the_terminal() {
        let mut table = table(&["name", "doing"]);
        table.add_row(["a", "\u{1b}[31mone"]);
        table.add_row(["b".to_owned(), String::new()]);
        let shown = table.to_string();
        assert_eq!(shown.lines().count(), 3, "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}
