//! Real servers in a root of their own.
//!
//! Owns: the root, its configuration and first files, a server for each process of
//! a plan, and asking them. Promises: nothing outside the root is touched, and at
//! the end neither it nor a server is left. Leaves to others: what is asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use maasl_client::{Launch, Server};
use maasl_core::config::Config;
use maasl_core::policy::Named as _;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::ConformError;
use super::ask::Ask;
use crate::plan::Plan;

/// How a row is added; a world knows rows by their text alone.
pub(super) const ADD_ROW: &str = "INSERT INTO conform (row) VALUES (?1)";

/// How long an answer may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes what the generator of a world writes, from what a generator is told.
const GENERATOR: &str = r#"hash=$(sed -n 's/.*"file_sha256":"\([0-9a-f]*\)".*/\1/p')
printf 'of %s\nfrom %s\nby the generator\n' "$MAASL_DOCGEN_SOURCE" "$hash""#;

/// What stands in the root beside the files of a plan.
const NOT_FILES: [&str; 3] = [".maasl", ".llmc", "maasl.toml"];

/// The servers and what they guard.
pub(super) struct Real {
    program: PathBuf,
    // Servers end before their root goes.
    servers: BTreeMap<String, Server>,
    databases: BTreeMap<String, PathBuf>,
    folder: TempDir,
}

impl Real {
    /// The root as the plan has it at the start; no server runs yet.
    pub(super) fn new(plan: &Plan, program: &Path) -> Result<Self, ConformError> {
        let config = plan.config();
        let folder = tempfile::Builder::new()
            .prefix("maasl-conform-")
            .tempdir()?;
        let real = Self {
            program: program.canonicalize()?,
            servers: BTreeMap::new(),
            databases: config
                .databases
                .iter()
                .map(|(name, path)| (name.clone(), folder.path().join("root").join(path)))
                .collect(),
            folder,
        };
        fs::create_dir_all(real.root())?;
        fs::write(real.root().join("maasl.toml"), settings(&config))?;
        for file in &plan.files {
            real.put(&file.path, Some(file.content.as_bytes()))?;
        }
        for path in real.databases.values() {
            make_folder_of(path)?;
            let made = Connection::open(path)
                .and_then(|database| database.execute_batch("CREATE TABLE conform (row TEXT)"));
            made.map_err(|error| ConformError::Real(format!("{}: {error}", path.display())))?;
        }
        Ok(real)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Starts the server of a process.
    pub(super) fn start(&mut self, process: &str) -> Result<(), ConformError> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())?;
        let launch = Launch::new(&self.program, &self.root(), process).log(log);
        let server = Server::start(launch, PATIENCE)?;
        let server = server.map_err(|gone| self.failed(process, &gone))?;
        self.servers.insert(process.to_owned(), server);
        Ok(())
    }

    /// Kills the server of a process.
    pub(super) fn kill(&mut self, process: &str) {
        // A server that is dropped is killed and waited for.
        self.servers.remove(process);
    }

    /// Saves a file as somebody who knows nothing of servers, or removes it.
    pub(super) fn put(&self, path: &str, content: Option<&[u8]>) -> io::Result<()> {
        let path = self.root().join(path);
        match content {
            Some(content) => {
                make_folder_of(&path)?;
                fs::write(path, content)
            }
            None => fs::remove_file(path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(error),
            }),
        }
    }

    /// The answer to what is asked.
    pub(super) fn ask(&mut self, process: &str, ask: &Ask) -> Result<Value, ConformError> {
        match ask {
            Ask::Command(words) => self.command(words),
            Ask::Tool { tool, arguments } => {
                let server = self.servers.get_mut(process);
                let server = server.expect("a process that answers was started");
                let answer = server.call(tool, arguments, PATIENCE);
                answer.map_err(|gone| self.failed(process, &gone))
            }
        }
    }

    /// Runs a command; those whom it took something from are in its answer.
    fn command(&self, words: &[String]) -> Result<Value, ConformError> {
        let mut command = Command::new(&self.program);
        let output = command
            .args(words)
            .arg("--root")
            .arg(self.root())
            .output()?;
        if !output.status.success() {
            let complaint = String::from_utf8_lossy(&output.stderr);
            return Err(ConformError::Real(format!(
                "maasl {}: {complaint}",
                words.join(" ")
            )));
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let from = said
            .lines()
            .filter_map(|line| line.strip_prefix("revoked from "));
        let revoked: Vec<&str> = from.collect();
        Ok(json!({ "ok": true, "revoked": revoked }))
    }

    fn failed(&self, process: &str, why: &dyn std::fmt::Display) -> ConformError {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let from = log.lines().count().saturating_sub(10);
        let tail: Vec<&str> = log.lines().skip(from).collect();
        ConformError::Real(format!("{process}: {why}\n{}", tail.join("\n")))
    }

    /// The files that stand there.
    pub(super) fn files(&self) -> io::Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        collect(&self.root(), "", &mut files)?;
        Ok(files)
    }

    /// The rows of the databases that are named, in the order of their addition.
    pub(super) fn rows<V>(
        &self,
        named: &BTreeMap<String, V>,
    ) -> Result<BTreeMap<String, Vec<String>>, ConformError> {
        let databases = self.databases.iter();
        let rows = databases.map(|(name, path)| Ok((name.clone(), rows_of(path)?)));
        let rows: Result<BTreeMap<_, Vec<String>>, rusqlite::Error> = rows.collect();
        let mut rows = rows.map_err(|error| ConformError::Real(error.to_string()))?;
        // One that a world never wrote has no rows there either.
        rows.retain(|name, rows| named.contains_key(name) || !rows.is_empty());
        Ok(rows)
    }
}

/// The configuration as the file of the program has it.
fn settings(config: &Config) -> String {
    let layout = config.docgen.layout.name();
    let mut text = format!("[maasl.docgen]\nlayout = \"{layout}\"\n");
    if !config.docgen.command.is_empty() {
        let command = toml::Value::from(vec!["sh", "-c", GENERATOR]);
        let _ = writeln!(text, "command = {command}");
    }
    for policy in config.policies.iter() {
        let shipped = Config::default();
        let shipped = shipped.policies.get(&policy.class).cloned();
        if shipped.is_none_or(|shipped| shipped == *policy) {
            continue;
        }
        let (name, ttl_ms) = (&policy.class, policy.lease_ttl_ms);
        let _ = write!(
            text,
            "[maasl.resource.{name}]\nlease_ttl_sec = {}\nlock_delay_ms = {}\n\
             interactive_max_wait_ms = {}\nbatch_max_wait_ms = {}\n",
            ttl_ms / 1_000,
            policy.lock_delay_ms,
            policy.interactive_max_wait_ms,
            policy.batch_max_wait_ms
        );
    }
    text
}

fn rows_of(path: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let database = Connection::open(path)?;
    let mut rows = database.prepare("SELECT row FROM conform ORDER BY rowid")?;
    let rows = rows.query_map([], |row| row.get(0))?;
    rows.collect()
}

fn make_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn collect(folder: &Path, below: &str, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_ours = below.is_empty() && NOT_FILES.contains(&name.as_str());
        if is_ours {
            continue;
        }
        let path = format!("{below}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else {
            files.insert(path, fs::read(entry.path())?);
        }
    }
    Ok(())
}
