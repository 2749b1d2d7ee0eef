//! Drives the table and the reference side by side.
//!
//! Owns: processes that ask, wait, commit, die; the latches they hold; what has
//! been promised to them. Promises: every step compares answers and rows, and
//! checks what must hold between steps. Leaves to others: which steps to take.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use maasl_core::id::{AgentId, OpId, Owner, TicketNo, Token};
use maasl_core::lease::command::{Acquire, FinishCommit, Open, Release, Revoke, Sweep};
use maasl_core::lease::{Command, CommitIntent, LeaseKind, MemoryRows, Outcome, StoreClock, Wake};
use maasl_core::policy::Urgency;
use maasl_core::time::Timestamp;

use crate::reference::{
    Ask, Expect, Grant, MAX_WAITERS, Need, Open as OpenCommit, Path, Reference, Who, clash,
};
use crate::words::{extent, intent, keys, lease_id, op_id, owner, wants};

/// What a waiter has been told.
struct Watch {
    ask: Ask,
    /// When its own timer rings, by `World::elapsed`.
    due: u64,
    rung: bool,
}

#[derive(Default)]
pub(crate) struct World {
    rows: MemoryRows,
    pub(crate) table: Reference,
    watch: BTreeMap<u64, Watch>,
    /// Every request as it was sent, for sending it again.
    pub(crate) sent: Vec<Ask>,
    returned: Vec<(u64, Vec<Need>)>,
    /// Commits under way in living processes, with the latches they hold.
    inside: BTreeMap<u32, (u32, BTreeSet<Path>)>,
    /// The clock of every process: the store's, but never set back.
    elapsed: u64,
    /// The latest the store's clock has ever been.
    latest: u64,
    dead: BTreeSet<u32>,
    known: BTreeSet<u32>,
    lives: [u32; 3],
    boots: u32,
    ops: u32,
    ids: u32,
    pub(crate) seen: BTreeMap<&'static str, u32>,
}

impl World {
    pub(crate) fn open() -> Self {
        let mut world = Self::default();
        world.boot();
        world
    }

    fn transact(&mut self, command: &Command) -> Outcome {
        let clock = StoreClock {
            now: Timestamp::ZERO.plus_ms(self.table.now),
            wall_ms: self.table.now,
        };
        self.rows.transact(command, clock)
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn boot(&mut self) {
        self.boots += 1;
        let floor = self.returned.iter().map(|(token, _)| *token).max();
        let open = Command::Open(Open {
            store: "store".into(),
            boot: format!("boot{}", self.boots),
            floor: Token::from_number(floor.unwrap_or(0)),
            first_sequence: 1,
            session: None,
        });
        assert!(matches!(self.transact(&open), Outcome::Opened(_)));
    }

    pub(crate) fn tick(&mut self, ms: u64) {
        self.table.now += ms;
        self.elapsed += ms;
        self.latest = self.latest.max(self.table.now);
    }

    pub(crate) fn reboot(&mut self) {
        self.saw("reboot");
        for slot in 0..3 {
            self.kill(slot);
        }
        self.boot();
        self.table.waiters.clear();
        for grant in &mut self.table.grants {
            grant.expires = self.table.now;
        }
        self.watch.clear();
    }

    /// The living session and the agent behind number `n`.
    fn who(&self, n: u32) -> Who {
        let slot = n % 3;
        (slot + 3 * self.lives[slot as usize], n / 3 % 2)
    }

    pub(crate) fn request(&mut self, n: u32, mut ask: Ask) {
        self.ids += 1;
        ask.id = self.ids;
        ask.who = self.who(n);
        self.ask(ask);
    }

    /// Sends a request, and again as long as its process can provide what the
    /// table asks for.
    pub(crate) fn ask(&mut self, mut ask: Ask) {
        if self.dead.contains(&ask.who.0) {
            return;
        }
        ask.latched.clear();
        ask.dead.extend(&self.known);
        self.sent.push(ask.clone());
        for _ in 0..9 {
            let expected = self.table.expect(&ask);
            let outcome = self.send(&ask);
            match (expected, outcome) {
                (Expect::Grant, Outcome::NeedReserve(token)) => {
                    let through = Token::from_number(token.number() + 2);
                    self.transact(&Command::Reserve(through));
                }
                (Expect::Latches(paths), Outcome::NeedLatches { keys: asked }) => {
                    assert_eq!(asked.into_iter().collect::<BTreeSet<_>>(), keys(&paths));
                    self.saw("latches");
                    if self.is_latched(&paths) {
                        self.look_again(&ask);
                        return;
                    }
                    ask.latched.extend(paths);
                }
                (Expect::Recovery(ops), Outcome::NeedRecovery(open)) => {
                    self.recover(&ops, &open);
                }
                (expected, outcome) => {
                    self.answered(ask, &expected, outcome);
                    return;
                }
            }
        }
        panic!("a request never comes to an end");
    }

    fn send(&mut self, ask: &Ask) -> Outcome {
        let command = Acquire {
            lease: lease_id(ask.id),
            owner: owner(ask.who),
            wants: wants(&ask.needs).into(),
            kind: if ask.kept {
                LeaseKind::Reservation
            } else {
                LeaseKind::Call
            },
            ttl_ms: ask.ttl,
            lock_delay_ms: ask.delay,
            purpose: None,
            urgency: if ask.patient {
                Urgency::Batch
            } else {
                Urgency::Interactive
            },
            wait_ms: ask.wait,
            ticket: ask.ticket.map(TicketNo),
            dead: ask.dead.iter().map(|s| owner((*s, 0)).session).collect(),
            latched: keys(&ask.latched),
            request: None,
            waited_us: 0,
            max_waiters: MAX_WAITERS,
            beside: false,
        };
        self.transact(&Command::Acquire(command))
    }

    fn answered(&mut self, mut ask: Ask, expected: &Expect, outcome: Outcome) {
        match (expected, outcome) {
            (Expect::Grant, Outcome::Granted { lease, wake, .. }) => {
                self.saw("granted");
                let token = lease.token.number();
                let newest = self.returned.iter().map(|(token, _)| *token).max();
                assert!(newest < Some(token), "I2: {token} after {newest:?}");
                self.returned.push((token, ask.needs.clone()));
                self.table.granted(&ask, token);
                self.ring(wake);
            }
            (Expect::Again(token), Outcome::Granted { lease, .. }) => {
                self.saw("granted again");
                assert_eq!(lease.token.number(), *token);
            }
            (Expect::Lost, Outcome::Lost { .. }) => self.saw("lost"),
            (Expect::Blocked { place: ahead }, outcome) => match outcome {
                Outcome::Queued {
                    ticket,
                    place,
                    retry_in_ms,
                    ..
                } => {
                    assert!(ask.wait > 0);
                    assert_eq!(place as usize, *ahead);
                    self.saw("queued");
                    assert_eq!(Some(self.table.now + retry_in_ms), self.table.due(&ask));
                    self.table.queued(&ask, ticket.0);
                    ask.ticket = Some(ticket.0);
                    let due = self.elapsed + retry_in_ms;
                    let rung = false;
                    self.watch.insert(ticket.0, Watch { ask, due, rung });
                }
                Outcome::Busy { wake, .. } => {
                    assert_eq!(ask.wait, 0);
                    self.saw("busy");
                    self.table.turned_away(&ask);
                    self.ring(wake);
                }
                Outcome::Deadlock { circle, wake } => {
                    assert!(ask.wait > 0);
                    self.saw("deadlock");
                    self.check_circle(&ask, &circle);
                    self.table.turned_away(&ask);
                    self.ring(wake);
                }
                Outcome::LimitReached { .. } => {
                    self.saw("limit");
                    assert!(!self.table.is_queued(&ask) && *ahead >= MAX_WAITERS as usize);
                }
                other => panic!("{ask:?} is blocked, but got {other:?}"),
            },
            (expected, outcome) => panic!("{ask:?}: {expected:?}, but got {outcome:?}"),
        }
    }

    fn is_latched(&self, paths: &BTreeSet<Path>) -> bool {
        self.inside
            .values()
            .any(|(_, held)| !held.is_disjoint(paths))
    }

    /// The process blocks in the latch itself and asks again after it.
    fn look_again(&mut self, ask: &Ask) {
        let waits = self.watch.values_mut().find(|watch| watch.ask.id == ask.id);
        if let Some(watch) = waits {
            watch.rung = true;
        }
    }

    fn recover(&mut self, ops: &BTreeSet<u32>, open: &[CommitIntent]) {
        let named: BTreeSet<OpId> = open.iter().map(|intent| intent.op.clone()).collect();
        assert_eq!(named, ops.iter().map(|op| op_id(*op)).collect());
        self.saw("recovery");
        for op in ops {
            assert!(
                !self.inside.contains_key(op),
                "its process still holds the latch"
            );
            self.finish(*op, Some(owner((0, 9))));
        }
    }

    /// Rings the bells of these waiters. A bell that nobody holds is the news
    /// that its process is dead, which is passed on at once.
    fn ring(&mut self, wake: Vec<Wake>) {
        let mut found_dead = false;
        for Wake { session, ticket } in wake {
            let waiter = self.table.waiters.iter().find(|w| w.no == ticket.0);
            let waiter = waiter.expect("only a waiter is woken");
            assert_eq!(session, owner(waiter.who).session);
            found_dead |= self.dead.contains(&waiter.who.0);
            if let Some(watch) = self.watch.get_mut(&ticket.0) {
                watch.rung = true;
            }
        }
        if found_dead {
            self.sweep();
        }
    }

    /// Some waiter looks again: one that was rung, if there is one.
    pub(crate) fn look(&mut self, n: usize, rung: bool, all_dead: bool) {
        let now = self.elapsed;
        let ready: Vec<u64> = (self.watch.iter())
            .filter(|(_, watch)| !rung || watch.rung || watch.due <= now)
            .map(|(no, _)| *no)
            .collect();
        if ready.is_empty() {
            return;
        }
        let watch = self
            .watch
            .get_mut(&ready[n % ready.len()])
            .expect("it was just listed");
        watch.rung = false;
        let dead = if all_dead { &self.dead } else { &self.known };
        watch.ask.dead.clone_from(dead);
        let ask = watch.ask.clone();
        self.ask(ask);
    }

    pub(crate) fn cancel(&mut self, n: u64) {
        let outcome = self.transact(&Command::Cancel(TicketNo(n)));
        let Outcome::Done { wake } = outcome else {
            panic!("{outcome:?}");
        };
        self.table.forget(|w| w.no == n);
        self.ring(wake);
    }

    pub(crate) fn renew(&mut self, id: u32) {
        let now = self.table.now;
        let outcome = self.transact(&Command::Renew(lease_id(id)));
        let live = |g: &&mut Grant| g.id == id && now < g.expires;
        match self.table.grants.iter_mut().find(live) {
            Some(grant) => {
                grant.expires = now + grant.ttl;
                assert!(matches!(outcome, Outcome::Held { .. }), "{outcome:?}");
            }
            None => assert!(matches!(outcome, Outcome::Lost { .. }), "{outcome:?}"),
        }
    }

    pub(crate) fn release(&mut self, id: u32) {
        let mut latched = BTreeSet::new();
        loop {
            let grant = self.table.grants.iter().find(|g| g.id == id).cloned();
            let command = Command::Release(Release {
                lease: lease_id(id),
                latched: keys(&latched),
                counts: Vec::new(),
                request: None,
            });
            let outcome = self.transact(&command);
            let Some(grant) = grant else {
                assert!(matches!(outcome, Outcome::Lost { .. }), "{outcome:?}");
                return;
            };
            match (self.table.conditions(&[grant.token], &latched), outcome) {
                (Some(Expect::Latches(paths)), Outcome::NeedLatches { .. }) => {
                    if self.is_latched(&paths) {
                        return;
                    }
                    latched.extend(paths);
                }
                (Some(Expect::Recovery(ops)), Outcome::NeedRecovery(open)) => {
                    self.recover(&ops, &open);
                }
                (None, Outcome::Lost { expired, .. }) => {
                    assert!(self.table.now >= grant.expires && expired.is_some());
                    let over = self.table.now >= grant.expires + grant.delay;
                    if over && !self.table.is_awaited(&grant.needs) {
                        self.table.end(grant.token);
                    }
                    return;
                }
                (None, Outcome::Released { wake, .. }) => {
                    assert!(self.table.now < grant.expires);
                    self.saw("released");
                    self.table.returned(id);
                    self.ring(wake);
                    return;
                }
                (expected, outcome) => panic!("{expected:?}, but got {outcome:?}"),
            }
        }
    }

    pub(crate) fn revoke(&mut self, target: &Need) {
        let mut latched = BTreeSet::new();
        loop {
            let hit = |g: &&Grant| {
                g.needs
                    .iter()
                    .any(|need| crate::reference::touch(need, target))
            };
            let tokens: Vec<u64> = self
                .table
                .grants
                .iter()
                .filter(hit)
                .map(|g| g.token)
                .collect();
            let outcome = self.transact(&Command::Revoke(Revoke {
                target: extent(target),
                by: AgentId::new("boss"),
                reason: "test".into(),
                latched: keys(&latched),
            }));
            match (self.table.conditions(&tokens, &latched), outcome) {
                (Some(Expect::Latches(paths)), Outcome::NeedLatches { .. }) => {
                    if self.is_latched(&paths) {
                        return;
                    }
                    latched.extend(paths);
                }
                (Some(Expect::Recovery(ops)), Outcome::NeedRecovery(open)) => {
                    self.recover(&ops, &open);
                }
                (None, Outcome::Revoked { leases, wake }) => {
                    let mut gone: Vec<u64> = leases.iter().map(|l| l.token.number()).collect();
                    gone.sort_unstable();
                    assert_eq!(gone, tokens);
                    self.saw("revoked");
                    for token in tokens {
                        self.table.end(token);
                    }
                    self.ring(wake);
                    return;
                }
                (expected, outcome) => panic!("{expected:?}, but got {outcome:?}"),
            }
        }
    }

    /// Process `n` begins a commit of `path` under a lease it was shown.
    pub(crate) fn begin(&mut self, n: u32, lease: usize, path: &Path, release: bool) {
        let Some(grant) = pick(&self.table.grants, lease).cloned() else {
            return;
        };
        let mut latches: BTreeSet<Path> = grant.needs.iter().map(|n| n.path.clone()).collect();
        latches.insert(path.clone());
        let mine = |o: &&OpenCommit| o.token == grant.token;
        let orphans: Vec<OpenCommit> = self.table.open.iter().filter(mine).cloned().collect();
        for orphan in &orphans {
            latches.extend(orphan.latches.iter().cloned());
        }
        if self.is_latched(&latches) {
            return;
        }
        self.ops += 1;
        let op = self.ops;
        let command =
            Command::BeginCommit(intent(op, &grant, path, &latches, release && !grant.kept));
        let mut outcome = self.transact(&command);
        if let Outcome::NeedRecovery(open) = &outcome {
            let ops: BTreeSet<u32> = orphans.iter().map(|orphan| orphan.op).collect();
            self.recover(&ops, open);
            outcome = self.transact(&command);
        }
        let standing = self.table.grants.iter().any(|g| g.token == grant.token);
        if !standing || self.table.now >= grant.expires {
            assert!(matches!(outcome, Outcome::Lost { .. }), "{outcome:?}");
            return;
        }
        let item = Need {
            path: path.clone(),
            deep: false,
            alone: true,
        };
        let covers = |n: &Need| n.alone && crate::reference::touch(n, &item);
        if !grant.needs.iter().any(covers) {
            assert!(matches!(outcome, Outcome::NotCovered { .. }), "{outcome:?}");
            return;
        }
        assert_eq!(outcome, Outcome::Begun);
        assert_eq!(self.transact(&command), Outcome::Begun, "sent twice");
        self.saw("begun");
        let newer = |(token, needs): &(u64, Vec<Need>)| {
            *token > grant.token && clash(needs, std::slice::from_ref(&item))
        };
        assert!(
            !self.returned.iter().any(newer),
            "I1: {path:?} under {}",
            grant.token
        );
        let release = release && !grant.kept;
        let (id, token, path) = (grant.id, grant.token, path.clone());
        let held = latches.clone();
        self.table.open.push(OpenCommit {
            op,
            id,
            token,
            path,
            latches,
            release,
        });
        let session = self.who(n).0;
        self.inside.insert(op, (session, held));
    }

    pub(crate) fn finish_any(&mut self, n: usize) {
        let ops: Vec<u32> = self.inside.keys().copied().collect();
        if let Some(op) = pick(&ops, n) {
            self.finish(*op, None);
        }
    }

    /// Finishes a commit; a second time it is not known any more.
    pub(crate) fn finish(&mut self, op: u32, recovered_by: Option<Owner>) {
        let command = Command::FinishCommit(FinishCommit {
            op: op_id(op),
            exceptions: BTreeMap::new(),
            recovered_by,
            counts: Vec::new(),
        });
        let outcome = self.transact(&command);
        let at = self.table.open.iter().position(|open| open.op == op);
        let Some(at) = at else {
            assert!(matches!(outcome, Outcome::UnknownOp(_)), "{outcome:?}");
            return;
        };
        let Outcome::Finished { wake, .. } = outcome else {
            panic!("{outcome:?}");
        };
        self.saw("finished");
        let open = self.table.open.remove(at);
        self.inside.remove(&op);
        if open.release {
            self.table.returned(open.id);
        }
        self.ring(wake);
        assert!(matches!(self.transact(&command), Outcome::UnknownOp(_)));
    }

    /// The process dies; the kernel frees its latches. Its slot gets another.
    pub(crate) fn kill(&mut self, slot: u32) {
        let session = self.who(slot).0;
        self.dead.insert(session);
        self.lives[slot as usize % 3] += 1;
        self.inside.retain(|_, (owner, _)| *owner != session);
        self.watch.retain(|_, watch| watch.ask.who.0 != session);
    }

    /// Goes in good order: no waiter of it stays.
    pub(crate) fn close(&mut self, slot: u32) {
        let session = self.who(slot).0;
        let command = Command::CloseSession(owner((session, 0)).session);
        let Outcome::Done { wake } = self.transact(&command) else {
            panic!("closing is never refused");
        };
        let now = self.table.now;
        self.table
            .forget(|w| w.who.0 == session || now >= w.deadline);
        self.kill(slot);
        self.ring(wake);
    }

    /// Somebody tells the table who is dead.
    pub(crate) fn sweep(&mut self) {
        self.known.clone_from(&self.dead);
        let dead = self.dead.iter().map(|s| owner((*s, 0)).session).collect();
        let outcome = self.transact(&Command::Sweep(Sweep { dead }));
        let Outcome::Done { wake } = outcome else {
            panic!("{outcome:?}");
        };
        let (now, dead) = (self.table.now, &self.dead);
        self.table
            .forget(|w| dead.contains(&w.who.0) || now >= w.deadline);
        self.ring(wake);
    }
}

pub(crate) fn pick<T>(of: &[T], n: usize) -> Option<&T> {
    if of.is_empty() {
        None
    } else {
        of.get(n % of.len())
    }
}
