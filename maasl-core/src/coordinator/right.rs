//! The lease that one call works under.
//!
//! Owns: checking a lease that the caller presents, and taking one for the
//! duration of the call. Promises: what is handed out covers, exclusively, every
//! resource that was named; of several classes the strictest decides how long to
//! wait. Leaves to others: waiting and taking over (`acquire`), and the check at
//! the commit itself (`commit`, `database`).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire::{self, Got, Wanted};
use super::call::{Cx, mixed_up};
use super::io::Call;
use crate::id::LeaseId;
use crate::lease::{Command, Lease, LeaseKind, Outcome};
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::resource::{ResourceKey, Want, canonical};

/// The lease a call runs under.
pub(super) struct Right {
    pub(super) lease: Lease,
    /// Whether this call took it and returns it.
    pub(super) own: bool,
    pub(super) waited_ms: u64,
}

/// The lease the caller presents, or one for this call over all of `wants`.
pub(super) async fn for_call(
    cx: &Cx,
    call: &Call,
    wants: Vec<Want>,
    purpose: &str,
) -> Result<Right, Refusal> {
    match &call.lease {
        Some(id) => present(cx, id, &wants).await,
        None => take(cx, call, wants, purpose).await,
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

async fn present(cx: &Cx, id: &LeaseId, wants: &[Want]) -> Result<Right, Refusal> {
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

async fn take(cx: &Cx, call: &Call, wants: Vec<Want>, purpose: &str) -> Result<Right, Refusal> {
    let config = cx.config();
    let policies = wants.iter().map(|want| {
        let policy = config.policies.get(&want.class);
        policy.expect("calls take leases in built-in classes, which every registry has")
    });
    let policies: Vec<&Policy> = policies.collect();
    let least = |of: &dyn Fn(&Policy) -> u64| policies.iter().map(|one| of(one)).min();
    let by_class = least(&|policy| policy.max_wait_ms(call.urgency));
    let max_wait_ms = call.max_wait_ms.or(by_class).unwrap_or(0);
    let wanted = Wanted {
        kind: LeaseKind::Call,
        ttl_ms: least(&|policy| policy.lease_ttl_ms).unwrap_or(0),
        lock_delay_ms: policies
            .iter()
            .map(|policy| policy.lock_delay_ms)
            .max()
            .unwrap_or(0),
        purpose: Some(purpose.into()),
        urgency: call.urgency,
        max_wait_ms: max_wait_ms.min(config.limits.max_wait_ms),
        request: None,
        keep: false,
        wants: canonical(wants).into(),
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
