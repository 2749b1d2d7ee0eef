//! Every interleaving of two agents that commit, return and take over, with
//! kills and expiry at any instant, against the real table.
//!
//! Owns: the exhaustive check of the latch rule (I1, nothing acknowledged lost,
//! no open commit without its lease), and that each part of the rule is needed:
//! a process that claims latches it does not hold breaks one of them. Leaves to
//! others: queues and sets (`lease_model`), and real files (`maasl-node`).

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{AgentId, LeaseId, OpId, Owner, SessionId, Token};
use maasl_core::lease::command::{Acquire, FinishCommit, Open, Release};
use maasl_core::lease::{
    Command, CommitIntent, CommitItem, LeaseKind, MemoryRows, Outcome, Query, Rows, StoreClock,
};
use maasl_core::policy::Urgency;
use maasl_core::reply::{Beyond, Receipt};
use maasl_core::resource::{ResourceKey, Want};
use maasl_core::time::Timestamp;

const AGENTS: usize = 2;
const GRANTS_EACH: u8 = 2;
const TTL_MS: u64 = 1;

/// Where an agent is in its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Idle,
    /// The table asked for the latch.
    WantsTake,
    Take,
    Has,
    WantsCommit,
    Check,
    Intent,
    Swap,
    Finish,
    WantsReturn,
    Return,
    /// A subagent of another process returns the lease by its id.
    Foreign,
    Dead,
}

/// Which part of the rule is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relaxed {
    Nothing,
    Take,
    Foreign,
    Commit,
    Recovery,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Agent {
    at: At,
    /// The grant it works under: the how-manieth of which agent, and its token.
    grant: (u8, u8),
    token: u64,
    grants: u8,
    acknowledged: u64,
}

#[derive(Clone)]
struct State {
    rows: MemoryRows,
    agents: [Agent; AGENTS],
    latch: Option<usize>,
    file: u64,
    /// The newest token that was returned.
    newest: u64,
    /// Whether the lease that is there has run out.
    expired: bool,
}

/// Everything the future depends on.
type Code = (
    [Agent; AGENTS],
    Option<usize>,
    u64,
    u64,
    bool,
    Vec<u64>,
    Vec<u64>,
    u64,
);

fn number(n: usize) -> u8 {
    u8::try_from(n).expect("few agents")
}

fn key() -> ResourceKey {
    ResourceKey::new("code", "a")
}

fn latched(held: bool) -> BTreeSet<ResourceKey> {
    held.then(key).into_iter().collect()
}

fn owner(agent: usize) -> Owner {
    Owner {
        session: SessionId::new(format!("s{agent}")),
        agent: AgentId::new("a"),
    }
}

fn lease_id((agent, n): (u8, u8)) -> LeaseId {
    LeaseId::new(format!("{agent}-{n}"))
}

fn op_id((agent, n): (u8, u8)) -> OpId {
    OpId::new(format!("{agent}-{n}"))
}

impl State {
    fn first() -> Self {
        let agent = Agent {
            at: At::Idle,
            grant: (0, 0),
            token: 0,
            grants: 0,
            acknowledged: 0,
        };
        let mut state = Self {
            rows: MemoryRows::default(),
            agents: [agent; AGENTS],
            latch: None,
            file: 0,
            newest: 0,
            expired: false,
        };
        state.transact(&Command::Open(Open {
            store: "store".into(),
            boot: "boot".into(),
            floor: Token::default(),
            first_sequence: 1,
            session: None,
        }));
        state.transact(&Command::Reserve(Token::new(1, 1000).expect("small")));
        state
    }

    /// Time stands at zero until a lease has run out, and again after its end.
    fn transact(&mut self, command: &Command) -> Outcome {
        let now = Timestamp::ZERO.plus_ms(if self.expired { TTL_MS } else { 0 });
        let outcome = self.rows.transact(command, StoreClock { now, wall_ms: 0 });
        self.expired &= !self.leases().is_empty();
        outcome
    }

    fn leases(&self) -> Vec<u64> {
        let Rows::Leases(leases) = self.rows.load(&Query::AllLeases) else {
            panic!("leases were asked for");
        };
        leases.iter().map(|lease| lease.token.number()).collect()
    }

    fn intents(&self) -> Vec<CommitIntent> {
        match self.rows.load(&Query::AllIntents) {
            Rows::Intents(intents) => intents,
            other => panic!("intents were asked for: {other:?}"),
        }
    }

    fn code(&self) -> Code {
        let intents = self.intents().iter().map(|i| i.token.number()).collect();
        let Rows::Meta(Some(meta)) = self.rows.load(&Query::Meta) else {
            panic!("the store is open");
        };
        let next = meta.next_sequence;
        let leases = self.leases();
        let (file, newest, expired) = (self.file, self.newest, self.expired);
        (
            self.agents,
            self.latch,
            file,
            newest,
            expired,
            leases,
            intents,
            next,
        )
    }

    fn acquire(&mut self, i: usize, holds: bool) -> Outcome {
        let agent = self.agents[i];
        let lease = lease_id((number(i), agent.grants));
        let wants = [Want::exclusive(key(), "CRIT_CODE")];
        self.transact(&Command::Acquire(Acquire {
            kind: LeaseKind::Reservation,
            urgency: Urgency::Batch,
            latched: latched(holds),
            ..Acquire::at_once(lease, owner(i), wants.into(), TTL_MS)
        }))
    }

    /// Asks for the lease, settling what is open if that is demanded.
    fn take(&mut self, i: usize, holds: bool, relaxed: Relaxed) {
        let was_expired = self.expired;
        let mut outcome = self.acquire(i, holds);
        if let Outcome::NeedRecovery(open) = outcome {
            self.recover(&open, relaxed);
            self.expired = was_expired;
            outcome = self.acquire(i, holds);
        }
        let agent = &mut self.agents[i];
        match outcome {
            Outcome::Granted { lease, .. } => {
                let token = lease.token.number();
                assert!(token > self.newest, "I2: {token} after {}", self.newest);
                agent.grant = (number(i), agent.grants);
                agent.token = token;
                agent.grants += 1;
                agent.at = At::Has;
                self.newest = token;
                // The grant begins anew: its time runs from here.
                if self.expired {
                    self.expired = false;
                    self.rebase();
                }
            }
            Outcome::NeedLatches { .. } => agent.at = At::WantsTake,
            Outcome::Busy { .. } => agent.at = At::Idle,
            other => panic!("{other:?}"),
        }
    }

    /// Moves the lease that was just granted back to time zero.
    fn rebase(&mut self) {
        let Rows::Leases(leases) = self.rows.load(&Query::AllLeases) else {
            panic!("leases were asked for");
        };
        for mut lease in leases {
            lease.granted_at = Timestamp::ZERO;
            lease.expires_at = Timestamp::ZERO.plus_ms(TTL_MS);
            self.rows.apply(maasl_core::lease::Change::PutLease(lease));
        }
    }

    /// Rolls forward what passed its commit point, or forgets it if the rule to
    /// do so is relaxed.
    fn recover(&mut self, open: &[CommitIntent], relaxed: Relaxed) {
        for intent in open {
            if relaxed == Relaxed::Recovery {
                let forget = maasl_core::lease::Change::DeleteLease(intent.token);
                self.rows.apply(forget);
                continue;
            }
            self.file = intent.token.number();
            self.finish(intent.op.clone());
        }
    }

    fn finish(&mut self, op: OpId) -> Outcome {
        self.transact(&Command::FinishCommit(FinishCommit {
            op,
            exceptions: BTreeMap::new(),
            recovered_by: None,
            counts: Vec::new(),
        }))
    }

    fn give_back(&mut self, grant: (u8, u8), holds: bool, relaxed: Relaxed) {
        let release = Command::Release(Release {
            lease: lease_id(grant),
            latched: latched(holds),
            counts: Vec::new(),
            request: None,
        });
        if let Outcome::NeedRecovery(open) = self.transact(&release) {
            self.recover(&open, relaxed);
            self.transact(&release);
        }
    }

    fn begin(&mut self, i: usize) -> Outcome {
        let agent = self.agents[i];
        let item = CommitItem {
            path: "a".into(),
            key: key(),
            op: "write".into(),
            stage: String::new(),
            old: None,
            new: None,
            size_bytes: 0,
        };
        self.transact(&Command::BeginCommit(CommitIntent {
            op: op_id(agent.grant),
            lease: lease_id(agent.grant),
            token: Token::from_number(agent.token),
            owner: owner(i),
            latches: vec![key()],
            items: vec![item],
            receipt: Receipt::Changed {
                files: Vec::new(),
                token: Token::from_number(agent.token),
                waited_ms: 0,
                beyond: Beyond::default(),
            },
            request: None,
            release: true,
            turned_back: false,
            database: None,
            patch: None,
        }))
    }

    fn unlatch(&mut self, i: usize) {
        if self.latch == Some(i) {
            self.latch = None;
        }
    }

    /// What must hold in every state.
    fn judge(&self, broken: &mut BTreeSet<&'static str>) {
        if self
            .agents
            .iter()
            .any(|agent| agent.acknowledged > self.file)
        {
            broken.insert("acknowledged commit lost");
        }
        let leases = self.leases();
        let stands = |intent: &CommitIntent| leases.contains(&intent.token.number());
        if !self.intents().iter().all(stands) {
            broken.insert("open commit without its lease");
        }
        assert!(leases.len() <= 1, "I3: {leases:?}");
    }
}

/// Every state that agent `i` can reach in one step.
fn steps(
    from: &State,
    i: usize,
    relaxed: Relaxed,
    broken: &mut BTreeSet<&'static str>,
) -> Vec<State> {
    let mut reached = Vec::new();
    let agent = from.agents[i];
    let free = from.latch.is_none();
    let to = |at: At, latch: Option<usize>| {
        let mut state = from.clone();
        state.agents[i].at = at;
        state.latch = latch;
        state
    };
    // The process is killed, and the kernel frees its latch.
    let mut killed = to(At::Dead, from.latch);
    killed.unlatch(i);
    reached.push(killed);
    match agent.at {
        At::Dead => return Vec::new(),
        At::Idle => {
            if agent.grants < GRANTS_EACH {
                let mut state = from.clone();
                state.take(i, relaxed == Relaxed::Take, relaxed);
                reached.push(state);
            }
            let foreign = relaxed == Relaxed::Foreign;
            if foreign || free {
                reached.push(to(At::Foreign, if foreign { from.latch } else { Some(i) }));
            }
        }
        At::WantsTake if free => reached.push(to(At::Take, Some(i))),
        At::WantsCommit if relaxed == Relaxed::Commit => reached.push(to(At::Check, from.latch)),
        At::WantsCommit if free => reached.push(to(At::Check, Some(i))),
        At::WantsReturn if free => reached.push(to(At::Return, Some(i))),
        At::WantsTake | At::WantsCommit | At::WantsReturn => {}
        At::Take => {
            let mut state = from.clone();
            state.take(i, true, relaxed);
            state.unlatch(i);
            reached.push(state);
        }
        At::Has => {
            reached.push(to(At::WantsCommit, from.latch));
            reached.push(to(At::WantsReturn, from.latch));
        }
        At::Check => {
            let mut state = to(At::Intent, from.latch);
            let held = state.transact(&Command::Verify(lease_id(agent.grant)));
            if !matches!(held, Outcome::Held { .. }) {
                state.agents[i].at = At::Idle;
                state.unlatch(i);
            }
            reached.push(state);
        }
        At::Intent => {
            let mut state = from.clone();
            if state.begin(i) == Outcome::Begun {
                state.agents[i].at = At::Swap;
            } else {
                state.agents[i].at = At::Idle;
                state.unlatch(i);
            }
            reached.push(state);
        }
        At::Swap => {
            if from.newest > agent.token {
                broken.insert("I1: swap after a newer grant");
            }
            let mut state = to(At::Finish, from.latch);
            state.file = agent.token;
            reached.push(state);
        }
        At::Finish => {
            let mut state = to(At::Idle, from.latch);
            state.finish(op_id(agent.grant));
            state.agents[i].acknowledged = agent.token;
            state.unlatch(i);
            reached.push(state);
        }
        At::Return => {
            let mut state = to(At::Idle, from.latch);
            state.give_back(agent.grant, true, relaxed);
            state.unlatch(i);
            reached.push(state);
        }
        At::Foreign => {
            for grant in (0..AGENTS).flat_map(|a| (0..GRANTS_EACH).map(move |n| (number(a), n))) {
                let mut state = to(At::Idle, from.latch);
                state.give_back(grant, true, relaxed);
                state.unlatch(i);
                reached.push(state);
            }
        }
    }
    reached
}

/// Walks every reachable state; returns how many there are and what broke.
fn explore(relaxed: Relaxed) -> (usize, BTreeSet<&'static str>) {
    let first = State::first();
    let mut seen = BTreeSet::from([first.code()]);
    let mut todo = vec![first];
    let mut broken = BTreeSet::new();
    while let Some(state) = todo.pop() {
        let mut reached = Vec::new();
        if !state.expired && !state.leases().is_empty() {
            let mut later = state.clone();
            later.expired = true;
            reached.push(later);
        }
        for i in 0..AGENTS {
            reached.extend(steps(&state, i, relaxed, &mut broken));
        }
        for next in reached {
            if seen.insert(next.code()) {
                next.judge(&mut broken);
                todo.push(next);
            }
        }
    }
    (seen.len(), broken)
}

#[test]
fn no_interleaving_breaks_the_rule() {
    let (states, broken) = explore(Relaxed::Nothing);
    assert_eq!(broken, BTreeSet::new());
    assert!(states > 5_000, "only {states} states");
    println!("{states} states");
}

#[test]
fn taking_over_without_the_latch_breaks_it() {
    let (_, broken) = explore(Relaxed::Take);
    assert!(
        broken.contains("I1: swap after a newer grant"),
        "{broken:?}"
    );
}

#[test]
fn returning_a_foreign_lease_without_the_latch_breaks_it() {
    let (_, broken) = explore(Relaxed::Foreign);
    assert!(
        broken.contains("I1: swap after a newer grant"),
        "{broken:?}"
    );
}

#[test]
fn committing_without_the_latch_breaks_it() {
    let (_, broken) = explore(Relaxed::Commit);
    assert!(
        broken.contains("I1: swap after a newer grant"),
        "{broken:?}"
    );
}

#[test]
fn ending_a_grant_without_recovery_breaks_it() {
    let (_, broken) = explore(Relaxed::Recovery);
    assert!(
        broken.contains("open commit without its lease"),
        "{broken:?}"
    );
}
