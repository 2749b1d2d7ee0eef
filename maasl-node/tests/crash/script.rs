//! What the program is asked to do, and what everybody may find after each step.
//!
//! Owns: the scripts. Promises: of each step, the whole of what it changes is
//! written down by hand, and differs from what was there before. Leaves to others:
//! doing it (`child`), judging what is left of it (`judge`).

use std::collections::BTreeMap;
use std::path::Path;

use maasl_core::coordinator::database::DatabaseWrite;
use maasl_core::coordinator::graph::GraphPatch;
use maasl_core::coordinator::io::{DocumentWanted, FileOp, OnStale, Request};
use maasl_core::coordinator::transaction::TransactionWanted;
use maasl_core::database::{Parameters, Statement, Work};
use maasl_core::graph::changes::{Changes, Node};
use maasl_core::id::ContentHash;
use maasl_core::text::edit::Edit;

/// A script.
pub(crate) struct Script {
    pub(crate) name: &'static str,
    pub(crate) configuration: &'static str,
    /// Files that lie there before.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// Whether the power may go while the program starts, too.
    pub(crate) from_start: bool,
    /// What is done before the recording.
    pub(crate) before: Vec<Request>,
    /// What is recorded.
    pub(crate) steps: Vec<Request>,
    /// What there is before the first step and after each.
    pub(crate) worlds: Vec<World>,
}

/// What everybody finds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct World {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) rows: Vec<String>,
    pub(crate) nodes: Vec<String>,
}

impl Script {
    /// Puts what lies there before into an empty folder.
    pub(crate) fn lay(&self, root: &Path) {
        std::fs::write(root.join("maasl.toml"), self.configuration).unwrap();
        for (path, content) in self.files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }
}

/// The script of this name.
pub(crate) fn named(name: &str) -> Script {
    let script = match name {
        "first" => first(),
        "write" => writes(),
        "edit" => edits(),
        "move" => moves(),
        "set" => set(),
        "transaction" => transaction(),
        "restore" => restore(),
        "document" => document(),
        "history" => history(),
        other => panic!("no such script: {other}"),
    };
    assert_eq!(script.name, name);
    assert_eq!(script.worlds.len(), script.steps.len() + 1, "{name}");
    script
}

/// The very first change of a repository, from before there is anything of ours.
fn first() -> Script {
    Script {
        name: "first",
        configuration: "",
        files: &[("a", "a 0\n")],
        from_start: true,
        before: Vec::new(),
        steps: vec![write("a", Some("a 0\n"), "a 1\n")],
        worlds: vec![files(&[("a", "a 0\n")]), files(&[("a", "a 1\n")])],
    }
}

/// New files, one of them in new folders, and one that is replaced twice.
fn writes() -> Script {
    let at = |a: &str, more: &[(&str, &str)]| files(&[&[("a", a)], more].concat());
    let (new, deep) = (("new", "new 1\n"), ("d/e/deep", "deep 1\n"));
    Script {
        name: "write",
        configuration: "",
        files: &[("a", "a 0\n")],
        from_start: false,
        before: Vec::new(),
        steps: vec![
            write("new", None, "new 1\n"),
            write("a", Some("a 0\n"), "a 1\n"),
            write("a", Some("a 1\n"), "a 2\n"),
            write("d/e/deep", None, "deep 1\n"),
        ],
        worlds: vec![
            at("a 0\n", &[]),
            at("a 0\n", &[new]),
            at("a 1\n", &[new]),
            at("a 2\n", &[new]),
            at("a 2\n", &[new, deep]),
        ],
    }
}

fn edits() -> Script {
    Script {
        name: "edit",
        configuration: "",
        files: &[("a", "one two\n"), ("b", "b 0\n")],
        from_start: false,
        before: Vec::new(),
        steps: vec![
            Request::Change(vec![FileOp::Edit {
                path: "a".into(),
                edits: vec![Edit {
                    old_text: "two".into(),
                    new_text: "three".into(),
                    expected_replacements: 1,
                }],
                base: Some(hash("one two\n")),
            }]),
            Request::Change(vec![delete("b", "b 0\n")]),
        ],
        worlds: vec![
            files(&[("a", "one two\n"), ("b", "b 0\n")]),
            files(&[("a", "one three\n"), ("b", "b 0\n")]),
            files(&[("a", "one three\n")]),
        ],
    }
}

/// To another name in another folder, and back over a name that was free before.
fn moves() -> Script {
    Script {
        name: "move",
        configuration: "",
        files: &[("a", "a 0\n"), ("d/b", "b 0\n")],
        from_start: false,
        before: Vec::new(),
        steps: vec![
            Request::Change(vec![shift("a", "d/e/a", "a 0\n")]),
            Request::Change(vec![shift("d/b", "a", "b 0\n")]),
        ],
        worlds: vec![
            files(&[("a", "a 0\n"), ("d/b", "b 0\n")]),
            files(&[("d/e/a", "a 0\n"), ("d/b", "b 0\n")]),
            files(&[("d/e/a", "a 0\n"), ("a", "b 0\n")]),
        ],
    }
}

/// Files that are replaced, removed, moved and made, all or none.
fn set() -> Script {
    Script {
        name: "set",
        configuration: "",
        files: &[("a", "a 0\n"), ("b", "b 0\n"), ("d/c", "c 0\n")],
        from_start: false,
        before: Vec::new(),
        steps: vec![Request::Change(vec![
            put("a", Some("a 0\n"), "a 1\n"),
            delete("b", "b 0\n"),
            shift("d/c", "e/c", "c 0\n"),
            put("d/new", None, "new 1\n"),
        ])],
        worlds: vec![
            files(&[("a", "a 0\n"), ("b", "b 0\n"), ("d/c", "c 0\n")]),
            files(&[("a", "a 1\n"), ("e/c", "c 0\n"), ("d/new", "new 1\n")]),
        ],
    }
}

/// Two files, a row, a document and a patch of a graph, all or none; then a row by
/// itself, and a patch by itself.
fn transaction() -> Script {
    let changed = [("a.py", "a 1\n"), ("d/new", "new 1\n")];
    let page = format!("{}\nIt says a.\n", header("a 1\n"));
    let document = [("DOCS/REPODOCS/a.py.md", page.as_str())];
    let changed = files(&[&changed[..], &document[..]].concat());
    Script {
        name: "transaction",
        configuration: "[maasl.db.main]\npath = \"rows/main.db\"\n",
        files: &[("a.py", "a 0\n")],
        from_start: false,
        before: vec![statement("CREATE TABLE t (who TEXT)")],
        steps: vec![
            Request::Transact(TransactionWanted {
                files: vec![
                    put("a.py", Some("a 0\n"), "a 1\n"),
                    put("d/new", None, "new 1\n"),
                ],
                database: Some(rows("INSERT INTO t VALUES ('first')")),
                documents: vec![wanted(None)],
                graph: Some(node("first")),
            }),
            statement("INSERT INTO t VALUES ('second')"),
            Request::Patch(node("second")),
        ],
        worlds: vec![
            files(&[("a.py", "a 0\n")]),
            beyond(&changed, &["first"], &["first"]),
            beyond(&changed, &["first", "second"], &["first"]),
            beyond(&changed, &["first", "second"], &["first", "second"]),
        ],
    }
}

fn restore() -> Script {
    Script {
        name: "restore",
        configuration: "",
        files: &[("a", "a 0\n")],
        from_start: false,
        before: vec![
            write("a", Some("a 0\n"), "a 1\n"),
            write("a", Some("a 1\n"), "a 2\n"),
        ],
        steps: vec![Request::Change(vec![FileOp::Restore {
            path: "a".into(),
            version: 1,
            base: Some(hash("a 2\n")),
        }])],
        worlds: vec![files(&[("a", "a 2\n")]), files(&[("a", "a 0\n")])],
    }
}

/// A document is made, and made again when its source has changed.
fn document() -> Script {
    let page = |source: &str| format!("{}\nIt says a.\n", header(source));
    let (one, two) = (page("a 0\n"), page("a 1\n"));
    let path = "DOCS/REPODOCS/a.py.md";
    Script {
        name: "document",
        configuration: "",
        files: &[("a.py", "a 0\n")],
        from_start: false,
        before: Vec::new(),
        steps: vec![
            Request::Document(wanted(Some(hash("a 0\n")))),
            write("a.py", Some("a 0\n"), "a 1\n"),
            Request::Document(wanted(Some(hash("a 1\n")))),
        ],
        worlds: vec![
            files(&[("a.py", "a 0\n")]),
            files(&[("a.py", "a 0\n"), (path, &one)]),
            files(&[("a.py", "a 1\n"), (path, &one)]),
            files(&[("a.py", "a 1\n"), (path, &two)]),
        ],
    }
}

/// More was displaced than may be kept: starting drops the oldest.
fn history() -> Script {
    let [one, two, three] = ["1", "2", "3"].map(|digit| digit.repeat(600_000));
    Script {
        name: "history",
        configuration: "[maasl.history]\nmax_mib = 1\n",
        files: &[("a", "a 0\n")],
        from_start: true,
        before: vec![
            write("a", Some("a 0\n"), &one),
            write("a", Some(&one), &two),
            write("a", Some(&two), &three),
        ],
        steps: vec![write("a", Some(&three), "a 4\n")],
        worlds: vec![files(&[("a", &three)]), files(&[("a", "a 4\n")])],
    }
}

fn hash(content: &str) -> ContentHash {
    ContentHash::of(content.as_bytes())
}

fn header(source: &str) -> String {
    format!("<!-- SHA256: {} -->\n", hash(source))
}

pub(crate) fn write(path: &str, old: Option<&str>, new: &str) -> Request {
    Request::Change(vec![put(path, old, new)])
}

fn put(path: &str, old: Option<&str>, new: &str) -> FileOp {
    FileOp::Write {
        path: path.into(),
        content: new.into(),
        base: old.map(hash),
        on_stale: OnStale::Refuse,
    }
}

fn delete(path: &str, old: &str) -> FileOp {
    FileOp::Delete {
        path: path.into(),
        base: Some(hash(old)),
    }
}

fn shift(source: &str, destination: &str, old: &str) -> FileOp {
    FileOp::Move {
        source: source.into(),
        destination: destination.into(),
        base: Some(hash(old)),
    }
}

fn wanted(made_from: Option<ContentHash>) -> DocumentWanted {
    DocumentWanted {
        path: "a.py".into(),
        content: Some(b"It says a.".to_vec()),
        made_from,
        replaces: None,
    }
}

fn rows(sql: &str) -> DatabaseWrite {
    DatabaseWrite {
        db: "main".into(),
        work: Work::Statements(vec![Statement {
            sql: sql.into(),
            parameters: Parameters::Positional(Vec::new()),
        }]),
    }
}

fn statement(sql: &str) -> Request {
    Request::Database(rows(sql))
}

fn node(id: &str) -> GraphPatch {
    GraphPatch {
        graph: "main".into(),
        changes: Changes {
            nodes_to_add: vec![Node {
                id: id.into(),
                properties: BTreeMap::new(),
            }],
            ..Changes::default()
        },
        seen: None,
    }
}

fn files(files: &[(&str, &str)]) -> World {
    let files = files.iter();
    let files = files.map(|(path, content)| ((*path).to_owned(), (*content).to_owned()));
    World {
        files: files.collect(),
        ..World::default()
    }
}

fn beyond(world: &World, rows: &[&str], nodes: &[&str]) -> World {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    World {
        files: world.files.clone(),
        rows: owned(rows),
        nodes: owned(nodes),
    }
}
