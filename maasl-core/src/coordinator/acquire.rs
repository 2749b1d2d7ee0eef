//! Getting a lease: asking, waiting, taking over, giving up.
//!
//! Owns: the loop around the lease table's answers. Promises: it ends within the
//! wait limit, leaves no ticket behind, and a takeover happens only under the
//! latches of what it ends, after open commits are settled. Leaves to others:
//! who may have what (the lease table), settling (`settle`).

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::call::{Cx, mixed_up};
use super::io::Event;
use super::settle;
use super::shared::Held;
use crate::id::{LeaseId, SessionId, TicketNo};
use crate::lease::command::{Acquire, Release};
use crate::lease::{Blocker, Command, Count, Counter, Lease, LeaseKind, Outcome, RequestKey};
use crate::mutant::{Mutant, is_active};
use crate::policy::Urgency;
use crate::refusal::{Busy, LostLease, Refusal};
use crate::reply::Receipt;
use crate::resource::{ResourceKey, Want};
use crate::time::Timestamp;

/// How often a waiter looks for dead holders. A living holder rings; only a dead
/// one needs to be found, and a look costs microseconds.
const PROBE_INTERVAL_MS: u64 = 100;

/// What is asked for.
pub(super) struct Wanted {
    pub(super) wants: Arc<[Want]>,
    pub(super) kind: LeaseKind,
    pub(super) ttl_ms: u64,
    pub(super) lock_delay_ms: u64,
    pub(super) purpose: Option<Arc<str>>,
    pub(super) urgency: Urgency,
    pub(super) max_wait_ms: u64,
    pub(super) request: Option<RequestKey>,
    pub(super) keep: bool,
}

/// What was got.
pub(super) enum Got {
    /// A grant, after this long.
    Lease { lease: Lease, waited_ms: u64 },
    /// The answer an earlier request with the same key was given.
    Earlier(Receipt),
}

/// Gets a lease, waiting as long as the caller allows.
pub(super) async fn acquire(cx: &Cx, wanted: Wanted) -> Result<Got, Refusal> {
    let id = lease_id(cx);
    let mut attempt = Attempt {
        cx,
        started: cx.now(),
        command: command(cx, &wanted, id),
        wanted,
        sent: cx.now(),
        latched: false,
    };
    let got = attempt.run().await;
    let tidied = attempt.tidy().await;
    if matches!(got, Err(Refusal::Internal { .. })) {
        attempt.disown().await;
    }
    // Why there is no grant matters more than what could not be cleaned up.
    got.and_then(|got| tidied.map(|()| got))
}

/// The id of the lease that a call asks for.
pub(super) fn lease_id(cx: &Cx) -> LeaseId {
    LeaseId::new(cx.seed.entropy.derive("lease", 0))
}

fn command(cx: &Cx, wanted: &Wanted, lease: LeaseId) -> Acquire {
    let max_waiters = cx.config().limits.max_waiters;
    Acquire {
        kind: wanted.kind,
        lock_delay_ms: wanted.lock_delay_ms,
        purpose: wanted.purpose.clone(),
        urgency: wanted.urgency,
        wait_ms: wanted.max_wait_ms,
        request: wanted.request.clone(),
        max_waiters: u32::try_from(max_waiters).unwrap_or(u32::MAX),
        ..Acquire::at_once(lease, cx.owner(), wanted.wants.clone(), wanted.ttl_ms)
    }
}

/// One request for a lease, from its first sending to its end.
struct Attempt<'a> {
    cx: &'a Cx,
    started: Timestamp,
    wanted: Wanted,
    command: Acquire,
    /// When this round was sent. Every round before it was answered with
    /// something else than a grant, so the lease cannot be older than this.
    sent: Timestamp,
    latched: bool,
}

impl Attempt<'_> {
    async fn run(&mut self) -> Result<Got, Refusal> {
        loop {
            let now = self.cx.now();
            self.sent = now;
            self.command.wait_ms = self.deadline().ms_from(now);
            self.command.waited_us = now
                .duration_from(self.started)
                .as_micros()
                .try_into()
                .unwrap_or(u64::MAX);
            let command = self.command.clone();
            let command = if self.cx.observes() {
                Command::Watch(command)
            } else {
                Command::Acquire(command)
            };
            match self.cx.store(command).await? {
                Outcome::Granted {
                    lease,
                    taken_over,
                    wake,
                } => {
                    self.command.ticket = None;
                    let got = self.granted(lease, taken_over.len() as u64);
                    self.cx.ring(wake).await;
                    return Ok(got);
                }
                Outcome::Watched { lease, blockers } => {
                    // Nobody where only the latches could not be had.
                    if !blockers.is_empty() {
                        self.cx.would_block(Box::new(self.busy(blockers, 0)));
                    }
                    return Ok(self.granted(lease, 0));
                }
                Outcome::Queued {
                    ticket,
                    place,
                    blockers,
                    retry_in_ms,
                } => {
                    self.command.ticket = Some(ticket);
                    self.wait(ticket, place, blockers, retry_in_ms).await?;
                }
                Outcome::Busy {
                    blockers,
                    place,
                    wake,
                } => {
                    self.command.ticket = None;
                    self.cx.ring(wake).await;
                    // Who may not wait finds the dead all the same.
                    if is_active(Mutant::DeadUnnoticedAtOnce) || !self.finds_dead(&blockers).await?
                    {
                        let busy = self.busy(blockers, place);
                        self.count_in_vain().await;
                        return Err(Refusal::ResourceBusy(Box::new(busy)));
                    }
                }
                Outcome::Deadlock { circle, wake } => {
                    self.command.ticket = None;
                    self.cx.ring(wake).await;
                    return Err(Refusal::Deadlock { circle });
                }
                Outcome::LimitReached { limit, value } => {
                    return Err(Refusal::LimitReached { limit, value });
                }
                Outcome::NeedLatches { keys } => self.latch(keys).await?,
                Outcome::NeedRecovery(intents) => settle::settle_all(self.cx, &intents).await?,
                Outcome::Answered(receipt) => return Ok(Got::Earlier(receipt)),
                Outcome::KeyMismatch => return Err(key_mismatch(self.wanted.request.as_ref())),
                Outcome::Lost { ended, expired } => {
                    return Err(lost(&self.keys(), ended, expired.as_ref()));
                }
                other => mixed_up(&other),
            }
        }
    }

    fn deadline(&self) -> Timestamp {
        self.started.plus_ms(self.wanted.max_wait_ms)
    }

    fn keys(&self) -> Vec<String> {
        self.wanted
            .wants
            .iter()
            .map(|want| want.extent.key.to_string())
            .collect()
    }

    fn granted(&self, lease: Lease, taken_over: u64) -> Got {
        let cx = self.cx;
        // What the store remembers under the idempotency key, not a later reading:
        // asked again, the answer must be the same.
        let waited_ms = self.command.waited_us / 1_000;
        let drift_ppm = cx.config().clock_drift_ppm;
        let sent = if is_active(Mutant::DeadlineFromReply) {
            cx.now()
        } else {
            self.sent
        };
        let mut held = Held::new(lease.clone(), sent, drift_ppm, self.wanted.keep);
        if lease.kind == LeaseKind::Call {
            held.users = 1;
        }
        cx.seed.shared.borrow_mut().hold(held);
        cx.event(Event::LockAcquired {
            agent: cx.seed.agent.clone(),
            keys: lease.keys().cloned().collect(),
            token: lease.token,
            waited_ms,
            taken_over,
        });
        Got::Lease { lease, waited_ms }
    }

    /// Waits for a ring, for time to pass, or for a blocker to be found dead.
    async fn wait(
        &mut self,
        ticket: TicketNo,
        place: u32,
        blockers: Vec<Blocker>,
        retry_in_ms: u64,
    ) -> Result<(), Refusal> {
        self.drop_latches().await?;
        if self.finds_dead(&blockers).await? {
            return Ok(());
        }
        let now = self.cx.now();
        let deadline = self.deadline();
        if now >= deadline {
            return Err(Refusal::ResourceBusy(Box::new(self.busy(blockers, place))));
        }
        self.cx.event(Event::Waiting {
            call: self.cx.seed.call,
            blockers,
            place,
            waited_ms: now.ms_since(self.started),
            allowed_ms: self.wanted.max_wait_ms,
        });
        let look_again = if is_active(Mutant::LostWakeUp) {
            now.plus_ms(3_600_000)
        } else {
            now.plus_ms(retry_in_ms.clamp(1, PROBE_INTERVAL_MS))
                .min(deadline)
        };
        match self.cx.wait(ticket, look_again).await {
            super::call::WaitEnd::Cancelled => Err(Refusal::Cancelled),
            super::call::WaitEnd::Rung | super::call::WaitEnd::Deadline => Ok(()),
        }
    }

    /// Whether some of those in the way are found dead, which the next request tells.
    async fn finds_dead(&mut self, blockers: &[Blocker]) -> Result<bool, Refusal> {
        let sessions = self.unknown_sessions(blockers);
        let dead = self.cx.probe(sessions).await?;
        if dead.is_empty() || is_active(Mutant::WaiterLostOnCrash) {
            return Ok(false);
        }
        self.command.dead.extend(dead);
        Ok(true)
    }

    /// The sessions in the way that could be dead: all but this one and those
    /// already known to be.
    fn unknown_sessions(&self, blockers: &[Blocker]) -> BTreeSet<SessionId> {
        let sessions = blockers.iter().map(|blocker| &blocker.owner.session);
        let unknown = sessions.filter(|session| {
            **session != self.cx.seed.session && !self.command.dead.contains(*session)
        });
        unknown.cloned().collect()
    }

    fn busy(&self, blockers: Vec<Blocker>, place: u32) -> Busy {
        let resource = blockers.first().map(|blocker| blocker.key.to_string());
        let own = blockers
            .first()
            .is_some_and(|blocker| blocker.token.is_some() && blocker.owner == self.cx.owner());
        Busy {
            resource: resource.unwrap_or_else(|| self.keys().join(", ")),
            blockers,
            place,
            waited_ms: self.cx.now().ms_since(self.started),
            allowed_ms: self.wanted.max_wait_ms,
            process: None,
            own,
        }
    }

    async fn latch(&mut self, keys: Vec<ResourceKey>) -> Result<(), Refusal> {
        self.drop_latches().await?;
        match self.cx.latch(keys.clone()).await? {
            Ok(()) => {
                self.latched = true;
                self.command.latched = keys.into_iter().collect();
                Ok(())
            }
            Err(process) => {
                let (started, allowed_ms) = (self.started, self.wanted.max_wait_ms);
                let busy = latch_busy(self.cx, &keys, process, started, allowed_ms);
                self.cx.unless_observed(busy)?;
                self.command.beside = true;
                Ok(())
            }
        }
    }

    async fn drop_latches(&mut self) -> Result<(), Refusal> {
        if core::mem::take(&mut self.latched) {
            self.command.latched.clear();
            self.cx.unlatch().await?;
        }
        Ok(())
    }

    /// Leaves nothing behind: no latch, and no ticket of a request that ended
    /// without a grant of its own. A grant has consumed the ticket.
    async fn tidy(&mut self) -> Result<(), Refusal> {
        self.drop_latches().await?;
        let Some(ticket) = self.command.ticket.take() else {
            return Ok(());
        };
        leave_queue(self.cx, ticket).await;
        self.count_in_vain().await;
        Ok(())
    }

    /// Counts a wait that ended without a grant. The table cannot: a holder that it
    /// names may be found dead, and then the request goes on.
    async fn count_in_vain(&self) {
        let class = self.wanted.wants.first().map_or("", |want| &want.class);
        let count = Command::Tally(Vec::from([self.cx.count(Counter::TimedOut, class)]));
        // A count that cannot be kept is no reason to fail.
        let _ = self.cx.store(count).await;
    }

    /// Lets a lease run out that may have been granted by a store which then failed:
    /// nobody would return it. Under an idempotency key it may still be asked for.
    async fn disown(&self) {
        if self.wanted.request.is_some() {
            return;
        }
        let expire = Command::Expire(self.command.lease.clone());
        // Where the store still fails, the lease ends by itself.
        if let Ok(Outcome::Done { wake }) = self.cx.store(expire).await {
            self.cx.ring(wake).await;
        }
    }
}

/// The refusal of a call that met somebody inside a latch it needs.
pub(super) fn latch_busy(
    cx: &Cx,
    keys: &[ResourceKey],
    process: Option<crate::refusal::Process>,
    started: Timestamp,
    allowed_ms: u64,
) -> Refusal {
    let resource = keys.first().map(ToString::to_string).unwrap_or_default();
    Refusal::ResourceBusy(Box::new(Busy {
        resource,
        process: Some(process.unwrap_or_default()),
        waited_ms: cx.now().ms_since(started),
        allowed_ms: allowed_ms.max(cx.config().limits.latch_wait_ms),
        ..Busy::default()
    }))
}

/// The refusal of a call whose idempotency key was used for something else.
pub(super) fn key_mismatch(request: Option<&RequestKey>) -> Refusal {
    Refusal::IdempotencyMismatch {
        key: request
            .map(|request| request.key.clone())
            .unwrap_or_default(),
    }
}

/// The refusal of a call whose lease is over.
pub(super) fn lost(
    resources: &[String],
    ended: Option<crate::lease::EndedLease>,
    expired: Option<&Lease>,
) -> Refusal {
    let token = ended
        .as_ref()
        .map(|ended| ended.token)
        .or(expired.map(|lease| lease.token));
    Refusal::LeaseLost(Box::new(LostLease {
        resources: resources.to_vec(),
        token,
        expired: ended.is_none() && expired.is_some(),
        ended,
    }))
}

/// Returns a lease under its latches; open commits of its own are settled first.
/// The answer is remembered under the key of the request, where it has one.
pub(super) async fn release(
    cx: &Cx,
    lease: &LeaseId,
    counts: Vec<Count>,
    request: Option<&RequestKey>,
) -> Result<Outcome, Refusal> {
    let command = |latched| {
        Command::Release(Release {
            lease: lease.clone(),
            latched,
            counts: counts.clone(),
            request: request.cloned(),
        })
    };
    let outcome = end_under_latches(cx, known_keys(cx, lease), command).await?;
    // Whatever failed, its holder is done with it; under the key of another request
    // nobody was asked to end it.
    if !matches!(outcome, Ok(Outcome::KeyMismatch)) {
        cx.let_go(lease);
    }
    let outcome = outcome?;
    if let Outcome::Released { wake, .. } = &outcome {
        cx.ring(wake.clone()).await;
    }
    Ok(outcome)
}

/// Puts a command that ends leases to the store, under the latches it asks for
/// and after the commits it names are settled. `latched` are the keys known to be
/// needed. The outer result is that of the latches, the inner one the store's.
pub(super) async fn end_under_latches(
    cx: &Cx,
    mut latched: BTreeSet<ResourceKey>,
    command: impl Fn(BTreeSet<ResourceKey>) -> Command + Send + Sync,
) -> Result<Result<Outcome, Refusal>, Refusal> {
    let started = cx.now();
    let mut inside = false;
    let outcome = loop {
        if !inside && !latched.is_empty() {
            latch_for_end(cx, &latched, started).await?;
            inside = true;
        }
        match cx.store(command(latched.clone())).await {
            Ok(Outcome::NeedLatches { keys }) => {
                if core::mem::take(&mut inside) {
                    cx.unlatch().await?;
                }
                latched = keys.into_iter().collect();
            }
            Ok(Outcome::NeedRecovery(intents)) => {
                if let Err(refusal) = settle::settle_all(cx, &intents).await {
                    break Err(refusal);
                }
            }
            other => break other,
        }
    };
    if inside {
        cx.unlatch().await?;
    }
    Ok(outcome)
}

/// Returns a lease this call took for itself. If somebody stands in a latch that
/// this needs, the lease is left to run out now, so that the next who asks is not
/// held up by a holder that has gone; the caller is told what became of its
/// request, not about that.
pub(super) async fn give_back(cx: &Cx, id: &LeaseId, counts: Vec<Count>) {
    if release(cx, id, counts, None).await.is_err() {
        let_run_out(cx, id).await;
    }
    cx.let_go(id);
}

/// Lets leases run out that could not be returned, as when the store had no room,
/// and takes tickets back that could not be: nobody else would end them before
/// their time.
pub(super) async fn return_stranded(cx: &Cx) {
    let (leases, tickets) = cx.seed.shared.borrow_mut().take_stranded();
    for id in leases {
        let_run_out(cx, &id).await;
    }
    for ticket in tickets {
        leave_queue(cx, ticket).await;
    }
}

/// Takes a ticket back; later, where the store cannot now.
async fn leave_queue(cx: &Cx, ticket: TicketNo) {
    match cx.store(Command::Cancel(ticket)).await {
        Ok(Outcome::Done { wake }) => cx.ring(wake).await,
        Ok(_) => {}
        Err(_) => cx.seed.shared.borrow_mut().strand_ticket(ticket),
    }
}

async fn let_run_out(cx: &Cx, id: &LeaseId) {
    match cx.store(Command::Expire(id.clone())).await {
        Ok(Outcome::Done { wake }) => cx.ring(wake).await,
        Ok(_) => {}
        Err(_) => cx.seed.shared.borrow_mut().strand(id.clone()),
    }
}

fn known_keys(cx: &Cx, lease: &LeaseId) -> BTreeSet<ResourceKey> {
    let mut shared = cx.seed.shared.borrow_mut();
    let held = shared.held(lease);
    held.map(|held| held.lease.keys().cloned().collect())
        .unwrap_or_default()
}

async fn latch_for_end(
    cx: &Cx,
    keys: &BTreeSet<ResourceKey>,
    started: Timestamp,
) -> Result<(), Refusal> {
    let keys: Vec<ResourceKey> = keys.iter().cloned().collect();
    match cx.latch(keys.clone()).await? {
        Ok(()) => Ok(()),
        Err(process) => Err(latch_busy(cx, &keys, process, started, 0)),
    }
}
