//! Configuration files.
//!
//! Owns: `maasl.toml` and `llmc.toml` as arbitrary bytes. Promises: what is read
//! is valid, whatever reads it; what is refused is refused with its place. Leaves
//! to others: which settings there are.

use std::fs;

use maasl_node::config_file::{ConfigFileError, LLMC_TOML, MAASL_TOML, load, parse};

use crate::scratch;

/// The longest message about a file that is wrong, the line itself aside.
const MESSAGE_BYTES_MAX: usize = 4 * 1024;

/// Tries bytes as either file: the first says which.
pub fn run(bytes: &[u8]) {
    let Some((which, content)) = bytes.split_first() else {
        return;
    };
    let name = if *which == b'l' {
        LLMC_TOML
    } else {
        MAASL_TOML
    };
    let dir = scratch::folder();
    fs::write(dir.path().join(name), content).expect("a temporary folder is writable");
    match load(dir.path()) {
        Ok(loaded) => {
            assert_eq!(loaded.config.validate(), Ok(()));
            let text = std::str::from_utf8(content).expect("only text is read");
            let parsed = parse(text, name).expect("it was read before");
            assert_eq!(parsed, loaded.config);
        }
        Err(ConfigFileError::Invalid(diagnostic)) => {
            let lines = content.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&diagnostic.line()), "{diagnostic}");
            assert!(diagnostic.column() >= 1, "{diagnostic}");
            let said = diagnostic.to_string().len();
            // The line is shown, and marks are put below it.
            let shown = 8 * diagnostic.line_text().len();
            assert!(said <= MESSAGE_BYTES_MAX + shown, "{said} bytes are said");
        }
        Err(ConfigFileError::Read { source, .. }) => {
            assert!(std::str::from_utf8(content).is_err(), "{source}");
        }
    }
}
