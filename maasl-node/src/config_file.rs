//! The configuration file of a repository: `maasl.toml`, else `llmc.toml`.
//!
//! Owns: finding the file, reading our tables in it (`[maasl]` and below), and
//! telling a person precisely what is wrong with them. Promises: whatever is
//! written in our tables has an effect or is refused with its line; a loaded
//! [`Config`] has passed `Config::validate`; tables of others are not judged.
//! Leaves to others: defaults and ranges (`maasl_core::config`), the rules for
//! classes (`maasl_core::policy`), and printing errors and warnings.
//!
//! `[maasl] default_*` keys are for classes of the user's own. A built-in class
//! keeps the values of its table unless `[maasl.resource.<CLASS>]` says
//! otherwise; a default that therefore reaches nobody is warned about.
//!
//! One table of LLMC's is read, too: where it says how documents are made, our
//! defaults follow it (`llmc`).

mod diagnostic;
mod keys;
mod llmc;
mod reader;
mod section;
mod value;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use maasl_core::config::Config;
use rustix::fs::{Mode, OFlags};
use toml::de::DeTable;

pub use diagnostic::Diagnostic;
use diagnostic::Source;

/// The file that is ours alone; looked for first.
pub const MAASL_TOML: &str = "maasl.toml";
/// The file shared with other tools; looked for second.
pub const LLMC_TOML: &str = "llmc.toml";
/// Largest configuration file that is read, in bytes.
pub const MAX_CONFIG_FILE_BYTES: u64 = 1 << 20;

/// Invisible first character that some editors write.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The configuration of a repository and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The settings; all defaults if there is no file.
    pub config: Config,
    /// The file that was read, if there is one.
    pub source: Option<PathBuf>,
    /// What somebody should be told although nothing is wrong, one a line.
    pub warnings: Vec<String>,
}

/// A configuration file that cannot be used.
///
/// Displayed over several lines, like the message of a compiler; see
/// [`Diagnostic`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// The file is there but cannot be read as text.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What it says is not a configuration.
    #[error(transparent)]
    Invalid(#[from] Box<Diagnostic>),
}

/// Reads the configuration of the repository at `root`.
///
/// `maasl.toml` wins over `llmc.toml`, whole: our tables in the other file are
/// then not read, which is a warning.
pub fn load(root: &Path) -> Result<Loaded, ConfigFileError> {
    let ours = root.join(MAASL_TOML);
    let shared = root.join(LLMC_TOML);
    if let Some(text) = read_text(&ours)? {
        let mut loaded = loaded_from(ours, &text)?;
        if has_our_tables(&shared) {
            loaded.warnings.push(format!(
                "{LLMC_TOML} has [maasl] settings that are not read, because {MAASL_TOML} exists"
            ));
        }
        return Ok(loaded);
    }
    match read_text(&shared)? {
        Some(text) => loaded_from(shared, &text),
        None => Ok(Loaded {
            config: Config::default(),
            source: None,
            warnings: Vec::new(),
        }),
    }
}

/// Reads a configuration from `text`; errors call the file `name`.
pub fn parse(text: &str, name: &str) -> Result<Config, ConfigFileError> {
    let (config, _warnings) = parse_with_warnings(text, name)?;
    Ok(config)
}

fn loaded_from(path: PathBuf, text: &str) -> Result<Loaded, ConfigFileError> {
    let (config, warnings) = parse_with_warnings(text, &path.to_string_lossy())?;
    Ok(Loaded {
        config,
        source: Some(path),
        warnings,
    })
}

fn parse_with_warnings(text: &str, name: &str) -> Result<(Config, Vec<String>), ConfigFileError> {
    let source = Source::new(name, without_mark(text));
    reader::read(source).map_err(|diagnostic| Box::new(diagnostic).into())
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// The text of a file, or `None` if there is no such file.
fn read_text(path: &Path) -> Result<Option<String>, ConfigFileError> {
    let text = open_regular(path).and_then(|file| {
        let mut text = String::new();
        file.take(MAX_CONFIG_FILE_BYTES + 1)
            .read_to_string(&mut text)?;
        Ok(text)
    });
    let failed = |source| ConfigFileError::Read {
        path: path.to_owned(),
        source,
    };
    match text {
        Ok(text) if text.len() as u64 > MAX_CONFIG_FILE_BYTES => {
            let bound = format!("larger than {MAX_CONFIG_FILE_BYTES} bytes");
            Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, bound)))
        }
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Opens a file without waiting for anybody: a named pipe would be waited for
/// until somebody writes to it. A symbolic link to a regular file is fine.
fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "it is not a regular file",
    ))
}

/// Whether a file that is not going to be read has settings for us. What
/// cannot be read or understood is the business of the file's other readers.
fn has_our_tables(path: &Path) -> bool {
    let Ok(Some(text)) = read_text(path) else {
        return false;
    };
    let (document, _errors) = DeTable::parse_recoverable(without_mark(&text));
    document.get_ref().contains_key(reader::OUR_TABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn root_with(files: &[(&str, &[u8])]) -> TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            fs::write(root.path().join(name), content).expect("a file");
        }
        root
    }

    fn load_from(files: &[(&str, &[u8])]) -> Result<Loaded, ConfigFileError> {
        load(root_with(files).path())
    }

    const TEN: &[u8] = b"[maasl]\nclock_drift_ppm = 10\n";
    const TWENTY: &[u8] = b"[maasl]\nclock_drift_ppm = 20\n";

    #[test]
    fn without_a_file_everything_is_default() {
        let loaded = load_from(&[]).expect("no file is fine");
        assert_eq!(loaded.config, Config::default());
        assert_eq!(loaded.source, None);
        assert!(loaded.warnings.is_empty());
    }

    #[test]
    fn either_file_is_found() {
        for name in [MAASL_TOML, LLMC_TOML] {
            let root = root_with(&[(name, TEN)]);
            let loaded = load(root.path()).expect("a fine file");
            assert_eq!(loaded.config.clock_drift_ppm, 10);
            assert_eq!(loaded.source, Some(root.path().join(name)));
            assert!(loaded.warnings.is_empty());
        }
    }

    #[test]
    fn our_own_file_wins_and_says_so() {
        let loaded = load_from(&[(MAASL_TOML, TEN), (LLMC_TOML, TWENTY)]).expect("fine files");
        assert_eq!(loaded.config.clock_drift_ppm, 10);
        assert_eq!(
            loaded.warnings,
            ["llmc.toml has [maasl] settings that are not read, because maasl.toml exists"]
        );
    }

    #[test]
    fn a_shared_file_without_our_tables_is_no_reason_to_warn() {
        for other in [&b"[tools]\nmaasl = 1\n"[..], b"not = = toml", b"\xff"] {
            let loaded = load_from(&[(MAASL_TOML, TEN), (LLMC_TOML, other)]).expect("not ours");
            assert!(loaded.warnings.is_empty(), "{other:?}");
        }
    }

    #[test]
    fn a_byte_order_mark_and_an_empty_file_are_fine() {
        let marked = [&b"\xef\xbb\xbf"[..], TEN].concat();
        let loaded = load_from(&[(MAASL_TOML, &marked)]).expect("a fine file");
        assert_eq!(loaded.config.clock_drift_ppm, 10);
        for empty in [&b""[..], b"\n\n", b"# nothing\r\n", b"\xef\xbb\xbf"] {
            let loaded = load_from(&[(MAASL_TOML, empty)]).expect("empty is fine");
            assert_eq!(loaded.config, Config::default());
        }
        let text = "\u{feff}maasl.mod = 1";
        let ConfigFileError::Invalid(shown) = parse(text, "x").expect_err("a typo") else {
            panic!("another error");
        };
        assert_eq!(
            (shown.line(), shown.column()),
            (1, 7),
            "the mark has no width"
        );
    }

    #[test]
    fn files_that_are_not_text_are_refused_by_name() {
        let large = vec![b'#'; 1_048_577];
        for (content, reason) in [(&b"\xff\xfe"[..], "UTF-8"), (&large, "larger than")] {
            let refused = load_from(&[(MAASL_TOML, content)]).expect_err(reason);
            let shown = refused.to_string();
            assert!(
                shown.contains(MAASL_TOML) && shown.contains(reason),
                "{shown}"
            );
        }
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join(MAASL_TOML)).expect("a directory");
        let refused = load(root.path()).expect_err("a directory is no file");
        assert!(matches!(refused, ConfigFileError::Read { .. }), "{refused}");
    }

    #[test]
    fn a_pipe_or_a_device_is_refused_without_waiting() {
        use rustix::fs::{CWD, FileType, mknodat};
        let root = tempfile::tempdir().expect("a directory");
        let pipe = root.path().join(MAASL_TOML);
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        let refused = load(root.path()).expect_err("a pipe is no file");
        assert!(refused.to_string().contains("regular file"), "{refused}");
        fs::remove_file(&pipe).expect("it is there");
        std::os::unix::fs::symlink("/dev/zero", &pipe).expect("a link");
        let refused = load(root.path()).expect_err("a device is no file");
        assert!(refused.to_string().contains("regular file"), "{refused}");
        fs::remove_file(&pipe).expect("it is there");
        fs::write(root.path().join("elsewhere.toml"), TEN).expect("a file");
        std::os::unix::fs::symlink("elsewhere.toml", &pipe).expect("a link");
        let loaded = load(root.path()).expect("a link to a file is fine");
        assert_eq!(loaded.config.clock_drift_ppm, 10);
    }

    #[test]
    fn errors_name_the_file_that_was_read() {
        let root = root_with(&[(LLMC_TOML, b"[maasl]\nenabld = true\n")]);
        let shown = load(root.path()).expect_err("a typo").to_string();
        let place = format!("{}:2:1", root.path().join(LLMC_TOML).display());
        assert!(shown.contains(&place), "{shown}");
    }
}
