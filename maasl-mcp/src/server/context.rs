//! What a tool has to work with.
//!
//! Owns: turning a request of a tool into a guarded call, with everything the
//! call carries besides. Promises: a call that waits ends at once when its caller
//! cancels or is gone; one that does not wait is finished even then. Leaves to
//! others: what is asked for (`tools`) and whether it may be (the backend).

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use maasl_core::coordinator::io::{Call, Event, Reply, Request};
use maasl_core::id::{Entropy, LeaseId};
use maasl_core::lease::RequestKey;
use maasl_core::policy::Urgency;
use maasl_core::refusal::Refusal;
use maasl_threads::vigil::Vigil;
use rmcp::model::ProgressToken;
use rmcp::{Peer, RoleServer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::arguments::Common;
use super::backend::{Backend, OnWait};
use super::envelope::Told;
use super::error::ErrorBody;
use super::identity::Identity;
use super::progress::{Wait, reporting};

/// One tool call, its arguments aside.
pub(crate) struct Cx<B> {
    pub(crate) backend: Arc<B>,
    pub(crate) common: Common,
    pub(crate) identity: Identity,
    pub(crate) request: Option<RequestKey>,
    pub(crate) entropy: Entropy,
    pub(crate) reach: Reach,
    /// When the server started.
    pub(crate) started: Instant,
}

/// How the caller can be reached and how it is known to be gone.
pub(crate) struct Reach {
    /// The caller no longer wants the answer.
    pub(crate) cancelled: CancellationToken,
    /// Nothing more comes from the client.
    pub(crate) ended: CancellationToken,
    /// Where progress goes, if it was asked for.
    pub(crate) progress: Option<(Peer<RoleServer>, ProgressToken)>,
}

impl<B: Backend> Cx<B> {
    /// Makes the guarded call of this tool call.
    pub(crate) async fn call(self, body: Request) -> Told<Reply> {
        let call = Call {
            agent: self.identity.agent,
            urgency: self.common.mode.map_or(Urgency::default(), Urgency::from),
            max_wait_ms: self.common.max_wait_ms,
            request: self.request,
            lease: self.common.lease.map(LeaseId::new),
            request_body: body,
            entropy: self.entropy,
        };
        let Reach {
            cancelled,
            ended,
            progress,
        } = self.reach;
        let (report, waits) = watch::channel(Wait::default());
        let watch = Watch {
            cancel: cancelled.child_token(),
            ended,
            vigil: Arc::new(Vigil::new()),
        };
        let on_wait = watch.on_wait(report);
        let answer = self.backend.call(call, watch.cancel.clone(), Some(on_wait));
        let answer = watch.over(answer);
        let response = match progress {
            Some(to) => reporting(answer, waits, to).await,
            None => answer.await,
        };
        Told {
            result: response.result.map_err(|refusal| Box::new(refusal.into())),
            lost: response.lost,
            observed: response.observed,
        }
    }

    /// Asks the backend something that may block.
    pub(crate) async fn ask<T, F>(&self, question: F) -> Result<T, Box<ErrorBody>>
    where
        T: Send + 'static,
        F: FnOnce(&B) -> Result<T, Refusal> + Send + 'static,
    {
        let backend = Arc::clone(&self.backend);
        let answer = tokio::task::spawn_blocking(move || question(&backend)).await;
        let answer = answer.unwrap_or_else(|error| Err(Refusal::internal(error.to_string())));
        answer.map_err(|refusal| Box::new(refusal.into()))
    }
}

/// The answer to a request was that of another one.
pub(crate) fn mixed_up(reply: &Reply) -> Box<ErrorBody> {
    Box::new(Refusal::internal(format!("answered by something else: {reply:?}")).into())
}

/// Watches over one call, in case nobody waits for it any more.
struct Watch {
    cancel: CancellationToken,
    ended: CancellationToken,
    vigil: Arc<Vigil>,
}

impl Watch {
    fn on_wait(&self, report: watch::Sender<Wait>) -> OnWait {
        let (cancel, ended) = (self.cancel.clone(), self.ended.clone());
        let vigil = Arc::clone(&self.vigil);
        Box::new(move |event: &Event| {
            let Some(wait) = Wait::of(event) else { return };
            if vigil.waits(|| ended.is_cancelled()) {
                cancel.cancel();
            }
            report.send_replace(wait);
        })
    }

    /// Runs `call`, and cancels it if it waits when the client is gone. A client
    /// may close its end right after its last request, so that alone cancels
    /// nothing.
    async fn over<T>(&self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        tokio::select! {
            answer = &mut call => return answer,
            () = self.ended.cancelled() => {}
        }
        if self.vigil.has_gone() {
            self.cancel.cancel();
        }
        call.await
    }
}
