//! What the program prints.
//!
//! Owns: standard output and standard error. Promises: results go to standard
//! output, everything else to standard error. Leaves to others: what is said.

/// The streams of the program.
#[derive(Debug)]
pub struct Output {
    _private: (),
}

impl Output {
    /// Those of the process.
    #[must_use]
    pub fn standard() -> Self {
        Self { _private: () }
    }

    /// Prints a line of the result. Whoever stopped reading wants no more.
    pub fn line(&self, text: &str) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// Says what went wrong.
    pub fn complain(&self, text: &str) {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), "maasl-sim: {text}");
    }
}
