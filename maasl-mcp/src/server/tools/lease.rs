//! `lease_acquire`, `lease_renew` and `lease_release`.
//!
//! Owns: the tools' arguments and results. Promises: a lease id is shown to nobody
//! but who acquired it. Leaves to others: granting.

use maasl_core::coordinator::io::{Reply, Request, Reservation, ResourceWanted};
use maasl_core::id::LeaseId;
use maasl_core::policy::CRIT_CODE;
use maasl_core::reply::Receipt;
use maasl_core::resource::{Mode, Scope, Want};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Effect, Spec};
use crate::server::arguments::{CHANGE, GUARDED};
use crate::server::backend::Backend;
use crate::server::context::{Cx, mixed_up};
use crate::server::envelope::Told;
use crate::server::error::ErrorBody;
use crate::server::identity::Identity;

/// Longest intent, in bytes.
const INTENT_BYTES_MAX: usize = 1_000;

/// `lease_acquire`.
pub(crate) struct Acquire;
/// `lease_renew`.
pub(crate) struct Renew;
/// `lease_release`.
pub(crate) struct Release;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcquireArguments {
    /// Everything you will need, all or nothing.
    resources: Vec<Resource>,
    /// How many seconds the lease lasts unless renewed; the class decides if not
    /// given.
    ttl_sec: Option<f64>,
    /// What you are going to do, for those who wait.
    intent: Option<String>,
}

/// One resource.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resource {
    /// A path relative to the root (`.` is the root: with scope `subtree` all of it), or a name in the class.
    id: String,
    /// The resource class. Default: `CRIT_CODE`, files.
    class: Option<String>,
    /// `exact` (default), or `subtree` for everything below too.
    scope: Option<ScopeWord>,
    /// `exclusive` (default), or `shared` with others that only read.
    mode: Option<ModeWord>,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScopeWord {
    Exact,
    Subtree,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ModeWord {
    Exclusive,
    Shared,
}

/// The lease to renew or release.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaseArguments {
    /// The `lease` from `lease_acquire`.
    lease: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct AcquireBody {
    /// The right to the resources: pass it as `lease`, and keep it to yourself.
    lease: String,
    /// Higher than that of every lease before it.
    fencing_token: u64,
    /// How long it lasts unless renewed.
    expires_in_ms: u64,
    /// What was granted.
    resources: Vec<GrantedBody>,
    /// How long the call waited.
    waited_ms: u64,
    /// The name you are known by.
    agent: String,
    /// Where that name was found.
    identity: String,
}

/// A resource that was granted.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct GrantedBody {
    /// Its canonical key.
    resource_key: String,
    class: String,
    scope: ScopeWord,
    mode: ModeWord,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RenewBody {
    /// How long it lasts from now unless renewed again.
    expires_in_ms: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct ReleaseBody {
    /// How long it was held.
    held_ms: u64,
}

impl From<Scope> for ScopeWord {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Exact => Self::Exact,
            Scope::Subtree => Self::Subtree,
        }
    }
}

impl From<Mode> for ModeWord {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Exclusive => Self::Exclusive,
            Mode::Shared => Self::Shared,
        }
    }
}

impl From<Resource> for ResourceWanted {
    fn from(resource: Resource) -> Self {
        Self {
            id: resource.id,
            class: resource.class.unwrap_or_else(|| CRIT_CODE.to_owned()),
            scope: match resource.scope {
                None | Some(ScopeWord::Exact) => Scope::Exact,
                Some(ScopeWord::Subtree) => Scope::Subtree,
            },
            mode: match resource.mode {
                None | Some(ModeWord::Exclusive) => Mode::Exclusive,
                Some(ModeWord::Shared) => Mode::Shared,
            },
        }
    }
}

impl From<Want> for GrantedBody {
    fn from(want: Want) -> Self {
        Self {
            resource_key: want.extent.key.to_string(),
            class: want.class.to_string(),
            scope: want.extent.scope.into(),
            mode: want.mode.into(),
        }
    }
}

impl Spec for Acquire {
    const NAME: &'static str = "lease_acquire";
    const TITLE: &'static str = "Acquire a lease";
    const DOC: &'static str = "Reserves resources across calls, all or nothing, for work that \
        nobody may interrupt. Pass the returned `lease` in every call that uses them, renew it \
        before it expires and release it when done.";
    const EFFECT: Effect = Effect::Adds;
    const COMMON: &'static [&'static str] = GUARDED;
    type Arguments = AcquireArguments;
    type Body = AcquireBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: AcquireArguments) -> Told<AcquireBody> {
        let reservation = match reservation(arguments) {
            Ok(reservation) => reservation,
            Err(error) => return error.into(),
        };
        let identity = cx.identity.clone();
        let told = cx.call(Request::Reserve(reservation)).await;
        told.and_then(|reply| granted(reply, identity))
    }
}

fn reservation(arguments: AcquireArguments) -> Result<Reservation, Box<ErrorBody>> {
    let purpose = arguments.intent;
    if purpose
        .as_ref()
        .is_some_and(|text| text.len() > INTENT_BYTES_MAX)
    {
        let message = format!("is longer than {INTENT_BYTES_MAX} bytes");
        return Err(ErrorBody::invalid("intent", message));
    }
    let resources = arguments.resources.into_iter().map(ResourceWanted::from);
    Ok(Reservation {
        resources: resources.collect(),
        ttl_ms: arguments.ttl_sec.map(milliseconds).transpose()?,
        purpose,
        // An agent that is gone does not renew: its lease must run out.
        keep: false,
    })
}

fn milliseconds(seconds: f64) -> Result<u64, Box<ErrorBody>> {
    let wrong = |_| ErrorBody::invalid("ttl_sec", "is a positive number of seconds");
    let duration = std::time::Duration::try_from_secs_f64(seconds).map_err(wrong)?;
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn granted(reply: Reply, identity: Identity) -> Result<AcquireBody, Box<ErrorBody>> {
    match reply {
        Reply::Receipt(Receipt::Leased {
            lease,
            token,
            wants,
            ttl_ms,
            waited_ms,
        }) => Ok(AcquireBody {
            lease: lease.to_string(),
            fencing_token: token.number(),
            expires_in_ms: ttl_ms,
            resources: wants.into_iter().map(GrantedBody::from).collect(),
            waited_ms,
            agent: identity.agent.to_string(),
            identity: identity.rule,
        }),
        other => Err(mixed_up(&other)),
    }
}

impl Spec for Renew {
    const NAME: &'static str = "lease_renew";
    const TITLE: &'static str = "Renew a lease";
    const DOC: &'static str = "Extends a lease by its duration, counted from now.";
    const EFFECT: Effect = Effect::Adds;
    const COMMON: &'static [&'static str] = CHANGE;
    type Arguments = LeaseArguments;
    type Body = RenewBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: LeaseArguments) -> Told<RenewBody> {
        let request = Request::Renew(LeaseId::new(arguments.lease));
        cx.call(request).await.and_then(|reply| match reply {
            Reply::Renewed { expires_in_ms } => Ok(RenewBody { expires_in_ms }),
            other => Err(mixed_up(&other)),
        })
    }
}

impl Spec for Release {
    const NAME: &'static str = "lease_release";
    const TITLE: &'static str = "Release a lease";
    const DOC: &'static str = "Returns a lease, so that whoever waits can go on.";
    const EFFECT: Effect = Effect::Adds;
    const COMMON: &'static [&'static str] = CHANGE;
    type Arguments = LeaseArguments;
    type Body = ReleaseBody;

    async fn run<B: Backend>(cx: Cx<B>, arguments: LeaseArguments) -> Told<ReleaseBody> {
        let request = Request::Release(LeaseId::new(arguments.lease));
        cx.call(request).await.and_then(|reply| match reply {
            Reply::Released { held_ms } => Ok(ReleaseBody { held_ms }),
            other => Err(mixed_up(&other)),
        })
    }
}
