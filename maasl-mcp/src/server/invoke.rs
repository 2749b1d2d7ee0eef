//! From a raw tool call to its result.
//!
//! Owns: the steps common to all tools: arguments, identity, request key. Promises:
//! whatever happens inside a tool, its caller gets an answer. Leaves to others:
//! finding the tool (`handler`) and what it does (`tools`).

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use maasl_core::id::Entropy;
use maasl_core::refusal::Refusal;
use rmcp::RoleServer;
use rmcp::model::{CallToolResult, JsonObject};
use rmcp::service::RequestContext;
use serde_json::Value;

use super::arguments::{check_names, fingerprint, parse, request_key, take_common};
use super::backend::Backend;
use super::context::{Cx, Reach};
use super::envelope::Told;
use super::error::ErrorBody;
use super::handler::Shared;
use super::identity::{Clues, Identity, META_AGENT, META_THREAD};
use super::tools::Spec;

/// A tool call as it came in.
pub(crate) struct Incoming<B> {
    pub(crate) shared: Arc<Shared<B>>,
    pub(crate) schema: Arc<JsonObject>,
    pub(crate) arguments: JsonObject,
    pub(crate) context: RequestContext<RoleServer>,
}

/// Runs one tool.
pub(crate) type Run<B> = fn(Incoming<B>) -> Pin<Box<dyn Future<Output = CallToolResult> + Send>>;

/// Runs the tool `T`.
pub(crate) fn run<B: Backend, T: Spec>(
    call: Incoming<B>,
) -> Pin<Box<dyn Future<Output = CallToolResult> + Send>> {
    Box::pin(async move {
        let entropy = call.shared.backend.entropy();
        let told = answered(async move {
            match prepare::<B, T>(call, entropy) {
                Ok((cx, arguments)) => T::run(cx, arguments).await,
                Err(error) => error.into(),
            }
        })
        .await;
        told.into_result(|| entropy.derive("correlation", 0)[..12].to_owned())
    })
}

fn prepare<B: Backend, T: Spec>(
    call: Incoming<B>,
    entropy: Entropy,
) -> Result<(Cx<B>, T::Arguments), Box<ErrorBody>> {
    let Incoming {
        shared,
        schema,
        mut arguments,
        context,
    } = call;
    check_names(&arguments, &schema)?;
    let fingerprint = fingerprint(T::NAME, &arguments);
    let common = take_common(&mut arguments, T::COMMON)?;
    let request = request_key(common.idempotency_key.as_deref(), fingerprint)?;
    let arguments = parse("", Value::Object(arguments))?;
    let identity = identify(&shared, common.agent.as_deref(), &context)?;
    tracing::debug!(
        tool = T::NAME,
        agent = identity.agent.as_str(),
        identity = identity.rule,
        "tool call"
    );
    let token = context.meta.get_progress_token();
    let cx = Cx {
        backend: Arc::clone(&shared.backend),
        common,
        identity,
        request,
        entropy,
        reach: Reach {
            cancelled: context.ct,
            ended: shared.ended.clone(),
            progress: token.map(|token| (context.peer, token)),
        },
        started: shared.started,
    };
    Ok((cx, arguments))
}

fn identify<B>(
    shared: &Shared<B>,
    argument: Option<&str>,
    context: &RequestContext<RoleServer>,
) -> Result<Identity, Box<ErrorBody>> {
    let client = context.client_info();
    let clues = Clues {
        argument,
        meta_agent: context.meta.get(META_AGENT),
        meta_thread: context.meta.get(META_THREAD),
        client: client.as_ref().map(|client| client.name.as_str()),
    };
    Identity::find(&clues, &shared.env, &shared.connection)
}

/// Runs a tool to its end. A panic is a bug, but its caller must not wait for an
/// answer that never comes.
async fn answered<T>(tool: impl Future<Output = Told<T>>) -> Told<T> {
    let mut tool = pin!(tool);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| tool.as_mut().poll(cx)));
        polled.unwrap_or_else(|panic| {
            let message = format!("a bug: {}", words(&*panic));
            Poll::Ready(Told::from(Box::new(ErrorBody::from(Refusal::internal(
                message,
            )))))
        })
    })
    .await
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked")
}
