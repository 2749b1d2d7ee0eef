//! The one place that writes to the terminal.
//!
//! Owns: standard output. Promises: a whole line at a time, so that it keeps
//! its order with what the child processes print. Leaves to others: what to say.
#![expect(
    clippy::print_stdout,
    reason = "xtask is a command line: its standard output is its report"
)]

/// Prints one line, or several if the text holds them.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Announces a step, set apart from the output of the one before.
pub(crate) fn heading(name: &str) {
    println!("\n== {name}");
}
