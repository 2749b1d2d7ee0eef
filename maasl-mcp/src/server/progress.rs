//! What a waiting call tells its caller.
//!
//! Owns: progress notifications, sent only to callers that asked for them.
//! Promises: the number rises with every notification, none holds up the call,
//! and only the newest state is sent if the client is slow. Leaves to others:
//! when a call waits.

use std::future::Future;
use std::time::Duration;

use maasl_core::coordinator::io::Event;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::{Peer, RoleServer};
use tokio::sync::watch;

/// How long an answer waits for a notification that is on its way, so that none
/// comes after the answer.
const GRACE: Duration = Duration::from_millis(50);

/// One state of a wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wait {
    waited_ms: u64,
    allowed_ms: u64,
    message: String,
}

impl Wait {
    /// The state that `event` reports, if it is about waiting.
    pub(crate) fn of(event: &Event) -> Option<Self> {
        let Event::Waiting {
            blockers,
            place,
            waited_ms,
            allowed_ms,
            ..
        } = event
        else {
            return None;
        };
        let message = match blockers.first() {
            Some(holder) if holder.token.is_some() => {
                let doing = holder.purpose.as_ref();
                let doing = doing.map_or_else(String::new, |doing| format!(" ({doing})"));
                let agent = &holder.owner.agent;
                format!(
                    "{} is held by {agent}{doing}; {place} wait in front",
                    holder.key
                )
            }
            Some(waiter) => {
                format!("{} is awaited by {place} in front", waiter.key)
            }
            None => "waiting".to_owned(),
        };
        Some(Self {
            waited_ms: *waited_ms,
            allowed_ms: *allowed_ms,
            message,
        })
    }
}

/// Runs `call` and reports the waits that arrive at `waits` meanwhile.
pub(crate) async fn reporting<T>(
    call: impl Future<Output = T>,
    waits: watch::Receiver<Wait>,
    to: (Peer<RoleServer>, ProgressToken),
) -> T {
    let mut reports = std::pin::pin!(report(waits, to));
    let mut call = std::pin::pin!(call);
    let answer = tokio::select! {
        answer = &mut call => answer,
        () = &mut reports => return call.await,
    };
    // The call has dropped its end by now, so this is over as soon as a
    // notification under way is.
    let _ = tokio::time::timeout(GRACE, reports).await;
    answer
}

async fn report(
    mut waits: watch::Receiver<Wait>,
    (peer, token): (Peer<RoleServer>, ProgressToken),
) {
    let mut last = None;
    while waits.changed().await.is_ok() {
        let wait = waits.borrow_and_update().clone();
        let done = last.map_or(wait.waited_ms, |last: u64| wait.waited_ms.max(last + 1));
        last = Some(done);
        let param = ProgressNotificationParam::new(token.clone(), number(done))
            .with_total(number(wait.allowed_ms.max(done)))
            .with_message(wait.message);
        if let Err(error) = peer.notify_progress(param).await {
            tracing::debug!(%error, "a progress notification was not sent");
            return;
        }
    }
}

fn number(ms: u64) -> f64 {
    // Waits are bounded by a day, which is far from where this would round.
    u32::try_from(ms).map_or(f64::from(u32::MAX), f64::from)
}
