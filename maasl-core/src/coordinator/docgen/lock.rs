//! The lock that other tools take while they make documents.
//!
//! Owns: waiting for it. Promises: the wait is bounded like that for a lease, can
//! be cancelled, and ends soon after the lock came free. Leaves to others: the
//! lock file (the node). Among processes of MAASL the lease keeps order, so only a
//! tool that knows nothing of leases is met here.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::coordinator::call::{Cx, WaitEnd};
use crate::coordinator::io::{Call, Event};
use crate::policy::IDEMP_DOCS;
use crate::refusal::{Busy, Refusal};
use crate::time::Timestamp;

/// Where the lock lies, for refusals.
const LOCK: &str = ".llmc/docgen.lock";
/// The first pause between two looks; each is twice the one before.
const PAUSE_MS_MIN: u64 = 1;
/// The longest pause.
const PAUSE_MS_MAX: u64 = 50;

/// Takes the lock, waiting as long as the call that began at `started` may.
pub(in crate::coordinator) async fn enter(
    cx: &Cx,
    call: &Call,
    started: Timestamp,
) -> Result<(), Refusal> {
    let allowed_ms = allowed_ms(cx, call);
    let deadline = started.plus_ms(allowed_ms);
    let mut pause_ms = PAUSE_MS_MIN;
    while !cx.docgen_lock().await? {
        let now = cx.now();
        let waited_ms = now.ms_since(started);
        if now >= deadline {
            return Err(Refusal::ResourceBusy(Box::new(Busy {
                resource: LOCK.to_string(),
                waited_ms,
                allowed_ms,
                ..Busy::default()
            })));
        }
        cx.event(Event::Waiting {
            call: cx.seed.call,
            blockers: Vec::new(),
            place: 0,
            waited_ms,
            allowed_ms,
        });
        let look = now.plus_ms(pause_ms).min(deadline);
        if cx.sleep(look).await == WaitEnd::Cancelled {
            return Err(Refusal::Cancelled);
        }
        pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
    }
    Ok(())
}

/// The wait for the lease and that for the lock are one.
fn allowed_ms(cx: &Cx, call: &Call) -> u64 {
    let config = cx.config();
    let policy = config.policies.get(IDEMP_DOCS).expect("a built-in class");
    let allowed = call.max_wait_ms.unwrap_or(policy.max_wait_ms(call.urgency));
    allowed.min(config.limits.max_wait_ms)
}
