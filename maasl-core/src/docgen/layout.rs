//! Where the document of a source lies.
//!
//! Owns: both layouts of documents, and the names that other tools gave theirs.
//! Promises: two sources never share a place in one layout, and a place that
//! somebody else's source may claim is known as such. Leaves to others: which
//! sources exist (the node), and what is in a document (`header`, `gate`).
//!
//! The flat layout of other tools writes `/` as `_` and leaves `_` alone, so
//! `a/b` and `a_b` share a document there. Ours writes `_` as `~1` and `~` as
//! `~0`, which makes it reversible; for names without either it is the same.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::mutant::{Mutant, is_active};
use crate::path::{COMPONENT_BYTES_MAX, PATH_BYTES_MAX, fold};
use crate::policy::Named;
use crate::refusal::Refusal;

/// What every document's name ends in.
pub const SUFFIX: &str = ".md";

/// How documents are laid out below the document root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// As their sources: `a/b.py` has `a/b.py.md`.
    #[default]
    Tree,
    /// In one folder: `a/b.py` has `a_b.py.md`.
    Flat,
}

impl Named for Layout {
    const ALL: &'static [Self] = &[Self::Tree, Self::Flat];

    fn name(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Flat => "flat",
        }
    }
}

impl Layout {
    /// The place of the document of `source` below `root`; both are relative to
    /// the repository.
    #[must_use]
    pub fn place(self, root: &str, source: &str) -> String {
        match self {
            Self::Tree => [root, "/", source, SUFFIX].concat(),
            Self::Flat => [root, "/", &flat(source), SUFFIX].concat(),
        }
    }

    /// The place of the document of `source`, unless the source cannot have one.
    pub fn document(self, root: &str, source: &str) -> Result<String, Refusal> {
        if is_document(root, source) {
            return Err(Refusal::InvalidRequest {
                field: "path".into(),
                message: format!("{source} is a document itself"),
                hint: Some("name the source it was made from".into()),
            });
        }
        let place = self.place(root, source);
        let longest = place.split('/').map(str::len).max().unwrap_or(0);
        if longest > COMPONENT_BYTES_MAX || place.len() > PATH_BYTES_MAX {
            return Err(Refusal::InvalidRequest {
                field: "path".into(),
                message: format!("{source} has too long a name for a document of its own"),
                hint: Some("shorten it, or set `layout = \"tree\"` in [maasl.docgen]".into()),
            });
        }
        Ok(place)
    }

    /// Other places where a document of `source` may lie that another tool or
    /// another configuration has made, each once.
    #[must_use]
    pub fn elsewhere(self, root: &str, source: &str) -> Vec<Elsewhere> {
        let home = self.place(root, source);
        let shared = |name: String| Elsewhere {
            path: format!("{root}/{name}{SUFFIX}"),
            shared_as: Some(name),
        };
        let mut places = Vec::new();
        match self {
            Self::Tree => places.push(shared(flat(source))),
            // Only a name without folders may be that of a flat document too.
            Self::Flat => places.push(Elsewhere {
                path: Self::Tree.place(root, source),
                shared_as: (!source.contains('/')).then(|| source.into()),
            }),
        }
        places.push(shared(source.replace('/', "_")));
        let mut seen = Vec::from([home]);
        places.retain(|place| {
            let is_new = !seen.contains(&place.path);
            seen.push(place.path.clone());
            is_new
        });
        places
    }
}

/// A place where a document may lie besides its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The place, relative to the repository.
    pub path: String,
    /// The flat name under which other sources may claim the place as well. The
    /// document counts only if no other file [`may_be_named`] so.
    pub shared_as: Option<String>,
}

/// Whether a path lies below the document root, under any of its aliases.
#[must_use]
pub fn is_document(root: &str, path: &str) -> bool {
    let (root, path) = (fold(root), fold(path));
    path.strip_prefix(&*root)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether any tool may have given the flat document of `source` this name.
#[must_use]
pub fn may_be_named(source: &str, name: &str) -> bool {
    flat(source) == name || source.replace('/', "_") == name
}

/// A path as one name, reversibly.
fn flat(source: &str) -> String {
    let mut name = String::with_capacity(source.len() + 8);
    for character in source.chars() {
        match character {
            '/' => name.push('_'),
            '_' if !is_active(Mutant::DocgenFlatNamesCollide) => name.push_str("~1"),
            '~' => name.push_str("~0"),
            other => name.push(other),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "DOCS/REPODOCS";

    #[test]
    fn documents_lie_where_both_layouts_put_them() {
        let place = |layout: Layout, source| layout.place(ROOT, source);
        assert_eq!(
            place(Layout::Tree, "tools/rag/db.py"),
            "DOCS/REPODOCS/tools/rag/db.py.md"
        );
        assert_eq!(
            place(Layout::Flat, "tools/rag/db.py"),
            "DOCS/REPODOCS/tools_rag_db.py.md"
        );
        assert_eq!(place(Layout::Flat, "a_b~.py"), "DOCS/REPODOCS/a~1b~0.py.md");
    }

    #[test]
    fn sources_that_other_tools_confuse_have_places_of_their_own() {
        let twins = ["a/b", "a_b", "a~1b", "a.md", "a", "a/b.md"];
        for layout in Layout::ALL {
            let mut places: Vec<_> = twins.map(|source| layout.place(ROOT, source)).into();
            places.sort();
            places.dedup();
            assert_eq!(places.len(), twins.len(), "{layout:?}");
        }
    }

    #[test]
    fn other_places_are_named_once_and_are_never_the_own_one() {
        let paths = |layout: Layout, source| -> Vec<String> {
            let places = layout.elsewhere(ROOT, source);
            places.into_iter().map(|place| place.path).collect()
        };
        let [in_tree, in_flat, plain] =
            ["a/b_c.md", "a_b~1c.md", "a_b_c.md"].map(|name| format!("{ROOT}/{name}"));
        assert_eq!(paths(Layout::Tree, "a/b_c"), [in_flat, plain.clone()]);
        assert_eq!(paths(Layout::Flat, "a/b_c"), [in_tree, plain]);
        assert!(paths(Layout::Tree, "a").is_empty());
        assert!(paths(Layout::Flat, "a").is_empty());
    }

    #[test]
    fn a_document_is_known_under_every_spelling_of_its_root() {
        assert!(is_document(ROOT, "DOCS/REPODOCS/a.md"));
        assert!(is_document(ROOT, "docs/RepoDocs/a.md"));
        assert!(!is_document(ROOT, "DOCS/REPODOCS2/a.md"));
        assert!(!is_document(ROOT, "DOCS/a.md"));
        let refused = Layout::Tree.document(ROOT, "DOCS/REPODOCS/a.md");
        assert_eq!(refused.expect_err("a document").code(), "invalid_request");
    }

    #[test]
    fn a_name_that_no_file_can_have_is_refused() {
        let long = "d/".repeat(200);
        let source = format!("{long}f");
        assert!(Layout::Tree.document(ROOT, &source).is_ok());
        assert!(Layout::Flat.document(ROOT, &source).is_err());
        assert!(Layout::Tree.document(ROOT, &"f".repeat(253)).is_err());
    }
}
