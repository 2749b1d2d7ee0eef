//! The lease a call works under.
//!
//! Owns: checking one that is presented, and taking one for the call's own
//! duration. Promises: a presented lease stands and allows every change that the
//! call will make. Leaves to others: getting it (`acquire`), giving it back
//! (`change`, `docgen`), and the fence at the commit point (`commit`).

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::acquire::{self, Got, Wanted};
use super::call::{Cx, mixed_up};
use super::io::Call;
use crate::id::LeaseId;
use crate::lease::{Command, Lease, LeaseKind, Outcome};
use crate::refusal::Refusal;
use crate::reply::Receipt;
use crate::resource::{ResourceKey, Want};

/// The lease a change runs under.
pub(super) struct Right {
    pub(super) lease: Lease,
    /// Whether this call took it and returns it.
    pub(super) own: bool,
    pub(super) waited_ms: u64,
}

/// What a call asks for, for its own duration.
pub(super) struct OwnWants {
    /// What it will change.
    pub(super) wants: Vec<Want>,
    /// The class that says for how long and how long to wait.
    pub(super) class: &'static str,
    /// What for.
    pub(super) purpose: Option<&'static str>,
}

/// Checks that a presented lease stands and allows changing what all keys name.
pub(super) async fn present(cx: &Cx, id: &LeaseId, keys: &[ResourceKey]) -> Result<Right, Refusal> {
    match cx.store(Command::Verify(id.clone())).await? {
        Outcome::Held { lease, .. } => {
            if let Some(key) = keys.iter().find(|key| !lease.allows_change_of(key)) {
                return Err(not_covered(key));
            }
            Ok(Right {
                lease,
                own: false,
                waited_ms: 0,
            })
        }
        Outcome::Lost { ended, expired } => {
            let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
            Err(acquire::lost(&names, ended, expired.as_ref()))
        }
        other => mixed_up(&other),
    }
}

pub(super) fn not_covered(key: &ResourceKey) -> Refusal {
    Refusal::InvalidRequest {
        field: "lease".into(),
        message: alloc::format!("does not allow changing {key}"),
        hint: Some("leave `lease` out, or acquire one that covers every file".into()),
    }
}

/// Takes a lease for the duration of the call.
pub(super) async fn take(
    cx: &Cx,
    call: &Call,
    own: OwnWants,
) -> Result<Result<Right, Receipt>, Refusal> {
    let config = cx.config();
    let policy = config.policies.get(own.class).expect("a built-in class");
    let max_wait_ms = call.max_wait_ms.unwrap_or(policy.max_wait_ms(call.urgency));
    let wanted = Wanted {
        wants: crate::resource::canonical(own.wants).into(),
        kind: LeaseKind::Call,
        ttl_ms: policy.lease_ttl_ms,
        lock_delay_ms: policy.lock_delay_ms,
        purpose: own.purpose.map(Into::into),
        urgency: call.urgency,
        max_wait_ms: max_wait_ms.min(config.limits.max_wait_ms),
        request: None,
        keep: false,
    };
    Ok(match acquire::acquire(cx, wanted).await? {
        Got::Lease { lease, waited_ms } => Ok(Right {
            lease,
            own: true,
            waited_ms,
        }),
        Got::Earlier(receipt) => Err(receipt),
    })
}
