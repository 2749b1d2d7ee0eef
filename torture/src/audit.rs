//! What is there when all is over.
//!
//! Owns: looking at files, database, graph, documents and logs after the work, and
//! judging the histories. Promises: looks through processes that were started
//! after the last fault. Leaves to others: the judges (`maasl-sim`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use maasl_sim::history::judge::judge;
use maasl_sim::history::{merge, parse};
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::Failure;
use crate::agent::Agent;
use crate::ask::{FILES, NAMES};
use crate::journal::Journal;
use crate::world::{World, locked};

/// Steps that the search of one resource or file may take.
const BUDGET: u64 = 50_000_000;

/// Looks at everything and reports what must not be. How many operations were
/// judged.
pub(crate) fn audit(world: &World) -> Result<usize, Failure> {
    files(world)?;
    rows(world)?;
    nodes(world)?;
    documents(world);
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
    let path = world.ground.root().join("main.db");
    let database = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let sound: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    if sound != "ok" {
        world.report(format!("the database is damaged: {sound}"));
    }
    let mut select = database.prepare("SELECT name FROM t")?;
    let found = select
        .query_map([], |row| row.get(0))?
        .collect::<Result<Vec<String>, _>>()?;
    for breach in locked(&world.rows).judge("row", &found) {
        world.report(breach);
    }
    Ok(())
}

/// What two processes make of one journal is the same, and what it should be.
fn nodes(world: &World) -> Result<(), Failure> {
    let show = ["graph", "show", "--json", "--limit", "1000000"];
    let (first, second) = (command(world, &show), command(world, &show));
    if first != second {
        world.report("two processes show two graphs");
    }
    let shown: Value = serde_json::from_str(&first)
        .map_err(|error| Failure::Confused(format!("maasl graph show: {error}: {first}")))?;
    let nodes = shown["nodes"].as_array().cloned().unwrap_or_default();
    let names = nodes.iter().filter_map(|node| node["id"].as_str());
    let names = names.filter(|name| name.starts_with('a'));
    let found: Vec<String> = names.map(str::to_owned).collect();
    let breaches = locked(&world.nodes).judge("node", &found);
    // Nodes from before the state was lost may have come back with a copy.
    for breach in breaches
        .into_iter()
        .filter(|breach| !breach.ends_with("never asked for"))
    {
        world.report(breach);
    }
    Ok(())
}

/// A document's header names what it was made from.
fn documents(world: &World) {
    for path in FILES {
        let document = world.ground.root().join(format!("DOCS/REPODOCS/{path}.md"));
        let Ok(text) = fs::read_to_string(&document) else {
            continue;
        };
        let between = |before: &str, after: &str| {
            let (_, rest) = text.split_once(before)?;
            rest.split_once(after)
                .map(|(found, _)| found.trim().to_owned())
        };
        let header = between("<!-- SHA256: ", " -->");
        let body = between("made from ", "\n");
        if header.is_none() || header != body {
            world.report(format!(
                "the document of {path} is not what its header says: {text:?}"
            ));
        }
    }
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
