//! Lines that can be added to a source file without breaking it.
//!
//! Owns: comment syntax, marks, the anchors at which marks are inserted, and
//! whether a file still parses. Promises: a mark is unique, and no mark or anchor
//! is part of another. Leaves to others: who inserts what, and when.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What a file is written in, as far as comments and parsers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    Rust,
    Toml,
    Json,
    Markdown,
    /// Comments start with `#`.
    Hash,
    /// Comments start with `//`.
    Slash,
}

/// What every mark begins with.
const MARK: &str = "maasl-demo mark [";

impl Language {
    /// Judges by the end of the name.
    pub(super) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (_, extension) = name.rsplit_once('.')?;
        Some(match extension {
            "rs" => Self::Rust,
            "toml" => Self::Toml,
            "json" => Self::Json,
            "md" => Self::Markdown,
            "py" | "sh" | "rb" | "yml" | "yaml" => Self::Hash,
            "c" | "h" | "cc" | "cpp" | "hpp" | "go" | "java" | "js" | "ts" | "kt" | "swift" => {
                Self::Slash
            }
            _ => return None,
        })
    }

    /// Text as a line that the language ignores, or does not mind.
    pub(super) fn line(self, text: &str) -> String {
        match self {
            Self::Rust | Self::Slash => format!("// {text}"),
            Self::Toml | Self::Hash => format!("# {text}"),
            Self::Json => format!("  \"{text}\": 1,"),
            Self::Markdown => format!("<!-- {text} -->"),
        }
    }

    /// The line that carries a mark.
    pub(super) fn mark(self, mark: &str) -> String {
        self.line(&format!("{MARK}{mark}]"))
    }

    /// The line below which `whose` marks go.
    pub(super) fn anchor(self, whose: &str) -> String {
        self.line(&format!("maasl-demo region [{whose}]"))
    }

    /// Why a content is no longer sound, if it is not.
    pub(super) fn fault(self, content: &[u8]) -> Option<String> {
        let Ok(text) = std::str::from_utf8(content) else {
            return Some("is not UTF-8".to_owned());
        };
        let debris = |line: &str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
        if text.lines().any(debris) {
            return Some("has conflict markers".to_owned());
        }
        match self {
            Self::Rust => syn::parse_file(text).err().map(|error| error.to_string()),
            Self::Toml => toml::from_str::<toml::Table>(text)
                .err()
                .map(|error| error.message().to_owned()),
            Self::Json => serde_json::from_str::<serde_json::Value>(text)
                .err()
                .map(|error| error.to_string()),
            Self::Markdown | Self::Hash | Self::Slash => None,
        }
    }

    /// The text with one anchor for each of `owners`, if it takes them.
    pub(super) fn plant(self, text: &str, owners: &[String]) -> Option<String> {
        if text.contains('\r') || !text.ends_with('\n') || self.fault(text.as_bytes()).is_some() {
            return None;
        }
        let lines: Vec<&str> = text.lines().collect();
        let places = self.places(&lines);
        let mut before: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for (number, owner) in owners.iter().enumerate() {
            let place = *places.get(number * places.len() / owners.len())?;
            before.entry(place).or_default().push(self.anchor(owner));
        }
        let mut planted = String::with_capacity(text.len() + owners.len() * 48);
        for (number, line) in lines.iter().copied().chain([""]).enumerate() {
            for anchor in before.get(&number).into_iter().flatten() {
                planted.push_str(anchor);
                planted.push('\n');
            }
            if number < lines.len() {
                planted.push_str(line);
                planted.push('\n');
            }
        }
        let marked = insert(&planted, &self.anchor(&owners[0]), &self.mark("0"))?;
        self.fault(marked.as_bytes()).is_none().then_some(planted)
    }

    /// The lines before which a comment is in nobody's way.
    fn places(self, lines: &[&str]) -> Vec<usize> {
        if self == Self::Json {
            let opens = lines.first().is_some_and(|line| line.trim() == "{");
            let filled = lines.get(1).is_some_and(|line| line.trim() != "}");
            return if opens && filled { vec![1] } else { Vec::new() };
        }
        let starts =
            |line: &str| line.starts_with(|c: char| !c.is_whitespace() && !"})]".contains(c));
        let mut places: Vec<usize> = (1..lines.len())
            .filter(|&at| lines[at - 1].trim().is_empty() && starts(lines[at]))
            .collect();
        places.push(lines.len());
        places
    }
}

/// Puts a line below an anchor, if the anchor occurs exactly once.
pub(super) fn insert(text: &str, anchor: &str, line: &str) -> Option<String> {
    replace(text, anchor, &format!("{anchor}\n{line}"))
}

/// Replaces what occurs exactly once.
pub(super) fn replace(text: &str, old: &str, new: &str) -> Option<String> {
    let mut found = text.match_indices(old);
    let (at, _) = found.next()?;
    if found.next().is_some() {
        return None;
    }
    Some([&text[..at], new, &text[at + old.len()..]].concat())
}

/// Every mark of a text, and how often it occurs.
pub(super) fn marks(text: &str) -> BTreeMap<&str, u32> {
    let mut marks = BTreeMap::new();
    for rest in text.split(MARK).skip(1) {
        if let Some((mark, _)) = rest.split_once(']') {
            *marks.entry(mark).or_default() += 1;
        }
    }
    marks
}

/// A page that shows whether it is whole: a first line, filler, and a seal.
pub(super) fn page(first: &str, mark: &str) -> String {
    let mut page = format!("{first}\nby: {mark}\n");
    for line in 0..40 {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{line:02} written whole by {mark}");
    }
    let seal = seal(&page);
    page + &seal
}

/// The first line and the author of a page, if it is whole.
pub(super) fn open_page(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_suffix('\n')?;
    let end = body.rfind('\n')? + 1;
    if seal(&text[..end]) != text[end..] {
        return None;
    }
    let mut lines = text.lines();
    let first = lines.next()?;
    Some((first, lines.next()?.strip_prefix("by: ")?))
}

fn seal(body: &str) -> String {
    let hash = maasl_core::id::ContentHash::of(body.as_bytes());
    format!("seal: {hash}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners() -> Vec<String> {
        vec![
            "everyone".to_owned(),
            "agent-1".to_owned(),
            "agent-10".to_owned(),
        ]
    }

    #[test]
    fn sources_take_anchors_and_marks() {
        let rust =
            "//! Doc.\n\nuse std::fmt;\n\nfn one() {\n    two();\n}\n\n#[inline]\nfn two() {}\n";
        for (language, text) in [
            (Language::Rust, rust),
            (Language::Toml, "a = 1\n\n[b]\nc = 2\n"),
            (Language::Json, "{\n  \"a\": 1\n}\n"),
            (Language::Markdown, "# Title\n\nText.\n"),
            (Language::Hash, "import os\n"),
        ] {
            let planted = language.plant(text, &owners()).unwrap();
            let mut marked = planted;
            for (number, owner) in owners().iter().enumerate() {
                let mark = language.mark(&format!("{owner} #{number}"));
                marked = insert(&marked, &language.anchor(owner), &mark).unwrap();
            }
            assert_eq!(language.fault(marked.as_bytes()), None, "{marked}");
            assert_eq!(marks(&marked).len(), 3);
            assert_eq!(marks(&marked)["agent-10 #2"], 1);
        }
    }

    #[test]
    fn what_does_not_parse_is_a_fault_and_takes_no_anchor() {
        for (language, broken) in [
            (Language::Rust, "fn one( {\n"),
            (Language::Toml, "a = \n"),
            (Language::Json, "{\n  \"a\": 1,\n}\n"),
            (Language::Markdown, "<<<<<<< ours\n"),
        ] {
            assert!(language.fault(broken.as_bytes()).is_some());
            assert_eq!(language.plant(broken, &owners()), None);
        }
        assert!(Language::Hash.fault(&[0xFF]).is_some());
        assert_eq!(Language::Json.plant("{\n}\n", &owners()), None);
    }

    #[test]
    fn a_torn_page_is_noticed() {
        let old = page("count: 1", "agent-1 #1");
        let new = page("count: 2", "agent-2 #1");
        assert_eq!(open_page(&old), Some(("count: 1", "agent-1 #1")));
        assert_eq!(open_page(&format!("{}{}", &old[..90], &new[90..])), None);
        assert_eq!(open_page(&new[..200]), None);
        assert_eq!(open_page(""), None);
    }
}
