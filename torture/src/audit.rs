//! What is there when all is over.
//!
//! Owns: looking at files, databases, graph, documents and logs after the work, and
//! judging the histories. Promises: looks through processes that were started
//! after the last fault. Leaves to others: the judges (`maasl-sim`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use maasl_core::id::ContentHash;
use maasl_sim::history::judge::judge;
use maasl_sim::history::{Changed, Event, merge, parse};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::Failure;
use crate::agent::Agent;
use crate::ask::{self, DOCUMENTS, FILES, NAMES};
use crate::journal::{Journal, now_ns};
use crate::ledger::{Fate, Graph};
use crate::world::{World, locked};

/// Steps that the search of one resource or file may take.
const BUDGET: u64 = 50_000_000;

/// Where descriptions of source are, if any were stored.
const RETRIEVAL: &str = ".llmc/index_v2.db";

/// Looks at everything and reports what must not be. How many operations were
/// judged.
pub(crate) fn audit(world: &World) -> Result<usize, Failure> {
    files(world)?;
    rows(world)?;
    spans(world)?;
    graph(world)?;
    documents(world)?;
    command(world, &["doctor"]);
    logs(world)?;
    histories(world)
}

/// Every file is replaced once more, which binds what it holds into the history.
fn files(world: &World) -> Result<(), Failure> {
    let journal = Journal::create(&world.ground.history(), "last")?;
    let mut last = Agent::new(world, "last", 0, journal);
    for path in FILES.iter().chain(&NAMES) {
        last.seal(path);
    }
    last.leave();
    Ok(())
}

fn rows(world: &World) -> Result<(), Failure> {
    let database = database(world, "main.db")?;
    let mut select = database.prepare("SELECT name FROM t")?;
    let found = select
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    for breach in locked(&world.rows).judge("row", &found) {
        world.report(breach);
    }
    Ok(())
}

/// A database of the root, which must be sound.
fn database(world: &World, name: &str) -> Result<Connection, Failure> {
    let path = world.ground.root().join(name);
    let database = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        world.report(format!("the database {name} is damaged: {sound}"));
    }
    Ok(database)
}

/// What pieces of source were described as last.
fn spans(world: &World) -> Result<(), Failure> {
    let mut found = BTreeMap::new();
    if world.ground.root().join(RETRIEVAL).exists() {
        let database = database(world, RETRIEVAL)?;
        let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'maasl_span'";
        let tables: i64 = database.query_row(table, [], |row| row.get(0))?;
        if tables > 0 {
            let place = "path || ':' || start_line || '-' || end_line";
            let mut select =
                database.prepare(&format!("SELECT {place}, summary FROM maasl_span"))?;
            let each = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            found = each.collect::<Result<BTreeMap<String, String>, _>>()?;
        }
    }
    for breach in locked(&world.spans).judge("span", &found) {
        world.report(breach);
    }
    Ok(())
}

/// What two processes make of one journal is the same, and what it should be.
fn graph(world: &World) -> Result<(), Failure> {
    let show = ["graph", "show", "--json", "--limit", "1000000"];
    let (first, second) = (command(world, &show), command(world, &show));
    if first != second {
        world.report("two processes show two graphs");
    }
    let shown: Value = serde_json::from_str(&first)
        .map_err(|error| Failure::Confused(format!("maasl graph show: {error}: {first}")))?;
    let told = locked(&world.graph).clone();
    let names = listed(&shown, "nodes").filter_map(|node| node["id"].as_str());
    let names = names.filter(|name| name.starts_with('a'));
    let nodes: Vec<String> = names.map(str::to_owned).collect();
    let edges: Vec<String> = listed(&shown, "edges").filter_map(edge).collect();
    let mut breaches = told.nodes.judge("node", &nodes);
    breaches.extend(told.edges.judge("edge", &edges));
    breaches.extend(properties(&told, &shown));
    // What is from before the state was lost may have come back with a copy.
    for breach in breaches
        .into_iter()
        .filter(|breach| !breach.ends_with("never asked for"))
    {
        world.report(breach);
    }
    Ok(())
}

fn listed<'a>(shown: &'a Value, what: &str) -> impl Iterator<Item = &'a Value> {
    shown[what].as_array().into_iter().flatten()
}

fn edge(shown: &Value) -> Option<String> {
    let (source, target) = (shown["source"].as_str()?, shown["target"].as_str()?);
    Some(ask::edge(source, target))
}

/// Each patch with an edge to a node sets a property of it. Which of them shows
/// where several did, graphs decide by more than is known here; but one does.
fn properties(told: &Graph, shown: &Value) -> Vec<String> {
    let set: BTreeSet<&str> = told
        .edges
        .acknowledged()
        .filter_map(ask::target_of)
        .collect();
    let breaches = set.into_iter().filter_map(|id| {
        let mut nodes = listed(shown, "nodes");
        let last = nodes
            .find(|node| node["id"] == id)
            .and_then(|node| node["last"].as_str());
        match last {
            None => Some(format!("{id} was given a property and has none")),
            Some(last) if told.nodes.fate(last) == Some(Fate::Refused) => {
                Some(format!("{id} has what {last} set, which was refused"))
            }
            Some(_) => None,
        }
    });
    breaches.collect()
}

/// Every document is looked at, which binds what it holds into the history, and its
/// header names what it was made from.
fn documents(world: &World) -> Result<(), Failure> {
    let mut journal = Journal::create(&world.ground.history(), "documents")?;
    for path in DOCUMENTS {
        let since_ns = now_ns();
        let bytes = fs::read(world.ground.root().join(path)).ok();
        look(&mut journal, path, since_ns, bytes.as_deref());
        let Some(bytes) = bytes else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        let between = |before: &str, after: &str| {
            let (_, rest) = text.split_once(before)?;
            rest.split_once(after)
                .map(|(found, _)| found.trim().to_owned())
        };
        let header = between("<!-- SHA256: ", " -->");
        let body = between("made from ", "\n");
        if header.is_none() || header != body {
            world.report(format!(
                "the document {path} is not what its header says: {text:?}"
            ));
        }
    }
    journal.finish();
    Ok(())
}

/// Writes down what a file holds, as a change of it into itself: what was
/// acknowledged last has to be there.
fn look(journal: &mut Journal, path: &str, since_ns: u64, bytes: Option<&[u8]>) {
    let holds = bytes.map(ContentHash::of);
    let (agent, request) = ("documents".to_owned(), path.to_owned());
    let invoke = Event::Invoke {
        agent: agent.clone(),
        request: request.clone(),
        operation: "docgen".to_owned(),
        key: None,
        paths: Vec::new(),
    };
    journal.note(since_ns, invoke);
    let change = Changed {
        path: path.to_owned(),
        base: holds,
        new: holds,
    };
    let found = Event::Ok {
        agent,
        request,
        token: None,
        lease: None,
        changes: vec![change],
    };
    journal.note(now_ns(), found);
}

/// A command that must succeed now; what it printed.
fn command(world: &World, arguments: &[&str]) -> String {
    let mut command = Command::new(&world.programs[0]);
    command
        .arg("--root")
        .arg(world.ground.root())
        .args(arguments);
    match command.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).into_owned()
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let arguments = arguments.join(" ");
            world.report(format!(
                "maasl {arguments}: {}: {printed}{said}",
                output.status
            ));
            String::new()
        }
        Err(error) => {
            world.report(format!("maasl {}: {error}", arguments.join(" ")));
            String::new()
        }
    }
}

fn logs(world: &World) -> Result<(), Failure> {
    for path in folder(&world.ground.logs())? {
        let log = fs::read(&path).map_err(Failure::at(&path))?;
        let log = String::from_utf8_lossy(&log);
        let mut lines = log.lines();
        if let Some(line) = lines.find(|line| line.contains("panicked at")) {
            world.report(format!("{}: {line}", path.display()));
        }
    }
    Ok(())
}

fn histories(world: &World) -> Result<usize, Failure> {
    let mut histories = Vec::new();
    for path in folder(&world.ground.history())? {
        let text = fs::read_to_string(&path).map_err(Failure::at(&path))?;
        let named = |error| Failure::Confused(format!("{}: {error}", path.display()));
        histories.push(parse(&text).map_err(named)?);
    }
    let judged = judge(&merge(histories), BUDGET);
    for breach in judged.breaches {
        world.report(breach.to_string());
    }
    for undecided in judged.undecided {
        world.report(format!("undecided: {undecided}"));
    }
    Ok(judged.operations)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(path).map_err(Failure::at(path))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(Failure::at(path))
}
