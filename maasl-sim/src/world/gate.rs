//! The store's gate: one transaction at a time, in order of arrival.
//!
//! Owns: who is inside and who waits. Promises: a process that stands still
//! inside keeps it; a dead one frees it. Leaves to others: how long anybody
//! waits, and what happens inside.

use std::collections::VecDeque;

use maasl_core::coordinator::io::StepId;
use maasl_core::lease::Command;

use crate::observe::ProcessNo;

/// A command at the gate.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) process: ProcessNo,
    pub(crate) step: StepId,
    pub(crate) command: Box<Command>,
}

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    inside: Option<Entry>,
    waiting: VecDeque<Entry>,
    /// Something other than a command keeps it shut.
    pub(crate) shut: bool,
}

impl Gate {
    /// Goes inside, or waits; whether it is inside.
    pub(crate) fn enter(&mut self, entry: Entry) -> bool {
        let free = self.inside.is_none() && !self.shut && self.waiting.is_empty();
        if free {
            self.inside = Some(entry);
        } else {
            self.waiting.push_back(entry);
        }
        free
    }

    /// Leaves; what was being done.
    pub(crate) fn leave(&mut self, process: ProcessNo, step: StepId) -> Option<Entry> {
        self.inside
            .take_if(|inside| inside.process == process && inside.step == step)
    }

    /// Lets the next one in, if the gate is free.
    pub(crate) fn admit(&mut self) -> Option<&Entry> {
        if self.inside.is_some() || self.shut {
            return None;
        }
        self.inside = self.waiting.pop_front();
        self.inside.as_ref()
    }

    /// Stops waiting; whether it still did.
    pub(crate) fn give_up(&mut self, process: ProcessNo, step: StepId) -> bool {
        let before = self.waiting.len();
        self.waiting
            .retain(|entry| entry.process != process || entry.step != step);
        self.waiting.len() < before
    }

    /// Everything of a process that died; what it had begun is undone.
    pub(crate) fn drop_all_of(&mut self, process: ProcessNo) {
        self.inside.take_if(|inside| inside.process == process);
        self.waiting.retain(|entry| entry.process != process);
    }

    /// What is being done inside.
    pub(crate) fn command_name(&self) -> Option<&'static str> {
        self.inside.as_ref().map(|inside| inside.command.name())
    }

    /// Who is inside.
    pub(crate) fn holder(&self) -> Option<ProcessNo> {
        self.inside.as_ref().map(|inside| inside.process)
    }
}
