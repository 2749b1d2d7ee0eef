//! Leases as spans.
//!
//! Owns: when each lease began and ended, in the store and in the minds of its
//! holders. Promises: looks after every event; a belief that runs out by its
//! holder's clock ends then, not at the next event. Leaves to others: showing
//! them.

use std::collections::BTreeMap;

use super::{Instant, Silence, Span};
use crate::record::Kind;
use crate::world::World;
use crate::world::state::{Life, ProcessState};

/// Token, holder's session or process, resource: what tells spans apart.
type Name = (String, String, String);

/// Spans under way.
#[derive(Debug, Default)]
pub(super) struct Spans {
    pub(super) grants: Vec<Span>,
    pub(super) beliefs: Vec<Span>,
    pub(super) silences: Vec<Silence>,
    pub(super) resources: Vec<String>,
    granted: BTreeMap<Name, usize>,
    believed: BTreeMap<Name, usize>,
    silent: BTreeMap<usize, (Life, usize)>,
}

impl Spans {
    /// The place of a resource, by its key.
    pub(super) fn resource(&mut self, key: &str) -> usize {
        let known = self.resources.iter().position(|one| one == key);
        known.unwrap_or_else(|| {
            self.resources.push(key.to_owned());
            self.resources.len() - 1
        })
    }

    /// Takes note of how things stand after an event; `before` says how many
    /// steps there were before it.
    pub(super) fn look(&mut self, world: &World<'_>, before: usize) {
        let records = world.records();
        let now = Instant {
            step: records.len(),
            ns: world.now_ns(),
        };
        let mut commands = records[before..].iter().rev();
        let command = commands.find(|record| matches!(record.kind, Kind::Command | Kind::Started));
        let end = match command {
            Some(command) if command.kind == Kind::Command => command.label,
            _ => "the store was opened or put back",
        };
        self.look_at_grants(world, now, end);
        let processes = world.processes_now();
        self.look_at_beliefs(&processes, now, before);
        for (no, process) in processes.iter().enumerate() {
            self.look_at_life(no, process.life, now);
        }
    }

    /// Ends what is still open.
    pub(super) fn close(&mut self, now: Instant) {
        for at in std::mem::take(&mut self.granted).into_values() {
            self.grants[at].to = now;
        }
        for at in std::mem::take(&mut self.believed).into_values() {
            self.beliefs[at].to = now;
        }
        for (_, at) in std::mem::take(&mut self.silent).into_values() {
            self.silences[at].to = now;
        }
        // Every process counts as dead before it starts.
        self.silences
            .retain(|silence| silence.from.ns < silence.to.ns);
        for belief in &mut self.beliefs {
            let mut grants = self.grants.iter();
            let against = grants.find(|grant| is_against(grant, belief));
            belief.false_from = against.map(|grant| grant.from);
        }
    }

    fn look_at_grants(&mut self, world: &World<'_>, now: Instant, end: &str) {
        let mut gone = std::mem::take(&mut self.granted);
        for lease in world.leases_now() {
            for resource in &lease.resources {
                let name = (lease.token.clone(), lease.session.clone(), resource.clone());
                let at = gone.remove(&name).unwrap_or_else(|| {
                    let process = lease.session.rsplit_once('-').map(|(name, _)| name);
                    let span = self.span(resource, &lease.agent, &lease.token, now);
                    self.grants.push(Span {
                        process: process.and_then(|name| world.process_place(name)),
                        ..span
                    });
                    self.grants.len() - 1
                });
                self.grants[at].expires_ns = lease.expires_ns;
                self.granted.insert(name, at);
            }
        }
        for at in gone.into_values() {
            self.grants[at].to = now;
            end.clone_into(&mut self.grants[at].end);
        }
    }

    fn look_at_beliefs(&mut self, processes: &[ProcessState], now: Instant, before: usize) {
        let mut gone = std::mem::take(&mut self.believed);
        for (no, process) in processes.iter().enumerate() {
            for belief in &process.believes {
                if belief.until_ns.is_some_and(|until| until <= now.ns) {
                    continue;
                }
                for resource in &belief.resources {
                    let name = (belief.token.clone(), process.name.clone(), resource.clone());
                    let at = gone.remove(&name).unwrap_or_else(|| {
                        let span = self.span(resource, &belief.agent, &belief.token, now);
                        self.beliefs.push(Span {
                            process: Some(no),
                            ..span
                        });
                        self.beliefs.len() - 1
                    });
                    self.beliefs[at].expires_ns = belief.until_ns;
                    self.believed.insert(name, at);
                }
            }
        }
        for at in gone.into_values() {
            let belief = &mut self.beliefs[at];
            let ran_out = belief.expires_ns.filter(|until| *until <= now.ns);
            belief.to = ran_out.map_or(now, |ns| Instant { step: before, ns });
            let end = if ran_out.is_some() {
                "ran out by the holder's clock"
            } else {
                "the holder let go"
            };
            end.clone_into(&mut belief.end);
        }
    }

    fn look_at_life(&mut self, process: usize, life: Life, now: Instant) {
        if let Some((before, at)) = self.silent.get(&process).copied() {
            if before == life {
                return;
            }
            self.silences[at].to = now;
            self.silent.remove(&process);
        }
        if life != Life::Running {
            self.silent.insert(process, (life, self.silences.len()));
            self.silences.push(Silence {
                process,
                dead: life == Life::Dead,
                from: now,
                to: now,
            });
        }
    }

    fn span(&mut self, resource: &str, agent: &str, token: &str, from: Instant) -> Span {
        let shared = resource.strip_suffix(" (shared)");
        Span {
            resource: self.resource(shared.unwrap_or(resource)),
            process: None,
            agent: agent.to_owned(),
            token: token.to_owned(),
            shared: shared.is_some(),
            from,
            to: from,
            expires_ns: None,
            end: "the run ended".to_owned(),
            false_from: None,
        }
    }
}

/// Whether something was granted to another while this was still believed.
fn is_against(grant: &Span, belief: &Span) -> bool {
    grant.resource == belief.resource
        && grant.token != belief.token
        && !(grant.shared && belief.shared)
        && belief.from.step < grant.from.step
        && grant.from.step < belief.to.step
        && grant.from.ns < belief.to.ns
}
