//! One agent and its server.
//!
//! Owns: what an agent does, and its connection. Promises: nothing is called done
//! or refused that was not answered so; a server that ends by itself, does not
//! answer or says half of a content is reported. Leaves to others: what to ask
//! (`ask`), asking until it is answered (`asking`), writing down what came of it
//! (`telling`), and judging (`audit`).

mod asking;
mod telling;

use maasl_client::{Gone, Server};
use maasl_core::id::ContentHash;
use maasl_sim::history::{Covered, Ending, Event};
use maasl_sim::rng::Stream;
use serde_json::{Value, json};

use crate::ask::{self, FILES, NAMES, one_of};
use crate::holding::{Holding, Holdings};
use crate::journal::{Journal, now_ns};
use crate::told::{Told, refusal_of_version};
use crate::unsettled::Unsettled;
use crate::world::{PATIENCE, World};

/// One agent.
#[derive(Debug)]
pub(crate) struct Agent<'a> {
    world: &'a World,
    name: String,
    number: usize,
    draws: Stream,
    /// Which of the answered calls are sent once more.
    repeats: Stream,
    server: Option<Server>,
    journal: Journal,
    holdings: Holdings,
    unsettled: Unsettled,
    asked: u64,
    /// When its server was last heard of.
    heard_ns: u64,
}

impl<'a> Agent<'a> {
    /// The agent of this name; its number says which program its server is of.
    pub(crate) fn new(world: &'a World, name: &str, number: usize, journal: Journal) -> Self {
        Self {
            world,
            draws: Stream::of(world.seed, &["agent", name]),
            repeats: Stream::of(world.seed, &["repeats", name]),
            name: name.to_owned(),
            number,
            server: None,
            journal,
            holdings: Holdings::default(),
            unsettled: Unsettled::default(),
            asked: 0,
            heard_ns: 0,
        }
    }

    /// Works until the world says that it is over, and leaves well.
    pub(crate) fn work(mut self) {
        while !self.world.is_over() {
            let _turn = self.world.turn(&self.name);
            self.turn();
        }
        self.leave();
    }

    /// One or two calls that belong together.
    fn turn(&mut self) {
        if self.holdings.current().is_some() && self.draws.permille(600) {
            return self.under_lease();
        }
        match self.draws.below(100) {
            0..22 => self.write(),
            22..30 => self.restore(),
            30..38 => self.document(),
            38..46 => self.acquire(),
            _ => {
                let name = self.next_name();
                let ask = ask::simple(&mut self.draws, &name);
                self.perform(ask);
            }
        }
    }

    /// Replaces a file once more by something that names its content. Nobody else
    /// works any more, so it must succeed.
    pub(crate) fn seal(&mut self, path: &'static str) {
        let seen = self.read(path);
        let name = self.next_name();
        let mut ask = ask::write(&mut self.draws, path, seen.as_deref(), &name);
        ask.arguments["on_stale"] = json!("refuse");
        let sealed = self.perform(ask);
        if sealed.as_ref().is_none_or(|told| told.code().is_some()) {
            let told = sealed.map(|told| told.whole().to_string());
            self.world
                .report(format!("{path} cannot be written any more: {told:?}"));
        }
    }

    /// Closes the connection, which ends the server.
    pub(crate) fn leave(mut self) {
        let ends = self.holdings.finish(self.heard_ns);
        if let Some(server) = self.server.take() {
            let process = server.process().clone();
            match server.close() {
                Ok(status) if status.success() || process.was_killed() => {}
                Ok(status) => self
                    .world
                    .report(format!("{} ended with {status}", self.name)),
                Err(error) => self.world.report(format!("{}: {error}", self.name)),
            }
        }
        let at_ns = now_ns();
        for event in ends.events(&self.world.upheavals()) {
            self.journal.note(at_ns, event);
        }
        self.journal.finish();
    }

    fn next_name(&mut self) -> String {
        self.asked += 1;
        format!("{}-{}", self.name, self.asked)
    }

    /// Reads a file and replaces it.
    fn write(&mut self) {
        let names = if self.draws.permille(300) {
            &NAMES[..]
        } else {
            &FILES[..]
        };
        let path = one_of(&mut self.draws, names);
        let seen = self.read(path);
        let name = self.next_name();
        let ask = ask::write(&mut self.draws, path, seen.as_deref(), &name);
        self.perform(ask);
    }

    /// Reads a file; nothing if there is none.
    fn read(&mut self, path: &str) -> Option<String> {
        let told = self.look("read_file", &json!({ "path": path }))?;
        let content = told.text("content")?.to_owned();
        let hash = ContentHash::of(content.as_bytes()).to_string();
        if told.text("sha256") != Some(hash.as_str()) {
            self.world
                .report(format!("{path} was shown under a hash that is not its own"));
        }
        if !ask::is_whole(&content) {
            self.world.report(format!("{path} is torn: {content:?}"));
        }
        Some(content)
    }

    fn restore(&mut self) {
        let path = one_of(&mut self.draws, &FILES);
        let Some(told) = self.look("file_history", &json!({ "path": path, "limit": 8 })) else {
            return;
        };
        let versions = told
            .field("versions")
            .as_array()
            .cloned()
            .unwrap_or_default();
        let kept = versions.iter().filter(|version| version["kept"] == true);
        let kept: Vec<u64> = kept
            .filter_map(|version| version["version"].as_u64())
            .collect();
        if !kept.is_empty() {
            let version = one_of(&mut self.draws, &kept);
            self.read(path);
            self.next_name();
            self.perform(ask::restore(path, version));
        }
    }

    /// Asks whether a document is needed, and writes it.
    fn document(&mut self) {
        let path = one_of(&mut self.draws, &FILES);
        let Some(told) = self.look("docgen_file", &json!({ "path": path })) else {
            return;
        };
        if let (Some("needs_content"), Some(hash)) = (told.text("status"), told.text("sha256")) {
            let ask = ask::document(path, hash);
            self.next_name();
            self.perform(ask);
        }
    }

    fn acquire(&mut self) {
        if self.holdings.current().is_some() {
            return self.release();
        }
        let (id, subtree) = match self.draws.below(3) {
            0 => ("src/sub", true),
            _ => (one_of(&mut self.draws, &FILES), false),
        };
        let shared = self.draws.permille(200);
        let ttl_ms = 1_000 * self.draws.between(1, 4).unsigned_abs();
        let arguments = json!({
            "resources": [{
                "id": id,
                "scope": if subtree { "subtree" } else { "exact" },
                "mode": if shared { "shared" } else { "exclusive" },
            }],
            "ttl_sec": ttl_ms / 1_000,
            "max_wait_ms": 1_000,
        });
        let (epoch, since_ns) = (self.world.epoch(), now_ns());
        let Some(told) = self.look("lease_acquire", &arguments) else {
            return;
        };
        let (Some(lease), Some(token)) = (told.text("lease"), told.token()) else {
            return self.world.report(format!("no lease: {}", told.whole()));
        };
        let (lease, at_ns) = (lease.to_owned(), now_ns());
        if !self.world.stands_since(epoch) {
            return;
        }
        let covered = Covered {
            key: format!("code:{id}"),
            subtree,
            shared,
        };
        let grant = Event::Grant {
            token,
            lease: ContentHash::of(lease.as_bytes()),
            since_ns: Some(since_ns),
            wants: vec![covered],
        };
        self.journal.note(at_ns, grant);
        let files = FILES
            .iter()
            .filter(|file| **file == id || (subtree && file.starts_with(id)));
        let files = if shared {
            Vec::new()
        } else {
            files.copied().collect()
        };
        let holding = Holding::new(lease, token, files, since_ns, ttl_ms);
        self.holdings.hold(holding);
    }

    /// Works under the lease that it holds, renews it, returns it or forgets it.
    fn under_lease(&mut self) {
        let Some(holding) = self.holdings.current() else {
            return;
        };
        let (lease, files) = (holding.lease.clone(), holding.files.clone());
        match self.draws.below(10) {
            0..5 if !files.is_empty() => {
                let path = one_of(&mut self.draws, &files);
                let name = self.next_name();
                let mut ask = ask::edit(path, &name);
                ask.arguments["lease"] = json!(lease);
                if self
                    .perform(ask)
                    .is_some_and(|told| told.code() == Some("lease_lost"))
                {
                    self.holdings.lose(self.heard_ns);
                }
            }
            5..7 => {
                let since_ns = now_ns();
                if self
                    .look("lease_renew", &json!({ "lease": lease }))
                    .is_some()
                {
                    self.holdings.renewed(since_ns);
                }
            }
            7 => self.holdings.lose(self.heard_ns),
            _ => self.release(),
        }
    }

    fn release(&mut self) {
        let Some(holding) = self.holdings.current() else {
            return;
        };
        let (lease, token, since_ns) = (holding.lease.clone(), holding.token, now_ns());
        let epoch = self.world.epoch();
        let told = self.look("lease_release", &json!({ "lease": lease }));
        if told.is_some() && self.world.stands_since(epoch) {
            self.holdings.returned();
            let end = Event::End {
                token,
                since_ns: Some(since_ns),
                how: Ending::Released,
            };
            self.journal.note(now_ns(), end);
        } else {
            // It may have been returned, or lost before.
            self.holdings.lose(since_ns.min(self.heard_ns));
        }
    }

    /// A call of which only a good answer matters.
    fn look(&mut self, tool: &str, arguments: &Value) -> Option<Told> {
        let told = Told::new(self.send(tool, arguments)?);
        self.tally(tool, Some(&told));
        told.code().is_none().then_some(told)
    }

    /// The answer to a call; nothing if the server died meanwhile.
    fn send(&mut self, tool: &str, arguments: &Value) -> Option<Value> {
        if self.server.is_none() {
            self.server = self.world.start(&self.name, self.number);
        }
        let server = self.server.as_mut()?;
        let gone = match server.call(tool, arguments, PATIENCE) {
            Ok(answer) => {
                self.heard_ns = now_ns();
                return self.unless_at_its_end(tool, answer);
            }
            Err(gone) => gone,
        };
        let was_killed = server.process().was_killed();
        if !(matches!(gone, Gone::Ended(_)) && was_killed) {
            self.world.report(format!("{}: {tool}: {gone}", self.name));
        }
        self.server = None;
        self.holdings.lose(self.heard_ns);
        None
    }

    /// A server that asks to be started again is ended, and its call is in doubt.
    fn unless_at_its_end(&mut self, tool: &str, answer: Value) -> Option<Value> {
        let told = Told::new(answer.clone());
        if !told.asks_for_a_new_server() {
            return Some(answer);
        }
        self.world.count("process", "asked to be started again");
        let said = told.whole().to_string();
        if let Some(refusal) = refusal_of_version(&said) {
            self.world.count("version", &format!("{tool}: {refusal}"));
        }
        self.retire();
        None
    }

    /// Ends its server and the leases that it holds there.
    fn retire(&mut self) {
        self.holdings.lose(self.heard_ns);
        // How it ends says nothing: the disk may be failing.
        if let Some(Err(error)) = self.server.take().map(Server::close) {
            self.world.report(format!("{}: {error}", self.name));
        }
    }

    fn tally(&self, tool: &str, told: Option<&Told>) {
        let how = match told.map(Told::code) {
            None => "unknown",
            Some(None) => "done",
            Some(Some(code)) => code,
        };
        self.world.count(tool, how);
    }
}
