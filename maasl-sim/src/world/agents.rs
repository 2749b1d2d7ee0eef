//! What agents do: ask, wait, take the answer.
//!
//! Owns: the life of a request as its agent sees it. Promises: an agent has one
//! request at a time; a request sent again carries the same body and key. Leaves
//! to others: what it asks for (`client`) and what becomes of it (the product).

use maasl_core::coordinator::io::{Call as CoreCall, FileOp, Reply, Request, Response};
use maasl_core::id::{AgentId, ContentHash};
use maasl_core::lease::RequestKey;
use maasl_core::policy::{CRIT_CODE, CRIT_DB, IDEMP_DOCS, MERGE_META, Urgency};
use maasl_core::refusal::Refusal;
use maasl_core::reply::Receipt;

use super::client::{Client, Material, Outstanding, Seen};
use super::processes::entropy;
use super::queue::{Arrival, Event};
use super::{NS_PER_MS, NS_PER_US, World, pick};
use crate::observe::{AgentNo, Asked, Observation, RequestNo};
use crate::plan::fault::Route;
use crate::plan::{Action, Manner};
use crate::record::Kind;

/// How long an agent waits before it tries a refused call again.
const RETRY_NS: u64 = 20 * NS_PER_MS;

/// How long an agent waits before it looks whether its server is back.
const AWAY_NS: u64 = 50 * NS_PER_MS;

/// How often a stubborn agent repeats itself for each attempt of another.
const STUBBORN_TIMES: u32 = 4;

impl World<'_> {
    /// An agent goes on with its calls.
    pub(super) fn turn(&mut self, agent: AgentNo) {
        let client = &mut self.clients[usize::from(agent.0)];
        if client.outstanding.is_some() {
            return;
        }
        let Some(call) = client.call().cloned() else {
            return;
        };
        let at_ns = call.at_ms * NS_PER_MS;
        if at_ns > self.now_ns {
            self.queue.push(at_ns, Event::Turn(agent));
            return;
        }
        let reading = client.to_read(&call.action);
        let request = RequestNo(self.next_request);
        let body = match &reading {
            Some(path) => Some(Request::Read(path.clone().into())),
            None => client.body(&call.action, request),
        };
        let Some(body) = body else {
            self.go_on(agent);
            return;
        };
        self.next_request += 1;
        let client = &mut self.clients[usize::from(agent.0)];
        let keyed = call.keyed && reading.is_none();
        client.outstanding = Some(Outstanding {
            request,
            attempt: 0,
            key: keyed.then(|| format!("{}-{}", client.name, request.0)),
            bases: if reading.is_some() {
                Vec::new()
            } else {
                client.bases(&call.action)
            },
            leaves: contents(&body),
            body,
            reading,
        });
        self.record(Kind::Turn, agent.0, "", 0, request.0);
        self.send(agent);
        if let Some(after_ms) = call.cancel_after_ms {
            self.push_in(after_ms * NS_PER_MS, Event::CancelCall(agent, request));
        }
    }

    /// Sends the request at hand, for the first time or again.
    fn send(&mut self, agent: AgentNo) {
        let client = &mut self.clients[usize::from(agent.0)];
        let Some(call) = client.call().cloned() else {
            return;
        };
        let (process, lease) = (client.process, client.reservation.clone());
        let repeats = client.manner == Manner::Repeating;
        let name = client.name.clone();
        let Some(outstanding) = client.outstanding.as_mut() else {
            return;
        };
        outstanding.attempt += 1;
        let outstanding = outstanding.clone();
        let urgency = if call.batch {
            Urgency::Batch
        } else {
            Urgency::Interactive
        };
        let action = outstanding.reading.clone();
        let action = action.map_or(call.action.clone(), |path| Action::Read { path });
        let wait_ms = call
            .max_wait_ms
            .unwrap_or_else(|| self.wait_ms(&action, urgency));
        self.observe(&Observation::Asked(&Asked {
            agent,
            request: outstanding.request,
            attempt: outstanding.attempt,
            process,
            action: &action,
            key: outstanding.key.as_deref(),
            bases: &outstanding.bases,
            wait_ms,
        }));
        let core_call = CoreCall {
            agent: AgentId::new(name),
            urgency,
            max_wait_ms: call.max_wait_ms,
            request: outstanding.key.as_ref().map(|key| RequestKey {
                key: key.clone(),
                fingerprint: ContentHash::of(format!("{:?}", outstanding.body).as_bytes()),
            }),
            lease: lease.filter(|_| call.under_lease),
            request_body: outstanding.body.clone(),
            entropy: entropy(
                u64::from(agent.0),
                outstanding.request.0,
                u64::from(outstanding.attempt),
            ),
        };
        let request = outstanding.request;
        let attempt = outstanding.attempt;
        if let Some(sequence) = &mut self.sequence {
            let process = self.process_names[usize::from(process.0)].clone();
            sequence.asked(process, core_call.clone());
        }
        self.deliver(agent, request, attempt, &core_call);
        if repeats {
            let mut again = core_call;
            again.entropy = entropy(u64::from(agent.0), request.0, u64::from(attempt) << 32);
            self.deliver(agent, request, attempt + 1_000, &again);
        }
        let client = &mut self.clients[usize::from(agent.0)];
        client.patient_until_ns = self.now_ns + call.patience_ms * NS_PER_MS;
        self.arm_patience(agent);
    }

    fn arm_patience(&mut self, agent: AgentNo) {
        let client = &mut self.clients[usize::from(agent.0)];
        if !client.patience_armed {
            client.patience_armed = true;
            self.queue
                .push(client.patient_until_ns, Event::Patience(agent));
        }
    }

    /// The patience of an agent may have ended; it may also have begun anew since
    /// this look at it was planned.
    pub(super) fn check_patience(&mut self, agent: AgentNo) {
        let client = &mut self.clients[usize::from(agent.0)];
        client.patience_armed = false;
        let Some(outstanding) = &client.outstanding else {
            return;
        };
        if client.patient_until_ns > self.now_ns {
            self.arm_patience(agent);
            return;
        }
        let (request, attempt) = (outstanding.request, outstanding.attempt);
        self.lose_patience(agent, request, attempt);
    }

    fn deliver(&mut self, agent: AgentNo, request: RequestNo, attempt: u32, call: &CoreCall) {
        let process = self.clients[usize::from(agent.0)].process;
        let identity = [u64::from(agent.0), request.0, u64::from(attempt), 0];
        let at_ns = self.now_ns + pick(&self.plan.timing.client_us, identity) * NS_PER_US;
        let arrivals = self.server(process).lane(Route::Request).arrivals(at_ns);
        for at_ns in arrivals.into_iter().flatten() {
            let arrival = Arrival::Request(agent, request, Box::new(call.clone()));
            self.queue.push(at_ns, Event::At(process, arrival));
        }
    }

    fn wait_ms(&self, action: &Action, urgency: Urgency) -> u64 {
        let class = match action {
            Action::Docgen { .. } => IDEMP_DOCS,
            Action::Transact(parts) if !parts.documents.is_empty() => IDEMP_DOCS,
            Action::DbWrite { .. } => CRIT_DB,
            Action::Transact(parts) if parts.rows > 0 => CRIT_DB,
            Action::Transact(parts) if parts.paths.is_empty() => MERGE_META,
            _ => CRIT_CODE,
        };
        let policy = self.config.policies.get(class);
        let policy = policy.expect("a built-in class is always there");
        match urgency {
            Urgency::Interactive => policy.interactive_max_wait_ms,
            Urgency::Batch => policy.batch_max_wait_ms,
        }
    }

    pub(super) fn send_cancel(&mut self, agent: AgentNo, request: RequestNo) {
        let client = &self.clients[usize::from(agent.0)];
        let current = client.outstanding.as_ref();
        if current.is_some_and(|outstanding| outstanding.request == request) {
            let process = client.process;
            self.arrive(process, Arrival::Cancel(agent, request));
        }
    }

    /// The connection of an agent to its server is gone.
    pub(super) fn disconnect(&mut self, agent: AgentNo, request: RequestNo) {
        let outstanding = self.clients[usize::from(agent.0)].outstanding.as_ref();
        let current = outstanding.filter(|outstanding| outstanding.request == request);
        if let Some(attempt) = current.map(|outstanding| outstanding.attempt) {
            let event = Event::Disconnected(agent, request, attempt);
            self.push_in(AWAY_NS, event);
        }
    }

    /// An agent waits no longer for this sending of its request.
    pub(super) fn lose_patience(&mut self, agent: AgentNo, request: RequestNo, attempt: u32) {
        let client = &mut self.clients[usize::from(agent.0)];
        let Some(outstanding) = &client.outstanding else {
            return;
        };
        if outstanding.request != request || outstanding.attempt != attempt {
            return;
        }
        // What is not a change, or carries a key, may be asked again as it is.
        let again = outstanding.key.is_some() || !matches!(outstanding.body, Request::Change(_));
        let attempts = client.call().map_or(0, |call| call.attempts);
        if again && attempt < attempts {
            self.send(agent);
            return;
        }
        let client = &mut self.clients[usize::from(agent.0)];
        client.outstanding = None;
        client.seen.clear();
        self.observe(&Observation::GaveUp { agent, request });
        self.go_on(agent);
    }

    /// An answer reaches an agent.
    pub(super) fn answered(&mut self, agent: AgentNo, request: RequestNo, response: &Response) {
        let result = &response.result;
        let label = result.as_ref().map_or_else(Refusal::code, |_| "ok");
        self.record(Kind::Answer, agent.0, label, 0, request.0);
        self.observe(&Observation::Answered {
            agent,
            request,
            response,
        });
        let client = &mut self.clients[usize::from(agent.0)];
        let current = client.outstanding.take_if(|one| one.request == request);
        let Some(outstanding) = current else {
            return;
        };
        match &response.result {
            Ok(reply) => {
                let reading = outstanding.reading.is_some();
                let writes = matches!(reply, Reply::NeedsContent(_));
                client.take_in(reply, outstanding);
                self.successful_calls += u64::from(!reading);
                if reading {
                    self.queue.push(self.now_ns, Event::Turn(agent));
                } else if writes {
                    self.write_document(agent);
                } else {
                    self.go_on(agent);
                }
            }
            Err(refusal) => self.refused(agent, outstanding, refusal),
        }
    }

    fn refused(&mut self, agent: AgentNo, outstanding: Outstanding, refusal: &Refusal) {
        let client = &mut self.clients[usize::from(agent.0)];
        let Some(attempts) = client.call().map(|call| call.attempts) else {
            return;
        };
        client.tried += 1;
        let stubborn = client.manner == Manner::Stubborn;
        let allowed = if stubborn {
            attempts * STUBBORN_TIMES
        } else {
            attempts
        };
        if matches!(refusal, Refusal::LeaseLost(_)) {
            client.reservation = None;
        }
        if client.tried >= allowed || matches!(refusal, Refusal::Cancelled) {
            client.seen.clear();
            self.go_on(agent);
            return;
        }
        if stubborn {
            // The same again, as another request.
            let request = RequestNo(self.next_request);
            self.next_request += 1;
            let client = &mut self.clients[usize::from(agent.0)];
            let key = outstanding
                .key
                .map(|_| format!("{}-{}", client.name, request.0));
            client.outstanding = Some(Outstanding {
                request,
                attempt: 0,
                key,
                ..outstanding
            });
            self.send(agent);
            return;
        }
        client.seen.clear();
        client.material = None;
        self.push_in(RETRY_NS, Event::Turn(agent));
    }

    /// Writing the text of a document takes as long as thinking before a call.
    fn write_document(&mut self, agent: AgentNo) {
        let client = &self.clients[usize::from(agent.0)];
        let think_us = client.call().map_or(0, |call| call.think_us);
        self.push_in(think_us * NS_PER_US, Event::Turn(agent));
    }

    /// On to the next call.
    fn go_on(&mut self, agent: AgentNo) {
        let client = &mut self.clients[usize::from(agent.0)];
        client.next_call();
        if let Some(call) = client.call() {
            let think_ns = call.think_us * NS_PER_US;
            self.push_in(think_ns, Event::Turn(agent));
        }
    }
}

impl Client {
    /// Learns from an answer.
    fn take_in(&mut self, reply: &Reply, outstanding: Outstanding) {
        match reply {
            Reply::Read(read) => {
                let seen = Seen {
                    hash: read.sha256,
                    bytes: read.content.clone(),
                };
                self.seen.insert(read.path.clone(), seen);
            }
            Reply::Receipt(Receipt::Leased { lease, .. }) => {
                self.reservation = Some(lease.clone());
            }
            Reply::Receipt(Receipt::Changed { files, .. }) => {
                for file in files {
                    self.seen.remove(&file.path);
                    if let Some(source) = &file.source {
                        self.seen.remove(source);
                    }
                }
                for (path, bytes) in outstanding.leaves {
                    let hash = ContentHash::of(&bytes);
                    let stands = files.iter().any(|file| file.sha256 == Some(hash));
                    if stands {
                        let bytes = bytes.into();
                        self.seen.insert(path, Seen { hash, bytes });
                    }
                }
            }
            Reply::NeedsContent(needs) => {
                self.material = Some(Material {
                    path: needs.source.clone(),
                    hash: needs.source_sha256,
                    content: needs.content.clone(),
                });
            }
            Reply::Released { .. } => self.reservation = None,
            Reply::Receipt(
                Receipt::Written { .. }
                | Receipt::Enriched { .. }
                | Receipt::Fresh { .. }
                | Receipt::Released { .. }
                | Receipt::Patched(_),
            )
            | Reply::Renewed { .. }
            | Reply::Revoked(_)
            | Reply::Recovered(_)
            | Reply::Buried(_)
            | Reply::Ended { .. }
            | Reply::Graph(_)
            | Reply::Imported(_)
            | Reply::Compacted(_)
            | Reply::Preview(_) => {}
        }
    }
}

/// The contents a request leaves, where that is known beforehand.
fn contents(body: &Request) -> Vec<(String, Vec<u8>)> {
    let Request::Change(ops) = body else {
        return Vec::new();
    };
    let writes = ops.iter().filter_map(|op| match op {
        FileOp::Write { path, content, .. } => Some((path.clone(), content.clone())),
        _ => None,
    });
    writes.collect()
}
