//! The state of a world between two events.
//!
//! Owns: what can be seen of a world from outside, by name: who holds what, who
//! believes what, who waits, what the files hold. Promises: looking changes
//! nothing. Leaves to others: what follows from it.

use core::fmt;

use maasl_core::coordinator::Coordinator;
use maasl_core::id::{Owner, Token};
use maasl_core::lease::LeaseKind;
use maasl_core::resource::{Mode, Scope, Want};

use super::{NS_PER_MS, World};

/// A world between two events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Nanoseconds from the start.
    pub at_ns: u64,
    /// How many records were made.
    pub records: u64,
    /// The processes, in the order of the plan.
    pub processes: Vec<ProcessState>,
    /// The agents, in the order of the plan.
    pub agents: Vec<AgentState>,
    /// What the store has granted, by token.
    pub leases: Vec<LeaseState>,
    /// Who waits, by ticket.
    pub waiters: Vec<WaiterState>,
    /// Commits that are past their commit point and not finished.
    pub open: Vec<String>,
    /// The files, and what they hold.
    pub files: Vec<(String, String)>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessState {
    /// Its name.
    pub name: String,
    /// Its life: counted from 1, 0 before the first start.
    pub incarnation: u32,
    /// Whether it lives, stands still or is dead.
    pub life: Life,
    /// The calls under way.
    pub calls: usize,
    /// The leases it relies on.
    pub believes: Vec<Belief>,
}

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Running,
    /// It stands still.
    Paused,
    /// It is dead, or was not started yet.
    Dead,
}

/// A lease as its holder believes in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Its token, as text.
    pub token: String,
    /// Of which agent.
    pub agent: String,
    /// On what.
    pub resources: Vec<String>,
    /// Until when in the world, as the process's clock runs now; nothing where
    /// that clock stands still.
    pub until_ns: Option<u64>,
}

/// A lease as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseState {
    /// Its token, as text.
    pub token: String,
    /// Whose.
    pub agent: String,
    /// The process and its life.
    pub session: String,
    /// On what.
    pub resources: Vec<String>,
    /// Whether it is for one call only.
    pub for_call: bool,
    /// When it expires in the world, as the store's clock runs now.
    pub expires_ns: Option<u64>,
}

/// A request in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiterState {
    /// Whose.
    pub agent: String,
    /// The process and its life.
    pub session: String,
    /// For what.
    pub resources: Vec<String>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentState {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub about: String,
}

impl World<'_> {
    /// What the world is like now.
    #[must_use]
    pub fn state(&self) -> State {
        State {
            at_ns: self.now_ns,
            records: self.recorder.count(),
            processes: self.processes_now(),
            agents: self.agents_now(),
            leases: self.leases_now(),
            waiters: self.waiters_now(),
            open: self.open_now(),
            files: self.files_now(),
        }
    }

    /// Nanoseconds from the start.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// What the store has granted, by token.
    #[must_use]
    pub fn leases_now(&self) -> Vec<LeaseState> {
        let leases = self.store.rows.leases().map(|lease| LeaseState {
            token: token(lease.token),
            agent: agent(&lease.owner),
            session: session(&lease.owner),
            resources: resources(&lease.wants),
            for_call: lease.kind == LeaseKind::Call,
            expires_ns: self.store.instant_of(lease.expires_at, self.now_ns),
        });
        leases.collect()
    }

    /// The processes as they are.
    #[must_use]
    pub fn processes_now(&self) -> Vec<ProcessState> {
        let named = self.process_names.iter().zip(&self.servers);
        let processes = named.map(|(name, server)| {
            let coordinator = server.coordinator.as_ref();
            let held = coordinator.map_or_else(Vec::new, Coordinator::believed);
            let beliefs = held.iter().map(|(lease, until)| Belief {
                token: token(lease.token),
                agent: agent(&lease.owner),
                resources: resources(&lease.wants),
                until_ns: server.clock.instant_of(*until, self.now_ns),
            });
            ProcessState {
                name: name.clone(),
                incarnation: server.incarnation,
                life: match (server.is_live(), server.paused_until_ns) {
                    (false, _) => Life::Dead,
                    (true, Some(_)) => Life::Paused,
                    (true, None) => Life::Running,
                },
                calls: coordinator.map_or(0, Coordinator::calls),
                believes: beliefs.collect(),
            }
        });
        processes.collect()
    }

    /// The place of a process in the plan, by its name.
    #[must_use]
    pub fn process_place(&self, name: &str) -> Option<usize> {
        self.process_names.iter().position(|one| one == name)
    }

    /// How many calls an agent has left, the one at hand included.
    pub(crate) fn calls_left(&self, agent: usize) -> usize {
        self.clients[agent].calls_left()
    }

    fn agents_now(&self) -> Vec<AgentState> {
        let agents = self.clients.iter().map(|client| {
            let call = client.call().map(|call| call.action.to_string());
            let about = match (call, &client.outstanding) {
                (None, _) => "has done all its calls".to_owned(),
                (Some(call), None) => format!("is about to {call}"),
                (Some(call), Some(outstanding)) => match &outstanding.reading {
                    Some(path) => format!("waits to read {path}, so as to {call}"),
                    None => format!("waits to {call}"),
                },
            };
            AgentState {
                name: client.name.clone(),
                about,
            }
        });
        agents.collect()
    }

    fn waiters_now(&self) -> Vec<WaiterState> {
        let waiters = self.store.rows.tickets().map(|ticket| WaiterState {
            agent: agent(&ticket.owner),
            session: session(&ticket.owner),
            resources: resources(&ticket.wants),
        });
        waiters.collect()
    }

    fn open_now(&self) -> Vec<String> {
        let open = self.store.rows.intents().map(|intent| {
            let items = intent.items.iter();
            let items = items.map(|item| format!("{} {}", item.op, item.path));
            let items: Vec<String> = items.collect();
            let owner = agent(&intent.owner);
            let back = if intent.turned_back {
                ", turned back"
            } else {
                ""
            };
            format!(
                "{owner}, token {}: {}{back}",
                token(intent.token),
                items.join(", ")
            )
        });
        open.collect()
    }

    fn files_now(&self) -> Vec<(String, String)> {
        let files = self.disk.files().map(|(path, _)| {
            let bytes = self.disk.read(path).unwrap_or_default();
            (
                path.to_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        });
        files.collect()
    }
}

/// A token for people: its generation and its place within it, which are easier
/// to tell apart than its number.
#[must_use]
pub fn token(token: Token) -> String {
    format!("{}.{}", token.generation(), token.sequence())
}

/// Resources for people: the name, and how where it is not plain.
pub(crate) fn resources(wants: &[Want]) -> Vec<String> {
    let resources = wants.iter().map(|want| {
        let key = want.extent.key.as_str();
        let below = if want.extent.scope == Scope::Subtree {
            "/**"
        } else {
            ""
        };
        let shared = if want.mode == Mode::Shared {
            " (shared)"
        } else {
            ""
        };
        format!("{key}{below}{shared}")
    });
    resources.collect()
}

fn agent(owner: &Owner) -> String {
    owner.agent.as_str().to_owned()
}

fn session(owner: &Owner) -> String {
    owner.session.as_str().to_owned()
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = self.at_ns;
        let until = |at: Option<u64>| match at {
            None => "for ever".to_owned(),
            Some(at) if at <= now => "until just now".to_owned(),
            Some(at) => format!("for {} ms more", (at - now).div_ceil(NS_PER_MS)),
        };
        writeln!(f, "after {} records, at {}", self.records, Instant(now))?;
        writeln!(f, "processes")?;
        for process in &self.processes {
            let life = match process.life {
                Life::Running => "running",
                Life::Paused => "standing still",
                Life::Dead => "dead",
            };
            let (name, no, calls) = (&process.name, process.incarnation, process.calls);
            writeln!(f, "  {name}: life {no}, {life}, {calls} calls under way")?;
            for belief in &process.believes {
                let (what, until) = (belief.resources.join(", "), until(belief.until_ns));
                let (agent, token) = (&belief.agent, &belief.token);
                writeln!(
                    f,
                    "    relies on {what} for {agent}, token {token}, {until}"
                )?;
            }
        }
        section(f, "agents", &self.agents, |agent| {
            format!("{} {}", agent.name, agent.about)
        })?;
        section(f, "granted by the store", &self.leases, |lease| {
            let (what, until) = (lease.resources.join(", "), until(lease.expires_ns));
            let (agent, session, token) = (&lease.agent, &lease.session, &lease.token);
            let kind = if lease.for_call {
                "one call"
            } else {
                "reserved"
            };
            format!("{what}: {agent} through {session}, token {token}, {kind}, {until}")
        })?;
        section(f, "waiting", &self.waiters, |waiter| {
            let what = waiter.resources.join(", ");
            format!("{} through {} for {what}", waiter.agent, waiter.session)
        })?;
        section(f, "open commits", &self.open, Clone::clone)?;
        section(f, "files", &self.files, |(path, content)| {
            format!("{path}: {content:?}")
        })
    }
}

fn section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    line: impl Fn(&T) -> String,
) -> fmt::Result {
    writeln!(f, "{title}")?;
    if items.is_empty() {
        writeln!(f, "  none")?;
    }
    for item in items {
        writeln!(f, "  {}", line(item))?;
    }
    Ok(())
}

/// An instant for people: milliseconds with their thousandths.
#[derive(Clone, Copy, Debug)]
pub struct Instant(pub u64);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let us = self.0 / 1_000;
        write!(f, "{}.{:03} ms", us / 1_000, us % 1_000)
    }
}
