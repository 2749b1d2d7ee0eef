//! What agents ask for.
//!
//! Owns: the mix of calls over all tools, and the files, rows and nodes that they
//! are about. Promises: every content begins with [`TOP`] and ends with [`END`],
//! so that half of one is noticed; rows, nodes and descriptions have names that
//! nobody uses twice. Leaves to others: asking (`agent`).

use maasl_core::id::ContentHash;
use maasl_sim::rng::Stream;
use serde_json::{Value, json};

/// The first line of every content.
pub(crate) const TOP: &str = "# top";
/// The last line of every content.
pub(crate) const END: &str = "# end\n";

/// Files that are edited by everybody.
pub(crate) const FILES: [&str; 8] = [
    "src/f0.py",
    "src/f1.py",
    "src/f2.py",
    "src/f3.py",
    "src/sub/g0.py",
    "src/sub/g1.py",
    "src/sub/g2.py",
    "src/sub/g3.py",
];
/// Their documents, in the same order.
pub(crate) const DOCUMENTS: [&str; 8] = [
    "DOCS/REPODOCS/src/f0.py.md",
    "DOCS/REPODOCS/src/f1.py.md",
    "DOCS/REPODOCS/src/f2.py.md",
    "DOCS/REPODOCS/src/f3.py.md",
    "DOCS/REPODOCS/src/sub/g0.py.md",
    "DOCS/REPODOCS/src/sub/g1.py.md",
    "DOCS/REPODOCS/src/sub/g2.py.md",
    "DOCS/REPODOCS/src/sub/g3.py.md",
];
/// Names that come and go.
pub(crate) const NAMES: [&str; 4] = ["src/m0.py", "src/m1.py", "src/sub/m2.py", "src/sub/m3.py"];

/// Most lines that a content keeps of the one before.
const LINES_KEPT: usize = 24;

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) tool: &'static str,
    pub(crate) arguments: Value,
    /// What histories call it; nothing for a call that changes no file or lease.
    pub(crate) operation: Option<&'static str>,
    /// The files it names.
    pub(crate) paths: Vec<&'static str>,
    /// The row it adds.
    pub(crate) row: Option<String>,
    /// The node it adds.
    pub(crate) node: Option<String>,
    /// The edge it adds.
    pub(crate) edge: Option<String>,
    /// The piece of source it describes, and as what.
    pub(crate) span: Option<(String, String)>,
    /// What its one file holds if it takes effect, where that is known.
    pub(crate) leaves: Option<ContentHash>,
}

impl Ask {
    fn new(tool: &'static str, arguments: Value) -> Self {
        Self {
            tool,
            arguments,
            operation: None,
            paths: Vec::new(),
            row: None,
            node: None,
            edge: None,
            span: None,
            leaves: None,
        }
    }

    fn changing(mut self, operation: &'static str, paths: &[&'static str]) -> Self {
        self.operation = Some(operation);
        self.paths = paths.to_vec();
        self
    }

    /// Whether a copy of it under the same key may be sent.
    pub(crate) fn is_keyed(&self) -> bool {
        self.operation.is_some() || self.row.is_some() || self.node.is_some()
    }
}

/// Calls that need nothing but a draw. `name` is used for nothing else.
pub(crate) fn simple(draws: &mut Stream, name: &str) -> Ask {
    match draws.below(100) {
        0..34 => edit(one_of(draws, &FILES), name),
        34..46 => refactor(draws, name),
        46..52 => relocate(draws),
        52..56 => {
            let path = one_of(draws, &NAMES);
            Ask::new("delete_file", json!({ "path": path })).changing("delete", &[path])
        }
        56..68 => row(name),
        68..78 => node(draws, name),
        78..90 => transaction(draws, name),
        90..93 => enrich(draws, name),
        93..95 => Ask::new("rag_search", json!({ "query": "line" })),
        95..97 => Ask::new("graph_query", json!({ "depth": 1, "limit": 20 })),
        97 => Ask::new("llmc_locks", json!({})),
        98 => Ask::new("llmc_stomp_stats", json!({})),
        _ => Ask::new("docgen_check", json!({})),
    }
}

/// Adds a line to a file, whatever it holds.
pub(crate) fn edit(path: &'static str, name: &str) -> Ask {
    let mut arguments = edits(name);
    arguments["path"] = json!(path);
    Ask::new("edit_file", arguments).changing("edit", &[path])
}

/// Replaces a file of which `seen` is the content.
pub(crate) fn write(draws: &mut Stream, path: &'static str, seen: Option<&str>, name: &str) -> Ask {
    let may_merge = draws.permille(500);
    let on_stale = if may_merge { "merge" } else { "refuse" };
    let content = content(seen, name);
    let arguments = json!({ "path": path, "content": content, "on_stale": on_stale });
    let mut ask = Ask::new("write_file", arguments).changing("write", &[path]);
    ask.leaves = (!may_merge).then(|| ContentHash::of(content.as_bytes()));
    ask
}

/// Puts an old version of a file back.
pub(crate) fn restore(path: &'static str, version: u64) -> Ask {
    let arguments = json!({ "path": path, "version": version });
    Ask::new("file_restore", arguments).changing("restore", &[path])
}

/// The document of a source as it was when it had this hash.
pub(crate) fn document(path: &'static str, source_sha256: &str) -> Ask {
    let content = format!("made from {source_sha256}");
    let arguments = json!({ "path": path, "content": content, "source_sha256": source_sha256 });
    Ask::new("docgen_file", arguments).changing("docgen", &[document_of(path)])
}

/// Where the document of one of [`FILES`] lies.
fn document_of(source: &str) -> &'static str {
    let at = FILES.iter().position(|file| *file == source);
    DOCUMENTS[at.expect("only these files have documents")]
}

/// What ledgers call the edge from a node to another.
pub(crate) fn edge(source: &str, target: &str) -> String {
    format!("{source} -> {target}")
}

/// Where the edge leads that ledgers call so.
pub(crate) fn target_of(edge: &str) -> Option<&str> {
    edge.split_once(" -> ").map(|(_, target)| target)
}

/// A content that begins and ends as all do, with some lines of the one before.
pub(crate) fn content(seen: Option<&str>, name: &str) -> String {
    let before = seen.unwrap_or_default().lines();
    let kept = before.filter(|line| line.starts_with("line "));
    let kept: Vec<&str> = kept.take(LINES_KEPT).collect();
    format!("{TOP} {name}\n{}\n{END}", kept.join("\n"))
}

/// Whether this is the whole of a content.
pub(crate) fn is_whole(content: &str) -> bool {
    content.starts_with(TOP) && content.ends_with(END) && content.matches(TOP).count() == 1
}

fn edits(name: &str) -> Value {
    json!({ "edits": [{ "old_text": END, "new_text": format!("line {name}\n{END}") }] })
}

fn refactor(draws: &mut Stream, name: &str) -> Ask {
    let paths = some_of(draws);
    let arguments = json!({ "changes": changes(&paths, name) });
    Ask::new("refactor_file", arguments).changing("refactor", &paths)
}

fn relocate(draws: &mut Stream) -> Ask {
    let (source, destination) = (one_of(draws, &NAMES), one_of(draws, &NAMES));
    let arguments = json!({ "source": source, "destination": destination });
    Ask::new("move_file", arguments).changing("move", &[source, destination])
}

fn row(name: &str) -> Ask {
    let arguments = json!({ "db": "main", "statements": [statement(name)] });
    let mut ask = Ask::new("db_write", arguments);
    ask.row = Some(name.to_owned());
    ask
}

fn statement(name: &str) -> Value {
    json!({ "sql": "INSERT INTO t VALUES (?1)", "params": [name] })
}

fn node(draws: &mut Stream, name: &str) -> Ask {
    let shared = format!("hub{}", draws.below(4));
    let edge = edge(name, &shared);
    let arguments = json!({
        "nodes_to_add": [{ "id": name }, { "id": &shared }],
        "edges_to_add": [{ "source": name, "target": &shared, "type": "calls" }],
        "properties_to_set": { shared: { "last": name } },
    });
    let mut ask = Ask::new("graph_patch", arguments);
    (ask.node, ask.edge) = (Some(name.to_owned()), Some(edge));
    ask
}

/// Files, a row and a node, all or nothing.
fn transaction(draws: &mut Stream, name: &str) -> Ask {
    let paths = some_of(draws);
    let arguments = json!({
        "changes": changes(&paths, name),
        "database": { "db": "main", "statements": [statement(name)] },
        "graph": { "nodes_to_add": [{ "id": name }] },
    });
    let mut ask = Ask::new("transaction", arguments).changing("refactor", &paths);
    (ask.row, ask.node) = (Some(name.to_owned()), Some(name.to_owned()));
    ask
}

fn enrich(draws: &mut Stream, name: &str) -> Ask {
    let path = one_of(draws, &FILES);
    let span = json!({ "path": path, "start_line": 1, "end_line": 1, "summary": name });
    let mut ask = Ask::new("rag_enrich", json!({ "spans": [span] }));
    ask.operation = Some("db_write");
    ask.span = Some((format!("{path}:1-1"), name.to_owned()));
    ask
}

fn changes(paths: &[&str], name: &str) -> Value {
    let change = |path: &&str| {
        let mut change = edits(name);
        change["op"] = json!("edit");
        change["path"] = json!(path);
        change
    };
    paths.iter().map(change).collect()
}

/// Two or three different files.
fn some_of(draws: &mut Stream) -> Vec<&'static str> {
    let first = draws.below(FILES.len() as u64);
    let count = 2 + draws.below(2);
    let step = 1 + draws.below(2);
    let at = |n| usize::try_from((first + n * step) % FILES.len() as u64);
    (0..count)
        .map(|n| FILES[at(n).expect("it is below the length")])
        .collect()
}

/// One of them, each as likely as the others.
pub(crate) fn one_of<T: Copy>(draws: &mut Stream, all: &[T]) -> T {
    let at = draws.below(all.len() as u64);
    all[usize::try_from(at).expect("it is below the length")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_content_is_not_whole() {
        let whole = content(Some("# top x\nline a\n# end\n"), "b");
        assert_eq!(whole, "# top b\nline a\n# end\n");
        assert!(is_whole(&whole));
        assert!(!is_whole(&whole[..whole.len() - 3]));
        assert!(!is_whole(&format!("{whole}{whole}")));
    }

    #[test]
    fn the_files_of_a_set_differ() {
        let mut draws = Stream::of(1, &["test"]);
        for _ in 0..200 {
            let mut paths = some_of(&mut draws);
            let asked = paths.len();
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), asked);
        }
    }
}
