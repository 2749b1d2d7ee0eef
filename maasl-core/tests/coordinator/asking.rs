//! Whole calls in one line, and views of what they left behind.

use maasl_core::coordinator::io::{CallId, FileOp, FileRead, Reply, Request, Response};
use maasl_core::graph::journal::Journal;
use maasl_core::id::{AgentId, LeaseId};
use maasl_core::lease::{CommitIntent, Counter, Lease, Query, Rows, Ticket, Version};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, Receipt};

use super::ops::{files, lease, reserve};
use super::world::{Pid, World};

impl World {
    #[track_caller]
    pub(crate) fn read(&mut self, pid: Pid, path: &str) -> Result<FileRead, Refusal> {
        let call = self.call(pid, Request::Read(path.into()));
        match self.ask(pid, call).result? {
            Reply::Read(read) => Ok(read),
            other => panic!("not a file: {other:?}"),
        }
    }

    /// Starts a change; nothing runs yet.
    pub(crate) fn start_change(&mut self, pid: Pid, ops: Vec<FileOp>) -> CallId {
        let call = self.call(pid, Request::Change(ops));
        self.start(pid, call)
    }

    /// Changes files; what became of each.
    #[track_caller]
    pub(crate) fn change(
        &mut self,
        pid: Pid,
        ops: Vec<FileOp>,
    ) -> Result<Vec<FileChanged>, Refusal> {
        let call = self.call(pid, Request::Change(ops));
        changed(self.ask(pid, call))
    }

    /// Reserves files; the lease.
    #[track_caller]
    pub(crate) fn reserve(&mut self, pid: Pid, ids: &[&str]) -> Result<LeaseId, Refusal> {
        let call = self.call(pid, reserve(ids));
        Ok(lease(&receipt(self.ask(pid, call))?))
    }

    #[track_caller]
    pub(crate) fn release(&mut self, pid: Pid, lease: &LeaseId) -> Result<Reply, Refusal> {
        let call = self.call(pid, Request::Release(lease.clone()));
        self.ask(pid, call).result
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        match self.rows.load(&Query::AllLeases) {
            Rows::Leases(leases) => leases,
            other => panic!("not leases: {other:?}"),
        }
    }

    pub(crate) fn tickets(&self) -> Vec<Ticket> {
        match self.rows.load(&Query::AllTickets) {
            Rows::Tickets(tickets) => tickets,
            other => panic!("not tickets: {other:?}"),
        }
    }

    pub(crate) fn intents(&self) -> Vec<CommitIntent> {
        match self.rows.load(&Query::AllIntents) {
            Rows::Intents(intents) => intents,
            other => panic!("not intents: {other:?}"),
        }
    }

    /// What the store knows of each graph, beside its patches.
    pub(crate) fn journals(&self) -> Vec<Journal> {
        match self.rows.load(&Query::AllJournals) {
            Rows::Journals(journals) => journals,
            other => panic!("not journals: {other:?}"),
        }
    }

    /// The newest version of a path.
    pub(crate) fn newest(&self, path: &str) -> Option<&Version> {
        self.rows.history(path).last()
    }

    /// A counter, over all classes.
    pub(crate) fn count(&self, counter: Counter) -> u64 {
        let counters = self.rows.counters().iter();
        let ours = counters.filter(|(key, _)| key.counter == counter);
        ours.map(|(_, value)| value).sum()
    }

    /// Everything that a refused call must leave as it was: the disk, and all rows
    /// but counters and the numbers that the next token and ticket get.
    pub(crate) fn observed(&self) -> String {
        let rows = format!("{:?}", self.rows);
        let from = rows.find("leases: ").unwrap();
        let to = rows.find("counters: ").unwrap();
        format!("{:?} {}", self.disk, &rows[from..to])
    }

    /// Nothing is held, waited for or open.
    #[track_caller]
    pub(crate) fn assert_idle(&self, when: &str) {
        assert_eq!(self.leases(), [], "{when}");
        assert_eq!(self.tickets(), [], "{when}");
        assert_eq!(self.intents(), [], "{when}");
        assert!(self.latches_are_free(), "{when}");
        assert_eq!(self.under_way(), 0, "{when}");
        self.disk.assert_nothing_lost(when);
    }

    /// Nothing is staged, but for what is named after these processes: their
    /// staging folders are swept when they are found dead.
    #[track_caller]
    pub(crate) fn assert_unstaged_but(&self, dead: &[Pid], when: &str) {
        let sessions: Vec<_> = dead
            .iter()
            .map(|pid| format!("{}/", self.processes[pid.0].session))
            .collect();
        let mut stages = self.disk.stages.keys();
        let left = stages.find(|stage| !sessions.iter().any(|of| stage.starts_with(of)));
        assert_eq!(left, None, "{when}");
    }
}

/// The receipt of a change or a grant.
pub(crate) fn receipt(response: Response) -> Result<Receipt, Refusal> {
    match response.result? {
        Reply::Receipt(receipt) => Ok(receipt),
        other => panic!("not a receipt: {other:?}"),
    }
}

/// What became of the files of a change.
pub(crate) fn changed(response: Response) -> Result<Vec<FileChanged>, Refusal> {
    Ok(files(&receipt(response)?).to_vec())
}

pub(crate) fn agent(name: &str) -> AgentId {
    AgentId::new(name)
}
