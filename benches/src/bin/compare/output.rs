//! The one place that writes to the terminal.
//!
//! Owns: standard output and standard error. Promises: figures go to the former,
//! progress to the latter. Leaves to others: what to say.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "its figures are what this program is for"
)]

/// Prints figures.
pub(crate) fn figures(text: &str) {
    println!("{text}");
}

/// Says what is being done.
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}
