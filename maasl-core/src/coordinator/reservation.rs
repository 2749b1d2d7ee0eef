//! Leases held across calls.
//!
//! Owns: `lease_acquire`, `lease_renew`, `lease_release`, revoke. Promises: a
//! reservation is granted whole or not at all; one process has at most so many.
//! Leaves to others: the rules (the lease table).

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire::{self, Got, Wanted};
use super::call::{Cx, mixed_up};
use super::change::{recall, unless_answered};
use super::io::{Call, Event, Reply, Reservation, ResourceWanted};
use super::settle;
use crate::id::{AgentId, LeaseId};
use crate::lease::command::{Remember, Revoke};
use crate::lease::row::Target;
use crate::lease::{Command, Counter, EndedLease, Lease, LeaseEnd, LeaseKind, Outcome, RequestKey};
use crate::mutant::{Mutant, is_active};
use crate::path::{PathReason, fold};
use crate::policy::{Policy, ScopeKind};
use crate::refusal::{LostLease, Refusal};
use crate::reply::Receipt;
use crate::resource::{Extent, ResourceKey, Scope, Want, canonical};

/// Grants a reservation.
pub(super) async fn reserve(cx: &Cx, call: &Call, asked: Reservation) -> Result<Receipt, Refusal> {
    if let Some(earlier) = recall(cx, call.request.as_ref()).await? {
        return Ok(earlier);
    }
    let result = reserved(cx, call, asked).await;
    unless_answered(cx, call.request.as_ref(), result).await
}

async fn reserved(cx: &Cx, call: &Call, asked: Reservation) -> Result<Receipt, Refusal> {
    let limits = &cx.config().limits;
    if asked.resources.is_empty() {
        return Err(Refusal::invalid("resources", "names no resource"));
    }
    if asked.resources.len() as u64 > limits.max_resources_per_lease {
        return Err(Refusal::LimitReached {
            limit: "max_resources_per_lease".into(),
            value: limits.max_resources_per_lease,
        });
    }
    let wanted = wanted(cx, call, asked).await?;
    if let Some(presented) = &call.lease
        && let Some(receipt) = reenter(cx, presented, &wanted).await?
    {
        return remembered(cx, call.request.as_ref(), receipt).await;
    }
    match counted(cx, wanted).await? {
        Got::Earlier(receipt) => Ok(receipt),
        // Nobody would ever return it. Under an idempotency key the caller may
        // still ask for it again.
        Got::Lease { lease, .. } if call.request.is_none() && cx.still_wanted().is_err() => {
            acquire::give_back(cx, &lease.id, Vec::new()).await;
            Err(Refusal::Cancelled)
        }
        Got::Lease { lease, waited_ms } => Ok(Receipt::Leased {
            lease: lease.id,
            token: lease.token,
            wants: lease.wants.to_vec(),
            ttl_ms: lease.ttl_ms,
            waited_ms,
        }),
    }
}

/// Acquires a reservation within the limit of this process. Its place is taken in
/// the very step that sends the request, so that of many at the same time no more
/// are granted than are allowed.
async fn counted(cx: &Cx, wanted: Wanted) -> Result<Got, Refusal> {
    let id = acquire::lease_id(cx);
    let value = cx.config().limits.max_leases_per_session;
    let now = cx.now();
    let has_place = cx.seed.shared.borrow_mut().ask_for(&id, now, value);
    if !has_place {
        let limit = "max_leases_per_session".into();
        return Err(Refusal::LimitReached { limit, value });
    }
    let got = acquire::acquire(cx, wanted).await;
    cx.seed.shared.borrow_mut().asked_for(&id);
    got
}

/// Asked again under the same key, the answer must be the same: time has passed
/// by then, and the lease may be another's.
async fn remembered(
    cx: &Cx,
    request: Option<&RequestKey>,
    receipt: Receipt,
) -> Result<Receipt, Refusal> {
    let Some(request) = request else {
        return Ok(receipt);
    };
    let remember = Remember {
        request: request.clone(),
        receipt,
    };
    match cx.store(Command::Remember(remember)).await? {
        Outcome::Answered(first) => Ok(first),
        Outcome::KeyMismatch => Err(acquire::key_mismatch(Some(request))),
        other => mixed_up(&other),
    }
}

/// Asking for what a presented lease covers already is answered with that lease:
/// whoever has it may work under it. What it does not cover is asked for anew.
async fn reenter(
    cx: &Cx,
    presented: &LeaseId,
    wanted: &Wanted,
) -> Result<Option<Receipt>, Refusal> {
    match cx.store(Command::Verify(presented.clone())).await? {
        Outcome::Held {
            lease,
            expires_in_ms,
        } => {
            let covered = wanted.wants.iter().all(|want| lease.covers(want));
            Ok(covered.then_some(Receipt::Leased {
                lease: lease.id,
                token: lease.token,
                wants: lease.wants.to_vec(),
                ttl_ms: expires_in_ms,
                waited_ms: 0,
            }))
        }
        Outcome::Lost { ended, expired } => {
            let keys = wanted.wants.iter().map(|want| want.extent.key.to_string());
            let keys: Vec<String> = keys.collect();
            cx.unless_observed(acquire::lost(&keys, ended, expired.as_ref()))?;
            Ok(None)
        }
        other => mixed_up(&other),
    }
}

/// Turns names into wants; the strictest of the classes decides times.
async fn wanted(cx: &Cx, call: &Call, asked: Reservation) -> Result<Wanted, Refusal> {
    let limits = &cx.config().limits;
    let mut wants = Vec::new();
    let mut policies = Vec::new();
    for (index, resource) in asked.resources.into_iter().enumerate() {
        let policy = policy(cx, &resource.class, index)?;
        wants.push(want(cx, resource, &policy, index).await?);
        policies.push(policy);
    }
    let least = |of: fn(&Policy) -> u64| policies.iter().map(of).min().unwrap_or(0);
    let ttl_ms = asked
        .ttl_ms
        .unwrap_or_else(|| least(|policy| policy.lease_ttl_ms));
    if ttl_ms == 0 || ttl_ms > limits.max_lease_ttl_ms {
        let message = alloc::format!(
            "is more than 0 and at most {} s",
            limits.max_lease_ttl_ms / 1000
        );
        return Err(Refusal::invalid("ttl_sec", message));
    }
    let by_class = policies
        .iter()
        .map(|policy| policy.max_wait_ms(call.urgency))
        .min();
    let max_wait_ms = call.max_wait_ms.or(by_class).unwrap_or(0);
    Ok(Wanted {
        wants: canonical(wants).into(),
        kind: LeaseKind::Reservation,
        ttl_ms,
        lock_delay_ms: policies
            .iter()
            .map(|policy| policy.lock_delay_ms)
            .max()
            .unwrap_or(0),
        purpose: asked.purpose.map(Into::into),
        urgency: call.urgency,
        max_wait_ms: max_wait_ms.min(limits.max_wait_ms),
        request: call.request.clone(),
        keep: asked.keep,
    })
}

fn policy(cx: &Cx, class: &str, index: usize) -> Result<Policy, Refusal> {
    let policies = &cx.config().policies;
    policies.get(class).cloned().ok_or_else(|| {
        let known: Vec<&str> = policies
            .iter()
            .map(|policy| policy.class.as_str())
            .collect();
        Refusal::InvalidRequest {
            field: alloc::format!("resources[{index}].class"),
            message: alloc::format!("{class:?} is no resource class"),
            hint: Some(alloc::format!("one of {}", known.join(", "))),
        }
    })
}

async fn want(
    cx: &Cx,
    resource: ResourceWanted,
    policy: &Policy,
    index: usize,
) -> Result<Want, Refusal> {
    let key = resource_key(cx, &resource, policy, index).await?;
    Ok(Want {
        extent: Extent {
            key,
            scope: resource.scope,
        },
        mode: resource.mode,
        class: resource.class.into(),
    })
}

/// Longest name of a resource that is no file, in bytes.
const NAME_BYTES_MAX: usize = 1_000;

/// Refuses what cannot be shown to people, or kept in every row of a lease.
fn check_name(id: &str, index: usize) -> Result<(), Refusal> {
    let message = if id.len() > NAME_BYTES_MAX {
        alloc::format!("has {} bytes; at most {NAME_BYTES_MAX}", id.len())
    } else if id.chars().any(char::is_control) {
        "contains a control character".into()
    } else {
        return Ok(());
    };
    let field = alloc::format!("resources[{index}].id");
    Err(Refusal::invalid(&field, message))
}

/// The key of a resource as callers name it: a path for classes of files, where
/// `.` is the whole root, and a plain name for the others.
async fn resource_key(
    cx: &Cx,
    wanted: &ResourceWanted,
    policy: &Policy,
    index: usize,
) -> Result<ResourceKey, Refusal> {
    let ResourceWanted { id, scope, .. } = wanted;
    if policy.scope != ScopeKind::File {
        check_name(id, index)?;
        return Ok(ResourceKey::new(&policy.key_prefix, &fold(id)));
    }
    let is_folder = *scope == Scope::Subtree;
    let path = if is_folder { folder(id) } else { id.as_str() };
    if path == "." || path.is_empty() {
        return Ok(ResourceKey::new(&policy.key_prefix, ""));
    }
    match cx.locate_one(path.to_string()).await {
        Ok(path) => Ok(ResourceKey::new(&policy.key_prefix, &fold(&path))),
        // The root, by its absolute path or by dots alone.
        Err(Refusal::Path(refusal)) if is_folder && refusal.reason == PathReason::Empty => {
            Ok(ResourceKey::new(&policy.key_prefix, ""))
        }
        Err(refusal) => Err(refusal),
    }
}

/// A folder as it is named without slashes at its end.
fn folder(id: &str) -> &str {
    match id.trim_end_matches('/') {
        // Of the file system, not of the repository.
        "" => id,
        name => name,
    }
}

/// Extends a lease.
pub(super) async fn renew(cx: &Cx, id: &LeaseId) -> Result<Reply, Refusal> {
    let sent = cx.now();
    match cx.store(Command::Renew(id.clone())).await? {
        Outcome::Held { expires_in_ms, .. } => {
            let mut shared = cx.seed.shared.borrow_mut();
            let sent = if is_active(Mutant::DeadlineFromReply) {
                cx.now()
            } else {
                sent
            };
            if let Some(held) = shared.held(id) {
                held.renewed(sent, cx.config().clock_drift_ppm);
            }
            Ok(Reply::Renewed { expires_in_ms })
        }
        Outcome::Lost { ended, expired } => {
            cx.seed.shared.borrow_mut().drop_lease(id);
            Err(acquire::lost(&[], ended, expired.as_ref()))
        }
        other => mixed_up(&other),
    }
}

/// Returns a lease.
pub(super) async fn release(cx: &Cx, call: &Call, id: &LeaseId) -> Result<Reply, Refusal> {
    let request = call.request.as_ref();
    let receipt = match recall(cx, request).await? {
        Some(earlier) => earlier,
        None => unless_answered(cx, request, returned(cx, request, id).await).await?,
    };
    match receipt {
        Receipt::Released { held_ms } => Ok(Reply::Released { held_ms }),
        other => mixed_up(&other),
    }
}

async fn returned(cx: &Cx, request: Option<&RequestKey>, id: &LeaseId) -> Result<Receipt, Refusal> {
    match acquire::release(cx, id, Vec::new(), request).await? {
        Outcome::Released { held_ms, .. } => Ok(Receipt::Released { held_ms }),
        Outcome::Answered(earlier) => Ok(earlier),
        Outcome::KeyMismatch => Err(acquire::key_mismatch(request)),
        Outcome::Lost { ended, expired } => Err(acquire::lost(&[], ended, expired.as_ref())),
        other => mixed_up(&other),
    }
}

/// Returns everything this process holds, as it ends in good order. Where a commit of
/// its own stays open, its session does too, for whoever finds it dead.
pub(super) async fn release_all(cx: &Cx) -> Result<Reply, Refusal> {
    let leases = cx.seed.shared.borrow().all_held();
    let mut returned = true;
    for lease in leases {
        // What cannot be returned now ends when this process is found dead; until
        // then a call that is still under way may begin a commit under it.
        let ended = acquire::release(cx, &lease, Vec::new(), None).await;
        returned &= ended.is_ok();
    }
    // Only now, when no more can come.
    if settle::settle_own(cx).await.is_err() {
        return Ok(Reply::Ended { is_settled: false });
    }
    let outcome = cx
        .store(Command::CloseSession(cx.seed.session.clone()))
        .await?;
    if let Outcome::Done { wake } = outcome {
        cx.ring(wake).await;
    }
    Ok(Reply::Ended {
        is_settled: returned,
    })
}

/// Longest reason of a revocation, in bytes: it is kept for ever.
const REASON_BYTES_MAX: usize = 1_000;

/// Takes leases away: break-glass, audited.
pub(super) async fn revoke(cx: &Cx, target: Target, reason: String) -> Result<Reply, Refusal> {
    if reason.len() > REASON_BYTES_MAX {
        let length = reason.len();
        let message = alloc::format!("has {length} bytes; at most {REASON_BYTES_MAX}");
        return Err(Refusal::invalid("reason", message));
    }
    let command = |latched| {
        Command::Revoke(Revoke {
            target: target.clone(),
            by: cx.seed.agent.clone(),
            reason: reason.clone(),
            latched,
        })
    };
    let outcome = acquire::end_under_latches(cx, BTreeSet::new(), command).await?;
    let Outcome::Revoked { leases, wake } = outcome? else {
        return mixed_up(&"an answer to a revocation");
    };
    cx.ring(wake).await;
    let holders: Vec<AgentId> = leases.into_iter().map(|lease| lease.owner.agent).collect();
    Ok(Reply::Revoked(holders))
}

/// Renews a lease on behalf of the calls that use it.
pub(super) async fn keep(cx: &Cx, id: LeaseId) {
    let lease = {
        let mut shared = cx.seed.shared.borrow_mut();
        shared.held(&id).map(|held| held.lease.clone())
    };
    let Some(lease) = lease else { return };
    let (agent, token) = (lease.owner.agent.clone(), lease.token);
    match renew(cx, &id).await {
        Ok(_) => cx.event(Event::LockRenewed { agent, token }),
        // A call finds out by itself, or has ended meanwhile and returned it.
        Err(Refusal::LeaseLost(_)) if lease.kind == LeaseKind::Call => {}
        // Returned while its renewal was on the way.
        Err(Refusal::LeaseLost(lost)) if was_returned(lost.ended.as_ref()) => {}
        Err(Refusal::LeaseLost(lost)) => {
            let resources = names(&lease);
            let lost = LostLease { resources, ..*lost };
            cx.seed.shared.borrow_mut().lose(&agent, lost);
        }
        // The store is busy or failing: try again before the lease runs out.
        Err(_) => {
            let mut shared = cx.seed.shared.borrow_mut();
            let now = cx.now();
            if let Some(held) = shared.held(&id) {
                held.renewing = false;
                held.renew_at = now.plus_ms(held.lease.ttl_ms / 10);
            }
        }
    }
}

/// Whether a lease was returned: by a call of this process, or of another that was
/// given its id. Nobody has lost it.
fn was_returned(ended: Option<&EndedLease>) -> bool {
    ended.is_some_and(|ended| ended.end == LeaseEnd::Released)
}

fn names(lease: &Lease) -> Vec<String> {
    lease.keys().map(ToString::to_string).collect()
}

/// Finds out what became of reservations the agent can no longer rely on, so
/// that its next answer tells it.
pub(super) async fn check_doubtful(cx: &Cx) -> Result<(), Refusal> {
    let now = cx.now();
    let doubtful = cx.seed.shared.borrow().doubtful(&cx.seed.agent, now);
    for id in doubtful {
        let outcome = cx.store(Command::Verify(id.clone())).await?;
        if let Outcome::Lost { ended, expired } = outcome {
            let held = cx.seed.shared.borrow_mut().drop_lease(&id);
            // Another call of the agent that found out first tells it.
            let Some(held) = held.filter(|_| !was_returned(ended.as_ref())) else {
                continue;
            };
            let keys = names(&held.lease);
            if let Refusal::LeaseLost(lost) = acquire::lost(&keys, ended, expired.as_ref()) {
                cx.seed.shared.borrow_mut().lose(&cx.seed.agent, *lost);
            }
            let count = cx.count(Counter::LostLeases, "");
            // A count that cannot be kept is no reason to fail.
            let _ = cx.store(Command::Tally(Vec::from([count]))).await;
        }
    }
    Ok(())
}
