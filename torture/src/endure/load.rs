//! An agent that goes on for as long as it is asked to.
//!
//! Owns: what it does, in turns of calls that belong together, and how long each
//! call took. Promises: a seed decides every draw; refusals are counted,
//! and an answer that says `internal` is reported. Leaves to others: when it ends
//! (`Quota`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use maasl_client::{Gone, Server};
use maasl_sim::rng::Stream;
use serde_json::{Value, json};

use super::latency::Latencies;
use super::place::{DESCRIBED, FILES, NAMES, NODES, ROWS, SLOTS, edit_of, name_of, path_of};
use crate::Failure;
use crate::world::PATIENCE;

/// How many calls are sent at once by whoever looks about.
const GLANCE: usize = 16;

/// How many calls are made, by all together.
#[derive(Debug, Default)]
pub(super) struct Quota {
    made: AtomicU64,
    allowed: AtomicU64,
    patches_left: AtomicU64,
}

impl Quota {
    /// Allows so many patches of the graph. That a patch was made is never
    /// forgotten, so a graph is as large as its patches are many.
    pub(super) fn with_patches(patches: u64) -> Self {
        Self {
            patches_left: AtomicU64::new(patches),
            ..Self::default()
        }
    }

    fn take_patch(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        let left = &self.patches_left;
        left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
            .is_ok()
    }

    /// Allows calls up to this number.
    pub(super) fn allow(&self, through: u64) {
        self.allowed.store(through, Ordering::SeqCst);
    }

    /// How many were made.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::SeqCst)
    }

    fn is_used_up(&self) -> bool {
        self.made() >= self.allowed.load(Ordering::SeqCst)
    }

    fn count(&self) {
        self.made.fetch_add(1, Ordering::SeqCst);
    }
}

/// What agents noted, until somebody takes it.
#[derive(Debug, Default)]
pub(super) struct Notes {
    pub(super) latencies: Latencies,
    /// Refusals by tool and code.
    pub(super) refused: BTreeMap<String, u64>,
    /// Answers that must not be.
    pub(super) broken: Vec<String>,
}

impl Notes {
    /// Adds those of another.
    pub(super) fn add(&mut self, other: Self) {
        self.latencies.add(&other.latencies);
        for (code, count) in other.refused {
            *self.refused.entry(code).or_default() += count;
        }
        self.broken.extend(other.broken);
    }
}

/// One agent and its server.
#[derive(Debug)]
pub(super) struct Worker<'a> {
    quota: &'a Quota,
    name: String,
    /// What its idempotency keys and the values it writes begin with: visitors share
    /// a name, and not a seed.
    keys: String,
    draws: Stream,
    pub(super) server: Server,
    /// Contents as they were last seen.
    seen: BTreeMap<String, String>,
    asked: u64,
    notes: Notes,
}

impl<'a> Worker<'a> {
    /// The agent of this name; the seed and its name decide what it does.
    pub(super) fn new(quota: &'a Quota, seed: u64, name: &str, server: Server) -> Self {
        Self {
            quota,
            draws: Stream::of(seed, &["endure", name]),
            name: name.to_owned(),
            keys: format!("{name}-{seed}"),
            server,
            seen: BTreeMap::new(),
            asked: 0,
            notes: Notes::default(),
        }
    }

    /// Works until the quota is used up.
    pub(super) fn work(&mut self) -> Result<(), Failure> {
        while !self.quota.is_used_up() {
            self.turn()?;
        }
        Ok(())
    }

    /// What it has noted since this was asked last.
    pub(super) fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// A few turns, and a lease that is not returned.
    pub(super) fn visit(&mut self, turns: u64) -> Result<(), Failure> {
        for _ in 0..turns {
            self.turn()?;
        }
        let path = path_of(self.draws.below(FILES));
        let arguments = json!({ "resources": [{ "id": path }], "ttl_sec": 5 });
        self.call("lease_acquire", &arguments).map(drop)
    }

    fn turn(&mut self) -> Result<(), Failure> {
        match self.draws.below(100) {
            0..25 => self.glance(),
            25..30 => self.read_any().map(drop),
            30..46 => self.edit(),
            46..52 => self.write(),
            52..55 => self.refactor(),
            55..61 => self.reserve(),
            61..68 => self.row(),
            68..71 => self.enrich(),
            71..76 => self.patch(),
            76..81 => self.document(),
            81 => self.look("docgen_check", &json!({})),
            82..85 => self.transaction(),
            85..87 => self.restore(),
            87..91 => self.pass(),
            _ => {
                let (tool, arguments) = self.some_look();
                self.look(tool, &arguments)
            }
        }
    }

    /// Many looks at once, as agents send them that want to know their way about.
    /// They wait for each other, so how long one takes is not noted.
    fn glance(&mut self) -> Result<(), Failure> {
        let mut sent = Vec::new();
        for _ in 0..GLANCE {
            let (tool, arguments) = self.some_look();
            self.quota.count();
            sent.push((tool, self.server.send(tool, &arguments)));
        }
        for (tool, id) in sent {
            let answer = self.server.answer(id, PATIENCE);
            self.noted(tool, answer)?;
        }
        Ok(())
    }

    /// A call that changes nothing.
    fn some_look(&mut self) -> (&'static str, Value) {
        match self.draws.below(20) {
            0 => ("rag_search", json!({ "query": "py" })),
            1 => {
                let node = self.node();
                (
                    "graph_query",
                    json!({ "node": node, "depth": 1, "limit": 20 }),
                )
            }
            2 => ("llmc_locks", json!({})),
            3 => ("llmc_stomp_stats", json!({})),
            4 => ("llmc_docgen_status", json!({ "limit": 20 })),
            5 => {
                let path = path_of(self.draws.below(FILES));
                ("file_history", json!({ "path": path, "limit": 10 }))
            }
            _ => {
                let path = path_of(self.draws.below(FILES));
                ("read_file", json!({ "path": path }))
            }
        }
    }

    /// Reads a file; its path and content.
    fn read_any(&mut self) -> Result<(String, String), Failure> {
        let path = path_of(self.draws.below(FILES));
        let content = self.read(&path)?.unwrap_or_default();
        Ok((path, content))
    }

    fn read(&mut self, path: &str) -> Result<Option<String>, Failure> {
        let answer = self.call("read_file", &json!({ "path": path }))?;
        let content = answer["content"].as_str().map(str::to_owned);
        if let Some(content) = &content {
            self.seen.insert(path.to_owned(), content.clone());
        }
        Ok(content)
    }

    fn edit(&mut self) -> Result<(), Failure> {
        let (path, content) = self.read_any()?;
        let edit = self.edit_of(&content);
        self.change("edit_file", json!({ "path": path, "edits": [edit] }))
    }

    /// Replaces a file as it was seen last, which may be some time ago.
    fn write(&mut self) -> Result<(), Failure> {
        let path = path_of(self.draws.below(FILES));
        let mut content = self.seen.get(&path).cloned();
        if content.is_none() || self.draws.permille(700) {
            content = self.read(&path)?;
        }
        let content = self.changed(&content.unwrap_or_default());
        let on_stale = if self.draws.permille(700) {
            "merge"
        } else {
            "refuse"
        };
        let arguments = json!({ "path": path, "content": content, "on_stale": on_stale });
        self.change("write_file", arguments)
    }

    fn refactor(&mut self) -> Result<(), Failure> {
        let (first, content) = self.read_any()?;
        let (second, other) = self.read_any()?;
        if first == second {
            return Ok(());
        }
        let mut changes = Vec::new();
        for (path, content) in [(first, content), (second, other)] {
            let edit = self.edit_of(&content);
            changes.push(json!({ "op": "edit", "path": path, "edits": [edit] }));
        }
        self.change("refactor_file", json!({ "changes": changes }))
    }

    /// Takes a lease, renews it, works under it and returns it.
    fn reserve(&mut self) -> Result<(), Failure> {
        let (path, content) = self.read_any()?;
        let arguments = json!({
            "resources": [{ "id": path }], "ttl_sec": 10, "intent": "to change a line",
        });
        let answer = self.call("lease_acquire", &arguments)?;
        let Some(lease) = answer["lease"].as_str() else {
            return Ok(());
        };
        let lease = json!({ "lease": lease });
        self.call("lease_renew", &lease)?;
        let edit = self.edit_of(&content);
        let arguments = json!({ "path": path, "edits": [edit], "lease": lease["lease"] });
        self.change("edit_file", arguments)?;
        self.call("lease_release", &lease).map(drop)
    }

    fn row(&mut self) -> Result<(), Failure> {
        let statement = self.statement();
        self.change(
            "db_write",
            json!({ "db": "main", "statements": [statement] }),
        )
    }

    fn enrich(&mut self) -> Result<(), Failure> {
        let (file, line) = (self.draws.below(FILES), 1 + self.draws.below(DESCRIBED));
        let span = json!({
            "path": path_of(file), "start_line": line, "end_line": line, "summary": self.value(),
        });
        self.change("rag_enrich", json!({ "spans": [span] }))
    }

    /// Sets a property, and now and then puts in or takes out an edge or a node.
    fn patch(&mut self) -> Result<(), Failure> {
        if !self.quota.take_patch() {
            let node = self.node();
            return self.look(
                "graph_query",
                &json!({ "node": node, "depth": 1, "limit": 20 }),
            );
        }
        let mut patch = self.property();
        let (one, two) = (self.node(), self.node());
        let edge = json!([{ "source": one, "target": two, "type": "calls" }]);
        match self.draws.below(10) {
            0 | 1 => patch["edges_to_add"] = edge,
            2 | 3 => patch["edges_to_remove"] = edge,
            4 => patch["nodes_to_add"] = json!([{ "id": one }]),
            5 => patch = json!({ "nodes_to_remove": [one] }),
            _ => {}
        }
        self.change("graph_patch", patch)
    }

    /// Asks whether a document is needed, and writes it.
    fn document(&mut self) -> Result<(), Failure> {
        let path = path_of(self.draws.below(FILES));
        let answer = self.call("docgen_file", &json!({ "path": path }))?;
        if answer["status"] == "needs_content" {
            let content = format!("# About {path}\n\n{}\n", self.value());
            let hash = &answer["sha256"];
            let arguments = json!({ "path": path, "content": content, "source_sha256": hash });
            self.change("docgen_file", arguments)?;
        }
        Ok(())
    }

    fn transaction(&mut self) -> Result<(), Failure> {
        let (path, content) = self.read_any()?;
        let edit = self.edit_of(&content);
        let mut arguments = json!({
            "changes": [{ "op": "edit", "path": path, "edits": [edit] }],
            "database": { "db": "main", "statements": [self.statement()] },
        });
        if self.quota.take_patch() {
            arguments["graph"] = self.property();
        }
        self.change("transaction", arguments)
    }

    fn restore(&mut self) -> Result<(), Failure> {
        let (path, _) = self.read_any()?;
        let answer = self.call("file_history", &json!({ "path": path, "limit": 10 }))?;
        let versions = answer["versions"].as_array();
        let kept = versions
            .into_iter()
            .flatten()
            .filter(|version| version["kept"] == true);
        let Some(oldest) = kept.filter_map(|version| version["version"].as_u64()).min() else {
            return Ok(());
        };
        self.change("file_restore", json!({ "path": path, "version": oldest }))
    }

    /// Makes, moves or removes a file whose name comes and goes.
    fn pass(&mut self) -> Result<(), Failure> {
        let (one, two) = (self.draws.below(NAMES), self.draws.below(NAMES));
        let path = name_of(one);
        let content = self.read(&path)?;
        if content.is_none() {
            let content = format!("# {}\n", self.value());
            return self.change("write_file", json!({ "path": path, "content": content }));
        }
        if one != two && self.draws.permille(500) {
            let arguments = json!({ "source": path, "destination": name_of(two) });
            return self.change("move_file", arguments);
        }
        self.change("delete_file", json!({ "path": path }))
    }

    /// An edit of one line of a content.
    fn edit_of(&mut self, content: &str) -> Value {
        let slot = self.draws.below(SLOTS);
        edit_of(content, slot, &self.value())
    }

    /// A content with one line changed.
    fn changed(&mut self, content: &str) -> String {
        let edit = self.edit_of(content);
        let [old, new] = ["old_text", "new_text"].map(|field| edit[field].as_str());
        content.replacen(old.unwrap_or_default(), new.unwrap_or_default(), 1)
    }

    fn statement(&mut self) -> Value {
        let sql = "INSERT INTO t VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET value = ?2";
        json!({ "sql": sql, "params": [self.draws.below(ROWS), self.value()] })
    }

    fn property(&mut self) -> Value {
        let name = format!("p{}", self.draws.below(4));
        json!({ "properties_to_set": { self.node(): { name: self.value() } } })
    }

    fn node(&mut self) -> String {
        format!("n{}", self.draws.below(NODES))
    }

    /// What nobody has written before.
    fn value(&mut self) -> String {
        self.asked += 1;
        format!("{} was here for the {:08}th time", self.keys, self.asked)
    }

    /// A call of which only the time matters.
    fn look(&mut self, tool: &'static str, arguments: &Value) -> Result<(), Failure> {
        self.call(tool, arguments).map(drop)
    }

    /// A call that changes something; a quarter of them under a key, and some of
    /// those twice.
    fn change(&mut self, tool: &'static str, mut arguments: Value) -> Result<(), Failure> {
        let draw = self.draws.below(100);
        if draw < 25 {
            self.asked += 1;
            arguments["idempotency_key"] = json!(format!("{}-{}", self.keys, self.asked));
        }
        self.call(tool, &arguments)?;
        if draw < 2 {
            self.call(tool, &arguments)?;
        }
        Ok(())
    }

    fn call(&mut self, tool: &'static str, arguments: &Value) -> Result<Value, Failure> {
        self.quota.count();
        let began = Instant::now();
        let answer = self.server.call(tool, arguments, PATIENCE);
        self.notes.latencies.record(tool, began.elapsed());
        self.noted(tool, answer)
    }

    /// Notes how a call was answered.
    fn noted(&mut self, tool: &str, answer: Result<Value, Gone>) -> Result<Value, Failure> {
        let answer =
            answer.map_err(|gone| Failure::Confused(format!("{}: {tool}: {gone}", self.name)))?;
        if let Some(code) = answer["error"]["code"].as_str() {
            let refused = self.notes.refused.entry(format!("{tool} {code}"));
            *refused.or_default() += 1;
            // A name that comes and goes may be there or not.
            let passing = code == "invalid_request" && ["read_file", "move_file"].contains(&tool);
            if ["internal", "invalid_request"].contains(&code) && !passing {
                self.notes.broken.push(format!("{tool}: {answer}"));
            }
        }
        Ok(answer)
    }
}
