//! Doing what the core wants done.
//!
//! Owns: the translation of commands and effects into calls on the store, the
//! files, the latches and the doorbells. Promises: exactly one answer for each
//! step. Leaves to others: what to do next (the core).

use std::sync::Arc;

use maasl_core::coordinator::io::{
    Done, Effect, Event, GeneratorRun, Input, Output, Response, StepId, StoreFault,
};
use maasl_core::id::{SessionId, Token};
use maasl_core::lease::{Command, Wake};
use maasl_core::path::PathRefusal;
use maasl_core::resource::ResourceKey;

use super::{Ground, Node, OnWait, Slot};
use crate::docgen::lock::{self, Attempt};
use crate::docgen::{claims, generator};
use crate::fault::{Side, point};
use crate::files::FileFault;
use crate::latch::{LatchError, process};
use crate::store::{Store, StoreError};

impl Node {
    /// Executes one output; the response if it was the last of its call.
    pub(super) fn perform(
        self: &Arc<Self>,
        output: Output,
        slot: &Slot,
        on_wait: Option<&OnWait>,
    ) -> Option<Response> {
        match output {
            Output::Store(step, command) => self.put_to_store(step, &command, &slot.ground),
            Output::Do(step, effect) => self.carry_out(step, effect, slot),
            Output::Reply(_, response) => return Some(response),
            Output::Event(event) => {
                log(&event);
                if let Some(on_wait) = on_wait {
                    on_wait(&event);
                }
            }
        }
        None
    }

    fn put_to_store(&self, step: StepId, command: &Command, ground: &Ground) {
        let name = command.name();
        point(Side::Before, name);
        let answer = ground.store.transact(command).map_err(fault);
        point(Side::After, name);
        self.input(Input::Stored(step, answer));
    }

    fn carry_out(self: &Arc<Self>, step: StepId, effect: Effect, slot: &Slot) {
        let name = effect.name();
        point(Side::Before, name);
        if let Some(done) = self.execute(step, effect, slot) {
            point(Side::After, name);
            self.input(Input::Done(step, done));
        }
    }

    /// Runs a generator on a thread of its own: it may take as long as it is
    /// allowed to, and leases are renewed meanwhile.
    fn generate(self: &Arc<Self>, step: StepId, run: GeneratorRun, slot: &Slot) {
        let (node, ground) = (self.clone(), slot.ground.clone());
        let cancel = slot.cancel.clone();
        let counted = Counted::one(self);
        tokio::task::spawn_blocking(move || {
            let settings = &node.config().docgen;
            let root = ground.files.root().path();
            let made = generator::generate(settings, root, &run, &cancel);
            drop(counted);
            point(Side::After, Effect::Generate(run).name());
            node.input(Input::Done(step, Done::Generated(made)));
        });
    }

    /// Executes an effect; nothing where the answer comes later, by itself.
    fn execute(self: &Arc<Self>, step: StepId, effect: Effect, slot: &Slot) -> Option<Done> {
        let ground = &*slot.ground;
        let files = &ground.files;
        Some(match effect {
            Effect::Locate(paths) => {
                let located: Result<Vec<_>, _> =
                    paths.iter().map(|path| files.relative(path)).collect();
                located.map_or_else(Done::Refused, Done::Located)
            }
            Effect::Read(path) => files.read(&path).map_or_else(Done::from, Done::Content),
            Effect::Hash(path) => files.hash(&path).map_or_else(Done::from, Done::Hashed),
            Effect::LoadObject(content) => match files.objects().load(&content) {
                Ok(bytes) => Done::Object(bytes.map(Into::into)),
                Err(error) => Done::Failed(error.to_string()),
            },
            Effect::LoadVersion { path, number } => load_version(ground, &path, number),
            Effect::Stage {
                name,
                like,
                target,
                content,
                at_once,
            } => unit(files.put_stage(&name, &like, &target, &content, at_once)),
            Effect::SyncStaged(stages) => unit(files.stage().sync_names(&stages)),
            Effect::Discard(stages) => unit(
                stages
                    .iter()
                    .try_for_each(|stage| files.stage().discard(stage)),
            ),
            Effect::Latch(keys) => match ground.latches.take(&keys) {
                Ok(latched) => {
                    *slot.latched.lock() = Some(latched);
                    Done::Ok
                }
                Err(LatchError::Busy(process)) => Done::LatchBusy(process),
                Err(LatchError::Io(error)) => Done::Failed(error.to_string()),
            },
            Effect::Unlatch => {
                *slot.latched.lock() = None;
                Done::Ok
            }
            Effect::Swap(item) => files.swap(&item).map_or_else(Done::from, Done::Swapped),
            Effect::SwapBack(item) => files
                .swap_back(&item)
                .map_or_else(Done::from, Done::Swapped),
            Effect::HashStaged(stage) => match files.stage().hash(&stage) {
                Ok(hash) => Done::Hashed(hash),
                Err(error) => Done::Failed(error.to_string()),
            },
            Effect::SyncNames(paths) => unit(files.sync_names(&paths)),
            Effect::SyncKept(content) => unit(files.sync_kept(&content)),
            Effect::Keep { stage, content } => unit(files.keep(&stage, &content)),
            Effect::DbBegin {
                db,
                request,
                wait_ms,
            } => slot.begin(&db, request.as_deref(), wait_ms),
            Effect::DbExecute(work) => slot.work(&work),
            Effect::DbFence => slot.fence(),
            Effect::DbCommit(seal) => slot.commit(&seal),
            Effect::DbRollback => slot.roll_back(),
            Effect::DbOutcome { path, op } => slot.outcome(&path, &op),
            Effect::Probe(sessions) => Done::Dead(
                sessions
                    .into_iter()
                    .filter(|session| self.is_dead(ground, session))
                    .collect(),
            ),
            Effect::Ring(wake) => Done::Dead(self.ring(ground, wake)),
            Effect::FindSources(name) => match claims::claimants(files.root().dir(), &name) {
                Ok(found) => Done::Sources(found),
                Err(error) => Done::Failed(error.to_string()),
            },
            Effect::DocgenLock => docgen_lock(ground, slot),
            Effect::DocgenUnlock => {
                *slot.docgen_lock.lock() = None;
                Done::Ok
            }
            Effect::Generate(run) => {
                self.generate(step, run, slot);
                return None;
            }
        })
    }

    /// A session that cannot be examined counts as alive: waiting costs time,
    /// ending a living holder's lease is not ours to do.
    pub(super) fn is_dead(&self, ground: &Ground, session: &SessionId) -> bool {
        *session != self.session && ground.live.is_dead(session).unwrap_or(false)
    }

    /// Rings waiters; those found dead.
    fn ring(&self, ground: &Ground, wake: Vec<Wake>) -> std::collections::BTreeSet<SessionId> {
        let mut dead = std::collections::BTreeSet::new();
        for Wake { session, ticket } in wake {
            if session == self.session {
                self.input(Input::Woken(ticket));
                continue;
            }
            match ground.bells.ring(&session, ticket) {
                Ok(false) if self.is_dead(ground, &session) => {
                    dead.insert(session);
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(%error, %session, "could not ring"),
            }
        }
        dead
    }
}

/// A generator that is counted among those that run for as long as this lives.
struct Counted(Arc<Node>);

impl Counted {
    fn one(node: &Arc<Node>) -> Self {
        node.generators.send_modify(|count| *count += 1);
        Self(node.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.generators.send_modify(|count| *count -= 1);
    }
}

fn docgen_lock(ground: &Ground, slot: &Slot) -> Done {
    match lock::attempt(ground.files.root().dir()) {
        Ok(Attempt::Held(lock)) => {
            *slot.docgen_lock.lock() = Some(lock);
            Done::DocgenLock(true)
        }
        Ok(Attempt::NotNeeded) => Done::DocgenLock(true),
        Ok(Attempt::Busy) => Done::DocgenLock(false),
        // A refused path comes through the functions of the system as theirs.
        Err(error) => match error.downcast::<PathRefusal>() {
            Ok(refusal) => Done::Refused(refusal),
            Err(error) => Done::Failed(error.to_string()),
        },
    }
}

fn load_version(ground: &Ground, path: &str, number: u64) -> Done {
    match ground.store.version(path, number) {
        Ok(version) => Done::Version(version),
        Err(error) => Done::Failed(error.to_string()),
    }
}

fn unit<E>(result: Result<(), E>) -> Done
where
    FileFault: From<E>,
{
    match result {
        Ok(()) => Done::Ok,
        Err(error) => FileFault::from(error).into(),
    }
}

fn fault(error: StoreError) -> StoreFault {
    match error {
        StoreError::Busy { holder, waited_ms } => StoreFault::Busy {
            process: holder.map(|holder| process(holder.pid)),
            waited_ms,
        },
        other => StoreFault::Failed(other.to_string()),
    }
}

/// The target of events, by which they are told from other lines of the log.
pub const EVENTS: &str = "maasl::event";

/// Writes an event to the log.
pub(super) fn log(event: &Event) {
    match event {
        Event::Waiting {
            place,
            waited_ms,
            allowed_ms,
            ..
        } => {
            tracing::debug!(place, waited_ms, allowed_ms, "waiting");
        }
        Event::LockAcquired {
            agent,
            keys,
            token,
            waited_ms,
            taken_over,
        } => {
            let keys = keys_of(keys);
            if *taken_over > 0 {
                tracing::info!(target: EVENTS, %agent, keys, token = token.number(), taken_over, "takeover");
            }
            tracing::info!(target: EVENTS, %agent, keys, token = token.number(), waited_ms, taken_over, "lock_acquired");
        }
        Event::LockReleased { agent, keys, token } => {
            let keys = keys_of(keys);
            tracing::info!(target: EVENTS, %agent, keys, token = token.number(), "lock_released");
        }
        Event::Told {
            agent,
            what,
            subject,
            token,
        } => {
            let token = token.map(Token::number);
            tracing::info!(target: EVENTS, %agent, subject, token, "{what}");
        }
        Event::LockRenewed { agent, token } => {
            tracing::debug!(%agent, token = token.number(), "lock_renewed");
        }
        Event::Observed { agent, what, code } => {
            tracing::info!(target: EVENTS, %agent, code, "{what}");
        }
        Event::Refused { agent, code } => tracing::info!(target: EVENTS, %agent, code, "refused"),
        Event::Docgen {
            agent,
            status,
            source,
            duration_ms,
        } => {
            let status = status.name();
            tracing::info!(target: EVENTS, %agent, status, source, duration_ms, "docgen");
        }
        Event::GraphMerged {
            agent,
            graph,
            patch,
            conflicts,
        } => {
            tracing::info!(target: EVENTS, %agent, graph, %patch, conflicts, "graph_merge");
        }
        Event::Recovered { agent, token } => {
            tracing::warn!(target: EVENTS, %agent, token = token.number(), "recovered");
        }
    }
}

fn keys_of(keys: &[ResourceKey]) -> String {
    let keys: Vec<&str> = keys.iter().map(ResourceKey::as_str).collect();
    keys.join(" ")
}
