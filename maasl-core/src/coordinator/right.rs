//! The lease that one call works under.
//!
//! Owns: checking a lease that the caller presents, and taking one for the
//! duration of the call. Promises: what is handed out covers, exclusively, every
//! resource that was named. Leaves to others: waiting and taking over (`acquire`), and the check at
//! the commit itself (`commit`, `database`).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire::{self, Got, Wanted};
use super::call::{Cx, mixed_up};
use super::io::Call;
use crate::id::LeaseId;
use crate::lease::{Command, Lease, LeaseKind, Outcome};
use crate::refusal::Refusal;
use crate::resource::{ResourceKey, Want, canonical};

/// The lease a call runs under.
pub(super) struct Right {
    pub(super) lease: Lease,
    /// Whether this call took it and returns it.
    pub(super) own: bool,
    pub(super) waited_ms: u64,
}

/// What a call will change.
pub(super) struct Needs {
    pub(super) wants: Vec<Want>,
    /// The class that says how long the lease lasts and how long to wait.
    pub(super) class: &'static str,
    /// What for.
    pub(super) purpose: &'static str,
}

/// The lease the caller presents, or one for this call over all that it wants.
pub(super) async fn for_call(cx: &Cx, call: &Call, asked: Needs) -> Result<Right, Refusal> {
    match &call.lease {
        Some(id) => match present(cx, id, &asked.wants).await {
            Err(refusal) => {
                cx.unless_observed(refusal)?;
                take(cx, call, asked).await
            }
            right => right,
        },
        None => take(cx, call, asked).await,
    }
}

/// Whether the lease of a call may still be relied on: by its holder's own clock
/// first, and then by the lease table.
pub(super) async fn still_stands(cx: &Cx, right: &Right) -> Result<(), Refusal> {
    let usable = {
        let mut shared = cx.seed.shared.borrow_mut();
        let now = cx.now();
        let held = shared.held(&right.lease.id);
        held.is_none_or(|held| now < held.usable_until)
    };
    let resources: Vec<String> = right.lease.keys().map(ToString::to_string).collect();
    match cx.store(Command::Verify(right.lease.id.clone())).await? {
        Outcome::Held { lease, .. } if usable && lease.token == right.lease.token => Ok(()),
        Outcome::Held { lease, .. } => Err(acquire::lost(&resources, None, Some(&lease))),
        Outcome::Lost { ended, expired } => Err(acquire::lost(&resources, ended, expired.as_ref())),
        other => mixed_up(&other),
    }
}

/// The refusal of a presented lease that is not for this resource.
pub(super) fn not_covered(key: &ResourceKey) -> Refusal {
    Refusal::InvalidRequest {
        field: "lease".into(),
        message: alloc::format!("does not allow changing {key}"),
        hint: Some("leave `lease` out, or acquire one that covers everything".into()),
    }
}

/// The lease with this id, if it stands and covers all of these.
pub(super) async fn present(cx: &Cx, id: &LeaseId, wants: &[Want]) -> Result<Right, Refusal> {
    let mut keys = wants.iter().map(|want| &want.extent.key);
    match cx.store(Command::Verify(id.clone())).await? {
        Outcome::Held { lease, .. } => match keys.find(|key| !lease.allows_change_of(key)) {
            Some(key) => Err(not_covered(key)),
            None => Ok(Right {
                lease,
                own: false,
                waited_ms: 0,
            }),
        },
        Outcome::Lost { ended, expired } => {
            let names: Vec<String> = keys.map(ToString::to_string).collect();
            Err(acquire::lost(&names, ended, expired.as_ref()))
        }
        other => mixed_up(&other),
    }
}

async fn take(cx: &Cx, call: &Call, asked: Needs) -> Result<Right, Refusal> {
    let config = cx.config();
    let policy = config.policies.get(asked.class);
    let policy = policy.expect("calls take leases in built-in classes, which every registry has");
    let max_wait_ms = call.max_wait_ms.unwrap_or(policy.max_wait_ms(call.urgency));
    let wanted = Wanted {
        wants: canonical(asked.wants).into(),
        kind: LeaseKind::Call,
        ttl_ms: policy.lease_ttl_ms,
        lock_delay_ms: policy.lock_delay_ms,
        purpose: Some(asked.purpose.into()),
        urgency: call.urgency,
        max_wait_ms: max_wait_ms.min(config.limits.max_wait_ms),
        request: None,
        keep: false,
    };
    match acquire::acquire(cx, wanted).await? {
        Got::Lease { lease, waited_ms } => Ok(Right {
            lease,
            own: true,
            waited_ms,
        }),
        Got::Earlier(_) => panic!("a lease for one call is asked for without a key"),
    }
}
