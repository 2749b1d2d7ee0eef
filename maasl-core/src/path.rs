//! Names of files beneath the root, as data.
//!
//! Owns: [`RelPath`], the only spelling of a path that the rest of the project
//! accepts; [`fold`], which turns a path into the part of a resource key that
//! all its aliases share; [`PathRefusal`], the typed "no".
//! Promises: a `RelPath` that exists is relative, lexically normal, free of
//! `..`, control characters and reserved names, and within the length limits.
//! Leaves to others: everything that takes a look at the disk (symlinks, hard
//! links, mounts, databases); that is `maasl-node`'s `root` module.

mod fold;
mod refusal;

pub use fold::fold;
pub use refusal::{FileKind, PathReason, PathRefusal};

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// Longest component of a path, in bytes (`NAME_MAX` of the usual file systems).
pub const COMPONENT_BYTES_MAX: usize = 255;

/// Longest path relative to the root, in bytes.
pub const PATH_BYTES_MAX: usize = 4096;

/// Names whose aliases no guarded operation may touch, wherever they stand in
/// a path: MAASL's own state, and the inside of a Git repository.
const RESERVED: [&str; 2] = [".maasl", ".git"];

/// A path relative to the root: `/`-separated, lexically normal, UTF-8.
///
/// Made by [`RelPath::parse`] alone, also when deserialised.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelPath(String);

impl RelPath {
    /// Reads `input` as a path beneath the root.
    ///
    /// Removes `.` components and doubled slashes. Refuses what is empty,
    /// absolute, climbs with `..`, ends in a slash, looks like a network or
    /// Windows path, holds a backslash, NUL or other control character, is too
    /// long, or has a reserved component in any case or Unicode spelling.
    pub fn parse(input: &str) -> Result<Self, PathRefusal> {
        normalise(input)
            .map(Self)
            .map_err(|reason| PathRefusal::new(input, reason))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of the directory that holds it; `None` directly beneath the root.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The components, from the root down; never none.
    #[must_use]
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for RelPath {
    type Error = PathRefusal;

    fn try_from(input: String) -> Result<Self, PathRefusal> {
        Self::parse(&input)
    }
}

impl From<RelPath> for String {
    fn from(path: RelPath) -> Self {
        path.0
    }
}

/// The normal form of `input`, or the first reason to refuse it.
fn normalise(input: &str) -> Result<String, PathReason> {
    check_text(input)?;
    let mut normal = String::new();
    for component in input.split('/').filter(|c| !matches!(*c, "" | ".")) {
        check_component(component)?;
        if !normal.is_empty() {
            normal.push('/');
        }
        normal.push_str(component);
        check_length(normal.len(), PATH_BYTES_MAX)?;
    }
    if normal.is_empty() {
        return Err(PathReason::Empty);
    }
    // Removing a leading `./` may have uncovered one.
    if is_network_like(&normal) {
        return Err(PathReason::NetworkLike);
    }
    if input.ends_with('/') {
        return Err(PathReason::TrailingSlash);
    }
    Ok(normal)
}

/// What can be judged before the text is split into components.
fn check_text(input: &str) -> Result<(), PathReason> {
    if input.is_empty() {
        return Err(PathReason::Empty);
    }
    if input.contains('\0') {
        return Err(PathReason::Nul);
    }
    if let Some(found) = input.chars().find(|c| is_control(*c)) {
        return Err(PathReason::Control {
            code_point: found.into(),
        });
    }
    if is_network_like(input) {
        return Err(PathReason::NetworkLike);
    }
    if input.contains('\\') {
        return Err(PathReason::Backslash);
    }
    if input.starts_with('/') {
        return Err(PathReason::Absolute);
    }
    Ok(())
}

fn check_component(component: &str) -> Result<(), PathReason> {
    if component == ".." {
        return Err(PathReason::Traversal);
    }
    check_length(component.len(), COMPONENT_BYTES_MAX)?;
    // Decomposing may yield a slash (U+FF0F), hence the second split.
    let folded = fold(component);
    match RESERVED
        .iter()
        .find(|r| folded.split('/').any(|c| c == **r))
    {
        Some(name) => Err(PathReason::Reserved {
            name: (*name).to_owned(),
        }),
        None => Ok(()),
    }
}

fn check_length(bytes: usize, limit_bytes: usize) -> Result<(), PathReason> {
    if bytes <= limit_bytes {
        return Ok(());
    }
    let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Err(PathReason::TooLong {
        bytes: as_u64(bytes),
        limit_bytes: as_u64(limit_bytes),
    })
}

/// Control characters, line separators, and the marks that reorder what a
/// reader sees: a name holding one cannot be shown to a person as it is.
fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `//host/share`, `\\host\share`, `scheme://…`, `C:\x`, `C:/x`, `C:`.
fn is_network_like(input: &str) -> bool {
    let starts_double = input.starts_with("//") || input.starts_with(r"\\");
    starts_double || has_scheme(input) || has_drive(input)
}

fn has_scheme(input: &str) -> bool {
    let is_scheme_char = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    input.split_once(':').is_some_and(|(scheme, rest)| {
        let file_url = scheme.eq_ignore_ascii_case("file") && rest.starts_with('/');
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(is_scheme_char)
            && (rest.starts_with("//") || file_url)
    })
}

fn has_drive(input: &str) -> bool {
    let mut chars = input.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.next() == Some(':')
        && matches!(chars.next(), None | Some('/' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::Error as ValueError;

    fn reason_code(input: &str) -> &'static str {
        RelPath::parse(input).map_or_else(|r| r.reason.code(), |_| "accepted")
    }

    #[test]
    fn normal_forms() {
        for (input, normal) in [
            ("a", "a"),
            ("./a", "a"),
            ("a//b", "a/b"),
            ("a/./b", "a/b"),
            ("././a/.//b", "a/b"),
            ("a/..b/c..", "a/..b/c.."),
            ("src/é ü.rs", "src/é ü.rs"),
            (".gitignore", ".gitignore"),
            (".github/x.yml", ".github/x.yml"),
            ("a:b", "a:b"),
            ("notes: today/x", "notes: today/x"),
            ("...", "..."),
            ("~/x", "~/x"),
        ] {
            assert_eq!(RelPath::parse(input).unwrap().as_str(), normal, "{input:?}");
        }
    }

    #[test]
    fn refusals() {
        for (input, code) in [
            ("", "empty"),
            (".", "empty"),
            ("./", "empty"),
            ("..", "traversal"),
            ("a/..", "traversal"),
            ("a/../b", "traversal"),
            ("/", "absolute"),
            ("/a", "absolute"),
            ("a\0b", "nul"),
            ("a\nb", "control"),
            ("a\tb", "control"),
            ("a\u{85}b", "control"),
            ("a\u{202e}b", "control"),
            ("a\\b", "backslash"),
            ("//host/share", "network_like"),
            (r"\\host\share", "network_like"),
            ("C:\\x", "network_like"),
            ("c:/x", "network_like"),
            ("Z:", "network_like"),
            ("./C:/x", "network_like"),
            (".//file:/x", "network_like"),
            ("file:///etc/passwd", "network_like"),
            ("FILE:/etc/passwd", "network_like"),
            ("ssh://h/x", "network_like"),
            ("git+ssh://h/x", "network_like"),
            ("a/", "trailing_slash"),
            (".git", "reserved"),
            ("sub/.GIT/config", "reserved"),
            (".maasl/", "reserved"),
            ("./.maasl/x", "reserved"),
            (".MaAsL", "reserved"),
            ("．ｍａａｓｌ/x", "reserved"),
            (".maasl.", "reserved"),
            (".g\u{200d}it/x", "reserved"),
            (".maasl／x", "reserved"),
        ] {
            assert_eq!(reason_code(input), code, "{input:?}");
        }
    }

    #[test]
    fn length_limits_are_in_bytes_and_inclusive() {
        assert_eq!(reason_code(&"a".repeat(255)), "accepted");
        assert_eq!(reason_code(&"a".repeat(256)), "too_long");
        assert_eq!(reason_code(&"é".repeat(128)), "too_long");
        let longest = format!("{}b", "a/".repeat(2047));
        assert_eq!(reason_code(&format!("{longest}c")), "accepted");
        assert_eq!(reason_code(&format!("{longest}cd")), "too_long");
    }

    #[test]
    fn parts() {
        let path = RelPath::parse("a/b/c.rs").unwrap();
        assert_eq!(path.parent(), Some("a/b"));
        assert_eq!(path.file_name(), "c.rs");
        assert!(path.components().eq(["a", "b", "c.rs"]));
        let top = RelPath::parse("c.rs").unwrap();
        assert_eq!((top.parent(), top.file_name()), (None, "c.rs"));
    }

    #[test]
    fn deserialising_parses() {
        let read = |text: &str| {
            RelPath::deserialize(IntoDeserializer::<ValueError>::into_deserializer(text))
        };
        assert_eq!(read("a//b").unwrap().as_str(), "a/b");
        assert!(read("../b").unwrap_err().to_string().contains(".."));
    }

    proptest! {
        #[test]
        fn parse_is_idempotent_and_safe(input in r"[./a\\b: é．~]{0,12}|\PC{0,20}|(\.{1,2}|x|/|C:|file:){0,9}") {
            if let Ok(path) = RelPath::parse(&input) {
                prop_assert_eq!(&RelPath::parse(path.as_str()).unwrap(), &path);
                prop_assert!(path.components().all(|c| !matches!(c, "" | "." | "..")));
                prop_assert!(!fold(path.as_str()).is_empty());
            }
        }
    }
}
