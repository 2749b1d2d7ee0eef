//! Why a path is refused.
//!
//! Owns: the list of reasons, each with a stable code and a sentence for
//! people. Promises: a code never changes its meaning. Leaves to others:
//! finding out which reason applies.

use alloc::borrow::ToOwned;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::PATH_BYTES_MAX;

/// A path that no guarded operation will touch, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{path:?} {reason}")]
pub struct PathRefusal {
    /// The path as it was given, cut at [`PATH_BYTES_MAX`] bytes.
    pub path: String,
    /// What is wrong with it.
    pub reason: PathReason,
    /// What the caller can do instead, where there is something.
    pub hint: Option<String>,
}

impl PathRefusal {
    /// A refusal of `path` with the usual hint for `reason`.
    #[must_use]
    pub fn new(path: &str, reason: PathReason) -> Self {
        // `str::floor_char_boundary` is newer than the oldest compiler supported.
        let ends = 0..=path.len().min(PATH_BYTES_MAX);
        let cut = ends.rev().find(|i| path.is_char_boundary(*i));
        let hint = reason.hint().map(ToOwned::to_owned);
        Self {
            path: path[..cut.unwrap_or(0)].to_owned(),
            reason,
            hint,
        }
    }
}

/// What a directory entry is, where it is not a regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// A Unix domain socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Something this build has no name for.
    Unknown,
}

impl FileKind {
    /// The kind in words, with its article.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Directory => "a directory",
            Self::Fifo => "a named pipe",
            Self::Socket => "a socket",
            Self::CharDevice => "a character device",
            Self::BlockDevice => "a block device",
            Self::Unknown => "of an unknown kind",
        }
    }
}

/// The reason of a [`PathRefusal`].
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum PathReason {
    /// No component is left after normalising.
    #[error("names no file")]
    Empty,
    /// It is absolute, and not beneath the root.
    #[error("lies outside the root")]
    Absolute,
    /// It has a `..` component.
    #[error("climbs with `..`")]
    Traversal,
    /// It holds a NUL byte.
    #[error("contains a NUL byte")]
    Nul,
    /// It holds a control character, line separator or bidirectional mark.
    #[error("contains the control character U+{code_point:04X}")]
    Control {
        /// The first such character.
        code_point: u32,
    },
    /// It holds a backslash: a separator to some readers, a letter to others.
    #[error("contains a backslash, which is ambiguous")]
    Backslash,
    /// It looks like a network address, a URL or a Windows path.
    #[error("looks like a network, URL or Windows path")]
    NetworkLike,
    /// A component or the whole path is too long.
    #[error("is too long: {bytes} bytes where {limit_bytes} are allowed")]
    TooLong {
        /// Length found, in bytes; for a whole path, up to where it was read.
        bytes: u64,
        /// Longest length allowed, in bytes.
        limit_bytes: u64,
    },
    /// It is not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// It ends in a slash, so it names a directory.
    #[error("ends in a slash, which names a directory")]
    TrailingSlash,
    /// It, or a directory on the way, is a symbolic link.
    #[error("is, or leads through, a symbolic link")]
    Symlink,
    /// Other names lead to the same file.
    #[error("is a file with {links} hard links")]
    HardLinked {
        /// How many names the file has.
        links: u64,
    },
    /// It is not a regular file.
    #[error("is {}, not a regular file", kind.words())]
    NotRegular {
        /// What it is.
        kind: FileKind,
    },
    /// A component on the way is not a directory.
    #[error("leads through something that is not a directory")]
    NotDirectory,
    /// Its file system is on another host.
    #[error("is on the network file system {name}")]
    NetworkFileSystem {
        /// Name of the file system's kind.
        name: String,
    },
    /// A mount lies between the root and the file.
    #[error("is on another file system than the root")]
    OtherFileSystem,
    /// It belongs to an SQLite database.
    #[error("belongs to an SQLite database")]
    Database,
    /// It is reserved for MAASL or Git.
    #[error("is reserved: {name} belongs to its own program")]
    Reserved {
        /// The reserved name, in its usual spelling.
        name: String,
    },
    /// It has more bytes than a file that is read may have.
    #[error("has {bytes} bytes; at most {limit_bytes} are read (max_file_bytes)")]
    TooLarge {
        /// Its size, in bytes; of a file that grows, as far as it was read.
        bytes: u64,
        /// The largest size allowed, in bytes.
        limit_bytes: u64,
    },
    /// The directory that should hold it does not exist.
    #[error("has no parent directory")]
    MissingParent,
    /// The operating system would not let it be examined, opened or created.
    #[error("cannot be opened: {errno}")]
    Unreadable {
        /// The system's own words.
        errno: String,
    },
    /// The operating system would not let it be replaced, made or removed.
    #[error("cannot be changed: {errno}")]
    Unwritable {
        /// The system's own words.
        errno: String,
    },
}

impl PathReason {
    /// The stable name of the reason, as in the serialised form.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Absolute => "absolute",
            Self::Traversal => "traversal",
            Self::Nul => "nul",
            Self::Control { .. } => "control",
            Self::Backslash => "backslash",
            Self::NetworkLike => "network_like",
            Self::TooLong { .. } => "too_long",
            Self::NotUtf8 => "not_utf8",
            Self::TrailingSlash => "trailing_slash",
            Self::Symlink => "symlink",
            Self::HardLinked { .. } => "hard_linked",
            Self::NotRegular { .. } => "not_regular",
            Self::NotDirectory => "not_directory",
            Self::NetworkFileSystem { .. } => "network_file_system",
            Self::OtherFileSystem => "other_file_system",
            Self::Database => "database",
            Self::Reserved { .. } => "reserved",
            Self::TooLarge { .. } => "too_large",
            Self::MissingParent => "missing_parent",
            Self::Unreadable { .. } => "unreadable",
            Self::Unwritable { .. } => "unwritable",
        }
    }

    /// What the caller can do instead.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::TrailingSlash => Some("name a file beneath the root"),
            Self::Absolute | Self::Traversal => Some("use a path relative to the root"),
            Self::Backslash | Self::NetworkLike => {
                Some("use a path relative to the root, separated by `/`")
            }
            Self::Symlink => Some("use the path that the link points to"),
            Self::HardLinked { .. } => Some("break the link by copying the file, then retry"),
            Self::NetworkFileSystem { .. } | Self::OtherFileSystem => {
                Some("move the files to the root's own local file system")
            }
            Self::Database => Some("use the database guard"),
            Self::TooLarge { .. } => {
                Some("raise limits.max_file_bytes, or use another tool for it")
            }
            Self::MissingParent => Some("create the directory first"),
            Self::Nul | Self::Control { .. } | Self::TooLong { .. } | Self::NotUtf8 => {
                Some("rename the file")
            }
            Self::Unwritable { .. } => Some("see who may write in its directory"),
            Self::NotRegular { .. }
            | Self::NotDirectory
            | Self::Reserved { .. }
            | Self::Unreadable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn reads_as_a_sentence_and_escapes_the_path() {
        let refusal = PathRefusal::new("a\nb", PathReason::Control { code_point: 10 });
        assert_eq!(
            refusal.to_string(),
            r#""a\nb" contains the control character U+000A"#
        );
        let kind = FileKind::Fifo;
        let refusal = PathRefusal::new("p", PathReason::NotRegular { kind });
        assert_eq!(
            refusal.to_string(),
            r#""p" is a named pipe, not a regular file"#
        );
        assert_eq!(refusal.hint, None);
    }

    #[test]
    fn a_huge_path_is_cut_at_a_character() {
        let refusal = PathRefusal::new(&"é".repeat(5000), PathReason::Empty);
        assert_eq!(refusal.path.len(), 4096);
        let refusal = PathRefusal::new(&["a", &"é".repeat(5000)].concat(), PathReason::Empty);
        assert_eq!(refusal.path.len(), 4095);
    }
}
