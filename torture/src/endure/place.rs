//! A root that servers work on.
//!
//! Owns: its configuration, its first files, rows and nodes. Promises: two places
//! made alike hold the same; what is worked on is bounded, so that whatever grows
//! is the guard's own. Leaves to others: the work (`load`, `probe`).

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use maasl_client::{Launch, Server};
use serde_json::{Value, json};

use crate::Failure;
use crate::world::PATIENCE;

/// How many files are worked on.
pub(super) const FILES: u64 = 48;
/// How many names come and go beside them.
pub(super) const NAMES: u64 = 4;
/// How many lines of each file change.
pub(super) const SLOTS: u64 = 24;
/// How many rows the database has.
pub(super) const ROWS: u64 = 400;
/// How many lines of each file are described.
pub(super) const DESCRIBED: u64 = 4;
/// How many nodes the graph has.
pub(super) const NODES: u64 = 40;

/// The limits that a place is given: small, so that a run comes to them.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Limits {
    /// Versions of one file that are listed
    #[arg(long, default_value_t = 100)]
    pub(super) max_versions: u64,
    /// MiB of kept contents
    #[arg(long, default_value_t = 16)]
    pub(super) max_mib: u64,
    /// For how long answers are remembered, in hours, down to 0.01
    #[arg(long, default_value = "0.02")]
    pub(super) window_hours: f64,
    /// What acknowledged changes survive: `power` or `process`
    #[arg(long, default_value = "power")]
    pub(super) durability: String,
}

/// A root.
#[derive(Debug)]
pub(super) struct Place {
    program: PathBuf,
    root: PathBuf,
    logs: PathBuf,
}

impl Place {
    /// Makes the place under `base`, with its files, rows and nodes.
    pub(super) fn make(base: &Path, program: &Path, limits: &Limits) -> Result<Self, Failure> {
        let place = Self {
            program: program.to_owned(),
            root: base.join("root"),
            logs: base.join("logs"),
        };
        for folder in [&place.root, &place.logs] {
            fs::create_dir_all(folder).map_err(Failure::at(folder))?;
        }
        place.put("maasl.toml", &configuration(limits))?;
        fs::create_dir_all(place.root.join("data")).map_err(Failure::at(&place.root))?;
        for file in 0..FILES {
            place.put(&path_of(file), &first_content(file))?;
        }
        let mut server = place.start("furnisher")?;
        furnish(&mut server)?;
        close(server)?;
        Ok(place)
    }

    /// Where it is.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// What the servers have said on standard error.
    pub(super) fn logs(&self) -> &Path {
        &self.logs
    }

    /// A server for this agent.
    pub(super) fn start(&self, agent: &str) -> Result<Server, Failure> {
        let log = self.logs.join(format!("{agent}.log"));
        let file = File::options().create(true).append(true).open(&log);
        let launch =
            Launch::new(&self.program, &self.root, agent).log(file.map_err(Failure::at(&log))?);
        let started = Server::start(launch, PATIENCE).map_err(Failure::at(&self.program))?;
        started.map_err(|gone| Failure::Confused(format!("{agent} does not start: {gone}")))
    }

    /// Removes it.
    pub(super) fn remove(self) {
        let _ = fs::remove_dir_all(&self.root);
        let _ = fs::remove_dir_all(&self.logs);
    }

    fn put(&self, path: &str, content: &str) -> Result<(), Failure> {
        let file = self.root.join(path);
        let folder = file.parent().expect("it is in the root");
        fs::create_dir_all(folder).map_err(Failure::at(folder))?;
        fs::write(&file, content).map_err(Failure::at(&file))
    }
}

/// The path of a file that is worked on.
pub(super) fn path_of(file: u64) -> String {
    format!("src/d{}/f{file:02}.py", file % 8)
}

/// The path of a name that comes and goes.
pub(super) fn name_of(name: u64) -> String {
    format!("src/passing/n{name}.py")
}

/// The beginning of a line that changes.
fn slot_of(slot: u64) -> String {
    format!("slot_{slot:02} = ")
}

/// An edit that gives this slot of a content a new value.
pub(super) fn edit_of(content: &str, slot: u64, value: &str) -> Value {
    let slot = slot_of(slot);
    let line = content.lines().find(|line| line.starts_with(&slot));
    let old = line.unwrap_or(&slot);
    json!({ "old_text": old, "new_text": format!("{slot}\"{value}\"") })
}

/// Ends a server, which must end well.
pub(super) fn close(server: Server) -> Result<(), Failure> {
    let status = server.close().map_err(Failure::at(Path::new("a server")))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::Confused(format!("a server ended with {status}")))
    }
}

/// Calls a tool that must not refuse.
pub(super) fn must(server: &mut Server, tool: &str, arguments: &Value) -> Result<Value, Failure> {
    let answer = server.call(tool, arguments, PATIENCE);
    let answer = answer.map_err(|gone| Failure::Confused(format!("{tool}: {gone}")))?;
    if answer["ok"] == true {
        Ok(answer)
    } else {
        Err(Failure::Confused(format!("{tool}: {answer}")))
    }
}

fn configuration(limits: &Limits) -> String {
    let Limits {
        max_versions,
        max_mib,
        window_hours,
        durability,
    } = limits;
    format!(
        "[maasl]\nidempotency_window_hours = {window_hours}\ndurability = \"{durability}\"\n\
         [maasl.history]\nmax_mib = {max_mib}\nmax_versions = {max_versions}\n\
         [maasl.db.main]\npath = \"data/main.db\"\n"
    )
}

fn first_content(file: u64) -> String {
    let slot = |slot| {
        format!(
            "{}\"furnisher was here for the {file:08}th time\"\n",
            slot_of(slot)
        )
    };
    let slots = (0..SLOTS).map(slot);
    format!("# file {file}\n{}", slots.collect::<String>())
}

fn furnish(server: &mut Server) -> Result<(), Failure> {
    let table = "CREATE TABLE t (id INTEGER PRIMARY KEY, value TEXT)";
    let fill = format!(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n \
         WHERE i + 1 < {ROWS}) SELECT i, 'nobody has been here' FROM n"
    );
    let statements = json!([{ "sql": table }, { "sql": fill }]);
    must(
        server,
        "db_write",
        &json!({ "db": "main", "statements": statements }),
    )?;
    let nodes = (0..NODES).map(|node| json!({ "id": format!("n{node}"), "value": 0 }));
    must(
        server,
        "graph_patch",
        &json!({ "nodes_to_add": nodes.collect::<Value>() }),
    )?;
    for file in 0..FILES {
        let span = |line| {
            let summary = format!("furnisher was here for the {line:08}th time");
            json!({ "path": path_of(file), "start_line": line, "end_line": line,
                    "summary": summary })
        };
        let spans: Value = (1..=DESCRIBED).map(span).collect();
        must(server, "rag_enrich", &json!({ "spans": spans }))?;
        document(server, &path_of(file))?;
    }
    Ok(())
}

fn document(server: &mut Server, path: &str) -> Result<(), Failure> {
    let asked = must(server, "docgen_file", &json!({ "path": path }))?;
    let arguments = json!({
        "path": path, "content": "# A file\n", "source_sha256": asked["sha256"],
    });
    must(server, "docgen_file", &arguments).map(drop)
}
