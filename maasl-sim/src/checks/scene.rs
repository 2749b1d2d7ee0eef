//! Hand-made observations for the tests of judges.
//!
//! Owns: a store and a disk to look at, and short names for what happens.
//! Promises: nothing is decided here; a scene says what its test says. Leaves to
//! others: judging.

use maasl_core::coordinator::io::{CallId, Reply, Response, Swapped};
use maasl_core::id::{AgentId, ContentHash, LeaseId, OpId, Owner, SessionId, TicketNo, Token};
use maasl_core::lease::command::{Acquire, FinishCommit, Open};
use maasl_core::lease::outcome::Change;
use maasl_core::lease::{
    Command, CommitIntent, CommitItem, Lease, LeaseKind, MemoryRows, Outcome, StoreClock, Ticket,
};
use maasl_core::policy::{CRIT_CODE, Urgency};
use maasl_core::refusal::Refusal;
use maasl_core::reply::{FileChanged, Receipt};
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::time::Timestamp;

use super::{Breach, Judge};
use crate::observe::{AgentNo, Asked, Ground, Observation, ProcessNo, RequestNo};
use crate::plan::{Action, Plan, Process, Timing};
use crate::world::disk::Disk;

pub(super) const P: ProcessNo = ProcessNo(0);
pub(super) const CALL: CallId = CallId(1);
pub(super) const ANN: AgentNo = AgentNo(0);

/// What there is to look at.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) rows: MemoryRows,
    pub(super) disk: Disk,
    pub(super) now_ns: u64,
    processes: Vec<String>,
    agents: Vec<String>,
}

impl Scene {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let mut disk = Disk::new(true);
        for (path, content) in files {
            disk.outside(path, Some(content.as_bytes().into()));
        }
        Self {
            rows: MemoryRows::default(),
            disk,
            now_ns: 0,
            processes: vec!["p".into()],
            agents: vec!["ann".into(), "bob".into()],
        }
    }

    pub(super) fn show(
        &self,
        judge: &mut impl Judge,
        seen: &Observation<'_>,
    ) -> Result<(), Breach> {
        let ground = Ground {
            now_ns: self.now_ns,
            rows: &self.rows,
            disk: &self.disk,
            processes: &self.processes,
            agents: &self.agents,
        };
        judge.observe(seen, &ground)
    }

    pub(super) fn store(
        &self,
        judge: &mut impl Judge,
        at_ms: u64,
        command: &Command,
        outcome: &Outcome,
    ) -> Result<(), Breach> {
        let clock = StoreClock {
            now: at(at_ms),
            wall_ms: at_ms,
        };
        let seen = Observation::Transacted {
            process: P,
            step: None,
            command,
            outcome,
            clock,
        };
        self.show(judge, &seen)
    }

    /// The command that asks for a lease, and its grant; the row is there.
    pub(super) fn grant(
        &mut self,
        judge: &mut impl Judge,
        at_ms: u64,
        lease: &Lease,
    ) -> Result<(), Breach> {
        self.rows.apply(Change::PutLease(lease.clone()));
        self.granted(judge, at_ms, lease)
    }

    /// The same, whatever the rows say.
    pub(super) fn granted(
        &self,
        judge: &mut impl Judge,
        at_ms: u64,
        lease: &Lease,
    ) -> Result<(), Breach> {
        let command = Command::Acquire(asking(lease));
        let outcome = Outcome::Granted {
            lease: lease.clone(),
            taken_over: Vec::new(),
            wake: Vec::new(),
        };
        self.store(judge, at_ms, &command, &outcome)
    }

    pub(super) fn begin(
        &self,
        judge: &mut impl Judge,
        intent: &CommitIntent,
    ) -> Result<(), Breach> {
        let command = Command::BeginCommit(intent.clone());
        self.store(judge, 0, &command, &Outcome::Begun)
    }

    pub(super) fn finish(
        &self,
        judge: &mut impl Judge,
        finish: FinishCommit,
        receipt: &Receipt,
    ) -> Result<(), Breach> {
        let outcome = Outcome::Finished {
            receipt: receipt.clone(),
            wake: Vec::new(),
        };
        self.store(judge, 0, &Command::FinishCommit(finish), &outcome)
    }

    /// Stages and swaps an item on the disk, and shows the swap.
    pub(super) fn swap(
        &mut self,
        judge: &mut impl Judge,
        item: &CommitItem,
        content: Option<&str>,
    ) -> Result<(), Breach> {
        if let Some(content) = content {
            self.disk
                .stage(&item.stage, content.as_bytes().into(), true);
        }
        let swapped = self.disk.swap(item);
        self.swapped(judge, item, swapped)
    }

    /// Shows a swap.
    pub(super) fn swapped(
        &self,
        judge: &mut impl Judge,
        item: &CommitItem,
        swapped: Swapped,
    ) -> Result<(), Breach> {
        let seen = Observation::Swapped {
            process: P,
            call: CALL,
            item,
            back: false,
            swapped,
            now: self.disk.hash(&item.path),
        };
        self.show(judge, &seen)
    }

    pub(super) fn outside(
        &mut self,
        judge: &mut impl Judge,
        path: &str,
        content: Option<&str>,
    ) -> Result<(), Breach> {
        let before = self.disk.hash(path);
        let bytes = content.map(|content| content.as_bytes().into());
        self.disk.outside(path, bytes);
        let seen = Observation::Outside {
            path,
            before,
            after: self.disk.hash(path),
        };
        self.show(judge, &seen)
    }

    pub(super) fn ask(
        &self,
        judge: &mut impl Judge,
        request: u64,
        action: &Action,
        key: Option<&str>,
        bases: &[(String, ContentHash)],
    ) -> Result<(), Breach> {
        let asked = Asked {
            agent: ANN,
            request: RequestNo(request),
            attempt: 1,
            process: P,
            action,
            key,
            bases,
            wait_ms: 500,
        };
        self.show(judge, &Observation::Asked(&asked))
    }

    pub(super) fn answer(
        &self,
        judge: &mut impl Judge,
        request: u64,
        receipt: &Receipt,
    ) -> Result<(), Breach> {
        self.answered(judge, request, Ok(Reply::Receipt(receipt.clone())))
    }

    pub(super) fn answered(
        &self,
        judge: &mut impl Judge,
        request: u64,
        result: Result<Reply, Refusal>,
    ) -> Result<(), Breach> {
        let response = response(result);
        let seen = Observation::Answered {
            agent: ANN,
            request: RequestNo(request),
            response: &response,
        };
        self.show(judge, &seen)
    }

    /// The call comes to this; nobody has been told yet.
    pub(super) fn decided(
        &self,
        judge: &mut impl Judge,
        result: Result<Reply, Refusal>,
    ) -> Result<(), Breach> {
        let response = response(result);
        let seen = Observation::Decided {
            process: P,
            call: CALL,
            request: RequestNo(1),
            response: &response,
        };
        self.show(judge, &seen)
    }

    pub(super) fn died(&self, judge: &mut impl Judge, session: &str) -> Result<(), Breach> {
        let session = SessionId::new(session);
        let seen = Observation::Died {
            process: P,
            session: &session,
        };
        self.show(judge, &seen)
    }
}

fn response(result: Result<Reply, Refusal>) -> Response {
    Response {
        result,
        lost: Vec::new(),
        observed: Vec::new(),
    }
}

pub(super) fn at(ms: u64) -> Timestamp {
    Timestamp::from_ns(ms * 1_000_000)
}

pub(super) fn token(number: u64) -> Token {
    Token::new(1, number).expect("a small number")
}

pub(super) fn hash(content: &str) -> ContentHash {
    ContentHash::of(content.as_bytes())
}

pub(super) fn key(path: &str) -> ResourceKey {
    ResourceKey::new("code", path)
}

pub(super) fn owner(agent: &str, session: &str) -> Owner {
    Owner {
        agent: AgentId::new(agent),
        session: SessionId::new(session),
    }
}

/// An exclusive lease of 100 ms on one file, granted at 0 ms to `p-1`.
pub(super) fn lease(number: u64, path: &str) -> Lease {
    Lease {
        id: LeaseId::new(format!("lease-{number}")),
        token: token(number),
        owner: owner("ann", "p-1"),
        wants: vec![Want::exclusive(key(path), CRIT_CODE)].into(),
        kind: LeaseKind::Call,
        granted_at: at(0),
        granted_wall_ms: 0,
        expires_at: at(100),
        ttl_ms: 100,
        lock_delay_ms: 0,
        purpose: None,
    }
}

/// The same at a later instant.
pub(super) fn lease_at(number: u64, path: &str, at_ms: u64) -> Lease {
    Lease {
        granted_at: at(at_ms),
        expires_at: at(at_ms + 100),
        ..lease(number, path)
    }
}

pub(super) fn asking(lease: &Lease) -> Acquire {
    let (id, owner, wants) = (lease.id.clone(), lease.owner.clone(), lease.wants.clone());
    Acquire {
        kind: lease.kind,
        lock_delay_ms: lease.lock_delay_ms,
        wait_ms: 500,
        ..Acquire::at_once(id, owner, wants, lease.ttl_ms)
    }
}

/// A live waiter until 500 ms.
pub(super) fn ticket(no: u64, path: &str, urgency: Urgency) -> Ticket {
    Ticket {
        no: TicketNo(no),
        lease: LeaseId::new(format!("waits-{no}")),
        owner: owner("bob", "p-1"),
        wants: vec![Want::exclusive(key(path), CRIT_CODE)].into(),
        urgency,
        since: at(0),
        deadline: at(500),
        bypassed: 0,
    }
}

pub(super) fn item(path: &str, old: Option<&str>, new: Option<&str>) -> CommitItem {
    CommitItem {
        path: path.into(),
        key: key(path),
        op: "write".into(),
        stage: format!("stage-{path}"),
        old: old.map(hash),
        new: new.map(hash),
        size_bytes: 0,
    }
}

/// A commit of `ann` under token 1.
pub(super) fn intent(items: &[CommitItem]) -> CommitIntent {
    CommitIntent {
        op: OpId::new("op"),
        lease: LeaseId::new("lease-1"),
        token: token(1),
        owner: owner("ann", "p-1"),
        latches: items.iter().map(|item| item.key.clone()).collect(),
        items: items.to_vec(),
        receipt: receipt(items, 1),
        request: None,
        release: true,
        turned_back: false,
        database: None,
        patch: None,
    }
}

/// What a commit of these answers.
pub(super) fn receipt(items: &[CommitItem], version: u64) -> Receipt {
    let files = items.iter().map(|item| FileChanged {
        path: item.path.clone(),
        op: item.op.clone(),
        sha256: item.new,
        previous_sha256: item.old,
        version,
        ..FileChanged::default()
    });
    Receipt::Changed {
        files: files.collect(),
        token: token(1),
        waited_ms: 0,
        beyond: maasl_core::reply::Beyond::default(),
    }
}

/// The end of the commit of [`intent`].
pub(super) fn finish() -> FinishCommit {
    FinishCommit {
        op: OpId::new("op"),
        exceptions: std::collections::BTreeMap::new(),
        recovered_by: None,
        counts: Vec::new(),
    }
}

pub(super) fn edit(path: &str) -> Action {
    Action::Edit { path: path.into() }
}

/// A row about the store, so that commands can be decided on the rows.
pub(super) fn open() -> Command {
    Command::Open(Open {
        store: "store".into(),
        boot: "boot-1".into(),
        floor: Token::default(),
        first_sequence: 1,
        session: None,
    })
}

/// A plan in which nothing happens.
pub(super) fn plan() -> Plan {
    Plan {
        plan_version: crate::plan::PLAN_VERSION,
        scenario: "scene".into(),
        seed: 1,
        quiet_from_ms: 1,
        settle_ms: 1,
        events_max: 1,
        promises: Vec::new(),
        settings: crate::plan::Settings::default(),
        timing: Timing {
            client_us: vec![0],
            store_us: vec![0],
            transaction_us: vec![0],
            effect_us: vec![0],
            sync_us: vec![0],
            bell_us: vec![0],
            remote_store: false,
            store_timeout_ms: 1_000,
        },
        files: Vec::new(),
        processes: vec![Process {
            name: "p".into(),
            clock_ahead_us: 0,
            drift_ppm: 0,
            start_at_ms: 0,
        }],
        agents: Vec::new(),
        faults: Vec::new(),
    }
}

/// The site of a breach, for comparing.
pub(super) fn site(judged: Result<(), Breach>) -> Option<&'static str> {
    judged.err().map(|breach| breach.site)
}
