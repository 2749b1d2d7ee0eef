//! One client over a pair of byte streams.
//!
//! Owns: a connection from its first byte to the release of what it held.
//! Promises: when the client is gone, waits end at once, calls that do not wait
//! are finished, and everything is returned before [`serve`] is, within seconds and
//! whether or not the client reads what it is told. Leaves to others: the streams'
//! other end, and what standard error says.

use std::sync::Arc;
use std::time::Duration;

use maasl_core::coordinator::io::{Call, Request};
use maasl_core::id::AgentId;
use maasl_core::policy::Urgency;
use maasl_core::refusal::Refusal;
use rmcp::service::{QuitReason, ServerInitializeError, serve_server_with_ct};
use rmcp::transport::io::stdio_pipes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::backend::Backend;
use super::ends::{EofNotify, FailNotify};
use super::handler::Adapter;
use super::identity::EnvIdentity;
use super::line_limit::LineLimit;
use super::lines::Lines;

/// The agent named for what the server does on its own.
const SERVER: &str = "maasl";

/// How long a connection that is to end may take for it: rmcp gives calls 5 s, and then
/// waits for a client that reads nothing for as long as that one lives.
const ENDING_MAX: Duration = Duration::from_secs(6);

/// Why a connection ended other than by its client.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The client did not begin as the protocol demands.
    #[error("the connection was not opened: {0}")]
    Opening(#[source] Box<ServerInitializeError>),
    /// The task that serves the connection failed.
    #[error("the connection failed: {0}")]
    Serving(#[from] tokio::task::JoinError),
    /// The client sent a line without an end. Dropping it would leave the client
    /// waiting for an answer that nobody can give: its id was never read.
    #[error("a message has more than {most} bytes")]
    LineTooLong {
        /// Bytes that a line may have.
        most: usize,
    },
    /// What the connection held could not be returned; it ends by itself.
    #[error("leases were not returned: {0}")]
    Releasing(Refusal),
}

/// Serves one client on standard input and output until it closes its end or the
/// process is asked to stop, and returns everything that was held.
///
/// Where standard input is no pipe, a thread may stay blocked on it: end the
/// process with `Runtime::shutdown_background` or `std::process::exit`.
pub async fn serve_stdio<B: Backend>(backend: Arc<B>, env: EnvIdentity) -> Result<(), ServeError> {
    let (reader, writer) = stdio_pipes();
    let stop = CancellationToken::new();
    let connection = serve(backend, env, reader, writer, stop.clone());
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = &mut connection => return end,
        () = asked_to_stop() => stop.cancel(),
    }
    connection.await
}

/// Serves one client on `reader` and `writer` until either of them fails, the client
/// closes its end or `stop` fires, and returns everything that was held.
pub async fn serve<B, R, W>(
    backend: Arc<B>,
    env: EnvIdentity,
    reader: R,
    writer: W,
    stop: CancellationToken,
) -> Result<(), ServeError>
where
    B: Backend,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let stop = stop.child_token();
    // Waits end with the client and with `stop`, whichever comes first.
    let ended = stop.child_token();
    let adapter = Adapter::new(Arc::clone(&backend), env, ended.clone());
    let longest = longest_line(&*backend);
    let too_long = CancellationToken::new();
    let reader = LineLimit::new(reader, longest, too_long.clone());
    let reader = EofNotify::new(reader, ended.clone());
    let transport = Lines::new(reader, FailNotify::new(writer, stop.clone()));
    let connection = async move {
        match serve_server_with_ct(adapter, transport, stop).await {
            Ok(running) => running.waiting().await.map_err(ServeError::from),
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(QuitReason::Closed),
            Err(ServerInitializeError::Cancelled) => Ok(QuitReason::Cancelled),
            Err(error) => Err(ServeError::Opening(Box::new(error))),
        }
    };
    let end = bounded(connection, &ended).await;
    tracing::debug!(?end, "connection over");
    let released = release_all(&*backend).await;
    if too_long.is_cancelled() {
        return Err(ServeError::LineTooLong { most: longest });
    }
    end.transpose().map(drop).and(released)
}

/// What the connection comes to; nothing where it goes on although it is to end.
async fn bounded<T>(connection: impl Future<Output = T>, ended: &CancellationToken) -> Option<T> {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        end = &mut connection => return Some(end),
        () = ended.cancelled() => {}
    }
    let end = tokio::time::timeout(ENDING_MAX, connection).await.ok();
    if end.is_none() {
        tracing::warn!("the client does not read what it is told, and is left");
    }
    end
}

/// Room for the largest file that may be written, as JSON writes it.
fn longest_line<B: Backend>(backend: &B) -> usize {
    let file = usize::try_from(backend.config().limits.max_file_bytes).unwrap_or(usize::MAX);
    file.saturating_mul(2).saturating_add(1 << 20)
}

async fn release_all<B: Backend>(backend: &B) -> Result<(), ServeError> {
    let call = Call {
        agent: AgentId::new(SERVER),
        urgency: Urgency::Interactive,
        max_wait_ms: None,
        request: None,
        lease: None,
        request_body: Request::ReleaseAll,
        entropy: backend.entropy(),
    };
    let response = backend.call(call, CancellationToken::new(), None).await;
    response.result.map(|_| ()).map_err(ServeError::Releasing)
}

#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        () = interrupted() => {}
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() {
    interrupted().await;
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
