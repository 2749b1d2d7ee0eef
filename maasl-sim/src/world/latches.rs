//! Latches: freed by death, kept by a pause.
//!
//! Owns: who is inside which latch and who waits for it. Promises: a call gets
//! all its latches at once or none; the first that can be served is. Leaves to
//! others: how long a call waits.

use std::collections::BTreeMap;

use maasl_core::coordinator::io::{CallId, StepId};
use maasl_core::resource::ResourceKey;

use crate::observe::ProcessNo;

/// A call that waits for latches.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) process: ProcessNo,
    pub(crate) incarnation: u32,
    pub(crate) step: StepId,
    pub(crate) keys: Vec<ResourceKey>,
}

/// All latches.
#[derive(Debug, Default)]
pub(crate) struct Latches {
    inside: BTreeMap<ResourceKey, (ProcessNo, CallId)>,
    waiting: Vec<Waiting>,
}

impl Latches {
    /// Takes all or none.
    pub(crate) fn take(&mut self, process: ProcessNo, call: CallId, keys: &[ResourceKey]) -> bool {
        if self.holder(keys).is_some() {
            return false;
        }
        let keys = keys.iter().cloned();
        self.inside.extend(keys.map(|key| (key, (process, call))));
        true
    }

    /// Who is inside one of these.
    pub(crate) fn holder(&self, keys: &[ResourceKey]) -> Option<ProcessNo> {
        let mut holders = keys.iter().filter_map(|key| self.inside.get(key));
        holders.next().map(|(process, _)| *process)
    }

    /// Queues a call that could not take its latches.
    pub(crate) fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// Takes a call out of the queue; what it waited for, if it still did.
    pub(crate) fn stop_waiting(&mut self, process: ProcessNo, step: StepId) -> Option<Waiting> {
        let mut waiting = self.waiting.iter();
        let at = waiting.position(|one| one.process == process && one.step == step)?;
        Some(self.waiting.remove(at))
    }

    /// Frees what a call holds.
    pub(crate) fn drop_of(&mut self, process: ProcessNo, call: CallId) {
        self.inside.retain(|_, by| *by != (process, call));
    }

    /// Frees everything of a process that died.
    pub(crate) fn drop_all_of(&mut self, process: ProcessNo) {
        self.inside.retain(|_, (by, _)| *by != process);
        self.waiting.retain(|one| one.process != process);
    }

    /// Takes the latches of the first waiting call that can have them.
    pub(crate) fn next_served(&mut self) -> Option<Waiting> {
        let free = |one: &Waiting| self.holder(&one.keys).is_none();
        let at = self.waiting.iter().position(free)?;
        let served = self.waiting.remove(at);
        self.take(served.process, served.step.call, &served.keys);
        Some(served)
    }
}
