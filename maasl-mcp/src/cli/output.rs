//! Standard output and standard error: the only place that prints.
//!
//! Owns: writing what commands have made. Promises: a closed pipe ends the
//! program quietly. Leaves to others: what is written.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

/// Writes text and a line end to standard output.
pub(super) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush())
        && error.kind() == ErrorKind::BrokenPipe
    {
        // Whoever was reading has seen enough.
        std::process::exit(0);
    }
}

/// Writes one JSON object to standard output.
pub(super) fn json(value: &serde_json::Value) {
    line(&format!("{value:#}"));
}

/// Writes a message to standard error.
pub(super) fn error(text: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "maasl: {text}");
}

/// Whether a person is looking.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// An aligned table without borders.
pub(super) fn table(header: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(header);
    if !is_terminal() {
        table.force_no_tty();
    }
    table
}
